//! The goal, its saved state and its events.

use std::time::Duration;

use super::TransactionRun;
use super::machine::TransactionMachine;
use crate::feldera::FelderaApi;
use crate::feldera::tuning::STALL_TIMEOUT;
use crate::flow::goal;
use crate::schema::json_structs;

json_structs! {
    pub(super) struct TransactionState {
        /// The name of the pipeline.
        pub pipeline: String,
        /// The process of the transaction; `None` if the server does not report it.
        pub process: Option<String>,
        /// The id of the transaction; `None` if the start is about to be sent.
        pub id: Option<i64>,
        /// The transaction of another client that was open before the start.
        pub other: Option<i64>,
        /// Whether a commit was sent, or is about to be sent.
        pub committing: bool,
        /// The time just before the start was sent, in milliseconds since the epoch, by the client's clock.
        pub since: u64,
    }
}

/// Opens a transaction, and commits it when the caller calls [`commit`](TransactionRun::commit). The pipeline processes
/// the input in between as a unit.
///
/// This is an **event flow**: it yields [`Started`](TransactionEvent::Started), and after `commit` it yields
/// [`Committed`](TransactionEvent::Committed). In between, ingest rows in any way. Their completion tokens are complete
/// only after the commit. With an [`Ingest`](super::super::Ingest), poll it until it is drained, then commit the
/// transaction, then finish the `Ingest`.
///
/// A pipeline has only one transaction at a time, and a transaction cannot be rolled back. **An open transaction stops
/// all outputs until it is committed.** Let no other client open transactions: requests do not show which client sent
/// them.
///
/// The [`timeout`](Self::timeout) includes the time between start and commit. If it expires, an open transaction stays
/// open: [`resume`](Self::resume) the flow, and commit the transaction. A resumed flow yields
/// [`Started`](TransactionEvent::Started) again if the transaction is open. If the commit was or may have been sent,
/// the flow waits for its outcome. It sends the commit again if the transaction is open and is not being committed.
///
/// # Errors
/// * [`FlowError::Service`] with 409 `TransactionInProgress` if another transaction is open; [`FlowError::Failed`] if
///   the flow notices that only after an answer was lost.
/// * `Failed` with an [`Interruption`](super::super::Interruption): `Restarted`, `Stopped` or `Crashed` if the process
///   ended before the commit was sent, and the transaction with it; `Wedged` if the commit makes no progress;
///   `AwaitingApproval` if the pipeline waits for approval of its bootstrap.
/// * [`FlowError::Ambiguous`] if the answer to the start or to the commit was lost, and the statistics do not show the
///   outcome. Also if the process has ended since the commit was sent: then
///   [`Interruption::of`](super::super::Interruption::of) returns the cause. [`resume`](Self::resume) checks again.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false,"transaction_status":"NoTransaction","transaction_id":0},"inputs":[],"outputs":[]}"#),
/// #     ("POST /v0/pipelines/orders/start_transaction", 200, r#"{"transaction_id":20}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false,"transaction_status":"TransactionInProgress","transaction_id":20},"inputs":[],"outputs":[]}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false,"transaction_status":"TransactionInProgress","transaction_id":20},"inputs":[],"outputs":[]}"#),
/// #     ("POST /v0/pipelines/orders/commit_transaction", 200, r#""Transaction commit initiated""#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false,"transaction_status":"NoTransaction","transaction_id":0},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use pipewright::feldera::{Feldera, Transaction, TransactionEvent};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let mut transaction = feldera.start(Transaction::new("orders"));
/// assert_eq!(transaction.next()?, Some(TransactionEvent::Started { id: 20 }));
/// // Ingest rows here.
/// transaction.flow_mut().commit();
/// assert_eq!(transaction.next()?, Some(TransactionEvent::Committed { id: 20 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`FlowError::Service`]: crate::error::FlowError::Service
/// [`FlowError::Failed`]: crate::error::FlowError::Failed
/// [`FlowError::Ambiguous`]: crate::error::FlowError::Ambiguous
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is started"]
pub struct Transaction {
    pub(super) pipeline: String,
    pub(super) take_over: bool,
    pub(super) stall_timeout: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) resumed: Option<TransactionState>,
}

impl Transaction {
    /// Opens a transaction of the pipeline with this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self {
            pipeline: pipeline.into(),
            take_over: false,
            stall_timeout: Some(STALL_TIMEOUT),
            timeout: None,
            resumed: None,
        }
    }

    /// If the answer to the start is lost, takes over a transaction that was opened by the API since then. Use this
    /// only if no other client opens transactions: the process does not report the age of a transaction without data.
    pub fn take_over(mut self) -> Self {
        self.take_over = true;
        self
    }

    /// Sets how long the commit may make no progress; a minute by default. `None` disables the limit.
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }
}

/// An event of a [`Transaction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionEvent {
    /// The transaction is open. Ingest rows, then call [`commit`](TransactionRun::commit).
    Started {
        /// The id of the transaction.
        id: i64,
    },
    /// The transaction is committed. This is the last event.
    Committed {
        /// The id of the transaction.
        id: i64,
    },
}

impl From<TransactionState> for Transaction {
    fn from(state: TransactionState) -> Self {
        Self { resumed: Some(state.clone()), ..Self::new(state.pipeline) }
    }
}

goal!(Transaction: FelderaApi => TransactionEvent, TransactionMachine, events TransactionRun, resume TransactionState);

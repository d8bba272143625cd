//! The goal, what is saved of it, and what its session yields.

use std::time::Duration;

use super::TransactionRun;
use super::machine::TransactionMachine;
use crate::feldera::FelderaApi;
use crate::feldera::tuning::STALL_TIMEOUT;
use crate::flow::goal;
use crate::schema::json_structs;

json_structs! {
    pub(super) struct TransactionState {
        /// Whose.
        pub pipeline: String,
        /// The process that it is in; `None` when that does not say.
        pub process: Option<String>,
        /// Its id; `None` when a start is about to be sent.
        pub id: Option<i64>,
        /// The transaction of another client that was open before the start.
        pub other: Option<i64>,
        /// Whether a commit is about to be sent, or was.
        pub committing: bool,
        /// When the start was about to be sent, in milliseconds since the epoch, by our clock.
        pub since: u64,
    }
}

/// Opens a transaction, and commits it when it is told to: what comes in between is processed together.
///
/// An **event flow**: it yields [`Started`](TransactionEvent::Started), and after [`commit`](TransactionRun::commit) it
/// yields [`Committed`](TransactionEvent::Committed). In between, rows are put in by whatever means; their completion
/// tokens are complete only afterwards, so that an [`Ingest`](super::super::Ingest) is polled until it is drained, then
/// the transaction is committed, then the other is finished.
///
/// A pipeline has one transaction at a time, and there is no way to take it back: an open one that nobody commits stops
/// all outputs. It is this flow's own only if nobody else opens any: the requests do not say whose they are.
///
/// Ends in
///
/// * [`FlowError::Service`] with 409 `TransactionInProgress` when another one is open; [`FlowError::Failed`] when that
///   shows after an answer was lost;
/// * [`FlowError::Failed`] with an [`Interruption`](super::super::Interruption) when the process is replaced before the
///   commit was sent, and the transaction gone with it; when the pipeline was stopped or has died before; when
///   committing makes no progress;
/// * [`FlowError::Ambiguous`] when the answer to the start or to the commit was lost, and looking did not tell, and
///   when the process that the commit was sent to has ended since ([`Interruption::of`](super::super::Interruption::of)
///   tells). A later [`resume`](Self::resume) from what was saved looks again.
///
/// The [`timeout`](Self::timeout) includes the time between start and commit. When it expires, an open transaction
/// stays open: [`resume`](Self::resume) it, and commit it. A resumed flow yields [`Started`](TransactionEvent::Started)
/// again if the transaction is open. If its commit was or may have been sent, the flow waits for that. It sends the
/// commit again if the transaction turns out to be open and not being committed.
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
/// // Put rows in.
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
    /// A transaction of a pipeline.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self {
            pipeline: pipeline.into(),
            take_over: false,
            stall_timeout: Some(STALL_TIMEOUT),
            timeout: None,
            resumed: None,
        }
    }

    /// When the answer to the start is lost, takes a transaction for its own that was opened by the API since then.
    /// Right when no other client opens any: of a transaction without data, the process does not say how long it has
    /// been open.
    pub fn take_over(mut self) -> Self {
        self.take_over = true;
        self
    }

    /// How long committing may make no progress; a minute by default, `None` is for ever.
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }
}

/// What a [`Transaction`] yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionEvent {
    /// It is open. Put rows in, then [`commit`](TransactionRun::commit).
    Started {
        /// Its id.
        id: i64,
    },
    /// It is committed, and nothing more comes.
    Committed {
        /// Its id.
        id: i64,
    },
}

impl From<TransactionState> for Transaction {
    fn from(state: TransactionState) -> Self {
        Self { resumed: Some(state.clone()), ..Self::new(state.pipeline) }
    }
}

goal!(Transaction: FelderaApi => TransactionEvent, TransactionMachine, events TransactionRun, resume TransactionState);

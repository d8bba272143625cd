//! The goal, what is saved of it, and what its session yields.

use std::time::Duration;

use super::{NAME, TransactionRun};
use crate::error::FlowError;
use crate::feldera::FelderaApi;
use crate::feldera::flow::stall_detector::STALL_TIMEOUT;
use crate::flow::{Config, Goal, SavedState};
use crate::schema::json_structs;
use crate::seed::Seed;

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
/// A **session**: it yields [`Started`](TransactionEvent::Started), and after [`commit`](TransactionRun::commit) it yields
/// [`Committed`](TransactionEvent::Committed). In between, rows are put in by whatever means; their completion tokens are
/// complete only afterwards, so that an [`Ingest`](super::super::Ingest) is polled until it is drained, then the transaction is
/// committed, then the other is finished.
///
/// A pipeline has one transaction at a time, and there is no way to take it back: an open one that nobody commits stops all
/// outputs. It is this flow's own only if nobody else opens any: the requests do not say whose they are.
///
/// Ends in
///
/// * [`FlowError::Service`] with 409 `TransactionInProgress` when another one is open; [`FlowError::Failed`] when that shows
///   after an answer was lost;
/// * [`FlowError::Failed`] with an [`Interruption`](super::super::Interruption) when the process is replaced before the commit was sent, and the
///   transaction gone with it; when the pipeline was stopped or has died before; when committing makes no progress;
/// * [`FlowError::Ambiguous`] when the answer to the start or to the commit was lost, and looking did not tell, and when the process
///   that the commit was sent to has ended since ([`Interruption::of`](super::super::Interruption::of) tells). A later
///   [`resume`](Self::resume) from what was saved looks again.
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

    /// Goes on from a state that an earlier flow announced with [`Notice::Persist`](crate::flow::Notice::Persist): with a transaction that is open, it yields
    /// [`Started`](TransactionEvent::Started) again; with one whose commit was or may have been sent, it waits for that,
    /// and sends it again if the transaction turns out to be open and not being committed.
    ///
    /// # Errors
    /// [`FlowError::Misuse`] when the state is another flow's.
    pub fn resume(saved: &SavedState) -> Result<Self, FlowError> {
        let state: TransactionState = saved.read(NAME)?;
        Ok(Self { resumed: Some(state.clone()), ..Self::new(state.pipeline) })
    }

    /// When the answer to the start is lost, takes a transaction for its own that was opened by the API since then. Right when
    /// no other client opens any: of a transaction without data, the process does not say how long it has been open.
    pub fn take_over(mut self) -> Self {
        self.take_over = true;
        self
    }

    /// How long committing may make no progress; a minute by default, `None` is for ever.
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }

    /// How long it may take, from its first poll, what is done in between included; as long as it takes by default. When the
    /// time is up, a transaction that is open stays so: [`resume`](Self::resume) from what was saved, and commit it.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
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

impl Goal for Transaction {
    type Service = FelderaApi;
    type Output = TransactionEvent;
    type Flow = TransactionRun;

    fn start(self, config: &Config<FelderaApi>, seed: Seed) -> TransactionRun {
        TransactionRun::new(self, config, seed)
    }
}

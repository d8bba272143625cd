//! The goal, its result and its saved state.

use std::time::Duration;

use super::machine::CheckpointMachine;
#[cfg(doc)]
use crate::error::FlowError;
use crate::feldera::FelderaApi;
#[cfg(doc)]
use crate::feldera::Interruption;
#[cfg(doc)]
use crate::flow::Notice;
use crate::flow::goal;
use crate::schema::json_structs;

json_structs! {
    pub(super) struct CheckpointState {
        /// The name of the pipeline.
        pub pipeline: String,
        /// The process that numbers the checkpoint; `None` if the server does not report it.
        pub process: Option<String>,
        /// Whether requests can name the process.
        pub checks_process: bool,
        /// The number; `None` when the request is about to be sent.
        pub number: Option<u64>,
    }
}

/// Makes a checkpoint, and waits until the state of the pipeline at the time of the request is durable. Enterprise
/// edition only.
///
/// An open transaction, a replay, a bootstrap or a connector can delay a checkpoint without limit. [`Notice::Observed`]
/// shows the cause. Set a [`timeout`](Self::timeout).
///
/// The saved state holds the number of the checkpoint and its process. [`resume`](Self::resume) continues to wait for
/// this checkpoint. If the state was saved before the answer, it requests another checkpoint.
///
/// # Errors
/// * [`FlowError::Service`] with 501 `EnterpriseFeature` if the server is the open-source edition.
/// * [`FlowError::Failed`] if the checkpoint failed, with Feldera's reason.
/// * `Failed` with an [`Interruption`] if the pipeline cannot take the request: it is stopped, has crashed, or waits
///   for approval of its bootstrap.
/// * [`FlowError::Ambiguous`] if the process was replaced or stopped before it reported the outcome. The cause is an
///   [`Interruption`].
/// * `Ambiguous` if the answer to the request was lost, and another request could not be sent, was rejected, or was not
///   answered in time.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// #     ("POST /v0/pipelines/orders/checkpoint", 200, r#"{"checkpoint_sequence_number":7,"incarnation_uuid":"u"}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint_status", 200, r#"{"success":6,"failure":null}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint_status", 200, r#"{"success":7,"failure":null}"#),
/// # ]);
/// use pipewright::feldera::{Checkpoint, Feldera};
/// use std::time::Duration;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let made = feldera.run(Checkpoint::new("orders").timeout(Duration::from_secs(600)))?;
/// assert_eq!(made.number, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Checkpoint {
    pub(super) pipeline: String,
    pub(super) timeout: Option<Duration>,
    pub(super) resumed: Option<CheckpointState>,
}

impl Checkpoint {
    /// Makes a checkpoint of the pipeline with this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None, resumed: None }
    }
}

/// The result of a [`Checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpointed {
    /// The number of the checkpoint, counted from 0 in each process.
    pub number: u64,
    /// The newest number that succeeded; at least `number`. Both numbers may stand for the same checkpoint.
    pub newest: u64,
    /// The process that numbers the checkpoint; `None` if the server does not report it.
    pub process: Option<String>,
}

impl From<CheckpointState> for Checkpoint {
    fn from(state: CheckpointState) -> Self {
        Self { resumed: Some(state.clone()), ..Self::new(state.pipeline) }
    }
}

goal!(Checkpoint: FelderaApi => Checkpointed, CheckpointMachine, resume CheckpointState);

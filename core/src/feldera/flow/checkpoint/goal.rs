//! The goal, its result, and what is saved of it.

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
        /// Whose.
        pub pipeline: String,
        /// The process that counts, as far as it says.
        pub process: Option<String>,
        /// Whether it takes its id as a parameter.
        pub checks_process: bool,
        /// The number; `None` when the request is about to be sent.
        pub number: Option<u64>,
    }
}

/// Makes a checkpoint, and waits until what the pipeline held when it was asked is durable. Enterprise edition only.
///
/// What delays a checkpoint delays it without limit: a transaction, replaying, bootstrapping, a connector that has to
/// get somewhere first. [`Notice::Observed`] tells which; give the goal [`timeout`](Self::timeout) a time.
///
/// Ends in
///
/// * [`FlowError::Service`] with 501 `EnterpriseFeature` by the open-source edition;
/// * [`FlowError::Failed`] when the checkpoint failed, with Feldera's reason;
/// * [`FlowError::Ambiguous`] when the process was replaced or stopped before it said: an [`Interruption`] is the
///   cause. Also when the answer to the request was lost, and another one could not be sent, or was rejected, or not
///   answered in time.
///
/// The saved state holds the number and the process that counts. [`resume`](Self::resume) continues to wait for that
/// checkpoint. If the state was saved before the answer, it requests another checkpoint.
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
    /// A checkpoint of a pipeline.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None, resumed: None }
    }
}

/// A checkpoint that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpointed {
    /// Its number, counted from 0 in each process.
    pub number: u64,
    /// The newest number that succeeded: not less than the other one. Both may be the same checkpoint.
    pub newest: u64,
    /// The process that counts, as far as it says.
    pub process: Option<String>,
}

impl From<CheckpointState> for Checkpoint {
    fn from(state: CheckpointState) -> Self {
        Self { resumed: Some(state.clone()), ..Self::new(state.pipeline) }
    }
}

goal!(Checkpoint: FelderaApi => Checkpointed, CheckpointMachine, resume CheckpointState);

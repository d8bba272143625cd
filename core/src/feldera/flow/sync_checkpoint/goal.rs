//! The goal, its result, and what is saved of it.

use std::time::Duration;

use super::machine::SyncMachine;
#[cfg(doc)]
use crate::error::FlowError;
use crate::feldera::FelderaApi;
use crate::feldera::checkpoints::CheckpointSyncFailure;
use crate::flow::goal;
use crate::schema::json_structs;

json_structs! {
    pub(super) struct SyncState {
        /// Whose.
        pub pipeline: String,
        /// The process that sends, as far as it says.
        pub process: Option<String>,
        /// The checkpoint; `None` when the request is about to be sent.
        pub checkpoint: Option<String>,
        /// The process, if it is known only by its statistics.
        pub seen: Option<String>,
        /// The last success and the last failure from before the request.
        pub success: Option<String>,
        pub failure: Option<CheckpointSyncFailure>,
    }
}

/// Sends the newest checkpoint of a pipeline to its object store, and waits until it is there. Enterprise edition only.
///
/// Ends in
///
/// * [`FlowError::Service`]: 501 `EnterpriseFeature` by the open-source edition; 400, with the code `400`, when there
///   is no checkpoint yet: make one with [`Checkpoint`](super::super::Checkpoint);
/// * [`FlowError::Failed`] when sending it failed, with Feldera's reason;
/// * [`FlowError::Ambiguous`] when the process was replaced or stopped before it said, or says only what became of
///   newer checkpoints, and the store does not tell.
///
/// Asking again is harmless. If the checkpoint was sent before, the flow waits for the end of the new attempt when the
/// server names it as running (since 0.349). Otherwise it ends with the earlier success.
///
/// The saved state holds the checkpoint's id, the process that sends it, and what that process told before. If the
/// state was saved before the answer, [`resume`](Self::resume) sends the checkpoint that is the newest then.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":null,"failure":null,"periodic":null}"#),
/// #     ("POST /v0/pipelines/orders/checkpoint/sync", 202, r#"{"checkpoint_uuid":"0190","incarnation_uuid":"u"}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":null,"failure":null,"periodic":null}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":"0190","failure":null,"periodic":null}"#),
/// # ]);
/// use pipewright::feldera::{Feldera, SyncCheckpoint};
/// use std::time::Duration;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let synced = feldera.run(SyncCheckpoint::new("orders").timeout(Duration::from_secs(600)))?;
/// assert_eq!(synced.checkpoint, "0190");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct SyncCheckpoint {
    pub(super) pipeline: String,
    pub(super) timeout: Option<Duration>,
    pub(super) resumed: Option<SyncState>,
}

impl SyncCheckpoint {
    /// The newest checkpoint of a pipeline.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None, resumed: None }
    }
}

/// A checkpoint that is in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Synced {
    /// Its id.
    pub checkpoint: String,
}

impl From<SyncState> for SyncCheckpoint {
    fn from(state: SyncState) -> Self {
        Self { resumed: Some(state.clone()), ..Self::new(state.pipeline) }
    }
}

goal!(SyncCheckpoint: FelderaApi => Synced, SyncMachine, resume SyncState);

//! The goal, its result and its saved state.

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
        /// The name of the pipeline.
        pub pipeline: String,
        /// The process that sends the checkpoint; `None` if the server does not report it.
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

/// Copies the newest checkpoint of a pipeline to its object store, and waits until the copy is complete. Enterprise
/// edition only.
///
/// A repeated request is harmless. If the checkpoint was copied before and the server shows the new attempt as running
/// (since 0.349), the flow waits for the end of the new attempt. Otherwise it ends with the earlier success.
/// If an attempt fails and the object store lists the checkpoint, the flow succeeds.
///
/// The flow waits as long as the server shows the attempt as running. Set a [`timeout`](Self::timeout): a copy that
/// hangs does not end the flow.
///
/// The saved state holds the checkpoint's id, the process that sends it, and the earlier outcomes of that process. If
/// the state was saved before the answer, [`resume`](Self::resume) copies the checkpoint that is the newest then.
///
/// # Errors
/// * [`FlowError::Service`] with 501 `EnterpriseFeature` if the server is the open-source edition.
/// * `Service` with 400 and the code `400` if the pipeline has no checkpoint: run
///   [`Checkpoint`](super::super::Checkpoint) first.
/// * [`FlowError::Failed`] if the copy failed, with Feldera's reason.
/// * `Failed` with an [`Interruption`](super::super::Interruption) if the pipeline cannot take the request: it is
///   stopped, has crashed, or waits for approval of its bootstrap.
/// * [`FlowError::Ambiguous`] if the process ended before it reported the outcome, or reports only other checkpoints,
///   and the object store does not show the checkpoint.
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
    /// Copies the newest checkpoint of the pipeline with this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None, resumed: None }
    }
}

/// The result of a [`SyncCheckpoint`]: a checkpoint in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Synced {
    /// The id of the checkpoint.
    pub checkpoint: String,
}

impl From<SyncState> for SyncCheckpoint {
    fn from(state: SyncState) -> Self {
        Self { resumed: Some(state.clone()), ..Self::new(state.pipeline) }
    }
}

goal!(SyncCheckpoint: FelderaApi => Synced, SyncMachine, resume SyncState);

//! Checkpoints: make and list checkpoints, read their status, and copy them to an object store.
//!
//! Only the enterprise edition makes checkpoints; the open-source edition answers 501 `EnterpriseFeature`. Each process
//! counts the numbers from 0: compare the incarnation, too.

use super::FelderaApi;
use crate::schema::{json_structs, operations};

operations! { FelderaApi;
    /// Requests a checkpoint, and returns its number for [`GetCheckpointStatus`].
    ///
    /// The process answers all waiting requests with one checkpoint. Rejected: 501 by the open-source edition, 503 if
    /// the pipeline is not deployed. [Reference](https://docs.feldera.com/api/checkpoint-now).
    Once POST "/v0/pipelines/{pipeline_name}/checkpoint" StartCheckpoint "checkpoint_pipeline" -> CheckpointStarted {
        timeout 150;
        path { pipeline_name: String }
    }

    /// Returns the outcomes of checkpoints. Interpret them with [`CheckpointStatus::verdict`].
    ///
    /// Rejected with 400 `IncarnationUuidMismatch` if another process answers.
    /// [Reference](https://docs.feldera.com/api/get-checkpoint-status).
    Safe GET "/v0/pipelines/{pipeline_name}/checkpoint_status"
    GetCheckpointStatus "get_checkpoint_status" -> CheckpointStatus {
        path { pipeline_name: String }
        query? {
            /// The process that was asked for the checkpoint. Since 0.337.
            incarnation_uuid: String,
        }
    }

    /// Requests a copy of the newest checkpoint in the object store, and returns the checkpoint's id for
    /// [`GetCheckpointSyncStatus`]. Since 0.127.
    ///
    /// Rejected: 400 with the code `400` if no checkpoint exists, 501 by the open-source edition, 503.
    /// [Reference](https://docs.feldera.com/api/sync-checkpoints-to-s-3).
    Idempotent POST "/v0/pipelines/{pipeline_name}/checkpoint/sync"
    StartCheckpointSync "sync_checkpoint" -> CheckpointSyncStarted {
        timeout 150;
        path { pipeline_name: String }
    }

    /// Returns the outcomes of copies of checkpoints to the object store. Since 0.127.
    ///
    /// Rejected with 400 `IncarnationUuidMismatch` if another process answers.
    /// [Reference](https://docs.feldera.com/api/get-checkpoint-sync-status).
    Safe GET "/v0/pipelines/{pipeline_name}/checkpoint/sync_status"
    GetCheckpointSyncStatus "get_checkpoint_sync_status" -> CheckpointSyncStatus {
        path { pipeline_name: String }
        query? {
            /// The process that was asked to send. Since 0.337.
            incarnation_uuid: String,
        }
    }

    /// Lists the checkpoints of a deployed pipeline. Since 0.233.
    ///
    /// [Reference](https://docs.feldera.com/api/get-the-checkpoints-for-a-pipeline).
    Safe GET "/v0/pipelines/{pipeline_name}/checkpoints" ListCheckpoints "get_checkpoints" -> Vec<CheckpointInfo> {
        path { pipeline_name: String }
    }

    /// Lists the checkpoints in the object store. Rejected with 500 `CheckpointFetchError` if no store is configured.
    ///
    /// [Reference](https://docs.feldera.com/api/list-checkpoints-in-remote-object-storage).
    Safe GET "/v0/pipelines/{pipeline_name}/checkpoints/remote"
    ListRemoteCheckpoints "get_remote_checkpoints" -> Vec<RemoteCheckpoint> {
        path { pipeline_name: String }
    }
}

json_structs! {
    /// A checkpoint that was requested.
    pub struct CheckpointStarted {
        pub checkpoint_sequence_number: u64,
        /// The process that numbers the checkpoint. Since 0.337.
        pub incarnation_uuid: Option<String> = "incarnation_uuid" (decisive),
    }

    /// The outcomes of the checkpoints of a process.
    pub struct CheckpointStatus {
        /// The highest number that succeeded. `None` if no checkpoint succeeded.
        pub success: Option<u64> = "success" (decisive),
        /// The failure with the highest number. The process never clears it.
        pub failure: Option<CheckpointFailure> = "failure" (decisive),
    }

    /// A checkpoint that failed.
    pub struct CheckpointFailure {
        pub sequence_number: u64,
        /// The error message.
        pub error: Option<String>,
        /// The time of the failure, in RFC 3339. Since 0.288.
        pub failed_at: Option<String>,
    }

    /// A checkpoint that is being copied to the object store.
    pub struct CheckpointSyncStarted {
        /// The id of the checkpoint.
        pub checkpoint_uuid: String,
        /// The process that copies. Since 0.337.
        pub incarnation_uuid: Option<String> = "incarnation_uuid" (decisive),
    }

    /// The latest outcomes of copies of checkpoints to the object store.
    pub struct CheckpointSyncStatus {
        /// The id of the checkpoint that was copied last.
        pub success: Option<String> = "success" (decisive),
        /// The copy that failed last.
        pub failure: Option<CheckpointSyncFailure> = "failure" (decisive),
        /// The id of the checkpoint that the process copied last without a request.
        pub periodic: Option<String>,
        /// The ids of the checkpoints that the process is copying on request. `None` before 0.349.
        pub running: Option<Vec<String>> = "running" (decisive),
    }

    /// The copy of a checkpoint that failed.
    pub struct CheckpointSyncFailure {
        /// The id of the checkpoint.
        pub uuid: String,
        /// The error message.
        pub error: Option<String>,
    }

    /// A checkpoint.
    pub struct CheckpointInfo {
        /// The id of the checkpoint.
        pub uuid: String,
        /// The name that a client gave to the checkpoint.
        pub identifier: Option<String>,
        /// The fingerprint of the program; all 64 bits are used.
        pub fingerprint: Option<u64>,
        /// The size in bytes.
        pub size: Option<u64>,
        /// The number of steps before the checkpoint.
        pub steps: Option<u64>,
        /// The number of records that were processed before the checkpoint.
        pub processed_records: Option<u64>,
    }

    /// A checkpoint in the object store.
    pub struct RemoteCheckpoint {
        /// The id of the checkpoint.
        pub uuid: String,
    }
}

/// The outcome of one checkpoint, by a [`CheckpointStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointVerdict<'a> {
    /// The checkpoint, or a newer checkpoint, succeeded.
    Done,
    /// The checkpoint failed.
    Failed(&'a CheckpointFailure),
    /// A later checkpoint failed, which hides the outcome of this checkpoint; no newer checkpoint succeeded.
    Redacted(&'a CheckpointFailure),
    /// The checkpoint waits or is being made.
    Running,
}

impl CheckpointStatus {
    /// What it says of the checkpoint with this number, asked of the same process.
    pub fn verdict(&self, number: u64) -> CheckpointVerdict<'_> {
        match &self.failure {
            _ if self.success.is_some_and(|success| success >= number) => CheckpointVerdict::Done,
            Some(failure) if failure.sequence_number == number => CheckpointVerdict::Failed(failure),
            Some(failure) if failure.sequence_number > number => CheckpointVerdict::Redacted(failure),
            _ => CheckpointVerdict::Running,
        }
    }
}

impl Eq for CheckpointFailure {}

/// Stands for a reason that the server does not give.
const NO_REASON: &str = "the server gives no reason";

impl CheckpointFailure {
    /// Returns why, or that the server gives no reason.
    pub(super) fn reason(&self) -> &str {
        self.error.as_deref().unwrap_or(NO_REASON)
    }
}

impl CheckpointSyncFailure {
    /// Returns why, or that the server gives no reason.
    pub(super) fn reason(&self) -> &str {
        self.error.as_deref().unwrap_or(NO_REASON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A success as new as the number decides, whichever failure is told beside it.
    #[test]
    fn what_succeeded_is_looked_at_first() {
        let verdict = |number: u64, success: Option<u64>, failed: Option<u64>| {
            let failure =
                failed.map(|sequence_number| CheckpointFailure { sequence_number, error: None, failed_at: None });
            match (CheckpointStatus { success, failure }).verdict(number) {
                CheckpointVerdict::Done => "done",
                CheckpointVerdict::Failed(_) => "failed",
                CheckpointVerdict::Redacted(_) => "hidden",
                CheckpointVerdict::Running => "running",
            }
        };
        for (success, failed, expected) in [
            (None, None, "running"),
            (Some(6), None, "running"),
            (Some(7), None, "done"),
            (Some(9), None, "done"),
            (None, Some(6), "running"),
            (None, Some(7), "failed"),
            (None, Some(8), "hidden"),
            (Some(6), Some(5), "running"),
            (Some(5), Some(6), "running"),
            (Some(6), Some(7), "failed"),
            (Some(6), Some(8), "hidden"),
            // It failed, and what is durable is newer.
            (Some(9), Some(7), "done"),
            (Some(9), Some(8), "done"),
            (Some(7), Some(3), "done"),
            (Some(7), Some(8), "done"),
        ] {
            assert_eq!(verdict(7, success, failed), expected, "success {success:?}, failure {failed:?}");
        }
    }
}

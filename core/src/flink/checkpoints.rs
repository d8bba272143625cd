//! Checkpoints: statistics, triggers, and their outcomes.

use std::collections::BTreeMap;

use super::jobs::{QueueState, QueueStatus};
use super::savepoints::{Outcome, Trigger};
use super::{FlinkRest, JobId, Millis, PartialList, Throwable, TriggerId, VertexId};
use crate::schema::{json_structs, operations, string_enums};

mod config;
mod details;

pub use config::{CheckpointConfig, CheckpointMode, Externalization, GetCheckpointConfig};
pub use details::{
    Alignment, AlignmentStats, CheckpointTimes, CheckpointTimesStats, GetCheckpointDetails, GetVertexCheckpoint,
    SubtaskCheckpoint, VertexCheckpoint, VertexCheckpointSummary,
};

/// The rows of the tables of this room.
pub(crate) fn tables() -> impl Iterator<Item = &'static &'static crate::operation::OperationInfo> {
    [OPERATIONS, config::OPERATIONS, details::OPERATIONS].into_iter().flatten()
}

operations! { FlinkRest;
    /// Returns the statistics of a job's checkpoints. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints).
    Safe GET "/jobs/{jobid}/checkpoints" GetCheckpoints "getCheckpointingStatistics" -> Checkpoints {
        path { jobid: JobId }
    }

    /// Takes a checkpoint, also of a job without periodic checkpoints. The response has a trigger id: see
    /// [`GetCheckpointStatus`]. Since 1.17.
    ///
    /// **An unknown or ended job is not rejected**: the outcome of the operation is then a failure. With a chosen
    /// [`trigger_id`](Self::trigger_id) it can be repeated as long as the server remembers the id.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-1).
    Once POST "/jobs/{jobid}/checkpoints" StartCheckpoint "triggerCheckpoint" -> Trigger {
        effect |checkpoint| if checkpoint.trigger_id.is_some() { Idempotent } else { Once };
        path { jobid: JobId }
        json? {
            /// The kind of checkpoint; [`Configured`](CheckpointType::Configured) by default.
            checkpoint_type: CheckpointType = "checkpointType",
            /// The trigger id. If the client chooses it, the operation is idempotent.
            trigger_id: TriggerId = "triggerId",
        }
    }

    /// Returns the outcome of a triggered checkpoint. Since 1.17.
    ///
    /// Rejected with 404 if the cluster does not know the trigger, or has forgotten it, for example in a restart.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-triggerid).
    Safe GET "/jobs/{jobid}/checkpoints/{triggerid}" GetCheckpointStatus "getCheckpointStatus" -> CheckpointStatus {
        path { jobid: JobId, triggerid: TriggerId }
    }
}

string_enums! {
    /// The kind of a triggered checkpoint.
    pub enum CheckpointType {
        /// Full or incremental, as the job is configured.
        Configured = "CONFIGURED",
        /// Writes the whole state.
        Full = "FULL",
        /// Writes only the changes since the last checkpoint.
        Incremental = "INCREMENTAL",
    }

    /// The state of a checkpoint.
    pub enum CheckpointState {
        InProgress = "IN_PROGRESS",
        Completed = "COMPLETED",
        Failed = "FAILED",
    }

    /// The kind of a snapshot.
    pub enum SnapshotType {
        Checkpoint = "CHECKPOINT",
        /// A checkpoint that contains in-flight records.
        UnalignedCheckpoint = "UNALIGNED_CHECKPOINT",
        Savepoint = "SAVEPOINT",
        /// The savepoint that a job was stopped with.
        SyncSavepoint = "SYNC_SAVEPOINT",
    }
}

json_structs! {
    /// The outcome of a triggered checkpoint.
    pub struct CheckpointStatus {
        pub status: QueueState,
        /// The result, if the operation has ended. Read it with [`outcome`](Self::outcome).
        pub operation: Option<CheckpointInfo> = "operation" (decisive),
    }

    /// The result of a triggered checkpoint: its number, or a failure.
    pub struct CheckpointInfo {
        /// Its number.
        pub checkpoint_id: Option<i64> = "checkpointId" (decisive),
        /// Why there is no checkpoint.
        pub failure_cause: Option<Throwable> = "failureCause" | "failure-cause" (decisive),
    }

    /// The statistics of a job's checkpoints.
    pub struct Checkpoints {
        pub counts: CheckpointCounts,
        /// Sizes and durations of the completed checkpoints.
        pub summary: CheckpointSummary,
        /// The newest of each kind.
        pub latest: LatestCheckpoints,
        /// The newest checkpoints, newest first. The server keeps `web.checkpoints.history` (10).
        pub history: PartialList<Checkpoint> = "history" (decisive),
    }

    /// The numbers of checkpoints and savepoints.
    pub struct CheckpointCounts {
        /// How many times the job was restored.
        pub restored: Option<i64>,
        /// All triggered checkpoints and savepoints.
        pub total: Option<i64>,
        pub in_progress: Option<i64>,
        pub completed: Option<i64>,
        pub failed: Option<i64>,
    }

    /// Sizes and durations of completed checkpoints.
    pub struct CheckpointSummary {
        /// Bytes that the checkpoint has written. Since 1.15.
        pub checkpointed_size: Option<Stats>,
        /// The size of the state in bytes.
        pub state_size: Stats,
        /// Milliseconds from trigger to completion.
        pub end_to_end_duration: Stats,
        /// Always 0.
        pub alignment_buffered: Option<Stats>,
        /// Bytes that were read during alignment.
        pub processed_data: Option<Stats>,
        /// Bytes of in-flight records that were written.
        pub persisted_data: Option<Stats>,
    }

    /// Statistics of a number. The percentiles exist since 1.15, and are NaN if there are no checkpoints.
    pub struct Stats {
        /// The minimum.
        pub min: Option<i64>,
        /// The maximum.
        pub max: Option<i64>,
        /// The mean.
        pub avg: Option<i64>,
        /// The median.
        pub p50: Option<f64>,
        /// The 90th percentile.
        pub p90: Option<f64>,
        /// The 95th percentile.
        pub p95: Option<f64>,
        /// The 99th percentile.
        pub p99: Option<f64>,
        /// The 99.9th percentile.
        pub p999: Option<f64>,
    }

    /// The newest of each kind.
    pub struct LatestCheckpoints {
        /// The newest completed checkpoint.
        pub completed: Option<Checkpoint> = "completed" (decisive),
        /// The newest completed savepoint.
        pub savepoint: Option<Checkpoint> = "savepoint" (decisive),
        /// The newest failure.
        pub failed: Option<Checkpoint> = "failed" (decisive),
        /// The snapshot that the job was last restored from.
        pub restored: Option<Restored> = "restored" (decisive),
    }

    /// The snapshot that a job was restored from.
    pub struct Restored {
        /// The number of the checkpoint.
        pub id: i64,
        pub restore_timestamp: Option<Millis>,
        /// Whether it was a savepoint.
        pub is_savepoint: Option<bool>,
        /// The path of the snapshot.
        pub external_path: Option<String>,
    }

    /// A checkpoint or savepoint.
    pub struct Checkpoint {
        /// `in_progress`, `completed` or `failed`.
        pub class_name: Option<String> = "className" | "@class",
        /// Its number within the job.
        pub id: i64,
        pub status: CheckpointState,
        pub is_savepoint: bool,
        /// The format of a savepoint; `None` for a checkpoint. Since 1.17.
        pub savepoint_format: Option<String> = "savepointFormat",
        /// When it was triggered.
        pub trigger_timestamp: Option<Millis>,
        /// When the last subtask acknowledged it.
        pub latest_ack_timestamp: Option<Millis>,
        /// Bytes that the checkpoint has written. Since 1.15.
        pub checkpointed_size: Option<i64>,
        /// The size of the state in bytes.
        pub state_size: Option<i64>,
        /// Milliseconds from trigger to completion.
        pub end_to_end_duration: Option<i64>,
        /// Always 0.
        pub alignment_buffered: Option<i64>,
        /// Bytes that were read during alignment.
        pub processed_data: Option<i64>,
        /// Bytes of in-flight records that were written.
        pub persisted_data: Option<i64>,
        /// Subtasks that take part.
        pub num_subtasks: Option<i32>,
        pub num_acknowledged_subtasks: Option<i32>,
        pub checkpoint_type: Option<SnapshotType>,
        /// By vertex; empty in lists.
        pub tasks: BTreeMap<VertexId, VertexCheckpoint>,
        /// The path, if the checkpoint is completed.
        pub external_path: Option<String> = "external_path" (decisive),
        /// Whether the cluster has deleted it, if the checkpoint is completed.
        pub discarded: Option<bool>,
        /// When it failed.
        pub failure_timestamp: Option<Millis>,
        /// Why it failed.
        pub failure_message: Option<String>,
    }
}

impl Checkpoints {
    /// Returns the path of the savepoint that the job was stopped with. `None` if its last savepoint is not of a stop,
    /// or if the job has completed a checkpoint or was restored since.
    ///
    /// The savepoint proves that the stop ended the job only if the job is FINISHED.
    pub fn stopped_with(&self) -> Option<&str> {
        let savepoint = self.latest.savepoint.as_ref()?;
        let is_of_stop = savepoint.checkpoint_type == Some(SnapshotType::SyncSavepoint);
        let is_last = self.latest.completed.as_ref().is_none_or(|checkpoint| checkpoint.id < savepoint.id);
        // A missing time may be later.
        let was_restored = self.latest.restored.as_ref().is_some_and(|restored| {
            let times = restored.restore_timestamp.zip(savepoint.trigger_timestamp);
            times.is_none_or(|(restored, triggered)| restored > triggered)
        });
        savepoint.external_path.as_deref().filter(|_| is_of_stop && is_last && !was_restored)
    }
}

impl Checkpoints {
    /// Returns the path of the newest snapshot that a job can start from: the last completed checkpoint that was not
    /// deleted, or the snapshot that the job was restored from if it has completed no checkpoint since.
    pub(crate) fn start_from(&self) -> Option<String> {
        let completed = self.latest.completed.as_ref().filter(|checkpoint| checkpoint.discarded != Some(true));
        let restored = self.latest.restored.as_ref().and_then(|restored| restored.external_path.clone());
        completed.and_then(|checkpoint| checkpoint.external_path.clone()).or(restored)
    }
}

impl CheckpointStatus {
    /// Returns the checkpoint's number or the failure; `None` while the checkpoint is in progress.
    pub fn outcome(&self) -> Option<Outcome<i64>> {
        let operation = self.operation.as_ref().filter(|_| self.status.id == QueueStatus::Completed)?;
        match (&operation.failure_cause, operation.checkpoint_id) {
            (Some(cause), _) => Some(Err(cause.clone())),
            (None, Some(id)) => Some(Ok(id)),
            (None, None) => None,
        }
    }
}

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
    /// How the checkpoints of a job went. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints).
    Safe GET "/jobs/{jobid}/checkpoints" GetCheckpoints "getCheckpointingStatistics" -> Checkpoints {
        path { jobid: JobId }
    }

    /// Takes a checkpoint, also of a job without periodic checkpoints. The answer is a trigger: see
    /// [`GetCheckpointStatus`]. Since 1.17.
    ///
    /// **An unknown or ended job is not rejected**: that comes as the operation's failure. With a chosen
    /// [`trigger_id`](Self::trigger_id) it can be repeated as long as the server remembers the id.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-1).
    Once POST "/jobs/{jobid}/checkpoints" StartCheckpoint "triggerCheckpoint" -> Trigger {
        effect |checkpoint| if checkpoint.trigger_id.is_some() { Idempotent } else { Once };
        path { jobid: JobId }
        json? {
            /// How much to write; as the job is configured by default.
            checkpoint_type: CheckpointType = "checkpointType",
            /// Client-chosen: makes the operation idempotent.
            trigger_id: TriggerId = "triggerId",
        }
    }

    /// The outcome of a triggered checkpoint. Since 1.17.
    ///
    /// Rejected with 404: an unknown trigger, or one that was forgotten, for example in a restart of the JobManager.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-triggerid).
    Safe GET "/jobs/{jobid}/checkpoints/{triggerid}" GetCheckpointStatus "getCheckpointStatus" -> CheckpointStatus {
        path { jobid: JobId, triggerid: TriggerId }
    }
}

string_enums! {
    /// How much a triggered checkpoint writes.
    pub enum CheckpointType {
        /// As the job is configured.
        Configured = "CONFIGURED",
        /// Everything.
        Full = "FULL",
        /// What changed.
        Incremental = "INCREMENTAL",
    }

    /// How a checkpoint goes.
    pub enum CheckpointState {
        /// Still at it.
        InProgress = "IN_PROGRESS",
        /// Done.
        Completed = "COMPLETED",
        /// It failed.
        Failed = "FAILED",
    }

    /// What kind of snapshot it is.
    pub enum SnapshotType {
        Checkpoint = "CHECKPOINT",
        /// A checkpoint that holds records in flight.
        UnalignedCheckpoint = "UNALIGNED_CHECKPOINT",
        Savepoint = "SAVEPOINT",
        /// The savepoint that a job was stopped with.
        SyncSavepoint = "SYNC_SAVEPOINT",
    }
}

json_structs! {
    /// The outcome of a triggered checkpoint.
    pub struct CheckpointStatus {
        /// How far it is.
        pub status: QueueState,
        /// What came of it, when it is over. [`outcome`](Self::outcome) reads it.
        pub operation: Option<CheckpointInfo> = "operation" (decisive),
    }

    /// What came of a triggered checkpoint: its number or a failure.
    pub struct CheckpointInfo {
        /// Its number.
        pub checkpoint_id: Option<i64> = "checkpointId" (decisive),
        /// Why there is no checkpoint.
        pub failure_cause: Option<Throwable> = "failureCause" | "failure-cause" (decisive),
    }

    /// How the checkpoints of a job went.
    pub struct Checkpoints {
        /// How many.
        pub counts: CheckpointCounts,
        /// Sizes and durations of the completed checkpoints.
        pub summary: CheckpointSummary,
        /// The newest of each kind.
        pub latest: LatestCheckpoints,
        /// The newest checkpoints, newest first. The server keeps `web.checkpoints.history` (10).
        pub history: PartialList<Checkpoint> = "history" (decisive),
    }

    /// How many checkpoints and savepoints.
    pub struct CheckpointCounts {
        /// How often the job was restored.
        pub restored: Option<i64>,
        /// Triggered.
        pub total: Option<i64>,
        /// Not over yet.
        pub in_progress: Option<i64>,
        /// Done.
        pub completed: Option<i64>,
        /// Failed.
        pub failed: Option<i64>,
    }

    /// Sizes and durations of completed checkpoints.
    pub struct CheckpointSummary {
        /// What was written; bytes. Since 1.15.
        pub checkpointed_size: Option<Stats>,
        /// The size of the state; bytes.
        pub state_size: Stats,
        /// From trigger to completion; milliseconds.
        pub end_to_end_duration: Stats,
        /// Zero, of historical interest.
        pub alignment_buffered: Option<Stats>,
        /// Read during alignment; bytes.
        pub processed_data: Option<Stats>,
        /// In-flight data that was written; bytes.
        pub persisted_data: Option<Stats>,
    }

    /// Statistics. Percentiles are NaN without checkpoints to take them from, and since 1.15.
    pub struct Stats {
        /// The least.
        pub min: Option<i64>,
        /// The most.
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
        /// What the job was restored from last.
        pub restored: Option<Restored> = "restored" (decisive),
    }

    /// What a job was restored from.
    pub struct Restored {
        /// The number of the checkpoint.
        pub id: i64,
        /// When.
        pub restore_timestamp: Option<Millis>,
        /// Whether it was a savepoint.
        pub is_savepoint: Option<bool>,
        /// Where it was.
        pub external_path: Option<String>,
    }

    /// A checkpoint or savepoint.
    pub struct Checkpoint {
        /// `in_progress`, `completed` or `failed`.
        pub class_name: Option<String> = "className" | "@class",
        /// Its number within the job.
        pub id: i64,
        /// How it goes.
        pub status: CheckpointState,
        /// Whether it is a savepoint.
        pub is_savepoint: bool,
        /// How a savepoint is written. Since 1.17.
        pub savepoint_format: Option<String> = "savepointFormat",
        /// When it was triggered.
        pub trigger_timestamp: Option<Millis>,
        /// When the last subtask acknowledged it.
        pub latest_ack_timestamp: Option<Millis>,
        /// What was written; bytes. Since 1.15.
        pub checkpointed_size: Option<i64>,
        /// The size of the state; bytes.
        pub state_size: Option<i64>,
        /// From trigger to completion; milliseconds.
        pub end_to_end_duration: Option<i64>,
        /// Zero, of historical interest.
        pub alignment_buffered: Option<i64>,
        /// Read during alignment; bytes.
        pub processed_data: Option<i64>,
        /// In-flight data that was written; bytes.
        pub persisted_data: Option<i64>,
        /// Subtasks that take part.
        pub num_subtasks: Option<i32>,
        pub num_acknowledged_subtasks: Option<i32>,
        /// What kind of snapshot it is.
        pub checkpoint_type: Option<SnapshotType>,
        /// By vertex; empty in lists.
        pub tasks: BTreeMap<VertexId, VertexCheckpoint>,
        /// Where it is, when it is completed.
        pub external_path: Option<String> = "external_path" (decisive),
        /// Whether it was deleted since, when it is completed.
        pub discarded: Option<bool>,
        /// When it failed.
        pub failure_timestamp: Option<Millis>,
        /// Why it failed.
        pub failure_message: Option<String>,
    }
}

impl Checkpoints {
    /// The path of the savepoint that the job was stopped with: its last savepoint, if that is a stop's, and the job
    /// has neither completed a checkpoint nor been restored since. `None` otherwise.
    ///
    /// This proves that the stop ended the job only if the job is FINISHED.
    pub fn stopped_with(&self) -> Option<&str> {
        let savepoint = self.latest.savepoint.as_ref()?;
        let is_of_stop = savepoint.checkpoint_type == Some(SnapshotType::SyncSavepoint);
        let is_last = self.latest.completed.as_ref().is_none_or(|checkpoint| checkpoint.id < savepoint.id);
        // A time that the cluster does not tell may be later.
        let was_restored = self.latest.restored.as_ref().is_some_and(|restored| {
            let times = restored.restore_timestamp.zip(savepoint.trigger_timestamp);
            times.is_none_or(|(restored, triggered)| restored > triggered)
        });
        savepoint.external_path.as_deref().filter(|_| is_of_stop && is_last && !was_restored)
    }
}

impl Checkpoints {
    /// The path of the newest snapshot that a job can start from: the last completed checkpoint that was not deleted,
    /// or what the job was restored from if it has completed none since.
    pub(crate) fn start_from(&self) -> Option<String> {
        let completed = self.latest.completed.as_ref().filter(|checkpoint| checkpoint.discarded != Some(true));
        let restored = self.latest.restored.as_ref().and_then(|restored| restored.external_path.clone());
        completed.and_then(|checkpoint| checkpoint.external_path.clone()).or(restored)
    }
}

impl CheckpointStatus {
    /// The checkpoint's number or the failure; `None` while it is in progress.
    pub fn outcome(&self) -> Option<Outcome<i64>> {
        let operation = self.operation.as_ref().filter(|_| self.status.id == QueueStatus::Completed)?;
        match (&operation.failure_cause, operation.checkpoint_id) {
            (Some(cause), _) => Some(Err(cause.clone())),
            (None, Some(id)) => Some(Ok(id)),
            (None, None) => None,
        }
    }
}

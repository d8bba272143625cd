//! One checkpoint, and the part of one vertex in it.

use super::{Checkpoint, CheckpointState, Stats};
use crate::flink::{FlinkRest, JobId, Millis, VertexId};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// Returns the details of one checkpoint, by vertex. **Cached** for 3 s.
    ///
    /// Rejected with 404 if the job or the checkpoint is unknown. The server keeps `web.checkpoints.history` (10)
    /// checkpoints. Rejected with 400 if the number is below 0.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-details-checkpointid).
    Safe GET "/jobs/{jobid}/checkpoints/details/{checkpointid}"
    GetCheckpointDetails "getCheckpointStatisticDetails" -> Checkpoint {
        path { jobid: JobId, checkpointid: i64 }
    }

    /// Returns the part of one vertex in a checkpoint, by subtask. **Cached** for 3 s.
    ///
    /// Rejected with 404 if the job, the vertex or the checkpoint is unknown.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-details-checkpointid-subtasks-vertexid).
    Safe GET "/jobs/{jobid}/checkpoints/details/{checkpointid}/subtasks/{vertexid}"
    GetVertexCheckpoint "getTaskCheckpointStatistics" -> VertexCheckpoint {
        path { jobid: JobId, checkpointid: i64, vertexid: VertexId }
    }
}

json_structs! {
    /// The part of one vertex in a checkpoint.
    pub struct VertexCheckpoint {
        /// The number of the checkpoint.
        pub id: i64,
        pub status: Option<CheckpointState>,
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
        /// Statistics over the subtasks. `None` before the first subtask has acknowledged the checkpoint, and in
        /// [`Checkpoint::tasks`].
        pub summary: Option<Box<VertexCheckpointSummary>>,
        /// The subtasks; empty in [`Checkpoint::tasks`].
        pub subtasks: Vec<SubtaskCheckpoint>,
    }

    /// Statistics over the subtasks of a vertex in a checkpoint.
    pub struct VertexCheckpointSummary {
        /// Bytes that the checkpoint has written. Since 1.15.
        pub checkpointed_size: Option<Stats>,
        /// The size of the state in bytes.
        pub state_size: Stats,
        /// Milliseconds from trigger to acknowledgement.
        pub end_to_end_duration: Stats,
        /// How long the snapshot took.
        pub checkpoint_duration: CheckpointTimesStats,
        /// What waiting for barriers meant.
        pub alignment: AlignmentStats,
        /// Milliseconds from trigger to the first barrier.
        pub start_delay: Option<Stats>,
    }

    /// The durations of snapshots, in milliseconds.
    pub struct CheckpointTimesStats {
        /// The part during which no record was processed.
        pub synchronous: Stats = "sync",
        /// The part during which records were processed.
        pub asynchronous: Stats = "async",
    }

    /// What waiting for barriers meant.
    pub struct AlignmentStats {
        /// Always 0.
        pub buffered: Option<Stats>,
        /// Read meanwhile; bytes.
        pub processed: Option<Stats>,
        /// Bytes of in-flight records that were written.
        pub persisted: Option<Stats>,
        /// How long it took; milliseconds.
        pub duration: Stats,
    }

    /// The part of one subtask in a checkpoint. If the subtask has not acknowledged the checkpoint, only its number is
    /// set.
    pub struct SubtaskCheckpoint {
        /// `completed` or `pending`.
        pub class_name: Option<String> = "className" | "@class",
        /// The subtask's number.
        pub index: u32,
        /// `completed` or `pending_or_failed`.
        pub status: Option<String>,
        /// When it acknowledged.
        pub ack_timestamp: Option<Millis>,
        /// Milliseconds from trigger to acknowledgement.
        pub end_to_end_duration: Option<i64>,
        /// Bytes that the checkpoint has written. Since 1.15.
        pub checkpointed_size: Option<i64>,
        /// The size of the state in bytes.
        pub state_size: Option<i64>,
        /// How long the snapshot took.
        pub checkpoint: Option<CheckpointTimes>,
        /// What waiting for barriers meant.
        pub alignment: Option<Alignment>,
        /// Milliseconds from trigger to the first barrier.
        pub start_delay: Option<i64>,
        /// Whether barriers overtook records.
        pub unaligned_checkpoint: Option<bool>,
        /// Whether it was given up.
        pub aborted: Option<bool>,
    }

    /// How long a snapshot took; milliseconds.
    pub struct CheckpointTimes {
        /// While no record was processed.
        pub synchronous: Option<i64> = "sync",
        /// Meanwhile.
        pub asynchronous: Option<i64> = "async",
    }

    /// What waiting for barriers meant.
    pub struct Alignment {
        /// Always 0.
        pub buffered: Option<i64>,
        /// Read meanwhile; bytes.
        pub processed: Option<i64>,
        /// Bytes of in-flight records that were written.
        pub persisted: Option<i64>,
        /// How long it took; milliseconds.
        pub duration: Option<i64>,
    }
}

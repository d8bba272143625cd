//! One checkpoint, and the part of one vertex in it.

use super::{Checkpoint, CheckpointState, Stats};
use crate::flink::{FlinkRest, JobId, Millis, VertexId};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// All about one checkpoint, by vertex. **Cached** for 3 s.
    ///
    /// Rejected with 404: an unknown job, and a checkpoint that the server does not know (it keeps
    /// `web.checkpoints.history`, 10); with 400: a number below 0.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-details-checkpointid).
    Safe GET "/jobs/{jobid}/checkpoints/details/{checkpointid}"
    GetCheckpointDetails "getCheckpointStatisticDetails" -> Checkpoint {
        path { jobid: JobId, checkpointid: i64 }
    }

    /// The part of one vertex in a checkpoint, by subtask. **Cached** for 3 s.
    ///
    /// Rejected with 404: an unknown job or vertex, and a checkpoint that the server does not know.
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
        /// How it goes.
        pub status: Option<CheckpointState>,
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
        /// The subtasks taken together; `None` before the first has acknowledged it, and in [`Checkpoint::tasks`].
        pub summary: Option<Box<VertexCheckpointSummary>>,
        /// Each subtask; empty in [`Checkpoint::tasks`].
        pub subtasks: Vec<SubtaskCheckpoint>,
    }

    /// The subtasks of a vertex in a checkpoint, taken together.
    pub struct VertexCheckpointSummary {
        /// What was written; bytes. Since 1.15.
        pub checkpointed_size: Option<Stats>,
        /// The size of the state; bytes.
        pub state_size: Stats,
        /// From trigger to acknowledgement; milliseconds.
        pub end_to_end_duration: Stats,
        /// How long the snapshot took.
        pub checkpoint_duration: CheckpointTimesStats,
        /// What waiting for barriers meant.
        pub alignment: AlignmentStats,
        /// From trigger to the first barrier; milliseconds.
        pub start_delay: Option<Stats>,
    }

    /// How long snapshots took; milliseconds.
    pub struct CheckpointTimesStats {
        /// While no record was processed.
        pub synchronous: Stats = "sync",
        /// Meanwhile.
        pub asynchronous: Stats = "async",
    }

    /// What waiting for barriers meant.
    pub struct AlignmentStats {
        /// Zero, of historical interest.
        pub buffered: Option<Stats>,
        /// Read meanwhile; bytes.
        pub processed: Option<Stats>,
        /// In-flight data that was written; bytes.
        pub persisted: Option<Stats>,
        /// How long it took; milliseconds.
        pub duration: Stats,
    }

    /// The part of one subtask in a checkpoint. Of one that has not acknowledged it there is only the number.
    pub struct SubtaskCheckpoint {
        /// `completed` or `pending`.
        pub class_name: Option<String> = "className" | "@class",
        /// The subtask's number.
        pub index: u32,
        /// `completed` or `pending_or_failed`.
        pub status: Option<String>,
        /// When it acknowledged.
        pub ack_timestamp: Option<Millis>,
        /// From trigger to acknowledgement; milliseconds.
        pub end_to_end_duration: Option<i64>,
        /// What was written; bytes. Since 1.15.
        pub checkpointed_size: Option<i64>,
        /// The size of the state; bytes.
        pub state_size: Option<i64>,
        /// How long the snapshot took.
        pub checkpoint: Option<CheckpointTimes>,
        /// What waiting for barriers meant.
        pub alignment: Option<Alignment>,
        /// From trigger to the first barrier; milliseconds.
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
        /// Zero, of historical interest.
        pub buffered: Option<i64>,
        /// Read meanwhile; bytes.
        pub processed: Option<i64>,
        /// In-flight data that was written; bytes.
        pub persisted: Option<i64>,
        /// How long it took; milliseconds.
        pub duration: Option<i64>,
    }
}

//! [`JobDetails`].

use std::collections::BTreeMap;

use super::JobState;
use crate::flink::jars::Graph;
use crate::flink::{JobId, Millis, VertexId};
use crate::schema::{json_structs, string_enums};

string_enums! {
    /// The state of a task.
    pub enum TaskState {
        /// Not yet scheduled.
        Created = "CREATED",
        /// Waiting for a slot.
        Scheduled = "SCHEDULED",
        /// Being deployed.
        Deploying = "DEPLOYING",
        /// Restoring its state.
        Initializing = "INITIALIZING",
        /// Running.
        Running = "RUNNING",
        /// Ended by itself.
        Finished = "FINISHED",
        /// Being cancelled.
        Canceling = "CANCELING",
        /// Cancelled.
        Canceled = "CANCELED",
        /// Failed.
        Failed = "FAILED",
        /// Being taken over from a lost JobManager.
        Reconciling = "RECONCILING",
    }
}

json_structs! {
    /// All about one job, as it was up to 3 s ago.
    pub struct JobDetails {
        /// The job.
        pub id: JobId = "jid",
        /// The application around it. Since 2.3.
        pub application_id: Option<crate::flink::ApplicationId> = "application-id",
        /// Its name.
        pub name: String = "name",
        /// Always false, whether it can be stopped or not.
        pub is_stoppable: bool = "isStoppable",
        /// Its state.
        pub state: JobState = "state",
        /// `STREAMING` or `BATCH`. Since 1.20.
        pub job_type: Option<String> = "job-type",
        /// `Default`, `Adaptive` or `AdaptiveBatch`. Since 2.3.
        pub scheduler_type: Option<String> = "schedulerType",
        /// When it was submitted.
        pub start_time: Millis = "start-time",
        /// When it ended.
        pub end_time: Millis = "end-time",
        /// From start to end, or to now; milliseconds.
        pub duration: i64 = "duration",
        /// The highest parallelism it can be rescaled to; -1 for unknown.
        pub max_parallelism: i64 = "maxParallelism",
        /// The server's time.
        pub now: Millis = "now",
        /// When it entered each state last.
        pub timestamps: BTreeMap<JobState, Millis> = "timestamps",
        /// Its vertices, sources first.
        pub vertices: Vec<VertexSummary> = "vertices",
        /// How many **vertices** are in which state.
        pub status_counts: BTreeMap<TaskState, u32> = "status-counts",
        /// Its graph.
        pub plan: Graph = "plan",
        /// Operators that are not part of the graph yet. Of adaptive batch jobs, since 2.0.
        pub pending_operators: Option<i32> = "pending-operators",
    }

    /// A vertex of a job.
    pub struct VertexSummary {
        /// Its id.
        pub id: VertexId = "id",
        /// The group whose tasks share slots. Since 1.20.
        pub slot_sharing_group_id: Option<String> = "slotSharingGroupId",
        /// Its operators.
        pub name: String = "name",
        /// The highest parallelism it can be rescaled to.
        pub max_parallelism: i32 = "maxParallelism",
        /// How many subtasks it has.
        pub parallelism: i32 = "parallelism",
        /// The state of all its subtasks taken together.
        pub status: TaskState = "status",
        /// When the first subtask started.
        pub start_time: Millis = "start-time",
        /// When the last subtask ended.
        pub end_time: Millis = "end-time",
        /// From start to end, or to now; milliseconds.
        pub duration: i64 = "duration",
        /// How many of its subtasks are in which state.
        pub tasks: BTreeMap<TaskState, u32> = "tasks",
        /// What went through it.
        pub metrics: IoMetrics = "metrics",
    }

    /// What went through a vertex or a task.
    pub struct IoMetrics {
        /// Bytes read.
        pub read_bytes: i64 = "read-bytes",
        /// Whether all tasks have reported them.
        pub read_bytes_complete: bool = "read-bytes-complete",
        /// Bytes written.
        pub write_bytes: i64 = "write-bytes",
        /// Whether all tasks have reported them.
        pub write_bytes_complete: bool = "write-bytes-complete",
        /// Records read.
        pub read_records: i64 = "read-records",
        /// Whether all tasks have reported them.
        pub read_records_complete: bool = "read-records-complete",
        /// Records written.
        pub write_records: i64 = "write-records",
        /// Whether all tasks have reported them.
        pub write_records_complete: bool = "write-records-complete",
        /// Milliseconds spent waiting for the next task. Since 1.14.
        pub accumulated_backpressured_time: Option<i64> = "accumulated-backpressured-time",
        /// Milliseconds spent waiting for records. Since 1.14.
        pub accumulated_idle_time: Option<i64> = "accumulated-idle-time",
        /// Milliseconds spent working; NaN where it is not measured. Since 1.14.
        pub accumulated_busy_time: Option<f64> = "accumulated-busy-time",
    }
}

impl JobDetails {
    /// The ids of its vertices, sources first.
    pub fn vertex_ids(&self) -> impl Iterator<Item = VertexId> + '_ {
        self.vertices.iter().map(|vertex| vertex.id)
    }

    /// The vertex of that name, as the web interface shows it. Names need not be unique: the first one.
    pub fn vertex_named(&self, name: &str) -> Option<&VertexSummary> {
        self.vertices.iter().find(|vertex| vertex.name == name)
    }
}

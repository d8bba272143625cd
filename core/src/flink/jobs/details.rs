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
        Running = "RUNNING",
        /// Ended by itself.
        Finished = "FINISHED",
        /// Being cancelled.
        Canceling = "CANCELING",
        /// Cancelled.
        Canceled = "CANCELED",
        Failed = "FAILED",
        /// Being taken over from a lost JobManager.
        Reconciling = "RECONCILING",
    }
}

json_structs! {
    /// The details of a job, which may be 3 s old.
    pub struct JobDetails in kebab {
        pub id: JobId = "jid",
        /// The application around it. Since 2.3.
        pub application_id: Option<crate::flink::ApplicationId>,
        pub name: Option<String>,
        /// Always false, also if the job can be stopped.
        pub is_stoppable: Option<bool> = "isStoppable",
        pub state: JobState,
        /// `STREAMING` or `BATCH`. Since 1.20.
        pub job_type: Option<String>,
        /// `Default`, `Adaptive` or `AdaptiveBatch`. Since 2.3.
        pub scheduler_type: Option<String> = "schedulerType",
        /// When it was submitted.
        pub start_time: Option<Millis>,
        /// When it ended.
        pub end_time: Option<Millis>,
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        /// The highest parallelism it can be rescaled to; -1 for unknown.
        pub max_parallelism: Option<i64> = "maxParallelism",
        /// The server's time.
        pub now: Option<Millis>,
        /// When it entered each state last.
        pub timestamps: BTreeMap<JobState, Millis>,
        /// Its vertices, sources first.
        pub vertices: Vec<VertexSummary>,
        /// The number of **vertices** in each state.
        pub status_counts: BTreeMap<TaskState, u32>,
        /// Its graph.
        pub plan: Graph,
        /// Operators that are not part of the graph yet. Of adaptive batch jobs, since 2.0.
        pub pending_operators: Option<i32>,
    }

    /// A vertex of a job.
    pub struct VertexSummary {
        pub id: VertexId,
        /// The group whose tasks share slots. Since 1.20.
        pub slot_sharing_group_id: Option<String> = "slotSharingGroupId",
        /// Its operators.
        pub name: Option<String>,
        /// The highest parallelism it can be rescaled to.
        pub max_parallelism: Option<i32> = "maxParallelism",
        /// How many subtasks it has.
        pub parallelism: Option<i32>,
        /// The combined state of all its subtasks.
        pub status: Option<TaskState>,
        /// When the first subtask started.
        pub start_time: Option<Millis> = "start-time",
        /// When the last subtask ended.
        pub end_time: Option<Millis> = "end-time",
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        /// The number of its subtasks in each state.
        pub tasks: BTreeMap<TaskState, u32>,
        pub metrics: IoMetrics,
    }

    /// The numbers of bytes and records that a vertex or a task has read and written.
    pub struct IoMetrics in kebab {
        pub read_bytes: Option<i64>,
        /// Whether all tasks have reported this number.
        pub read_bytes_complete: Option<bool>,
        /// Bytes written.
        pub write_bytes: Option<i64>,
        /// Whether all tasks have reported this number.
        pub write_bytes_complete: Option<bool>,
        pub read_records: Option<i64>,
        /// Whether all tasks have reported this number.
        pub read_records_complete: Option<bool>,
        /// Records written.
        pub write_records: Option<i64>,
        /// Whether all tasks have reported this number.
        pub write_records_complete: Option<bool>,
        /// Milliseconds spent waiting for the next task. Since 1.14.
        pub accumulated_backpressured_time: Option<i64>,
        /// Milliseconds spent waiting for records. Since 1.14.
        pub accumulated_idle_time: Option<i64>,
        /// Milliseconds spent working; NaN where it is not measured. Since 1.14.
        pub accumulated_busy_time: Option<f64>,
    }
}

impl JobDetails {
    /// Returns the ids of the job's vertices, sources first.
    pub fn vertex_ids(&self) -> impl Iterator<Item = VertexId> + '_ {
        self.vertices.iter().map(|vertex| vertex.id)
    }

    /// Returns the vertex with a name, as the web interface shows it. Names need not be unique: returns the first
    /// vertex.
    pub fn vertex_named(&self, name: &str) -> Option<&VertexSummary> {
        self.vertices.iter().find(|vertex| vertex.name.as_deref() == Some(name))
    }
}

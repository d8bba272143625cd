//! Vertices of a job and their subtasks: details, times, accumulators, watermarks, back pressure.
//!
//! All of it is **cached** for 3 s, but for watermarks and back pressure, which are metrics. An unknown job or vertex
//! is rejected with 404, but for back pressure. Their metrics are in [`metrics`](super::metrics).

use std::collections::BTreeMap;

use super::jobs::{Accumulator, IoMetrics, TaskState};
use super::metrics::Metric;
use super::{FlinkRest, JobId, Millis, TaskManagerId, VertexId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// A vertex and all its subtasks.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}" GetVertex "getJobVertexDetails" -> VertexDetails {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// The accumulators of a vertex, as text.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-accumulators).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/accumulators"
    GetVertexAccumulators "getJobVertexAccumulators" -> VertexAccumulators {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// How much the subtasks of a vertex wait for those behind them.
    ///
    /// **Nothing unknown is rejected**: an unknown job or vertex is answered with [`SampleState::Deprecated`], and so
    /// is the first question about one that exists.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-backpressure).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/backpressure"
    GetBackPressure "getJobVertexBackPressure" -> BackPressure {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// When the subtasks of a vertex entered each state.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasktimes).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasktimes" GetSubtaskTimes "getSubtasksTimes" -> SubtaskTimes {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// A vertex by TaskManager.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-taskmanagers).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/taskmanagers"
    GetVertexTaskManagers "getJobVertexTaskManagers" -> VertexTaskManagers {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// The watermarks of the subtasks of a vertex: metrics named `<subtask>.currentInputWatermark`.
    ///
    /// Empty for a source. Before the first watermark the value is that of Java's `Long.MIN_VALUE`.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-watermarks).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/watermarks" GetWatermarks "getJobVertexWatermarks" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// The accumulators of all subtasks of a vertex, as text.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-accumulators).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/accumulators"
    GetSubtaskAccumulators "getSubtasksAllAccumulators" -> SubtaskAccumulators {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// The current attempt of a subtask.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-subtaskindex).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}"
    GetSubtask "getSubtaskCurrentAttemptDetails" -> Attempt {
        path { jobid: JobId, vertexid: VertexId, subtaskindex: u32 }
    }

    /// An attempt of a subtask.
    ///
    /// Rejected with 404 also: an attempt that never was, or that the server has forgotten.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-subtaskindex-attempts-attempt).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}/attempts/{attempt}"
    GetAttempt "getSubtaskExecutionAttemptDetails" -> Attempt {
        path { jobid: JobId, vertexid: VertexId, subtaskindex: u32, attempt: u32 }
    }

    /// The accumulators of an attempt of a subtask, as text.
    ///
    /// Rejected with 404 also: an attempt that never was, or that the server has forgotten.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-subtaskindex-attempts-attempt-accumulators).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}/attempts/{attempt}/accumulators"
    GetAttemptAccumulators "getSubtaskExecutionAttemptAccumulators" -> AttemptAccumulators {
        path { jobid: JobId, vertexid: VertexId, subtaskindex: u32, attempt: u32 }
    }
}

string_enums! {
    /// Whether back pressure was measured.
    pub enum SampleState {
        Ok = "ok",
        /// It was not yet; or there is no such job or vertex.
        Deprecated = "deprecated",
    }

    /// How much back pressure.
    pub enum BackPressureLevel {
        /// Up to 10 % of the time.
        Ok = "ok",
        /// Up to 50 % of the time.
        Low = "low",
        /// More.
        High = "high",
    }
}

json_structs! {
    /// A vertex and all its subtasks.
    pub struct VertexDetails {
        pub id: VertexId,
        /// Its operators.
        pub name: Option<String>,
        /// How many subtasks it has.
        pub parallelism: Option<i32>,
        /// The highest parallelism it can be rescaled to.
        pub max_parallelism: Option<i32> = "maxParallelism",
        /// The server's time.
        pub now: Option<Millis>,
        /// The current attempt of each subtask.
        pub subtasks: Vec<Attempt>,
        /// All subtasks taken together. Since 1.14.
        pub aggregated: Option<AggregatedTasks>,
    }

    /// An attempt of a subtask.
    pub struct Attempt in kebab {
        /// The subtask's number.
        pub subtask: u32,
        /// Its state.
        pub status: Option<TaskState>,
        /// The attempt's number; more than 0 when the subtask was restarted.
        pub attempt: Option<u32>,
        /// Host and port of the TaskManager; `(unassigned)` when it has none. Since 1.19.
        pub endpoint: Option<String>,
        /// The host. Before 2.0.
        pub host: Option<String>,
        /// When it started.
        pub start_time: Option<Millis> = "start-time" | "start_time",
        /// When it ended.
        pub end_time: Option<Millis>,
        /// From start to end, or to now; milliseconds.
        pub duration: Option<i64>,
        /// What went through it.
        pub metrics: IoMetrics,
        /// The TaskManager; `(unassigned)` when it has none.
        pub task_manager: Option<TaskManagerId> = "taskmanager-id",
        /// How long it was in each state; milliseconds, -1 for those it was not in. Since 1.14.
        pub status_duration: BTreeMap<TaskState, i64>,
        /// Other attempts at the same time, with speculative execution.
        pub other_concurrent_attempts: Vec<Attempt>,
    }

    /// Subtasks taken together.
    pub struct AggregatedTasks {
        /// What went through them, as in `read-bytes` of [`IoMetrics`].
        pub metrics: BTreeMap<String, Spread>,
        /// How long they were in each state; milliseconds.
        pub status_duration: BTreeMap<TaskState, Spread> = "status-duration",
    }

    /// How a number differs from subtask to subtask.
    pub struct Spread {
        /// The least.
        pub min: Option<i64>,
        /// The most.
        pub max: Option<i64>,
        /// The mean.
        pub avg: Option<i64>,
        pub sum: Option<i64>,
        pub median: Option<i64>,
        /// The 25th percentile.
        pub p25: Option<i64>,
        /// The 75th percentile.
        pub p75: Option<i64>,
        /// The 95th percentile.
        pub p95: Option<i64>,
    }

    /// What a vertex counted.
    pub struct VertexAccumulators {
        pub id: VertexId,
        /// The accumulators, of all subtasks together.
        pub accumulators: Vec<Accumulator> = "user-accumulators",
    }

    /// How much the subtasks of a vertex wait for those behind them.
    pub struct BackPressure {
        /// Whether it was measured.
        pub status: Option<SampleState>,
        /// The worst of the subtasks; `None` when nothing was measured.
        pub level: Option<BackPressureLevel> = "backpressureLevel" | "backpressure-level",
        /// When it was measured.
        pub end_timestamp: Option<Millis> = "end-timestamp",
        /// Each subtask.
        pub subtasks: Vec<SubtaskBackPressure>,
    }

    /// How much a subtask waits for those behind it. The three ratios add up to 1.
    pub struct SubtaskBackPressure {
        /// Its number.
        pub subtask: u32,
        /// Its attempt, with speculative execution.
        pub attempt_number: Option<i32> = "attempt-number",
        /// How much.
        pub level: Option<BackPressureLevel> = "backpressureLevel" | "backpressure-level",
        /// The share of time that it waits for those behind it.
        pub ratio: Option<f64>,
        /// The share of time that it waits for records.
        pub idle_ratio: Option<f64> = "idleRatio",
        /// The share of time that it works; NaN where that is not measured.
        pub busy_ratio: Option<f64> = "busyRatio",
        /// Other attempts at the same time, with speculative execution.
        pub other_concurrent_attempts: Vec<SubtaskBackPressure> = "other-concurrent-attempts",
    }

    /// When the subtasks of a vertex entered each state.
    pub struct SubtaskTimes {
        /// The vertex.
        pub id: VertexId,
        /// Its operators.
        pub name: Option<String>,
        /// The server's time.
        pub now: Option<Millis>,
        /// Each subtask.
        pub subtasks: Vec<SubtaskTime>,
    }

    /// When a subtask entered each state.
    pub struct SubtaskTime {
        /// Its number.
        pub subtask: u32,
        /// Host and port of the TaskManager. Since 1.19.
        pub endpoint: Option<String>,
        /// The host. Before 2.0.
        pub host: Option<String>,
        /// From start to end, or to now; milliseconds.
        pub duration: Option<i64>,
        /// When it entered each state last.
        pub timestamps: BTreeMap<TaskState, Millis>,
    }

    /// A vertex by TaskManager.
    pub struct VertexTaskManagers {
        pub id: VertexId,
        /// Its operators.
        pub name: Option<String>,
        /// The server's time.
        pub now: Option<Millis>,
        /// Each TaskManager that has subtasks of it.
        pub task_managers: Vec<VertexTaskManager> = "taskmanagers",
    }

    /// The subtasks of a vertex on one TaskManager.
    pub struct VertexTaskManager in kebab {
        /// Host and port. Since 1.19.
        pub endpoint: Option<String>,
        /// The same, of older releases: before 1.19 with the port, then without; gone in 2.0.
        pub host: Option<String>,
        /// The state of all its subtasks taken together.
        pub status: Option<TaskState>,
        /// When the first subtask started.
        pub start_time: Option<Millis>,
        /// When the last subtask ended.
        pub end_time: Option<Millis>,
        /// From start to end, or to now; milliseconds.
        pub duration: Option<i64>,
        /// What went through it.
        pub metrics: IoMetrics,
        /// How many of its subtasks are in which state.
        pub status_counts: BTreeMap<TaskState, u32>,
        /// The TaskManager; `(unassigned)` for subtasks that have none.
        pub task_manager: Option<TaskManagerId> = "taskmanager-id",
        /// Its subtasks taken together. Since 1.14.
        pub aggregated: Option<AggregatedTasks>,
    }

    /// What the subtasks of a vertex counted.
    pub struct SubtaskAccumulators {
        /// The vertex.
        pub id: VertexId,
        /// How many subtasks it has.
        pub parallelism: Option<i32>,
        /// Each subtask.
        pub subtasks: Vec<SubtaskCount>,
    }

    /// What a subtask counted.
    pub struct SubtaskCount {
        /// Its number.
        pub subtask: u32,
        pub attempt: Option<u32>,
        /// Host and port of the TaskManager. Since 1.19.
        pub endpoint: Option<String>,
        /// The host. Before 2.0.
        pub host: Option<String>,
        pub accumulators: Vec<Accumulator> = "user-accumulators",
    }

    /// What an attempt of a subtask counted.
    pub struct AttemptAccumulators {
        /// The subtask's number.
        pub subtask: u32,
        /// The attempt's number.
        pub attempt: Option<u32>,
        /// The attempt's id within the cluster.
        pub id: String,
        pub accumulators: Vec<Accumulator> = "user-accumulators",
    }
}

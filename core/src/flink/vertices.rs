//! Vertices of a job and their subtasks: details, times, accumulators, watermarks, back pressure.
//!
//! The responses are **cached** for 3 s, except watermarks and back pressure, which are metrics. An unknown job or
//! vertex is rejected with 404, except for back pressure. Metrics of vertices are in [`metrics`](super::metrics).

use std::collections::BTreeMap;

use super::jobs::{Accumulator, IoMetrics, TaskState};
use super::metrics::Metric;
use super::{FlinkRest, JobId, Millis, TaskManagerId, VertexId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Returns the details of a vertex and all its subtasks.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}" GetVertex "getJobVertexDetails" -> VertexDetails {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// Returns the accumulators of a vertex, as text.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-accumulators).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/accumulators"
    GetVertexAccumulators "getJobVertexAccumulators" -> VertexAccumulators {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// Returns the back pressure of a vertex's subtasks: how much they wait for the next subtasks in the graph.
    ///
    /// **An unknown job or vertex is not rejected**: the response is [`SampleState::Deprecated`], as is the first
    /// response for an existing vertex.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-backpressure).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/backpressure"
    GetBackPressure "getJobVertexBackPressure" -> BackPressure {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// Returns when the subtasks of a vertex entered each state.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasktimes).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasktimes" GetSubtaskTimes "getSubtasksTimes" -> SubtaskTimes {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// Returns the subtasks of a vertex, grouped by TaskManager.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-taskmanagers).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/taskmanagers"
    GetVertexTaskManagers "getJobVertexTaskManagers" -> VertexTaskManagers {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// Returns the watermarks of the subtasks of a vertex: metrics named `<subtask>.currentInputWatermark`.
    ///
    /// The list is empty for a source. Before the first watermark the value is Java's `Long.MIN_VALUE`.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-watermarks).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/watermarks" GetWatermarks "getJobVertexWatermarks" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// Returns the accumulators of all subtasks of a vertex, as text.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-accumulators).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/accumulators"
    GetSubtaskAccumulators "getSubtasksAllAccumulators" -> SubtaskAccumulators {
        path { jobid: JobId, vertexid: VertexId }
    }

    /// Returns the current attempt of a subtask.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-subtaskindex).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}"
    GetSubtask "getSubtaskCurrentAttemptDetails" -> Attempt {
        path { jobid: JobId, vertexid: VertexId, subtaskindex: u32 }
    }

    /// Returns an attempt of a subtask: the current attempt or an earlier attempt.
    ///
    /// Also rejected with 404 if the attempt never existed, or the server has forgotten it.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-subtaskindex-attempts-attempt).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}/attempts/{attempt}"
    GetAttempt "getSubtaskExecutionAttemptDetails" -> Attempt {
        path { jobid: JobId, vertexid: VertexId, subtaskindex: u32, attempt: u32 }
    }

    /// Returns the accumulators of an attempt of a subtask, as text.
    ///
    /// Also rejected with 404 if the attempt never existed, or the server has forgotten it.
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
        /// It was not measured yet, or the job or vertex does not exist.
        Deprecated = "deprecated",
    }

    /// The level of back pressure, by the share of time that a subtask waits.
    pub enum BackPressureLevel {
        /// Up to 10 % of the time.
        Ok = "ok",
        /// Up to 50 % of the time.
        Low = "low",
        /// More than 50 % of the time.
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
        /// Statistics over all subtasks. Since 1.14.
        pub aggregated: Option<AggregatedTasks>,
    }

    /// An attempt of a subtask.
    pub struct Attempt in kebab {
        /// The subtask's number.
        pub subtask: u32,
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
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        /// Records and bytes that it read and wrote.
        pub metrics: IoMetrics,
        /// The TaskManager; `(unassigned)` when it has none.
        pub task_manager: Option<TaskManagerId> = "taskmanager-id",
        /// Milliseconds that it was in each state; -1 if it was never in that state. Since 1.14.
        pub status_duration: BTreeMap<TaskState, i64>,
        /// Concurrent attempts, with speculative execution.
        pub other_concurrent_attempts: Vec<Attempt>,
    }

    /// Statistics over subtasks.
    pub struct AggregatedTasks {
        /// The numbers of [`IoMetrics`], by their names such as `read-bytes`.
        pub metrics: BTreeMap<String, Spread>,
        /// Milliseconds in each state.
        pub status_duration: BTreeMap<TaskState, Spread> = "status-duration",
    }

    /// Statistics of one number over the subtasks.
    pub struct Spread {
        pub min: Option<i64>,
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

    /// The accumulators of a vertex.
    pub struct VertexAccumulators {
        pub id: VertexId,
        /// The accumulators, merged over all subtasks.
        pub accumulators: Vec<Accumulator> = "user-accumulators",
    }

    /// The back pressure of a vertex.
    pub struct BackPressure {
        pub status: Option<SampleState>,
        /// The highest level of its subtasks; `None` if it was not measured.
        pub level: Option<BackPressureLevel> = "backpressureLevel" | "backpressure-level",
        /// When it was measured.
        pub end_timestamp: Option<Millis> = "end-timestamp",
        pub subtasks: Vec<SubtaskBackPressure>,
    }

    /// The back pressure of a subtask. The three ratios add up to 1.
    pub struct SubtaskBackPressure {
        /// The number of the subtask.
        pub subtask: u32,
        /// Its attempt, with speculative execution.
        pub attempt_number: Option<i32> = "attempt-number",
        pub level: Option<BackPressureLevel> = "backpressureLevel" | "backpressure-level",
        /// The share of time that it waits for the next subtasks, from 0 to 1.
        pub ratio: Option<f64>,
        /// The share of time that it waits for records.
        pub idle_ratio: Option<f64> = "idleRatio",
        /// The share of time that it works; NaN if the server did not measure it.
        pub busy_ratio: Option<f64> = "busyRatio",
        /// Concurrent attempts, with speculative execution.
        pub other_concurrent_attempts: Vec<SubtaskBackPressure> = "other-concurrent-attempts",
    }

    /// When the subtasks of a vertex entered each state.
    pub struct SubtaskTimes {
        pub id: VertexId,
        /// Its operators.
        pub name: Option<String>,
        /// The server's time.
        pub now: Option<Millis>,
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
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        /// When it last entered each state.
        pub timestamps: BTreeMap<TaskState, Millis>,
    }

    /// The subtasks of a vertex, grouped by TaskManager.
    pub struct VertexTaskManagers {
        pub id: VertexId,
        /// Its operators.
        pub name: Option<String>,
        /// The server's time.
        pub now: Option<Millis>,
        /// The TaskManagers that have subtasks of the vertex.
        pub task_managers: Vec<VertexTaskManager> = "taskmanagers",
    }

    /// The subtasks of a vertex on one TaskManager.
    pub struct VertexTaskManager in kebab {
        /// Host and port. Since 1.19.
        pub endpoint: Option<String>,
        /// The host. Before 1.19 with the port, since 1.19 without; removed in 2.0.
        pub host: Option<String>,
        /// The state of its subtasks taken together.
        pub status: Option<TaskState>,
        /// When the first subtask started.
        pub start_time: Option<Millis>,
        /// When the last subtask ended.
        pub end_time: Option<Millis>,
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        /// Records and bytes that its subtasks read and wrote.
        pub metrics: IoMetrics,
        /// The number of its subtasks in each state.
        pub status_counts: BTreeMap<TaskState, u32>,
        /// The TaskManager; `(unassigned)` for subtasks that have none.
        pub task_manager: Option<TaskManagerId> = "taskmanager-id",
        /// Statistics over its subtasks. Since 1.14.
        pub aggregated: Option<AggregatedTasks>,
    }

    /// The accumulators of the subtasks of a vertex.
    pub struct SubtaskAccumulators {
        pub id: VertexId,
        /// How many subtasks it has.
        pub parallelism: Option<i32>,
        pub subtasks: Vec<SubtaskCount>,
    }

    /// The accumulators of a subtask.
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

    /// The accumulators of an attempt of a subtask.
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

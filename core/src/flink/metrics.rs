//! Metrics of JobManagers, TaskManagers, jobs, vertices and subtasks, and aggregated metrics.
//!
//! The goals [`ReadMetrics`](super::ReadMetrics) and [`ReadAggregatedMetrics`](super::ReadAggregatedMetrics) read names
//! and values by one call. For all operations of this module:
//!
//! * Without names, the response lists the existing metrics. With names, it has their values, in arbitrary order. Names
//!   that do not exist are left out.
//! * **If one name does not exist, the response of an aggregating operation is empty** ([`GetAggregatedJobMetrics`],
//!   [`GetAggregatedTaskManagerMetrics`], [`GetAggregatedSubtaskMetrics`]). List the names first, or use
//!   [`ReadAggregatedMetrics`](super::ReadAggregatedMetrics). A metric that is not a number is left out.
//! * **An unknown job, vertex or TaskManager is not rejected**: it has no metrics.
//! * The JobManager **fetches lazily**, at most every `metrics.fetcher.update-interval` (10 s). The first response
//!   after a pause has old values, or is empty.
//! * A request line of more than 4096 bytes is a [`BuildError`](crate::error::BuildError), because the server would
//!   answer 404 and close the connection. All names of a vertex rarely fit: the goals split them.
//! * Names of a vertex's metrics begin with the number of the subtask, as in `0.numRecordsIn`; those of a subtask's
//!   metrics do not. Characters such as colons and spaces are replaced by `_`.

use super::{CommaList, FlinkRest, JobId, TaskManagerId, VertexId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Returns metrics of the JobManager. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-metrics).
    Safe GET "/jobmanager/metrics" GetJobManagerMetrics "getJobManagerMetrics" -> Vec<Metric> {
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
        }
    }

    /// Returns metrics of a TaskManager. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid-metrics).
    Safe GET "/taskmanagers/{taskmanagerid}/metrics" GetTaskManagerMetrics "getTaskManagerMetrics" -> Vec<Metric> {
        path { taskmanagerid: TaskManagerId }
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
        }
    }

    /// Returns metrics that are aggregated over all or some TaskManagers. See [the module](self).
    ///
    /// Metrics that are not numbers are left out. **If one of the names does not exist, the response is empty.**
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-metrics).
    Safe GET "/taskmanagers/metrics"
    GetAggregatedTaskManagerMetrics "getAggregatedTaskManagerMetrics" -> Vec<AggregatedMetric> {
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
            /// The aggregations; all of them by default. [`Aggregation::Skew`] is rejected before 1.20 with
            /// 400.
            aggregations: CommaList<Aggregation> = "agg",
            /// Aggregates only over these TaskManagers; over all by default.
            task_managers: CommaList<TaskManagerId> = "taskmanagers",
        }
    }

    /// Returns metrics of a job as a whole. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-metrics).
    Safe GET "/jobs/{jobid}/metrics" GetJobMetrics "getJobMetrics" -> Vec<Metric> {
        path { jobid: JobId }
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
        }
    }

    /// Returns metrics that are aggregated over all or some jobs. See [the module](self).
    ///
    /// Metrics that are not numbers are left out. **If one of the names does not exist, the response is empty.**
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-metrics).
    Safe GET "/jobs/metrics" GetAggregatedJobMetrics "getAggregatedJobMetrics" -> Vec<AggregatedMetric> {
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
            /// The aggregations; all of them by default. [`Aggregation::Skew`] is rejected before 1.20 with
            /// 400.
            aggregations: CommaList<Aggregation> = "agg",
            /// Aggregates only over these jobs; over all by default.
            jobs: CommaList<JobId>,
        }
    }

    /// Returns metrics of all subtasks of a vertex. Each name begins with the subtask's number. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/metrics" GetVertexMetrics "getJobVertexMetrics" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
        }
    }

    /// Returns metrics of a vertex's operator coordinators, which run in the JobManager. See [the module](self). Since
    /// 1.20.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-jm-operator-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/jm-operator-metrics"
    GetCoordinatorMetrics "getJobManagerOperatorMetrics" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
        }
    }

    /// Returns metrics of a subtask. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-subtaskindex-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}/metrics"
    GetSubtaskMetrics "getSubtaskMetrics" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId, subtaskindex: u32 }
        query? {
            /// The names of the metrics to read. Without names, the response lists the existing names.
            names: CommaList<String> = "get",
        }
    }

    /// Returns metrics that are aggregated over all or some subtasks of a vertex. See [the module](self).
    ///
    /// Metrics that are not numbers are left out. **If one of the names does not exist, the response is empty.**
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/metrics"
    GetAggregatedSubtaskMetrics "getAggregatedSubtaskMetrics" -> Vec<AggregatedMetric> {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// The names of the metrics to read, without the number of a subtask. Without names, the response lists the
            /// existing names.
            names: CommaList<String> = "get",
            /// The aggregations; all of them by default. [`Aggregation::Skew`] is rejected before 1.20 with
            /// 400.
            aggregations: CommaList<Aggregation> = "agg",
            /// Aggregates only over these subtasks: numbers and ranges, as in `0-2,5`; over all by default.
            subtasks: String,
        }
    }
}

string_enums! {
    /// How metrics are aggregated.
    pub enum Aggregation {
        /// The minimum.
        Min = "min",
        /// The maximum.
        Max = "max",
        /// The mean.
        Avg = "avg",
        Sum = "sum",
        /// How unequal they are: 0 when they are all the same, 100 when one has everything. Since 1.20.
        Skew = "skew",
    }
}

json_structs! {
    /// A metric.
    pub struct Metric {
        pub id: String,
        /// Its value, as Java prints it; `None` when the names were asked for.
        pub value: Option<String>,
    }

    /// A metric of several things, taken together. All `None` when the names were asked for.
    pub struct AggregatedMetric {
        pub id: String,
        /// The minimum.
        pub min: Option<f64>,
        /// The maximum.
        pub max: Option<f64>,
        /// The mean.
        pub avg: Option<f64>,
        pub sum: Option<f64>,
        /// How unequal they are: 0 when they are all the same, 100 when one has everything. Since 1.20.
        pub skew: Option<f64>,
    }
}

impl Metric {
    /// Its value as a number, NaN and the infinities included; `None` when it is no number, or was not requested.
    ///
    /// ```
    /// use pipewright::flink::metrics::Metric;
    /// let metric: Metric = serde_json::from_str(r#"{"id":"busyTimeMsPerSecond","value":"NaN"}"#)?;
    /// assert!(metric.number().is_some_and(f64::is_nan));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn number(&self) -> Option<f64> {
        // Rust reads what Java writes for those, too.
        self.value.as_deref()?.parse().ok()
    }
}

//! Metrics, of one thing and aggregated over several.
//!
//! The flows [`ReadMetrics`](super::ReadMetrics) and [`ReadAggregatedMetrics`](super::ReadAggregatedMetrics) get names
//! and values by one call. What holds for all operations here:
//!
//! * Without names they list the metrics that exist, with names they answer their values, in arbitrary order. Names
//!   that do not exist are left out.
//! * **One name that does not exist empties the answer of an aggregating operation** ([`GetAggregatedJobMetrics`],
//!   [`GetAggregatedTaskManagerMetrics`], [`GetAggregatedSubtaskMetrics`]): list the names first, or read with
//!   [`ReadAggregatedMetrics`](super::ReadAggregatedMetrics), which does. A metric that is no number is left out alone.
//! * **Nothing unknown is rejected**: an unknown job, vertex or TaskManager has no metrics.
//! * The JobManager **fetches lazily**, at most every `metrics.fetcher.update-interval` (10 s): the first question
//!   after a pause is answered with what was there before, or nothing at all.
//! * A request line of more than 4096 bytes is a [`BuildError`](crate::error::BuildError), because the server would
//!   answer 404 and close the connection. All names of a vertex rarely fit: the flows split them.
//! * Metrics of a vertex begin with the number of the subtask, as in `0.numRecordsIn`; those of a subtask do not.
//!   Colons, spaces and the like have become `_`.

use super::{CommaList, FlinkRest, JobId, TaskManagerId, VertexId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Metrics of the JobManager. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-metrics).
    Safe GET "/jobmanager/metrics" GetJobManagerMetrics "getJobManagerMetrics" -> Vec<Metric> {
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
        }
    }

    /// Metrics of a TaskManager. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid-metrics).
    Safe GET "/taskmanagers/{taskmanagerid}/metrics" GetTaskManagerMetrics "getTaskManagerMetrics" -> Vec<Metric> {
        path { taskmanagerid: TaskManagerId }
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
        }
    }

    /// Metrics of all TaskManagers, or some, taken together. See [the module](self).
    ///
    /// Metrics that are no numbers are left out. **If one of the names does not exist, the answer is empty.**
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-metrics).
    Safe GET "/taskmanagers/metrics"
    GetAggregatedTaskManagerMetrics "getAggregatedTaskManagerMetrics" -> Vec<AggregatedMetric> {
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
            /// How to take them together; in every way by default. [`Aggregation::Skew`] is rejected before 1.20 with
            /// 400.
            aggregations: CommaList<Aggregation> = "agg",
            /// Of these TaskManagers only.
            task_managers: CommaList<TaskManagerId> = "taskmanagers",
        }
    }

    /// Metrics of a job as a whole. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-metrics).
    Safe GET "/jobs/{jobid}/metrics" GetJobMetrics "getJobMetrics" -> Vec<Metric> {
        path { jobid: JobId }
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
        }
    }

    /// Metrics of all jobs, or some, taken together. See [the module](self).
    ///
    /// Metrics that are no numbers are left out. **If one of the names does not exist, the answer is empty.**
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-metrics).
    Safe GET "/jobs/metrics" GetAggregatedJobMetrics "getAggregatedJobMetrics" -> Vec<AggregatedMetric> {
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
            /// How to take them together; in every way by default. [`Aggregation::Skew`] is rejected before 1.20 with
            /// 400.
            aggregations: CommaList<Aggregation> = "agg",
            /// Of these jobs only.
            jobs: CommaList<JobId>,
        }
    }

    /// Metrics of a vertex: of all its subtasks, each under its number. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/metrics" GetVertexMetrics "getJobVertexMetrics" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
        }
    }

    /// Metrics of the part of a vertex that runs in the JobManager: its operator coordinators. See [the module](self).
    /// Since 1.20.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-jm-operator-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/jm-operator-metrics"
    GetCoordinatorMetrics "getJobManagerOperatorMetrics" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
        }
    }

    /// Metrics of a subtask. See [the module](self).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-subtaskindex-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}/metrics"
    GetSubtaskMetrics "getSubtaskMetrics" -> Vec<Metric> {
        path { jobid: JobId, vertexid: VertexId, subtaskindex: u32 }
        query? {
            /// Their names; without them the names that exist are listed.
            names: CommaList<String> = "get",
        }
    }

    /// Metrics of all subtasks of a vertex, or some, taken together. See [the module](self).
    ///
    /// Metrics that are no numbers are left out. **If one of the names does not exist, the answer is empty.**
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-subtasks-metrics).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/metrics"
    GetAggregatedSubtaskMetrics "getAggregatedSubtaskMetrics" -> Vec<AggregatedMetric> {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// Their names, without the number of a subtask; without them the names that exist are listed.
            names: CommaList<String> = "get",
            /// How to take them together; in every way by default. [`Aggregation::Skew`] is rejected before 1.20 with
            /// 400.
            aggregations: CommaList<Aggregation> = "agg",
            /// Of these subtasks only: numbers and ranges, as in `0-2,5`.
            subtasks: String,
        }
    }
}

string_enums! {
    /// How metrics of several things are taken together.
    pub enum Aggregation {
        /// The least.
        Min = "min",
        /// The most.
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
        /// Its name.
        pub id: String,
        /// Its value, as Java prints it; `None` when the names were asked for.
        pub value: Option<String>,
    }

    /// A metric of several things, taken together. All `None` when the names were asked for.
    pub struct AggregatedMetric {
        /// Its name.
        pub id: String,
        /// The least.
        pub min: Option<f64>,
        /// The most.
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

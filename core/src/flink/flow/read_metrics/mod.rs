//! The goals [`ReadMetrics`] and [`ReadAggregatedMetrics`]: names and values by one call.
//!
//! ```text
//!  Names ──some──▶ Values ──▶ … ──▶ Values ──any──▶ done
//!   ▲ ▲ └──none──┐  │                 │
//!   │ └──────────┼──┘ aggregated, and none of several: has one vanished?
//!   └──── Wait ◀─┴────────none────────┘      timeout: done, with none
//! ```
//!
//! | goal | names are given | names are listed first |
//! |---|---|---|
//! | `ReadMetrics` | no | yes |
//! | `ReadMetrics` | yes | no: the server leaves out those that do not exist |
//! | `ReadAggregatedMetrics` | either | yes: one that does not exist empties the whole answer |
//!
//! A name can vanish between the list and the values. So if an aggregated answer for several names is empty, the names
//! are listed again. Those that still exist are requested once more, in smaller groups if all of them do: metrics that
//! are no numbers have no aggregated value.
//!
//! No request line passes the 4096 bytes that the server reads: names are split, and the answers joined again. The
//! JobManager fetches metrics lazily, so that an empty list may mean that they are not fetched yet. It does not reject
//! unknown ids, so that it may also mean that the job does not exist. To tell these apart, request the job.

mod machine;
mod scope;

use std::time::Duration;

use crate::flink::metrics::{AggregatedMetric, Aggregation, Metric};
use crate::flink::tuning::METRICS_FETCH_TIMEOUT;
use crate::flink::{CommaList, FlinkRest, JobId, TaskManagerId, VertexId};
use crate::flow::goal;
use machine::MetricsMachine;
use scope::{AggregateScope, AggregateTarget, MetricScope, Named};

/// Reads the metrics of something: all that it has, or those that are named.
///
/// Returns the metrics with their values: those that were named in that order, or all by name. Names that do not exist
/// are left out. Values may be up to 10 s old, and older at the first target after a pause: ask again for newer values.
/// Something unknown has no metrics: the list is empty, after [`fetch_timeout`](Self::fetch_timeout).
///
/// ```
/// use pipewright::flink::{JobId, ReadMetrics};
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let goal = ReadMetrics::of_job(job).names(["uptime", "numRestarts"]);
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct ReadMetrics {
    scope: MetricScope,
    names: Option<Vec<String>>,
    fetch_timeout: Duration,
    timeout: Option<Duration>,
}

/// Reads metrics of several things, taken together: all that they have, or those that are named.
///
/// Returns the metrics with their values, like [`ReadMetrics`]. Metrics that are not numbers and names that do not
/// exist are omitted. The server returns an empty list if one requested name does not exist, so the goal lists the
/// names first and requests only those that exist.
///
/// ```
/// use pipewright::flink::{JobId, ReadAggregatedMetrics, VertexId, metrics::Aggregation};
/// let (job, vertex) = (JobId::from_bits(1), VertexId::from_bits(2));
/// let goal = ReadAggregatedMetrics::of_subtasks(job, vertex)
///     .names(["numRecordsInPerSecond"])
///     .aggregations([Aggregation::Sum, Aggregation::Max]);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct ReadAggregatedMetrics {
    scope: AggregateScope,
    names: Option<Vec<String>>,
    fetch_timeout: Duration,
    timeout: Option<Duration>,
}

impl ReadMetrics {
    fn new(scope: MetricScope) -> Self {
        Self { scope, names: None, fetch_timeout: METRICS_FETCH_TIMEOUT, timeout: None }
    }

    /// Of the JobManager.
    pub fn of_job_manager() -> Self {
        Self::new(MetricScope::JobManager)
    }

    /// Of a TaskManager.
    pub fn of_task_manager(id: impl Into<TaskManagerId>) -> Self {
        Self::new(MetricScope::TaskManager(id.into()))
    }

    /// Of a job as a whole.
    pub fn of_job(job: JobId) -> Self {
        Self::new(MetricScope::Job(job))
    }

    /// Of all subtasks of a vertex, each under its number.
    pub fn of_vertex(job: JobId, vertex: VertexId) -> Self {
        Self::new(MetricScope::Vertex(job, vertex))
    }

    /// Of the part of a vertex that runs in the JobManager. Since 1.20.
    pub fn of_coordinator(job: JobId, vertex: VertexId) -> Self {
        Self::new(MetricScope::Coordinator(job, vertex))
    }

    /// Of one subtask.
    pub fn of_subtask(job: JobId, vertex: VertexId, subtask: u32) -> Self {
        Self::new(MetricScope::Subtask(job, vertex, subtask))
    }
}

impl ReadAggregatedMetrics {
    fn new(target: AggregateTarget) -> Self {
        let scope = AggregateScope { target, aggregations: None };
        Self { scope, names: None, fetch_timeout: METRICS_FETCH_TIMEOUT, timeout: None }
    }

    /// Of all TaskManagers, or of some if any are given.
    pub fn of_task_managers(only: impl Into<CommaList<TaskManagerId>>) -> Self {
        Self::new(AggregateTarget::TaskManagers(some(only.into())))
    }

    /// Of all jobs, or of some if any are given.
    pub fn of_jobs(only: impl Into<CommaList<JobId>>) -> Self {
        Self::new(AggregateTarget::Jobs(some(only.into())))
    }

    /// Of all subtasks of a vertex.
    pub fn of_subtasks(job: JobId, vertex: VertexId) -> Self {
        Self::new(AggregateTarget::Subtasks(job, vertex, None))
    }

    /// Of some subtasks of a vertex: numbers and ranges, as in `0-2,5`.
    pub fn of_some_subtasks(job: JobId, vertex: VertexId, subtasks: impl Into<String>) -> Self {
        Self::new(AggregateTarget::Subtasks(job, vertex, Some(subtasks.into())))
    }

    /// How to take them together; in every way by default.
    pub fn aggregations(mut self, aggregations: impl Into<CommaList<Aggregation>>) -> Self {
        self.scope.aggregations = some(aggregations.into());
        self
    }
}

/// What both goals have.
macro_rules! metrics_goal {
    ($goal:ident, $scope:ident, $item:ty, $name:literal, $all_or_nothing:literal) => {
        impl $goal {
            /// These metrics only, and in this order.
            pub fn names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
                self.names = Some(names.into_iter().map(Into::into).collect());
                self
            }

            /// Sets how long to poll while the server lists no metrics; 12 s by default, because the server fetches
            /// them only on request, and every 10 s at most. With zero, one request is sent.
            pub fn fetch_timeout(mut self, fetch_timeout: Duration) -> Self {
                self.fetch_timeout = fetch_timeout;
                self
            }
        }

        impl From<$goal> for MetricsMachine<$scope> {
            fn from(goal: $goal) -> Self {
                Self::new(goal.scope, goal.names, goal.fetch_timeout)
            }
        }

        goal!($goal: FlinkRest => Vec<$item>, MetricsMachine<$scope>);

        impl Named for $scope {
            const FLOW: &'static str = $name;
            const ALL_OR_NOTHING: bool = $all_or_nothing;
        }
    };
}

metrics_goal!(ReadMetrics, MetricScope, Metric, "ReadMetrics", false);
metrics_goal!(ReadAggregatedMetrics, AggregateScope, AggregatedMetric, "ReadAggregatedMetrics", true);

/// `None` for all.
fn some<T>(list: CommaList<T>) -> Option<CommaList<T>> {
    if list.0.is_empty() { None } else { Some(list) }
}

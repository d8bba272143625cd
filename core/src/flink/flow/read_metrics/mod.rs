//! The goals [`ReadMetrics`] and [`ReadAggregatedMetrics`]: names and values by one call.
//!
//! ```text
//!  Names ──some──▶ Values ──▶ … ──▶ Values ──some──▶ done
//!   ▲ ▲ └──none──┐  │                 │
//!   │ └──────────┼──┘ aggregated, and no value for several names
//!   └──── Wait ◀─┴────────none────────┘      timeout: done, with an empty list
//! ```
//!
//! | goal | the caller names metrics | the flow lists the names first |
//! |---|---|---|
//! | `ReadMetrics` | no | yes |
//! | `ReadMetrics` | yes | no: the server leaves out names that do not exist |
//! | `ReadAggregatedMetrics` | yes or no | yes: if one name does not exist, the server returns an empty list |
//!
//! A metric can vanish between the two requests. So if an aggregated answer for several names is empty, the flow lists
//! the names again, and requests those that still exist. If all of them exist, it requests them in smaller groups:
//! metrics that are not numbers have no aggregated value.
//!
//! The server reads at most 4096 bytes of a request line. So the flow splits the names over several requests, and joins
//! the answers. The JobManager fetches metrics lazily, so an empty list may mean that it has not fetched them yet. It
//! does not reject unknown ids, so an empty list may also mean that the job does not exist: request the job to find
//! out.

mod machine;
mod scope;

use std::time::Duration;

use crate::flink::metrics::{AggregatedMetric, Aggregation, Metric};
use crate::flink::tuning::METRICS_FETCH_TIMEOUT;
use crate::flink::{CommaList, FlinkRest, JobId, TaskManagerId, VertexId};
use crate::flow::goal;
use machine::MetricsMachine;
use scope::{AggregateScope, AggregateTarget, MetricScope, Named};

/// Reads all metrics of a JobManager, TaskManager, job, vertex or subtask, or only [some](Self::names).
///
/// Returns the metrics with their values, in the order of the names, or sorted by name if all are read. Names that do
/// not exist are left out. Values may be up to 10 s old. The first read after a pause may return older values: read
/// again for newer values.
///
/// If the target does not exist, the list is empty, after [`fetch_timeout`](Self::fetch_timeout).
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

/// Reads metrics of several TaskManagers, jobs or subtasks, aggregated over them: all metrics, or only
/// [some](Self::names).
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

    /// Reads metrics of the JobManager.
    pub fn of_job_manager() -> Self {
        Self::new(MetricScope::JobManager)
    }

    /// Reads metrics of a TaskManager.
    pub fn of_task_manager(id: impl Into<TaskManagerId>) -> Self {
        Self::new(MetricScope::TaskManager(id.into()))
    }

    /// Reads metrics of a job as a whole.
    pub fn of_job(job: JobId) -> Self {
        Self::new(MetricScope::Job(job))
    }

    /// Reads metrics of all subtasks of a vertex. Each name begins with the number of the subtask.
    pub fn of_vertex(job: JobId, vertex: VertexId) -> Self {
        Self::new(MetricScope::Vertex(job, vertex))
    }

    /// Reads metrics of a vertex's operator coordinator, which runs in the JobManager. Since 1.20.
    pub fn of_coordinator(job: JobId, vertex: VertexId) -> Self {
        Self::new(MetricScope::Coordinator(job, vertex))
    }

    /// Reads metrics of one subtask, counted from 0.
    pub fn of_subtask(job: JobId, vertex: VertexId, subtask: u32) -> Self {
        Self::new(MetricScope::Subtask(job, vertex, subtask))
    }
}

impl ReadAggregatedMetrics {
    fn new(target: AggregateTarget) -> Self {
        let scope = AggregateScope { target, aggregations: None };
        Self { scope, names: None, fetch_timeout: METRICS_FETCH_TIMEOUT, timeout: None }
    }

    /// Aggregates over the given TaskManagers; over all TaskManagers if the list is empty.
    pub fn of_task_managers(only: impl Into<CommaList<TaskManagerId>>) -> Self {
        Self::new(AggregateTarget::TaskManagers(some(only.into())))
    }

    /// Aggregates over the given jobs; over all jobs if the list is empty.
    pub fn of_jobs(only: impl Into<CommaList<JobId>>) -> Self {
        Self::new(AggregateTarget::Jobs(some(only.into())))
    }

    /// Aggregates over all subtasks of a vertex.
    pub fn of_subtasks(job: JobId, vertex: VertexId) -> Self {
        Self::new(AggregateTarget::Subtasks(job, vertex, None))
    }

    /// Aggregates over some subtasks of a vertex: numbers and ranges, as in `0-2,5`.
    pub fn of_some_subtasks(job: JobId, vertex: VertexId, subtasks: impl Into<String>) -> Self {
        Self::new(AggregateTarget::Subtasks(job, vertex, Some(subtasks.into())))
    }

    /// Sets the aggregations; all of them by default.
    pub fn aggregations(mut self, aggregations: impl Into<CommaList<Aggregation>>) -> Self {
        self.scope.aggregations = some(aggregations.into());
        self
    }
}

/// The setters and the `From` implementation that both goals have.
macro_rules! metrics_goal {
    ($goal:ident, $scope:ident, $item:ty, $name:literal, $all_or_nothing:literal) => {
        impl $goal {
            /// Reads only these metrics, and returns them in this order.
            pub fn names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
                self.names = Some(names.into_iter().map(Into::into).collect());
                self
            }

            /// Sets how long to poll while the server lists no metrics; 12 s by default. The server fetches metrics
            /// only on request, and at most every 10 s. If the timeout is zero, the flow does not poll again.
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

/// Returns `None` for an empty list, which stands for all.
fn some<T>(list: CommaList<T>) -> Option<CommaList<T>> {
    if list.0.is_empty() { None } else { Some(list) }
}

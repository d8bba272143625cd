//! The targets whose metrics are read, and the operation for each.

use std::fmt;

use crate::error::BuildError;
use crate::flink::metrics::{
    AggregatedMetric, Aggregation, GetAggregatedJobMetrics, GetAggregatedSubtaskMetrics,
    GetAggregatedTaskManagerMetrics, GetCoordinatorMetrics, GetJobManagerMetrics, GetJobMetrics, GetSubtaskMetrics,
    GetTaskManagerMetrics, GetVertexMetrics, Metric,
};
use crate::flink::{CommaList, FlinkRest, JobId, TaskManagerId, VertexId};
use crate::flow::{Flow, FlowContext};
use crate::operation::{Operation, OperationInfo, RequestContext};
use crate::url::Base;

/// The target whose metrics are read.
#[derive(Clone, Debug)]
pub enum MetricScope {
    JobManager,
    TaskManager(TaskManagerId),
    Job(JobId),
    Vertex(JobId, VertexId),
    Coordinator(JobId, VertexId),
    Subtask(JobId, VertexId, u32),
}

/// The targets whose metrics are read, and their aggregations.
#[derive(Clone, Debug)]
pub struct AggregateScope {
    pub(super) target: AggregateTarget,
    pub(super) aggregations: Option<CommaList<Aggregation>>,
}

#[derive(Clone, Debug)]
pub(super) enum AggregateTarget {
    TaskManagers(Option<CommaList<TaskManagerId>>),
    Jobs(Option<CommaList<JobId>>),
    Subtasks(JobId, VertexId, Option<String>),
}

pub trait Named {
    const FLOW: &'static str;
    /// Whether the server returns an empty list if one name does not exist.
    const ALL_OR_NOTHING: bool;
}

/// A source of metrics.
pub trait Source: Named {
    type Item: fmt::Debug;

    /// Creates the call that lists the names, or reads the values of some names.
    fn request(
        &self,
        names: Option<CommaList<String>>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Box<dyn Request<Self::Item>>;

    /// Returns the length of the request line without names, in bytes.
    fn line(&self, base: &Base) -> Result<usize, BuildError>;

    fn name(item: &Self::Item) -> &str;
}

/// A call for metrics, whichever operation it is.
pub trait Request<T>: Flow<Output = Vec<T>> + fmt::Debug + Send {}

impl<T, F: Flow<Output = Vec<T>> + fmt::Debug + Send> Request<T> for F {}

/// Returns the length of an operation's request line, in bytes.
fn line_of<O: Operation>(operation: &O, base: &Base) -> Result<usize, BuildError> {
    let request = operation.request(RequestContext::new(base))?;
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let info: &OperationInfo = O::INFO;
    // "METHOD target HTTP/1.1"
    Ok(info.method.as_str().len() + target + 10)
}

/// Evaluates an expression with the operation of a scope.
macro_rules! with_operation {
    ($scope:expr, $names:expr, |$operation:ident| $body:expr) => {{
        let names = $names;
        match $scope {
            MetricScope::JobManager => {
                let mut $operation = GetJobManagerMetrics::new();
                $operation.names = names;
                $body
            }
            MetricScope::TaskManager(id) => {
                let mut $operation = GetTaskManagerMetrics::new(id.clone());
                $operation.names = names;
                $body
            }
            MetricScope::Job(job) => {
                let mut $operation = GetJobMetrics::new(*job);
                $operation.names = names;
                $body
            }
            MetricScope::Vertex(job, vertex) => {
                let mut $operation = GetVertexMetrics::new(*job, *vertex);
                $operation.names = names;
                $body
            }
            MetricScope::Coordinator(job, vertex) => {
                let mut $operation = GetCoordinatorMetrics::new(*job, *vertex);
                $operation.names = names;
                $body
            }
            MetricScope::Subtask(job, vertex, subtask) => {
                let mut $operation = GetSubtaskMetrics::new(*job, *vertex, *subtask);
                $operation.names = names;
                $body
            }
        }
    }};
}

/// The same for aggregates. Without names, the server only lists names.
macro_rules! with_aggregate {
    ($scope:expr, $names:expr, |$operation:ident| $body:expr) => {{
        let names: Option<CommaList<String>> = $names;
        let aggregations = names.as_ref().and($scope.aggregations.clone());
        match &$scope.target {
            AggregateTarget::TaskManagers(only) => {
                let mut $operation = GetAggregatedTaskManagerMetrics::new();
                ($operation.names, $operation.aggregations) = (names, aggregations);
                $operation.task_managers.clone_from(only);
                $body
            }
            AggregateTarget::Jobs(only) => {
                let mut $operation = GetAggregatedJobMetrics::new();
                ($operation.names, $operation.aggregations) = (names, aggregations);
                $operation.jobs.clone_from(only);
                $body
            }
            AggregateTarget::Subtasks(job, vertex, only) => {
                let mut $operation = GetAggregatedSubtaskMetrics::new(*job, *vertex);
                ($operation.names, $operation.aggregations) = (names, aggregations);
                $operation.subtasks.clone_from(only);
                $body
            }
        }
    }};
}

impl Source for MetricScope {
    type Item = Metric;

    fn request(&self, names: Option<CommaList<String>>, cx: &mut FlowContext<FlinkRest>) -> Box<dyn Request<Metric>> {
        with_operation!(self, names, |operation| Box::new(cx.call(operation)))
    }

    fn line(&self, base: &Base) -> Result<usize, BuildError> {
        with_operation!(self, Some(CommaList::default()), |operation| line_of(&operation, base))
    }

    fn name(item: &Metric) -> &str {
        &item.id
    }
}

impl Source for AggregateScope {
    type Item = AggregatedMetric;

    fn request(
        &self,
        names: Option<CommaList<String>>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Box<dyn Request<AggregatedMetric>> {
        with_aggregate!(self, names, |operation| Box::new(cx.call(operation)))
    }

    fn line(&self, base: &Base) -> Result<usize, BuildError> {
        with_aggregate!(self, Some(CommaList::default()), |operation| line_of(&operation, base))
    }

    fn name(item: &AggregatedMetric) -> &str {
        &item.id
    }
}

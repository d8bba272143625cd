//! The goals [`ReadMetrics`] and [`ReadAggregatedMetrics`]: names and values by one call.
//!
//! ```text
//!  Names ──some──▶ Values ──▶ … ──▶ Values ──any──▶ done
//!   ▲ │ └──none──┐                    │
//!   └─┴── Wait ◀─┴────────none────────┘      patience over: done, with none
//! ```
//!
//! Names that are given are not asked for. No request line passes the 4096 bytes that the server reads: names are split, and
//! the answers joined again. The JobManager fetches metrics lazily, so that no metrics may mean not yet; and it refuses
//! nothing unknown, so that it may also mean that there is no such job. Whoever wants to tell these apart asks for the job.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use super::Pace;
use crate::error::BuildError;
use crate::flink::metrics::{
    AggregatedMetric, Aggregation, GetAggregatedJobMetrics, GetAggregatedSubtaskMetrics,
    GetAggregatedTaskManagerMetrics, GetCoordinatorMetrics, GetJobManagerMetrics, GetJobMetrics, GetSubtaskMetrics,
    GetTaskManagerMetrics, GetVertexMetrics, Metric,
};
use crate::flink::{CommaList, FlinkRest, JobId, TaskManagerId, VertexId};
use crate::flow::{Call, Common, Config, Flow, Goal, Machine, Reply, Running, Step, ok};
use crate::operation::{Info, Operation, RequestContext, Service};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::url::{Base, query_length};

/// Somewhat longer than `metrics.fetcher.update-interval` (10 s), before which the JobManager need not fetch again.
const PATIENCE: Duration = Duration::from_secs(12);

/// Reads the metrics of something: all that it has, or those that are named.
///
/// Comes to the metrics with their values: those that were named in that order, or all by name. Names that do not exist are
/// left out. Values may be up to 10 s old, and older at the first question after a pause: ask again for newer ones. Of what
/// is unknown there are none, after [`patience`](Self::patience).
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
    patience: Duration,
    within: Option<Duration>,
}

/// Reads metrics of several things, taken together: all that they have, or those that are named.
///
/// Comes to the metrics with their values, like [`ReadMetrics`]. Metrics that are no numbers are left out.
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
    patience: Duration,
    within: Option<Duration>,
}

impl ReadMetrics {
    fn new(scope: MetricScope) -> Self {
        Self { scope, names: None, patience: PATIENCE, within: None }
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
    fn new(question: AggregateQuestion) -> Self {
        let scope = AggregateScope { question, aggregations: None };
        Self { scope, names: None, patience: PATIENCE, within: None }
    }

    /// Of all TaskManagers, or of some if any are given.
    pub fn of_task_managers(only: impl Into<CommaList<TaskManagerId>>) -> Self {
        Self::new(AggregateQuestion::TaskManagers(some(only.into())))
    }

    /// Of all jobs, or of some if any are given.
    pub fn of_jobs(only: impl Into<CommaList<JobId>>) -> Self {
        Self::new(AggregateQuestion::Jobs(some(only.into())))
    }

    /// Of all subtasks of a vertex.
    pub fn of_subtasks(job: JobId, vertex: VertexId) -> Self {
        Self::new(AggregateQuestion::Subtasks(job, vertex, None))
    }

    /// Of some subtasks of a vertex: numbers and ranges, as in `0-2,5`.
    pub fn of_some_subtasks(job: JobId, vertex: VertexId, subtasks: impl Into<String>) -> Self {
        Self::new(AggregateQuestion::Subtasks(job, vertex, Some(subtasks.into())))
    }

    /// How to take them together; in every way by default.
    pub fn aggregations(mut self, aggregations: impl Into<CommaList<Aggregation>>) -> Self {
        self.scope.aggregations = some(aggregations.into());
        self
    }
}

/// What both goals have.
macro_rules! goal {
    ($goal:ident, $scope:ident, $item:ty, $name:literal) => {
        impl $goal {
            /// These metrics only, and in this order.
            pub fn names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
                self.names = Some(names.into_iter().map(Into::into).collect());
                self
            }

            /// How long to go on asking while there are none; 12 s by default, because the server fetches them only
            /// when it is asked, and every 10 s at the most. With zero it is asked once.
            pub fn patience(mut self, patience: Duration) -> Self {
                self.patience = patience;
                self
            }

            /// How long the flow may take; as long as it takes by default.
            pub fn within(mut self, time: Duration) -> Self {
                self.within = Some(time);
                self
            }
        }

        impl Goal for $goal {
            type Service = FlinkRest;
            type Output = Vec<$item>;
            type Flow = Running<MetricsMachine<$scope>>;

            fn start(self, config: &Config<FlinkRest>, seed: Seed) -> Self::Flow {
                let machine = MetricsMachine {
                    source: self.scope,
                    names: self.names,
                    patience: self.patience,
                    until: None,
                    pace: Pace::START,
                    pending: VecDeque::new(),
                    found: BTreeMap::new(),
                    state: State::Start,
                };
                Running::new(machine, config, seed, self.within)
            }
        }

        impl Named for $scope {
            const FLOW: &'static str = $name;
        }
    };
}

goal!(ReadMetrics, MetricScope, Metric, "ReadMetrics");
goal!(ReadAggregatedMetrics, AggregateScope, AggregatedMetric, "ReadAggregatedMetrics");

/// `None` for all.
fn some<T>(list: CommaList<T>) -> Option<CommaList<T>> {
    if list.0.is_empty() { None } else { Some(list) }
}

/// Whose metrics.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum MetricScope {
    JobManager,
    TaskManager(TaskManagerId),
    Job(JobId),
    Vertex(JobId, VertexId),
    Coordinator(JobId, VertexId),
    Subtask(JobId, VertexId, u32),
}

/// Whose metrics, and how they are taken together.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct AggregateScope {
    question: AggregateQuestion,
    aggregations: Option<CommaList<Aggregation>>,
}

#[derive(Clone, Debug)]
enum AggregateQuestion {
    TaskManagers(Option<CommaList<TaskManagerId>>),
    Jobs(Option<CommaList<JobId>>),
    Subtasks(JobId, VertexId, Option<String>),
}

#[doc(hidden)]
pub trait Named {
    const FLOW: &'static str;
}

/// Where metrics come from.
#[doc(hidden)]
pub trait Source: Named {
    type Item: fmt::Debug;

    /// The call that lists the names, or gets the values of some.
    fn ask(&self, names: Option<CommaList<String>>, cx: &mut Common<FlinkRest>) -> Box<dyn Ask<Self::Item>>;

    /// How long the request line is without names.
    fn line(&self, base: &Base) -> Result<usize, BuildError>;

    fn name(item: &Self::Item) -> &str;
}

/// A call for metrics, whichever operation it is.
#[doc(hidden)]
pub trait Ask<T>: fmt::Debug + Send {
    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<Vec<T>>;
}

impl<T: Send, O: Operation<Output = Vec<T>> + fmt::Debug + Send> Ask<T> for Call<O> {
    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<Vec<T>> {
        Flow::poll(self, now, reply)
    }
}

/// How long the request line of an operation is.
fn line_of<O: Operation>(operation: &O, base: &Base) -> Result<usize, BuildError> {
    let request = operation.request(RequestContext::new(base))?;
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let info: &Info = O::INFO;
    // "METHOD target HTTP/1.1"
    Ok(info.method.as_str().len() + target + 10)
}

/// Does the same with whichever operation a scope means.
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

/// The same for aggregates. Without names only names are listed, and there is nothing to aggregate.
macro_rules! with_aggregate {
    ($scope:expr, $names:expr, |$operation:ident| $body:expr) => {{
        let names: Option<CommaList<String>> = $names;
        let aggregations = names.as_ref().and($scope.aggregations.clone());
        match &$scope.question {
            AggregateQuestion::TaskManagers(only) => {
                let mut $operation = GetAggregatedTaskManagerMetrics::new();
                ($operation.names, $operation.aggregations) = (names, aggregations);
                $operation.task_managers.clone_from(only);
                $body
            }
            AggregateQuestion::Jobs(only) => {
                let mut $operation = GetAggregatedJobMetrics::new();
                ($operation.names, $operation.aggregations) = (names, aggregations);
                $operation.jobs.clone_from(only);
                $body
            }
            AggregateQuestion::Subtasks(job, vertex, only) => {
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

    fn ask(&self, names: Option<CommaList<String>>, cx: &mut Common<FlinkRest>) -> Box<dyn Ask<Metric>> {
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

    fn ask(&self, names: Option<CommaList<String>>, cx: &mut Common<FlinkRest>) -> Box<dyn Ask<AggregatedMetric>> {
        with_aggregate!(self, names, |operation| Box::new(cx.call(operation)))
    }

    fn line(&self, base: &Base) -> Result<usize, BuildError> {
        with_aggregate!(self, Some(CommaList::default()), |operation| line_of(&operation, base))
    }

    fn name(item: &AggregatedMetric) -> &str {
        &item.id
    }
}

/// The transitions of [`ReadMetrics`] and [`ReadAggregatedMetrics`].
#[doc(hidden)]
#[derive(Debug)]
pub struct MetricsMachine<S: Source> {
    source: S,
    /// Those that were asked for.
    names: Option<Vec<String>>,
    patience: Duration,
    /// When patience is over.
    until: Option<Timestamp>,
    pace: Pace,
    /// Names that were not asked for yet.
    pending: VecDeque<String>,
    found: BTreeMap<String, S::Item>,
    state: State<S::Item>,
}

#[derive(Debug)]
enum State<T> {
    Start,
    Names(Box<dyn Ask<T>>),
    /// Asks for the first of the pending names.
    Next,
    Values(Box<dyn Ask<T>>),
    /// There are none.
    Empty,
    Wait(Timestamp),
}

impl<S: Source> MetricsMachine<S> {
    /// Takes as many of the pending names as fit into one request line, and at least one.
    fn take_names(&mut self, base: &Base) -> Result<CommaList<String>, BuildError> {
        let mut room = FlinkRest::MAX_REQUEST_LINE.saturating_sub(self.source.line(base)?);
        let mut names = Vec::new();
        while let Some(name) = self.pending.front() {
            // A comma in between takes three bytes, once it is encoded.
            let length = query_length(name) + if names.is_empty() { 0 } else { 3 };
            if length > room && !names.is_empty() {
                break;
            }
            room = room.saturating_sub(length);
            names.extend(self.pending.pop_front());
        }
        Ok(CommaList(names))
    }

    /// What was found, in the order that it was asked for.
    fn result(&mut self) -> Vec<S::Item> {
        let mut found = std::mem::take(&mut self.found);
        match &self.names {
            Some(names) => names.iter().filter_map(|name| found.remove(name)).collect(),
            None => found.into_values().collect(),
        }
    }
}

impl<S: Source> Machine for MetricsMachine<S> {
    type Service = FlinkRest;
    type Output = Vec<S::Item>;
    const NAME: &'static str = S::FLOW;

    fn step(&mut self, cx: &mut Common<FlinkRest>, reply: &mut Option<Reply>) -> Step<Vec<S::Item>> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Start => {
                    self.state = match &self.names {
                        Some(names) => {
                            self.pending = names.iter().cloned().collect();
                            State::Next
                        }
                        None => State::Names(self.source.ask(None, cx)),
                    };
                }
                State::Names(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(names) => {
                        let names_of = names.iter().map(S::name);
                        // What cannot be asked for is no reason to keep the others back.
                        self.pending = names_of.filter(|name| !name.contains(',')).map(str::to_owned).collect();
                        self.state = if names.is_empty() { State::Empty } else { State::Next };
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Next if self.pending.is_empty() => {
                    // None were found, although some were asked for.
                    if self.found.is_empty() && self.names.as_ref().is_none_or(|names| !names.is_empty()) {
                        self.state = State::Empty;
                    } else {
                        return Step::Done(Ok(self.result()));
                    }
                }
                State::Next => match self.take_names(cx.base()) {
                    Ok(names) => self.state = State::Values(self.source.ask(Some(names), cx)),
                    Err(error) => return Step::Done(Err(error.into())),
                },
                State::Values(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(metrics) => {
                        self.found.extend(metrics.into_iter().map(|metric| (S::name(&metric).to_owned(), metric)));
                        self.state = State::Next;
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Empty => {
                    let until = *self.until.get_or_insert(cx.now() + self.patience);
                    if cx.now() >= until {
                        return Step::Done(Ok(Vec::new()));
                    }
                    cx.phase(Self::NAME, "waiting until the JobManager has fetched metrics");
                    self.state = State::Wait(self.pace.next(cx.now()).min(until));
                }
                State::Wait(at) => {
                    if let Some(step) = cx.wait_until(*at, "metrics", reply) {
                        return step;
                    }
                    self.state = State::Start;
                }
            }
        }
    }
}

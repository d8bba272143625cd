//! The goal [`Rescale`].
//!
//! ```text
//!  Read ──▶ Put ──▶ Overview ──as many tasks run as should──▶ Details ──reached──▶ done
//!                    ▲   └─▶ the job has ended: failed          │
//!                    ├──────────── Wait ◀───────────────────────┘ not yet
//!                    │              │ after every 10 polls
//!                    └─ the same ─ Check ──▶ other bounds: failed
//! ```
//!
//! The overview is not cached, but only counts the job's tasks. The details list the vertices, but are cached. So the
//! parallelism is reached if the details show it, and their number of tasks is the number in the overview.
//!
//! If it is not known whether the bounds were put, Check reads the bounds. If they are not the requested bounds, the
//! flow puts them again, until its deadline, or for 90 s without a deadline. If the cluster cannot reach its
//! JobManager, the flow polls again for the same time.
//!
//! If another client puts other bounds, Flink replaces the bounds without a notification, and the flow would wait
//! forever. So Check reads the bounds again after every 10 polls.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::PollInterval;
use super::lookup_retry::LookupRetry;
use crate::error::FlowError;
use crate::flink::flow::await_job::unreadable_jobs;
use crate::flink::jobs::{GetJob, GetJobsOverview, JobDetails, JobSummary, TaskState};
use crate::flink::rescaling::{
    GetResourceRequirements, ParallelismBounds, PutResourceRequirements, ResourceRequirements,
};
use crate::flink::tuning::POLLS_PER_BOUNDS_CHECK;
use crate::flink::{FlinkRest, JobId, VertexId, error};
use crate::flow::{Call, FlowContext, Notice, StateMachine, Transition, done, goal};
use crate::time::Timestamp;

/// Changes the parallelism of a running job and waits until it is reached. Since 1.18, with the adaptive scheduler.
///
/// After the scheduler's cool-down time (30 s by default), the job restarts from its last checkpoint with the new
/// parallelism. Set a [`timeout`](Self::timeout): if the cluster has fewer slots than requested, the parallelism is
/// never reached. The flow saves no state: after an error or a crash, run the goal again.
///
/// # Errors
/// * [`FlowError::Service`] if the cluster rejects the bounds: the job uses the default scheduler or is not known (see
///   [`is_unknown_job`](crate::flink::is_unknown_job)), a vertex is not known, or a bound is above the vertex's maximum
///   parallelism.
/// * [`FlowError::Failed`] if the job ends in the meantime, or another client puts other bounds.
/// * [`FlowError::Ambiguous`] if it is not known whether the bounds were put, and the flow could not read them.
/// * [`FlowError::Deadline`] if the timeout expires. The bounds stay in effect.
///
/// ```
/// use pipewright::flink::{JobId, Rescale};
/// use std::time::Duration;
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let goal = Rescale::to(job, 4).settle_for(2).timeout(Duration::from_secs(120));
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Rescale {
    job: JobId,
    all: Option<ParallelismBounds>,
    vertices: BTreeMap<VertexId, ParallelismBounds>,
    settle_for: Option<u32>,
    timeout: Option<Duration>,
}

impl Rescale {
    /// Runs every vertex with one parallelism. If the cluster has fewer slots, the job uses all of them, and the flow
    /// waits for more.
    pub fn to(job: JobId, parallelism: u32) -> Self {
        Self::between(job, ParallelismBounds::new(1, parallelism))
    }

    /// Runs every vertex within bounds; the flow waits for the upper bound. If the cluster has fewer slots than the
    /// lower bound, the job does not run.
    pub fn between(job: JobId, bounds: ParallelismBounds) -> Self {
        Self { job, all: Some(bounds), vertices: BTreeMap::new(), settle_for: None, timeout: None }
    }

    /// Changes only the vertices that are given with [`vertex`](Self::vertex). The other vertices keep their bounds.
    ///
    /// The cluster accepts only the bounds of all vertices together, so the flow reads, changes and puts all of them.
    /// If another client puts bounds between the two requests, those bounds are lost.
    pub fn some(job: JobId) -> Self {
        Self { job, all: None, vertices: BTreeMap::new(), settle_for: None, timeout: None }
    }

    /// Sets the bounds of one vertex.
    pub fn vertex(mut self, vertex: VertexId, bounds: ParallelismBounds) -> Self {
        self.vertices.insert(vertex, bounds);
        self
    }

    /// Ends the wait when every vertex has at least this parallelism, or its upper bound if that is lower.
    pub fn settle_for(mut self, parallelism: u32) -> Self {
        self.settle_for = Some(parallelism);
        self
    }

    /// Returns the bounds to put.
    fn apply(&self, mut requirements: ResourceRequirements) -> ResourceRequirements {
        if let Some(bounds) = &self.all {
            requirements = requirements.with_all(bounds);
        }
        for (vertex, bounds) in &self.vertices {
            requirements = requirements.with(*vertex, bounds.clone());
        }
        requirements
    }
}

/// A job that runs with its new parallelism.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rescaled {
    #[allow(missing_docs, reason = "the name says everything")]
    pub job: JobId,
    /// The parallelism of each vertex.
    pub parallelism: BTreeMap<VertexId, u32>,
}

/// The transitions of [`Rescale`].
#[derive(Debug)]
pub struct RescaleMachine {
    goal: Rescale,
    /// The bounds that were put.
    wanted: ResourceRequirements,
    last_observed: Option<String>,
    /// How often the job was polled since the bounds were put.
    polls: u32,
    /// A request for the bounds whose outcome is unknown.
    lost: Option<FlowError>,
    retry: LookupRetry,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Read(Call<GetResourceRequirements>),
    Put(Call<PutResourceRequirements>),
    Overview(Call<GetJobsOverview>),
    /// Reads the details; with the number of tasks in the overview.
    Details(Call<GetJob>, u32),
    Wait(Timestamp),
    /// Reads whether the bounds are still those that the flow has put.
    Check(Call<GetResourceRequirements>),
}

/// Returns whether the cluster could not reach its JobManager: another JobManager takes over.
fn is_passing(error: &FlowError) -> bool {
    matches!(error, FlowError::Service(error) if error::is_passing(error))
}

impl RescaleMachine {
    fn what(&self) -> String {
        format!("rescaling of job {}", self.goal.job)
    }

    fn failed(&self, reason: String) -> FlowError {
        FlowError::failed(self.what(), reason)
    }

    /// Returns the least and the greatest parallelism that a vertex may have at the end.
    fn accepted(&self, upper: u32) -> (u32, u32) {
        (self.goal.settle_for.map_or(upper, |least| least.min(upper)), upper)
    }

    /// Returns whether this number of tasks is within the bounds.
    fn may_be(&self, tasks: u32) -> bool {
        let sum = |of: fn((u32, u32)) -> u32| {
            let bounds = self.wanted.0.values().map(|vertex| of(self.accepted(vertex.parallelism.upper)));
            bounds.fold(0, u32::saturating_add)
        };
        (sum(|(least, _)| least)..=sum(|(_, most)| most)).contains(&tasks)
    }

    fn reached(&self, tasks: u32, details: &JobDetails) -> Option<BTreeMap<VertexId, u32>> {
        let mut parallelism = BTreeMap::new();
        for vertex in &details.vertices {
            let has = u32::try_from(vertex.parallelism?).ok()?;
            let (least, most) = self.accepted(self.wanted.0.get(&vertex.id)?.parallelism.upper);
            let running = vertex.tasks.get(&TaskState::Running).copied().unwrap_or_default();
            let finished = vertex.tasks.get(&TaskState::Finished).copied().unwrap_or_default();
            if !(least..=most).contains(&has) || running.saturating_add(finished) != has {
                return None;
            }
            parallelism.insert(vertex.id, has);
        }
        let sum = parallelism.values().copied().fold(0, u32::saturating_add);
        (sum == tasks && parallelism.len() == self.wanted.0.len()).then_some(parallelism)
    }

    fn overview(&mut self, job: Option<JobSummary>, cx: &mut FlowContext<FlinkRest>) -> Result<(), FlowError> {
        let Some(job) = job else {
            return Err(self.failed("the cluster no longer knows the job".to_owned()));
        };
        let observed = format!("{}, with {} tasks", job.state, job.tasks.total);
        if self.last_observed.as_ref() != Some(&observed) {
            cx.say(Notice::Observed { what: format!("job {}", self.goal.job), state: observed.clone() });
            self.pace = PollInterval::START;
        }
        if job.state.is_terminal() {
            return Err(self.failed(format!("the job is {}", job.state)));
        }
        self.last_observed = Some(observed);
        self.state = if job.tasks.all_running() && self.may_be(job.tasks.total) {
            State::Details(cx.call(GetJob::new(self.goal.job)), job.tasks.total)
        } else {
            State::Wait(self.pace.next(cx.now()))
        };
        Ok(())
    }
}

impl StateMachine for RescaleMachine {
    type Service = FlinkRest;
    type Output = Rescaled;
    const NAME: &'static str = "Rescale";
    const PHASES: &'static [&'static str] =
        &["reading the bounds", "putting the bounds", "waiting for the job to follow"];

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Rescaled> {
        match &mut self.state {
            State::Start => {
                cx.phase(Self::NAME, "reading the bounds");
                self.state = State::Read(cx.call(GetResourceRequirements::new(self.goal.job)));
            }
            State::Read(call) => match cx.poll(call)? {
                Ok(requirements) => {
                    self.wanted = self.goal.apply(requirements);
                    cx.phase(Self::NAME, "putting the bounds");
                    let put = PutResourceRequirements::new(self.goal.job, self.wanted.clone());
                    self.state = State::Put(cx.call(put));
                }
                Err(error) => return done(Err(error)),
            },
            State::Put(call) => match cx.poll(call)? {
                Ok(_) => {
                    cx.phase(Self::NAME, "waiting for the job to follow");
                    (self.lost, self.polls) = (None, 0);
                    self.retry.answered();
                    self.state = State::Overview(cx.call(GetJobsOverview::new()));
                }
                // Reading the bounds shows whether they were put.
                Err(error) if error.is_ambiguous() && self.retry.allows(&error, cx) => {
                    self.lost = Some(error);
                    self.state = State::Check(cx.call(GetResourceRequirements::new(self.goal.job)));
                }
                Err(error) => return done(Err(error)),
            },
            State::Overview(call) => match cx.poll(call)? {
                Ok(overview) => {
                    self.retry.answered();
                    let job = overview.jobs.iter().find(|job| job.id == self.goal.job).cloned();
                    if job.is_none() && !overview.jobs.is_complete() {
                        return done(Err(self.failed(unreadable_jobs(&overview.jobs))));
                    }
                    if let Err(error) = self.overview(job, cx) {
                        return done(Err(error));
                    }
                }
                Err(error) if is_passing(&error) && self.retry.allows(&error, cx) => {
                    self.state = State::Wait(self.pace.next(cx.now()));
                }
                Err(error) => return done(Err(error)),
            },
            State::Details(call, tasks) => match (cx.poll(call)?, *tasks) {
                (Ok(details), tasks) => match self.reached(tasks, &details) {
                    Some(parallelism) => return done(Ok(Rescaled { job: self.goal.job, parallelism })),
                    None => self.state = State::Wait(self.pace.next(cx.now())),
                },
                (Err(error), _) if is_passing(&error) && self.retry.allows(&error, cx) => {
                    self.state = State::Wait(self.pace.next(cx.now()));
                }
                (Err(error), _) => return done(Err(error)),
            },
            State::Wait(until) => {
                cx.wait(*until, "the parallelism to be reached")?;
                self.polls += 1;
                self.state = if self.lost.is_some() || self.polls.is_multiple_of(POLLS_PER_BOUNDS_CHECK) {
                    State::Check(cx.call(GetResourceRequirements::new(self.goal.job)))
                } else {
                    State::Overview(cx.call(GetJobsOverview::new()))
                };
            }
            State::Check(call) => match cx.poll(call)? {
                Ok(bounds) if bounds != self.wanted && self.lost.is_some() => {
                    let put = PutResourceRequirements::new(self.goal.job, self.wanted.clone());
                    self.state = State::Put(cx.call(put));
                }
                Err(error) if self.lost.is_some() => {
                    if !self.retry.allows(&error, cx) {
                        return done(Err(self.lost.take().unwrap_or(error)));
                    }
                    self.state = State::Wait(self.pace.next(cx.now()));
                }
                Ok(bounds) if bounds != self.wanted => {
                    return done(Err(self.failed("another client has put other bounds".to_owned())));
                }
                // If the job is unknown by now, or is being recovered, the overview shows it.
                Ok(_) | Err(FlowError::Service(_)) => {
                    self.lost = None;
                    self.state = State::Overview(cx.call(GetJobsOverview::new()));
                }
                Err(error) => return done(Err(error)),
            },
        }
        ControlFlow::Continue(())
    }
}

impl From<Rescale> for RescaleMachine {
    fn from(goal: Rescale) -> Self {
        let wanted = ResourceRequirements::default();
        RescaleMachine {
            goal,
            wanted,
            last_observed: None,
            polls: 0,
            lost: None,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }
}

goal!(Rescale: FlinkRest => Rescaled, RescaleMachine);

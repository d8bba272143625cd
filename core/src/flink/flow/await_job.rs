//! The goal [`AwaitJob`].
//!
//! ```text
//!  Poll ─▶ terminal ──▶ Result ──▶ done
//!   ▲ │ └▶ RUNNING, and that is the goal ──▶ Tasks ──all──▶ done
//!   │ └──▶ any other state                    │
//!   └───────────── Wait ◀─────────────────────┘ not all, or not known yet
//! ```
//!
//! [`Cancel`](super::Cancel) and [`StopWithSavepoint`](super::StopWithSavepoint) use this machine for a job that is
//! ending. It also returns if the job is no longer ending: a failover may restore a job that was being cancelled.
//!
//! The flow decides by `/status`, `/execution-result` and `/jobs/overview`, which Flink does not cache.

use std::ops::ControlFlow;
use std::time::Duration;

use super::PollInterval;
use super::lookup_retry::LookupRetry;
use super::observation_window::ObservationWindow;
use crate::error::FlowError;
use crate::flink::error::{is_passing, is_unknown_job};
use crate::flink::jobs::{
    GetJobExecutionResult, GetJobStatus, GetJobsOverview, JobResult, JobState, JobSummary, QueueStatus,
};
use crate::flink::{FlinkRest, JobId, PartialList};
use crate::flow::{Call, FlowContext, Notice, StateMachine, Transition, done, goal};
use crate::time::Timestamp;

/// Waits until a job has ended, or until it runs.
///
/// The flow returns a [`JobReport`] even if the job has failed: check its state. The flow keeps waiting while the job
/// is SUSPENDED, because another JobManager may recover it. If the JobManager is dead or hangs, the flow polls until
/// its deadline, or for 90 s without a deadline: with high availability, another JobManager takes over.
///
/// # Errors
/// * [`FlowError::Service`] if the cluster does not know the job (see [`is_unknown_job`]), or rejects a request.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires. Run the goal again to continue waiting.
///
/// ```
/// use pipewright::flink::{AwaitJob, JobId};
/// use std::time::Duration;
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let goal = AwaitJob::ended(job).timeout(Duration::from_secs(3600));
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct AwaitJob {
    job: JobId,
    goal: Awaited,
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Ended,
    /// Ended, or no longer ending.
    Ending,
    Running,
}

impl AwaitJob {
    /// Waits until the job is FINISHED, CANCELED or FAILED.
    pub fn ended(job: JobId) -> Self {
        Self { job, goal: Awaited::Ended, timeout: None }
    }

    /// Waits until the job and all its tasks are RUNNING, or until the job has ended. A task that has finished by
    /// itself counts as running.
    pub fn running(job: JobId) -> Self {
        Self { job, goal: Awaited::Running, timeout: None }
    }
}

impl From<AwaitJob> for AwaitMachine {
    fn from(goal: AwaitJob) -> Self {
        Self {
            job: goal.job,
            goal: goal.goal,
            last_state: None,
            requested_at: Timestamp::UNIX_EPOCH,
            observed: ObservationWindow::default(),
            mark: None,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }
}

/// The state of a job when the wait was over.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "the job may have failed"]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names of some fields say everything")]
pub struct JobReport {
    pub job: JobId,
    pub state: JobState,
    /// How the job ended. `None` if it has not ended, or if the cluster no longer has the result.
    pub result: Option<JobResult>,
}

impl JobReport {
    /// Returns why the job failed, in one line; `None` if it has not failed or the cluster gave no cause.
    pub fn failure(&self) -> Option<String> {
        Some(self.result.as_ref()?.failure_cause.as_ref()?.cause().to_string())
    }
}

/// The transitions of [`AwaitJob`].
#[derive(Debug)]
pub struct AwaitMachine {
    job: JobId,
    goal: Awaited,
    last_state: Option<JobState>,
    /// When the last request began, and when the cluster has answered.
    requested_at: Timestamp,
    observed: ObservationWindow,
    /// What the overview said when all tasks ran.
    mark: Option<TaskMark>,
    /// For how long the job is polled although the cluster cannot reach its JobManager.
    retry: LookupRetry,
    pace: PollInterval,
    state: State,
}

/// A mark that changes with each task that starts or finishes: two equal marks show that no task was restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskMark {
    /// When the last task entered the state that it is in.
    pub(super) modified: i64,
    /// How many tasks have finished by themselves.
    pub(super) finished: u32,
}

impl TaskMark {
    /// Returns the mark of a job; `None` unless all its tasks run or have finished by themselves.
    pub(super) fn of(job: &JobSummary) -> Option<Self> {
        let is_running = job.state == JobState::Running && job.tasks.all_running();
        is_running.then_some(Self { modified: job.last_modification.0, finished: job.tasks.finished })
    }
}

#[derive(Debug)]
enum State {
    Start,
    Poll(Call<GetJobStatus>),
    Tasks(Call<GetJobsOverview>),
    Result(Call<GetJobExecutionResult>),
    Wait(Timestamp),
}

/// Says that a job may be in a list although it was not read from it.
pub(super) fn unreadable_jobs(jobs: &PartialList<JobSummary>) -> String {
    let number = jobs.unreadable();
    format!("it may be one of {number} listed jobs that this version of the library cannot read; update the library")
}

impl AwaitMachine {
    /// Waits until a job that is ending has ended, or is no longer ending.
    pub(super) fn ending(job: JobId) -> Self {
        AwaitJob { job, goal: Awaited::Ending, timeout: None }.into()
    }

    /// Continues the observation of a job that another flow has polled before.
    pub(super) fn observing(mut self, observed: ObservationWindow) -> Self {
        self.observed = observed;
        self
    }

    pub(super) fn observed(&self) -> ObservationWindow {
        self.observed
    }

    /// Returns the mark of the tasks at the poll at which all of them ran.
    pub(super) fn mark(&self) -> Option<TaskMark> {
        self.mark
    }

    /// Whether the job had not ended when the cluster was polled last; false if it has not answered, or does not know
    /// the job.
    pub(super) fn is_alive(&self) -> bool {
        self.last_state.as_ref().is_some_and(|state| !state.is_terminal())
    }

    fn report(&self, result: Option<JobResult>) -> JobReport {
        let state = self.last_state.clone().unwrap_or(JobState::Unknown("".into()));
        JobReport { job: self.job, state, result }
    }

    fn wait(&mut self, now: Timestamp) {
        self.state = State::Wait(self.pace.next(now));
    }

    /// Returns whether the error is only that the cluster cannot reach its JobManager, and there is time for a poll.
    fn may_poll_again(&mut self, error: &FlowError, cx: &FlowContext<FlinkRest>) -> bool {
        matches!(error, FlowError::Service(error) if is_passing(error)) && self.retry.allows(error, cx)
    }

    fn saw(&mut self, state: JobState, cx: &mut FlowContext<FlinkRest>) -> Option<JobReport> {
        if self.last_state.as_ref() != Some(&state) {
            cx.say(Notice::Observed { what: format!("job {}", self.job), state: state.to_string() });
            // A state that has just changed may change again soon.
            self.pace = PollInterval::START;
        }
        let is_terminal = state.is_terminal();
        let is_running = state == JobState::Running;
        // Another JobManager may recover a suspended job.
        let is_ending = matches!(state, JobState::Cancelling | JobState::Failing | JobState::Suspended);
        self.observed.record(self.requested_at);
        self.retry.answered();
        self.last_state = Some(state);
        match self.goal {
            _ if is_terminal => self.state = State::Result(cx.call(GetJobExecutionResult::new(self.job))),
            Awaited::Running if is_running => self.state = State::Tasks(cx.call(GetJobsOverview::new())),
            Awaited::Ending if !is_ending => return Some(self.report(None)),
            _ => self.wait(cx.now()),
        }
        None
    }
}

impl StateMachine for AwaitMachine {
    type Service = FlinkRest;
    type Output = JobReport;
    const NAME: &'static str = "AwaitJob";

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<JobReport> {
        match &mut self.state {
            State::Start => {
                self.requested_at = cx.now();
                self.state = State::Poll(cx.call(GetJobStatus::new(self.job)));
            }
            State::Poll(call) => match cx.poll(call)? {
                Ok(job) => {
                    if let Some(report) = self.saw(job.status, cx) {
                        return done(Ok(report));
                    }
                }
                Err(error) if self.may_poll_again(&error, cx) => self.wait(cx.now()),
                Err(error) => {
                    if error.service().is_some_and(is_unknown_job) {
                        self.last_state = None;
                    }
                    return done(Err(error));
                }
            },
            State::Tasks(call) => match cx.poll(call)? {
                Ok(overview) => {
                    self.observed.record(self.requested_at);
                    let job = overview.jobs.iter().find(|job| job.id == self.job);
                    if job.is_none() && !overview.jobs.is_complete() {
                        cx.note(format!("job {}", self.job), unreadable_jobs(&overview.jobs));
                    }
                    self.mark = job.and_then(TaskMark::of);
                    if self.mark.is_some() {
                        return done(Ok(self.report(None)));
                    }
                    self.wait(cx.now());
                }
                Err(error) if self.may_poll_again(&error, cx) => self.wait(cx.now()),
                Err(error) => return done(Err(error)),
            },
            State::Result(call) => match cx.poll(call)? {
                // The status may show the end a little before the result does.
                Ok(result) if result.status.id == QueueStatus::InProgress => self.wait(cx.now()),
                Ok(result) => return done(Ok(self.report(result.result))),
                // The final state is known. The cluster may have forgotten the result, or it is too large or out of
                // reach.
                Err(_) => return done(Ok(self.report(None))),
            },
            State::Wait(until) => {
                cx.wait(*until, "the job")?;
                self.state = State::Start;
            }
        }
        ControlFlow::Continue(())
    }
}

goal!(AwaitJob: FlinkRest => JobReport, AwaitMachine);

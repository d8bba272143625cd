//! The goal [`StopWithSavepoint`].
//!
//! ```text
//!  Trigger ──location, saved──▶ Await ──▶ done
//!     │                           ▲ │
//!     │     resumed with a location └─ the job runs on, for some seconds ─▶ failed, with the location
//!     └─ failed ─▶ After ──▶ failed, with what the job is doing now
//!                    └─ an attempt got no answer, and the job has ended, is unknown, or cannot be
//!                       asked for ─▶ Lost ──▶ ambiguous
//! ```
//!
//! A job whose savepoint is written has no tasks any more and is about to be FINISHED. One that is seen otherwise for longer
//! was brought back by a failover, from its last checkpoint, and nobody stops it any more.

use std::time::Duration;

use super::Pace;
use super::await_job::AwaitMachine;
use super::look::Look;
use super::trigger::{Kind, Triggered};
use super::triggers::TriggerState;
use crate::error::{Ambiguity, Failure, FlowError};
use crate::flink::error::is_unknown_job;
use crate::flink::jobs::QueueStatus;
use crate::flink::savepoints::{Outcome, SavepointFormat, SavepointStatus};
use crate::flink::{FlinkRest, GetJobStatus, GetSavepointStatus, JobId, JobState, StartStop, TriggerId};
use crate::flow::{Call, Common, Config, Flow, Goal, Machine, Reply, Running, Saved, Step, ok};
use crate::operation::Operation as _;
use crate::seed::Seed;
use crate::table::records;
use crate::time::Timestamp;

/// How long a job whose savepoint is written may be seen in a state that does not lead to its end.
const LAGGING: Duration = Duration::from_secs(5);

records! {
    struct StopState {
        /// What is known of the trigger.
        pub trigger: TriggerState = "trigger",
        /// As in the goal.
        pub target_directory: Option<String> = "target_directory",
        /// As in the goal.
        pub drain: Option<bool> = "drain",
        /// As in the goal.
        pub format: Option<SavepointFormat> = "format",
        /// Where the savepoint is, once it is written.
        pub location: Option<String> = "location",
    }
}

/// Stops a job with a savepoint and waits until it has ended.
///
/// All tasks of the job must run, which takes a moment from its submission: wait with
/// [`AwaitJob::running`](super::AwaitJob::running).
///
/// Ends in [`FlowError::Failed`] when the savepoint fails; the reason then says what the job is doing, because it may run
/// on, restart, or have failed. Also when the savepoint was written and a failover has brought the job back, which then goes
/// on from its last checkpoint: the reason names the savepoint, and another stop takes a newer one. In
/// [`FlowError::Ambiguous`] when the cluster has forgotten the trigger. In [`FlowError::Deadline`] while it is still
/// stopping, and it goes on.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct StopWithSavepoint {
    job: JobId,
    target_directory: Option<String>,
    drain: Option<bool>,
    format: Option<SavepointFormat>,
    given: Option<TriggerId>,
    within: Option<Duration>,
    resumed: Option<TriggerState>,
    location: Option<String>,
}

impl StopWithSavepoint {
    const NAME: &'static str = "StopWithSavepoint";

    /// Stops a job, with a savepoint at the cluster's default place.
    pub fn new(job: JobId) -> Self {
        Self {
            job,
            target_directory: None,
            drain: None,
            format: None,
            given: None,
            within: None,
            resumed: None,
            location: None,
        }
    }

    /// Goes on from a state that an earlier flow announced with [`Notice::Save`](crate::flow::Notice::Save).
    ///
    /// # Errors
    /// [`FlowError::Misuse`] when the state is another flow's.
    pub fn resume(saved: &Saved) -> Result<Self, FlowError> {
        let StopState { trigger, target_directory, drain, format, location } = saved.read(Self::NAME)?;
        let job = trigger.job;
        Ok(Self { target_directory, drain, format, location, resumed: Some(trigger), ..Self::new(job) })
    }

    /// Where to write the savepoint.
    pub fn target_directory(mut self, directory: impl Into<String>) -> Self {
        self.target_directory = Some(directory.into());
        self
    }

    /// First emits the maximum watermark, so that all timers fire: for a job that will not be resumed.
    pub fn drain(mut self, drain: bool) -> Self {
        self.drain = Some(drain);
        self
    }

    /// How to write the savepoint.
    pub fn format(mut self, format: SavepointFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// An id of one's own; it must be new, also among those of savepoints. Chosen from the seed by default.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.given = Some(id);
        self
    }

    /// How long the flow may take; as long as it takes by default.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    pub(super) fn machine(self) -> StopMachine {
        let kind = StopKind { target_directory: self.target_directory, drain: self.drain, format: self.format };
        let trigger = match self.resumed {
            Some(trigger) => Triggered::resumed(kind, trigger),
            None => Triggered::fresh(kind, self.job, self.given),
        };
        let state = match self.location {
            Some(location) => State::Written(location),
            None => State::Start(Some(trigger)),
        };
        StopMachine { job: self.job, astray: None, pace: Pace::START, state }
    }
}

/// A job that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// The job.
    pub job: JobId,
    /// Where the savepoint is: the path to start a job from.
    pub location: String,
    /// How the job ended: FINISHED, unless something else ended it at the same time; `None` when a JobManager that was
    /// restarted meanwhile no longer knows it.
    pub state: Option<JobState>,
}

/// The stop among the background operations.
#[derive(Debug)]
pub(super) struct StopKind {
    target_directory: Option<String>,
    drain: Option<bool>,
    format: Option<SavepointFormat>,
}

impl Kind for StopKind {
    type Start = StartStop;
    type Status = GetSavepointStatus;
    type Value = String;
    const NAME: &'static str = StopWithSavepoint::NAME;
    const WHAT: &'static str = "stop with savepoint";

    fn start(&self, job: JobId, id: TriggerId) -> StartStop {
        let mut start = StartStop::new(job).trigger_id(id);
        start.target_directory.clone_from(&self.target_directory);
        start.drain = self.drain;
        start.format_type.clone_from(&self.format);
        start
    }

    fn status(job: JobId, id: TriggerId) -> GetSavepointStatus {
        GetSavepointStatus::new(job, id)
    }

    fn outcome(_job: JobId, status: &SavepointStatus) -> Option<Outcome<String>> {
        Some(status.outcome()?.map(str::to_owned))
    }

    fn is_over(status: &SavepointStatus) -> bool {
        status.status.id == QueueStatus::Completed
    }

    fn saved(&self, trigger: &TriggerState) -> Saved {
        self.saved_with(trigger, None)
    }

    /// The flow looks at the job after any failure.
    fn is_lost(_failure: &Failure) -> bool {
        false
    }
}

impl StopKind {
    fn saved_with(&self, trigger: &TriggerState, location: Option<String>) -> Saved {
        let state = StopState {
            trigger: trigger.clone(),
            target_directory: self.target_directory.clone(),
            drain: self.drain,
            format: self.format.clone(),
            location,
        };
        Saved::new(Self::NAME, &state)
    }
}

/// The transitions of [`StopWithSavepoint`].
#[doc(hidden)]
#[derive(Debug)]
pub struct StopMachine {
    job: JobId,
    /// Since when the job does not look as if it were about to end.
    astray: Option<Timestamp>,
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until the first poll.
    Start(Option<Triggered<StopKind>>),
    Written(String),
    Trigger(Running<Triggered<StopKind>>),
    Await(Running<AwaitMachine>, String),
    /// It does not look so; before another look.
    Wait(Timestamp, String),
    After(Call<GetJobStatus>, Failure, bool),
    Lost(Look, Failure),
}

/// The savepoint is there, and the job as well.
fn runs_on(job: JobId, location: &str, state: &JobState) -> FlowError {
    FlowError::Failed(Failure {
        what: format!("{} of job {job}", StopKind::WHAT),
        reason: format!(
            "the savepoint {location} is written, but the job is {state}: it seems that a failover has brought it back"
        ),
        details: None,
        cause: None,
    })
}

impl Machine for StopMachine {
    type Service = FlinkRest;
    type Output = Stopped;
    const NAME: &'static str = StopWithSavepoint::NAME;

    fn step(&mut self, cx: &mut Common<FlinkRest>, reply: &mut Option<Reply>) -> Step<Stopped> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Start(trigger) => {
                    if let Some(trigger) = trigger.take() {
                        self.state = State::Trigger(cx.child(trigger));
                    }
                }
                State::Written(location) => {
                    cx.phase(Self::NAME, "the savepoint is written; waiting for the job to end");
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)), std::mem::take(location));
                }
                State::Trigger(flow) => match ok!(flow.poll(cx.now(), reply.take())) {
                    Ok(location) => {
                        let trigger = flow.machine();
                        // From here on it must not get lost, whatever becomes of the job.
                        if let Some(known) = trigger.known() {
                            cx.save(trigger.kind().saved_with(known, Some(location.clone())));
                        }
                        self.state = State::Written(location);
                    }
                    Err(FlowError::Failed(failure)) => {
                        let doubtful = flow.machine().is_doubtful();
                        self.state = State::After(cx.call(GetJobStatus::new(self.job)), failure, doubtful);
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Await(flow, location) => {
                    let state = match ok!(flow.poll(cx.now(), reply.take())) {
                        Ok(report) if !report.state.is_terminal() => {
                            let now = cx.now();
                            if now.since(*self.astray.get_or_insert(now)) >= LAGGING {
                                return Step::Done(Err(runs_on(self.job, location, &report.state)));
                            }
                            self.state = State::Wait(self.pace.next(now), std::mem::take(location));
                            continue;
                        }
                        Ok(report) => Some(report.state),
                        Err(FlowError::Service(error)) if is_unknown_job(&error) => None,
                        Err(error) => return Step::Done(Err(error)),
                    };
                    return Step::Done(Ok(Stopped { job: self.job, location: std::mem::take(location), state }));
                }
                State::Wait(until, location) => {
                    if let Some(step) = cx.wait_until(*until, "the job to end", reply) {
                        return step;
                    }
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)), std::mem::take(location));
                }
                State::After(call, failure, doubtful) => {
                    let (has_ended, state) = match ok!(call.poll(cx.now(), reply.take())) {
                        Ok(job) => (job.status == JobState::Finished, format!("the job is {}", job.status)),
                        Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                            (true, "the cluster does not know the job".to_owned())
                        }
                        // If there is a doubt, this does not remove it.
                        Err(error) => (true, format!("what the job is doing could not be read: {error}")),
                    };
                    let mut failure = failure.clone();
                    failure.reason = format!("{}; {state}", failure.reason);
                    if *doubtful && has_ended {
                        self.state = State::Lost(Look::new(self.job, cx), failure);
                    } else {
                        return Step::Done(Err(FlowError::Failed(failure)));
                    }
                }
                State::Lost(look, failure) => {
                    let found = ok!(look.poll(cx.now(), reply.take()));
                    return Step::Done(Err(FlowError::Ambiguous(Ambiguity {
                        operation: StartStop::INFO.name,
                        cause: Box::new(FlowError::Failed(failure.clone())),
                        unanswered: false,
                        found: Some(found.unwrap_or_else(|error| format!("nothing, because looking failed: {error}"))),
                    })));
                }
            }
        }
    }
}

impl Goal for StopWithSavepoint {
    type Service = FlinkRest;
    type Output = Stopped;
    type Flow = Running<StopMachine>;

    fn start(self, config: &Config<FlinkRest>, seed: Seed) -> Self::Flow {
        let within = self.within;
        Running::new(self.machine(), config, seed, within)
    }
}

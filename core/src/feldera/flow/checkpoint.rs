//! The goal [`Checkpoint`].
//!
//! ```text
//!  Before ──▶ Request ──number, saved──▶ Status ◀──▶ Wait ◀──▶ Stats, each 5 s
//!              ▲  │ no answer              │ ├─▶ done
//!              └──┘                        │ └─▶ failed
//!                          resumed ────────┘
//! ```
//!
//! | what was asked for is number N, and the status says | then |
//! |---|---|
//! | success ≥ N | done: what is durable is at least as new |
//! | failure = N | failed, with its reason |
//! | failure > N | failed: a later failure hides what became of N, and nothing newer succeeded |
//! | none of these | it waits or is being made: Wait |
//! | none of these, and the process says that it has nothing to do | failed: that will not change any more |
//! | 400 `IncarnationUuidMismatch`, or other statistics | **ambiguous**: another process counts from 0 again |
//! | 410 `Terminating`, 500 with the code of a panic, 503 for good | polls the pipeline for up to 10 s, then **ambiguous**: why |
//! | an end, of a process that takes no id | Confirm: statistics of the same process, or **ambiguous** |
//!
//! | Request was answered | then |
//! |---|---|
//! | a number | Status, after saving |
//! | not at all | Request again, up to five times: another checkpoint does as well, and those that wait together are one |
//! | not at all, and it cannot be sent again, or that is rejected, or the time is up | **ambiguous**: it may have been made |
//! | 501 | failed: the open-source edition has no checkpoints |
//!
//! Invariants: success is looked at first, because a failure is never forgotten. A number is compared only with what
//! the process says that gave it.

use std::ops::ControlFlow;
use std::time::Duration;

use super::diagnosis::{Diagnosis, with_unknown_outcome};
use super::{Interruption, PollInterval, UnknownOutcome, obstacles};
use crate::error::{Ambiguity, Failure, FlowError};
use crate::feldera::checkpoints::{
    CheckpointFailure, CheckpointStatus, CheckpointVerdict, GetCheckpointStatus, StartCheckpoint,
};
use crate::feldera::stats::{CheckpointActivityStatus, ControllerStatus, GetStats};
use crate::feldera::tuning::{MAX_RESENDS, STATS_INTERVAL};
use crate::feldera::{ErrorCode, FelderaApi, error_code};
use crate::flow::{Call, FlowContext, Notice, SavedState, StateMachine, Transition, done, goal};
use crate::operation::Operation as _;
use crate::schema::json_structs;
use crate::time::Timestamp;

json_structs! {
    struct CheckpointState {
        /// Whose.
        pub pipeline: String,
        /// The process that counts, as far as it says.
        pub process: Option<String>,
        /// Whether it takes its id as a parameter.
        pub checks_process: bool,
        /// The number; `None` when the request is about to be sent.
        pub number: Option<u64>,
    }
}

/// Makes a checkpoint, and waits until what the pipeline held when it was asked is durable. Enterprise edition only.
///
/// What delays a checkpoint delays it without limit: a transaction, replaying, bootstrapping, a connector that has to
/// get somewhere first. [`Notice::Observed`] tells which; give the goal [`timeout`](Self::timeout) a time.
///
/// Ends in
///
/// * [`FlowError::Service`] with 501 `EnterpriseFeature` by the open-source edition;
/// * [`FlowError::Failed`] when the checkpoint failed, with Feldera's reason;
/// * [`FlowError::Ambiguous`] when the process was replaced or stopped before it said: an [`Interruption`] is the
///   cause. Also when the answer to the request was lost, and another one could not be sent, or was rejected, or not
///   answered in time.
///
/// The saved state holds the number and the process that counts. [`resume`](Self::resume) continues to wait for that
/// checkpoint. If the state was saved before the answer, it requests another checkpoint.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// #     ("POST /v0/pipelines/orders/checkpoint", 200, r#"{"checkpoint_sequence_number":7,"incarnation_uuid":"u"}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint_status", 200, r#"{"success":6,"failure":null}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint_status", 200, r#"{"success":7,"failure":null}"#),
/// # ]);
/// use pipewright::feldera::{Checkpoint, Feldera};
/// use std::time::Duration;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let made = feldera.run(Checkpoint::new("orders").timeout(Duration::from_secs(600)))?;
/// assert_eq!(made.number, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Checkpoint {
    pipeline: String,
    timeout: Option<Duration>,
    resumed: Option<CheckpointState>,
}

impl Checkpoint {
    /// A checkpoint of a pipeline.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None, resumed: None }
    }
}

/// A checkpoint that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpointed {
    /// Its number, counted from 0 in each process.
    pub number: u64,
    /// The newest number that succeeded: not less than the other one. Both may be the same checkpoint.
    pub newest: u64,
    /// The process that counts, as far as it says.
    pub process: Option<String>,
}

/// The transitions of [`Checkpoint`].
#[derive(Debug)]
pub struct CheckpointMachine {
    pipeline: String,
    process: Option<String>,
    /// Whether the process takes its id as a parameter.
    checks_process: bool,
    number: u64,
    resends: u32,
    /// Of the last request without an answer, while none was accepted.
    unanswered: Option<Ambiguity>,
    poll_at: Timestamp,
    /// The process said, after the last status, that it has nothing to do.
    idle: bool,
    seen: Option<String>,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start(Option<CheckpointState>),
    Before(Call<GetStats>),
    Request(Call<StartCheckpoint>),
    Status(Call<GetCheckpointStatus>),
    Wait(Timestamp),
    Stats(Call<GetStats>),
    /// What came of it, if it is of the process that was asked.
    Confirm(Call<GetStats>, Result<Checkpointed, FlowError>),
    /// Before there is a number.
    Rejected(Diagnosis),
    /// With a number whose outcome is unknown.
    Interrupted(Diagnosis),
}

impl CheckpointMachine {
    fn what(&self) -> String {
        match self.state {
            State::Start(_) | State::Before(_) | State::Request(_) => {
                format!("checkpoint of pipeline {}", self.pipeline)
            }
            _ => format!("checkpoint {} of pipeline {}", self.number, self.pipeline),
        }
    }

    fn diagnose(&self, rejection: FlowError, cx: &mut FlowContext<FelderaApi>) -> Diagnosis {
        let is_asked = !matches!(self.state, State::Start(_) | State::Before(_) | State::Request(_));
        Diagnosis::new(&self.pipeline, self.what(), rejection, is_asked || self.process.is_some(), cx)
    }

    fn save(&self, number: Option<u64>, cx: &mut FlowContext<FelderaApi>) {
        let (process, checks_process) = (self.process.clone(), self.checks_process);
        let state = CheckpointState { pipeline: self.pipeline.clone(), process, checks_process, number };
        cx.save(SavedState::new(Self::NAME, &state));
    }

    fn request(&mut self, cx: &mut FlowContext<FelderaApi>) {
        cx.phase(Self::NAME, "asking for a checkpoint");
        self.save(None, cx);
        self.state = State::Request(cx.call(StartCheckpoint::new(self.pipeline.clone())));
    }

    fn status(&mut self, cx: &mut FlowContext<FelderaApi>) {
        let mut status = GetCheckpointStatus::new(self.pipeline.clone());
        status.incarnation_uuid = self.process.clone().filter(|_| self.checks_process);
        self.state = State::Status(cx.call(status));
    }

    fn failed(&self, reason: String) -> FlowError {
        FlowError::Failed(Failure { what: self.what(), reason, details: None, cause: None })
    }

    /// Nobody knows what became of it.
    fn lost(&self, cause: FlowError) -> FlowError {
        let started = UnknownOutcome::Checkpoint { number: self.number, process: self.process.clone() };
        started.add_to(FlowError::Ambiguous(Ambiguity {
            operation: StartCheckpoint::INFO.name,
            cause: Box::new(cause),
            unanswered: false,
            found: Some(format!("requested checkpoint {}, but its outcome was never reported", self.number)),
            evidence: None,
        }))
    }

    /// The end before there is a number. A request without an answer is not forgotten over it; but what an edition does
    /// not do it has not done at an earlier attempt either.
    fn rejected(&mut self, error: FlowError) -> FlowError {
        let is_edition =
            error.service().is_some_and(|rejection| error_code(rejection) == Some(ErrorCode::EnterpriseFeature));
        match self.unanswered.take() {
            Some(lost) if !is_edition && !error.is_ambiguous() => match error {
                error @ FlowError::Failed(_) => with_unknown_outcome(lost, error),
                error => FlowError::Ambiguous(Ambiguity { found: Some(error.to_string()), ..lost }),
            },
            _ => error,
        }
    }

    fn decide(
        &mut self,
        status: &CheckpointStatus,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Option<Result<Checkpointed, FlowError>> {
        let why = |failure: &CheckpointFailure| match &failure.failed_at {
            Some(at) => format!("{} (at {at})", failure.error),
            None => failure.error.clone(),
        };
        match status.verdict(self.number) {
            CheckpointVerdict::Done => Some(Ok(Checkpointed {
                number: self.number,
                newest: status.success.unwrap_or(self.number),
                process: self.process.clone(),
            })),
            CheckpointVerdict::Failed(failure) => Some(Err(self.failed(why(failure)))),
            CheckpointVerdict::Redacted(failure) => {
                let (number, why) = (failure.sequence_number, why(failure));
                let reason =
                    format!("a later one, {number}, hides what became of it, and nothing newer succeeded: {why}");
                Some(Err(self.failed(reason)))
            }
            CheckpointVerdict::Running if self.idle => {
                Some(Err(self.failed("the process has nothing to do, and says nothing of it".to_owned())))
            }
            CheckpointVerdict::Running => {
                if self.seen.is_none() {
                    cx.note(self.what(), "requested, not made yet".to_owned());
                }
                self.state = State::Wait(self.pace.next(cx.now()));
                None
            }
        }
    }

    fn polled(&mut self, stats: &ControllerStatus, cx: &mut FlowContext<FelderaApi>) -> Result<(), FlowError> {
        if self.process.is_some() && self.process != stats.global_metrics.process() {
            return Err(self.lost(Interruption::Restarted.into_error(self.what(), None)));
        }
        if let Some(activity) = &stats.checkpoint_activity {
            self.idle = activity.status == CheckpointActivityStatus::Idle;
            let seen = match activity.reasons.as_slice() {
                [] => activity.status.to_string(),
                reasons => format!("{}: {}", activity.status, obstacles::temporary(reasons)),
            };
            if self.seen.as_ref() != Some(&seen) {
                cx.say(Notice::Observed { what: self.what(), state: seen.clone() });
                self.seen = Some(seen);
            }
        }
        Ok(())
    }
}

impl StateMachine for CheckpointMachine {
    type Service = FelderaApi;
    type Output = Checkpointed;
    const NAME: &'static str = "Checkpoint";
    const PHASES: &'static [&'static str] = &["asking for a checkpoint", "waiting for the checkpoint"];

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Checkpointed> {
        match &mut self.state {
            State::Start(resumed) => match resumed.take() {
                Some(CheckpointState { number: Some(number), process, checks_process, .. }) => {
                    (self.number, self.process, self.checks_process) = (number, process, checks_process);
                    self.poll_at = cx.now();
                    self.status(cx);
                }
                _ => self.state = State::Before(cx.call(GetStats::new(self.pipeline.clone()))),
            },
            State::Before(call) => match cx.poll(call)? {
                Ok(stats) => {
                    self.process = stats.global_metrics.process();
                    self.request(cx);
                }
                Err(error) => self.state = State::Rejected(self.diagnose(error, cx)),
            },
            State::Request(call) => match cx.poll(call)? {
                Ok(started) => {
                    self.unanswered = None;
                    self.number = started.checkpoint_sequence_number;
                    self.checks_process = started.incarnation_uuid.is_some();
                    self.process = started.incarnation_uuid.or(self.process.take());
                    self.save(Some(self.number), cx);
                    cx.phase(Self::NAME, "waiting for the checkpoint");
                    self.poll_at = cx.now() + STATS_INTERVAL;
                    self.status(cx);
                }
                Err(FlowError::Ambiguous(lost)) if self.resends < MAX_RESENDS && cx.expired("").is_none() => {
                    self.resends += 1;
                    self.unanswered = Some(lost);
                    self.state = State::Before(cx.call(GetStats::new(self.pipeline.clone())));
                }
                Err(error) => self.state = State::Rejected(self.diagnose(error, cx)),
            },
            State::Status(call) => match cx.poll(call)? {
                Ok(status) => match self.decide(&status, cx) {
                    Some(result) if self.checks_process || self.process.is_none() => return done(result),
                    Some(result) => {
                        self.state = State::Confirm(cx.call(GetStats::new(self.pipeline.clone())), result);
                    }
                    None => {}
                },
                Err(FlowError::Service(error)) if error_code(&error) == Some(ErrorCode::IncarnationUuidMismatch) => {
                    let details = error.details().map(str::to_owned);
                    return done(Err(self.lost(Interruption::Restarted.into_error(self.what(), details))));
                }
                Err(error) => self.state = State::Interrupted(self.diagnose(error, cx)),
            },
            State::Wait(until) => {
                cx.wait(*until, "the checkpoint")?;
                if self.poll_at <= cx.now() {
                    self.poll_at = cx.now() + STATS_INTERVAL;
                    self.state = State::Stats(cx.call(GetStats::new(self.pipeline.clone())));
                } else {
                    self.status(cx);
                }
            }
            State::Stats(call) => match cx.poll(call)? {
                Ok(stats) => match self.polled(&stats, cx) {
                    Ok(()) => self.status(cx),
                    Err(error) => return done(Err(error)),
                },
                Err(error) => self.state = State::Interrupted(self.diagnose(error, cx)),
            },
            State::Confirm(call, result) => match (cx.poll(call)?, result.clone()) {
                (Ok(stats), result) => return done(self.polled(&stats, cx).and(result)),
                (Err(error), _) => self.state = State::Interrupted(self.diagnose(error, cx)),
            },
            State::Rejected(diagnosis) => {
                let error = diagnosis.poll(cx)?;
                return done(Err(self.rejected(error)));
            }
            State::Interrupted(diagnosis) => {
                let error = diagnosis.poll(cx)?;
                return done(Err(match error {
                    error @ FlowError::Failed(_) => self.lost(error),
                    error => error,
                }));
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<CheckpointState> for Checkpoint {
    fn from(state: CheckpointState) -> Self {
        Self { pipeline: state.pipeline.clone(), timeout: None, resumed: Some(state) }
    }
}

impl From<Checkpoint> for CheckpointMachine {
    fn from(goal: Checkpoint) -> Self {
        CheckpointMachine {
            pipeline: goal.pipeline,
            process: None,
            checks_process: false,
            number: 0,
            resends: 0,
            unanswered: None,
            poll_at: Timestamp::UNIX_EPOCH,
            idle: false,
            seen: None,
            pace: PollInterval::START,
            state: State::Start(goal.resumed),
        }
    }
}

goal!(Checkpoint: FelderaApi => Checkpointed, CheckpointMachine, resume CheckpointState);

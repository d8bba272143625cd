//! The goal [`Cancel`].
//!
//! ```text
//!  Request ──202, or 409: it has ended──▶ Await ──▶ done
//!   ▲                                       │
//!   └──────────────── Wait ◀────────────────┘ it is neither ending nor SUSPENDED
//! ```
//!
//! | Request ended with | the job | next step |
//! |---|---|---|
//! | outcome unknown | has ended | done |
//! | outcome unknown | has not ended | Request again until the deadline, or for 90 s without a deadline; then ambiguous |
//! | outcome unknown | is unknown to the cluster | ambiguous: it may have been cancelled and forgotten |
//! | another error | | ends with that error |
//!
//! A cancellation does not survive a failover: if the JobManager fails while a job is CANCELLING, the next JobManager
//! recovers the job, and it runs until it is cancelled again.

use std::ops::ControlFlow;
use std::time::Duration;

use http::StatusCode;

use super::PollInterval;
use super::await_job::{AwaitMachine, JobReport};
use super::diagnosis::{JobDiagnosis, JobLookup};
use super::lookup_retry::LookupRetry;
use crate::error::{Ambiguity, FlowError};
use crate::flink::error::is_unknown_job;
use crate::flink::jobs::CancelJob;
use crate::flink::{FlinkRest, JobId};
use crate::flow::{Call, FlowContext, Runner, StateMachine, Transition, done, goal};
use crate::time::Timestamp;

/// Cancels a job and waits until it has ended.
///
/// If the job has already ended, the flow succeeds: the [`JobReport`] says how it ended. If a failover restores the
/// job, the flow cancels it again. The flow saves no state, because a second cancellation changes nothing: after a
/// crash, run the goal again.
///
/// # Errors
/// * [`FlowError::Service`] if the cluster does not know the job (see
///   [`is_unknown_job`](crate::flink::is_unknown_job)), or rejects the request.
/// * [`FlowError::Ambiguous`] if the outcome of a cancellation is unknown, and the flow could not find out how the job
///   is. Run the goal again.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires before the job has ended. The cluster continues
///   the cancellation.
///
/// The latter two carry a [`JobDiagnosis`] with the last known state of the job.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Cancel {
    job: JobId,
    timeout: Option<Duration>,
}

impl Cancel {
    /// Creates the goal for a job.
    pub fn new(job: JobId) -> Self {
        Self { job, timeout: None }
    }
}

impl From<Cancel> for CancelMachine {
    fn from(goal: Cancel) -> Self {
        Self {
            job: goal.job,
            lost: None,
            last_lookup: JobLookup::NotTried,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }
}

/// The transitions of [`Cancel`].
#[derive(Debug)]
pub struct CancelMachine {
    job: JobId,
    /// A cancellation whose outcome is unknown, until another cancellation is answered.
    lost: Option<Ambiguity>,
    /// What the cluster said about the job last.
    last_lookup: JobLookup,
    retry: LookupRetry,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Request(Call<CancelJob>),
    Await(Runner<AwaitMachine>),
    /// Waits before the job is cancelled again.
    Wait(Timestamp),
}

impl CancelMachine {
    /// Returns the error to end with if waiting for the job failed.
    fn not_awaited(&mut self, error: FlowError) -> FlowError {
        self.last_lookup = match &error {
            FlowError::Service(error) if is_unknown_job(error) => JobLookup::NotFound,
            _ => self.last_lookup.clone(),
        };
        match self.lost.take() {
            Some(lost) => FlowError::Ambiguous(Ambiguity { found: Some(error.to_string()), ..lost }),
            None => error,
        }
    }
}

impl StateMachine for CancelMachine {
    type Service = FlinkRest;
    type Output = JobReport;
    const NAME: &'static str = "Cancel";

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<JobReport> {
        match &mut self.state {
            State::Start => {
                cx.phase(Self::NAME, "requesting the cancellation");
                self.state = State::Request(cx.call(CancelJob::new(self.job)));
            }
            State::Request(call) => match cx.poll(call)? {
                Ok(_) => {
                    self.lost = None;
                    self.retry.answered();
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)));
                }
                // The cluster has accepted the cancellation, although its answer cannot be read.
                Err(error) if error.says_applied() => {
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)));
                }
                // The job has ended, whatever an earlier attempt without an answer did.
                Err(error) if error.service().is_some_and(|error| error.status() == StatusCode::CONFLICT) => {
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)));
                }
                Err(error) if self.retry.allows(&error, cx) && error.is_ambiguous() => {
                    if let FlowError::Ambiguous(lost) = error {
                        self.lost = Some(lost);
                    }
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)));
                }
                Err(error) => return done(Err(error)),
            },
            State::Await(flow) => match cx.poll(flow)? {
                Ok(report) if !report.state.is_terminal() => {
                    cx.note(format!("job {}", self.job), report.state.to_string());
                    self.last_lookup = JobLookup::State(report.state);
                    self.state = State::Wait(self.pace.next(cx.now()));
                }
                Ok(report) => return done(Ok(report)),
                Err(error) => return done(Err(self.not_awaited(error))),
            },
            State::Wait(until) => match cx.wait_or_expire(*until, "the job to be cancelled")? {
                Ok(()) => self.state = State::Start,
                Err(error) => return done(Err(self.not_awaited(error))),
            },
        }
        ControlFlow::Continue(())
    }

    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        if !matches!(error, FlowError::Ambiguous(_) | FlowError::Deadline { .. }) {
            return error;
        }
        let lookup = self.last_lookup.clone();
        error.with_evidence(JobDiagnosis { lookup, ..JobDiagnosis::new(self.job) })
    }
}

goal!(Cancel: FlinkRest => JobReport, CancelMachine);

//! The goal [`Cancel`].
//!
//! ```text
//!  Tell ──202, or 409: it has ended──▶ Await ──▶ done
//!   ▲                                    │
//!   └────────────── Wait ◀───────────────┘ it is neither ending nor SUSPENDED
//! ```
//!
//! | Tell ended with | and the job | then |
//! |---|---|---|
//! | outcome unknown | has ended | done |
//! | outcome unknown | has not | Tell again, until the deadline, or for 90 s without one; then ambiguous |
//! | outcome unknown | is unknown to the cluster | ambiguous: it may have been cancelled and forgotten |
//! | another error | | that error |
//!
//! A JobManager does not hand on what it was told: when it fails while a job is CANCELLING, the next one recovers the
//! job, which runs on until it is told again.

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
/// A job that had ended before is no error: look at the [`JobReport`] for how. One that the cluster does not know is
/// [`FlowError::Service`]. Nothing needs to be saved, because cancelling twice is the same as once;
/// a job that a failover brings back is cancelled again.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Cancel {
    job: JobId,
    timeout: Option<Duration>,
}

impl Cancel {
    /// Cancels a job.
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
    /// Between two requests.
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Request(Call<CancelJob>),
    Await(Runner<AwaitMachine>),
    /// Before it is cancelled again.
    Wait(Timestamp),
}

impl CancelMachine {
    /// The job could not be waited for.
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
                cx.phase(Self::NAME, "telling the job to cancel");
                self.state = State::Request(cx.call(CancelJob::new(self.job)));
            }
            State::Request(call) => match cx.poll(call)? {
                Ok(_) => {
                    self.lost = None;
                    self.retry.answered();
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)));
                }
                // Accepted, although the answer cannot be read.
                Err(error) if error.says_applied() => {
                    self.state = State::Await(cx.child(AwaitMachine::ending(self.job)));
                }
                // Also when an earlier attempt got no answer: it has ended.
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

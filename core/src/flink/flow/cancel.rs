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
//! A JobManager does not hand on what it was told: when it fails while a job is CANCELLING, the next one recovers the job,
//! which runs on until it is told again.

use std::time::Duration;

use http::StatusCode;

use super::PollInterval;
use super::await_job::{AwaitMachine, JobReport};
use super::diagnosis::{JobDiagnosis, JobLookup};
use super::look::LookupRetry;
use crate::error::{Ambiguity, FlowError};
use crate::flink::error::is_unknown_job;
use crate::flink::{CancelJob, FlinkRest, JobId};
use crate::flow::{Call, Config, Flow, FlowContext, Goal, GoalFlow, Reply, StateMachine, Step, ready};
use crate::seed::Seed;
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

    /// Sets how long the flow may take; without a limit by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    pub(super) fn machine(&self) -> CancelMachine {
        CancelMachine {
            job: self.job,
            lost: None,
            seen: JobLookup::NotTried,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }
}

/// The transitions of [`Cancel`].
#[doc(hidden)]
#[derive(Debug)]
pub struct CancelMachine {
    job: JobId,
    /// A cancellation whose outcome is unknown, until another one is answered.
    lost: Option<Ambiguity>,
    /// What the cluster said about the job last.
    seen: JobLookup,
    retry: LookupRetry,
    /// Between two times of telling it.
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Tell(Call<CancelJob>),
    Await(GoalFlow<AwaitMachine>),
    /// Before it is told again.
    Wait(Timestamp),
}

impl CancelMachine {
    /// The job could not be waited for.
    fn not_seen(&mut self, error: FlowError) -> FlowError {
        self.seen = match &error {
            FlowError::Service(error) if is_unknown_job(error) => JobLookup::NotFound,
            _ => self.seen.clone(),
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

    fn step(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<JobReport> {
        match self.advance(cx, reply) {
            Step::Done(Err(error @ (FlowError::Ambiguous(_) | FlowError::Deadline { .. }))) => {
                let lookup = self.seen.clone();
                Step::Done(Err(error.with_evidence(JobDiagnosis { lookup, ..JobDiagnosis::new(self.job) })))
            }
            step => step,
        }
    }
}

impl CancelMachine {
    fn advance(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<JobReport> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Start => {
                    cx.phase(Self::NAME, "telling the job to cancel");
                    self.state = State::Tell(cx.call(CancelJob::new(self.job)));
                }
                State::Tell(call) => match ready!(call.poll(cx.now(), reply.take())) {
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
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Await(flow) => match ready!(flow.poll(cx.now(), reply.take())) {
                    Ok(report) if !report.state.is_terminal() => {
                        cx.note(format!("job {}", self.job), report.state.to_string());
                        self.seen = JobLookup::State(report.state);
                        self.state = State::Wait(self.pace.next(cx.now()));
                    }
                    Ok(report) => return Step::Done(Ok(report)),
                    Err(error) => return Step::Done(Err(self.not_seen(error))),
                },
                State::Wait(until) => {
                    if let Some(step) = cx.wait_until(*until, "the job to be cancelled", reply) {
                        return match step {
                            Step::Done(Err(error)) => Step::Done(Err(self.not_seen(error))),
                            step => step,
                        };
                    }
                    self.state = State::Start;
                }
            }
        }
    }
}

impl Goal for Cancel {
    type Service = FlinkRest;
    type Output = JobReport;
    type Flow = GoalFlow<CancelMachine>;

    fn start(self, config: &Config<FlinkRest>, seed: Seed) -> Self::Flow {
        GoalFlow::new(self.machine(), config, seed, self.timeout)
    }
}

//! The transitions of [`StopWithSavepoint`], as drawn in its module.

use std::ops::ControlFlow;

use super::{Stopped, Written, saved};
use crate::error::{Ambiguity, Evidence, Failure, FlowError};
use crate::flink::error::is_unknown_job;
use crate::flink::flow::PollInterval;
use crate::flink::flow::async_operation::TriggerState;
use crate::flink::flow::async_operation::{AsyncOperation, Kind as _};
use crate::flink::flow::await_job::AwaitMachine;
use crate::flink::flow::diagnose::{DiagnoseJob, Found};
use crate::flink::flow::diagnosis::{JobDiagnosis, JobLookup};
use crate::flink::jobs::JobState;
use crate::flink::savepoints::StartStop;
use crate::flink::tuning::MAX_NOT_ENDING;
use crate::flink::{FlinkRest, JobId, TriggerId};
use crate::flow::{FlowContext, Runner, StateMachine, Transition, done, or_done};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// The transitions of [`StopWithSavepoint`].
#[derive(Debug)]
pub struct StopMachine {
    job: JobId,
    trigger: Option<TriggerId>,
    /// The savepoint, once it is written.
    written: Option<Written>,
    /// Since when the job has been in a state in which it is not ending.
    not_ending_since: Option<Timestamp>,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The initial state.
    Start(Option<AsyncOperation<StartStop>>),
    Trigger(Runner<AsyncOperation<StartStop>>),
    /// The savepoint is written.
    Written,
    Await(Runner<AwaitMachine>),
    /// The job is in a state in which it is not ending. Waits for the next poll.
    Wait(Timestamp),
    /// Waiting for the job ended with this error.
    Diagnose(DiagnoseJob, FlowError),
    /// The trigger failed without a savepoint, for this reason. The flag says whether a second operation of the same id
    /// may have reported the failure.
    NoSavepoint(DiagnoseJob, Failure, bool),
}

impl StopMachine {
    /// Begins with the trigger, or after the savepoint if that is already written.
    pub(super) fn new(trigger: AsyncOperation<StartStop>, written: Option<Written>) -> Self {
        let known = trigger.known().map(|known| known.trigger_id);
        let (job, _) = trigger.kind().ids();
        let state = if written.is_some() { State::Written } else { State::Start(Some(trigger)) };
        Self { job, trigger: known, written, not_ending_since: None, pace: PollInterval::START, state }
    }

    fn diagnosis(&self, lookup: JobLookup) -> JobDiagnosis {
        let savepoint = self.written.as_ref().map(|written| written.path.clone());
        JobDiagnosis { lookup, trigger: self.trigger, savepoint, ..JobDiagnosis::new(self.job) }
    }

    fn failed(&self, reason: String, details: Option<String>, diagnosis: JobDiagnosis) -> FlowError {
        let what = format!("{} of job {}", StartStop::WHAT, self.job);
        FlowError::Failed(Failure { what, reason, details, cause: Some(Evidence::new(diagnosis)) })
    }

    /// Returns how the job ended; `state` is `None` if the cluster no longer knows the job.
    fn ended(&self, state: Option<JobState>) -> Result<Stopped, FlowError> {
        let Some(Written { path, failure }) = self.written.clone() else {
            // The flow waits only for a job whose savepoint is written.
            return Err(self.failed("there is no savepoint".to_owned(), None, self.diagnosis(JobLookup::NotTried)));
        };
        let Some((reason, details)) = failure else {
            return Ok(Stopped { job: self.job, location: path, state });
        };
        let lookup = state.map_or(JobLookup::NotFound, JobLookup::State);
        Err(self.failed(format!("{reason}; {lookup}"), details, self.diagnosis(lookup)))
    }

    /// Returns the error for a job that runs although its savepoint is written.
    fn runs_on(&self, state: JobState) -> FlowError {
        let path = self.written.as_ref().map_or("", |written| &written.path);
        let reason = format!(
            "the savepoint {path} is written, but the job is {state}: it seems that a failover has brought it back"
        );
        self.failed(reason, None, self.diagnosis(JobLookup::State(state)))
    }

    /// Saves the savepoint before the job is waited for.
    fn write(
        &mut self,
        written: Written,
        start: &StartStop,
        trigger: Option<&TriggerState>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> State {
        if let Some(trigger) = trigger {
            cx.save(saved(start, trigger, Some(&written)));
        }
        self.written = Some(written);
        State::Written
    }

    /// Returns whether the job has ended in another way than by the stop.
    fn is_failed(diagnosis: Option<&JobDiagnosis>) -> bool {
        diagnosis.is_some_and(|known| known.is_terminal() && known.lookup != JobLookup::State(JobState::Finished))
    }

    /// Handles the end of the trigger.
    fn triggered(
        &mut self,
        result: Result<String, FlowError>,
        trigger: &AsyncOperation<StartStop>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        self.trigger = trigger.known().map(|known| known.trigger_id);
        let is_unconfirmed = trigger.has_unanswered();
        let diagnosis = result.as_ref().err().and_then(JobDiagnosis::of).cloned();
        let savepoint = diagnosis.as_ref().and_then(|diagnosis| diagnosis.savepoint.clone());
        Ok(match (result, savepoint) {
            (Ok(path), _) => self.write(Written { path, failure: None }, trigger.kind(), trigger.known(), cx),
            // The cluster has forgotten the outcome, and the job has ended with this savepoint.
            (Err(FlowError::Ambiguous(lost)), Some(path)) => {
                let reason = "the cluster has forgotten the trigger".to_owned();
                let failure = Self::is_failed(diagnosis.as_ref()).then(|| (reason, Some(lost.cause.to_string())));
                self.write(Written { path, failure }, trigger.kind(), trigger.known(), cx)
            }
            (Err(FlowError::Failed(failure)), Some(path)) => {
                let failure = Some((failure.reason, failure.details));
                self.write(Written { path, failure }, trigger.kind(), trigger.known(), cx)
            }
            (Err(FlowError::Failed(failure)), None) => {
                let diagnosis = self.diagnosis(JobLookup::NotTried);
                let lookup = if is_unconfirmed {
                    DiagnoseJob::for_stop(diagnosis, trigger.since())
                } else {
                    DiagnoseJob::new(diagnosis)
                };
                State::NoSavepoint(lookup, failure, is_unconfirmed)
            }
            (Err(FlowError::Ambiguous(lost)), None) => {
                return Err(match diagnosis {
                    // The cluster forgets an acknowledged trigger some time after its end, or with its JobManager.
                    Some(diagnosis) if diagnosis.is_alive() && (!is_unconfirmed || trigger.is_long_ago(cx.now())) => {
                        let reason = format!("the cluster has forgotten the trigger; {}", diagnosis.lookup);
                        self.failed(reason, Some(lost.cause.to_string()), diagnosis)
                    }
                    _ => FlowError::Ambiguous(lost),
                });
            }
            (Err(error), _) => return Err(error),
        })
    }

    /// Decides after the trigger failed without a savepoint and the job was looked up.
    fn diagnosed(&mut self, found: Found, mut failure: Failure, is_unconfirmed: bool) -> Result<State, FlowError> {
        let Found { diagnosis, text } = found;
        if let Some(path) = diagnosis.savepoint.clone() {
            let failure = Self::is_failed(Some(&diagnosis)).then_some((failure.reason, failure.details));
            self.written = Some(Written { path, failure });
            return Ok(State::Written);
        }
        failure.reason = format!("{}; {}", failure.reason, diagnosis.lookup);
        let failed = FlowError::Failed(Failure { cause: Some(Evidence::new(diagnosis.clone())), ..failure });
        // If the lookup failed, the outcome is still unknown. A stop ends only as FINISHED.
        let is_open = match &diagnosis.lookup {
            JobLookup::State(state) => *state == JobState::Finished,
            _ => true,
        };
        Err(if is_unconfirmed && is_open {
            FlowError::Ambiguous(Ambiguity {
                operation: StartStop::INFO.name,
                cause: Box::new(failed),
                unanswered: false,
                found: Some(text),
                evidence: Some(Evidence::new(diagnosis)),
            })
        } else {
            failed
        })
    }

    /// Returns the error for a job whose state is unknown.
    fn not_diagnosed(&self, error: FlowError, found: Found) -> FlowError {
        FlowError::Ambiguous(Ambiguity {
            operation: StartStop::INFO.name,
            cause: Box::new(error),
            unanswered: false,
            found: Some(format!(
                "{}; {}",
                self.diagnosis(JobLookup::NotTried).savepoint.unwrap_or_default(),
                found.text
            )),
            evidence: Some(Evidence::new(found.diagnosis)),
        })
    }
}

impl StateMachine for StopMachine {
    type Service = FlinkRest;
    type Output = Stopped;
    const NAME: &'static str = StartStop::NAME;

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Stopped> {
        self.state = match &mut self.state {
            State::Start(trigger) => match trigger.take() {
                Some(trigger) => State::Trigger(cx.child(trigger)),
                None => State::Written,
            },
            State::Trigger(flow) => {
                let result = cx.poll(flow)?;
                let State::Trigger(flow) = std::mem::replace(&mut self.state, State::Written) else {
                    return ControlFlow::Continue(());
                };
                or_done(self.triggered(result, flow.machine(), cx))?
            }
            State::Written => {
                cx.phase(Self::NAME, "the savepoint is written; waiting for the job to end");
                State::Await(cx.child(AwaitMachine::ending(self.job)))
            }
            State::Await(flow) => match cx.poll(flow)? {
                Ok(report) if !report.state.is_terminal() => {
                    let now = cx.now();
                    if now.since(*self.not_ending_since.get_or_insert(now)) >= MAX_NOT_ENDING {
                        return done(Err(self.runs_on(report.state)));
                    }
                    State::Wait(self.pace.next(now))
                }
                Ok(report) => return done(self.ended(Some(report.state))),
                Err(FlowError::Service(error)) if is_unknown_job(&error) => return done(self.ended(None)),
                Err(error @ FlowError::Deadline { .. }) => return done(Err(error)),
                Err(error) => State::Diagnose(DiagnoseJob::new(self.diagnosis(JobLookup::NotTried)), error),
            },
            State::Wait(until) => {
                cx.wait(*until, "the job to end")?;
                State::Await(cx.child(AwaitMachine::ending(self.job)))
            }
            State::Diagnose(lookup, error) => {
                let found = lookup.poll(cx)?;
                match &found.diagnosis.lookup {
                    JobLookup::State(state) if state.is_terminal() => {
                        return done(self.ended(Some(state.clone())));
                    }
                    JobLookup::NotFound => return done(self.ended(None)),
                    JobLookup::State(_) => State::Wait(self.pace.next(cx.now())),
                    JobLookup::NotTried | JobLookup::LookupFailed(_) => {
                        let error = error.clone();
                        return done(Err(self.not_diagnosed(error, found)));
                    }
                }
            }
            State::NoSavepoint(lookup, failure, is_unconfirmed) => {
                let found = lookup.poll(cx)?;
                let (failure, is_unconfirmed) = (failure.clone(), *is_unconfirmed);
                or_done(self.diagnosed(found, failure, is_unconfirmed))?
            }
        };
        ControlFlow::Continue(())
    }

    /// Adds the savepoint to every error.
    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        match error {
            FlowError::Deadline { .. } if self.written.is_some() => {
                error.with_evidence(self.diagnosis(JobLookup::NotTried))
            }
            error => error,
        }
    }
}

//! [`DiagnoseJob`]: looks up a job and its last snapshots, for outcomes that are unknown.
//!
//! ```text
//!  Status ──▶ Checkpoints ──▶ done
//!    ▲ └─ unknown job ─────────▶ done
//!    │          │ reading failed, or a stop's savepoint may be newer than the cached list
//!    └── Wait ◀─┘                          until the flow's deadline; for 90 s if it has none
//! ```

use std::ops::ControlFlow;

use super::PollInterval;
use super::diagnosis::{JobDiagnosis, JobLookup, Snapshot};
use super::lookup_retry::LookupRetry;
use crate::error::FlowError;
use crate::flink::FlinkRest;
use crate::flink::checkpoints::{Checkpoints, GetCheckpoints};
use crate::flink::error::is_unknown_job;
use crate::flink::jobs::{GetJobStatus, JobState};
use crate::flink::tuning::{CHECKPOINTS_CACHE_TIME, MAX_CLOCK_SKEW};
use crate::flow::{Call, FlowContext, Step};
use crate::time::Timestamp;

/// Two lookups of a job, each repeated until it is answered.
#[derive(Debug)]
pub(super) struct DiagnoseJob {
    diagnosis: JobDiagnosis,
    /// When the diagnosed stop was triggered; `None` if no stop is diagnosed.
    stop: Option<Timestamp>,
    /// Whether the list of checkpoints was read again because the first list may have been old.
    read_again: bool,
    retry: LookupRetry,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Status(Call<GetJobStatus>),
    Checkpoints(Call<GetCheckpoints>),
    Wait(Timestamp),
}

/// What the lookups found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) diagnosis: JobDiagnosis,
    /// The diagnosis as text.
    pub(super) text: String,
}

impl DiagnoseJob {
    /// Completes a diagnosis.
    pub(super) fn new(diagnosis: JobDiagnosis) -> Self {
        Self {
            diagnosis,
            stop: None,
            read_again: false,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }

    /// For a stop whose outcome is unknown: if the job has ended and a stop's savepoint is the last thing that it did,
    /// that is the savepoint of the diagnosis. If the job is not FINISHED, that savepoint must not be older than the
    /// stop.
    pub(super) fn for_stop(diagnosis: JobDiagnosis, since: Timestamp) -> Self {
        Self { stop: Some(since), ..Self::new(diagnosis) }
    }

    /// Returns the wait before the next attempt; `None` if there is no time for another attempt.
    fn again(&mut self, error: &FlowError, cx: &FlowContext<FlinkRest>) -> Option<State> {
        self.retry.allows(error, cx).then(|| State::Wait(self.pace.next(cx.now())))
    }

    fn found(&self, snapshots: &str) -> Found {
        let job = self.diagnosis.job;
        let text = match &self.diagnosis.lookup {
            JobLookup::State(state) => format!("job {job} is {state}; {snapshots}"),
            JobLookup::NotFound => format!("the cluster does not know job {job}"),
            JobLookup::NotTried | JobLookup::LookupFailed(_) => {
                format!("nothing: looking up job {job} failed: {snapshots}")
            }
        };
        Found { diagnosis: self.diagnosis.clone(), text }
    }

    /// Reads the list. Returns whether the list may be too old to have the savepoint.
    fn read(&mut self, checkpoints: &Checkpoints) -> bool {
        let latest = &checkpoints.latest;
        self.diagnosis.last_savepoint = latest.savepoint.as_ref().and_then(Snapshot::of);
        self.diagnosis.last_checkpoint = latest.completed.as_ref().and_then(Snapshot::of);
        if let Some(since) = self.stop.filter(|_| self.diagnosis.is_terminal()) {
            let is_finished = self.diagnosis.lookup == JobLookup::State(JobState::Finished);
            let triggered = latest.savepoint.as_ref().and_then(|savepoint| savepoint.trigger_timestamp?.get());
            let is_of_stop = is_finished || triggered.is_some_and(|at| at + MAX_CLOCK_SKEW >= since);
            self.diagnosis.savepoint = checkpoints.stopped_with().filter(|_| is_of_stop).map(str::to_owned);
            return self.diagnosis.savepoint.is_none() && !std::mem::replace(&mut self.read_again, true);
        }
        false
    }

    pub(super) fn poll<T>(&mut self, cx: &mut FlowContext<FlinkRest>) -> ControlFlow<Step<T>, Found> {
        loop {
            match &mut self.state {
                State::Start => self.state = State::Status(cx.call(GetJobStatus::new(self.diagnosis.job))),
                State::Status(call) => match cx.poll(call)? {
                    Ok(job) => {
                        self.diagnosis.lookup = JobLookup::State(job.status);
                        self.state = State::Checkpoints(cx.call(GetCheckpoints::new(self.diagnosis.job)));
                    }
                    Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                        self.diagnosis.lookup = JobLookup::NotFound;
                        return ControlFlow::Continue(self.found(""));
                    }
                    Err(error) => {
                        let Some(wait) = self.again(&error, cx) else {
                            self.diagnosis.lookup = JobLookup::LookupFailed(error.to_string());
                            return ControlFlow::Continue(self.found(&error.to_string()));
                        };
                        self.state = wait;
                    }
                },
                State::Checkpoints(call) => match cx.poll(call)? {
                    Ok(checkpoints) => {
                        if self.read(&checkpoints) {
                            self.state = State::Wait(cx.now() + CHECKPOINTS_CACHE_TIME);
                        } else {
                            return ControlFlow::Continue(self.found(&self.last_savepoint()));
                        }
                    }
                    // The cluster has just forgotten the job, or the job has no checkpoints: only the state is known.
                    Err(error) => {
                        let Some(wait) = self.again(&error, cx).filter(|_| self.needs_list(&error)) else {
                            return ControlFlow::Continue(
                                self.found(&format!("its last savepoint could not be read: {error}")),
                            );
                        };
                        self.state = wait;
                    }
                },
                State::Wait(until) => {
                    cx.pause(*until)?;
                    self.state = State::Start;
                }
            }
        }
    }

    /// Returns whether the list of checkpoints may still become readable and add to the diagnosis.
    fn needs_list(&self, error: &FlowError) -> bool {
        self.stop.is_some() && !error.service().is_some_and(is_unknown_job)
    }

    fn last_savepoint(&self) -> String {
        match &self.diagnosis.last_savepoint {
            Some(savepoint) => format!("its last savepoint is {savepoint}"),
            None => {
                "the JobManager lists no savepoint of it (it forgets them when it restarts, and its list may be some \
                     seconds old)"
                    .to_owned()
            }
        }
    }
}

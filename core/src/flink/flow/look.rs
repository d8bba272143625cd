//! [`Look`]: looks a job and its last snapshots up, for outcomes that are unknown.
//!
//! ```text
//!  Status ──▶ Checkpoints ──▶ done
//!    ▲ └─ unknown job ─────────▶ done
//!    │          │ read in vain, or a stop's savepoint may be younger than the cache
//!    └── Wait ◀─┘                          until the flow's deadline; for 90 s if it has none
//! ```

use std::time::Duration;

use super::Pace;
use super::diagnosis::{JobDiagnosis, JobLookup, Snapshot};
use crate::error::FlowError;
use crate::flink::checkpoints::Checkpoints;
use crate::flink::error::is_unknown_job;
use crate::flink::{FlinkRest, GetCheckpoints, GetJobStatus, JobState};
use crate::flow::{Call, Common, Flow, Reply, Step, ok};
use crate::time::Timestamp;

/// For how long a lookup of a job or a trigger is repeated if a proxy or a passing error of the cluster is in the way. With high
/// availability and a dead leader, each request is rejected until its session with `ZooKeeper` expires, after 60 s by default.
pub(super) const LOOKING: Duration = Duration::from_secs(90);
/// For how long a lookup that fails is repeated: until the deadline of the flow if it has one, otherwise for [`LOOKING`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience(Option<Timestamp>);

impl Patience {
    /// Whether there is time to look again after this error.
    pub(super) fn allows(&mut self, error: &FlowError, cx: &Common<FlinkRest>) -> bool {
        let until = *self.0.get_or_insert_with(|| cx.deadline().unwrap_or(cx.now() + LOOKING));
        cx.now() < until && !matches!(error, FlowError::Deadline { .. } | FlowError::Build(_))
    }

    /// The cluster has answered: the next error has the whole time again.
    pub(super) fn answered(&mut self) {
        self.0 = None;
    }
}

/// Somewhat longer than the cluster caches its list of checkpoints (`web.refresh-interval`, 3 s).
const CACHED: Duration = Duration::from_millis(3500);

/// Two questions about a job, each asked until it is answered.
#[derive(Debug)]
pub(super) struct Look {
    diagnosis: JobDiagnosis,
    /// Whether the savepoint that a finished job ended with is the one that is looked for.
    is_stop: bool,
    /// Whether the list of checkpoints was read again because the first one may have been old.
    read_again: bool,
    patience: Patience,
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Status(Call<GetJobStatus>),
    Checkpoints(Call<GetCheckpoints>),
    Wait(Timestamp),
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) diagnosis: JobDiagnosis,
    /// The same for people.
    pub(super) text: String,
}

impl Look {
    /// Completes a diagnosis.
    pub(super) fn new(diagnosis: JobDiagnosis) -> Self {
        Self {
            diagnosis,
            is_stop: false,
            read_again: false,
            patience: Patience::default(),
            pace: Pace::START,
            state: State::Start,
        }
    }

    /// For a stop whose outcome is unknown: if the job is FINISHED and a stop's savepoint is the last thing that it did, that
    /// is the savepoint of the diagnosis.
    pub(super) fn for_stop(diagnosis: JobDiagnosis) -> Self {
        Self { is_stop: true, ..Self::new(diagnosis) }
    }

    /// Before the next attempt; `None` when there is no time for one.
    fn again(&mut self, error: &FlowError, cx: &Common<FlinkRest>) -> Option<State> {
        self.patience.allows(error, cx).then(|| State::Wait(self.pace.next(cx.now())))
    }

    fn found(&self, snapshots: &str) -> Step<Found> {
        let job = self.diagnosis.job;
        let text = match &self.diagnosis.lookup {
            JobLookup::State(state) => format!("job {job} is {state}; {snapshots}"),
            JobLookup::NotFound => format!("the cluster does not know job {job}"),
            JobLookup::NotTried | JobLookup::Failed(_) => format!("nothing: looking up job {job} failed: {snapshots}"),
        };
        Step::Done(Ok(Found { diagnosis: self.diagnosis.clone(), text }))
    }

    /// Reads the list; whether it may lack what is looked for because it is old.
    fn read(&mut self, checkpoints: &Checkpoints) -> bool {
        let latest = &checkpoints.latest;
        self.diagnosis.last_savepoint = latest.savepoint.as_ref().and_then(Snapshot::of);
        self.diagnosis.last_checkpoint = latest.completed.as_ref().and_then(Snapshot::of);
        if self.is_stop && self.diagnosis.lookup == JobLookup::State(JobState::Finished) {
            self.diagnosis.savepoint = checkpoints.stopped_with().map(str::to_owned);
            return self.diagnosis.savepoint.is_none() && !std::mem::replace(&mut self.read_again, true);
        }
        false
    }

    pub(super) fn poll(&mut self, cx: &mut Common<FlinkRest>, reply: &mut Option<Reply>) -> Step<Found> {
        loop {
            match &mut self.state {
                State::Start => self.state = State::Status(cx.call(GetJobStatus::new(self.diagnosis.job))),
                State::Status(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(job) => {
                        self.diagnosis.lookup = JobLookup::State(job.status);
                        self.state = State::Checkpoints(cx.call(GetCheckpoints::new(self.diagnosis.job)));
                    }
                    Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                        self.diagnosis.lookup = JobLookup::NotFound;
                        return self.found("");
                    }
                    Err(error) => {
                        let Some(wait) = self.again(&error, cx) else {
                            self.diagnosis.lookup = JobLookup::Failed(error.to_string());
                            return self.found(&error.to_string());
                        };
                        self.state = wait;
                    }
                },
                State::Checkpoints(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(checkpoints) => {
                        if self.read(&checkpoints) {
                            self.state = State::Wait(cx.now() + CACHED);
                        } else {
                            return self.found(&self.last_savepoint());
                        }
                    }
                    // It has just been forgotten, or has no checkpoints: the state is all there is to know.
                    Err(error) => {
                        let Some(wait) = self.again(&error, cx).filter(|_| self.needs_list(&error)) else {
                            return self.found(&format!("its last savepoint could not be read: {error}"));
                        };
                        self.state = wait;
                    }
                },
                State::Wait(until) => {
                    let until = cx.no_later_than(*until);
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    if until > cx.now() {
                        return Step::WaitUntil(until);
                    }
                    self.state = State::Start;
                }
            }
        }
    }

    /// Whether the list of checkpoints may still be had and tell more.
    fn needs_list(&self, error: &FlowError) -> bool {
        self.is_stop && !error.service().is_some_and(is_unknown_job)
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

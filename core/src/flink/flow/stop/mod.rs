//! The goal [`StopWithSavepoint`].
//!
//! ```text
//!  Trigger ──savepoint, saved──▶ Await ◀──▶ Wait
//!     │                           ▲ │ └─ the job runs on, for some seconds ──▶ failed, with the savepoint
//!     │   resumed with a savepoint┘ ├─ the job cannot be waited for ──▶ Diagnose
//!     │                             └─▶ done; or failed with the savepoint, if the stop itself had failed
//!     └─ no savepoint ──▶ NoSavepoint
//! ```
//!
//! | end of the trigger | state of the job at the cluster | result of the stop |
//! |---|---|---|
//! | a location | FINISHED, another end, or unknown | done |
//! | a location | anything else for 5 s: a failover brought it back | failed, with the savepoint |
//! | failed, after its savepoint was written | FAILED, another end, or unknown | failed, with the savepoint |
//! | failed without a savepoint, every attempt answered | anything | failed |
//! | failed, after an attempt without an answer | FINISHED, and its last snapshot is a stop's savepoint | done |
//! | failed, after an attempt without an answer | FINISHED otherwise, unknown, or it cannot be looked up | ambiguous |
//! | forgotten | FINISHED, and its last snapshot is a stop's savepoint | done |
//! | forgotten, or failed after an attempt without an answer | another end, and its last snapshot is a stop's savepoint that was triggered since | failed, with the savepoint |
//! | forgotten, every attempt answered | not ended | failed: the job runs on |
//! | forgotten, first sent 10 minutes ago or earlier | not ended | failed: the job runs on |
//! | forgotten otherwise | | ambiguous |
//! | a location, or failed after its savepoint was written | not readable until the deadline, or for 90 s without a deadline | ambiguous, with the savepoint |
//!
//! "Forgotten" means that the cluster no longer knows the trigger id.
//!
//! A job whose savepoint is written has no tasks any more and is about to be FINISHED. If it is in another state for
//! more than 5 s, a failover has restored it from its last checkpoint. Every error has a
//! [`JobDiagnosis`](super::JobDiagnosis), with the savepoint if one was written.

mod machine;

use std::time::Duration;

use super::async_operation::TriggerState;
use super::async_operation::{AsyncOperation, Kind, trigger_methods};
use crate::error::Failure;
#[cfg(doc)]
use crate::error::FlowError;
use crate::flink::jobs::JobState;
use crate::flink::savepoints::{GetSavepointStatus, Outcome, SavepointFormat, SavepointStatus, StartStop};
use crate::flink::{FlinkRest, JobId, TriggerId};
use crate::flow::{SavedState, goal};
use crate::schema::json_structs;
pub(super) use machine::StopMachine;

json_structs! {
    struct StopState {
        pub trigger: TriggerState,
        pub target_directory: Option<String>,
        pub drain: Option<bool>,
        pub format: Option<SavepointFormat>,
        /// The path of the savepoint, once it is written.
        pub location: Option<String>,
        /// Why the stop failed after that; `None` if it did not.
        pub failure: Option<String>,
    }
}

/// Stops a job with a savepoint and waits until it has ended.
///
/// Flink rejects a savepoint unless all tasks of the job run. After a submission, wait with
/// [`AwaitJob::running`](super::AwaitJob::running) first.
///
/// # Errors
/// * [`FlowError::Failed`] if the savepoint fails: the job may run on, restart, or have failed.
/// * [`FlowError::Failed`] if the savepoint was written, but the job failed while it was stopping. Start a job from the
///   savepoint: this also commits what the sinks had prepared.
/// * [`FlowError::Failed`] if the savepoint was written, but a failover restored the job. It continues from its last
///   checkpoint. Run another stop, which takes a newer savepoint.
/// * [`FlowError::Ambiguous`] if it is not known whether the job was stopped: the cluster has forgotten the trigger, an
///   attempt got no answer, or the job could not be looked up until the deadline (for 90 s without one). Look up the
///   job before you start another job. If the diagnosis has a savepoint, that savepoint is complete.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires before the job has ended. The cluster continues
///   the stop: resume from the saved state.
///
/// All of these carry a [`JobDiagnosis`](super::JobDiagnosis): the state of the job, the trigger id, and the path of
/// the savepoint if one was written.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct StopWithSavepoint {
    start: StartStop,
    timeout: Option<Duration>,
    resumed: Option<TriggerState>,
    written: Option<Written>,
}

/// The written savepoint.
#[derive(Clone, Debug)]
struct Written {
    path: String,
    /// Why the stop failed after the savepoint, and Flink's stack trace.
    failure: Option<(String, Option<String>)>,
}

impl StopWithSavepoint {
    /// Creates the goal for a job.
    pub fn new(job: JobId) -> Self {
        Self { start: StartStop::new(job), timeout: None, resumed: None, written: None }
    }

    /// Sets the directory for the savepoint; by default the cluster's `execution.checkpointing.savepoint-dir`.
    pub fn target_directory(mut self, directory: impl Into<String>) -> Self {
        self.start.target_directory = Some(directory.into());
        self
    }

    /// Sets whether the sources first emit the maximum watermark, so that all event-time timers fire; false by default.
    /// Use it only for a job that will not be started from the savepoint.
    pub fn drain(mut self, drain: bool) -> Self {
        self.start.drain = Some(drain);
        self
    }

    /// Sets the format of the savepoint; Flink's canonical format by default.
    pub fn format(mut self, format: SavepointFormat) -> Self {
        self.start.format_type = Some(format);
        self
    }

    /// Sets the trigger id, which must be new: also no savepoint may have used it. Chosen from the seed by default.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.start.trigger_id = Some(id);
        self
    }
}

impl From<StopWithSavepoint> for StopMachine {
    fn from(goal: StopWithSavepoint) -> Self {
        StopMachine::new(AsyncOperation::new(goal.start, goal.resumed), goal.written)
    }
}

/// A job that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    #[allow(missing_docs, reason = "the name says everything")]
    pub job: JobId,
    /// The path of the savepoint: start a job from it.
    pub location: String,
    /// How the job ended: FINISHED, unless something else ended it at the same time. `None` if the cluster no longer
    /// knows the job, because the JobManager was restarted in the meantime.
    pub state: Option<JobState>,
}

impl Kind for StartStop {
    trigger_methods!(GetSavepointStatus -> SavepointStatus);
    type Value = String;
    const NAME: &'static str = "StopWithSavepoint";
    const WHAT: &'static str = "stop with savepoint";
    const IS_STOP: bool = true;

    fn outcome(_job: JobId, status: &SavepointStatus) -> Option<Outcome<String>> {
        Some(status.outcome()?.map(str::to_owned))
    }

    fn left_behind(status: &SavepointStatus) -> Option<&str> {
        status.operation.as_ref()?.left_behind()
    }

    fn saved(&self, trigger: &TriggerState) -> SavedState {
        saved(self, trigger, None)
    }

    /// The flow looks the job up after any failure.
    fn is_lost(_failure: &Failure) -> bool {
        false
    }
}

/// The saved state, with the savepoint once it is written.
fn saved(start: &StartStop, trigger: &TriggerState, written: Option<&Written>) -> SavedState {
    let state = StopState {
        trigger: trigger.clone(),
        target_directory: start.target_directory.clone(),
        drain: start.drain,
        format: start.format_type.clone(),
        location: written.map(|written| written.path.clone()),
        failure: written.and_then(|written| written.failure.clone()).map(|(reason, _)| reason),
    };
    SavedState::new(StartStop::NAME, &state)
}

impl From<StopState> for StopWithSavepoint {
    fn from(state: StopState) -> Self {
        let StopState { trigger, target_directory, drain, format, location, failure } = state;
        let mut goal = Self::new(trigger.job);
        (goal.start.target_directory, goal.start.drain, goal.start.format_type) = (target_directory, drain, format);
        let written = location.map(|path| Written { path, failure: failure.map(|reason| (reason, None)) });
        Self { written, resumed: Some(trigger), ..goal }
    }
}

goal!(StopWithSavepoint: FlinkRest => Stopped, StopMachine, resume StopState);

//! The goals [`TakeSavepoint`] and [`TriggerCheckpoint`].

use std::time::Duration;

use super::{AsyncOperation, Kind, TriggerState, trigger_methods};
#[cfg(doc)]
use crate::error::FlowError;
use crate::flink::checkpoints::{CheckpointStatus, CheckpointType, GetCheckpointStatus, StartCheckpoint};
use crate::flink::savepoints::{GetSavepointStatus, Outcome, SavepointFormat, SavepointStatus, StartSavepoint};
use crate::flink::{FlinkRest, JobId, TriggerId};
use crate::flow::{SavedState, goal};
use crate::schema::json_structs;

json_structs! {
    struct SavepointState {
        pub trigger: TriggerState,
        pub target_directory: Option<String>,
        pub format: Option<SavepointFormat>,
    }

    struct CheckpointState {
        pub trigger: TriggerState,
        pub kind: Option<CheckpointType>,
    }
}

/// Takes a savepoint of a running job and waits until it is written.
///
/// Flink rejects a savepoint unless all tasks of the job run. After a submission, wait with
/// [`AwaitJob::running`](crate::flink::AwaitJob::running) first.
///
/// The flow takes exactly one savepoint if the JobManager keeps running. A JobManager that is restarted between a lost
/// response and the next attempt does not know the first attempt, and takes a second savepoint.
///
/// # Errors
/// * [`FlowError::Failed`] with the cluster's reason if the savepoint fails, if the cluster does not know the job, or
///   if not all its tasks run.
/// * [`FlowError::Ambiguous`] if the cluster has forgotten the trigger, or no longer knows the job after an attempt
///   whose response was lost.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires. The cluster continues the savepoint: resume
///   from the saved state.
///
/// All of these carry a [`JobDiagnosis`](crate::flink::JobDiagnosis) with the trigger id and the state of the job.
///
/// ```
/// use pipewright::flink::{JobId, TakeSavepoint};
/// use std::time::Duration;
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let goal = TakeSavepoint::new(job).target_directory("s3://bucket/savepoints").timeout(Duration::from_secs(600));
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct TakeSavepoint {
    start: StartSavepoint,
    timeout: Option<Duration>,
    resumed: Option<TriggerState>,
}

impl TakeSavepoint {
    /// Creates the goal for a job.
    pub fn new(job: JobId) -> Self {
        Self { start: StartSavepoint::new(job), timeout: None, resumed: None }
    }

    /// Sets the directory for the savepoint; by default the cluster's `execution.checkpointing.savepoint-dir`.
    pub fn target_directory(mut self, directory: impl Into<String>) -> Self {
        self.start.target_directory = Some(directory.into());
        self
    }

    /// Sets the format of the savepoint; Flink's canonical format by default.
    pub fn format(mut self, format: SavepointFormat) -> Self {
        self.start.format_type = Some(format);
        self
    }

    /// Sets the trigger id, which must be new. Chosen from the seed by default.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.start.trigger_id = Some(id);
        self
    }
}

/// A complete savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Savepoint {
    #[allow(missing_docs, reason = "the name says everything")]
    pub job: JobId,
    /// The path of the savepoint: start a job from it.
    pub location: String,
}

impl Kind for StartSavepoint {
    trigger_methods!(GetSavepointStatus -> SavepointStatus);
    type Value = Savepoint;
    const NAME: &'static str = "TakeSavepoint";
    const WHAT: &'static str = "savepoint";

    fn outcome(job: JobId, status: &SavepointStatus) -> Option<Outcome<Savepoint>> {
        Some(status.outcome()?.map(|location| Savepoint { job, location: location.to_owned() }))
    }

    fn saved(&self, trigger: &TriggerState) -> SavedState {
        let (target_directory, format) = (self.target_directory.clone(), self.format_type.clone());
        SavedState::new(Self::NAME, &SavepointState { trigger: trigger.clone(), target_directory, format })
    }
}

impl From<SavepointState> for TakeSavepoint {
    fn from(state: SavepointState) -> Self {
        let mut goal = Self::new(state.trigger.job);
        goal.start.target_directory = state.target_directory;
        goal.start.format_type = state.format;
        Self { resumed: Some(state.trigger), ..goal }
    }
}

impl From<TakeSavepoint> for AsyncOperation<StartSavepoint> {
    fn from(goal: TakeSavepoint) -> Self {
        Self::new(goal.start, goal.resumed)
    }
}

goal!(TakeSavepoint: FlinkRest => Savepoint, AsyncOperation<StartSavepoint>, resume SavepointState);

/// Takes a checkpoint of a running job, waits until it is completed, and returns its number. Since 1.17.
///
/// The job needs no periodic checkpoints.
///
/// # Errors
/// The same as those of [`TakeSavepoint`].
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct TriggerCheckpoint {
    start: StartCheckpoint,
    timeout: Option<Duration>,
    resumed: Option<TriggerState>,
}

impl TriggerCheckpoint {
    /// Creates the goal for a job.
    pub fn new(job: JobId) -> Self {
        Self { start: StartCheckpoint::new(job), timeout: None, resumed: None }
    }

    /// Sets the kind of checkpoint, full or incremental; by default as the job is configured.
    pub fn kind(mut self, kind: CheckpointType) -> Self {
        self.start.checkpoint_type = Some(kind);
        self
    }

    /// Sets the trigger id, which must be new. Chosen from the seed by default.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.start.trigger_id = Some(id);
        self
    }
}

impl From<CheckpointState> for TriggerCheckpoint {
    fn from(state: CheckpointState) -> Self {
        let mut goal = Self::new(state.trigger.job);
        goal.start.checkpoint_type = state.kind;
        Self { resumed: Some(state.trigger), ..goal }
    }
}

impl From<TriggerCheckpoint> for AsyncOperation<StartCheckpoint> {
    fn from(goal: TriggerCheckpoint) -> Self {
        Self::new(goal.start, goal.resumed)
    }
}

impl Kind for StartCheckpoint {
    trigger_methods!(GetCheckpointStatus -> CheckpointStatus);
    type Value = i64;
    const NAME: &'static str = "TriggerCheckpoint";
    const WHAT: &'static str = "checkpoint";

    fn outcome(_job: JobId, status: &CheckpointStatus) -> Option<Outcome<i64>> {
        status.outcome()
    }

    fn saved(&self, trigger: &TriggerState) -> SavedState {
        SavedState::new(Self::NAME, &CheckpointState { trigger: trigger.clone(), kind: self.checkpoint_type.clone() })
    }
}

goal!(TriggerCheckpoint: FlinkRest => i64, AsyncOperation<StartCheckpoint>, resume CheckpointState);

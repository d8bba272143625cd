//! The goals [`TakeSavepoint`] and [`TriggerCheckpoint`].

use std::time::Duration;

use super::{AsyncOperation, Kind, TriggerState};
#[cfg(doc)]
use crate::error::FlowError;
use crate::flink::checkpoints::{CheckpointStatus, CheckpointType, GetCheckpointStatus, StartCheckpoint};
use crate::flink::jobs::QueueStatus;
use crate::flink::savepoints::{GetSavepointStatus, Outcome, SavepointFormat, SavepointStatus, StartSavepoint};
use crate::flink::{FlinkRest, JobId, TriggerId};
use crate::flow::{SavedState, goal};
use crate::schema::json_structs;

json_structs! {
    struct SavepointState {
        /// What is known of the trigger.
        pub trigger: TriggerState,
        /// As in the goal.
        pub target_directory: Option<String>,
        /// As in the goal.
        pub format: Option<SavepointFormat>,
    }

    struct CheckpointState {
        /// What is known of the trigger.
        pub trigger: TriggerState,
        /// As in the goal.
        pub kind: Option<CheckpointType>,
    }
}

/// Takes a savepoint of a running job and waits until it is written.
///
/// All tasks of the job must run, which takes a moment from its submission: wait with
/// [`AwaitJob::running`](crate::flink::AwaitJob::running). Ends in [`FlowError::Failed`] with the cluster's reason,
/// also for a job that it does not know or whose tasks do not all run; in [`FlowError::Ambiguous`] when the cluster has
/// forgotten the trigger, or knows the job no more after an attempt whose answer was lost; in [`FlowError::Deadline`]
/// while the savepoint is still being written, and it goes on. All of these carry a
/// [`JobDiagnosis`](crate::flink::JobDiagnosis) with the trigger id, and with what the cluster said about the job.
///
/// One savepoint is taken as long as the JobManager lives: one that is restarted between a lost answer and the next
/// attempt knows nothing of the first, and takes another.
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
    job: JobId,
    target_directory: Option<String>,
    format: Option<SavepointFormat>,
    given: Option<TriggerId>,
    timeout: Option<Duration>,
    resumed: Option<TriggerState>,
}

impl TakeSavepoint {
    pub(super) const NAME: &'static str = "TakeSavepoint";

    /// A savepoint of a job, at the cluster's default place.
    pub fn new(job: JobId) -> Self {
        Self { job, target_directory: None, format: None, given: None, timeout: None, resumed: None }
    }

    /// Where to write it.
    pub fn target_directory(mut self, directory: impl Into<String>) -> Self {
        self.target_directory = Some(directory.into());
        self
    }

    /// How to write it.
    pub fn format(mut self, format: SavepointFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the trigger id, which must be new. Chosen from the seed by default.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.given = Some(id);
        self
    }
}

/// A savepoint that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Savepoint {
    /// The job.
    pub job: JobId,
    /// Where it is: the path to start a job from.
    pub location: String,
}

/// The savepoint among the background operations.
#[derive(Debug)]
pub struct SavepointKind {
    target_directory: Option<String>,
    format: Option<SavepointFormat>,
}

impl Kind for SavepointKind {
    type Start = StartSavepoint;
    type Status = GetSavepointStatus;
    type Value = Savepoint;
    const NAME: &'static str = TakeSavepoint::NAME;
    const WHAT: &'static str = "savepoint";

    fn start(&self, job: JobId, id: TriggerId) -> StartSavepoint {
        let mut start = StartSavepoint::new(job).trigger_id(id);
        start.target_directory.clone_from(&self.target_directory);
        start.format_type.clone_from(&self.format);
        start
    }

    fn status(job: JobId, id: TriggerId) -> GetSavepointStatus {
        GetSavepointStatus::new(job, id)
    }

    fn outcome(job: JobId, status: &SavepointStatus) -> Option<Outcome<Savepoint>> {
        Some(status.outcome()?.map(|location| Savepoint { job, location: location.to_owned() }))
    }

    fn is_over(status: &SavepointStatus) -> bool {
        status.status.id == QueueStatus::Completed
    }

    fn saved(&self, trigger: &TriggerState) -> SavedState {
        let (target_directory, format) = (self.target_directory.clone(), self.format.clone());
        SavedState::new(Self::NAME, &SavepointState { trigger: trigger.clone(), target_directory, format })
    }
}

impl From<SavepointState> for TakeSavepoint {
    fn from(state: SavepointState) -> Self {
        let SavepointState { trigger, target_directory, format } = state;
        let job = trigger.job;
        Self { target_directory, format, resumed: Some(trigger), ..Self::new(job) }
    }
}

impl From<TakeSavepoint> for AsyncOperation<SavepointKind> {
    fn from(goal: TakeSavepoint) -> Self {
        let kind = SavepointKind { target_directory: goal.target_directory, format: goal.format };
        match goal.resumed {
            Some(trigger) => Self::resumed(kind, trigger),
            None => Self::fresh(kind, goal.job, goal.given),
        }
    }
}

goal!(TakeSavepoint: FlinkRest => Savepoint, AsyncOperation<SavepointKind>, resume SavepointState);

/// Takes a checkpoint of a running job and waits until it is completed; comes to its number. Since 1.17.
///
/// Works for jobs without periodic checkpoints too. Ends in errors as [`TakeSavepoint`] does.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct TriggerCheckpoint {
    job: JobId,
    kind: Option<CheckpointType>,
    given: Option<TriggerId>,
    timeout: Option<Duration>,
    resumed: Option<TriggerState>,
}

impl TriggerCheckpoint {
    const NAME: &'static str = "TriggerCheckpoint";

    /// A checkpoint of a job, as it is configured.
    pub fn new(job: JobId) -> Self {
        Self { job, kind: None, given: None, timeout: None, resumed: None }
    }

    /// How much to write.
    pub fn kind(mut self, kind: CheckpointType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets the trigger id, which must be new. Chosen from the seed by default.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.given = Some(id);
        self
    }
}

impl From<CheckpointState> for TriggerCheckpoint {
    fn from(state: CheckpointState) -> Self {
        let CheckpointState { trigger, kind } = state;
        let job = trigger.job;
        Self { kind, resumed: Some(trigger), ..Self::new(job) }
    }
}

impl From<TriggerCheckpoint> for AsyncOperation<CheckpointKind> {
    fn from(goal: TriggerCheckpoint) -> Self {
        let kind = CheckpointKind { kind: goal.kind };
        match goal.resumed {
            Some(trigger) => AsyncOperation::resumed(kind, trigger),
            None => AsyncOperation::fresh(kind, goal.job, goal.given),
        }
    }
}

/// The checkpoint among the background operations.
#[derive(Debug)]
pub struct CheckpointKind {
    kind: Option<CheckpointType>,
}

impl Kind for CheckpointKind {
    type Start = StartCheckpoint;
    type Status = GetCheckpointStatus;
    type Value = i64;
    const NAME: &'static str = TriggerCheckpoint::NAME;
    const WHAT: &'static str = "checkpoint";

    fn start(&self, job: JobId, id: TriggerId) -> StartCheckpoint {
        let mut start = StartCheckpoint::new(job).trigger_id(id);
        start.checkpoint_type.clone_from(&self.kind);
        start
    }

    fn status(job: JobId, id: TriggerId) -> GetCheckpointStatus {
        GetCheckpointStatus::new(job, id)
    }

    fn outcome(_job: JobId, status: &CheckpointStatus) -> Option<Outcome<i64>> {
        status.outcome()
    }

    fn is_over(status: &CheckpointStatus) -> bool {
        status.status.id == QueueStatus::Completed
    }

    fn saved(&self, trigger: &TriggerState) -> SavedState {
        SavedState::new(Self::NAME, &CheckpointState { trigger: trigger.clone(), kind: self.kind.clone() })
    }
}

goal!(TriggerCheckpoint: FlinkRest => i64, AsyncOperation<CheckpointKind>, resume CheckpointState);

//! [`JobDiagnosis`]: what a flow knew about its job when it ended with an error.

use std::error::Error;
use std::fmt;

use super::job_manager::{JobManagerLookup, suspicion};
use crate::error::FlowError;
use crate::flink::checkpoints::{Checkpoint, SnapshotType};
use crate::flink::jobs::JobState;
use crate::flink::{JarId, JobId, Millis, TriggerId};
use crate::time::Timestamp;

/// What a flow knew about its job when it ended with an error. It is the [evidence](FlowError::evidence) of most errors
/// of Flink's flows.
///
/// ```
/// use pipewright::error::FlowError;
/// use pipewright::flink::{JobDiagnosis, JobLookup};
/// use pipewright::flink::jobs::JobState;
///
/// /// Returns the path to start a job from, if a stop failed after it had written its savepoint. A FINISHED job
/// /// continued after its savepoint and has done all its work.
/// fn path_to_start_from(error: &FlowError) -> Option<&str> {
///     let diagnosis = JobDiagnosis::of(error)?;
///     let has_ended =
///         matches!(&diagnosis.lookup, JobLookup::State(state) if state.is_terminal() && *state != JobState::Finished);
///     diagnosis.savepoint.as_deref().filter(|_| has_ended)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names of some fields say everything")]
pub struct JobDiagnosis {
    pub job: JobId,
    /// What the cluster said about the job when the flow looked it up last.
    pub lookup: JobLookup,
    /// The trigger id of the savepoint, stop or checkpoint; `None` if the flow had no trigger.
    pub trigger: Option<TriggerId>,
    /// The jar that the job was to run from; `None` if the flow does not run a jar.
    pub jar: Option<JarId>,
    /// Whether the JobManager that was to execute the main method of a jar still runs. Looked up only if that request
    /// got no answer.
    pub job_manager: JobManagerLookup,
    /// The path of the savepoint that the failed flow has written. The savepoint is complete.
    pub savepoint: Option<String>,
    /// The newest savepoint that the cluster lists for the job; `None` if the cluster lists none or was not asked.
    /// Another client may have taken it. The list may be 3 s old.
    pub last_savepoint: Option<Snapshot>,
    /// The newest completed checkpoint that the cluster lists for the job and has not deleted; `None` as above. The
    /// list may be 3 s old.
    pub last_checkpoint: Option<Snapshot>,
}

/// What the cluster said about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobLookup {
    /// The flow did not look the job up.
    NotTried,
    /// The job is in this state.
    State(JobState),
    /// The cluster does not know the job: it never had it, forgot it, or lost it in a restart.
    NotFound,
    /// The lookup failed, for this reason.
    LookupFailed(String),
}

/// A savepoint or checkpoint that the cluster lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The path to start a job from.
    pub path: String,
    /// The kind of snapshot; `None` if the cluster does not say. `SyncSavepoint` is the savepoint of a stop.
    pub kind: Option<SnapshotType>,
    /// When it was triggered, by the cluster's clock; `None` if the cluster does not say.
    pub triggered_at: Option<Timestamp>,
}

impl JobDiagnosis {
    pub(super) fn new(job: JobId) -> Self {
        Self {
            job,
            lookup: JobLookup::NotTried,
            trigger: None,
            jar: None,
            job_manager: JobManagerLookup::NotTried,
            savepoint: None,
            last_savepoint: None,
            last_checkpoint: None,
        }
    }

    /// Returns the diagnosis that an error carries; `None` if it carries none.
    pub fn of(error: &FlowError) -> Option<&Self> {
        error.evidence()
    }

    /// Returns whether the cluster said that the job has ended, or does not know it.
    pub(super) fn has_ended(&self) -> bool {
        match &self.lookup {
            JobLookup::State(state) => state.is_terminal(),
            JobLookup::NotFound => true,
            JobLookup::NotTried | JobLookup::LookupFailed(_) => false,
        }
    }

    /// Returns whether the cluster said that the job is FINISHED, CANCELED or FAILED.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(&self.lookup, JobLookup::State(state) if state.is_terminal())
    }

    /// Returns whether the cluster said that the job has not ended.
    pub(super) fn is_alive(&self) -> bool {
        matches!(&self.lookup, JobLookup::State(state) if !state.is_terminal())
    }
}

impl Snapshot {
    /// Returns the snapshot of a checkpoint; `None` if it has no path, or was deleted.
    pub(super) fn of(checkpoint: &Checkpoint) -> Option<Self> {
        let path = checkpoint.external_path.clone().filter(|_| checkpoint.discarded != Some(true))?;
        let triggered_at = checkpoint.trigger_timestamp.and_then(Millis::get);
        Some(Self { path, kind: checkpoint.checkpoint_type.clone(), triggered_at })
    }
}

impl fmt::Display for JobLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTried => f.write_str("the flow did not look the job up"),
            Self::State(state) => write!(f, "the job is {state}"),
            Self::NotFound => f.write_str("the cluster does not know the job"),
            Self::LookupFailed(why) => write!(f, "the state of the job could not be read: {why}"),
        }
    }
}

/// Shows the whole diagnosis in one line.
impl fmt::Display for JobDiagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.job)?;
        if let Some(jar) = &self.jar {
            write!(f, " from jar {jar}")?;
        }
        write!(f, ": {}", self.lookup)?;
        if let Some(trigger) = self.trigger {
            write!(f, "; trigger {trigger}")?;
        }
        if let Some(suspicion) = suspicion(&self.job_manager) {
            write!(f, "; {suspicion}")?;
        }
        if let Some(path) = &self.savepoint {
            write!(f, "; savepoint {path}")?;
        }
        let listed = [("savepoint", &self.last_savepoint), ("checkpoint", &self.last_checkpoint)];
        for (what, snapshot) in listed {
            if let Some(snapshot) = snapshot.as_ref().filter(|known| self.savepoint.as_ref() != Some(&known.path)) {
                write!(f, "; last {what} {snapshot}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, kind, triggered_at } = self;
        match (kind, triggered_at) {
            (Some(kind), Some(at)) => write!(f, "{path} ({kind}, triggered at {at})"),
            (Some(kind), None) => write!(f, "{path} ({kind})"),
            (None, Some(at)) => write!(f, "{path} (triggered at {at})"),
            (None, None) => f.write_str(path),
        }
    }
}

impl Error for JobDiagnosis {}

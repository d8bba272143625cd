//! [`UpgradeDiagnosis`]: how far an upgrade was when it ended with an error.

use std::error::Error;
use std::fmt;

use super::UpgradePhase;
use crate::error::FlowError;
use crate::flink::flow::JobDiagnosis;
use crate::flink::{JarId, JobId};

/// Which job runs after an upgrade has ended with an error.
///
/// The status follows from the cluster's last responses. The job may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeStatus {
    /// The flow has stopped no job and started no job. The old job runs, unless something else has ended it.
    Untouched,
    /// The old job runs: the stop failed, or a rollback was requested before the job was stopped. In the phases
    /// [`RunOld`](UpgradePhase::RunOld) and [`SettleOld`](UpgradePhase::SettleOld), the old jar runs as
    /// [`UpgradeDiagnosis::old_job`].
    OldJobRuns,
    /// Neither the old nor the new job runs. Start a job from [`UpgradeDiagnosis::savepoint`]. If that is `None`, start
    /// it from the newer of [`last_checkpoint`](UpgradeDiagnosis::last_checkpoint) and
    /// [`earlier_savepoint`](UpgradeDiagnosis::earlier_savepoint).
    NoJobRuns,
    /// The new job has not ended, but the flow has not yet verified that it runs steadily. Resume the upgrade from its
    /// saved state.
    NewJobRuns,
    /// It is not known which job runs, or whether a job runs. Resume the upgrade from its saved state.
    Unknown,
}

impl fmt::Display for UpgradeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untouched => "no job was stopped or started",
            Self::OldJobRuns => "the old job runs",
            Self::NoJobRuns => "no job runs",
            Self::NewJobRuns => "the new job runs",
            Self::Unknown => "it is not known which job runs",
        })
    }
}

/// How far an upgrade was when it ended with an error: the [evidence](FlowError::evidence) of its errors.
///
/// ```
/// use pipewright::error::FlowError;
/// use pipewright::flink::{RunJar, UpgradeDiagnosis, UpgradeJob, UpgradePhase};
///
/// /// Returns the goal that continues without a saved state, if no job can run from the savepoint yet.
/// fn again(error: &FlowError) -> Option<UpgradeJob> {
///     let diagnosis = UpgradeDiagnosis::of(error)?;
///     if error.is_ambiguous() || !matches!(diagnosis.phase, UpgradePhase::Prepare | UpgradePhase::Run) {
///         // A new upgrade has new job ids: it could start a second job from the same savepoint.
///         return None;
///     }
///     let (old, new) = (&diagnosis.old_jar, &diagnosis.new_jar);
///     let goal = UpgradeJob::new(diagnosis.job, RunJar::uploaded(old.clone()), RunJar::uploaded(new.clone()));
///     Some(goal.from_savepoint(diagnosis.savepoint.as_ref()?))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpgradeDiagnosis {
    /// The phase that ended with the error.
    pub phase: UpgradePhase,
    /// Which job runs now, as far as the flow has verified it.
    pub status: UpgradeStatus,
    /// The job that was to be upgraded.
    pub job: JobId,
    /// The id of the new jar's job, which may not exist yet.
    pub new_job: JobId,
    /// The id of the old jar's job if the flow rolls back. It equals `new_job` if the flow rolled back while `main()`
    /// of the new jar might still run: the cluster then rejects a late submission of the new job.
    pub old_job: JobId,
    /// The new jar; empty before it was uploaded.
    pub new_jar: JarId,
    /// The old jar; empty before it was uploaded.
    pub old_jar: JarId,
    /// The path of the savepoint that `job` was stopped with; `None` before that. In the phase
    /// [`Stop`](UpgradePhase::Stop), that savepoint is complete, but it is not known whether `job` has ended: resume
    /// the upgrade.
    ///
    /// A job may run from it in the phase [`Run`](UpgradePhase::Run) if the error is ambiguous, and in every later
    /// phase. Look up `new_job` and `old_job` before you start another job from it. If the cluster knows neither job,
    /// one of them may have finished and been forgotten: check its output before you start a job from this savepoint.
    pub savepoint: Option<String>,
    /// The path of the savepoint of a stop after which a failover restored `job`. `None` if there was no such stop, or
    /// a later stop succeeded. The job continued after this savepoint: start from its last checkpoint if that is newer.
    pub earlier_savepoint: Option<String>,
    /// The path of the last completed checkpoint of `job` before it was stopped. If `job` has ended without a
    /// savepoint, the path of the last checkpoint that the cluster lists. `None` if the cluster listed no checkpoint.
    ///
    /// If a stop ended as ambiguous and left no other path, look for its savepoint in the target directory first. Its
    /// name begins with `savepoint-` and the first six digits of the id of `job`.
    ///
    /// The cluster deletes checkpoints of an ended job unless they are retained
    /// (`execution.checkpointing.externalized-checkpoint-retention`).
    pub last_checkpoint: Option<String>,
    /// Why the flow gave up the new job; `None` if it has not given it up.
    pub reason: Option<String>,
    /// What the failed step knew about its job; `None` if that step has no job.
    pub last: Option<JobDiagnosis>,
}

impl UpgradeDiagnosis {
    /// Returns the diagnosis that an error carries; `None` if it carries none.
    pub fn of(error: &FlowError) -> Option<&Self> {
        error.evidence()
    }
}

/// Shows the diagnosis in one line, without [`last`](UpgradeDiagnosis::last).
impl fmt::Display for UpgradeDiagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, status, job, new_job, old_job, savepoint, earlier_savepoint, last_checkpoint, .. } = self;
        write!(f, "upgrade of job {job} in phase {phase}: {status}, ")?;
        match savepoint {
            Some(savepoint) => write!(f, "savepoint {savepoint}, ")?,
            None => f.write_str("no known savepoint, ")?,
        }
        if let Some(checkpoint) = last_checkpoint.as_ref().filter(|_| savepoint.is_none()) {
            write!(f, "last checkpoint {checkpoint}, ")?;
        }
        if let Some(earlier) = earlier_savepoint {
            write!(f, "savepoint {earlier} of a stop after which the job ran on, ")?;
        }
        write!(f, "new job {new_job}, old jar again as job {old_job}")
    }
}

impl Error for UpgradeDiagnosis {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.last.as_ref().map(|last| last as &(dyn Error + 'static))
    }
}

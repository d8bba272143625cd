//! [`Verdict`]: what an error of the upgrade means for the tool.

use pipewright::flink::checkpoints::SnapshotType;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{UpgradePhase, UpgradeStatus};

use crate::found::Found;
use crate::report::Outcome;

/// What is known when the upgrade ends with an error.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Facts {
    pub(crate) phase: UpgradePhase,
    pub(crate) status: UpgradeStatus,
    /// Whether the error is ambiguous.
    pub(crate) is_ambiguous: bool,
    /// Whether the error says that the cluster does not know the job.
    pub(crate) is_not_known: bool,
    /// Whether the job was last seen FINISHED.
    pub(crate) is_finished: bool,
    /// Whether the savepoint of this upgrade is known.
    pub(crate) has_savepoint: bool,
    /// Whether that savepoint is that of `--from-savepoint`.
    pub(crate) is_given: bool,
    /// Whether an earlier stop has left a savepoint.
    pub(crate) has_earlier: bool,
    /// Whether any savepoint or checkpoint to start a job from is known.
    pub(crate) has_snapshot: bool,
    /// Whether the saved state has a plan without an answer, which may have killed a JobManager.
    pub(crate) has_open_plan: bool,
}

/// What an error means for the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// Whether nothing is left to resume.
    pub(crate) is_over: bool,
    /// Whether the job is gone, and nothing is known to start another job from.
    pub(crate) is_gone: bool,
    /// Whether the next run begins a new upgrade, which may have another new jar.
    pub(crate) begins_again: bool,
}

impl Facts {
    /// Decides how the tool ends. `look_up` asks the cluster for a job that the upgrade has not touched.
    pub(crate) fn verdict(&self, look_up: impl FnOnce() -> Option<Found>) -> Verdict {
        let is_before_savepoint = matches!(self.phase, UpgradePhase::Prepare | UpgradePhase::Stop);
        // Started from a savepoint that it has outlived, another job would do a part of its work again.
        let is_finished = self.is_finished && !self.has_savepoint;
        // Nothing was begun: --job may be wrong. After a plan without an answer, the job may have died of it.
        let is_wrong_job = self.phase == UpgradePhase::Prepare
            && self.is_not_known
            && !self.has_open_plan
            && matches!(self.status, UpgradeStatus::Untouched | UpgradeStatus::Unknown);
        let mut is_gone = false;
        let (outcome, is_over) = match self.status {
            UpgradeStatus::Untouched => match look_up() {
                Some(Found::Runs(_)) => (Outcome::OldJobRuns, false),
                Some(Found::Ended(state)) if state != JobState::Finished && self.has_snapshot => {
                    (Outcome::NoJobRuns, true)
                }
                Some(Found::Ended(_)) => {
                    is_gone = true;
                    (Outcome::Failed, true)
                }
                _ if self.has_open_plan => (Outcome::Unknown, false),
                _ => (Outcome::Failed, false),
            },
            UpgradeStatus::Unknown if is_wrong_job && !self.has_snapshot => (Outcome::Failed, false),
            UpgradeStatus::OldJobRuns if is_before_savepoint => (Outcome::OldJobRuns, false),
            // A state without the savepoint of a stop that succeeded cannot start another job.
            UpgradeStatus::NoJobRuns if !is_finished && self.has_snapshot => {
                (Outcome::NoJobRuns, !self.has_savepoint && !self.is_ambiguous)
            }
            // A resumption asks for the outcome of the stop again, and may find its savepoint.
            UpgradeStatus::NoJobRuns if self.is_ambiguous => (Outcome::Unknown, false),
            UpgradeStatus::NoJobRuns => {
                is_gone = true;
                (Outcome::Failed, true)
            }
            _ => (Outcome::Unknown, false),
        };
        let is_untouched = matches!(self.status, UpgradeStatus::Untouched | UpgradeStatus::OldJobRuns);
        let is_untouched = is_untouched || is_wrong_job && outcome == Outcome::Failed;
        let is_given = self.is_given && self.status == UpgradeStatus::NoJobRuns && !self.is_ambiguous;
        // A new upgrade would plan the jar on the next JobManager, and may kill that JobManager, too.
        let begins_again = self.phase == UpgradePhase::Prepare
            && !self.has_open_plan
            && (is_given || is_untouched && !self.has_earlier);
        Verdict { outcome, is_over, is_gone, begins_again }
    }
}

/// Returns the path of a savepoint that the cluster lists, if a stop has written it: this savepoint, or an earlier
/// savepoint.
pub(crate) fn savepoint_of_stop(kind: Option<&SnapshotType>, path: &str) -> Option<String> {
    (kind == Some(&SnapshotType::SyncSavepoint)).then(|| path.to_owned())
}

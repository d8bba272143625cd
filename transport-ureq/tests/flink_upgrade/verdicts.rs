//! The outcome that follows from an error of the upgrade, and whether the state is kept.

use pipewright::flink::checkpoints::SnapshotType;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{UpgradePhase, UpgradeStatus};

use crate::found::Found;
use crate::report::Outcome;
use crate::verdict::{Facts, Verdict, savepoint_of_stop};

fn facts(phase: UpgradePhase, status: UpgradeStatus) -> Facts {
    Facts {
        phase,
        status,
        is_ambiguous: false,
        is_not_known: false,
        is_finished: false,
        has_savepoint: false,
        is_given: false,
        has_earlier: false,
        has_snapshot: false,
        has_open_plan: false,
    }
}

fn verdict(facts: &Facts) -> Verdict {
    facts.verdict(|| panic!("no job is looked up"))
}

/// The job has FAILED without a checkpoint, or is FINISHED and its checkpoints could not be listed.
#[test]
fn an_ambiguous_stop_keeps_the_state_that_can_find_its_savepoint() {
    for is_finished in [false, true] {
        for has_snapshot in [false, true] {
            let stop = facts(UpgradePhase::Stop, UpgradeStatus::NoJobRuns);
            let stop = Facts { is_ambiguous: true, is_finished, has_snapshot, ..stop };
            let outcome = if has_snapshot && !is_finished { Outcome::NoJobRuns } else { Outcome::Unknown };
            let expected = Verdict { outcome, is_over: false, is_gone: false, begins_again: false };
            assert_eq!(verdict(&stop), expected, "{is_finished}, {has_snapshot}");
            // A stop that has certainly failed leaves nothing to ask for.
            let failed = verdict(&Facts { is_ambiguous: false, ..stop });
            assert!(failed.is_over && failed.is_gone == (is_finished || !has_snapshot), "{failed:?}");
        }
    }
}

#[test]
fn an_open_plan_is_not_thrown_away() {
    let runs = || Some(Found::Runs(JobState::Running));
    let untouched = facts(UpgradePhase::Prepare, UpgradeStatus::Untouched);
    let open = Facts { has_open_plan: true, ..untouched };
    let expected = Verdict { outcome: Outcome::OldJobRuns, is_over: false, is_gone: false, begins_again: false };
    assert_eq!(open.verdict(runs), expected);
    assert_eq!(Facts { has_open_plan: false, ..open }.verdict(runs), Verdict { begins_again: true, ..expected });
    // Nor with --from-savepoint.
    let given = facts(UpgradePhase::Prepare, UpgradeStatus::NoJobRuns);
    let given = Facts { has_savepoint: true, is_given: true, has_snapshot: true, has_open_plan: true, ..given };
    let expected = Verdict { outcome: Outcome::NoJobRuns, ..expected };
    assert_eq!(verdict(&given), expected);
    assert_eq!(verdict(&Facts { has_open_plan: false, ..given }), Verdict { begins_again: true, ..expected });
}

/// The JobManager may have died of the plan, and the job with it.
#[test]
fn a_job_that_is_lost_after_an_open_plan_is_not_a_wrong_id() {
    let lost = facts(UpgradePhase::Prepare, UpgradeStatus::Unknown);
    let lost = Facts { is_not_known: true, has_open_plan: true, ..lost };
    let expected = Verdict { outcome: Outcome::Unknown, is_over: false, is_gone: false, begins_again: false };
    assert_eq!(verdict(&lost), expected);
    let untouched = Facts { status: UpgradeStatus::Untouched, ..lost };
    assert_eq!(untouched.verdict(|| Some(Found::NotKnown)), expected);
    let wrong = Facts { has_open_plan: false, ..untouched };
    let expected = Verdict { outcome: Outcome::Failed, begins_again: true, ..expected };
    assert_eq!(wrong.verdict(|| Some(Found::NotKnown)), expected);
    assert_eq!(verdict(&Facts { status: UpgradeStatus::Unknown, ..wrong }), expected);
}

#[test]
fn only_a_savepoint_that_stopped_its_job_is_one_to_start_from() {
    assert_eq!(savepoint_of_stop(Some(&SnapshotType::SyncSavepoint), "file:/s"), Some("file:/s".to_owned()));
    assert_eq!(savepoint_of_stop(Some(&SnapshotType::Savepoint), "file:/s"), None);
    assert_eq!(savepoint_of_stop(None, "file:/s"), None);
}

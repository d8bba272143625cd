//! `UpgradeJob`.

use std::time::Duration;

use pipewright::Seed;
use pipewright::drive::Entropy as _;
use pipewright::error::FlowError;
use pipewright::flink::flow::{Upgrade, UpgradePhase};
use pipewright::flink::{JobId, RunJar, UpgradeDiagnosis, UpgradeJob, UpgradeStatus};
use pipewright::flow::{Goal, Notice, Saved};
use pipewright_mock::FaultPlan;
use pipewright_mock::flink::Program;
use proptest::prelude::*;

use super::{LIMIT, Scene, cases, drive_some, exiting, hostile, run};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_upgrade_leaves_one_job_with_its_state(seed: u64, faults in 0_u64..60, bad in 0..9, breaks: bool, retain: bool) {
        let scene = Scene::with(seed, retain);
        let old = scene.launch(&old(breaks));
        let goal = upgrade(&old, bad).within(LIMIT);
        let result = run(&scene, hostile(seed).at_most(faults), goal);
        judge(&scene, &result, bad, old.job);
    }

    /// Like the one before, but the process crashes again and again, and the next one goes on from what was saved last.
    #[test]
    fn an_upgrade_survives_crashes(seed: u64, faults in 0_u64..20, bad in 0..9, breaks: bool, retain: bool, crashes in prop::collection::vec(0_usize..60, 0..6)) {
        let scene = Scene::with(seed, retain);
        let old = scene.launch(&old(breaks));
        scene.world.set_faults(hostile(seed).at_most(faults));
        let mut saved = None;
        for steps in crashes {
            let goal = saved.as_ref().map_or_else(|| upgrade(&old, bad), |saved| resume(saved, bad));
            let flow = goal.start(scene.flink.config(), Seed::new(scene.world.bits()));
            match drive_some(&scene.world, flow, steps, &mut saved) {
                None => scene.check(),
                // Over already: there is nothing to resume.
                Some(result) => {
                    scene.check();
                    judge(&scene, &result, bad, old.job);
                    return Ok(());
                }
            }
        }
        let goal = saved.as_ref().map_or_else(|| upgrade(&old, bad), |saved| resume(saved, bad));
        let result = run(&scene, FaultPlan::none(), goal.within(LIMIT));
        judge(&scene, &result, bad, old.job);
    }

    /// An upgrade that ended with an error is resumed when nothing goes wrong any more: a job runs or has come to its end, or
    /// the error names a savepoint to start one from.
    #[test]
    fn a_resumed_upgrade_leaves_a_job_or_names_a_savepoint(seed: u64, faults in 0_u64..60, bad in 0..9, breaks: bool, retain: bool) {
        let scene = Scene::with(seed, retain);
        let old = scene.launch(&old(breaks));
        scene.world.set_faults(hostile(seed).at_most(faults));
        let mut saved = None;
        let keep = |notice| if let Notice::Save(state) = notice { saved = Some(state) };
        let mut result = scene.flink.run_with(upgrade(&old, bad).within(LIMIT), keep);
        judge(&scene, &result, bad, old.job);
        scene.world.set_faults(FaultPlan::none());
        if let (Err(_), Some(saved)) = (&result, &saved) {
            result = scene.flink.run(resume(saved, bad).within(LIMIT));
            judge(&scene, &result, bad, old.job);
        }
        let Err(error) = &result else { return Ok(()) };
        // What the cluster has told is named. A JobManager that is restarted forgets a stopped job and its savepoint: if the flow has not
        // read the outcome of the stop by then, only the last checkpoint from before the stop is left.
        let known = UpgradeDiagnosis::of(error).unwrap_or_else(|| panic!("no diagnosis: {error:?}"));
        let last = known.last.as_ref();
        let listed = last.and_then(|last| last.savepoint.clone().or(last.last_savepoint.clone().map(|listed| listed.path)));
        let savepoint = known.savepoint.clone().or(known.earlier_savepoint.clone()).or(listed);
        let is_forgotten = scene.has_restarted() && error.is_ambiguous() && known.phase == UpgradePhase::Stop;
        let named = savepoint.or(known.last_checkpoint.clone().filter(|_| is_forgotten));
        prop_assert!(scene.alive().len() == 1 || named.is_some(), "{error:#?}");
        if let Some(path) = named {
            prop_assert!(error.to_string().contains(&path), "{path}: {error}");
        }
    }
}

/// With the jars at hand, for a cluster that has lost them.
fn resume(saved: &Saved, bad: i32) -> UpgradeJob {
    UpgradeJob::resume(saved).expect("its own state").with_jars(old_jar(), new_jar(bad))
}

fn old(breaks: bool) -> Program {
    let old = Program::endless("old");
    if breaks { old.fails_while_stopping() } else { old }
}

/// Another run of the old jar does not fail when it is stopped: nothing stops it.
fn old_jar() -> RunJar {
    RunJar::upload("job.jar", Program::endless("old").jar())
}

fn new_jar(bad: i32) -> RunJar {
    let new = Program::endless("new");
    let new = match bad {
        1 => new.state_incompatible().restarts(1),
        2 => new.state_dropped(),
        3 => new.checkpoints_never_complete(),
        4 => new.main_fails("no"),
        5 => new.fails_after(5_u64).restarts(1),
        6..=8 => exiting(new, bad - 5),
        _ => new,
    };
    RunJar::upload("new.jar", new.jar())
}

pub(crate) fn upgrade(old: &pipewright::flink::flow::Launched, bad: i32) -> UpgradeJob {
    UpgradeJob::new(old.job, old_jar().from_uploaded(old.jar.clone()), new_jar(bad))
        .settle_within(Duration::from_secs(30))
}

/// Every error says what is left behind, and what it says is true.
fn judge_status(scene: &Scene, error: &FlowError) {
    let known = UpgradeDiagnosis::of(error).unwrap_or_else(|| panic!("no diagnosis: {error:?}"));
    let is_alive = |job: JobId| scene.alive().iter().any(|view| view.id == job.to_string());
    let (new, old) =
        (known.new_job != known.old_job && is_alive(known.new_job), is_alive(known.job) || is_alive(known.old_job));
    let is_true = match known.status {
        UpgradeStatus::Untouched => is_alive(known.job) && !new,
        UpgradeStatus::OldJobRuns => old && !new,
        UpgradeStatus::NoJobRuns => !old && !new,
        // It may have come to its end since the cluster was asked last.
        UpgradeStatus::NewJobRuns => !old,
        _ => true,
    };
    assert!(is_true, "{:?}: {error:?}", scene.alive());
}

/// Whether the cluster has rejected the plan of the new jar. Only the first phase plans.
fn is_rejected(error: &FlowError) -> bool {
    let is_rejection =
        matches!(error, FlowError::Incomplete(incomplete) if matches!(*incomplete.cause, FlowError::Service(_)));
    is_rejection && UpgradeDiagnosis::of(error).is_some_and(|known| known.status == UpgradeStatus::Untouched)
}

/// Whatever an upgrade came to: is it true, and is nothing lost?
fn judge(scene: &Scene, result: &Result<Upgrade, FlowError>, bad: i32, old: JobId) {
    let alive = scene.alive();
    assert!(alive.len() <= 1, "two jobs write the same output: {alive:?}");
    assert!(scene.deaths() <= usize::from(bad >= 6), "one JobManager after the other was killed: {result:?}");
    let (job, savepoint) = match result {
        Ok(Upgrade::Upgraded { job, savepoint, .. }) => {
            assert!(matches!(bad, 0 | 5 | 8), "a bad jar ({bad}) counts as good");
            (*job, savepoint)
        }
        Ok(Upgrade::RolledBack { job, savepoint, reason, .. }) => {
            assert!(!matches!(bad, 4 | 6), "a jar that cannot be planned is no reason to stop anything");
            // Unless its JobManager died while it was run.
            let is_suspect = reason.contains("another JobManager answers") && scene.has_restarted();
            assert!(bad != 0 || is_suspect, "a good jar is given up: {result:?}");
            (*job, savepoint)
        }
        Err(error) if bad == 4 && is_rejected(error) => {
            assert_eq!(alive.len(), 1, "the old job was not to be touched");
            return;
        }
        // An error promises nothing but that there are not two.
        Err(FlowError::Misuse(_) | FlowError::Build(_)) => panic!("{result:?}"),
        Err(error) => return judge_status(scene, error),
    };
    let savepoints = scene.cluster.with(|cluster| cluster.savepoints());
    let kept = savepoints.iter().find(|known| known.path == *savepoint).expect("it was written");
    // FAILED is how a job ends whose stop has failed after the savepoint was written.
    assert!(scene.job(old).is_none_or(|old| matches!(&*old.state, "FINISHED" | "FAILED")));
    let Some(view) = scene.job(job) else {
        assert_eq!(bad, 5, "only a job that ended can be forgotten");
        return;
    };
    assert!(view.records >= kept.records, "{} records after {}", view.records, kept.records);
    // A JobManager that was restarted since has restored the job from its own checkpoint.
    let restored = view.restored_from.as_deref().expect("it was restored");
    let own = format!("file:/checkpoints/{job}/");
    assert!(restored == savepoint || restored.starts_with(&own), "{view:?}");
}

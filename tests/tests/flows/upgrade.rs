//! `UpgradeJob`.

use std::time::Duration;

use pipewright::Seed;
use pipewright::drive::Entropy as _;
use pipewright::error::FlowError;
use pipewright::flink::flow::Upgrade;
use pipewright::flink::{JobId, RunJar, UpgradeJob};
use pipewright::flow::Goal;
use pipewright_mock::FaultPlan;
use pipewright_mock::flink::Program;
use proptest::prelude::*;

use super::{LIMIT, Scene, cases, drive_some, run};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_upgrade_leaves_one_job_with_its_state(seed: u64, faults in 0_u64..60, bad in 0..6) {
        let scene = Scene::new(seed);
        let old = scene.launch(&Program::endless("old"));
        let goal = upgrade(&old, bad).within(LIMIT);
        let result = run(&scene, FaultPlan::hostile(seed).at_most(faults), goal);
        judge(&scene, &result, bad, old.job);
    }

    /// Like the one before, but the process crashes again and again, and the next one goes on from what was saved last.
    #[test]
    fn an_upgrade_survives_crashes(seed: u64, faults in 0_u64..20, bad in 0..6, crashes in prop::collection::vec(0_usize..60, 0..6)) {
        let scene = Scene::new(seed);
        let old = scene.launch(&Program::endless("old"));
        scene.world.set_faults(FaultPlan::hostile(seed).at_most(faults));
        let mut saved = None;
        for steps in crashes {
            let goal = saved.as_ref().map_or_else(|| upgrade(&old, bad), |saved| UpgradeJob::resume(saved).expect("its own state"));
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
        let goal = saved.as_ref().map_or_else(|| upgrade(&old, bad), |saved| UpgradeJob::resume(saved).expect("its own state"));
        let result = run(&scene, FaultPlan::none(), goal.within(LIMIT));
        judge(&scene, &result, bad, old.job);
    }
}

pub(crate) fn upgrade(old: &pipewright::flink::flow::Launched, bad: i32) -> UpgradeJob {
    let new = Program::endless("new");
    let new = match bad {
        1 => new.state_incompatible().restarts(1),
        2 => new.state_dropped(),
        3 => new.checkpoints_never_complete(),
        4 => new.main_fails("no"),
        5 => new.fails_after(5_u64).restarts(1),
        _ => new,
    };
    let new = RunJar::upload("new.jar", new.jar());
    UpgradeJob::new(old.job, RunJar::uploaded(old.jar.clone()), new).settle_within(Duration::from_secs(30))
}

/// Whatever an upgrade came to: is it true, and is nothing lost?
fn judge(scene: &Scene, result: &Result<Upgrade, FlowError>, bad: i32, old: JobId) {
    let alive = scene.alive();
    assert!(alive.len() <= 1, "two jobs write the same output: {alive:?}");
    let (job, savepoint) = match result {
        Ok(Upgrade::Upgraded { job, savepoint, .. }) => {
            assert!(matches!(bad, 0 | 5), "a bad jar ({bad}) counts as good");
            (*job, savepoint)
        }
        Ok(Upgrade::RolledBack { job, savepoint, .. }) => {
            assert_ne!(bad, 4, "a jar that cannot be planned is no reason to stop anything");
            assert_ne!(bad, 0, "a good jar is given up: {result:?}");
            (*job, savepoint)
        }
        Err(FlowError::Service(_)) if bad == 4 => {
            assert_eq!(alive.len(), 1, "the old job was not to be touched");
            return;
        }
        // An error promises nothing but that there are not two.
        Err(FlowError::Misuse(_) | FlowError::Build(_)) => panic!("{result:?}"),
        Err(_) => return,
    };
    let savepoints = scene.cluster.with(|cluster| cluster.savepoints());
    let kept = savepoints.iter().find(|known| known.path == *savepoint).expect("it was written");
    assert!(scene.job(old).is_none_or(|old| old.state == "FINISHED"));
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

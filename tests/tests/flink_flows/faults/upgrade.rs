//! `UpgradeJob`.

use std::time::Duration;

use pipewright::Seed;
use pipewright::driver::Entropy as _;
use pipewright::error::FlowError;
use pipewright::flink::{
    JobId, JobLookup, Launched, RunJar, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase, UpgradeStatus,
    is_unknown_job,
};
use pipewright::flow::{Goal, Notice, SavedState};
use pipewright_mock::FaultPlan;
use pipewright_mock::flink::Program;
use proptest::prelude::*;

use super::{LIMIT, Scene, cases, drive_some, exiting, hostile, run};

/// What is drawn of an upgrade.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
struct Case {
    seed: u64,
    /// What is wrong with the new jar; 0 if nothing is.
    bad: i32,
    /// Whether the old job fails when it is stopped.
    breaks: bool,
    retain: bool,
    high_availability: bool,
    stable_for: u64,
    /// Whether a resumption brings the old jar back.
    roll_back: bool,
    /// The timeout of the first process, in seconds.
    timeout: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.7), prop::bool::weighted(0.25));
    let times = (prop_oneof![Just(0_u64), 1_u64..20], prop_oneof![Just(LIMIT.as_secs()), 1..LIMIT.as_secs()]);
    (any::<u64>(), 0..9, flags, times).prop_map(
        |(seed, bad, (breaks, retain, high_availability, roll_back), (stable_for, timeout))| Case {
            seed,
            bad,
            breaks,
            retain,
            high_availability,
            stable_for,
            roll_back,
            timeout,
        },
    )
}

impl Case {
    fn scene(&self) -> Scene {
        Scene::of(self.seed, self.retain, self.high_availability)
    }

    fn goal(&self, old: &Launched) -> UpgradeJob {
        upgrade(old, self.bad)
            .stable_for(Duration::from_secs(self.stable_for))
            .timeout(Duration::from_secs(self.timeout))
    }

    /// With the jars at hand, for a cluster that has lost them.
    fn resume(&self, saved: &SavedState) -> UpgradeJob {
        let goal = UpgradeJob::resume(saved).expect("its own state").with_jars(old_jar(), new_jar(self.bad));
        if self.roll_back { goal.roll_back() } else { goal }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_upgrade_leaves_one_job_with_its_state(case in case(), faults in 0_u64..60) {
        let scene = case.scene();
        let old = scene.launch(&old(case.breaks));
        let result = run(&scene, hostile(case.seed).at_most(faults), case.goal(&old));
        judge(&scene, &result, &case, old.job);
    }

    /// Like the test before, but the process crashes again and again, and the next process continues from what was
    /// saved last.
    #[test]
    fn an_upgrade_survives_crashes(
        case in case(), faults in 0_u64..20, crashes in prop::collection::vec(0_usize..60, 0..6),
    ) {
        let scene = case.scene();
        let old = scene.launch(&old(case.breaks));
        scene.world.set_faults(hostile(case.seed).at_most(faults));
        let mut saved = None;
        for steps in crashes {
            let goal = saved.as_ref().map_or_else(|| case.goal(&old), |saved| case.resume(saved));
            let flow = goal.start(scene.flink.config(), Seed::new(scene.world.bits()));
            match drive_some(&scene.world, flow, steps, &mut saved) {
                None => scene.check(),
                // Over already: nothing is left to resume.
                Some(result) => {
                    scene.check();
                    judge(&scene, &result, &case, old.job);
                    return Ok(());
                }
            }
        }
        let goal = saved.as_ref().map_or_else(|| case.goal(&old), |saved| case.resume(saved).timeout(LIMIT));
        let result = run(&scene, FaultPlan::none(), goal);
        judge(&scene, &result, &case, old.job);
    }

    /// An upgrade that ended with an error is resumed when nothing goes wrong any more: it is decided, unless it is one
    /// of the cases in [`may_end`]. Then a job runs, or the error names a path to start one from.
    #[test]
    fn a_resumed_upgrade_leaves_a_job_or_names_a_savepoint(case in case(), faults in 0_u64..60) {
        let scene = case.scene();
        let old = scene.launch(&old(case.breaks));
        scene.world.set_faults(hostile(case.seed).at_most(faults));
        let mut saved = None;
        let keep = |notice| if let Notice::Persist(state) = notice { saved = Some(state) };
        let mut result = scene.flink.run_with(case.goal(&old), keep);
        judge(&scene, &result, &case, old.job);
        scene.world.set_faults(FaultPlan::none());
        if let (Err(_), Some(saved)) = (&result, &saved) {
            result = scene.flink.run(case.resume(saved));
            judge(&scene, &result, &case, old.job);
            if let Err(error) = &result {
                prop_assert!(may_end(&scene, error, &case), "a resumption gets nowhere: {error:#?}");
            }
        }
        let Err(error) = &result else { return Ok(()) };
        // What the cluster has told is named. A JobManager that is restarted forgets a stopped job and its savepoint:
        // if the flow has not read the outcome of the stop by then, only the last checkpoint from before the stop is
        // left. Without high availability, it forgets jobs that run, too.
        let known = UpgradeDiagnosis::of(error).unwrap_or_else(|| panic!("no diagnosis: {error:?}"));
        let last = known.last.as_ref();
        let listed =
            last.and_then(|last| last.savepoint.clone().or(last.last_savepoint.clone().map(|listed| listed.path)));
        let savepoint = known.savepoint.clone().or(known.earlier_savepoint.clone()).or(listed);
        let is_forgotten = scene.has_restarted() && error.is_ambiguous() && known.phase == UpgradePhase::Stop;
        let is_lost = scene.may_lose_jobs() && matches!(known.phase, UpgradePhase::Prepare | UpgradePhase::Stop);
        let named = savepoint.or(known.last_checkpoint.clone().filter(|_| is_forgotten || is_lost));
        // The cluster may be restarted before the flow has read the last checkpoint.
        let is_lost_at_once = is_lost && known.last_checkpoint.is_none();
        prop_assert!(scene.alive().len() == 1 || named.is_some() || is_lost_at_once, "{error:#?}");
        if let Some(path) = named {
            prop_assert!(error.to_string().contains(&path), "{path}: {error}");
        }
    }
}

/// Whether a resumption without faults may end with this error. All other errors would be the same again and again.
fn may_end(scene: &Scene, error: &FlowError, case: &Case) -> bool {
    let known = UpgradeDiagnosis::of(error).unwrap_or_else(|| panic!("no diagnosis: {error:?}"));
    let has_restarted = scene.has_restarted();
    let is_failed = matches!(error, FlowError::Failed(_));
    let is_unknown = error.service().is_some_and(is_unknown_job);
    let is_not_found = known.last.as_ref().is_some_and(|last| last.lookup == JobLookup::NotFound);
    match known.phase {
        // The cluster rejects the jar, each time.
        UpgradePhase::Prepare if case.bad == 4 && is_rejected(error) => true,
        // A caller who wants the old jar back is told that the job runs on.
        UpgradePhase::Prepare if case.roll_back && is_failed && known.status == UpgradeStatus::OldJobRuns => true,
        // The JobManager was replaced during a plan, or that is not known: planning again is for the caller to decide.
        UpgradePhase::Prepare if has_restarted && (is_failed || error.is_ambiguous()) => true,
        // The job was lost with its JobManager, before the stop or right then.
        UpgradePhase::Prepare if scene.may_lose_jobs() && is_unknown => true,
        // The JobManager has forgotten the job and the outcome of the stop.
        UpgradePhase::Stop if has_restarted && error.is_ambiguous() => true,
        UpgradePhase::Stop if scene.may_lose_jobs() && is_failed && is_not_found => true,
        // The job that was run is unknown: whether it has ended, or may still be submitted, cannot be known.
        UpgradePhase::Run | UpgradePhase::Settle | UpgradePhase::CancelNew | UpgradePhase::SettleOld => {
            has_restarted && error.is_ambiguous()
        }
        // The JobManager was replaced while the old jar was run. The next resumption runs it again.
        UpgradePhase::RunOld => has_restarted && (is_failed || error.is_ambiguous()),
        _ => false,
    }
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

pub(crate) fn upgrade(old: &Launched, bad: i32) -> UpgradeJob {
    UpgradeJob::new(old.job, old_jar().from_uploaded(old.jar.clone()), new_jar(bad))
        .settle_timeout(Duration::from_secs(30))
}

/// Every error says what is left behind, and what it says is true.
fn judge_status(scene: &Scene, error: &FlowError, case: &Case) {
    let known = UpgradeDiagnosis::of(error).unwrap_or_else(|| panic!("no diagnosis: {error:?}"));
    let is_alive = |job: JobId| scene.alive().iter().any(|view| view.id == job.to_string());
    let (new, old) =
        (known.new_job != known.old_job && is_alive(known.new_job), is_alive(known.job) || is_alive(known.old_job));
    let may_be_lost = scene.may_lose_jobs();
    // It may have ended since the cluster was asked last.
    let may_have_ended = matches!(case.bad, 1 | 2 | 5);
    let is_true = match known.status {
        UpgradeStatus::Untouched => (is_alive(known.job) || may_be_lost) && !new,
        UpgradeStatus::OldJobRuns => (old || may_be_lost) && !new,
        UpgradeStatus::NoJobRuns => !old && !new,
        UpgradeStatus::NewJobRuns => !old && (new || may_have_ended || may_be_lost),
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

/// Whatever the result of an upgrade: is it true, and is nothing lost?
fn judge(scene: &Scene, result: &Result<Upgrade, FlowError>, case: &Case, old: JobId) {
    let bad = case.bad;
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
            // Unless its JobManager died while it was run. With high availability another process may have answered.
            let suspicions = ["another JobManager answers", "the JobManager died while main() ran"];
            let is_suspect = suspicions.iter().any(|why| reason.contains(why)) && scene.has_restarted();
            // Each failover starts all its tasks again.
            let is_restless = reason.contains("did not keep all its tasks running") && scene.has_restarted();
            let is_requested = case.roll_back && reason == "requested by the caller";
            assert!(bad != 0 || is_suspect || is_restless || is_requested, "a good jar is given up: {result:?}");
            (*job, savepoint)
        }
        Err(error) if bad == 4 && is_rejected(error) => {
            assert!(alive.len() == 1 || scene.may_lose_jobs(), "the old job was not to be touched");
            return;
        }
        // An error promises nothing but that there are not two.
        Err(FlowError::Misuse(_) | FlowError::Build(_)) => panic!("{result:?}"),
        Err(error) => return judge_status(scene, error, case),
    };
    let savepoints = scene.cluster.with(|cluster| cluster.savepoints());
    let kept = savepoints.iter().find(|known| known.path == *savepoint).expect("it was written");
    // FAILED is how a job ends whose stop has failed after the savepoint was written.
    assert!(scene.job(old).is_none_or(|old| matches!(&*old.state, "FINISHED" | "FAILED")));
    let Some(view) = scene.job(job) else {
        assert!(bad == 5 || scene.may_lose_jobs(), "only a job that ended can be forgotten");
        return;
    };
    assert!(view.records >= kept.records, "{} records after {}", view.records, kept.records);
    // A JobManager that was restarted since has restored the job from its own checkpoint.
    let restored = view.restored_from.as_deref().expect("it was restored");
    let own = format!("file:/checkpoints/{job}/");
    assert!(restored == savepoint || restored.starts_with(&own), "{view:?}");
}

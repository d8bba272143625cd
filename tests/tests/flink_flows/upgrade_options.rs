//! Upgrades whose new job must stay stable, and upgrades that the caller rolls back.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::{FlowError, ServiceError};
use pipewright::flink::checkpoints::GetCheckpoints;
use pipewright::flink::{
    AwaitJob, Flink, JobId, Launched, RunJar, StopWithSavepoint, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase,
    UpgradeStatus,
};
use pipewright::flow::{Notice, SavedState};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{Fault, FaultPlan, FlinkHandle, World};

use crate::states::{states, states_at};

struct Scene {
    world: World,
    cluster: FlinkHandle,
    flink: Flink<World>,
    old: Launched,
}

/// A cluster on which the old job runs.
fn scene() -> Scene {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let old = flink.run(RunJar::upload("old.jar", Program::endless("old").jar())).expect("submitted");
    let _ = flink.run(AwaitJob::running(old.job)).expect("it runs");
    Scene { world, cluster, flink, old }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn new_jar(program: &Program) -> RunJar {
    RunJar::upload("new.jar", program.jar())
}

fn new() -> Program {
    Program::endless("new")
}

impl Scene {
    fn old_jar(&self) -> RunJar {
        RunJar::upload("old.jar", Program::endless("old").jar()).from_uploaded(self.old.jar.clone())
    }

    fn goal(&self, new: &Program) -> UpgradeJob {
        UpgradeJob::new(self.old.job, self.old_jar(), new_jar(new)).settle_timeout(seconds(20))
    }

    fn states(&self) -> Vec<(String, String)> {
        let now = self.world.now();
        self.cluster.with(|cluster| states_at(cluster, now))
    }

    fn savepoint(&self) -> String {
        self.cluster.with(|cluster| cluster.savepoints()).pop().expect("a savepoint").path
    }

    /// Runs the goal until a state is saved that contains this text, and returns that state.
    fn crash_at(&self, goal: UpgradeJob, text: &str) -> SavedState {
        let mut last = None;
        let result = self.flink.run_with(goal, |notice| match notice {
            Notice::Persist(state) => {
                let is_it = state.state.contains(text);
                last = Some(state);
                if is_it { Err("crashed") } else { Ok(()) }
            }
            _ => Ok(()),
        });
        assert!(matches!(result, Err(FlowError::Stopped(_))), "{text}: {result:?}");
        last.expect("saved")
    }
}

/// Upgrades to a program that must run for 60 s, and does not. Returns why the upgrade was rolled back; the new job has
/// ended in this state.
fn rolled_back(new: &Program, state: &str) -> String {
    let scene = scene();
    let upgrade = scene.flink.run(scene.goal(new).stable_for(seconds(60))).expect("decided");
    assert_eq!(scene.states(), states(&[("new", state), ("old", "FINISHED"), ("old", "RUNNING")]));
    let Upgrade::RolledBack { reason, .. } = upgrade else { panic!("{upgrade:?}") };
    reason
}

fn resume(saved: &SavedState) -> UpgradeJob {
    UpgradeJob::resume(saved).expect("its own state")
}

fn diagnosis(error: &FlowError) -> &UpgradeDiagnosis {
    UpgradeDiagnosis::of(error).unwrap_or_else(|| panic!("no diagnosis: {error:?}"))
}

#[test]
fn an_upgrade_counts_when_the_new_job_has_run_for_long_enough() {
    for (stable_for, least, most) in [(0, 0, 5), (60, 60, 70)] {
        let scene = scene();
        let before = scene.world.now();
        let upgrade = scene.flink.run(scene.goal(&new()).stable_for(seconds(stable_for))).expect("decided");
        assert!(matches!(upgrade, Upgrade::Upgraded { checkpoint: Some(_), .. }), "{upgrade:?}");
        let took = scene.world.now().since(before);
        assert!((seconds(least)..=seconds(most)).contains(&took), "{took:?}");
        assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FINISHED")]));
    }
}

/// The job takes a checkpoint each second by itself.
#[test]
fn a_checkpoint_whose_trigger_is_never_sent_is_looked_up_when_time_is_up() {
    let lost = (1..40).fold(FaultPlan::none(), |plan, nth| plan.nth_of("triggerCheckpoint", nth, Fault::NotSent));
    for (interval, is_upgraded) in [(Some(seconds(1)), true), (None, false)] {
        let scene = scene();
        scene.world.set_faults(lost.clone());
        let upgrade = scene.flink.run(scene.goal(&new().checkpoint_interval(interval)).settle_timeout(seconds(4)));
        assert_eq!(matches!(upgrade, Ok(Upgrade::Upgraded { checkpoint: Some(_), .. })), is_upgraded, "{upgrade:?}");
        assert_eq!(matches!(upgrade, Ok(Upgrade::RolledBack { .. })), !is_upgraded, "{upgrade:?}");
    }
}

/// The polls are 2 s apart, and the job is back after 1.2 s.
#[test]
fn a_job_whose_task_restarts_after_the_settle_timeout_is_rolled_back() {
    let reason = rolled_back(&new().fails_after(seconds(40)).fails_times(1), "CANCELED");
    assert!(reason.contains("did not keep all its tasks running for 60 s"), "{reason}");
}

#[test]
fn a_job_that_fails_while_it_is_verified_is_rolled_back() {
    let reason = rolled_back(&new().fails_after(seconds(40)).restarts(0), "FAILED");
    assert!(reason.starts_with("the new job is FAILED: "), "{reason}");
}

/// There is time left to settle: it is verified again, from a checkpoint on that was triggered after the restart.
#[test]
fn a_job_whose_task_restarts_in_time_is_verified_again() {
    let scene = scene();
    let before = scene.world.now();
    let new = new().fails_after(seconds(10)).fails_times(1);
    let upgrade = scene.flink.run(scene.goal(&new).stable_for(seconds(30))).expect("decided");
    let Upgrade::Upgraded { job, checkpoint: Some(number), .. } = upgrade else { panic!("{upgrade:?}") };
    assert!(scene.world.now().since(before) >= seconds(40), "30 s after the failure");
    let restarts = scene.cluster.with(|cluster| cluster.jobs().into_iter().find(|view| view.id == job.to_string()));
    assert_eq!(restarts.map(|view| view.restarts), Some(1));
    let checkpoints = scene.flink.call(GetCheckpoints::new(job)).expect("answered");
    let restored = checkpoints.latest.restored.expect("it was restarted");
    assert!(number > restored.id && restored.is_savepoint == Some(false), "{number}, {restored:?}");
}

#[test]
fn a_job_that_fails_again_and_again_does_not_prove_itself() {
    let scene = scene();
    let before = scene.world.now();
    let upgrade = scene.flink.run(scene.goal(&new().fails_after(seconds(7))).stable_for(seconds(30))).expect("decided");
    assert!(matches!(upgrade, Upgrade::RolledBack { .. }), "{upgrade:?}");
    assert!(scene.world.now().since(before) < seconds(40));
}

#[test]
fn a_job_that_finishes_while_it_is_verified_is_upgraded() {
    let scene = scene();
    let new = Program::bounded("new", 4000);
    let upgrade = scene.flink.run(scene.goal(&new).stable_for(seconds(600))).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { checkpoint: Some(_), .. }), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "FINISHED"), ("old", "FINISHED")]));
}

/// The setting is in the state. A resumed flow knows nothing of what the job did before.
#[test]
fn a_resumed_flow_verifies_the_job_for_the_whole_time_again() {
    for (given, least, most) in [(None, 60, 70), (Some(10), 10, 20), (Some(0), 0, 5)] {
        let scene = scene();
        let saved = scene.crash_at(scene.goal(&new()).stable_for(seconds(60)), r#""phase":"verify""#);
        scene.world.sleep_until(scene.world.now() + seconds(45));
        let before = scene.world.now();
        let goal = match given {
            Some(time) => resume(&saved).stable_for(seconds(time)),
            None => resume(&saved),
        };
        let upgrade = scene.flink.run(goal).expect("decided");
        assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
        let took = scene.world.now().since(before);
        assert!((seconds(least)..=seconds(most)).contains(&took), "{given:?}: {took:?}");
    }
}

/// The whole flow's time is up first. The error says what runs, and a resumption decides.
#[test]
fn the_timeout_of_the_flow_includes_the_time_to_prove_itself() {
    let scene = scene();
    let mut saved = None;
    let goal = scene.goal(&new()).stable_for(seconds(60)).timeout(seconds(30));
    let error = scene
        .flink
        .run_with(goal, |notice| {
            if let Notice::Persist(state) = notice {
                saved = Some(state);
            }
        })
        .expect_err("the time is up");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error:?}");
    let known = diagnosis(&error);
    assert_eq!((&known.phase, known.status), (&UpgradePhase::Verify, UpgradeStatus::NewJobRuns));
    let upgrade = scene.flink.run(resume(&saved.expect("saved"))).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
}

/// A failover restarts all tasks. There is time left to settle.
#[test]
fn a_failover_makes_the_job_be_verified_again() {
    let scene = scene();
    let before = scene.world.now();
    let goal = scene.goal(&new()).settle_timeout(seconds(60)).stable_for(seconds(30));
    let mut failed_over = false;
    let upgrade = scene.flink.run_with(goal, |notice| {
        let is_verified = matches!(&notice, Notice::Phase { phase, .. } if phase.starts_with("watching the new job"));
        if is_verified && !std::mem::replace(&mut failed_over, true) {
            scene.world.sleep_until(scene.world.now() + seconds(10));
            scene.cluster.restart(seconds(1));
        }
    });
    assert!(matches!(upgrade, Ok(Upgrade::Upgraded { .. })), "{upgrade:?}");
    assert!(failed_over && scene.world.now().since(before) >= seconds(40));
}

#[test]
fn the_old_jar_can_be_run_again_from_a_savepoint() {
    let scene = scene();
    let savepoint = scene.flink.run(StopWithSavepoint::new(scene.old.job)).expect("stopped").location;
    let upgrade = scene.flink.run(scene.goal(&new()).roll_back().from_savepoint(&savepoint)).expect("decided");
    let Upgrade::RolledBack { savepoint: from, reason, .. } = upgrade else { panic!("{upgrade:?}") };
    assert_eq!((from, &*reason), (savepoint, "requested by the caller"));
    assert_eq!(scene.states(), states(&[("old", "FINISHED"), ("old", "RUNNING")]));
    assert_eq!(scene.cluster.with(|cluster| cluster.jars()).len(), 1, "the new jar was not uploaded");
}

#[test]
fn a_rollback_without_a_savepoint_is_rejected_before_anything_is_sent() {
    let scene = scene();
    let before = scene.world.trace().len();
    let error = scene.flink.run(scene.goal(&new()).roll_back()).expect_err("there is no savepoint");
    assert!(matches!(error, FlowError::Build(_)) && error.to_string().contains("from_savepoint"), "{error}");
    assert_eq!(scene.world.trace().len(), before);
    assert_eq!(scene.states(), states(&[("old", "RUNNING")]));
}

/// Nothing was stopped: nothing needs a rollback, and the error says that the job runs.
#[test]
fn a_rollback_before_the_stop_touches_nothing() {
    for text in [r#""phase":"prepare""#, r#""phase":"stop""#] {
        let scene = scene();
        let saved = scene.crash_at(scene.goal(&new()), text);
        let error = scene.flink.run(resume(&saved).roll_back()).expect_err("nothing to roll back");
        assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
        assert_eq!(diagnosis(&error).status, UpgradeStatus::OldJobRuns);
        assert_eq!(scene.states(), states(&[("old", "RUNNING")]));
    }
}

/// Wherever the first process has crashed, the old jar runs in the end, and its job is the only job.
#[test]
fn a_resumed_upgrade_is_rolled_back_from_every_phase() {
    let after = |acknowledged: &str| format!(r#""acknowledged\":{acknowledged}"#);
    let moments = [
        after("false"),
        after("true"),
        r#"\"location\":\"file"#.to_owned(),
        r#""phase":"run""#.to_owned(),
        r#""phase":"settle""#.to_owned(),
        r#""phase":"verify""#.to_owned(),
    ];
    for moment in moments {
        for crashes_again in [false, true] {
            let scene = scene();
            let mut saved = scene.crash_at(scene.goal(&new()).stable_for(seconds(30)), &moment);
            if crashes_again {
                // The setting is in the state.
                saved = scene.crash_at(resume(&saved).roll_back(), r#""roll_back":true"#);
            }
            let goal = resume(&saved);
            let goal = if crashes_again { goal } else { goal.roll_back() };
            let upgrade = scene.flink.run(goal).expect("decided");
            let Upgrade::RolledBack { job, savepoint, reason } = upgrade else { panic!("{moment}: {upgrade:?}") };
            assert_eq!((savepoint, &*reason), (scene.savepoint(), "requested by the caller"), "{moment}");
            let alive: Vec<_> = scene.cluster.with(|cluster| cluster.jobs());
            let alive: Vec<_> = alive.into_iter().filter(|view| view.state == "RUNNING").collect();
            assert_eq!(alive.len(), 1, "{moment}");
            assert_eq!((alive[0].id.parse::<JobId>(), &*alive[0].name), (Ok(job), "old"), "{moment}");
        }
    }
}

/// The JobManager is replaced after the stop has ended the job, and before the flow has read its outcome: the new one
/// knows neither job nor savepoint. The error names what was read before the stop.
#[test]
fn the_last_checkpoint_is_named_if_the_savepoint_of_a_stop_is_forgotten() {
    let scene = scene();
    scene.world.sleep_until(scene.world.now() + seconds(5));
    let mut saved = None;
    let mut is_restarted = false;
    let result = scene.flink.run_with(scene.goal(&new()), |notice| {
        let is_stopping =
            matches!(&notice, Notice::Phase { flow: "StopWithSavepoint", phase: "waiting for the outcome", .. });
        if is_stopping && !std::mem::replace(&mut is_restarted, true) {
            scene.world.sleep_until(scene.world.now() + seconds(10));
            scene.cluster.restart(seconds(1));
        }
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    });
    let check = |error: &FlowError| {
        assert!(error.is_ambiguous(), "{error:?}");
        let known = diagnosis(error);
        assert_eq!(
            (&known.phase, known.status, &known.savepoint),
            (&UpgradePhase::Stop, UpgradeStatus::Unknown, &None)
        );
        let checkpoint = known.last_checkpoint.as_deref().expect("it was read before the stop");
        assert!(checkpoint.contains(&scene.old.job.to_string()) && error.to_string().contains(checkpoint), "{error}");
    };
    check(&result.expect_err("the cluster cannot tell"));
    // The path is in the state, too.
    check(&scene.flink.run(resume(&saved.expect("saved"))).expect_err("the cluster cannot tell"));
    assert_eq!(scene.states(), states(&[]), "nothing was started");
}

/// The stop fails the job for good, without a savepoint. A resumption does not try to stop it again.
#[test]
fn a_job_that_a_stop_has_failed_is_looked_up_by_a_resumption() {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let program = Program::endless("old").checkpoint_interval(None).snapshots_fail();
    let old = flink.run(RunJar::upload("old.jar", program.jar())).expect("submitted");
    let _ = flink.run(AwaitJob::running(old.job)).expect("it runs");
    let scene = Scene { world, cluster, flink, old };
    let mut saved = None;
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let error = scene.flink.run_with(scene.goal(&new()), keep).expect_err("the savepoint fails");
    assert_eq!(diagnosis(&error).status, UpgradeStatus::NoJobRuns, "{error:?}");
    let error = scene.flink.run(resume(&saved.expect("saved"))).expect_err("nothing to upgrade");
    let known = diagnosis(&error);
    assert_eq!((&known.phase, known.status), (&UpgradePhase::Prepare, UpgradeStatus::NoJobRuns));
    assert!(error.to_string().contains("the job is FAILED; the cluster lists no checkpoint of it"), "{error}");
    assert_eq!(scene.states(), states(&[("old", "FAILED")]));
}

/// The stop is rejected at once. However late it is resumed, the job is stopped then, under another trigger.
#[test]
fn a_rejected_stop_is_sent_again_by_a_resumption() {
    let world = World::new(1);
    let config = Config { savepoint_directory: None, ..Config::default() };
    let cluster = world.flink("http://flink.test".parse().expect("a base"), config);
    let flink = Flink::new(cluster.base(), world.clone());
    let old = flink.run(RunJar::upload("old.jar", Program::endless("old").jar())).expect("submitted");
    let _ = flink.run(AwaitJob::running(old.job)).expect("it runs");
    let scene = Scene { world, cluster, flink, old };
    let mut saved = None;
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let error = scene.flink.run_with(scene.goal(&new()), keep).expect_err("there is no directory");
    assert_eq!(error.service().map(ServiceError::operation), Some("triggerStopWithSavepoint"), "{error:?}");
    assert_eq!(diagnosis(&error).status, UpgradeStatus::Untouched);
    scene.world.sleep_until(scene.world.now() + seconds(400));
    let goal = resume(&saved.expect("saved")).target_directory("file:///savepoints");
    let upgrade = scene.flink.run(goal).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
}

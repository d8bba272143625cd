//! Failures of an upgrade, each on a cluster that causes it.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::{
    Flink, Launched, RunJar, StopWithSavepoint, TakeSavepoint, Upgrade, UpgradeDiagnosis, UpgradeJob,
};
use pipewright::flow::{Notice, SavedState};
use pipewright::operation::OperationInfo;
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{Fault, FaultKind, FaultPlan, RetryAfter, World};

use crate::states::{states, states_at};

struct Upgrading {
    world: World,
    cluster: pipewright_mock::FlinkHandle,
    flink: Flink<World>,
    old: Launched,
}

/// A cluster on which the old job runs.
fn upgrading() -> Upgrading {
    upgrading_from(&Program::endless("old"))
}

fn upgrading_from(program: &Program) -> Upgrading {
    let world = World::new(1);
    let cluster = world.flink(
        "http://flink.test".parse().expect("a base"),
        Config { job_expiration: Duration::from_secs(600), ..Config::default() },
    );
    let flink = Flink::new(cluster.base(), world.clone());
    let old = flink.run(RunJar::upload("old.jar", program.jar())).expect("submitted");
    let _ = flink.run(pipewright::flink::AwaitJob::running(old.job)).expect("it runs");
    Upgrading { world, cluster, flink, old }
}

impl Upgrading {
    fn goal(&self, new: &Program) -> UpgradeJob {
        UpgradeJob::new(self.old.job, RunJar::uploaded(self.old.jar.clone()), RunJar::upload("new.jar", new.jar()))
    }

    fn savepoints(&self) -> Vec<String> {
        self.cluster.with(|cluster| cluster.savepoints()).into_iter().map(|savepoint| savepoint.path).collect()
    }

    fn states(&self) -> Vec<(String, String)> {
        let now = self.world.now();
        self.cluster.with(|cluster| states_at(cluster, now))
    }
}

/// The new job ends well while it is being given up: the old jar would do its work again.
#[test]
fn a_slow_job_that_finishes_is_not_rolled_back() {
    let scene = upgrading();
    // It needs 30 s, and never completes a checkpoint within the 20 s that it is given.
    let new = Program::bounded("new", 3000).rate(100).checkpoints_never_complete();
    let before = scene.world.clone();
    before.set_faults(FaultPlan::none().nth_of("cancelJob", 1, Fault::Unavailable(RetryAfter::Seconds(30))));
    let upgrade = scene.flink.run(scene.goal(&new).settle_timeout(Duration::from_secs(20))).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { checkpoint: None, .. }), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "FINISHED"), ("old", "FINISHED")]));
}

/// Resumed so late that the new job has ended and been forgotten, whether the crash came while settling or right
/// before.
#[test]
fn an_upgrade_resumed_too_late_is_ambiguous() {
    let is_settling = |state: &serde_json::Value| state["phase"] == "settle";
    let is_launched = |state: &serde_json::Value| {
        let child = state["child"]["state"].as_str().unwrap_or_default();
        state["phase"] == "run" && child.contains(r#""acknowledged":true"#)
    };
    let moments: [&dyn Fn(&serde_json::Value) -> bool; 2] = [&is_settling, &is_launched];
    for moment in moments {
        let scene = upgrading();
        let mut saved = None;
        let goal = scene.goal(&Program::bounded("new", 500)).timeout(Duration::from_secs(2));
        let _ = scene.flink.run_with(goal, |notice| {
            if let Notice::Persist(state) = notice
                && moment(&serde_json::from_str(&state.state).expect("JSON"))
            {
                saved = Some(state);
            }
        });
        let saved = saved.expect("it came that far");
        scene.world.sleep_until(scene.world.now() + Duration::from_secs(3600));
        let result = scene.flink.run(UpgradeJob::resume(&saved).expect("its own state"));
        assert!(result.expect_err("unknown outcome").is_ambiguous());
        assert_eq!(scene.states(), states(&[]), "nothing was started");
    }
}

/// The process was killed before it submitted the new jar, which the cluster rejects. The state says that it may have
/// been submitted, so that the rejection may be that of a second attempt. The job decides, and not the rejection.
#[test]
fn an_upgrade_resumed_before_a_bad_jar_is_submitted_rolls_back() {
    let scene = upgrading();
    let goal = scene.goal(&Program::endless("new").state_dropped());
    let mut last = None;
    let stopped = scene.flink.run_with(goal, |notice| match notice {
        Notice::Persist(state) => {
            last = Some(state);
            Ok(())
        }
        Notice::Sending { operation: OperationInfo { name: "submitJobFromJar", .. }, .. } => Err("killed"),
        _ => Ok(()),
    });
    assert!(matches!(stopped, Err(FlowError::Stopped(_))), "{stopped:?}");
    let resumed = UpgradeJob::resume(&last.expect("it was saved")).expect("its own state");
    let upgrade = scene.flink.run(resumed).expect("decided");
    assert!(matches!(&upgrade, Upgrade::RolledBack { reason, .. } if reason.contains("FAILED")), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "FAILED"), ("old", "FINISHED"), ("old", "RUNNING")]));
}

/// A proxy's refusal is no verdict on a jar.
#[test]
fn an_upgrade_is_not_judged_by_a_proxy() {
    let scene = upgrading();
    let page = Fault::ProxyPage { status: http::StatusCode::FORBIDDEN, applied: false };
    // For as long as a call lasts.
    let plan = (1..=20).fold(FaultPlan::none(), |plan, nth| plan.nth_of("submitJobFromJar", nth, page));
    scene.world.set_faults(plan);
    let mut saved = None;
    let result = scene.flink.run_with(scene.goal(&Program::endless("new")), |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    });
    let error = result.expect_err("it was refused");
    assert_eq!(error.service().map(|rejection| rejection.status().as_u16()), Some(403), "{error:?}");
    let diagnosis = UpgradeDiagnosis::of(&error).expect("a diagnosis");
    assert_eq!(diagnosis.savepoint, scene.savepoints().pop(), "it is a value, whatever the error is");
    let upgrade = scene.flink.run(UpgradeJob::resume(&saved.expect("saved")).expect("its own state")).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FINISHED")]));
}

/// If an operator has stopped the job by hand, the upgrade continues from the savepoint of that stop.
#[test]
fn an_upgrade_can_start_from_a_savepoint() {
    let scene = upgrading();
    let stopped = scene.flink.run(StopWithSavepoint::new(scene.old.job)).expect("stopped");
    let goal = scene.goal(&Program::endless("new")).from_savepoint(&stopped.location);
    let upgrade = scene.flink.run(goal).expect("decided");
    assert!(matches!(&upgrade, Upgrade::Upgraded { savepoint, .. } if *savepoint == stopped.location), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FINISHED")]));
}

/// States that were tampered with are refused before anything is sent.
#[test]
fn an_upgrade_without_its_savepoint_is_rejected() {
    let state = r#"{"phase":"PHASE","job":"0000000000000000000000000000000a","old":{"jar":"a.jar"},"new":{"jar":"b.jar"},
        "new_job":"0000000000000000000000000000000c","old_job":"0000000000000000000000000000000d","settle_timeout":1000,"savepoint":null}"#;
    for (phase, accepted) in [("stop", true), ("run", false), ("run-old", false), ("settle", false), ("lunch", false)] {
        let state = state.replace("PHASE", phase);
        let saved: SavedState =
            serde_json::from_value(serde_json::json!({"flow": "UpgradeJob", "state": state})).expect("a state");
        assert_eq!(UpgradeJob::resume(&saved).is_ok(), accepted, "{phase}");
    }
}

/// What the upgrade saved last.
fn keep(saved: &mut Option<SavedState>, notice: Notice) {
    if let Notice::Persist(state) = notice {
        *saved = Some(state);
    }
}

fn resume(saved: Option<SavedState>) -> UpgradeJob {
    UpgradeJob::resume(&saved.expect("saved")).expect("its own state")
}

/// The process crashes when the new job is to be given up, and no process resumes before that job has ended.
#[test]
fn a_job_that_was_given_up_and_is_forgotten_is_not_run_again() {
    let scene = upgrading();
    // It needs 30 s.
    let new = Program::bounded("new", 3000).rate(100).checkpoints_never_complete();
    let mut saved = None;
    let result = scene.flink.run_with(scene.goal(&new).settle_timeout(Duration::from_secs(20)), |notice| {
        let is_end = matches!(&notice, Notice::Persist(state) if state.state.contains(r#""phase":"cancel-new""#));
        keep(&mut saved, notice);
        if is_end { Err("crashed") } else { Ok(()) }
    });
    assert!(matches!(result, Err(FlowError::Stopped(_))), "{result:?}");
    scene.world.sleep_until(scene.world.now() + Duration::from_secs(3600));
    let error = scene.flink.run(resume(saved)).expect_err("unknown outcome");
    assert!(error.is_ambiguous(), "{error:?}");
    assert_eq!(scene.states(), states(&[]), "nothing was started");
}

/// It ends between two polls, and a failover recovers only what has not ended.
#[test]
fn a_job_that_ends_before_a_failover_is_not_run_again() {
    let scene = upgrading();
    let result = scene.flink.run_with(scene.goal(&Program::bounded("new", 500)), |notice| {
        if matches!(&notice, Notice::Phase { phase, .. } if phase.starts_with("waiting for the new job")) {
            scene.world.sleep_until(scene.world.now() + Duration::from_secs(20));
            scene.cluster.restart(Duration::from_secs(1));
        }
    });
    assert!(result.expect_err("unknown outcome").is_ambiguous());
    assert_eq!(scene.states(), states(&[]), "nothing was started");
}

/// A main method that fails may have left its job behind, which runs until it is cancelled.
#[test]
fn a_job_that_was_left_behind_and_is_forgotten_is_not_run_again() {
    let scene = upgrading();
    let new = Program::bounded("new", 500).main_fails_after_submit();
    let result = scene.flink.run_with(scene.goal(&new), |notice| {
        if matches!(&notice, Notice::Phase { phase, .. } if phase.starts_with("cancelling the new job")) {
            scene.world.sleep_until(scene.world.now() + Duration::from_secs(3600));
        }
    });
    assert!(result.expect_err("unknown outcome").is_ambiguous());
    assert_eq!(scene.states(), states(&[]), "nothing was started");
}

/// A job does not count as too slow while the cluster cannot be reached.
#[test]
fn a_job_that_cannot_be_looked_at_is_not_given_up() {
    let settling =
        |notice: &Notice| matches!(notice, Notice::Phase { phase, .. } if phase.starts_with("waiting for the new job"));
    let triggering = |notice: &Notice| {
        matches!(notice, Notice::Sending { operation: OperationInfo { name: "triggerCheckpoint", .. }, .. })
    };
    let moments: [&dyn Fn(&Notice) -> bool; 2] = [&settling, &triggering];
    for (number, moment) in moments.into_iter().enumerate() {
        for kind in [FaultKind::NotSent, FaultKind::DelayReply] {
            let scene = upgrading();
            let (mut saved, mut over) = (None, false);
            let goal = scene.goal(&Program::endless("new")).settle_timeout(Duration::from_secs(10));
            let result = scene.flink.run_with(goal, |notice| {
                if moment(&notice) && !std::mem::replace(&mut over, true) {
                    let minute = Duration::from_secs(60);
                    scene.world.set_faults(FaultPlan::seeded(1).delays(minute..=minute).chance(kind, 1.0));
                }
                keep(&mut saved, notice);
            });
            assert!(matches!(result, Err(FlowError::Deadline { .. })), "{number}, {kind:?}: {result:?}");
            scene.world.set_faults(FaultPlan::none());
            let upgrade = scene.flink.run(resume(saved)).expect("decided");
            assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{number}, {kind:?}: {upgrade:?}");
            assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FINISHED")]));
        }
    }
}

/// RUNNING is what Flink calls a job whose tasks are still being deployed, and no savepoint can be taken of it.
#[test]
fn a_job_that_was_just_submitted_is_upgraded_when_its_tasks_run() {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let upgrade = |launched: Launched| {
        let new = RunJar::upload("new.jar", Program::endless("new").jar());
        UpgradeJob::new(launched.job, RunJar::uploaded(launched.jar), new).settle_timeout(Duration::from_secs(5))
    };
    let old = flink.run(RunJar::upload("old.jar", Program::endless("old").jar())).expect("submitted");
    assert!(matches!(flink.run(upgrade(old)), Ok(Upgrade::Upgraded { .. })));
    // There are four slots: it waits for others.
    let jar = Program::endless("large").parallelism(5).jar();
    let large = flink.run(RunJar::upload("large.jar", jar)).expect("submitted");
    let job = large.job.to_string();
    let before = world.now();
    let FlowError::Failed(failure) = flink.run(upgrade(large)).expect_err("it does not run") else { panic!("it did") };
    assert!(failure.reason.contains("within 5 s"), "{failure:?}");
    assert!(world.now() < before + Duration::from_secs(6));
    let state = cluster.with(|cluster| cluster.jobs().into_iter().find(|view| view.id == job).map(|view| view.state));
    assert_eq!(state.as_deref(), Some("RUNNING"), "it was not touched");
    assert_eq!(cluster.with(|cluster| cluster.jars()).len(), 3, "nor was anything uploaded");
}

/// A job that was looked at all along and does not do what it should is given up, and the old job continues.
#[test]
fn a_job_that_does_not_settle_is_given_up() {
    let new = Program::endless("new");
    for (new, reason) in [
        (new.clone().never_runs(), "did not get all its tasks to run within 20 s"),
        (new.checkpoints_never_complete(), "completed no checkpoint within 20 s"),
    ] {
        let scene = upgrading();
        let upgrade = scene.flink.run(scene.goal(&new).settle_timeout(Duration::from_secs(20))).expect("decided");
        assert!(matches!(&upgrade, Upgrade::RolledBack { reason: why, .. } if why.contains(reason)), "{upgrade:?}");
        assert_eq!(scene.states(), states(&[("new", "CANCELED"), ("old", "FINISHED"), ("old", "RUNNING")]));
    }
}

/// The time is up while a lookup is under way: what the lookups before it have said counts.
#[test]
fn a_slow_lookup_at_the_end_does_not_save_a_job_that_does_not_settle() {
    let slow = Fault::DelayReply(Duration::from_millis(2500));
    for n in 8..=30 {
        let scene = upgrading();
        scene.world.set_faults(FaultPlan::none().nth_of("getJobStatusInfo", n, slow));
        let goal = scene.goal(&Program::endless("new").never_runs()).settle_timeout(Duration::from_secs(20));
        let upgrade = scene.flink.run(goal);
        assert!(matches!(upgrade, Ok(Upgrade::RolledBack { .. })), "{n}: {upgrade:?}");
    }
}

/// The stop has written its savepoint, and then the job failed: nothing runs, and everything is there to continue.
#[test]
fn an_upgrade_goes_on_from_the_savepoint_of_a_stop_that_failed() {
    let scene = upgrading_from(&Program::endless("old").fails_while_stopping());
    let upgrade = scene.flink.run(scene.goal(&Program::endless("new"))).expect("decided");
    let written = scene.savepoints().pop().expect("it was written");
    assert!(matches!(&upgrade, Upgrade::Upgraded { savepoint, .. } if *savepoint == written), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FAILED")]));
}

#[test]
fn an_upgrade_rolls_back_to_the_savepoint_of_a_stop_that_failed() {
    let scene = upgrading_from(&Program::endless("old").fails_while_stopping());
    let new = Program::endless("new").state_incompatible().restarts(1);
    let upgrade = scene.flink.run(scene.goal(&new)).expect("decided");
    let written = scene.savepoints().pop().expect("it was written");
    assert!(matches!(&upgrade, Upgrade::RolledBack { savepoint, .. } if *savepoint == written), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "FAILED"), ("old", "FAILED"), ("old", "RUNNING")]));
}

/// The process ends at each state that it saves, and another process continues.
#[test]
fn a_resumed_upgrade_goes_on_from_the_savepoint_of_a_stop_that_failed() {
    for crash in 1.. {
        let scene = upgrading_from(&Program::endless("old").fails_while_stopping());
        let (mut saved, mut count) = (None, 0);
        let result = scene.flink.run_with(scene.goal(&Program::endless("new")), |notice| {
            let is_save = matches!(notice, Notice::Persist(_));
            keep(&mut saved, notice);
            count += usize::from(is_save);
            if is_save && count == crash { Err("crashed") } else { Ok(()) }
        });
        if result.is_ok() {
            assert!(crash > 5, "{crash}");
            return;
        }
        // Long enough for the trigger to be forgotten, too.
        let wait = if crash % 2 == 0 { Duration::from_secs(5) } else { Duration::from_secs(400) };
        scene.world.sleep_until(scene.world.now() + wait);
        let goal = resume(saved).with_jars(
            RunJar::upload("old.jar", Program::endless("old").jar()),
            RunJar::upload("new.jar", Program::endless("new").jar()),
        );
        let upgrade = scene.flink.run(goal);
        let states = scene.states();
        let Ok(Upgrade::Upgraded { savepoint, .. }) = upgrade else { panic!("{crash}: {upgrade:?}") };
        assert_eq!(scene.savepoints(), [savepoint]);
        assert_eq!(states, self::states(&[("new", "RUNNING"), ("old", "FAILED")]), "{crash}");
    }
}

/// The savepoint fails, and the job runs on. What is saved then is no trigger that is over, but the beginning.
#[test]
fn an_upgrade_whose_stop_failed_stops_anew_when_it_is_resumed() {
    let scene = upgrading();
    let mut saved = None;
    let goal = scene.goal(&Program::endless("new")).target_directory("file:///proc/savepoints");
    let error = scene.flink.run_with(goal, |notice| keep(&mut saved, notice)).expect_err("it cannot be written there");
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    assert_eq!(scene.states(), states(&[("old", "RUNNING")]));
    let goal = resume(saved).target_directory("file:///savepoints");
    let upgrade = scene.flink.run(goal).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FINISHED")]));
}

/// The old jar's job fails when it is brought back. A resumption does not say the same again, but runs it once more.
#[test]
fn a_resumed_upgrade_brings_the_old_jar_back_once_more() {
    let scene = upgrading_from(&Program::endless("old").state_incompatible().restarts(0));
    let new = Program::endless("new").state_incompatible().restarts(0);
    let mut saved = None;
    let error = scene.flink.run_with(scene.goal(&new), |notice| keep(&mut saved, notice)).expect_err("neither runs");
    let diagnosis = UpgradeDiagnosis::of(&error).expect("a diagnosis");
    assert_eq!(diagnosis.savepoint, scene.savepoints().pop());
    let runs = scene.states().len();
    let error = scene.flink.run(resume(saved)).expect_err("it still does not");
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    assert_eq!(scene.states().len(), runs + 1, "it was tried under an id of its own");
}

/// A failover has brought the old job back after its savepoint was written: it is stopped again, under another trigger.
#[test]
fn an_upgrade_stops_a_job_again_that_a_failover_brought_back() {
    let scene = upgrading();
    let mut saved = None;
    // The job of the state runs on, and its savepoint is one that an earlier stop has left behind.
    let taken = scene.flink.run(TakeSavepoint::new(scene.old.job)).expect("taken").location;
    let _ = scene.flink.run_with(scene.goal(&Program::endless("new")), |notice| {
        let is_end = matches!(&notice, Notice::Persist(state) if state.state.contains(r#""child":{"#));
        keep(&mut saved, notice);
        if is_end { Err("crashed") } else { Ok(()) }
    });
    let mut saved = saved.expect("saved");
    let mut state: serde_json::Value = serde_json::from_str(&saved.state).expect("JSON");
    let child = state["child"]["state"].as_str().expect("the state of the stop");
    let mut child: serde_json::Value = serde_json::from_str(child).expect("JSON");
    child["location"] = taken.clone().into();
    state["child"]["state"] = child.to_string().into();
    saved.state = state.to_string();
    let upgrade = scene.flink.run(UpgradeJob::resume(&saved).expect("its own state")).expect("decided");
    let stopped = scene.savepoints().pop().expect("it was stopped");
    assert_ne!(stopped, taken);
    assert!(matches!(&upgrade, Upgrade::Upgraded { savepoint, .. } if *savepoint == stopped), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FINISHED")]));
}

//! What an upgrade reports after its JobManager, savepoint or job disappeared, and how a resumption continues.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use pipewright::Timestamp;
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::{
    AwaitJob, Flink, JobId, Launched, RunJar, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase, UpgradeStatus,
};
use pipewright::flow::{Notice, SavedState};
use pipewright_mock::flink::{Cluster, Config, Exits, Program};
use pipewright_mock::{Fault, FaultKind, FaultPlan, Mounted, Service, World};

use crate::states::{states, states_at};

/// A cluster behind a proxy that rejects all paths that contain a certain text, if there is one.
struct Proxy(Cluster, Option<&'static str>);

impl Service for Proxy {
    fn handle(&mut self, now: Timestamp, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        if self.1.is_some_and(|text| request.uri().path().contains(text)) {
            let response = http::Response::builder().status(403).header("content-type", "text/html");
            return response.body("<html>not for you</html>".into()).expect("a response");
        }
        self.0.handle(now.as_unix(), request)
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        self.0.restart(now.as_unix(), downtime);
    }
}

struct Scene {
    world: World,
    service: Mounted<Proxy>,
    flink: Flink<World>,
    old: Launched,
    program: Program,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn endless() -> Program {
    Program::endless("old")
}

/// A cluster on which the old job runs, and has completed a checkpoint.
fn scene(config: Config, program: Program) -> Scene {
    let world = World::new(1);
    let base = "http://flink.test".parse().expect("a base");
    let service = world.mount(base, Proxy(Cluster::new(config), None));
    let flink = Flink::new(service.base(), world.clone());
    let old = flink.run(RunJar::upload("old.jar", program.jar())).expect("submitted");
    let _ = flink.run(AwaitJob::running(old.job)).expect("it runs");
    world.sleep_until(world.now() + seconds(3));
    Scene { world, service, flink, old, program }
}

/// Without high availability, a JobManager takes its jobs along.
fn lonely() -> Config {
    Config { high_availability: false, retain_uploads: true, ..Config::default() }
}

fn new() -> Program {
    Program::endless("new")
}

fn new_jar(program: &Program) -> RunJar {
    RunJar::upload("new.jar", program.jar())
}

impl Scene {
    fn old_jar(&self) -> RunJar {
        RunJar::upload("old.jar", self.program.jar())
    }

    fn goal(&self, new: &Program) -> UpgradeJob {
        UpgradeJob::new(self.old.job, self.old_jar().from_uploaded(self.old.jar.clone()), new_jar(new))
            .settle_timeout(seconds(20))
    }

    fn resume(&self, saved: &SavedState, new: &Program) -> UpgradeJob {
        UpgradeJob::resume(saved).expect("its own state").with_jars(self.old_jar(), new_jar(new))
    }

    fn sleep(&self, time: Duration) {
        self.world.sleep_until(self.world.now() + time);
    }

    fn states(&self) -> Vec<(String, String)> {
        let now = self.world.now();
        self.service.with(|proxy| states_at(&mut proxy.0, now))
    }

    fn savepoint(&self) -> String {
        self.service.with(|proxy| proxy.0.savepoints()).pop().expect("a savepoint").path
    }

    /// Runs the goal and does something at each notice. Returns the state that was saved last, and the result.
    fn watch(&self, goal: UpgradeJob, mut then: impl FnMut(&Notice)) -> (SavedState, Result<Upgrade, FlowError>) {
        let mut saved = None;
        let result = self.flink.run_with(goal, |notice| {
            then(&notice);
            if let Notice::Persist(state) = notice {
                saved = Some(state);
            }
        });
        (saved.expect("saved"), result)
    }

    /// Runs the goal until this is true for a notice. Returns the state that was saved last, by this notice or before
    /// it.
    fn crash(&self, goal: UpgradeJob, mut is_it: impl FnMut(&Notice) -> bool) -> SavedState {
        let mut saved = None;
        let result = self.flink.run_with(goal, |notice| {
            let is_it = is_it(&notice);
            if let Notice::Persist(state) = notice {
                saved = Some(state);
            }
            if is_it { Err("crashed") } else { Ok(()) }
        });
        assert!(matches!(result, Err(FlowError::Stopped(_))), "{result:?}");
        saved.expect("saved")
    }

    /// The caller wants the old jar back after a crash before the new jar was sent, so that the main method of the new
    /// jar may still run as far as the flow can know.
    fn contending(&self, new: &Program) -> UpgradeJob {
        let saved = self.crash(self.goal(new), |notice| is_sending(notice, "submitJobFromJar"));
        self.resume(&saved, new).roll_back()
    }
}

fn is_sending(notice: &Notice, what: &str) -> bool {
    matches!(notice, Notice::Sending { operation, .. } if operation.name == what)
}

fn is_phase(notice: &Notice, what: &str) -> bool {
    matches!(notice, Notice::Phase { phase, .. } if phase.starts_with(what))
}

/// Counts until it is true for the n-th time.
fn nth(n: u32, is_it: impl Fn(&Notice) -> bool) -> impl FnMut(&Notice) -> bool {
    let mut seen = 0;
    move |notice| {
        seen += u32::from(is_it(notice));
        seen == n && is_it(notice)
    }
}

fn unreachable() -> FaultPlan {
    FaultPlan::seeded(1).chance(FaultKind::NotSent, 1.0)
}

fn diagnosis(error: &FlowError) -> &UpgradeDiagnosis {
    UpgradeDiagnosis::of(error).unwrap_or_else(|| panic!("no diagnosis: {error:?}"))
}

/// The plans are answered: a JobManager that is replaced later has not died of them.
#[test]
fn a_restart_after_the_plans_is_not_blamed_on_them() {
    let scene = scene(Config { retain_uploads: true, ..Config::default() }, endless());
    let saved = scene.crash(scene.goal(&new()), nth(2, |notice| is_sending(notice, "getCheckpointingStatistics")));
    scene.service.restart(seconds(1));
    let upgrade = scene.flink.run(scene.resume(&saved, &new())).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
}

/// A cluster that does not have the jar has not executed its main method.
#[test]
fn a_restart_after_a_plan_of_an_unknown_jar_is_not_blamed_on_it() {
    let scene = scene(Config::default(), endless());
    // Both uploads are lost before the plans.
    let is_restarted = Cell::new(false);
    let saved = scene.crash(scene.goal(&new()), |notice| {
        if is_phase(notice, "planning the old jar") && !is_restarted.replace(true) {
            scene.service.restart(seconds(1));
            scene.sleep(seconds(3));
        }
        is_restarted.get() && is_phase(notice, "uploading the old jar")
    });
    scene.service.restart(seconds(1));
    let upgrade = scene.flink.run(scene.resume(&saved, &new())).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
}

/// The trigger is forgotten, and the cluster lists the savepoint of a job that has failed while it was stopped. The
/// clocks may differ by a minute. A savepoint that is much older than the stop may be of another client.
#[test]
fn the_savepoint_of_a_stop_whose_job_failed_outlives_its_trigger() {
    for ahead in [0, 60_000, 700_000] {
        let is_older = ahead == 700_000;
        let scene = scene(Config::default(), endless().fails_while_stopping());
        let mut saved = scene.crash(scene.goal(&new()), |notice| is_phase(notice, "waiting for the outcome"));
        scene.sleep(seconds(400));
        if ahead > 0 {
            let mut state: serde_json::Value = serde_json::from_str(&saved.state).expect("JSON");
            let child = state["child"]["state"].as_str().expect("the state of the stop");
            let mut child: serde_json::Value = serde_json::from_str(child).expect("JSON");
            child["trigger"]["since"] = (child["trigger"]["since"].as_u64().expect("a time") + ahead).into();
            state["child"]["state"] = child.to_string().into();
            saved.state = state.to_string();
        }
        let result = scene.flink.run(scene.resume(&saved, &new()));
        let written = scene.savepoint();
        if is_older {
            let error = result.expect_err("the cluster cannot tell");
            assert!(error.is_ambiguous() && error.to_string().contains(&written), "{error}");
            assert_eq!(scene.states(), states(&[("old", "FAILED")]));
        } else {
            assert!(matches!(&result, Ok(Upgrade::Upgraded { savepoint, .. }) if *savepoint == written), "{result:?}");
            assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FAILED")]));
        }
    }
}

/// The cluster cannot be reached any more when the savepoint of the stop is written.
#[test]
fn a_written_savepoint_is_named_when_the_job_gets_out_of_sight() {
    for timeout in [None, Some(seconds(60)), Some(seconds(10))] {
        let scene = scene(Config::default(), endless());
        let goal = scene.goal(&new());
        let goal = timeout.map_or_else(|| goal.clone(), |timeout| goal.clone().timeout(timeout));
        let (saved, result) = scene.watch(goal, |notice| {
            if is_phase(notice, "the savepoint is written") {
                scene.world.set_faults(unreachable());
            }
        });
        let (error, written) = (result.expect_err("it is out of sight"), scene.savepoint());
        let known = diagnosis(&error);
        assert_eq!((&known.phase, known.status), (&UpgradePhase::Stop, UpgradeStatus::Unknown));
        assert_eq!(known.savepoint.as_ref(), Some(&written));
        let text = error.to_string();
        assert!(text.contains(&written) && !text.contains("no known savepoint"), "{text}");
        scene.world.set_faults(FaultPlan::none());
        assert!(matches!(scene.flink.run(scene.resume(&saved, &new())), Ok(Upgrade::Upgraded { .. })));
    }
}

/// The old jar's job is lost with its JobManager, after it was seen to be RUNNING.
#[test]
fn an_old_job_that_is_lost_while_it_settles_does_not_run() {
    let scene = scene(lonely(), endless());
    let (is_settling, is_restarted) = (Cell::new(false), Cell::new(false));
    let goal = scene.goal(&new().state_incompatible().restarts(0));
    let (_, result) = scene.watch(goal, |notice| {
        is_settling.set(is_settling.get() || is_phase(notice, "waiting for the old job's tasks"));
        let is_seen = is_settling.get() && matches!(notice, Notice::Observed { state, .. } if state == "RUNNING");
        if is_seen && !is_restarted.replace(true) {
            scene.service.restart(seconds(1));
        }
    });
    let error = result.expect_err("it is lost");
    assert!(error.is_ambiguous(), "{error:?}");
    let known = diagnosis(&error);
    assert_eq!((&known.phase, known.status), (&UpgradePhase::SettleOld, UpgradeStatus::Unknown));
    assert!(error.to_string().contains(&format!("does not know job {}", known.old_job)), "{error}");
    assert_eq!(scene.states(), states(&[]));
}

/// A plan has killed the JobManager, and the job with it; nothing has answered since.
#[test]
fn a_plan_whose_outcome_is_unknown_leaves_the_status_open() {
    let scene = scene(lonely(), endless());
    let new = new().exits(Exits::Always);
    let is_planning = Cell::new(false);
    let (saved, result) = scene.watch(scene.goal(&new).timeout(seconds(30)), |notice| {
        is_planning.set(is_planning.get() || is_phase(notice, "planning the new jar"));
        if is_planning.get() && is_sending(notice, "generatePlanFromJar") {
            scene.world.set_faults(FaultPlan::seeded(1).chance(FaultKind::ReplyLost, 1.0));
        }
    });
    let error = result.expect_err("nothing answers");
    assert_eq!(diagnosis(&error).status, UpgradeStatus::Unknown, "{error:?}");
    scene.world.set_faults(unreachable());
    let error = scene.flink.run(scene.resume(&saved, &new).timeout(seconds(10))).expect_err("nothing answers");
    assert_eq!(diagnosis(&error).status, UpgradeStatus::Unknown, "{error:?}");
    assert_eq!(scene.states(), states(&[]));
}

#[test]
fn a_job_that_the_cluster_does_not_know_is_not_said_to_be_untouched() {
    for is_rollback in [false, true] {
        let scene = scene(lonely(), endless());
        let saved = scene.crash(scene.goal(&new()), |notice| is_phase(notice, "planning the new jar"));
        scene.service.restart(seconds(1));
        let goal = scene.resume(&saved, &new());
        let error = scene.flink.run(if is_rollback { goal.roll_back() } else { goal }).expect_err("the job is lost");
        assert_eq!(diagnosis(&error).status, UpgradeStatus::Unknown, "{error:?}");
    }
}

/// The old jar runs under the id of the new job, but the answer is lost, and the job does all its work: it may have
/// been either jar's.
#[test]
fn a_job_of_either_jar_that_has_finished_is_ambiguous() {
    let scene = scene(Config::default(), Program::bounded("old", 3000).rate(100));
    let goal = scene.contending(&new());
    scene.world.set_faults(FaultPlan::none().nth_of("submitJobFromJar", 1, Fault::ReplyLost));
    let mut savings = None;
    let result = scene.flink.run_with(goal, |notice| {
        if is_phase(&notice, "cancelling the new job") {
            scene.sleep(seconds(60));
        }
        if let Notice::Persist(state) = notice {
            savings = Some(state);
        }
    });
    let check = |result: Result<Upgrade, FlowError>| {
        let error = result.expect_err("the cluster cannot tell");
        assert!(error.is_ambiguous() && error.to_string().contains("which of the two jars"), "{error}");
        assert_eq!(scene.states(), states(&[("old", "FINISHED"), ("old", "FINISHED")]));
    };
    check(result);
    check(scene.flink.run(scene.resume(&savings.expect("saved"), &new())));
}

/// The process crashes right after the cluster has accepted the old jar: its job is not the new jar's.
#[test]
fn an_old_jar_that_was_accepted_is_not_cancelled_by_a_resumption() {
    let scene = scene(Config::default(), endless());
    let goal = scene.contending(&new());
    let saved = scene.crash(goal, |notice| {
        let is_accepted =
            |state: &str| state.contains(r#""phase":"run-old""#) && state.contains(r#"acknowledged\":true"#);
        matches!(notice, Notice::Persist(state) if is_accepted(&state.state))
    });
    let upgrade = scene.flink.run(scene.resume(&saved, &new())).expect("decided");
    assert!(matches!(upgrade, Upgrade::RolledBack { .. }), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("old", "FINISHED"), ("old", "RUNNING")]));
}

/// The main method of the new jar was slow: its job is submitted right before the old jar is, and has ended by then.
/// The rejection as a duplicate does not tell whose job it is.
#[test]
fn a_disputed_job_that_has_ended_is_decided_by_its_end() {
    for (new, end) in [
        (Program::bounded("new", 100), "FINISHED"),
        (Program::endless("new").state_incompatible().restarts(0), "FAILED"),
    ] {
        let scene = scene(Config::default(), endless());
        let goal = scene.contending(&new);
        let is_submitted = Cell::new(false);
        let (_, result) = scene.watch(goal, |notice| {
            let Notice::Persist(state) = notice else { return };
            if !state.state.contains(r#""phase":"run-old""#) || is_submitted.replace(true) {
                return;
            }
            let state: serde_json::Value = serde_json::from_str(&state.state).expect("JSON");
            let job: JobId = state["new_job"].as_str().expect("an id").parse().expect("an id");
            let slow = new_jar(&new).job_id(job).savepoint_path(scene.savepoint());
            let _ = scene.flink.run(slow).expect("submitted");
            scene.sleep(seconds(20));
        });
        match result {
            Err(error) if end == "FINISHED" => {
                assert!(error.is_ambiguous() && error.to_string().contains("which of the two jars"), "{error}");
                assert_eq!(scene.states(), states(&[("new", end), ("old", "FINISHED")]));
            }
            Ok(Upgrade::RolledBack { .. }) if end == "FAILED" => {
                assert_eq!(scene.states(), states(&[("new", end), ("old", "FINISHED"), ("old", "RUNNING")]));
            }
            result => panic!("{end}: {result:?}"),
        }
    }
}

/// Nothing runs yet, but the main method of the new jar may still submit its job.
#[test]
fn a_new_job_that_may_still_come_leaves_the_status_open() {
    let scene = scene(Config::default(), endless());
    let goal = scene.contending(&new());
    let (saved, result) = scene.watch(goal, |notice| {
        if is_phase(notice, "running the old jar") {
            scene.world.set_faults(unreachable());
        }
    });
    let error = result.expect_err("it was not sent");
    let known = diagnosis(&error);
    assert_eq!((&known.phase, known.status), (&UpgradePhase::RunOld, UpgradeStatus::Unknown), "{error:?}");
    let error = scene.flink.run(scene.resume(&saved, &new())).expect_err("it was not sent");
    assert_eq!(diagnosis(&error).status, UpgradeStatus::Unknown, "{error:?}");
}

/// A main method that takes too long may exit when the flow has ended.
#[test]
fn a_plan_that_is_never_answered_leaves_the_status_open() {
    let scene = scene(Config::default(), endless());
    let lost = (1..9).fold(FaultPlan::none(), |plan, nth| plan.nth_of("generatePlanFromJar", nth, Fault::ReplyLost));
    scene.world.set_faults(lost);
    let (saved, result) = scene.watch(scene.goal(&new()), |_| {});
    assert_eq!(diagnosis(&result.expect_err("no answer")).status, UpgradeStatus::Unknown);
    assert!(saved.state.contains(r#""planning":"old jar""#));
    assert_eq!(scene.states(), states(&[("old", "RUNNING")]));
}

/// The path of the last checkpoint is information: a proxy that bars it is no reason not to upgrade.
#[test]
fn a_proxy_that_bars_the_list_of_checkpoints_does_not_end_an_upgrade() {
    let scene = scene(Config::default(), endless());
    let is_stopping = Cell::new(false);
    scene.service.with(|proxy| proxy.1 = Some("/checkpoints"));
    let (_, result) = scene.watch(scene.goal(&new()), |notice| {
        // The first checkpoint of the new job is needed.
        if is_phase(notice, "waiting for the new job") && !is_stopping.replace(true) {
            scene.service.with(|proxy| proxy.1 = None);
        }
    });
    assert!(matches!(result, Ok(Upgrade::Upgraded { .. })), "{result:?}");
}

#[test]
fn a_lookup_that_a_proxy_rejects_ends_long_before_a_late_deadline() {
    let scene = scene(Config::default(), endless());
    let before = scene.world.now();
    let (_, result) = scene.watch(scene.goal(&new()).timeout(seconds(24 * 3600)), |notice| {
        if is_phase(notice, "waiting for the outcome") {
            scene.service.with(|proxy| proxy.1 = Some("/savepoints/"));
        }
    });
    let error = result.expect_err("the outcome cannot be read");
    assert!(error.is_ambiguous() && error.to_string().contains("403"), "{error}");
    assert!(scene.world.now().since(before) < seconds(600), "{:?}", scene.world.now().since(before));
}

//! Main methods that another JobManager executes than the identified JobManager, or that are executed after the client
//! has stopped waiting.

use std::time::Duration;

use bytes::Bytes;
use pipewright::Timestamp;
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::{
    AwaitJob, Flink, JobDiagnosis, JobManagerLookup, Launched, RunJar, Upgrade, UpgradeDiagnosis, UpgradeJob,
    UpgradePhase,
};
use pipewright::flow::{Notice, SavedState};
use pipewright_mock::flink::{Cluster, Config, Exits, Program};
use pipewright_mock::{Fault, FaultPlan, Mounted, Service, World};

const RUN: &str = "submitJobFromJar";
const PLAN: &str = "generatePlanFromJar";
/// Later than a client waits for the answer to a plan or a run.
const LATE: Fault = Fault::DelayRequest(Duration::from_secs(210));

/// Two JobManagers behind a balancer: each request for the identity reaches the other JobManager.
struct Balanced {
    cluster: Cluster,
    identified: u64,
    has_balancer: bool,
}

impl Service for Balanced {
    fn handle(&mut self, now: Timestamp, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let response = self.cluster.handle(now.as_unix(), request);
        if !self.has_balancer || request.uri().path() != "/v1/jobmanager/config" {
            return response;
        }
        self.identified += 1;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        let other = format!("flink-web-{}-", self.identified % 2);
        response.map(|_| text.replace("flink-web-", &other).into())
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        self.cluster.restart(now.as_unix(), downtime);
    }

    fn advance(&mut self, now: Timestamp) {
        self.cluster.advance(now.as_unix());
    }
}

struct Scene {
    world: World,
    service: Mounted<Balanced>,
    flink: Flink<World>,
}

fn scene(config: Config, has_balancer: bool) -> Scene {
    let world = World::new(1);
    let service = Balanced { cluster: Cluster::new(config), identified: 0, has_balancer };
    let service = world.mount("http://flink.test".parse().expect("a base"), service);
    let flink = Flink::new(service.base(), world.clone());
    Scene { world, service, flink }
}

/// One JobManager, whose jobs and perhaps jars are lost with it.
fn alone(retain_uploads: bool) -> Config {
    Config { high_availability: false, retain_uploads, ..Config::default() }
}

impl Scene {
    fn deaths(&self) -> usize {
        self.service.with(|service| service.cluster.exits().len())
    }

    /// The names of the jobs that run when every late request has arrived.
    fn alive(&self) -> Vec<String> {
        self.world.sleep_until(self.world.now() + Duration::from_secs(300));
        let jobs = self.service.with(|service| service.cluster.jobs());
        jobs.into_iter().filter(|job| job.state == "RUNNING").map(|job| job.name).collect()
    }

    fn launch(&self) -> Launched {
        let launched = self.flink.run(old_jar()).expect("submitted");
        let _ = self.flink.run(AwaitJob::running(launched.job)).expect("it runs");
        self.world.sleep_until(self.world.now() + Duration::from_secs(5));
        launched
    }

    /// Restarts the JobManager when this operation is repeated for the first time.
    fn restarts_before_a_repetition<'a>(
        &'a self,
        operation: &'a str,
        saved: &'a mut Option<SavedState>,
    ) -> impl FnMut(Notice) + 'a {
        let mut has_restarted = false;
        move |notice| match notice {
            Notice::Persist(state) => *saved = Some(state),
            Notice::Retrying { operation: repeated, .. } if repeated.name == operation && !has_restarted => {
                has_restarted = true;
                self.service.restart(Duration::ZERO);
            }
            _ => {}
        }
    }
}

fn old_jar() -> RunJar {
    RunJar::upload("old.jar", Program::endless("old").jar())
}

fn new_jar() -> RunJar {
    RunJar::upload("new.jar", Program::endless("new").jar())
}

fn exiting() -> RunJar {
    RunJar::upload("new.jar", Program::endless("new").exits(Exits::Always).jar())
}

fn upgrade(old: &Launched, new: RunJar) -> UpgradeJob {
    UpgradeJob::new(old.job, old_jar().from_uploaded(old.jar.clone()), new)
}

fn page() -> Fault {
    Fault::ProxyPage { status: http::StatusCode::BAD_GATEWAY, applied: false }
}

fn not_sent(operation: &str) -> FaultPlan {
    (1..=20).fold(FaultPlan::none(), |plan, nth| plan.nth_of(operation, nth, Fault::NotSent))
}

fn job_manager(error: &FlowError) -> JobManagerLookup {
    let last = UpgradeDiagnosis::of(error).and_then(|diagnosis| diagnosis.last.clone());
    last.or_else(|| JobDiagnosis::of(error).cloned()).expect("what is known of the job").job_manager
}

/// Behind a balancer, another identity does not show that the process is dead which executes `main()`: the old jar
/// takes the id of the new job, so that the late submission is rejected.
#[test]
fn a_main_method_that_outlives_the_flow_submits_no_second_job() {
    // The answer to the run of the old jar may be lost, too.
    for is_old_lost in [false, true] {
        let scene = scene(Config { standby: true, ..Config::default() }, true);
        let old = scene.launch();
        let faults = FaultPlan::none().nth_of(RUN, 1, LATE);
        scene.world.set_faults(if is_old_lost { faults.nth_of(RUN, 2, Fault::ReplyLost) } else { faults });
        let upgrade = scene.flink.run(upgrade(&old, new_jar())).expect("the old jar runs");
        let Upgrade::RolledBack { reason, .. } = upgrade else { panic!("{upgrade:?}") };
        assert!(reason.contains("another JobManager answers"), "{is_old_lost}: {reason}");
        assert_eq!(scene.alive(), ["old"], "{is_old_lost}");
    }
}

#[test]
fn a_run_behind_a_balancer_is_ambiguous_if_another_job_manager_answers() {
    let scene = scene(Config { standby: true, ..Config::default() }, true);
    scene.world.set_faults(FaultPlan::none().nth_of(RUN, 1, LATE));
    let error = scene.flink.run(new_jar()).expect_err("the answer is lost");
    assert!(error.is_ambiguous() && job_manager(&error) == JobManagerLookup::DifferentReplica, "{error:?}");
    assert!(error.to_string().contains("may still execute main()"), "{error}");
    assert_eq!(scene.alive(), ["new"]);
}

/// The process that was identified was replaced before it got the request. The process that got it lives, and is still
/// at work.
#[test]
fn a_repetition_is_sent_to_a_job_manager_that_was_identified() {
    for retain_uploads in [false, true] {
        let scene = scene(alone(retain_uploads), false);
        scene.world.set_faults(FaultPlan::none().nth_of(RUN, 1, Fault::NotSent).nth_of(RUN, 2, LATE));
        let mut saved = None;
        let launched = scene.flink.run_with(new_jar(), scene.restarts_before_a_repetition(RUN, &mut saved));
        let launched = launched.unwrap_or_else(|error| panic!("{retain_uploads}: {error:?}"));
        let _ = scene.flink.run(AwaitJob::running(launched.job)).expect("it runs");
        assert_eq!(scene.alive(), ["new"], "{retain_uploads}");
    }
}

/// The first attempt gets no answer, and its JobManager dies when it was seen alive: the next JobManager does not
/// execute `main()`.
#[test]
fn a_job_manager_that_dies_late_is_not_followed_by_another() {
    for config in [alone(false), alone(true), Config::default(), Config { retain_uploads: true, ..Config::default() }] {
        let case = format!("{config:?}");
        let expected =
            if config.high_availability { JobManagerLookup::DifferentReplica } else { JobManagerLookup::Restarted };
        let faults = |operation| FaultPlan::none().nth_of(operation, 1, page()).nth_of(operation, 2, Fault::NotSent);
        let run = scene(config.clone(), false);
        run.world.set_faults(faults(RUN));
        let mut saved = None;
        let goal = exiting();
        let error = run.flink.run_with(goal, run.restarts_before_a_repetition(RUN, &mut saved)).expect_err(&case);
        assert_eq!((job_manager(&error), run.deaths()), (expected.clone(), 0), "{case}: {error:?}");
        assert_eq!(error.is_ambiguous(), expected == JobManagerLookup::DifferentReplica, "{case}: {error:?}");
        let goal = RunJar::resume(&saved.expect("saved")).expect("its own state");
        let _ = run.flink.run(goal.with_jar("new.jar", Program::endless("new").jar())).expect_err(&case);
        assert_eq!((run.deaths(), run.alive()), (0, Vec::new()), "{case}");

        let plan = scene(config, false);
        let old = plan.launch();
        // The plan of the old jar is the first plan.
        let faults = FaultPlan::none().nth_of(PLAN, 2, page()).nth_of(PLAN, 3, Fault::NotSent);
        plan.world.set_faults(faults);
        let mut saved = None;
        let goal = upgrade(&old, exiting());
        let error = plan.flink.run_with(goal, plan.restarts_before_a_repetition(PLAN, &mut saved)).expect_err(&case);
        assert_eq!((job_manager(&error), plan.deaths()), (expected.clone(), 0), "{case}: {error:?}");
        let goal = UpgradeJob::resume(&saved.expect("saved")).expect("its own state");
        let error = plan.flink.run(goal.with_jars(old_jar(), exiting())).expect_err(&case);
        assert_eq!((job_manager(&error), plan.deaths()), (expected, 0), "{case}: {error:?}");
    }
}

/// A run that was never sent is resumed on any JobManager, and a good jar is not rolled back.
#[test]
fn a_run_that_was_never_sent_is_sent_by_a_resumed_flow() {
    let hour = Duration::from_secs(2 * 3600);
    for (wait, limit) in [(Duration::ZERO, hour), (hour, hour), (Duration::ZERO, Duration::from_secs(3))] {
        let run = scene(alone(true), false);
        run.world.set_faults(not_sent(RUN));
        let mut saved = None;
        let keep = |notice| {
            if let Notice::Persist(state) = notice {
                saved = Some(state);
            }
        };
        let error = run.flink.run_with(new_jar().timeout(limit), keep).expect_err("it cannot be sent");
        assert!(!error.is_ambiguous(), "{error:?}");
        run.world.set_faults(FaultPlan::none());
        run.service.restart(Duration::from_secs(1));
        run.world.sleep_until(run.world.now() + wait);
        run.flink.run(RunJar::resume(&saved.expect("saved")).expect("its own state")).expect("it is sent");
        assert_eq!(run.alive(), ["new"]);

        let scene = scene(alone(true), false);
        let old = scene.launch();
        scene.world.set_faults(not_sent(RUN));
        let mut saved = None;
        let keep = |notice| {
            if let Notice::Persist(state) = notice {
                saved = Some(state);
            }
        };
        let goal = upgrade(&old, new_jar()).timeout(limit);
        let error = scene.flink.run_with(goal, keep).expect_err("it cannot be sent");
        let known = UpgradeDiagnosis::of(&error).expect("a diagnosis");
        assert_eq!(known.phase, UpgradePhase::Run, "{error:?}");
        scene.world.set_faults(FaultPlan::none());
        scene.service.restart(Duration::from_secs(1));
        scene.world.sleep_until(scene.world.now() + wait);
        let goal = UpgradeJob::resume(&saved.expect("saved")).expect("its own state");
        let upgrade = scene.flink.run(goal).expect("it is sent");
        assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
        assert_eq!(scene.alive(), ["new"]);
    }
}

/// The cluster has rejected the run, and then cannot be asked for the job.
#[test]
fn a_run_that_was_rejected_outright_is_sent_by_a_resumed_flow() {
    let scene = scene(alone(false), false);
    let launched = scene.flink.run(old_jar()).expect("submitted");
    scene.service.restart(Duration::from_secs(1));
    let lookups = (1..=1000).fold(FaultPlan::none(), |plan, nth| plan.nth_of("getJobStatusInfo", nth, page()));
    scene.world.set_faults(lookups);
    let mut saved = None;
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let error = scene.flink.run_with(RunJar::uploaded(launched.jar), keep).expect_err("the jar is lost");
    assert!(!error.is_ambiguous() && error.to_string().contains("does not exist"), "{error:?}");
    scene.world.set_faults(FaultPlan::none());
    scene.service.restart(Duration::from_secs(1));
    let goal = RunJar::resume(&saved.expect("saved")).expect("its own state");
    scene.flink.run(goal.with_jar("old.jar", Program::endless("old").jar())).expect("it is sent");
    assert_eq!(scene.alive(), ["old"]);
}

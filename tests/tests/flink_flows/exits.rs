//! Main methods that kill their JobManager, and answers that are lost although it lives: at most one JobManager dies.

use std::time::Duration;

use bytes::Bytes;
use pipewright::Timestamp;
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::{
    AwaitJob, Flink, JobDiagnosis, JobLookup, JobManagerLookup, Launched, RunJar, Upgrade, UpgradeDiagnosis,
    UpgradeJob, UpgradePhase,
};
use pipewright::flow::{Notice, SavedState};
use pipewright_mock::flink::{Cluster, Config, Exits, Program};
use pipewright_mock::{Fault, FaultPlan, FlinkHandle, Mounted, Service, World};

struct Scene<S: Service + 'static = Cluster> {
    world: World,
    service: Mounted<S>,
    flink: Flink<World>,
}

fn base() -> pipewright::Base {
    "http://flink.test".parse().expect("a base")
}

/// The clusters on which each case is tried: a lone JobManager, one with high availability, and one with a standby;
/// with uploads that are lost with it, or kept.
fn configs() -> impl Iterator<Item = Config> {
    let kinds = [(false, false), (true, false), (true, true)];
    kinds.into_iter().flat_map(|(high_availability, standby)| {
        [false, true].map(|retain_uploads| Config { high_availability, standby, retain_uploads, ..Config::default() })
    })
}

fn scene(config: Config) -> Scene {
    let world = World::new(1);
    let service: FlinkHandle = world.flink(base(), config);
    let flink = Flink::new(service.base(), world.clone());
    Scene { world, service, flink }
}

impl Scene {
    fn deaths(&self) -> usize {
        self.service.with(|cluster| cluster.exits().len())
    }

    /// Names and states of the jobs that have not ended.
    fn alive(&self) -> Vec<String> {
        // A failover is over by then.
        self.world.sleep_until(self.world.now() + Duration::from_secs(5));
        let jobs = self.service.with(|cluster| cluster.jobs());
        jobs.into_iter().filter(|job| job.state == "RUNNING").map(|job| job.name).collect()
    }

    fn launch(&self) -> Launched {
        let launched = self.flink.run(RunJar::upload("old.jar", Program::endless("old").jar())).expect("submitted");
        let _ = self.flink.run(AwaitJob::running(launched.job)).expect("it runs");
        self.world.sleep_until(self.world.now() + Duration::from_secs(5));
        launched
    }
}

fn exiting(when: Exits) -> RunJar {
    RunJar::upload("new.jar", Program::endless("new").exits(when).jar())
}

/// With the bytes of the old jar, which may be lost with the JobManager.
fn upgrade(old: &Launched, when: Exits) -> UpgradeJob {
    UpgradeJob::new(old.job, old_jar().from_uploaded(old.jar.clone()), exiting(when))
}

fn resume(saved: &SavedState, when: Exits) -> UpgradeJob {
    UpgradeJob::resume(saved).expect("its own state").with_jars(old_jar(), exiting(when))
}

fn old_jar() -> RunJar {
    RunJar::upload("old.jar", Program::endless("old").jar())
}

fn keep(saved: &mut Option<SavedState>, notice: Notice) {
    if let Notice::Persist(state) = notice {
        *saved = Some(state);
    }
}

fn job_manager(error: &FlowError) -> JobManagerLookup {
    if let Some(diagnosis) = UpgradeDiagnosis::of(error) {
        return diagnosis.last.as_ref().expect("what is known of the job").job_manager.clone();
    }
    JobDiagnosis::of(error).expect("what is known of the job").job_manager.clone()
}

/// What a flow concludes from another JobManager: whether the run has failed, and why.
fn verdict(config: &Config) -> (bool, JobManagerLookup, &'static str) {
    if config.high_availability {
        (false, JobManagerLookup::DifferentReplica, "another JobManager answers")
    } else {
        (true, JobManagerLookup::Restarted, "the JobManager died")
    }
}

#[test]
fn a_run_that_kills_the_job_manager_is_not_repeated() {
    for config in configs() {
        for when in [Exits::Always, Exits::BeforeExecute, Exits::AfterExecute] {
            let case = format!("{config:?}, {when:?}");
            let is_recovered = config.high_availability && when == Exits::AfterExecute;
            let scene = scene(config.clone());
            let mut saved = None;
            let goal = exiting(when).savepoint_path("");
            let result = scene.flink.run_with(goal, |notice| keep(&mut saved, notice));
            assert_eq!(scene.deaths(), 1, "{case}");
            assert_eq!(scene.alive().len(), usize::from(is_recovered), "{case}");
            if is_recovered {
                result.expect(&case);
                continue;
            }
            let error = result.expect_err(&case);
            let (is_failed, expected, died) = verdict(&config);
            assert_eq!(matches!(error, FlowError::Failed(_)), is_failed, "{case}: {error:?}");
            assert_eq!(error.is_ambiguous(), !is_failed, "{case}: {error:?}");
            let diagnosis = JobDiagnosis::of(&error).expect("a diagnosis");
            assert_eq!((&diagnosis.lookup, &diagnosis.job_manager), (&JobLookup::NotFound, &expected));
            let text = error.to_string();
            for part in ["System.exit", died, &diagnosis.job.to_string(), "run the jar again only if"] {
                assert!(text.contains(part), "{part}: {text}");
            }
            // Nor does a resumed process repeat it, with the jar at hand or without.
            let saved = saved.expect("saved");
            let resume = || RunJar::resume(&saved).expect("its own state");
            let jar = Program::endless("new").exits(when).jar();
            for goal in [resume(), resume().with_jar("new.jar", jar)] {
                let error = scene.flink.run(goal).expect_err(&case);
                assert_eq!(job_manager(&error), expected, "{case}: {error:?}");
            }
            assert_eq!(scene.deaths(), 1, "{case}");
        }
    }
}

#[test]
fn a_run_that_kills_the_job_manager_names_the_savepoint_that_it_was_given() {
    let scene = scene(Config { high_availability: false, ..Config::default() });
    let goal = exiting(Exits::BeforeExecute).savepoint_path("file:/p");
    let error = scene.flink.run(goal).expect_err("it exits");
    assert!(error.to_string().contains("was to start from file:/p"), "{error}");
}

/// Crashes when the run has just been announced, before it is sent or after: the outcome is unknown.
#[test]
fn a_run_that_was_begun_by_a_crashed_process_is_not_repeated_on_another_job_manager() {
    for is_replaced in [false, true] {
        let scene = scene(Config { retain_uploads: true, ..Config::default() });
        let mut saved = None;
        let goal = RunJar::upload("a.jar", Program::endless("a").jar());
        let result = scene.flink.run_with(goal, |notice| {
            let is_save = matches!(&notice, Notice::Persist(_));
            keep(&mut saved, notice);
            if is_save { Err("crashed") } else { Ok(()) }
        });
        assert!(matches!(result, Err(FlowError::Stopped(_))), "{result:?}");
        if is_replaced {
            scene.service.restart(Duration::from_secs(1));
        }
        let result = scene.flink.run(RunJar::resume(&saved.expect("saved")).expect("its own state"));
        assert_eq!(result.is_ok(), !is_replaced, "{result:?}");
        assert_eq!(scene.alive().len(), usize::from(!is_replaced));
    }
}

#[test]
fn a_plan_that_kills_the_job_manager_is_not_repeated() {
    for config in configs() {
        let case = format!("{config:?}");
        let high_availability = config.high_availability;
        let (is_failed, expected, _) = verdict(&config);
        let scene = scene(config);
        let old = scene.launch();
        let mut saved = None;
        let error = scene
            .flink
            .run_with(upgrade(&old, Exits::Always), |notice| keep(&mut saved, notice))
            .expect_err("it exits");
        assert_eq!(matches!(error, FlowError::Failed(_)), is_failed, "{case}: {error:?}");
        assert_eq!(error.is_ambiguous(), !is_failed, "{case}: {error:?}");
        assert_eq!(job_manager(&error), expected, "{case}: {error:?}");
        let text = error.to_string();
        let fate =
            if high_availability { "has not touched the old job, and it is" } else { "died with the JobManager" };
        for part in ["planning the new jar", "System.exit", fate, "in a new upgrade"] {
            assert!(text.contains(part), "{case}: {part}: {text}");
        }
        if !high_availability {
            let last = UpgradeDiagnosis::of(&error).and_then(|known| known.last_checkpoint.as_deref()).expect(&case);
            let way = format!("from its last checkpoint {last}, or from a newer checkpoint in the same directory");
            assert!(text.contains(&way), "{case}: {text}");
        }
        let alive = if high_availability { vec!["old".to_owned()] } else { Vec::new() };
        assert_eq!((scene.deaths(), scene.alive()), (1, alive.clone()), "{case}");
        // Nor does a resumed process, again and again.
        let saved = saved.expect("saved before it was planned");
        for _ in 0..2 {
            let goal = UpgradeJob::resume(&saved).expect("its own state").with_jars(old_jar(), exiting(Exits::Always));
            let error = scene.flink.run(goal).expect_err("it exits");
            assert_eq!(job_manager(&error), expected, "{case}: {error:?}");
        }
        assert_eq!((scene.deaths(), scene.alive()), (1, alive), "{case}");
    }
}

/// The process crashes at each of its notices, and the next process continues from what was saved last: a new upgrade
/// if nothing was.
#[test]
fn a_crash_around_a_plan_does_not_kill_a_second_job_manager() {
    for crash in 0.. {
        let scene = scene(Config { retain_uploads: true, ..Config::default() });
        let old = scene.launch();
        let (mut saved, mut seen) = (None, 0);
        let result = scene.flink.run_with(upgrade(&old, Exits::Always), |notice| {
            keep(&mut saved, notice);
            seen += 1;
            if seen > crash { Err("crashed") } else { Ok(()) }
        });
        let goal = saved.as_ref().map_or_else(|| upgrade(&old, Exits::Always), |saved| resume(saved, Exits::Always));
        if scene.deaths() == 0 || saved.is_some() {
            let error = scene.flink.run(goal).expect_err("it exits");
            assert!(error.to_string().contains("JobManager"), "{crash}: {error}");
        }
        assert_eq!((scene.deaths(), scene.alive()), (1, vec!["old".to_owned()]), "{crash}");
        if !matches!(result, Err(FlowError::Stopped(_))) {
            assert!(crash > 10, "it has more notices than that");
            break;
        }
    }
}

/// The plan goes well, and the run does not: the old jar continues.
#[test]
fn an_upgrade_whose_run_kills_the_job_manager_is_rolled_back() {
    for config in configs() {
        for when in [Exits::BeforeExecute, Exits::AfterExecute] {
            let case = format!("{config:?}, {when:?}");
            let is_recovered = config.high_availability && when == Exits::AfterExecute;
            let scene = scene(config.clone());
            let old = scene.launch();
            let upgrade = scene.flink.run(upgrade(&old, when)).expect(&case);
            match &upgrade {
                Upgrade::Upgraded { .. } => assert!(is_recovered, "{case}"),
                Upgrade::RolledBack { reason, .. } => {
                    assert!(!is_recovered && reason.contains("System.exit"), "{case}: {reason}");
                }
            }
            let alive = if is_recovered { "new" } else { "old" };
            assert_eq!((scene.deaths(), scene.alive()), (1, vec![alive.to_owned()]), "{case}");
        }
    }
}

/// The process crashes at each notice of an upgrade whose new jar exits when it is run.
#[test]
fn a_crash_around_a_run_does_not_kill_a_second_job_manager() {
    for when in [Exits::BeforeExecute, Exits::AfterExecute] {
        for crash in 0.. {
            let scene = scene(Config { standby: true, ..Config::default() });
            let old = scene.launch();
            let (mut saved, mut seen) = (None, 0);
            let result = scene.flink.run_with(upgrade(&old, when), |notice| {
                keep(&mut saved, notice);
                seen += 1;
                if seen > crash { Err("crashed") } else { Ok(()) }
            });
            if matches!(result, Err(FlowError::Stopped(_))) {
                let goal = saved.as_ref().map_or_else(|| upgrade(&old, when), |saved| resume(saved, when));
                let _ = scene.flink.run(goal).unwrap_or_else(|error| panic!("{when:?}, {crash}: {error:?}"));
            }
            assert!(scene.deaths() <= 1, "{when:?}, {crash}");
            assert_eq!(scene.alive().len(), 1, "{when:?}, {crash}");
            if !matches!(result, Err(FlowError::Stopped(_))) {
                assert_eq!(scene.deaths(), 1);
                break;
            }
        }
    }
}

/// The JobManager dies of something else, twice, and the old jar was not run: its main method is known to be harmless.
#[test]
fn an_old_jar_whose_run_was_lost_is_run_by_a_resumed_upgrade() {
    let scene = scene(Config { retain_uploads: true, ..Config::default() });
    let old = scene.launch();
    let restart = Fault::Restart { downtime: Duration::from_secs(1), applied: false };
    scene.world.set_faults(FaultPlan::none().nth_of("submitJobFromJar", 1, restart).nth_of(
        "submitJobFromJar",
        2,
        restart,
    ));
    let mut saved = None;
    let goal = upgrade(&old, Exits::AfterExecute);
    let error = scene.flink.run_with(goal, |notice| keep(&mut saved, notice)).expect_err("nothing was run");
    let diagnosis = UpgradeDiagnosis::of(&error).expect("a diagnosis");
    assert_eq!(diagnosis.phase, UpgradePhase::RunOld);
    assert!(diagnosis.savepoint.is_some() && error.to_string().contains("System.exit"), "{error}");
    let goal = UpgradeJob::resume(&saved.expect("saved")).expect("its own state");
    let upgrade = scene.flink.run(goal).expect("the old jar runs");
    assert!(matches!(upgrade, Upgrade::RolledBack { .. }), "{upgrade:?}");
    assert_eq!((scene.deaths(), scene.alive()), (0, vec!["old".to_owned()]));
}

/// A proxy drops the answer, and the JobManager lives: what was planned or run is repeated, a plan once.
#[test]
fn what_a_proxy_loses_is_repeated() {
    let lost = |operation: &str, times: std::ops::RangeInclusive<u64>, fault| {
        times.fold(FaultPlan::none(), |plan, nth| plan.nth_of(operation, nth, fault))
    };
    let page = |applied| Fault::ProxyPage { status: http::StatusCode::BAD_GATEWAY, applied };
    for fault in [Fault::ReplyLost, page(false), page(true), Fault::CutOff, Fault::ShortBody] {
        let scene = scene(Config::default());
        let old = scene.launch();
        let new = || RunJar::upload("new.jar", Program::endless("new").jar());
        let upgrade = || UpgradeJob::new(old.job, RunJar::uploaded(old.jar.clone()), new());
        // The old jar's plan, and then that of the new jar, twice each.
        for nth in [1, 2] {
            scene.world.set_faults(lost("generatePlanFromJar", nth..=nth + 1, fault));
            let error = scene.flink.run(upgrade()).expect_err("a plan is repeated once");
            assert!(!error.is_ambiguous() && !matches!(error, FlowError::Failed(_)), "{fault}: {error:?}");
            assert_eq!(scene.alive(), ["old"]);
        }
        scene.world.set_faults(lost("generatePlanFromJar", 1..=1, fault).nth_of("generatePlanFromJar", 3, fault));
        let upgraded = scene.flink.run(upgrade()).expect("each plan is repeated");
        assert!(matches!(upgraded, Upgrade::Upgraded { .. }), "{upgraded:?}");
        assert_eq!(scene.alive(), ["new"]);
        // A run is submitted again, with the JobManager seen to be alive each time.
        scene.world.set_faults(lost("submitJobFromJar", 1..=2, page(false)));
        scene.flink.run(RunJar::upload("b.jar", Program::endless("b").jar())).expect("submitted again");
        assert_eq!(scene.alive(), ["new", "b"]);
    }
}

/// A cluster behind a proxy that does not pass on what tells one JobManager from another.
struct Barred(Cluster);

impl Service for Barred {
    fn handle(&mut self, now: Timestamp, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        if request.uri().path() == "/v1/jobmanager/config" {
            let response = http::Response::builder().status(403).header("content-type", "text/html");
            return response.body("<html>not for you</html>".into()).expect("a response");
        }
        self.0.handle(now.as_unix(), request)
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        self.0.restart(now.as_unix(), downtime);
    }
}

/// It may have died: nothing that executes a main method is repeated, and the error says why.
#[test]
fn nothing_is_repeated_on_a_job_manager_that_cannot_be_told_from_another() {
    for when in [None, Some(Exits::Always)] {
        let world = World::new(1);
        let config = Config { high_availability: false, ..Config::default() };
        let service = world.mount(base(), Barred(Cluster::new(config)));
        let flink = Flink::new(service.base(), world.clone());
        let scene = Scene { world, service, flink };
        let program = |name: &str| Program::endless(name);
        let old = scene.flink.run(RunJar::upload("old.jar", program("old").jar())).expect("nothing goes wrong");
        let _ = scene.flink.run(AwaitJob::running(old.job)).expect("it runs");
        let new = when.map_or_else(|| program("new"), |when| program("new").exits(when));
        let new = RunJar::upload("new.jar", new.jar());
        let deaths = |expected: usize| {
            let deaths = scene.service.with(|barred| barred.0.exits().len());
            assert_eq!(deaths, if when.is_some() { expected } else { 0 });
        };
        if when.is_none() {
            scene.world.set_faults(FaultPlan::none().nth_of("generatePlanFromJar", 2, Fault::ReplyLost));
        }
        let goal = UpgradeJob::new(old.job, RunJar::uploaded(old.jar), new.clone());
        let error = scene.flink.run(goal).expect_err("the answer is lost");
        assert!(error.is_ambiguous() && matches!(job_manager(&error), JobManagerLookup::LookupFailed(_)), "{error:?}");
        assert!(error.to_string().contains("web.tmpdir"), "{error}");
        deaths(1);
        if when.is_none() {
            let page = Fault::ProxyPage { status: http::StatusCode::BAD_GATEWAY, applied: false };
            scene.world.set_faults(FaultPlan::none().nth_of("submitJobFromJar", 1, page));
        }
        let error = scene.flink.run(new).expect_err("the answer is lost");
        assert!(error.is_ambiguous() && matches!(job_manager(&error), JobManagerLookup::LookupFailed(_)), "{error:?}");
        deaths(2);
    }
}

/// The leader dies while its standby waits for it: the 400 after a minute says nothing about the main method.
#[test]
fn a_run_whose_leader_was_lost_goes_on_under_the_next_one() {
    let scene = scene(Config { standby: true, retain_uploads: true, ..Config::default() });
    let lost = Fault::LeaderLost { downtime: Duration::from_secs(70) };
    scene.world.set_faults(FaultPlan::none().nth_of("submitJobFromJar", 1, lost));
    let before = scene.world.now();
    let launched = scene.flink.run(RunJar::upload("a.jar", Program::endless("a").jar())).expect("it was submitted");
    assert!(scene.world.now().since(before) >= Duration::from_secs(60));
    let _ = scene.flink.run(AwaitJob::running(launched.job)).expect("it runs");
    assert_eq!((scene.deaths(), scene.alive()), (0, vec!["a".to_owned()]));
}

/// A rejection is an answer: the JobManager lived, and its restart afterwards arouses no suspicion.
#[test]
fn a_plan_that_was_rejected_is_repeated_on_any_job_manager() {
    let scene = scene(Config { retain_uploads: true, ..Config::default() });
    let old = scene.launch();
    let mut saved = None;
    let new = RunJar::upload("new.jar", Program::endless("new").main_fails("no").jar());
    let goal = UpgradeJob::new(old.job, RunJar::uploaded(old.jar), new);
    scene.flink.run_with(goal, |notice| keep(&mut saved, notice)).expect_err("it is rejected");
    scene.service.restart(Duration::from_secs(1));
    let goal = UpgradeJob::resume(&saved.expect("saved")).expect("its own state");
    let error = scene.flink.run(goal).expect_err("it is rejected again");
    assert!(error.to_string().starts_with("generatePlanFromJar: status 500 IllegalArgumentException: no"), "{error}");
    assert_eq!(scene.alive(), ["old"]);
}

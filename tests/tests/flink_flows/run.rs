//! Jars that are run although a fault happened: lost uploads, requests that are delivered twice.

use std::time::Duration;

use bytes::Bytes;
use pipewright::Timestamp;
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::{AwaitJob, Flink, JobId, RunJar, Upgrade, UpgradeJob};
use pipewright::flow::{Notice, SavedState};
use pipewright_mock::flink::{Cluster, Config, Program};
use pipewright_mock::{Fault, FaultPlan, FlinkHandle, Script, Service, World};

const JOB: JobId = JobId::from_bits(0xa);
const RUN: &str = "/v1/jars/a.jar/run";
const CONFIG: &str = "/v1/jobmanager/config";
const PROCESS: &str = r#"[{"key":"web.tmpdir","value":"/tmp/flink-web-1"}]"#;
const STATUS: &str = "/v1/jobs/0000000000000000000000000000000a/status";
/// The JobManager died while its REST endpoint waited for it, for 60 s.
const ASK_TIMEOUT: &str = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.util.FlinkRuntimeException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Failed to execute job 'a'.\nCaused by: java.util.concurrent.TimeoutException: Invocation of [RemoteRpcInvocation(RestfulGateway.requestJobStatus(JobID, Duration))] at recipient failed.\nCaused by: org.apache.pekko.pattern.AskTimeoutException: Ask timed out on [Actor[pekko://flink/user/rpc/dispatcher_1]] after [60000 ms]"]}"#;

/// A gateway that delivers each run twice, and hands out the second answer.
struct Twice(Cluster);

impl Service for Twice {
    fn handle(&mut self, now: Timestamp, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        if request.uri().path().ends_with("/run") {
            self.0.handle(now.as_unix(), request);
        }
        self.0.handle(now.as_unix(), request)
    }
}

fn cluster(config: Config) -> (World, FlinkHandle, Flink<World>) {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), config);
    let flink = Flink::new(cluster.base(), world.clone());
    (world, cluster, flink)
}

fn jobs(world: &World, cluster: &FlinkHandle) -> Vec<(String, String)> {
    let now = world.now().as_unix();
    cluster.with(|cluster| {
        cluster.advance(now);
        let mut jobs: Vec<_> = cluster.jobs().into_iter().map(|job| (job.name, job.state)).collect();
        jobs.sort();
        jobs
    })
}

fn is(name: &str, state: &str) -> (String, String) {
    (name.to_owned(), state.to_owned())
}

/// The second delivery is refused as a duplicate of the first delivery, which submitted the job. The id was ours alone.
#[test]
fn a_run_that_was_delivered_twice_is_a_success() {
    let world = World::new(1);
    let service = world.mount("http://flink.test".parse().expect("a base"), Twice(Cluster::new(Config::default())));
    let flink = Flink::new(service.base(), world);
    let jar = |name: &str| RunJar::upload("a.jar", Program::endless(name).jar());
    let launched = flink.run(jar("a")).expect("it was submitted");
    let _ = flink.run(AwaitJob::running(launched.job)).expect("it runs");
    // An id that the caller chose may be another job's.
    assert!(matches!(flink.run(jar("b").job_id(JOB)), Err(FlowError::Failed(_))));
    // An upgrade is not rolled back over it.
    let old = RunJar::uploaded(launched.jar);
    let upgrade = flink.run(UpgradeJob::new(launched.job, old, jar("new"))).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
}

/// The job may have been submitted before the JobManager died: the id tells.
#[test]
fn a_run_whose_job_manager_died_is_looked_up() {
    let run = |script: &Script| {
        let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
        flink.run(RunJar::uploaded("a.jar").job_id(JOB))
    };
    let timed_out = || {
        let script = Script::new().expect("GET", CONFIG).reply_json(200, PROCESS);
        script.expect("POST", RUN).reply_json(400, ASK_TIMEOUT)
    };
    let script = timed_out().expect("GET", STATUS).reply_json(200, r#"{"status":"RUNNING"}"#);
    assert_eq!(run(&script).expect("it runs").job, JOB);
    script.finish();
}

#[test]
fn a_jar_that_the_cluster_has_lost_is_uploaded_again() {
    let (world, cluster, flink) = cluster(Config::default());
    let content = Program::endless("a").jar();
    let mut is_over = false;
    let result = flink.run_with(RunJar::upload("a.jar", content.clone()), |notice| {
        let is_uploaded = matches!(&notice, Notice::Observed { what, .. } if what == "jar");
        if is_uploaded && !std::mem::replace(&mut is_over, true) {
            cluster.restart(Duration::from_secs(1));
        }
    });
    let launched = result.expect("it was uploaded again");
    assert_eq!(cluster.with(|cluster| cluster.jars()), [launched.jar.to_string()]);
    world.sleep_until(world.now() + Duration::from_secs(1));
    assert_eq!(jobs(&world, &cluster), [is("a", "RUNNING")]);
    // Without the bytes there is no way.
    let error = flink.run(RunJar::uploaded("gone.jar")).expect_err("it is not there");
    assert!(matches!(error, FlowError::Service(_)), "{error:?}");
    flink.run(RunJar::uploaded("gone.jar").with_jar("a.jar", content)).expect("it was uploaded");
}

/// A gateway answers uploads by itself, with and without passing them on. A jar that is there twice changes nothing.
#[test]
fn an_upload_is_repeated_until_it_is_there_and_never_ambiguous() {
    let page = |applied| Fault::ProxyPage { status: http::StatusCode::BAD_GATEWAY, applied };
    let lost = |uploads: u64| (1..=uploads).fold(FaultPlan::none(), |plan, n| plan.nth_of("uploadJar", n, page(false)));
    let jar = || RunJar::upload("a.jar", Program::endless("a").jar());
    let (world, cluster, flink) = cluster(Config::default());
    for plan in [lost(5), lost(5).nth_of("uploadJar", 6, page(true))] {
        world.set_faults(plan);
        let before = cluster.with(|cluster| cluster.jars().len());
        flink.run(jar()).expect("it was uploaded in the end");
        assert_eq!(cluster.with(|cluster| cluster.jars().len()), before + 1, "what is there is not uploaded again");
    }
    world.set_faults(lost(1000));
    let error = flink.run(jar()).expect_err("no upload passes");
    assert!(!error.is_ambiguous() && error.to_string().contains("502"), "nothing was run: {error}");
}

/// A proxy that has lost the service for a moment answers the question which JobManager it is. Without that answer,
/// nothing could be said after a run whose answer is lost.
#[test]
fn the_job_manager_is_asked_again_who_it_is() {
    let lost = |status: http::StatusCode| Fault::ProxyPage { status, applied: false };
    for status in [http::StatusCode::FORBIDDEN, http::StatusCode::NOT_FOUND] {
        let (world, cluster, flink) = cluster(Config::default());
        let plan = FaultPlan::none().nth_of("submitJobFromJar", 1, lost(http::StatusCode::BAD_GATEWAY));
        world.set_faults((1..=3).fold(plan, |plan, n| plan.nth_of("getClusterConfigurationInfo", n, lost(status))));
        let launched = flink.run(RunJar::upload("a.jar", Program::endless("a").jar()));
        let _ = launched.expect("it is the same JobManager, which has not got the job");
        assert_eq!(jobs(&world, &cluster).len(), 1);
    }
}

fn keep(saved: &mut Option<SavedState>, notice: Notice) {
    if let Notice::Persist(state) = notice {
        *saved = Some(state);
    }
}

/// The JobManager is restarted at each phase of an upgrade, and has lost both jars then.
#[test]
fn an_upgrade_uploads_jars_again_that_the_cluster_has_lost() {
    for moment in ["planning the old jar", "planning the new jar", "running the new jar", "running the old jar"] {
        let (world, cluster, flink) = cluster(Config::default());
        let old = RunJar::upload("old.jar", Program::endless("old").jar());
        let launched = flink.run(old.clone()).expect("submitted");
        let _ = flink.run(AwaitJob::running(launched.job)).expect("it runs");
        let is_bad = moment == "running the old jar";
        let new = Program::endless("new");
        let new = if is_bad { new.state_incompatible().restarts(0) } else { new };
        let new = RunJar::upload("new.jar", new.jar());
        let mut is_over = false;
        let goal = UpgradeJob::new(launched.job, old.from_uploaded(launched.jar), new);
        let result = flink.run_with(goal, |notice| {
            let is_now = matches!(&notice, Notice::Phase { phase, .. } if phase.starts_with(moment));
            if is_now && !std::mem::replace(&mut is_over, true) {
                cluster.restart(Duration::from_secs(1));
            }
        });
        assert!(is_over, "{moment}");
        let upgrade = result.expect(moment);
        assert_eq!(matches!(upgrade, Upgrade::RolledBack { .. }), is_bad, "{moment}: {upgrade:?}");
        let alive: Vec<_> = jobs(&world, &cluster).into_iter().filter(|(_, state)| state == "RUNNING").collect();
        assert_eq!(alive, [is(if is_bad { "old" } else { "new" }, "RUNNING")], "{moment}");
    }
}

/// A process that resumes has no bytes of its own: they are given again.
#[test]
fn a_resumed_upgrade_can_be_given_the_jars_again() {
    let (world, cluster, flink) = cluster(Config::default());
    let old = RunJar::upload("old.jar", Program::endless("old").jar());
    let new = RunJar::upload("new.jar", Program::endless("new").jar());
    let launched = flink.run(old.clone()).expect("submitted");
    let _ = flink.run(AwaitJob::running(launched.job)).expect("it runs");
    let mut saved = None;
    let goal = UpgradeJob::new(launched.job, RunJar::uploaded(launched.jar), new.clone());
    let result = flink.run_with(goal, |notice| {
        let is_end = matches!(&notice, Notice::Persist(state) if state.state.contains(r#""phase":"run""#));
        keep(&mut saved, notice);
        if is_end { Err("crashed") } else { Ok(()) }
    });
    assert!(matches!(result, Err(FlowError::Stopped(_))), "{result:?}");
    cluster.restart(Duration::from_secs(1));
    let saved = saved.expect("saved");
    let resume = || UpgradeJob::resume(&saved).expect("its own state");
    let upgrade = flink.run(resume().with_jars(old, new)).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
    assert_eq!(jobs(&world, &cluster), [is("new", "RUNNING")]);
}

/// A refusal is an answer: the job was never submitted, and a resumption submits it, however late.
#[test]
fn a_run_that_was_rejected_is_submitted_when_it_is_resumed() {
    let (world, cluster, flink) = cluster(Config::default());
    let mut saved = None;
    let goal =
        RunJar::upload("a.jar", Program::endless("a").jar()).savepoint_path("file:///nowhere").entry_class("no.Such");
    let error = flink.run_with(goal, |notice| keep(&mut saved, notice)).expect_err("no such class");
    assert!(matches!(error, FlowError::Service(_)), "{error:?}");
    world.sleep_until(world.now() + Duration::from_secs(7200));
    let resumed = RunJar::resume(&saved.expect("saved")).expect("its own state");
    let error = flink.run(resumed).expect_err("still no such class");
    assert!(matches!(error, FlowError::Service(_)), "it was asked, and is not ambiguous: {error:?}");
    assert_eq!(jobs(&world, &cluster), []);
}

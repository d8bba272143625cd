//! Single ways for a flow to go wrong, each with the exact answers that make it so.

use std::time::Duration;

use pipewright::drive::Clock as _;
use pipewright::error::{Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::flink::flow::{Launched, Upgrade};
use pipewright::flink::{
    Flink, FlinkRest, JobId, JobState, RunJar, StopWithSavepoint, TakeSavepoint, TriggerId, UpgradeJob,
};
use pipewright::flow::{Flow as _, Goal, Notice, Saved, Step};
use pipewright::{Seed, Timestamp};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{Fault, FaultPlan, RetryAfter, Script, World};

const JOB: JobId = JobId::from_bits(0xa);
const STATUS: &str = "/v1/jobs/0000000000000000000000000000000a/status";
const STOP: &str = "/v1/jobs/0000000000000000000000000000000a/stop";
const CHECKPOINTS: &str = "/v1/jobs/0000000000000000000000000000000a/checkpoints";
const TRIGGER: &str = "/v1/jobs/0000000000000000000000000000000a/savepoints/0000000000000000000000000000000b";
const TRIGGERED: &str = r#"{"request-id":"0000000000000000000000000000000b"}"#;
const RUN: &str = "/v1/jars/a.jar/run";
const UNKNOWN_JOB: &str = r#"{"errors":["Internal server error.","<Exception on server side:\norg.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (0000000000000000000000000000000a)\n\nEnd of exception on server side>"]}"#;
const UNKNOWN_TRIGGER: &str = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: There is no savepoint operation with triggerId=0000000000000000000000000000000b for job 0000000000000000000000000000000a."]}"#;
const DUPLICATE: &str = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.DuplicateApplicationSubmissionException: Application has already been submitted"]}"#;
const NO_SAVEPOINTS: &str = r#"{"counts":{"restored":0,"total":0,"in_progress":0,"completed":0,"failed":0},
    "summary":{"state_size":{"min":0,"max":0,"avg":0},"end_to_end_duration":{"min":0,"max":0,"avg":0}},"latest":{},"history":[]}"#;

fn run<G: Goal<Service = FlinkRest>>(script: &Script, goal: G) -> (Result<G::Output, FlowError>, Vec<Saved>) {
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    let mut saved = Vec::new();
    let result = flink.run_with(goal, |notice| {
        if let Notice::Save(state) = notice {
            saved.push(state);
        }
    });
    (result, saved)
}

fn stop() -> StopWithSavepoint {
    StopWithSavepoint::new(JOB).trigger_id(TriggerId::from_bits(0xb))
}

fn start() -> RunJar {
    RunJar::uploaded("a.jar").job_id(JOB)
}

fn refused() -> TransportError {
    TransportError::new(TransportErrorKind::Connect, Delivery::NotSent, "refused")
}

/// RUNNING is what Flink calls a job whose tasks are still being deployed, and no savepoint can be taken of it.
#[test]
fn a_job_that_was_just_submitted_is_upgraded_when_its_tasks_run() {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let upgrade = |launched: Launched| {
        let new = RunJar::upload("new.jar", Program::endless("new").jar());
        UpgradeJob::new(launched.job, RunJar::uploaded(launched.jar), new).settle_within(Duration::from_secs(5))
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

/// What a program is configured with may be a secret, and notices end up in logs.
#[test]
fn a_notice_to_save_does_not_show_what_it_holds() {
    let script = Script::new().expect("POST", RUN).reply_json(200, r#"{"jobid":"0000000000000000000000000000000a"}"#);
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    let configuration = [("s3.secret-key".to_owned(), "hunter2".to_owned())].into();
    let (mut shown, mut saved) = (String::new(), Vec::new());
    flink
        .run_with(start().flink_configuration(configuration).program_args(["--password", "hunter3"]), |notice| {
            shown.extend([notice.to_string(), format!(" {notice:?}\n")]);
            saved.extend(if let Notice::Save(state) = notice { Some(state) } else { None });
        })
        .expect("submitted");
    assert!(shown.contains("RunJar") && !shown.contains("hunter"), "{shown}");
    // It is all there, for whoever resumes.
    assert!(saved.iter().all(|saved| saved.state.contains("hunter2") && saved.state.contains("hunter3")));
    script.finish();
}

/// Whoever answers 524 has passed the request on and grown tired of waiting.
#[test]
fn a_run_that_a_proxy_gave_up_on_is_looked_for() {
    let script = Script::new()
        .expect("POST", RUN)
        .reply(524, "<html>a timeout occurred</html>")
        .expect("GET", STATUS)
        .reply_json(500, UNKNOWN_JOB)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"INITIALIZING"}"#);
    let (result, _) = run(&script, start());
    assert_eq!(result.expect("it came up").job, JOB);
    script.finish();
}

/// An upload that was accepted under no name is found under the name that it was given.
#[test]
fn an_upload_without_a_name_is_looked_for() {
    let config = pipewright::flow::Config::new("http://flink.test".parse().expect("a base"));
    let mut flow = RunJar::upload("job.jar", "PK").job_id(JOB).start(&config, Seed::new(1));
    let (mut now, mut reply, mut name) = (Timestamp::from_millis(1), None, String::new());
    let launched = loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let body = match exchange.info().name {
                    "uploadJar" => {
                        let body = exchange.request().body().read().expect("in memory");
                        let head = String::from_utf8_lossy(&body).into_owned();
                        let (_, rest) = head.split_once("filename=\"").expect("a file name");
                        name = rest.split('"').next().expect("a file name").to_owned();
                        r#"{"filename":"/tmp/","status":"success"}"#.to_owned()
                    }
                    "getJarList" => {
                        format!(r#"{{"address":"h","files":[{{"id":"1_{name}","name":"{name}","uploaded":1}}]}}"#)
                    }
                    _ => r#"{"jobid":"0000000000000000000000000000000a"}"#.to_owned(),
                };
                reply = Some(exchange.settle(Ok(http::Response::new(body.into()))));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
            Step::Notice(_) => {}
            Step::Authorize(_) | Step::Stray(_) => panic!("nobody asked for that"),
            Step::Done(result) => break result.expect("it is there"),
        }
    };
    assert_eq!(launched.jar.as_str(), format!("1_{name}"));
}

/// The job never shows up, and the same id is submitted again; a duplicate is then our own.
#[test]
fn a_run_without_an_answer_is_sent_again_under_the_same_id() {
    let mut script = Script::new().expect("POST", RUN).reply_lost();
    for _ in 0..11 {
        script = script.expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
    }
    let script = script
        .expect("POST", RUN)
        .json(r#"{"jobId":"0000000000000000000000000000000a"}"#)
        .reply_json(400, DUPLICATE)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"RUNNING"}"#);
    let (result, _) = run(&script, start());
    assert_eq!(result.expect("it is ours").job, JOB);
    script.finish();
}

/// Nothing of ours can be a duplicate before anything was sent.
#[test]
fn a_duplicate_on_the_first_attempt_is_no_success() {
    let script = Script::new()
        .expect("POST", RUN)
        .reply_json(400, DUPLICATE)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"FAILED"}"#);
    let (result, _) = run(&script, start());
    let error = result.expect_err("somebody else's job").to_string();
    assert!(error.contains("used before") && error.contains("FAILED"), "{error}");
    script.finish();
}

/// It may be the second `execute` of the program, whose first job runs on.
#[test]
fn a_duplicate_that_cannot_be_looked_into_is_ambiguous() {
    let script = Script::new()
        .expect("POST", RUN)
        .reply_json(400, DUPLICATE)
        .expect("GET", STATUS)
        .reply(404, "<html>no such site</html>");
    let (result, _) = run(&script, start());
    assert!(result.expect_err("nobody can tell").is_ambiguous());
    script.finish();
}

/// What the cluster has acknowledged is not submitted again, however late.
#[test]
fn an_acknowledged_run_is_not_repeated() {
    let script = Script::new().expect("POST", RUN).reply_json(200, r#"{"jobid":"0000000000000000000000000000000a"}"#);
    let (result, saved) = run(&script, start());
    result.expect("submitted");
    script.finish();
    let goal = RunJar::resume(saved.last().expect("saved twice")).expect("its own state");
    let nothing = Script::new();
    assert_eq!(run(&nothing, goal.job_id(JobId::from_bits(1))).0.expect("nothing to do").job, JOB);
    nothing.finish();
}

/// A process that crashed long ago may have submitted a job that has ended and been forgotten since.
#[test]
fn an_old_run_is_not_repeated() {
    let script = Script::new()
        .expect("POST", RUN)
        .reply_json(404, r#"{"errors":["Not found"]}"#)
        .expect("GET", STATUS)
        .reply_json(500, UNKNOWN_JOB);
    let (_, saved) = run(&script, start());
    let mut state: serde_json::Value = serde_json::from_str(&saved[0].state).expect("JSON");
    state["since"] = 0.into();
    let saved: Saved =
        serde_json::from_value(serde_json::json!({"flow": "RunJar", "state": state.to_string()})).expect("a state");
    let script = Script::new().expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
    let (result, _) = run(&script, RunJar::resume(&saved).expect("its own state"));
    assert!(result.expect_err("nobody can tell").is_ambiguous());
    script.finish();
}

/// A resumed flow that cannot look does not claim to know.
#[test]
fn a_resumed_flow_that_cannot_look_is_ambiguous() {
    let script = Script::new()
        .expect("POST", RUN)
        .reply_json(404, r#"{"errors":["Not found"]}"#)
        .expect("GET", STATUS)
        .reply_json(500, UNKNOWN_JOB);
    let (_, saved) = run(&script, start());
    let script = Script::new().expect("GET", STATUS).reply(404, "<html>no such site</html>");
    let (result, _) = run(&script, RunJar::resume(&saved[0]).expect("its own state"));
    assert!(result.expect_err("nobody can tell").is_ambiguous());
    script.finish();

    let script = Script::new().expect("POST", STOP).reply_json(400, r#"{"errors":["no"]}"#);
    let (result, saved) = run(&script, stop());
    assert!(!result.expect_err("refused").is_ambiguous());
    let script = Script::new().expect("GET", TRIGGER).reply(403, "<html>not from there</html>");
    let (result, _) = run(&script, StopWithSavepoint::resume(&saved[0]).expect("its own state"));
    assert!(result.expect_err("nobody can tell").is_ambiguous());
    script.finish();
}

/// A refusal after an attempt without an answer says nothing about that attempt.
#[test]
fn a_stop_refused_after_a_lost_answer_is_looked_for() {
    let script = Script::new()
        .expect("POST", STOP)
        .reply_lost()
        .expect("POST", STOP)
        .reply(403, "<html>not from there</html>")
        .expect("GET", TRIGGER)
        .reply_json(200, r#"{"status":{"id":"COMPLETED"},"operation":{"location":"file:/a"}}"#)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"FINISHED"}"#)
        .expect("GET", "/v1/jobs/0000000000000000000000000000000a/execution-result")
        .reply(502, "<html>")
        .expect("GET", "/v1/jobs/0000000000000000000000000000000a/execution-result")
        .reply(404, "<html>");
    let (result, _) = run(&script, stop());
    let stopped = result.expect("it was carried out");
    assert_eq!((&*stopped.location, stopped.state), ("file:/a", Some(JobState::Finished)));
    script.finish();
}

/// Where the savepoint is outlives whatever happens to the job, and to the cluster's memory.
#[test]
fn a_written_savepoint_is_not_forgotten() {
    let script = Script::new()
        .expect("POST", STOP)
        .reply_json(202, TRIGGERED)
        .expect("GET", TRIGGER)
        .reply_json(200, r#"{"status":{"id":"COMPLETED"},"operation":{"location":"file:/a"}}"#)
        .expect("GET", STATUS)
        .fail(refused())
        .expect("GET", STATUS)
        .reply(404, "<html>");
    let (result, saved) = run(&script, stop());
    result.expect_err("the cluster is gone");
    script.finish();
    // Back again, it knows neither the trigger nor the job.
    let script = Script::new().expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
    let (result, _) = run(&script, StopWithSavepoint::resume(saved.last().expect("saved")).expect("its own state"));
    let stopped = result.expect("the savepoint is there");
    assert_eq!((&*stopped.location, stopped.state), ("file:/a", None));
    script.finish();
}

/// The second operation of an id fails because the first one has stopped the job.
#[test]
fn a_stop_that_fails_because_it_worked_is_ambiguous() {
    let failure = r#"{"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"class":"a.B","stack-trace":"a.FlinkJobNotFoundException: gone"}}}"#;
    let finish = |script: Script| {
        script
            .expect("POST", STOP)
            .reply_json(202, TRIGGERED)
            .expect("GET", TRIGGER)
            .reply_json(200, failure)
            .expect("GET", STATUS)
            .reply_json(200, r#"{"status":"FINISHED"}"#)
    };
    let script = finish(Script::new().expect("POST", STOP).reply_lost())
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"FINISHED"}"#)
        .expect("GET", CHECKPOINTS)
        .reply_json(200, NO_SAVEPOINTS);
    let (result, _) = run(&script, stop());
    assert!(result.expect_err("who knows").is_ambiguous());
    script.finish();
    // With an answer to each attempt there is no doubt.
    let script = finish(Script::new());
    let (result, _) = run(&script, stop());
    assert!(matches!(result, Err(FlowError::Failed(failure)) if failure.reason.contains("the job is FINISHED")));
    script.finish();
}

/// An id that the cluster no longer knows, right after it was acknowledged.
#[test]
fn a_trigger_forgotten_at_once_is_looked_for_and_not_repeated() {
    let script = Script::new()
        .expect("POST", "/v1/jobs/0000000000000000000000000000000a/savepoints")
        .reply_json(202, TRIGGERED)
        .expect("GET", TRIGGER)
        .reply_json(404, UNKNOWN_TRIGGER)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"RUNNING"}"#)
        .expect("GET", CHECKPOINTS)
        .reply_json(200, NO_SAVEPOINTS);
    let (result, _) = run(&script, TakeSavepoint::new(JOB).trigger_id(TriggerId::from_bits(0xb)));
    let error = result.expect_err("nobody can tell").to_string();
    assert!(error.contains("RUNNING; it has no savepoint"), "{error}");
    script.finish();
}

struct Upgrading {
    world: World,
    cluster: pipewright_mock::FlinkHandle,
    flink: Flink<World>,
    old: Launched,
}

/// A cluster on which the old job runs.
fn upgrading() -> Upgrading {
    let world = World::new(1);
    let cluster = world.flink(
        "http://flink.test".parse().expect("a base"),
        Config { job_expiration: Duration::from_secs(600), ..Config::default() },
    );
    let flink = Flink::new(cluster.base(), world.clone());
    let old = flink.run(RunJar::upload("old.jar", Program::endless("old").jar())).expect("submitted");
    let _ = flink.run(pipewright::flink::AwaitJob::running(old.job)).expect("it runs");
    Upgrading { world, cluster, flink, old }
}

impl Upgrading {
    fn goal(&self, new: &Program) -> UpgradeJob {
        UpgradeJob::new(self.old.job, RunJar::uploaded(self.old.jar.clone()), RunJar::upload("new.jar", new.jar()))
    }

    fn states(&self) -> Vec<(String, String)> {
        let now = self.world.now().as_unix();
        self.cluster.with(|cluster| {
            cluster.advance(now);
            let mut jobs: Vec<_> = cluster.jobs().into_iter().map(|job| (job.name, job.state)).collect();
            jobs.sort();
            jobs
        })
    }
}

fn states(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

/// The new job ends well while it is being given up: the old jar would do its work again.
#[test]
fn a_slow_job_that_finishes_is_not_rolled_back() {
    let scene = upgrading();
    // It needs 30 s, and never completes a checkpoint within the 20 s that it is given.
    let new = Program::bounded("new", 3000).rate(100).checkpoints_never_complete();
    let before = scene.world.clone();
    before.set_faults(FaultPlan::none().nth_of("cancelJob", 1, Fault::Unavailable(RetryAfter::Seconds(30))));
    let upgrade = scene.flink.run(scene.goal(&new).settle_within(Duration::from_secs(20))).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { checkpoint: None, .. }), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "FINISHED"), ("old", "FINISHED")]));
}

/// Resumed so late that the new job has ended and been forgotten, whether the crash came while settling or right before.
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
        let goal = scene.goal(&Program::bounded("new", 500)).within(Duration::from_secs(2));
        let _ = scene.flink.run_with(goal, |notice| {
            if let Notice::Save(state) = notice
                && moment(&serde_json::from_str(&state.state).expect("JSON"))
            {
                saved = Some(state);
            }
        });
        let saved = saved.expect("it came that far");
        scene.world.sleep_until(scene.world.now() + Duration::from_secs(3600));
        let result = scene.flink.run(UpgradeJob::resume(&saved).expect("its own state"));
        assert!(result.expect_err("nobody can tell").is_ambiguous());
        assert_eq!(scene.states(), states(&[]), "nothing was started");
    }
}

/// A proxy's refusal is no verdict on a jar.
#[test]
fn an_upgrade_is_not_judged_by_a_proxy() {
    let scene = upgrading();
    let page = Fault::ProxyPage { status: http::StatusCode::FORBIDDEN, applied: false };
    scene.world.set_faults(FaultPlan::none().nth_of("submitJobFromJar", 1, page));
    let mut saved = None;
    let result = scene.flink.run_with(scene.goal(&Program::endless("new")), |notice| {
        if let Notice::Save(state) = notice {
            saved = Some(state);
        }
    });
    assert!(matches!(result, Err(FlowError::Service(_))), "{result:?}");
    let upgrade = scene.flink.run(UpgradeJob::resume(&saved.expect("saved")).expect("its own state")).expect("decided");
    assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
    assert_eq!(scene.states(), states(&[("new", "RUNNING"), ("old", "FINISHED")]));
}

/// The way on after somebody has stopped the job by hand.
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
fn an_upgrade_without_its_savepoint_is_refused() {
    let state = r#"{"phase":"PHASE","job":"0000000000000000000000000000000a","old":{"jar":"a.jar"},"new":{"jar":"b.jar"},
        "new_job":"0000000000000000000000000000000c","old_job":"0000000000000000000000000000000d","settle_within":1000,"savepoint":null}"#;
    for (phase, accepted) in [("stop", true), ("run", false), ("run-old", false), ("settle", false), ("lunch", false)] {
        let state = state.replace("PHASE", phase);
        let saved: Saved =
            serde_json::from_value(serde_json::json!({"flow": "UpgradeJob", "state": state})).expect("a state");
        assert_eq!(UpgradeJob::resume(&saved).is_ok(), accepted, "{phase}");
    }
}

/// A state that cannot be saved keeps the request that matters from being sent.
#[test]
fn a_listener_can_stop_a_flow_before_the_request_that_matters() {
    let script = Script::new();
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    let result = flink.run_with(stop(), |notice| match notice {
        Notice::Save(_) => Err("the disk is full"),
        _ => Ok(()),
    });
    assert!(matches!(&result, Err(FlowError::Stopped(reason)) if reason == "the disk is full"), "{result:?}");
    script.finish();
}

//! Failures of flows, each with the exact answers that cause it.

use bytes::Bytes;
use pipewright::error::FlowError;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{Flink, FlinkRest, JobDiagnosis, JobId, RunJar, StopWithSavepoint, TakeSavepoint, TriggerId};
use pipewright::flow::{Flow as _, Goal, Notice, SavedState, Step};
use pipewright::{Seed, Timestamp};
use pipewright_mock::{Fault, FaultPlan, Script, Service, World};

const JOB: JobId = JobId::from_bits(0xa);
const STATUS: &str = "/v1/jobs/0000000000000000000000000000000a/status";
const STOP: &str = "/v1/jobs/0000000000000000000000000000000a/stop";
const CHECKPOINTS: &str = "/v1/jobs/0000000000000000000000000000000a/checkpoints";
const TRIGGER: &str = "/v1/jobs/0000000000000000000000000000000a/savepoints/0000000000000000000000000000000b";
const TRIGGERED: &str = r#"{"request-id":"0000000000000000000000000000000b"}"#;
const RUN: &str = "/v1/jars/a.jar/run";
const CONFIG: &str = "/v1/jobmanager/config";
const PROCESS: &str = r#"[{"key":"web.tmpdir","value":"/tmp/flink-web-1"}]"#;
const UNKNOWN_JOB: &str = r#"{"errors":["Internal server error.","<Exception on server side:\norg.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (0000000000000000000000000000000a)\n\nEnd of exception on server side>"]}"#;
const UNKNOWN_TRIGGER: &str = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: There is no savepoint operation with triggerId=0000000000000000000000000000000b for job 0000000000000000000000000000000a."]}"#;
const DUPLICATE: &str = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.DuplicateApplicationSubmissionException: Application has already been submitted"]}"#;
const NO_SAVEPOINTS: &str = r#"{"counts":{"restored":0,"total":0,"in_progress":0,"completed":0,"failed":0},
    "summary":{"state_size":{"min":0,"max":0,"avg":0},"end_to_end_duration":{"min":0,"max":0,"avg":0}},"latest":{},"history":[]}"#;
const SAVEPOINTS: &str = "/v1/jobs/0000000000000000000000000000000a/savepoints";
const WRITTEN: &str = r#"{"status":{"id":"COMPLETED"},"operation":{"location":"file:/a"}}"#;
/// Of an operation whose job is not known, or not any more.
const GONE: &str = r#"{"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"class":"a.B","stack-trace":"a.FlinkJobNotFoundException: gone"}}}"#;

fn run<G: Goal<Service = FlinkRest>>(script: &Script, goal: G) -> (Result<G::Output, FlowError>, Vec<SavedState>) {
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    let mut saved = Vec::new();
    let result = flink.run_with(goal, |notice| {
        if let Notice::Persist(state) = notice {
            saved.push(state);
        }
    });
    (result, saved)
}

/// A cluster of which only these paths can be reached: a proxy refuses all others.
struct Behind(&'static [(&'static str, u16, &'static str)]);

impl Service for Behind {
    fn handle(&mut self, _now: Timestamp, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let known = self.0.iter().find(|(path, _, _)| *path == request.uri().path());
        let (status, kind, body) = match known {
            Some((_, status, body)) => (*status, "application/json", *body),
            None => (403, "text/html", "<html>not from there</html>"),
        };
        let response = http::Response::builder().status(status).header("content-type", kind);
        response.body(body.into()).expect("a response")
    }
}

/// The same as [`run`], with whatever goes wrong besides.
fn run_behind<G: Goal<Service = FlinkRest>>(
    answers: &'static [(&'static str, u16, &'static str)],
    faults: FaultPlan,
    goal: G,
) -> (Result<G::Output, FlowError>, Vec<SavedState>) {
    let world = World::new(1);
    let service = world.mount("http://flink.test".parse().expect("a base"), Behind(answers));
    world.set_faults(faults);
    let mut saved = Vec::new();
    let result = Flink::new(service.base(), world).run_with(goal, |notice| {
        if let Notice::Persist(state) = notice {
            saved.push(state);
        }
    });
    (result, saved)
}

fn stop() -> StopWithSavepoint {
    StopWithSavepoint::new(JOB).trigger_id(TriggerId::from_bits(0xb))
}

/// Each run is preceded by a request to the JobManager that is to execute the main method.
fn identified(script: Script) -> Script {
    script.expect("GET", CONFIG).reply_json(200, PROCESS)
}

/// The states that a run saves that is rejected, and whose job the cluster does not know.
fn rejected_run() -> Vec<SavedState> {
    let script = identified(Script::new())
        .expect("POST", RUN)
        .reply_json(404, r#"{"errors":["Not found"]}"#)
        .expect("GET", STATUS)
        .reply_json(500, UNKNOWN_JOB);
    run(&script, start()).1
}

fn start() -> RunJar {
    RunJar::uploaded("a.jar").job_id(JOB)
}

/// What a program is configured with may be a secret, and notices end up in logs.
#[test]
fn a_notice_to_save_does_not_show_what_it_holds() {
    let script = identified(Script::new())
        .expect("POST", RUN)
        .reply_json(200, r#"{"jobid":"0000000000000000000000000000000a"}"#);
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    let configuration = [("s3.secret-key".to_owned(), "hunter2".to_owned())].into();
    let (mut shown, mut saved) = (String::new(), Vec::new());
    flink
        .run_with(start().flink_configuration(configuration).program_args(["--password", "hunter3"]), |notice| {
            shown.extend([notice.to_string(), format!(" {notice:?}\n")]);
            saved.extend(if let Notice::Persist(state) = notice { Some(state) } else { None });
        })
        .expect("submitted");
    assert!(shown.contains("RunJar") && !shown.contains("hunter"), "{shown}");
    // It is all there, for a process that resumes.
    assert!(saved.iter().all(|saved| saved.state.contains("hunter2") && saved.state.contains("hunter3")));
    script.finish();
}

/// A proxy that answers 524 has passed the request on, and its timeout has elapsed.
#[test]
fn a_run_that_a_proxy_gave_up_on_is_looked_for() {
    let script = identified(Script::new())
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
            Step::Authorize(_) | Step::Stray(_) => panic!("no credentials, no other flow"),
            Step::Done(result) => break result.expect("it is there"),
        }
    };
    assert_eq!(launched.jar.as_str(), format!("1_{name}"));
}

/// The job never shows up, and the same id is submitted again; a duplicate is then our own.
#[test]
fn a_run_without_an_answer_is_sent_again_under_the_same_id() {
    let mut script = identified(Script::new()).expect("POST", RUN).reply_lost();
    for _ in 0..11 {
        script = script.expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
    }
    let script = identified(script)
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
    let script = identified(Script::new())
        .expect("POST", RUN)
        .reply_json(400, DUPLICATE)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"FAILED"}"#);
    let (result, _) = run(&script, start());
    let error = result.expect_err("another client's job").to_string();
    assert!(error.contains("used before") && error.contains("FAILED"), "{error}");
    script.finish();
}

/// It may be the second `execute` of the program, whose first job runs on.
#[test]
fn a_duplicate_that_cannot_be_looked_into_is_ambiguous() {
    let (result, _) = run_behind(&[(RUN, 400, DUPLICATE)], FaultPlan::none(), start());
    assert!(result.expect_err("the job cannot be looked up").is_ambiguous());
}

/// What the cluster has acknowledged is not submitted again, however late.
#[test]
fn an_acknowledged_run_is_not_repeated() {
    let script = identified(Script::new())
        .expect("POST", RUN)
        .reply_json(200, r#"{"jobid":"0000000000000000000000000000000a"}"#);
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
    let saved = rejected_run();
    let mut state: serde_json::Value = serde_json::from_str(&saved[0].state).expect("JSON");
    state["since"] = 0.into();
    let saved: SavedState =
        serde_json::from_value(serde_json::json!({"flow": "RunJar", "state": state.to_string()})).expect("a state");
    let script = Script::new().expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
    let (result, _) = run(&script, RunJar::resume(&saved).expect("its own state"));
    assert!(result.expect_err("unknown outcome").is_ambiguous());
    script.finish();
}

/// A resumed flow that cannot look does not claim to know.
#[test]
fn a_resumed_flow_that_cannot_look_is_ambiguous() {
    let saved = rejected_run();
    let (result, _) = run_behind(&[], FaultPlan::none(), RunJar::resume(&saved[0]).expect("its own state"));
    assert!(result.expect_err("the job cannot be looked up").is_ambiguous());

    let script = Script::new().expect("POST", STOP).reply_json(400, r#"{"errors":["no"]}"#);
    let (result, saved) = run(&script, stop());
    assert!(!result.expect_err("refused").is_ambiguous());
    let (result, _) = run_behind(&[], FaultPlan::none(), StopWithSavepoint::resume(&saved[0]).expect("its own state"));
    assert!(result.expect_err("the trigger cannot be looked up").is_ambiguous());
}

/// A refusal after an attempt without an answer says nothing about that attempt.
#[test]
fn a_stop_rejected_after_a_lost_answer_is_looked_for() {
    let script = Script::new()
        .expect("POST", STOP)
        .reply_lost()
        .expect("POST", STOP)
        .reply(405, "<html>not from there</html>")
        .expect("GET", TRIGGER)
        .reply_json(200, WRITTEN)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"FINISHED"}"#)
        .expect("GET", "/v1/jobs/0000000000000000000000000000000a/execution-result")
        .reply(502, "<html>")
        .expect("GET", "/v1/jobs/0000000000000000000000000000000a/execution-result")
        .reply(405, "<html>");
    let (result, _) = run(&script, stop());
    let stopped = result.expect("it was carried out");
    assert_eq!((&*stopped.location, stopped.state), ("file:/a", Some(JobState::Finished)));
    script.finish();
}

/// The job takes its time to end, but the savepoint is there.
#[test]
fn time_that_is_up_while_a_job_ends_names_the_savepoint() {
    let mut script =
        Script::new().expect("POST", STOP).reply_json(202, TRIGGERED).expect("GET", TRIGGER).reply_json(200, WRITTEN);
    for _ in 0..5 {
        script = script.expect("GET", STATUS).reply_json(200, r#"{"status":"FAILING"}"#);
    }
    let (result, _) = run(&script, stop().timeout(std::time::Duration::from_secs(1)));
    let error = result.expect_err("it takes longer");
    let text = error.to_string();
    assert!(
        text.contains(&format!("last observed: job {JOB}: FAILING; known: ")) && text.contains("file:/a"),
        "{text}"
    );
    script.finish();
}

/// The id of the trigger is what one needs to ask on by hand.
#[test]
fn time_that_is_up_while_a_savepoint_is_written_names_the_trigger() {
    let mut script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
    for _ in 0..5 {
        script = script.expect("GET", TRIGGER).reply_json(200, r#"{"status":{"id":"IN_PROGRESS"}}"#);
    }
    let (result, _) = run(&script, stop().timeout(std::time::Duration::from_secs(1)));
    let error = result.expect_err("it takes longer");
    let id = TriggerId::from_bits(0xb);
    assert!(error.to_string().contains(&format!("of job {JOB}: trigger {id} is in progress")), "{error}");
    script.finish();
}

/// Where the savepoint is outlives whatever happens to the job, and to the cluster's memory.
#[test]
fn a_written_savepoint_is_not_forgotten() {
    let answers = &[(STOP, 202, TRIGGERED), (TRIGGER, 200, WRITTEN)];
    let faults = FaultPlan::none().nth_of("getJobStatusInfo", 1, Fault::NotSent);
    let (result, saved) = run_behind(answers, faults, stop());
    let error = result.expect_err("the job cannot be looked up");
    assert!(error.is_ambiguous(), "{error:?}");
    assert_eq!(JobDiagnosis::of(&error).and_then(|known| known.savepoint.as_deref()), Some("file:/a"));
    // Back again, it knows neither the trigger nor the job.
    let script = Script::new().expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
    let (result, _) = run(&script, StopWithSavepoint::resume(saved.last().expect("saved")).expect("its own state"));
    let stopped = result.expect("the savepoint is there");
    assert_eq!((&*stopped.location, stopped.state), ("file:/a", None));
    script.finish();
}

/// The second operation of an id fails because the first operation has stopped the job.
#[test]
fn a_stop_that_fails_because_it_worked_is_ambiguous() {
    let look_up = |script: Script| {
        let script = script.expect("GET", STATUS).reply_json(200, r#"{"status":"FINISHED"}"#);
        script.expect("GET", CHECKPOINTS).reply_json(200, NO_SAVEPOINTS)
    };
    let finish = |script: Script| {
        let script = script.expect("POST", STOP).reply_json(202, TRIGGERED);
        look_up(script.expect("GET", TRIGGER).reply_json(200, GONE))
    };
    // A list without the savepoint may be an old list.
    let script = look_up(finish(Script::new().expect("POST", STOP).reply_lost()));
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
        .expect("POST", SAVEPOINTS)
        .reply_json(202, TRIGGERED)
        .expect("GET", TRIGGER)
        .reply_json(404, UNKNOWN_TRIGGER)
        .expect("GET", STATUS)
        .reply_json(200, r#"{"status":"RUNNING"}"#)
        .expect("GET", CHECKPOINTS)
        .reply_json(200, NO_SAVEPOINTS);
    let (result, _) = run(&script, TakeSavepoint::new(JOB).trigger_id(TriggerId::from_bits(0xb)));
    let error = result.expect_err("unknown outcome").to_string();
    assert!(error.contains("RUNNING; the JobManager lists no savepoint of it"), "{error}");
    script.finish();
}

/// A state that cannot be saved keeps the request that matters from being sent.
#[test]
fn a_listener_can_stop_a_flow_before_the_request_that_matters() {
    let script = Script::new();
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    let result = flink.run_with(stop(), |notice| match notice {
        Notice::Persist(_) => Err("the disk is full"),
        _ => Ok(()),
    });
    assert!(matches!(&result, Err(FlowError::Stopped(reason)) if reason == "the disk is full"), "{result:?}");
    script.finish();
}

/// A failover after the savepoint was written brings the job back, and no client stops it any more.
#[test]
fn a_stopped_job_that_is_back_is_not_waited_for() {
    let written = || {
        let script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
        script.expect("GET", TRIGGER).reply_json(200, WRITTEN)
    };
    let see = |script: Script, state: &str| {
        script.expect("GET", STATUS).reply_json(200, format!(r#"{{"status":"{state}"}}"#))
    };
    let mut script = see(written(), "CREATED");
    for _ in 0..7 {
        script = see(script, "RUNNING");
    }
    let (result, saved) = run(&script, stop());
    let FlowError::Failed(failure) = result.expect_err("it runs") else { panic!("not for certain") };
    assert!(failure.reason.contains("file:/a is written") && failure.reason.contains("RUNNING"), "{failure:?}");
    assert!(saved.last().expect("saved").state.contains("file:/a"));
    script.finish();
    // The state may lag a little behind.
    let script = see(see(see(written(), "RUNNING"), "RUNNING"), "FINISHED")
        .expect("GET", "/v1/jobs/0000000000000000000000000000000a/execution-result")
        .reply(405, "<html>");
    assert_eq!(run(&script, stop()).0.expect("stopped").state, Some(JobState::Finished));
    script.finish();
}

/// The first main method has made what the second one stumbles over, and its job is all right.
#[test]
fn a_main_method_that_fails_does_not_speak_for_an_earlier_one() {
    let failed = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: topic exists"]}"#;
    let finish = |script: Script| {
        let script = identified(script).expect("POST", RUN).reply_json(400, failed);
        script.expect("GET", STATUS).reply_json(200, r#"{"status":"RUNNING"}"#)
    };
    let mut script = identified(Script::new()).expect("POST", RUN).reply_lost();
    for _ in 0..11 {
        script = script.expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
    }
    let script = finish(script);
    let error = run(&script, start()).0.expect_err("whose job is it?");
    let FlowError::Ambiguous(ambiguity) = &error else { panic!("{error:?}") };
    assert!(ambiguity.found.as_ref().is_some_and(|found| found.contains("RUNNING")), "{ambiguity:?}");
    script.finish();
    // With an answer to each attempt there is no doubt.
    let script = finish(Script::new());
    assert!(matches!(run(&script, start()).0, Err(FlowError::Failed(_))));
    script.finish();
}

/// A stop whose first attempt is lost, and that reaches an operation whose job is not known.
fn lost_stop() -> Script {
    Script::new().expect("POST", STOP).reply_lost()
}

fn gone(script: Script) -> Script {
    script.expect("GET", TRIGGER).reply_json(200, GONE)
}

fn unknown_job(script: Script) -> Script {
    script.expect("GET", STATUS).reply_json(500, UNKNOWN_JOB)
}

/// Its trigger ended without an answer that tells, and was found to be known: to the second attempt, perhaps.
#[test]
fn a_trigger_that_is_found_after_a_lost_answer_leaves_a_doubt() {
    let script = unknown_job(gone(lost_stop().expect("POST", STOP).reply(403, "<html>not from there</html>")));
    assert!(run(&script, stop()).0.expect_err("who knows").is_ambiguous());
    script.finish();
}

/// The process crashed after the second attempt was answered.
#[test]
fn a_doubt_about_a_trigger_is_saved() {
    let faults = FaultPlan::none().nth_of("triggerStopWithSavepoint", 1, Fault::ReplyLost);
    let (result, saved) = run_behind(&[(STOP, 202, TRIGGERED)], faults, stop());
    result.expect_err("the trigger cannot be looked up");
    let script = unknown_job(gone(Script::new()));
    let goal = StopWithSavepoint::resume(saved.last().expect("saved")).expect("its own state");
    assert!(run(&script, goal).0.expect_err("who knows").is_ambiguous());
    script.finish();
}

#[test]
fn a_doubt_about_a_trigger_is_not_removed_by_a_job_that_cannot_be_read() {
    let faults = FaultPlan::none().nth_of("triggerStopWithSavepoint", 1, Fault::ReplyLost);
    let error = run_behind(&[(STOP, 202, TRIGGERED), (TRIGGER, 200, GONE)], faults, stop()).0.expect_err("who knows");
    let FlowError::Ambiguous(ambiguity) = &error else { panic!("{error:?}") };
    assert!(ambiguity.found.as_ref().is_some_and(|found| found.contains("looking up job")), "{ambiguity:?}");
}

/// The first savepoint may have been written before the cluster lost the job.
#[test]
fn a_savepoint_of_a_job_that_is_gone_may_have_been_taken() {
    for lost in [true, false] {
        let mut script = Script::new();
        if lost {
            script = script.expect("POST", SAVEPOINTS).reply_lost();
        }
        script = script.expect("POST", SAVEPOINTS).reply_json(202, TRIGGERED);
        script = script.expect("GET", TRIGGER).reply_json(200, GONE);
        if lost {
            script = script.expect("GET", STATUS).reply_json(500, UNKNOWN_JOB);
        }
        let (result, _) = run(&script, TakeSavepoint::new(JOB).trigger_id(TriggerId::from_bits(0xb)));
        let error = result.expect_err("the job is gone");
        assert_eq!(error.is_ambiguous(), lost, "{error:?}");
        assert!(lost || matches!(error, FlowError::Failed(_)), "{error:?}");
        script.finish();
    }
}

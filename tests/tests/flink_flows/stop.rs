//! What is known about a job if a stop, a savepoint or a run ends with an error: as values, not only in the message.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{
    AwaitJob, Flink, FlinkRest, JobDiagnosis, JobId, JobLookup, Launched, RunJar, StopWithSavepoint, TakeSavepoint,
    TriggerId,
};
use pipewright::flow::{self, Goal, Notice, Retry, SavedState};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{Fault, FaultPlan, FlinkHandle, Script, World};

const JOB: JobId = JobId::from_bits(0xa);
const STATUS: &str = "/v1/jobs/0000000000000000000000000000000a/status";
const RESULT: &str = "/v1/jobs/0000000000000000000000000000000a/execution-result";
const STOP: &str = "/v1/jobs/0000000000000000000000000000000a/stop";
const CHECKPOINTS: &str = "/v1/jobs/0000000000000000000000000000000a/checkpoints";
const TRIGGER: &str = "/v1/jobs/0000000000000000000000000000000a/savepoints/0000000000000000000000000000000b";
const TRIGGERED: &str = r#"{"request-id":"0000000000000000000000000000000b"}"#;
const UNKNOWN_TRIGGER: &str = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: There is no savepoint operation with triggerId=0000000000000000000000000000000b for job 0000000000000000000000000000000a."]}"#;
const UNKNOWN_JOB: &str =
    r#"{"errors":["org.apache.flink.runtime.rest.NotFoundException: Job 0000000000000000000000000000000a not found"]}"#;
const UNREACHABLE: &str = r#"{"errors":["org.apache.flink.runtime.rpc.exceptions.RecipientUnreachableException: Could not send message because the recipient is unreachable."]}"#;
const WRITTEN: &str = r#"{"status":{"id":"COMPLETED"},"operation":{"location":"file:/a"}}"#;

/// The list of checkpoints, with these newest entries.
fn checkpoints(latest: &str) -> String {
    format!(
        r#"{{"counts":{{"restored":0,"total":0,"in_progress":0,"completed":0,"failed":0}},
        "summary":{{"state_size":{{"min":0,"max":0,"avg":0}},"end_to_end_duration":{{"min":0,"max":0,"avg":0}}}},
        "latest":{{{latest}}},"history":[]}}"#
    )
}

fn snapshot(kind: &str, id: u32, path: &str) -> String {
    format!(
        r#"{{"className":"completed","id":{id},"status":"COMPLETED","is_savepoint":{},"trigger_timestamp":1800000000000,
        "latest_ack_timestamp":1800000000100,"state_size":1,"end_to_end_duration":1,"num_subtasks":1,
        "num_acknowledged_subtasks":1,"checkpoint_type":"{kind}","tasks":{{}},"external_path":"{path}","discarded":false}}"#,
        kind != "CHECKPOINT"
    )
}

fn is(state: &str) -> String {
    format!(r#"{{"status":"{state}"}}"#)
}

fn stop() -> StopWithSavepoint {
    StopWithSavepoint::new(JOB).trigger_id(TriggerId::from_bits(0xb))
}

fn run<G: Goal<Service = FlinkRest>>(script: &Script, goal: G) -> (Result<G::Output, FlowError>, Vec<SavedState>) {
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    keep(&flink, goal)
}

/// Runs a goal and keeps what it saves.
fn keep<T, G>(flink: &Flink<T>, goal: G) -> (Result<G::Output, FlowError>, Vec<SavedState>)
where
    T: pipewright::driver::Runtime,
    G: Goal<Service = FlinkRest>,
{
    let mut saved = Vec::new();
    let result = flink.run_with(goal, |notice| {
        if let Notice::Persist(state) = notice {
            saved.push(state);
        }
    });
    (result, saved)
}

fn diagnosis<T: std::fmt::Debug>(result: Result<T, FlowError>) -> (FlowError, JobDiagnosis) {
    let error = result.expect_err("an error");
    let diagnosis = JobDiagnosis::of(&error).unwrap_or_else(|| panic!("no diagnosis: {error:?}")).clone();
    (error, diagnosis)
}

struct Scene {
    world: World,
    cluster: FlinkHandle,
    flink: Flink<World>,
    job: Launched,
}

fn scene(config: Config, program: &Program) -> Scene {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), config);
    let flink = Flink::new(cluster.base(), world.clone());
    let job = flink.run(RunJar::upload("a.jar", program.jar())).expect("submitted");
    let _ = flink.run(AwaitJob::running(job.job)).expect("it runs");
    Scene { world, cluster, flink, job }
}

/// The savepoint is consistent, and its path is nowhere but in the cluster's message.
#[test]
fn the_savepoint_of_a_stop_whose_job_failed_is_a_value() {
    let scene = scene(Config::default(), &Program::endless("job").fails_while_stopping());
    let (result, saved) = keep(&scene.flink, StopWithSavepoint::new(scene.job.job));
    let written = scene.cluster.with(|cluster| cluster.savepoints()).pop().expect("it was written").path;
    let check = |result| {
        let (error, diagnosis) = diagnosis::<pipewright::flink::Stopped>(result);
        assert!(matches!(&error, FlowError::Failed(_)), "{error:?}");
        assert!(error.to_string().contains("failed during stopping"), "{error}");
        assert_eq!(diagnosis.savepoint.as_ref(), Some(&written));
        assert_eq!((diagnosis.job, diagnosis.lookup), (scene.job.job, JobLookup::State(JobState::Failed)));
        assert!(diagnosis.trigger.is_some());
    };
    check(result);
    // What was saved last has it too, and a resumption looks at the job before it says the same.
    let saved = saved.last().expect("saved");
    assert!(saved.state.contains(&written), "{saved:?}");
    check(scene.flink.run(StopWithSavepoint::resume(saved).expect("its own state")));
}

/// As recorded from older releases.
#[test]
fn the_savepoint_is_read_from_both_wordings_of_the_failure() {
    for message in [
        "A savepoint has been created at: s3://b/a, b/savepoint-1, but the corresponding job 0a failed during stopping. The savepoint is consistent, but might have uncommitted transactions.",
        "A savepoint has been created at: s3://b/a, b/savepoint-1, but the corresponding job 0a didn't terminate successfully.",
    ] {
        let class = "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException";
        let trace = format!(
            "java.util.concurrent.CompletionException: {class}: {message}\\n\\tat x\\nCaused by: {class}: {message}\\n\\tat y"
        );
        let failed = format!(
            r#"{{"status":{{"id":"COMPLETED"}},"operation":{{"failure-cause":{{"class":"java.util.concurrent.CompletionException","stack-trace":"{trace}"}}}}}}"#
        );
        let script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
        let script = script.expect("GET", TRIGGER).reply_json(200, failed);
        let script = script
            .expect("GET", STATUS)
            .reply_json(200, is("FAILED"))
            .expect("GET", RESULT)
            .reply_json(404, UNKNOWN_JOB);
        let (_, diagnosis) = diagnosis(run(&script, stop()).0);
        assert_eq!(diagnosis.savepoint.as_deref(), Some("s3://b/a, b/savepoint-1"));
        script.finish();
    }
}

/// A failover after the savepoint was written brings the job back.
#[test]
fn the_savepoint_of_a_job_that_a_failover_brought_back_is_a_value() {
    let mut script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
    script = script.expect("GET", TRIGGER).reply_json(200, WRITTEN);
    for _ in 0..8 {
        script = script.expect("GET", STATUS).reply_json(200, is("RUNNING"));
    }
    let (error, diagnosis) = diagnosis(run(&script, stop()).0);
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    assert_eq!(diagnosis.savepoint.as_deref(), Some("file:/a"));
    assert_eq!(diagnosis.lookup, JobLookup::State(JobState::Running));
    script.finish();
}

/// The trigger is forgotten five minutes after the stop; the job tells its outcome.
#[test]
fn a_forgotten_stop_of_a_finished_job_is_done() {
    let scene = scene(Config::default(), &Program::endless("job"));
    let mut saved = None;
    let result = scene.flink.run_with(StopWithSavepoint::new(scene.job.job), |notice| {
        let is_acknowledged =
            matches!(&notice, Notice::Phase { phase, .. } if phase.contains("waiting for the outcome"));
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
        if is_acknowledged { Err("crashed") } else { Ok(()) }
    });
    assert!(matches!(result, Err(FlowError::Stopped(_))), "{result:?}");
    scene.world.sleep_until(scene.world.now() + Duration::from_secs(600));
    let goal = StopWithSavepoint::resume(&saved.expect("saved")).expect("its own state");
    let stopped = scene.flink.run(goal).expect("the job tells");
    let written = scene.cluster.with(|cluster| cluster.savepoints()).pop().expect("it was written").path;
    assert_eq!((stopped.location, stopped.state), (written, Some(JobState::Finished)));
}

/// What a finished job lists as its last savepoint is the savepoint that it was stopped with only under conditions.
#[test]
fn a_finished_job_was_stopped_only_if_a_stops_savepoint_is_the_last_thing_it_did() {
    let stopped = snapshot("SYNC_SAVEPOINT", 7, "file:/s");
    let restored =
        r#""restored":{"id":7,"restore_timestamp":1800000000200,"is_savepoint":true,"external_path":"file:/s"}"#;
    for (latest, is_done) in [
        (format!(r#""savepoint":{stopped}"#), true),
        (format!(r#""savepoint":{stopped},"completed":{}"#, snapshot("CHECKPOINT", 6, "file:/c")), true),
        (format!(r#""savepoint":{stopped},"completed":{}"#, snapshot("CHECKPOINT", 8, "file:/c")), false),
        (format!(r#""savepoint":{stopped},{restored}"#), false),
        (format!(r#""savepoint":{}"#, snapshot("SAVEPOINT", 7, "file:/s")), false),
    ] {
        let script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
        let mut script = script.expect("GET", TRIGGER).reply_json(404, UNKNOWN_TRIGGER);
        // If it is not there, the list may be as old as the cluster's cache: it is read again.
        for _ in 0..if is_done { 1 } else { 2 } {
            script = script.expect("GET", STATUS).reply_json(200, is("FINISHED"));
            script = script.expect("GET", CHECKPOINTS).reply_json(200, checkpoints(&latest));
        }
        if is_done {
            script = script.expect("GET", STATUS).reply_json(200, is("FINISHED"));
            script = script.expect("GET", RESULT).reply_json(404, UNKNOWN_JOB);
        }
        match run(&script, stop()).0 {
            Ok(stopped) => assert!(is_done && stopped.location == "file:/s", "{latest}: {stopped:?}"),
            Err(error) => {
                assert!(!is_done && error.is_ambiguous(), "{latest}: {error:?}");
                let diagnosis = JobDiagnosis::of(&error).expect("a diagnosis");
                assert_eq!(diagnosis.trigger, Some(TriggerId::from_bits(0xb)));
                assert_eq!(diagnosis.last_savepoint.as_ref().map(|last| &*last.path), Some("file:/s"));
            }
        }
        script.finish();
    }
}

/// The JobManager changed while the savepoint was being written, and the next JobManager runs the job.
#[test]
fn a_stop_that_a_failover_has_lost_is_failed_and_not_unknown() {
    let slow = Config { savepoint_duration: Duration::from_secs(30), ..Config::default() };
    let scene = scene(slow, &Program::endless("job"));
    let mut is_over = false;
    let result = scene.flink.run_with(StopWithSavepoint::new(scene.job.job), |notice| {
        let is_waiting = matches!(&notice, Notice::Phase { phase, .. } if phase.contains("waiting for the outcome"));
        if is_waiting && !std::mem::replace(&mut is_over, true) {
            scene.cluster.restart(Duration::from_secs(1));
        }
    });
    let (error, diagnosis) = diagnosis(result);
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    assert!(matches!(&diagnosis.lookup, JobLookup::State(state) if !state.is_terminal()), "{diagnosis:?}");
    assert_eq!(diagnosis.savepoint, None);
}

/// A proxy in the way is no reason to give a question up: it is asked again for 90 s.
#[test]
fn a_lookup_that_a_proxy_rejects_is_repeated() {
    for (rejections, is_found) in [(3, true), (10_000, false)] {
        let scene = scene(Config::default(), &Program::endless("job"));
        let page = Fault::ProxyPage { status: http::StatusCode::FORBIDDEN, applied: false };
        let mut plan = FaultPlan::none();
        for nth in 1..=rejections {
            plan = plan.nth_of("getJobStatusInfo", nth, page);
        }
        let mut is_over = false;
        let id = TriggerId::from_bits(0xb);
        let before = scene.world.now();
        let result = scene.flink.run_with(TakeSavepoint::new(scene.job.job).trigger_id(id), |notice| {
            let is_waiting =
                matches!(&notice, Notice::Phase { phase, .. } if phase.contains("waiting for the outcome"));
            if is_waiting && !std::mem::replace(&mut is_over, true) {
                scene.world.sleep_until(scene.world.now() + Duration::from_secs(600));
                scene.world.set_faults(plan.clone());
            }
        });
        let (error, diagnosis) = diagnosis(result);
        assert!(error.is_ambiguous(), "{error:?}");
        assert_eq!(diagnosis.trigger, Some(id));
        match &diagnosis.lookup {
            JobLookup::State(state) => assert!(is_found && *state == JobState::Running, "{diagnosis:?}"),
            JobLookup::LookupFailed(why) => assert!(!is_found && why.contains("403"), "{diagnosis:?}"),
            lookup => panic!("{lookup:?}"),
        }
        let took = scene.world.now().since(before);
        assert!(is_found || took >= Duration::from_secs(690), "{took:?}");
    }
}

/// Time is up between the savepoint and the end of the job.
#[test]
fn the_savepoint_of_a_stop_that_ran_out_of_time_is_a_value() {
    let mut script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
    script = script.expect("GET", TRIGGER).reply_json(200, WRITTEN);
    for _ in 0..5 {
        script = script.expect("GET", STATUS).reply_json(200, is("FAILING"));
    }
    let (error, diagnosis) = diagnosis(run(&script, stop().timeout(Duration::from_secs(1))).0);
    assert!(matches!(error, FlowError::Deadline { .. }), "{error:?}");
    assert_eq!(diagnosis.savepoint.as_deref(), Some("file:/a"));
    assert!(error.to_string().contains("file:/a"), "{error}");
}

/// A job that has failed without a savepoint can be started from its last checkpoint, if the cluster keeps that.
#[test]
fn the_last_checkpoint_of_a_job_that_failed_while_it_was_stopped_is_a_value() {
    let failed =
        r#"{"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"class":"a.B","stack-trace":"a.B: no disk"}}}"#;
    let script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
    let script = script.expect("GET", TRIGGER).reply_json(200, failed);
    let script = script.expect("GET", STATUS).reply_json(200, is("FAILED"));
    let latest = format!(r#""completed":{}"#, snapshot("CHECKPOINT", 6, "file:/c"));
    let script = script.expect("GET", CHECKPOINTS).reply_json(200, checkpoints(&latest));
    let (_, diagnosis) = diagnosis(run(&script, stop()).0);
    assert_eq!(diagnosis.last_checkpoint.map(|last| last.path).as_deref(), Some("file:/c"));
    assert_eq!(diagnosis.savepoint, None);
    script.finish();
}

/// Savepoints, too: finding out the outcome needs the job and the trigger.
#[test]
fn the_trigger_of_a_savepoint_whose_outcome_is_unknown_is_a_value() {
    let scene = scene(Config::default(), &Program::endless("job"));
    let id = TriggerId::from_bits(0xb);
    let mut is_over = false;
    let result = scene.flink.run_with(TakeSavepoint::new(scene.job.job).trigger_id(id), |notice| {
        let is_waiting = matches!(&notice, Notice::Phase { phase, .. } if phase.contains("waiting for the outcome"));
        if is_waiting && !std::mem::replace(&mut is_over, true) {
            scene.world.sleep_until(scene.world.now() + Duration::from_secs(600));
        }
    });
    let (error, diagnosis) = diagnosis(result);
    assert!(error.is_ambiguous(), "{error:?}");
    assert_eq!((diagnosis.job, diagnosis.trigger), (scene.job.job, Some(id)));
    let written = scene.cluster.with(|cluster| cluster.savepoints()).pop().expect("it was written").path;
    assert_eq!(diagnosis.last_savepoint.map(|last| last.path), Some(written));
}

/// A main method that fails leaves its job behind: its id and the uploaded jar are in the error.
#[test]
fn the_job_and_the_jar_of_a_run_that_failed_are_values() {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let program = Program::endless("job").main_fails_after_submit();
    let (error, diagnosis) = diagnosis(flink.run(RunJar::upload("a.jar", program.jar())));
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    let job = cluster.with(|cluster| cluster.jobs()).pop().expect("it was left behind");
    assert_eq!(diagnosis.job.to_string(), job.id);
    assert_eq!(diagnosis.jar.map(|jar| jar.to_string()), cluster.with(|cluster| cluster.jars()).pop());
    assert!(matches!(diagnosis.lookup, JobLookup::State(_)), "{:?}", diagnosis.lookup);
}

/// A lookup of the trigger, too, is repeated: the flow continues where it was.
#[test]
fn a_trigger_that_a_proxy_rejects_to_look_up_is_looked_up_again() {
    let scene = scene(Config::default(), &Program::endless("job"));
    let page = Fault::ProxyPage { status: http::StatusCode::FORBIDDEN, applied: false };
    let mut plan = FaultPlan::none();
    for nth in 1..=5 {
        plan = plan.nth_of("getSavepointStatus", nth, page);
    }
    for plan in [
        plan.clone(),
        plan.nth_of("triggerSavepoint", 1, Fault::ProxyPage { status: http::StatusCode::BAD_GATEWAY, applied: true }),
    ] {
        scene.world.set_faults(plan);
        let savepoint = scene.flink.run(TakeSavepoint::new(scene.job.job)).expect("it was only in the way");
        assert_eq!(
            scene.cluster.with(|cluster| cluster.savepoints()).pop().map(|last| last.path),
            Some(savepoint.location)
        );
    }
}

/// What is saved after a failure is not the trigger that failed: a resumption starts another operation.
#[test]
fn a_resumption_after_a_failure_starts_another_operation() {
    let slow = Config { savepoint_duration: Duration::from_secs(5), ..Config::default() };
    let scene = scene(slow, &Program::endless("job").fails_after(Duration::from_secs(3)).fails_times(1));
    let (result, saved) = keep(&scene.flink, TakeSavepoint::new(scene.job.job));
    assert!(matches!(result, Err(FlowError::Failed(_))), "{result:?}");
    let (result, stop_saved) = keep(&scene.flink, StopWithSavepoint::new(scene.job.job));
    assert!(matches!(result, Err(FlowError::Failed(_))), "its tasks do not run: {result:?}");
    // Long after both are forgotten.
    scene.world.sleep_until(scene.world.now() + Duration::from_secs(3600));
    let resumed = TakeSavepoint::resume(saved.last().expect("saved")).expect("its own state");
    let taken = scene.flink.run(resumed).expect("nothing fails any more").location;
    let resumed = StopWithSavepoint::resume(stop_saved.last().expect("saved")).expect("its own state");
    let stopped = scene.flink.run(resumed).expect("nothing fails any more").location;
    let written: Vec<_> = scene.cluster.with(|cluster| cluster.savepoints()).into_iter().map(|one| one.path).collect();
    assert_eq!(written, [taken, stopped]);
}

/// A leader that is dead, until its session with `ZooKeeper` expires: every request is rejected, for 60 s by default.
#[test]
fn a_trigger_is_looked_up_until_the_cluster_has_another_leader() {
    let mut script = Script::new().expect("POST", STOP).reply_json(202, TRIGGERED);
    for _ in 0..38 {
        script = script.expect("GET", TRIGGER).reply_json(500, UNREACHABLE);
    }
    let script = script.expect("GET", TRIGGER).reply_json(200, WRITTEN);
    let script = script.expect("GET", STATUS).reply_json(200, is("FINISHED"));
    let script = script.expect("GET", RESULT).reply_json(404, UNKNOWN_JOB);
    let config = flow::Config::new("http://flink.test".parse().expect("a base")).with_retry(Retry::never());
    let before = script.now();
    let stopped = Flink::with_config(config, script.clone()).run(stop()).expect("there is another leader");
    assert_eq!(stopped.location, "file:/a");
    let took = script.now().since(before);
    assert!(took > Duration::from_secs(60), "{took:?}");
    script.finish();
}

#[test]
fn a_job_is_waited_for_until_the_cluster_has_another_leader() {
    let unreachable =
        |count| (0..count).fold(Script::new(), |script, _| script.expect("GET", STATUS).reply_json(500, UNREACHABLE));
    let config = || flow::Config::new("http://flink.test".parse().expect("a base")).with_retry(Retry::never());
    let script = unreachable(38).expect("GET", STATUS).reply_json(200, is("FINISHED"));
    let script = script.expect("GET", RESULT).reply_json(404, UNKNOWN_JOB);
    let before = script.now();
    let report = Flink::with_config(config(), script.clone()).run(AwaitJob::ended(JOB)).expect("another leader");
    assert_eq!(report.state, JobState::Finished);
    assert!(script.now().since(before) > Duration::from_secs(60));
    script.finish();
    // It does not pass for ever.
    let script = unreachable(51);
    let before = script.now();
    let error = Flink::with_config(config(), script.clone()).run(AwaitJob::ended(JOB)).expect_err("no leader");
    assert!(error.service().is_some(), "{error:?}");
    assert!(script.now().since(before) < Duration::from_secs(100));
}

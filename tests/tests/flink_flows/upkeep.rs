//! Watching, stopping, rescaling and removing jobs, in cases that random faults do not reach.

use std::time::Duration;

use pipewright::Seed;
use pipewright::driver::{self, Clock as _, NoCredentials};
use pipewright::error::FlowError;
use pipewright::flink::jobs::JobState;
use pipewright::flink::profiler::ProfileMode;
use pipewright::flink::rescaling::{
    GetRescale, GetRescales, GetRescalesOverview, GetRescalesSummary, GetResourceRequirements, ParallelismBounds,
    PutResourceRequirements, RescaleCause, RescaleEnd, RescaleState,
};
use pipewright::flink::{
    AwaitCheckpoint, AwaitJob, Cancel, DatasetId, DeleteDataset, DisposeSavepoint, Flink, FlinkRest, JobEvent, JobId,
    Launched, Profile, Rescale, RunJar, SampleFlameGraph, StopWithSavepoint, TakeSavepoint, VertexId, WatchJob,
};
use pipewright::flow::{Goal, Notice};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{FlinkHandle, Script, World};

const JOB: JobId = JobId::from_bits(0xa);
const SOURCE: &str = "ca88eee0095684d687a1b6495617f957";
const TRIGGERED: &str = r#"{"request-id":"0000000000000000000000000000000b"}"#;
const COMPLETED: &str = r#"{"status":{"id":"COMPLETED"},"operation":{}}"#;
const NOTHING_THERE: &str = r#"{"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"class":"a.B","stack-trace":"a.B: Could not dispose\nCaused by: java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:/a'"}}}"#;
const FORGOTTEN: &str = r#"{"errors":["org.apache.flink.runtime.rest.NotFoundException: Operation not found under key: org.apache.flink.runtime.rest.handler.async.OperationKey@decc"]}"#;

struct Scene {
    world: World,
    cluster: FlinkHandle,
    flink: Flink<World>,
}

fn scene(config: Config) -> Scene {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), config);
    let flink = Flink::new(cluster.base(), world.clone());
    Scene { world, cluster, flink }
}

fn adaptive() -> Config {
    Config { adaptive_scheduler: true, ..Config::default() }
}

impl Scene {
    fn launch(&self, program: &Program) -> Launched {
        let launched = self.flink.run(RunJar::upload("a.jar", program.jar())).expect("submitted");
        let _ = self.flink.run(AwaitJob::running(launched.job)).expect("it runs");
        launched
    }

    fn state(&self, job: JobId) -> String {
        let now = self.world.now().as_unix();
        self.cluster.with(|cluster| {
            cluster.advance(now);
            let view = cluster.jobs().into_iter().find(|view| view.id == job.to_string());
            view.map(|view| view.state).unwrap_or_default()
        })
    }

    /// All events of a job to its end.
    fn watch(&self, job: JobId) -> Vec<JobEvent> {
        let mut watch = WatchJob::new(job).start(self.flink.config(), Seed::new(5));
        let mut events = Vec::new();
        loop {
            events
                .push(driver::run(&mut watch, &self.world, &NoCredentials, driver::ignore_notices).expect("an event"));
            if matches!(events.last(), Some(JobEvent::Ended(_))) {
                return events;
            }
        }
    }
}

fn run<G: Goal<Service = FlinkRest>>(script: &Script, goal: G) -> Result<G::Output, FlowError> {
    Flink::new("http://flink.test".parse().expect("a base"), script.clone()).run(goal)
}

/// Each takes the other with it, and the job starts again.
#[test]
fn two_stops_at_once_fail_and_say_so() {
    let scene = scene(Config::default());
    let job = scene.launch(&Program::endless("job")).job;
    let flows = (1..=2).map(|seed| StopWithSavepoint::new(job).start(scene.flink.config(), Seed::new(seed)));
    for result in scene.world.run_all(flows) {
        let error = result.expect_err("neither survives");
        let FlowError::Failed(failure) = &error else { panic!("{error:?}") };
        assert!(failure.reason.contains("Checkpoint Coordinator is suspending"), "{failure:?}");
        assert!(failure.reason.contains("the job is RESTARTING"), "{failure:?}");
    }
    let report = scene.flink.run(AwaitJob::running(job)).expect("it comes back");
    assert_eq!(report.state, JobState::Running);
    assert!(scene.cluster.with(|cluster| cluster.savepoints()).is_empty());
}

/// A JobManager that fails while it cancels a job tells the next one nothing, which recovers the job.
#[test]
fn a_job_that_a_failover_brings_back_is_cancelled_again() {
    let scene = scene(Config { cancel_duration: Duration::from_secs(10), ..Config::default() });
    let job = scene.launch(&Program::endless("job")).job;
    let mut failed = false;
    let result = scene.flink.run_with(Cancel::new(job).timeout(Duration::from_secs(600)), |notice| {
        let is_cancelling = matches!(&notice, Notice::Observed { state, .. } if state == "CANCELLING");
        if is_cancelling && !std::mem::replace(&mut failed, true) {
            scene.cluster.restart(Duration::from_secs(1));
        }
    });
    assert_eq!(result.expect("in the end").state, JobState::Canceled);
    assert!(failed && scene.state(job) == "CANCELED");
}

/// It finishes before its savepoint does.
#[test]
fn a_job_that_ends_while_it_is_stopped_has_no_savepoint() {
    let scene = scene(Config { savepoint_duration: Duration::from_secs(30), ..Config::default() });
    let job = scene.launch(&Program::bounded("job", 500)).job;
    let error = scene.flink.run(StopWithSavepoint::new(job)).expect_err("it ended first");
    let FlowError::Failed(failure) = &error else { panic!("{error:?}") };
    assert!(failure.reason.contains("shutdown") && failure.reason.contains("the job is FINISHED"), "{failure:?}");
    assert_eq!(scene.state(job), "FINISHED");
}

#[test]
fn a_watched_job_tells_its_whole_story() {
    let scene = scene(Config::default());
    let program = Program::bounded("job", 3000).fails_after(Duration::from_secs(3)).fails_times(2).restarts(1);
    let job = scene.flink.run(RunJar::upload("a.jar", program.jar())).expect("submitted").job;
    let events = scene.watch(job);
    let states: Vec<_> = events
        .iter()
        .filter_map(|event| if let JobEvent::State(state) = event { Some(state.as_str()) } else { None })
        .collect();
    assert_eq!(states, ["INITIALIZING", "RUNNING", "RESTARTING", "RUNNING", "FAILED"]);
    let exceptions: Vec<_> = events
        .iter()
        .filter_map(
            |event| if let JobEvent::Exception(exception) = event { exception.exception_name.as_deref() } else { None },
        )
        .collect();
    assert_eq!(exceptions, ["java.lang.IllegalStateException", "org.apache.flink.runtime.JobException"]);
    let Some(JobEvent::Ended(report)) = events.last() else { panic!("{events:?}") };
    assert_eq!(report.state, JobState::Failed);
    assert!(report.failure().expect("it is told").contains("told to fail"), "{report:?}");
}

/// Polled again after its end, a session has no more to say; and an unknown job is an error that stays.
#[test]
fn a_watch_ends_once() {
    let scene = scene(Config::default());
    let job = scene.launch(&Program::bounded("job", 100)).job;
    let mut watch = WatchJob::new(job).poll_interval(Duration::from_secs(10)).start(scene.flink.config(), Seed::new(5));
    while !matches!(
        driver::run(&mut watch, &scene.world, &NoCredentials, driver::ignore_notices),
        Ok(JobEvent::Ended(_))
    ) {}
    for _ in 0..2 {
        assert!(matches!(
            driver::run(&mut watch, &scene.world, &NoCredentials, driver::ignore_notices),
            Err(FlowError::Misuse(_))
        ));
    }
    let mut watch = WatchJob::new(JOB).start(scene.flink.config(), Seed::new(5));
    for _ in 0..2 {
        assert!(matches!(
            driver::run(&mut watch, &scene.world, &NoCredentials, driver::ignore_notices),
            Err(FlowError::Service(_))
        ));
    }
}

/// What a flow knew when its time was up stands in the error.
#[test]
fn time_that_is_up_names_what_was_seen_last() {
    let scene = scene(Config::default());
    let launched = scene.launch(&Program::endless("job"));
    let job = launched.job;
    let goal = AwaitCheckpoint::after(job, 1000).timeout(Duration::from_secs(10));
    let error = scene.flink.run(goal).expect_err("there are not so many").to_string();
    let (_, seen) = error.split_once("last observed: ").expect("what was seen");
    let number =
        seen.strip_prefix(&format!("job {job}: RUNNING; the newest completed checkpoint is ")).expect("a number");
    assert!(number.parse::<i64>().is_ok_and(|number| number > 1), "{error}");
}

#[test]
fn a_rescale_waits_for_slots_or_settles() {
    let scene = scene(adaptive());
    let job = scene.launch(&Program::endless("job")).job;
    let minute = Duration::from_secs(60);
    // Four slots.
    let error = scene.flink.run(Rescale::to(job, 6).timeout(minute)).expect_err("there are not so many");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error:?}");
    let rescaled = scene.flink.run(Rescale::to(job, 6).settle_for(4).timeout(minute)).expect("as many as there are");
    assert!(rescaled.parallelism.values().all(|has| *has == 4), "{rescaled:?}");
    let source: VertexId = SOURCE.parse().expect("an id");
    let one = Rescale::some(job).vertex(source, ParallelismBounds::new(1, 2)).settle_for(2).timeout(minute);
    let rescaled = scene.flink.run(one).expect("the other keeps its bounds");
    assert_eq!(rescaled.parallelism.into_values().collect::<Vec<_>>(), [4, 2]);
}

#[test]
fn a_cluster_remembers_the_rescales_that_a_flow_has_brought_about() {
    let scene = scene(Config { rescale_history: 10, ..adaptive() });
    let job = scene.launch(&Program::endless("job")).job;
    let _ = scene.flink.run(Rescale::to(job, 3)).expect("there are four slots");
    let history = scene.flink.call(GetRescales::new(job)).expect("it is remembered");
    let causes: Vec<_> = history.iter().map(|rescale| rescale.trigger_cause.clone()).collect();
    assert_eq!(causes, [Some(RescaleCause::UpdateRequirement), Some(RescaleCause::InitialSchedule)]);
    let newest = scene.flink.call(GetRescale::new(job, history[0].id)).expect("the details");
    assert_eq!(newest.vertices.len(), 2);
    for vertex in newest.vertices.values() {
        assert_eq!((vertex.pre_rescale_parallelism, vertex.post_rescale_parallelism), (Some(1), Some(3)));
    }
    assert_eq!(newest.terminated_reason, Some(RescaleEnd::Succeeded));
    assert_eq!(newest.scheduler_states.len(), 4, "{newest:?}");
    let overview = scene.flink.call(GetRescalesOverview::new(job)).expect("the overview");
    assert_eq!(overview.latest.completed.and_then(|latest| latest.terminal_state), Some(RescaleState::Completed));
    let summary = scene.flink.call(GetRescalesSummary::new(job)).expect("the summary");
    assert_eq!(summary.counts.completed, Some(2));
}

/// Bounds that another client has replaced are never reached.
#[test]
fn a_rescale_that_somebody_else_undoes_says_so() {
    let scene = scene(adaptive());
    let job = scene.launch(&Program::endless("job")).job;
    let before = scene.world.now();
    let goal = Rescale::to(job, 4).timeout(Duration::from_secs(600));
    let result = scene.flink.run_with(goal, |notice| {
        if matches!(&notice, Notice::Phase { phase, .. } if phase.starts_with("waiting for the job")) {
            let bounds = scene.flink.call(GetResourceRequirements::new(job)).expect("there are some");
            let other = bounds.with_all(&ParallelismBounds::new(1, 2));
            let _ = scene.flink.call(PutResourceRequirements::new(job, other)).expect("taken");
        }
    });
    let error = result.expect_err("it goes to 2");
    assert!(
        matches!(&error, FlowError::Failed(failure) if failure.reason.contains("another client has put other bounds")),
        "{error:?}"
    );
    assert!(scene.world.now() < before + Duration::from_secs(60));
}

#[test]
fn a_rescale_that_cannot_be_says_why() {
    let scene = scene(adaptive());
    let missing = scene.flink.run(Rescale::to(JOB, 2)).expect_err("unknown");
    assert!(matches!(&missing, FlowError::Service(error) if pipewright::flink::is_unknown_job(error)), "{missing:?}");
    let job = scene.launch(&Program::bounded("job", 500)).job;
    let many = scene.flink.run(Rescale::to(job, 4096)).expect_err("more than 128");
    assert!(many.to_string().contains("exceeds its maximum parallelism 128"), "{many}");
    let ended = scene.flink.run(Rescale::to(job, 2)).expect_err("it ends within the cool-down");
    assert!(matches!(&ended, FlowError::Failed(failure) if failure.reason == "the job is FINISHED"), "{ended:?}");
    let plain = self::scene(Config::default());
    let job = plain.launch(&Program::endless("job")).job;
    let error = plain.flink.run(Rescale::to(job, 2)).expect_err("the default scheduler");
    assert!(
        matches!(&error, FlowError::Service(rejection) if rejection.message().contains("AdaptiveScheduler")),
        "{error:?}"
    );
}

#[test]
fn a_disposal_that_was_lost_and_found_nothing_was_ours_or_nobodys() {
    let ask = "/v1/savepoint-disposal/0000000000000000000000000000000b";
    for (lost, gone) in [(true, true), (false, false)] {
        let mut script = Script::new();
        if lost {
            script = script.expect("POST", "/v1/savepoint-disposal").reply_lost();
        }
        let script = script
            .expect("POST", "/v1/savepoint-disposal")
            .json(r#"{"savepoint-path":"file:/a"}"#)
            .reply_json(200, TRIGGERED)
            .expect("GET", ask)
            .reply_json(200, NOTHING_THERE);
        match run(&script, DisposeSavepoint::new("file:/a")) {
            Ok(removed) => assert!(gone && removed.was_gone),
            Err(FlowError::Failed(failure)) => {
                assert!(!gone && failure.what == "disposal of savepoint file:/a", "{failure:?}");
                assert!(failure.reason.contains("Cannot find checkpoint or savepoint"), "{failure:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
        script.finish();
    }
}

/// Its trigger is not known any more, and removing is asked for again.
#[test]
fn a_forgotten_removal_is_asked_for_again() {
    let path = "/v1/datasets/0000000000000000000000000000000c";
    let ask = "/v1/datasets/delete/0000000000000000000000000000000b";
    let script = Script::new()
        .expect("DELETE", path)
        .reply_json(202, TRIGGERED)
        .expect("GET", ask)
        .reply_json(200, r#"{"status":{"id":"IN_PROGRESS"},"operation":null}"#)
        .expect("GET", ask)
        .reply_json(404, FORGOTTEN)
        .expect("DELETE", path)
        .reply_json(202, TRIGGERED)
        .expect("GET", ask)
        .reply_json(200, COMPLETED);
    assert!(!run(&script, DeleteDataset::new(DatasetId::from_bits(0xc))).expect("gone").was_gone);
    script.finish();
}

/// Its trigger is not known any more, and it cannot be asked for again: it may be gone.
#[test]
fn a_removal_that_cannot_be_asked_for_again_is_ambiguous() {
    let mut script = Script::new()
        .expect("POST", "/v1/savepoint-disposal")
        .reply_json(200, TRIGGERED)
        .expect("GET", "/v1/savepoint-disposal/0000000000000000000000000000000b")
        .reply_json(404, FORGOTTEN);
    for _ in 0..20 {
        script = script.expect("POST", "/v1/savepoint-disposal").not_sent();
    }
    let error = run(&script, DisposeSavepoint::new("file:/a")).expect_err("unknown outcome");
    assert!(error.is_ambiguous(), "{error:?}");
    script.finish();
}

#[test]
fn a_flame_graph_that_cannot_be_says_why() {
    let vertex: VertexId = SOURCE.parse().expect("an id");
    for (answer, reason) in [
        (r#"{"endTimestamp":-1}"#, "has ended"),
        (r#"{"endTimestamp":-2}"#, "rest.flamegraph.enabled"),
        (r#"{"endTimestamp":-7}"#, "-7"),
    ] {
        let path = format!("/v1/jobs/{JOB}/vertices/{SOURCE}/flamegraph");
        let script = Script::new().expect("GET", &path).reply_json(200, answer);
        let error = run(&script, SampleFlameGraph::new(JOB, vertex)).expect_err("no such savepoint");
        assert!(matches!(&error, FlowError::Failed(failure) if failure.reason.contains(reason)), "{error:?}");
        script.finish();
    }
}

#[test]
fn a_checkpoint_of_a_job_that_ends_is_not_waited_for() {
    let scene = scene(Config::default());
    let job = scene.launch(&Program::bounded("job", 800).checkpoint_interval(None)).job;
    let error = scene.flink.run(AwaitCheckpoint::any(job)).expect_err("it takes none");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.reason.contains("FINISHED")), "{error:?}");
    // A savepoint is no checkpoint, and one that was there is not the next checkpoint.
    let job = scene.launch(&Program::endless("job")).job;
    let first = scene.flink.run(AwaitCheckpoint::any(job)).expect("one a second").id;
    let _ = scene.flink.run(TakeSavepoint::new(job)).expect("taken");
    let next = scene.flink.run(AwaitCheckpoint::next(job)).expect("one a second");
    assert!(next.id > first && !next.is_savepoint, "{next:?} after {first}");
    assert_eq!(scene.flink.run(AwaitCheckpoint::after(job, next.id + 3)).expect("later").id, next.id + 4);
    let _ = scene.flink.run(Cancel::new(job)).expect("cancelled");
}

const PROFILER: &str = "/v1/jobmanager/profiler";

fn listed(status: &str, at: i64, mode: &str) -> String {
    let file = if status == "FINISHED" { r#""a.html""# } else { "null" };
    format!(
        r#"{{"status":"{status}","mode":"{mode}","triggerTime":{at},"duration":2,"message":null,"outputFile":{file}}}"#
    )
}

fn list(profiles: &[String]) -> String {
    format!(r#"{{"profilingList":[{}]}}"#, profiles.join(","))
}

/// Its moment is not known; but it was not there before, and it is of the right kind.
#[test]
fn a_profile_without_an_answer_is_found_in_the_list() {
    let old = listed("FINISHED", 1, "ITIMER");
    let script = Script::new()
        .expect("GET", PROFILER)
        .reply_json(200, list(std::slice::from_ref(&old)))
        .expect("POST", PROFILER)
        .json(r#"{"mode":"ITIMER","duration":2}"#)
        .reply_lost()
        .expect("GET", PROFILER)
        .reply_json(200, list(&[listed("RUNNING", 3, "ITIMER"), listed("FINISHED", 2, "WALL"), old.clone()]))
        .expect("GET", PROFILER)
        .reply_json(200, list(&[listed("FINISHED", 3, "ITIMER"), old]))
        .expect("GET", "/v1/jobmanager/profiler/a.html")
        .reply(200, "<!DOCTYPE html></html>");
    let profiled = run(&script, Profile::job_manager(ProfileMode::Itimer, 2)).expect("it was started");
    assert_eq!((profiled.info.trigger_time.0, &*profiled.page.0), (3, "<!DOCTYPE html></html>"));
    script.finish();
}

/// The process is busy with what an unanswered attempt has started, which shows up in the list a little later.
#[test]
fn a_busy_process_after_a_lost_answer_is_looked_at_again() {
    let busy = r#"{"errors":["Internal server error.","<Exception on server side:\njava.lang.IllegalStateException: JobManager is still under profiling.\n\nEnd of exception on server side>"]}"#;
    let script = Script::new()
        .expect("GET", PROFILER)
        .reply_json(200, list(&[]))
        .expect("POST", PROFILER)
        .reply_lost()
        .expect("GET", PROFILER)
        .reply_json(200, list(&[]))
        .expect("POST", PROFILER)
        .reply_json(500, busy)
        .expect("GET", PROFILER)
        .reply_json(200, list(&[listed("RUNNING", 3, "ALLOC")]))
        .expect("GET", PROFILER)
        .reply_json(200, list(&[listed("FINISHED", 3, "ALLOC")]))
        .expect("GET", "/v1/jobmanager/profiler/a.html")
        .reply(200, "<!DOCTYPE html></html>");
    assert!(run(&script, Profile::job_manager(ProfileMode::Alloc, 2)).is_ok());
    script.finish();
    // Without a lost answer it is another client's.
    let script =
        Script::new().expect("GET", PROFILER).reply_json(200, list(&[])).expect("POST", PROFILER).reply_json(500, busy);
    let error = run(&script, Profile::job_manager(ProfileMode::Alloc, 2)).expect_err("not now");
    assert!(error.to_string().contains("still under profiling"), "{error}");
    script.finish();
}

/// The second attempt was not sent, which says nothing about the first attempt.
#[test]
fn a_profile_that_may_be_under_way_is_ambiguous() {
    let script = Script::new().expect("GET", PROFILER).reply_json(200, list(&[]));
    let script = script.expect("POST", PROFILER).reply_lost();
    let mut script = script.expect("GET", PROFILER).reply_json(200, list(&[]));
    for _ in 0..20 {
        script = script.expect("POST", PROFILER).not_sent();
    }
    let error = run(&script, Profile::job_manager(ProfileMode::Alloc, 2)).expect_err("unknown outcome");
    assert!(error.is_ambiguous(), "{error:?}");
    script.finish();
}

#[test]
fn a_profile_that_fails_says_why() {
    let scene = scene(Config { profiling: true, ..Config::default() });
    let error = scene.flink.run(Profile::job_manager(ProfileMode::Cpu, 2)).expect_err("no counters here");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.reason.contains("perf events")), "{error:?}");
    let error = scene.flink.run(Profile::task_manager("absent", ProfileMode::Wall, 2)).expect_err("unknown");
    assert!(matches!(&error, FlowError::Service(_)), "{error:?}");
}

//! [`WatchJobs`]: the events of a cluster's jobs.

use std::cell::Cell;
use std::time::Duration;

use pipewright::driver::{Clock as _, NoCredentials, Runtime, run};
use pipewright::error::FlowError;
use pipewright::flink::jobs::JobSummary;
use pipewright::flink::{Cancel, Flink, FlinkRest, JobId, JobListEvent, JobListWatch, RunJar, WatchJobs};
use pipewright::flow::{Goal as _, Notice, Retry, SavedState};
use pipewright::{Base, Seed};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{FlinkHandle, Incident, Script, World};
use pipewright_tests::recorded::Recorded;

const JOB: JobId = JobId::from_bits(7);
const LIMIT: Duration = Duration::from_secs(300);

struct Scene {
    world: World,
    cluster: FlinkHandle,
    flink: Flink<World>,
}

impl Scene {
    fn new(config: Config) -> Self {
        let world = World::new(1);
        let cluster = world.flink(base(), config);
        let flink = Flink::new(cluster.base(), world.clone());
        Self { world, cluster, flink }
    }

    fn submit(&self, program: &Program) -> JobId {
        self.flink.run(RunJar::upload("a.jar", program.jar())).expect("submitted").job
    }

    fn start(&self, goal: WatchJobs) -> Watching<'_, World> {
        Watching { watch: goal.start(self.flink.config(), Seed::new(5)), runtime: &self.world, saved: None }
    }

    fn sleep(&self, seconds: u64) {
        self.world.sleep_until(self.world.now() + Duration::from_secs(seconds));
    }

    /// How many requests went to a path.
    fn requests(&self, path: &str) -> usize {
        let is_path = |what: &Incident| matches!(what, Incident::Exchange { uri, .. } if uri.path() == path);
        self.world.trace().iter().filter(|event| is_path(&event.what)).count()
    }
}

struct Watching<'r, R> {
    watch: JobListWatch,
    runtime: &'r R,
    saved: Option<SavedState>,
}

impl<R: Runtime> Watching<'_, R> {
    fn next(&mut self) -> Result<JobListEvent, FlowError> {
        let keep = |notice| {
            if let Notice::Persist(state) = notice {
                self.saved = Some(state);
            }
        };
        run(&mut self.watch, self.runtime, &NoCredentials, keep)
    }

    /// All events up to the last event.
    fn all(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let event = self.next().expect("an event");
            lines.push(line(&event));
            if event == JobListEvent::AllEnded {
                return lines;
            }
        }
    }
}

fn base() -> Base {
    "http://flink.test".parse().expect("a base")
}

fn line(event: &JobListEvent) -> String {
    let name = |job: &JobSummary| job.name.clone().unwrap_or_default();
    match event {
        JobListEvent::Appeared(job) => format!("{} {}", name(job), job.state),
        JobListEvent::StateChanged { job, previous, .. } => format!("{} {previous} -> {}", name(job), job.state),
        JobListEvent::Ended(job) => format!("{} ended {}", name(job), job.state),
        JobListEvent::Gone { last_state: Some(state), .. } => format!("gone {state}"),
        JobListEvent::Gone { .. } => "gone".to_owned(),
        JobListEvent::AllEnded => "all ended".to_owned(),
        event => panic!("{event:?}"),
    }
}

/// A cluster whose overviews list one job in each of these states, or no job.
fn overviews<'s>(script: Script, states: impl IntoIterator<Item = &'s str>) -> Script {
    states
        .into_iter()
        .fold(script, |script, state| script.expect("GET", "/v1/jobs/overview").reply_json(200, overview(state)))
}

fn overview(state: &str) -> String {
    if state.is_empty() {
        return r#"{"jobs":[]}"#.to_owned();
    }
    format!(
        r#"{{"jobs":[{{"jid":"{JOB}","name":"job","start-time":1,"end-time":-1,"duration":9,"state":"{state}","last-modification":5,"tasks":{{"total":1,"created":0,"scheduled":0,"deploying":0,"running":1,"finished":0,"canceling":0,"canceled":0,"failed":0,"reconciling":0,"initializing":0}}}}]}}"#
    )
}

fn status(script: Script, code: u16, body: &str) -> Script {
    script.expect("GET", &format!("/v1/jobs/{JOB}/status")).reply_json(code, body)
}

const UNKNOWN: &str = r#"{"errors":["Internal server error.","<Exception on server side:\norg.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (00000000000000000000000000000007)\n\nEnd of exception on server side>"]}"#;
const NO_LEADER: &str =
    r#"{"errors":["Service temporarily unavailable due to an ongoing leader election. Please refresh."]}"#;
const UNREACHABLE: &str = r#"{"errors":["Internal server error.","<Exception on server side:\norg.apache.flink.runtime.rpc.exceptions.RecipientUnreachableException: Could not send message\n\nEnd of exception on server side>"]}"#;

/// The lines of all events of the job with the id 7.
fn scripted(script: &Script, goal: WatchJobs) -> Vec<String> {
    scripted_watch(script, goal).all()
}

/// Each request is sent once.
fn scripted_watch(script: &Script, goal: WatchJobs) -> Watching<'_, Script> {
    let config = pipewright::flow::Config::<FlinkRest>::new(base()).with_retry(Retry::never());
    Watching { watch: goal.start(&config, Seed::new(5)), runtime: script, saved: None }
}

/// The polls of 10 s that list no job.
const NONE: [&str; 11] = [""; 11];

#[test]
fn each_job_appears_changes_its_state_and_ends_and_then_the_flow_ends() {
    let scene = Scene::new(Config::default());
    let failing = Program::bounded("failing", 3000).fails_after(Duration::from_secs(3)).fails_times(2).restarts(1);
    scene.submit(&failing);
    scene.submit(&Program::bounded("short", 10));
    let mut watch = scene.start(WatchJobs::all().poll_interval(Duration::from_millis(100)).until_all_ended());
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != "all ended") {
        lines.push(line(&watch.next().expect("an event")));
    }
    let of = |name: &str| lines.iter().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>();
    let failing = of("failing ");
    assert_eq!(
        failing[1..],
        ["INITIALIZING -> RUNNING", "RUNNING -> RESTARTING", "RESTARTING -> RUNNING", "ended FAILED"]
    );
    assert!(of("short ").ends_with(&["ended FINISHED"]), "{lines:?}");
    for _ in 0..2 {
        assert!(matches!(watch.next(), Err(FlowError::Misuse(_))));
    }
}

/// However many jobs there are.
#[test]
fn one_overview_is_read_per_interval_and_nothing_else() {
    let scene = Scene::new(Config { slots: 40, ..Config::default() });
    for _ in 0..20 {
        scene.submit(&Program::endless("job"));
    }
    let (before, started) = (scene.requests("/v1/jobs/overview"), scene.world.trace().len());
    let mut watch = scene.start(WatchJobs::all().timeout(Duration::from_secs(60)));
    while watch.next().is_ok() {}
    let polls = scene.requests("/v1/jobs/overview") - before;
    assert!((59..=60).contains(&polls), "{polls}");
    let requests = scene.world.trace().into_iter().skip(started);
    assert_eq!(requests.filter(|event| matches!(event.what, Incident::Exchange { .. })).count(), polls);
}

#[test]
fn only_jobs_with_the_given_ids_or_the_name_prefix_are_watched() {
    let scene = Scene::new(Config::default());
    let first = scene.submit(&Program::bounded("a-1", 10));
    scene.submit(&Program::bounded("a-2", 10));
    scene.submit(&Program::bounded("b-1", 10));
    scene.sleep(30);
    let ended = ["a-1 FINISHED", "a-1 ended FINISHED"];
    assert_eq!(scene.start(WatchJobs::of_ids([first]).until_all_ended()).all(), [&ended[..], &["all ended"]].concat());
    let mut both = scene.start(WatchJobs::of_name_prefix("a-").until_all_ended()).all();
    both.sort_unstable();
    assert_eq!(both, ["a-1 FINISHED", "a-1 ended FINISHED", "a-2 FINISHED", "a-2 ended FINISHED", "all ended"]);
    assert_eq!(scene.start(WatchJobs::of_name_prefix("c-").until_all_ended()).all(), ["all ended"], "after 10 s");
    let unknown = scene.start(WatchJobs::of_ids([JOB]).until_all_ended()).all();
    assert_eq!(unknown, ["gone", "all ended"], "after 10 s, and a status");
}

#[test]
fn jobs_that_a_failover_hides_for_a_while_are_not_gone() {
    let states = ["RUNNING", "", "", "", "RUNNING", "FINISHED"];
    let script = overviews(Script::new(), states);
    let goal = WatchJobs::all().until_all_ended();
    assert_eq!(scripted(&script, goal.clone()), ["job RUNNING", "job ended FINISHED", "all ended"]);
    script.finish();

    // The 10 s start again with each poll that fails.
    let script = overviews(Script::new(), ["RUNNING"].into_iter().chain([""; 10]));
    let script = (0..2).fold(script, |script, _| script.expect("GET", "/v1/jobs/overview").reply_json(503, NO_LEADER));
    let script = overviews(script, [""; 10].into_iter().chain(["INITIALIZING", "FAILED"]));
    let events = ["job RUNNING", "job RUNNING -> INITIALIZING", "job ended FAILED", "all ended"];
    assert_eq!(scripted(&script, goal.clone()), events);
    script.finish();

    // The status of a job whose JobMaster answers only that.
    let script = status(overviews(Script::new(), ["RUNNING"].into_iter().chain(NONE)), 200, r#"{"status":"RUNNING"}"#);
    let script = overviews(script, ["", "CANCELED"]);
    assert_eq!(scripted(&script, goal), ["job RUNNING", "job ended CANCELED", "all ended"]);
    script.finish();
}

/// A later release writes the state of the job in another way for a while.
#[test]
fn a_job_that_cannot_be_read_is_neither_gone_nor_ended() {
    let odd = overview("RUNNING").replace("\"RUNNING\"", r#"{"name":"RUNNING"}"#);
    let script = overviews(Script::new(), ["RUNNING"]);
    let script =
        (0..30).fold(script, |script, _| script.expect("GET", "/v1/jobs/overview").reply_json(200, odd.clone()));
    let script = overviews(script, ["FINISHED"]);
    let goal = WatchJobs::of_name_prefix("job").until_all_ended();
    assert_eq!(scripted(&script, goal), ["job RUNNING", "job ended FINISHED", "all ended"]);
    script.finish();

    // The flow does not end while a job that it does not know may be in the list.
    let with_odd = overview("FINISHED").replace("]}", ",7]}");
    let script = Script::new().expect("GET", "/v1/jobs/overview").reply_json(200, with_odd);
    let script = overviews(script, ["FINISHED"]);
    let lines = scripted(&script, WatchJobs::all().until_all_ended());
    assert_eq!(lines, ["job FINISHED", "job ended FINISHED", "all ended"]);
    script.finish();
}

#[test]
fn a_job_is_gone_when_the_cluster_does_not_know_its_status_after_ten_seconds() {
    let script = overviews(Script::new(), ["RUNNING"].into_iter().chain(NONE));
    let script = status(script, 500, UNKNOWN);
    assert_eq!(scripted(&script, WatchJobs::all().until_all_ended()), ["job RUNNING", "gone RUNNING", "all ended"]);
    script.finish();
}

/// A new process without high availability has lost all jobs.
#[test]
fn each_job_that_dies_with_its_job_manager_is_gone_after_one_status_request() {
    let scene = Scene::new(Config { high_availability: false, ..Config::default() });
    let jobs = [scene.submit(&Program::endless("job")), scene.submit(&Program::endless("job"))];
    scene.sleep(5);
    let mut watch = scene.start(WatchJobs::of_name_prefix("job").until_all_ended());
    assert_eq!(
        [line(&watch.next().expect("a job")), line(&watch.next().expect("a job"))],
        ["job RUNNING", "job RUNNING"]
    );
    scene.cluster.restart(Duration::from_secs(20));
    let died = scene.world.now();
    assert_eq!(watch.all(), ["gone RUNNING", "gone RUNNING", "all ended"]);
    let seconds = scene.world.now().since(died).as_secs();
    assert!((30..35).contains(&seconds), "20 s without a JobManager and 10 s without the jobs: {seconds}");
    for job in jobs {
        assert_eq!(scene.requests(&format!("/v1/jobs/{job}/status")), 1);
    }
}

#[test]
fn jobs_that_the_next_job_manager_recovers_go_on() {
    let config = Config { standby: true, deploy_duration: Duration::from_secs(80), ..Config::default() };
    let scene = Scene::new(config);
    let job = scene.submit(&Program::endless("job"));
    scene.sleep(100);
    let mut watch = scene.start(WatchJobs::all().until_all_ended());
    assert_eq!(line(&watch.next().expect("the job")), "job RUNNING");
    scene.cluster.restart(Duration::from_secs(60));
    assert_eq!(line(&watch.next().expect("a failover of 60 s is waited for")), "job RUNNING -> INITIALIZING");
    assert_eq!(line(&watch.next().expect("recovered")), "job INITIALIZING -> CREATED");
    assert_eq!(line(&watch.next().expect("recovered")), "job CREATED -> RUNNING");
    let _ = scene.flink.run(Cancel::new(job)).expect("cancelled");
    assert_eq!(watch.all(), ["job ended CANCELED", "all ended"]);
}

#[test]
fn polls_that_fail_for_ninety_seconds_end_a_flow_without_a_deadline() {
    let scene = Scene::new(Config { standby: true, ..Config::default() });
    scene.cluster.restart(Duration::from_secs(1000));
    let begin = scene.world.now();
    let mut watch = scene.start(WatchJobs::all());
    assert!(matches!(watch.next(), Err(FlowError::Service(_))));
    let seconds = scene.world.now().since(begin).as_secs();
    assert!((90..200).contains(&seconds), "{seconds}");
    // With a deadline, it is the deadline that ends it.
    let mut watch = scene.start(WatchJobs::all().timeout(LIMIT));
    assert!(matches!(watch.next(), Err(FlowError::Deadline { .. })));
}

#[test]
fn a_status_that_cannot_be_read_is_read_again_later() {
    let script = overviews(Script::new(), ["RUNNING"].into_iter().chain(NONE));
    let script = status(overviews(status(script, 500, UNREACHABLE), NONE), 500, UNKNOWN);
    assert_eq!(scripted(&script, WatchJobs::all().until_all_ended()), ["job RUNNING", "gone RUNNING", "all ended"]);
    script.finish();
}

/// Flink before 1.14 has no status of one job, and a proxy may not let it through. The job is not called gone.
#[test]
fn a_status_that_is_rejected_for_ninety_seconds_ends_the_flow() {
    for (code, body) in [(403, r#"{"message":"forbidden"}"#), (404, r#"{"errors":["Not found: /v1/jobs/7/status"]}"#)] {
        let polls = Cell::new(0);
        let service = Recorded::new(|name: &str, _: &str| match name {
            "getJobsOverview" => {
                polls.set(polls.get() + 1);
                Some((200, overview(if polls.get() == 1 { "RUNNING" } else { "" })))
            }
            _ => Some((code, body.to_owned())),
        });
        let config = pipewright::flow::Config::<FlinkRest>::new(base());
        let goal = WatchJobs::all().until_all_ended().timeout(Duration::from_secs(3600));
        let mut watching = Watching { watch: goal.start(&config, Seed::new(5)), runtime: &service, saved: None };
        assert_eq!(line(&watching.next().expect("the job")), "job RUNNING");
        let Err(FlowError::Service(error)) = watching.next() else { panic!("no rejection") };
        assert_eq!(error.status().as_u16(), code);
        let seconds = service.now().since(pipewright_mock::START).as_secs();
        assert!((100..180).contains(&seconds), "10 s without the job and 90 s without its status: {seconds}");
    }
}

/// The time in which a status cannot be read ends when the job is listed again.
#[test]
fn rejections_of_a_status_do_not_add_up_over_a_job_that_is_listed_again() {
    let polls = Cell::new(0);
    let service = Recorded::new(|name: &str, _: &str| match name {
        "getJobsOverview" => {
            polls.set(polls.get() + 1);
            Some((200, overview(if polls.get() % 60 < 20 { "RUNNING" } else { "" })))
        }
        _ => Some((403, r#"{"message":"forbidden"}"#.to_owned())),
    });
    let config = pipewright::flow::Config::<FlinkRest>::new(base());
    let goal = WatchJobs::all().timeout(Duration::from_secs(600));
    let mut watching = Watching { watch: goal.start(&config, Seed::new(5)), runtime: &service, saved: None };
    assert_eq!(line(&watching.next().expect("the job")), "job RUNNING");
    assert!(matches!(watching.next(), Err(FlowError::Deadline { .. })));
}

/// An id that was submitted again is listed twice: as it ended, and as it runs.
#[test]
fn a_job_that_is_listed_twice_has_not_ended() {
    let twice = |first: &str, second: &str| {
        let (first, second) = (overview(first), overview(second));
        let (Some(first), Some(second)) = (first.strip_suffix("]}"), second.strip_prefix(r#"{"jobs":["#)) else {
            panic!("no overviews")
        };
        format!("{first},{second}")
    };
    for (first, second) in [("FINISHED", "RUNNING"), ("RUNNING", "FINISHED")] {
        let script = overviews(Script::new(), ["RUNNING"]);
        let script = (0..3)
            .fold(script, |script, _| script.expect("GET", "/v1/jobs/overview").reply_json(200, twice(first, second)));
        let script = overviews(script, ["FINISHED"]);
        assert_eq!(
            scripted(&script, WatchJobs::all().until_all_ended()),
            ["job RUNNING", "job ended FINISHED", "all ended"]
        );
        script.finish();
    }
    let script = overviews(Script::new(), ["RUNNING"]);
    let again = twice("RUNNING", "RESTARTING");
    let script = (0..2).fold(script, |script, _| script.expect("GET", "/v1/jobs/overview").reply_json(200, &*again));
    let script = overviews(script, ["FAILED"]);
    assert_eq!(scripted(&script, WatchJobs::all().until_all_ended()), ["job RUNNING", "job ended FAILED", "all ended"]);
}

/// A saved state counts in milliseconds.
#[test]
fn an_interval_below_a_millisecond_is_a_millisecond() {
    for interval in [Duration::ZERO, Duration::from_micros(10)] {
        let script = overviews(Script::new(), ["RUNNING", "FINISHED"]);
        let mut watching = scripted_watch(&script, WatchJobs::all().poll_interval(interval));
        let _ = (watching.next().expect("it runs"), watching.next().expect("it has ended"));
        let saved = watching.saved.expect("saved after the first poll");
        assert!(saved.state.contains(r#""poll_interval":1,"#), "{}", saved.state);
    }
}

#[test]
fn a_resumed_flow_yields_what_happened_in_between() {
    let scene = Scene::new(Config::default());
    let ends = scene.submit(&Program::endless("ends"));
    scene.sleep(5);
    let mut watch = scene.start(WatchJobs::all().until_all_ended().poll_interval(Duration::from_secs(2)));
    assert_eq!(line(&watch.next().expect("the first job")), "ends RUNNING");
    let stays = scene.submit(&Program::endless("stays"));
    scene.sleep(5);
    assert_eq!(line(&watch.next().expect("the second job")), "stays RUNNING");
    assert!(watch.saved.as_ref().is_some_and(|saved| !saved.state.contains(&stays.to_string())), "not yet taken");
    let resume = |saved: &SavedState| scene.start(WatchJobs::resume(saved).expect("its own state"));
    // The event was yielded, but the caller died before it asked for the next event.
    let mut again = resume(watch.saved.as_ref().expect("saved after the first poll"));
    assert_eq!(line(&again.next().expect("again")), "stays RUNNING");
    let _ = scene.flink.run(Cancel::new(stays)).expect("cancelled");
    assert_eq!(line(&again.next().expect("a change")), "stays ended CANCELED");
    let _ = scene.flink.run(Cancel::new(ends)).expect("cancelled");
    assert_eq!(resume(again.saved.as_ref().expect("saved")).all().len(), 3, "both have ended since");
    let mut other = again.saved.expect("saved");
    other.flow = "WatchJob".into();
    assert!(matches!(WatchJobs::resume(&other), Err(FlowError::Misuse(_))));
}

#[test]
fn a_job_that_has_ended_is_forgotten_when_the_cluster_forgets_it() {
    let scene = Scene::new(Config { job_expiration: Duration::from_secs(60), ..Config::default() });
    let old = scene.submit(&Program::bounded("old", 10));
    scene.sleep(30);
    let mut watch = scene.start(WatchJobs::all().timeout(Duration::from_secs(100)));
    let lines: Vec<_> = std::iter::from_fn(|| watch.next().ok()).map(|event| line(&event)).collect();
    assert_eq!(lines, ["old FINISHED", "old ended FINISHED"], "no event when it is forgotten");
    let saved = watch.saved.expect("saved when the job was forgotten").state;
    assert!(!saved.contains(&old.to_string()), "{saved}");
    assert_eq!(scene.requests(&format!("/v1/jobs/{old}/status")), 0);
}

#[test]
fn an_id_that_is_submitted_again_appears_again() {
    let script = overviews(Script::new(), ["CANCELED", "CREATED", "FINISHED"]);
    let mut watching = scripted_watch(&script, WatchJobs::of_ids([JOB]));
    let lines: Vec<_> = (0..4).map(|_| line(&watching.next().expect("an event"))).collect();
    assert_eq!(lines, ["job CANCELED", "job ended CANCELED", "job CREATED", "job ended FINISHED"]);
}

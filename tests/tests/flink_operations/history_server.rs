//! The HistoryServer's recordings, read with the operations that it has, and a simulated HistoryServer in a world.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use http::Method;
use pipewright::Operation;
use pipewright::driver::Clock as _;
use pipewright::error::ErrorKind;
use pipewright::flink::applications::{
    GetApplication, GetApplicationConfig, GetApplicationExceptions, ListApplications,
};
use pipewright::flink::checkpoints::{GetCheckpointConfig, GetCheckpointDetails, GetCheckpoints, GetVertexCheckpoint};
use pipewright::flink::cluster::GetConfig;
use pipewright::flink::history::{Archived, FlinkHistory, FromHistory};
use pipewright::flink::jobs::{
    GetJob, GetJobAccumulators, GetJobConfig, GetJobExceptions, GetJobManagerJobConfig, GetJobManagerJobEnvironment,
    GetJobManagerLogUrl, GetJobPlan, GetJobsOverview, GetTaskManagerLogUrl, JobState,
};
use pipewright::flink::rescaling::{GetRescaleConfig, GetRescales};
use pipewright::flink::vertices::{
    GetAttempt, GetAttemptAccumulators, GetSubtaskTimes, GetVertex, GetVertexTaskManagers,
};
use pipewright::flink::{ApplicationId, AwaitJob, Flink, JobId, RunJar, VertexId};
use pipewright::operation::RequestContext;
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{FaultPlan, World};
use pipewright_tests::har::{self, Entry};

fn recording() -> Vec<Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flink/2.3.0-history-server.har");
    har::read_file(&path).expect("the recording").entries
}

/// The path that an operation asks a HistoryServer for, and how it reads the answer that was recorded for it.
fn ask<O: Archived + Debug>(recording: &[Entry], asked: &mut BTreeSet<String>, operation: O) -> O::Output {
    let operation = FromHistory(operation);
    let base = "http://127.0.0.1:8082".parse().expect("a base");
    let request = operation.request(RequestContext::new(&base)).expect("a request");
    assert_eq!(request.method(), Method::GET);
    let path = request.uri().path();
    // An id of a TaskManager may be encoded or not.
    let entry = recording
        .iter()
        .find(|entry| entry.request.uri().path().replace(':', "%3A") == path && entry.response.status() == 200)
        .unwrap_or_else(|| panic!("{path} was not recorded"));
    asked.insert(entry.name.clone());
    operation.parse(entry.response.clone()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn segment<'a>(entry: &'a Entry, behind: &str) -> &'a str {
    let mut segments = entry.request.uri().path().split('/');
    segments.find(|segment| *segment == behind).expect(behind);
    segments.next().expect("a segment")
}

#[test]
fn what_it_has_is_read_by_the_same_operations() {
    let recording = recording();
    let asked = &mut BTreeSet::new();
    let named = |part: &str| recording.iter().find(|entry| entry.name.contains(part)).expect("recorded");
    let vertex_entry = named("vertices_vertexid--ok");
    let job: JobId = segment(vertex_entry, "jobs").parse().expect("a job");
    let vertex: VertexId = segment(vertex_entry, "vertices").parse().expect("a vertex");
    let job_of = |part: &str| -> JobId { segment(named(part), "jobs").parse().expect("a job") };
    let task_manager = segment(named("taskmanagerid_log-url"), "taskmanagers").to_owned();

    assert_eq!(ask(&recording, asked, GetConfig::new()).features.web_history, Some(true));
    let overview = ask(&recording, asked, GetJobsOverview::new());
    assert!(overview.jobs.iter().any(|summary| summary.id == job && summary.state.is_terminal()));
    assert!(!ask(&recording, asked, ListApplications::new()).applications.is_empty());
    let details = ask(&recording, asked, GetJob::new(job));
    assert_eq!(details.state, JobState::Finished);
    assert!(details.vertex_ids().any(|id| id == vertex));
    assert_eq!(ask(&recording, asked, GetJobPlan::new(job)).plan.nodes.len(), details.vertices.len());
    assert_eq!(ask(&recording, asked, GetJobConfig::new(job)).name, details.name);
    assert!(ask(&recording, asked, GetJobExceptions::new(job_of("exceptions--"))).history.is_some());
    // As if the values had been asked for.
    assert!(!ask(&recording, asked, GetJobAccumulators::new(job_of("accumulators--"))).serialized.is_empty());
    ask(&recording, asked, GetCheckpoints::new(job_of("checkpoints--")));
    assert!(ask(&recording, asked, GetCheckpointConfig::new(job_of("checkpoints_config--"))).interval > Some(0));
    assert_eq!(ask(&recording, asked, GetVertex::new(job, vertex)).id, vertex);
    assert_eq!(ask(&recording, asked, GetSubtaskTimes::new(job, vertex)).id, vertex);
    assert!(!ask(&recording, asked, GetJobManagerJobConfig::new(job)).is_empty());
    assert!(ask(&recording, asked, GetJobManagerJobEnvironment::new(job)).jvm.version.is_some());
    assert!(ask(&recording, asked, GetJobManagerLogUrl::new(job)).url.starts_with("http"));
    assert!(ask(&recording, asked, GetTaskManagerLogUrl::new(job, &*task_manager)).url.starts_with("http"));

    let successes = recording.iter().filter(|entry| entry.response.status() == 200);
    let others: Vec<_> = successes.map(|entry| &entry.name).filter(|name| !asked.contains(*name)).collect();
    assert!(others.is_empty(), "recorded, and not asked for: {others:?}");
}

fn more() -> Vec<Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flink-history/2.3.0.har");
    har::read_file(&path).expect("the recording").entries
}

#[test]
fn applications_attempts_and_checkpoints_are_archived_too() {
    let recording = more();
    let asked = &mut BTreeSet::new();
    let named = |part: &str| recording.iter().find(|entry| entry.name.contains(part)).expect("recorded");
    let application: ApplicationId = segment(named("applicationid--"), "applications").parse().expect("an id");
    let job: JobId = segment(named("attempts_attempt--"), "jobs").parse().expect("a job");
    let vertex: VertexId = segment(named("attempts_attempt--"), "vertices").parse().expect("a vertex");
    assert!(ask(&recording, asked, GetApplication::new(application)).status.is_terminal());
    assert!(ask(&recording, asked, GetApplicationExceptions::new(application)).history.is_some());
    assert!(!ask(&recording, asked, GetApplicationConfig::new(application)).is_empty());
    assert_eq!(ask(&recording, asked, GetCheckpointDetails::new(job, 1)).id, 1);
    assert_eq!(ask(&recording, asked, GetVertexCheckpoint::new(job, 1, vertex)).id, 1);
    assert_eq!(ask(&recording, asked, GetVertexTaskManagers::new(job, vertex)).id, vertex);
    assert_eq!(ask(&recording, asked, GetAttempt::new(job, vertex, 0_u32, 0_u32)).attempt, Some(0));
    assert_eq!(ask(&recording, asked, GetAttemptAccumulators::new(job, vertex, 0_u32, 0_u32)).subtask, 0);
}

/// Its files were written when the job was archived, and some answers were rejections.
#[test]
fn an_archived_rejection_is_a_rejection_whatever_its_status() {
    let recording = more();
    let rejected = |part: &str| {
        let entry = recording.iter().find(|entry| entry.name.contains(part)).expect("recorded");
        assert_eq!(entry.response.status(), 200);
        entry.response.clone()
    };
    let job = JobId::from_bits(1);
    let config = FromHistory(GetRescaleConfig::new(job)).parse(rejected("rescales_config")).expect_err("a refusal");
    let history = FromHistory(GetRescales::new(job)).parse(rejected("rescales_history")).expect_err("a refusal");
    for (error, words) in [(config, "AdaptiveScheduler is not enabled"), (history, "has not enabled the `Adaptive`")] {
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Rejected, false), "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

/// Unlike a JobManager, it decodes a path once, and takes a plus for a plus.
#[test]
fn its_paths_are_encoded_once() {
    let recording = more();
    let status = |part: &str| {
        recording.iter().find(|entry| entry.name.ends_with(part)).expect("recorded").response.status().as_u16()
    };
    assert_eq!((status("--encoded-once"), status("--encoded-twice")), (200, 404));
    let base = "http://127.0.0.1:8082/history".parse().expect("a base");
    let operation = GetTaskManagerLogUrl::new(JobId::from_bits(1), "a+b%:1");
    let path = |request: http::Request<pipewright::Body>| {
        let (_, rest) = request.uri().path().split_once("/taskmanagers/").expect("a TaskManager");
        rest.to_owned()
    };
    let twice = operation.request(RequestContext::new(&base)).expect("a request");
    assert_eq!(path(twice), "a%252Bb%2525%3A1/log-url");
    let once = FromHistory(operation).request(RequestContext::new(&base)).expect("a request");
    assert!(once.uri().path().starts_with("/history/jobs/"), "{}", once.uri());
    assert_eq!(path(once), "a%2Bb%25%3A1/log-url");
}

#[test]
fn what_it_does_not_have_is_rejected_in_its_words() {
    let operation = FromHistory(GetJob::new(JobId::from_bits(1)));
    let rejections: Vec<_> =
        recording().into_iter().chain(more()).filter(|entry| entry.response.status() == 404).collect();
    assert!(!rejections.is_empty(), "none was recorded");
    for entry in rejections {
        let error = operation.parse(entry.response).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Rejected, "{}", entry.name);
        assert!(error.message().contains("File not found") && !error.is_transient(), "{}: {error}", entry.name);
    }
}

/// A job that the cluster has forgotten is read from the HistoryServer, whatever goes wrong on the way.
#[test]
fn what_a_cluster_forgets_is_read_from_its_history() {
    for seed in 0..50 {
        let world = World::new(seed);
        let cluster = world.flink("http://flink.test:8081".parse().expect("a base"), Config::default());
        let archive = world.flink_history("http://flink.test:8082".parse().expect("a base"), &cluster);
        let flink = Flink::new(cluster.base(), world.clone());
        let history = FlinkHistory::new(archive.base(), world.clone());
        let program = Program::bounded("nightly", 300).fails_after(100_u64).fails_times(1).restarts(3);
        let job = flink.run(RunJar::upload("a.jar", program.jar())).expect("submitted").job;
        let report = flink.run(AwaitJob::ended(job)).expect("it ends");
        let details = flink.call(GetJob::new(job)).expect("it is still known");
        world.sleep_until(world.now() + Duration::from_secs(20));
        cluster.restart(Duration::ZERO);
        assert!(flink.call(GetJob::new(job)).is_err(), "forgotten");

        world.set_faults(FaultPlan::hostile(seed).at_most(30));
        let kept = history.call(FromHistory(GetJob::new(job))).expect("archived");
        assert_eq!((&kept.name, &kept.state), (&details.name, &report.state));
        assert_eq!(kept.vertex_ids().collect::<Vec<_>>(), details.vertex_ids().collect::<Vec<_>>());
        let overview = history.call(FromHistory(GetJobsOverview::new())).expect("archived");
        assert_eq!(overview.jobs.iter().map(|summary| summary.id).collect::<Vec<_>>(), [job]);
        let exceptions = history.call(FromHistory(GetJobExceptions::new(job))).expect("archived");
        assert_eq!(exceptions.history.map(|history| history.entries.len()), Some(1));
        let counted = history.call(FromHistory(GetJobAccumulators::new(job))).expect("archived");
        assert_eq!(counted.tasks[0].value.as_deref(), Some("300"));
        assert!(history.call(FromHistory(GetCheckpoints::new(job))).is_ok());
        let unknown = history.call(FromHistory(GetJob::new(JobId::from_bits(1)))).expect_err("unknown");
        assert!(unknown.to_string().contains("File not found"), "{unknown}");
    }
}

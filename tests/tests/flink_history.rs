//! The HistoryServer's recording, read with the operations that it has.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use http::Method;
use pipewright::Operation;
use pipewright::error::ErrorKind;
use pipewright::flink::applications::ListApplications;
use pipewright::flink::checkpoints::GetCheckpointConfig;
use pipewright::flink::history::Archived;
use pipewright::flink::jobs::{
    GetJobConfig, GetJobManagerJobConfig, GetJobManagerJobEnvironment, GetJobManagerLogUrl, GetJobPlan,
    GetTaskManagerLogUrl, JobState,
};
use pipewright::flink::vertices::{GetSubtaskTimes, GetVertex};
use pipewright::flink::{
    FromHistory, GetCheckpoints, GetConfig, GetJob, GetJobAccumulators, GetJobExceptions, GetJobsOverview, JobId,
    VertexId,
};
use pipewright::operation::RequestContext;
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
    assert!(ask(&recording, asked, GetCheckpointConfig::new(job_of("checkpoints_config--"))).interval > 0);
    assert_eq!(ask(&recording, asked, GetVertex::new(job, vertex)).id, vertex);
    assert_eq!(ask(&recording, asked, GetSubtaskTimes::new(job, vertex)).id, vertex);
    assert!(!ask(&recording, asked, GetJobManagerJobConfig::new(job)).is_empty());
    assert!(!ask(&recording, asked, GetJobManagerJobEnvironment::new(job)).jvm.version.is_empty());
    assert!(ask(&recording, asked, GetJobManagerLogUrl::new(job)).url.starts_with("http"));
    assert!(ask(&recording, asked, GetTaskManagerLogUrl::new(job, &*task_manager)).url.starts_with("http"));

    let successes = recording.iter().filter(|entry| entry.response.status() == 200);
    let others: Vec<_> = successes.map(|entry| &entry.name).filter(|name| !asked.contains(*name)).collect();
    assert!(others.is_empty(), "recorded, and not asked for: {others:?}");
}

#[test]
fn what_it_does_not_have_is_refused_in_its_words() {
    let operation = FromHistory(GetJob::new(JobId::from_bits(1)));
    let refusals: Vec<_> = recording().into_iter().filter(|entry| entry.response.status() == 404).collect();
    assert!(!refusals.is_empty(), "none was recorded");
    for entry in refusals {
        let error = operation.parse(entry.response).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Refused, "{}", entry.name);
        assert!(error.message().contains("File not found") && !error.is_transient(), "{}: {error}", entry.name);
    }
}

//! Peculiarities of Flink, each with the recording that shows it.

use std::path::Path;

use pipewright::error::{BuildError, ServiceError};
use pipewright::flink::checkpoints::{GetCheckpointStatus, GetCheckpoints};
use pipewright::flink::cluster::GetConfig;
use pipewright::flink::jars::{DeleteJar, GetJarPlan, SubmitJar};
use pipewright::flink::jobs::{CancelJob, GetJob, GetJobExceptions, GetJobExecutionResult, GetJobStatus};
use pipewright::flink::metrics::{GetJobManagerMetrics, GetJobMetrics};
use pipewright::flink::savepoints::{GetSavepointStatus, StartSavepoint};
use pipewright::flink::taskmanagers::GetTaskManager;
use pipewright::flink::vertices::{BackPressureLevel, GetBackPressure, SampleState};
use pipewright::flink::{AwaitJob, JobId, TriggerId, VertexId, is_unknown_job};
use pipewright::flow::{Config, Flow, Goal, Step};
use pipewright::operation::RequestContext;
use pipewright::{Base, Operation, Seed, Timestamp};
use pipewright_tests::har::{self, Entry};

const JOB: JobId = JobId::from_bits(1);
const TRIGGER: TriggerId = TriggerId::from_bits(2);

fn entry(file: &str, name: &str) -> Entry {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/flink/{file}.har"));
    let entries = har::read_file(&path).expect("the recording").entries;
    entries.into_iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("{file} has no {name}"))
}

fn read<O: Operation>(operation: &O, file: &str, name: &str) -> Result<O::Output, ServiceError> {
    operation.parse(entry(file, name).response)
}

#[test]
fn completed_may_be_a_failure_under_either_spelling() {
    let savepoint = GetSavepointStatus::new(JOB, TRIGGER);
    let savepoint = read(&savepoint, "2.3.0", "GET_jobs_jobid_savepoints_triggerid--unknown-job-done").expect("200");
    let cause = savepoint.outcome().expect("over").expect_err("failed").cause();
    assert_eq!(cause.simple_class(), "FlinkJobNotFoundException", "{cause}");
    // `failureCause` instead of `failure-cause`.
    let checkpoint = GetCheckpointStatus::new(JOB, TRIGGER);
    let name = "GET_jobs_jobid_checkpoints_triggerid--checkpointing-off-failed";
    let checkpoint = read(&checkpoint, "2.3.0-cases", name).expect("200");
    assert!(!checkpoint.outcome().expect("over").expect_err("failed").cause().message.is_empty());
}

#[test]
fn nan_is_a_number() {
    let details = pipewright::flink::checkpoints::GetVertexCheckpoint::new(JOB, 1, VertexId::from_bits(3));
    let name = "GET_jobs_jobid_checkpoints_details_checkpointid_subtasks_vertexid--completed";
    let summary = read(&details, "2.3.0-inside-cases", name).expect("200").summary.expect("a summary");
    assert!(summary.state_size.p50.expect("a median").is_nan());
    assert!(summary.state_size.min > Some(0));
}

#[test]
fn an_unknown_job_is_known_by_more_than_its_status() {
    let unknown = |error: ServiceError| (error.status().as_u16(), is_unknown_job(&error));
    let file = "2.3.0";
    let details = read(&GetJob::new(JOB), file, "GET_jobs_jobid--unknown-job");
    assert_eq!(details.map_err(unknown).expect_err("refused"), (404, true));
    let exceptions = read(&GetJobExceptions::new(JOB), file, "GET_jobs_jobid_exceptions--unknown-job");
    assert_eq!(exceptions.map_err(unknown).expect_err("refused"), (404, true));
    let result = read(&GetJobExecutionResult::new(JOB), file, "GET_jobs_jobid_execution-result--unknown-job");
    assert_eq!(result.map_err(unknown).expect_err("refused"), (404, true));
    let status = read(&GetJobStatus::new(JOB), file, "GET_jobs_jobid_status--unknown-job");
    assert_eq!(status.map_err(unknown).expect_err("refused"), (500, true));
    // Not refused at all.
    assert!(read(&StartSavepoint::new(JOB), file, "POST_jobs_jobid_savepoints--unknown-job").is_ok());
    let file = "2.3.0-inside-cases";
    let metrics = read(&GetJobMetrics::new(JOB), file, "GET_jobs_jobid_metrics--unknown-job");
    assert_eq!(metrics.expect("200"), []);
    let pressure = GetBackPressure::new(JOB, VertexId::from_bits(3));
    let name = "GET_jobs_jobid_vertices_vertexid_backpressure--unknown-vertex";
    let pressure = read(&pressure, file, name).expect("200");
    assert_eq!((pressure.status, pressure.level), (Some(SampleState::Deprecated), None));
}

#[test]
fn what_stands_under_two_names_is_read_once() {
    let pressure = GetBackPressure::new(JOB, VertexId::from_bits(3));
    // 1.13 has only the second name.
    for file in ["1.13.6-inside", "2.3.0-inside"] {
        let pressure = read(&pressure, file, "GET_jobs_jobid_vertices_vertexid_backpressure--running").expect("200");
        assert!(matches!(
            pressure.level,
            Some(BackPressureLevel::Ok | BackPressureLevel::Low | BackPressureLevel::High)
        ));
        assert!(!pressure.subtasks.is_empty());
    }
}

#[test]
fn unknown_things_other_than_jobs_get_other_statuses() {
    let status = |error: ServiceError| (error.status().as_u16(), error.is_transient());
    let manager = read(&GetTaskManager::new("a"), "2.3.0-inside", "GET_taskmanagers_taskmanagerid--unknown");
    assert_eq!(manager.map_err(status).expect_err("refused"), (500, false));
    let run = entry_of("submitJobFromJar", "does not exist");
    assert_eq!(SubmitJar::new("a.jar").parse(run.response).map_err(status).expect_err("refused"), (500, false));
    let delete = entry_of("deleteJar", "does not exist");
    assert_eq!(DeleteJar::new("a.jar").parse(delete.response).map_err(status).expect_err("refused"), (400, false));
    let cancel = read(&CancelJob::new(JOB), "2.3.0-cases", "PATCH_jobs_jobid--already-failed");
    assert_eq!(cancel.map_err(status).expect_err("refused"), (409, false));
}

/// A refusal of an operation that says something.
fn entry_of(operation: &str, text: &str) -> Entry {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flink");
    let recordings = har::read_folder(&folder).expect("the recordings");
    let mut entries = recordings.into_iter().filter(|recording| recording.name.starts_with("2.3.0"));
    let found = entries.by_ref().find_map(|recording| {
        recording.entries.into_iter().find(|entry| {
            pipewright_tests::routes::of("flink", entry).is_some_and(|info| info.name == operation)
                && String::from_utf8_lossy(entry.response.body()).contains(text)
        })
    });
    found.unwrap_or_else(|| panic!("no refusal of {operation} says {text}"))
}

#[test]
fn a_wrapped_exception_is_readable() {
    let error = read(&GetTaskManager::new("a"), "2.3.0-inside", "GET_taskmanagers_taskmanagerid--unknown");
    let error = error.expect_err("refused");
    assert_eq!(error.code(), Some("UnknownTaskExecutorException"));
    assert!(error.message().starts_with("No TaskExecutor registered under"), "{error}");
    assert!(!error.to_string().contains("\tat "), "no stack trace in the short text: {error}");
    assert!(error.details().is_some_and(|details| details.contains("\tat ")), "and all of it in the details");
    // Nor does a program that ends with the error print pages.
    let (short, long) = (format!("{error:?}"), format!("{error:#?}"));
    assert!(short.len() < 500 && long.contains("ResourceManager.java"), "{short}");
    let result = GetJobExecutionResult::new(JOB);
    let result = read(&result, "2.3.0", "GET_jobs_jobid_execution-result--failed").expect("200").result.expect("over");
    let throwable = result.failure_cause.expect("why");
    let cause = throwable.cause();
    assert_ne!(Some(&cause.class), throwable.class.as_ref(), "the wrapper is not the cause");
    assert!(!cause.message.is_empty() && !cause.message.contains('\n'), "{cause}");
}

/// The details come from a cache that is up to 3 s old, and are never asked for to decide.
#[test]
fn the_status_decides_and_not_the_cached_details() {
    let config = Config::new("http://127.0.0.1:8081".parse().expect("a base"));
    let job: JobId = "760782e0088b5f0498ae5975030bb7c9".parse().expect("a job");
    let mut flow = AwaitJob::ended(job).start(&config, Seed::new(1));
    let mut reply = None;
    let report = loop {
        match flow.poll(Timestamp::from_millis(1), reply.take()) {
            Step::Send(exchange) => {
                let (file, name) = match exchange.info().name {
                    "getJobStatusInfo" => ("2.3.0-cases", "GET_jobs_jobid_status--failed"),
                    "getJobExecutionResult" => ("2.3.0", "GET_jobs_jobid_execution-result--failed"),
                    other => panic!("{other} was asked"),
                };
                reply = Some(exchange.settle(Ok(entry(file, name).response)));
            }
            Step::Notice(_) => {}
            Step::Done(result) => break result.expect("a report"),
            other => panic!("{other:?}"),
        }
    };
    assert!(report.state.is_terminal() && report.result.is_some());
}

#[test]
fn an_id_is_encoded_for_a_server_that_decodes_twice() {
    let base: Base = "http://127.0.0.1:8081".parse().expect("a base");
    let path = |operation: DeleteJar| {
        operation.request(RequestContext::new(&base)).expect("a request").uri().path().to_owned()
    };
    assert_eq!(path(DeleteJar::new("a+b%.jar")), "/v1/jars/a%252Bb%2525.jar");
    // As recorded: once is not enough for a plus, and the server looks for a blank.
    let file = "2.3.0-inside-cases";
    let twice = entry(file, "DELETE_jars_jarid--plus-encoded-twice");
    let id = twice.request.uri().path().rsplit('/').next().expect("an id").replace("%252B", "+");
    assert_eq!(path(DeleteJar::new(&*id)), twice.request.uri().path());
    assert!(DeleteJar::new(&*id).parse(twice.response).is_ok());
    let rejected = read(&DeleteJar::new(&*id), file, "DELETE_jars_jarid--plus-encoded-once").expect_err("refused");
    assert!(rejected.message().contains("a b.jar"), "{rejected}");
    // What was recorded with an id that is encoded once, and does not need it twice.
    let recorded = entry("2.3.0-inside-cases", "GET_taskmanagers_taskmanagerid--percent-encoded");
    let id = recorded.request.uri().path().rsplit('/').next().expect("an id").replace("%3A", ":");
    let request = GetTaskManager::new(&*id).request(RequestContext::new(&base)).expect("a request");
    assert_eq!(request.uri().path(), recorded.request.uri().path());
    assert_eq!(recorded.response.status(), 200);
}

/// As recorded: the server answers a line of more than 4096 bytes as if it were an unknown path. Ours is not sent.
#[test]
fn a_line_that_is_too_long_is_rejected_here_and_not_there() {
    let recorded = entry("2.3.0-inside-cases", "GET_jobmanager_metrics--line-too-long");
    let query = recorded.request.uri().query().expect("a query").strip_prefix("get=").expect("names");
    let operation = GetJobManagerMetrics::new().names(query.split(',').collect::<Vec<_>>());
    let base: Base = "http://127.0.0.1:8081".parse().expect("a base");
    let error = operation.request(RequestContext::new(&base)).expect_err("too long");
    assert!(matches!(error, BuildError::TooLong { limit: 4096, .. }), "{error}");
    let rejected = operation.parse(recorded.response).expect_err("refused");
    assert_eq!((rejected.status().as_u16(), rejected.is_transient()), (404, false));
    assert!(rejected.message().contains("/bad-request"), "{rejected}");
}

/// The server splits what it has decoded: a comma in a value would make two of it, and no error would show it.
#[test]
fn a_comma_in_a_list_is_rejected_here_because_the_server_would_not() {
    let base: Base = "http://127.0.0.1:8081".parse().expect("a base");
    let cx = || RequestContext::new(&base);
    let plan = GetJarPlan::new("a.jar").program_args(["--topics", "a,b"]);
    let error = plan.request(cx()).expect_err("three arguments").to_string();
    assert!(error.contains("getPlanFromJar") && error.contains("a,b") && error.contains("comma"), "{error}");
    let labels = GetJobExceptions::new(JOB).failure_labels(["type:a,b"]);
    assert!(matches!(labels.request(cx()), Err(BuildError::Value { parameter: "failureLabelFilter", .. })));
    assert!(GetJarPlan::new("a.jar").program_args(["--topics", "a"]).request(cx()).is_ok());
}

#[test]
fn the_version_chooses() {
    let version = |file: &str| {
        let config = read(&GetConfig::new(), file, "GET_config--ok").expect("200");
        config.version().expect("a version")
    };
    assert!(version("1.20.5") >= pipewright::flink::cluster::FlinkVersion::CLAIM_MODE);
    assert!(version("2.3.0") > version("1.20.5"));
    let checkpoints = read(&GetCheckpoints::new(JOB), "1.13.6", "GET_jobs_jobid_checkpoints--running").expect("200");
    assert_eq!(checkpoints.summary.checkpointed_size, None, "1.13 does not have it yet");
}

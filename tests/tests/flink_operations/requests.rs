//! The request of every operation, with the required parameters only and with every option.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use http::{HeaderMap, HeaderValue, Request, header};
use pipewright::flink::applications::{
    CancelApplication, GetApplication, GetApplicationConfig, GetApplicationExceptions, ListApplications,
};
use pipewright::flink::checkpoints::{
    CheckpointType, GetCheckpointConfig, GetCheckpointDetails, GetCheckpointStatus, GetCheckpoints,
    GetVertexCheckpoint, StartCheckpoint,
};
use pipewright::flink::cluster::{GetConfig, GetOverview, ShutdownCluster};
use pipewright::flink::datasets::{GetDatasetDeletion, ListDatasets, StartDatasetDeletion};
use pipewright::flink::disposal::{GetSavepointDisposal, StartSavepointDisposal};
use pipewright::flink::flamegraph::{FlameGraphKind, GetFlameGraph};
use pipewright::flink::jars::{
    ClaimMode, DeleteJar, GetJarPlan, ListJars, PlanJar, RunApplication, SubmitJar, UploadJar,
};
use pipewright::flink::jobmanager::{
    GetJobManagerConfig, GetJobManagerEnvironment, GetJobManagerLog, GetJobManagerLogFile, GetJobManagerStdout,
    GetJobManagerThreadDump, ListJobManagerLogs,
};
use pipewright::flink::jobs::{
    CancelJob, Coordinate, GetJob, GetJobAccumulators, GetJobConfig, GetJobExceptions, GetJobExecutionResult,
    GetJobManagerJobConfig, GetJobManagerJobEnvironment, GetJobManagerLogUrl, GetJobPlan, GetJobStatus, GetJobs,
    GetJobsOverview, GetTaskManagerLogUrl, SendHeartbeat, SubmitGraph, TerminationMode, YarnCancelJob, YarnStopJob,
};
use pipewright::flink::metrics::{
    Aggregation, GetAggregatedJobMetrics, GetAggregatedSubtaskMetrics, GetAggregatedTaskManagerMetrics,
    GetCoordinatorMetrics, GetJobManagerMetrics, GetJobMetrics, GetSubtaskMetrics, GetTaskManagerMetrics,
    GetVertexMetrics,
};
use pipewright::flink::profiler::{
    GetJobManagerProfile, GetTaskManagerProfile, ListJobManagerProfiles, ListTaskManagerProfiles, ProfileMode,
    StartJobManagerProfile, StartTaskManagerProfile,
};
use pipewright::flink::rescaling::{
    GetRescale, GetRescaleConfig, GetRescales, GetRescalesOverview, GetRescalesSummary, GetRescalingStatus,
    GetResourceRequirements, ParallelismBounds, PutResourceRequirements, ResourceRequirements, StartRescaling,
};
use pipewright::flink::savepoints::{GetSavepointStatus, SavepointFormat, StartSavepoint, StartStop};
use pipewright::flink::taskmanagers::{
    GetTaskManager, GetTaskManagerLog, GetTaskManagerLogFile, GetTaskManagerStdout, GetTaskManagerThreadDump,
    ListTaskManagerLogs, ListTaskManagers,
};
use pipewright::flink::vertices::{
    GetAttempt, GetAttemptAccumulators, GetBackPressure, GetSubtask, GetSubtaskAccumulators, GetSubtaskTimes,
    GetVertex, GetVertexAccumulators, GetVertexTaskManagers, GetWatermarks,
};
use pipewright::flink::{
    ApplicationId, CommaList, DatasetId, JobId, Millis, RescaleId, TaskManagerId, TriggerId, VertexId,
};
use pipewright::flow::{Call, Config, Flow, Step};
use pipewright::operation::{OperationInfo, RequestContext};
use pipewright::snowpipe::RequestId;
use pipewright::snowpipe::account::{ExchangeToken, GetHostname, TokenType};
use pipewright::snowpipe::append::{AppendRows, Encoding};
use pipewright::snowpipe::channels::{BulkGetChannelStatus, DropChannelOperation, OpenChannelOperation};
use pipewright::snowpipe::elastic::{AppendElasticOperation, AppendElasticToTable};
use pipewright::{Base, Body, Operation, Seed, Timestamp};
use pipewright_tests::documented;

const JOB: JobId = JobId::from_bits(0x4c7e_6f1c_8d3b_0a5f_d2e1_9a7b_3c8d_4e5f);
const OTHER_JOB: JobId = JobId::from_bits(0xa);
const TRIGGER: TriggerId = TriggerId::from_bits(0xb);
const VERTEX: VertexId = VertexId::from_bits(0xc);
const APPLICATION: ApplicationId = ApplicationId::from_bits(0xd);
const TASK_MANAGER: &str = "127.0.0.1:45775-f84075";
const JAR: &str = "6d2c1f3e-0b6c-4a55-9c0e-6a4a7f9d2b11_word count+1.jar";

/// The requests of an operation: the smallest, and the largest.
struct Sample {
    name: &'static str,
    /// The operation's type with its path.
    kind: &'static str,
    info: &'static OperationInfo,
    minimal: String,
    full: Option<String>,
}

fn sample<O: Operation + Debug>(minimal: &O, full: Option<&O>) -> Sample {
    if let Some(full) = full {
        let shown = format!("{full:?}");
        assert!(!shown.contains(": None"), "an option of {} is not set: {shown}", O::INFO.name);
    } else {
        let shown = format!("{minimal:?}");
        assert!(!shown.contains(": None"), "{} has options: {shown}", O::INFO.name);
    }
    Sample {
        name: O::INFO.name,
        kind: std::any::type_name::<O>(),
        info: O::INFO,
        minimal: build(minimal),
        full: full.map(build),
    }
}

fn build<O: Operation>(operation: &O) -> String {
    let base: Base = "https://proxy.example:8443/flink".parse().expect("a base");
    let cx = RequestContext::new(&base);
    let text = text(&operation.request(cx).expect("a request"));
    format!("{text}\n-- {:?}\n", operation.effect())
}

/// Method and URI, the headers by name, and the body.
fn text(request: &Request<Body>) -> String {
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    let mut headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = if value.is_sensitive() { "(sensitive)" } else { value.to_str().expect("printable") };
            format!("{name}: {value}")
        })
        .collect();
    headers.sort_unstable();
    lines.extend(headers);
    let body = request.body().read().expect("in memory");
    if !body.is_empty() {
        lines.push(String::new());
        lines.push(String::from_utf8(body.into()).expect("text").replace('\r', "␍"));
    }
    lines.join("\n")
}

fn arguments() -> Vec<String> {
    ["--name", "a \"b\", c", "", "é"].map(str::to_owned).into()
}

fn configuration() -> BTreeMap<String, String> {
    [("pipeline.name", "nightly"), ("restart-strategy.type", "none")].map(|(k, v)| (k.into(), v.into())).into()
}

fn jars() -> Vec<Sample> {
    let plan = PlanJar::new(JAR)
        .entry_class("demo.Main")
        .program_args(arguments())
        .parallelism(4)
        .job_id(OTHER_JOB)
        .flink_configuration(configuration());
    let run = SubmitJar::new(JAR)
        .entry_class("demo.Main")
        .program_args(arguments())
        .parallelism(-1)
        .job_id(JOB)
        .allow_non_restored_state(true)
        .savepoint_path("s3://bucket/savepoint-1")
        .claim_mode(ClaimMode::NoClaim)
        .restore_mode(ClaimMode::Legacy)
        .flink_configuration(configuration());
    let upload = UploadJar::new("word count+1%.jar", "PK\u{3}\u{4}");
    vec![
        sample(&ListJars::new(), None),
        sample(&DeleteJar::new(JAR), None),
        sample(&PlanJar::new("a.jar"), Some(&plan)),
        sample(&SubmitJar::new("a.jar"), Some(&run)),
        sample(&upload, Some(&UploadJar::new("é.jar", "").boundary(1))),
    ]
}

fn jobs() -> Vec<Sample> {
    vec![
        sample(&GetJobs::new(), None),
        sample(&GetJobsOverview::new(), None),
        sample(&GetJob::new(JOB), None),
        sample(&GetJobStatus::new(OTHER_JOB), None),
        sample(&CancelJob::new(JOB), Some(&CancelJob::new(JOB).mode(TerminationMode::Cancel))),
        sample(
            &GetJobExceptions::new(JOB),
            Some(&GetJobExceptions::new(JOB).max_exceptions(0_u32).failure_labels(["type:user", "a b:c"])),
        ),
        sample(&GetJobExecutionResult::new(JOB), None),
        sample(&GetJobAccumulators::new(JOB), Some(&GetJobAccumulators::new(JOB).include_serialized_value(true))),
    ]
}

fn snapshots() -> Vec<Sample> {
    let savepoint = StartSavepoint::new(JOB)
        .target_directory("s3://bucket/savepoints")
        .cancel_job(false)
        .format_type(SavepointFormat::Native)
        .trigger_id(TRIGGER);
    let stop = StartStop::new(JOB)
        .target_directory("file:///tmp/a \"b\"\n")
        .drain(true)
        .format_type(SavepointFormat::Canonical)
        .trigger_id(TRIGGER);
    let checkpoint = StartCheckpoint::new(JOB).checkpoint_type(CheckpointType::Incremental).trigger_id(TRIGGER);
    vec![
        sample(&StartSavepoint::new(JOB), Some(&savepoint)),
        sample(&StartStop::new(JOB), Some(&stop)),
        sample(&GetSavepointStatus::new(JOB, TRIGGER), None),
        sample(&GetCheckpoints::new(JOB), None),
        sample(&StartCheckpoint::new(JOB), Some(&checkpoint)),
        sample(&GetCheckpointStatus::new(JOB, TRIGGER), None),
    ]
}

fn names() -> CommaList<String> {
    // One that must not be taken for the name of two.
    CommaList::from(["numRecordsIn", "0.Sink__a b+c%2C", "é"])
}

fn aggregations() -> CommaList<Aggregation> {
    CommaList::from([Aggregation::Min, Aggregation::Skew])
}

fn metrics() -> Vec<Sample> {
    let of_task_managers = GetAggregatedTaskManagerMetrics::new()
        .names(names())
        .aggregations(aggregations())
        .task_managers([TASK_MANAGER, "b"]);
    let of_jobs = GetAggregatedJobMetrics::new().names(names()).aggregations(aggregations()).jobs(vec![JOB, OTHER_JOB]);
    let of_subtasks =
        GetAggregatedSubtaskMetrics::new(JOB, VERTEX).names(names()).aggregations(aggregations()).subtasks("0-2,5");
    vec![
        sample(&GetJobManagerMetrics::new(), Some(&GetJobManagerMetrics::new().names(names()))),
        sample(
            &GetTaskManagerMetrics::new(TASK_MANAGER),
            Some(&GetTaskManagerMetrics::new(TaskManagerId::from("a/b+c%")).names(names())),
        ),
        sample(&GetAggregatedTaskManagerMetrics::new(), Some(&of_task_managers)),
        sample(&GetJobMetrics::new(JOB), Some(&GetJobMetrics::new(JOB).names(names()))),
        sample(&GetAggregatedJobMetrics::new(), Some(&of_jobs)),
        sample(&GetVertexMetrics::new(JOB, VERTEX), Some(&GetVertexMetrics::new(JOB, VERTEX).names(names()))),
        sample(&GetCoordinatorMetrics::new(JOB, VERTEX), Some(&GetCoordinatorMetrics::new(JOB, VERTEX).names(names()))),
        sample(
            &GetSubtaskMetrics::new(JOB, VERTEX, 7_u32),
            Some(&GetSubtaskMetrics::new(JOB, VERTEX, 7_u32).names(names())),
        ),
        sample(&GetAggregatedSubtaskMetrics::new(JOB, VERTEX), Some(&of_subtasks)),
    ]
}

fn processes() -> Vec<Sample> {
    vec![
        sample(&ShutdownCluster::new(), None),
        sample(&GetJobManagerConfig::new(), None),
        sample(&GetJobManagerEnvironment::new(), None),
        sample(&ListJobManagerLogs::new(), None),
        sample(&GetJobManagerLog::new(), None),
        sample(&GetJobManagerStdout::new(), None),
        sample(&GetJobManagerLogFile::new("flink jobmanager.log"), None),
        sample(&GetJobManagerThreadDump::new(), None),
        sample(&ListTaskManagers::new(), None),
        sample(&GetTaskManager::new(TASK_MANAGER), None),
        sample(&ListTaskManagerLogs::new(TASK_MANAGER), None),
        sample(&GetTaskManagerLog::new(TASK_MANAGER), None),
        sample(&GetTaskManagerStdout::new(TASK_MANAGER), None),
        sample(&GetTaskManagerLogFile::new(TASK_MANAGER, "a+b%.log"), None),
        sample(&GetTaskManagerThreadDump::new(TASK_MANAGER), None),
    ]
}

fn vertices() -> Vec<Sample> {
    vec![
        sample(&GetVertex::new(JOB, VERTEX), None),
        sample(&GetVertexAccumulators::new(JOB, VERTEX), None),
        sample(&GetBackPressure::new(JOB, VERTEX), None),
        sample(&GetSubtaskTimes::new(JOB, VERTEX), None),
        sample(&GetVertexTaskManagers::new(JOB, VERTEX), None),
        sample(&GetWatermarks::new(JOB, VERTEX), None),
        sample(&GetSubtaskAccumulators::new(JOB, VERTEX), None),
        sample(&GetSubtask::new(JOB, VERTEX, 1_u32), None),
        sample(&GetAttempt::new(JOB, VERTEX, 1_u32, 2_u32), None),
        sample(&GetAttemptAccumulators::new(JOB, VERTEX, 1_u32, 2_u32), None),
        sample(&GetCheckpointConfig::new(JOB), None),
        sample(&GetCheckpointDetails::new(JOB, 42), None),
        sample(&GetVertexCheckpoint::new(JOB, 42, VERTEX), None),
    ]
}

fn applications() -> Vec<Sample> {
    let run = RunApplication::new(JAR)
        .entry_class("demo.Main")
        .program_args(arguments())
        .parallelism(-1)
        .job_id(JOB)
        .allow_non_restored_state(true)
        .savepoint_path("s3://bucket/savepoint-1")
        .claim_mode(ClaimMode::Claim)
        .flink_configuration(configuration())
        .application_id(APPLICATION);
    vec![
        sample(&ListApplications::new(), None),
        sample(&GetApplication::new(APPLICATION), None),
        sample(&CancelApplication::new(APPLICATION), None),
        sample(&GetApplicationExceptions::new(APPLICATION), None),
        sample(&GetApplicationConfig::new(APPLICATION), None),
        sample(&RunApplication::new("a.jar"), Some(&run)),
    ]
}

fn more_of_jobs() -> Vec<Sample> {
    let plan = GetJarPlan::new(JAR).entry_class("demo.Main").program_args(["--name", "a b"]).parallelism(4);
    let graph = SubmitGraph::new("graph")
        .jar("a.jar", "PK\u{3}\u{4}")
        .artifact("model", "é.bin", "")
        .before_2_0(true)
        .boundary(1);
    vec![
        sample(&GetJarPlan::new("a.jar"), Some(&plan)),
        sample(&GetJobConfig::new(JOB), None),
        sample(&GetJobPlan::new(JOB), None),
        sample(&GetJobManagerJobConfig::new(JOB), None),
        sample(&GetJobManagerJobEnvironment::new(JOB), None),
        sample(&GetJobManagerLogUrl::new(JOB), None),
        sample(&GetTaskManagerLogUrl::new(JOB, TASK_MANAGER), None),
        sample(&SendHeartbeat::new(JOB, Millis(1_795_301_341_871)), None),
        sample(&SubmitGraph::new("graph"), Some(&graph)),
        sample(&Coordinate::new(JOB, "collect sink", "rO0AB"), None),
        sample(&YarnCancelJob::new(JOB), None),
        sample(&YarnStopJob::new(JOB), None),
    ]
}

fn upkeep() -> Vec<Sample> {
    let flames = GetFlameGraph::new(JOB, VertexId::from_bits(1)).kind(FlameGraphKind::OffCpu).subtask(0_u32);
    let requirements = ResourceRequirements::default()
        .with(VertexId::from_bits(2), ParallelismBounds::new(1, 4))
        .with(VertexId::from_bits(1), ParallelismBounds::new(2, 2));
    vec![
        sample(&ListDatasets::new(), None),
        sample(&StartDatasetDeletion::new(DatasetId::from_bits(3)), None),
        sample(&GetDatasetDeletion::new(TRIGGER), None),
        sample(&StartSavepointDisposal::new("s3://bucket/savepoint-1 \"b\""), None),
        sample(&GetSavepointDisposal::new(TRIGGER), None),
        sample(&GetFlameGraph::new(JOB, VertexId::from_bits(1)), Some(&flames)),
        sample(&ListJobManagerProfiles::new(), None),
        sample(&StartJobManagerProfile::new(ProfileMode::Itimer, 300_u32), None),
        sample(&GetJobManagerProfile::new("JobManager_ITIMER_2026-11-21_22_47_50.html"), None),
        sample(&ListTaskManagerProfiles::new(TASK_MANAGER), None),
        sample(&StartTaskManagerProfile::new(TASK_MANAGER, ProfileMode::Wall, 1_u32), None),
        sample(&GetTaskManagerProfile::new(TASK_MANAGER, "127.0.0.1:1_WALL_1.html"), None),
        sample(&GetResourceRequirements::new(JOB), None),
        sample(&PutResourceRequirements::new(JOB, requirements), None),
        sample(&GetRescaleConfig::new(JOB), None),
        sample(&GetRescale::new(JOB, RescaleId::from_bits(4)), None),
        sample(&GetRescales::new(JOB), None),
        sample(&GetRescalesOverview::new(JOB), None),
        sample(&GetRescalesSummary::new(JOB), None),
        sample(&StartRescaling::new(JOB, 3_u32), None),
        sample(&GetRescalingStatus::new(JOB, TRIGGER), None),
    ]
}

fn snowpipe() -> Vec<Sample> {
    const ID: RequestId = RequestId::from_bits(0x7332_ce4b_9292_413d_ba7e_fe23_2ad2_48eb);
    let exchange = ExchangeToken::new(TokenType::ProgrammaticAccessToken, "h.test", ID).role("LOADER");
    let open = || OpenChannelOperation::new("DB", "\"s 1\"", "T-STREAMING", "c/1", ID, true);
    let drop = || DropChannelOperation::new("DB", "S", "T-STREAMING", "c", ID);
    let rows = "{\"ID\":1}\n";
    let append = || AppendRows::new("DB", "S", "T-STREAMING", "c", ID, rows);
    let full = append().continuation_token("1_0").offsets("1", "a+b&c").encoding(Encoding::Zstd).session("node");
    let elastic = || AppendElasticOperation::new("DB", "S", "P", ID, rows);
    let table = || AppendElasticToTable::new("DB", "S", "T", ID, rows);
    vec![
        sample(&GetHostname::new(TokenType::KeypairJwt, ID), None),
        sample(&ExchangeToken::new(TokenType::KeypairJwt, "h.test", ID), Some(&exchange)),
        sample(&open(), Some(&open().offset_token("41"))),
        sample(&drop(), Some(&drop().fail_on_uncommitted_rows(true).continuation_token("1_0"))),
        sample(&BulkGetChannelStatus::new("DB", "S", "P", ID, vec!["a".to_owned(), "B".to_owned()]), None),
        sample(&append().offset_token("7"), Some(&full)),
        sample(&elastic(), Some(&elastic().encoding(Encoding::Gzip).accept_duplicates())),
        sample(&table(), Some(&table().encoding(Encoding::Gzip).accept_duplicates())),
    ]
}

#[test]
fn every_request_matches_its_snapshot() {
    let cluster = vec![sample(&GetOverview::new(), None), sample(&GetConfig::new(), None)];
    let rooms = [
        cluster,
        jars(),
        jobs(),
        snapshots(),
        metrics(),
        processes(),
        vertices(),
        applications(),
        more_of_jobs(),
        upkeep(),
        snowpipe(),
    ];
    let samples: Vec<_> = rooms.into_iter().flatten().collect();
    let shown: BTreeSet<_> = samples.iter().map(|sample| sample.name).collect();
    let all: BTreeSet<_> = pipewright::operations()
        .filter(|info| !["feldera", "flink-sql-gateway"].contains(&info.service))
        .map(|info| info.name)
        .collect();
    assert_eq!(shown, all, "each operation has a sample");
    assert_eq!(samples.len(), all.len(), "and no other");
    let flink = samples.iter().filter(|sample| sample.info.service == "flink");
    let page = include_str!("../../../core/src/flink/operations.md");
    documented::assert_lists(page, flink.map(|sample| (sample.kind, sample.info)));
    let snowpipe = samples.iter().filter(|sample| sample.info.service == "snowpipe");
    let page = include_str!("../../../core/src/snowpipe/operations.md");
    documented::assert_lists(page, snowpipe.map(|sample| (sample.kind, sample.info)));
    for Sample { name, minimal, full, .. } in samples {
        let full = full.map(|full| format!("\n== with everything ==\n{full}")).unwrap_or_default();
        snapshot(name, &format!("{minimal}{full}"));
    }
}

#[test]
fn the_list_of_flink_and_snowpipe_operations_matches_its_snapshot() {
    let lines =
        pipewright::operations().filter(|info| !["feldera", "flink-sql-gateway"].contains(&info.service)).map(|info| {
            let varies = if info.effect_varies { ", or better" } else { "" };
            format!("{:6} {:38} {:32} {:?}{varies}", info.method.as_str(), info.path, info.name, info.effect)
        });
    let text = lines.collect::<Vec<_>>().join("\n");
    snapshot("_table", &text);
}

#[test]
fn headers_and_credentials_of_a_call() {
    let mut headers = HeaderMap::new();
    headers.append("x-tenant", HeaderValue::from_static("a"));
    headers.append("x-tenant", HeaderValue::from_static("b"));
    headers.append(header::COOKIE, HeaderValue::from_static("session=s3cr3t"));
    headers.append(header::AUTHORIZATION, HeaderValue::from_static("Basic replaced-by-the-credential"));
    let base = "https://proxy.example/flink/".parse().expect("a base");
    let config = Config::new(base).with_headers(headers).with_credentials();
    let mut call = Call::new(StartSavepoint::new(JOB).cancel_job(true), &config, Seed::new(1));
    let mut reply = None;
    let exchange = loop {
        match call.poll(Timestamp::from_millis(1), reply.take()) {
            Step::Authorize(request) => reply = Some(request.settle(Ok(HeaderValue::from_static("Bearer s3cr3t")))),
            Step::Notice(_) => {}
            Step::Send(exchange) => break exchange,
            other => panic!("{other:?}"),
        }
    };
    let authorization: Vec<_> = exchange.request().headers().get_all(header::AUTHORIZATION).iter().collect();
    assert_eq!(authorization, ["Bearer s3cr3t"]);
    snapshot("_call", &text(exchange.request()));
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/requests");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

//! Feldera: the request of every operation, how every recorded answer is read, how streams end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::path::Path;

use pipewright::decode::LineLimit;
use pipewright::error::{Applied, ErrorKind, ServiceError};
use pipewright::feldera::access::{
    AddMember, CreateApiKey, CreateTenant, CreateTrust, DeleteApiKey, DeleteTenant, DeleteTrust, GetApiKey, GetTenant,
    GetTrust, ListApiKeys, ListMembers, ListTenants, ListTrusts, RemoveMember, RenameTenant, SetMemberRole,
};
use pipewright::feldera::checkpoints::{
    GetCheckpointStatus, GetCheckpointSyncStatus, ListCheckpoints, ListRemoteCheckpoints, StartCheckpoint,
    StartCheckpointSync,
};
use pipewright::feldera::data::{
    AdvanceClock, CommitTransaction, ConnectorAction, ControlInput, ControlOutput, DataFormat, GetCompletionStatus,
    GetCompletionToken, HttpInput, SendOutputCommand, StartTransaction, UpdateFormat,
};
use pipewright::feldera::events::{GetPipelineEvent, ListPipelineEvents};
use pipewright::feldera::health::GetClusterHealth;
use pipewright::feldera::lifecycle::{
    ActivatePipeline, ApprovePipeline, ClearPipeline, DismissError, Initial, PausePipeline, RebalancePipeline,
    ResumePipeline, StartCompaction, StartPipeline, StopPipeline,
};
use pipewright::feldera::metrics::{GetAllMetrics, GetMetrics, MetricsFormat};
use pipewright::feldera::pipelines::{
    BootstrapPolicy, CompilationProfile, CreatePipeline, DeletePipeline, DynamicConfig, DynamicResources, GetPipeline,
    GetProgramInfo, ListPipelines, PatchPipeline, ProgramConfig, PutPipeline, RuntimeConfig, Selector, StorageOptions,
    UpdateRuntime,
};
use pipewright::feldera::platform::{
    EventSelector, GetAuthentication, GetClusterEvent, GetConfig, GetOwners, GetSession, ListClusterEvents, ListDemos,
    Role,
};
use pipewright::feldera::profiles::{
    GetCircuitJsonProfile, GetCircuitProfile, GetHeapProfile, GetSamplyProfile, GetSupportBundle, StartSamplyProfile,
};
use pipewright::feldera::programs::{DiffPipeline, GetDataflowGraph, ValidateProgram};
use pipewright::feldera::stats::{GetInputStatus, GetOutputStatus, GetStats, GetTimeSeries};
use pipewright::feldera::stream::{AdhocQuery, GetLogs, HttpOutput, LogCursor, QueryFormat, StreamTimeSeries};
use pipewright::feldera::{ByteSize, Json};
use pipewright::operation::{OperationInfo, RequestContext};
use pipewright::{Base, Operation};
use pipewright_tests::har::{self, Entry, Recording};
use pipewright_tests::replies::{Parsed, parse_with};
use pipewright_tests::{documented, json_coverage, routes, shorten};
use serde_json::Value;

struct Sample {
    name: &'static str,
    /// The operation's type with its path.
    kind: &'static str,
    info: &'static OperationInfo,
    minimal: String,
    full: Option<String>,
}

fn sample<O: Operation + Debug>(minimal: &O, full: Option<&O>) -> Sample {
    let shown = format!("{:?}", full.unwrap_or(minimal));
    // Configurations have more fields than are worth a sample.
    assert!(
        !shown.contains(": None") || shown.contains("Config {"),
        "an option of {} is not set: {shown}",
        O::INFO.name
    );
    let kind = std::any::type_name::<O>();
    Sample { name: O::INFO.name, kind, info: O::INFO, minimal: build(minimal), full: full.map(build) }
}

fn build<O: Operation>(operation: &O) -> String {
    let base: Base = "https://proxy.example:8443/feldera".parse().expect("a base");
    let request = operation.request(RequestContext::new(&base)).expect("a request");
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        writeln!(text, "{name}: {}", value.to_str().expect("printable")).expect("a string");
    }
    let body = request.body().read().expect("in memory");
    if !body.is_empty() {
        writeln!(text, "\n{}", String::from_utf8_lossy(&body)).expect("a string");
    }
    format!("{text}-- {:?}\n", operation.effect())
}

fn program_config() -> ProgramConfig {
    let mut config = ProgramConfig::default();
    config.profile = Some(CompilationProfile::Dev);
    config
}

fn runtime_config() -> RuntimeConfig {
    let mut storage = StorageOptions::default();
    storage.cache_size = Some(ByteSize::from_mib(64));
    let mut config = RuntimeConfig::default();
    (config.workers, config.storage) = (Some(4), Some(storage.into()));
    config.env.insert("A".to_owned(), "b".into());
    config
}

fn deployment_config() -> DynamicConfig {
    let mut resources = DynamicResources::default();
    (resources.cpu_cores_max, resources.memory_max) = (Some(1.5), Some(ByteSize::from_gib(16)));
    let mut config = DynamicConfig::default();
    config.resources = Some(resources);
    config
}

fn platform_and_access() -> Vec<Sample> {
    vec![
        sample(&GetAuthentication::new(), None),
        sample(&GetConfig::new(), None),
        sample(&ListDemos::new(), None),
        sample(&GetOwners::new(), None),
        sample(&GetSession::new(), None),
        sample(&ListClusterEvents::new(), None),
        sample(&GetClusterEvent::new("e/1"), Some(&GetClusterEvent::new("e/1").selector(EventSelector::All))),
        sample(&GetClusterHealth::new(), None),
        sample(&ListApiKeys::new(), None),
        sample(&CreateApiKey::new("k 1"), Some(&CreateApiKey::new("k 1").role(Role::Write))),
        sample(&GetApiKey::new("k 1"), None),
        sample(&DeleteApiKey::new("k 1"), None),
        sample(&ListTrusts::new(), None),
        sample(
            &CreateTrust::new("ci", "https://issuer.example", "repo:a/b"),
            Some(
                &CreateTrust::new("ci", "https://issuer.example", "repo:a/b")
                    .audience("feldera")
                    .description("for CI")
                    .role(Role::Read),
            ),
        ),
        sample(&GetTrust::new("ci"), None),
        sample(&DeleteTrust::new("ci"), None),
        sample(&ListMembers::new(), None),
        sample(
            &AddMember::new("subject", Role::Admin),
            Some(&AddMember::new("subject", Role::Admin).email("a@b.example")),
        ),
        sample(&SetMemberRole::new("u", Role::Read), None),
        sample(&RemoveMember::new("u"), None),
        sample(&ListTenants::new(), None),
        sample(&CreateTenant::new("t"), None),
        sample(&GetTenant::new("t"), None),
        sample(&DeleteTenant::new("t"), None),
        sample(&RenameTenant::new("t", "u"), Some(&RenameTenant::new("t", "u").displace_existing(true))),
    ]
}

fn pipelines() -> Vec<Sample> {
    vec![
        sample(&ListPipelines::new(), Some(&ListPipelines::new().selector(Selector::StatusWithConnectors))),
        sample(
            &CreatePipeline::new("p", "CREATE TABLE t (x INT);"),
            Some(
                &CreatePipeline::new("p", "CREATE TABLE t (x INT);")
                    .description("what for")
                    .tags(["a".to_owned()])
                    .udf_rust("fn f() {}")
                    .udf_toml("x = \"1\"")
                    .program_config(program_config())
                    .runtime_config(runtime_config()),
            ),
        ),
        sample(&GetPipeline::new("p"), Some(&GetPipeline::new("p").selector(Selector::Status))),
        sample(
            &PutPipeline::new("p", "q", "CREATE TABLE t (x INT);"),
            Some(
                &PutPipeline::new("p", "q", "CREATE TABLE t (x INT);")
                    .description("what for")
                    .tags(["a".to_owned()])
                    .udf_rust("fn f() {}")
                    .udf_toml("x = \"1\"")
                    .program_config(program_config())
                    .runtime_config(runtime_config()),
            ),
        ),
        sample(
            &PatchPipeline::new("p"),
            Some(
                &PatchPipeline::new("p")
                    .name("q")
                    .description("")
                    .tags([])
                    .program_code("")
                    .udf_rust("")
                    .udf_toml("")
                    .program_config(program_config())
                    .runtime_config(runtime_config())
                    .deployment_config(deployment_config()),
            ),
        ),
        sample(&DeletePipeline::new("p"), None),
        sample(&UpdateRuntime::new("p"), None),
        sample(&GetProgramInfo::new("p"), None),
        sample(
            &StartPipeline::new("p"),
            Some(
                &StartPipeline::new("p")
                    .initial(Initial::Paused)
                    .bootstrap_policy(BootstrapPolicy::Allow)
                    .silent_bootstrap(true)
                    .concurrent_bootstrap(false)
                    .dismiss_error(false),
            ),
        ),
        sample(&StopPipeline::new("p"), Some(&StopPipeline::new("p").force(true))),
        sample(&PausePipeline::new("p"), None),
        sample(&ResumePipeline::new("p"), None),
        sample(&ActivatePipeline::new("p"), Some(&ActivatePipeline::new("p").initial(Initial::Running))),
        sample(
            &ApprovePipeline::new("p"),
            Some(&ApprovePipeline::new("p").silent_bootstrap(true).concurrent_bootstrap(true)),
        ),
        sample(&ClearPipeline::new("p"), None),
        sample(&DismissError::new("p"), None),
        sample(&RebalancePipeline::new("p"), None),
        sample(&StartCompaction::new("p"), None),
        sample(
            &ValidateProgram::new("SELECT 1"),
            Some(&ValidateProgram::new("SELECT 1").ir(true).runtime_version("v0.337.0")),
        ),
        sample(&DiffPipeline::new("p", Some("SELECT 1".to_owned()), Some("v0.337.0".to_owned())), None),
        sample(&GetDataflowGraph::new("p"), None),
    ]
}

fn process() -> Vec<Sample> {
    vec![
        sample(&GetCompletionStatus::new("p", "eyJ1Ijoi-_"), None),
        sample(&GetCompletionToken::new("p", "t", "a.b/c d"), None),
        sample(&ControlInput::new("p", "\"t\"", "c", ConnectorAction::Pause), None),
        sample(&ControlOutput::new("p", "\"v\"", "c", ConnectorAction::Pause), None),
        sample(&SendOutputCommand::new("p", "v", "a/b", Json::new("{\"flush\": true}").expect("an object")), None),
        sample(&StartTransaction::new("p"), None),
        sample(&CommitTransaction::new("p"), None),
        sample(&AdvanceClock::new("p", Some(1500)), None),
        sample(
            &HttpInput::new("p", "\"t 1\"", DataFormat::Csv, "1,a\n"),
            Some(
                &HttpInput::new("p", "\"t 1\"", DataFormat::Csv, "1,a\n")
                    .array(true)
                    .force(false)
                    .update_format(UpdateFormat::Raw)
                    .connector_metadata(Json::new("{\"from\": \"a&b\"}").expect("an object"))
                    .unchecked(false),
            ),
        ),
        sample(&StartCheckpoint::new("p"), None),
        sample(&GetCheckpointStatus::new("p"), Some(&GetCheckpointStatus::new("p").incarnation_uuid("01a2"))),
        sample(&StartCheckpointSync::new("p"), None),
        sample(&GetCheckpointSyncStatus::new("p"), Some(&GetCheckpointSyncStatus::new("p").incarnation_uuid("01a2"))),
        sample(&ListCheckpoints::new("p"), None),
        sample(&ListRemoteCheckpoints::new("p"), None),
        sample(&GetStats::new("p"), Some(&GetStats::new("p").include_connector_errors(true))),
        sample(&GetInputStatus::new("p", "t", "c"), None),
        sample(&GetOutputStatus::new("p", "v", "c"), None),
        sample(&GetTimeSeries::new("p"), None),
        sample(&GetAllMetrics::new(), None),
        sample(&GetMetrics::new("p"), Some(&GetMetrics::new("p").format(MetricsFormat::Json))),
        sample(&ListPipelineEvents::new("p"), Some(&ListPipelineEvents::new("p").selector(EventSelector::All))),
        sample(
            &GetPipelineEvent::new("p", "latest"),
            Some(&GetPipelineEvent::new("p", "latest").selector(EventSelector::All)),
        ),
        sample(&GetCircuitProfile::new("p"), None),
        sample(&GetCircuitJsonProfile::new("p"), None),
        sample(&GetHeapProfile::new("p"), None),
        sample(&GetSamplyProfile::new("p"), Some(&GetSamplyProfile::new("p").ordinal(1_u64).latest(true))),
        sample(&StartSamplyProfile::new("p"), Some(&StartSamplyProfile::new("p").ordinal(0_u64).duration_secs(30_u64))),
        sample(
            &GetSupportBundle::new("p"),
            Some(
                &GetSupportBundle::new("p")
                    .collect(false)
                    .limit(1_u64)
                    .circuit_profile(true)
                    .heap_profile(false)
                    .metrics(true)
                    .logs(true)
                    .stats(true)
                    .pipeline_config(true)
                    .system_config(true)
                    .dataflow_graph(true)
                    .pipeline_events(true),
            ),
        ),
        sample(
            &HttpOutput::new("p", "v", DataFormat::Json),
            Some(
                &HttpOutput::new("p", "v", DataFormat::Json)
                    .backpressure(true)
                    .send_snapshot(true)
                    .array(true)
                    .update_format(UpdateFormat::InsertDelete)
                    .limit(LineLimit::default()),
            ),
        ),
        sample(
            &AdhocQuery::new("p", "SELECT * FROM t", QueryFormat::Text),
            Some(&AdhocQuery::new("p", "SELECT * FROM t", QueryFormat::Text).limit(LineLimit::default())),
        ),
        sample(
            &GetLogs::new("p"),
            Some(&GetLogs::new("p").follow(true).cursor("e:7".parse::<LogCursor>().expect("a cursor"))),
        ),
        sample(&StreamTimeSeries::new("p"), None),
    ]
}

#[test]
fn every_operation_as_it_is_sent() {
    let samples: Vec<_> = [platform_and_access(), pipelines(), process()].into_iter().flatten().collect();
    let shown: BTreeSet<_> = samples.iter().map(|sample| sample.name).collect();
    let all: BTreeSet<_> = ours().map(|info| info.name).collect();
    assert_eq!(shown, all, "each operation has a sample");
    assert_eq!(samples.len(), all.len(), "and no other");
    let mut text = String::new();
    let page = include_str!("../../../core/src/feldera/operations.md");
    documented::assert_lists(page, samples.iter().map(|sample| (sample.kind, sample.info)));
    for Sample { name, minimal, full, .. } in samples {
        let full = full.map(|full| format!("== with everything ==\n{full}")).unwrap_or_default();
        writeln!(text, "=== {name}\n{minimal}{full}").expect("a string");
    }
    snapshot("requests", &text);
}

/// Each operation but the removed operation links one page of the vendor's, under the name that the vendor's generator
/// makes.
#[test]
fn links_have_the_vendor_s_form() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/feldera");
    let mut links = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let found = text.split("https://docs.feldera.com").skip(1).map(|rest| {
                let end = rest.find([')', '>', ' ', '\n']).unwrap_or(rest.len());
                rest[..end].to_owned()
            });
            links.extend(found);
        }
    }
    let mut pages: Vec<_> =
        links.iter().filter_map(|link| link.strip_prefix("/api/")).filter(|page| !page.is_empty()).collect();
    assert!(links.iter().all(|link| link.starts_with("/api/")), "another part of the documentation: {links:?}");
    for page in &pages {
        let good = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        assert!(page.split('-').all(good), "not a page: {page}");
    }
    let operations = pipewright::operations().filter(|info| info.service == "feldera").count();
    pages.sort_unstable();
    pages.dedup();
    assert_eq!(pages.len(), operations - 1, "{pages:?}");
}

fn ours() -> impl Iterator<Item = &'static OperationInfo> {
    pipewright::operations().filter(|info| info.service == "feldera")
}

#[test]
fn the_list_of_feldera_operations_matches_its_snapshot() {
    let lines = ours().map(|info| {
        let varies = if info.effect_varies { ", per value" } else { "" };
        format!("{:6} {:95} {:40} {:?}{varies}", info.method.as_str(), info.path, info.name, info.effect)
    });
    snapshot("table", &lines.collect::<Vec<_>>().join("\n"));
}

fn fixtures() -> Vec<Recording> {
    har::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/feldera")).expect("the fixtures")
}

fn matched(recordings: &[Recording]) -> impl Iterator<Item = (&Entry, &'static OperationInfo)> {
    let entries = recordings.iter().flat_map(|recording| &recording.entries);
    entries.filter_map(|entry| Some((entry, routes::of("feldera", entry)?)))
}

fn read(entry: &Entry, info: &OperationInfo) -> Result<Parsed, ServiceError> {
    parse_with(info.name, entry.response.clone()).expect("a row for every operation")
}

#[test]
fn every_recorded_feldera_answer_is_read_and_written_back() {
    let mut lost = BTreeMap::new();
    for (entry, info) in matched(&fixtures()) {
        let status = entry.response.status();
        match read(entry, info) {
            Ok(parsed) => {
                assert!(status.is_success(), "{}: a refusal was read as a success", entry.name);
                assert!(!parsed.debug.contains("Unknown("), "{}: {}", entry.name, parsed.debug);
                let (Ok(before), false) = (serde_json::from_slice::<Value>(entry.response.body()), parsed.is_text)
                else {
                    continue;
                };
                let after = serde_json::from_str(&parsed.json).expect("JSON");
                let survival = json_coverage::survival(&before, &after, &[]);
                lost.entry(info.name).or_insert_with(BTreeSet::new).extend(survival.lost);
            }
            Err(error) => {
                assert!(!status.is_success(), "{}: {error}", entry.name);
                assert_eq!((error.status(), error.kind()), (status, ErrorKind::Rejected), "{}: {error:?}", entry.name);
            }
        }
    }
    lost.retain(|_, lost| !lost.is_empty());
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn error_responses_match_their_snapshot() {
    let mut text = String::new();
    for (entry, info) in matched(&fixtures()) {
        let Err(error) = read(entry, info) else { continue };
        let applied = match error.applied() {
            Applied::Yes => "applied",
            Applied::No => "not applied",
            Applied::Unknown => "perhaps applied",
        };
        let transient = if error.is_transient() { "transient" } else { "final" };
        let (status, code) = (error.status().as_u16(), error.code().unwrap_or("no code"));
        writeln!(text, "{} ({})\n    {status} {code}, {applied}, {transient}", entry.name, info.name)
            .expect("a string");
        writeln!(text, "    {}", shorten::text(error.message())).expect("a string");
    }
    snapshot("refusals", &text);
}

#[test]
fn recorded_streams_match_their_snapshot() {
    const STREAMING: [&str; 3] = ["http_output", "get_pipeline_logs", "get_pipeline_time_series_stream"];
    let mut text = String::new();
    for (entry, info) in matched(&fixtures()).filter(|(_, info)| STREAMING.contains(&info.name)) {
        if let Ok(parsed) = read(entry, info) {
            let items: Vec<String> = serde_json::from_str(&parsed.json).expect("a list of texts");
            writeln!(text, "{} ({}): {} items", entry.name, info.name, items.len()).expect("a string");
            for item in items.iter().take(4).chain(items.iter().skip(4).last()) {
                writeln!(text, "    {}", item.chars().take(160).collect::<String>().escape_debug()).expect("a string");
            }
        }
    }
    snapshot("streams", &text);
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/feldera");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

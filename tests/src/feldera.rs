//! Feldera's rows of the table of answers.

use http::Response;
use pipewright::Operation;
use pipewright::decode::{Decoder, End};
use pipewright::error::ServiceError;
use pipewright::feldera::Json;
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
    GetCompletionToken, HttpInput, SendOutputCommand, StartTransaction,
};
use pipewright::feldera::events::{GetPipelineEvent, ListPipelineEvents};
use pipewright::feldera::health::GetClusterHealth;
use pipewright::feldera::lifecycle::{
    ActivatePipeline, ApprovePipeline, ClearPipeline, DismissError, PausePipeline, RebalancePipeline, ResumePipeline,
    StartCompaction, StartPipeline, StopPipeline,
};
use pipewright::feldera::metrics::{GetAllMetrics, GetMetrics};
use pipewright::feldera::pipelines::{
    CreatePipeline, DeletePipeline, GetPipeline, GetProgramInfo, ListPipelines, PatchPipeline, PutPipeline,
    UpdateRuntime,
};
use pipewright::feldera::platform::{
    GetAuthentication, GetClusterEvent, GetConfig, GetOwners, GetSession, ListClusterEvents, ListDemos, Role,
};
use pipewright::feldera::profiles::{
    GetCircuitJsonProfile, GetCircuitProfile, GetHeapProfile, GetSamplyProfile, GetSupportBundle, StartSamplyProfile,
};
use pipewright::feldera::programs::{DiffPipeline, GetDataflowGraph, ValidateProgram};
use pipewright::feldera::stats::{GetInputStatus, GetOutputStatus, GetStats, GetTimeSeries};
use pipewright::feldera::stream::{AdhocQuery, GetLogs, HttpOutput, QueryFormat, StreamTimeSeries};
use serde::Serialize;

use crate::replies::{Parse, Parsed, parse};

/// One row for each operation.
pub(crate) const REPLIES: &[(&str, Parse)] = &[
    ("get_config_authentication", |answer| parse(&GetAuthentication::new(), answer)),
    ("get_config", |answer| parse(&GetConfig::new(), answer)),
    ("get_config_demos", |answer| parse(&ListDemos::new(), answer)),
    ("get_config_owners", |answer| parse(&GetOwners::new(), answer)),
    ("get_config_session", |answer| parse(&GetSession::new(), answer)),
    ("list_cluster_events", |answer| parse(&ListClusterEvents::new(), answer)),
    ("get_cluster_event", |answer| parse(&GetClusterEvent::new("e/1"), answer)),
    ("get_cluster_health", |answer| parse(&GetClusterHealth::new(), answer)),
    ("list_api_keys", |answer| parse(&ListApiKeys::new(), answer)),
    ("post_api_key", |answer| parse(&CreateApiKey::new("k 1"), answer)),
    ("get_api_key", |answer| parse(&GetApiKey::new("k 1"), answer)),
    ("delete_api_key", |answer| parse(&DeleteApiKey::new("k 1"), answer)),
    ("list_oidc_trust", |answer| parse(&ListTrusts::new(), answer)),
    ("post_oidc_trust", |answer| parse(&CreateTrust::new("ci", "https://issuer.example", "repo:a/b"), answer)),
    ("get_oidc_trust", |answer| parse(&GetTrust::new("ci"), answer)),
    ("delete_oidc_trust", |answer| parse(&DeleteTrust::new("ci"), answer)),
    ("list_tenant_users", |answer| parse(&ListMembers::new(), answer)),
    ("add_tenant_user", |answer| parse(&AddMember::new("subject", Role::Admin), answer)),
    ("put_tenant_user", |answer| parse(&SetMemberRole::new("u", Role::Read), answer)),
    ("delete_tenant_user", |answer| parse(&RemoveMember::new("u"), answer)),
    ("list_tenants", |answer| parse(&ListTenants::new(), answer)),
    ("create_tenant", |answer| parse(&CreateTenant::new("t"), answer)),
    ("get_tenant", |answer| parse(&GetTenant::new("t"), answer)),
    ("delete_tenant", |answer| parse(&DeleteTenant::new("t"), answer)),
    ("patch_tenant", |answer| parse(&RenameTenant::new("t", "u"), answer)),
    ("list_pipelines", |answer| parse(&ListPipelines::new(), answer)),
    ("post_pipeline", |answer| parse(&CreatePipeline::new("p", "CREATE TABLE t (x INT);"), answer)),
    ("get_pipeline", |answer| parse(&GetPipeline::new("p"), answer)),
    ("put_pipeline", |answer| parse(&PutPipeline::new("p", "q", "CREATE TABLE t (x INT);"), answer)),
    ("patch_pipeline", |answer| parse(&PatchPipeline::new("p"), answer)),
    ("delete_pipeline", |answer| parse(&DeletePipeline::new("p"), answer)),
    ("post_update_runtime", |answer| parse(&UpdateRuntime::new("p"), answer)),
    ("get_program_info", |answer| parse(&GetProgramInfo::new("p"), answer)),
    ("post_pipeline_start", |answer| parse(&StartPipeline::new("p"), answer)),
    ("post_pipeline_stop", |answer| parse(&StopPipeline::new("p"), answer)),
    ("post_pipeline_pause", |answer| parse(&PausePipeline::new("p"), answer)),
    ("post_pipeline_resume", |answer| parse(&ResumePipeline::new("p"), answer)),
    ("post_pipeline_activate", |answer| parse(&ActivatePipeline::new("p"), answer)),
    ("post_pipeline_approve", |answer| parse(&ApprovePipeline::new("p"), answer)),
    ("post_pipeline_clear", |answer| parse(&ClearPipeline::new("p"), answer)),
    ("post_pipeline_dismiss_error", |answer| parse(&DismissError::new("p"), answer)),
    ("post_pipeline_rebalance", |answer| parse(&RebalancePipeline::new("p"), answer)),
    ("post_pipeline_start_compaction", |answer| parse(&StartCompaction::new("p"), answer)),
    ("post_validate_program", |answer| parse(&ValidateProgram::new("SELECT 1"), answer)),
    ("post_pipeline_diff", |answer| {
        parse(&DiffPipeline::new("p", Some("SELECT 1".to_owned()), Some("v0.337.0".to_owned())), answer)
    }),
    ("get_pipeline_dataflow_graph", |answer| parse(&GetDataflowGraph::new("p"), answer)),
    ("completion_status", |answer| parse(&GetCompletionStatus::new("p", "eyJ1Ijoi-_"), answer)),
    ("completion_token", |answer| parse(&GetCompletionToken::new("p", "t", "a.b/c d"), answer)),
    ("post_pipeline_input_connector_action", |answer| {
        parse(&ControlInput::new("p", "\"t\"", "c", ConnectorAction::Pause), answer)
    }),
    ("post_pipeline_output_connector_action", |answer| {
        parse(&ControlOutput::new("p", "v", "c", ConnectorAction::Start), answer)
    }),
    ("post_pipeline_output_connector_command", |answer| {
        let command = Json::new("{}").expect("an object");
        parse(&SendOutputCommand::new("p", "v", "c", command), answer)
    }),
    ("start_transaction", |answer| parse(&StartTransaction::new("p"), answer)),
    ("commit_transaction", |answer| parse(&CommitTransaction::new("p"), answer)),
    ("clock_advance", |answer| parse(&AdvanceClock::new("p", Some(1500)), answer)),
    ("http_input", |answer| parse(&HttpInput::new("p", "\"t 1\"", DataFormat::Csv, "1,a\n"), answer)),
    ("checkpoint_pipeline", |answer| parse(&StartCheckpoint::new("p"), answer)),
    ("get_checkpoint_status", |answer| parse(&GetCheckpointStatus::new("p"), answer)),
    ("sync_checkpoint", |answer| parse(&StartCheckpointSync::new("p"), answer)),
    ("get_checkpoint_sync_status", |answer| parse(&GetCheckpointSyncStatus::new("p"), answer)),
    ("get_checkpoints", |answer| parse(&ListCheckpoints::new("p"), answer)),
    ("get_remote_checkpoints", |answer| parse(&ListRemoteCheckpoints::new("p"), answer)),
    ("get_pipeline_stats", |answer| parse(&GetStats::new("p"), answer)),
    ("get_pipeline_input_connector_status", |answer| parse(&GetInputStatus::new("p", "t", "c"), answer)),
    ("get_pipeline_output_connector_status", |answer| parse(&GetOutputStatus::new("p", "v", "c"), answer)),
    ("get_pipeline_time_series", |answer| parse(&GetTimeSeries::new("p"), answer)),
    ("get_metrics", |answer| parse_text(&GetAllMetrics::new(), answer)),
    ("get_pipeline_metrics", |answer| parse_text(&GetMetrics::new("p"), answer)),
    ("list_pipeline_events", |answer| parse(&ListPipelineEvents::new("p"), answer)),
    ("get_pipeline_event", |answer| parse(&GetPipelineEvent::new("p", "latest"), answer)),
    ("get_pipeline_circuit_profile", |answer| parse_text(&GetCircuitProfile::new("p"), answer)),
    ("get_pipeline_circuit_json_profile", |answer| parse(&GetCircuitJsonProfile::new("p"), answer)),
    ("get_pipeline_heap_profile", |answer| parse_text(&GetHeapProfile::new("p"), answer)),
    ("get_pipeline_samply_profile", |answer| parse_text(&GetSamplyProfile::new("p"), answer)),
    ("start_samply_profile", |answer| parse(&StartSamplyProfile::new("p"), answer)),
    ("get_pipeline_support_bundle", |answer| parse_text(&GetSupportBundle::new("p"), answer)),
    ("http_output", |answer| parse_egress(&HttpOutput::new("p", "v", DataFormat::Json), answer)),
    ("pipeline_adhoc_sql", |answer| parse_query(&AdhocQuery::new("p", "SELECT * FROM t", QueryFormat::Text), answer)),
    ("get_pipeline_logs", |answer| parse_lines(&GetLogs::new("p"), answer)),
    ("get_pipeline_time_series_stream", |answer| parse_samples(&StreamTimeSeries::new("p"), answer)),
];

/// Reads an answer that is no JSON, or need not be.
fn parse_text<O>(operation: &O, answer: Response<bytes::Bytes>) -> Result<Parsed, ServiceError>
where
    O: Operation<Output: Serialize + std::fmt::Debug>,
{
    parse(operation, answer).map(|parsed| Parsed { is_text: true, ..parsed })
}

/// Reads a live answer to its end, in pieces that do not fit: what came out, one text each, and how it ended.
fn parse_live<O>(
    operation: &O,
    answer: Response<bytes::Bytes>,
    show: impl Fn(&O::Output) -> String,
) -> Result<Parsed, ServiceError>
where
    O: Operation<Output: Decoder>,
{
    let body = answer.body().clone();
    let mut decoder = operation.parse(answer)?;
    let mut items = Vec::new();
    let mut drain = |decoder: &mut O::Output| loop {
        match decoder.advance() {
            Ok(true) => items.push(show(decoder)),
            Ok(false) => return None,
            Err(error) => return Some(error),
        }
    };
    let mut error = None;
    for piece in body.chunks(97) {
        decoder.feed(piece);
        error = error.or(drain(&mut decoder));
    }
    let end = decoder.finish(End::Complete).err();
    let error = error.or(drain(&mut decoder)).or(end);
    items.extend(error.map(|error| format!("-- {error}")));
    Ok(Parsed { json: serde_json::to_string(&items).unwrap_or_default(), debug: format!("{items:#?}"), is_text: true })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parse_egress(operation: &HttpOutput, answer: Response<bytes::Bytes>) -> Result<Parsed, ServiceError> {
    parse_live(operation, answer, |decoder| {
        let chunk = decoder.item();
        let rows: Vec<_> = chunk.rows().map(text).collect();
        let snapshot = if chunk.snapshot { " snapshot" } else { "" };
        format!("{}{snapshot} lost {}: {}", chunk.sequence_number, chunk.lost, rows.join(" | "))
    })
}

fn parse_query(operation: &AdhocQuery, answer: Response<bytes::Bytes>) -> Result<Parsed, ServiceError> {
    parse_live(operation, answer, |decoder| text(decoder.item()))
}

fn parse_lines(operation: &GetLogs, answer: Response<bytes::Bytes>) -> Result<Parsed, ServiceError> {
    parse_live(operation, answer, |decoder| text(decoder.item()))
}

fn parse_samples(operation: &StreamTimeSeries, answer: Response<bytes::Bytes>) -> Result<Parsed, ServiceError> {
    parse_live(operation, answer, |decoder| serde_json::to_string(decoder.item()).unwrap_or_default())
}

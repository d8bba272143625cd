//! What our operations send, read as the server reads it; and the chunks of egress.

use feldera_types::checkpoint::CheckpointStatusQuery;
use feldera_types::completion_token::CompletionStatusArgs;
use feldera_types::format::csv::CsvFormatConfig;
use feldera_types::format::json::{JsonEncoderConfig, JsonParserConfig, JsonUpdateFormat};
use feldera_types::query::{AdHocResultFormat, AdhocQueryArgs};
use feldera_types::query_params::{
    ActivateParams, ApproveParameters, MetricsFormat, MetricsParameters, SamplyProfileGetParams, SamplyProfileParams,
    StatsParams,
};
use feldera_types::runtime_status::{BootstrapConfig, BootstrapPolicy, RuntimeDesiredStatus};
use feldera_types::transport::clock::ClockAdvanceRequest;
use feldera_types::transport::http::{Chunk, HttpOutputConfig};
use pipewright::decode::{Decoder as _, LineLimit};
use pipewright::feldera::checkpoints::{GetCheckpointStatus, GetCheckpointSyncStatus};
use pipewright::feldera::data::{AdvanceClock, DataFormat, GetCompletionStatus, HttpInput, UpdateFormat};
use pipewright::feldera::lifecycle::{ActivatePipeline, ApprovePipeline, Initial, StartPipeline};
use pipewright::feldera::metrics;
use pipewright::feldera::metrics::GetMetrics;
use pipewright::feldera::pipelines::BootstrapPolicy as Policy;
use pipewright::feldera::profiles::{GetSamplyProfile, StartSamplyProfile};
use pipewright::feldera::stats::GetStats;
use pipewright::feldera::stream::{AdhocQuery, Egress, HttpOutput, QueryFormat};
use pipewright::operation::RequestContext;
use pipewright::{Base, Operation};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::compare::{compare_words, each};

/// The query of a request, as the server reads it.
fn query<T: DeserializeOwned>(operation: &impl Operation) -> T {
    let base: Base = "http://127.0.0.1:8080".parse().expect("a base");
    let request = operation.request(RequestContext::new(&base)).expect("a request");
    let query = request.uri().query().unwrap_or_default();
    serde_urlencoded::from_str(query).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The body of a request, as the server reads it.
fn body<T: DeserializeOwned>(operation: &impl Operation) -> T {
    let base: Base = "http://127.0.0.1:8080".parse().expect("a base");
    let request = operation.request(RequestContext::new(&base)).expect("a request");
    let body = request.body().read().expect("in memory");
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{body:?}: {error}"))
}

#[test]
fn starting_and_approving() {
    for (ours, theirs) in [
        (Policy::Allow, BootstrapPolicy::Allow),
        (Policy::Reject, BootstrapPolicy::Reject),
        (Policy::AwaitApproval, BootstrapPolicy::AwaitApproval),
    ] {
        let start = StartPipeline::new("p").bootstrap_policy(ours).silent_bootstrap(true).concurrent_bootstrap(true);
        let read: BootstrapConfig = query(&start);
        let expected =
            BootstrapConfig { bootstrap_policy: Some(theirs), silent_bootstrap: true, concurrent_bootstrap: true };
        assert_eq!(read, expected);
    }
    assert_eq!(query::<BootstrapConfig>(&StartPipeline::new("p")), BootstrapConfig::default());
    let approve = ApprovePipeline::new("p").silent_bootstrap(true).concurrent_bootstrap(true);
    let read: ApproveParameters = query(&approve);
    assert!(read.silent_bootstrap && read.concurrent_bootstrap);
    let read: ApproveParameters = query(&ApprovePipeline::new("p"));
    assert!(!read.silent_bootstrap && !read.concurrent_bootstrap);
    for (ours, theirs) in [
        (Initial::Running, RuntimeDesiredStatus::Running),
        (Initial::Paused, RuntimeDesiredStatus::Paused),
        (Initial::Standby, RuntimeDesiredStatus::Standby),
    ] {
        assert_eq!(query::<ActivateParams>(&ActivatePipeline::new("p").initial(ours)).initial, theirs);
    }
    assert_eq!(query::<ActivateParams>(&ActivatePipeline::new("p")).initial, RuntimeDesiredStatus::Running);
}

#[test]
fn metrics_statistics_and_profiles() {
    let format = |operation: GetMetrics| query::<MetricsParameters>(&operation).format;
    assert_eq!(format(GetMetrics::new("p")), MetricsFormat::Prometheus);
    assert_eq!(format(GetMetrics::new("p").format(metrics::MetricsFormat::Prometheus)), MetricsFormat::Prometheus);
    assert_eq!(format(GetMetrics::new("p").format(metrics::MetricsFormat::Json)), MetricsFormat::Json);
    let with_errors = |operation: GetStats| query::<StatsParams>(&operation).include_connector_errors;
    assert!(with_errors(GetStats::new("p").include_connector_errors(true)) && !with_errors(GetStats::new("p")));
    let started: SamplyProfileParams = query(&StartSamplyProfile::new("p").ordinal(2_u64).duration_secs(7_u64));
    assert_eq!((started.ordinal, started.duration_secs), (2, 7));
    let got: SamplyProfileGetParams = query(&GetSamplyProfile::new("p").ordinal(2_u64).latest(true));
    assert_eq!((got.ordinal, got.latest), (2, true));
}

#[test]
fn tokens_checkpoints_and_the_clock() {
    let token: CompletionStatusArgs = query(&GetCompletionStatus::new("p", "eyJ1Ijoi-_=="));
    assert_eq!(token.token, "eyJ1Ijoi-_");
    let uuid = Uuid::from_u128(7);
    let made: CheckpointStatusQuery = query(&GetCheckpointStatus::new("p").incarnation_uuid(uuid.to_string()));
    let sent: CheckpointStatusQuery = query(&GetCheckpointSyncStatus::new("p").incarnation_uuid(uuid.to_string()));
    assert_eq!((made.incarnation_uuid, sent.incarnation_uuid), (Some(uuid), Some(uuid)));
    for delta_ms in [Some(1500), None] {
        assert_eq!(body::<ClockAdvanceRequest>(&AdvanceClock::new("p", delta_ms)), ClockAdvanceRequest { delta_ms });
    }
}

#[test]
fn ad_hoc_queries_are_read_as_the_server_reads_them() {
    let sql = "SELECT 'a b&c=\u{e9}%' FROM \"v\"";
    for (ours, theirs) in [
        (QueryFormat::Text, AdHocResultFormat::Text),
        (QueryFormat::Json, AdHocResultFormat::Json),
        (QueryFormat::Parquet, AdHocResultFormat::Parquet),
        (QueryFormat::ArrowIpc, AdHocResultFormat::ArrowIpc),
        (QueryFormat::Hash, AdHocResultFormat::Hash),
    ] {
        let read: AdhocQueryArgs = query(&AdhocQuery::new("p", sql, ours));
        assert_eq!(read, AdhocQueryArgs { sql: sql.to_owned(), format: theirs });
    }
    compare_words::<QueryFormat, _>(&each!(AdHocResultFormat { Text, Json, Parquet, ArrowIpc, Hash }), &[], &[]);
}

#[test]
fn rows_in_and_changes_out() {
    // `HttpInput` builds no request with the others.
    let words = [
        (UpdateFormat::InsertDelete, JsonUpdateFormat::InsertDelete),
        (UpdateFormat::Raw, JsonUpdateFormat::Raw),
        (UpdateFormat::Debezium, JsonUpdateFormat::Debezium),
        (UpdateFormat::Snowflake, JsonUpdateFormat::Snowflake),
    ];
    for (ours, theirs) in words {
        let rows = HttpInput::new("p", "t", DataFormat::Json, "{}").update_format(ours).array(true);
        let read: JsonParserConfig = query(&rows);
        assert_eq!((read.update_format, read.array), (theirs, true));
    }
    let read: JsonParserConfig = query(&HttpInput::new("p", "t", DataFormat::Json, "{}"));
    assert_eq!((read.update_format, read.array), (JsonUpdateFormat::default(), false));
    let read: CsvFormatConfig = query(&HttpInput::new("p", "t", DataFormat::Csv, "1"));
    assert_eq!(read, CsvFormatConfig::default());
    let all = each!(JsonUpdateFormat { InsertDelete, Weighted, Debezium, Snowflake, Raw, Redis });
    let ours = words_of_updates();
    compare_words(&all, &ours, &[]);

    let changes = HttpOutput::new("p", "v", DataFormat::Json).update_format(UpdateFormat::Snowflake).array(true);
    let read: JsonEncoderConfig = query(&changes);
    assert_eq!((read.update_format, read.array), (JsonUpdateFormat::Snowflake, true));
    let read: HttpOutputConfig = query(&HttpOutput::new("p", "v", DataFormat::Csv).backpressure(true));
    assert_eq!(read, HttpOutputConfig { backpressure: true });
}

fn words_of_updates() -> [UpdateFormat; 6] {
    [
        UpdateFormat::InsertDelete,
        UpdateFormat::Raw,
        UpdateFormat::Debezium,
        UpdateFormat::Snowflake,
        UpdateFormat::Redis,
        UpdateFormat::Weighted,
    ]
}

/// The server's type of a chunk is only ever read, so that chunks are written here.
#[test]
fn chunks_of_egress() {
    let rows = |chunk: &Chunk| -> Vec<Vec<u8>> {
        let Chunk { bin_data, text_data, json_data, .. } = chunk;
        let items = |data: &Value| match data {
            Value::Array(items) => items.iter().map(|item| item.to_string().into_bytes()).collect(),
            other => vec![other.to_string().into_bytes()],
        };
        let lines = |text: &String| text.lines().map(|line| line.as_bytes().to_vec()).collect();
        (json_data.as_ref().map(items))
            .or_else(|| text_data.as_ref().map(lines))
            .or_else(|| bin_data.clone().map(|bytes| vec![bytes]))
            .unwrap_or_default()
    };
    for (number, data) in [
        ("json_data", json!([{ "insert": { "id": 1 } }, { "delete": { "id": 2 } }])),
        ("json_data", json!({ "id": 1 })),
        ("text_data", json!("1,\"a\"\n2,b\n")),
        ("bin_data", json!([79, 98, 106, 1, 10, 255])),
        ("bin_data", json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        // All fields, and only those that say something, in the server's order and in another.
        let (key, value) = data;
        let snapshot = number == 0;
        let all: Value = ["bin_data", "text_data", "json_data"]
            .into_iter()
            .map(|name| (name.to_owned(), if name == key { value.clone() } else { Value::Null }))
            .chain([("sequence_number".to_owned(), json!(number)), ("snapshot".to_owned(), json!(snapshot))])
            .collect();
        for line in
            [all.to_string(), format!("{{\"sequence_number\":{number},\"snapshot\":{snapshot},\"{key}\":{value}}}")]
        {
            let theirs: Chunk = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut egress = Egress::new(LineLimit::default());
            egress.feed(format!("{line}\r\n").as_bytes());
            assert!(egress.advance().unwrap_or_else(|error| panic!("{line}: {error}")), "{line}");
            let ours = egress.item();
            assert_eq!((ours.sequence_number, ours.snapshot), (theirs.sequence_number, theirs.snapshot), "{line}");
            let read: Vec<_> = ours.rows().map(<[u8]>::to_vec).collect();
            assert_eq!(read, rows(&theirs), "{line}");
            assert_eq!(ours.is_heartbeat(), value.is_null(), "{line}");
        }
    }
}

//! The SQL Gateway: the request of every operation, and how every recorded answer is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use pipewright::error::{Applied, ErrorKind, ServiceError};
use pipewright::flink::sql_gateway::gateway::{GetApiVersion, GetInfo};
use pipewright::flink::sql_gateway::results::{ResultPage, RowFormat};
use pipewright::flink::sql_gateway::sessions::{
    CloseSession, CompleteStatement, ConfigureSession, GetSessionConfig, OpenSession, TriggerSession,
};
use pipewright::flink::sql_gateway::statements::{
    CancelOperation, CloseOperation, DeployScript, ExecuteStatement, FetchResults, GetOperationStatus,
    RefreshMaterializedTable,
};
use pipewright::flink::sql_gateway::{
    OperationHandle, SessionHandle, is_unknown_operation, is_unknown_session, is_wrong_token,
};
use pipewright::operation::{OperationInfo, RequestContext};
use pipewright::{Base, Operation};
use pipewright_tests::har::{self, Entry};
use pipewright_tests::json_coverage::{self, Survival};
use pipewright_tests::replies::{Parsed, parse_with};
use pipewright_tests::{routes, shorten};
use serde_json::Value;

const SERVICE: &str = "flink-sql-gateway";
const SESSION: SessionHandle = SessionHandle::from_bits(0x8eed_babe_e89b_48d3_a631_479f_4c7d_928e);
const OPERATION: OperationHandle = OperationHandle::from_bits(0xb);

/// What there is no success of: standalone session clusters refuse both, and nothing that runs can be cancelled.
const NOT_RECORDED: [&str; 3] = ["cancelOperation", "deployScript", "refreshMaterializedTable"];

fn operations() -> impl Iterator<Item = &'static OperationInfo> {
    pipewright::operations().filter(|info| info.service == SERVICE)
}

/// One line for the request, and its body.
fn sample<O: Operation>(operation: &O) -> (&'static str, String) {
    let base: Base = "https://proxy.example:8443/sql/v3".parse().expect("a base");
    let request = operation.request(RequestContext::new(&base)).expect("a request");
    let body = request.body().read().expect("in memory");
    let body = String::from_utf8(body.into()).expect("text");
    let text = format!("{} {}\n{body}\n-- {:?}\n", request.method(), request.uri(), operation.effect());
    (O::INFO.name, text)
}

fn options() -> BTreeMap<String, String> {
    [("pipeline.name", "night \"ly\""), ("parallelism.default", "2")].map(|(k, v)| (k.into(), v.into())).into()
}

#[test]
fn every_gateway_request_matches_its_snapshot() {
    let refresh = RefreshMaterializedTable::new(SESSION, "cat.db.a b/c", false);
    let samples = [
        sample(&GetApiVersion::new()),
        sample(&GetInfo::new()),
        sample(&OpenSession::new()),
        sample(&OpenSession::new().session_name("mine").properties(options())),
        sample(&GetSessionConfig::new(SESSION)),
        sample(&CloseSession::new(SESSION)),
        sample(&TriggerSession::new(SESSION)),
        sample(&ConfigureSession::new(SESSION, "USE CATALOG `é`")),
        sample(&ConfigureSession::new(SESSION, "RESET").execution_timeout(0)),
        sample(&CompleteStatement::new(SESSION, "SELECT * FROM ge", 16_u32)),
        sample(&ExecuteStatement::new(SESSION, "SELECT 'a''b'\n")),
        sample(&ExecuteStatement::new(SESSION, "SHOW TABLES").execution_config(options()).execution_timeout(1)),
        sample(&GetOperationStatus::new(SESSION, OPERATION)),
        sample(&CancelOperation::new(SESSION, OPERATION)),
        sample(&CloseOperation::new(SESSION, OPERATION)),
        sample(&FetchResults::new(SESSION, OPERATION, 0_u64)),
        sample(&FetchResults::new(SESSION, OPERATION, u64::MAX).row_format(RowFormat::PlainText)),
        sample(&refresh),
        sample(
            &refresh
                .clone()
                .schedule_time("2024-01-01 00:00:00")
                .dynamic_options(options())
                .static_partitions(options())
                .execution_config(options()),
        ),
        sample(&DeployScript::new(SESSION).script("SELECT 1;")),
        sample(&DeployScript::new(SESSION).script_uri("s3://bucket/a.sql").execution_config(options())),
    ];
    let shown: BTreeSet<_> = samples.iter().map(|(name, _)| *name).collect();
    assert_eq!(shown, operations().map(|info| info.name).collect());
    let text = samples.iter().fold(String::new(), |all, (name, text)| all + &format!("== {name}\n{text}\n"));
    snapshot("sql_requests", &text);
}

#[test]
fn the_list_of_gateway_operations_matches_its_snapshot() {
    let lines: Vec<_> = operations()
        .map(|info| format!("{:6} {:78} {:26} {:?}", info.method.as_str(), info.path, info.name, info.effect))
        .collect();
    snapshot("sql_table", &lines.join("\n"));
}

fn entries() -> Vec<Entry> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flink-sql-gateway/2.3.0.har");
    har::read_file(&file).expect("the fixture").entries
}

fn ours(entries: &[Entry]) -> impl Iterator<Item = (&Entry, &'static OperationInfo)> {
    entries.iter().filter_map(|entry| Some((entry, routes::of(SERVICE, entry)?)))
}

fn read(entry: &Entry, info: &OperationInfo) -> Result<Parsed, ServiceError> {
    parse_with(info.name, entry.response.clone()).expect("a row for every operation")
}

#[test]
fn every_recorded_gateway_answer_is_read_and_written_back() {
    let entries = entries();
    let (mut all, mut succeeded) = (Survival::default(), BTreeSet::new());
    for (entry, info) in ours(&entries) {
        match (entry.response.status().is_success(), read(entry, info)) {
            (true, Ok(parsed)) => {
                assert!(!parsed.debug.contains("Unknown("), "{}: {}", entry.name, parsed.debug);
                let before: Value = serde_json::from_slice(entry.response.body()).expect("JSON");
                let after = serde_json::from_str(&parsed.json).expect("JSON");
                all.add(json_coverage::survival(&before, &after, &[]));
                succeeded.insert(info.name);
            }
            (false, Err(error)) => {
                assert_eq!((error.kind(), error.status()), (ErrorKind::Rejected, entry.response.status()), "{error:?}");
                assert!(!error.message().is_empty());
            }
            (_, result) => panic!("{}: {result:?}", entry.name),
        }
    }
    assert_eq!((all.kept, &all.lost), (all.total, &BTreeSet::new()));
    let missing: Vec<_> = operations().map(|info| info.name).filter(|name| !succeeded.contains(name)).collect();
    let (mut missing, mut expected) = (missing, NOT_RECORDED.to_vec());
    missing.sort_unstable();
    expected.sort_unstable();
    assert_eq!(missing, expected);
}

/// What belongs to no operation: a path, a version or a method that the gateway does not have either.
#[test]
fn what_is_unmatched_is_not_found() {
    let entries = entries();
    let unmatched: Vec<_> = entries.iter().filter(|entry| routes::of(SERVICE, entry).is_none()).collect();
    assert!(!unmatched.is_empty());
    for entry in unmatched {
        assert_eq!(entry.response.status(), 404, "{}", entry.name);
    }
}

#[test]
fn error_responses_of_the_gateway_match_their_snapshot() {
    let mut text = String::new();
    for (entry, info) in ours(&entries()) {
        let Err(error) = read(entry, info) else { continue };
        let applied = match error.applied() {
            Applied::Yes => "applied",
            Applied::No => "not applied",
            Applied::Unknown => "perhaps applied",
        };
        let transient = if error.is_transient() { "transient" } else { "final" };
        let kinds = [
            (is_unknown_session(&error), ", unknown session"),
            (is_unknown_operation(&error), ", unknown operation"),
            (is_wrong_token(&error), ", wrong token"),
        ];
        let kinds: String = kinds.iter().filter(|(is, _)| *is).map(|(_, kind)| *kind).collect();
        let (status, code) = (error.status().as_u16(), error.code().unwrap_or("no code"));
        writeln!(text, "{} ({})", entry.name, info.name).expect("a string");
        writeln!(text, "    {status} {code}, {applied}, {transient}{kinds}").expect("a string");
        writeln!(text, "    {}", shorten::text(error.message())).expect("a string");
    }
    snapshot("sql_refusals", &text);
}

/// Pages as they are shown: columns with their types, rows with their kinds.
#[test]
fn pages_match_their_snapshot() {
    let mut text = String::new();
    for (entry, info) in ours(&entries()) {
        if info.name != "fetchResults" || !entry.response.status().is_success() {
            continue;
        }
        let page: ResultPage =
            FetchResults::new(SESSION, OPERATION, 0_u64).parse(entry.response.clone()).expect("a page");
        writeln!(text, "{}: {} then {:?}", entry.name, page.result_type, page.next_token()).expect("a string");
        let Some(results) = page.results.filter(|results| !results.data.is_empty()) else { continue };
        for column in &results.columns {
            writeln!(text, "    {} {}", column.name, column.logical_type).expect("a string");
        }
        for row in &results.data {
            assert_eq!(row.fields.cells().expect("a list").len(), results.columns.len());
            writeln!(text, "    {} {}", row.kind, shorten::text(row.fields.as_str())).expect("a string");
        }
    }
    snapshot("sql_pages", &text);
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/flink_sql");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

//! Snowpipe Streaming beside the recording of the vendor's SDK: the requests field by field, and every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use http::Request;
use percent_encoding::percent_decode_str;
use pipewright::error::Applied;
use pipewright::operation::{OperationInfo, RequestContext};
use pipewright::snowpipe::RequestId;
use pipewright::snowpipe::account::{ExchangeToken, GetHostname, TokenType};
use pipewright::snowpipe::append::{AppendRows, Encoding};
use pipewright::snowpipe::channels::{BulkGetChannelStatus, DropChannelOperation, OpenChannelOperation};
use pipewright::snowpipe::elastic::AppendElasticOperation;
use pipewright::{Base, Body, Operation};
use pipewright_tests::har::{self, Entry};
use pipewright_tests::replies::parse_with;
use pipewright_tests::{routes, shorten};
use serde_json::Value;

/// What we send otherwise than the SDK; explained in the documentation of `pipewright::snowpipe`.
const DIFFERENT: &[&str] = &[
    "body: an empty line at its end",
    "body: the order of the fields",
    "body: the scope has a dash for an underscore",
    "header accept-charset",
    "header user-agent",
    "header x-snowflake-min-append-timestamp-ms",
    "header x-snowflake-uncompressed-content-length",
];

fn recording() -> Vec<Entry> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snowpipe/sdk-1.9.har");
    har::read_file(&file).expect("the fixture").entries
}

fn ours() -> Vec<(Entry, &'static OperationInfo)> {
    let entries = recording().into_iter();
    entries
        .map(|entry| routes::of("snowpipe", &entry).map(|info| (entry, info)).expect("an operation of ours"))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned()
}

fn query(request: &Request<impl Sized>) -> Vec<(String, String)> {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.into(), decoded(value)))
        .collect()
}

/// The request that we would send for what the SDK has sent: same values, same attempt.
fn rebuilt(info: &OperationInfo, theirs: &Request<Bytes>) -> Request<Body> {
    let base: Base = format!("https://{}", theirs.uri().authority().expect("a host")).parse().expect("a base");
    let query: BTreeMap<String, String> = query(theirs).into_iter().collect();
    let bits = u128::from_str_radix(&query["requestId"].replace('-', ""), 16).expect("a UUID");
    let id = RequestId::from_bits(bits);
    let cx = RequestContext::new(&base).with_attempt(query["retryCount"].parse().expect("a number"));
    let segments: Vec<_> =
        theirs.uri().path().split('/').map(|it| decoded(it.split(':').next().expect("one"))).collect();
    let after = |name: &str| {
        let at = segments.iter().position(|segment| segment == name).expect("a name of the template");
        segments[at + 1].clone()
    };
    let names = || (after("databases"), after("schemas"), after("pipes"));
    let kind = TokenType::from(theirs.headers()["x-snowflake-authorization-token-type"].to_str().expect("text"));
    let json = || -> Value { serde_json::from_slice(theirs.body()).expect("JSON") };
    let encoding = theirs.headers().get("content-encoding").map(|it| Encoding::from(it.to_str().expect("text")));
    let rows = || Bytes::from(theirs.body().strip_suffix(b"\n").expect("an empty line").to_vec());
    let built = match info.name {
        "getHostname" => GetHostname::new(kind, id).request(cx),
        "exchangeToken" => {
            let form = String::from_utf8(theirs.body().to_vec()).expect("text").replace('+', " ");
            let scope = form.split('&').find_map(|pair| pair.strip_prefix("scope=")).map(decoded).expect("a scope");
            let (host, role) =
                scope.split_once(" session:role:").map_or((&*scope, None), |(host, role)| (host, Some(role)));
            let mut exchange = ExchangeToken::new(kind, host.replace('_', "-"), id);
            if let Some(role) = role {
                exchange = exchange.role(role);
            }
            exchange.request(cx)
        }
        "openChannel" => {
            let (database, schema, pipe) = names();
            let wait = json()["fail_on_uncommitted_rows"].as_bool().expect("a bool");
            let mut open = OpenChannelOperation::new(database, schema, pipe, after("channels"), id, wait);
            if let Some(token) = json()["offset_token"].as_str() {
                open = open.offset_token(token);
            }
            open.request(cx)
        }
        "dropChannel" => {
            let (database, schema, pipe) = names();
            DropChannelOperation::new(database, schema, pipe, after("channels"), id).request(cx)
        }
        "bulkGetChannelStatus" => {
            let (database, schema, pipe) = names();
            let channels: Vec<String> = serde_json::from_value(json()["channel_names"].clone()).expect("names");
            BulkGetChannelStatus::new(database, schema, pipe, id, channels).request(cx)
        }
        "appendRows" => {
            let (database, schema, pipe) = names();
            let mut append = AppendRows::new(database, schema, pipe, after("channels"), id, rows())
                .continuation_token(&*query["continuationToken"])
                .offsets(&*query["startOffsetToken"], &*query["endOffsetToken"]);
            append.encoding = encoding;
            append.session =
                theirs.headers().get("x-snowflake-session").map(|it| it.to_str().expect("text").to_owned());
            append.request(cx)
        }
        "appendElastic" => {
            let (database, schema, pipe) = names();
            let mut append = AppendElasticOperation::new(database, schema, pipe, id, rows());
            append.encoding = encoding;
            append.request(cx)
        }
        other => panic!("{other} is new: rebuild it"),
    };
    built.expect("a request")
}

/// Header fields that a transport adds, or that hold what was left out of the recording.
const NOT_COMPARED: &[&str] = &["host", "content-length", "authorization"];

#[test]
fn our_requests_are_the_sdks() {
    let (mut different, mut compared) = (BTreeSet::new(), BTreeSet::new());
    for (entry, info) in ours() {
        let theirs = &entry.request;
        let request = rebuilt(info, theirs);
        compared.insert(info.name);
        assert_eq!(request.method(), theirs.method(), "{}", entry.name);
        assert_eq!(request.uri().path(), theirs.uri().path(), "{}", entry.name);
        // Order and encoding too.
        assert_eq!(request.uri().query(), theirs.uri().query(), "{}", entry.name);
        let names: BTreeSet<_> =
            request.headers().keys().chain(theirs.headers().keys()).map(http::HeaderName::as_str).collect();
        for name in names.into_iter().filter(|name| !NOT_COMPARED.contains(name)) {
            if request.headers().get(name) != theirs.headers().get(name) {
                different.insert(format!("header {name}"));
            }
        }
        let body = request.body().read().expect("in memory");
        match (&*body, &**theirs.body()) {
            (body, theirs) if body == theirs => {}
            (body, theirs) if theirs.strip_suffix(b"\n") == Some(body) && body.ends_with(b"}\n") => {
                different.insert("body: an empty line at its end".to_owned());
            }
            (body, theirs)
                if String::from_utf8_lossy(theirs).replace("scope=ingest_host", "scope=ingest-host").as_bytes()
                    == body =>
            {
                different.insert("body: the scope has a dash for an underscore".to_owned());
            }
            (body, theirs)
                if info.name == "openChannel"
                    && serde_json::from_slice::<Value>(body).ok() == serde_json::from_slice::<Value>(theirs).ok() =>
            {
                different.insert("body: the order of the fields".to_owned());
            }
            (body, theirs) => {
                panic!("{}: {} against {}", entry.name, String::from_utf8_lossy(body), String::from_utf8_lossy(theirs))
            }
        }
    }
    assert_eq!(different, DIFFERENT.iter().map(|it| (*it).to_owned()).collect());
    let all: BTreeSet<_> = pipewright::operations().filter(|it| it.service == "snowpipe").map(|it| it.name).collect();
    // The SDK has no request for the table's path.
    assert_eq!(all.difference(&compared).collect::<Vec<_>>(), [&"appendElasticToTable"]);
}

#[test]
fn every_recorded_answer_matches_its_snapshot() {
    let mut text = String::new();
    for (entry, info) in ours() {
        writeln!(text, "{} ({})", entry.name, info.name).expect("a string");
        match parse_with(info.name, entry.response.clone()).expect("a row for every operation") {
            Ok(parsed) => {
                assert!(entry.response.status().is_success() && !parsed.debug.contains("Unknown("), "{}", entry.name);
                let mut json: Value = serde_json::from_str(&parsed.json).expect("JSON");
                without_null(&mut json);
                writeln!(text, "    {json}").expect("a string");
            }
            Err(error) => {
                let applied = match error.applied() {
                    Applied::Yes => "applied",
                    Applied::No => "not applied",
                    Applied::Unknown => "perhaps applied",
                };
                let transient = if error.is_transient() { "transient" } else { "final" };
                let (kind, status, code) = (error.kind(), error.status().as_u16(), error.code().unwrap_or("no code"));
                writeln!(text, "    {kind:?} {status} {code}, {applied}, {transient}").expect("a string");
                writeln!(text, "    {}", shorten::text(error.message())).expect("a string");
            }
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/snowpipe");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("answers", text));
}

fn without_null(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_null);
    }
}

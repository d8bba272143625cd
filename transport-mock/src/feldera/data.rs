//! Data in and out: ingress and egress.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Rejection, Reply};
use super::raw::Raw;
use super::release::Release;
use super::request::Call;
use super::rows::{self, Format};
use super::store::Store;
use super::streaming::Readings;
use super::subscriber::{Encoding, Subscriber};

/// What the manager says of a connection that ended too early.
pub(super) const DISCONNECTED: &str = "the pipeline disconnected while it was processing this HTTP request. This could be because the pipeline either (a) encountered a fatal error or panic, (b) was stopped, or (c) experienced network issues -- retrying might help in the last case. Alternatively, check the pipeline logs.";
/// What a test does instead of sending a file format.
const OTHER_FORMATS: &str = "send `json`, `csv` or `raw`, or use a real Feldera";
/// How many errors of one body are told.
const MOST_ERRORS: usize = 1000;
/// How many rows of a snapshot are in one record.
const SNAPSHOT_ROWS: usize = 10_000;

/// How a body of ingress is read.
enum Input {
    Rows(Format),
    Raw(Raw),
}

pub(super) fn ingress(store: &mut Store, call: &Call, name: &str, table: &str) -> Answer {
    let force = call.flag("force")?.unwrap_or(false);
    let (now, config) = (store.now, store.config.clone());
    let pipeline = store.running(name)?;
    let endpoint = format!("{table}.api-ingress-{:016x}", hash(&[table, &format_parameters(call)]));
    let update = call.query("update_format").unwrap_or_default();
    if call.query("format") == Some("json") && wedges(config.release, update) {
        // Its thread panics, and the circuit never completes another step.
        if let Some(process) = &mut pipeline.process {
            process.wedged = true;
        }
        return Err(pipeline.unreachable(DISCONNECTED));
    }
    let format = input_format(call, config.release, table, &endpoint)?;
    let Some(shape) = pipeline.compilation.program.as_ref().and_then(|program| program.table(table)).cloned() else {
        let details = json!({ "endpoint_name": endpoint, "stream_name": table });
        let message = format!("Input endpoint '{endpoint}' specifies unknown table '{table}'");
        return Err(Rejection::configuration(StatusCode::NOT_FOUND, "UnknownInputStream", &message, details));
    };
    let input = match format {
        Some(format) => Input::Rows(format),
        None => Input::Raw(Raw::new(call, &shape, &endpoint)?),
    };
    let Some(process) = &mut pipeline.process else { return Err(Rejection::unknown_route()) };
    let Some(at) = process.endpoints.open_ingress(&endpoint, table) else {
        let message = "The limit of API connections is reached; each way of ingress holds one until the pipeline stops";
        return Err(Rejection::new(StatusCode::TOO_MANY_REQUESTS, "ApiConnectionLimit", message, json!({})));
    };
    let Some(place) = process.endpoints.get_mut(at) else { return Err(Rejection::unknown_route()) };
    let first = place.records + place.errors as u64 + 1;
    let parsed = match input {
        Input::Rows(format) => rows::parse(&shape, format, call.query("array") == Some("true"), &call.body, first),
        Input::Raw(raw) => raw.parse(&shape, &call.body, first),
    };
    place.bytes += call.body.len();
    place.errors += parsed.errors.len();
    if process.status == "Paused" && !force {
        process.hold(at, &shape.name, parsed.changes);
        return Err(pipeline.timeout(30));
    }
    process.take(now, &config, at, &shape.name, parsed.changes);
    if parsed.errors.is_empty() {
        return Ok(Reply::json(json!({ "token": process.token(at).to_string() })));
    }
    Err(parse_errors(parsed.errors))
}

/// The rows there are, if they are asked for, and then changes as they come.
pub(super) fn egress(store: &mut Store, readings: &mut Readings, call: &Call, name: &str, view: &str) -> Answer {
    let backpressure = call.flag("backpressure")?.unwrap_or(false);
    let (now, release) = (store.now, store.config.release);
    let snapshot = release >= Release::V0_337 && call.flag("send_snapshot")?.unwrap_or(false);
    let format = call.query("format").unwrap_or("csv");
    if !["csv", "json"].contains(&format) {
        return Err(Rejection::query(format!("unknown variant `{format}`, expected `csv` or `json`")));
    }
    let pipeline = store.running(name)?;
    let endpoint = format!("{view}.api-{:016x}", hash(&[view]));
    let encoding = match (format, call.query("update_format").unwrap_or("insert_delete")) {
        // It is an option of JSON.
        ("csv", _) => Encoding::Csv,
        (_, "insert_delete") => Encoding::InsertDelete,
        (_, "snowflake") => Encoding::Snowflake,
        (_, "debezium") => Encoding::Debezium,
        // A real server accepts it and panics over the first row. What happens to the pipeline then is not known.
        (_, "redis") => return Err(Rejection::query("the simulator has no egress in the format `redis`".to_owned())),
        (_, update) => {
            let error = format!("{} update format is not supported for output JSON streams", title(update));
            let message = format!("Format not supported on output endpoint '{endpoint}': {error}");
            let details = json!({ "endpoint_name": endpoint, "error": error });
            let status = StatusCode::BAD_REQUEST;
            return Err(Rejection::configuration(status, "OutputFormatNotSupported", &message, details));
        }
    };
    let Some(program) = &pipeline.compilation.program else { return Err(Rejection::unknown_route()) };
    let relation = program.relation(view);
    let Some(relation) = relation else {
        let message = format!("Output endpoint '{endpoint}' specifies unknown output table or view '{view}'");
        let details = json!({ "endpoint_name": endpoint, "stream_name": view });
        return Err(Rejection::configuration(StatusCode::NOT_FOUND, "UnknownOutputStream", &message, details));
    };
    if snapshot && !relation.materialized {
        let error = "'send_snapshot: true' requires a materialized output view";
        let message = format!("invalid transport configuration for endpoint '{endpoint}': {error}");
        let details = json!({ "endpoint_name": endpoint, "error": error });
        let status = StatusCode::BAD_REQUEST;
        return Err(Rejection::configuration(status, "InvalidTransportConfig", &message, details));
    }
    let Some(process) = &pipeline.process else { return Err(Rejection::unknown_route()) };
    let mut subscriber = Subscriber::new(now, release, relation.name.to_owned(), encoding, backpressure);
    let snapshot = snapshot.then(|| process.tables.snapshot(program, relation.name));
    let rows = snapshot.unwrap_or_default();
    if !rows.chunks(SNAPSHOT_ROWS).all(|piece| subscriber.send(now, true, piece)) {
        pipeline.tell_of_dropped_rows(now);
    }
    let Some(process) = &mut pipeline.process else { return Err(Rejection::unknown_route()) };
    Ok(readings.egress(pipeline.id.clone(), process, subscriber))
}

/// What makes an endpoint of its own, in whatever order it comes.
fn format_parameters(call: &Call) -> String {
    let mut parameters: Vec<&str> = call.raw_query.split('&').filter(|pair| !pair.starts_with("force=")).collect();
    parameters.sort_unstable();
    parameters.join("&")
}

/// Whether a release dies of an update format of JSON that it should know. `weighted` is gone since 0.375.
fn wedges(release: Release, update: &str) -> bool {
    update == "redis" || update == "weighted" && release < Release::V0_375
}

/// Returns `None` for `raw`, whose parameters are checked against the table.
fn input_format(call: &Call, release: Release, table: &str, endpoint: &str) -> Result<Option<Format>, Rejection> {
    let bad = |kind: &str, message: String, details: Value| {
        Rejection::configuration(StatusCode::BAD_REQUEST, kind, &message, details)
    };
    match call.query("format").unwrap_or("csv") {
        "csv" => return Ok(Some(Format::Csv)),
        "json" => {}
        "raw" => return Ok(None),
        "parquet" => return Err(Rejection::format_not_simulated("parquet", OTHER_FORMATS)),
        "avro" => return Err(Rejection::format_not_simulated("avro", OTHER_FORMATS)),
        other => {
            let endpoint = format!("{table}.api-ingress-{other}");
            let message = format!("Input endpoint '{endpoint}' specifies unknown input format '{other}'");
            let details = json!({ "endpoint_name": endpoint, "format_name": other });
            return Err(bad("UnknownInputFormat", message, details));
        }
    }
    let unparsed =
        |error: &str| Rejection::unparsed_format(&call.raw_query, &format!("{table}.api-ingress-json"), error);
    if call.query("array").is_some_and(|array| !["true", "false"].contains(&array)) {
        return Err(unparsed("provided string was not `true` or `false`"));
    }
    match call.query("update_format").unwrap_or("insert_delete") {
        "insert_delete" => Ok(Some(Format::InsertDelete)),
        "raw" => Ok(Some(Format::Raw)),
        "debezium" => Ok(Some(Format::Debezium)),
        "snowflake" => {
            let error = "Snowflake is not supported for JSON input streams";
            let message = format!("Format not supported on input endpoint '{endpoint}': {error}");
            Err(bad("InputFormatNotSupported", message, json!({ "endpoint_name": endpoint, "error": error })))
        }
        other => {
            let weighted = if release < Release::V0_375 { " `weighted`," } else { "" };
            let known = format!("`insert_delete`,{weighted} `debezium`, `snowflake`, `raw`, `redis`");
            Err(unparsed(&format!("unknown variant `{other}`, expected one of {known}")))
        }
    }
}

fn parse_errors(mut errors: Vec<Value>) -> Rejection {
    let count = errors.len();
    // The last errors are kept.
    errors.drain(..count.saturating_sub(MOST_ERRORS));
    let mut message = format!("Errors parsing input data ({count} errors):");
    for error in &errors {
        let text = error["description"].as_str().unwrap_or_default();
        match error["event_number"].as_u64() {
            Some(number) => message.extend(["\n    Parse error (event #", &number.to_string(), "): ", text]),
            None => message.extend(["\n    Parse error: ", text]),
        }
        if let Some(fragment) = error["invalid_text"].as_str() {
            message.extend(["\nInvalid fragment: '", fragment, "'"]);
        }
    }
    let details = json!({ "errors": errors, "num_errors": count });
    Rejection::new(StatusCode::BAD_REQUEST, "ParseErrors", message, details)
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

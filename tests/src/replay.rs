//! Replays recordings: reads every recorded answer with the type of its operation.

use std::collections::{BTreeMap, BTreeSet};

use http::Response;
use pipewright::decode::{DecodeError, Decoder, End, LineLimit, Lines, NdJson};
use pipewright::error::{ErrorKind, ServiceError};
use pipewright::operation::OperationInfo;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::har::Entry;
use crate::json_coverage::{Survival, survival};
use crate::{replies, routes, unmatched};

/// Services whose recordings can be replayed.
const SERVICES: &[&str] = &["feldera", "flink", "flink-sql-gateway", "snowpipe"];

/// Names that fields have besides the name that is read: names of older releases, and names that are written twice.
pub const RENAMED: &[(&str, &str)] =
    &[("@class", "className"), ("backpressure-level", "backpressureLevel"), ("start_time", "start-time")];

/// Operations whose answer is a pipeline, or several.
const PIPELINES: &[&str] =
    &["list_pipelines", "post_pipeline", "get_pipeline", "put_pipeline", "patch_pipeline", "post_update_runtime"];

/// Places whose content is opaque by nature, by operation; a `*` stands for any key. Their leaves do not count.
const OPAQUE: &[(&[&str], &[&str])] = &[
    (&["fetchResults"], &["results.data.fields"]),
    (
        PIPELINES,
        &[
            "program_info.input_connectors.*",
            "program_info.output_connectors.*",
            "program_info.schema.inputs.foreign_keys",
            "program_info.schema.outputs.foreign_keys",
            "runtime_config.dev_tweaks",
            "runtime_config.init_containers",
            "deployment_resources_status_details",
            "deployment_error.details",
        ],
    ),
    (
        &["list_pipeline_events", "get_pipeline_event"],
        &["deployment_resources_status_details", "deployment_error.details"],
    ),
    (
        &["get_program_info"],
        &[
            "input_connectors.*",
            "output_connectors.*",
            "schema.inputs.foreign_keys",
            "schema.outputs.foreign_keys",
            "dataflow.calcite_plan.*.rels.condition",
            "dataflow.calcite_plan.*.rels.exprs",
            "dataflow.calcite_plan.*.rels.aggs",
        ],
    ),
    (
        &["post_validate_program"],
        &[
            "Success.program_info.input_connectors.*",
            "Success.program_info.output_connectors.*",
            "Success.program_info.schema.inputs.foreign_keys",
            "Success.program_info.schema.outputs.foreign_keys",
            "Success.program_info.dataflow.calcite_plan.*.rels.condition",
            "Success.program_info.dataflow.calcite_plan.*.rels.exprs",
            "Success.program_info.dataflow.calcite_plan.*.rels.aggs",
        ],
    ),
    (
        &["get_pipeline_dataflow_graph"],
        &["calcite_plan.*.rels.condition", "calcite_plan.*.rels.exprs", "calcite_plan.*.rels.aggs"],
    ),
    (&["get_pipeline_circuit_json_profile", "post_pipeline_output_connector_command"], &[""]),
    (&["get_pipeline_stats"], &["inputs.completed_frontier.metadata"]),
    (&["get_pipeline_input_connector_status"], &["completed_frontier.metadata"]),
];

/// The outcome of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A success, read.
    Ok,
    /// A rejection by the service itself, with its code or its status.
    ServiceError(String),
    /// A refusal that is not the service's own.
    ForeignError,
    /// No operation of ours.
    Unmatched,
    /// What should have been read was not.
    Failed(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::ServiceError(code) => write!(f, "service error {code}"),
            Self::ForeignError => f.write_str("foreign error"),
            Self::Unmatched => f.write_str("unmatched"),
            Self::Failed(why) => write!(f, "FAILED {why}"),
        }
    }
}

/// The sum of a replay.
#[derive(Debug, Default)]
pub struct Report {
    counts: BTreeMap<&'static str, usize>,
    /// How much of the answers survived, by operation.
    pub survivals: BTreeMap<&'static str, Survival>,
    /// Operations that keep JSON as it came: the places, those that are listed as opaque.
    pub untyped: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// The same, those that are not listed.
    pub unlisted: BTreeSet<String>,
    /// Entries that belong to no operation, and have no reason in a list.
    pub unexplained: usize,
}

impl Report {
    /// Replays an entry and counts it.
    pub fn add(&mut self, entry: &Entry) -> (Verdict, Option<&'static OperationInfo>) {
        let info = SERVICES.iter().find_map(|service| routes::of(service, entry));
        let verdict = info.map_or(Verdict::Unmatched, |info| self.replay(info, entry));
        let column = match verdict {
            Verdict::Ok => "ok",
            Verdict::ServiceError(_) => "errors",
            Verdict::ForeignError => "foreign",
            Verdict::Unmatched => "unmatched",
            Verdict::Failed(_) => "failed",
        };
        *self.counts.entry(column).or_default() += 1;
        if verdict == Verdict::Unmatched {
            let reason = unmatched::reason(entry.request.method(), entry.request.uri().path());
            self.unexplained += usize::from(reason.is_none());
        }
        (verdict, info)
    }

    fn replay(&mut self, info: &'static OperationInfo, entry: &Entry) -> Verdict {
        let body = entry.response.body();
        if let Err(why) = decode_in_pieces(body) {
            return Verdict::Failed(why);
        }
        let answer = || entry.response.clone();
        let Some(parsed) = replies::parse_with(info.name, answer()) else {
            return Verdict::Failed(format!("{} has no row in the table of answers", info.name));
        };
        match parsed {
            Ok(parsed) => match (serde_json::from_slice(body), serde_json::from_str(&parsed.json)) {
                // A live answer is written back as what came out, not as what came in.
                (Ok(_), Ok(_)) if parsed.is_text => Verdict::Ok,
                (Ok(before), Ok(after)) => {
                    let renamed = if info.service == "flink" { RENAMED } else { &[] };
                    let survived = survival(&without_opaque(info, before), &without_opaque(info, after), renamed);
                    self.survivals.entry(info.name).or_default().add(survived);
                    self.note_raw(info, answer());
                    Verdict::Ok
                }
                // Not JSON: read as it is.
                (Err(_), _) => Verdict::Ok,
                (_, Err(error)) => Verdict::Failed(format!("written back as no JSON: {error}")),
            },
            Err(error) => verdict_on(&error, serde_json::from_slice::<Value>(body).is_ok()),
        }
    }

    /// Notes what an operation keeps as it came.
    fn note_raw(&mut self, info: &'static OperationInfo, answer: Response<bytes::Bytes>) {
        for place in raw_places(info, answer) {
            match opaque(info).find(|listed| is_at(&place, listed)) {
                Some(listed) => {
                    self.untyped.entry(info.name).or_default().insert(listed);
                }
                None => {
                    self.unlisted.insert(format!("{}: {}", info.name, place.join(".")));
                }
            }
        }
    }

    /// Counts an entry that does not hold a whole exchange.
    pub fn skip(&mut self) {
        *self.counts.entry("unrecorded").or_default() += 1;
    }

    /// How many entries ended as `ok`, `errors`, `foreign`, `unmatched`, `unrecorded` or `failed`.
    pub fn count(&self, column: &str) -> usize {
        self.counts.get(column).copied().unwrap_or_default()
    }

    /// The line that sums it up.
    pub fn summary(&self) -> String {
        let mut all = Survival::default();
        self.survivals.values().for_each(|survival| all.add(survival.clone()));
        let columns = ["ok", "errors", "foreign", "unmatched", "unrecorded", "failed"]
            .map(|column| format!("{column}={}", self.count(column)));
        let entries: usize = self.counts.values().sum();
        format!("entries={entries} {} kept={}% untyped={}", columns.join(" "), percent(&all), self.untyped.len())
    }
}

/// The share of leaves that survived, with two decimals that are never rounded up to 100.
pub fn percent(survival: &Survival) -> String {
    match survival.total {
        0 => "100.00".to_owned(),
        total => {
            let hundredths = survival.kept * 10_000 / total;
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
        }
    }
}

fn verdict_on(error: &ServiceError, is_json: bool) -> Verdict {
    match error.kind() {
        ErrorKind::Rejected => {
            Verdict::ServiceError(error.code().map_or_else(|| error.status().as_u16().to_string(), str::to_owned))
        }
        ErrorKind::Foreign => Verdict::ForeignError,
        // A stand-in for Snowpipe Streaming plays faults too: a success with HTML, or with nothing.
        ErrorKind::Unreadable if error.service() == "snowpipe" && !is_json => Verdict::ForeignError,
        ErrorKind::Unreadable => Verdict::Failed(error.to_string()),
    }
}

/// The places of an answer that are kept as JSON, and not by a type. JSON is written back as it came, line breaks and
/// all; a type writes none.
fn raw_places(info: &OperationInfo, answer: Response<bytes::Bytes>) -> Vec<Vec<String>> {
    let (head, body) = answer.into_parts();
    let pretty = serde_json::from_slice::<Value>(&body).and_then(|value| serde_json::to_string_pretty(&value));
    let Ok(pretty) = pretty else { return Vec::new() };
    let mut places = Vec::new();
    if let Some(Ok(parsed)) = replies::parse_with(info.name, Response::from_parts(head, pretty.into())) {
        collect_raw(&parsed.json, &[], &mut places);
    }
    places
}

/// `path` is that of `text`, without the indices of lists.
fn collect_raw(text: &str, path: &[String], places: &mut Vec<Vec<String>>) {
    if text.starts_with("{\n") || text.starts_with("[\n") {
        places.push(path.to_vec());
    } else if let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        for (key, value) in fields {
            collect_raw(value.get(), &[path, &[key]].concat(), places);
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
        for item in items {
            collect_raw(item.get(), path, places);
        }
    }
}

/// The places of an operation's answer that are listed as opaque.
fn opaque(info: &OperationInfo) -> impl Iterator<Item = &'static str> {
    OPAQUE.iter().filter(|(operations, _)| operations.contains(&info.name)).flat_map(|(_, places)| *places).copied()
}

/// Whether a place is the listed place, or in it.
fn is_at(place: &[String], listed: &str) -> bool {
    let listed = steps(listed);
    place.len() >= listed.len() && listed.iter().zip(place).all(|(listed, key)| *listed == "*" || listed == key)
}

fn steps(listed: &str) -> Vec<&str> {
    listed.split('.').filter(|step| !step.is_empty()).collect()
}

fn without_opaque(info: &OperationInfo, mut value: Value) -> Value {
    opaque(info).for_each(|listed| remove(&mut value, &steps(listed)));
    value
}

/// Takes out what is at a path, in every item of the lists on its way.
fn remove(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (value, []) => *value = Value::Null,
        (Value::Array(items), path) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Object(fields), ["*", rest @ ..]) => fields.values_mut().for_each(|value| remove(value, rest)),
        (Value::Object(fields), [first, rest @ ..]) => {
            if let Some(value) = fields.get_mut(*first) {
                remove(value, rest);
            }
        }
        _ => {}
    }
}

/// What a decoder made of a body: its items, and how it ended.
type Decoded = (Vec<Vec<u8>>, Result<(), DecodeError>);

/// Whatever a body is, its lines and rows are the same in one piece and in many, cut at places that look random and are
/// not.
fn decode_in_pieces(body: &[u8]) -> Result<(), String> {
    let (mut rest, mut state) = (body, body.len() as u64 | 1);
    let pieces: Vec<&[u8]> = std::iter::from_fn(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = usize::try_from(state >> 40).unwrap_or_default() % 700 + 1;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
    .collect();
    let limit = LineLimit::default();
    let lines = decoded(Lines::new(limit), &[body]);
    if let (_, Err(error)) = &lines {
        return Err(error.to_string());
    }
    if decoded(Lines::new(limit), &pieces) != lines {
        return Err("its lines depend on how it is cut".to_owned());
    }
    // Most bodies are no rows: then the error is the same.
    if decoded(NdJson::new(limit), &pieces) != decoded(NdJson::new(limit), &[body]) {
        return Err("its rows depend on how it is cut".to_owned());
    }
    Ok(())
}

fn decoded<D>(mut decoder: D, pieces: &[&[u8]]) -> Decoded
where
    D: for<'a> Decoder<Item<'a> = &'a [u8]> + 'static,
{
    let mut items = Vec::new();
    let mut drain = |decoder: &mut D| {
        while decoder.advance()? {
            items.push(decoder.item().to_vec());
        }
        Ok(())
    };
    let mut work = || {
        for piece in pieces {
            decoder.feed(piece);
            drain(&mut decoder)?;
        }
        decoder.finish(End::Complete)?;
        drain(&mut decoder)
    };
    let ended = work();
    (items, ended)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::har;

    #[test]
    fn what_came_as_it_is_is_found_by_its_place() {
        let text = r#"{"a":{"b":[{"c":PRETTY},{"c":1},{"c":{}}]},"d":PRETTY,"e":"{\n"}"#
            .replace("PRETTY", "{\n  \"x\": [\n 1]}");
        let mut places = Vec::new();
        collect_raw(&text, &[], &mut places);
        assert_eq!(places, [vec!["a", "b", "c"], vec!["d"]]);
        assert!(is_at(&places[0], "a.*.c") && is_at(&places[0], "a.b") && is_at(&places[0], ""));
        assert!(!is_at(&places[0], "a.c") && !is_at(&places[0], "a.b.c.d"));
    }

    #[test]
    fn what_is_opaque_is_taken_out_everywhere() {
        let mut value = serde_json::json!({"a": [{"b": {"c": 1, "d": 2}}, {"b": {"c": 3}}, {"e": {"c": 4}}]});
        remove(&mut value, &["a", "*", "c"]);
        let expected = serde_json::json!({"a": [{"b": {"c": null, "d": 2}}, {"b": {"c": null}}, {"e": {"c": null}}]});
        assert_eq!(value, expected);
    }

    /// What is kept as it came is listed, and all other answers have types.
    #[test]
    fn what_is_untyped_is_listed() {
        let mut report = Report::default();
        for service in SERVICES {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(service);
            for recording in har::read_folder(&folder).expect("the recordings") {
                for entry in &recording.entries {
                    report.add(entry);
                }
            }
        }
        assert_eq!(report.unlisted, BTreeSet::new());
        for (operation, place) in [
            ("fetchResults", "results.data.fields"),
            ("get_pipeline", "program_info.input_connectors.*"),
            ("get_pipeline", "deployment_resources_status_details"),
        ] {
            assert!(report.untyped[operation].contains(place), "{operation}: {:?}", report.untyped);
        }
    }

    /// Proxies and older frameworks write one.
    #[test]
    fn a_byte_order_mark_before_an_answer_changes_nothing() {
        let mut compared = 0;
        for service in SERVICES {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(service);
            for recording in har::read_folder(&folder).expect("the recordings") {
                for entry in &recording.entries {
                    let Some(info) = routes::of(service, entry) else { continue };
                    let read = |mark: &str| {
                        let (head, body) = entry.response.clone().into_parts();
                        let body = [mark.as_bytes(), &body[..]].concat();
                        match replies::parse_with(info.name, Response::from_parts(head, body.into()))? {
                            Ok(parsed) => Some(Ok(parsed.json)),
                            Err(error) => Some(Err((error.kind(), error.code().map(str::to_owned)))),
                        }
                    };
                    let is_json = serde_json::from_slice::<Value>(entry.response.body()).is_ok();
                    let is_empty = entry.response.body().is_empty();
                    // Rows, lines, a host name, a token. Not a download, which is handed on as it is.
                    if is_json
                        || !is_empty && (read("").is_some_and(|read| read.is_err()) || info.service == "snowpipe")
                    {
                        assert_eq!(read("\u{feff}"), read(""), "{}: {}", info.name, entry.name);
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 900, "{compared} answers");
    }

    #[test]
    fn nearly_all_is_not_all() {
        let survival = Survival { total: 100_000, kept: 99_999, ..Survival::default() };
        assert_eq!(percent(&survival), "99.99");
    }
}

//! Recordings replayed: every recorded answer is read with the type of its operation.

use std::collections::{BTreeMap, BTreeSet};

use http::Response;
use pipewright::decode::{DecodeError, Decoder, End, LineLimit, Lines, NdJson};
use pipewright::error::{ErrorKind, ServiceError};
use pipewright::operation::Info;
use serde_json::Value;

use crate::har::Entry;
use crate::leaves::{Survival, survival};
use crate::{replies, routes, unmatched};

/// Services whose recordings can be replayed.
const SERVICES: &[&str] = &["feldera", "flink", "flink-sql-gateway", "snowpipe"];

/// Names that fields have besides the one that is read: those of older releases, and those that are written twice.
pub const RENAMED: &[(&str, &str)] =
    &[("@class", "className"), ("backpressure-level", "backpressureLevel"), ("start_time", "start-time")];

/// Fields whose content is opaque by nature, as `operation` and path: their leaves do not count.
const OPAQUE: &[(&str, &str)] = &[("fetchResults", "results.data.fields")];

/// A field that no service has.
const PROBE: &str = "pipewrightProbe";

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A success, read.
    Ok,
    /// A refusal in the service's own words, with its code or its status.
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
    /// Operations that keep what their type does not know.
    pub untyped: BTreeSet<&'static str>,
    /// Entries that belong to no operation, and nobody says why.
    pub unexplained: usize,
}

impl Report {
    /// Replays an entry and counts it.
    pub fn add(&mut self, entry: &Entry) -> (Verdict, Option<&'static Info>) {
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

    fn replay(&mut self, info: &'static Info, entry: &Entry) -> Verdict {
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
                    if keeps_the_unknown(info, answer()) {
                        self.untyped.insert(info.name);
                    }
                    Verdict::Ok
                }
                // Not JSON: read as it is.
                (Err(_), _) => Verdict::Ok,
                (_, Err(error)) => Verdict::Failed(format!("written back as no JSON: {error}")),
            },
            Err(error) => verdict_on(&error, serde_json::from_slice::<Value>(body).is_ok()),
        }
    }

    /// How many entries came to `ok`, `errors`, `foreign`, `unmatched` or `failed`.
    pub fn count(&self, column: &str) -> usize {
        self.counts.get(column).copied().unwrap_or_default()
    }

    /// The line that sums it up.
    pub fn summary(&self) -> String {
        let mut all = Survival::default();
        self.survivals.values().for_each(|survival| all.add(survival.clone()));
        let columns =
            ["ok", "errors", "foreign", "unmatched", "failed"].map(|column| format!("{column}={}", self.count(column)));
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
        ErrorKind::Refused => {
            Verdict::ServiceError(error.code().map_or_else(|| error.status().as_u16().to_string(), str::to_owned))
        }
        ErrorKind::Foreign => Verdict::ForeignError,
        // A stand-in for Snowpipe Streaming plays faults too: a success with HTML, or with nothing.
        ErrorKind::Unreadable if error.service() == "snowpipe" && !is_json => Verdict::ForeignError,
        ErrorKind::Unreadable => Verdict::Failed(error.to_string()),
    }
}

/// Adds a field that no type knows to every object of an answer: a type that is one does not write it back.
fn keeps_the_unknown(info: &Info, answer: Response<bytes::Bytes>) -> bool {
    let (head, body) = answer.into_parts();
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return false };
    plant(&mut value, true);
    let planted = Response::from_parts(head, value.to_string().into());
    replies::parse_with(info.name, planted).is_some_and(|parsed| parsed.is_ok_and(|parsed| parsed.json.contains(PROBE)))
}

/// Maps whose keys are data would take the probe for one more key, so only objects with the shape of a record get it:
/// the outermost one, and those in lists.
fn plant(value: &mut Value, is_record: bool) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| plant(value, false));
            if is_record {
                fields.insert(PROBE.to_owned(), Value::from("probe"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, true)),
        _ => {}
    }
}

fn without_opaque(info: &Info, mut value: Value) -> Value {
    for (operation, path) in OPAQUE {
        if *operation == info.name {
            remove(&mut value, &path.split('.').collect::<Vec<_>>());
        }
    }
    value
}

/// Takes out what is at a path, in every item of the lists on its way.
fn remove(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(items), path) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Object(fields), [last]) => {
            fields.remove(*last);
        }
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

/// Whatever a body is, its lines and rows are the same in one piece and in many, cut at places that look random and are not.
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
    use super::*;

    #[test]
    fn the_probe_finds_what_is_untyped() {
        let mut value = serde_json::json!({"a": {"b": 1}, "c": [{"d": [1]}]});
        plant(&mut value, true);
        let expected = serde_json::json!({"a": {"b": 1}, "c": [{"d": [1], PROBE: "probe"}], PROBE: "probe"});
        assert_eq!(value, expected);
    }

    #[test]
    fn what_is_opaque_is_taken_out_everywhere() {
        let mut value = serde_json::json!({"a": [{"b": {"c": 1, "d": 2}}, {"b": {"c": 3}}, {}]});
        remove(&mut value, &["a", "b", "c"]);
        assert_eq!(value, serde_json::json!({"a": [{"b": {"d": 2}}, {"b": {}}, {}]}));
    }

    #[test]
    fn nearly_all_is_not_all() {
        let survival = Survival { total: 100_000, kept: 99_999, ..Survival::default() };
        assert_eq!(percent(&survival), "99.99");
    }
}

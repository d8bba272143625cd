//! Feldera's streams: in whatever pieces a body arrives, the items and the end are the same. Lost items are counted.
//! Complete, cut off and failed are told apart.

mod logs;
mod query_results;

use std::fmt::Write as _;
use std::path::Path;

use pipewright::Operation as _;
use pipewright::decode::{DecodeError, Decoder, End, LineLimit};
use pipewright::feldera::data::DataFormat;
use pipewright::feldera::stream::{
    AdhocQuery, Egress, HttpOutput, LogHistory, Logs, QueryFormat, QueryResult, Samples,
};
use pipewright_tests::{har, routes};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What came out, each item as a text, and how it ended.
type Outcome = (Vec<String>, Result<(), DecodeError>);

/// Feeds pieces as a driver does, and reads after each.
fn drive<D: Decoder>(decoder: &mut D, show: fn(&D) -> String, pieces: &[&[u8]], end: End) -> Outcome {
    let mut items = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        if let Err(error) = drain(decoder, show, &mut items) {
            return (items, Err(error));
        }
    }
    let ended = decoder.finish(end);
    let drained = drain(decoder, show, &mut items);
    decoder.feed(b"{}\n");
    assert_eq!(drain(decoder, show, &mut items), drained, "bytes after the end are ignored");
    (items, ended.and(drained))
}

fn drain<D: Decoder>(decoder: &mut D, show: fn(&D) -> String, items: &mut Vec<String>) -> Result<(), DecodeError> {
    loop {
        match decoder.advance() {
            Ok(true) => items.push(show(decoder)),
            Ok(false) => return Ok(()),
            Err(error) => {
                decoder.feed(b"more\n");
                assert_eq!(decoder.advance(), Err(error.clone()), "errors stay");
                assert_eq!(decoder.finish(End::Complete), Err(error.clone()), "also at the end");
                return Err(error);
            }
        }
    }
}

/// In these pieces, byte by byte and all at once: the same.
fn every_cut<D: Decoder>(
    new: impl Fn() -> D,
    show: fn(&D) -> String,
    body: &[u8],
    cuts: &[Index],
    end: End,
) -> Outcome {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    let pieces: Vec<_> = places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
    let whole = drive(&mut new(), show, &[body], end);
    assert_eq!(drive(&mut new(), show, &pieces, end), whole, "in pieces, of {}", String::from_utf8_lossy(body));
    let bytes: Vec<_> = body.chunks(1).collect();
    assert_eq!(drive(&mut new(), show, &bytes, end), whole, "in bytes, of {}", String::from_utf8_lossy(body));
    whole
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn show_chunk(egress: &Egress) -> String {
    let chunk = egress.item();
    let rows: Vec<_> = chunk.rows().map(text).collect();
    let kind = match (chunk.processed_steps, chunk.is_heartbeat(), chunk.snapshot) {
        (Some(steps), false, _) => format!("step {steps}"),
        (_, true, _) => "heartbeat".to_owned(),
        (_, _, true) => "snapshot".to_owned(),
        _ => "changes".to_owned(),
    };
    let phase = if egress.is_past_snapshot() { "past" } else { "in" };
    format!("{} {kind} {phase} lost {}/{}: {rows:?}", chunk.sequence_number, chunk.lost, egress.lost())
}

fn show_result(result: &QueryResult) -> String {
    text(result.item())
}

/// What a server writes into an egress body.
#[derive(Clone, Debug)]
struct Record {
    /// How many records it discarded right before.
    discarded: u64,
    snapshot: bool,
    /// Values of JSON or lines of CSV; none is a heartbeat, or the end of a step.
    rows: Vec<&'static str>,
    /// Of the end of a step.
    steps: Option<u64>,
    is_csv: bool,
    /// Written with its fields in another order, as it may be one day.
    reordered: bool,
}

const JSON_ROWS: &[&str] = &[
    r#"{"insert":{"id":1}}"#,
    r#"{"delete":{"s":"a \"quoted\", {[brace"}}"#,
    r#"{"insert":{"s":"line\r\nend \\"}}"#,
    r#"{"payload":{"op":"u","before":null,"after":{"é":[1,[2,{}]]}}}"#,
    "7",
    "null",
];
const CSV_ROWS: &[&str] =
    &["1,true,a,1", "2,,\"two\nlines, one row\",-1", "\"say \"\"so\"\"\",1", "é,1", "\u{1},tab\t,back\\slash,1"];

fn record() -> impl Strategy<Value = Record> {
    let rows = |rows: &'static [&'static str]| proptest::collection::vec(select(rows), 0..4);
    let steps = proptest::option::of(select(&[0_u64, 7, 1 << 62, u64::MAX][..]));
    (0_u64..3, any::<bool>(), any::<bool>(), any::<bool>(), rows(JSON_ROWS), rows(CSV_ROWS), steps).prop_map(
        |(discarded, snapshot, is_csv, reordered, json, csv, steps)| Record {
            discarded: discarded.saturating_sub(1),
            snapshot,
            rows: if is_csv { csv } else { json },
            steps,
            is_csv,
            reordered,
        },
    )
}

/// The body, and what is to come out of it.
fn body_of(records: &[Record]) -> (String, Vec<String>) {
    let (mut body, mut items) = (String::new(), Vec::new());
    let (mut number, mut lost, mut past) = (0, 0, false);
    for record in records {
        number += record.discarded;
        lost += record.discarded;
        past |= !record.snapshot;
        let payload = match &record.rows[..] {
            [] => record.steps.map(|steps| format!("\"processed_steps\":{steps}")).unwrap_or_default(),
            rows if record.is_csv => {
                let lines = rows.iter().fold(String::new(), |lines, row| lines + row + "\n");
                format!("\"text_data\":{}", serde_json::Value::from(lines))
            }
            rows => format!("\"json_data\":[{}]", rows.join(",")),
        };
        let comma = if payload.is_empty() { "" } else { "," };
        let head = format!("\"sequence_number\":{number},\"snapshot\":{}", record.snapshot);
        let fields = if record.reordered { [&*payload, comma, &*head] } else { [&*head, comma, &*payload] };
        writeln!(body, "{{{}}}\r", fields.concat()).expect("a string");
        let kind = match (record.steps.filter(|_| record.rows.is_empty()), record.rows.is_empty(), record.snapshot) {
            (Some(steps), ..) => format!("step {steps}"),
            (_, true, _) => "heartbeat".to_owned(),
            (_, _, true) => "snapshot".to_owned(),
            _ => "changes".to_owned(),
        };
        let phase = if past { "past" } else { "in" };
        items.push(format!("{number} {kind} {phase} lost {}/{lost}: {:?}", record.discarded, record.rows));
        number += 1;
    }
    (body, items)
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Complete), Just(End::Truncated)]
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    proptest::collection::vec(any::<Index>(), 0..8)
}

fn tokens(tokens: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(select(tokens), 0..24).prop_map(|tokens| tokens.concat().into_bytes())
}

/// Near misses of records, samples, tables and files.
const PIECES: &[&str] = &[
    "{\"sequence_number\":",
    "0",
    "1",
    "18446744073709551615",
    ",\"snapshot\":",
    "true",
    "false",
    ",\"json_data\":[",
    "{\"insert\":{}}",
    "\"text_data\":\"a\\nb\"",
    "[",
    "]}",
    "}",
    "\"",
    "\\",
    ",",
    "\r\n",
    "\n",
    "{\"t\":1,\"r\":2,\"m\":3,\"s\":4}\n",
    "{\"error\":\"no\"}",
    "+--+",
    "| 1|\n",
    "ERROR: no",
    "PAR1",
    "\u{1b}[0m",
];

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn egress_is_read_alike_however_it_is_cut(
        records in proptest::collection::vec(record(), 0..8), cuts in cuts(), end in end(),
    ) {
        let (body, expected) = body_of(&records);
        let new = || Egress::new(LineLimit::default());
        // A stop ends the body properly: that is no error, and no promise either.
        prop_assert_eq!(every_cut(new, show_chunk, body.as_bytes(), &cuts, end), (expected, Ok(())));
    }

    /// A record that is cut off is told, whether the proxy ended the body properly or not; those before it are there.
    #[test]
    fn egress_that_is_cut_off_is_truncated(
        records in proptest::collection::vec(record(), 1..6), at in any::<Index>(), cuts in cuts(), end in end(),
    ) {
        let (body, expected) = body_of(&records);
        let rest = &body.as_bytes()[..at.index(body.len())];
        let whole = memchr::memchr_iter(b'\n', rest).count();
        let (items, ended) = every_cut(|| Egress::new(LineLimit::default()), show_chunk, rest, &cuts, end);
        prop_assert_eq!(&items[..], &expected[..whole]);
        let truncated = DecodeError::Truncated { item: whole as u64 + 1 };
        let is_between = rest.is_empty() || rest.ends_with(b"\n");
        prop_assert_eq!(ended, if is_between { Ok(()) } else { Err(truncated) });
    }

    /// Whatever comes: the pieces do not matter, and nothing panics.
    #[test]
    fn arbitrary_bodies_are_read_alike_however_they_are_cut(
        body in tokens(PIECES), cuts in cuts(), limit in 1_usize..60, end in end(),
    ) {
        let _ = every_cut(|| Egress::new(LineLimit(limit)), show_chunk, &body, &cuts, end);
        let _ = every_cut(Samples::new, |samples| format!("{:?}", samples.item()), &body, &cuts, end);
        let _ = every_cut(Logs::new, |logs| text(logs.item()), &body, &cuts, end);
        for format in formats() {
            let _ = every_cut(|| QueryResult::new(&format, LineLimit::default()), show_result, &body, &cuts, end);
        }
    }

    /// Blocks of binary formats are of the same length however they come.
    #[test]
    fn long_binary_results_come_in_equal_blocks(length in 0_usize..200_000, cuts in cuts()) {
        let body = [b"PAR1", &vec![7; length][..], b"\0\0\0\0PAR1"].concat();
        let pieces = |decoder: &QueryResult| decoder.item().len().to_string();
        let places: Vec<_> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        let mut sorted = places;
        sorted.extend([0, body.len()]);
        sorted.sort_unstable();
        let cut: Vec<_> = sorted.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        let new = || QueryResult::new(&QueryFormat::Parquet, LineLimit::default());
        let whole = drive(&mut new(), pieces, &[&body], End::Complete);
        prop_assert_eq!(&whole.1, &Ok(()));
        prop_assert_eq!(drive(&mut new(), pieces, &cut, End::Complete), whole);
    }

    /// Any log, read over connections that break off anywhere: each line once, in order, unless the server says that it
    /// may have forgotten some.
    #[test]
    fn a_log_over_several_connections_is_read_alike(
        steps in proptest::collection::vec((0_usize..9, 0_usize..9, any::<Index>()), 1..8),
        keeps in 1_usize..12,
    ) {
        let (mut log, mut read, mut base, mut history) = (Vec::new(), Vec::new(), 0, LogHistory::new());
        for (before, during, breaks) in steps {
            let mut grow = |count: usize| (0..count).for_each(|_| log.push(format!("line {}", log.len())));
            grow(before);
            grow(during);
            let first = log.len().saturating_sub(during + keeps);
            let sent = &log[first..];
            history.connected(None);
            if read.is_empty() {
                // No line was seen before: lines that the server has forgotten by now do not count as lost.
                base = first;
            }
            let (seen, end) = (base + read.len(), first + breaks.index(sent.len() + 1));
            for line in &log[first..end] {
                read.extend(history.accept(line.as_bytes()).map(|line| text(&line)));
            }
            if history.may_miss() {
                prop_assert!(seen <= first, "the last line that was seen was sent again");
                // What follows is right again.
                (base, read) = (0, log[..end].to_vec());
                history = LogHistory::new();
                for line in &read {
                    drop(history.accept(line.as_bytes()));
                }
            }
        }
        prop_assert!(log[base..].starts_with(&read), "{read:?} of {log:?}");
    }
}

fn formats() -> [QueryFormat; 6] {
    use QueryFormat::{ArrowIpc, Hash, Json, Parquet, Text, Unknown};
    [Text, Json, Parquet, ArrowIpc, Hash, Unknown("xml".into())]
}

fn query(format: &QueryFormat, body: &[u8], end: End) -> Outcome {
    every_cut(|| QueryResult::new(format, LineLimit::default()), show_result, body, &[], end)
}

/// The usual order of fields is read by hand: what is not quite that is left to the parser, with the same result.
#[test]
fn records_in_an_unusual_form_are_read_by_the_parser() {
    let read =
        |line: &str| every_cut(|| Egress::new(LineLimit::default()), show_chunk, line.as_bytes(), &[], End::Complete);
    let usual = r#"{"sequence_number":0,"snapshot":false,"json_data":[{"insert":{"id":1}}]"#;
    let expected = (vec![r#"0 changes past lost 0/0: ["{\"insert\":{\"id\":1}}"]"#.to_owned()], Ok(()));
    assert_eq!(read(&format!("{usual}}}\r\n")), expected);
    assert_eq!(read(&format!("{usual},\"later\":2}}\r\n")), expected);
    for wrong in ["", "]", ",", "}}", "} {"] {
        let (items, ended) = read(&format!("{usual}{wrong}\r\n"));
        assert!(items.is_empty() && matches!(ended, Err(DecodeError::Malformed { item: 1, .. })), "{wrong}: {ended:?}");
    }
    let most = u64::MAX;
    let (items, ended) = read(&format!("{{\"sequence_number\":{most},\"snapshot\":false}}\r\n"));
    assert_eq!((items, ended), (vec![format!("{most} heartbeat past lost {most}/{most}: []")], Ok(())));
    let (items, ended) = read("{\"sequence_number\":99999999999999999999,\"snapshot\":false}\r\n");
    assert!(items.is_empty() && matches!(ended, Err(DecodeError::Malformed { item: 1, .. })), "{ended:?}");
}

#[test]
fn a_number_that_goes_back_is_another_streams() {
    let (mut body, _) = body_of(&[]);
    body += "{\"sequence_number\":3,\"snapshot\":false}\r\n{\"sequence_number\":0,\"snapshot\":false}\r\n";
    let (items, ended) = drive(&mut Egress::new(LineLimit::default()), show_chunk, &[body.as_bytes()], End::Complete);
    assert_eq!(items, ["3 heartbeat past lost 3/3: []"]);
    let error = ended.expect_err("it goes back").to_string();
    assert!(error.contains("item 2") && error.contains("number 0 came after 3"), "{error}");
}

/// The recorded bodies too, cut at places that look random and are not.
#[test]
fn recorded_streams_do_not_depend_on_how_they_are_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/feldera");
    let mut seen = 0;
    for recording in har::read_folder(&folder).expect("the recordings") {
        for entry in recording.entries.iter().filter(|entry| entry.response.status().is_success()) {
            let body = entry.response.body();
            match routes::of("feldera", entry).map(|info| info.name) {
                Some("http_output") => {
                    drop(every_cut(|| Egress::new(LineLimit::default()), show_chunk, body, &[], End::Complete));
                }
                Some("get_pipeline_logs") => {
                    drop(every_cut(Logs::new, |logs| text(logs.item()), body, &[], End::Complete));
                }
                Some("get_pipeline_time_series_stream") => {
                    drop(every_cut(Samples::new, |samples| format!("{:?}", samples.item()), body, &[], End::Complete));
                }
                Some("pipeline_adhoc_sql") => {
                    for format in formats() {
                        let _ = query(&format, body, End::Complete);
                    }
                }
                _ => continue,
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} streams");
}

/// Before 0.298 nothing is said about snapshots.
#[test]
fn chunks_of_older_releases_are_read() {
    let body = b"{\"sequence_number\":0,\"json_data\":[{\"insert\":{}}]}\r\n{\"sequence_number\":1}\r\n";
    let (items, ended) = every_cut(|| Egress::new(LineLimit::default()), show_chunk, body, &[], End::Complete);
    assert_eq!(ended, Ok(()));
    assert_eq!(items, [r#"0 changes past lost 0/0: ["{\"insert\":{}}"]"#, "1 heartbeat past lost 0/0: []"]);
}

#[test]
fn the_progress_of_a_subscription_is_its_largest_number_of_steps() {
    let mut egress = Egress::new(LineLimit::default());
    egress.feed(b"{\"sequence_number\":0,\"snapshot\":false,\"processed_steps\":7}\r\n");
    egress.feed(b"{\"sequence_number\":2,\"snapshot\":false,\"processed_steps\":null}\r\n");
    // Not what servers send: rows may follow that belong to the step.
    egress.feed(b"{\"sequence_number\":3,\"snapshot\":false,\"json_data\":[1],\"processed_steps\":9}\r\n");
    let mut seen = Vec::new();
    while egress.advance().expect("a chunk") {
        let (chunk, progress) = (egress.item(), egress.progress());
        let kinds = (chunk.processed_steps, chunk.is_heartbeat());
        seen.push((kinds, progress.chunks, progress.lost, progress.processed_steps));
    }
    let expected = [((Some(7), false), 1, 0, Some(7)), ((None, true), 2, 1, Some(7)), ((None, false), 3, 1, Some(7))];
    assert_eq!(seen, expected);
}

/// A chunk or a line that is larger than usual is read if the caller raises the limit.
#[test]
fn the_limit_is_the_callers() {
    let answer = || http::Response::new(bytes::Bytes::new());
    let output = HttpOutput::new("p", "v", DataFormat::Json).limit(LineLimit(10));
    let mut egress = output.parse(answer()).expect("a decoder");
    egress.feed(b"{\"sequence_number\":0}\r\n");
    assert_eq!(egress.advance(), Err(DecodeError::TooLong { item: 1, limit: 10 }));
    let query = AdhocQuery::new("p", "SELECT 1", QueryFormat::Json).limit(LineLimit(10));
    let mut result = query.parse(answer()).expect("a decoder");
    result.feed(b"{\"n\":123456789}\n");
    assert_eq!(result.advance(), Err(DecodeError::TooLong { item: 1, limit: 10 }));
}

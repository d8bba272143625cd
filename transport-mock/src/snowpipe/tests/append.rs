//! Appends: tokens, bodies, limits.

use std::io::Write as _;

use serde_json::json;

use super::super::{Config, Effect, Replay, Superseded};
use super::{CHANNEL, ROWS, Sim, next, path, rejection};

const STALE: (u16, &str) = (400, "STALE_CONTINUATION_TOKEN_SEQUENCER");
const OUT_OF_ORDER: (u16, &str) = (400, "ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER");

#[test]
fn a_used_token_is_answered_by_the_switch_and_its_rows_are_taken_once() {
    for replay in [Replay::Accepted, Replay::Stale, Replay::OutOfOrder] {
        let mut sim = Sim::with(Config { replay, ..Config::default() });
        let token = sim.opened();
        assert_eq!(sim.append(&token, "1", "{\"a\":1}\n"), next("1_1"));
        let again = sim.append(&token, "1", "{\"a\":1}\n");
        match replay {
            Replay::Accepted => assert_eq!(again, next("1_1")),
            Replay::Stale => assert_eq!(rejection(&again), STALE),
            Replay::OutOfOrder => assert_eq!(rejection(&again), OUT_OF_ORDER),
        }
        let effect = sim.account.requests().last().expect("one").effect;
        assert_eq!(effect == Effect::Replayed, replay == Replay::Accepted);
        assert_eq!(sim.append("1_1", "2", "{\"a\":2}\n"), next("1_2"));
        // Two back is a replay no more.
        assert_eq!(rejection(&sim.append("1_0", "1", "{\"a\":1}\n")), STALE);
        assert_eq!(sim.wait(60_000).rows(), ["{\"a\":1}", "{\"a\":2}"]);
    }
}

#[test]
fn tokens_that_cannot_be_are_rejected() {
    let mut sim = Sim::new();
    sim.opened();
    assert_eq!(rejection(&sim.append("1_1", "1", "{}\n")), OUT_OF_ORDER);
    assert_eq!(rejection(&sim.append("2_0", "1", "{}\n")), STALE);
    assert_eq!(rejection(&sim.append("x", "1", "{}\n")), (400, "INVALID_REQUEST"));
    let without = format!("{ROWS}?startOffsetToken=1&endOffsetToken=1");
    assert_eq!(rejection(&sim.ask("POST", &without, "application/x-ndjson", "{}\n")), (400, "INVALID_REQUEST"));
    let mut sim = Sim::with(Config { stateless: true, ..Config::default() });
    sim.opened();
    assert_eq!(sim.ask("POST", &without, "application/x-ndjson", "{}\n"), next("1_1"));
}

#[test]
fn a_token_of_before_an_open_is_rejected_by_the_switch() {
    let conflict = (409, "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER");
    for (superseded, expected) in [(Superseded::Stale, STALE), (Superseded::Conflict, conflict)] {
        let mut sim = Sim::with(Config { superseded, replay: Replay::Stale, ..Config::default() });
        let old = sim.opened();
        let token = sim.opened();
        assert_eq!(rejection(&sim.append(&old, "1", "{}\n")), expected);
        let body = json!({ "continuationToken": old }).to_string();
        assert_eq!(rejection(&sim.ask("DELETE", CHANNEL, "application/json", body)), expected);
        // A token of this open that was used is another matter.
        assert_eq!(sim.append(&token, "1", "{}\n"), next("2_1"));
        assert_eq!(rejection(&sim.append(&token, "1", "{}\n")), STALE);
    }
}

#[test]
fn a_second_writer_takes_the_channel_over() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.append(&token, "1", "{\"a\":1}\n");
    sim.account.steal(&path(), &[("x", "{\"b\":1}"), ("y", "{\"b\":2}")]);
    assert_eq!(rejection(&sim.append("1_1", "2", "{\"a\":2}\n")), STALE);
    let status = sim.wait(5000).status();
    assert_eq!(status["last_committed_offset_token"], "y");
    assert_eq!(sim.rows(), ["{\"b\":1}", "{\"b\":2}"]);
    assert_eq!(sim.view().client_sequencer, 2);
}

#[test]
fn bodies_are_unpacked() {
    let rows = b"{\"id\":1}\r\n\n{\"id\":2}\n\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(rows).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd = |rows: &[u8]| ruzstd::encoding::compress_to_vec(rows, ruzstd::encoding::CompressionLevel::Fastest);
    // Frames may follow each other.
    let zstd = [zstd(&rows[..9]), zstd(&rows[9..])].concat();
    let mut sim = Sim::new();
    let mut token = sim.opened();
    let bearer = format!("Bearer {}", sim.token);
    for (number, (encoding, body)) in
        [("identity", rows.to_vec()), ("gzip", gzip.clone()), ("zstd", zstd.clone())].into_iter().enumerate()
    {
        let headers = [
            ("accept", "*/*"),
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-ndjson"),
            ("content-encoding", encoding),
        ];
        let target = format!("{ROWS}?startOffsetToken=&endOffsetToken=&continuationToken={token}");
        for (encoding, body) in [(encoding, &body[..body.len() / 2]), ("br", &body[..])] {
            let headers = [headers[0], headers[1], headers[2], ("content-encoding", encoding)];
            if encoding != "identity" {
                assert_eq!(sim.send("POST", &target, &headers, body.to_vec()).0, 400, "{encoding}");
            }
        }
        token = format!("1_{}", number + 1);
        assert_eq!(sim.send("POST", &target, &headers, body), next(&token), "{encoding}");
    }
    sim.wait(5000);
    assert_eq!(sim.rows(), ["{\"id\":1}", "{\"id\":2}"].repeat(3));
}

#[test]
fn a_body_ends_at_four_mebibytes_on_the_wire() {
    let mut sim = Sim::new();
    sim.opened();
    let row = |length: usize| format!("{{\"a\":\"{}\"}}\n", "x".repeat(length - 9));
    let (status, answer) = sim.append("1_0", "1", &row(4_194_305));
    assert_eq!((status, answer), (413, json!("")));
    assert_eq!(sim.append("1_0", "1", &row(4_194_304)), next("1_1"));
}

#[test]
fn a_body_without_rows_or_of_another_type_is_rejected() {
    let mut sim = Sim::new();
    sim.opened();
    for body in ["", "\n\r\n"] {
        assert_eq!(rejection(&sim.append("1_0", "1", body)), (400, "INVALID_REQUEST"));
    }
    let target = format!("{ROWS}?startOffsetToken=1&endOffsetToken=1&continuationToken=1_0");
    assert_eq!(sim.ask("POST", &target, "application/json", "{}").0, 415);
    // None of them used the token.
    assert_eq!(sim.append("1_0", "1", "{}\n"), next("1_1"));
}

#[test]
fn more_appends_than_allowed_are_429() {
    let mut sim = Sim::with(Config { appends_per_second: Some(2), ..Config::default() });
    sim.opened();
    assert_eq!(sim.append("1_0", "1", "{}\n"), next("1_1"));
    assert_eq!(sim.append("1_1", "2", "{}\n"), next("1_2"));
    assert_eq!(rejection(&sim.append("1_2", "3", "{}\n")), (429, "390701"));
    assert_eq!(sim.wait(1000).append("1_2", "3", "{}\n"), next("1_3"));
}

#[test]
fn elastic_appends_have_no_tokens_and_may_come_twice() {
    let mut sim = Sim::new();
    let channel = ROWS.replace("chan_1", "ELASTIC");
    let table = "/v2/streaming/data/databases/Db1/schemas/Sch1/tables/TBL/rows";
    for target in [channel.as_str(), table, table] {
        let target = format!("{target}?requestId=a&retryCount=0");
        let answer = sim.ask("POST", &target, "application/x-ndjson", "{\"a\":1}\n");
        assert_eq!(answer, (200, json!({ "message": "OK", "next_continuation_token": "" })));
    }
    let token = format!("{table}?endOffsetToken=1");
    assert_eq!(sim.ask("POST", &token, "application/x-ndjson", "{}\n").0, 400);
    let mut elastic = path();
    elastic.channel = "ELASTIC".into();
    sim.wait(5000);
    assert_eq!(sim.account.channel_view(&elastic).expect("one for both paths").rows.len(), 3);
}

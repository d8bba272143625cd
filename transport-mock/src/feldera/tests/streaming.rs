//! Bodies without an end.

use std::time::Duration;

use serde_json::Value;

use super::{Config, Release, SQL, Sim, rejection};
use crate::streaming::{Coming, OpenBody};

const RAW: &str = "t?format=json&update_format=raw";

fn row(id: u32) -> String {
    format!("{{\"id\":{id},\"b\":true,\"i\":{id},\"s\":\"x\"}}\n")
}

impl Sim {
    /// A body, with what its response holds.
    pub(super) fn open(&mut self, method: &str, target: &str) -> (String, OpenBody) {
        let response = self.send(method, &format!("/pipelines/p/{target}"), "", "");
        assert_eq!(response.status(), 200, "{response:?}");
        let body = *response.extensions().get().expect("it continues");
        (text(response.body()), body)
    }

    /// All that comes of a body within a time, and whether it ends.
    pub(super) fn follow(&mut self, body: OpenBody, millis: u64) -> (String, bool) {
        let until = self.now + Duration::from_millis(millis);
        let mut read = String::new();
        loop {
            match self.manager.read(self.now, body) {
                Coming::Bytes(bytes) => read += &text(&bytes),
                Coming::End => return (read, true),
                Coming::Later(at) if at.as_unix() <= until => {
                    assert!(at.as_unix() > self.now, "in the future");
                    self.now = at.as_unix();
                }
                Coming::Later(_) | Coming::Idle => {
                    self.now = until;
                    return (read, false);
                }
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a text")
}

/// Numbers and numbers of rows.
fn records(body: &str) -> Vec<(u64, usize)> {
    let records = body.split_terminator("\r\n").map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    records
        .map(|it| (it["sequence_number"].as_u64().expect("a number"), it["json_data"].as_array().map_or(0, Vec::len)))
        .collect()
}

#[test]
fn egress_tells_what_changes_from_now_on_and_then_that_it_lives() {
    let mut sim = Sim::new().running();
    sim.token("kv?format=json", "{\"insert\":{\"k\":1,\"v\":\"a\"}}");
    sim.wait(100);
    let (first, body) = sim.open("POST", "egress/KV?format=json&backpressure=true");
    assert_eq!(first, "");
    sim.token("kv?format=json", "{\"insert\":{\"k\":1,\"v\":\"c\"}}");
    let change = "{\"sequence_number\":0,\"snapshot\":false,\"json_data\":[{\"delete\":{\"k\":1,\"v\":\"a\"}},{\"insert\":{\"k\":1,\"v\":\"c\"}}]}\r\n";
    assert_eq!(sim.follow(body, 3000), (change.to_owned(), false));
    let beats = "{\"sequence_number\":1,\"snapshot\":false}\r\n{\"sequence_number\":2,\"snapshot\":false}\r\n";
    assert_eq!(sim.follow(body, 5000), (beats.to_owned(), false));

    let (first, body) = sim.open("POST", "egress/kv?send_snapshot=true");
    assert_eq!(first, "{\"sequence_number\":0,\"snapshot\":true,\"text_data\":\"1,c,1\\n\"}\r\n");
    assert_eq!(sim.follow(body, 3000), ("{\"sequence_number\":1,\"snapshot\":false}\r\n".to_owned(), false));
    // Another table's rows are not its business.
    sim.token(RAW, &row(7));
    assert_eq!(sim.follow(body, 2000), (String::new(), false));
}

#[test]
fn debezium_egress_is_accepted_and_then_only_heartbeats_come() {
    let mut sim = Sim::new().running();
    sim.token(RAW, &row(1));
    sim.wait(100);
    let (_, logs) = sim.open("GET", "logs");
    let (first, body) = sim.open("POST", "egress/v?format=json&update_format=debezium&send_snapshot=true");
    assert_eq!(first, "");
    assert!(sim.follow(logs, 0).0.contains("key-value pairs"));
    sim.token(RAW, &row(2));
    let beats = "{\"sequence_number\":0,\"snapshot\":false}\r\n{\"sequence_number\":1,\"snapshot\":false}\r\n";
    assert_eq!(sim.follow(body, 7000), (beats.to_owned(), false));
    assert!(sim.follow(logs, 0).0.contains("key-value pairs"));
}

/// A real server does not reject it with the code of unsupported formats, but panics.
#[test]
fn redis_egress_is_not_simulated() {
    let mut sim = Sim::new().running();
    let answer = sim.post("/pipelines/p/egress/v?format=json&update_format=redis");
    assert!(answer.0 == 400 && answer.1.to_string().contains("the simulator has no egress"), "{answer:?}");
}

#[test]
fn snowflake_egress_has_a_row_in_each_record() {
    let mut sim = Sim::new().running();
    sim.token(RAW, &(row(1) + &row(2)));
    sim.wait(100);
    let (first, _) = sim.open("POST", "egress/v?format=json&update_format=snowflake&send_snapshot=true");
    assert_eq!(records(&first), [(0, 1), (1, 1)]);
    assert!(first.contains(r#""__action":"insert""#) && first.contains(r#""__seq_number":1"#), "{first}");
}

#[test]
fn a_body_ends_properly_with_its_process() {
    let mut sim = Sim::new().running();
    let (_, egress) = sim.open("POST", "egress/v?format=json");
    let (_, series) = sim.open("GET", "time_series_stream");
    let (_, logs) = sim.open("GET", "logs");
    sim.stop();
    assert!(sim.follow(egress, 1).1 && sim.follow(series, 1).1);
    let (lines, ended) = sim.follow(logs, 1);
    assert!(lines.contains("Stopping") && !ended, "{lines}");
    sim.start();
    assert!(sim.follow(egress, 1).1, "another process is not its own");
    assert!(sim.follow(logs, 1).0.contains("Provisioned"));
}

#[test]
fn a_process_that_panics_ends_its_bodies_when_the_runner_sees_it() {
    let mut sim = Sim::new().running();
    let (_, body) = sim.open("POST", "egress/v?format=json");
    sim.manager.panic("p", "no");
    let (read, ended) = sim.follow(body, 10_000);
    assert!(ended && read.is_empty(), "{read}");
}

#[test]
fn without_backpressure_a_reader_that_rests_loses_records_and_only_numbers_tell() {
    let mut sim = Sim::new().running();
    let (_, body) = sim.open("POST", "egress/v?format=json");
    for id in 0..150 {
        sim.token(RAW, &row(id));
        sim.wait(20);
    }
    assert_eq!(sim.rows("t").len(), 150);
    let read = records(&sim.follow(body, 0).0);
    assert_eq!((read.len(), read[99]), (100, (99, 1)));
    sim.token(RAW, &row(150));
    assert_eq!(records(&sim.follow(body, 20).0), [(150, 1)]);
}

#[test]
fn with_backpressure_a_reader_that_rests_stops_the_pipeline() {
    let mut sim = Sim::new().running();
    let (_, body) = sim.open("POST", "egress/v?format=json&backpressure=true");
    let mut token = String::new();
    for id in 0..150 {
        token = sim.token(RAW, &row(id));
        sim.wait(20);
    }
    sim.wait(60_000);
    assert_eq!(sim.completion(&token).1["status"], "inprogress");
    assert_eq!(sim.rows("t").len(), 100);
    let read = records(&sim.follow(body, 2000).0);
    let rows: usize = read.iter().map(|(_, rows)| rows).sum();
    assert_eq!((rows, read.iter().map(|it| it.0).collect::<Vec<_>>()), (150, (0..150).collect()));
    assert_eq!(sim.completion(&token).1["status"], "complete");

    // A reader that goes away lets it continue, too.
    for id in 0..150 {
        token = sim.token(RAW, &row(id));
    }
    sim.wait(60_000);
    assert_eq!(sim.completion(&token).1["status"], "inprogress");
    sim.manager.close(sim.now, body);
    sim.wait(60_000);
    assert_eq!(sim.completion(&token).1["status"], "complete");
}

#[test]
fn a_time_series_has_a_sample_a_second() {
    let mut sim = Sim::new().running();
    sim.wait(1500);
    sim.token(RAW, &(row(1) + &row(2)));
    sim.wait(70_000);
    let (_, history) = sim.get("/pipelines/p/time_series");
    let samples = history["samples"].as_array().expect("a list").clone();
    assert_eq!((samples.len(), &samples[0]["r"], &samples[59]["r"]), (60, &2.into(), &2.into()));
    assert_eq!(samples[1]["t"].as_u64(), samples[0]["t"].as_u64().map(|time| time + 1000));
    let (first, body) = sim.open("GET", "time_series_stream");
    assert_eq!(first.lines().count(), 60);
    assert_eq!(sim.follow(body, 3000).0.lines().count(), 3);
}

#[test]
fn a_log_repeats_what_is_kept_to_each_reader() {
    let mut sim = Sim::new().running();
    let (first, body) = sim.open("GET", "logs");
    assert!(first.lines().count() >= 2 && first.contains("\u{1b}["), "{first}");
    assert_eq!(sim.open("GET", "logs").0, first);
    assert_eq!(sim.follow(body, 60_000), (String::new(), false));
    sim.manager.restart(sim.now, Duration::ZERO);
    assert!(sim.follow(body, 1).1, "the manager is between them");
}

/// The position that the answer to a request with a cursor tells: epoch, sequence, gap.
fn position(response: &http::Response<bytes::Bytes>) -> Option<(String, u64, u64)> {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().expect("a text").to_owned());
    let number = |name: &str| header(name).map(|text| text.parse().expect("a number"));
    Some((header("feldera-logs-epoch")?, number("feldera-logs-seq")?, number("feldera-logs-gap")?))
}

impl Sim {
    /// The position, the lines and the rest of a log after a cursor.
    fn resume(&mut self, cursor: &str) -> ((String, u64, u64), Vec<String>, OpenBody) {
        let response = self.send("GET", &format!("/pipelines/p/logs?cursor={cursor}"), "", "");
        let body = *response.extensions().get().expect("it continues");
        let lines = text(response.body()).split_terminator('\n').map(str::to_owned).collect();
        (position(&response).expect("a position"), lines, body)
    }
}

#[test]
fn a_cursor_resumes_a_log_after_a_line_and_tells_how_many_are_lost() {
    let mut sim = Sim::with(Config { release: Release::V0_375, log_lines: 5, ..Config::default() });
    sim.create(SQL);
    sim.manager.write_log("p", "a\n\nb");
    let ((epoch, sequence, gap), lines, _) = sim.resume("");
    assert_eq!((sequence, gap, &lines[1..]), (0, 0, &["a".to_owned(), String::new(), "b".to_owned()][..]));

    // The lines after it, now and later.
    let (told, lines, body) = sim.resume(&format!("{epoch}:2"));
    assert_eq!((told, lines), ((epoch.clone(), 2, 0), vec![String::new(), "b".to_owned()]));
    sim.manager.write_log("p", "c");
    assert_eq!(sim.follow(body, 1000), ("c\n".to_owned(), false));

    // Some are not kept any more.
    sim.manager.write_log("p", "d\ne\nf");
    let (told, lines, _) = sim.resume(&format!("{epoch}:1"));
    assert_eq!((told, lines[0].as_str()), ((epoch.clone(), 3, 2), "b"));
    let (told, ..) = sim.resume(&format!("{epoch}:{}", u64::MAX));
    assert_eq!(told, (epoch.clone(), 8, 0), "behind the end is the end");
    assert_eq!(sim.resume("").0, (epoch.clone(), 3, 3));

    // Another epoch, and its reader.
    sim.manager.restart_runner();
    assert_eq!(sim.follow(body, 1), (String::new(), true), "no line but those of the log");
    let ((another, sequence, gap), lines, _) = sim.resume(&format!("{epoch}:7"));
    assert_eq!((another == epoch, sequence, gap, lines.len()), (false, 0, 0, 1));
}

#[test]
fn a_cursor_survives_a_stop_and_a_start() {
    let mut sim = Sim::with(Config { release: Release::V0_375, ..Config::default() }).running();
    let ((epoch, ..), lines, _) = sim.resume("");
    sim.stop();
    sim.start();
    let (told, ..) = sim.resume(&format!("{epoch}:{}", lines.len()));
    assert_eq!(told, (epoch, lines.len() as u64, 0));
}

#[test]
fn a_cursor_has_to_be_one_and_a_log_that_ends_has_none() {
    let mut sim = Sim::with(Config { release: Release::V0_375, ..Config::default() });
    sim.create(SQL);
    for query in
        ["cursor=nonsense", "cursor=x:1", "cursor=00000000-0000-0000-0000-000000000000:x", "cursor=&follow=false"]
    {
        let answer = sim.get(&format!("/pipelines/p/logs?{query}"));
        assert_eq!(rejection(&answer), (400, "InvalidLogCursorParam"), "{query}");
    }
    let response = sim.send("GET", "/pipelines/p/logs?follow=false", "", "");
    assert!(response.extensions().get::<OpenBody>().is_none() && position(&response).is_none(), "{response:?}");
    assert_eq!(text(response.body()).lines().count(), 1);
}

#[test]
fn without_a_cursor_a_log_tells_what_is_not_shown_and_when_it_ends() {
    let mut sim = Sim::with(Config { log_lines: 2, ..Config::default() });
    sim.create(SQL);
    sim.manager.write_log("p", "a\nb");
    // Before 0.375 nothing of this is known.
    let (first, body) = sim.open("GET", "logs?cursor=nonsense&follow=false");
    assert!(first.starts_with("... 1 prior log lines") && first.ends_with("\na\nb\n"), "{first}");
    sim.wait(1000);
    assert_eq!(sim.ask("DELETE", "/pipelines/p", &Value::Null).0, 200);
    assert_eq!(sim.follow(body, 1), ("Logs have ended\n".to_owned(), true));
}

#[test]
fn since_0_375_egress_tells_how_many_steps_it_has_sent() {
    let mut sim = Sim::with(Config { release: Release::V0_375, ..Config::default() }).running();
    let (_, body) = sim.open("POST", "egress/v?format=json");
    let token = sim.token(RAW, &row(7));
    let (read, _) = sim.follow(body, 100);
    let last: Value = serde_json::from_str(read.lines().last().expect("a record")).expect("a record");
    assert_eq!((read.lines().count(), &last["sequence_number"]), (2, &1.into()));
    assert_eq!(last["processed_steps"], sim.completion(&token).1["step"]);
    // A step that changes nothing here ends, too.
    sim.token("kv?format=json", "{\"insert\":{\"k\":1,\"v\":\"a\"}}");
    let (read, _) = sim.follow(body, 100);
    assert_eq!(read, "{\"sequence_number\":2,\"snapshot\":false,\"processed_steps\":2}\r\n");
}

#[test]
fn before_0_298_egress_knows_no_snapshots() {
    let mut sim = Sim::with(Config { release: Release::V0_130, ..Config::default() }).running();
    sim.token(RAW, &row(7));
    sim.wait(100);
    let (first, body) = sim.open("POST", "egress/v?format=json&send_snapshot=true");
    assert_eq!(first, "");
    assert_eq!(sim.follow(body, 3000).0, "{\"sequence_number\":0}\r\n");
}

/// Whatever fills the queue of a reader that rests: heartbeats, the end of a step, the rows of one step.
#[test]
fn with_backpressure_no_record_is_lost() {
    for (release, silence) in Release::ALL.into_iter().flat_map(|release| [(release, 0), (release, 3000)]) {
        let mut sim = Sim::with(Config { release, ..Config::default() }).running();
        let (_, body) = sim.open("POST", "egress/v?format=json&backpressure=true");
        sim.wait(silence);
        for id in 0..99 {
            sim.token(RAW, &row(id));
            sim.wait(20);
        }
        sim.wait(4000);
        sim.token(RAW, &row(99));
        sim.wait(4000);
        let read = records(&sim.follow(body, 4000).0);
        let rows: usize = read.iter().map(|(_, rows)| rows).sum();
        let numbers: Vec<_> = read.iter().map(|(number, _)| *number).collect();
        assert_eq!((rows, &numbers), (100, &(0..read.len() as u64).collect()), "{release} {silence}");

        let (_, body) = sim.open("POST", "egress/v?format=json&backpressure=true&update_format=snowflake");
        sim.token(RAW, &(100..250).map(row).collect::<String>());
        let read = records(&sim.follow(body, 100).0);
        assert_eq!(read.iter().map(|(_, rows)| rows).sum::<usize>(), 150, "{release}");
    }
}

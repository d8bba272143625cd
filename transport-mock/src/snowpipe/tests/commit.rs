//! From buffered to committed, and what gets lost between.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::Config;
use super::{ROWS, START, Sim, next, path, rejection};

fn seconds(from: u64, to: u64) -> Config {
    Config { commit_delay: Duration::from_secs(from)..=Duration::from_secs(to), ..Config::default() }
}

#[test]
fn rows_are_committed_after_a_delay_request_by_request() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.append(&token, "1", "{\"a\":1}\n{\"a\":2}\n");
    sim.wait(1000).append("1_1", "9", "{\"a\":3}\n");
    assert_eq!(sim.wait(3999).status()["last_committed_offset_token"], Value::Null);
    let status = sim.wait(1).status();
    assert_eq!((&status["last_committed_offset_token"], &status["rows_inserted"]), (&json!("1"), &json!(2)));
    assert_eq!(sim.view().buffered, 1);
    let status = sim.wait(1000).status();
    assert_eq!((&status["last_committed_offset_token"], &status["rows_inserted"]), (&json!("9"), &json!(3)));
    assert_eq!(sim.rows(), ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]);
}

#[test]
fn the_order_of_appends_is_kept_and_tokens_are_passed_over() {
    // With delays from 1 to 20 s, later appends are held up by earlier appends, and are committed with them.
    let mut skipped = 0;
    for seed in 0..10 {
        let mut sim = Sim::with(Config { seed, ..seconds(1, 20) });
        sim.opened();
        for number in 0..5 {
            let answer = sim.append(&format!("1_{number}"), &number.to_string(), &format!("{number}\n"));
            assert_eq!(answer, next(&format!("1_{}", number + 1)));
        }
        let mut seen = Vec::new();
        for _ in 0..200 {
            let token = sim.wait(100).status()["last_committed_offset_token"].clone();
            if seen.last() != Some(&token) && !token.is_null() {
                seen.push(token);
            }
        }
        assert!(seen.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "{seen:?}");
        assert_eq!(seen.last(), Some(&json!("4")));
        skipped += 5 - seen.len();
    }
    assert!(skipped > 0);
}

#[test]
fn errors_are_counted_and_the_offset_passes_over_them() {
    let mut sim = Sim::with(Config { number_columns: vec!["n".into()], ..seconds(5, 5) });
    let token = sim.opened();
    let rows = "{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":\"2.5\"}\nnonsense\n{\"n\":null}\n[1]\n";
    assert_eq!(sim.append(&token, "6", rows), next("1_1"));
    let status = sim.wait(5000).status();
    assert_eq!(status["channel_status_code"], "SUCCESS");
    assert_eq!(status["last_committed_offset_token"], "6");
    assert_eq!((&status["rows_parsed"], &status["rows_inserted"]), (&json!(6), &json!(3)));
    assert_eq!(status["rows_error_count"], 3);
    assert_eq!(status["last_error_offset_upper_bound"], "6");
    assert_eq!(status["last_error_message"], "Error parsing JSON: the row is not an object");
    let at = u64::try_from((START + Duration::from_millis(5005)).as_millis()).expect("a time");
    assert_eq!(status["last_error_timestamp_ms"], at);
    assert_eq!(sim.rows(), ["{\"n\":1}", "{\"n\":\"2.5\"}", "{\"n\":null}"]);
    assert_eq!(sim.view().rejected.len(), 3);
    // They outlive a reopening.
    assert_eq!(sim.open(&json!({})).1["channel_status"]["rows_error_count"], 3);
}

#[test]
fn empty_tokens_commit_without_a_token_and_absent_ones_never_commit() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.append(&token, "1", "{\"a\":1}\n");
    sim.append("1_1", "", "{\"a\":2}\n");
    let single = format!("{ROWS}?offsetToken=3&continuationToken=1_2");
    assert_eq!(sim.ask("POST", &single, "application/x-ndjson", "{\"a\":3}\n"), next("1_3"));
    let status = sim.wait(5000).status();
    assert_eq!((&status["last_committed_offset_token"], &status["rows_inserted"]), (&json!("3"), &json!(3)));
    let absent = format!("{ROWS}?continuationToken=1_3");
    assert_eq!(sim.ask("POST", &absent, "application/x-ndjson", "{\"a\":4}\n"), next("1_4"));
    assert_eq!(sim.wait(60_000).rows().len(), 3);
    let wait = json!({ "fail_on_uncommitted_rows": true });
    assert_eq!(rejection(&sim.open(&wait)), (409, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA"));
}

#[test]
fn a_restart_keeps_what_is_buffered_unless_it_loses_it() {
    for restart_loses_buffered in [false, true] {
        let mut sim = Sim::with(Config { restart_loses_buffered, ..seconds(5, 5) });
        let token = sim.opened();
        sim.append(&token, "1", "{}\n");
        sim.account.restart(sim.now, Duration::from_secs(10));
        let down = (503, json!("ERR_GENERAL_EXCEPTION_RETRY_REQUEST"));
        assert_eq!(sim.append("1_1", "2", "{}\n"), down);
        assert_eq!(sim.wait(9999).open(&json!({})), down);
        let status = sim.wait(1).status();
        if restart_loses_buffered {
            assert_eq!(status["channel_status_code"], "ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP");
            assert_eq!(rejection(&sim.append("1_1", "2", "{}\n")), (409, "ERR_CHANNEL_MUST_BE_REOPENED"));
            assert_eq!(sim.rows().len(), 0);
        } else {
            assert_eq!(status["last_committed_offset_token"], "1");
            assert_eq!(sim.append("1_1", "2", "{}\n"), next("1_2"));
        }
    }
}

#[test]
fn the_same_seed_commits_at_the_same_times() {
    let run = |seed| {
        let mut sim = Sim::with(Config { seed, ..Config::default() });
        let token = sim.opened();
        sim.append(&token, "1", "{}\n");
        let mut waited = 0;
        while sim.view().buffered > 0 {
            sim.wait(1);
            waited += 1;
        }
        waited
    };
    assert_eq!(run(1), run(1));
    assert!((5000..=8000).contains(&run(1)) && run(1) != run(2));
}

#[test]
fn what_is_really_there_can_be_asked_for_by_anybody() {
    let mut sim = Sim::with(Config { number_columns: vec!["ID".into()], ..Config::default() });
    let target =
        |rest: &str| format!("/_simulator/databases/DB1/schemas/sch1/pipes/tbl-streaming/channels/chan_1{rest}");
    assert_eq!(sim.send("GET", &target(""), &[], "").0, 404);
    let token = sim.opened();
    sim.append(&token, "1", "{\"ID\":1}\n{\"ID\":\"x\"}\n{\"ID\":2}\n");
    assert_eq!(sim.send("GET", &target(""), &[], "").1["buffered"], 3);
    let requests = sim.account.requests().len();
    sim.wait(8000);
    let (status, view) = sim.send("GET", &target(""), &[], "");
    assert_eq!(
        (status, &view["committed"], &view["rows"], &view["rejected"]),
        (200, &json!("1"), &json!(2), &json!(1))
    );
    assert_eq!(sim.send("GET", &target("/rows"), &[], "").1, "{\"ID\":1}\n{\"ID\":2}\n");
    assert_eq!(sim.send("GET", &target("/rejected"), &[], "").1, json!({ "ID": "x" }));
    assert_eq!(sim.send("POST", &target(""), &[], "").0, 404);
    assert_eq!(sim.account.requests().len(), requests);
}

#[test]
fn a_status_may_be_of_a_node_that_is_behind() {
    let age = Duration::from_secs(3);
    let mut sim = Sim::with(Config { status_age: age..=age, ..seconds(5, 5) });
    let token = sim.opened();
    assert_eq!(sim.wait(2990).status(), Value::Null, "it knows of no channel yet");
    assert_eq!(sim.append(&token, "1", "{\"a\":1}\n"), next("1_1"));
    assert_eq!(sim.wait(7999).status()["last_committed_offset_token"], Value::Null);
    assert_eq!(sim.view().committed.as_deref(), Some("1"));
    let status = sim.wait(1).status();
    assert_eq!((&status["last_committed_offset_token"], &status["rows_inserted"]), (&json!("1"), &json!(1)));
    sim.account.invalidate(&path(), "ERR_CHANNEL_MUST_BE_REOPENED");
    assert_eq!(sim.wait(2999).status()["channel_status_code"], "SUCCESS");
    assert_eq!(sim.wait(1).status()["channel_status_code"], "ERR_CHANNEL_MUST_BE_REOPENED");
    let answer = sim.open(&json!({})).1;
    assert_eq!(answer["channel_status"]["channel_status_code"], "SUCCESS", "an open is always of now");
    assert_eq!(sim.wait(2999).status()["channel_status_code"], "ERR_CHANNEL_MUST_BE_REOPENED");
    assert_eq!(sim.wait(1).status()["channel_status_code"], "SUCCESS");
    sim.account.replace_table(&path());
    assert_eq!(sim.wait(2999).status()["last_committed_offset_token"], "1");
    assert_eq!(sim.wait(1).status(), Value::Null);
}

//! Open, drop, bulk status.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Config, PipeState};
use super::{CHANNEL, START, STATUS, Sim, next, path, rejection};

#[test]
fn an_open_is_answered_as_was_captured() {
    let mut sim = Sim::new();
    let created = u64::try_from(START.as_millis()).expect("a time");
    let expected = json!({
        "next_continuation_token": "1_0",
        "channel_status": {
            "database_name": "Db1", "schema_name": "Sch1", "pipe_name": "TBL-STREAMING", "channel_name": "chan_1",
            "channel_status_code": "SUCCESS", "last_committed_offset_token": null, "created_on_ms": created,
            "rows_inserted": 0, "rows_parsed": 0, "rows_error_count": 0, "last_error_offset_upper_bound": null,
            "last_error_message": null, "last_error_timestamp_ms": null, "snowflake_avg_processing_latency_ms": 0,
        },
    });
    assert_eq!(sim.open(&json!({ "fail_on_uncommitted_rows": true })), (200, expected));
}

#[test]
fn opening_again_makes_older_tokens_stale_and_keeps_the_offset() {
    let mut sim = Sim::new();
    let token = sim.opened();
    assert_eq!(sim.append(&token, "1", "{}\n"), next("1_1"));
    sim.wait(5000);
    let (status, answer) = sim.open(&json!({}));
    assert_eq!((status, &answer["next_continuation_token"]), (200, &json!("2_0")));
    assert_eq!(answer["channel_status"]["last_committed_offset_token"], "1");
    assert_eq!(answer["channel_status"]["rows_inserted"], 1);
    let stale = sim.append("1_1", "2", "{}\n");
    let message = "Channel sequencer in the continuation token is stale. Please reopen the channel";
    assert_eq!(stale, (400, json!({ "code": "STALE_CONTINUATION_TOKEN_SEQUENCER", "message": message })));
    assert_eq!(sim.append("2_0", "2", "{}\n"), next("2_1"));
}

#[test]
fn uncommitted_rows_are_waited_for_or_discarded() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.append(&token, "1", "{\"a\":1}\n");
    let uncommitted = (409, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA");
    let wait = json!({ "fail_on_uncommitted_rows": true });
    assert_eq!(rejection(&sim.wait(4999).open(&wait)), uncommitted);
    let body = wait.to_string();
    assert_eq!(rejection(&sim.ask("DELETE", CHANNEL, "application/json", body)), uncommitted);
    // The rejections changed nothing.
    assert_eq!(sim.append("1_1", "2", "{\"a\":2}\n"), next("1_2"));
    sim.wait(1);
    let (status, answer) = sim.open(&json!({ "fail_on_uncommitted_rows": false }));
    assert_eq!((status, &answer["channel_status"]["last_committed_offset_token"]), (200, &json!("1")));
    assert_eq!(sim.wait(60_000).rows(), ["{\"a\":1}"]);
    assert_eq!((sim.view().discarded, sim.view().buffered), (1, 0));
}

#[test]
fn an_open_keeps_others_off_for_a_moment() {
    let mut sim = Sim::with(Config { open_duration: Duration::from_millis(50), ..Config::default() });
    assert_eq!(sim.open(&json!({})).0, 200);
    assert_eq!(rejection(&sim.wait(49).open(&json!({}))), (409, "ERR_OPEN_CHANNEL_IN_PROGRESS"));
    assert_eq!(sim.wait(1).open(&json!({})).1["next_continuation_token"], "2_0");
}

#[test]
fn an_open_can_set_the_offset() {
    let mut sim = Sim::new();
    let answer = sim.open(&json!({ "offset_token": "77" })).1;
    assert_eq!(answer["channel_status"]["last_committed_offset_token"], "77");
    assert_eq!(sim.status()["last_committed_offset_token"], "77");
    for body in [json!({ "offset_token": 7 }), json!({ "fail_on_uncommitted_rows": "yes" }), json!([])] {
        assert_eq!(sim.wait(10).open(&body).0, 400, "{body}");
    }
}

#[test]
fn a_drop_takes_offset_and_counters_but_no_rows() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.append(&token, "1", "{}\n");
    sim.wait(5000);
    let dropped = sim.ask("DELETE", CHANNEL, "", "");
    assert_eq!(dropped, (200, json!({ "last_committed_offset_token": "1" })));
    let missing = (404, "ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED");
    assert_eq!(rejection(&sim.ask("DELETE", CHANNEL, "", "")), missing);
    assert_eq!(rejection(&sim.append("1_1", "2", "{}\n")), missing);
    assert_eq!(sim.status(), Value::Null);
    assert!(!sim.view().exists);
    let answer = sim.open(&json!({})).1;
    assert_eq!(answer["channel_status"]["last_committed_offset_token"], Value::Null);
    assert_eq!(answer["channel_status"]["rows_inserted"], 0);
    assert_eq!(sim.rows(), ["{}"]);
}

#[test]
fn the_old_form_of_a_drop_wants_the_newest_token() {
    let mut sim = Sim::new();
    sim.opened();
    sim.opened();
    let drop = |token: &str| json!({ "continuationToken": token }).to_string();
    let stale = sim.ask("DELETE", CHANNEL, "application/json", drop("1_0"));
    assert_eq!(rejection(&stale), (400, "STALE_CONTINUATION_TOKEN_SEQUENCER"));
    assert_eq!(sim.ask("DELETE", CHANNEL, "application/json", drop("2_0")).0, 200);
}

#[test]
fn unknown_channels_are_absent_from_bulk_status_and_case_matters_there() {
    let mut sim = Sim::new();
    sim.opened();
    let body = r#"{"channel_names":["chan_1","CHAN_1","nope"]}"#;
    let lower = STATUS.replace("Db1", "db1").replace("TBL-STREAMING:", "tbl-streaming:");
    let (status, answer) = sim.ask("POST", &lower, "application/json", body);
    let names: Vec<_> = answer["channel_statuses"].as_object().expect("a map").keys().map(String::as_str).collect();
    assert_eq!((status, names), (200, vec!["chan_1"]));
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let body = json!({ "channel_names": many }).to_string();
    let rejected = sim.ask("POST", STATUS, "application/json", body);
    assert_eq!(rejection(&rejected), (400, "ERR_GET_CHANNEL_STATUS_BATCH_TOO_MANY_CHANNELS"));
    assert_eq!(sim.ask("POST", STATUS, "application/json", r#"{"channelName":["chan_1"]}"#).0, 400);
}

#[test]
fn quoted_identifiers_keep_their_case() {
    let mut sim = Sim::new();
    let quoted = CHANNEL.replace("TBL-STREAMING", "%22my%20Pipe-STREAMING%22").replace("chan_1", "a%2Fb%20%C3%A9");
    let answer = sim.ask("PUT", &quoted, "application/json", "{}").1;
    assert_eq!(answer["channel_status"]["pipe_name"], "\"my Pipe-STREAMING\"");
    assert_eq!(answer["channel_status"]["channel_name"], "a/b \u{e9}");
    let other = quoted.replace("my%20Pipe", "MY%20PIPE");
    assert_eq!(sim.ask("PUT", &other, "application/json", "{}").1["next_continuation_token"], "1_0");
    assert_eq!(sim.account.channels().len(), 2);
}

#[test]
fn elastic_is_no_name_for_a_channel() {
    let mut sim = Sim::new();
    let elastic = CHANNEL.replace("chan_1", "Elastic");
    assert_eq!(sim.ask("PUT", &elastic, "application/json", "{}").0, 400);
}

#[test]
fn channels_expire_and_tables_are_replaced() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.append(&token, "1", "{}\n");
    sim.wait(30 * 86_400_000 - 1);
    assert!(sim.view().exists);
    assert!(!sim.wait(1).view().exists);
    sim.authorize();
    let token = sim.opened();
    assert_eq!(token, "2_0");
    sim.append(&token, "1", "{}\n");
    sim.account.replace_table(&path());
    let missing = (404, "ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED");
    assert_eq!(rejection(&sim.append("2_1", "2", "{}\n")), missing);
    assert_eq!(sim.status(), Value::Null);
    assert_eq!(sim.rows().len(), 1);
}

#[test]
fn an_invalidated_channel_says_so_until_it_is_reopened() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.append(&token, "1", "{}\n");
    sim.account.invalidate(&path(), "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER");
    assert_eq!(sim.status()["channel_status_code"], "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER");
    assert_eq!(rejection(&sim.append("1_1", "2", "{}\n")), (409, "ERR_CHANNEL_MUST_BE_REOPENED"));
    let answer = sim.open(&json!({ "fail_on_uncommitted_rows": true })).1;
    assert_eq!(answer["channel_status"]["channel_status_code"], "SUCCESS");
    assert_eq!(sim.wait(10_000).rows().len(), 0);
}

#[test]
fn a_pipe_that_discards_shows_in_the_status_only() {
    let mut sim = Sim::new();
    let token = sim.opened();
    sim.account.set_pipe(&path(), PipeState::Discards);
    assert_eq!(sim.append(&token, "1", "{}\n"), next("1_1"));
    let status = sim.wait(60_000).status();
    assert_eq!(status["channel_status_code"], "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED");
    assert_eq!(status["last_committed_offset_token"], Value::Null);
    assert_eq!(sim.view().discarded, 1);
}

#[test]
fn an_open_may_be_answered_with_a_channel_that_takes_nothing() {
    let mut sim = Sim::new();
    sim.account.open_ill(&path(), "STALE_PIPE_CACHE");
    let (status, answer) = sim.open(&json!({}));
    assert_eq!((status, &answer["channel_status"]["channel_status_code"]), (200, &json!("STALE_PIPE_CACHE")));
    let token = answer["next_continuation_token"].as_str().expect("a token").to_owned();
    assert_eq!(rejection(&sim.append(&token, "1", "{}\n")), (409, "ERR_CHANNEL_MUST_BE_REOPENED"));
    let token = sim.wait(5).opened();
    assert_eq!(sim.append(&token, "1", "{}\n").0, 200);
}

//! `Ingest` and `AwaitCompletion`, case by case, with what a real Feldera answered.

mod barriers;
mod completion;
mod delivery;
mod ends;
mod numbers;
mod rejections;
mod source;

use pipewright::driver::{self, NoCredentials};
use pipewright::error::FlowError;
use pipewright::feldera::data::UpdateFormat;
use pipewright::feldera::{Feldera, Ingest, IngestEvent, Ingestion, Interruption, PushError};
use pipewright::flow::Goal as _;
use pipewright_mock::Script;
use pipewright_tests::recorded::feldera;
use serde_json::{Value, json};

const STATS: &str = "/v0/pipelines/p/stats";
const STATUS: &str = "/v0/pipelines/p?selector=status";
const INGRESS: &str = "/v0/pipelines/p/ingress/T?format=json";
const CSV: &str = "/v0/pipelines/p/ingress/T?format=csv";
const ASK: &str = "/v0/pipelines/p/completion_status?token=tok";
const TOKEN: &str = r#"{"token":"tok"}"#;
const COMPLETE: &str = r#"{"status":"complete","step":7}"#;

fn start(script: &Script, goal: Ingest) -> Ingestion {
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone());
    goal.start(feldera.config(), feldera.seed())
}

fn next(ingestion: &mut Ingestion, script: &Script) -> Result<IngestEvent, FlowError> {
    driver::run(ingestion, script, &NoCredentials, driver::ignore_notices)
}

/// A script that has answered the first poll already: the pipeline runs.
fn running() -> Script {
    looked(Script::new())
}

fn looked(script: Script) -> Script {
    recorded(script, "GET", STATS, "stats_after_transaction")
}

fn recorded(script: Script, method: &str, target: &str, name: &str) -> Script {
    let (status, body) = feldera(name);
    script.expect(method, target).reply_json(status, body)
}

fn finish(script: Script) -> Script {
    let script = script.expect("GET", ASK).reply_json(200, COMPLETE);
    recorded(script, "GET", STATS, "stats_after_transaction")
}

/// Statistics as recorded, with some metrics changed.
fn stats(change: impl FnOnce(&mut Value)) -> (u16, String) {
    let (status, body) = feldera("stats_after_transaction");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    change(&mut body["global_metrics"]);
    (status, body.to_string())
}

fn cause(error: &FlowError) -> Option<&Interruption> {
    Interruption::of(error)
}

#[test]
fn rows_go_out_together_and_are_waited_for() {
    let script = finish(
        running()
            .expect("POST", INGRESS)
            .body(
                "{\"insert\":{\"id\":1}}\n{\"update\":{\"id\":2}}\n{\"delete\":{\"id\":3}}\n{\"insert\": {\"id\":4}}\n",
            )
            .reply_json(200, TOKEN),
    );
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    assert_eq!(ingestion.push(json!({"id": 1})).expect("room"), 0);
    assert_eq!(ingestion.update(json!({"id": 2})).expect("room"), 1);
    assert_eq!(ingestion.delete(json!({"id": 3})).expect("room"), 2);
    assert_eq!(ingestion.push_record("{\"insert\": {\"id\":4}}").expect("room"), 3);
    match next(&mut ingestion, &script).expect("fine") {
        IngestEvent::Accepted(accepted) => assert_eq!((accepted.rows, accepted.token.as_str()), (0..4, "tok")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Drained)));
    ingestion.finish();
    assert!(matches!(ingestion.push(json!({})), Err(PushError::Ended { error: None, .. })));
    match next(&mut ingestion, &script).expect("fine") {
        IngestEvent::Finished(progress) => {
            assert_eq!((progress.pushed, progress.accepted, progress.processed_to), (4, 4, 4));
            assert_eq!((progress.waiting, progress.waiting_bytes), (0, 0));
        }
        other => panic!("{other:?}"),
    }
    next(&mut ingestion, &script).expect_err("over");
    script.finish();
}

#[test]
fn nothing_to_do_is_no_request() {
    let script = Script::new();
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Drained)));
    ingestion.flush();
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Processed(_))));
    ingestion.finish();
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Finished(_))));
    script.finish();
}

/// Chunks hold whole records; the buffer hands back what it has no room for, and has room again after an answer.
#[test]
fn memory_is_bounded_and_records_are_whole() {
    let (row, size) = (json!({"id": 10}), "{\"insert\":{\"id\":10}}\n".len());
    let mut script = running();
    for _ in 0..3 {
        let line = "{\"insert\":{\"id\":10}}\n".repeat(2);
        script = script.expect("POST", INGRESS).body(line).reply_json(200, TOKEN);
    }
    let goal = Ingest::new("p", "T").chunk_bytes(size * 2 + 3).buffer_bytes(size * 5 + 1);
    let mut ingestion = start(&script, goal);
    let mut accepted = Vec::new();
    let (mut pushed, mut full) = (0, 0);
    while pushed < 6 {
        match ingestion.push(&row) {
            Ok(number) => {
                assert_eq!(number, pushed);
                pushed += 1;
            }
            Err(PushError::Full { row: back, waiting_rows, waiting_bytes }) => {
                assert_eq!((back, waiting_rows, waiting_bytes), (&row, 5, size * 5));
                full += 1;
                match next(&mut ingestion, &script).expect("fine") {
                    IngestEvent::Accepted(rows) => accepted.push(rows.rows),
                    other => panic!("{other:?}"),
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    while let IngestEvent::Accepted(rows) = next(&mut ingestion, &script).expect("fine") {
        accepted.push(rows.rows);
    }
    assert_eq!((full, accepted), (1, vec![0..2, 2..4, 4..6]));
    let large = json!({"text": "x".repeat(size * 6)});
    assert!(matches!(ingestion.push(&large), Err(PushError::TooLarge { limit, .. }) if limit == size * 5 + 1));
    assert_eq!(ingestion.progress().waiting_bytes, 0);
    script.finish();
}

#[test]
fn a_record_that_would_spoil_its_neighbours_is_handed_back() {
    let script = Script::new();
    let mut json = start(&script, Ingest::new("p", "T"));
    for bad in
        ["{\"insert\":", "{} {}", "not json", "", "{\"insert\":{\"x\":-1e999}}", "[\"\\ud800\"]", &*"[".repeat(100_000)]
    {
        assert!(matches!(json.push_record(bad), Err(PushError::Invalid { row, .. }) if row == bad), "{bad}");
    }
    let error = json.push_record("{\"id\":1\n").expect_err("not whole");
    assert!(
        error
            .to_string()
            .ends_with("not one JSON value: malformed JSON: it ends before byte 8, where `,` or `}` is expected"),
        "{error}"
    );
    let error = json.push_record("\u{feff}{\"id\":1}").expect_err("not JSON");
    assert!(error.to_string().contains("there is a byte order mark"), "{error}");
    let mut csv = start(&script, Ingest::new("p", "T").csv());
    for bad in ["1,\"open", "1\n2", "", "\n", "1\r2", "\u{feff}1,2"] {
        assert!(matches!(csv.push_record(bad), Err(PushError::Invalid { .. })), "{bad}");
    }
    for good in ["1,\"a\nb\"", "1,\"say \"\"a\"\"\"\n", "1,x\r\n"] {
        csv.push_record(good).expect("one record");
    }
    assert!(matches!(csv.push(1), Err(PushError::Invalid { .. })));
    let mut raw = start(&script, Ingest::new("p", "T").update_format(UpdateFormat::Raw));
    assert!(matches!(raw.delete(json!({})), Err(PushError::Invalid { .. })));
    raw.push(json!({})).expect("a row");
    script.finish();
}

/// The bad row is named although the server counts from somewhere else, and a token for the good rows is fetched.
#[test]
fn a_bad_row_keeps_no_other_out() {
    let script = recorded(running(), "POST", CSV, "ingress_csv_parse_error_400");
    let script = finish(script.expect("POST", CSV).body("").reply_json(200, TOKEN));
    let mut ingestion = start(&script, Ingest::new("p", "T").csv());
    for row in ["30,true,30,ok", "x,true,1,bad\n", "31,true,31,ok2"] {
        ingestion.push_record(row).expect("room");
    }
    ingestion.finish();
    match next(&mut ingestion, &script).expect("fine") {
        IngestEvent::Rejected(rejected) => {
            assert_eq!(rejected.chunk.rows(), 0..3);
            assert_eq!((rejected.rows.len(), rejected.rows[0].row, rejected.num_errors), (1, Some(1), 1));
            assert_eq!(rejected.rows[0].error.field.as_deref(), Some("id"));
            assert_eq!(rejected.ingested().expect("all are known").collect::<Vec<_>>(), [0, 2]);
        }
        other => panic!("{other:?}"),
    }
    match next(&mut ingestion, &script).expect("fine") {
        IngestEvent::Finished(progress) => assert_eq!((progress.accepted, progress.rejected), (2, 1)),
        other => panic!("{other:?}"),
    }
    script.finish();
}

#[test]
fn errors_are_traced_to_their_rows_by_what_they_quote() {
    let raw = "/v0/pipelines/p/ingress/T?format=json&update_format=raw";
    let script = recorded(running(), "POST", raw, "ingress_partial_parse_errors_400");
    let mut ingestion = start(&script, Ingest::new("p", "T").update_format(UpdateFormat::Raw));
    for row in
        [r#"{"id":20,"b":true,"i":20,"s":"good"}"#, r#"{"id":"x","b":true,"i":1,"s":"bad type"}"#, r#"{"id":21}"#]
    {
        ingestion.push_record(row).expect("room");
    }
    match next(&mut ingestion, &script).expect("fine") {
        IngestEvent::Rejected(rejected) => {
            let rows: Vec<_> = rejected.rows.iter().map(|row| row.row).collect();
            assert_eq!(rows, [Some(1), Some(2), None, None]);
            assert!(rejected.ingested().is_none(), "two errors are about nothing that was sent");
        }
        other => panic!("{other:?}"),
    }
    script.finish();

    let script = recorded(running(), "POST", INGRESS, "ingress_update_without_pk_400");
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    ingestion.push_record(r#"{"update":{"id":1,"b":true,"i":1,"s":"x"}}"#).expect("room");
    assert!(
        matches!(next(&mut ingestion, &script), Ok(IngestEvent::Rejected(rejected)) if rejected.rows[0].row == Some(0))
    );
    script.finish();
}

/// Rows that say the same are told apart by the server's count, once another row shows where it began.
#[test]
fn rows_that_say_the_same_are_told_apart_by_number() {
    let error = |number: u64, text: Value| {
        let tag = "text_event_err";
        json!({"description": "no", "event_number": number, "field": null, "invalid_text": text, "tag": tag})
    };
    let rejection = |errors: Vec<Value>, count: usize| {
        let details = json!({"num_errors": count, "errors": errors});
        json!({"message": "no", "error_code": "ParseErrors", "details": details})
    };
    let cases = [
        (vec![error(11, json!("a")), error(14, json!("b"))], 2, vec![Some(0), Some(3)]),
        (vec![error(13, json!("a")), error(14, json!("b"))], 2, vec![Some(2), Some(3)]),
        // All that say the same have failed.
        (vec![error(11, json!("a")), error(13, json!("a"))], 2, vec![Some(0), Some(2)]),
        // One of two, and nothing to count from.
        (vec![error(13, json!("a"))], 1, vec![None]),
        // No quote, but a number.
        (vec![error(12, Value::Null), error(14, json!("b"))], 2, vec![Some(1), Some(3)]),
        // Another client's rows came in between: the numbers show nothing.
        (vec![error(12, Value::Null), error(14, json!("b")), error(19, json!("c"))], 3, vec![None, Some(3), Some(1)]),
    ];
    for (errors, count, expected) in cases {
        let script = running().expect("POST", CSV).reply_json(400, rejection(errors, count));
        let mut ingestion = start(&script, Ingest::new("p", "T").csv());
        for row in ["a", "c", "a", "b"] {
            ingestion.push_record(row).expect("room");
        }
        let Ok(IngestEvent::Rejected(rejected)) = next(&mut ingestion, &script) else { panic!("rejected") };
        assert_eq!(rejected.rows.iter().map(|row| row.row).collect::<Vec<_>>(), expected);
        script.finish();
    }
}

#[test]
fn a_session_that_stops_at_errors_keeps_the_rest() {
    let script = recorded(running(), "POST", CSV, "ingress_csv_parse_error_400");
    let mut ingestion = start(&script, Ingest::new("p", "T").csv().chunk_bytes(1).stop_at_errors());
    for row in ["x,true,1,bad", "1,true,1,good"] {
        ingestion.push_record(row).expect("room");
    }
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Rejected(_))));
    let error = next(&mut ingestion, &script).expect_err("stopped");
    assert_eq!(error.service().and_then(|error| error.code()), Some("ParseErrors"));
    let rest = ingestion.take_unsent();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].records().collect::<Vec<_>>(), [(1, &b"1,true,1,good"[..])]);
    assert!(!rest[0].is_unconfirmed());
    script.finish();
}

/// An unconfirmed chunk is sent again only if the caller asks for it, and no other chunk is sent before that decision.
#[test]
fn unconfirmed_rows_are_decided_by_the_caller() {
    for name in [None, Some("paused_ingress_no_force_times_out"), Some("ingress_slow_upload_times_out")] {
        let lost = |script: Script| match name {
            None => script.expect("POST", INGRESS).reply_lost(),
            Some(name) => recorded(script, "POST", INGRESS, name),
        };
        let row = "{\"insert\":1}\n";
        let script = looked(lost(running())).expect("POST", INGRESS).body(row).reply_json(200, TOKEN);
        let script = looked(lost(script)).expect("POST", INGRESS).body("").reply_json(200, TOKEN);
        let script = finish(script);
        let mut ingestion = start(&script, Ingest::new("p", "T").chunk_bytes(1));
        ingestion.push(1).expect("room");
        ingestion.push(2).expect("room");
        let Ok(IngestEvent::Unconfirmed(unconfirmed)) = next(&mut ingestion, &script) else { panic!("unconfirmed") };
        assert!(unconfirmed.cause().is_ambiguous());
        assert_eq!((unconfirmed.chunk().rows(), ingestion.progress().waiting), (0..1, 2));
        ingestion.resend(unconfirmed).expect("its own");
        assert!(
            matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(accepted)) if accepted.rows == (0..1))
        );
        let Ok(IngestEvent::Unconfirmed(unconfirmed)) = next(&mut ingestion, &script) else { panic!("unconfirmed") };
        ingestion.skip(unconfirmed).expect("its own");
        ingestion.finish();
        let Ok(IngestEvent::Finished(progress)) = next(&mut ingestion, &script) else { panic!("finished") };
        assert_eq!((progress.accepted, progress.skipped, progress.waiting), (1, 1, 0));
        script.finish();
    }
}

/// What was held is in when the pipeline is resumed: sent again, it would be held a second time.
#[test]
fn a_paused_pipeline_is_noticed_after_unconfirmed_rows() {
    let script = recorded(running(), "POST", INGRESS, "paused_ingress_no_force_times_out");
    let (status, paused) = stats(|metrics| metrics["state"] = json!("Paused"));
    let script = script.expect("GET", STATS).reply_json(status, paused);
    let mut ingestion = start(&script, Ingest::new("p", "T").resend_unconfirmed());
    ingestion.push(1).expect("room");
    assert_eq!(cause(&next(&mut ingestion, &script).expect_err("paused")), Some(&Interruption::Paused));
    let rest = ingestion.take_unsent();
    assert_eq!((rest[0].rows(), rest[0].is_unconfirmed()), (0..1, true));
    script.finish();

    // Another incarnation after unconfirmed rows: earlier rows are lost.
    let (status, other) = stats(|metrics| metrics["incarnation_uuid"] = json!("another"));
    let script = running().expect("POST", INGRESS).reply_lost().expect("GET", STATS).reply_json(status, other);
    let mut ingestion = start(&script, Ingest::new("p", "T").resend_unconfirmed());
    ingestion.push(1).expect("room");
    assert_eq!(cause(&next(&mut ingestion, &script).expect_err("restarted")), Some(&Interruption::Restarted));
    script.finish();
}

#[test]
fn polling_with_unconfirmed_rows_ends_the_session() {
    let script = running().expect("POST", INGRESS).reply_lost();
    let mut ingestion = start(&script, Ingest::new("p", "T").chunk_bytes(1));
    ingestion.push(1).expect("room");
    ingestion.push(2).expect("room");
    let Ok(IngestEvent::Unconfirmed(unconfirmed)) = next(&mut ingestion, &script) else { panic!("unconfirmed") };
    assert!(next(&mut ingestion, &script).expect_err("undecided").is_ambiguous());
    let rows = ingestion.resend(unconfirmed).expect_err("too late");
    assert_eq!(rows.into_chunk().rows(), 0..1);
    assert_eq!(ingestion.take_unsent()[0].rows(), 1..2);
    script.finish();
}

#[test]
fn rows_with_keys_may_be_sent_again_by_option() {
    let mut script = Script::new();
    for _ in 0..6 {
        script = looked(script).expect("POST", INGRESS).body("{\"insert\":1}\n").reply_lost();
    }
    let mut ingestion = start(&script, Ingest::new("p", "T").resend_unconfirmed());
    ingestion.push(1).expect("room");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Unconfirmed(_))), "asked in the end");
    script.finish();
}

/// What never reached the pipeline is sent again without a question.
#[test]
fn what_did_not_arrive_is_sent_again() {
    let script = running().expect("POST", INGRESS).not_sent();
    let script = recorded(script, "POST", INGRESS, "killed_ingress").expect("POST", INGRESS).reply_json(200, TOKEN);
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    ingestion.push(1).expect("room");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(_))));
    script.finish();
}

/// `ParseErrors` of which half is missing: all but the bad rows are in, and which is unknown.
#[test]
fn a_truncated_rejection_leaves_rows_unconfirmed() {
    let (status, body) = feldera("ingress_csv_parse_error_400");
    let script = running().expect("POST", CSV).reply_json(status, &body[..body.len() / 2]);
    let mut ingestion = start(&script, Ingest::new("p", "T").csv());
    ingestion.push_record("1").expect("room");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Unconfirmed(_))));
    script.finish();
}

#[test]
fn a_rejection_leaves_the_rows_unsent() {
    let script = recorded(running(), "POST", INGRESS, "ingress_unknown_table_404");
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    ingestion.push(1).expect("room");
    let error = next(&mut ingestion, &script).expect_err("no such table");
    assert_eq!(error.service().and_then(|error| error.code()), Some("ConfigError.UnknownInputStream"));
    assert!(matches!(ingestion.push(2), Err(PushError::Ended { error: Some(_), .. })));
    assert_eq!(ingestion.take_unsent()[0].rows(), 0..1);
    assert_eq!(ingestion.progress().waiting, 0);
    script.finish();
}

#[test]
fn rows_are_not_sent_into_a_paused_pipeline_unless_forced() {
    let script = recorded(Script::new(), "GET", STATS, "paused_stats");
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    ingestion.push(1).expect("room");
    assert_eq!(cause(&next(&mut ingestion, &script).expect_err("paused")), Some(&Interruption::Paused));
    assert_eq!(ingestion.take_unsent().len(), 1);
    script.finish();

    let script = recorded(Script::new(), "GET", STATS, "paused_stats")
        .expect("POST", "/v0/pipelines/p/ingress/T?format=json&force=true")
        .reply_json(200, TOKEN);
    let mut ingestion = start(&script, Ingest::new("p", "T").force());
    ingestion.push(1).expect("room");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(_))));
    script.finish();
}

/// A token is good only in its own process: rows that an earlier one took in may be lost.
#[test]
fn rows_that_met_two_processes_are_not_said_to_be_processed() {
    let (status, other) = stats(|metrics| metrics["incarnation_uuid"] = json!("another"));
    let script = |requests| {
        let taken = |script: Script, _| script.expect("POST", INGRESS).reply_json(200, TOKEN);
        let script = (0..requests).fold(running(), taken).expect("GET", ASK).reply_json(200, COMPLETE);
        script.expect("GET", STATS).reply_json(status, other.clone())
    };
    let both = script(2);
    let mut ingestion = start(&both, Ingest::new("p", "T").chunk_bytes(1));
    ingestion.push(1).expect("room");
    ingestion.push(2).expect("room");
    assert!(matches!(next(&mut ingestion, &both), Ok(IngestEvent::Accepted(_))));
    assert!(matches!(next(&mut ingestion, &both), Ok(IngestEvent::Accepted(_))));
    ingestion.finish();
    assert_eq!(cause(&next(&mut ingestion, &both).expect_err("restarted")), Some(&Interruption::Restarted));
    assert_eq!(ingestion.progress().processed_to, 0);
    both.finish();

    // One request has met one process, whichever it was that was looked at before.
    let one = script(1);
    let mut ingestion = start(&one, Ingest::new("p", "T"));
    ingestion.push(1).expect("room");
    assert!(matches!(next(&mut ingestion, &one), Ok(IngestEvent::Accepted(_))));
    ingestion.finish();
    assert!(matches!(next(&mut ingestion, &one), Ok(IngestEvent::Finished(_))));
    assert_eq!(ingestion.progress().processed_to, 1);
    one.finish();
}

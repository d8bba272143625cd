//! `ParseErrors` of any length and form: ingested rows are never reported as unsent.

use pipewright::feldera::{Ingest, IngestEvent};
use serde_json::{Value, json};

use super::{ASK, COMPLETE, CSV, TOKEN, cause, looked, next, running, start};

/// A refusal as Feldera writes it: so many errors, of which the last thousand are told.
fn rejection(details: &Value) -> Value {
    json!({ "message": "Errors parsing input data", "error_code": "ParseErrors", "details": details })
}

fn error(number: u64, text: &str) -> Value {
    json!({ "description": "failed to deserialize CSV record: error parsing field 'id': field 0: invalid digit found in string",
        "event_number": number, "field": "id", "invalid_text": text, "invalid_bytes": null, "suggestion": null,
        "tag": "text_event_err" })
}

/// A thousand errors are some hundreds of kilobytes.
#[test]
fn a_thousand_errors_are_read_to_the_last() {
    let rows: Vec<String> = (0..1500).map(|row| format!("bad {row:0>200},1")).collect();
    let told: Vec<Value> = (500..1500).map(|row| error(row + 1, &rows[usize::try_from(row).expect("small")])).collect();
    let rejection = rejection(&json!({ "errors": told, "num_errors": 1500 }));
    let script = running().expect("POST", CSV).reply_json(400, rejection);
    let mut ingestion = start(&script, Ingest::new("p", "T").csv());
    for row in &rows {
        ingestion.push_record(row).expect("room");
    }
    let Ok(IngestEvent::Rejected(rejected)) = next(&mut ingestion, &script) else { panic!("rejected") };
    assert_eq!((rejected.num_errors, rejected.rows.len()), (1500, 1000));
    assert!(rejected.rows.iter().zip(500..).all(|(rejected, row)| rejected.row == Some(row)));
    assert!(!format!("{rejected:?}").contains("bad 0"), "rows may be confidential");
    assert!(rejected.ingested().is_none(), "the first rows are not named");
    let progress = ingestion.progress();
    assert_eq!((progress.accepted, progress.rejected, progress.waiting), (0, 1500, 0));
    script.finish();
}

/// Errors that cannot be read do not tell which rows they are about; but rows are in, so that none is unsent.
#[test]
fn unreadable_errors_leave_rows_unconfirmed() {
    for details in [Value::Null, json!({}), json!({ "errors": "many", "num_errors": 1 })] {
        let script = running().expect("POST", CSV).reply_json(400, rejection(&details));
        let mut ingestion = start(&script, Ingest::new("p", "T").csv());
        ingestion.push_record("1,x").expect("room");
        let Ok(IngestEvent::Unconfirmed(unconfirmed)) = next(&mut ingestion, &script) else {
            panic!("unconfirmed: {details}")
        };
        assert!(unconfirmed.cause().is_ambiguous() && cause(unconfirmed.cause()).is_none());
        assert!(
            unconfirmed.cause().to_string().contains("all rows that can be parsed are ingested"),
            "{}",
            unconfirmed.cause()
        );
        assert!(ingestion.take_unsent().is_empty(), "{details}");
        script.finish();
    }
}

/// A row with two errors is one row.
#[test]
fn rows_are_counted_and_not_their_errors() {
    let errors = [error(2, "b,1"), error(2, "b,1")];
    let rejection = rejection(&json!({ "errors": errors, "num_errors": 2 }));
    let script = running().expect("POST", CSV).reply_json(400, rejection);
    let mut ingestion = start(&script, Ingest::new("p", "T").csv());
    for row in ["1,1", "b,1", "3,1"] {
        ingestion.push_record(row).expect("room");
    }
    let Ok(IngestEvent::Rejected(rejected)) = next(&mut ingestion, &script) else { panic!("rejected") };
    assert_eq!(rejected.ingested().expect("all are known").collect::<Vec<_>>(), [0, 2]);
    assert_eq!((ingestion.progress().accepted, ingestion.progress().rejected), (2, 1));
    script.finish();
}

/// The rows of a chunk with errors are behind every token that there is: the flow requests another token that covers
/// them.
#[test]
fn an_older_token_does_not_cover_what_came_in_with_errors() {
    let rejection = rejection(&json!({ "errors": [error(2, "b,1")], "num_errors": 1 }));
    let script = running().expect("POST", CSV).body("1,1\n").reply_json(200, r#"{"token":"old"}"#);
    let script = script.expect("POST", CSV).body("2,1\nb,1\n").reply_json(400, rejection);
    let script = script.expect("POST", CSV).body("").reply_json(200, TOKEN);
    let script = looked(script.expect("GET", ASK).reply_json(200, COMPLETE));
    let mut ingestion = start(&script, Ingest::new("p", "T").csv());
    ingestion.push_record("1,1").expect("room");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(_))));
    for row in ["2,1", "b,1"] {
        ingestion.push_record(row).expect("room");
    }
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Rejected(_))));
    ingestion.flush();
    let Ok(IngestEvent::Processed(progress)) = next(&mut ingestion, &script) else { panic!("processed") };
    assert_eq!((progress.accepted, progress.rejected, progress.processed_to), (2, 1, 3));
    script.finish();
}

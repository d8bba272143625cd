//! `Feldera::ingest`: all rows of a source in one call, and an error with the remaining rows.

use std::io;

use pipewright::driver::ignore_notices;
use pipewright::error::{FlowError, Misuse};
use pipewright::feldera::data::UpdateFormat;
use pipewright::feldera::{
    Csv, Feldera, Ingest, IngestError, IngestEvent, IngestFailure, IngestRows, IngestSummary, Ingestion, Interruption,
    Ndjson, NextRow, OnRejected, OnUnconfirmed, PushError, RowSource, Rows,
};
use pipewright::flow::Notice;
use pipewright_mock::Script;
use serde_json::{Value, json};

use super::{ASK, COMPLETE, CSV, INGRESS, TOKEN, cause, finish, looked, recorded, running, stats};

type Result = std::result::Result<IngestSummary, Box<IngestError>>;

fn ingest(script: &Script, goal: impl Into<IngestRows>, rows: impl RowSource) -> Result {
    Feldera::new("http://feldera.test".parse().expect("a base"), script.clone()).ingest(goal, rows)
}

fn sent(script: Script, target: &str, body: &'static str) -> Script {
    script.expect("POST", target).body(body).reply_json(200, TOKEN)
}

/// A rejection of records, each with what is quoted of it.
fn rejected(script: Script, body: &'static str, records: &[&str]) -> Script {
    let error = |record: &&str| json!({ "description": "no number", "event_number": null, "invalid_text": record });
    let errors: Vec<Value> = records.iter().map(error).collect();
    let details = json!({ "errors": errors, "num_errors": records.len() });
    let answer = json!({ "message": "no", "error_code": "ParseErrors", "details": details });
    script.expect("POST", CSV).body(body).reply_json(400, answer)
}

fn csv() -> IngestRows {
    IngestRows::from(Ingest::new("p", "T").csv())
}

#[test]
fn rows_of_an_iterator_go_out_in_full_chunks() {
    let script = sent(running(), INGRESS, "{\"insert\":1}\n{\"insert\":2}\n");
    let script = finish(sent(script, INGRESS, "{\"insert\":3}\n"));
    let summary = ingest(&script, Ingest::new("p", "T").chunk_bytes(26), Rows::new(1..4)).expect("ingested");
    assert_eq!((summary.rows_read, summary.rows_sent, summary.rows_ingested), (3, 3, 3));
    assert_eq!(summary.to_string(), "3 of 3 rows are ingested");
    script.finish();
    // A buffer that is smaller than a chunk is sent when it is full; and no rows are no request.
    let script = finish(sent(sent(running(), INGRESS, "{\"insert\":1}\n"), INGRESS, "{\"insert\":2}\n"));
    ingest(&script, Ingest::new("p", "T").buffer_bytes(13), Rows::new(1..3)).expect("ingested");
    script.finish();
    ingest(&Script::new(), Ingest::new("p", "T"), Rows::new(0..0)).expect("nothing to do");
}

#[test]
fn files_of_csv_and_json_are_split_into_records() {
    let script = finish(sent(running(), CSV, "1,\"a\nb\"\r\n2,c\n"));
    let file: &[u8] = b"\xef\xbb\xbfid,name\r\n1,\"a\nb\"\r\n\r\n2,c";
    assert_eq!(ingest(&script, csv(), Csv::new(file).skip_header()).expect("ingested").rows_ingested, 2);
    script.finish();
    let raw = "/v0/pipelines/p/ingress/T?format=json&update_format=raw";
    let script = finish(sent(running(), raw, "{\"id\":1}\n{\"id\":2}\n"));
    let goal = Ingest::new("p", "T").update_format(UpdateFormat::Raw);
    ingest(&script, goal, Ndjson::new(&b"{\"id\":1}\n\n{\"id\":2}\r\n"[..])).expect("ingested");
    script.finish();
}

/// JSON that is sent as CSV can fill a table with one column of text, without an error.
#[test]
fn a_source_of_another_format_than_the_goal_ends_the_ingestion() {
    fn ends(goal: Ingest, rows: impl RowSource, text: &str) {
        let goal = IngestRows::from(goal).on_rejected(OnRejected::Skip);
        let error = ingest(&Script::new(), goal, rows).expect_err("another format");
        assert!(matches!(error.failure, IngestFailure::Flow(FlowError::Build(_))), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!((error.summary.rows_invalid, error.not_taken), (0, Some(1)));
    }
    ends(Ingest::new("p", "T"), Csv::new(&b"1,a\n"[..]), r#"Ingest: format "json": the source gives CSV"#);
    ends(Ingest::new("p", "T").csv(), Ndjson::new(&b"{}\n"[..]), r#"Ingest: format "csv": the source gives JSON"#);
    ends(Ingest::new("p", "T").csv(), Rows::new(1..3), r#"Ingest: format "csv": the source gives JSON"#);
}

/// What the iterator gave before is in, and how far that is is told with the error.
#[test]
fn an_error_of_the_source_reaches_the_caller_after_the_rows_before_it() {
    let script = finish(sent(running(), INGRESS, "{\"insert\":1}\n{\"insert\":2}\n"));
    let rows = [Ok(1), Ok(2), Err(io::Error::other("the disk is gone")), Ok(4)];
    let error = ingest(&script, Ingest::new("p", "T"), Rows::fallible(rows)).expect_err("unread");
    let IngestFailure::Source { row: 2, error: cause } = &error.failure else { panic!("{error:?}") };
    assert!(cause.downcast_ref::<io::Error>().is_some());
    assert_eq!((error.summary.rows_read, error.summary.rows_ingested), (2, 2));
    assert!(error.unsettled.is_empty() && error.flow_error.is_none());
    let text = "ingestion failed: reading the rows failed after row 2: the disk is gone; 2 of 2 rows are ingested";
    assert_eq!(error.to_string(), text);
    script.finish();

    // They cannot be ingested: both errors are told, and the rows are handed back.
    let script = recorded(running(), "POST", INGRESS, "ingress_unknown_table_404");
    let rows = [Ok(1), Err(io::Error::other("the disk is gone"))];
    let error = ingest(&script, Ingest::new("p", "T"), Rows::fallible(rows)).expect_err("unread");
    assert!(matches!(error.failure, IngestFailure::Source { .. }));
    assert!(matches!(error.flow_error, Some(FlowError::Service(_))), "{error:?}");
    assert_eq!((error.summary.rows_sent, error.summary.rows_ingested), (0, 0));
    assert_eq!(
        error.unsettled.iter().map(|chunk| (chunk.rows(), chunk.is_unconfirmed())).collect::<Vec<_>>(),
        [(0..1, false)]
    );
    script.finish();
}

/// Feldera counts otherwise: the summary names the lines of the file, in which there are blank lines and bad records.
#[test]
fn rejected_rows_are_named_by_their_lines() {
    let file = "1,a\n\nx,a\n3,\"\n\"\nx,b\n";
    let script = rejected(running(), "1,a\nx,a\n3,\"\n\"\nx,b\n", &["x,a", "x,b"]);
    let script = finish(script.expect("POST", CSV).body("").reply_json(200, TOKEN));
    let goal = csv().on_rejected(OnRejected::Skip);
    let summary = ingest(&script, goal, Csv::new(file.as_bytes())).expect("two are skipped");
    assert_eq!((summary.rows_ingested, summary.rows_rejected), (2, 2));
    let rows: Vec<_> = summary.rejected.iter().map(|rejected| rejected.row).collect();
    assert_eq!(rows, [Some(3), Some(6)]);
    assert_eq!(summary.to_string(), "2 of 4 rows are ingested; 2 rejected");
    script.finish();

    // Rows that cannot be sent shift the numbers, too.
    let script = rejected(running(), "1,a\nx,a\n", &["x,a"]);
    let script = finish(script.expect("POST", CSV).body("").reply_json(200, TOKEN));
    let goal = csv().on_rejected(OnRejected::Skip);
    let summary = ingest(&script, goal, Csv::new(&b"1,a\n2\r3,a\nx,a\n"[..])).expect("two are skipped");
    assert_eq!((summary.rows_read, summary.rows_invalid, summary.rows_rejected), (3, 1, 1));
    assert_eq!(summary.rejected.iter().map(|rejected| rejected.row).collect::<Vec<_>>(), [Some(2), Some(3)]);
    script.finish();
}

#[test]
fn a_summary_names_a_hundred_rejected_rows() {
    let rows: Vec<Option<f64>> = vec![Some(f64::NAN); 250];
    let goal = || IngestRows::from(Ingest::new("p", "T"));
    let summary =
        ingest(&Script::new(), goal().on_rejected(OnRejected::Skip), Rows::new(rows.clone())).expect("skipped");
    assert_eq!((summary.rows_invalid, summary.rejected.len()), (250, 100));
    let error = ingest(&Script::new(), goal(), Rows::new(rows)).expect_err("the first row");
    assert!(matches!(&error.failure, IngestFailure::Rejected(rejected) if rejected.row == Some(1)), "{error:?}");
    assert_eq!(error.summary.rows_read, 1);
}

/// The rows before are ingested; the rows that are not read are not touched.
#[test]
fn a_rejected_row_stops_the_ingestion_by_default() {
    let script = rejected(running(), "x,a\n", &["x,a"]);
    let script = finish(script.expect("POST", CSV).body("").reply_json(200, TOKEN));
    let goal = IngestRows::from(Ingest::new("p", "T").csv().chunk_bytes(4));
    let error = ingest(&script, goal, Csv::new(&b"x,a\n1,a\n2,a\n"[..])).expect_err("rejected");
    let IngestFailure::Rejected(rejected) = &error.failure else { panic!("{error:?}") };
    assert_eq!(rejected.to_string(), "row 1: no number");
    assert_eq!((error.summary.rows_read, error.summary.rows_rejected, error.summary.rows_ingested), (1, 1, 0));
    script.finish();
}

/// The flow ends although rejected rows are skipped. No row is read in vain.
#[test]
fn a_flow_that_stops_at_errors_reads_no_row_after_them() {
    let script = rejected(running(), "x,a\n", &["x,a"]);
    let goal = IngestRows::from(Ingest::new("p", "T").csv().chunk_bytes(4).stop_at_errors());
    let error =
        ingest(&script, goal.on_rejected(OnRejected::Skip), Csv::new(&b"x,a\n1,a\n"[..])).expect_err("it stops");
    assert!(matches!(&error.failure, IngestFailure::Flow(FlowError::Service(_))), "{error:?}");
    assert_eq!((error.summary.rows_read, error.summary.rows_rejected, error.not_taken), (1, 1, None));
    script.finish();
}

/// It was read, and is in no chunk: the error has its number.
#[test]
fn a_row_that_waits_for_room_when_the_flow_ends_is_named() {
    let script = running().expect("POST", INGRESS).body("{\"insert\":1}\n").reply_lost();
    let mut numbers = 1..5;
    let goal = Ingest::new("p", "T").buffer_bytes(13);
    let error = ingest(&script, goal, Rows::new(numbers.by_ref())).expect_err("unconfirmed");
    assert_eq!((error.summary.rows_read, error.not_taken), (2, Some(2)));
    assert_eq!((error.unsettled.len(), error.unsettled[0].rows()), (1, 0..1));
    assert_eq!(numbers.next(), Some(3));
    script.finish();
}

/// They were in the memory of a process that is gone.
#[test]
fn accepted_rows_that_are_not_processed_are_not_told_as_ingested() {
    let script = sent(running(), INGRESS, "{\"insert\":1}\n");
    let restarted = json!({ "message": "another process", "error_code": "PipelineRestarted", "details": null });
    let script = script.expect("GET", ASK).reply_json(410, restarted);
    let error = ingest(&script, Ingest::new("p", "T"), Rows::new(1..2)).expect_err("restarted");
    assert!(matches!(&error.failure, IngestFailure::Flow(error) if cause(error) == Some(&Interruption::Restarted)));
    assert_eq!((error.summary.rows_ingested, error.summary.rows_processed, error.unsettled.len()), (1, 0, 0));
    assert_eq!(error.summary.to_string(), "1 of 1 rows are accepted, and 0 of them processed");
    script.finish();
}

#[test]
fn unconfirmed_rows_are_handed_back_skipped_or_sent_again() {
    let goal = |policy| IngestRows::from(Ingest::new("p", "T").chunk_bytes(13)).on_unconfirmed(policy);
    let lost = |script: Script| script.expect("POST", INGRESS).body("{\"insert\":2}\n").reply_lost();
    let first = || lost(sent(running(), INGRESS, "{\"insert\":1}\n"));

    let script = first();
    let error = ingest(&script, goal(OnUnconfirmed::Fail), Rows::new(1..4)).expect_err("unconfirmed");
    assert!(matches!(&error.failure, IngestFailure::Flow(error) if error.is_ambiguous()), "{error:?}");
    assert_eq!((error.summary.rows_sent, error.summary.rows_ingested, error.summary.rows_unconfirmed), (2, 1, 1));
    assert_eq!(error.summary.unconfirmed, [2..=2]);
    assert_eq!((error.unsettled.len(), error.unsettled[0].rows()), (1, 1..2));
    assert!(error.unsettled[0].is_unconfirmed());
    script.finish();

    let script = sent(looked(first()), INGRESS, "{\"insert\":3}\n");
    let script = finish(script);
    let summary = ingest(&script, goal(OnUnconfirmed::Skip), Rows::new(1..4)).expect("skipped");
    assert_eq!((summary.rows_ingested, summary.rows_unconfirmed, &*summary.unconfirmed), (2, 1, &[2..=2][..]));
    script.finish();

    let script = sent(looked(first()), INGRESS, "{\"insert\":2}\n");
    let script = finish(sent(script, INGRESS, "{\"insert\":3}\n"));
    let summary = ingest(&script, goal(OnUnconfirmed::Resend), Rows::new(1..4)).expect("sent again");
    assert_eq!((summary.rows_ingested, summary.rows_unconfirmed, summary.unconfirmed.len()), (3, 0, 0));
    script.finish();

    // The pipeline was paused meanwhile: what is about to be sent again is unconfirmed all the same.
    let (status, paused) = stats(|metrics| metrics["state"] = json!("Paused"));
    let script = first().expect("GET", super::STATS).reply_json(status, paused);
    let error = ingest(&script, goal(OnUnconfirmed::Resend), Rows::new(1..4)).expect_err("paused");
    assert!(matches!(&error.failure, IngestFailure::Flow(error) if cause(error) == Some(&Interruption::Paused)));
    assert_eq!((error.summary.rows_unconfirmed, &*error.summary.unconfirmed), (1, &[2..=2][..]));
    script.finish();
}

/// Before the request is sent its rows are unsent. Afterwards they are unconfirmed, also if its answer is there.
#[test]
fn rows_under_way_when_the_caller_stops_are_handed_back() {
    for is_sent in [false, true] {
        let script = if is_sent { sent(running(), INGRESS, "{\"insert\":1}\n{\"insert\":2}\n") } else { running() };
        let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone());
        let stop = |notice| match notice {
            Notice::Sending { operation, .. } if operation.name == "http_input" && !is_sent => Err("enough"),
            Notice::Answered { operation, .. } if operation.name == "http_input" => Err("enough"),
            _ => Ok(()),
        };
        let error = feldera.ingest_with(Ingest::new("p", "T"), Rows::new(1..3), stop, |_, _| ()).expect_err("stopped");
        assert!(matches!(&error.failure, IngestFailure::Flow(FlowError::Stopped(_))), "{error:?}");
        let (rows, is_unconfirmed) = (error.unsettled[0].rows(), error.unsettled[0].is_unconfirmed());
        assert_eq!((rows, is_unconfirmed, error.unsettled.len()), (0..2, is_sent, 1));
        let unconfirmed = if is_sent { 2 } else { 0 };
        assert_eq!((error.summary.rows_sent, error.summary.rows_unconfirmed), (unconfirmed, unconfirmed));
        script.finish();
    }
}

/// A request that never reached the service waits for its next attempt.
#[test]
fn rows_that_never_left_when_the_caller_stops_are_unsent() {
    let script = running().expect("POST", INGRESS).not_sent();
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone());
    let stop = |notice| if matches!(notice, Notice::Retrying { .. }) { Err("enough") } else { Ok(()) };
    let error = feldera.ingest_with(Ingest::new("p", "T"), Rows::new(1..3), stop, |_, _| ()).expect_err("stopped");
    assert!(matches!(&error.failure, IngestFailure::Flow(FlowError::Stopped(_))), "{error:?}");
    assert_eq!((error.unsettled.len(), error.unsettled[0].is_unconfirmed()), (1, false));
    assert_eq!((error.summary.rows_sent, error.summary.rows_unconfirmed), (0, 0));
    script.finish();
}

type Pushed = std::result::Result<u64, PushError<()>>;

/// A source whose `push` answers something else than the flow.
struct Wrong(u64, fn(&mut Ingestion) -> Pushed);

impl RowSource for Wrong {
    fn advance(&mut self) -> std::result::Result<NextRow, Box<dyn std::error::Error + Send + Sync>> {
        self.0 += 1;
        assert!(self.0 < 10, "it is read without an end");
        Ok(NextRow::Row)
    }

    fn position(&self) -> u64 {
        self.0
    }

    fn push(&mut self, ingestion: &mut Ingestion) -> Pushed {
        (self.1)(ingestion)
    }
}

#[test]
fn a_source_that_answers_wrongly_ends_the_ingestion() {
    let falling: fn(&mut Ingestion) -> Pushed = |flow| Ok(1 - flow.push(1).map_err(PushError::drop_row)?);
    let always_full: fn(&mut Ingestion) -> Pushed =
        |_| Err(PushError::Full { row: (), waiting_rows: 0, waiting_bytes: 0 });
    for wrong in [falling, always_full, |_| Ok(u64::MAX)] {
        let error = ingest(&Script::new(), Ingest::new("p", "T"), Wrong(0, wrong)).expect_err("wrong");
        assert!(matches!(&error.failure, IngestFailure::Flow(FlowError::Misuse(Misuse::WrongRow))), "{error:?}");
    }
}

/// A queue that is empty now and then.
struct Queue(Vec<Option<u64>>, u64);

impl RowSource for Queue {
    fn advance(&mut self) -> std::result::Result<NextRow, Box<dyn std::error::Error + Send + Sync>> {
        self.1 += 1;
        Ok(match self.0.first() {
            None => NextRow::End,
            Some(None) => {
                self.0.remove(0);
                NextRow::Pending
            }
            Some(Some(_)) => NextRow::Row,
        })
    }

    fn position(&self) -> u64 {
        self.1
    }

    fn push(&mut self, ingestion: &mut Ingestion) -> std::result::Result<u64, PushError<()>> {
        let row = ingestion.delete(self.0.first().copied().flatten()).map_err(PushError::drop_row)?;
        self.0.remove(0);
        Ok(row)
    }
}

#[test]
fn what_waits_is_sent_while_the_source_has_nothing() {
    let script = sent(running(), INGRESS, "{\"delete\":1}\n");
    let script = sent(script, INGRESS, "{\"delete\":2}\n").expect("GET", ASK).reply_json(200, COMPLETE);
    let script = recorded(script, "GET", super::STATS, "stats_after_transaction");
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone());
    let mut events = Vec::new();
    let queue = Queue(vec![None, Some(1), None, None, Some(2)], 0);
    let on_event = |event: &IngestEvent, flow: &Ingestion| {
        events.push((matches!(event, IngestEvent::Finished(_)), flow.progress().accepted));
    };
    feldera.ingest_with(Ingest::new("p", "T"), queue, ignore_notices, on_event).expect("ingested");
    assert_eq!(events, [(false, 1), (false, 2), (true, 2)]);
    script.finish();
}

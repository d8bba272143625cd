//! Rows that are pushed while the flow waits for others: an event loop can do that at any step.

use bytes::Bytes;
use http::Response;
use pipewright::feldera::{Ingest, IngestEvent, IngestProgress, Ingestion};
use pipewright::flow::{Flow as _, Step};
use pipewright_mock::{START, Script};
use serde_json::json;

use super::{COMPLETE, TOKEN, start, stats};

/// Answers whatever is asked for, and polls to the next event. Before each request of this name, something is done.
fn next(ingestion: &mut Ingestion, before: &str, mut act: impl FnMut(&mut Ingestion)) -> IngestEvent {
    let mut reply = None;
    loop {
        match ingestion.poll(START, reply.take()) {
            Step::Send(exchange) => {
                let name = exchange.info().name;
                if name == before {
                    act(ingestion);
                }
                let body = match name {
                    "http_input" => TOKEN.to_owned(),
                    "completion_status" => COMPLETE.to_owned(),
                    _ => stats(|_| {}).1,
                };
                reply = Some(exchange.settle(Ok(Response::new(Bytes::from(body)))));
            }
            Step::Notice(_) => {}
            Step::Done(event) => return event.expect("nothing goes wrong"),
            other => panic!("{other:?}"),
        }
    }
}

fn ingestion() -> Ingestion {
    let mut ingestion = start(&Script::new(), Ingest::new("p", "T"));
    ingestion.push(json!(0)).expect("room");
    ingestion
}

fn processed(event: IngestEvent) -> IngestProgress {
    match event {
        IngestEvent::Processed(progress) => progress,
        other => panic!("{other:?}"),
    }
}

fn is_accepted(event: &IngestEvent, row: u64) -> bool {
    matches!(event, IngestEvent::Accepted(accepted) if accepted.rows == (row..row + 1))
}

/// What is pushed after a flush is not said to be processed with what was pushed before.
#[test]
fn a_flush_is_about_what_was_sent() {
    let mut ingestion = ingestion();
    ingestion.flush();
    assert!(is_accepted(&next(&mut ingestion, "", |_| {}), 0));
    let event = next(&mut ingestion, "completion_status", |ingestion| {
        ingestion.push(json!(1)).expect("room");
    });
    let progress = processed(event);
    assert_eq!((progress.pushed, progress.processed_to, progress.waiting), (2, 1, 1));
    ingestion.finish();
    assert!(is_accepted(&next(&mut ingestion, "", |_| {}), 1));
    let event = next(&mut ingestion, "", |_| {});
    assert!(matches!(event, IngestEvent::Finished(progress) if progress.processed_to == 2 && progress.waiting == 0));
}

/// A second flush is about the rows before it, also while the flow waits for the first.
#[test]
fn a_flush_during_a_flush_waits_for_its_own_rows() {
    let mut ingestion = ingestion();
    ingestion.flush();
    assert!(is_accepted(&next(&mut ingestion, "", |_| {}), 0));
    let event = next(&mut ingestion, "completion_status", |ingestion| {
        if ingestion.progress().pushed == 1 {
            ingestion.push(json!(1)).expect("room");
            ingestion.flush();
        }
    });
    assert!(is_accepted(&event, 1), "{event:?}");
    assert_eq!(processed(next(&mut ingestion, "", |_| {})).processed_to, 2);
}

/// A caller that always has more to push still gets the event of a flush.
#[test]
fn a_flush_does_not_wait_for_what_is_pushed_behind_it() {
    let mut ingestion = ingestion();
    let more = |ingestion: &mut Ingestion| {
        ingestion.push(json!(1)).expect("room");
    };
    ingestion.flush();
    assert!(is_accepted(&next(&mut ingestion, "http_input", more), 0));
    let progress = processed(next(&mut ingestion, "http_input", more));
    assert_eq!((progress.processed_to, progress.waiting), (1, 1));
    assert!(is_accepted(&next(&mut ingestion, "http_input", more), 1));
}

/// Rows that are pushed last of all go out before the session is over.
#[test]
fn nothing_is_left_behind_at_the_end() {
    let mut ingestion = ingestion();
    ingestion.flush();
    assert!(is_accepted(&next(&mut ingestion, "", |_| {}), 0));
    let event = next(&mut ingestion, "completion_status", |ingestion| {
        if ingestion.progress().pushed == 1 {
            ingestion.push(json!(1)).expect("room");
            ingestion.finish();
        }
    });
    assert!(is_accepted(&event, 1), "{event:?}");
    let event = next(&mut ingestion, "", |_| {});
    assert!(matches!(event, IngestEvent::Finished(progress) if progress.accepted == 2 && progress.waiting == 0));
}

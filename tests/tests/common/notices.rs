//! The content of notices and observations.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use pipewright::driver::{Canned, Observation, Observed};
use pipewright::error::{FlowError, TransportError};
use pipewright::flink::Flink;
use pipewright::flink::cluster::GetOverview;
use pipewright::flow::Notice;

const OVERVIEW: &str = r#"{"taskmanagers":1,"slots-total":4,"slots-available":3,"jobs-running":1,"jobs-finished":0,
    "jobs-cancelled":0,"jobs-failed":0,"flink-version":"2.3.0","flink-commit":"c0f8d1a"}"#;

fn answers() -> Canned {
    Canned::new([("GET /v1/overview", 503, "starting"), ("GET /v1/overview", 200, OVERVIEW)])
}

#[test]
fn notices_of_a_call_carry_the_operation_the_attempt_and_the_cause() {
    let flink = Flink::new("http://flink.test".parse().expect("a base"), answers());
    let mut seen = Vec::new();
    flink.call_with(GetOverview::new(), |notice| seen.push(notice)).expect("the second attempt");
    let [
        Notice::Sending { operation, attempt: 0, .. },
        Notice::Retrying { attempt: 0, elapsed: Duration::ZERO, cause, .. },
        Notice::Sending { attempt: 1, .. },
        Notice::Answered { attempt: 1, status: StatusCode::OK, .. },
    ] = &*seen
    else {
        panic!("{seen:?}")
    };
    assert_eq!((operation.method.as_str(), operation.path), ("GET", "/overview"));
    assert!(matches!(&**cause, FlowError::Service(error) if error.status() == 503), "{cause:?}");
    assert!(seen[1].to_string().contains(&cause.to_string()));
}

#[test]
fn observed_tells_of_every_attempt() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let runtime = Observed::new(answers(), move |it: &Observation<'_>| {
        log.borrow_mut()
            .push((it.operation.path, it.result.map(|status| status.as_u16()).map_err(TransportError::kind)));
    });
    let flink = Flink::new("http://flink.test".parse().expect("a base"), runtime);
    flink.call(GetOverview::new()).expect("the second attempt");
    assert_eq!(*seen.borrow(), [("/overview", Ok(503)), ("/overview", Ok(200))]);
    flink.call(GetOverview::new()).expect_err("no more answers");
    assert!(matches!(seen.borrow()[2], (_, Err(_))));
}

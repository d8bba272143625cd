//! [`Many`]: each reply reaches its flow, and each flow is polled in time.

use std::fmt;

use bytes::Bytes;
use http::Response;
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::flink::jobs::GetJobStatus;
use pipewright::flink::{FlinkRest, JobId};
use pipewright::flow::{Call, Config, Exchange, Flow, FlowId, Many, ManyStep};
use pipewright::{Seed, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn call(number: u128) -> Call<GetJobStatus> {
    let config = Config::<FlinkRest>::new("http://127.0.0.1:8081".parse().expect("an address"));
    Call::new(GetJobStatus::new(JobId::from_bits(number)), &config, Seed::new(number))
}

fn lost() -> Result<Response<Bytes>, TransportError> {
    Err(TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "the connection broke"))
}

fn running() -> Response<Bytes> {
    Response::new(r#"{"status":"RUNNING"}"#.into())
}

/// Polls on over notices.
fn next<F: Flow>(many: &mut Many<F>, now: Timestamp) -> ManyStep<F::Output> {
    loop {
        match many.poll(now) {
            ManyStep::Notice(..) => {}
            step => return step,
        }
    }
}

fn sent<F: Flow<Output: fmt::Debug>>(many: &mut Many<F>, now: Timestamp) -> (FlowId, Exchange) {
    match next(many, now) {
        ManyStep::Send(id, exchange) => (id, exchange),
        step => panic!("{step:?}"),
    }
}

#[test]
fn each_reply_reaches_its_flow_in_any_order() {
    let mut many = Many::new();
    let ids: Vec<FlowId> = (1..=3).map(|number| many.insert(call(number))).collect();
    let mut exchanges: Vec<_> = ids.iter().map(|_| sent(&mut many, NOW)).collect();
    assert!(matches!(next(&mut many, NOW), ManyStep::Idle { until: Some(at) } if at > NOW));
    exchanges.reverse();
    let mut done = Vec::new();
    for (_, exchange) in exchanges {
        assert!(many.settle(exchange.settle(Ok(running()))).is_none());
        match next(&mut many, NOW) {
            ManyStep::Done(id, Ok(_)) => done.push(id),
            step => panic!("{step:?}"),
        }
    }
    done.reverse();
    assert_eq!(done, ids);
    assert!(matches!(next(&mut many, NOW), ManyStep::Idle { until: None }));
    assert!(many.is_empty());
}

#[test]
fn a_flow_that_waits_is_polled_when_its_time_has_come() {
    let mut many = Many::new();
    many.insert(call(1));
    let (_, exchange) = sent(&mut many, NOW);
    many.settle(exchange.settle(lost()));
    let ManyStep::Idle { until: Some(at) } = next(&mut many, NOW) else { panic!("the flow does not wait") };
    let before = next(&mut many, Timestamp::from_millis(at.as_millis() - 1));
    assert!(matches!(before, ManyStep::Idle { until } if until == Some(at)));
    let _ = sent(&mut many, at);
}

#[test]
fn a_reply_that_was_given_up_comes_back() {
    let mut many = Many::new();
    let id = many.insert(call(1));
    let (_, exchange) = sent(&mut many, NOW);
    let ManyStep::Idle { until: Some(at) } = next(&mut many, NOW) else { panic!("no timeout") };
    let ManyStep::Idle { until: Some(again) } = next(&mut many, at) else { panic!("no pause") };
    let (_, second) = sent(&mut many, again);
    assert!(many.settle(exchange.settle(Ok(running()))).is_some(), "the first attempt was given up");
    assert!(many.settle(second.settle(Ok(running()))).is_none());
    assert!(matches!(next(&mut many, again), ManyStep::Done(done, Ok(_)) if done == id));
}

#[test]
fn a_flow_that_was_taken_out_is_polled_no_more() {
    let mut many = Many::new();
    let id = many.insert(call(1));
    let (_, exchange) = sent(&mut many, NOW);
    assert!(many.remove(id).is_some());
    assert!(many.settle(exchange.settle(Ok(running()))).is_some());
    assert!(matches!(next(&mut many, NOW), ManyStep::Idle { until: None }));
    assert!(many.get_mut(id).is_none());
}

//! The effects of faults: a service that counts shows what was applied.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use pipewright::driver::{Clock as _, NoCredentials, Opened, Transport as _, ignore_notices, run};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::{Effect, Timestamp};
use pipewright_mock::{Fault, FaultKind, FaultPlan, Incident, Mounted, RetryAfter, START, World};

use crate::common::{Counter, add, follow, next_exchange};

const ADDRESS: &str = "http://counting.test";

fn world(plan: FaultPlan) -> (World, Mounted<Counter>) {
    let world = World::new(1);
    world.set_latency(Duration::from_millis(4)..=Duration::from_millis(4));
    world.set_faults(plan);
    let counter = world.mount(ADDRESS.parse().expect("an address"), Counter::default());
    (world, counter)
}

/// The result of an exchange that meets this fault, how long it takes, and how often the service was asked by then.
fn meet(fault: Fault) -> (Result<Response<Bytes>, TransportError>, Duration, usize) {
    let (world, counter) = world(FaultPlan::none().nth(1, fault));
    let exchange = next_exchange(&mut add(ADDRESS, Effect::Once), world.now(), None);
    let result = world.send(&exchange);
    assert_eq!(world.trace().last().and_then(pipewright_mock::Event::fault), Some(fault));
    (result, world.now().since(START), counter.with(|counter| counter.asked.len()))
}

fn failure(fault: Fault) -> (TransportErrorKind, Delivery, Option<u16>, usize) {
    let (result, _, asked) = meet(fault);
    let error = result.expect_err("a transport error");
    assert_eq!(asked == 1, fault.applied(), "{fault}");
    (error.kind(), error.delivery(), error.status().map(|status| status.as_u16()), asked)
}

fn answer(fault: Fault) -> (Response<Bytes>, usize) {
    let (result, _, asked) = meet(fault);
    assert_eq!(asked == 1, fault.applied(), "{fault}");
    (result.expect("an answer"), asked)
}

#[test]
fn each_fault_is_the_transport_error_it_stands_for() {
    use Delivery::{NotSent, Unknown};
    use TransportErrorKind::{Closed, Connect};
    assert_eq!(failure(Fault::NotSent), (Connect, NotSent, None, 0));
    assert_eq!(failure(Fault::ReplyLost), (Closed, Unknown, None, 1));
    assert_eq!(failure(Fault::CutOff), (Closed, Unknown, Some(200), 1));
    let restart = |applied| Fault::Restart { downtime: Duration::from_secs(3), applied };
    assert_eq!(failure(restart(true)), (Closed, Unknown, None, 1));
    assert_eq!(failure(restart(false)), (Closed, Unknown, None, 0));
}

#[test]
fn a_restart_reaches_the_service_and_the_trace() {
    let (world, counter) =
        world(FaultPlan::none().nth_of("add", 2, Fault::Restart { downtime: Duration::from_secs(3), applied: true }));
    for _ in 0..2 {
        let _ = run(add(ADDRESS, Effect::Once), &world, &NoCredentials, ignore_notices);
    }
    let half = Duration::from_millis(2);
    let at = START + Duration::from_millis(4) + half;
    assert_eq!(counter.with(|counter| counter.restarts.clone()), [(at, Duration::from_secs(3))]);
    assert!(world.trace().iter().any(|event| event.at == at && matches!(event.what, Incident::Restart { .. })));
    counter.restart(Duration::from_secs(9));
    assert_eq!(counter.with(|counter| counter.restarts.len()), 2);
}

#[test]
fn rejections_of_a_proxy_are_not_applied() {
    let (response, asked) = answer(Fault::TooManyRequests(RetryAfter::Absent));
    assert_eq!((response.status().as_u16(), response.headers().get(header::RETRY_AFTER), asked), (429, None, 0));
    let (response, _) = answer(Fault::Unavailable(RetryAfter::Seconds(5)));
    assert_eq!((response.status().as_u16(), &response.headers()[header::RETRY_AFTER]), (503, &"5".parse().expect("5")));
    let (response, _) = answer(Fault::Unavailable(RetryAfter::Date(5)));
    let date = response.headers()[header::RETRY_AFTER].to_str().expect("text");
    // The answer comes at 4 ms, and a date has whole seconds.
    assert_eq!(Timestamp::from_http_date(date), Some(START + Duration::from_secs(6)));
    let (response, asked) = answer(Fault::Unauthorized);
    assert_eq!((response.status().as_u16(), asked), (401, 0));
}

#[test]
fn pages_of_a_proxy_are_applied_as_they_say() {
    for status in [StatusCode::OK, StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT] {
        for applied in [true, false] {
            let (response, asked) = answer(Fault::ProxyPage { status, applied });
            assert_eq!((response.status(), asked), (status, usize::from(applied)));
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        }
    }
}

#[test]
fn bodies_are_spoilt_after_the_request_was_applied() {
    assert_eq!(answer(Fault::ShortBody).0.body(), r#"{"add"#);
    assert_eq!(answer(Fault::MalformedBody).0.body(), "{\"add\0: 1}");
}

#[test]
fn delays_are_virtual_and_end_with_the_patience_of_the_flow() {
    let (short, long) = (Duration::from_secs(5), Duration::from_secs(60));
    let (result, took, asked) = meet(Fault::DelayReply(short));
    assert_eq!((result.is_ok(), took, asked), (true, short + Duration::from_millis(4), 1));
    let (result, took, asked) = meet(Fault::DelayReply(long));
    let error = result.expect_err("a timeout");
    assert_eq!((error.kind(), error.delivery()), (TransportErrorKind::Timeout, Delivery::Unknown));
    assert_eq!((took, asked), (Duration::from_secs(30), 1));
    let (result, took, asked) = meet(Fault::DelayRequest(short));
    assert_eq!((result.is_ok(), took, asked), (true, short + Duration::from_millis(4), 1));
}

#[test]
fn a_late_request_is_applied_after_the_timeout() {
    let delay = Duration::from_secs(60);
    let (world, counter) = world(FaultPlan::none().nth(1, Fault::DelayRequest(delay)));
    let exchange = next_exchange(&mut add(ADDRESS, Effect::Once), world.now(), None);
    assert_eq!(world.send(&exchange).expect_err("a timeout").kind(), TransportErrorKind::Timeout);
    assert_eq!(world.now(), START + Duration::from_secs(30));
    assert!(counter.with(|counter| counter.asked.is_empty()));
    world.sleep_until(START + Duration::from_secs(100));
    let arrival = START + delay + Duration::from_millis(2);
    assert_eq!(counter.with(|counter| counter.asked.clone()), [arrival]);
    assert!(world.trace().iter().any(|event| event.at == arrival && matches!(event.what, Incident::Late { .. })));
}

#[test]
fn a_live_body_is_cut_after_its_head() {
    let plan = FaultPlan::none().nth(1, Fault::CutOff).nth(2, Fault::ShortBody).nth(3, Fault::Unauthorized);
    let (world, _) = world(plan);
    let open = || world.open(&next_exchange(&mut follow(ADDRESS), world.now(), None)).expect("an answer");
    let (text, end) = read(open());
    assert_eq!((text.as_str(), end.map(|error| error.kind())), ("a long", Some(TransportErrorKind::Closed)));
    let (text, end) = read(open());
    assert_eq!((text.as_str(), end.is_none()), ("a long", true));
    assert!(matches!(open(), Opened::Rejection(response) if response.status() == 401));
    let (text, end) = read(open());
    assert_eq!((text.as_str(), end.is_none()), ("a long story", true));
}

/// All of a streaming body, and the error at its end.
fn read(opened: Opened) -> (String, Option<TransportError>) {
    let Opened::Streaming(response) = opened else { panic!("a success") };
    let (mut body, mut text, mut buffer) = (response.into_body(), String::new(), [0; 4]);
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return (text, None),
            Ok(length) => text.push_str(std::str::from_utf8(&buffer[..length]).expect("text")),
            Err(error) => return (text, Some(error)),
        }
    }
}

#[test]
fn explicit_faults_are_counted_by_operation_too() {
    let (world, _) = world(FaultPlan::none().nth_of("add", 2, Fault::NotSent).nth_of("other", 1, Fault::ReplyLost));
    for _ in 0..3 {
        run(add(ADDRESS, Effect::Once), &world, &NoCredentials, ignore_notices).expect("not sent is sent again");
    }
    let faults: Vec<_> = world.trace().iter().filter_map(pipewright_mock::Event::operation).collect();
    assert_eq!(faults.len(), 4);
    let faults: Vec<_> = world.trace().iter().filter_map(pipewright_mock::Event::fault).collect();
    assert_eq!(faults, [Fault::NotSent]);
}

#[test]
fn drawn_faults_come_as_often_as_the_plan_says_and_no_longer() {
    let count = |plan: FaultPlan| {
        let (world, _) = world(plan);
        for _ in 0..1000 {
            let exchange = next_exchange(&mut add(ADDRESS, Effect::Once), world.now(), None);
            let _ = world.send(&exchange);
        }
        world.trace().iter().filter(|event| event.fault().is_some()).count()
    };
    assert_eq!(count(FaultPlan::none()), 0);
    assert!((60..150).contains(&count(FaultPlan::flaky(1))));
    assert!((300..450).contains(&count(FaultPlan::hostile(1))));
    assert_eq!(count(FaultPlan::hostile(1).at_most(17)), 17);
    assert_eq!(count(FaultPlan::seeded(1).chance(FaultKind::NotSent, 1.0)), 1000);
    // Not sent takes 2 ms, everything else 4.
    let until = START + Duration::from_millis(20);
    assert_eq!(count(FaultPlan::seeded(1).chance(FaultKind::NotSent, 1.0).until(until)), 10);
}

#[test]
fn every_kind_can_be_drawn_and_says_whether_it_is_applied() {
    for kind in [
        FaultKind::NotSent,
        FaultKind::ReplyLost,
        FaultKind::DelayRequest,
        FaultKind::DelayReply,
        FaultKind::TooManyRequests,
        FaultKind::Unavailable,
        FaultKind::ProxyPage,
        FaultKind::CutOff,
        FaultKind::ShortBody,
        FaultKind::MalformedBody,
        FaultKind::Restart,
        FaultKind::Unauthorized,
        FaultKind::LeaderLost,
    ] {
        let (world, counter) = world(FaultPlan::seeded(3).chance(kind, 1.0));
        for _ in 0..20 {
            let before = counter.with(|counter| counter.asked.len());
            let exchange = next_exchange(&mut add(ADDRESS, Effect::Once), world.now(), None);
            let _ = world.send(&exchange);
            let fault = world.trace().last().and_then(pipewright_mock::Event::fault).expect("one for each");
            assert_eq!(fault.kind(), kind);
            let asked = counter.with(|counter| counter.asked.len()) - before;
            assert_eq!(asked, usize::from(fault.applied()), "{fault}");
        }
    }
}

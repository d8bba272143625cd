//! Virtual time, timeouts, determinism, and many flows on one clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use pipewright::driver::{Clock as _, Entropy as _, NoCredentials, Transport as _, ignore_notices, run};
use pipewright::error::{Delivery, FlowError, TransportErrorKind};
use pipewright::flow::{Call, Flow, Reply, Retry, Step};
use pipewright::{Effect, Seed, Timestamp};
use pipewright_mock::{Event, Fault, FaultPlan, Incident, Mounted, Outcome, START, Service, World};

use crate::common::{Add, Counter, add, config, follow, next_exchange};

const ADDRESS: &str = "http://counting.test";

fn counting(seed: u64) -> (World, Mounted<Counter>) {
    let world = World::new(seed);
    let counter = world.mount(ADDRESS.parse().expect("an address"), Counter::default());
    (world, counter)
}

fn lines(world: &World) -> Vec<String> {
    world.trace().iter().map(ToString::to_string).collect()
}

#[test]
fn an_exchange_takes_its_latency_and_arrives_halfway() {
    let (world, counter) = counting(1);
    world.set_latency(Duration::from_millis(6)..=Duration::from_millis(6));
    run(add(ADDRESS, Effect::Once), &world, &NoCredentials, ignore_notices).expect("no faults");
    assert_eq!(world.now(), START + Duration::from_millis(6));
    assert_eq!(counter.with(|counter| counter.asked.clone()), [START + Duration::from_millis(3)]);
    assert_eq!(lines(&world), ["2026-01-01T00:00:00.006Z #1 POST http://counting.test/add: 200 after 6ms"]);
}

#[test]
fn sleeping_sets_the_clock_forward_and_never_back() {
    let world = World::new(1);
    world.sleep_until(START + Duration::from_secs(3600));
    world.sleep_until(START);
    assert_eq!(world.now(), START + Duration::from_secs(3600));
    assert_eq!(lines(&world), ["2026-01-01T01:00:00.000Z waited 3600s"]);
}

#[test]
fn nothing_is_sent_to_where_nothing_is() {
    let (world, counter) = counting(1);
    for address in ["http://other.test", "http://counting.test:81", "https://counting.test"] {
        let exchange = next_exchange(&mut add(address, Effect::Once), world.now(), None);
        let error = world.send(&exchange).expect_err("nothing there");
        assert_eq!((error.kind(), error.delivery()), (TransportErrorKind::Resolve, Delivery::NotSent), "{address}");
    }
    let exchange = next_exchange(&mut add("http://COUNTING.test:80", Effect::Once), world.now(), None);
    world.send(&exchange).expect("the same address");
    assert_eq!(counter.with(|counter| counter.asked.len()), 1);
}

#[test]
fn a_prefix_is_the_business_of_a_proxy() {
    let world = World::new(1);
    let counter = world.mount("http://proxy.test/count".parse().expect("an address"), Counter::default());
    let send = |address: &str| world.send(&next_exchange(&mut add(address, Effect::Once), world.now(), None));
    assert_eq!(send("http://proxy.test/count").expect("an answer").status(), 200);
    assert_eq!(send("http://proxy.test").expect("an answer").status(), 404);
    assert_eq!(send("http://proxy.test/counter").expect("an answer").status(), 404);
    assert_eq!(counter.with(|counter| counter.paths.clone()), ["/add"]);
}

#[test]
fn a_body_over_the_limit_is_not_read() {
    let (world, _) = counting(1);
    let config = config(ADDRESS).with_body_limit(9);
    let mut call = Call::new(Add::new(Effect::Once), &config, Seed::new(1));
    let error = world.send(&next_exchange(&mut call, world.now(), None)).expect_err("10 bytes");
    assert_eq!((error.kind(), error.status().map(|status| status.as_u16())), (TransportErrorKind::TooLarge, Some(200)));
}

#[test]
fn timeouts_are_the_exchange_s_own() {
    let (world, counter) = counting(1);
    world.set_faults(FaultPlan::none().nth(1, Fault::DelayReply(Duration::from_secs(9))));
    let retry = Retry::never().with_attempt_timeout(Duration::from_secs(2));
    let call = Call::new(Add::new(Effect::Once), &config(ADDRESS).with_retry(retry), Seed::new(1));
    let error = run(call, &world, &NoCredentials, ignore_notices).expect_err("a timeout");
    assert!(error.is_ambiguous());
    assert_eq!(world.now(), START + Duration::from_secs(2));
    assert_eq!(counter.with(|counter| counter.asked.len()), 1);
    let Incident::Exchange { outcome, applied, .. } = &world.trace()[0].what else { panic!("an exchange") };
    assert_eq!(*outcome, Outcome::Failure(TransportErrorKind::Timeout, Delivery::Unknown));
    assert!(applied.is_some());
}

fn hostile_run(seed: u64, faults: u64) -> (Vec<Event>, u128) {
    let (world, _) = counting(seed);
    world.set_faults(FaultPlan::hostile(faults));
    let calls = (0..50).map(|number| Call::new(Add::new(Effect::Idempotent), &config(ADDRESS), Seed::new(number)));
    let results = world.run_all(calls);
    assert!(results.iter().all(Result::is_ok));
    (world.trace(), world.bits())
}

#[test]
fn the_same_seeds_give_the_same_trace() {
    assert_eq!(hostile_run(1, 1), hostile_run(1, 1));
    assert_ne!(hostile_run(1, 1).0, hostile_run(2, 1).0);
    assert_ne!(hostile_run(1, 1).0, hostile_run(1, 2).0);
}

#[test]
fn events_are_shown_as_they_happen_and_the_watcher_may_look_at_the_world() {
    let (world, _) = counting(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, other) = (Arc::clone(&seen), world.clone());
    world.on_event(move |event| sink.lock().expect("no panic").push((event.to_string(), other.now())));
    run(add(ADDRESS, Effect::Once), &world, &NoCredentials, ignore_notices).expect("no faults");
    world.sleep_until(START + Duration::from_secs(1));
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.iter().map(|(line, _)| line.clone()).collect::<Vec<_>>(), lines(&world));
    assert_eq!(seen[1].1, START + Duration::from_secs(1));
}

#[test]
fn a_trace_keeps_the_latest_events() {
    let world = World::new(1);
    world.keep_trace(2);
    (1..=5).for_each(|second| world.sleep_until(START + Duration::from_secs(second)));
    let times: Vec<_> = world.trace().iter().map(|event| event.at.since(START).as_secs()).collect();
    assert_eq!(times, [4, 5]);
}

/// Waits and sends by turns.
struct Walker {
    waits: Vec<u64>,
    call: Option<Call<Add>>,
    at: Timestamp,
}

impl Walker {
    fn new(waits: impl IntoIterator<Item = u64>) -> Self {
        let mut waits: Vec<_> = waits.into_iter().collect();
        waits.reverse();
        Self { waits, call: None, at: START }
    }
}

impl Flow for Walker {
    type Output = Timestamp;

    fn poll(&mut self, now: Timestamp, mut reply: Option<Reply>) -> Step<Timestamp> {
        loop {
            if now < self.at {
                return Step::WaitUntil(self.at);
            }
            if let Some(call) = &mut self.call {
                match call.poll(now, reply.take()) {
                    Step::Send(exchange) => return Step::Send(exchange),
                    Step::WaitUntil(at) => return Step::WaitUntil(at),
                    Step::InFlight { until } => return Step::InFlight { until },
                    Step::Notice(notice) => return Step::Notice(notice),
                    Step::Authorize(request) => return Step::Authorize(request),
                    Step::Stray(reply) => return Step::Stray(reply),
                    Step::Done(result) => {
                        self.call = None;
                        if let Err(error) = result {
                            return Step::Done(Err(error));
                        }
                    }
                }
            }
            match self.waits.pop() {
                Some(millis) => {
                    self.at = now + Duration::from_millis(millis);
                    self.call = Some(add(ADDRESS, Effect::Once));
                }
                None => return Step::Done(Ok(now)),
            }
        }
    }
}

#[test]
fn flows_run_side_by_side_in_the_order_of_virtual_time() {
    let (world, counter) = counting(1);
    world.set_latency(Duration::from_millis(2)..=Duration::from_millis(2));
    // They ask at 100 and 402, at 50, at 300.
    let results = world.run_all([Walker::new([99, 299]), Walker::new([49]), Walker::new([299])]);
    let ended: Vec<_> = results.into_iter().map(|result| result.expect("no faults").since(START).as_millis()).collect();
    assert_eq!(ended, [402, 51, 301]);
    let asked = counter.with(|counter| counter.asked.clone());
    let asked: Vec<_> = asked.into_iter().map(|at| at.since(START).as_millis()).collect();
    assert_eq!(asked, [50, 100, 300, 401]);
    assert_eq!(world.now(), START + Duration::from_millis(402));
}

#[test]
fn the_seed_decides_about_the_order_at_the_same_time() {
    /// Remembers the order of what it is asked.
    #[derive(Default)]
    struct Order(Vec<String>);
    impl Service for Order {
        fn handle(&mut self, _now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
            self.0.push(String::from_utf8_lossy(request.body()).into_owned());
            Response::new(Bytes::new())
        }
    }
    let order = |seed| {
        let world = World::new(seed);
        world.set_latency(Duration::from_millis(2)..=Duration::from_millis(2));
        let service = world.mount(ADDRESS.parse().expect("an address"), Order::default());
        let calls = ["a", "b", "c", "d", "e", "f"].map(|text| {
            let operation = Add { effect: Effect::Once, text };
            Call::new(operation, &config(ADDRESS), Seed::new(1))
        });
        assert!(world.run_all(calls).iter().all(Result::is_ok));
        service.with(|order| order.0.concat())
    };
    assert_eq!(order(1), order(1));
    assert!((2..6).any(|seed| order(seed) != order(1)));
}

#[test]
fn ten_thousand_flows_on_one_thread() {
    let (world, counter) = counting(1);
    world.set_faults(FaultPlan::flaky(1));
    let calls = (0..10_000).map(|number| Call::new(Add::new(Effect::Idempotent), &config(ADDRESS), Seed::new(number)));
    assert!(world.run_all(calls).iter().all(Result::is_ok));
    assert!(counter.with(|counter| counter.asked.len()) >= 10_000);
}

#[test]
fn boxed_flows_of_several_kinds_and_their_notices() {
    let (world, _) = counting(1);
    let flows: Vec<Box<dyn Flow<Output = Timestamp>>> = vec![Box::new(Walker::new([5])), Box::new(Walker::new([]))];
    let mut notices = [0, 0];
    let results = world.run_all_with(flows, &NoCredentials, |flow, _notice| notices[flow] += 1);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(notices, [2, 0]);
}

#[test]
fn a_loop_of_one_s_own() {
    let (world, _) = counting(1);
    world.set_latency(Duration::from_millis(4)..=Duration::from_millis(4));
    let mut calls = [add(ADDRESS, Effect::Once), add(ADDRESS, Effect::Once)];
    let first = world.submit(next_exchange(&mut calls[0], world.now(), None));
    world.sleep_until(START + Duration::from_millis(1));
    let second = world.submit(next_exchange(&mut calls[1], world.now(), None));
    assert!(world.next_reply(START + Duration::from_millis(3)).is_none());
    // A caller that blocks does not take away a reply.
    run(add(ADDRESS, Effect::Once), &world, &NoCredentials, ignore_notices).expect("no faults");
    for (call, sent) in calls.iter_mut().zip([first, second]) {
        let (pending, reply) = world.next_reply(Timestamp::MAX).expect("on its way");
        assert_eq!(pending, sent);
        assert!(matches!(call.poll(world.now(), Some(reply)), Step::Notice(_)));
        assert!(matches!(call.poll(world.now(), None), Step::Done(Ok(_))));
    }
    assert_eq!(world.now(), START + Duration::from_millis(7));
}

#[test]
fn a_failed_flow_does_not_stop_the_others() {
    let (world, _) = counting(1);
    world.set_faults(FaultPlan::none().nth(1, Fault::ReplyLost));
    let results = world.run_all([Walker::new([1]), Walker::new([20])]);
    assert!(matches!(results[0], Err(FlowError::Ambiguous(_))));
    assert!(results[1].is_ok());
}

#[test]
fn live_exchanges_are_opened_and_not_submitted() {
    let (world, _) = counting(1);
    let mut call = follow(ADDRESS);
    world.submit(next_exchange(&mut call, world.now(), None));
    let (_, reply) = world.next_reply(Timestamp::MAX).expect("on its way");
    let Step::Done(Err(error)) = call.poll(world.now(), Some(reply)) else { panic!("not supported") };
    assert!(error.to_string().contains("is opened, and not submitted"), "{error}");
    let results = world.run_all([follow(ADDRESS)]);
    assert!(matches!(results[0], Err(FlowError::Misuse(_))));
}

//! Flows under generated faults, answers and schedules; and flows that break their contract.

use std::time::Duration;

use pipewright::driver::{Clock as _, NoCredentials};
use pipewright::error::{Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::flink::checkpoints::GetCheckpoints;
use pipewright::flink::jars::ListJars;
use pipewright::flink::jobs::{GetJob, GetJobsOverview};
use pipewright::flink::savepoints::{GetSavepointStatus, StartSavepoint};
use pipewright::flink::{AwaitJob, Flink, FlinkRest, JobId, RunJar, TakeSavepoint, TriggerId};
use pipewright::flow::{Call, Config, Flow, Goal, Reply, Step};
use pipewright::{Effect, Operation, Seed, Timestamp};
use pipewright_mock::flink::{Config as Cluster, Program};
use pipewright_mock::schedule::{Schedule, Turn, class_of};
use pipewright_mock::{Fault, FaultKind, FaultPlan, START, World, strategies};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::common::{Counter, add};

const ADDRESS: &str = "http://counting.test";

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn counted(effect: Effect, plan: &FaultPlan, schedule: &Schedule) -> (&'static str, usize) {
    let world = World::new(1);
    let counter = world.mount(ADDRESS.parse().expect("an address"), Counter::default());
    world.set_faults(plan.clone());
    let result = world.run_with_schedule(add(ADDRESS, effect), &NoCredentials, schedule);
    // What is still under way arrives.
    world.sleep_until(world.now() + Duration::from_secs(120));
    (class_of(&result), counter.with(|counter| counter.asked.len()))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_schedule_changes_what_a_call_comes_to(
        plan in strategies::fault_plan_of(strategies::fault()),
        schedule in strategies::schedule(),
        effect in prop::sample::select(vec![Effect::Safe, Effect::Idempotent, Effect::Fenced, Effect::Once]),
    ) {
        prop_assert_eq!(counted(effect, &plan, &schedule), counted(effect, &plan, &Schedule::default()));
    }

    #[test]
    fn any_answer_is_read_or_rejected(reply in strategies::reply(), effect in 0..7_u8) {
        let job = JobId::from_bits(7);
        let class = match effect {
            0 => answered(GetJob::new(job), &reply),
            1 => answered(GetJobsOverview::new(), &reply),
            2 => answered(GetCheckpoints::new(job), &reply),
            3 => answered(ListJars::new(), &reply),
            4 => answered(GetSavepointStatus::new(job, TriggerId::from_bits(8)), &reply),
            5 => answered(StartSavepoint::new(job), &reply),
            _ => answered(pipewright::flink::jobs::GetJobStatus::new(job), &reply),
        };
        prop_assert!(["done", "service", "transport", "ambiguous"].contains(&class), "{}", class);
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_savepoint_is_taken_once_under_any_plan_and_schedule(
        plan in strategies::fault_plan(),
        schedule in strategies::schedule(),
    ) {
        let world = World::new(1);
        let cluster = world.flink("http://flink.test:8081".parse().expect("an address"), Cluster::default());
        let flink = Flink::new(cluster.base(), world.clone());
        let job = flink.run(RunJar::upload("a.jar", Program::endless("a").jar())).expect("no faults yet").job;
        let _ = flink.run(AwaitJob::running(job)).expect("no faults yet");
        // It may forget the trigger, so that it takes another savepoint for the same id.
        let forgets = format!("{plan:?}").contains("Restart");
        world.set_faults(plan);
        let goal = TakeSavepoint::new(job).target_directory("file:///savepoints");
        let flow = goal.start(&Config::<FlinkRest>::new(cluster.base()), Seed::new(1));
        let result = world.run_with_schedule(flow, &NoCredentials, &schedule);
        let taken = cluster.with(|cluster| cluster.savepoints().len());
        prop_assert!(taken <= 1 || forgets, "{} savepoints: {:?}", taken, result);
        prop_assert!(taken == 1 || result.is_err() || forgets, "{} savepoints: {:?}", taken, result);
        prop_assert!(result.is_ok() || forgets, "{:?}", result);
        prop_assert!(matches!(class_of(&result), "done" | "ambiguous" | "failed"), "{:?}", result);
    }
}

/// The result of a call that gets this for an answer every time.
fn answered<O>(operation: O, reply: &Result<http::Response<bytes::Bytes>, TransportError>) -> &'static str
where
    O: Operation<Service = FlinkRest>,
{
    let config = Config::new("http://flink.test:8081".parse().expect("an address"));
    let mut call = Call::new(operation, &config, Seed::new(1));
    let (mut now, mut next) = (START, None);
    loop {
        match call.poll(now, next.take()) {
            Step::Send(exchange) => next = Some(exchange.settle(reply.clone())),
            Step::WaitUntil(at) => now = at,
            Step::Notice(_) => {}
            Step::Done(result) => return class_of(&result),
            _ => unreachable!("it waits for nothing else"),
        }
    }
}

/// The smallest failing value that is found.
fn smallest<S: Strategy>(strategy: S, fails: impl Fn(&S::Value) -> bool) -> S::Value {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(ProptestConfig { cases: 10_000, ..cases(0) }, rng);
    let test = |value| if fails(&value) { Err(TestCaseError::fail("it does")) } else { Ok(()) };
    match runner.run(&strategy, test) {
        Err(TestError::Fail(_, smallest)) => smallest,
        other => panic!("nothing fails: {other:?}"),
    }
}

#[test]
fn shrinking_ends_with_what_is_simple() {
    assert_eq!(smallest(strategies::fault(), |_| true), Fault::NotSent);
    assert_eq!(smallest(strategies::fault(), |fault| fault.applied()), Fault::ReplyLost);
    let delay = smallest(strategies::fault(), |fault| fault.kind() == FaultKind::DelayReply);
    assert_eq!(delay, Fault::DelayReply(Duration::from_millis(50)));

    let lost = |plan: &FaultPlan| format!("{plan:?}").contains("ReplyLost");
    let plan = smallest(strategies::fault_plan(), lost);
    assert_eq!(format!("{plan:?}"), format!("{:?}", FaultPlan::none().nth(1, Fault::ReplyLost)));

    let schedule = smallest(strategies::schedule(), |schedule| schedule.turns().contains(&Turn::Stray));
    assert_eq!(schedule, Schedule::new([Turn::Stray]));

    let reply = smallest(strategies::reply_like([r#"{"a":1}"#, "{}"]), |_| true).expect("an answer");
    assert_eq!((reply.status().as_u16(), &reply.body()[..]), (200, &br#"{"a":1}"#[..]));
    assert_eq!(reply.headers().get("content-type").expect("of its own"), "application/json");
    assert_eq!(reply.headers().len(), 1);
    let error = smallest(strategies::reply(), Result::is_err).expect_err("no answer");
    assert_eq!((error.kind(), error.delivery()), (TransportErrorKind::Connect, Delivery::NotSent));
}

#[test]
fn answers_are_hostile_in_every_way() {
    let like = || strategies::reply_like([r#"{"a":{"b":[1,2]}}"#]);
    let body = |wanted: fn(&str) -> bool| {
        let found = smallest(like(), |reply| {
            reply.as_ref().is_ok_and(|response| std::str::from_utf8(response.body()).is_ok_and(wanted))
        });
        String::from_utf8(found.expect("an answer").body().to_vec()).expect("text")
    };
    assert!(body(|text| text.starts_with("[[[[")).ends_with("]]]]"));
    assert!(!body(|text| text.contains("1e400")).is_empty());
    assert_eq!(body(str::is_empty), "");
    assert!(body(|text| text.starts_with('<')).starts_with("<!DOCTYPE"));
    assert!(
        body(|text| text.starts_with(r#"{"a""#) && serde_json::from_str::<serde_json::Value>(text).is_err()).len() > 3
    );
    assert!(body(|text| text.len() > 50_000 && text.contains("xxx")).len() > 50_000);
    let late = |reply: &Result<http::Response<_>, _>| {
        reply.as_ref().is_ok_and(|response| response.headers().get("retry-after").is_some_and(|value| value == "soon"))
    };
    assert!(smallest(like(), late).is_ok());
}

/// A call that breaks its contract in one way.
struct Broken<F> {
    call: F,
    out: bool,
    how: How,
    failures: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    TakesEveryReply,
    SendsWhenPolled,
    FailsDifferently,
}

impl<F: Flow> Flow for Broken<F> {
    type Output = F::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<F::Output> {
        if self.how == How::SendsWhenPolled && self.out && reply.is_none() {
            return Step::Done(Err(FlowError::Transport(TransportError::new(
                TransportErrorKind::Other,
                Delivery::Unknown,
                "polled",
            ))));
        }
        self.out &= reply.is_none();
        match self.call.poll(now, reply) {
            Step::Stray(_) if self.how == How::TakesEveryReply => Step::InFlight { until: now },
            Step::Done(Err(_)) if self.how == How::FailsDifferently => {
                self.failures += 1;
                let message = format!("failure {}", self.failures);
                Step::Done(Err(TransportError::new(TransportErrorKind::Other, Delivery::Unknown, message).into()))
            }
            step => {
                self.out |= matches!(step, Step::Send(_));
                step
            }
        }
    }
}

fn broken(how: How, turn: Turn) {
    let world = World::new(1);
    world.mount(ADDRESS.parse().expect("an address"), Counter::default());
    match (how, turn) {
        (How::FailsDifferently, _) => world.set_faults(FaultPlan::none().nth(1, Fault::ReplyLost)),
        // Its reply comes when it waits no more.
        (_, Turn::Late(_)) => {
            world.set_faults(FaultPlan::none().nth(1, Fault::DelayReply(Duration::from_secs(60))));
        }
        _ => {}
    }
    let flow = Broken { call: add(ADDRESS, Effect::Once), out: false, how, failures: 0 };
    let _ = world.run_with_schedule(flow, &NoCredentials, &Schedule::new([turn, turn]));
}

#[test]
#[should_panic(expected = "the flow accepted a reply of another flow: InFlight")]
fn a_flow_that_takes_every_reply() {
    broken(How::TakesEveryReply, Turn::Stray);
}

#[test]
#[should_panic(expected = "the flow accepted a reply of another flow: InFlight")]
fn a_flow_that_takes_late_replies() {
    broken(How::TakesEveryReply, Turn::Late(Duration::from_millis(1)));
}

#[test]
#[should_panic(expected = "the flow advanced because of an additional poll: Done after InFlight")]
fn a_flow_that_goes_on_when_it_is_polled() {
    broken(How::SendsWhenPolled, Turn::Again(1));
}

#[test]
#[should_panic(expected = "the flow advanced because of an additional poll: Done after InFlight")]
fn a_flow_that_goes_on_when_it_is_polled_early() {
    broken(How::SendsWhenPolled, Turn::Early(0));
}

#[test]
#[should_panic(expected = "the flow failed with another error when it was polled again")]
fn a_flow_that_fails_differently() {
    broken(How::FailsDifferently, Turn::Again(2));
}

#[test]
fn turns_take_the_time_they_say() {
    let time = |turns: &[Turn], fault: Option<Fault>| {
        let world = World::new(1);
        world.set_latency(Duration::from_millis(10)..=Duration::from_millis(10));
        world.mount(ADDRESS.parse().expect("an address"), Counter::default());
        world.set_faults(fault.map_or(FaultPlan::none(), |fault| FaultPlan::none().nth(1, fault)));
        let schedule = Schedule::new(turns.iter().copied());
        let result = world.run_with_schedule(add(ADDRESS, Effect::Safe), &NoCredentials, &schedule);
        assert!(result.is_ok(), "{result:?}");
        world.now().since(START).as_millis()
    };
    let late = |millis| Turn::Late(Duration::from_millis(millis));
    assert_eq!(time(&[], None), 10);
    assert_eq!(time(&[Turn::Again(3)], None), 10);
    assert_eq!(time(&[Turn::Stray], None), 10);
    assert_eq!(time(&[Turn::Early(50)], None), 10);
    assert_eq!(time(&[late(500)], None), 510);
    // However late, in time for the flow.
    assert_eq!(time(&[late(500_000)], None), 29_999);
    let (lost, timed_out) = (Some(Fault::ReplyLost), Some(Fault::DelayReply(Duration::from_secs(60))));
    let wait = time(&[], lost) - 20;
    assert_eq!(time(&[Turn::Prompt, late(500)], lost), 520 + wait);
    // Then the reply comes when the flow no longer waits for it, and changes nothing.
    assert_eq!(time(&[late(500)], timed_out), time(&[], timed_out));
}

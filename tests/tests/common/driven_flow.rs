//! `Client::start`, and the types that can be a runtime.

use std::sync::Arc;
use std::time::Duration;

use pipewright::driver::{Canned, Client, Clock as _, Credentials, Runtime, credentials_fn};
use pipewright::error::FlowError;
use pipewright::flink::cluster::GetOverview;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{Flink, FlinkRest, JobEvent, JobId, RunJar, WatchJob};
use pipewright::flow::Notice;
use pipewright::{Secret, Timestamp};
use pipewright_mock::World;
use pipewright_mock::flink::{Config, Program};

const OVERVIEW: &str = r#"{"taskmanagers":1,"slots-total":4,"slots-available":3,"jobs-running":1,"jobs-finished":0,
    "jobs-cancelled":0,"jobs-failed":0,"flink-version":"2.3.0","flink-commit":"c0f8d1a"}"#;

fn watched() -> (World, Flink<World>, JobId) {
    let world = World::new(5);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let job = flink.run(RunJar::upload("a.jar", Program::bounded("a", 500).jar())).expect("submitted").job;
    (world, flink, job)
}

#[test]
fn next_yields_every_event_and_then_none() {
    let (_world, flink, job) = watched();
    let mut notices = 0;
    let mut watch = flink.start_with(WatchJob::new(job), |_: Notice| notices += 1);
    let mut events = Vec::new();
    while let Some(event) = watch.next().expect("no fault") {
        events.push(event);
    }
    assert!(matches!(events.last(), Some(JobEvent::Ended(_))), "{events:?}");
    assert!(events.contains(&JobEvent::State(JobState::Finished)));
    assert!(watch.has_ended());
    assert!(watch.next().expect("it has ended").is_none());
    assert!(watch.next_ready().expect("it has ended").is_none());
    drop(watch);
    assert!(notices > 0);
}

#[test]
fn next_before_returns_none_until_there_is_an_event() {
    let (world, flink, job) = watched();
    let mut watch = flink.start(WatchJob::new(job));
    let early = watch.next_before(Timestamp::UNIX_EPOCH).expect("no fault");
    assert!(matches!(early, Some(JobEvent::State(_))), "the first request is sent at once: {early:?}");
    let start = world.now();
    assert!(watch.next_ready().expect("no fault").is_none());
    assert!(!watch.has_ended());
    assert!(world.now().since(start) < Duration::from_secs(1), "it does not wait for the next poll");
    let flow = watch.into_flow();
    assert!(format!("{flow:?}").contains("WatchJob"));
}

#[test]
fn an_error_ends_a_driven_flow() {
    let (_world, flink, _) = watched();
    let mut watch = flink.start(WatchJob::new(JobId::from_bits(77)));
    assert!(matches!(watch.next(), Err(FlowError::Service(_))));
    assert!(watch.next().expect("it has ended").is_none());
}

#[test]
fn a_listener_stops_a_driven_flow() {
    let (_world, flink, job) = watched();
    let mut watch = flink.start_with(WatchJob::new(job), |_: Notice| Err("full disk"));
    assert!(matches!(watch.next(), Err(FlowError::Stopped(reason)) if reason == "full disk"));
    assert!(watch.has_ended());
}

#[test]
fn pointers_to_a_runtime_are_runtimes() {
    fn slots(runtime: impl Runtime) -> u32 {
        let flink: Client<FlinkRest, _> = Flink::new("https://flink.test".parse().expect("a base"), runtime);
        flink.call(GetOverview::new()).expect("answered").slots_total.expect("a number")
    }
    let answers = || Canned::new([("GET /v1/overview", 200, OVERVIEW)]);
    assert_eq!(slots(answers()), 4);
    let by_reference: &Canned = &answers();
    assert_eq!(slots(by_reference), 4);
    assert_eq!(slots(Arc::new(answers())), 4);
    assert_eq!(slots(Box::new(answers())), 4);
    assert_eq!(slots(Box::new(answers()) as Box<dyn Runtime>), 4);
    assert_eq!(slots(&answers() as &dyn Runtime), 4);
}

#[test]
fn clones_of_a_client_share_credentials() {
    let runtime = Arc::new(Canned::new([("GET /v1/overview", 200, OVERVIEW), ("GET /v1/overview", 200, OVERVIEW)]));
    let credentials: Arc<dyn Credentials + Send + Sync> = Arc::new(credentials_fn(|_, _| Secret::new("t").bearer()));
    let flink = Flink::new("https://flink.test".parse().expect("a base"), Arc::clone(&runtime));
    let flink = flink.with_credentials(credentials);
    let other = flink.clone();
    let calls = [flink, other].map(|client| std::thread::spawn(move || client.call(GetOverview::new()).map(drop)));
    for call in calls {
        call.join().expect("no panic").expect("answered");
    }
    assert_eq!(runtime.left(), 0);
}

#[test]
fn canned_names_the_request_that_it_did_not_expect() {
    let runtime = Canned::new([("GET /v1/config", 200, "{}")]);
    let flink = Flink::new("https://flink.test".parse().expect("a base"), &runtime);
    let error = flink.call(GetOverview::new()).expect_err("another request").to_string();
    assert!(error.starts_with("expected GET /v1/config, got GET /v1/overview"), "{error}");
    let error = flink.call(GetOverview::new()).expect_err("no answer").to_string();
    assert!(error.starts_with("expected no more requests, got GET /v1/overview"), "{error}");
}

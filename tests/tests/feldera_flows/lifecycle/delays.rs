//! The error of an expired deadline says what the flow was waiting for.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::feldera::data::{CommitTransaction, StartTransaction};
use pipewright::feldera::{Deploy, Feldera, FelderaApi, Stop};
use pipewright::flow::{Goal, Notice};
use pipewright::operation::OperationInfo;
use pipewright_mock::feldera::{Config, Edition};
use pipewright_mock::{Script, World};
use pipewright_tests::recorded::Recorded;
use serde_json::json;

use super::{STOP, Scripted as _, is, play, play_patiently, recorded, with};

const SQL: &str = "CREATE TABLE t (id BIGINT NOT NULL);";

/// A pipeline that runs, of the edition that makes checkpoints.
fn running() -> Feldera<World> {
    let world = World::new(1);
    let config = Config { edition: Edition::Enterprise, ..Config::default() };
    let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), config);
    let feldera = Feldera::new(service.base(), world);
    feldera.run(Deploy::new("p", SQL)).expect("it runs");
    feldera
}

fn observed<G: Goal<Service = FelderaApi>>(feldera: &Feldera<World>, goal: G) -> String
where
    G::Output: std::fmt::Debug,
{
    let error = feldera.run(goal).expect_err("it takes longer");
    let FlowError::Deadline { observed: Some(observed), .. } = &error else { panic!("{error:?}") };
    assert!(error.to_string().contains(observed.as_str()), "{error}");
    observed.clone()
}

#[test]
fn a_stop_that_is_delayed_names_the_open_transaction() {
    let feldera = running();
    feldera.call(StartTransaction::new("p")).expect("open");
    let seen = observed(&feldera, Stop::new("p").timeout(Duration::from_secs(10)));
    assert_eq!(seen, "stop of pipeline p: delayed: a transaction is open");
    // It is said on the way, too, and once; and when the transaction is over, the pipeline stops.
    let mut said = Vec::new();
    let colleague = Feldera::with_config(feldera.config().clone(), feldera.runtime().clone());
    let begun = feldera.runtime().now();
    let stopped = feldera.run_with(Stop::new("p"), |notice| {
        if let Notice::Observed { state, .. } = &notice
            && state.starts_with("delayed")
        {
            said.push(state.clone());
            colleague.call(CommitTransaction::new("p")).expect("committed");
        }
    });
    assert!(stopped.expect("stopped").checkpoint.is_some());
    assert_eq!(said, ["delayed: a transaction is open"]);
    assert!(feldera.runtime().now().since(begun) < Duration::from_secs(10));
}

#[test]
fn a_stop_without_a_delay_asks_nobody_why() {
    let feldera = running();
    feldera.run(Stop::new("p")).expect("stopped");
    let script = Script::new()
        .sees(is("Running", "Running"))
        .does("POST", STOP, "stop_noforce_accepted")
        .sees(is("Running", "Suspended"))
        .sees(recorded("get_stopped_storage_in_use"));
    assert!(play(&script, Stop::new("p")).is_ok());
}

/// The process may have ended just now, or know nothing: the flow continues to wait.
#[test]
fn statistics_that_cannot_be_read_do_not_end_a_stop() {
    let mut script = Script::new().sees(is("Running", "Running")).does("POST", STOP, "stop_noforce_accepted");
    // At 0, 50, 150, 350, 750 ms and 1.55 s.
    for _ in 0..6 {
        script = script.sees(is("Running", "Suspended"));
    }
    let suspended = json!({ "message": "suspended", "error_code": "Suspended", "details": null });
    let script = script
        .expect("GET", "/v0/pipelines/p/stats")
        .reply_json(503, suspended)
        .sees(with(is("Stopping", "Stopped"), "deployment_id", json!(null)))
        .sees(recorded("get_stopped_storage_in_use"));
    assert!(play(&script, Stop::new("p")).is_ok());
}

/// 503 with `Retry-After` from a process that has just ended is not waited out: another client may start the pipeline
/// in that time, and the checkpoint of the stop would be told as a failure.
#[test]
fn the_end_of_a_stop_is_seen_although_the_process_is_asked() {
    let mut script = Script::new().sees(is("Running", "Running")).does("POST", STOP, "stop_noforce_accepted");
    for _ in 0..6 {
        script = script.sees(is("Running", "Suspended"));
    }
    let script = script
        .expect("GET", "/v0/pipelines/p/stats")
        .reply_header("retry-after", "5")
        .reply_json(503, recorded("stopped_post_pause"))
        .sees(recorded("get_stopped_storage_in_use"));
    let start = script.now();
    assert!(play_patiently(&script, Stop::new("p")).is_ok());
    assert!(script.now().since(start) < Duration::from_secs(5));
}

/// Nor does a process that hangs hide the end for longer than the pause between two polls.
#[test]
fn a_process_that_hangs_does_not_hide_the_end_of_a_stop() {
    let mut looks = Vec::new();
    let answer = |name: &str, _: &str| match name {
        "get_pipeline" => Some((200, is("Running", "Suspended").to_string())),
        other => panic!("{other}"),
    };
    let feldera = Feldera::new(
        "http://feldera.test".parse().expect("a base"),
        Recorded::new(answer).hanging("get_pipeline_stats"),
    );
    let goal = Stop::new("p").timeout(Duration::from_secs(60));
    let result = feldera.run_with(goal, |notice| {
        if matches!(notice, Notice::Sending { operation: OperationInfo { name: "get_pipeline", .. }, .. }) {
            looks.push(feldera.runtime().now());
        }
    });
    assert!(matches!(result, Err(FlowError::Deadline { .. })));
    assert!(looks.windows(2).all(|pair| pair[1].since(pair[0]) < Duration::from_secs(5)), "{looks:?}");
}

#[test]
fn the_status_that_was_seen_last_is_named() {
    let mut script = Script::new();
    for _ in 0..5 {
        script = script.sees(is("Stopping", "Stopped"));
    }
    let error = play(&script, Stop::new("p").timeout(Duration::from_secs(1))).expect_err("it takes longer");
    assert!(
        error.to_string().ends_with("the pipeline to stop; last observed: pipeline p: Stopping, desired Stopped"),
        "{error}"
    );
}

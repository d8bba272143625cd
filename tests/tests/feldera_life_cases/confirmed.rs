//! Goals that say that a pipeline is up: the manager's word alone does not prove it.

use std::time::Duration;

use pipewright::error::FlowError;
use pipewright::feldera::flow::Interruption;
use pipewright::feldera::pipelines::{DesiredStatus, Pipeline};
use pipewright::feldera::{ApproveBootstrap, Deploy, EnsurePaused, EnsureRunning, ErrorCode, Feldera, error_code};
use pipewright_mock::feldera::{Config, Manager};
use pipewright_mock::{Script, World};
use pipewright_tests::fake::{Fake, feldera};
use serde_json::json;

use super::{STATS, Scripted as _, interruption, is, play};

const SQL: &str = "CREATE TABLE t (x INT);";

/// Deploys a pipeline in a world of its own, lets something happen to its process, and runs a goal at once.
fn after(
    harm: impl FnOnce(&mut Manager),
    goal: impl FnOnce(&Feldera<World>) -> Result<Pipeline, FlowError>,
) -> Result<Pipeline, FlowError> {
    after_deployed(Deploy::new("p", SQL), harm, goal)
}

fn after_deployed(
    deploy: Deploy,
    harm: impl FnOnce(&mut Manager),
    goal: impl FnOnce(&Feldera<World>) -> Result<Pipeline, FlowError>,
) -> Result<Pipeline, FlowError> {
    let world = World::new(7);
    let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), Config::default());
    let feldera = Feldera::new(service.base(), world);
    feldera.run(deploy).expect("it is up");
    service.with(harm);
    let result = goal(&feldera);
    if result.is_ok() {
        assert!(service.with(|manager| manager.pipeline("p")).expect("it is there").answers, "{result:?}");
    }
    result
}

#[track_caller]
fn crashed(result: Result<Pipeline, FlowError>) -> ErrorCode {
    match interruption(result) {
        Interruption::Crashed(error) => error.error_code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pipeline_whose_process_was_killed_is_not_said_to_run() {
    let kill = |manager: &mut Manager| manager.kill("p");
    assert_eq!(crashed(after(kill, |feldera| feldera.run(EnsureRunning::new("p")))), ErrorCode::RunnerCheckError);
    let deploy = |feldera: &Feldera<World>| feldera.run(Deploy::new("p", SQL)).map(|deployed| deployed.pipeline);
    assert_eq!(crashed(after(kill, deploy)), ErrorCode::RunnerCheckError);
    assert_eq!(crashed(after(kill, |feldera| feldera.run(ApproveBootstrap::new("p")))), ErrorCode::RunnerCheckError);
}

#[test]
fn a_paused_pipeline_whose_process_was_killed_is_not_said_to_be_paused() {
    let paused = Deploy::new("p", SQL).paused(true);
    let kill = |manager: &mut Manager| manager.kill("p");
    let result = after_deployed(paused, kill, |feldera| feldera.run(EnsurePaused::new("p")));
    assert_eq!(crashed(result), ErrorCode::RunnerCheckError);
}

#[test]
fn a_pipeline_whose_process_panicked_is_not_said_to_run() {
    for report in [false, true] {
        let panic = |manager: &mut Manager| {
            if report { manager.report_panic("p", "no") } else { manager.panic("p", "no") }
        };
        assert_eq!(crashed(after(panic, |feldera| feldera.run(EnsureRunning::new("p")))), ErrorCode::WorkerPanic);
    }
}

/// A process that does not answer for some time and then does is up.
#[test]
fn a_frozen_process_is_waited_for() {
    for seconds in [3, 20] {
        let freeze = |manager: &mut Manager| manager.freeze("p", Duration::from_secs(seconds));
        after(freeze, |feldera| feldera.run(EnsureRunning::new("p"))).expect("it comes back");
    }
}

/// The runner has not seen a pause yet: the process knows better, and the next looks show it.
#[test]
fn the_state_of_the_process_counts() {
    let script = Script::new()
        .sees(is("Running", "Running"))
        .answers("Paused")
        .sees(is("Running", "Running"))
        .answers("Paused")
        .sees(is("Paused", "Paused"));
    let overruled = Interruption::Overruled { desired: DesiredStatus::Paused };
    assert_eq!(interruption(play(&script, EnsureRunning::new("p"))), overruled);
}

/// After ten seconds the runner has asked the process: what they call its state may differ.
#[test]
fn a_state_of_another_name_does_not_keep_a_flow_for_ever() {
    let mut script = Script::new();
    // At 0, 50, 150, 350, 750 ms, 1.55 s and then each two seconds.
    for _ in 0..11 {
        script = script.sees(is("Running", "Running")).answers("Paused");
    }
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

/// A process that only the runner can reach is not waited for without an end.
#[test]
fn a_process_that_never_answers_is_an_error_after_a_minute() {
    let (status, refusal) = feldera("frozen_stats");
    let answer = move |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some((status, refusal.clone())),
        _ => Some((200, is("Running", "Running").to_string())),
    };
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), Fake::new(answer));
    let start = pipewright::drive::Clock::now(feldera.runtime());
    let error = feldera.run(EnsureRunning::new("p")).expect_err("it does not answer");
    assert_eq!(error.service().and_then(error_code), Some(ErrorCode::PipelineInteractionUnreachable));
    let took = pipewright::drive::Clock::now(feldera.runtime()).since(start);
    assert!((60..70).contains(&took.as_secs()), "{took:?}");
}

/// A rejection that says nothing about the process is the end.
#[test]
fn a_confirmation_that_is_not_allowed_is_an_error() {
    let refusal = json!({ "message": "no", "error_code": "InsufficientPermissions", "details": null });
    let script = Script::new().sees(is("Running", "Running")).expect("GET", STATS).reply_json(403, refusal);
    let error = play(&script, EnsureRunning::new("p")).expect_err("nobody knows");
    assert_eq!(error.service().and_then(error_code), Some(ErrorCode::InsufficientPermissions));
}

//! Goals that report a running pipeline: the status that the manager shows is not a proof.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::feldera::pipelines::{DesiredStatus, Pipeline};
use pipewright::feldera::{
    ApproveBootstrap, Deploy, EnsurePaused, EnsureRunning, ErrorCode, Feldera, Interruption, error_code,
};
use pipewright_mock::feldera::{Config, Manager};
use pipewright_mock::{Script, World};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::json;

use super::{STATS, Scripted as _, interruption, is, play, play_patiently, recorded, with};

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

/// The runner has not seen a pause yet: the process knows better, and the next polls show it.
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

/// After ten seconds the runner has asked the process: a later release may have another name for its state.
#[test]
fn a_state_of_another_name_does_not_keep_a_flow_for_ever() {
    let mut script = Script::new();
    // At 0, 50, 150, 350, 750 ms, 1.55 s and then each two seconds.
    for _ in 0..11 {
        script = script.sees(is("Running", "Running")).answers("Strolling");
    }
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

type Answers = Box<dyn FnMut(&str, &str) -> Option<(u16, String)>>;

/// A process that answers so to each request for its statistics, while the manager shows `Running`.
fn telling(status: u16, body: impl Into<String>) -> Feldera<Recorded<Answers>> {
    let body = body.into();
    let answer: Answers = Box::new(move |name, _| match name {
        "get_pipeline_stats" => Some((status, body.clone())),
        _ => Some((200, is("Running", "Running").to_string())),
    });
    Feldera::new("http://feldera.test".parse().expect("a base"), Recorded::new(answer))
}

/// How long a goal takes that fails, in seconds, and its error.
fn fails<F: FnMut(&str, &str) -> Option<(u16, String)>>(feldera: &Feldera<Recorded<F>>) -> (u64, FlowError) {
    let start = feldera.runtime().now();
    let error = feldera.run(EnsureRunning::new("p")).expect_err("not confirmed");
    (feldera.runtime().now().since(start).as_secs(), error)
}

#[test]
fn a_process_that_denies_what_the_manager_shows_is_an_error_after_a_minute() {
    for state in ["Paused", "Terminated"] {
        let mut stats = recorded("stats_after_transaction");
        stats["global_metrics"]["state"] = state.into();
        let (took, error) = fails(&telling(200, stats.to_string()));
        assert!((60..70).contains(&took), "{took}");
        let text = error.to_string();
        assert!(text.contains("shown Running for 60 s") && text.contains(state), "{text}");
        assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    }
}

/// Whatever they look like: the process has answered.
#[test]
fn statistics_that_cannot_be_read_confirm_a_pipeline() {
    let odd = r#"{"global_metrics":{"state":"Running"},"inputs":[{"metrics":"many"}],"outputs":7}"#;
    for stats in [odd, r#"{"global_metrics":{}}"#, "{}", "[]"] {
        telling(200, stats).run(EnsureRunning::new("p")).expect(stats);
    }
    let compressed = Script::new()
        .sees(is("Running", "Running"))
        .expect("GET", STATS)
        .reply_header("content-encoding", "gzip")
        .reply(200, "\u{1f}\u{8}");
    assert!(play(&compressed, EnsureRunning::new("p")).is_ok());
}

#[test]
fn a_page_of_a_proxy_does_not_confirm_a_pipeline() {
    let script = Script::new()
        .sees(is("Running", "Running"))
        .expect("GET", STATS)
        .reply_header("content-type", "text/html")
        .reply(200, "<html>sign in</html>");
    assert!(play(&script, EnsureRunning::new("p")).is_err());
}

#[test]
fn a_manager_that_hangs_is_waited_for_a_minute() {
    let answer = |_: &str, _: &str| Some((200, is("Running", "Running").to_string()));
    let fake = Recorded::new(answer).hanging("get_pipeline_stats");
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), fake);
    let (took, error) = fails(&feldera);
    assert!((60..70).contains(&took), "{took}");
    assert!(matches!(error, FlowError::Transport(_)), "{error:?}");
    // The flow's own time is told as such.
    let start = feldera.runtime().now();
    let goal = EnsureRunning::new("p").timeout(Duration::from_secs(20));
    assert!(matches!(feldera.run(goal), Err(FlowError::Deadline { .. })));
    assert_eq!(feldera.runtime().now().since(start).as_secs(), 20);
}

/// While the request was repeated, another client may have stopped and started the pipeline.
#[test]
fn a_confirmation_that_took_two_attempts_is_followed_by_another_look() {
    let asked = || Script::new().sees(is("Running", "Running")).expect("GET", STATS).reply_lost().answers("Running");
    let script = asked().sees(with(is("Running", "Running"), "deployment_id", "another"));
    let result = play_patiently(&script, EnsureRunning::new("p"));
    assert!(matches!(interruption(result), Interruption::Replaced { .. }));
    let script = asked().sees(is("Running", "Running")).answers("Running");
    assert!(play_patiently(&script, EnsureRunning::new("p")).is_ok());
}

/// A standby has no statistics that would tell whether it is up.
#[test]
fn a_standby_is_approved_without_its_statistics() {
    let script = Script::new().sees(is("Standby", "Standby"));
    assert_eq!(play(&script, ApproveBootstrap::new("p")).expect("approved").deployment_status.as_str(), "Standby");
}

/// A process that only the runner can reach is not waited for without an end.
#[test]
fn a_process_that_never_answers_is_an_error_after_a_minute() {
    let (status, rejection) = feldera("frozen_stats");
    let feldera = telling(status, rejection);
    let (took, error) = fails(&feldera);
    assert_eq!(error.service().and_then(error_code), Some(ErrorCode::PipelineInteractionUnreachable));
    assert!((60..70).contains(&took), "{took}");
}

/// A rejection that says nothing about the process is the end.
#[test]
fn a_confirmation_that_is_not_allowed_is_an_error() {
    let rejection = json!({ "message": "no", "error_code": "InsufficientPermissions", "details": null });
    let script = Script::new().sees(is("Running", "Running")).expect("GET", STATS).reply_json(403, rejection);
    let error = play(&script, EnsureRunning::new("p")).expect_err("unknown outcome");
    assert_eq!(error.service().and_then(error_code), Some(ErrorCode::InsufficientPermissions));
}

//! Rejections, and the poll that finds their cause.

use pipewright::driver::{self, NoCredentials};
use pipewright::error::FlowError;
use pipewright::feldera::{
    AwaitConnectorsFinished, Checkpoint, ErrorCode, Feldera, FelderaApi, Ingest, Interruption, SyncCheckpoint,
    Transaction, error_code,
};
use pipewright::flow::{Config, Goal, Retry};
use pipewright_mock::Script;
use pipewright_tests::recorded::feldera;
use serde_json::{Value, json};

use super::{CHECKPOINT, STATS, base, calm};

const STATUS: &str = "/v0/pipelines/p?selector=status";

/// The first attempt is the last attempt, as if all the others had been refused too.
fn client(script: &Script) -> Feldera<Script> {
    Feldera::with_config(Config::new(base()).with_retry(Retry::never()), script.clone())
}

fn run<G: Goal<Service = FelderaApi, Output: std::fmt::Debug>>(script: &Script, goal: G) -> FlowError {
    let error = client(script).run(goal).expect_err("refused");
    script.clone().finish();
    error
}

/// Asks for something that is refused because the pipeline is only starting, and looks.
fn is_starting(script: Script, method: &str, target: &str, status: &str) -> Script {
    let rejection = json!({ "message": "Unable to interact with pipeline because it is not (yet) fully provisioned",
        "error_code": "PipelineInteractionNotDeployed",
        "details": { "pipeline_name": "p", "status": status, "desired_status": "Running" } });
    looks(script.expect(method, target).reply_json(503, rejection), status)
}

fn looks(script: Script, status: &str) -> Script {
    let mut pipeline: Value = serde_json::from_str(&feldera("p2_killed_01_running").1).expect("JSON");
    pipeline["deployment_status"] = status.into();
    script.expect("GET", STATUS).reply_json(200, pipeline)
}

fn code(error: &FlowError) -> Option<ErrorCode> {
    error.service().and_then(error_code)
}

/// A pipeline that is started for the first time has no process that could have lost anything.
#[test]
fn a_first_start_that_takes_long_is_no_restart() {
    for status in ["Provisioning", "Initializing"] {
        let script = || is_starting(Script::new(), "GET", STATS, status);
        let mut errors = vec![
            run(&script(), Checkpoint::new("p")),
            run(&script(), SyncCheckpoint::new("p")),
            run(&script(), AwaitConnectorsFinished::all("p")),
        ];
        let (first, second) = (script(), script());
        let mut transaction = Transaction::new("p").start(client(&first).config(), client(&first).seed());
        errors
            .push(driver::run(&mut transaction, &first, &NoCredentials, driver::ignore_notices).expect_err("refused"));
        first.finish();
        let mut ingestion = Ingest::new("p", "t").start(client(&second).config(), client(&second).seed());
        ingestion.push(1).expect("room");
        errors.push(driver::run(&mut ingestion, &second, &NoCredentials, driver::ignore_notices).expect_err("refused"));
        second.finish();
        for error in errors {
            assert_eq!(Interruption::of(&error), None, "{error:?}");
            assert_eq!(code(&error), Some(ErrorCode::PipelineInteractionNotDeployed));
        }
        // A process that has answered is another process.
        let script = is_starting(calm(Script::new()), "POST", CHECKPOINT, status);
        assert_eq!(Interruption::of(&run(&script, Checkpoint::new("p"))), Some(&Interruption::Restarted));
    }
}

/// A paused pipeline tells its statistics: if it does not, that is not why.
#[test]
fn a_pause_is_no_reason_not_to_answer() {
    let (status, body) = feldera("frozen_stats");
    // It is polled for ten seconds, at 0, 50, 150, 350, 750 ms, 1.55 s and then each two seconds.
    let polled = |script| (0..11).fold(script, |script, _| looks(script, "Paused"));
    let script = || polled(Script::new().expect("GET", STATS).reply_json(status, &body));
    for error in [run(&script(), Checkpoint::new("p")), run(&script(), AwaitConnectorsFinished::all("p"))] {
        assert_eq!(Interruption::of(&error), None, "{error:?}");
        assert_eq!(code(&error), Some(ErrorCode::PipelineInteractionUnreachable));
    }
}

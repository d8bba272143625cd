//! Flows that meet the end of a process before the manager notices it.

use std::time::Duration;

use pipewright::driver::{self, Clock as _, NoCredentials};
use pipewright::error::FlowError;
use pipewright::feldera::data::{CompletionToken, DataFormat, HttpInput};
use pipewright::feldera::{
    AwaitCompletion, AwaitConnectorsFinished, Checkpoint, Deploy, ErrorCode, Feldera, Ingest, IngestEvent,
    Interruption, SyncCheckpoint, Transaction, error_code,
};
use pipewright::flow::{Config, Goal as _, Retry};
use pipewright::operation::OperationInfo;
use pipewright_mock::feldera::{Config as Simulated, Edition, Manager};
use pipewright_mock::{Fault, FaultPlan, Script, World};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::{Value, json};

use super::{COMMIT, START, STATS, base, calm, recorded, run};

const SQL: &str = "CREATE TABLE t (id BIGINT NOT NULL);\nCREATE MATERIALIZED VIEW v AS SELECT * FROM t;";
const STATUS: &str = "/v0/pipelines/p?selector=status";

/// What ends a process, and what the manager says of it in the end.
type End = (fn(&mut Manager), &'static str);

const ENDS: [End; 3] = [
    (|manager| manager.panic("p", "no"), "RuntimeError.WorkerPanic"),
    (|manager| manager.report_panic("p", "no"), "RuntimeError.WorkerPanic"),
    (|manager| manager.kill("p"), "RunnerCheckError"),
];

/// A flow, up to an error. It calls the function when its process is to end.
type Flow = fn(&Feldera<World>, &dyn Fn()) -> FlowError;

const FLOWS: [(&str, Flow); 9] = [
    ("AwaitCompletion", |feldera, end| {
        let rows = HttpInput::new("p", "t", DataFormat::Json, "{\"insert\":{\"id\":1}}");
        let token = feldera.call(rows).expect("in").token;
        end();
        feldera.run(AwaitCompletion::new("p", token)).expect_err("ended")
    }),
    ("AwaitConnectorsFinished", |feldera, end| {
        end();
        feldera.run(AwaitConnectorsFinished::all("p")).expect_err("ended")
    }),
    ("Checkpoint", |feldera, end| {
        end();
        feldera.run(Checkpoint::new("p")).expect_err("ended")
    }),
    ("SyncCheckpoint", |feldera, end| {
        end();
        feldera.run(SyncCheckpoint::new("p")).expect_err("ended")
    }),
    ("Ingest, before the first rows", |feldera, end| {
        end();
        ingest(feldera, || {})
    }),
    ("Ingest, between rows", |feldera, end| ingest(feldera, end)),
    ("Transaction, before the start", |feldera, end| {
        end();
        let mut transaction = Transaction::new("p").start(feldera.config(), feldera.seed());
        driver::run(&mut transaction, feldera.runtime(), &NoCredentials, driver::ignore_notices).expect_err("ended")
    }),
    ("Transaction, before the commit", |feldera, end| {
        let mut transaction = Transaction::new("p").start(feldera.config(), feldera.seed());
        driver::run(&mut transaction, feldera.runtime(), &NoCredentials, driver::ignore_notices).expect("open");
        end();
        transaction.commit();
        driver::run(&mut transaction, feldera.runtime(), &NoCredentials, driver::ignore_notices).expect_err("ended")
    }),
    ("Transaction, a start whose answer was lost", |feldera, end| {
        let lost = FaultPlan::none().nth_of("start_transaction", 1, Fault::ReplyLost);
        feldera.runtime().set_faults(lost);
        let mut transaction = Transaction::new("p").start(feldera.config(), feldera.seed());
        let error = driver::run(&mut transaction, feldera.runtime(), &NoCredentials, |notice| {
            if matches!(
                notice,
                pipewright::flow::Notice::Sending { operation: OperationInfo { name: "start_transaction", .. }, .. }
            ) {
                end();
            }
        });
        error.expect_err("ended")
    }),
];

/// Rows before the end and after it; unconfirmed rows are sent again.
fn ingest(feldera: &Feldera<World>, end: impl Fn()) -> FlowError {
    let mut ingestion = Ingest::new("p", "t").chunk_bytes(1).start(feldera.config(), feldera.seed());
    for id in 0..2 {
        ingestion.push(json!({ "id": id })).expect("room");
    }
    ingestion.finish();
    loop {
        match driver::run(&mut ingestion, feldera.runtime(), &NoCredentials, driver::ignore_notices) {
            Ok(IngestEvent::Accepted(_)) => end(),
            Ok(IngestEvent::Unconfirmed(unconfirmed)) => ingestion.resend(unconfirmed).expect("its own"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    }
}

/// For four seconds after a panic the process only says that it ends, and the manager says nothing at all.
#[test]
fn every_flow_waits_for_the_cause_and_tells_it() {
    for (name, flow) in FLOWS {
        for (end, code) in ENDS {
            for retry in [Retry::default(), Retry::never()] {
                let world = World::new(5);
                let config = Simulated { edition: Edition::Enterprise, ..Simulated::default() };
                let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), config);
                Feldera::new(service.base(), world.clone()).run(Deploy::new("p", SQL)).expect("it runs");
                let config = Config::new(service.base()).with_retry(retry);
                let feldera = Feldera::with_config(config, world.clone());
                let error = flow(&feldera, &|| service.with(end));
                let told = Interruption::of(&error);
                assert!(
                    matches!(told, Some(Interruption::Crashed(told)) if told.error_code.as_str() == code),
                    "{name}: {error:?}"
                );
                // The manager knows by now, so that whatever comes next does not meet the process again.
                let view = service.with(|manager| manager.pipeline("p")).expect("it is there");
                assert!(view.error.is_some_and(|error| error["error_code"] == code), "{name}");
            }
        }
    }
}

fn rejection(code: &str) -> Value {
    json!({ "message": "no", "error_code": code, "details": null })
}

fn sees(script: Script, name: &str) -> Script {
    recorded(script, "GET", STATUS, name)
}

/// The connection between manager and process broke off: why shows some looks later.
#[test]
fn a_closed_connection_is_waited_for_too() {
    let disconnected = json!({ "message": "Error sending HTTP request to pipeline: the pipeline disconnected",
        "error_code": "PipelineInteractionUnreachable", "details": null });
    let script = Script::new().expect("GET", STATS).reply_json(503, disconnected);
    let script = sees(sees(sees(script, "p2_killed_01_running"), "p2_killed_01_running"), "killed_get_stopped");
    let config = Config::new(base()).with_retry(Retry::never());
    let error = Feldera::with_config(config, script.clone()).run(Checkpoint::new("p")).expect_err("ended");
    let Some(Interruption::Crashed(crash)) = Interruption::of(&error) else { panic!("{error:?}") };
    assert_eq!(crash.error_code, ErrorCode::RunnerCheckError);
    script.finish();
}

/// A pipeline that shows no cause is polled for ten seconds, and then the rejection is the error.
#[test]
fn a_cause_that_never_shows_is_waited_for_ten_seconds() {
    for (code, status) in [("Terminating", 410), ("Suspended", 503)] {
        let answer = |name: &str, _: &str| match name {
            "get_pipeline" => Some(feldera("p2_killed_01_running")),
            _ => Some((status, rejection(code).to_string())),
        };
        let feldera = Feldera::new(base(), Recorded::new(answer));
        let start = feldera.runtime().now();
        let goal = AwaitCompletion::new("p", CompletionToken::from("tok"));
        let error = feldera.run(goal.clone()).expect_err("ended");
        assert_eq!(error.service().and_then(error_code).as_ref().map(ErrorCode::as_str), Some(code));
        assert!((10..13).contains(&feldera.runtime().now().since(start).as_secs()));
        // The deadline of the flow ends that, with the rejection, which says more.
        let start = feldera.runtime().now();
        let error = feldera.run(goal.timeout(Duration::from_secs(3))).expect_err("ended");
        assert_eq!(error.service().and_then(error_code).as_ref().map(ErrorCode::as_str), Some(code));
        assert_eq!(feldera.runtime().now().since(start).as_secs(), 3);
    }
}

/// Another client has started it again meanwhile, and with that dismissed the error.
#[test]
fn another_deployment_is_another_process() {
    let mut other: Value = feldera("p2_killed_01_running").1.parse().expect("JSON");
    other["deployment_id"] = json!("another");
    let script = recorded(calm(Script::new()), "POST", START, "transaction_start");
    let script = script.expect("GET", STATS).reply_json(410, rejection("Terminating"));
    let script = sees(script, "p2_killed_01_running").expect("GET", STATUS).reply_json(200, other);
    let config = Config::new(base()).with_retry(Retry::never());
    let feldera = Feldera::with_config(config, script.clone());
    let mut transaction = Transaction::new("p").start(feldera.config(), feldera.seed());
    let error = driver::run(&mut transaction, &script, &NoCredentials, driver::ignore_notices).expect_err("gone");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    script.finish();
}

/// A commit that met the panic may have been carried out before it.
#[test]
fn a_commit_that_met_the_end_is_ambiguous_with_the_cause() {
    let script = recorded(calm(Script::new()), "POST", START, "transaction_start");
    let script = calm(script);
    let script = calm(script).expect("POST", COMMIT).reply_json(500, rejection("RuntimeError.WorkerPanic"));
    let script = script.expect("GET", STATS).reply_json(410, rejection("Terminating"));
    let script = sees(sees(script, "p2_killed_01_running"), "killed_get_stopped");
    let feldera = Feldera::new(base(), script.clone());
    let mut transaction = Transaction::new("p").start(feldera.config(), feldera.seed());
    driver::run(&mut transaction, &script, &NoCredentials, driver::ignore_notices).expect("open");
    transaction.commit();
    let error = driver::run(&mut transaction, &script, &NoCredentials, driver::ignore_notices).expect_err("ended");
    assert!(error.is_ambiguous());
    assert!(matches!(Interruption::of(&error), Some(Interruption::Crashed(_))), "{error:?}");
    script.finish();
}

/// A checkpoint that was asked for without an answer may have been made; the cause is told all the same.
#[test]
fn a_checkpoint_whose_request_met_the_end_is_ambiguous_with_the_cause() {
    let script = calm(Script::new()).expect("POST", super::CHECKPOINT).reply_lost();
    let script = script.expect("GET", STATS).reply_json(410, rejection("Terminating"));
    let script = sees(sees(script, "p2_killed_01_running"), "killed_get_stopped");
    let (result, _) = run(&script, Checkpoint::new("p"));
    let error = result.expect_err("ended");
    assert!(error.is_ambiguous());
    assert!(matches!(Interruption::of(&error), Some(Interruption::Crashed(_))), "{error:?}");
    script.finish();
}

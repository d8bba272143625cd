//! The end of a process that the status does not show yet.

use std::time::Duration;

use pipewright::driver::{self, Clock as _, NoCredentials};
use pipewright::error::FlowError;
use pipewright::feldera::{Deploy, ErrorCode, Feldera, Ingest, Interruption};
use pipewright::flow::Goal as _;
use pipewright_mock::World;
use pipewright_mock::feldera::Config;
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::{Value, json};

use super::{CSV, STATUS, cause, next, running, start};

const SQL: &str = "CREATE TABLE t (x INT) WITH ('materialized' = 'true');";
const REJECTED: &str =
    "Error sending HTTP request to pipeline: Failed to connect to host: Connection refused (os error 111)";

fn rejection(code: &str) -> Value {
    json!({ "message": "the pipeline is shutting down", "error_code": code, "details": null })
}

/// A recorded pipeline that is, and is to be.
fn is(status: &str, desired: &str) -> Value {
    let mut pipeline: Value = serde_json::from_str(&feldera("p2_killed_01_running").1).expect("JSON");
    pipeline["deployment_status"] = status.into();
    pipeline["deployment_desired_status"] = desired.into();
    pipeline
}

/// The manager shows `Paused` for four seconds more.
#[test]
fn a_panic_of_a_paused_pipeline_that_takes_rows_is_told() {
    let world = World::new(3);
    let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), Config::default());
    let feldera = Feldera::new(service.base(), world.clone());
    feldera.run(Deploy::new("p", SQL).paused(true)).expect("paused");
    let mut ingestion = Ingest::new("p", "t").csv().force().start(feldera.config(), feldera.seed());
    ingestion.push_record("1").expect("room");
    driver::run(&mut ingestion, &world, &NoCredentials, driver::ignore_notices).expect("taken");
    service.with(|manager| manager.panic("p", "no"));
    ingestion.push_record("2").expect("room");
    let error = driver::run(&mut ingestion, &world, &NoCredentials, driver::ignore_notices).expect_err("it has ended");
    let Some(Interruption::Crashed(told)) = cause(&error) else { panic!("{error:?}") };
    assert_eq!(told.error_code, ErrorCode::WorkerPanic);
}

/// Another client's suspension waits for a transaction, and the process ends by itself meanwhile.
#[test]
fn a_panic_of_a_pipeline_that_is_to_be_suspended_is_told() {
    let script = running().expect("POST", CSV).reply_json(410, rejection("Terminating"));
    let script = script.expect("GET", STATUS).reply_json(200, is("Running", "Suspended"));
    let (status, body) = feldera("killed_get_stopped");
    let script = script.expect("GET", STATUS).reply_json(status, body);
    let mut ingestion = start(&script, Ingest::new("p", "T").csv());
    ingestion.push_record("1,x").expect("room");
    let error = next(&mut ingestion, &script).expect_err("it has ended");
    assert!(matches!(cause(&error), Some(Interruption::Crashed(_))), "{error:?}");
    script.finish();
}

/// A suspension that goes through is one: its process ends, and it is stopping.
#[test]
fn a_pipeline_that_is_being_stopped_is_told_as_stopped() {
    let script = running().expect("POST", CSV).reply_json(410, rejection("Terminating"));
    let script = script.expect("GET", STATUS).reply_json(200, is("Running", "Suspended"));
    let script = script.expect("GET", STATUS).reply_json(200, is("Stopping", "Stopped"));
    let mut ingestion = start(&script, Ingest::new("p", "T").csv());
    ingestion.push_record("1,x").expect("room");
    let error = next(&mut ingestion, &script).expect_err("stopped");
    assert_eq!(cause(&error), Some(&Interruption::Stopped));
    script.finish();
}

/// Ingests a row in a world where all rows are rejected like this and the pipeline is that. How long it took, in
/// seconds.
fn ingest(
    code: &'static str,
    message: &'static str,
    pipeline: &Value,
    hangs: Option<&'static str>,
) -> (u64, FlowError) {
    let pipeline = pipeline.to_string();
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(feldera("stats_after_transaction")),
        "get_pipeline" => Some((200, pipeline.clone())),
        _ => Some((410, json!({ "message": message, "error_code": code, "details": null }).to_string())),
    };
    let fake = Recorded::new(answer);
    let fake = match hangs {
        Some(operation) => fake.hanging(operation),
        None => fake,
    };
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), fake);
    let mut ingestion = Ingest::new("p", "T").csv().start(feldera.config(), feldera.seed());
    ingestion.push_record("1,x").expect("room");
    let start = feldera.runtime().now();
    let error =
        driver::run(&mut ingestion, feldera.runtime(), &NoCredentials, driver::ignore_notices).expect_err("rejected");
    (feldera.runtime().now().since(start).as_secs(), error)
}

/// What shows after the ten seconds is what there is to know.
#[test]
fn a_pipeline_that_stays_paused_is_told_as_paused() {
    let (took, error) = ingest("Terminating", "shutting down", &is("Paused", "Paused"), None);
    assert_eq!(cause(&error), Some(&Interruption::Paused), "{error:?}");
    assert!((10..13).contains(&took), "{took}");
}

#[test]
fn a_manager_that_hangs_keeps_a_flow_for_fifteen_seconds_at_the_most() {
    let (took, error) = ingest("Terminating", "shutting down", &Value::Null, Some("get_pipeline"));
    assert_eq!(error.service().and_then(|rejection| rejection.code()), Some("Terminating"), "{error:?}");
    assert!(took <= Duration::from_secs(15).as_secs(), "{took}");
}

#[test]
fn a_paused_pipeline_that_refuses_connections_may_have_ended() {
    let script = running().expect("POST", CSV).reply_json(
        503,
        json!({ "message": REJECTED,
        "error_code": "PipelineInteractionUnreachable", "details": null }),
    );
    let script = script.expect("GET", STATUS).reply_json(200, is("Paused", "Paused"));
    let (status, body) = feldera("killed_get_stopped");
    let script = script.expect("GET", STATUS).reply_json(status, body);
    let config = pipewright::flow::Config::new("http://feldera.test".parse().expect("a base"));
    let config = config.with_retry(pipewright::flow::Retry::never());
    let feldera = Feldera::with_config(config, script.clone());
    let mut ingestion = Ingest::new("p", "T").csv().start(feldera.config(), feldera.seed());
    ingestion.push_record("1,x").expect("room");
    let error = next(&mut ingestion, &script).expect_err("it has ended");
    assert!(matches!(cause(&error), Some(Interruption::Crashed(_))), "{error:?}");
    script.finish();
}

//! `Checkpoint`.

use std::time::Duration;

use pipewright::error::FlowError;
use pipewright::feldera::{Checkpoint, Checkpointed, Feldera, Interruption, UnknownOutcome};
use pipewright_mock::Script;
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::json;

use super::{CHECKPOINT, STATS, base, calm, looked, recorded, restarted, run, stats};

/// A checkpoint that was asked for: number 7 of the derived recordings' process.
fn asked() -> Script {
    recorded(calm(Script::new()), "POST", CHECKPOINT, "checkpoint_post")
}

const CHECKPOINT_STATUS: &str =
    "/v0/pipelines/p/checkpoint_status?incarnation_uuid=01990000-0000-7000-8000-00000000000a";

fn outcome(name: &str) -> Result<Checkpointed, FlowError> {
    let script = recorded(asked(), "GET", CHECKPOINT_STATUS, "checkpoint_status_running");
    let script = recorded(script, "GET", CHECKPOINT_STATUS, name);
    let (result, saved) = run(&script, Checkpoint::new("p"));
    assert_eq!(saved.len(), 2);
    script.finish();
    let script = recorded(Script::new(), "GET", CHECKPOINT_STATUS, name);
    let (again, _) = run(&script, Checkpoint::resume(&saved[1]).expect("its own state"));
    assert_eq!(again.is_ok(), result.is_ok());
    script.finish();
    result
}

#[test]
fn a_checkpoint_is_judged_by_its_number() {
    let made = outcome("checkpoint_status_success").expect("made");
    assert_eq!((made.number, made.newest), (7, 7));
    assert_eq!(outcome("checkpoint_status_superseded").expect("made").newest, 9);
    assert!(outcome("checkpoint_status_failed").expect_err("failed").to_string().contains("I/O error"));
    let hidden = outcome("checkpoint_status_failure_hidden_by_later_failure").expect_err("failed").to_string();
    assert!(hidden.contains("checkpoint 8 failed later and hides"), "{hidden}");
    let lost = outcome("checkpoint_status_wrong_incarnation_400").expect_err("another process");
    assert!(lost.is_ambiguous());
    assert!(matches!(UnknownOutcome::of(&lost), Some(UnknownOutcome::Checkpoint { number: 7, .. })), "{lost:?}");
    assert_eq!(Interruption::of(&lost), Some(&Interruption::Restarted));
}

#[test]
fn the_open_source_edition_has_no_checkpoints() {
    let script = recorded(calm(Script::new()), "POST", CHECKPOINT, "checkpoint_while_running_oss_501");
    let error = run(&script, Checkpoint::new("p")).0.expect_err("refused");
    assert!(matches!(&error, FlowError::Service(error) if error.code() == Some("EnterpriseFeature")));
    assert!(error.to_string().contains("enterprise-only feature"), "{error}");
    script.finish();
}

/// Another checkpoint does as well as one whose answer was lost.
#[test]
fn a_lost_request_for_a_checkpoint_is_sent_again() {
    let script = calm(Script::new()).expect("POST", CHECKPOINT).reply_lost();
    let script = recorded(calm(script), "POST", CHECKPOINT, "checkpoint_post");
    let script = recorded(script, "GET", CHECKPOINT_STATUS, "checkpoint_status_success");
    assert_eq!(run(&script, Checkpoint::new("p")).0.expect("made").number, 7);
    script.finish();
}

/// What a request without an answer has done is not known, however the flow ends.
#[test]
fn a_lost_request_for_a_checkpoint_is_not_forgotten() {
    let lost = || calm(Script::new()).expect("POST", CHECKPOINT).reply_lost();
    // The pipeline is stopped meanwhile.
    let stopped = |script| {
        let script = recorded(script, "GET", STATS, "stopped_get_stats");
        recorded(script, "GET", "/v0/pipelines/p?selector=status", "get_stopped_storage_in_use")
    };
    let script = stopped(lost());
    let error = run(&script, Checkpoint::new("p")).0.expect_err("stopped");
    assert!(error.is_ambiguous() && error.to_string().contains("the pipeline was stopped"), "{error:?}");
    script.finish();
    // The second request is refused.
    let rejection = json!({ "message": "no", "error_code": "InsufficientPermissions", "details": null });
    let script = calm(lost()).expect("POST", CHECKPOINT).reply_json(403, rejection);
    let error = run(&script, Checkpoint::new("p")).0.expect_err("refused");
    assert!(error.is_ambiguous() && error.to_string().contains("InsufficientPermissions"), "{error:?}");
    script.finish();
    // The time is up.
    let script = lost().expect("GET", STATS).after(Duration::from_secs(9)).reply_lost();
    let error = run(&script, Checkpoint::new("p").timeout(Duration::from_secs(8))).0.expect_err("too late");
    assert!(error.is_ambiguous(), "{error:?}");
    // An edition without checkpoints has made none at the first request either.
    let script = recorded(calm(lost()), "POST", CHECKPOINT, "checkpoint_while_running_oss_501");
    let error = run(&script, Checkpoint::new("p")).0.expect_err("refused");
    assert!(matches!(&error, FlowError::Service(_)), "{error:?}");
    script.finish();
    // Nothing was lost.
    let script = stopped(Script::new());
    let error = run(&script, Checkpoint::new("p")).0.expect_err("stopped");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Stopped));
    assert!(!error.is_ambiguous(), "{error:?}");
    script.finish();
}

/// Servers before 0.337 do not say which process counts, and old numbers look as if they were running, or done.
#[test]
fn an_old_servers_restart_shows_in_its_statistics() {
    let mut polls = 0;
    let mut answer = |restarts: bool, name: &str| {
        Some(match name {
            "checkpoint_pipeline" => feldera("checkpoint_post_old_server"),
            "get_checkpoint_status" => {
                polls += 1;
                feldera("checkpoint_status_idle")
            }
            _ if restarts && polls > 3 => (200, restarted()),
            _ => (
                200,
                stats(|body| body["checkpoint_activity"] = json!({"status": "in_progress", "started_at": "2026"})),
            ),
        })
    };
    let fake = Feldera::new(base(), Recorded::new(|name: &str, _: &str| answer(true, name)));
    let error = fake.run(Checkpoint::new("p")).expect_err("another process");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    let patient = Feldera::new(base(), Recorded::new(|name: &str, _: &str| answer(false, name)));
    let error = patient.run(Checkpoint::new("p").timeout(Duration::from_secs(500))).expect_err("still at work");
    assert!(matches!(error, FlowError::Deadline { .. }));
    assert!(error.to_string().ends_with("last observed: checkpoint 7 of pipeline p: in_progress"), "{error}");
}

#[test]
fn time_that_is_up_names_what_delays_a_checkpoint() {
    let answer = |name: &str| {
        Some(match name {
            "checkpoint_pipeline" => feldera("checkpoint_post_old_server"),
            "get_checkpoint_status" => feldera("checkpoint_status_idle"),
            _ => (
                200,
                stats(|body| {
                    body["checkpoint_activity"] = json!({ "status": "delayed", "delayed_since": "2026",
                        "reasons": ["TransactionInProgress", { "InputEndpointBarrier": "t.c" }] });
                }),
            ),
        })
    };
    let fake = Feldera::new(base(), Recorded::new(move |name: &str, _: &str| answer(name)));
    let error = fake.run(Checkpoint::new("p").timeout(Duration::from_secs(60))).expect_err("delayed");
    let reasons = "delayed: a transaction is open, connector t.c holds it back";
    assert!(error.to_string().ends_with(reasons), "{error}");
}

/// The numbers of another process are not ours, whatever they say: before 0.337 only its statistics tell.
#[test]
fn another_processs_numbers_are_not_believed() {
    for name in ["checkpoint_status_superseded", "checkpoint_status_failed"] {
        let asked = || recorded(calm(Script::new()), "POST", CHECKPOINT, "checkpoint_post_old_server");
        let told = |script| recorded(script, "GET", "/v0/pipelines/p/checkpoint_status", name);
        let script = looked(told(asked()), &restarted());
        let (result, saved) = run(&script, Checkpoint::new("p"));
        let error = result.expect_err("another process");
        assert!(error.is_ambiguous());
        assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
        script.finish();
        let script = looked(told(Script::new()), &restarted());
        let resumed = run(&script, Checkpoint::resume(&saved[1]).expect("its own state")).0;
        assert!(resumed.expect_err("another process").is_ambiguous());
        script.finish();
        let script = calm(told(asked()));
        assert_eq!(run(&script, Checkpoint::new("p")).0.is_ok(), name.ends_with("superseded"));
        script.finish();
    }
}

/// An idle process that has not reported the outcome of the checkpoint never will.
#[test]
fn an_idle_process_has_no_more_to_say() {
    let answer = |name: &str, _: &str| {
        Some(match name {
            "checkpoint_pipeline" => feldera("checkpoint_post"),
            "get_checkpoint_status" => feldera("checkpoint_status_running"),
            _ => (
                200,
                stats(|body| {
                    body["global_metrics"]["incarnation_uuid"] = json!("01990000-0000-7000-8000-00000000000a");
                }),
            ),
        })
    };
    let feldera = Feldera::new(base(), Recorded::new(answer));
    let error = feldera.run(Checkpoint::new("p")).expect_err("no report");
    assert!(
        matches!(&error, FlowError::Failed(failure) if failure.reason.contains("the process is idle")),
        "{error:?}"
    );
}

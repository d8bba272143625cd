//! Upgrades whose stop wrote its savepoint before a failover brought the job back.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{Flink, JobDiagnosis, JobLookup, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase};
use pipewright::flow::{Notice, SavedState};
use pipewright_mock::Script;
use serde_json::json;

const STATUS: &str = "/v1/jobs/0000000000000000000000000000000a/status";
const RESULT: &str = "/v1/jobs/0000000000000000000000000000000a/execution-result";
const CHECKPOINTS: &str = "/v1/jobs/0000000000000000000000000000000a/checkpoints";
const UNKNOWN_JOB: &str =
    r#"{"errors":["org.apache.flink.runtime.rest.NotFoundException: Job 0000000000000000000000000000000a not found"]}"#;
const LIST: &str = r#"{"counts":{"restored":0,"total":0,"in_progress":0,"completed":0,"failed":0},
    "summary":{"state_size":{"min":0,"max":0,"avg":0},"end_to_end_duration":{"min":0,"max":0,"avg":0}},
    "latest":{"completed":{"className":"completed","id":9,"status":"COMPLETED","is_savepoint":false,
    "trigger_timestamp":1800000000000,"latest_ack_timestamp":1800000000100,"state_size":1,"end_to_end_duration":1,
    "num_subtasks":1,"num_acknowledged_subtasks":1,"checkpoint_type":"CHECKPOINT","tasks":{},"external_path":"file:/c",
    "discarded":false}},"history":[]}"#;

/// An upgrade in its stop, which has written the savepoint `file:/p`, and has failed for this reason if there is one.
fn stopping(failure: Option<&str>) -> SavedState {
    let job = "0000000000000000000000000000000a";
    let trigger =
        json!({"job": job, "trigger_id": "0000000000000000000000000000000b", "since": 1, "acknowledged": true});
    let stop = json!({"trigger": trigger, "location": "file:/p", "failure": failure}).to_string();
    let upgrade = json!({
        "phase": "stop", "job": job, "old": {"jar": "a.jar"}, "new": {"jar": "b.jar"},
        "new_job": "0000000000000000000000000000000c", "old_job": "0000000000000000000000000000000d",
        "settle_timeout": 20_000, "child": {"flow": "StopWithSavepoint", "state": stop},
    });
    serde_json::from_value(json!({"flow": "UpgradeJob", "state": upgrade.to_string()})).expect("a state")
}

/// The state that was saved last, if any, and the result.
fn resume(script: &Script, saved: &SavedState) -> (Option<SavedState>, Result<Upgrade, FlowError>) {
    let flink = Flink::new("http://flink.test".parse().expect("a base"), script.clone());
    let mut last = None;
    let result = flink.run_with(UpgradeJob::resume(saved).expect("its own state"), |notice| {
        if let Notice::Persist(state) = notice {
            last = Some(state);
        }
    });
    (last, result)
}

fn is(state: &str) -> String {
    format!(r#"{{"status":"{state}"}}"#)
}

/// The job is RESTARTING for longer than a stop takes.
fn brought_back() -> Script {
    (0..8).fold(Script::new(), |script, _| script.expect("GET", STATUS).reply_json(200, is("RESTARTING")))
}

fn ended(script: Script, state: &str) -> Script {
    script.expect("GET", STATUS).reply_json(200, is(state)).expect("GET", RESULT).reply_json(404, UNKNOWN_JOB)
}

fn diagnosis(result: Result<Upgrade, FlowError>) -> (FlowError, UpgradeDiagnosis) {
    let error = result.expect_err("the job is not upgraded");
    let diagnosis = UpgradeDiagnosis::of(&error).unwrap_or_else(|| panic!("no diagnosis: {error:?}")).clone();
    (error, diagnosis)
}

#[test]
fn a_job_that_fails_after_a_failover_leaves_the_savepoint_and_its_last_checkpoint_in_the_error() {
    let failed = |script| {
        let script = ended(script, "FAILED").expect("GET", STATUS).reply_json(200, is("FAILED"));
        script.expect("GET", CHECKPOINTS).reply_json(200, LIST)
    };
    let check = |result| {
        let (error, diagnosis) = diagnosis(result);
        assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
        for path in ["file:/p", "file:/c"] {
            assert!(error.to_string().contains(path), "{error}");
        }
        assert_eq!((diagnosis.savepoint, diagnosis.earlier_savepoint.as_deref()), (None, Some("file:/p")));
        let last = diagnosis.last.expect("what is known of the job");
        assert_eq!(last.lookup, JobLookup::State(JobState::Failed));
        assert_eq!(last.last_checkpoint.map(|checkpoint| checkpoint.path).as_deref(), Some("file:/c"));
    };
    let script = failed(brought_back());
    let (saved, result) = resume(&script, &stopping(None));
    check(result);
    script.finish();
    // A resumption has not lost it either.
    let script = failed(Script::new());
    check(resume(&script, &saved.expect("saved")).1);
    script.finish();
}

#[test]
fn a_job_that_the_cluster_has_lost_after_a_failover_leaves_the_savepoint_in_the_error() {
    let script = brought_back().expect("GET", STATUS).reply_json(404, UNKNOWN_JOB);
    let (_, result) = resume(&script, &stopping(None));
    let (error, diagnosis) = diagnosis(result);
    assert!(error.service().is_some(), "{error:?}");
    assert_eq!(diagnosis.earlier_savepoint.as_deref(), Some("file:/p"));
    script.finish();
}

#[test]
fn a_job_that_does_not_come_up_after_a_failover_leaves_the_savepoint_in_the_error() {
    let script =
        (0..23).fold(Script::new(), |script, _| script.expect("GET", STATUS).reply_json(200, is("RESTARTING")));
    let before = script.now();
    let (_, result) = resume(&script, &stopping(None));
    let (error, diagnosis) = diagnosis(result);
    assert!(error.to_string().contains("within 20 s"), "{error}");
    assert_eq!(diagnosis.earlier_savepoint.as_deref(), Some("file:/p"));
    assert!(script.now().since(before) < Duration::from_secs(30));
    script.finish();
}

/// It has done all its work; a job that starts from the savepoint would do the end of it again.
#[test]
fn a_job_that_finishes_after_a_failover_is_not_started_from_the_savepoint() {
    let script = ended(brought_back(), "FINISHED");
    let (_, result) = resume(&script, &stopping(None));
    let (error, diagnosis) = diagnosis(result);
    assert!(error.to_string().contains("it is FINISHED"), "{error}");
    assert_eq!(diagnosis.earlier_savepoint.as_deref(), Some("file:/p"));
    script.finish();
}

/// The stop failed with its savepoint, and the job is FINISHED: it was restored, and has done the rest of its work.
#[test]
fn a_job_that_finishes_after_its_stop_failed_is_not_started_from_the_savepoint() {
    let script = ended(Script::new(), "FINISHED");
    let (_, result) = resume(&script, &stopping(Some("it failed during stopping")));
    let (error, diagnosis) = diagnosis(result);
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    assert_eq!((diagnosis.phase, diagnosis.savepoint), (UpgradePhase::Stop, None));
    assert_eq!(diagnosis.last.and_then(|last: JobDiagnosis| last.savepoint).as_deref(), Some("file:/p"));
    script.finish();
}

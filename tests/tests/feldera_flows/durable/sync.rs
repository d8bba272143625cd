//! `SyncCheckpoint`.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::feldera::{Checkpoint, Deploy, Feldera, Interruption, SyncCheckpoint, UnknownOutcome};
use pipewright::flow::Notice;
use pipewright_mock::feldera::{Config, Edition, Release};
use pipewright_mock::{Script, World};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::json;

use super::{base, calm, looked, recorded, restarted, run, stats};

const SYNC: &str = "/v0/pipelines/p/checkpoint/sync";
const SYNC_BEFORE: &str = "/v0/pipelines/p/checkpoint/sync_status";
const SYNC_STATUS: &str =
    "/v0/pipelines/p/checkpoint/sync_status?incarnation_uuid=01990000-0000-7000-8000-00000000000a";
const REMOTE: &str = "/v0/pipelines/p/checkpoints/remote";

fn sent() -> Script {
    sent_after("checkpoint_sync_status")
}

/// And what the process told before.
fn sent_after(before: &str) -> Script {
    recorded(recorded(calm(Script::new()), "GET", SYNC_BEFORE, before), "POST", SYNC, "checkpoint_sync_post")
}

const OURS: &str = "01990000-0000-7000-8000-00000000000b";
const OLDER: &str = "01980000-0000-7000-8000-00000000000b";
const NEWER: &str = "01990000-0000-7000-8000-00000000000c";

/// The process tells these as the last success and the last failure.
fn told(script: Script, success: Option<&str>, failure: Option<&str>) -> Script {
    let failure = failure.map(|uuid| json!({ "uuid": uuid, "error": "push failed" }));
    let body = json!({ "success": success, "failure": failure, "periodic": null });
    script.expect("GET", SYNC_STATUS).reply_json(200, body)
}

fn stored(script: Script, uuid: &str) -> Script {
    script.expect("GET", REMOTE).reply_json(200, json!([{ "uuid": uuid }]))
}

#[test]
fn a_checkpoint_is_sent_and_known_by_its_id() {
    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_sync_status_running");
    let script = recorded(script, "GET", SYNC_STATUS, "checkpoint_sync_status_success");
    let (result, saved) = run(&script, SyncCheckpoint::new("p"));
    assert_eq!(result.expect("there").checkpoint, "01990000-0000-7000-8000-00000000000b");
    script.finish();
    let script = recorded(Script::new(), "GET", SYNC_STATUS, "checkpoint_sync_status_success");
    run(&script, SyncCheckpoint::resume(&saved[1]).expect("its own state")).0.expect("there");
    script.finish();

    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_sync_status_failure");
    let script = script.expect("GET", REMOTE).reply_json(200, "[]");
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("failed");
    assert!(error.to_string().ends_with("push failed"), "{error}");
    script.finish();
    // It may be the failure of another client's attempt.
    let script = stored(recorded(sent(), "GET", SYNC_STATUS, "checkpoint_sync_status_failure"), OURS);
    run(&script, SyncCheckpoint::new("p")).0.expect("in the store");
    script.finish();
}

/// The failure of an earlier attempt with the same checkpoint says nothing about this attempt, for a while.
#[test]
fn an_old_failure_is_not_believed_at_once() {
    let script = sent_after("checkpoint_sync_status_failure");
    let script = told(told(script, None, Some(OURS)), Some(OURS), Some(OURS));
    let (result, saved) = run(&script, SyncCheckpoint::new("p"));
    result.expect("there");
    script.finish();
    // Nor after a crash.
    let script = told(told(Script::new(), None, Some(OURS)), Some(OURS), Some(OURS));
    run(&script, SyncCheckpoint::resume(&saved[1]).expect("its own state")).0.expect("there");
    script.finish();

    for is_there in [false, true] {
        let answer = |name: &str, _: &str| {
            Some(match name {
                "get_pipeline_stats" => (200, stats(|_| {})),
                "sync_checkpoint" => feldera("checkpoint_sync_post"),
                "get_remote_checkpoints" if is_there => (200, json!([{ "uuid": OURS }]).to_string()),
                "get_remote_checkpoints" => (200, "[]".to_owned()),
                _ => feldera("checkpoint_sync_status_failure"),
            })
        };
        let feldera = Feldera::new(base(), Recorded::new(answer));
        let start = feldera.runtime().now();
        let result = feldera.run(SyncCheckpoint::new("p"));
        assert_eq!(result.is_ok(), is_there);
        assert!(result.err().is_none_or(|error| matches!(error, FlowError::Failed(_))));
        assert!((60..70).contains(&feldera.runtime().now().since(start).as_secs()));
    }
}

#[test]
fn after_a_restart_the_store_tells() {
    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_status_wrong_incarnation_400");
    let script = recorded(script, "GET", REMOTE, "checkpoints_remote");
    run(&script, SyncCheckpoint::new("p")).0.expect("there");
    script.finish();

    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_status_wrong_incarnation_400");
    let script = script.expect("GET", REMOTE).reply_json(200, "[]");
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("unknown outcome");
    assert!(error.is_ambiguous());
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    assert!(
        matches!(UnknownOutcome::of(&error), Some(UnknownOutcome::Sync { checkpoint }) if checkpoint.len() == 36),
        "{error:?}"
    );
    script.finish();
}

/// Before 0.337 the process is not named, and another one knows nothing of what was asked.
#[test]
fn an_old_servers_restart_ends_the_wait_for_the_store() {
    let mut looks = 0;
    let mut answer = |name: &str| {
        Some(match name {
            "sync_checkpoint" => (202, r#"{"checkpoint_uuid":"01990000-0000-7000-8000-00000000000b"}"#.to_owned()),
            "get_checkpoint_sync_status" => feldera("checkpoint_sync_status"),
            "get_remote_checkpoints" => (200, "[]".to_owned()),
            _ => {
                looks += 1;
                (200, if looks > 3 { restarted() } else { stats(|_| {}) })
            }
        })
    };
    let fake = Feldera::new(base(), Recorded::new(|name: &str, _: &str| answer(name)));
    let mut saved = Vec::new();
    let goal = SyncCheckpoint::new("p").timeout(Duration::from_secs(500));
    let result = fake.run_with(goal, |notice| {
        if let Notice::Persist(state) = notice {
            saved.push(state);
        }
    });
    let error = result.expect_err("another process");
    assert!(error.is_ambiguous(), "{error:?}");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    let script = looked(Script::new(), &restarted()).expect("GET", REMOTE).reply_json(200, "[]");
    let resumed = run(&script, SyncCheckpoint::resume(&saved[1]).expect("its own state")).0;
    assert!(resumed.expect_err("another process").is_ambiguous());
    script.finish();
}

#[test]
fn there_has_to_be_a_checkpoint_to_send() {
    let none = r#"{"message":"no checkpoints found; make a POST request to `/checkpoint` to make a new checkpoint","error_code":"400","details":null}"#;
    let script = recorded(calm(Script::new()), "GET", SYNC_BEFORE, "checkpoint_sync_status");
    let script = script.expect("POST", SYNC).reply_json(400, none);
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("none");
    assert!(error.to_string().contains("no checkpoints found"), "{error}");
    script.finish();
}

/// Another client sends a newer checkpoint between two polls: only the newer is reported, and the store knows of both.
#[test]
fn a_success_that_was_missed_is_looked_for_in_the_store() {
    let script = stored(told(sent(), Some(NEWER), None), OURS);
    assert_eq!(run(&script, SyncCheckpoint::new("p")).0.expect("there").checkpoint, OURS);
    script.finish();
    // It is over, and it is not there.
    let script = stored(told(sent(), Some(NEWER), None), NEWER);
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("unknown outcome");
    assert!(error.is_ambiguous() && error.to_string().contains("the store does not list it"), "{error:?}");
    script.finish();
    let rejection = json!({ "message": "no store", "error_code": "CheckpointFetchError", "details": null });
    let script = told(sent(), Some(NEWER), None).expect("GET", REMOTE).reply_json(500, rejection);
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("unknown outcome");
    assert!(error.is_ambiguous() && error.to_string().contains("could not be listed"), "{error:?}");
    script.finish();
    // An older checkpoint, that was sent before, says nothing; and the store is not asked over and over.
    let script = told(stored(told(sent(), Some(OLDER), None), OLDER), Some(OLDER), None);
    let script = told(script, Some(OURS), None);
    run(&script, SyncCheckpoint::new("p")).0.expect("there");
    script.finish();
}

/// The same with failures; and when nothing is told at all, the store is asked each minute.
#[test]
fn a_failure_that_was_missed_is_no_wait_without_an_end() {
    let wait = |failure: Option<&'static str>, is_there_after: usize| {
        let (mut asked, mut polls) = (0, 0);
        let mut answer = move |name: &str| {
            Some(match name {
                "get_pipeline_stats" => (200, stats(|_| {})),
                "sync_checkpoint" => feldera("checkpoint_sync_post"),
                "get_remote_checkpoints" => {
                    asked += 1;
                    (200, if asked > is_there_after { json!([{ "uuid": OURS }]) } else { json!([]) }.to_string())
                }
                _ => {
                    polls += 1;
                    let failure = failure.filter(|_| polls > 1).map(|uuid| json!({ "uuid": uuid, "error": "no" }));
                    (200, json!({ "success": null, "failure": failure, "periodic": null }).to_string())
                }
            })
        };
        let feldera = Feldera::new(base(), Recorded::new(move |name: &str, _: &str| answer(name)));
        let start = feldera.runtime().now();
        let result = feldera.run(SyncCheckpoint::new("p").timeout(Duration::from_secs(500)));
        (result, feldera.runtime().now().since(start).as_secs())
    };
    let (result, secs) = wait(Some(NEWER), usize::MAX);
    assert!(result.expect_err("unknown outcome").is_ambiguous());
    assert!((60..70).contains(&secs), "{secs}");
    assert!(matches!(wait(Some(NEWER), 0), (Ok(_), 0..5)));
    assert!(matches!(wait(Some(NEWER), 1), (Ok(_), 60..70)));
    let (result, _) = wait(Some(OLDER), usize::MAX);
    assert!(matches!(result, Err(FlowError::Deadline { .. })), "{result:?}");
    // And what was sent last is named.
    let error = result.expect_err("the time is up").to_string();
    assert!(error.ends_with(&format!("not sent yet; last success: none; last failure: {OLDER} (no)")), "{error}");
    assert!(matches!(wait(None, 0), (Ok(_), 60..70)));
    assert!(matches!(wait(None, 1), (Ok(_), 120..135)));
}

/// Before 0.337 a process may accept the request and die before it is looked at: the process that answers then is
/// another process.
#[test]
fn an_old_server_that_dies_after_the_request_is_missed() {
    let script = recorded(calm(Script::new()), "GET", SYNC_BEFORE, "checkpoint_sync_status");
    let script = script.expect("POST", SYNC).reply_json(202, json!({ "checkpoint_uuid": OURS }));
    let script = looked(script, &restarted()).expect("GET", REMOTE).reply_json(200, "[]");
    let (result, saved) = run(&script, SyncCheckpoint::new("p"));
    let error = result.expect_err("another process");
    assert!(error.is_ambiguous(), "{error:?}");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    script.finish();
    let script = stored(looked(Script::new(), &restarted()), OURS);
    run(&script, SyncCheckpoint::resume(&saved[1]).expect("its own state")).0.expect("there");
    script.finish();
}

/// Since 0.349 the process tells which checkpoints are being sent: the end of a repeated attempt is its own.
#[test]
fn a_failure_from_before_is_told_from_a_new_one_by_running() {
    let sync = json!({ "bucket": "b/orders", "start_from_checkpoint": null });
    let bucket = json!({ "storage": { "backend": { "name": "file", "config": { "sync": sync } } } });
    let old = (Release::V0_337, false, json!({}));
    for (release, is_told, config) in [old, (Release::V0_375, true, json!({})), (Release::V0_375, true, bucket)] {
        let has_bucket = config.get("storage").is_some();
        let goal = Deploy::new("p", "CREATE TABLE t (id BIGINT NOT NULL);");
        let goal = goal.runtime_config(serde_json::from_value(config).expect("settings"));
        let world = World::new(1);
        let config = Config { edition: Edition::Enterprise, release, ..Config::default() };
        let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), config);
        let feldera = Feldera::new(service.base(), world);
        feldera.run(goal).expect("it runs");
        feldera.run(Checkpoint::new("p")).expect("made");
        service.with(|manager| manager.fail_syncs("p", true));
        feldera.run(SyncCheckpoint::new("p")).expect_err("failed");
        let begun = feldera.runtime().now();
        let error = feldera.run(SyncCheckpoint::new("p")).expect_err("failed again, in the same way");
        assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
        assert_eq!(feldera.runtime().now().since(begun) < Duration::from_secs(10), is_told, "{release}");
        service.with(|manager| manager.fail_syncs("p", false));
        feldera.run(SyncCheckpoint::new("p")).expect("sent");
        // It is there already, and sending it again fails. If the store can be asked, that does not matter.
        service.with(|manager| manager.fail_syncs("p", true));
        assert_eq!(feldera.run(SyncCheckpoint::new("p")).is_err(), is_told && !has_bucket, "{release}");
    }
}

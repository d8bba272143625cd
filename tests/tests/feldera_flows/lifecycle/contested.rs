//! A second client, rejections, and pipelines that are neither running nor stopped.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::feldera::pipelines::DesiredStatus;
use pipewright::feldera::{ApproveBootstrap, ClearStorage, EnsurePaused, EnsureRunning, Feldera, Interruption, Stop};
use pipewright::flow::{Flow as _, Goal as _, Step};
use pipewright_mock::{START as START_TIME, Script};
use serde_json::json;

use super::{FORCE, START, STOP, Scripted as _, interruption, is, play, play_patiently, recorded, with};

const APPROVE: &str = "/v0/pipelines/p/approve";

/// A refusal with a code, and nothing else in it.
fn rejection(code: &str) -> serde_json::Value {
    json!({ "message": "no", "error_code": code, "details": null })
}

// ---- stopping ----------------------------------------------------------------------------------------------------

/// Another client stopped it and started it again: that is not taken back.
#[test]
fn a_start_after_somebody_elses_stop_is_left_alone() {
    for goal in [Stop::new("p"), Stop::forced("p")] {
        let script = Script::new().sees(is("Stopping", "Stopped")).sees(is("Provisioning", "Running"));
        let overruled = Interruption::Overruled { desired: DesiredStatus::Running };
        assert_eq!(interruption(play(&script, goal)), overruled);
    }
}

/// The stop's answer was lost, and by the next poll another client had started another deployment: the flow does not
/// stop it.
#[test]
fn another_deployment_is_not_stopped() {
    let other = with(is("Running", "Running"), "deployment_id", "another");
    let stop = |script: Script| script.sees(is("Running", "Running")).expect("POST", FORCE);
    let script = stop(Script::new()).reply_lost().sees(other.clone());
    let error = play(&script, Stop::forced("p")).expect_err("it runs");
    assert!(error.is_ambiguous() && error.to_string().contains("another client replaced deployment"), "{error}");
    let script = stop(Script::new()).reply_json(202, json!("Pipeline is forcefully stopping")).sees(other);
    assert!(matches!(interruption(play(&script, Stop::forced("p"))), Interruption::Replaced { .. }));
}

/// The clear's answer was lost. What is in use by the next poll is cleared again only if no other client can have put
/// it there since.
#[test]
fn storage_that_was_used_since_is_not_cleared() {
    let clear = "/v0/pipelines/p/clear";
    let used = || recorded("get_stopped_storage_in_use");
    let lost = || Script::new().sees(used()).expect("POST", clear).reply_lost();
    let script = lost().sees(used()).does("POST", clear, "clear_202").sees_recorded("p1_clear_02_stopped");
    assert!(play_patiently(&script, ClearStorage::new("p")).is_ok());
    // Another client has started it and stopped it again.
    let later = |pipeline| with(pipeline, "deployment_resources_status_since", "2026-08-22T20:00:00.000000Z");
    let error = play_patiently(&lost().sees(later(used())), ClearStorage::new("p")).expect_err("used again");
    assert!(error.is_ambiguous(), "{error:?}");
    assert_eq!(Interruption::of(&error), None);
    assert!(error.to_string().contains("the storage is in use"), "{error}");
    // The clear was carried out, and what there is now is as clear.
    let cleared = recorded("p1_clear_02_stopped");
    assert!(play_patiently(&lost().sees(later(cleared)), ClearStorage::new("p")).is_ok());
    // Only the times show it.
    let silent = || {
        let pipeline = with(used(), "deployment_resources_status_since", serde_json::Value::Null);
        with(pipeline, "deployment_status_since", serde_json::Value::Null)
    };
    let script = Script::new().sees(silent()).expect("POST", clear).reply_lost().sees(silent());
    assert!(play_patiently(&script, ClearStorage::new("p")).expect_err("no times").is_ambiguous());
}

/// A process that stops answering while it makes its checkpoint is not what a client wanted.
#[test]
fn a_stop_waits_for_a_process_that_does_not_answer() {
    let script = Script::new()
        .sees(is("Running", "Suspended"))
        .sees(is("Unavailable", "Unavailable"))
        .sees(is("Stopping", "Stopped"))
        .sees(is("Stopped", "Stopped"));
    assert!(play(&script, Stop::new("p")).is_ok());
}

#[test]
fn a_standby_is_named_as_such() {
    let script = || Script::new().sees(is("Standby", "Standby"));
    for result in [
        play(&script(), Stop::new("p")).map(|stopped| stopped.pipeline),
        play(&script(), EnsureRunning::new("p")),
        play(&script(), EnsurePaused::new("p")),
    ] {
        let error = result.expect_err("not so");
        assert_eq!(Interruption::of(&error), Some(&Interruption::Standby));
        assert!(error.to_string().contains("ActivatePipeline"), "{error}");
    }
    let script = script()
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees(is("Stopping", "Stopped"))
        .sees(is("Stopped", "Stopped"));
    assert!(play(&script, Stop::forced("p")).is_ok());
    // Another client ends the standby just now.
    let script = Script::new().sees(is("Standby", "Running")).sees(is("Running", "Running")).answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

/// A stop with a checkpoint shows when the runner has asked the process.
#[test]
fn a_stop_has_ten_seconds_to_show() {
    let stop = || Script::new().sees(is("Running", "Running")).does("POST", STOP, "stop_noforce_accepted");
    let script = stop()
        .sees(is("Running", "Running"))
        .sees(is("Running", "Running"))
        .sees(is("Running", "Suspended"))
        .sees(is("Stopped", "Stopped"));
    assert!(play(&script, Stop::new("p")).is_ok());
    let mut script = stop();
    for _ in 0..11 {
        script = script.sees(is("Running", "Running"));
    }
    let overruled = Interruption::Overruled { desired: DesiredStatus::Running };
    assert_eq!(interruption(play(&script, Stop::new("p"))), overruled);
}

/// A poll that was long on its way shows what was so when it was asked for, and not what is so when it comes.
#[test]
fn a_late_look_is_not_held_against_a_wish() {
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), Script::new());
    for (late, goes_on) in [(9, true), (11, false)] {
        let mut flow = EnsureRunning::new("p").start(feldera.config(), feldera.seed());
        let (mut now, mut reply, mut looks) = (START_TIME, None, 0);
        let result = loop {
            match flow.poll(now, reply.take()) {
                Step::Send(exchange) if exchange.info().name == "post_pipeline_resume" => {
                    reply = Some(exchange.settle(Ok(Response::new(Bytes::from_static(b"\"resuming\"")))));
                }
                Step::Send(exchange) if exchange.info().name == "get_pipeline_stats" => {
                    let stats = recorded("stats_after_transaction").to_string();
                    reply = Some(exchange.settle(Ok(Response::new(Bytes::from(stats)))));
                }
                Step::Send(exchange) => {
                    looks += 1;
                    let pipeline = if looks < 4 { is("Paused", "Paused") } else { is("Running", "Running") };
                    if looks == 3 {
                        // Asked for in time, or not; and under way for 20 s.
                        now = now + Duration::from_secs(20);
                    }
                    reply = Some(exchange.settle(Ok(Response::new(Bytes::from(pipeline.to_string())))));
                }
                // After the first poll of the outcome, the driver is late.
                Step::WaitUntil(at) if looks == 2 => now = at + Duration::from_secs(late),
                Step::WaitUntil(at) => now = at,
                Step::Notice(_) => {}
                Step::Done(result) => break result,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(result.is_ok(), goes_on, "{result:?}");
    }
}

// ---- refusals ----------------------------------------------------------------------------------------------------

/// A refusal that another poll cannot explain is the end, at once.
#[test]
fn a_rejection_for_good_is_no_reason_to_look_again() {
    let code = |error: &pipewright::error::FlowError| error.service().and_then(|error| error.code()).map(str::to_owned);
    for rejected in
        ["InsufficientPermissions", "InvalidBootstrapConfig", "InitialStandbyNotAllowed", "NewInTheNextRelease"]
    {
        let script =
            Script::new().sees(is("Stopped", "Stopped")).expect("POST", START).reply_json(400, rejection(rejected));
        let error = play(&script, EnsureRunning::new("p")).expect_err("refused");
        assert_eq!(code(&error).as_deref(), Some(rejected));
        for (goal, target) in [(Stop::new("p"), STOP), (Stop::forced("p"), FORCE)] {
            let script = Script::new().sees(is("Running", "Running")).expect("POST", target);
            let error = play(&script.reply_json(403, rejection(rejected)), goal).expect_err("refused");
            assert_eq!(code(&error).as_deref(), Some(rejected));
        }
        let clear = "/v0/pipelines/p/clear";
        let script = Script::new().sees_recorded("get_stopped_storage_in_use").expect("POST", clear);
        let error = play(&script.reply_json(403, rejection(rejected)), ClearStorage::new("p")).expect_err("refused");
        assert_eq!(code(&error).as_deref(), Some(rejected));
    }
}

/// Another client was faster, with another policy: what it was started with cannot be changed, and it runs.
#[test]
fn a_start_with_another_policy_is_a_start() {
    let script = Script::new()
        .sees(is("Stopped", "Stopped"))
        .expect("POST", START)
        .reply_json(400, rejection("BootstrapPolicyImmutableUnlessStopped"))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

// ---- errors ------------------------------------------------------------------------------------------------------

/// The start was carried out although its answer was lost, and its result is not forgotten.
#[test]
fn the_error_of_a_start_without_an_answer_is_not_dismissed() {
    let script = Script::new()
        .sees_recorded("standby_get_stopped")
        .expect("POST", START)
        .reply_lost()
        .sees_recorded("badfile_get_stopped");
    let error = play(&script, EnsureRunning::new("p")).expect_err("it could not start");
    assert!(error.is_ambiguous() && error.to_string().contains("InitializationError"), "{error}");
    // Another client's start, while the storage was being cleared.
    let script = Script::new()
        .sees(with(is("Stopped", "Stopped"), "storage_status", "Clearing"))
        .sees_recorded("badfile_get_stopped");
    assert!(matches!(interruption(play(&script, EnsureRunning::new("p"))), Interruption::Crashed(_)));
}

// ---- approving ---------------------------------------------------------------------------------------------------

#[test]
fn a_process_that_does_not_answer_is_not_up() {
    let awaits =
        with(is("AwaitingApproval", "Running"), "deployment_id", recorded("unavailable_get")["deployment_id"].clone());
    let back = |status| with(is(status, "Running"), "deployment_id", awaits["deployment_id"].clone());
    let script = Script::new()
        .sees(awaits.clone())
        .does("POST", APPROVE, "approve_when_not_awaiting")
        .sees_recorded("unavailable_get")
        .sees(back("Bootstrapping"))
        .sees(back("Running"))
        .answers("Running");
    assert_eq!(play(&script, ApproveBootstrap::new("p")).expect("it runs").deployment_status.as_str(), "Running");
}

/// An approval that has no effect is repeated each ten seconds, and not for ever.
#[test]
fn an_approval_without_an_effect_is_said_to_be_so() {
    let mut script = Script::new();
    for _ in 0..8 {
        script = script.sees(is("AwaitingApproval", "Running")).does("POST", APPROVE, "approve_when_not_awaiting");
        // At once and after 50, 150, 350, 750 ms, 1.55 s, and then each two seconds.
        for _ in 0..10 {
            script = script.sees(is("AwaitingApproval", "Running"));
        }
    }
    let script = script.sees(is("AwaitingApproval", "Running"));
    assert_eq!(interruption(play(&script, ApproveBootstrap::new("p"))), Interruption::AwaitingApproval);
}

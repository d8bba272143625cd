//! Resizing a running pipeline: what the flow waits for, and what it does not claim.

use std::time::Duration;

use pipewright::error::FlowError;
use pipewright::feldera::{ByteSize, Deploy, ErrorCode, Feldera, Interruption, Resize, error_code};
use pipewright_mock::feldera::{Config, Release};
use pipewright_mock::{Script, World};
use pipewright_tests::recorded::Recorded;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Scripted as _, interruption, is, play, with};

const PATCH: &str = "/v0/pipelines/p";
const WANTED: ByteSize = ByteSize::from_gib(16);

/// A running pipeline; `null` for what the server does not show.
fn running(stored: impl Into<Value>, used: impl Into<Value>) -> Value {
    let pipeline =
        with(is("Running", "Running"), "deployment_config", json!({ "resources": { "memory_max": stored.into() } }));
    with(pipeline, "deployment_runtime_status_details", json!({ "memory_max": used.into() }))
}

fn resize() -> Resize {
    Resize::new("p").memory_max(WANTED)
}

fn patch(script: Script) -> pipewright_mock::Expectation {
    script.expect("PATCH", PATCH).json(json!({ "deployment_config": { "resources": { "memory_max": "16Gi" } } }))
}

#[test]
fn the_process_is_waited_for_and_sizes_are_compared_by_value() {
    let script = Script::new().sees_all(running("8Gi", "8Gi"));
    let script = patch(script)
        .reply_json(200, running("16384Mi", "8Gi"))
        .sees_all(running("16Gi", "8Gi"))
        // It does not answer for a moment; and a release may leave out what is stored.
        .sees_all(with(running("16Gi", Value::Null), "deployment_status", "Unavailable"))
        .sees_all(with(running(Value::Null, "17179869184B"), "deployment_config", Value::Null));
    let resized = play(&script, resize()).expect("it has the memory");
    assert_eq!((resized.memory_max, resized.changed), (Some(WANTED), true));
}

/// On a simulated server, which changes the process a little later. An older one ignores the sizes.
#[test]
fn a_simulated_pipeline_is_resized() {
    for release in Release::ALL {
        let world = World::new(7);
        let config = Config { release, ..Config::default() };
        let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), config);
        let feldera = Feldera::new(service.base(), world);
        feldera.run(Deploy::new("p", "CREATE TABLE t (id BIGINT NOT NULL);")).expect("it is up");
        let result = feldera.run(resize());
        if release < Release::V0_375 {
            let error = result.expect_err("ignored");
            assert!(error.to_string().contains("older than 0.375"), "{release}: {error}");
            continue;
        }
        let resized = result.expect("it has the memory");
        assert_eq!((resized.memory_max, resized.changed), (Some(WANTED), true));
        let again = feldera.run(resize()).expect("it has the memory already");
        assert_eq!((again.memory_max, again.changed), (Some(WANTED), false));
    }
}

#[test]
fn what_is_so_already_is_not_asked_for() {
    // Another client's start: early starts show as `Stopped` until the program is compiled.
    let script = ["Stopped", "Provisioning", "Coordination", "Initializing"]
        .into_iter()
        .fold(Script::new(), |script, status| {
            script.sees_all(with(is(status, "Running"), "deployment_config", Value::Null))
        });
    let resized = play(&script.sees_all(running("16384Mi", "16Gi")), resize()).expect("nothing to do");
    assert_eq!((resized.memory_max, resized.changed), (Some(WANTED), false));
}

/// Another client stops and starts the pipeline: what is seen next is not the deployment that was resized.
#[test]
fn processors_of_a_deployment_that_is_gone_are_not_claimed() {
    let stored = json!({ "resources": { "cpu_cores_max": 4 } });
    let before = running("8Gi", "8Gi");
    let after = with(before.clone(), "deployment_config", stored);
    for seen in [
        with(is("Stopped", "Running"), "deployment_config", Value::Null),
        with(is("Stopping", "Running"), "deployment_config", Value::Null),
        with(after.clone(), "deployment_id", Value::Null),
    ] {
        let script = Script::new().sees_all(before.clone()).expect("PATCH", PATCH).reply_json(200, &after);
        let error = play(&script.sees_all(seen), Resize::new("p").cpu_cores_max(4.0));
        assert_eq!(interruption(error), Interruption::Restarted);
    }
}

/// The error says which sizes are stored and used.
#[test]
fn memory_that_the_runner_does_not_provide_is_named_at_the_deadline() {
    let service = Recorded::new(|_: &str, _: &str| Some((200, running("16Gi", "8Gi").to_string())));
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), &service);
    let error = feldera.run(resize().timeout(Duration::from_secs(60))).expect_err("it never has the memory");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error}");
    assert!(error.to_string().contains("stored memory_max 16Gi, used memory_max 8Gi"), "{error}");
}

/// Nothing shows which processors and which minimum memory a process has.
#[test]
fn processors_are_requested_and_not_claimed() {
    let sent = json!({ "cpu_cores_min": 1.0, "cpu_cores_max": 4.0, "memory_min": "1G" });
    let body = json!({ "deployment_config": { "resources": sent } });
    let stored = json!({ "cpu_cores_min": 1, "cpu_cores_max": 4, "memory_min": "1000M", "memory_max": "8Gi" });
    let stored = json!({ "resources": stored });
    let after = with(running("8Gi", "8Gi"), "deployment_config", stored);
    let script =
        Script::new().sees_all(running("8Gi", "8Gi")).expect("PATCH", PATCH).json(body).reply_json(200, &after);
    let goal = Resize::new("p").cpu_cores_min(1.0).cpu_cores_max(4.0).memory_min(ByteSize::from_mb(1000));
    let resized = play(&script.sees_all(after), goal).expect("it is stored");
    assert_eq!((resized.memory_max, resized.changed), (None, true));
}

#[test]
fn a_rejection_is_told_as_the_server_says_it() {
    let reason = "cpu_cores_min (9) exceeds cpu_cores_max (8)";
    for (status, code, details) in [
        (400, ErrorCode::InvalidDeploymentPatch, json!({ "reason": reason })),
        (400, ErrorCode::DeploymentRestrictedToRunning, Value::Null),
        (405, ErrorCode::UnsupportedPipelineAction, json!({ "action": "resize", "reason": reason })),
    ] {
        let body = json!({ "message": format!("no: {reason}"), "error_code": code.as_str(), "details": details });
        let script = patch(Script::new().sees_all(running("8Gi", "8Gi"))).reply_json(status, body);
        let error = play(&script, resize()).expect_err("rejected");
        assert_eq!(error.service().and_then(error_code), Some(code));
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// An older server ignores a field that it does not know.
#[test]
fn a_server_that_ignores_the_sizes_is_found_out() {
    let script = patch(Script::new().sees_all(is("Running", "Running"))).reply_json(200, is("Running", "Running"));
    let error = play(&script, resize()).expect_err("ignored");
    assert!(
        error.to_string().contains("older than 0.375") && error.to_string().contains("stop the pipeline"),
        "{error}"
    );
    let error = play(&Script::new(), Resize::new("p")).expect_err("nothing");
    assert!(error.to_string().contains("no size is given; set memory_max"), "{error}");
}

#[test]
fn an_end_or_another_clients_change_in_the_meantime_is_told() {
    let stopped = is("Stopping", "Stopped");
    let crashed = with(
        is("Stopped", "Stopped"),
        "deployment_error",
        json!({ "message": "out of memory", "error_code": "RuntimeError.WorkerPanic", "details": {} }),
    );
    let after = |seen: Value| {
        let script = patch(Script::new().sees_all(running("8Gi", "8Gi"))).reply_json(200, running("16Gi", "8Gi"));
        interruption(play(&script.sees_all(running("16Gi", "8Gi")).sees_all(seen), resize()))
    };
    assert_eq!(after(stopped.clone()), Interruption::Stopped);
    assert!(matches!(after(crashed), Interruption::Crashed(error) if error.message == "out of memory"));
    assert_eq!(after(with(running("16Gi", "8Gi"), "deployment_status", "Initializing")), Interruption::Restarted);
    assert!(matches!(
        after(with(running("16Gi", "16Gi"), "deployment_id", "another")),
        Interruption::Replaced { is, .. } if is == "another"
    ));
    assert_eq!(after(running("12Gi", "16Gi")), Interruption::Resized);
    assert_eq!(interruption(play(&Script::new().sees_all(stopped), resize())), Interruption::Stopped);
}

/// The pipeline shows afterwards whether the request was carried out.
#[test]
fn a_lost_answer_is_looked_for() {
    let lost = || patch(Script::new().sees_all(running("8Gi", "8Gi"))).reply_lost();
    let resized =
        play(&lost().sees_all(running("16Gi", "8Gi")).sees_all(running("16Gi", "16Gi")), resize()).expect("it was");
    assert_eq!((resized.memory_max, resized.changed), (Some(WANTED), true));
    let error = play(&lost().sees_all(running("8Gi", "8Gi")), resize()).expect_err("unknown");
    assert!(error.is_ambiguous(), "{error}");
    let error = play(&lost().sees_all(is("Stopped", "Stopped")), resize()).expect_err("unknown");
    let FlowError::Ambiguous(ambiguity) = &error else { panic!("{error}") };
    assert!(ambiguity.found.as_ref().is_some_and(|found| found.contains("stopped")), "{error}");
}

/// What a single poll shows.
#[derive(Clone, Debug)]
struct Seen {
    status: &'static str,
    desired: &'static str,
    stored: Option<&'static str>,
    used: Option<&'static str>,
    deployment: Option<&'static str>,
}

impl Seen {
    fn json(&self) -> String {
        let config = self.stored.map(|size| json!({ "resources": { "memory_max": size } }));
        let details = json!({ "memory_max": self.used });
        json!({ "deployment_status": self.status, "deployment_desired_status": self.desired,
            "deployment_id": self.deployment, "deployment_config": config,
            "deployment_runtime_status_details": details })
        .to_string()
    }

    fn is_resized(&self) -> bool {
        let is_wanted = |size: Option<&str>| matches!(size, Some("16Gi" | "16384Mi"));
        matches!(self.status, "Running" | "Paused") && self.desired != "Stopped" && is_wanted(self.used)
    }
}

fn seen() -> impl Strategy<Value = Seen> {
    let sizes = || prop_oneof![Just(None), Just(Some("8Gi")), Just(Some("16Gi")), Just(Some("16384Mi"))];
    let others = prop_oneof![Just("Unavailable"), Just("Initializing"), Just("Stopping"), Just("Stopped")];
    let status = prop_oneof![6 => Just("Running"), 1 => Just("Paused"), 4 => others];
    let deployment = prop_oneof![9 => Just(Some("a")), 1 => Just(Some("b"))];
    (status, sizes(), sizes(), deployment, any::<bool>()).prop_map(|(status, stored, used, deployment, starts)| {
        match status {
            // Another client starts it already: there is no deployment so far.
            "Stopped" if starts => Seen { status, desired: "Running", stored: None, used: None, deployment: None },
            "Stopped" | "Stopping" => Seen { status, desired: "Stopped", stored, used, deployment },
            _ => Seen { status, desired: "Running", stored, used, deployment },
        }
    })
}

proptest! {
    /// Whatever a server shows and whichever answers are lost, a success is what the last poll showed, the request is
    /// accepted at most once, and the flow ends.
    #[test]
    fn a_success_was_seen(
        polls in proptest::collection::vec((seen(), proptest::bool::weighted(0.9)), 1..12),
        patches in proptest::collection::vec(proptest::option::weighted(0.7, seen()), 1..6),
    ) {
        let (mut poll, mut patch, mut accepted) = (0, 0, 0);
        let mut last = None;
        let service = Recorded::new(|name: &str, _: &str| {
            if name == "get_pipeline" {
                let (seen, arrives) = &polls[poll.min(polls.len() - 1)];
                // The last poll repeats, and always arrives.
                let is_last = poll >= polls.len() - 1;
                poll += 1;
                return (*arrives || is_last).then(|| {
                    last = Some(seen.clone());
                    (200, seen.json())
                });
            }
            let answer = patches[patch % patches.len()].as_ref();
            patch += 1;
            accepted += usize::from(answer.is_some());
            answer.map(|seen| (200, seen.json()))
        });
        let goal = resize().timeout(Duration::from_secs(600));
        let result = Feldera::new("http://feldera.test".parse().expect("a base"), &service).run(goal);
        prop_assert!(accepted <= 1, "{accepted} accepted requests");
        match result {
            Ok(resized) => {
                let last = last.expect("a poll");
                prop_assert!(last.is_resized(), "{last:?}");
                prop_assert_eq!(resized.memory_max, Some(WANTED));
                prop_assert_eq!(resized.changed, patch > 0);
            }
            Err(FlowError::Ambiguous(_)) => prop_assert!(patch > accepted, "every request was answered"),
            Err(FlowError::Failed(_) | FlowError::Deadline { .. }) => {}
            Err(error) => prop_assert!(matches!(error, FlowError::Transport(_)), "{error:?}"),
        }
    }
}

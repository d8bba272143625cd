//! Releases before 0.148: a start has no parameters and resumes too, and a pause starts as paused.

use pipewright::feldera::{Deploy, EnsurePaused, EnsureRunning, Interruption};
use pipewright_mock::Script;
use serde_json::Value;

use super::{START, Scripted as _, interruption, is, play, with};

/// As such a release shows a pipeline.
fn old(status: &str, desired: &str) -> Value {
    let mut pipeline = is(status, desired);
    let fields = pipeline.as_object_mut().expect("an object");
    fields.retain(|name, _| !name.contains("_resources_") && !name.contains("_runtime_") && name != "deployment_id");
    pipeline
}

const PAUSE: &str = "/v0/pipelines/p/pause";
const PLAIN: &str = "/v0/pipelines/p/start";

#[test]
fn a_start_as_paused_is_a_pause() {
    let script = Script::new()
        .sees(old("Stopped", "Stopped"))
        .does("POST", PAUSE, "pause_when_paused_202")
        .sees(old("Stopped", "Paused"))
        .sees(old("Initializing", "Paused"))
        .sees(old("Paused", "Paused"))
        .answers("Paused");
    assert_eq!(play(&script, EnsurePaused::new("p")).expect("paused").deployment_status.as_str(), "Paused");
}

#[test]
fn a_resume_is_a_start() {
    let script = Script::new()
        .sees(old("Paused", "Paused"))
        .does("POST", PLAIN, "panic_start_202")
        .sees(old("Paused", "Running"))
        .sees(old("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

/// The start forgets an older error, and there is no way to do so before.
#[test]
fn an_older_error_goes_with_the_start() {
    let error = serde_json::json!({ "message": "gone", "error_code": "RunnerCheckError", "details": null });
    let script = Script::new()
        .sees(with(old("Stopped", "Stopped"), "deployment_error", error))
        .does("POST", PLAIN, "panic_start_202")
        .sees(old("Provisioning", "Running"))
        .sees(old("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

/// A crash does not become a stop because a release shows the error in another form.
#[test]
fn an_error_in_another_form_is_an_error() {
    let script = Script::new().sees(is("Stopped", "Stopped")).does("POST", START, "panic_start_202").sees(with(
        is("Stopped", "Stopped"),
        "deployment_error",
        "out of memory",
    ));
    let Interruption::Crashed(error) = interruption(play(&script, EnsureRunning::new("p"))) else { panic!("no crash") };
    assert_eq!(error.message, "an error in a form that is not known: \"out of memory\"");
    assert_eq!(error.error_code.as_str(), "UnreadableError");
}

#[test]
fn a_deployment_as_paused_never_runs() {
    let whole = |status, desired| with(old(status, desired), "program_code", "CREATE TABLE t (x INT);");
    let script = Script::new()
        .sees_all(whole("Stopped", "Stopped"))
        .sees(old("Stopped", "Stopped"))
        .sees_all(whole("Stopped", "Stopped"))
        .sees(old("Stopped", "Stopped"))
        .does("POST", PAUSE, "pause_when_paused_202")
        .sees(old("Paused", "Paused"))
        .answers("Paused");
    assert!(play(&script, Deploy::new("p", "CREATE TABLE t (x INT);").paused(true)).is_ok());
}

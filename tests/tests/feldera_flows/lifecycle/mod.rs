//! The flows about the life of a pipeline, case by case, with exact answers, most of which a real Feldera sent.

mod compiling;
mod confirmed;
mod contested;
mod delays;
mod deploy;
mod deploy_settings;
mod recompiling;
mod releases;
mod resize;

use std::time::Duration;

use pipewright::error::FlowError;
use pipewright::feldera::pipelines::{DesiredStatus, ProgramStatus};
use pipewright::feldera::{
    ApproveBootstrap, ClearStorage, Compile, EnsurePaused, EnsureRunning, ErrorCode, Feldera, FelderaApi, Interruption,
    Stop, error_code,
};
use pipewright::flow::{Config, Goal, Retry};
use pipewright_mock::Script;
use pipewright_tests::recorded::feldera;
use serde_json::Value;

const STATUS: &str = "/v0/pipelines/p?selector=status";
const STATS: &str = "/v0/pipelines/p/stats";
const ALL: &str = "/v0/pipelines/p?selector=all";
const START: &str = "/v0/pipelines/p/start?dismiss_error=false";

/// Plays a script; an answer is waited for once, so that a lost one stays lost.
fn play<G: Goal<Service = FelderaApi>>(script: &Script, goal: G) -> Result<G::Output, FlowError> {
    let config = Config::new("http://feldera.test".parse().expect("a base")).with_retry(Retry::never());
    let result = Feldera::with_config(config, script.clone()).run(goal);
    script.clone().finish();
    result
}

/// Plays a script as a user does who has set nothing.
fn play_patiently<G: Goal<Service = FelderaApi>>(script: &Script, goal: G) -> Result<G::Output, FlowError> {
    let result = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone()).run(goal);
    script.clone().finish();
    result
}

trait Scripted {
    /// A poll shows this.
    fn sees(self, pipeline: Value) -> Script;
    /// A poll of the whole pipeline shows this.
    fn sees_all(self, pipeline: Value) -> Script;
    /// A poll shows what was recorded.
    fn sees_recorded(self, name: &str) -> Script;
    /// This request is answered as it was recorded.
    fn does(self, method: &str, target: &str, name: &str) -> Script;
    /// The process answers a request for its statistics, with this state.
    fn answers(self, state: &str) -> Script;
}

impl Scripted for Script {
    fn sees(self, pipeline: Value) -> Script {
        self.expect("GET", STATUS).reply_json(200, pipeline)
    }

    fn sees_all(self, pipeline: Value) -> Script {
        self.expect("GET", ALL).reply_json(200, pipeline)
    }

    fn sees_recorded(self, name: &str) -> Script {
        self.does("GET", STATUS, name)
    }

    fn does(self, method: &str, target: &str, name: &str) -> Script {
        let (status, body) = feldera(name);
        self.expect(method, target).reply_json(status, body)
    }

    fn answers(self, state: &str) -> Script {
        let mut body = recorded("stats_after_transaction");
        body["global_metrics"]["state"] = state.into();
        self.expect("GET", STATS).reply_json(200, body)
    }
}

/// A recorded pipeline that is, and is to be.
fn is(status: &str, desired: &str) -> Value {
    let (_, text) = feldera("p2_killed_01_running");
    let mut pipeline: Value = serde_json::from_str(&text).expect("JSON");
    pipeline["deployment_status"] = status.into();
    pipeline["deployment_desired_status"] = desired.into();
    if status == "Stopped" {
        pipeline["deployment_id"] = Value::Null;
    }
    pipeline
}

fn with(mut pipeline: Value, key: &str, value: impl Into<Value>) -> Value {
    pipeline[key] = value.into();
    pipeline
}

fn recorded(name: &str) -> Value {
    serde_json::from_str(&feldera(name).1).expect("JSON")
}

#[track_caller]
fn interruption<T: std::fmt::Debug>(result: Result<T, FlowError>) -> Interruption {
    let error = result.expect_err("interrupted");
    Interruption::of(&error).unwrap_or_else(|| panic!("{error:?}")).clone()
}

// ---- starting ----------------------------------------------------------------------------------------------------

/// `Stopped` is no end while the pipeline is to be something else; a compilation that fails is one, with its errors.
#[test]
fn an_early_start_waits_for_the_compiler() {
    let early = with(recorded("p7_early_start_01_stopped"), "deployment_desired_status", "Running");
    let script = Script::new()
        .sees_recorded("early_start_cancelled_get")
        .does("POST", START, "early_start_202")
        .sees(early.clone())
        .sees(with(early.clone(), "program_status", "CompilingRust"))
        .sees(with(early, "program_status", "Success"))
        .sees(is("Provisioning", "Running"))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert_eq!(play(&script, EnsureRunning::new("p")).expect("it runs").deployment_status.as_str(), "Running");
}

#[test]
fn a_start_of_a_program_that_does_not_compile_says_where() {
    let script = Script::new()
        .sees_recorded("early_start_cancelled_get")
        .does("POST", START, "early_start_202")
        .sees(with(recorded("badconn_get_sql_error"), "program_error", Value::Null))
        .does("GET", ALL, "badconn_get_sql_error");
    let Interruption::NotCompiled { status, error } = interruption(play(&script, EnsureRunning::new("p"))) else {
        panic!("the program is the reason")
    };
    assert_eq!(status, ProgramStatus::SqlError);
    assert!(error.sql_errors().all(|message| message.start_line_number == Some(1)));
}

#[test]
fn a_connector_that_cannot_start_ends_a_start() {
    let script = Script::new()
        .sees_recorded("standby_get_stopped")
        .does("POST", START, "badfile_start")
        .sees_recorded("p3_badfile_01_stopped")
        .sees(is("Provisioning", "Running"))
        .sees(is("Stopping", "Stopped"))
        .sees_recorded("badfile_get_stopped");
    let Interruption::Crashed(error) = interruption(play(&script, EnsureRunning::new("p"))) else {
        panic!("an error is the reason")
    };
    assert_eq!(error.error_code, ErrorCode::InitializationError);
}

/// An earlier error is dismissed first, so that it is not taken for one of this start.
#[test]
fn an_older_error_is_dismissed_first() {
    let script = Script::new()
        .sees_recorded("killed_get_stopped")
        .does("POST", "/v0/pipelines/p/dismiss_error", "pipeline_dismiss_error_200")
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", START, "panic_start_202")
        .sees_recorded("panic_get_right_after_restart")
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

/// Before 0.251 there is no such address, and the start forgets the error. The manager names the headers of CORS in
/// each answer; a proxy may add a line of its own, or remove `Vary`.
#[test]
fn an_old_release_forgets_errors_by_itself() {
    let vary = ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    let credentials = ("access-control-allow-credentials", "true");
    let lines: [&[(&str, &str)]; 3] = [&[vary], &[("vary", "accept-encoding"), vary], &[credentials]];
    for lines in lines {
        let mut script =
            Script::new().sees_recorded("killed_get_stopped").expect("POST", "/v0/pipelines/p/dismiss_error");
        for (name, value) in lines {
            script = script.reply_header(name, value);
        }
        let script = script
            .reply(404, "")
            .sees_recorded("killed_get_stopped")
            .does("POST", "/v0/pipelines/p/start", "panic_start_202")
            .sees(is("Running", "Running"))
            .answers("Running");
        assert!(play_patiently(&script, EnsureRunning::new("p")).is_ok(), "{lines:?}");
    }
}

/// An empty 404 without the headers of the manager is a proxy's: no sign of an old release.
#[test]
fn one_empty_404_of_a_proxy_is_no_old_release() {
    let script = Script::new()
        .sees_recorded("killed_get_stopped")
        .expect("POST", "/v0/pipelines/p/dismiss_error")
        .reply(404, "")
        .does("POST", "/v0/pipelines/p/dismiss_error", "pipeline_dismiss_error_200")
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", START, "panic_start_202")
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play_patiently(&script, EnsureRunning::new("p")).is_ok());
}

#[test]
fn a_stop_in_progress_is_waited_for() {
    let script = Script::new()
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", START, "start_while_stopping_400")
        .sees(is("Running", "Stopped"))
        .sees(is("Stopping", "Stopped"))
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", START, "panic_start_202")
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

#[test]
fn storage_that_is_being_cleared_is_waited_for() {
    let script = Script::new()
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", START, "start_while_clearing")
        .sees(with(is("Stopped", "Stopped"), "storage_status", "Clearing"))
        .sees_recorded("p1_clear_02_stopped")
        .does("POST", START, "panic_start_202")
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

/// Another client was faster and started it as paused: it is resumed once it is up, not before.
#[test]
fn a_start_as_something_else_is_resumed() {
    let script = Script::new()
        .sees_recorded("standby_get_stopped")
        .does("POST", START, "p1_start_again_different_initial")
        .sees_recorded("p7_early_start_01_stopped")
        .sees(is("Initializing", "Paused"))
        .sees(is("Paused", "Paused"))
        .does("POST", "/v0/pipelines/p/resume", "resume_202")
        // What it is to be shows when the runner has asked the process.
        .sees(is("Paused", "Paused"))
        .sees(is("Paused", "Running"))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
}

#[test]
fn another_wish_ends_a_start() {
    let start = || Script::new().sees_recorded("standby_get_stopped").does("POST", START, "panic_start_202");
    let script = start().sees(is("Provisioning", "Running")).sees(is("Running", "Paused"));
    let overruled = Interruption::Overruled { desired: DesiredStatus::Paused };
    assert_eq!(interruption(play(&script, EnsureRunning::new("p"))), overruled);

    let script =
        start().sees(is("Provisioning", "Running")).sees(is("Stopping", "Stopped")).sees(is("Stopped", "Stopped"));
    assert_eq!(interruption(play(&script, EnsureRunning::new("p"))), Interruption::Stopped);

    let other = with(is("Initializing", "Running"), "deployment_id", "another");
    let script = start().sees(is("Provisioning", "Running")).sees(other);
    let was = "01a20049-424c-7e02-8ec6-789b743a6e7c".to_owned();
    let replaced = Interruption::Replaced { was, is: "another".to_owned() };
    assert_eq!(interruption(play(&script, EnsureRunning::new("p"))), replaced);
}

/// A resume that was accepted has ten seconds to show.
#[test]
fn a_resume_that_does_not_show_was_overruled() {
    let mut script = Script::new().sees(is("Paused", "Paused")).does("POST", "/v0/pipelines/p/resume", "resume_202");
    // At 0, 50, 150, 350, 750 ms, 1.55 s and then each two seconds.
    for _ in 0..11 {
        script = script.sees(is("Paused", "Paused"));
    }
    let overruled = Interruption::Overruled { desired: DesiredStatus::Paused };
    assert_eq!(interruption(play(&script, EnsureRunning::new("p"))), overruled);
}

#[test]
fn a_bootstrap_has_to_be_approved() {
    let awaiting = recorded("runtime_status_details_awaiting_approval");
    let details = awaiting["deployment_runtime_status_details"].clone();
    let awaiting = with(is("AwaitingApproval", "Running"), "deployment_runtime_status_details", details);
    let script = Script::new()
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", START, "panic_start_202")
        .sees(awaiting.clone());
    let error = play(&script, EnsureRunning::new("p")).expect_err("another client has to");
    assert_eq!(Interruption::of(&error), Some(&Interruption::AwaitingApproval));
    let FlowError::Failed(failure) = &error else { panic!("{error:?}") };
    assert!(failure.details.as_ref().is_some_and(|diff| diff.contains(r#""added_views":["v2"]"#)), "{failure:?}");
    assert!(error.to_string().contains("ApproveBootstrap"), "{error}");

    let script = Script::new()
        .sees(awaiting.clone())
        .does("POST", "/v0/pipelines/p/approve?silent_bootstrap=true", "approve_when_not_awaiting")
        .sees(awaiting)
        .sees(is("Bootstrapping", "Running"))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, ApproveBootstrap::new("p").silent(true)).is_ok());
    let script = Script::new().sees(is("Stopped", "Stopped"));
    assert_eq!(interruption(play(&script, ApproveBootstrap::new("p"))), Interruption::Stopped);
}

/// A process that does not answer comes back by itself, or does not, and then it says why.
#[test]
fn an_unavailable_pipeline_is_waited_for() {
    let id = recorded("unavailable_get")["deployment_id"].clone();
    let back = with(is("Running", "Running"), "deployment_id", id);
    let script = Script::new().sees_recorded("unavailable_get").sees(back).answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());
    let script = Script::new().sees_recorded("unavailable_get").sees_recorded("killed_get_stopped");
    let Interruption::Crashed(error) = interruption(play(&script, EnsureRunning::new("p"))) else { panic!("killed") };
    assert_eq!(error.error_code, ErrorCode::RunnerCheckError);
}

/// 503 with `Retry-After` that never clears is not repeated: a poll tells more. It is, while a start is in progress.
#[test]
fn not_deployed_is_repeated_only_while_it_starts() {
    let pause = "/v0/pipelines/p/pause";
    let script = Script::new()
        .sees(is("Running", "Running"))
        .does("POST", pause, "stopped_post_pause")
        .sees_recorded("killed_get_stopped");
    assert!(matches!(interruption(play(&script, EnsurePaused::new("p"))), Interruption::Crashed(_)));

    let (status, rejection) = feldera("stopped_post_pause");
    let starting = rejection.replace(r#""desired_status":"Stopped""#, r#""desired_status":"Running""#);
    assert_ne!(rejection, starting);
    let script = Script::new()
        .sees(is("Running", "Running"))
        .expect("POST", pause)
        .reply_json(status, starting)
        .does("POST", pause, "pause_when_paused_202")
        .sees(is("Paused", "Paused"))
        .answers("Paused");
    let base = "http://feldera.test".parse().expect("a base");
    assert!(Feldera::new(base, script.clone()).run(EnsurePaused::new("p")).is_ok());
    script.finish();
}

/// A start whose answer is lost is looked up; if that fails, the outcome is unknown.
#[test]
fn a_start_without_an_answer_is_looked_for() {
    let start = || Script::new().sees_recorded("standby_get_stopped").expect("POST", START).reply_lost();
    let script = start().sees(is("Provisioning", "Running")).sees(is("Running", "Running")).answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok());

    let script = start()
        .sees_recorded("standby_get_stopped")
        .does("POST", START, "panic_start_202")
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, EnsureRunning::new("p")).is_ok(), "it had not arrived");

    let script = start().expect("GET", STATUS).reply(404, "<html>gone</html>");
    assert!(play(&script, EnsureRunning::new("p")).expect_err("unknown outcome").is_ambiguous());
}

#[test]
fn the_time_can_be_up() {
    let mut script = Script::new();
    for _ in 0..5 {
        script = script.sees(is("Provisioning", "Running"));
    }
    let error = play(&script, EnsureRunning::new("p").timeout(Duration::from_secs(1))).expect_err("it takes longer");
    assert!(matches!(error, FlowError::Deadline { waiting: "the pipeline to start", .. }), "{error:?}");
}

#[test]
fn an_unknown_pipeline_is_the_service_s_error() {
    let script = Script::new().does("GET", STATUS, "pipeline_delete_404");
    let error = play(&script, EnsureRunning::new("p")).expect_err("no such pipeline");
    assert_eq!(error.service().and_then(error_code), Some(ErrorCode::UnknownPipelineName));
}

// ---- compiling ---------------------------------------------------------------------------------------------------

#[test]
fn the_rust_can_be_wrong_too() {
    let script = Script::new().sees(with(is("Stopped", "Stopped"), "program_status", "RustError")).does(
        "GET",
        ALL,
        "rusterror_get",
    );
    let Interruption::NotCompiled { status, error } = interruption(play(&script, Compile::new("p"))) else {
        panic!("the program is the reason")
    };
    assert_eq!(status, ProgramStatus::RustError);
    assert!(error.rust_compilation.is_some_and(|rust| rust.exit_code.is_some_and(|code| code != 0)));
}

#[test]
fn warnings_are_no_failure() {
    let script = Script::new().sees(recorded("sqlwarning_get_success")).does("GET", ALL, "sqlwarning_get_success");
    let compiled = play(&script, Compile::new("p")).expect("it compiles");
    assert!(compiled.program_error.expect("warnings").sql_compilation.is_some_and(|sql| !sql.messages.is_empty()));
}

#[test]
fn an_edit_ends_the_wait_for_the_compiler() {
    let compiling = |version: i64| with(recorded("early_start_cancelled_get"), "program_version", version);
    let script = Script::new().sees(compiling(3)).sees(compiling(4));
    assert_eq!(interruption(play(&script, Compile::new("p"))), Interruption::Edited { was: 3, is: 4 });
    let script = Script::new().sees(compiling(4));
    assert_eq!(interruption(play(&script, Compile::new("p").version(3))), Interruption::Edited { was: 3, is: 4 });
}

// ---- stopping ----------------------------------------------------------------------------------------------------

const STOP: &str = "/v0/pipelines/p/stop";
const FORCE: &str = "/v0/pipelines/p/stop?force=true";

#[test]
fn a_stop_may_need_force() {
    let rejection = r#"{"message":"Cannot use enterprise-only feature (stop (without force)) in Feldera community edition.",
        "error_code":"EnterpriseFeature","details":{"feature":"stop (without force)"}}"#;
    let rejected = || Script::new().sees(is("Running", "Running")).expect("POST", STOP).reply_json(501, rejection);
    let error = play(&rejected(), Stop::new("p")).expect_err("no checkpoints");
    assert!(error.to_string().contains("Stop::forced"), "{error}");
    assert_eq!(error.service().and_then(error_code), Some(ErrorCode::EnterpriseFeature));

    let script = rejected()
        .sees(is("Running", "Running"))
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees(is("Running", "Stopped"))
        .sees_recorded("get_stopped_storage_in_use");
    assert_eq!(play(&script, Stop::new("p").or_forced()).expect("by force").checkpoint, None);
}

#[test]
fn a_checkpoint_that_fails_is_no_stop() {
    let script = Script::new()
        .sees(is("Running", "Running"))
        .does("POST", STOP, "stop_noforce_accepted")
        .sees(is("Running", "Suspended"))
        .sees_recorded("badfile_get_stopped");
    assert!(matches!(interruption(play(&script, Stop::new("p"))), Interruption::Crashed(_)));
    // By force it is: nothing was to be kept.
    let script = Script::new()
        .sees(is("Running", "Suspended"))
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees_recorded("badfile_get_stopped");
    assert!(play(&script, Stop::forced("p")).is_ok());
}

#[test]
fn a_stop_that_somebody_takes_back_is_none() {
    let overruled = Interruption::Overruled { desired: DesiredStatus::Running };
    let script = Script::new()
        .sees(is("Running", "Running"))
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees(is("Running", "Stopped"))
        .sees(is("Provisioning", "Running"));
    assert_eq!(interruption(play(&script, Stop::forced("p"))), overruled);
    let script = Script::new()
        .sees(is("Running", "Running"))
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees(is("Provisioning", "Running"));
    assert_eq!(interruption(play(&script, Stop::forced("p"))), overruled);
}

// ---- clearing ----------------------------------------------------------------------------------------------------

#[test]
fn storage_is_cleared_once_and_only_at_rest() {
    let clear = "/v0/pipelines/p/clear";
    let script = Script::new()
        .sees(is("Stopping", "Stopped"))
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", clear, "clear_202")
        .sees(with(is("Stopped", "Stopped"), "storage_status", "Clearing"))
        .sees_recorded("p1_clear_02_stopped");
    assert!(play(&script, ClearStorage::new("p")).is_ok());
    let script = Script::new().sees(is("Running", "Running"));
    assert_eq!(interruption(play(&script, ClearStorage::new("p"))), Interruption::StorageInUse);
    let script = Script::new()
        .sees_recorded("get_stopped_storage_in_use")
        .does("POST", clear, "clear_202")
        .sees_recorded("get_stopped_storage_in_use");
    assert_eq!(interruption(play(&script, ClearStorage::new("p"))), Interruption::StorageInUse);
}

//! Whether the program or the platform is the cause if a program does not compile; and compiling again.

use pipewright::error::FlowError;
use pipewright::feldera::pipelines::{CreatePipeline, GetPipeline, PatchPipeline, ProgramStatus};
use pipewright::feldera::{Change, Compile, Deploy, EnsureRunning, Feldera, Interruption};
use pipewright_mock::feldera::{CompilerFailure, Config};
use pipewright_mock::{FelderaHandle, Script, World};
use serde_json::json;

use super::{ALL, Scripted as _, interruption, is, play, recorded, with};

const SQL: &str = "CREATE TABLE t (x INT);";
const FULL: &str = "copying file 'a' to 'b': No space left on device (os error 28)";

fn failed(status: &str) -> serde_json::Value {
    with(is("Stopped", "Stopped"), "program_status", status)
}

struct Scene {
    service: FelderaHandle,
    feldera: Feldera<World>,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(1);
        let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), Config::default());
        let feldera = Feldera::new(service.base(), world);
        Self { service, feldera }
    }

    fn fail_compilations(&self, failure: impl Into<Option<CompilerFailure>>) {
        self.service.with(|manager| manager.fail_compilations(failure));
    }

    fn fill_the_disk(&self) {
        self.fail_compilations(CompilerFailure::System(FULL.to_owned()));
    }

    fn code(&self) -> String {
        self.feldera.call(GetPipeline::new("p")).expect("it is there").program_code.expect("all of it")
    }

    fn changes(&self) -> usize {
        self.service.with(|manager| manager.requests().filter(|request| request.method == "PATCH").count())
    }
}

fn is_of_platform(result: Result<impl std::fmt::Debug, FlowError>) -> bool {
    matches!(interruption(result), Interruption::CompilerFailed { .. })
}

#[test]
fn a_system_error_is_the_platforms_fault_and_says_since_when() {
    let script = || Script::new().sees(failed("SystemError")).does("GET", ALL, "pipeline_get_all_rust_error_p0");
    for error in [
        play(&script(), Compile::new("p")).expect_err("it failed"),
        play(&script(), EnsureRunning::new("p")).expect_err("it failed"),
    ] {
        let Some(Interruption::CompilerFailed { status, since, error: said }) = Interruption::of(&error) else {
            panic!("{error}")
        };
        assert_eq!((status, since.as_deref()), (&ProgramStatus::SystemError, Some("2026-11-21T22:24:45.027976Z")));
        assert!(said.system_error.as_ref().is_some_and(|text| text.starts_with("copying file")));
        let text = error.to_string();
        assert!(!text.contains("does not compile"), "{text}");
        for part in ["the platform failed", "since 2026-11-21T22:24:45.027976Z", "copying file", "Deploy::recompile"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_rust_error_without_a_diagnostic_is_the_platforms_fault() {
    let killed = "   Compiling dbsp v0.337.0\nerror: could not compile `main` (bin \"main\")\n\nCaused by:\n  \
        process didn't exit successfully: `rustc` (signal: 9, SIGKILL: kill)\n";
    let mut whole = recorded("rusterror_get");
    whole["program_error"]["rust_compilation"]["stderr"] = json!(killed);
    let script = Script::new().sees(failed("RustError")).sees_all(whole);
    let error = play(&script, Compile::new("p")).expect_err("it failed");
    assert!(matches!(Interruption::of(&error), Some(Interruption::CompilerFailed { .. })), "{error}");
    // The first error comes first, and crates that did compile are left out.
    assert!(error.to_string().contains("): error: could not compile `main`"), "{error}");
    let FlowError::Failed(failure) = &error else { panic!("{error:?}") };
    let details = failure.details.as_deref().expect("the output");
    assert!(details.contains("SIGKILL") && !details.contains("Compiling"), "{details}");
}

#[test]
fn a_compiler_that_fails_at_the_validation_stops_nothing() {
    let running = with(is("Running", "Running"), "program_code", "CREATE TABLE u (x INT);");
    let script = Script::new()
        .sees_all(running)
        .expect("POST", "/v0/validate_program")
        .reply_json(200, json!({ "SystemError": { "error": FULL } }));
    let Interruption::CompilerFailed { status, since, .. } = interruption(play(&script, Deploy::new("p", SQL))) else {
        panic!("the platform is the reason")
    };
    assert_eq!((status, since), (ProgramStatus::SystemError, None));
}

/// No Rust is compiled for the Gen-2 engine, so its programs may stay `SqlCompiled`.
#[test]
fn a_program_of_the_gen_2_engine_is_compiled_when_its_sql_is() {
    let seen = |runtime: &str| {
        let pipeline = with(is("Stopped", "Stopped"), "program_status", "SqlCompiled");
        with(pipeline, "program_config", json!({ "runtime_version": runtime }))
    };
    let whole = |runtime: &str, udf: &str| with(seen(runtime), "udf_rust", udf);
    for runtime in ["gen2", "gen2:0123abc"] {
        let script = Script::new().sees(seen(runtime)).sees_all(whole(runtime, "\n"));
        let compiled = play(&script, Compile::new("p")).expect("it is compiled");
        assert_eq!(compiled.program_status, Some(ProgramStatus::SqlCompiled));
    }
    // User-defined functions are Rust. The whole object is read once.
    let success = || with(is("Stopped", "Stopped"), "program_status", "Success");
    let script = Script::new().sees(seen("gen2")).sees_all(whole("gen2", "fn f() {}")).sees(seen("gen2"));
    let compiled = play(&script.sees(success()).sees_all(success()), Compile::new("p")).expect("it is compiled");
    assert_eq!(compiled.program_status, Some(ProgramStatus::Success));
    // Every other runtime needs Rust.
    for runtime in ["v0.375.0", "gen20"] {
        let script = Script::new().sees(seen(runtime)).sees(success()).sees_all(success());
        let compiled = play(&script, Compile::new("p")).expect("it is compiled");
        assert_eq!(compiled.program_status, Some(ProgramStatus::Success), "{runtime}");
    }
}

/// Without `recompile` the verdict of a full disk lasts for ever.
#[test]
fn a_deployment_compiles_again_what_the_platform_failed_to_compile() {
    let scene = Scene::new();
    scene.fill_the_disk();
    assert!(is_of_platform(scene.feldera.run(Deploy::new("p", SQL))));
    scene.fail_compilations(None);
    assert!(is_of_platform(scene.feldera.run(Deploy::new("p", SQL))), "nothing has changed");
    let deployed = scene.feldera.run(Deploy::new("p", SQL).recompile(true)).expect("the disk is not full any more");
    assert_eq!((deployed.change, deployed.restarted), (Change::None, false));
    assert_eq!(scene.code(), SQL, "the program is the same");
    assert_eq!(scene.changes(), 2);
    // And nothing is left to do.
    scene.feldera.run(Deploy::new("p", SQL).recompile(true)).expect("it runs");
    assert_eq!(scene.changes(), 2);
}

#[test]
fn a_compilation_is_repeated_once_at_the_most() {
    let scene = Scene::new();
    scene.fill_the_disk();
    scene.feldera.call(CreatePipeline::new("p", SQL)).expect("made");
    assert!(is_of_platform(scene.feldera.run(Compile::new("p").recompile(true))));
    assert_eq!((scene.changes(), scene.code().as_str()), (2, SQL));
    scene.fail_compilations(None);
    let compiled = scene.feldera.run(Compile::new("p").version(3).recompile(true)).expect("compiled");
    assert_eq!((compiled.program_status, compiled.program_version), (Some(ProgramStatus::Success), Some(5)));
}

#[test]
fn a_program_that_is_wrong_is_not_compiled_again() {
    let scene = Scene::new();
    let wrong = "CREATE VIEW v AS SELECT * FROM nosuch;";
    let result = scene.feldera.run(Deploy::new("p", wrong).recompile(true));
    assert!(matches!(interruption(result), Interruption::NotCompiled { .. }));
    assert_eq!(scene.changes(), 0);
}

/// A flow that ended between its two changes has left a line feed.
#[test]
fn a_recompilation_that_was_interrupted_is_put_right_by_the_next_deployment() {
    let scene = Scene::new();
    scene.fill_the_disk();
    assert!(is_of_platform(scene.feldera.run(Deploy::new("p", SQL))));
    scene.feldera.call(PatchPipeline::new("p").program_code(format!("{SQL}\n"))).expect("changed");
    scene.fail_compilations(None);
    let deployed = scene.feldera.run(Deploy::new("p", SQL)).expect("it runs");
    assert_eq!((deployed.change, scene.code().as_str()), (Change::Updated, SQL));
}

/// Another client has put another program since: it is not overwritten.
#[test]
fn another_clients_program_is_not_compiled_again() {
    let theirs = with(failed("SystemError"), "program_version", 2);
    let script = Script::new()
        .sees(failed("SystemError"))
        .does("GET", ALL, "pipeline_get_all_rust_error_p0")
        .sees_all(theirs.clone())
        .sees(theirs);
    let result = play(&script, Compile::new("p").recompile(true));
    assert_eq!(interruption(result), Interruption::Edited { was: 1, is: 2 });
    // One that was compiled meanwhile is as good.
    let script = Script::new()
        .sees(failed("SystemError"))
        .does("GET", ALL, "pipeline_get_all_rust_error_p0")
        .sees_all(is("Stopped", "Stopped"))
        .sees(is("Stopped", "Stopped"))
        .sees_all(is("Stopped", "Stopped"));
    assert!(play(&script, Compile::new("p").recompile(true)).is_ok());
}

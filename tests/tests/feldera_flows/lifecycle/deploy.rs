//! `Deploy`.

use std::time::Duration;

use pipewright::error::FlowError;
use pipewright::feldera::pipelines::{DesiredStatus, RuntimeConfig, Switch};
use pipewright::feldera::{Change, ConfigDuration, Deploy, Feldera, Interruption};
use pipewright_mock::feldera::Config;
use pipewright_mock::transcript::{self, Recorder};
use pipewright_mock::{Fault, FaultPlan, Script, World};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::{Value, json};

use super::{ALL, FORCE, START, Scripted as _, interruption, is, play, with};

pub(super) const SQL: &str = "CREATE TABLE t (x INT);";
pub(super) const OBJECT: &str = "/v0/pipelines/p";
const OTHER: &str = "CREATE TABLE u (x INT);";

/// All of a pipeline with [`SQL`].
pub(super) fn whole(status: &str, desired: &str) -> Value {
    let pipeline = with(is(status, desired), "program_code", SQL);
    with(with(pipeline, "description", "old"), "runtime_config", json!({ "workers": 8, "hosts": 1 }))
}

/// A server that says its version: deployments with a configuration ask for it.
pub(super) fn of_version(version: &str) -> Script {
    let body = json!({ "edition": "Open source", "version": version, "revision": "", "changelog_url": "" });
    Script::new().expect("GET", "/v0/config").reply_json(200, body)
}

#[test]
fn nothing_is_done_when_nothing_changes() {
    let script =
        of_version("0.337.0").sees_all(whole("Running", "Running")).sees(is("Running", "Running")).answers("Running");
    let mut config = RuntimeConfig::default();
    config.workers = Some(8);
    let deployed = play(&script, Deploy::new("p", SQL).description("old").runtime_config(config)).expect("it runs");
    assert_eq!((deployed.change, deployed.restarted), (Change::None, false));
}

/// A recompilation that was interrupted leaves it.
#[test]
fn a_line_feed_more_stops_nothing() {
    let touched = |status, desired| with(whole(status, desired), "program_code", format!("{SQL}\n"));
    let script =
        Script::new().sees_all(touched("Running", "Running")).sees(is("Running", "Running")).answers("Running");
    let deployed = play(&script, Deploy::new("p", SQL)).expect("it runs");
    assert_eq!((deployed.change, deployed.restarted), (Change::None, false));
    // Nor is it another client's program after a change of something else.
    let script = Script::new()
        .sees_all(touched("Running", "Running"))
        .expect("PATCH", OBJECT)
        .json(r#"{"description":"new"}"#)
        .reply_json(200, with(touched("Running", "Running"), "description", "new"))
        .sees(is("Running", "Running"))
        .sees_all(touched("Running", "Running"))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert!(play(&script, Deploy::new("p", SQL).description("new")).is_ok());
}

#[test]
fn a_description_stops_nothing() {
    let script = Script::new()
        .sees_all(whole("Running", "Running"))
        .expect("PATCH", OBJECT)
        .json(r#"{"description":"new"}"#)
        .reply_json(200, with(whole("Running", "Running"), "description", "new"))
        .sees(is("Running", "Running"))
        .sees_all(whole("Running", "Running"))
        .sees(is("Running", "Running"))
        .answers("Running");
    let deployed = play(&script, Deploy::new("p", SQL).description("new")).expect("it runs");
    assert_eq!((deployed.change, deployed.restarted), (Change::Updated, false));
}

#[test]
fn sql_that_is_wrong_stops_nothing() {
    let script = Script::new().sees_all(whole("Running", "Running")).does(
        "POST",
        "/v0/validate_program",
        "validate_program_sqlerror_200",
    );
    let Interruption::NotCompiled { error, .. } = interruption(play(&script, Deploy::new("p", OTHER))) else {
        panic!("the program is the reason")
    };
    let message = error.sql_errors().next().expect("an error");
    assert_eq!((message.start_line_number, message.start_column), (Some(1), Some(8)));
}

fn replaced(script: Script) -> Script {
    let new = with(is("Stopped", "Stopped"), "program_version", 2);
    let up = |status| with(is(status, "Running"), "program_version", 2);
    script
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees_recorded("get_stopped_storage_in_use")
        .expect("PATCH", OBJECT)
        .json(format!(r#"{{"program_code":"{OTHER}"}}"#))
        .reply_json(200, with(new.clone(), "program_status", "Pending"))
        .sees(with(new.clone(), "program_status", "CompilingRust"))
        .sees(new.clone())
        .sees_all(new.clone())
        .sees(new)
        .does("POST", START, "panic_start_202")
        .sees(up("Initializing"))
        .sees(up("Running"))
        .answers("Running")
}

#[test]
fn another_program_is_stopped_for_changed_and_started() {
    let script = replaced(
        Script::new()
            .sees_all(whole("Running", "Running"))
            .expect("POST", "/v0/validate_program")
            .reply_json(200, r#"{"Success":{"program_info":{"schema":{"inputs":[],"outputs":[]}}}}"#)
            .sees(is("Running", "Running")),
    );
    let deployed = play(&script, Deploy::new("p", OTHER).force_stop(true)).expect("it runs");
    assert_eq!((deployed.change, deployed.restarted), (Change::Updated, true));
    // Before 0.324 the compiler cannot be asked first.
    let script = replaced(
        Script::new()
            .sees_all(whole("Running", "Running"))
            .expect("POST", "/v0/validate_program")
            .reply(404, "")
            .sees(is("Running", "Running")),
    );
    assert!(play(&script, Deploy::new("p", OTHER).force_stop(true)).is_ok());
}

/// Storage is on by default, so that a configuration without it is no request to switch it off.
#[test]
fn storage_that_is_to_be_off_is_switched_off_once() {
    let off = || {
        let mut config = RuntimeConfig::default();
        config.storage = Some(Switch::Off);
        Deploy::new("p", SQL).runtime_config(config)
    };
    let stores = |storage: Value| with(whole("Running", "Running"), "runtime_config", json!({ "storage": storage }));
    let script = of_version("0.337.0").sees_all(stores(json!(null))).sees(is("Running", "Running")).answers("Running");
    assert_eq!(play(&script, off()).expect("it runs").change, Change::None);

    let stopped = |storage: Value| with(whole("Stopped", "Stopped"), "runtime_config", json!({ "storage": storage }));
    let script = of_version("0.337.0")
        .sees_all(stopped(json!({ "backend": { "name": "default" } })))
        .expect("PATCH", OBJECT)
        .json(r#"{"runtime_config":{"storage":null}}"#)
        .reply_json(200, stopped(json!(null)))
        .sees(is("Stopped", "Stopped"))
        .sees_all(stopped(json!(null)))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert_eq!(play(&script, off()).expect("it runs").change, Change::Updated);
}

#[test]
fn what_the_storage_forbids_is_found_out_before_the_stop() {
    let mut config = RuntimeConfig::default();
    config.workers = Some(4);
    let script = of_version("0.337.0").sees_all(whole("Running", "Running"));
    let error = play(&script, Deploy::new("p", SQL).runtime_config(config)).expect_err("not with storage in use");
    assert!(error.to_string().contains("workers") && error.to_string().contains("ClearStorage"), "{error}");
    assert_eq!(Interruption::of(&error), Some(&Interruption::StorageInUse));
}

/// A pipeline that is made without an answer is looked for, and a pipeline that another client has made is changed.
#[test]
fn a_pipeline_is_made_once() {
    let create = || {
        let (status, unknown) = feldera("pipeline_delete_404");
        Script::new().expect("GET", ALL).reply_json(status, unknown).expect("POST", "/v0/pipelines")
    };
    let runs = |script: Script| {
        let script = script.sees(is("Stopped", "Stopped")).sees_all(whole("Stopped", "Stopped"));
        script.sees(is("Running", "Running")).answers("Running")
    };
    let script = runs(create().reply_lost().sees_all(whole("Stopped", "Stopped")));
    assert_eq!(play(&script, Deploy::new("p", SQL)).expect("it runs").change, Change::Created);

    let (status, duplicate) = feldera("pipeline_post_duplicate_409");
    let script = create()
        .reply_json(status, duplicate)
        .sees_all(with(whole("Stopped", "Stopped"), "program_code", OTHER))
        .expect("PATCH", OBJECT)
        .json(format!(r#"{{"program_code":"{SQL}"}}"#))
        .reply_json(200, whole("Stopped", "Stopped"));
    let deployed = play(&runs(script), Deploy::new("p", SQL)).expect("it runs");
    assert_eq!(deployed.change, Change::Updated, "another client has made it");

    // Another client has made the same.
    let (status, duplicate) = feldera("pipeline_post_duplicate_409");
    let script = runs(create().reply_json(status, duplicate).sees_all(whole("Stopped", "Stopped")));
    assert_eq!(play(&script, Deploy::new("p", SQL)).expect("it runs").change, Change::None);

    let script = create().reply_lost().expect("GET", ALL).reply(404, "<html>gone</html>");
    assert!(play(&script, Deploy::new("p", SQL)).expect_err("unknown outcome").is_ambiguous());
}

/// Started again by another client between the stop and the change.
#[test]
fn a_deployment_does_not_fight() {
    let script = Script::new()
        .sees_all(whole("Running", "Running"))
        .expect("POST", "/v0/validate_program")
        .reply(404, "")
        .sees(is("Running", "Running"))
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees_recorded("get_stopped_storage_in_use")
        .does("PATCH", OBJECT, "patch_program_while_running_400")
        .sees_all(whole("Provisioning", "Running"));
    let result = play(&script, Deploy::new("p", OTHER).force_stop(true));
    assert_eq!(interruption(result), Interruption::Overruled { desired: DesiredStatus::Running });
}

/// Changed by another client between the compilation and the start.
#[test]
fn another_program_than_the_one_put_is_no_success() {
    let script = Script::new()
        .sees_all(whole("Stopped", "Stopped"))
        .sees(is("Stopped", "Stopped"))
        .sees_all(whole("Stopped", "Stopped"))
        .sees(with(is("Running", "Running"), "program_version", 5))
        .answers("Running");
    let result = play(&script, Deploy::new("p", SQL));
    assert_eq!(interruption(result), Interruption::Edited { was: 1, is: 5 });
}

/// What was as it should be at the poll, another client changed before the stop was over: it is put, too.
#[test]
fn what_another_client_has_changed_meanwhile_is_changed_back() {
    let mut config = RuntimeConfig::default();
    config.max_buffering_delay = Some(ConfigDuration::from_micros(7));
    let configured = |pipeline| with(pipeline, "runtime_config", json!({ "max_buffering_delay_usecs": 7 }));
    let theirs = with(configured(whole("Stopped", "Stopped")), "program_code", OTHER);
    let ours = configured(whole("Stopped", "Stopped"));
    let script = of_version("0.337.0")
        .sees_all(whole("Stopped", "Stopped"))
        .expect("PATCH", OBJECT)
        .json(r#"{"runtime_config":{"workers":8,"hosts":1,"max_buffering_delay_usecs":7}}"#)
        .reply_json(200, theirs.clone())
        .sees_all(theirs)
        .expect("PATCH", OBJECT)
        .json(format!(r#"{{"program_code":"{SQL}"}}"#))
        .reply_json(200, with(ours.clone(), "program_version", 3))
        .sees(with(ours.clone(), "program_version", 3))
        .sees_all(with(ours, "program_version", 3))
        .sees(with(is("Running", "Running"), "program_version", 3))
        .answers("Running");
    assert_eq!(play(&script, Deploy::new("p", SQL).runtime_config(config)).expect("ours").change, Change::Updated);
}

/// A name that is taken, and a pipeline that is not there: the flow ends.
#[test]
fn a_service_that_contradicts_itself_is_left() {
    let mut created = 0;
    let mut answer = |name: &str| {
        let code = if name == "post_pipeline" { "DuplicateName" } else { "UnknownPipelineName" };
        created += usize::from(name == "post_pipeline");
        let status = if name == "post_pipeline" { 409 } else { 404 };
        Some((status, json!({ "message": "", "error_code": code, "details": null }).to_string()))
    };
    let fake =
        Feldera::new("http://feldera.test".parse().expect("a base"), Recorded::new(|name: &str, _: &str| answer(name)));
    let error = fake.run(Deploy::new("p", SQL).timeout(Duration::from_secs(3600))).expect_err("it cannot be");
    assert!(matches!(&error, FlowError::Service(error) if error.code() == Some("DuplicateName")), "{error:?}");
    drop(fake);
    assert_eq!(created, 8);
}

/// All of it: a new program for what runs, of which the answer to the change is lost.
#[test]
fn a_whole_deployment_with_one_lost_answer() {
    let world = World::new(1);
    let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), Config::default());
    Feldera::new(service.base(), world.clone()).run(Deploy::new("p", SQL)).expect("it runs");
    let feldera = Feldera::new(service.base(), Recorder::new(world.clone()));
    world.set_faults(FaultPlan::none().nth_of("patch_pipeline", 1, Fault::ReplyLost));
    let goal = Deploy::new("p", OTHER).force_stop(true);
    let deployed = transcript::run(&feldera, goal).expect("it runs");
    assert_eq!((deployed.change, deployed.restarted), (Change::Updated, true));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots/feldera");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("deploy", feldera.runtime().finish()));
}

//! Deploying.

use std::time::Duration;

use pipewright::error::FlowError;
use pipewright::feldera::pipelines::{DesiredStatus, ResourceConfig, RuntimeConfig, Switch};
use pipewright::feldera::{ByteSize, Change, ConfigDuration, Deploy, Feldera, Interruption};
use pipewright::operation::ServerVersion;
use pipewright_mock::feldera::{Config, Release};
use pipewright_mock::transcript::{self, Recorder};
use pipewright_mock::{Fault, FaultPlan, Script, World};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::{Value, json};

use super::{ALL, FORCE, START, Scripted as _, interruption, is, play, with};

const SQL: &str = "CREATE TABLE t (x INT);";
const OBJECT: &str = "/v0/pipelines/p";
const OTHER: &str = "CREATE TABLE u (x INT);";

/// All of a pipeline with [`SQL`].
fn whole(status: &str, desired: &str) -> Value {
    let pipeline = with(is(status, desired), "program_code", SQL);
    with(with(pipeline, "description", "old"), "runtime_config", json!({ "workers": 8, "hosts": 1 }))
}

/// A server that says its version: deployments with a configuration ask for it.
fn of_version(version: &str) -> Script {
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
    assert_eq!((message.start_line_number, message.start_column), (1, 8));
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
    // Before 0.324 nobody can ask the compiler first.
    let script = replaced(
        Script::new()
            .sees_all(whole("Running", "Running"))
            .expect("POST", "/v0/validate_program")
            .reply(404, "")
            .sees(is("Running", "Running")),
    );
    assert!(play(&script, Deploy::new("p", OTHER).force_stop(true)).is_ok());
}

/// Storage is on by default, so that a configuration without it is no wish to switch it off.
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

/// A pipeline that is made without an answer is looked for, and one that somebody else has made is changed.
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
    assert_eq!(deployed.change, Change::Updated, "somebody else has made it");

    // Somebody else has made the same.
    let (status, duplicate) = feldera("pipeline_post_duplicate_409");
    let script = runs(create().reply_json(status, duplicate).sees_all(whole("Stopped", "Stopped")));
    assert_eq!(play(&script, Deploy::new("p", SQL)).expect("it runs").change, Change::None);

    let script = create().reply_lost().expect("GET", ALL).reply(404, "<html>gone</html>");
    assert!(play(&script, Deploy::new("p", SQL)).expect_err("nobody knows").is_ambiguous());
}

/// Started again by somebody between the stop and the change.
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

/// Changed by somebody between the compilation and the start.
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

/// What was as it should be at the look, another client changed before the stop was over: it is put, too.
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

/// A pipeline with this configuration, as it is stored.
fn stored(status: &str, config: &Value) -> Value {
    with(whole(status, status), "runtime_config", config.clone())
}

fn limited() -> RuntimeConfig {
    let mut config = RuntimeConfig::default();
    config.max_rss = Some(ByteSize::from_mb(16_000));
    let mut resources = ResourceConfig::default();
    resources.memory_max = Some("1.5G".parse().expect("a size"));
    config.resources = Some(resources);
    config
}

/// The server has the setting under one name, and the goal under the other: nothing is stopped.
#[test]
fn values_are_compared_and_not_their_spellings() {
    for (version, has) in [
        ("0.337.0", json!({ "max_rss_mb": 16_000, "resources": { "memory_mb_max": 1500 } })),
        ("0.375.0", json!({ "max_rss": "16G", "resources": { "memory_max": "1500M", "cpu_cores_min": null } })),
    ] {
        let script = of_version(version).sees_all(stored("Running", &has)).sees(is("Running", "Running"));
        let deployed = play(&script.answers("Running"), Deploy::new("p", SQL).runtime_config(limited()));
        assert_eq!(deployed.map(|it| (it.change, it.restarted)).map_err(|e| e.to_string()), Ok((Change::None, false)));
    }
}

/// A change of one setting keeps all others, also those that this version of the library does not know, and goes out
/// under the names that the server reads.
#[test]
fn a_changed_setting_resets_no_other() {
    for (version, has, sent) in [
        (
            "0.337.0",
            json!({ "workers": 8, "max_rss_mb": 500, "storage": { "cache_mib": 3, "min_storage_bytes": null } }),
            json!({
                "workers": 8, "max_rss_mb": 16_000,
                "storage": { "cache_mib": 3 }, "resources": { "memory_mb_max": 1500 }
            }),
        ),
        (
            "0.375.0",
            json!({ "workers": 8, "max_rss": "500M", "shards": { "count": 3 }, "resources": { "tier": "a" } }),
            json!({ "workers": 8, "max_rss": "16G", "shards": { "count": 3 },
                "resources": { "tier": "a", "memory_max": "1500M" } }),
        ),
        (
            "0.999.0",
            json!({ "workers": 8, "clock_resolution": "1s", "max_rss": { "soft": "1G" }, "resources": "many" }),
            json!({ "workers": 8, "clock_resolution": "1s", "max_rss": "16G", "resources": { "memory_max": "1500M" } }),
        ),
    ] {
        let script = of_version(version)
            .sees_all(stored("Stopped", &has))
            .expect("PATCH", OBJECT)
            .json(json!({ "runtime_config": sent }).to_string())
            .reply_json(200, stored("Stopped", &sent))
            .sees(is("Stopped", "Stopped"))
            .sees_all(stored("Stopped", &sent))
            .sees(is("Running", "Running"))
            .answers("Running");
        let deployed = play(&script, Deploy::new("p", SQL).runtime_config(limited()));
        assert_eq!(deployed.map(|it| it.change).map_err(|error| error.to_string()), Ok(Change::Updated), "{version}");
    }
}

/// Servers before 0.367 have whole megabytes, and since 0.366 there is no clock that is off.
#[test]
fn what_the_server_cannot_store_does_not_differ_for_ever() {
    let mut config = RuntimeConfig::default();
    config.max_rss = Some(ByteSize::from_gib(16));
    config.clock_resolution = Some(Switch::Off);
    for (version, has) in [
        ("0.337.0", json!({ "max_rss_mb": 17_180, "clock_resolution_usecs": null })),
        ("0.375.0", json!({ "max_rss": "16Gi" })),
    ] {
        let script = of_version(version).sees_all(stored("Running", &has)).sees(is("Running", "Running"));
        let deployed = play(&script.answers("Running"), Deploy::new("p", SQL).runtime_config(config.clone()));
        assert_eq!(deployed.map(|it| it.change).map_err(|error| error.to_string()), Ok(Change::None), "{version}");
    }
}

/// No checkpoints at all are not the same as checkpoints at the default interval.
#[test]
fn a_setting_that_is_off_differs_from_its_default() {
    let mut config = RuntimeConfig::default();
    config.set("fault_tolerance", &json!({ "checkpoint_interval": null })).expect("a setting");
    let has = json!({ "fault_tolerance": { "model": "at_least_once" } });
    let sent = json!({ "fault_tolerance": { "model": "at_least_once", "checkpoint_interval": null } });
    let script = of_version("0.375.0")
        .sees_all(with(stored("Stopped", &has), "storage_status", "Cleared"))
        .expect("PATCH", OBJECT)
        .json(json!({ "runtime_config": sent }).to_string())
        .reply_json(200, stored("Stopped", &sent))
        .sees(is("Stopped", "Stopped"))
        .sees_all(stored("Stopped", &sent))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert_eq!(play(&script, Deploy::new("p", SQL).runtime_config(config)).expect("it runs").change, Change::Updated);
}

fn client_of(script: &Script) -> Feldera<Script> {
    Feldera::new("http://feldera.test".parse().expect("a base"), script.clone())
}

/// The version is asked for once, or set, and a server that does not tell it gets names that all releases read.
#[test]
fn the_version_is_asked_for_once() {
    let runs = |script: Script| {
        let has = json!({ "max_rss": "16G", "resources": { "memory_max": "1500M" } });
        script.sees_all(stored("Running", &has)).sees(is("Running", "Running")).answers("Running")
    };
    let goal = || Deploy::new("p", SQL).runtime_config(limited());
    let script = runs(runs(of_version("0.375.0")));
    let client = client_of(&script);
    client.run(goal()).expect("it runs");
    client.clone().run(goal()).expect("it runs");
    let known = client.config().server_version().expect("a version");
    assert_eq!(known, ServerVersion::new(0, 375, 0));
    script.finish();

    let script = runs(Script::new());
    client_of(&script).with_server_version(known).run(goal()).expect("it runs");
    script.finish();

    let script = Script::new()
        .expect("GET", "/v0/config")
        .reply(403, "")
        .sees_all(stored("Stopped", &json!({})))
        .expect("PATCH", OBJECT)
        .json(json!({ "runtime_config": { "max_rss_mb": 16_000, "resources": { "memory_mb_max": 1500 } } }).to_string())
        .reply_json(400, json!({ "message": "", "error_code": "InvalidRuntimeConfig", "details": null }));
    assert!(play(&script, goal()).is_err());
}

/// On each release: the second deployment changes nothing, and a change of one setting keeps all others.
#[test]
fn a_configuration_converges_on_every_release() {
    for release in Release::ALL {
        let world = World::new(1);
        let config = Config { release, ..Config::default() };
        let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), config);
        let client = || Feldera::new(service.base(), world.clone());
        let mut config = limited();
        config.datafusion_memory = Some(ByteSize::from_gib(1));
        config.provisioning_timeout = Some(ConfigDuration::from_secs(90));
        config.set("storage", &json!({ "cache_size": "4Gi", "tier": "cold" })).expect("storage");
        config.set("shards", &json!({ "count": 3 })).expect("a setting of tomorrow");
        let goal = || Deploy::new("p", SQL).runtime_config(config.clone());
        assert_eq!(client().run(goal()).expect("it runs").change, Change::Created, "{release}");
        let again = client().run(goal()).expect("it runs");
        assert_eq!((again.change, again.restarted), (Change::None, false), "{release}");

        let mut other = RuntimeConfig::default();
        other.min_batch_size_records = Some(9);
        let goal = Deploy::new("p", SQL).runtime_config(other).force_stop(true);
        let changed = client().run(goal).expect("it runs");
        assert_eq!((changed.change, changed.restarted), (Change::Updated, true), "{release}");
        let mut expected = config.clone();
        expected.min_batch_size_records = Some(9);
        let again = client().run(Deploy::new("p", SQL).runtime_config(expected)).expect("it runs");
        assert_eq!((again.change, again.restarted), (Change::None, false), "{release}");
    }
}

/// A name that is taken, and a pipeline that is not there: it does not go on for ever.
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

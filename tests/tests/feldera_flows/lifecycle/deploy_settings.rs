//! `Deploy` with configurations.

use pipewright::feldera::pipelines::{ResourceConfig, RuntimeConfig, Switch};
use pipewright::feldera::{ByteSize, Change, ConfigDuration, Deploy, Feldera, Interruption};
use pipewright::operation::ServerVersion;
use pipewright_mock::feldera::{Config, Release};
use pipewright_mock::{Script, World};
use serde_json::{Value, json};

use super::deploy::{OBJECT, SQL, of_version, whole};
use super::{FORCE, Scripted as _, is, play, with};

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

/// A pipeline is not stopped again and again for a setting that the server ignores.
#[test]
fn a_setting_that_the_server_ignores_ends_the_deployment() {
    let mut config = limited();
    config.set("shards", &json!({ "count": 3 })).expect("a setting");
    config.set("resources", &json!({ "memory_max": "1.5G", "tier": "a", "zones": [] })).expect("resources");
    let goal = || Deploy::new("p", SQL).runtime_config(config.clone()).force_stop(true);
    let answered = json!({ "max_rss": "16G", "resources": { "memory_max": "1500M" } });
    let ends = |script: &Script| {
        let error = play(script, goal()).expect_err("it is ignored");
        assert!(error.to_string().contains("ignores them: resources.tier, shards; leave them out"), "{error}");
        let Some(Interruption::SettingsIgnored { names }) = Interruption::of(&error) else { panic!("{error}") };
        assert_eq!(names, &["resources.tier", "shards"]);
    };
    let first = of_version("0.999.0")
        .sees_all(stored("Running", &json!({})))
        .sees(is("Running", "Running"))
        .does("POST", FORCE, "pipeline_stop_when_stopped_force_202")
        .sees_recorded("get_stopped_storage_in_use")
        .expect("PATCH", OBJECT)
        .reply_json(200, stored("Stopped", &answered));
    ends(&first);
    // Again: it is not started, so that it need not be stopped.
    let again = of_version("0.999.0")
        .sees_all(stored("Stopped", &answered))
        .expect("PATCH", OBJECT)
        .reply_json(200, stored("Stopped", &answered));
    ends(&again);
    let none = json!({ "message": "", "error_code": "UnknownPipelineName", "details": null });
    let created = of_version("0.999.0")
        .expect("GET", "/v0/pipelines/p?selector=all")
        .reply_json(404, none)
        .expect("POST", "/v0/pipelines")
        .reply_json(201, stored("Stopped", &answered));
    ends(&created);
}

/// The server was updated under a client that has learnt its version.
#[test]
fn settings_that_seem_to_be_ignored_make_the_version_be_asked_for_again() {
    let mut config = RuntimeConfig::default();
    config.max_rss = Some(ByteSize::from_mb(16_000));
    let (empty, kept) = (json!({}), json!({ "max_rss": "16G" }));
    let version = |version: &str| json!({ "edition": "Open source", "version": version });
    let outdated = || {
        Script::new()
            .sees_all(stored("Stopped", &empty))
            .expect("PATCH", OBJECT)
            .json(json!({ "runtime_config": { "max_rss_mb": 16_000 } }).to_string())
            .reply_json(200, stored("Stopped", &empty))
            .expect("GET", "/v0/config")
    };
    let updated = outdated()
        .reply_json(200, version("0.375.0"))
        .sees_all(stored("Stopped", &empty))
        .expect("PATCH", OBJECT)
        .json(json!({ "runtime_config": { "max_rss": "16G" } }).to_string())
        .reply_json(200, stored("Stopped", &kept))
        .sees(is("Stopped", "Stopped"))
        .sees_all(stored("Stopped", &kept))
        .sees(is("Running", "Running"))
        .answers("Running");
    let run = |script: &Script| {
        let base = "http://feldera.test".parse().expect("a base");
        let client = Feldera::new(base, script.clone()).with_server_version(ServerVersion::new(0, 337, 0));
        let ended = client.run(Deploy::new("p", SQL).runtime_config(config.clone()));
        script.clone().finish();
        (ended, client.config().server_version())
    };
    let (deployed, learnt) = run(&updated);
    assert_eq!(deployed.map(|deployed| deployed.change).map_err(|error| error.to_string()), Ok(Change::Updated));
    assert_eq!(learnt, Some(ServerVersion::new(0, 375, 0)));

    // The version is as it was: the setting is ignored.
    let (ended, _) = run(&outdated().reply_json(200, version("0.337.0")));
    let error = ended.expect_err("it is ignored");
    let Some(Interruption::SettingsIgnored { names }) = Interruption::of(&error) else { panic!("{error}") };
    assert_eq!(names, &["max_rss"]);
}

#[test]
fn a_configuration_that_cannot_be_deployed_touches_nothing() {
    let mut config = limited();
    config.set("storage", &json!({ "compression_level": 3, "cache_size": "1Gi" })).expect("storage");
    config.set("resources", &json!({ "autoscaling": { "storage": {} } })).expect("resources");
    let error = play(&of_version("0.337.0"), Deploy::new("p", SQL).runtime_config(config)).expect_err("too new");
    let Some(Interruption::SettingsIgnored { names }) = Interruption::of(&error) else { panic!("{error}") };
    assert_eq!(names, &["storage.compression_level", "resources.autoscaling"]);

    for version in ["0.337.0", "0.375.0"] {
        let mut config = RuntimeConfig::default();
        let mut resources = ResourceConfig::default();
        resources.cpu_cores_max = Some(f64::NAN);
        config.resources = Some(resources);
        let error = play(&of_version(version), Deploy::new("p", SQL).runtime_config(config)).expect_err("no number");
        assert!(error.to_string().contains("\"resources.cpu_cores_max\" is NaN or infinite"), "{error}");
    }
}

/// Without a version, the names that the pipeline has tell which names the server reads.
#[test]
fn a_value_that_an_old_server_has_rounded_is_no_difference() {
    let mut config = RuntimeConfig::default();
    config.max_rss = Some(ByteSize::from_gib(16));
    let script = Script::new()
        .expect("GET", "/v0/config")
        .reply(403, "")
        .sees_all(stored("Running", &json!({ "max_rss_mb": 17_180 })))
        .sees(is("Running", "Running"))
        .answers("Running");
    assert_eq!(play(&script, Deploy::new("p", SQL).runtime_config(config)).expect("it runs").change, Change::None);
}

/// With old names, an absent clock ticks each second, and `null` stops it.
#[test]
fn a_clock_is_switched_off_on_old_servers() {
    let mut config = RuntimeConfig::default();
    config.clock_resolution = Some(Switch::Off);
    let off = json!({ "clock_resolution_usecs": null });
    let script = of_version("0.337.0")
        .sees_all(stored("Stopped", &json!({})))
        .expect("PATCH", OBJECT)
        .json(json!({ "runtime_config": off }).to_string())
        .reply_json(200, stored("Stopped", &off))
        .sees(is("Stopped", "Stopped"))
        .sees_all(stored("Stopped", &off))
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

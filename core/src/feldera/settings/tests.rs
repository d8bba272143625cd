//! Settings of tomorrow, both spellings, and what is kept.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::{SettingValue, Spelled, Spelling, Spellings};
use crate::feldera::pipelines::{RuntimeConfig, StorageBackend, Switch};
use crate::feldera::{ByteSize, ConfigDuration};
use crate::operation::ServerVersion;

thread_local! {
    /// A setting that this version does not know, as far as a test is concerned.
    static FORGOTTEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub(in crate::feldera) fn is_forgotten(name: &str) -> bool {
    FORGOTTEN.with_borrow(|forgotten| forgotten.as_deref() == Some(name))
}

fn full() -> Value {
    json!({
        "workers": 4, "max_rss": "16Gi", "datafusion_memory": "1500k", "hosts": 1,
        "storage": {
            "backend": { "name": "file", "config": {
                "async_threads": true, "ioop_latency": "5ms", "sync_mode": "syncfs",
                "sync": {
                    "bucket": "b", "access_key": "id", "start_from_checkpoint": "latest",
                    "standby_pull_interval": "10s", "checkpoint_push_interval": "1h", "min_retention": "30d",
                    "flags": ["--fast-list"], "take_bucket_ownership": true,
                },
            } },
            "min_spill_size": "10Mi", "min_step_spill_size": "0B", "compression": "zstd", "compression_level": 3,
            "cache_size": "4Gi", "bloom_false_positive_rate": 0.01,
        },
        "fault_tolerance": { "model": "at_least_once", "checkpoint_interval": null },
        "max_buffering_delay": "3ms", "clock_resolution": "250ms", "provisioning_timeout": "5m",
        "resources": {
            "cpu_cores_min": 0.5, "cpu_cores_max": 2.0, "memory_min": "1G", "memory_max": "16Gi",
            "storage_min": "100G", "storage_max": "400Gi", "storage_class": "fast", "volume_attributes_class": "slow",
            "autoscaling": { "storage": { "scale_threshold": 0.5, "scale_threshold_available": "10Gi" } },
        },
        "pin_cpus": [1, 2], "env": { "KEY": "value" }, "init_containers": [{ "name": "init" }],
        "dev_tweaks": { "storage_max": "3Mi", "merger": "push_merger" },
        "pipeline_template_configmap": { "name": "map" },
    })
}

/// The same as a server before 0.366 has it, with whole numbers of the old units.
fn old() -> Value {
    json!({
        "workers": 4, "max_rss_mb": 16_000, "datafusion_memory_mb": 2,
        "storage": {
            "backend": { "name": "file", "config": { "ioop_delay": 5, "sync": {
                "bucket": "b", "pull_interval": 10, "push_interval": 3600, "retention_min_age": 30,
            } } },
            "min_storage_bytes": 1, "min_step_storage_bytes": 2, "cache_mib": 3,
        },
        "fault_tolerance": { "model": "exactly_once", "checkpoint_interval_secs": 60 },
        "max_buffering_delay_usecs": 6, "clock_resolution_usecs": 250_000, "provisioning_timeout_secs": 11,
        "resources": { "memory_mb_min": 7, "memory_mb_max": 8, "storage_mb_max": 9 },
        "dev_tweaks": { "storage_mb_max": 3, "fbuf_slab_bytes_per_class": 2 },
    })
}

fn read(value: &Value) -> RuntimeConfig {
    serde_json::from_value(value.clone()).expect("a configuration")
}

fn written(config: &RuntimeConfig, spelling: Spelling) -> Value {
    let spellings = Spellings { sizes: spelling, durations: spelling };
    serde_json::to_value(Spelled { value: config, spellings }).expect("JSON")
}

/// The names of all settings, at every level.
fn names(value: &Value, names: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            names.push(name.clone());
            self::names(value, names);
        }
    }
}

/// As if this version were older than the server: one setting after the other is not in the tables.
#[test]
fn a_setting_of_tomorrow_survives_a_change_of_another() {
    for config in [full(), old()] {
        let mut all = Vec::new();
        names(&config, &mut all);
        // The old names belong to the fields of the new names.
        for (old, new) in [("max_rss_mb", "max_rss"), ("memory_mb_max", "memory_max"), ("cache_mib", "cache_size")] {
            all.iter_mut().filter(|name| *name == old).for_each(|name| *name = new.to_owned());
        }
        let mut expected = read(&config);
        expected.hosts = Some(7);
        for name in all.into_iter().filter(|name| name != "hosts") {
            FORGOTTEN.set(Some(name.clone()));
            let mut changed = read(&config);
            changed.hosts = Some(7);
            let sent = [Spelling::New, Spelling::Common].map(|spelling| written(&changed, spelling));
            FORGOTTEN.set(None);
            for sent in sent {
                assert_eq!(read(&sent), expected, "without {name}: {sent}");
            }
        }
    }
}

/// The test above would notice a setting that is dropped.
#[test]
fn every_setting_makes_a_difference() {
    let mut all = Vec::new();
    names(&full(), &mut all);
    assert!(all.len() > 50, "{all:?}");
    let config = read(&full());
    assert_eq!(config.unknown.len(), 0);
    FORGOTTEN.set(Some("max_rss".to_owned()));
    let without = read(&full());
    FORGOTTEN.set(None);
    assert_eq!((without.max_rss, without.unknown.keys().collect::<Vec<_>>()), (None, vec![&"max_rss".to_owned()]));
    assert_ne!(without, config);
}

#[test]
fn both_spellings_are_the_same_setting() {
    let (old, config) = (old(), read(&old()));
    assert_eq!(config.max_rss, Some(ByteSize::from_mb(16_000)));
    assert_eq!(config.clock_resolution, Some(Switch::On(ConfigDuration::from_millis(250))));
    let new = written(&config, Spelling::New);
    assert_eq!(new["max_rss"], "16G");
    assert_eq!(new["storage"]["cache_size"], "3Mi");
    assert_eq!(new["storage"]["backend"]["config"]["sync"]["min_retention"], "30d");
    assert_eq!(new["fault_tolerance"]["checkpoint_interval"], "1m");
    assert_eq!(new["dev_tweaks"]["storage_max"], "3Mi");
    assert_eq!(read(&new), config);
    // What all releases read, and what only old releases do, is the same here.
    for spelling in [Spelling::Common, Spelling::Old] {
        assert_eq!(written(&config, spelling), old);
    }
    assert_eq!(serde_json::to_value(&config).expect("JSON"), old);
}

#[test]
fn what_an_old_name_cannot_hold_exactly() {
    let config = read(&full());
    let old = written(&config, Spelling::Old);
    // 17,179.9 megabytes.
    assert_eq!(old["max_rss_mb"], 17_180);
    assert_eq!(old["datafusion_memory_mb"], 2);
    assert_eq!(old["fault_tolerance"], json!({ "model": "at_least_once", "checkpoint_interval_secs": null }));
    assert_eq!(old["resources"]["storage_mb_min"], 100_000);
    assert_eq!(old["resources"]["autoscaling"]["storage"]["scale_threshold_available_mb"], 10_738);
    let mut fresh = RuntimeConfig::default();
    (fresh.max_rss, fresh.datafusion_memory) = (Some(ByteSize::from_gib(16)), Some(ByteSize::from_mb(4)));
    let common = written(&fresh, Spelling::Common);
    assert_eq!(common, json!({ "max_rss": "16Gi", "datafusion_memory_mb": 4 }));
    assert_eq!(read(&common), fresh);
    assert_eq!(written(&config, Spelling::New), full());
}

/// The server that has written a configuration with new names reads them, and a later server may read no others.
#[test]
fn what_was_read_under_new_names_goes_out_under_new_names() {
    for text in [
        json!({ "max_rss": "16G" }),
        json!({ "max_rss": "16G", "resources": { "memory_max": "1G" } }),
        json!({ "max_rss": "16G", "storage": { "backend": { "name": "file", "config": { "ioop_latency": "5ms" } } } }),
    ] {
        assert_eq!(serde_json::to_value(read(&text)).expect("JSON"), text);
    }
    let mut config = read(&json!({ "resources": { "memory_max": "1G" } }));
    config.max_rss = Some(ByteSize::from_mb(5));
    let expected = json!({ "max_rss": "5M", "resources": { "memory_max": "1G" } });
    assert_eq!(written(&config, Spelling::Common), expected);
    assert_eq!(written(&config, Spelling::Old), json!({ "max_rss_mb": 5, "resources": { "memory_mb_max": 1000 } }));
    let mut fresh = RuntimeConfig::default();
    fresh.max_rss = Some(ByteSize::from_mb(5));
    assert_eq!(written(&fresh, Spelling::Common), json!({ "max_rss_mb": 5 }));
    // It is no part of the value.
    assert_eq!(read(&json!({ "max_rss": "5M" })), fresh);
}

#[test]
fn the_version_of_the_server_decides() {
    let of = |minor| Spellings::of(Some(ServerVersion::new(0, minor, 9)));
    let old = Spellings { sizes: Spelling::Old, durations: Spelling::Old };
    assert_eq!((of(104), of(365), of(367), of(375)), (old, old, Spellings::NEW, Spellings::NEW));
    assert_eq!(of(366), Spellings { durations: Spelling::New, ..old });
    assert_eq!(Spellings::of(Some(ServerVersion::new(1, 0, 0))), Spellings::NEW);
    assert_eq!(Spellings::of(None), Spellings::COMMON);
}

/// Numbers under new names, texts under old names, and whole numbers with a point, as the server itself reads them.
#[test]
fn the_form_of_a_value_may_be_that_of_the_other_name() {
    for text in [
        r#"{"max_rss":2000}"#,
        r#"{"max_rss":2000.0}"#,
        r#"{"max_rss":2e3}"#,
        r#"{"max_rss_mb":"2G"}"#,
        r#"{"max_rss":"2000M","max_rss_mb":7}"#,
        r#"{"max_rss_mb":7,"max_rss":"2GB"}"#,
        r#"{"max_rss":null,"max_rss_mb":2000}"#,
    ] {
        let config: RuntimeConfig = serde_json::from_str(text).expect(text);
        assert_eq!((config.max_rss, config.unknown.len()), (Some(ByteSize::from_mb(2000)), 0), "{text}");
    }
}

/// A value that cannot be read costs nothing, is sent as it came, and can be replaced.
#[test]
fn a_value_that_cannot_be_read_is_kept() {
    for (name, value) in [
        ("max_rss", json!("16000")),
        ("max_rss", json!("12 parsecs")),
        ("max_rss", json!({ "soft": "1G" })),
        ("max_rss_mb", json!(-1)),
        ("max_rss_mb", json!(0.5)),
        ("workers", json!("many")),
        ("storage", json!([1])),
        ("fault_tolerance", json!("latest_checkpoint")),
        ("env", json!({ "KEY": 1 })),
        ("pin_cpus", json!(["a"])),
    ] {
        let text = json!({ "hosts": 2, name: value });
        let mut config = read(&text);
        assert_eq!((config.hosts, config.unknown.len()), (Some(2), 1), "{text}");
        for spelling in [Spelling::New, Spelling::Old, Spelling::Common] {
            assert_eq!(written(&config, spelling), text);
        }
        if name.starts_with("max_rss") {
            config.max_rss = Some(ByteSize::from_gib(1));
            assert_eq!(written(&config, Spelling::New), json!({ "hosts": 2, "max_rss": "1Gi" }));
        }
    }
    // Of a backend all is kept.
    for backend in [json!({ "name": "tape" }), json!({ "name": "file", "config": {}, "x": 1 }), json!("file")] {
        let config = read(&json!({ "storage": { "backend": backend } }));
        let Some(Switch::On(storage)) = &config.storage else { panic!("{config:?}") };
        assert!(matches!(storage.backend, Some(StorageBackend::Unknown(_))), "{config:?}");
        assert_eq!(written(&config, Spelling::New)["storage"]["backend"], backend);
    }
}

#[test]
fn settings_are_set_by_their_names() {
    let mut config = RuntimeConfig::default();
    config.set("workers", &4).expect("a known setting");
    config.set("max_rss_mb", &500).expect("an old name");
    config.set("clock_resolution", &None::<u32>).expect("null");
    config.set("new_setting", &json!({ "a": [1] })).expect("an unknown setting");
    assert_eq!((config.workers, config.max_rss), (Some(4), Some(ByteSize::from_mb(500))));
    assert_eq!(config.clock_resolution, Some(Switch::Off));
    let expected = json!({ "workers": 4, "max_rss": "500M", "clock_resolution": null, "new_setting": { "a": [1] } });
    assert_eq!(written(&config, Spelling::New), expected);
    config.set("workers", &None::<u32>).expect("the default");
    assert_eq!(config.workers, None);

    for (name, value, parts) in [
        ("workers", json!("many"), ["cannot set workers", "\"many\" is not", "a whole number in the range of u32"]),
        ("max_rss", json!("16000"), ["cannot set max_rss", "\"16000\" has no unit", "add a unit, as in \"16Gi\""]),
        ("max_rss", json!("16 Gi"), ["cannot set max_rss", "\" Gi\" is not a unit", "use k, M"]),
        ("max_rss_mb", json!(-5), ["cannot set max_rss_mb", "-5 is not", "megabytes in range; write a text"]),
        ("clock_resolution", json!(true), ["cannot set clock_resolution", "true is not a text", "microseconds"]),
    ] {
        let error = config.set(name, &value).expect_err(name).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert!(config.set("ratio", &f64::NAN).is_err());
}

#[test]
fn an_overlay_keeps_what_is_not_given() {
    let (mut config, mut wanted) = (read(&full()), RuntimeConfig::default());
    config.overlay(&wanted);
    assert_eq!(config, read(&full()));
    wanted.workers = Some(9);
    wanted.set("resources", &json!({ "memory_max": "2Gi", "of_tomorrow": 1 })).expect("resources");
    wanted
        .set("storage", &json!({ "backend": { "name": "file", "config": { "sync": { "bucket": "c" } } } }))
        .expect("it");
    wanted.set("env", &json!({ "OTHER": "x" })).expect("variables");
    wanted.set("new_setting", &1).expect("an unknown setting");
    config.overlay(&wanted);
    let mut expected = full();
    expected["workers"] = json!(9);
    expected["resources"]["memory_max"] = json!("2Gi");
    expected["resources"]["of_tomorrow"] = json!(1);
    expected["storage"]["backend"]["config"]["sync"]["bucket"] = json!("c");
    expected["env"]["OTHER"] = json!("x");
    expected["new_setting"] = json!(1);
    assert_eq!(written(&config, Spelling::New), expected);
    wanted.storage = Some(Switch::Off);
    config.overlay(&wanted);
    assert_eq!(written(&config, Spelling::New)["storage"], Value::Null);
}

/// The library need not understand a value to send it.
#[test]
fn an_overlay_replaces_a_value_by_one_that_cannot_be_read() {
    for (name, has, wanted) in [
        ("max_rss", json!("1G"), json!("auto")),
        ("max_rss", json!("auto"), json!("1G")),
        ("max_rss", json!("auto"), json!("automatic")),
        ("storage", json!({ "compression": "lz4" }), json!("fast")),
        ("env", json!({ "KEY": "value" }), json!({ "KEY": 1 })),
    ] {
        let mut config = read(&json!({ "hosts": 2, name: has }));
        config.overlay(&read(&json!({ name: wanted })));
        let expected = json!({ "hosts": 2, name: wanted });
        assert_eq!((written(&config, Spelling::New), &config), (expected.clone(), &read(&expected)));
    }
    let mut config = read(&json!({ "max_rss": "1G" }));
    config.overlay(&read(&json!({ "max_rss_mb": -1 })));
    assert_eq!(written(&config, Spelling::New), json!({ "max_rss_mb": -1 }));
}

#[test]
fn an_overlay_merges_unknown_objects() {
    let has = json!({ "telemetry": { "on": true, "every": 1.0, "rate": null, "to": { "a": 1, "b": [1] } } });
    let mut config = read(&has);
    config.overlay(&read(&json!({ "telemetry": { "every": 1, "on": true, "to": { "b": [1.0] } } })));
    assert_eq!(config, read(&has));
    config.overlay(&read(&json!({ "telemetry": { "on": false, "to": { "a": 2 } } })));
    let expected = json!({ "telemetry": { "on": false, "every": 1.0, "rate": null, "to": { "a": 2, "b": [1] } } });
    assert_eq!(written(&config, Spelling::New), expected);
    assert_ne!(read(&json!({ "x": u64::MAX })), read(&json!({ "x": u64::MAX - 1 })));
}

#[test]
fn an_overlay_keeps_what_is_beside_an_unknown_backend() {
    let stored = |config: Value, x: u32| json!({ "backend": { "name": "file", "config": config, "x": x } });
    let backend = |config, x| json!({ "storage": stored(config, x) });
    let wanted = json!({ "storage": { "backend": { "name": "file", "config": { "ioop_latency": "5ms" } } } });
    let has = json!({ "sync": { "bucket": "b", "secret_key": "k", "region": null } });
    let mut config = read(&backend(has, 1));
    config.overlay(&read(&wanted));
    let merged = json!({ "sync": { "bucket": "b", "secret_key": "k" }, "ioop_delay": 5 });
    assert_eq!(written(&config, Spelling::New), backend(merged.clone(), 1));
    // Nothing is to change: nothing differs.
    let has = backend(json!({ "sync": null, "ioop_latency": "5ms" }), 1);
    let mut config = read(&has);
    config.overlay(&read(&wanted));
    assert_eq!(written(&config, Spelling::New), has);
    // The unknown value is wanted.
    let mut config =
        read(&json!({ "storage": { "backend": { "name": "file", "config": { "async_threads": true } } } }));
    config.overlay(&read(&backend(json!({ "async_threads": false }), 2)));
    assert_eq!(written(&config, Spelling::New), backend(json!({ "async_threads": false }), 2));
    // An object store is replaced, and so is a backend of another name.
    let object = |config: Value| json!({ "storage": { "backend": { "name": "object", "config": config, "x": 1 } } });
    let mut config = read(&object(json!({ "url": "s3://a", "key": "k" })));
    config.overlay(&read(&json!({ "storage": { "backend": { "name": "object", "config": { "url": "s3://b" } } } })));
    assert_eq!(written(&config, Spelling::New), object(json!({ "url": "s3://b" })));
    config.overlay(&read(&wanted));
    assert_eq!(written(&config, Spelling::New), wanted);
}

/// Release 0.366 had renamed durations, and not yet sizes.
#[test]
fn sizes_and_durations_are_spelled_apart() {
    let text = json!({
        "max_rss_mb": 16_000, "resources": { "memory_mb_max": 8 },
        "fault_tolerance": { "model": "none", "checkpoint_interval": "1s500ms" },
    });
    assert_eq!(written(&read(&text), Spelling::Common), text);
    let spellings = Spellings::of(Some(ServerVersion::new(0, 366, 0)));
    let value = &read(&text);
    assert_eq!(serde_json::to_value(Spelled { value, spellings }).expect("JSON"), text);
    // New names of sizes are younger than those of durations, and old names of durations older than those of sizes.
    let mut config = read(&json!({ "max_rss": "1G" }));
    config.max_buffering_delay = Some(ConfigDuration::from_millis(3));
    assert_eq!(written(&config, Spelling::Common), json!({ "max_rss": "1G", "max_buffering_delay": "3ms" }));
    let mut config = read(&json!({ "clock_resolution_usecs": 7 }));
    config.max_rss = Some(ByteSize::from_gib(16));
    assert_eq!(written(&config, Spelling::Common), json!({ "max_rss_mb": 17_180, "clock_resolution_usecs": 7 }));
}

#[test]
fn what_was_read_under_old_names_goes_out_under_old_names() {
    for text in [json!({ "max_rss_mb": null }), json!({ "resources": { "memory_mb_max": 1 } })] {
        let mut config = read(&text);
        config.max_rss = Some(ByteSize::from_gib(16));
        assert_eq!(written(&config, Spelling::Common)["max_rss_mb"], 17_180, "{text}");
    }
}

/// Old releases write the largest number for no limit. New releases read the largest size, or duration.
#[test]
fn a_number_that_is_too_large_stands_for_the_largest_value() {
    let old = json!({ "max_rss_mb": u64::MAX, "storage": { "backend": { "name": "file", "config": {
        "sync": { "retention_min_age": u64::MAX } } } } });
    let config = read(&old);
    assert_eq!((config.max_rss, config.unknown.len()), (Some(ByteSize::MAX), 0));
    assert_eq!(config.max_rss, read(&json!({ "max_rss": "18446744073709551615B" })).max_rss);
    for spelling in [Spelling::Old, Spelling::Common] {
        assert_eq!(written(&config, spelling), old);
    }
    assert_eq!(read(&written(&config, Spelling::New)), config);
}

#[test]
fn secrets_are_not_shown_by_errors() {
    let mut config = RuntimeConfig::default();
    let mut sync = crate::feldera::pipelines::SyncConfig::new("b");
    for error in [
        config.set("env", "s3cr3t"),
        config.set("env", &json!({ "KEY": ["s3cr3t"] })),
        sync.set("secret_key", &json!(["s3cr3t"])),
        sync.set("flags", "--s3-secret-access-key=s3cr3t"),
    ] {
        let error = error.expect_err("another kind").to_string();
        assert!(error.contains("is not a") && !error.contains("s3cr3t"), "{error}");
    }
    sync.set("flags", &["--s3-secret-access-key=s3cr3t"]).expect("flags");
    assert!(!format!("{sync:?}").contains("s3cr3t"));
    assert_eq!(serde_json::to_value(&sync).expect("JSON")["flags"], json!(["--s3-secret-access-key=s3cr3t"]));
}

#[test]
fn secrets_are_not_shown() {
    let mut config = read(&full());
    config.set("password_of_tomorrow", "s3cr3t").expect("an unknown setting");
    config.set("env", &json!({ "KEY": "s3cr3t" })).expect("variables");
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

//! `runtime_config`: what each release reads and shows.
//!
//! 0.367 renamed every setting that is a size or a duration. Older releases know only the old names, with numbers;
//! they silently drop the new names, and the settings that 0.375 added. 0.375 reads both, and shows new names with
//! units only.
//!
//! A setting that no release knows is kept, as by a later release that knows it.

use serde_json::{Map, Value, json};

use super::release::Release;
use super::units::{SECOND, Unit};

/// A setting that 0.367 renamed: where it is, its names, and what it measures.
struct Renamed(&'static [&'static str], &'static str, &'static str, Unit);

const ROOT: &[&str] = &[];
const RESOURCES: &[&str] = &["resources"];
const STORAGE: &[&str] = &["storage"];
const FILE: &[&str] = &["storage", "backend", "config"];
const SYNC: &[&str] = &["storage", "backend", "config", "sync"];

const MB: Unit = Unit::Size(1_000_000);
const BYTES: Unit = Unit::Size(1);
const MICROS: Unit = Unit::Time(1_000);
const SECONDS: Unit = Unit::Time(SECOND);

const RENAMED: [Renamed; 17] = [
    Renamed(ROOT, "max_rss_mb", "max_rss", MB),
    Renamed(ROOT, "datafusion_memory_mb", "datafusion_memory", MB),
    Renamed(ROOT, "max_buffering_delay_usecs", "max_buffering_delay", MICROS),
    Renamed(ROOT, "clock_resolution_usecs", "clock_resolution", MICROS),
    Renamed(ROOT, "provisioning_timeout_secs", "provisioning_timeout", SECONDS),
    Renamed(&["fault_tolerance"], "checkpoint_interval_secs", "checkpoint_interval", SECONDS),
    Renamed(RESOURCES, "memory_mb_min", "memory_min", MB),
    Renamed(RESOURCES, "memory_mb_max", "memory_max", MB),
    Renamed(RESOURCES, "storage_mb_min", "storage_min", MB),
    Renamed(RESOURCES, "storage_mb_max", "storage_max", MB),
    Renamed(STORAGE, "min_storage_bytes", "min_spill_size", BYTES),
    Renamed(STORAGE, "min_step_storage_bytes", "min_step_spill_size", BYTES),
    Renamed(STORAGE, "cache_mib", "cache_size", Unit::Size(1 << 20)),
    Renamed(FILE, "ioop_delay", "ioop_latency", Unit::Time(1_000_000)),
    Renamed(SYNC, "push_interval", "checkpoint_push_interval", SECONDS),
    Renamed(SYNC, "pull_interval", "standby_pull_interval", SECONDS),
    Renamed(SYNC, "retention_min_age", "min_retention", Unit::Time(86_400 * SECOND)),
];

/// Settings that 0.375 knows and 0.337 does not: where they are, and their names.
const ADDED: [(&[&str], &str); 5] = [
    (STORAGE, "compression_level"),
    (STORAGE, "bloom_false_positive_rate"),
    (RESOURCES, "autoscaling"),
    (RESOURCES, "volume_attributes_class"),
    (SYNC, "take_bucket_ownership"),
];

/// Settings that are numbers, and settings that are `true` or `false`.
const NUMBERS: [&str; 3] = ["workers", "hosts", "min_batch_size_records"];
const FLAGS: [&str; 2] = ["cpu_profiler", "tracing"];

/// Returns what a release keeps of a configuration, over its defaults; or what is wrong with it.
pub(super) fn kept(release: Release, given: &Map<String, Value>) -> Result<Value, String> {
    check_types(given)?;
    let mut given = Value::Object(given.clone());
    for renamed in &RENAMED {
        read(release, &mut given, renamed)?;
    }
    if release < Release::V0_375 {
        for (section, name) in ADDED {
            if let Some(section) = at(&mut given, section) {
                section.remove(name);
            }
        }
        if let Some(word @ ("lz4" | "zstd")) = given["storage"]["compression"].as_str() {
            return Err(format!("unknown variant `{word}`, expected one of `default`, `none`, `snappy`"));
        }
    }
    let mut config = defaults(release);
    for (name, value) in given.as_object().into_iter().flatten() {
        config[name.as_str()] = value.clone();
    }
    Ok(config)
}

fn check_types(given: &Map<String, Value>) -> Result<(), String> {
    let wrong = |names: &[&str], fits: fn(&Value) -> bool, wanted: &str| {
        let found = names.iter().find_map(|name| Some((name, given.get(*name).filter(|value| !fits(value))?)));
        found.map_or(Ok(()), |(name, value)| Err(format!("{name}: invalid type: {value}, expected {wanted}")))
    };
    wrong(&NUMBERS, Value::is_u64, "an integer")?;
    wrong(&FLAGS, Value::is_boolean, "a boolean")
}

/// Reads the memory sizes of a `deployment_config`, in the spelling that it is shown in.
pub(super) fn kept_resources(given: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut given = json!({ "resources": given });
    for renamed in RENAMED.iter().filter(|renamed| renamed.0 == RESOURCES) {
        read(Release::V0_375, &mut given, renamed)?;
    }
    Ok(given["resources"].as_object().cloned().unwrap_or_default())
}

/// Returns a size in bytes, of a text that was kept.
pub(super) fn bytes(text: &Value) -> Option<u128> {
    BYTES.read(text.as_str()?).ok()
}

/// A section of a configuration, if it is there.
fn at<'a>(given: &'a mut Value, section: &[&str]) -> Option<&'a mut Map<String, Value>> {
    section.iter().try_fold(given, |value, name| value.get_mut(*name))?.as_object_mut()
}

fn read(release: Release, given: &mut Value, Renamed(section, old, new, unit): &Renamed) -> Result<(), String> {
    let Some(section) = at(given, section) else { return Ok(()) };
    if release < Release::V0_375 {
        section.remove(*new);
        return Ok(());
    }
    let value = match (section.remove(*old), section.remove(*new)) {
        (Some(_), Some(_)) => return Err(format!("duplicate field `{new}`")),
        (None, None) => return Ok(()),
        (Some(value), None) | (None, Some(value)) => value,
    };
    // A number counts the old unit, under either name.
    let value = match (&value, value.as_u64()) {
        (Value::Null, _) => Value::Null,
        (_, Some(number)) => unit.written(unit.counted(number)).into(),
        (Value::String(text), _) => unit.read(text).map(|value| unit.written(value))?.into(),
        (other, _) => return Err(format!("invalid type: {other}, expected a text with a unit for `{new}`")),
    };
    section.insert((*new).to_owned(), value);
    Ok(())
}

fn defaults(release: Release) -> Value {
    if release >= Release::V0_375 {
        return json!({
            "workers": 8, "hosts": 1,
            "storage": { "backend": { "name": "default" }, "compression": "default", "compression_level": null },
            "fault_tolerance": { "model": "none" },
            "cpu_profiler": true, "tracing": false, "tracing_endpoint_jaeger": "", "min_batch_size_records": 0,
            "clock_resolution": "1s", "clock_timezone_offset": null,
            "resources": { "cpu_cores_min": null, "cpu_cores_max": null, "storage_class": null,
                "service_account_name": null, "namespace": null },
            "dev_tweaks": {}, "env": {}, "logging": null,
        });
    }
    json!({
        "workers": 8, "hosts": 1,
        "storage": { "backend": { "name": "default" }, "min_storage_bytes": null, "min_step_storage_bytes": null,
            "compression": "default", "cache_mib": null },
        "fault_tolerance": { "model": "none", "checkpoint_interval_secs": 60 },
        "cpu_profiler": true, "tracing": false, "min_batch_size_records": 0, "max_buffering_delay_usecs": 0,
        "clock_resolution_usecs": 1_000_000, "provisioning_timeout_secs": null,
    })
}

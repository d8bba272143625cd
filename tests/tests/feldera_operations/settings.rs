//! Configurations: the names and forms that are sent, and that nothing is lost between reading and sending.

use pipewright::feldera::ByteSize;
use pipewright::feldera::pipelines::{
    CreatePipeline, PatchPipeline, Pipeline, ProgramConfig, PutPipeline, ResourceConfig, RuntimeConfig, Switch,
};
use pipewright::operation::{Operation, RequestContext, ServerVersion};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a request sends to a server of a version.
fn sent(operation: &impl Operation, version: Option<&str>) -> Value {
    let base = "http://feldera.test".parse().expect("a base");
    let version = version.map(|version| version.parse::<ServerVersion>().expect("a version"));
    let request = operation.request(RequestContext::new(&base).with_server_version(version)).expect("a request");
    serde_json::from_slice(&request.body().read().expect("a body in memory")).expect("JSON")
}

fn patched(config: &RuntimeConfig, version: Option<&str>) -> Value {
    sent(&PatchPipeline::new("p").runtime_config(config.clone()), version)["runtime_config"].clone()
}

#[test]
fn requests_use_the_names_that_the_server_reads() {
    let mut config = RuntimeConfig::default();
    config.max_rss = Some(ByteSize::from_mb(16_000));
    let mut resources = ResourceConfig::default();
    resources.memory_max = Some(ByteSize::from_gib(1));
    resources.set("of_tomorrow", &true).expect("an unknown setting");
    config.resources = Some(resources);
    let old = json!({ "max_rss_mb": 16_000, "resources": { "memory_mb_max": 1074, "of_tomorrow": true } });
    let new = json!({ "max_rss": "16G", "resources": { "memory_max": "1Gi", "of_tomorrow": true } });
    let common = json!({ "max_rss_mb": 16_000, "resources": { "memory_max": "1Gi", "of_tomorrow": true } });
    for (version, expected) in [
        (Some("0.104.0"), &old),
        (Some("0.337.0"), &old),
        (Some("0.366.0"), &old),
        (Some("0.367.0"), &new),
        (Some("0.375.0"), &new),
        (Some("1.0.0"), &new),
        (None, &common),
    ] {
        assert_eq!(&patched(&config, version), expected, "{version:?}");
        let create = CreatePipeline::new("p", "").runtime_config(config.clone());
        assert_eq!(&sent(&create, version)["runtime_config"], expected, "{version:?}");
        let put = PutPipeline::new("p", "p", "").runtime_config(config.clone());
        assert_eq!(&sent(&put, version)["runtime_config"], expected, "{version:?}");
    }
}

#[test]
fn a_pipeline_keeps_the_settings_of_tomorrow() {
    let body = json!({ "deployment_status": "Stopped",
        "runtime_config": { "workers": 8, "max_rss": "16Gi", "shards": { "count": 3 }, "storage": { "tier": "cold" } },
        "program_config": { "profile": "dev", "engine": ["a", 1.50] } });
    let pipeline: Pipeline = serde_json::from_value(body.clone()).expect("a pipeline");
    let mut config = *pipeline.runtime_config.expect("a configuration");
    config.workers = Some(4);
    let mut expected = body["runtime_config"].clone();
    expected["workers"] = json!(4);
    assert_eq!(patched(&config, Some("0.375.0")), expected);
    // Without a version as well: 16 GiB are no whole number of megabytes.
    assert_eq!(patched(&config, None), expected);
    let patch = PatchPipeline::new("p").program_config(pipeline.program_config.expect("a configuration"));
    assert_eq!(sent(&patch, None)["program_config"], body["program_config"]);
    let mut config = ProgramConfig::default();
    config.set("engine", "gen3").expect("a setting");
    assert_eq!(
        sent(&PatchPipeline::new("p").program_config(config), None)["program_config"],
        json!({"engine": "gen3"})
    );
}

/// Settings that the server has at every level, in the form in which it writes them.
fn stored() -> Value {
    json!({
        "workers": 8, "max_rss": "16Gi", "hosts": 1, "cpu_profiler": true, "tracing": false, "pin_cpus": [1, 2],
        "storage": {
            "backend": { "name": "file", "config": {
                "async_threads": true, "ioop_latency": "5ms",
                "sync": { "bucket": "b", "standby_pull_interval": "10s", "min_retention": "30d", "flags": ["-v"] },
            } },
            "min_spill_size": "10Mi", "compression": "default", "cache_size": "4Gi",
        },
        "fault_tolerance": { "model": "at_least_once", "checkpoint_interval": null },
        "max_buffering_delay": "3ms", "clock_resolution": "250ms", "env": { "KEY": "value" },
        "resources": { "cpu_cores_min": 0.5, "memory_max": "16Gi",
            "autoscaling": { "storage": { "scale_factor": 1.5 } } },
        "dev_tweaks": { "storage_max": "3Mi", "merger": "push_merger" },
        "pipeline_template_configmap": { "name": "map", "key": "k" },
    })
}

/// The places of all values, and those of objects.
fn places(value: &Value, at: &str, objects_only: bool, places: &mut Vec<String>) {
    if !objects_only || value.is_object() {
        places.push(at.to_owned());
    }
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            self::places(value, &at, objects_only, places);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| json!(f64::from(number) / 8.0)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// Unknown fields at every level, and known fields of another kind.
    #[test]
    fn nothing_is_lost_between_reading_and_sending(
        unknown in prop::collection::vec((any::<prop::sample::Index>(), "zz\\PC{0,6}", any_json()), 0..6),
        other in prop::collection::vec((any::<prop::sample::Index>(), "x[a-z]{0,6}", any::<bool>()), 0..3),
    ) {
        let mut config = stored();
        for (place, text, is_list) in other {
            let mut all = Vec::new();
            places(&config, "", false, &mut all);
            let place = place.get(&all);
            if !place.is_empty() {
                let value = if is_list { json!([{ "x": text }]) } else { json!(text) };
                *config.pointer_mut(place).expect("it was found there") = value;
            }
        }
        for (place, name, value) in unknown {
            let mut all = Vec::new();
            places(&config, "", true, &mut all);
            let place: &String = place.get(&all);
            config.pointer_mut(place).expect("it was found there")[name] = value;
        }
        let typed: RuntimeConfig = serde_json::from_value(config.clone()).expect("nothing in it is an error");
        prop_assert_eq!(patched(&typed, Some("0.375.0")), config.clone());
        // In the other spellings it means the same.
        for version in [None, Some("0.375.0")] {
            let back: RuntimeConfig = serde_json::from_value(patched(&typed, version)).expect("a configuration");
            prop_assert_eq!(&back, &typed);
        }
    }
}

/// Numbers under old names go out as they came, to whatever server.
#[test]
fn old_configurations_are_read() {
    let old = json!({ "max_rss_mb": 1, "clock_resolution_usecs": null, "provisioning_timeout_secs": 0,
        "storage": { "min_storage_bytes": u64::MAX }, "fault_tolerance": { "checkpoint_interval_secs": 60 } });
    let config: RuntimeConfig = serde_json::from_value(old.clone()).expect("a configuration");
    assert_eq!(config.clock_resolution, Some(Switch::Off));
    assert_eq!((patched(&config, Some("0.337.0")), patched(&config, None)), (old.clone(), old));
    let new = json!({ "max_rss": "1M", "clock_resolution": null, "provisioning_timeout": "0s",
        "storage": { "min_spill_size": "18446744073709551615B" }, "fault_tolerance": { "checkpoint_interval": "1m" } });
    assert_eq!(patched(&config, Some("0.375.0")), new);
}

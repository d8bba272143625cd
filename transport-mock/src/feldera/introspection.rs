//! What is seen of pipelines from outside: metrics and events.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use pipewright::Seed;
use serde_json::{Value, json};

use super::config::Config;
use super::errors::{Answer, Rejection, Reply};
use super::process::Process;
use super::release::Release;
use super::request::Call;
use super::store::Store;
use super::wire::{merge, stamp, uuid};

/// Of all that run or are paused; those that do not answer are left out.
pub(super) fn all_metrics(store: &Store) -> Reply {
    let answering = store.pipelines.iter().filter(|pipeline| pipeline.trouble.is_none());
    let text = answering.filter_map(|pipeline| Some(prometheus(&pipeline.name, pipeline.process.as_ref()?)));
    Reply::text("text/plain", text.collect())
}

pub(super) fn metrics(store: &mut Store, call: &Call, name: &str) -> Answer {
    let format = call.query("format").unwrap_or("prometheus");
    if !["prometheus", "json"].contains(&format) {
        return Err(Rejection::query(format!("unknown variant `{format}`, expected `prometheus` or `json`")));
    }
    let process = store.process(name)?;
    if format == "prometheus" {
        return Ok(Reply::text("text/plain", prometheus(name, process)));
    }
    let metric = |key: &str, kind: &str, description: &str, value: Value| {
        json!({ "key": key, "type": kind, "description": description,
            "values": [{ "labels": { "pipeline_name": name }, "value": value }] })
    };
    let numbers = measured(process).map(|(key, kind, description, value)| metric(key, kind, description, json!(value)));
    let histograms = timed(process).map(|(key, description, count)| {
        // Ranges without a value are left out.
        let bucket = (count > 0).then(|| json!({ "gt": SHORTER, "le": LONGEST, "count": count }));
        let buckets: Vec<_> = bucket.into_iter().collect();
        metric(key, "histogram", description, json!({ "buckets": buckets, "sum": seconds(count), "count": count }))
    });
    Ok(Reply::json(numbers.into_iter().chain(histograms).collect()))
}

pub(super) fn events(store: &mut Store, call: &Call, name: &str) -> Answer {
    let all = all(call)?;
    let events = &store.find(name)?.events;
    Ok(Reply::json(events.iter().rev().map(|event| shown(event, all)).collect()))
}

/// By its id, or the `latest`.
pub(super) fn event(store: &mut Store, call: &Call, name: &str, id: &str) -> Answer {
    let all = all(call)?;
    let events = &store.find(name)?.events;
    let found = match id {
        "latest" => events.back(),
        id => events.iter().find(|event| event["event_id"] == id),
    };
    let message = || {
        let why = "it might have been deleted as only a limited number of events are retained";
        let message = format!("Pipeline monitor event with identifier '{id}' does not exist -- {why}");
        let details = json!({ "event_id": id });
        Rejection::new(StatusCode::NOT_FOUND, "UnknownPipelineMonitorEvent", message, details)
    };
    found.map(|event| Reply::json(shown(event, all))).ok_or_else(message)
}

pub(super) fn configuration(config: &Config) -> Value {
    let edition = config.edition.name(config.release);
    let mut configuration = json!({
        "edition": edition, "version": config.release.version(), "revision": "", "runtime_revision": "",
        "license_validity": null, "update_info": null, "changelog_url": "",
        "build_info": { "build_timestamp": stamp(Duration::ZERO), "build_cpu": "", "build_os": "linux",
            "cargo_dependencies": "", "cargo_features": "", "cargo_debug": "false", "cargo_opt_level": "3",
            "cargo_target_triple": "x86_64-unknown-linux-gnu", "rustc_version": "" },
    });
    let added = if config.release < Release::V0_337 {
        json!({ "telemetry": "" })
    } else {
        json!({
            "posthog": "", "conceptualhq": "", "product_fruits": "", "unstable_features": null, "build_source": "source"
        })
    };
    merge(&mut configuration, added);
    if config.release >= Release::V0_375 {
        merge(&mut configuration, json!({ "allow_rust_udfs": true }));
    }
    configuration
}

pub(super) fn session(config: &Config, role: &str) -> Value {
    let mut session = json!({
        "tenant_id": "00000000-0000-0000-0000-000000000000", "tenant_name": "default", "role": role, "memberships": [],
    });
    if config.release >= Release::V0_375 {
        merge(&mut session, json!({ "user_created_at": null }));
    }
    session
}

pub(super) fn cluster_health(now: Duration, release: Release) -> Value {
    let part = |name: &str| {
        let message = format!("Healthy: The {name} service responded successfully to the last health check.");
        let (since, checked) = (stamp(Duration::ZERO), stamp(now));
        json!({ "healthy": true, "message": message, "unchanged_since": since, "checked_at": checked })
    };
    let mut health =
        json!({ "all_healthy": true, "api": part("api"), "compiler": part("compiler"), "runner": part("runner") });
    if release >= Release::V0_375 {
        merge(&mut health, json!({ "stale": false, "stale_after_seconds": 60 }));
    }
    health
}

/// The cluster has been well since the manager began, and so there is one event.
pub(super) fn cluster_events(config: &Config, call: &Call) -> Answer {
    Ok(Reply::json(json!([cluster_event_of(config, call)?])))
}

/// By its id, or the `latest`.
pub(super) fn cluster_event(config: &Config, call: &Call, id: &str) -> Answer {
    let event = cluster_event_of(config, call)?;
    if id == "latest" || event["id"] == id {
        return Ok(Reply::json(event));
    }
    let why = "it might have been deleted as only a limited number of events are retained";
    let message = format!("Cluster monitor event with identifier '{id}' does not exist -- {why}");
    let details = json!({ "event_id": id });
    Err(Rejection::new(StatusCode::NOT_FOUND, "UnknownClusterMonitorEvent", message, details))
}

fn cluster_event_of(config: &Config, call: &Call) -> Result<Value, Rejection> {
    let all = all(call)?;
    let mut seed = Seed::new(u128::from(config.seed));
    let mut event = json!({ "id": uuid(&mut seed, Duration::ZERO), "recorded_at": stamp(Duration::ZERO),
        "all_healthy": true, "api_status": "Healthy", "compiler_status": "Healthy", "runner_status": "Healthy" });
    if config.release >= Release::V0_375 {
        merge(&mut event, json!({ "stale": false }));
    }
    if all {
        merge(
            &mut event,
            json!({ "api_self_info": "", "api_resources_info": "", "compiler_self_info": "",
                "compiler_resources_info": "", "runner_self_info": "", "runner_resources_info": "" }),
        );
    }
    Ok(event)
}

fn all(call: &Call) -> Result<bool, Rejection> {
    match call.query("selector").unwrap_or("status") {
        "all" => Ok(true),
        "status" => Ok(false),
        other => Err(Rejection::query(format!("unknown variant `{other}`, expected `all` or `status`"))),
    }
}

/// With the details or without.
fn shown(event: &Value, all: bool) -> Value {
    let mut event = event.clone();
    if let Value::Object(fields) = &mut event
        && !all
    {
        fields.retain(|name, _| !name.ends_with("_details") && name != "deployment_error");
    }
    event
}

/// Name, kind, meaning and value.
fn measured(process: &Process) -> [(&'static str, &'static str, &'static str, u64); 4] {
    [
        ("records_input_total", "counter", "Total number of records ingested.", process.input_records),
        ("records_processed_total", "counter", "Total number of records processed.", process.completed_records),
        ("steps_completed_total", "counter", "Total number of completed steps.", process.completed),
        ("process_resident_memory_bytes", "gauge", "Resident memory of the process.", 163_213_312),
    ]
}

/// Histograms: name, meaning and how many values were measured.
fn timed(process: &Process) -> [(&'static str, &'static str, u64); 2] {
    let made = process.checkpoints.success.map_or(0, |_| 1);
    [
        ("step_latency_seconds", "How long steps take.", process.completed),
        ("checkpoint_latency_seconds", "How long checkpoints take.", made),
    ]
}

/// The bounds of the one range that all measured values are in; seconds.
const SHORTER: f64 = 0.019_999;
const LONGEST: f64 = 0.029_999;

/// The sum of so many measured values.
fn seconds(count: u64) -> f64 {
    Duration::from_millis(count.saturating_mul(20)).as_secs_f64()
}

fn prometheus(name: &str, process: &Process) -> String {
    let mut text = String::new();
    // Writing to a text never fails.
    for (key, kind, description, value) in measured(process) {
        let _ = writeln!(text, "# HELP {key} {description}\n# TYPE {key} {kind}");
        let _ = writeln!(text, "{key}{{pipeline_name=\"{name}\"}} {value}\n");
    }
    for (key, description, count) in timed(process) {
        let _ = writeln!(text, "# HELP {key} {description}\n# TYPE {key} histogram");
        // Each range includes those before it.
        for (bound, count) in [(SHORTER, 0), (LONGEST, count), (f64::INFINITY, count)] {
            let _ = writeln!(text, "{key}_bucket{{pipeline_name=\"{name}\",le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "{key}_sum{{pipeline_name=\"{name}\"}} {}", seconds(count));
        let _ = writeln!(text, "{key}_count{{pipeline_name=\"{name}\"}} {count}\n");
    }
    text
}

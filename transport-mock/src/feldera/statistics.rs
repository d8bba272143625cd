//! What a process tells of itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::errors::{Answer, Rejection, Reply};
use super::process::Process;
use super::release::Release;
use super::store::Store;
use super::wire::{merge, millis};

pub(super) fn statistics(store: &mut Store, name: &str) -> Answer {
    let (now, release, enterprise) = (store.now, store.config.release, store.config.edition.is_enterprise());
    let pipeline = store.running(name)?;
    let hosts = pipeline.runtime_config["hosts"].as_u64().unwrap_or(1);
    let Some(process) = &pipeline.process else { return Err(Rejection::unknown_route()) };
    let inputs: Vec<Value> = process.endpoints.iter().map(Endpoint::status).collect();
    let mut problems = Vec::new();
    if !enterprise {
        problems.push("EnterpriseFeature");
    }
    if !process.checkpoints.has_storage {
        problems.push("StorageRequired");
    }
    let (suspend, permanent) = match (problems.is_empty(), process.transaction.open) {
        (false, _) => (json!({ "Permanent": problems }), json!(problems)),
        (true, Some(_)) => (json!({ "Temporary": ["TransactionInProgress"] }), Value::Null),
        (true, None) => (Value::Null, Value::Null),
    };
    let (records, steps) = (process.completed_records, process.completed);
    let outputs: Vec<Value> = process.outputs.iter().map(|output| output.status(release, records, steps)).collect();
    let mut statistics = json!({
        "global_metrics": global_metrics(process, now, release),
        "suspend_error": suspend,
        "inputs": inputs,
        "outputs": outputs,
    });
    if release >= Release::V0_337 {
        let activity = process.checkpoints.activity(process.started);
        merge(&mut statistics, json!({ "checkpoint_activity": activity, "permanent_checkpoint_errors": permanent }));
    }
    if release >= Release::V0_375 && hosts > 1 {
        let hosts: Vec<_> = (0..hosts).map(|_| disk()).collect();
        merge(&mut statistics, json!({ "host_metrics": hosts }));
    }
    Ok(Reply::json(statistics))
}

/// The disk of a host.
fn disk() -> Value {
    json!({ "disk_available_bytes": 200_000_000_000_u64, "disk_total_bytes": 250_000_000_000_u64 })
}

fn global_metrics(process: &Process, now: Duration, release: Release) -> Value {
    // A transaction without rows has an id and an initiator, and the status of none.
    let status = match (process.transaction.began, process.transaction.committing.is_some()) {
        (None, _) => "NoTransaction",
        (Some(_), false) => "TransactionInProgress",
        (Some(_), true) => "CommitInProgress",
    };
    let initiated_by = process
        .transaction
        .open
        .map(|_| if process.transaction.committing.is_some() { "Committed" } else { "Started" });
    let state = if process.status == "Running" { "Running" } else { "Paused" };
    let bytes: usize = process.endpoints.iter().map(|endpoint| endpoint.bytes).sum();
    let mut metrics = json!({
        "state": state,
        "bootstrap_in_progress": false,
        "transaction_status": status,
        "transaction_id": process.transaction.open.unwrap_or(0),
        "transaction_msecs": process.transaction.began.map(|began| millis(now.saturating_sub(began))),
        "transaction_records": null,
        "commit_progress": null,
        "transaction_initiators": { "transaction_id": process.transaction.open, "initiated_by_api": initiated_by,
            "initiated_by_connectors": {} },
        "rss_bytes": 163_213_312,
        "cpu_msecs": 0,
        "uptime_msecs": millis(now.saturating_sub(process.started)),
        "start_time": process.started.as_secs(),
        "incarnation_uuid": process.incarnation,
        "initial_start_time": process.started.as_secs(),
        "storage_bytes": 0,
        "storage_mb_secs": 0,
        "runtime_elapsed_msecs": 0,
        "buffered_input_records": 0,
        "buffered_input_bytes": 0,
        "total_input_records": process.input_records,
        "total_input_bytes": bytes,
        "total_processed_records": process.completed_records,
        "total_processed_bytes": bytes,
        "total_completed_records": process.completed_records,
        "output_stall_msecs": 0,
        "total_initiated_steps": process.initiated,
        "total_completed_steps": process.completed,
        "pipeline_complete": process.is_complete(),
    });
    if release >= Release::V0_337 {
        let added = json!({ "concurrent_bootstrap_phase": "Inactive", "concurrent_bootstrap_progress": null,
            "memory_pressure": "low", "memory_pressure_epoch": 0 });
        merge(&mut metrics, added);
    }
    if release >= Release::V0_375 {
        let version = release.version();
        merge(&mut metrics, json!({ "platform_version": version, "runtime_version": version }));
        merge(&mut metrics, disk());
    }
    metrics
}

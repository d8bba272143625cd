//! What a process tells of itself.

use serde_json::{Value, json};

use super::Manager;
use super::connectors::is_complete;
use super::errors::{Answer, Refusal, Reply};
use super::process::{Endpoint, Process};

impl Manager {
    pub(super) fn statistics(&mut self, name: &str) -> Answer {
        let (now, enterprise) = (self.now, self.config.enterprise);
        let pipeline = self.live(name)?;
        let Some(process) = &pipeline.process else { return Err(Refusal::unknown_route()) };
        let inputs: Vec<Value> = process.endpoints.iter().map(Endpoint::status).collect();
        let mut problems = Vec::new();
        if !enterprise {
            problems.push("EnterpriseFeature");
        }
        if !process.has_storage {
            problems.push("StorageRequired");
        }
        let (suspend, permanent) = match (problems.is_empty(), process.transaction) {
            (false, _) => (json!({ "Permanent": problems }), json!(problems)),
            (true, Some(_)) => (json!({ "Temporary": ["TransactionInProgress"] }), Value::Null),
            (true, None) => (Value::Null, Value::Null),
        };
        Ok(Reply::json(json!({
            "global_metrics": global_metrics(process, now),
            "suspend_error": suspend,
            "checkpoint_activity": process.checkpoint_activity(),
            "permanent_checkpoint_errors": permanent,
            "inputs": inputs,
            "outputs": [],
        })))
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn global_metrics(process: &Process, now: std::time::Duration) -> Value {
    // A transaction without rows has an id and an initiator, and the status of none.
    let status = match (process.transaction_began, process.is_committing()) {
        (None, _) => "NoTransaction",
        (Some(_), false) => "TransactionInProgress",
        (Some(_), true) => "CommitInProgress",
    };
    let initiated_by = process.transaction.map(|_| if process.is_committing() { "Committed" } else { "Started" });
    let state = if process.status == "Running" { "Running" } else { "Paused" };
    let bytes: usize = process.endpoints.iter().map(|endpoint| endpoint.bytes).sum();
    json!({
        "state": state,
        "bootstrap_in_progress": false,
        "transaction_status": status,
        "transaction_id": process.transaction.unwrap_or(0),
        "transaction_msecs": process.transaction_began.map(|began| millis(now.saturating_sub(began))),
        "transaction_records": null,
        "commit_progress": null,
        "transaction_initiators": { "transaction_id": process.transaction, "initiated_by_api": initiated_by,
            "initiated_by_connectors": {} },
        "concurrent_bootstrap_phase": "Inactive",
        "concurrent_bootstrap_progress": null,
        "rss_bytes": 163_213_312,
        "memory_pressure": "low",
        "memory_pressure_epoch": 0,
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
        "pipeline_complete": is_complete(process),
    })
}

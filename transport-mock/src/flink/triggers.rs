//! Savepoint, stop and checkpoint: what starts them, and what says how far they are.

use http::StatusCode;
use serde_json::{Value, json};

use super::checkpoint_log::{Ask, Purpose};
use super::errors::{Answer, Rejection, Reply, accepted, ok};
use super::job_manager::JobManager;
use super::operations::{OperationKey, Outcome, Space};
use super::request::{Body, Call, Format, Kind, path_id};

const FORMAT_TYPE: Kind = Kind::OneOf("org.apache.flink.core.execution.SavepointFormatType", &["CANONICAL", "NATIVE"]);

const SAVEPOINT: Format = Format {
    name: "SavepointTriggerRequestBody",
    fields: &[
        ("target-directory", Kind::Text, (1, 0)),
        ("cancel-job", Kind::Flag, (1, 0)),
        ("formatType", FORMAT_TYPE, (1, 14)),
        ("triggerId", Kind::Id, (1, 14)),
    ],
};

const STOP: Format = Format {
    name: "StopWithSavepointRequestBody",
    fields: &[
        ("targetDirectory", Kind::Text, (1, 0)),
        ("drain", Kind::Flag, (1, 0)),
        ("formatType", FORMAT_TYPE, (1, 14)),
        ("triggerId", Kind::Id, (1, 14)),
    ],
};

const CHECKPOINT: Format = Format {
    name: "CheckpointTriggerRequestBody",
    fields: &[
        (
            "checkpointType",
            Kind::OneOf("org.apache.flink.core.execution.CheckpointType", &["INCREMENTAL", "CONFIGURED", "FULL"]),
            (1, 17),
        ),
        ("triggerId", Kind::Id, (1, 17)),
    ],
};

pub(super) fn trigger_savepoint(manager: &mut JobManager, call: &Call, job: &str) -> Answer {
    let body = Body::read(call, &SAVEPOINT)?;
    let job = path_id("jobid", job)?;
    let target = target(
        manager,
        &body,
        "target-directory",
        "org.apache.flink.runtime.rest.handler.job.savepoints.SavepointHandlers$SavepointTriggerHandler.triggerOperation(SavepointHandlers.java:244)",
    )?;
    let cancel_after = body.flag("cancel-job").unwrap_or(false);
    let ask = Ask { purpose: Purpose::Savepoint, target, native: is_native(&body), cancel_after };
    Ok(start(manager, Space::Savepoints, job, &body, &ask))
}

pub(super) fn trigger_stop(manager: &mut JobManager, call: &Call, job: &str) -> Answer {
    let body = Body::read(call, &STOP)?;
    let job = path_id("jobid", job)?;
    let target = target(
        manager,
        &body,
        "targetDirectory",
        "org.apache.flink.runtime.rest.handler.job.savepoints.SavepointHandlers$StopWithSavepointHandler.triggerOperation(SavepointHandlers.java:200)",
    )?;
    let ask = Ask { purpose: Purpose::Stop, target, native: is_native(&body), cancel_after: false };
    Ok(start(manager, Space::Savepoints, job, &body, &ask))
}

pub(super) fn trigger_checkpoint(manager: &mut JobManager, call: &Call, job: &str) -> Answer {
    let body = Body::read(call, &CHECKPOINT)?;
    let job = path_id("jobid", job)?;
    let ask = Ask::checkpoint(&job);
    Ok(start(manager, Space::Checkpoints, job, &body, &ask))
}

/// Where the savepoint goes. Whether it can be written there shows later; that there is no place at all, now.
fn target(manager: &JobManager, body: &Body, field: &str, frame: &'static str) -> Result<String, Rejection> {
    let named = body.text(field).or(manager.config.savepoint_directory.as_deref());
    named.map(str::to_owned).ok_or_else(|| {
        let message = format!(
            "Config key [execution.checkpointing.savepoint-dir] is not set. Property [{field}] must be provided."
        );
        Rejection::handler(StatusCode::BAD_REQUEST, message, frame)
    })
}

fn start(manager: &mut JobManager, space: Space, job: String, body: &Body, ask: &Ask) -> Reply {
    let trigger = body.text("triggerId").map_or_else(|| manager.ids.hex32(), str::to_owned);
    manager.trigger(OperationKey { space, job, trigger: trigger.clone() }, ask);
    accepted(json!({ "request-id": trigger }))
}

/// How far an operation is. That it failed is no failure of this request.
pub(super) fn operation_status(manager: &mut JobManager, space: Space, job: &str, trigger: &str) -> Answer {
    let job = path_id("jobid", job)?;
    let trigger = path_id("triggerid", trigger)?;
    let key = OperationKey { space, job, trigger };
    let Some(operation) = manager.operations.read(&key) else {
        return Err(unknown_operation(&key));
    };
    let (status, operation) = match &operation.outcome {
        None => ("IN_PROGRESS", Value::Null),
        Some((_, Outcome::Location(path))) => ("COMPLETED", json!({ "location": path })),
        Some((_, Outcome::Checkpoint(id))) => ("COMPLETED", json!({ "checkpointId": id })),
        Some((_, Outcome::Failed(failure))) => {
            // The one key is spelled differently from the other, and so it is on the server.
            let name = if space == Space::Checkpoints { "failureCause" } else { "failure-cause" };
            ("COMPLETED", json!({ name: failure.serialized() }))
        }
    };
    Ok(ok(json!({ "status": { "id": status }, "operation": operation })))
}

fn is_native(body: &Body) -> bool {
    body.text("formatType") == Some("NATIVE")
}

fn unknown_operation(key: &OperationKey) -> Rejection {
    let (kind, frame) = match key.space {
        Space::Savepoints => (
            "savepoint",
            "org.apache.flink.runtime.rest.handler.job.savepoints.SavepointHandlers$SavepointStatusHandler.maybeCreateNotFoundError(SavepointHandlers.java:325)",
        ),
        Space::Checkpoints => (
            "checkpoint",
            "org.apache.flink.runtime.rest.handler.job.checkpoints.CheckpointHandlers$CheckpointStatusHandler.maybeCreateNotFoundError(CheckpointHandlers.java:226)",
        ),
    };
    let message = format!("There is no {kind} operation with triggerId={} for job {}.", key.trigger, key.job);
    Rejection::handler(StatusCode::NOT_FOUND, message, frame)
}

//! Checkpoints, and pushing them to object storage. All of it is for the enterprise edition.

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Rejection, Reply};
use super::release::Release;
use super::request::Call;
use super::saved_state::SavedState;
use super::store::Store;

/// Rejected before anything else is checked, also for an unknown pipeline.
fn check_edition(store: &Store) -> Result<(), Rejection> {
    if store.config.edition.is_enterprise() { Ok(()) } else { Err(Rejection::enterprise("checkpoint")) }
}

pub(super) fn checkpoint(store: &mut Store, name: &str) -> Answer {
    check_edition(store)?;
    let (now, config) = (store.now, store.config.clone());
    let process = store.process(name)?;
    let sequence = process.request_checkpoint(now, &config);
    let mut answer = json!({ "checkpoint_sequence_number": sequence });
    if config.release >= Release::V0_337 {
        answer["incarnation_uuid"] = json!(process.incarnation);
    }
    Ok(Reply::json(answer))
}

pub(super) fn checkpoint_status(store: &mut Store, call: &Call, name: &str) -> Answer {
    let release = store.config.release;
    let process = store.process(name)?;
    check_incarnation(call, release, &process.incarnation)?;
    let mut failure = json!(process.checkpoints.failure());
    if let Value::Object(fields) = &mut failure
        && release < Release::V0_337
    {
        fields.remove("failed_at");
    }
    Ok(Reply::json(json!({ "success": process.checkpoints.success, "failure": failure })))
}

pub(super) fn list_checkpoints(store: &mut Store, name: &str) -> Answer {
    let pipeline = store.running(name)?;
    Ok(Reply::json(pipeline.checkpoints.iter().map(SavedState::described).collect()))
}

pub(super) fn sync_checkpoint(store: &mut Store, name: &str) -> Answer {
    check_edition(store)?;
    let (now, config) = (store.now, store.config.clone());
    let pipeline = store.running(name)?;
    let Some(uuid) = pipeline.checkpoints.last().map(|saved| saved.uuid.clone()) else {
        let message = "no checkpoints found; make a POST request to `/checkpoint` to make a new checkpoint";
        return Err(Rejection::new(StatusCode::BAD_REQUEST, "400", message, Value::Null));
    };
    let Some(process) = &mut pipeline.process else { return Err(Rejection::unknown_route()) };
    process.syncs.request(now, &uuid, &config);
    let mut answer = json!({ "checkpoint_uuid": uuid });
    if config.release >= Release::V0_337 {
        answer["incarnation_uuid"] = json!(process.incarnation);
    }
    Ok(Reply::accepted_json(answer))
}

pub(super) fn sync_status(store: &mut Store, call: &Call, name: &str) -> Answer {
    let release = store.config.release;
    let process = store.process(name)?;
    check_incarnation(call, release, &process.incarnation)?;
    Ok(Reply::json(process.syncs.status(release)))
}

/// The edition does not matter, but there has to be a bucket in the configuration of the storage.
pub(super) fn list_remote_checkpoints(store: &mut Store, name: &str) -> Answer {
    let pipeline = store.running(name)?;
    if pipeline.runtime_config["storage"]["backend"]["config"]["sync"].is_null() {
        let error = "listing remote checkpoints requires sync to be configured";
        let message = format!("Error fetching checkpoint from object store: {error}");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return Err(Rejection::new(status, "CheckpointFetchError", message, json!({ "error": error })));
    }
    let mut uuids = pipeline.remote.clone();
    uuids.sort();
    uuids.dedup();
    Ok(Reply::json(uuids.iter().map(|uuid| json!({ "uuid": uuid })).collect()))
}

fn check_incarnation(call: &Call, release: Release, incarnation: &str) -> Result<(), Rejection> {
    let requested = call.query("incarnation_uuid").filter(|_| release >= Release::V0_337);
    let Some(requested) = requested else { return Ok(()) };
    let hex = requested.bytes().filter(u8::is_ascii_hexdigit).count();
    if hex != 32 {
        return Err(Rejection::query("UUID parsing failed: invalid length"));
    }
    if requested == incarnation {
        return Ok(());
    }
    let message = format!("Incarnation UUID mismatch ({requested} in request, expected {incarnation})");
    let details = json!({ "expected": incarnation, "requested": requested });
    Err(Rejection::new(StatusCode::BAD_REQUEST, "IncarnationUuidMismatch", message, details))
}

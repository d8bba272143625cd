//! Checkpoints, and pushing them to object storage. All of it is for the enterprise edition.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Refusal, Reply};
use super::pipeline::{Due, Pipeline};
use super::process::SavedState;
use super::request::Call;
use super::{Config, Manager};

impl Manager {
    /// Refused before anything is looked at, an unknown pipeline too.
    fn check_edition(&self) -> Result<(), Refusal> {
        if self.config.enterprise { Ok(()) } else { Err(Refusal::enterprise("checkpoint")) }
    }

    pub(super) fn checkpoint(&mut self, name: &str) -> Answer {
        self.check_edition()?;
        let (now, config) = (self.now, self.config.clone());
        let pipeline = self.live(name)?;
        let Some(process) = &mut pipeline.process else { return Err(Refusal::unknown_route()) };
        let sequence = process.ask_checkpoint(now, &config);
        Ok(Reply::json(json!({ "checkpoint_sequence_number": sequence, "incarnation_uuid": process.incarnation })))
    }

    pub(super) fn checkpoint_status(&mut self, call: &Call, name: &str) -> Answer {
        let pipeline = self.live(name)?;
        let Some(process) = &pipeline.process else { return Err(Refusal::unknown_route()) };
        check_incarnation(call, &process.incarnation)?;
        let failure = process.failure.as_ref().map(|(_, failure)| failure);
        Ok(Reply::json(json!({ "success": process.success, "failure": failure })))
    }

    pub(super) fn list_checkpoints(&mut self, name: &str) -> Answer {
        let pipeline = self.live(name)?;
        Ok(Reply::json(pipeline.checkpoints.iter().map(metadata).collect()))
    }

    pub(super) fn sync_checkpoint(&mut self, name: &str) -> Answer {
        self.check_edition()?;
        let (now, config) = (self.now, self.config.clone());
        let pipeline = self.live(name)?;
        let Some(uuid) = pipeline.checkpoints.last().map(|saved| saved.uuid.clone()) else {
            let message = "no checkpoints found; make a POST request to `/checkpoint` to make a new checkpoint";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "400", message, Value::Null));
        };
        let Some(process) = &mut pipeline.process else { return Err(Refusal::unknown_route()) };
        process.ask_sync(now, &uuid, &config);
        Ok(Reply::accepted_json(json!({ "checkpoint_uuid": uuid, "incarnation_uuid": process.incarnation })))
    }

    pub(super) fn sync_status(&mut self, call: &Call, name: &str) -> Answer {
        let pipeline = self.live(name)?;
        let Some(process) = &pipeline.process else { return Err(Refusal::unknown_route()) };
        check_incarnation(call, &process.incarnation)?;
        Ok(Reply::json(json!({ "success": process.synced, "failure": process.sync_failure, "periodic": null })))
    }

    /// The edition does not matter, but there has to be a bucket in the configuration of the storage.
    pub(super) fn list_remote_checkpoints(&mut self, name: &str) -> Answer {
        let pipeline = self.live(name)?;
        if !pipeline.has_bucket() {
            let error = "listing remote checkpoints requires sync to be configured";
            let message = format!("Error fetching checkpoint from object store: {error}");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(Refusal::new(status, "CheckpointFetchError", message, json!({ "error": error })));
        }
        let mut uuids = pipeline.remote.clone();
        uuids.sort();
        uuids.dedup();
        Ok(Reply::json(uuids.iter().map(|uuid| json!({ "uuid": uuid })).collect()))
    }
}

impl Pipeline {
    /// Begins the checkpoint of a suspend, if one is wished and no transaction is open.
    pub(super) fn suspend(&mut self, at: Duration, config: &Config) {
        let Some(process) = &self.process else { return };
        if process.desired == "Suspended" && process.status != "Suspended" && process.transaction.is_none() {
            self.due = Some((at.saturating_add(config.checkpoint_duration), Due::Suspended));
        }
    }

    fn has_bucket(&self) -> bool {
        !self.runtime_config["storage"]["backend"]["config"]["sync"].is_null()
    }
}

fn check_incarnation(call: &Call, incarnation: &str) -> Result<(), Refusal> {
    let Some(requested) = call.query("incarnation_uuid") else { return Ok(()) };
    let hex = requested.bytes().filter(u8::is_ascii_hexdigit).count();
    if hex != 32 {
        return Err(Refusal::query("UUID parsing failed: invalid length"));
    }
    if requested == incarnation {
        return Ok(());
    }
    let message = format!("Incarnation UUID mismatch ({requested} in request, expected {incarnation})");
    let details = json!({ "expected": incarnation, "requested": requested });
    Err(Refusal::new(StatusCode::BAD_REQUEST, "IncarnationUuidMismatch", message, details))
}

/// A checkpoint as it is listed.
pub(super) fn metadata(saved: &SavedState) -> Value {
    json!({ "uuid": saved.uuid, "identifier": null, "fingerprint": u64::MAX - saved.program_version, "size": 1024,
        "steps": saved.steps, "processed_records": saved.records })
}

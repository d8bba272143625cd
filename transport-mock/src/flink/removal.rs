//! What is removed in the background: savepoints by their path, and cluster data sets.
//!
//! Unlike those of savepoints, these triggers get their ids from the server, and nobody can choose one.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::Cluster;
use super::errors::{Answer, Refusal, Throwable, accepted, ok};
use super::ids::parse_hex32;
use super::request::{Body, Call, Format, Kind, path_id};
use super::world::normalize;

/// How long a removal reads as in progress.
const TAKES: Duration = Duration::from_millis(60);

const DISPOSAL: Format = Format { name: "SavepointDisposalRequest", fields: &[("savepoint-path", Kind::Text, (1, 0))] };

/// Which triggers a status request may find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Removes {
    Savepoint,
    Dataset,
}

/// A removal that was asked for: when it reads as over, and why it failed.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) over: Duration,
    failure: Option<Throwable>,
}

impl Cluster {
    pub(super) fn dispose_savepoint(&mut self, call: &Call) -> Answer {
        let body = Body::read(call, &DISPOSAL)?;
        let Some(path) = body.text("savepoint-path") else {
            return Err(Refusal::handler(
                StatusCode::BAD_REQUEST,
                "Field savepoint-path must not be omitted or be null.",
                "org.apache.flink.runtime.rest.handler.job.savepoints.SavepointDisposalHandlers$SavepointDisposalTriggerHandler.triggerOperation(SavepointDisposalHandlers.java:69)",
            ));
        };
        let failure = match self.world.storage.remove(&normalize(path)) {
            Some(_) => None,
            None => Some(no_savepoint(path)),
        };
        // The one trigger that is answered with 200.
        Ok(ok(self.removal(Removes::Savepoint, failure)))
    }

    pub(super) fn list_datasets(&self) -> Value {
        let entries = self.world.datasets.iter().map(|id| json!({ "id": id, "isComplete": true }));
        json!({ "dataSets": entries.collect::<Vec<_>>() })
    }

    pub(super) fn delete_dataset(&mut self, id: &str) -> Answer {
        let id = path_id("datasetid", id)?;
        self.world.datasets.retain(|known| *known != id);
        Ok(accepted(self.removal(Removes::Dataset, None)))
    }

    fn removal(&mut self, what: Removes, failure: Option<Throwable>) -> Value {
        let trigger = self.world.ids.hex32();
        let over = self.now().saturating_add(TAKES);
        self.world.removals.insert((what, trigger.clone()), Removed { over, failure });
        json!({ "request-id": trigger })
    }

    pub(super) fn removal_status(&mut self, what: Removes, trigger: &str) -> Answer {
        let trigger = path_id("triggerid", trigger)?;
        let now = self.now();
        let Some(removed) = self.world.removals.get(&(what, trigger)) else {
            return Err(Refusal::Handler(
                StatusCode::NOT_FOUND,
                Throwable::new(
                    "org.apache.flink.runtime.rest.NotFoundException",
                    "Operation not found under key: org.apache.flink.runtime.rest.handler.async.OperationKey@decc",
                    "org.apache.flink.runtime.rest.handler.async.AbstractAsynchronousOperationHandlers$StatusHandler.handleRequest(AbstractAsynchronousOperationHandlers.java:186)",
                ),
            ));
        };
        let (status, operation) = match &removed.failure {
            _ if now < removed.over => ("IN_PROGRESS", Value::Null),
            None => ("COMPLETED", json!({})),
            Some(failure) => ("COMPLETED", json!({ "failure-cause": failure.serialized() })),
        };
        Ok(ok(json!({ "status": { "id": status }, "operation": operation })))
    }

    /// Puts a cluster data set there, as a batch job would; its id is 32 hex digits, or it is not put.
    pub fn add_dataset(&mut self, id: &str) {
        self.world.datasets.extend(parse_hex32(id));
    }

    /// The ids of the cluster data sets there are.
    pub fn datasets(&self) -> Vec<String> {
        self.world.datasets.clone()
    }

    /// Whether there is state at a path that a job could be started from.
    pub fn is_stored(&self, path: &str) -> bool {
        self.world.stored(path).is_some()
    }
}

fn no_savepoint(path: &str) -> Throwable {
    let frame = "org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess.resolveCheckpointPointer(AbstractFsCheckpointStorageAccess.java:275)";
    Throwable::new(
        "org.apache.flink.util.FlinkException",
        format!("Could not dispose savepoint {path}."),
        "org.apache.flink.runtime.dispatcher.Dispatcher.lambda$disposeSavepoint$29(Dispatcher.java:1523)",
    )
    .because(Throwable::new(
        "java.io.FileNotFoundException",
        format!("Cannot find checkpoint or savepoint file/directory '{path}' on file system 'file'."),
        frame,
    ))
}

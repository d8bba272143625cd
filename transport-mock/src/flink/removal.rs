//! What is removed in the background: savepoints by their path, and cluster data sets.
//!
//! Unlike those of savepoints, these triggers get their ids from the server, and a client cannot choose it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Rejection, Throwable, accepted, ok};
use super::ids::Ids;
use super::job_manager::JobManager;
use super::request::{Body, Call, Format, Kind, path_id};
use super::storage::normalize;

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
struct Removed {
    over: Duration,
    failure: Option<Throwable>,
    /// A client has read that it is over.
    is_read: bool,
}

/// The removals whose results are kept, and what can be removed but savepoints.
#[derive(Debug, Default)]
pub(super) struct Removals {
    removals: BTreeMap<(Removes, String), Removed>,
    /// Cluster data sets, by their ids. They are on the TaskManagers, which outlive the `JobManager`.
    pub(super) datasets: Vec<String>,
}

impl Removals {
    /// Forgets the results that are older than `retention`.
    pub(super) fn expire(&mut self, now: Duration, retention: Duration) {
        self.removals.retain(|_, removed| removed.over.saturating_add(retention) > now);
    }

    /// Forgets all results, as a new `JobManager` does.
    pub(super) fn clear(&mut self) {
        self.removals.clear();
    }

    pub(super) fn dispose_savepoint(&mut self, call: &Call, manager: &mut JobManager) -> Answer {
        let body = Body::read(call, &DISPOSAL)?;
        let Some(path) = body.text("savepoint-path") else {
            return Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                "Field savepoint-path must not be omitted or be null.",
                "org.apache.flink.runtime.rest.handler.job.savepoints.SavepointDisposalHandlers$SavepointDisposalTriggerHandler.triggerOperation(SavepointDisposalHandlers.java:69)",
            ));
        };
        let failure = if manager.storage.remove(&normalize(path)) { None } else { Some(no_savepoint(path)) };
        // The one trigger that is answered with 200.
        Ok(ok(self.start(Removes::Savepoint, failure, manager.now(), &mut manager.ids)))
    }

    pub(super) fn list_datasets(&self) -> Value {
        let entries = self.datasets.iter().map(|id| json!({ "id": id, "isComplete": true }));
        json!({ "dataSets": entries.collect::<Vec<_>>() })
    }

    pub(super) fn delete_dataset(&mut self, id: &str, now: Duration, ids: &mut Ids) -> Answer {
        let id = path_id("datasetid", id)?;
        self.datasets.retain(|known| *known != id);
        Ok(accepted(self.start(Removes::Dataset, None, now, ids)))
    }

    fn start(&mut self, what: Removes, failure: Option<Throwable>, now: Duration, ids: &mut Ids) -> Value {
        let trigger = ids.hex32();
        let over = now.saturating_add(TAKES);
        self.removals.insert((what, trigger.clone()), Removed { over, failure, is_read: false });
        json!({ "request-id": trigger })
    }

    /// Whether there are results, known or still to come, that no client has read.
    pub(super) fn has_unread(&self) -> bool {
        self.removals.values().any(|removed| !removed.is_read)
    }

    pub(super) fn status(&mut self, what: Removes, trigger: &str, now: Duration) -> Answer {
        let trigger = path_id("triggerid", trigger)?;
        let Some(removed) = self.removals.get_mut(&(what, trigger)) else {
            return Err(Rejection::Handler(
                StatusCode::NOT_FOUND,
                Throwable::new(
                    "org.apache.flink.runtime.rest.NotFoundException",
                    "Operation not found under key: org.apache.flink.runtime.rest.handler.async.OperationKey@decc",
                    "org.apache.flink.runtime.rest.handler.async.AbstractAsynchronousOperationHandlers$StatusHandler.handleRequest(AbstractAsynchronousOperationHandlers.java:186)",
                ),
            ));
        };
        removed.is_read = removed.over <= now;
        let (status, operation) = match &removed.failure {
            _ if now < removed.over => ("IN_PROGRESS", Value::Null),
            None => ("COMPLETED", json!({})),
            Some(failure) => ("COMPLETED", json!({ "failure-cause": failure.serialized() })),
        };
        Ok(ok(json!({ "status": { "id": status }, "operation": operation })))
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

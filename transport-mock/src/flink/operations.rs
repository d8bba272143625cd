//! Asynchronous operations: what a trigger starts and what a status request finds.
//!
//! An operation is known by the job and a trigger id. Savepoints and stops share one space of ids per job, so that a
//! stop with a savepoint's id *is* that savepoint; triggered checkpoints have a space of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::errors::Throwable;

/// What keeps a checkpoint's trigger id apart from a savepoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    Savepoints,
    Checkpoints,
}

/// The name of an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OperationKey {
    pub(super) space: Space,
    pub(super) job: String,
    pub(super) trigger: String,
}

/// How an operation ended.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Location(String),
    Checkpoint(u64),
    Failed(Throwable),
}

/// An operation, by what is known of its end.
#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) outcome: Option<(Duration, Outcome)>,
    /// A client has read the outcome.
    is_read: bool,
}

/// All operations whose results are kept.
#[derive(Debug, Default)]
pub(super) struct Operations(BTreeMap<OperationKey, Operation>);

impl Operations {
    /// Reads an operation.
    pub(super) fn read(&mut self, key: &OperationKey) -> Option<&Operation> {
        let operation = self.0.get_mut(key)?;
        operation.is_read = operation.outcome.is_some();
        Some(operation)
    }

    /// Whether there are outcomes, known or still to come, that no client has read.
    pub(super) fn has_unread(&self) -> bool {
        self.0.values().any(|operation| !operation.is_read)
    }

    /// Starts an operation. Returns false if there is one of this name, which is meant then.
    pub(super) fn start(&mut self, key: &OperationKey) -> bool {
        let is_new = !self.0.contains_key(key);
        if is_new {
            self.0.insert(key.clone(), Operation::default());
        }
        is_new
    }

    /// Records an operation's end; the first one counts.
    pub(super) fn settle(&mut self, key: &OperationKey, at: Duration, outcome: Outcome) {
        if let Some(operation) = self.0.get_mut(key)
            && operation.outcome.is_none()
        {
            operation.outcome = Some((at, outcome));
        }
    }

    /// Forgets the results that are older than `retention`.
    pub(super) fn expire(&mut self, now: Duration, retention: Duration) {
        self.0
            .retain(|_, operation| operation.outcome.as_ref().is_none_or(|(at, _)| at.saturating_add(retention) > now));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The coordinator's exception.
pub(super) fn checkpoint_exception(message: &str) -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.checkpoint.CheckpointException",
        message,
        "org.apache.flink.runtime.checkpoint.PendingCheckpoint.abort(PendingCheckpoint.java:561)",
    )
}

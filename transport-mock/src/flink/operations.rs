//! Asynchronous operations: what a trigger starts and what a status request finds.
//!
//! An operation is known by the job and a trigger id. Savepoints and stops share one space of ids per job, so that a
//! stop with a savepoint's id *is* that savepoint; triggered checkpoints have a space of their own.

use std::time::Duration;

use super::checkpoint_log::Purpose;
use super::errors::{Throwable, flink_job_not_found};
use super::job::JobState;
use super::world::World;

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
}

/// What a trigger asks for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) purpose: Purpose,
    pub(super) target: String,
    pub(super) native: bool,
    pub(super) cancel_after: bool,
}

impl World {
    /// Starts an operation, unless there is one of this name; then that one is meant.
    pub(super) fn trigger(&mut self, key: OperationKey, ask: &Ask) {
        if self.operations.contains_key(&key) {
            return;
        }
        self.operations.insert(key.clone(), Operation::default());
        let at = self.now();
        match self.obstacle(&key.job) {
            Some(obstacle) => self.settle(&key, at, Outcome::Failed(Throwable::completion(obstacle))),
            None => self.snapshot(&key.job.clone(), ask, Some(key), at),
        }
    }

    /// Why no snapshot of a job can be taken now. None of this makes the trigger fail: only the operation does.
    fn obstacle(&self, id: &str) -> Option<Throwable> {
        let unknown = || flink_job_not_found(id, "getJobMasterGateway(Dispatcher.java:2432)");
        let Some(job) = self.job(id) else {
            return Some(unknown());
        };
        match job.state {
            state if state.has_ended() => Some(unknown()),
            JobState::Initializing => Some(Throwable::new(
                "org.apache.flink.runtime.dispatcher.UnavailableDispatcherOperationException",
                "Unable to get JobMasterGateway for initializing job. The requested operation is not available while the JobManager is initializing.",
                "org.apache.flink.runtime.dispatcher.Dispatcher.getJobMasterGateway(Dispatcher.java:2440)",
            )),
            _ if job.is_processing() => None,
            _ => Some(checkpoint_exception(&format!(
                "Checkpoint triggering task {} of job {id} is not being executed at the moment. Aborting checkpoint. Failure reason: Not all required tasks are currently running.",
                job.first_task()
            ))),
        }
    }

    /// Records an operation's end; the first one counts.
    pub(super) fn settle(&mut self, key: &OperationKey, at: Duration, outcome: Outcome) {
        if let Some(operation) = self.operations.get_mut(key)
            && operation.outcome.is_none()
        {
            operation.outcome = Some((at, outcome));
        }
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

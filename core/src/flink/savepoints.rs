//! Savepoints: take a savepoint, stop a job with a savepoint, and read the outcome.
//!
//! Both operations are asynchronous: the response has a trigger id. Poll the outcome with [`GetSavepointStatus`].
//! Savepoints and stops of a job share their ids: if a stop reuses the id of a savepoint, it returns that savepoint and
//! does not stop the job. The cluster keeps results for `rest.async.store-duration` (5 min) after completion.

use super::jobs::{QueueState, QueueStatus};
use super::{FlinkRest, JobId, Throwable, TriggerId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Takes a savepoint. The response has a trigger id: see [`GetSavepointStatus`].
    ///
    /// **An unknown or ended job is not rejected**: the outcome of the operation is then a failure. Rejected with 400
    /// if neither the request nor the cluster has a target directory. With a chosen [`trigger_id`](Self::trigger_id),
    /// the request can be repeated as long as the server remembers the id.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-savepoints).
    Once POST "/jobs/{jobid}/savepoints" StartSavepoint "triggerSavepoint" -> Trigger {
        effect |savepoint| if savepoint.trigger_id.is_some() { Idempotent } else { Once };
        path { jobid: JobId }
        json? {
            /// Where to write it; the cluster's `execution.checkpointing.savepoint-dir` by default.
            target_directory: String = "target-directory",
            /// Whether to cancel the job after the savepoint. [`StartStop`] lets the job finish instead.
            cancel_job: bool = "cancel-job",
            /// How it is written. Since 1.15.
            format_type: SavepointFormat = "formatType",
            /// The trigger id. If the client chooses it, the operation is idempotent. Since 1.14.
            trigger_id: TriggerId = "triggerId",
        }
    }

    /// Takes a savepoint and stops the job, which ends FINISHED. The response has a trigger id: see
    /// [`GetSavepointStatus`].
    ///
    /// **An unknown or ended job is not rejected**: the outcome of the operation is then a failure. Two concurrent
    /// stops make each other fail, and the job restarts. Rejected with 400 if neither the request nor the cluster has a
    /// target directory.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-stop).
    Once POST "/jobs/{jobid}/stop" StartStop "triggerStopWithSavepoint" -> Trigger {
        effect |stop| if stop.trigger_id.is_some() { Idempotent } else { Once };
        path { jobid: JobId }
        json? {
            /// Where to write it; the cluster's `execution.checkpointing.savepoint-dir` by default.
            target_directory: String = "targetDirectory",
            /// Whether the sources first emit the maximum watermark, so that all event-time timers fire. Use it only
            /// for a job that will not be started from the savepoint.
            drain: bool,
            /// How it is written. Since 1.15.
            format_type: SavepointFormat = "formatType",
            /// The trigger id. If the client chooses it, the operation is idempotent. Since 1.14.
            trigger_id: TriggerId = "triggerId",
        }
    }

    /// Returns the outcome of a savepoint or a stop.
    ///
    /// Rejected with 404 if the cluster does not know the trigger, or has forgotten it, for example in a restart.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-savepoints-triggerid).
    Safe GET "/jobs/{jobid}/savepoints/{triggerid}" GetSavepointStatus "getSavepointStatus" -> SavepointStatus {
        path { jobid: JobId, triggerid: TriggerId }
    }
}

string_enums! {
    /// The format of a savepoint.
    pub enum SavepointFormat {
        /// A common format of all state backends.
        Canonical = "CANONICAL",
        /// The format of the job's state backend, which is faster.
        Native = "NATIVE",
    }
}

json_structs! {
    /// The response to a trigger: an operation was started, or had been started before with the same id.
    pub struct Trigger {
        pub request_id: TriggerId = "request-id",
    }

    /// The outcome of a savepoint or a stop.
    pub struct SavepointStatus {
        pub status: QueueState,
        /// The result, if the operation has ended. Read it with [`outcome`](Self::outcome).
        pub operation: Option<SavepointInfo> = "operation" (decisive),
    }

    /// The outcome of the removal of a savepoint or a data set.
    pub struct Removal {
        pub status: QueueState,
        /// The result, if the operation has ended. Read it with [`outcome`](Self::outcome).
        pub operation: Option<RemovalInfo> = "operation" (decisive),
    }

    /// The result of a removal: success, or a failure.
    pub struct RemovalInfo {
        /// Why it failed.
        pub failure_cause: Option<Throwable> = "failure-cause" | "failureCause" (decisive),
    }

    /// The result of a savepoint: a location, or a failure.
    pub struct SavepointInfo {
        /// The path of the savepoint.
        pub location: Option<String> = "location" (decisive),
        /// Why the savepoint failed.
        pub failure_cause: Option<Throwable> = "failure-cause" | "failureCause" (decisive),
    }
}

/// The result of an asynchronous operation that has ended.
pub type Outcome<T> = Result<T, Throwable>;

impl SavepointStatus {
    /// Returns the location or the failure; `None` while the operation is in progress.
    pub fn outcome(&self) -> Option<Outcome<&str>> {
        let operation = self.operation.as_ref().filter(|_| self.status.id == QueueStatus::Completed)?;
        match (&operation.failure_cause, &operation.location) {
            (Some(cause), _) => Some(Err(cause.clone())),
            (None, Some(location)) => Some(Ok(location)),
            (None, None) => None,
        }
    }
}

impl SavepointInfo {
    /// Returns the path of the savepoint that a stop has written before the job failed while it was stopping. Start the
    /// job from this savepoint. `None` for all other outcomes.
    pub fn left_behind(&self) -> Option<&str> {
        self.failure_cause.as_ref().filter(|_| self.location.is_none())?.savepoint()
    }
}

impl Removal {
    /// Returns success or the failure; `None` while the removal is in progress.
    pub fn outcome(&self) -> Option<Outcome<()>> {
        let operation = self.operation.as_ref().filter(|_| self.status.id == QueueStatus::Completed);
        match operation.and_then(|operation| operation.failure_cause.clone()) {
            Some(cause) => Some(Err(cause)),
            None => (self.status.id == QueueStatus::Completed).then_some(Ok(())),
        }
    }
}

//! Savepoints: take one, stop with one, and its outcome.
//!
//! Both are triggers: the answer is an id, and the outcome is asked for with [`GetSavepointStatus`]. Savepoints and
//! stops of one job share their ids: a stop that reuses the id of a savepoint is answered with that savepoint and stops
//! nothing. Results are kept for `rest.async.store-duration` (5 min) after completion.

use super::jobs::{QueueState, QueueStatus};
use super::{FlinkRest, JobId, Throwable, TriggerId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Takes a savepoint. The answer is a trigger: see [`GetSavepointStatus`].
    ///
    /// **An unknown or ended job is not rejected**: that comes as the operation's failure. Rejected with 400: no target
    /// directory while the cluster has no default. With a chosen [`trigger_id`](Self::trigger_id) it can be repeated as
    /// long as the server remembers the id.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-savepoints).
    Once POST "/jobs/{jobid}/savepoints" StartSavepoint "triggerSavepoint" -> Trigger {
        effect |savepoint| if savepoint.trigger_id.is_some() { Idempotent } else { Once };
        path { jobid: JobId }
        json? {
            /// Where to write it; the cluster's `execution.checkpointing.savepoint-dir` by default.
            target_directory: String = "target-directory",
            /// Cancels the job after the savepoint. [`StartStop`] ends it more gently.
            cancel_job: bool = "cancel-job",
            /// How it is written. Since 1.15.
            format_type: SavepointFormat = "formatType",
            /// Client-chosen: makes the operation idempotent. Since 1.14.
            trigger_id: TriggerId = "triggerId",
        }
    }

    /// Takes a savepoint and stops the job, which ends FINISHED. The answer is a trigger: see [`GetSavepointStatus`].
    ///
    /// **An unknown or ended job is not rejected**: that comes as the operation's failure. Two stops at once make each
    /// other fail, and the job restarts. Rejected with 400: no target directory while the cluster has no default.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-stop).
    Once POST "/jobs/{jobid}/stop" StartStop "triggerStopWithSavepoint" -> Trigger {
        effect |stop| if stop.trigger_id.is_some() { Idempotent } else { Once };
        path { jobid: JobId }
        json? {
            /// Where to write it; the cluster's `execution.checkpointing.savepoint-dir` by default.
            target_directory: String = "targetDirectory",
            /// First emits the maximum watermark, so that all timers fire: for a job that will not be resumed.
            drain: bool,
            /// How it is written. Since 1.15.
            format_type: SavepointFormat = "formatType",
            /// Client-chosen: makes the operation idempotent. Since 1.14.
            trigger_id: TriggerId = "triggerId",
        }
    }

    /// The outcome of a savepoint or a stop.
    ///
    /// Rejected with 404: an unknown trigger, or one that was forgotten, for example in a restart of the JobManager.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-savepoints-triggerid).
    Safe GET "/jobs/{jobid}/savepoints/{triggerid}" GetSavepointStatus "getSavepointStatus" -> SavepointStatus {
        path { jobid: JobId, triggerid: TriggerId }
    }
}

string_enums! {
    /// How a savepoint is written.
    pub enum SavepointFormat {
        /// The same for all state backends.
        Canonical = "CANONICAL",
        /// The state backend's own: faster.
        Native = "NATIVE",
    }
}

json_structs! {
    /// A background operation was started, or had been with the same id.
    pub struct Trigger {
        pub request_id: TriggerId = "request-id",
    }

    /// The outcome of a savepoint or a stop.
    pub struct SavepointStatus {
        /// How far it is.
        pub status: QueueState,
        /// What came of it, when it is over. [`outcome`](Self::outcome) reads it.
        pub operation: Option<SavepointInfo> = "operation" (decisive),
    }

    /// The outcome of the removal of a savepoint or a data set.
    pub struct Removal {
        /// How far it is.
        pub status: QueueState,
        /// What came of it, when it is over. [`outcome`](Self::outcome) reads it.
        pub operation: Option<RemovalInfo> = "operation" (decisive),
    }

    /// What came of a removal: nothing to tell, or a failure.
    pub struct RemovalInfo {
        /// Why it failed.
        pub failure_cause: Option<Throwable> = "failure-cause" | "failureCause" (decisive),
    }

    /// What came of a savepoint: a location or a failure.
    pub struct SavepointInfo {
        /// Where it is.
        pub location: Option<String> = "location" (decisive),
        /// Why there is no savepoint.
        pub failure_cause: Option<Throwable> = "failure-cause" | "failureCause" (decisive),
    }
}

/// What came of a background operation that is over.
pub type Outcome<T> = Result<T, Throwable>;

impl SavepointStatus {
    /// The location or the failure; `None` while it is in progress.
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
    /// The path of the savepoint that a stop has written before it failed, which no other field has: the job then
    /// failed while it was stopping, and can be started from there. `None` for all other outcomes.
    pub fn left_behind(&self) -> Option<&str> {
        self.failure_cause.as_ref().filter(|_| self.location.is_none())?.savepoint()
    }
}

impl Removal {
    /// Whether it was removed, or the failure; `None` while it is in progress.
    pub fn outcome(&self) -> Option<Outcome<()>> {
        let operation = self.operation.as_ref().filter(|_| self.status.id == QueueStatus::Completed);
        match operation.and_then(|operation| operation.failure_cause.clone()) {
            Some(cause) => Some(Err(cause)),
            None => (self.status.id == QueueStatus::Completed).then_some(Ok(())),
        }
    }
}

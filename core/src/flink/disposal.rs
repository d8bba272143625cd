//! Disposal of savepoints: deletes the files of a savepoint.
//!
//! A disposal is asynchronous: the response has a trigger id, which the client cannot choose. Poll the outcome with
//! [`GetSavepointDisposal`]. The cluster keeps results for `rest.async.store-duration` (5 min) after completion.

use super::savepoints::{Removal, Trigger};
use super::{FlinkRest, TriggerId};
use crate::schema::operations;

operations! { FlinkRest;
    /// Deletes a savepoint. The response has a trigger id: see [`GetSavepointDisposal`].
    ///
    /// Works for any savepoint that the JobManager can read, also without a job. **A savepoint that does not exist is
    /// not rejected**: the outcome of the operation is then a failure.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#savepoint-disposal).
    Idempotent POST "/savepoint-disposal" StartSavepointDisposal "triggerSavepointDisposal" -> Trigger {
        json {
            /// The path of the savepoint, from
            /// [`SavepointStatus::outcome`](super::savepoints::SavepointStatus::outcome).
            savepoint_path: String = "savepoint-path",
        }
    }

    /// Returns the outcome of a disposal.
    ///
    /// Rejected with 404 if the cluster does not know the trigger, or has forgotten it, for example in a restart.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#savepoint-disposal-triggerid).
    Safe GET "/savepoint-disposal/{triggerid}" GetSavepointDisposal "getSavepointDisposalStatus" -> Removal {
        path { triggerid: TriggerId }
    }
}

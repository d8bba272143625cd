//! Disposal of savepoints: deletes the files of one.
//!
//! It is a trigger: the answer is an id, and the outcome is asked for with [`GetSavepointDisposal`]. The id cannot be
//! chosen. Results are kept for `rest.async.store-duration` (5 min) after completion.

use super::savepoints::{Removal, Trigger};
use super::{FlinkRest, TriggerId};
use crate::schema::operations;

operations! { FlinkRest;
    /// Deletes a savepoint. The answer is a trigger: see [`GetSavepointDisposal`].
    ///
    /// Needs no job: any savepoint that the JobManager can read. **One that does not exist is not rejected**: that
    /// comes as the operation's failure.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#savepoint-disposal).
    Idempotent POST "/savepoint-disposal" StartSavepointDisposal "triggerSavepointDisposal" -> Trigger {
        json {
            /// Where the savepoint is, as [`SavepointStatus::outcome`](super::savepoints::SavepointStatus::outcome)
            /// says.
            savepoint_path: String = "savepoint-path",
        }
    }

    /// The outcome of a disposal.
    ///
    /// Rejected with 404: an unknown trigger, or one that was forgotten, for example in a restart of the JobManager.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#savepoint-disposal-triggerid).
    Safe GET "/savepoint-disposal/{triggerid}" GetSavepointDisposal "getSavepointDisposalStatus" -> Removal {
        path { triggerid: TriggerId }
    }
}

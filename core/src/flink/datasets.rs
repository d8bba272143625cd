//! Cluster data sets: what a batch job has left on the cluster for another job to read
//! ([caching](https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/datastream/execution_mode/)).
//!
//! To delete one is a trigger: the answer is an id, and the outcome is asked for with [`GetDatasetDeletion`]. Results
//! are kept for `rest.async.store-duration` (5 min) after completion.

use super::savepoints::{Removal, Trigger};
use super::{DatasetId, FlinkRest, TriggerId};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// Lists the data sets on the cluster.
    ///
    /// Never rejects. [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#datasets).
    Safe GET "/datasets" ListDatasets "getClusterDataSetList" -> Datasets {}

    /// Deletes a data set. The answer is a trigger: see [`GetDatasetDeletion`].
    ///
    /// **An unknown data set is not rejected**, and its deletion completes without a failure.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#datasets-datasetid).
    Idempotent DELETE "/datasets/{datasetid}" StartDatasetDeletion "deleteClusterDataSet" -> Trigger {
        path { datasetid: DatasetId }
    }

    /// The outcome of a deletion.
    ///
    /// Rejected with 404: an unknown trigger, or one that was forgotten, for example in a restart of the JobManager.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#datasets-delete-triggerid).
    Safe GET "/datasets/delete/{triggerid}" GetDatasetDeletion "getClusterDataSetDeleteStatus" -> Removal {
        path { triggerid: TriggerId }
    }
}

json_structs! {
    /// The data sets on a cluster.
    pub struct Datasets {
        /// In no order that can be relied on.
        pub datasets: Vec<Dataset> = "dataSets",
    }

    /// A data set.
    pub struct Dataset {
        pub id: DatasetId,
        /// Whether all of its partitions are there.
        pub is_complete: Option<bool> = "isComplete",
    }
}

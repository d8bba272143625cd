//! Cluster data sets: results that a batch job keeps on the cluster for another job
//! ([caching](https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/datastream/execution_mode/)).
//!
//! A deletion is asynchronous: the response has a trigger id. Poll the outcome with [`GetDatasetDeletion`]. The cluster
//! keeps results for `rest.async.store-duration` (5 min) after completion.

use super::savepoints::{Removal, Trigger};
use super::{DatasetId, FlinkRest, TriggerId};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// Lists the data sets on the cluster.
    ///
    /// Never rejects. [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#datasets).
    Safe GET "/datasets" ListDatasets "getClusterDataSetList" -> Datasets {}

    /// Deletes a data set. The response has a trigger id: see [`GetDatasetDeletion`].
    ///
    /// **An unknown data set is not rejected**, and its deletion completes without a failure.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#datasets-datasetid).
    Idempotent DELETE "/datasets/{datasetid}" StartDatasetDeletion "deleteClusterDataSet" -> Trigger {
        path { datasetid: DatasetId }
    }

    /// Returns the outcome of a deletion.
    ///
    /// Rejected with 404 if the cluster does not know the trigger, or has forgotten it, for example in a restart.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#datasets-delete-triggerid).
    Safe GET "/datasets/delete/{triggerid}" GetDatasetDeletion "getClusterDataSetDeleteStatus" -> Removal {
        path { triggerid: TriggerId }
    }
}

json_structs! {
    /// The data sets on a cluster.
    pub struct Datasets {
        /// In arbitrary order.
        pub datasets: Vec<Dataset> = "dataSets",
    }

    /// A data set.
    pub struct Dataset {
        pub id: DatasetId,
        /// Whether all its partitions exist.
        pub is_complete: Option<bool> = "isComplete",
    }
}

//! The checkpoint configuration of a job.

use crate::flink::{FlinkRest, JobId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Returns the checkpoint configuration of a job. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-config).
    Safe GET "/jobs/{jobid}/checkpoints/config" GetCheckpointConfig "getCheckpointConfig" -> CheckpointConfig {
        path { jobid: JobId }
    }
}

string_enums! {
    /// How often a record affects the state after a failure.
    pub enum CheckpointMode {
        ExactlyOnce = "exactly_once",
        AtLeastOnce = "at_least_once",
    }
}

json_structs! {
    /// The checkpoint configuration of a job.
    pub struct CheckpointConfig {
        pub mode: Option<CheckpointMode>,
        /// Milliseconds from the start of a checkpoint to the start of the next. See
        /// [`is_periodic`](Self::is_periodic).
        pub interval: Option<i64>,
        /// Milliseconds that a checkpoint may take.
        pub timeout: Option<i64>,
        /// Minimum milliseconds from the end of a checkpoint to the start of the next.
        pub min_pause: Option<i64>,
        /// How many checkpoints may be in progress at the same time.
        pub max_concurrent: Option<i64>,
        pub externalization: Externalization,
        /// The Java class of the state backend, or its name.
        pub state_backend: Option<String>,
        /// The storage of checkpoints: a Java class, or its name.
        pub checkpoint_storage: Option<String>,
        /// Whether barriers overtake records.
        pub unaligned_checkpoints: Option<bool>,
        /// How many failed checkpoints the job tolerates before it fails.
        pub tolerable_failed_checkpoints: Option<i32>,
        /// Milliseconds until barriers of an aligned checkpoint overtake records. Since 1.14.
        pub aligned_checkpoint_timeout: Option<i64>,
        /// Whether checkpoints continue when some tasks have finished. Since 1.14.
        pub checkpoints_after_tasks_finish: Option<bool>,
        /// Whether changes of the state are written continuously to a changelog. Since 1.16.
        pub state_changelog_enabled: Option<bool>,
        /// Milliseconds between two materializations of the changelog. Since 1.16.
        pub changelog_periodic_materialization_interval: Option<i64>,
        /// The storage of the changelog. Since 1.16.
        pub changelog_storage: Option<String>,
    }

    /// Whether checkpoints outlive their job.
    pub struct Externalization {
        /// Whether checkpoints are retained after the end of the job.
        pub enabled: Option<bool>,
        /// Whether they are deleted if the job is cancelled.
        pub delete_on_cancellation: Option<bool>,
    }
}

impl CheckpointConfig {
    /// Returns whether the job takes checkpoints by itself. If not, the interval is Java's `Long.MAX_VALUE`.
    pub fn is_periodic(&self) -> bool {
        self.interval.is_some_and(|interval| interval < i64::MAX)
    }
}

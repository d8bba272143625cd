//! How the checkpoints of a job are set up.

use crate::flink::{FlinkRest, JobId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// How the checkpoints of a job are set up. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-checkpoints-config).
    Safe GET "/jobs/{jobid}/checkpoints/config" GetCheckpointConfig "getCheckpointConfig" -> CheckpointConfig {
        path { jobid: JobId }
    }
}

string_enums! {
    /// How often a record counts after a failure.
    pub enum CheckpointMode {
        ExactlyOnce = "exactly_once",
        /// Once or more.
        AtLeastOnce = "at_least_once",
    }
}

json_structs! {
    /// How the checkpoints of a job are set up.
    pub struct CheckpointConfig {
        /// How often a record counts after a failure.
        pub mode: Option<CheckpointMode>,
        /// From the start of one to that of the next; milliseconds. See [`is_periodic`](Self::is_periodic).
        pub interval: Option<i64>,
        /// How long one may take; milliseconds.
        pub timeout: Option<i64>,
        /// At least so long from the end of one to the start of the next; milliseconds.
        pub min_pause: Option<i64>,
        /// How many may be under way.
        pub max_concurrent: Option<i64>,
        /// Whether checkpoints outlive the job.
        pub externalization: Externalization,
        /// The Java class of the state backend, or its name.
        pub state_backend: Option<String>,
        /// Where checkpoints are kept: a Java class, or its name.
        pub checkpoint_storage: Option<String>,
        /// Whether barriers overtake records.
        pub unaligned_checkpoints: Option<bool>,
        /// How many failures the job survives.
        pub tolerable_failed_checkpoints: Option<i32>,
        /// How long barriers wait before they overtake; milliseconds. Since 1.14.
        pub aligned_checkpoint_timeout: Option<i64>,
        /// Whether checkpoints continue when some tasks have finished. Since 1.14.
        pub checkpoints_after_tasks_finish: Option<bool>,
        /// Whether changes of state are written all the time. Since 1.16.
        pub state_changelog_enabled: Option<bool>,
        /// How often that log is replaced by the state; milliseconds. Since 1.16.
        pub changelog_periodic_materialization_interval: Option<i64>,
        /// Where it is kept. Since 1.16.
        pub changelog_storage: Option<String>,
    }

    /// Whether checkpoints outlive their job.
    pub struct Externalization {
        /// They do.
        pub enabled: Option<bool>,
        /// But not when it is cancelled.
        pub delete_on_cancellation: Option<bool>,
    }
}

impl CheckpointConfig {
    /// Whether there are checkpoints without asking for them: the interval is Java's `Long.MAX_VALUE` when not.
    pub fn is_periodic(&self) -> bool {
        self.interval.is_some_and(|interval| interval < i64::MAX)
    }
}

//! The cluster: overview, configuration, version.

use std::fmt;
use std::time::Duration;

use super::{Acknowledged, FlinkRest};
use crate::flink::tuning::{DEFAULT_CACHE_TIME, MAX_CACHE_TIME};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// Returns the numbers of TaskManagers, slots, and jobs by state.
    ///
    /// Never rejects. [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#overview-1).
    Safe GET "/overview" GetOverview "getClusterOverview" -> Overview {}

    /// Returns the configuration of the web interface, and Flink's version.
    ///
    /// Never rejects. [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#config).
    Safe GET "/config" GetConfig "getDashboardConfiguration" -> DashboardConfig {}

    /// Shuts the cluster down. The response comes at once. The cluster then **waits** until the result of every
    /// completed trigger was read or forgotten (`rest.async.store-duration`, 5 min). Until then, jobs run, and the
    /// address answers.
    ///
    /// Never rejects. A second request finds the cluster shutting down or gone.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#cluster).
    Idempotent DELETE "/cluster" ShutdownCluster "shutdownCluster" -> Acknowledged {}
}

json_structs! {
    /// The numbers of TaskManagers, slots, and jobs by state.
    pub struct Overview in kebab {
        /// Registered TaskManagers.
        pub task_managers: Option<u32> = "taskmanagers",
        /// Task slots of all TaskManagers.
        pub slots_total: Option<u32>,
        /// Task slots without a task.
        pub slots_available: Option<u32>,
        /// TaskManagers that get no new tasks; `None` if no TaskManager is blocked.
        pub task_managers_blocked: Option<u32> = "taskmanagers-blocked",
        /// Free slots on blocked TaskManagers; `None` if no TaskManager is blocked.
        pub slots_free_and_blocked: Option<u32>,
        /// Jobs that have not ended.
        pub jobs_running: Option<u32>,
        /// Jobs that ended by themselves or were stopped.
        pub jobs_finished: Option<u32>,
        pub jobs_cancelled: Option<u32>,
        /// Jobs that have failed and will not be restarted.
        pub jobs_failed: Option<u32>,
        /// Flink's version, as in `2.3.0`.
        pub flink_version: Option<String>,
        /// The commit that Flink was built from.
        pub flink_commit: Option<String>,
    }

    /// The configuration of the web interface.
    pub struct DashboardConfig in kebab {
        /// How often the web interface polls, and how old cached responses may be, in milliseconds.
        pub refresh_interval: Option<i64>,
        /// The server's time zone, by name.
        pub timezone_name: Option<String>,
        /// The server's offset from UTC in milliseconds.
        pub timezone_offset: Option<i64>,
        /// Flink's version, as in `2.3.0`. See [`version`](Self::version).
        pub flink_version: Option<String>,
        /// The commit that Flink was built from, and its date.
        pub flink_revision: Option<String>,
        pub features: Features,
    }

    /// The features of the web interface. Only `web_submit` also affects the REST API.
    pub struct Features in kebab {
        /// Jars can be uploaded and run. If false, the cluster rejects these operations.
        pub web_submit: Option<bool>,
        /// The web interface has a button to cancel jobs. Since 1.15.
        pub web_cancel: Option<bool>,
        /// The web interface has buttons to rescale jobs. Since 1.18.
        pub web_rescale: Option<bool>,
        /// The server is a HistoryServer.
        pub web_history: Option<bool>,
    }
}

impl DashboardConfig {
    /// Returns Flink's version; `None` if it cannot be read.
    pub fn version(&self) -> Option<FlinkVersion> {
        FlinkVersion::parse(self.flink_version.as_deref()?)
    }

    /// Returns how old cached responses may be: 3 s, the default, if the cluster does not say, and at most an hour.
    pub(crate) fn freshness(&self) -> Duration {
        let interval =
            self.refresh_interval.map(|interval| Duration::from_millis(u64::try_from(interval).unwrap_or(0)));
        interval.unwrap_or(DEFAULT_CACHE_TIME).min(MAX_CACHE_TIME)
    }
}

/// A release of Flink, to choose between requests that differ by version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlinkVersion {
    /// The 1 of 1.20.5.
    pub major: u32,
    /// The 20 of 1.20.5.
    pub minor: u32,
}

impl FlinkVersion {
    /// The first release that accepts `claimMode` for a run. Older releases accept `restoreMode`, and reject
    /// `claimMode`.
    pub const CLAIM_MODE: Self = Self { major: 1, minor: 20 };

    /// Reads a version such as `2.3.0` or `1.20-SNAPSHOT`; `None` if the text is not a version.
    ///
    /// ```
    /// use pipewright::flink::cluster::FlinkVersion;
    /// assert!(FlinkVersion::parse("1.18.1") < Some(FlinkVersion::CLAIM_MODE));
    /// assert!(FlinkVersion::parse("2.3-SNAPSHOT") > Some(FlinkVersion::CLAIM_MODE));
    /// assert_eq!(FlinkVersion::parse("<unknown>"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(['.', '-']).map(|part| part.parse().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()?? })
    }
}

impl fmt::Display for FlinkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

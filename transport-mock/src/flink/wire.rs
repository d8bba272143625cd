//! What the bodies of many answers share.

use std::time::Duration;

/// The only TaskManager of the cluster.
pub(super) const TASK_MANAGER: &str = "127.0.0.1:44883-f8bb4a";

/// Where the web UI of the cluster would be.
pub(super) const WEB_UI: &str = "http://127.0.0.1:8081";

/// Where its tasks run, as their host alone and with the port of the data.
pub(super) const TASK_HOST: &str = "localhost";
pub(super) const TASK_ADDRESS: &str = "localhost:33509";
/// What stands for either while a task has no slot.
pub(super) const UNASSIGNED: &str = "(unassigned)";

/// A time as the server writes it.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

//! The tuning constants of Flink's flows: how long, how often, and how many.
//!
//! "Our choice" marks a value that no document of Flink states. Options are those of the cluster's configuration.

use std::time::Duration;

// Lookups

/// How long a lookup of a job, a trigger or a JobManager is repeated if it fails and the flow has no deadline.
///
/// With high availability and a dead leader, each request is rejected until the leader's session with `ZooKeeper`
/// expires: 60 s by default (`high-availability.zookeeper.client.session-timeout`). Half a minute more, for the new
/// leader to start, is our choice.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(90);

/// How often a proxy must answer 403, 404 or 405 before the flow takes that for its configuration. Our choice: a proxy
/// that has lost the service for a moment gives the same answers.
pub(crate) const MAX_BARRED_ANSWERS: u32 = 5;

/// The longest time between two polls of a job that leaves no gap in what is known of it. Our choice: more than twice
/// the longest interval between two polls (2 s).
pub(crate) const MAX_POLL_GAP: Duration = Duration::from_secs(5);

/// Before a list of checkpoints is read again because the first list may have been cached. The cluster caches it for
/// `web.refresh-interval`, 3 s by default; the rest is our choice.
pub(crate) const CHECKPOINTS_CACHE_TIME: Duration = Duration::from_millis(3500);

/// How long a flow waits at most for the cluster's caches (`web.refresh-interval`) to be renewed. Our choice: an option
/// that is higher turns the cache off in practice.
pub(crate) const MAX_CACHE_TIME: Duration = Duration::from_secs(3600);

/// How old cached answers may be if the cluster does not tell. The default of `web.refresh-interval`.
pub(crate) const DEFAULT_CACHE_TIME: Duration = Duration::from_secs(3);

/// By how much the client's clock may be ahead of the cluster's, if a savepoint is matched with a stop by time. Our
/// choice: a savepoint that an earlier stop has left within this time is the newest snapshot of the job, too.
pub(crate) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);

// Asynchronous operations

/// How long the cluster remembers a trigger id at least after its operation has ended: `rest.async.store-duration`, 5
/// min by default. If the id is sent again later, a second operation could start.
pub(crate) const TRIGGER_RETENTION: Duration = Duration::from_secs(300);

/// How long a job whose savepoint is written may be seen in a state that does not lead to its end. Our choice: the job
/// has no tasks any more, and its last step takes milliseconds.
pub(crate) const MAX_NOT_ENDING: Duration = Duration::from_secs(5);

/// How often a profile is looked up at most after a request without an answer, and requested again. Our choice.
pub(crate) const MAX_PROFILE_LOOKUPS: u32 = 5;

/// After how many polls [`Rescale`](crate::flink::Rescale) reads the bounds again. Our choice: about every 20 s if
/// nothing changes.
pub(crate) const POLLS_PER_BOUNDS_CHECK: u32 = 10;

// Jars and runs

/// How often an upload of a jar is sent at most. Our choice: a jar that is on the cluster twice changes nothing.
pub(crate) const MAX_UPLOADS: u32 = 10;

/// How often a jar is uploaded again at most because the cluster has lost it, in one flow. Our choice: each loss is a
/// restart of the JobManager.
pub(crate) const MAX_REUPLOADS: u32 = 3;

/// How often a job is submitted at most, always under the same id. Our choice.
pub(crate) const MAX_SUBMISSIONS: u32 = 5;

/// How often a job is looked up before it is submitted again: about 13 s. Our choice: `main()` may take this long
/// before it submits.
pub(crate) const MAX_JOB_LOOKUPS: u32 = 10;

/// How long a JobManager knows a job that has ended: `jobstore.expiration-time`, 1 h by default.
pub(crate) const JOB_RETENTION: Duration = Duration::from_secs(3600);

// Upgrades

/// How long a job of an upgrade may take until it is known to run, by default. Our choice.
pub(crate) const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the old job is stopped again at most if a failover has brought it back after its savepoint. Our choice.
pub(crate) const MAX_REPEATED_STOPS: u32 = 3;

/// Before the new job's checkpoint is triggered again if it failed. Our choice: tasks that have just failed restart in
/// about this time.
pub(crate) const CHECKPOINT_RETRY_INTERVAL: Duration = Duration::from_millis(500);

// Metrics and exceptions

/// How long metrics are polled while the list is empty, by default: more than `metrics.fetcher.update-interval` (10 s),
/// before which the JobManager need not fetch them again.
pub(crate) const METRICS_FETCH_TIMEOUT: Duration = Duration::from_secs(12);

/// How often [`WatchJob`](crate::flink::WatchJob) and [`WatchJobs`](crate::flink::WatchJobs) poll, by default. Our
/// choice.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest interval at which [`WatchJobs`](crate::flink::WatchJobs) polls: saved states count in milliseconds. Our
/// choice.
pub(crate) const MIN_WATCH_INTERVAL: Duration = Duration::from_millis(1);

/// How long a job must be missing from the overview before [`WatchJobs`](crate::flink::WatchJobs) asks for its status.
/// Our choice: ten times the time (about 1 s) in which a new leader is elected and lists the jobs that it recovers.
pub(crate) const MISSING_JOB_TIMEOUT: Duration = Duration::from_secs(10);

/// How many exceptions are requested at once. The cluster returns 20 unless it is asked for more, and remembers 16 by
/// default (`web.exception-history-size`).
pub(crate) const MAX_EXCEPTIONS: u32 = 1000;

/// How many exceptions [`WatchJob`](crate::flink::WatchJob) remembers, to yield each one once. Our choice: more than a
/// response holds.
pub(crate) const MAX_KNOWN_EXCEPTIONS: usize = 1024;

// SQL Gateway

/// How often a request that opens a session, or submits a repeatable statement, is sent again at most if it got no
/// answer. Our choice.
pub(crate) const MAX_STATEMENT_RESENDS: u32 = 5;

/// How old the last heartbeat of a session may be while no rows come. Sessions close themselves after
/// `sql-gateway.session.idle-timeout`, 10 min by default.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

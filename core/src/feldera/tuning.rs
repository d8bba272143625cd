//! The times, counts and sizes that bound Feldera's flows.

use std::time::Duration;

/// How long the manager may show an outdated status after an action was accepted or a process has ended.
///
/// Feldera: the manager's runner polls the process every 2.5 s and waits up to 5 s for its answer. A killed process
/// shows after up to 5 s.
pub(super) const MAX_STATUS_LAG: Duration = Duration::from_secs(10);

/// How long the last poll of a diagnosis may take after [`MAX_STATUS_LAG`] has passed.
///
/// Our choice: as long as the manager waits for a process.
pub(super) const LAST_POLL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a flow that waits reads the statistics of the process.
///
/// Our choice: twelve readings within [`STALL_TIMEOUT`].
pub(super) const STATS_INTERVAL: Duration = Duration::from_secs(5);

/// How long a circuit may make no progress, by default; also how long a process may take to confirm that it is up.
///
/// Our choice: long steps of a working circuit use the processor and do not count as a stall.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long after the completion of rows a subscription must have shown something without `processed_steps`, to prove
/// that the server never sends it.
///
/// Feldera: what was sent before the completion is read within this time; a subscription is silent for 3 s at most.
pub(super) const STEPS_GRACE: Duration = Duration::from_secs(4);

/// How many polls of the status of rows may follow each other at once, because a subscription was read.
///
/// Our choice: enough for a few rows, whose changes come in a few chunks. A poll that is left out may delay the end by
/// the 3 s to the next chunk.
pub(super) const PROGRESS_BURST: u32 = 8;

/// The time between further requests, unless the subscription shows new steps.
///
/// Our choice: an answer takes a few milliseconds, in which the subscription is not read.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// How long a stop must last before the process is asked what delays it.
///
/// Our choice: a stop that is over sooner needs no explanation.
pub(super) const DELAY_QUERY_AFTER: Duration = Duration::from_secs(1);

/// How long the process may take to tell what delays a stop.
///
/// Our choice: at most the time between two polls of the pipeline, so that the flow does not miss the end of the stop.
pub(super) const DELAY_QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// How many actions a flow about the life cycle requests, all kinds together.
///
/// Our choice: the polls between them take about 7 s, longer than the server needs to see that a pipeline has died (up
/// to 5 s).
pub(super) const MAX_ACTIONS: u32 = 8;

/// How often a deployment reads the pipeline and starts over, because a change may have been made or was another
/// client's.
///
/// Our choice: a bound on how often lost answers and other clients make it start over.
pub(super) const MAX_DEPLOY_POLLS: u32 = 8;

/// How often the statistics are read to find out whether a request about a transaction was carried out.
///
/// Our choice: about 13 s with growing intervals, longer than [`MAX_STATUS_LAG`].
pub(super) const MAX_TRANSACTION_POLLS: u32 = 10;

/// How often a request without an answer is sent again if a repetition is harmless, or if the caller wants it.
///
/// Our choice: a bound on the copies that resending may make.
pub(super) const MAX_RESENDS: u32 = 5;

/// The maximum size of a chunk of rows in bytes, by default.
///
/// Our choice: Feldera rejects an upload that takes longer than 30 s; 1 MiB arrives in that time at 300 kbit/s.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// The maximum size of the rows that are buffered or under way in bytes, by default.
///
/// Our choice: eight chunks.
pub(super) const BUFFER_BYTES: usize = 8 << 20;

/// How many rejected rows and unconfirmed chunks a summary names.
///
/// Our choice: enough to find a mistake in a file, and little memory.
pub(super) const MAX_POSITIONS: usize = 100;

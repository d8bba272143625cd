//! The tuning constants of Snowpipe's flows and sessions.
//!
//! "SDK" is the vendor's SDK 1.9.1, whose requests were recorded.

use std::time::Duration;

// Channels

/// Time between two status requests while a commit is awaited. The SDK polls once a second, too; a commit takes 5 to 9
/// s.
pub(super) const STATUS_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// By how much the node that answers a status request may lag behind. Our choice: a status that contradicts what is
/// known is believed if it is repeated for this time.
pub(super) const MAX_STATUS_LAG: Duration = Duration::from_secs(30);
/// How much the time between two contradicting statuses counts at most: a longer gap proves nothing, because the clock
/// may have jumped or the program may have been suspended. Our choice: two polls.
pub(super) const MAX_STATUS_GAP: Duration = STATUS_POLL_INTERVAL.saturating_mul(2);
/// How long a busy channel is waited for by default. Our choice: rows commit within seconds, and the service answers
/// 409 for about 30 s after a writer has stopped.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(120);
/// The first wait for a busy channel; each wait doubles it. The SDK waits 1, 2, 4, 8, … s.
pub(super) const MIN_BUSY_BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait for a busy channel. Our choice: a commit takes no longer.
pub(super) const MAX_BUSY_BACKOFF: Duration = Duration::from_secs(8);
/// How many committed offset tokens are remembered, as hashes. Our choice: more than commit within the lag of a node.
pub(super) const MAX_RECENT_TOKENS: usize = 64;

// The status batcher

/// Channels whose status is due within this time share a request. Our choice: half a poll interval.
pub(super) const BATCHING_WINDOW: Duration = Duration::from_millis(500);
/// How long a writer may take for a shared status request; then the next writer sends its own. Our choice: the first
/// writer may be suspended, or the service may have asked it to wait for minutes.
pub(super) const STATUS_LEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest wait for another writer's status request. A wait is a quarter of the time that the request has taken.
pub(super) const MIN_LEASE_WAIT: Duration = Duration::from_millis(50);
/// The longest wait for another writer's status request.
pub(super) const MAX_LEASE_WAIT: Duration = STATUS_POLL_INTERVAL;
/// The age up to which a shared status is used, counted from its answer, because the request itself may take longer.
/// Our choice: two polls.
pub(super) const MAX_SHARED_STATUS_AGE: Duration = STATUS_POLL_INTERVAL.saturating_mul(2);
const _: () = assert!(BATCHING_WINDOW.as_millis() < STATUS_POLL_INTERVAL.as_millis());

// The writer

/// The longest offset token, in bytes. No limit is documented. Our choice: two tokens fit into a request line,
/// percent-encoded.
pub(super) const MAX_OFFSET_TOKEN_BYTES: usize = 1024;
/// The longest token prefix, in bytes. Our choice, for the same reason.
pub(super) const MAX_PREFIX_BYTES: usize = 128;
/// How many batches a writer holds by default. Our choice.
pub(super) const MAX_BATCHES: usize = 256;
/// How many bytes a writer holds by default. Our choice: 16 of the largest requests.
pub(super) const MAX_BUFFERED_BYTES: u64 = 64 * 1024 * 1024;
/// How long faults may last by default. Our choice; the SDK retries for 10 h.
pub(super) const RETRY_TIMEOUT: Duration = Duration::from_secs(3600);
/// Time between two status requests of an idle writer by default. Our choice: nothing else shows that its channel has
/// ended.
pub(super) const IDLE_POLL_INTERVAL: Duration = Duration::from_secs(30);
/// How long nothing may be committed of what was sent, by default. Our choice: seven times the slowest commit that was
/// measured.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The window in which takeovers are counted, and in which an unanswered open of our own may explain one. Our choice.
pub(super) const CONTEST_WINDOW: Duration = Duration::from_secs(600);
/// How many takeovers within the window end the writer. Our choice: two openers of one channel take it from each other
/// forever.
pub(super) const MAX_TAKEOVERS: usize = 3;
/// How many rejections within the window end the writer if the service does not say that they are takeovers. Our
/// choice: some servers answer the same when they have ended the channel themselves.
pub(super) const MAX_INVALIDATIONS: usize = 10;
/// How many rejections of one operation in a row are believed. Our choice: a proxy or one node may be mistaken, twice.
pub(super) const MAX_REJECTIONS: u32 = 3;
/// The shortest wait after the account has rejected a credential, so that the session asks the account again. It is the
/// session's [`MIN_EXCHANGE_INTERVAL`].
pub(super) const ACCOUNT_REJECTION_BACKOFF: Duration = MIN_EXCHANGE_INTERVAL;
/// How long a host is tried to which no connection was ever made: its address is probably wrong. Our choice.
pub(super) const UNREACHED_HOST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a host is tried that has never answered as the service does. Our choice: longer than a restart of a proxy.
pub(super) const SILENT_HOST_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest wait before the channel is reopened. Our choice; the waits are 0, 1, 2, 4, … s.
pub(super) const MAX_REOPEN_BACKOFF: Duration = Duration::from_secs(30);
/// How long the answer to a credential request counts as working time at most. Our choice: the timeout of a request.
pub(super) const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(30);

// The session

/// How long before its end a token is renewed. The SDK does so, too.
pub(super) const TOKEN_RENEWAL_LEAD: Duration = Duration::from_secs(300);
/// The shortest time between two token exchanges. The SDK has the same.
pub(super) const MIN_EXCHANGE_INTERVAL: Duration = Duration::from_secs(3);
/// After how long a token is renewed that does not say when it ends. Our choice: half the shortest life that was
/// reported.
pub(super) const ASSUMED_TOKEN_AGE: Duration = Duration::from_secs(300);
/// How long a renewal may take while the previous token is still good. Our choice: its holder waits for it.
pub(super) const EARLY_RENEWAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after an early renewal that failed. Our choice: the previous token is good for minutes.
pub(super) const EARLY_RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// The wait for another flow's renewal. Our choice: a renewal takes two short requests.
pub(super) const RENEWAL_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The same, while the account has asked for a wait.
pub(super) const SLOW_RENEWAL_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How many new host names are tried before the rejection of a token exchange is believed. Our choice: the account may
/// fail over between the two requests.
pub(super) const MAX_HOSTNAME_REQUESTS: u32 = 2;

//! [`StatusBatcher`]: one question for the status of many channels.
//!
//! ```text
//!   writer A: due ──▶ nothing posted, nobody asks ──▶ a lease: asks for A and all that are due soon ──▶ posts all answers
//!   writer B: due ──▶ posted ──▶ takes it           B: due ──▶ is being asked for ──▶ comes again soon
//! ```
//!
//! Invariants: a channel is asked for by one lease at a time, of at most [`MAX_STATUSES`] channels; a lease that is dropped, or
//! is older than `VOID`, frees its channels; an answer is taken by its writer once, and only if it was requested after the channel was opened and
//! answered at most two poll intervals ago. Each posted status has the time at which it was requested.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{ChannelPath, POLL};
use crate::snowpipe::channels::MAX_STATUSES;
use crate::snowpipe::{ChannelStatus, ChannelStatuses};
use crate::time::Timestamp;

/// What channels are due within this time are asked for together.
const SOON: Duration = Duration::from_millis(500);
/// When a lease is void whose holder has no answer yet: the next writer asks then. The holder may be suspended, or the service
/// may have asked it to wait for minutes.
const VOID: Duration = Duration::from_secs(10);
/// When to come again while another writer asks: after a quarter of the time that it has taken so far, within these limits.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), POLL);
/// An older posted status is ignored: two poll intervals. Counted from the answer, because the request itself may take longer.
const FRESH: Duration = POLL.saturating_mul(2);
const _: () = assert!(SOON.as_millis() < POLL.as_millis());

/// Lets writers of one pipe ask for the status of their channels together, up to 100 at once. Cheap to clone: clones are the
/// same batcher. Holds no thread, and its lock never while anything is waited for.
///
/// One batcher is for writers of one ingest host, on one clock; those of different pipes do not mind each other.
///
/// ```
/// use pipewright::flow::Config;
/// use pipewright::snowpipe::{ChannelPath, OpenSession, OpenWriter, StatusBatcher, TokenType};
///
/// let account = Config::new("https://acct.snowflakecomputing.com".parse()?);
/// let session = OpenSession::new(TokenType::KeypairJwt).connect_lazy(&account);
/// let batcher = StatusBatcher::new();
/// let writers = (0..250).map(|partition| {
///     let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", format!("partition-{partition}"));
///     OpenWriter::new(&session, path).sharing(&batcher)
/// });
/// # assert_eq!(writers.count(), 250);
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Default)]
pub struct StatusBatcher {
    channels: Arc<Mutex<Channels>>,
}

/// Those of a pipe stand side by side.
type Channels = BTreeMap<Arc<ChannelPath>, Entry>;

struct Entry {
    /// Never, before its channel is open and when its writer has other things to do.
    due: Timestamp,
    /// When somebody began to ask for it.
    asked: Option<Timestamp>,
    /// Boxed: most of the time there is none.
    posted: Option<Box<Posted>>,
}

/// A status, or that there is no such channel.
struct Posted {
    /// When it was requested.
    asked_at: Timestamp,
    /// When the answer came.
    answered_at: Timestamp,
    status: Option<ChannelStatus>,
}

impl Default for Entry {
    fn default() -> Self {
        Self { due: Timestamp::MAX, asked: None, posted: None }
    }
}

impl Entry {
    fn is_asked(&self, now: Timestamp) -> bool {
        self.asked.is_some_and(|at| now.since(at) < VOID)
    }
}

/// What a writer finds when it is due.
pub(super) enum Look {
    /// Its status, and when that was requested.
    Posted(Option<ChannelStatus>, Timestamp),
    /// Somebody is asking: come again then.
    Wait(Timestamp),
    /// Ask for these.
    Ask(Lease),
}

impl StatusBatcher {
    /// Creates a batcher without writers.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn join(&self, path: &ChannelPath) -> Registration {
        let path = Arc::new(path.clone());
        self.lock().insert(Arc::clone(&path), Entry::default());
        Registration { batcher: self.clone(), path }
    }

    /// Whoever panics in here leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer's registration with the batcher.
pub(super) struct Registration {
    batcher: StatusBatcher,
    path: Arc<ChannelPath>,
}

impl Registration {
    /// The writer will look at this time.
    pub(super) fn due(&self, at: Timestamp) {
        if let Some(entry) = self.batcher.lock().get_mut(&self.path) {
            entry.due = at;
        }
    }

    /// Looks for a status that was asked for no earlier than a time.
    pub(super) fn look(&self, now: Timestamp, since: Timestamp) -> Look {
        let mut channels = self.batcher.lock();
        let own = channels.entry(Arc::clone(&self.path)).or_default();
        let is_good = |posted: &Posted| posted.asked_at >= since && now.since(posted.answered_at) <= FRESH;
        if let Some(posted) = own.posted.take().filter(|posted| is_good(posted)) {
            return Look::Posted(posted.status, posted.asked_at);
        }
        if let Some(asked) = own.asked.filter(|_| own.is_asked(now)) {
            let again = now + (now.since(asked) / 4).clamp(AGAIN.0, AGAIN.1);
            return Look::Wait(again.min(asked + VOID));
        }
        let is_due = |(path, entry): &(&Arc<ChannelPath>, &Entry)| {
            **path != self.path && !entry.is_asked(now) && entry.due <= now + SOON
        };
        let of_the_pipe = channels.range(self.path.first_beside()..).take_while(|(path, _)| path.is_beside(&self.path));
        let mut others: Vec<(Timestamp, Arc<ChannelPath>)> =
            of_the_pipe.filter(is_due).map(|(path, entry)| (entry.due, Arc::clone(path))).collect();
        others.sort();
        let others = others.into_iter().map(|(_, path)| path);
        let paths: Vec<_> = std::iter::once(Arc::clone(&self.path)).chain(others).take(MAX_STATUSES).collect();
        for path in &paths {
            if let Some(entry) = channels.get_mut(path) {
                entry.asked = Some(now);
            }
        }
        Look::Ask(Lease { batcher: self.batcher.clone(), paths, asked_at: now })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.batcher.lock().remove(&self.path);
    }
}

/// The right to ask for some channels, and the duty to post the answer.
pub(super) struct Lease {
    batcher: StatusBatcher,
    /// All of one pipe.
    paths: Vec<Arc<ChannelPath>>,
    asked_at: Timestamp,
}

impl Lease {
    pub(super) fn names(&self) -> Vec<String> {
        self.paths.iter().map(|path| path.channel.clone()).collect()
    }

    /// Posts what was answered. The asker's own is posted too: it looks again.
    pub(super) fn post(self, mut statuses: ChannelStatuses, now: Timestamp) {
        let mut channels = self.batcher.lock();
        let is_alone = self.paths.len() == 1;
        for path in &self.paths {
            if let Some(entry) = channels.get_mut(path) {
                let status = statuses.take(&path.channel, is_alone);
                // A later request may have been answered before.
                if entry.posted.as_ref().is_none_or(|posted| posted.asked_at <= self.asked_at) {
                    entry.posted = Some(Box::new(Posted { asked_at: self.asked_at, answered_at: now, status }));
                }
            }
        }
        // The lock is freed before the lease is.
        drop(channels);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut channels = self.batcher.lock();
        for path in &self.paths {
            if let Some(entry) = channels.get_mut(path) {
                entry.asked.take_if(|at| *at == self.asked_at);
            }
        }
    }
}

impl fmt::Debug for StatusBatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = self.lock().len();
        f.debug_struct("StatusBatcher").field("channels", &channels).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(channel: usize) -> ChannelPath {
        ChannelPath::new("d", "s", "p", format!("c{channel:03}"))
    }

    fn none() -> ChannelStatuses {
        ChannelStatuses { channel_statuses: BTreeMap::new() }
    }

    fn asked(look: Look) -> Lease {
        match look {
            Look::Ask(lease) => lease,
            Look::Posted(..) | Look::Wait(_) => panic!("not to ask"),
        }
    }

    #[test]
    fn many_are_asked_for_at_once_and_a_hundred_at_the_most() {
        let batcher = StatusBatcher::new();
        let registrations: Vec<Registration> = (0..250).map(|channel| batcher.join(&path(channel))).collect();
        let now = Timestamp::from_millis(1_000_000);
        for registration in &registrations {
            registration.due(now + Duration::from_millis(100));
        }
        registrations[249].due(now + Duration::from_secs(30));
        let first = asked(registrations[0].look(now, now));
        assert_eq!(first.names().len(), 100);
        assert!(matches!(registrations[1].look(now, now), Look::Wait(_)));
        let (second, third) = (asked(registrations[248].look(now, now)), asked(registrations[247].look(now, now)));
        assert_eq!((second.names().len(), third.names().len()), (100, 49));
        first.post(none(), now);
        assert!(matches!(registrations[1].look(now, now), Look::Posted(None, _)));
        assert_eq!(
            asked(registrations[1].look(now, now)).names().len(),
            100,
            "it was taken, and all of the first are free again"
        );
        drop(second);
        assert!(matches!(registrations[248].look(now, now), Look::Ask(_)), "nobody asks for it any more");
    }

    /// Those that are not open yet, or are being opened again, would crowd out the others.
    #[test]
    fn who_is_not_due_is_not_asked_for() {
        let batcher = StatusBatcher::new();
        let registrations: Vec<Registration> = (0..10).map(|channel| batcher.join(&path(channel))).collect();
        let now = Timestamp::from_millis(1_000_000);
        registrations[1].due(now);
        assert_eq!(asked(registrations[0].look(now, now)).names(), ["c000", "c001"]);
    }

    #[test]
    fn the_next_writer_asks_soon_when_the_holder_of_a_lease_gets_no_answer() {
        let batcher = StatusBatcher::new();
        let registrations: Vec<Registration> = (0..3).map(|channel| batcher.join(&path(channel))).collect();
        let begin = Timestamp::from_millis(1_000_000);
        for registration in &registrations {
            registration.due(begin);
        }
        let first = asked(registrations[0].look(begin, begin));
        let (mut now, mut polls) = (begin, 0);
        let second = loop {
            match registrations[1].look(now, begin) {
                Look::Wait(at) => (now, polls) = (at, polls + 1),
                look => break asked(look),
            }
        };
        assert_eq!((now.since(begin), second.names().len()), (VOID, 3));
        assert!(polls < 30, "{polls} polls in {VOID:?}");
        assert!(matches!(registrations[2].look(now, begin), Look::Wait(_)), "one at a time");
        // The first answer comes last, and says what was so before.
        second.post(none(), now);
        first.post(none(), now);
        assert!(matches!(registrations[2].look(now, begin), Look::Posted(None, asked_at) if asked_at == begin + VOID));
    }

    #[test]
    fn what_was_asked_too_early_is_not_taken() {
        let batcher = StatusBatcher::new();
        let registration = batcher.join(&path(1));
        let now = Timestamp::from_millis(1_000_000);
        asked(registration.look(now, now)).post(none(), now);
        let later = now + Duration::from_millis(1);
        assert!(matches!(registration.look(later, later), Look::Ask(_)));
        drop(registration);
        assert_eq!(format!("{batcher:?}"), "StatusBatcher { channels: 0, .. }");
    }

    #[test]
    fn a_status_is_of_the_time_of_its_request_and_ignored_two_polls_after_it_was_posted() {
        let batcher = StatusBatcher::new();
        let registration = batcher.join(&path(1));
        let now = Timestamp::from_millis(1_000_000);
        // The answer took ten seconds. The asker takes it all the same.
        let answered = now + Duration::from_secs(10);
        asked(registration.look(now, now)).post(none(), answered);
        assert!(matches!(registration.look(answered, now), Look::Posted(None, asked_at) if asked_at == now));
        asked(registration.look(answered, now)).post(none(), answered);
        assert!(matches!(registration.look(answered + FRESH + Duration::from_millis(1), now), Look::Ask(_)));
    }
}

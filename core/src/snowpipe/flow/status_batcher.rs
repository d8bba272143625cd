//! [`StatusBatcher`]: one status request for many channels.
//!
//! ```text
//!   writer A: due ──▶ no status, no lease ──▶ gets a lease: requests A and all channels that are due soon ──▶ posts all statuses
//!   writer B: due ──▶ a status is posted ──▶ takes it         B: due ──▶ leased ──▶ waits, then checks again
//! ```
//!
//! A lease is the right to request the status of some channels, and the duty to post the statuses. Invariants:
//!
//! * A channel is in one lease at a time. A lease has at most [`MAX_STATUSES`] channels.
//! * A lease that is dropped, or is older than [`STATUS_LEASE_TIMEOUT`], frees its channels.
//! * A writer takes a status once, and only if it was requested after the channel was opened, and answered at most two
//!   poll intervals ago. Each posted status has the time of its request.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ChannelPath;
use crate::snowpipe::channels::{ChannelStatus, ChannelStatuses, MAX_STATUSES};
use crate::snowpipe::tuning::{
    BATCHING_WINDOW, MAX_LEASE_WAIT, MAX_SHARED_STATUS_AGE, MIN_LEASE_WAIT, STATUS_LEASE_TIMEOUT,
};
use crate::time::Timestamp;

/// A batcher of status requests: the writers of a pipe share requests of up to 100 channels each.
///
/// Use one batcher for all writers of one ingest host and one clock. Writers of different pipes do not share requests.
/// A clone is the same batcher, and cheap. The batcher has no thread, and never waits while it holds its lock.
///
/// ```
/// use pipewright::flow::Config;
/// use pipewright::snowpipe::{ChannelPath, OpenSession, OpenWriter, StatusBatcher};
/// use pipewright::snowpipe::account::TokenType;
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

/// The registered channels. Channels of one pipe are neighbours in the map.
type Channels = BTreeMap<Arc<ChannelPath>, Slot>;

struct Slot {
    /// When the writer needs a status. The latest timestamp if it needs none: its channel is not open, or another
    /// request is in progress.
    due: Timestamp,
    /// When the channel was leased; `None` if it is not leased.
    leased_at: Option<Timestamp>,
    /// Boxed, because most of the time no status is posted.
    posted: Option<Box<Posted>>,
}

/// A posted status, or the information that the channel does not exist.
struct Posted {
    /// When it was requested.
    requested_at: Timestamp,
    /// When the answer came.
    answered_at: Timestamp,
    status: Option<ChannelStatus>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { due: Timestamp::MAX, leased_at: None, posted: None }
    }
}

impl Slot {
    fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_at.is_some_and(|at| now.since(at) < STATUS_LEASE_TIMEOUT)
    }
}

/// The answer to a writer that needs a status.
pub(super) enum StatusAccess {
    /// The status of its channel, and the time of its request.
    Posted(Option<ChannelStatus>, Timestamp),
    /// Another writer has requested it: check again at this time.
    Wait(Timestamp),
    /// Request the status of these channels.
    Request(Lease),
}

impl StatusBatcher {
    /// Creates a batcher without writers.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn join(&self, path: &ChannelPath) -> Registration {
        let path = Arc::new(path.clone());
        self.lock().insert(Arc::clone(&path), Slot::default());
        Registration { batcher: self.clone(), path }
    }

    /// Locks the channels. A panic elsewhere leaves them consistent, so a poisoned lock is used.
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
    /// Records that the writer needs a status at this time.
    pub(super) fn due(&self, at: Timestamp) {
        if let Some(slot) = self.batcher.lock().get_mut(&self.path) {
            slot.due = at;
        }
    }

    /// Takes a status that was requested no earlier than at `since`, or says how to get one.
    pub(super) fn status(&self, now: Timestamp, since: Timestamp) -> StatusAccess {
        let mut channels = self.batcher.lock();
        let own = channels.entry(Arc::clone(&self.path)).or_default();
        let is_good =
            |posted: &Posted| posted.requested_at >= since && now.since(posted.answered_at) <= MAX_SHARED_STATUS_AGE;
        if let Some(posted) = own.posted.take().filter(|posted| is_good(posted)) {
            return StatusAccess::Posted(posted.status, posted.requested_at);
        }
        if let Some(leased_at) = own.leased_at.filter(|_| own.is_leased(now)) {
            let again = now + (now.since(leased_at) / 4).clamp(MIN_LEASE_WAIT, MAX_LEASE_WAIT);
            return StatusAccess::Wait(again.min(leased_at + STATUS_LEASE_TIMEOUT));
        }
        let is_due = |(path, slot): &(&Arc<ChannelPath>, &Slot)| {
            **path != self.path && !slot.is_leased(now) && slot.due <= now + BATCHING_WINDOW
        };
        let of_the_pipe = channels.range(self.path.first_beside()..).take_while(|(path, _)| path.is_beside(&self.path));
        let mut others: Vec<(Timestamp, Arc<ChannelPath>)> =
            of_the_pipe.filter(is_due).map(|(path, slot)| (slot.due, Arc::clone(path))).collect();
        others.sort();
        let others = others.into_iter().map(|(_, path)| path);
        let paths: Vec<_> = std::iter::once(Arc::clone(&self.path)).chain(others).take(MAX_STATUSES).collect();
        for path in &paths {
            if let Some(slot) = channels.get_mut(path) {
                slot.leased_at = Some(now);
            }
        }
        StatusAccess::Request(Lease { batcher: self.batcher.clone(), paths, requested_at: now })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.batcher.lock().remove(&self.path);
    }
}

/// The right to request the status of some channels, and the duty to post the answer.
pub(super) struct Lease {
    batcher: StatusBatcher,
    /// The leased channels, all of one pipe.
    paths: Vec<Arc<ChannelPath>>,
    requested_at: Timestamp,
}

impl Lease {
    pub(super) fn names(&self) -> Vec<String> {
        self.paths.iter().map(|path| path.channel.clone()).collect()
    }

    /// Posts the statuses, also for the writer that has requested them: it takes its own next.
    pub(super) fn post(self, mut statuses: ChannelStatuses, now: Timestamp) {
        let mut channels = self.batcher.lock();
        let is_alone = self.paths.len() == 1;
        for path in &self.paths {
            if let Some(slot) = channels.get_mut(path) {
                let status = statuses.take(&path.channel, is_alone);
                // The answer to a later request may have arrived earlier.
                if slot.posted.as_ref().is_none_or(|posted| posted.requested_at <= self.requested_at) {
                    slot.posted = Some(Box::new(Posted { requested_at: self.requested_at, answered_at: now, status }));
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
            if let Some(slot) = channels.get_mut(path) {
                slot.leased_at.take_if(|at| *at == self.requested_at);
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
    use std::time::Duration;

    use super::*;

    fn path(channel: usize) -> ChannelPath {
        ChannelPath::new("d", "s", "p", format!("c{channel:03}"))
    }

    fn none() -> ChannelStatuses {
        ChannelStatuses { channel_statuses: BTreeMap::new() }
    }

    fn asked(access: StatusAccess) -> Lease {
        match access {
            StatusAccess::Request(lease) => lease,
            StatusAccess::Posted(..) | StatusAccess::Wait(_) => panic!("not to ask"),
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
        let first = asked(registrations[0].status(now, now));
        assert_eq!(first.names().len(), 100);
        assert!(matches!(registrations[1].status(now, now), StatusAccess::Wait(_)));
        let (second, third) = (asked(registrations[248].status(now, now)), asked(registrations[247].status(now, now)));
        assert_eq!((second.names().len(), third.names().len()), (100, 49));
        first.post(none(), now);
        assert!(matches!(registrations[1].status(now, now), StatusAccess::Posted(None, _)));
        assert_eq!(
            asked(registrations[1].status(now, now)).names().len(),
            100,
            "it was taken, and all of the first are free again"
        );
        drop(second);
        assert!(
            matches!(registrations[248].status(now, now), StatusAccess::Request(_)),
            "no writer asks for it any more"
        );
    }

    /// Those that are not open yet, or are being opened again, would crowd out the others.
    #[test]
    fn who_is_not_due_is_not_asked_for() {
        let batcher = StatusBatcher::new();
        let registrations: Vec<Registration> = (0..10).map(|channel| batcher.join(&path(channel))).collect();
        let now = Timestamp::from_millis(1_000_000);
        registrations[1].due(now);
        assert_eq!(asked(registrations[0].status(now, now)).names(), ["c000", "c001"]);
    }

    #[test]
    fn the_next_writer_asks_soon_when_the_holder_of_a_lease_gets_no_answer() {
        let batcher = StatusBatcher::new();
        let registrations: Vec<Registration> = (0..3).map(|channel| batcher.join(&path(channel))).collect();
        let begin = Timestamp::from_millis(1_000_000);
        for registration in &registrations {
            registration.due(begin);
        }
        let first = asked(registrations[0].status(begin, begin));
        let (mut now, mut polls) = (begin, 0);
        let second = loop {
            match registrations[1].status(now, begin) {
                StatusAccess::Wait(at) => (now, polls) = (at, polls + 1),
                access => break asked(access),
            }
        };
        assert_eq!((now.since(begin), second.names().len()), (STATUS_LEASE_TIMEOUT, 3));
        assert!(polls < 30, "{polls} polls in {STATUS_LEASE_TIMEOUT:?}");
        assert!(matches!(registrations[2].status(now, begin), StatusAccess::Wait(_)), "one at a time");
        // The first answer comes last, and says what was so before.
        second.post(none(), now);
        first.post(none(), now);
        let lease_end = begin + STATUS_LEASE_TIMEOUT;
        let status = registrations[2].status(now, begin);
        assert!(matches!(status, StatusAccess::Posted(None, requested_at) if requested_at == lease_end));
    }

    #[test]
    fn what_was_asked_too_early_is_not_taken() {
        let batcher = StatusBatcher::new();
        let registration = batcher.join(&path(1));
        let now = Timestamp::from_millis(1_000_000);
        asked(registration.status(now, now)).post(none(), now);
        let later = now + Duration::from_millis(1);
        assert!(matches!(registration.status(later, later), StatusAccess::Request(_)));
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
        asked(registration.status(now, now)).post(none(), answered);
        assert!(matches!(
            registration.status(answered, now), StatusAccess::Posted(None, requested_at) if requested_at == now
        ));
        asked(registration.status(answered, now)).post(none(), answered);
        assert!(matches!(
            registration.status(answered + MAX_SHARED_STATUS_AGE + Duration::from_millis(1), now),
            StatusAccess::Request(_)
        ));
    }
}

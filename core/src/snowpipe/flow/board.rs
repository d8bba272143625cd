//! [`StatusBoard`]: one question for the status of many channels.
//!
//! ```text
//!   writer A: due ──▶ nothing posted, nobody asks ──▶ a lease: asks for A and all that are due soon ──▶ posts all answers
//!   writer B: due ──▶ posted ──▶ takes it           B: due ──▶ is being asked for ──▶ comes again soon
//! ```
//!
//! Invariants: a channel is asked for by one lease at a time, of at most [`MAX_STATUSES`] channels; a lease that is dropped
//! frees its channels; an answer is taken by its writer once, and only when it was asked for after the channel was opened.

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
/// When a lease whose holder has not come back is void.
const VOID: Duration = Duration::from_secs(120);
/// When to come again while somebody else asks.
const AGAIN: Duration = Duration::from_millis(50);
const _: () = assert!(SOON.as_millis() < POLL.as_millis());

/// Lets writers of one pipe ask for the status of their channels together, up to 100 at once. Cheap to clone: clones are the
/// same board. Holds no thread, and its lock never while anything is waited for.
///
/// One board is for writers of one ingest host, on one clock; those of different pipes do not mind each other.
///
/// ```
/// use pipewright::flow::Config;
/// use pipewright::snowpipe::{ChannelPath, OpenSession, OpenWriter, StatusBoard, TokenType};
///
/// let account = Config::new("https://acct.snowflakecomputing.com".parse()?);
/// let session = OpenSession::new(TokenType::KeypairJwt).later(&account);
/// let board = StatusBoard::new();
/// let writers = (0..250).map(|partition| {
///     let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", format!("partition-{partition}"));
///     OpenWriter::new(&session, path).sharing(&board)
/// });
/// # assert_eq!(writers.count(), 250);
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Default)]
pub struct StatusBoard {
    pipes: Arc<Mutex<Pipes>>,
}

/// By database, schema and pipe; then by channel.
type Pipes = BTreeMap<[String; 3], BTreeMap<String, Entry>>;

struct Entry {
    /// Never, before its channel is open and when its writer has other things to do.
    due: Timestamp,
    /// When somebody began to ask for it.
    asked: Option<Timestamp>,
    posted: Option<Posted>,
}

/// A status, or that there is no such channel, as of a time.
struct Posted {
    asked_at: Timestamp,
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
    /// Its status.
    Posted(Option<ChannelStatus>),
    /// Somebody is asking: come again then.
    Wait(Timestamp),
    /// Ask for these.
    Ask(Lease),
}

impl StatusBoard {
    /// A board without writers.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn join(&self, path: &ChannelPath) -> Seat {
        let ChannelPath { database, schema, pipe, channel } = path.clone();
        let pipe = [database, schema, pipe];
        self.lock().entry(pipe.clone()).or_default().insert(channel.clone(), Entry::default());
        Seat { board: self.clone(), pipe, channel }
    }

    /// Whoever panics in here leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer's place at the board.
pub(super) struct Seat {
    board: StatusBoard,
    pipe: [String; 3],
    channel: String,
}

impl Seat {
    /// The writer will look at this time.
    pub(super) fn due(&self, at: Timestamp) {
        let mut pipes = self.board.lock();
        if let Some(entry) = pipes.get_mut(&self.pipe).and_then(|channels| channels.get_mut(&self.channel)) {
            entry.due = at;
        }
    }

    /// Looks for a status that was asked for no earlier than a time.
    pub(super) fn look(&self, now: Timestamp, since: Timestamp) -> Look {
        let mut pipes = self.board.lock();
        let channels = pipes.entry(self.pipe.clone()).or_default();
        let own = channels.entry(self.channel.clone()).or_default();
        if let Some(posted) = own.posted.take_if(|posted| posted.asked_at >= since) {
            return Look::Posted(posted.status);
        }
        if own.is_asked(now) {
            return Look::Wait(now + AGAIN);
        }
        let is_due = |(name, entry): &(&String, &Entry)| {
            **name != self.channel && !entry.is_asked(now) && entry.due <= now + SOON
        };
        let mut others: Vec<(Timestamp, String)> =
            channels.iter().filter(is_due).map(|(name, entry)| (entry.due, name.clone())).collect();
        others.sort();
        let others = others.into_iter().map(|(_, name)| name);
        let names: Vec<String> = std::iter::once(self.channel.clone()).chain(others).take(MAX_STATUSES).collect();
        for name in &names {
            if let Some(entry) = channels.get_mut(name) {
                entry.asked = Some(now);
            }
        }
        Look::Ask(Lease { board: self.board.clone(), pipe: self.pipe.clone(), names, asked_at: now })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut pipes = self.board.lock();
        if let Some(channels) = pipes.get_mut(&self.pipe) {
            channels.remove(&self.channel);
            if channels.is_empty() {
                pipes.remove(&self.pipe);
            }
        }
    }
}

/// The right to ask for some channels, and the duty to post the answer.
pub(super) struct Lease {
    board: StatusBoard,
    pipe: [String; 3],
    names: Vec<String>,
    asked_at: Timestamp,
}

impl Lease {
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Posts what was answered. The asker's own is posted too: it looks again.
    pub(super) fn post(self, mut statuses: ChannelStatuses) {
        let mut pipes = self.board.lock();
        let Some(channels) = pipes.get_mut(&self.pipe) else { return };
        for name in &self.names {
            if let Some(entry) = channels.get_mut(name) {
                let status = statuses.channel_statuses.remove(name);
                entry.posted = Some(Posted { asked_at: self.asked_at, status });
            }
        }
        // The lock is freed before the lease is.
        drop(pipes);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pipes = self.board.lock();
        let Some(channels) = pipes.get_mut(&self.pipe) else { return };
        for name in &self.names {
            if let Some(entry) = channels.get_mut(name) {
                entry.asked.take_if(|at| *at == self.asked_at);
            }
        }
    }
}

impl fmt::Debug for StatusBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels: usize = self.lock().values().map(BTreeMap::len).sum();
        f.debug_struct("StatusBoard").field("channels", &channels).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(channel: usize) -> ChannelPath {
        ChannelPath::new("d", "s", "p", format!("c{channel:03}"))
    }

    fn asked(look: Look) -> Lease {
        match look {
            Look::Ask(lease) => lease,
            Look::Posted(_) | Look::Wait(_) => panic!("not to ask"),
        }
    }

    #[test]
    fn many_are_asked_for_at_once_and_a_hundred_at_the_most() {
        let board = StatusBoard::new();
        let seats: Vec<Seat> = (0..250).map(|channel| board.join(&path(channel))).collect();
        let now = Timestamp::from_millis(1_000_000);
        for seat in &seats {
            seat.due(now + Duration::from_millis(100));
        }
        seats[249].due(now + Duration::from_secs(30));
        let first = asked(seats[0].look(now, now));
        assert_eq!(first.names().len(), 100);
        assert!(matches!(seats[1].look(now, now), Look::Wait(_)));
        let (second, third) = (asked(seats[248].look(now, now)), asked(seats[247].look(now, now)));
        assert_eq!((second.names().len(), third.names().len()), (100, 49));
        first.post(ChannelStatuses { channel_statuses: BTreeMap::new() });
        assert!(matches!(seats[1].look(now, now), Look::Posted(None)));
        assert_eq!(
            asked(seats[1].look(now, now)).names().len(),
            100,
            "it was taken, and all of the first are free again"
        );
        drop(second);
        assert!(matches!(seats[248].look(now, now), Look::Ask(_)), "nobody asks for it any more");
    }

    /// Those that are not open yet, or are being opened again, would crowd out the others.
    #[test]
    fn who_is_not_due_is_not_asked_for() {
        let board = StatusBoard::new();
        let seats: Vec<Seat> = (0..10).map(|channel| board.join(&path(channel))).collect();
        let now = Timestamp::from_millis(1_000_000);
        seats[1].due(now);
        assert_eq!(asked(seats[0].look(now, now)).names(), ["c000", "c001"]);
    }

    #[test]
    fn what_was_asked_too_early_is_not_taken() {
        let board = StatusBoard::new();
        let seat = board.join(&path(1));
        let now = Timestamp::from_millis(1_000_000);
        asked(seat.look(now, now)).post(ChannelStatuses { channel_statuses: BTreeMap::new() });
        let later = now + Duration::from_millis(1);
        assert!(matches!(seat.look(later, later), Look::Ask(_)));
        drop(seat);
        assert_eq!(format!("{board:?}"), "StatusBoard { channels: 0, .. }");
    }
}

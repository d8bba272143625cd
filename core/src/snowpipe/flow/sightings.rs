//! [`Sightings`]: how long statuses have been saying that a channel is not what it was.

use std::time::Duration;

use super::{BEHIND, POLL};
use crate::time::Timestamp;

/// How much the time between two sightings counts for at most. A longer time proves nothing: the clock may have jumped, or the
/// program may have been suspended.
const MOST: Duration = POLL.saturating_mul(2);

/// Counts how long consecutive statuses have been saying the same bad thing. One alone may come from a node that is behind.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    /// When the last one was requested.
    last: Option<Timestamp>,
    /// How long they have been going on.
    time: Duration,
}

impl Sightings {
    /// Adds a status that was requested at this time. Returns whether they have been going on for longer than a node can be behind.
    pub(super) fn add(&mut self, requested_at: Timestamp) -> bool {
        let last = self.last.unwrap_or(requested_at);
        self.time += requested_at.since(last).min(MOST);
        self.last = Some(last.max(requested_at));
        self.time >= BEHIND
    }

    /// Forgets all of them: a status says that the channel is well.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_clock_that_jumps_nor_an_old_status_makes_them_longer() {
        let begin = Timestamp::from_millis(1_000_000);
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut sightings = Sightings::default();
        assert!(!sightings.add(at(0)) && !sightings.add(at(3600)) && !sightings.add(at(3601)), "the clock jumped");
        assert!(!sightings.add(at(10)) && !sightings.add(at(3601)), "that one was requested long before");
        assert!((3602..3628).all(|second| !sightings.add(at(second))));
        assert!(sightings.add(at(3628)), "2 s for the jump, and 28 s in steps of one");
        sightings.clear();
        assert!(!sightings.add(at(3629)));
    }
}

//! [`LossDetector`]: measures for how long statuses have been saying that a channel is lost.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use super::ChannelLost;
use crate::snowpipe::tuning::{MAX_STATUS_GAP, MAX_STATUS_LAG};
use crate::time::Timestamp;

/// Measures for how long statuses have shown the same problem, without a good status in between. A node that lags
/// behind may return a single bad status.
#[derive(Debug, Default)]
pub(super) struct LossDetector {
    kinds: Vec<Sighting>,
}

/// The statuses that show one problem.
#[derive(Debug)]
struct Sighting {
    /// The problem; `None` if the status cannot be read.
    of: Option<Discriminant<ChannelLost>>,
    /// When the last such status was requested.
    last: Timestamp,
    /// For how long such statuses have been arriving.
    time: Duration,
}

impl LossDetector {
    /// Adds a status that was requested at this time: its problem, or `None` if it cannot be read. Returns whether such
    /// statuses have been arriving for longer than a node can lag behind.
    pub(super) fn add(&mut self, lost: Option<&ChannelLost>, requested_at: Timestamp) -> bool {
        let of = lost.map(discriminant);
        let Some(sighting) = self.kinds.iter_mut().find(|sighting| sighting.of == of) else {
            self.kinds.push(Sighting { of, last: requested_at, time: Duration::ZERO });
            return false;
        };
        sighting.time += requested_at.since(sighting.last).min(MAX_STATUS_GAP);
        sighting.last = sighting.last.max(requested_at);
        sighting.time >= MAX_STATUS_LAG
    }

    /// Forgets all statuses, because a status shows no problem.
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
        let mut detector = LossDetector::default();
        let mut add = |at| detector.add(Some(&ChannelLost::Missing), at);
        assert!(!add(at(0)) && !add(at(3600)) && !add(at(3601)), "the clock jumped");
        assert!(!add(at(10)) && !add(at(3601)), "that status was requested long before");
        assert!((3602..3628).all(|second| !add(at(second))));
        assert!(add(at(3628)), "2 s for the jump, and 28 s in steps of one");
        detector.clear();
        assert!(!detector.add(Some(&ChannelLost::Missing), at(3629)));
    }

    #[test]
    fn statuses_that_say_different_things_do_not_add_up() {
        let at = |seconds| Timestamp::from_millis(1_000_000) + Duration::from_secs(seconds);
        let mut detector = LossDetector::default();
        assert!((0..30).all(|second| !detector.add(None, at(second))));
        assert!(!detector.add(Some(&ChannelLost::Missing), at(30)), "that is the first of its kind");
        assert!(!detector.add(Some(&ChannelLost::Replaced), at(31)), "so is that");
        // Nor does one kind hide the other.
        assert!(detector.add(None, at(32)));
    }
}

//! [`Heard`]: whether a job was looked at all along.

use std::time::Duration;

use crate::time::Timestamp;

/// The longest time between two looks of one who looks all along: longer than [`Pace`](super::Pace) makes it.
const GAP: Duration = Duration::from_secs(5);

/// From when to when the cluster has said how a job is, without a gap.
///
/// Only a job that was looked at can be blamed for what it has not done: of one that nobody could ask for it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard(Option<(Timestamp, Timestamp)>);

impl Heard {
    /// An answer to what was asked then. It may have been long on its way, and is as old as the question at the most.
    pub(super) fn hear(&mut self, asked: Timestamp) {
        self.0 = Some(match self.0 {
            Some((first, last)) if asked.since(last) <= GAP => (first, last.max(asked)),
            _ => (asked, asked),
        });
    }

    /// Whether there is no gap between these moments.
    pub(super) fn covers(self, from: Timestamp, to: Timestamp) -> bool {
        self.0.is_some_and(|(first, last)| first <= from && to.since(last) <= GAP)
    }
}

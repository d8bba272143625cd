//! The clock, and what happens by itself: in the order of its time, and of its announcement at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::operations::{OperationKey, Outcome};

/// Something that happens at a time.
#[derive(Debug)]
pub(super) enum Due {
    /// To a job, unless its epoch is over.
    Job { id: String, epoch: u32, step: Step },
    /// To an operation that reads as completed later than it was.
    Settles(OperationKey, Outcome),
}

/// What happens to a job by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Created,
    Scheduled,
    Deploying,
    Restoring,
    Running,
    Exhausted,
    Fails,
    Restarts,
    Cancelled,
    Rescales,
    Rescaled,
    CheckpointDue,
    SnapshotEnds(u64),
}

/// How many events one call works off. No test has more, and it bounds a clock that jumps by years. Later calls
/// work off the rest.
pub(super) const EVENTS_AT_ONCE: usize = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    now: Duration,
    queue: BTreeMap<(Duration, u64), Due>,
    queued: u64,
}

impl Schedule {
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn push(&mut self, at: Duration, due: Due) {
        self.queued += 1;
        self.queue.insert((at, self.queued), due);
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Takes the next event that is due by `to`, and moves the clock to its time.
    pub(super) fn next(&mut self, to: Duration) -> Option<(Duration, Due)> {
        let first = self.queue.first_entry().filter(|first| first.key().0 <= to)?;
        let ((at, _), due) = first.remove_entry();
        self.now = self.now.max(at);
        Some((at, due))
    }

    pub(super) fn set(&mut self, now: Duration) {
        self.now = now;
    }
}

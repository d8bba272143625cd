//! [`PollInterval`]: when to poll again.

use std::time::Duration;

use crate::time::Timestamp;

/// When to poll again: 50 ms at first, twice as long each time, 2 s at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollInterval(Duration);

impl PollInterval {
    pub(crate) const START: Self = Self(Duration::from_millis(50));

    pub(crate) fn next(&mut self, now: Timestamp) -> Timestamp {
        let at = now + self.0;
        self.0 = (self.0 * 2).min(Duration::from_secs(2));
        at
    }
}

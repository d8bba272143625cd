//! [`ObservationWindow`]: whether a job was polled without a gap.

use crate::flink::tuning::MAX_POLL_GAP;
use crate::time::Timestamp;

/// The time in which the cluster has reported a job's state without a gap.
///
/// A job has missed a deadline only if it was polled until that deadline; otherwise its state is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObservationWindow(Option<(Timestamp, Timestamp)>);

impl ObservationWindow {
    /// Records an answer to a request that was sent at `requested_at`. The answer shows a state between that time and
    /// now.
    pub(super) fn record(&mut self, requested_at: Timestamp) {
        self.0 = Some(match self.0 {
            Some((first, last)) if requested_at.since(last) <= MAX_POLL_GAP => (first, last.max(requested_at)),
            _ => (requested_at, requested_at),
        });
    }

    /// Returns whether the cluster reported the state without a gap between two times.
    pub(super) fn covers(self, from: Timestamp, to: Timestamp) -> bool {
        self.0.is_some_and(|(first, last)| first <= from && to.since(last) <= MAX_POLL_GAP)
    }
}

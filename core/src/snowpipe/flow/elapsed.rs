//! [`Elapsed`]: the time that counts towards a writer's retry timeout.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::flow::{Step, Transition};
use crate::snowpipe::tuning::CREDENTIAL_TIMEOUT;
use crate::time::Timestamp;

/// Counts the working time of a flow. Three kinds of time do not count:
///
/// * a wait that the service asks for, see [`exclude`](Self::exclude);
/// * the delay of a poll that is later than requested: the clock has jumped, or the program was suspended;
/// * the time between an event and the next poll, which the caller decides.
#[derive(Debug, Default)]
pub(super) struct Elapsed {
    total: Duration,
    /// When the last poll began.
    polled_at: Timestamp,
    /// When the next poll is due. Later time does not count.
    due: Timestamp,
}

impl Elapsed {
    /// Returns the time that counts, up to the last poll.
    pub(super) fn total(&self) -> Duration {
        self.total
    }

    /// Begins a transition.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.total += self.due.min(now).since(self.polled_at);
        self.polled_at = now;
    }

    /// Ends a transition.
    pub(super) fn end<T>(&mut self, transition: &Transition<T>) {
        self.due = match transition {
            ControlFlow::Break(Step::WaitUntil(at) | Step::InFlight { until: at }) => *at,
            ControlFlow::Break(Step::Send(exchange)) => self.polled_at + exchange.timeout(),
            ControlFlow::Break(Step::Authorize(_)) => self.polled_at + CREDENTIAL_TIMEOUT,
            // The caller decides about the next poll. Another transition of this poll follows at once.
            _ => self.polled_at,
        };
    }

    /// Excludes a wait that the service has asked for. `behind` is the total before the wait: the new total is not
    /// less.
    pub(super) fn exclude(&mut self, wait: Duration, behind: Duration) {
        self.total = self.total.saturating_sub(wait).max(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_until_the_next_poll_is_due_and_not_when_the_service_asks_to_wait() {
        let begin = Timestamp::from_millis(1_000_000);
        let (at, seconds) = (|seconds| begin + Duration::from_secs(seconds), Duration::from_secs);
        let wait = |seconds| ControlFlow::Break(Step::<()>::WaitUntil(at(seconds)));
        let mut elapsed = Elapsed::default();
        elapsed.begin(begin);
        elapsed.end(&wait(5));
        elapsed.begin(at(3));
        elapsed.end(&wait(5));
        assert_eq!(elapsed.total(), seconds(3), "the first poll is the beginning");
        elapsed.begin(at(7200));
        elapsed.end(&ControlFlow::Break(Step::<()>::Done(Ok(()))));
        assert_eq!(elapsed.total(), seconds(5), "the clock has jumped");
        elapsed.begin(at(7300));
        elapsed.end(&wait(7400));
        assert_eq!(elapsed.total(), seconds(5), "that was the caller's time");
        elapsed.begin(at(7400));
        elapsed.exclude(seconds(90), seconds(5));
        assert_eq!(elapsed.total(), seconds(15));
        elapsed.exclude(seconds(90), seconds(5));
        assert_eq!(elapsed.total(), seconds(5), "no wait is longer than the time since it began");
    }
}

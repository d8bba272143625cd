//! When to try again.

use std::time::Duration;

use crate::seed::Seed;

/// When a [`Call`](super::Call) repeats a request, and how often.
///
/// ```
/// use std::time::Duration;
/// use pipewright::flow::Retry;
///
/// let retry = Retry::default().with_attempts(5).with_attempt_timeout(Duration::from_secs(10));
/// ```
///
/// Waits are exponential with full jitter and capped: after *n* failed attempts a random time up to
/// `min(cap, base · 2ⁿ⁻¹)` ([Brooker 2015](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)).
/// A `Retry-After` of the service is waited for instead when it is longer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How often a request is sent at the most; once more when the last attempt only told that the credential had
    /// expired (401). 20 by default, which with the other defaults is about half a minute. A 401, 403 or 404 of a proxy
    /// is retried as often, once the service has answered.
    pub attempts: u32,
    /// How often a connection is tried at an address that has never answered: the address is probably wrong. 8 by
    /// default, which with the other defaults is about three seconds. Raise it to wait for a service that is being
    /// started.
    pub connect_attempts: u32,
    /// The longest first wait. 50 ms by default.
    pub base: Duration,
    /// The longest wait of all. 5 s by default.
    pub cap: Duration,
    /// How long to wait for one answer. 30 s by default.
    pub attempt_timeout: Duration,
    /// A `Retry-After` that is longer than this ends the call with the service's error, which says that the request was
    /// not sent again and when the service asks to come again. 5 min by default.
    pub longest_retry_after: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 20,
            connect_attempts: 8,
            base: Duration::from_millis(50),
            cap: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
            longest_retry_after: Duration::from_secs(300),
        }
    }
}

impl Retry {
    /// One attempt, no more.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// Sets [`attempts`](Self::attempts).
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets [`connect_attempts`](Self::connect_attempts).
    pub fn with_connect_attempts(mut self, attempts: u32) -> Self {
        self.connect_attempts = attempts;
        self
    }

    /// Sets [`base`](Self::base), the longest first wait.
    pub fn with_base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets [`cap`](Self::cap), the longest wait of all.
    pub fn with_cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Sets [`attempt_timeout`](Self::attempt_timeout).
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets [`longest_retry_after`](Self::longest_retry_after).
    pub fn with_longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest;
        self
    }

    /// The longest wait after `failed` attempts (at least 1).
    pub fn longest_wait(&self, failed: u32) -> Duration {
        let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// A wait after `failed` attempts, drawn from the seed.
    pub fn wait(&self, failed: u32, seed: &mut Seed) -> Duration {
        let longest = u64::try_from(self.longest_wait(failed).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(seed.below(longest.saturating_add(1)))
    }
}

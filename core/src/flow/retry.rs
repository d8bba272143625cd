//! [`Retry`]: when and how often to repeat a request.

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
/// Waits are exponential with full jitter and capped: after *n* failed attempts a random time up to `min(cap, base ·
/// 2ⁿ⁻¹)` ([Brooker 2015](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)). If the service
/// sends a longer `Retry-After`, the call waits for that time instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// The maximum number of attempts; 20 by default, which take about half a minute with the other defaults. If the
    /// last attempt showed that the credential had expired (401), the call makes one more. Once the service has
    /// answered, a 401, 403 or 404 of a proxy is retried as often.
    pub attempts: u32,
    /// The maximum number of connection attempts at an address that has never answered, because it is probably wrong; 8
    /// by default, which take about three seconds with the other defaults. Raise it to wait for a service that is
    /// starting.
    pub connect_attempts: u32,
    /// The longest first wait; 50 ms by default.
    pub base: Duration,
    /// The longest wait of all; 5 s by default.
    pub cap: Duration,
    /// How long to wait for the response to one attempt; 30 s by default.
    pub attempt_timeout: Duration,
    /// The longest `Retry-After` that a call waits for; 5 min by default. A longer `Retry-After` ends the call with the
    /// service's error, which names the time when a retry is allowed.
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
    /// Creates a configuration with one attempt.
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

    /// Returns the longest wait after `failed` attempts (at least 1).
    pub fn longest_wait(&self, failed: u32) -> Duration {
        let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// Returns a wait after `failed` attempts, drawn from the seed.
    pub fn wait(&self, failed: u32, seed: &mut Seed) -> Duration {
        let longest = u64::try_from(self.longest_wait(failed).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(seed.below(longest.saturating_add(1)))
    }
}

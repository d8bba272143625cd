//! Time and randomness, from the operating system.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pipewright::Timestamp;
use pipewright::driver::{Clock, Entropy};

use crate::Ureq;

/// The system's time, except that it never goes back: while the system's clock is behind, time continues from where it
/// was. The same in the whole process.
impl Clock for Ureq {
    fn now(&self) -> Timestamp {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        /// The system's time at the start, in microseconds; later when the system's clock was since set forward.
        static OFFSET: AtomicU64 = AtomicU64::new(0);
        /// When the system was asked last, in microseconds since the start.
        static ASKED: AtomicU64 = AtomicU64::new(0);

        let running = micros(START.elapsed());
        let mut offset = OFFSET.load(Ordering::Relaxed);
        // Sessions look at the clock after each row, and most of the time goes into asking the system.
        if offset == 0 || running.saturating_sub(ASKED.load(Ordering::Relaxed)) >= 1000 {
            ASKED.store(running, Ordering::Relaxed);
            let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let asked = micros(system).saturating_sub(running);
            offset = OFFSET.fetch_max(asked, Ordering::Relaxed).max(asked);
        }
        Timestamp::from_unix(Duration::from_micros(offset.saturating_add(running)))
    }

    fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            // In pieces, so that a clock that is set forward, or a machine that was suspended, is noticed.
            thread::sleep(left.min(Duration::from_secs(60)));
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Bits from the operating system.
impl Entropy for Ureq {
    fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_ne_bytes(bytes),
            Err(_) => fallback(),
        }
    }
}

/// Bits that differ each time and between processes, for systems that have no randomness to give.
fn fallback() -> u128 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let state = RandomState::new();
    let half = |salt: u8| {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        u128::from(state.hash_one((salt, count, SystemTime::now(), std::process::id())))
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn time_passes_and_sleeping_lasts_long_enough() {
        let runtime = Ureq::new();
        let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let start = runtime.now();
        let difference = start.as_unix().abs_diff(system);
        assert!(difference < Duration::from_secs(5), "{difference:?} off the system's time");
        let at = start + Duration::from_millis(20);
        runtime.sleep_until(at);
        assert!(runtime.now() >= at);
        runtime.sleep_until(start);
    }

    #[test]
    fn bits_are_never_the_same() {
        let runtime = Ureq::new();
        let drawn: BTreeSet<u128> = (0..100).flat_map(|_| [runtime.bits(), fallback()]).collect();
        assert_eq!(drawn.len(), 200);
    }
}

//! Random numbers from a seed.

use std::ops::RangeInclusive;
use std::time::Duration;

use pipewright::Seed;

/// A number below `bound`; 0 when it is 0.
pub(crate) fn below(seed: &mut Seed, bound: u64) -> u64 {
    let scaled = u128::from(seed.next_u64()) * u128::from(bound);
    u64::try_from(scaled >> 64).unwrap_or(u64::MAX)
}

/// A time in the range, in whole microseconds; its start when it is empty.
pub(crate) fn between(seed: &mut Seed, range: &RangeInclusive<Duration>) -> Duration {
    let width = range.end().saturating_sub(*range.start()).as_micros();
    let width = u64::try_from(width).unwrap_or(u64::MAX);
    range.start().saturating_add(Duration::from_micros(below(seed, width.saturating_add(1))))
}

/// A number from 0 up to, but not including, 1.
pub(crate) fn unit(seed: &mut Seed) -> f64 {
    let bits = u32::try_from(seed.next_u64() >> 32).unwrap_or(u32::MAX);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Yes or no, with even chances.
pub(crate) fn coin(seed: &mut Seed) -> bool {
    below(seed, 2) == 1
}

//! The simulator's time, by the machine's clock.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use pipewright::Timestamp;

/// The speed of the simulator's clock. It starts at the machine's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Time {
    /// As fast as the machine's clock.
    #[default]
    Real,
    /// This many times as fast: with 100, a minute takes 0.6 s. 0 counts as 1.
    Fast(u32),
}

impl Time {
    fn factor(self) -> u32 {
        match self {
            Self::Real => 1,
            Self::Fast(factor) => factor.max(1),
        }
    }
}

/// Parses `real` or `fast:K`.
impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("fast:").map(str::parse) {
            Some(Ok(factor @ 1..)) => Ok(Self::Fast(factor)),
            None if text == "real" => Ok(Self::Real),
            _ => Err(format!(
                "\"{text}\" is not a speed; use `real`, or `fast:` and a whole number above 0, as in `fast:100`"
            )),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real => f.write_str("real"),
            Self::Fast(factor) => write!(f, "fast:{factor}"),
        }
    }
}

/// Translates between the machine's time and the simulator's.
#[derive(Debug)]
pub(super) struct ScaledClock {
    begin: Duration,
    since: Instant,
    factor: u32,
}

impl ScaledClock {
    pub(super) fn new(time: Time) -> Self {
        Self { begin: wall_clock(), since: Instant::now(), factor: time.factor() }
    }

    /// Returns the simulator's time. It never runs backwards, even if the wall clock does.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.begin.saturating_add(self.since.elapsed().saturating_mul(self.factor)))
    }

    /// Returns the client's time.
    pub(super) fn outside(&self) -> Timestamp {
        Timestamp::from_unix(self.begin.saturating_add(self.since.elapsed()))
    }

    /// Converts a duration to the machine's clock.
    pub(super) fn scaled(&self, simulated: Duration) -> Duration {
        simulated / self.factor
    }
}

fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_as_it_is_written() {
        for time in [Time::Real, Time::Fast(1), Time::Fast(100)] {
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for text in ["", "fast", "fast:", "fast:0", "fast:-1", "fast:1.5", "Real", "real:2"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn fast_time_runs_ahead_and_waits_less() {
        let clock = ScaledClock::new(Time::Fast(1000));
        assert_eq!(clock.scaled(Duration::from_secs(1)), Duration::from_millis(1));
        let outside = clock.outside();
        let inside = clock.now();
        assert!(inside.since(outside) < clock.now().since(outside));
        // Neither overflows.
        let clock = ScaledClock::new(Time::Fast(u32::MAX));
        assert!(clock.now() >= outside);
    }
}

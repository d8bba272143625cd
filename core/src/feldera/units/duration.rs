//! [`ConfigDuration`].

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use super::number::Number;
use super::{InvalidUnit, Problem};

const WHAT: &str = "duration";
pub(super) const UNITS_TEXT: &str = "ns, us, ms, s, m, h or d";
pub(super) const LARGEST_TEXT: &str = "213503982334601d";

/// The units that are written, from the longest to the shortest, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 24 * 3600 * SECOND),
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
const SECOND: u128 = 1_000_000_000;

/// A duration of a pipeline's settings, since release 0.366: `500ms`, `1h30m`, `30d`, `0s`.
///
/// A text is a sum of numbers with units, as in Go: `ns`, `us` (or `µs`), `ms`, `s`, `m`, `h`, and `d` for 24 hours.
/// Numbers may have a fraction; the result is rounded to the nearest nanosecond. Only `0` needs no unit.
///
/// Two durations are equal if they are equally long. A duration is written as Feldera writes it: with the longest units
/// first, as in `1m40s`.
///
/// ```
/// use std::time::Duration;
/// use pipewright::feldera::ConfigDuration;
/// let interval: ConfigDuration = "1.5h".parse()?;
/// assert_eq!(interval, ConfigDuration::from_secs(90 * 60));
/// assert_eq!(interval.to_string(), "1h30m");
/// assert_eq!(Duration::from(interval).as_secs(), 5400);
/// let error = "90".parse::<ConfigDuration>().expect_err("no unit");
/// assert_eq!(
///     error.to_string(),
///     "cannot read the duration \"90\": a number has no unit after it; add a unit, ns, us, ms, s, m, h or d"
/// );
/// # Ok::<(), pipewright::feldera::InvalidUnit>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigDuration(Duration);

impl ConfigDuration {
    /// The duration zero.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The longest duration, which stands for no limit.
    pub const MAX: Self = Self(Duration::MAX);

    /// Creates a duration from microseconds.
    pub const fn from_micros(microseconds: u64) -> Self {
        Self(Duration::from_micros(microseconds))
    }

    /// Creates a duration from milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Creates a duration from seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Creates a duration from days of 24 hours, of at most [`u64::MAX`] seconds.
    pub const fn from_days(days: u64) -> Self {
        Self(Duration::from_secs(days.saturating_mul(24 * 3600)))
    }

    /// Returns the length in nanoseconds.
    pub const fn as_nanos(self) -> u128 {
        self.0.as_nanos()
    }
}

impl From<Duration> for ConfigDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<ConfigDuration> for Duration {
    fn from(duration: ConfigDuration) -> Self {
        duration.0
    }
}

impl FromStr for ConfigDuration {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let error = |problem| InvalidUnit::new(WHAT, text, problem);
        if text.starts_with('-') {
            return Err(error(Problem::Negative));
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        match rest {
            "" => return Err(error(Problem::Empty)),
            "0" => return Ok(Self::ZERO),
            _ => {}
        }
        let mut total = 0_u128;
        while !rest.is_empty() {
            let (number, behind) = Number::split(rest);
            // A unit ends where the next number begins.
            let end =
                behind.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(behind.len());
            let (unit, next) = behind.split_at_checked(end).unwrap_or((behind, ""));
            let nanos = nanos_of(unit)
                .ok_or_else(|| error(Problem::UnknownUnit(crate::error::excerpt(unit.as_bytes(), 20))))?;
            if number.is_empty() {
                return Err(error(Problem::NoNumber));
            }
            let term = number.times(nanos).and_then(|term| total.checked_add(term));
            total = term.ok_or_else(|| error(Problem::TooLarge))?;
            rest = next;
        }
        from_nanos(total).ok_or_else(|| error(Problem::TooLarge))
    }
}

/// Creates a duration from nanoseconds. `None` if it is too long.
pub(in crate::feldera) fn from_nanos(nanos: u128) -> Option<ConfigDuration> {
    let below_a_second = u32::try_from(nanos % SECOND).ok()?;
    u64::try_from(nanos / SECOND).ok().map(|seconds| ConfigDuration(Duration::new(seconds, below_a_second)))
}

/// Returns the nanoseconds of a unit.
fn nanos_of(unit: &str) -> Option<u128> {
    // The micro sign and the Greek letter.
    let unit = if matches!(unit, "\u{b5}s" | "\u{3bc}s") { "us" } else { unit };
    UNITS.iter().find_map(|&(name, nanos)| (name == unit).then_some(nanos))
}

impl fmt::Display for ConfigDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        for (unit, nanos) in UNITS {
            if rest >= nanos {
                write!(text, "{}{unit}", rest / nanos)?;
                rest %= nanos;
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for ConfigDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

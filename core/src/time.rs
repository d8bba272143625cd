//! [`Timestamp`]: the time, supplied by the caller.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time as UNIX time in microseconds, supplied by the caller.
///
/// It is UNIX time and not a monotonic instant, because the expiry of tokens, `Retry-After` dates and saved states must
/// have the same meaning in every process. Flows use the latest time that they have been given, so a clock that is set
/// back only delays them.
///
/// Serialised as an integer, microseconds since the epoch.
///
/// ```
/// use std::time::Duration;
/// use pipewright::Timestamp;
///
/// let start = Timestamp::from_millis(1_700_000_000_250);
/// assert_eq!(start.to_string(), "2023-11-14T22:13:20.250Z");
/// assert_eq!((start + Duration::from_secs(2)).since(start), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// The latest time, for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// Creates a timestamp from the time since the UNIX epoch. It saturates.
    pub fn from_unix(since_epoch: Duration) -> Self {
        Self(micros(since_epoch))
    }

    /// Creates a timestamp from milliseconds since the UNIX epoch, as most services send it. It saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Returns the time since the UNIX epoch.
    pub const fn as_unix(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Returns the whole milliseconds since the UNIX epoch.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the time since `earlier`; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Reads an `HTTP-date` in any of the three forms that a recipient must accept ([RFC 9110
    /// §5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)); `None` for anything else.
    ///
    /// A two-digit year of the obsolete form means 1970 to 2069.
    ///
    /// ```
    /// use pipewright::Timestamp;
    /// let moment = Timestamp::from_millis(784_111_777_000);
    /// assert_eq!(Timestamp::from_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(moment));
    /// assert_eq!(Timestamp::from_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), Some(moment));
    /// assert_eq!(Timestamp::from_http_date("Sun Nov  6 08:49:37 1994"), Some(moment));
    /// assert_eq!(Timestamp::from_http_date("yesterday"), None);
    /// ```
    pub fn from_http_date(text: &str) -> Option<Self> {
        let mut words = text.split([' ', ',', '-']).filter(|word| !word.is_empty());
        let (_weekday, second, third, fourth, fifth) =
            (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        let (day, month, year, clock) = match words.next() {
            Some("GMT") => (second, third, fourth, fifth),
            None => (third, second, fifth, fourth),
            Some(_) => return None,
        };
        let month = MONTHS.iter().position(|name| *name == month)?;
        let year = match (year.len(), year.parse::<u64>().ok()?) {
            (4, year) => year,
            (2, year) => year + if year < 70 { 2000 } else { 1900 },
            _ => return None,
        };
        let day = day.parse::<u64>().ok().filter(|day| (1..=31).contains(day))?;
        let mut clock = clock.split(':').map(|part| part.parse::<u64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 || year < 1970 {
            return None;
        }
        let days = days_before(year, month as u64 + 1, day)?;
        Some(Self::from_millis((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000))
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the days from the epoch to a date. Counts years from March, so that the leap day is the last day.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    (365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day).checked_sub(719_469)
}

/// The inverse of [`days_before`].
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (carry, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year + carry, month, date)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::MAX`].
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

/// RFC 3339 in UTC, with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000;
        let (year, month, day) = date_of(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let millis = self.0 / 1000 % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_printed_and_read_alike() {
        for (millis, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799_000, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (1_709_164_800_000, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (4_102_444_799_000, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ] {
            let moment = Timestamp::from_http_date(text).expect(text);
            assert_eq!(moment, Timestamp::from_millis(millis), "{text}");
            let day = moment.to_string();
            assert!(text.contains(&day[8..10]) && text.contains(&day[..4]), "{text} against {day}");
        }
    }

    #[test]
    fn what_is_no_date_is_rejected() {
        for text in [
            "",
            "GMT",
            "120",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Foo 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        ] {
            assert_eq!(Timestamp::from_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::UNIX_EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::from_unix(Duration::MAX), Timestamp::MAX);
    }
}

//! Dates and times of day.

use std::fmt::Write as _;

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// The days of 0001-01-01 and 9999-12-31.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_896;

/// A day of the years 1 to 9999; `None` otherwise.
pub(crate) fn valid_day(days: i64) -> Option<i64> {
    (FIRST_DAY..=LAST_DAY).contains(&days).then_some(days)
}

/// Microseconds of the years 1 to 9999; `None` otherwise.
pub(crate) fn valid_micros(micros: i64) -> Option<i64> {
    valid_day(micros.div_euclid(MICROS_PER_DAY)).map(|_| micros)
}

/// The days from 1970-01-01 to a date of the Gregorian calendar.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// How many days a month has.
fn length(year: i64, month: i64) -> i64 {
    days(year + month / 12, month % 12 + 1, 1) - days(year, month, 1)
}

/// The same day of another month, or the last day of that month; `None` outside of the years 1 to 9999.
pub(crate) fn add_months(days_before: i64, months: i64) -> Option<i64> {
    let (year, month, day) = civil(days_before);
    let total = (year * 12 + month - 1).checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    (1..=9999).contains(&year).then(|| days(year, month, day.min(length(year, month))))
}

/// Reads `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.trim().splitn(3, '-').map(|part| part.parse::<u16>().ok().map(i64::from));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_real = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=length(year, month)).contains(&day);
    is_real.then(|| days(year, month, day))
}

/// Reads `HH:MM:SS` with an optional fraction; nanoseconds.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts = clock.split(':').map(|part| part.parse::<u8>().ok().map(i64::from));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 || fraction.len() > 9 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse::<u32>().ok()?.into() };
    Some((hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND + nanos)
}

/// Reads a date, and after `T` or a blank a time of day, perhaps with `Z`; microseconds.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches('Z').trim_end_matches("+00:00");
    let (date, time) = match text.split_once([' ', 'T']) {
        Some((date, time)) => (date, parse_time(time)?),
        None => (text, 0),
    };
    Some(parse_date(date)? * MICROS_PER_DAY + time / 1000)
}

pub(crate) fn format_date(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// With as many digits of the fraction as are needed: none, 3, 6 or 9.
pub(crate) fn format_time(nanos: i64) -> String {
    let (seconds, fraction) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a text never fails.
    let _ = match fraction {
        0 => Ok(()),
        _ if fraction % 1_000_000 == 0 => write!(text, ".{:03}", fraction / 1_000_000),
        _ if fraction % 1000 == 0 => write!(text, ".{:06}", fraction / 1000),
        _ => write!(text, ".{fraction:09}"),
    };
    text
}

/// A timestamp with this letter between date and time.
pub(crate) fn format_timestamp(micros: i64, between: char) -> String {
    let (days, rest) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    format!("{}{between}{}", format_date(days), format_time(rest * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_the_epoch() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2024-03-01", 19_783),
            ("0001-01-01", -719_162),
        ] {
            assert_eq!(parse_date(text), Some(days), "{text}");
            assert_eq!(format_date(days), text);
        }
        for wrong in ["2023-02-29", "2024-13-01", "2024-00-10", "2024-1", "x", "", "0000-01-01", "10000-01-01"] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn timestamps_keep_their_fraction() {
        for text in ["2024-01-02 03:04:05", "2024-01-02 03:04:05.600", "1969-12-31 23:59:59.000001"] {
            let micros = parse_timestamp(text).unwrap_or_default();
            assert_eq!(format_timestamp(micros, ' '), text);
        }
        assert_eq!(parse_timestamp("2024-01-02T03:04:05Z"), parse_timestamp("2024-01-02 03:04:05"));
    }

    #[test]
    fn a_month_later_is_at_most_the_last_day_of_that_month() {
        let day = |text| parse_date(text).unwrap_or_default();
        assert_eq!(add_months(day("2024-01-31"), 1), Some(day("2024-02-29")));
        assert_eq!(add_months(day("2024-03-31"), -13), Some(day("2023-02-28")));
        assert_eq!(add_months(day("2023-11-30"), 1), Some(day("2023-12-30")));
        for months in [-1, -12, i64::MIN] {
            assert_eq!(add_months(day("0001-01-31"), months), None);
        }
        assert_eq!(add_months(day("9999-12-01"), i64::MAX), None);
    }
}

//! Values that count, as generators make them.

use serde_json::{Value, json};

use super::types::{Kind, Type};

/// A column whose values are counted.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) kind: Type,
    /// The value in the first row.
    pub(super) first: u64,
}

impl Counted {
    pub(super) fn value(&self, row: u64) -> Value {
        let number = self.first.saturating_add(row);
        match &self.kind.kind {
            Kind::Char(length) | Kind::Varchar(length) => {
                let text = number.to_string();
                let start = text.len().saturating_sub(usize::try_from(*length).unwrap_or(usize::MAX));
                json!(text[start..])
            }
            Kind::Plain("BOOLEAN", _) => json!(number % 2 == 1),
            Kind::Plain("DATE", _) => json!(date(number % DAYS)),
            Kind::Plain("TINYINT", _) => json!(number % (1 << 7)),
            Kind::Plain("SMALLINT", _) => json!(number % (1 << 15)),
            Kind::Plain("INTEGER", _) => json!(number % (1 << 31)),
            Kind::Plain(..) => json!(number % (1 << 63)),
            Kind::Decimal(precision, scale) => {
                let digits = precision.saturating_sub(*scale);
                json!(10_u64.checked_pow(digits).map_or(number, |limit| number % limit))
            }
            Kind::Time(_) => json!(time(number)),
            Kind::Timestamp(_) => json!(format!("{}T{}", date(number / 86_400 % DAYS), time(number))),
            _ => Value::Null,
        }
    }
}

/// The days from 1970 to 9999 are more.
const DAYS: u64 = 2_900_000;

/// So many seconds into a day.
fn time(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// So many days after 1970-01-01, by the calendar that repeats itself every 400 years.
fn date(days: u64) -> String {
    let length = |year: u64| {
        if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 }
    };
    let (mut year, mut left) = (1970 + days / 146_097 * 400, days % 146_097);
    while left >= length(year) {
        left -= length(year);
        year += 1;
    }
    let february = if length(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

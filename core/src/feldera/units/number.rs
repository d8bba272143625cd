//! Decimal numbers before a unit.

/// The digits of a fraction that count. Later digits are less than a billionth of a byte or nanosecond.
const MAX_FRACTION_DIGITS: usize = 18;

/// A number before a unit: the digits before and after the point.
pub(super) struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Number<'a> {
    /// Splits a text into the number that it begins with and the rest.
    pub(super) fn split(text: &'a str) -> (Self, &'a str) {
        let (whole, rest) = split_digits(text);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        (Self { whole, fraction }, rest)
    }

    /// Returns whether there is no digit.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    /// Returns the number times a unit, rounded to the nearest whole number, halves up. `None` if it is too large.
    pub(super) fn times(&self, unit: u128) -> Option<u128> {
        let whole = digits(self.whole)?.checked_mul(unit)?;
        let kept = self.fraction.get(..MAX_FRACTION_DIGITS).unwrap_or(self.fraction);
        let one = 10_u128.pow(u32::try_from(kept.len()).ok()?);
        let part = digits(kept)?.checked_mul(unit)?;
        whole.checked_add((part + one / 2) / one)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Returns the value of digits; 0 without a digit.
fn digits(text: &str) -> Option<u128> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

//! Decimals: integers in units of their last digit.

use super::error::Error;
use super::types::{MOST_DIGITS, Type};

/// A power of ten; `None` beyond what 128 bits hold.
pub(crate) fn power(exponent: u8) -> Option<i128> {
    10_i128.checked_pow(u32::from(exponent))
}

/// Divides, and rounds half away from zero.
pub(crate) fn divide(value: i128, by: i128) -> i128 {
    let (quotient, rest) = (value / by, value % by);
    if rest.unsigned_abs() >= by.unsigned_abs().div_ceil(2) {
        quotient + value.signum() * by.signum()
    } else {
        quotient
    }
}

/// The same number in other units; digits that have no place are cut off.
pub(crate) fn rescale(value: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from { value.checked_mul(power(to - from)?) } else { Some(value / power(from - to)?) }
}

/// Checks that a decimal has no more digits than its type.
pub(crate) fn fit(value: i128, precision: u8, scale: u8) -> Result<i128, Error> {
    let most = power(precision.min(MOST_DIGITS)).unwrap_or(i128::MAX);
    if value.unsigned_abs() < most.unsigned_abs() {
        return Ok(value);
    }
    let kind = Type::Decimal { precision, scale };
    Err(Error::evaluation(format!("cannot represent {} as {kind}", format(value, scale))))
}

/// Reads a decimal with an optional exponent; its digits and its scale.
pub(crate) fn parse(text: &str) -> Option<(i128, u8)> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let bare = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(bare) || !is_digits(fraction) || bare.len() + fraction.len() == 0 {
        return None;
    }
    let mut value = format!("{bare}{fraction}").parse::<i128>().ok()?;
    if whole.starts_with('-') {
        value = -value;
    }
    let scale = i16::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    if scale < 0 {
        return Some((value.checked_mul(power(u8::try_from(scale.checked_neg()?).ok()?)?)?, 0));
    }
    Some((value, u8::try_from(scale).ok()?))
}

/// With all digits that its type has.
pub(crate) fn format(value: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// As a float.
pub(crate) fn to_float(value: i128, scale: u8) -> f64 {
    format(value, scale).parse().unwrap_or(f64::NAN)
}

//! Arithmetic of numbers, and of dates and times.

use super::super::ast::Operator;
use super::super::datetime::{MICROS_PER_DAY, add_months, valid_day, valid_micros};
use super::super::decimal;
use super::super::error::Error;
use super::super::plan::Scalar;
use super::super::types::Type;
use super::super::value::Value;
use super::budget::check_text;

/// Checks that a number is one of a type.
pub(super) fn checked(number: i128, kind: &Type) -> Result<Value, Error> {
    match kind {
        Type::Decimal { precision, scale } => Ok(Value::Decimal(decimal::fit(number, *precision, *scale)?)),
        other => match other.range() {
            Some((low, high)) if (low..=high).contains(&number) => Ok(Value::Integer(number)),
            _ => Err(Error::evaluation(format!("{number} overflows type {}", other.name()))),
        },
    }
}

pub(super) fn operate(
    operator: Operator,
    (left, left_of): (Value, &Scalar),
    (right, right_of): (Value, &Scalar),
    result: &Type,
) -> Result<Value, Error> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Text(left), Value::Text(right)) => {
            check_text(left.len() + right.len())?;
            Ok(Value::text(format!("{left}{right}")))
        }
        (Value::Integer(left), Value::Integer(right)) => checked(integers(operator, left, right)?, result),
        (Value::Float(left), Value::Float(right)) => Ok(floats(operator, left.get(), right.get(), result)),
        (Value::Decimal(left), Value::Decimal(right)) => {
            let scale = |kind: &Type| kind.digits().map_or(0, |(_, scale)| scale);
            let scales = (scale(&left_of.kind), scale(&right_of.kind), scale(result));
            checked(decimals(operator, left, right, scales)?, result)
        }
        (left, right) => times(operator, left, right, (&left_of.kind, &right_of.kind)),
    }
}

pub(super) fn overflow() -> Error {
    Error::evaluation("arithmetic overflow")
}

/// A date that no type holds.
pub(super) fn outside() -> Error {
    Error::evaluation("date out of range: years are 1 to 9999")
}

fn division_by_zero() -> Error {
    Error::evaluation("Divide by zero error")
}

fn integers(operator: Operator, left: i128, right: i128) -> Result<i128, Error> {
    match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        _ if right == 0 => return Err(division_by_zero()),
        Operator::Divide => left.checked_div(right),
        _ => left.checked_rem(right),
    }
    .ok_or_else(overflow)
}

fn floats(operator: Operator, left: f64, right: f64, result: &Type) -> Value {
    let number = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left % right,
    };
    Value::float(rounded(number, result))
}

/// A number with the precision of its type.
pub(super) fn rounded(number: f64, kind: &Type) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "REAL has 32 bits")]
    if *kind == Type::Real { f64::from(number as f32) } else { number }
}

fn decimals(operator: Operator, left: i128, right: i128, scales: (u8, u8, u8)) -> Result<i128, Error> {
    let (left_scale, right_scale, scale) = scales;
    match operator {
        Operator::Multiply => {
            let product = left.checked_mul(right).ok_or_else(overflow)?;
            decimal::rescale(product, left_scale.saturating_add(right_scale), scale).ok_or_else(overflow)
        }
        Operator::Divide if right == 0 => Err(division_by_zero()),
        Operator::Divide => {
            // left / right = quotient, with `scale` digits behind the point.
            let shift = i16::from(scale) + i16::from(right_scale) - i16::from(left_scale);
            if let Ok(shift) = u8::try_from(shift) {
                let left = decimal::power(shift).and_then(|power| left.checked_mul(power));
                left.and_then(|left| left.checked_div(right)).ok_or_else(overflow)
            } else {
                let by = u8::try_from(-shift).ok().and_then(decimal::power).ok_or_else(overflow)?;
                Ok(left.checked_div(right).ok_or_else(overflow)? / by)
            }
        }
        other => integers(other, left, right),
    }
}

fn times(operator: Operator, left: Value, right: Value, kinds: (&Type, &Type)) -> Result<Value, Error> {
    let signed = |by: i64| if operator == Operator::Subtract { by.checked_neg() } else { Some(by) };
    Ok(match (left, right) {
        (Value::Interval(interval), moment @ (Value::Date(_) | Value::Time(_) | Value::Timestamp(_))) => {
            return times(operator, moment, Value::Interval(interval), (kinds.1, kinds.0));
        }
        (Value::Date(days), Value::Interval(by)) if *kinds.1 == Type::MonthInterval => {
            Value::Date(signed(by).and_then(|by| add_months(days, by)).ok_or_else(outside)?)
        }
        (Value::Date(days), Value::Interval(by)) => {
            let moved = signed(by).and_then(|by| days.checked_add(by / MICROS_PER_DAY)).and_then(valid_day);
            Value::Date(moved.ok_or_else(outside)?)
        }
        (Value::Timestamp(micros), Value::Interval(by)) if *kinds.1 == Type::MonthInterval => {
            let (days, rest) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
            let moved = signed(by).and_then(|by| add_months(days, by)).ok_or_else(outside)?;
            Value::Timestamp(moved * MICROS_PER_DAY + rest)
        }
        (Value::Timestamp(micros), Value::Interval(by)) => {
            let moved = signed(by).and_then(|by| micros.checked_add(by)).and_then(valid_micros);
            Value::Timestamp(moved.ok_or_else(outside)?)
        }
        (Value::Time(nanos), Value::Interval(by)) => {
            let by = signed(by).ok_or_else(overflow)?.rem_euclid(MICROS_PER_DAY) * 1000;
            Value::Time((nanos + by).rem_euclid(MICROS_PER_DAY * 1000))
        }
        (Value::Interval(a), Value::Interval(b)) => {
            Value::Interval(signed(b).and_then(|b| a.checked_add(b)).ok_or_else(overflow)?)
        }
        (Value::Interval(a), Value::Integer(b)) | (Value::Integer(b), Value::Interval(a)) => {
            let total = integers(operator, i128::from(a), b)?;
            Value::Interval(i64::try_from(total).map_err(|_| overflow())?)
        }
        _ => Value::Null,
    })
}

//! Parts of dates and times.

use super::super::ast::UnitFunction;
use super::super::datetime::{MICROS_PER_DAY, MICROS_PER_SECOND, add_months, civil, days, valid_micros};
use super::super::error::Error;
use super::super::plan::Unit;
use super::super::value::Value;
use super::arithmetic::outside;

pub(super) fn unit(function: UnitFunction, unit: Unit, value: &Value) -> Result<Value, Error> {
    let micros = match value {
        Value::Date(days) => days * MICROS_PER_DAY,
        Value::Time(nanos) => nanos / 1000,
        Value::Timestamp(micros) => *micros,
        _ => return Ok(Value::Null),
    };
    if function == UnitFunction::Extract {
        return Ok(Value::Integer(part(unit, micros).into()));
    }
    let floor = floor(unit, micros);
    let micros = match function {
        UnitFunction::Ceil if floor != micros => next(unit, floor).ok_or_else(outside)?,
        _ => floor,
    };
    let micros = valid_micros(micros).ok_or_else(outside)?;
    Ok(match value {
        Value::Date(_) => Value::Date(micros.div_euclid(MICROS_PER_DAY)),
        Value::Time(_) => Value::Time(micros.rem_euclid(MICROS_PER_DAY) * 1000),
        _ => Value::Timestamp(micros),
    })
}

fn part(unit: Unit, micros: i64) -> i64 {
    let (day, rest) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    let (year, month, of_month) = civil(day);
    match unit {
        Unit::Year => year,
        Unit::Quarter => (month - 1) / 3 + 1,
        Unit::Month => month,
        Unit::Week => iso_week(day),
        Unit::Day => of_month,
        // 1970-01-01 was a Thursday; Sunday is 1.
        Unit::DayOfWeek => (day + 4).rem_euclid(7) + 1,
        Unit::DayOfYear => day - days(year, 1, 1) + 1,
        Unit::Hour => rest / (3600 * MICROS_PER_SECOND),
        Unit::Minute => rest / (60 * MICROS_PER_SECOND) % 60,
        Unit::Second => rest / MICROS_PER_SECOND % 60,
        Unit::Millisecond => rest / 1000 % 60_000,
        Unit::Microsecond => rest % (60 * MICROS_PER_SECOND),
        Unit::Epoch => micros.div_euclid(MICROS_PER_SECOND),
    }
}

/// The week that has the Thursday of the day's week, as ISO 8601 counts them.
fn iso_week(day: i64) -> i64 {
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    let (year, ..) = civil(thursday);
    (thursday - days(year, 1, 1)) / 7 + 1
}

/// The start of the year, month and so on.
fn floor(unit: Unit, micros: i64) -> i64 {
    let day = micros.div_euclid(MICROS_PER_DAY);
    let (year, month, _) = civil(day);
    let to = |length: i64| micros - micros.rem_euclid(length);
    match unit {
        Unit::Year => days(year, 1, 1) * MICROS_PER_DAY,
        Unit::Quarter => days(year, (month - 1) / 3 * 3 + 1, 1) * MICROS_PER_DAY,
        Unit::Month => days(year, month, 1) * MICROS_PER_DAY,
        // Weeks begin on Sunday.
        Unit::Week => (day - (day + 4).rem_euclid(7)) * MICROS_PER_DAY,
        Unit::Day | Unit::DayOfWeek | Unit::DayOfYear => day * MICROS_PER_DAY,
        Unit::Hour => to(3600 * MICROS_PER_SECOND),
        Unit::Minute => to(60 * MICROS_PER_SECOND),
        Unit::Second | Unit::Epoch => to(MICROS_PER_SECOND),
        Unit::Millisecond => to(1000),
        Unit::Microsecond => micros,
    }
}

/// The start of the next year, month and so on; `None` after the year 9999.
fn next(unit: Unit, floor: i64) -> Option<i64> {
    let months = match unit {
        Unit::Year => 12,
        Unit::Quarter => 3,
        Unit::Month => 1,
        _ => 0,
    };
    if months > 0 {
        return Some(add_months(floor.div_euclid(MICROS_PER_DAY), months)? * MICROS_PER_DAY);
    }
    floor.checked_add(match unit {
        Unit::Week => 7 * MICROS_PER_DAY,
        Unit::Hour => 3600 * MICROS_PER_SECOND,
        Unit::Minute => 60 * MICROS_PER_SECOND,
        Unit::Second | Unit::Epoch => MICROS_PER_SECOND,
        Unit::Millisecond => 1000,
        Unit::Microsecond => 1,
        _ => MICROS_PER_DAY,
    })
}

//! Conversions between types.

use super::super::datetime::{MICROS_PER_DAY, parse_date, parse_time, parse_timestamp};
use super::super::decimal;
use super::super::error::Error;
use super::super::json;
use super::super::types::Type;
use super::super::value::Value;
use super::arithmetic::{checked, rounded};

/// A value of one type as one of another.
pub(crate) fn cast(value: &Value, from: &Type, to: &Type) -> Result<Value, Error> {
    let wrong = || {
        let shown = json::to_plain(value, from, ' ');
        Error::evaluation(format!("cannot convert '{shown}' of type {from} to {to}"))
    };
    if value.is_null() || from == to {
        return Ok(value.clone());
    }
    Ok(match (to, value) {
        (Type::Variant, _) => json::to_variant(value, from),
        (_, Value::Json(text)) => json::from_variant(text, to),
        (Type::Boolean, Value::Text(text)) => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "1" => Value::Boolean(true),
            "false" | "f" | "0" => Value::Boolean(false),
            _ => return Err(wrong()),
        },
        (Type::Boolean, Value::Integer(number)) => Value::Boolean(*number != 0),
        (Type::Integer { .. }, Value::Boolean(truth)) => Value::Integer(i128::from(*truth)),
        (Type::Integer { .. } | Type::Decimal { .. }, value) => {
            let scale = to.digits().map_or(0, |(_, scale)| scale);
            checked(exact(value, from, scale).ok_or_else(wrong)?, to).map_err(|_| wrong())?
        }
        (Type::Real | Type::Double, value) => Value::float(rounded(float(value, from).ok_or_else(wrong)?, to)),
        (Type::Char(_) | Type::Varchar(_), value) => {
            Value::text(fitted(&json::to_plain(value, from, ' '), to).ok_or_else(wrong)?)
        }
        (Type::Date, Value::Text(text)) => Value::Date(parse_date(text).ok_or_else(wrong)?),
        (Type::Date, Value::Timestamp(micros)) => Value::Date(micros.div_euclid(MICROS_PER_DAY)),
        (Type::Time, Value::Text(text)) => Value::Time(parse_time(text).ok_or_else(wrong)?),
        (Type::Time, Value::Timestamp(micros)) => Value::Time(micros.rem_euclid(MICROS_PER_DAY) * 1000),
        (Type::Timestamp, Value::Text(text)) => Value::Timestamp(parse_timestamp(text).ok_or_else(wrong)?),
        (Type::Timestamp, Value::Date(days)) => Value::Timestamp(days * MICROS_PER_DAY),
        (Type::Uuid, Value::Text(text)) => Value::text(text.to_lowercase()),
        (Type::Binary(_), Value::Bytes(_)) => value.clone(),
        (Type::Array(to), Value::Array(items)) => {
            let Type::Array(from) = from else { return Err(wrong()) };
            Value::Array(items.iter().map(|item| cast(item, from, to)).collect::<Result<_, _>>()?)
        }
        (Type::Map(to_key, to_value), Value::Map(items)) => {
            let Type::Map(from_key, from_value) = from else { return Err(wrong()) };
            let items =
                items.iter().map(|(key, value)| Ok((cast(key, from_key, to_key)?, cast(value, from_value, to_value)?)));
            Value::Map(items.collect::<Result<_, Error>>()?)
        }
        _ => return Err(wrong()),
    })
}

/// The digits of a number with this scale; those behind are cut off.
fn exact(value: &Value, from: &Type, scale: u8) -> Option<i128> {
    match value {
        Value::Integer(number) => decimal::rescale(*number, 0, scale),
        Value::Decimal(digits) => decimal::rescale(*digits, from.digits()?.1, scale),
        Value::Float(number) if number.get().is_finite() => {
            let (digits, has) = decimal::parse(&format!("{}", number.get()))?;
            decimal::rescale(digits, has, scale)
        }
        Value::Text(text) => {
            let (digits, has) = decimal::parse(text.trim())?;
            decimal::rescale(digits, has, scale)
        }
        _ => None,
    }
}

fn float(value: &Value, from: &Type) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "the nearest float is the result")]
        Value::Integer(number) => Some(*number as f64),
        Value::Decimal(digits) => Some(decimal::to_float(*digits, from.digits()?.1)),
        Value::Float(number) => Some(number.get()),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// How many letters a type pads a text to, at most.
const MOST_PADDING: usize = 1 << 20;

/// A text cut or padded to the length of its type; `None` if that is more than the engine pads to.
pub(crate) fn fitted(text: &str, kind: &Type) -> Option<String> {
    let length = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
    Some(match kind {
        Type::Char(most) => {
            let mut cut: String = text.chars().take(length(*most)).collect();
            let missing = length(*most).saturating_sub(cut.chars().count());
            if missing > MOST_PADDING {
                return None;
            }
            cut.extend(std::iter::repeat_n(' ', missing));
            cut
        }
        Type::Varchar(Some(most)) => text.chars().take(length(*most)).collect(),
        _ => text.to_owned(),
    })
}

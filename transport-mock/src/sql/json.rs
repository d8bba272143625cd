//! Values as JSON and as plain text, and from JSON.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value as Json;

use super::datetime::{format_date, format_time, format_timestamp, parse_date, parse_time, parse_timestamp};
use super::decimal;
use super::eval::fitted;
use super::types::Type;
use super::value::{Row, Value};

/// Writes a value as JSON. `between` stands between date and time. Decimals have all their digits.
pub(crate) fn write(out: &mut String, value: &Value, kind: &Type, between: char) {
    match (value, kind) {
        (Value::Null, _) => out.push_str("null"),
        (Value::Float(number), Type::Real) => {
            #[expect(clippy::cast_possible_truncation, reason = "REAL has 32 bits")]
            let number = number.get() as f32;
            out.push_str(
                &serde_json::Number::from_f64(shortest(number))
                    .map_or_else(|| "null".into(), |number| number.to_string()),
            );
        }
        (Value::Float(number), _) => {
            let number = serde_json::Number::from_f64(number.get());
            out.push_str(&number.map_or_else(|| "null".into(), |number| number.to_string()));
        }
        (Value::Json(text), _) => out.push_str(text),
        (Value::Bytes(bytes), _) => {
            let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
            // Writing to a text never fails.
            let _ = write!(out, "[{}]", bytes.join(","));
        }
        (Value::Array(items), Type::Array(element)) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, item, element, between);
            }
            out.push(']');
        }
        (Value::Map(items), Type::Map(of_key, of_value)) => {
            out.push('{');
            for (at, (key, value)) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Json::from(to_plain(key, of_key, between)).to_string());
                out.push(':');
                write(out, value, of_value, between);
            }
            out.push('}');
        }
        (Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_), _) => out.push_str(&to_plain(value, kind, between)),
        _ => out.push_str(&Json::from(to_plain(value, kind, between)).to_string()),
    }
}

/// The 64 bits that print as the 32 bits do.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// A value as JSON.
pub(crate) fn to_text(value: &Value, kind: &Type, between: char) -> String {
    let mut out = String::new();
    write(&mut out, value, kind, between);
    out
}

/// A row as a JSON object.
pub(crate) fn row<'a>(columns: impl Iterator<Item = (&'a str, &'a Type)>, row: &Row, between: char) -> String {
    let mut out = String::from("{");
    for (at, ((name, kind), value)) in columns.zip(row).enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&Json::from(name).to_string());
        out.push(':');
        write(&mut out, value, kind, between);
    }
    out.push('}');
    out
}

/// A value without quotes; `NULL` is empty.
pub(crate) fn to_plain(value: &Value, kind: &Type, between: char) -> String {
    match value {
        Value::Null => String::new(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Decimal(digits) => decimal::format(*digits, kind.digits().map_or(0, |(_, scale)| scale)),
        Value::Float(number) if number.get().is_nan() => "NaN".to_owned(),
        Value::Float(number) if number.get().is_infinite() => {
            if number.get() > 0.0 {
                "Infinity".to_owned()
            } else {
                "-Infinity".to_owned()
            }
        }
        Value::Text(text) => text.to_string(),
        Value::Date(days) => format_date(*days),
        Value::Time(nanos) => format_time(*nanos),
        Value::Timestamp(micros) => format_timestamp(*micros, between),
        Value::Interval(number) => number.to_string(),
        Value::Float(_) | Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Json(_) => {
            to_text(value, kind, between)
        }
    }
}

/// A value as a JSON value. Decimals that a float does not hold are texts.
pub(crate) fn to_json(value: &Value, kind: &Type) -> Json {
    match (value, kind) {
        (Value::Decimal(digits), _) if digits.unsigned_abs() >= 1_000_000_000_000_000 => {
            to_plain(value, kind, ' ').into()
        }
        (Value::Array(items), Type::Array(element)) => items.iter().map(|item| to_json(item, element)).collect(),
        (Value::Map(items), Type::Map(of_key, of_value)) => {
            let items = items.iter().map(|(key, value)| (to_plain(key, of_key, ' '), to_json(value, of_value)));
            Json::Object(items.collect())
        }
        _ => serde_json::from_str(&to_text(value, kind, ' ')).unwrap_or(Json::Null),
    }
}

/// Reads a value of a type; `None` if the value is not of the type.
pub(crate) fn read(json: &Json, kind: &Type) -> Option<Value> {
    if json.is_null() {
        return Some(if *kind == Type::Variant { Value::Json("null".into()) } else { Value::Null });
    }
    let text = json.as_str();
    match kind {
        Type::Null => None,
        Type::Boolean => json.as_bool().map(Value::Boolean),
        Type::Integer { .. } => {
            let number = json.as_i64().map(i128::from).or_else(|| json.as_u64().map(i128::from))?;
            let (low, high) = kind.range()?;
            (low..=high).contains(&number).then_some(Value::Integer(number))
        }
        Type::Decimal { precision, scale } => {
            let text = text.map_or_else(|| json.is_number().then(|| json.to_string()), |text| Some(text.to_owned()))?;
            let (digits, has) = decimal::parse(text.trim())?;
            let digits = if has > *scale {
                decimal::divide(digits, decimal::power(has - scale)?)
            } else {
                decimal::rescale(digits, has, *scale)?
            };
            decimal::fit(digits, *precision, *scale).ok().map(Value::Decimal)
        }
        Type::Real | Type::Double => {
            let number = json.as_f64().or_else(|| text?.parse().ok())?;
            #[expect(clippy::cast_possible_truncation, reason = "REAL has 32 bits")]
            let number = if *kind == Type::Real { f64::from(number as f32) } else { number };
            Some(Value::float(number))
        }
        Type::Char(_) | Type::Varchar(_) => fitted(text?, kind).map(Value::text),
        Type::Binary(_) => {
            let bytes = json.as_array()?.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
            Some(Value::Bytes(bytes.collect::<Option<Vec<u8>>>()?.into()))
        }
        Type::Date => parse_date(text?).map(Value::Date),
        Type::Time => parse_time(text?).map(Value::Time),
        Type::Timestamp => parse_timestamp(text?).map(Value::Timestamp),
        Type::MonthInterval | Type::TimeInterval => json.as_i64().map(Value::Interval),
        Type::Uuid => uuid(text?).map(Value::text),
        Type::Array(element) => {
            json.as_array()?.iter().map(|item| read(item, element)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Type::Map(of_key, of_value) => {
            let items =
                json.as_object()?.iter().map(|(key, value)| Some((read_key(key, of_key)?, read(value, of_value)?)));
            let mut items = items.collect::<Option<Vec<_>>>()?;
            items.sort();
            Some(Value::Map(items))
        }
        Type::Variant | Type::Opaque(_) => Some(variant(json)),
    }
}

/// A key of a map, which JSON has as a text whatever its type.
fn read_key(key: &str, kind: &Type) -> Option<Value> {
    if kind.is_text() {
        return read(&Json::from(key), kind);
    }
    read(&serde_json::from_str(key).unwrap_or_else(|_| Json::from(key)), kind)
}

/// A UUID in lower case.
fn uuid(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let is_hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split('-').collect();
    let fits = parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| is_hex(part, length));
    fits.then_some(text)
}

fn variant(json: &Json) -> Value {
    Value::Json(json.to_string().into())
}

/// A text of JSON as a value.
pub(crate) fn parse_variant(text: &str) -> Option<Value> {
    serde_json::from_str::<Json>(text).ok().map(|json| variant(&json))
}

pub(crate) fn to_variant(value: &Value, kind: &Type) -> Value {
    Value::Json(to_text(value, kind, ' ').into())
}

/// Converts a JSON value to a type; `NULL` if the value is not of the type.
pub(crate) fn from_variant(text: &Arc<str>, kind: &Type) -> Value {
    let json: Json = serde_json::from_str(text).unwrap_or_default();
    if json.is_null() {
        return Value::Null;
    }
    match (kind, &json) {
        (Type::Char(_) | Type::Varchar(_), Json::String(text)) => fitted(text, kind).map_or(Value::Null, Value::text),
        (Type::Char(_) | Type::Varchar(_), _) => Value::Text(Arc::clone(text)),
        _ => read(&json, kind).unwrap_or(Value::Null),
    }
}

/// An element of a JSON array, from 0, or a field of an object.
pub(crate) fn element(text: &str, index: &Value) -> Value {
    let json: Json = serde_json::from_str(text).unwrap_or_default();
    let found = match index {
        Value::Integer(at) => usize::try_from(*at).ok().and_then(|at| json.get(at)),
        Value::Text(field) => json.get(&**field),
        _ => None,
    };
    found.map_or(Value::Null, variant)
}

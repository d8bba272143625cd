//! Scalar functions.

use super::super::decimal;
use super::super::error::Error;
use super::super::functions::Function;
use super::super::json;
use super::super::plan::Scalar;
use super::super::types::Type;
use super::super::value::Value;
use super::arithmetic::{checked, rounded};
use super::budget::check_text;

pub(super) fn call(function: Function, values: Vec<Value>, of: &[Scalar], result: &Type) -> Result<Value, Error> {
    match function {
        Function::Coalesce => return Ok(values.into_iter().find(|value| !value.is_null()).unwrap_or(Value::Null)),
        Function::NullIf => {
            let same = !values[1].is_null() && values[0] == values[1];
            return Ok(if same { Value::Null } else { values.into_iter().next().unwrap_or(Value::Null) });
        }
        Function::ToJson => return Ok(Value::text(json::to_text(&values[0], &of[0].kind, ' '))),
        _ if values.iter().any(Value::is_null) => return Ok(Value::Null),
        _ => {}
    }
    let kind = &of[0].kind;
    match (function, values.as_slice()) {
        (Function::Greatest, _) => Ok(values.into_iter().max().unwrap_or(Value::Null)),
        (Function::Least, _) => Ok(values.into_iter().min().unwrap_or(Value::Null)),
        (Function::Concat, _) => {
            check_text(values.iter().map(|value| text(value).len()).sum())?;
            Ok(Value::text(values.iter().map(text).collect::<String>()))
        }
        (Function::Cardinality, [Value::Array(items)]) => Ok(size(items.len())),
        (Function::Cardinality, [Value::Map(items)]) => Ok(size(items.len())),
        (Function::ArrayContains, [Value::Array(items), item]) => Ok(Value::Boolean(items.contains(item))),
        (Function::ParseJson, [value]) => Ok(json::parse_variant(text(value)).unwrap_or(Value::Null)),
        (_, [Value::Text(first), rest @ ..]) => {
            check_text(length(function, first, rest))?;
            Ok(texts(function, first, rest))
        }
        (_, [Value::Float(first), rest @ ..]) => Ok(Value::float(rounded(floats(function, first.get(), rest), result))),
        (_, [Value::Integer(first), ..]) => match function {
            Function::Abs => checked(first.abs(), result),
            Function::Sign => Ok(Value::Integer(first.signum())),
            Function::Round | Function::Truncate => match values.get(1) {
                Some(Value::Integer(places)) if *places < 0 => checked(places_of(function, *first, 0, *places), result),
                _ => Ok(values[0].clone()),
            },
            _ => Ok(values[0].clone()),
        },
        (_, [Value::Decimal(first), rest @ ..]) => {
            let scale = kind.digits().map_or(0, |(_, scale)| scale);
            let places = match rest {
                [Value::Integer(places)] => *places,
                _ => 0,
            };
            let one = decimal::power(scale).unwrap_or(1);
            checked(
                match function {
                    Function::Abs => first.abs(),
                    Function::Sign => first.signum() * one,
                    Function::Floor => first.div_euclid(one),
                    Function::Ceil => -(-first).div_euclid(one),
                    _ => places_of(function, *first, scale, places),
                },
                result,
            )
        }
        _ => Ok(Value::Null),
    }
}

fn size(count: usize) -> Value {
    Value::Integer(i128::try_from(count).unwrap_or(i128::MAX))
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}

/// A number rounded or cut to so many places behind the point, in the units that it had.
fn places_of(function: Function, digits: i128, scale: u8, places: i128) -> i128 {
    let Ok(drop) = u8::try_from(i128::from(scale) - places) else { return digits };
    let Some(unit) = decimal::power(drop) else { return 0 };
    let kept = if function == Function::Round { decimal::divide(digits, unit) } else { digits / unit };
    kept.saturating_mul(unit)
}

fn floats(function: Function, number: f64, rest: &[Value]) -> f64 {
    let second = match rest {
        [Value::Float(second)] => second.get(),
        #[expect(clippy::cast_precision_loss, reason = "a number of places is small")]
        [Value::Integer(second)] => *second as f64,
        _ => 0.0,
    };
    match function {
        Function::Abs => number.abs(),
        Function::Sign if number == 0.0 => 0.0,
        Function::Sign => number.signum(),
        Function::Ceil => number.ceil(),
        Function::Floor => number.floor(),
        Function::Round => (number * 10_f64.powf(second)).round() / 10_f64.powf(second),
        Function::Truncate => (number * 10_f64.powf(second)).trunc() / 10_f64.powf(second),
        Function::Sqrt => number.sqrt(),
        Function::Power => number.powf(second),
        Function::Exp => number.exp(),
        Function::Ln => number.ln(),
        Function::Log10 => number.log10(),
        _ => number,
    }
}

/// How long a text is that may become much longer than its arguments.
fn length(function: Function, text: &str, rest: &[Value]) -> usize {
    match (function, rest) {
        (Function::Repeat, [Value::Integer(times)]) if !text.is_empty() => {
            usize::try_from((*times).max(0)).unwrap_or(usize::MAX).saturating_mul(text.len())
        }
        (Function::Replace, [Value::Text(from), Value::Text(to)]) if !from.is_empty() => {
            text.matches(&**from).count().saturating_mul(to.len()).saturating_add(text.len())
        }
        _ => text.len(),
    }
}

fn texts(function: Function, text: &str, rest: &[Value]) -> Value {
    let number = |at: usize| match rest.get(at) {
        Some(Value::Integer(number)) => *number,
        _ => 0,
    };
    let other = |at: usize| match rest.get(at) {
        Some(Value::Text(text)) => text,
        _ => "",
    };
    let count = |number: i128| usize::try_from(number.max(0)).unwrap_or(usize::MAX);
    let cut: Vec<char> = if rest.is_empty() { vec![' '] } else { other(0).chars().collect() };
    let letters = text.chars().count();
    Value::text(match function {
        Function::Upper => text.to_uppercase(),
        Function::Lower => text.to_lowercase(),
        Function::Trim => text.trim_matches(cut.as_slice()).to_owned(),
        Function::TrimStart => text.trim_start_matches(cut.as_slice()).to_owned(),
        Function::TrimEnd => text.trim_end_matches(cut.as_slice()).to_owned(),
        Function::Replace if other(0).is_empty() => text.to_owned(),
        Function::Replace => text.replace(other(0), other(1)),
        Function::Left => text.chars().take(count(number(0))).collect(),
        Function::Right => text.chars().skip(letters.saturating_sub(count(number(0)))).collect(),
        Function::Repeat if text.is_empty() => String::new(),
        Function::Repeat => text.repeat(count(number(0))),
        Function::Substring => {
            // Positions count from 1, and those before the text count as well.
            let start = number(0) - 1;
            let end = if rest.len() > 1 { start.saturating_add(number(1)) } else { i128::MAX };
            text.chars().take(count(end)).skip(count(start)).collect()
        }
        Function::Initcap => initcap(text),
        Function::Length => return size(letters),
        Function::Position => {
            let found = other(0).find(text).map(|at| other(0)[..at].chars().count() + 1);
            return size(found.unwrap_or(0));
        }
        _ => text.to_owned(),
    })
}

fn initcap(text: &str) -> String {
    let mut starts = true;
    let mut capitalized = String::new();
    for letter in text.chars() {
        if starts {
            capitalized.extend(letter.to_uppercase());
        } else {
            capitalized.extend(letter.to_lowercase());
        }
        starts = !letter.is_alphanumeric();
    }
    capitalized
}

/// An element of an array, from 1, of a map or of a JSON value; `NULL` if it does not exist.
pub(super) fn index(value: &Value, index: &Value) -> Value {
    match (value, index) {
        (Value::Array(items), Value::Integer(number)) => {
            let at = usize::try_from(number - 1).ok();
            at.and_then(|at| items.get(at)).cloned().unwrap_or(Value::Null)
        }
        (Value::Map(items), key) => {
            items.iter().find(|(have, _)| have == key).map_or(Value::Null, |(_, value)| value.clone())
        }
        (Value::Json(text), index) => json::element(text, index),
        _ => Value::Null,
    }
}

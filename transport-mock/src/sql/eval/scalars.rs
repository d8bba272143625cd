//! Expressions.

use std::cmp::Ordering;

use super::super::ast::Operator;
use super::super::error::Error;
use super::super::plan::{Plan, Scalar, ScalarNode};
use super::super::value::{Row, Value};
use super::{Bag, Environment, Frame, arithmetic, calls, cast, evaluate, like, times};

impl Scalar {
    /// The value over a row.
    pub(crate) fn evaluate(&self, row: &Row, environment: Environment<'_>) -> Result<Value, Error> {
        let of = |scalar: &Self| scalar.evaluate(row, environment);
        Ok(match &self.node {
            ScalarNode::Literal(value) => value.clone(),
            ScalarNode::Column(index) => row.get(*index).cloned().unwrap_or(Value::Null),
            ScalarNode::Outer { up, index } => {
                let mut frame = environment.outer;
                for _ in 1..*up {
                    frame = frame.and_then(|frame| frame.outer);
                }
                frame.and_then(|frame| frame.row.get(*index)).cloned().unwrap_or(Value::Null)
            }
            ScalarNode::And(left, right) => match of(left)? {
                Value::Boolean(false) => Value::Boolean(false),
                left => logic(&left, &of(right)?, false),
            },
            ScalarNode::Or(left, right) => match of(left)? {
                Value::Boolean(true) => Value::Boolean(true),
                left => logic(&left, &of(right)?, true),
            },
            ScalarNode::Not(inner) => match of(inner)? {
                Value::Boolean(truth) => Value::Boolean(!truth),
                _ => Value::Null,
            },
            ScalarNode::Compare(operator, left, right) => compare(*operator, &of(left)?, &of(right)?),
            ScalarNode::Same(left, right) => Value::Boolean(of(left)? == of(right)?),
            ScalarNode::Arithmetic(operator, left, right) => {
                arithmetic::operate(*operator, (of(left)?, left), (of(right)?, right), &self.kind)?
            }
            ScalarNode::Negate(inner) => match of(inner)? {
                Value::Integer(number) => arithmetic::checked(-number, &self.kind)?,
                Value::Decimal(number) => arithmetic::checked(-number, &self.kind)?,
                Value::Float(number) => Value::float(-number.get()),
                Value::Interval(number) => Value::Interval(number.checked_neg().ok_or_else(arithmetic::overflow)?),
                _ => Value::Null,
            },
            ScalarNode::IsNull(inner) => Value::Boolean(of(inner)?.is_null()),
            ScalarNode::IsTruth(inner, truth) => Value::Boolean(of(inner)? == Value::Boolean(*truth)),
            ScalarNode::Case(branches, otherwise) => {
                for (condition, value) in branches {
                    if of(condition)?.is_true() {
                        return of(value);
                    }
                }
                of(otherwise)?
            }
            ScalarNode::Cast(inner, safe) => match cast(&of(inner)?, &inner.kind, &self.kind) {
                Err(_) if *safe => Value::Null,
                result => result?,
            },
            ScalarNode::Call(function, arguments) => {
                let values = arguments.iter().map(of).collect::<Result<Vec<Value>, Error>>()?;
                calls::call(*function, values, arguments, &self.kind)?
            }
            ScalarNode::Unit(function, unit, inner) => times::unit(*function, *unit, &of(inner)?)?,
            ScalarNode::Like { value, pattern, escape, fold } => match (of(value)?, of(pattern)?) {
                (Value::Text(value), Value::Text(pattern)) => {
                    Value::Boolean(like::matches(&value, &pattern, *escape, *fold))
                }
                _ => Value::Null,
            },
            ScalarNode::InList(value, list) => {
                let list = list.iter().map(of).collect::<Result<Vec<Value>, Error>>()?;
                contained(&of(value)?, list.iter())
            }
            ScalarNode::InQuery(value, plan) => {
                let rows = query(plan, row, environment)?;
                contained(&of(value)?, rows.iter().map(|(row, _)| &row[0]))
            }
            ScalarNode::Exists(plan) => {
                let rows = query(plan, row, environment)?;
                Value::Boolean(rows.iter().any(|(_, weight)| *weight > 0))
            }
            ScalarNode::Query(plan) => single(query(plan, row, environment)?)?,
            ScalarNode::Array(items) => Value::Array(items.iter().map(of).collect::<Result<Vec<Value>, Error>>()?),
            ScalarNode::Index(inner, index) => calls::index(&of(inner)?, &of(index)?),
        })
    }
}

/// The rows of a query inside of an expression.
fn query(plan: &Plan, row: &Row, environment: Environment<'_>) -> Result<Bag, Error> {
    let frame = Frame { row, outer: environment.outer };
    evaluate(plan, Environment { outer: Some(&frame), ..environment })
}

/// The value of a query that has at most one row.
fn single(rows: Bag) -> Result<Value, Error> {
    let count = rows.iter().fold(0_i64, |sum, (_, weight)| sum.saturating_add(*weight));
    if count > 1 {
        return Err(Error::evaluation("a query that is used as a value has more than one row"));
    }
    Ok(rows.into_iter().next().and_then(|(row, _)| row.into_iter().next()).unwrap_or(Value::Null))
}

/// `AND` if `or` is false, `OR` otherwise, of values that may be `NULL`.
fn logic(left: &Value, right: &Value, or: bool) -> Value {
    let decisive = Value::Boolean(or);
    match () {
        () if *left == decisive || *right == decisive => decisive,
        () if left.is_null() || right.is_null() => Value::Null,
        () => Value::Boolean(!or),
    }
}

fn compare(operator: Operator, left: &Value, right: &Value) -> Value {
    if left.is_null() || right.is_null() {
        return Value::Null;
    }
    let order = left.cmp(right);
    Value::Boolean(match operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::NotEqual => order != Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}

/// Whether a value is in a list; `NULL` if it is not and something in it is `NULL`.
fn contained<'a>(value: &Value, list: impl Iterator<Item = &'a Value>) -> Value {
    let (mut is_empty, mut has_null) = (true, false);
    for item in list {
        is_empty = false;
        has_null |= item.is_null();
        if !value.is_null() && item == value {
            return Value::Boolean(true);
        }
    }
    if !is_empty && (has_null || value.is_null()) { Value::Null } else { Value::Boolean(false) }
}

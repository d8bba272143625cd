//! Expressions.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::ast::Operator;
use super::super::error::Error;
use super::super::plan::{Plan, Scalar, ScalarNode};
use super::super::value::{Row, Value};
use super::budget::Found;
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
                let value = arithmetic::operate(*operator, (of(left)?, left), (of(right)?, right), &self.kind)?;
                environment.budget.text(value)?
            }
            ScalarNode::Negate(inner) => match of(inner)? {
                Value::Integer(number) | Value::Decimal(number) => arithmetic::checked(-number, &self.kind)?,
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
            ScalarNode::Choose { of: inner, branches, otherwise } => {
                let chosen = of(inner)?;
                for (candidate, value) in branches {
                    if compare(Operator::Equal, &chosen, &of(candidate)?).is_true() {
                        return of(value);
                    }
                }
                of(otherwise)?
            }
            ScalarNode::Between(inner, low, high) => {
                let value = of(inner)?;
                let above = compare(Operator::GreaterEqual, &value, &of(low)?);
                logic(&above, &compare(Operator::LessEqual, &value, &of(high)?), false)
            }
            ScalarNode::Cast(inner, safe) => match cast(&of(inner)?, &inner.kind, &self.kind) {
                Err(_) if *safe => Value::Null,
                result => environment.budget.text(result?)?,
            },
            ScalarNode::Call(function, arguments) => {
                let values = arguments.iter().map(of).collect::<Result<Vec<Value>, Error>>()?;
                environment.budget.text(calls::call(*function, values, arguments, &self.kind)?)?
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
                let (value, values) = (of(value)?, rows.values());
                match () {
                    () if values.is_empty() => Value::Boolean(false),
                    () if value.is_null() => Value::Null,
                    () if values.contains(&value) => Value::Boolean(true),
                    () if values.contains(&Value::Null) => Value::Null,
                    () => Value::Boolean(false),
                }
            }
            ScalarNode::Exists(plan) => {
                let rows = query(plan, row, environment)?;
                Value::Boolean(rows.rows.iter().any(|(_, weight)| *weight > 0))
            }
            ScalarNode::Query(plan) => single(&query(plan, row, environment)?.rows)?,
            ScalarNode::Array(items) => Value::Array(items.iter().map(of).collect::<Result<Vec<Value>, Error>>()?),
            ScalarNode::Index(inner, index) => calls::index(&of(inner)?, &of(index)?),
        })
    }
}

/// The rows of a query inside of an expression.
fn query(plan: &Plan, row: &Row, environment: Environment<'_>) -> Result<Rc<Found>, Error> {
    let frame = Frame { row, outer: environment.outer };
    environment.budget.found(plan, || evaluate(plan, Environment { outer: Some(&frame), ..environment }))
}

/// The value of a query that has at most one row.
fn single(rows: &Bag) -> Result<Value, Error> {
    let count = rows.iter().fold(0_i64, |sum, (_, weight)| sum.saturating_add(*weight));
    if count > 1 {
        return Err(Error::evaluation("a query that is used as a value has more than one row"));
    }
    Ok(rows.first().and_then(|(row, _)| row.first()).cloned().unwrap_or(Value::Null))
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

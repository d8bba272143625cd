//! Groups and aggregates.

use std::collections::BTreeMap;

use super::super::error::Error;
use super::super::plan::{AggregateFunction, Aggregation, Scalar};
use super::super::types::Type;
use super::super::value::{Row, Value};
use super::arithmetic::{checked, rounded};
use super::{Bag, Environment, cast, consolidate};

pub(super) fn aggregate(
    rows: Bag,
    keys: &[Scalar],
    calls: &[Aggregation],
    environment: Environment<'_>,
) -> Result<Bag, Error> {
    let mut groups: BTreeMap<Row, BTreeMap<Row, i64>> = BTreeMap::new();
    if keys.is_empty() {
        groups.insert(Vec::new(), BTreeMap::new());
    }
    for (row, weight) in consolidate(rows) {
        let values = keys.iter().map(|key| key.evaluate(&row, environment)).collect::<Result<Row, Error>>()?;
        environment.budget.copies(&values, 1)?;
        groups.entry(values).or_default().insert(row, weight);
    }
    let mut results = Vec::new();
    for (mut group, rows) in groups {
        for call in calls {
            group.push(compute(call, &rows, environment)?);
        }
        results.push((group, 1));
    }
    Ok(results)
}

/// The value of a call over the rows of a group.
fn compute(call: &Aggregation, rows: &BTreeMap<Row, i64>, environment: Environment<'_>) -> Result<Value, Error> {
    let mut taken: Bag = Vec::new();
    for (row, weight) in rows {
        if let Some(filter) = &call.filter
            && !filter.evaluate(row, environment)?.is_true()
        {
            continue;
        }
        let arguments = call.arguments.iter().map(|argument| argument.evaluate(row, environment));
        let arguments = arguments.collect::<Result<Row, Error>>()?;
        // Which value goes with the largest value may be `NULL`; what is compared may not.
        let matters = match call.function {
            AggregateFunction::ArgMin | AggregateFunction::ArgMax => arguments.get(1..),
            AggregateFunction::ArrayAgg => None,
            _ => Some(arguments.as_slice()),
        };
        if !matters.unwrap_or_default().contains(&Value::Null) {
            environment.budget.copies(&arguments, 1)?;
            taken.push((arguments, *weight));
        }
    }
    let mut taken = consolidate(taken);
    if call.distinct {
        for weight in taken.values_mut() {
            *weight = (*weight).signum();
        }
    }
    let total = taken.values().map(|weight| i128::from(*weight)).sum::<i128>();
    let first = |row: Option<&Row>| row.and_then(|row| row.first()).cloned().unwrap_or(Value::Null);
    Ok(match call.function {
        AggregateFunction::Count => Value::Integer(total),
        AggregateFunction::CountIf => {
            let hits = taken.iter().filter(|(row, _)| row[0].is_true()).map(|(_, weight)| i128::from(*weight));
            Value::Integer(hits.sum())
        }
        // Weights that cancel each other out leave nothing to divide by.
        _ if taken.is_empty() || (call.function == AggregateFunction::Avg && total <= 0) => Value::Null,
        AggregateFunction::Sum => sum(call, &taken)?,
        AggregateFunction::Avg => average(call, &taken, total)?,
        AggregateFunction::Min => first(taken.keys().next()),
        AggregateFunction::Max => first(taken.keys().next_back()),
        AggregateFunction::Every => Value::Boolean(taken.keys().all(|row| row[0].is_true())),
        AggregateFunction::Some => Value::Boolean(taken.keys().any(|row| row[0].is_true())),
        AggregateFunction::ArrayAgg => {
            for (row, weight) in &taken {
                environment.budget.copies(row, weight.unsigned_abs())?;
            }
            let copies = taken
                .iter()
                .flat_map(|(row, weight)| std::iter::repeat_n(row[0].clone(), usize::try_from(*weight).unwrap_or(0)));
            Value::Array(copies.collect())
        }
        AggregateFunction::ArgMin => first(taken.keys().min_by(|a, b| a[1].cmp(&b[1]).then_with(|| a.cmp(b)))),
        AggregateFunction::ArgMax => first(taken.keys().max_by(|a, b| a[1].cmp(&b[1]).then_with(|| b.cmp(a)))),
    })
}

/// The exact sum of integers or of digits of decimals.
fn exact(rows: &BTreeMap<Row, i64>) -> Result<i128, Error> {
    rows.iter().try_fold(0_i128, |sum, (row, weight)| {
        let (Value::Integer(value) | Value::Decimal(value)) = row[0] else { return Ok(sum) };
        let term = value.checked_mul(i128::from(*weight));
        term.and_then(|term| sum.checked_add(term)).ok_or_else(|| Error::evaluation("a sum is too large"))
    })
}

/// The sum of floats, in the order of their values.
fn rough(rows: &BTreeMap<Row, i64>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no row occurs so often")]
    rows.iter().fold(0.0, |sum, (row, weight)| match row[0] {
        Value::Float(value) => sum + value.get() * *weight as f64,
        _ => sum,
    })
}

fn sum(call: &Aggregation, rows: &BTreeMap<Row, i64>) -> Result<Value, Error> {
    if call.kind.is_float() {
        return Ok(Value::float(rounded(rough(rows), &call.kind)));
    }
    checked(exact(rows)?, &call.kind)
}

fn average(call: &Aggregation, rows: &BTreeMap<Row, i64>, total: i128) -> Result<Value, Error> {
    if call.kind.is_float() {
        #[expect(clippy::cast_precision_loss, reason = "no row occurs so often")]
        return Ok(Value::float(rounded(rough(rows) / total as f64, &call.kind)));
    }
    let argument = call.arguments.first().map_or(&call.kind, |argument| &argument.kind);
    let sum = match cast(&as_value(exact(rows)?, argument), argument, &wide(&call.kind))? {
        Value::Integer(sum) | Value::Decimal(sum) => sum,
        _ => 0,
    };
    checked(sum / total, &call.kind)
}

fn as_value(number: i128, kind: &Type) -> Value {
    if kind.is_integer() { Value::Integer(number) } else { Value::Decimal(number) }
}

/// The type of the same scale that any sum fits into.
fn wide(kind: &Type) -> Type {
    match kind {
        Type::Decimal { scale, .. } => Type::decimal(38, *scale),
        Type::Integer { .. } => Type::decimal(38, 0),
        other => other.clone(),
    }
}

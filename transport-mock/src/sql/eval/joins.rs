//! Joins.

use std::collections::BTreeMap;

use super::super::ast::JoinKind;
use super::super::error::Error;
use super::super::plan::{Join, Scalar};
use super::super::value::{Row, Value};
use super::arithmetic::overflow;
use super::budget::row_size;
use super::{Bag, Environment, evaluate};

pub(super) fn join(join: &Join, environment: Environment<'_>) -> Result<Bag, Error> {
    let (left, right) = (evaluate(&join.left, environment)?, evaluate(&join.right, environment)?);
    let (left_width, right_width) = (join.left.columns.len(), join.right.columns.len());
    let index = index(join, &right, environment)?;
    let mut matched = vec![false; right.len()];
    let mut rows = Vec::new();
    for (row, weight) in left {
        let mut found = false;
        let keys = keys(join.keys.iter().map(|(of_left, _)| of_left), &row, environment)?;
        for at in keys.and_then(|keys| index.get(&keys)).into_iter().flatten() {
            let (other, other_weight) = &right[*at];
            environment.budget.rows(1)?;
            let whole: Row = row.iter().chain(other).cloned().collect();
            if holds(join.condition.as_ref(), &whole, environment)? {
                environment.budget.bytes(row_size(&whole))?;
                found = true;
                matched[*at] = true;
                rows.push((whole, weight.checked_mul(*other_weight).ok_or_else(overflow)?));
            }
        }
        if !found && matches!(join.kind, JoinKind::Left | JoinKind::Full) {
            let nulls = std::iter::repeat_n(Value::Null, right_width);
            rows.push((row.into_iter().chain(nulls).collect(), weight));
        }
    }
    if matches!(join.kind, JoinKind::Right | JoinKind::Full) {
        for ((row, weight), matched) in right.into_iter().zip(matched) {
            if !matched {
                let nulls = std::iter::repeat_n(Value::Null, left_width);
                rows.push((nulls.chain(row).collect(), weight));
            }
        }
    }
    Ok(rows)
}

/// Places of the rows of the right side, by the values that the left side must equal.
fn index(join: &Join, right: &Bag, environment: Environment<'_>) -> Result<BTreeMap<Row, Vec<usize>>, Error> {
    let mut index: BTreeMap<Row, Vec<usize>> = BTreeMap::new();
    for (at, (row, _)) in right.iter().enumerate() {
        if let Some(keys) = keys(join.keys.iter().map(|(_, of_right)| of_right), row, environment)? {
            environment.budget.copies(&keys, 1)?;
            index.entry(keys).or_default().push(at);
        }
    }
    Ok(index)
}

/// `None` if one of the keys is `NULL`, which equals nothing.
fn keys<'a>(
    keys: impl Iterator<Item = &'a Scalar>,
    row: &Row,
    environment: Environment<'_>,
) -> Result<Option<Row>, Error> {
    let keys = keys.map(|key| key.evaluate(row, environment)).collect::<Result<Row, Error>>()?;
    Ok(Some(keys).filter(|keys| !keys.contains(&Value::Null)))
}

fn holds(condition: Option<&Scalar>, row: &Row, environment: Environment<'_>) -> Result<bool, Error> {
    condition.map_or(Ok(true), |condition| Ok(condition.evaluate(row, environment)?.is_true()))
}

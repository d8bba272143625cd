//! The evaluation of plans.
//!
//! Rows have a weight: how often they occur, which is negative for rows that are deleted. All results are a function of
//! the rows and never of the order in which they came.

mod aggregates;
mod arithmetic;
mod budget;
mod calls;
mod cast;
mod joins;
mod like;
mod scalars;
mod times;

use std::collections::BTreeMap;

use super::ast::SetOperation;
use super::error::Error;
use super::plan::{Node, Plan, SortKey};
use super::value::Row;

pub(crate) use self::budget::Budget;
pub(crate) use self::cast::{cast, fitted};

/// Rows with their weights.
pub(crate) type Bag = Vec<(Row, i64)>;

/// What relations hold.
pub(crate) trait Relations {
    /// Rows and how often each occurs, in the order of the rows.
    fn rows(&self, name: &str) -> Box<dyn Iterator<Item = (&Row, i64)> + '_>;
}

/// The row of a query around another query.
pub(crate) struct Frame<'a> {
    row: &'a Row,
    outer: Option<&'a Frame<'a>>,
}

/// What a plan is evaluated over.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    relations: &'a dyn Relations,
    outer: Option<&'a Frame<'a>>,
    budget: &'a Budget,
}

impl<'a> Environment<'a> {
    pub(crate) fn new(relations: &'a dyn Relations, budget: &'a Budget) -> Self {
        Self { relations, outer: None, budget }
    }
}

/// The rows of a plan. The same row may occur several times.
pub(crate) fn evaluate(plan: &Plan, environment: Environment<'_>) -> Result<Bag, Error> {
    environment.budget.rows(1)?;
    match &plan.node {
        Node::Scan(name) => {
            let rows = environment.relations.rows(name).map(|(row, weight)| {
                environment.budget.copies(row, 1)?;
                Ok((row.clone(), weight))
            });
            rows.collect()
        }
        Node::Values(rows) => rows
            .iter()
            .map(|row| {
                let values = row.iter().map(|value| value.evaluate(&Vec::new(), environment));
                Ok((values.collect::<Result<Row, Error>>()?, 1))
            })
            .collect(),
        Node::Filter(input, _) | Node::Project(input, _) => over(plan, evaluate(input, environment)?, environment),
        Node::Join(join) => joins::join(join, environment),
        Node::Aggregate { input, keys, calls } => {
            aggregates::aggregate(evaluate(input, environment)?, keys, calls, environment)
        }
        Node::Distinct(input) => Ok(distinct(evaluate(input, environment)?)),
        Node::Set { operation, all, left, right } => {
            Ok(set(*operation, *all, evaluate(left, environment)?, evaluate(right, environment)?))
        }
        Node::Sort { input, by, limit, offset } => {
            let rows = evaluate(input, environment)?;
            let rows = if by.is_empty() { rows } else { sort(rows, by, environment)? };
            Ok(if limit.is_none() && *offset == 0 { rows } else { cut(rows, *offset, *limit) })
        }
    }
}

/// Filters or projects rows: the plans that take rows one by one.
pub(crate) fn over(plan: &Plan, rows: Bag, environment: Environment<'_>) -> Result<Bag, Error> {
    let mut kept = Vec::new();
    for (row, weight) in rows {
        match &plan.node {
            Node::Filter(_, condition) => {
                if condition.evaluate(&row, environment)?.is_true() {
                    kept.push((row, weight));
                }
            }
            Node::Project(_, values) => {
                let values = values.iter().map(|value| value.evaluate(&row, environment));
                let values = values.collect::<Result<Row, Error>>()?;
                environment.budget.copies(&values, 1)?;
                kept.push((values, weight));
            }
            _ => kept.push((row, weight)),
        }
    }
    Ok(kept)
}

/// Rows with the sum of their weights, without those that have none.
pub(crate) fn consolidate(rows: impl IntoIterator<Item = (Row, i64)>) -> BTreeMap<Row, i64> {
    let mut sums = BTreeMap::new();
    for (row, weight) in rows {
        let sum = sums.entry(row).or_insert(0_i64);
        *sum = sum.saturating_add(weight);
    }
    sums.retain(|_, weight| *weight != 0);
    sums
}

fn distinct(rows: Bag) -> Bag {
    consolidate(rows).into_iter().filter(|(_, weight)| *weight > 0).map(|(row, _)| (row, 1)).collect()
}

fn set(operation: SetOperation, all: bool, left: Bag, right: Bag) -> Bag {
    let union = operation == SetOperation::Union;
    if union {
        let rows: Bag = left.into_iter().chain(right).collect();
        return if all { rows } else { distinct(rows) };
    }
    let (left, right) = (consolidate(left), consolidate(right));
    let weight = |row: &Row, weight: i64| {
        let other = right.get(row).copied().unwrap_or(0);
        match (operation, all) {
            (SetOperation::Intersect, true) => weight.min(other),
            (SetOperation::Intersect, false) => i64::from(weight > 0 && other > 0),
            (_, true) => weight.saturating_sub(other),
            (_, false) => i64::from(weight > 0 && other <= 0),
        }
    };
    let weighted = left.into_iter().map(|(row, have)| {
        let weight = weight(&row, have);
        (row, weight)
    });
    weighted.filter(|(_, weight)| *weight > 0).collect()
}

/// Sorts rows; equal rows by all their columns, so that the order is always the same.
fn sort(rows: Bag, by: &[SortKey], environment: Environment<'_>) -> Result<Bag, Error> {
    let mut keyed = Vec::new();
    for (row, weight) in rows {
        let keys = by.iter().map(|key| key.by.evaluate(&row, environment)).collect::<Result<Row, Error>>()?;
        environment.budget.copies(&keys, 1)?;
        keyed.push((keys, row, weight));
    }
    keyed.sort_by(|(a, row_a, _), (b, row_b, _)| {
        let pairs = a.iter().zip(b).zip(by);
        let compared = pairs.map(|((a, b), key)| match (a.is_null(), b.is_null()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) if key.nulls_first => std::cmp::Ordering::Less,
            (true, false) => std::cmp::Ordering::Greater,
            (false, true) if key.nulls_first => std::cmp::Ordering::Greater,
            (false, true) => std::cmp::Ordering::Less,
            (false, false) if key.descending => b.cmp(a),
            (false, false) => a.cmp(b),
        });
        compared.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then_with(|| row_a.cmp(row_b))
    });
    Ok(keyed.into_iter().map(|(_, row, weight)| (row, weight)).collect())
}

fn cut(rows: Bag, offset: u64, limit: Option<u64>) -> Bag {
    let (mut skip, mut left) = (offset, limit.unwrap_or(u64::MAX));
    let mut kept = Vec::new();
    for (row, weight) in rows {
        let copies = u64::try_from(weight).unwrap_or(0);
        let skipped = skip.min(copies);
        let taken = (copies - skipped).min(left);
        (skip, left) = (skip - skipped, left - taken);
        if taken > 0 {
            kept.push((row, i64::try_from(taken).unwrap_or(i64::MAX)));
        }
    }
    kept
}

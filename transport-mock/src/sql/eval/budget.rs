//! What an evaluation may use, and what it remembers.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::error::Error;
use super::super::plan::Plan;
use super::super::value::{Row, Value};
use super::Bag;

/// How many rows an evaluation makes or compares, at most.
const MOST_ROWS: u64 = 5_000_000;
/// How many bytes of rows and texts an evaluation makes, at most.
const MOST_BYTES: u64 = 512 << 20;
/// How many bytes a text has that a function makes, at most.
const MOST_TEXT: usize = 16 << 20;

/// The rows of a query inside of an expression.
pub(super) struct Found {
    pub(super) rows: Bag,
    values: OnceCell<BTreeSet<Value>>,
}

impl Found {
    pub(super) fn new(rows: Bag) -> Self {
        Self { rows, values: OnceCell::new() }
    }

    /// The values of its first column.
    pub(super) fn values(&self) -> &BTreeSet<Value> {
        self.values.get_or_init(|| self.rows.iter().filter_map(|(row, _)| row.first()).cloned().collect())
    }
}

/// What one evaluation has used. It must not outlive the plan.
#[derive(Default)]
pub(crate) struct Budget {
    rows: Cell<u64>,
    bytes: Cell<u64>,
    /// By the address of a query: its rows, or `None` if they depend on the row around it.
    queries: RefCell<BTreeMap<usize, Option<Rc<Found>>>>,
}

impl Budget {
    /// Counts rows that are made or compared.
    pub(crate) fn rows(&self, count: u64) -> Result<(), Error> {
        used(&self.rows, count, MOST_ROWS, "rows")
    }

    pub(super) fn bytes(&self, count: usize) -> Result<(), Error> {
        used(&self.bytes, count as u64, MOST_BYTES, "bytes")
    }

    /// Counts a row and its bytes, so many times.
    pub(crate) fn copies(&self, row: &Row, count: u64) -> Result<(), Error> {
        self.rows(count)?;
        used(&self.bytes, (row_size(row) as u64).saturating_mul(count), MOST_BYTES, "bytes")
    }

    /// Counts the bytes of a value if it is a text.
    pub(super) fn text(&self, value: Value) -> Result<Value, Error> {
        if let Value::Text(text) = &value {
            self.bytes(text.len())?;
        }
        Ok(value)
    }

    /// The rows of a query, which are evaluated once unless they depend on the row around it.
    pub(super) fn found(&self, plan: &Plan, find: impl Fn() -> Result<Bag, Error>) -> Result<Rc<Found>, Error> {
        let key = std::ptr::from_ref(plan) as usize;
        let known = self.queries.borrow().get(&key).cloned();
        match known {
            Some(Some(found)) => return Ok(found),
            Some(None) => return Ok(Rc::new(Found::new(find()?))),
            None => {}
        }
        let found = Rc::new(Found::new(find()?));
        let kept = (!plan.reads_outer(1)).then(|| Rc::clone(&found));
        self.queries.borrow_mut().insert(key, kept);
        Ok(found)
    }
}

fn used(counter: &Cell<u64>, count: u64, most: u64, what: &str) -> Result<(), Error> {
    counter.set(counter.get().saturating_add(count));
    if counter.get() <= most {
        return Ok(());
    }
    Err(Error::evaluation(format!(
        "the evaluation needs more than {most} {what}, the limit of this simulator; use fewer rows or a narrower query"
    )))
}

pub(super) fn row_size(row: &[Value]) -> usize {
    row.iter().map(value_size).sum::<usize>() + 64
}

fn value_size(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Map(items) => items.iter().map(|(key, value)| value_size(key) + value_size(value)).sum(),
        _ => 0,
    };
    size_of::<Value>() + inner
}

/// Checks how long a text will be.
pub(super) fn check_text(length: usize) -> Result<(), Error> {
    if length <= MOST_TEXT {
        return Ok(());
    }
    Err(Error::evaluation(format!(
        "a text of {length} bytes is longer than {MOST_TEXT} bytes, the limit of this simulator"
    )))
}

//! From statements as they are written to plans: names are resolved, types are checked.

mod calls;
mod grouping;
mod joins;
mod names;
mod operators;
mod queries;
mod scalars;
mod scope;

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Dialect;
use super::ast::{Expression, Name, Query};
use super::error::{Error, Span};
use super::plan::{Plan, Scalar};
use super::types::{Column, Type};

use self::grouping::Grouping;
use self::scope::Scope;

pub(crate) use self::names::item_name;
pub(crate) use self::queries::rename;

/// A relation that a query may name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    Columns(&'a [Column]),
    /// The columns are not known: a test scripts the rows.
    Scripted,
    /// It exists, but cannot be queried, for this reason.
    Hidden(&'a str),
}

/// The relations that queries may name.
pub(crate) trait Catalog {
    fn relation(&self, name: &str) -> Option<Found<'_>>;

    /// The type of what a function returns that has no body here.
    fn function(&self, _name: &str) -> Option<&Type> {
        None
    }
}

/// How many expressions and relations a plan may have.
pub(crate) const MOST_PARTS: usize = 1_000_000;

/// How many levels of plans and expressions a view or a common table expression may have. One statement cannot nest so
/// deep, but a chain of views can: each adds its levels to those of the view that it reads.
const MOST_LEVELS: usize = 500;

/// Rejects a plan that is too deep; `what` is the plural of what it is the plan of.
pub(crate) fn check_depth(plan: &Plan, what: &str, at: Span) -> Result<(), Error> {
    if plan.depth() <= MOST_LEVELS {
        return Ok(());
    }
    Err(Error::unsupported(format!("{what} that build on each other more than {MOST_LEVELS} levels deep"), at))
}

/// A common table expression.
struct With {
    name: String,
    plan: Plan,
    /// How many parts each use of it adds.
    parts: usize,
}

/// See the module.
pub(crate) struct Binder<'a> {
    catalog: &'a dyn Catalog,
    dialect: Dialect,
    /// Common table expressions, the innermost last.
    with: Vec<With>,
    /// How many expressions and relations the plan has so far.
    parts: usize,
}

/// How an expression is read.
#[derive(Clone, Copy)]
struct Context<'a> {
    scope: &'a Scope<'a>,
    /// What the rows are grouped by, if they are.
    grouping: Option<&'a RefCell<Grouping>>,
}

impl<'a> Context<'a> {
    fn new(scope: &'a Scope<'a>) -> Self {
        Self { scope, grouping: None }
    }
}

impl<'a> Binder<'a> {
    pub(crate) fn new(catalog: &'a dyn Catalog, dialect: Dialect) -> Self {
        Self { catalog, dialect, with: Vec::new(), parts: 0 }
    }

    /// Counts parts of the plan, which grows with each use of a common table expression.
    fn count(&mut self, parts: usize, at: Span) -> Result<(), Error> {
        self.parts = self.parts.saturating_add(parts);
        if self.parts > MOST_PARTS {
            return Err(Error::unsupported(format!("queries of more than {MOST_PARTS} expressions and relations"), at));
        }
        Ok(())
    }

    /// The plan of a query.
    pub(crate) fn plan(&mut self, query: &Query) -> Result<Plan, Error> {
        self.query(query, None)
    }

    /// An expression over the rows of a relation.
    pub(crate) fn over(&mut self, name: &Name, columns: &[Column], value: &Expression) -> Result<Scalar, Error> {
        let mut scope = Scope::new(None);
        scope.add(Some(name.text.clone()), columns);
        self.scalar(value, Context::new(&scope))
    }

    /// An expression without columns.
    pub(crate) fn constant(&mut self, value: &Expression) -> Result<Scalar, Error> {
        self.scalar(value, Context::new(&Scope::new(None)))
    }
}

/// The columns of two relations side by side.
fn joined(left: &[Column], right: &[Column]) -> Vec<Column> {
    left.iter().chain(right).cloned().collect()
}

/// Names that occur more than once get a number, as a real compiler does it: `id`, `id0`, `id1`.
fn made_unique(columns: &mut [Column]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let taken: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for column in columns {
        let base = column.name.clone();
        if let Some(next) = seen.get_mut(&base) {
            loop {
                let name = format!("{base}{next}");
                *next += 1;
                if !taken.contains(&name) {
                    column.name = name;
                    break;
                }
            }
        } else {
            seen.insert(base, 0);
        }
    }
}

//! The columns that an expression may name.

use super::super::ast::Name;
use super::super::error::{Error, Span};
use super::super::plan::{Scalar, ScalarNode};
use super::super::types::Column;

/// A relation in a `FROM`.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: Option<String>,
    pub(super) first: usize,
    pub(super) columns: Vec<Column>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) relations: Vec<Relation>,
    /// Columns that `USING` or `NATURAL` has made one: a name, and the value to take.
    pub(super) merged: Vec<(String, Scalar)>,
    /// Indices of the columns that `*` leaves out, because another column is the same.
    pub(super) hidden: Vec<usize>,
    /// What the rows are grouped by: an inner query sees a row of keys.
    pub(super) keys: Option<Vec<Scalar>>,
    pub(super) parent: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(parent: Option<&'a Scope<'a>>) -> Self {
        Self { relations: Vec::new(), merged: Vec::new(), hidden: Vec::new(), keys: None, parent }
    }

    pub(super) fn width(&self) -> usize {
        self.relations.iter().map(|relation| relation.columns.len()).sum()
    }

    pub(super) fn add(&mut self, name: Option<String>, columns: &[Column]) {
        let first = self.width();
        self.relations.push(Relation { name, first, columns: columns.to_vec() });
    }

    /// Adds the relations of another scope behind those of this scope.
    pub(super) fn append(&mut self, other: Scope<'_>) {
        let by = self.width();
        for relation in other.relations {
            self.relations.push(Relation { first: relation.first + by, ..relation });
        }
        self.hidden.extend(other.hidden.into_iter().map(|index| index + by));
        self.merged.extend(other.merged.into_iter().map(|(name, value)| (name, value.moved(by))));
    }

    /// The columns that a name may mean here.
    fn candidates(&self, qualifier: Option<&str>, name: &str) -> Vec<Scalar> {
        if qualifier.is_none()
            && let Some((_, value)) = self.merged.iter().rev().find(|(merged, _)| merged == name)
        {
            return vec![value.clone()];
        }
        let relations = self.relations.iter().filter(|relation| match qualifier {
            Some(qualifier) => relation.name.as_deref() == Some(qualifier),
            None => true,
        });
        let columns = relations.flat_map(|relation| {
            let numbered = relation.columns.iter().enumerate();
            numbered
                .filter(|(_, column)| column.name == name)
                .map(|(at, column)| Scalar::column(relation.first + at, column))
        });
        columns.collect()
    }

    /// The column that `USING` or `NATURAL` makes one with a column of another scope.
    pub(super) fn shared(&self, name: &str, at: Span) -> Result<Scalar, Error> {
        match <[Scalar; 1]>::try_from(self.candidates(None, name)) {
            Ok([column]) => Ok(column),
            Err(found) if found.is_empty() => {
                Err(Error::validation(format!("Column '{name}' not found in any table"), at))
            }
            Err(_) => Err(Error::validation(format!("Column '{name}' is ambiguous"), at)),
        }
    }

    /// The column of a name, here or in a query around this query.
    pub(super) fn resolve(&self, names: &[Name], at: Span) -> Result<Scalar, Error> {
        let (qualifier, name) = match names {
            [name] => (None, name),
            [.., qualifier, name] => (Some(qualifier), name),
            [] => return Err(Error::syntax("a column needs a name", at)),
        };
        let (mut scope, mut up) = (self, 0);
        loop {
            let found = scope.candidates(qualifier.map(|name| name.text.as_str()), &name.text);
            match <[Scalar; 1]>::try_from(found) {
                Ok([column]) if up == 0 => return Ok(column),
                Ok([column]) => return scope.outer(&column, up, name),
                Err(found) if found.len() > 1 => {
                    return Err(Error::validation(format!("Column '{}' is ambiguous", name.text), name.at));
                }
                Err(_) => {}
            }
            match scope.parent {
                Some(parent) => (scope, up) = (parent, up + 1),
                None => return Err(self.missing(qualifier, name)),
            }
        }
    }

    /// A column of this scope, as a query inside it reads it.
    fn outer(&self, column: &Scalar, up: usize, name: &Name) -> Result<Scalar, Error> {
        let Scalar { kind, nullable, node } = column;
        let index = match (&self.keys, node) {
            (Some(keys), _) => keys.iter().position(|key| key == column).ok_or_else(|| {
                Error::validation(format!("Expression '{}' is not being grouped", name.text), name.at)
            })?,
            (None, ScalarNode::Column(index)) => *index,
            // A column that `USING` has made of two.
            (None, _) => return Err(Error::unsupported("merged columns in correlated queries", name.at)),
        };
        Ok(Scalar::new(ScalarNode::Outer { up, index }, kind.clone(), *nullable))
    }

    fn missing(&self, qualifier: Option<&Name>, name: &Name) -> Error {
        let Some(qualifier) = qualifier else {
            return Error::validation(format!("Column '{}' not found in any table", name.text), name.at);
        };
        let mut scope = Some(self);
        while let Some(here) = scope {
            if here.relations.iter().any(|relation| relation.name.as_deref() == Some(&qualifier.text)) {
                let message = format!("Column '{}' not found in table '{}'", name.text, qualifier.text);
                return Error::validation(message, name.at);
            }
            scope = here.parent;
        }
        Error::validation(format!("Table '{}' not found", qualifier.text), qualifier.at)
    }
}

//! A small SQL engine for the simulators: tables, views and queries in memory.
//!
//! It parses, resolves and checks statements, and evaluates them. Types are static, decimals are exact, and a state is
//! a function of the statements and rows alone: a clone of it is a snapshot, as checkpoints need it.
//!
//! No embedded database takes this place. `SQLite` is the quickest to build: `rusqlite` with its bundled library
//! takes 14 CPU seconds in a debug build, and a C compiler. The feature `sql` adds 204 CPU seconds to a build of this
//! package, with the program `pipewright-sim`. Of these, 57 are for the Arrow crates that write query results, which
//! `SQLite` would not replace. The reasons against `SQLite` are dialect and determinism. Its results have no static
//! types, and it has no `DECIMAL`, `DATE` and `BOOLEAN`: the schema of a view and the sum of a column would differ
//! from those of a real server. So would the dialect and the texts of errors. Without `ORDER BY`, the order of its
//! rows depends on the query plan; here it depends on the rows alone. `DataFusion` has the types, and is the engine
//! of Feldera's ad-hoc queries. But it has neither the dialects of Feldera's and Flink's planners nor their errors,
//! and it needs an async runtime.
//!
//! | a user has | it calls |
//! |---|---|
//! | statements to carry out at once | [`Database::execute`], [`Database::describe`] |
//! | a program of tables and views, and changes of tables | [`Parser`], [`Binder`], [`Table::apply`], [`evaluate`] |
//!
//! # Limits
//!
//! An error of the kind [`Unsupported`](ErrorKind::Unsupported) names what a real server has and this engine has not:
//! window functions, table functions such as `TUMBLE`, lateral and `ASOF` joins, recursion, grouping sets, the current
//! time, constructors of rows and maps, user-defined functions, and the less common of the scalar functions.
//!
//! An evaluation that needs more than 5,000,000 rows or 512 MiB fails with an error that names the limit. So does a
//! text of more than 16 MiB. A plan has at most 1,000,000 expressions and relations. Views and common table expressions
//! that build on each other have at most 500 levels of plans and expressions.
//!
//! # Layers
//!
//! Each file imports only files above its own, or of its own line.
//!
//! | layer | files |
//! |---|---|
//! | values | `error`, `types`, `value`, `decimal`, `datetime` |
//! | statements | `lexer`, `ast`, `parser` |
//! | plans | `functions`, `plan`, `extent`, `bind` |
//! | evaluation | `eval`, `json` |
//! | state | `database` |

pub(crate) mod ast;
mod bind;
mod database;
mod datetime;
mod decimal;
mod error;
mod eval;
mod extent;
mod functions;
pub(crate) mod json;
mod lexer;
mod parser;
mod plan;
#[cfg(test)]
mod tests;
pub(crate) mod types;
pub(crate) mod value;

pub(crate) use self::bind::{Binder, Catalog, Found, item_name, rename};
pub(crate) use self::database::{Database, Outcome, ResultSet, Table, inserted, table_columns};
pub(crate) use self::error::{Error, ErrorKind, Position, Span};
pub(crate) use self::eval::{Bag, Budget, Environment, Relations, consolidate, evaluate, over};
pub(crate) use self::parser::Parser;
pub(crate) use self::plan::{Node, Plan, Scalar};
pub(crate) use self::types::{Column, Type};
pub(crate) use self::value::{Row, Value};

/// How names are read, and what types literals and results have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Programs of Feldera: names are folded to lower case.
    Feldera,
    /// Ad-hoc queries of Feldera, which another engine runs: `DataFusion`.
    AdHoc,
    /// Flink: names keep their case, and are quoted with backticks.
    Flink,
}

impl Dialect {
    fn quote(self) -> char {
        if self == Self::Flink { '`' } else { '"' }
    }

    fn fold(self, name: &str) -> String {
        if self == Self::Flink { name.to_owned() } else { name.to_lowercase() }
    }

    fn has_float(self) -> bool {
        self != Self::Feldera
    }

    /// What is said of a relation that does not exist.
    fn missing_relation(self, name: &str) -> String {
        match self {
            Self::AdHoc => format!("table 'datafusion.public.{name}' not found"),
            Self::Feldera | Self::Flink => format!("Object '{name}' not found"),
        }
    }
}

//! Programs: tables and views, and what the compiler says of them.

#[cfg(feature = "sql")]
mod compiler;
#[cfg(not(feature = "sql"))]
mod passthrough;
#[cfg(feature = "sql")]
mod warnings;

use serde_json::{Map, Value, json};

use super::connectors::{Connector, Output, Sink};
#[cfg(feature = "sql")]
use crate::sql::{Plan, Type};

#[cfg(feature = "sql")]
pub(super) use self::compiler::compile;
#[cfg(not(feature = "sql"))]
pub(super) use self::passthrough::compile;

/// A compiled program.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    pub(super) tables: Vec<Table>,
    pub(super) views: Vec<View>,
    /// Messages of the compiler about what it accepted.
    pub(super) warnings: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) quoted: bool,
    pub(super) columns: Vec<Column>,
    /// It can be queried, and snapshots of it can be had.
    pub(super) materialized: bool,
    pub(super) connectors: Vec<Connector>,
    /// As `program_info` has them.
    pub(super) properties: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) quoted: bool,
    /// In upper case.
    pub(super) kind: String,
    pub(super) nullable: bool,
    pub(super) key: bool,
    #[cfg(feature = "sql")]
    pub(super) sql: Type,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) name: String,
    pub(super) quoted: bool,
    /// Only other views see it.
    pub(super) local: bool,
    pub(super) materialized: bool,
    pub(super) source: Source,
    pub(super) columns: Vec<Column>,
    pub(super) sinks: Vec<Sink>,
}

/// Where the rows of a view come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// It has the rows of a table.
    Table(String),
    #[cfg(feature = "sql")]
    Query(Box<Plan>),
    /// A test emits them.
    #[cfg(feature = "sql")]
    Scripted,
}

/// A table or view that clients can read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relation<'a> {
    pub(super) name: &'a str,
    #[cfg(feature = "sql")]
    pub(super) columns: &'a [Column],
    /// Whether it can be queried, and a snapshot of it can be had.
    pub(super) materialized: bool,
}

impl Program {
    /// The table of a name. Without quotes, case does not matter.
    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        let name = folded(name);
        self.tables.iter().find(|table| table.name == name)
    }

    /// The table or view of a name, unless it is local.
    pub(super) fn relation(&self, name: &str) -> Option<Relation<'_>> {
        let folded = folded(name);
        if let Some(view) = self.views.iter().find(|view| view.name == folded && !view.local) {
            return Some(Relation {
                name: &view.name,
                #[cfg(feature = "sql")]
                columns: &view.columns,
                materialized: view.materialized,
            });
        }
        let table = self.table(name)?;
        Some(Relation {
            name: &table.name,
            #[cfg(feature = "sql")]
            columns: &table.columns,
            materialized: table.materialized,
        })
    }

    /// The output connectors of a new process.
    pub(super) fn outputs(&self) -> impl Iterator<Item = Output> {
        self.views.iter().flat_map(|view| {
            view.sinks.iter().map(|sink| Output {
                name: format!("{}.{}", view.name, sink.name),
                view: view.name.clone(),
                paused: sink.paused,
                records: 0,
            })
        })
    }

    /// What another program adds, removes and modifies.
    pub(super) fn diff(&self, other: &Self) -> Value {
        fn parts<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> &str) -> [Vec<String>; 3] {
            let of = |items: &[T], test: &dyn Fn(&T) -> bool| {
                items.iter().filter(|item| test(item)).map(|item| name(item).to_owned()).collect()
            };
            let same =
                |items: &[T], item: &T| items.iter().find(|other| name(other) == name(item)).map(|other| other == item);
            [
                of(new, &|item| same(old, item).is_none()),
                of(old, &|item| same(new, item).is_none()),
                of(new, &|item| same(old, item) == Some(false)),
            ]
        }
        let tables = parts(&self.tables, &other.tables, |table| &table.name);
        let views = parts(&self.views, &other.views, |view| &view.name);
        json!({ "added_tables": tables[0], "removed_tables": tables[1], "modified_tables": tables[2],
            "added_views": views[0], "removed_views": views[1], "modified_views": views[2] })
    }

    pub(super) fn information(&self) -> Value {
        let inputs = self.tables.iter().map(|table| {
            let keys: Vec<&str> =
                table.columns.iter().filter(|column| column.key).map(|column| column.name.as_str()).collect();
            json!({ "name": table.name, "case_sensitive": table.quoted, "fields": fields(&table.columns),
                "primary_key": keys, "materialized": table.materialized, "properties": table.properties,
                "foreign_keys": [] })
        });
        let inputs: Vec<Value> = inputs.collect();
        let outputs = self.views.iter().filter(|view| !view.local).map(|view| {
            json!({ "name": view.name, "case_sensitive": view.quoted, "fields": fields(&view.columns),
                "materialized": view.materialized, "properties": {} })
        });
        let outputs: Vec<Value> = outputs.collect();
        let connectors = self.tables.iter().flat_map(|table| {
            let named = |connector: &Connector| {
                (format!("{}.{}", table.name, connector.name), connector.information(&table.name))
            };
            table.connectors.iter().map(named)
        });
        let connectors = Value::Object(connectors.collect());
        let sinks = self.views.iter().flat_map(|view| {
            view.sinks.iter().map(|sink| (format!("{}.{}", view.name, sink.name), sink.information(&view.name)))
        });
        let sinks = Value::Object(sinks.collect());
        json!({ "schema": { "inputs": inputs, "outputs": outputs }, "udf_stubs": "", "input_connectors": connectors,
            "output_connectors": sinks })
    }
}

fn fields(columns: &[Column]) -> Vec<Value> {
    let field = |column: &Column| {
        json!({ "name": column.name, "case_sensitive": column.quoted, "unused": false,
            "columntype": column.schema() })
    };
    columns.iter().map(field).collect()
}

impl Column {
    #[cfg(not(feature = "sql"))]
    fn schema(&self) -> Value {
        json!({ "type": self.kind, "nullable": self.nullable })
    }
}

/// Why a program does not compile.
#[derive(Debug)]
pub(super) struct Mistake {
    kind: ErrorType,
    message: String,
    /// Line and column of the first character.
    start: (usize, usize),
    /// Line and column of the last character.
    end: (usize, usize),
    snippet: Option<String>,
}

/// What the compiler calls an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorType {
    Statement,
    Connector,
    #[cfg(feature = "sql")]
    Syntax,
}

impl Mistake {
    /// As the compiler puts it.
    pub(super) fn message(&self) -> Value {
        let kind = match self.kind {
            ErrorType::Statement => "Error in SQL statement",
            ErrorType::Connector => "ConnectorGenerationError",
            #[cfg(feature = "sql")]
            ErrorType::Syntax => "Error parsing SQL",
        };
        json!({ "start_line_number": self.start.0, "start_column": self.start.1, "end_line_number": self.end.0,
            "end_column": self.end.1, "warning": false, "error_type": kind, "message": self.message,
            "snippet": self.snippet })
    }

    /// With which code the compiler exits: connectors are looked at after it.
    pub(super) fn exit_code(&self) -> u8 {
        u8::from(self.kind != ErrorType::Connector)
    }
}

/// An identifier as the compiler folds it.
pub(super) fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_lowercase(),
    }
}

//! Tables and views of a catalog, and how they are shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::counted::Counted;
use super::types::Type;

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) origin: Origin,
    pub(super) comment: Option<String>,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    Physical,
    /// The expression.
    Computed(String),
    /// The key, if it has another name, and whether it can only be read.
    Metadata(Option<String>, bool),
}

/// Columns, options, keys and watermarks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// Column and expression.
    pub(super) watermark: Option<(String, String)>,
    /// The name of the constraint, and its columns.
    pub(super) key: Option<(String, Vec<String>)>,
    pub(super) partitions: Vec<String>,
    pub(super) comment: Option<String>,
    pub(super) options: BTreeMap<String, String>,
}

/// A query with a name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) columns: Vec<Column>,
    pub(super) query: String,
    pub(super) comment: Option<String>,
}

/// What a name of a catalog stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Relation {
    Table(Table),
    View(View),
}

impl Column {
    pub(super) fn new(name: impl Into<String>, kind: Type) -> Self {
        Self { name: name.into(), kind, origin: Origin::Physical, comment: None }
    }

    /// As a result describes it.
    pub(super) fn described(&self) -> Value {
        json!({ "name": self.name, "logicalType": self.kind.logical(), "comment": self.comment })
    }

    fn extras(&self) -> Option<String> {
        match &self.origin {
            Origin::Physical => None,
            Origin::Computed(expression) => Some(format!("AS {expression}")),
            Origin::Metadata(key, is_virtual) => {
                let from = key.as_ref().map_or(String::new(), |key| format!(" FROM '{key}'"));
                Some(format!("METADATA{from}{}", if *is_virtual { " VIRTUAL" } else { "" }))
            }
        }
    }

    fn definition(&self) -> String {
        let mut text = match &self.origin {
            Origin::Computed(expression) => format!("`{}` AS {expression}", self.name),
            _ => format!("`{}` {}", self.name, self.kind.sql()),
        };
        if let (Origin::Metadata(..), Some(extras)) = (&self.origin, self.extras()) {
            let _ = write!(text, " {extras}");
        }
        if let Some(comment) = &self.comment {
            let _ = write!(text, " COMMENT '{}'", escaped(comment));
        }
        text
    }
}

impl Relation {
    pub(super) fn columns(&self) -> &[Column] {
        match self {
            Self::Table(table) => &table.columns,
            Self::View(view) => &view.columns,
        }
    }

    /// The rows of `DESCRIBE`, and whether they have a comment behind each column.
    pub(super) fn description(&self) -> (Vec<Vec<Value>>, bool) {
        let (key, watermark) = match self {
            Self::Table(table) => (table.key.as_ref(), table.watermark.as_ref()),
            Self::View(_) => (None, None),
        };
        let has_comments = self.columns().iter().any(|column| column.comment.is_some());
        let row = |column: &Column| {
            let mut kind = column.kind.summary();
            let of_column = watermark.filter(|(name, _)| *name == column.name);
            if of_column.is_some() {
                kind.push_str(" *ROWTIME*");
            }
            if column.origin == Origin::Computed("PROCTIME()".into()) {
                kind.push_str(" *PROCTIME*");
            }
            let primary = key.filter(|(_, columns)| columns.contains(&column.name));
            let primary = primary.map(|(_, columns)| format!("PRI({})", columns.join(", ")));
            let expression = of_column.map(|(_, expression)| expression);
            let mut row = vec![
                json!(column.name),
                json!(kind),
                json!(column.kind.nullable),
                json!(primary),
                json!(column.extras()),
                json!(expression),
            ];
            if has_comments {
                row.push(json!(column.comment));
            }
            row
        };
        (self.columns().iter().map(row).collect(), has_comments)
    }
}

impl Table {
    /// How many rows it makes: `None` if it makes none, and [`u64::MAX`] if it has no end.
    pub(super) fn generated(&self) -> Option<u64> {
        self.options.get("connector").filter(|connector| *connector == "datagen")?;
        // A sequence ends with its last number.
        let sequence = |column: &Column| {
            let [start, end] = ["start", "end"].map(|what| self.number(&format!("fields.{}.{what}", column.name)));
            Some(end?.saturating_sub(start?).saturating_add(1))
        };
        let limits = self.columns.iter().filter_map(sequence).chain(self.number("number-of-rows"));
        Some(limits.min().unwrap_or(u64::MAX))
    }

    /// How the values of one of its columns are counted, which may have another name in a result.
    pub(super) fn counted(&self, column: &Column, name: &str) -> Counted {
        let first = self.number(&format!("fields.{name}.start")).unwrap_or(0);
        Counted { kind: column.kind.clone(), first }
    }

    fn number(&self, option: &str) -> Option<u64> {
        self.options.get(option)?.parse().ok()
    }

    /// `SHOW CREATE TABLE`; `path` is its whole name, in backticks.
    pub(super) fn definition(&self, path: &str, is_temporary: bool) -> String {
        let mut lines: Vec<String> = self.columns.iter().map(Column::definition).collect();
        if let Some((column, expression)) = &self.watermark {
            lines.push(format!("WATERMARK FOR `{column}` AS {expression}"));
        }
        if let Some((name, columns)) = &self.key {
            lines.push(format!("CONSTRAINT `{name}` PRIMARY KEY ({}) NOT ENFORCED", quoted(columns)));
        }
        let temporary = if is_temporary { "TEMPORARY " } else { "" };
        let mut text = format!("CREATE {temporary}TABLE {path} (\n  {}\n)\n", lines.join(",\n  "));
        if let Some(comment) = &self.comment {
            let _ = writeln!(text, "COMMENT '{}'", escaped(comment));
        }
        if !self.partitions.is_empty() {
            let _ = writeln!(text, "PARTITIONED BY ({})", quoted(&self.partitions));
        }
        if !self.options.is_empty() {
            let options = self.options.iter().map(|(key, value)| format!("'{key}' = '{}'", escaped(value)));
            let _ = writeln!(text, "WITH (\n  {}\n)", options.collect::<Vec<_>>().join(",\n  "));
        }
        text
    }
}

impl View {
    /// `SHOW CREATE VIEW`; a real one shows the query with all names written out.
    pub(super) fn definition(&self, path: &str, is_temporary: bool) -> String {
        let temporary = if is_temporary { "TEMPORARY " } else { "" };
        let columns: Vec<String> = self.columns.iter().map(|column| format!("`{}`", column.name)).collect();
        let comment =
            self.comment.as_ref().map_or(String::new(), |comment| format!("COMMENT '{}'\n", escaped(comment)));
        format!("CREATE {temporary}VIEW {path} (\n  {}\n)\n{comment}AS {}\n", columns.join(",\n  "), self.query)
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn escaped(text: &str) -> String {
    text.replace('\'', "''")
}

//! The rows of tables without the feature `sql`: views have those of a table.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::program::{Program, Source, Table};
use super::super::rows::Change;
use super::Record;

/// Rows of a table, by their text, and how often each is there. With a key, the text is that of the key.
type Rows = BTreeMap<String, (Value, u64)>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables(BTreeMap<String, Rows>);

/// What a step has changed in a table and its views.
#[derive(Debug)]
pub(crate) struct Delta<'a> {
    pub(crate) relations: Vec<&'a str>,
    table: &'a Table,
    changes: Vec<Change>,
}

impl Delta<'_> {
    /// The changes of several parts of a step, as one change of each relation.
    pub(crate) fn merged(parts: Vec<Vec<Self>>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for delta in parts.into_iter().flatten() {
            match merged.iter_mut().find(|known| known.relations == delta.relations) {
                Some(known) => known.changes.extend(delta.changes),
                None => merged.push(delta),
            }
        }
        merged
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.changes.iter().map(|change| record(self.table, change)).collect()
    }
}

impl Tables {
    /// Prepares for a program; a process calls it when it starts.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "with the feature `sql`, views are evaluated")]
    pub(crate) fn open(&mut self, _program: &Program) -> Result<(), String> {
        Ok(())
    }

    /// Changes rows of a table; what has really changed, in it and in its views.
    #[allow(clippy::unnecessary_wraps, reason = "with the feature `sql`, the evaluation of a view may fail")]
    pub(crate) fn apply<'a>(
        &mut self,
        program: &'a Program,
        table: &'a Table,
        changes: Vec<Change>,
    ) -> Result<Vec<Delta<'a>>, String> {
        let rows = self.0.entry(table.name.clone()).or_default();
        let changes: Vec<Change> = changes.into_iter().flat_map(|change| apply(table, rows, change)).collect();
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let views = program.views.iter().filter(|view| view.source == Source::Table(table.name.clone()));
        let relations = [table.name.as_str()].into_iter().chain(views.map(|view| view.name.as_str())).collect();
        Ok(vec![Delta { relations, table, changes }])
    }

    /// The rows of all tables that ever held one.
    pub(crate) fn contents(&self, _program: &Program) -> BTreeMap<String, Vec<Value>> {
        self.0.keys().map(|name| (name.clone(), self.rows(name).cloned().collect())).collect()
    }

    /// The rows of a table, each as often as it is there.
    pub(crate) fn rows(&self, table: &str) -> impl Iterator<Item = &Value> {
        let rows = self.0.get(table).into_iter().flat_map(BTreeMap::values);
        rows.flat_map(|(row, count)| std::iter::repeat_n(row, usize::try_from(*count).unwrap_or(usize::MAX)))
    }

    /// The rows of a table or view, for a snapshot.
    pub(crate) fn snapshot(&self, program: &Program, relation: &str) -> Vec<Record> {
        let Some(table) = shown(program, relation) else { return Vec::new() };
        self.rows(&table.name).map(|row| record(table, &Change { delete: false, row: row.clone() })).collect()
    }
}

/// The table whose rows a relation has.
pub(crate) fn shown<'a>(program: &'a Program, relation: &str) -> Option<&'a Table> {
    let view = program.views.iter().find(|view| view.name == relation);
    let name = match view.map(|view| &view.source) {
        Some(Source::Table(table)) => table,
        None => relation,
    };
    program.tables.iter().find(|table| table.name == name)
}

fn record(table: &Table, Change { delete, row }: &Change) -> Record {
    let field = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => super::quoted(text),
        other => other.to_string(),
    };
    let csv = table.columns.iter().map(|column| field(&row[&column.name])).collect::<Vec<_>>().join(",");
    Record { delete: *delete, json: row.to_string(), csv }
}

/// Changes rows; what has really changed.
fn apply(table: &Table, rows: &mut Rows, change: Change) -> Vec<Change> {
    let keyed: Vec<&str> =
        table.columns.iter().filter(|column| column.key).map(|column| column.name.as_str()).collect();
    let Change { delete, row } = change;
    if keyed.is_empty() {
        let text = row.to_string();
        let count = rows.get(&text).map_or(0, |(_, count)| *count);
        match (delete, count) {
            // The circuit would hold a negative weight; here nothing is there to be deleted.
            (true, 0) => return Vec::new(),
            (true, 1) => {
                rows.remove(&text);
            }
            (true, count) => {
                rows.insert(text, (row.clone(), count - 1));
            }
            (false, count) => {
                rows.insert(text, (row.clone(), count + 1));
            }
        }
        return vec![Change { delete, row }];
    }
    let key: Vec<&Value> = keyed.iter().filter_map(|name| row.get(*name)).collect();
    let key = json!(key).to_string();
    let before = rows.remove(&key).map(|(row, _)| Change { delete: true, row });
    if delete {
        return before.into_iter().collect();
    }
    rows.insert(key, (row.clone(), 1));
    before.into_iter().chain([Change { delete: false, row }]).collect()
}

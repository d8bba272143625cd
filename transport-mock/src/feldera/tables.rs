//! The rows that the tables of a process hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::program::Table;
use super::rows::Change;

/// Rows of a table, by their text, and how often each is there. With a key, the text is that of the key.
type Rows = BTreeMap<String, (Value, u64)>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables(BTreeMap<String, Rows>);

impl Tables {
    /// Changes rows of a table; what has really changed.
    pub(super) fn apply(&mut self, table: &Table, changes: Vec<Change>) -> Vec<Change> {
        let rows = self.0.entry(table.name.clone()).or_default();
        changes.into_iter().flat_map(|change| apply(table, rows, change)).collect()
    }

    /// The names of the tables that ever held a row.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The rows of a table, each as often as it is there.
    pub(super) fn rows(&self, table: &str) -> impl Iterator<Item = &Value> {
        let rows = self.0.get(table).into_iter().flat_map(BTreeMap::values);
        rows.flat_map(|(row, count)| std::iter::repeat_n(row, usize::try_from(*count).unwrap_or(usize::MAX)))
    }
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

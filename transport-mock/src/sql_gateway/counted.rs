//! Values that count, as generators make them.

use serde_json::{Value, json};

use super::types::{Kind, Type};

/// A column whose values are counted.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) kind: Type,
    /// The value in the first row.
    pub(super) first: u64,
}

impl Counted {
    pub(super) fn value(&self, row: u64) -> Value {
        let number = self.first.saturating_add(row);
        match &self.kind.kind {
            Kind::Char(_) | Kind::Varchar(_) => json!(number.to_string()),
            Kind::Plain("BOOLEAN", _) => json!(number % 2 == 1),
            Kind::Plain("DATE", _) => Value::Null,
            Kind::Plain(..) | Kind::Decimal(..) => json!(number),
            _ => Value::Null,
        }
    }
}

//! The rows that the tables and views of a process hold.

#[cfg(feature = "sql")]
mod evaluated;
#[cfg(not(feature = "sql"))]
mod passthrough;

#[cfg(feature = "sql")]
pub(super) use self::evaluated::{Delta, Tables};
#[cfg(not(feature = "sql"))]
pub(super) use self::passthrough::{Delta, Tables, shown};

/// A row that a reader of egress gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) delete: bool,
    /// The row as a JSON object.
    pub(super) json: String,
    /// The row as a line of CSV, without its weight and end.
    pub(super) csv: String,
}

/// A field of CSV, in quotes if it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

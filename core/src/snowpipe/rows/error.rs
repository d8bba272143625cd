//! [`RowError`].

use std::error::Error;
use std::fmt;

use crate::json::WriteError;

/// A row that cannot be taken. It was left out, and all that was taken before is as it was.
///
/// Rows are counted from 0; a row that was left out does not count. What rows hold is not shown, but the names of
/// fields are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowError {
    /// A number is `NaN` or infinite, which JSON cannot represent.
    NotFinite {
        /// Which row.
        index: u64,
        /// The field that holds the number. A field within a field has the outer name before its own:
        /// `reading.celsius`. An element of a list has the name of the list's field. `None` if the row is not an
        /// object.
        field: Option<String>,
    },
    /// The row's own `Serialize` failed, or it has something that JSON cannot hold, such as a key that is no text.
    Serialize {
        /// Which row.
        index: u64,
        /// In `serde_json`'s words.
        problem: String,
    },
    /// The row is JSON, but no object.
    NotAnObject {
        /// Which row.
        index: u64,
        /// What it is instead.
        found: &'static str,
    },
    /// A ready-made line is not one line of JSON.
    Line {
        /// Which row.
        index: u64,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The row alone is more than one append may be.
    TooLarge {
        /// Which row.
        index: u64,
        /// Its size in bytes, with the end of the line.
        bytes: u64,
        /// Its size after compression.
        compressed: Option<u64>,
    },
    /// With [`Cut::BehindTokens`](super::Cut::BehindTokens): the rows since the last offset token are more than one
    /// append may be, before compression.
    TooLargeTogether {
        /// Which row is the last of them.
        index: u64,
        /// How many they are.
        rows: u64,
        /// Their size in bytes.
        bytes: u64,
    },
}

impl RowError {
    /// Which row, counted from 0 over all that was taken.
    pub fn index(&self) -> u64 {
        match self {
            Self::NotFinite { index, .. }
            | Self::Serialize { index, .. }
            | Self::NotAnObject { index, .. }
            | Self::Line { index, .. }
            | Self::TooLarge { index, .. }
            | Self::TooLargeTogether { index, .. } => *index,
        }
    }

    /// Returns what is wrong with the row, without its number. For callers that count rows in another way, such as by
    /// the lines of a file.
    ///
    /// ```
    /// use pipewright::snowpipe::rows::{BatchBuilder, BatchOptions};
    /// let error = BatchBuilder::new(BatchOptions::new()).push_line(b"[1]", None).expect_err("a list");
    /// assert!(error.to_string().starts_with("row 0: it is a list"));
    /// assert!(error.problem().starts_with("it is a list"));
    /// ```
    pub fn problem(&self) -> String {
        match self {
            Self::NotFinite { field, .. } => {
                let error = WriteError::NotFinite { field: field.clone() };
                format!("{error}; send null or text, or set NonFinite::Null")
            }
            Self::Serialize { problem, .. } => format!("it cannot be written as JSON: {problem}"),
            Self::NotAnObject { found, .. } => {
                format!("it is {found}, and a row is a JSON object, with a key for each column")
            }
            Self::Line { problem, .. } => problem.clone(),
            Self::TooLarge { bytes, compressed: None, .. } => {
                format!("it has {bytes} bytes, and an append may have 4194304: compress batches, or split the row")
            }
            Self::TooLarge { bytes, compressed: Some(compressed), .. } => format!(
                "it has {bytes} bytes, {compressed} after compression, and an append may have 4194304: split the row, or stage \
                 its large values as files"
            ),
            Self::TooLargeTogether { rows, bytes, .. } => format!(
                "{rows} rows since the last offset token have {bytes} bytes, and what belongs together may have 4194304: give an \
                 offset token earlier"
            ),
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.index(), self.problem())
    }
}

impl Error for RowError {}

//! [`RowError`].

use std::error::Error;
use std::fmt;

use crate::json::WriteError;

/// The reason why a row was not accepted. Earlier rows are not affected.
///
/// `index` is the number of the row, counted from 0 over the accepted rows. The error shows names of fields, but no
/// values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowError {
    /// A number is `NaN` or infinite, which JSON cannot represent.
    NotFinite {
        /// The number of the row.
        index: u64,
        /// The path of the field with the number. Nested fields are joined with dots, as in `reading.celsius`. An
        /// element of a list has the path of the list. `None` if the row is not an object.
        field: Option<String>,
    },
    /// The row's `Serialize` failed, or the row has a value that JSON cannot represent, such as a key that is not text.
    Serialize {
        /// The number of the row.
        index: u64,
        /// The message of `serde_json`.
        problem: String,
    },
    /// The row is JSON, but not an object.
    NotAnObject {
        /// The number of the row.
        index: u64,
        /// The kind of value, such as `a list`.
        found: &'static str,
    },
    /// A row that was given as text is not one line of JSON.
    Line {
        /// The number of the row.
        index: u64,
        /// The problem, and what to do.
        problem: String,
    },
    /// The row alone is larger than an append may be.
    TooLarge {
        /// The number of the row.
        index: u64,
        /// Its size in bytes, including the end of the line.
        bytes: u64,
        /// Its size in bytes after compression; `None` without compression.
        compressed: Option<u64>,
    },
    /// The rows since the last offset token are together larger than an append may be, before compression. Only with
    /// [`Cut::BehindTokens`](super::Cut::BehindTokens).
    TooLargeTogether {
        /// The number of the last of these rows.
        index: u64,
        /// How many rows they are.
        rows: u64,
        /// Their size in bytes.
        bytes: u64,
    },
}

impl RowError {
    /// Returns the number of the row, counted from 0 over the accepted rows.
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

    /// Returns the problem without the number of the row. Use it if you count rows in another way, such as by the lines
    /// of a file.
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
                format!(
                    "it has {bytes} bytes, and an append may have at most 4194304: compress batches, or split the row"
                )
            }
            Self::TooLarge { bytes, compressed: Some(compressed), .. } => format!(
                "it has {bytes} bytes, {compressed} after compression, and an append may have at most 4194304: split the row, or stage \
                 its large values as files"
            ),
            Self::TooLargeTogether { rows, bytes, .. } => format!(
                "the {rows} rows since the last offset token have {bytes} bytes, and rows that belong together may have at most \
                 4194304: set an offset token earlier"
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

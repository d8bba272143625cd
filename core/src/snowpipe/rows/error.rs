//! [`RowError`].

use std::error::Error;
use std::fmt;

/// A row that cannot be taken. It was left out, and all that was taken before is as it was.
///
/// Rows are counted from 0; a row that was left out does not count. What rows hold is not shown, but the names of fields are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowError {
    /// A field is `NaN` or infinite, which JSON has no number for.
    NotFinite {
        /// Which row.
        index: u64,
        /// The field; `None` for an element of a list.
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
    /// With [`Cut::BehindTokens`](super::Cut::BehindTokens): the rows since the last offset token are more than one append
    /// may be, before compression.
    TooLargeTogether {
        /// Which row is the last of them.
        index: u64,
        /// How many they are.
        rows: u64,
        /// Their size in bytes.
        bytes: u64,
    },
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { index, field } => {
                write!(f, "row {index}: ")?;
                match field {
                    Some(field) => write!(f, "the field \"{field}\"")?,
                    None => f.write_str("an element of a list")?,
                }
                f.write_str(
                    " is NaN or infinite, which JSON does not have: send null or text, or allow NonFinite::Null",
                )
            }
            Self::Serialize { index, problem } => write!(f, "row {index} cannot be written as JSON: {problem}"),
            Self::NotAnObject { index, found } => {
                write!(f, "row {index} is {found}: a row is a JSON object, with a key for each column")
            }
            Self::Line { index, problem } => write!(f, "row {index}: {problem}"),
            Self::TooLarge { index, bytes, compressed } => {
                write!(f, "row {index} has {bytes} bytes, ")?;
                if let Some(compressed) = compressed {
                    write!(f, "{compressed} after compression, ")?;
                }
                f.write_str("and an append may have 4194304: ")?;
                f.write_str(match compressed {
                    Some(_) => "split the row, or stage its large values as files",
                    None => "compress batches, or split the row",
                })
            }
            Self::TooLargeTogether { index, rows, bytes } => write!(
                f,
                "row {index}: {rows} rows since the last offset token have {bytes} bytes, and what belongs together may have \
                 4194304: give an offset token earlier"
            ),
        }
    }
}

impl Error for RowError {}

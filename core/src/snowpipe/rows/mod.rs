//! Collects rows into batches. A batch is the body of one append: newline-delimited JSON.
//!
//! ```
//! use pipewright::Timestamp;
//! use pipewright::snowpipe::rows::{BatchBuilder, BatchOptions};
//! use serde_json::json;
//!
//! let now = Timestamp::from_millis(1_700_000_000_000);
//! let mut builder = BatchBuilder::new(BatchOptions::new().rows(2));
//! builder.push(&json!({ "ID": 1, "NAME": "one" }), Some("1"))?;
//! builder.push_line(br#"{"ID":2,"NAME":"two"}"#, Some("2"))?;
//! builder.push(&json!({ "ID": 3 }), Some("3"))?;
//!
//! let batch = builder.next_batch(now).expect("two rows are a batch");
//! assert_eq!(batch.body.read()?, "{\"ID\":1,\"NAME\":\"one\"}\n{\"ID\":2,\"NAME\":\"two\"}\n");
//! assert_eq!(batch.start_offset_token.as_deref(), Some("1"));
//! assert_eq!(batch.end_offset_token.as_deref(), Some("2"));
//!
//! // The third row becomes a batch after one second.
//! assert!(builder.next_batch(now).is_none());
//! let due = builder.due().expect("a row waits");
//! assert_eq!(builder.next_batch(due).expect("it is time").rows, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * Rows stay in order. No row is split, and each row is in one batch.
//! * A batch has at most [`MAX_BYTES`] after compression. A larger batch is split into several batches.
//! * Rows are written as `serde_json` writes them, with two exceptions. `NaN` and the infinities are an error, or
//!   `null` with [`NonFinite::Null`]. A [`RawValue`](serde_json::value::RawValue) loses its line ends.
//! * Whole numbers keep all their digits, also those of 128 bits. Keys that are numbers, booleans or characters become
//!   strings; any other key that is not a string is an error. A key that occurs twice is written twice.
//! * A line or a `RawValue` is checked: its numbers must be finite as `f64`, and escapes of surrogates must be in
//!   pairs. No row may nest more than 120 levels deep.
//! * After the first batch, the builder allocates no memory for a row. A batch that is not compressed keeps its memory:
//!   to reuse it, [return the batch](BatchBuilder::reuse). A builder that was flushed, or that closed its last rows
//!   because of their age, has no buffer.

mod builder;
mod compression;
mod error;
mod keys;
mod options;

pub use builder::BatchBuilder;
pub use compression::Compression;
pub use error::RowError;
pub use options::{BatchOptions, Cut};

use super::append::Encoding;
#[cfg(doc)]
use super::append::MAX_BYTES;
#[doc(no_inline)]
pub use crate::NonFinite;
use crate::body::Body;

/// Rows that are sent in one append. A clone shares the body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// The rows, one in each line.
    pub body: Body,
    /// How the body is compressed; `None` if it is not.
    pub encoding: Option<Encoding>,
    /// The number of rows; at least one.
    pub rows: u64,
    /// The index of the first row, counted from 0 over all rows that the builder has accepted.
    pub first_row: u64,
    /// The length in bytes before compression.
    pub uncompressed: u64,
    /// The offset token of the first row that has a token; `None` if no row has a token.
    pub start_offset_token: Option<String>,
    /// The offset token of the last row that has a token; `None` if no row has a token.
    pub end_offset_token: Option<String>,
}

impl Batch {
    /// Creates a batch from lines, their number, and the offset tokens of the first and the last line. An empty token
    /// counts as no token.
    pub fn new(lines: impl Into<Body>, rows: u64, start: impl Into<String>, end: impl Into<String>) -> Self {
        let body = lines.into();
        let token = |token: String| Some(token).filter(|token| !token.is_empty());
        Self {
            uncompressed: body.len(),
            body,
            encoding: None,
            rows,
            first_row: 0,
            start_offset_token: token(start.into()),
            end_offset_token: token(end.into()),
        }
    }
}

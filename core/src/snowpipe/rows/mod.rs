//! Rows into batches: each an append's body, as newline-delimited JSON.
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
//! // The third is not a batch before it is a second old.
//! assert!(builder.next_batch(now).is_none());
//! let due = builder.due().expect("a row waits");
//! assert_eq!(builder.next_batch(due).expect("it is time").rows, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * Rows stay in order, no row is split, and each is in one batch.
//! * No batch is more than [`MAX_BYTES`] as it is sent. What is more after compression becomes several batches.
//! * Rows are written as `serde_json` writes them, with two exceptions. `NaN` and the infinities are an error, or
//!   `null` with [`NonFinite::Null`]. A [`RawValue`](serde_json::value::RawValue) loses its line ends.
//! * Whole numbers keep all their digits, also those of 128 bits. Keys that are numbers, booleans or characters become
//!   strings; any other key that is not a string is an error. A key that occurs twice is written twice.
//! * A line or a `RawValue` is checked before it is taken: numbers have a finite `f64`, and escapes of surrogates come
//!   in pairs. No row nests more than 120 levels deep.
//! * Of batches that are filled up to the same limit nothing is allocated for a row, once a first batch has shown how
//!   much room they take. What is not compressed takes its memory along, unless it is [given
//!   back](BatchBuilder::reuse). A builder that was flushed, or that closed its last rows because of their age, holds
//!   no buffer.

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

/// Rows that are sent together. A clone shares the body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// The rows, a line each.
    pub body: Body,
    /// How the body is compressed; `None` when it is not.
    pub encoding: Option<Encoding>,
    /// How many rows they are; at least one.
    pub rows: u64,
    /// The index of the first, counted from 0 over all rows that the builder has taken.
    pub first_row: u64,
    /// The length in bytes before compression.
    pub uncompressed: u64,
    /// The offset token of the first row that has a token.
    pub start_offset_token: Option<String>,
    /// The offset token of the last row that has a token.
    pub end_offset_token: Option<String>,
}

impl Batch {
    /// Rows that are lines already, as many as they are, with the offset tokens of the first and the last line; an
    /// empty token counts as no token.
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

//! Decoders: they split a streaming body, received in pieces of any size, into items, in bounded memory.
//!
//! ```
//! use pipewright::decode::{Decoder, End, LineLimit, Lines};
//!
//! let mut lines = Lines::new(LineLimit::default());
//! let mut seen = Vec::new();
//! for piece in ["fir", "st\nsec", "ond\nunfinished"] {
//!     lines.feed(piece.as_bytes());
//!     while lines.advance()? {
//!         seen.push(String::from_utf8_lossy(lines.item()).into_owned());
//!     }
//! }
//! assert_eq!(seen, ["first", "second"]);
//! lines.finish(End::Complete)?;
//! assert!(lines.advance()?);
//! assert_eq!(lines.item(), b"unfinished");
//! # Ok::<(), pipewright::decode::DecodeError>(())
//! ```

mod lines;
mod ndjson;
mod newlines;

use std::error::Error;
use std::fmt;

pub use lines::{LineLimit, Lines};
pub use ndjson::NdJson;

/// The byte order mark that some programs write before a text in UTF-8. JSON does not allow it.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns a text without the byte order mark before it.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// A decoder that splits bytes, received in pieces of any size, into items.
///
/// Call [`feed`](Self::feed) with a piece. Then call [`advance`](Self::advance) until it returns `false`, and read
/// [`item`](Self::item) each time it returns `true`. At the end of the body, call [`finish`](Self::finish), and advance
/// again.
pub trait Decoder {
    /// The type of an item, borrowed from the buffer.
    type Item<'a>
    where
        Self: 'a;

    /// Takes the next bytes. Ignores them after an error or the end.
    fn feed(&mut self, bytes: &[u8]);

    /// Goes to the next item. Returns `false` if more bytes are needed or the end is reached.
    ///
    /// # Errors
    /// A [`DecodeError`] if the bytes have another format, or if an item exceeds the limit. Every later call returns
    /// the same error.
    fn advance(&mut self) -> Result<bool, DecodeError>;

    /// Returns the item that [`advance`](Self::advance) went to. It is empty before the first call, and after a call
    /// that returned `false`.
    fn item(&self) -> Self::Item<'_>;

    /// Records the end of the bytes. Items may still be in the buffer: advance until it returns `false`.
    ///
    /// # Errors
    /// A [`DecodeError`] if an error occurred before, or if the body ends too early for its format.
    fn finish(&mut self, end: End) -> Result<(), DecodeError>;
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The body is complete by HTTP: its length was reached, or its last chunk arrived.
    Complete,
    /// The connection was closed before the end.
    Truncated,
}

/// The error of a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An item is longer than the limit. The decoder drops it.
    TooLong {
        /// Its number, counted from 1.
        item: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// An item cannot be read.
    Malformed {
        /// Its number, counted from 1.
        item: u64,
        /// What is wrong.
        problem: String,
        /// What it begins with.
        excerpt: String,
    },
    /// The bytes ended inside an item.
    Truncated {
        /// Its number, counted from 1.
        item: u64,
    },
    /// The service ended the stream with an error of its own.
    Failed {
        /// The service's message.
        message: String,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { item, limit } => {
                write!(
                    f,
                    "item {item} is longer than the limit of {limit} bytes; raise the limit if such items are expected"
                )
            }
            Self::Malformed { item, problem, excerpt } => write!(f, "item {item} cannot be read: {problem}: {excerpt}"),
            Self::Truncated { item } => write!(f, "the stream ended inside item {item}"),
            Self::Failed { message } => write!(f, "the service ended the stream with an error: {message}"),
        }
    }
}

impl Error for DecodeError {}

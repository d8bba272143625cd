//! Decoders: bytes in, in any pieces; items out; bounded memory.
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

/// What some programs write before a text in UTF-8. It is no part of the text, and JSON does not allow it.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A text without the byte order mark before it.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Bytes in, in any pieces; items out.
///
/// Feed, then advance until it says no, reading the item each time it says yes. Two methods, because one that
/// lends the item cannot be used in a loop that also reads.
pub trait Decoder {
    /// What comes out, borrowed from the buffer.
    type Item<'a>
    where
        Self: 'a;

    /// Takes the next bytes. After an error or the end they are ignored.
    fn feed(&mut self, bytes: &[u8]);

    /// Goes to the next item: `true` if there is one, `false` if more bytes are needed or the end is reached.
    ///
    /// # Errors
    /// When the bytes are not what they should be, or an item passes the limit. The same error from then on.
    fn advance(&mut self) -> Result<bool, DecodeError>;

    /// The item that [`advance`](Self::advance) went to. An empty item before the first call, and after a call that
    /// returned no.
    fn item(&self) -> Self::Item<'_>;

    /// Says that no more bytes come. Items may still be in the buffer: advance until it says no.
    ///
    /// # Errors
    /// When the end cannot come here: an error that came before, or a format that knows its own end and has not
    /// reached it.
    fn finish(&mut self, end: End) -> Result<(), DecodeError>;
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// As HTTP says it should: the length was reached, or the last chunk came.
    Complete,
    /// The connection broke off.
    Truncated,
}

/// Bytes that no item can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An item is longer than the limit. Nothing of it is kept.
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
        /// In the service's words.
        message: String,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { item, limit } => {
                write!(f, "item {item} is longer than the limit of {limit} bytes: raise it if such items are expected")
            }
            Self::Malformed { item, problem, excerpt } => write!(f, "item {item} cannot be read: {problem}: {excerpt}"),
            Self::Truncated { item } => write!(f, "the stream ended inside item {item}"),
            Self::Failed { message } => write!(f, "the service ended the stream with an error: {message}"),
        }
    }
}

impl Error for DecodeError {}

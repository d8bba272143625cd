//! Reading JSON: one check of UTF-8, then `from_str`; deep documents allowed, bottomless ones not. Writing it:
//! [`write()`].

mod check;
mod fields;
mod serializer;
mod text;
mod write;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

pub(crate) use self::check::{MAX_SENT_DEPTH, check};
pub use self::write::NonFinite;
pub(crate) use self::write::{NOT_FINITE, WriteError, write};
use crate::decode::without_mark;

/// The deepest nesting that is read. Real flame graphs pass 63 levels; and records of that depth must fit on the 2 MiB
/// stack of a thread in an unoptimised build, where a level of theirs takes up to 5 kB.
pub(crate) const MAX_DEPTH: usize = 320;
/// Where `serde_json` stops on its own.
const PLAIN_DEPTH: usize = 127;

/// Why a text could not be read.
#[derive(Debug)]
pub(crate) enum JsonError {
    NotUtf8 {
        at: usize,
    },
    TooDeep {
        depth: usize,
    },
    /// Cut off or not JSON at all.
    Malformed(serde_json::Error),
    /// JSON, but not of the shape.
    Shape(serde_json::Error),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { at } => write!(f, "not UTF-8 at byte {at}"),
            Self::TooDeep { depth } => write!(f, "JSON nested {depth} levels deep, and {MAX_DEPTH} are read"),
            Self::Malformed(error) => write!(f, "malformed JSON: {error}"),
            Self::Shape(error) => write!(f, "unexpected JSON: {error}"),
        }
    }
}

/// Reads a document. A byte order mark before it is skipped, as proxies and older frameworks write one.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let text =
        std::str::from_utf8(without_mark(bytes)).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })?;
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // Only a failed document is measured, so that ordinary ones are scanned once.
    match depth(text) {
        0..=PLAIN_DEPTH => Err(sort(error)),
        depth if depth > MAX_DEPTH => Err(JsonError::TooDeep { depth }),
        _ => {
            let mut reader = serde_json::Deserializer::from_str(text);
            reader.disable_recursion_limit();
            let value = T::deserialize(&mut reader).map_err(sort)?;
            reader.end().map_err(sort)?;
            Ok(value)
        }
    }
}

fn sort(error: serde_json::Error) -> JsonError {
    match error.classify() {
        Category::Data => JsonError::Shape(error),
        Category::Io | Category::Syntax | Category::Eof => JsonError::Malformed(error),
    }
}

/// How deep arrays and objects nest, whether or not the text is valid.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn deep_documents_are_read_and_bottomless_ones_rejected() {
        for good in [1, 127, 128, 256, MAX_DEPTH] {
            assert!(read::<Value>(nested(good).as_bytes()).is_ok(), "{good} levels");
        }
        for bad in [MAX_DEPTH + 1, 601, 100_000] {
            assert!(matches!(read::<Value>(nested(bad).as_bytes()), Err(JsonError::TooDeep { depth }) if depth == bad));
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(r#"{"a":"[[[\"[[\\"}"#), 1);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert!(matches!(read::<Value>(b"\"\xff\""), Err(JsonError::NotUtf8 { at: 1 })));
        assert!(matches!(read::<Value>(b"{\"a\":"), Err(JsonError::Malformed(_))));
        assert!(matches!(read::<u32>(b"\"text\""), Err(JsonError::Shape(_))));
        let deep_and_cut = "[".repeat(200);
        assert!(matches!(read::<Value>(deep_and_cut.as_bytes()), Err(JsonError::Malformed(_))));
    }
}

//! Reading JSON: one check of UTF-8, then `from_str`; deep documents allowed, bottomless documents not. Writing it:
//! [`write()`].

mod check;
mod fields;
mod repair;
mod serializer;
mod text;
mod write;

use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

pub(crate) use self::check::{MAX_SENT_DEPTH, check};
pub(crate) use self::repair::decisive;
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
    let text = text(bytes)?;
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) => read_deep(text, error).map_err(|failure| sort(text, failure)),
    }
}

/// Reads the answer of a service. What does not fit in it is left out, if it can be: see [`repair`].
pub(crate) fn read_answer<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let text = text(bytes)?;
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) => read_deep(text, error).or_else(|failure| match sort(text, failure) {
            // Not deeper than `MAX_DEPTH`, as was seen.
            JsonError::Shape(error) => repair::read(text, &error, read_any_depth).ok_or(JsonError::Shape(error)),
            failure => Err(failure),
        }),
    }
}

fn text(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(without_mark(bytes)).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })
}

/// Why a text was not read.
enum Failure {
    Depth(usize),
    Error(serde_json::Error),
}

/// Reads a text that was not read, because of this error, if it only nests too deep for the usual reader. Only such a
/// document is measured, so that ordinary documents are scanned once.
#[cold]
fn read_deep<T: DeserializeOwned>(text: &str, error: serde_json::Error) -> Result<T, Failure> {
    match depth(text) {
        0..=PLAIN_DEPTH => Err(Failure::Error(error)),
        depth if depth > MAX_DEPTH => Err(Failure::Depth(depth)),
        _ => read_any_depth(text).map_err(Failure::Error),
    }
}

fn read_any_depth<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Tells a text of another shape from one that is cut off or no JSON, which may also have another shape.
fn sort(text: &str, failure: Failure) -> JsonError {
    let error = match failure {
        Failure::Depth(depth) => return JsonError::TooDeep { depth },
        Failure::Error(error) => error,
    };
    match error.classify() {
        Category::Data => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(IgnoredAny) => JsonError::Shape(error),
            Err(malformed) => JsonError::Malformed(malformed),
        },
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

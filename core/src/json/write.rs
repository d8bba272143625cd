//! [`write()`]: a value of the caller as JSON, with an error for the numbers that JSON cannot represent.

use std::fmt;

use serde::Serialize;
use serde_json::Error;

use super::fields;
use super::serializer::JsonSerializer;

/// What to do with `NaN` and the infinities, which JSON cannot represent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NonFinite {
    /// Reject the value, with an error that names the field.
    #[default]
    Reject,
    /// Write `null`.
    Null,
}

/// A newtype struct of this name holds the text of a number that is not finite. `serde_json` writes the text, so that
/// an answer can be written and read back; [`write()`] treats it as the number.
pub(crate) const NOT_FINITE: &str = "$pipewright::NotFinite";

/// Why a value cannot be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// A number is `NaN` or infinite.
    NotFinite {
        /// The field that holds the number, behind the fields that hold it, as in `reading.celsius`. `None` if no field
        /// holds it.
        field: Option<String>,
    },
    /// The value's own `Serialize` failed, or it has a key that cannot be a string.
    Serialize(Error),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { field: Some(field) } => write!(f, "the field \"{field}\" is {}", Self::NUMBER),
            Self::NotFinite { field: None } => write!(f, "a value is {}", Self::NUMBER),
            Self::Serialize(error) => error.fmt(f),
        }
    }
}

impl WriteError {
    /// What is wrong with the number.
    const NUMBER: &'static str = "NaN or infinite, which JSON cannot represent";
}

/// Appends a value to a buffer. After an error, a part of the value is left in the buffer.
///
/// Whole numbers are written with all their digits, also those of 128 bits. Keys that are numbers, booleans or
/// characters become strings; other keys that are not strings are an error. A key that occurs twice in a map is written
/// twice.
#[inline]
pub(crate) fn write<T: Serialize + ?Sized>(
    buffer: &mut Vec<u8>,
    value: &T,
    non_finite: NonFinite,
) -> Result<(), WriteError> {
    let start = buffer.len();
    let mut serializer = JsonSerializer::new(buffer, non_finite);
    let Err(error) = value.serialize(&mut serializer) else { return Ok(()) };
    let rejected = serializer.saw_not_finite();
    Err(failed(buffer.get(start..).unwrap_or_default(), error, rejected))
}

#[cold]
fn failed(written: &[u8], error: Error, is_not_finite: bool) -> WriteError {
    if is_not_finite { WriteError::NotFinite { field: fields::open(written) } } else { WriteError::Serialize(error) }
}

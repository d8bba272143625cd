//! Sizes and durations of configurations: texts with a unit.

mod duration;
mod number;
mod size;

use std::fmt;

pub use self::duration::ConfigDuration;
pub(super) use self::duration::from_nanos;
pub use self::size::ByteSize;

/// The error of a text that is not a size or a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUnit {
    /// `size` or `duration`.
    what: &'static str,
    text: String,
    problem: Problem,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Empty,
    Negative,
    NoNumber,
    /// The text in place of a unit; empty if the unit is missing.
    UnknownUnit(String),
    TooLarge,
}

impl InvalidUnit {
    fn new(what: &'static str, text: &str, problem: Problem) -> Self {
        Self { what, text: crate::error::excerpt(text.as_bytes(), 80), problem }
    }

    fn units(&self) -> &'static str {
        if self.what == size::WHAT { size::UNITS_TEXT } else { duration::UNITS_TEXT }
    }
}

impl fmt::Display for InvalidUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, units) = (self.what, self.units());
        write!(f, "cannot read the {what} {:?}: ", self.text)?;
        match &self.problem {
            Problem::Empty => write!(f, "it is empty; write a number and a unit, {units}"),
            Problem::Negative => write!(f, "it is negative; write a {what} of zero or more"),
            Problem::NoNumber => write!(f, "a unit has no number before it; write a number before each unit"),
            Problem::UnknownUnit(unit) if unit.is_empty() => {
                write!(f, "a number has no unit after it; add a unit, {units}")
            }
            Problem::UnknownUnit(unit) => write!(f, "{unit:?} is not a unit; use {units}"),
            Problem::TooLarge => write!(f, "it is too large; write at most {}", {
                if what == size::WHAT { size::LARGEST_TEXT } else { duration::LARGEST_TEXT }
            }),
        }
    }
}

impl std::error::Error for InvalidUnit {}

/// Implements reading and writing as text, and as a field of a record.
macro_rules! text_values {
    ($($name:ident $expected:literal),*) => {$(
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                struct Text;

                impl ::serde::de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> ::std::result::Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    )*};
}

text_values!(ByteSize "a size such as \"16Gi\"", ConfigDuration "a duration such as \"1m30s\"");
crate::schema::plain_fields!(ByteSize, ConfigDuration);

//! Ids: newtypes, so that they cannot be confused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::BuildError;
use crate::table::Field;
use crate::url::Parameter;

/// Ids of 128 bits, which the gateway writes as UUIDs.
macro_rules! uuids {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// From its bits.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// Its bits.
            pub const fn bits(self) -> u128 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = BuildError;

            fn from_str(text: &str) -> Result<Self, BuildError> {
                let wrong = || BuildError::value(stringify!($name), "handle", text, "it must be a UUID, as the gateway prints it");
                uuid(text).map(Self).ok_or_else(wrong)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let part = |shift: u32, bits: u32| (self.0 >> shift) & ((1 << bits) - 1);
                write!(f, "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48))
            }
        }

        impl Parameter for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Digits;

                impl serde::de::Visitor<'_> for Digits {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a UUID")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Digits)
            }
        }

        impl Field for $name {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize(serializer)
            }
        }
    )*};
}

/// Five groups of hexadecimal digits, of either case.
fn uuid(text: &str) -> Option<u128> {
    let mut bits = 0_u128;
    let mut groups = text.split('-');
    for length in [8, 4, 4, 4, 12] {
        let group = groups.next().filter(|group| group.len() == length)?;
        for digit in group.chars() {
            bits = bits << 4 | u128::from(digit.to_digit(16)?);
        }
    }
    groups.next().is_none().then_some(bits)
}

uuids! {
    /// A session of the gateway.
    SessionHandle;
    /// A statement that was submitted to a session.
    OperationHandle;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_in_either_case_and_written_in_lower() {
        let text = "8eedbabe-e89b-48d3-a631-479f4c7d928e";
        for given in [text, &text.to_uppercase()] {
            assert_eq!(given.parse::<SessionHandle>().map(|handle| handle.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            "xyz",
            "8eedbabee89b48d3a631479f4c7d928e",
            "8eedbabe-e89b-48d3-a631-479f4c7d928e-",
            "+eedbabe-e89b-48d3-a631-479f4c7d928e",
        ] {
            let error = bad.parse::<OperationHandle>().expect_err(bad).to_string();
            assert!(error.contains("must be a UUID"), "{error}");
        }
    }
}

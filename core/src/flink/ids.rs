//! Ids as newtypes, so that the compiler tells them apart.

use std::fmt::{self, Write as _};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::schema::plain_fields;
use crate::url::{Encoder, Parameter};

/// Ids of 128 bits: what their text is, how it is read, and how it is written.
macro_rules! ids {
    ($form:literal, $read:path, $write:path; $($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// Creates an id from 128 bits, such as the caller's random bits.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// Returns the bits of the id.
            pub const fn bits(self) -> u128 {
                self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::error::BuildError;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                let problem = concat!("it must be ", $form, ", as Flink prints it");
                let wrong = || $crate::error::BuildError::value(stringify!($name), "id", text, problem);
                $read(text).map(Self).ok_or_else(wrong)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $write(self.0, f)
            }
        }

        impl $crate::url::Parameter for $name {
            fn encode(&self, out: &mut $crate::url::Encoder<'_>) -> ::std::fmt::Result {
                $write(self.0, out)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                struct Digits;

                impl ::serde::de::Visitor<'_> for Digits {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str($form)
                    }

                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> ::std::result::Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Digits)
            }
        }

        $crate::schema::plain_fields!($name);
    )*};
}

pub(super) use ids;

/// Just 32 hexadecimal digits, of either case.
fn hex(text: &str) -> Option<u128> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let (mut bits, mut all) = (0_u128, 0);
    for pair in digits.as_chunks::<2>().0 {
        let [high, low] = pair.map(value);
        all |= high | low;
        bits = bits << 8 | u128::from(high << 4 | low);
    }
    // A digit has four bits.
    (all < 16).then_some(bits)
}

/// 32 hexadecimal digits, in lower case.
fn write_hex(bits: u128, to: &mut dyn fmt::Write) -> fmt::Result {
    let mut digits = [0; 32];
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bits.to_be_bytes()) {
        *pair = [byte >> 4, byte & 0xf].map(|value| if value < 10 { b'0' + value } else { b'a' - 10 + value });
    }
    to.write_str(std::str::from_utf8(&digits).unwrap_or_default())
}

/// What a hexadecimal digit stands for; 255 for any other byte.
#[allow(clippy::indexing_slicing, reason = "there is an entry for each byte")]
fn value(digit: u8) -> u8 {
    static VALUES: [u8; 256] = {
        let mut values = [255; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789abcdef"[value as usize] as usize] = value;
            values[b"0123456789ABCDEF"[value as usize] as usize] = value;
            value += 1;
        }
        values
    };
    VALUES[usize::from(digit)]
}

ids! {
    "32 hexadecimal digits", hex, write_hex;
    /// The id of a job. The client that submits the job may choose it. No job may have had it since the JobManager
    /// started.
    JobId;
    /// The id of an asynchronous operation. If the client chooses it, the trigger is idempotent.
    TriggerId;
    /// The id of a vertex of a job's graph, which is a chain of operators.
    VertexId;
    /// The id of an application: the jobs that a main method submits when it is run. Since 2.3.
    ApplicationId;
    /// The id of a data set that a job keeps on the cluster.
    DatasetId;
    /// The id of a rescale: a change of a job's parallelism, carried out or not.
    RescaleId;
}

/// Ids that are texts.
macro_rules! text_ids {
    ($($(#[$meta:meta])* $name:ident, $empty:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// As it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Parameter for $name {
            fn encode(&self, out: &mut Encoder<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let id = String::deserialize(deserializer)?;
                if id.is_empty() { Err(D::Error::custom($empty)) } else { Ok(id.into()) }
            }
        }

        plain_fields!($name);
    )*};
}

text_ids! {
    /// An uploaded jar: `<uuid>_<file name>`.
    JarId, "an empty jar id";
    /// A TaskManager: its resource id, as in `127.0.0.1:45775-f84075`, or whatever `taskmanager.resource-id` says.
    TaskManagerId, "an empty TaskManager id";
}

impl JarId {
    /// The last segment of the path on the server that an upload is answered with.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flink::jobs::GetJobStatus;
    use crate::operation::{Operation as _, RequestContext};

    #[test]
    fn hex_ids_are_read_in_either_case_and_written_in_lower() {
        let id: JobId = "09AFf0ff00000000000000000000000a".parse().expect("hex");
        assert_eq!(id.to_string(), "09aff0ff00000000000000000000000a");
        let base = "http://h".parse().expect("a base");
        let request = GetJobStatus::new(id).request(RequestContext::new(&base)).expect("a request");
        assert_eq!(request.uri().path(), format!("/v1/jobs/{id}/status"));
        for bad in
            ["", "1", "+0ff00ff00000000000000000000000a", "zz000000000000000000000000000000", &"a".repeat(1 << 16)]
        {
            let error = bad.parse::<JobId>().expect_err("no id").to_string();
            assert!(error.contains("32 hexadecimal digits") && error.len() < 300, "{error}");
        }
    }

    #[test]
    fn the_jar_id_is_the_end_of_the_servers_path() {
        for path in ["/tmp/flink-web-upload/1-2_a b.jar", r"C:\tmp\1-2_a b.jar", "1-2_a b.jar"] {
            assert_eq!(JarId::from_path(path), Some("1-2_a b.jar".into()));
        }
        assert_eq!(JarId::from_path("/tmp/"), None);
    }
}

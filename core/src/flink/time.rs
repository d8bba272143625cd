//! [`Millis`].

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::schema::plain_fields;
use crate::time::Timestamp;

/// A time in Flink's notation: milliseconds since the epoch; -1 or 0 for an event that has not happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// Returns the time; `None` if the event has not happened.
    pub fn get(self) -> Option<Timestamp> {
        u64::try_from(self.0).ok().filter(|&millis| millis > 0).map(Timestamp::from_millis)
    }
}

impl fmt::Debug for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(moment) => write!(f, "{moment}"),
            None => write!(f, "never ({})", self.0),
        }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self)
    }
}

plain_fields!(Millis);

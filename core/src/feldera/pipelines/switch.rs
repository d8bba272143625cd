//! [`Switch`]: settings that can be switched off.

use serde::{Deserializer, Serializer};

use crate::feldera::Json;
use crate::table::{Field, Value};

/// A setting that can be switched off. A setting that is absent is not off: it has Feldera's default.
///
/// | in a configuration | in JSON | the setting |
/// |---|---|---|
/// | `None` | absent | has Feldera's default |
/// | `Some(Switch::Off)` | `null` | is off |
/// | `Some(Switch::On(value))` | the value | has this value |
///
/// ```
/// use pipewright::feldera::pipelines::{RuntimeConfig, Switch};
/// let mut config = RuntimeConfig::default();
/// config.storage = Some(Switch::Off);
/// config.clock_resolution_usecs = Some(250_000.into());
/// assert_eq!(serde_json::to_string(&config)?, r#"{"storage":null,"clock_resolution_usecs":250000}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch<T> {
    /// The setting is off.
    Off,
    /// The setting has this value.
    On(T),
}

impl<T> Switch<T> {
    /// Returns the value, unless the setting is off.
    pub fn on(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T> From<T> for Switch<T> {
    fn from(value: T) -> Self {
        Self::On(value)
    }
}

impl<T: Field> Field for Switch<T> {
    /// A pipeline that an old release stored has `true` and `false` where an object was introduced later.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value: Json = serde::Deserialize::deserialize(deserializer)?;
        let read = match value.get() {
            "null" | "false" => return Ok(Self::Off),
            "true" => serde_json::from_str("{}"),
            _ => value.parse(),
        };
        read.map(|Value(value)| Self::On(value)).map_err(serde::de::Error::custom)
    }

    fn read_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Self::read(deserializer).map(Some)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_none(),
            Self::On(value) => value.write(serializer),
        }
    }
}

//! [`Switch`]: settings that can be switched off.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserializer, Serializer};

use crate::schema::WireField;

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

impl<T: WireField> WireField for Switch<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Setting<T>(PhantomData<T>);

        impl<'de, T: WireField> Visitor<'de> for Setting<T> {
            type Value = Switch<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a setting, or null")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Switch::Off)
            }

            /// As a pipeline has it that was stored by an old release, where there is an object today.
            fn visit_bool<E: Error>(self, is_on: bool) -> Result<Self::Value, E> {
                let empty = MapDeserializer::new(std::iter::empty::<(&str, ())>());
                if is_on { T::read(empty).map(Switch::On) } else { Ok(Switch::Off) }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                T::read(number.into_deserializer()).map(Switch::On)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::read(MapAccessDeserializer::new(map)).map(Switch::On)
            }
        }

        deserializer.deserialize_any(Setting(PhantomData))
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

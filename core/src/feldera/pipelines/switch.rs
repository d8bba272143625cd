//! [`Switch`]: settings that can be switched off.

use serde::de::{Error as _, MapAccess};
use serde::{Deserialize as _, Deserializer, Serializer};

use crate::feldera::Json;
use crate::feldera::settings::{Number, OldValue, Read, SettingValue, Source, Spelling, Spellings, Unit};
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
/// config.set("fault_tolerance", &serde_json::json!({ "checkpoint_interval": null }))?;
/// let text = r#"{"storage":null,"fault_tolerance":{"checkpoint_interval":null}}"#;
/// assert_eq!(serde_json::to_string(&config)?, text);
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

impl<T: SettingValue> WireField for Switch<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        Self::read_setting(&value, None).map_err(D::Error::custom)
    }

    fn read_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Self::read(deserializer).map(Some)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write_setting(serializer, Spellings::COMMON)
    }
}

impl<T: SettingValue> SettingValue for Switch<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn of_null() -> Option<Self> {
        Some(Self::Off)
    }

    /// As a pipeline has it that was stored by an old release, where there is an object today.
    fn of_bool(is_on: bool) -> Option<Self> {
        T::of_nothing().map(|value| if is_on { Self::On(value) } else { Self::Off })
    }

    fn of_number(number: Number, unit: Option<Unit>) -> Option<Self> {
        T::of_number(number, unit).map(Self::On)
    }

    fn of_text(text: &str, unit: Option<Unit>) -> Option<Self> {
        T::of_text(text, unit).map(Self::On)
    }

    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Read<Self>, A::Error> {
        T::of_map(map).map(|read| read.map(Self::On))
    }

    fn problem(value: &Json, unit: Option<Unit>) -> String {
        T::problem(value, unit)
    }

    fn write_setting<S: Serializer>(&self, serializer: S, spellings: Spellings) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_none(),
            Self::On(value) => value.write_setting(serializer, spellings),
        }
    }

    fn number(&self, unit: Unit, spelling: Spelling) -> Option<OldValue> {
        match self {
            Self::Off => (spelling != Spelling::New).then_some(OldValue::Null),
            Self::On(value) => value.number(unit, spelling),
        }
    }

    fn source(&self) -> Source {
        match self {
            Self::On(value) => value.source(),
            Self::Off => Source::default(),
        }
    }

    fn overlay(&mut self, wanted: &Self) {
        match (self, wanted) {
            (Self::On(has), Self::On(wanted)) => has.overlay(wanted),
            (has, wanted) => has.clone_from(wanted),
        }
    }
}

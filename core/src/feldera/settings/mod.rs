//! [`settings!`]: records of settings, which are read, changed and sent back.
//!
//! They differ from other records in three ways:
//!
//! | what | why |
//! |---|---|
//! | a setting that is unknown, or whose value cannot be read, is kept in `unknown` and written back | a change replaces the whole configuration, and would reset the setting otherwise |
//! | some settings have an old and a new name | releases 0.366 and 0.367 renamed all durations and sizes, see [`Unit`] |
//! | a setting that is absent is not written | the server has defaults |

mod spelling;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserializer, Serialize, Serializer};

pub(super) use self::spelling::{Spelling, Unit};
pub(super) use self::value::{SettingValue, plain_settings};
use super::Json;

/// Declares records of settings.
///
/// ```text
/// settings! {
///     /// What it is.
///     pub struct Storage {
///         /// A setting that always had this name.
///         pub compression: Option<Compression>,
///         /// A setting that once was a number of bytes under another name.
///         pub min_spill_size: Option<ByteSize> | "min_storage_bytes" in Bytes,
///     }
/// }
/// ```
macro_rules! settings {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $type:ty $(| $old:literal in $unit:ident)? ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
            /// The settings that this version of the library does not know, or whose values it cannot read. They are
            /// sent as they are.
            pub unknown: ::std::collections::BTreeMap<String, $crate::feldera::Json>,
            source: $crate::feldera::settings::Source,
        }

        impl $name {
            /// Sets a setting by its name, also one that this version of the library does not know. A setting that has
            /// two names can be set under both. `null` stands for Feldera's default, unless the setting's own
            /// documentation says that it switches the setting off.
            ///
            /// A server ignores settings that it does not know.
            ///
            /// # Errors
            /// If the value cannot be written as JSON, or if the setting is known and has values of another kind. The
            /// error names the setting.
            pub fn set<T: ::serde::Serialize + ?Sized>(
                &mut self,
                name: &str,
                value: &T,
            ) -> ::std::result::Result<(), ::serde_json::Error> {
                let value = $crate::feldera::Json::of(value)?;
                $(
                    let names = $crate::feldera::settings::names!($field $($old $unit)?);
                    if names.has(name) {
                        self.$field = names.read(name, &value)?;
                        self.unknown.remove(name);
                        return Ok(());
                    }
                )*
                self.unknown.insert(name.to_owned(), value);
                Ok(())
            }
        }

        impl $crate::feldera::settings::Settings for $name {
            const NAME: &'static str = stringify!($name);

            fn of_fields(mut fields: ::std::collections::BTreeMap<String, $crate::feldera::Json>) -> Self {
                let mut source = $crate::feldera::settings::Source::default();
                $( let $field = $crate::feldera::settings::names!($field $($old $unit)?).take(&mut fields, &mut source); )*
                Self { $( $field, )* unknown: fields, source }
            }

            fn write_fields<M: ::serde::ser::SerializeMap>(
                &self,
                map: &mut M,
                spelling: $crate::feldera::settings::Spelling,
            ) -> ::std::result::Result<(), M::Error> {
                $( $crate::feldera::settings::names!($field $($old $unit)?).put(&self.$field, map, spelling)?; )*
                for (name, value) in &self.unknown {
                    // A value that cannot be read was replaced by one that can.
                    let is_replaced = false $( || {
                        let names = $crate::feldera::settings::names!($field $($old $unit)?);
                        names.has(name) && !$crate::schema::WireField::is_absent(&self.$field)
                    } )*;
                    if !is_replaced {
                        map.serialize_entry(name, value)?;
                    }
                }
                Ok(())
            }
        }

        impl $crate::feldera::settings::SettingValue for $name {
            fn write_setting<S: ::serde::Serializer>(
                &self,
                serializer: S,
                spelling: $crate::feldera::settings::Spelling,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                $crate::feldera::settings::write(self, serializer, spelling)
            }

            fn has_new_names(&self) -> bool {
                self.source.has_new_names $( || self.$field.has_new_names() )*
            }

            fn overlay(&mut self, wanted: &Self) {
                $( self.$field.overlay(&wanted.$field); )*
                for (name, value) in &wanted.unknown {
                    self.unknown.insert(name.clone(), value.clone());
                }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                let spelling = $crate::feldera::settings::Spelling::Common;
                $crate::feldera::settings::SettingValue::write_setting(self, serializer, spelling)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                $crate::feldera::settings::read(deserializer)
            }
        }

        $crate::schema::plain_fields!($name);
    )*};
}

/// The names of a setting.
macro_rules! names {
    ($field:ident) => {
        $crate::feldera::settings::Names { new: stringify!($field), old: None }
    };
    ($field:ident $old:literal $unit:ident) => {
        $crate::feldera::settings::Names {
            new: stringify!($field),
            old: Some(($old, $crate::feldera::settings::Unit::$unit)),
        }
    };
}

pub(super) use {names, settings};

/// A record of settings. Implemented by [`settings!`].
pub(super) trait Settings: Sized {
    /// What it is called in errors.
    const NAME: &'static str;

    /// Reads the settings; what cannot be read is kept as it is.
    fn of_fields(fields: BTreeMap<String, Json>) -> Self;

    /// Writes the settings that are not absent.
    ///
    /// # Errors
    /// The serializer's.
    fn write_fields<M: SerializeMap>(&self, map: &mut M, spelling: Spelling) -> Result<(), M::Error>;
}

/// The names of a setting: the new one, and the old one with the unit that its numbers count in.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) new: &'static str,
    pub(super) old: Option<(&'static str, Unit)>,
}

impl Names {
    pub(super) fn has(&self, name: &str) -> bool {
        !is_forgotten(self.new) && (name == self.new || self.old.is_some_and(|(old, _)| name == old))
    }

    fn unit(&self) -> Option<Unit> {
        self.old.map(|(_, unit)| unit)
    }

    /// Reads a value that the caller has given.
    ///
    /// # Errors
    /// When it is of another kind.
    pub(super) fn read<T: SettingValue>(&self, name: &str, value: &Json) -> Result<T, serde_json::Error> {
        T::read_setting(value, self.unit())
            .map_err(|error| serde::de::Error::custom(format_args!("cannot set {name}: {error}")))
    }

    /// Takes the setting out of an object. What cannot be read stays there. If both names are there, which no server
    /// writes and each rejects, the new one counts.
    pub(super) fn take<T: SettingValue + Default>(
        &self,
        fields: &mut BTreeMap<String, Json>,
        source: &mut Source,
    ) -> T {
        let mut found = None;
        for name in [Some(self.new), self.old.map(|(old, _)| old)].into_iter().flatten() {
            if let Some(value) = fields.get(name).filter(|_| self.has(name))
                && let Ok(value) = T::read_setting(value, self.unit())
            {
                fields.remove(name);
                source.has_new_names |= self.old.is_some() && name == self.new && !value.is_absent();
                found = found.or(Some(value).filter(|value| !value.is_absent()));
            }
        }
        found.unwrap_or_default()
    }

    /// Writes the setting under the name that the server reads.
    ///
    /// # Errors
    /// The serializer's.
    pub(super) fn put<T: SettingValue, M: SerializeMap>(
        &self,
        value: &T,
        map: &mut M,
        spelling: Spelling,
    ) -> Result<(), M::Error> {
        if value.is_absent() {
            return Ok(());
        }
        match self.old.and_then(|(old, unit)| value.number(unit, spelling).map(|number| (old, number))) {
            Some((old, number)) => map.serialize_entry(old, &number),
            None => map.serialize_entry(self.new, &Spelled { value, spelling }),
        }
    }
}

/// How a record was read. It is no part of the value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Source {
    /// Whether a renamed setting had its new name, so that the server that has written it reads new names.
    pub(super) has_new_names: bool,
}

impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A value with the spelling to write it in.
pub(super) struct Spelled<'a, T> {
    pub(super) value: &'a T,
    pub(super) spelling: Spelling,
}

impl<T: SettingValue> Serialize for Spelled<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.write_setting(serializer, self.spelling)
    }
}

/// Reads a record of settings.
///
/// # Errors
/// When it is not an object.
pub(super) fn read<'de, T: Settings, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Fields(&'static str);

    impl<'de> Visitor<'de> for Fields {
        type Value = BTreeMap<String, Json>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "the object {}", self.0)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = BTreeMap::new();
            while let Some((name, value)) = map.next_entry()? {
                fields.insert(name, value);
            }
            Ok(fields)
        }
    }

    deserializer.deserialize_map(Fields(T::NAME)).map(T::of_fields)
}

/// Writes a record of settings.
///
/// # Errors
/// The serializer's.
pub(super) fn write<T: Settings + SettingValue, S: Serializer>(
    settings: &T,
    serializer: S,
    spelling: Spelling,
) -> Result<S::Ok, S::Error> {
    let spelling = if spelling == Spelling::Common && settings.has_new_names() { Spelling::New } else { spelling };
    let mut map = serializer.serialize_map(None)?;
    settings.write_fields(&mut map, spelling)?;
    map.end()
}

#[cfg(not(test))]
const fn is_forgotten(_: &str) -> bool {
    false
}

#[cfg(test)]
use self::tests::is_forgotten;

#[cfg(test)]
mod tests;

//! [`settings!`]: records of settings that a caller reads, changes and sends back.
//!
//! They differ from other records in three ways:
//!
//! | difference | reason |
//! |---|---|
//! | an unknown setting, or one whose value cannot be read, is kept in `unknown` and written back | a request replaces the whole configuration: a setting that is left out would be reset |
//! | some settings have an old and a new name | releases 0.366 and 0.367 renamed all durations and sizes, see [`Unit`] |
//! | an absent setting is not written | the server uses its default |

mod lenient;
mod merge;
mod spelling;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserializer, Serialize, Serializer};

use self::lenient::AnyValue;
pub(super) use self::lenient::{Number, Read};
pub(super) use self::merge::merge_unknown;
pub(super) use self::spelling::{Source, Spelling, Spellings, Unit};
pub(super) use self::value::{OldValue, SettingValue, string_settings};
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
            /// The settings that this version of the library does not know, or whose values it cannot read. Requests
            /// send them unchanged.
            pub unknown: ::std::collections::BTreeMap<String, $crate::feldera::Json>,
            source: $crate::feldera::settings::Source,
        }

        impl $name {
            /// Sets a setting by its name, even if this version of the library does not know it. A setting that has two
            /// names can be set under either name. `null` stands for Feldera's default; it turns a
            /// [switch](crate::feldera::pipelines::Switch) off.
            ///
            /// A server ignores settings that it does not know.
            ///
            /// # Errors
            /// * The value cannot be written as JSON.
            /// * The setting is known and takes another type of value. The error names the setting.
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
            fn of_map<'de, A: ::serde::de::MapAccess<'de>>(
                mut map: A,
            ) -> ::std::result::Result<$crate::feldera::settings::Read<Self>, A::Error> {
                #[allow(non_camel_case_types, reason = "variants are named like the fields")]
                enum Key { $( $field(bool), )* __Unknown(String) }

                impl<'de> ::serde::Deserialize<'de> for Key {
                    fn deserialize<D: ::serde::Deserializer<'de>>(
                        deserializer: D,
                    ) -> ::std::result::Result<Self, D::Error> {
                        struct Name;

                        impl ::serde::de::Visitor<'_> for Name {
                            type Value = Key;

                            fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                                f.write_str("the name of a setting")
                            }

                            fn visit_str<E: ::serde::de::Error>(self, name: &str) -> ::std::result::Result<Key, E> {
                                Ok(match name {
                                    $( stringify!($field) $(| $old)?
                                        if !$crate::feldera::settings::is_forgotten(stringify!($field)) =>
                                    {
                                        Key::$field(name != stringify!($field))
                                    } )*
                                    _ => Key::__Unknown(name.to_owned()),
                                })
                            }
                        }

                        deserializer.deserialize_identifier(Name)
                    }
                }

                let mut this = Self::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        $( Key::$field(is_old) => {
                            let names = $crate::feldera::settings::names!($field $($old $unit)?);
                            names.read_into(&mut map, is_old, &mut this.$field, &mut this.unknown, &mut this.source)?;
                        } )*
                        Key::__Unknown(name) => {
                            let read = $crate::feldera::settings::read_unknown(name, &mut map, &mut this.unknown)?;
                            if let Some(number) = read {
                                return Ok(Err(number));
                            }
                        }
                    }
                }
                Ok(Ok(this))
            }

            fn write_fields<M: ::serde::ser::SerializeMap>(
                &self,
                map: &mut M,
                spellings: $crate::feldera::settings::Spellings,
            ) -> ::std::result::Result<(), M::Error> {
                $( $crate::feldera::settings::names!($field $($old $unit)?).put(&self.$field, map, spellings)?; )*
                for (name, value) in &self.unknown {
                    // The caller has replaced the unreadable value by a valid value.
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
            const EXPECTED: &'static str = concat!("the object ", stringify!($name));

            fn of_nothing() -> Option<Self> {
                Some(Self::default())
            }

            fn of_map<'de, A: ::serde::de::MapAccess<'de>>(
                map: A,
            ) -> ::std::result::Result<$crate::feldera::settings::Read<Self>, A::Error> {
                $crate::feldera::settings::Settings::of_map(map)
            }

            fn write_setting<S: ::serde::Serializer>(
                &self,
                serializer: S,
                spellings: $crate::feldera::settings::Spellings,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                $crate::feldera::settings::write(self, serializer, spellings)
            }

            fn source(&self) -> $crate::feldera::settings::Source {
                self.source $( .and(self.$field.source()) )*
            }

            fn overlay(&mut self, wanted: &Self) {
                $(
                    let names = $crate::feldera::settings::names!($field $($old $unit)?);
                    names.make_way(&mut self.$field, &mut self.unknown, &wanted.$field, &wanted.unknown);
                    self.$field.overlay(&wanted.$field);
                )*
                $crate::feldera::settings::merge_unknown(&mut self.unknown, &wanted.unknown);
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                let spellings = $crate::feldera::settings::Spellings::COMMON;
                $crate::feldera::settings::SettingValue::write_setting(self, serializer, spellings)
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

/// Builds the [`Names`] of a setting.
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
    /// Reads the settings, and keeps unreadable values unchanged.
    ///
    /// # Errors
    /// Those of the deserializer.
    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Read<Self>, A::Error>;

    /// Writes the settings that are not absent.
    ///
    /// # Errors
    /// Those of the serializer.
    fn write_fields<M: SerializeMap>(&self, map: &mut M, spellings: Spellings) -> Result<(), M::Error>;
}

/// The names of a setting: the new name, and the old name with the unit of its numbers.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) new: &'static str,
    pub(super) old: Option<(&'static str, Unit)>,
}

impl Names {
    pub(super) fn has(&self, name: &str) -> bool {
        !is_forgotten(self.new) && (name == self.new || self.old.is_some_and(|(old, _)| name == old))
    }

    /// Removes the value that a wanted value replaces: the library can read only one of the two.
    pub(super) fn make_way<T: SettingValue>(
        &self,
        has: &mut T,
        has_unknown: &mut BTreeMap<String, Json>,
        wanted: &T,
        wanted_unknown: &BTreeMap<String, Json>,
    ) {
        let is_wanted = |name: &String| wanted_unknown.contains_key(name);
        if !wanted.is_absent() {
            has_unknown.retain(|name, _| !self.has(name));
        } else if wanted_unknown.keys().any(|name| self.has(name)) {
            has_unknown.retain(|name, _| !self.has(name) || is_wanted(name));
            if let Some(absent) = T::absent() {
                *has = absent;
            }
        }
    }

    fn unit(&self) -> Option<Unit> {
        self.old.map(|(_, unit)| unit)
    }

    /// Reads a value that the caller has given.
    ///
    /// # Errors
    /// If the setting takes another type of value.
    pub(super) fn read<T: SettingValue>(&self, name: &str, value: &Json) -> Result<T, serde_json::Error> {
        T::read_setting(value, self.unit())
            .map_err(|error| serde::de::Error::custom(format_args!("cannot set {name}: {error}")))
    }

    /// Reads a value into a field, and keeps an unreadable value under its name. If a record has both names, the new
    /// name wins. No server writes both, and each server rejects both.
    ///
    /// Never inlined, as [`read_into`](crate::schema::read_into).
    ///
    /// # Errors
    /// Those of the deserializer.
    #[inline(never)]
    pub(super) fn read_into<'de, T: SettingValue, A: MapAccess<'de>>(
        &self,
        map: &mut A,
        is_old: bool,
        field: &mut T,
        unknown: &mut BTreeMap<String, Json>,
        source: &mut Source,
    ) -> Result<(), A::Error> {
        let read = map.next_value_seed(AnyValue::<T>::new(self.unit()))?;
        // Servers with the old names write them with `null` too.
        if let Some(unit) = self.unit() {
            source.add(unit, is_old);
        }
        match read {
            Ok(value) if value.is_absent() || is_old && !field.is_absent() => {}
            Ok(value) => *field = value,
            Err(value) => {
                let name = self.old.filter(|_| is_old).map_or(self.new, |(old, _)| old);
                unknown.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// Writes the setting under the name that the server reads.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(super) fn put<T: SettingValue, M: SerializeMap>(
        &self,
        value: &T,
        map: &mut M,
        spellings: Spellings,
    ) -> Result<(), M::Error> {
        if value.is_absent() {
            return Ok(());
        }
        let number = |(old, unit)| value.number(unit, spellings.of_unit(unit)).map(|number| (old, number));
        match self.old.and_then(number) {
            Some((old, number)) => map.serialize_entry(old, &number),
            None => map.serialize_entry(self.new, &Spelled { value, spellings }),
        }
    }
}

/// A value, and the spellings in which it is written.
pub(super) struct Spelled<'a, T> {
    pub(super) value: &'a T,
    pub(super) spellings: Spellings,
}

impl<T: SettingValue> Serialize for Spelled<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.write_setting(serializer, self.spellings)
    }
}

/// Keeps an unknown setting. If the map with this key stands for a number, returns the number instead.
///
/// # Errors
/// Those of the deserializer.
pub(super) fn read_unknown<'de, A: MapAccess<'de>>(
    name: String,
    map: &mut A,
    unknown: &mut BTreeMap<String, Json>,
) -> Result<Option<Json>, A::Error> {
    if let Some(number) = lenient::number_behind(&name, map)? {
        return number.to_json().map(Some).map_err(A::Error::custom);
    }
    unknown.insert(name, map.next_value()?);
    Ok(None)
}

/// Reads a record of settings.
///
/// # Errors
/// If the value is not an object.
pub(super) fn read<'de, T: SettingValue, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Record<T>(PhantomData<T>);

    impl<'de, T: SettingValue> Visitor<'de> for Record<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::EXPECTED)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::of_map(map)?.map_err(|value| A::Error::custom(T::problem(&value, None)))
        }
    }

    deserializer.deserialize_map(Record(PhantomData))
}

/// Writes a record of settings.
///
/// # Errors
/// Those of the serializer.
pub(super) fn write<T: Settings + SettingValue, S: Serializer>(
    settings: &T,
    serializer: S,
    spellings: Spellings,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    settings.write_fields(&mut map, spellings.or_as_in(settings.source()))?;
    map.end()
}

#[cfg(not(test))]
pub(super) const fn is_forgotten(_: &str) -> bool {
    false
}

#[cfg(test)]
pub(super) use self::tests::is_forgotten;

#[cfg(test)]
mod tests;

//! How a field of a record is read.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::json::NOT_FINITE;

/// A type that can be a field of a record. Implemented for the plain types, for lists, maps and options of
/// fields, and by the tables for all that they declare.
///
/// It differs from serde's own traits in what absent, `null` and not-a-number mean.
pub(crate) trait WireField: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// When it is of another type.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Reads the value, or `null`.
    ///
    /// # Errors
    /// When it is of another type.
    fn read_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Option::<Value<Self>>::deserialize(deserializer).map(|value| value.map(|Value(value)| value))
    }

    /// Writes it as it would be read.
    ///
    /// # Errors
    /// The serializer's.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// What an absent field means; `None` when that is an error.
    fn absent() -> Option<Self> {
        None
    }

    /// Whether it says no more than an absent field would.
    fn is_absent(&self) -> bool {
        false
    }
}

/// For types that read and write themselves, and must be there.
macro_rules! plain_fields {
    ($($type:ty),*) => {$(
        impl $crate::schema::WireField for $type {
            fn read<'de, D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                ::serde::Deserialize::deserialize(deserializer)
            }

            fn write<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                ::serde::Serialize::serialize(self, serializer)
            }
        }
    )*};
}
pub(crate) use plain_fields;

plain_fields!(bool, Box<RawValue>);

impl WireField for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }

    fn read_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        text_or_null(deserializer, "a string")
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

/// Reads a value that is made of a text. `expected` describes it in errors. A `null` is not handled.
///
/// # Errors
/// When it is anything else.
pub(crate) fn text_or_null<'de, T: for<'a> From<&'a str>, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<Option<T>, D::Error> {
    struct Text<T>(&'static str, PhantomData<T>);

    impl<T: for<'a> From<&'a str>> Visitor<'_> for Text<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.into()))
        }
    }

    deserializer.deserialize_any(Text(expected, PhantomData))
}

/// Reads a number that `serde_json` hands over as a map with one entry. It does so with numbers that have a fraction
/// (in old versions, with all) if any crate of the program turns on its feature `arbitrary_precision`, which is then on
/// for this crate too.
fn number_of_a_map<'de, T: FromStr, A: MapAccess<'de>>(mut map: A, expected: &dyn Expected) -> Result<T, A::Error> {
    const KEY: &str = "$serde_json::private::Number";
    if map.next_key::<String>()?.as_deref() != Some(KEY) {
        return Err(A::Error::invalid_type(Unexpected::Map, expected));
    }
    let text = map.next_value::<String>()?;
    text.parse().map_err(|_| A::Error::invalid_value(Unexpected::Other(&text), expected))
}

/// Whole numbers: as plain types, but that a `null` is not looked for before the number is read. Half of all fields are
/// such.
macro_rules! number_fields {
    ($($type:ty),*) => {$(
        impl WireField for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }

            fn read_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                struct Number;

                impl<'de> Visitor<'de> for Number {
                    type Value = Option<$type>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a number, ", stringify!($type)))
                    }

                    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                        Ok(None)
                    }

                    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                        let wrong = |_| E::invalid_value(Unexpected::Signed(number), &self);
                        number.try_into().map(Some).map_err(wrong)
                    }

                    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                        let wrong = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
                        number.try_into().map(Some).map_err(wrong)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                        number_of_a_map(map, &self).map(Some)
                    }
                }

                deserializer.deserialize_any(Number)
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize(serializer)
            }
        }
    )*};
}

number_fields!(i32, i64, u32, u64);

/// A number, or one of the texts that stand for the numbers that JSON does not have: those of Java, and those of
/// Feldera's metrics.
impl WireField for f64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        #[allow(clippy::cast_precision_loss, reason = "the field is a floating-point number, however it was written")]
        impl<'de> Visitor<'de> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
                Ok(number)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
                Ok(number as f64)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
                Ok(number as f64)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
                match text {
                    "NaN" | "nan" => Ok(f64::NAN),
                    "Infinity" | "inf" => Ok(f64::INFINITY),
                    "-Infinity" | "-inf" => Ok(f64::NEG_INFINITY),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<f64, A::Error> {
                number_of_a_map(map, &self)
            }
        }

        deserializer.deserialize_any(Number)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match *self {
            number if number.is_nan() => "NaN",
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            number => return serializer.serialize_f64(number),
        };
        serializer.serialize_newtype_struct(NOT_FINITE, text)
    }
}

impl<T: WireField> WireField for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read_or_null(deserializer)
    }

    fn read_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        T::read_or_null(deserializer).map(|value| value.map(Some))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => serializer.serialize_some(&AsWire(value)),
            None => serializer.serialize_none(),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: WireField> WireField for Box<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Box::new)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::write(self, serializer)
    }

    fn absent() -> Option<Self> {
        T::absent().map(Box::new)
    }

    fn is_absent(&self) -> bool {
        T::is_absent(self)
    }
}

impl<T: WireField> WireField for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<List<T>>::deserialize(deserializer).map(|list| list.map(|List(list)| list).unwrap_or_default())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(AsWire))
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<K: DeserializeOwned + Serialize + Ord, T: WireField> WireField for BTreeMap<K, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<Map<K, T>>::deserialize(deserializer).map(|map| map.map(|Map(map)| map).unwrap_or_default())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(key, value)| (key, AsWire(value))))
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// Gives a field the trait that serde's own containers ask for.
pub(crate) struct Value<T>(pub(crate) T);

impl<'de, T: WireField> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// Reads the value of a field. Of one under two names, or twice, the first that says something counts.
///
/// Never inlined: otherwise a record's fields are kept in registers, of which there are never enough, and each value
/// read moves all the others about.
#[inline(never)]
pub(crate) fn read_into<'de, T: WireField, A: MapAccess<'de>>(
    map: &mut A,
    field: &mut Option<T>,
) -> Result<(), A::Error> {
    let Nullable(value) = map.next_value()?;
    if field.is_none() {
        *field = value;
    }
    Ok(())
}

/// The same for a field whose value must not be lost.
///
/// Never inlined, for the same reason.
#[inline(never)]
pub(crate) fn read_decisive_into<'de, T: WireField, A: MapAccess<'de>>(
    map: &mut A,
    field: &mut Option<T>,
    key: &'static str,
) -> Result<(), A::Error> {
    read_into(map, field).map_err(|error| crate::json::decisive(key, &error))
}

/// A type that can hold a value that it cannot read.
pub(crate) trait Unreadable: DeserializeOwned {
    /// Keeps such a value.
    fn unreadable(json: &str) -> Self;
}

/// The same for a field that counts as present, even if its value cannot be read.
///
/// Never inlined, for the same reason.
#[inline(never)]
#[allow(
    clippy::option_option,
    reason = "the outer option says whether the field was met, the inner option is its value"
)]
pub(crate) fn read_kept_into<'de, T: Unreadable, A: MapAccess<'de>>(
    map: &mut A,
    field: &mut Option<Option<T>>,
) -> Result<(), A::Error> {
    let value = map.next_value::<Option<Box<RawValue>>>()?;
    if let (Some(value), None) = (value, &*field) {
        *field = Some(Some(serde_json::from_str(value.get()).unwrap_or_else(|_| T::unreadable(value.get()))));
    }
    Ok(())
}

/// A value that may be `null`.
struct Nullable<T>(Option<T>);

impl<'de, T: WireField> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read_or_null(deserializer).map(Self)
    }
}

/// What `Debug` shows of a field that may hold a secret: whether it is absent.
pub(crate) struct Redacted(pub(crate) bool);

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "None" } else { "…" })
    }
}

/// The same for writing.
pub(crate) struct AsWire<'a, T>(pub(crate) &'a T);

impl<T: WireField> Serialize for AsWire<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

struct List<T>(Vec<T>);

impl<'de, T: WireField> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(Vec<T>);

        impl<'de, T: WireField> Visitor<'de> for Items<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Vec<T>, A::Error> {
                while let Some(Value(item)) = items.next_element()? {
                    self.0.push(item);
                }
                Ok(self.0)
            }
        }

        deserializer.deserialize_seq(Items(Vec::new())).map(List)
    }
}

struct Map<K, T>(BTreeMap<K, T>);

impl<'de, K: DeserializeOwned + Ord, T: WireField> Deserialize<'de> for Map<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<K, T>(Vec<(K, T)>);

        impl<K, T> Entries<K, T> {
            /// Most maps count by state, and there are about ten states; large entries come by twos and threes.
            const AT_FIRST: usize = if size_of::<(K, T)>() <= 64 { 16 } else { 4 };
        }

        impl<'de, K: DeserializeOwned + Ord, T: WireField> Visitor<'de> for Entries<K, T> {
            type Value = BTreeMap<K, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<BTreeMap<K, T>, A::Error> {
                while let Some((key, Value(value))) = entries.next_entry()? {
                    if self.0.is_empty() {
                        self.0.reserve(Self::AT_FIRST);
                    }
                    self.0.push((key, value));
                }
                // Sorting once takes less than finding the place of each.
                Ok(self.0.into_iter().collect())
            }
        }

        deserializer.deserialize_map(Entries(Vec::new())).map(Map)
    }
}

#[cfg(test)]
mod tests;

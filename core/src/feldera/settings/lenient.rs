//! Reads settings without loss: a value of a type that a setting does not take is kept as JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};

use super::{SettingValue, Unit};
use crate::feldera::Json;

/// A value of a setting, or the JSON that cannot be read as a value.
pub(in crate::feldera) type Read<T> = Result<T, Json>;

/// The only key of a map by which `serde_json` passes a number if its feature `arbitrary_precision` is on.
const NUMBER: &str = "$serde_json::private::Number";

/// A JSON number.
#[derive(Clone, Copy, Debug)]
pub(in crate::feldera) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    /// # Errors
    /// If the number is not finite.
    pub(super) fn to_json(self) -> Result<Json, serde_json::Error> {
        match self {
            Self::Unsigned(number) => Json::of(&number),
            Self::Signed(number) => Json::of(&number),
            Self::Float(number) => Json::of(&number),
        }
    }
}

/// Reads any JSON as a setting. Only malformed JSON is an error.
pub(super) struct AnyValue<T> {
    unit: Option<Unit>,
    setting: PhantomData<T>,
}

impl<T> AnyValue<T> {
    pub(super) fn new(unit: Option<Unit>) -> Self {
        Self { unit, setting: PhantomData }
    }
}

/// Returns the value of a setting if it could be read, otherwise the scalar as JSON.
fn or_json<T, V: Serialize + ?Sized, E: Error>(value: Option<T>, scalar: &V) -> Result<Read<T>, E> {
    match value {
        Some(value) => Ok(Ok(value)),
        None => Json::of(scalar).map(Err).map_err(E::custom),
    }
}

impl<T: SettingValue> AnyValue<T> {
    fn number<E: Error>(&self, number: Number) -> Result<Read<T>, E> {
        match T::of_number(number, self.unit) {
            Some(value) => Ok(Ok(value)),
            None => number.to_json().map(Err).map_err(E::custom),
        }
    }
}

impl<'de, T: SettingValue> DeserializeSeed<'de> for AnyValue<T> {
    type Value = Read<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: SettingValue> Visitor<'de> for AnyValue<T> {
    type Value = Read<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_unit<E: Error>(self) -> Result<Read<T>, E> {
        or_json(T::of_null(), &())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Read<T>, E> {
        or_json(T::of_bool(value), &value)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Read<T>, E> {
        self.number(Number::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Read<T>, E> {
        self.number(u64::try_from(number).map_or(Number::Signed(number), Number::Unsigned))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Read<T>, E> {
        self.number(Number::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Read<T>, E> {
        or_json(T::of_text(text, self.unit), text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Read<T>, A::Error> {
        let mut text = String::from("[");
        while let Some(item) = items.next_element::<Json>()? {
            separate(&mut text);
            text.push_str(item.get());
        }
        text.push(']');
        let value = Json::assembled(text).map_err(A::Error::custom)?;
        Ok(T::of_json(&value).ok_or(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Read<T>, A::Error> {
        T::of_map(map)
    }
}

/// Reads an object that is not a record of settings.
///
/// # Errors
/// Those of the deserializer.
pub(super) fn read_object<'de, T: SettingValue, A: MapAccess<'de>>(mut map: A) -> Result<Read<T>, A::Error> {
    let mut text = String::from("{");
    while let Some(name) = map.next_key::<String>()? {
        if let Some(number) = number_behind(&name, &mut map)? {
            return Ok(T::of_number(number, None).ok_or(number.to_json().map_err(A::Error::custom)?));
        }
        separate(&mut text);
        text.push_str(Json::of(&name).map_err(A::Error::custom)?.get());
        text.push(':');
        text.push_str(map.next_value::<Json>()?.get());
    }
    text.push('}');
    let value = Json::assembled(text).map_err(A::Error::custom)?;
    Ok(T::of_json(&value).ok_or(value))
}

/// Returns the number that a map with this key stands for; `None` if it does not stand for a number.
///
/// # Errors
/// Those of the deserializer.
pub(in crate::feldera) fn number_behind<'de, A: MapAccess<'de>>(
    name: &str,
    map: &mut A,
) -> Result<Option<Number>, A::Error> {
    if name != NUMBER {
        return Ok(None);
    }
    let text = map.next_value::<String>()?;
    let number = text.parse().map(Number::Unsigned).or_else(|_| text.parse().map(Number::Signed));
    number.or_else(|_| text.parse().map(Number::Float)).map(Some).map_err(A::Error::custom)
}

fn separate(text: &mut String) {
    if text.len() > 1 {
        text.push(',');
    }
}

//! [`SettingValue`]: the values of settings.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::de::{DeserializeSeed as _, Error as _, MapAccess};
use serde::{Serialize, Serializer};
use serde_json::Error;

use super::lenient::{self, AnyValue, Number, Read};
use super::{Source, Spelling, Spellings, Unit};
use crate::feldera::units::from_nanos;
use crate::feldera::{ByteSize, ConfigDuration, InvalidUnit, Json, SecretText};
use crate::schema::WireField;

/// The value of a setting. The constructors return `None` if the JSON has another type.
pub(in crate::feldera) trait SettingValue: WireField + Clone {
    /// The expected values, for errors.
    const EXPECTED: &'static str;

    fn of_null() -> Option<Self> {
        None
    }

    fn of_bool(_: bool) -> Option<Self> {
        None
    }

    /// Reads a number that counts in the unit.
    fn of_number(_: Number, _unit: Option<Unit>) -> Option<Self> {
        None
    }

    fn of_text(_: &str, _unit: Option<Unit>) -> Option<Self> {
        None
    }

    /// Reads a list or an object.
    fn of_json(_: &Json) -> Option<Self> {
        None
    }

    /// Reads an object without fields.
    fn of_nothing() -> Option<Self> {
        None
    }

    /// Reads an object from a deserializer.
    ///
    /// # Errors
    /// Those of the deserializer.
    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Read<Self>, A::Error> {
        lenient::read_object(map)
    }

    /// Returns why a value cannot be read.
    fn problem(value: &Json, _unit: Option<Unit>) -> String {
        shown_problem(value, Self::EXPECTED)
    }

    /// Reads a value that the caller has given.
    ///
    /// # Errors
    /// If the setting takes another type of value.
    fn read_setting(value: &Json, unit: Option<Unit>) -> Result<Self, Error> {
        let mut reader = serde_json::Deserializer::from_str(value.get());
        let read = AnyValue::new(unit).deserialize(&mut reader)?;
        read.map_err(|value| Error::custom(Self::problem(&value, unit)))
    }

    /// Writes the value in the form of the new name.
    ///
    /// # Errors
    /// Those of the serializer.
    fn write_setting<S: Serializer>(&self, serializer: S, _spellings: Spellings) -> Result<S::Ok, S::Error> {
        self.write(serializer)
    }

    /// Returns the value to write under the old name; `None` if the new name must be used.
    fn number(&self, _unit: Unit, _spelling: Spelling) -> Option<OldValue> {
        None
    }

    /// Returns the names with which the settings in the value were read.
    fn source(&self) -> Source {
        Source::default()
    }

    /// Copies the settings that are given in `wanted`, and keeps the others.
    fn overlay(&mut self, wanted: &Self) {
        if !wanted.is_absent() {
            self.clone_from(wanted);
        }
    }
}

/// The value of a renamed setting under its old name.
#[derive(Clone, Copy, Debug)]
pub(in crate::feldera) enum OldValue {
    Null,
    Number(u64),
}

impl Serialize for OldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Number(number) => serializer.serialize_u64(*number),
        }
    }
}

/// Describes a value of the wrong kind.
fn shown_problem(value: &Json, expected: &str) -> String {
    format!("{} is not {expected}", crate::error::excerpt(value.get().as_bytes(), 40))
}

/// Implements [`SettingValue`] for open enums.
macro_rules! string_settings {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::feldera::settings::SettingValue for $type {
            const EXPECTED: &'static str = "a text";

            fn of_text(text: &str, _: Option<$crate::feldera::settings::Unit>) -> Option<Self> {
                Some(Self::from(text))
            }
        }
    )*};
}

pub(in crate::feldera) use string_settings;

string_settings!(String);

/// Describes a value of the wrong kind that may be a secret.
fn secret_problem(expected: &str) -> String {
    format!("the value, which may be a secret and is not shown, is not {expected}")
}

impl SettingValue for SecretText {
    const EXPECTED: &'static str = "a text";

    fn of_text(text: &str, _: Option<Unit>) -> Option<Self> {
        Some(Self::from(text))
    }

    fn problem(_: &Json, _: Option<Unit>) -> String {
        secret_problem(Self::EXPECTED)
    }
}

impl SettingValue for bool {
    const EXPECTED: &'static str = "true or false";

    fn of_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

macro_rules! number_settings {
    ($($type:ty),*) => {$(
        impl SettingValue for $type {
            const EXPECTED: &'static str = concat!("a whole number in the range of ", stringify!($type));

            fn of_number(number: Number, _: Option<Unit>) -> Option<Self> {
                match number {
                    Number::Unsigned(number) => number.try_into().ok(),
                    Number::Signed(number) => number.try_into().ok(),
                    Number::Float(_) => None,
                }
            }
        }
    )*};
}

number_settings!(i32, u32, u64);

impl SettingValue for f64 {
    const EXPECTED: &'static str = "a number";

    #[allow(clippy::cast_precision_loss, reason = "the setting is a floating-point number, however it was written")]
    fn of_number(number: Number, _: Option<Unit>) -> Option<Self> {
        Some(match number {
            Number::Unsigned(number) => number as f64,
            Number::Signed(number) => number as f64,
            Number::Float(number) => number,
        })
    }
}

impl SettingValue for Json {
    const EXPECTED: &'static str = "a JSON value";

    fn of_bool(value: bool) -> Option<Self> {
        Self::of(&value).ok()
    }

    fn of_number(number: Number, _: Option<Unit>) -> Option<Self> {
        number.to_json().ok()
    }

    fn of_text(text: &str, _: Option<Unit>) -> Option<Self> {
        Self::of(text).ok()
    }

    fn of_json(value: &Json) -> Option<Self> {
        Some(value.clone())
    }
}

/// Lists, and maps of texts.
macro_rules! collection_settings {
    ($($type:ty, $expected:literal, $problem:expr);*) => {$(
        impl SettingValue for $type {
            const EXPECTED: &'static str = $expected;

            fn of_null() -> Option<Self> {
                Some(Self::new())
            }

            fn of_json(value: &Json) -> Option<Self> {
                Self::read(&mut serde_json::Deserializer::from_str(value.get())).ok()
            }

            fn problem(value: &Json, _: Option<Unit>) -> String {
                $problem(value, $expected)
            }
        }
    )*};
}

collection_settings!(
    Vec<u64>, "a list of whole numbers", shown_problem;
    Vec<SecretText>, "a list of texts", |_, expected| secret_problem(expected)
);

impl SettingValue for BTreeMap<String, SecretText> {
    const EXPECTED: &'static str = "an object of texts";

    fn of_null() -> Option<Self> {
        Some(Self::new())
    }

    fn of_json(value: &Json) -> Option<Self> {
        Self::read(&mut serde_json::Deserializer::from_str(value.get())).ok()
    }

    fn problem(_: &Json, _: Option<Unit>) -> String {
        secret_problem(Self::EXPECTED)
    }

    fn overlay(&mut self, wanted: &Self) {
        self.extend(wanted.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn of_null() -> Option<Self> {
        Some(T::of_null())
    }

    fn of_bool(value: bool) -> Option<Self> {
        T::of_bool(value).map(Some)
    }

    fn of_number(number: Number, unit: Option<Unit>) -> Option<Self> {
        T::of_number(number, unit).map(Some)
    }

    fn of_text(text: &str, unit: Option<Unit>) -> Option<Self> {
        T::of_text(text, unit).map(Some)
    }

    fn of_json(value: &Json) -> Option<Self> {
        T::of_json(value).map(Some)
    }

    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Read<Self>, A::Error> {
        T::of_map(map).map(|read| read.map(Some))
    }

    fn problem(value: &Json, unit: Option<Unit>) -> String {
        T::problem(value, unit)
    }

    fn write_setting<S: Serializer>(&self, serializer: S, spellings: Spellings) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.write_setting(serializer, spellings),
            None => serializer.serialize_none(),
        }
    }

    fn number(&self, unit: Unit, spelling: Spelling) -> Option<OldValue> {
        self.as_ref().and_then(|value| value.number(unit, spelling))
    }

    fn source(&self) -> Source {
        self.as_ref().map(T::source).unwrap_or_default()
    }

    fn overlay(&mut self, wanted: &Self) {
        match (self, wanted) {
            (Some(has), Some(wanted)) => has.overlay(wanted),
            (has, Some(wanted)) => *has = Some(wanted.clone()),
            (_, None) => {}
        }
    }
}

impl<T: SettingValue> SettingValue for Box<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Read<Self>, A::Error> {
        T::of_map(map).map(|read| read.map(Self::new))
    }

    fn write_setting<S: Serializer>(&self, serializer: S, spellings: Spellings) -> Result<S::Ok, S::Error> {
        T::write_setting(self, serializer, spellings)
    }

    fn source(&self) -> Source {
        T::source(self)
    }

    fn overlay(&mut self, wanted: &Self) {
        T::overlay(self, wanted);
    }
}

/// A size or a duration.
trait Quantity: Sized {
    /// A text that has a unit.
    const EXAMPLE: &'static str;

    /// The largest value.
    const MAX: Self;

    /// Converts a number of units. Returns the largest value if the number is too large, as servers do: old releases
    /// write the largest number for "no limit".
    fn of_units(number: u64, unit: Unit) -> Self;

    /// Returns the number of bytes or nanoseconds.
    fn amount(&self) -> u128;
}

impl Quantity for ByteSize {
    const EXAMPLE: &'static str = "16Gi";

    const MAX: Self = Self::MAX;

    fn of_units(number: u64, unit: Unit) -> Self {
        Self::from_bytes(number.saturating_mul(unit.factor()))
    }

    fn amount(&self) -> u128 {
        self.bytes().into()
    }
}

impl Quantity for ConfigDuration {
    const EXAMPLE: &'static str = "1m30s";

    const MAX: Self = Self::MAX;

    fn of_units(number: u64, unit: Unit) -> Self {
        from_nanos(u128::from(number) * u128::from(unit.factor())).unwrap_or(Self::MAX)
    }

    fn amount(&self) -> u128 {
        self.as_nanos()
    }
}

/// Reads a size or a duration from a text with a unit.
fn of_text<T: FromStr>(text: &str, unit: Option<Unit>) -> Option<T> {
    if lacks_unit(text, unit) { None } else { text.parse().ok() }
}

/// Whether a text is a number alone where a number counts megabytes. Feldera rejects it as well: one would read
/// megabytes, another bytes.
fn lacks_unit(text: &str, unit: Option<Unit>) -> bool {
    matches!(unit, Some(Unit::Megabytes | Unit::Mebibytes)) && text.parse::<f64>().is_ok()
}

/// Reads a size or a duration from a whole number of units. The number may be written with a decimal point.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "whole numbers from 0 to 2^53 are the same as floating-point numbers"
)]
fn of_number<T: Quantity>(number: Number, unit: Option<Unit>) -> Option<T> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    let number = match number {
        Number::Unsigned(number) => number,
        Number::Float(number) if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) => number as u64,
        Number::Signed(_) | Number::Float(_) => return None,
    };
    unit.map(|unit| T::of_units(number, unit))
}

/// Returns why a size or a duration cannot be read.
fn problem<T: Quantity + FromStr<Err = InvalidUnit>>(value: &Json, unit: Option<Unit>) -> String {
    let example = T::EXAMPLE;
    match value.parse::<String>() {
        Ok(text) if lacks_unit(&text, unit) => {
            format!("{text:?} has no unit, and its number alone would count bytes; add a unit, as in {example:?}")
        }
        Ok(text) => text.parse::<T>().err().map(|error| error.to_string()).unwrap_or_default(),
        Err(_) => {
            let shown = crate::error::excerpt(value.get().as_bytes(), 40);
            let plural = unit.map_or("units", Unit::plural);
            format!(
                "{shown} is not a text with a unit, nor a whole number of {plural} in range; write a text as in {example:?}"
            )
        }
    }
}

/// Returns the number of units to write under the old name.
fn number<T: Quantity>(of: &T, unit: Unit, spelling: Spelling) -> Option<OldValue> {
    let (amount, factor) = (of.amount(), u128::from(unit.factor()));
    match spelling {
        Spelling::Old | Spelling::Common if amount == T::MAX.amount() => Some(OldValue::Number(u64::MAX)),
        Spelling::Old => Some(OldValue::Number(u64::try_from(amount.div_ceil(factor)).unwrap_or(u64::MAX))),
        Spelling::Common if amount % factor == 0 => u64::try_from(amount / factor).ok().map(OldValue::Number),
        Spelling::New | Spelling::Common => None,
    }
}

impl SettingValue for ByteSize {
    const EXPECTED: &'static str = "a size";

    fn of_number(number: Number, unit: Option<Unit>) -> Option<Self> {
        of_number(number, unit)
    }

    fn of_text(text: &str, unit: Option<Unit>) -> Option<Self> {
        of_text(text, unit)
    }

    fn problem(value: &Json, unit: Option<Unit>) -> String {
        problem::<Self>(value, unit)
    }

    fn number(&self, unit: Unit, spelling: Spelling) -> Option<OldValue> {
        number(self, unit, spelling)
    }
}

impl SettingValue for ConfigDuration {
    const EXPECTED: &'static str = "a duration";

    fn of_number(number: Number, unit: Option<Unit>) -> Option<Self> {
        of_number(number, unit)
    }

    fn of_text(text: &str, unit: Option<Unit>) -> Option<Self> {
        of_text(text, unit)
    }

    fn problem(value: &Json, unit: Option<Unit>) -> String {
        problem::<Self>(value, unit)
    }

    fn number(&self, unit: Unit, spelling: Spelling) -> Option<OldValue> {
        number(self, unit, spelling)
    }
}

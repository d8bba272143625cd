//! [`SettingValue`]: the values of settings.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serializer;
use serde::de::Error as _;
use serde_json::Error;

use super::{Spelling, Unit};
use crate::feldera::units::from_nanos;
use crate::feldera::{ByteSize, ConfigDuration, InvalidUnit, Json, SecretText};
use crate::schema::WireField;

/// The value of a setting.
pub(in crate::feldera) trait SettingValue: WireField + Clone {
    /// Whether `null` is one of its values.
    const READS_NULL: bool = false;

    /// Reads the value. Numbers of sizes and durations count in the unit.
    ///
    /// # Errors
    /// When it is of another kind.
    fn read_setting(value: &Json, _unit: Option<Unit>) -> Result<Self, Error> {
        let mut reader = serde_json::Deserializer::from_str(value.get());
        let read = Self::read(&mut reader)?;
        reader.end().map(|()| read)
    }

    /// Writes the value as the new name has it.
    ///
    /// # Errors
    /// The serializer's.
    fn write_setting<S: Serializer>(&self, serializer: S, _spelling: Spelling) -> Result<S::Ok, S::Error> {
        self.write(serializer)
    }

    /// The number that goes out under the old name, `Some(None)` for `null`. `None` if the new name is to be used.
    fn number(&self, _unit: Unit, _spelling: Spelling) -> Option<Option<u64>> {
        None
    }

    /// Whether a setting in it was read under its new name.
    fn has_new_names(&self) -> bool {
        false
    }

    /// Takes over what is given in `wanted`, and keeps the rest.
    fn overlay(&mut self, wanted: &Self) {
        if !wanted.is_absent() {
            self.clone_from(wanted);
        }
    }
}

/// Values that are the same in all releases.
macro_rules! plain_settings {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::feldera::settings::SettingValue for $type {}
    )*};
}

pub(in crate::feldera) use plain_settings;

plain_settings!(bool, i32, u32, u64, f64, String, Json, SecretText, Vec<u64>, Vec<String>);

impl<T: SettingValue> SettingValue for Option<T> {
    fn read_setting(value: &Json, unit: Option<Unit>) -> Result<Self, Error> {
        if value.get() == "null" && !T::READS_NULL { Ok(None) } else { T::read_setting(value, unit).map(Some) }
    }

    fn write_setting<S: Serializer>(&self, serializer: S, spelling: Spelling) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.write_setting(serializer, spelling),
            None => serializer.serialize_none(),
        }
    }

    fn number(&self, unit: Unit, spelling: Spelling) -> Option<Option<u64>> {
        self.as_ref().and_then(|value| value.number(unit, spelling))
    }

    fn has_new_names(&self) -> bool {
        self.as_ref().is_some_and(T::has_new_names)
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
    fn read_setting(value: &Json, unit: Option<Unit>) -> Result<Self, Error> {
        T::read_setting(value, unit).map(Self::new)
    }

    fn write_setting<S: Serializer>(&self, serializer: S, spelling: Spelling) -> Result<S::Ok, S::Error> {
        T::write_setting(self, serializer, spelling)
    }

    fn has_new_names(&self) -> bool {
        T::has_new_names(self)
    }

    fn overlay(&mut self, wanted: &Self) {
        T::overlay(self, wanted);
    }
}

impl SettingValue for BTreeMap<String, SecretText> {
    fn overlay(&mut self, wanted: &Self) {
        self.extend(wanted.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// A size or a duration.
trait Quantity: Sized {
    /// A text that has a unit.
    const EXAMPLE: &'static str;

    /// That many units; `None` if it is too large.
    fn of_units(number: u64, unit: Unit) -> Option<Self>;

    /// The number of bytes or nanoseconds.
    fn amount(&self) -> u128;
}

impl Quantity for ByteSize {
    const EXAMPLE: &'static str = "16Gi";

    fn of_units(number: u64, unit: Unit) -> Option<Self> {
        number.checked_mul(unit.factor()).map(Self::from_bytes)
    }

    fn amount(&self) -> u128 {
        self.bytes().into()
    }
}

impl Quantity for ConfigDuration {
    const EXAMPLE: &'static str = "1m30s";

    fn of_units(number: u64, unit: Unit) -> Option<Self> {
        from_nanos(u128::from(number) * u128::from(unit.factor()))
    }

    fn amount(&self) -> u128 {
        self.as_nanos()
    }
}

/// Reads a size or a duration: a text with a unit, or a whole number that counts in the unit.
fn read_quantity<T: Quantity + FromStr<Err = InvalidUnit>>(value: &Json, unit: Option<Unit>) -> Result<T, Error> {
    if let Ok(text) = value.parse::<String>() {
        // Feldera rejects it as well: one would read megabytes, another bytes.
        if matches!(unit, Some(Unit::Megabytes | Unit::Mebibytes)) && text.parse::<f64>().is_ok() {
            let problem = format_args!(
                "{text:?} has no unit, and its number alone would count bytes; add a unit, as in {:?}",
                T::EXAMPLE
            );
            return Err(Error::custom(problem));
        }
        return text.parse().map_err(Error::custom);
    }
    let read = whole_number(value.get()).zip(unit).and_then(|(number, unit)| T::of_units(number, unit));
    read.ok_or_else(|| {
        let shown = crate::error::excerpt(value.get().as_bytes(), 40);
        let (plural, example) = (unit.map_or("units", Unit::plural), T::EXAMPLE);
        Error::custom(format_args!(
            "{shown} is not a text with a unit, nor a whole number of {plural} in range; write a text as in {example:?}"
        ))
    })
}

/// The number that a JSON number is, if it is a whole one, whether or not it is written with a point.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "whole numbers from 0 to 2^53 are the same as floating-point numbers"
)]
fn whole_number(text: &str) -> Option<u64> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    let whole = |number: f64| (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64);
    text.parse().ok().or_else(|| serde_json::from_str(text).ok().and_then(whole))
}

/// The number of units that goes out under the old name.
fn number(of: &impl Quantity, unit: Unit, spelling: Spelling) -> Option<Option<u64>> {
    let (amount, factor) = (of.amount(), u128::from(unit.factor()));
    match spelling {
        Spelling::New => None,
        Spelling::Old => Some(Some(u64::try_from(amount.div_ceil(factor)).unwrap_or(u64::MAX))),
        Spelling::Common if amount % factor == 0 => u64::try_from(amount / factor).ok().map(Some),
        Spelling::Common => None,
    }
}

impl SettingValue for ByteSize {
    fn read_setting(value: &Json, unit: Option<Unit>) -> Result<Self, Error> {
        read_quantity(value, unit)
    }

    fn number(&self, unit: Unit, spelling: Spelling) -> Option<Option<u64>> {
        number(self, unit, spelling)
    }
}

impl SettingValue for ConfigDuration {
    fn read_setting(value: &Json, unit: Option<Unit>) -> Result<Self, Error> {
        read_quantity(value, unit)
    }

    fn number(&self, unit: Unit, spelling: Spelling) -> Option<Option<u64>> {
        number(self, unit, spelling)
    }
}

//! A serializer around another that sees what JSON has no word for.
//!
//! `serde_json` writes `NaN` and the infinities as `null` and says nothing; its `Formatter` cannot tell them from a `None`.
//! So the numbers are looked at before they come there. All calls are passed on as they are, and nothing is allocated.

use std::cell::Cell;
use std::fmt;

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

/// What `serde_json` calls a value that is JSON already; its text may hold line ends.
const RAW: &str = "$serde_json::private::RawValue";

/// What was seen of a row.
#[derive(Debug)]
pub(super) struct Watch {
    /// Whether numbers that are not finite are errors.
    refuse: bool,
    not_finite: Cell<bool>,
    raw: Cell<bool>,
}

/// Any of serde's serializers, with a watch.
pub(super) struct Checked<'w, S> {
    inner: S,
    watch: &'w Watch,
}

/// A value on its way into a serializer of ours.
struct Value<'v, 'w, T: ?Sized>(&'v T, &'w Watch);

impl<'w, S> Checked<'w, S> {
    pub(super) fn new(inner: S, watch: &'w Watch) -> Self {
        Self { inner, watch }
    }

    fn try_with<T, E>(self, wrapped: impl FnOnce(S) -> Result<T, E>) -> Result<Checked<'w, T>, E> {
        Ok(Checked { inner: wrapped(self.inner)?, watch: self.watch })
    }

    fn value<'v, T: ?Sized>(&self, value: &'v T) -> Value<'v, 'w, T> {
        Value(value, self.watch)
    }
}

impl Watch {
    pub(super) fn new(refuse_not_finite: bool) -> Self {
        Self { refuse: refuse_not_finite, not_finite: Cell::new(false), raw: Cell::new(false) }
    }

    /// Whether a number that is not finite was refused.
    pub(super) fn saw_not_finite(&self) -> bool {
        self.not_finite.get()
    }

    /// Whether there was a value that is JSON already.
    pub(super) fn saw_raw(&self) -> bool {
        self.raw.get()
    }

    fn number<E: serde::ser::Error>(&self, finite: bool) -> Result<(), E> {
        if finite || !self.refuse {
            return Ok(());
        }
        self.not_finite.set(true);
        Err(E::custom("not a finite number"))
    }
}

impl<T: Serialize + ?Sized> Serialize for Value<'_, '_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Checked::new(serializer, self.1))
    }
}

/// Passes scalars on.
macro_rules! pass_on {
    ($( $name:ident($kind:ty) )*) => {
        $( fn $name(self, value: $kind) -> Result<S::Ok, S::Error> {
            self.inner.$name(value)
        } )*
    };
}

impl<'w, S: Serializer> Serializer for Checked<'w, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Checked<'w, S::SerializeSeq>;
    type SerializeTuple = Checked<'w, S::SerializeTuple>;
    type SerializeTupleStruct = Checked<'w, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Checked<'w, S::SerializeTupleVariant>;
    type SerializeMap = Checked<'w, S::SerializeMap>;
    type SerializeStruct = Checked<'w, S::SerializeStruct>;
    type SerializeStructVariant = Checked<'w, S::SerializeStructVariant>;

    pass_on! {
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_unit_struct(&'static str)
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.watch.number(value.is_finite())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.watch.number(value.is_finite())?;
        self.inner.serialize_f64(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_some(&value)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.try_with(|inner| inner.serialize_seq(length))
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.try_with(|inner| inner.serialize_tuple(length))
    }

    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.try_with(|inner| inner.serialize_tuple_struct(name, length))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.try_with(|inner| inner.serialize_tuple_variant(name, index, variant, length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.try_with(|inner| inner.serialize_map(length))
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        if name == RAW {
            self.watch.raw.set(true);
        }
        self.try_with(|inner| inner.serialize_struct(name, length))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.try_with(|inner| inner.serialize_struct_variant(name, index, variant, length))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Lists: one method for each element, under three names.
macro_rules! elements {
    ($( $kind:ident $method:ident )*) => {
        $( impl<S: $kind> $kind for Checked<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                let value = self.value(value);
                self.inner.$method(&value)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        } )*
    };
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

/// Records.
macro_rules! fields {
    ($( $kind:ident )*) => {
        $( impl<S: $kind> $kind for Checked<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
                let value = self.value(value);
                self.inner.serialize_field(key, &value)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        } )*
    };
}

fields! { SerializeStruct SerializeStructVariant }

/// Keys are passed on as they are: `serde_json` itself refuses those that are no finite number.
impl<S: SerializeMap> SerializeMap for Checked<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let value = self.value(value);
        self.inner.serialize_value(&value)
    }

    fn serialize_entry<K: Serialize + ?Sized, T: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &T,
    ) -> Result<(), S::Error> {
        let value = self.value(value);
        self.inner.serialize_entry(key, &value)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

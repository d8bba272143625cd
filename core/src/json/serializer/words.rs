//! [`Words`]: keys, and what is JSON already.

use std::fmt;

use serde::Serialize;
use serde::ser::{Error as _, Impossible, Serializer};
use serde_json::Error;

use super::JsonSerializer;
use crate::json::{check, text};

/// Writes what has to be a text.
pub(super) struct Words<'s, 'b> {
    out: &'s mut JsonSerializer<'b>,
    quotes: bool,
}

impl<'s, 'b> Words<'s, 'b> {
    /// A key; it may be a number too.
    #[inline]
    pub(super) fn key(out: &'s mut JsonSerializer<'b>) -> Self {
        Self { out, quotes: true }
    }

    /// JSON that is written already.
    #[inline]
    pub(super) fn verbatim(out: &'s mut JsonSerializer<'b>) -> Self {
        Self { out, quotes: false }
    }
}

impl Words<'_, '_> {
    fn quoted<T: Serialize>(self, value: T) -> Result<(), Error> {
        self.out.buffer.push(b'"');
        value.serialize(&mut *self.out)?;
        self.out.buffer.push(b'"');
        Ok(())
    }

    fn quoted_if<T: Serialize>(self, is_finite: bool, value: T) -> Result<(), Error> {
        if !is_finite {
            return Err(Error::custom("float key must be finite (got NaN or +/-inf)"));
        }
        self.quoted(value)
    }
}

/// Scalars as keys, with quotes around them.
macro_rules! quoted {
    ($( $name:ident($kind:ty) )*) => {
        $( fn $name(self, value: $kind) -> Result<(), Error> {
            self.quoted(value)
        } )*
    };
}

/// Values that cannot be keys.
macro_rules! rejected {
    ($( $name:ident($( $kind:ty ),*) -> $output:ty; )*) => {
        $( fn $name(self, $( _: $kind ),*) -> Result<$output, Error> {
            Err(Error::custom("key must be a string"))
        } )*
    };
}

impl Serializer for Words<'_, '_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    quoted! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    rejected! {
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.quoted_if(value.is_finite(), value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.quoted_if(value.is_finite(), value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        let buffer = &mut *self.out.buffer;
        if self.quotes {
            text::string(buffer, value);
        } else {
            check(value.as_bytes(), self.out.depth).map_err(Error::custom)?;
            // Line ends are outside of texts, where they are white space: within them JSON has none.
            buffer.extend(value.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::custom("key must be a string"))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        if self.quotes { self.out.collect_str(value) } else { self.serialize_str(&value.to_string()) }
    }
}

//! [`JsonSerializer`]: values as JSON, at the end of a buffer.
//!
//! It writes what `serde_json` writes, byte for byte, and formats numbers with `serde_json`'s own formatter. Two
//! reasons rule out `serde_json`'s serializer. It writes `NaN` and the infinities as `null` without an error, and a
//! wrapper that checks for them costs more than it saves. And it scans strings byte by byte, which takes two thirds of
//! the time of a row.

#![allow(clippy::inline_always, reason = "a call for each field of a row is measurable")]

mod words;

use std::fmt;

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Error;
use serde_json::ser::{CompactFormatter, Formatter as _};

use self::words::Words;
use super::{MAX_SENT_DEPTH, NOT_FINITE, NonFinite, text};

/// What `serde_json` calls a value that is JSON already, and a number of more digits than `f64` has: texts to be
/// written as they are.
const VERBATIM: [&str; 2] = ["$serde_json::private::RawValue", "$serde_json::private::Number"];

/// Writes a value behind what a buffer has.
#[derive(Debug)]
pub(super) struct JsonSerializer<'b> {
    buffer: &'b mut Vec<u8>,
    non_finite: NonFinite,
    saw_not_finite: bool,
    /// How many lists and objects are open.
    depth: usize,
}

/// A list or an object that has begun.
#[derive(Debug)]
pub(super) struct Items<'s, 'b> {
    out: &'s mut JsonSerializer<'b>,
    is_first: bool,
    kind: Kind,
    /// Whether an object with the name of a variant is around it.
    in_variant: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    List,
    Object,
    /// No object at all, but its only value.
    Verbatim,
}

impl<'b> JsonSerializer<'b> {
    pub(super) fn new(buffer: &'b mut Vec<u8>, non_finite: NonFinite) -> Self {
        Self { buffer, non_finite, saw_not_finite: false, depth: 0 }
    }

    /// Whether a number that is not finite was rejected.
    pub(super) fn saw_not_finite(&self) -> bool {
        self.saw_not_finite
    }

    #[inline]
    fn begin(&mut self, kind: Kind, in_variant: bool) -> Result<Items<'_, 'b>, Error> {
        match kind {
            Kind::List => self.descend(b'[')?,
            Kind::Object => self.descend(b'{')?,
            Kind::Verbatim => {}
        }
        Ok(Items { out: self, is_first: true, kind, in_variant })
    }

    #[inline]
    fn descend(&mut self, bracket: u8) -> Result<(), Error> {
        if self.depth >= MAX_SENT_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        self.buffer.push(bracket);
        Ok(())
    }

    #[inline]
    fn ascend(&mut self, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        self.buffer.push(bracket);
    }

    /// The object around the value of a variant.
    #[inline]
    fn begin_variant(&mut self, variant: &str) -> Result<(), Error> {
        self.descend(b'{')?;
        text::string(self.buffer, variant);
        self.buffer.push(b':');
        Ok(())
    }

    #[cold]
    fn not_finite(&mut self) -> Result<(), Error> {
        match self.non_finite {
            NonFinite::Null => {
                self.buffer.extend_from_slice(b"null");
                Ok(())
            }
            NonFinite::Reject => {
                self.saw_not_finite = true;
                Err(Error::custom("not a finite number"))
            }
        }
    }
}

/// A value that refers to a value of its own type may nest without an end.
#[cold]
fn too_deep() -> Error {
    Error::custom(format_args!("nested more than {MAX_SENT_DEPTH} levels deep; send the inner value as a string"))
}

/// By `serde_json`, into memory.
macro_rules! by_formatter {
    ($( $name:ident($kind:ty) $write:ident )*) => {
        $( #[inline]
        fn $name(self, value: $kind) -> Result<(), Error> {
            CompactFormatter.$write(&mut *self.buffer, value).map_err(Error::custom)
        } )*
    };
}

impl<'s, 'b> Serializer for &'s mut JsonSerializer<'b> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'s, 'b>;
    type SerializeTuple = Items<'s, 'b>;
    type SerializeTupleStruct = Items<'s, 'b>;
    type SerializeTupleVariant = Items<'s, 'b>;
    type SerializeMap = Items<'s, 'b>;
    type SerializeStruct = Items<'s, 'b>;
    type SerializeStructVariant = Items<'s, 'b>;

    by_formatter! {
        serialize_bool(bool) write_bool
        serialize_i8(i8) write_i8
        serialize_i16(i16) write_i16
        serialize_i32(i32) write_i32
        serialize_i64(i64) write_i64
        serialize_i128(i128) write_i128
        serialize_u8(u8) write_u8
        serialize_u16(u16) write_u16
        serialize_u32(u32) write_u32
        serialize_u64(u64) write_u64
        serialize_u128(u128) write_u128
        serialize_bytes(&[u8]) write_byte_array
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        if !value.is_finite() {
            return self.not_finite();
        }
        CompactFormatter.write_f32(&mut *self.buffer, value).map_err(Error::custom)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if !value.is_finite() {
            return self.not_finite();
        }
        CompactFormatter.write_f64(&mut *self.buffer, value).map_err(Error::custom)
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        text::string(self.buffer, value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        self.buffer.extend_from_slice(b"null");
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Error> {
        if name == NOT_FINITE {
            return self.not_finite();
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.begin_variant(variant)?;
        value.serialize(&mut *self)?;
        self.ascend(b'}');
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'s, 'b>, Error> {
        self.begin(Kind::List, false)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Items<'s, 'b>, Error> {
        self.begin(Kind::List, false)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'s, 'b>, Error> {
        self.begin(Kind::List, false)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'s, 'b>, Error> {
        self.begin_variant(variant)?;
        self.begin(Kind::List, true)
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Items<'s, 'b>, Error> {
        self.begin(Kind::Object, false)
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Items<'s, 'b>, Error> {
        let kind = if VERBATIM.contains(&name) { Kind::Verbatim } else { Kind::Object };
        self.begin(kind, false)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'s, 'b>, Error> {
        self.begin_variant(variant)?;
        self.begin(Kind::Object, true)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        /// Writes escapes as it goes.
        struct Contents<'b>(&'b mut Vec<u8>);

        impl fmt::Write for Contents<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text::contents(self.0, text);
                Ok(())
            }
        }

        self.buffer.push(b'"');
        fmt::Write::write_fmt(&mut Contents(self.buffer), format_args!("{value}")).map_err(Error::custom)?;
        self.buffer.push(b'"');
        Ok(())
    }
}

impl Items<'_, '_> {
    #[inline]
    fn comma(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.buffer.push(b',');
        }
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.comma();
        value.serialize(&mut *self.out)
    }

    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        if self.kind == Kind::Verbatim {
            return self.verbatim(value);
        }
        self.comma();
        text::string(self.out.buffer, key);
        self.out.buffer.push(b':');
        value.serialize(&mut *self.out)
    }

    /// Not inlined, so that the fields of rows are.
    #[cold]
    #[inline(never)]
    fn verbatim<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Words::verbatim(self.out))
    }

    #[inline]
    fn close(self) {
        match self.kind {
            Kind::List => self.out.ascend(b']'),
            Kind::Object => self.out.ascend(b'}'),
            Kind::Verbatim => {}
        }
        if self.in_variant {
            self.out.ascend(b'}');
        }
    }
}

/// One method for each element or field, under several names.
macro_rules! items {
    ($( $kind:ident $add:ident($( $key:ident )?) $by:ident )*) => {
        $( impl $kind for Items<'_, '_> {
            type Ok = ();
            type Error = Error;

            #[inline(always)]
            fn $add<T: Serialize + ?Sized>(&mut self, $( $key: &'static str, )? value: &T) -> Result<(), Error> {
                self.$by($( $key, )? value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        } )*
    };
}

items! {
    SerializeSeq serialize_element() element
    SerializeTuple serialize_element() element
    SerializeTupleStruct serialize_field() element
    SerializeTupleVariant serialize_field() element
    SerializeStruct serialize_field(key) field
    SerializeStructVariant serialize_field(key) field
}

impl SerializeMap for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.comma();
        key.serialize(Words::key(self.out))?;
        self.out.buffer.push(b':');
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.out)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

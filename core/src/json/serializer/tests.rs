//! Beside `serde_json`.

use std::collections::BTreeMap;

use serde_json::{json, value::RawValue};

use super::*;
use Shape::*;

fn ours<T: Serialize + ?Sized>(value: &T, non_finite: NonFinite) -> Result<String, String> {
    let mut buffer = Vec::new();
    value.serialize(&mut JsonSerializer::new(&mut buffer, non_finite)).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(buffer).expect("UTF-8"))
}

/// As `serde_json` writes it, or with its error.
fn same<T: Serialize + ?Sized>(value: &T) {
    let theirs = serde_json::to_string(value).map_err(|error| error.to_string());
    assert_eq!(ours(value, NonFinite::Null), theirs);
    assert_eq!(ours(value, NonFinite::Reject), theirs);
}

/// As `serde_json` writes it, or rejected.
fn same_or_rejected<T: Serialize + ?Sized>(value: &T) {
    assert_eq!(ours(value, NonFinite::Null), Ok(serde_json::to_string(value).expect("fine")));
    assert_eq!(ours(value, NonFinite::Reject), Err("not a finite number".to_owned()));
}

/// What no type of the standard library asks for.
enum Shape {
    Newtype,
    NewtypeVariant,
    TupleStruct(usize),
    TupleVariant(usize),
    Struct(usize),
    StructVariant(usize),
    UnitStruct,
    UnitVariant,
    Bytes,
    Displayed,
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Newtype => serializer.serialize_newtype_struct("N", "inner"),
            Self::NewtypeVariant => serializer.serialize_newtype_variant("N", 0, "a \"variant\"", &[1, 2]),
            Self::TupleStruct(length) => {
                let mut items = serializer.serialize_tuple_struct("T", length)?;
                (0..length).try_for_each(|item| items.serialize_field(&item))?;
                items.end()
            }
            Self::TupleVariant(length) => {
                let mut items = serializer.serialize_tuple_variant("T", 0, "V", length)?;
                (0..length).try_for_each(|item| items.serialize_field(&item))?;
                items.end()
            }
            Self::Struct(length) => {
                let mut fields = serializer.serialize_struct("S", length)?;
                (0..length).try_for_each(|item| fields.serialize_field("k\n", &item))?;
                fields.end()
            }
            Self::StructVariant(length) => {
                let mut fields = serializer.serialize_struct_variant("S", 0, "V", length)?;
                (0..length).try_for_each(|item| fields.serialize_field("k\n", &item))?;
                fields.end()
            }
            Self::UnitStruct => serializer.serialize_unit_struct("U"),
            Self::UnitVariant => serializer.serialize_unit_variant("U", 0, "V"),
            Self::Bytes => serializer.serialize_bytes(b"bytes"),
            Self::Displayed => serializer.collect_str(&format_args!("{} \"{}\"\n", 1, "two")),
        }
    }
}

#[test]
fn every_kind_of_value() {
    same(&(true, 'é', '"', "a\\b", ()));
    same(&(i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN));
    same(&(u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX));
    same(&[0.0, -0.0, 1.0, 1e-7, 1e21, f64::MIN, f64::MIN_POSITIVE]);
    same(&[0.1_f32, f32::MAX, 16_777_216.0]);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        same_or_rejected(&[Some(1.0), None, Some(number)]);
    }
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        same_or_rejected(&BTreeMap::from([("k", number)]));
    }
    same(&[Some("one"), None]);
    same::<[&str]>(&[]);
    same(&json!({ "a": [], "b": {}, "c": [{}, { "d": [null, [1, 2.5, "x"]] }], "": "" }));
    for length in 0..3 {
        for shape in [TupleStruct(length), TupleVariant(length), Struct(length), StructVariant(length)] {
            same(&[&shape, &shape]);
        }
    }
    for shape in [Newtype, NewtypeVariant, UnitStruct, UnitVariant, Bytes, Displayed] {
        same(&[&shape, &shape]);
    }
}

/// A map with one key.
struct One<K>(K);

impl<K: Serialize> Serialize for One<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(&self.0, 1)])
    }
}

#[test]
fn every_kind_of_key() {
    same(&BTreeMap::from([(true, 1), (false, 2)]));
    same(&BTreeMap::from([('a', 1), ('\n', 2)]));
    same(&BTreeMap::from([(i128::MIN, 1), (5, 2)]));
    same(&BTreeMap::from([(u128::MAX, 1)]));
    same(&BTreeMap::from([(Some("some"), 1)]));
    same(&BTreeMap::from([(None::<&str>, 1)]));
    same(&BTreeMap::from([((), 1)]));
    same(&BTreeMap::from([([1], 1)]));

    for number in [1.5, f64::NAN, f64::INFINITY] {
        same(&One(number));
    }
    for number in [1.5, f32::NAN, f32::INFINITY] {
        same(&One(number));
    }
    for shape in [Newtype, NewtypeVariant, UnitStruct, UnitVariant, Bytes, Displayed, Struct(1), TupleVariant(1)] {
        same(&One(shape));
    }
}

#[test]
fn a_key_that_occurs_twice_is_written_twice() {
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([("k", 1), ("k", 2)])
        }
    }
    same(&Twice);
}

/// A field of one of our own records.
struct Ratio(f64);

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::schema::AsWire(&self.0).serialize(serializer)
    }
}

#[test]
fn a_number_of_a_record_that_is_not_finite_is_one_here_and_a_text_elsewhere() {
    same(&Ratio(0.5));
    for (number, text) in [(f64::NAN, "NaN"), (f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")] {
        assert_eq!(serde_json::to_value(Ratio(number)).ok(), Some(json!(text)));
        assert_eq!(ours(&Ratio(number), NonFinite::Null).as_deref(), Ok("null"));
        assert_eq!(ours(&Ratio(number), NonFinite::Reject), Err("not a finite number".to_owned()));
    }
}

#[test]
fn what_is_json_already() {
    let raw = RawValue::from_string("[1, {\"a\":\"\\n\"}]".to_owned()).expect("JSON");
    same(&[&raw, &raw]);
    same(&BTreeMap::from([("k", &raw)]));
    let lines = RawValue::from_string("[\r\n1]".to_owned()).expect("JSON");
    assert_eq!(ours(&lines, NonFinite::Reject).as_deref(), Ok("[  1]"));
}

/// `serde_json` takes all of these for raw values.
#[test]
fn what_is_json_already_is_checked() {
    for (text, problem) in [
        ("[1e999]", "the number at byte 2 is beyond the range of a 64-bit float"),
        (r#""\ud800""#, "the escape at byte 2 is one half of a surrogate pair"),
        (&("[".repeat(120) + &"]".repeat(120)), "JSON nested more than 120 levels deep at byte 120"),
    ] {
        let raw = RawValue::from_string(text.replace("\\\\", "\\")).expect("raw JSON");
        let error = ours(&[raw], NonFinite::Reject).expect_err(problem);
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn serialized_values_have_a_bounded_nesting() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": [inner] }));
    assert!(ours(&nested(60), NonFinite::Reject).is_ok());
    let error = ours(&[nested(60)], NonFinite::Reject).expect_err("121 levels");
    assert!(error.contains("nested more than 120 levels deep"), "{error}");
    assert!(ours(&[Chain(119), Chain(119)], NonFinite::Reject).is_ok());
    assert!(ours(&Chain(121), NonFinite::Reject).is_err());
}

/// Variants nest without a list or an object of their own.
struct Chain(u32);

impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.checked_sub(1) {
            Some(rest) => serializer.serialize_newtype_variant("Chain", 0, "Next", &Chain(rest)),
            None => serializer.serialize_unit_variant("Chain", 1, "End"),
        }
    }
}

/// A number as `serde_json` hands it over when it keeps all digits, which is a feature that others may switch on.
struct Digits(&'static str);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const NAME: &str = "$serde_json::private::Number";
        let mut number = serializer.serialize_struct(NAME, 1)?;
        number.serialize_field(NAME, self.0)?;
        number.end()
    }
}

#[test]
fn a_number_keeps_all_its_digits() {
    let digits = "-12345678901234567890.12345678901234567890e280";
    assert_eq!(ours(&[Digits(digits), Digits("0")], NonFinite::Reject), Ok(format!("[{digits},0]")));
    assert_eq!(ours(&BTreeMap::from([("k", Digits("1.50"))]), NonFinite::Reject).as_deref(), Ok(r#"{"k":1.50}"#));
}

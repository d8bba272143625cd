//! Which values of the wire each kind of field takes.

use crate::schema::json_structs;

json_structs! {
    /// Of every kind of field that a `null` is looked for in.
    struct Sample {
        /// Must be there.
        pub count: u32 = "count",
        /// Under two names.
        pub cause: Option<i64> = "cause" | "failure-cause",
    }

    /// Of texts.
    struct Named {
        /// Must be there.
        pub name: String = "name",
        /// May be none.
        pub tag: Option<String> = "tag",
    }
}

fn read(text: &str) -> Result<(u32, Option<i64>), String> {
    serde_json::from_str::<Sample>(text).map(|it| (it.count, it.cause)).map_err(|error| error.to_string())
}

#[test]
fn null_is_the_same_as_absent_under_either_name() {
    assert_eq!(read(r#"{"count":1,"cause":null,"failure-cause":2}"#), Ok((1, Some(2))));
    assert_eq!(read(r#"{"count":null,"count":1,"failure-cause":null}"#), Ok((1, None)));
    assert_eq!(read(r#"{"count":1,"cause":3,"failure-cause":null,"cause":4}"#), Ok((1, Some(3))));
    assert!(read(r#"{"count":null}"#).is_err_and(|error| error.contains("missing field `count`")));
}

/// As `serde_json` hands over numbers while its feature `arbitrary_precision` is on.
#[test]
fn numbers_may_come_as_maps_of_one_entry() {
    use serde::de::value::{Error, MapDeserializer};

    use super::WireField;

    let map = |key, text| MapDeserializer::<_, Error>::new([(key, text)].into_iter());
    let number = |text| map("$serde_json::private::Number", text);
    assert_eq!(u64::read_or_null(number("18446744073709551615")), Ok(Some(u64::MAX)));
    assert_eq!(i64::read_or_null(number("-7")), Ok(Some(-7)));
    assert_eq!(f64::read(number("2.50")), Ok(2.5));
    let error = u32::read_or_null(number("4294967296")).expect_err("too large");
    assert!(error.to_string().contains("invalid value: 4294967296, expected a number, u32"), "{error}");
    let error = f64::read(map("value", "1")).expect_err("a map");
    assert!(error.to_string().contains("invalid type: map, expected a number"), "{error}");
}

#[test]
fn texts_are_read_with_their_escapes_and_nothing_else_is() {
    let read = |text: &str| serde_json::from_str::<Named>(text).map_err(|error| error.to_string());
    let named = read(r#"{"name":"a\n\u00e9","tag":"t"}"#).expect("texts");
    assert_eq!((&*named.name, named.tag.as_deref()), ("a\né", Some("t")));
    assert_eq!(read(r#"{"name":"","tag":null}"#).map(|named| named.tag), Ok(None));
    assert!(read(r#"{"name":null}"#).is_err_and(|error| error.contains("missing field `name`")));
    for (value, problem) in [("1", "integer `1`"), ("true", "boolean `true`"), ("{}", "map"), ("[]", "sequence")] {
        let error = read(&format!(r#"{{"name":{value}}}"#)).expect_err(value);
        assert!(error.contains(problem) && error.contains("expected a string"), "{error}");
    }
}

#[test]
fn what_is_no_such_number_is_named() {
    for (value, problem) in [
        ("-1", "integer `-1`, expected a number, u32"),
        ("4294967296", "integer `4294967296`, expected a number, u32"),
        ("1.5", "floating point `1.5`, expected a number, u32"),
        ("\"1\"", "string \"1\", expected a number, u32"),
    ] {
        let error = read(&format!(r#"{{"count":{value}}}"#)).expect_err(value);
        assert!(error.contains(problem), "{error}");
    }
}

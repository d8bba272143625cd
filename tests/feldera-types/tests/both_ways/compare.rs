//! Reads a value of the server's with a type of ours, and what ours writes with the server's.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Fields that hold a moment as a number. The server's types take moments before 1970, which no server has seen.
const MOMENTS: &[&str] = &["start_time", "initial_start_time", "now", "t"];

/// How settings end that hold a size in a unit larger than a byte. More than 2⁶⁴ bytes are 2⁶⁴ - 1 bytes to us, as to
/// servers since 0.367, whatever the number was.
const LARGE_UNITS: &[&str] = &["_mb", "_mib", "_mb_max", "_mb_min"];

/// Compares a type of ours with one of the server's.
///
/// In the first value every field has a value. `ours_only` names the fields of ours that it does not fill: those of
/// older and of newer servers. All values, and all that the server's type accepts of the first value with one place
/// changed, go from the server to us and back; nothing may be lost.
pub(crate) fn compare<Ours, Theirs>(values: &[Theirs], ours_only: &[&str])
where
    Ours: Serialize + DeserializeOwned + Debug,
    Theirs: Serialize + DeserializeOwned,
{
    let written: Vec<Value> = values.iter().map(|value| serde_json::to_value(value).expect("JSON")).collect();
    for (at, value) in written.iter().enumerate() {
        let shown = format!("{:#?}", survives::<Ours, Theirs>(value));
        assert!(!shown.contains("Unknown("), "a variant that we do not know in {shown}");
        if at == 0 {
            assert_eq!(empty_fields(&shown), ours_only, "fields without a value in {shown}");
        }
    }
    let full = written.first().expect("a value with all fields");
    for changed in variations(full) {
        if let Some(value) = accepted::<Theirs>(&changed) {
            survives::<Ours, Theirs>(&value);
        }
    }
}

/// Sends a value of the server's to us and back, and gives it as we have read it.
fn survives<Ours, Theirs>(value: &Value) -> Ours
where
    Ours: Serialize + DeserializeOwned,
    Theirs: Serialize + DeserializeOwned,
{
    let name = std::any::type_name::<Ours>();
    let ours: Ours =
        serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{name} cannot read {value}: {error}"));
    let text = serde_json::to_string(&ours).expect("JSON");
    let theirs: Theirs =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("the server cannot read {name}, {text}: {error}"));
    let after = serde_json::to_value(theirs).expect("JSON");
    assert_eq!(said(after), said(value.clone()), "{name} writes {text}");
    ours
}

/// How the server writes a value, if it reads it.
fn accepted<Theirs: Serialize + DeserializeOwned>(value: &Value) -> Option<Value> {
    // Some of the server's types panic over fields that are not there.
    let read = || serde_json::from_str::<Theirs>(&value.to_string());
    let theirs = catch_unwind(AssertUnwindSafe(read)).ok()?.ok()?;
    serde_json::to_value(theirs).ok()
}

/// The value without what says nothing: `null` and empty lists and objects.
fn said(value: Value) -> Value {
    let says = |value: &Value| !matches!(value, Value::Null) && *value != json!([]) && *value != json!({});
    match value {
        Value::Object(fields) => Value::Object(
            fields.into_iter().map(|(key, value)| (key, said(value))).filter(|(_, value)| says(value)).collect(),
        ),
        // The items of a list have places.
        Value::Array(items) => Value::Array(items.into_iter().map(said).collect()),
        other => other,
    }
}

/// The value with one place changed, in all ways.
fn variations(value: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    collect(value, String::new(), &mut places);
    let mut all = Vec::new();
    for place in places {
        let old = value.pointer(&place).expect("it was found there");
        for new in others(old, &place) {
            let mut changed = value.clone();
            *changed.pointer_mut(&place).expect("it was found there") = new;
            all.push(changed);
        }
        let Some((parent, key)) = place.rsplit_once('/') else { continue };
        let mut without = value.clone();
        if let Some(Value::Object(fields)) = without.pointer_mut(parent) {
            fields.remove(&key.replace("~1", "/").replace("~0", "~"));
            all.push(without);
        }
    }
    all
}

fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            collect(value, format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), places);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| collect(value, format!("{place}/{at}"), places));
        }
        _ => {}
    }
    places.push(place);
}

fn others(old: &Value, place: &str) -> Vec<Value> {
    let is_moment = MOMENTS.iter().any(|moment| place.rsplit('/').next() == Some(moment));
    let is_size = LARGE_UNITS.iter().any(|end| place.ends_with(end));
    let mut others = match old {
        Value::Number(_) if is_moment => vec![json!(0)],
        Value::Number(_) if is_size => vec![json!(0), json!(u64::MAX), json!(-1), json!(255), json!(0.5)],
        Value::Number(_) => {
            vec![json!(0), json!(u64::MAX), json!(i64::MAX), json!(i64::MIN), json!(-1), json!(255), json!(0.5)]
        }
        Value::String(_) => vec![json!(""), json!("a \"b\"\n\u{e9}")],
        Value::Bool(value) => vec![json!(!value)],
        Value::Array(_) => vec![json!([])],
        Value::Object(_) => vec![json!({})],
        Value::Null => Vec::new(),
    };
    others.push(Value::Null);
    others
}

/// The names of the fields that have no value, from how a value is shown.
fn empty_fields(shown: &str) -> Vec<&str> {
    let empty = [": None,", ": [],", ": {},"];
    let mut names: Vec<_> =
        shown.lines().filter_map(|line| empty.iter().find_map(|end| line.strip_suffix(end))).map(str::trim).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// All variants of an enum of the server's. Does not compile if the enum has another variant.
macro_rules! each {
    ($name:ident { $($variant:ident),* $(,)? }) => {{
        let _ = |value: $name| match value { $( $name::$variant => () ),* };
        [$( $name::$variant ),*]
    }};
}

pub(crate) use each;

/// Compares an enum of ours, of which `ours` are the variants, with one of the server's. `ours_only` names the variants
/// of ours that the server does not have.
pub(crate) fn compare_words<Ours, Theirs>(theirs: &[Theirs], ours: &[Ours], ours_only: &[&str])
where
    Ours: Serialize + DeserializeOwned + Debug,
    Theirs: Serialize + DeserializeOwned,
{
    for value in theirs {
        let value = serde_json::to_value(value).expect("JSON");
        let shown = format!("{:?}", survives::<Ours, Theirs>(&value));
        assert!(!shown.contains("Unknown"), "we do not know {value}");
    }
    let unknown: Vec<String> = ours
        .iter()
        .map(|word| serde_json::to_value(word).expect("JSON"))
        .filter(|word| accepted::<Theirs>(word).as_ref() != Some(word))
        .map(|word| word.as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(unknown, ours_only);
}

//! Measures how much of an answer survives when its type reads it and writes it back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// How much survived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survival {
    /// Leaves of the original: texts, numbers, truth values, nulls, empty lists and objects.
    pub total: usize,
    /// Those that are still there with the same value.
    pub kept: usize,
    /// Where the others were, with `[]` for every index and `{…}` for keys that are data.
    pub lost: BTreeSet<String>,
}

impl Survival {
    /// Adds up several answers.
    pub fn add(&mut self, other: Self) {
        self.total += other.total;
        self.kept += other.kept;
        self.lost.extend(other.lost);
    }
}

/// Compares an answer with what was written back. `renamed` lists names that older releases use, and today's.
///
/// A `null` or an empty container survives as an absent field, too, and the other way round. Numbers are compared as
/// numbers, so that `1` and `1.0` are the same.
pub fn survival(before: &Value, after: &Value, renamed: &[(&str, &str)]) -> Survival {
    let (mut original, mut written) = (BTreeMap::new(), BTreeMap::new());
    collect(before, String::new(), renamed, &mut original);
    collect(after, String::new(), &[], &mut written);
    let mut survival = Survival { total: original.len(), ..Survival::default() };
    for (path, value) in original {
        let is_kept = match written.get(&path) {
            Some(other) => same(value, other),
            None => is_empty(value),
        };
        if is_kept {
            survival.kept += 1;
        } else {
            survival.lost.insert(general(&path));
        }
    }
    survival
}

/// All leaves by their paths, as in `jobs[3].tasks.running`.
fn collect<'a>(value: &'a Value, path: String, renamed: &[(&str, &str)], leaves: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let key = renamed.iter().find(|(old, _)| old == key).map_or(key.as_str(), |(_, new)| new);
                let dot = if path.is_empty() { "" } else { "." };
                collect(value, format!("{path}{dot}{key}"), renamed, leaves);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                collect(value, format!("{path}[{at}]"), renamed, leaves);
            }
        }
        leaf => {
            leaves.insert(path, leaf);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[allow(clippy::float_cmp, reason = "the same number is meant, not a close number")]
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        _ if one == other || is_empty(one) && is_empty(other) => true,
        (Value::Number(one), Value::Number(other)) if one.is_f64() != other.is_f64() => one.as_f64() == other.as_f64(),
        _ => false,
    }
}

/// The path without what differs from answer to answer.
fn general(path: &str) -> String {
    let mut text = String::new();
    for part in path.split_inclusive(['.', ']']) {
        match part.split_once('[') {
            Some((name, _)) => text.extend([name, "[]"]),
            None if part.trim_end_matches('.').len() == 32 && part.bytes().take(32).all(|b| b.is_ascii_hexdigit()) => {
                text.push_str("{…}");
                text.push_str(part.get(32..).unwrap_or_default());
            }
            None => text.push_str(part),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_named() {
        let before = serde_json::json!({"a": [{"b": 1, "@c": "x"}, {"b": 2.5}], "d": null, "e": [], "f": 1,
            "00000000000000000000000000000001": {"g": true}});
        let after = serde_json::json!({"a": [{"b": 1.0, "c": "x"}, {"b": 2}], "f": "1"});
        let survival = survival(&before, &after, &[("@c", "c")]);
        assert_eq!((survival.total, survival.kept), (7, 4));
        assert_eq!(Vec::from_iter(survival.lost), ["a[].b", "f", "{…}.g"]);
    }
}

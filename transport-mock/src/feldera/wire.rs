//! Forms of values in answers: times, ids, lines.

use std::fmt::Write as _;
use std::time::Duration;

use pipewright::{Seed, Timestamp};
use serde_json::Value;

/// A time as the server writes it.
pub(super) fn stamp(time: Duration) -> String {
    let text = Timestamp::from_unix(time).to_string();
    format!("{}.{:06}Z", text.get(..19).unwrap_or_default(), time.subsec_micros())
}

/// A version 7 UUID.
pub(super) fn uuid(seed: &mut Seed, now: Duration) -> String {
    let millis = now.as_millis() & 0xffff_ffff_ffff;
    let (high, low) = (seed.next_u64(), seed.next_u64());
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        millis >> 16,
        millis & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff,
    )
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Each on a line of its own.
pub(super) fn lines(items: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let mut text = String::new();
    for item in items {
        let _ = writeln!(text, "{item}");
    }
    text
}

/// Adds the fields of another object.
pub(super) fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (object, more) {
        fields.extend(more);
    }
}

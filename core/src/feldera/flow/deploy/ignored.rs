//! Settings that the server ignores.

use serde_json::Value;

use crate::feldera::pipelines::RuntimeConfig;
use crate::feldera::settings::{Spelled, Spellings};
use crate::operation::ServerVersion;

/// The first release that may know [`LATER`].
const FIRST: ServerVersion = ServerVersion::new(0, 338, 0);

/// The settings that 0.337 does not know.
const LATER: [&str; 7] = [
    "storage.compression_level",
    "storage.bloom_false_positive_rate",
    "storage.backend.config.sync_mode",
    "storage.backend.config.sync.take_bucket_ownership",
    "resources.storage_min",
    "resources.autoscaling",
    "resources.volume_attributes_class",
];

/// Returns the settings that a server of this version is known to ignore.
pub(super) fn unknown_to(version: Option<ServerVersion>, wanted: &RuntimeConfig) -> Vec<String> {
    if version.is_none_or(|version| version >= FIRST) {
        return Vec::new();
    }
    let wanted = value_of(wanted);
    let is_wanted = |path: &&str| !path.split('.').fold(&wanted, |value, name| &value[name]).is_null();
    LATER.into_iter().filter(is_wanted).map(str::to_owned).collect()
}

/// Returns the settings that were sent, and that the answer does not have.
pub(super) fn missing(wanted: &RuntimeConfig, answer: &RuntimeConfig) -> Vec<String> {
    let mut missing = Vec::new();
    compare(&value_of(wanted), &value_of(answer), "", &mut missing);
    missing
}

fn value_of(config: &RuntimeConfig) -> Value {
    serde_json::to_value(Spelled { value: config, spellings: Spellings::NEW }).unwrap_or_default()
}

/// Compares two values. A server may leave out a setting that is off or empty.
fn compare(wanted: &Value, answer: &Value, prefix: &str, missing: &mut Vec<String>) {
    for (name, wanted) in wanted.as_object().into_iter().flatten() {
        let is_empty = match wanted {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        let path = format!("{prefix}{name}");
        match &answer[name] {
            _ if is_empty => {}
            Value::Null => missing.push(path),
            answer => compare(wanted, answer, &format!("{path}."), missing),
        }
    }
}

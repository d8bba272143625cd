//! Statuses with a value that is not of its kind: what of them can be used all the same. One of them must not cost a
//! channel its open, or the others in the answer their status.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ChannelStatus, ChannelStatuses, Opened};
use crate::json;

/// The code of a status that cannot be read.
pub(super) const UNREADABLE: &str = "UNREADABLE";

/// Without one of these a status would say something else: that nothing is committed, that no row was rejected, that
/// the channel may be used.
const NEEDED: [&str; 6] = [
    "channel_status_code",
    "last_committed_offset_token",
    "last_commited_offset_token",
    "rows_error_count",
    "rows_errors",
    "created_on_ms",
];

/// Whole numbers, however they are written.
const NUMBERS: [&str; 6] = [
    "created_on_ms",
    "rows_inserted",
    "rows_parsed",
    "rows_error_count",
    "rows_errors",
    "snowflake_avg_processing_latency_ms",
];

/// The answer to an open, nested or flat.
pub(super) fn opened(body: &[u8]) -> Option<Opened> {
    let mut fields: Map<String, Value> = json::read(body).ok()?;
    let next_continuation_token = match fields.remove("next_continuation_token") {
        Some(Value::String(token)) => Some(token),
        None | Some(Value::Null) => None,
        Some(_) => return None,
    };
    let channel_status = status(fields.remove("channel_status").unwrap_or(Value::Object(fields)))?;
    Some(Opened { next_continuation_token, channel_status })
}

/// The answer for many channels, or the flat answer for a single channel.
pub(super) fn statuses(body: &[u8]) -> Option<ChannelStatuses> {
    let mut fields: Map<String, Value> = json::read(body).ok()?;
    let channel_statuses: BTreeMap<_, _> = match fields.remove("channel_statuses") {
        // `null` is there for a channel that is not.
        Some(Value::Object(all)) => all
            .into_iter()
            .filter(|(_, status)| !status.is_null())
            .filter_map(|(name, it)| {
                Some((name, status(it).or_else(|| status(json!({"channel_status_code": UNREADABLE})))?))
            })
            .collect(),
        Some(_) => return None,
        None => {
            let status = status(Value::Object(fields))?;
            [(status.channel_name.clone().unwrap_or_default(), status)].into()
        }
    };
    Some(ChannelStatuses { channel_statuses })
}

/// Without what is not of its kind, if that is not needed.
fn status(status: Value) -> Option<ChannelStatus> {
    let Value::Object(mut fields) = status else { return None };
    for (name, value) in &mut fields {
        if NUMBERS.contains(&name.as_str()) {
            whole(value);
        }
    }
    let is_fine = |name: &String, value: &Value| {
        let alone = json!({"channel_status_code": "SUCCESS", name: value});
        json::read::<ChannelStatus>(alone.to_string().as_bytes()).is_ok()
    };
    fields.retain(|name, value| NEEDED.contains(&name.as_str()) || is_fine(name, value));
    json::read(Value::Object(fields).to_string().as_bytes()).ok()
}

/// A number with a fraction, or in a text, becomes a whole number.
fn whole(value: &mut Value) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(Ok(number)) = text.split('.').next().map(str::parse::<i64>) {
        *value = number.into();
    }
}

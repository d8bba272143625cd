//! Reads statuses in which a value has the wrong type. Such a status must not make an open fail, or hide the other
//! statuses of the response.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ChannelStatus, ChannelStatuses, Opened};
use crate::json;

/// The code of a status that cannot be read.
pub(super) const UNREADABLE: &str = "UNREADABLE";

/// The fields without which a status would have another meaning: that no rows are committed, that no rows were
/// rejected, or that the channel may be used.
const NEEDED: [&str; 6] = [
    "channel_status_code",
    "last_committed_offset_token",
    "last_commited_offset_token",
    "rows_error_count",
    "rows_errors",
    "created_on_ms",
];

/// The fields that are whole numbers, in whatever form they are written.
const NUMBERS: [&str; 6] = [
    "created_on_ms",
    "rows_inserted",
    "rows_parsed",
    "rows_error_count",
    "rows_errors",
    "snowflake_avg_processing_latency_ms",
];

/// Reads the response to an open, nested or flat.
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

/// Reads the response for many channels, or the flat response for a single channel.
pub(super) fn statuses(body: &[u8]) -> Option<ChannelStatuses> {
    let mut fields: Map<String, Value> = json::read(body).ok()?;
    let channel_statuses: BTreeMap<_, _> = match fields.remove("channel_statuses") {
        // A channel that does not exist may be `null`.
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

/// Reads a status, and removes values of the wrong type that are not needed.
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

/// Makes a whole number of a number with a fraction, or of a number in a string.
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

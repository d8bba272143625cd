//! What the bodies of open, drop and bulk status say.

use http::StatusCode;
use serde_json::Value;

use super::errors::Rejection;
use super::request::Call;
use super::views::{ChannelPath, is_elastic};

/// How many channels one request may ask for.
const MOST_NAMES: usize = 100;

/// An open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) fail_on_uncommitted: bool,
    pub(super) offset: Option<String>,
}

impl Open {
    pub(super) fn read(call: &Call, path: &ChannelPath) -> Result<Self, Rejection> {
        let body = call.json()?;
        let fail_on_uncommitted = flag(&body, "fail_on_uncommitted_rows")?;
        let offset = match body.get("offset_token") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) => Some(token.clone()),
            Some(_) => return Err(Rejection::bad_request("offset_token is not a string.")),
        };
        if path.channel.is_empty() {
            return Err(Rejection::bad_request("A channel needs a name."));
        }
        if is_elastic(&path.channel) {
            return Err(Rejection::bad_request("The channel name ELASTIC is reserved."));
        }
        Ok(Self { fail_on_uncommitted, offset })
    }
}

/// A drop.
#[derive(Debug)]
pub(super) struct DropRequest {
    pub(super) fail_on_uncommitted: bool,
    /// The client sequencer of the continuation token, if there is a token; empty if it cannot be read.
    pub(super) client: Option<String>,
}

impl DropRequest {
    pub(super) fn read(call: &Call) -> Result<Self, Rejection> {
        let body = call.json()?;
        let fail_on_uncommitted = flag(&body, "fail_on_uncommitted_rows")?;
        let client = body.get("continuationToken").map(|token| {
            let parts = token.as_str().and_then(|token| token.split_once('_'));
            parts.map_or_else(String::new, |(client, _)| client.to_owned())
        });
        Ok(Self { fail_on_uncommitted, client })
    }
}

/// The channels that a bulk status asks for.
pub(super) fn channel_names(call: &Call) -> Result<Vec<String>, Rejection> {
    let body = call.json()?;
    let names = body.get("channel_names").and_then(Value::as_array);
    let names = names.and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    let names: Vec<String> =
        names.ok_or_else(|| Rejection::bad_request("channel_names is not an array of strings."))?;
    if names.len() > MOST_NAMES {
        let message = format!("{} channels are asked for, and {MOST_NAMES} are allowed.", names.len());
        let code = "ERR_GET_CHANNEL_STATUS_BATCH_TOO_MANY_CHANNELS";
        return Err(Rejection::new(StatusCode::BAD_REQUEST, code, message));
    }
    Ok(names)
}

fn flag(body: &Value, name: &str) -> Result<bool, Rejection> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Rejection::bad_request(format!("{name} is not a boolean."))),
    }
}

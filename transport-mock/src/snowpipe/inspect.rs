//! What the simulator tells of itself, on a path that the service does not have.
//!
//! | `GET` | answer |
//! |---|---|
//! | `/_simulator/databases/{db}/schemas/{schema}/pipes/{pipe}/channels/{channel}` | what a [`ChannelView`](super::ChannelView) has, with rows as numbers, in JSON |
//! | the same, and `/rows` | the rows that were committed, in that order, each in a line |
//! | the same, and `/rejected` | the rows that were errors |
//!
//! They need no credential, are not among the [requests](super::Account::requests), and meet no fault.

use serde_json::json;

use super::channels::Channels;
use super::errors::{Answer, Rejection, Reply};
use super::request::Call;
use super::views::ChannelPath;

/// `None` when it is a question to the service.
pub(super) fn inspect(channels: &Channels, call: &Call) -> Option<Answer> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let ["_simulator", rest @ ..] = segments.as_slice() else { return None };
    Some(match (call.method.as_str(), rest) {
        ("GET", ["databases", db, "schemas", schema, "pipes", pipe, "channels", channel, rest @ ..]) => {
            inspect_channel(channels, &ChannelPath::new(*db, *schema, *pipe, *channel), rest)
        }
        _ => Err(Rejection::no_route()),
    })
}

fn inspect_channel(channels: &Channels, path: &ChannelPath, rest: &[&str]) -> Answer {
    let view = channels.view(path).ok_or_else(|| Rejection::no_channel(path))?;
    match rest {
        [] => Ok(Reply::json(json!({
            "exists": view.exists,
            "client_sequencer": view.client_sequencer,
            "row_sequencer": view.row_sequencer,
            "status_code": view.status_code,
            "committed": view.committed,
            "rows": view.rows.len(),
            "rejected": view.rejected.len(),
            "buffered": view.buffered,
            "discarded": view.discarded,
        }))),
        ["rows"] => Ok(Reply::lines(&view.rows)),
        ["rejected"] => Ok(Reply::lines(&view.rejected)),
        _ => Err(Rejection::no_route()),
    }
}

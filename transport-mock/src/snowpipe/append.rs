//! Appends, to a channel and without one.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::channel::{Batch, Channel, SUCCESS};
use super::errors::{Answer, Refusal, Reply};
use super::request::Call;
use super::rows::lines;
use super::views::{ChannelPath, Effect};
use super::{Account, PipeState, Replay, Superseded, Trail};
use crate::random::between;

/// A continuation token against the sequencers of its channel.
enum Turn {
    /// It is this one's turn.
    Next,
    /// It is the one before's, which was carried out.
    Again,
}

impl Account {
    pub(super) fn append(&mut self, call: &Call, path: &ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let body = call.rows()?;
        let state = self.check_pipe(path)?;
        if state == PipeState::FileMode {
            let message = "Switch to file mode.";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "SWITCH_TO_FILE_MODE", message));
        }
        let (now, allowed, replay) = (self.now, self.config.appends_per_second, self.config.replay);
        let (stateless, superseded) = (self.config.stateless, self.config.superseded);
        let delay = between(&mut self.seed, &self.config.commit_delay);
        let channel = self.channel(path)?;
        let turn = match call.query("continuationToken") {
            Some(token) => turn(channel, token, superseded)?,
            None if stateless => Turn::Next,
            None => return Err(Refusal::bad_request("continuationToken is missing.")),
        };
        if !channel.is_healthy() {
            return Err(invalidated(&channel.status));
        }
        if let Turn::Again = turn {
            return match replay {
                Replay::Accepted => {
                    trail.effect = Effect::Replayed;
                    Ok(appended(channel))
                }
                Replay::Stale => Err(Refusal::stale()),
                Replay::OutOfOrder => Err(out_of_order("behind")),
            };
        }
        if allowed.is_some_and(|allowed| !has_room(channel, now, allowed)) {
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "390701", "Too many requests."));
        }
        let rows = lines(&body);
        if rows.is_empty() {
            return Err(Refusal::bad_request("The body has no rows."));
        }
        trail.rows = rows.len();
        channel.used_at = now;
        channel.row += 1;
        if state == PipeState::Discards {
            channel.discarded += rows.len();
            trail.effect = Effect::Discarded;
            return Ok(appended(channel));
        }
        let (named, token) =
            match (call.query("startOffsetToken"), call.query("endOffsetToken"), call.query("offsetToken")) {
                (Some(_), Some(end), _) => (true, end),
                (_, _, Some(single)) => (true, single),
                _ => (false, ""),
            };
        let due = named.then(|| (now.saturating_add(delay)).max(channel.last_due()));
        channel.push(Batch { rows, token: Some(token.to_owned()).filter(|token| !token.is_empty()), due });
        trail.effect = Effect::Applied;
        Ok(appended(channel))
    }

    /// At least once, in any order, without tokens.
    pub(super) fn append_elastic(&mut self, call: &Call, path: ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let tokens = ["offsetToken", "startOffsetToken", "endOffsetToken", "continuationToken"];
        if let Some(token) = tokens.into_iter().find(|token| call.query(token).is_some()) {
            return Err(Refusal::bad_request(format!("{token} is not allowed in an elastic append.")));
        }
        let rows = lines(&call.rows()?);
        if rows.is_empty() {
            return Err(Refusal::bad_request("The body has no rows."));
        }
        let state = self.check_pipe(&path)?;
        if state == PipeState::Invalid {
            let message = "The pipe is in an invalid state.";
            return Err(Refusal::new(StatusCode::CONFLICT, "ERR_PIPE_IN_INVALID_STATE", message));
        }
        trail.rows = rows.len();
        let now = self.now;
        let due = now.saturating_add(between(&mut self.seed, &self.config.commit_delay));
        let channel = self.channels.entry(path.key()).or_insert_with(|| Channel::new(path, now));
        channel.used_at = now;
        if state == PipeState::Discards {
            channel.discarded += rows.len();
            trail.effect = Effect::Discarded;
        } else {
            let due = due.max(channel.last_due());
            channel.push(Batch { rows, token: None, due: Some(due) });
            trail.effect = Effect::Applied;
        }
        Ok(Reply::json(json!({ "message": "OK" })))
    }
}

/// Which append a continuation token stands for.
fn turn(channel: &Channel, token: &str, superseded: Superseded) -> Result<Turn, Refusal> {
    let numbers = token.split_once('_').and_then(|(client, row)| Some((client.parse().ok()?, row.parse().ok()?)));
    let (client, row): (u64, u64) =
        numbers.ok_or_else(|| Refusal::bad_request(format!("The continuation token \"{token}\" is invalid.")))?;
    if client != channel.client {
        return Err(Refusal::superseded(superseded));
    }
    match channel.row.checked_sub(row) {
        Some(0) => Ok(Turn::Next),
        Some(1) => Ok(Turn::Again),
        Some(_) => Err(Refusal::stale()),
        None => Err(out_of_order("ahead of")),
    }
}

fn out_of_order(place: &str) -> Refusal {
    let message = format!("Row sequencer in the continuation token is {place} the channel's.");
    Refusal::new(StatusCode::BAD_REQUEST, "ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER", message)
}

/// What a channel says that has to be opened again.
fn invalidated(status: &str) -> Refusal {
    debug_assert_ne!(status, SUCCESS);
    let message = format!("The channel is invalid ({status}). Please reopen the channel");
    Refusal::new(StatusCode::CONFLICT, "ERR_CHANNEL_MUST_BE_REOPENED", message)
}

/// Counts an append, if the second has room for it.
fn has_room(channel: &mut Channel, now: Duration, allowed: u32) -> bool {
    if channel.appends.0 != now.as_secs() {
        channel.appends = (now.as_secs(), 0);
    }
    channel.appends.1 += 1;
    channel.appends.1 <= allowed
}

fn appended(channel: &Channel) -> Reply {
    let mut reply = Reply::json(json!({ "next_continuation_token": channel.token() }));
    reply.affinity = Some(format!("node-{}", channel.client));
    reply
}

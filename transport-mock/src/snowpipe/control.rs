//! Open, drop, and bulk status.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::channel::Channel;
use super::errors::{Answer, Refusal, Reply};
use super::request::Call;
use super::views::{ChannelPath, Effect};
use super::{Account, PipeState, Trail};
use crate::random::between;

/// How many channels one request may ask for.
const MOST_NAMES: usize = 100;

impl Account {
    pub(super) fn open(&mut self, call: &Call, path: ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let body = call.json()?;
        let wait = flag(&body, "fail_on_uncommitted_rows")?;
        let offset = match body.get("offset_token") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) => Some(token.clone()),
            Some(_) => return Err(Refusal::bad_request("offset_token is not a string.")),
        };
        if path.channel.is_empty() {
            return Err(Refusal::bad_request("A channel needs a name."));
        }
        if path.channel.eq_ignore_ascii_case("ELASTIC") {
            return Err(Refusal::bad_request("The channel name ELASTIC is reserved."));
        }
        if self.check_pipe(&path)? == PipeState::Invalid {
            let message = "The pipe is in an invalid state.";
            return Err(Refusal::new(StatusCode::CONFLICT, "ERR_PIPE_IN_INVALID_STATE", message));
        }
        let now = self.now;
        let channel = self.channels.entry(path.key()).or_insert_with(|| Channel::new(path.clone(), now));
        if channel.opening > now {
            let message = "Another open of the channel is in progress.";
            return Err(Refusal::new(StatusCode::CONFLICT, "ERR_OPEN_CHANNEL_IN_PROGRESS", message));
        }
        if wait && channel.has_uncommitted() {
            return Err(Refusal::uncommitted());
        }
        channel.reopen(path, now, &self.config);
        channel.opening = now.saturating_add(self.config.open_duration);
        if offset.is_some() {
            channel.committed = offset;
        }
        if let Some(code) = self.ill_opens.remove(&channel.path.key()) {
            channel.invalidate(code, now, &self.config);
        }
        trail.effect = Effect::Applied;
        Ok(Reply::json(json!({ "next_continuation_token": channel.token(), "channel_status": channel.status() })))
    }

    pub(super) fn drop_channel(&mut self, call: &Call, path: &ChannelPath, trail: &mut Trail) -> Answer {
        trail.channel = Some(path.clone());
        let body = call.json()?;
        let wait = flag(&body, "fail_on_uncommitted_rows")?;
        self.check_pipe(path)?;
        let superseded = self.config.superseded;
        let channel = self.channels.get_mut(&path.key()).filter(|channel| !channel.is_gone());
        let channel = channel.ok_or_else(|| Refusal::no_channel(path))?;
        if let Some(token) = body.get("continuationToken") {
            let ours = token.as_str().and_then(|token| token.split_once('_')).map(|(client, _)| client.to_owned());
            if ours != Some(channel.client.to_string()) {
                return Err(Refusal::superseded(superseded));
            }
        }
        if wait && channel.has_uncommitted() {
            return Err(Refusal::uncommitted());
        }
        let committed = channel.committed.clone();
        channel.remove(self.now, &self.config);
        trail.effect = Effect::Applied;
        Ok(Reply::json(json!({ "last_committed_offset_token": committed })))
    }

    pub(super) fn bulk_status(&mut self, call: &Call, pipe: &ChannelPath) -> Answer {
        let body = call.json()?;
        let names: Option<Vec<&str>> = body
            .get("channel_names")
            .and_then(Value::as_array)
            .and_then(|names| names.iter().map(Value::as_str).collect());
        let names = names.ok_or_else(|| Refusal::bad_request("channel_names is not an array of strings."))?;
        if names.len() > MOST_NAMES {
            let message = format!("{} channels are asked for, and {MOST_NAMES} are allowed.", names.len());
            let code = "ERR_GET_CHANNEL_STATUS_BATCH_TOO_MANY_CHANNELS";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, code, message));
        }
        let state = self.check_pipe(pipe)?;
        if let Some((answer, _)) = self.blank_statuses.as_ref().filter(|(_, until)| self.now < *until) {
            return Ok(Reply::json(answer.clone()));
        }
        let age = match self.config.status_age.end() {
            &Duration::ZERO => Duration::ZERO,
            _ => between(&mut self.seed, &self.config.status_age),
        };
        let at = self.now.saturating_sub(age);
        let mut statuses = Map::new();
        for name in names {
            let path = ChannelPath { channel: name.to_owned(), ..pipe.clone() };
            let Some(mut status) = self.channels.get(&path.key()).and_then(|channel| channel.status_at(at)) else {
                continue;
            };
            if state == PipeState::Discards {
                status["channel_status_code"] = json!("ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED");
            }
            statuses.insert(name.to_owned(), status);
        }
        Ok(Reply::json(json!({ "channel_statuses": statuses })))
    }
}

fn flag(body: &Value, name: &str) -> Result<bool, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refusal::bad_request(format!("{name} is not a boolean."))),
    }
}

//! All channels of the account, by normalized path.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, json};

use super::append::Append;
use super::channel::Channel;
use super::config::Config;
use super::control::{DropRequest, Open};
use super::errors::{Answer, Rejection, Reply};
use super::views::{ChannelKey, ChannelPath, ChannelView, ELASTIC, Effect, PipeKey, is_elastic};

/// See the module. Dropped and expired channels are kept for their rows.
#[derive(Debug, Default)]
pub(super) struct Channels {
    channels: BTreeMap<ChannelKey, Channel>,
    /// The status that the next open of a channel brings about.
    ill_opens: BTreeMap<ChannelKey, String>,
}

impl Channels {
    /// Commits what is due by `now`, and drops the channels that were not used for too long.
    pub(super) fn advance(&mut self, now: Duration, config: &Config) {
        for channel in self.channels.values_mut() {
            channel.commit(now, config);
            let expires = !channel.is_gone() && !is_elastic(&channel.path.channel);
            if expires && channel.used_at.saturating_add(config.channel_expiration) <= now {
                channel.remove(now, config);
            }
        }
    }

    pub(super) fn open(&mut self, path: ChannelPath, open: Open, now: Duration, config: &Config) -> Answer {
        let key = path.key();
        let channel = self.channels.entry(key.clone()).or_insert_with(|| Channel::new(path.clone(), now));
        if channel.opening > now {
            let message = "Another open of the channel is in progress.";
            return Err(Rejection::new(StatusCode::CONFLICT, "ERR_OPEN_CHANNEL_IN_PROGRESS", message));
        }
        if open.fail_on_uncommitted && channel.has_uncommitted() {
            return Err(Rejection::uncommitted());
        }
        channel.reopen(path, now, config);
        channel.opening = now.saturating_add(config.open_duration);
        if open.offset.is_some() {
            channel.committed = open.offset;
        }
        if let Some(code) = self.ill_opens.remove(&key) {
            channel.invalidate(code, now, config);
        }
        Ok(Reply::json(json!({ "next_continuation_token": channel.token(), "channel_status": channel.status() })))
    }

    pub(super) fn drop(&mut self, path: &ChannelPath, drop: &DropRequest, now: Duration, config: &Config) -> Answer {
        let channel = self.existing(path)?;
        if drop.client.as_ref().is_some_and(|client| *client != channel.client.to_string()) {
            return Err(Rejection::superseded(config.superseded));
        }
        if drop.fail_on_uncommitted && channel.has_uncommitted() {
            return Err(Rejection::uncommitted());
        }
        let committed = channel.committed.clone();
        channel.remove(now, config);
        Ok(Reply::json(json!({ "last_committed_offset_token": committed })))
    }

    /// The statuses that the named channels of a pipe had at `at`.
    pub(super) fn statuses(&self, pipe: &ChannelPath, names: Vec<String>, at: Duration, discards: bool) -> Reply {
        let mut statuses = Map::new();
        for name in names {
            let channel = if is_elastic(&name) { ELASTIC } else { &name };
            let key = (pipe.pipe_key(), channel.to_owned());
            let Some(mut status) = self.channels.get(&key).and_then(|channel| channel.status_at(at)) else {
                continue;
            };
            if discards {
                status["channel_status_code"] = json!("ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED");
            }
            statuses.insert(name, status);
        }
        Reply::json(json!({ "channel_statuses": statuses }))
    }

    /// Appends to a channel that exists. Returns the effect and the answer.
    pub(super) fn append(
        &mut self,
        path: &ChannelPath,
        append: Append,
        delay: Duration,
        discards: bool,
        now: Duration,
        config: &Config,
    ) -> Result<(Effect, Reply), Rejection> {
        let channel = self.existing(path)?;
        let effect = channel.append(append, delay, discards, now, config)?;
        let mut reply = Reply::json(json!({ "next_continuation_token": channel.token() }));
        reply.affinity = Some(format!("node-{}", channel.client));
        Ok((effect, reply))
    }

    pub(super) fn append_elastic(
        &mut self,
        path: &ChannelPath,
        rows: Vec<Bytes>,
        delay: Duration,
        discards: bool,
        now: Duration,
        config: &Config,
    ) -> Effect {
        self.ensure_elastic(path, now, config).take(rows, None, Some(delay), discards, now)
    }

    /// Returns the elastic channel of a pipe, which exists as long as the pipe does.
    pub(super) fn ensure_elastic(&mut self, pipe: &ChannelPath, now: Duration, config: &Config) -> &mut Channel {
        let path = ChannelPath { channel: ELASTIC.to_owned(), ..pipe.clone() };
        // Nodes that are behind know it too.
        let created = now.saturating_sub(*config.status_age.end());
        let channel = self.channels.entry(path.key()).or_insert_with(|| Channel::new(path.clone(), created));
        if channel.is_gone() {
            channel.restore(path, created, now, config);
        }
        channel
    }

    /// The nodes lose what they have buffered.
    pub(super) fn lose_buffered(&mut self, now: Duration, config: &Config) {
        for channel in self.channels.values_mut().filter(|channel| channel.has_uncommitted()) {
            channel.invalidate("ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP".into(), now, config);
        }
    }

    /// Other nodes take over, which know nothing of what is buffered.
    pub(super) fn fail_over(&mut self) {
        for channel in self.channels.values_mut().filter(|channel| !channel.is_gone()) {
            channel.discard();
            channel.client += 1;
            channel.row = 0;
        }
    }

    pub(super) fn remove_all(&mut self, pipe: &PipeKey, now: Duration, config: &Config) {
        for (_, channel) in self.channels.iter_mut().filter(|(key, _)| key.0 == *pipe) {
            channel.remove(now, config);
        }
    }

    pub(super) fn invalidate(&mut self, path: &ChannelPath, code: String, now: Duration, config: &Config) {
        if let Ok(channel) = self.existing(path) {
            channel.invalidate(code, now, config);
        }
    }

    pub(super) fn open_ill(&mut self, path: &ChannelPath, code: String) {
        self.ill_opens.insert(path.key(), code);
    }

    /// Another writer opens a channel and appends rows to it, each with an offset token and a delay.
    pub(super) fn steal(
        &mut self,
        path: &ChannelPath,
        rows: impl Iterator<Item = (String, Bytes, Duration)>,
        now: Duration,
        config: &Config,
    ) {
        let channel = self.entry(path, now);
        channel.reopen(path.clone(), now, config);
        for (token, row, delay) in rows {
            channel.row += 1;
            channel.take(vec![row], Some(token), Some(delay), false, now);
        }
    }

    pub(super) fn views(&self) -> Vec<ChannelView> {
        self.channels.values().map(Channel::view).collect()
    }

    pub(super) fn view(&self, path: &ChannelPath) -> Option<ChannelView> {
        self.channels.get(&path.key()).map(Channel::view)
    }

    fn entry(&mut self, path: &ChannelPath, now: Duration) -> &mut Channel {
        self.channels.entry(path.key()).or_insert_with(|| Channel::new(path.clone(), now))
    }

    /// A channel that exists now.
    fn existing(&mut self, path: &ChannelPath) -> Result<&mut Channel, Rejection> {
        let channel = self.channels.get_mut(&path.key()).filter(|channel| !channel.is_gone());
        channel.ok_or_else(|| Rejection::no_channel(path))
    }
}

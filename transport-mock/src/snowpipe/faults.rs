//! What happens behind the back of the clients, and what is really so.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::channel::{Batch, Channel};
use super::views::{ChannelPath, ChannelView, RequestView};
use super::{Account, PipeState};
use crate::random::between;

impl Account {
    /// The nodes fail, and others take over after `downtime`; until then requests are answered 503 with
    /// `ERR_GENERAL_EXCEPTION_RETRY_REQUEST`.
    ///
    /// What is committed and what is buffered stays, and so do tokens, unless
    /// [`restart_loses_buffered`](super::Config::restart_loses_buffered): then channels that had something buffered say
    /// `ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP` until they are reopened.
    pub fn restart(&mut self, now: Duration, downtime: Duration) {
        self.advance(now);
        self.up_at = self.now.saturating_add(downtime);
        if !self.config.restart_loses_buffered {
            return;
        }
        for channel in self.channels.values_mut().filter(|channel| channel.has_uncommitted()) {
            channel.invalidate("ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP".into(), self.now, &self.config);
        }
    }

    /// The account fails over to the next of its [ingest hosts](super::Config::ingest_hosts), or to the same one when
    /// there is none, and is there after `downtime`.
    ///
    /// Until then the ingest host answers 410, and from then on to scoped tokens and hosts of before. What is buffered
    /// is lost, and channels have to be reopened.
    pub fn fail_over(&mut self, now: Duration, downtime: Duration) {
        self.advance(now);
        let running = self.failing_over > self.now;
        self.failing_over = self.now.saturating_add(downtime).max(self.failing_over);
        if !running && self.failing_over == self.now {
            self.generation += 1;
        }
        for channel in self.channels.values_mut().filter(|channel| !channel.is_gone()) {
            channel.discard();
            channel.client += 1;
            channel.row = 0;
        }
    }

    /// Scoped tokens that were issued so far are worth nothing from now on: 401.
    pub fn revoke_tokens(&mut self) {
        self.tokens.revoke();
    }

    /// Scoped tokens that were issued so far are refused with 403 from now on, as if they lacked a privilege.
    pub fn forbid_tokens(&mut self) {
        self.tokens.forbid();
    }

    /// Makes a pipe, or breaks one. The name of a channel in the path does not matter.
    pub fn set_pipe(&mut self, pipe: &ChannelPath, state: PipeState) {
        self.pipes.insert(pipe.pipe_key(), state);
    }

    /// Replaces the table of a pipe, as `CREATE OR REPLACE TABLE` does: its channels are gone, and their offset tokens
    /// with them. What was committed stays in [`channels`](Self::channels).
    pub fn replace_table(&mut self, pipe: &ChannelPath) {
        let pipe = pipe.pipe_key();
        for channel in self.channels.iter_mut().filter(|(key, _)| key.0 == pipe).map(|(_, channel)| channel) {
            channel.remove(self.now, &self.config);
        }
    }

    /// Gives a channel a status that is not `SUCCESS`, such as `ERR_CHANNEL_MUST_BE_REOPENED`. What it has buffered is
    /// lost. Appends are refused with 409 until it is reopened. Does nothing without such a channel.
    pub fn invalidate(&mut self, path: &ChannelPath, code: impl Into<String>) {
        if let Some(channel) = self.channels.get_mut(&path.key()).filter(|channel| !channel.is_gone()) {
            channel.invalidate(code.into(), self.now, &self.config);
        }
    }

    /// For this time, every bulk status is answered 200 with this JSON, whatever was asked, as by a proxy that makes up an answer:
    /// `{}`, `null`, `{"channel_statuses":null}`.
    pub fn blank_statuses(&mut self, answer: Value, time: Duration) {
        self.blank_statuses = Some((answer, self.now.saturating_add(time)));
    }

    /// The next open of a channel is carried out and answered 200, with a channel that has this status and takes no rows: until
    /// it is opened once more.
    pub fn open_ill(&mut self, path: &ChannelPath, code: impl Into<String>) {
        self.ill_opens.insert(path.key(), code.into());
    }

    /// A second writer opens the channel, without waiting for what is buffered: that is lost, and the first one's
    /// continuation token is stale. It appends these rows, each with its offset token.
    pub fn steal(&mut self, path: &ChannelPath, rows: &[(&str, &str)]) {
        let now = self.now;
        let channel = self.channels.entry(path.key()).or_insert_with(|| Channel::new(path.clone(), now));
        channel.reopen(path.clone(), now, &self.config);
        for (token, row) in rows {
            let due = now.saturating_add(between(&mut self.seed, &self.config.commit_delay)).max(channel.last_due());
            let rows = vec![Bytes::copy_from_slice(row.as_bytes())];
            channel.row += 1;
            channel.push(Batch { rows, token: Some((*token).to_owned()), due: Some(due) });
        }
    }

    /// All channels there are and were, by name, as of the last call.
    pub fn channels(&self) -> Vec<ChannelView> {
        self.channels.values().map(Channel::view).collect()
    }

    /// One of them.
    pub fn channel_view(&self, path: &ChannelPath) -> Option<ChannelView> {
        self.channels.get(&path.key()).map(Channel::view)
    }

    /// The latest requests, oldest first, [as many](super::Config::history) as are remembered.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &RequestView> {
        self.requests.iter()
    }

    /// The hosts that lead here beside the account's own, as names of machines.
    pub(crate) fn hosts(&self) -> BTreeSet<String> {
        self.config.ingest_hosts.iter().map(|host| super::auth::dashed(host)).collect()
    }

    /// One host for everything.
    #[cfg(any(test, feature = "serve"))]
    pub(crate) fn on_one_host(mut self) -> Self {
        self.config.ingest_hosts.clear();
        self
    }
}

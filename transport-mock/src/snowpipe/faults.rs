//! What happens behind the back of the clients, and what is really so.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::hosts::dashed;
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
        self.hosts.up_at = self.now.saturating_add(downtime);
        if self.config.restart_loses_buffered {
            self.channels.lose_buffered(self.now, &self.config);
        }
    }

    /// The account fails over to the next of its [ingest hosts](super::Config::ingest_hosts), or to the same host if
    /// there is no other, and is there after `downtime`.
    ///
    /// Until then the ingest host answers 410, and from then on to scoped tokens and hosts from before. What is
    /// buffered is lost, and channels have to be reopened.
    pub fn fail_over(&mut self, now: Duration, downtime: Duration) {
        self.advance(now);
        self.hosts.fail_over(self.now, downtime);
        self.channels.fail_over();
    }

    /// Scoped tokens that were issued so far are worth nothing from now on: 401.
    pub fn revoke_tokens(&mut self) {
        self.tokens.revoke();
    }

    /// Scoped tokens that were issued so far are rejected with 403 from now on, as if they lacked a privilege.
    pub fn forbid_tokens(&mut self) {
        self.tokens.forbid();
    }

    /// Makes a pipe, or breaks one. The name of a channel in the path does not matter.
    pub fn set_pipe(&mut self, pipe: &ChannelPath, state: PipeState) {
        self.pipes.set(pipe, state);
    }

    /// Replaces the table of a pipe, as `CREATE OR REPLACE TABLE` does: its channels are gone, and their offset tokens
    /// with them. What was committed stays in [`channels`](Self::channels).
    pub fn replace_table(&mut self, pipe: &ChannelPath) {
        self.channels.remove_all(&pipe.pipe_key(), self.now, &self.config);
    }

    /// Gives a channel a status that is not `SUCCESS`, such as `ERR_CHANNEL_MUST_BE_REOPENED`. What it has buffered is
    /// lost. Appends are rejected with 409 until it is reopened. Does nothing without such a channel.
    pub fn invalidate(&mut self, path: &ChannelPath, code: impl Into<String>) {
        self.channels.invalidate(path, code.into(), self.now, &self.config);
    }

    /// For this time, every bulk status is answered 200 with this JSON, whatever was asked, as by a proxy that makes up
    /// an answer: `{}`, `null`, `{"channel_statuses":null}`.
    pub fn blank_statuses(&mut self, answer: Value, time: Duration) {
        self.blank_statuses = Some((answer, self.now.saturating_add(time)));
    }

    /// The next open of a channel is carried out and answered 200, with a channel that has this status and takes no
    /// rows: until it is opened once more.
    pub fn open_ill(&mut self, path: &ChannelPath, code: impl Into<String>) {
        self.channels.open_ill(path, code.into());
    }

    /// A second writer opens the channel, without waiting for what is buffered: that is lost, and the first writer's
    /// continuation token is stale. It appends these rows, each with its offset token.
    pub fn steal(&mut self, path: &ChannelPath, rows: &[(&str, &str)]) {
        let rows = rows.iter().map(|(token, row)| {
            let delay = between(&mut self.seed, &self.config.commit_delay);
            ((*token).to_owned(), Bytes::copy_from_slice(row.as_bytes()), delay)
        });
        self.channels.steal(path, rows, self.now, &self.config);
    }

    /// All channels there are and were, by name, as of the last call.
    pub fn channels(&self) -> Vec<ChannelView> {
        self.channels.views()
    }

    /// One of them.
    pub fn channel_view(&self, path: &ChannelPath) -> Option<ChannelView> {
        self.channels.view(path)
    }

    /// The latest requests, oldest first, [as many](super::Config::history) as are remembered.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &RequestView> {
        self.requests.iter()
    }

    /// The hosts that lead here beside the account's own, as names of machines.
    pub(crate) fn hosts(&self) -> BTreeSet<String> {
        self.config.ingest_hosts.iter().map(|host| dashed(host)).collect()
    }

    /// One host for everything.
    #[cfg(any(test, feature = "serve"))]
    pub(crate) fn on_one_host(mut self) -> Self {
        self.config.ingest_hosts.clear();
        self
    }
}

//! A channel: its sequencers, what it has buffered, and what it has committed.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::append::Append;
use super::config::{Config, Replay, Superseded};
use super::errors::Rejection;
use super::rows::problem;
use super::views::{ChannelPath, ChannelView, Effect};

const SUCCESS: &str = "SUCCESS";

/// See the module.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) path: ChannelPath,
    pub(super) created: Duration,
    /// When it was last opened or appended to.
    pub(super) used_at: Duration,
    /// Until then other opens are kept off.
    pub(super) opening: Duration,
    pub(super) client: u64,
    pub(super) row: u64,
    pub(super) status: String,
    pub(super) committed: Option<String>,
    gone: bool,
    buffer: VecDeque<Batch>,
    counters: Counters,
    rows: Vec<Bytes>,
    rejected: Vec<Bytes>,
    discarded: usize,
    /// The second that appends are counted in, and how many they are.
    appends: (u64, u32),
    /// What its status was until when, oldest first: see [`Config::status_age`].
    history: VecDeque<(Duration, Option<Value>)>,
}

/// Since the channel was created.
#[derive(Debug, Default)]
struct Counters {
    inserted: usize,
    parsed: usize,
    errors: usize,
    last_error: Option<(Option<String>, String, Duration)>,
}

/// The rows of one append.
#[derive(Debug)]
struct Batch {
    rows: Vec<Bytes>,
    /// The offset token that is committed with it, unless it has none.
    token: Option<String>,
    /// Never, for one that names no offset tokens at all.
    due: Option<Duration>,
}

/// A continuation token against the sequencers of its channel.
enum Turn {
    /// The token is the expected token.
    Next,
    /// The token of the last append, which was carried out.
    Again,
}

impl Channel {
    pub(super) fn new(path: ChannelPath, now: Duration) -> Self {
        Self {
            path,
            created: now,
            used_at: now,
            opening: now,
            client: 0,
            row: 0,
            status: SUCCESS.into(),
            committed: None,
            gone: false,
            buffer: VecDeque::new(),
            counters: Counters::default(),
            rows: Vec::new(),
            rejected: Vec::new(),
            discarded: 0,
            appends: (0, 0),
            history: VecDeque::new(),
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn has_uncommitted(&self) -> bool {
        !self.buffer.is_empty()
    }

    pub(super) fn token(&self) -> String {
        format!("{}_{}", self.client, self.row)
    }

    /// When the newest batch is committed.
    fn last_due(&self) -> Duration {
        self.buffer.iter().filter_map(|batch| batch.due).max().unwrap_or_default()
    }

    /// The next client begins a new chain: earlier continuation tokens are stale.
    pub(super) fn reopen(&mut self, path: ChannelPath, now: Duration, config: &Config) {
        self.remember(now, config);
        self.discard();
        if self.gone {
            // Only the name is the same. The sequencer is not reset, so that no client takes one for the other.
            self.gone = false;
            self.created = now;
            self.committed = None;
            self.counters = Counters::default();
        }
        self.path = path;
        self.used_at = now;
        self.client += 1;
        self.row = 0;
        self.status = SUCCESS.into();
    }

    /// Makes a channel that is gone exist again since `created`, for nodes that are behind too.
    pub(super) fn restore(&mut self, path: ChannelPath, created: Duration, now: Duration, config: &Config) {
        self.reopen(path, now, config);
        self.created = created;
        self.history.clear();
    }

    /// Takes an append, whose rows are committed after `delay`. A pipe that `discards` answers the same.
    pub(super) fn append(
        &mut self,
        append: Append,
        delay: Duration,
        discards: bool,
        now: Duration,
        config: &Config,
    ) -> Result<Effect, Rejection> {
        let turn = match &append.continuation {
            Some(token) => self.turn(token, config.superseded)?,
            None if config.stateless => Turn::Next,
            None => return Err(Rejection::bad_request("continuationToken is missing.")),
        };
        if self.status != SUCCESS {
            return Err(Rejection::invalidated(&self.status));
        }
        if let Turn::Again = turn {
            return match config.replay {
                Replay::Accepted => Ok(Effect::Replayed),
                Replay::Stale => Err(Rejection::stale()),
                Replay::OutOfOrder => Err(Rejection::out_of_order("behind")),
            };
        }
        if config.appends_per_second.is_some_and(|allowed| !self.has_room(now, allowed)) {
            return Err(Rejection::new(StatusCode::TOO_MANY_REQUESTS, "390701", "Too many requests."));
        }
        if append.rows.is_empty() {
            return Err(Rejection::no_rows());
        }
        self.row += 1;
        let due = append.offset.is_some().then_some(delay);
        let token = append.offset.filter(|token| !token.is_empty());
        Ok(self.take(append.rows, token, due, discards, now))
    }

    /// Takes rows, to commit them after a delay and after all that were taken before; never without a delay.
    pub(super) fn take(
        &mut self,
        rows: Vec<Bytes>,
        token: Option<String>,
        delay: Option<Duration>,
        discards: bool,
        now: Duration,
    ) -> Effect {
        self.used_at = now;
        if discards {
            self.discarded += rows.len();
            return Effect::Discarded;
        }
        let due = delay.map(|delay| now.saturating_add(delay).max(self.last_due()));
        self.buffer.push_back(Batch { rows, token, due });
        Effect::Applied
    }

    /// Which append a continuation token stands for.
    fn turn(&self, token: &str, superseded: Superseded) -> Result<Turn, Rejection> {
        let numbers = token.split_once('_').and_then(|(client, row)| Some((client.parse().ok()?, row.parse().ok()?)));
        let (client, row): (u64, u64) =
            numbers.ok_or_else(|| Rejection::bad_request(format!("The continuation token \"{token}\" is invalid.")))?;
        if client != self.client {
            return Err(Rejection::superseded(superseded));
        }
        match self.row.checked_sub(row) {
            Some(0) => Ok(Turn::Next),
            Some(1) => Ok(Turn::Again),
            Some(_) => Err(Rejection::stale()),
            None => Err(Rejection::out_of_order("ahead of")),
        }
    }

    /// Counts an append, if the second has room for it.
    fn has_room(&mut self, now: Duration, allowed: u32) -> bool {
        if self.appends.0 != now.as_secs() {
            self.appends = (now.as_secs(), 0);
        }
        self.appends.1 += 1;
        self.appends.1 <= allowed
    }

    pub(super) fn discard(&mut self) {
        self.discarded += self.buffered();
        self.buffer.clear();
    }

    /// Gives it a status that is not `SUCCESS`. What it has buffered is lost.
    pub(super) fn invalidate(&mut self, code: String, now: Duration, config: &Config) {
        self.remember(now, config);
        self.discard();
        self.status = code;
    }

    /// Drops the channel, its token and its counters with it.
    pub(super) fn remove(&mut self, now: Duration, config: &Config) {
        self.remember(now, config);
        self.discard();
        self.gone = true;
    }

    fn buffered(&self) -> usize {
        self.buffer.iter().map(|batch| batch.rows.len()).sum()
    }

    /// Commits what is due, in order.
    pub(super) fn commit(&mut self, now: Duration, config: &Config) {
        while let Some(due) = self.buffer.front().and_then(|batch| batch.due).filter(|due| *due <= now) {
            self.remember(due, config);
            let Some(batch) = self.buffer.pop_front() else { break };
            if let Some(token) = batch.token {
                // It passes over the rows that are errors, too.
                self.committed = Some(token);
            }
            for row in batch.rows {
                self.counters.parsed += 1;
                match problem(&row, &config.number_columns) {
                    None => {
                        self.counters.inserted += 1;
                        self.rows.push(row);
                    }
                    Some(message) => {
                        self.counters.errors += 1;
                        self.counters.last_error = Some((self.committed.clone(), message, due));
                        self.rejected.push(row);
                    }
                }
            }
        }
    }

    /// Keeps what the status was until now, for nodes that are behind.
    fn remember(&mut self, now: Duration, config: &Config) {
        let oldest = now.saturating_sub(*config.status_age.end());
        while self.history.front().is_some_and(|(until, _)| *until <= oldest) {
            self.history.pop_front();
        }
        if oldest < now {
            let status = (!self.gone && self.created < now).then(|| self.status());
            self.history.push_back((now, status));
        }
    }

    /// What a node says that knows what was so at `at`; nothing when there was no channel.
    pub(super) fn status_at(&self, at: Duration) -> Option<Value> {
        match self.history.iter().find(|(until, _)| at < *until) {
            Some((_, status)) => status.clone(),
            None => (!self.gone && self.created <= at).then(|| self.status()),
        }
    }

    /// What open and bulk status say.
    pub(super) fn status(&self) -> Value {
        let (bound, message, at) = match &self.counters.last_error {
            Some((bound, message, at)) => (json!(bound), json!(message), json!(millis(*at))),
            None => (Value::Null, Value::Null, Value::Null),
        };
        json!({
            "database_name": self.path.database,
            "schema_name": self.path.schema,
            "pipe_name": self.path.pipe,
            "channel_name": self.path.channel,
            "channel_status_code": self.status,
            "last_committed_offset_token": self.committed,
            "created_on_ms": millis(self.created),
            "rows_inserted": self.counters.inserted,
            "rows_parsed": self.counters.parsed,
            "rows_error_count": self.counters.errors,
            "last_error_offset_upper_bound": bound,
            "last_error_message": message,
            "last_error_timestamp_ms": at,
            "snowflake_avg_processing_latency_ms": 0,
        })
    }

    pub(super) fn view(&self) -> ChannelView {
        ChannelView {
            path: self.path.clone(),
            exists: !self.gone,
            client_sequencer: self.client,
            row_sequencer: self.row,
            status_code: self.status.clone(),
            committed: self.committed.clone(),
            rows: self.rows.clone(),
            rejected: self.rejected.clone(),
            buffered: self.buffered(),
            discarded: self.discarded,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

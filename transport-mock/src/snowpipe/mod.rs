//! A simulated Snowflake account with Snowpipe Streaming, as seen through its REST API.
//!
//! [`Account::handle`] answers one request at a time: what goes to the account host (`GET /v2/streaming/hostname`,
//! `POST /oauth/token`) and what goes to the ingest host (open, append, drop, bulk status, elastic append), told apart
//! by the request's `Host`. There is no network in it, no clock and no chance: time is an argument, and commit delays
//! follow from [`Config::seed`]. Between two requests everything that is due by the time of the second one happens.
//!
//! ```text
//!   append ──▶ buffered ──commit delay──▶ committed: the offset token moves, rows or their errors are counted
//!                 │
//!                 └──▶ discarded: by an open that does not wait, a drop, a failover, a pipe that is gone
//! ```
//!
//! How things really are, as opposed to what the API says about them, is seen with [`Account::channels`] (rows that were
//! committed, in order) and [`Account::requests`] (what each request came to); from outside, with
//! `GET /_simulator/databases/{db}/schemas/{schema}/pipes/{pipe}/channels/{channel}`, and the same with `/rows` or `/rejected`
//! behind it. No service has such a path, and anybody may ask there.
//!
//! What nobody outside of Snowflake knows is a switch: see [`Replay`], [`Superseded`], [`FailedOver`] and [`ErrorShape`]. Signatures of key-pair JWTs
//! are not verified; their claims are.
//!
//! The simulator shares no type and no code with a client: a misunderstanding of the protocol would otherwise be
//! on both sides and never show.
//!
//! ```
//! # use std::time::Duration;
//! use pipewright_mock::snowpipe::{Account, Config};
//!
//! let mut account = Account::new(Config::default());
//! let now = Duration::from_secs(1_800_000_000);
//! let request = http::Request::get("/v2/streaming/hostname")
//!     .header("accept", "application/json")
//!     .header("authorization", "Bearer a-programmatic-access-token")
//!     .body(bytes::Bytes::new())?;
//! assert_eq!(account.handle(now, &request).body(), "sim_account.ingest.snowpipe.test");
//! # Ok::<(), http::Error>(())
//! ```

mod append;
mod auth;
mod channel;
mod config;
mod control;
mod errors;
mod faults;
mod inspect;
mod request;
mod rows;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pipewright::Seed;
use serde_json::Value;

pub use self::config::{Config, ErrorShape, FailedOver, PipeState, Replay, Superseded};
pub use self::views::{ChannelPath, ChannelView, Effect, RequestView};

use self::auth::Tokens;
use self::channel::Channel;
use self::errors::{Answer, Refusal, respond};
use self::request::Call;

/// A simulated account. See the [module](self).
#[derive(Debug)]
pub struct Account {
    config: Config,
    now: Duration,
    seed: Seed,
    tokens: Tokens,
    /// By normalized path.
    channels: BTreeMap<Key, Channel>,
    /// The pipes that are not as they should be, and those that were made by hand.
    pipes: BTreeMap<PipeKey, PipeState>,
    /// What the next open of a channel comes to.
    ill_opens: BTreeMap<Key, String>,
    requests: VecDeque<RequestView>,
    /// Which of [`Config::ingest_hosts`] it is, counted on for ever.
    generation: u64,
    /// What every bulk status is answered with, and until when.
    blank_statuses: Option<(Value, Duration)>,
    /// Until then the pipe is failing over.
    failing_over: Duration,
    /// Until then no node owns anything.
    up_at: Duration,
}

/// Database, schema and pipe as Snowflake folds identifiers.
type PipeKey = [String; 3];
/// The same and the channel, whose name is taken as it is.
type Key = (PipeKey, String);

/// What one request has come to, beside its answer.
#[derive(Debug, Default)]
struct Trail {
    channel: Option<ChannelPath>,
    effect: Effect,
    rows: usize,
}

impl Account {
    /// An account without channels.
    pub fn new(config: Config) -> Self {
        let mut seed = Seed::new(u128::from(config.seed));
        Self {
            tokens: Tokens::new(seed.split()),
            seed,
            config,
            now: Duration::ZERO,
            channels: BTreeMap::new(),
            pipes: BTreeMap::new(),
            ill_opens: BTreeMap::new(),
            requests: VecDeque::new(),
            generation: 0,
            blank_statuses: None,
            failing_over: Duration::ZERO,
            up_at: Duration::ZERO,
        }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch. A time before that of the last call
    /// is taken for that time.
    ///
    /// Without a `Host`, and when there are no [`Config::ingest_hosts`], it is for either of the two hosts.
    pub fn handle(&mut self, now: Duration, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.advance(now);
        let call = Call::read(request);
        if let Some(answer) = self.inspect(&call) {
            return respond(answer, self.config.error_shape);
        }
        let mut trail = Trail::default();
        let answer = self.answer(&call, &mut trail);
        let response = respond(answer, self.config.error_shape);
        self.requests.push_back(RequestView {
            at: self.now,
            method: call.method,
            path: call.path,
            query: call.query,
            channel: trail.channel,
            status: response.status().as_u16(),
            effect: trail.effect,
            rows: trail.rows,
        });
        while self.requests.len() > self.config.history {
            self.requests.pop_front();
        }
        response
    }

    /// Lets everything happen that is due by `now`, for the views to be of that time.
    pub fn advance(&mut self, now: Duration) {
        let before = self.now;
        self.now = self.now.max(now);
        if before < self.failing_over && self.failing_over <= self.now {
            self.generation += 1;
        }
        for channel in self.channels.values_mut() {
            channel.commit(self.now, &self.config);
        }
        let expiration = self.config.channel_expiration;
        for channel in self.channels.values_mut() {
            if !channel.is_gone() && channel.used_at.saturating_add(expiration) <= self.now {
                channel.remove(self.now, &self.config);
            }
        }
    }

    fn answer(&mut self, call: &Call, trail: &mut Trail) -> Answer {
        // Tracing aside, nothing works without it.
        if !call.accepts {
            let text = "Unsupported Accept header null is specified.";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "391902", text));
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET", ["v2", "streaming", "hostname"]) if self.is_account(call) => self.hostname(call),
            ("POST", ["oauth", "token"]) if self.is_account(call) => self.exchange_token(call),
            (method, ["v2", "streaming", rest @ ..]) => self.data_plane(call, method, rest, trail),
            _ => Err(no_route()),
        }
    }

    fn data_plane(&mut self, call: &Call, method: &str, segments: &[&str], trail: &mut Trail) -> Answer {
        let path =
            |database: &str, schema: &str, pipe: &str, channel: &str| ChannelPath::new(database, schema, pipe, channel);
        match (method, segments) {
            ("PUT", ["databases", db, "schemas", schema, "pipes", pipe, "channels", channel]) => {
                self.enter(call)?;
                self.open(call, path(db, schema, pipe, channel), trail)
            }
            ("DELETE", ["databases", db, "schemas", schema, "pipes", pipe, "channels", channel]) => {
                self.enter(call)?;
                self.drop_channel(call, &path(db, schema, pipe, channel), trail)
            }
            ("POST", ["databases", db, "schemas", schema, "pipes", last]) => {
                match last.strip_suffix(":bulk-channel-status") {
                    Some(pipe) => {
                        self.enter_for_status(call)?;
                        self.bulk_status(call, &path(db, schema, pipe, ""))
                    }
                    None => Err(no_route()),
                }
            }
            ("POST", ["data", "databases", db, "schemas", schema, "pipes", pipe, "channels", channel, "rows"]) => {
                self.enter(call)?;
                if channel.eq_ignore_ascii_case("ELASTIC") {
                    return self.append_elastic(call, path(db, schema, pipe, "ELASTIC"), trail);
                }
                self.append(call, &path(db, schema, pipe, channel), trail)
            }
            ("POST", ["data", "databases", db, "schemas", schema, "tables", table, "rows"]) => {
                self.enter(call)?;
                self.append_elastic(call, path(db, schema, &default_pipe(table), "ELASTIC"), trail)
            }
            _ => Err(no_route()),
        }
    }

    /// What every request to the ingest host has to pass: the host, the token, and a node that is there.
    fn enter(&self, call: &Call) -> Result<(), Refusal> {
        self.check_ingest_host(call)?;
        self.check_scoped_token(call)?;
        self.check_node()
    }

    /// The same, but that the account host answers too, to whom it knows.
    fn enter_for_status(&self, call: &Call) -> Result<(), Refusal> {
        if self.is_account(call) && self.check_credential(call).is_ok() {
            return self.check_node();
        }
        self.enter(call)
    }

    fn check_node(&self) -> Result<(), Refusal> {
        if self.now < self.up_at {
            return Err(Refusal::bare(StatusCode::SERVICE_UNAVAILABLE, "ERR_GENERAL_EXCEPTION_RETRY_REQUEST"));
        }
        Ok(())
    }

    /// The pipe of a channel, if it takes rows.
    fn check_pipe(&self, path: &ChannelPath) -> Result<PipeState, Refusal> {
        let state = self.pipes.get(&path.pipe_key()).copied();
        // A default pipe is made on demand; any other has to be there.
        let unset = if is_default_pipe(&path.pipe) { PipeState::Healthy } else { PipeState::Missing };
        let state = state.unwrap_or(unset);
        match state.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(state),
        }
    }

    /// A channel that is there.
    fn channel(&mut self, path: &ChannelPath) -> Result<&mut Channel, Refusal> {
        let channel = self.channels.get_mut(&path.key()).filter(|channel| !channel.is_gone());
        channel.ok_or_else(|| Refusal::no_channel(path))
    }
}

fn no_route() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such resource.")
}

/// The pipe that comes with a table.
fn default_pipe(table: &str) -> String {
    match table.strip_suffix('"') {
        Some(quoted) => format!("{quoted}-STREAMING\""),
        None => format!("{table}-STREAMING"),
    }
}

fn is_default_pipe(pipe: &str) -> bool {
    pipe.trim_end_matches('"').to_ascii_uppercase().ends_with("-STREAMING")
}

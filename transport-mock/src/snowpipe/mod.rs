//! A simulated Snowflake account with Snowpipe Streaming, as seen through its REST API.
//!
//! [`Account::handle`] answers one request at a time. By the `Host` of a request, it answers as the account host (`GET
//! /v2/streaming/hostname`, `POST /oauth/token`) or as the ingest host (open, append, drop, bulk status, elastic
//! append). The simulator uses no network, clock or randomness: time is an argument, and commit delays are derived from
//! [`Config::seed`]. Each request first carries out everything that is due by its time.
//!
//! ```text
//!   append ──▶ buffered ──commit delay──▶ committed: the offset token moves, rows or their errors are counted
//!                 │
//!                 └──▶ discarded: by an open that does not wait, a drop, a failover, a pipe that is gone
//! ```
//!
//! [`Account::channels`] returns the committed rows in order, and [`Account::requests`] the outcome of each request. To
//! see the same from another process, send `GET
//! /_simulator/databases/{db}/schemas/{schema}/pipes/{pipe}/channels/{channel}`, without a credential. The path with
//! `/rows` or `/rejected` at its end shows the rows. The real service has no such path.
//!
//! Behaviour that is not documented can be selected: see [`Replay`], [`Superseded`], [`FailedOver`] and [`ErrorShape`].
//! The claims of key-pair JWTs are verified; their signatures are not.
//!
//! # The vendor's SDK
//!
//! Snowflake's SDK (`snowpipe-streaming` 1.9.1) runs against a served simulator. It speaks HTTPS only, and appends its
//! port to the host that `/v2/streaming/hostname` answers. So that host is [advertised](Config::advertised_host)
//! without a port:
//!
//! ```text
//! $ pipewright-sim snowpipe --tls --advertise 127.0.0.1 --port 8443
//! listening on https://127.0.0.1:8443
//! CA certificate: /tmp/pipewright-sim-4242-1-ca.pem
//! ```
//!
//! Set `"url": "https://127.0.0.1:8443"` in the profile of the SDK, beside `account`, `user` and any RSA key, and the
//! environment variable `SSL_CERT_FILE` to the path of the certificate.
//!
//! # Limits
//!
//! The SDK uses routes that no document describes. `{pipe}:pipe-info` and `/telemetry/send/sessionless` answer what the
//! SDK reads. The stage that `{pipe}:pipe-info` names does not exist: files cannot be uploaded to it. By default, the
//! SDK uploads a file instead of sending an append when more than about 1 MiB of rows wait. Then they are never
//! committed. Two settings in the profile prevent that: `"max_buffered_kb_for_rowset_mode": "4000000"` and
//! `"target_rowset_payload_size_mb": "1"`. With them, 200 MB of rows that are appended at once arrive.
//!
//! With `--time fast:K`, the simulator's clock soon leads the client's by more than the hour that a key-pair JWT lives.
//! From then on, every JWT of such a client has expired.
//!
//! The simulator shares no type and no code with a client. Otherwise a misunderstanding of the protocol could be on
//! both sides, and no test would show it.
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
//!
//! # Routes
//!
//! [`routes`] returns this table. A route that is not simulated is answered 501, with the header `x-pipewright-sim:
//! not-simulated`. Snowflake's account host has many more routes than these; the table has those of Snowpipe, and those
//! with which other clients of Snowflake begin.
//!
#![doc = include_str!("routes.md")]
//!
//! To add a route, add its handler to `router.rs` and change the `no` of its line in `routes.md` to `yes`.
//!
//! # Layers
//!
//! Each file imports only files that are named before it:
//!
//! 1. data: `config`, `views`, `rows`, `errors`, `request`;
//! 2. what requests say: `append`, `control`, `credentials`; what the SDK asks of a pipe: `pipe_info`;
//! 3. the parts of the account: `hosts`, `tokens`, `pipes`, `channel`, `channels`; `inspect` reads them;
//! 4. [`Account`], which owns the parts, `router`, which names the handler of each path, and `faults`.

mod append;
mod channel;
mod channels;
mod config;
mod control;
mod credentials;
mod errors;
mod faults;
mod hosts;
mod inspect;
mod pipe_info;
mod pipes;
mod request;
mod router;
mod rows;
#[cfg(test)]
mod tests;
mod tokens;
mod views;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use pipewright::Seed;
use serde_json::Value;

pub use self::config::{Config, ErrorShape, FailedOver, PipeState, Replay, Superseded};
pub use self::views::{ChannelPath, ChannelView, Effect, RequestView};

use self::channels::Channels;
use self::errors::respond;
use self::hosts::Hosts;
use self::inspect::inspect;
use self::pipes::Pipes;
use self::request::Call;
use self::router::Trail;
use self::tokens::Tokens;
use crate::routes::{self, Route};

const ROUTES: &str = include_str!("routes.md");

/// The routes of a real account, on both of its hosts.
pub fn routes() -> Vec<Route> {
    routes::read(ROUTES).collect()
}

/// A simulated account. See the [module](self).
#[derive(Debug)]
pub struct Account {
    config: Config,
    now: Duration,
    seed: Seed,
    tokens: Tokens,
    hosts: Hosts,
    pipes: Pipes,
    channels: Channels,
    requests: VecDeque<RequestView>,
    /// What every bulk status is answered with, and until when.
    blank_statuses: Option<(Value, Duration)>,
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
            hosts: Hosts::default(),
            pipes: Pipes::default(),
            channels: Channels::default(),
            requests: VecDeque::new(),
            blank_statuses: None,
        }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch. A time before that of the last call
    /// is taken for that time.
    ///
    /// Without a `Host`, and when there are no [`Config::ingest_hosts`], it is for either of the two hosts.
    pub fn handle(&mut self, now: Duration, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.advance(now);
        let call = Call::read(request);
        if let Some(answer) = inspect(&self.channels, &call) {
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
        self.hosts.advance(before, self.now);
        self.channels.advance(self.now, &self.config);
    }
}

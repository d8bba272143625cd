//! A simulated SQL Gateway of Apache Flink, as seen through its REST endpoint, versions 1 to 4.
//!
//! [`Gateway::handle`] answers one request at a time, as a real one does: sessions that close themselves when nobody
//! asks anything of them, statements that are accepted whatever they say, results that are not ready at first, pages
//! without rows, a page that can be asked for again until the next one was, and 500 for nearly everything it does not
//! like. There is no network in it, no clock and no chance.
//!
//! What it can say: `SELECT <number>`, `SELECT n FROM numbers LIMIT <number>` (without the limit it has no end), DDL
//! and `SET`, which are OK, `INSERT`, which starts a job, and whatever is [defined](Gateway::define). Anything else is
//! rejected with its result, as by the real parser.
//!
//! ```
//! # use std::time::Duration;
//! use pipewright_mock::sql_gateway::{Config, Gateway};
//!
//! let mut gateway = Gateway::new(Config::default());
//! let now = Duration::from_secs(1_800_000_000);
//! let request = http::Request::post("/v2/sessions").body(bytes::Bytes::new())?;
//! assert_eq!(gateway.handle(now, &request).status(), 200);
//! assert_eq!(gateway.sessions(), 1);
//! # Ok::<(), http::Error>(())
//! ```
//!
//! # Routes
//!
//! [`routes`] returns this table. A route that is not simulated is answered 501, with the header
//! `x-pipewright-sim: not-simulated`. The releases are versions of the API.
//!
#![doc = include_str!("routes.md")]
//!
//! To add a route, add its handler to `router.rs` and change the `no` of its line in `routes.md` to `yes`.
//!
//! # Layers
//!
//! Files import only files that stand before them here: `statement`, `errors`, `operation`, `session`, then
//! [`Gateway`], which owns the parts, and `router`, which names the handler of each path.

mod errors;
mod operation;
mod router;
mod session;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

pub use self::statement::Script;

use self::errors::respond;
use self::session::{Handles, Sessions};
use crate::routes::{self, Route};

const ROUTES: &str = include_str!("routes.md");

/// The routes of a real gateway, without the version of the API, as in `/v3`, which may stand before each of them.
pub fn routes() -> Vec<Route> {
    routes::read(ROUTES).collect()
}

/// What a simulated gateway is like.
#[derive(Debug, Clone)]
pub struct Config {
    /// The release that `/info` names: `2.3.0`.
    pub version: String,
    /// How long a session without requests lives (`sql-gateway.session.idle-timeout`): 10 min.
    pub idle_timeout: Duration,
    /// How long results are not ready: 300 ms.
    pub ready_after: Duration,
    /// How many rows a page has at the most: 100. Two of three pages have none.
    pub page_size: usize,
    /// What handles are made from: 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: "2.3.0".into(),
            idle_timeout: Duration::from_secs(600),
            ready_after: Duration::from_millis(300),
            page_size: 100,
            seed: 0,
        }
    }
}

/// A simulated gateway. See the [module](self).
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    now: Duration,
    handles: Handles,
    sessions: Sessions,
    scripts: BTreeMap<String, Script>,
    submitted: Vec<String>,
}

impl Gateway {
    /// A gateway without sessions.
    pub fn new(config: Config) -> Self {
        Self {
            handles: Handles::new(config.seed),
            config,
            now: Duration::ZERO,
            sessions: Sessions::default(),
            scripts: BTreeMap::new(),
            submitted: Vec::new(),
        }
    }

    /// Says what comes of a statement, word for word.
    pub fn define(&mut self, statement: impl Into<String>, script: Script) {
        self.scripts.insert(statement.into(), script);
    }

    /// How many sessions are open, as of the last call.
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// How many operations are open in all sessions, as of the last call.
    pub fn operations(&self) -> usize {
        self.sessions.count_operations()
    }

    /// Every statement that was ever submitted, oldest first.
    pub fn submitted(&self) -> &[String] {
        &self.submitted
    }

    /// Closes the sessions whose time is up by `now`, the time since the UNIX epoch.
    pub fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.sessions.expire(self.now, self.config.idle_timeout);
    }

    /// The gateway ends and starts anew: it knows no session any more.
    pub fn restart(&mut self, now: Duration) {
        self.advance(now);
        self.sessions.clear();
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch.
    pub fn handle(&mut self, now: Duration, request: &Request<Bytes>) -> Response<Bytes> {
        self.advance(now);
        respond(self.route(request))
    }
}

//! A simulated SQL Gateway of Apache Flink, as seen through its REST endpoint, versions 1 to 4.
//!
//! [`Gateway::handle`] answers one request at a time, as a real gateway does. Idle sessions are closed. Every statement
//! is accepted, and fails with its result. Results are not ready at first, and pages may have no rows. A page can be
//! requested again until the next page was requested. Nearly every rejection is a 500. The simulator uses no network,
//! clock or randomness.
//!
//! Statements are carried out in their order when their result becomes ready. Each session has its own catalogs and
//! settings. A statement that fails is rejected with its result: with 500 and the chain of exceptions of a real
//! gateway.
//!
//! # Statements
//!
//! | statement | result |
//! |---|---|
//! | what is [defined](Gateway::define) | the rows, columns and failure of its [`Script`] |
//! | `SELECT n FROM numbers [LIMIT k]` | 0, 1, 2, …; without the limit it has no end |
//! | `SELECT columns FROM t [LIMIT k]`, `t` with the connector `datagen` | rows that count, with the options `number-of-rows` and `fields.f.start` and `end`; otherwise without an end |
//! | `SELECT 1`, `SELECT 1 AS a, 2` | one row |
//! | another query, with the feature `sql` | the rows of its result: tables keep what was inserted, unless their connector is `blackhole` or `print` |
//! | `INSERT INTO t …` | the id of a job, which has finished with the feature `sql` unless it reads a table without an end |
//! | `EXECUTE STATEMENT SET …` | the id of one job for all of its `INSERT`s, which are carried out all or none |
//! | `EXPLAIN SELECT columns FROM t` | the plan of a real gateway; of another query, a text that says it is not simulated |
//! | `SHOW CATALOGS`, `DATABASES`, `TABLES`, `VIEWS`, `FUNCTIONS`, `MODULES`, `JARS`, `JOBS`, `COLUMNS`, `PARTITIONS`, `CURRENT …`, `CREATE TABLE` or `VIEW` or `CATALOG`, with `FROM` and `LIKE` | names, or a definition |
//! | `DESCRIBE t`, `DESCRIBE JOB 'id'` | columns with type, key, watermark and comment; the job |
//! | `CREATE`, `ALTER`, `DROP` of tables and views, also temporary; of databases, catalogs and functions | `OK` |
//! | `USE`, `USE CATALOG`, `USE MODULES`, `LOAD` and `UNLOAD MODULE`, `ADD` and `REMOVE JAR` | `OK` |
//! | `SET`, `SET 'key' = 'value'`, `RESET` | the settings of the session, or `OK` |
//! | `STOP JOB 'id' [WITH SAVEPOINT]` | `OK`, or the path of the savepoint |
//!
//! Results, types and messages were measured with Flink 2.3.0. Anything else that Flink knows fails with `not simulated
//! by pipewright-sim`.
//!
//! # Limits
//!
//! * A parse error names the word and its place, without the list of what was expected.
//! * `SHOW FUNCTIONS` lists 44 of 251 functions. No user-defined function can be loaded.
//! * `SHOW CREATE VIEW` shows the query as it was written. Without the feature `sql`, a view has columns only if its
//!   query reads columns of one table.
//! * A computed column is a text unless it is a column, a cast, `UPPER`, `LOWER`, `PROCTIME` or `TO_TIMESTAMP`.
//! * A query has the final rows of its result, as in batch mode: there are no `UPDATE_BEFORE`, `UPDATE_AFTER` and
//!   `DELETE`. A query reads tables of one database. `TIMESTAMP` in a computed result has 6 digits.
//! * A query that computes over a `datagen` table reads 1,000 of its rows at most, and fails if the table has no end.
//! * Options of connectors are not checked, and every connector but `blackhole`, `print` and `datagen` can be read and
//!   written. Settings are not checked.
//! * The status of an operation is `RUNNING`, `FINISHED`, `ERROR` or `CANCELED`. The job of a bounded query has
//!   finished when its first page is ready.
//! * Materialized tables, models, statement sets in several statements, `CREATE TABLE … AS`, `UPDATE` and `DELETE` are
//!   not simulated.
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
//! [`routes`] returns this table. A route that is not simulated is answered 501, with the header `x-pipewright-sim:
//! not-simulated`. The releases are versions of the API.
//!
#![doc = include_str!("routes.md")]
//!
//! To add a route, add its handler to `router.rs` and change the `no` of its line in `routes.md` to `yes`.
//!
//! # Layers
//!
//! Each file imports only files of the layers above its own in this table, or earlier files of the same layer.
//!
//! | layer | files |
//! |---|---|
//! | data | `failure` (chains of exceptions), `words` (the lexer), `types`, `counted`, `table`, `statement` ([`Script`]), `jobs` |
//! | a session's objects | `catalog`, `columns` (of `CREATE TABLE`), `select` (queries without an engine), `engine` (or `no_engine`), `workspace`, which finds who carries a statement out |
//! | statements | `show`, `define`, `change`, `alter`, `query` |
//! | answers | `errors`, `forms`, `operation`, `session` |
//! | root | [`Gateway`], which owns the parts; `router`, which names the handler of each path |

mod alter;
mod catalog;
mod change;
mod columns;
mod counted;
mod define;
#[cfg_attr(not(feature = "sql"), path = "no_engine.rs")]
mod engine;
mod errors;
mod failure;
mod forms;
mod jobs;
mod operation;
mod query;
mod router;
mod select;
mod session;
mod show;
mod statement;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod words;
mod workspace;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

pub use self::statement::Script;

use self::errors::respond;
use self::jobs::Jobs;
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

impl Config {
    /// The settings of a new session.
    fn settings(&self) -> BTreeMap<String, String> {
        let idle = format!("{}s", self.idle_timeout.as_secs());
        let settings = [
            ("execution.attached", "true"),
            ("execution.shutdown-on-attached-exit", "false"),
            ("execution.state-recovery.claim-mode", "NO_CLAIM"),
            ("execution.state-recovery.ignore-unclaimed-state", "false"),
            ("execution.target", "remote"),
            ("jobmanager.rpc.address", "127.0.0.1"),
            ("parallelism.default", "1"),
            ("rest.address", "127.0.0.1"),
            ("sql-gateway.endpoint.rest.address", "127.0.0.1"),
            ("sql-gateway.session.idle-timeout", &idle),
        ];
        settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }
}

/// A simulated gateway. See the [module](self).
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    now: Duration,
    handles: Handles,
    sessions: Sessions,
    jobs: Jobs,
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
            jobs: Jobs::default(),
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
        self.sessions.run(self.now, &mut self.jobs);
        self.sessions.expire(self.now, self.config.idle_timeout, &mut self.jobs);
    }

    /// The gateway ends and starts again: it knows no session any more.
    pub fn restart(&mut self, now: Duration) {
        self.advance(now);
        self.sessions.clear(&mut self.jobs);
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch.
    pub fn handle(&mut self, now: Duration, request: &Request<Bytes>) -> Response<Bytes> {
        self.advance(now);
        respond(self.route(request))
    }
}

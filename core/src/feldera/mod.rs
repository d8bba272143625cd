//! Feldera: the [API](https://docs.feldera.com/api/) of its manager and, through it, of pipelines; releases 0.104 to
//! 0.375.
//!
//! | room | what |
//! |---|---|
//! | [`platform`], [`health`] | log-in, configuration, session, events and health of the platform |
//! | [`access`] | API keys, trust in issuers, tenants and members |
//! | [`pipelines`] | list, create, look at, change, delete |
//! | [`lifecycle`] | start, stop, pause, resume, approve, clear |
//! | [`programs`] | validate and compare programs |
//! | [`data`] | ingress, completion tokens, connectors, transactions |
//! | [`checkpoints`] | make, look after, send |
//! | [`stats`], [`metrics`], [`events`], [`profiles`] | what a pipeline does |
//! | [`stream`] | changes of views, queries, logs, time series |
//! | [flows](#flows) | what takes several exchanges: compiled, started, stopped, rows in and processed, transactions, checkpoints |
//!
//! With a blocking runtime, common use is one line each:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
//! # fn with(runtime: impl pipewright::driver::Runtime)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use pipewright::feldera::{Deploy, Feldera};
//! use pipewright::feldera::stats::GetStats;
//! use pipewright::feldera::stream::{AdhocQuery, QueryFormat};
//!
//! let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
//! let sql = "CREATE TABLE t (id INT); CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM t;";
//! feldera.run(Deploy::new("orders", sql))?;
//! println!("{:?}", feldera.call(GetStats::new("orders"))?.global_metrics.state);
//! let mut rows = feldera.open(AdhocQuery::new("orders", "SELECT * FROM totals", QueryFormat::Json))?;
//! while let Some(row) = rows.next_item()? {
//!     println!("{}", String::from_utf8_lossy(row));
//! }
//! # Ok(()) }
//! ```
//!
//! What one has to know about Feldera, and what the types and flows take care of:
//!
//! * **A success of start, stop, pause, resume and clear records a wish.** The status seen right afterwards is the old
//!   one, and `Stopped` is no end while the pipeline is to be something else: [`EnsureRunning`], [`EnsurePaused`],
//!   [`Stop`] and [`ClearStorage`] wait until it is granted.
//! * **The manager shows `Running` for some seconds after the process has ended.** The process itself is asked before a
//!   flow says that a pipeline is up, and the cause of its end is waited for.
//! * **503 is used for refusals that never clear.** Codes decide: see [`ErrorCode::class`].
//! * **Nobody knows whether data that was answered with a timeout or a 503 has arrived**, and there is nothing to find
//!   out by. [`HttpInput`](data::HttpInput) is never sent twice by itself.
//! * **400 `ParseErrors` means that all other rows are in**: see [`parse_errors`](data::parse_errors).
//! * **A stream may be cut off and still end properly**: see [`stream`].
//! * **Releases 0.366 and 0.367 renamed all durations and sizes of configurations**: `max_rss_mb: 16000` became
//!   `max_rss: "16G"`. [`RuntimeConfig`](pipelines::RuntimeConfig) has one field for both names, and requests use the
//!   name that the server reads.
//! * **A completed token does not mean that a subscriber has the changes.** They may still be on their way in its
//!   stream. [`Subscription::ingest`] and [`AwaitDelivery`] wait until they are delivered, and tell which of both is
//!   proved.
//! * `Bearer` is the word before a key, and an API key begins with `apikey:`, which belongs to it. A
//!   [`Secret`](crate::Secret) as credentials does just that.
//!
//! Ad-hoc queries over WebSocket are not covered: this library exchanges HTTP requests and responses. The same query
//! runs over HTTP with the same formats, see [`AdhocQuery`](stream::AdhocQuery).
#![doc = include_str!("flows.md")]
#![doc = include_str!("operations.md")]

pub mod access;
pub mod checkpoints;
pub mod data;
mod error;
pub mod events;
mod flow;
pub mod health;
mod ingest_rows;
pub mod lifecycle;
pub mod metrics;
pub mod pipelines;
pub mod platform;
pub mod profiles;
pub mod programs;
mod settings;
pub mod stats;
pub mod stream;
mod subscription;
mod tuning;
mod units;
mod value;

use bytes::Bytes;
use http::Response;

pub use self::error::{
    ErrorClass, ErrorCode, ErrorResponse, error_code, is_unknown_pipeline, never_sent, rejection_will_clear,
};
pub use self::flow::{
    AcceptedRows, ApproveBootstrap, AwaitCompletion, AwaitConnectorsFinished, AwaitDelivery, Change, Checkpoint,
    Checkpointed, ClearStorage, Compile, Completed, DeliveryProof, DeliveryWatch, Deploy, Deployed, EnsurePaused,
    EnsureRunning, FinishedConnector, Ingest, IngestChunk, IngestEvent, IngestProgress, Ingestion, Interruption,
    PushError, RejectedRow, RejectedRows, Resize, Resized, Stop, Stopped, SyncCheckpoint, Synced, Transaction,
    TransactionEvent, TransactionRun, UnconfirmedRows, Undelivered, UnknownOutcome,
};
pub use self::ingest_rows::{
    Csv, IngestError, IngestFailure, IngestRows, IngestSummary, Ndjson, NextRow, OnRejected, OnUnconfirmed,
    RejectedPosition, RowSource, Rows,
};
pub use self::subscription::Subscription;
pub use self::units::{ByteSize, ConfigDuration, InvalidUnit};
pub use self::value::{Accepted, Download, Json, SecretText};

use crate::error::ServiceError;
use crate::operation::{OperationInfo, Service};

/// The API of Feldera: a marker, the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum FelderaApi {}

/// A Feldera. See [`Client`](crate::driver::Client) for what it can.
pub type Feldera<T> = crate::driver::Client<FelderaApi, T>;

impl Service for FelderaApi {
    const NAME: &'static str = "feldera";
    // The server reads more; but longer addresses than this are none to the `http` crate.
    const MAX_REQUEST_LINE: usize = 65_000;
    const VERSIONS: &'static [&'static str] = &["/v0"];

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        error::parse_error(info, response)
    }
}

/// The rows of all tables.
pub(crate) fn operations() -> impl Iterator<Item = &'static OperationInfo> {
    [
        platform::OPERATIONS,
        health::OPERATIONS,
        access::OPERATIONS,
        pipelines::OPERATIONS,
        lifecycle::OPERATIONS,
        programs::OPERATIONS,
        data::OPERATIONS,
        data::INGRESS,
        data::OUTPUT_OPERATIONS,
        data::OUTPUT_COMMANDS,
        checkpoints::OPERATIONS,
        stats::OPERATIONS,
        metrics::OPERATIONS,
        events::OPERATIONS,
        profiles::OPERATIONS,
        stream::egress::OPERATIONS,
        stream::query::OPERATIONS,
        stream::logs::OPERATIONS,
        stream::samples::OPERATIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

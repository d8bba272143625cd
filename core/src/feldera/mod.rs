//! Feldera: the [API](https://docs.feldera.com/api/) of its manager, and of pipelines through the manager; releases
//! 0.104 to 0.375.
//!
//! ```sh
//! cargo add pipewright pipewright-ureq
//! ```
//!
//! This program deploys a pipeline and reads a view of it:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
//! # mod pipewright_ureq {
//! #     pub struct Ureq;
//! #     impl Ureq {
//! #         pub fn new() -> pipewright::driver::Canned {
//! #             pipewright::driver::Canned::new([])
//! #         }
//! #     }
//! # }
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use pipewright::feldera::stream::{AdhocQuery, QueryFormat};
//! use pipewright::feldera::{Deploy, Feldera};
//! use pipewright_ureq::Ureq;
//!
//! let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new());
//! let sql = "CREATE TABLE t (id INT); CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM t;";
//! feldera.run(Deploy::new("orders", sql))?;
//! let mut rows = feldera.open(AdhocQuery::new("orders", "SELECT * FROM totals", QueryFormat::Json))?;
//! while let Some(row) = rows.next_item()? {
//!     println!("{}", String::from_utf8_lossy(row));
//! }
//! # Ok(()) }
//! ```
//!
//! `run` carries out a [goal](#goals), which takes several exchanges. `call` sends one
//! [operation](#all-operations), and `open` an operation with a streaming response.
#![doc = include_str!("flows.md")]
//!
//! # Traps
//!
//! What to know about Feldera, and how the types and flows handle it:
//!
//! * **Start, stop, pause, resume and clear only set the desired status.** Right after a success, the actual status is
//!   still unchanged. `Stopped` is not final while the desired status differs. [`EnsureRunning`], [`EnsurePaused`],
//!   [`Stop`] and [`ClearStorage`] wait until the actual status agrees.
//! * **The manager shows `Running` for some seconds after the process has ended.** A flow reports that a pipeline is up
//!   only after the process itself has answered. If the process has ended, the flow waits up to ten seconds for the
//!   cause.
//! * **503 also stands for rejections that never clear.** The error code decides: see [`ErrorCode::class`].
//! * **If an ingress request times out or is answered with 503, its rows may or may not have been ingested.** Feldera
//!   offers no way to check. So [`HttpInput`](data::HttpInput) is never sent twice automatically.
//! * **400 `ParseErrors` means that all other rows were ingested**: see [`parse_errors`](data::parse_errors).
//! * **A stream may be cut off and still end properly**: see [`stream`].
//! * **Releases 0.366 and 0.367 renamed all durations and sizes of configurations**: `max_rss_mb: 16000` became
//!   `max_rss: "16G"`. [`RuntimeConfig`](pipelines::RuntimeConfig) has one field for both names, and requests use the
//!   name that the server reads.
//! * **A completed token does not mean that a subscriber has received the changes.** They may still be on their way.
//!   [`Subscription::ingest`] and [`AwaitDelivery`] wait until the changes are delivered. If the server is too old to
//!   show that, the [`DeliveryProof`] says so.
//! * **An API key is sent as `Bearer apikey:…`**: the prefix `apikey:` belongs to the key. A [`Secret`](crate::Secret)
//!   as credentials is sent after `Bearer`.
//!
//! Ad-hoc queries over WebSocket are not covered: this library exchanges HTTP requests and responses. The same query
//! runs over HTTP with the same formats, see [`AdhocQuery`](stream::AdhocQuery).
//!
//! # Modules
//!
//! | module | content |
//! |---|---|
//! | [`platform`], [`health`] | login, configuration, session, events and health of the platform |
//! | [`access`] | API keys, trust in token issuers, tenants and members |
//! | [`pipelines`] | list, create, read, change and delete pipelines |
//! | [`lifecycle`] | start, stop, pause, resume, approve, clear |
//! | [`programs`] | validate and compare programs |
//! | [`data`] | ingress, completion tokens, connectors, transactions |
//! | [`checkpoints`] | make checkpoints, list them, copy them to an object store |
//! | [`stats`], [`metrics`], [`events`], [`profiles`] | statistics, metrics, events and profiles of a pipeline |
//! | [`stream`] | changes of views, queries, logs, time series |
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
    PushError, RejectedRow, RejectedRows, Resize, Resized, SentRows, Stop, Stopped, SyncCheckpoint, Synced,
    Transaction, TransactionEvent, TransactionRun, UnconfirmedRows, Undelivered, UnknownOutcome,
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

/// A marker for the API of Feldera: the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum FelderaApi {}

/// A client for Feldera. See [`Client`](crate::driver::Client) for its methods.
pub type Feldera<T> = crate::driver::Client<FelderaApi, T>;

impl Service for FelderaApi {
    const NAME: &'static str = "feldera";
    // The server reads longer lines, but the `http` crate rejects longer addresses.
    const MAX_REQUEST_LINE: usize = 65_000;
    const VERSIONS: &'static [&'static str] = &["/v0"];

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        error::parse_error(info, response)
    }
}

/// Returns all operations, from the tables of the modules.
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

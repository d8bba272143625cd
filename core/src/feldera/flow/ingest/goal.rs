//! The goal [`Ingest`] and its events.

use std::ops::Range;
use std::time::Duration;

use super::machine::IngestMachine;
use super::rows::IngestChunk;
use super::{Ingestion, RejectedRows};
use crate::NonFinite;
use crate::error::FlowError;
use crate::feldera::data::{CompletionToken, DataFormat, UpdateFormat};
use crate::feldera::tuning::{BUFFER_BYTES, CHUNK_BYTES, STALL_TIMEOUT};
use crate::feldera::{FelderaApi, Json};
use crate::flow::goal;

/// Ingests rows into a table, and waits until they are processed.
///
/// This is an **event flow**: [push](Ingestion::push) rows into it and drive it with
/// [`Client::start`](crate::driver::Client::start). It yields an [`IngestEvent`] for each chunk that was sent, and
/// [`Drained`](IngestEvent::Drained) when no rows are left to send. Then push more rows, or [finish](Ingestion::finish)
/// it. Memory is bounded: if the buffer is full, `push` returns the row.
///
/// The flow sends each chunk once. It repeats a chunk only if the chunk certainly did not reach the pipeline. If a
/// request times out, loses its answer or gets most kinds of 503, its rows may or may not have been ingested. Then the
/// flow yields [`UnconfirmedRows`], and the caller decides. If rows cannot be parsed, the other rows of the chunk are
/// ingested ([`RejectedRows`]).
///
/// HTTP input survives a restart of the pipeline only if a checkpoint was made after it, or with fault tolerance.
///
/// # Errors
/// * [`FlowError::Failed`] with an [`Interruption`](super::super::Interruption): `Paused`, `Stopped` or `Crashed`;
///   `Restarted` if another process answers after the first rows were accepted; `Wedged` if the circuit makes no
///   progress; `AwaitingApproval` if the pipeline waits for approval of its bootstrap.
/// * [`FlowError::Service`] if the table does not exist or an option is invalid.
/// * [`FlowError::Ambiguous`] if the flow is polled while it waits for a decision about unconfirmed rows.
///
/// After an error, [`progress`](Ingestion::progress) tells how far the flow got, and
/// [`take_unsent`](Ingestion::take_unsent) returns the remaining rows.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// #     ("POST /v0/pipelines/orders/ingress/items", 200, r#"{"token":"eyJ1"}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"complete","step":37}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use pipewright::feldera::{Feldera, Ingest, IngestEvent};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let mut ingestion = feldera.start(Ingest::new("orders", "items"));
/// for number in 0..1000 {
///     ingestion.flow_mut().push(serde_json::json!({ "id": number, "name": "bolt" }))?;
/// }
/// ingestion.flow_mut().finish();
/// while let Some(event) = ingestion.next()? {
///     match event {
///         IngestEvent::Accepted(accepted) => println!("rows {:?} are ingested", accepted.rows),
///         IngestEvent::Rejected(rejected) => println!("{} rows are rejected", rejected.num_errors),
///         // The table has a primary key, so a second copy of a row changes nothing.
///         IngestEvent::Unconfirmed(unconfirmed) => ingestion.flow_mut().resend(unconfirmed).expect("its own"),
///         IngestEvent::Finished(progress) => assert_eq!(progress.accepted, 1000),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is started"]
pub struct Ingest {
    pub(super) pipeline: String,
    pub(super) table: String,
    pub(super) format: DataFormat,
    pub(super) update_format: Option<UpdateFormat>,
    pub(super) connector_metadata: Option<Json>,
    pub(super) non_finite: NonFinite,
    pub(super) force: bool,
    pub(super) chunk_bytes: usize,
    pub(super) buffer_bytes: usize,
    pub(super) stop_at_errors: bool,
    pub(super) resend_unconfirmed: bool,
    pub(super) stall_timeout: Option<Duration>,
    pub(super) timeout: Option<Duration>,
}

impl Ingest {
    /// Ingests rows into a table, as JSON with inserts, updates and deletes. The table is a SQL identifier: `t` is `T`,
    /// and `"t"` is not. Always spell the table and the options in the same way: each spelling permanently occupies one
    /// of the pipeline's 100 API connections.
    pub fn new(pipeline: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            pipeline: pipeline.into(),
            table: table.into(),
            format: DataFormat::Json,
            update_format: None,
            connector_metadata: None,
            non_finite: NonFinite::Reject,
            force: false,
            chunk_bytes: CHUNK_BYTES,
            buffer_bytes: BUFFER_BYTES,
            stop_at_errors: false,
            resend_unconfirmed: false,
            stall_timeout: Some(STALL_TIMEOUT),
            timeout: None,
        }
    }

    /// Sends records of CSV without a header; push each with [`push_record`](Ingestion::push_record).
    pub fn csv(mut self) -> Self {
        (self.format, self.update_format) = (DataFormat::Csv, None);
        self
    }

    /// Sets the update format of JSON rows; `InsertDelete` by default. With any other format, rows are sent as they are
    /// pushed. With an update format that ingress does not support, the flow ends before it sends a row: see
    /// [`UpdateFormat`].
    pub fn update_format(mut self, format: UpdateFormat) -> Self {
        (self.format, self.update_format) = (DataFormat::Json, Some(format));
        self
    }

    /// Sets a JSON object that the SQL function `CONNECTOR_METADATA()` returns for every row of this flow. Since 0.375;
    /// older servers ignore it. If it is not an object, the flow ends before it sends a row.
    pub fn connector_metadata(mut self, metadata: Json) -> Self {
        self.connector_metadata = Some(metadata);
        self
    }

    /// Sets what to do with `NaN` and the infinities in rows that are written as JSON. By default
    /// [`push`](Ingestion::push), [`update`](Ingestion::update) and [`delete`](Ingestion::delete) return such a row
    /// with an error that names the field.
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// Also ingests into a paused pipeline. Without this call, the flow ends if the pipeline is paused at the start or
    /// after unconfirmed rows. If the pipeline is paused later, it holds rows back, and they become unconfirmed.
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Sets the maximum size of a chunk in bytes; 1 MiB by default. A larger row is a chunk of its own. The server
    /// rejects an upload that takes longer than 30 s.
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes.max(1);
        self
    }

    /// Sets the maximum size in bytes of the rows that wait to be sent or for an answer; 8 MiB by default.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes.max(1);
        self
    }

    /// Ends the flow with the server's rejection after the first chunk with rows that cannot be parsed. By default it
    /// continues.
    pub fn stop_at_errors(mut self) -> Self {
        self.stop_at_errors = true;
        self
    }

    /// Sends unconfirmed rows again without asking, so that each row is ingested at least once. Use it for tables with
    /// a primary key: there a second copy changes nothing, unless another client changes the same keys. After five
    /// attempts the flow yields [`IngestEvent::Unconfirmed`] nevertheless.
    pub fn resend_unconfirmed(mut self) -> Self {
        self.resend_unconfirmed = true;
        self
    }

    /// Sets how long the circuit may make no progress while the flow waits for rows to be processed: see
    /// [`AwaitCompletion::stall_timeout`](super::super::AwaitCompletion::stall_timeout).
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }
}

impl Ingest {
    /// Returns the maximum bytes of a chunk.
    pub(crate) fn max_chunk(&self) -> usize {
        self.chunk_bytes
    }

    pub(super) fn what(&self) -> String {
        format!("ingress into table {} of pipeline {}", self.table, self.pipeline)
    }
}

goal!(Ingest: FelderaApi => IngestEvent, IngestMachine, events Ingestion);

/// An event of an [`Ingest`].
#[derive(Debug)]
#[non_exhaustive]
pub enum IngestEvent {
    /// All rows of a chunk are ingested.
    Accepted(AcceptedRows),
    /// Some rows of a chunk were rejected; all others are ingested.
    Rejected(RejectedRows),
    /// The rows of a chunk may or may not have been ingested.
    Unconfirmed(UnconfirmedRows),
    /// No rows are left to send. Push rows, or [finish](Ingestion::finish) the flow; otherwise the next poll yields it
    /// again.
    Drained,
    /// All ingested rows that were pushed before [`flush`](Ingestion::flush) are processed.
    Processed(IngestProgress),
    /// All ingested rows are processed after [`finish`](Ingestion::finish). This is the last event.
    Finished(IngestProgress),
}

/// Rows that the pipeline has accepted into its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptedRows {
    /// The numbers of the rows, counted from 0.
    pub rows: Range<u64>,
    /// The completion token for these rows and all before them.
    pub token: CompletionToken,
}

/// Rows that may or may not have been ingested. Feldera offers no way to check: both outcomes were observed after the
/// same answer. Rows that a paused pipeline holds back are ingested when it is resumed.
///
/// Call [`Ingestion::resend`] if the table has a primary key; otherwise call [`Ingestion::skip`].
#[derive(Debug)]
#[must_use = "the flow ends if it is polled before `resend` or `skip`"]
pub struct UnconfirmedRows {
    pub(super) chunk: IngestChunk,
    pub(super) cause: Box<FlowError>,
}

impl UnconfirmedRows {
    /// Returns the rows.
    pub fn chunk(&self) -> &IngestChunk {
        &self.chunk
    }

    /// Returns why the outcome is unknown: a [`FlowError::Ambiguous`].
    pub fn cause(&self) -> &FlowError {
        &self.cause
    }

    /// Returns the rows by value, to handle them outside of the flow. Then neither `resend` nor `skip` can be called,
    /// and the next poll ends the flow with [`FlowError::Ambiguous`].
    pub fn into_chunk(self) -> IngestChunk {
        self.chunk
    }
}

/// The progress of an [`Ingest`], in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestProgress {
    /// Rows that were pushed.
    pub pushed: u64,
    /// Rows that are ingested: the pipeline has accepted them into its memory.
    pub accepted: u64,
    /// Rows that were rejected because they cannot be parsed.
    pub rejected: u64,
    /// Unconfirmed rows that were [skipped](Ingestion::skip).
    pub skipped: u64,
    /// All ingested rows with smaller numbers are processed.
    pub processed_to: u64,
    /// Rows that are ingested and processed.
    pub processed: u64,
    /// Rows that wait to be sent, for an answer, or for a decision.
    pub waiting: u64,
    /// The size of the waiting rows in bytes.
    pub waiting_bytes: usize,
}

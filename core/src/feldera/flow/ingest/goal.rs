//! The goal, and what its session yields.

use std::ops::Range;
use std::time::Duration;

use super::rows::{Buffer, Chunk};
use super::{Ingestion, Rejected};
use crate::NonFinite;
use crate::error::FlowError;
use crate::feldera::FelderaApi;
use crate::feldera::data::{CompletionToken, DataFormat, UpdateFormat};
use crate::feldera::flow::pulse::PATIENCE;
use crate::flow::{Config, Goal};
use crate::seed::Seed;

/// Puts rows into a table, and waits until they are processed.
///
/// A **session**: rows are [pushed](Ingestion::push) into it, and it is polled, as with `drive::run(&mut ingestion, …)`. It
/// yields an [`IngestEvent`] for each chunk that was sent, and [`Drained`](IngestEvent::Drained) when nothing waits any more;
/// then more rows are pushed, or it is [finished](Ingestion::finish). Memory is bounded: a buffer that is full
/// hands the row back.
///
/// A chunk is sent once. It is sent again by itself only when it is known never to have reached the pipeline; when nobody
/// knows ([`Doubt`]: a timeout, a lost answer, most 503s) its rows are handed to the caller, who decides. Rows that cannot
/// be parsed keep no other row out ([`Rejected`]).
///
/// Ends in [`FlowError::Failed`] with an [`Interruption`](super::super::Interruption) when the pipeline cannot go on: it is
/// paused or stopped, it has died, or another process answers than the one that took the first rows in. In
/// [`FlowError::Service`] for a table that is none, or options that are no good. In [`FlowError::Ambiguous`] when it is polled
/// on while rows are in doubt. [`progress`](Ingestion::progress) says how far it got, and
/// [`take_unsent`](Ingestion::take_unsent) has the rest.
///
/// Data that came in over HTTP survives a restart only with a checkpoint after it, or with fault tolerance.
///
/// ```
/// # mod scripted { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/feldera/flow/scripted.rs")); }
/// # use scripted::Scripted;
/// # let runtime = Scripted::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// #     ("POST /v0/pipelines/orders/ingress/items", 200, r#"{"token":"eyJ1"}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"complete","step":37}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use pipewright::drive::{self, NoCredentials};
/// use pipewright::feldera::{Feldera, Ingest, flow::IngestEvent};
/// use pipewright::flow::Goal as _;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let mut ingestion = Ingest::new("orders", "items").start(feldera.config(), feldera.seed());
/// for number in 0..1000 {
///     ingestion.push(serde_json::json!({ "id": number, "name": "bolt" }))?;
/// }
/// ingestion.finish();
/// loop {
///     match drive::run(&mut ingestion, feldera.runtime(), &NoCredentials, drop)? {
///         IngestEvent::Accepted(accepted) => println!("rows {:?} are in", accepted.rows),
///         IngestEvent::Rejected(rejected) => println!("{} rows are not in", rejected.num_errors),
///         // Every row has a key, so that a second copy of it changes nothing.
///         IngestEvent::Doubtful(doubt) => ingestion.resend(doubt).expect("its own"),
///         IngestEvent::Finished(progress) => break assert_eq!(progress.accepted, 1000),
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
    pub(super) non_finite: NonFinite,
    pub(super) force: bool,
    pub(super) chunk_bytes: usize,
    pub(super) buffer_bytes: usize,
    pub(super) stop_at_errors: bool,
    pub(super) resend_doubtful: bool,
    pub(super) stalled_after: Option<Duration>,
    pub(super) within: Option<Duration>,
}

impl Ingest {
    /// Rows for a table, as JSON that tells inserts, updates and deletes apart. The table is a SQL identifier: `t` is `T`, and
    /// `"t"` is not. Spell it and the options in the same way each time: each spelling keeps one of the pipeline's 100 API
    /// connections for good.
    pub fn new(pipeline: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            pipeline: pipeline.into(),
            table: table.into(),
            format: DataFormat::Json,
            update_format: None,
            non_finite: NonFinite::Refuse,
            force: false,
            chunk_bytes: 1 << 20,
            buffer_bytes: 8 << 20,
            stop_at_errors: false,
            resend_doubtful: false,
            stalled_after: Some(PATIENCE),
            within: None,
        }
    }

    /// Records are CSV without a header, each pushed ready by [`push_record`](Ingestion::push_record).
    pub fn csv(mut self) -> Self {
        (self.format, self.update_format) = (DataFormat::Csv, None);
        self
    }

    /// Sets what a row of JSON is; `InsertDelete` by default. With any other one, rows are sent as they are pushed. With an
    /// update format that ingress does not support, the session ends before it sends a row: see [`UpdateFormat`].
    pub fn update_format(mut self, format: UpdateFormat) -> Self {
        (self.format, self.update_format) = (DataFormat::Json, Some(format));
        self
    }

    /// Sets what to do with `NaN` and the infinities in rows that are written as JSON. By default
    /// [`push`](Ingestion::push), [`update`](Ingestion::update) and [`delete`](Ingestion::delete) hand such a row back, with
    /// an error that names the field.
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// Also takes rows into a paused pipeline. Without it the session ends when it finds the pipeline paused, at first or
    /// after a doubt; rows that are under way when it is paused are held, and come in doubt.
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// How many bytes go out together at the most, but for a row that is larger by itself; 1 MiB by default. What takes
    /// longer than 30 s to upload is refused.
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes.max(1);
        self
    }

    /// How many bytes wait at the most, those under way included; 8 MiB by default.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes.max(1);
        self
    }

    /// Ends, with the refusal, after the first chunk of which some rows could not be parsed. By default the session goes on.
    pub fn stop_at_errors(mut self) -> Self {
        self.stop_at_errors = true;
        self
    }

    /// Sends rows again of which nobody knows whether they are in: each row comes in at least once. For tables with a
    /// primary key, where a second copy changes nothing while nobody else changes the same keys. After five times the
    /// caller is asked all the same.
    pub fn resend_doubtful(mut self) -> Self {
        self.resend_doubtful = true;
        self
    }

    /// How long the circuit may make no progress while rows are waited for: see
    /// [`AwaitCompletion::stalled_after`](super::super::AwaitCompletion::stalled_after).
    pub fn stalled_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stalled_after = time.into();
        self
    }

    /// How long the session may take, from its first poll; as long as it takes by default.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}

impl Goal for Ingest {
    type Service = FelderaApi;
    type Output = IngestEvent;
    type Flow = Ingestion;

    fn start(self, config: &Config<FelderaApi>, seed: Seed) -> Ingestion {
        let (format, update_format) = (self.format.clone(), self.update_format.clone());
        let buffer = Buffer::new(format, update_format, self.non_finite, self.chunk_bytes, self.buffer_bytes);
        Ingestion::new(self, buffer, config, seed)
    }
}

/// What an [`Ingest`] yields.
#[derive(Debug)]
#[non_exhaustive]
pub enum IngestEvent {
    /// All rows of a chunk are in.
    Accepted(Accepted),
    /// Some rows of a chunk are not, and all others are.
    Rejected(Rejected),
    /// Nobody knows whether the rows of a chunk are in.
    Doubtful(Doubt),
    /// Nothing waits any more: push rows, or [finish](Ingestion::finish). Polled without, it comes again.
    Drained,
    /// All rows that are in, of those that were pushed before [`flush`](Ingestion::flush), are processed.
    Processed(IngestProgress),
    /// The same after [`finish`](Ingestion::finish), and nothing more comes.
    Finished(IngestProgress),
}

/// Rows that are in the pipeline's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Which ones.
    pub rows: Range<u64>,
    /// Stands for these and for all before them.
    pub token: CompletionToken,
}

/// Rows of which nobody knows whether they are in. There is nothing to find out by: both has been seen after the same
/// answer. Rows that a paused pipeline holds go in when it is resumed.
///
/// [`Ingestion::resend`] or [`Ingestion::skip`] decide.
#[derive(Debug)]
#[must_use = "the session ends when it is polled before it is told what to do with these rows"]
pub struct Doubt {
    pub(super) chunk: Chunk,
    pub(super) cause: Box<FlowError>,
}

impl Doubt {
    /// The rows.
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// What hides the outcome: a [`FlowError::Ambiguous`].
    pub fn cause(&self) -> &FlowError {
        &self.cause
    }

    /// The rows, for a decision that does not go through the session.
    pub fn into_chunk(self) -> Chunk {
        self.chunk
    }
}

/// How far a session is, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestProgress {
    /// Pushed.
    pub pushed: u64,
    /// In.
    pub accepted: u64,
    /// Not in, because they cannot be parsed.
    pub rejected: u64,
    /// In doubt, and [given up](Ingestion::skip).
    pub skipped: u64,
    /// All rows with smaller numbers are processed, as far as they are in.
    pub processed_to: u64,
    /// Waiting to be sent, for an answer, or for a decision.
    pub waiting: u64,
    /// The same in bytes.
    pub waiting_bytes: usize,
}

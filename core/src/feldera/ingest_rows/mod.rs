//! [`IngestRows`]: ingests all rows of a source into a table, in one call.

mod feeder;
mod source;
mod summary;

pub use self::source::{Csv, Ndjson, NextRow, RowSource, Rows};
pub use self::summary::{IngestError, IngestFailure, IngestSummary, RejectedPosition};

use self::feeder::Feeder;
#[cfg(doc)]
use super::Feldera;
use super::FelderaApi;
use super::flow::{Ingest, IngestEvent, Ingestion};
use crate::driver::{Client, ListenerResult, Runtime, ignore_notices};
use crate::flow::Notice;

/// A goal for [`Feldera::ingest`]: an [`Ingest`], a policy for rejected rows and a policy for unconfirmed rows. Create
/// it from an [`Ingest`].
///
/// ```no_run
/// # use pipewright::driver::Runtime;
/// # fn example(feldera: &pipewright::feldera::Feldera<impl Runtime>) -> Result<(), Box<dyn std::error::Error>> {
/// use pipewright::feldera::{Csv, Ingest, IngestRows, OnRejected, OnUnconfirmed};
///
/// let goal = IngestRows::from(Ingest::new("orders", "items").csv())
///     .on_rejected(OnRejected::Skip)
///     // The table has a primary key, so a second copy of a row changes nothing.
///     .on_unconfirmed(OnUnconfirmed::Resend);
/// let summary = feldera.ingest(goal, Csv::new(std::fs::File::open("items.csv")?).skip_header())?;
/// println!("{summary}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct IngestRows {
    ingest: Ingest,
    on_rejected: OnRejected,
    on_unconfirmed: OnUnconfirmed,
}

/// The policy of an [`IngestRows`] for a row that Feldera rejects, or that the flow cannot send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRejected {
    /// Stops reading, ingests the rows that were read before, and fails.
    #[default]
    Fail,
    /// Continues without the row. The summary counts these rows, and lists [a hundred](IngestSummary::rejected).
    Skip,
}

/// The policy of an [`IngestRows`] for rows that may or may not have been ingested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnconfirmed {
    /// Stops sending, and fails. The rows are in [`IngestError::unsettled`].
    #[default]
    Fail,
    /// Continues without sending them again, so that rows may be missing. The summary counts these rows, and lists the
    /// first hundred chunks.
    Skip,
    /// Sends them again, up to five times, then fails. Use it only for tables with a primary key: in other tables, rows
    /// may be duplicated. See [`Ingest::resend_unconfirmed`].
    Resend,
}

impl From<Ingest> for IngestRows {
    fn from(ingest: Ingest) -> Self {
        Self { ingest, on_rejected: OnRejected::default(), on_unconfirmed: OnUnconfirmed::default() }
    }
}

impl IngestRows {
    /// Sets what to do when a row is rejected; [`OnRejected::Fail`] by default.
    pub fn on_rejected(mut self, policy: OnRejected) -> Self {
        self.on_rejected = policy;
        self
    }

    /// Sets what to do with unconfirmed rows; [`OnUnconfirmed::Fail`] by default.
    pub fn on_unconfirmed(mut self, policy: OnUnconfirmed) -> Self {
        self.on_unconfirmed = policy;
        self
    }
}

impl<R: Runtime> Client<FelderaApi, R> {
    /// Ingests all rows of a source into a table, and waits until they are processed. Ignores notices.
    ///
    /// The source is [`Rows`] for an iterator, [`Csv`] or [`Ndjson`] for a reader, or your own [`RowSource`]. Rows are
    /// sent when a chunk is full, when the source has no row yet, and at its end. While the source blocks, no rows are
    /// sent. [`Ingest::buffer_bytes`] bounds the memory.
    ///
    /// ```
    /// # let stats = r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
    /// #     "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#;
    /// # let runtime = pipewright::driver::Canned::new([
    /// #     ("GET /v0/pipelines/orders/stats", 200, stats),
    /// #     ("POST /v0/pipelines/orders/ingress/items", 200, r#"{"token":"eyJ1"}"#),
    /// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"complete","step":37}"#),
    /// #     ("GET /v0/pipelines/orders/stats", 200, stats),
    /// # ]);
    /// use pipewright::feldera::{Feldera, Ingest, Rows};
    /// use serde_json::json;
    ///
    /// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
    /// let rows = (0..1000).map(|id| json!({ "id": id, "name": "bolt" }));
    /// let summary = feldera.ingest(Ingest::new("orders", "items"), Rows::new(rows))?;
    /// assert_eq!(summary.to_string(), "1000 of 1000 rows are ingested");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`IngestFailure`] lists the reasons. If the source fails or a row is rejected, the rows that were read before
    /// are ingested first. The error has the summary, and all rows that are not known to be accepted: see
    /// [`IngestError::unsettled`]. If the flow ends before it takes the last row that was read, the error has its
    /// [number](IngestError::not_taken).
    pub fn ingest(&self, goal: impl Into<IngestRows>, rows: impl RowSource) -> Result<IngestSummary, Box<IngestError>> {
        self.ingest_with(goal, rows, ignore_notices, |_, _| ())
    }

    /// Ingests all rows of a source as [`ingest`](Self::ingest) does. Passes each notice to `on_notice`, and each event
    /// with the flow to `on_event`, for example to show progress.
    ///
    /// # Errors
    /// As [`ingest`](Self::ingest), and [`FlowError::Stopped`](crate::error::FlowError::Stopped) if `on_notice` returns
    /// an error.
    pub fn ingest_with<H: ListenerResult>(
        &self,
        goal: impl Into<IngestRows>,
        rows: impl RowSource,
        on_notice: impl FnMut(Notice) -> H,
        on_event: impl FnMut(&IngestEvent, &Ingestion),
    ) -> Result<IngestSummary, Box<IngestError>> {
        Feeder::new(self, goal.into(), on_notice, on_event).run(rows)
    }
}

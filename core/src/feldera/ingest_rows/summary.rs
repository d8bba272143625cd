//! [`IngestSummary`] and [`IngestError`].

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

use crate::error::FlowError;
use crate::feldera::flow::IngestChunk;

/// Counts of an ingestion. Rows have the numbers of the source: counted from 1, by row or by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestSummary {
    /// Rows that were read from the source.
    pub rows_read: u64,
    /// Rows that were left out because they cannot be sent.
    pub rows_invalid: u64,
    /// Rows that were sent. Rows of a request that certainly ingested no rows do not count.
    pub rows_sent: u64,
    /// Rows that the pipeline has accepted into its memory. After a success, they are also processed. After an error,
    /// they may be lost: see [`IngestError::unsettled`].
    pub rows_ingested: u64,
    /// The number of these rows that are known to be processed.
    pub rows_processed: u64,
    /// Rows that Feldera has rejected because it cannot parse them.
    pub rows_rejected: u64,
    /// The first hundred rows that were left out or rejected. If a request has more than a thousand errors, Feldera
    /// reports only the last thousand.
    pub rejected: Vec<RejectedPosition>,
    /// Rows that may or may not have been ingested.
    pub rows_unconfirmed: u64,
    /// The row numbers of the first hundred chunks with unconfirmed rows.
    pub unconfirmed: Vec<RangeInclusive<u64>>,
}

/// A row that was not ingested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedPosition {
    /// The number of the row or line; `None` if Feldera's error does not contain it.
    pub row: Option<u64>,
    /// The problem. Feldera's text may quote a value of the row.
    pub problem: String,
}

/// Writes one line, for logs.
impl fmt::Display for IngestSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows_ingested, rows_read, rows_processed, .. } = self;
        if rows_processed == rows_ingested {
            write!(f, "{rows_ingested} of {rows_read} rows are ingested")?;
        } else {
            write!(f, "{rows_ingested} of {rows_read} rows are accepted, and {rows_processed} of them processed")?;
        }
        for (count, what) in
            [(self.rows_rejected, "rejected"), (self.rows_invalid, "invalid"), (self.rows_unconfirmed, "unconfirmed")]
        {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for RejectedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "row {row}: {}", self.problem),
            None => write!(f, "a row: {}", self.problem),
        }
    }
}

/// The error of a failed ingestion, with its progress.
#[derive(Debug)]
#[non_exhaustive]
pub struct IngestError {
    /// The reason of the failure.
    pub failure: IngestFailure,
    /// The error of the flow if it could not ingest the rows that were read before the failure. These rows are in
    /// `unsettled`.
    pub flow_error: Option<FlowError>,
    /// The counts up to the failure.
    pub summary: IngestSummary,
    /// The rows that the flow took, and that are not known to be accepted or rejected. They are
    /// [unconfirmed](IngestChunk::is_unconfirmed), or were never sent. Skipped rows are not included.
    /// [`IngestChunk::rows`] counts rows from 0 in the order in which they were pushed, unlike the summary.
    ///
    /// The pipeline holds accepted rows in its memory. If it was stopped or restarted, or has crashed
    /// ([`Interruption`](crate::feldera::Interruption)), these rows are lost, unless a checkpoint was made after them
    /// or the pipeline has fault tolerance. Then send all rows of the source again, not only the unsettled rows.
    pub unsettled: Vec<IngestChunk>,
    /// The number of the row or line that was read last, if the flow did not take it before it ended. This row is not
    /// in `unsettled`: only the source had it.
    pub not_taken: Option<u64>,
}

/// The reason why an ingestion failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum IngestFailure {
    /// The source failed: the iterator or the reader returned an error.
    Source {
        /// The number of the last row or line that was read; 0 if no row was read.
        row: u64,
        /// The error.
        error: Box<dyn Error + Send + Sync>,
    },
    /// A row cannot be sent, or Feldera has rejected it: see [`OnRejected`](super::OnRejected). It is the first such
    /// row in [`IngestSummary::rejected`].
    Rejected(RejectedPosition),
    /// The flow ended with an error: see [`Ingest`](crate::feldera::Ingest). The error is [`FlowError::Ambiguous`] if
    /// rows are unconfirmed: see [`OnUnconfirmed`](super::OnUnconfirmed).
    Flow(FlowError),
}

impl fmt::Display for IngestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ingestion failed: {}; {}", self.failure, self.summary)?;
        match &self.flow_error {
            Some(error) => write!(f, "; then the flow ended: {error}"),
            None => Ok(()),
        }
    }
}

impl Error for IngestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.failure {
            IngestFailure::Source { error, .. } => Some(&**error),
            IngestFailure::Flow(error) => Some(error),
            IngestFailure::Rejected(_) => None,
        }
    }
}

impl fmt::Display for IngestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { row: 0, error } => write!(f, "reading the first row failed: {error}"),
            Self::Source { row, error } => write!(f, "reading the rows failed after row {row}: {error}"),
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Flow(error) => error.fmt(f),
        }
    }
}

impl From<FlowError> for IngestFailure {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

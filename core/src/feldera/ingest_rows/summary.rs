//! [`IngestSummary`] and [`IngestError`].

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

use crate::error::FlowError;
use crate::feldera::flow::IngestChunk;

/// What an ingestion has done. Rows are numbered as the source numbers them: from 1, by row or by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestSummary {
    /// Rows that the source has given.
    pub rows_read: u64,
    /// Rows of them that cannot be sent, and were left out.
    pub rows_invalid: u64,
    /// Rows that were sent. Rows of a request that is known to have ingested nothing do not count.
    pub rows_sent: u64,
    /// Rows that are ingested. After a success they are processed, too.
    pub rows_ingested: u64,
    /// Rows that Feldera has rejected because it cannot parse them.
    pub rows_rejected: u64,
    /// The first hundred rows that were left out or rejected.
    pub rejected: Vec<RejectedPosition>,
    /// Rows that may or may not have been ingested.
    pub rows_unconfirmed: u64,
    /// The first hundred chunks with such rows.
    pub unconfirmed: Vec<RangeInclusive<u64>>,
}

/// A row that was not ingested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedPosition {
    /// The number of the row or line. `None` if Feldera's error does not tell.
    pub row: Option<u64>,
    /// What is wrong with it, without its text.
    pub problem: String,
}

/// One line, for logs.
impl fmt::Display for IngestSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} rows are ingested", self.rows_ingested, self.rows_read)?;
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

/// An ingestion that has failed, and how far it came.
#[derive(Debug)]
#[non_exhaustive]
pub struct IngestError {
    /// Why the ingestion has stopped.
    pub failure: IngestFailure,
    /// The error of the flow, if it could not ingest the rows before the failure. The rows that it leaves are in
    /// `unsettled`.
    pub flow_error: Option<FlowError>,
    /// What was done until then.
    pub summary: IngestSummary,
    /// The rows that were read and are not known to be ingested or rejected:
    /// [unconfirmed](IngestChunk::is_unconfirmed) ones, and ones that were never sent. Skipped rows are not among them.
    pub unsettled: Vec<IngestChunk>,
}

/// Why an ingestion has stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum IngestFailure {
    /// The source has failed: the error of the iterator or the reader.
    Source {
        /// The number of the last row or line that was read.
        row: u64,
        /// The error.
        error: Box<dyn Error + Send + Sync>,
    },
    /// A row cannot be sent, or Feldera has rejected it: see [`OnRejected`](super::OnRejected).
    Rejected(RejectedPosition),
    /// The flow has ended with an error: see [`Ingest`](crate::feldera::Ingest). A [`FlowError::Ambiguous`] if rows are
    /// unconfirmed: see [`OnUnconfirmed`](super::OnUnconfirmed).
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

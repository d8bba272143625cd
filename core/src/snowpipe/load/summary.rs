//! [`LoadSummary`] and [`LoadError`].

use std::error::Error;
use std::fmt;

use crate::error::{BuildError, FlowError};
use crate::snowpipe::flow::{RejectedRows, UnsettledRows};
use crate::snowpipe::rows::RowError;

/// Counts of a load.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoadSummary {
    /// Whether the load has opened the channel. Otherwise it does not know what is committed.
    pub is_opened: bool,
    /// Rows that were read from the source.
    pub rows_read: u64,
    /// Rows that were skipped because they were committed before the load.
    pub rows_skipped: u64,
    /// Rows that were left out because they are not JSON objects that an append can hold.
    pub rows_invalid: u64,
    /// The problem of the last row that was left out.
    pub last_invalid: Option<RowError>,
    /// Rows that this load has committed, including those that the service has rejected.
    pub rows_committed: u64,
    /// Rows that were sent and are not known to be committed; 0 after a success.
    pub rows_unconfirmed: u64,
    /// The increase of the channel's count of inserted rows; `None` if the service does not report it. It also
    /// counts rows of another writer, such as those that were buffered when the load began.
    pub rows_inserted: Option<u64>,
    /// The increase of the channel's count of rejected rows.
    pub rows_rejected: u64,
    /// The last rejection that the service has reported.
    pub last_rejected: Option<RejectedRows>,
    /// The channel's committed offset token, without the prefix; `None` if nothing is committed, or if the channel was
    /// not opened.
    pub committed: Option<String>,
    /// How many times the channel was reopened.
    pub reopenings: u64,
}

/// Shows the summary in one line, for logs.
impl fmt::Display for LoadSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.committed {
            Some(token) => write!(f, "committed up to \"{token}\"")?,
            None if !self.is_opened => {
                return f.write_str("the channel was not opened: which rows are committed is not known");
            }
            None => f.write_str("no rows are committed")?,
        }
        let rows = if self.rows_committed == 1 { "row" } else { "rows" };
        write!(f, ": {} {rows}, after {} that were committed before", self.rows_committed, self.rows_skipped)?;
        for (count, what) in [
            (self.rows_rejected, "rejected by the service"),
            (self.rows_invalid, "invalid"),
            (self.rows_unconfirmed, "unconfirmed"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// The error of a failed load, with its progress.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoadError {
    /// The reason of the failure.
    pub failure: LoadFailure,
    /// The error of the writer if it could not commit the rows that were read before the failure. These rows are in
    /// `unsettled`.
    pub writer_error: Option<FlowError>,
    /// The counts up to the failure.
    pub summary: LoadSummary,
    /// The rows that the writer accepted, and that are not known to be committed.
    pub unsettled: UnsettledRows,
    /// The number of the row or line that was read last, if the writer did not accept it before it ended. This row is
    /// not in `unsettled`: only the source had it.
    pub not_taken: Option<u64>,
}

/// The reason why a load failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadFailure {
    /// The source failed: the iterator or the reader returned an error, or the source returned an
    /// [`OffsetError`](super::OffsetError).
    Source {
        /// The number of the last row or line that was read; 0 if no row was read.
        row: u64,
        /// The error.
        error: Box<dyn Error + Send + Sync>,
    },
    /// A row is not a JSON object that an append can hold: see [`OnRejected`](super::OnRejected).
    Row {
        /// The number of the row or line.
        row: u64,
        /// The problem.
        error: RowError,
    },
    /// The writer rejects the offset token of a row.
    Token {
        /// The number of the row or line.
        row: u64,
        /// The problem.
        error: BuildError,
    },
    /// The service has rejected rows: see [`OnRejected`](super::OnRejected).
    Rejected(RejectedRows),
    /// The writer has ended with an error: see [`Writer`](crate::snowpipe::Writer). The load did not wait for earlier
    /// rows: sent rows may be committed.
    Writer(FlowError),
    /// `on_notice` has returned this error. The load ended at once: sent rows may be committed.
    Stopped(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "load failed: {}; {}", self.failure, self.summary)?;
        match &self.writer_error {
            Some(error) => write!(f, "; then the writer ended: {error}"),
            None => Ok(()),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match &self.failure {
            LoadFailure::Source { error, .. } => &**error,
            LoadFailure::Row { error, .. } => error,
            LoadFailure::Token { error, .. } => error,
            LoadFailure::Writer(error) => error,
            LoadFailure::Rejected(_) | LoadFailure::Stopped(_) => return None,
        })
    }
}

impl fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { row: 0, error } => write!(f, "reading the rows failed: {error}"),
            Self::Source { row, error } => write!(f, "reading the rows failed after row {row}: {error}"),
            Self::Row { row, error } => write!(f, "row {row}: {}", error.problem()),
            Self::Token { row, error } => write!(f, "row {row}: {error}"),
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Writer(error) => error.fmt(f),
            Self::Stopped(reason) => write!(f, "stopped by the listener to its notices: {reason}"),
        }
    }
}

impl From<FlowError> for LoadFailure {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Stopped(reason) => Self::Stopped(reason),
            error => Self::Writer(error),
        }
    }
}

//! The events of a writer, and the rows that it does not accept.

use std::error::Error;
use std::fmt;

use crate::error::{BuildError, FlowError};
use crate::snowpipe::flow::RejectedRows;
use crate::snowpipe::rows::{Batch, RowError};

/// An event of a [`Writer`](super::Writer). Poll the writer again after each event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WriterEvent {
    /// The channel is open for the first time. Always the first event. Begin with the row after the committed token, or
    /// with the first row if the token is `None`.
    Opened {
        /// The last offset token whose rows are committed; `None` if no rows are committed.
        committed: Option<String>,
    },
    /// Rows are committed: they are in the table, or counted in an earlier [`Rejected`](Self::Rejected). The writer no
    /// longer keeps them.
    Committed {
        /// The committed token.
        token: String,
        /// How many batches were committed since the last such event.
        batches: usize,
        /// How many rows were committed since the last such event, including rejected rows.
        rows: u64,
    },
    /// The service has accepted rows and then did not insert them. The committed token advances past them, so this
    /// event is their only trace.
    Rejected(RejectedRows),
    /// All rows from before [`flush`](super::Writer::flush) are committed.
    Flushed,
    /// All rows are committed, and the writer has ended. The last event.
    Closed,
}

/// Shows the event in one line, for logs.
impl fmt::Display for WriterEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { committed: None } => f.write_str("the channel is open, and no rows are committed"),
            Self::Opened { committed: Some(token) } => write!(f, "the channel is open, committed up to \"{token}\""),
            Self::Committed { token, rows: 1, .. } => write!(f, "committed up to \"{token}\": 1 row more"),
            Self::Committed { token, rows, .. } => write!(f, "committed up to \"{token}\": {rows} rows more"),
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Flushed => f.write_str("all rows from before the flush are committed"),
            Self::Closed => f.write_str("all rows are committed, and the writer is closed"),
        }
    }
}

/// A batch that the writer did not accept, and why. The writer is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub struct AppendError {
    #[allow(missing_docs, reason = "the name says everything")]
    pub batch: Batch,
    #[allow(missing_docs, reason = "the name says everything")]
    pub reason: PushError,
}

/// Why a writer did not accept a row or a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PushError {
    /// The limit of rows that wait to be committed is reached. Poll the writer until it reports
    /// [`Committed`](WriterEvent::Committed), then try again.
    Full {
        /// How many batches wait to be committed.
        batches: usize,
        /// How many bytes wait to be committed, after compression.
        bytes: u64,
    },
    /// The channel is not open yet, so it is not known with which row to begin. Poll the writer until it reports
    /// [`Opened`](WriterEvent::Opened).
    NotOpened,
    /// The batch, or the offset token of the row, cannot be used.
    Invalid(BuildError),
    /// The row cannot be written as one line of JSON, or is too large.
    Row(RowError),
    /// The writer is closing, or has ended without an error.
    Closed,
    /// The writer has ended with this error.
    Ended(FlowError),
}

impl AppendError {
    /// Returns whether the reason is [`PushError::Full`].
    pub fn is_full(&self) -> bool {
        matches!(self.reason, PushError::Full { .. })
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for AppendError {}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { batches, bytes } => {
                write!(f, "the writer is full: {batches} batches of {bytes} bytes are waiting to be committed")
            }
            Self::NotOpened => f.write_str("the channel is not open yet: poll the writer until it reports Opened"),
            Self::Invalid(error) => error.fmt(f),
            Self::Row(error) => error.fmt(f),
            Self::Closed => f.write_str("the writer is closed"),
            Self::Ended(error) => write!(f, "the writer has ended: {error}"),
        }
    }
}

impl Error for PushError {}

impl From<RowError> for PushError {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

/// The rows that a writer had not seen committed when it ended. Returned by
/// [`Writer::unsettled`](super::Writer::unsettled).
#[derive(Debug)]
#[non_exhaustive]
pub struct UnsettledRows {
    /// The last token that is known to be committed; `None` if no token is.
    pub committed: Option<String>,
    /// The end tokens of batches that an earlier process had sent, and whose outcome is unknown. Empty as soon as the
    /// channel was open.
    pub before: Vec<String>,
    /// Sent batches whose outcome is unknown. The first batches of the list may be committed, now or later, without a
    /// gap.
    pub unconfirmed: Vec<Batch>,
    /// Batches that were not sent, and are not in the table. Rows after the last offset token are in the last batch,
    /// which has no token.
    pub unsent: Vec<Batch>,
}

//! What a writer says, and what it does not take.

use std::error::Error;
use std::fmt;

use crate::error::{BuildError, FlowError};
use crate::snowpipe::flow::RejectedRows;
use crate::snowpipe::rows::{Batch, RowError};

/// What has happened. After each, poll the writer again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WriterEvent {
    /// The channel is open, for the first time: begin with the row behind this token, or with the first row. Always the
    /// first event.
    Opened {
        /// The last offset token whose rows are committed.
        committed: Option<String>,
    },
    /// Rows are committed: in the table, or counted in a [`Rejected`](Self::Rejected) that came before. They are not
    /// kept any longer.
    Committed {
        /// The committed token.
        token: String,
        /// How many batches, since the last time.
        batches: usize,
        /// How many rows, since the last time; rejected rows too.
        rows: u64,
    },
    /// The service has taken rows and not inserted them. The committed token passes over them.
    Rejected(RejectedRows),
    /// Everything from before [`flush`](super::Writer::flush) is committed.
    Flushed,
    /// Everything is committed, and the writer has ended.
    Closed,
}

/// One line, for logs.
impl fmt::Display for WriterEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { committed: None } => f.write_str("the channel is open, and nothing is committed"),
            Self::Opened { committed: Some(token) } => write!(f, "the channel is open, committed up to \"{token}\""),
            Self::Committed { token, rows: 1, .. } => write!(f, "committed up to \"{token}\": 1 row more"),
            Self::Committed { token, rows, .. } => write!(f, "committed up to \"{token}\": {rows} rows more"),
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Flushed => f.write_str("everything from before the flush is committed"),
            Self::Closed => f.write_str("everything is committed, and the writer is closed"),
        }
    }
}

/// A batch that was not taken, and why. Nothing has changed.
#[derive(Debug)]
#[non_exhaustive]
pub struct AppendError {
    /// The batch.
    pub batch: Batch,
    /// Why.
    pub reason: PushError,
}

/// Why a writer does not take rows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PushError {
    /// As much is waiting as may: poll the writer until something is [committed](WriterEvent::Committed), and come
    /// again.
    Full {
        /// How many batches are waiting to be committed.
        batches: usize,
        /// How many bytes, compressed.
        bytes: u64,
    },
    /// The channel is not open yet, so it is not known with which row to begin: poll the writer until it is
    /// [open](WriterEvent::Opened).
    NotOpened,
    /// The batch cannot be appended.
    Invalid(BuildError),
    /// The row is not one.
    Row(RowError),
    /// The writer is being closed, or has ended without an error.
    Closed,
    /// The writer has ended with this error.
    Ended(FlowError),
}

impl AppendError {
    /// Whether there is only no room just now.
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
            Self::NotOpened => f.write_str("the channel is not open yet: poll the writer until it says where to begin"),
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

/// What a writer had not seen committed when it ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnsettledRows {
    /// The last token that is known to be committed.
    pub committed: Option<String>,
    /// The end tokens of batches that another process had sent, and that are unconfirmed before all others: none once
    /// the channel was open.
    pub before: Vec<String>,
    /// Batches that were sent: the first of them may be committed, now or later, in this order and without a gap.
    pub unconfirmed: Vec<Batch>,
    /// Batches that were not sent, and are not in the table. Rows behind the last offset token come last, in a batch
    /// without one.
    pub unsent: Vec<Batch>,
}

//! The event flow [`Ingest`].
//!
//! ```text
//!                 ┌──────────────── Sending ◀────────────────┐
//!                 │ 200: Accepted      │ rejected ▶ Diagnosis ▶ failed
//!                 │ ParseErrors: Rejected                    │
//!                 │ no answer: Unconfirmed ▶ Undecided ─resend─┤
//!                 ▼                            │ skip        │ rows wait
//!  Ready ◀────────┴────────────────────────────┘             │
//!   │ ├─ nothing waits ─▶ Drained                            │
//!   │ └─ rows wait ─▶ Polling, at first and after unconfirmed rows ──┘
//!   │ flush: rows pushed before it are sent; finish: all rows are sent
//!   ▼
//!  Covering ──token──▶ Processing ──complete──▶ Checking ──the same process──▶ Processed, Finished
//!  (unless the last answer was a token)               └─ another one ─▶ failed
//! ```
//!
//! [`decide`](decide::decide) tells what to do next. The first row that matches applies. A *barrier* is up after
//! `flush` and `finish`. It is *due* when all rows before it are settled.
//!
//! | state | observed | next |
//! |---|---|---|
//! | Ready | the deadline has passed | failed: `FlowError::Deadline`; the rows that wait are unsent |
//! | Ready | rows to send, or ingested rows before a barrier, and the statistics were not read since the last barrier or the last unconfirmed rows | Polling |
//! | Ready | rows to send, and no barrier that is due | Sending |
//! | Ready | no barrier | Drained |
//! | Ready | a barrier, and nothing was ingested since the last barrier | Processed, Finished; Ready if not all its rows are settled |
//! | Ready | a barrier, and a token covers all ingested rows | Processing |
//! | Ready | a barrier | Covering |
//! | Polling | another process than that which took rows | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Polling | paused, and rows are not forced in | failed: [`Paused`](super::Interruption::Paused) |
//! | Polling | statistics | Ready |
//! | Sending | a token | Accepted, Ready |
//! | Sending | 400 `ParseErrors` | Rejected, Ready: all other rows are ingested, and have no token. Then failed, if the flow stops at errors |
//! | Sending | 400 `ParseErrors` whose list cannot be read; no answer, or one that leaves the outcome unknown | Ready, at most five times, if unconfirmed rows are resent; Unconfirmed, Undecided |
//! | Sending | not sent, or a 503 that shows that the rows did not arrive | the call retries |
//! | Sending | any other rejection | Diagnosis; the rows are unsent |
//! | Sending | any other error, such as a deadline before the request was sent | failed with it; the rows are unsent |
//! | Undecided | `resend`, `skip` | Ready |
//! | Undecided | polled without a decision | failed: **ambiguous** |
//! | Covering | a token for no rows | Ready: it covers all rows before it |
//! | Covering | no answer | Covering, at most five times, because the request has no rows; then Diagnosis |
//! | Processing | complete | Checking |
//! | Processing | an error | failed with it: [`AwaitCompletion`](super::AwaitCompletion) has looked for the cause |
//! | Checking | another process than before the first rows, and they went in more than one request | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Checking | statistics | Processed, Finished; Ready if not all rows of the barrier are settled |
//! | any | 410 `Terminating`, 500 with the code of a panic, 503 until the retries are used up | Diagnosis: polls the pipeline for up to 10 s; failed: [`Crashed`](super::Interruption::Crashed), stopped, or the rejection |
//!
//! Invariants: each row is in one chunk. Chunks are sent in order, one at a time. Each is sent once, unless it is known
//! not to have arrived or the caller resends it. A token covers all rows that its ingress endpoint accepted before it,
//! but only in its own process. So the flow verifies that all rows between two barriers reached the same process. The
//! buffer's size bounds the memory.

mod decide;
mod goal;
mod machine;
mod rejected;
mod rows;

use std::fmt;

pub use self::goal::{AcceptedRows, Ingest, IngestEvent, IngestProgress, UnconfirmedRows};
pub use self::rejected::{RejectedRow, RejectedRows};
pub use self::rows::{IngestChunk, PushError};

use self::machine::IngestMachine;
use self::rows::{Buffer, Change, RowError};
use crate::error::FlowError;
use crate::feldera::data::DataFormat;
use crate::flow::Runner;

/// A running [`Ingest`], created by [`Ingest::start`](crate::flow::Goal::start).
#[must_use = "an event flow does nothing until it is polled"]
pub struct Ingestion {
    runner: Runner<IngestMachine>,
}

impl Ingestion {
    /// Buffers a row to insert, and returns its number. With an update format other than `InsertDelete`, the flow sends
    /// the row as it is.
    ///
    /// Integers of up to 128 bits are sent with all their digits. A field that occurs twice is sent twice, and Feldera
    /// decides which value it uses.
    ///
    /// # Errors
    /// Each error returns the row.
    /// * [`PushError::Full`] if the buffer is full: poll the flow, then push the row again.
    /// * [`PushError::TooLarge`] if the row is larger than the buffer: see [`Ingest::buffer_bytes`].
    /// * [`PushError::Invalid`] if the row cannot be encoded. JSON cannot represent `NaN` and the infinities: see
    ///   [`Ingest::non_finite`]. The keys of a map must be strings, numbers, booleans or characters.
    /// * [`PushError::Ended`] if the flow has ended.
    pub fn push<R: serde::Serialize>(&mut self, row: R) -> Result<u64, PushError<R>> {
        self.take(row, |buffer, row| buffer.push(Change::Insert, row))
    }

    /// Buffers a row to delete, and returns its number. If the table has a primary key, the key is enough; otherwise
    /// pass the whole row.
    ///
    /// # Errors
    /// As [`push`](Self::push); also [`PushError::Invalid`] with an update format other than `InsertDelete`.
    pub fn delete<R: serde::Serialize>(&mut self, row: R) -> Result<u64, PushError<R>> {
        self.take(row, |buffer, row| buffer.push(Change::Delete, row))
    }

    /// Buffers an update, and returns its number: the primary key and the columns that change. If the table has no
    /// primary key, Feldera rejects the row.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn update<R: serde::Serialize>(&mut self, row: R) -> Result<u64, PushError<R>> {
        self.take(row, |buffer, row| buffer.push(Change::Update, row))
    }

    /// Buffers one encoded record, and returns its number: a JSON value, or a line of CSV. A line feed at the end is
    /// optional.
    ///
    /// # Errors
    /// As [`push`](Self::push); also [`PushError::Invalid`] if it is not exactly one record, because it would corrupt
    /// the next record. In JSON, the same holds for values that Feldera cannot read: a number beyond the range of
    /// `f64`, an unpaired surrogate, and more than 120 levels of nesting.
    pub fn push_record<R: AsRef<[u8]>>(&mut self, record: R) -> Result<u64, PushError<R>> {
        self.take(record, |buffer, record| buffer.push_record(record.as_ref()))
    }

    fn take<R>(
        &mut self,
        row: R,
        add: impl FnOnce(&mut Buffer, &R) -> Result<u64, RowError>,
    ) -> Result<u64, PushError<R>> {
        let error = self.error();
        if error.is_some() || self.runner.machine().finished {
            return Err(PushError::Ended { row, error: error.cloned() });
        }
        let buffer = &mut self.runner.parts_mut().0.buffer;
        add(buffer, &row).map_err(|error| match error {
            RowError::Full => {
                let (waiting_rows, waiting_bytes) = buffer.waiting();
                PushError::Full { row, waiting_rows, waiting_bytes }
            }
            RowError::TooLarge(bytes) => PushError::TooLarge { row, bytes, limit: buffer.capacity() },
            RowError::Invalid(problem) => PushError::Invalid { row, problem },
        })
    }

    /// Requests an [`IngestEvent::Processed`] once all rows that were pushed so far are processed.
    pub fn flush(&mut self) {
        self.runner.parts_mut().0.flush();
    }

    /// Declares that no more rows follow. Poll until [`IngestEvent::Finished`].
    pub fn finish(&mut self) {
        self.runner.parts_mut().0.finish();
    }

    /// Sends unconfirmed rows again. Rows that were ingested already are ingested twice.
    ///
    /// # Errors
    /// Returns the rows if they are not the rows that this flow waits for.
    pub fn resend(&mut self, rows: UnconfirmedRows) -> Result<(), UnconfirmedRows> {
        if !self.is_open(&rows) {
            return Err(rows);
        }
        self.runner.parts_mut().0.resend(rows.chunk);
        Ok(())
    }

    /// Continues without knowing whether the unconfirmed rows were ingested.
    ///
    /// # Errors
    /// Returns the rows if they are not the rows that this flow waits for.
    pub fn skip(&mut self, rows: UnconfirmedRows) -> Result<(), UnconfirmedRows> {
        if !self.is_open(&rows) {
            return Err(rows);
        }
        self.runner.parts_mut().0.skip(&rows.chunk);
        Ok(())
    }

    fn is_open(&self, rows: &UnconfirmedRows) -> bool {
        self.error().is_none() && self.runner.machine().is_undecided(&rows.chunk)
    }

    /// Returns the error that the flow has ended with, or ends with after its next event.
    pub(crate) fn error(&self) -> Option<&FlowError> {
        self.runner.machine().failure.as_ref().or(self.runner.ended())
    }

    /// Returns how far the flow is.
    pub fn progress(&self) -> IngestProgress {
        self.runner.machine().progress()
    }

    /// Returns the format in which rows are sent.
    pub fn format(&self) -> &DataFormat {
        &self.runner.machine().goal.format
    }

    /// Returns the number below which all rows are settled.
    pub(crate) fn settled_to(&self) -> u64 {
        self.runner.machine().buffer.settled_to()
    }

    /// Removes and returns the remaining rows: those of the request in progress, and those of
    /// [`take_unsent`](Self::take_unsent).
    pub(crate) fn take_unsettled(&mut self) -> Vec<IngestChunk> {
        self.runner.parts_mut().0.abandon();
        self.take_unsent()
    }

    /// Removes and returns the rows that remain after the flow has ended. They were never sent, certainly did not
    /// arrive, or are [unconfirmed](IngestChunk::is_unconfirmed) and were to be sent again. Rows of a request in
    /// progress are not included.
    pub fn take_unsent(&mut self) -> Vec<IngestChunk> {
        let buffer = &mut self.runner.parts_mut().0.buffer;
        let chunks: Vec<_> = std::iter::from_fn(|| buffer.take()).collect();
        for chunk in &chunks {
            buffer.settle(chunk);
        }
        chunks
    }
}

/// Does not show the rows, which may be confidential.
impl fmt::Debug for Ingestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingestion")
            .field("goal", &self.runner.machine().goal)
            .field("progress", &self.progress())
            .field("ended", &self.error())
            .finish_non_exhaustive()
    }
}

//! The buffer of rows, and the chunks in which they are sent.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use super::Ingest;
use crate::decode::BYTE_ORDER_MARK;
use crate::error::FlowError;
use crate::feldera::data::{DataFormat, UpdateFormat};
use crate::json::{self, NonFinite, WriteError};

/// Rows of one request, in their encoded form. Rows are counted from 0 in the order in which they were pushed.
#[derive(Clone, PartialEq, Eq)]
pub struct IngestChunk {
    first: u64,
    text: Bytes,
    /// Where each row ends.
    ends: Vec<u32>,
    pub(super) unconfirmed: bool,
}

impl IngestChunk {
    /// Returns whether the rows may already be ingested: they were sent before, and the outcome is unknown.
    pub fn is_unconfirmed(&self) -> bool {
        self.unconfirmed
    }

    /// Returns the numbers of the rows.
    pub fn rows(&self) -> Range<u64> {
        self.first..self.first + self.ends.len() as u64
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether the chunk has no rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns all rows in their encoded form: each record ends with a line feed.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Iterates over each row's number and its record without the line feed. A record can be passed to
    /// [`push_record`](super::Ingestion::push_record).
    pub fn records(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let bounds = starts.zip(&self.ends);
        bounds.zip(self.first..).map(|((start, end), row)| {
            let record = self.text.get(start as usize..*end as usize).unwrap_or_default();
            (row, record.strip_suffix(b"\n").unwrap_or(record))
        })
    }
}

/// Shows lengths only, because rows may be confidential.
impl fmt::Debug for IngestChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IngestChunk(rows {:?}, {} bytes)", self.rows(), self.text.len())
    }
}

/// The error of a push: the row was not accepted, and is returned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PushError<R> {
    /// The buffer is full. Poll the flow until it yields an event, then push the row again.
    Full {
        /// The row.
        row: R,
        /// The number of rows that wait to be sent or for an answer.
        waiting_rows: u64,
        /// The size of these rows in bytes.
        waiting_bytes: usize,
    },
    /// The row alone is larger than the buffer.
    TooLarge {
        /// The row.
        row: R,
        /// The size of the row in bytes.
        bytes: usize,
        /// The size of the buffer in bytes.
        limit: usize,
    },
    /// The row cannot be encoded in the format of the flow.
    Invalid {
        /// The row.
        row: R,
        /// The problem, and what to do.
        problem: String,
    },
    /// The flow has ended, and accepts no more rows.
    Ended {
        /// The row.
        row: R,
        /// The error with which it ended; `None` after [`finish`](super::Ingestion::finish).
        error: Option<FlowError>,
    },
}

impl<R> PushError<R> {
    /// The row.
    pub fn into_row(self) -> R {
        match self {
            Self::Full { row, .. }
            | Self::TooLarge { row, .. }
            | Self::Invalid { row, .. }
            | Self::Ended { row, .. } => row,
        }
    }

    /// Drops the row and keeps the error, for a [`RowSource`](crate::feldera::RowSource) that keeps its own copy of the
    /// row.
    pub fn drop_row(self) -> PushError<()> {
        match self {
            Self::Full { waiting_rows, waiting_bytes, .. } => PushError::Full { row: (), waiting_rows, waiting_bytes },
            Self::TooLarge { bytes, limit, .. } => PushError::TooLarge { row: (), bytes, limit },
            Self::Invalid { problem, .. } => PushError::Invalid { row: (), problem },
            Self::Ended { error, .. } => PushError::Ended { row: (), error },
        }
    }

    /// Returns whether the row can be pushed again after the flow was polled.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

impl<R> fmt::Display for PushError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { waiting_rows, waiting_bytes, .. } => write!(
                f,
                "the buffer is full: {waiting_rows} rows of {waiting_bytes} bytes wait; poll the flow, then push the row again"
            ),
            Self::TooLarge { bytes, limit, .. } => {
                write!(
                    f,
                    "the row is larger than the buffer: it has {bytes} bytes, the buffer {limit}; raise Ingest::buffer_bytes"
                )
            }
            Self::Invalid { problem, .. } => write!(f, "the row cannot be sent: {problem}"),
            Self::Ended { error: None, .. } => f.write_str("the flow was finished; start another flow for more rows"),
            Self::Ended { error: Some(error), .. } => write!(f, "the flow has ended: {error}"),
        }
    }
}

impl<R: fmt::Debug> std::error::Error for PushError<R> {}

/// The kind of change that a row makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Where rows wait.
#[derive(Debug)]
pub(super) struct Buffer {
    format: DataFormat,
    update_format: Option<UpdateFormat>,
    non_finite: NonFinite,
    chunk_bytes: usize,
    capacity: usize,
    /// The number of the next row.
    next: u64,
    /// Rows that wait to be sent, or for an answer.
    rows: u64,
    /// The same in bytes.
    bytes: usize,
    sealed: VecDeque<IngestChunk>,
    text: Vec<u8>,
    ends: Vec<u32>,
}

/// Why the buffer rejects a row.
pub(super) enum RowError {
    Full,
    TooLarge(usize),
    Invalid(String),
}

impl Buffer {
    pub(super) fn new(goal: &Ingest) -> Self {
        // The end of each row is stored in 32 bits.
        let largest = usize::try_from(u32::MAX / 2).unwrap_or(usize::MAX);
        Self {
            format: goal.format.clone(),
            update_format: goal.update_format.clone(),
            non_finite: goal.non_finite,
            chunk_bytes: goal.chunk_bytes.min(largest),
            capacity: goal.buffer_bytes.min(largest),
            next: 0,
            rows: 0,
            bytes: 0,
            sealed: VecDeque::new(),
            text: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Returns how many rows were pushed so far.
    pub(super) fn pushed(&self) -> u64 {
        self.next
    }

    /// Returns the number and the bytes of the rows that wait to be sent or for an answer.
    pub(super) fn waiting(&self) -> (u64, usize) {
        (self.rows, self.bytes)
    }

    /// Returns the number below which all rows are settled: rows are sent in order.
    pub(super) fn settled_to(&self) -> u64 {
        self.next - self.rows
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn push(&mut self, change: Change, row: &impl Serialize) -> Result<u64, RowError> {
        let invalid = |problem: &str| Err(RowError::Invalid(problem.to_owned()));
        if self.format != DataFormat::Json {
            return invalid(
                "only JSON rows can be encoded; encode records of other formats yourself, and pass them to push_record",
            );
        }
        let is_event = matches!(self.update_format, None | Some(UpdateFormat::InsertDelete));
        if !is_event && change != Change::Insert {
            return invalid("only the update format insert_delete has updates and deletes; use push or push_record");
        }
        let non_finite = self.non_finite;
        self.add(|text| {
            if is_event {
                text.extend_from_slice(b"{\"");
                text.extend_from_slice(change.word().as_bytes());
                text.extend_from_slice(b"\":");
            }
            json::write(text, row, non_finite).map_err(|error| RowError::Invalid(problem(&error)))?;
            if is_event {
                text.push(b'}');
            }
            Ok(())
        })
    }

    pub(super) fn push_record(&mut self, record: &[u8]) -> Result<u64, RowError> {
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let is_sound = match self.format {
            DataFormat::Json => json::check(record, 0).map_err(|error| format!("not one JSON value: {error}")),
            DataFormat::Csv => is_one_csv_record(record).map_err(str::to_owned),
            // Records of other formats cannot be checked here.
            _ => Ok(()),
        };
        is_sound.map_err(RowError::Invalid)?;
        self.add(|text| {
            text.extend_from_slice(record);
            Ok(())
        })
    }

    /// Adds a row that `write` encodes.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), RowError>) -> Result<u64, RowError> {
        let start = self.text.len();
        let written = write(&mut self.text).and_then(|()| {
            self.text.push(b'\n');
            let length = self.text.len() - start;
            match () {
                () if length > self.capacity => Err(RowError::TooLarge(length)),
                () if self.bytes + length > self.capacity => Err(RowError::Full),
                () => Ok(length),
            }
        });
        let length = written.inspect_err(|_| {
            self.text.truncate(start);
            // Give back the memory of a row that is too large for the buffer.
            self.text.shrink_to(start.max(self.chunk_bytes.min(self.capacity)));
        })?;
        if start > 0 && self.text.len() > self.chunk_bytes {
            let row = self.text.split_off(start);
            self.seal();
            self.text = row;
        }
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        (self.bytes, self.rows, self.next) = (self.bytes + length, self.rows + 1, self.next + 1);
        Ok(self.next - 1)
    }

    fn seal(&mut self) {
        if !self.ends.is_empty() {
            let (text, ends) = (std::mem::take(&mut self.text).into(), std::mem::take(&mut self.ends));
            self.sealed.push_back(IngestChunk { first: self.next - ends.len() as u64, text, ends, unconfirmed: false });
        }
    }

    /// Removes the next rows to send. They count as waiting until they are [settled](Self::settle).
    pub(super) fn take(&mut self) -> Option<IngestChunk> {
        if self.sealed.is_empty() {
            self.seal();
        }
        self.sealed.pop_front()
    }

    /// Puts back rows that have to be sent again, before all other rows.
    pub(super) fn put_back(&mut self, chunk: IngestChunk) {
        self.sealed.push_front(chunk);
    }

    /// Records that these rows need no further request.
    pub(super) fn settle(&mut self, chunk: &IngestChunk) {
        self.bytes = self.bytes.saturating_sub(chunk.text.len());
        self.rows = self.rows.saturating_sub(chunk.len() as u64);
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.sealed.is_empty() || !self.ends.is_empty()
    }
}

/// Describes the problem of a row, and what to do.
#[cold]
fn problem(error: &WriteError) -> String {
    match error {
        WriteError::NotFinite { .. } => format!("{error}; send null, or set NonFinite::Null"),
        WriteError::Serialize(_) => format!("it cannot be written as JSON: {error}"),
    }
}

/// Checks that a record ends where it should: it must not include the next record.
fn is_one_csv_record(record: &[u8]) -> Result<(), &'static str> {
    let record = record.strip_suffix(b"\r").unwrap_or(record);
    if record.starts_with(BYTE_ORDER_MARK) {
        return Err("there is a byte order mark before the CSV record; leave out its three bytes");
    }
    let mut quoted = false;
    for byte in record {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => return Err("more than one CSV record; push each record separately"),
            _ => {}
        }
    }
    match (quoted, record.is_empty()) {
        (true, _) => Err("a quote in the CSV record is not closed; add the closing quote"),
        (false, true) => Err("an empty line is not a CSV record; leave it out"),
        (false, false) => Ok(()),
    }
}

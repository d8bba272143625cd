//! [`BatchBuilder`].

mod split;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;
use serde::Serialize;

use super::{Batch, BatchOptions, Compression, Cut, RowError, keys};
use crate::json::{self, WriteError};
use crate::snowpipe::append::{Encoding, MAX_BYTES};
use crate::time::Timestamp;

/// [`MAX_BYTES`] as `usize`.
const LIMIT: usize = 4_194_304;
const _: () = assert!(LIMIT as u64 == MAX_BYTES);

/// Collects rows into batches.
///
/// It keeps complete batches until they are taken: call [`next_batch`](Self::next_batch) after each push. Give each row
/// its own token: if several rows have the same token, a load cannot continue after it without losing or repeating
/// rows.
pub struct BatchBuilder {
    options: BatchOptions,
    /// The size of a full batch.
    max_bytes: usize,
    /// The lines of the open batch.
    lines: Vec<u8>,
    /// The tokens of its rows, concatenated.
    tokens: String,
    rows: Vec<Ends>,
    /// The end of its last row in `lines`.
    end: usize,
    /// The number of its rows up to the last row with a token.
    tokened: usize,
    /// When the builder was first asked for a batch after its first row.
    opened: Option<Timestamp>,
    /// The size of the last batch; zero if it was closed because no further rows arrived.
    room: Room,
    /// Memory for the lines of the next batch, if the last batch kept its own.
    spare: Vec<u8>,
    /// How many rows were accepted, over all batches.
    taken: u64,
    closed: VecDeque<Batch>,
}

/// The ends of a row and of its token.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    line: usize,
    token: usize,
}

/// The sizes of the buffers for lines, tokens and rows.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    lines: usize,
    tokens: usize,
    rows: usize,
}

/// Why a batch is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The batch is full, and more rows are expected.
    Full,
    /// No more rows may arrive for a long time.
    Quiet,
}

impl BatchBuilder {
    /// Creates a builder without rows.
    pub fn new(options: BatchOptions) -> Self {
        let max_bytes = match options.compression {
            Compression::None => options.bytes.min(LIMIT),
            #[cfg(any(feature = "gzip", feature = "zstd"))]
            _ => options.bytes,
        };
        Self {
            options,
            max_bytes,
            lines: Vec::new(),
            tokens: String::new(),
            rows: Vec::new(),
            end: 0,
            tokened: 0,
            opened: None,
            room: Room::default(),
            spare: Vec::new(),
            taken: 0,
            closed: VecDeque::new(),
        }
    }

    /// Adds a row. An empty token counts as no token.
    ///
    /// # Errors
    /// If the row cannot be accepted. The builder does not have the row, and is otherwise unchanged.
    pub fn push<R: Serialize + ?Sized>(&mut self, row: &R, offset_token: Option<&str>) -> Result<(), RowError> {
        let start = self.begin_line();
        if let Err(error) = json::write(&mut self.lines, row, self.options.non_finite) {
            return self.reject_value(error);
        }
        self.end_line(start, offset_token)
    }

    /// Adds a row that is already JSON, with or without a line end. An empty token counts as no token.
    ///
    /// # Errors
    /// If the line is not one JSON object in one line, or if readers of JSON would interpret it in different ways: a
    /// number beyond the range of `f64`, one half of a surrogate pair, or more than 120 levels of nesting. The builder
    /// does not have the row, and is otherwise unchanged.
    pub fn push_line(&mut self, line: &[u8], offset_token: Option<&str>) -> Result<(), RowError> {
        let wrong = |problem: String| RowError::Line { index: self.taken, problem };
        let line = line.trim_ascii();
        if memchr2(b'\n', b'\r', line).is_some() {
            let problem = "it contains a line end: write each row in one line, and push each line separately";
            return Err(wrong(problem.to_owned()));
        }
        json::check(line, 0).map_err(|error| wrong(error.to_string()))?;
        let start = self.begin_line();
        self.lines.extend_from_slice(line);
        self.end_line(start, offset_token)
    }

    /// Returns the next complete batch; `None` if no batch is full or old enough. The age of a batch counts from the
    /// first call after its first row: call this method after each push.
    pub fn next_batch(&mut self, now: Timestamp) -> Option<Batch> {
        if self.opened.is_none() && !self.rows.is_empty() {
            self.opened = Some(now);
        }
        if self.closed.is_empty() && self.due().is_some_and(|due| due <= now) {
            self.close(Cause::Quiet);
        }
        let batch = self.closed.pop_front()?;
        if self.closed.is_empty() {
            self.closed = VecDeque::new();
        }
        Some(batch)
    }

    /// Returns when the open batch will be old enough: call [`next_batch`](Self::next_batch) then. `None` if no row
    /// that may be sent is waiting.
    pub fn due(&self) -> Option<Timestamp> {
        let opened = self.opened.filter(|_| self.cut() > 0)?;
        Some(opened + self.options.age)
    }

    /// Closes the open batch, so that [`next_batch`](Self::next_batch) returns it, and frees the memory for further
    /// rows. With [`Cut::BehindTokens`], rows after the last offset token stay.
    pub fn flush(&mut self) {
        self.close(Cause::Quiet);
    }

    /// Closes the open batch, and puts rows after the last offset token into another batch, without a token.
    pub(in crate::snowpipe) fn close_all(&mut self) {
        self.flush();
        let cut = std::mem::replace(&mut self.options.cut, Cut::Anywhere);
        self.flush();
        self.options.cut = cut;
    }

    /// Reuses the memory of a batch that is no longer needed. Does nothing if the batch is compressed or has clones.
    pub fn reuse(&mut self, batch: Batch) {
        if self.options.compression != Compression::None {
            return;
        }
        if let Some(buffer) = batch.body.into_vec().filter(|buffer| buffer.capacity() > self.spare.capacity()) {
            self.spare = buffer;
            self.spare.clear();
        }
    }

    /// Returns how many rows were accepted, over all batches. This is the index of the next row.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the last offset token of the open batch.
    pub(in crate::snowpipe) fn last_token(&self) -> Option<&str> {
        let last = self.tokened.checked_sub(1)?;
        self.tokens.get(self.ends(last).token..self.ends(self.tokened).token)
    }

    /// Returns the number of rows in the open batch.
    pub fn open_rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the number of bytes in the open batch, before compression.
    pub fn open_bytes(&self) -> usize {
        self.end
    }

    /// Returns the start of the next line.
    fn begin_line(&mut self) -> usize {
        if self.rows.is_empty() {
            self.make_room();
        }
        // If the code of a row panicked, part of a line is left.
        self.lines.truncate(self.end);
        self.end
    }

    /// Reserves memory for as many rows as the last batch had.
    #[cold]
    fn make_room(&mut self) {
        let Room { lines, tokens, rows } = self.room;
        reserve(&mut self.lines, lines);
        self.tokens.reserve(tokens);
        self.rows.reserve(rows);
    }

    /// Rejects a row with a value that cannot be written.
    #[cold]
    fn reject_value(&mut self, error: WriteError) -> Result<(), RowError> {
        let index = self.taken;
        self.reject(match error {
            WriteError::NotFinite { field } => RowError::NotFinite { index, field },
            WriteError::Serialize(error) => RowError::Serialize { index, problem: error.to_string() },
        })
    }

    /// Accepts the written line if it is a row, and closes batches according to the limits.
    fn end_line(&mut self, start: usize, token: Option<&str>) -> Result<(), RowError> {
        let line = self.lines.get_mut(start..).unwrap_or_default();
        if line.first() != Some(&b'{') {
            let error = RowError::NotAnObject { index: self.taken, found: kind(line) };
            return self.reject(error);
        }
        if self.options.upper_case_keys {
            keys::upper_case(line);
        }
        self.lines.push(b'\n');
        let token = token.unwrap_or_default();
        // The checks below apply only from this size on, whatever the options.
        let near = self.lines.len() >= self.max_bytes.min(LIMIT);
        if near {
            if self.lines.len() - start > LIMIT {
                return self.take_alone(token);
            }
            if let Err(error) = self.check_group() {
                return self.reject(error);
            }
            if self.lines.len() > self.max_bytes && !self.rows.is_empty() {
                self.close(Cause::Full);
            }
        }
        self.end = self.lines.len();
        self.tokens.push_str(token);
        self.rows.push(Ends { line: self.end, token: self.tokens.len() });
        self.taken += 1;
        if !token.is_empty() {
            self.tokened = self.rows.len();
        }
        if self.rows.len() >= self.options.rows || near && self.lines.len() >= self.max_bytes {
            self.close(Cause::Full);
        }
        Ok(())
    }

    /// Accepts a row that can only be sent after compression, as a separate batch.
    fn take_alone(&mut self, token: &str) -> Result<(), RowError> {
        let index = self.taken;
        let line = self.lines.get(self.end..).unwrap_or_default();
        let bytes = line.len() as u64;
        let Some((encoding, compressed)) = self.options.compression.compress(line) else {
            return self.reject(RowError::TooLarge { index, bytes, compressed: None });
        };
        if compressed.len() > LIMIT {
            let compressed = Some(compressed.len() as u64);
            return self.reject(RowError::TooLarge { index, bytes, compressed });
        }
        let waiting = self.rows.len() - self.tokened;
        if self.options.cut == Cut::BehindTokens && (waiting > 0 || token.is_empty()) {
            let bytes = (self.lines.len() - self.ends(self.tokened).line) as u64;
            return self.reject(RowError::TooLargeTogether { index, rows: waiting as u64 + 1, bytes });
        }
        self.remove_line();
        self.close(Cause::Quiet);
        let token = Some(token).filter(|token| !token.is_empty()).map(str::to_owned);
        self.closed.push_back(Batch {
            body: compressed.into(),
            encoding: Some(encoding),
            rows: 1,
            first_row: index,
            uncompressed: bytes,
            start_offset_token: token.clone(),
            end_offset_token: token,
        });
        self.taken += 1;
        Ok(())
    }

    /// Checks that rows that must stay together fit into an append without compression.
    fn check_group(&self) -> Result<(), RowError> {
        let bytes = self.lines.len() - self.ends(self.tokened).line;
        if self.options.cut == Cut::Anywhere || bytes <= LIMIT {
            return Ok(());
        }
        let rows = (self.rows.len() - self.tokened) as u64 + 1;
        Err(RowError::TooLargeTogether { index: self.taken, rows, bytes: bytes as u64 })
    }

    /// Rejects the row that was written.
    #[cold]
    fn reject(&mut self, error: RowError) -> Result<(), RowError> {
        self.remove_line();
        Err(error)
    }

    /// Removes an incomplete line after the rows. If the batch is empty, also frees its memory, which may be large.
    fn remove_line(&mut self) {
        self.lines.truncate(self.end);
        if self.end == 0 {
            self.lines = Vec::new();
        }
    }

    /// Returns how many rows may be closed.
    fn cut(&self) -> usize {
        match self.options.cut {
            Cut::Anywhere => self.rows.len(),
            Cut::BehindTokens => self.tokened,
        }
    }

    /// Returns the end of the first `rows` rows.
    fn ends(&self, rows: usize) -> Ends {
        rows.checked_sub(1).and_then(|last| self.rows.get(last)).copied().unwrap_or_default()
    }

    /// Closes the rows that may be closed, and keeps the others. Keeps the memory if more rows are expected.
    fn close(&mut self, cause: Cause) {
        let cut = self.cut();
        if cut > 0 {
            self.close_rows(cut, cause);
            self.opened = None;
        }
        if cause == Cause::Quiet {
            self.release();
        }
    }

    /// Frees the memory for further rows.
    pub(in crate::snowpipe) fn release(&mut self) {
        if self.rows.is_empty() {
            (self.lines, self.rows, self.tokens, self.spare) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        }
    }

    fn close_rows(&mut self, cut: usize, cause: Cause) {
        let end = self.ends(cut);
        self.room = match cause {
            Cause::Full => Room { lines: self.lines.len(), tokens: self.tokens.len(), rows: self.rows.len() },
            Cause::Quiet => Room::default(),
        };
        if self.options.compression == Compression::None {
            let mut next = std::mem::take(&mut self.spare);
            let rest = self.lines.get(end.line..).unwrap_or_default();
            if !rest.is_empty() {
                reserve(&mut next, self.room.lines.max(rest.len()));
                next.extend_from_slice(rest);
            }
            let mut lines = std::mem::replace(&mut self.lines, next);
            lines.truncate(end.line);
            if lines.capacity() / 4 * 3 > lines.len() {
                lines.shrink_to_fit();
            }
            let batch = self.batch(0..cut, lines.into(), None);
            self.closed.push_back(batch);
        } else {
            self.seal(0..cut);
            self.lines.drain(..end.line);
            // A row may have been far larger than a usual batch.
            if self.lines.capacity() / 2 > end.line {
                self.lines.shrink_to(end.line);
            }
        }
        self.rows.drain(..cut);
        self.tokens.drain(..end.token);
        for row in &mut self.rows {
            row.line -= end.line;
            row.token -= end.token;
        }
        self.end -= end.line;
        self.tokened = 0;
    }

    fn token(&self, row: usize) -> &str {
        self.tokens.get(self.ends(row).token..self.ends(row + 1).token).unwrap_or_default()
    }

    fn batch(&self, rows: Range<usize>, body: Bytes, encoding: Option<Encoding>) -> Batch {
        let (start, end) = (self.ends(rows.start), self.ends(rows.end));
        let token = |row: usize| self.token(row);
        let some = |token: &&str| !token.is_empty();
        let (first, last) = if start.token == end.token {
            (None, None)
        } else {
            (rows.clone().map(token).find(some), rows.clone().rev().map(token).find(some))
        };
        Batch {
            body: body.into(),
            encoding,
            rows: rows.len() as u64,
            first_row: self.taken - self.rows.len() as u64 + rows.start as u64,
            uncompressed: (end.line - start.line) as u64,
            start_offset_token: first.map(str::to_owned),
            end_offset_token: last.map(str::to_owned),
        }
    }
}

/// Reserves memory for so many bytes and a few more, because batches have about the same size.
fn reserve(lines: &mut Vec<u8>, bytes: usize) {
    if lines.capacity() < bytes {
        lines.reserve_exact(bytes + bytes / 8);
    }
}

/// Shows no rows, because they are the caller's data.
impl fmt::Debug for BatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder")
            .field("options", &self.options)
            .field("open_rows", &self.open_rows())
            .field("open_bytes", &self.open_bytes())
            .field("taken", &self.taken)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// Returns the kind of a JSON line that is not an object.
fn kind(line: &[u8]) -> &'static str {
    match line.first() {
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "no JSON",
    }
}

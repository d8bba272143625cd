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

/// [`MAX_BYTES`], as a length in memory.
const LIMIT: usize = 4_194_304;
const _: () = assert!(LIMIT as u64 == MAX_BYTES);

/// Collects rows until they are a batch.
///
/// It grows until its batches are taken: after each push, take what [`next_batch`](Self::next_batch) has. Give each
/// row its own token: if several rows have the same token, a load cannot continue behind it without losing or repeating
/// rows.
pub struct BatchBuilder {
    options: BatchOptions,
    /// When a batch is full.
    max_bytes: usize,
    /// The lines of the open batch.
    lines: Vec<u8>,
    /// The tokens of its rows, one behind the other.
    tokens: String,
    rows: Vec<Ends>,
    /// Where its last row ends.
    end: usize,
    /// The number of its rows up to the last row with a token.
    tokened: usize,
    /// When the builder was first asked for a batch after its first row.
    opened: Option<Timestamp>,
    /// How much room the last batch took; none when it was closed for want of rows.
    room: Room,
    /// For the lines of the next batch, where the last one took its own along.
    spare: Vec<u8>,
    /// How many rows were taken, of all batches.
    taken: u64,
    closed: VecDeque<Batch>,
}

/// Where a row and its token end.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    line: usize,
    token: usize,
}

/// The room for lines, tokens and rows.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    lines: usize,
    tokens: usize,
    rows: usize,
}

/// Why a batch is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// More rows are coming.
    Full,
    /// There may be no more for long.
    Quiet,
}

impl BatchBuilder {
    /// A builder without rows.
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
    /// When the row cannot be taken. It is left out, all else is as before.
    pub fn push<R: Serialize + ?Sized>(&mut self, row: &R, offset_token: Option<&str>) -> Result<(), RowError> {
        let start = self.begin_line();
        if let Err(error) = json::write(&mut self.lines, row, self.options.non_finite) {
            return self.reject_value(error);
        }
        self.end_line(start, offset_token)
    }

    /// Adds a row that is JSON already, with or without a line end behind it. An empty token counts as no token.
    ///
    /// # Errors
    /// When it is not one JSON object in one line, or cannot be taken: with a number beyond the range of `f64`, one
    /// half of a surrogate pair, or more than 120 levels of nesting, readers differ in what they make of it. It is left
    /// out, all else is as before.
    pub fn push_line(&mut self, line: &[u8], offset_token: Option<&str>) -> Result<(), RowError> {
        let wrong = |problem: String| RowError::Line { index: self.taken, problem };
        let line = line.trim_ascii();
        if memchr2(b'\n', b'\r', line).is_some() {
            let problem = "there is a line end within it: write each row in one line, and push each line for itself";
            return Err(wrong(problem.to_owned()));
        }
        json::check(line, 0).map_err(|error| wrong(error.to_string()))?;
        let start = self.begin_line();
        self.lines.extend_from_slice(line);
        self.end_line(start, offset_token)
    }

    /// Returns the next batch that is closed, or old enough to be. The age of a batch counts from the first call after
    /// its first row: call it after each push.
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

    /// Returns when the open batch will be old enough; [`next_batch`](Self::next_batch) returns it then. `None` if no
    /// row waits that may be sent.
    pub fn due(&self) -> Option<Timestamp> {
        let opened = self.opened.filter(|_| self.cut() > 0)?;
        Some(opened + self.options.age)
    }

    /// Closes the open batch, and frees the memory that is kept for more rows. With [`Cut::BehindTokens`], rows behind
    /// the last offset token stay.
    pub fn flush(&mut self) {
        self.close(Cause::Quiet);
    }

    /// Closes the open batch, and puts rows behind the last offset token into another batch, without a token.
    pub(in crate::snowpipe) fn close_all(&mut self) {
        self.flush();
        let cut = std::mem::replace(&mut self.options.cut, Cut::Anywhere);
        self.flush();
        self.options.cut = cut;
    }

    /// Takes back a batch that is no longer needed, to reuse its memory. Does nothing if the batch is compressed or has
    /// clones.
    pub fn reuse(&mut self, batch: Batch) {
        if self.options.compression != Compression::None {
            return;
        }
        if let Some(buffer) = batch.body.into_vec().filter(|buffer| buffer.capacity() > self.spare.capacity()) {
            self.spare = buffer;
            self.spare.clear();
        }
    }

    /// How many rows were taken, over all batches: the index of the next row.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The last offset token of the open batch.
    pub(in crate::snowpipe) fn last_token(&self) -> Option<&str> {
        let last = self.tokened.checked_sub(1)?;
        self.tokens.get(self.ends(last).token..self.ends(self.tokened).token)
    }

    /// How many rows the open batch has.
    pub fn open_rows(&self) -> usize {
        self.rows.len()
    }

    /// How many bytes the open batch has.
    pub fn open_bytes(&self) -> usize {
        self.end
    }

    /// Where the next line begins.
    fn begin_line(&mut self) -> usize {
        if self.rows.is_empty() {
            self.make_room();
        }
        // Something is left when a row's own code panicked.
        self.lines.truncate(self.end);
        self.end
    }

    /// For as many as the last batch had.
    #[cold]
    fn make_room(&mut self) {
        let Room { lines, tokens, rows } = self.room;
        reserve(&mut self.lines, lines);
        self.tokens.reserve(tokens);
        self.rows.reserve(rows);
    }

    /// A value of the row cannot be written.
    #[cold]
    fn reject_value(&mut self, error: WriteError) -> Result<(), RowError> {
        let index = self.taken;
        self.reject(match error {
            WriteError::NotFinite { field } => RowError::NotFinite { index, field },
            WriteError::Serialize(error) => RowError::Serialize { index, problem: error.to_string() },
        })
    }

    /// Takes the line that was written, if it is a row, and closes batches as the limits say.
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
        // Nothing below happens before there are so many bytes, whatever the options.
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

    /// Takes a row that can only be sent if compression helps, as a batch of its own.
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

    /// What may not be cut must fit into an append, however it compresses.
    fn check_group(&self) -> Result<(), RowError> {
        let bytes = self.lines.len() - self.ends(self.tokened).line;
        if self.options.cut == Cut::Anywhere || bytes <= LIMIT {
            return Ok(());
        }
        let rows = (self.rows.len() - self.tokened) as u64 + 1;
        Err(RowError::TooLargeTogether { index: self.taken, rows, bytes: bytes as u64 })
    }

    /// The row that was written is not taken.
    #[cold]
    fn reject(&mut self, error: RowError) -> Result<(), RowError> {
        self.remove_line();
        Err(error)
    }

    /// Removes what is behind the rows; of an empty batch also the room for it, which may be large.
    fn remove_line(&mut self) {
        self.lines.truncate(self.end);
        if self.end == 0 {
            self.lines = Vec::new();
        }
    }

    /// How many rows may be closed.
    fn cut(&self) -> usize {
        match self.options.cut {
            Cut::Anywhere => self.rows.len(),
            Cut::BehindTokens => self.tokened,
        }
    }

    /// Where the first `rows` rows end.
    fn ends(&self, rows: usize) -> Ends {
        rows.checked_sub(1).and_then(|last| self.rows.get(last)).copied().unwrap_or_default()
    }

    /// Closes the rows that may be, and keeps the others; and the memory, when there are to be more.
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

    /// Frees the memory that is kept for more rows.
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
            // A row may have been far larger than what a batch takes.
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

/// Room for lines of so many bytes, and for a few more: batches are about as large as each other.
fn reserve(lines: &mut Vec<u8>, bytes: usize) {
    if lines.capacity() < bytes {
        lines.reserve_exact(bytes + bytes / 8);
    }
}

/// Without the rows.
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

/// What a line of JSON is that is no object.
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

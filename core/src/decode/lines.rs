//! [`Lines`]: splits a body into lines.

use std::ops::Range;

use memchr::{memchr_iter, memrchr};

use super::newlines::Newlines;
use super::{BYTE_ORDER_MARK, DecodeError, Decoder, End};

/// The maximum length of a line in bytes, without its line end; 16 MiB by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineLimit(pub usize);

impl Default for LineLimit {
    fn default() -> Self {
        Self(16 * 1024 * 1024)
    }
}

/// A decoder for lines, which end with `\n` or `\r\n`. Skips a byte order mark before the first line.
///
/// A last line without a line end is an item after [`finish(End::Complete)`](Decoder::finish). After `End::Truncated`
/// it may be incomplete: `finish` returns [`DecodeError::Truncated`], and the lines before it can still be read.
///
/// The buffer holds complete lines that are not read yet, and one incomplete line up to the limit.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    next: usize,
    newlines: Newlines,
    /// Where the incomplete line begins.
    open: usize,
    item: Range<usize>,
    limit: usize,
    /// The number of lines so far.
    count: u64,
    /// Whether all bytes so far may be the beginning of a byte order mark.
    is_fresh: bool,
    ended: bool,
    /// The error of all later calls, after the lines before it are read.
    error: Option<DecodeError>,
}

impl Lines {
    /// Creates a decoder for lines up to a length.
    pub fn new(limit: LineLimit) -> Self {
        Self {
            buffer: Vec::new(),
            next: 0,
            newlines: Newlines::default(),
            open: 0,
            item: 0..0,
            limit: limit.0,
            count: 0,
            is_fresh: true,
            ended: false,
            error: None,
        }
    }

    /// Returns the number of lines so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the bytes that are not read yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.get(self.next..).unwrap_or_default()
    }

    /// Removes the lines that were read, so that the buffer does not grow with the stream.
    fn compact(&mut self) {
        if self.next > 0 {
            self.buffer.drain(..self.next);
            self.newlines.shift(self.next);
            self.open = self.open.saturating_sub(self.next);
            self.next = 0;
            self.item = 0..0;
        }
    }

    /// Skips the mark once it is complete.
    #[cold]
    fn skip_mark(&mut self) {
        self.is_fresh = BYTE_ORDER_MARK.starts_with(&self.buffer);
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.is_fresh = false;
            self.next = BYTE_ORDER_MARK.len();
            self.open = self.open.max(self.next);
            self.newlines.skip_to(self.next);
        }
    }

    #[cold]
    fn too_long(&mut self) -> DecodeError {
        let error = DecodeError::TooLong { item: self.count + 1, limit: self.limit };
        self.buffer = Vec::new();
        (self.next, self.open, self.item, self.newlines) = (0, 0, 0..0, Newlines::default());
        self.error = Some(error.clone());
        error
    }

    #[inline]
    fn take(&mut self, end: usize, next: usize) -> Result<bool, DecodeError> {
        let (start, last) = (self.next, self.buffer.get(end.wrapping_sub(1)));
        let end = if last == Some(&b'\r') && start < end { end - 1 } else { end };
        if end - start > self.limit {
            return Err(self.too_long());
        }
        self.item = start..end;
        self.next = next;
        self.count += 1;
        Ok(true)
    }

    /// Advances without a complete line, or after an error.
    #[inline(never)]
    fn advance_without_end(&mut self) -> Result<bool, DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.item = 0..0;
        let rest = self.buffer.len() - self.next;
        if self.ended && rest > 0 {
            return self.take(self.buffer.len(), self.buffer.len());
        }
        if self.is_fresh && !self.ended {
            return Ok(false);
        }
        // One byte more than the limit may be the `\r` before the end.
        if rest > self.limit.saturating_add(1) {
            return Err(self.too_long());
        }
        Ok(false)
    }
}

impl Decoder for Lines {
    type Item<'a> = &'a [u8];

    fn feed(&mut self, bytes: &[u8]) {
        if self.ended || self.error.is_some() {
            return;
        }
        self.compact();
        // Do not collect a line without an end. The two extra bytes let `advance` decide independently of the pieces.
        let room = if let Some(at) = memrchr(b'\n', bytes) {
            self.open = self.buffer.len() + at + 1;
            bytes.len()
        } else {
            let mark = if self.is_fresh { BYTE_ORDER_MARK.len() } else { 0 };
            self.limit.saturating_add(2 + mark).saturating_sub(self.buffer.len() - self.open)
        };
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if self.is_fresh {
            self.skip_mark();
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<bool, DecodeError> {
        // After an error the buffer is empty.
        match self.newlines.next(&self.buffer) {
            Some(at) => self.take(at, at + 1),
            None => self.advance_without_end(),
        }
    }

    #[inline]
    fn item(&self) -> &[u8] {
        self.buffer.get(self.item.clone()).unwrap_or_default()
    }

    fn finish(&mut self, end: End) -> Result<(), DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let was_ended = std::mem::replace(&mut self.ended, true);
        if end == End::Truncated && !was_ended && self.open < self.buffer.len() {
            self.buffer.truncate(self.open);
            let unread = memchr_iter(b'\n', self.unread()).count() as u64;
            return Err(DecodeError::Truncated { item: self.count + unread + 1 });
        }
        Ok(())
    }
}

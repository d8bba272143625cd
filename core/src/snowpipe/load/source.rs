//! [`RowSource`]: where the rows of a load come from, and their offset tokens.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::{ErrorKind, Read};
use std::str::FromStr;

use serde::Serialize;

use crate::decode::{Decoder as _, End, LineLimit, Lines};
use crate::snowpipe::flow::{PushError, Writer};

type BoxError = Box<dyn Error + Send + Sync>;
type OffsetResult<O> = Result<O, BoxError>;

/// How many bytes are read at once.
const CHUNK: usize = 64 * 1024;

/// A source of rows for [`IngestClient::load`](crate::snowpipe::IngestClient::load). [`Rows`] and [`Ndjson`] implement
/// it. Implement it for your own source, for example a queue that is sometimes empty.
///
/// A load calls [`resume`](Self::resume) once, then [`advance`](Self::advance) until the end, and
/// [`push`](Self::push) for each row.
pub trait RowSource {
    /// Takes the last committed offset token of the channel. Skip the rows up to it.
    ///
    /// # Errors
    /// [`OffsetError::OtherLoad`] if the token cannot be an offset of these rows.
    fn resume(&mut self, committed: Option<&str>) -> Result<(), BoxError>;

    /// Reads the next row.
    ///
    /// # Errors
    /// The source's own error if the row cannot be read. The load then commits the rows before it, and fails.
    fn advance(&mut self) -> Result<NextRow, BoxError>;

    /// Returns the number of the row or line that was read last, counted from 1; 0 before the first.
    fn position(&self) -> u64;

    /// Passes the row to the writer, with its offset token. Called again for the same row if the writer was full.
    ///
    /// # Errors
    /// The error of the writer's method, unchanged.
    fn push(&mut self, writer: &mut Writer) -> Result<(), PushError>;
}

/// The next item of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextRow {
    /// A row to be loaded.
    Row,
    /// A row that is already committed. The load skips it.
    Committed,
    /// No row yet. The load sends the batches that are due, and calls [`RowSource::advance`] again at once. To save
    /// processor time, wait a little before you return it.
    Pending,
    /// No more rows.
    End,
}

/// The rows of an iterator, with offset tokens.
///
/// By default, the offset of a row is its position, counted from 1. Set [`offsets`](Self::offsets) to use a value of
/// the row, such as an increasing id.
///
/// ```
/// # use pipewright::snowpipe::Rows;
/// # struct Order { id: u64 }
/// # impl serde::Serialize for Order {
/// #     fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> { serializer.collect_map([("ID", self.id)]) }
/// # }
/// # let rows: Vec<Result<Order, std::io::Error>> = Vec::new();
/// // `fallible` takes results, such as rows of a cursor; `new` takes rows.
/// let rows = Rows::fallible(rows).offsets(|order: &Order| order.id);
/// ```
pub struct Rows<I: Iterator, T, O = u64, F = fn(&T, u64) -> u64> {
    items: I,
    read: fn(I::Item) -> Result<T, BoxError>,
    row: Option<T>,
    position: u64,
    offset: F,
    order: Order<O>,
}

impl<I: Iterator> Rows<I, I::Item> {
    /// Creates a source from an iterator of rows.
    pub fn new(rows: impl IntoIterator<IntoIter = I, Item = I::Item>) -> Self {
        Self::with(rows.into_iter(), Ok)
    }
}

impl<I: Iterator<Item = Result<T, E>>, T, E: Into<BoxError>> Rows<I, T> {
    /// Creates a source from an iterator of results. The first error ends the load.
    pub fn fallible(rows: impl IntoIterator<IntoIter = I, Item = Result<T, E>>) -> Self {
        Self::with(rows.into_iter(), |row| row.map_err(Into::into))
    }
}

impl<I: Iterator, T> Rows<I, T> {
    fn with(items: I, read: fn(I::Item) -> Result<T, BoxError>) -> Self {
        Self { items, read, row: None, position: 0, offset: |_, position| position, order: Order::of_positions() }
    }

    /// Sets how the offset of a row is computed. It must increase from row to row, and [`FromStr`] must read what
    /// [`Display`](fmt::Display) writes. Numbers are compared by value, a `String` byte by byte.
    pub fn offsets<O>(self, offset: impl Fn(&T) -> O) -> Rows<I, T, O, impl Fn(&T, u64) -> O> {
        let Self { items, read, row, position, .. } = self;
        Rows { items, read, row, position, offset: move |row: &T, _| offset(row), order: Order::of_values() }
    }
}

impl<I, T, O, F> RowSource for Rows<I, T, O, F>
where
    I: Iterator,
    T: Serialize,
    O: Ord + fmt::Display + FromStr,
    F: Fn(&T, u64) -> O,
{
    fn resume(&mut self, committed: Option<&str>) -> Result<(), BoxError> {
        self.order.resume(committed)
    }

    fn advance(&mut self) -> Result<NextRow, BoxError> {
        let Some(item) = self.items.next() else { return self.order.end() };
        let row = self.row.insert((self.read)(item)?);
        self.position += 1;
        self.order.next((self.offset)(row, self.position))
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn push(&mut self, writer: &mut Writer) -> Result<(), PushError> {
        self.row.as_ref().map_or(Ok(()), |row| writer.push(row, Some(&self.order.token)))
    }
}

impl<I: Iterator, T, O, F> fmt::Debug for Rows<I, T, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("position", &self.position).finish_non_exhaustive()
    }
}

/// The rows of newline-delimited JSON from a reader, with offset tokens. Skips blank lines.
///
/// By default, the offset of a row is the number of its line, counted from 1. Set [`offsets`](Self::offsets) to use a
/// value of the line. A line may have up to 16 MiB.
///
/// ```
/// use pipewright::snowpipe::Ndjson;
///
/// let file: &[u8] = b"{\"ID\":1}\n{\"ID\":2}\n";
/// let rows = Ndjson::new(file).offsets(|line| {
///     let row: serde_json::Value = serde_json::from_slice(line)?;
///     row["ID"].as_u64().ok_or_else(|| "the field ID is not a whole number".into())
/// });
/// ```
///
/// A reader with a timeout, such as a socket, may return [`WouldBlock`](ErrorKind::WouldBlock) or
/// [`TimedOut`](ErrorKind::TimedOut): the load then sends the batches that are due, and reads again. Do not use a
/// non-blocking reader: the load reads again without a pause, and keeps a processor busy.
pub struct Ndjson<R, O = u64, F = fn(&[u8], u64) -> OffsetResult<u64>> {
    reader: R,
    buffer: Vec<u8>,
    lines: Lines,
    is_ended: bool,
    offset: F,
    order: Order<O>,
}

impl<R: Read> Ndjson<R> {
    /// Creates a source from a reader. The reader needs no buffer of its own.
    pub fn new(reader: R) -> Self {
        let (buffer, lines) = (vec![0; CHUNK], Lines::new(LineLimit::default()));
        Self { reader, buffer, lines, is_ended: false, offset: |_, line| Ok(line), order: Order::of_positions() }
    }

    /// Sets how the offset of a line is computed. It must increase from line to line, and [`FromStr`] must read what
    /// [`Display`](fmt::Display) writes. An error ends the load.
    pub fn offsets<O>(
        self,
        offset: impl Fn(&[u8]) -> OffsetResult<O>,
    ) -> Ndjson<R, O, impl Fn(&[u8], u64) -> OffsetResult<O>> {
        let Self { reader, buffer, lines, is_ended, .. } = self;
        let offset = move |line: &[u8], _| offset(line);
        Ndjson { reader, buffer, lines, is_ended, offset, order: Order::of_values() }
    }
}

impl<R, O, F> RowSource for Ndjson<R, O, F>
where
    R: Read,
    O: Ord + fmt::Display + FromStr,
    F: Fn(&[u8], u64) -> OffsetResult<O>,
{
    fn resume(&mut self, committed: Option<&str>) -> Result<(), BoxError> {
        self.order.resume(committed)
    }

    fn advance(&mut self) -> Result<NextRow, BoxError> {
        loop {
            if self.lines.advance()? {
                let line = self.lines.item().trim_ascii();
                if !line.is_empty() {
                    return self.order.next((self.offset)(line, self.lines.count())?);
                }
            } else if self.is_ended {
                return self.order.end();
            } else {
                match self.reader.read(&mut self.buffer) {
                    Ok(0) => {
                        self.is_ended = true;
                        self.lines.finish(End::Complete)?;
                    }
                    Ok(length) => self.lines.feed(self.buffer.get(..length).unwrap_or_default()),
                    Err(error) => match error.kind() {
                        ErrorKind::Interrupted => {}
                        ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(NextRow::Pending),
                        _ => return Err(error.into()),
                    },
                }
            }
        }
    }

    fn position(&self) -> u64 {
        self.lines.count()
    }

    fn push(&mut self, writer: &mut Writer) -> Result<(), PushError> {
        writer.push_line(self.lines.item(), Some(&self.order.token))
    }
}

impl<R, O, F> fmt::Debug for Ndjson<R, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ndjson").field("position", &self.lines.count()).finish_non_exhaustive()
    }
}

/// The rows of a source cannot continue the load in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names of the fields say everything")]
pub enum OffsetError {
    /// The channel's committed offset token cannot be an offset of these rows.
    OtherLoad { committed: String },
    /// The rows end before the committed position.
    TooFewRows { committed: String },
    /// An offset is not greater than the offset before.
    NotRising { offset: String, before: String },
}

impl fmt::Display for OffsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherLoad { committed } => write!(
                f,
                "another load has written to this channel: its committed token \"{committed}\" is not an offset of these \
                 rows; use another channel"
            ),
            Self::TooFewRows { committed } => write!(
                f,
                "the channel is committed up to row {committed}, and the source has fewer rows; load the same rows as before, \
                 from the first row on"
            ),
            Self::NotRising { offset, before } => {
                write!(
                    f,
                    "the offset {offset} follows {before}, but offsets must increase from row to row; sort the rows by offset"
                )
            }
        }
    }
}

impl Error for OffsetError {}

/// Tells which rows are committed, by their offsets.
struct Order<O> {
    committed: Option<O>,
    last: Option<O>,
    /// The last offset as a token.
    token: String,
    /// Whether offsets are positions. Then the source must have at least as many rows as are committed.
    are_positions: bool,
}

impl<O> Order<O> {
    fn of_values() -> Self {
        Self { committed: None, last: None, token: String::new(), are_positions: false }
    }

    fn of_positions() -> Self {
        Self { are_positions: true, ..Self::of_values() }
    }
}

impl<O: Ord + fmt::Display + FromStr> Order<O> {
    fn resume(&mut self, committed: Option<&str>) -> Result<(), BoxError> {
        let parse = |token: &str| token.parse().map_err(|_| OffsetError::OtherLoad { committed: token.to_owned() });
        self.committed = committed.map(parse).transpose()?;
        Ok(())
    }

    fn next(&mut self, offset: O) -> Result<NextRow, BoxError> {
        if let Some(before) = self.last.as_ref().filter(|before| **before >= offset) {
            return Err(OffsetError::NotRising { offset: offset.to_string(), before: before.to_string() }.into());
        }
        let is_committed = self.committed.as_ref().is_some_and(|committed| offset <= *committed);
        if !is_committed {
            self.token.clear();
            // Writing to a string cannot fail.
            let _ = write!(self.token, "{offset}");
        }
        self.last = Some(offset);
        Ok(if is_committed { NextRow::Committed } else { NextRow::Row })
    }

    fn end(&self) -> Result<NextRow, BoxError> {
        match &self.committed {
            Some(committed) if self.are_positions && self.last.as_ref() < Some(committed) => {
                Err(OffsetError::TooFewRows { committed: committed.to_string() }.into())
            }
            _ => Ok(NextRow::End),
        }
    }
}

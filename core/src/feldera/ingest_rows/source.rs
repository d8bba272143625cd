//! [`RowSource`]: where the rows of an [`IngestRows`](super::IngestRows) come from.

use std::error::Error;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::ops::Range;

use memchr::{memchr, memchr2};
use serde::Serialize;

use crate::decode::BYTE_ORDER_MARK;
use crate::error::BuildError;
use crate::feldera::data::DataFormat;
use crate::feldera::flow::{Ingestion, PushError};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// How many bytes are read at once.
const CHUNK: usize = 64 * 1024;

/// The largest record in bytes.
const MAX_RECORD: usize = 16 * 1024 * 1024;

/// A source of rows for [`Feldera::ingest`](crate::feldera::Feldera::ingest). [`Rows`], [`Csv`] and [`Ndjson`] are
/// sources. Implement it for a source that sometimes has no row yet, such as a queue, or that deletes rows.
///
/// An ingestion calls [`advance`](Self::advance) until the end, and [`push`](Self::push) for each row.
pub trait RowSource {
    /// Reads the next row.
    ///
    /// # Errors
    /// If the row cannot be read. The rows before it are ingested, and then the ingestion fails.
    fn advance(&mut self) -> Result<NextRow, BoxError>;

    /// Returns the number of the last row that was read, or of the line where it begins, counted from 1.
    fn position(&self) -> u64;

    /// Passes the row to the flow, and returns the number that the flow returns. Called again for the same row if the
    /// flow's buffer was full.
    ///
    /// # Errors
    /// Those of the flow's method. [`PushError::Ended`] ends the ingestion.
    fn push(&mut self, ingestion: &mut Ingestion) -> Result<u64, PushError<()>>;
}

/// The next item of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextRow {
    /// A row.
    Row,
    /// No row yet. The ingestion sends the buffered rows, and calls [`RowSource::advance`] again at once: wait for a
    /// while before you return this.
    Pending,
    /// No more rows.
    End,
}

/// The rows of an iterator, to be inserted.
///
/// ```
/// # use pipewright::feldera::Rows;
/// # let rows: Vec<Result<(u64, String), std::io::Error>> = Vec::new();
/// // Items that may fail, such as rows of a cursor; `Rows::new` takes others.
/// let rows = Rows::fallible(rows);
/// ```
pub struct Rows<I: Iterator, T> {
    items: I,
    read: fn(I::Item) -> Result<T, BoxError>,
    row: Option<T>,
    position: u64,
}

impl<I: Iterator> Rows<I, I::Item> {
    /// Creates a source from an iterator of rows.
    pub fn new(rows: impl IntoIterator<IntoIter = I, Item = I::Item>) -> Self {
        Self { items: rows.into_iter(), read: Ok, row: None, position: 0 }
    }
}

impl<I: Iterator<Item = Result<T, E>>, T, E: Into<BoxError>> Rows<I, T> {
    /// Creates a source from an iterator of results. The first error ends the ingestion.
    pub fn fallible(rows: impl IntoIterator<IntoIter = I, Item = Result<T, E>>) -> Self {
        Self { items: rows.into_iter(), read: |row| row.map_err(Into::into), row: None, position: 0 }
    }
}

impl<I: Iterator, T: Serialize> RowSource for Rows<I, T> {
    fn advance(&mut self) -> Result<NextRow, BoxError> {
        let Some(item) = self.items.next() else { return Ok(NextRow::End) };
        self.row = Some((self.read)(item)?);
        self.position += 1;
        Ok(NextRow::Row)
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn push(&mut self, ingestion: &mut Ingestion) -> Result<u64, PushError<()>> {
        check_format(ingestion, &DataFormat::Json, JSON)?;
        // Before the first row, no row can be pushed.
        self.row
            .as_ref()
            .map_or(Err(invalid("no row was read")), |row| ingestion.push(row).map_err(PushError::drop_row))
    }
}

impl<I: Iterator, T> fmt::Debug for Rows<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("position", &self.position).finish_non_exhaustive()
    }
}

/// The records of a reader of CSV, for a goal with [`Ingest::csv`](crate::feldera::Ingest::csv). Blank lines are left
/// out. A quoted field may have line feeds. A record may have up to 16 MiB.
///
/// A reader with a timeout, such as a socket, may answer [`WouldBlock`](ErrorKind::WouldBlock) or
/// [`TimedOut`](ErrorKind::TimedOut): the ingestion then sends the buffered rows, and reads again.
pub struct Csv<R> {
    records: Records<R>,
    has_header: bool,
}

impl<R: Read> Csv<R> {
    /// Creates a source from a reader. The reader needs no buffer of its own.
    pub fn new(reader: R) -> Self {
        Self { records: Records::new(reader, true), has_header: false }
    }

    /// Leaves out the first record. Feldera reads the columns in the order in which the table declares them.
    pub fn skip_header(mut self) -> Self {
        self.has_header = true;
        self
    }
}

impl<R: Read> RowSource for Csv<R> {
    fn advance(&mut self) -> Result<NextRow, BoxError> {
        let next = self.records.advance()?;
        if next == NextRow::Row && std::mem::take(&mut self.has_header) { self.records.advance() } else { Ok(next) }
    }

    fn position(&self) -> u64 {
        self.records.position
    }

    fn push(&mut self, ingestion: &mut Ingestion) -> Result<u64, PushError<()>> {
        check_format(ingestion, &DataFormat::Csv, "the source gives CSV; call Ingest::csv")?;
        ingestion.push_record(self.records.record()).map_err(PushError::drop_row)
    }
}

/// The records of a reader of newline-delimited JSON. Each is sent as it is: an event such as `{"insert":{…}}`, or a
/// plain row for a goal with [`UpdateFormat::Raw`](crate::feldera::data::UpdateFormat::Raw). Blank lines are left out.
/// A line may have up to 16 MiB.
///
/// A reader with a timeout works as with [`Csv`].
pub struct Ndjson<R>(Records<R>);

impl<R: Read> Ndjson<R> {
    /// Creates a source from a reader. The reader needs no buffer of its own.
    pub fn new(reader: R) -> Self {
        Self(Records::new(reader, false))
    }
}

impl<R: Read> RowSource for Ndjson<R> {
    fn advance(&mut self) -> Result<NextRow, BoxError> {
        self.0.advance()
    }

    fn position(&self) -> u64 {
        self.0.position
    }

    fn push(&mut self, ingestion: &mut Ingestion) -> Result<u64, PushError<()>> {
        check_format(ingestion, &DataFormat::Json, JSON)?;
        ingestion.push_record(self.0.record().trim_ascii()).map_err(PushError::drop_row)
    }
}

impl<R> fmt::Debug for Csv<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csv").field("position", &self.records.position).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Ndjson<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ndjson").field("position", &self.0.position).finish_non_exhaustive()
    }
}

const JSON: &str = "the source gives JSON; leave out Ingest::csv";

/// Checks that the goal sends the format of the source. Otherwise no row can be sent, so that the ingestion ends.
fn check_format(ingestion: &Ingestion, format: &DataFormat, problem: &'static str) -> Result<(), PushError<()>> {
    let sent = ingestion.format();
    if sent == format {
        return Ok(());
    }
    let error = BuildError::value("Ingest", "format", sent.as_str(), problem);
    Err(PushError::Ended { row: (), error: Some(error.into()) })
}

fn invalid(problem: &str) -> PushError<()> {
    PushError::Invalid { row: (), problem: problem.to_owned() }
}

/// Splits what a reader gives into records, each with the number of its first line.
struct Records<R> {
    reader: R,
    buffer: Vec<u8>,
    record: Range<usize>,
    /// Where the next record begins.
    next: usize,
    /// Up to where the buffer was searched for the end of that record.
    searched: usize,
    /// Whether line feeds between quotes belong to the record.
    has_quotes: bool,
    is_quoted: bool,
    /// Line feeds so far.
    lines: u64,
    /// The number of the line where the next record begins.
    next_line: u64,
    position: u64,
    is_ended: bool,
}

impl<R: Read> Records<R> {
    fn new(reader: R, has_quotes: bool) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            record: 0..0,
            next: 0,
            searched: 0,
            has_quotes,
            is_quoted: false,
            lines: 0,
            next_line: 1,
            position: 0,
            is_ended: false,
        }
    }

    fn record(&self) -> &[u8] {
        self.buffer.get(self.record.clone()).unwrap_or_default()
    }

    fn advance(&mut self) -> Result<NextRow, BoxError> {
        loop {
            while let Some(end) = self.find_end() {
                if self.take(end) {
                    return Ok(NextRow::Row);
                }
            }
            if self.buffer.len() - self.next > MAX_RECORD {
                return Err(self.problem(&format!("it has more than {MAX_RECORD} bytes")));
            }
            if self.is_ended {
                if self.is_quoted {
                    return Err(self.problem("a quote in it is not closed"));
                }
                let has_record = self.next < self.buffer.len() && self.take(self.buffer.len());
                return Ok(if has_record { NextRow::Row } else { NextRow::End });
            }
            if !self.fill()? {
                return Ok(NextRow::Pending);
            }
        }
    }

    /// Looks for the line feed after the next record.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let found = if self.has_quotes { memchr2(b'\n', b'"', rest) } else { memchr(b'\n', rest) };
            let Some(found) = found else {
                self.searched = self.buffer.len();
                return None;
            };
            let at = self.searched + found;
            self.searched = at + 1;
            if self.buffer.get(at) == Some(&b'"') {
                self.is_quoted = !self.is_quoted;
                continue;
            }
            self.lines += 1;
            if !self.is_quoted {
                return Some(at);
            }
        }
    }

    /// Goes to the record that ends here, unless it is blank.
    fn take(&mut self, end: usize) -> bool {
        self.record = self.next..end;
        self.position = self.next_line;
        self.next = self.searched;
        self.next_line = self.lines + 1;
        let is_first_line = self.position == 1;
        if is_first_line && self.record().starts_with(BYTE_ORDER_MARK) {
            self.record.start += BYTE_ORDER_MARK.len();
        }
        !self.record().trim_ascii().is_empty()
    }

    /// Reads more; `false` if the reader has nothing yet.
    fn fill(&mut self) -> Result<bool, BoxError> {
        self.buffer.drain(..self.next);
        self.searched -= self.next;
        (self.next, self.record) = (0, 0..0);
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK, 0);
        let read = self.reader.read(self.buffer.get_mut(length..).unwrap_or_default());
        self.buffer.truncate(length + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(read) => self.is_ended = read == 0,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(false),
                _ => return Err(error.into()),
            },
        }
        Ok(true)
    }

    fn problem(&self, problem: &str) -> BoxError {
        format!("the record that begins in line {}: {problem}", self.next_line).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, and nothing every other time.
    struct Slow<'a>(&'a [u8], usize, bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let length = self.1.min(buffer.len());
            self.0.take(length as u64).read(buffer).inspect(|read| self.0 = self.0.get(*read..).unwrap_or_default())
        }
    }

    /// All records with their positions, whatever the pieces that they come in.
    fn split(text: &str, has_quotes: bool) -> Result<Vec<(u64, String)>, String> {
        let mut results = [1, 2, 3, 7, 1000].map(|length| {
            let mut records = Records::new(Slow(text.as_bytes(), length, false), has_quotes);
            let mut all = Vec::new();
            loop {
                match records.advance().map_err(|error| error.to_string())? {
                    NextRow::Row => {
                        all.push((records.position, String::from_utf8_lossy(records.record()).into_owned()));
                    }
                    NextRow::Pending => {}
                    NextRow::End => return Ok(all),
                }
            }
        });
        let first = results[0].clone();
        assert!(results.iter_mut().all(|result| *result == first), "{results:?}");
        first
    }

    fn records(of: &[(u64, &str)]) -> Vec<(u64, String)> {
        of.iter().map(|(line, record)| (*line, (*record).to_owned())).collect()
    }

    #[test]
    fn records_of_csv_end_outside_of_quotes() {
        let text = "\u{feff}1,\"a\nb\"\"\n\"\r\n\r\n\n2,c\n3,d";
        assert_eq!(split(text, true), Ok(records(&[(1, "1,\"a\nb\"\"\n\"\r"), (6, "2,c"), (7, "3,d")])));
        assert_eq!(split("", true), Ok(records(&[])));
        let error = split("1,a\n2,\"b\n3,c\n", true).expect_err("not closed");
        assert_eq!(error, "the record that begins in line 2: a quote in it is not closed");
    }

    #[test]
    fn records_of_json_end_at_each_line_feed() {
        assert_eq!(split("{\"a\":\"\\\"\"}\n \n{}", false), Ok(records(&[(1, "{\"a\":\"\\\"\"}"), (3, "{}")])));
    }

    #[test]
    fn a_record_has_a_limit() {
        let mut records = Records::new(std::io::repeat(b'x'), false);
        let error = records.advance().expect_err("endless").to_string();
        assert_eq!(error, "the record that begins in line 1: it has more than 16777216 bytes");
    }
}

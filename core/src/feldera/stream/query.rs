//! Ad-hoc queries.

use super::reject_page;
use crate::decode::{DecodeError, Decoder, End, LineLimit, Lines};
use crate::error::excerpt;
use crate::feldera::FelderaApi;
use crate::json;
use crate::schema::{json_structs, operations, string_enums};

operations! { FelderaApi;
    /// Runs SQL on what materialized tables and views hold: `SELECT`, `INSERT`, `PREPARE` and `EXECUTE`; of several
    /// statements the last may return rows.
    ///
    /// An error in the middle of it comes with status 200 and a proper end: [`QueryResult`] tells a result that is
    /// whole from one that is not, by its format. Rejected with 400 `AdHocQueryError` when it cannot be planned; an
    /// error in the first batch of `ArrowIpc` or `Parquet` comes as 503 `PipelineInteractionUnreachable`, and is not
    /// tried again.
    ///
    /// The statement is part of the address, so that long statements do not fit.
    ///
    /// The server also takes queries over WebSocket. That form is not covered, because this library exchanges HTTP
    /// requests and responses; the same query runs over HTTP with the same formats.
    /// [Reference](https://docs.feldera.com/api/execute-ad-hoc-sql).
    Once GET "/v0/pipelines/{pipeline_name}/query" AdhocQuery "pipeline_adhoc_sql" -> QueryResult {
        effect |op| if op.only_reads() { Safe } else { Once };
        streaming;
        decodes |op| |info, response| {
            reject_page(info, response).map(|()| QueryResult::new(&op.format, op.limit.unwrap_or_default()))
        };
        path { pipeline_name: String }
        query {
            /// The statements.
            sql: String,
            /// The format of the result.
            format: QueryFormat,
        }
        local? {
            /// The maximum length of a line of text or JSON; 16 MiB by default.
            limit: LineLimit,
        }
    }
}

string_enums! {
    /// The format of a query's result.
    pub enum QueryFormat {
        /// A table of ASCII text, for people.
        Text = "text",
        /// A JSON object in each line. Loses precision, and columns with equal names.
        Json = "json",
        /// A [Parquet](https://parquet.apache.org) file.
        Parquet = "parquet",
        /// A stream of [Arrow](https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format).
        ArrowIpc = "arrow_ipc",
        /// The SHA-256 hash of the rows. Since 0.129.
        Hash = "hash",
    }
}

impl AdhocQuery {
    /// Returns whether a statement may be sent twice: it begins like a query, and has no keyword that changes data.
    fn only_reads(&self) -> bool {
        let mut words = self.sql.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let reads =
            |word: &str| ["select", "with", "explain", "show", "values"].iter().any(|it| word.eq_ignore_ascii_case(it));
        let writes = |word: &str| ["insert", "execute"].iter().any(|it| word.eq_ignore_ascii_case(it));
        words.next().is_some_and(reads) && !words.any(writes)
    }
}

/// A decoder for the result of a query: lines of text or JSON, or blocks of a binary file. At the end, `finish` checks
/// whether the result is complete.
///
/// | format | items | the result is complete if |
/// |---|---|---|
/// | text | lines | the last line is the lower border of the table, whose width may differ from the upper border |
/// | json | lines | the last line has a line end; a result that was cut off between two lines is not detected |
/// | parquet | blocks of 64 KiB | it begins and ends with `PAR1` |
/// | `arrow_ipc` | blocks of 64 KiB | it ends with the mark for the end |
/// | hash | one | it is 64 hexadecimal digits |
///
/// If the query fails, the decoder returns [`DecodeError::Failed`].
///
/// ```
/// use pipewright::decode::{DecodeError, Decoder, End, LineLimit};
/// use pipewright::feldera::stream::{QueryFormat, QueryResult};
///
/// let mut result = QueryResult::new(&QueryFormat::Json, LineLimit::default());
/// result.feed(b"{\"n\":1}\n{\"error\":\"Arrow error: Divide by zero error\"}");
/// let end = result.finish(End::Complete);
/// assert!(matches!(end, Err(DecodeError::Failed { message }) if message.contains("Divide by zero")));
/// assert!(result.advance()?);
/// assert_eq!(result.item(), b"{\"n\":1}");
/// assert!(!result.advance()?);
/// # Ok::<(), DecodeError>(())
/// ```
#[derive(Debug)]
pub struct QueryResult(Format);

#[derive(Debug)]
enum Format {
    Text(Table),
    Json(Lines),
    Blocks(Blocks),
}

impl QueryResult {
    /// Creates a decoder, for lines up to a length.
    pub fn new(format: &QueryFormat, limit: LineLimit) -> Self {
        Self(match format {
            QueryFormat::Text => Format::Text(Table {
                lines: Lines::new(limit),
                borders: Borders::default(),
                is_over: false,
                error: Vec::new(),
            }),
            QueryFormat::Json => Format::Json(Lines::new(limit)),
            QueryFormat::Parquet => Format::Blocks(Blocks::new(Kind::Parquet)),
            QueryFormat::ArrowIpc => Format::Blocks(Blocks::new(Kind::Arrow)),
            QueryFormat::Hash => Format::Blocks(Blocks::new(Kind::Hash)),
            QueryFormat::Unknown(_) => Format::Blocks(Blocks::new(Kind::Other)),
        })
    }
}

json_structs! {
    /// The line that ends a JSON result with an error.
    struct QueryError {
        pub error: String,
    }
}

/// Returns the text after the last line end, and the number of lines before it.
fn tail(lines: &Lines) -> (u64, &[u8]) {
    let unread = lines.unread();
    let start = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
    let (before, tail) = unread.split_at(start);
    (memchr::memchr_iter(b'\n', before).count() as u64, tail)
}

/// A table, as lines.
#[derive(Debug)]
struct Table {
    lines: Lines,
    /// The borders that were read.
    borders: Borders,
    /// Whether the error message has begun. It may have several lines, and no line of the table follows.
    is_over: bool,
    /// The error message so far.
    error: Vec<u8>,
}

/// The beginning of an error message. No line of a table begins with it.
const ERROR: &[u8] = b"ERROR: ";
/// How many bytes of an error message are kept.
const ERROR_BYTES: usize = 2000;

impl Table {
    fn advance(&mut self) -> Result<bool, DecodeError> {
        loop {
            let found = self.lines.advance()?;
            let item = self.lines.item();
            if found && (self.is_over || item.starts_with(ERROR)) {
                self.is_over = true;
                keep(&mut self.error, item);
                continue;
            }
            if found {
                self.borders.see(item);
            }
            return Ok(found);
        }
    }

    /// Returns the error message, including a part that was not read yet.
    fn failure(&self) -> Option<String> {
        let mut error = self.error.clone();
        let mut is_over = self.is_over;
        for line in self.lines.unread().split(|byte| *byte == b'\n') {
            is_over |= line.starts_with(ERROR);
            if is_over {
                keep(&mut error, line.strip_suffix(b"\r").unwrap_or(line));
            }
        }
        let text = String::from_utf8_lossy(&error);
        is_over.then(|| text.trim_end().strip_prefix("ERROR: ").unwrap_or(&text).to_owned())
    }
}

fn keep(error: &mut Vec<u8>, line: &[u8]) {
    if !error.is_empty() {
        error.push(b'\n');
    }
    error.extend_from_slice(line);
    error.truncate(ERROR_BYTES);
}

/// The borders of a table: above and below the names of the columns, and at its end. The server sends rows in batches.
/// Each batch has the widths of its own rows, so that borders have the same number of columns, but not the same length.
#[derive(Clone, Copy, Debug, Default)]
struct Borders {
    count: u32,
    /// The number of corners of the first border.
    corners: usize,
}

impl Borders {
    /// Records the next line. Rows begin with a vertical line.
    fn see(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"+") {
            self.count += 1;
            if self.count == 1 {
                self.corners = corners(line);
            }
        }
    }

    /// Returns whether the last line of a body is a complete border, and the last border of the table. A table without
    /// columns has two borders.
    fn is_whole(&self, last: &[u8]) -> bool {
        let is_border = last.len() > 1 && last.starts_with(b"+") && last.ends_with(b"+");
        is_border && corners(last) == self.corners && self.count == if last == b"++" { 2 } else { 3 }
    }
}

fn corners(border: &[u8]) -> usize {
    memchr::memchr_iter(b'+', border).count()
}

/// The last line of a table has no line end: it is the lower border.
fn finish_text(table: &mut Table, end: End) -> Result<(), DecodeError> {
    let failed = table.failure();
    let Table { lines, borders, .. } = table;
    let mut borders = *borders;
    let ((unread, tail), read) = (tail(lines), lines.count());
    lines.unread().split(|byte| *byte == b'\n').for_each(|line| borders.see(line));
    let is_whole = borders.is_whole(tail);
    if end == End::Complete && is_whole && failed.is_none() {
        return lines.finish(end);
    }
    let cut = lines.finish(End::Truncated);
    match failed {
        Some(message) if end == End::Complete => Err(DecodeError::Failed { message }),
        // Every table ends without a line end.
        _ => cut.and(Err(DecodeError::Truncated { item: read + unread + 1 })),
    }
}

fn finish_json(lines: &mut Lines, end: End) -> Result<(), DecodeError> {
    let failed = json::read::<QueryError>(tail(lines).1).ok();
    let cut = lines.finish(End::Truncated);
    match failed {
        Some(QueryError { error }) if end == End::Complete => Err(DecodeError::Failed { message: error }),
        _ => cut,
    }
}

impl Decoder for QueryResult {
    type Item<'a> = &'a [u8];

    fn feed(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Format::Text(Table { lines, .. }) | Format::Json(lines) => lines.feed(bytes),
            Format::Blocks(blocks) => blocks.feed(bytes),
        }
    }

    fn advance(&mut self) -> Result<bool, DecodeError> {
        match &mut self.0 {
            Format::Json(lines) => lines.advance(),
            Format::Text(table) => table.advance(),
            Format::Blocks(blocks) => Ok(blocks.advance()),
        }
    }

    fn item(&self) -> &[u8] {
        match &self.0 {
            Format::Text(Table { lines, .. }) | Format::Json(lines) => lines.item(),
            Format::Blocks(blocks) => blocks.item(),
        }
    }

    fn finish(&mut self, end: End) -> Result<(), DecodeError> {
        match &mut self.0 {
            Format::Text(table) => finish_text(table, end),
            Format::Json(lines) => finish_json(lines, end),
            Format::Blocks(blocks) => blocks.finish(end),
        }
    }
}

/// The length of all blocks except the last.
const BLOCK: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parquet,
    Arrow,
    Hash,
    Other,
}

/// Splits a binary body into blocks of the same length.
#[derive(Debug)]
struct Blocks {
    kind: Kind,
    buffer: Vec<u8>,
    /// The current block.
    item: usize,
    /// The number of bytes so far.
    total: u64,
    first: Vec<u8>,
    last: Vec<u8>,
    count: u64,
    ended: bool,
}

impl Blocks {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            buffer: Vec::new(),
            item: 0,
            total: 0,
            first: Vec::new(),
            last: Vec::new(),
            count: 0,
            ended: false,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        self.buffer.drain(..self.item);
        self.item = 0;
        self.buffer.extend_from_slice(bytes);
        self.total += bytes.len() as u64;
        self.first.extend(bytes.iter().take(4_usize.saturating_sub(self.first.len())));
        self.last.extend_from_slice(bytes.get(bytes.len().saturating_sub(8)..).unwrap_or_default());
        self.last.drain(..self.last.len().saturating_sub(8));
    }

    fn advance(&mut self) -> bool {
        self.buffer.drain(..self.item);
        self.item = match self.buffer.len() {
            0 => 0,
            BLOCK.. => BLOCK,
            rest if self.ended => rest,
            _ => 0,
        };
        self.count += u64::from(self.item > 0);
        self.item > 0
    }

    fn item(&self) -> &[u8] {
        self.buffer.get(..self.item).unwrap_or_default()
    }

    fn finish(&mut self, end: End) -> Result<(), DecodeError> {
        self.ended = true;
        let is_whole = match self.kind {
            Kind::Parquet => self.total >= 12 && self.first == b"PAR1" && self.last.ends_with(b"PAR1"),
            Kind::Arrow => self.last == [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            Kind::Hash => self.total == 64 && self.buffer.iter().all(u8::is_ascii_hexdigit),
            Kind::Other => true,
        };
        if end == End::Complete && is_whole {
            return Ok(());
        }
        if self.kind == Kind::Hash && end == End::Complete {
            let excerpt = excerpt(&self.buffer, 80);
            return Err(DecodeError::Malformed { item: 1, problem: "no hash".to_owned(), excerpt });
        }
        let unread = (self.buffer.len() - self.item).div_ceil(BLOCK) as u64;
        Err(DecodeError::Truncated { item: self.count + unread.max(1) })
    }
}

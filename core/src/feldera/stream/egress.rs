//! [`HttpOutput`]: the changes of a table or a view.

use std::ops::Range;

use serde_json::value::RawValue;

use super::{reject_page, rows};
use crate::decode::{DecodeError, Decoder, End, LineLimit, Lines};
use crate::error::{BuildError, excerpt};
use crate::feldera::data::{DataFormat, UpdateFormat};
use crate::feldera::{FelderaApi, Json};
use crate::operation::Operation as _;
use crate::schema::{json_structs, operations};

operations! { FelderaApi;
    /// Subscribes to the changes of a table or a view. The subscription exists as soon as the client has
    /// received the head of the response.
    ///
    /// **Without [`backpressure`](Self::backpressure), the server discards chunks if the client reads too slowly.**
    /// Only [`Chunk::lost`] shows that. With backpressure, no chunk is lost, but a client that stops reading stops the
    /// whole pipeline. To receive the existing rows of a materialized table or view, set
    /// [`send_snapshot`](Self::send_snapshot) (since 0.298).
    ///
    /// The stream ends without a message when the pipeline stops or crashes. **A new subscription is a new stream**: it
    /// needs its own decoder, its numbers begin at 0 again, and neither stream contains the changes in between. A
    /// client that holds a copy of the view subscribes again with a snapshot and begins a new copy with the first
    /// chunk. The copy is complete when [`Egress::is_past_snapshot`] is true. Do the same if [`Chunk::lost`] was not 0.
    ///
    /// Rejected with 404 `ConfigError.UnknownOutputStream`, 400 for a format or a snapshot that does not exist, 429
    /// `ApiConnectionLimit`, 503 if the pipeline is not deployed.
    /// [Reference](https://docs.feldera.com/api/subscribe-to-view).
    Safe POST "/v0/pipelines/{pipeline_name}/egress/{table_name}" HttpOutput "http_output" -> Egress {
        checks output_format;
        streaming;
        decodes |op| |info, response| reject_page(info, response).map(|()| Egress::new(op.limit.unwrap_or_default()));
        path {
            pipeline_name: String,
            /// The table or view, as a SQL identifier.
            table_name: String,
        }
        query {
            /// The format of the rows.
            format: DataFormat,
        }
        query? {
            /// Whether the pipeline waits for the reader; false by default.
            backpressure: bool,
            /// Whether to send the existing rows first; false by default. Since 0.298: earlier releases ignore it, and
            /// send only changes.
            send_snapshot: bool,
            /// Has no effect: JSON rows are always sent as a list.
            array: bool,
            /// The format of a JSON row: `InsertDelete` (default) or `Snowflake`. With `Debezium` or `Redis`, building
            /// the request fails, because the server would drop every row, or panic.
            update_format: UpdateFormat,
        }
        local? {
            /// The maximum length of a chunk; 16 MiB by default. A chunk of a snapshot holds up to 10,000 rows.
            limit: LineLimit,
        }
    }
}

fn output_format(op: &HttpOutput) -> Result<(), BuildError> {
    if let (DataFormat::Json, Some(format)) = (&op.format, &op.update_format)
        && let Some(problem) = format.output_problem()
    {
        return Err(BuildError::value(HttpOutput::INFO.name, "update_format", format.as_str(), problem));
    }
    Ok(())
}

/// A decoder for changes, in the chunks in which the server sent them.
///
/// ```
/// use pipewright::decode::{Decoder, LineLimit};
/// use pipewright::feldera::stream::Egress;
///
/// let mut egress = Egress::new(LineLimit::default());
/// egress.feed(b"{\"sequence_number\":0,\"snapshot\":false,\"json_data\":[{\"insert\":{\"id\":1}},{\"del");
/// assert!(!egress.advance()?);
/// egress.feed(b"ete\":{\"id\":2}}]}\r\n{\"sequence_number\":3,\"snapshot\":false}\r\n");
/// assert!(egress.advance()?);
/// let rows: Vec<&[u8]> = egress.item().rows().collect();
/// assert_eq!(rows, [&br#"{"insert":{"id":1}}"#[..], br#"{"delete":{"id":2}}"#]);
/// assert!(egress.advance()?);
/// assert!(egress.item().is_heartbeat());
/// assert_eq!((egress.item().lost, egress.lost()), (2, 2));
/// # Ok::<(), pipewright::decode::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Egress {
    lines: Lines,
    count: u64,
    /// The number of the next chunk if no chunk is lost.
    next: u64,
    lost: u64,
    processed_steps: Option<u64>,
    past_snapshot: bool,
    head: Head,
    /// The places of the rows in the line, or in the text.
    rows: Vec<Range<usize>>,
    text: Vec<u8>,
    payload: Payload,
    error: Option<DecodeError>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    sequence_number: u64,
    snapshot: bool,
    lost: u64,
    processed_steps: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Payload {
    #[default]
    None,
    /// In the line.
    Json,
    /// In the text.
    Text,
}

json_structs! {
    /// A line whose fields have another order than servers write today.
    struct Line {
        pub sequence_number: u64,
        pub snapshot: Option<bool>,
        /// The number of steps whose output was sent before this line.
        pub processed_steps: Option<u64>,
        /// Rows in a text format other than JSON.
        pub text_data: Option<String>,
        /// Rows in a binary format: a list of bytes, or a text.
        pub bin_data: Option<Json>,
    }
}

impl Egress {
    /// Creates a decoder at the beginning of a body, with a maximum length of chunks.
    pub fn new(limit: LineLimit) -> Self {
        Self {
            lines: Lines::new(limit),
            count: 0,
            next: 0,
            lost: 0,
            processed_steps: None,
            past_snapshot: false,
            head: Head::default(),
            rows: Vec::new(),
            text: Vec::new(),
            payload: Payload::None,
            error: None,
        }
    }

    /// Returns the number of chunks that were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns how far the subscription has been read, including the current chunk. Pass it to an
    /// [`AwaitDelivery`](crate::feldera::AwaitDelivery) flow.
    pub fn progress(&self) -> EgressProgress {
        EgressProgress { chunks: self.count, lost: self.lost, processed_steps: self.processed_steps }
    }

    /// Returns whether the snapshot has ended: the current chunk or an earlier chunk is not part of the snapshot.
    /// Without a snapshot, or if the view is empty, the first chunk ends it. If there are no changes, this is a
    /// heartbeat after up to 3 s.
    pub fn is_past_snapshot(&self) -> bool {
        self.past_snapshot
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.text.clear();
        (self.payload, self.head) = (Payload::None, Head::default());
    }

    /// Reads the current line.
    fn read(&mut self) -> Result<(), String> {
        self.clear();
        let line = self.lines.item();
        match fast(line, &mut self.rows, &mut self.text) {
            Some((head, payload)) => (self.head, self.payload) = (head, payload),
            None => self.slow()?,
        }
        let number = self.head.sequence_number;
        // A smaller number belongs to another stream: it is unknown what was lost.
        self.head.lost =
            number.checked_sub(self.next).ok_or_else(|| format!("number {number} came after {}", self.next - 1))?;
        self.lost = self.lost.saturating_add(self.head.lost);
        self.next = number.saturating_add(1);
        self.past_snapshot |= !self.head.snapshot;
        self.processed_steps = self.processed_steps.max(self.head.processed_steps);
        Ok(())
    }

    #[cold]
    fn slow(&mut self) -> Result<(), String> {
        self.rows.clear();
        self.text.clear();
        let line = self.lines.item();
        let fields: Line = crate::json::read(line).map_err(|error| error.to_string())?;
        (self.head.sequence_number, self.head.snapshot) = (fields.sequence_number, fields.snapshot.unwrap_or_default());
        if let Some(bytes) = fields.bin_data.as_ref().and_then(|data| data.parse::<Vec<u8>>().ok()) {
            self.text = bytes;
            self.payload = Payload::Text;
            self.rows.push(0..self.text.len());
            return Ok(());
        }
        let binary = || fields.bin_data.map(|data| data.parse::<String>()).transpose();
        if let Some(text) =
            fields.text_data.map_or_else(binary, |text| Ok(Some(text))).map_err(|error| error.to_string())?
        {
            self.text = text.into_bytes();
            self.payload = Payload::Text;
            rows::csv_lines(&self.text, &mut self.rows);
            return Ok(());
        }
        let data = std::str::from_utf8(line).ok().and_then(json_data);
        if let Some(data) = data {
            let start = data.as_ptr() as usize - line.as_ptr() as usize;
            match data.as_bytes().first() {
                Some(b'[') => {
                    rows::json_items(line, start, &mut self.rows).ok_or("the rows are not a list")?;
                }
                _ => self.rows.push(start..start + data.len()),
            }
            self.payload = Payload::Json;
        }
        if self.payload == Payload::None {
            self.head.processed_steps = fields.processed_steps;
        }
        Ok(())
    }
}

/// Returns the unparsed rows of a line whose fields have any order.
fn json_data(line: &str) -> Option<&str> {
    let fields: std::collections::BTreeMap<&str, &RawValue> = serde_json::from_str(line).ok()?;
    fields.get("json_data").map(|data| data.get()).filter(|data| *data != "null")
}

/// Reads a line whose fields have the order in which servers write them.
fn fast(line: &[u8], rows: &mut Vec<Range<usize>>, text: &mut Vec<u8>) -> Option<(Head, Payload)> {
    let rest = line.strip_prefix(b"{\"sequence_number\":")?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).filter(|digits| (1..20).contains(digits))?;
    let (number, rest) = rest.split_at(digits);
    let sequence_number = number.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    let (snapshot, rest) = match rest.strip_prefix(b",\"snapshot\":") {
        Some(rest) => match rest.strip_prefix(b"false") {
            Some(rest) => (false, rest),
            None => (true, rest.strip_prefix(b"true")?),
        },
        // Before 0.298.
        None => (false, rest),
    };
    let head = Head { sequence_number, snapshot, lost: 0, processed_steps: None };
    if rest == b"}" {
        return Some((head, Payload::None));
    }
    if let Some(data) = rest.strip_prefix(b",\"text_data\":") {
        let end = rows::unescaped(line, line.len() - data.len(), text)?;
        rows::csv_lines(text, rows);
        return (line.get(end..) == Some(b"}")).then_some((head, Payload::Text));
    }
    let Some(rest) = rest.strip_prefix(b",\"json_data\":") else { return end_of_step(head, rest) };
    let end = rows::json_items(line, line.len() - rest.len(), rows)?;
    (line.get(end..) == Some(b"}")).then_some((head, Payload::Json))
}

/// Reads the rest of a chunk that follows the output of a step.
fn end_of_step(head: Head, rest: &[u8]) -> Option<(Head, Payload)> {
    let digits = rest.strip_prefix(b",\"processed_steps\":")?.strip_suffix(b"}")?;
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let steps = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some((Head { processed_steps: Some(steps), ..head }, Payload::None))
}

impl Decoder for Egress {
    type Item<'a> = Chunk<'a>;

    fn feed(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.lines.feed(bytes);
        }
    }

    fn advance(&mut self) -> Result<bool, DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match self.lines.advance() {
            Ok(true) => {}
            Ok(false) => {
                self.clear();
                return Ok(false);
            }
            Err(error) => {
                self.error = Some(error.clone());
                return Err(error);
            }
        }
        self.count += 1;
        self.read().map_err(|problem| {
            let line = self.lines.item();
            let error = DecodeError::Malformed { item: self.count, problem, excerpt: excerpt(line, 80) };
            self.clear();
            self.error = Some(error.clone());
            error
        })?;
        Ok(true)
    }

    fn item(&self) -> Chunk<'_> {
        let Head { sequence_number, snapshot, lost, processed_steps } = self.head;
        let text = match self.payload {
            Payload::None => b"",
            Payload::Json => self.lines.item(),
            Payload::Text => &self.text,
        };
        let is_empty = self.payload == Payload::None;
        Chunk { sequence_number, snapshot, lost, processed_steps, text, rows: &self.rows, is_empty }
    }

    fn finish(&mut self, _: End) -> Result<(), DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        // Each record ends with a line end. A record without it is cut off, even if the body ended properly.
        self.lines.finish(End::Truncated)
    }
}

/// How far a subscription has been read. Created by [`Egress::progress`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EgressProgress {
    /// Chunks that were read.
    pub chunks: u64,
    /// Chunks that were lost.
    pub lost: u64,
    /// The largest [`Chunk::processed_steps`] so far; `None` before the first.
    pub processed_steps: Option<u64>,
}

/// Changes that the server sent together, borrowed from the decoder.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Chunk<'a> {
    /// The number of the chunk, counted from 0 in each subscription.
    pub sequence_number: u64,
    /// Whether the chunk is part of the snapshot. The first chunk that is not ends the snapshot; a heartbeat does so
    /// after 3 s at the latest.
    pub snapshot: bool,
    /// The number of chunks that were lost directly before this chunk.
    pub lost: u64,
    /// The server has sent the output of all steps below this number. Only an empty chunk after the output of a step
    /// has this number; other chunks have `None`. Servers up to 0.337 never send it.
    pub processed_steps: Option<u64>,
    text: &'a [u8],
    rows: &'a [Range<usize>],
    is_empty: bool,
}

impl<'a> Chunk<'a> {
    /// Returns whether this is a heartbeat: the server sends one after 3 s without another chunk.
    pub fn is_heartbeat(&self) -> bool {
        self.is_empty && self.processed_steps.is_none()
    }

    /// Returns the unparsed rows: JSON values, or lines of CSV without line ends, whose last column is the weight.
    /// Their contents are not checked.
    pub fn rows(&self) -> ChunkRows<'a> {
        ChunkRows { text: self.text, rows: self.rows.iter() }
    }
}

/// An iterator over the rows of a chunk.
#[derive(Clone, Debug)]
pub struct ChunkRows<'a> {
    text: &'a [u8],
    rows: std::slice::Iter<'a, Range<usize>>,
}

impl<'a> Iterator for ChunkRows<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.text.get(self.rows.next()?.clone())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl ExactSizeIterator for ChunkRows<'_> {}

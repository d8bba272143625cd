//! [`GetLogs`]: the log of a pipeline.

use bytes::Bytes;
use http::Response;

use super::{LogCursor, LogPosition};
use crate::decode::{DecodeError, Decoder, End, LineLimit, Lines};
use crate::error::{BuildError, ServiceError};
use crate::feldera::FelderaApi;
use crate::operation::{FromResponse, Operation as _, OperationInfo};
use crate::schema::operations;

operations! { FelderaApi;
    /// Streams a pipeline's log: first the lines that the server has kept (1 MB or 50,000 lines), then new lines,
    /// without an end.
    ///
    /// This works for stopped pipelines too, and continues when the pipeline stops and starts. The response ends when
    /// the pipeline is deleted, when the runner restarts, or when the client reads too slowly. The server sends no byte
    /// while the pipeline logs nothing.
    ///
    /// To read a log over several connections, use a [`LogHistory`](super::LogHistory). It resumes with a
    /// [`cursor`](Self::cursor). Servers up to 0.337 ignore the cursor: there it leaves out repeated lines.
    ///
    /// Rejected with 400 if the cursor is malformed, with 404 if the pipeline does not exist, and with 503 if the
    /// runner did not answer. After a 503, send the request again with the same cursor.
    /// [Reference](https://docs.feldera.com/api/stream-pipeline-logs).
    Safe GET "/v0/pipelines/{pipeline_name}/logs" GetLogs "get_pipeline_logs" -> Logs {
        checks check;
        streaming;
        path { pipeline_name: String }
        query? {
            /// `false` ends the response after the kept lines; `true` by default. It cannot be combined with a cursor.
            /// Servers up to 0.337 ignore it.
            follow: bool,
            /// Begins after this position. The response then has a [position](Logs::position). Without a cursor, the
            /// response begins with the kept lines and has no position. Servers up to 0.337 ignore the cursor.
            cursor: LogCursor,
        }
    }
}

/// Rejects the combination that the server rejects with 400.
fn check(logs: &GetLogs) -> Result<(), BuildError> {
    match (logs.follow, &logs.cursor) {
        (Some(false), Some(cursor)) => Err(BuildError::value(
            GetLogs::INFO.name,
            "cursor",
            &cursor.to_string(),
            "it cannot be combined with follow=false; leave one of them out",
        )),
        _ => Ok(()),
    }
}

/// A decoder for the lines of a log.
///
/// If the response has a [position](Self::position), each complete line ends with `\n`. An unfinished last line is not
/// an item: the next connection sends the whole line. If the response has no position, the last line is an item, and
/// may be incomplete.
///
/// ```
/// use pipewright::decode::Decoder;
/// use pipewright::feldera::stream::Logs;
/// let mut logs = Logs::new();
/// logs.feed(b"\x1b[32m INFO\x1b[0m started\n");
/// assert!(logs.advance()?);
/// assert_eq!(logs.item(), b"\x1b[32m INFO\x1b[0m started");
/// assert_eq!(logs.plain(), b" INFO started");
/// # Ok::<(), pipewright::decode::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Logs {
    lines: Lines,
    plain: Vec<u8>,
    position: Option<LogPosition>,
}

impl Logs {
    /// Creates a decoder at the beginning of a body.
    pub fn new() -> Self {
        Self { lines: Lines::new(LineLimit::default()), plain: Vec::new(), position: None }
    }

    /// Returns the position at which the body begins. `None` if the request had no cursor, or if the server does not
    /// number lines (up to 0.337).
    pub fn position(&self) -> Option<&LogPosition> {
        self.position.as_ref()
    }

    /// Returns the current line without escape sequences for terminals.
    pub fn plain(&mut self) -> &[u8] {
        self.plain.clear();
        strip(self.lines.item(), &mut self.plain);
        &self.plain
    }
}

impl FromResponse for Logs {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        super::reject_page(info, response)?;
        Ok(Self { position: LogPosition::from_headers(response.headers()), ..Self::new() })
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self::new()
    }
}

/// Removes control sequences ([ECMA-48
/// §5.4](https://ecma-international.org/publications-and-standards/standards/ecma-48/)).
fn strip(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = memchr::memmem::find(rest, b"\x1b[") {
        let (before, sequence) = rest.split_at(at);
        out.extend_from_slice(before);
        let parameters = sequence.get(2..).unwrap_or_default();
        let end =
            parameters.iter().position(|byte| (0x40..=0x7e).contains(byte)).map_or(parameters.len(), |end| end + 1);
        rest = parameters.get(end..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

impl Decoder for Logs {
    type Item<'a> = &'a [u8];

    fn feed(&mut self, bytes: &[u8]) {
        self.lines.feed(bytes);
    }

    fn advance(&mut self) -> Result<bool, DecodeError> {
        self.lines.advance()
    }

    fn item(&self) -> &[u8] {
        self.lines.item()
    }

    fn finish(&mut self, end: End) -> Result<(), DecodeError> {
        if self.position.is_none() {
            return self.lines.finish(end);
        }
        match self.lines.finish(End::Truncated) {
            Err(DecodeError::Truncated { .. }) => Ok(()),
            result => result,
        }
    }
}

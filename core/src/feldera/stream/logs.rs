//! Logs.

use bytes::Bytes;
use http::Response;

use super::{LogCursor, LogPosition};
use crate::decode::{DecodeError, Decoder, End, LineLimit, Lines};
use crate::error::{BuildError, ServiceError};
use crate::feldera::FelderaApi;
use crate::operation::{FromResponse, Operation as _, OperationInfo};
use crate::schema::operations;

operations! { FelderaApi;
    /// A pipeline's log: what the server has kept (1 MB or 50,000 lines), then what follows, without an end.
    ///
    /// Works for stopped pipelines too, and continues over stop and start. The response ends when the pipeline is
    /// deleted, when the runner restarts, and when it is read too slowly. No byte is sent while nothing is logged.
    ///
    /// To read a log over several connections, use a [`LogHistory`](super::LogHistory): it resumes with a
    /// [`cursor`](Self::cursor), and on servers up to 0.337, which ignore the cursor, it leaves out what is repeated.
    ///
    /// Rejected: 400 for a malformed cursor; 404 if the pipeline does not exist; 503 if the runner did not answer: send
    /// the request again with the same cursor. [Reference](https://docs.feldera.com/api/stream-pipeline-logs).
    Safe GET "/v0/pipelines/{pipeline_name}/logs" GetLogs "get_pipeline_logs" -> Logs {
        checks check;
        streaming;
        path { pipeline_name: String }
        query? {
            /// `false` ends the response behind what the server has kept; `true` by default. Cannot be combined with a
            /// cursor. Servers up to 0.337 ignore it.
            follow: bool,
            /// Begins behind this position, and tells the [position](Logs::position). Without a cursor, the response
            /// begins with what the server has kept and tells no position. Servers up to 0.337 ignore it.
            cursor: LogCursor,
        }
    }
}

/// The server rejects the combination with 400.
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

/// Lines of a log.
///
/// If the response tells its [position](Self::position), lines end with `\n`. A last line without it is half of one and
/// not an item: it has no number yet, and comes again whole. Otherwise nothing tells whether the last line is whole.
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
    /// A decoder at the beginning of a body.
    pub fn new() -> Self {
        Self { lines: Lines::new(LineLimit::default()), plain: Vec::new(), position: None }
    }

    /// Returns where the body begins; `None` if the request had no cursor, or if the server does not number lines, as
    /// up to 0.337.
    pub fn position(&self) -> Option<&LogPosition> {
        self.position.as_ref()
    }

    /// The present line without escape sequences for terminals.
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

/// Leaves out control sequences ([ECMA-48
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

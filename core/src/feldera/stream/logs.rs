//! Logs.

use bytes::Bytes;
use http::Response;

use crate::decode::{DecodeError, Decoder, End, LineLimit, Lines};
use crate::error::ServiceError;
use crate::feldera::FelderaApi;
use crate::operation::{FromResponse, OperationInfo};
use crate::schema::operations;

operations! { FelderaApi;
    /// A pipeline's log: what the server has kept (1 MB or 50,000 lines), then what comes, without an end.
    ///
    /// Works for stopped pipelines too, and goes on over stop and start. It ends when the pipeline is deleted, when the
    /// runner restarts, and when it is read too slowly; another request sends again what was kept, which a
    /// [`LogHistory`](super::LogHistory) leaves out. Nothing at all comes while nothing is logged. Refused: 404 when
    /// there is no pipeline, 503. [Reference](https://docs.feldera.com/api/stream-pipeline-logs).
    Safe GET "/v0/pipelines/{pipeline_name}/logs" GetLogs "get_pipeline_logs" -> Logs {
        streaming;
        path { pipeline_name: String }
    }
}

/// Lines of a log. Nothing says whether the last one is whole.
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
}

impl Logs {
    /// A decoder at the beginning of a body.
    pub fn new() -> Self {
        Self { lines: Lines::new(LineLimit::default()), plain: Vec::new() }
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
        super::reject_page(info, response).map(|()| Self::new())
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
        self.lines.finish(end)
    }
}

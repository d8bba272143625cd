//! The operation that appends rows to a channel.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};

use super::channels::check_name;
use super::error::check_body;
use super::{RequestId, SnowpipeIngest};
use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target, read_answer};
use crate::schema::{json_structs, string_enums};

/// The rows of this table.
pub(crate) const OPERATIONS: &[&OperationInfo] = &[AppendRows::INFO];

/// The largest body of one append, in bytes, after compression.
pub const MAX_BYTES: u64 = 4_194_304;

/// The header that ties the appends of a channel to one node.
const SESSION: HeaderName = HeaderName::from_static("x-snowflake-session");

string_enums! {
    /// How rows are compressed.
    pub enum Encoding {
        /// [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952).
        Gzip = "gzip",
        /// [RFC 8878](https://www.rfc-editor.org/rfc/rfc8878).
        Zstd = "zstd",
    }
}

/// The offset tokens of rows: their positions in the caller's data. The service stores the last token. It does not
/// compare tokens, and does not de-duplicate rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// The tokens of the first and of the last row. An empty text means no token.
    Range {
        /// The token of the first row.
        start: String,
        /// The token of the last row.
        end: String,
    },
    /// One token for all rows, for older releases.
    Single(String),
}

/// Appends rows to a channel. 200 means that they are buffered: see [`super::channels::ChannelStatus`] for the outcome.
///
/// Rows are JSON objects, one in each line (`application/x-ndjson`), in total at most [`MAX_BYTES`] after compression.
/// Send one append of a channel at a time: each response has the continuation token for the next append. A repeated
/// request must have the same rows, token and id.
///
/// | rejection | cause |
/// |---|---|
/// | 400 `STALE_CONTINUATION_TOKEN_SEQUENCER`, 409 | another client has opened the channel, **or an earlier attempt was carried out** |
/// | 410 | the pipe has moved to another host |
/// | 413 | the body is too large |
///
/// The request always has a start and an end token, which may be empty: rows without them stayed uncommitted in a
/// measurement.
/// [Reference](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api#append-rows).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AppendRows {
    /// The `database` of the path.
    pub database: String,
    /// The `schema` of the path.
    pub schema: String,
    /// The `pipe` of the path.
    pub pipe: String,
    /// The `channel` of the path.
    pub channel: String,
    /// The id of the request in the service's logs.
    pub request_id: RequestId,
    /// The rows, compressed as `encoding` says.
    pub rows: Body,
    /// The offset tokens of the rows.
    pub offsets: Offsets,
    /// The continuation token of the previous response. `None` only for older releases: such an append must not be sent
    /// twice.
    pub continuation_token: Option<String>,
    /// How the rows are compressed; `None` if they are not.
    pub encoding: Option<Encoding>,
    /// [`Appended::session`] of the previous response; `None` for the first append.
    pub session: Option<String>,
}

impl AppendRows {
    /// Creates the operation.
    pub fn new(
        database: impl Into<String>,
        schema: impl Into<String>,
        pipe: impl Into<String>,
        channel: impl Into<String>,
        request_id: RequestId,
        rows: impl Into<Body>,
    ) -> Self {
        Self {
            database: database.into(),
            schema: schema.into(),
            pipe: pipe.into(),
            channel: channel.into(),
            request_id,
            rows: rows.into(),
            offsets: Offsets::Range { start: String::new(), end: String::new() },
            continuation_token: None,
            encoding: None,
            session: None,
        }
    }

    /// Sets the continuation token of the previous response.
    pub fn continuation_token(mut self, token: impl Into<String>) -> Self {
        self.continuation_token = Some(token.into());
        self
    }

    /// Sets the offset tokens of the first and of the last row.
    pub fn offsets(mut self, start: impl Into<String>, end: impl Into<String>) -> Self {
        self.offsets = Offsets::Range { start: start.into(), end: end.into() };
        self
    }

    /// Sets one offset token for all rows, for older releases.
    pub fn offset_token(mut self, token: impl Into<String>) -> Self {
        self.offsets = Offsets::Single(token.into());
        self
    }

    /// Sets how the rows are compressed.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// Sets [`Appended::session`] of the previous response, which keeps the appends of a channel at one node.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }
}

impl Operation for AppendRows {
    type Output = Appended;
    type Service = SnowpipeIngest;

    const INFO: &'static OperationInfo = &OperationInfo {
        service: "snowpipe",
        name: "appendRows",
        method: Method::POST,
        path: "/v2/streaming/data/databases/{database}/schemas/{schema}/pipes/{pipe}/channels/{channel}/rows",
        effect: Effect::Once,
        effect_varies: true,
    };

    fn effect(&self) -> Effect {
        if self.continuation_token.is_some() { Effect::Fenced } else { Effect::Once }
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        check_name(Self::INFO, &self.channel)?;
        let mut target = Target::new::<SnowpipeIngest>(Self::INFO, cx);
        target.segment("database", &self.database)?;
        target.segment("schema", &self.schema)?;
        target.segment("pipe", &self.pipe)?;
        target.segment("channel", &self.channel)?;
        match &self.offsets {
            Offsets::Range { start, end } => {
                target.query("startOffsetToken", start);
                target.query("endOffsetToken", end);
            }
            Offsets::Single(token) => target.query("offsetToken", token),
        }
        if let Some(token) = &self.continuation_token {
            target.query("continuationToken", token);
        }
        target.query("requestId", &self.request_id);
        let mut request = finish(Self::INFO, target, &self.rows, self.encoding.as_ref())?;
        if let Some(session) = &self.session {
            let wrong = |_| BuildError::value(Self::INFO.name, "session", session, "no header can hold it");
            request.headers_mut().insert(SESSION, HeaderValue::try_from(session).map_err(wrong)?);
        }
        Ok(request)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Appended, ServiceError> {
        operation::parse_by::<SnowpipeIngest, Appended>(Self::INFO, &response, |info, response| {
            check_body(info, response)?;
            // Whether the append was carried out or not, no token for the next append exists.
            let mut appended: Appended = read_answer(info, response).map_err(|error| error.with_transient(false))?;
            if self.continuation_token.is_some()
                && appended.next_continuation_token.as_deref().is_none_or(str::is_empty)
            {
                let problem = "there is no next_continuation_token";
                return Err(ServiceError::unreadable(info, response, problem).with_transient(false));
            }
            let session = response.headers().get(SESSION).and_then(|session| session.to_str().ok());
            appended.session = session.map(str::to_owned);
            Ok(appended)
        })
    }
}

/// Adds the rows to a request. Their number of bytes must be between 1 and [`MAX_BYTES`].
pub(super) fn finish(
    info: &'static OperationInfo,
    target: Target<'_>,
    rows: &Body,
    encoding: Option<&Encoding>,
) -> Result<Request<Body>, BuildError> {
    let bytes = rows.len();
    let problem = match bytes {
        0 => "the batch has no rows: do not send it",
        1..=MAX_BYTES => "",
        _ => "the service accepts at most 4194304 bytes, after compression: split the batch",
    };
    if !problem.is_empty() {
        return Err(BuildError::value(info.name, "rows", &format!("{bytes} bytes"), problem));
    }
    let mut request = target.finish_with(rows.clone(), HeaderValue::from_static("application/x-ndjson"))?;
    if let Some(encoding) = encoding {
        let wrong = |_| BuildError::value(info.name, "encoding", encoding.as_str(), "no header can hold it");
        request
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::try_from(encoding.as_str()).map_err(wrong)?);
    }
    Ok(request)
}

json_structs! {
    /// The response to an append: the rows are buffered.
    pub struct Appended {
        pub next_continuation_token: Option<String>,
        /// `OK`, `Success` or `None`.
        pub message: Option<String>,
        /// The node, from the undocumented header `x-snowflake-session`. Set it as [`AppendRows::session`] of the next
        /// append.
        pub session: Option<String> = "x-snowflake-session",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Applied;

    fn append(rows: Vec<u8>) -> AppendRows {
        AppendRows::new("d", "s", "p", "c", RequestId::from_bits(1), rows)
    }

    #[test]
    fn nothing_and_too_much_are_rejected_here() {
        let base = "https://h".parse().expect("a base");
        let build = |append: &AppendRows| append.request(RequestContext::new(&base)).map_err(|error| error.to_string());
        assert!(build(&append(vec![])).is_err_and(|error| error.contains("no rows")));
        assert!(build(&append(vec![b'x'; 4_194_304])).is_ok());
        let error = build(&append(vec![b'x'; 4_194_305])).expect_err("too large");
        assert!(error.contains("4194305 bytes") && error.contains("split"), "{error}");
        let mut elastic = append(vec![b'x']);
        elastic.channel = "Elastic".to_owned();
        assert!(build(&elastic).is_err_and(|error| error.contains("reserved")));
    }

    #[test]
    fn an_answer_without_a_token_cannot_be_gone_on_from() {
        let fenced = append(vec![b'x']).continuation_token("1_0");
        let answer = |text: &'static str| Response::new(Bytes::from_static(text.as_bytes()));
        let appended = fenced.parse(answer(r#"{"status_code":0,"next_continuation_token":"1_1"}"#)).expect("a token");
        assert_eq!(appended.next_continuation_token.as_deref(), Some("1_1"));
        for (text, applied) in [
            ("", Applied::Yes),
            ("{}", Applied::Yes),
            (r#"{"next_continuation_token":null}"#, Applied::Yes),
            (r#"{"next_continuation_token":""}"#, Applied::Yes),
            ("<html>", Applied::Unknown),
        ] {
            let error = fenced.parse(answer(text)).expect_err(text);
            assert_eq!((error.applied(), error.is_transient()), (applied, false), "{text}");
        }
        assert!(append(vec![b'x']).parse(answer("{}")).is_ok(), "an append without a token needs none");
        assert!(
            fenced
                .parse(answer(r#"{"status_code":4,"message":"stale"}"#))
                .is_err_and(|error| error.code() == Some("4"))
        );
    }
}

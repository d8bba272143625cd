//! One expected exchange.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use serde_json::Value;

use super::Script;

/// An expected exchange that has no answer yet: one of `reply…`, [`fail`](Self::fail), [`not_sent`](Self::not_sent)
/// and [`reply_lost`](Self::reply_lost) gives it one, and the script back.
///
/// Headers and body of the request are only looked at when the expectation names them.
#[derive(Debug)]
#[must_use = "an expectation without an answer is not part of the script"]
pub struct Expectation {
    script: Script,
    method: String,
    target: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<ExpectedBody>,
    delay: Duration,
    reply_headers: HeaderMap,
}

#[derive(Debug)]
pub(super) struct Expected {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Option<ExpectedBody>,
    pub(super) delay: Duration,
    pub(super) answer: Result<Scripted, TransportError>,
}

#[derive(Debug)]
pub(super) enum ExpectedBody {
    Bytes(Bytes),
    Json(Value),
}

#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) head: Response<()>,
    pub(super) chunks: Vec<Bytes>,
    pub(super) end: Option<TransportError>,
}

impl Expectation {
    pub(super) fn new(script: Script, method: &str, target: &str) -> Self {
        Self {
            script,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
            delay: Duration::ZERO,
            reply_headers: HeaderMap::new(),
        }
    }

    /// The request has this header. When it is there more than once, one of them has this value.
    ///
    /// # Panics
    /// When name or value cannot be a header's.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(parse_header(name, value));
        self
    }

    /// The request has this body, byte by byte.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(ExpectedBody::Bytes(body.into()));
        self
    }

    /// The request's body is JSON and equals this value, however it is written. Takes a `serde_json::Value` or text.
    ///
    /// # Panics
    /// When the text is no JSON.
    #[track_caller]
    pub fn json(mut self, json: impl Display) -> Self {
        let text = json.to_string();
        match serde_json::from_str(&text) {
            Ok(value) => self.body = Some(ExpectedBody::Json(value)),
            Err(error) => panic!("the expected body is no JSON: {error}: {text}"),
        }
        self
    }

    /// The answer takes so long on the script's clock. When that is longer than the flow waits, there is a timeout.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The answer has this header besides those that its kind brings.
    ///
    /// # Panics
    /// When name or value cannot be a header's.
    #[track_caller]
    pub fn reply_header(mut self, name: &str, value: &str) -> Self {
        let (name, value) = parse_header(name, value);
        self.reply_headers.append(name, value);
        self
    }

    /// Answers with a body of no type, which may be empty.
    ///
    /// # Panics
    /// When the status is not between 100 and 999.
    #[track_caller]
    pub fn reply(self, status: u16, body: impl Into<Bytes>) -> Script {
        self.reply_typed(status, None, vec![body.into()], None)
    }

    /// Answers with JSON: a `serde_json::Value`, or text, which is not checked.
    ///
    /// # Panics
    /// When the status is not between 100 and 999.
    #[track_caller]
    pub fn reply_json(self, status: u16, json: impl Display) -> Script {
        self.reply_typed(status, Some("application/json"), vec![json.to_string().into()], None)
    }

    /// Answers 200 with a streaming body: a read gives at the most one chunk.
    pub fn reply_live<B: Into<Bytes>>(self, chunks: impl IntoIterator<Item = B>) -> Script {
        self.reply_typed(200, None, chunks.into_iter().map(Into::into).collect(), None)
    }

    /// Answers 200 with a streaming body that ends with an error.
    pub fn reply_live_cut<B: Into<Bytes>>(self, chunks: impl IntoIterator<Item = B>, error: TransportError) -> Script {
        self.reply_typed(200, None, chunks.into_iter().map(Into::into).collect(), Some(error))
    }

    /// Gives a transport error instead of an answer.
    pub fn fail(self, error: TransportError) -> Script {
        self.end(Err(error))
    }

    /// The connection is refused.
    pub fn not_sent(self) -> Script {
        let message = "the connection was refused";
        self.fail(TransportError::new(TransportErrorKind::Connect, Delivery::NotSent, message))
    }

    /// The connection ends after the request, so that its outcome is unknown.
    pub fn reply_lost(self) -> Script {
        let message = "the connection was reset before the answer";
        self.fail(TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, message))
    }

    #[track_caller]
    fn reply_typed(
        mut self,
        status: u16,
        kind: Option<&'static str>,
        chunks: Vec<Bytes>,
        end: Option<TransportError>,
    ) -> Script {
        let mut head = Response::new(());
        match StatusCode::from_u16(status) {
            Ok(status) => *head.status_mut() = status,
            Err(error) => panic!("{status}: {error}"),
        }
        if let Some(kind) = kind {
            head.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        head.headers_mut().extend(std::mem::take(&mut self.reply_headers));
        self.end(Ok(Scripted { head, chunks, end }))
    }

    fn end(self, answer: Result<Scripted, TransportError>) -> Script {
        let Self { script, method, target, headers, body, delay, .. } = self;
        script.push(Expected { method, target, headers, body, delay, answer });
        script
    }
}

#[track_caller]
fn parse_header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => (name, value),
        _ => panic!("{name:?}: {value:?} cannot be a header"),
    }
}

//! One expected exchange.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use serde_json::Value;

use super::Script;

/// An expected exchange without a response. Call a `reply…` method, [`fail`](Self::fail),
/// [`not_sent`](Self::not_sent) or [`reply_lost`](Self::reply_lost) to set the response: it returns the script.
///
/// The script compares the method and the target. It compares headers and the body only if you set them.
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

    /// Expects this header. If the request has the header several times, one of its values must be equal.
    ///
    /// # Panics
    /// If the name or the value is not valid in a header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(parse_header(name, value));
        self
    }

    /// Expects this body, byte by byte.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(ExpectedBody::Bytes(body.into()));
        self
    }

    /// Expects a body that is JSON and equals this value; white space and the order of keys do not matter. Takes a
    /// `serde_json::Value` or text.
    ///
    /// # Panics
    /// If the text is not JSON.
    #[track_caller]
    pub fn json(mut self, json: impl Display) -> Self {
        let text = json.to_string();
        match serde_json::from_str(&text) {
            Ok(value) => self.body = Some(ExpectedBody::Json(value)),
            Err(error) => panic!("the expected body is not JSON: {error}: {text}"),
        }
        self
    }

    /// Delays the response by this time on the script's clock; 0 by default. If the time is longer than the timeout of
    /// the exchange, the flow sees a timeout instead.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Adds a header to the response.
    ///
    /// # Panics
    /// If the name or the value is not valid in a header.
    #[track_caller]
    pub fn reply_header(mut self, name: &str, value: &str) -> Self {
        let (name, value) = parse_header(name, value);
        self.reply_headers.append(name, value);
        self
    }

    /// Answers with a body, which may be empty, and without `Content-Type`.
    ///
    /// # Panics
    /// If the status is not between 100 and 999.
    #[track_caller]
    pub fn reply(self, status: u16, body: impl Into<Bytes>) -> Script {
        self.reply_typed(status, None, vec![body.into()], None)
    }

    /// Answers with JSON: a `serde_json::Value`, or text, which the script does not check.
    ///
    /// # Panics
    /// If the status is not between 100 and 999.
    #[track_caller]
    pub fn reply_json(self, status: u16, json: impl Display) -> Script {
        self.reply_typed(status, Some("application/json"), vec![json.to_string().into()], None)
    }

    /// Answers 200 with a streaming body. Each read returns at most one chunk.
    pub fn reply_live<B: Into<Bytes>>(self, chunks: impl IntoIterator<Item = B>) -> Script {
        self.reply_typed(200, None, chunks.into_iter().map(Into::into).collect(), None)
    }

    /// Answers 200 with a streaming body that ends with an error.
    pub fn reply_live_cut<B: Into<Bytes>>(self, chunks: impl IntoIterator<Item = B>, error: TransportError) -> Script {
        self.reply_typed(200, None, chunks.into_iter().map(Into::into).collect(), Some(error))
    }

    /// Fails with a transport error instead of a response.
    pub fn fail(self, error: TransportError) -> Script {
        self.end(Err(error))
    }

    /// Refuses the connection: the request is not sent.
    pub fn not_sent(self) -> Script {
        let message = "the connection was refused";
        self.fail(TransportError::new(TransportErrorKind::Connect, Delivery::NotSent, message))
    }

    /// Ends the connection after the request and before the response: the outcome is unknown.
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
            Err(error) => panic!("the status {status} is invalid: {error}; use 100 to 999"),
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
        _ => panic!("the header {name:?}: {value:?} is invalid"),
    }
}

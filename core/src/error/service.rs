//! [`ServiceError`]: what can be known from an answer that is not the one hoped for.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};

use super::excerpt;
use super::flow::Account;
use crate::operation_info::OperationInfo;
use crate::time::Timestamp;

/// How much of a body that is not the service's is kept for the error message.
const EXCERPT: usize = 300;
/// How much of a service's own account (stack traces) is kept.
const DETAILS: usize = 64 * 1024;

/// What kind of answer it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The service rejected the request, with a message of its own.
    Rejected,
    /// A rejection that is not the service's own: from a proxy, a load balancer, another program on that port. Once the
    /// service has answered, a [`Call`](crate::flow::call) takes a 401, 403 or 404 of this kind for transient.
    Foreign,
    /// The status says success, but the body is not what the operation answers: empty, cut off, compressed, HTML,
    /// another type.
    Unreadable,
}

/// Whether the server has carried the request out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// The request was carried out.
    Yes,
    /// The request was not carried out, and will not be.
    No,
    /// The answer does not tell, such as a 502 of a proxy. A [`Call`](crate::flow::call) sends the request again if
    /// that is harmless; otherwise the error is [`FlowError::Ambiguous`](super::FlowError::Ambiguous). Look up the
    /// state of the resource before you send the request again.
    Unknown,
}

/// The `Retry-After` of an answer ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryAfter {
    /// So long after the answer.
    Delay(Duration),
    /// Not before this moment.
    At(Timestamp),
}

impl RetryAfter {
    /// The moment, for an answer that came at `now`.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Delay(delay) => now + delay,
            Self::At(at) => at,
        }
    }
}

/// The service's answer was not the one hoped for.
///
/// Keeps all that is needed to decide and to report: status, the service's code and message, its details, when to
/// come again, and of a body that is not the service's own the beginning.
#[derive(Clone, PartialEq)]
pub struct ServiceError(Box<Inner>);

#[derive(Clone, PartialEq)]
struct Inner {
    kind: ErrorKind,
    service: &'static str,
    operation: &'static str,
    status: StatusCode,
    code: Option<String>,
    message: String,
    details: Option<String>,
    retry_after: Option<RetryAfter>,
    applied: Applied,
    transient: bool,
    /// Why it was not sent again: when the service asks to come again, and how long a flow waits at most.
    not_before: Option<(Timestamp, Duration)>,
}

impl ServiceError {
    /// A rejection by the service itself. Counts as not applied and final until a service says otherwise.
    pub fn rejected(info: &OperationInfo, response: &Response<Bytes>, code: Option<String>, message: String) -> Self {
        Self::new(ErrorKind::Rejected, info, response, code, message)
    }

    /// A rejection that is not the service's own.
    ///
    /// 429 and 413 are rejected before anything is done. Anything else may come from a proxy that had passed
    /// the request on: 503 too, because proxies send it when a connection breaks behind them.
    pub fn foreign(info: &OperationInfo, response: &Response<Bytes>) -> Self {
        let status = response.status();
        let excerpt = excerpt(response.body(), EXCERPT);
        let message = match (response.body().is_empty(), content_type(response)) {
            (true, _) => "an empty body".to_owned(),
            _ if let Some(problem) = compressed(response) => problem,
            (false, Some(kind)) => format!("not an answer of {}: {kind}: {excerpt}", info.service),
            (false, None) => format!("not an answer of {}: {excerpt}", info.service),
        };
        let mut error = Self::new(ErrorKind::Foreign, info, response, None, message);
        error.0.transient = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
        error.0.applied = match status.as_u16() {
            408 | 500..=599 => Applied::Unknown,
            _ => Applied::No,
        };
        error
    }

    /// A success whose body cannot be read; `problem` says why. The status says that the request was applied, unless
    /// the body is a page or other text: a proxy may have sent it by itself. Of a compressed body, that is the problem,
    /// and it will not pass.
    pub fn unreadable(info: &OperationInfo, response: &Response<Bytes>, problem: &str) -> Self {
        let compressed = compressed(response);
        let body = if compressed.is_some() { String::new() } else { excerpt(response.body(), EXCERPT) };
        let problem = compressed.as_deref().unwrap_or(problem);
        let message = if body.is_empty() { problem.to_owned() } else { format!("{problem}: {body}") };
        let mut error = Self::new(ErrorKind::Unreadable, info, response, None, message);
        let is_page = is_text(response.headers()) || response.body().trim_ascii_start().starts_with(b"<");
        error.0.applied = if is_page { Applied::Unknown } else { Applied::Yes };
        error.0.transient = compressed.is_none();
        error
    }

    fn new(
        kind: ErrorKind,
        info: &OperationInfo,
        response: &Response<Bytes>,
        code: Option<String>,
        message: String,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            service: info.service,
            operation: info.name,
            status: response.status(),
            code,
            message,
            details: None,
            retry_after: retry_after(response),
            applied: Applied::No,
            transient: false,
            not_before: None,
        }))
    }

    /// Keeps the service's own account, up to 64 KiB.
    pub fn with_details(mut self, mut details: String) -> Self {
        let end = (0..=details.len().min(DETAILS)).rev().find(|&end| details.is_char_boundary(end)).unwrap_or(0);
        details.truncate(end);
        self.0.details = Some(details);
        self
    }

    /// Keeps all of it, for an account that is of no use when its end is missing. The transport's body limit is its
    /// bound.
    pub(crate) fn with_whole_details(mut self, details: String) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Says whether the request took effect all the same.
    pub fn with_applied(mut self, applied: Applied) -> Self {
        self.0.applied = applied;
        self
    }

    /// Says whether the same request may succeed later.
    pub fn with_transient(mut self, transient: bool) -> Self {
        self.0.transient = transient;
        self
    }

    /// Says that it was not sent again, because the service asks to come again at `at`, and a flow waits for no longer
    /// than `longest`.
    pub(crate) fn not_before(mut self, at: Timestamp, longest: Duration) -> Self {
        self.0.not_before = Some((at, longest));
        self
    }

    /// What kind of answer it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The service's name.
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// The vendor's name of the operation.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The service's error code, or what serves as one: of Flink the class of the exception.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The service's message, or what its body began with.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The service's whole account, such as a stack trace. `{:?}` tells its length, `{:#?}` shows it.
    pub fn details(&self) -> Option<&str> {
        self.0.details.as_deref()
    }

    /// When to come again, if the answer says so.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        self.0.retry_after
    }

    /// Whether the server has carried the request out.
    pub fn applied(&self) -> Applied {
        self.0.applied
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, service, operation, status, code, message, details, retry_after, applied, transient, .. } =
            &*self.0;
        f.debug_struct("ServiceError")
            .field("kind", kind)
            .field("service", service)
            .field("operation", operation)
            .field("status", status)
            .field("code", code)
            .field("message", message)
            .field("details", &Account(details.as_deref()))
            .field("retry_after", retry_after)
            .field("applied", applied)
            .field("transient", transient)
            .finish()
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { operation, status, code, message, kind, .. } = &*self.0;
        write!(f, "{operation}: status {}", status.as_u16())?;
        if let Some(code) = code {
            write!(f, " {code}")?;
        }
        match kind {
            ErrorKind::Rejected | ErrorKind::Foreign => write!(f, ": {message}"),
            ErrorKind::Unreadable => write!(f, ", but the body cannot be read: {message}"),
        }?;
        match &self.0.not_before {
            Some((at, longest)) => write!(
                f,
                "; not sent again: the service asks to come again at {at}, and Retry::longest_retry_after is {longest:?}"
            ),
            None => Ok(()),
        }
    }
}

impl Error for ServiceError {}

/// The media type of an answer, without parameters.
pub(crate) fn content_type(response: &Response<Bytes>) -> Option<&str> {
    media_type(response.headers())
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim()).filter(|kind| !kind.is_empty())
}

/// Whether the body is a web page or other text, by its media type.
pub(super) fn is_text(headers: &HeaderMap) -> bool {
    media_type(headers).and_then(|kind| kind.get(..5)).is_some_and(|kind| kind.eq_ignore_ascii_case("text/"))
}

/// Nothing asks for a compressed body, but some proxies compress all the same.
pub(crate) fn compressed(response: &Response<Bytes>) -> Option<String> {
    let value = response.headers().get(header::CONTENT_ENCODING)?;
    let encoding = excerpt(value.as_bytes().trim_ascii(), 40);
    let is_plain = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
    let what_to_do = "no request asks for that: switch compression off in the proxy";
    (!is_plain).then(|| format!("it is compressed, content-encoding {encoding}; {what_to_do}"))
}

/// A `Retry-After` that is neither seconds nor a date counts as none.
fn retry_after(response: &Response<Bytes>) -> Option<RetryAfter> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds mean "very late", not "now".
        return Some(RetryAfter::Delay(Duration::from_secs(value.parse().unwrap_or(u64::MAX))));
    }
    Timestamp::from_http_date(value).map(RetryAfter::At)
}

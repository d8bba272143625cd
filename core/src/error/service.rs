//! [`ServiceError`]: an error response, or a success that cannot be read.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};

use super::excerpt;
use super::flow::Account;
use crate::operation_info::OperationInfo;
use crate::time::Timestamp;

/// How many bytes of a foreign or unreadable body the error message quotes.
const EXCERPT: usize = 300;
/// How many bytes of a service's full report (stack traces) an error keeps.
const DETAILS: usize = 64 * 1024;

/// The kind of a [`ServiceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The service itself rejected the request, with its own message.
    Rejected,
    /// An error response that the service did not write: a proxy, a load balancer or another program on that port sent
    /// it. Once the service has answered, a [`Call`](crate::flow::call) treats a 401, 403 or 404 of this kind as
    /// transient.
    Foreign,
    /// The status says success, but the body cannot be read as the operation's answer: it is empty, cut off,
    /// compressed, HTML or of another type.
    Unreadable,
}

/// Whether the server has carried the request out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// The request was carried out.
    Yes,
    /// The request was not carried out, and will not be.
    No,
    /// The answer does not show it, such as a 502 of a proxy. A [`Call`](crate::flow::call) sends the request again if
    /// that is harmless; otherwise the error is [`FlowError::Ambiguous`](super::FlowError::Ambiguous). Look up the
    /// state of the resource before you send the request again.
    Unknown,
}

/// The `Retry-After` header of a response ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryAfter {
    /// This long after the response.
    Delay(Duration),
    /// At this time or later.
    At(Timestamp),
}

impl RetryAfter {
    /// Returns the time, for a response that arrived at `now`.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Delay(delay) => now + delay,
            Self::At(at) => at,
        }
    }
}

/// An error response of a service, or a success that cannot be read.
///
/// It has the status, the service's code, message and details, and the `Retry-After`. If the service did not write the
/// body, the message quotes its beginning.
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
    /// Set if the request was not repeated: the time that `Retry-After` names, and how long a flow waits at most.
    not_before: Option<(Timestamp, Duration)>,
}

impl ServiceError {
    /// Creates an error of kind [`Rejected`](ErrorKind::Rejected). It counts as not applied and not transient; change
    /// that with [`with_applied`](Self::with_applied) and [`with_transient`](Self::with_transient).
    pub fn rejected(info: &OperationInfo, response: &Response<Bytes>, code: Option<String>, message: String) -> Self {
        Self::new(ErrorKind::Rejected, info, response, code, message)
    }

    /// Creates an error of kind [`Foreign`](ErrorKind::Foreign).
    ///
    /// 408 and all 5xx count as [`Applied::Unknown`]: a proxy may have forwarded the request before, also for 503. All
    /// other statuses count as [`Applied::No`].
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

    /// Creates an error of kind [`Unreadable`](ErrorKind::Unreadable); `problem` says why the body cannot be read. It
    /// counts as applied, unless the body is a web page or other text, which a proxy may have sent by itself. It is
    /// transient, unless the body is compressed: then the message says so instead of `problem`.
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

    /// Adds the service's full report, of which the first 64 KiB are kept.
    pub fn with_details(mut self, mut details: String) -> Self {
        let end = (0..=details.len().min(DETAILS)).rev().find(|&end| details.is_char_boundary(end)).unwrap_or(0);
        details.truncate(end);
        self.0.details = Some(details);
        self
    }

    /// Adds a full report of any length, because it is useless without its end. The transport's body limit bounds it.
    pub(crate) fn with_whole_details(mut self, details: String) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Sets whether the request was carried out.
    pub fn with_applied(mut self, applied: Applied) -> Self {
        self.0.applied = applied;
        self
    }

    /// Sets whether the same request may succeed later.
    pub fn with_transient(mut self, transient: bool) -> Self {
        self.0.transient = transient;
        self
    }

    /// Records that the request was not repeated: `Retry-After` names the time `at`, and a flow waits at most
    /// `longest`.
    pub(crate) fn not_before(mut self, at: Timestamp, longest: Duration) -> Self {
        self.0.not_before = Some((at, longest));
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the service's name.
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Returns the vendor's name of the operation.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the service's error code; for Flink, the class of the exception. `None` if the answer has no code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the service's message, or the beginning of a foreign body.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the service's full report, such as a stack trace. `{:?}` of the error shows its length, `{:#?}` its
    /// text.
    pub fn details(&self) -> Option<&str> {
        self.0.details.as_deref()
    }

    /// Returns the `Retry-After` of the response; `None` if it has no valid one.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        self.0.retry_after
    }

    /// Returns whether the server has carried the request out.
    pub fn applied(&self) -> Applied {
        self.0.applied
    }

    /// Returns whether the same request may succeed later.
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
                "; not sent again: the service allows a retry at {at}, and Retry::longest_retry_after is {longest:?}"
            ),
            None => Ok(()),
        }
    }
}

impl Error for ServiceError {}

/// Returns the media type of a response, without parameters.
pub(crate) fn content_type(response: &Response<Bytes>) -> Option<&str> {
    media_type(response.headers())
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim()).filter(|kind| !kind.is_empty())
}

/// Returns whether the body is a web page or other text, by its media type.
pub(super) fn is_text(headers: &HeaderMap) -> bool {
    media_type(headers).and_then(|kind| kind.get(..5)).is_some_and(|kind| kind.eq_ignore_ascii_case("text/"))
}

/// Returns the problem if the body is compressed. No request asks for compression, but some proxies compress anyway.
pub(crate) fn compressed(response: &Response<Bytes>) -> Option<String> {
    let value = response.headers().get(header::CONTENT_ENCODING)?;
    let encoding = excerpt(value.as_bytes().trim_ascii(), 40);
    let is_plain = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
    let what_to_do = "disable compression in the proxy, because no request asks for it";
    (!is_plain).then(|| format!("it is compressed, content-encoding {encoding}; {what_to_do}"))
}

/// Reads `Retry-After`. A value that is neither seconds nor a date is ignored.
fn retry_after(response: &Response<Bytes>) -> Option<RetryAfter> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds mean "very late", not "now".
        return Some(RetryAfter::Delay(Duration::from_secs(value.parse().unwrap_or(u64::MAX))));
    }
    Timestamp::from_http_date(value).map(RetryAfter::At)
}

//! Error types: what went wrong, what is known about the request, and what to do next.
//!
//! | type | what happened | what it contains |
//! |---|---|---|
//! | [`BuildError`] | a request cannot be built from the caller's values; nothing was sent | the invalid value, and what is valid |
//! | [`TransportError`] | no complete response arrived | [`Delivery`]: the request was not sent, or the outcome is unknown |
//! | [`CredentialError`] | the credentials supplied no header | whether a later attempt may succeed |
//! | [`ServiceError`] | the server rejected the request, or its answer cannot be read | [`Applied`]: whether the request was carried out; whether a later attempt may succeed |
//! | [`FlowError`] | a flow ended before its goal | an error of the types above, or another variant of the table below |
//!
//! # What to do with a `FlowError`
//!
//! Operations called with [`Client::call`](crate::driver::Client::call) also end with a [`FlowError`].
//!
//! | variant | what is known | what to do |
//! |---|---|---|
//! | [`Build`](FlowError::Build) | this request was not sent | correct the value that the message names |
//! | [`Credential`](FlowError::Credential) | no request was sent without a credential | check the credentials |
//! | [`Transport`](FlowError::Transport) | the request was not sent, or it changes nothing on the server | check the address and the network, then run the goal again |
//! | [`Service`](FlowError::Service) | the server's status and message; [`ServiceError::applied`] tells whether the request was carried out | decide by the service's error code, [`ServiceError::code`] |
//! | [`Ambiguous`](FlowError::Ambiguous) | the request may or may not have been carried out | resume from the saved state, or look up the outcome; [`Ambiguity::found`] has what the flow found |
//! | [`Failed`](FlowError::Failed) | the request was carried out, and what it started failed | read the reason; run the goal again when the cause is removed |
//! | [`Deadline`](FlowError::Deadline) | the timeout expired, and the service continues what it has begun | resume from the saved state, or run the goal again with more time |
//! | [`Incomplete`](FlowError::Incomplete) | a part of the goal was reached, such as a savepoint | read [`FlowError::evidence`], then resume |
//! | [`Stopped`](FlowError::Stopped) | the listener returned an error, and the next request was not sent | remove the cause, then resume |
//! | [`Misuse`](FlowError::Misuse) | the program broke a rule of this library | correct the program |
//!
//! [`FlowError::is_ambiguous`] tells whether the outcome of any request is unknown. [`FlowError::evidence`] returns
//! what the flow knew, as a type of the service, such as [`JobDiagnosis`](crate::flink::JobDiagnosis).
//!
//! [`docs::unknown_outcomes`](crate::docs::unknown_outcomes) says what is repeated, and what to do about an unknown
//! outcome.
//!
//! All errors are `Clone`: a flow that failed returns the same error at each further poll.

mod flow;
mod service;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

pub(crate) use flow::Cause;
pub use flow::{Ambiguity, Evidence, Failure, FlowError, Incomplete, Misuse};
pub use service::{Applied, ErrorKind, RetryAfter, ServiceError};
pub(crate) use service::{compressed, content_type};

/// The error of a request that cannot be built from the caller's values. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The base address of a service is invalid.
    Base {
        /// The address, shortened and without credentials.
        address: String,
        /// The problem, and what is valid.
        problem: &'static str,
    },
    /// A parameter of an operation has an invalid value.
    Value {
        /// The vendor's name of the operation, or of the type that was parsed.
        operation: &'static str,
        /// The name of the parameter.
        parameter: &'static str,
        /// The value, shortened.
        value: String,
        /// The problem, and what is valid.
        problem: &'static str,
    },
    /// The request line would be longer than the service reads.
    TooLong {
        /// The vendor's name of the operation.
        operation: &'static str,
        /// The length of the request line in bytes.
        length: usize,
        /// The longest request line that the service reads, in bytes.
        limit: usize,
    },
    /// A credential would be sent unencrypted to another machine.
    Plaintext {
        /// The host and port of the service.
        authority: String,
    },
}

impl BuildError {
    /// Creates a [`BuildError::Value`], with the value shortened.
    pub fn value(operation: &'static str, parameter: &'static str, value: &str, problem: &'static str) -> Self {
        Self::Value { operation, parameter, value: excerpt(value.as_bytes(), 80), problem }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base { address, problem } => write!(f, "base address \"{address}\": {problem}"),
            Self::Value { operation, parameter, value, problem } => {
                write!(f, "{operation}: {parameter} \"{value}\": {problem}")
            }
            Self::TooLong { operation, length, limit } => write!(
                f,
                "{operation}: the request line has {length} bytes, and the service reads at most {limit}; request less at a time, or shorten the names"
            ),
            Self::Plaintext { authority } => write!(
                f,
                "a credential would be sent to {authority} over plain http; use https, or allow it with Config::allow_plaintext_credentials"
            ),
        }
    }
}

impl Error for BuildError {}

/// Whether the service may have received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The service has not received the request. Sending it again cannot carry it out twice.
    NotSent,
    /// The request may have arrived, and may have been carried out.
    Unknown,
}

/// The kind of a [`TransportError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host name has no address.
    Resolve,
    /// No connection: refused, unreachable, too slow, or closed before the request was sent, also during the TLS
    /// handshake.
    Connect,
    /// The TLS handshake failed: the certificate, an alert, or an answer that is not TLS. A flow does not repeat the
    /// request if nothing has answered at the address yet.
    Tls,
    /// No complete response arrived in time.
    Timeout,
    /// The connection ended before the response was complete.
    Closed,
    /// The received bytes are not HTTP, or violate its rules.
    Protocol,
    /// The response is too large: its body is larger than
    /// [`Exchange::body_limit`](crate::flow::Exchange::body_limit), or its head is larger than the transport reads.
    TooLarge,
    /// A [`Source`](crate::Source) of the request body could not be read.
    Source,
    /// The transport does not support what the exchange requires.
    Unsupported,
    /// Anything else.
    Other,
}

/// The error of a transport: no response arrived, or only a part of it.
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    delivery: Delivery,
    status: Option<StatusCode>,
    /// Whether the lost body was a web page or other text, by its content type.
    is_text: bool,
    message: Box<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// Creates an error. `message` says what happened, with names and values. It must not contain a secret, such as the
    /// query of the URL.
    pub fn new(kind: TransportErrorKind, delivery: Delivery, message: impl Into<Box<str>>) -> Self {
        Self { kind, delivery, status: None, is_text: false, message: message.into(), source: None }
    }

    /// Creates an error for a connection that was not made, so that the request was not sent.
    ///
    /// The message can be an error of your HTTP client. It must not contain a secret: an error that shows the URL shows
    /// the values of the query. With reqwest, pass `error.without_url()`.
    pub fn connect(message: impl fmt::Display) -> Self {
        Self::new(TransportErrorKind::Connect, Delivery::NotSent, message.to_string())
    }

    /// Creates an error for a response that was not complete in time. The request may have been carried out. For the
    /// message, see [`connect`](Self::connect).
    pub fn timeout(message: impl fmt::Display) -> Self {
        Self::new(TransportErrorKind::Timeout, Delivery::Unknown, message.to_string())
    }

    /// Creates an error for a connection that ended before the response was complete. The request may have been carried
    /// out. For the message, see [`connect`](Self::connect).
    pub fn closed(message: impl fmt::Display) -> Self {
        Self::new(TransportErrorKind::Closed, Delivery::Unknown, message.to_string())
    }

    /// Creates an error for a body that is longer than the limit of the exchange, in bytes.
    pub fn too_large(limit: u64) -> Self {
        let message = format!("the body of the response is longer than {limit} bytes");
        Self::new(TransportErrorKind::TooLarge, Delivery::Unknown, message)
    }

    /// Adds the head of a response whose body was lost: the status, and whether the body was text. A success with a web
    /// page does not prove that the request was carried out: a proxy may have sent it.
    pub fn with_head(mut self, status: StatusCode, headers: &HeaderMap) -> Self {
        self.is_text = service::is_text(headers);
        self.with_status(status)
    }

    /// Adds the status of a response whose body was lost. Use [`with_head`](Self::with_head) if the headers are known.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Returns the message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Adds to the message what to do.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.message = format!("{}; {advice}", self.message).into();
        self
    }

    /// Sets the underlying error.
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Returns whether the service may have received the request.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Returns whether the lost body was a web page or other text.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }

    /// Returns the status, if the head of a response arrived before the failure.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(status) = self.status {
            write!(f, " (after status {})", status.as_u16())?;
        }
        f.write_str(match self.delivery {
            Delivery::NotSent => "; the request was not sent",
            Delivery::Unknown => "; the request may have been carried out",
        })
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// The error of credentials that cannot supply a header. The message must not contain a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialError {
    message: Box<str>,
    transient: bool,
}

impl CredentialError {
    /// Creates an error that a later attempt does not remove. The flow ends.
    pub fn permanent(message: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), transient: false }
    }

    /// Creates an error that a later attempt may remove. The flow asks again, with its usual backoff.
    pub fn transient(message: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), transient: true }
    }

    /// Returns whether a later attempt may succeed.
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no credential: {}", self.message)
    }
}

impl Error for CredentialError {}

/// Returns at most `limit` bytes of a body, in one line and printable.
pub(crate) fn excerpt(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes.get(..limit + 4).unwrap_or(bytes)).chars() {
        if text.len() >= limit {
            text.push('…');
            break;
        }
        match character {
            '\n' | '\r' | '\t' => text.push(' '),
            control if control.is_control() => text.extend(control.escape_default()),
            plain => text.push(plain),
        }
    }
    text
}

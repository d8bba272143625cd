//! The five error types, and how they nest.
//!
//! | type | what happened | it tells |
//! |---|---|---|
//! | [`BuildError`] | a request cannot be built from the caller's values; nothing was sent | which value is wrong, and what would be right |
//! | [`TransportError`] | no response came, or not a whole response | [`Delivery`]: not sent, or unknown |
//! | [`CredentialError`] | the credentials supplied no header | whether to ask again |
//! | [`ServiceError`] | the server rejected the request, or its answer cannot be read | [`Applied`]: whether the request was carried out; whether to try again |
//! | [`FlowError`] | a flow ended before its goal | one of the above, or what the table below lists |
//!
//! # What to do with a `FlowError`
//!
//! Operations called with [`Client::call`](crate::driver::Client::call) also end with a [`FlowError`].
//!
//! | variant | what is known | what to do |
//! |---|---|---|
//! | [`Build`](FlowError::Build) | this request was not sent | correct the value that the message names |
//! | [`Credential`](FlowError::Credential) | no request was sent without a credential | check the credentials |
//! | [`Transport`](FlowError::Transport) | the request was not sent, or carrying it out changes nothing | check the address and the network, then run the goal again |
//! | [`Service`](FlowError::Service) | the server's status and message; [`ServiceError::applied`] tells whether the request was carried out | decide by the service's own code |
//! | [`Ambiguous`](FlowError::Ambiguous) | the request may or may not have been carried out | resume from the saved state, or look up the outcome; [`Ambiguity::found`] has what the flow found |
//! | [`Failed`](FlowError::Failed) | the request was carried out, and what it started failed | read the reason; run the goal again when the cause is removed |
//! | [`Deadline`](FlowError::Deadline) | the time is up, and the service continues what it has begun | resume from the saved state, or run the goal again with more time |
//! | [`Incomplete`](FlowError::Incomplete) | a part of the goal is reached, such as a savepoint | read [`FlowError::evidence`], then resume |
//! | [`Stopped`](FlowError::Stopped) | the listener returned an error, and the next request was not sent | remove the cause, then resume |
//! | [`Misuse`](FlowError::Misuse) | the program broke a rule of this library | correct the program |
//!
//! [`FlowError::is_ambiguous`] tells whether the outcome of any request is unknown. [`FlowError::evidence`] returns
//! what the flow knew, as a type of the service, such as [`JobDiagnosis`](crate::flink::JobDiagnosis).
//!
//! [`docs::unknown_outcomes`](crate::docs::unknown_outcomes) says what is repeated, and what to do about an unknown
//! outcome.
//!
//! All errors are `Clone`, because a flow that failed returns the same error again.

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

/// A request that cannot be built from what the caller gave. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The base address of a service is unusable.
    Base {
        /// The address, shortened; credentials in it are cut out.
        address: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// A value cannot stand where the operation needs it.
    Value {
        /// The vendor's name of the operation, or of the type that was parsed.
        operation: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// The value, shortened.
        value: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// The request line would be longer than the service reads.
    TooLong {
        /// The vendor's name of the operation.
        operation: &'static str,
        /// The length of the request line in bytes.
        length: usize,
        /// What the service takes.
        limit: usize,
    },
    /// A credential would travel in the clear.
    Plaintext {
        /// Host and port that it would be sent to.
        authority: String,
    },
}

impl BuildError {
    /// A [`BuildError::Value`], with the value shortened.
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
                "{operation}: a request line of {length} bytes, and the service reads {limit}: ask for less at a time, or shorten the names"
            ),
            Self::Plaintext { authority } => write!(
                f,
                "a credential would go to {authority} over plain http: use https, or allow it with Config::allow_plaintext_credentials"
            ),
        }
    }
}

impl Error for BuildError {}

/// Whether the service may have seen a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Not one byte that matters left: sending it again cannot do anything twice.
    NotSent,
    /// It may have arrived and may have been carried out.
    Unknown,
}

/// What went wrong between the request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host name has no address.
    Resolve,
    /// No connection: refused, unreachable, not in time, or cut off before the request left, also during the TLS
    /// handshake.
    Connect,
    /// The TLS handshake failed: the certificate, an alert, or an answer that is not TLS. A flow does not repeat the
    /// request if nothing has answered at the address yet.
    Tls,
    /// Connected, but no complete answer in time.
    Timeout,
    /// The connection ended before the answer was complete.
    Closed,
    /// What came is not HTTP, or breaks its rules.
    Protocol,
    /// The answer is larger than the limit of the exchange.
    TooLarge,
    /// A [`Source`](crate::Source) of the request body could not be read.
    Source,
    /// The transport cannot do what the exchange asks for.
    Unsupported,
    /// Anything else.
    Other,
}

/// No answer, or only a part of it.
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
    /// An error of a kind; `message` says what happened, with names and values.
    pub fn new(kind: TransportErrorKind, delivery: Delivery, message: impl Into<Box<str>>) -> Self {
        Self { kind, delivery, status: None, is_text: false, message: message.into(), source: None }
    }

    /// Keeps the head of an answer whose body was lost: the status, and whether the body was text. A success with a web
    /// page does not prove that the request was carried out: a proxy may have sent it.
    pub fn with_head(mut self, status: StatusCode, headers: &HeaderMap) -> Self {
        self.is_text = service::is_text(headers);
        self.with_status(status)
    }

    /// Keeps the status of an answer whose body was lost. Use [`with_head`](Self::with_head) if the headers are known.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Adds what to do about it.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.message = format!("{}; {advice}", self.message).into();
        self
    }

    /// Keeps the error underneath.
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether the service may have seen the request.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Whether the lost body was a web page or other text.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }

    /// The status, when the head of an answer came before the failure.
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

/// No credential to be had. The message must not hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialError {
    message: Box<str>,
    transient: bool,
}

impl CredentialError {
    /// Asking again is pointless.
    pub fn permanent(message: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), transient: false }
    }

    /// Asking again later may help; the flow does, with its usual backoff.
    pub fn transient(message: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), transient: true }
    }

    /// Whether asking again later may help.
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

/// At most `limit` bytes of a text that may be anything, in one line and printable.
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

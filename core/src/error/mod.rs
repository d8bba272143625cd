//! The five error types, and how they nest.
//!
//! | type | whose fault | says |
//! |---|---|---|
//! | [`BuildError`] | the caller's | nothing was sent; what is wrong with which value, and the way out |
//! | [`TransportError`] | the transport's or the network's | [`Delivery`]: not sent, or unknown |
//! | [`CredentialError`] | whoever supplies credentials | whether to ask again |
//! | [`ServiceError`] | the server's answer | [`Applied`]: yes, no, unknown; whether to try again |
//! | [`FlowError`] | | one of the above, or [`Ambiguity`], [`Failure`], a deadline, a misuse |
//!
//! All are `Clone`, because failure is sticky: a flow that failed gives the same error again.

mod service;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;

pub(crate) use service::content_type;
pub use service::{Applied, ErrorKind, RetryAfter, ServiceError};

use crate::time::Timestamp;

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
    /// No connection: refused, unreachable, or not in time.
    Connect,
    /// The TLS handshake failed.
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

/// No answer, or not a whole one.
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    delivery: Delivery,
    status: Option<StatusCode>,
    message: Box<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// An error of a kind; `message` says what happened, with names and values.
    pub fn new(kind: TransportErrorKind, delivery: Delivery, message: impl Into<Box<str>>) -> Self {
        Self { kind, delivery, status: None, message: message.into(), source: None }
    }

    /// Keeps the status of an answer whose body was lost.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
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

/// Why a flow ended without its goal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FlowError {
    /// A request could not be built; nothing was sent for it.
    Build(BuildError),
    /// No credential.
    Credential(CredentialError),
    /// No answer; the request was not sent, or carrying it out changes nothing.
    Transport(TransportError),
    /// The service refused, or its answer cannot be read.
    Service(ServiceError),
    /// **It is not known whether the request was carried out**, and the flow could not find out.
    Ambiguous(Ambiguity),
    /// The service carried the request out, and what it started failed.
    Failed(Failure),
    /// The time is up. No request is without an answer; what the service has begun goes on there, and a flow that was
    /// saved can be resumed.
    Deadline {
        /// The deadline.
        at: Timestamp,
        /// What the flow was waiting for.
        waiting: &'static str,
        /// What the last attempt ran into.
        last: Option<Box<FlowError>>,
    },
    /// The listener to the flow's notices returned an error, such as that a state could not be saved. What the flow was
    /// about to do was not done.
    Stopped(String),
    /// The caller broke a rule of this library.
    Misuse(Misuse),
}

/// A request that may or may not have been carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ambiguity {
    /// The vendor's name of the operation.
    pub operation: &'static str,
    /// What hides the outcome.
    pub cause: Box<FlowError>,
    /// Whether an attempt before the last one, or the last one, is without an answer of the service's own: it may even
    /// be carried out later. If not, the service has answered, and its answer does not tell.
    pub unanswered: bool,
    /// What the flow found when it went to look, in words; `None` when there was no way to look.
    pub found: Option<String>,
}

/// Something that the service started for us and that then failed.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What failed, as in "savepoint of job 3f…".
    pub what: String,
    /// The service's reason in one line.
    pub reason: String,
    /// The service's whole account, such as a stack trace; bounded. `{:?}` tells its length, `{:#?}` shows it.
    pub details: Option<String>,
    pub(crate) cause: Option<Cause>,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("what", &self.what)
            .field("reason", &self.reason)
            .field("details", &Account(self.details.as_deref()))
            .field("cause", &self.cause)
            .finish()
    }
}

/// A service's whole account: pages of it, which would bury what a program that ends with an error prints.
struct Account<'a>(Option<&'a str>);

impl fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) if !f.alternate() => write!(f, "Some({} bytes)", text.len()),
            text => text.fmt(f),
        }
    }
}

/// A service's own type for why something failed. Compares by its text.
#[derive(Clone, Debug)]
pub(crate) struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    pub(crate) fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(cause))
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for Cause {}

impl Failure {
    /// The reason as a type of the service's, where it has one: of Feldera an
    /// [`Interruption`](crate::feldera::flow::Interruption).
    pub fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|Cause(cause)| &**cause as &(dyn Error + 'static))
    }
}

/// What a caller did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A flow was polled again after it had handed out its result.
    PolledAfterDone,
    /// An exchange was settled with a credential, or a credential request with a response.
    WrongReply,
    /// An operation with a live body was called like one without, or the other way round.
    LiveBody,
    /// A saved state is not this flow's.
    WrongState,
}

impl FlowError {
    /// Whether it is unknown if a request of this flow was carried out. Not so for [`Deadline`](Self::Deadline): what the
    /// service has acknowledged by then goes on there.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous(_))
    }

    /// The service's refusal, also when something else is wrapped around it.
    pub fn service(&self) -> Option<&ServiceError> {
        match self {
            Self::Service(error) => Some(error),
            Self::Ambiguous(ambiguity) => ambiguity.cause.service(),
            Self::Failed(failure) => failure.cause()?.downcast_ref(),
            Self::Deadline { last: Some(last), .. } => last.service(),
            _ => None,
        }
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::Credential(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Service(error) => error.fmt(f),
            Self::Ambiguous(Ambiguity { operation, cause, found, .. }) => {
                write!(f, "{operation}: it is not known whether this was carried out: {cause}")?;
                match found {
                    Some(found) => write!(f, "; found afterwards: {found}"),
                    None => Ok(()),
                }
            }
            Self::Failed(Failure { what, reason, .. }) => write!(f, "{what} failed: {reason}"),
            Self::Deadline { at, waiting, last } => {
                write!(f, "the deadline {at} passed while waiting for {waiting}")?;
                match last {
                    Some(last) => write!(f, "; last: {last}"),
                    None => Ok(()),
                }
            }
            Self::Stopped(reason) => write!(f, "stopped by the listener to its notices: {reason}"),
            Self::Misuse(misuse) => f.write_str(match misuse {
                Misuse::PolledAfterDone => "a flow was polled after it had given its result: drop it after Step::Done",
                Misuse::WrongReply => {
                    "an exchange was settled with the answer to something else: settle each step with what it asked for"
                }
                Misuse::LiveBody => "operations with a live body are opened, all others are called",
                Misuse::WrongState => "the saved state belongs to another flow, or to another version of this library",
            }),
        }
    }
}

impl Error for FlowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Build(error) => Some(error),
            Self::Credential(error) => Some(error),
            Self::Transport(error) => Some(error),
            Self::Service(error) => Some(error),
            Self::Ambiguous(ambiguity) => Some(&*ambiguity.cause),
            Self::Failed(failure) => failure.cause(),
            Self::Deadline { last: Some(last), .. } => Some(&**last),
            _ => None,
        }
    }
}

impl From<BuildError> for FlowError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<CredentialError> for FlowError {
    fn from(error: CredentialError) -> Self {
        Self::Credential(error)
    }
}

impl From<TransportError> for FlowError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<ServiceError> for FlowError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

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

//! [`FlowError`]: why a flow ended without its goal, and what it knew by then.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::{Applied, BuildError, CredentialError, ServiceError, TransportError};
use crate::time::Timestamp;

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
    /// The service rejected the request, or its answer cannot be read.
    Service(ServiceError),
    /// **It is not known whether the request was carried out**, and the flow could not find out.
    Ambiguous(Ambiguity),
    /// The service carried the request out, and what it started failed.
    Failed(Failure),
    /// The deadline passed while no request was unanswered. The service continues what it has started. Resume the flow
    /// if its state was saved.
    Deadline {
        /// The deadline.
        at: Timestamp,
        /// What the flow was waiting for.
        waiting: &'static str,
        /// What the flow observed last, such as the connectors that are not finished; `None` if nothing.
        observed: Option<String>,
        /// What the last attempt ran into.
        last: Option<Box<FlowError>>,
        /// What the flow had reached by then: read it with [`evidence`](FlowError::evidence).
        evidence: Option<Evidence>,
    },
    /// A request failed after the flow had reached a part of its goal, such as a savepoint.
    Incomplete(Incomplete),
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
    /// Whether at least one attempt got no answer from the service itself. Such an attempt may still be carried out
    /// later. If false, the service has answered, and its answer does not tell.
    pub unanswered: bool,
    /// What a lookup after the unknown outcome showed, as text. `None` if no lookup was possible.
    pub found: Option<String>,
    /// The same as values of the service's own type: read it with [`FlowError::evidence`].
    pub evidence: Option<Evidence>,
}

/// A flow that ended before its goal, although its first steps succeeded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incomplete {
    /// The error that ended the flow.
    pub cause: Box<FlowError>,
    /// What the flow had reached by then: read it with [`FlowError::evidence`].
    pub evidence: Evidence,
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
    pub(crate) cause: Option<Evidence>,
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
pub(super) struct Account<'a>(pub(super) Option<&'a str>);

impl fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) if !f.alternate() => write!(f, "Some({} bytes)", text.len()),
            text => text.fmt(f),
        }
    }
}

/// What a flow knew when it ended, as a type of the service: Feldera's
/// [`Interruption`](crate::feldera::Interruption), Flink's [`JobDiagnosis`](crate::flink::JobDiagnosis).
///
/// [`FlowError::evidence`] finds it in any error. Two of them are equal if their texts are.
#[derive(Clone)]
pub struct Evidence(Arc<dyn Error + Send + Sync>);

/// The evidence of a [`Failure`] is its cause.
pub(crate) type Cause = Evidence;

impl Evidence {
    /// Wraps a value of the service's own type.
    pub(crate) fn new(evidence: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(evidence))
    }

    /// The value; downcast it to the service's type.
    pub fn get(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Evidence {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for Evidence {}

impl Failure {
    /// The reason as a type of the service's, where it has one: of Feldera an
    /// [`Interruption`](crate::feldera::Interruption).
    pub fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(Evidence::get)
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
    /// An operation with a streaming response was called, or another operation was opened.
    WrongMethod,
    /// A saved state is not this flow's.
    WrongState,
    /// A row source gave another row number than the flow's, or said that the flow is full while no rows wait.
    WrongRow,
}

impl FlowError {
    /// A failure whose reason is all that is known.
    pub(crate) fn failed(what: String, reason: String) -> Self {
        Self::Failed(Failure { what, reason, details: None, cause: None })
    }

    /// Whether it is unknown if a request of this flow was carried out. Not so for [`Deadline`](Self::Deadline): the
    /// service continues what it has acknowledged by then.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous(_))
    }

    /// Whether the service says that it has carried the request out, although its answer is an error.
    pub(crate) fn says_applied(&self) -> bool {
        matches!(self, Self::Service(error) if error.applied() == Applied::Yes)
    }

    /// The service's rejection, also when something else is wrapped around it.
    pub fn service(&self) -> Option<&ServiceError> {
        match self {
            Self::Service(error) => Some(error),
            Self::Ambiguous(ambiguity) => ambiguity.cause.service(),
            Self::Failed(failure) => failure.cause()?.downcast_ref(),
            Self::Deadline { last: Some(last), .. } => last.service(),
            Self::Incomplete(incomplete) => incomplete.cause.service(),
            _ => None,
        }
    }

    /// What the flow knew when it ended, as a type of the service.
    ///
    /// ```
    /// use pipewright::error::FlowError;
    /// use pipewright::flink::JobDiagnosis;
    ///
    /// /// The savepoint that a stop has written, although it failed.
    /// fn savepoint(error: &FlowError) -> Option<&str> {
    ///     error.evidence::<JobDiagnosis>()?.savepoint.as_deref()
    /// }
    /// ```
    pub fn evidence<T: Error + 'static>(&self) -> Option<&T> {
        let (known, nested) = match self {
            Self::Failed(failure) => (failure.cause(), None),
            Self::Incomplete(Incomplete { evidence, cause }) => (Some(evidence.get()), Some(cause)),
            Self::Ambiguous(Ambiguity { evidence, cause, .. }) => (evidence.as_ref().map(Evidence::get), Some(cause)),
            Self::Deadline { evidence, last, .. } => (evidence.as_ref().map(Evidence::get), last.as_ref()),
            _ => (None, None),
        };
        find(known).or_else(|| nested?.evidence())
    }

    /// Adds what the flow knew. Evidence that the error has already is replaced: include it.
    pub(crate) fn with_evidence(self, known: impl Error + Send + Sync + 'static) -> Self {
        let known = Evidence::new(known);
        match self {
            Self::Failed(failure) => Self::Failed(Failure { cause: Some(known), ..failure }),
            Self::Ambiguous(ambiguity) => Self::Ambiguous(Ambiguity { evidence: Some(known), ..ambiguity }),
            Self::Deadline { at, waiting, observed, last, .. } => {
                Self::Deadline { at, waiting, observed, last, evidence: Some(known) }
            }
            Self::Incomplete(incomplete) => Self::Incomplete(Incomplete { evidence: known, ..incomplete }),
            // The caller's own affair.
            error @ (Self::Stopped(_) | Self::Misuse(_)) => error,
            error => Self::Incomplete(Incomplete { cause: Box::new(error), evidence: known }),
        }
    }
}

/// The first of this type among an error and its sources.
fn find<'a, T: Error + 'static>(mut error: Option<&'a (dyn Error + 'static)>) -> Option<&'a T> {
    while let Some(this) = error {
        if let Some(found) = this.downcast_ref() {
            return Some(found);
        }
        error = this.source();
    }
    None
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
            Self::Deadline { at, waiting, observed, last, evidence } => {
                write!(f, "the deadline {at} passed while waiting for {waiting}")?;
                if let Some(observed) = observed {
                    write!(f, "; last observed: {observed}")?;
                }
                if let Some(last) = last {
                    write!(f, "; last: {last}")?;
                }
                match evidence {
                    Some(evidence) => write!(f, "; known: {}", evidence.get()),
                    None => Ok(()),
                }
            }
            Self::Incomplete(Incomplete { cause, evidence }) => write!(f, "{cause}; known: {}", evidence.get()),
            Self::Stopped(reason) => write!(f, "stopped by the listener to its notices: {reason}"),
            Self::Misuse(misuse) => f.write_str(match misuse {
                Misuse::PolledAfterDone => "a flow was polled after it had given its result: drop it after Step::Done",
                Misuse::WrongReply => {
                    "an exchange was settled with the answer to something else: settle each step with what it asked for"
                }
                Misuse::WrongMethod => {
                    "wrong method for this operation: use `open` for streaming responses and `call` for all others"
                }
                Misuse::WrongState => "the saved state belongs to another flow, or to another version of this library",
                Misuse::WrongRow => {
                    "a row source gave a wrong number, or Full while no rows wait: return what the flow's push returns"
                }
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
            Self::Incomplete(incomplete) => Some(&*incomplete.cause),
            _ => None,
        }
    }
}

/// For saved states that every goal of a kind can be made of.
impl From<Infallible> for FlowError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

macro_rules! from {
    ($( $error:ident => $variant:ident ),*) => {$(
        impl From<$error> for FlowError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from!(BuildError => Build, CredentialError => Credential, TransportError => Transport, ServiceError => Service);

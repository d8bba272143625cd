//! [`FlowError`]: why a flow ended before its goal, and what it knew.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::{Applied, BuildError, CredentialError, ServiceError, TransportError};
use crate::time::Timestamp;

/// The reason why a flow ended before its goal. The [module](crate::error) says what to do about each variant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FlowError {
    /// A request could not be built. It was not sent.
    Build(BuildError),
    /// The credentials supplied no header.
    Credential(CredentialError),
    /// No complete response arrived. The request was not sent, or it changes nothing on the server.
    Transport(TransportError),
    /// The service rejected the request, or its answer cannot be read.
    Service(ServiceError),
    /// **The outcome is unknown**: the request may or may not have been carried out, and the flow could not find out.
    Ambiguous(Ambiguity),
    /// The service accepted the request, and what the request started failed.
    Failed(Failure),
    /// The deadline passed, and no request has an unknown outcome. The service continues what it has started. Resume
    /// the flow if its state was saved.
    Deadline {
        /// The deadline.
        at: Timestamp,
        /// What the flow was waiting for.
        waiting: &'static str,
        /// What the flow observed last, such as the connectors that are not finished. `None` if it observed nothing.
        observed: Option<String>,
        /// The error of the last attempt; `None` if no attempt failed.
        last: Option<Box<FlowError>>,
        /// What the flow had reached by then: read it with [`evidence`](FlowError::evidence).
        evidence: Option<Evidence>,
    },
    /// A request failed after the flow had reached a part of its goal, such as a savepoint.
    Incomplete(Incomplete),
    /// The listener returned an error, for example because it could not save a state. The flow did not send its next
    /// request.
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
    /// The error that leaves the outcome unknown.
    pub cause: Box<FlowError>,
    /// Whether at least one attempt got no answer from the service itself. Such an attempt may still be carried out
    /// later. If false, the service has answered, but its answer does not show the outcome.
    pub unanswered: bool,
    /// What a lookup after the unknown outcome showed, as text. `None` if no lookup was possible.
    pub found: Option<String>,
    /// The same as a type of the service: read it with [`FlowError::evidence`]. `None` if the flow knows nothing more.
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

/// The failure of something that the service started for the flow, such as a savepoint.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What failed, as in "savepoint of job 3f…".
    pub what: String,
    /// The service's reason in one line.
    pub reason: String,
    /// The service's full report, such as a stack trace. `{:?}` shows its length, `{:#?}` its text. `None` if the
    /// service sent no report.
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

/// Shows the length of a service's full report, which may have many pages. `{:#?}` shows the text.
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
/// [`FlowError::evidence`] finds it in any error. Two values are equal if they display the same text.
#[derive(Clone)]
pub struct Evidence(Arc<dyn Error + Send + Sync>);

/// The evidence of a [`Failure`] is its cause.
pub(crate) type Cause = Evidence;

impl Evidence {
    /// Wraps a value of a service's type.
    pub(crate) fn new(evidence: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(evidence))
    }

    /// Returns the value. Downcast it to the service's type.
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
    /// Returns the reason as a type of the service, such as Feldera's [`Interruption`](crate::feldera::Interruption).
    /// `None` if the service has no such type for it.
    pub fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(Evidence::get)
    }
}

/// A rule of this library that the caller broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A flow was polled after it had returned its result.
    PolledAfterDone,
    /// The driver's closure returned the reply of another exchange or credential request.
    WrongReply,
    /// An operation with a streaming response was called, or another operation was opened.
    WrongMethod,
    /// A saved state belongs to another flow, or to another version of this library.
    WrongState,
    /// A row source returned a row number other than the flow's, or `Full` although no rows wait.
    WrongRow,
}

impl FlowError {
    /// Creates a failure with a reason and no further information.
    pub(crate) fn failed(what: String, reason: String) -> Self {
        Self::Failed(Failure { what, reason, details: None, cause: None })
    }

    /// Returns whether a request of this flow may or may not have been carried out. False for
    /// [`Deadline`](Self::Deadline): there no request has an unknown outcome. The service continues what it has
    /// acknowledged.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous(_))
    }

    /// Returns whether the service carried the request out, although its answer is an error.
    pub(crate) fn says_applied(&self) -> bool {
        matches!(self, Self::Service(error) if error.applied() == Applied::Yes)
    }

    /// Returns the service's rejection, even if another error wraps it.
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

    /// Returns what the flow knew when it ended, as a type of the service; `None` if the error has no such evidence.
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

    /// Adds what the flow knew. This replaces earlier evidence: include it.
    pub(crate) fn with_evidence(self, known: impl Error + Send + Sync + 'static) -> Self {
        let known = Evidence::new(known);
        match self {
            Self::Failed(failure) => Self::Failed(Failure { cause: Some(known), ..failure }),
            Self::Ambiguous(ambiguity) => Self::Ambiguous(Ambiguity { evidence: Some(known), ..ambiguity }),
            Self::Deadline { at, waiting, observed, last, .. } => {
                Self::Deadline { at, waiting, observed, last, evidence: Some(known) }
            }
            Self::Incomplete(incomplete) => Self::Incomplete(Incomplete { evidence: known, ..incomplete }),
            // These errors come from the caller, not from the service.
            error @ (Self::Stopped(_) | Self::Misuse(_)) => error,
            error => Self::Incomplete(Incomplete { cause: Box::new(error), evidence: known }),
        }
    }
}

/// Returns the first error of this type among an error and its sources.
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
                write!(f, "{operation}: the outcome is unknown: {cause}")?;
                if let Some(found) = found {
                    write!(f, "; found afterwards: {found}")?;
                }
                f.write_str("; repeat it only if it was not carried out, or if a second execution is harmless")
            }
            Self::Failed(Failure { what, reason, .. }) => write!(f, "{what} failed: {reason}"),
            Self::Deadline { at, waiting, observed, last, evidence } => {
                write!(f, "the deadline {at} passed while waiting for {waiting}")?;
                if let Some(observed) = observed {
                    write!(f, "; last observed: {observed}")?;
                }
                if let Some(last) = last {
                    write!(f, "; last error: {last}")?;
                }
                match evidence {
                    Some(evidence) => write!(f, "; known: {}", evidence.get()),
                    None => Ok(()),
                }
            }
            Self::Incomplete(Incomplete { cause, evidence }) => write!(f, "{cause}; known: {}", evidence.get()),
            Self::Stopped(reason) => write!(f, "stopped by the listener to its notices: {reason}"),
            Self::Misuse(misuse) => f.write_str(match misuse {
                Misuse::PolledAfterDone => "a flow was polled after it had returned its result; drop it after Step::Done",
                Misuse::WrongReply => {
                    "the driver got the reply of another exchange; settle the exchange or the credential request that the closure was \
                     given, and return that reply"
                }
                Misuse::WrongMethod => {
                    "wrong method for this operation; use `open` for streaming responses and `call` for all others"
                }
                Misuse::WrongState => "the saved state belongs to another flow, or to another version of this library; pass it to `resume` of its own \
                     goal",
                Misuse::WrongRow => {
                    "a row source returned a wrong row number, or Full although no rows wait; return what the flow's push returns"
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

/// For saved states whose conversion to a goal cannot fail.
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

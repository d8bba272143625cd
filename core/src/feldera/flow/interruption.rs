//! [`Interruption`]: why a pipeline cannot go on with what it was asked for.

use std::error::Error;
use std::fmt;

use crate::error::{Cause, Failure, FlowError, ServiceError};
use crate::feldera::{ErrorClass, ErrorCode, ErrorResponse, error_code};

/// Why a pipeline cannot go on with what it was asked for: the cause of a [`FlowError::Failed`] of the flows.
///
/// ```
/// use pipewright::error::FlowError;
/// use pipewright::feldera::flow::Interruption;
///
/// fn is_worth_a_restart(error: &FlowError) -> bool {
///     matches!(Interruption::of(error), Some(Interruption::Wedged { .. } | Interruption::Crashed(_)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Interruption {
    /// Another process answers than the one that was asked. What the first one had taken in is lost, unless a checkpoint
    /// or fault tolerance kept it.
    Restarted,
    /// Somebody stopped it.
    Stopped,
    /// It ended by itself, and this is why.
    Crashed(ErrorResponse),
    /// Somebody paused it, and paused it does not do this.
    Paused,
    /// It waits for somebody to approve that changed views are filled.
    AwaitingApproval,
    /// Its circuit makes no progress, although nothing else is wrong: it has died without a word, or an output is not read.
    Wedged {
        /// Steps that have begun.
        initiated: u64,
        /// Steps whose outputs were delivered.
        completed: u64,
        /// Outputs that have not written what they hold.
        outputs: Vec<String>,
    },
    /// A connector has ended for good.
    ConnectorFailed {
        /// Its name, as in `t.c`.
        connector: String,
        /// What ended it.
        error: String,
    },
}

impl Interruption {
    /// The one behind an error of a flow.
    pub fn of(error: &FlowError) -> Option<&Self> {
        match error {
            FlowError::Failed(failure) => failure.cause()?.downcast_ref(),
            FlowError::Ambiguous(ambiguity) => Self::of(&ambiguity.cause),
            _ => None,
        }
    }

    /// What a refusal says by itself, without a look at the pipeline.
    pub(super) fn told_by(refusal: &ServiceError) -> Option<Self> {
        let code = error_code(refusal)?;
        match (&code, code.class()) {
            (ErrorCode::AwaitingApproval, _) => Some(Self::AwaitingApproval),
            (
                ErrorCode::PipelineRestarted
                | ErrorCode::UnknownEndpointInCompletionToken
                | ErrorCode::IncarnationUuidMismatch,
                _,
            ) => Some(Self::Restarted),
            (ErrorCode::PipelineInteractionUnreachable, _) => None,
            // The process's own word on its end, seconds before the manager knows.
            (_, ErrorClass::OutcomeUnknown) if refusal.status().as_u16() == 500 && is_end_of_process(&code) => {
                let message = refusal.message().to_owned();
                Some(Self::Crashed(ErrorResponse { message, error_code: code, details: None }))
            }
            _ => None,
        }
    }

    /// The error of a flow whose goal, `what`, cannot be reached any more.
    pub(super) fn into_error(self, what: String, details: Option<String>) -> FlowError {
        let (reason, cause) = (self.to_string(), Some(Cause::new(self)));
        FlowError::Failed(Failure { what, reason, details, cause })
    }
}

fn is_end_of_process(code: &ErrorCode) -> bool {
    match code {
        ErrorCode::WorkerPanic | ErrorCode::DbspPanic | ErrorCode::ControllerPanic | ErrorCode::ControllerExit => true,
        ErrorCode::Unknown(code) => code.starts_with("RuntimeError.") || code.starts_with("SchedulerError."),
        _ => false,
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restarted => f.write_str(
                "another process answers than the one that was asked: what that one had taken in is lost, unless a \
                 checkpoint kept it",
            ),
            Self::Stopped => f.write_str("the pipeline was stopped"),
            Self::Crashed(error) => {
                let message = error.message.lines().next().unwrap_or_default();
                write!(f, "the pipeline ended with {}: {message}", error.error_code)
            }
            Self::Paused => f.write_str("the pipeline is paused: resume it first"),
            Self::AwaitingApproval => f.write_str("the pipeline waits for its bootstrap to be approved"),
            Self::Wedged { initiated, completed, outputs } => {
                write!(f, "the circuit makes no progress: {initiated} steps have begun, {completed} are completed")?;
                match outputs.as_slice() {
                    [] => Ok(()),
                    outputs => write!(f, "; not written out: {}", outputs.join(", ")),
                }
            }
            Self::ConnectorFailed { connector, error } => write!(f, "connector {connector} has failed: {error}"),
        }
    }
}

impl Error for Interruption {}

//! [`Interruption`]: what comes between a flow and its goal.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::Undelivered;
use crate::error::{Cause, Failure, FlowError, ServiceError};
use crate::feldera::pipelines::{DesiredStatus, ProgramError, ProgramStatus};
use crate::feldera::{ErrorClass, ErrorCode, ErrorResponse, error_code};

/// Why a pipeline cannot go on with what it was asked for, or does not become what it was to be: the cause of a
/// [`FlowError::Failed`] of the flows.
///
/// ```
/// use pipewright::error::FlowError;
/// use pipewright::feldera::Interruption;
///
/// fn places(error: &FlowError) -> Vec<(u64, u64)> {
///     let Some(Interruption::NotCompiled { error, .. }) = Interruption::of(error) else { return Vec::new() };
///     error.sql_errors().map(|message| (message.start_line_number, message.start_column)).collect()
/// }
///
/// fn is_worth_a_restart(error: &FlowError) -> bool {
///     matches!(Interruption::of(error), Some(Interruption::Wedged { .. } | Interruption::Crashed(_)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Interruption {
    /// Another process answers than the one that was asked. What the first one had taken in is lost, unless a
    /// checkpoint or fault tolerance kept it.
    Restarted,
    /// Somebody stopped it.
    Stopped,
    /// It ended by itself, and this is why.
    Crashed(ErrorResponse),
    /// Somebody paused it, and paused it does not do this.
    Paused,
    /// It follows the checkpoints of another pipeline, and as such is neither paused, nor resumed, nor suspended.
    Standby,
    /// It waits for somebody to approve that changed views are filled: [`ApproveBootstrap`](super::ApproveBootstrap)
    /// does.
    AwaitingApproval,
    /// Its program does not compile: the program is wrong.
    NotCompiled {
        /// Whose mistake it is: the SQL's or the Rust's.
        status: ProgramStatus,
        /// What the compilers said, with lines and columns.
        error: ProgramError,
    },
    /// The platform failed to compile its program, for example because the compiler's disk was full. Nothing is known
    /// to be wrong with the program. The server does not try again by itself: repair the platform, then use
    /// [`Compile::recompile`](super::Compile::recompile) or [`Deploy::recompile`](super::Deploy::recompile).
    CompilerFailed {
        /// `SystemError`, or `RustError` without a
        /// [diagnostic](crate::feldera::pipelines::RustCompilation::has_diagnostic).
        status: ProgramStatus,
        /// What the compilers said.
        error: ProgramError,
        /// Since when; RFC 3339. `None` if the program was only validated, or the server does not say.
        since: Option<String>,
    },
    /// Another client wants something else of it than the flow.
    Overruled {
        /// What it is to be instead.
        desired: DesiredStatus,
    },
    /// Another client has stopped it and started it again: this is another deployment than the one that was waited for.
    Replaced {
        /// The deployment that the flow knew.
        was: String,
        /// The one there is now.
        is: String,
    },
    /// Another client has changed its program.
    Edited {
        /// The `program_version` that the flow knew.
        was: i64,
        /// The one there is now.
        is: i64,
    },
    /// Another client has resized it.
    Resized,
    /// Its storage cannot be cleared, because it is to be up, or was meanwhile.
    StorageInUse,
    /// Its circuit makes no progress, although nothing else is wrong: it has died without a word, or an output is not
    /// read.
    Wedged {
        /// For how long nothing has moved.
        stalled: Duration,
        /// Steps that have begun.
        initiated: u64,
        /// Steps whose outputs were delivered.
        completed: u64,
        /// Outputs that have not written what they hold.
        outputs: Vec<String>,
    },
    /// The rows are in the pipeline, and it is not known whether a subscription has delivered the changes that they
    /// caused.
    Undelivered(Undelivered),
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

    /// What a rejection says by itself, without a poll at the pipeline.
    pub(super) fn told_by(rejection: &ServiceError) -> Option<Self> {
        let code = error_code(rejection)?;
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
            (_, ErrorClass::OutcomeUnknown) if rejection.status().as_u16() == 500 && is_end_of_process(&code) => {
                let message = rejection.message().to_owned();
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

/// Whether a code names a failure of the process as a whole.
pub(super) fn is_end_of_process(code: &ErrorCode) -> bool {
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
            Self::Standby => f.write_str(
                "the pipeline is a standby, which is neither paused, nor resumed, nor stopped with a checkpoint: \
                 ActivatePipeline ends that, and Stop::forced stops it",
            ),
            Self::AwaitingApproval => {
                f.write_str("the pipeline waits for its bootstrap to be approved: ApproveBootstrap does")
            }
            Self::NotCompiled { status, error } => {
                let text = error.to_string();
                write!(f, "the program does not compile ({status}): {}", text.lines().next().unwrap_or_default())?;
                match error.sql_errors().count() {
                    0 | 1 => Ok(()),
                    errors => write!(f, " (the first of {errors} errors)"),
                }
            }
            Self::CompilerFailed { status, error, since } => {
                let (text, since) = (error.to_string(), since.as_ref().map(|since| format!(" since {since}")));
                let reason = text.lines().next().unwrap_or("no reason given");
                let since = since.unwrap_or_default();
                write!(
                    f,
                    "the platform failed to compile the program ({status}{since}): {reason}; the program may be fine: repair \
                     the platform, then compile again with Compile::recompile or Deploy::recompile"
                )
            }
            Self::Overruled { desired } => write!(f, "another client wants the pipeline to be {desired}"),
            Self::Replaced { was, is } => write!(f, "another client has replaced deployment {was} by {is}"),
            Self::Resized => f.write_str("another client has changed the sizes of the running pipeline"),
            Self::StorageInUse => f.write_str(
                "the storage is in use: stop the pipeline first, with Stop, and let nobody start it meanwhile",
            ),
            Self::Edited { was, is } => {
                write!(f, "another client has changed the program: it was version {was} and is version {is}")
            }
            Self::Wedged { stalled, initiated, completed, outputs } => {
                let seconds = stalled.as_secs();
                write!(
                    f,
                    "the circuit has made no progress for {seconds} s: {initiated} steps have begun, {completed} are completed"
                )?;
                match outputs.as_slice() {
                    [] => Ok(()),
                    outputs => write!(f, "; not written out: {}", outputs.join(", ")),
                }
            }
            Self::Undelivered(reason) => reason.fmt(f),
            Self::ConnectorFailed { connector, error } => write!(f, "connector {connector} has failed: {error}"),
        }
    }
}

impl Error for Interruption {}

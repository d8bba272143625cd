//! [`Interruption`]: why a flow cannot reach its goal.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::Undelivered;
use crate::error::{Cause, Failure, FlowError, ServiceError};
use crate::feldera::pipelines::{DesiredStatus, ProgramError, ProgramStatus};
use crate::feldera::{ErrorClass, ErrorCode, ErrorResponse, error_code};

/// The reason why a pipeline cannot carry out a request or reach a status. Flows report it as the cause of
/// [`FlowError::Failed`]: read it with [`Interruption::of`].
///
/// ```
/// use pipewright::error::FlowError;
/// use pipewright::feldera::Interruption;
///
/// fn places(error: &FlowError) -> Vec<(Option<u64>, Option<u64>)> {
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
    /// The process of the pipeline was replaced. Input of the previous process is lost, unless a checkpoint or fault
    /// tolerance kept it.
    Restarted,
    /// A client stopped the pipeline. Start it with [`EnsureRunning`](super::EnsureRunning).
    Stopped,
    /// The pipeline ended with this error.
    Crashed(ErrorResponse),
    /// The pipeline is paused, and a paused pipeline cannot carry out the request. Resume it.
    Paused,
    /// The pipeline is a standby, which follows the checkpoints of another pipeline. It cannot be paused, resumed or
    /// suspended.
    Standby,
    /// The pipeline waits for an approval to backfill changed views. Run [`ApproveBootstrap`](super::ApproveBootstrap).
    AwaitingApproval,
    /// The program does not compile, because it has an error.
    NotCompiled {
        /// `SqlError` or `RustError`.
        status: ProgramStatus,
        /// The messages of the compilers, with lines and columns.
        error: ProgramError,
    },
    /// The platform failed to compile its program, for example because the compiler's disk was full. No error in the
    /// program is known. The server does not try again: repair the platform, then use
    /// [`Compile::recompile`](super::Compile::recompile) or [`Deploy::recompile`](super::Deploy::recompile).
    CompilerFailed {
        /// `SystemError`, or `RustError` without a
        /// [diagnostic](crate::feldera::pipelines::RustCompilation::has_diagnostic).
        status: ProgramStatus,
        /// The messages of the compilers.
        error: ProgramError,
        /// The time of the failure, in RFC 3339. `None` if the program was only validated, or the server does not
        /// report it.
        since: Option<String>,
    },
    /// Another client has set another desired status than the flow. Let only one client control a pipeline.
    Overruled {
        /// The desired status of the other client.
        desired: DesiredStatus,
    },
    /// Another client has stopped the pipeline and started it again: the deployment that the flow waited for is gone.
    Replaced {
        /// The deployment that the flow knew.
        was: String,
        /// The current deployment.
        is: String,
    },
    /// Another client has changed the program. Run the flow again to replace it.
    Edited {
        /// The `program_version` that the flow knew.
        was: i64,
        /// The current `program_version`.
        is: i64,
    },
    /// The server does not know these settings of the configuration, and ignores them. If the flow stopped the pipeline
    /// to change it, the pipeline stays stopped, with the rest of the new configuration.
    SettingsIgnored {
        /// Their names under `runtime_config`, as in `resources.storage_min`.
        names: Vec<String>,
    },
    /// Another client has resized the pipeline. Run the flow again to set the sizes.
    Resized,
    /// The storage cannot be cleared, because the pipeline is to be deployed, or was deployed in the meantime. Stop it
    /// first.
    StorageInUse,
    /// The circuit makes no progress, and the pipeline reports no problem. Either the circuit has died without an
    /// error, or an output does not accept data.
    Wedged {
        /// The time without progress.
        stalled: Duration,
        /// Steps that have begun.
        initiated: u64,
        /// Steps whose outputs were delivered.
        completed: u64,
        /// Outputs that have not written all their data.
        outputs: Vec<String>,
    },
    /// The rows are ingested, but it is unknown whether a subscription has delivered the changes that they caused.
    Undelivered(Undelivered),
    /// A connector has failed. It does not restart by itself.
    ConnectorFailed {
        /// The name of the connector, such as `t.c`.
        connector: String,
        /// The error of the connector.
        error: String,
    },
}

impl Interruption {
    /// Returns the interruption that caused an error of a flow; `None` if the error has another cause.
    pub fn of(error: &FlowError) -> Option<&Self> {
        match error {
            FlowError::Failed(_) => error.evidence(),
            FlowError::Ambiguous(ambiguity) => Self::of(&ambiguity.cause),
            _ => None,
        }
    }

    /// Returns the interruption that a rejection itself shows, without a poll of the pipeline.
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
            // The process itself reports its end, seconds before the manager does.
            (_, ErrorClass::OutcomeUnknown) if rejection.status().as_u16() == 500 && is_end_of_process(&code) => {
                let message = rejection.message().to_owned();
                Some(Self::Crashed(ErrorResponse { message, error_code: code, details: None }))
            }
            _ => None,
        }
    }

    /// Converts the interruption to the error of a flow that can no longer reach its goal, `what`.
    pub(super) fn into_error(self, what: String, details: Option<String>) -> FlowError {
        let (reason, cause) = (self.to_string(), Some(Cause::new(self)));
        FlowError::Failed(Failure { what, reason, details, cause })
    }
}

/// Returns whether a code reports a failure of the whole process.
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
                "the process of the pipeline was replaced; rows that the previous process ingested are lost unless a checkpoint \
                 or fault tolerance kept them",
            ),
            Self::Stopped => f.write_str("the pipeline was stopped; start it with EnsureRunning"),
            Self::Crashed(error) => {
                let message = error.message.lines().next().unwrap_or_default();
                write!(f, "the pipeline ended with {}: {message}", error.error_code)
            }
            Self::Paused => f.write_str("the pipeline is paused; resume it with EnsureRunning"),
            Self::Standby => f.write_str(
                "the pipeline is a standby, which cannot be paused, resumed, or stopped with a checkpoint; activate it with \
                 ActivatePipeline, or stop it with Stop::forced",
            ),
            Self::AwaitingApproval => {
                f.write_str("the pipeline waits for approval of its bootstrap; approve it with ApproveBootstrap")
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
                    "the platform failed to compile the program ({status}{since}): {reason}; the program may be correct: repair \
                     the platform, then compile again with Compile::recompile or Deploy::recompile"
                )
            }
            Self::Overruled { desired } => write!(
                f,
                "another client set the desired status to {desired}; let only one client control the pipeline, then run the \
                 flow again"
            ),
            Self::Replaced { was, is } => write!(
                f,
                "another client replaced deployment {was} by {is}; run the flow again to wait for the new deployment"
            ),
            Self::SettingsIgnored { names } => write!(
                f,
                "the server does not know these settings of runtime_config, and ignores them: {}; leave them out or update \
                 the server, then deploy again: a pipeline that was stopped for this change stays stopped",
                names.join(", ")
            ),
            Self::Resized => f.write_str(
                "another client resized the running pipeline; run the flow again to set the sizes",
            ),
            Self::StorageInUse => f.write_str(
                "the storage is in use; stop the pipeline with Stop, and let no other client start it meanwhile",
            ),
            Self::Edited { was, is } => {
                write!(
                    f,
                    "another client changed the program from version {was} to version {is}; run the flow again to \
                     replace it"
                )
            }
            Self::Wedged { stalled, initiated, completed, outputs } => {
                let seconds = stalled.as_secs();
                write!(
                    f,
                    "the circuit has made no progress for {seconds} s: {initiated} steps have begun, {completed} are completed"
                )?;
                match outputs.as_slice() {
                    [] => Ok(()),
                    outputs => write!(f, "; outputs that hold data back: {}", outputs.join(", ")),
                }
            }
            Self::Undelivered(reason) => reason.fmt(f),
            Self::ConnectorFailed { connector, error } => write!(f, "connector {connector} has failed: {error}"),
        }
    }
}

impl Error for Interruption {}

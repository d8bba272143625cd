//! Feldera's refusals: five shapes of bodies, and what its error codes mean.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode, header};

use super::Json;
use crate::error::{Applied, ErrorKind, ServiceError, content_type};
use crate::json;
use crate::operation::{Effect, OperationInfo};
use crate::schema::{json_structs, string_enums};

json_structs! {
    /// The body of a refusal, and what a pipeline keeps of the error that stopped it.
    pub struct ErrorResponse {
        /// For people; of a panic with its stack trace.
        pub message: String,
        /// What kind of error it is.
        pub error_code: ErrorCode,
        /// What belongs to this kind; may hold backtraces and internal addresses.
        pub details: Option<Json>,
    }

    /// The details of `PipelineInteractionNotDeployed`.
    struct NotDeployed {
        /// What the pipeline is to become.
        pub desired_status: Option<String>,
    }
}

/// What an [`ErrorCode`] means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The same request will be refused again until somebody changes something.
    Rejection,
    /// Nothing was done, and the same request may succeed later.
    Transient,
    /// It may have been done, or be about to be.
    OutcomeUnknown,
    /// What was asked about is gone: the process ended, was replaced, or is about to end.
    Gone,
}

macro_rules! codes {
    ($( $class:ident { $( $(#[$meta:meta])* $code:ident = $word:literal ),* $(,)? } )*) => {
        string_enums! {
            /// What kind of error it is; see [`class`](Self::class) for what to do.
            pub enum ErrorCode {
                $($( $(#[$meta])* $code = $word, )*)*
            }
        }

        impl ErrorCode {
            /// What it means for whoever asked. A code that is not known counts as a refusal, unless its family is
            /// known.
            pub fn class(&self) -> ErrorClass {
                match self {
                    $($( Self::$code => ErrorClass::$class, )*)*
                    Self::Unknown(code) if is_internal(code) => ErrorClass::OutcomeUnknown,
                    Self::Unknown(_) => ErrorClass::Rejection,
                }
            }
        }
    };
}

/// Families of which a process or the manager makes new ones with every release.
fn is_internal(code: &str) -> bool {
    ["RuntimeError.", "SchedulerError.", "Postgres"].iter().any(|family| code.starts_with(family))
}

codes! {
    Rejection {
        /// A pipeline that is not deployed cannot do it; transient only while it is being started, see
        /// [`rejection_will_clear`].
        PipelineInteractionNotDeployed = "PipelineInteractionNotDeployed",
        /// No pipeline of this name.
        UnknownPipelineName = "UnknownPipelineName",
        /// No API key of this name.
        UnknownApiKey = "UnknownApiKey",
        /// No trust of this name.
        UnknownOidcTrust = "UnknownOidcTrust",
        /// No such tenant.
        UnknownTenant = "UnknownTenant",
        /// No such user.
        UnknownUser = "UnknownUser",
        /// No such event, or no longer.
        UnknownPipelineMonitorEvent = "UnknownPipelineMonitorEvent",
        /// No such event, or no longer.
        UnknownClusterMonitorEvent = "UnknownClusterMonitorEvent",
        /// The program has not been compiled yet.
        ProgramNotCompiled = "ProgramNotCompiled",
        /// The program was compiled by a release that kept no graph.
        ProgramInfoMissesDataflow = "ProgramInfoMissesDataflow",
        /// There is one of this name.
        DuplicateName = "DuplicateName",
        /// The tenant still has something.
        TenantNotEmpty = "TenantNotEmpty",
        /// The program was changed meanwhile.
        OutdatedProgramVersion = "OutdatedProgramVersion",
        /// The pipeline was changed meanwhile.
        OutdatedPipelineVersion = "OutdatedPipelineVersion",
        /// The role does not allow it: details say which it takes.
        InsufficientPermissions = "InsufficientPermissions",
        /// Nobody grants a role above his own.
        RoleExceedsCreator = "RoleExceedsCreator",
        /// API keys are for `read` and `write`.
        OwnerAdminNotMintableAsApiKey = "OwnerAdminNotMintableAsApiKey",
        /// Not a member of the tenant.
        NotATenantMember = "NotATenantMember",
        /// Not a member of any tenant.
        NoTenantMemberships = "NoTenantMemberships",
        /// The token's issuer is not trusted by the tenant.
        OidcTenantNotTrusted = "OidcTenantNotTrusted",
        /// The credential is no good.
        AuthenticationFailed = "AuthenticationFailed",
        /// No UUID.
        InvalidUuidParam = "InvalidUuidParam",
        /// No such runtime version.
        InvalidRuntimeVersion = "InvalidRuntimeVersion",
        /// The program to compare with does not compile.
        InvalidNewProgramSql = "InvalidNewProgramSql",
        /// The program has changed, and the policy does not allow to bootstrap.
        BootstrapNotAllowed = "BootstrapNotAllowed",
        /// A member of several tenants has to name one.
        AmbiguousTenantMembership = "AmbiguousTenantMembership",
        /// A support bundle cannot be had so.
        InvalidSupportBundleParameter = "InvalidSupportBundleParameter",
        /// Only the enterprise edition does it.
        EnterpriseFeature = "EnterpriseFeature",
        /// A pipeline needs a name.
        EmptyName = "EmptyName",
        /// The name is too long.
        TooLongName = "TooLongName",
        /// The name holds what it may not.
        NameDoesNotMatchPattern = "NameDoesNotMatchPattern",
        /// The runtime configuration is wrong.
        InvalidRuntimeConfig = "InvalidRuntimeConfig",
        /// The program configuration is wrong.
        InvalidProgramConfig = "InvalidProgramConfig",
        /// A tag is wrong.
        InvalidTag = "InvalidTag",
        /// Too many tags.
        TooManyTags = "TooManyTags",
        /// The description is too long.
        TooLongDescription = "TooLongDescription",
        /// A pipeline that is not there cannot be renamed.
        CannotRenameNonExistingPipeline = "CannotRenameNonExistingPipeline",
        /// Only a stopped pipeline can be changed.
        UpdateRestrictedToStopped = "UpdateRestrictedToStopped",
        /// Only a running pipeline can be resized. Since 0.375.
        DeploymentRestrictedToRunning = "DeploymentRestrictedToRunning",
        /// A resize is wrong; `details.reason` says why. Since 0.375.
        InvalidDeploymentPatch = "InvalidDeploymentPatch",
        /// This can be changed only while the storage is clear.
        EditRestrictedToClearedStorage = "EditRestrictedToClearedStorage",
        /// Only a stopped pipeline can be deleted.
        DeleteRestrictedToFullyStopped = "DeleteRestrictedToFullyStopped",
        /// Only a pipeline whose storage is clear can be deleted.
        DeleteRestrictedToClearedStorage = "DeleteRestrictedToClearedStorage",
        /// Not in this state: a stop in progress cannot be taken back.
        IllegalPipelineAction = "IllegalPipelineAction",
        /// The program does not compile.
        CannotStartWithCompilationError = "CannotStartWithCompilationError",
        /// The storage is being cleared.
        CannotStartWhileClearingStorage = "CannotStartWhileClearingStorage",
        /// The last error was not dismissed.
        CannotStartWithUndismissedError = "CannotStartWithUndismissedError",
        /// It was started as something else: pause or resume it.
        InitialImmutableUnlessStopped = "InitialImmutableUnlessStopped",
        /// It was started with another policy.
        BootstrapPolicyImmutableUnlessStopped = "BootstrapPolicyImmutableUnlessStopped",
        /// It cannot start as standby.
        InitialStandbyNotAllowed = "InitialStandbyNotAllowed",
        /// These bootstrap options do not go together.
        InvalidBootstrapConfig = "InvalidBootstrapConfig",
        /// The pipeline or its runner cannot do this; `details.reason` says why.
        UnsupportedPipelineAction = "UnsupportedPipelineAction",
        /// The storage's status cannot become this one.
        InvalidStorageStatusTransition = "InvalidStorageStatusTransition",
        /// Storage can be cleared only while the pipeline is stopped.
        StorageStatusImmutableUnlessStopped = "StorageStatusImmutableUnlessStopped",
        /// An error can be dismissed only while the pipeline is stopped.
        DismissErrorRestrictedToFullyStopped = "DismissErrorRestrictedToFullyStopped",
        /// Connectors can be started and paused.
        InvalidConnectorAction = "InvalidConnectorAction",
        /// No such input connector.
        UnknownInputEndpoint = "UnknownInputEndpoint",
        /// No such output connector.
        UnknownOutputEndpoint = "UnknownOutputEndpoint",
        /// No such table.
        UnknownInputStream = "ConfigError.UnknownInputStream",
        /// No such table or view.
        UnknownOutputStream = "ConfigError.UnknownOutputStream",
        /// No such format.
        UnknownInputFormat = "ConfigError.UnknownInputFormat",
        /// The options of the format are wrong.
        ParserConfigParseError = "ConfigError.ParserConfigParseError",
        /// Not for input.
        InputFormatNotSupported = "ConfigError.InputFormatNotSupported",
        /// Not for output.
        OutputFormatNotSupported = "ConfigError.OutputFormatNotSupported",
        /// Not so: a snapshot needs a materialized relation, for one.
        InvalidTransportConfig = "ConfigError.InvalidTransportConfig",
        /// Some records could not be parsed. **All others were ingested.**
        ParseErrors = "ParseErrors",
        /// A parameter is wrong.
        InvalidParam = "InvalidParam",
        /// The query cannot be planned.
        AdHocQueryError = "AdHocQueryError",
        /// Heap profiles are not to be had there.
        HeapProfilerError = "HeapProfilerError",
        /// No profile was taken.
        NoSamplyProfile = "NoSamplyProfile",
        /// Not from this state.
        InvalidTransition = "InvalidTransition",
        /// A standby pipeline becomes running or paused, no more.
        InvalidActivateStatus = "InvalidActivateStatus",
        /// There is nothing to commit.
        NoTransactionInProgress = "NoTransactionInProgress",
        /// A transaction is open.
        TransactionInProgress = "TransactionInProgress",
        /// Not by this pipeline.
        NotSupported = "NotSupported",
        /// The policy rejects to bootstrap.
        BootstrapRejected = "BootstrapRejected",
        /// Somebody has to approve first.
        AwaitingApproval = "AwaitingApproval",
        /// The pipeline was suspended.
        Suspended = "Suspended",
        /// Checkpoints need storage.
        StorageRequired = "StorageRequired",
        /// No list of checkpoints without a place for them.
        CheckpointFetchError = "CheckpointFetchError",
        /// The profiler cannot run.
        SamplyProfilingFailure = "SamplyProfilingFailure",
        /// Of a pipeline: its program did not compile while it was to start.
        StartFailedDueToFailedCompilation = "StartFailedDueToFailedCompilation",
        /// Of a pipeline: it did not come up in time.
        AutomatonProvisioningTimeout = "AutomatonProvisioningTimeout",
        /// Of a pipeline: it has to be compiled anew for this platform.
        AutomatonCannotProvisionUnsupportedPlatformVersion = "AutomatonCannotProvisionUnsupportedPlatformVersion",
        /// Of a pipeline: its process could not be made.
        RunnerProvisionError = "RunnerProvisionError",
        /// Of a pipeline: its process is gone.
        RunnerCheckError = "RunnerCheckError",
        /// Of a pipeline: its configuration is no good to the runner.
        RunnerConfigError = "RunnerConfigError",
        /// Of a pipeline: stopping fails and is tried again.
        RunnerStopError = "RunnerStopError",
        /// Of a pipeline: clearing fails and is tried again.
        RunnerClearError = "RunnerClearError",
        /// Of a pipeline: its process ended.
        PipelineTerminated = "PipelineTerminated",
        /// A connector or the circuit could not start.
        InitializationError = "InitializationError",
    }
    Transient {
        /// The pipeline does not answer its runner.
        PipelineUnavailable = "PipelineUnavailable",
        /// The runner cannot be reached.
        RunnerInteractionUnreachable = "RunnerInteractionUnreachable",
        /// Too many read logs.
        RunnerInteractionLogFollowRequestChannelFull = "RunnerInteractionLogFollowRequestChannelFull",
        /// The database was busy.
        LockTookTooLong = "LockTookTooLong",
        /// The database was busy.
        DeadlockDetected = "DeadlockDetected",
        /// The compiler does not answer.
        CompilerUnavailable = "CompilerUnavailable",
        /// The compiler did not answer in time.
        CompilerTimeout = "CompilerTimeout",
        /// The process is starting.
        Initializing = "Initializing",
        /// The process is restoring a checkpoint.
        RestoreInProgress = "RestoreInProgress",
        /// The process is filling changed views.
        BootstrapInProgress = "BootstrapInProgress",
        /// All of the process's API connections are taken: each distinct way of ingress keeps one for good.
        ApiConnectionLimit = "ApiConnectionLimit",
    }
    OutcomeUnknown {
        /// The pipeline did not answer, or not in time, or broke off: told apart by text only, see [`never_sent`].
        PipelineInteractionUnreachable = "PipelineInteractionUnreachable",
        /// The pipeline's answer cannot be read.
        PipelineInteractionInvalidResponse = "PipelineInteractionInvalidResponse",
        /// A deployed pipeline without an address.
        PipelineMissingDeploymentLocation = "PipelineMissingDeploymentLocation",
        /// The database was busy.
        LockTimeout = "LockTimeout",
        /// The bundle could not be made.
        UnableToCreateSupportBundle = "UnableToCreateSupportBundle",
        /// The profile could not be had.
        UnableToFetchCircuitProfile = "UnableToFetchCircuitProfile",
        /// A worker of the circuit panicked; the pipeline is about to stop.
        WorkerPanic = "RuntimeError.WorkerPanic",
        /// The circuit panicked.
        DbspPanic = "DbspPanic",
        /// The controller panicked.
        ControllerPanic = "ControllerPanic",
        /// The controller is gone.
        ControllerExit = "ControllerExit",
        /// Storage failed.
        StorageError = "StorageError",
        /// A checkpoint could not be sent to the object store.
        CheckpointPushError = "CheckpointPushError",
        /// The pipeline could not suspend.
        SuspendError = "SuspendError",
        /// A command to a connector failed.
        CommandError = "CommandError",
    }
    Gone {
        /// The process is ending.
        Terminating = "Terminating",
        /// The token is of an earlier process.
        PipelineRestarted = "PipelineRestarted",
        /// The token is of a connector that is no more.
        UnknownEndpointInCompletionToken = "UnknownEndpointInCompletionToken",
        /// The process cannot go on from what it finds.
        InvalidInitialStatus = "InvalidInitialStatus",
        /// The checkpoint was asked of an earlier process.
        IncarnationUuidMismatch = "IncarnationUuidMismatch",
    }
}

/// The code of a refusal, if it is Feldera's own and has one.
pub fn error_code(error: &ServiceError) -> Option<ErrorCode> {
    Some(error.code()?.into())
}

/// Whether the request never reached the pipeline process: nothing of it can have been done.
pub fn never_sent(error: &ServiceError) -> bool {
    error_code(error) == Some(ErrorCode::PipelineInteractionUnreachable) && says_never_sent(error)
}

fn says_never_sent(error: &ServiceError) -> bool {
    [Some(error.message()), error.details()].into_iter().flatten().any(|text| text.contains(NEVER_SENT))
}

const NEVER_SENT: &str = "Failed to connect to host";

/// Whether a pipeline that is not deployed is about to be: it is to run, and does not yet.
pub fn rejection_will_clear(error: &ServiceError) -> bool {
    let details = error.details().and_then(|details| json::read::<NotDeployed>(details.as_bytes()).ok());
    error_code(error) == Some(ErrorCode::PipelineInteractionNotDeployed)
        && details.and_then(|details| details.desired_status).is_some_and(|desired| desired != "Stopped")
}

/// How much of a message is kept; panics put their stack trace there.
const MESSAGE: usize = 2000;

/// Reads a refusal in one of its five shapes.
pub(super) fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
    let (status, kind) = (response.status(), content_type(response));
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("text/html")) {
        return ServiceError::foreign(info, response);
    }
    match json::read::<ErrorResponse>(response.body()) {
        Ok(body) => own(info, response, &body),
        Err(_) if response.body().is_empty() => empty(info, response),
        Err(_) if status == StatusCode::BAD_REQUEST && kind.is_some_and(|kind| kind == "text/plain") => {
            let message = String::from_utf8_lossy(response.body()).into_owned();
            if is_deserializer(&message) {
                ServiceError::rejected(info, response, None, shorten(&message).into_owned())
            } else {
                ServiceError::foreign(info, response)
            }
        }
        // What is left of `ParseErrors` that was cut off on the way: all other rows would be in.
        Err(_) if status == StatusCode::BAD_REQUEST && info.name == "http_input" => {
            ServiceError::foreign(info, response).with_applied(Applied::Unknown)
        }
        Err(_) => ServiceError::foreign(info, response),
    }
}

/// The texts of the web framework for what it cannot read.
fn is_deserializer(message: &str) -> bool {
    message.contains("deserialize error") || message.contains("Content type error")
}

fn own(info: &'static OperationInfo, response: &Response<Bytes>, body: &ErrorResponse) -> ServiceError {
    let status = response.status();
    let details = match (&body.details, body.message.len() > MESSAGE) {
        (Some(details), _) => Some(details.get().to_owned()),
        (None, true) => Some(body.message.clone()),
        (None, false) => None,
    };
    let message = shorten(&body.message).into_owned();
    let code = Some(body.error_code.as_str().to_owned()).filter(|code| !code.is_empty());
    let mut error = ServiceError::rejected(info, response, code, message);
    if let Some(details) = details {
        // Which rows are not in stands in up to a thousand errors, each with its row.
        let is_whole = body.error_code == ErrorCode::ParseErrors;
        error = if is_whole { error.with_whole_details(details) } else { error.with_details(details) };
    }
    let never_sent = status == StatusCode::SERVICE_UNAVAILABLE && says_never_sent(&error);
    let (applied, transient) = match (&body.error_code, body.error_code.class()) {
        (ErrorCode::PipelineInteractionNotDeployed, _) => (Applied::No, rejection_will_clear(&error)),
        // Every record that can be parsed is in.
        (ErrorCode::ParseErrors, _) => (Applied::Yes, false),
        (ErrorCode::PipelineInteractionUnreachable, _) if never_sent => (Applied::No, true),
        // A query that fails in its first batch looks the same, and would fail again.
        (ErrorCode::PipelineInteractionUnreachable, _) if info.name == "pipeline_adhoc_sql" => {
            (Applied::Unknown, false)
        }
        (ErrorCode::PipelineInteractionUnreachable, _) => (Applied::Unknown, true),
        (_, ErrorClass::Transient) => (Applied::No, true),
        (_, ErrorClass::OutcomeUnknown) => (Applied::Unknown, false),
        // A code of the next release: what the status says of it.
        (ErrorCode::Unknown(_), _) if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
            (Applied::Unknown, false)
        }
        (_, ErrorClass::Rejection | ErrorClass::Gone) => (Applied::No, status == StatusCode::TOO_MANY_REQUESTS),
    };
    let applied = if info.effect == Effect::Safe { Applied::No } else { applied };
    error.with_applied(applied).with_transient(transient)
}

/// 401 without a credential, and 404 for addresses that do not exist: Feldera's own, without a body. The headers tell
/// them from those of a proxy: the manager asks for a bearer token, and names the headers of CORS in each answer.
fn empty(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let challenge = header(header::WWW_AUTHENTICATE).filter(|challenge| challenge.starts_with("Bearer"));
    if status == StatusCode::UNAUTHORIZED
        && let Some(challenge) = challenge
    {
        let reason = challenge.split_once("error_description=\"").and_then(|(_, reason)| reason.split('"').next());
        let message = reason.unwrap_or("no credential, or one that is not known").to_owned();
        return ServiceError::rejected(info, response, None, message);
    }
    // Proxies add lines of their own to `Vary`, or remove it.
    let varies = response.headers().get_all(header::VARY).iter().filter_map(|vary| vary.to_str().ok());
    let is_managers = response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS)
        || varies.into_iter().any(|vary| vary.to_ascii_lowercase().contains("access-control-request-method"));
    if status == StatusCode::NOT_FOUND && is_managers {
        let message = "no such address: an older or newer server, or a base address with a path too much".to_owned();
        return ServiceError::rejected(info, response, None, message);
    }
    ServiceError::foreign(info, response)
}

fn shorten(message: &str) -> Cow<'_, str> {
    if message.len() <= MESSAGE {
        return Cow::Borrowed(message);
    }
    let end = (0..=MESSAGE).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}… ({} bytes in all)", message.get(..end).unwrap_or_default(), message.len()))
}

/// Whether a refusal means that there is no pipeline of that name.
pub fn is_unknown_pipeline(error: &ServiceError) -> bool {
    error.kind() == ErrorKind::Rejected && error_code(error) == Some(ErrorCode::UnknownPipelineName)
}

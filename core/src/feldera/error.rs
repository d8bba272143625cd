//! Feldera's error responses: five shapes of bodies, and the meaning of the error codes.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode, header};

use super::Json;
use crate::error::{Applied, ErrorKind, ServiceError, content_type};
use crate::json;
use crate::operation::{Effect, OperationInfo};
use crate::schema::{Unreadable, json_structs, string_enums};

json_structs! {
    /// The body of an error response. A pipeline also shows the error that stopped it in this form.
    pub struct ErrorResponse {
        /// The message for people. After a panic, it contains the stack trace.
        pub message: String,
        /// The code of the error.
        pub error_code: ErrorCode,
        /// Details that depend on the code. They may contain backtraces and internal addresses.
        pub details: Option<Json>,
    }

    /// The details of `PipelineInteractionNotDeployed`.
    struct NotDeployed {
        /// The desired status of the pipeline.
        pub desired_status: Option<String>,
    }
}

/// A pipeline with an error has ended, even if the error has an unknown form.
impl Unreadable for ErrorResponse {
    fn unreadable(json: &str) -> Self {
        let message = format!("an error in a form that is not known: {json}");
        let error_code = ErrorCode::Unknown("UnreadableError".into());
        Self { message, error_code, details: Json::assembled(json.to_owned()).ok() }
    }
}

/// The meaning of an [`ErrorCode`] for the client that sent the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request was rejected. The same request is rejected again until the cause is removed.
    Rejection,
    /// The request was not carried out. Send it again later.
    Transient,
    /// The request may have been carried out, or may still be carried out.
    OutcomeUnknown,
    /// The subject of the request is gone: the process has ended, was replaced, or is about to end.
    Gone,
}

macro_rules! codes {
    ($( $class:ident { $( $(#[$meta:meta])* $code:ident = $word:literal ),* $(,)? } )*) => {
        string_enums! {
            /// A code of an error; see [`class`](Self::class) for its meaning.
            pub enum ErrorCode {
                $($( $(#[$meta])* $code = $word, )*)*
            }
        }

        impl ErrorCode {
            /// Returns the meaning of the code for the client. An unknown code counts as a rejection, unless its family
            /// is known.
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

/// Returns whether a code belongs to a family of internal errors, which grows with every release.
fn is_internal(code: &str) -> bool {
    ["RuntimeError.", "SchedulerError.", "Postgres"].iter().any(|family| code.starts_with(family))
}

codes! {
    Rejection {
        /// The pipeline is not deployed. Transient only while the pipeline starts: see [`rejection_will_clear`].
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
        /// The event does not exist, or no longer exists.
        UnknownPipelineMonitorEvent = "UnknownPipelineMonitorEvent",
        /// The event does not exist, or no longer exists.
        UnknownClusterMonitorEvent = "UnknownClusterMonitorEvent",
        /// The program has not been compiled yet.
        ProgramNotCompiled = "ProgramNotCompiled",
        /// The program was compiled by a release that kept no graph.
        ProgramInfoMissesDataflow = "ProgramInfoMissesDataflow",
        /// The name is already in use.
        DuplicateName = "DuplicateName",
        /// The tenant still has resources.
        TenantNotEmpty = "TenantNotEmpty",
        /// The program was changed meanwhile.
        OutdatedProgramVersion = "OutdatedProgramVersion",
        /// The pipeline was changed meanwhile.
        OutdatedPipelineVersion = "OutdatedPipelineVersion",
        /// The role does not allow the request; the details name the required role.
        InsufficientPermissions = "InsufficientPermissions",
        /// The client cannot grant a role above its own role.
        RoleExceedsCreator = "RoleExceedsCreator",
        /// An API key can have only the roles `read` and `write`.
        OwnerAdminNotMintableAsApiKey = "OwnerAdminNotMintableAsApiKey",
        /// The user is not a member of the tenant.
        NotATenantMember = "NotATenantMember",
        /// The user is not a member of any tenant.
        NoTenantMemberships = "NoTenantMemberships",
        /// The token's issuer is not trusted by the tenant.
        OidcTenantNotTrusted = "OidcTenantNotTrusted",
        /// The credential is invalid.
        AuthenticationFailed = "AuthenticationFailed",
        /// The parameter is not a UUID.
        InvalidUuidParam = "InvalidUuidParam",
        /// No such runtime version.
        InvalidRuntimeVersion = "InvalidRuntimeVersion",
        /// The program to compare with does not compile.
        InvalidNewProgramSql = "InvalidNewProgramSql",
        /// The program has changed, and the policy does not allow a bootstrap.
        BootstrapNotAllowed = "BootstrapNotAllowed",
        /// The user is a member of several tenants, and the request does not name a tenant.
        AmbiguousTenantMembership = "AmbiguousTenantMembership",
        /// The parameters of the support bundle are invalid.
        InvalidSupportBundleParameter = "InvalidSupportBundleParameter",
        /// Only the enterprise edition supports the request.
        EnterpriseFeature = "EnterpriseFeature",
        /// The name is empty.
        EmptyName = "EmptyName",
        /// The name is too long.
        TooLongName = "TooLongName",
        /// The name contains forbidden characters.
        NameDoesNotMatchPattern = "NameDoesNotMatchPattern",
        /// The runtime configuration is invalid.
        InvalidRuntimeConfig = "InvalidRuntimeConfig",
        /// The program configuration is invalid.
        InvalidProgramConfig = "InvalidProgramConfig",
        /// A tag is invalid.
        InvalidTag = "InvalidTag",
        /// There are too many tags.
        TooManyTags = "TooManyTags",
        /// The description is too long.
        TooLongDescription = "TooLongDescription",
        /// The pipeline to rename does not exist.
        CannotRenameNonExistingPipeline = "CannotRenameNonExistingPipeline",
        /// Only a stopped pipeline can be changed.
        UpdateRestrictedToStopped = "UpdateRestrictedToStopped",
        /// Only a running pipeline can be resized. Since 0.375.
        DeploymentRestrictedToRunning = "DeploymentRestrictedToRunning",
        /// The sizes are invalid; `details.reason` has the reason. Since 0.375.
        InvalidDeploymentPatch = "InvalidDeploymentPatch",
        /// The change is possible only while the storage is clear.
        EditRestrictedToClearedStorage = "EditRestrictedToClearedStorage",
        /// Only a stopped pipeline can be deleted.
        DeleteRestrictedToFullyStopped = "DeleteRestrictedToFullyStopped",
        /// Only a pipeline whose storage is clear can be deleted.
        DeleteRestrictedToClearedStorage = "DeleteRestrictedToClearedStorage",
        /// The action is not possible in this state: for example, a stop in progress cannot be cancelled.
        IllegalPipelineAction = "IllegalPipelineAction",
        /// The program does not compile.
        CannotStartWithCompilationError = "CannotStartWithCompilationError",
        /// The storage is being cleared.
        CannotStartWhileClearingStorage = "CannotStartWhileClearingStorage",
        /// The last error was not dismissed.
        CannotStartWithUndismissedError = "CannotStartWithUndismissedError",
        /// The pipeline was started with another initial status: pause or resume it.
        InitialImmutableUnlessStopped = "InitialImmutableUnlessStopped",
        /// The pipeline was started with another bootstrap policy.
        BootstrapPolicyImmutableUnlessStopped = "BootstrapPolicyImmutableUnlessStopped",
        /// The pipeline cannot start as standby.
        InitialStandbyNotAllowed = "InitialStandbyNotAllowed",
        /// The bootstrap options contradict each other.
        InvalidBootstrapConfig = "InvalidBootstrapConfig",
        /// The pipeline or its runner does not support the action; `details.reason` has the reason.
        UnsupportedPipelineAction = "UnsupportedPipelineAction",
        /// The storage cannot change to this status.
        InvalidStorageStatusTransition = "InvalidStorageStatusTransition",
        /// Storage can be cleared only while the pipeline is stopped.
        StorageStatusImmutableUnlessStopped = "StorageStatusImmutableUnlessStopped",
        /// An error can be dismissed only while the pipeline is stopped.
        DismissErrorRestrictedToFullyStopped = "DismissErrorRestrictedToFullyStopped",
        /// The action on the connector is neither start nor pause.
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
        /// The options of the format are invalid.
        ParserConfigParseError = "ConfigError.ParserConfigParseError",
        /// The format is not supported for input.
        InputFormatNotSupported = "ConfigError.InputFormatNotSupported",
        /// The format is not supported for output.
        OutputFormatNotSupported = "ConfigError.OutputFormatNotSupported",
        /// The options of the stream are invalid: for example, a snapshot needs a materialized table or view.
        InvalidTransportConfig = "ConfigError.InvalidTransportConfig",
        /// Some records could not be parsed. **All others were ingested.**
        ParseErrors = "ParseErrors",
        /// A parameter is invalid.
        InvalidParam = "InvalidParam",
        /// The query cannot be planned.
        AdHocQueryError = "AdHocQueryError",
        /// Heap profiles are not available on this platform.
        HeapProfilerError = "HeapProfilerError",
        /// No profile was taken.
        NoSamplyProfile = "NoSamplyProfile",
        /// The change is not possible from the current status.
        InvalidTransition = "InvalidTransition",
        /// A standby pipeline can only become running or paused.
        InvalidActivateStatus = "InvalidActivateStatus",
        /// No transaction is open.
        NoTransactionInProgress = "NoTransactionInProgress",
        /// A transaction is open.
        TransactionInProgress = "TransactionInProgress",
        /// The pipeline does not support the request.
        NotSupported = "NotSupported",
        /// The policy rejects a bootstrap.
        BootstrapRejected = "BootstrapRejected",
        /// The bootstrap has to be approved first.
        AwaitingApproval = "AwaitingApproval",
        /// The pipeline was suspended.
        Suspended = "Suspended",
        /// Checkpoints need storage.
        StorageRequired = "StorageRequired",
        /// The checkpoints cannot be listed, because no place for them is configured.
        CheckpointFetchError = "CheckpointFetchError",
        /// The profiler cannot run.
        SamplyProfilingFailure = "SamplyProfilingFailure",
        /// Error of a pipeline: its program did not compile when the pipeline was started.
        StartFailedDueToFailedCompilation = "StartFailedDueToFailedCompilation",
        /// Error of a pipeline: it did not start in time.
        AutomatonProvisioningTimeout = "AutomatonProvisioningTimeout",
        /// Error of a pipeline: it has to be compiled again for this platform.
        AutomatonCannotProvisionUnsupportedPlatformVersion = "AutomatonCannotProvisionUnsupportedPlatformVersion",
        /// Error of a pipeline: its process could not be created.
        RunnerProvisionError = "RunnerProvisionError",
        /// Error of a pipeline: its process no longer exists.
        RunnerCheckError = "RunnerCheckError",
        /// Error of a pipeline: the runner rejects its configuration.
        RunnerConfigError = "RunnerConfigError",
        /// Error of a pipeline: stopping failed and is retried.
        RunnerStopError = "RunnerStopError",
        /// Error of a pipeline: clearing failed and is retried.
        RunnerClearError = "RunnerClearError",
        /// Error of a pipeline: its process has ended.
        PipelineTerminated = "PipelineTerminated",
        /// A connector or the circuit could not start.
        InitializationError = "InitializationError",
    }
    Transient {
        /// The pipeline does not answer its runner.
        PipelineUnavailable = "PipelineUnavailable",
        /// The runner cannot be reached.
        RunnerInteractionUnreachable = "RunnerInteractionUnreachable",
        /// Too many clients read logs.
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
        /// The process is backfilling changed views.
        BootstrapInProgress = "BootstrapInProgress",
        /// All API connections of the process are in use. Each distinct combination of ingress options permanently
        /// occupies a connection.
        ApiConnectionLimit = "ApiConnectionLimit",
    }
    OutcomeUnknown {
        /// The pipeline did not answer, not in time, or only in part. Only the text distinguishes these cases: see
        /// [`never_sent`].
        PipelineInteractionUnreachable = "PipelineInteractionUnreachable",
        /// The pipeline's answer cannot be read.
        PipelineInteractionInvalidResponse = "PipelineInteractionInvalidResponse",
        /// The deployed pipeline has no address.
        PipelineMissingDeploymentLocation = "PipelineMissingDeploymentLocation",
        /// The database was busy.
        LockTimeout = "LockTimeout",
        /// The support bundle could not be created.
        UnableToCreateSupportBundle = "UnableToCreateSupportBundle",
        /// The profile could not be fetched.
        UnableToFetchCircuitProfile = "UnableToFetchCircuitProfile",
        /// A worker of the circuit panicked; the pipeline is about to stop.
        WorkerPanic = "RuntimeError.WorkerPanic",
        /// The circuit panicked.
        DbspPanic = "DbspPanic",
        /// The controller panicked.
        ControllerPanic = "ControllerPanic",
        /// The controller has exited.
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
        /// The token is from an earlier process.
        PipelineRestarted = "PipelineRestarted",
        /// The token is from a connector that no longer exists.
        UnknownEndpointInCompletionToken = "UnknownEndpointInCompletionToken",
        /// The process cannot continue from the state that it found.
        InvalidInitialStatus = "InvalidInitialStatus",
        /// The checkpoint was requested from an earlier process.
        IncarnationUuidMismatch = "IncarnationUuidMismatch",
    }
}

/// Returns the code of an error response; `None` if the response has no code or is not from Feldera.
pub fn error_code(error: &ServiceError) -> Option<ErrorCode> {
    Some(error.code()?.into())
}

/// Returns whether the request never reached the pipeline process, so that it was certainly not carried out.
pub fn never_sent(error: &ServiceError) -> bool {
    error_code(error) == Some(ErrorCode::PipelineInteractionUnreachable) && says_never_sent(error)
}

fn says_never_sent(error: &ServiceError) -> bool {
    [Some(error.message()), error.details()].into_iter().flatten().any(|text| text.contains(NEVER_SENT))
}

const NEVER_SENT: &str = "Failed to connect to host";

/// Returns whether the pipeline is not deployed but will be: its desired status is not `Stopped`. If so, send the
/// request again later.
pub fn rejection_will_clear(error: &ServiceError) -> bool {
    let details = error.details().and_then(|details| json::read::<NotDeployed>(details.as_bytes()).ok());
    error_code(error) == Some(ErrorCode::PipelineInteractionNotDeployed)
        && details.and_then(|details| details.desired_status).is_some_and(|desired| desired != "Stopped")
}

/// The maximum length of a message: panics put their stack trace there.
const MESSAGE: usize = 2000;

/// Reads an error response in one of its five shapes.
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
        // A truncated `ParseErrors` body: all other rows were ingested.
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
        // Up to a thousand errors name the rejected rows.
        let is_whole = body.error_code == ErrorCode::ParseErrors;
        error = if is_whole { error.with_whole_details(details) } else { error.with_details(details) };
    }
    let never_sent = status == StatusCode::SERVICE_UNAVAILABLE && says_never_sent(&error);
    let (applied, transient) = match (&body.error_code, body.error_code.class()) {
        (ErrorCode::PipelineInteractionNotDeployed, _) => (Applied::No, rejection_will_clear(&error)),
        // Every record that can be parsed is ingested.
        (ErrorCode::ParseErrors, _) => (Applied::Yes, false),
        (ErrorCode::PipelineInteractionUnreachable, _) if never_sent => (Applied::No, true),
        // A query that fails in its first batch looks the same, and would fail again.
        (ErrorCode::PipelineInteractionUnreachable, _) if info.name == "pipeline_adhoc_sql" => {
            (Applied::Unknown, false)
        }
        (ErrorCode::PipelineInteractionUnreachable, _) => (Applied::Unknown, true),
        (_, ErrorClass::Transient) => (Applied::No, true),
        (_, ErrorClass::OutcomeUnknown) => (Applied::Unknown, false),
        // For a code of a later release, the status decides.
        (ErrorCode::Unknown(_), _) if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
            (Applied::Unknown, false)
        }
        (_, ErrorClass::Rejection | ErrorClass::Gone) => (Applied::No, status == StatusCode::TOO_MANY_REQUESTS),
    };
    let applied = if info.effect == Effect::Safe { Applied::No } else { applied };
    error.with_applied(applied).with_transient(transient)
}

/// Reads a response without a body: 401 without a credential, and 404 for an unknown address. The headers distinguish
/// Feldera's answer from a proxy's: the manager asks for a bearer token, and names the headers of CORS in each answer.
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
        let message =
            "no such address: an older or newer server, or a base address with a path that does not belong there"
                .to_owned();
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

/// Returns whether a rejection means that the pipeline does not exist.
pub fn is_unknown_pipeline(error: &ServiceError) -> bool {
    error.kind() == ErrorKind::Rejected && error_code(error) == Some(ErrorCode::UnknownPipelineName)
}

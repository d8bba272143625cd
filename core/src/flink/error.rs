//! Flink's rejections.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::exception::Cause;
use crate::error::{Applied, ErrorKind, ServiceError, compressed, content_type};
use crate::json::{self, JsonError};
use crate::operation::{Effect, OperationInfo};
use crate::schema::json_structs;

json_structs! {
    /// The body of every rejection: texts, the last of which holds the stack trace.
    struct Errors {
        /// Messages and stack traces.
        pub errors: Vec<String>,
    }
}

/// Parses a rejection. A body that is not Flink's JSON comes from a proxy.
pub(super) fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
    let is_json = content_type(response).is_none_or(|kind| kind.eq_ignore_ascii_case("application/json"));
    let read = json::read::<Errors>(response.body());
    let is_malformed = matches!(read, Err(JsonError::Malformed(_) | JsonError::NotUtf8 { .. }));
    let errors = match read {
        Ok(body) if is_json && !body.errors.is_empty() => body.errors,
        // Two of Flink's rejections have no body.
        _ if response.body().is_empty() && response.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "the body is larger than rest.server.max-content-length".to_owned();
            return ServiceError::rejected(info, response, None, message);
        }
        _ if response.body().is_empty() && response.status() == StatusCode::MOVED_PERMANENTLY => {
            let message =
                "the request used plain http on a TLS port: the base address must begin with https".to_owned();
            return ServiceError::rejected(info, response, None, message);
        }
        _ => {
            let error = ServiceError::foreign(info, response);
            // Flink's own message, cut off or garbled on the way: they may come through next time. Other JSON is a
            // proxy's.
            let garbled = content_type(response).is_some()
                && is_json
                && is_malformed
                && !response.body().is_empty()
                && compressed(response).is_none();
            let error = if garbled { error.with_transient(true) } else { error };
            // What cannot be read may be about a main method that failed; see below.
            let doubtful = info.name == SUBMIT && response.status() == StatusCode::BAD_REQUEST;
            return if doubtful { error.with_applied(Applied::Unknown) } else { error };
        }
    };
    let text = errors.join("\n");
    let cause = Cause::of(errors.last().map_or("", String::as_str));
    let code = Some(cause.simple_class().to_owned()).filter(|class| !class.is_empty());
    let message = match &cause.context {
        Some(context) => format!("{}; in {context}", cause.message),
        None if cause.message.is_empty() => cause.class.clone(),
        None => cause.message.clone(),
    };
    let status = response.status();
    // No leader: the server that answered could not have passed the request on.
    let no_leader = status == StatusCode::SERVICE_UNAVAILABLE && text.contains("leader election");
    // The JobManager did not answer its own REST endpoint in time, and may be about to do what was asked.
    let timed_out = status.is_server_error() && is_of_failover(&text);
    let applied = match status.as_u16() {
        _ if info.effect == Effect::Safe || PLAN.contains(&info.name) || no_leader => Applied::No,
        503 => Applied::No,
        // What a main method runs into says nothing about what it had submitted before.
        _ if info.name == SUBMIT => submitted(status, &text),
        // Said before anything is done.
        500 if OUTRIGHT.iter().any(|words| text.contains(words)) => Applied::No,
        // The jar is looked for before anything else.
        500 if info.name == RUN_APPLICATION && text.contains("Jar file ") => Applied::No,
        500..=599 => Applied::Unknown,
        _ => Applied::No,
    };
    ServiceError::rejected(info, response, code, message)
        .with_details(text)
        .with_applied(applied)
        .with_transient(no_leader || timed_out || status == StatusCode::TOO_MANY_REQUESTS)
}

/// Returns whether a rejection is Flink's JSON. A rejection without a body could be from another server.
pub(super) fn identifies_service(rejection: &ServiceError) -> bool {
    rejection.details().is_some()
}

/// Returns whether a JobManager is dead or hangs, while its REST endpoint or that of another JobManager still answers.
/// This is temporary.
fn is_of_failover(text: &str) -> bool {
    text.contains("TimeoutException") || text.contains("RecipientUnreachableException")
}

/// Returns whether a rejection says that the cluster could not reach its own JobManager. The outcome is then as unknown
/// as without a response.
pub(super) fn is_passing(error: &ServiceError) -> bool {
    let text = error.details().unwrap_or_default();
    error.kind() == ErrorKind::Rejected
        && (text.contains("AskTimeoutException") || text.contains("RecipientUnreachableException"))
}

/// Returns whether a rejection means that the cluster does not have the jar: a JobManager loses its uploads when it
/// ends, and does not share them.
pub(super) fn is_unknown_jar(error: &ServiceError) -> bool {
    let text = error.details().unwrap_or_default();
    error.kind() == ErrorKind::Rejected && text.contains("Jar file ") && text.contains(" does not exist")
}

/// The texts of internal errors that occur before the server has done anything.
const OUTRIGHT: [&str; 4] = [
    "FlinkJobNotFoundException",
    "UnsupportedOperationException",
    "is still under profiling",
    "`duration` must be set between",
];

/// The operation of which a rejection does not mean that no job runs.
const SUBMIT: &str = "submitJobFromJar";
/// The plans: whatever their error is, they start no job.
const PLAN: [&str; 2] = ["generatePlanFromJar", "getPlanFromJar"];
const RUN_APPLICATION: &str = "submitApplicationFromJar";

/// Returns whether a rejected run was applied. A main method that fails may have submitted its job before. A main
/// method that was never called has not. A rejection as a duplicate proves nothing: the second `execute` of a program
/// is rejected as a duplicate of its first, whose job runs.
fn submitted(status: StatusCode, text: &str) -> Applied {
    let has_run = text.contains("Could not execute application");
    let found_no_program = text.contains("ProgramInvocationException") || text.contains("Jar file ");
    match status.as_u16() {
        400 if has_run => Applied::Unknown,
        500 if !has_run && found_no_program => Applied::No,
        500..=599 => Applied::Unknown,
        _ => Applied::No,
    }
}

/// Returns whether a rejection means that the cluster does not know the job: it never had the job, has forgotten it, or
/// was restarted.
///
/// Flink says so with 404 on some paths and with 500 on others.
pub fn is_unknown_job(error: &ServiceError) -> bool {
    let text = error.details().unwrap_or_default();
    error.kind() == ErrorKind::Rejected
        && (text.contains("FlinkJobNotFoundException")
            || error.status() == StatusCode::NOT_FOUND && is_job_not_found(text))
}

/// `Job 4c7e… not found`.
fn is_job_not_found(text: &str) -> bool {
    text.match_indices("Job ").any(|(at, _)| {
        text.get(at + 4..).is_some_and(|rest| rest.get(32..).is_some_and(|end| end.starts_with(" not found")))
    })
}

/// Returns whether a rejection means that the cluster does not know the trigger: it never had the trigger, has
/// forgotten it, or was restarted.
pub(super) fn is_unknown_trigger(error: &ServiceError) -> bool {
    let text = error.details().unwrap_or_default();
    error.kind() == ErrorKind::Rejected
        && error.status() == StatusCode::NOT_FOUND
        && (text.contains("There is no savepoint operation")
            || text.contains("There is no checkpoint operation")
            || text.contains("Operation not found under key"))
}

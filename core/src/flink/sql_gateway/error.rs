//! The gateway's rejections.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::error::{Applied, ErrorKind, ServiceError};
use crate::flink::error as flink;
use crate::operation::{Effect, OperationInfo};

/// Parses a rejection: a list of texts, the last of which is a Java stack trace, as from a JobManager.
///
/// The gateway rejects nearly every wrong request with 500. A retry does not help in any of these cases.
pub(super) fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
    let error = flink::parse_error(info, response);
    if error.kind() != ErrorKind::Rejected {
        return error;
    }
    let text = error.details().unwrap_or_default();
    let busy = matches!(error.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    let applied = match error.status().as_u16() {
        _ if info.effect == Effect::Safe || is_unknown_session(&error) => Applied::No,
        // The gateway queues these as its last step, so a rejection comes before. Later failures are in the results.
        500 if matches!(info.name, "executeStatement" | "refreshMaterializedTable" | "openSession") => Applied::No,
        500 if DECLINED.iter().any(|class| text.contains(class)) => Applied::No,
        500..=599 if !busy => Applied::Unknown,
        _ => Applied::No,
    };
    error.with_applied(applied).with_transient(busy)
}

/// The exceptions that occur before the gateway has done anything.
const DECLINED: [&str; 5] = [
    "SqlParserException",
    "ValidationException",
    "java.lang.UnsupportedOperationException",
    "only single statement supported",
    "Failed to convert the Operation Status",
];

/// Returns whether a rejection means that the gateway does not know the session: it never had the session, closed it
/// after its idle timeout, or was restarted.
pub fn is_unknown_session(error: &ServiceError) -> bool {
    let text = error.details().unwrap_or_default();
    error.kind() == ErrorKind::Rejected
        && text.match_indices("Session '").any(|(at, _)| {
            // `Session '8eed…' does not exist.`
            text.get(at + 45..).is_some_and(|rest| rest.starts_with("' does not exist."))
        })
}

/// Returns whether a rejection means that the session does not know the operation: it never had it, or has closed it.
pub fn is_unknown_operation(error: &ServiceError) -> bool {
    let text = error.details().unwrap_or_default();
    error.kind() == ErrorKind::Rejected && text.contains("Can not find the submitted operation in the OperationManager")
}

/// Returns whether a rejection means that the requested page is gone, or is not the next page.
pub fn is_wrong_token(error: &ServiceError) -> bool {
    error.kind() == ErrorKind::Rejected && error.details().is_some_and(|text| text.contains("Expecting token to be "))
}

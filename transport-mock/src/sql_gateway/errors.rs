//! How a gateway says no: as Flink's REST API does, and mostly with 500.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::routes::mark_not_simulated;

/// What a handler returns.
pub(super) type Answer = Result<Value, Rejection>;

const GATEWAY_EXCEPTION: &str = "org.apache.flink.table.gateway.api.utils.SqlGatewayException";
const REST_EXCEPTION: &str = "org.apache.flink.runtime.rest.handler.RestHandlerException";
const FRAME: &str = "\tat org.apache.flink.table.gateway.rest.handler.AbstractSqlGatewayRestHandler.respondToRequest(AbstractSqlGatewayRestHandler.java:84)";

#[derive(Debug)]
pub(super) enum Rejection {
    /// The router knows no such path, version or method.
    NotFound(String),
    /// A route that only a real gateway has.
    NotSimulated(String),
    /// One stack trace.
    Handler(StatusCode, String),
    /// "Internal server error." and a stack trace in a marker.
    Internal(String),
}

impl Rejection {
    /// What a handler catches and wraps.
    pub(super) fn handler(failed: &str, why: &str) -> Self {
        let trace = format!(
            "{REST_EXCEPTION}: {failed}\n{FRAME}\nCaused by: {GATEWAY_EXCEPTION}: {failed}\n{FRAME}\n\t... 30 more\n\
             Caused by: {GATEWAY_EXCEPTION}: {why}\n{FRAME}\n\t... 31 more\n"
        );
        Self::Handler(StatusCode::INTERNAL_SERVER_ERROR, trace)
    }

    /// An exception that is not caught.
    pub(super) fn internal(failed: &str, class: &str, why: &str) -> Self {
        Self::Internal(format!(
            "{GATEWAY_EXCEPTION}: {failed}\n{FRAME}\nCaused by: {class}: {why}\n{FRAME}\n\t... 30 more\n"
        ))
    }

    /// The rejection of a result.
    pub(super) fn result(class: &str, why: &str) -> Self {
        Self::internal(&format!("{GATEWAY_EXCEPTION}: Failed to fetchResults."), class, why)
    }

    pub(super) fn parameter(name: &str, value: &str) -> Self {
        Self::bad_request(&format!(
            "Bad request, could not parse parameters: Cannot resolve path parameter ({name}) from value \"{value}\"."
        ))
    }

    pub(super) fn query(name: &str, value: &str) -> Self {
        Self::bad_request(&format!(
            "Bad request, could not parse parameters: Cannot resolve query parameter ({name}) from value \"{value}\"."
        ))
    }

    pub(super) fn bad_request(why: &str) -> Self {
        Self::Handler(StatusCode::BAD_REQUEST, format!("{REST_EXCEPTION}: {why}\n{FRAME}\n"))
    }
}

pub(super) fn respond(answer: Answer) -> Response<Bytes> {
    let is_missing = matches!(answer, Err(Rejection::NotSimulated(_)));
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(Rejection::NotFound(path)) => (StatusCode::NOT_FOUND, json!({"errors": [format!("Not found: {path}")]})),
        Err(Rejection::NotSimulated(text)) => (StatusCode::NOT_IMPLEMENTED, json!({"errors": [text]})),
        Err(Rejection::Handler(status, trace)) => (status, json!({"errors": [trace]})),
        Err(Rejection::Internal(trace)) => {
            let marked = format!("<Exception on server side:\n{trace}\nEnd of exception on server side>");
            (StatusCode::INTERNAL_SERVER_ERROR, json!({"errors": ["Internal server error.", marked]}))
        }
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    if is_missing {
        mark_not_simulated(&mut response);
    }
    response
}

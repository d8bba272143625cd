//! How a gateway says no: as Flink's REST API does, and mostly with 500.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use super::failure::Failure;
use crate::routes::mark_not_simulated;

/// What a handler returns: the text of a JSON object.
pub(super) type Answer = Result<String, Rejection>;

const GATEWAY_EXCEPTION: &str = "org.apache.flink.table.gateway.api.utils.SqlGatewayException";
const EXECUTION_EXCEPTION: &str = "org.apache.flink.table.gateway.service.utils.SqlExecutionException";
const FETCH: &str = "Failed to fetchResults.";
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

    /// The result of a statement that fails.
    pub(super) fn statement(failed: &str, failure: &Failure, handle: &str) -> Self {
        let mut chain = vec![(GATEWAY_EXCEPTION, failed.to_owned())];
        chain.push((EXECUTION_EXCEPTION, format!("Failed to execute the operation {handle}.")));
        Self::chained(chain, failure)
    }

    /// The rejection of a result, because of its statement or its job.
    pub(super) fn result(failure: &Failure, handle: &str) -> Self {
        let mut chain =
            vec![(GATEWAY_EXCEPTION, format!("{GATEWAY_EXCEPTION}: {FETCH}")), (GATEWAY_EXCEPTION, FETCH.to_owned())];
        if failure.job {
            let job = format!("Job failed (JobID: {})", handle.replace('-', ""));
            let program = "org.apache.flink.client.program.ProgramInvocationException";
            chain.extend([
                (EXECUTION_EXCEPTION, "Error while retrieving result.".to_owned()),
                ("java.lang.RuntimeException", "Failed to fetch next result".to_owned()),
                ("java.io.IOException", "Failed to fetch job execution result".to_owned()),
                ("java.util.concurrent.ExecutionException", format!("{program}: {job}")),
                (program, job),
                ("org.apache.flink.runtime.client.JobExecutionException", "Job execution failed.".to_owned()),
                (
                    "org.apache.flink.runtime.JobException",
                    "Recovery is suppressed by NoRestartBackoffTimeStrategy".to_owned(),
                ),
            ]);
        } else {
            chain.push((EXECUTION_EXCEPTION, format!("Failed to execute the operation {handle}.")));
        }
        Self::chained(chain, failure)
    }

    /// The rejection of a result that cannot be fetched like this.
    pub(super) fn fetch(why: &str) -> Self {
        Self::internal(&format!("{GATEWAY_EXCEPTION}: {FETCH}"), EXECUTION_EXCEPTION, why)
    }

    fn chained(outer: Vec<(&str, String)>, failure: &Failure) -> Self {
        let inner = failure.chain.iter().map(|(class, why)| (class.as_str(), why.clone()));
        let mut trace = String::new();
        for (at, (class, why)) in outer.into_iter().chain(inner).enumerate() {
            let (cause, more) = match at {
                0 => ("", String::new()),
                at => ("Caused by: ", format!("\n\t... {} more", 29 + at)),
            };
            // Writing to a text never fails.
            let _ = writeln!(trace, "{cause}{class}: {why}\n{FRAME}{more}");
        }
        Self::Internal(trace)
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
    let (status, errors) = match answer {
        Ok(body) => return response(StatusCode::OK, body),
        Err(Rejection::NotFound(path)) => (StatusCode::NOT_FOUND, vec![format!("Not found: {path}")]),
        Err(Rejection::NotSimulated(text)) => (StatusCode::NOT_IMPLEMENTED, vec![text]),
        Err(Rejection::Handler(status, trace)) => (status, vec![trace]),
        Err(Rejection::Internal(trace)) => {
            let marked = format!("<Exception on server side:\n{trace}\nEnd of exception on server side>");
            (StatusCode::INTERNAL_SERVER_ERROR, vec!["Internal server error.".to_owned(), marked])
        }
    };
    let mut response = response(status, json!({"errors": errors}).to_string());
    if is_missing {
        mark_not_simulated(&mut response);
    }
    response
}

fn response(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    response
}

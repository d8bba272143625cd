//! Answers, and the forms in which requests are rejected.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::config::{ErrorShape, Superseded};
use super::rows::body;
use super::views::ChannelPath;
use crate::routes::mark_not_simulated;

pub(super) type Answer = Result<Reply, Rejection>;

/// 200, and what it says.
#[derive(Debug)]
pub(super) struct Reply {
    body: Content,
    /// Which node the next append had best go to.
    pub(super) affinity: Option<String>,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Json(Value),
    Lines(Bytes),
}

impl Reply {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { body: Content::Text(text.into()), affinity: None }
    }

    pub(super) fn lines(rows: &[Bytes]) -> Self {
        Self { body: Content::Lines(body(rows)), affinity: None }
    }

    pub(super) fn json(body: Value) -> Self {
        Self { body: Content::Json(body), affinity: None }
    }
}

/// A rejection in one of the service's forms.
#[derive(Debug)]
pub(super) enum Rejection {
    /// A code and a text, in the form that is configured.
    Coded { status: StatusCode, code: &'static str, message: String },
    /// A route that only a real account has.
    NotSimulated(String),
    /// A bare JSON string, whatever is configured.
    Bare(StatusCode, &'static str),
    /// The answer of `/oauth/token`.
    Grant(&'static str),
    /// An edge proxy: no body, and no code.
    Edge(StatusCode),
}

impl Rejection {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Coded { status, code, message: message.into() }
    }

    pub(super) fn bare(status: StatusCode, code: &'static str) -> Self {
        Self::Bare(status, code)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    pub(super) fn no_rows() -> Self {
        Self::bad_request("The body has no rows.")
    }

    /// No such method or path.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such resource.")
    }

    /// There is no node to carry the request out.
    pub(super) fn unowned() -> Self {
        Self::bare(StatusCode::SERVICE_UNAVAILABLE, "ERR_GENERAL_EXCEPTION_RETRY_REQUEST")
    }

    pub(super) fn no_channel(path: &ChannelPath) -> Self {
        let message = format!("Channel {} does not exist, or the role is not authorized.", path.channel);
        Self::new(StatusCode::NOT_FOUND, "ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED", message)
    }

    /// To a token whose row sequencer is not the channel's.
    pub(super) fn out_of_order(place: &str) -> Self {
        let message = format!("Row sequencer in the continuation token is {place} the channel's.");
        Self::new(StatusCode::BAD_REQUEST, "ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER", message)
    }

    /// To an append to a channel that has to be opened again.
    pub(super) fn invalidated(status: &str) -> Self {
        let message = format!("The channel is invalid ({status}). Please reopen the channel");
        Self::new(StatusCode::CONFLICT, "ERR_CHANNEL_MUST_BE_REOPENED", message)
    }

    pub(super) fn stale() -> Self {
        let message = "Channel sequencer in the continuation token is stale. Please reopen the channel";
        Self::new(StatusCode::BAD_REQUEST, "STALE_CONTINUATION_TOKEN_SEQUENCER", message)
    }

    /// To a token from before the channel was opened last.
    pub(super) fn superseded(how: Superseded) -> Self {
        match how {
            Superseded::Stale => Self::stale(),
            Superseded::Conflict => {
                let message = "Client sequencer in the continuation token is invalid. Please reopen the channel";
                Self::new(StatusCode::CONFLICT, "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER", message)
            }
        }
    }

    pub(super) fn uncommitted() -> Self {
        let message = "The channel has rows that are not committed yet.";
        Self::new(StatusCode::CONFLICT, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA", message)
    }
}

/// Turns what a handler came back with into the response.
pub(super) fn respond(answer: Answer, shape: ErrorShape) -> http::Response<Bytes> {
    let is_missing = matches!(answer, Err(Rejection::NotSimulated(_)));
    let (status, kind, body, affinity) = match answer {
        Ok(Reply { body: Content::Text(text), affinity }) => (StatusCode::OK, "text/plain", text.into(), affinity),
        Ok(Reply { body: Content::Json(body), affinity }) => (StatusCode::OK, JSON, body.to_string().into(), affinity),
        Ok(Reply { body: Content::Lines(rows), affinity }) => (StatusCode::OK, "application/x-ndjson", rows, affinity),
        Err(Rejection::Coded { status, code, message }) => {
            let body = match shape {
                ErrorShape::Code => json!({ "code": code, "message": message }),
                ErrorShape::ErrorCode => json!({ "error_code": code, "message": message }),
                ErrorShape::Text => json!(code),
                ErrorShape::StatusCode => json!({ "status_code": number(code), "message": message }),
            };
            (status, JSON, body.to_string().into(), None)
        }
        Err(Rejection::NotSimulated(message)) => {
            let body = match shape {
                ErrorShape::Code => json!({ "code": NOT_SIMULATED, "message": message }),
                ErrorShape::ErrorCode => json!({ "error_code": NOT_SIMULATED, "message": message }),
                ErrorShape::Text => json!(message),
                ErrorShape::StatusCode => json!({ "status_code": number(NOT_SIMULATED), "message": message }),
            };
            (StatusCode::NOT_IMPLEMENTED, JSON, body.to_string().into(), None)
        }
        Err(Rejection::Bare(status, code)) => (status, JSON, json!(code).to_string().into(), None),
        Err(Rejection::Grant(error)) => {
            (StatusCode::BAD_REQUEST, JSON, json!({ "error": error }).to_string().into(), None)
        }
        Err(Rejection::Edge(status)) => (status, "text/plain", Bytes::new(), None),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if is_missing {
        mark_not_simulated(&mut response);
    }
    if let Some(value) = affinity.and_then(|node| HeaderValue::try_from(node).ok()) {
        response.headers_mut().insert(HeaderName::from_static("x-snowflake-session"), value);
    }
    response
}

/// What the oldest description has instead of a code.
fn number(code: &str) -> u32 {
    match code {
        "390303" => 3,
        "STALE_CONTINUATION_TOKEN_SEQUENCER" => 4,
        code => code.parse().unwrap_or(99),
    }
}

const NOT_SIMULATED: &str = "NOT_SIMULATED";
const JSON: &str = "application/json";

//! Answers, and the forms in which requests are refused.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{ChannelPath, ErrorShape, Superseded};

pub(super) type Answer = Result<Reply, Refusal>;

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
        Self { body: Content::Lines(super::inspect::lines(rows)), affinity: None }
    }

    pub(super) fn json(body: Value) -> Self {
        Self { body: Content::Json(body), affinity: None }
    }
}

/// A refusal in one of the service's forms.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A code and a text, in the form that is configured.
    Coded { status: StatusCode, code: &'static str, message: String },
    /// A bare JSON string, whatever is configured.
    Bare(StatusCode, &'static str),
    /// The answer of `/oauth/token`.
    Grant(&'static str),
    /// An edge proxy: no body, and no code.
    Edge(StatusCode),
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Coded { status, code, message: message.into() }
    }

    pub(super) fn bare(status: StatusCode, code: &'static str) -> Self {
        Self::Bare(status, code)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    pub(super) fn no_channel(path: &ChannelPath) -> Self {
        let message = format!("Channel {} does not exist, or the role is not authorized.", path.channel);
        Self::new(StatusCode::NOT_FOUND, "ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED", message)
    }

    pub(super) fn stale() -> Self {
        let message = "Channel sequencer in the continuation token is stale. Please reopen the channel";
        Self::new(StatusCode::BAD_REQUEST, "STALE_CONTINUATION_TOKEN_SEQUENCER", message)
    }

    /// To a token of before the channel was opened last.
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
    let (status, kind, body, affinity) = match answer {
        Ok(Reply { body: Content::Text(text), affinity }) => (StatusCode::OK, "text/plain", text.into(), affinity),
        Ok(Reply { body: Content::Json(body), affinity }) => (StatusCode::OK, JSON, body.to_string().into(), affinity),
        Ok(Reply { body: Content::Lines(rows), affinity }) => (StatusCode::OK, "application/x-ndjson", rows, affinity),
        Err(Refusal::Coded { status, code, message }) => {
            let body = match shape {
                ErrorShape::Code => json!({ "code": code, "message": message }),
                ErrorShape::ErrorCode => json!({ "error_code": code, "message": message }),
                ErrorShape::Text => json!(code),
                ErrorShape::StatusCode => json!({ "status_code": number(code), "message": message }),
            };
            (status, JSON, body.to_string().into(), None)
        }
        Err(Refusal::Bare(status, code)) => (status, JSON, json!(code).to_string().into(), None),
        Err(Refusal::Grant(error)) => {
            (StatusCode::BAD_REQUEST, JSON, json!({ "error": error }).to_string().into(), None)
        }
        Err(Refusal::Edge(status)) => (status, "text/plain", Bytes::new(), None),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
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

const JSON: &str = "application/json";

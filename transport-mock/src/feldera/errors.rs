//! Answers, and the forms in which requests are rejected.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::routes::{mark_not_simulated, not_simulated};
use crate::streaming::OpenBody;

pub(super) type Answer = Result<Reply, Rejection>;

/// A success: under which status, and what it says.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Content,
    rest: Option<OpenBody>,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Json(Value),
    Text(&'static str, String),
    /// Of a kind, to be kept under a name.
    File(&'static str, &'static str, Vec<u8>),
    #[cfg(feature = "sql")]
    Bytes(&'static str, Vec<u8>),
}

impl Reply {
    pub(super) fn json(body: Value) -> Self {
        Self { body: Content::Json(body), ..Self::empty() }
    }

    pub(super) fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, ..Self::json(body) }
    }

    /// 202, and a JSON string.
    pub(super) fn accepted(text: &str) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::json(json!(text)) }
    }

    pub(super) fn accepted_json(body: Value) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::json(body) }
    }

    pub(super) fn empty() -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: Content::Nothing, rest: None }
    }

    pub(super) fn text(kind: &'static str, body: String) -> Self {
        Self { body: Content::Text(kind, body), ..Self::empty() }
    }

    pub(super) fn file(kind: &'static str, name: &'static str, body: Vec<u8>) -> Self {
        Self { body: Content::File(kind, name, body), ..Self::empty() }
    }

    #[cfg(feature = "sql")]
    pub(super) fn bytes(kind: &'static str, body: Vec<u8>) -> Self {
        Self { body: Content::Bytes(kind, body), ..Self::empty() }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What it says, as a text.
    pub(super) fn into_text(self) -> String {
        match self.body {
            Content::Nothing => String::new(),
            Content::Json(body) => body.to_string(),
            Content::Text(_, text) => text,
            Content::File(.., body) => String::from_utf8_lossy(&body).into_owned(),
            #[cfg(feature = "sql")]
            Content::Bytes(_, body) => String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// A body that begins like this and continues.
    pub(super) fn streaming(kind: &'static str, first: String, rest: OpenBody) -> Self {
        Self { rest: Some(rest), ..Self::text(kind, first) }
    }
}

/// A rejection in one of the server's forms.
#[derive(Debug)]
pub(super) enum Rejection {
    /// Message, code and details.
    Coded { status: StatusCode, code: String, message: String, details: Value, retry: bool },
    /// The method and path of a route that only a real server has.
    NotSimulated(String, String),
    /// A format that only a real server has, and what to do instead.
    FormatNotSimulated(&'static str, &'static str),
    /// What the web framework says to a query or body that cannot be read.
    Text(String),
    /// No body: a route that does not exist.
    Empty(StatusCode),
    /// A method that the path does not have.
    Denied,
    /// A key that is wrong.
    Unauthorized,
    /// No key, or none that can be read.
    NoCredential,
    /// What stands in front of the manager while it is down.
    Gateway,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>, details: Value) -> Self {
        Self::Coded { status, code: code.into(), message: message.into(), details, retry: false }
    }

    /// 400 with `{}` for details.
    pub(super) fn bad(code: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, json!({}))
    }

    /// 503 of the manager: come again in 5 s.
    pub(super) fn unavailable(code: &str, message: impl Into<String>, details: Value) -> Self {
        let (status, code) = (StatusCode::SERVICE_UNAVAILABLE, code.into());
        Self::Coded { status, code, message: message.into(), details, retry: true }
    }

    /// 503 of the pipeline, which says nothing about coming again.
    pub(super) fn not_yet(code: &str, message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message, Value::Null)
    }

    pub(super) fn gateway() -> Self {
        Self::Gateway
    }

    pub(super) fn unknown_route() -> Self {
        Self::Empty(StatusCode::NOT_FOUND)
    }

    pub(super) fn unknown_pipeline(name: &str) -> Self {
        let message = format!("Unknown pipeline name '{name}'");
        Self::new(StatusCode::NOT_FOUND, "UnknownPipelineName", message, json!({ "pipeline_name": name }))
    }

    pub(super) fn unknown_endpoint(table: &str, connector: &str) -> Self {
        let endpoint = format!("{}.{connector}", table.to_lowercase());
        let message = format!("unknown input endpoint name '{endpoint}'");
        Self::new(StatusCode::NOT_FOUND, "UnknownInputEndpoint", message, json!({ "endpoint_name": endpoint }))
    }

    pub(super) fn unknown_output(view: &str, connector: &str) -> Self {
        let endpoint = format!("{}.{connector}", view.to_lowercase());
        let message = format!("unknown output endpoint name '{endpoint}'");
        Self::new(StatusCode::NOT_FOUND, "UnknownOutputEndpoint", message, json!({ "endpoint_name": endpoint }))
    }

    pub(super) fn enterprise(feature: &str) -> Self {
        let message = format!("Cannot use enterprise-only feature ({feature}) in Feldera community edition.");
        Self::new(StatusCode::NOT_IMPLEMENTED, "EnterpriseFeature", message, json!({ "feature": feature }))
    }

    /// 501: a route that only a real server has.
    pub(super) fn not_simulated(method: &str, target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        Self::NotSimulated(method.to_owned(), path.to_owned())
    }

    /// 501: a format that only a real server has, and what to do instead.
    pub(super) fn format_not_simulated(format: &'static str, instead: &'static str) -> Self {
        Self::FormatNotSimulated(format, instead)
    }

    pub(super) fn invalid_parameter(error: &str) -> Self {
        let message = format!("Invalid parameter: {error}.");
        Self::new(StatusCode::BAD_REQUEST, "InvalidParam", message, json!({ "error": error }))
    }

    pub(super) fn configuration(status: StatusCode, kind: &str, message: &str, details: Value) -> Self {
        let message = format!("invalid controller configuration: {message}");
        let details = Value::Object([("config_error".to_owned(), details)].into_iter().collect());
        Self::new(status, &format!("ConfigError.{kind}"), message, details)
    }

    /// 400: a parameter of a format has a value that does not exist.
    pub(super) fn unparsed_format(config: &str, endpoint: &str, error: &str) -> Self {
        let message = format!(
            "Error parsing format configuration for input endpoint '{endpoint}': {error}\nInvalid configuration: {config}"
        );
        let details = json!({ "config": config, "endpoint_name": endpoint, "error": error });
        Self::configuration(StatusCode::BAD_REQUEST, "ParserConfigParseError", &message, details)
    }

    pub(super) fn query(error: impl Into<String>) -> Self {
        Self::Text(format!("Query deserialize error: {}", error.into()))
    }

    pub(super) fn body(error: impl Into<String>) -> Self {
        Self::Text(format!("Json deserialize error: {}", error.into()))
    }
}

/// Turns what a handler came back with into the response.
pub(super) fn respond(answer: Answer) -> http::Response<Bytes> {
    let rejection = match answer {
        Ok(Reply { status, headers, body, rest }) => {
            let mut response = match body {
                Content::Nothing => response(status, None, String::new()),
                Content::Json(body) => response(status, Some(JSON), body.to_string()),
                Content::Text(kind, body) => response(status, Some(kind), body),
                #[cfg(feature = "sql")]
                Content::Bytes(kind, body) => {
                    let mut response = response(status, Some(kind), String::new());
                    *response.body_mut() = body.into();
                    response
                }
                Content::File(kind, name, body) => {
                    let mut response = response(status, Some(kind), String::new());
                    *response.body_mut() = body.into();
                    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
                        response.headers_mut().insert(CONTENT_DISPOSITION, value);
                    }
                    response
                }
            };
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    response.headers_mut().insert(name, value);
                }
            }
            if let Some(rest) = rest {
                response.extensions_mut().insert(rest);
            }
            return response;
        }
        Err(rejection) => rejection,
    };
    match rejection {
        Rejection::Coded { status, code, message, details, retry } => {
            let body = json!({ "message": message, "error_code": code, "details": details });
            let mut response = response(status, Some(JSON), body.to_string());
            if retry {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            response
        }
        Rejection::NotSimulated(method, path) => {
            let message = not_simulated("feldera", &method, &path);
            let details = json!({ "method": method, "path": path });
            let body = json!({ "message": message, "error_code": "NotSimulated", "details": details });
            let mut response = response(StatusCode::NOT_IMPLEMENTED, Some(JSON), body.to_string());
            mark_not_simulated(&mut response);
            response
        }
        Rejection::FormatNotSimulated(format, instead) => {
            let message = format!("format `{format}` is not simulated by pipewright-sim; {instead}");
            let body = json!({ "message": message, "error_code": "NotSimulated", "details": { "format": format } });
            let mut response = response(StatusCode::NOT_IMPLEMENTED, Some(JSON), body.to_string());
            mark_not_simulated(&mut response);
            response
        }
        Rejection::Text(text) => response(StatusCode::BAD_REQUEST, Some(TEXT), text),
        Rejection::Empty(status) => response(status, None, String::new()),
        Rejection::Denied => {
            let message = "This endpoint has no access-control classification and is denied";
            let body = json!({ "message": message, "error_code": "InsufficientPermissions" });
            response(StatusCode::FORBIDDEN, Some(JSON), body.to_string())
        }
        Rejection::Unauthorized => {
            let body = json!({ "message": "Unauthorized API key", "error_code": "AuthenticationFailed" });
            response(StatusCode::UNAUTHORIZED, Some(TEXT), body.to_string())
        }
        Rejection::NoCredential => {
            let mut response = response(StatusCode::UNAUTHORIZED, None, String::new());
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Rejection::Gateway => {
            let page = "<html><body><h1>502 Bad Gateway</h1></body></html>\n";
            let mut response = response(StatusCode::BAD_GATEWAY, Some("text/html"), page.into());
            // Not the manager's.
            response.headers_mut().remove(VARY);
            response.headers_mut().remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
            response
        }
    }
}

fn response(status: StatusCode, kind: Option<&'static str>, body: String) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::from(body));
    *response.status_mut() = status;
    // The manager names the headers of CORS in every answer, also in those without a body.
    let cors = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    response.headers_mut().insert(VARY, HeaderValue::from_static(cors));
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

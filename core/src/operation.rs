//! [`Operation`]: one HTTP exchange, as data.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::body::Body;
use crate::decode::{LineLimit, Lines};
use crate::error::{BuildError, ServiceError};
use crate::json::{self, JsonError};
use crate::schema::{Value, WireField};
use crate::url::Base;

/// One HTTP exchange with a service, as data: how to ask and how to read the answer.
///
/// Operations are plain structs. They can be used without anything else of this crate: build the request, send
/// it by whatever means, parse the answer. [`Call`](crate::flow::Call) adds credentials, retries and deadlines.
///
/// ```
/// use pipewright::{Base, Operation, operation::RequestContext};
/// use pipewright::flink::JobId;
/// use pipewright::flink::jobs::{GetJobStatus, JobState};
///
/// let base: Base = "http://127.0.0.1:8081".parse()?;
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let operation = GetJobStatus::new(job);
///
/// let request = operation.request(RequestContext::new(&base))?;
/// assert_eq!(request.uri().path(), "/v1/jobs/4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f/status");
///
/// let answer = http::Response::new(r#"{"status":"RUNNING"}"#.into());
/// assert_eq!(operation.parse(answer)?.status, JobState::Running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Operation {
    /// What the answer says.
    type Output;
    /// Whose operation it is.
    type Service: Service;
    /// Its row in the service's table.
    const INFO: &'static OperationInfo;
    /// Whether the answer is a stream, and `Output` its [`Decoder`](crate::decode::Decoder).
    const STREAMING: bool = false;

    /// What sending this value twice does.
    fn effect(&self) -> Effect {
        Self::INFO.effect
    }

    /// How long to wait for one answer, where others are waited for `usual`.
    fn timeout(&self, usual: Duration) -> Duration {
        usual
    }

    /// The request, complete but for the credential.
    ///
    /// # Errors
    /// When a value of the operation cannot stand where it has to.
    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError>;

    /// Reads the complete answer. Of a [`STREAMING`](Self::STREAMING) operation: its head, and the body of a refusal.
    ///
    /// # Errors
    /// When the service refused, or the answer cannot be read.
    fn parse(&self, response: Response<Bytes>) -> Result<Self::Output, ServiceError>;
}

/// What sending a request twice does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing: it only reads.
    Safe,
    /// The same as sending it once.
    Idempotent,
    /// The same as sending it once, by a token that the server checks; but a refusal after an unanswered attempt
    /// may mean that the first one was carried out.
    Fenced,
    /// It happens twice. Never sent again after an attempt whose outcome is unknown.
    Once,
}

/// An operation's row in its service's table; [`operations`](crate::operations) lists them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// The service, as in `flink`.
    pub service: &'static str,
    /// The vendor's name of the operation; ours, in its style, where the vendor has none.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path template, with `{name}` for each parameter.
    pub path: &'static str,
    /// What sending it twice does; where that varies, without the optional parameter that makes it harmless.
    pub effect: Effect,
    /// Whether the effect depends on the values.
    pub effect_varies: bool,
}

impl OperationInfo {
    /// Describes an operation that this crate does not know; for operations of your own.
    ///
    /// The path is a template below the service's prefix, with `{name}` for each parameter. If the effect is not
    /// [`Effect::Once`], requests are repeated after lost responses.
    pub const fn new(
        service: &'static str,
        name: &'static str,
        method: Method,
        path: &'static str,
        effect: Effect,
    ) -> Self {
        Self { service, name, method, path, effect, effect_varies: false }
    }
}

/// What a request needs besides the operation: the base address and the number of the attempt.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    base: &'a Base,
    attempt: u32,
    from_files: bool,
}

impl<'a> RequestContext<'a> {
    /// The first attempt at a base address.
    pub fn new(base: &'a Base) -> Self {
        Self { base, attempt: 0, from_files: false }
    }

    /// Another attempt, counted from 0.
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// For a server that answers the same from files: it wants nothing of the service's own between the base address and
    /// the template, and decodes a path once.
    pub(crate) fn for_files(mut self) -> Self {
        self.from_files = true;
        self
    }

    /// Stands between the base address and the template.
    pub(crate) fn prefix<S: Service>(&self) -> &'static str {
        if self.from_files { "" } else { S::PREFIX }
    }

    /// Whether path segments are percent-decoded twice.
    pub(crate) fn decodes_twice<S: Service>(&self) -> bool {
        !self.from_files && S::DECODES_TWICE
    }

    /// Where the service is.
    pub fn base(&self) -> &'a Base {
        self.base
    }

    /// How many attempts came before.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// What the operations of one service have in common. Implemented by a marker type for each service.
pub trait Service: 'static {
    /// As in [`OperationInfo::service`].
    const NAME: &'static str;
    /// Stands between the base address and each template.
    const PREFIX: &'static str = "";
    /// The longest request line that the service reads.
    const MAX_REQUEST_LINE: usize = 8000;
    /// Whether the servers percent-decode path segments twice.
    const DECODES_TWICE: bool = false;
    /// The versions of the API, as they begin its paths. No base address ends with one: every request adds it.
    const VERSIONS: &'static [&'static str] = &[];
    /// The query parameter that says how many attempts came before; it stands last.
    const ATTEMPTS: Option<&'static str> = None;

    /// Adds what every request carries.
    fn default_headers(_headers: &mut HeaderMap) {}

    /// Reads an answer whose status is no success.
    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError;

    /// Whether a rejection of the kind [`Refused`](crate::error::ErrorKind::Refused) proves that the service has answered. By default
    /// it does. Return `false` for those that a gateway could have written as well.
    fn identifies_service(_rejection: &ServiceError) -> bool {
        true
    }

    /// Whether another credential might do. The request was not carried out then.
    fn is_auth_error(refusal: &ServiceError) -> bool {
        refusal.status() == StatusCode::UNAUTHORIZED
    }
}

/// A type that can be the answer of an operation. Records are; see their table.
pub trait FromResponse: Sized {
    /// Reads the body of a success.
    ///
    /// # Errors
    /// When it is not what the operation answers.
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError>;
}

/// Of a live operation: the decoder for the lines that follow the head.
impl FromResponse for Lines {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        // What a proxy says in a page of its own is not what was asked for.
        match crate::error::content_type(response) {
            Some(kind) if kind.eq_ignore_ascii_case("text/html") => {
                Err(ServiceError::unreadable(info, response, &format!("expected text/plain, got {kind}")))
            }
            _ => refuse_compressed(info, response).map(|()| Self::new(LineLimit::default())),
        }
    }
}

/// A list at the top of the body.
impl<T: WireField> FromResponse for Vec<T> {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        read_json::<Value<Self>>(info, response).map(|Value(list)| list)
    }
}

/// Sorts an answer by its status and reads it. What the table's operations do.
pub(crate) fn parse<S: Service, T: FromResponse>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
) -> Result<T, ServiceError> {
    parse_by::<S, T>(info, response, T::from_response)
}

/// The same with a reader that is not the type's own.
pub(crate) fn parse_by<S: Service, T>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
    read: impl FnOnce(&'static OperationInfo, &Response<Bytes>) -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    if response.status().is_success() { read(info, response) } else { Err(S::parse_error(info, response)) }
}

/// Reads a JSON body; a body said to be of another type is refused, one without a type is tried.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
) -> Result<T, ServiceError> {
    let kind = crate::error::content_type(response);
    if let Some(kind) = kind.filter(|kind| !is_json(kind)) {
        let problem = format!("expected application/json, got {kind}");
        return Err(ServiceError::unreadable(info, response, &problem));
    }
    if response.body().is_empty() {
        return Err(ServiceError::unreadable(info, response, "the body is empty"));
    }
    json::read(response.body()).map_err(|error| {
        let unreadable = ServiceError::unreadable(info, response, &error.to_string());
        // What is whole and still of another shape will be so next time.
        let transient = matches!(error, JsonError::Malformed(_) | JsonError::NotUtf8 { .. });
        let transient = transient && unreadable.is_transient();
        unreadable.with_transient(transient)
    })
}

/// Reads a response as an operation of service `S` does: a success as JSON, anything else with the service's own error parsing. For
/// [`Operation::parse`] of operations of your own.
///
/// ```
/// use pipewright::flink::{Flink, FlinkRest};
/// use pipewright::operation::{Effect, Operation, OperationInfo, RequestContext, parse_json};
/// use pipewright::{Body, driver::Canned, error::{BuildError, ServiceError}, url::Target};
/// # use std::collections::BTreeMap;
///
/// /// `GET /jobs/{jobid}/labels`: an endpoint of a proxy in front of Flink.
/// struct GetLabels { job: String }
///
/// impl Operation for GetLabels {
///     type Output = BTreeMap<String, String>;
///     type Service = FlinkRest;
///     const INFO: &'static OperationInfo =
///         &OperationInfo::new("flink", "getLabels", http::Method::GET, "/jobs/{jobid}/labels", Effect::Safe);
///
///     fn request(&self, cx: RequestContext<'_>) -> Result<http::Request<Body>, BuildError> {
///         let mut target = Target::new::<FlinkRest>(Self::INFO, cx);
///         target.segment("jobid", &self.job)?;
///         target.finish(None)
///     }
///
///     fn parse(&self, response: http::Response<bytes::Bytes>) -> Result<Self::Output, ServiceError> {
///         parse_json::<FlinkRest, _>(Self::INFO, &response)
///     }
/// }
///
/// // The 503 is retried, because the operation only reads.
/// let runtime = Canned::new([("GET /v1/jobs/7/labels", 503, ""), ("GET /v1/jobs/7/labels", 200, r#"{"team":"orders"}"#)]);
/// let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
/// assert_eq!(flink.call(GetLabels { job: "7".into() })?["team"], "orders");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ServiceError`] if the status is not a success, if the body is not JSON, or if it is not a `T`.
pub fn parse_json<S: Service, T: serde::de::DeserializeOwned>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
) -> Result<T, ServiceError> {
    parse_by::<S, T>(info, response, read_json)
}

/// For bodies that are handed on as they are.
pub(crate) fn refuse_compressed(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<(), ServiceError> {
    match crate::error::compressed(response) {
        Some(problem) => Err(ServiceError::unreadable(info, response, &problem)),
        None => Ok(()),
    }
}

/// `application/json` and what is built on it ([RFC 6839 §3.1](https://www.rfc-editor.org/rfc/rfc6839#section-3.1)).
fn is_json(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("application/json")
        || kind.rsplit_once('+').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
}

/// Whether a template has just these parameters, in this order. Checked while compiling.
#[allow(
    clippy::indexing_slicing,
    reason = "slices have no `get` in constants, and a panic here is an error of the compiler"
)]
pub(crate) const fn template_matches(template: &str, parameters: &[&str]) -> bool {
    let template = template.as_bytes();
    let (mut at, mut parameter) = (0, 0);
    while at < template.len() {
        if template[at] == b'{' {
            if parameter == parameters.len() {
                return false;
            }
            let name = parameters[parameter].as_bytes();
            let mut byte = 0;
            while byte < name.len() {
                if at + 1 + byte >= template.len() || template[at + 1 + byte] != name[byte] {
                    return false;
                }
                byte += 1;
            }
            at += 1 + name.len();
            if at >= template.len() || template[at] != b'}' {
                return false;
            }
            parameter += 1;
        }
        at += 1;
    }
    parameter == parameters.len()
}

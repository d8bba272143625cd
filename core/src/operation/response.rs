//! [`FromResponse`] and [`parse_json`]: read the response of an operation.

use bytes::Bytes;
use http::Response;

use super::{OperationInfo, Service};
use crate::decode::{LineLimit, Lines};
use crate::error::ServiceError;
use crate::json::{self, JsonError};
use crate::schema::{Value, WireField};

/// A type that an operation reads from its response. All JSON records of this crate implement it.
pub trait FromResponse: Sized {
    /// Reads the body of a success.
    ///
    /// # Errors
    /// A [`ServiceError`] if the body is not of this type.
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError>;
}

/// For streaming operations: the decoder for the lines of the body.
impl FromResponse for Lines {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        // A web page comes from a proxy, and not from the service.
        match crate::error::content_type(response) {
            Some(kind) if kind.eq_ignore_ascii_case("text/html") => {
                Err(ServiceError::unreadable(info, response, &format!("expected text/plain, got {kind}")))
            }
            _ => reject_compressed(info, response).map(|()| Self::new(LineLimit::default())),
        }
    }
}

/// Records, and lists of them.
impl<T: WireField> FromResponse for T {
    #[inline]
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        read_answer(info, response).map(|Value(value)| value)
    }
}

/// Reads a response: a success as `T`, any other status as the service's error.
pub(crate) fn parse<S: Service, T: FromResponse>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
) -> Result<T, ServiceError> {
    parse_by::<S, T>(info, response, T::from_response)
}

/// Does the same with another reader of the body.
pub(crate) fn parse_by<S: Service, T>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
    read: impl FnOnce(&'static OperationInfo, &Response<Bytes>) -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    if response.status().is_success() { read(info, response) } else { Err(S::parse_error(info, response)) }
}

/// Reads a JSON body. Rejects a body with another content type; accepts a body without a content type.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
) -> Result<T, ServiceError> {
    read_json_by(info, response, json::read)
}

/// Does the same, and leaves out parts of the answer that do not fit, if they are optional.
pub(crate) fn read_answer<T: serde::de::DeserializeOwned>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
) -> Result<T, ServiceError> {
    read_json_by(info, response, json::read_answer)
}

fn read_json_by<T>(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
    read: impl FnOnce(&[u8]) -> Result<T, JsonError>,
) -> Result<T, ServiceError> {
    let kind = crate::error::content_type(response);
    if let Some(kind) = kind.filter(|kind| !is_json(kind)) {
        let problem = format!("expected application/json, got {kind}");
        return Err(ServiceError::unreadable(info, response, &problem));
    }
    if response.body().is_empty() {
        return Err(ServiceError::unreadable(info, response, "the body is empty"));
    }
    read(response.body()).map_err(|error| {
        let unreadable = ServiceError::unreadable(info, response, &error.to_string());
        // A complete answer of another shape would have the same shape at the next attempt.
        let transient = matches!(error, JsonError::Malformed(_) | JsonError::NotUtf8 { .. });
        let transient = transient && unreadable.is_transient();
        unreadable.with_transient(transient)
    })
}

/// Reads a response as an operation of service `S` does: a success as JSON, any other status with the service's error
/// parsing. Use it in [`Operation::parse`](super::Operation::parse) of your own operations.
/// [`JsonOperation`](super::JsonOperation) needs less code, if the request has no body.
///
/// ```
/// use pipewright::flink::{Flink, FlinkRest};
/// use pipewright::operation::{Effect, Operation, OperationInfo, RequestContext, Target, parse_json};
/// use pipewright::{Body, driver::Canned, error::{BuildError, ServiceError}};
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

/// Rejects a compressed body, for operations that return the body unread.
pub(crate) fn reject_compressed(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<(), ServiceError> {
    match crate::error::compressed(response) {
        Some(problem) => Err(ServiceError::unreadable(info, response, &problem)),
        None => Ok(()),
    }
}

/// Returns whether a media type is `application/json`, or another type with JSON syntax ([RFC 6839
/// §3.1](https://www.rfc-editor.org/rfc/rfc6839#section-3.1)).
fn is_json(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("application/json")
        || kind.rsplit_once('+').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
}

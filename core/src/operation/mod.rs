//! [`Operation`]: one HTTP exchange, as data.

mod context;
mod json_operation;
mod response;
mod target;
mod version;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

use crate::body::Body;
use crate::error::{BuildError, ServiceError};
pub(crate) use crate::operation_info::template_matches;
pub use crate::operation_info::{Effect, OperationInfo};

pub use self::context::RequestContext;
pub use self::json_operation::JsonOperation;
pub use self::response::{FromResponse, parse_json};
pub(crate) use self::response::{parse, parse_by, read_answer, read_json, reject_compressed};
pub use self::target::Target;
pub(crate) use self::version::KnownVersion;
pub use self::version::{InvalidVersion, ServerVersion};

/// One HTTP exchange with a service, as data: it builds the request and reads the response.
///
/// Operations are plain structs. You can use them without the rest of this crate: build the request, send it with any
/// HTTP client, and parse the response. [`Call`](crate::flow::Call) adds credentials, retries and deadlines.
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
    /// The type of the answer.
    type Output;
    /// The service of the operation.
    type Service: Service;
    /// Name, method, path template and effect.
    const INFO: &'static OperationInfo;
    /// Whether the response is a stream. Then `Output` is its [`Decoder`](crate::decode::Decoder).
    const STREAMING: bool = false;

    /// Returns what happens if this request is sent twice.
    fn effect(&self) -> Effect {
        Self::INFO.effect
    }

    /// Returns how long to wait for the response to one attempt. Most operations return `usual`.
    fn timeout(&self, usual: Duration) -> Duration {
        usual
    }

    /// Builds the request, without the credential.
    ///
    /// # Errors
    /// A [`BuildError`] if a value of the operation is invalid, such as an empty name in the path.
    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError>;

    /// Reads the complete response; for a [`STREAMING`](Self::STREAMING) operation its head, or a complete error
    /// response.
    ///
    /// # Errors
    /// A [`ServiceError`] if the service rejected the request, or if the response cannot be read.
    fn parse(&self, response: Response<Bytes>) -> Result<Self::Output, ServiceError>;
}

/// What the operations of one service have in common. Implemented by a marker type for each service.
pub trait Service: 'static {
    /// The name of the service, as in [`OperationInfo::service`].
    const NAME: &'static str;
    /// The path between the base address and each template.
    const PREFIX: &'static str = "";
    /// The longest request line that the service reads, in bytes.
    const MAX_REQUEST_LINE: usize = 8000;
    /// Whether the servers percent-decode path segments twice.
    const DECODES_TWICE: bool = false;
    /// The path segments of the API's versions, each with its slash, such as `/v1`. A base address must not end with a
    /// version, because every request adds it.
    const VERSIONS: &'static [&'static str] = &[];
    /// The name of the last query parameter, which has the number of earlier attempts. `None` if the service has no
    /// such parameter.
    const ATTEMPTS: Option<&'static str> = None;

    /// Adds the headers of every request.
    fn default_headers(_headers: &mut HeaderMap) {}

    /// Reads a response whose status is not a success.
    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError;

    /// Returns whether a rejection of the kind [`Rejected`](crate::error::ErrorKind::Rejected) proves that the service
    /// has answered; true by default. Return `false` for rejections that a gateway may write, too.
    fn identifies_service(_rejection: &ServiceError) -> bool {
        true
    }

    /// Returns whether another credential may be accepted. Such a request was not carried out.
    fn is_auth_error(rejection: &ServiceError) -> bool {
        rejection.status() == StatusCode::UNAUTHORIZED
    }
}

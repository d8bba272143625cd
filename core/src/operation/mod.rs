//! [`Operation`]: one HTTP exchange, as data.

mod context;
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
pub use self::response::{FromResponse, parse_json};
pub(crate) use self::response::{parse, parse_by, read_answer, read_json, reject_compressed};
pub use self::target::Target;
pub(crate) use self::version::KnownVersion;
pub use self::version::{InvalidVersion, ServerVersion};

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

    /// Reads the complete answer. Of a [`STREAMING`](Self::STREAMING) operation: its head, and the body of a rejection.
    ///
    /// # Errors
    /// When the service rejected the request, or the answer cannot be read.
    fn parse(&self, response: Response<Bytes>) -> Result<Self::Output, ServiceError>;
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

    /// Whether a rejection of the kind [`Rejected`](crate::error::ErrorKind::Rejected) proves that the service has
    /// answered. By default it does. Return `false` for those that a gateway could have written as well.
    fn identifies_service(_rejection: &ServiceError) -> bool {
        true
    }

    /// Whether another credential might do. The request was not carried out then.
    fn is_auth_error(rejection: &ServiceError) -> bool {
        rejection.status() == StatusCode::UNAUTHORIZED
    }
}

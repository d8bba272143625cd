//! [`JsonOperation`]: operations of your own in a few lines.

use bytes::Bytes;
use http::{Request, Response};
use serde::de::DeserializeOwned;

use super::{Operation, OperationInfo, RequestContext, Service, Target, parse_json};
use crate::body::Body;
use crate::error::{BuildError, ServiceError};

/// An operation of your own without a request body, whose answer is JSON. A type that implements it is an
/// [`Operation`].
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::error::BuildError;
/// use pipewright::flink::{Flink, FlinkRest};
/// use pipewright::operation::{Effect, JsonOperation, OperationInfo, Target};
/// # use std::collections::BTreeMap;
///
/// /// `GET /jobs/{jobid}/labels`: an endpoint of a proxy in front of Flink.
/// struct GetLabels { job: String }
///
/// impl JsonOperation for GetLabels {
///     type Answer = BTreeMap<String, String>;
///     type Api = FlinkRest;
///     const ROW: &'static OperationInfo =
///         &OperationInfo::new("flink", "getLabels", http::Method::GET, "/jobs/{jobid}/labels", Effect::Safe);
///
///     fn parameters(&self, target: &mut Target<'_>) -> Result<(), BuildError> {
///         target.segment("jobid", &self.job)
///     }
/// }
///
/// // The 503 is retried, because the operation only reads.
/// let runtime = Canned::new([("GET /v1/jobs/7/labels", 503, ""), ("GET /v1/jobs/7/labels", 200, r#"{"team":"orders"}"#)]);
/// let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
/// assert_eq!(flink.call(GetLabels { job: "7".into() })?["team"], "orders");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait JsonOperation {
    /// The type that the answer is read as.
    type Answer: DeserializeOwned;
    /// The service that has the operation: it decides about headers and error parsing.
    type Api: Service;
    /// The method, the path and the effect.
    const ROW: &'static OperationInfo;

    /// Writes the parameters of the path in the order of its template, then those of the query. By default it writes
    /// nothing.
    ///
    /// # Errors
    /// [`BuildError::Value`] if a value cannot be sent as a parameter, or if the path has no such parameter at this
    /// place. The request is not built either if a parameter of the path is not written.
    fn parameters(&self, target: &mut Target<'_>) -> Result<(), BuildError> {
        let _ = target;
        Ok(())
    }
}

impl<T: JsonOperation> Operation for T {
    type Output = T::Answer;
    type Service = T::Api;
    const INFO: &'static OperationInfo = T::ROW;

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<T::Api>(T::ROW, cx);
        self.parameters(&mut target)?;
        target.finish(None)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<T::Answer, ServiceError> {
        parse_json::<T::Api, _>(T::ROW, &response)
    }
}

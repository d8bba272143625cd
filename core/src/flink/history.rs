//! The [HistoryServer](https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/advanced/historyserver/):
//! the archive of jobs that have ended.
//!
//! It offers a part of the REST API, from files, with paths without `/v1`. Wrap an operation in [`FromHistory`] to send
//! it to a HistoryServer. An operation that the HistoryServer does not have does not compile:
//!
//! ```
//! use pipewright::{Base, Operation, operation::RequestContext};
//! use pipewright::flink::JobId;
//! use pipewright::flink::history::FromHistory;
//! use pipewright::flink::jobs::GetJob;
//!
//! let base: Base = "http://127.0.0.1:8082".parse()?;
//! let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
//! let request = FromHistory(GetJob::new(job)).request(RequestContext::new(&base))?;
//! assert_eq!(request.uri().path(), "/jobs/4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```compile_fail,E0277
//! # use pipewright::{Base, Operation, operation::RequestContext};
//! # use pipewright::flink::JobId;
//! # use pipewright::flink::history::FromHistory;
//! # use pipewright::flink::jobs::GetJobStatus;
//! # fn request(base: &Base, job: JobId) {
//! FromHistory(GetJobStatus::new(job)).request(RequestContext::new(base));
//! # }
//! ```
//!
//! The HistoryServer has:
//!
//! * [`GetConfig`]: its [`web_history`](super::cluster::Features::web_history) is true, unlike that of a JobManager;
//! * [`GetJobsOverview`];
//! * for each job its details, plan, configuration, exceptions, accumulators, checkpoints, vertices, attempts of
//!   subtasks, and facts about its JobManager;
//! * since 2.3 the applications, and the rescales of jobs of the adaptive scheduler.
//!
//! It does **not** have:
//!
//! * the cluster overview, the list of jobs, their status and execution result;
//! * metrics, watermarks, back pressure, flame graphs, TaskManagers and logs;
//! * the accumulators and the current attempt of vertices and subtasks ([`GetAttempt`] has both for each attempt);
//! * operations that change something. So no flow runs on it. No flow is needed, because its data do not change.
//!
//! A path that the HistoryServer does not have, and an unknown job, are rejected with 404 and `File not found.` If a
//! JobManager had rejected an operation when the job was archived, the rejection has status **200**. An example are
//! rescales without the adaptive scheduler. Options in a query, such as
//! [`max_exceptions`](GetJobExceptions::max_exceptions), are ignored. A job appears at the earliest
//! `historyserver.archive.fs.refresh-interval` (10 s) after it has ended.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::applications::{GetApplication, GetApplicationConfig, GetApplicationExceptions, ListApplications};
use super::checkpoints::{GetCheckpointConfig, GetCheckpointDetails, GetCheckpoints, GetVertexCheckpoint};
use super::cluster::GetConfig;
use super::jobs::{
    GetJob, GetJobAccumulators, GetJobConfig, GetJobExceptions, GetJobManagerJobConfig, GetJobManagerJobEnvironment,
    GetJobManagerLogUrl, GetJobPlan, GetJobsOverview, GetTaskManagerLogUrl,
};
use super::rescaling::{GetRescale, GetRescaleConfig, GetRescales, GetRescalesOverview, GetRescalesSummary};
use super::vertices::{GetAttempt, GetAttemptAccumulators, GetSubtaskTimes, GetVertex, GetVertexTaskManagers};
use super::{FlinkRest, error};
use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::operation::{Effect, Operation, OperationInfo, RequestContext, Service};

/// A marker for a HistoryServer: the [`Service`] of [`FromHistory`].
#[derive(Clone, Copy, Debug)]
pub enum HistoryServer {}

/// A client for a HistoryServer. See [`Client`](crate::driver::Client) for its methods.
pub type FlinkHistory<T> = crate::driver::Client<HistoryServer, T>;

impl Service for HistoryServer {
    const NAME: &'static str = FlinkRest::NAME;
    const MAX_REQUEST_LINE: usize = FlinkRest::MAX_REQUEST_LINE;
    const VERSIONS: &'static [&'static str] = FlinkRest::VERSIONS;

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        error::parse_error(info, response)
    }

    fn identifies_service(rejection: &ServiceError) -> bool {
        error::identifies_service(rejection)
    }
}

/// An operation of the REST API that a HistoryServer has, too. This trait is sealed.
pub trait Archived: Operation<Service = FlinkRest> + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

/// Sends an operation to a HistoryServer instead of a JobManager. See [the module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct FromHistory<O>(pub O);

impl<O: Archived> Operation for FromHistory<O> {
    type Output = O::Output;
    type Service = HistoryServer;

    const INFO: &'static OperationInfo = O::INFO;

    fn effect(&self) -> Effect {
        self.0.effect()
    }

    fn timeout(&self, usual: Duration) -> Duration {
        self.0.timeout(usual)
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        self.0.request(cx.with_paths_of::<HistoryServer>())
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Self::Output, ServiceError> {
        if response.status().is_success() && response.body().starts_with(REJECTED) {
            return Err(error::parse_error(Self::INFO, &response));
        }
        self.0.parse(response)
    }
}

/// The beginning of an archived response that was a rejection.
const REJECTED: &[u8] = br#"{"errors":["#;

macro_rules! archived {
    ($($operation:ty),* $(,)?) => {$(
        impl sealed::Sealed for $operation {}
        impl Archived for $operation {}
    )*};
}

archived! {
    GetConfig,
    GetJobsOverview,
    ListApplications,
    GetApplication,
    GetApplicationExceptions,
    GetApplicationConfig,
    GetJob,
    GetJobPlan,
    GetJobConfig,
    GetJobExceptions,
    GetJobAccumulators,
    GetJobManagerJobConfig,
    GetJobManagerJobEnvironment,
    GetJobManagerLogUrl,
    GetTaskManagerLogUrl,
    GetCheckpoints,
    GetCheckpointConfig,
    GetCheckpointDetails,
    GetVertexCheckpoint,
    GetRescaleConfig,
    GetRescale,
    GetRescales,
    GetRescalesOverview,
    GetRescalesSummary,
    GetVertex,
    GetVertexTaskManagers,
    GetSubtaskTimes,
    GetAttempt,
    GetAttemptAccumulators,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::Base;

    #[test]
    fn a_base_that_ends_with_the_version_of_the_api_is_rejected() {
        for bad in ["http://h:8081/v1", "http://h/v1/", "https://h/flink/v1"] {
            let base: Base = bad.parse().expect("a base");
            let cx = RequestContext::new(&base);
            for error in [GetConfig::new().request(cx), FromHistory(GetConfig::new()).request(cx)] {
                let error = error.expect_err(bad).to_string();
                assert!(error.contains("/v1\": it ends with the version of the API"), "{error}");
            }
        }
        for good in ["http://h/v1/flink", "http://h/rev1", "http://h/v0"] {
            let base: Base = good.parse().expect("a base");
            assert!(GetConfig::new().request(RequestContext::new(&base)).is_ok(), "{good}");
        }
    }
}

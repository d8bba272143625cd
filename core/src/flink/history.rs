//! The [HistoryServer](https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/advanced/historyserver/): what
//! is left of jobs that have ended.
//!
//! It answers a part of the REST API's questions from files, without `/v1` in front of their paths. The same operations and
//! answers serve, each wrapped in [`FromHistory`]; what it does not have does not compile:
//!
//! ```
//! use pipewright::{Base, Operation, operation::RequestContext};
//! use pipewright::flink::{FromHistory, GetJob, JobId};
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
//! # use pipewright::flink::{FromHistory, GetJobStatus, JobId};
//! # fn request(base: &Base, job: JobId) {
//! FromHistory(GetJobStatus::new(job)).request(RequestContext::new(base));
//! # }
//! ```
//!
//! It has [`GetConfig`], whose [`web_history`](super::cluster::Features::web_history) tells it from a JobManager;
//! [`GetJobsOverview`] and [`ListApplications`]; and of each job the details, plan, configuration, exceptions, accumulators,
//! checkpoints, vertices with their subtasks and attempts, and what is known of its JobManager.
//!
//! It does **not** have: the overview and the list of jobs, their status and execution result, metrics, watermarks, back
//! pressure, flame graphs, TaskManagers, logs, and whatever changes something. So no flow runs on it, but none is needed:
//! what it knows does not change any more. What it lacks is refused, as is an unknown job, with 404 and `File not found.`. A job appears
//! `historyserver.archive.fs.refresh-interval` (10 s) after it has ended, or later.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::applications::ListApplications;
use super::checkpoints::{GetCheckpointConfig, GetCheckpointDetails, GetVertexCheckpoint};
use super::jobs::{
    GetJobConfig, GetJobManagerJobConfig, GetJobManagerJobEnvironment, GetJobManagerLogUrl, GetJobPlan,
    GetTaskManagerLogUrl,
};
use super::vertices::{
    GetAttempt, GetAttemptAccumulators, GetSubtask, GetSubtaskAccumulators, GetSubtaskTimes, GetVertex,
    GetVertexAccumulators, GetVertexTaskManagers,
};
use super::{
    FlinkRest, GetCheckpoints, GetConfig, GetJob, GetJobAccumulators, GetJobExceptions, GetJobsOverview, error,
};
use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::operation::{Effect, Info, Operation, RequestContext, Service};

/// A HistoryServer: a marker, the [`Service`] of [`FromHistory`].
#[derive(Clone, Copy, Debug)]
pub enum HistoryServer {}

/// A HistoryServer. See [`Handle`](crate::drive::Handle) for what it can.
pub type FlinkHistory<T> = crate::drive::Handle<HistoryServer, T>;

impl Service for HistoryServer {
    const NAME: &'static str = FlinkRest::NAME;
    const MAX_REQUEST_LINE: usize = FlinkRest::MAX_REQUEST_LINE;
    const DECODES_TWICE: bool = FlinkRest::DECODES_TWICE;

    fn refusal(info: &'static Info, response: &Response<Bytes>) -> ServiceError {
        error::refusal(info, response)
    }
}

/// An operation of the REST API that a HistoryServer has, too. Sealed: the list is its own.
pub trait Archived: Operation<Service = FlinkRest> + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

/// Asks a HistoryServer instead of a JobManager. See [the module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct FromHistory<O>(pub O);

impl<O: Archived> Operation for FromHistory<O> {
    type Output = O::Output;
    type Service = HistoryServer;

    const INFO: &'static Info = O::INFO;

    fn effect(&self) -> Effect {
        self.0.effect()
    }

    fn timeout(&self, usual: Duration) -> Duration {
        self.0.timeout(usual)
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        self.0.request(cx.without_prefix())
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Self::Output, ServiceError> {
        self.0.parse(response)
    }
}

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
    GetVertex,
    GetVertexAccumulators,
    GetVertexTaskManagers,
    GetSubtask,
    GetSubtaskAccumulators,
    GetSubtaskTimes,
    GetAttempt,
    GetAttemptAccumulators,
}

//! Apache Flink: the [REST API](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/) of
//! JobManagers from 1.18 to 2.3, the SQL Gateway and the HistoryServer.
//!
//! ```sh
//! cargo add pipewright pipewright-ureq
//! ```
//!
//! This program takes a savepoint of each running job:
//!
//! ```
//! # mod pipewright_ureq {
//! #     pub struct Ureq;
//! #     impl Ureq {
//! #         pub fn new() -> pipewright::driver::Canned {
//! #             pipewright::driver::Canned::new([("GET /v1/jobs/overview", 200, r#"{"jobs":[]}"#)])
//! #         }
//! #     }
//! # }
//! use pipewright::flink::jobs::{GetJobsOverview, JobState};
//! use pipewright::flink::{Flink, TakeSavepoint};
//! use pipewright_ureq::Ureq;
//!
//! let flink = Flink::new("http://127.0.0.1:8081".parse()?, Ureq::new());
//! for job in flink.call(GetJobsOverview::new())?.jobs {
//!     if job.state == JobState::Running {
//!         let savepoint = flink.run(TakeSavepoint::new(job.id).target_directory("s3://bucket/savepoints"))?;
//!         println!("{}: {}", job.id, savepoint.location);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `call` sends one [operation](#all-operations), and `run` carries out a [goal](#goals), which takes several
//! exchanges.
#![doc = include_str!("flows.md")]
//!
//! # Traps
//!
//! What to know about Flink, and how the types and flows handle it:
//!
//! * **COMPLETED does not mean success.** A trigger's outcome is in
//!   [`SavepointStatus::outcome`](savepoints::SavepointStatus::outcome).
//! * **A trigger for a job that does not exist is accepted.** The asynchronous operation then fails.
//! * **Status codes are irregular**: an unknown job is 404 for some operations and 500 for others. Call
//!   [`is_unknown_job`].
//! * **Answers about a job are cached** for `web.refresh-interval` (3 s), and metrics for 10 s. Not cached are
//!   [`GetJobStatus`](jobs::GetJobStatus), [`GetJobs`](jobs::GetJobs), [`GetJobsOverview`](jobs::GetJobsOverview),
//!   [`GetJobExecutionResult`](jobs::GetJobExecutionResult) and triggers. Flows decide about the state of a job by
//!   these operations. Statistics of checkpoints may be 3 s old.
//! * **Running a jar may fail although a job was submitted.** A client can find out only if it has chosen the job id.
//!   [`RunJar`] chooses it.
//! * **A request line may have 4,096 bytes.** [`ReadMetrics`] spreads long lists of names over several requests.
//!
//! # Modules
//!
//! | module | content |
//! |---|---|
//! | [`cluster`] | overview, configuration, version, shutdown |
//! | [`jobmanager`], [`taskmanagers`] | configuration, logs, threads |
//! | [`jars`] | upload, list, plan, run, delete |
//! | [`applications`] | what main methods submit, since 2.3 |
//! | [`jobs`] | list, overview, details, status, cancel, exceptions, execution result, accumulators |
//! | [`vertices`] | vertices and subtasks: details, times, accumulators, watermarks, back pressure |
//! | [`metrics`] | metrics of all parts of the cluster, plain and aggregated |
//! | [`savepoints`] | savepoint, stop with savepoint, and their outcomes |
//! | [`checkpoints`] | statistics, triggers |
//! | [`history`] | jobs that have ended, from a HistoryServer |
//! | [`rescaling`] | bounds of the parallelism, outcomes of rescales |
//! | [`disposal`], [`datasets`] | delete savepoints and cluster data sets |
//! | [`flamegraph`], [`profiler`] | samples of what the threads are doing |
//! | [`sql_gateway`] | the SQL Gateway, a service of its own: sessions, statements, pages of rows |
#![doc = include_str!("operations.md")]

pub mod applications;
pub mod checkpoints;
pub mod cluster;
mod comma_list;
pub mod datasets;
pub mod disposal;
mod error;
mod exception;
pub mod flamegraph;
mod flow;
pub mod history;
mod ids;
pub mod jars;
pub mod jobmanager;
pub mod jobs;
pub mod logs;
pub mod metrics;
mod multipart;
pub mod profiler;
pub mod rescaling;
pub mod savepoints;
pub mod sql_gateway;
pub mod taskmanagers;
mod time;
mod tuning;
pub mod vertices;

use bytes::Bytes;
use http::Response;

pub use self::comma_list::CommaList;
pub use self::error::is_unknown_job;
pub use self::exception::{Cause, Throwable};
pub use self::flow::{
    AwaitCheckpoint, AwaitJob, Cancel, DeleteDataset, DisposeSavepoint, JobDiagnosis, JobEvent, JobListEvent,
    JobListWatch, JobLookup, JobManagerLookup, JobReport, JobWatch, Launched, Profile, Profiled, ReadAggregatedMetrics,
    ReadMetrics, Removed, Rescale, Rescaled, RunJar, SampleFlameGraph, Savepoint, Snapshot, StopWithSavepoint, Stopped,
    TakeSavepoint, TriggerCheckpoint, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase, UpgradeStatus, WatchJob,
    WatchJobs,
};
pub use self::ids::{ApplicationId, DatasetId, JarId, JobId, RescaleId, TaskManagerId, TriggerId, VertexId};
pub use self::time::Millis;

use crate::error::ServiceError;
use crate::operation::{OperationInfo, Service};
pub use crate::schema::PartialList;
use crate::schema::json_structs;

/// A marker for the REST API of Flink: the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum FlinkRest {}

/// A client for a Flink cluster. See [`Client`](crate::driver::Client) for its methods.
pub type Flink<T> = crate::driver::Client<FlinkRest, T>;

impl Service for FlinkRest {
    const NAME: &'static str = "flink";
    const PREFIX: &'static str = "/v1";
    const VERSIONS: &'static [&'static str] = &["/v1"];
    // Netty's default; a longer line gets a 404 for "/bad-request" and the end of the connection.
    const MAX_REQUEST_LINE: usize = 4096;
    const DECODES_TWICE: bool = true;

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        error::parse_error(info, response)
    }

    fn identifies_service(rejection: &ServiceError) -> bool {
        error::identifies_service(rejection)
    }
}

json_structs! {
    /// `{}`: the server accepted the request, and reports nothing else.
    pub struct Acknowledged {}
}

/// Returns all operations, from the tables of the modules.
pub(crate) fn operations() -> impl Iterator<Item = &'static OperationInfo> {
    [
        cluster::OPERATIONS,
        jars::OPERATIONS,
        jars::UPLOAD,
        savepoints::OPERATIONS,
        jobmanager::OPERATIONS,
        taskmanagers::OPERATIONS,
        metrics::OPERATIONS,
        vertices::OPERATIONS,
        applications::OPERATIONS,
        datasets::OPERATIONS,
        disposal::OPERATIONS,
        flamegraph::OPERATIONS,
        profiler::OPERATIONS,
        rescaling::OPERATIONS,
        rescaling::PUT,
    ]
    .into_iter()
    .flatten()
    .chain(jobs::tables())
    .chain(checkpoints::tables())
    .copied()
    .chain(sql_gateway::operations())
}

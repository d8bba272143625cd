//! Jobs: list, overview, details, status, cancel, exceptions, execution result, accumulators.

mod config;
mod details;
mod result;
mod submit;
mod yarn;

use super::{Acknowledged, CommaList, FlinkRest, JobId, Millis, PartialList};
use crate::schema::{json_structs, operations, string_enums};

pub use config::{
    ExecutionConfig, GetJobConfig, GetJobManagerJobConfig, GetJobManagerJobEnvironment, GetJobManagerLogUrl,
    GetJobPlan, GetTaskManagerLogUrl, JobConfig, SendHeartbeat,
};
pub use details::{IoMetrics, JobDetails, TaskState, VertexSummary};
pub use result::{
    Accumulator, Accumulators, ApplicationStatus, ExceptionHistory, ExceptionInfo, Exceptions, ExecutionResult,
    JobResult, OldException, QueueState, QueueStatus,
};
pub use yarn::{YarnCancelJob, YarnStopJob};

pub use submit::{Coordinate, Coordinated, GraphArtifact, JobUrl, SubmitGraph};

/// The rows of the tables of this room.
pub(crate) fn tables() -> impl Iterator<Item = &'static &'static crate::operation::OperationInfo> {
    [OPERATIONS, config::OPERATIONS, yarn::OPERATIONS, submit::OPERATIONS, submit::SUBMIT].into_iter().flatten()
}

operations! { FlinkRest;
    /// Lists all jobs with their states. Not cached. Jobs that ended stay for `jobstore.expiration-time` (1 h).
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs).
    Safe GET "/jobs" GetJobs "getJobIdsWithStatusesOverview" -> Jobs {}

    /// Lists all jobs with their names, times and counts of tasks by state. Not cached.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-overview).
    Safe GET "/jobs/overview" GetJobsOverview "getJobsOverview" -> JobsOverview {}

    /// All about one job: times, vertices, plan. **Cached** for 3 s: what it says of the state may be old, use
    /// [`GetJobStatus`] to decide.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid).
    Safe GET "/jobs/{jobid}" GetJob "getJobDetails" -> JobDetails {
        path { jobid: JobId }
    }

    /// The state of one job, now. Since 1.14.
    ///
    /// An unknown job is rejected with 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-status).
    Safe GET "/jobs/{jobid}/status" GetJobStatus "getJobStatusInfo" -> JobStatus {
        path { jobid: JobId }
    }

    /// Cancels a job. The answer only says that it was told to: see [`GetJobStatus`] for the state.
    ///
    /// Rejected: an unknown job with 404, a finished or failed one with 409 (by 1.13 with 404). One that is being
    /// cancelled or was cancelled is no error.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-1).
    Idempotent PATCH "/jobs/{jobid}" CancelJob "cancelJob" -> Acknowledged {
        path { jobid: JobId }
        query? {
            /// How to end it; cancelled by default.
            mode: TerminationMode,
        }
    }

    /// What a job ran into, newest first. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404, a negative number with 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-exceptions).
    Safe GET "/jobs/{jobid}/exceptions" GetJobExceptions "getJobExceptions" -> Exceptions {
        path { jobid: JobId }
        query? {
            /// How many to answer at the most. The server keeps `web.exception-history-size` (16).
            max_exceptions: u32 = "maxExceptions",
            /// Only those with these labels, each as in `type:user`. Since 1.18. Rejected with 400: one without a
            /// colon.
            failure_labels: CommaList<String> = "failureLabelFilter",
        }
    }

    /// How a job ended, as soon as it has. Not cached.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-execution-result).
    Safe GET "/jobs/{jobid}/execution-result" GetJobExecutionResult "getJobExecutionResult" -> ExecutionResult {
        path { jobid: JobId }
    }

    /// The accumulators of a job, as text. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-accumulators).
    Safe GET "/jobs/{jobid}/accumulators" GetJobAccumulators "getJobAccumulators" -> Accumulators {
        path { jobid: JobId }
        query? {
            /// Adds the values in Java's own serialisation.
            include_serialized_value: bool = "includeSerializedValue",
        }
    }
}

string_enums! {
    /// How to end a job.
    pub enum TerminationMode {
        /// At once.
        Cancel = "cancel",
        /// Gone since 1.10, and rejected with 308: see [`StartStop`](crate::flink::savepoints::StartStop).
        Stop = "stop",
    }

    /// The state of a job.
    ///
    /// ```text
    /// INITIALIZING ─▶ CREATED ─▶ RUNNING ─┬─▶ FINISHED
    ///       │                    ▲   │    ├─▶ CANCELLING ─▶ CANCELED
    ///       └─▶ FAILED      RESTARTING◀───┴─▶ FAILING ────▶ FAILED
    /// ```
    pub enum JobState {
        /// Its JobMaster is being set up.
        Initializing = "INITIALIZING",
        /// It waits for resources, or to be deployed.
        Created = "CREATED",
        /// It runs; single tasks may still wait for a slot.
        Running = "RUNNING",
        /// It failed, and is being taken down.
        Failing = "FAILING",
        /// It failed for good.
        Failed = "FAILED",
        /// It was told to cancel, and is being taken down.
        Cancelling = "CANCELLING",
        /// It was cancelled.
        Canceled = "CANCELED",
        /// It ended by itself, or was stopped.
        Finished = "FINISHED",
        /// It failed, and will be started again.
        Restarting = "RESTARTING",
        /// Its JobManager lost the leadership; the job may come back under the next leader.
        Suspended = "SUSPENDED",
        /// It is being taken over from a lost JobManager.
        Reconciling = "RECONCILING",
    }
}

impl JobState {
    /// Whether the job has ended for good: FINISHED, CANCELED or FAILED.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }
}

json_structs! {
    /// All jobs with their states.
    pub struct Jobs {
        /// In no order that can be relied on.
        pub jobs: PartialList<JobIdWithStatus> = "jobs" (decisive),
    }

    /// A job and its state.
    pub struct JobIdWithStatus {
        pub id: JobId,
        /// Its state.
        pub status: JobState,
    }

    /// All jobs with what matters most.
    pub struct JobsOverview {
        /// In no order that can be relied on.
        pub jobs: PartialList<JobSummary> = "jobs" (decisive),
    }

    /// What matters most of a job.
    pub struct JobSummary in kebab {
        pub id: JobId = "jid",
        pub name: Option<String>,
        /// `STREAMING` or `BATCH`. Since 2.3.
        pub job_type: Option<String> = "jobType",
        /// `Default`, `Adaptive` or `AdaptiveBatch`. Since 2.3; `None` also for a job that failed while it was set up.
        pub scheduler_type: Option<String> = "schedulerType",
        /// When it was submitted.
        pub start_time: Option<Millis>,
        /// When it ended.
        pub end_time: Option<Millis>,
        /// From start to end, or to now; milliseconds.
        pub duration: Option<i64>,
        pub state: JobState,
        /// When something changed last.
        pub last_modification: Millis,
        /// Its tasks by state.
        pub tasks: TaskCounts,
        /// Operators that are not part of the graph yet. Of adaptive batch jobs, since 2.0.
        pub pending_operators: Option<i32>,
    }

    /// How many tasks are in which state.
    pub struct TaskCounts {
        /// All.
        pub total: u32,
        /// Not yet scheduled.
        pub created: Option<u32>,
        /// Waiting for a slot.
        pub scheduled: Option<u32>,
        /// Being deployed.
        pub deploying: Option<u32>,
        /// Restoring their state.
        pub initializing: Option<u32>,
        pub running: u32,
        /// Ended.
        pub finished: u32,
        /// Being cancelled.
        pub canceling: Option<u32>,
        /// Cancelled.
        pub canceled: Option<u32>,
        pub failed: Option<u32>,
        /// Being taken over from a lost JobManager.
        pub reconciling: Option<u32>,
    }

    /// The state of a job.
    pub struct JobStatus {
        /// Its state.
        pub status: JobState,
    }
}

impl TaskCounts {
    /// Whether there are tasks, and all of them run or have ended by themselves.
    pub fn all_running(&self) -> bool {
        self.total > 0 && u64::from(self.running) + u64::from(self.finished) == u64::from(self.total)
    }
}

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

    /// Returns the details of one job: times, vertices, plan. **Cached** for 3 s: to decide by the state of a job, use
    /// [`GetJobStatus`].
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid).
    Safe GET "/jobs/{jobid}" GetJob "getJobDetails" -> JobDetails {
        path { jobid: JobId }
    }

    /// Returns the current state of one job. Not cached. Since 1.14.
    ///
    /// An unknown job is rejected with 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-status).
    Safe GET "/jobs/{jobid}/status" GetJobStatus "getJobStatusInfo" -> JobStatus {
        path { jobid: JobId }
    }

    /// Requests the cancellation of a job. The response comes before the job has ended: poll [`GetJobStatus`].
    ///
    /// An unknown job is rejected with 404, a finished or failed job with 409 (in 1.13 with 404). A job that is being
    /// cancelled or was cancelled is not rejected.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-1).
    Idempotent PATCH "/jobs/{jobid}" CancelJob "cancelJob" -> Acknowledged {
        path { jobid: JobId }
        query? {
            /// How to end the job; [`Cancel`](TerminationMode::Cancel) by default.
            mode: TerminationMode,
        }
    }

    /// Returns the failures of a job, newest first. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404, a negative number with 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-exceptions).
    Safe GET "/jobs/{jobid}/exceptions" GetJobExceptions "getJobExceptions" -> Exceptions {
        path { jobid: JobId }
        query? {
            /// The greatest number of exceptions in the response; 20 by default. The server keeps
            /// `web.exception-history-size` (16).
            max_exceptions: u32 = "maxExceptions",
            /// Returns only exceptions with these labels, each as in `type:user`. Since 1.18. A label without a colon
            /// is rejected with 400.
            failure_labels: CommaList<String> = "failureLabelFilter",
        }
    }

    /// Returns how a job ended, if it has ended. Not cached.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-execution-result).
    Safe GET "/jobs/{jobid}/execution-result" GetJobExecutionResult "getJobExecutionResult" -> ExecutionResult {
        path { jobid: JobId }
    }

    /// Returns the accumulators of a job, as text. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-accumulators).
    Safe GET "/jobs/{jobid}/accumulators" GetJobAccumulators "getJobAccumulators" -> Accumulators {
        path { jobid: JobId }
        query? {
            /// Whether the response also has the values in Java's serialization.
            include_serialized_value: bool = "includeSerializedValue",
        }
    }
}

string_enums! {
    /// How to end a job.
    pub enum TerminationMode {
        Cancel = "cancel",
        /// Removed in 1.10, and rejected with 308: see [`StartStop`](crate::flink::savepoints::StartStop).
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
        /// It failed, and its tasks are being cancelled.
        Failing = "FAILING",
        /// It has failed, and will not be restarted.
        Failed = "FAILED",
        /// It is being cancelled.
        Cancelling = "CANCELLING",
        /// It was cancelled.
        Canceled = "CANCELED",
        /// It ended by itself, or was stopped.
        Finished = "FINISHED",
        /// It failed, and will be restarted.
        Restarting = "RESTARTING",
        /// Its JobManager lost the leadership. The next leader may recover the job.
        Suspended = "SUSPENDED",
        /// It is being taken over from a lost JobManager.
        Reconciling = "RECONCILING",
    }
}

impl JobState {
    /// Returns whether the job has ended: FINISHED, CANCELED or FAILED. Such a state does not change any more.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }
}

json_structs! {
    /// All jobs with their states.
    pub struct Jobs {
        /// In arbitrary order.
        pub jobs: PartialList<JobIdWithStatus> = "jobs" (decisive),
    }

    /// A job and its state.
    pub struct JobIdWithStatus {
        pub id: JobId,
        pub status: JobState,
    }

    /// The response to a [`GetJobsOverview`].
    pub struct JobsOverview {
        /// In arbitrary order.
        pub jobs: PartialList<JobSummary> = "jobs" (decisive),
    }

    /// A job in the jobs overview.
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
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        pub state: JobState,
        /// When the job or one of its tasks last changed its state.
        pub last_modification: Millis,
        pub tasks: TaskCounts,
        /// Operators that are not part of the graph yet. Of adaptive batch jobs, since 2.0.
        pub pending_operators: Option<i32>,
    }

    /// The numbers of tasks by state.
    pub struct TaskCounts {
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
        pub canceled: Option<u32>,
        pub failed: Option<u32>,
        /// Being taken over from a lost JobManager.
        pub reconciling: Option<u32>,
    }

    /// The state of a job.
    pub struct JobStatus {
        pub status: JobState,
    }
}

impl TaskCounts {
    /// Returns whether the job has tasks, and all of them run or have finished by themselves.
    pub fn all_running(&self) -> bool {
        self.total > 0 && u64::from(self.running) + u64::from(self.finished) == u64::from(self.total)
    }
}

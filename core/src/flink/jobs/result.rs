//! The result, the exceptions and the accumulators of a job.

use std::collections::BTreeMap;

use crate::flink::{Cause, JobId, Millis, Throwable};
use crate::schema::{json_structs, string_enums};

string_enums! {
    /// How a job ended.
    pub enum ApplicationStatus {
        /// It ended by itself, or was stopped.
        Succeeded = "SUCCEEDED",
        /// It failed.
        Failed = "FAILED",
        /// It was cancelled.
        Canceled = "CANCELED",
        /// Flink itself does not know.
        NotKnown = "UNKNOWN",
    }

    /// Whether an asynchronous operation has ended.
    pub enum QueueStatus {
        InProgress = "IN_PROGRESS",
        /// The operation has ended. **It may have failed.**
        Completed = "COMPLETED",
    }
}

json_structs! {
    /// Whether an asynchronous operation has ended.
    pub struct QueueState {
        pub id: QueueStatus,
    }

    /// The answer to [`GetJobExecutionResult`](super::GetJobExecutionResult).
    pub struct ExecutionResult {
        /// Whether the job has ended.
        pub status: QueueState,
        /// How the job ended; `None` if it has not ended.
        pub result: Option<JobResult> = "job-execution-result" (decisive),
    }

    /// How a job ended.
    pub struct JobResult in kebab {
        pub id: JobId,
        /// Since 2.3.
        pub name: Option<String>,
        /// Whether it succeeded.
        pub application_status: ApplicationStatus,
        /// The accumulators in Java's serialization, as Base64. To read them as text, use
        /// [`GetJobAccumulators`](super::GetJobAccumulators).
        pub accumulator_results: BTreeMap<String, String>,
        /// Milliseconds that the job ran.
        pub net_runtime: Option<i64>,
        /// Why the job failed; `None` if it did not fail.
        pub failure_cause: Option<Throwable> = "failure-cause" (decisive),
        /// The application around it. Since 2.3.
        pub application_id: Option<crate::flink::ApplicationId>,
        /// When it was submitted. Since 2.3.
        pub start_time: Option<Millis>,
        /// When it ended. Since 2.3.
        pub end_time: Option<Millis>,
    }

    /// The failures of a job.
    pub struct Exceptions in kebab {
        /// The failures, newest first.
        pub history: Option<ExceptionHistory> = "exceptionHistory",
        /// The stack trace of the newest exception. Until 1.20.
        pub root_exception: Option<String>,
        /// When the newest exception happened. Until 1.20.
        pub timestamp: Option<Millis>,
        /// An exception for each failed task. Until 1.20.
        pub all_exceptions: Vec<OldException>,
        /// Whether that list was cut. Until 1.20.
        pub truncated: Option<bool>,
    }

    /// The failures of a job.
    pub struct ExceptionHistory {
        /// Newest first.
        pub entries: Vec<ExceptionInfo>,
        /// Whether the job had more failures than the response has.
        pub truncated: Option<bool>,
    }

    /// A failure of a job or of one of its tasks.
    pub struct ExceptionInfo in camel {
        /// The exception's class.
        pub exception_name: Option<String>,
        /// The whole text, with its `Caused by:` lines.
        pub stacktrace: Option<String>,
        /// When it happened.
        pub timestamp: Option<Millis>,
        /// The labels of failure enrichers. Since 1.18.
        pub failure_labels: BTreeMap<String, String>,
        /// The task; `None` when the whole job failed.
        pub task_name: Option<String>,
        /// Host and port of the TaskManager. Since 1.19.
        pub endpoint: Option<String>,
        /// The same before 2.0.
        pub location: Option<String>,
        /// The TaskManager. Since 1.17.
        pub task_manager_id: Option<String>,
        /// What failed at the same time.
        pub concurrent_exceptions: Vec<ExceptionInfo>,
    }

    /// A failed task, as written until 1.20.
    pub struct OldException {
        /// The stack trace.
        pub exception: Option<String>,
        pub task: Option<String>,
        /// Host and port of the TaskManager.
        pub location: Option<String>,
        /// The same, since 1.19.
        pub endpoint: Option<String>,
        /// When it happened.
        pub timestamp: Option<Millis>,
        /// The TaskManager.
        pub task_manager_id: Option<String> = "taskManagerId",
    }

    /// The accumulators of a job.
    pub struct Accumulators {
        /// Always empty.
        pub job: Vec<Accumulator> = "job-accumulators",
        pub tasks: Vec<Accumulator> = "user-task-accumulators",
        /// The values in Java's serialization, as Base64, if they were requested.
        pub serialized: BTreeMap<String, String> = "serialized-user-task-accumulators",
    }

    /// An accumulator.
    pub struct Accumulator {
        pub name: String,
        /// Its Java class.
        pub kind: Option<String> = "type",
        /// Its value, as Java prints it.
        pub value: Option<String>,
    }
}

impl Exceptions {
    /// Returns the cause of the newest failure; `None` if the job has had no failure.
    pub fn newest(&self) -> Option<Cause> {
        let entry = self.history.as_ref().and_then(|history| history.entries.first());
        let trace = entry.and_then(|entry| entry.stacktrace.as_ref()).or(self.root_exception.as_ref())?;
        Some(Cause::of(trace))
    }
}

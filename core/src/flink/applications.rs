//! Applications: what main methods submit, one or several jobs each. Since 2.3.
//!
//! A job that was submitted otherwise is in an application of its own, whose id is that of the job.

use std::collections::BTreeMap;

use super::jobs::{JobState, JobSummary};
use super::logs::ConfigEntry;
use super::{Acknowledged, ApplicationId, FlinkRest, JobId, Millis};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Lists the applications. Since 2.3.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-overview).
    Safe GET "/applications/overview" ListApplications "getApplicationsOverview" -> Applications {}

    /// All about one application. Since 2.3.
    ///
    /// An unknown application is rejected with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-applicationid).
    Safe GET "/applications/{applicationid}" GetApplication "getApplicationDetails" -> ApplicationDetails {
        path { applicationid: ApplicationId }
    }

    /// Cancels an application and its jobs. The answer only says that it was told to: see [`GetApplication`] for the
    /// state. Since 2.3.
    ///
    /// Rejected with 404: an application that has ended, also when an earlier attempt cancelled it; an unknown
    /// application.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-applicationid-cancel).
    Fenced POST "/applications/{applicationid}/cancel" CancelApplication "cancelApplication" -> Acknowledged {
        path { applicationid: ApplicationId }
    }

    /// What an application ran into, newest first: failures of its main method most of all. Since 2.3.
    ///
    /// An unknown application is rejected with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-applicationid-exceptions).
    Safe GET "/applications/{applicationid}/exceptions"
    GetApplicationExceptions "getApplicationExceptions" -> ApplicationExceptions {
        path { applicationid: ApplicationId }
    }

    /// The configuration of the JobManager that runs an application. Secrets come as `******`. Since 2.3.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-applicationid-jobmanager-config).
    Safe GET "/applications/{applicationid}/jobmanager/config"
    GetApplicationConfig "getJobManagerApplicationConfiguration" -> Vec<ConfigEntry> {
        path { applicationid: ApplicationId }
    }
}

string_enums! {
    /// The state of an application.
    pub enum ApplicationState {
        /// Its main method has not begun.
        Created = "CREATED",
        /// Its main method runs, or its jobs do.
        Running = "RUNNING",
        /// It failed, and its jobs are being taken down.
        Failing = "FAILING",
        /// It was told to cancel, and its jobs are being taken down.
        Canceling = "CANCELING",
        /// It failed for good.
        Failed = "FAILED",
        /// It was cancelled.
        Canceled = "CANCELED",
        /// It ended by itself.
        Finished = "FINISHED",
    }
}

impl ApplicationState {
    /// Whether the application has ended: FINISHED, CANCELED or FAILED.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }
}

json_structs! {
    /// The applications.
    pub struct Applications {
        /// In no order that can be relied on.
        pub applications: Vec<ApplicationSummary>,
    }

    /// What matters most of an application.
    pub struct ApplicationSummary in kebab {
        pub id: ApplicationId,
        pub name: Option<String>,
        /// When it was submitted.
        pub start_time: Option<Millis>,
        /// When it ended.
        pub end_time: Option<Millis>,
        /// From start to end, or to now; milliseconds.
        pub duration: Option<i64>,
        /// Its state.
        pub status: ApplicationState,
        /// How many of its jobs are in which state.
        pub jobs: BTreeMap<JobState, u32>,
    }

    /// All about an application.
    pub struct ApplicationDetails in kebab {
        pub id: ApplicationId,
        pub name: Option<String>,
        /// Its state.
        pub status: ApplicationState,
        /// When it was submitted.
        pub start_time: Option<Millis>,
        /// When it ended.
        pub end_time: Option<Millis>,
        /// From start to end, or to now; milliseconds.
        pub duration: Option<i64>,
        /// When it entered each state.
        pub timestamps: BTreeMap<ApplicationState, Millis>,
        pub jobs: Vec<JobSummary>,
    }

    /// What an application ran into.
    pub struct ApplicationExceptions {
        /// The failures, newest first.
        pub history: Option<ApplicationExceptionHistory> = "exceptionHistory",
    }

    /// The failures of an application.
    pub struct ApplicationExceptionHistory {
        /// Newest first.
        pub entries: Vec<ApplicationException>,
    }

    /// A failure of an application or of one of its jobs.
    pub struct ApplicationException {
        /// The exception's class.
        pub exception_name: Option<String> = "exceptionName",
        /// The whole text, with its `Caused by:` lines.
        pub stacktrace: Option<String>,
        /// When it happened.
        pub timestamp: Option<Millis>,
        /// The job; `None` when the application itself failed.
        pub job: Option<JobId> = "jobId",
    }
}

//! Applications: the jobs that a main method submits when it is run. Since 2.3.
//!
//! A job that was submitted in another way has a separate application with the same id.

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

    /// Returns the details of one application. Since 2.3.
    ///
    /// An unknown application is rejected with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-applicationid).
    Safe GET "/applications/{applicationid}" GetApplication "getApplicationDetails" -> ApplicationDetails {
        path { applicationid: ApplicationId }
    }

    /// Requests the cancellation of an application and its jobs. The response comes before they have ended: poll
    /// [`GetApplication`]. Since 2.3.
    ///
    /// Rejected with 404 if the application is unknown or has ended, also if an earlier attempt cancelled it.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-applicationid-cancel).
    Fenced POST "/applications/{applicationid}/cancel" CancelApplication "cancelApplication" -> Acknowledged {
        path { applicationid: ApplicationId }
    }

    /// Returns the failures of an application, newest first, in particular those of its main method. Since 2.3.
    ///
    /// An unknown application is rejected with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#applications-applicationid-exceptions).
    Safe GET "/applications/{applicationid}/exceptions"
    GetApplicationExceptions "getApplicationExceptions" -> ApplicationExceptions {
        path { applicationid: ApplicationId }
    }

    /// Returns the configuration of the JobManager that runs an application. Secrets are shown as `******`. Since 2.3.
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
        /// It failed, and its jobs are ending.
        Failing = "FAILING",
        /// It is being cancelled, and its jobs are ending.
        Canceling = "CANCELING",
        /// It has failed, and will not be restarted.
        Failed = "FAILED",
        /// It was cancelled.
        Canceled = "CANCELED",
        /// It ended by itself.
        Finished = "FINISHED",
    }
}

impl ApplicationState {
    /// Returns whether the application has ended: FINISHED, CANCELED or FAILED.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }
}

json_structs! {
    /// The applications.
    pub struct Applications {
        /// In arbitrary order.
        pub applications: Vec<ApplicationSummary>,
    }

    /// An application in the list of applications.
    pub struct ApplicationSummary in kebab {
        pub id: ApplicationId,
        pub name: Option<String>,
        /// When it was submitted.
        pub start_time: Option<Millis>,
        /// When it ended.
        pub end_time: Option<Millis>,
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        pub status: ApplicationState,
        /// How many of its jobs are in which state.
        pub jobs: BTreeMap<JobState, u32>,
    }

    /// The details of an application.
    pub struct ApplicationDetails in kebab {
        pub id: ApplicationId,
        pub name: Option<String>,
        pub status: ApplicationState,
        /// When it was submitted.
        pub start_time: Option<Millis>,
        /// When it ended.
        pub end_time: Option<Millis>,
        /// Milliseconds from start to end, or until now.
        pub duration: Option<i64>,
        /// When it entered each state.
        pub timestamps: BTreeMap<ApplicationState, Millis>,
        pub jobs: Vec<JobSummary>,
    }

    /// The response to a [`GetApplicationExceptions`].
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

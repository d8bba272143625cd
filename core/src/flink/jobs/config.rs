//! The configuration of a job, and of the JobManager that runs it.

use std::collections::BTreeMap;

use crate::flink::jars::Plan;
use crate::flink::logs::{ConfigEntry, Environment, LogUrl};
use crate::flink::{Acknowledged, FlinkRest, JobId, Millis, TaskManagerId};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// Returns the configuration of a job. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-config).
    Safe GET "/jobs/{jobid}/config" GetJobConfig "getJobConfig" -> JobConfig {
        path { jobid: JobId }
    }

    /// Returns the graph of a job. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-plan).
    Safe GET "/jobs/{jobid}/plan" GetJobPlan "getJobPlan" -> Plan {
        path { jobid: JobId }
    }

    /// Returns the configuration of the JobManager that a job runs in. Secrets are shown as `******`. Not yet in 1.13.
    ///
    /// A JobManager returns the cluster's configuration for every job. A HistoryServer keeps it for each job.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-jobmanager-config).
    Safe GET "/jobs/{jobid}/jobmanager/config"
    GetJobManagerJobConfig "getJobManagerJobConfiguration" -> Vec<ConfigEntry> {
        path { jobid: JobId }
    }

    /// Returns the JVM options and the class path of the JobManager that a job runs in. Not yet in 1.13.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-jobmanager-environment).
    Safe GET "/jobs/{jobid}/jobmanager/environment"
    GetJobManagerJobEnvironment "getJobManagerJobEnvironment" -> Environment {
        path { jobid: JobId }
    }

    /// Returns the address of a page with the log of the JobManager that a job runs in. Not yet in 1.13.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-jobmanager-log-url).
    Safe GET "/jobs/{jobid}/jobmanager/log-url" GetJobManagerLogUrl "getJobManagerLogUrl" -> LogUrl {
        path { jobid: JobId }
    }

    /// Returns the address of a page with the log of a TaskManager that a job runs on. Not yet in 1.13.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-taskmanagers-taskmanagerid-log-url).
    Safe GET "/jobs/{jobid}/taskmanagers/{taskmanagerid}/log-url"
    GetTaskManagerLogUrl "getTaskManagerLogUrl" -> LogUrl {
        path { jobid: JobId, taskmanagerid: TaskManagerId }
    }

    /// Reports that the client of a job is alive. The cluster cancels a job that was submitted with heartbeats if they
    /// cease. Since 1.17.
    ///
    /// **An unknown or ended job is not rejected.**
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-clientheartbeat).
    Idempotent PATCH "/jobs/{jobid}/clientHeartbeat" SendHeartbeat "triggerHeartbeat" -> Acknowledged {
        path { jobid: JobId }
        json {
            /// The time until which the client counts as alive.
            expires: Millis = "expiredTimestamp",
        }
    }
}

json_structs! {
    /// The configuration of a job.
    pub struct JobConfig {
        pub id: JobId = "jid",
        pub name: Option<String>,
        /// The settings of the program; `None` if they cannot be read.
        pub execution: Option<ExecutionConfig> = "execution-config",
    }

    /// The settings of a job's program.
    pub struct ExecutionConfig in kebab {
        /// `PIPELINED` or `BATCH`. Before 2.0.
        pub execution_mode: Option<String>,
        /// The restart strategy as text.
        pub restart_strategy: Option<String>,
        /// The parallelism of operators whose parallelism the program does not set; -1 for the cluster's default.
        pub parallelism: Option<i32> = "job-parallelism",
        /// Whether operators pass records on without copying them.
        pub object_reuse: Option<bool> = "object-reuse-mode",
        /// Parameters that the program gave the job.
        pub user_config: BTreeMap<String, String>,
    }
}

//! How a job is set up, and where it runs.

use std::collections::BTreeMap;

use crate::flink::jars::Plan;
use crate::flink::logs::{ConfigEntry, Environment, LogUrl};
use crate::flink::{Acknowledged, FlinkRest, JobId, Millis, TaskManagerId};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// How a job is set up. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-config).
    Safe GET "/jobs/{jobid}/config" GetJobConfig "getJobConfig" -> JobConfig {
        path { jobid: JobId }
    }

    /// The graph of a job. **Cached** for 3 s.
    ///
    /// An unknown job is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-plan).
    Safe GET "/jobs/{jobid}/plan" GetJobPlan "getJobPlan" -> Plan {
        path { jobid: JobId }
    }

    /// The configuration of the JobManager that a job runs in. Secrets come as `******`. Not yet in 1.13.
    ///
    /// On a JobManager that of the cluster, whichever job is asked for; a HistoryServer keeps it for each job.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-jobmanager-config).
    Safe GET "/jobs/{jobid}/jobmanager/config"
    GetJobManagerJobConfig "getJobManagerJobConfiguration" -> Vec<ConfigEntry> {
        path { jobid: JobId }
    }

    /// What the JVM of the JobManager that a job runs in was started with. Not yet in 1.13.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-jobmanager-environment).
    Safe GET "/jobs/{jobid}/jobmanager/environment"
    GetJobManagerJobEnvironment "getJobManagerJobEnvironment" -> Environment {
        path { jobid: JobId }
    }

    /// Where the log of the JobManager that a job runs in can be looked at. Not yet in 1.13.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-jobmanager-log-url).
    Safe GET "/jobs/{jobid}/jobmanager/log-url" GetJobManagerLogUrl "getJobManagerLogUrl" -> LogUrl {
        path { jobid: JobId }
    }

    /// Where the log of a TaskManager that a job runs on can be looked at. Not yet in 1.13.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-taskmanagers-taskmanagerid-log-url).
    Safe GET "/jobs/{jobid}/taskmanagers/{taskmanagerid}/log-url"
    GetTaskManagerLogUrl "getTaskManagerLogUrl" -> LogUrl {
        path { jobid: JobId, taskmanagerid: TaskManagerId }
    }

    /// Says that the client of a job is still there. A job that was submitted with heartbeats is cancelled when they
    /// cease. Since 1.17.
    ///
    /// **Nothing unknown is rejected**: an unknown or ended job is answered like any other.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-clientheartbeat).
    Idempotent PATCH "/jobs/{jobid}/clientHeartbeat" SendHeartbeat "triggerHeartbeat" -> Acknowledged {
        path { jobid: JobId }
        json {
            /// Until when the client is to be taken for alive.
            expires: Millis = "expiredTimestamp",
        }
    }
}

json_structs! {
    /// How a job is set up.
    pub struct JobConfig {
        pub id: JobId = "jid",
        pub name: Option<String>,
        /// What its programmer chose; `None` when that cannot be read.
        pub execution: Option<ExecutionConfig> = "execution-config",
    }

    /// What the programmer of a job chose.
    pub struct ExecutionConfig in kebab {
        /// `PIPELINED` or `BATCH`. Before 2.0.
        pub execution_mode: Option<String>,
        /// A description of what happens after a failure.
        pub restart_strategy: Option<String>,
        /// The parallelism of operators that have none of their own; -1 for the cluster's default.
        pub parallelism: Option<i32> = "job-parallelism",
        /// Whether records are handed on without being copied.
        pub object_reuse: Option<bool> = "object-reuse-mode",
        /// Parameters that the program gave the job.
        pub user_config: BTreeMap<String, String>,
    }
}

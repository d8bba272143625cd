//! The JobManager: configuration, environment, logs, threads. Its metrics are in [`metrics`](super::metrics).

use super::FlinkRest;
use super::logs::{ConfigEntry, Environment, LogList, ThreadDump};
use crate::decode::Lines;
use crate::schema::operations;

operations! { FlinkRest;
    /// The configuration of the cluster. Secrets come as `******`.
    ///
    /// `web.tmpdir` tells one JobManager process from another: each appends a random id to the configured directory
    /// when it starts. With several JobManagers it is that of the process that answers, whether or not it is the
    /// leader.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-config).
    Safe GET "/jobmanager/config" GetJobManagerConfig "getClusterConfigurationInfo" -> Vec<ConfigEntry> {}

    /// What the JobManager's JVM was started with. Not yet in 1.13.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-environment).
    Safe GET "/jobmanager/environment" GetJobManagerEnvironment "getJobManagerEnvironment" -> Environment {}

    /// Lists the log files of the JobManager.
    ///
    /// Empty when Flink does not know where its logs are.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-logs).
    Safe GET "/jobmanager/logs" ListJobManagerLogs "getJobManagerLogList" -> LogList {}

    /// The JobManager's log, **streaming**: see [`logs`](super::logs). Not in the published description.
    ///
    /// Rejected with 404: Flink does not know where its log is.
    Safe GET "/jobmanager/log" GetJobManagerLog "getJobManagerLog" -> Lines {
        streaming;
    }

    /// What the JobManager wrote to its standard output, **streaming**: see [`logs`](super::logs). Not in the published
    /// description.
    ///
    /// Rejected with 404: Flink does not know where it is.
    Safe GET "/jobmanager/stdout" GetJobManagerStdout "getJobManagerStdout" -> Lines {
        streaming;
    }

    /// One of the log files, **streaming**: see [`logs`](super::logs). Not in the published description.
    ///
    /// Rejected with 404: there is no such file in the folder of the JobManager's log.
    Safe GET "/jobmanager/logs/{filename}" GetJobManagerLogFile "getJobManagerCustomLog" -> Lines {
        streaming;
        path {
            /// As [`ListJobManagerLogs`] calls it.
            filename: String,
        }
    }

    /// What the JobManager's threads are doing. Not yet in 1.13.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-thread-dump).
    Safe GET "/jobmanager/thread-dump" GetJobManagerThreadDump "getJobManagerThreadDump" -> ThreadDump {}
}

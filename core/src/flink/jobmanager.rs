//! The JobManager: configuration, environment, logs, threads. Its metrics are in [`metrics`](super::metrics).

use super::FlinkRest;
use super::logs::{ConfigEntry, Environment, LogList, ThreadDump};
use crate::decode::Lines;
use crate::schema::operations;

operations! { FlinkRest;
    /// Returns the configuration of the cluster. Secrets are shown as `******`.
    ///
    /// `web.tmpdir` identifies a JobManager process: each process appends a random id to the configured directory when
    /// it starts. With several JobManagers the response is from the process that answers, which may not be the leader.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-config).
    Safe GET "/jobmanager/config" GetJobManagerConfig "getClusterConfigurationInfo" -> Vec<ConfigEntry> {}

    /// Returns the JVM options and the class path of the JobManager. Not yet in 1.13.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-environment).
    Safe GET "/jobmanager/environment" GetJobManagerEnvironment "getJobManagerEnvironment" -> Environment {}

    /// Lists the log files of the JobManager.
    ///
    /// The list is empty if Flink does not know where its logs are.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-logs).
    Safe GET "/jobmanager/logs" ListJobManagerLogs "getJobManagerLogList" -> LogList {}

    /// Returns the JobManager's log, **streaming**: see [`logs`](super::logs). Not in the published description.
    ///
    /// Rejected with 404 if Flink does not know where its log is.
    Safe GET "/jobmanager/log" GetJobManagerLog "getJobManagerLog" -> Lines {
        streaming;
    }

    /// Returns the JobManager's standard output, **streaming**: see [`logs`](super::logs). Not in the published
    /// description.
    ///
    /// Rejected with 404 if Flink does not know where the file is.
    Safe GET "/jobmanager/stdout" GetJobManagerStdout "getJobManagerStdout" -> Lines {
        streaming;
    }

    /// Returns a log file, **streaming**: see [`logs`](super::logs). Not in the published description.
    ///
    /// Rejected with 404 if the folder of the JobManager's log does not have this file.
    Safe GET "/jobmanager/logs/{filename}" GetJobManagerLogFile "getJobManagerCustomLog" -> Lines {
        streaming;
        path {
            /// The name from [`ListJobManagerLogs`].
            filename: String,
        }
    }

    /// Returns the stacks of the JobManager's threads. Not yet in 1.13.
    ///
    /// Never rejects.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobmanager-thread-dump).
    Safe GET "/jobmanager/thread-dump" GetJobManagerThreadDump "getJobManagerThreadDump" -> ThreadDump {}
}

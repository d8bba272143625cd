//! Statements and their status.

use std::collections::BTreeMap;

use super::results::{ResultPage, RowFormat};
use super::{FlinkSqlGateway, OperationHandle, SessionHandle};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkSqlGateway;
    /// Submits one statement. The response comes at once. Since v1.
    ///
    /// **An invalid statement is accepted**: [`FetchResults`] returns its error. An unknown session is rejected with
    /// 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Once POST "/sessions/{session_handle}/statements" ExecuteStatement "executeStatement" -> Submitted {
        path { session_handle: SessionHandle }
        json {
            /// A single statement.
            statement: String,
        }
        json? {
            /// Flink's options for this statement.
            execution_config: BTreeMap<String, String> = "executionConfig",
            /// Milliseconds. No release supports it: anything above 0 is rejected with 500.
            execution_timeout: i64 = "executionTimeout",
        }
    }

    /// Returns the status of a statement. FINISHED means that its rows can be fetched: the job of an `INSERT` or of an
    /// endless query may still be running. Since v1.
    ///
    /// An unknown session or operation is rejected with 500: see [`is_unknown_operation`](super::is_unknown_operation).
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/sessions/{session_handle}/operations/{operation_handle}/status"
    GetOperationStatus "getOperationStatus" -> OperationStatus {
        path { session_handle: SessionHandle, operation_handle: OperationHandle }
    }

    /// Cancels a statement that is not FINISHED yet. An endless query is FINISHED as soon as its rows can be fetched:
    /// end it with [`CloseOperation`]. Since v1.
    ///
    /// Rejected with 500 if the session or the operation is unknown, or if the operation has ended.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Idempotent POST "/sessions/{session_handle}/operations/{operation_handle}/cancel"
    CancelOperation "cancelOperation" -> OperationStatus {
        path { session_handle: SessionHandle, operation_handle: OperationHandle }
    }

    /// Closes a statement, and ends the job of a query. A second call returns CLOSED again. Since v1.
    ///
    /// An unknown session is rejected with 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Idempotent DELETE "/sessions/{session_handle}/operations/{operation_handle}/close"
    CloseOperation "closeOperation" -> OperationStatus {
        path { session_handle: SessionHandle, operation_handle: OperationHandle }
    }

    /// Returns a page of a statement's result. The first token is 0; the token of the next page is
    /// [`ResultPage::next_token`]. Since v1.
    ///
    /// The gateway keeps only the last page: the same token can be requested again until the next token was requested.
    /// Rejected with 500 if the statement failed, if the token is any other, or if the session or operation is unknown.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/sessions/{session_handle}/operations/{operation_handle}/result/{token}"
    FetchResults "fetchResults" -> ResultPage {
        path { session_handle: SessionHandle, operation_handle: OperationHandle, token: u64 }
        query? {
            /// How fields are written; JSON by default. Since v2.
            row_format: RowFormat = "rowFormat",
        }
    }

    /// Refreshes a materialized table. The answer is an operation as of a statement. In v3 only.
    ///
    /// Rejected with 500: an unknown session; 404 where the API has no such operation.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Once POST "/sessions/{session_handle}/materialized-tables/{identifier}/refresh"
    RefreshMaterializedTable "refreshMaterializedTable" -> Submitted {
        path { session_handle: SessionHandle, identifier: String }
        json {
            /// Whether a workflow scheduler asks, and not a person.
            is_periodic: bool = "isPeriodic",
        }
        json? {
            /// When it was scheduled for, as in `2024-01-01 00:00:00`; of a periodic refresh.
            schedule_time: String = "scheduleTime",
            /// Options of the table for this refresh.
            dynamic_options: BTreeMap<String, String> = "dynamicOptions",
            /// Partitions to refresh, by column; not of a periodic refresh.
            static_partitions: BTreeMap<String, String> = "staticPartitions",
            /// Flink's options for this refresh.
            execution_config: BTreeMap<String, String> = "executionConfig",
        }
    }

    /// Deploys a script of statements to a cluster of its own, in application mode. Either [`script`](Self::script) or
    /// [`script_uri`](Self::script_uri). Since v4.
    ///
    /// Rejected with 500: an unknown session, and a target that has no application mode, as a standalone session
    /// cluster.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Once POST "/sessions/{session_handle}/scripts" DeployScript "deployScript" -> Deployed {
        timeout 120;
        path { session_handle: SessionHandle }
        json? {
            /// The statements.
            script: String,
            /// Where the cluster finds the statements.
            script_uri: String = "scriptUri",
            /// Flink's options for the cluster, its id and image among them.
            execution_config: BTreeMap<String, String> = "executionConfig",
        }
    }
}

json_structs! {
    /// A statement was taken.
    pub struct Submitted {
        pub operation_handle: OperationHandle = "operationHandle",
    }

    /// What a statement is doing.
    pub struct OperationStatus {
        pub status: OperationState,
    }

    /// A script was deployed.
    pub struct Deployed {
        /// The id of the new cluster.
        pub cluster_id: Option<String> = "clusterID",
    }
}

string_enums! {
    /// What a statement is doing.
    pub enum OperationState {
        /// Taken.
        Initialized = "INITIALIZED",
        /// Waits for a thread.
        Pending = "PENDING",
        /// Being carried out.
        Running = "RUNNING",
        /// Carried out: its rows can be fetched. Its job may be running.
        Finished = "FINISHED",
        /// Cancelled.
        Canceled = "CANCELED",
        Closed = "CLOSED",
        /// Failed: [`FetchResults`] tells why.
        Error = "ERROR",
        /// Took too long.
        Timeout = "TIMEOUT",
    }
}

impl OperationState {
    /// Whether it stays so, but for being closed.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Closed | Self::Error | Self::Timeout)
    }
}

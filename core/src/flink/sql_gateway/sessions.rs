//! Sessions: the catalogs, tables, options and statements of one client.
//!
//! If a session gets no request for `sql-gateway.session.idle-timeout` (10 min), the gateway closes it and its
//! operations. A restarted gateway has no sessions.

use std::collections::BTreeMap;

use super::{FlinkSqlGateway, SessionHandle};
use crate::flink::Acknowledged;
use crate::schema::{json_structs, operations};

operations! { FlinkSqlGateway;
    /// Opens a session. Since v1.
    ///
    /// The gateway does not check the properties: a wrong property makes the first statement fail. A session that is
    /// not used closes itself.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Once POST "/sessions" OpenSession "openSession" -> OpenedSession {
        json? {
            /// Shown in the gateway's log.
            session_name: String = "sessionName",
            /// Flink's options for the session, such as `execution.runtime-mode`.
            properties: BTreeMap<String, String>,
        }
    }

    /// Returns the options of a session, including those of the gateway and the cluster. Since v1.
    ///
    /// An unknown session is rejected with 500: see [`is_unknown_session`](super::is_unknown_session).
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/sessions/{session_handle}" GetSessionConfig "getSessionConfig" -> SessionConfig {
        path { session_handle: SessionHandle }
    }

    /// Closes a session and its operations, which ends their queries; jobs of an `INSERT` continue. Since v1.
    ///
    /// An unknown or closed session is rejected with 500: see [`is_unknown_session`](super::is_unknown_session).
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Idempotent DELETE "/sessions/{session_handle}" CloseSession "closeSession" -> ClosedSession {
        path { session_handle: SessionHandle }
    }

    /// Prevents a session from closing itself. Since v1.
    ///
    /// An unknown session is rejected with 500: see [`is_unknown_session`](super::is_unknown_session).
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Idempotent POST "/sessions/{session_handle}/heartbeat" TriggerSession "triggerSession" -> Acknowledged {
        path { session_handle: SessionHandle }
    }

    /// Executes a statement that changes the session: `CREATE`, `DROP`, `ALTER`, `USE`, `LOAD`, `UNLOAD`, `SET`,
    /// `RESET`, `ADD JAR`. The response comes when the statement has been executed. Since v2.
    ///
    /// Rejected with 500 if the session is unknown, if the statement is of another kind, or if it fails.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Once POST "/sessions/{session_handle}/configure-session" ConfigureSession "configureSession" -> Acknowledged {
        path { session_handle: SessionHandle }
        json {
            statement: String,
        }
        json? {
            /// Milliseconds. No release supports it: anything above 0 is rejected with 500.
            execution_timeout: i64 = "executionTimeout",
        }
    }

    /// Returns completions at a position in a statement. Since v2.
    ///
    /// The request is a GET with a body, which some proxies reject. An unknown session is rejected with 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/sessions/{session_handle}/complete-statement" CompleteStatement "completeStatement" -> Completions {
        path { session_handle: SessionHandle }
        json {
            /// The statement, which may be incomplete.
            statement: String,
            /// The position of the cursor in UTF-16 units.
            position: u32,
        }
    }
}

json_structs! {
    /// A new session.
    pub struct OpenedSession {
        pub session_handle: SessionHandle = "sessionHandle",
    }

    /// The options of a session.
    pub struct SessionConfig {
        /// By name.
        pub properties: BTreeMap<String, String>,
    }

    /// A session that is closed.
    pub struct ClosedSession {
        /// `CLOSED`.
        pub status: Option<String>,
    }

    /// The completions at a position.
    pub struct Completions {
        /// Names with their catalog and database.
        pub candidates: Vec<String>,
    }
}

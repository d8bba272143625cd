//! Sessions: catalogs, tables and options of one client, and what it has submitted.
//!
//! A session that gets no request closes itself after `sql-gateway.session.idle-timeout` (10 min), and takes
//! its operations along. The gateway forgets all of them when it is restarted.

use std::collections::BTreeMap;

use super::{FlinkSqlGateway, SessionHandle};
use crate::flink::Acknowledged;
use crate::schema::{json_structs, operations};

operations! { FlinkSqlGateway;
    /// Opens a session. Since v1.
    ///
    /// Properties are not checked: a wrong one shows with the first statement. One that is opened and forgotten closes
    /// itself. [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Once POST "/sessions" OpenSession "openSession" -> OpenedSession {
        json? {
            /// Shown in the gateway's log.
            session_name: String = "sessionName",
            /// Flink's options for the session, such as `execution.runtime-mode`.
            properties: BTreeMap<String, String>,
        }
    }

    /// The options of a session, those of the gateway and the cluster included. Since v1.
    ///
    /// Rejected with 500: an unknown session, see [`is_unknown_session`](super::is_unknown_session).
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/sessions/{session_handle}" GetSessionConfig "getSessionConfig" -> SessionConfig {
        path { session_handle: SessionHandle }
    }

    /// Closes a session and its operations, which ends their queries; jobs of an `INSERT` continue. Since v1.
    ///
    /// Rejected with 500: an unknown session, also one that was just closed; see
    /// [`is_unknown_session`](super::is_unknown_session).
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Idempotent DELETE "/sessions/{session_handle}" CloseSession "closeSession" -> ClosedSession {
        path { session_handle: SessionHandle }
    }

    /// Keeps a session from closing itself. Since v1.
    ///
    /// Rejected with 500: an unknown session, see [`is_unknown_session`](super::is_unknown_session).
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Idempotent POST "/sessions/{session_handle}/heartbeat" TriggerSession "triggerSession" -> Acknowledged {
        path { session_handle: SessionHandle }
    }

    /// Carries out a statement that changes the session: `CREATE`, `DROP`, `ALTER`, `USE`, `LOAD`, `UNLOAD`, `SET`,
    /// `RESET`, `ADD JAR`. Answers when it is done. Since v2.
    ///
    /// Rejected with 500: an unknown session, any other statement, and what the statement itself ran into.
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

    /// What could stand at a place in a statement. Since v2.
    ///
    /// A GET with a body, which some proxies reject. Rejected with 500: an unknown session.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/).
    Safe GET "/sessions/{session_handle}/complete-statement" CompleteStatement "completeStatement" -> Completions {
        path { session_handle: SessionHandle }
        json {
            /// The statement, which need not be whole.
            statement: String,
            /// Where the cursor is, in UTF-16 units from its beginning.
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

    /// What could stand there.
    pub struct Completions {
        /// Names with their catalog and database; empty for none.
        pub candidates: Vec<String>,
    }
}

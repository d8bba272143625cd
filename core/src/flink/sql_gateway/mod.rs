//! Flink's SQL Gateway: its [REST
//! endpoint](https://nightlies.apache.org/flink/flink-docs-stable/docs/sql/interfaces/sql-gateway/rest/), versions 1 to
//! 4.
//!
//! | operation | path | flow that uses it | since |
//! |---|---|---|---|
//! | [`GetApiVersion`](gateway::GetApiVersion) | `GET /api_versions` | | v1 |
//! | [`GetInfo`](gateway::GetInfo) | `GET /info` | | v1 |
//! | [`OpenSession`](sessions::OpenSession) | `POST /sessions` | [`RunStatement`] | v1 |
//! | [`GetSessionConfig`](sessions::GetSessionConfig) | `GET /sessions/{session_handle}` | | v1 |
//! | [`CloseSession`](sessions::CloseSession) | `DELETE /sessions/{session_handle}` | [`RunStatement`] | v1 |
//! | [`TriggerSession`](sessions::TriggerSession) | `POST /sessions/{session_handle}/heartbeat` | [`RunStatement`] | v1 |
//! | [`ConfigureSession`](sessions::ConfigureSession) | `POST /sessions/{session_handle}/configure-session` | | v2 |
//! | [`CompleteStatement`](sessions::CompleteStatement) | `GET /sessions/{session_handle}/complete-statement` | | v2 |
//! | [`ExecuteStatement`](statements::ExecuteStatement) | `POST /sessions/{session_handle}/statements` | [`RunStatement`] | v1 |
//! | [`GetOperationStatus`](statements::GetOperationStatus) | `GET …/operations/{operation_handle}/status` | | v1 |
//! | [`CancelOperation`](statements::CancelOperation) | `POST …/operations/{operation_handle}/cancel` | | v1 |
//! | [`CloseOperation`](statements::CloseOperation) | `DELETE …/operations/{operation_handle}/close` | [`RunStatement`] | v1 |
//! | [`FetchResults`](statements::FetchResults) | `GET …/operations/{operation_handle}/result/{token}` | [`RunStatement`] | v1 |
//! | [`RefreshMaterializedTable`](statements::RefreshMaterializedTable) | `POST …/materialized-tables/{identifier}/refresh` | | v3 only |
//! | [`DeployScript`](statements::DeployScript) | `POST …/scripts` | | v4 |
//!
//! **Which version is spoken** is a matter of the base address. Without a version in it a gateway speaks its newest
//! one; `http://gateway:8083/v2` asks for version 2. What a version does not have is rejected with 404.
//!
//! What to know about the gateway, and how the types and flows handle it:
//!
//! * **Every statement is accepted**, nonsense too; what is wrong with it comes from
//!   [`FetchResults`](statements::FetchResults).
//! * **FINISHED means that rows can be fetched**: of an `INSERT` that it was submitted. Its job continues.
//! * **Pages without rows are normal**, and so is asking dozens of times. Only EOS is the end.
//! * **Nearly every rejection is 500.** [`is_unknown_session`], [`is_unknown_operation`] and [`is_wrong_token`] tell
//!   them apart.

mod error;
mod flow;
pub mod gateway;
mod ids;
pub mod results;
pub mod sessions;
pub mod statements;

use bytes::Bytes;
use http::Response;

pub use self::error::{is_unknown_operation, is_unknown_session, is_wrong_token};
pub use self::flow::{Page, RunStatement, Statement, StatementDiagnosis, StatementEvent};
pub use self::ids::{OperationHandle, SessionHandle};

use crate::error::ServiceError;
use crate::operation::{self, Service};

/// The SQL Gateway of Flink: a marker, the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum FlinkSqlGateway {}

/// A SQL Gateway. See [`Client`](crate::driver::Client) for what it can.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
/// # fn with(runtime: impl pipewright::driver::Runtime)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use pipewright::flink::sql_gateway::SqlGateway;
/// use pipewright::flink::sql_gateway::sessions::{ConfigureSession, OpenSession};
///
/// let gateway = SqlGateway::new("http://127.0.0.1:8083".parse()?, runtime);
/// let session = gateway.call(OpenSession::new())?.session_handle;
/// gateway.call(ConfigureSession::new(session, "SET 'execution.runtime-mode' = 'batch'"))?;
/// # Ok(()) }
/// ```
pub type SqlGateway<T> = crate::driver::Client<FlinkSqlGateway, T>;

impl Service for FlinkSqlGateway {
    const NAME: &'static str = "flink-sql-gateway";
    // The same server as the REST API's.
    const MAX_REQUEST_LINE: usize = 4096;
    const DECODES_TWICE: bool = true;

    fn parse_error(info: &'static operation::OperationInfo, response: &Response<Bytes>) -> ServiceError {
        error::parse_error(info, response)
    }

    fn identifies_service(rejection: &ServiceError) -> bool {
        crate::flink::error::identifies_service(rejection)
    }
}

/// The rows of all tables.
pub(crate) fn operations() -> impl Iterator<Item = &'static operation::OperationInfo> {
    [gateway::OPERATIONS, sessions::OPERATIONS, statements::OPERATIONS].into_iter().flatten().copied()
}

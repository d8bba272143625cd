//! The goal, and what is saved of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Statement, StatementEvent, StatementMachine};
use crate::flink::sql_gateway::results::RowFormat;
use crate::flink::sql_gateway::{FlinkSqlGateway, OperationHandle, SessionHandle};
use crate::flow::goal;
use crate::schema::json_structs;
use crate::secret::Private;

/// Runs a statement and yields its rows page by page.
///
/// This is an **event flow**: drive it with [`Client::start`](crate::driver::Client::start). It yields a
/// [`Page`](StatementEvent::Page) for each page with rows, and [`Closed`](StatementEvent::Closed) when all pages have
/// come and all is closed. The first page is yielded even without rows, because it tells the columns. Polled after a
/// page, the flow first gives out a state, from which [`resume`](Self::resume) continues after that page. Store the
/// rows before that state, or together with it, and no rows are lost.
///
/// The statement runs in a session of its own, which is closed at the end, or in [an existing one](Self::in_session),
/// which is not. Of an `INSERT` the only row is the id of a job, which keeps running; an endless query yields pages
/// until it is [closed](Statement::close).
///
/// Ends in
///
/// * [`FlowError::Failed`](crate::error::FlowError::Failed) when the statement is wrong or ran into something: the
///   reason in one line, the stack trace as details;
/// * [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous) when the answer to the submission was lost: the
///   statement may have been carried out. It is not sent again unless it is [`repeatable`](Self::repeatable). A session
///   of its own is closed, which ends a query;
/// * [`FlowError::Incomplete`](crate::error::FlowError::Incomplete) with the rejection as its cause
///   ([`FlowError::service`](crate::error::FlowError::service)) if the gateway does not know the session or the
///   operation, as after a restart; or has given the page to another reader
///   ([`is_wrong_token`](crate::flink::sql_gateway::is_wrong_token)), whose result is then left open.
///
/// As soon as there is a session, every error has a [`StatementDiagnosis`](super::super::StatementDiagnosis) with its
/// handle, and those of the operation and the job.
///
/// If you keep a page for minutes, keep the session alive with
/// [`TriggerSession`](crate::flink::sql_gateway::sessions::TriggerSession).
///
/// After the [`timeout`](Self::timeout), nothing is closed: the session closes itself after its idle time, or a resumed
/// flow does it.
///
/// [`resume`](Self::resume) continues with the page after the saved page, or with closing if all had come. If it is not
/// known whether the statement was submitted, the resumed flow ends as after a submission without an answer. The
/// statement itself is not saved.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
/// # fn with(gateway: pipewright::flink::sql_gateway::SqlGateway<impl pipewright::driver::Runtime>)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use pipewright::flink::sql_gateway::{RunStatement, StatementEvent};
///
/// let query = RunStatement::new("SELECT word, COUNT(*) FROM words GROUP BY word").repeatable();
/// let mut statement = gateway.start(query);
/// while let Some(StatementEvent::Page(page)) = statement.next()? {
///     for row in &page.rows {
///         let (word, count): (String, i64) = row.read()?;
///         println!("{} {word} {count}", row.kind);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct RunStatement {
    pub(super) statement: Private<String>,
    pub(super) session: Option<SessionHandle>,
    pub(super) session_name: Option<String>,
    pub(super) properties: Private<BTreeMap<String, String>>,
    pub(super) execution_config: Private<BTreeMap<String, String>>,
    pub(super) row_format: Option<RowFormat>,
    pub(super) repeatable: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) resumed: Option<StatementState>,
}

json_structs! {
    /// What is saved.
    pub(super) struct StatementState {
        /// Where it runs.
        pub session: SessionHandle,
        /// Whether that session was opened for it.
        pub own: bool,
        /// The operation; `None` when the submission is about to be sent.
        pub operation: Option<OperationHandle>,
        /// The page to continue with.
        pub token: u64,
        /// How rows are written.
        pub row_format: Option<RowFormat> = "rowFormat",
        /// Whether all pages have come, or no more are wanted: there is only something to close.
        pub over: bool,
    }
}

impl RunStatement {
    /// Runs one statement, in a session of its own.
    pub fn new(statement: impl Into<String>) -> Self {
        Self {
            statement: Private(statement.into()),
            session: None,
            session_name: None,
            properties: Private::default(),
            execution_config: Private::default(),
            row_format: None,
            repeatable: false,
            timeout: None,
            resumed: None,
        }
    }

    /// Runs it in an existing session, which stays open.
    pub fn in_session(mut self, session: SessionHandle) -> Self {
        self.session = Some(session);
        self
    }

    /// The name of its own session, for the gateway's log.
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// Flink's options for its own session.
    pub fn properties(mut self, properties: BTreeMap<String, String>) -> Self {
        self.properties = Private(properties);
        self
    }

    /// Flink's options for the statement.
    pub fn execution_config(mut self, config: BTreeMap<String, String>) -> Self {
        self.execution_config = Private(config);
        self
    }

    /// How fields are written; JSON by default. Gateways before v2 know no other.
    pub fn row_format(mut self, format: RowFormat) -> Self {
        self.row_format = Some(format);
        self
    }

    /// Sends the statement again if its submission got no answer. Set it if executing the statement twice is harmless,
    /// as for a query: the first execution ends with its session.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

impl From<StatementState> for RunStatement {
    fn from(state: StatementState) -> Self {
        Self { row_format: state.row_format.clone(), resumed: Some(state), ..Self::new("") }
    }
}

goal!(RunStatement: FlinkSqlGateway => StatementEvent, StatementMachine, events Statement, resume StatementState);

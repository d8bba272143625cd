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
/// [`Page`](StatementEvent::Page) for each page that has rows. The first page is yielded even without rows, because it
/// names the columns. The last event is [`Closed`](StatementEvent::Closed): the flow has read all pages and closed what
/// it opened.
///
/// The flow opens a session for the statement and closes it at the end. A session that you pass with
/// [`in_session`](Self::in_session) stays open. The only row of an `INSERT` is the id of its job; the job continues. An
/// endless query yields pages until you call [`close`](Statement::close).
///
/// When you poll the flow after a page, it first saves a state. [`resume`](Self::resume) continues from this state
/// after the page, or closes what is still open. Store the rows before that state, or together with it, and no rows are
/// lost. The state does not contain the statement. If the flow was saved while it submitted the statement, the resumed
/// flow ends with [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous).
///
/// If you keep a page for minutes, keep the session alive with
/// [`TriggerSession`](crate::flink::sql_gateway::sessions::TriggerSession).
///
/// # Errors
///
/// * [`FlowError::Failed`](crate::error::FlowError::Failed) if the statement is invalid or fails while it runs. The
///   reason is one line; the details are the stack trace.
/// * [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous) if the submission got no answer: the gateway may
///   execute the statement. The flow sends it again only if it is [`repeatable`](Self::repeatable). Otherwise it closes
///   the session that it opened, which ends a query. The job of an `INSERT` would continue: look it up on the cluster.
/// * [`FlowError::Incomplete`](crate::error::FlowError::Incomplete) if the gateway does not know the session or the
///   operation, for example after a restart. [`FlowError::service`](crate::error::FlowError::service) has the
///   rejection.
/// * The same error if another client has fetched a later page:
///   [`is_wrong_token`](crate::flink::sql_gateway::is_wrong_token) recognizes this rejection. The flow closes nothing.
/// * [`FlowError::Deadline`](crate::error::FlowError::Deadline) after the [`timeout`](Self::timeout). The flow closes
///   nothing: the gateway closes the session after its idle time, or a resumed flow closes it.
///
/// As soon as there is a session, every error has a [`StatementDiagnosis`](super::super::StatementDiagnosis): the
/// handles of session and operation, and the job.
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
    /// The saved state.
    pub(super) struct StatementState {
        pub session: SessionHandle,
        /// Whether the flow opened that session, and closes it.
        pub own: bool,
        /// `None` while the submission has no answer.
        pub operation: Option<OperationHandle>,
        /// The page to continue with.
        pub token: u64,
        pub row_format: Option<RowFormat> = "rowFormat",
        /// Whether all pages were read, or the caller has closed the statement. Then the flow only closes what is open.
        pub over: bool,
    }
}

impl RunStatement {
    /// Creates a goal that runs a statement in a new session.
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

    /// Runs the statement in an existing session, which stays open.
    pub fn in_session(mut self, session: SessionHandle) -> Self {
        self.session = Some(session);
        self
    }

    /// Names the new session in the gateway's log. Ignored with [`in_session`](Self::in_session).
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// Sets Flink's options for the new session. Ignored with [`in_session`](Self::in_session).
    pub fn properties(mut self, properties: BTreeMap<String, String>) -> Self {
        self.properties = Private(properties);
        self
    }

    /// Sets Flink's options for this statement only.
    pub fn execution_config(mut self, config: BTreeMap<String, String>) -> Self {
        self.execution_config = Private(config);
        self
    }

    /// Sets how the gateway writes fields; JSON by default. Version 1 of the API has only JSON.
    pub fn row_format(mut self, format: RowFormat) -> Self {
        self.row_format = Some(format);
        self
    }

    /// Sends the statement again if its submission got no answer. Set it if a second execution is harmless, as for a
    /// query: the first execution ends with its session.
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

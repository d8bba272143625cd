//! The session [`RunStatement`].
//!
//! ```text
//!  Begin ──▶ Open ──▶ Submit ──▶ Fetch ◀──▶ Wait ◀──▶ Beat
//!    │                  ▲ │       │ └─▶ a page: yielded; then Fetch, next token
//!    └── in a session ──┘ │       │
//!                         ▼       ▼ EOS, an error, or closed on request
//!                         └──▶ CloseOperation ──▶ CloseSession ──▶ Ended
//! ```
//!
//! | state | what came | next |
//! |---|---|---|
//! | Open | a session | Submit, after saving |
//! | Open | ambiguous | Open again: a session that nobody uses closes itself |
//! | Submit | an operation | Fetch token 0, after saving |
//! | Submit | ambiguous, repeatable | Submit again |
//! | Submit | ambiguous, not repeatable | close; **ambiguous** |
//! | Fetch | `NOT_READY`, or a page without rows | Wait, longer each time |
//! | Fetch | rows | yielded; Fetch the next token, after saving |
//! | Fetch | EOS | its rows, if any; close, after saving |
//! | Fetch | refused | close; the statement failed |
//! | Fetch | refused, because the page is not next | that error; nothing is closed, because somebody else reads this result |
//! | Wait | over | Fetch; a heartbeat before, if the last one is old |
//! | closing | the session is unknown | closed |
//!
//! Invariants: a page is asked for again until it has come, and the next one only then, which is all that the gateway keeps;
//! so each row is yielded once, in order. A statement is sent once, unless it was said to be repeatable. What was opened
//! here is closed here, also after an error, but not after the deadline, nor while somebody else reads it. One page is in memory.

mod diagnosis;
mod goal;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::diagnosis::StatementDiagnosis;
pub use self::goal::RunStatement;
use self::goal::StatementState;

use super::{
    CloseOperation, CloseSession, ColumnInfo, ExecuteStatement, FetchResults, FlinkSqlGateway, OpenSession,
    OperationHandle, ResultKind, ResultPage, ResultType, Row, SessionHandle, TriggerSession, is_unknown_operation,
    is_unknown_session, is_wrong_token,
};
use crate::error::{Ambiguity, ErrorKind, Failure, FlowError, Misuse};
use crate::flink::JobId;
use crate::flink::flow::PollInterval;
use crate::flow::{Call, Config, Flow, Notice, Reply, SavedState, Step, ready};
use crate::operation::Operation;
use crate::seed::Seed;
use crate::time::Timestamp;

const NAME: &str = "RunStatement";
/// How often a request whose answer was lost is sent anew, where that is harmless.
const ANEW: u32 = 5;
/// How old the last heartbeat may be while no rows come. Sessions close themselves after ten minutes by default.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Rows of a statement.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// Which page of the result.
    pub token: u64,
    /// The job of a query or an `INSERT`.
    pub job: Option<JobId>,
    /// Whether the statement is a query.
    pub is_query: bool,
    /// Whether the rows say more than "OK".
    pub kind: Option<ResultKind>,
    /// The same with each page.
    pub columns: Vec<ColumnInfo>,
    /// Rows, or changes of rows, in order.
    pub rows: Vec<Row>,
}

/// A statement on its way. Made by [`RunStatement`].
#[must_use = "a flow does nothing until it is polled"]
pub struct Statement {
    goal: RunStatement,
    config: Config<FlinkSqlGateway>,
    seed: Seed,
    now: Timestamp,
    started: bool,
    deadline: Option<Timestamp>,
    session: Option<SessionHandle>,
    own: bool,
    operation: Option<OperationHandle>,
    job: Option<JobId>,
    /// The page to fetch.
    token: u64,
    /// Whether a page was yielded.
    yielded: bool,
    /// How often something was sent anew.
    anew: u32,
    pace: PollInterval,
    /// When the last heartbeat was, or the first poll.
    beat: Timestamp,
    notices: VecDeque<Notice>,
    /// How it ends, once all is closed.
    outcome: Option<Result<(), FlowError>>,
    state: State,
}

enum State {
    Begin,
    Open(Call<OpenSession>),
    Submit(Call<ExecuteStatement>),
    Fetch(Call<FetchResults>),
    Wait(Timestamp),
    Beat(Call<TriggerSession>),
    CloseOperation(Call<CloseOperation>),
    CloseSession(Call<CloseSession>),
    Ended,
}

impl Statement {
    /// The session, once there is one.
    pub fn session(&self) -> Option<SessionHandle> {
        self.session
    }

    /// The operation, once the statement was submitted.
    pub fn operation(&self) -> Option<OperationHandle> {
        self.operation
    }

    /// Ends it: the pages that have not come yet are not fetched. Poll on until it yields `None`; by then the query has ended
    /// and what was opened is closed. While an answer is outstanding, it is handed back as [`Step::Stray`]; one to a
    /// submission is waited for.
    pub fn close(&mut self) {
        if self.outcome.is_none() {
            self.outcome = Some(Ok(()));
            match self.state {
                State::Fetch(_) | State::Wait(_) | State::Beat(_) => self.shut(),
                // These look for the outcome when they are answered.
                _ => {}
            }
        }
    }

    /// Ends it at this moment at the latest, whatever else it is given.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    fn call<O: Operation<Service = FlinkSqlGateway>>(&mut self, operation: O) -> Call<O> {
        Call::new(operation, &self.config, self.seed.split()).with_deadline(self.deadline)
    }

    fn phase(&mut self, phase: &'static str) {
        self.notices.push_back(Notice::Phase { flow: NAME, phase });
    }

    fn save(&mut self) {
        if let Some(session) = self.session {
            let state = StatementState {
                session,
                own: self.own,
                operation: self.operation,
                token: self.token,
                row_format: self.goal.row_format.clone(),
                over: matches!(self.outcome, Some(Ok(()))),
            };
            self.notices.push_back(Notice::Persist(SavedState::new(NAME, &state)));
        }
    }

    /// What is known of a submission without an answer.
    fn lost(&self, cause: FlowError) -> FlowError {
        let found = match (self.own, self.is_late()) {
            (true, false) => "its session is being closed, which ends a query; the job of an INSERT would go on",
            (true, true) => {
                "its session closes itself when it was idle for long, which ends a query; the job of an INSERT would go on"
            }
            (false, _) => "its session stays open: closing it would end a query; the job of an INSERT would go on",
        };
        let operation = ExecuteStatement::INFO.name;
        FlowError::Ambiguous(Ambiguity {
            operation,
            cause: Box::new(cause),
            unanswered: true,
            found: Some(found.into()),
            evidence: None,
        })
    }

    fn begin(&mut self) {
        match (self.session, self.operation) {
            _ if self.outcome.is_some() => self.shut(),
            (Some(_), Some(_)) => self.fetch(),
            (Some(session), None) => self.submit(session),
            (None, _) => self.open(),
        }
    }

    fn open(&mut self) {
        self.phase("opening a session");
        let mut operation = OpenSession::new();
        operation.session_name.clone_from(&self.goal.session_name);
        if !self.goal.properties.0.is_empty() {
            operation.properties = Some(self.goal.properties.0.clone());
        }
        self.state = State::Open(self.call(operation));
    }

    fn submit(&mut self, session: SessionHandle) {
        self.phase("submitting");
        self.save();
        let mut operation = ExecuteStatement::new(session, self.goal.statement.0.clone());
        if !self.goal.execution_config.0.is_empty() {
            operation.execution_config = Some(self.goal.execution_config.0.clone());
        }
        self.state = State::Submit(self.call(operation));
    }

    fn fetch(&mut self) {
        let (Some(session), Some(operation)) = (self.session, self.operation) else { return self.shut() };
        let mut fetch = FetchResults::new(session, operation, self.token);
        fetch.row_format.clone_from(&self.goal.row_format);
        self.state = State::Fetch(self.call(fetch));
    }

    fn wait(&mut self) {
        self.state = State::Wait(self.pace.next(self.now));
    }

    /// A heartbeat, when no rows have come for long, or else the next look.
    fn look(&mut self) {
        match self.session.filter(|_| self.now.since(self.beat) >= HEARTBEAT) {
            Some(session) => {
                self.beat = self.now;
                self.state = State::Beat(self.call(TriggerSession::new(session)));
            }
            None => self.fetch(),
        }
    }

    /// Closes what is open, and ends.
    fn shut(&mut self) {
        if matches!(self.outcome, Some(Ok(()))) {
            // Whoever goes on from here must not ask for pages of an operation that is closed.
            self.save();
        }
        match (self.session, self.operation) {
            (Some(session), Some(operation)) => {
                self.phase("closing");
                self.state = State::CloseOperation(self.call(CloseOperation::new(session, operation)));
            }
            _ => self.shut_session(),
        }
    }

    fn shut_session(&mut self) {
        self.state = match self.session.filter(|_| self.own) {
            Some(session) => State::CloseSession(self.call(CloseSession::new(session))),
            None => State::Ended,
        };
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.now)
    }

    fn out_of_time(&mut self, at: Timestamp) {
        let (observed, last, evidence) = (None, None, None);
        self.fail(FlowError::Deadline { at, waiting: "rows", observed, last, evidence });
    }

    fn fail(&mut self, error: FlowError) {
        self.outcome = Some(Err(error));
        if self.is_late() {
            self.state = State::Ended;
        } else {
            self.shut();
        }
    }

    /// Closing failed: the gateway does it on its own later.
    fn unclosed(&mut self, what: String, error: &FlowError) {
        if !error.service().is_some_and(|error| is_unknown_session(error) || is_unknown_operation(error)) {
            self.notices.push_back(Notice::Observed { what, state: format!("not closed: {error}") });
        }
    }

    /// What a refusal of a page means.
    fn blame(&self, error: FlowError) -> FlowError {
        let is_own = |error: &crate::error::ServiceError| {
            error.kind() == ErrorKind::Refused
                && error.status().is_server_error()
                && !is_unknown_session(error)
                && !is_unknown_operation(error)
                && !error.is_transient()
        };
        match error {
            FlowError::Service(refusal) if is_own(&refusal) => FlowError::Failed(Failure {
                what: match self.operation {
                    Some(operation) => format!("statement {operation}"),
                    None => "statement".to_owned(),
                },
                reason: refusal.message().to_owned(),
                details: refusal.details().map(str::to_owned),
                cause: None,
            }),
            other => other,
        }
    }

    /// The page to yield, if there is something to see.
    fn arrived(&mut self, answer: ResultPage) -> Option<Page> {
        let (token, next) = (self.token, answer.next_token());
        self.job = answer.job_id.or(self.job);
        let over = answer.result_type == ResultType::Eos;
        let ready = answer.result_type != ResultType::NotReady;
        let page = answer.results.filter(|_| ready).map(|results| Page {
            token,
            job: answer.job_id,
            is_query: answer.is_query_result.unwrap_or_default(),
            kind: answer.result_kind,
            columns: results.columns,
            rows: results.data,
        });
        let page = page.filter(|page| !page.rows.is_empty() || !self.yielded);
        let has_rows = page.as_ref().is_some_and(|page| !page.rows.is_empty());
        self.yielded |= page.is_some();
        if over {
            self.outcome.get_or_insert(Ok(()));
            self.shut();
            return page;
        }
        // While it is not ready the same page is asked for again, whatever it says.
        if ready {
            let Some(next) = next.filter(|next| *next > token) else {
                self.fail(FlowError::Failed(Failure {
                    what: "result".to_owned(),
                    reason: format!("page {token} is not the last one and names no later one"),
                    details: answer.next_result_uri,
                    cause: None,
                }));
                return page;
            };
            self.token = next;
            self.save();
        }
        if has_rows {
            self.pace = PollInterval::START;
            self.fetch();
        } else {
            self.wait();
        }
        page
    }

    fn advance(&mut self, reply: &mut Option<Reply>) -> Step<Option<Page>> {
        loop {
            // A reply is taken first, so that it is never kept waiting.
            if reply.is_none()
                && let Some(notice) = self.notices.pop_front()
            {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Begin => self.begin(),
                State::Open(call) => match ready!(call.poll(self.now, reply.take())) {
                    Ok(opened) => {
                        self.session = Some(opened.session_handle);
                        self.begin();
                    }
                    Err(FlowError::Ambiguous(_)) if self.anew < ANEW && self.outcome.is_none() => {
                        self.anew += 1;
                        self.open();
                    }
                    Err(error) => self.fail(error),
                },
                State::Submit(call) => match ready!(call.poll(self.now, reply.take())) {
                    Ok(submitted) => {
                        self.operation = Some(submitted.operation_handle);
                        self.save();
                        self.phase("waiting for rows");
                        self.begin();
                    }
                    Err(FlowError::Ambiguous(_))
                        if self.goal.repeatable && self.anew < ANEW && self.outcome.is_none() =>
                    {
                        self.anew += 1;
                        self.begin();
                    }
                    Err(FlowError::Ambiguous(ambiguity)) => {
                        let error = self.lost(*ambiguity.cause);
                        self.fail(error);
                    }
                    Err(error) => self.fail(error),
                },
                State::Fetch(call) => match ready!(call.poll(self.now, reply.take())) {
                    Ok(answer) => {
                        if let Some(page) = self.arrived(answer) {
                            return Step::Done(Ok(Some(page)));
                        }
                    }
                    // Another reader was further than we are, as when a state is resumed twice: the result is theirs.
                    Err(FlowError::Service(error)) if is_wrong_token(&error) => {
                        self.outcome = Some(Err(error.into()));
                        self.state = State::Ended;
                    }
                    Err(error) => {
                        let error = self.blame(error);
                        self.fail(error);
                    }
                },
                State::Wait(at) => {
                    let at = *at;
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    match self.deadline.filter(|deadline| *deadline <= self.now) {
                        Some(at) => self.out_of_time(at),
                        None if at > self.now => {
                            return Step::WaitUntil(self.deadline.map_or(at, |deadline| deadline.min(at)));
                        }
                        None => self.look(),
                    }
                }
                State::Beat(call) => match ready!(call.poll(self.now, reply.take())) {
                    Err(FlowError::Service(error)) if is_unknown_session(&error) => self.fail(error.into()),
                    // Fetching tells what else may be wrong.
                    _ => self.fetch(),
                },
                State::CloseOperation(call) => {
                    if let Err(error) = ready!(call.poll(self.now, reply.take())) {
                        self.unclosed("the operation".to_owned(), &error);
                    }
                    self.shut_session();
                }
                State::CloseSession(call) => {
                    if let Err(error) = ready!(call.poll(self.now, reply.take())) {
                        self.unclosed("the session".to_owned(), &error);
                    }
                    self.state = State::Ended;
                }
                State::Ended => {
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    let after = FlowError::Misuse(Misuse::PolledAfterDone);
                    return Step::Done(match self.outcome.replace(Err(after.clone())) {
                        Some(Ok(())) => Ok(None),
                        Some(Err(error)) => {
                            let error = self.explain(error);
                            self.outcome = Some(Err(error.clone()));
                            Err(error)
                        }
                        None => Err(after),
                    });
                }
            }
        }
    }
}

impl Flow for Statement {
    type Output = Option<Page>;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<Option<Page>> {
        self.now = self.now.max(now);
        if !std::mem::replace(&mut self.started, true) {
            self.beat = self.now;
            let own = self.goal.timeout.map(|timeout| self.now + timeout);
            self.deadline = self.deadline.into_iter().chain(own).min();
        }
        let mut reply = reply;
        self.advance(&mut reply)
    }
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statement")
            .field("session", &self.session)
            .field("operation", &self.operation)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

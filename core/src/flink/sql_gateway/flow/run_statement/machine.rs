//! The transitions of [`RunStatement`], as drawn in its module.

use std::ops::ControlFlow;

use super::goal::{RunStatement, StatementState};
use super::{Page, StatementDiagnosis, StatementEvent};
use crate::error::{Ambiguity, ErrorKind, Failure, FlowError, Misuse, ServiceError};
use crate::flink::JobId;
use crate::flink::flow::PollInterval;
use crate::flink::sql_gateway::results::{ResultPage, ResultType};
use crate::flink::sql_gateway::sessions::{CloseSession, OpenSession, TriggerSession};
use crate::flink::sql_gateway::statements::{CloseOperation, ExecuteStatement, FetchResults};
use crate::flink::sql_gateway::{
    FlinkSqlGateway, OperationHandle, SessionHandle, is_unknown_operation, is_unknown_session, is_wrong_token,
};
use crate::flink::tuning::{HEARTBEAT_INTERVAL, MAX_STATEMENT_RESENDS};
use crate::flow::{Call, FlowContext, Notice, SavedState, StateMachine, Transition, done};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// The transitions of [`RunStatement`].
#[derive(Debug)]
pub(super) struct StatementMachine {
    goal: RunStatement,
    session: Option<SessionHandle>,
    /// Whether that session was opened for this statement.
    is_own: bool,
    operation: Option<OperationHandle>,
    job: Option<JobId>,
    /// The page to fetch.
    token: u64,
    /// Whether a page was yielded.
    has_yielded: bool,
    resends: u32,
    pace: PollInterval,
    /// When the last heartbeat was sent, or the first poll was.
    heartbeat_at: Timestamp,
    /// How the statement ends once all is closed.
    outcome: Option<Result<(), FlowError>>,
    state: State,
}

#[derive(Debug)]
enum State {
    Begin,
    Open(Call<OpenSession>),
    Submit(Call<ExecuteStatement>),
    Fetch(Call<FetchResults>),
    /// A page has arrived, and was yielded. Whether the next page has another token, and whether it had rows.
    Arrived {
        is_next: bool,
        has_rows: bool,
    },
    Wait(Timestamp),
    Heartbeat(Call<TriggerSession>),
    CloseOperation(Call<CloseOperation>),
    CloseSession(Call<CloseSession>),
    Ended,
}

type Context = FlowContext<FlinkSqlGateway>;

impl From<RunStatement> for StatementMachine {
    fn from(mut goal: RunStatement) -> Self {
        let resumed = goal.resumed.take();
        let mut machine = Self {
            session: goal.session,
            is_own: goal.session.is_none(),
            operation: None,
            job: None,
            token: 0,
            has_yielded: false,
            resends: 0,
            pace: PollInterval::START,
            heartbeat_at: Timestamp::UNIX_EPOCH,
            outcome: None,
            state: State::Begin,
            goal,
        };
        if let Some(StatementState { session, own, operation, token, over, .. }) = resumed {
            (machine.session, machine.is_own) = (Some(session), own);
            (machine.operation, machine.token) = (operation, token);
            if over {
                machine.outcome = Some(Ok(()));
            } else if operation.is_none() {
                let cause = FlowError::Stopped("the saved flow ended while it submitted the statement".to_owned());
                machine.outcome = Some(Err(machine.unconfirmed(cause, false)));
            }
        }
        machine
    }
}

fn unreadable_rows(page: &ResultPage) -> usize {
    page.results.as_ref().map_or(0, |results| results.data.unreadable())
}

impl StatementMachine {
    pub(super) fn session(&self) -> Option<SessionHandle> {
        self.session
    }

    pub(super) fn operation(&self) -> Option<OperationHandle> {
        self.operation
    }

    /// Ends the statement before all pages have come.
    pub(super) fn close(&mut self, cx: &mut Context) {
        if self.outcome.is_none() {
            self.outcome = Some(Ok(()));
            // The other states close when their request is answered.
            if matches!(self.state, State::Fetch(_) | State::Wait(_) | State::Heartbeat(_)) {
                self.state = self.shut(cx);
            }
        }
    }

    fn save(&self, cx: &mut Context) {
        if let Some(session) = self.session {
            let state = StatementState {
                session,
                own: self.is_own,
                operation: self.operation,
                token: self.token,
                row_format: self.goal.row_format.clone(),
                over: matches!(self.outcome, Some(Ok(()))),
            };
            cx.save(SavedState::new(Self::NAME, &state));
        }
    }

    /// Returns the error for a submission without an answer. After the deadline, the flow does not close the session.
    fn unconfirmed(&self, cause: FlowError, is_late: bool) -> FlowError {
        let found = match (self.is_own, is_late) {
            (true, false) => "its session is being closed, which ends a query; the job of an INSERT would continue",
            (true, true) => {
                "the gateway closes its session after the idle time, which ends a query; the job of an INSERT would continue"
            }
            (false, _) => "its session stays open: closing it would end a query; the job of an INSERT would continue",
        };
        FlowError::Ambiguous(Ambiguity {
            operation: ExecuteStatement::INFO.name,
            cause: Box::new(cause),
            unanswered: true,
            found: Some(found.into()),
            evidence: None,
        })
    }

    /// The next step that is due, by what is open.
    fn proceed(&mut self, cx: &mut Context) -> State {
        match (self.session, self.operation) {
            _ if self.outcome.is_some() => self.shut(cx),
            (Some(session), Some(operation)) => self.fetch(session, operation, cx),
            (Some(session), None) => self.submit(session, cx),
            (None, _) => self.open(cx),
        }
    }

    fn open(&self, cx: &mut Context) -> State {
        cx.phase(Self::NAME, "opening a session");
        let mut operation = OpenSession::new();
        operation.session_name.clone_from(&self.goal.session_name);
        if !self.goal.properties.0.is_empty() {
            operation.properties = Some(self.goal.properties.0.clone());
        }
        State::Open(cx.call(operation))
    }

    fn submit(&self, session: SessionHandle, cx: &mut Context) -> State {
        cx.phase(Self::NAME, "submitting");
        self.save(cx);
        let mut operation = ExecuteStatement::new(session, self.goal.statement.0.clone());
        if !self.goal.execution_config.0.is_empty() {
            operation.execution_config = Some(self.goal.execution_config.0.clone());
        }
        State::Submit(cx.call(operation))
    }

    fn fetch(&self, session: SessionHandle, operation: OperationHandle, cx: &mut Context) -> State {
        let mut fetch = FetchResults::new(session, operation, self.token);
        fetch.row_format.clone_from(&self.goal.row_format);
        State::Fetch(cx.call(fetch))
    }

    /// Closes what is open, and ends.
    fn shut(&self, cx: &mut Context) -> State {
        if matches!(self.outcome, Some(Ok(()))) {
            // A resumed flow must not fetch pages of an operation that is closed.
            self.save(cx);
        }
        match (self.session, self.operation) {
            (Some(session), Some(operation)) => {
                cx.phase(Self::NAME, "closing");
                State::CloseOperation(cx.call(CloseOperation::new(session, operation)))
            }
            _ => self.shut_session(cx),
        }
    }

    fn shut_session(&self, cx: &mut Context) -> State {
        match self.session.filter(|_| self.is_own) {
            Some(session) => State::CloseSession(cx.call(CloseSession::new(session))),
            None => State::Ended,
        }
    }

    /// After the deadline, nothing is closed.
    fn fail(&mut self, error: FlowError, cx: &mut Context) -> State {
        self.outcome = Some(Err(error));
        if is_late(cx) { State::Ended } else { self.shut(cx) }
    }

    /// Returns whether a request that got no answer may be sent again.
    fn may_resend(&mut self) -> bool {
        let may = self.resends < MAX_STATEMENT_RESENDS && self.outcome.is_none();
        self.resends += u32::from(may);
        may
    }

    /// Returns the error for a rejected fetch.
    fn classify(&self, error: FlowError) -> FlowError {
        let is_of_statement = |error: &ServiceError| {
            error.kind() == ErrorKind::Rejected
                && error.status().is_server_error()
                && !is_unknown_session(error)
                && !is_unknown_operation(error)
                && !error.is_transient()
        };
        match error {
            FlowError::Service(rejection) if is_of_statement(&rejection) => FlowError::Failed(Failure {
                what: self.what(),
                reason: rejection.message().to_owned(),
                details: rejection.details().map(str::to_owned),
                cause: None,
            }),
            other => other,
        }
    }

    /// Returns the error for a page with unreadable rows. Without it, the result would lack these rows silently.
    fn incomplete(&self, rows: usize) -> FlowError {
        FlowError::failed(
            self.what(),
            format!(
                "this version of the library cannot read {rows} rows of page {}; update the library, or read the other \
                rows with `FetchResults`",
                self.token
            ),
        )
    }

    fn what(&self) -> String {
        match self.operation {
            Some(operation) => format!("statement {operation}"),
            None => "statement".to_owned(),
        }
    }

    /// Takes a page. Returns the next state, and the page if it is to be yielded. A state behind the page is saved only
    /// when the caller has got the page.
    fn arrived(&mut self, answer: ResultPage) -> (State, Option<Page>) {
        let (token, next) = (self.token, answer.next_token());
        self.job = answer.job_id.or(self.job);
        let is_over = answer.result_type == ResultType::Eos;
        let is_ready = answer.result_type != ResultType::NotReady;
        let page = answer.results.filter(|_| is_ready).map(|results| Page {
            token,
            job: answer.job_id,
            is_query: answer.is_query_result.unwrap_or_default(),
            kind: answer.result_kind,
            columns: results.columns,
            rows: results.data.into_vec(),
        });
        let page = page.filter(|page| !page.rows.is_empty() || !self.has_yielded);
        let has_rows = page.as_ref().is_some_and(|page| !page.rows.is_empty());
        self.has_yielded |= page.is_some();
        // While it is not ready, the same page is fetched again, whichever the next page is.
        let is_next = is_ready && !is_over;
        if is_over {
            self.outcome.get_or_insert(Ok(()));
        } else if is_next {
            match next.filter(|next| *next > token) {
                Some(next) => self.token = next,
                None => {
                    self.outcome = Some(Err(FlowError::Failed(Failure {
                        what: "result".to_owned(),
                        reason: format!("page {token} is not the last page and names no later page"),
                        details: answer.next_result_uri,
                        cause: None,
                    })));
                }
            }
        }
        (State::Arrived { is_next, has_rows }, page)
    }
}

fn is_late(cx: &Context) -> bool {
    cx.deadline().is_some_and(|deadline| deadline <= cx.now())
}

/// Tells the caller that closing failed. The gateway closes idle sessions by itself.
fn not_closed(what: &str, error: &FlowError, cx: &mut Context) {
    if !error.service().is_some_and(|error| is_unknown_session(error) || is_unknown_operation(error)) {
        cx.say(Notice::Observed { what: what.to_owned(), state: format!("not closed: {error}") });
    }
}

impl StateMachine for StatementMachine {
    type Service = FlinkSqlGateway;
    type Output = StatementEvent;
    const NAME: &'static str = "RunStatement";
    const PHASES: &'static [&'static str] = &["opening a session", "submitting", "waiting for rows", "closing"];

    fn transition(&mut self, cx: &mut Context) -> Transition<StatementEvent> {
        self.state = match &mut self.state {
            State::Begin => {
                self.heartbeat_at = cx.now();
                self.proceed(cx)
            }
            State::Open(call) => match cx.poll(call)? {
                Ok(opened) => {
                    self.session = Some(opened.session_handle);
                    self.proceed(cx)
                }
                Err(FlowError::Ambiguous(_)) if self.may_resend() => self.open(cx),
                Err(error) => self.fail(error, cx),
            },
            State::Submit(call) => match cx.poll(call)? {
                Ok(submitted) => {
                    self.operation = Some(submitted.operation_handle);
                    self.save(cx);
                    cx.phase(Self::NAME, "waiting for rows");
                    self.proceed(cx)
                }
                Err(FlowError::Ambiguous(_)) if self.goal.repeatable && self.may_resend() => self.proceed(cx),
                Err(FlowError::Ambiguous(ambiguity)) => {
                    let error = self.unconfirmed(*ambiguity.cause, is_late(cx));
                    self.fail(error, cx)
                }
                Err(error) => self.fail(error, cx),
            },
            State::Fetch(call) => match cx.poll(call)? {
                Ok(answer) if unreadable_rows(&answer) > 0 => {
                    let error = self.incomplete(unreadable_rows(&answer));
                    self.fail(error, cx)
                }
                Ok(answer) => {
                    let (next, page) = self.arrived(answer);
                    if let Some(page) = page {
                        self.state = next;
                        return done(Ok(StatementEvent::Page(page)));
                    }
                    next
                }
                // Another client has read further, as when a state is resumed twice: the result is left to it.
                Err(FlowError::Service(error)) if is_wrong_token(&error) => {
                    self.outcome = Some(Err(error.into()));
                    State::Ended
                }
                Err(error) => {
                    let error = self.classify(error);
                    self.fail(error, cx)
                }
            },
            State::Arrived { is_next, has_rows } => {
                let (is_next, has_rows) = (*is_next, *has_rows);
                if self.outcome.as_ref().is_some_and(Result::is_err) && is_late(cx) {
                    State::Ended
                } else if self.outcome.is_some() {
                    self.shut(cx)
                } else {
                    if is_next {
                        self.save(cx);
                    }
                    if has_rows {
                        self.pace = PollInterval::START;
                        self.proceed(cx)
                    } else {
                        State::Wait(self.pace.next(cx.now()))
                    }
                }
            }
            State::Wait(at) => match cx.wait_or_expire(*at, "rows")? {
                Err(error) => self.fail(error, cx),
                Ok(()) => match self.session.filter(|_| cx.now().since(self.heartbeat_at) >= HEARTBEAT_INTERVAL) {
                    Some(session) => {
                        self.heartbeat_at = cx.now();
                        State::Heartbeat(cx.call(TriggerSession::new(session)))
                    }
                    None => self.proceed(cx),
                },
            },
            State::Heartbeat(call) => match cx.poll(call)? {
                Err(FlowError::Service(error)) if is_unknown_session(&error) => self.fail(error.into(), cx),
                // Fetching tells what else may be wrong.
                _ => self.proceed(cx),
            },
            State::CloseOperation(call) => {
                if let Err(error) = cx.poll(call)? {
                    not_closed("the operation", &error, cx);
                }
                self.shut_session(cx)
            }
            State::CloseSession(call) => {
                if let Err(error) = cx.poll(call)? {
                    not_closed("the session", &error, cx);
                }
                State::Ended
            }
            State::Ended => {
                let after = Err(FlowError::Misuse(Misuse::PolledAfterDone));
                return done(self.outcome.take().unwrap_or(after).map(|()| StatementEvent::Closed));
            }
        };
        ControlFlow::Continue(())
    }

    fn is_last(&self, event: &StatementEvent) -> bool {
        matches!(event, StatementEvent::Closed)
    }

    /// Adds the handles. The caller cannot find those that the flow opened in any other way.
    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        let Some(session) = self.session else { return error };
        error.with_evidence(StatementDiagnosis { session, operation: self.operation, job: self.job, token: self.token })
    }
}

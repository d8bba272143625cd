//! The states of [`Transaction`], and how its actions are carried out.

use std::ops::ControlFlow;

use super::decide::{Action, Commit, Known, Reading, decide};
use super::goal::{Transaction, TransactionEvent, TransactionState};
use crate::error::{Ambiguity, Delivery, FlowError, TransportError, TransportErrorKind};
use crate::feldera::data::{CommitTransaction, StartTransaction, TransactionStarted};
use crate::feldera::flow::diagnosis::{Diagnosis, with_unknown_outcome};
use crate::feldera::flow::stall_detector::StallDetector;
use crate::feldera::flow::{PollInterval, UnknownOutcome};
use crate::feldera::stats::{ControllerStatus, GetStats};
use crate::feldera::{Accepted, ErrorCode, FelderaApi, error_code};
use crate::flow::{Call, FlowContext, Notice, SavedState, StateMachine, Transition, done};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// The transitions of [`Transaction`].
pub(super) struct TransactionMachine {
    goal: Transaction,
    known: Known,
    pace: PollInterval,
    stall_detector: StallDetector,
    state: State,
}

enum State {
    Begin(Reading),
    Read(Call<GetStats>, Reading),
    Wait(Timestamp, Reading),
    Start(Call<StartTransaction>),
    Open,
    /// With what was known of the commit before it was sent.
    Commit(Call<CommitTransaction>, Commit),
    Diagnosis(Diagnosis, Reading),
}

impl From<Transaction> for TransactionMachine {
    fn from(mut goal: Transaction) -> Self {
        let mut known = Known {
            pipeline: goal.pipeline.clone(),
            take_over: goal.take_over,
            process: None,
            id: None,
            since: Timestamp::UNIX_EPOCH,
            other: None,
            seen: false,
            wanted: false,
            commit: Commit::Unsent,
            lost: None,
            polls: 0,
            asked: Timestamp::UNIX_EPOCH,
        };
        let is_resumed = goal.resumed.is_some();
        if let Some(state) = goal.resumed.take() {
            (known.process, known.id, known.other) = (state.process, state.id, state.other);
            known.since = Timestamp::from_millis(state.since);
            known.wanted = state.committing;
            known.commit = if state.committing { Commit::Sent } else { Commit::Unsent };
            known.seen = true;
        }
        let first = match known.id {
            _ if !is_resumed => Reading::Before,
            None => Reading::Find,
            Some(_) => Reading::Watch,
        };
        let stall_detector = StallDetector::new(goal.stall_timeout);
        Self { goal, known, pace: PollInterval::START, stall_detector, state: State::Begin(first) }
    }
}

impl TransactionMachine {
    pub(super) fn goal(&self) -> &Transaction {
        &self.goal
    }

    pub(super) fn id(&self) -> Option<i64> {
        self.known.id
    }

    pub(super) fn commit(&mut self) {
        self.known.wanted = true;
    }

    fn save(&self, committing: bool, cx: &mut FlowContext<FelderaApi>) {
        let state = TransactionState {
            pipeline: self.known.pipeline.clone(),
            process: self.known.process.clone(),
            id: self.known.id,
            other: self.known.other,
            committing,
            since: self.known.since.as_millis(),
        };
        cx.save(SavedState::new(Self::NAME, &state));
    }

    /// Remembers the answer to the start.
    fn started(&mut self, answer: Result<TransactionStarted, FlowError>, cx: &mut FlowContext<FelderaApi>) -> Action {
        match answer {
            Ok(started) => {
                self.known.id = Some(started.transaction_id);
                self.save(false, cx);
                Action::Read(Reading::Confirm)
            }
            Err(FlowError::Ambiguous(lost)) => {
                (self.known.polls, self.known.lost) = (0, Some(lost));
                self.pace = PollInterval::START;
                Action::Read(Reading::Find)
            }
            Err(error) => Action::Diagnose(error, Reading::Before),
        }
    }

    /// Remembers the answer to the commit.
    fn committed(&mut self, answer: Result<Accepted, FlowError>, before: Commit) -> Action {
        (self.known.polls, self.known.lost) = (0, None);
        match answer {
            Ok(_) => self.known.commit = Commit::Accepted,
            Err(FlowError::Ambiguous(lost)) => self.known.lost = Some(lost),
            Err(FlowError::Service(error)) if error_code(&error) == Some(ErrorCode::NoTransactionInProgress) => {
                self.known.commit = Commit::Accepted;
            }
            Err(error) => {
                self.known.commit = before;
                return Action::Diagnose(error, Reading::Watch);
            }
        }
        Action::Read(Reading::Watch)
    }

    fn read(&mut self, reading: Reading, cx: &mut FlowContext<FelderaApi>) -> State {
        self.known.asked = cx.now();
        State::Read(cx.call(GetStats::new(self.known.pipeline.clone())), reading)
    }

    fn read_later(&mut self, reading: Reading, cx: &FlowContext<FelderaApi>) -> State {
        self.known.polls += 1;
        State::Wait(self.pace.next(cx.now()), reading)
    }

    /// Carries out an action: all changes of the state are here.
    fn carry_out(
        &mut self,
        action: Action,
        stats: Option<&ControllerStatus>,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Transition<TransactionEvent> {
        self.state = match action {
            Action::Start => {
                cx.phase(Self::NAME, "starting");
                self.known.since = cx.now();
                self.save(false, cx);
                State::Start(cx.call(StartTransaction::new(self.known.pipeline.clone())))
            }
            Action::Read(reading) => self.read(reading, cx),
            Action::ReadLater(reading) => self.read_later(reading, cx),
            Action::TakeOver(id) => {
                (self.known.id, self.known.seen, self.known.lost) = (Some(id), true, None);
                self.save(false, cx);
                State::Open
            }
            Action::SaveAndOpen => {
                self.save(false, cx);
                State::Open
            }
            Action::Open => State::Open,
            Action::Commit => {
                cx.phase(Self::NAME, "committing");
                self.save(true, cx);
                self.pace = PollInterval::START;
                let before = std::mem::replace(&mut self.known.commit, Commit::Sent);
                State::Commit(cx.call(CommitTransaction::new(self.known.pipeline.clone())), before)
            }
            Action::AwaitCommit => {
                self.known.lost = None;
                if let Some(stats) = stats {
                    self.observe_commit(stats, cx)?;
                }
                self.read_later(Reading::Watch, cx)
            }
            Action::Committed => {
                return done(Ok(TransactionEvent::Committed { id: self.known.id.unwrap_or_default() }));
            }
            Action::Diagnose(rejection, reading) => {
                let had_process = self.known.process.is_some();
                let diagnosis = Diagnosis::new(&self.known.pipeline, self.known.what(), rejection, had_process, cx);
                State::Diagnosis(diagnosis, reading)
            }
            Action::Unknown(operation, found) => return done(Err(self.outcome_unknown(operation, found))),
            Action::Interrupted(interruption) => {
                let error = interruption.into_error(self.known.what(), None);
                return done(Err(self.perhaps_committed(error)));
            }
            Action::Fail(error) => return done(Err(error)),
        };
        ControlFlow::Continue(())
    }

    /// Fails if the commit makes no progress; otherwise tells the listener how far it is.
    fn observe_commit(
        &mut self,
        stats: &ControllerStatus,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Transition<TransactionEvent> {
        if let Some(interruption) = self.stall_detector.observe_commit(stats, self.known.asked, cx.now()) {
            return done(Err(interruption.into_error(self.known.what(), None)));
        }
        if let Some(progress) = &stats.global_metrics.commit_progress
            && let (Some(done), Some(busy), Some(waiting)) =
                (progress.completed, progress.in_progress, progress.remaining)
        {
            let left = busy.saturating_add(waiting);
            let so_far = format!("{done} operators are committed, {left} are not");
            cx.say(Notice::Observed { what: self.known.what(), state: so_far });
        }
        ControlFlow::Continue(())
    }

    /// Returns the error if the timeout expires before the statistics are read again.
    fn expired(&mut self, reading: Reading, error: FlowError) -> FlowError {
        if self.known.lost.is_none() {
            return error;
        }
        match reading {
            Reading::Find => self.outcome_unknown(StartTransaction::INFO.name, "it was not found in time".to_owned()),
            _ => self.outcome_unknown(CommitTransaction::INFO.name, "the transaction was still open".to_owned()),
        }
    }

    /// Returns the error for a pipeline whose statistics could not be read, by the cause that was found.
    fn not_read(&mut self, reading: Reading, error: FlowError) -> FlowError {
        if reading != Reading::Find {
            return self.perhaps_committed(error);
        }
        let found = format!("the pipeline could not be read: {error}");
        match (self.outcome_unknown(StartTransaction::INFO.name, found), error) {
            (FlowError::Ambiguous(ambiguity), error @ FlowError::Failed(_)) => {
                with_unknown_outcome(Ambiguity { found: None, ..ambiguity }, error)
            }
            (unknown, _) => unknown,
        }
    }

    /// Makes the outcome unknown if the commit was sent: the error hides whether it was carried out.
    fn perhaps_committed(&mut self, error: FlowError) -> FlowError {
        let is_unanswered = self.known.lost.is_some();
        match error {
            error @ FlowError::Failed(_) if self.known.commit != Commit::Unsent => FlowError::Ambiguous(Ambiguity {
                operation: CommitTransaction::INFO.name,
                unanswered: is_unanswered,
                cause: Box::new(error),
                found: None,
                evidence: None,
            }),
            error if is_unanswered => {
                let found = format!("the pipeline could not be read: {error}");
                self.outcome_unknown(CommitTransaction::INFO.name, found)
            }
            error => error,
        }
    }

    /// Returns the error for a request whose outcome is unknown although the statistics were read.
    fn outcome_unknown(&mut self, operation: &'static str, found: String) -> FlowError {
        let lost = self.known.lost.take().unwrap_or_else(|| {
            let message = "the process of the flow that sent it has ended";
            let cause = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, message);
            Ambiguity { operation, cause: Box::new(cause.into()), unanswered: true, found: None, evidence: None }
        });
        FlowError::Ambiguous(Ambiguity { found: Some(found), ..lost })
    }
}

impl StateMachine for TransactionMachine {
    type Service = FelderaApi;
    type Output = TransactionEvent;
    const NAME: &'static str = "Transaction";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<TransactionEvent> {
        let action = match &mut self.state {
            State::Begin(first) => Action::Read(*first),
            State::Read(call, reading) => {
                let (answer, reading) = (cx.poll(call)?, *reading);
                match answer {
                    Ok(stats) => {
                        self.known.record(reading, &stats.global_metrics);
                        let action = decide(reading, &stats.global_metrics, &self.known, cx.now());
                        return self.carry_out(action, Some(&stats), cx);
                    }
                    Err(error) => Action::Diagnose(error, reading),
                }
            }
            State::Wait(until, reading) => {
                let reading = *reading;
                match cx.wait_or_expire(*until, waiting_for(reading))? {
                    Ok(()) => Action::Read(reading),
                    Err(error) => Action::Fail(self.expired(reading, error)),
                }
            }
            State::Start(call) => {
                let answer = cx.poll(call)?;
                self.started(answer, cx)
            }
            // The commit does not say which transaction it means, so the statistics are read first.
            State::Open if self.known.wanted => Action::Read(Reading::Watch),
            State::Open => return done(Ok(TransactionEvent::Started { id: self.known.id.unwrap_or_default() })),
            State::Commit(call, before) => {
                let (answer, before) = (cx.poll(call)?, *before);
                self.committed(answer, before)
            }
            State::Diagnosis(diagnosis, reading) => {
                let (error, reading) = (diagnosis.poll(cx)?, *reading);
                Action::Fail(self.not_read(reading, error))
            }
        };
        self.carry_out(action, None, cx)
    }

    fn is_last(&self, event: &TransactionEvent) -> bool {
        matches!(event, TransactionEvent::Committed { .. })
    }

    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        match self.known.id {
            Some(id) => UnknownOutcome::Transaction { id }.add_to(error),
            None => error,
        }
    }
}

fn waiting_for(reading: Reading) -> &'static str {
    match reading {
        Reading::Find => "the transaction",
        _ => "the transaction to be committed",
    }
}

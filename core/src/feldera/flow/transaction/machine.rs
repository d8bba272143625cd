//! The transitions of [`TransactionRun`].

use std::time::Duration;

use super::goal::TransactionState;
use super::{NAME, TransactionEvent, TransactionRun};
use crate::error::{Ambiguity, Delivery, Failure, FlowError, Misuse, TransportError, TransportErrorKind};
use crate::feldera::data::{CommitTransaction, StartTransaction};
use crate::feldera::flow::diagnosis::{Diagnosis, with_unknown_outcome};
use crate::feldera::flow::{Interruption, PollInterval, UnknownOutcome};
use crate::feldera::stats::{ControllerStatus, GetStats, GlobalMetrics};
use crate::feldera::{Accepted, ErrorCode, error_code};
use crate::flow::{Call, Flow as _, Notice, Reply, SavedState, Step, ready};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// How often the pipeline is looked at for what became of a request without an answer: about 13 s.
const MAX_POLLS: u32 = 10;

/// What became of the commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    Unsent,
    /// Be it by another process of ours.
    Sent,
    Accepted,
}

pub(super) enum State {
    Before(Option<Call<GetStats>>),
    Start(Call<StartTransaction>),
    Confirm(Call<GetStats>),
    /// With what hides the outcome of the start; `None` when another process sent it.
    Find(Call<GetStats>, Option<Ambiguity>),
    FindLater(Timestamp, Option<Ambiguity>),
    Open,
    /// With what there was of a commit before.
    Commit(Call<CommitTransaction>, Commit),
    Watch(Call<GetStats>),
    WatchLater(Timestamp),
    Diagnosis(Diagnosis),
    /// Of a start whose outcome is unknown, as in `Find`.
    FindDiagnosis(Diagnosis, Option<Ambiguity>),
}

impl TransactionRun {
    fn what(&self) -> String {
        match self.id {
            Some(id) => format!("transaction {id} of pipeline {}", self.goal.pipeline),
            None => format!("transaction of pipeline {}", self.goal.pipeline),
        }
    }

    fn poll_stats(&mut self) -> Call<GetStats> {
        self.asked = self.cx.now();
        self.cx.call(GetStats::new(self.goal.pipeline.clone()))
    }

    fn save(&mut self, committing: bool) {
        let state = TransactionState {
            pipeline: self.goal.pipeline.clone(),
            process: self.process.clone(),
            id: self.id,
            other: self.other,
            committing,
            since: self.since.as_millis(),
        };
        self.cx.save(SavedState::new(NAME, &state));
    }

    fn fail(&mut self, error: FlowError) {
        self.ended = Some(match self.id {
            Some(id) => UnknownOutcome::Transaction { id }.add_to(error),
            None => error,
        });
    }

    fn diagnose(&mut self, rejection: FlowError) -> Diagnosis {
        let (what, had_process) = (self.what(), self.process.is_some());
        Diagnosis::new(&self.goal.pipeline, what, rejection, had_process, &mut self.cx)
    }

    fn inquire(&mut self, rejection: FlowError) {
        self.state = State::Diagnosis(self.diagnose(rejection));
    }

    /// Whether statistics are of the process that the transaction is in.
    fn is_same_process(&self, metrics: &GlobalMetrics) -> bool {
        self.process.is_none() || self.process == metrics.process()
    }

    fn begin(&mut self) {
        self.state = match self.goal.resumed.take() {
            None => State::Before(Some(self.poll_stats())),
            Some(state) => {
                (self.process, self.id, self.other) = (state.process, state.id, state.other);
                self.since = Timestamp::from_millis(state.since);
                self.wanted = state.committing;
                self.commit = if state.committing { Commit::Sent } else { Commit::Unsent };
                self.seen = true;
                match state.id {
                    None => State::Find(self.poll_stats(), None),
                    Some(_) => State::Watch(self.poll_stats()),
                }
            }
        };
    }

    fn start(&mut self) {
        self.cx.phase(NAME, "starting");
        self.since = self.cx.now();
        self.save(false);
        self.state = State::Start(self.cx.call(StartTransaction::new(self.goal.pipeline.clone())));
    }

    fn open(&mut self) {
        self.save(false);
        self.state = State::Open;
    }

    fn send_commit(&mut self) {
        self.cx.phase(NAME, "committing");
        self.save(true);
        self.pace = PollInterval::START;
        let before = std::mem::replace(&mut self.commit, Commit::Sent);
        self.state = State::Commit(self.cx.call(CommitTransaction::new(self.goal.pipeline.clone())), before);
    }

    /// What there is before the start is sent.
    fn before(&mut self, metrics: &GlobalMetrics) {
        self.process = metrics.process();
        self.other = metrics.open_transaction();
        self.start();
    }

    /// Which process a start has met that was answered: the one of before may have ended since.
    fn confirmed(&mut self, metrics: &GlobalMetrics) {
        if metrics.open_transaction() == self.id {
            (self.process, self.seen) = (metrics.process(), true);
        } else if !self.is_same_process(metrics) {
            return self.fail(Interruption::Restarted.into_error(self.what(), None));
        }
        self.open();
    }

    /// What became of a start without an answer.
    fn found(&mut self, stats: &ControllerStatus, lost: Option<Ambiguity>) {
        let metrics = &stats.global_metrics;
        if !self.is_same_process(metrics) {
            // The start may have reached either of them.
            (self.process, self.other) = (metrics.process(), None);
        }
        let Some(id) = metrics.open_transaction() else {
            if self.polls < MAX_POLLS {
                self.polls += 1;
                self.state = State::FindLater(self.pace.next(self.cx.now()), lost);
            } else {
                self.fail(outcome_unknown(lost, StartTransaction::INFO.name, "no transaction is open".to_owned()));
            }
            return;
        };
        let age = metrics.transaction_msecs.map(Duration::from_millis);
        let asked = self.cx.now().since(self.since);
        if self.other == Some(id) || age.is_some_and(|age| age > asked) {
            let reason = format!("transaction {id} is in progress, and was so before this one was asked for");
            return self.fail(FlowError::Failed(Failure { what: self.what(), reason, details: None, cause: None }));
        }
        // The answer was on its way for so long that it may be either.
        let is_unclear = age.is_some_and(|age| age > self.asked.since(self.since));
        match age {
            _ if self.goal.take_over && is_unclear && self.polls < MAX_POLLS => {
                self.polls += 1;
                self.state = State::FindLater(self.pace.next(self.cx.now()), lost);
            }
            _ if self.goal.take_over && !is_unclear && is_of_api(metrics) => {
                (self.id, self.seen) = (Some(id), true);
                self.open();
            }
            _ => {
                let since = age.map_or(String::new(), |age| format!(" for {age:?}"));
                let found = format!("transaction {id} has been open{since}; this one was asked for {asked:?} ago");
                self.fail(outcome_unknown(lost, StartTransaction::INFO.name, found));
            }
        }
    }

    /// Ends a start whose outcome is unknown, by the reason why the pipeline cannot be looked at.
    fn not_found(&mut self, error: FlowError, lost: Option<Ambiguity>) {
        let found = format!("the pipeline could not be read: {error}");
        let unknown = outcome_unknown(lost, StartTransaction::INFO.name, found);
        self.fail(match (unknown, error) {
            (FlowError::Ambiguous(ambiguity), error @ FlowError::Failed(_)) => {
                with_unknown_outcome(Ambiguity { found: None, ..ambiguity }, error)
            }
            (unknown, _) => unknown,
        });
    }

    /// What came of the commit.
    fn answered(&mut self, answer: Result<Accepted, FlowError>, before: Commit) {
        (self.polls, self.lost) = (0, None);
        match answer {
            Ok(_) => self.commit = Commit::Accepted,
            Err(FlowError::Ambiguous(lost)) => self.lost = Some(lost),
            Err(FlowError::Service(error)) if error_code(&error) == Some(ErrorCode::NoTransactionInProgress) => {
                self.commit = Commit::Accepted;
            }
            Err(error) => {
                self.commit = before;
                return self.inquire(error);
            }
        }
        self.state = State::Watch(self.poll_stats());
    }

    /// Ends; when a commit was sent, what has ended it hides whether that was carried out.
    fn fail_perhaps_committed(&mut self, error: FlowError) {
        let lost = self.lost.take();
        let error = match error {
            error @ FlowError::Failed(_) if self.commit != Commit::Unsent => FlowError::Ambiguous(Ambiguity {
                operation: CommitTransaction::INFO.name,
                unanswered: lost.is_some(),
                cause: Box::new(error),
                found: None,
                evidence: None,
            }),
            error if lost.is_some() => {
                outcome_unknown(lost, CommitTransaction::INFO.name, format!("the pipeline could not be read: {error}"))
            }
            error => error,
        };
        self.fail(error);
    }

    /// What becomes of the transaction.
    fn watched(&mut self, stats: &ControllerStatus) -> Option<TransactionEvent> {
        let (metrics, id) = (&stats.global_metrics, self.id?);
        if !self.is_same_process(metrics) {
            let error = Interruption::Restarted.into_error(self.what(), None);
            self.fail_perhaps_committed(error);
            return None;
        }
        let is_gone = metrics.open_transaction() != Some(id);
        if is_gone && self.wanted && self.commit == Commit::Unsent && !self.seen {
            // The look may be behind. What the commit is answered tells.
            self.send_commit();
            return None;
        }
        if is_gone {
            self.fail(FlowError::Misuse(Misuse::PolledAfterDone));
            return Some(TransactionEvent::Committed { id });
        }
        self.seen = true;
        if self.commit == Commit::Accepted || metrics.is_committing() {
            self.lost = None;
            if let Some(interruption) = self.stall_detector.observe_commit(stats, self.asked, self.cx.now()) {
                self.fail(interruption.into_error(self.what(), None));
                return None;
            }
            if let Some(progress) = &metrics.commit_progress {
                let (done, left) = (progress.completed, progress.in_progress.saturating_add(progress.remaining));
                let so_far = format!("{done} operators are committed, {left} are not");
                self.cx.say(Notice::Observed { what: self.what(), state: so_far });
            }
        } else if !self.wanted {
            // Resumed, and open as it should be.
            self.state = State::Open;
            return None;
        } else if self.commit == Commit::Unsent {
            self.send_commit();
            return None;
        } else if let Some(lost) = self.lost.take_if(|_| self.polls >= MAX_POLLS) {
            let found = format!("transaction {id} is still open, and not being committed");
            self.fail(outcome_unknown(Some(lost), CommitTransaction::INFO.name, found));
            return None;
        } else if self.lost.is_none() && self.polls >= MAX_POLLS {
            self.send_commit();
            return None;
        }
        self.polls += 1;
        self.state = State::WatchLater(self.pace.next(self.cx.now()));
        None
    }

    pub(super) fn advance(&mut self, reply: &mut Option<Reply>) -> Step<TransactionEvent> {
        loop {
            if let Some(notice) = self.cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            if let Some(error) = &self.ended {
                return reply.take().map_or_else(|| Step::Done(Err(error.clone())), Step::Stray);
            }
            let now = self.cx.now();
            match &mut self.state {
                State::Before(None) => self.begin(),
                State::Before(Some(call)) => match ready!(call.poll(now, reply.take())) {
                    Ok(stats) => self.before(&stats.global_metrics),
                    Err(error) => self.inquire(error),
                },
                State::Start(call) => match ready!(call.poll(now, reply.take())) {
                    Ok(started) => {
                        self.id = Some(started.transaction_id);
                        self.save(false);
                        self.state = State::Confirm(self.poll_stats());
                    }
                    Err(FlowError::Ambiguous(lost)) => {
                        (self.polls, self.pace) = (0, PollInterval::START);
                        self.state = State::Find(self.poll_stats(), Some(lost));
                    }
                    Err(error) => self.inquire(error),
                },
                State::Confirm(call) => match ready!(call.poll(now, reply.take())) {
                    Ok(stats) => self.confirmed(&stats.global_metrics),
                    Err(error) => self.inquire(error),
                },
                State::Find(call, lost) => {
                    let stats = ready!(call.poll(now, reply.take()));
                    let lost = lost.take();
                    match stats {
                        Ok(stats) => self.found(&stats, lost),
                        Err(error) => self.state = State::FindDiagnosis(self.diagnose(error), lost),
                    }
                }
                State::FindLater(until, lost) => match self.cx.wait_until(*until, "the transaction", reply) {
                    Some(Step::Done(_)) if lost.is_some() => {
                        let lost = lost.take();
                        self.fail(outcome_unknown(
                            lost,
                            StartTransaction::INFO.name,
                            "it was not found in time".to_owned(),
                        ));
                    }
                    Some(step) => return step,
                    None => {
                        let lost = lost.take();
                        self.state = State::Find(self.poll_stats(), lost);
                    }
                },
                // The request does not say which transaction it means.
                State::Open if self.wanted && reply.is_none() => self.state = State::Watch(self.poll_stats()),
                State::Open => {
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    return Step::Done(Ok(TransactionEvent::Started { id: self.id.unwrap_or_default() }));
                }
                State::Commit(call, before) => {
                    let before = *before;
                    let answer = ready!(call.poll(now, reply.take()));
                    self.answered(answer, before);
                }
                State::Watch(call) => match ready!(call.poll(now, reply.take())) {
                    Ok(stats) => {
                        if let Some(event) = self.watched(&stats) {
                            return Step::Done(Ok(event));
                        }
                    }
                    Err(error) => self.inquire(error),
                },
                State::WatchLater(until) => {
                    match self.cx.wait_until(*until, "the transaction to be committed", reply) {
                        Some(Step::Done(Err(error))) => {
                            let found = "the transaction was still open".to_owned();
                            let lost = self.lost.take();
                            self.fail(lost.map_or(error, |lost| {
                                outcome_unknown(Some(lost), CommitTransaction::INFO.name, found)
                            }));
                        }
                        Some(step) => return step,
                        None => self.state = State::Watch(self.poll_stats()),
                    }
                }
                State::Diagnosis(diagnosis) => {
                    let (Ok(error) | Err(error)) = ready!(diagnosis.poll(&mut self.cx, reply));
                    self.fail_perhaps_committed(error);
                }
                State::FindDiagnosis(diagnosis, lost) => {
                    let (Ok(error) | Err(error)) = ready!(diagnosis.poll(&mut self.cx, reply));
                    let lost = lost.take();
                    self.not_found(error, lost);
                }
            }
        }
    }
}

fn is_of_api(metrics: &GlobalMetrics) -> bool {
    metrics.transaction_initiators.as_ref().is_none_or(|initiators| initiators.initiated_by_api.is_some())
}

/// The outcome of a request is unknown, after looking.
fn outcome_unknown(lost: Option<Ambiguity>, operation: &'static str, found: String) -> FlowError {
    let lost = lost.unwrap_or_else(|| {
        let message = "the process that sent it has ended since";
        let cause = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, message);
        Ambiguity { operation, cause: Box::new(cause.into()), unanswered: true, found: None, evidence: None }
    });
    FlowError::Ambiguous(Ambiguity { found: Some(found), ..lost })
}

//! The session [`Transaction`].
//!
//! ```text
//!  Before ──▶ Start ──answered──▶ Confirm ──▶ Open: yielded ──commit()──▶ Watch ◀──▶ WatchLater
//!               │ no answer                    ▲                         │  ▲ │
//!               ▼                              │ taken over     is open ▼  │ │ its id is gone
//!              Find ◀──▶ FindLater ────────────┘                       Commit ▼
//!               └─▶ failed: somebody else's; ambiguous                     Committed: yielded
//! ```
//!
//! | state | what came | next |
//! |---|---|---|
//! | Before | which process, and whether a transaction is open | Start, after saving |
//! | Start | its id | Confirm |
//! | Start | 409 | failed: another client was faster |
//! | Start | no answer | Find |
//! | Confirm | the process that it is open in | Open |
//! | Confirm | another process than before, without it | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Find | one that was opened before this one was asked for, in the same process | failed: another client was faster |
//! | Find | one that was opened since, by the API | Open if it may be [taken over](Transaction::take_over), else **ambiguous** |
//! | Find | none, look after look | **ambiguous**: the request may still arrive |
//! | Watch, before the commit | its id | Commit, after saving |
//! | Watch, before the commit | another process | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Commit | accepted | Watch |
//! | Commit | 400 `NoTransactionInProgress` | Watch: another client has committed it |
//! | Commit | no answer | Watch; **ambiguous** when it is still open after some looks |
//! | Watch | another process; the pipeline was stopped or has died | **ambiguous**: it may have been committed before |
//! | Watch | its id is gone | Committed |
//! | Watch | nothing moves | failed: [`Wedged`](super::Interruption::Wedged) |
//!
//! Invariants: start and commit are sent once, unless they are known not to have arrived. Ids count anew with each process, so that
//! an id says nothing without one, and the process that a start has met is known by a look after its answer. A transaction ends
//! only by being committed, so that one whose id is gone, in the same process, was committed. The id is saved as soon as it is known,
//! and what is about to be sent before it is sent.

mod goal;

use std::time::Duration;

pub use self::goal::{Transaction, TransactionEvent};

use self::goal::TransactionState;
use super::inquiry::Inquiry;
use super::pulse::Pulse;
use super::{Interruption, Pace};
use crate::error::{Ambiguity, Delivery, Failure, FlowError, Misuse, TransportError, TransportErrorKind};
use crate::feldera::stats::{ControllerStatus, GlobalMetrics, TransactionStatus};
use crate::feldera::{Accepted, CommitTransaction, ErrorCode, FelderaApi, GetStats, StartTransaction, error_code};
use crate::flow::{Call, Common, Config, Flow, Notice, Reply, Saved, Step, ok};
use crate::operation::Operation as _;
use crate::seed::Seed;
use crate::time::Timestamp;

const NAME: &str = "Transaction";
/// How often the pipeline is looked at for what became of a request without an answer: about 13 s.
const LOOKS: u32 = 10;

/// A transaction. Made by [`Transaction::start`](crate::flow::Goal::start).
#[must_use = "a session does nothing until it is polled"]
pub struct TransactionRun {
    goal: Transaction,
    common: Common<FelderaApi>,
    process: Option<String>,
    id: Option<i64>,
    /// When the start was sent.
    since: Timestamp,
    /// Whether the caller wants it committed.
    wanted: bool,
    /// One that was open before this one was asked for.
    other: Option<i64>,
    /// A look has shown it, so that it was committed when it is gone.
    seen: bool,
    commit: Commit,
    /// The commit whose answer was lost.
    lost: Option<Ambiguity>,
    looks: u32,
    /// When statistics were asked for last.
    asked: Timestamp,
    pace: Pace,
    pulse: Pulse,
    ended: Option<FlowError>,
    state: State,
}

/// What became of the commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commit {
    Unsent,
    /// Be it by another process of ours.
    Sent,
    Accepted,
}

enum State {
    Before(Option<Call<GetStats>>),
    Start(Call<StartTransaction>),
    /// With its id.
    Confirm(Call<GetStats>, i64),
    /// With what hides the outcome of the start; `None` when another process sent it.
    Find(Call<GetStats>, Option<Ambiguity>),
    FindLater(Timestamp, Option<Ambiguity>),
    Open,
    /// With what there was of a commit before.
    Commit(Call<CommitTransaction>, Commit),
    Watch(Call<GetStats>),
    WatchLater(Timestamp),
    Inquiry(Inquiry),
}

impl TransactionRun {
    fn new(goal: Transaction, config: &Config<FelderaApi>, seed: Seed) -> Self {
        Self {
            common: Common::new(config, seed, goal.within),
            process: None,
            id: None,
            since: Timestamp::UNIX_EPOCH,
            wanted: false,
            other: None,
            seen: false,
            commit: Commit::Unsent,
            lost: None,
            looks: 0,
            asked: Timestamp::UNIX_EPOCH,
            pace: Pace::START,
            pulse: Pulse::new(goal.stalled_after),
            ended: None,
            state: State::Before(None),
            goal,
        }
    }

    /// Its id, once it is known.
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    /// Wants it committed. Poll on until [`TransactionEvent::Committed`].
    pub fn commit(&mut self) {
        self.wanted = true;
    }

    /// Ends it at this moment at the latest, whatever else it is given.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.common.set_deadline(deadline.into());
        self
    }

    fn what(&self) -> String {
        match self.id {
            Some(id) => format!("transaction {id} of pipeline {}", self.goal.pipeline),
            None => format!("transaction of pipeline {}", self.goal.pipeline),
        }
    }

    fn look(&mut self) -> Call<GetStats> {
        self.asked = self.common.now();
        self.common.call(GetStats::new(self.goal.pipeline.clone()))
    }

    fn save(&mut self, committing: bool) {
        let state = TransactionState {
            pipeline: self.goal.pipeline.clone(),
            process: self.process.clone(),
            id: self.id,
            committing,
            since: self.since.as_millis(),
        };
        self.common.save(Saved::new(NAME, &state));
    }

    fn fail(&mut self, error: FlowError) {
        self.ended = Some(error);
    }

    fn inquire(&mut self, refusal: FlowError) {
        let what = self.what();
        self.state =
            State::Inquiry(Inquiry::new(&self.goal.pipeline, what, refusal, self.process.is_some(), &mut self.common));
    }

    /// Whether statistics are of the process that the transaction is in.
    fn is_same_process(&self, metrics: &GlobalMetrics) -> bool {
        self.process.is_none() || self.process == metrics.process()
    }

    fn begin(&mut self) {
        self.state = match self.goal.resumed.take() {
            None => State::Before(Some(self.look())),
            Some(state) => {
                (self.process, self.id) = (state.process, state.id);
                self.since = Timestamp::from_millis(state.since);
                self.wanted = state.committing;
                self.commit = if state.committing { Commit::Sent } else { Commit::Unsent };
                self.seen = true;
                match state.id {
                    None => State::Find(self.look(), None),
                    Some(_) => State::Watch(self.look()),
                }
            }
        };
    }

    fn start(&mut self) {
        self.common.phase(NAME, "starting");
        self.since = self.common.now();
        self.save(false);
        self.state = State::Start(self.common.call(StartTransaction::new(self.goal.pipeline.clone())));
    }

    fn open(&mut self, id: i64) {
        self.id = Some(id);
        self.save(false);
        self.state = State::Open;
    }

    fn send_commit(&mut self) {
        self.common.phase(NAME, "committing");
        self.save(true);
        self.pace = Pace::START;
        let before = std::mem::replace(&mut self.commit, Commit::Sent);
        self.state = State::Commit(self.common.call(CommitTransaction::new(self.goal.pipeline.clone())), before);
    }

    /// What there is before the start is sent.
    fn before(&mut self, metrics: &GlobalMetrics) {
        self.process = metrics.process();
        self.other = open_transaction(metrics);
        self.start();
    }

    /// Which process a start has met that was answered: the one of before may have ended since.
    fn confirmed(&mut self, id: i64, metrics: &GlobalMetrics) {
        if open_transaction(metrics) == Some(id) {
            (self.process, self.seen) = (metrics.process(), true);
        } else if !self.is_same_process(metrics) {
            return self.fail(Interruption::Restarted.into_error(self.what(), None));
        }
        self.open(id);
    }

    fn find(&mut self, lost: Ambiguity) {
        (self.looks, self.pace) = (0, Pace::START);
        self.state = State::Find(self.look(), Some(lost));
    }

    /// What became of a start without an answer.
    fn found(&mut self, stats: &ControllerStatus, lost: Option<Ambiguity>) {
        let metrics = &stats.global_metrics;
        if !self.is_same_process(metrics) {
            // The start may have reached either of them.
            (self.process, self.other) = (metrics.process(), None);
        }
        let Some(id) = open_transaction(metrics) else {
            if self.looks < LOOKS {
                self.looks += 1;
                self.state = State::FindLater(self.pace.next(self.common.now()), lost);
            } else {
                self.fail(doubt(lost, StartTransaction::INFO.name, "no transaction is open".to_owned()));
            }
            return;
        };
        let age = metrics.transaction_msecs.map(Duration::from_millis);
        let asked = self.common.now().since(self.since);
        if self.other == Some(id) || age.is_some_and(|age| age > asked) {
            let reason = format!("transaction {id} is in progress, and was so before this one was asked for");
            return self.fail(FlowError::Failed(Failure { what: self.what(), reason, details: None, cause: None }));
        }
        // The answer was on its way for so long that it may be either.
        let is_unclear = age.is_some_and(|age| age > self.asked.since(self.since));
        match age {
            _ if self.goal.take_over && is_unclear && self.looks < LOOKS => {
                self.looks += 1;
                self.state = State::FindLater(self.pace.next(self.common.now()), lost);
            }
            _ if self.goal.take_over && !is_unclear && is_of_api(metrics) => {
                self.seen = true;
                self.open(id);
            }
            _ => {
                let since = age.map_or(String::new(), |age| format!(" for {age:?}"));
                let found = format!("transaction {id} has been open{since}; this one was asked for {asked:?} ago");
                self.fail(doubt(lost, StartTransaction::INFO.name, found));
            }
        }
    }

    /// What came of the commit.
    fn answered(&mut self, answer: Result<Accepted, FlowError>, before: Commit) {
        (self.looks, self.lost) = (0, None);
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
        self.state = State::Watch(self.look());
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
            }),
            error if lost.is_some() => {
                doubt(lost, CommitTransaction::INFO.name, format!("the pipeline could not be looked at: {error}"))
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
        let is_gone = open_transaction(metrics) != Some(id);
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
        let is_in_progress = metrics
            .transaction_status
            .as_ref()
            .is_none_or(|status| *status == TransactionStatus::TransactionInProgress);
        if self.commit == Commit::Accepted || !is_in_progress {
            self.lost = None;
            if let Some(interruption) = self.pulse.feel_commit(stats, self.asked, self.common.now()) {
                self.fail(interruption.into_error(self.what(), None));
                return None;
            }
            if let Some(progress) = &metrics.commit_progress {
                let (done, left) = (progress.completed, progress.in_progress.saturating_add(progress.remaining));
                let so_far = format!("{done} operators are committed, {left} are not");
                self.common.say(Notice::Observed { what: self.what(), state: so_far });
            }
        } else if !self.wanted {
            // Resumed, and open as it should be.
            self.state = State::Open;
            return None;
        } else if self.commit == Commit::Unsent {
            self.send_commit();
            return None;
        } else if let Some(lost) = self.lost.take_if(|_| self.looks >= LOOKS) {
            let found = format!("transaction {id} is still open, and not being committed");
            self.fail(doubt(Some(lost), CommitTransaction::INFO.name, found));
            return None;
        } else if self.lost.is_none() && self.looks >= LOOKS {
            self.send_commit();
            return None;
        }
        self.looks += 1;
        self.state = State::WatchLater(self.pace.next(self.common.now()));
        None
    }

    fn advance(&mut self, reply: &mut Option<Reply>) -> Step<TransactionEvent> {
        loop {
            if let Some(notice) = self.common.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            if let Some(error) = &self.ended {
                return reply.take().map_or_else(|| Step::Done(Err(error.clone())), Step::Stray);
            }
            let now = self.common.now();
            match &mut self.state {
                State::Before(None) => self.begin(),
                State::Before(Some(call)) => match ok!(call.poll(now, reply.take())) {
                    Ok(stats) => self.before(&stats.global_metrics),
                    Err(error) => self.inquire(error),
                },
                State::Start(call) => match ok!(call.poll(now, reply.take())) {
                    Ok(started) => {
                        self.id = Some(started.transaction_id);
                        self.save(false);
                        self.state = State::Confirm(self.look(), started.transaction_id);
                    }
                    Err(FlowError::Ambiguous(lost)) => self.find(lost),
                    Err(error) => self.inquire(error),
                },
                State::Confirm(call, id) => {
                    let id = *id;
                    match ok!(call.poll(now, reply.take())) {
                        Ok(stats) => self.confirmed(id, &stats.global_metrics),
                        Err(error) => self.inquire(error),
                    }
                }
                State::Find(call, lost) => {
                    let stats = ok!(call.poll(now, reply.take()));
                    let lost = lost.take();
                    match stats {
                        Ok(stats) => self.found(&stats, lost),
                        // There is no way to look.
                        Err(error) => {
                            let found = format!("the pipeline could not be looked at: {error}");
                            self.fail(doubt(lost, StartTransaction::INFO.name, found));
                        }
                    }
                }
                State::FindLater(until, lost) => match self.common.wait_until(*until, "the transaction", reply) {
                    Some(Step::Done(_)) if lost.is_some() => {
                        let lost = lost.take();
                        self.fail(doubt(lost, StartTransaction::INFO.name, "it was not found in time".to_owned()));
                    }
                    Some(step) => return step,
                    None => {
                        let lost = lost.take();
                        self.state = State::Find(self.look(), lost);
                    }
                },
                // The request does not say which transaction it means.
                State::Open if self.wanted && reply.is_none() => self.state = State::Watch(self.look()),
                State::Open => {
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    return Step::Done(Ok(TransactionEvent::Started { id: self.id.unwrap_or_default() }));
                }
                State::Commit(call, before) => {
                    let before = *before;
                    let answer = ok!(call.poll(now, reply.take()));
                    self.answered(answer, before);
                }
                State::Watch(call) => match ok!(call.poll(now, reply.take())) {
                    Ok(stats) => {
                        if let Some(event) = self.watched(&stats) {
                            return Step::Done(Ok(event));
                        }
                    }
                    Err(error) => self.inquire(error),
                },
                State::WatchLater(until) => {
                    match self.common.wait_until(*until, "the transaction to be committed", reply) {
                        Some(Step::Done(Err(error))) => {
                            let found = "the transaction was still open".to_owned();
                            let lost = self.lost.take();
                            self.fail(
                                lost.map_or(error, |lost| doubt(Some(lost), CommitTransaction::INFO.name, found)),
                            );
                        }
                        Some(step) => return step,
                        None => self.state = State::Watch(self.look()),
                    }
                }
                State::Inquiry(inquiry) => {
                    let (Ok(error) | Err(error)) = ok!(inquiry.poll(now, reply.take()));
                    self.fail_perhaps_committed(error);
                }
            }
        }
    }
}

impl Flow for TransactionRun {
    type Output = TransactionEvent;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<TransactionEvent> {
        self.common.tick(now);
        let mut reply = reply;
        self.advance(&mut reply)
    }
}

impl std::fmt::Debug for TransactionRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionRun")
            .field("goal", &self.goal)
            .field("id", &self.id)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// The transaction that is open or being committed.
fn open_transaction(metrics: &GlobalMetrics) -> Option<i64> {
    let is_open = metrics.transaction_status != Some(TransactionStatus::NoTransaction);
    metrics.transaction_id.filter(|id| is_open && *id != 0)
}

fn is_of_api(metrics: &GlobalMetrics) -> bool {
    metrics.transaction_initiators.as_ref().is_none_or(|initiators| initiators.initiated_by_api.is_some())
}

/// The outcome of a request is unknown, after looking.
fn doubt(lost: Option<Ambiguity>, operation: &'static str, found: String) -> FlowError {
    let lost = lost.unwrap_or_else(|| {
        let message = "the process that sent it has ended since";
        let cause = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, message);
        Ambiguity { operation, cause: Box::new(cause.into()), unanswered: true, found: None }
    });
    FlowError::Ambiguous(Ambiguity { found: Some(found), ..lost })
}

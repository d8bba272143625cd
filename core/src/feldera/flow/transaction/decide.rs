//! What a transaction does next: a function of what was observed and what is known. The table is in the [module
//! docs](super).

use std::time::Duration;

use crate::error::{Ambiguity, Failure, FlowError};
use crate::feldera::data::{CommitTransaction, StartTransaction};
use crate::feldera::flow::Interruption;
use crate::feldera::stats::GlobalMetrics;
use crate::feldera::tuning::MAX_TRANSACTION_POLLS;
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// Why the statistics are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Before the start is sent.
    Before,
    /// After the answer to the start: which process has the transaction.
    Confirm,
    /// After a start without an answer: whether it was carried out.
    Find,
    /// Whether the transaction is committed.
    Watch,
}

/// Whether the commit was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    Unsent,
    /// By this flow, or by the flow that it continues.
    Sent,
    Accepted,
}

/// What the flow knows about its transaction.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) pipeline: String,
    /// Whether a transaction that was opened since the start may be treated as this transaction.
    pub(super) take_over: bool,
    /// The process that has the transaction, or before the start is answered, the process that was seen last.
    pub(super) process: Option<String>,
    pub(super) id: Option<i64>,
    /// When the start was sent.
    pub(super) since: Timestamp,
    /// A transaction that was open before the start was sent.
    pub(super) other: Option<i64>,
    /// Whether a reading has shown the transaction: if it is gone now, it was committed.
    pub(super) seen: bool,
    /// Whether the caller has called `commit`.
    pub(super) wanted: bool,
    pub(super) commit: Commit,
    /// The start or the commit that got no answer.
    pub(super) lost: Option<Ambiguity>,
    /// How often the statistics were read since then.
    pub(super) polls: u32,
    /// When the statistics were requested last.
    pub(super) asked: Timestamp,
}

/// What the flow does next.
#[derive(Debug)]
pub(super) enum Action {
    /// Send the start.
    Start,
    /// Read the statistics now.
    Read(Reading),
    /// Read the statistics later.
    ReadLater(Reading),
    /// Treat the transaction with this id as the transaction that was started.
    TakeOver(i64),
    /// Save the id, and yield it.
    SaveAndOpen,
    /// Yield the id, which is saved already.
    Open,
    /// Send the commit.
    Commit,
    /// Read the statistics later, unless the commit makes no progress.
    AwaitCommit,
    /// End: the transaction is committed.
    Committed,
    /// Find out why the pipeline rejects a request.
    Diagnose(FlowError, Reading),
    /// End: the outcome of this operation is unknown, after this was found.
    Unknown(&'static str, String),
    /// End, because of this. If the commit was sent, the outcome is unknown.
    Interrupted(Interruption),
    /// End.
    Fail(FlowError),
}

impl Known {
    pub(super) fn what(&self) -> String {
        match self.id {
            Some(id) => format!("transaction {id} of pipeline {}", self.pipeline),
            None => format!("transaction of pipeline {}", self.pipeline),
        }
    }

    /// Whether the statistics are of the process that has the transaction.
    fn is_same_process(&self, metrics: &GlobalMetrics) -> bool {
        self.process.is_none() || self.process == metrics.process()
    }

    /// Remembers what the statistics show, before the decision.
    pub(super) fn record(&mut self, reading: Reading, metrics: &GlobalMetrics) {
        let open = metrics.open_transaction();
        match reading {
            Reading::Before => (self.process, self.other) = (metrics.process(), open),
            // The previous process may have ended before the start arrived.
            Reading::Confirm if open == self.id => (self.process, self.seen) = (metrics.process(), true),
            // The start may have reached either process.
            Reading::Find if !self.is_same_process(metrics) => (self.process, self.other) = (metrics.process(), None),
            Reading::Watch if self.is_same_process(metrics) => self.seen |= open == self.id,
            Reading::Confirm | Reading::Find | Reading::Watch => {}
        }
    }
}

/// Decides what comes next after the statistics were read.
pub(super) fn decide(reading: Reading, metrics: &GlobalMetrics, known: &Known, now: Timestamp) -> Action {
    match reading {
        Reading::Before => Action::Start,
        Reading::Confirm if known.is_same_process(metrics) => Action::SaveAndOpen,
        Reading::Confirm => Action::Interrupted(Interruption::Restarted),
        Reading::Find => decide_find(metrics, known, now),
        Reading::Watch => decide_watch(metrics, known),
    }
}

fn decide_find(metrics: &GlobalMetrics, known: &Known, now: Timestamp) -> Action {
    let may_wait = known.polls < MAX_TRANSACTION_POLLS;
    let Some(id) = metrics.open_transaction() else {
        return if may_wait {
            Action::ReadLater(Reading::Find)
        } else {
            Action::Unknown(StartTransaction::INFO.name, "no transaction is open".to_owned())
        };
    };
    let age = metrics.transaction_msecs.map(Duration::from_millis);
    let elapsed = now.since(known.since);
    // The statistics arrived so late that the transaction may be older or younger than the start.
    let is_unclear = age.is_some_and(|age| age > known.asked.since(known.since));
    if known.other == Some(id) || age.is_some_and(|age| age > elapsed) {
        let reason = format!(
            "transaction {id} was open before this start was sent; wait until it is committed, then start again"
        );
        Action::Fail(FlowError::Failed(Failure { what: known.what(), reason, details: None, cause: None }))
    } else if known.take_over && is_unclear && may_wait {
        Action::ReadLater(Reading::Find)
    } else if known.take_over && !is_unclear && is_of_api(metrics) {
        Action::TakeOver(id)
    } else {
        let since = age.map_or(String::new(), |age| format!(" for {age:?}"));
        let found = format!("transaction {id} has been open{since}; this start was sent {elapsed:?} ago");
        Action::Unknown(StartTransaction::INFO.name, found)
    }
}

fn decide_watch(metrics: &GlobalMetrics, known: &Known) -> Action {
    let is_gone = metrics.open_transaction() != known.id;
    let is_unsent = known.commit == Commit::Unsent;
    if !known.is_same_process(metrics) {
        Action::Interrupted(Interruption::Restarted)
    } else if is_gone && known.wanted && is_unsent && !known.seen {
        // The statistics may be old. The answer to the commit tells whether the transaction is open.
        Action::Commit
    } else if is_gone {
        Action::Committed
    } else if known.commit == Commit::Accepted || metrics.is_committing() {
        Action::AwaitCommit
    } else if !known.wanted {
        Action::Open
    } else if is_unsent {
        Action::Commit
    } else if known.polls < MAX_TRANSACTION_POLLS {
        Action::ReadLater(Reading::Watch)
    } else if known.lost.is_some() {
        let found = format!("transaction {} is still open, and not being committed", known.id.unwrap_or_default());
        Action::Unknown(CommitTransaction::INFO.name, found)
    } else {
        Action::Commit
    }
}

fn is_of_api(metrics: &GlobalMetrics) -> bool {
    metrics.transaction_initiators.as_ref().is_none_or(|initiators| initiators.initiated_by_api.is_some())
}

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
//! | Find | the pipeline was stopped or has died | **ambiguous**, with the [`Interruption`](super::Interruption) as its cause |
//! | Watch, before the commit | its id, or not, and no look has ever shown it | Commit, after saving |
//! | Watch, before the commit | another process | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Commit | accepted | Watch |
//! | Commit | 400 `NoTransactionInProgress` | Watch: another client has committed it |
//! | Commit | no answer | Watch; **ambiguous** when it is still open after some looks |
//! | Watch | another process; the pipeline was stopped or has died | **ambiguous**: it may have been committed before |
//! | Watch | its id is gone | Committed |
//! | Watch | nothing moves | failed: [`Wedged`](super::Interruption::Wedged) |
//!
//! Whether a transaction is open is told by its id: see [`open_transaction`](crate::feldera::stats::GlobalMetrics::open_transaction).
//! Until the first rows arrive, its status is `NoTransaction`.
//!
//! A rejection that says that the process ends (410, 500 with the code of a panic, 503) makes the flow poll the pipeline for up to
//! ten seconds, until the cause shows. Before the commit that is the failure, after it the cause of the unknown outcome.
//!
//! Invariants: start and commit are sent once, unless they are known not to have arrived. Ids count anew with each process, so that
//! an id says nothing without one, and the process that a start has met is known by a look after its answer. A transaction ends
//! only by being committed, so that one whose id is gone, in the same process, was committed. The id is saved as soon as it is known,
//! and what is about to be sent before it is sent.

mod goal;
mod machine;

pub use self::goal::{Transaction, TransactionEvent};

use self::machine::{Commit, State};
use super::PollInterval;
use super::stall_detector::StallDetector;
use crate::error::{Ambiguity, FlowError};
use crate::feldera::FelderaApi;
use crate::flow::{Config, Flow, FlowContext, Reply, Step};
use crate::seed::Seed;
use crate::time::Timestamp;

const NAME: &str = "Transaction";

/// A transaction. Made by [`Transaction::start`](crate::flow::Goal::start).
#[must_use = "a session does nothing until it is polled"]
pub struct TransactionRun {
    goal: Transaction,
    cx: FlowContext<FelderaApi>,
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
    polls: u32,
    /// When statistics were asked for last.
    asked: Timestamp,
    pace: PollInterval,
    stall_detector: StallDetector,
    ended: Option<FlowError>,
    state: State,
}

impl TransactionRun {
    fn new(goal: Transaction, config: &Config<FelderaApi>, seed: Seed) -> Self {
        Self {
            cx: FlowContext::new(config, seed, goal.timeout),
            process: None,
            id: None,
            since: Timestamp::UNIX_EPOCH,
            wanted: false,
            other: None,
            seen: false,
            commit: Commit::Unsent,
            lost: None,
            polls: 0,
            asked: Timestamp::UNIX_EPOCH,
            pace: PollInterval::START,
            stall_detector: StallDetector::new(goal.stall_timeout),
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
        self.cx.set_deadline(deadline.into());
        self
    }
}

impl Flow for TransactionRun {
    type Output = TransactionEvent;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<TransactionEvent> {
        self.cx.tick(now);
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

//! The event flow [`Transaction`].
//!
//! ```text
//!  Read: Before ──▶ Start ──answered──▶ Read: Confirm ──▶ Open: Started is yielded ──commit()──▶ Read: Watch ◀──▶ Wait
//!                     │ no answer                           ▲                             is open │  ▲  │ its id is gone
//!                     ▼                                     │ taken over                        ▼  │  ▼
//!                  Read: Find ◀──▶ Wait ────────────────────┘                               Commit ┘  done: Committed
//!                     └─▶ failed: another client's; ambiguous
//! ```
//!
//! In each `Read`, the flow reads the statistics, and [`decide`](decide::decide) decides from them what to do. The
//! first row that matches applies.
//!
//! | state | observed | next |
//! |---|---|---|
//! | Read: Before | the process, and whether a transaction is open | Start, after saving |
//! | Start | answered with the id | Read: Confirm, after saving |
//! | Start | no answer | Read: Find |
//! | Start | 409 | failed: another client was faster |
//! | Read: Confirm | the id is open | Open, in the process that answers |
//! | Read: Confirm | another process than before, without the id | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Read: Confirm | the same process, without the id | Open |
//! | Read: Find | no transaction is open | Wait; after ten readings **ambiguous**: the request may still arrive |
//! | Read: Find | a transaction that was opened before the start was sent, in the same process | failed: another client was faster |
//! | Read: Find | a transaction of unknown age, which may be [taken over](Transaction::take_over) | Wait; after ten readings **ambiguous** |
//! | Read: Find | a transaction that was opened since by the API, and may be taken over | Open |
//! | Read: Find | any other | **ambiguous** |
//! | Read: Find | the pipeline was stopped or has died | **ambiguous**, with the [`Interruption`](super::Interruption) as its cause |
//! | Read: Watch | another process, before the commit | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Read: Watch | another process, after the commit | **ambiguous**: it may have been committed before |
//! | Read: Watch | the id is gone, the commit was not sent, and no earlier reading has shown the id | Commit: the statistics may be old |
//! | Read: Watch | the id is gone | done: Committed |
//! | Read: Watch | the transaction is being committed | Wait; failed without progress: [`Wedged`](super::Interruption::Wedged) |
//! | Read: Watch | open, and the caller has not called `commit` (resumed) | Open |
//! | Read: Watch | open, and the commit was not sent | Commit, after saving |
//! | Read: Watch | open, and the commit was sent | Wait; after ten readings **ambiguous**, or Commit if an earlier flow sent it |
//! | Read: Watch | the pipeline was stopped or has died | failed; **ambiguous** if the commit was sent |
//! | Commit | accepted | Read: Watch |
//! | Commit | 400 `NoTransactionInProgress` | Read: Watch: another client has committed it |
//! | Commit | no answer | Read: Watch |
//!
//! The id shows whether a transaction is open: see
//! [`open_transaction`](crate::feldera::stats::GlobalMetrics::open_transaction). Until the first rows arrive, its
//! status is `NoTransaction`.
//!
//! If a rejection shows that the process ends (410, 500 with the code of a panic, 503), the flow polls the pipeline for
//! up to ten seconds, until it shows the cause. Before the commit, this cause is the failure. After the commit, it is
//! the cause of the unknown outcome.
//!
//! Invariants:
//!
//! * Start and commit are sent once, unless they certainly did not arrive.
//! * Each process counts ids from the beginning, so an id is valid only together with its process. The statistics after
//!   the answer to a start show its process.
//! * A transaction ends only with its commit. So if its id is gone in the same process, it was committed.
//! * The flow saves the id as soon as it is known, and saves each request before it sends it.

mod decide;
mod goal;
mod machine;

use std::fmt;

pub use self::goal::{Transaction, TransactionEvent};

use self::machine::TransactionMachine;
use crate::flow::Runner;

/// A running [`Transaction`], created by [`Transaction::start`](crate::flow::Goal::start).
#[must_use = "an event flow does nothing until it is polled"]
pub struct TransactionRun {
    runner: Runner<TransactionMachine>,
}

impl TransactionRun {
    /// Returns the transaction's id, once it is known.
    pub fn id(&self) -> Option<i64> {
        self.runner.machine().id()
    }

    /// Requests the commit. Poll until [`TransactionEvent::Committed`].
    pub fn commit(&mut self) {
        self.runner.parts_mut().0.commit();
    }
}

impl fmt::Debug for TransactionRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionRun")
            .field("goal", self.runner.machine().goal())
            .field("id", &self.id())
            .field("ended", &self.runner.ended())
            .finish_non_exhaustive()
    }
}

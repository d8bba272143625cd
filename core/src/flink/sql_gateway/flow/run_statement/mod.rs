//! The event flow [`RunStatement`].
//!
//! ```text
//!  Begin ──▶ Open ──▶ Submit ──▶ Fetch ◀──▶ Wait, Heartbeat
//!    │                  ▲ │       │ └─▶ a page: yielded, Arrived; then Fetch, next token
//!    └── in a session ──┘ │       │
//!                         ▼       ▼ EOS, an error, or closed on request
//!                         └──▶ CloseOperation ──▶ CloseSession ──▶ Ended
//! ```
//!
//! | state | event | next |
//! |---|---|---|
//! | Open | a session | Submit, after saving |
//! | Open | ambiguous | Open again: the session that was perhaps opened closes itself |
//! | Submit | an operation | Fetch token 0, after saving |
//! | Submit | ambiguous, repeatable | Submit again |
//! | Submit | ambiguous, not repeatable | close; **ambiguous** |
//! | Fetch | `NOT_READY`, or a page without rows | Wait, longer each time |
//! | Fetch | rows | Arrived, and the rows are yielded |
//! | Arrived | | Fetch the next token, after saving |
//! | Fetch | EOS | Arrived, and its rows are yielded, if any; then close, after saving |
//! | Fetch | rejected | close; the statement failed |
//! | Fetch | rejected, because the page is not next | that error; nothing is closed, because another client reads this result |
//! | Wait | over | Fetch, or Heartbeat first if the last heartbeat is old |
//! | closing | the session is unknown | closed |
//!
//! Invariants: a page is requested again until it has come, and the next one only then, which is all that the gateway
//! keeps; so each row is yielded once, in order. A statement is sent once, unless it was said to be repeatable. What
//! was opened here is closed here, also after an error, but not after the deadline, nor while another client reads it.
//! One page is in memory.

mod diagnosis;
mod goal;
mod machine;

pub use self::diagnosis::StatementDiagnosis;
pub use self::goal::RunStatement;
use self::machine::StatementMachine;

use crate::flink::JobId;
use crate::flink::sql_gateway::results::{ColumnInfo, ResultKind, Row};
use crate::flink::sql_gateway::{OperationHandle, SessionHandle};
use crate::flow::Runner;

/// What a [`RunStatement`] yields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StatementEvent {
    /// Rows have come. The first page may have none.
    Page(Page),
    /// The statement has ended, and the flow has closed what it opened. The last event.
    Closed,
}

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
#[derive(Debug)]
#[must_use = "a flow does nothing until it is polled"]
pub struct Statement {
    runner: Runner<StatementMachine>,
}

impl Statement {
    /// Returns the session; `None` before it is opened.
    pub fn session(&self) -> Option<SessionHandle> {
        self.runner.machine().session()
    }

    /// Returns the operation; `None` before the submission is answered.
    pub fn operation(&self) -> Option<OperationHandle> {
        self.runner.machine().operation()
    }

    /// Ends the statement: pages that have not come yet are not fetched. Continue polling until the flow yields
    /// [`Closed`](StatementEvent::Closed). The query has then ended, and what was opened is closed. A response that is
    /// outstanding is handed back as [`Step::Stray`](crate::flow::Step::Stray); one to a submission is waited for.
    pub fn close(&mut self) {
        let (machine, cx) = self.runner.parts_mut();
        machine.close(cx);
    }
}

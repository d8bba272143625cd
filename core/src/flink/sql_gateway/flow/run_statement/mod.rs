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
//! | Open | outcome unknown | Open again: if the first session was opened, the gateway closes it when it is idle |
//! | Submit | an operation | Fetch token 0, after saving |
//! | Submit | outcome unknown, repeatable | Submit again |
//! | Submit | outcome unknown, not repeatable | close; **ambiguous** |
//! | Fetch | `NOT_READY`, or a page without rows | Wait, longer each time |
//! | Fetch | rows | Arrived, and the rows are yielded |
//! | Arrived | | Fetch the next token, after saving |
//! | Fetch | EOS | Arrived, and its rows are yielded, if any; then close, after saving |
//! | Fetch | rejected | close; the statement failed |
//! | Fetch | rejected, because another client has fetched a later page | that error; nothing is closed |
//! | Wait | over | Fetch, or Heartbeat first if the last heartbeat is old |
//! | closing | the session is unknown | closed |
//!
//! Invariants:
//!
//! * The flow requests a page until it has arrived, and only then the next page. The gateway keeps only these two. So
//!   the flow yields each row once, in order.
//! * The flow sends a statement once, unless it is repeatable.
//! * The flow closes what it opened, also after an error. It does not after the deadline, nor if another client reads
//!   the result.
//! * One page is in memory.

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

/// An event of a [`RunStatement`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StatementEvent {
    /// A page of rows. The first page may be empty.
    Page(Page),
    /// The last event: the statement has ended, and the flow has closed what it opened.
    Closed,
}

/// A page of a statement's rows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The number of the page in the result, from 0.
    pub token: u64,
    /// The job of a query or an `INSERT`; `None` for other statements.
    pub job: Option<JobId>,
    /// Whether the statement is a query.
    pub is_query: bool,
    /// Whether the rows are a result, or only "OK". `None` if the gateway does not say it.
    pub kind: Option<ResultKind>,
    /// The columns, equal in all pages.
    pub columns: Vec<ColumnInfo>,
    /// Rows, or changes of rows, in order.
    pub rows: Vec<Row>,
}

/// The running flow of a [`RunStatement`].
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

    /// Returns the operation; `None` before the response to the submission.
    pub fn operation(&self) -> Option<OperationHandle> {
        self.runner.machine().operation()
    }

    /// Ends the statement without reading further pages. Continue to poll until the flow yields
    /// [`Closed`](StatementEvent::Closed): then the query has ended, and the flow has closed what it opened.
    ///
    /// If you give the flow the response to a request that it no longer needs, it returns the response as
    /// [`Step::Stray`](crate::flow::Step::Stray). The flow still waits for the response to a submission.
    pub fn close(&mut self) {
        let (machine, cx) = self.runner.parts_mut();
        machine.close(cx);
    }
}

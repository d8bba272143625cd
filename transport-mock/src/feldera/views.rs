//! How things really are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// A pipeline as it really is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PipelineView {
    /// Its name.
    pub name: String,
    /// The state of its program, such as `Success`.
    pub program_status: String,
    /// The number of its program.
    pub program_version: u64,
    /// What the API calls `deployment_status`.
    pub status: String,
    /// What the API calls `deployment_desired_status`.
    pub desired_status: String,
    /// What its process is doing, whether the manager knows or not; nothing without a process.
    pub process: Option<String>,
    /// Whether its process answers requests: it exists, and has neither panicked, nor been killed, nor frozen.
    pub answers: bool,
    /// `Cleared`, `InUse` or `Clearing`.
    pub storage: String,
    /// Which deployment it is.
    pub deployment_id: Option<String>,
    /// How often it was deployed.
    pub deployments: u64,
    /// Which process it is.
    pub incarnation: Option<String>,
    /// Why its last deployment ended, if it did so by itself.
    pub error: Option<Value>,
    /// What its tables hold, each row as often as it is there.
    pub tables: BTreeMap<String, Vec<Value>>,
    /// Steps that were begun and completed.
    pub steps: (u64, u64),
    /// How many checkpoints are in its storage.
    pub checkpoints: usize,
    /// The checkpoint that was sent to the object store last.
    pub synced: Option<String>,
    /// The transaction that is open.
    pub transaction: Option<u64>,
}

/// A request as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestView {
    /// When it came, since the UNIX epoch.
    pub at: Duration,
    /// Its method.
    pub method: String,
    /// Its path and query, as they were sent.
    pub target: String,
    /// What it was answered.
    pub status: u16,
}

/// What the processes of a pipeline have done, from the first to the present process.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// Changes that came in, in their order, also those that were lost with their process.
    pub taken: Vec<TakenView>,
    /// Transactions that were started.
    pub transactions: Vec<TransactionView>,
    /// Checkpoints that were asked for.
    pub checkpoints: Vec<CheckpointView>,
    /// Checkpoints that were sent to the object store, in the order in which that ended.
    pub syncs: Vec<SyncView>,
}

/// A change of a table that came in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TakenView {
    /// The process that it came into.
    pub incarnation: String,
    /// The step that it was in.
    pub step: u64,
    /// The table.
    pub table: String,
    /// Whether it deletes the row.
    pub delete: bool,
    /// The row.
    pub row: Value,
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionView {
    /// Its process.
    pub incarnation: String,
    /// Its id.
    pub id: u64,
    /// When it was committed.
    pub committed: Option<Duration>,
}

/// A checkpoint that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointView {
    /// Its process.
    pub incarnation: String,
    /// Its number there.
    pub sequence: u64,
    /// When it was made, by itself or together with a later request.
    pub made: Option<Duration>,
}

/// A checkpoint that was sent to the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncView {
    /// The process that sent it.
    pub incarnation: String,
    /// Its id.
    pub checkpoint: String,
    /// Whether it got there.
    pub succeeded: bool,
}

impl History {
    pub(super) fn append(&mut self, later: Self) {
        self.taken.extend(later.taken);
        self.transactions.extend(later.transactions);
        self.checkpoints.extend(later.checkpoints);
        self.syncs.extend(later.syncs);
    }
}

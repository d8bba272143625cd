//! What a test sees behind the REST API: how things really are, with no cache in between.

use std::time::Duration;

/// A job as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// 32 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state as the server spells it, such as `RUNNING`.
    pub state: String,
    /// Where its last run was restored from: a savepoint, or a checkpoint of its own.
    pub restored_from: Option<String>,
    /// How many records it has counted, those before a savepoint it was restored from included.
    pub records: u64,
    /// How often it was started again after a failure.
    pub restarts: u32,
    /// What its largest vertex has now.
    pub parallelism: u32,
    /// The savepoints taken of it, oldest first.
    pub savepoints: Vec<String>,
}

/// What a savepoint was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavepointKind {
    /// The job continued.
    Savepoint,
    /// To stop the job with.
    Stop,
}

/// A completed savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointView {
    /// The job it was taken of.
    pub job: String,
    /// The trigger it was asked for with.
    pub trigger: String,
    /// Where it is.
    pub path: String,
    /// The count it holds: a job restored from it continues from there.
    pub records: u64,
    /// When it was complete.
    pub at: Duration,
    /// What it was taken for.
    pub kind: SavepointKind,
}

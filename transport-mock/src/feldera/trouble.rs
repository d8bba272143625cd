//! What is wrong with a process.

use std::time::Duration;

use serde_json::{Value, json};

/// What is wrong with its process.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// A worker thread panicked, and the process only says that it ends.
    Panic(String),
    /// The same, and the process says why.
    ReportedPanic(String),
    /// The process is gone.
    Killed,
    /// The process does not answer, up to then; and whether the runner knows.
    Frozen(Duration, bool),
}

impl Trouble {
    /// How bad it is. What is worse stays: a dead process cannot panic, and none comes back to life.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Frozen(..) => 0,
            Self::Panic(_) | Self::ReportedPanic(_) => 1,
            Self::Killed => 2,
        }
    }
}

/// What a panicked process answers, and what is left of it.
pub(super) fn panic_error(message: &str) -> Value {
    let text = format!(
        "DBSP error: runtime error: One or more worker threads terminated unexpectedly\nforeground worker thread 0 panicked\npanic message: {message}\n"
    );
    json!({ "message": text, "error_code": "RuntimeError.WorkerPanic", "details": { "panic_info": [] } })
}

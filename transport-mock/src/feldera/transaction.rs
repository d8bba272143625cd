//! The transaction of a process.

use std::time::Duration;

use super::config::Config;

/// See the module.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The id, while a transaction is open.
    pub(super) open: Option<u64>,
    /// When the first rows came in; until then, statistics do not show the transaction.
    pub(super) began: Option<Duration>,
    /// When the commit ends.
    pub(super) committing: Option<Duration>,
    next: u64,
}

impl Transaction {
    pub(super) fn new() -> Self {
        Self { open: None, began: None, committing: None, next: 20 }
    }

    pub(super) fn start(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        (self.open, self.began) = (Some(id), None);
        id
    }

    /// Rows came in.
    pub(super) fn note_rows(&mut self, now: Duration) {
        if self.open.is_some() {
            self.began.get_or_insert(now);
        }
    }

    pub(super) fn commit(&mut self, now: Duration, config: &Config) {
        self.committing = Some(now.saturating_add(config.commit_duration));
    }

    /// Ends the transaction if its commit is due; whether it was.
    pub(super) fn end_by(&mut self, at: Duration) -> bool {
        let ends = self.committing.is_some_and(|due| due <= at);
        if ends {
            (self.committing, self.open, self.began) = (None, None, None);
        }
        ends
    }
}

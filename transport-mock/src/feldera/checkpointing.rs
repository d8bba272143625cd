//! The checkpoints that a process makes, and those that it pushes to the object store.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::config::Config;
use super::release::Release;
use super::wire::stamp;

/// Why there is no checkpoint without storage.
const NO_STORAGE: &str =
    "The pipeline does not support checkpointing for the following reasons: Storage must be configured";
/// What a checkpoint fails with.
const FAILURE: &str = "I/O error";

/// A checkpoint that was requested.
#[derive(Debug)]
struct Request {
    sequence: u64,
    /// Not before a transaction is over.
    due: Option<Duration>,
}

/// The checkpoints of a process.
#[derive(Debug)]
pub(super) struct Checkpointing {
    pub(super) has_storage: bool,
    /// Whether checkpoints fail.
    pub(super) fails: bool,
    requests: VecDeque<Request>,
    next_sequence: u64,
    pub(super) success: Option<u64>,
    failure: Option<(u64, Value)>,
}

impl Checkpointing {
    pub(super) fn new(has_storage: bool) -> Self {
        Self { has_storage, fails: false, requests: VecDeque::new(), next_sequence: 0, success: None, failure: None }
    }

    /// Requests a checkpoint, which waits for a transaction to end.
    pub(super) fn request(&mut self, now: Duration, config: &Config, in_transaction: bool) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if self.has_storage {
            let due = (!in_transaction).then(|| now.saturating_add(config.checkpoint_duration));
            self.requests.push_back(Request { sequence, due });
        } else {
            self.fail(sequence, NO_STORAGE, now);
        }
        sequence
    }

    /// Returns what a checkpoint would fail with now.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        if self.has_storage { self.fails.then_some(FAILURE) } else { Some(NO_STORAGE) }
    }

    /// Begins those that waited for a transaction.
    pub(super) fn release(&mut self, at: Duration, config: &Config) {
        for request in &mut self.requests {
            request.due = request.due.or(Some(at.saturating_add(config.checkpoint_duration)));
        }
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.requests.front().and_then(|request| request.due)
    }

    pub(super) fn is_due(&self, at: Duration) -> bool {
        self.next_due().is_some_and(|due| due <= at)
    }

    /// Makes what is due into one checkpoint; the highest number of the requests, unless it fails.
    pub(super) fn finish(&mut self, at: Duration) -> Option<u64> {
        let mut last = None;
        while self.is_due(at) {
            last = self.requests.pop_front();
        }
        let Request { sequence, .. } = last?;
        if self.fails {
            self.fail(sequence, FAILURE, at);
            return None;
        }
        self.success = Some(sequence);
        Some(sequence)
    }

    fn fail(&mut self, sequence: u64, error: &str, at: Duration) {
        // Only the failure with the highest number is kept, and it stays.
        if self.failure.as_ref().is_none_or(|(failed, _)| *failed <= sequence) {
            let failure = json!({ "sequence_number": sequence, "error": error, "failed_at": stamp(at) });
            self.failure = Some((sequence, failure));
        }
    }

    pub(super) fn failure(&self) -> Option<&Value> {
        self.failure.as_ref().map(|(_, failure)| failure)
    }

    /// As statistics have it, of a process that started then.
    pub(super) fn activity(&self, started: Duration) -> Value {
        match self.requests.front() {
            None => json!({ "status": "idle" }),
            Some(Request { due: None, .. }) => {
                json!({ "status": "delayed", "reasons": ["TransactionInProgress"], "delayed_since": stamp(started) })
            }
            Some(_) => json!({ "status": "in_progress", "started_at": stamp(started) }),
        }
    }
}

/// Checkpoints on their way to the object store, one at a time.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    /// Whether they fail.
    pub(super) fails: bool,
    /// When each is there.
    queue: VecDeque<(Duration, String)>,
    /// Those that got there, until the pipeline takes note of them.
    pub(super) pushed: Vec<String>,
    /// The last checkpoint that was pushed.
    success: Option<String>,
    /// The last checkpoint whose push failed.
    failure: Value,
    /// Whether the failure came after the success.
    failed_last: bool,
}

impl Syncs {
    /// Sends a checkpoint. One that is on its way already is not sent again.
    pub(super) fn request(&mut self, now: Duration, uuid: &str, config: &Config) {
        if self.queue.iter().all(|(_, other)| other != uuid) {
            let free = self.queue.back().map_or(now, |(due, _)| now.max(*due));
            self.queue.push_back((free.saturating_add(config.checkpoint_duration), uuid.to_owned()));
        }
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.queue.front().map(|(due, _)| *due)
    }

    /// Ends the first checkpoint if it is due.
    pub(super) fn finish(&mut self, at: Duration) -> Option<String> {
        self.next_due().filter(|due| *due <= at)?;
        let (_, uuid) = self.queue.pop_front()?;
        self.failed_last = self.fails;
        if self.fails {
            self.failure = json!({ "uuid": uuid, "error": "push failed" });
        } else {
            self.pushed.push(uuid.clone());
            self.success = Some(uuid.clone());
        }
        Some(uuid)
    }
    /// As the status has it. Since 0.349, success and failure never name the same checkpoint.
    pub(super) fn status(&self, release: Release) -> Value {
        let mut status = json!({ "success": self.success, "failure": self.failure, "periodic": null });
        if release >= Release::V0_375 {
            status["running"] = self.queue.iter().map(|(_, uuid)| uuid.as_str()).collect();
            if self.success.as_deref().is_some_and(|uuid| self.failure["uuid"] == uuid) {
                status[if self.failed_last { "success" } else { "failure" }] = Value::Null;
            }
        }
        status
    }
}

//! The log of a pipeline, and positions in it.

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::errors::Rejection;
use super::wire::{lines, stamp};

/// The lines that are kept, numbered from 1 within an epoch.
#[derive(Debug)]
pub(super) struct Log {
    /// Identifies the life of the buffer. The runner makes a new epoch when it restarts.
    pub(super) epoch: String,
    /// How many lines are kept.
    most: usize,
    lines: VecDeque<String>,
    /// How many lines there ever were.
    written: u64,
}

/// A position that a reader wants to resume after.
#[derive(Debug)]
pub(super) struct Cursor {
    epoch: String,
    sequence: u64,
}

impl Cursor {
    pub(super) fn parse(text: &str) -> Result<Self, Rejection> {
        let (epoch, sequence) = text
            .split_once(':')
            .ok_or_else(|| invalid(text, &format!("expected the form <epoch>:<sequence>, got '{text}'")))?;
        if epoch.bytes().filter(u8::is_ascii_hexdigit).count() != 32 {
            return Err(invalid(text, &format!("epoch '{epoch}' is not a valid UUID")));
        }
        let sequence = sequence
            .parse()
            .map_err(|error| invalid(text, &format!("sequence '{sequence}' is not a valid number: {error}")))?;
        Ok(Self { epoch: epoch.to_owned(), sequence })
    }
}

/// 400 for a cursor.
pub(super) fn invalid(value: &str, error: &str) -> Rejection {
    let message = format!("Invalid log cursor '{value}': {error}");
    let details = json!({ "value": value, "error": error });
    Rejection::new(StatusCode::BAD_REQUEST, "InvalidLogCursorParam", message, details)
}

impl Log {
    /// A new buffer for so many lines.
    pub(super) fn new(epoch: String, most: usize, at: Duration) -> Self {
        let mut log = Self { epoch, most, lines: VecDeque::new(), written: 0 };
        log.write(at, "manager", "Fresh start of pipeline logs");
        log
    }

    /// Writes a line, as a process does: with colours.
    pub(super) fn write(&mut self, at: Duration, pipeline: &str, text: &str) {
        let colours = "\u{1b}[32m INFO\u{1b}[0m";
        self.push(format!("{}{colours} [{pipeline}] {text}", stamp(at)));
    }

    /// Writes a line as it is.
    pub(super) fn push(&mut self, line: String) {
        self.lines.push_back(line);
        self.written += 1;
        while self.lines.len() > self.most {
            self.lines.pop_front();
        }
    }

    /// How many lines are not kept any more.
    fn discarded(&self) -> u64 {
        self.written - self.lines.len() as u64
    }

    /// Returns the lines after a number, and how many were written by now; `None` if a line between is not kept any
    /// more.
    pub(super) fn since(&self, read: u64) -> Option<(String, u64)> {
        let skip = usize::try_from(read.checked_sub(self.discarded())?).unwrap_or(usize::MAX);
        Some((lines(self.lines.iter().skip(skip)), self.written))
    }

    /// Returns all lines that are kept, after a line about those that are not, and how many were written by now.
    pub(super) fn all(&self) -> (String, u64) {
        let mut text = String::new();
        if self.discarded() > 0 {
            text = format!("... {} prior log lines were discarded and are not shown.\n", self.discarded());
        }
        (text + &lines(self.lines.iter()), self.written)
    }

    /// Returns the number of the line before the first line that a reader gets, and how many lines it will never get.
    /// A position of another epoch counts as the beginning, one behind the end as the end.
    pub(super) fn resume(&self, cursor: Option<Cursor>) -> (u64, u64) {
        let known = cursor.filter(|cursor| cursor.epoch == self.epoch);
        let wanted = known.map_or(0, |cursor| cursor.sequence.min(self.written));
        let first = wanted.max(self.discarded());
        (first, first - wanted)
    }
}

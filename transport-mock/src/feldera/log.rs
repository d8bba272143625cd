//! The log of a pipeline.

use std::collections::VecDeque;
use std::time::Duration;

use super::wire::{lines, stamp};

/// How many lines are kept.
const LINES: usize = 50_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<String>,
    /// How many lines there ever were.
    written: u64,
}

impl Log {
    /// Writes a line, as a process does: with colours.
    pub(super) fn write(&mut self, at: Duration, pipeline: &str, text: &str) {
        let colours = "\u{1b}[32m INFO\u{1b}[0m";
        self.lines.push_back(format!("{}{colours} [{pipeline}] {text}", stamp(at)));
        self.written += 1;
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    /// Returns the lines from a number on, as far as they are kept, and how many were written by now.
    pub(super) fn since(&self, read: u64) -> (String, u64) {
        let forgotten = self.written - self.lines.len() as u64;
        let skip = usize::try_from(read.saturating_sub(forgotten)).unwrap_or(usize::MAX);
        (lines(self.lines.iter().skip(skip)), self.written)
    }
}

//! How many records went through a process, second by second.

use std::time::Duration;

use serde_json::{Value, json};

use super::wire::millis;

/// How many samples are kept.
const SAMPLES: u32 = 60;

/// When how many records had gone through, of the last minute and one before.
#[derive(Debug)]
pub(super) struct Progress {
    /// When the process started.
    started: Duration,
    points: Vec<(Duration, u64)>,
}

impl Progress {
    pub(super) fn new(started: Duration) -> Self {
        Self { started, points: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Duration, records: u64) {
        let old = self.points.partition_point(|(time, _)| time.saturating_add(Duration::from_secs(61)) < at);
        self.points.drain(..old.saturating_sub(1));
        self.points.push((at, records));
    }

    /// Records that went through up to a time.
    fn completed_by(&self, at: Duration) -> u64 {
        let later = self.points.partition_point(|(time, _)| *time <= at);
        later.checked_sub(1).and_then(|last| self.points.get(last)).map_or(0, |(_, records)| *records)
    }

    pub(super) fn sample(&self, at: Duration) -> Value {
        json!({ "t": millis(at), "r": self.completed_by(at), "m": 163_213_312, "s": 0 })
    }

    /// Of the last minute, up to now; and when the next is due.
    pub(super) fn samples(&self, now: Duration) -> (Vec<Value>, Duration) {
        let last = now.saturating_sub(self.started).as_secs();
        let first = (last + 1).saturating_sub(u64::from(SAMPLES)).max(1);
        let at = |number: u64| self.started.saturating_add(Duration::from_secs(number));
        ((first..=last).map(|number| self.sample(at(number))).collect(), at(last + 1))
    }
}

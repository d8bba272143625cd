//! The tasks of a vertex in one of its attempts, and what is said of them one by one and together.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::attempt::{Attempt, TaskState, share};
use super::config::Version;
use super::job::Job;
use super::statistics;
use super::wire::{TASK_ADDRESS, TASK_HOST, TASK_MANAGER, UNASSIGNED, millis};

/// A job may be asked to run with any parallelism; no answer has more tasks than this.
pub(super) const SHOWN: u32 = 1024;

/// Bytes of a record.
const RECORD: u64 = 23;

/// What a task measures, in the order of [`Task::measures`].
const MEASURES: [&str; 7] = [
    "read-bytes",
    "write-bytes",
    "read-records",
    "write-records",
    "accumulated-backpressured-time",
    "accumulated-idle-time",
    "accumulated-busy-time",
];

/// A task of a vertex: a source or a sink.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) index: u32,
    pub(super) attempt: &'a Attempt,
    vertex: usize,
    /// What it has counted.
    pub(super) records: u64,
    now: Duration,
}

/// The tasks of a vertex in a job's present attempt: counts are those of `at`, durations those of `now`.
pub(super) fn tasks(job: &Job, vertex: usize, at: Duration, now: Duration) -> Vec<Task<'_>> {
    tasks_of(job, &job.attempt, vertex, at, now)
}

/// The same of any attempt.
pub(super) fn tasks_of<'a>(
    job: &Job,
    attempt: &'a Attempt,
    vertex: usize,
    at: Duration,
    now: Duration,
) -> Vec<Task<'a>> {
    let (records, count) = (job.records_of(attempt, at), attempt.each[vertex]);
    let task = |index| Task { index, attempt, vertex, records: share(records, count, index), now };
    (0..count.min(SHOWN)).map(task).collect()
}

/// A time, or -1 where the server has none.
pub(super) fn time(time: Option<Duration>) -> Value {
    time.map_or(json!(-1), |time| millis(time).into())
}

impl Task<'_> {
    pub(super) fn entered(&self, state: TaskState) -> Option<Duration> {
        self.attempt.entered(self.vertex, state)
    }

    pub(super) fn started(&self) -> Option<Duration> {
        self.entered(TaskState::Deploying)
    }

    pub(super) fn is_deployed(&self) -> bool {
        self.started().is_some()
    }

    pub(super) fn ended(&self) -> Option<Duration> {
        self.attempt.ended().filter(|_| self.is_deployed())
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        Some(self.ended().unwrap_or(self.now).saturating_sub(self.started()?))
    }

    /// From when it was scheduled until its end, or until now.
    pub(super) fn time_since_scheduled(&self) -> Option<Duration> {
        let scheduled = self.entered(TaskState::Scheduled)?;
        Some(self.attempt.ended().unwrap_or(self.now).saturating_sub(scheduled))
    }

    fn time_in(&self, state: TaskState) -> Option<Duration> {
        self.attempt.time_in(self.vertex, state, self.now)
    }

    /// What it reads and writes, and how it spends its time.
    fn measures(&self) -> [u64; MEASURES.len()] {
        let (read, written) = if self.vertex == 0 { (0, self.records) } else { (self.records, 0) };
        let running = self.time_in(TaskState::Running).map_or(0, millis);
        // Every task is busy all the time.
        [read.saturating_mul(RECORD), written.saturating_mul(RECORD), read, written, 0, 0, running]
    }

    fn status_duration(&self) -> Value {
        let entry = |state: TaskState| (state.name().to_owned(), time(self.time_in(state)));
        Value::Object(TaskState::TIMED.into_iter().map(entry).collect())
    }

    /// Adds where it runs: its host until 1.20, its address from 1.19 on.
    pub(super) fn located(&self, mut entry: Value, version: Version) -> Value {
        let place = |assigned: &'static str| if self.is_deployed() { assigned } else { UNASSIGNED };
        if version < (2, 0) {
            entry["host"] = place(TASK_HOST).into();
        }
        if version >= (1, 19) {
            entry["endpoint"] = place(TASK_ADDRESS).into();
        }
        entry
    }

    pub(super) fn details(&self, version: Version) -> Value {
        let place = if self.is_deployed() { TASK_MANAGER } else { UNASSIGNED };
        let mut entry = json!({
            "subtask": self.index,
            "status": self.attempt.state_of(self.vertex).name(),
            "attempt": self.attempt.number,
            "start-time": time(self.started()),
            "end-time": time(self.ended()),
            "duration": time(self.duration()),
            "metrics": io_metrics(std::slice::from_ref(self), version),
            "taskmanager-id": place,
            "start_time": time(self.started()),
        });
        if version >= (1, 14) {
            entry["status-duration"] = self.status_duration();
        }
        self.located(entry, version)
    }
}

/// What tasks read and write, added up.
pub(super) fn io_metrics(tasks: &[Task<'_>], version: Version) -> Value {
    let complete = tasks.first().is_some_and(Task::is_deployed);
    let mut sums: Map<String, Value> = Map::new();
    for (place, name) in MEASURES.iter().enumerate() {
        let is_time = name.starts_with("accumulated-");
        if is_time && version < (1, 14) {
            continue;
        }
        let sum = tasks.iter().map(|task| task.measures()[place]).fold(0, u64::saturating_add);
        // The value that is a floating-point number. Times are far below 2^53 milliseconds.
        #[allow(clippy::cast_precision_loss)]
        let value = if *name == "accumulated-busy-time" { json!(sum as f64) } else { json!(sum) };
        sums.insert((*name).to_owned(), value);
        if !is_time {
            sums.insert(format!("{name}-complete"), complete.into());
        }
    }
    Value::Object(sums)
}

/// Minimum, maximum, average and percentiles of the tasks: of what they read and write, and of how long they were in
/// each state.
pub(super) fn aggregated(tasks: &[Task<'_>]) -> Value {
    let mut metrics = Map::new();
    for (place, name) in MEASURES.iter().enumerate() {
        let values = tasks.iter().map(|task| task.measures()[place]).collect();
        metrics.insert((*name).to_owned(), statistics::of_subtasks(values));
    }
    let mut durations = Map::new();
    for state in TaskState::TIMED {
        let values = tasks.iter().map(|task| task.time_in(state).map_or(0, millis)).collect();
        durations.insert(state.name().to_owned(), statistics::of_subtasks(values));
    }
    json!({ "metrics": metrics, "status-duration": durations })
}

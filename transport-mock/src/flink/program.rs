//! What an uploaded jar does when it is run.
//!
//! A jar for the simulator is a small text: a line that names the form, then one `key value` line for each thing
//! that is not as usual. Whatever does not read like that is a broken jar to the simulator, as a file that is no
//! zip is to a server.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const MAGIC: &str = "simulated jar 1";

/// A program, described by what it does.
///
/// It counts records: from zero, or from the count of the savepoint it is restored from. The count shows as the
/// accumulator `records`. By default a program reads 100 records a second, takes a checkpoint each second and,
/// since it takes checkpoints, is restarted as often as it fails.
///
/// ```
/// # use pipewright_mock::flink::Program;
/// let jar = Program::bounded("import", 1_000).rate(500).jar();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub(super) name: String,
    pub(super) total: Option<u64>,
    pub(super) rate: u64,
    pub(super) parallelism: u32,
    pub(super) class: String,
    pub(super) checkpoint_interval: Option<Duration>,
    pub(super) restarts: Option<u32>,
    pub(super) failure: Option<Failing>,
    pub(super) failures: u32,
    pub(super) main_fails: Option<String>,
    pub(super) exits: Option<Exits>,
    quirks: BTreeSet<Quirk>,
}

/// When `main` calls `System.exit`, which kills the JobManager that executes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exits {
    /// Before `execute`, whether the jar is planned or run.
    Always,
    /// Before `execute`, only when the jar is run.
    BeforeExecute,
    /// After `execute` has submitted the job. Planning never gets that far.
    AfterExecute,
}

impl Exits {
    const ALL: [Self; 3] = [Self::Always, Self::BeforeExecute, Self::AfterExecute];

    fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::BeforeExecute => "before-execute",
            Self::AfterExecute => "after-execute",
        }
    }
}

/// When a program fails: after so many records, or after running for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// As soon as the count reaches this. A run that is restored from beyond it does not fail.
    AtRecord(u64),
    /// After its tasks have been running for so long.
    After(Duration),
}

/// How a program differs from a program without faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quirk {
    NoMainClass,
    MainFailsLate,
    NeverExecutes,
    SnapshotsFail,
    SnapshotsNeverComplete,
    StateIncompatible,
    StateDropped,
    NeverRuns,
    FailsWhileStopping,
}

impl Quirk {
    const ALL: [Self; 9] = [
        Self::NoMainClass,
        Self::MainFailsLate,
        Self::NeverExecutes,
        Self::SnapshotsFail,
        Self::SnapshotsNeverComplete,
        Self::StateIncompatible,
        Self::StateDropped,
        Self::NeverRuns,
        Self::FailsWhileStopping,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::NoMainClass => "no-main-class",
            Self::MainFailsLate => "main-fails-late",
            Self::NeverExecutes => "never-executes",
            Self::SnapshotsFail => "snapshots-fail",
            Self::SnapshotsNeverComplete => "snapshots-never-complete",
            Self::StateIncompatible => "state-incompatible",
            Self::StateDropped => "state-dropped",
            Self::NeverRuns => "never-runs",
            Self::FailsWhileStopping => "fails-while-stopping",
        }
    }
}

impl From<u64> for Failing {
    fn from(records: u64) -> Self {
        Self::AtRecord(records)
    }
}

impl From<Duration> for Failing {
    fn from(running: Duration) -> Self {
        Self::After(running)
    }
}

impl Program {
    /// A streaming program that never ends by itself.
    pub fn endless(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            total: None,
            rate: 100,
            parallelism: 1,
            class: "demo.Counting".into(),
            checkpoint_interval: Some(Duration::from_secs(1)),
            restarts: None,
            failure: None,
            failures: u32::MAX,
            main_fails: None,
            exits: None,
            quirks: BTreeSet::new(),
        }
    }

    /// A program that has finished when its count has reached `records`.
    pub fn bounded(name: impl Into<String>, records: u64) -> Self {
        Self { total: Some(records), ..Self::endless(name) }
    }

    /// Records a second; with 0 the count stands still.
    pub fn rate(mut self, records: u64) -> Self {
        self.rate = records;
        self
    }

    /// What it runs with where the request asks for nothing else.
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.parallelism = parallelism.max(1);
        self
    }

    /// A task fails, each time the program runs (see [`Program::fails_times`]).
    pub fn fails_after(mut self, when: impl Into<Failing>) -> Self {
        self.failure = Some(when.into());
        self
    }

    /// How often [`Program::fails_after`] applies to a job; later runs of the job go well.
    pub fn fails_times(mut self, times: u32) -> Self {
        self.failures = times;
        self
    }

    /// How often a failed job is restarted. Without this: always if it takes checkpoints, else never.
    pub fn restarts(mut self, times: u32) -> Self {
        self.restarts = Some(times);
        self
    }

    /// `main` throws before it submits anything.
    pub fn main_fails(mut self, message: impl Into<String>) -> Self {
        self.main_fails = Some(message.into());
        self
    }

    /// `main` throws after it submitted the job, which runs on.
    pub fn main_fails_after_submit(self) -> Self {
        self.with(Quirk::MainFailsLate)
    }

    /// `main` calls `System.exit`: the JobManager dies, and the request gets no answer.
    pub fn exits(mut self, when: Exits) -> Self {
        self.exits = Some(when);
        self
    }

    /// `main` returns without having submitted anything.
    pub fn never_executes(self) -> Self {
        self.with(Quirk::NeverExecutes)
    }

    /// The class which holds `main`.
    pub fn entry_class(mut self, class: impl Into<String>) -> Self {
        self.class = class.into();
        self
    }

    /// The jar does not name its entry class: a request has to.
    pub fn without_main_class(self) -> Self {
        self.with(Quirk::NoMainClass)
    }

    /// How often it takes a checkpoint by itself; `None` is never.
    pub fn checkpoint_interval(mut self, interval: Option<Duration>) -> Self {
        // The server refuses less than 10 ms, and none at all would never let time pass.
        self.checkpoint_interval = interval.map(|interval| interval.max(Duration::from_millis(10)));
        self
    }

    /// Taking a snapshot of the state, for a checkpoint as for a savepoint, fails the task.
    pub fn snapshots_fail(self) -> Self {
        self.with(Quirk::SnapshotsFail)
    }

    /// The state of a savepoint cannot be read by this program: its tasks fail as often as they restore it.
    pub fn state_incompatible(self) -> Self {
        self.with(Quirk::StateIncompatible)
    }

    /// The program has no operator any more for some state of a savepoint: it does not start from one, the job
    /// is `FAILED` at once, unless the request allows state to be left behind.
    pub fn state_dropped(self) -> Self {
        self.with(Quirk::StateDropped)
    }

    /// The job is `RUNNING`, but its tasks stay `SCHEDULED`, as without slots.
    pub fn never_runs(self) -> Self {
        self.with(Quirk::NeverRuns)
    }

    /// When the job is stopped, its savepoint is written, and then it fails for good, as when a TaskManager dies at
    /// that moment.
    pub fn fails_while_stopping(self) -> Self {
        self.with(Quirk::FailsWhileStopping)
    }

    /// Checkpoints and savepoints start and do not complete; they expire after ten minutes.
    pub fn checkpoints_never_complete(self) -> Self {
        self.with(Quirk::SnapshotsNeverComplete)
    }

    /// The file to upload.
    pub fn jar(&self) -> Bytes {
        let mut text = format!("{MAGIC}\n");
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key} {value}");
        };
        line("name", &utf8_percent_encode(&self.name, NON_ALPHANUMERIC));
        line("class", &utf8_percent_encode(&self.class, NON_ALPHANUMERIC));
        line("rate", &self.rate);
        line("parallelism", &self.parallelism);
        line("failures", &self.failures);
        if let Some(total) = self.total {
            line("total", &total);
        }
        if let Some(interval) = self.checkpoint_interval {
            line("checkpoint-ms", &interval.as_millis());
        }
        if let Some(restarts) = self.restarts {
            line("restarts", &restarts);
        }
        match self.failure {
            Some(Failing::AtRecord(record)) => line("fails-at-record", &record),
            Some(Failing::After(running)) => line("fails-after-ms", &running.as_millis()),
            None => {}
        }
        if let Some(message) = &self.main_fails {
            line("main-fails", &utf8_percent_encode(message, NON_ALPHANUMERIC));
        }
        if let Some(exits) = self.exits {
            line("exits", &exits.name());
        }
        for quirk in &self.quirks {
            line("quirk", &quirk.name());
        }
        Bytes::from(text)
    }

    fn with(mut self, quirk: Quirk) -> Self {
        self.quirks.insert(quirk);
        self
    }

    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Reads [`Program::jar`] back; `None` for anything else.
    pub(super) fn from_jar(jar: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(jar).ok()?.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let mut program = Self::endless("").checkpoint_interval(None);
        for line in lines {
            let (key, value) = line.split_once(' ')?;
            let text = || Some(percent_decode_str(value).decode_utf8().ok()?.into_owned());
            let millis = || Some(Duration::from_millis(value.parse().ok()?));
            program = match key {
                "name" => Self { name: text()?, ..program },
                "class" => program.entry_class(text()?),
                "rate" => program.rate(value.parse().ok()?),
                "parallelism" => program.parallelism(value.parse().ok()?),
                "failures" => program.fails_times(value.parse().ok()?),
                "total" => Self { total: Some(value.parse().ok()?), ..program },
                "checkpoint-ms" => program.checkpoint_interval(Some(millis()?)),
                "restarts" => program.restarts(value.parse().ok()?),
                "fails-at-record" => program.fails_after(value.parse::<u64>().ok()?),
                "fails-after-ms" => program.fails_after(millis()?),
                "main-fails" => program.main_fails(text()?),
                "exits" => program.exits(*Exits::ALL.iter().find(|when| when.name() == value)?),
                "quirk" => program.with(*Quirk::ALL.iter().find(|quirk| quirk.name() == value)?),
                _ => return None,
            };
        }
        Some(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_is_read_back_whole() {
        let plain = Program::endless("a b\nc");
        let odd = Program::bounded("ü", 7)
            .rate(3)
            .parallelism(9)
            .fails_after(Duration::from_millis(5))
            .fails_times(2)
            .restarts(4)
            .main_fails("no: way")
            .main_fails_after_submit()
            .never_executes()
            .entry_class("x.Y")
            .without_main_class()
            .checkpoint_interval(None)
            .snapshots_fail()
            .state_incompatible()
            .state_dropped()
            .never_runs()
            .fails_while_stopping()
            .checkpoints_never_complete();
        let exiting = Exits::ALL.map(|when| Program::endless("x").exits(when));
        for program in [plain, odd].into_iter().chain(exiting) {
            assert_eq!(Program::from_jar(&program.jar()), Some(program));
        }
    }

    #[test]
    fn anything_else_is_no_jar() {
        for rubbish in [
            "",
            "PK\u{3}\u{4}",
            "simulated jar 1\nrate many\n",
            "simulated jar 1\nwings 2\n",
            "simulated jar 1\nexits never\n",
        ] {
            assert_eq!(Program::from_jar(rubbish.as_bytes()), None, "{rubbish:?}");
        }
    }
}

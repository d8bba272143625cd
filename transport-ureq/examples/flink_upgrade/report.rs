//! [`Report`]: how the tool ended.

use std::io::{self, Write as _};

use pipewright::flink::{JobId, UpgradePhase};
use serde_json::json;

use crate::support::{Progress, tell};

/// How the tool ended. Each has an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Upgraded,
    /// `--dry-run` found nothing wrong.
    Planned,
    Failed,
    RolledBack,
    Unknown,
    OldJobRuns,
    NoJobRuns,
}

impl Outcome {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Upgraded | Self::Planned => 0,
            Self::Failed => 1,
            Self::RolledBack => 3,
            Self::Unknown => 4,
            Self::OldJobRuns => 5,
            Self::NoJobRuns => 6,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Upgraded => "upgraded",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Unknown => "unknown",
            Self::OldJobRuns => "old-job-runs",
            Self::NoJobRuns => "no-job-runs",
        }
    }
}

/// A command to run next.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    /// What it is for, as in `to resume the upgrade`.
    pub(crate) purpose: String,
    pub(crate) command: String,
}

/// How the tool ended, and what to do next.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// For people.
    pub(crate) text: String,
    /// The job that runs; of an upgrade that did not end well, the job to upgrade.
    pub(crate) job: Option<JobId>,
    /// The job of the new jar, if it may exist.
    pub(crate) new_job: Option<JobId>,
    /// The second job of the old jar, if it may exist.
    pub(crate) old_job: Option<JobId>,
    pub(crate) savepoint: Option<String>,
    pub(crate) earlier_savepoint: Option<String>,
    /// The last checkpoint of the old job, if that did not end well.
    pub(crate) last_checkpoint: Option<String>,
    /// The number of the new job's first checkpoint.
    pub(crate) checkpoint: Option<i64>,
    /// Whether nothing is left to resume.
    pub(crate) is_over: bool,
    /// Whether the job is gone, and nothing is known to start another job from.
    pub(crate) is_gone: bool,
    /// The phase that ended the upgrade; `None` if something else did.
    pub(crate) phase: Option<UpgradePhase>,
    /// Whether a plan got no answer, and the state does not let another JobManager repeat it.
    pub(crate) has_open_plan: bool,
    pub(crate) next: Vec<Next>,
}

impl Report {
    pub(crate) fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Self {
            outcome,
            text: text.into(),
            job: None,
            new_job: None,
            old_job: None,
            savepoint: None,
            earlier_savepoint: None,
            last_checkpoint: None,
            checkpoint: None,
            is_over: false,
            is_gone: false,
            phase: None,
            has_open_plan: false,
            next: Vec::new(),
        }
    }

    /// Appends to the text for people.
    pub(crate) fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.extend(["; ", &text.to_string()]);
    }

    /// What a job can be started from: the savepoint of the stop, or else what is older. Which of two is newer is in
    /// the text.
    pub(crate) fn snapshots(&self) -> Vec<(&'static str, &str)> {
        if let Some(savepoint) = &self.savepoint {
            return vec![("savepoint", savepoint)];
        }
        let earlier = self.earlier_savepoint.iter().map(|path| ("savepoint", &**path));
        earlier.chain(self.last_checkpoint.iter().map(|path| ("last checkpoint", &**path))).collect()
    }

    /// Whether the stop may have written a savepoint that is newer than all that is known.
    pub(crate) fn may_have_newer(&self) -> bool {
        self.savepoint.is_none() && self.phase == Some(UpgradePhase::Stop)
    }

    /// The lines for people.
    fn lines(&self) -> String {
        let mut lines = format!("flink_upgrade: {}", self.text);
        for Next { purpose, command } in &self.next {
            lines.extend(["\n", purpose, ", run:\n  ", command]);
        }
        lines
    }

    /// Shows both; whether the line for programs was written.
    pub(crate) fn out(&self, progress: &Progress) -> bool {
        progress.say(&self.lines());
        progress.clear();
        let printed = self.print();
        if let Err(error) = &printed {
            tell(format_args!("flink_upgrade: writing the report failed: {error}; the state is kept"));
        }
        printed.is_ok()
    }

    /// The line for programs, flushed.
    fn print(&self) -> io::Result<()> {
        let id = |job: Option<JobId>| job.map(|job| job.to_string());
        let next: Vec<&str> = self.next.iter().map(|next| &*next.command).collect();
        let line = json!({
            "result": self.outcome.name(),
            "exit_code": self.outcome.code(),
            "text": self.text,
            "job": id(self.job),
            "new_job": id(self.new_job),
            "old_job": id(self.old_job),
            "savepoint": self.savepoint,
            "earlier_savepoint": self.earlier_savepoint,
            "last_checkpoint": self.last_checkpoint,
            "checkpoint": self.checkpoint,
            "next": next,
        });
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }
}

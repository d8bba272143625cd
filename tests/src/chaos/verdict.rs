//! The outcomes of operations and seeds, and what an error reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use pipewright::error::FlowError;
use pipewright::flink::{JobDiagnosis, JobId, UpgradeDiagnosis, UpgradeStatus};
use pipewright_mock::FaultKind;

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// As wanted.
    Done,
    /// With the new jar.
    Upgraded,
    /// With the old jar again.
    RolledBack,
    /// With an error of this class, which tells what is the case.
    Failed(&'static str),
    /// With an unknown outcome, and why.
    Unknown(String),
}

/// The outcome of an operation.
#[derive(Clone, Debug)]
pub struct Step {
    /// The operation.
    pub operation: String,
    /// How it ended, after the last resumption.
    pub end: End,
    /// How often an outcome was unknown on the way, and a resumption found it out.
    pub cleared: usize,
    /// How often the process was killed.
    pub kills: usize,
}

/// The outcome of a seed.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The seed.
    pub seed: u64,
    /// What it drew.
    pub scenario: String,
    /// The operations that were carried out.
    pub steps: Vec<Step>,
    /// What should have held, and did not.
    pub violations: Vec<String>,
    /// The faults there were.
    pub faults: BTreeMap<FaultKind, u64>,
    /// How long it took.
    pub took: Duration,
}

/// The savepoints that an error names as values.
pub(super) fn savepoints(error: &FlowError) -> Vec<String> {
    let job = error.evidence::<JobDiagnosis>();
    let upgrade = UpgradeDiagnosis::of(error);
    let of_upgrade = upgrade.into_iter().flat_map(|known| [&known.savepoint, &known.earlier_savepoint]);
    let all = job.into_iter().map(|known| &known.savepoint).chain(of_upgrade);
    all.flatten().cloned().collect()
}

/// The class of an error.
pub(super) fn class(error: &FlowError) -> &'static str {
    match error {
        FlowError::Build(_) | FlowError::Misuse(_) | FlowError::Credential(_) => "misuse",
        FlowError::Transport(_) => "no connection",
        FlowError::Service(_) => "rejected",
        FlowError::Ambiguous(_) => "unknown",
        FlowError::Failed(_) => "failed",
        FlowError::Deadline { .. } => "time is up",
        FlowError::Incomplete(incomplete) => class(&incomplete.cause),
        FlowError::Stopped(_) => "stopped",
        _ => "other",
    }
}

/// An error and its causes, on one line.
pub(super) fn explain(error: &FlowError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        let _ = write!(text, "; because: {one}");
        cause = one.source();
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect();
    line
}

/// What is wrong with what the error of an upgrade says about the jobs, if these live.
pub(super) fn wrong_status(error: &FlowError, live: &BTreeSet<JobId>) -> Option<String> {
    let known = UpgradeDiagnosis::of(error)?;
    let is_right = match known.status {
        UpgradeStatus::Untouched => *live == [known.job].into(),
        UpgradeStatus::OldJobRuns => *live == [known.job].into() || *live == [known.old_job].into(),
        UpgradeStatus::NoJobRuns => live.is_empty(),
        UpgradeStatus::NewJobRuns => *live == [known.new_job].into(),
        _ => true,
    };
    (!is_right).then(|| format!("an error says that {}, and these live: {live:?}: {}", known.status, explain(error)))
}

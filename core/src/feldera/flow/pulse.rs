//! [`Pulse`]: whether a circuit makes progress.

use std::time::Duration;

use super::Interruption;
use crate::feldera::stats::{CommitProgress, ControllerStatus, PipelineState, TransactionStatus};
use crate::time::Timestamp;

/// How often statistics are looked at while something is waited for.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// How long a circuit may stand still, by default.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a circuit's statistics said when they changed last. Nothing but them tells a circuit that has died from one that
/// takes its time: the pipeline goes on saying that it runs.
#[derive(Debug)]
pub(super) struct Pulse {
    /// How long it may stand still; for ever if `None`.
    patience: Option<Duration>,
    /// A paused pipeline is waited for.
    even_paused: bool,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    signs: Signs,
    /// When an answer with these signs came first.
    since: Timestamp,
    /// When the latest one was asked for.
    asked: Timestamp,
    cpu_msecs: Option<u64>,
}

/// What moves while a circuit works, and does not because data comes in.
#[derive(Clone, Debug, PartialEq)]
struct Signs {
    steps: Option<u64>,
    processed: u64,
    completed: Option<u64>,
    transmitted: u64,
    transaction: Option<i64>,
    committed: Option<CommitProgress>,
}

impl Pulse {
    pub(super) fn new(patience: Option<Duration>) -> Self {
        Self { patience, even_paused: false, last: None }
    }

    pub(super) fn even_paused(mut self, even_paused: bool) -> Self {
        self.even_paused = even_paused;
        self
    }

    /// Takes note of statistics read while the circuit has something to do; what stops it, if anything does.
    /// What they show is not older than `asked`, but may be older than now.
    pub(super) fn feel(&mut self, stats: &ControllerStatus, asked: Timestamp, now: Timestamp) -> Option<Interruption> {
        // A transaction stays open for as long as its clients like.
        let metrics = &stats.global_metrics;
        let rests = metrics.transaction_status == Some(TransactionStatus::TransactionInProgress)
            || metrics.open_transaction().is_some() && !metrics.is_committing();
        self.feel_unless(rests, stats, asked, now)
    }

    /// The same while the circuit has a transaction to commit.
    pub(super) fn feel_commit(
        &mut self,
        stats: &ControllerStatus,
        asked: Timestamp,
        now: Timestamp,
    ) -> Option<Interruption> {
        self.feel_unless(false, stats, asked, now)
    }

    fn feel_unless(
        &mut self,
        rests: bool,
        stats: &ControllerStatus,
        asked: Timestamp,
        now: Timestamp,
    ) -> Option<Interruption> {
        let metrics = &stats.global_metrics;
        let signs = Signs {
            steps: metrics.total_completed_steps,
            processed: metrics.total_processed_records,
            completed: metrics.total_completed_records,
            transmitted: stats.outputs.iter().map(|output| output.metrics.transmitted_records).sum(),
            transaction: metrics.transaction_id,
            committed: metrics.commit_progress.clone(),
        };
        let is_paused = metrics.state == PipelineState::Paused && !metrics.has_open_steps();
        // Views take as long as they take to be filled.
        let rests = rests || metrics.bootstrap_in_progress == Some(true) || is_paused && self.even_paused;
        let before = self.last.take();
        let cpu_msecs = metrics.cpu_msecs;
        // A step may take long: nothing moves before its end but the processor, of which an idle process takes next to nothing.
        let computes = |last: &Last| {
            let spent =
                last.cpu_msecs.zip(cpu_msecs).map(|(before, is)| Duration::from_millis(is.saturating_sub(before)));
            spent.is_some_and(|spent| spent * 2 >= now.since(last.asked))
        };
        let same = before.filter(|last| last.signs == signs && !rests && !computes(last));
        let (since, is_new) = same.map_or((now, true), |last| (last.since, false));
        self.last = Some(Last { signs, since, asked, cpu_msecs });
        if is_new {
            return None;
        }
        if is_paused {
            return Some(Interruption::Paused);
        }
        // From an answer that has come to a question that was asked later: an answer may be long on its way.
        let stalled = asked.since(since);
        let stands = self.patience.is_some_and(|patience| stalled >= patience);
        stands.then(|| Interruption::Wedged {
            stalled,
            initiated: metrics.total_initiated_steps.unwrap_or_default(),
            completed: metrics.total_completed_steps.unwrap_or_default(),
            outputs: behind(stats),
        })
    }
}

/// Outputs that hold something back.
fn behind(stats: &ControllerStatus) -> Vec<String> {
    let held = stats.outputs.iter().filter(|output| {
        output.fatal_error.is_some() || output.metrics.queued_batches > 0 || output.metrics.buffered_batches > 0
    });
    held.map(|output| match &output.fatal_error {
        Some(error) => format!("{} ({error})", output.endpoint_name),
        None => output.endpoint_name.clone(),
    })
    .collect()
}

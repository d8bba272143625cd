//! [`StallDetector`]: detects a circuit that makes no progress.

use std::time::Duration;

use super::Interruption;
use crate::feldera::stats::{CommitProgress, ControllerStatus, PipelineState, TransactionStatus};
use crate::time::Timestamp;

/// Remembers when the statistics of a circuit changed last. Only the statistics distinguish a dead circuit from a slow
/// circuit: the pipeline keeps its status `Running`.
#[derive(Debug)]
pub(super) struct StallDetector {
    /// How long the circuit may make no progress; without a limit if `None`.
    stall_timeout: Option<Duration>,
    /// Whether a paused pipeline does not count as stalled.
    even_paused: bool,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    signs: Signs,
    /// When an answer first had these signs.
    since: Timestamp,
    /// When the latest statistics were requested.
    asked: Timestamp,
    cpu_msecs: Option<u64>,
}

/// Counters that a working circuit moves, and that incoming data alone does not move.
#[derive(Clone, Debug, PartialEq)]
struct Signs {
    steps: Option<u64>,
    processed: Option<u64>,
    completed: Option<u64>,
    transmitted: u64,
    transaction: Option<i64>,
    committed: Option<CommitProgress>,
}

impl StallDetector {
    pub(super) fn new(stall_timeout: Option<Duration>) -> Self {
        Self { stall_timeout, even_paused: false, last: None }
    }

    pub(super) fn even_paused(mut self, even_paused: bool) -> Self {
        self.even_paused = even_paused;
        self
    }

    /// Records statistics that were read while the circuit has work to do. Returns the interruption if it makes no
    /// progress. The statistics are not older than `asked`, but may be older than now.
    pub(super) fn observe(
        &mut self,
        stats: &ControllerStatus,
        asked: Timestamp,
        now: Timestamp,
    ) -> Option<Interruption> {
        // Clients may keep a transaction open for any time.
        let metrics = &stats.global_metrics;
        let rests = metrics.transaction_status == Some(TransactionStatus::TransactionInProgress)
            || metrics.open_transaction().is_some() && !metrics.is_committing();
        self.observe_unless(rests, stats, asked, now)
    }

    /// Does the same as [`observe`](Self::observe) while the circuit has a transaction to commit.
    pub(super) fn observe_commit(
        &mut self,
        stats: &ControllerStatus,
        asked: Timestamp,
        now: Timestamp,
    ) -> Option<Interruption> {
        self.observe_unless(false, stats, asked, now)
    }

    fn observe_unless(
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
            transmitted: stats.outputs.iter().filter_map(|output| output.metrics.transmitted_records).sum(),
            transaction: metrics.transaction_id,
            committed: metrics.commit_progress.clone(),
        };
        let is_paused = metrics.state == PipelineState::Paused && !metrics.has_open_steps();
        // Without a counter that moves, a working circuit looks like one that stands still.
        let is_blind = signs.steps.is_none() && signs.processed.is_none() && signs.completed.is_none();
        // A backfill may take any time.
        let rests = rests || metrics.bootstrap_in_progress == Some(true) || is_paused && self.even_paused;
        let before = self.last.take();
        let cpu_msecs = metrics.cpu_msecs;
        // A step may take long. Until its end only the processor time grows; an idle process uses almost none.
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
        // Measured up to the start of the request, because its answer may have been delayed.
        let stalled = asked.since(since);
        let stands = !is_blind && self.stall_timeout.is_some_and(|stall_timeout| stalled >= stall_timeout);
        stands.then(|| Interruption::Wedged {
            stalled,
            initiated: metrics.total_initiated_steps.unwrap_or_default(),
            completed: metrics.total_completed_steps.unwrap_or_default(),
            outputs: blocked_outputs(stats),
        })
    }
}

/// Returns the names of the outputs that hold data back.
fn blocked_outputs(stats: &ControllerStatus) -> Vec<String> {
    let held = stats.outputs.iter().filter(|output| {
        let waiting = [output.metrics.queued_batches, output.metrics.buffered_batches];
        output.fatal_error.is_some() || waiting.into_iter().flatten().any(|batches| batches > 0)
    });
    held.map(|output| match &output.fatal_error {
        Some(error) => format!("{} ({error})", output.endpoint_name),
        None => output.endpoint_name.clone(),
    })
    .collect()
}

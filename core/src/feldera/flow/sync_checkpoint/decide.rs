//! What a synchronization does next: a function of what was observed and what is known. The table is in the [module
//! docs](super).

use super::goal::Synced;
use crate::error::{Ambiguity, Failure, FlowError};
use crate::feldera::checkpoints::{
    CheckpointSyncFailure, CheckpointSyncStarted, CheckpointSyncStatus, RemoteCheckpoint, StartCheckpointSync,
};
use crate::feldera::flow::{Interruption, UnknownOutcome};
use crate::feldera::stats::ControllerStatus;
use crate::feldera::tuning::STALL_TIMEOUT;
use crate::feldera::{ErrorCode, error_code};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// The last success and the last failure.
pub(super) type Told = (Option<String>, Option<CheckpointSyncFailure>);

/// Why the store is asked.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// Another process answers. It does not know the checkpoint.
    Restarted(FlowError),
    /// An attempt has failed. It may be an earlier attempt, or another client's.
    Failed(CheckpointSyncFailure),
    /// The attempt may have ended between two polls.
    Missed,
}

/// What was observed.
#[derive(Debug)]
pub(super) enum Evidence {
    /// The flow begins.
    Begun,
    Stats(Result<ControllerStatus, FlowError>),
    Status(Result<CheckpointSyncStatus, FlowError>),
    Request(Result<CheckpointSyncStarted, FlowError>),
    /// The wait is over.
    Waited,
    Listed(Result<Vec<RemoteCheckpoint>, FlowError>, Why),
    /// Why a request was rejected.
    Cause(FlowError),
}

/// What the flow does next.
#[derive(Debug)]
pub(super) enum Action {
    ReadStats,
    /// Save the process that the statistics show, then read the status.
    SaveProcess(Option<String>),
    ReadStatus,
    /// Send the request, after saving.
    Request,
    /// Save the id of the checkpoint, then read the statistics or the status.
    SaveAndFollow,
    Wait,
    /// List the checkpoints in the store.
    List(Why),
    /// Find out why the pipeline rejects a request.
    Diagnose(FlowError),
    End(Result<Synced, FlowError>),
}

/// What the flow knows about the checkpoint.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) pipeline: String,
    /// The process that sends; `None` if requests cannot name it.
    pub(super) process: Option<String>,
    /// `None` until the request was accepted.
    pub(super) checkpoint: Option<String>,
    /// The process by its statistics, if requests cannot name it.
    pub(super) seen: Option<String>,
    /// When the statistics are read again.
    pub(super) stats_at: Timestamp,
    /// The outcomes that were reported before the request.
    pub(super) before: Told,
    /// Whether `running` has named the checkpoint since the request.
    pub(super) was_running: bool,
    /// Until when the failure from before the request may still be reported.
    pub(super) stale_until: Option<Timestamp>,
    /// The outcomes that were reported last.
    pub(super) told: Told,
    /// The outcomes that were reported when the store was listed last.
    pub(super) listed: Told,
    /// When to list the store again, even if no outcome changes.
    pub(super) list_at: Timestamp,
    /// From when on the checkpoint counts as ended, although its outcome was not reported.
    pub(super) over_at: Option<Timestamp>,
}

impl Known {
    pub(super) fn what(&self) -> String {
        match &self.checkpoint {
            None => format!("sending the newest checkpoint of pipeline {}", self.pipeline),
            Some(checkpoint) => format!("sending checkpoint {checkpoint} of pipeline {}", self.pipeline),
        }
    }

    /// Remembers what was observed, before the decision.
    pub(super) fn record(&mut self, evidence: &Evidence, now: Timestamp) {
        match (evidence, self.checkpoint.clone()) {
            (Evidence::Stats(Ok(stats)), None) => self.seen = stats.global_metrics.process(),
            (Evidence::Status(Ok(status)), None) => self.before = (status.success.clone(), status.failure.clone()),
            (Evidence::Request(Ok(started)), _) => {
                self.checkpoint = Some(started.checkpoint_uuid.clone());
                self.process.clone_from(&started.incarnation_uuid);
                self.seen = self.seen.take().filter(|_| self.process.is_none());
                self.follow(now);
            }
            (Evidence::Status(Ok(status)), Some(checkpoint)) => self.record_status(status, &checkpoint, now),
            _ => {}
        }
    }

    /// Begins to wait for the checkpoint.
    pub(super) fn follow(&mut self, now: Timestamp) {
        (self.told, self.listed) = (self.before.clone(), self.before.clone());
        self.list_at = now + STALL_TIMEOUT;
    }

    fn record_status(&mut self, status: &CheckpointSyncStatus, checkpoint: &str, now: Timestamp) {
        self.told = (status.success.clone(), status.failure.clone());
        if is_running(status, checkpoint) {
            self.was_running = true;
            return;
        }
        let failure = status.failure.as_ref();
        let over_at = if self.was_running {
            Some(now)
        } else if failure.is_some_and(|failure| failure.uuid == checkpoint) {
            self.stale_until.get_or_insert(now + STALL_TIMEOUT);
            None
        } else {
            // In releases that send several checkpoints at a time, a newer checkpoint may have failed at once.
            let success = status.success.as_ref().filter(|uuid| self.before.0.as_ref() != Some(*uuid));
            let failure = failure.filter(|failure| self.before.1.as_ref() != Some(*failure));
            let success = success.filter(|uuid| is_newer(uuid, checkpoint)).map(|_| now);
            success.or(failure.filter(|failure| is_newer(&failure.uuid, checkpoint)).map(|_| now + STALL_TIMEOUT))
        };
        self.over_at = self.over_at.into_iter().chain(over_at).min();
    }

    /// Whether the statistics are to be read before the status.
    pub(super) fn needs_stats(&self, now: Timestamp) -> bool {
        self.process.is_none() && self.stats_at <= now
    }

    fn restarted(&self, details: Option<String>) -> Action {
        Action::List(Why::Restarted(Interruption::Restarted.into_error(self.what(), details)))
    }

    fn sent(&self) -> Action {
        Action::End(Ok(Synced { checkpoint: self.checkpoint.clone().unwrap_or_default() }))
    }

    fn failed(&self, reason: String) -> FlowError {
        FlowError::Failed(Failure { what: self.what(), reason, details: None, cause: None })
    }

    /// Returns the error for a checkpoint whose outcome is unknown.
    fn lost(&self, cause: FlowError, found: String) -> FlowError {
        let started = UnknownOutcome::Sync { checkpoint: self.checkpoint.clone().unwrap_or_default() };
        started.add_to(FlowError::Ambiguous(Ambiguity {
            operation: StartCheckpointSync::INFO.name,
            cause: Box::new(cause),
            unanswered: false,
            found: Some(found),
            evidence: None,
        }))
    }
}

/// Decides what comes next.
pub(super) fn decide(evidence: Evidence, known: &Known, now: Timestamp) -> Action {
    match (evidence, &known.checkpoint) {
        (Evidence::Begun, None) => Action::ReadStats,
        (Evidence::Status(Ok(_)), None) => Action::Request,
        (Evidence::Request(Ok(_)), _) => Action::SaveAndFollow,
        (Evidence::Begun | Evidence::Waited, _) if known.needs_stats(now) => Action::ReadStats,
        (Evidence::Stats(Ok(_)), None) | (Evidence::Begun | Evidence::Waited, _) => Action::ReadStatus,
        (Evidence::Status(Ok(status)), Some(checkpoint)) => decide_status(&status, checkpoint, known, now),
        (Evidence::Status(Err(FlowError::Service(error))), Some(_))
            if error_code(&error) == Some(ErrorCode::IncarnationUuidMismatch) =>
        {
            known.restarted(error.details().map(str::to_owned))
        }
        (Evidence::Stats(Ok(stats)), _) => match (stats.global_metrics.process(), &known.seen) {
            (process, Some(seen)) if process.as_ref() != Some(seen) => known.restarted(None),
            (_, Some(_)) => Action::ReadStatus,
            (process, None) => Action::SaveProcess(process),
        },
        (Evidence::Listed(listed, why), _) => decide_listed(listed, why, known, now),
        (Evidence::Cause(error @ FlowError::Failed(_)), Some(_)) => {
            Action::End(Err(known.lost(error, "its outcome was never reported".to_owned())))
        }
        (Evidence::Cause(error), _) => Action::End(Err(error)),
        (Evidence::Stats(Err(error)) | Evidence::Status(Err(error)) | Evidence::Request(Err(error)), _) => {
            Action::Diagnose(error)
        }
    }
}

fn decide_status(status: &CheckpointSyncStatus, checkpoint: &str, known: &Known, now: Timestamp) -> Action {
    let is_stale = |failure: &CheckpointSyncFailure| !known.was_running && known.before.1.as_ref() == Some(failure);
    let is_over = known.stale_until.is_some_and(|until| until <= now);
    match status.failure.as_ref().filter(|failure| failure.uuid == checkpoint) {
        _ if is_running(status, checkpoint) => Action::Wait,
        _ if status.success.as_deref() == Some(checkpoint) => known.sent(),
        Some(failure) if !is_stale(failure) || is_over => Action::List(Why::Failed(failure.clone())),
        _ if known.was_running || known.told != known.listed || known.list_at <= now => Action::List(Why::Missed),
        _ => Action::Wait,
    }
}

fn decide_listed(listed: Result<Vec<RemoteCheckpoint>, FlowError>, why: Why, known: &Known, now: Timestamp) -> Action {
    let found = match listed {
        Ok(listed) if listed.iter().any(|remote| Some(&remote.uuid) == known.checkpoint.as_ref()) => {
            return known.sent();
        }
        Ok(_) => "the store does not list it".to_owned(),
        Err(error) => format!("the store could not be listed: {error}"),
    };
    Action::End(Err(match why {
        Why::Restarted(cause) => known.lost(cause, found),
        Why::Failed(failure) => known.failed(failure.reason().to_owned()),
        Why::Missed if known.over_at.is_some_and(|at| at <= now) => {
            known.lost(known.failed("the process reports only the outcomes of other checkpoints".to_owned()), found)
        }
        Why::Missed => return Action::Wait,
    }))
}

fn is_running(status: &CheckpointSyncStatus, checkpoint: &str) -> bool {
    status.running.as_ref().is_some_and(|running| running.iter().any(|uuid| uuid == checkpoint))
}

/// Returns whether a checkpoint is newer than another. The ids are UUIDs of version 7, which begin with the time. An id
/// of another kind counts as newer.
fn is_newer(one: &str, other: &str) -> bool {
    let begins_with_time = |id: &str| id.len() == 36 && id.as_bytes().get(14) == Some(&b'7');
    !begins_with_time(one) || !begins_with_time(other) || one > other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feldera::flow::test_answers::{NOW, rejection, stats};

    const OURS: &str = "01990000-0000-7000-8000-00000000000b";
    const OLDER: &str = "01980000-0000-7000-8000-00000000000b";
    const NEWER: &str = "01990000-0000-7000-8000-00000000000c";

    fn known() -> Known {
        Known {
            pipeline: "p".to_owned(),
            process: Some("a".to_owned()),
            checkpoint: Some(OURS.to_owned()),
            seen: None,
            stats_at: NOW + STALL_TIMEOUT,
            before: (None, None),
            was_running: false,
            stale_until: None,
            told: (None, None),
            listed: (None, None),
            list_at: NOW + STALL_TIMEOUT,
            over_at: None,
        }
    }

    fn failure(uuid: &str) -> CheckpointSyncFailure {
        CheckpointSyncFailure { uuid: uuid.to_owned(), error: Some("full".to_owned()) }
    }

    fn status(success: Option<&str>, failed: Option<&str>, running: Option<&[&str]>) -> Evidence {
        Evidence::Status(Ok(CheckpointSyncStatus {
            success: success.map(str::to_owned),
            failure: failed.map(failure),
            periodic: None,
            running: running.map(|running| running.iter().map(|uuid| (*uuid).to_owned()).collect()),
        }))
    }

    /// Decides as the machine does; the decision in short.
    fn next(known: &mut Known, evidence: Evidence) -> &'static str {
        known.record(&evidence, NOW);
        match decide(evidence, known, NOW) {
            Action::ReadStats => "statistics",
            Action::SaveProcess(_) => "process",
            Action::ReadStatus => "status",
            Action::Request => "request",
            Action::SaveAndFollow => "follow",
            Action::Wait => "wait",
            Action::List(Why::Restarted(_)) => "list: restarted",
            Action::List(Why::Failed(_)) => "list: failed",
            Action::List(Why::Missed) => "list: missed",
            Action::Diagnose(_) => "diagnose",
            Action::End(Ok(_)) => "done",
            Action::End(Err(FlowError::Ambiguous(_))) => "ambiguous",
            Action::End(Err(_)) => "failed",
        }
    }

    #[test]
    fn the_request_follows_what_was_told_before() {
        let mut known = Known { checkpoint: None, process: None, ..known() };
        assert_eq!(next(&mut known, Evidence::Begun), "statistics");
        assert_eq!(next(&mut known, Evidence::Stats(Ok(stats("a", None)))), "status");
        assert_eq!(next(&mut known, status(Some(OLDER), Some(NEWER), None)), "request");
        assert_eq!(known.before, (Some(OLDER.to_owned()), Some(failure(NEWER))));
        let started = |process: Option<&str>| CheckpointSyncStarted {
            checkpoint_uuid: OURS.to_owned(),
            incarnation_uuid: process.map(str::to_owned),
        };
        assert_eq!(next(&mut known, Evidence::Request(Ok(started(None)))), "follow");
        assert_eq!(known.seen.as_deref(), Some("a"));
        assert_eq!(next(&mut known, Evidence::Request(Ok(started(Some("a"))))), "follow");
        assert_eq!(known.seen, None);
    }

    #[test]
    fn a_status_without_running_is_read_by_the_rows_of_the_table() {
        let before = |failed: Option<&str>| Known { before: (None, failed.map(failure)), ..known() };
        assert_eq!(next(&mut known(), status(Some(OURS), Some(OURS), None)), "done");
        assert_eq!(next(&mut known(), status(None, Some(OURS), None)), "list: failed");
        let mut stale = before(Some(OURS));
        stale.follow(NOW);
        assert_eq!(next(&mut stale, status(None, Some(OURS), None)), "wait");
        stale.stale_until = Some(NOW);
        assert_eq!(next(&mut stale, status(None, Some(OURS), None)), "list: failed");
        assert_eq!(next(&mut known(), status(Some(OLDER), None, None)), "list: missed");
        assert_eq!(next(&mut Known { list_at: NOW, ..known() }, status(None, None, None)), "list: missed");
        assert_eq!(next(&mut known(), status(None, None, None)), "wait");
        let mismatch = Evidence::Status(Err(rejection(400, "IncarnationUuidMismatch")));
        assert_eq!(next(&mut known(), mismatch), "list: restarted");
        assert_eq!(next(&mut known(), Evidence::Status(Err(rejection(410, "Terminating")))), "diagnose");
    }

    #[test]
    fn running_names_a_checkpoint_until_its_attempt_ends() {
        let mut again = Known { before: (Some(OURS.to_owned()), Some(failure(OURS))), ..known() };
        again.follow(NOW);
        // What is told of it is of the attempt before.
        assert_eq!(next(&mut again, status(Some(OURS), None, Some(&[OURS]))), "wait");
        assert_eq!(next(&mut again, status(None, Some(OURS), Some(&[NEWER, OURS]))), "wait");
        assert_eq!(next(&mut again, status(None, Some(OURS), Some(&[]))), "list: failed");
        assert_eq!(next(&mut again, status(Some(OURS), None, Some(&[NEWER]))), "done");
        assert_eq!(next(&mut again, status(Some(NEWER), None, Some(&[]))), "list: missed");
        assert_eq!(next(&mut again, Evidence::Listed(Ok(Vec::new()), Why::Missed)), "ambiguous");
        // It may not have begun yet.
        let mut queued = Known { before: (None, Some(failure(OURS))), ..known() };
        queued.follow(NOW);
        assert_eq!(next(&mut queued, status(None, Some(OURS), Some(&[OLDER]))), "wait");
        assert_eq!(next(&mut known(), status(None, None, Some(&[OLDER]))), "wait");
    }

    #[test]
    fn the_store_decides_by_the_reason_that_it_is_listed_for() {
        let listed = |uuid: &str| Ok(vec![RemoteCheckpoint { uuid: uuid.to_owned() }]);
        let over = |at| Known { over_at: Some(at), ..known() };
        let restarted = || Why::Restarted(rejection(400, "IncarnationUuidMismatch"));
        for why in [restarted(), Why::Failed(failure(OURS)), Why::Missed] {
            assert_eq!(next(&mut over(NOW), Evidence::Listed(listed(OURS), why)), "done");
        }
        assert_eq!(next(&mut known(), Evidence::Listed(listed(OLDER), restarted())), "ambiguous");
        assert_eq!(next(&mut known(), Evidence::Listed(listed(OLDER), Why::Failed(failure(OURS)))), "failed");
        assert_eq!(next(&mut over(NOW), Evidence::Listed(listed(OLDER), Why::Missed)), "ambiguous");
        assert_eq!(next(&mut over(NOW + STALL_TIMEOUT), Evidence::Listed(listed(OLDER), Why::Missed)), "wait");
        let error = Err(rejection(500, "CheckpointFetchError"));
        assert_eq!(next(&mut over(NOW), Evidence::Listed(error, Why::Missed)), "ambiguous");
    }

    #[test]
    fn a_checkpoint_is_over_when_a_newer_one_is() {
        let over_at = |success, failed| {
            let mut known = known();
            next(&mut known, status(success, failed, None));
            known.over_at
        };
        assert_eq!(over_at(Some(NEWER), None), Some(NOW));
        assert_eq!(over_at(None, Some(NEWER)), Some(NOW + STALL_TIMEOUT));
        assert_eq!(over_at(Some(OLDER), Some(OLDER)), None);
        assert_eq!(over_at(None, Some(OURS)), None);
    }

    #[test]
    fn a_process_that_takes_no_id_is_known_by_its_statistics() {
        let mut old = Known { process: None, seen: Some("a".to_owned()), ..known() };
        assert_eq!(next(&mut old, Evidence::Waited), "status");
        old.stats_at = NOW;
        assert_eq!(next(&mut old, Evidence::Waited), "statistics");
        assert_eq!(next(&mut old, Evidence::Stats(Ok(stats("a", None)))), "status");
        assert_eq!(next(&mut old, Evidence::Stats(Ok(stats("b", None)))), "list: restarted");
        old.seen = None;
        assert_eq!(next(&mut old, Evidence::Stats(Ok(stats("b", None)))), "process");
        let stopped = || Evidence::Cause(Interruption::Stopped.into_error("sending".to_owned(), None));
        assert_eq!(next(&mut old, stopped()), "ambiguous");
        assert_eq!(next(&mut Known { checkpoint: None, ..known() }, stopped()), "failed");
    }
}

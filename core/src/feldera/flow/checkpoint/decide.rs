//! What a checkpoint does next: a function of what was observed and what is known. The table is in the [module
//! docs](super).

use super::goal::Checkpointed;
use crate::error::{Ambiguity, Failure, FlowError};
use crate::feldera::checkpoints::{
    CheckpointFailure, CheckpointStarted, CheckpointStatus, CheckpointVerdict, StartCheckpoint,
};
use crate::feldera::flow::diagnosis::with_unknown_outcome;
use crate::feldera::flow::{Interruption, UnknownOutcome};
use crate::feldera::stats::{CheckpointActivityStatus, ControllerStatus};
use crate::feldera::tuning::{MAX_RESENDS, STATS_INTERVAL};
use crate::feldera::{ErrorCode, error_code};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// Why the statistics are read.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// Before the request is sent: which process gets it.
    Before,
    /// While the checkpoint is waited for: whether the process is the same, and what it does.
    Watch,
    /// Before this end: whether the process is the same. For processes that take no id.
    Confirm(Result<Checkpointed, FlowError>),
}

/// What was observed.
#[derive(Debug)]
pub(super) enum Evidence {
    /// The flow begins.
    Begun,
    Stats(Reading, Result<ControllerStatus, FlowError>),
    Request(Result<CheckpointStarted, FlowError>),
    Status(Result<CheckpointStatus, FlowError>),
    /// The wait is over.
    Waited,
    /// Why a request was rejected.
    Cause(FlowError),
}

/// What the flow does next.
#[derive(Debug)]
pub(super) enum Action {
    ReadStats(Reading),
    /// Send the request, after saving.
    Request,
    /// Send the request again: this one got no answer.
    RequestAgain(Ambiguity),
    /// Save the number, then read the status.
    SaveAndReadStatus,
    ReadStatus,
    Wait,
    /// Find out why the pipeline rejects a request.
    Diagnose(FlowError),
    End(Result<Checkpointed, FlowError>),
}

/// What the flow knows about its checkpoint.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) pipeline: String,
    /// The process that counts, or before there is a number, the process that was seen last.
    pub(super) process: Option<String>,
    /// Whether the process takes its id as a parameter.
    pub(super) checks_process: bool,
    pub(super) number: Option<u64>,
    pub(super) resends: u32,
    /// The last request without an answer, while none was accepted.
    pub(super) unanswered: Option<Ambiguity>,
    /// When the statistics are read again.
    pub(super) stats_at: Timestamp,
    /// The process said, after the last status, that it has nothing to do.
    pub(super) idle: bool,
}

impl Known {
    pub(super) fn what(&self) -> String {
        match self.number {
            Some(number) => format!("checkpoint {number} of pipeline {}", self.pipeline),
            None => format!("checkpoint of pipeline {}", self.pipeline),
        }
    }

    /// Whether the statistics are of another process than that which counts.
    pub(super) fn is_other_process(&self, stats: &ControllerStatus) -> bool {
        self.process.is_some() && self.process != stats.global_metrics.process()
    }

    /// Remembers what was observed, before the decision.
    pub(super) fn record(&mut self, evidence: &Evidence, now: Timestamp) {
        match evidence {
            Evidence::Stats(Reading::Before, Ok(stats)) => self.process = stats.global_metrics.process(),
            Evidence::Stats(_, Ok(stats)) => {
                if let Some(activity) = &stats.checkpoint_activity {
                    self.idle = activity.status == CheckpointActivityStatus::Idle;
                }
            }
            Evidence::Request(Ok(started)) => {
                self.unanswered = None;
                self.number = Some(started.checkpoint_sequence_number);
                self.checks_process = started.incarnation_uuid.is_some();
                self.process = started.incarnation_uuid.clone().or(self.process.take());
                self.stats_at = now + STATS_INTERVAL;
            }
            _ => {}
        }
    }

    fn failed(&self, reason: String) -> FlowError {
        FlowError::Failed(Failure { what: self.what(), reason, details: None, cause: None })
    }

    fn restarted(&self, details: Option<String>) -> FlowError {
        self.lost(Interruption::Restarted.into_error(self.what(), details))
    }

    /// Returns the error for a checkpoint whose outcome is unknown.
    fn lost(&self, cause: FlowError) -> FlowError {
        let number = self.number.unwrap_or_default();
        let started = UnknownOutcome::Checkpoint { number, process: self.process.clone() };
        started.add_to(FlowError::Ambiguous(Ambiguity {
            operation: StartCheckpoint::INFO.name,
            cause: Box::new(cause),
            unanswered: false,
            found: Some(format!("requested checkpoint {number}, but its outcome was never reported")),
            evidence: None,
        }))
    }

    /// Returns the error for a rejection, by the cause that was found.
    fn rejected(&self, error: FlowError) -> FlowError {
        // What an edition does not do it has not done at an earlier attempt either.
        let is_edition =
            error.service().is_some_and(|rejection| error_code(rejection) == Some(ErrorCode::EnterpriseFeature));
        match (error, self.unanswered.clone()) {
            (error @ FlowError::Failed(_), _) if self.number.is_some() => self.lost(error),
            (error, Some(lost)) if !is_edition && !error.is_ambiguous() => match error {
                error @ FlowError::Failed(_) => with_unknown_outcome(lost, error),
                error => FlowError::Ambiguous(Ambiguity { found: Some(error.to_string()), ..lost }),
            },
            (error, _) => error,
        }
    }
}

/// Decides what comes next. `has_time` tells whether the deadline has not passed.
pub(super) fn decide(evidence: Evidence, known: &Known, now: Timestamp, has_time: bool) -> Action {
    match evidence {
        Evidence::Begun if known.number.is_none() => Action::ReadStats(Reading::Before),
        Evidence::Stats(Reading::Before, Ok(_)) => Action::Request,
        Evidence::Request(Ok(_)) => Action::SaveAndReadStatus,
        Evidence::Request(Err(FlowError::Ambiguous(lost))) if known.resends < MAX_RESENDS && has_time => {
            Action::RequestAgain(lost)
        }
        Evidence::Status(Ok(status)) => decide_status(&status, known),
        Evidence::Status(Err(FlowError::Service(error)))
            if error_code(&error) == Some(ErrorCode::IncarnationUuidMismatch) =>
        {
            Action::End(Err(known.restarted(error.details().map(str::to_owned))))
        }
        Evidence::Waited if known.stats_at <= now => Action::ReadStats(Reading::Watch),
        Evidence::Stats(_, Ok(stats)) if known.is_other_process(&stats) => Action::End(Err(known.restarted(None))),
        Evidence::Begun | Evidence::Waited | Evidence::Stats(Reading::Watch, Ok(_)) => Action::ReadStatus,
        Evidence::Stats(Reading::Confirm(end), Ok(_)) => Action::End(end),
        Evidence::Stats(_, Err(error)) | Evidence::Request(Err(error)) | Evidence::Status(Err(error)) => {
            Action::Diagnose(error)
        }
        Evidence::Cause(error) => Action::End(Err(known.rejected(error))),
    }
}

fn decide_status(status: &CheckpointStatus, known: &Known) -> Action {
    let why = |failure: &CheckpointFailure| match &failure.failed_at {
        Some(at) => format!("{} (at {at})", failure.reason()),
        None => failure.reason().to_owned(),
    };
    let number = known.number.unwrap_or_default();
    let end = match status.verdict(number) {
        CheckpointVerdict::Done => {
            Ok(Checkpointed { number, newest: status.success.unwrap_or(number), process: known.process.clone() })
        }
        CheckpointVerdict::Failed(failure) => Err(known.failed(why(failure))),
        CheckpointVerdict::Redacted(failure) => {
            let (later, why) = (failure.sequence_number, why(failure));
            Err(known.failed(format!(
                "checkpoint {later} failed later and hides its outcome, and no newer checkpoint succeeded: {why}; request another checkpoint"
            )))
        }
        CheckpointVerdict::Running if known.idle => {
            Err(known
                .failed("the process is idle, and does not report the outcome; request another checkpoint".to_owned()))
        }
        CheckpointVerdict::Running => return Action::Wait,
    };
    if known.checks_process || known.process.is_none() {
        Action::End(end)
    } else {
        Action::ReadStats(Reading::Confirm(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feldera::flow::test_answers::{NOW, lost, rejection, stats};

    fn known(number: impl Into<Option<u64>>) -> Known {
        Known {
            pipeline: "p".to_owned(),
            process: Some("a".to_owned()),
            checks_process: true,
            number: number.into(),
            resends: 0,
            unanswered: None,
            stats_at: NOW + STATS_INTERVAL,
            idle: false,
        }
    }

    fn status(success: Option<u64>, failed: Option<u64>) -> Evidence {
        let failure = failed.map(|sequence_number| CheckpointFailure {
            sequence_number,
            error: Some("full".to_owned()),
            failed_at: None,
        });
        Evidence::Status(Ok(CheckpointStatus { success, failure }))
    }

    /// What is decided, in short.
    fn label(action: Action) -> String {
        match action {
            Action::ReadStats(Reading::Confirm(end)) => format!("Confirm, {}", label(Action::End(end))),
            Action::ReadStats(reading) => format!("{reading:?}"),
            Action::RequestAgain(_) => "RequestAgain".to_owned(),
            Action::Diagnose(_) => "Diagnose".to_owned(),
            Action::End(Ok(made)) => format!("done {}", made.newest),
            Action::End(Err(FlowError::Ambiguous(_))) => "ambiguous".to_owned(),
            Action::End(Err(error)) => error.to_string(),
            action => format!("{action:?}"),
        }
    }

    /// Decides as the machine does.
    fn next(mut known: Known, evidence: Evidence) -> String {
        known.record(&evidence, NOW);
        label(decide(evidence, &known, NOW, true))
    }

    #[test]
    fn a_request_is_repeated_while_its_answers_are_lost() {
        let request = |resends, has_time| {
            let known = Known { resends, ..known(None) };
            label(decide(Evidence::Request(Err(lost())), &known, NOW, has_time))
        };
        assert_eq!(next(known(None), Evidence::Begun), "Before");
        assert_eq!(next(known(None), Evidence::Stats(Reading::Before, Ok(stats("b", None)))), "Request");
        assert_eq!(request(0, true), "RequestAgain");
        assert_eq!(request(MAX_RESENDS, true), "Diagnose");
        assert_eq!(request(0, false), "Diagnose");
        let started = CheckpointStarted { checkpoint_sequence_number: 7, incarnation_uuid: None };
        assert_eq!(next(known(None), Evidence::Request(Ok(started))), "SaveAndReadStatus");
    }

    #[test]
    fn the_outcome_of_a_lost_request_stays_unknown_after_a_rejection() {
        let FlowError::Ambiguous(ambiguity) = lost() else { panic!("not ambiguous") };
        let after = |code: &str, number: Option<u64>, unanswered: bool| {
            let unanswered = unanswered.then(|| ambiguity.clone());
            next(Known { unanswered, ..known(number) }, Evidence::Cause(rejection(501, code)))
        };
        assert_eq!(after("Suspended", None, true), "ambiguous");
        assert!(after("EnterpriseFeature", None, true).contains("EnterpriseFeature"));
        assert!(after("Suspended", None, false).contains("Suspended"));
        let crash = || Evidence::Cause(Interruption::Stopped.into_error("checkpoint".to_owned(), None));
        assert_eq!(next(known(7), crash()), "ambiguous");
        assert!(next(known(None), crash()).starts_with("checkpoint"));
    }

    #[test]
    fn the_status_is_read_by_the_rows_of_the_table() {
        let idle = Known { idle: true, ..known(7) };
        assert_eq!(next(known(7), Evidence::Begun), "ReadStatus");
        assert_eq!(next(known(7), status(Some(9), Some(8))), "done 9");
        assert!(next(known(7), status(Some(6), Some(7))).ends_with(": full"));
        assert!(next(known(7), status(Some(6), Some(8))).contains("checkpoint 8 failed later and hides"));
        assert!(next(idle, status(Some(6), None)).contains("the process is idle"));
        assert_eq!(next(known(7), status(Some(6), None)), "Wait");
        // A process that takes no id, and one that has none.
        assert_eq!(next(Known { checks_process: false, ..known(7) }, status(Some(7), None)), "Confirm, done 7");
        let nameless = Known { checks_process: false, process: None, ..known(7) };
        assert_eq!(next(nameless, status(Some(7), None)), "done 7");
        let mismatch = || Err(rejection(400, "IncarnationUuidMismatch"));
        assert_eq!(next(known(7), Evidence::Status(mismatch())), "ambiguous");
        assert_eq!(next(known(7), Evidence::Status(Err(rejection(410, "Terminating")))), "Diagnose");
    }

    #[test]
    fn statistics_of_another_process_end_the_wait() {
        let confirm = || Reading::Confirm(Ok(Checkpointed { number: 7, newest: 7, process: None }));
        assert_eq!(next(known(7), Evidence::Waited), "ReadStatus");
        assert_eq!(next(Known { stats_at: NOW, ..known(7) }, Evidence::Waited), "Watch");
        assert_eq!(next(known(7), Evidence::Stats(Reading::Watch, Ok(stats("b", None)))), "ambiguous");
        assert_eq!(next(known(7), Evidence::Stats(confirm(), Ok(stats("b", None)))), "ambiguous");
        assert_eq!(next(known(7), Evidence::Stats(Reading::Watch, Ok(stats("a", None)))), "ReadStatus");
        assert_eq!(next(known(7), Evidence::Stats(confirm(), Ok(stats("a", None)))), "done 7");
        let mut observed = known(7);
        observed.record(&Evidence::Stats(Reading::Watch, Ok(stats("a", Some("idle")))), NOW);
        assert!(observed.idle);
    }
}

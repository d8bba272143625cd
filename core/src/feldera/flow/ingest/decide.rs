//! What an ingestion does next: a function of what was observed and what is known. The table is in the [module
//! docs](super).

use super::Ingest;
use super::rows::{Buffer, IngestChunk};
use crate::error::{Ambiguity, Applied, FlowError};
use crate::feldera::data::{CompletionToken, HttpInput, ParseErrors, parse_errors};
use crate::feldera::flow::{Completed, Interruption};
use crate::feldera::stats::{ControllerStatus, GlobalMetrics, PipelineState};
use crate::feldera::tuning::MAX_RESENDS;
use crate::operation::Operation as _;

/// Up to where rows are to be processed before others are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barrier {
    /// The rows with smaller numbers.
    Flush(u64),
    /// All rows.
    Finish,
}

/// What was ingested since the last barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Nothing,
    /// One request, and the token is of that request: the process that took the rows completes the token.
    OneRequest,
    /// More than one request; or some rows are unconfirmed, or have no token.
    ManyRequests,
}

/// What was observed.
#[derive(Debug)]
pub(super) enum Evidence {
    /// Nothing is under way.
    Ready,
    /// The time is up.
    Expired(FlowError),
    /// The statistics before the first rows, and after unconfirmed rows.
    Polled(Result<ControllerStatus, FlowError>),
    Sent(IngestChunk, Result<CompletionToken, FlowError>),
    /// The caller has not decided about unconfirmed rows.
    Undecided(FlowError),
    /// The answer to a request without rows.
    Covered(Result<CompletionToken, FlowError>),
    Processed(Result<Completed, FlowError>),
    /// The statistics after all rows were processed.
    Checked(Result<ControllerStatus, FlowError>),
    /// Why a request was rejected.
    Cause(FlowError),
}

/// What the flow does next.
#[derive(Debug)]
pub(super) enum Action {
    /// Read the statistics.
    Poll,
    /// Send the next chunk.
    Send,
    /// Tell the caller that no rows are left.
    Drained,
    /// Ask for a token that covers all rows.
    Cover,
    CoverAgain,
    /// Wait until the rows that a token covers are processed.
    AwaitCompletion(CompletionToken),
    /// Read the statistics again.
    Check,
    /// Continue: this process takes the rows.
    Begin(Option<String>),
    /// Continue: this token covers all rows.
    Covered(CompletionToken),
    /// Continue: all rows that were sent are processed, but not all that the barrier is about.
    Pass,
    /// All rows that the barrier is about are processed.
    Processed,
    /// All rows are processed.
    Finished,
    Accepted(IngestChunk, CompletionToken),
    /// Some rows were rejected; end with this error afterwards.
    Rejected(IngestChunk, ParseErrors, Option<FlowError>),
    /// Send unconfirmed rows again.
    Resend(IngestChunk, FlowError),
    /// Let the caller decide about unconfirmed rows.
    Unconfirmed(IngestChunk, FlowError),
    /// Find out why the pipeline rejects a request. The rows of the chunk were not ingested.
    Diagnose(FlowError, Option<IngestChunk>),
    /// End. The rows of the chunk were not ingested.
    Fail(FlowError, Option<IngestChunk>),
}

/// What the flow knows about the rows that were sent.
#[derive(Debug)]
pub(super) struct Known {
    /// Whether the statistics were read since the last barrier and the last unconfirmed rows.
    pub(super) is_checked: bool,
    /// The process that answered then; `None` if it does not tell its id.
    pub(super) process: Option<String>,
    /// Covers all rows that are ingested; `None` if no token covers some of them.
    pub(super) token: Option<CompletionToken>,
    pub(super) taken: Taken,
    pub(super) barrier: Option<Barrier>,
    /// How often the current request was sent again.
    pub(super) resends: u32,
}

impl Known {
    /// Whether rows have met another process since the last barrier.
    fn has_restarted(&self, metrics: &GlobalMetrics) -> bool {
        self.taken != Taken::Nothing && self.process.is_some() && self.process != metrics.process()
    }

    /// All rows that were sent are processed. Rows that were pushed meanwhile are not sent yet.
    fn pass(&self, buffer: &Buffer) -> Action {
        match self.barrier {
            Some(Barrier::Finish) if buffer.waiting().0 == 0 => Action::Finished,
            Some(Barrier::Flush(to)) if buffer.settled_to() >= to => Action::Processed,
            _ => Action::Pass,
        }
    }
}

/// Decides what comes next.
pub(super) fn decide(evidence: Evidence, goal: &Ingest, known: &Known, buffer: &Buffer) -> Action {
    let interrupted = |interruption: Interruption| Action::Fail(interruption.into_error(goal.what(), None), None);
    match evidence {
        Evidence::Ready => decide_ready(known, buffer),
        Evidence::Polled(Ok(stats)) if known.has_restarted(&stats.global_metrics) => {
            interrupted(Interruption::Restarted)
        }
        Evidence::Polled(Ok(stats)) if stats.global_metrics.state == PipelineState::Paused && !goal.force => {
            interrupted(Interruption::Paused)
        }
        Evidence::Polled(Ok(stats)) => Action::Begin(stats.global_metrics.process()),
        Evidence::Sent(chunk, Ok(token)) => Action::Accepted(chunk, token),
        Evidence::Sent(chunk, Err(error)) => decide_sent(chunk, error, goal, known),
        Evidence::Covered(Ok(token)) => Action::Covered(token),
        Evidence::Covered(Err(FlowError::Ambiguous(_))) if known.resends < MAX_RESENDS => Action::CoverAgain,
        // The request had no rows.
        Evidence::Covered(Err(FlowError::Ambiguous(Ambiguity { cause, .. }))) => Action::Diagnose(*cause, None),
        Evidence::Processed(Ok(_)) => Action::Check,
        Evidence::Checked(Ok(stats))
            if known.has_restarted(&stats.global_metrics) && known.taken != Taken::OneRequest =>
        {
            interrupted(Interruption::Restarted)
        }
        Evidence::Checked(Ok(_)) => known.pass(buffer),
        Evidence::Polled(Err(error)) | Evidence::Covered(Err(error)) | Evidence::Checked(Err(error)) => {
            Action::Diagnose(error, None)
        }
        Evidence::Undecided(error)
        | Evidence::Processed(Err(error))
        | Evidence::Cause(error)
        | Evidence::Expired(error) => Action::Fail(error, None),
    }
}

fn decide_ready(known: &Known, buffer: &Buffer) -> Action {
    let is_due = match known.barrier {
        // Rows after the barrier are sent after it is reached.
        Some(Barrier::Flush(to)) => buffer.settled_to() >= to,
        Some(Barrier::Finish) => !buffer.has_unsent(),
        None => false,
    };
    let has_taken = known.taken != Taken::Nothing;
    if !known.is_checked && (buffer.has_unsent() || has_taken && known.barrier.is_some()) {
        Action::Poll
    } else if buffer.has_unsent() && !is_due {
        Action::Send
    } else if known.barrier.is_none() {
        Action::Drained
    } else if !has_taken {
        known.pass(buffer)
    } else if let Some(token) = known.token.clone() {
        Action::AwaitCompletion(token)
    } else {
        Action::Cover
    }
}

/// Decides after an error of a request with rows: some or all rows of the chunk are not ingested, or may not be.
fn decide_sent(chunk: IngestChunk, error: FlowError, goal: &Ingest, known: &Known) -> Action {
    let is_in_part = error.service().is_some_and(|error| error.applied() == Applied::Yes);
    let cause = match (error.service().and_then(parse_errors), error) {
        (Some(errors), error) => {
            let error = match error {
                FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
                error => error,
            };
            return Action::Rejected(chunk, errors, Some(error).filter(|_| goal.stop_at_errors));
        }
        (None, cause @ FlowError::Ambiguous(_)) => cause,
        // All rows that can be parsed are ingested, but the list of the others cannot be read.
        (None, error) if is_in_part => FlowError::Ambiguous(Ambiguity {
            operation: HttpInput::INFO.name,
            cause: Box::new(error),
            unanswered: false,
            found: Some(
                "all rows that can be parsed are ingested, but the list of the others cannot be read".to_owned(),
            ),
            evidence: None,
        }),
        (None, rejection @ FlowError::Service(_)) => return Action::Diagnose(rejection, Some(chunk)),
        (None, error) => return Action::Fail(error, Some(chunk)),
    };
    if goal.resend_unconfirmed && known.resends < MAX_RESENDS {
        Action::Resend(chunk, cause)
    } else {
        Action::Unconfirmed(chunk, cause)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Change;
    use super::*;
    use crate::feldera::flow::test_answers::{lost, rejection, stats};

    fn goal() -> Ingest {
        Ingest::new("p", "t")
    }

    fn token() -> CompletionToken {
        serde_json::from_value(serde_json::json!("eyJ1")).expect("a token")
    }

    fn known(taken: Taken, barrier: Option<Barrier>) -> Known {
        let process = Some("a".to_owned());
        Known { is_checked: true, process, token: Some(token()), taken, barrier, resends: 0 }
    }

    /// A buffer with rows, of which so many are under way.
    fn buffer(rows: u64, under_way: bool) -> (Buffer, Option<IngestChunk>) {
        let mut buffer = Buffer::new(&goal());
        for row in 0..rows {
            assert!(buffer.push(Change::Insert, &row).is_ok());
        }
        let chunk = under_way.then(|| buffer.take()).flatten();
        (buffer, chunk)
    }

    fn sent(error: FlowError) -> Evidence {
        Evidence::Sent(buffer(2, true).1.expect("rows"), Err(error))
    }

    /// What is decided, in short.
    fn next(evidence: Evidence, goal: &Ingest, known: &Known, rows: u64) -> String {
        let action = decide(evidence, goal, known, &buffer(rows, false).0);
        match action {
            Action::Rejected(_, _, failure) => format!("Rejected {}", failure.is_some()),
            Action::Fail(error, chunk) => {
                let cause = match Interruption::of(&error) {
                    Some(interruption) => format!("{interruption:?}"),
                    None => if error.is_ambiguous() { "ambiguous" } else { "error" }.to_owned(),
                };
                format!("Fail {cause}, {}", if chunk.is_some() { "rows unsent" } else { "no rows" })
            }
            action => format!("{action:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn a_flow_that_is_ready_sends_rows_up_to_its_barrier() {
        use Taken::{Nothing, OneRequest};
        let ready = |known: &Known, rows| next(Evidence::Ready, &goal(), known, rows);
        let unchecked = |taken, barrier| Known { is_checked: false, ..known(taken, barrier) };
        let finish = Some(Barrier::Finish);
        assert_eq!(ready(&unchecked(Nothing, None), 2), "Poll");
        assert_eq!(ready(&unchecked(OneRequest, finish), 0), "Poll");
        assert_eq!(ready(&unchecked(OneRequest, None), 0), "Drained");
        assert_eq!(ready(&known(Nothing, None), 2), "Send");
        assert_eq!(ready(&known(OneRequest, finish), 2), "Send");
        assert_eq!(ready(&known(OneRequest, Some(Barrier::Flush(2))), 2), "Send");
        // The rows behind the barrier wait.
        assert_eq!(ready(&known(OneRequest, Some(Barrier::Flush(0))), 2), "AwaitCompletion");
        assert_eq!(ready(&known(OneRequest, finish), 0), "AwaitCompletion");
        assert_eq!(ready(&Known { token: None, ..known(OneRequest, finish) }, 0), "Cover");
        assert_eq!(ready(&known(Nothing, finish), 0), "Finished");
        assert_eq!(ready(&known(Nothing, Some(Barrier::Flush(0))), 0), "Processed");
    }

    #[test]
    fn rows_need_a_process_that_takes_them() {
        let polled = |state: &str, process: &str, goal: &Ingest, known: &Known| {
            let mut answer = stats(process, None);
            answer.global_metrics.state = state.into();
            next(Evidence::Polled(Ok(answer)), goal, known, 2)
        };
        let (fresh, taken) = (known(Taken::Nothing, None), known(Taken::OneRequest, None));
        assert_eq!(polled("Running", "b", &goal(), &fresh), "Begin");
        assert_eq!(polled("Running", "a", &goal(), &taken), "Begin");
        assert_eq!(polled("Running", "b", &goal(), &taken), "Fail Restarted, no rows");
        assert_eq!(polled("Paused", "a", &goal(), &fresh), "Fail Paused, no rows");
        assert_eq!(polled("Paused", "a", &goal().force(), &fresh), "Begin");
        assert_eq!(next(Evidence::Polled(Err(rejection(410, "Terminating"))), &goal(), &fresh, 2), "Diagnose");
    }

    #[test]
    fn the_answer_to_a_chunk_settles_it_or_leaves_it_open() {
        let known = known(Taken::OneRequest, None);
        let accepted = Evidence::Sent(buffer(2, true).1.expect("rows"), Ok(token()));
        assert_eq!(next(accepted, &goal(), &known, 0), "Accepted");
        assert_eq!(next(sent(rejection(404, "UnknownInputTable")), &goal(), &known, 0), "Diagnose");
        let stopped = FlowError::Stopped("full".to_owned());
        assert_eq!(next(sent(stopped), &goal(), &known, 0), "Fail error, rows unsent");
        assert_eq!(next(sent(lost()), &goal(), &known, 0), "Unconfirmed");
        assert_eq!(next(sent(lost()), &goal().resend_unconfirmed(), &known, 0), "Resend");
        let often = Known { resends: MAX_RESENDS, ..known };
        assert_eq!(next(sent(lost()), &goal().resend_unconfirmed(), &often, 0), "Unconfirmed");
        assert_eq!(next(Evidence::Undecided(lost()), &goal(), &often, 0), "Fail ambiguous, no rows");
    }

    #[test]
    fn rows_are_processed_when_one_process_has_completed_all_of_them() {
        let finish = Some(Barrier::Finish);
        let checked = |process: &str, known: &Known, rows| {
            next(Evidence::Checked(Ok(stats(process, None))), &goal(), known, rows)
        };
        assert_eq!(checked("a", &known(Taken::ManyRequests, finish), 0), "Finished");
        assert_eq!(checked("a", &known(Taken::ManyRequests, Some(Barrier::Flush(0))), 2), "Processed");
        assert_eq!(checked("a", &known(Taken::ManyRequests, Some(Barrier::Flush(2))), 2), "Pass");
        assert_eq!(checked("b", &known(Taken::OneRequest, finish), 0), "Finished");
        assert_eq!(checked("b", &known(Taken::ManyRequests, finish), 0), "Fail Restarted, no rows");
        let covered = |answer, resends| {
            next(Evidence::Covered(answer), &goal(), &Known { resends, ..known(Taken::OneRequest, finish) }, 0)
        };
        assert_eq!(covered(Ok(token()), 0), "Covered");
        assert_eq!(covered(Err(lost()), 0), "CoverAgain");
        assert_eq!(covered(Err(lost()), MAX_RESENDS), "Diagnose");
    }
}

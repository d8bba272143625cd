//! The transitions of [`Ingestion`].

use super::rows::IngestChunk;
use super::{AcceptedRows, IngestEvent, Ingestion, NAME, RejectedRows, UnconfirmedRows};
use crate::error::{Ambiguity, Applied, FlowError, Misuse};
use crate::feldera::data::{CompletionToken, HttpInput, parse_errors};
use crate::feldera::flow::await_completion::AwaitCompletionMachine;
use crate::feldera::flow::diagnosis::Diagnosis;
use crate::feldera::flow::{AwaitCompletion, Interruption};
use crate::feldera::stats::{ControllerStatus, GetStats, GlobalMetrics, PipelineState};
use crate::flow::{Call, Flow as _, Notice, Reply, Runner, Step, ready};
use crate::operation::Operation as _;

/// How often something is sent again whose answer was lost, where that is harmless or was asked for.
const ANEW: u32 = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Barrier {
    /// Of the rows with smaller numbers.
    Flush(u64),
    /// Of all.
    Finish,
}

/// What is in since the last barrier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Nothing,
    /// By one request, which the token is of: what took them and what completes the token are one process.
    AtOnce,
    /// By more than one; or rows may be in, or are without a token.
    Severally,
}

pub(super) enum State {
    Ready,
    Polling(Call<GetStats>),
    Sending(Call<HttpInput>, IngestChunk),
    /// The rows are with the caller.
    Undecided(FlowError, u64),
    Covering(Call<HttpInput>),
    Processing(Runner<AwaitCompletionMachine>),
    Checking(Call<GetStats>),
    Diagnosis(Diagnosis),
}

impl Ingestion {
    fn what(&self) -> String {
        format!("ingress into table {} of pipeline {}", self.goal.table, self.goal.pipeline)
    }

    fn poll_stats(&mut self) -> Call<GetStats> {
        self.cx.call(GetStats::new(self.goal.pipeline.clone()))
    }

    fn input(&mut self, rows: bytes::Bytes) -> Call<HttpInput> {
        let mut input =
            HttpInput::new(self.goal.pipeline.clone(), self.goal.table.clone(), self.goal.format.clone(), rows);
        input.update_format.clone_from(&self.goal.update_format);
        input.force = self.goal.force.then_some(true);
        self.cx.call(input)
    }

    fn send(&mut self) {
        if let Some(chunk) = self.buffer.take() {
            let call = self.input(chunk.text().clone());
            self.state = State::Sending(call, chunk);
        }
    }

    /// What comes after an event, or at first.
    fn next(&mut self) {
        let is_due = match self.barrier {
            // Whatever comes behind it has time until then.
            Some(Barrier::Flush(to)) => self.settled_to() >= to,
            Some(Barrier::Finish) => !self.buffer.has_unsent(),
            None => false,
        };
        if !self.looked && (self.buffer.has_unsent() || self.taken != Taken::Nothing && self.barrier.is_some()) {
            self.state = State::Polling(self.poll_stats());
        } else if self.buffer.has_unsent() && !is_due {
            self.send();
        } else if self.barrier.is_none() {
            self.event = Some(IngestEvent::Drained);
        } else if self.taken == Taken::Nothing {
            self.pass();
        } else if let Some(token) = self.token.clone() {
            self.cx.phase(NAME, "waiting for rows to be processed");
            let goal = AwaitCompletion::new(self.goal.pipeline.clone(), token);
            let goal = goal.stall_timeout(self.goal.stall_timeout);
            self.state = State::Processing(self.cx.child(goal));
        } else {
            self.state = State::Covering(self.input(bytes::Bytes::new()));
        }
    }

    /// Nothing more will be done about rows with smaller numbers: they go out in order.
    fn settled_to(&self) -> u64 {
        self.buffer.pushed() - self.buffer.waiting().0
    }

    /// All that was sent is processed. Rows that were pushed while that was waited for are not sent yet.
    fn pass(&mut self) {
        (self.taken, self.looked) = (Taken::Nothing, false);
        self.progress.processed_to = self.settled_to();
        let progress = self.progress();
        self.state = State::Ready;
        match self.barrier {
            Some(Barrier::Finish) if progress.waiting == 0 => {
                self.ended = Some(FlowError::Misuse(Misuse::PolledAfterDone));
                self.event = Some(IngestEvent::Finished(progress));
            }
            Some(Barrier::Flush(to)) if progress.processed_to >= to => {
                self.barrier = None;
                self.event = Some(IngestEvent::Processed(progress));
            }
            _ => {}
        }
    }

    /// Reads the statistics before the first rows, and after unconfirmed rows.
    fn polled(&mut self, stats: &ControllerStatus) {
        let metrics = &stats.global_metrics;
        if self.has_restarted(metrics) {
            self.ended = Some(Interruption::Restarted.into_error(self.what(), None));
        } else if metrics.state == PipelineState::Paused && !self.goal.force {
            self.ended = Some(Interruption::Paused.into_error(self.what(), None));
        } else {
            (self.looked, self.process) = (true, metrics.process());
            self.state = State::Ready;
        }
    }

    /// Whether rows have met another process since the last barrier.
    fn has_restarted(&self, metrics: &GlobalMetrics) -> bool {
        self.taken != Taken::Nothing && self.process.is_some() && self.process != metrics.process()
    }

    fn accepted(&mut self, token: CompletionToken, chunk: &IngestChunk) {
        self.buffer.settle(chunk);
        self.progress.accepted += chunk.len() as u64;
        self.taken = if self.taken == Taken::Nothing { Taken::AtOnce } else { Taken::Severally };
        (self.anew, self.token) = (0, Some(token.clone()));
        self.event = Some(IngestEvent::Accepted(AcceptedRows { rows: chunk.rows(), token }));
    }

    /// A chunk did not come in as a whole.
    fn troubled(&mut self, error: FlowError, chunk: IngestChunk) {
        let is_in_part = error.service().is_some_and(|error| error.applied() == Applied::Yes);
        let errors = error.service().and_then(parse_errors);
        match (errors, error) {
            (Some(errors), error) => {
                self.buffer.settle(&chunk);
                let rejected = RejectedRows::new(chunk, errors);
                let count = rejected.count();
                self.progress.rejected += count;
                self.progress.accepted += rejected.chunk.len() as u64 - count;
                (self.anew, self.taken, self.token) = (0, Taken::Severally, None);
                self.event = Some(IngestEvent::Rejected(rejected));
                if self.goal.stop_at_errors {
                    self.ended = Some(match error {
                        FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
                        error => error,
                    });
                }
            }
            (None, cause @ FlowError::Ambiguous(_)) => self.unconfirmed(cause, chunk),
            // All that can be parsed are in, and which those are cannot be read.
            (None, error) if is_in_part => {
                let (operation, found) = (HttpInput::INFO.name, "all rows that can be parsed are in".to_owned());
                let cause = Box::new(error);
                self.unconfirmed(
                    FlowError::Ambiguous(Ambiguity {
                        operation,
                        cause,
                        unanswered: false,
                        found: Some(found),
                        evidence: None,
                    }),
                    chunk,
                );
            }
            (None, rejection @ FlowError::Service(_)) => {
                self.buffer.put_back(chunk);
                self.inquire(rejection);
            }
            (None, error) => {
                self.buffer.put_back(chunk);
                self.ended = Some(error);
            }
        }
    }

    fn unconfirmed(&mut self, cause: FlowError, mut chunk: IngestChunk) {
        chunk.unconfirmed = true;
        // A pipeline that was paused meanwhile would hold whatever comes next, too.
        (self.taken, self.looked) = (Taken::Severally, false);
        if self.goal.resend_unconfirmed && self.anew < ANEW {
            self.anew += 1;
            let what = format!("rows {:?}", chunk.rows());
            self.cx.say(Notice::Observed { what, state: format!("sent again: {cause}") });
            self.buffer.put_back(chunk);
        } else {
            self.anew = 0;
            self.state = State::Undecided(cause.clone(), chunk.rows().start);
            self.event = Some(IngestEvent::Unconfirmed(UnconfirmedRows { chunk, cause: Box::new(cause) }));
        }
    }

    fn uncovered(&mut self, error: FlowError) {
        match error {
            FlowError::Ambiguous(Ambiguity { .. }) if self.anew < ANEW => {
                self.anew += 1;
                self.state = State::Covering(self.input(bytes::Bytes::new()));
            }
            // No rows were in it.
            FlowError::Ambiguous(Ambiguity { cause, .. }) => self.inquire(*cause),
            error => self.inquire(error),
        }
    }

    fn inquire(&mut self, rejection: FlowError) {
        let what = self.what();
        self.state = State::Diagnosis(Diagnosis::new(
            &self.goal.pipeline,
            what,
            rejection,
            self.process.is_some(),
            &mut self.cx,
        ));
    }

    /// Whether all rows since the last barrier met the process that answers now.
    fn checked(&mut self, stats: &ControllerStatus) {
        if self.has_restarted(&stats.global_metrics) && self.taken != Taken::AtOnce {
            self.ended = Some(Interruption::Restarted.into_error(self.what(), None));
        } else {
            self.pass();
        }
    }

    pub(super) fn advance(&mut self, reply: &mut Option<Reply>) -> Step<IngestEvent> {
        loop {
            if let Some(notice) = self.cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            if self.event.is_some() || self.ended.is_some() {
                if let Some(stray) = reply.take() {
                    return Step::Stray(stray);
                }
                let result = self.event.take().map(Ok);
                return Step::Done(result.or_else(|| self.ended.clone().map(Err)).unwrap_or(Ok(IngestEvent::Drained)));
            }
            let now = self.cx.now();
            match &mut self.state {
                State::Ready => {
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    match self.cx.expired("rows") {
                        Some(error) => self.ended = Some(error),
                        None => self.next(),
                    }
                }
                State::Polling(call) => match ready!(call.poll(now, reply.take())) {
                    Ok(stats) => self.polled(&stats),
                    Err(error) => self.inquire(error),
                },
                State::Sending(call, _) => {
                    let answer = ready!(call.poll(now, reply.take()));
                    if let State::Sending(_, chunk) = std::mem::replace(&mut self.state, State::Ready) {
                        match answer {
                            Ok(token) => self.accepted(token.token, &chunk),
                            Err(error) => self.troubled(error, chunk),
                        }
                    }
                }
                State::Undecided(cause, _) => self.ended = Some(cause.clone()),
                State::Covering(call) => match ready!(call.poll(now, reply.take())) {
                    Ok(token) => {
                        (self.anew, self.token) = (0, Some(token.token));
                        self.state = State::Ready;
                    }
                    Err(error) => self.uncovered(error),
                },
                State::Processing(flow) => match ready!(flow.poll(now, reply.take())) {
                    Ok(_) => self.state = State::Checking(self.poll_stats()),
                    Err(error) => self.ended = Some(error),
                },
                State::Checking(call) => match ready!(call.poll(now, reply.take())) {
                    Ok(stats) => self.checked(&stats),
                    Err(error) => self.inquire(error),
                },
                State::Diagnosis(diagnosis) => {
                    let (Ok(error) | Err(error)) = ready!(diagnosis.poll(&mut self.cx, reply));
                    self.ended = Some(error);
                }
            }
        }
    }
}

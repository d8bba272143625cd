//! The transitions of [`Ingest`].

use std::ops::ControlFlow;

use super::rows::{Buffer, IngestChunk};
use super::{AcceptedRows, Ingest, IngestEvent, IngestProgress, RejectedRows, UnconfirmedRows};
use crate::error::{Ambiguity, Applied, FlowError};
use crate::feldera::FelderaApi;
use crate::feldera::data::{CompletionToken, HttpInput, parse_errors};
use crate::feldera::flow::await_completion::AwaitCompletionMachine;
use crate::feldera::flow::diagnosis::Diagnosis;
use crate::feldera::flow::{AwaitCompletion, Interruption};
use crate::feldera::stats::{ControllerStatus, GetStats, GlobalMetrics, PipelineState};
use crate::feldera::tuning::MAX_RESENDS;
use crate::flow::{Call, FlowContext, Notice, Runner, StateMachine, Transition, done};
use crate::operation::Operation as _;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Barrier {
    /// Of the rows with smaller numbers.
    Flush(u64),
    /// Of all.
    Finish,
}

/// The transitions of [`Ingest`].
pub(super) struct IngestMachine {
    pub(super) goal: Ingest,
    pub(super) buffer: Buffer,
    pub(super) progress: IngestProgress,
    /// Whether the statistics were read since the last barrier and the last unconfirmed rows.
    is_checked: bool,
    /// The process that answered then; `None` if it does not tell its id.
    process: Option<String>,
    /// Covers all rows that are ingested; `None` if no token covers some of them.
    pub(super) token: Option<CompletionToken>,
    taken: Taken,
    pub(super) barrier: Option<Barrier>,
    pub(super) finished: bool,
    /// How often the current request was sent again.
    resends: u32,
    event: Option<IngestEvent>,
    /// The error that the flow ends with, after the event.
    pub(super) failure: Option<FlowError>,
    pub(super) state: State,
}

/// What was ingested since the last barrier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Nothing,
    /// One request, and the token is of that request: the process that took the rows completes the token.
    OneRequest,
    /// More than one request; or some rows are unconfirmed, or have no token.
    ManyRequests,
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

impl From<Ingest> for IngestMachine {
    fn from(goal: Ingest) -> Self {
        Self {
            buffer: Buffer::new(&goal),
            goal,
            progress: IngestProgress::default(),
            is_checked: false,
            process: None,
            token: None,
            taken: Taken::Nothing,
            barrier: None,
            finished: false,
            resends: 0,
            event: None,
            failure: None,
            state: State::Ready,
        }
    }
}

impl IngestMachine {
    fn what(&self) -> String {
        format!("ingress into table {} of pipeline {}", self.goal.table, self.goal.pipeline)
    }

    fn get_stats(&self, cx: &mut FlowContext<FelderaApi>) -> Call<GetStats> {
        cx.call(GetStats::new(self.goal.pipeline.clone()))
    }

    fn input(&self, rows: bytes::Bytes, cx: &mut FlowContext<FelderaApi>) -> Call<HttpInput> {
        let mut input =
            HttpInput::new(self.goal.pipeline.clone(), self.goal.table.clone(), self.goal.format.clone(), rows);
        input.update_format.clone_from(&self.goal.update_format);
        input.connector_metadata.clone_from(&self.goal.connector_metadata);
        input.force = self.goal.force.then_some(true);
        cx.call(input)
    }

    fn send(&mut self, cx: &mut FlowContext<FelderaApi>) {
        if let Some(chunk) = self.buffer.take() {
            let call = self.input(chunk.text().clone(), cx);
            self.state = State::Sending(call, chunk);
        }
    }

    /// What comes after an event, or at first.
    fn next(&mut self, cx: &mut FlowContext<FelderaApi>) {
        let is_due = match self.barrier {
            // Whatever comes behind it has time until then.
            Some(Barrier::Flush(to)) => self.settled_to() >= to,
            Some(Barrier::Finish) => !self.buffer.has_unsent(),
            None => false,
        };
        if !self.is_checked && (self.buffer.has_unsent() || self.taken != Taken::Nothing && self.barrier.is_some()) {
            self.state = State::Polling(self.get_stats(cx));
        } else if self.buffer.has_unsent() && !is_due {
            self.send(cx);
        } else if self.barrier.is_none() {
            self.event = Some(IngestEvent::Drained);
        } else if self.taken == Taken::Nothing {
            self.pass();
        } else if let Some(token) = self.token.clone() {
            cx.phase(Self::NAME, "waiting for rows to be processed");
            let goal = AwaitCompletion::new(self.goal.pipeline.clone(), token);
            let goal = goal.stall_timeout(self.goal.stall_timeout);
            self.state = State::Processing(cx.child(goal));
        } else {
            self.state = State::Covering(self.input(bytes::Bytes::new(), cx));
        }
    }

    /// Returns how far the flow is.
    pub(super) fn progress(&self) -> IngestProgress {
        let (waiting, waiting_bytes) = self.buffer.waiting();
        IngestProgress { pushed: self.buffer.pushed(), waiting, waiting_bytes, ..self.progress }
    }

    /// Returns the number that all settled rows are below: rows are sent in order.
    fn settled_to(&self) -> u64 {
        self.buffer.pushed() - self.buffer.waiting().0
    }

    /// All that was sent is processed. Rows that were pushed while that was waited for are not sent yet.
    fn pass(&mut self) {
        (self.taken, self.is_checked) = (Taken::Nothing, false);
        self.progress.processed_to = self.settled_to();
        let progress = self.progress();
        self.state = State::Ready;
        match self.barrier {
            Some(Barrier::Finish) if progress.waiting == 0 => {
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
            self.failure = Some(Interruption::Restarted.into_error(self.what(), None));
        } else if metrics.state == PipelineState::Paused && !self.goal.force {
            self.failure = Some(Interruption::Paused.into_error(self.what(), None));
        } else {
            (self.is_checked, self.process) = (true, metrics.process());
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
        self.taken = if self.taken == Taken::Nothing { Taken::OneRequest } else { Taken::ManyRequests };
        (self.resends, self.token) = (0, Some(token.clone()));
        self.event = Some(IngestEvent::Accepted(AcceptedRows { rows: chunk.rows(), token }));
    }

    /// Handles an error of a request with rows: some or all rows of the chunk are not ingested, or may not be.
    fn not_accepted(&mut self, error: FlowError, chunk: IngestChunk, cx: &mut FlowContext<FelderaApi>) {
        let is_in_part = error.service().is_some_and(|error| error.applied() == Applied::Yes);
        let errors = error.service().and_then(parse_errors);
        match (errors, error) {
            (Some(errors), error) => {
                self.buffer.settle(&chunk);
                let rejected = RejectedRows::new(chunk, errors);
                let count = rejected.count();
                self.progress.rejected += count;
                self.progress.accepted += rejected.chunk.len() as u64 - count;
                (self.resends, self.taken, self.token) = (0, Taken::ManyRequests, None);
                self.event = Some(IngestEvent::Rejected(rejected));
                if self.goal.stop_at_errors {
                    self.failure = Some(match error {
                        FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
                        error => error,
                    });
                }
            }
            (None, cause @ FlowError::Ambiguous(_)) => self.unconfirmed(cause, chunk, cx),
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
                    cx,
                );
            }
            (None, rejection @ FlowError::Service(_)) => {
                self.buffer.put_back(chunk);
                self.diagnose(rejection, cx);
            }
            (None, error) => {
                self.buffer.put_back(chunk);
                self.failure = Some(error);
            }
        }
    }

    fn unconfirmed(&mut self, cause: FlowError, mut chunk: IngestChunk, cx: &mut FlowContext<FelderaApi>) {
        chunk.unconfirmed = true;
        // A pipeline that was paused meanwhile would hold whatever comes next, too.
        (self.taken, self.is_checked) = (Taken::ManyRequests, false);
        if self.goal.resend_unconfirmed && self.resends < MAX_RESENDS {
            self.resends += 1;
            let what = format!("rows {:?}", chunk.rows());
            cx.say(Notice::Observed { what, state: format!("sent again: {cause}") });
            self.buffer.put_back(chunk);
        } else {
            self.resends = 0;
            self.state = State::Undecided(cause.clone(), chunk.rows().start);
            self.event = Some(IngestEvent::Unconfirmed(UnconfirmedRows { chunk, cause: Box::new(cause) }));
        }
    }

    fn no_token(&mut self, error: FlowError, cx: &mut FlowContext<FelderaApi>) {
        match error {
            FlowError::Ambiguous(Ambiguity { .. }) if self.resends < MAX_RESENDS => {
                self.resends += 1;
                self.state = State::Covering(self.input(bytes::Bytes::new(), cx));
            }
            // No rows were in it.
            FlowError::Ambiguous(Ambiguity { cause, .. }) => self.diagnose(*cause, cx),
            error => self.diagnose(error, cx),
        }
    }

    fn diagnose(&mut self, rejection: FlowError, cx: &mut FlowContext<FelderaApi>) {
        let (what, had_process) = (self.what(), self.process.is_some());
        self.state = State::Diagnosis(Diagnosis::new(&self.goal.pipeline, what, rejection, had_process, cx));
    }

    /// Whether all rows since the last barrier met the process that answers now.
    fn checked(&mut self, stats: &ControllerStatus) {
        if self.has_restarted(&stats.global_metrics) && self.taken != Taken::OneRequest {
            self.failure = Some(Interruption::Restarted.into_error(self.what(), None));
        } else {
            self.pass();
        }
    }
}

impl StateMachine for IngestMachine {
    type Service = FelderaApi;
    type Output = IngestEvent;
    const NAME: &'static str = "Ingest";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<IngestEvent> {
        if let Some(event) = self.event.take() {
            return done(Ok(event));
        }
        if let Some(error) = self.failure.take() {
            return done(Err(error));
        }
        match &mut self.state {
            State::Ready => match cx.expired("rows") {
                Some(error) => self.failure = Some(error),
                None => self.next(cx),
            },
            State::Polling(call) => match cx.poll(call)? {
                Ok(stats) => self.polled(&stats),
                Err(error) => self.diagnose(error, cx),
            },
            State::Sending(call, _) => {
                let answer = cx.poll(call)?;
                if let State::Sending(_, chunk) = std::mem::replace(&mut self.state, State::Ready) {
                    match answer {
                        Ok(token) => self.accepted(token.token, &chunk),
                        Err(error) => self.not_accepted(error, chunk, cx),
                    }
                }
            }
            State::Undecided(cause, _) => self.failure = Some(cause.clone()),
            State::Covering(call) => match cx.poll(call)? {
                Ok(token) => {
                    (self.resends, self.token) = (0, Some(token.token));
                    self.state = State::Ready;
                }
                Err(error) => self.no_token(error, cx),
            },
            State::Processing(flow) => match cx.poll(flow)? {
                Ok(_) => self.state = State::Checking(self.get_stats(cx)),
                Err(error) => self.failure = Some(error),
            },
            State::Checking(call) => match cx.poll(call)? {
                Ok(stats) => self.checked(&stats),
                Err(error) => self.diagnose(error, cx),
            },
            State::Diagnosis(diagnosis) => self.failure = Some(diagnosis.poll(cx)?),
        }
        ControlFlow::Continue(())
    }

    fn is_last(&self, event: &IngestEvent) -> bool {
        matches!(event, IngestEvent::Finished(_))
    }
}

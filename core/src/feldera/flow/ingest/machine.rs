//! The states of [`Ingest`], and how its actions are carried out.

use std::ops::ControlFlow;

use super::decide::{Action, Barrier, Evidence, Known, Taken, decide};
use super::rows::{Buffer, IngestChunk};
use super::{AcceptedRows, Ingest, IngestEvent, IngestProgress, RejectedRows, UnconfirmedRows};
use crate::error::FlowError;
use crate::feldera::FelderaApi;
use crate::feldera::data::HttpInput;
use crate::feldera::flow::AwaitCompletion;
use crate::feldera::flow::await_completion::AwaitCompletionMachine;
use crate::feldera::flow::diagnosis::Diagnosis;
use crate::feldera::stats::GetStats;
use crate::flow::{Call, FlowContext, Notice, Runner, StateMachine, Transition, done};

/// The transitions of [`Ingest`].
pub(super) struct IngestMachine {
    pub(super) goal: Ingest,
    pub(super) buffer: Buffer,
    progress: IngestProgress,
    known: Known,
    pub(super) finished: bool,
    /// The error that the flow ends with at the next poll.
    pub(super) failure: Option<FlowError>,
    state: State,
}

enum State {
    Ready,
    Polling(Call<GetStats>),
    Sending(Call<HttpInput>, IngestChunk),
    /// The rows from this number on are with the caller.
    Undecided(FlowError, u64),
    Covering(Call<HttpInput>),
    Processing(Runner<AwaitCompletionMachine>),
    Checking(Call<GetStats>),
    Diagnosis(Diagnosis),
}

impl From<Ingest> for IngestMachine {
    fn from(goal: Ingest) -> Self {
        let known =
            Known { is_checked: false, process: None, token: None, taken: Taken::Nothing, barrier: None, resends: 0 };
        Self {
            buffer: Buffer::new(&goal),
            goal,
            progress: IngestProgress::default(),
            known,
            finished: false,
            failure: None,
            state: State::Ready,
        }
    }
}

impl IngestMachine {
    pub(super) fn flush(&mut self) {
        if self.known.barrier != Some(Barrier::Finish) {
            self.known.barrier = Some(Barrier::Flush(self.buffer.pushed()));
        }
    }

    pub(super) fn finish(&mut self) {
        (self.finished, self.known.barrier) = (true, Some(Barrier::Finish));
    }

    /// Whether the flow waits for a decision about these rows.
    pub(super) fn is_undecided(&self, chunk: &IngestChunk) -> bool {
        matches!(self.state, State::Undecided(_, first) if first == chunk.rows().start)
    }

    pub(super) fn resend(&mut self, chunk: IngestChunk) {
        self.buffer.put_back(chunk);
        self.state = State::Ready;
    }

    pub(super) fn skip(&mut self, chunk: &IngestChunk) {
        self.buffer.settle(chunk);
        self.progress.skipped += chunk.len() as u64;
        // If some of these rows were ingested, no token covers them.
        self.known.token = None;
        self.state = State::Ready;
    }

    /// Gives up the request with rows that is in progress. Its rows are unconfirmed if it may have arrived.
    pub(super) fn abandon(&mut self) {
        if let State::Sending(call, mut chunk) = std::mem::replace(&mut self.state, State::Ready) {
            chunk.unconfirmed |= call.may_have_arrived();
            self.buffer.put_back(chunk);
        }
    }

    /// Returns how far the flow is.
    pub(super) fn progress(&self) -> IngestProgress {
        let (waiting, waiting_bytes) = self.buffer.waiting();
        IngestProgress { pushed: self.buffer.pushed(), waiting, waiting_bytes, ..self.progress }
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

    /// All rows that were sent are processed.
    fn pass(&mut self) -> IngestProgress {
        (self.known.taken, self.known.is_checked) = (Taken::Nothing, false);
        (self.progress.processed_to, self.progress.processed) = (self.buffer.settled_to(), self.progress.accepted);
        self.state = State::Ready;
        self.progress()
    }

    /// A pipeline that was paused meanwhile would hold the next rows back, too.
    fn unconfirmed(&mut self, chunk: &mut IngestChunk) {
        chunk.unconfirmed = true;
        (self.known.taken, self.known.is_checked) = (Taken::ManyRequests, false);
    }

    fn put_back(&mut self, chunk: Option<IngestChunk>) {
        if let Some(chunk) = chunk {
            self.buffer.put_back(chunk);
        }
    }

    /// Carries out an action: all changes of the state are here, but for those of the caller.
    fn carry_out(&mut self, action: Action, cx: &mut FlowContext<FelderaApi>) -> Transition<IngestEvent> {
        self.state = match action {
            Action::Poll => State::Polling(self.get_stats(cx)),
            Action::Send => match self.buffer.take() {
                Some(chunk) => State::Sending(self.input(chunk.text().clone(), cx), chunk),
                None => State::Ready,
            },
            Action::Drained => return done(Ok(IngestEvent::Drained)),
            Action::Cover => State::Covering(self.input(bytes::Bytes::new(), cx)),
            Action::CoverAgain => {
                self.known.resends += 1;
                State::Covering(self.input(bytes::Bytes::new(), cx))
            }
            Action::AwaitCompletion(token) => {
                cx.phase(Self::NAME, "waiting for rows to be processed");
                let goal = AwaitCompletion::new(self.goal.pipeline.clone(), token);
                State::Processing(cx.child(goal.stall_timeout(self.goal.stall_timeout)))
            }
            Action::Check => State::Checking(self.get_stats(cx)),
            Action::Begin(process) => {
                (self.known.is_checked, self.known.process) = (true, process);
                State::Ready
            }
            Action::Covered(token) => {
                (self.known.resends, self.known.token) = (0, Some(token));
                State::Ready
            }
            Action::Pass => {
                self.pass();
                State::Ready
            }
            Action::Processed => {
                self.known.barrier = None;
                return done(Ok(IngestEvent::Processed(self.pass())));
            }
            Action::Finished => return done(Ok(IngestEvent::Finished(self.pass()))),
            Action::Accepted(chunk, token) => {
                self.buffer.settle(&chunk);
                self.progress.accepted += chunk.len() as u64;
                let is_first = self.known.taken == Taken::Nothing;
                self.known.taken = if is_first { Taken::OneRequest } else { Taken::ManyRequests };
                (self.known.resends, self.known.token) = (0, Some(token.clone()));
                return done(Ok(IngestEvent::Accepted(AcceptedRows { rows: chunk.rows(), token })));
            }
            Action::Rejected(chunk, errors, failure) => {
                self.buffer.settle(&chunk);
                let rejected = RejectedRows::new(chunk, errors);
                let count = rejected.count();
                self.progress.rejected += count;
                self.progress.accepted += rejected.chunk.len() as u64 - count;
                (self.known.resends, self.known.taken, self.known.token) = (0, Taken::ManyRequests, None);
                self.failure = failure;
                return done(Ok(IngestEvent::Rejected(rejected)));
            }
            Action::Resend(mut chunk, cause) => {
                self.unconfirmed(&mut chunk);
                self.known.resends += 1;
                let what = format!("rows {:?}", chunk.rows());
                cx.say(Notice::Observed { what, state: format!("sent again: {cause}") });
                self.buffer.put_back(chunk);
                State::Ready
            }
            Action::Unconfirmed(mut chunk, cause) => {
                self.unconfirmed(&mut chunk);
                self.known.resends = 0;
                self.state = State::Undecided(cause.clone(), chunk.rows().start);
                return done(Ok(IngestEvent::Unconfirmed(UnconfirmedRows { chunk, cause: Box::new(cause) })));
            }
            Action::Diagnose(rejection, chunk) => {
                self.put_back(chunk);
                let (what, had_process) = (self.goal.what(), self.known.process.is_some());
                State::Diagnosis(Diagnosis::new(&self.goal.pipeline, what, rejection, had_process, cx))
            }
            Action::Fail(error, chunk) => {
                self.put_back(chunk);
                return done(Err(error));
            }
        };
        ControlFlow::Continue(())
    }
}

impl StateMachine for IngestMachine {
    type Service = FelderaApi;
    type Output = IngestEvent;
    const NAME: &'static str = "Ingest";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<IngestEvent> {
        if let Some(error) = self.failure.take() {
            return done(Err(error));
        }
        let evidence = match &mut self.state {
            State::Ready => match cx.expired("rows") {
                Some(error) => Evidence::Expired(error),
                None => Evidence::Ready,
            },
            State::Polling(call) => Evidence::Polled(cx.poll(call)?),
            State::Sending(call, _) => {
                let answer = cx.poll(call)?;
                let State::Sending(_, chunk) = std::mem::replace(&mut self.state, State::Ready) else {
                    return ControlFlow::Continue(());
                };
                Evidence::Sent(chunk, answer.map(|answer| answer.token))
            }
            State::Undecided(cause, _) => Evidence::Undecided(cause.clone()),
            State::Covering(call) => Evidence::Covered(cx.poll(call)?.map(|answer| answer.token)),
            State::Processing(flow) => Evidence::Processed(cx.poll(flow)?),
            State::Checking(call) => Evidence::Checked(cx.poll(call)?),
            State::Diagnosis(diagnosis) => Evidence::Cause(diagnosis.poll(cx)?),
        };
        let action = decide(evidence, &self.goal, &self.known, &self.buffer);
        self.carry_out(action, cx)
    }

    fn is_last(&self, event: &IngestEvent) -> bool {
        matches!(event, IngestEvent::Finished(_))
    }
}

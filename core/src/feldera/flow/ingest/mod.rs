//! The session [`Ingest`].
//!
//! ```text
//!                 ┌──────────────── Sending ◀────────────────┐
//!                 │ 200: Accepted      │ refused ▶ Inquiry ▶ failed
//!                 │ ParseErrors: Rejected                    │
//!                 │ no answer: Doubtful ─▶ Undecided ─resend─┤
//!                 ▼                            │ skip        │ rows wait
//!  Ready ◀────────┴────────────────────────────┘             │
//!   │ ├─ nothing waits ─▶ Drained                            │
//!   │ └─ rows wait ─▶ Looking, at first and after a doubt ───┘
//!   │ flush, finish: all is sent
//!   ▼
//!  Covering ──token──▶ Processing ──complete──▶ Checking ──the same process──▶ Processed, Finished
//!  (unless the last answer was a token)               └─ another one ─▶ failed
//! ```
//!
//! | state | what came | next |
//! |---|---|---|
//! | Looking | statistics | Sending; failed when the pipeline is paused and rows are not forced in, or was restarted |
//! | Sending | a token | Accepted |
//! | Sending | 400 `ParseErrors` | Rejected: all other rows are in, and have no token |
//! | Sending | not sent, 503 that says so | again, by the call |
//! | Sending | any other refusal | failed; the rows are unsent |
//! | Sending | no answer, or one that does not tell | Doubtful; nothing is sent before a decision |
//! | Undecided | polled without a decision | failed: **ambiguous** |
//! | Covering | a token for no rows | Processing: it covers all that came before |
//! | Covering | no answer | again: no rows, no harm |
//! | Processing | complete | Checking |
//! | Checking | another process than before the first rows | failed: [`Restarted`](super::Interruption::Restarted) |
//!
//! Invariants: each row is in one chunk, chunks go out in order, one at a time, and each is sent once unless it is known not
//! to have arrived or the caller says so. A token covers all that its way of ingress took in before; but only in its own
//! process: so all rows between two barriers are known to have met the same one. No more bytes are held than the buffer's.

mod goal;
mod rejected;
mod rows;

use std::fmt;

pub use self::goal::{Accepted, Doubt, Ingest, IngestEvent, IngestProgress};
pub use self::rejected::{Rejected, RejectedRow};
pub use self::rows::{Chunk, PushError};

use self::rows::{Buffer, Change, Refused};
use super::inquiry::Inquiry;
use super::{AwaitCompletion, Interruption, await_completion::AwaitCompletionMachine};
use crate::error::{Ambiguity, Applied, FlowError, Misuse};
use crate::feldera::data::{CompletionToken, parse_errors};
use crate::feldera::stats::{ControllerStatus, GlobalMetrics, PipelineState};
use crate::feldera::{FelderaApi, GetStats, HttpInput};
use crate::flow::{Call, Common, Config, Flow, Notice, Reply, Running, Step, ok};
use crate::operation::Operation as _;
use crate::seed::Seed;
use crate::time::Timestamp;

const NAME: &str = "Ingest";
/// How often something is sent again whose answer was lost, where that is harmless or was asked for.
const ANEW: u32 = 5;

/// Rows on their way into a table. Made by [`Ingest::start`](crate::flow::Goal::start).
#[must_use = "a session does nothing until it is polled"]
pub struct Ingestion {
    goal: Ingest,
    common: Common<FelderaApi>,
    buffer: Buffer,
    progress: IngestProgress,
    /// The pipeline was looked at since the last barrier and the last doubt.
    looked: bool,
    /// Which process it was then, if it says.
    process: Option<String>,
    /// Stands for all rows that are in; `None` when rows are in that no token covers.
    token: Option<CompletionToken>,
    /// Rows are in, or may be, since the last barrier.
    dirty: bool,
    barrier: Option<Barrier>,
    finished: bool,
    /// How often the present request was sent again.
    anew: u32,
    event: Option<IngestEvent>,
    ended: Option<FlowError>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Barrier {
    /// Of the rows with smaller numbers.
    Flush(u64),
    /// Of all.
    Finish,
}

enum State {
    Ready,
    Looking(Call<GetStats>),
    Sending(Call<HttpInput>, Chunk),
    /// The rows are with the caller.
    Undecided(FlowError, u64),
    Covering(Call<HttpInput>),
    Processing(Running<AwaitCompletionMachine>),
    Checking(Call<GetStats>),
    Inquiry(Inquiry),
}

impl Ingestion {
    fn new(goal: Ingest, buffer: Buffer, config: &Config<FelderaApi>, seed: Seed) -> Self {
        let common = Common::new(config, seed, goal.within);
        Self {
            goal,
            common,
            buffer,
            progress: IngestProgress::default(),
            looked: false,
            process: None,
            token: None,
            dirty: false,
            barrier: None,
            finished: false,
            anew: 0,
            event: None,
            ended: None,
            state: State::Ready,
        }
    }

    /// Takes a row, to be inserted; its number. With an update format other than `InsertDelete`, the row is sent as it is.
    ///
    /// # Errors
    /// Hands the row back when the buffer is full, it is too large for it, it cannot be written, or the session has ended.
    pub fn push<R: serde::Serialize>(&mut self, row: R) -> Result<u64, PushError<R>> {
        self.take(row, |buffer, row| buffer.push(Change::Insert, row))
    }

    /// Takes a row, to be deleted: all of it, or the key if the table has one.
    ///
    /// # Errors
    /// Those of [`push`](Self::push); and with an update format other than `InsertDelete`.
    pub fn delete<R: serde::Serialize>(&mut self, row: R) -> Result<u64, PushError<R>> {
        self.take(row, |buffer, row| buffer.push(Change::Delete, row))
    }

    /// Takes columns that change, with the key. Rejected by Feldera when the table has none.
    ///
    /// # Errors
    /// Those of [`delete`](Self::delete).
    pub fn update<R: serde::Serialize>(&mut self, row: R) -> Result<u64, PushError<R>> {
        self.take(row, |buffer, row| buffer.push(Change::Update, row))
    }

    /// Takes one record as it is to be sent: a JSON value, or a line of CSV. With or without a line feed after it.
    ///
    /// # Errors
    /// Hands the record back as [`push`](Self::push) does, and when it is not one whole record: it would spoil the next.
    pub fn push_record<R: AsRef<[u8]>>(&mut self, record: R) -> Result<u64, PushError<R>> {
        self.take(record, |buffer, record| buffer.push_record(record.as_ref()))
    }

    fn take<R>(
        &mut self,
        row: R,
        add: impl FnOnce(&mut Buffer, &R) -> Result<u64, Refused>,
    ) -> Result<u64, PushError<R>> {
        if self.finished || self.ended.is_some() {
            return Err(PushError::Ended { row, error: self.ended.clone() });
        }
        add(&mut self.buffer, &row).map_err(|refused| match refused {
            Refused::Full => {
                let (waiting_rows, waiting_bytes) = self.buffer.waiting();
                PushError::Full { row, waiting_rows, waiting_bytes }
            }
            Refused::TooLarge(bytes) => PushError::TooLarge { row, bytes, limit: self.buffer.capacity() },
            Refused::Invalid(problem) => PushError::Invalid { row, problem },
        })
    }

    /// Asks for [`IngestEvent::Processed`] once all rows pushed by then are processed.
    pub fn flush(&mut self) {
        if self.barrier != Some(Barrier::Finish) {
            self.barrier = Some(Barrier::Flush(self.buffer.pushed()));
        }
    }

    /// No more rows come. Poll on until [`IngestEvent::Finished`].
    pub fn finish(&mut self) {
        (self.finished, self.barrier) = (true, Some(Barrier::Finish));
    }

    /// Sends rows again that are in doubt: those that are in already come in a second time.
    ///
    /// # Errors
    /// Hands back what is not this session's present doubt.
    pub fn resend(&mut self, doubt: Doubt) -> Result<(), Doubt> {
        if !self.is_open(&doubt) {
            return Err(doubt);
        }
        self.buffer.put_back(doubt.chunk);
        self.state = State::Ready;
        Ok(())
    }

    /// Goes on without knowing whether rows in doubt are in.
    ///
    /// # Errors
    /// Hands back what is not this session's present doubt.
    pub fn skip(&mut self, doubt: Doubt) -> Result<(), Doubt> {
        if !self.is_open(&doubt) {
            return Err(doubt);
        }
        self.buffer.settle(&doubt.chunk);
        self.progress.skipped += doubt.chunk.len() as u64;
        // Those that are in no token covers.
        self.token = None;
        self.state = State::Ready;
        Ok(())
    }

    fn is_open(&self, doubt: &Doubt) -> bool {
        let first = doubt.chunk.rows().start;
        self.ended.is_none() && matches!(self.state, State::Undecided(_, undecided) if undecided == first)
    }

    /// How far it is.
    pub fn progress(&self) -> IngestProgress {
        let (waiting, waiting_bytes) = self.buffer.waiting();
        IngestProgress { pushed: self.buffer.pushed(), waiting, waiting_bytes, ..self.progress }
    }

    /// The rows that were never sent, are known not to have arrived, or were to be sent
    /// [again after a doubt](Chunk::is_doubtful): the rest, after the session has ended. Those that are under way are not
    /// among them.
    pub fn take_unsent(&mut self) -> Vec<Chunk> {
        let chunks: Vec<_> = std::iter::from_fn(|| self.buffer.take()).collect();
        for chunk in &chunks {
            self.buffer.settle(chunk);
        }
        chunks
    }

    /// Ends it at this moment at the latest, whatever else it is given.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.common.set_deadline(deadline.into());
        self
    }

    fn what(&self) -> String {
        format!("ingress into table {} of pipeline {}", self.goal.table, self.goal.pipeline)
    }

    fn look(&mut self) -> Call<GetStats> {
        self.common.call(GetStats::new(self.goal.pipeline.clone()))
    }

    fn input(&mut self, rows: bytes::Bytes) -> Call<HttpInput> {
        let mut input =
            HttpInput::new(self.goal.pipeline.clone(), self.goal.table.clone(), self.goal.format.clone(), rows);
        input.update_format.clone_from(&self.goal.update_format);
        input.force = self.goal.force.then_some(true);
        self.common.call(input)
    }

    fn send(&mut self) {
        if let Some(chunk) = self.buffer.take() {
            let call = self.input(chunk.text().clone());
            self.state = State::Sending(call, chunk);
        }
    }

    /// What comes after an event, or at first.
    fn next(&mut self) {
        if !self.looked && (self.buffer.has_unsent() || self.dirty && self.barrier.is_some()) {
            self.state = State::Looking(self.look());
        } else if self.buffer.has_unsent() {
            self.send();
        } else if self.barrier.is_none() {
            self.event = Some(IngestEvent::Drained);
        } else if !self.dirty {
            self.pass();
        } else if let Some(token) = self.token.clone() {
            self.common.phase(NAME, "waiting for rows to be processed");
            let goal = AwaitCompletion::new(self.goal.pipeline.clone(), token);
            let goal = goal.stalled_after(self.goal.stalled_after);
            self.state = State::Processing(self.common.child(goal.machine()));
        } else {
            self.state = State::Covering(self.input(bytes::Bytes::new()));
        }
    }

    /// All that was sent is processed. Rows that were pushed while that was waited for are not sent yet.
    fn pass(&mut self) {
        (self.dirty, self.looked) = (false, false);
        let progress = self.progress();
        self.progress.processed_to = progress.pushed - progress.waiting;
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

    /// The pipeline before the first rows, and after rows that came in doubt.
    fn looked(&mut self, stats: &ControllerStatus) {
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
        self.dirty && self.process.is_some() && self.process != metrics.process()
    }

    fn accepted(&mut self, token: CompletionToken, chunk: &Chunk) {
        self.buffer.settle(chunk);
        self.progress.accepted += chunk.len() as u64;
        (self.anew, self.dirty, self.token) = (0, true, Some(token.clone()));
        self.event = Some(IngestEvent::Accepted(Accepted { rows: chunk.rows(), token }));
    }

    /// A chunk did not come in as a whole.
    fn troubled(&mut self, error: FlowError, chunk: Chunk) {
        let is_in_part = error.service().is_some_and(|error| error.applied() == Applied::Yes);
        let errors = error.service().and_then(parse_errors);
        match (errors, error) {
            (Some(errors), error) => {
                self.buffer.settle(&chunk);
                let rejected = Rejected::new(chunk, errors);
                let count = rejected.count();
                self.progress.rejected += count;
                self.progress.accepted += rejected.chunk.len() as u64 - count;
                (self.anew, self.dirty, self.token) = (0, true, None);
                self.event = Some(IngestEvent::Rejected(rejected));
                if self.goal.stop_at_errors {
                    self.ended = Some(match error {
                        FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
                        error => error,
                    });
                }
            }
            (None, cause @ FlowError::Ambiguous(_)) => self.doubted(cause, chunk),
            // All that can be parsed are in, and which those are cannot be read.
            (None, error) if is_in_part => {
                let (operation, found) = (HttpInput::INFO.name, "all rows that can be parsed are in".to_owned());
                let cause = Box::new(error);
                self.doubted(
                    FlowError::Ambiguous(Ambiguity { operation, cause, unanswered: false, found: Some(found) }),
                    chunk,
                );
            }
            (None, refusal @ FlowError::Service(_)) => {
                self.buffer.put_back(chunk);
                self.inquire(refusal);
            }
            (None, error) => {
                self.buffer.put_back(chunk);
                self.ended = Some(error);
            }
        }
    }

    fn doubted(&mut self, cause: FlowError, mut chunk: Chunk) {
        chunk.doubtful = true;
        // A pipeline that was paused meanwhile would hold whatever comes next, too.
        (self.dirty, self.looked) = (true, false);
        if self.goal.resend_doubtful && self.anew < ANEW {
            self.anew += 1;
            let what = format!("rows {:?}", chunk.rows());
            self.common.say(Notice::Observed { what, state: format!("sent again: {cause}") });
            self.buffer.put_back(chunk);
        } else {
            self.anew = 0;
            self.state = State::Undecided(cause.clone(), chunk.rows().start);
            self.event = Some(IngestEvent::Doubtful(Doubt { chunk, cause: Box::new(cause) }));
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

    fn inquire(&mut self, refusal: FlowError) {
        let what = self.what();
        self.state = State::Inquiry(Inquiry::new(&self.goal.pipeline, what, refusal, &mut self.common));
    }

    /// Whether all rows since the last barrier met the process that answers now.
    fn checked(&mut self, stats: &ControllerStatus) {
        if self.has_restarted(&stats.global_metrics) {
            self.ended = Some(Interruption::Restarted.into_error(self.what(), None));
        } else {
            self.pass();
        }
    }

    fn advance(&mut self, reply: &mut Option<Reply>) -> Step<IngestEvent> {
        loop {
            if let Some(notice) = self.common.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            if self.event.is_some() || self.ended.is_some() {
                if let Some(stray) = reply.take() {
                    return Step::Stray(stray);
                }
                let result = self.event.take().map(Ok);
                return Step::Done(result.or_else(|| self.ended.clone().map(Err)).unwrap_or(Ok(IngestEvent::Drained)));
            }
            let now = self.common.now();
            match &mut self.state {
                State::Ready => {
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    match self.common.expired("rows") {
                        Some(error) => self.ended = Some(error),
                        None => self.next(),
                    }
                }
                State::Looking(call) => match ok!(call.poll(now, reply.take())) {
                    Ok(stats) => self.looked(&stats),
                    Err(error) => self.inquire(error),
                },
                State::Sending(call, _) => {
                    let answer = ok!(call.poll(now, reply.take()));
                    if let State::Sending(_, chunk) = std::mem::replace(&mut self.state, State::Ready) {
                        match answer {
                            Ok(token) => self.accepted(token.token, &chunk),
                            Err(error) => self.troubled(error, chunk),
                        }
                    }
                }
                State::Undecided(cause, _) => self.ended = Some(cause.clone()),
                State::Covering(call) => match ok!(call.poll(now, reply.take())) {
                    Ok(token) => {
                        (self.anew, self.token) = (0, Some(token.token));
                        self.state = State::Ready;
                    }
                    Err(error) => self.uncovered(error),
                },
                State::Processing(flow) => match ok!(flow.poll(now, reply.take())) {
                    Ok(_) => self.state = State::Checking(self.look()),
                    Err(error) => self.ended = Some(error),
                },
                State::Checking(call) => match ok!(call.poll(now, reply.take())) {
                    Ok(stats) => self.checked(&stats),
                    Err(error) => self.inquire(error),
                },
                State::Inquiry(inquiry) => {
                    let (Ok(error) | Err(error)) = ok!(inquiry.poll(now, reply.take()));
                    self.ended = Some(error);
                }
            }
        }
    }
}

impl Flow for Ingestion {
    type Output = IngestEvent;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<IngestEvent> {
        self.common.tick(now);
        let mut reply = reply;
        self.advance(&mut reply)
    }
}

/// Rows are nobody's business.
impl fmt::Debug for Ingestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingestion")
            .field("goal", &self.goal)
            .field("progress", &self.progress())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

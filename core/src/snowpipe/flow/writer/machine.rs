//! The transitions of a [`Writer`]; its states and what leads from one to the other are drawn in the [module](super).

use std::time::Duration;

use super::event::WriterEvent;
use super::replay_buffer::StatusDelta;
use super::tokens::Tokens;
use super::{NAME, Writer, WriterState};
use crate::error::{FlowError, Misuse};
use crate::flow::{Call, CredentialRequest, Flow as _, Goal as _, Reply, Runner, SavedState, Step, ready};
use crate::operation::Operation as _;
use crate::snowpipe::flow::append::AppendMachine;
use crate::snowpipe::flow::busy_backoff::is_busy;
use crate::snowpipe::flow::open::OpenMachine;
use crate::snowpipe::flow::status_batcher::Look;
use crate::snowpipe::flow::{Channel, ChannelLost, OpenChannel, POLL};
use crate::snowpipe::session::{Grant, TokenWait};
use crate::snowpipe::{
    AppendRows, BulkGetChannelStatus, ChannelStatus, ChannelStatuses, OpenChannel as Open, RequestId,
};
use crate::time::Timestamp;

/// What is under way is boxed: a writer at rest has no room for it.
pub(super) enum State {
    /// The channel has to be opened.
    Begin,
    Open(Box<Runner<OpenMachine>>),
    /// There is a channel, and nothing under way.
    Ready,
    Append(Box<Runner<AppendMachine>>),
    Look(Box<Call<BulkGetChannelStatus>>),
    /// Before opening again.
    Wait(Timestamp),
    Closed,
    Failed(FlowError),
}

/// A question to the session, and the request that is waiting for the answer: none when it is about where to open the channel.
pub(super) struct SessionRequest {
    entry: TokenWait,
    request: Option<CredentialRequest>,
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Open(_) => "open",
            Self::Ready => "ready",
            Self::Append(_) => "append",
            Self::Look(_) => "look",
            Self::Wait(_) => "wait",
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
        }
    }
}

impl Writer {
    pub(super) fn advance(&mut self, reply: &mut Option<Reply>) -> Step<WriterEvent> {
        loop {
            // A reply is taken first, so that it is never kept waiting.
            if let Some(notice) = self.cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            if reply.is_none()
                && let Some(event) = self.events.pop_front()
            {
                return Step::Done(Ok(event));
            }
            if let Some(asking) = &mut self.entry {
                let result = ready!(asking.entry.step(&mut self.cx, reply));
                *reply = self.entered(result);
                continue;
            }
            let now = self.cx.now();
            match &mut self.state {
                State::Open(open) => {
                    let step = open.poll(now, reply.take());
                    let Some(step) = self.pass_on(step) else { continue };
                    let result = ready!(step);
                    self.opened(result);
                }
                State::Append(append) => {
                    let step = append.poll(now, reply.take());
                    let Some(step) = self.pass_on(step) else { continue };
                    let result = ready!(step);
                    self.appended(result);
                }
                State::Look(call) => {
                    let step = call.poll(now, reply.take());
                    let Some(step) = self.pass_on(step) else { continue };
                    let result = ready!(step);
                    self.answered(result);
                }
                _ => {
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    match self.rest() {
                        Some(Ok(at)) => return Step::WaitUntil(self.cx.no_later_than(at)),
                        Some(Err(error)) => return Step::Done(Err(error)),
                        None => {}
                    }
                }
            }
        }
    }

    /// Keeps a child's wish for a credential, and passes on what else it wants.
    fn pass_on<T>(&mut self, step: Step<T>) -> Option<Step<T>> {
        match step {
            Step::Authorize(request) => {
                self.ask(request);
                None
            }
            step => Some(step),
        }
    }

    /// A child wants a credential for the ingest host: the session's.
    fn ask(&mut self, request: CredentialRequest) {
        if let Some(rejected) = request.rejected() {
            self.goal.session.reject(rejected, self.cx.now());
        }
        self.enter(Some(request));
    }

    /// When what begins now has to end, so that its repetitions do not go on for much longer than faults may: two attempts more
    /// leave time for what they end with, which tells more than a deadline.
    fn deadline(&mut self) -> Timestamp {
        self.began = self.elapsed.total();
        let attempt = self.ingest.as_ref().map_or(Duration::ZERO, |(ingest, _)| ingest.retry().attempt_timeout);
        self.cx.no_later_than(self.cx.now() + self.retry_time_left() + attempt.saturating_mul(2))
    }

    /// How much longer faults may go on.
    fn retry_time_left(&self) -> Duration {
        self.goal.retry_timeout.saturating_sub(self.recovery.time(self.elapsed.total()))
    }

    /// Asks the session: for a credential, or for a place to open the channel at.
    fn enter(&mut self, request: Option<CredentialRequest>) {
        if request.is_none() {
            let asked_to_wait = std::mem::take(&mut self.recovery.asked_to_wait);
            self.excuse(asked_to_wait);
            self.began = self.elapsed.total();
        }
        self.entry = Some(Box::new(SessionRequest { entry: TokenWait::new(&self.goal.session), request }));
    }

    /// The session has a token, or there is none to be had.
    fn entered(&mut self, result: Result<Grant, FlowError>) -> Option<Reply> {
        let asking = self.entry.take();
        let asked_to_wait = asking.as_ref().map_or(Duration::ZERO, |asking| asking.entry.asked_to_wait());
        self.excuse(asked_to_wait);
        let request = asking.and_then(|asking| asking.request);
        let here = self.ingest.as_ref().map(|(_, generation)| *generation);
        match (result, request) {
            (Ok(grant), Some(request)) if Some(grant.generation) == here => {
                return Some(request.settle(Ok(grant.header)));
            }
            // Somebody else has found that the service is at another host now.
            (Ok(_), Some(_)) => {
                self.abandon();
                self.again(Open::INFO.name, "the session has moved to another host".to_owned(), self.cx.now());
            }
            (Ok(grant), None) => {
                self.ingest = Some((grant.config, grant.generation));
                self.open();
            }
            (Err(error), _) => {
                self.abandon();
                self.refused(error);
            }
        }
        None
    }

    /// What is under way is given up: only what it has sent already is unconfirmed.
    pub(super) fn abandon(&mut self) {
        match &self.state {
            State::Append(append) if !append.machine().has_unanswered() => self.replay.unsend_last(),
            State::Open(open) if open.machine().has_unanswered() => self.recovery.unanswered_open = Some(self.cx.now()),
            _ => {}
        }
    }

    /// Until when there is nothing to do, while nothing is under way. `None` when there is something to do at once.
    fn rest(&mut self) -> Option<Result<Timestamp, FlowError>> {
        match &self.state {
            State::Failed(error) => return Some(Err(error.clone())),
            State::Begin if let Err(error) = self.goal.tokens.check() => {
                self.fail(error.into());
                return None;
            }
            State::Closed => return Some(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
            _ => {}
        }
        if let Some(error) = self.cx.expired("the rows to be committed") {
            self.fail(error);
            return None;
        }
        self.collect();
        if self.opened && self.flush.is_some_and(|upto| upto <= self.replay.settled) {
            self.flush = None;
            self.events.push_back(WriterEvent::Flushed);
        }
        // What another process has sent is not settled before the channel is open.
        if self.closing && self.opened && self.replay.is_empty() {
            // What was rejected since the last append is not told again to whoever goes on from here.
            if let Some(saved) = self.saved() {
                self.cx.save(saved);
            }
            self.channel = None;
            self.registration.due(Timestamp::MAX);
            self.state = State::Closed;
            self.events.push_back(WriterEvent::Closed);
        }
        if !self.events.is_empty() {
            return None;
        }
        match (&self.state, &self.channel) {
            (State::Wait(at), _) if *at > self.cx.now() => return Some(Ok(*at)),
            (State::Ready, Some(_)) => return self.ready().map(Ok),
            (State::Failed(_), _) => {}
            _ => self.enter(None),
        }
        None
    }

    /// Looks at the channel, or sends a batch, or says when there will be something to do.
    fn ready(&mut self) -> Option<Timestamp> {
        if self.next_look <= self.cx.now() {
            self.look();
        } else if !self.append_next() {
            return Some(self.builder.due().map_or(self.next_look, |due| due.min(self.next_look)));
        }
        None
    }

    fn open(&mut self) {
        let Some((ingest, _)) = &self.ingest else { return };
        // The rows that are waited for may be our own: their commit takes as long as it takes.
        let goal = OpenChannel::new(self.goal.path.clone()).busy_timeout(self.retry_time_left());
        let open = goal.start(ingest, self.cx.seed.split());
        let open = open.into_runner().with_deadline(self.deadline()).excusing(self.excuse_left());
        self.state = State::Open(Box::new(open));
        self.cx.phase(NAME, if self.opened { "opening again" } else { "opening" });
    }

    fn opened(&mut self, result: Result<Channel, FlowError>) {
        if let State::Open(open) = &self.state {
            let asked_to_wait = open.machine().asked_to_wait();
            self.excuse(asked_to_wait);
        }
        let mut channel = match result {
            Ok(channel) => channel,
            Err(error) => {
                self.abandon();
                // It was waited for as long as faults may go on.
                let is_over = error.service().is_some_and(is_busy);
                return if is_over { self.fail(error) } else { self.recover(Open::INFO.name, error) };
            }
        };
        let own = self.goal.tokens.remove_from(&mut channel.status, !self.replay.is_known());
        let delta = match own.and_then(|()| self.replay.reopened(&channel.status)) {
            Ok(delta) => delta,
            Err(lost) => return self.fail(lost.of(&self.goal.path)),
        };
        if self.goal.must_have_committed && channel.committed().is_none() && !self.opened {
            return self.fail(ChannelLost::TokenGone { before: None }.of(&self.goal.path));
        }
        if !std::mem::replace(&mut self.opened, true) {
            let committed = channel.committed().map(str::to_owned);
            self.events.push_back(WriterEvent::Opened { committed });
        }
        if delta.batches > 0 {
            self.recovery.over();
        }
        self.announce(delta);
        if channel.unanswered_open {
            self.recovery.unanswered_open = Some(self.cx.now());
        }
        self.channel = Some(channel);
        self.recovery.lost.clear();
        self.opened_at = self.cx.now();
        self.moved = self.elapsed.total();
        self.look_after(self.goal.idle);
        self.state = State::Ready;
    }

    /// Sends the next batch, if there is one.
    fn append_next(&mut self) -> bool {
        let (Some((ingest, _)), true) = (&self.ingest, self.replay.has_unsent()) else { return false };
        let (Some(channel), Some(batch)) = (self.channel.take(), self.replay.send_next()) else { return false };
        if let Some(saved) = self.saved() {
            self.cx.save(saved);
        }
        let append = channel.append(self.goal.tokens.add_to(batch)).start(ingest, self.cx.seed.split());
        let append = append.into_runner().with_deadline(self.deadline()).excusing(self.excuse_left());
        self.state = State::Append(Box::new(append));
        true
    }

    /// What another process needs to go on.
    pub(super) fn saved(&self) -> Option<SavedState> {
        let position = self.replay.position()?;
        let (path, Tokens { prefix, ignored, .. }) = (self.goal.path.clone(), self.goal.tokens.clone());
        Some(SavedState::new(NAME, &WriterState { path, position, token_prefix: prefix, ignored_token: ignored }))
    }

    fn appended(&mut self, result: Result<Channel, FlowError>) {
        if let State::Append(append) = &self.state {
            let asked_to_wait = append.machine().asked_to_wait();
            self.excuse(asked_to_wait);
        }
        match result {
            Ok(channel) => {
                self.channel = Some(channel);
                self.recovery.calm();
                // With others before it, its answer is no progress: they are waited for longer already.
                if self.replay.sent().len() == 1 {
                    self.moved = self.elapsed.total();
                }
                self.next_look = self.next_look.min(self.cx.now() + POLL);
                self.registration.due(self.next_look);
                self.state = State::Ready;
            }
            Err(error) => self.recover(AppendRows::INFO.name, error),
        }
    }

    fn look(&mut self) {
        let Some((ingest, _)) = &self.ingest else { return };
        match self.registration.look(self.cx.now(), self.opened_at) {
            Look::Posted(status, asked_at) => {
                self.began = self.elapsed.total();
                self.looked(status, asked_at);
            }
            Look::Wait(at) => self.next_look = at,
            Look::Ask(lease) => {
                let id = RequestId::from_bits(self.cx.seed.next_u128());
                let status = self.goal.path.status(id, lease.names());
                let call = Call::new(status, ingest, self.cx.seed.split());
                self.lease = Some(lease);
                let call = call.with_deadline(self.deadline()).excusing(self.excuse_left());
                self.state = State::Look(Box::new(call));
            }
        }
    }

    fn answered(&mut self, result: Result<ChannelStatuses, FlowError>) {
        if let State::Look(call) = &self.state {
            let asked_to_wait = call.asked_to_wait();
            self.excuse(asked_to_wait);
        }
        let lease = self.lease.take();
        match result {
            Ok(statuses) => {
                if let Some(lease) = lease {
                    lease.post(statuses, self.cx.now());
                }
                // What was posted for ourselves is found when we look again, at once.
                self.state = State::Ready;
            }
            Err(error) => self.recover(BulkGetChannelStatus::INFO.name, error),
        }
    }

    fn looked(&mut self, status: Option<ChannelStatus>, asked_at: Timestamp) {
        let Some(mut status) = status else { return self.seems_lost(ChannelLost::Missing, asked_at) };
        if let Some(refusal) = status.refusal(BulkGetChannelStatus::INFO) {
            if status.is_unreadable() && !self.recovery.lost.add(None, asked_at) {
                return self.look_after(POLL);
            }
            return self.recover(BulkGetChannelStatus::INFO.name, refusal.into());
        }
        let own = self.goal.tokens.remove_from(&mut status, false);
        match own.and_then(|()| self.replay.looked(&status)) {
            Ok(delta) => {
                self.recovery.lost.clear();
                if delta.batches > 0 {
                    self.moved = self.elapsed.total();
                }
                if delta.batches > 0 || self.replay.is_empty() {
                    self.recovery.over();
                }
                self.announce(delta);
                if self.replay.sent().len() > 0
                    && self.elapsed.total().saturating_sub(self.moved) >= self.goal.stall_timeout
                {
                    return self.stalled();
                }
                self.look_after(if self.replay.sent().len() > 0 { POLL } else { self.goal.idle });
            }
            Err(lost) => self.seems_lost(lost, asked_at),
        }
    }

    pub(super) fn look_after(&mut self, time: Duration) {
        self.next_look = self.cx.now() + time;
        self.registration.due(self.next_look);
    }

    /// First what was rejected, so that whoever sees the token knows it already.
    fn announce(&mut self, delta: StatusDelta) {
        self.events.extend(delta.rejected.map(WriterEvent::Rejected));
        if let Some(token) = self.replay.committed().filter(|_| delta.batches > 0) {
            let token = token.to_owned();
            self.events.push_back(WriterEvent::Committed { token, batches: delta.batches, rows: delta.rows });
        }
        // Nobody knows when more is to come: no memory is kept for it.
        if self.replay.is_empty() {
            self.builder.release();
        }
    }
}

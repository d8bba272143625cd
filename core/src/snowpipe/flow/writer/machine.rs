//! The transitions of a [`Writer`](super::Writer). Its states are drawn in the [module](super), its policy is in
//! [`decide`](super::decide).

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::decide::{Fault, FaultHistory};
use super::event::WriterEvent;
use super::handle::session_moved;
use super::replay_buffer::{ReplayBuffer, StatusDelta};
use super::tokens::Tokens;
use super::{OpenWriter, WriterMetrics, WriterState};
use crate::error::{Failure, FlowError, Misuse};
use crate::flow::{
    Call, Config, CredentialRequest, Flow as _, FlowContext, Goal as _, Runner, SavedState, StateMachine, Step,
    Transition, done,
};
use crate::operation::Operation as _;
use crate::snowpipe::account::ExchangeToken;
use crate::snowpipe::append::AppendRows;
use crate::snowpipe::channels::{BulkGetChannelStatus, ChannelStatus, ChannelStatuses, OpenChannelOperation as Open};
use crate::snowpipe::flow::append::AppendMachine;
use crate::snowpipe::flow::elapsed::Elapsed;
use crate::snowpipe::flow::open::OpenMachine;
use crate::snowpipe::flow::status_batcher::{Lease, Registration, StatusAccess};
use crate::snowpipe::flow::{Channel, ChannelLost, OpenChannel};
use crate::snowpipe::rows::BatchBuilder;
use crate::snowpipe::session::Grant;
use crate::snowpipe::session::flow::TokenWait;
use crate::snowpipe::tuning::STATUS_POLL_INTERVAL;
use crate::snowpipe::{RequestId, SnowpipeAccount, SnowpipeIngest};
use crate::time::Timestamp;

pub(super) type Cx = FlowContext<SnowpipeAccount>;

/// The state machine of a [`Writer`](super::Writer).
pub(super) struct WriterMachine {
    pub(super) goal: OpenWriter,
    /// The ingest host, and the session's generation of it.
    pub(super) ingest: Option<(Config<SnowpipeIngest>, u64)>,
    /// The request for a token; `None` unless the writer waits for a token.
    pub(super) token: Option<Box<TokenRequest>>,
    pub(super) builder: BatchBuilder,
    pub(super) replay: ReplayBuffer,
    pub(super) registration: Registration,
    pub(super) lease: Option<Lease>,
    /// The open channel, unless an append has it.
    pub(super) channel: Option<Channel>,
    pub(super) opened: bool,
    pub(super) opened_at: Timestamp,
    /// The working time, by which the retry timeout and stalls are measured.
    pub(super) elapsed: Elapsed,
    /// The working time when the request in progress began.
    pub(super) began: Duration,
    /// The working time of the last progress: rows were committed, or the only batch in flight was answered.
    pub(super) progress_at: Duration,
    /// When the next status is due.
    pub(super) poll_at: Timestamp,
    pub(super) faults: FaultHistory,
    /// The last status that was read.
    pub(super) status: Option<Arc<ChannelStatus>>,
    pub(super) metrics: WriterMetrics,
    /// Whether the request in progress was sent.
    pub(super) is_sent: bool,
    pub(super) events: VecDeque<WriterEvent>,
    /// How many batches must be committed for the next [`WriterEvent::Flushed`].
    pub(super) flush: Option<u64>,
    pub(super) closing: bool,
    pub(super) state: State,
}

/// The state of a writer. Requests in progress and the final error are boxed, so that an idle writer is small.
pub(super) enum State {
    Start,
    Open(Box<Runner<OpenMachine>>),
    /// The channel is open, and no request is in progress.
    Ready,
    Append(Box<Runner<AppendMachine>>),
    Poll(Box<Call<BulkGetChannelStatus>>),
    /// Waits before the channel is reopened.
    Wait(Timestamp),
    Closed,
    Failed(Box<FlowError>),
}

/// A wait for the session's token, and the request that needs it: `None` if the channel is to be opened.
pub(super) struct TokenRequest {
    wait: TokenWait,
    request: Option<CredentialRequest>,
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Open(_) => "open",
            Self::Ready => "ready",
            Self::Append(_) => "append",
            Self::Poll(_) => "poll",
            Self::Wait(_) => "wait",
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
        }
    }
}

impl StateMachine for WriterMachine {
    type Service = SnowpipeAccount;
    type Output = WriterEvent;
    const NAME: &'static str = "Writer";

    fn transition(&mut self, cx: &mut Cx) -> Transition<WriterEvent> {
        self.elapsed.begin(cx.now());
        let transition = self.advance(cx);
        // Requests for a token belong to the session.
        if matches!(transition, ControlFlow::Break(Step::Send(_))) && self.token.is_none() {
            self.metrics.retries += u64::from(self.is_sent);
            self.is_sent = true;
        }
        self.elapsed.end(&transition);
        transition
    }

    fn is_last(&self, event: &WriterEvent) -> bool {
        matches!(event, WriterEvent::Closed)
    }

    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        self.with_unconfirmed(error)
    }
}

/// The transitions, in the order of the picture.
impl WriterMachine {
    fn is_waiting_for_reply(&self) -> bool {
        let is_idle =
            matches!(self.state, State::Start | State::Ready | State::Wait(_) | State::Closed | State::Failed(_));
        self.token.is_some() || !is_idle
    }

    fn advance(&mut self, cx: &mut Cx) -> Transition<WriterEvent> {
        // A reply for the request in progress is handled first.
        if !(cx.has_reply() && self.is_waiting_for_reply())
            && let Some(event) = self.events.pop_front()
        {
            return done(Ok(event));
        }
        if let Some(token) = &mut self.token {
            let result = token.wait.poll(cx)?;
            self.use_token(result, cx);
            return ControlFlow::Continue(());
        }
        match &mut self.state {
            State::Start | State::Ready | State::Wait(_) => return self.proceed(cx),
            State::Open(open) => match open.poll(cx.now(), cx.take_reply()) {
                Step::Authorize(request) => self.authorize(request, cx),
                step => {
                    let result = step.into_result()?;
                    self.opened(result, cx);
                }
            },
            State::Append(append) => match append.poll(cx.now(), cx.take_reply()) {
                Step::Authorize(request) => self.authorize(request, cx),
                step => {
                    let result = step.into_result()?;
                    self.appended(result, cx);
                }
            },
            State::Poll(call) => match call.poll(cx.now(), cx.take_reply()) {
                Step::Authorize(request) => self.authorize(request, cx),
                step => {
                    let result = step.into_result()?;
                    self.polled(result, cx);
                }
            },
            State::Closed => return done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
            State::Failed(error) => return done(Err((**error).clone())),
        }
        ControlFlow::Continue(())
    }

    /// Start, Ready, Wait: no request is in progress.
    fn proceed(&mut self, cx: &mut Cx) -> Transition<WriterEvent> {
        if matches!(self.state, State::Start)
            && let Err(error) = self.goal.tokens.check()
        {
            self.fail(error.into());
            return ControlFlow::Continue(());
        }
        if let Some(error) = cx.expired("the rows to be committed") {
            self.fail(error);
            return ControlFlow::Continue(());
        }
        self.collect(cx);
        if self.opened && self.flush.is_some_and(|upto| upto <= self.replay.settled) {
            self.flush = None;
            self.events.push_back(WriterEvent::Flushed);
        }
        // Batches of an earlier process are not settled before the channel is open.
        if self.closing && self.opened && self.replay.is_empty() {
            self.close(cx);
        }
        if !self.events.is_empty() {
            return ControlFlow::Continue(());
        }
        match (&self.state, &self.channel) {
            (State::Wait(at), _) if *at > cx.now() => {
                return ControlFlow::Break(Step::WaitUntil(cx.no_later_than(*at)));
            }
            (State::Ready, Some(_)) if self.poll_at <= cx.now() => self.poll_status(cx),
            (State::Ready, Some(_)) if self.replay.has_unsent() => self.append(cx),
            (State::Ready, Some(_)) => {
                let at = self.builder.due().map_or(self.poll_at, |due| due.min(self.poll_at));
                return ControlFlow::Break(Step::WaitUntil(cx.no_later_than(at)));
            }
            (State::Failed(_), _) => {}
            _ => self.request_channel(cx),
        }
        ControlFlow::Continue(())
    }

    /// Start, Wait → Token: the session knows where to open the channel.
    fn request_channel(&mut self, cx: &mut Cx) {
        let requested_wait = std::mem::take(&mut self.faults.requested_wait);
        self.exclude(requested_wait, cx);
        self.began = self.elapsed.total();
        self.token = Some(Box::new(TokenRequest { wait: TokenWait::new(&self.goal.session), request: None }));
    }

    /// Open, Append, Poll → Token: the request needs the session's token.
    fn authorize(&mut self, request: CredentialRequest, cx: &Cx) {
        if let Some(rejected) = request.rejected() {
            self.goal.session.reject(rejected, cx.now());
        }
        let wait = TokenWait::new(&self.goal.session);
        self.token = Some(Box::new(TokenRequest { wait, request: Some(request) }));
    }

    /// Token → Open, or back to the request that needs it.
    fn use_token(&mut self, result: Result<Grant, FlowError>, cx: &mut Cx) {
        let token = self.token.take();
        let asked_to_wait = token.as_ref().map_or(Duration::ZERO, |token| token.wait.asked_to_wait());
        self.exclude(asked_to_wait, cx);
        let request = token.and_then(|token| token.request);
        let here = self.ingest.as_ref().map(|(_, generation)| *generation);
        match (result, request) {
            (Ok(grant), Some(request)) if Some(grant.generation) == here => {
                cx.put_reply(request.settle(Ok(grant.header)));
            }
            // Another flow has found that the service is at another host now.
            (Ok(_), Some(_)) => {
                self.abandon(cx);
                self.handle(Fault::SessionMoved, Open::INFO, session_moved(&self.goal.path.to_string()), cx);
            }
            (Ok(grant), None) => {
                self.ingest = Some((grant.config, grant.generation));
                self.open(cx);
            }
            (Err(error), _) => {
                self.abandon(cx);
                match Fault::of_session(&error) {
                    fault @ Fault::AccountRejected => self.handle(fault, ExchangeToken::INFO, error, cx),
                    _ => self.request_failed(ExchangeToken::INFO, error, cx),
                }
            }
        }
    }

    fn open(&mut self, cx: &mut Cx) {
        // The rows that the service waits for may be rows of this writer: their commit may take long.
        let busy_timeout = self.retry_time_left();
        let (deadline, excuse) = self.begin_request(cx);
        let Some((ingest, _)) = &self.ingest else { return };
        let goal = OpenChannel::new(self.goal.path.clone()).busy_timeout(busy_timeout);
        let open = goal.start(ingest, cx.seed.split()).into_runner().with_deadline(deadline).excusing(excuse);
        self.state = State::Open(Box::new(open));
        self.metrics.reopenings += u64::from(self.opened);
        cx.phase(Self::NAME, if self.opened { "opening again" } else { "opening" });
    }

    /// Open → Ready: settles the committed batches; the other batches are sent again.
    fn opened(&mut self, result: Result<Channel, FlowError>, cx: &mut Cx) {
        if let State::Open(open) = &self.state {
            let asked_to_wait = open.machine().request.asked_to_wait();
            self.exclude(asked_to_wait, cx);
        }
        let mut channel = match result {
            Ok(channel) => channel,
            Err(error) => {
                self.abandon(cx);
                return self.request_failed(Open::INFO, error, cx);
            }
        };
        let own = self.goal.tokens.remove_from(Arc::make_mut(&mut channel.status), !self.replay.is_known());
        let mut delta = own.and_then(|()| self.replay.reopened(&channel.status));
        if delta.is_ok() && self.goal.must_have_committed && !self.opened && channel.committed().is_none() {
            delta = Err(ChannelLost::TokenGone { before: None });
        }
        let delta = match delta {
            Ok(delta) => delta,
            Err(lost) => return self.handle(Fault::ChannelLost, Open::INFO, lost.of(&self.goal.path), cx),
        };
        if !std::mem::replace(&mut self.opened, true) {
            let committed = channel.committed().map(str::to_owned);
            self.events.push_back(WriterEvent::Opened { committed });
        }
        if delta.batches > 0 {
            self.faults.clear();
        }
        self.announce(delta);
        self.status = Some(Arc::clone(&channel.status));
        if channel.unanswered_open {
            self.faults.unanswered_open = Some(cx.now());
        }
        self.channel = Some(channel);
        self.faults.lost.clear();
        self.opened_at = cx.now();
        self.progress_at = self.elapsed.total();
        self.poll_in(self.goal.idle, cx);
        self.state = State::Ready;
    }

    /// Ready → Append.
    fn append(&mut self, cx: &mut Cx) {
        let (Some(channel), Some(batch)) = (self.channel.take(), self.replay.send_next()) else { return };
        self.metrics.batches_sent += 1;
        self.metrics.bytes_sent += batch.body.len();
        self.save(cx);
        let (deadline, excuse) = self.begin_request(cx);
        let Some((ingest, _)) = &self.ingest else { return };
        let append = channel.append(self.goal.tokens.add_to(batch)).start(ingest, cx.seed.split());
        let append = append.into_runner().with_deadline(deadline).excusing(excuse);
        self.state = State::Append(Box::new(append));
    }

    /// Append → Ready.
    fn appended(&mut self, result: Result<Channel, FlowError>, cx: &mut Cx) {
        if let State::Append(append) = &self.state {
            let asked_to_wait = append.machine().asked_to_wait();
            self.exclude(asked_to_wait, cx);
        }
        match result {
            Ok(channel) => {
                self.channel = Some(channel);
                self.faults.clear_rejections();
                // Behind other batches, its answer is no progress: they are waited for already.
                if self.replay.sent().len() == 1 {
                    self.progress_at = self.elapsed.total();
                }
                self.poll_at = self.poll_at.min(cx.now() + STATUS_POLL_INTERVAL);
                self.registration.due(self.poll_at);
                self.state = State::Ready;
            }
            Err(error) => self.request_failed(AppendRows::INFO, error, cx),
        }
    }

    /// Ready → Poll, unless another writer has requested the status, too.
    fn poll_status(&mut self, cx: &mut Cx) {
        match self.registration.status(cx.now(), self.opened_at) {
            StatusAccess::Posted(status, requested_at) => {
                self.began = self.elapsed.total();
                self.read(status, requested_at, cx);
            }
            StatusAccess::Wait(at) => self.poll_at = at,
            StatusAccess::Request(lease) => {
                let id = RequestId::from_bits(cx.seed.next_u128());
                let status = self.goal.path.status(id, lease.names());
                self.lease = Some(lease);
                let (deadline, excuse) = self.begin_request(cx);
                let Some((ingest, _)) = &self.ingest else { return };
                let call = Call::new(status, ingest, cx.seed.split()).with_deadline(deadline).excusing(excuse);
                self.state = State::Poll(Box::new(call));
            }
        }
    }

    /// Poll → Ready: posts the statuses for all writers of the lease. This writer takes its own status next.
    fn polled(&mut self, result: Result<ChannelStatuses, FlowError>, cx: &mut Cx) {
        if let State::Poll(call) = &self.state {
            let asked_to_wait = call.asked_to_wait();
            self.exclude(asked_to_wait, cx);
        }
        let lease = self.lease.take();
        match result {
            Ok(statuses) => {
                if let Some(lease) = lease {
                    lease.post(statuses, cx.now());
                }
                self.state = State::Ready;
            }
            Err(error) => self.request_failed(BulkGetChannelStatus::INFO, error, cx),
        }
    }

    /// Ready → Ready: settles the committed batches.
    fn read(&mut self, status: Option<ChannelStatus>, requested_at: Timestamp, cx: &mut Cx) {
        let operation = BulkGetChannelStatus::INFO;
        let delta = match status {
            None => Err(ChannelLost::Missing),
            Some(mut status) => {
                if let Some(error) = status.rejection(BulkGetChannelStatus::INFO) {
                    if status.is_unreadable() && !self.faults.lost.add(None, requested_at) {
                        return self.handle(Fault::Unproven, operation, error.into(), cx);
                    }
                    return self.request_failed(operation, error.into(), cx);
                }
                let own = self.goal.tokens.remove_from(&mut status, false);
                let delta = own.and_then(|()| self.replay.polled(&status));
                if delta.is_ok() {
                    let status = Arc::new(status);
                    if let Some(channel) = &mut self.channel {
                        channel.status = Arc::clone(&status);
                    }
                    self.status = Some(status);
                }
                delta
            }
        };
        match delta {
            Ok(delta) => self.settled(delta, cx),
            // An open would show the loss at once, but would take the channel from the client that has it now.
            Err(lost) => {
                let is_proven = self.faults.lost.add(Some(&lost), requested_at);
                let fault = if is_proven { Fault::ChannelLost } else { Fault::Unproven };
                self.handle(fault, operation, lost.of(&self.goal.path), cx);
            }
        }
    }

    fn settled(&mut self, delta: StatusDelta, cx: &mut Cx) {
        self.faults.lost.clear();
        if delta.batches > 0 {
            self.progress_at = self.elapsed.total();
        }
        if delta.batches > 0 || self.replay.is_empty() {
            self.faults.clear();
        }
        self.announce(delta);
        let is_waiting = self.replay.sent().len() > 0;
        let idle_for = self.elapsed.total().saturating_sub(self.progress_at);
        if is_waiting && idle_for >= self.goal.stall_timeout {
            // The buffered rows may be lost, and no status shows that: only reopening the channel does.
            let is_first = self.faults.duration(self.elapsed.total()) < self.goal.retry_timeout;
            let time = if is_first { self.goal.stall_timeout } else { self.goal.retry_timeout };
            let reason = format!("appends are answered, but no rows were committed for {time:?}");
            let what = format!("channel {}", self.goal.path);
            let error = FlowError::Failed(Failure { what, reason, details: None, cause: None });
            return self.handle(Fault::Stalled, BulkGetChannelStatus::INFO, error, cx);
        }
        self.poll_in(if is_waiting { STATUS_POLL_INTERVAL } else { self.goal.idle }, cx);
    }

    /// Ready, Wait → Closed.
    fn close(&mut self, cx: &mut Cx) {
        // The next process must not report again the rows that were rejected since the last append.
        self.save(cx);
        self.channel = None;
        self.registration.due(Timestamp::MAX);
        self.state = State::Closed;
        self.events.push_back(WriterEvent::Closed);
    }
}

impl WriterMachine {
    /// Saves the state that another process needs to continue.
    pub(super) fn save(&self, cx: &mut Cx) {
        let Some(position) = self.replay.position() else { return };
        let (path, Tokens { prefix, ignored, .. }) = (self.goal.path.clone(), self.goal.tokens.clone());
        let state = WriterState { path, position, token_prefix: prefix, ignored_token: ignored };
        cx.save(SavedState::new(Self::NAME, &state));
    }

    pub(super) fn poll_in(&mut self, time: Duration, cx: &Cx) {
        self.poll_at = cx.now() + time;
        self.registration.due(self.poll_at);
    }

    /// Queues the events of a status. Rejected rows come first, so that the caller knows them when it sees the token.
    fn announce(&mut self, delta: StatusDelta) {
        self.metrics.batches_committed += delta.batches as u64;
        self.metrics.rows_committed += delta.rows;
        self.metrics.rows_rejected += delta.rejected.as_ref().map_or(0, |rejected| rejected.count);
        self.events.extend(delta.rejected.map(WriterEvent::Rejected));
        if let Some(token) = self.replay.committed().filter(|_| delta.batches > 0) {
            let token = token.to_owned();
            self.events.push_back(WriterEvent::Committed { token, batches: delta.batches, rows: delta.rows });
        }
        // An idle writer keeps no memory for rows.
        if self.replay.is_empty() {
            self.builder.release();
        }
    }
}

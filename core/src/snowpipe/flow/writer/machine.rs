//! The transitions of a [`Writer`]; its states and what leads from one to the other are drawn in the [module](super).

use std::collections::VecDeque;
use std::time::Duration;

use super::event::WriterEvent;
use super::judge::{Verdict, judge};
use super::ledger::News;
use super::{NAME, Writer, WriterState};
use crate::error::{Ambiguity, Cause, Failure, FlowError, Misuse, ServiceError};
use crate::flow::{Call, CredentialRequest, Flow as _, Goal as _, Notice, Reply, Running, Saved, Step, ok};
use crate::operation::Operation as _;
use crate::snowpipe::flow::append::AppendMachine;
use crate::snowpipe::flow::board::Look;
use crate::snowpipe::flow::open::OpenMachine;
use crate::snowpipe::flow::patience::is_busy;
use crate::snowpipe::flow::{Channel, ChannelLost, OpenChannel, POLL};
use crate::snowpipe::session::{Entry, Pass};
use crate::snowpipe::{
    AppendRows, BulkGetChannelStatus, ChannelStatus, ChannelStatuses, ExchangeToken, OpenChannel as Open, RequestId,
};
use crate::time::Timestamp;

/// Within this time, this many openings by somebody else are a fight.
const FIGHT: (Duration, usize) = (Duration::from_secs(600), 3);
/// A refusal that may be a mistake is believed when it comes for this time in a row.
const BELIEVED: u32 = 3;
/// For so long at the least the account is not asked again after a refusal: the session would say the same.
const REFUSED: Duration = Duration::from_secs(3);
/// What the account says of a token for a host that is not its own, as OAuth has it (RFC 6749 §5.2).
const WRONG_HOST: &str = "invalid_scope";
/// The longest wait before the channel is opened again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is under way is boxed: a writer at rest has no room for it.
pub(super) enum State {
    /// The channel has to be opened.
    Begin,
    Open(Box<Running<OpenMachine>>),
    /// There is a channel, and nothing under way.
    Ready,
    Append(Box<Running<AppendMachine>>),
    Look(Box<Call<BulkGetChannelStatus>>),
    /// Before opening again.
    Wait(Timestamp),
    Closed,
    Failed(FlowError),
}

/// A question to the session, and the request that is waiting for the answer: none when it is about where to open the channel.
pub(super) struct Asking {
    entry: Entry,
    request: Option<CredentialRequest>,
}

/// The faults since all was well.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    since: Option<Timestamp>,
    /// How often the channel was opened again since.
    again: u32,
    /// Refusals that may be a mistake.
    refusals: u32,
    /// When the channel was taken away.
    taken: VecDeque<Timestamp>,
    /// When an open of ours was without an answer: it may arrive later, and take the channel from ourselves.
    doubtful: Option<Timestamp>,
}

impl Trouble {
    /// What counts as calm: something was committed, or the channel is well when nothing waits. That an append was answered
    /// does not, because a channel may take rows and be ended by them.
    fn over(&mut self) {
        self.since = None;
        self.again = 0;
        self.refusals = 0;
    }

    /// Whether faults go on for as long as this, when one more has come that began at `from`.
    fn lasts(&mut self, patience: Duration, from: Timestamp, now: Timestamp) -> bool {
        now.since(*self.since.get_or_insert(from)) >= patience
    }

    /// Whether somebody else keeps opening the channel.
    fn is_fight(&mut self, now: Timestamp, perhaps_ours: bool) -> bool {
        let (within, times) = FIGHT;
        let is_recent = |at: &Timestamp| now.since(*at) < within;
        if perhaps_ours || self.doubtful.as_ref().is_some_and(is_recent) {
            return false;
        }
        self.taken.retain(is_recent);
        self.taken.push_back(now);
        self.taken.len() >= times
    }
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
                let result = ok!(asking.entry.step(&mut self.cx, reply));
                *reply = self.entered(result);
                continue;
            }
            let now = self.cx.now();
            match &mut self.state {
                State::Open(open) => {
                    let step = open.poll(now, reply.take());
                    let Some(step) = self.pass_on(step) else { continue };
                    let result = ok!(step);
                    self.opened(result);
                }
                State::Append(append) => {
                    let step = append.poll(now, reply.take());
                    let Some(step) = self.pass_on(step) else { continue };
                    let result = ok!(step);
                    self.appended(result);
                }
                State::Look(call) => {
                    let step = call.poll(now, reply.take());
                    let Some(step) = self.pass_on(step) else { continue };
                    let result = ok!(step);
                    self.answered(result);
                }
                _ => {
                    if let Some(stray) = reply.take() {
                        return Step::Stray(stray);
                    }
                    if let Some(step) = self.rest() {
                        return step;
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

    /// Asks the session: for a credential, or for a place to open the channel at.
    fn enter(&mut self, request: Option<CredentialRequest>) {
        self.entry = Some(Box::new(Asking { entry: Entry::new(&self.goal.session), request }));
    }

    /// The session has a token, or there is none to be had.
    fn entered(&mut self, result: Result<Pass, FlowError>) -> Option<Reply> {
        let request = self.entry.take().and_then(|asking| asking.request);
        let here = self.ingest.as_ref().map(|(_, generation)| *generation);
        match (result, request) {
            (Ok(pass), Some(request)) if Some(pass.generation) == here => return Some(request.settle(Ok(pass.header))),
            // Somebody else has found that the service is at another host now.
            (Ok(_), Some(_)) => {
                self.again(Open::INFO.name, "the session has moved to another host".to_owned(), self.cx.now());
            }
            (Ok(pass), None) => {
                self.ingest = Some((pass.config, pass.generation));
                self.open();
            }
            (Err(error), _) => self.refused(error),
        }
        None
    }

    /// What to do while nothing is under way. `None` when there is something to do at once.
    fn rest(&mut self) -> Option<Step<WriterEvent>> {
        match &self.state {
            State::Failed(error) => return Some(Step::Done(Err(error.clone()))),
            State::Closed => return Some(Step::Done(Err(FlowError::Misuse(Misuse::PolledAfterDone)))),
            _ => {}
        }
        if let Some(error) = self.cx.expired("the rows to be committed") {
            self.fail(error);
            return None;
        }
        self.collect();
        if self.opened && self.flush.is_some_and(|upto| upto <= self.ledger.settled) {
            self.flush = None;
            self.events.push_back(WriterEvent::Flushed);
        }
        // What another process has sent is not settled before the channel is open.
        if self.closing && self.opened && self.ledger.is_empty() {
            // What was rejected since the last append is not told again to whoever goes on from here.
            if let Some(saved) = self.saved() {
                self.cx.save(saved);
            }
            self.channel = None;
            self.seat.due(Timestamp::MAX);
            self.state = State::Closed;
            self.events.push_back(WriterEvent::Closed);
        }
        if !self.events.is_empty() {
            return None;
        }
        match (&self.state, &self.channel) {
            (State::Wait(at), _) if *at > self.cx.now() => return Some(Step::WaitUntil(self.cx.no_later_than(*at))),
            (State::Ready, Some(_)) => return self.ready(),
            (State::Failed(_), _) => {}
            _ => self.enter(None),
        }
        None
    }

    fn ready(&mut self) -> Option<Step<WriterEvent>> {
        if self.next_look <= self.cx.now() {
            self.look();
        } else if !self.append_next() {
            let at = self.builder.due().map_or(self.next_look, |due| due.min(self.next_look));
            return Some(Step::WaitUntil(self.cx.no_later_than(at)));
        }
        None
    }

    fn open(&mut self) {
        let Some((ingest, _)) = &self.ingest else { return };
        // The rows that are waited for may be our own: their commit takes as long as it takes.
        let waited = self.trouble.since.map_or(Duration::ZERO, |since| self.cx.now().since(since));
        let patience = self.goal.patience.saturating_sub(waited);
        let goal = OpenChannel::new(self.goal.path.clone()).wait_at_most(patience);
        self.state = State::Open(Box::new(goal.start(ingest, self.cx.seed.split()).with_deadline(self.cx.deadline())));
        self.cx.phase(NAME, if self.opened { "opening again" } else { "opening" });
    }

    fn opened(&mut self, result: Result<Channel, FlowError>) {
        let channel = match result {
            Ok(channel) => channel,
            // It was waited for as long as faults may go on.
            Err(error) if error.service().is_some_and(is_busy) => return self.fail(error),
            Err(error) => return self.trouble(Open::INFO.name, error),
        };
        let news = match self.ledger.reopened(&channel.status) {
            Ok(news) => news,
            Err(lost) => return self.fail(lost.of(&self.goal.path)),
        };
        if self.goal.must_have_committed && channel.committed().is_none() && !self.opened {
            return self.fail(ChannelLost::TokenGone { before: None }.of(&self.goal.path));
        }
        if !std::mem::replace(&mut self.opened, true) {
            let committed = channel.committed().map(str::to_owned);
            self.events.push_back(WriterEvent::Opened { committed });
        }
        if news.batches > 0 {
            self.trouble.over();
        }
        self.announce(news);
        if channel.doubtful {
            self.trouble.doubtful = Some(self.cx.now());
        }
        self.channel = Some(channel);
        self.opened_at = self.cx.now();
        self.moved_at = self.cx.now();
        self.look_after(self.goal.idle);
        self.state = State::Ready;
    }

    /// Sends the next batch, if there is one.
    fn append_next(&mut self) -> bool {
        let Some((ingest, _)) = &self.ingest else { return false };
        let Some(channel) = self.channel.take() else { return false };
        let Some(batch) = self.ledger.send_next() else {
            self.channel = Some(channel);
            return false;
        };
        if let Some(saved) = self.saved() {
            self.cx.save(saved);
        }
        let append = channel.append(batch).start(ingest, self.cx.seed.split()).with_deadline(self.cx.deadline());
        self.state = State::Append(Box::new(append));
        true
    }

    /// What another process needs to go on.
    fn saved(&self) -> Option<Saved> {
        let position = self.ledger.position()?;
        Some(Saved::new(NAME, &WriterState { path: self.goal.path.clone(), position }))
    }

    fn appended(&mut self, result: Result<Channel, FlowError>) {
        match result {
            Ok(channel) => {
                self.channel = Some(channel);
                self.trouble.refusals = 0;
                // With others before it, its answer is no progress: they are waited for longer already.
                if self.ledger.sent().len() == 1 {
                    self.moved_at = self.cx.now();
                }
                self.next_look = self.next_look.min(self.cx.now() + POLL);
                self.seat.due(self.next_look);
                self.state = State::Ready;
            }
            Err(error) => self.trouble(AppendRows::INFO.name, error),
        }
    }

    fn look(&mut self) {
        let Some((ingest, _)) = &self.ingest else { return };
        match self.seat.look(self.cx.now(), self.opened_at) {
            Look::Posted(status) => self.looked(status),
            Look::Wait(at) => self.next_look = at,
            Look::Ask(lease) => {
                let id = RequestId::from_bits(self.cx.seed.next_u128());
                let status = self.goal.path.status(id, lease.names().to_vec());
                let call = Call::new(status, ingest, self.cx.seed.split()).with_deadline(self.cx.deadline());
                self.lease = Some(lease);
                self.state = State::Look(Box::new(call));
            }
        }
    }

    fn answered(&mut self, result: Result<ChannelStatuses, FlowError>) {
        let lease = self.lease.take();
        match result {
            Ok(statuses) => {
                if let Some(lease) = lease {
                    lease.post(statuses);
                }
                // What was posted for ourselves is found when we look again, at once.
                self.state = State::Ready;
            }
            Err(error) => self.trouble(BulkGetChannelStatus::INFO.name, error),
        }
    }

    fn looked(&mut self, status: Option<ChannelStatus>) {
        let Some(status) = status else { return self.fail(ChannelLost::Missing.of(&self.goal.path)) };
        if let Some(refusal) = status.refusal(BulkGetChannelStatus::INFO) {
            return self.trouble(BulkGetChannelStatus::INFO.name, refusal.into());
        }
        match self.ledger.looked(&status) {
            Ok(news) => {
                if news.batches > 0 {
                    self.moved_at = self.cx.now();
                }
                if news.batches > 0 || self.ledger.is_empty() {
                    self.trouble.over();
                }
                self.announce(news);
                if self.ledger.sent().len() > 0 && self.cx.now().since(self.moved_at) >= self.goal.stall {
                    return self.stalled();
                }
                self.look_after(if self.ledger.sent().len() > 0 { POLL } else { self.goal.idle });
            }
            Err(lost) => self.fail(lost.of(&self.goal.path)),
        }
    }

    /// What was buffered may be gone, and no status tells.
    fn stalled(&mut self) {
        let (now, patience) = (self.cx.now(), self.goal.patience);
        if self.trouble.lasts(patience, self.moved_at, now) {
            let reason = format!("appends are answered, and nothing was committed for {patience:?}");
            let what = format!("channel {}", self.goal.path);
            return self.fail(FlowError::Failed(Failure { what, reason, details: None, cause: None }));
        }
        let cause = format!("nothing was committed for {:?}", self.goal.stall);
        self.again(BulkGetChannelStatus::INFO.name, cause, now);
    }

    fn look_after(&mut self, time: Duration) {
        self.next_look = self.cx.now() + time;
        self.seat.due(self.next_look);
    }

    /// First what was rejected, so that whoever sees the token knows it already.
    fn announce(&mut self, news: News) {
        self.events.extend(news.rejected.map(WriterEvent::Rejected));
        if let Some(token) = self.ledger.committed().filter(|_| news.batches > 0) {
            let token = token.to_owned();
            self.events.push_back(WriterEvent::Committed { token, batches: news.batches, rows: news.rows });
        }
    }

    /// An exchange has failed: opens the channel again, which settles what is in doubt, or ends.
    fn trouble(&mut self, operation: &'static str, error: FlowError) {
        let verdict = judge(&error);
        // The call says of every append that may have been carried out that it is ambiguous. Where somebody else is behind it,
        // only the committed token is believed: a proxy may have made the attempt before this one.
        if operation == AppendRows::INFO.name && !error.is_ambiguous() && !matches!(verdict, Verdict::Taken { .. }) {
            self.ledger.unsend_last();
        }
        match verdict {
            Verdict::GiveUp => {
                let error = self.blame(operation, error);
                return self.fail(error);
            }
            Verdict::Taken { perhaps_ours } if self.trouble.is_fight(self.cx.now(), perhaps_ours) => {
                let times = self.trouble.taken.len();
                return self.fail(ChannelLost::Contested { times }.of(&self.goal.path));
            }
            Verdict::Doubtful => {
                self.trouble.refusals += 1;
                if self.trouble.refusals >= BELIEVED {
                    let error = self.blame(operation, error);
                    return self.fail(error);
                }
            }
            Verdict::Moved => {
                if let Some((_, generation)) = self.ingest {
                    self.goal.session.moved(generation);
                }
            }
            Verdict::Reopen | Verdict::Taken { .. } => {}
        }
        let (now, patience) = (self.cx.now(), self.goal.patience);
        if self.trouble.lasts(patience, now, now) {
            return self.fail(error);
        }
        let earliest = error.service().and_then(ServiceError::retry_after).map(|after| after.resolve(now));
        self.again(operation, error.to_string(), earliest.unwrap_or(now).min(now + patience));
    }

    /// The account has refused us, or cannot be reached. A refusal is believed when it is repeated; but not what is said of the
    /// host, which is asked for anew each time: its name may be cut off on its way, or the account has moved meanwhile.
    fn refused(&mut self, error: FlowError) {
        let operation = ExchangeToken::INFO.name;
        if !matches!(judge(&error), Verdict::GiveUp | Verdict::Doubtful) || error.service().is_none() {
            return self.trouble(operation, error);
        }
        let now = self.cx.now();
        let is_over = if error.service().and_then(ServiceError::code) == Some(WRONG_HOST) {
            self.trouble.lasts(self.goal.patience, now, now)
        } else {
            self.trouble.refusals += 1;
            self.trouble.refusals >= BELIEVED
        };
        if is_over {
            return self.fail(error);
        }
        self.again(operation, error.to_string(), now + REFUSED);
    }

    /// Opens the channel again, not before `earliest`.
    fn again(&mut self, operation: &'static str, cause: String, earliest: Timestamp) {
        let at = (self.cx.now() + self.wait()).max(earliest);
        (self.channel, self.lease) = (None, None);
        self.seat.due(Timestamp::MAX);
        self.cx.say(Notice::Retrying { operation, cause, at });
        self.state = State::Wait(at);
    }

    /// At once, and then after about 1, 2, 4, … s.
    fn wait(&mut self) -> Duration {
        let again = self.trouble.again;
        self.trouble.again = again.saturating_add(1);
        let Some(doublings) = again.checked_sub(1) else { return Duration::ZERO };
        let wait = Duration::from_secs(1 << doublings.min(5)).min(LONGEST_WAIT);
        let half = u64::try_from(wait.as_millis() / 2).unwrap_or_default();
        wait / 2 + Duration::from_millis(self.cx.seed.below(half.saturating_add(1)))
    }

    /// A refusal that concerns the batch names it.
    fn blame(&mut self, operation: &'static str, error: FlowError) -> FlowError {
        let FlowError::Service(refusal) = &error else { return error };
        let is_of_batch =
            operation == AppendRows::INFO.name && matches!(refusal.status().as_u16(), 400 | 413 | 415 | 422);
        // It counts as not sent by now, because it was refused for certain.
        let Some(batch) = self.ledger.unsent().next().filter(|_| is_of_batch) else { return error };
        let token = |token: &Option<String>| token.clone().unwrap_or_default();
        let what = format!(
            "the batch of {} with the offset tokens \"{}\" to \"{}\"",
            counted(batch.rows, "row", "rows"),
            token(&batch.start_offset_token),
            token(&batch.end_offset_token)
        );
        let failure = Failure {
            what,
            reason: refusal.to_string(),
            details: refusal.details().map(str::to_owned),
            cause: Some(Cause::new(refusal.clone())),
        };
        FlowError::Failed(failure)
    }

    /// The end; says what is in doubt.
    pub(super) fn fail(&mut self, error: FlowError) {
        self.channel = None;
        self.lease = None;
        self.seat.due(Timestamp::MAX);
        self.state = State::Failed(self.with_doubts(error));
    }

    fn with_doubts(&self, error: FlowError) -> FlowError {
        let tokens: Vec<&str> = self.ledger.doubtful().collect();
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return error };
        let committed = self.ledger.committed().map_or("nothing".to_owned(), |token| format!("\"{token}\""));
        let found = format!(
            "committed up to {committed}; in doubt: {} behind it, with the end tokens \"{first}\" to \"{last}\": the first of \
             them may be committed, in this order and without a gap",
            counted(tokens.len() as u64, "batch", "batches")
        );
        let (cause, unanswered) = match error {
            FlowError::Ambiguous(Ambiguity { cause, unanswered, .. }) => (cause, unanswered),
            error => (Box::new(error), false),
        };
        FlowError::Ambiguous(Ambiguity { operation: AppendRows::INFO.name, cause, unanswered, found: Some(found) })
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

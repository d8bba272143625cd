//! What a [`Writer`] does about faults: it opens its channel again, or ends. What a fault means is judged [beside](super::classify).

use std::collections::VecDeque;
use std::time::Duration;

use super::Writer;
use super::classify::{Verdict, classify, may_be_of_a_repetition};
use super::machine::State;
use crate::error::{Ambiguity, Cause, Delivery, Failure, FlowError, ServiceError, TransportError, TransportErrorKind};
use crate::flow::Notice;
use crate::operation::Operation as _;
use crate::snowpipe::flow::loss_detector::LossDetector;
use crate::snowpipe::flow::{ChannelLost, POLL};
use crate::snowpipe::{AppendRows, BulkGetChannelStatus, ExchangeToken};
use crate::time::Timestamp;

/// Within this time, this many openings by somebody else are a fight; or this many where nobody says that it was somebody else:
/// the service may have ended the channel by itself.
const FIGHT: (Duration, usize, usize) = (Duration::from_secs(600), 3, 10);
/// A refusal that may be a mistake is believed when it comes for this time in a row.
const BELIEVED: u32 = 3;
/// For so long at the least the account is not asked again after a refusal: the session would say the same.
const REFUSED: Duration = Duration::from_secs(3);
/// For how long a host is tried to which no connection was ever made.
const UNREACHED: Duration = Duration::from_secs(10);
/// For how long a host is asked that has never answered as the service does.
const UNANSWERED: Duration = Duration::from_secs(120);
/// The longest wait before the channel is opened again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The faults since all was well.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// Since when, by the writer's [time](super::Writer::elapsed).
    since: Option<Duration>,
    /// How much of the waits that the service has asked for did not count since the last commit.
    excused: Duration,
    /// How long the service has asked to be left alone before the channel is opened again.
    pub(super) asked_to_wait: Duration,
    /// How often the channel was opened again since.
    again: u32,
    /// Refusals that may be a mistake, in a row, and of what.
    refusals: (&'static str, u32),
    /// When the channel was taken away, and whether it is said that it was.
    taken: VecDeque<(Timestamp, bool)>,
    /// Statuses that say that the channel is not ours any more, or that cannot be read.
    pub(super) lost: LossDetector,
    /// When an open of ours was without an answer: it may arrive later, and take the channel from ourselves.
    pub(super) unanswered_open: Option<Timestamp>,
    /// Since when a host that has never answered is tried: whether it is the account's, and for how long it is tried at most.
    unanswered: Option<((bool, Duration), Duration)>,
}

impl Recovery {
    /// What counts as calm: something was committed, or the channel is well when nothing waits. That an append was answered
    /// does not, because a channel may take rows and be ended by them.
    pub(super) fn over(&mut self) {
        self.since = None;
        self.excused = Duration::ZERO;
        self.again = 0;
        self.calm();
    }

    /// What was refused is taken.
    pub(super) fn calm(&mut self) {
        self.refusals = ("", 0);
    }

    /// Whether a refusal is believed by now. One of something else begins anew.
    fn is_believed(&mut self, operation: &'static str) -> bool {
        let (of, times) = self.refusals;
        self.refusals = (operation, if of == operation { times + 1 } else { 1 });
        self.refusals.1 >= BELIEVED
    }

    /// Whether faults go on for as long as this, when one more has come that began at `from`.
    fn lasts(&mut self, retry_timeout: Duration, from: Duration, now: Duration) -> bool {
        self.since.get_or_insert(from);
        self.time(now) >= retry_timeout
    }

    /// How long they have been going on.
    pub(super) fn time(&self, now: Duration) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Whether an open of ours that got no answer may have taken the channel from ourselves.
    fn may_have_opened(&self, now: Timestamp) -> bool {
        self.unanswered_open.is_some_and(|at| now.since(at) < FIGHT.0)
    }

    /// Whether somebody else keeps opening the channel.
    fn is_fight(&mut self, now: Timestamp, perhaps_ours: bool, is_told: bool) -> bool {
        let (within, told, all) = FIGHT;
        if perhaps_ours || self.may_have_opened(now) {
            return false;
        }
        self.taken.retain(|(at, _)| now.since(*at) < within);
        self.taken.push_back((now, is_told));
        self.taken.len() >= all || self.taken.iter().filter(|(_, is_told)| *is_told).count() >= told
    }
}

impl Writer {
    /// An exchange has failed: opens the channel again, which settles what is unconfirmed, or ends.
    pub(super) fn recover(&mut self, operation: &'static str, error: FlowError) {
        // An exchange that we have cut off ourselves was about to be repeated, perhaps with another token: nothing is final.
        let is_cut_off = is_deadline(&error) && self.cx.expired("").is_none();
        let error = if is_cut_off { without_deadline(error) } else { error };
        let verdict = if is_cut_off { Verdict::Reopen } else { classify(&error) };
        let is_final = match verdict {
            Verdict::Suspect => self.recovery.is_believed(operation),
            verdict => verdict == Verdict::GiveUp,
        };
        // The call says of every append that may have been carried out that it is ambiguous.
        let is_unconfirmed = error.is_ambiguous() || !is_final && error.service().is_some_and(may_be_of_a_repetition);
        if operation == AppendRows::INFO.name && !is_unconfirmed {
            self.replay.unsend_last();
        }
        if is_final {
            let error = self.blame(operation, error);
            return self.fail(error);
        }
        if let Verdict::Taken { perhaps_ours: false, is_told } = verdict
            && !self.goal.tokens.are_unique()
        {
            self.replay.reject_last(is_told && !self.recovery.may_have_opened(self.cx.now()));
            // Another process must not believe that token either.
            if let Some(saved) = self.saved() {
                self.cx.save(saved);
            }
        }
        match verdict {
            Verdict::Taken { perhaps_ours, is_told }
                if self.recovery.is_fight(self.cx.now(), perhaps_ours, is_told) =>
            {
                let times = self.recovery.taken.len();
                return self
                    .fail(ChannelLost::Contested { times }.with_details(&self.goal.path, Some(error.to_string())));
            }
            Verdict::Moved => {
                if let Some((_, generation)) = self.ingest {
                    self.goal.session.moved(generation);
                }
            }
            Verdict::Reopen | Verdict::Taken { .. } | Verdict::Suspect | Verdict::GiveUp => {}
        }
        let (now, retry_timeout) = (self.cx.now(), self.goal.retry_timeout);
        // A host that says that the pipe has moved is the service.
        let is_nobody_there = verdict != Verdict::Moved && self.is_nobody_there(operation, &error);
        if is_nobody_there || self.recovery.lasts(retry_timeout, self.began, self.elapsed.total()) {
            return self.fail(error);
        }
        let asked = error.service().and_then(ServiceError::retry_after).map(|after| after.resolve(now).since(now));
        let asked = asked.unwrap_or_default().min(self.longest_retry_after());
        self.again(operation, error.to_string(), now + asked);
        self.recovery.asked_to_wait = asked;
    }

    fn longest_retry_after(&self) -> Duration {
        let retry = self.ingest.as_ref().map_or_else(|| self.cx.retry(), |(ingest, _)| ingest.retry());
        retry.longest_retry_after
    }

    /// How much more the service may ask for until its waits count as time in trouble.
    pub(super) fn excuse_left(&self) -> Duration {
        self.goal.retry_timeout.max(self.longest_retry_after()).saturating_sub(self.recovery.excused)
    }

    /// Excludes a wait that the service has asked for from the time that counts, also after a success: no commit can be expected
    /// in that time. What was under way meanwhile has just ended.
    pub(super) fn excuse(&mut self, asked_to_wait: Duration) {
        let excused = asked_to_wait.min(self.excuse_left());
        self.recovery.excused += excused;
        self.elapsed.exclude(excused, self.began);
    }

    /// Whether a host has been tried for long enough that has never answered: its address is probably wrong.
    fn is_nobody_there(&mut self, operation: &'static str, error: &FlowError) -> bool {
        let is_account = operation == ExchangeToken::INFO.name;
        let contact = match &self.ingest {
            _ if is_account => self.goal.session.account().contact(),
            Some((ingest, _)) => ingest.contact(),
            None => return false,
        };
        if self.opened || contact.has_answered() {
            return false;
        }
        let limit = match error {
            FlowError::Credential(_) => return false,
            // It asks to come again.
            _ if error.service().and_then(ServiceError::retry_after).is_some() => return false,
            FlowError::Transport(error) if error.kind() == TransportErrorKind::Tls && !contact.is_reached() => {
                return true;
            }
            FlowError::Transport(error) if error.delivery() == Delivery::NotSent && !contact.is_reached() => UNREACHED,
            _ => UNANSWERED,
        };
        let (of, now) = ((is_account, limit), self.elapsed.total());
        let since = self.recovery.unanswered.filter(|(before, _)| *before == of).map_or(now, |(_, since)| since);
        self.recovery.unanswered = Some((of, since));
        now.saturating_sub(since) >= limit
    }

    /// The account has refused us, or cannot be reached. A refusal is believed when it is repeated.
    pub(super) fn refused(&mut self, error: FlowError) {
        let operation = ExchangeToken::INFO.name;
        if !matches!(classify(&error), Verdict::GiveUp | Verdict::Suspect) || error.service().is_none() {
            return self.recover(operation, error);
        }
        if self.recovery.is_believed(operation) {
            return self.fail(error);
        }
        self.again(operation, error.to_string(), self.cx.now() + REFUSED);
    }

    /// Opens the channel again, not before `earliest`.
    pub(super) fn again(&mut self, operation: &'static str, cause: String, earliest: Timestamp) {
        self.began = self.elapsed.total();
        let at = (self.cx.now() + self.wait()).max(earliest);
        (self.channel, self.lease) = (None, None);
        self.registration.due(Timestamp::MAX);
        self.cx.say(Notice::Retrying { operation, cause, at });
        self.state = State::Wait(at);
    }

    /// At once, and then after about 1, 2, 4, … s.
    fn wait(&mut self) -> Duration {
        let again = self.recovery.again;
        self.recovery.again = again.saturating_add(1);
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
        let Some(batch) = self.replay.unsent().next().filter(|_| is_of_batch) else { return error };
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

    /// The end; says what is unconfirmed. Nothing comes after the first.
    pub(super) fn fail(&mut self, error: FlowError) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        if self.entry.take().is_some() {
            self.abandon();
        }
        self.channel = None;
        self.lease = None;
        self.registration.due(Timestamp::MAX);
        self.state = State::Failed(self.with_unconfirmed(error));
    }

    fn with_unconfirmed(&self, error: FlowError) -> FlowError {
        let tokens: Vec<&str> = self.replay.unconfirmed().collect();
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return without_unconfirmed(error) };
        let committed = self.replay.committed().map_or("nothing".to_owned(), |token| format!("\"{token}\""));
        let found = format!(
            "committed up to {committed}; unconfirmed: {} behind it, with the end tokens \"{first}\" to \"{last}\": the first of \
             them may be committed, in this order and without a gap",
            counted(tokens.len() as u64, "batch", "batches")
        );
        let (cause, unanswered) = match error {
            FlowError::Ambiguous(Ambiguity { cause, unanswered, .. }) => (cause, unanswered),
            error => (Box::new(error), false),
        };
        let operation = AppendRows::INFO.name;
        FlowError::Ambiguous(Ambiguity { operation, cause, unanswered, found: Some(found), evidence: None })
    }

    /// Perhaps only to a node that is behind: believed when nothing else is said for a while. An open would tell at once, and
    /// take the channel from whoever has it now.
    pub(super) fn seems_lost(&mut self, lost: ChannelLost, asked_at: Timestamp) {
        if self.recovery.lost.add(Some(&lost), asked_at) {
            return self.fail(lost.of(&self.goal.path));
        }
        self.look_after(POLL);
    }

    /// What was buffered may be gone, and no status tells: only opening the channel again does. So the first stall is where the
    /// trouble begins.
    pub(super) fn stalled(&mut self) {
        let (now, retry_timeout) = (self.elapsed.total(), self.goal.retry_timeout);
        if self.recovery.lasts(retry_timeout, now, now) {
            let reason = format!("appends are answered, and nothing was committed for {retry_timeout:?}");
            let what = format!("channel {}", self.goal.path);
            return self.fail(FlowError::Failed(Failure { what, reason, details: None, cause: None }));
        }
        let cause = format!("nothing was committed for {:?}", self.goal.stall_timeout);
        self.again(BulkGetChannelStatus::INFO.name, cause, self.cx.now());
    }
}

/// Whether an exchange has run into its deadline.
fn is_deadline(error: &FlowError) -> bool {
    match error {
        FlowError::Deadline { .. } => true,
        FlowError::Ambiguous(ambiguity) => is_deadline(&ambiguity.cause),
        _ => false,
    }
}

/// A deadline that we have given to an exchange is no deadline of the caller's: the last fault tells more. There is none if the
/// clock has jumped, or if the exchange has waited for a token.
fn without_deadline(error: FlowError) -> FlowError {
    match error {
        FlowError::Deadline { last: Some(last), .. } => *last,
        FlowError::Deadline { waiting, observed, .. } => {
            let observed = observed.map(|observed| format!(" ({observed})")).unwrap_or_default();
            let message = format!("{waiting}: not in time{observed}");
            TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, message).into()
        }
        FlowError::Ambiguous(ambiguity) => {
            let cause = Box::new(without_deadline(*ambiguity.cause));
            FlowError::Ambiguous(Ambiguity { cause, ..ambiguity })
        }
        error => error,
    }
}

/// With no unconfirmed rows, the error is what the service said, also if an open or an append before it got no answer.
fn without_unconfirmed(error: FlowError) -> FlowError {
    match error {
        FlowError::Ambiguous(Ambiguity { cause, .. }) => without_unconfirmed(*cause),
        error => error,
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

//! Carries out what the policy [decides](super::decide) about a fault, and measures how long faults last.

use std::sync::Arc;
use std::time::Duration;

use super::decide::{Action, Fault, Occurrence, decide, is_deadline, may_be_appended, without_deadline};
use super::machine::{Cx, State, WriterMachine};
use crate::error::{Ambiguity, Cause, Failure, FlowError, ServiceError};
use crate::flow::Notice;
use crate::operation::{Operation as _, OperationInfo};
use crate::snowpipe::account::ExchangeToken;
use crate::snowpipe::append::AppendRows;
use crate::snowpipe::flow::ChannelLost;
use crate::snowpipe::tuning::{ACCOUNT_REJECTION_BACKOFF, STATUS_POLL_INTERVAL};
use crate::time::Timestamp;

impl WriterMachine {
    /// Handles a failed request.
    pub(super) fn request_failed(&mut self, operation: &'static OperationInfo, error: FlowError, cx: &mut Cx) {
        // If the writer itself has cut off a request, it would have been repeated, perhaps with another token. So the
        // error is not final.
        if is_deadline(&error) && cx.expired("").is_none() {
            return self.handle(Fault::Transient, operation, without_deadline(error), cx);
        }
        self.handle(Fault::of(&error), operation, error, cx);
    }

    /// Any → Wait, or Failed: carries out what the policy decides about a fault.
    pub(super) fn handle(&mut self, fault: Fault, operation: &'static OperationInfo, error: FlowError, cx: &mut Cx) {
        let host = match &self.ingest {
            _ if operation.name == ExchangeToken::INFO.name => Some(self.goal.session.account().contact()),
            ingest => ingest.as_ref().map(|(config, _)| config.contact()),
        };
        let occurrence = Occurrence {
            operation: operation.name,
            error: &error,
            now: cx.now(),
            worked: self.elapsed.total(),
            began: self.began,
            retry_timeout: self.goal.retry_timeout,
            silent_host: host.filter(|host| !self.opened && !host.has_answered()),
        };
        let known = self.faults.add(fault, &occurrence);
        let action = decide(fault, known);
        if operation.name == AppendRows::INFO.name {
            self.append_failed(fault, action, &error, cx);
        }
        if fault == Fault::HostMoved
            && let Some((_, generation)) = self.ingest
        {
            self.goal.session.moved(generation);
        }
        match action {
            Action::PollAgain => self.poll_in(STATUS_POLL_INTERVAL, cx),
            Action::Reopen => {
                let requested = error.service().and_then(ServiceError::retry_after);
                let requested = requested.map_or(Duration::ZERO, |after| after.resolve(cx.now()).since(cx.now()));
                let requested = requested.min(self.longest_retry_after(cx));
                self.reopen(operation, error, cx.now() + requested, cx);
                self.faults.requested_wait = requested;
            }
            Action::ReopenLater => self.reopen(operation, error, cx.now() + ACCOUNT_REJECTION_BACKOFF, cx),
            Action::Fail => {
                let error = self.name_batch(operation.name, error);
                self.fail(error);
            }
            Action::FailContested => {
                let lost = ChannelLost::Contested { times: self.faults.takeovers() };
                self.fail(lost.with_details(&self.goal.path, Some(error.to_string())));
            }
            Action::TimeOut => self.fail(error),
        }
    }

    /// Records what a failed append says about its batch.
    fn append_failed(&mut self, fault: Fault, action: Action, error: &FlowError, cx: &mut Cx) {
        if !may_be_appended(error, action) {
            self.replay.unsend_last();
        }
        let Fault::Taken { may_be_own: false, is_stated } = fault else { return };
        let is_takeover = is_stated && !self.faults.may_have_opened(cx.now());
        if is_takeover {
            self.metrics.takeovers += 1;
            let (what, state) = (format!("channel {}", self.goal.path), "another client has opened it".to_owned());
            cx.say(Notice::Observed { what, state });
        }
        if !self.goal.tokens.are_unique() {
            self.replay.reject_last(is_takeover);
            // Another process must not trust that token either.
            self.save(cx);
        }
    }

    /// Any → Wait.
    fn reopen(&mut self, operation: &'static OperationInfo, cause: FlowError, earliest: Timestamp, cx: &mut Cx) {
        let total = self.elapsed.total();
        let elapsed = total.saturating_sub(std::mem::replace(&mut self.began, total));
        let attempt = self.faults.reopenings;
        let backoff = self.faults.next_backoff(|most| cx.seed.below(most.saturating_add(1)));
        let at = (cx.now() + backoff).max(earliest);
        (self.channel, self.lease) = (None, None);
        self.registration.due(Timestamp::MAX);
        cx.say(Notice::Retrying { operation, attempt, elapsed, cause: Arc::new(cause), at });
        self.state = State::Wait(at);
    }

    /// Any → Failed. The first error counts.
    pub(super) fn fail(&mut self, error: FlowError) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        if self.token.take().is_some() {
            self.withdraw_append();
        }
        (self.channel, self.lease) = (None, None);
        self.registration.due(Timestamp::MAX);
        self.state = State::Failed(Box::new(error));
    }

    /// Drops the request in progress. Its batch is unconfirmed only if an attempt got no answer.
    pub(super) fn abandon(&mut self, cx: &Cx) {
        self.withdraw_append();
        if let State::Open(open) = &self.state
            && open.machine().request.has_unanswered()
        {
            self.faults.unanswered_open = Some(cx.now());
        }
    }

    fn withdraw_append(&mut self) {
        if let State::Append(append) = &self.state
            && !append.machine().has_unanswered()
        {
            self.replay.unsend_last();
        }
    }

    /// Returns the deadline of a request that begins now, and how far the service's waits may move it. The deadline is
    /// two attempts after the retry timeout, so that the request ends with its last error, which says more than a
    /// deadline.
    pub(super) fn begin_request(&mut self, cx: &Cx) -> (Timestamp, Duration) {
        self.began = self.elapsed.total();
        self.is_sent = false;
        let attempt = self.ingest.as_ref().map_or(Duration::ZERO, |(ingest, _)| ingest.retry().attempt_timeout);
        let deadline = cx.no_later_than(cx.now() + self.retry_time_left() + attempt.saturating_mul(2));
        (deadline, self.excluded_time_left(cx))
    }

    /// Returns how much longer faults may last.
    pub(super) fn retry_time_left(&self) -> Duration {
        self.goal.retry_timeout.saturating_sub(self.faults.duration(self.elapsed.total()))
    }

    fn longest_retry_after(&self, cx: &Cx) -> Duration {
        let retry = self.ingest.as_ref().map_or_else(|| cx.retry(), |(ingest, _)| ingest.retry());
        retry.longest_retry_after
    }

    /// Returns how much of the service's waits may still be excluded from the working time.
    fn excluded_time_left(&self, cx: &Cx) -> Duration {
        self.goal.retry_timeout.max(self.longest_retry_after(cx)).saturating_sub(self.faults.excluded)
    }

    /// Excludes a wait that the service has asked for from the working time, also after a success: no commit can be
    /// expected in that time. The request that waited has just ended.
    pub(super) fn exclude(&mut self, asked_to_wait: Duration, cx: &Cx) {
        let excluded = asked_to_wait.min(self.excluded_time_left(cx));
        self.faults.excluded += excluded;
        self.elapsed.exclude(excluded, self.began);
    }

    /// A rejection that concerns the batch names it.
    fn name_batch(&self, operation: &'static str, error: FlowError) -> FlowError {
        let FlowError::Service(rejection) = &error else { return error };
        let is_of_batch =
            operation == AppendRows::INFO.name && matches!(rejection.status().as_u16(), 400 | 413 | 415 | 422);
        // It counts as not sent by now, because it was certainly rejected.
        let Some(batch) = self.replay.unsent().next().filter(|_| is_of_batch) else { return error };
        let what = format!(
            "the batch of {} with the offset tokens \"{}\" to \"{}\"",
            counted(batch.rows, "row", "rows"),
            batch.start_offset_token.as_deref().unwrap_or_default(),
            batch.end_offset_token.as_deref().unwrap_or_default()
        );
        let failure = Failure {
            what,
            reason: rejection.to_string(),
            details: rejection.details().map(str::to_owned),
            cause: Some(Cause::new(rejection.clone())),
        };
        FlowError::Failed(failure)
    }

    /// Adds the unconfirmed batches to the error that the writer ends with.
    pub(super) fn with_unconfirmed(&self, error: FlowError) -> FlowError {
        let tokens: Vec<&str> = self.replay.unconfirmed().collect();
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return without_unconfirmed(error) };
        let committed = self.replay.committed().map_or("nothing".to_owned(), |token| format!("\"{token}\""));
        let found = format!(
            "committed up to {committed}; unconfirmed: {} after it, with the end tokens \"{first}\" to \"{last}\": the first of \
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
}

/// Returns the error of a writer without unconfirmed rows: the service's error, also if an earlier open or append got
/// no answer.
fn without_unconfirmed(error: FlowError) -> FlowError {
    match error {
        FlowError::Ambiguous(Ambiguity { cause, .. }) => without_unconfirmed(*cause),
        error => error,
    }
}

pub(super) fn session_moved(path: &str) -> FlowError {
    let (what, reason) = (format!("channel {path}"), "the session has moved to another host".to_owned());
    FlowError::Failed(Failure { what, reason, details: None, cause: None })
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

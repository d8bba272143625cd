//! What the outcome of an attempt leads to: another attempt after a wait, or the end of the call.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{Attempts, State};
use crate::error::{
    Ambiguity, Applied, CredentialError, Delivery, ErrorKind, FlowError, ServiceError, TransportError,
    TransportErrorKind,
};
use crate::flow::Notice;
use crate::operation::Effect;
use crate::time::Timestamp;

/// Returns whether the status of a success is enough: the caller does not need the body to continue.
fn is_told_by_status(method: &Method) -> bool {
    matches!(*method, Method::PATCH | Method::DELETE)
}

/// What to check if an address has never answered.
const CHECK_ADDRESS: &str = "nothing has answered at this address yet; check http or https, host and port";

impl Attempts {
    /// Handles a response that is an error, or cannot be read.
    pub(in crate::flow) fn rejected(&mut self, error: ServiceError) {
        let is_expired = (self.rules.is_auth_error)(&error);
        let error = self.weighed(error);
        if is_expired && self.credential.is_some() && !self.is_rejected {
            self.rejected = self.credential.take();
            self.is_rejected = true;
            self.last = Some(error.into());
            self.state = State::Ready;
        } else {
            self.is_rejected &= is_expired;
            self.settle(error);
        }
    }

    /// Treats a 401, 403 or 404 that a proxy sends by itself as transient: the proxy has lost the service for a moment.
    /// If the service has never answered, the address is probably wrong.
    fn weighed(&self, error: ServiceError) -> ServiceError {
        let contact = &self.settings.contact;
        match (error.kind(), error.status().as_u16()) {
            (ErrorKind::Foreign, 401 | 403 | 404) if contact.has_answered() => error.with_transient(true),
            (ErrorKind::Rejected, _) if (self.rules.identifies_service)(&error) => {
                contact.answered();
                error
            }
            _ => error,
        }
    }

    fn settle(&mut self, error: ServiceError) {
        let effect = self.effect;
        let is_unread = error.kind() == ErrorKind::Unreadable && error.applied() == Applied::Yes;
        if is_unread && is_told_by_status(&self.rules.info.method) {
            self.unread = Some(error.clone());
            let may_repeat = error.is_transient() && effect != Effect::Once;
            return if may_repeat { self.again(error.into(), None) } else { self.fail(error.into()) };
        }
        let (done, uncertain) =
            (error.applied() == Applied::Yes && !is_unread, error.applied() == Applied::Unknown || is_unread);
        // The service itself has not answered, or not in time. It may still carry the request out.
        self.unanswered += u32::from(uncertain && (error.kind() != ErrorKind::Rejected || error.is_transient()));
        if effect == Effect::Once && uncertain {
            return self.ambiguous(error.into());
        }
        if error.is_transient() && !done && !(self.handed_back)(&error) {
            let earliest = error.retry_after().map(|after| after.resolve(self.now));
            return self.again(error.into(), earliest);
        }
        if effect != Effect::Safe && !done && (uncertain || self.has_unanswered()) {
            return self.ambiguous(error.into());
        }
        self.notice = Some(self.answered(error.status()));
        self.fail(error.into());
    }

    pub(super) fn not_answered(&mut self, error: TransportError) {
        let (kind, delivery) = (error.kind(), error.delivery());
        if error.status().is_some() {
            self.settings.contact.reached();
        }
        self.is_silent = true;
        self.settings.contact.silent();
        // The head of the answer arrived, and its status is enough, unless a proxy may have sent it.
        if let Some(status) = error.status().filter(StatusCode::is_success)
            && is_told_by_status(&self.rules.info.method)
        {
            let mut head = http::Response::new(bytes::Bytes::new());
            *head.status_mut() = status;
            let may_pass = kind != TransportErrorKind::TooLarge;
            let applied = if error.is_text() { Applied::Unknown } else { Applied::Yes };
            let unreadable = ServiceError::unreadable(self.rules.info, &head, error.message()).with_applied(applied);
            return self.settle(unreadable.with_transient(may_pass));
        }
        if delivery == Delivery::Unknown {
            self.unanswered += 1;
            if self.effect == Effect::Once {
                return self.ambiguous(error.into());
            }
        }
        match kind {
            // Another attempt would fail in the same way.
            TransportErrorKind::TooLarge | TransportErrorKind::Unsupported => self.give_up(error.into()),
            _ if self.is_wrong_address(kind) => self.give_up(error.with_advice(CHECK_ADDRESS).into()),
            _ => self.again(error.into(), None),
        }
    }

    /// Returns whether to stop, because nothing has ever answered at the address.
    fn is_wrong_address(&self, kind: TransportErrorKind) -> bool {
        let is_over = match kind {
            TransportErrorKind::Tls => true,
            TransportErrorKind::Connect | TransportErrorKind::Resolve => {
                self.sent >= self.settings.retry.connect_attempts
            }
            _ => false,
        };
        is_over && !self.settings.contact.is_reached()
    }

    pub(super) fn unauthorized(&mut self, error: CredentialError) {
        if error.is_transient() {
            // It counts as an attempt, so that requests for credentials also end.
            self.sent = self.sent.saturating_add(1);
            self.again(error.into(), None);
        } else {
            self.give_up(error.into());
        }
    }

    /// Makes another attempt after a wait, if the call has attempts left.
    fn again(&mut self, error: FlowError, earliest: Option<Timestamp>) {
        let retry = &Arc::clone(&self.settings).retry;
        if let (FlowError::Service(error), Some(at)) = (&error, earliest)
            && at.since(self.now) > retry.longest_retry_after
        {
            let error = error.clone().not_before(at, retry.longest_retry_after);
            return self.give_up(error.into());
        }
        if self.sent >= retry.attempts {
            return self.give_up(error);
        }
        let wait = retry.wait(self.sent.max(1), &mut self.seed);
        let own = self.now + wait;
        let at = own.max(earliest.unwrap_or_default());
        self.asked_to_wait += at.since(own);
        let excused = at.since(own).min(self.excuse);
        self.excuse -= excused;
        self.deadline = self.deadline.map(|deadline| deadline + excused);
        self.notice = Some(Notice::Retrying {
            operation: self.rules.info,
            attempt: self.sent.saturating_sub(1),
            elapsed: self.now.since(self.began),
            cause: Arc::new(error.clone()),
            at,
        });
        self.last = Some(error);
        self.state = State::Waiting { until: at };
    }

    /// Ends the call without a decisive answer: as ambiguous if an attempt has an unknown outcome.
    pub(super) fn give_up(&mut self, error: FlowError) {
        if self.has_unanswered() && self.effect != Effect::Safe {
            self.ambiguous(error);
        } else {
            self.fail(error);
        }
    }

    fn ambiguous(&mut self, cause: FlowError) {
        self.fail(FlowError::Ambiguous(Ambiguity {
            operation: self.rules.info.name,
            cause: Box::new(cause),
            unanswered: self.has_unanswered(),
            found: None,
            evidence: None,
        }));
    }

    /// Ends the call. After a success that could not be read, the outcome is known.
    fn fail(&mut self, error: FlowError) {
        self.state = State::Failed(self.unread.take().map_or(error, FlowError::Service));
    }

    pub(super) fn out_of_time(&mut self, at: Timestamp) {
        self.unanswered += u32::from(matches!(self.state, State::InFlight { .. }));
        self.request = None;
        let last = self.last.take().map(Box::new);
        self.give_up(FlowError::Deadline { at, waiting: self.rules.info.name, observed: None, last, evidence: None });
    }
}

//! [`Attempts`]: the attempts of one call, without the type of its operation. [`Call`](super::Call) adds the request and the response.

mod outcome;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, StatusCode, header};

use super::config::Settings;
use super::{CredentialRequest, Exchange, Notice, Outcome, Reply, Ticket};
use crate::body::Body;
use crate::error::{
    BuildError, CredentialError, Delivery, FlowError, ServiceError, TransportError, TransportErrorKind,
};
use crate::operation::{Effect, OperationInfo, RequestContext};
use crate::seed::Seed;
use crate::time::Timestamp;

/// What the attempts need to know about an operation. It is not a type parameter, so that this file is compiled once,
/// and not for each operation.
pub(super) struct Rules {
    pub(super) info: &'static OperationInfo,
    pub(super) is_streaming: bool,
    pub(super) is_auth_error: fn(&ServiceError) -> bool,
    pub(super) identifies_service: fn(&ServiceError) -> bool,
}

/// What the call does next. [`Attempts`] holds the value to give out, so that it is moved once.
pub(super) enum Next {
    /// Build the request and call [`Attempts::prepared`].
    Prepare,
    /// Send [`Attempts::take_exchange`].
    Send,
    /// Ask for [`Attempts::credential_request`].
    Authorize,
    /// Give out [`Attempts::take_notice`].
    Notice,
    WaitUntil(Timestamp),
    InFlight(Timestamp),
    /// End with [`Attempts::error`].
    Failed,
    /// The output was parsed, or the call was polled after its end.
    Done,
}

/// The attempts of one call: credential, waits, deadline, and how many have an unknown outcome.
pub(super) struct Attempts {
    rules: &'static Rules,
    /// What sending the request twice does.
    effect: Effect,
    settings: Arc<Settings>,
    seed: Seed,
    pub(super) deadline: Option<Timestamp>,
    /// By how much the waits that the service asks for may still extend the deadline.
    pub(super) excuse: Duration,
    /// How long the service has asked to wait, beyond the call's own waits.
    pub(super) asked_to_wait: Duration,
    /// The transient rejections that the caller handles itself.
    pub(super) handed_back: fn(&ServiceError) -> bool,
    now: Timestamp,
    /// The number of attempts.
    pub(super) sent: u32,
    /// When the last attempt, or the last request for a credential, began.
    began: Timestamp,
    credential: Option<HeaderValue>,
    /// The credential that the service has rejected, until another credential is there.
    rejected: Option<HeaderValue>,
    /// Whether the service has rejected a credential, and has answered nothing but 401 since.
    is_rejected: bool,
    /// The number of attempts with an unknown outcome.
    pub(super) unanswered: u32,
    /// Whether the last attempt got no answer, so that the next one needs a fresh connection.
    is_silent: bool,
    /// A success whose body cannot be read: the request was carried out, even if a later attempt fails.
    unread: Option<ServiceError>,
    last: Option<FlowError>,
    notice: Option<Notice>,
    /// The next request, in the state `Prepared`. It is not in the state, because it is large and the state is moved
    /// often.
    request: Option<Request<Body>>,
    /// How long the attempt may take.
    timeout: Duration,
    state: State,
}

enum State {
    Ready,
    Authorizing { ticket: Ticket, until: Timestamp },
    Prepared,
    InFlight { ticket: Ticket, until: Timestamp },
    Waiting { until: Timestamp },
    Succeeded,
    Failed(FlowError),
}

impl Attempts {
    pub(super) fn new(rules: &'static Rules, effect: Effect, settings: &Arc<Settings>, seed: Seed) -> Self {
        Self {
            rules,
            effect,
            settings: Arc::clone(settings),
            seed,
            deadline: None,
            excuse: Duration::ZERO,
            asked_to_wait: Duration::ZERO,
            handed_back: |_| false,
            now: Timestamp::UNIX_EPOCH,
            sent: 0,
            began: Timestamp::UNIX_EPOCH,
            credential: None,
            rejected: None,
            is_rejected: false,
            unanswered: 0,
            is_silent: false,
            unread: None,
            last: None,
            notice: None,
            request: None,
            timeout: Duration::ZERO,
            state: State::Ready,
        }
    }

    /// Never sends again after an attempt whose outcome is unknown.
    pub(super) fn send_once(&mut self) {
        if matches!(self.effect, Effect::Idempotent | Effect::Fenced) {
            self.effect = Effect::Once;
        }
    }

    pub(super) fn has_unanswered(&self) -> bool {
        self.unanswered > 0 || self.unread.is_some()
    }

    pub(super) fn may_have_arrived(&self) -> bool {
        self.has_unanswered() || matches!(self.state, State::InFlight { .. } | State::Succeeded | State::Failed(_))
    }

    pub(super) fn is_about_to_repeat(&self) -> bool {
        self.sent > 0 && matches!(self.state, State::Prepared)
    }

    pub(super) fn state_name(&self) -> &'static str {
        match self.state {
            State::Ready => "ready",
            State::Authorizing { .. } => "authorizing",
            State::Prepared => "prepared",
            State::InFlight { .. } => "in flight",
            State::Waiting { .. } => "waiting",
            State::Succeeded => "succeeded",
            State::Failed(_) => "failed",
        }
    }

    /// Sets the time. It never goes back.
    #[inline]
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Returns whether this is the answer to the last attempt.
    #[inline]
    pub(super) fn awaits(&self, answered: Ticket) -> bool {
        matches!(&self.state, State::InFlight { ticket, .. } if *ticket == answered)
    }

    /// Records that a response arrived.
    #[inline]
    pub(super) fn reached(&mut self) {
        self.is_silent = false;
        self.settings.contact.reached();
    }

    /// Takes a reply that is not a response. Returns the reply if it belongs to another flow.
    pub(super) fn accept(&mut self, reply: Reply) -> Option<Reply> {
        match (&self.state, reply.outcome) {
            (State::InFlight { ticket, .. }, Outcome::Answer(Err(error))) if *ticket == reply.ticket => {
                self.not_answered(error);
            }
            (State::Authorizing { ticket, .. }, Outcome::Credential(Ok(header))) if *ticket == reply.ticket => {
                self.credential = Some(header);
                self.rejected = None;
                self.state = State::Ready;
            }
            (State::Authorizing { ticket, .. }, Outcome::Credential(Err(error))) if *ticket == reply.ticket => {
                self.unauthorized(error);
            }
            (_, outcome) => return Some(Reply { ticket: reply.ticket, outcome }),
        }
        None
    }

    /// Records a success that can be read. No other notice is pending while a response is awaited.
    #[inline]
    pub(super) fn succeeded(&mut self, status: StatusCode) -> Notice {
        self.settings.contact.answered();
        self.state = State::Succeeded;
        self.answered(status)
    }

    #[inline]
    fn answered(&self, status: StatusCode) -> Notice {
        Notice::Answered {
            operation: self.rules.info,
            attempt: self.sent.saturating_sub(1),
            status,
            elapsed: self.now.since(self.began),
        }
    }

    /// Returns the destination and the number of the next attempt.
    #[inline]
    pub(super) fn request_context(&self) -> RequestContext<'_> {
        RequestContext::new(&self.settings.base)
            .with_attempt(self.sent)
            .with_server_version(self.settings.server_version.get())
    }

    /// Returns how long an attempt takes at most, unless the operation needs longer.
    #[inline]
    pub(super) fn attempt_timeout(&self) -> Duration {
        self.settings.retry.attempt_timeout
    }

    /// Takes the request. The notice goes out before it.
    #[allow(clippy::inline_always, reason = "otherwise the request, which is large, is copied once more")]
    #[inline(always)]
    pub(super) fn prepared(&mut self, request: Request<Body>, timeout: Duration) -> Notice {
        let request = self.request.insert(request);
        // Most clients have no headers, and two walks over an empty map are not free.
        if !self.settings.headers.is_empty() {
            for name in self.settings.headers.keys() {
                request.headers_mut().remove(name);
            }
            for (name, value) in &self.settings.headers {
                request.headers_mut().append(name, value.clone());
            }
        }
        if let Some(credential) = &self.credential {
            request.headers_mut().insert(header::AUTHORIZATION, credential.clone());
        }
        self.timeout = timeout;
        self.state = State::Prepared;
        Notice::Sending { operation: self.rules.info, attempt: self.sent }
    }

    /// Ends the call, because the request cannot be built.
    pub(super) fn not_prepared(&mut self, error: BuildError) {
        self.give_up(error.into());
    }

    /// Returns the exchange to send, after [`Next::Send`]. The request is moved once, because it is large.
    #[inline]
    pub(super) fn take_exchange(&mut self) -> Option<Exchange> {
        let State::InFlight { ticket, .. } = self.state else { return None };
        Some(Exchange {
            ticket,
            info: self.rules.info,
            request: self.request.take()?,
            timeout: self.timeout,
            body_limit: self.settings.body_limit,
            streaming: self.rules.is_streaming,
            fresh: self.is_silent || self.effect == Effect::Once || self.settings.contact.is_silent(),
        })
    }

    /// Returns the notice to give out, after [`Next::Notice`].
    #[inline]
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// Returns the error to end with, after [`Next::Failed`].
    pub(super) fn error(&self) -> Option<FlowError> {
        if let State::Failed(error) = &self.state { Some(error.clone()) } else { None }
    }

    /// Returns the request to give out, after [`Next::Authorize`].
    pub(super) fn credential_request(&mut self) -> CredentialRequest {
        let ticket = Ticket::next();
        self.began = self.now;
        self.state = State::Authorizing { ticket, until: self.now + self.settings.retry.attempt_timeout };
        CredentialRequest {
            ticket,
            service: self.rules.info.service,
            authority: self.settings.base.authority().clone(),
            rejected: self.rejected.clone(),
        }
    }

    /// Decides what to do now.
    #[inline]
    pub(super) fn next(&mut self) -> Next {
        loop {
            if self.notice.is_some() {
                return Next::Notice;
            }
            if let Some(at) = self.deadline
                && at <= self.now
                && !matches!(self.state, State::Succeeded | State::Failed(_))
            {
                self.out_of_time(at);
            }
            let by_deadline = |at: Timestamp| self.deadline.map_or(at, |deadline| at.min(deadline));
            match &self.state {
                State::Ready if self.settings.exposes_credentials() => {
                    let authority = self.settings.base.authority().to_string();
                    self.state = State::Failed(BuildError::Plaintext { authority }.into());
                }
                State::Ready if self.settings.authorized && self.credential.is_none() => return Next::Authorize,
                State::Ready => return Next::Prepare,
                State::Prepared => {
                    let mut until = self.now + self.timeout;
                    if let Some(deadline) = self.deadline.filter(|deadline| *deadline < until) {
                        self.timeout = deadline.since(self.now);
                        until = deadline;
                    }
                    self.began = self.now;
                    self.sent = self.sent.saturating_add(1);
                    self.state = State::InFlight { ticket: Ticket::next(), until };
                    return Next::Send;
                }
                State::Authorizing { until, .. } if *until <= self.now => {
                    self.unauthorized(CredentialError::transient("none was supplied in time"));
                }
                State::InFlight { until, .. } if *until <= self.now => {
                    let message = format!("{}: no answer in time", self.rules.info.name);
                    self.not_answered(TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, message));
                }
                State::Waiting { until } if *until <= self.now => {
                    // The credential may have expired meanwhile. Only the supplier knows.
                    self.credential = None;
                    self.state = State::Ready;
                }
                State::Authorizing { until, .. } | State::InFlight { until, .. } => {
                    return Next::InFlight(by_deadline(*until));
                }
                State::Waiting { until } => return Next::WaitUntil(by_deadline(*until)),
                State::Failed(_) => return Next::Failed,
                State::Succeeded => return Next::Done,
            }
        }
    }
}

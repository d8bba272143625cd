//! [`Call`]: one operation, carried through: credential, attempts, waits, deadline.
//!
//! ```text
//!                    ┌───────────────── wait over ─────────────────┐
//!                    ▼                                             │
//!  start ──────▶ Ready ──▶ Prepared ──▶ InFlight ──┬─▶ try again ─▶ Waiting
//!                 │  ▲                             ├─▶ Succeeded ──▶ Finished
//!     credential? ▼  │ granted                     └─▶ Failed (for good)
//!              Authorizing ◀──── 401, once ────────┘
//! ```
//!
//! | what came | `Safe` | `Idempotent` | `Fenced` | `Once` |
//! |---|---|---|---|---|
//! | not sent | again | again | again | again |
//! | no answer, outcome unknown | again | again | again | **ambiguous** |
//! | refused, transient, not applied (429, a service's own 503) | again | again | again | again |
//! | refused, transient, perhaps applied (502, 504, a proxy's 503) | again | again | again | **ambiguous** |
//! | refused, and applied (Feldera's `ParseErrors`) | error | error | error | error |
//! | refused for good, not applied | error | error; **ambiguous** after an unanswered attempt | the same | error |
//! | refused for good, perhaps applied | error | **ambiguous** | **ambiguous** | **ambiguous** |
//! | attempts or time used up after an unanswered attempt | error | **ambiguous** | **ambiguous** | |
//! | 2xx, but the body is cut off or garbled | again | again; after the last attempt **ambiguous**, or an error for PATCH and DELETE | the same | **ambiguous**; PATCH, DELETE: error |
//! | 2xx, but the body is compressed or of another shape | error | **ambiguous**; PATCH, DELETE: error | the same | the same |
//!
//! A status alone never decides whether a refusal is transient: the service's own codes do.
//!
//! A 2xx status says that the request was carried out, unless the body is a web page or other text, which a proxy may have sent by
//! itself. The answer to PATCH and DELETE says no more than that, so the error is no ambiguity: its
//! [`applied`](ServiceError::applied) is [`Applied::Yes`]. The answer to PUT and POST names what the caller needs to go on, such as a
//! job or a token.
//!
//! What a [`Call`] does also depends on what the address has answered before, in any call with the same [`Config`]:
//!
//! | what came | before | after |
//! |---|---|---|
//! | 401, 403 or 404 without a body that identifies the service (a web page, an empty body, other JSON) | the *service* has never answered: error, because the address is probably wrong | transient and not applied, like 429: a proxy has lost the service for a moment |
//! | no connection, or no address for the host name | no HTTP response has ever come: [`Retry::connect_attempts`](super::Retry::connect_attempts) attempts | [`Retry::attempts`](super::Retry::attempts) attempts |
//! | the TLS handshake failed | no HTTP response has ever come: error; check the certificate, the port and `https` | again |
//!
//! The service has answered if it sent a success that can be read, or a rejection that
//! [identifies the service](Service::identifies_service). Exception: a 404 without a service code from a Snowpipe ingest host is
//! always transient, because the account supplied the name of the host.
//!
//! After an attempt without an answer the next request asks for a
//! [fresh connection](Exchange::wants_fresh_connection), whatever its effect.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};

use super::{Config, CredentialRequest, Exchange, Flow, Notice, Outcome, Reply, Step, Ticket};
use crate::error::{
    Ambiguity, Applied, BuildError, CredentialError, Delivery, ErrorKind, FlowError, Misuse, ServiceError,
    TransportError, TransportErrorKind,
};
use crate::operation::{Effect, Operation, RequestContext, Service};
use crate::seed::Seed;
use crate::time::Timestamp;

/// One operation, carried through.
///
/// ```
/// use pipewright::flow::{Call, Config, Flow, Step};
/// use pipewright::flink::GetOverview;
/// use pipewright::{Seed, Timestamp};
///
/// let config = Config::new("http://127.0.0.1:8081".parse()?);
/// let mut call = Call::new(GetOverview::new(), &config, Seed::new(1));
/// let mut now = Timestamp::from_millis(1_700_000_000_000);
/// let mut reply = None;
/// let overview = loop {
///     match call.poll(now, reply.take()) {
///         // Whatever moves bytes would do so here.
///         Step::Send(exchange) => {
///             assert_eq!(exchange.request().uri().path(), "/v1/overview");
///             let body = r#"{"taskmanagers":1,"slots-total":4,"slots-available":3,"jobs-running":1,
///                 "jobs-finished":0,"jobs-cancelled":0,"jobs-failed":0,"flink-version":"2.3.0","flink-commit":"c0f8d1a"}"#;
///             reply = Some(exchange.settle(Ok(http::Response::new(body.into()))));
///         }
///         Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
///         Step::Notice(notice) => println!("{notice}"),
///         Step::Authorize(_) => unreachable!("no credentials were asked for"),
///         Step::Stray(_) => unreachable!("no other flow is driven here"),
///         Step::Done(result) => break result?,
///     }
/// };
/// assert_eq!(overview.jobs_running, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a call does nothing until it is polled"]
pub struct Call<O: Operation> {
    operation: O,
    config: Config<O::Service>,
    seed: Seed,
    deadline: Option<Timestamp>,
    /// By how much the waits that the service asks for may still move the deadline.
    excuse: Duration,
    /// How long the service has asked to be left alone, beyond our own waits.
    asked_to_wait: Duration,
    /// Whether the caller looks before it sends again, instead of us.
    single: bool,
    /// Which transient refusals are the caller's to wait out.
    handed_back: fn(&ServiceError) -> bool,
    now: Timestamp,
    /// How many attempts were handed out.
    sent: u32,
    credential: Option<HeaderValue>,
    /// The credential that the service has rejected, until there is another one.
    rejected: Option<HeaderValue>,
    /// Whether the service has rejected a credential, and has answered nothing but 401 since.
    is_rejected: bool,
    /// How many attempts may have been carried out without our knowing.
    unanswered: u32,
    /// Whether the last attempt got no answer, so that the next one needs a fresh connection.
    is_silent: bool,
    /// A success whose body cannot be read: whatever comes later, the request was carried out.
    unread: Option<ServiceError>,
    last: Option<FlowError>,
    notice: Option<Notice>,
    /// What goes out next, while prepared. Not in the state, because it is large and the state is moved about.
    exchange: Option<Exchange>,
    state: State<O::Output>,
}

/// Whether the status of a success says all that there is to know: the body says nothing that the caller needs to go on.
fn is_told_by_status(method: &Method) -> bool {
    matches!(*method, Method::PATCH | Method::DELETE)
}

/// What to check when an address has never answered.
const NOBODY_THERE: &str = "nothing has answered at this address yet: check http or https, host and port";

enum State<T> {
    Ready,
    Authorizing { ticket: Ticket, until: Timestamp },
    Prepared,
    InFlight { ticket: Ticket, until: Timestamp },
    Waiting { until: Timestamp },
    Succeeded(T),
    Failed(FlowError),
    Finished,
}

impl<O: Operation> Call<O> {
    /// A call with a config's patience.
    pub fn new(operation: O, config: &Config<O::Service>, seed: Seed) -> Self {
        Self {
            operation,
            config: config.clone(),
            seed,
            deadline: None,
            excuse: Duration::ZERO,
            asked_to_wait: Duration::ZERO,
            single: false,
            handed_back: |_| false,
            now: Timestamp::UNIX_EPOCH,
            sent: 0,
            credential: None,
            rejected: None,
            is_rejected: false,
            unanswered: 0,
            is_silent: false,
            unread: None,
            last: None,
            notice: None,
            exchange: None,
            state: State::Ready,
        }
    }

    /// Ends the call at this moment at the latest, waits included.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// Moves the deadline by the waits that the service asks for (`Retry-After`), by this much altogether at most.
    pub(crate) fn excusing(mut self, at_most: Duration) -> Self {
        self.excuse = at_most;
        self
    }

    /// How long the service has asked to be left alone, beyond the call's own waits.
    pub(crate) fn asked_to_wait(&self) -> Duration {
        self.asked_to_wait
    }

    /// The operation.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// Never sends again after an attempt whose outcome is unknown, whatever the operation's effect.
    pub(crate) fn without_resending(mut self) -> Self {
        self.single = true;
        self
    }

    /// Ends with such refusals although they pass, because the caller knows better when to come again.
    pub(crate) fn handing_back(mut self, these: fn(&ServiceError) -> bool) -> Self {
        self.handed_back = these;
        self
    }

    fn effect(&self) -> Effect {
        match self.operation.effect() {
            Effect::Idempotent | Effect::Fenced if self.single => Effect::Once,
            effect => effect,
        }
    }

    /// Whether an attempt may have been carried out without the service having said so.
    pub(crate) fn has_unanswered(&self) -> bool {
        self.unanswered > 0 || self.unread.is_some()
    }

    /// How many attempts were handed out.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// Whether the next poll sends the request again. A flow that must look at the service before each attempt does so now.
    pub(crate) fn is_about_to_repeat(&self) -> bool {
        self.sent > 0 && matches!(self.state, State::Prepared)
    }

    /// How many such attempts there are.
    pub(crate) fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// Takes a reply that is ours; gives a stray one back.
    fn accept(&mut self, reply: Reply) -> Option<Reply> {
        match (&self.state, reply.outcome) {
            (State::InFlight { ticket, .. }, Outcome::Answer(answer)) if *ticket == reply.ticket => {
                match answer {
                    Ok(response) => self.answered(response),
                    Err(error) => self.not_answered(error),
                }
                None
            }
            (State::Authorizing { ticket, .. }, Outcome::Credential(credential)) if *ticket == reply.ticket => {
                match credential {
                    Ok(header) => {
                        self.credential = Some(header);
                        self.rejected = None;
                        self.state = State::Ready;
                    }
                    Err(error) => self.unauthorized(error),
                }
                None
            }
            (_, outcome) => Some(Reply { ticket: reply.ticket, outcome }),
        }
    }

    fn answered(&mut self, response: http::Response<bytes::Bytes>) {
        let status = response.status();
        self.is_silent = false;
        self.config.contact().reached();
        match self.operation.parse(response) {
            Ok(output) => {
                self.config.contact().answered();
                self.notice = Some(Notice::Answered { operation: O::INFO.name, status });
                self.state = State::Succeeded(output);
            }
            Err(error) => {
                let is_expired = O::Service::is_auth_error(&error);
                let error = self.weighed(error);
                if is_expired && self.credential.is_some() && !self.is_rejected {
                    self.rejected = self.credential.take();
                    self.is_rejected = true;
                    self.last = Some(error.into());
                    self.state = State::Ready;
                } else {
                    self.is_rejected &= is_expired;
                    self.refused(error);
                }
            }
        }
    }

    /// A proxy that has lost the service for a moment answers 401, 403 or 404 by itself: that passes. If the service has never
    /// answered, the address is probably wrong.
    fn weighed(&self, error: ServiceError) -> ServiceError {
        let contact = self.config.contact();
        match (error.kind(), error.status().as_u16()) {
            (ErrorKind::Foreign, 401 | 403 | 404) if contact.has_answered() => error.with_transient(true),
            (ErrorKind::Refused, _) if O::Service::identifies_service(&error) => {
                contact.answered();
                error
            }
            _ => error,
        }
    }

    fn refused(&mut self, error: ServiceError) {
        let effect = self.effect();
        let is_unread = error.kind() == ErrorKind::Unreadable && error.applied() == Applied::Yes;
        if is_unread && is_told_by_status(&O::INFO.method) {
            self.unread = Some(error.clone());
            let may_repeat = error.is_transient() && effect != Effect::Once;
            return if may_repeat { self.again(error.into(), None) } else { self.fail(error.into()) };
        }
        let (done, uncertain) =
            (error.applied() == Applied::Yes && !is_unread, error.applied() == Applied::Unknown || is_unread);
        // The service itself has not answered yet, or not in time: it may be about to do what it was asked.
        self.unanswered += u32::from(uncertain && (error.kind() != ErrorKind::Refused || error.is_transient()));
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
        self.notice = Some(Notice::Answered { operation: O::INFO.name, status: error.status() });
        self.fail(error.into());
    }

    fn not_answered(&mut self, error: TransportError) {
        let (kind, delivery) = (error.kind(), error.delivery());
        if error.status().is_some() {
            self.config.contact().reached();
        }
        self.is_silent = true;
        self.config.contact().silent();
        // The head of the answer came, and says all that there is to know, unless a proxy may have sent it.
        if let Some(status) = error.status().filter(StatusCode::is_success)
            && is_told_by_status(&O::INFO.method)
        {
            let mut head = http::Response::new(bytes::Bytes::new());
            *head.status_mut() = status;
            let may_pass = kind != TransportErrorKind::TooLarge;
            let applied = if error.is_text() { Applied::Unknown } else { Applied::Yes };
            let unreadable = ServiceError::unreadable(O::INFO, &head, error.message()).with_applied(applied);
            return self.refused(unreadable.with_transient(may_pass));
        }
        if delivery == Delivery::Unknown {
            self.unanswered += 1;
            if self.effect() == Effect::Once {
                return self.ambiguous(error.into());
            }
        }
        match kind {
            // The next answer would be as large, and the transport no other.
            TransportErrorKind::TooLarge | TransportErrorKind::Unsupported => self.give_up(error.into()),
            _ if self.is_nobody_there(kind) => self.give_up(error.with_advice(NOBODY_THERE).into()),
            _ => self.again(error.into(), None),
        }
    }

    /// Whether it is pointless to go on, because nothing has ever answered at the address.
    fn is_nobody_there(&self, kind: TransportErrorKind) -> bool {
        let is_over = match kind {
            TransportErrorKind::Tls => true,
            TransportErrorKind::Connect | TransportErrorKind::Resolve => {
                self.sent >= self.config.retry().connect_attempts
            }
            _ => false,
        };
        is_over && !self.config.contact().is_reached()
    }

    fn unauthorized(&mut self, error: CredentialError) {
        if error.is_transient() {
            // It counts as an attempt, so that asking for credentials ends too.
            self.sent = self.sent.saturating_add(1);
            self.again(error.into(), None);
        } else {
            self.give_up(error.into());
        }
    }

    /// Another attempt after a wait, if there is one left.
    fn again(&mut self, error: FlowError, earliest: Option<Timestamp>) {
        let retry = self.config.retry();
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
        self.notice = Some(Notice::Retrying { operation: O::INFO.name, cause: error.to_string(), at });
        self.last = Some(error);
        self.state = State::Waiting { until: at };
    }

    /// The end without an answer that says more.
    fn give_up(&mut self, error: FlowError) {
        if self.has_unanswered() && self.effect() != Effect::Safe {
            self.ambiguous(error);
        } else {
            self.fail(error);
        }
    }

    fn ambiguous(&mut self, cause: FlowError) {
        self.fail(FlowError::Ambiguous(Ambiguity {
            operation: O::INFO.name,
            cause: Box::new(cause),
            unanswered: self.has_unanswered(),
            found: None,
            evidence: None,
        }));
    }

    /// The end. After a success that could not be read there is no doubt.
    fn fail(&mut self, error: FlowError) {
        self.state = State::Failed(self.unread.take().map_or(error, FlowError::Service));
    }

    fn out_of_time(&mut self, at: Timestamp) {
        self.unanswered += u32::from(matches!(self.state, State::InFlight { .. }));
        self.exchange = None;
        let last = self.last.take().map(Box::new);
        self.give_up(FlowError::Deadline { at, waiting: O::INFO.name, observed: None, last, evidence: None });
    }

    fn prepare(&mut self) -> Result<(), BuildError> {
        let cx = RequestContext::new(self.config.base()).with_attempt(self.sent);
        let mut request = self.operation.request(cx)?;
        for name in self.config.headers().keys() {
            request.headers_mut().remove(name);
        }
        for (name, value) in self.config.headers() {
            request.headers_mut().append(name, value.clone());
        }
        if let Some(credential) = &self.credential {
            request.headers_mut().insert(header::AUTHORIZATION, credential.clone());
        }
        self.exchange = Some(Exchange {
            ticket: Ticket::next(),
            info: O::INFO,
            request,
            timeout: self.operation.timeout(self.config.retry().attempt_timeout),
            body_limit: self.config.body_limit(),
            live: O::STREAMING,
            fresh: self.is_silent || self.effect() == Effect::Once || self.config.contact().is_silent(),
        });
        Ok(())
    }

    fn next_step(&mut self) -> Step<O::Output> {
        loop {
            // Most of the time there is none, and taking it copies it.
            if self.notice.is_some()
                && let Some(notice) = self.notice.take()
            {
                return Step::Notice(notice);
            }
            let open = !matches!(self.state, State::Succeeded(_) | State::Failed(_) | State::Finished);
            if let Some(at) = self.deadline.filter(|at| open && *at <= self.now) {
                self.out_of_time(at);
            }
            let by_deadline = |at: Timestamp| self.deadline.map_or(at, |deadline| at.min(deadline));
            match &self.state {
                State::Ready if self.config.exposes_credentials() => {
                    let authority = self.config.base().authority().to_string();
                    self.state = State::Failed(BuildError::Plaintext { authority }.into());
                }
                State::Ready if self.config.is_authorized() && self.credential.is_none() => {
                    let ticket = Ticket::next();
                    self.state = State::Authorizing { ticket, until: self.now + self.config.retry().attempt_timeout };
                    return Step::Authorize(CredentialRequest {
                        ticket,
                        service: O::INFO.service,
                        authority: self.config.base().authority().clone(),
                        rejected: self.rejected.clone(),
                    });
                }
                State::Ready => match self.prepare() {
                    Ok(()) => {
                        self.state = State::Prepared;
                        return Step::Notice(Notice::Sending { operation: O::INFO.name, attempt: self.sent });
                    }
                    Err(error) => self.give_up(error.into()),
                },
                State::Prepared => {
                    self.state = State::Finished;
                    if let Some(exchange) = &mut self.exchange {
                        let until = by_deadline(self.now + exchange.timeout);
                        exchange.timeout = until.since(self.now);
                        self.sent = self.sent.saturating_add(1);
                        self.state = State::InFlight { ticket: exchange.ticket, until };
                    }
                    // Moved once: it is large.
                    if let Some(exchange) = self.exchange.take() {
                        return Step::Send(exchange);
                    }
                }
                State::Authorizing { until, .. } if *until <= self.now => {
                    self.unauthorized(CredentialError::transient("none was supplied in time"));
                }
                State::InFlight { until, .. } if *until <= self.now => {
                    let message = format!("{}: no answer in time", O::INFO.name);
                    self.not_answered(TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, message));
                }
                State::Waiting { until } if *until <= self.now => {
                    // It may have expired by now. Only whoever supplies it knows.
                    self.credential = None;
                    self.state = State::Ready;
                }
                State::Authorizing { until, .. } | State::InFlight { until, .. } => {
                    return Step::InFlight { until: by_deadline(*until) };
                }
                State::Waiting { until } => return Step::WaitUntil(by_deadline(*until)),
                State::Failed(error) => return Step::Done(Err(error.clone())),
                State::Succeeded(_) | State::Finished => {
                    return Step::Done(match std::mem::replace(&mut self.state, State::Finished) {
                        State::Succeeded(output) => Ok(output),
                        _ => Err(FlowError::Misuse(Misuse::PolledAfterDone)),
                    });
                }
            }
        }
    }
}

impl<O: Operation> Flow for Call<O> {
    type Output = O::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<O::Output> {
        self.now = self.now.max(now);
        match reply.and_then(|reply| self.accept(reply)) {
            None => self.next_step(),
            Some(stray) => Step::Stray(stray),
        }
    }
}

impl<O: Operation> std::fmt::Debug for Call<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Ready => "ready",
            State::Authorizing { .. } => "authorizing",
            State::Prepared => "prepared",
            State::InFlight { .. } => "in flight",
            State::Waiting { .. } => "waiting",
            State::Succeeded(_) => "succeeded",
            State::Failed(_) => "failed",
            State::Finished => "finished",
        };
        f.debug_struct("Call")
            .field("operation", &O::INFO.name)
            .field("sent", &self.sent)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

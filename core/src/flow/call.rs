//! [`Call`]: the flow of one operation, with its credential, attempts, waits and deadline.
//!
//! ```text
//!                    ┌───────────────── wait over ─────────────────┐
//!                    ▼                                             │
//!  start ──────▶ Ready ──▶ Prepared ──▶ InFlight ──┬─▶ try again ─▶ Waiting
//!                 │  ▲                             ├─▶ Succeeded
//!     credential? ▼  │ granted                     └─▶ Failed
//!              Authorizing ◀──── 401, once ────────┘
//! ```
//!
//! | the attempt ended with | `Safe` | `Idempotent` | `Fenced` | `Once` |
//! |---|---|---|---|---|
//! | request not sent | retry | retry | retry | retry |
//! | no answer, outcome unknown | retry | retry | retry | **ambiguous** |
//! | rejected, transient, not applied (429, a service's own 503) | retry | retry | retry | retry |
//! | rejected, transient, perhaps applied (502, 504, a proxy's 503) | retry | retry | retry | **ambiguous** |
//! | rejected, and applied (Feldera's `ParseErrors`) | error | error | error | error |
//! | rejected, not transient, not applied | error | error; **ambiguous** after an unanswered attempt | as `Idempotent` | error |
//! | rejected, not transient, perhaps applied | error | **ambiguous** | **ambiguous** | **ambiguous** |
//! | attempts or time used up after an unanswered attempt | error | **ambiguous** | **ambiguous** | |
//! | 2xx, but the body is cut off or garbled | retry | retry; after the last attempt **ambiguous**, or an error for PATCH and DELETE | as `Idempotent` | **ambiguous**; PATCH, DELETE: error |
//! | 2xx, but the body is compressed or of another shape | error | **ambiguous**; PATCH, DELETE: error | as `Idempotent` | as `Idempotent` |
//!
//! *Retry* waits and sends the request again. *Error* ends the call with the rejection, *ambiguous* with
//! [`FlowError::Ambiguous`]. A status alone never decides whether a rejection is transient: the service's own codes do.
//! The effects are the variants of [`Effect`](crate::Effect).
//!
//! A 2xx status says that the request was carried out, unless the body is a web page or other text, which a proxy may
//! have sent by itself. The answers to PATCH and DELETE contain nothing more that the caller needs. So the call ends
//! with an error whose [`applied`](ServiceError::applied) is [`Applied::Yes`], and not as ambiguous. The answers to PUT
//! and POST contain what the caller needs next, such as the id of a job or a token.
//!
//! What a [`Call`] does also depends on what the address has answered before, in any call with the same [`Config`]:
//!
//! | the attempt ended with | before the first answer | after it |
//! |---|---|---|
//! | 401, 403 or 404 without a body that identifies the service (a web page, an empty body, other JSON) | while the *service* has never answered: error, because the address is probably wrong | transient and not applied, like 429: a proxy has lost the service for a moment |
//! | no connection, or no address for the host name | while no HTTP response has ever arrived: [`Retry::connect_attempts`](super::Retry::connect_attempts) attempts | [`Retry::attempts`](super::Retry::attempts) attempts |
//! | the TLS handshake failed | while no HTTP response has ever arrived: error; check the certificate, the port and `https` | retry |
//!
//! The service has answered when it has sent a success that can be read, or a rejection that [identifies the
//! service](Service::identifies_service). Exception: a 404 without a service code from a Snowpipe ingest host is always
//! transient, because the account supplied the name of the host.
//!
//! After an attempt without an answer, the next request asks for a [fresh
//! connection](Exchange::wants_fresh_connection).

use std::time::Duration;

use super::attempts::{Attempts, Next, Rules};
use super::{Config, Flow, Outcome, Reply, Step};
#[cfg(doc)]
use crate::error::Applied;
use crate::error::{FlowError, Misuse, ServiceError};
#[cfg(doc)]
use crate::flow::Exchange;
use crate::operation::{Operation, Service};
use crate::seed::Seed;
use crate::time::Timestamp;

/// The flow of one operation: it sends the request until an answer decides. The [module](self) has the rules.
///
/// ```
/// use pipewright::{Seed, Timestamp};
/// use pipewright::flink::cluster::GetOverview;
/// use pipewright::flow::{Call, Config, Flow, Step};
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
/// assert_eq!(overview.jobs_running, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a call does nothing until it is polled"]
pub struct Call<O: Operation> {
    operation: O,
    attempts: Attempts,
    output: Option<O::Output>,
}

impl<O: Operation> Call<O> {
    const RULES: &'static Rules = &Rules {
        info: O::INFO,
        is_streaming: O::STREAMING,
        is_auth_error: O::Service::is_auth_error,
        identifies_service: O::Service::identifies_service,
    };

    /// Creates the call of an operation, with the retries of a configuration.
    pub fn new(operation: O, config: &Config<O::Service>, seed: Seed) -> Self {
        let attempts = Attempts::new(Self::RULES, operation.effect(), config.settings(), seed);
        Self { operation, attempts, output: None }
    }

    /// Ends the call at this time at the latest, including waits.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.attempts.deadline = deadline.into();
        self
    }

    /// Extends the deadline by the waits that the service asks for (`Retry-After`), by at most this time in total.
    pub(crate) fn excusing(mut self, at_most: Duration) -> Self {
        self.attempts.excuse = at_most;
        self
    }

    /// Returns how long the service has asked to wait, beyond the call's own waits.
    pub(crate) fn asked_to_wait(&self) -> Duration {
        self.attempts.asked_to_wait
    }

    /// Returns the operation.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// Never sends the request again after an attempt whose outcome is unknown, even if the effect allows it.
    pub(crate) fn without_resending(mut self) -> Self {
        self.attempts.send_once();
        self
    }

    /// Ends with these rejections although they are transient, because the caller decides when to retry.
    pub(crate) fn handing_back(mut self, these: fn(&ServiceError) -> bool) -> Self {
        self.attempts.handed_back = these;
        self
    }

    /// Returns whether an attempt has an unknown outcome.
    pub(crate) fn has_unanswered(&self) -> bool {
        self.attempts.has_unanswered()
    }

    /// Returns the number of attempts with an unknown outcome.
    pub(crate) fn unanswered(&self) -> u32 {
        self.attempts.unanswered
    }

    /// Returns the number of attempts.
    pub(crate) fn sent(&self) -> u32 {
        self.attempts.sent
    }

    /// Returns whether the service may have received the request, including an attempt in progress.
    pub(crate) fn may_have_arrived(&self) -> bool {
        self.attempts.may_have_arrived()
    }

    /// Returns whether the next poll sends the request again. A flow that must read the service's state before each
    /// attempt does so now.
    pub(crate) fn is_about_to_repeat(&self) -> bool {
        self.attempts.is_about_to_repeat()
    }
}

impl<O: Operation> Flow for Call<O> {
    type Output = O::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<O::Output> {
        let attempts = &mut self.attempts;
        attempts.tick(now);
        match reply {
            None => {}
            Some(Reply { ticket, outcome: Outcome::Answer(Ok(response)) }) if attempts.awaits(ticket) => {
                let status = response.status();
                attempts.reached();
                match self.operation.parse(response) {
                    Ok(output) => {
                        self.output = Some(output);
                        return Step::Notice(attempts.succeeded(status));
                    }
                    Err(error) => attempts.rejected(error),
                }
            }
            Some(reply) => {
                if let Some(stray) = attempts.accept(reply) {
                    return Step::Stray(stray);
                }
            }
        }
        let after_end = || FlowError::Misuse(Misuse::PolledAfterDone);
        loop {
            return match attempts.next() {
                Next::Prepare => match self.operation.request(attempts.request_context()) {
                    Ok(request) => {
                        let timeout = self.operation.timeout(attempts.attempt_timeout());
                        Step::Notice(attempts.prepared(request, timeout))
                    }
                    Err(error) => {
                        attempts.not_prepared(error);
                        continue;
                    }
                },
                Next::Send => match attempts.take_exchange() {
                    Some(exchange) => Step::Send(exchange),
                    None => Step::Done(Err(after_end())),
                },
                Next::Notice => match attempts.take_notice() {
                    Some(notice) => Step::Notice(notice),
                    None => continue,
                },
                Next::Authorize => Step::Authorize(attempts.credential_request()),
                Next::WaitUntil(at) => Step::WaitUntil(at),
                Next::InFlight(until) => Step::InFlight { until },
                Next::Failed => Step::Done(Err(attempts.error().unwrap_or_else(after_end))),
                Next::Done => Step::Done(self.output.take().ok_or_else(after_end)),
            };
        }
    }
}

impl<O: Operation> std::fmt::Debug for Call<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("operation", &O::INFO.name)
            .field("sent", &self.attempts.sent)
            .field("state", &self.attempts.state_name())
            .finish_non_exhaustive()
    }
}

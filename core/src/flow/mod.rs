//! Flows: state machines without I/O that reach a goal with several requests.
//!
//! A [`Flow`] has one method. Its driver calls [`poll`](Flow::poll) and carries out the [`Step`]:
//!
//! ```text
//!              ┌────────────────────────── poll(now, reply) ───────────────────────────┐
//!              │                                                                        │
//!   Send(exchange) ──▶ execute it, exchange.settle(result) ──▶ reply ───────────────────┤
//!   Authorize(request) ▶ find a credential, request.settle(result) ─▶ reply ────────────┤
//!   WaitUntil(at) ────▶ sleep ──▶ no reply ─────────────────────────────────────────────┤
//!   InFlight{until} ──▶ wait for the reply that is outstanding, or until then ──────────┤
//!   Notice(notice) ───▶ show it, or save it ──▶ no reply ───────────────────────────────┤
//!   Stray(reply) ─────▶ not this flow's reply: give it to the flow that it belongs to ──┘
//!   Done(result)       the end
//! ```
//!
//! [`driver::run`](crate::driver::run) is that loop for blocking transports,
//! [`driver::run_async`](crate::driver::run_async) for any executor; your own event loop is a `match`. These
//! rules hold for every flow:
//!
//! * At most one exchange is outstanding. Parallel work is several flows.
//! * Settling an exchange consumes it, so it cannot be answered twice. A reply of another flow, or a late reply, is
//!   returned as [`Step::Stray`] and changes nothing.
//! * A request whose [`Effect`](crate::Effect) is `Once` is never sent again after an attempt whose outcome is unknown.
//! * Polling more often than necessary is harmless. A flow that failed returns the same error again.
//! * Dropping a flow sends nothing: the service continues what it has begun.
//!
//! Flows nest: a flow polls its child, and returns every step except the child's result, with [`ready!`](ready).
//!
//! [`docs::embedding`](crate::docs::embedding) shows how to embed flows in an event loop, and how to run 1,000 flows on
//! one thread.
//!
//! # Resume after a crash
//!
//! Some flows send a request that must not be sent twice, such as a stop with a savepoint. Before such a request the
//! flow returns [`Notice::Persist`] with a [`SavedState`]. Write the state to a file or a database, and poll again only
//! after that. If writing fails, drop the flow: the request was not sent. With a [`Client`](crate::driver::Client), a
//! listener that returns an error does the same.
//!
//! After a crash, pass the newest state to `resume` of the same goal, such as
//! [`StopWithSavepoint::resume`](crate::flink::StopWithSavepoint::resume), and run it. The flow finds out what was
//! carried out, and continues. A goal without `resume` saves nothing: run it again from the beginning.
//! [`docs::resuming`](crate::docs::resuming) lists which goals can be resumed, and what is secret.

mod attempts;
pub mod call;
mod config;
mod contact;
mod context;
mod goal_flow;
mod goal_macro;
mod many;
mod notice;
mod poll_interval;
mod retry;

use std::fmt;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};

pub use call::Call;
pub use config::Config;
pub(crate) use contact::Contact;
pub(crate) use context::{FlowContext, Polled, Transition, done, or_done};
pub use goal_flow::GoalFlow;
pub(crate) use goal_flow::{MachineGoal, Runner, StateMachine};
pub(crate) use goal_macro::goal;
pub use many::{FlowId, Many, ManyStep};
pub use notice::{Notice, SavedState};
pub(crate) use poll_interval::PollInterval;
pub use retry::Retry;

use crate::body::Body;
use crate::error::{CredentialError, Delivery, FlowError, TransportError, TransportErrorKind};
use crate::operation::{OperationInfo, Service};
use crate::seed::Seed;
use crate::time::Timestamp;

/// A state machine that reaches a goal with several requests, without I/O.
pub trait Flow {
    /// The result, or the event of an event flow.
    type Output;

    /// Advances the flow as far as possible without I/O, and returns what to do next.
    ///
    /// `reply` is the settled exchange or credential request of an earlier step; `None` if no reply has arrived.
    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<Self::Output>;
}

impl<F: Flow + ?Sized> Flow for &mut F {
    type Output = F::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<Self::Output> {
        (**self).poll(now, reply)
    }
}

impl<F: Flow + ?Sized> Flow for Box<F> {
    type Output = F::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<Self::Output> {
        (**self).poll(now, reply)
    }
}

/// The description of a flow, as data. [`start`](Goal::start) creates the flow.
pub trait Goal {
    /// The service that the flow talks to.
    type Service: Service;
    /// The result.
    type Output;
    /// The state machine.
    type Flow: Flow<Output = Self::Output>;

    /// Creates the flow. It draws all its ids and its jitter from the seed.
    fn start(self, config: &Config<Self::Service>, seed: Seed) -> Self::Flow;
}

/// What the driver of a flow does next.
#[derive(Debug)]
#[must_use = "a dropped step is an exchange that never happens"]
pub enum Step<T> {
    /// Execute this exchange, and poll with the reply.
    Send(Exchange),
    /// Find a credential, and poll with the reply.
    Authorize(CredentialRequest),
    /// Poll again at this time, without a reply.
    WaitUntil(Timestamp),
    /// A reply is outstanding: poll with it, or at the given time without it.
    InFlight {
        /// When the flow stops waiting for the reply.
        until: Timestamp,
    },
    /// Show this progress, or save this state before the next poll. Then poll again at once.
    Notice(Notice),
    /// The flow does not wait for this reply. Nothing changed: give the reply to its own flow, and poll again at once.
    Stray(Reply),
    /// The result of the flow. An event flow yields an event: poll it again until its last event or an error.
    Done(Result<T, FlowError>),
}

impl<T> Step<T> {
    /// Returns the result, or the step that a parent flow returns to its caller. `?` returns the step, as
    /// [`ready!`](ready) does.
    pub fn into_result<U>(self) -> ControlFlow<Step<U>, Result<T, FlowError>> {
        ControlFlow::Break(match self {
            Self::Done(result) => return ControlFlow::Continue(result),
            Self::Send(exchange) => Step::Send(exchange),
            Self::Authorize(request) => Step::Authorize(request),
            Self::WaitUntil(at) => Step::WaitUntil(at),
            Self::InFlight { until } => Step::InFlight { until },
            Self::Notice(notice) => Step::Notice(notice),
            Self::Stray(reply) => Step::Stray(reply),
        })
    }
}

/// Evaluates to the result of a child flow. Returns every other step of the child to the caller.
///
/// It corresponds to `std::task::ready!`, for your own flows:
///
/// ```
/// use pipewright::Timestamp;
/// use pipewright::flink::cluster::GetOverview;
/// use pipewright::flink::jobs::{GetJobStatus, JobState};
/// use pipewright::flow::{Call, Flow, Reply, Step, ready};
///
/// /// How many slots are free, unless the job has failed.
/// struct Room {
///     job: Option<Call<GetJobStatus>>,
///     overview: Call<GetOverview>,
/// }
///
/// impl Flow for Room {
///     type Output = Option<u32>;
///
///     fn poll(&mut self, now: Timestamp, mut reply: Option<Reply>) -> Step<Option<u32>> {
///         if let Some(call) = &mut self.job {
///             match ready!(call.poll(now, reply.take())) {
///                 Ok(job) if job.status == JobState::Failed => return Step::Done(Ok(None)),
///                 Ok(_) => self.job = None,
///                 Err(error) => return Step::Done(Err(error)),
///             }
///         }
///         let overview = ready!(self.overview.poll(now, reply));
///         Step::Done(overview.map(|overview| overview.slots_available))
///     }
/// }
/// ```
#[macro_export]
macro_rules! ready {
    ($step:expr) => {
        match $crate::flow::Step::into_result($step) {
            ::std::ops::ControlFlow::Continue(result) => result,
            ::std::ops::ControlFlow::Break(step) => return step,
        }
    };
}
pub use ready;

/// Identifies an exchange among all flows of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket(u64);

impl Ticket {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// A request to execute. Settle it with the response or the error. A dropped exchange counts as unanswered.
#[must_use = "an exchange that is not executed and settled leaves its flow waiting for the timeout"]
pub struct Exchange {
    ticket: Ticket,
    info: &'static OperationInfo,
    request: Request<Body>,
    timeout: Duration,
    body_limit: u64,
    streaming: bool,
    fresh: bool,
}

impl Exchange {
    /// Returns the request, including its credential.
    pub fn request(&self) -> &Request<Body> {
        &self.request
    }

    /// Returns the request with its body in memory, for an HTTP client that takes an [`http::Request`].
    ///
    /// # Errors
    /// If a [`Source`](crate::Source) of the body cannot be read. The request was not sent.
    pub fn read_request(&self) -> Result<Request<Bytes>, TransportError> {
        match self.request.body().read() {
            Ok(body) => Ok(self.request.clone().map(|_| body)),
            Err(error) => {
                let message = format!("cannot read the request body: {error}");
                Err(TransportError::new(TransportErrorKind::Source, Delivery::NotSent, message))
            }
        }
    }

    /// Reads the body of a response into memory, for a blocking HTTP client that returns an [`io::Read`]. Errors keep
    /// the status of the response.
    ///
    /// # Errors
    /// * [`TransportErrorKind::TooLarge`] if the body is longer than [`body_limit`](Self::body_limit).
    /// * [`TransportErrorKind::Timeout`] if reading it timed out: the reader returned
    ///   [`TimedOut`](io::ErrorKind::TimedOut) or, as a socket on Unix does, [`WouldBlock`](io::ErrorKind::WouldBlock).
    /// * [`TransportErrorKind::Closed`] if reading it failed otherwise.
    pub fn read_response(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        body: impl io::Read,
    ) -> Result<Response<Bytes>, TransportError> {
        let mut whole = Vec::new();
        let error = match body.take(self.body_limit.saturating_add(1)).read_to_end(&mut whole) {
            Ok(length) if length as u64 <= self.body_limit => return Ok(response(status, headers, whole)),
            Ok(_) => TransportError::too_large(self.body_limit),
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                TransportError::timeout(error)
            }
            Err(error) => TransportError::closed(error),
        };
        Err(error.with_head(status, &headers))
    }

    /// Returns the operation's name, method, path template and effect.
    pub fn info(&self) -> &'static OperationInfo {
        self.info
    }

    /// Returns how long the flow waits for the response; for a streaming exchange, for its head.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the maximum size of the response body in bytes; for a streaming exchange, of an error response.
    pub fn body_limit(&self) -> u64 {
        self.body_limit
    }

    /// Returns whether a successful response is a stream, whose body the transport must not read.
    pub fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Returns whether the request should use a new connection. True for operations with
    /// [`Effect::Once`](crate::Effect::Once): if the server closes a kept connection during the request, the outcome is
    /// unknown. Also true after an attempt without an answer: other kept connections may be dead, too.
    pub fn wants_fresh_connection(&self) -> bool {
        self.fresh
    }

    /// Ends the exchange with the response, or with the reason why no response arrived. For a streaming exchange, pass
    /// the head with an empty body, or the error response with its body.
    pub fn settle(self, result: Result<Response<Bytes>, TransportError>) -> Reply {
        Reply { ticket: self.ticket, outcome: Outcome::Answer(result) }
    }
}

/// Puts a response together.
pub(crate) fn response(status: StatusCode, headers: HeaderMap, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Shows the operation and the URI. Does not show headers and the values of the query, which may be secrets.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("operation", &self.info.name)
            .field("method", self.request.method())
            .field("uri", &without_query_values(self.request.uri()))
            .field("body", self.request.body())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Returns a URI with the names of its query, without their values.
fn without_query_values(uri: &Uri) -> String {
    let text = uri.to_string();
    let Some((before, query)) = text.split_once('?') else { return text };
    let names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    format!("{before}?{}", names.map(|name| format!("{name}=…")).collect::<Vec<_>>().join("&"))
}

/// A request for a credential.
#[derive(Debug)]
#[must_use = "without a credential the flow waits for its deadline"]
pub struct CredentialRequest {
    ticket: Ticket,
    service: &'static str,
    authority: Authority,
    rejected: Option<HeaderValue>,
}

impl CredentialRequest {
    /// Returns the service's name, as in [`OperationInfo::service`].
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Returns the host and port that the credential will be sent to.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the credential that the service has just rejected with 401; `None` if it rejected none. Supply another
    /// credential.
    pub fn rejected(&self) -> Option<&HeaderValue> {
        self.rejected.as_ref()
    }

    /// Ends the request with the value of the `Authorization` header, or with the reason why no credential is
    /// available. The header is marked as sensitive.
    pub fn settle(self, result: Result<HeaderValue, CredentialError>) -> Reply {
        let result = result.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        Reply { ticket: self.ticket, outcome: Outcome::Credential(result) }
    }
}

impl Reply {
    /// Returns whether it belongs to an exchange, and not to a credential request.
    pub(crate) fn is_of_exchange(&self) -> bool {
        matches!(self.outcome, Outcome::Answer(_))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A settled exchange or credential request, for the flow that it belongs to.
#[derive(Debug)]
#[must_use = "the flow waits for this reply"]
pub struct Reply {
    ticket: Ticket,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Answer(Result<Response<Bytes>, TransportError>),
    Credential(Result<HeaderValue, CredentialError>),
}

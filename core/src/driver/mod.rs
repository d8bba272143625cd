//! Drivers: the loops that run a flow on a transport and a clock. No I/O happens here either.
//!
//! * [`run`] for blocking transports, [`run_async`] for any executor, both for any [`Flow`];
//! * [`open`] for operations with a live body, giving a [`Stream`] of what its decoder makes of it;
//! * [`Client`], a service's address, transport and credentials in one, so that common use is one line.
//!
//! An event loop of one's own needs none of them: it is a `match` on [`Step`], see [`flow`](crate::flow).

mod client;
mod stream;

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response};

pub use client::Client;
pub use stream::{Stream, StreamError};

use crate::error::{CredentialError, Delivery, FlowError, Misuse, TransportError, TransportErrorKind};
use crate::flow::{CredentialRequest, Exchange, Flow, Notice, Reply, Step};
use crate::secret::Secret;
use crate::time::Timestamp;

/// Whatever executes one exchange, blocking.
///
/// A transport follows no redirects, retries nothing, adds no headers of its own beyond what HTTP needs (`Host`,
/// `Content-Length`, `Connection`), treats every status as an answer, bounds the body by
/// [`Exchange::body_limit`] and the time by [`Exchange::timeout`], and says of each failure whether the request was
/// [`NotSent`](Delivery::NotSent) or its outcome is [`Unknown`](Delivery::Unknown): when in doubt, unknown.
pub trait Transport {
    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer.
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError>;

    /// Sends the request of a live exchange and reads the head of the answer; of a refusal, the whole.
    ///
    /// # Errors
    /// When there is no answer.
    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError>;
}

/// The answer to a live exchange.
#[derive(Debug)]
pub enum Opened {
    /// A success, its body unread.
    Live(Response<Box<dyn LiveBody>>),
    /// Any other status, with its body.
    Refusal(Response<Bytes>),
}

/// A body that is still coming.
pub trait LiveBody: fmt::Debug + Send {
    /// Waits for the next bytes and puts them into the buffer; 0 is the end.
    ///
    /// # Errors
    /// When the body is cut off, or nothing came for longer than the transport waits.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError>;
}

/// Tells the time and waits.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns when it is `at` or later.
    fn sleep_until(&self, at: Timestamp);
}

/// Draws random bits, for jitter and for ids.
pub trait Entropy {
    /// 128 bits that were never drawn before.
    fn bits(&self) -> u128;
}

/// Supplies `Authorization` headers.
pub trait Credentials {
    /// A header for the service that the request names; another one than it was [`rejected`](CredentialRequest::rejected).
    ///
    /// A flow asks before its first request and again before each repetition, so that a credential which has expired while the
    /// flow waited is not sent. An implementation for which a credential is expensive keeps it until shortly before it expires.
    ///
    /// # Errors
    /// When there is none. The message must not hold a secret.
    fn authorize(&self, request: &CredentialRequest, now: Timestamp) -> Result<HeaderValue, CredentialError>;
}

/// A fixed bearer token; useless once the service has rejected it.
impl Credentials for Secret {
    fn authorize(&self, request: &CredentialRequest, _now: Timestamp) -> Result<HeaderValue, CredentialError> {
        match request.rejected() {
            None => self.bearer(),
            Some(_) => Err(CredentialError::permanent(format!("{} refused the token with 401", request.service()))),
        }
    }
}

/// For services without authentication.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn authorize(&self, request: &CredentialRequest, _now: Timestamp) -> Result<HeaderValue, CredentialError> {
        Err(CredentialError::permanent(format!("none was configured for {}", request.authority())))
    }
}

/// What a listener to notices gives back: nothing, or a `Result` whose error stops the flow.
///
/// A [`Notice::Persist`] comes before the request that matters. If the listener cannot save it, its error keeps the request from being
/// sent.
///
/// ```
/// # use pipewright::driver::{self, NoCredentials, Clock, Transport};
/// # use pipewright::error::FlowError;
/// # use pipewright::flow::{Flow, Notice, SavedState};
/// # fn store(_: &SavedState) -> std::io::Result<()> { Ok(()) }
/// # fn example<F: Flow>(flow: F, runtime: &(impl Transport + Clock)) -> Result<F::Output, FlowError> {
/// driver::run(flow, runtime, &NoCredentials, |notice| match notice {
///     Notice::Persist(saved) => store(&saved),
///     notice => Ok(println!("{notice}")),
/// })
/// # }
/// ```
pub trait ListenerResult {
    /// Whether the flow may go on.
    ///
    /// # Errors
    /// [`FlowError::Stopped`] with the listener's reason.
    fn verdict(self) -> Result<(), FlowError>;
}

impl ListenerResult for () {
    fn verdict(self) -> Result<(), FlowError> {
        Ok(())
    }
}

impl<E: fmt::Display> ListenerResult for Result<(), E> {
    fn verdict(self) -> Result<(), FlowError> {
        self.map_err(|error| FlowError::Stopped(error.to_string()))
    }
}

/// Runs a flow to its end, blocking. Notices go to `on_notice` before the flow goes on.
///
/// # Errors
/// The flow's.
pub fn run<F: Flow, H: ListenerResult>(
    mut flow: F,
    runtime: &(impl Transport + Clock + ?Sized),
    credentials: &dyn Credentials,
    mut on_notice: impl FnMut(Notice) -> H,
) -> Result<F::Output, FlowError> {
    loop {
        if let Some(output) = run_until(&mut flow, Timestamp::MAX, runtime, credentials, &mut on_notice)? {
            return Ok(output);
        }
    }
}

/// Runs a flow until it has a result, or has nothing to do before `until`: `None`, when it is that late. For sessions that are
/// given work in between, such as a `snowpipe::Writer`; with any time that is past, whatever can be done is.
///
/// An exchange that is sent before `until` is waited for.
///
/// # Errors
/// The flow's.
pub fn run_until<F: Flow, H: ListenerResult>(
    flow: &mut F,
    until: Timestamp,
    runtime: &(impl Transport + Clock + ?Sized),
    credentials: &dyn Credentials,
    mut on_notice: impl FnMut(Notice) -> H,
) -> Result<Option<F::Output>, FlowError> {
    let mut reply = None;
    loop {
        let now = runtime.now();
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) if exchange.is_live() => return Err(FlowError::Misuse(Misuse::LiveBody)),
            Step::Send(exchange) => {
                let answer = runtime.send(&exchange);
                reply = Some(exchange.settle(answer));
            }
            Step::Authorize(request) => reply = Some(authorize(request, credentials, runtime.now())),
            Step::WaitUntil(at) | Step::InFlight { until: at } => {
                // Whoever looks in after each row does not sleep, and need not look at the clock again.
                if at.min(until) > now {
                    runtime.sleep_until(at.min(until));
                }
                if at > until {
                    return Ok(None);
                }
            }
            Step::Notice(notice) => on_notice(notice).verdict()?,
            Step::Stray(_) => return Err(FlowError::Misuse(Misuse::WrongReply)),
            Step::Done(result) => return result.map(Some),
        }
    }
}

/// Runs the call of an operation with a live body up to its head, and gives the stream.
///
/// # Errors
/// The call's.
pub fn open<F: Flow, H: ListenerResult>(
    mut call: F,
    runtime: &(impl Transport + Clock + ?Sized),
    credentials: &dyn Credentials,
    mut on_notice: impl FnMut(Notice) -> H,
) -> Result<Stream<F::Output>, FlowError> {
    let (mut reply, mut body) = (None, None);
    loop {
        match call.poll(runtime.now(), reply.take()) {
            Step::Send(exchange) if !exchange.is_live() => return Err(FlowError::Misuse(Misuse::LiveBody)),
            Step::Send(exchange) => {
                let answer = runtime.open(&exchange).map(|opened| match opened {
                    Opened::Refusal(response) => response,
                    Opened::Live(response) => {
                        let (head, live) = response.into_parts();
                        body = Some(live);
                        Response::from_parts(head, Bytes::new())
                    }
                });
                reply = Some(exchange.settle(answer));
            }
            Step::Authorize(request) => reply = Some(authorize(request, credentials, runtime.now())),
            Step::WaitUntil(at) | Step::InFlight { until: at } => runtime.sleep_until(at),
            Step::Notice(notice) => on_notice(notice).verdict()?,
            Step::Stray(_) => return Err(FlowError::Misuse(Misuse::WrongReply)),
            Step::Done(result) => {
                let decoder = result?;
                let nothing = || {
                    let message = "the transport gave a success without a live body";
                    TransportError::new(TransportErrorKind::Unsupported, Delivery::Unknown, message)
                };
                return Ok(Stream::new(decoder, body.ok_or_else(nothing)?));
            }
        }
    }
}

/// Runs a flow to its end on any executor: the closures do the I/O, this function only awaits them.
///
/// `send` executes an exchange as a [`Transport`] does, `sleep_until` waits.
///
/// ```
/// use pipewright::{driver, Timestamp, Seed, driver::NoCredentials};
/// use pipewright::flow::{Call, Config};
/// use pipewright::flink::{GetJobStatus, JobId, JobState};
///
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) { return output; } }
/// # }
/// let config = Config::new("http://127.0.0.1:8081".parse()?);
/// let call = Call::new(GetJobStatus::new(JobId::from_bits(7)), &config, Seed::new(1));
/// let job = block_on(driver::run_async(
///     call,
///     || Timestamp::from_millis(0),
///     async |exchange: &pipewright::flow::Exchange| {
///         assert!(exchange.request().uri().path().ends_with("/status"));
///         Ok(http::Response::new(r#"{"status":"FINISHED"}"#.into()))
///     },
///     async |_at| {},
///     &NoCredentials,
///     |notice| println!("{notice}"),
/// ))?;
/// assert_eq!(job.status, JobState::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The flow's.
pub async fn run_async<F: Flow, H: ListenerResult>(
    mut flow: F,
    now: impl Fn() -> Timestamp,
    mut send: impl AsyncFnMut(&Exchange) -> Result<Response<Bytes>, TransportError>,
    mut sleep_until: impl AsyncFnMut(Timestamp),
    credentials: &dyn Credentials,
    mut on_notice: impl FnMut(Notice) -> H,
) -> Result<F::Output, FlowError> {
    let mut reply = None;
    loop {
        match flow.poll(now(), reply.take()) {
            Step::Send(exchange) if exchange.is_live() => return Err(FlowError::Misuse(Misuse::LiveBody)),
            Step::Send(exchange) => {
                let answer = send(&exchange).await;
                reply = Some(exchange.settle(answer));
            }
            Step::Authorize(request) => reply = Some(authorize(request, credentials, now())),
            Step::WaitUntil(at) | Step::InFlight { until: at } => sleep_until(at).await,
            Step::Notice(notice) => on_notice(notice).verdict()?,
            Step::Stray(_) => return Err(FlowError::Misuse(Misuse::WrongReply)),
            Step::Done(result) => return result,
        }
    }
}

fn authorize(request: CredentialRequest, credentials: &dyn Credentials, now: Timestamp) -> Reply {
    let header = credentials.authorize(&request, now);
    request.settle(header)
}

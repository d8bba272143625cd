//! The driver for async programs: [`AsyncDriver`] and [`AsyncStream`].

use std::fmt;

use bytes::Bytes;

use super::blocking::no_body;
use super::stream::{Items, Next};
use super::{Credentials, ListenerResult, NoCredentials, StreamError};
use crate::decode::Decoder;
use crate::error::{FlowError, Misuse, TransportError};
use crate::flow::{CredentialRequest, Exchange, Flow, Notice, Reply, Step};
use crate::time::Timestamp;

/// Drives flows on any async executor. Closures do the I/O, and the driver only awaits them.
///
/// | closure | what it does |
/// |---|---|
/// | `now` | returns the current time |
/// | `send` | executes an exchange as a [`Transport`](super::Transport) does, and [settles](Exchange::settle) it: [`execute`](super::execute) does so with your HTTP client |
/// | `sleep_until` | completes at the given time |
///
/// The futures of the driver are `Send` if the futures of the closures are. To drive other flows at the same time,
/// clone the driver.
///
/// ```
/// use pipewright::{Seed, Timestamp};
/// use pipewright::driver::{AsyncDriver, ignore_notices};
/// use pipewright::flink::JobId;
/// use pipewright::flink::jobs::{GetJobStatus, JobState};
/// use pipewright::flow::{Call, Config, Exchange};
///
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) { return output; } }
/// # }
/// let mut driver = AsyncDriver::new(
///     || Timestamp::from_millis(0),
///     |exchange: Exchange| async {
///         assert!(exchange.request().uri().path().ends_with("/status"));
///         exchange.settle(Ok(http::Response::new(r#"{"status":"FINISHED"}"#.into())))
///     },
///     |_at| async {},
/// );
/// let config = Config::new("http://127.0.0.1:8081".parse()?);
/// let call = Call::new(GetJobStatus::new(JobId::from_bits(7)), &config, Seed::new(1));
/// let job = block_on(driver.run(call, ignore_notices))?;
/// assert_eq!(job.status, JobState::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Event flows
///
/// [`run`](Self::run) with `&mut flow` drives an event flow to its next event, [`run_until`](Self::run_until) until a
/// given time at most. If a future is dropped early, for example by `select!`, the answer to its exchange is lost, and
/// the flow waits for the timeout of the exchange. So use `run_until` for flows that get work in between.
///
/// # Credentials
///
/// [`with_credentials`](Self::with_credentials) takes credentials that answer at once, such as a
/// [`Secret`](crate::Secret). [`with_async_credentials`](Self::with_async_credentials) takes a closure that awaits a
/// credential, such as a token from an identity provider.
#[derive(Clone)]
pub struct AsyncDriver<N, S, W, C = NoCredentials> {
    now: N,
    send: S,
    sleep_until: W,
    credentials: C,
}

/// Credentials of an [`AsyncDriver`]. Implemented by all [`Credentials`], and by [`AuthorizeFn`].
pub trait AsyncCredentials {
    /// Settles a request for a credential.
    fn authorize(&mut self, request: CredentialRequest, now: Timestamp) -> impl Future<Output = Reply>;
}

impl<C: Credentials> AsyncCredentials for C {
    fn authorize(&mut self, request: CredentialRequest, now: Timestamp) -> impl Future<Output = Reply> {
        std::future::ready(super::credentials::authorize(request, self, now))
    }
}

/// Credentials from an async closure. Created by [`AsyncDriver::with_async_credentials`].
#[derive(Clone, Copy, Debug)]
pub struct AuthorizeFn<A>(A);

impl<A, F> AsyncCredentials for AuthorizeFn<A>
where
    A: FnMut(CredentialRequest) -> F,
    F: Future<Output = Reply>,
{
    fn authorize(&mut self, request: CredentialRequest, _now: Timestamp) -> impl Future<Output = Reply> {
        (self.0)(request)
    }
}

impl<N, S, SF, W, WF> AsyncDriver<N, S, W>
where
    N: Fn() -> Timestamp,
    S: FnMut(Exchange) -> SF,
    SF: Future<Output = Reply>,
    W: FnMut(Timestamp) -> WF,
    WF: Future<Output = ()>,
{
    /// Creates a driver with these closures, without credentials.
    pub fn new(now: N, send: S, sleep_until: W) -> Self {
        Self { now, send, sleep_until, credentials: NoCredentials }
    }

    /// Sets credentials that answer at once.
    pub fn with_credentials<C: Credentials>(self, credentials: C) -> AsyncDriver<N, S, W, C> {
        let Self { now, send, sleep_until, .. } = self;
        AsyncDriver { now, send, sleep_until, credentials }
    }

    /// Sets a closure that awaits a credential and [settles](CredentialRequest::settle) the request with it.
    ///
    /// If a credential is expensive, keep it until shortly before it expires.
    pub fn with_async_credentials<A, F>(self, authorize: A) -> AsyncDriver<N, S, W, AuthorizeFn<A>>
    where
        A: FnMut(CredentialRequest) -> F,
        F: Future<Output = Reply>,
    {
        let Self { now, send, sleep_until, .. } = self;
        AsyncDriver { now, send, sleep_until, credentials: AuthorizeFn(authorize) }
    }
}

impl<N, S, SF, W, WF, C> AsyncDriver<N, S, W, C>
where
    N: Fn() -> Timestamp,
    S: FnMut(Exchange) -> SF,
    SF: Future<Output = Reply>,
    W: FnMut(Timestamp) -> WF,
    WF: Future<Output = ()>,
    C: AsyncCredentials,
{
    /// Runs a flow to its result; an event flow to its next event. Each notice is given to `on_notice` before the flow
    /// continues.
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub async fn run<F: Flow, H: ListenerResult>(
        &mut self,
        mut flow: F,
        mut on_notice: impl FnMut(Notice) -> H,
    ) -> Result<F::Output, FlowError> {
        loop {
            if let Some(output) = self.run_until(&mut flow, Timestamp::MAX, &mut on_notice).await? {
                return Ok(output);
            }
        }
    }

    /// Runs a flow until it has a result or an event. Returns `None` if it has nothing to do before `until`. If `until`
    /// has passed, the flow does what it can do at once. See [`driver::run_until`](super::run_until).
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub async fn run_until<F: Flow, H: ListenerResult>(
        &mut self,
        flow: &mut F,
        until: Timestamp,
        mut on_notice: impl FnMut(Notice) -> H,
    ) -> Result<Option<F::Output>, FlowError> {
        let mut reply = None;
        loop {
            let now = (self.now)();
            match flow.poll(now, reply.take()) {
                Step::Send(exchange) if exchange.is_streaming() => return Err(FlowError::Misuse(Misuse::WrongMethod)),
                Step::Send(exchange) => reply = Some((self.send)(exchange).await),
                Step::Authorize(request) => reply = Some(self.credentials.authorize(request, now).await),
                Step::WaitUntil(at) | Step::InFlight { until: at } => {
                    if at.min(until) > now {
                        (self.sleep_until)(at.min(until)).await;
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

    /// Runs the call of a streaming operation until the head of the response arrives, and returns the stream.
    ///
    /// The closure `open` executes the exchange and settles it. If the status is a success, it settles with an empty
    /// body and returns the body itself as the second value. Otherwise it settles with the whole response, and the
    /// second value is `None`. [`execute`](super::execute) does so.
    ///
    /// # Errors
    /// The error of the call; [`FlowError::Stopped`] if the listener returns an error.
    pub async fn open<F: Flow, B, O, OF, H: ListenerResult>(
        &mut self,
        mut call: F,
        mut open: O,
        mut on_notice: impl FnMut(Notice) -> H,
    ) -> Result<AsyncStream<F::Output, B>, FlowError>
    where
        O: FnMut(Exchange) -> OF,
        OF: Future<Output = (Reply, Option<B>)>,
    {
        let (mut reply, mut body) = (None, None);
        loop {
            let now = (self.now)();
            match call.poll(now, reply.take()) {
                Step::Send(exchange) if !exchange.is_streaming() => return Err(FlowError::Misuse(Misuse::WrongMethod)),
                Step::Send(exchange) => {
                    let (settled, opened) = open(exchange).await;
                    (reply, body) = (Some(settled), opened);
                }
                Step::Authorize(request) => reply = Some(self.credentials.authorize(request, now).await),
                Step::WaitUntil(at) | Step::InFlight { until: at } => (self.sleep_until)(at).await,
                Step::Notice(notice) => on_notice(notice).verdict()?,
                Step::Stray(_) => return Err(FlowError::Misuse(Misuse::WrongReply)),
                Step::Done(result) => {
                    let decoder = result?;
                    return Ok(AsyncStream::new(decoder, body.ok_or_else(no_body)?));
                }
            }
        }
    }
}

impl<N, S, W, C> fmt::Debug for AsyncDriver<N, S, W, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncDriver").finish_non_exhaustive()
    }
}

/// Runs a flow to its result on any async executor, with an [`AsyncDriver`] of these closures.
///
/// The future is `Send` if the flow and the futures of the closures are.
///
/// # Errors
/// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
pub async fn run_async<F, H, N, S, SF, W, WF>(
    flow: F,
    now: N,
    send: S,
    sleep_until: W,
    credentials: impl Credentials,
    on_notice: impl FnMut(Notice) -> H,
) -> Result<F::Output, FlowError>
where
    F: Flow,
    H: ListenerResult,
    N: Fn() -> Timestamp,
    S: FnMut(Exchange) -> SF,
    SF: Future<Output = Reply>,
    W: FnMut(Timestamp) -> WF,
    WF: Future<Output = ()>,
{
    AsyncDriver::new(now, send, sleep_until).with_credentials(credentials).run(flow, on_notice).await
}

/// A response body that is still being received, for an [`AsyncStream`].
///
/// ```
/// # struct Response;
/// # impl Response { async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, std::io::Error> { Ok(None) } }
/// use bytes::Bytes;
/// use pipewright::driver::AsyncBody;
/// use pipewright::error::{Delivery, TransportError, TransportErrorKind};
///
/// /// The body of a response of your HTTP client.
/// struct Body(Response);
///
/// impl AsyncBody for Body {
///     async fn next_chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
///         self.0.chunk().await.map_err(|error| {
///             TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, error.to_string())
///         })
///     }
/// }
/// ```
pub trait AsyncBody {
    /// Waits for the next bytes. `None` is the end.
    ///
    /// # Errors
    /// A [`TransportError`] if the body is cut off, or if no bytes arrive within the transport's timeout.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, TransportError>>;
}

/// A closure that returns the next bytes.
///
/// ```
/// # use pipewright::driver::AsyncBody;
/// # use bytes::Bytes;
/// fn body_of(mut chunks: std::vec::IntoIter<Bytes>) -> impl AsyncBody {
///     async move || Ok(chunks.next())
/// }
/// ```
impl<F: AsyncFnMut() -> Result<Option<Bytes>, TransportError>> AsyncBody for F {
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, TransportError>> {
        self()
    }
}

/// A streaming response, read item by item, async. Created by [`AsyncDriver::open`].
#[must_use = "dropping a stream closes it"]
pub struct AsyncStream<D, B> {
    items: Items<D>,
    body: B,
}

impl<D, B> AsyncStream<D, B> {
    /// Creates the stream of the items that a decoder finds in a body.
    pub fn new(decoder: D, body: B) -> Self {
        Self { items: Items::new(decoder), body }
    }

    /// Returns the decoder, for information other than items.
    pub fn decoder(&self) -> &D {
        &self.items.decoder
    }
}

impl<D: Decoder, B: AsyncBody> AsyncStream<D, B> {
    /// Waits for the next item. Returns `None` at the end. Dropping the future early loses no data if the body's future
    /// is cancel safe.
    ///
    /// # Errors
    /// A [`StreamError`] if the body is cut off or cannot be decoded, after the items that were complete before. Every
    /// later call returns the same error.
    pub async fn next_item(&mut self) -> Result<Option<D::Item<'_>>, StreamError> {
        loop {
            match self.items.advance()? {
                Next::Item => return Ok(Some(self.items.decoder.item())),
                Next::End => return Ok(None),
                Next::Bytes => {}
            }
            match self.body.next_chunk().await {
                Ok(None) => self.items.end(),
                Ok(Some(bytes)) => self.items.feed(&bytes),
                Err(error) => self.items.cut_off(error),
            }
        }
    }
}

impl<D: fmt::Debug, B> fmt::Debug for AsyncStream<D, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStream").field("decoder", self.decoder()).finish_non_exhaustive()
    }
}

//! [`RuntimeFn`]: a runtime made of closures.

use std::fmt;

use bytes::Bytes;
use http::Response;

use super::{Clock, Entropy, Opened, Transport};
use crate::error::{Delivery, TransportError, TransportErrorKind};
use crate::flow::Exchange;
use crate::time::Timestamp;

/// A runtime made of closures. Created by [`runtime_fn`].
#[derive(Clone, Copy)]
pub struct RuntimeFn<N, S, W, B> {
    now: N,
    send: S,
    sleep_until: W,
    bits: B,
}

/// Makes a runtime of closures, for a blocking HTTP client of your own.
///
/// | closure | what it does |
/// |---|---|
/// | `now` | returns the current time |
/// | `send` | executes an exchange: see [`Transport`] for what it must and must not do |
/// | `sleep_until` | sleeps until the given time or later |
/// | `bits` | returns 128 random bits: see [`Entropy`] |
///
/// This runtime has no streaming responses: such an exchange ends as
/// [`Unsupported`](TransportErrorKind::Unsupported). Implement [`Transport`] if you need them.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderMap, Response, StatusCode};
/// use pipewright::Timestamp;
/// use pipewright::driver::runtime_fn;
/// use pipewright::error::TransportError;
/// use pipewright::flink::{Flink, cluster::GetOverview};
/// use pipewright::flow::Exchange;
///
/// fn send(exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
///     let request = exchange.read_request()?;
///     // Your HTTP client sends the request here.
///     assert_eq!(request.uri().path(), "/v1/overview");
///     exchange.read_response(StatusCode::OK, HeaderMap::new(), &br#"{"slots-total":4}"#[..])
/// }
///
/// let runtime = runtime_fn(|| Timestamp::UNIX_EPOCH, send, |_at| {}, || 42);
/// let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
/// assert_eq!(flink.call(GetOverview::new())?.slots_total, Some(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn runtime_fn<N, S, W, B>(now: N, send: S, sleep_until: W, bits: B) -> RuntimeFn<N, S, W, B>
where
    N: Fn() -> Timestamp,
    S: Fn(&Exchange) -> Result<Response<Bytes>, TransportError>,
    W: Fn(Timestamp),
    B: Fn() -> u128,
{
    RuntimeFn { now, send, sleep_until, bits }
}

impl<N, S, W, B> Transport for RuntimeFn<N, S, W, B>
where
    S: Fn(&Exchange) -> Result<Response<Bytes>, TransportError>,
{
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        (self.send)(exchange)
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        let message = format!("cannot open {}: this runtime has no streaming responses", exchange.info().name);
        Err(TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, message))
    }
}

impl<N: Fn() -> Timestamp, S, W: Fn(Timestamp), B> Clock for RuntimeFn<N, S, W, B> {
    fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn sleep_until(&self, at: Timestamp) {
        (self.sleep_until)(at);
    }
}

impl<N, S, W, B: Fn() -> u128> Entropy for RuntimeFn<N, S, W, B> {
    fn bits(&self) -> u128 {
        (self.bits)()
    }
}

impl<N, S, W, B> fmt::Debug for RuntimeFn<N, S, W, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeFn").finish_non_exhaustive()
    }
}

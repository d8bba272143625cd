//! [`execute`]: one exchange on an async HTTP client.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

use super::AsyncBody;
use crate::error::TransportError;
use crate::flow::{Exchange, Reply, response};

/// Executes an exchange on an async HTTP client, and settles it: for the closures of an
/// [`AsyncDriver`](super::AsyncDriver).
///
/// `fetch` sends the request, and returns the status and the headers of the response with its unread body. It follows
/// no redirects, and retries nothing. `sleep` returns a future that completes after the given time, such as
/// `tokio::time::sleep`.
///
/// The second value is the body of a streaming response, as [`AsyncDriver::open`](super::AsyncDriver::open) takes it.
/// Otherwise it is `None`, and the reply contains the whole response.
///
/// The future is `Send` if those of `sleep`, `fetch` and the body are. To spawn it, let `fetch` return a body of a
/// named type or a closure: the compiler cannot see through `impl AsyncBody`.
///
/// | what | how `execute` does it |
/// |---|---|
/// | the request body | is read into memory; if that fails, the request is not sent |
/// | [`Exchange::timeout`] | drops the future of `fetch`, and for whole responses the body, when the time is over |
/// | [`Exchange::body_limit`] | stops reading when the body is longer |
/// | an error while the body is read | keeps the status of the response |
/// | the body of a streaming response | has no time limit: limit each chunk in [`next_chunk`](AsyncBody::next_chunk) |
///
/// After a timeout the outcome is unknown, even if no connection was made. Set a shorter connect timeout in your
/// client, and report it with [`TransportError::connect`].
///
/// `execute` does not pass [`Exchange::wants_fresh_connection`] to `fetch`. Configure your client to keep no idle
/// connections. Otherwise read it before you call `execute`, and let `fetch` use a new connection if it is true.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderMap, Request, StatusCode};
/// use pipewright::driver::{AsyncBody, AsyncDriver, execute};
/// use pipewright::error::TransportError;
/// use pipewright::flow::Exchange;
/// # use pipewright::{Seed, Timestamp, driver::ignore_notices, flink::cluster::GetOverview, flow::{Call, Config}};
/// # async fn sleep(_time: std::time::Duration) { std::future::pending().await }
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
///
/// async fn fetch(request: Request<Bytes>) -> Result<(StatusCode, HeaderMap, impl AsyncBody), TransportError> {
///     // Your HTTP client sends the request here. The closure returns the chunks of the body, then `None`.
///     let mut chunks = vec![Bytes::from(r#"{"slots-total":4}"#)];
///     Ok((StatusCode::OK, HeaderMap::new(), async move || Ok(chunks.pop())))
/// }
///
/// let send = async |exchange: Exchange| execute(exchange, sleep, fetch).await.0;
/// let mut driver = AsyncDriver::new(|| Timestamp::UNIX_EPOCH, send, |_at| async {});
/// # let config = Config::new("http://127.0.0.1:8081".parse()?);
/// # let call = driver.run(Call::new(GetOverview::new(), &config, Seed::new(1)), ignore_notices);
/// # let std::task::Poll::Ready(overview) = std::pin::pin!(call).poll(&mut cx) else { panic!("it waits") };
/// # assert_eq!(overview?.slots_total, Some(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn execute<B, F, W>(
    exchange: Exchange,
    sleep: impl FnOnce(Duration) -> W,
    fetch: impl FnOnce(Request<Bytes>) -> F,
) -> (Reply, Option<B>)
where
    B: AsyncBody,
    F: Future<Output = Result<(StatusCode, HeaderMap, B), TransportError>>,
    W: Future<Output = ()>,
{
    let timeout = pin!(sleep(exchange.timeout()));
    match answer(&exchange, timeout, fetch).await {
        Ok((response, body)) => (exchange.settle(Ok(response)), body),
        Err(error) => (exchange.settle(Err(error)), None),
    }
}

async fn answer<B, F>(
    exchange: &Exchange,
    mut timeout: Pin<&mut impl Future<Output = ()>>,
    fetch: impl FnOnce(Request<Bytes>) -> F,
) -> Result<(Response<Bytes>, Option<B>), TransportError>
where
    B: AsyncBody,
    F: Future<Output = Result<(StatusCode, HeaderMap, B), TransportError>>,
{
    let (status, headers, body) = before(timeout.as_mut(), fetch(exchange.read_request()?)).await?;
    if exchange.is_streaming() && status.is_success() {
        return Ok((response(status, headers, Bytes::new()), Some(body)));
    }
    match before(timeout, read(body, exchange.body_limit())).await {
        Ok(bytes) => Ok((response(status, headers, bytes), None)),
        Err(error) => Err(error.with_head(status, &headers)),
    }
}

/// Waits for a future, or until the timeout completes.
async fn before<T>(
    mut timeout: Pin<&mut impl Future<Output = ()>>,
    future: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => {
            timeout.as_mut().poll(cx).map(|()| Err(TransportError::timeout("the response was not complete in time")))
        }
    })
    .await
}

/// Reads a body to its end.
async fn read(mut body: impl AsyncBody, limit: u64) -> Result<Bytes, TransportError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next_chunk().await? {
        if (whole.len() + chunk.len()) as u64 > limit {
            return Err(TransportError::too_large(limit));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

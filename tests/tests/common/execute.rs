//! What `driver::execute` does for an async HTTP client, and `driver::runtime_fn` and `Exchange` for a blocking client.

use std::future::{pending, ready};
use std::io::{ErrorKind, Read};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use pipewright::driver::{AsyncBody, AsyncDriver, execute, ignore_notices, runtime_fn};
use pipewright::error::{Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::flink::jars::UploadJar;
use pipewright::flink::jobmanager::GetJobManagerLog;
use pipewright::flink::{Flink, FlinkRest, cluster::GetOverview};
use pipewright::flow::{Call, Config, Exchange, Retry};
use pipewright::operation::Operation;
use pipewright::{Body, Seed, Segment, Source, Timestamp};
use tokio::runtime::Builder;

fn config() -> Config<FlinkRest> {
    Config::new("http://flink.test".parse().expect("a base")).with_retry(Retry::never()).with_body_limit(20)
}

/// A body of these chunks; after them it ends, or never moves again.
fn body(chunks: &'static [&'static str], ends: bool) -> impl AsyncBody + Send {
    let mut chunks = chunks.iter();
    async move || match chunks.next() {
        Some(chunk) => Ok(Some(Bytes::from_static(chunk.as_bytes()))),
        None if ends => Ok(None),
        None => pending().await,
    }
}

type Answer<B> = Result<(StatusCode, HeaderMap, B), TransportError>;

#[expect(clippy::unnecessary_wraps, reason = "it is what `fetch` returns")]
fn ok<B: AsyncBody>(body: B) -> Answer<B> {
    Ok((StatusCode::OK, HeaderMap::new(), body))
}

/// Calls an operation with a timeout that completes as soon as a future of the client has to wait.
fn call<O, B, F>(operation: O, fetch: impl Fn(Request<Bytes>) -> F) -> Result<O::Output, FlowError>
where
    O: Operation<Service = FlinkRest>,
    B: AsyncBody,
    F: Future<Output = Answer<B>>,
{
    let send = async |exchange: Exchange| execute(exchange, |_time| ready(()), &fetch).await.0;
    let mut driver = AsyncDriver::new(|| Timestamp::UNIX_EPOCH, send, |_at| ready(()));
    let call = Call::new(operation, &config(), Seed::new(1));
    Builder::new_current_thread().build().expect("a runtime").block_on(driver.run(call, ignore_notices))
}

fn transport_error<T>(result: Result<T, FlowError>) -> TransportError {
    match result.map(drop) {
        Err(FlowError::Transport(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_body_is_read_to_its_end() {
    let overview = call(GetOverview::new(), async |request| {
        assert_eq!(request.uri(), "http://flink.test/v1/overview");
        ok(body(&["{\"slots-tot", "al\":4}"], true))
    });
    assert_eq!(overview.expect("an answer").slots_total, Some(4));
}

#[test]
fn a_body_that_is_longer_than_the_limit_is_too_large() {
    let at_limit = call(GetOverview::new(), async |_| ok(body(&["{\"slots-total\": 400}"], true)));
    assert_eq!(at_limit.expect("20 bytes").slots_total, Some(400));
    // The client does not read on: that would never end.
    let error = call(GetOverview::new(), async |_| ok(body(&["{\"slots-total\":", " 4000}"], false)));
    let error = transport_error(error);
    assert_eq!((error.kind(), error.delivery()), (TransportErrorKind::TooLarge, Delivery::Unknown));
    assert_eq!(error.status(), Some(StatusCode::OK));
}

#[test]
fn the_timeout_ends_a_request_and_a_body() {
    let error = transport_error(call(GetOverview::new(), async |_| -> Answer<_> {
        pending::<()>().await;
        ok(body(&[], true))
    }));
    assert_eq!((error.kind(), error.status()), (TransportErrorKind::Timeout, None));
    let error = transport_error(call(GetOverview::new(), async |_| ok(body(&["{"], false))));
    assert_eq!((error.kind(), error.status()), (TransportErrorKind::Timeout, Some(StatusCode::OK)));
}

#[test]
fn a_body_that_breaks_off_keeps_the_status() {
    let error =
        call(GetOverview::new(), async |_| ok(async || Err(TransportError::closed("the connection was reset"))));
    let error = transport_error(error);
    assert_eq!((error.kind(), error.status()), (TransportErrorKind::Closed, Some(StatusCode::OK)));
}

#[derive(Debug)]
struct Gone;

impl Source for Gone {
    fn len(&self) -> u64 {
        3
    }

    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Err(std::io::Error::other("the file is gone"))
    }
}

#[test]
fn a_body_that_cannot_be_read_is_not_sent() {
    let jar = Body::from_segments([Segment::Source(Arc::new(Gone))]);
    let error = call(UploadJar::new("a.jar", jar), async |_| -> Answer<_> {
        assert!(std::hint::black_box(false), "it is sent");
        ok(body(&[], true))
    });
    let error = transport_error(error);
    assert_eq!((error.kind(), error.delivery()), (TransportErrorKind::Source, Delivery::NotSent));
    assert!(error.to_string().contains("the file is gone"), "{error}");
}

#[test]
fn a_streaming_response_is_handed_over_unread_and_a_rejection_is_read() {
    for status in [StatusCode::OK, StatusCode::NOT_FOUND] {
        let fetch = async move |_: Request<Bytes>| {
            Ok((status, HeaderMap::new(), body(&["longer than the limit of 20 bytes\n"], status == StatusCode::OK)))
        };
        let open = async |exchange: Exchange| execute(exchange, |_time| ready(()), fetch).await;
        let send = async |exchange: Exchange| open(exchange).await.0;
        let mut driver = AsyncDriver::new(|| Timestamp::UNIX_EPOCH, send, |_at| ready(()));
        let lines = async {
            let call = Call::new(GetJobManagerLog::new(), &config(), Seed::new(1));
            let mut log = driver.open(call, open, ignore_notices).await?;
            let line = log.next_item().await.expect("a whole body").map(<[u8]>::to_vec);
            Ok::<_, FlowError>(line)
        };
        let line = Builder::new_current_thread().build().expect("a runtime").block_on(lines);
        match status {
            StatusCode::OK => assert_eq!(line.expect("a stream").expect("a line").len(), 33),
            _ => assert_eq!(transport_error(line).kind(), TransportErrorKind::TooLarge),
        }
    }
}

#[test]
fn the_futures_of_execute_are_spawned() {
    let fetch = |_: Request<Bytes>| async {
        let mut chunks = vec![Bytes::from_static(b"{\"slots-total\":4}")];
        ok(async move || Ok(chunks.pop()))
    };
    let send = move |exchange: Exchange| async move { execute(exchange, |_time| ready(()), fetch).await.0 };
    let mut driver = AsyncDriver::new(|| Timestamp::UNIX_EPOCH, send, |_at| ready(()));
    let overview =
        async move { driver.run(Call::new(GetOverview::new(), &config(), Seed::new(1)), ignore_notices).await };
    let threads = Builder::new_multi_thread().worker_threads(1).build().expect("threads");
    let overview = threads.block_on(async { tokio::spawn(overview).await.expect("no panic") });
    assert_eq!(overview.expect("an answer").slots_total, Some(4));
}

#[test]
fn a_runtime_of_closures_has_no_streaming_responses() {
    let send = |_: &Exchange| Ok(http::Response::new("{\"slots-total\":4}".into()));
    let flink = Flink::with_config(config(), runtime_fn(|| Timestamp::UNIX_EPOCH, send, |_at| {}, || 42));
    assert_eq!(flink.call(GetOverview::new()).expect("an answer").slots_total, Some(4));
    let error = transport_error(flink.open(GetJobManagerLog::new()));
    assert_eq!((error.kind(), error.delivery()), (TransportErrorKind::Unsupported, Delivery::NotSent));
}

/// The first bytes of a body, which then fails.
struct Failing(&'static [u8], ErrorKind);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(self.1.into()),
            read => Ok(read),
        }
    }
}

#[test]
fn a_blocking_body_is_bounded_and_its_failure_keeps_the_status() {
    let read = |bytes: &'static [u8], failure: Option<ErrorKind>| {
        let send = move |exchange: &Exchange| match failure {
            None => exchange.read_response(StatusCode::OK, HeaderMap::new(), bytes),
            Some(kind) => exchange.read_response(StatusCode::OK, HeaderMap::new(), Failing(bytes, kind)),
        };
        let flink = Flink::with_config(config(), runtime_fn(|| Timestamp::UNIX_EPOCH, send, |_at| {}, || 42));
        flink.call(GetOverview::new())
    };
    assert_eq!(read(b"{\"slots-total\": 400}", None).expect("20 bytes").slots_total, Some(400));
    for (bytes, failure, kind) in [
        (&b"{\"slots-total\": 4000}"[..], None, TransportErrorKind::TooLarge),
        (b"{", Some(ErrorKind::TimedOut), TransportErrorKind::Timeout),
        (b"{", Some(ErrorKind::WouldBlock), TransportErrorKind::Timeout),
        (b"{", Some(ErrorKind::ConnectionReset), TransportErrorKind::Closed),
    ] {
        let error = transport_error(read(bytes, failure));
        assert_eq!((error.kind(), error.delivery()), (kind, Delivery::Unknown));
        assert_eq!(error.status(), Some(StatusCode::OK));
    }
}

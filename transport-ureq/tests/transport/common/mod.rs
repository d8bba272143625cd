//! An operation with any request, and a server with any answer.
#![allow(dead_code, reason = "the tests of some features use the rest")]
#![allow(clippy::needless_pass_by_value, reason = "addresses and names are given alike")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use pipewright::driver::Transport;
use pipewright::error::{BuildError, Delivery, ServiceError, TransportError, TransportErrorKind};
use pipewright::flow::{Call, Config, Exchange, Flow, Retry, Step};
use pipewright::operation::{OperationInfo, RequestContext, Service};
use pipewright::{Body, Effect, Operation, Seed, Timestamp};
use pipewright_ureq::Ureq;

/// Long enough for anything that is not meant to time out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct TestService;

impl Service for TestService {
    const NAME: &'static str = "test";

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        ServiceError::foreign(info, response)
    }
}

/// What an exchange is to look like.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) body: Body,
    pub(crate) effect: Effect,
    pub(crate) timeout: Duration,
    pub(crate) body_limit: u64,
    pub(crate) scheme: &'static str,
}

pub(crate) fn get() -> Ask {
    ask(Method::GET, "")
}

pub(crate) fn ask(method: Method, body: impl Into<Body>) -> Ask {
    Ask { method, body: body.into(), effect: Effect::Safe, timeout: PATIENCE, body_limit: 1024, scheme: "http" }
}

impl Ask {
    pub(crate) fn once(self) -> Self {
        Self { effect: Effect::Once, ..self }
    }

    pub(crate) fn timeout(self, millis: u64) -> Self {
        Self { timeout: Duration::from_millis(millis), ..self }
    }

    pub(crate) fn limited(self, body_limit: u64) -> Self {
        Self { body_limit, ..self }
    }

    pub(crate) fn https(self) -> Self {
        Self { scheme: "https", ..self }
    }

    /// The exchange, as a call gives it out.
    pub(crate) fn of(self, authority: impl ToString) -> Exchange {
        self.exchange::<false>(&authority.to_string())
    }

    /// The exchange of an operation with a live body.
    pub(crate) fn live(self, authority: impl ToString) -> Exchange {
        self.exchange::<true>(&authority.to_string())
    }

    /// The call itself, with so many attempts.
    pub(crate) fn call(self, authority: impl ToString, attempts: u32) -> Call<TestOperation<false>> {
        let base = format!("{}://{}", self.scheme, authority.to_string()).parse().expect("an authority");
        let retry = Retry::default().with_attempts(attempts);
        Call::new(TestOperation(self), &Config::new(base).with_retry(retry), Seed::new(1))
    }

    fn exchange<const STREAMING: bool>(self, authority: &str) -> Exchange {
        let base = format!("{}://{authority}", self.scheme).parse().expect("an authority");
        let retry = Retry::never().with_attempt_timeout(self.timeout);
        let config = Config::new(base).with_retry(retry).with_body_limit(self.body_limit);
        let mut call = Call::new(TestOperation::<STREAMING>(self), &config, Seed::new(1));
        loop {
            match call.poll(Timestamp::from_millis(1), None) {
                Step::Send(exchange) => return exchange,
                Step::Notice(_) => {}
                step => panic!("no exchange but {step:?}"),
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct TestOperation<const STREAMING: bool>(Ask);

impl<const STREAMING: bool> Operation for TestOperation<STREAMING> {
    type Output = ();
    type Service = TestService;
    const INFO: &'static OperationInfo = &OperationInfo {
        service: "test",
        name: "test",
        method: Method::GET,
        path: "/thing",
        effect: Effect::Safe,
        effect_varies: true,
    };
    const STREAMING: bool = STREAMING;

    fn effect(&self) -> Effect {
        self.0.effect
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let uri = format!("{}://{}/thing?a=b", self.0.scheme, cx.base().authority());
        let request = Request::builder().method(&self.0.method).uri(uri).header("x-test", "1");
        Ok(request.body(self.0.body.clone()).expect("a request"))
    }

    fn parse(&self, _: Response<Bytes>) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// A server on loopback that does one thing, in a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn run(serve: impl FnOnce(TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        Self { address, thread: thread::spawn(|| serve(listener)) }
    }

    /// Takes one connection and reads one request from it, before it does something.
    pub(crate) fn once(serve: impl FnOnce(Peer) + Send + 'static) -> Self {
        Self::run(|listener| {
            let mut peer = accept(&listener);
            peer.request();
            serve(peer);
        })
    }

    /// Answers one request with these bytes, and closes the connection.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::once(move |mut peer| peer.write(&answer))
    }

    /// Waits for the server to have done what it should.
    pub(crate) fn done(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

pub(crate) fn accept(listener: &TcpListener) -> Peer {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    Peer(stream)
}

/// Whether another connection is waiting to be accepted.
pub(crate) fn has_another(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).expect("not blocking");
    listener.accept().is_ok()
}

/// The client, seen from the server.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    /// Reads up to the end of the head, and a body of the length it gives.
    pub(crate) fn request(&mut self) -> String {
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.0.read(&mut byte).expect("a request"), 1, "the client closed the connection");
            read.push(byte[0]);
        }
        let head = String::from_utf8(read).expect("text");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
        self.0.read_exact(&mut body).expect("a body");
        head + &String::from_utf8_lossy(&body)
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the client reads");
    }

    pub(crate) fn ok(&mut self, body: &str) {
        self.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Waits until the client is gone.
    pub(crate) fn until_closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
    }

    /// Closes the connection with a reset: that is what closing with unread data does.
    pub(crate) fn reset(self) {
        self.0.set_read_timeout(None).expect("no timeout");
        let mut byte = [0];
        assert_eq!(self.0.peek(&mut byte).expect("unread data"), 1);
        drop(self.0);
    }

    /// Says that nothing more will come, and waits until the client is gone.
    pub(crate) fn finish(mut self) {
        self.0.shutdown(Shutdown::Write).expect("open");
        self.until_closed();
    }
}

/// Sends, expecting an error of this kind.
pub(crate) fn fails(
    runtime: &Ureq,
    exchange: &Exchange,
    kind: TransportErrorKind,
    delivery: Delivery,
) -> TransportError {
    let error = runtime.send(exchange).expect_err("this cannot work");
    assert_eq!((error.kind(), error.delivery()), (kind, delivery), "{error}: {error:?}");
    error
}

/// Sends, expecting an answer; its status and body.
pub(crate) fn succeeds(runtime: &Ureq, exchange: &Exchange) -> (u16, String) {
    let answer = runtime.send(exchange).expect("an answer");
    (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
}

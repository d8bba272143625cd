//! A configurable operation, and its exchanges.

use std::fmt::Display;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use pipewright::error::{BuildError, Delivery, ServiceError, TransportError, TransportErrorKind};
use pipewright::flow::{Call, Config, Exchange, Flow, Retry, Step};
use pipewright::operation::{self, OperationInfo, RequestContext};
use pipewright::{Body, Effect, Operation, Seed, Segment, Source, Timestamp};

/// Long enough for every exchange that should not time out.
const PATIENCE: Duration = Duration::from_secs(5);

/// The credential of every request.
pub(super) const SECRET: &str = "s3cr3t-of-the-probe";

/// The properties of an exchange.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) target: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static [u8])>,
    pub(crate) body: Body,
    effect: Effect,
    /// Whether the exchange is a second attempt, after an attempt without a response.
    is_repeated: bool,
    timeout: Duration,
    body_limit: u64,
}

impl Ask {
    pub(crate) fn new(method: Method, body: impl Into<Body>) -> Self {
        Self {
            method,
            target: "/probe?a=b",
            headers: vec![("x-probe", b"1")],
            body: body.into(),
            effect: Effect::Safe,
            is_repeated: false,
            timeout: PATIENCE,
            body_limit: 1024 * 1024,
        }
    }

    pub(crate) fn get() -> Self {
        Self::new(Method::GET, "")
    }

    pub(crate) fn post(body: impl Into<Body>) -> Self {
        Self::new(Method::POST, body)
    }

    /// Returns an exchange that asks for a fresh connection.
    pub(crate) fn once(self) -> Self {
        Self { effect: Effect::Once, ..self }
    }

    /// Returns a second attempt, after an attempt without a response. It also asks for a fresh connection.
    pub(crate) fn repeated(self) -> Self {
        Self { is_repeated: true, ..self }
    }

    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub(crate) fn limited(self, body_limit: u64) -> Self {
        Self { body_limit, ..self }
    }

    /// Returns the exchange as a call creates it.
    pub(crate) fn exchange(&self, authority: impl Display) -> Exchange {
        self.build::<false>(&authority.to_string())
    }

    /// Returns the exchange of an operation with a streaming response.
    pub(crate) fn streaming(&self, authority: impl Display) -> Exchange {
        self.build::<true>(&authority.to_string())
    }

    fn build<const STREAMING: bool>(&self, authority: &str) -> Exchange {
        let base = format!("http://{authority}").parse().expect("a base address");
        let attempts = 1 + u32::from(self.is_repeated);
        let retry = Retry::default().with_attempts(attempts).with_attempt_timeout(self.timeout);
        let config = Config::new(base).with_retry(retry).with_body_limit(self.body_limit);
        let mut call = Call::new(Probe::<STREAMING>(self.clone()), &config, Seed::new(0));
        let (mut now, mut reply, mut is_first) = (Timestamp::UNIX_EPOCH, None, true);
        loop {
            match call.poll(now, reply.take()) {
                Step::Send(exchange) if self.is_repeated && is_first => {
                    is_first = false;
                    let lost = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "lost");
                    reply = Some(exchange.settle(Err(lost)));
                }
                Step::Send(exchange) => return exchange,
                Step::WaitUntil(at) => now = at,
                Step::Notice(_) => {}
                step => unreachable!("a call without credentials begins with its exchange, not with {step:?}"),
            }
        }
    }
}

#[derive(Debug)]
struct Probe<const STREAMING: bool>(Ask);

#[derive(Debug)]
enum Anything {}

impl operation::Service for Anything {
    const NAME: &'static str = "probe";

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        ServiceError::foreign(info, response)
    }
}

impl<const STREAMING: bool> Operation for Probe<STREAMING> {
    type Output = ();
    type Service = Anything;
    const INFO: &'static OperationInfo = &OperationInfo {
        service: "probe",
        name: "probe",
        method: Method::GET,
        path: "/probe",
        effect: Effect::Safe,
        effect_varies: true,
    };
    const STREAMING: bool = STREAMING;

    fn effect(&self) -> Effect {
        self.0.effect
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut request = Request::new(self.0.body.clone());
        let uri = format!("http://{}{}", cx.base().authority(), self.0.target);
        *request.uri_mut() = uri.parse().expect("targets of probes are sound");
        *request.method_mut() = self.0.method.clone();
        for (name, value) in &self.0.headers {
            let value = HeaderValue::from_bytes(value).expect("headers of probes are sound");
            request.headers_mut().append(*name, value);
        }
        let mut credential = HeaderValue::from_static(SECRET);
        credential.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, credential);
        Ok(request)
    }

    fn parse(&self, _response: Response<Bytes>) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// A source whose body may differ from its announced length.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) said: u64,
    /// `None` if the source cannot be opened.
    pub(super) text: Option<&'static str>,
}

impl Text {
    pub(super) fn honest(text: &'static str) -> Segment {
        Self { said: text.len() as u64, text: Some(text) }.into_segment()
    }

    pub(super) fn into_segment(self) -> Segment {
        Segment::Source(Arc::new(self))
    }
}

impl Source for Text {
    fn len(&self) -> u64 {
        self.said
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        match self.text {
            Some(text) => Ok(Box::new(text.as_bytes())),
            None => Err(io::Error::other("out of paper")),
        }
    }
}

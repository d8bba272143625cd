//! [`Transport`] for [`Ureq`].

use std::io::Read;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderValue, Method, Request, Response, header};
use pipewright::driver::{Opened, Transport};
use pipewright::error::TransportError;
use pipewright::flow::Exchange;
use ureq::{AsSendBody, SendBody};

use crate::Ureq;
use crate::classify::Peer;
use crate::streaming::Streaming;
use crate::upload::Upload;
use crate::watch::{Phase, Watch, watched};

/// How much memory is reserved at most because of an answer's `content-length`.
const LARGEST_RESERVE: u64 = 8 * 1024 * 1024;

/// See the [crate](crate#failures) for what failures there are.
impl Transport for Ureq {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        let run = Run::new(exchange);
        let (head, body) = run.head(self)?.into_parts();
        let body = run.body(&head, body)?;
        Ok(Response::from_parts(head, body))
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        let run = Run::new(exchange);
        let (head, body) = run.head(self)?.into_parts();
        if head.status.is_success() {
            let streaming = Streaming::new(body, head.status, run.peer.uri, self.idle_timeout);
            return Ok(Opened::Streaming(Response::from_parts(head, Box::new(streaming))));
        }
        let body = run.body(&head, body)?;
        Ok(Opened::Rejection(Response::from_parts(head, body)))
    }
}

/// One exchange while it lasts.
struct Run<'a> {
    exchange: &'a Exchange,
    peer: Peer,
    deadline: Option<Instant>,
}

impl<'a> Run<'a> {
    fn new(exchange: &'a Exchange) -> Self {
        let timeout = exchange.timeout();
        let peer = Peer { uri: exchange.request().uri().clone(), patience: Some(timeout) };
        Self { exchange, peer, deadline: Instant::now().checked_add(timeout) }
    }

    /// Sends the request and reads the head of the answer.
    fn head(&self, runtime: &Ureq) -> Result<Response<ureq::Body>, TransportError> {
        let mut upload = Upload::open(self.exchange.request().body())?;
        let (answer, watch) = match upload.len() {
            0 => self.run(runtime, (), 0),
            length => self.run(runtime, SendBody::from_reader(&mut upload), length),
        };
        match answer {
            Ok(mut answer) => {
                // ureq keeps internal data there.
                answer.extensions_mut().clear();
                Ok(answer)
            }
            Err(error) => Err(upload.into_failure().unwrap_or_else(|| self.peer.blame(error, &watch))),
        }
    }

    fn run(
        &self,
        runtime: &Ureq,
        body: impl AsSendBody,
        length: u64,
    ) -> (Result<Response<ureq::Body>, ureq::Error>, Watch) {
        let mut request = request(self.exchange, body, length);
        if self.exchange.wants_fresh_connection() {
            // No idle connection is younger than this.
            request = runtime.agent.configure_request(request).max_idle_age(Duration::ZERO).build();
        }
        watched(self.deadline, Phase::Resolving, || runtime.agent.run(request))
    }

    /// Reads the body, as far as the exchange's limit goes.
    fn body(&self, head: &Parts, body: ureq::Body) -> Result<Bytes, TransportError> {
        let limit = self.exchange.body_limit();
        let length = body.content_length();
        if length.is_some_and(|length| length > limit) {
            return Err(self.peer.too_large(limit).with_head(head.status, &head.headers));
        }
        let reserve = length.unwrap_or_default().min(LARGEST_RESERVE);
        let mut bytes = Vec::with_capacity(usize::try_from(reserve).unwrap_or_default());
        let mut body = body.into_reader().take(limit.saturating_add(1));
        let (read, watch) = watched(self.deadline, Phase::Receiving, || body.read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.len() as u64 > limit => Err(self.peer.too_large(limit)),
            Ok(_) if watch.cut_off => Err(self.peer.cut_off()),
            Ok(_) => Ok(bytes.into()),
            Err(error) => Err(self.peer.blame(error.into(), &watch)),
        }
        .map_err(|error| error.with_head(head.status, &head.headers))
    }
}

/// The request of an exchange, framed by its exact length.
fn request<B>(exchange: &Exchange, body: B, length: u64) -> Request<B> {
    let template = exchange.request();
    let mut request = Request::new(body);
    *request.method_mut() = template.method().clone();
    *request.uri_mut() = template.uri().clone();
    *request.headers_mut() = template.headers().clone();
    let headers = request.headers_mut();
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    // Servers expect a body with these methods, so that an empty body is declared.
    if length > 0 || matches!(*template.method(), Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    request
}

//! A small HTTP client without blocking, as every program with an event loop has one.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use pipewright::error::{Delivery, TransportError, TransportErrorKind as Kind};
use pipewright::flow::{Exchange, Reply};
use pipewright::{Body, Segment};

/// A lane's way to the cluster: a connection, which is kept from one exchange to the next, and the exchange.
pub(crate) struct Wire {
    token: Token,
    connection: Option<Connection>,
    exchange: Option<Exchange>,
}

impl Wire {
    pub(crate) fn new(token: Token) -> Self {
        Self { token, connection: None, exchange: None }
    }

    /// Begins an exchange; gives the reply when it is over already.
    pub(crate) fn send(&mut self, exchange: Exchange, registry: &Registry, address: SocketAddr) -> Option<Reply> {
        let not_sent = |kind, error: io::Error| TransportError::new(kind, Delivery::NotSent, error.to_string());
        if exchange.is_streaming() {
            let message = "this loop reads whole answers only";
            return Some(exchange.settle(Err(TransportError::new(Kind::Unsupported, Delivery::NotSent, message))));
        }
        let outgoing = match message(&exchange) {
            Ok(outgoing) => outgoing,
            Err(error) => return Some(exchange.settle(Err(not_sent(Kind::Source, error)))),
        };
        let kept = self.connection.take().filter(|_| !exchange.wants_fresh_connection());
        let connection = match kept.map_or_else(|| Connection::open(registry, self.token, address), Ok) {
            Ok(connection) => connection,
            Err(error) => return Some(exchange.settle(Err(not_sent(Kind::Connect, error)))),
        };
        let answer = Answer { limit: exchange.body_limit(), ..Answer::default() };
        self.connection = Some(Connection { outgoing, begun: false, answer, ..connection });
        self.exchange = Some(exchange);
        // A connection that is there already is ready to be written to, and no event will say so.
        self.go_on()
    }

    /// Writes and reads what is possible now; gives the reply when the exchange is over.
    pub(crate) fn go_on(&mut self) -> Option<Reply> {
        let connection = self.connection.as_mut()?;
        let Some(exchange) = self.exchange.take() else {
            // The cluster closes a connection that is not used, or an event is late.
            if !connection.is_idle() {
                self.connection = None;
            }
            return None;
        };
        match connection.go_on() {
            Ok(false) => {
                self.exchange = Some(exchange);
                None
            }
            Ok(true) => {
                let (response, last) = std::mem::take(&mut connection.answer).finish();
                if last {
                    self.connection = None;
                }
                Some(exchange.settle(Ok(response)))
            }
            Err(error) => {
                self.connection = None;
                Some(exchange.settle(Err(error)))
            }
        }
    }

    /// Gives up the exchange, if there is one, and its connection: the answer may still come, and the loop will not
    /// read it.
    pub(crate) fn time_out(&mut self) -> Option<Reply> {
        let exchange = self.exchange.take()?;
        let connection = self.connection.take()?;
        Some(exchange.settle(Err(connection.error(Kind::Timeout, "no complete answer in time"))))
    }
}

/// The request as bytes: a head with an exact length, and the segments of the body, which are shared and not copied.
fn message(exchange: &Exchange) -> io::Result<VecDeque<Bytes>> {
    let request = exchange.request();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let authority = request.uri().authority().map_or("", |authority| authority.as_str());
    let mut head = format!("{} {target} HTTP/1.1\r\nhost: {authority}\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(piece);
        }
    }
    if !request.body().is_empty() || matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        head.extend_from_slice(format!("content-length: {}\r\n", request.body().len()).as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    let segments = request.body().segments().iter().map(|segment| match segment {
        Segment::Bytes(bytes) => Ok(bytes.clone()),
        // A program that sends large files would read them piece by piece, and not on this thread.
        source @ Segment::Source(_) => Body::from_segments([source.clone()]).read(),
    });
    std::iter::once(Ok(head.into())).chain(segments).collect()
}

struct Connection {
    stream: TcpStream,
    connected: bool,
    /// What is left of the request.
    outgoing: VecDeque<Bytes>,
    /// Whether any of it was written. From then on it is unknown whether it arrives.
    begun: bool,
    incoming: BytesMut,
    answer: Answer,
}

impl Connection {
    fn open(registry: &Registry, token: Token, address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            connected: false,
            outgoing: VecDeque::new(),
            begun: false,
            incoming: BytesMut::new(),
            answer: Answer::default(),
        })
    }

    /// Writes and reads until that would block; true when the answer is complete.
    fn go_on(&mut self) -> Result<bool, TransportError> {
        if !self.connected {
            match self.stream.take_error().and_then(|error| error.map_or_else(|| self.stream.peer_addr(), Err)) {
                Ok(_) => self.connected = true,
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(self.error(Kind::Connect, &error.to_string())),
            }
        }
        while let Some(bytes) = self.outgoing.front_mut() {
            match self.stream.write(bytes) {
                Ok(length) => {
                    self.begun |= length > 0;
                    bytes.advance(length);
                    if bytes.is_empty() {
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(Kind::Closed, &error.to_string())),
            }
        }
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) if self.answer.ends_with_the_connection() => return Ok(true),
                Ok(0) => return Err(self.error(Kind::Closed, "the connection ended before the answer was complete")),
                Ok(length) => {
                    self.incoming.extend_from_slice(&bytes[..length]);
                    match self.answer.feed(&mut self.incoming) {
                        Ok(false) => {}
                        Ok(true) => return Ok(true),
                        Err((kind, problem)) => return Err(self.error(kind, problem)),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(Kind::Closed, &error.to_string())),
            }
        }
    }

    /// Whether nothing has come on a connection from which nothing is expected.
    fn is_idle(&mut self) -> bool {
        let nothing = self.stream.read(&mut [0]);
        self.incoming.is_empty() && nothing.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// The one thing that a transport must get right: whether the request may have arrived.
    fn error(&self, kind: Kind, problem: &str) -> TransportError {
        let delivery = if self.begun { Delivery::Unknown } else { Delivery::NotSent };
        let error = TransportError::new(kind, delivery, problem);
        match &self.answer.head {
            Some(head) => error.with_head(head.status(), head.headers()),
            None => error,
        }
    }
}

/// An answer as far as it has come.
#[derive(Default)]
struct Answer {
    head: Option<Response<()>>,
    rest: Rest,
    body: BytesMut,
    limit: u64,
    last: bool,
}

/// What comes next.
#[derive(Clone, Copy, Default)]
enum Rest {
    #[default]
    Head,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Everything,
}

type Broken = (Kind, &'static str);

impl Answer {
    /// Takes what it can use of the input; true when it is complete.
    fn feed(&mut self, input: &mut BytesMut) -> Result<bool, Broken> {
        loop {
            self.rest = match self.rest {
                Rest::Head => match self.read_head(input)? {
                    Some(rest) => rest,
                    None => return Ok(false),
                },
                Rest::Length(0) => return Ok(true),
                Rest::Chunk(0) => Rest::ChunkEnd,
                _ if input.is_empty() => return Ok(false),
                Rest::Length(left) => Rest::Length(left - self.take(input, left)?),
                Rest::Chunk(left) => Rest::Chunk(left - self.take(input, left)?),
                Rest::Everything => {
                    self.take(input, u64::MAX)?;
                    Rest::Everything
                }
                Rest::ChunkSize => match httparse::parse_chunk_size(input) {
                    Ok(httparse::Status::Complete((length, size))) => {
                        input.advance(length);
                        if size == 0 { Rest::Trailers } else { Rest::Chunk(size) }
                    }
                    Ok(httparse::Status::Partial) => return Ok(false),
                    Err(_) => return Err((Kind::Protocol, "a chunk without a size")),
                },
                Rest::ChunkEnd if input.len() < 2 => return Ok(false),
                Rest::ChunkEnd if input.starts_with(b"\r\n") => {
                    input.advance(2);
                    Rest::ChunkSize
                }
                Rest::ChunkEnd => return Err((Kind::Protocol, "a chunk that is longer than it says")),
                Rest::Trailers => match httparse::parse_headers(input, &mut [httparse::EMPTY_HEADER; 16]) {
                    Ok(httparse::Status::Complete((length, _))) => {
                        input.advance(length);
                        Rest::Length(0)
                    }
                    Ok(httparse::Status::Partial) => return Ok(false),
                    Err(_) => return Err((Kind::Protocol, "trailers that cannot be read")),
                },
            };
        }
    }

    fn take(&mut self, input: &mut BytesMut, most: u64) -> Result<u64, Broken> {
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
        self.body.extend_from_slice(&input.split_to(length));
        if self.body.len() as u64 > self.limit {
            return Err((Kind::TooLarge, "the answer is longer than the flow takes"));
        }
        Ok(length as u64)
    }

    fn read_head(&mut self, input: &mut BytesMut) -> Result<Option<Rest>, Broken> {
        let broken = (Kind::Protocol, "what came is not HTTP");
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        let length = match parsed.parse(input) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() < 64 * 1024 => return Ok(None),
            _ => return Err(broken),
        };
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| broken)?;
        self.last = parsed.version == Some(0);
        for header in parsed.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| broken)?;
            head.headers_mut().append(name, HeaderValue::from_bytes(header.value).map_err(|_| broken)?);
        }
        input.advance(length);
        let has =
            |name, word| head.headers().get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(word));
        self.last |= has(header::CONNECTION, b"close");
        let length = head.headers().get(header::CONTENT_LENGTH).map(|value| value.to_str().unwrap_or_default().parse());
        let rest = match (head.status(), length) {
            // An interim answer; the real one follows.
            (status, _) if status.is_informational() => return Ok(Some(Rest::Head)),
            (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED, _) => Rest::Length(0),
            _ if has(header::TRANSFER_ENCODING, b"chunked") => Rest::ChunkSize,
            (_, Some(Ok(length))) => Rest::Length(length),
            (_, Some(Err(_))) => return Err(broken),
            (_, None) => Rest::Everything,
        };
        self.last |= matches!(rest, Rest::Everything);
        self.head = Some(head);
        Ok(Some(rest))
    }

    fn ends_with_the_connection(&self) -> bool {
        matches!(self.rest, Rest::Everything)
    }

    /// The answer, and whether it is the last on its connection.
    fn finish(self) -> (Response<Bytes>, bool) {
        (self.head.unwrap_or_default().map(|()| self.body.freeze()), self.last)
    }
}

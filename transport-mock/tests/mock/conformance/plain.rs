//! A small transport on the standard library, with flaws to choose from.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use pipewright::Segment;
use pipewright::driver::{Opened, StreamingBody, Transport};
use pipewright::error::{Delivery, TransportError, TransportErrorKind as Kind};
use pipewright::flow::Exchange;

/// Keeps the contract, but for what is set.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "flaws are independent of each other")]
pub(crate) struct Plain {
    /// Goes where a `Location` leads.
    pub(crate) follows: bool,
    /// Says who it is.
    pub(crate) user_agent: bool,
    /// Takes bodies of any length.
    pub(crate) limitless: bool,
    /// Starts the timeout again with each read.
    pub(crate) anew: bool,
    /// Takes the first answer for the final answer.
    pub(crate) hasty: bool,
    /// Reads chunks as a body.
    pub(crate) chunkless: bool,
    /// Takes the end of the connection for the end of the body.
    pub(crate) trusting: bool,
    /// Sends the length of the first segment.
    pub(crate) miscounts: bool,
    /// Takes of a source what it said, and no more.
    pub(crate) cuts_sources: bool,
    /// Keeps its connection, and uses it for every exchange.
    pub(crate) keeps: Option<Mutex<Option<Wire>>>,
    /// Shows the whole request in errors.
    pub(crate) talkative: bool,
    /// Panics.
    pub(crate) panics: bool,
}

/// A connection, and the time by which it is to be done.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    until: Option<Instant>,
    timeout: Duration,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        self.stream.read(buffer)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Left(u64),
    Chunks(u64),
    ToTheEnd,
    Done,
}

/// The body of an answer.
#[derive(Debug)]
struct Incoming {
    wire: Wire,
    framing: Framing,
    status: StatusCode,
    trusting: bool,
}

fn error(kind: Kind, delivery: Delivery, message: &(impl ToString + ?Sized)) -> TransportError {
    TransportError::new(kind, delivery, message.to_string())
}

fn unknown(cause: &io::Error) -> TransportError {
    let kind = match cause.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Kind::Timeout,
        io::ErrorKind::InvalidData => Kind::Protocol,
        _ => Kind::Closed,
    };
    error(kind, Delivery::Unknown, cause)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Plain {
    fn connect(&self, authority: &str, exchange: &Exchange) -> Result<Wire, TransportError> {
        let kept = self.keeps.as_ref().and_then(|kept| kept.lock().expect("no panic").take());
        let kept = kept.filter(|wire| wire.stream.peer_addr().is_ok_and(|address| address.to_string() == authority));
        let timeout = exchange.timeout();
        if let Some(wire) = kept {
            return Ok(Wire { until: Instant::now().checked_add(timeout), ..wire });
        }
        let mut addresses =
            authority.to_socket_addrs().map_err(|cause| error(Kind::Resolve, Delivery::NotSent, &cause))?;
        let address = addresses.next().ok_or_else(|| error(Kind::Resolve, Delivery::NotSent, "no address"))?;
        let until = Instant::now().checked_add(timeout);
        let stream = TcpStream::connect_timeout(&address, timeout)
            .map_err(|cause| error(Kind::Connect, Delivery::NotSent, &cause))?;
        Ok(Wire { stream, until, timeout })
    }

    fn body(&self, exchange: &Exchange) -> Result<Bytes, TransportError> {
        let body = exchange.request().body();
        if !self.cuts_sources {
            return body.read().map_err(|cause| error(Kind::Source, Delivery::NotSent, &cause));
        }
        let mut all = Vec::new();
        for segment in body.segments() {
            match segment {
                Segment::Bytes(bytes) => all.extend_from_slice(bytes),
                Segment::Source(source) => {
                    let open = source.open().map_err(|cause| error(Kind::Source, Delivery::NotSent, &cause))?;
                    let _ = open.take(source.len()).read_to_end(&mut all);
                }
            }
        }
        Ok(all.into())
    }

    fn request(&self, authority: &str, target: &str, exchange: &Exchange, body: &[u8]) -> Vec<u8> {
        let request = exchange.request();
        let mut bytes = format!("{} {target} HTTP/1.1\r\nHost: {authority}\r\n", request.method()).into_bytes();
        for (name, value) in request.headers() {
            bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        if self.user_agent {
            bytes.extend_from_slice(b"User-Agent: plain/1\r\n");
        }
        if !body.is_empty() {
            let first = request.body().segments().first().map_or(0, Segment::len);
            let length = if self.miscounts { first } else { body.len() as u64 };
            bytes.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends the request and reads the head of the answer.
    fn head(&self, exchange: &Exchange) -> Result<Response<Incoming>, TransportError> {
        assert!(!self.panics, "out of order");
        let body = self.body(exchange)?;
        let uri = exchange.request().uri();
        let mut authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut target = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        loop {
            let mut wire = self.connect(&authority, exchange)?;
            let bytes = self.request(&authority, &target, exchange, &body);
            let answer = wire.stream.write_all(&bytes).and_then(|()| self.read_head(wire, exchange));
            let shown = String::from_utf8_lossy(&bytes);
            let tell =
                |cause| if self.talkative { error(Kind::Other, Delivery::Unknown, &shown) } else { unknown(&cause) };
            let response = answer.map_err(tell)?;
            let location = response.headers().get("location").filter(|_| response.status().is_redirection());
            match location.and_then(|location| location.to_str().ok()?.strip_prefix("http://")?.split_once('/')) {
                Some((host, path)) if self.follows => (authority, target) = (host.to_owned(), format!("/{path}")),
                _ => return Ok(response),
            }
        }
    }

    fn read_head(&self, mut wire: Wire, exchange: &Exchange) -> io::Result<Response<Incoming>> {
        let (status, headers) = loop {
            let first = line(&mut wire)?;
            let code = first.strip_prefix(b"HTTP/1.1 ").and_then(|rest| StatusCode::from_bytes(rest.get(..3)?).ok());
            let status = code.ok_or_else(|| invalid("no status line"))?;
            let mut headers = HeaderMap::new();
            loop {
                let line = line(&mut wire)?;
                if line.is_empty() {
                    break;
                }
                let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| invalid("no header"))?;
                let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| invalid("no header"))?;
                let value =
                    HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| invalid("no header"))?;
                headers.append(name, value);
            }
            if !status.is_informational() || self.hasty {
                break (status, headers);
            }
        };
        let length = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        let framing = match length {
            _ if *exchange.request().method() == Method::HEAD => Framing::Done,
            _ if status.is_informational() || matches!(status.as_u16(), 204 | 304) => Framing::Done,
            _ if headers.contains_key("transfer-encoding") && !self.chunkless => Framing::Chunks(0),
            Some(length) => Framing::Left(length),
            None => Framing::ToTheEnd,
        };
        let mut response = Response::new(Incoming { wire, framing, status, trusting: self.trusting });
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }

    /// Reads the body, as far as the limit goes.
    fn whole(&self, response: Response<Incoming>, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        let (head, mut body) = response.into_parts();
        let limit = if self.limitless { u64::MAX } else { exchange.body_limit() };
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            if self.anew {
                body.wire.until = Instant::now().checked_add(body.wire.timeout);
            }
            match body.read_some(&mut buffer).map_err(|cause| unknown(&cause).with_head(head.status, &head.headers))? {
                0 => break,
                read => all.extend_from_slice(&buffer[..read]),
            }
            if all.len() as u64 > limit {
                return Err(error(Kind::TooLarge, Delivery::Unknown, "too large").with_head(head.status, &head.headers));
            }
        }
        if let Some(kept) = &self.keeps {
            *kept.lock().expect("no panic") = Some(body.wire);
        }
        Ok(Response::from_parts(head, all.into()))
    }
}

impl Incoming {
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Chunks(0) {
            let size = line(&mut self.wire)?;
            let size = String::from_utf8_lossy(&size);
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16);
            self.framing = match size.map_err(|_| invalid("no size of a chunk"))? {
                0 => {
                    while !line(&mut self.wire)?.is_empty() {}
                    Framing::Done
                }
                size => Framing::Chunks(size),
            };
        }
        let (Framing::Left(left) | Framing::Chunks(left)) = self.framing else {
            return if self.framing == Framing::ToTheEnd { self.wire.read(buffer) } else { Ok(0) };
        };
        if left == 0 {
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.wire.read(&mut buffer[..most])? as u64;
        if read == 0 && !self.trusting {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &mut self.framing {
            Framing::Left(left) => *left -= read,
            Framing::Chunks(left) => {
                *left -= read;
                if *left == 0 {
                    line(&mut self.wire)?;
                }
            }
            Framing::ToTheEnd | Framing::Done => {}
        }
        Ok(usize::try_from(read).expect("it fitted the buffer"))
    }
}

impl StreamingBody for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        self.read_some(buffer).map_err(|cause| unknown(&cause).with_status(self.status))
    }
}

impl Transport for Plain {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        self.whole(self.head(exchange)?, exchange)
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        let mut response = self.head(exchange)?;
        if !response.status().is_success() {
            return self.whole(response, exchange).map(Opened::Rejection);
        }
        let wire = &mut response.body_mut().wire;
        wire.until = None;
        let _ = wire.stream.set_read_timeout(None);
        Ok(Opened::Streaming(response.map(|body| Box::new(body) as _)))
    }
}

/// A line without its end.
fn line(wire: &mut Wire) -> io::Result<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") {
        wire.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    Ok(line)
}

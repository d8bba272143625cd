//! Reading requests from a connection: heads with `httparse`, bodies by length or in chunks, all of it bounded.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::ops::Deref;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use httparse::{EMPTY_HEADER, Status};

use super::limits::Limits;
use super::reply::Reply;
use super::scan::Scanner;
use super::stream::Source;

pub(super) const HEAD: usize = 128 * 1024;
/// More than there is room for in the headers that Netty reads.
pub(super) const HEADERS: usize = 2048;
/// How many bytes of headers that are not read may pass by.
const LOST: usize = 1 << 20;
const TRAILERS: usize = 128;
const CHUNK_LINE: usize = 1024;

/// The far end of a connection, and what was read of it too early.
pub(super) struct Reader<S> {
    stream: S,
    buffer: BytesMut,
    limits: Limits,
}

/// A request up to its body.
pub(super) struct Head {
    pub(super) request: Request<()>,
    pub(super) framing: Framing,
    /// The client wants to hear that its body is welcome.
    pub(super) waits: bool,
    /// The client wants no other request on this connection.
    pub(super) last: bool,
    /// The bytes of the head as they came.
    pub(super) raw: Bytes,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

impl Framing {
    /// Whether the head says already that the body is too long.
    pub(super) fn exceeds(self, limit: u64) -> bool {
        matches!(self, Self::Length(length) if length > limit)
    }
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection has ended.
    Closed,
    /// The connection was reset, or nothing came for too long.
    Broken,
    /// This is not HTTP, or too much of it.
    Unreadable(&'static str),
    /// The head is longer than allowed, or has too many headers.
    HeadTooLarge,
    /// The body is longer than allowed.
    TooLarge,
}

impl<S: Deref<Target: Source>> Reader<S> {
    pub(super) fn new(stream: S, limits: Limits) -> Self {
        Self { stream, buffer: BytesMut::new(), limits }
    }

    /// The next request, up to its body.
    pub(super) fn head(&mut self) -> Result<Head, Trouble> {
        loop {
            // What some clients write behind a body.
            while matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
                self.buffer.advance(1);
            }
            if let Some(read) = self.limits.read {
                self.lose_headers(read)?;
            }
            if let Some((length, mut head)) = parse(&self.buffer, self.limits)? {
                head.raw = self.buffer.split_to(length).freeze();
                return Ok(head);
            }
            self.fill()?;
        }
    }

    /// Drops the headers behind the first `read` bytes, up to the end of the head.
    fn lose_headers(&mut self, read: usize) -> Result<(), Trouble> {
        let line = self.buffer.iter().take(self.limits.line + 2).position(|byte| *byte == b'\n');
        let Some(start) = line.map(|line| line + 1).filter(|start| self.buffer.len() > start + read) else {
            return Ok(());
        };
        let headers = self.buffer.get(start..start + read).unwrap_or_default();
        if headers.windows(3).any(|bytes| bytes == b"\n\r\n") || headers.starts_with(b"\r\n") {
            return Ok(());
        }
        let kept = headers.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut kept = self.buffer.split_to(start + kept);
        let (mut lost, mut begins) = (0, true);
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let piece = self.buffer.split_to(end.unwrap_or(self.buffer.len()));
            if begins && end.is_some() && matches!(&piece[..], b"\r\n" | b"\n") {
                kept.extend_from_slice(b"\r\n");
                kept.unsplit(self.buffer.split());
                self.buffer = kept;
                return Ok(());
            }
            lost += piece.len();
            if lost > LOST {
                return Err(Trouble::HeadTooLarge);
            }
            // The carriage return may be all that has come of the last line.
            let may_end = begins && (piece.is_empty() || &piece[..] == b"\r");
            begins = end.is_some();
            if !begins {
                self.fill()?;
                begins = may_end && (piece.is_empty() || self.buffer.first() == Some(&b'\n'));
            }
        }
    }

    /// The body of that request.
    pub(super) fn body(&mut self, framing: Framing, limit: u64) -> Result<Bytes, Trouble> {
        match framing {
            _ if framing.exceeds(limit) => Err(Trouble::TooLarge),
            Framing::Length(length) => self.take(usize::try_from(length).map_err(|_| Trouble::TooLarge)?),
            Framing::Chunked => self.chunks(limit),
        }
    }

    fn chunks(&mut self, limit: u64) -> Result<Bytes, Trouble> {
        let mut body = BytesMut::new();
        loop {
            let size = self.chunk_size()?;
            if size == 0 {
                self.trailers()?;
                return Ok(body.freeze());
            }
            if size > limit.saturating_sub(body.len() as u64) {
                return Err(Trouble::TooLarge);
            }
            body.extend_from_slice(&self.take(usize::try_from(size).map_err(|_| Trouble::TooLarge)?)?);
            if self.take(2)? != "\r\n" {
                return Err(Trouble::Unreadable("a chunk that does not end where it should"));
            }
        }
    }

    fn chunk_size(&mut self) -> Result<u64, Trouble> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(Status::Complete((length, size))) => {
                    self.buffer.advance(length);
                    return Ok(size);
                }
                Ok(Status::Partial) if self.buffer.len() <= CHUNK_LINE => self.fill()?,
                _ => return Err(Trouble::Unreadable("a chunk without a size")),
            }
        }
    }

    /// Reads what may stand behind the last chunk. It is not used.
    fn trailers(&mut self) -> Result<(), Trouble> {
        loop {
            match httparse::parse_headers(&self.buffer, &mut [EMPTY_HEADER; TRAILERS]) {
                Ok(Status::Complete((length, _))) => {
                    self.buffer.advance(length);
                    return Ok(());
                }
                Ok(Status::Partial) if self.buffer.len() <= HEAD => self.fill()?,
                _ => return Err(Trouble::Unreadable("trailers that cannot be read")),
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Trouble> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    fn fill(&mut self) -> Result<(), Trouble> {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.stream.receive(&mut bytes) {
                Ok(0) => return Err(Trouble::Closed),
                Ok(length) => {
                    self.buffer.extend_from_slice(bytes.get(..length).unwrap_or_default());
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Trouble::Broken),
            }
        }
    }

    /// The head of an answer to a request with this method, interim answers skipped.
    pub(super) fn reply(&mut self, method: &Method) -> Result<Reply, Trouble> {
        loop {
            match Reply::parse(&self.buffer, method)? {
                Some((length, mut reply)) => {
                    reply.raw = self.buffer.split_to(length).freeze();
                    if !reply.status.is_informational() || reply.status == StatusCode::SWITCHING_PROTOCOLS {
                        return Ok(reply);
                    }
                }
                None => self.fill()?,
            }
        }
    }

    /// The next bytes of a body as they came; `None` at its end.
    pub(super) fn piece(&mut self, scanner: &mut Scanner) -> Result<Option<Bytes>, Trouble> {
        loop {
            if scanner.is_done() {
                return Ok(None);
            }
            if self.buffer.is_empty() {
                match self.fill() {
                    Err(Trouble::Closed) if scanner.ends_by_close() => {
                        scanner.close();
                        return Ok(None);
                    }
                    filled => filled?,
                }
            }
            let length = scanner.scan(&self.buffer)?;
            if length > 0 {
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
        }
    }
}

impl<S: Deref<Target = TcpStream>> Reader<S> {
    /// Waits until there is something to read, or the end; false if there is neither in this time.
    ///
    /// # Errors
    /// [`Trouble::Broken`] if the connection was reset. It is reported once: the next read would report a clean end.
    pub(super) fn wait(&self, time: Duration) -> Result<bool, Trouble> {
        if !self.buffer.is_empty() {
            return Ok(true);
        }
        let before = self.stream.read_timeout();
        let peeked = self.stream.set_read_timeout(Some(time)).and_then(|()| self.stream.peek(&mut [0])).map(drop);
        let restored = before.and_then(|before| self.stream.set_read_timeout(before));
        match peeked.and(restored) {
            Ok(()) => Ok(true),
            Err(error) if is_silence(error.kind()) => Ok(false),
            Err(_) => Err(Trouble::Broken),
        }
    }
}

/// Whether an error only says that nothing came in time.
fn is_silence(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The head at the start of some bytes, and its length; `None` when it is not complete.
fn parse(bytes: &[u8], limits: Limits) -> Result<Option<(usize, Head)>, Trouble> {
    let line = bytes.iter().take(limits.line + 2).position(|byte| *byte == b'\n');
    if line.is_none() && bytes.len() > limits.line + 1 {
        return Err(Trouble::Unreadable("a request line that is too long"));
    }
    let before = line.and_then(|at| at.checked_sub(1)).and_then(|at| bytes.get(at));
    if !limits.is_lenient && before.is_some_and(|byte| *byte != b'\r') {
        return Err(Trouble::Unreadable("a request line that ends with a bare line feed"));
    }
    let mut slots = vec![EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut slots);
    let length = match parsed.parse(bytes) {
        Ok(Status::Complete(length)) if length <= limits.head => length,
        Ok(Status::Partial) if bytes.len() <= limits.head => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Trouble::HeadTooLarge),
        Err(_) => return Err(Trouble::Unreadable("not HTTP/1")),
    };
    if parsed.headers.len() > limits.headers {
        return Err(Trouble::HeadTooLarge);
    }
    let unreadable = || Trouble::Unreadable("a head that cannot be read");
    let mut request = Request::new(());
    *request.method_mut() =
        Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(|_| unreadable())?;
    *request.uri_mut() = parsed.path.unwrap_or_default().parse::<Uri>().map_err(|_| unreadable())?;
    *request.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    *request.headers_mut() = headers(parsed.headers).ok_or_else(unreadable)?;
    let has = |name: HeaderName, word: &str| lists(request.headers(), name, word);
    let framing = framing(request.headers(), has(header::TRANSFER_ENCODING, "chunked"))?;
    let waits = has(header::EXPECT, "100-continue");
    let last = match request.version() {
        Version::HTTP_10 => !has(header::CONNECTION, "keep-alive"),
        _ => has(header::CONNECTION, "close"),
    };
    Ok(Some((length, Head { request, framing, waits, last, raw: Bytes::new() })))
}

/// Whether a header lists a token.
pub(super) fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Copies headers; `None` if one of them is invalid.
pub(super) fn headers(parsed: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(headers)
}

/// Without either header there is no body, whatever the method.
pub(super) fn framing(headers: &HeaderMap, chunked: bool) -> Result<Framing, Trouble> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return if chunked { Ok(Framing::Chunked) } else { Err(Trouble::Unreadable("an unknown Transfer-Encoding")) };
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter().map(|value| {
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok()).ok_or(Trouble::Unreadable("a Content-Length that is no number"))
    });
    let length = lengths.next().transpose()?.unwrap_or(0);
    if lengths.all(|other| other == Ok(length)) {
        Ok(Framing::Length(length))
    } else {
        Err(Trouble::Unreadable("more than one Content-Length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(usize, Head)>, Trouble> {
        parse(text.as_bytes(), Limits::of("flink"))
    }

    #[test]
    fn a_head_is_read_when_it_is_complete() {
        let text = "POST /v1/jars/x/run HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n{}";
        for end in 0..text.len() - 2 {
            assert!(matches!(read(&text[..end]), Ok(None)), "{end}");
        }
        let (length, head) = read(text).expect("a head").expect("complete");
        assert_eq!((length, head.framing), (text.len() - 2, Framing::Length(2)));
        assert_eq!((head.waits, head.last), (true, false));
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        for (headers, framing) in [
            ("", Some(Framing::Length(0))),
            ("Content-Length: 3\r\nContent-Length: 3\r\n", Some(Framing::Length(3))),
            ("Content-Length: 3\r\nTransfer-Encoding: Chunked\r\n", Some(Framing::Chunked)),
            ("Content-Length: 3\r\nContent-Length: 4\r\n", None),
            ("Content-Length: +3\r\n", None),
            ("Content-Length: 99999999999999999999\r\n", None),
            ("Transfer-Encoding: gzip\r\n", None),
        ] {
            let head = read(&format!("POST / HTTP/1.1\r\n{headers}\r\n")).ok().flatten();
            assert_eq!(head.map(|(_, head)| head.framing), framing, "{headers:?}");
        }
    }

    #[test]
    fn connections_last_as_long_as_the_client_wants() {
        for (version, header, last) in [
            ("1.1", "", false),
            ("1.1", "Connection: te, Close\r\n", true),
            ("1.0", "", true),
            ("1.0", "Connection: Keep-Alive\r\n", false),
        ] {
            let head = read(&format!("GET / HTTP/{version}\r\n{header}\r\n")).expect("a head").expect("complete");
            assert_eq!(head.1.last, last, "{version} {header:?}");
        }
    }

    #[test]
    fn what_is_no_http_or_too_much_is_rejected() {
        let line = format!("GET / HTTP/1.1\n{}\r\n", "a: b\r\n");
        for text in ["PRI * HTTP/2.0\r\n\r\n", "hello\r\n\r\n", "\u{16}\u{3}\u{1}", &"x".repeat(4098), &line] {
            assert!(matches!(read(text), Err(Trouble::Unreadable(_))), "{text:.20}");
        }
        let many = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        let long = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(129 << 10));
        let feldera = |text: &str| parse(text.as_bytes(), Limits::of("feldera")).map(|read| read.is_some());
        assert_eq!(feldera(&many(96)), Ok(true));
        for text in [&many(97), &many(3000), &long] {
            assert_eq!(feldera(text), Err(Trouble::HeadTooLarge), "{text:.20}");
        }
    }
}

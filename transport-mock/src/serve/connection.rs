//! One connection: requests in, answers out, one after the other, and what faults make of it.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use socket2::SockRef;

use super::gate::Seat;
use super::head::{Head, Reader, Trouble};
use super::site::Outcome;
use super::stream::Stream;
use super::{Served, Shared};
use crate::fault::Fault;
use crate::streaming::{Coming, OpenBody, Remark};
use crate::world::{Service, lock};

/// How long a connection may be silent, as a real server's may.
pub(super) const SILENCE: Duration = Duration::from_secs(300);
/// How often a streaming body is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// `rest.server.max-content-length`, which uploads are exempt from.
const LARGEST_JSON: u64 = 100 << 20;
const LARGEST_UPLOAD: u64 = 256 << 20;

/// What happens to the connection after an exchange.
#[derive(PartialEq, Eq)]
pub(super) enum Next {
    Request,
    /// The end, after a last answer which must not be lost.
    Farewell,
    /// The end.
    End,
    /// The end with a reset. A body that ends with the connection would seem whole otherwise.
    Reset,
}

/// Serves a connection until either side ends it.
pub(super) fn run<S: Service>(tcp: &TcpStream, seat: &Seat<'_>, shared: &Shared<S>) {
    if prepare(tcp).is_err() {
        return;
    }
    let Some(stream) = shared.accept(tcp) else { return };
    let reader = Reader::new(&stream, lock(&shared.site).limits());
    let mut connection = Connection { stream: &stream, reader, shared, seat };
    let exchange = || {
        let next = connection.exchange();
        if shared.is_down() {
            stream.finish();
            shared.close();
            return Next::End;
        }
        next
    };
    until_the_end(tcp, seat, exchange, || stream.finish());
}

/// Sets the options that every connection has.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))
}

/// Carries out exchanges one after another, and closes the connection; `announce` tells the client that nothing else is
/// written.
pub(super) fn until_the_end(
    stream: &TcpStream,
    seat: &Seat<'_>,
    mut exchange: impl FnMut() -> Next,
    announce: impl FnOnce(),
) {
    let next = loop {
        match exchange() {
            Next::Request if seat.finish() => {}
            Next::Request => break Next::Farewell,
            next => break next,
        }
    };
    if next == Next::Farewell {
        announce();
        say_farewell(stream);
    }
    // Without a shutdown before it, closing the stream resets the connection.
    if next == Next::Reset && SockRef::from(stream).set_linger(Some(Duration::ZERO)).is_ok() {
        return;
    }
    // The other side may have been quicker.
    let _ = stream.shutdown(Shutdown::Both);
}

/// To close a connection with something unread on it would reset it, and the last answer might be lost with it.
fn say_farewell(mut stream: &TcpStream) {
    let quiet = stream.shutdown(Shutdown::Write).and_then(|()| stream.set_read_timeout(Some(Duration::from_secs(1))));
    let mut bytes = [0; 16 * 1024];
    let mut left = if quiet.is_ok() { 256 } else { 0 };
    while left > 0 && stream.read(&mut bytes).is_ok_and(|length| length > 0) {
        left -= 1;
    }
}

struct Connection<'a, S> {
    stream: &'a Stream<'a>,
    reader: Reader<&'a Stream<'a>>,
    shared: &'a Shared<S>,
    seat: &'a Seat<'a>,
}

/// What is shown of an exchange when it is over.
struct Record {
    request: String,
    fault: Option<Fault>,
    since: Instant,
    remark: Option<String>,
}

impl<S: Service> Connection<'_, S> {
    fn exchange(&mut self) -> Next {
        let Head { request, framing, waits, last, .. } = match self.reader.head() {
            Ok(head) => head,
            Err(trouble) => return self.reject(&Method::GET, None, &trouble),
        };
        self.seat.begin();
        let mut record = Record {
            request: format!("{} {}", request.method(), request.uri()),
            fault: lock(&self.shared.site).draw(self.shared.clock.now(), request.method(), request.uri().path()),
            since: Instant::now(),
            remark: None,
        };
        if record.fault == Some(Fault::NotSent) {
            return self.end(record);
        }
        let limit = if is_upload(&request) { LARGEST_UPLOAD } else { LARGEST_JSON };
        if waits && !framing.exceeds(limit) && self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return Next::End;
        }
        let body = match self.reader.body(framing, limit) {
            Ok(body) => body,
            Err(trouble) => return self.reject(request.method(), Some(record), &trouble),
        };
        record.since = Instant::now();
        let request = request.map(|()| body);
        if let Some(response) = lock(&self.shared.site).absolute_form(self.shared.clock.now(), &request) {
            record.fault = None;
            return self.answer(request.method(), response, last, record);
        }
        match self.shared.answer(&request, record.fault) {
            Some(Outcome::Whole(response)) => self.answer(request.method(), response, last, record),
            Some(Outcome::Cut(response)) => self.cut(&response, record),
            Some(Outcome::Nothing) | None => self.end(record),
        }
    }

    /// Writes a body as it comes, in chunks, until its end or that of the connection.
    fn follow(&mut self, mut response: Response<Bytes>, body: OpenBody, last: bool, record: Record) -> Next {
        response.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let status = response.status();
        let mut first = std::mem::take(response.body_mut());
        let mut written = write(self.stream, &response, 0);
        let ended = loop {
            if written.is_ok() && !first.is_empty() {
                written = self.write_chunk(&first);
            }
            if written.is_err() {
                break false;
            }
            let (now, coming) = {
                let mut site = lock(&self.shared.site);
                let now = self.shared.clock.now();
                (now, site.simulator.read(now, body))
            };
            let wait = match coming {
                Coming::Bytes(bytes) => {
                    first = bytes;
                    continue;
                }
                Coming::End => break true,
                Coming::Later(at) => self.shared.clock.scaled(at.since(now)).min(LOOK),
                Coming::Idle => LOOK,
            };
            first = Bytes::new();
            if !self.shared.wait(wait) || self.seat.is_draining() || self.stream.is_gone() {
                break false;
            }
        };
        lock(&self.shared.site).simulator.close(self.shared.clock.now(), body);
        self.show(record, Some(status));
        match ended && self.stream.write_all(b"0\r\n\r\n").is_ok() {
            true if last => Next::Farewell,
            true => Next::Request,
            false => Next::End,
        }
    }

    fn write_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.stream.write_all(&chunk)
    }

    fn answer(&mut self, method: &Method, mut response: Response<Bytes>, last: bool, mut record: Record) -> Next {
        record.remark = remark(&response);
        if let Some(body) = response.extensions().get().copied() {
            return self.follow(response, body, last, record);
        }
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let connection = response.headers().get(header::CONNECTION);
        let last = last || connection.is_some_and(|value| value == "close");
        if last && connection.is_some_and(|value| value != "close") {
            response.headers_mut().remove(header::CONNECTION);
        }
        let shown = if *method == Method::HEAD { 0 } else { length };
        let written = write(self.stream, &response, shown);
        self.show(record, Some(response.status()));
        match written {
            Ok(()) if last => Next::Farewell,
            Ok(()) => Next::Request,
            Err(_) => Next::End,
        }
    }

    fn cut(&mut self, response: &Response<Bytes>, mut record: Record) -> Next {
        record.remark = remark(response);
        let half = response.body().len() / 2;
        if let Some(body) = response.extensions().get().copied() {
            lock(&self.shared.site).simulator.close(self.shared.clock.now(), body);
        }
        if response.body().is_empty() || write(self.stream, response, half).is_err() {
            return self.end(record);
        }
        self.show(record, Some(response.status()));
        Next::End
    }

    fn end(&self, record: Record) -> Next {
        self.show(record, None);
        Next::End
    }

    /// Answers what cannot be read, and closes the connection: it is unknown where the next request begins.
    fn reject(&mut self, method: &Method, record: Option<Record>, trouble: &Trouble) -> Next {
        let said = record.as_ref().map(|record| format!("{}: ", record.request)).unwrap_or_default();
        let (response, what) = match trouble {
            Trouble::Closed | Trouble::Broken => return record.map_or(Next::End, |record| self.end(record)),
            Trouble::Unreadable(what) => (lock(&self.shared.site).unreadable(self.shared.clock.now()), *what),
            Trouble::HeadTooLarge => {
                (lock(&self.shared.site).head_too_large(self.shared.clock.now()), "a head beyond the limit")
            }
            Trouble::TooLarge => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                (response, "a body beyond the limit")
            }
        };
        let record = Record { request: format!("{said}{what}"), fault: None, since: Instant::now(), remark: None };
        self.answer(method, response, true, record);
        Next::Farewell
    }

    fn show(&self, record: Record, status: Option<StatusCode>) {
        let Record { request, fault, since, remark } = record;
        self.shared.show(&Served { request, status, fault, took: since.elapsed(), remark });
    }
}

fn remark(response: &Response<Bytes>) -> Option<String> {
    response.extensions().get().map(|Remark(text)| text.clone())
}

/// Writes the head, and so many bytes of the body.
pub(super) fn write(mut stream: impl io::Write, response: &Response<Bytes>, shown: usize) -> io::Result<()> {
    let status = response.status();
    let mut bytes =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default()).into_bytes();
    for (name, value) in response.headers() {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(piece);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(response.body().get(..shown).unwrap_or_default());
    stream.write_all(&bytes)
}

fn is_upload(request: &Request<()>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data"))
}

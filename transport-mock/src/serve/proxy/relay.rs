//! One connection of a client: its requests go to the server, and the answers come back, unless a fault says otherwise.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response, StatusCode, header};

use super::Wire;
use super::har::{Exchange, tap};
use super::upstream::Upstream;
use crate::fault::answer::{Answer, proxy_page};
use crate::fault::{Fault, RetryAfter};
use crate::serve::Served;
use crate::serve::connection::{Next, prepare, until_the_end, write};
use crate::serve::gate::Seat;
use crate::serve::head::{Head, Reader, Trouble};
use crate::serve::limits::WIDE;
use crate::serve::reply::Reply;
use crate::serve::scan::Scanner;
use crate::serve::stream::is_gone;

/// The longest body that is held in memory.
const LONGEST_HELD: usize = 16 << 20;
/// How long an answer may take to end if a fault needs all of it.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// How often a silent answer's client is checked.
const CHECK: Duration = Duration::from_millis(250);

/// Serves a connection until either side ends it.
pub(super) fn run(stream: &TcpStream, seat: &Seat<'_>, wire: &Wire) {
    if prepare(stream).is_ok() {
        let mut relay = Relay { stream, reader: Reader::new(stream, WIDE), wire, seat, upstream: None };
        until_the_end(stream, seat, || relay.exchange(), || {});
    }
}

struct Relay<'a> {
    stream: &'a TcpStream,
    reader: Reader<&'a TcpStream>,
    wire: &'a Wire,
    seat: &'a Seat<'a>,
    upstream: Option<Upstream<'a>>,
}

/// A request: its head, and as much of its body as was read.
struct Incoming {
    method: Method,
    head: Bytes,
    held: BytesMut,
    rest: Scanner,
    /// The client wants no other request on this connection.
    last: bool,
}

/// Why the server's answer is not there.
enum Lost {
    /// The server cannot be reached.
    Unreachable,
    /// One of the connections has ended.
    Closed,
}

/// The body of an answer as it came, or its start.
struct Collected {
    raw: BytesMut,
    whole: bool,
}

/// What is shown of an exchange when it is over.
struct Record {
    request: String,
    fault: Option<Fault>,
    since: Instant,
    /// What is recorded.
    exchange: Option<Box<Exchange>>,
}

impl Record {
    /// Notes the answer that is passed on, for a recording.
    fn answered(&mut self, reply: &Reply) {
        if let (Some(exchange), Some(body)) = (&mut self.exchange, reply.scanner.tapped()) {
            exchange.answered(reply.status, &reply.headers, body);
        }
    }

    /// Notes the part of an answer's body that is sent, as it comes on the wire.
    fn answered_in_part(&mut self, reply: &Reply, sent: &[u8]) {
        if let Some(exchange) = &mut self.exchange {
            let (body, mut scanner) = (tap(), reply.scanner.again());
            scanner.tap(&body);
            // It was read before.
            let _ = scanner.scan(sent);
            exchange.answered(reply.status, &reply.headers, body);
        }
    }

    /// Notes the whole answer that a fault is about to spoil.
    fn spoils(&mut self, response: &Response<Bytes>) {
        if let Some(exchange) = &mut self.exchange {
            exchange.spoils(response.headers(), response.body());
        }
    }

    /// Notes an answer whose body is sent as far as this.
    fn answered_with(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        if let Some(exchange) = &mut self.exchange {
            exchange.answered_with(status, headers, body);
        }
    }
}

impl Relay<'_> {
    fn exchange(&mut self) -> Next {
        let Head { request, framing, waits, last, raw } = match self.reader.head() {
            Ok(head) => head,
            Err(trouble) => return self.reject(&trouble),
        };
        self.seat.begin();
        let fault = self.wire.draw(request.method(), request.uri().path());
        let target = format!("{} {}", request.method(), request.uri());
        let mut rest = Scanner::new(framing);
        let exchange = self.wire.recorder.is_some().then(|| {
            let body = tap();
            rest.tap(&body);
            Box::new(Exchange::new(self.wire.now(), &self.wire.upstream, request.clone(), body))
        });
        let mut record = Record { request: target, fault, since: Instant::now(), exchange };
        if fault == Some(Fault::NotSent) {
            return self.end(record);
        }
        if waits && (&mut &*self.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return self.end(record);
        }
        let method = request.method().clone();
        let mut request = Incoming { method, head: raw, held: BytesMut::new(), rest, last };
        if matches!(fault, Some(Fault::DelayRequest(_) | Fault::DeliveredTwice)) && self.hold(&mut request).is_err() {
            return self.end(record);
        }
        let whole = request.rest.is_done() && request.held.len() <= LONGEST_HELD;
        if fault == Some(Fault::DeliveredTwice) && !whole {
            self.spare(&mut record);
        }
        match record.fault {
            Some(fault @ (Fault::Restart { downtime, .. } | Fault::LeaderLost { downtime })) => {
                if fault.applied() {
                    // The answer is lost, whatever it is.
                    let _ = self.deliver(&mut request);
                }
                self.wire.go_down(downtime);
                self.end(record)
            }
            Some(fault) if !fault.applied() => match self.skip(&mut request) {
                Ok(()) => self.page(&request, record),
                Err(_) => self.end(record),
            },
            Some(fault) => self.spoil(request, fault, record),
            None => match self.deliver(&mut request) {
                Ok(reply) => self.pass(reply, &[], request.last, record),
                Err(lost) => self.lost(&lost, &request, record),
            },
        }
    }

    /// Delivers a request, and makes of its answer what the fault says.
    fn spoil(&mut self, mut request: Incoming, fault: Fault, mut record: Record) -> Next {
        if let Fault::DelayRequest(delay) = fault
            && !self.wire.clients.wait(delay)
        {
            return self.end(record);
        }
        let mut reply = match self.deliver(&mut request) {
            Ok(reply) => reply,
            Err(lost) => return self.lost(&lost, &request, record),
        };
        if fault == Fault::DeliveredTwice {
            let collected = self.collect(&mut reply);
            if let Ok(Collected { raw, whole: false }) = collected {
                self.spare(&mut record);
                return self.pass(reply, &raw, request.last, record);
            }
            if collected.is_err() || reply.last {
                self.upstream = None;
            }
            reply = match self.deliver(&mut request) {
                Ok(reply) => reply,
                Err(lost) => return self.lost(&lost, &request, record),
            };
        }
        match fault {
            Fault::ReplyLost => self.end(record),
            Fault::ProxyPage { .. } => {
                self.upstream = None;
                self.page(&request, record)
            }
            Fault::DelayReply(delay) if !self.wire.clients.wait(delay) => self.end(record),
            Fault::CutOff | Fault::ShortBody | Fault::MalformedBody => {
                let Ok(collected) = self.collect(&mut reply) else { return self.end(record) };
                if fault == Fault::CutOff {
                    return self.cut(reply, &collected, record);
                }
                let Collected { raw, whole } = collected;
                if !whole || raw.is_empty() {
                    // The body is empty, or not complete.
                    self.spare(&mut record);
                    return self.pass(reply, &raw, request.last, record);
                }
                let last = reply.last;
                let response = reply.with_body();
                record.spoils(&response);
                match Answer::spoilt(Some(fault), Some(response), false, self.wire.now()).result {
                    Ok(response) => self.answer(&request, response, last, record),
                    Err(_) => self.end(record),
                }
            }
            _ => self.pass(reply, &[], request.last, record),
        }
    }

    /// Reads the body of a request, as far as it may be held.
    fn hold(&mut self, request: &mut Incoming) -> Result<(), Trouble> {
        while request.held.len() <= LONGEST_HELD
            && let Some(piece) = self.reader.piece(&mut request.rest)?
        {
            request.held.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Reads the body of a request and forgets it.
    fn skip(&mut self, request: &mut Incoming) -> Result<(), Trouble> {
        while self.reader.piece(&mut request.rest)?.is_some() {}
        Ok(())
    }

    /// Sends a request to the server, and reads the head of its answer.
    fn deliver(&mut self, request: &mut Incoming) -> Result<Reply, Lost> {
        let stale = self.upstream.as_ref().is_none_or(Upstream::is_stale);
        if stale {
            self.upstream = Some(Upstream::connect(self.wire).map_err(|_| Lost::Unreachable)?);
        }
        let upstream = self.upstream.as_mut().ok_or(Lost::Unreachable)?;
        let mut sent = upstream.write(&request.head).and_then(|()| upstream.write(&request.held));
        // A server that rejects a body before it has read it may have answered.
        while sent.is_ok()
            && let Some(piece) = self.reader.piece(&mut request.rest).map_err(|_| Lost::Closed)?
        {
            sent = upstream.write(&piece);
        }
        let mut reply = upstream.reply(&request.method).map_err(|_| Lost::Closed)?;
        reply.last |= sent.is_err();
        if self.wire.recorder.is_some() {
            reply.scanner.tap(&tap());
        }
        Ok(reply)
    }

    /// Reads an answer up to its end, the limit, or the time that it may take.
    fn collect(&mut self, reply: &mut Reply) -> Result<Collected, Trouble> {
        let upstream = self.upstream.as_mut().ok_or(Trouble::Closed)?;
        let until = Instant::now() + ENDS_WITHIN;
        let mut raw = BytesMut::new();
        reply.scanner.keep_payload();
        while raw.len() <= LONGEST_HELD {
            let left = until.saturating_duration_since(Instant::now());
            if !reply.scanner.is_done() && (left.is_zero() || !upstream.reader().wait(left)?) {
                break;
            }
            match upstream.reader().piece(&mut reply.scanner)? {
                Some(piece) => raw.extend_from_slice(&piece),
                None => return Ok(Collected { raw, whole: true }),
            }
        }
        reply.scanner.drop_payload();
        Ok(Collected { raw, whole: false })
    }

    /// Passes on the head of an answer and half of its body.
    fn cut(&self, reply: Reply, collected: &Collected, mut record: Record) -> Next {
        let Collected { raw, whole } = collected;
        if raw.is_empty() {
            return self.end(record);
        }
        let (status, ends_by_close) = (reply.status, !whole && reply.scanner.ends_by_close());
        let written = if *whole {
            let mut response = reply.with_body();
            let length = response.body().len();
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            let half = response.body().get(..length / 2).unwrap_or_default();
            record.spoils(&response);
            record.answered_with(status, response.headers(), half);
            write(self.stream, &response, length / 2)
        } else {
            let half = raw.get(..raw.len() / 2).unwrap_or_default();
            record.answered_in_part(&reply, half);
            (&mut &*self.stream).write_all(&reply.raw).and_then(|()| (&mut &*self.stream).write_all(half))
        };
        self.show(record, written.is_ok().then_some(status));
        if ends_by_close { Next::Reset } else { Next::End }
    }

    /// Passes on an answer as it comes; `first` is what was read of its body already.
    fn pass(&mut self, mut reply: Reply, first: &[u8], last: bool, mut record: Record) -> Next {
        record.answered(&reply);
        let status = reply.status;
        let last = last || reply.last;
        let mut stream = self.stream;
        let mut written = stream.write_all(&reply.raw).and_then(|()| stream.write_all(first)).is_ok();
        let ended = loop {
            let Some(upstream) = self.upstream.as_mut().filter(|_| written) else { break false };
            let ready = if reply.scanner.is_done() { Ok(true) } else { upstream.reader().wait(CHECK) };
            if ready == Ok(false) {
                written = !is_gone(self.stream);
                continue;
            }
            match ready.and_then(|_| upstream.reader().piece(&mut reply.scanner)) {
                Ok(Some(piece)) => written = stream.write_all(&piece).is_ok(),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        self.show(record, Some(status));
        match ended {
            true if last => Next::Farewell,
            true => Next::Request,
            false if reply.scanner.ends_by_close() => Next::Reset,
            false => Next::End,
        }
    }

    /// Answers as the proxy that the fault is about.
    fn page(&mut self, request: &Incoming, record: Record) -> Next {
        match Answer::spoilt(record.fault, None, false, self.wire.now()).result {
            Ok(response) => self.answer(request, response, false, record),
            Err(_) => self.end(record),
        }
    }

    fn lost(&mut self, lost: &Lost, request: &Incoming, record: Record) -> Next {
        self.upstream = None;
        match lost {
            Lost::Closed => self.end(record),
            Lost::Unreachable => {
                let page = proxy_page(StatusCode::BAD_GATEWAY, RetryAfter::Absent, self.wire.now());
                self.answer(request, page, true, record)
            }
        }
    }

    /// Answers with a response that is not passed on as it came. What is unread of the request ends the connection.
    fn answer(&self, request: &Incoming, mut response: Response<Bytes>, last: bool, mut record: Record) -> Next {
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        let shown = if request.method == Method::HEAD { 0 } else { length };
        let body = response.body().get(..shown).unwrap_or_default();
        record.answered_with(response.status(), response.headers(), body);
        let written = write(self.stream, &response, shown);
        self.show(record, Some(response.status()));
        match written {
            Ok(()) if last || request.last || !request.rest.is_done() => Next::Farewell,
            Ok(()) => Next::Request,
            Err(_) => Next::End,
        }
    }

    /// Answers what is not HTTP.
    fn reject(&self, trouble: &Trouble) -> Next {
        let (what, status) = match trouble {
            Trouble::Unreadable(what) => (*what, StatusCode::BAD_REQUEST),
            Trouble::HeadTooLarge => ("a head beyond the limit", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Trouble::Closed | Trouble::Broken | Trouble::TooLarge => return Next::End,
        };
        let record = Record { request: what.to_owned(), fault: None, since: Instant::now(), exchange: None };
        let page = proxy_page(status, RetryAfter::Absent, self.wire.now());
        let written = write(self.stream, &page, page.body().len());
        self.show(record, Some(page.status()));
        if written.is_ok() { Next::Farewell } else { Next::End }
    }

    /// Lets a request pass although there was a fault for it.
    fn spare(&self, record: &mut Record) {
        if let Some(fault) = record.fault.take() {
            self.wire.spare(fault);
        }
    }

    fn end(&self, record: Record) -> Next {
        self.show(record, None);
        Next::End
    }

    fn show(&self, record: Record, status: Option<StatusCode>) {
        let Record { request, fault, since, exchange } = record;
        if let (Some(recorder), Some(exchange)) = (&self.wire.recorder, exchange) {
            recorder.add(&exchange.entry(fault.map(|fault| fault.to_string())));
        }
        self.wire.show(&Served { request, status, fault, took: since.elapsed(), remark: None });
    }
}

//! Rules about failures: which error the transport must report.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pipewright::Body;
use pipewright::error::{Delivery, TransportErrorKind as Kind};

use super::probe::Ask;
use super::server::{HOLD, Peer, Server};
use super::{Case, Expected};

/// The timeout of exchanges that test the timeout.
pub(super) const TIMEOUT: Duration = Duration::from_millis(200);

/// How much later than its timeout an exchange may end, because the machine may be busy.
const SLACK: Duration = Duration::from_secs(1);

const NOT_SENT: Expected =
    Expected { kinds: &[Kind::Connect, Kind::Resolve], delivery: Delivery::NotSent, status: None };
const UNKNOWN: Expected =
    Expected { kinds: &[Kind::Closed, Kind::Protocol], delivery: Delivery::Unknown, status: None };

pub(super) fn rejected(case: &mut Case<'_>) {
    let unused = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = unused.expect("a free port on loopback");
    for ask in [Ask::get(), Ask::post("{}").once()] {
        let result = case.transport.send(&ask.exchange(address));
        case.failed("a port without a listener", result, NOT_SENT);
    }
    let result = case.transport.open(&Ask::get().streaming(address));
    case.failed("a streaming exchange with a port without a listener", result, NOT_SENT);
}

pub(super) fn unresolvable(case: &mut Case<'_>) {
    // The name is reserved for not existing (RFC 6761 §6.4).
    let result = case.transport.send(&Ask::get().exchange("nowhere.invalid:80"));
    case.failed("a name without an address", result, NOT_SENT);
}

pub(super) fn reset(case: &mut Case<'_>) {
    type Serve = fn(&mut Peer) -> std::io::Result<()>;
    let serve: [(&str, Serve); 3] = [
        ("a reset as the request begins to arrive", Peer::leave_unread),
        ("a reset between head and body of the request", |peer| {
            peer.head()?;
            peer.leave_unread()
        }),
        ("the end of the connection after the request", |peer| peer.request().map(drop)),
    ];
    for (what, serve) in serve {
        let server = Server::start(serve);
        let body = Body::from(vec![b'x'; 100_000]);
        let result = case.send(what, &Ask::post(body), &server);
        case.failed(what, result, UNKNOWN);
        case.arrived(what, server, 1);
    }
}

pub(super) fn cut_off(case: &mut Case<'_>) {
    for (what, status, rest) in [
        ("no byte of the body", 200, "Content-Length: 10\r\n\r\n"),
        ("half of the body", 200, "Content-Length: 10\r\n\r\n01234"),
        ("half of a rejection", 503, "Content-Length: 10\r\n\r\n01234"),
        ("chunks without the last chunk", 200, "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n"),
        ("half of a chunk", 202, "Transfer-Encoding: chunked\r\n\r\n4\r\n01"),
    ] {
        let server = Server::closing(format!("HTTP/1.1 {status} Said\r\n{rest}"));
        let result = case.send(what, &Ask::get(), &server);
        case.failed(what, result, Expected { status: Some(status), ..UNKNOWN });
        case.arrived(what, server, 1);
    }
}

pub(super) fn not_http(case: &mut Case<'_>) {
    for (what, answer) in [
        ("no answer", ""),
        ("half of a status line", "HTTP/1.1 20"),
        ("half of a head", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ("a status as text", "HTTP/1.1 two hundred\r\n\r\n"),
        ("zeros", "\0\0\0\0\r\n\r\n"),
        ("chunks of no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    ] {
        let server = Server::closing(answer);
        let result = case.send(what, &Ask::post("{}"), &server);
        case.failed(what, result, UNKNOWN);
        case.arrived(what, server, 1);
    }
}

pub(super) fn timeout(case: &mut Case<'_>) {
    stall(case, "no answer", None, |peer| {
        peer.request()?;
        peer.until_closed()
    });
    stall(case, "a body that stalls", Some(202), |peer| {
        peer.request()?;
        peer.write("HTTP/1.1 202 Said\r\nContent-Length: 10\r\n\r\n0123")?;
        peer.until_closed()
    });
    stall(case, "a head that comes in drops", None, |peer| drops(peer, "HTTP/1.1 200 OK\r\nX-Long: "));
    stall(case, "a body that comes in drops", Some(200), |peer| {
        drops(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    });
}

/// Each byte arrives well within the timeout; the whole response does not.
fn drops(peer: &mut Peer, start: &str) -> std::io::Result<()> {
    peer.request()?;
    peer.write(start)?;
    let (_open, never) = mpsc::channel::<()>();
    for _ in 0..HOLD.as_millis() / 40 {
        let _ = never.recv_timeout(Duration::from_millis(40));
        peer.write("x")?;
    }
    Ok(())
}

fn stall(
    case: &mut Case<'_>,
    what: &str,
    status: Option<u16>,
    serve: impl Fn(&mut Peer) -> std::io::Result<()> + Send + Sync + 'static,
) {
    let server = Server::start(serve);
    let start = Instant::now();
    let result = case.send(what, &Ask::get().timeout(TIMEOUT), &server);
    in_time(case, what, start.elapsed());
    case.failed(what, result, Expected { kinds: &[Kind::Timeout], delivery: Delivery::Unknown, status });
    case.arrived(what, server, 1);
}

/// Requires that a duration is about the timeout.
pub(super) fn in_time(case: &mut Case<'_>, what: &str, elapsed: Duration) {
    // Clocks of the system may be coarse.
    if elapsed + Duration::from_millis(20) < TIMEOUT || elapsed > TIMEOUT + SLACK {
        case.problem(format!("{what}: it ended after {elapsed:?}, and the timeout is {TIMEOUT:?}"));
    }
}

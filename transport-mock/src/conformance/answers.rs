//! The expected result of each answer.

use http::{Method, header};
use pipewright::error::{Delivery, TransportErrorKind as Kind};

use super::probe::Ask;
use super::server::{Server, answer};
use super::{Case, Expected};

pub(super) fn statuses(case: &mut Case<'_>) {
    for status in [200, 201, 202, 204, 304, 400, 401, 403, 404, 409, 413, 417, 429, 500, 502, 503, 504, 599] {
        let what = format!("status {status}");
        let (bytes, body) = match status {
            204 | 304 => (format!("HTTP/1.1 {status} Said\r\n\r\n").into_bytes(), ""),
            401 => (answer(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "said"), "said"),
            _ => (answer(status, "", "said"), "said"),
        };
        let server = Server::answering(bytes);
        let result = case.send(&what, &Ask::get(), &server);
        case.answered(&what, result, status, body.as_bytes());
        case.arrived(&what, server, 1);
    }
}

/// Starts a server with this response, and with another response at its `Location`.
pub(super) fn redirecting(status: u16, body: &'static str) -> Server {
    Server::start(move |peer| {
        loop {
            let location = format!("Location: http://{}/elsewhere\r\n", peer.address()?);
            let followed = peer.request()?.line().contains("/elsewhere");
            peer.write(if followed { answer(200, "", "elsewhere") } else { answer(status, &location, body) })?;
        }
    })
}

pub(super) fn redirects(case: &mut Case<'_>) {
    for status in [301, 302, 303, 307, 308] {
        for ask in [Ask::get(), Ask::post("{}")] {
            let what = format!("{} answered by {status} with a Location", ask.method);
            let server = redirecting(status, "over there");
            let result = case.send(&what, &ask, &server);
            if let Some(response) = case.answered(&what, result, status, b"over there")
                && !response.headers().contains_key(header::LOCATION)
            {
                case.problem(format!("{what}: the Location is lost"));
            }
            case.arrived(&what, server, 1);
        }
    }
}

pub(super) fn unchanged(case: &mut Case<'_>) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let headers = "Content-Type: application/x-anything\r\nContent-Encoding: gzip\r\nX-Twice: one\r\nX-Other: a, b\r\n\
                   X-Twice: two\r\nX-Empty:\r\nRetry-After: 7\r\n";
    let what = "an answer with headers and bytes of all kinds";
    let server = Server::answering(answer(200, headers, &every_byte));
    let result = case.send(what, &Ask::get(), &server);
    if let Some(response) = case.answered(what, result, 200, &every_byte) {
        for (name, values) in [
            ("content-type", &["application/x-anything"][..]),
            ("content-encoding", &["gzip"]),
            ("x-twice", &["one", "two"]),
            ("x-other", &["a, b"]),
            ("x-empty", &[""]),
            ("retry-after", &["7"]),
        ] {
            let found: Vec<_> = response.headers().get_all(name).iter().collect();
            if found != values {
                case.problem(format!("{what}: the header {name} is {found:?} instead of {values:?}"));
            }
        }
    }
    case.arrived(what, server, 1);
}

pub(super) fn framing(case: &mut Case<'_>) {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6;x=y\r\n456789\r\n";
    for (what, framed) in [
        ("a body with its length", "Content-Length: 10\r\n\r\n0123456789".to_owned()),
        ("a body in chunks", format!("{chunked}0\r\n\r\n")),
        ("a body in chunks with a trailer", format!("{chunked}0\r\nX-Sum: 45\r\n\r\n")),
        ("a body up to the end of the connection", "Connection: close\r\n\r\n0123456789".to_owned()),
    ] {
        let server = Server::closing(format!("HTTP/1.1 200 OK\r\n{framed}"));
        let result = case.send(what, &Ask::get(), &server);
        case.answered(what, result, 200, b"0123456789");
        case.arrived(what, server, 1);
    }
    for (what, method, status) in [
        ("HEAD answered with a length", Method::HEAD, 200),
        ("304 with the length that the body would have", Method::GET, 304),
    ] {
        let server = Server::answering(format!("HTTP/1.1 {status} Said\r\nContent-Length: 5000\r\n\r\n"));
        let result = case.send(what, &Ask::new(method, ""), &server);
        case.answered(what, result, status, b"");
        case.arrived(what, server, 1);
    }
}

pub(super) fn interim(case: &mut Case<'_>) {
    for (what, before) in [
        ("100 before the answer", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("103 before the answer", "HTTP/1.1 103 Early Hints\r\nLink: <a>; rel=preload\r\n\r\n"),
        ("100 and 102 before the answer", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"),
    ] {
        let server = Server::answering([before.as_bytes(), &answer(200, "", "then")].concat());
        let result = case.send(what, &Ask::post("{}"), &server);
        case.answered(what, result, 200, b"then");
        case.arrived(what, server, 1);
    }
}

pub(super) fn body_limit(case: &mut Case<'_>) {
    let framed = |body: &str| {
        [
            ("a length", format!("Content-Length: {}\r\n\r\n{body}", body.len())),
            ("chunks", format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
            ("an end with the connection", format!("Connection: close\r\n\r\n{body}")),
        ]
    };
    let ask = Ask::get().limited(10);
    let mut demand = |what: &str, server: Server, status: u16| {
        let result = case.send(what, &ask, &server);
        let expected = Expected { kinds: &[Kind::TooLarge], delivery: Delivery::Unknown, status: Some(status) };
        case.failed(what, result, expected);
        case.arrived(what, server, 1);
    };
    for (by, framed) in framed("0123456789a") {
        for status in [201, 500] {
            let what = format!("11 bytes of at most 10, with {by}, after status {status}");
            demand(&what, Server::closing(format!("HTTP/1.1 {status} Said\r\n{framed}")), status);
        }
    }
    demand("a body without end", Server::start(endless), 200);
    for (by, framed) in framed("0123456789") {
        let what = format!("10 bytes of at most 10, with {by}");
        let server = Server::closing(format!("HTTP/1.1 200 OK\r\n{framed}"));
        let result = case.send(&what, &ask, &server);
        case.answered(&what, result, 200, b"0123456789");
        case.arrived(&what, server, 1);
    }
}

/// The body has an end, so that a transport without a limit does not read for ever.
fn endless(peer: &mut super::server::Peer) -> std::io::Result<()> {
    peer.request()?;
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = "x".repeat(64 * 1024);
    (0..64).try_for_each(|_| peer.chunk(&chunk))?;
    peer.write("0\r\n\r\n")
}

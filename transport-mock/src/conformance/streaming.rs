//! Rules about streaming bodies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use pipewright::driver::{Opened, StreamingBody};
use pipewright::error::{Delivery, TransportErrorKind as Kind};

use super::answers::redirecting;
use super::failures::{TIMEOUT, in_time};
use super::probe::Ask;
use super::server::{Server, answer};
use super::{Case, Expected, short};
use crate::world::lock;

/// How long a server waits for the client before it reports that the transport holds bytes back.
const PATIENCE: Duration = Duration::from_secs(2);

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Head: 1\r\n\r\n";

pub(super) fn streaming(case: &mut Case<'_>) {
    handed_over(case);
    longer_than_the_exchange(case);

    let what = "204 to a streaming exchange";
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    if let Some(mut body) = opened(case, what, &Ask::get(), &server) {
        reads(case, what, &mut *body, "");
    }
    case.arrived(what, server, 1);

    let what = "a streaming body up to the end of the connection";
    let server = Server::closing("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
    if let Some(mut body) = opened(case, what, &Ask::get(), &server) {
        reads(case, what, &mut *body, "all of it");
    }
    case.arrived(what, server, 1);
}

/// The server sends each item only after the client has read the item before.
fn handed_over(case: &mut Case<'_>) {
    let what = "a streaming body";
    let (has, wait) = mpsc::channel();
    let (wait, held_back) = (Mutex::new(wait), Arc::new(AtomicBool::new(false)));
    let server = Server::start({
        let held_back = Arc::clone(&held_back);
        move |peer| {
            peer.request()?;
            peer.write(HEAD)?;
            for item in ["first\n", "second\n"] {
                if lock(&wait).recv_timeout(PATIENCE).is_err() {
                    held_back.store(true, Ordering::SeqCst);
                }
                peer.chunk(item)?;
            }
            if lock(&wait).recv_timeout(PATIENCE).is_err() {
                held_back.store(true, Ordering::SeqCst);
            }
            peer.write("0\r\n\r\n")
        }
    });
    if let Some(mut body) = opened(case, what, &Ask::get(), &server) {
        let _ = has.send(());
        for item in ["first\n", "second\n"] {
            let mut got = Vec::new();
            let end = read(&mut *body, &mut got, item.len());
            if got != item.as_bytes() || end.is_err() {
                case.problem(format!("{what}: {:?} came instead of {item:?} ({end:?})", short(&got)));
            }
            let _ = has.send(());
        }
        reads(case, what, &mut *body, "");
    }
    drop(has);
    if held_back.load(Ordering::SeqCst) {
        case.problem(format!("{what}: what had come was held back until more came"));
    }
    case.arrived(what, server, 1);
}

/// The timeout and the limit of a streaming exchange apply to its head and to a rejection.
fn longer_than_the_exchange(case: &mut Case<'_>) {
    let what = "a streaming body longer than timeout and limit of its exchange";
    let server = Server::start(|peer| {
        peer.request()?;
        peer.write(HEAD)?;
        peer.chunk("early ")?;
        let (_open, never) = mpsc::channel::<()>();
        let _ = never.recv_timeout(TIMEOUT * 2);
        peer.chunk("and late")?;
        peer.write("0\r\n\r\n")
    });
    if let Some(mut body) = opened(case, what, &Ask::get().limited(10).timeout(TIMEOUT), &server) {
        reads(case, what, &mut *body, "early and late");
    }
    case.arrived(what, server, 1);
}

pub(super) fn rejection(case: &mut Case<'_>) {
    for status in [301, 400, 401, 404, 429, 503] {
        let what = format!("a streaming exchange answered by {status}");
        let server = redirecting(status, "refused");
        match case.open(&what, &Ask::get(), &server) {
            Ok(Opened::Rejection(response)) => drop(case.answered(&what, Ok(response), status, b"refused")),
            Ok(Opened::Streaming(_)) => case.problem(format!("{what}: a streaming body instead of a rejection")),
            Err(error) => case.problem(format!("{what}: {} instead of a rejection", super::tell(&error))),
        }
        case.arrived(&what, server, 1);
    }

    let what = "a rejection of a streaming exchange over its limit";
    let server = Server::closing(answer(500, "", "refused"));
    let result = case.open(what, &Ask::get().limited(6), &server);
    let expected = Expected { kinds: &[Kind::TooLarge], delivery: Delivery::Unknown, status: Some(500) };
    case.failed(what, result, expected);
    case.arrived(what, server, 1);

    let what = "a streaming exchange without an answer";
    let server = Server::start(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    let start = Instant::now();
    let result = case.open(what, &Ask::get().timeout(TIMEOUT), &server);
    in_time(case, what, start.elapsed());
    case.failed(what, result, Expected { kinds: &[Kind::Timeout], status: None, ..expected });
    case.arrived(what, server, 1);
}

pub(super) fn cut_off(case: &mut Case<'_>) {
    for (what, bytes) in [
        ("a streaming body without its last chunk", format!("{HEAD}5\r\nwhole\r\n")),
        ("a streaming body cut in a chunk", format!("{HEAD}5\r\nwhole\r\n5\r\nhal")),
        ("a streaming body shorter than its length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nwhole".to_owned()),
    ] {
        let server = Server::closing(bytes);
        if let Some(mut body) = opened(case, what, &Ask::get(), &server) {
            let mut got = Vec::new();
            let result = read(&mut *body, &mut got, usize::MAX);
            if !got.starts_with(b"whole") {
                case.problem(format!("{what}: {:?} was read, and \"whole\" had come", short(&got)));
            }
            let expected =
                Expected { kinds: &[Kind::Closed, Kind::Protocol], delivery: Delivery::Unknown, status: None };
            case.failed(what, result, expected);
        }
        case.arrived(what, server, 1);
    }
}

fn opened(case: &mut Case<'_>, what: &str, ask: &Ask, server: &Server) -> Option<Box<dyn StreamingBody>> {
    match case.open(what, ask, server) {
        Ok(Opened::Streaming(response)) => return Some(response.into_body()),
        Ok(Opened::Rejection(response)) => {
            case.problem(format!("{what}: {} is a success and no rejection", response.status().as_u16()));
        }
        Err(error) => case.problem(format!("{what}: {} instead of a streaming body", super::tell(&error))),
    }
    None
}

/// Requires that this is the rest of the body.
fn reads(case: &mut Case<'_>, what: &str, body: &mut dyn StreamingBody, rest: &str) {
    let mut got = Vec::new();
    if let Err(error) = read(body, &mut got, usize::MAX) {
        case.problem(format!("{what}: {} instead of the end", super::tell(&error)));
    } else if got != rest.as_bytes() {
        case.problem(format!("{what}: {:?} was read instead of {rest:?}", short(&got)));
    }
}

/// Reads up to the end, or up to this number of bytes.
fn read(
    body: &mut dyn StreamingBody,
    got: &mut Vec<u8>,
    enough: usize,
) -> Result<(), pipewright::error::TransportError> {
    let mut buffer = [0; 64];
    while got.len() < enough {
        match body.read(&mut buffer)? {
            0 => break,
            read => got.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(())
}

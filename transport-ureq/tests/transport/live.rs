//! Streaming responses.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Peer, Server, fails, get};
use pipewright::driver::{Opened, StreamingBody, Transport};
use pipewright::error::{Delivery, TransportErrorKind as Kind};
use pipewright::flow::Exchange;
use pipewright_ureq::Ureq;

fn opened(runtime: &Ureq, exchange: &Exchange) -> Box<dyn StreamingBody> {
    match runtime.open(exchange).expect("an answer") {
        Opened::Streaming(answer) => answer.into_body(),
        Opened::Rejection(answer) => panic!("refused: {answer:?}"),
    }
}

fn next(body: &mut dyn StreamingBody) -> String {
    let mut buffer = [0; 1024];
    let read = body.read(&mut buffer).expect("more");
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

fn chunk(peer: &mut Peer, text: &str) {
    peer.write(format!("{:x}\r\n{text}\r\n", text.len()));
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The server sends an item only when the client has the item before; so nothing is held back on the way.
#[test]
fn items_arrive_while_the_connection_is_open() {
    let (have, wait) = mpsc::channel();
    let server = Server::once(move |mut peer| {
        peer.write(CHUNKED);
        assert_eq!(wait.recv_timeout(PATIENCE).expect("the head"), String::new());
        for item in ["first\n", "second\n", "third\n"] {
            chunk(&mut peer, item);
            assert_eq!(wait.recv_timeout(PATIENCE).expect("an item"), item);
        }
        peer.write("0\r\n\r\n");
        peer.until_closed();
    });
    // Longer than the timeout may a stream take: that is for the head.
    let runtime = Ureq::new().with_idle_timeout(PATIENCE);
    let mut body = opened(&runtime, &get().timeout(500).live(server.address));
    have.send(String::new()).expect("the server waits");
    for _ in 0..3 {
        have.send(next(&mut *body)).expect("the server waits");
    }
    assert_eq!(next(&mut *body), "");
    assert_eq!(next(&mut *body), "", "the end stays the end");
    drop(runtime);
    server.done();
}

#[test]
fn the_timeout_is_for_the_head_alone() {
    let (have, wait) = mpsc::channel::<()>();
    let server = Server::once(move |mut peer| {
        peer.write(CHUNKED);
        let _ = wait.recv();
        chunk(&mut peer, "late");
    });
    let mut body = opened(&Ureq::new(), &get().timeout(200).live(server.address));
    std::thread::sleep(Duration::from_millis(300));
    drop(have);
    assert_eq!(next(&mut *body), "late");
    server.done();

    let server = Server::once(|mut peer| peer.until_closed());
    let error = Ureq::new().open(&get().timeout(200).live(server.address)).expect_err("no head");
    assert_eq!((error.kind(), error.delivery()), (Kind::Timeout, Delivery::Unknown));
    server.done();
}

#[test]
fn a_rejection_is_read_whole() {
    let server = Server::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nnothing");
    match Ureq::new().open(&get().live(server.address)).expect("an answer") {
        Opened::Rejection(answer) => assert_eq!((answer.status().as_u16(), &answer.body()[..]), (404, &b"nothing"[..])),
        Opened::Streaming(_) => panic!("404 is no success"),
    }
    server.done();

    let server = Server::answering("HTTP/1.1 500 No\r\nContent-Length: 7\r\n\r\nnothing");
    let error = Ureq::new().open(&get().limited(6).live(server.address)).expect_err("too large");
    assert_eq!((error.kind(), error.status().map(|status| status.as_u16())), (Kind::TooLarge, Some(500)));
    server.done();
}

#[test]
fn a_body_that_breaks_off_is_not_a_body_that_ends() {
    for rest in ["", "5\r\nhal"] {
        let server = Server::once(move |mut peer| {
            peer.write(CHUNKED);
            chunk(&mut peer, "whole");
            peer.write(rest);
        });
        let mut body = opened(&Ureq::new(), &get().live(server.address));
        let mut got = String::new();
        let error = loop {
            let mut buffer = [0; 64];
            match body.read(&mut buffer) {
                Ok(0) => panic!("an end, after {got}"),
                Ok(read) => got += &String::from_utf8_lossy(&buffer[..read]),
                Err(error) => break error,
            }
        };
        assert!(got.starts_with("whole"), "{got}");
        assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::Unknown), "{error}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
        assert_eq!(body.read(&mut [0; 64]).expect_err("still").to_string(), error.to_string());
        server.done();
    }
}

#[test]
fn nothing_comes_for_longer_than_the_idle_timeout() {
    let server = Server::once(|mut peer| {
        peer.write(CHUNKED);
        chunk(&mut peer, "one");
        peer.until_closed();
    });
    let runtime = Ureq::new().with_idle_timeout(Duration::from_millis(200));
    let mut body = opened(&runtime, &get().live(server.address));
    assert_eq!(next(&mut *body), "one");
    let start = Instant::now();
    let error = body.read(&mut [0; 64]).expect_err("nothing comes");
    assert!((Duration::from_millis(200)..PATIENCE / 5).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(error.to_string().starts_with(&format!("nothing came from {} for 200ms", server.address)), "{error}");
    drop(body);
    server.done();
}

#[test]
fn dropping_a_body_closes_the_connection() {
    let (gone, wait) = mpsc::channel();
    let server = Server::once(move |mut peer| {
        peer.write(CHUNKED);
        peer.until_closed();
        gone.send(()).expect("the test waits");
    });
    let runtime = Ureq::new();
    let body = opened(&runtime, &get().live(server.address));
    assert!(format!("{body:?}").contains(&server.address.to_string()));
    drop(body);
    wait.recv_timeout(PATIENCE).expect("closed");
    server.done();
}

/// A stream is read on one thread while exchanges run on another, and each has its own deadline.
#[test]
fn a_body_can_be_read_on_another_thread() {
    let server = Server::once(|mut peer| {
        peer.write(CHUNKED);
        chunk(&mut peer, "one");
        peer.until_closed();
    });
    let runtime = Ureq::new();
    let mut body = opened(&runtime, &get().live(server.address));
    let reader = std::thread::spawn(move || next(&mut *body));
    assert_eq!(reader.join().expect("no panic"), "one");
    server.done();

    let silent = Server::once(|mut peer| peer.until_closed());
    fails(&runtime, &get().timeout(200).of(silent.address), Kind::Timeout, Delivery::Unknown);
    silent.done();
}

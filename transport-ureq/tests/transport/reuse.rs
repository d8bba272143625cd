//! Kept connections, and the outcome of a request on a connection that the server has closed.

use std::sync::mpsc;

use crate::common::{Peer, Server, accept, ask, fails, get, has_another, succeeds};
use http::Method;
use pipewright::Body;
use pipewright::driver::{self, NoCredentials};
use pipewright::error::{Delivery::Unknown, TransportErrorKind as Kind};
use pipewright_ureq::Ureq;

#[test]
fn a_connection_is_used_again() {
    let server = Server::run(|listener| {
        let mut peer = accept(&listener);
        for body in ["one", "two", ""] {
            peer.request();
            peer.ok(body);
        }
        assert!(!has_another(&listener));
    });
    let runtime = Ureq::new();
    // By clones as well.
    for body in ["one", "two", ""] {
        assert_eq!(succeeds(&runtime.clone(), &get().of(server.address)), (200, body.into()));
    }
    server.done();
}

#[test]
fn a_connection_that_was_seen_to_be_closed_is_not() {
    let (closed, wait) = mpsc::channel();
    let server = Server::run(move |listener| {
        let mut peer = accept(&listener);
        peer.request();
        peer.ok("one");
        drop(peer);
        closed.send(()).expect("the test waits");
        let mut peer = accept(&listener);
        peer.request();
        peer.ok("two");
    });
    let runtime = Ureq::new();
    assert_eq!(succeeds(&runtime, &get().of(server.address)).1, "one");
    wait.recv().expect("closed");
    assert_eq!(succeeds(&runtime, &get().of(server.address)).1, "two");
    server.done();
}

/// The server closes while the request is on its way. Nothing is sent twice.
#[test]
fn a_stale_connection_is_not_retried() {
    for read in [false, true] {
        let server = Server::run(move |listener| {
            let mut peer = accept(&listener);
            peer.request();
            peer.ok("one");
            if read {
                peer.request();
                drop(peer);
            } else {
                peer.reset();
            }
            assert!(!has_another(&listener), "sent again");
        });
        let runtime = Ureq::new();
        assert_eq!(succeeds(&runtime, &get().of(server.address)).1, "one");
        let error = fails(&runtime, &get().of(server.address), Kind::Closed, Unknown);
        assert_eq!(error.status(), None);
        server.done();
    }
}

/// Whether a request came over a kept connection, which is closed then without an answer.
fn dies_when_used(mut peer: Peer) -> bool {
    peer.0.set_read_timeout(None).expect("no timeout");
    std::io::Read::read(&mut peer.0, &mut [0]).is_ok_and(|read| read == 1)
}

/// A server that was restarted leaves all kept connections dead. One of them costs one attempt, and not each of them
/// one.
#[test]
fn a_repetition_does_not_use_the_next_dead_connection() {
    let server = Server::run(|listener| {
        let mut kept = [accept(&listener), accept(&listener)];
        for peer in &mut kept {
            peer.request();
        }
        for peer in &mut kept {
            peer.ok("one");
        }
        let kept = kept.map(|peer| std::thread::spawn(|| dies_when_used(peer)));
        let mut fresh = accept(&listener);
        fresh.request();
        fresh.ok("two");
        fresh.until_closed();
        let used: Vec<bool> = kept.into_iter().map(|peer| peer.join().expect("no panic")).collect();
        assert_eq!(used.iter().filter(|used| **used).count(), 1, "{used:?}");
    });
    let runtime = Ureq::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(succeeds(&runtime, &get().of(server.address)).1, "one"));
        }
    });
    driver::run(get().call(server.address, 2), &runtime, &NoCredentials, driver::ignore_notices)
        .expect("the second attempt is answered");
    drop(runtime);
    server.done();
}

#[test]
fn what_happens_once_gets_a_connection_of_its_own() {
    let server = Server::run(|listener| {
        let mut kept = accept(&listener);
        kept.request();
        kept.ok("one");
        // The kept connection stays open, and nothing comes over it.
        let mut fresh = accept(&listener);
        assert!(fresh.request().starts_with("POST "));
        fresh.ok("two");
        // Afterwards the new connection is used as any other.
        fresh.request();
        fresh.ok("three");
        kept.until_closed();
    });
    let runtime = Ureq::new();
    assert_eq!(succeeds(&runtime, &get().of(server.address)).1, "one");
    assert_eq!(succeeds(&runtime, &ask(Method::POST, "").once().of(server.address)).1, "two");
    assert_eq!(succeeds(&runtime, &get().of(server.address)).1, "three");
    server.done();
}

#[test]
fn reset_before_and_after_the_request_was_read() {
    for read in [false, true] {
        let server = Server::run(move |listener| {
            let mut peer = accept(&listener);
            if read {
                peer.request();
                drop(peer);
            } else {
                peer.reset();
            }
        });
        fails(&Ureq::new(), &ask(Method::POST, "body").once().of(server.address), Kind::Closed, Unknown);
        server.done();
    }
}

/// As servers do with an upload that is larger than they allow, or whose credential they refuse.
#[test]
fn a_rejection_while_the_body_is_on_its_way_is_an_answer() {
    let server = Server::run(|listener| {
        let mut peer = accept(&listener);
        let mut some = [0; 1000];
        std::io::Read::read_exact(&mut peer.0, &mut some).expect("a request");
        peer.write("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much");
        peer.reset();
    });
    let big = Body::from(vec![0; 64 * 1024 * 1024]);
    assert_eq!(succeeds(&Ureq::new(), &ask(Method::POST, big).of(server.address)), (413, "too much".into()));
    server.done();
}

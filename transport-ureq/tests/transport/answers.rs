//! Complete and broken answers.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::common::{self, Ask, PATIENCE, Server, ask, fails, get, succeeds};
use http::Method;
use pipewright::Body;
use pipewright::driver::Transport;
use pipewright::error::{Delivery::Unknown, TransportErrorKind as Kind};
use pipewright_ureq::Ureq;

#[test]
fn every_status_is_an_answer() {
    for status in (200..600).step_by(7).chain([204, 301, 302, 304, 307, 308, 401, 407, 417, 429, 500, 503, 599]) {
        let empty = matches!(status, 204 | 304);
        let body = if empty { "" } else { "said" };
        let length = if empty { String::new() } else { "Content-Length: 4\r\n".to_owned() };
        let server = Server::answering(format!("HTTP/1.1 {status} Said\r\n{length}\r\n{body}"));
        assert_eq!(succeeds(&Ureq::new(), &get().of(server.address)), (status, body.into()), "{status}");
        server.done();
    }
}

#[test]
fn redirects_are_not_followed() {
    for method in [Method::GET, Method::POST] {
        let server = Server::run(|listener| {
            let mut peer = common::accept(&listener);
            peer.request();
            let location = format!("Location: http://{}/elsewhere\r\n", listener.local_addr().expect("bound"));
            peer.write(format!("HTTP/1.1 302 Found\r\n{location}Content-Length: 4\r\n\r\nover"));
            peer.until_closed();
            assert!(!common::has_another(&listener), "followed");
        });
        let runtime = Ureq::new();
        let answer = runtime.send(&ask(method, "").of(server.address)).expect("an answer");
        drop(runtime);
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (302, &b"over"[..]));
        assert!(answer.headers()["location"].to_str().expect("text").ends_with("/elsewhere"));
        assert!(answer.extensions().is_empty());
        server.done();
    }
}

#[test]
fn what_is_not_final_is_skipped() {
    let server = Server::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nthen",
    );
    assert_eq!(succeeds(&Ureq::new(), &get().of(server.address)), (200, "then".into()));
    server.done();
}

#[test]
fn bodies_with_a_length_in_chunks_and_up_to_the_end() {
    for framed in [
        "Content-Length: 10\r\n\r\n0123456789",
        "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\n\r\n",
        "Connection: close\r\n\r\n0123456789",
    ] {
        let server = Server::answering(format!("HTTP/1.1 200 OK\r\n{framed}"));
        assert_eq!(succeeds(&Ureq::new(), &get().limited(10).of(server.address)), (200, "0123456789".into()));
        server.done();
    }
}

#[test]
fn a_head_without_body_may_say_how_long_it_would_be() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    assert_eq!(succeeds(&Ureq::new(), &ask(Method::HEAD, "").of(server.address)), (200, String::new()));
    server.done();
}

#[test]
fn a_body_over_the_limit_is_too_large() {
    for framed in [
        "Content-Length: 11\r\n\r\n0123456789a",
        "Content-Length: 18446744073709551615\r\n\r\n0123456789a",
        "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n",
        "Connection: close\r\n\r\n0123456789a",
    ] {
        let server = Server::answering(format!("HTTP/1.1 201 Created\r\n{framed}"));
        let error = fails(&Ureq::new(), &get().limited(10).of(server.address), Kind::TooLarge, Unknown);
        assert_eq!(error.status().map(|status| status.as_u16()), Some(201));
        assert!(error.to_string().contains("longer than 10 bytes (after status 201)"), "{error}");
        server.done();
    }
}

/// It is not waited for either.
#[test]
fn too_large_by_its_own_account() {
    let server = Server::once(|mut peer| {
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n");
        peer.until_closed();
    });
    fails(&Ureq::new(), &get().limited(10).of(server.address), Kind::TooLarge, Unknown);
    server.done();
}

#[test]
fn a_head_that_is_too_large() {
    let server = Server::once(|mut peer| {
        peer.write("HTTP/1.1 200 OK\r\n");
        // The client may have had enough before the end.
        for _ in 0..100 {
            let _ = peer.0.write_all(format!("X-Large: {}\r\n", "x".repeat(1024)).as_bytes());
        }
        peer.until_closed();
    });
    fails(&Ureq::new(), &get().of(server.address), Kind::TooLarge, Unknown);
    server.done();
}

#[test]
fn an_answer_that_is_cut_off_is_a_closed_connection() {
    for (answer, status) in [
        ("", None),
        ("HTTP/1.1 200 OK\r\nContent-Le", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", Some(200)),
        ("HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\n01234", Some(503)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n", Some(200)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n01", Some(200)),
    ] {
        let server = Server::answering(answer);
        let error = fails(&Ureq::new(), &get().of(server.address), Kind::Closed, Unknown);
        assert_eq!(error.status().map(|status| status.as_u16()), status, "{answer}");
        assert!(error.to_string().contains(&server.address.to_string()), "{error}");
        server.done();
    }
}

/// A body without a length ends with the connection; but a reset is not an end.
#[test]
fn reset_instead_of_an_end() {
    let (seen, proceed) = std::sync::mpsc::channel::<()>();
    let server = Server::run(move |listener| {
        let mut peer = common::accept(&listener);
        // The body of the request stays unread.
        let mut head = [0; 16];
        std::io::Read::read_exact(&mut peer.0, &mut head).expect("a request");
        peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf");
        let _ = proceed.recv();
        peer.reset();
    });
    let Ok(pipewright::driver::Opened::Streaming(answer)) = Ureq::new().open(&get().live(server.address)) else {
        panic!("no answer");
    };
    let mut body = answer.into_body();
    let mut buffer = [0; 16];
    assert_eq!(body.read(&mut buffer).expect("the first half"), 4);
    drop(seen);
    for _ in 0..2 {
        let error = body.read(&mut buffer).expect_err("there is no second half");
        assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Unknown), "{error}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
    }
    server.done();
}

#[test]
fn an_answer_that_is_not_http_is_a_protocol_error() {
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 two hundred\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let server = Server::answering(answer);
        let error = fails(&Ureq::new(), &get().of(server.address), Kind::Protocol, Unknown);
        assert!(error.to_string().contains("is not HTTP"), "{error}");
        server.done();
    }
}

/// How long it takes until the timeout of 300 ms is noticed, with a server that does this.
fn times_out(ask: Ask, serve: impl FnOnce(common::Peer) + Send + 'static) -> (Duration, Option<u16>) {
    let server = Server::run(|listener| serve(common::accept(&listener)));
    let start = Instant::now();
    let error = fails(&Ureq::new(), &ask.timeout(300).of(server.address), Kind::Timeout, Unknown);
    let elapsed = start.elapsed();
    server.done();
    assert!(elapsed >= Duration::from_millis(300), "{elapsed:?}");
    assert!(elapsed < PATIENCE / 5, "{elapsed:?}");
    assert!(error.to_string().contains("within 300ms"), "{error}");
    (elapsed, error.status().map(|status| status.as_u16()))
}

#[test]
fn no_answer_at_all() {
    let (_, status) = times_out(get(), |mut peer| peer.until_closed());
    assert_eq!(status, None);
}

#[test]
fn a_body_that_stalls() {
    let (_, status) = times_out(get(), |mut peer| {
        peer.request();
        peer.write("HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n0123");
        peer.until_closed();
    });
    assert_eq!(status, Some(202));
}

#[test]
fn nobody_reads_the_request() {
    let big = Body::from(vec![0; 32 * 1024 * 1024]);
    let (elapsed, _) = times_out(ask(Method::POST, big), |peer| {
        // Longer than the client is supposed to wait.
        std::thread::sleep(Duration::from_secs(1));
        drop(peer);
    });
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}

/// Each byte comes well within the timeout; all of them do not.
fn dribbles(start: &'static str) -> Option<u16> {
    let (_, status) = times_out(get(), move |mut peer| {
        peer.request();
        peer.write(start);
        while peer.0.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    status
}

#[test]
fn a_head_that_dribbles() {
    assert_eq!(dribbles("HTTP/1.1 200 OK\r\nX-Long: "), None);
}

#[test]
fn a_body_that_dribbles() {
    assert_eq!(dribbles("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), Some(200));
}

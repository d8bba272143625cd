//! Requests as they arrive at the server, byte by byte.

use std::fmt;
use std::io::{self, Read};
use std::net::TcpListener;
use std::sync::Arc;

use crate::common::{Ask, Server, accept, ask, fails, get, has_another, succeeds};
use http::Method;
use pipewright::error::{Delivery, TransportErrorKind as Kind};
use pipewright::{Body, Segment, Source};
use pipewright_ureq::{FileSource, Ureq, file_body};

/// What arrives.
fn arriving(ask: Ask) -> String {
    let (told, hear) = std::sync::mpsc::channel();
    let server = Server::run(move |listener| {
        let mut peer = accept(&listener);
        told.send(peer.request()).expect("the server listens");
        peer.ok("");
    });
    assert_eq!(succeeds(&Ureq::new(), &ask.of(server.address)), (200, String::new()));
    let address = server.address.to_string();
    server.done();
    hear.recv().expect("a request").replace(&address, "HOST")
}

#[test]
fn no_headers_of_its_own() {
    assert_eq!(arriving(get()), "GET /thing?a=b HTTP/1.1\r\nhost: HOST\r\nx-test: 1\r\n\r\n");
    for method in [Method::DELETE, Method::HEAD, Method::from_bytes(b"REPORT").expect("a method")] {
        let expected = format!("{method} /thing?a=b HTTP/1.1\r\nhost: HOST\r\nx-test: 1\r\n\r\n");
        assert_eq!(arriving(ask(method, "")), expected);
    }
}

#[test]
fn the_exact_length_of_every_body() {
    let segments = || {
        let source = Segment::Source(Arc::new(Text { said: 6, text: "stream" }));
        Body::from_segments(["in ".into(), source, "".into(), "ed ".into(), "pieces".into()])
    };
    for (body, text) in [(Body::from("in one"), "in one"), (segments(), "in streamed pieces")] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE] {
            let head = format!("{method} /thing?a=b HTTP/1.1\r\nhost: HOST\r\nx-test: 1\r\n");
            let expected = format!("{head}content-length: {}\r\n\r\n{text}", text.len());
            assert_eq!(arriving(ask(method, body.clone())), expected);
        }
    }
}

#[test]
fn no_body_where_one_is_expected() {
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        let expected = format!("{method} /thing?a=b HTTP/1.1\r\nhost: HOST\r\nx-test: 1\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(arriving(ask(method, "")), expected);
    }
}

#[test]
fn a_body_larger_than_every_buffer() {
    let big = "0123456789abcdef".repeat(512 * 1024);
    let body = Body::from_segments([Segment::from(big.clone()), Segment::from("end")]);
    let arrived = arriving(ask(Method::POST, body));
    let (head, body) = arrived.split_once("\r\n\r\n").expect("a body");
    assert!(head.ends_with("content-length: 8388611"), "{head}");
    assert!(body == big + "end");
}

#[test]
fn a_file_is_sent_again_on_each_attempt() {
    let path = std::env::temp_dir().join(format!("pipewright-ureq-{}", std::process::id()));
    std::fs::write(&path, "content of a file").expect("a temporary file");
    let body = file_body(&path).expect("a file");
    assert_eq!(body.len(), 17);
    assert!(arriving(ask(Method::POST, body.clone())).ends_with("content-length: 17\r\n\r\ncontent of a file"));
    // And for the next attempt.
    assert!(arriving(ask(Method::POST, body.clone())).ends_with("\r\n\r\ncontent of a file"));

    std::fs::remove_file(&path).expect("still there");
    let error = fails(&Ureq::new(), &ask(Method::POST, body).of("127.0.0.1:9"), Kind::Source, Delivery::NotSent);
    assert!(error.to_string().starts_with(&format!("file {path:?} cannot be opened: ")), "{error}");
    assert_eq!(FileSource::open(&path).expect_err("gone").kind(), io::ErrorKind::NotFound);
    assert_eq!(FileSource::open(std::env::temp_dir()).expect_err("a folder").kind(), io::ErrorKind::InvalidInput);
}

/// A source of which the server never sees the end. What the client says of it.
fn halting(source: impl Source + 'static) -> String {
    let server = Server::run(|listener| {
        let mut peer = accept(&listener);
        peer.until_closed();
    });
    let body = Body::from_segments([Segment::from("before "), Segment::Source(Arc::new(source))]);
    let exchange = ask(Method::POST, body).of(server.address);
    let error = fails(&Ureq::new(), &exchange, Kind::Source, Delivery::Unknown);
    server.done();
    error.to_string()
}

#[test]
fn a_source_with_less_than_it_said() {
    let said = halting(Text { said: 9, text: "short" });
    assert!(said.starts_with("Text announced 9 bytes and yielded 5;"), "{said}");
}

#[test]
fn a_source_with_more_than_it_said() {
    let said = halting(Text { said: 3, text: "short" });
    assert!(said.starts_with("Text announced 3 bytes and yields more;"), "{said}");
}

#[test]
fn a_source_that_breaks_off() {
    let said = halting(Broken { opens: true });
    assert!(said.starts_with("Broken cannot be read: out of paper;"), "{said}");
}

#[test]
fn a_source_that_cannot_be_opened_is_noticed_before_anything_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let body = Body::from_segments([Segment::from("before "), Segment::Source(Arc::new(Broken { opens: false }))]);
    let error = fails(&Ureq::new(), &ask(Method::POST, body).of(address), Kind::Source, Delivery::NotSent);
    assert!(error.to_string().starts_with("Broken cannot be opened: out of paper;"), "{error}");
    assert!(!has_another(&listener));
}

struct Text {
    said: u64,
    text: &'static str,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text")
    }
}

impl Source for Text {
    fn len(&self) -> u64 {
        self.said
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.text.as_bytes()))
    }
}

struct Broken {
    opens: bool,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broken")
    }
}

impl Source for Broken {
    fn len(&self) -> u64 {
        1_000_000
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        struct Halfway(u32);
        impl Read for Halfway {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    // As if a signal came: to be tried again.
                    1 => Err(io::ErrorKind::Interrupted.into()),
                    2..100 => Ok(buffer.len().min(5000)),
                    _ => Err(io::Error::other("out of paper")),
                }
            }
        }
        if self.opens { Ok(Box::new(Halfway(0))) } else { Err(io::Error::other("out of paper")) }
    }
}

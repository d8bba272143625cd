//! Requests that cannot be read, or that are larger than a server takes.

use std::io::Write as _;

use pipewright_mock::feldera;
use pipewright_mock::serve::{Options, Server};

use super::{Client, OVERVIEW, start};

#[test]
fn what_cannot_be_read_is_answered_and_the_connection_closed() {
    let server = start();
    for request in [
        format!("GET /v1/overview?{} HTTP/1.1\r\n\r\n", "x".repeat(5000)),
        format!("GET /{}", "x".repeat(100_000)),
        "garbage\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(2 << 20)),
        "GET /v1/overview HTTP/1.1\nHost: x\n\n".to_owned(),
        "POST /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        "POST /v1/jobs HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
    ] {
        let mut client = Client::new(&server);
        let answer = client.ask(&request);
        assert_eq!((answer.status, answer.error().as_str()), (404, "Unable to load requested file /bad-request."));
        assert!(answer.head.iter().any(|line| line == "connection: close"), "{:?}", answer.head);
        assert!(client.has_ended(), "{request:.40}");
    }
}

#[test]
fn a_flink_serves_any_number_of_headers_and_reads_those_at_the_start() {
    let server = start();
    let mut client = Client::new(&server);
    // Behind the first 8 KiB, the request to close the connection is lost.
    let end = "Connection: close\r\n\r\n";
    for headers in ["a: b\r\n".repeat(2_000), "a: b\r\n".repeat(20_000), format!("a: {}\r\n", "x".repeat(512 << 10))] {
        let answer = client.ask(&format!("\r\nGET /v1/overview HTTP/1.1\r\n{headers}{end}"));
        assert_eq!(answer.status, 200);
    }
    // Piece by piece, and with a body behind it.
    let headers = format!("Content-Length: 2\r\na: {}\r\n", "x".repeat(9_000));
    for byte in format!("POST /v1/jobs/x/stop HTTP/1.1\r\n{headers}{end}{{}}").as_bytes().chunks(1) {
        client.0.get_mut().write_all(byte).expect("written");
    }
    assert_eq!(client.read().expect("an answer").status, 400);
    assert_eq!(client.ask(&format!("GET /v1/overview HTTP/1.1\r\n{end}")).status, 200);
    assert!(client.has_ended());
}

#[test]
fn a_flink_takes_an_address_with_a_host_for_a_path() {
    let server = start();
    let mut client = Client::new(&server);
    let answer = client.ask("GET http://127.0.0.1/v1/config HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        (answer.status, answer.error()),
        (404, "Unable to load requested file http://127.0.0.1/v1/config.".to_owned())
    );
    assert_eq!(client.ask(OVERVIEW).status, 200);
}

#[test]
fn a_feldera_rejects_a_head_beyond_its_limits_with_431_and_what_is_not_http_with_400() {
    let server = Server::start(Options::feldera(feldera::Config::default())).expect("a free port");
    let get = |headers: &str| format!("GET http://x/v0/config HTTP/1.1\n{headers}\r\n");
    for (request, status) in [
        (get(&"a: b\r\n".repeat(96)), 200),
        (get(&"a: b\r\n".repeat(97)), 431),
        (get(&format!("a: {}\r\n", "x".repeat(120 << 10))), 200),
        (get(&format!("a: {}\r\n", "x".repeat(130 << 10))), 431),
        ("garbage\r\n\r\n".to_owned(), 400),
    ] {
        let mut client = Client::connect(server.url());
        let answer = client.ask(&request);
        assert_eq!((answer.status, answer.body.is_empty()), (status, status != 200), "{request:.60}");
        assert!(status == 200 || client.has_ended());
    }
}

#[test]
fn a_body_beyond_the_limit_is_rejected_before_it_comes() {
    let server = start();
    let mut client = Client::new(&server);
    let answer =
        client.ask("POST /v1/jars/x/run HTTP/1.1\r\nContent-Length: 104857601\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((answer.status, answer.body.len()), (413, 0));
    assert!(client.has_ended());
}

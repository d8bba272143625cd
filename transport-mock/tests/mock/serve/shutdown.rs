//! How a served simulator ends.

use std::io::BufRead as _;
use std::net::TcpStream;
use std::time::Duration;

use pipewright_mock::serve::Server;
use serde_json::json;

use super::{Client, OVERVIEW, start};

#[test]
fn a_cluster_that_is_shut_down_closes_its_port() {
    let server = start();
    let address = server.url().strip_prefix("http://").expect("an address").to_owned();
    let (mut idle, mut client) = (Client::new(&server), Client::new(&server));
    assert_eq!(idle.ask(OVERVIEW).status, 200);
    let answer = client.ask("DELETE /v1/cluster HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    assert!(idle.has_ended() && client.has_ended());
    server.wait();
    assert!(TcpStream::connect(address).is_err());
}

/// A client whose request has begun: the server waits for the second half of its body.
fn with_half_a_request(server: &Server) -> Client {
    let mut client = Client::new(server);
    client.write("POST /v1/jobs/x/stop HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let mut line = String::new();
    client.0.read_line(&mut line).expect("a line");
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    client.0.read_line(&mut line).expect("an empty line");
    client.write("{ ");
    client
}

#[test]
fn a_shutdown_finishes_the_requests_that_have_come_and_takes_no_others() {
    let server = start();
    let mut idle = Client::new(&server);
    assert_eq!(idle.ask(OVERVIEW).status, 200);
    let mut busy = with_half_a_request(&server);
    let address = server.url().strip_prefix("http://").expect("an address").to_owned();
    let shutdown = std::thread::spawn(move || server.shutdown(Duration::from_secs(20)));
    assert!(idle.has_ended());
    busy.write(" }");
    assert_eq!(busy.read().expect("an answer").status, 400);
    assert!(busy.has_ended());
    assert!(shutdown.join().expect("no panic"));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_shutdown_cuts_off_what_takes_too_long() {
    let server = start();
    let mut busy = with_half_a_request(&server);
    assert!(!server.shutdown(Duration::from_millis(20)));
    assert!(busy.has_ended());
}

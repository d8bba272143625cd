//! Served simulators with TLS, and a client that trusts their authority.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use pipewright_mock::serve::{Options, Served, Server, Time};
use pipewright_mock::{Fault, FaultPlan, Service, feldera, flink, snowpipe};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const OVERVIEW: &str = "GET /v1/overview HTTP/1.1\r\nHost: x\r\n\r\n";
const LIMIT: Duration = Duration::from_secs(20);

type Client = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// Connects to a server under a name, trusting these authorities.
fn connect<S: Service + 'static>(server: &Server<S>, name: &'static str, authorities: &[&str]) -> Client {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let certificate = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
        roots.add(certificate).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let session = ClientConnection::new(config, ServerName::try_from(name).expect("a name")).expect("a session");
    let address = server.url().strip_prefix("https://").expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    BufReader::new(StreamOwned::new(session, stream))
}

fn trusted<S: Service + 'static>(server: &Server<S>, name: &'static str) -> Client {
    connect(server, name, &[server.ca_certificate().expect("one")])
}

/// Sends a request and reads the answer: its status and its body.
fn ask(client: &mut Client, request: &str) -> std::io::Result<(u16, String)> {
    client.get_mut().write_all(request.as_bytes())?;
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().expect("a status");
        }
        if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok((status, String::from_utf8(body).expect("a text")))
}

#[test]
fn a_client_that_trusts_the_authority_is_answered_under_each_name() {
    let config =
        snowpipe::Config { advertised_host: Some("ingest.snowpipe.test".into()), ..snowpipe::Config::default() };
    let server = Server::start(Options::snowpipe(config).tls()).expect("a free port");
    let request = "GET /v2/streaming/hostname HTTP/1.1\r\nAccept: */*\r\nAuthorization: Bearer pat\r\n\r\n";
    for name in ["127.0.0.1", "localhost", "ingest.snowpipe.test"] {
        let mut client = trusted(&server, name);
        for _ in 0..2 {
            assert_eq!(ask(&mut client, request).expect("an answer"), (200, "ingest.snowpipe.test".into()));
        }
    }
    ask(&mut trusted(&server, "other.snowpipe.test"), request).expect_err("the certificate has no such name");
    assert!(Server::start(Options::flink(flink::Config::default())).expect("a free port").ca_certificate().is_none());
}

#[test]
fn a_client_that_does_not_trust_the_authority_is_shown_and_the_next_is_served() {
    let (sender, shown) = mpsc::channel::<Served>();
    let options = Options::flink(flink::Config::default()).tls().on_request(move |request| {
        // The test may be over.
        let _ = sender.send(request.clone());
    });
    let server = Server::start(options).expect("a free port");
    let other = Server::start(Options::flink(flink::Config::default()).tls()).expect("a free port");
    ask(&mut connect(&server, "localhost", &[other.ca_certificate().expect("one")]), OVERVIEW).expect_err("unknown");
    let failure = shown.recv_timeout(LIMIT).expect("shown");
    assert!(failure.request.starts_with("TLS handshake failed: ") && failure.status.is_none(), "{failure}");
    // Nor is HTTP.
    let address = server.url().strip_prefix("https://").expect("an address");
    let mut plain = TcpStream::connect(address).expect("a connection");
    plain.write_all(OVERVIEW.as_bytes()).expect("written");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    assert!(shown.recv_timeout(LIMIT).expect("shown").request.starts_with("TLS handshake failed: "));
    assert_eq!(ask(&mut trusted(&server, "localhost"), OVERVIEW).expect("an answer").0, 200);
}

#[test]
fn faults_end_encrypted_connections_too() {
    let server = Server::start(Options::flink(flink::Config::default()).tls()).expect("a free port");
    for fault in [Fault::NotSent, Fault::ReplyLost, Fault::CutOff] {
        server.set_faults(FaultPlan::none().nth(1, fault));
        let mut client = trusted(&server, "localhost");
        ask(&mut client, OVERVIEW).expect_err("no whole answer");
        assert_eq!(ask(&mut trusted(&server, "localhost"), OVERVIEW).expect("an answer").0, 200, "{fault}");
    }
    // A farewell is announced, so that a client can tell it from a failure.
    let mut client = trusted(&server, "localhost");
    let last = OVERVIEW.replace("Host: x", "Connection: close");
    assert_eq!(ask(&mut client, &last).expect("an answer").0, 200);
    assert_eq!(client.read(&mut [0]).expect("an announced end"), 0);
}

#[test]
fn a_shutdown_announces_the_end_to_the_client_that_it_has_answered() {
    let (shown, is_shown) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    // Keeps the request unfinished until the shutdown has begun. The test may be over.
    let options = Options::flink(flink::Config::default()).tls().on_request(move |_| {
        let _ = shown.send(());
        let _ = may_go_on.lock().expect("no panic").recv_timeout(LIMIT);
    });
    let server = Server::start(options).expect("a free port");
    let mut idle = trusted(&server, "localhost");
    let StreamOwned { conn, sock } = idle.get_mut();
    while conn.is_handshaking() {
        conn.complete_io(sock).expect("a handshake");
    }
    let mut client = trusted(&server, "localhost");
    assert_eq!(ask(&mut client, OVERVIEW).expect("an answer").0, 200);
    is_shown.recv_timeout(LIMIT).expect("shown");
    let shutdown = std::thread::spawn(move || server.shutdown(LIMIT));
    // A shutdown begins with the end of the idle connections.
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    go_on.send(()).expect("it waits");
    assert_eq!(client.read(&mut [0]).expect("an announced end"), 0);
    drop(client);
    assert!(shutdown.join().expect("no panic"));
}

#[test]
fn a_body_that_goes_on_ends_when_its_client_has_gone() {
    let options = Options::feldera(feldera::Config::default()).time(Time::Fast(20)).tls();
    let server = Server::start(options).expect("a free port");
    let mut client = trusted(&server, "localhost");
    let post = |client: &mut Client, path: &str, body: &str| {
        let head = format!("POST /v0/pipelines{path} HTTP/1.1\r\nContent-Type: application/json\r\n");
        ask(client, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).expect("an answer").0
    };
    let until = |done: &dyn Fn(&mut feldera::Manager) -> bool| {
        let limit = Instant::now() + LIMIT;
        while !server.with(|manager| done(manager)) {
            assert!(Instant::now() < limit, "it does not happen");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let program = r#"{"name":"p","program_code":"CREATE TABLE t (id BIGINT);"}"#;
    assert_eq!(post(&mut client, "", program), 201);
    assert_eq!(post(&mut client, "/p/start", ""), 202);
    until(&|manager| manager.pipeline("p").is_some_and(|pipeline| pipeline.status == "Running"));

    let mut reader = trusted(&server, "localhost");
    let subscribe = "POST /v0/pipelines/p/egress/t?format=json HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
    reader.get_mut().write_all(subscribe.as_bytes()).expect("written");
    let mut read = String::new();
    // Rows that are ingested before the subscription exists would never arrive.
    while !read.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut read).expect("a line"), 0, "{read}");
    }
    let rows = format!("{{\"id\":1,\"x\":\"{}\"}}\n", "x".repeat(100)).repeat(2000);
    assert_eq!(post(&mut client, "/p/ingress/t?format=json&update_format=raw", &rows), 200);
    while !read.contains("insert") {
        assert_ne!(reader.read_line(&mut read).expect("a line"), 0, "{read}");
    }
    reader.get_mut().conn.send_close_notify();
    reader.get_mut().flush().expect("written");
    // The server ends the connection although the client has not closed it.
    let error = reader.read_to_end(&mut Vec::new()).expect_err("the body has no end");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
}

//! Failures before the first byte of a request: it was never sent.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::{self, Ask, PATIENCE, Server, accept, fails, get, has_another};
use pipewright::error::{Delivery::NotSent, TransportError, TransportErrorKind as Kind};
use pipewright_ureq::Ureq;
use pipewright_ureq::ureq::Proxy;

/// An address of this machine that no server listens on.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

#[test]
fn a_refused_connection_is_not_sent() {
    let address = nobody();
    let error = fails(&Ureq::new(), &get().of(address), Kind::Connect, NotSent);
    assert!(error.to_string().starts_with(&format!("no connection to {address}: ")), "{error}");
    assert!(error.to_string().ends_with("the request was not sent"), "{error}");
}

#[test]
fn a_host_that_does_not_exist_is_not_resolved() {
    let error = fails(&Ureq::new(), &get().of("nowhere.invalid:80"), Kind::Resolve, NotSent);
    assert!(error.to_string().starts_with("no address for nowhere.invalid:80: "), "{error}");
}

/// Linux drops what asks for a connection while the backlog is full.
#[cfg(target_os = "linux")]
#[test]
fn no_connection_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut backlog = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        backlog.push(stream);
        assert!(backlog.len() < 900, "the backlog has no end");
    }
    let start = Instant::now();
    let error = fails(&Ureq::new(), &get().timeout(200).of(address), Kind::Connect, NotSent);
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    assert!(error.to_string().contains("in time"), "{error}");
}

#[test]
fn a_timeout_of_nothing_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    fails(&Ureq::new(), &get().timeout(0).of(address), Kind::Connect, NotSent);
    assert!(!has_another(&listener));
}

#[test]
fn http_is_unsupported_if_only_https_is_allowed() {
    let runtime = Ureq::with_config(|config| config.https_only(true));
    let error = fails(&runtime, &get().of(nobody()), Kind::Unsupported, NotSent);
    assert!(error.to_string().contains("only https is allowed"), "{error}");
    assert!(!error.to_string().contains("thing"), "{error}");
}

/// Sends over a proxy that gives this answer.
fn through_proxy(ask: Ask, answer: &'static str, kind: Kind) -> TransportError {
    let proxy = Server::run(move |listener| {
        let mut peer = accept(&listener);
        assert!(peer.request().starts_with("CONNECT service.invalid:80 HTTP/1.1\r\n"));
        peer.write(answer);
        peer.finish();
    });
    let url = format!("http://{}", proxy.address);
    let runtime = Ureq::with_config(|config| config.proxy(Some(Proxy::new(&url).expect("a proxy"))));
    let error = fails(&runtime, &ask.of("service.invalid:80"), kind, NotSent);
    drop(runtime);
    proxy.done();
    error
}

#[test]
fn a_proxy_that_rejects() {
    through_proxy(get(), "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", Kind::Connect);
}

/// Squid allows `CONNECT` to port 443 only, unless it is told otherwise.
#[test]
fn plain_http_through_a_proxy_that_makes_no_tunnel_says_that_it_is_not_forwarded() {
    let rejection = "HTTP/1.1 403 Forbidden\r\nServer: squid/6.6\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\nContent-Length: 0\r\n\r\n";
    let said = through_proxy(get(), rejection, Kind::Connect).to_string();
    assert!(said.starts_with("no connection to service.invalid:80: CONNECT proxy failed: "), "{said}");
    for part in
        ["403", "forwarding by a proxy is not supported", "allow CONNECT to this port, use https, or set no proxy"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_proxy_that_closes() {
    through_proxy(get(), "", Kind::Connect);
}

#[test]
fn a_proxy_that_lets_through() {
    let proxy = Server::run(|listener| {
        let mut peer = accept(&listener);
        assert_eq!(
            peer.request(),
            "CONNECT service.invalid:80 HTTP/1.1\r\nHost: service.invalid:80\r\nProxy-Connection: Keep-Alive\r\n\r\n"
        );
        peer.write("HTTP/1.1 200 OK\r\n\r\n");
        assert!(peer.request().starts_with("GET /thing?a=b HTTP/1.1\r\nhost: service.invalid\r\n"));
        peer.ok("through");
    });
    let url = format!("http://{}", proxy.address);
    let runtime = Ureq::with_config(|config| config.proxy(Some(Proxy::new(&url).expect("a proxy"))));
    assert_eq!(common::succeeds(&runtime, &get().of("service.invalid:80")), (200, "through".into()));
    proxy.done();
}

#[cfg(not(feature = "rustls"))]
#[test]
fn https_without_tls() {
    let server = Server::run(|listener| {
        let mut peer = accept(&listener);
        peer.until_closed();
    });
    let error = fails(&Ureq::new(), &get().https().of(server.address), Kind::Unsupported, NotSent);
    assert!(error.to_string().contains("https needs the feature `rustls`"), "{error}");
    server.done();
}

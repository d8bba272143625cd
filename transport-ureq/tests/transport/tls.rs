//! TLS with a server whose certificate the test makes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};

use crate::common::{PATIENCE, Server, accept, fails, get, succeeds};
use pipewright::error::{Delivery, TransportErrorKind as Kind};
use pipewright::flink::Flink;
use pipewright::flink::cluster::GetOverview;
use pipewright_ureq::Ureq;
use pipewright_ureq::ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};

/// An authority, and a server and a client that it vouches for, as PEM; made again by each run.
static PKI: LazyLock<Pki> = LazyLock::new(Pki::new);

struct Pki {
    authority: String,
    server: Identity,
    client: Identity,
}

struct Identity {
    certificate: String,
    key: String,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        let vouched = |purpose| {
            let mut params = CertificateParams::new(["127.0.0.1", "localhost"].map(str::to_owned)).expect("names");
            params.extended_key_usages = vec![purpose];
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
            Identity { certificate, key: key.serialize_pem() }
        };
        let server = vouched(ExtendedKeyUsagePurpose::ServerAuth);
        let client = vouched(ExtendedKeyUsagePurpose::ClientAuth);
        Self { authority, server, client }
    }
}

fn root() -> Certificate<'static> {
    Certificate::from_pem(PKI.authority.as_bytes()).expect("a certificate")
}

/// Trusts our authority.
fn trusting() -> Ureq {
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root()])).build();
    Ureq::with_config(|config| config.tls_config(tls))
}

/// Trusts our authority, and has a certificate of its own.
fn certified() -> Ureq {
    let certificate = Certificate::from_pem(PKI.client.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKey::from_pem(PKI.client.key.as_bytes()).expect("a key");
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[root()]))
        .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
        .build();
    Ureq::with_config(|config| config.tls_config(tls))
}

fn server_config(wants_certificate: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(PKI.authority.as_bytes()).expect("a certificate")).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let builder = if wants_certificate {
        builder.with_client_cert_verifier(verifier.expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let certificate = CertificateDer::from_pem_slice(PKI.server.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(PKI.server.key.as_bytes()).expect("a key");
    Arc::new(builder.with_single_cert(vec![certificate], key).expect("a server"))
}

/// Takes one connection, and answers one request; a failure is no error.
fn serve(listener: &TcpListener, wants_certificate: bool, answer: &str, says_goodbye: bool) {
    let mut peer = accept(listener);
    let mut tls = ServerConnection::new(server_config(wants_certificate)).expect("a connection");
    let mut stream = Stream::new(&mut tls, &mut peer.0);
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        read.push(byte[0]);
    }
    if stream.write_all(answer.as_bytes()).is_ok() && says_goodbye {
        tls.send_close_notify();
        let _ = tls.write_tls(&mut peer.0);
    }
}

const OVERVIEW: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 173\r\n\r\n\
    {\"taskmanagers\":1,\"slots-total\":4,\"slots-available\":3,\"jobs-running\":1,\"jobs-finished\":0,\
    \"jobs-cancelled\":0,\"jobs-failed\":0,\"flink-version\":\"2.3.0\",\"flink-commit\":\"c0f8d1a\"}";

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe";

#[test]
fn a_root_of_our_own() {
    let server = Server::run(|listener| serve(&listener, false, OK, true));
    assert_eq!(succeeds(&trusting(), &get().https().of(server.address)), (200, "safe".into()));
    server.done();
}

#[test]
fn a_server_that_nobody_vouches_for() {
    let server = Server::run(|listener| serve(&listener, false, OK, true));
    let error = fails(&Ureq::new(), &get().https().of(server.address), Kind::Tls, Delivery::NotSent);
    assert!(error.to_string().starts_with(&format!("no TLS with {}: ", server.address)), "{error}");
    server.done();
}

#[test]
fn a_server_without_tls() {
    let server = Server::run(|listener| {
        let mut peer = accept(&listener);
        let _ = peer.0.read(&mut [0; 16]);
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.finish();
    });
    fails(&trusting(), &get().https().of(server.address), Kind::Tls, Delivery::NotSent);
    server.done();
}

#[test]
fn a_server_that_closes_during_the_handshake() {
    let server = Server::run(|listener| {
        let mut peer = accept(&listener);
        let _ = peer.0.read(&mut [0; 16]);
        peer.finish();
    });
    fails(&trusting(), &get().https().of(server.address), Kind::Connect, Delivery::NotSent);
    server.done();
}

/// A load balancer takes connections and ends them while the service behind it restarts: the next attempt may succeed.
#[test]
fn a_first_request_is_repeated_when_the_handshake_is_cut_off() {
    let server = Server::run(|listener| {
        drop(accept(&listener));
        let mut peer = accept(&listener);
        let _ = peer.0.read(&mut [0; 16]);
        peer.finish();
        serve(&listener, false, OVERVIEW, true);
    });
    let base = format!("https://{}", server.address).parse().expect("a base");
    let overview = Flink::new(base, trusting()).call(GetOverview::new()).expect("the third connection goes well");
    assert_eq!(overview.jobs_running, Some(1));
    server.done();
}

#[test]
fn a_handshake_that_stalls() {
    let server = Server::run(|listener| accept(&listener).until_closed());
    let start = std::time::Instant::now();
    fails(&trusting(), &get().https().timeout(300).of(server.address), Kind::Connect, Delivery::NotSent);
    assert!(start.elapsed() < PATIENCE / 5, "{:?}", start.elapsed());
    server.done();
}

#[test]
fn a_client_certificate() {
    let server = Server::run(|listener| serve(&listener, true, OK, true));
    assert_eq!(succeeds(&certified(), &get().https().of(server.address)), (200, "safe".into()));
    server.done();
}

/// With TLS 1.3 the server says so when the request may be on its way.
#[test]
fn without_the_client_certificate_that_is_wanted() {
    let server = Server::run(|listener| serve(&listener, true, OK, true));
    let error = {
        use pipewright::driver::Transport;
        trusting().send(&get().https().of(server.address)).expect_err("refused")
    };
    assert!(matches!(error.kind(), Kind::Tls | Kind::Closed), "{error}");
    assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
    server.done();
}

/// Any party can cut a connection. Only the server can say that it is done.
#[test]
fn an_end_that_tls_does_not_confirm() {
    const UNTIL_CLOSED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsafe";
    let server = Server::run(|listener| serve(&listener, false, UNTIL_CLOSED, true));
    assert_eq!(succeeds(&trusting(), &get().https().of(server.address)), (200, "safe".into()));
    server.done();
    let server = Server::run(|listener| serve(&listener, false, UNTIL_CLOSED, false));
    fails(&trusting(), &get().https().of(server.address), Kind::Closed, Delivery::Unknown);
    server.done();
}

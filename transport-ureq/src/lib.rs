//! Blocking transport for [Pipewright](pipewright), on [ureq].
//!
//! ```sh
//! cargo add pipewright pipewright-ureq
//! ```
//!
//! [`Ureq`] is all that a program without an event loop needs to run Pipewright's flows: it executes exchanges
//! ([`Transport`](pipewright::driver::Transport)), tells the time and waits ([`Clock`](pipewright::driver::Clock)), and
//! draws random bits ([`Entropy`](pipewright::driver::Entropy)). [`FileSource`] lets a request carry a file that is not
//! read into memory.
//!
//! ```no_run
//! use pipewright::flink::Flink;
//! use pipewright::flink::cluster::GetOverview;
//! use pipewright::flink::jars::UploadJar;
//! use pipewright_ureq::{FileSource, Ureq};
//!
//! let flink = Flink::new("http://127.0.0.1:8081".parse()?, Ureq::new());
//! println!("{:?} task slots", flink.call(GetOverview::new())?.slots_total);
//! let uploaded = flink.call(UploadJar::new("job.jar", FileSource::open("target/job.jar")?))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `rustls` | yes | `https`, by rustls with ring and bundled web roots |
//! | `keypair` | no | `RsaKey`, which signs the key-pair tokens of Snowflake |
//! | `tracing` | no | the module `trace`: spans and events of flows |
//! | `socks-proxy` | no | proxies that speak SOCKS4 or SOCKS5 |
//!
//! # Settings
//!
//! [`Ureq::with_config`] takes every setting of a ureq agent. These are fixed, because flows rely on them:
//!
//! | setting | value | because |
//! |---|---|---|
//! | redirects | none; 3xx is an answer | a request may be carried out twice, a credential may go elsewhere |
//! | statuses | all are answers | the service's error is in the body |
//! | `User-Agent`, `Accept`, `Accept-Encoding` | not sent unless the request has them | an exchange is sent as it is |
//! | methods | any, with or without a body | some services require `GET` with a body |
//! | timeouts for the whole request and for resolving | none, see [below](#time) | ureq starts a thread for each |
//!
//! These have a default that you can change:
//!
//! | setting | default here | default of ureq |
//! |---|---|---|
//! | proxy | none | from the environment; `Proxy::try_from_env()` returns it |
//! | plain `http` | allowed; `https_only(true)` forbids it | the same |
//! | idle connections | 10, 3 for each host, each for 15 s | the same |
//! | head of an answer | 64 KiB and 128 headers | the same |
//! | silence of a streaming response | no limit: [`Ureq::with_idle_timeout`] | |
//!
//! Requests are framed by `Content-Length` and never chunked. Interim answers (1xx) are skipped. No request is sent a
//! second time.
//!
//! # TLS, client certificates, proxies
//!
//! With the feature `rustls`, `https` trusts the built-in web roots. Without it, an exchange over `https` ends as
//! [`Unsupported`](pipewright::error::TransportErrorKind::Unsupported). For other features of ureq, such as the roots
//! of the operating system, enable the feature of ureq itself. A setting that needs a feature which is off makes ureq
//! panic.
//!
//! The transport asks an HTTP proxy for a tunnel (`CONNECT`), for plain `http` as for `https`. **Forwarding is not
//! supported**: no request is sent to a proxy in absolute form. A proxy that allows `CONNECT` to port 443 only, as
//! Squid does by default, rejects plain `http`. The exchange then ends as
//! [`Connect`](pipewright::error::TransportErrorKind::Connect), and the error says what to do.
//!
//! ```no_run
//! # #[cfg(feature = "rustls")] {
//! use pipewright_ureq::Ureq;
//! use pipewright_ureq::ureq::Proxy;
//! use pipewright_ureq::ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
//!
//! let root = Certificate::from_pem(&std::fs::read("company-ca.pem")?)?;
//! let certificate = Certificate::from_pem(&std::fs::read("client.pem")?)?;
//! let key = PrivateKey::from_pem(&std::fs::read("client.key")?)?;
//! let tls = TlsConfig::builder()
//!     .root_certs(RootCerts::new_with_certs(&[root]))
//!     .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
//!     .build();
//! let proxy = Proxy::new("http://proxy.example:3128")?;
//! let runtime = Ureq::with_config(|config| config.tls_config(tls).proxy(Some(proxy)).https_only(true));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Time
//!
//! [The timeout of an exchange](pipewright::flow::Exchange::timeout) covers connecting, sending and receiving together.
//! A server that sends a byte from time to time does not extend it. For a streaming response, the timeout covers the
//! head; after that, each read waits as long as [`Ureq::with_idle_timeout`] says.
//!
//! Two waits can be longer. The lookup of a name takes as long as the resolver of the system does. If a server reads
//! slowly, a write waits again for each piece of at most 128 KiB that the socket accepts in part.
//!
//! A name is looked up for a new connection only, not for an exchange over a kept connection.
//!
//! The transport does not use ureq's own timeouts. The timeout for a whole request costs a thread for each request, to
//! look up the name. The timeouts for the phases of a request start again with each phase, so that an exchange could
//! take their sum. Instead, each connection knows the deadline of its exchange.
//!
//! # Failures
//!
//! The transport does not guess from an error whether a request was [`NotSent`](pipewright::error::Delivery::NotSent):
//! the connection records the first byte of the request. Before this byte nothing was sent; after it the outcome is
//! [`Unknown`](pipewright::error::Delivery::Unknown).
//!
//! | kind | not sent | unknown |
//! |---|---|---|
//! | [`Resolve`](pipewright::error::TransportErrorKind::Resolve) | the name has no address | |
//! | [`Connect`](pipewright::error::TransportErrorKind::Connect) | refused, unreachable, not in time, cut off during the TLS handshake, or the proxy makes no tunnel | |
//! | [`Tls`](pipewright::error::TransportErrorKind::Tls) | the handshake failed: the certificate, an alert, or an answer that is not TLS | the server complains afterwards, as TLS 1.3 does about client certificates |
//! | [`Timeout`](pipewright::error::TransportErrorKind::Timeout) | | the time was up while sending or receiving |
//! | [`Closed`](pipewright::error::TransportErrorKind::Closed) | | the connection ended before the answer did, also if it was a kept connection that the server had closed |
//! | [`Protocol`](pipewright::error::TransportErrorKind::Protocol) | | the answer is not HTTP |
//! | [`TooLarge`](pipewright::error::TransportErrorKind::TooLarge) | | the body is longer than the exchange allows, or the head is longer than ureq allows |
//! | [`Source`](pipewright::error::TransportErrorKind::Source) | a source of the body cannot be opened | it fails later, or has another length than it said |
//! | [`Unsupported`](pipewright::error::TransportErrorKind::Unsupported) | plain `http` with `https_only`; `https` without TLS; a header that cannot be sent | |
//!
//! If the head of an answer was received, the error keeps its [status](pipewright::error::TransportError::status), and
//! whether its body is [text](pipewright::error::TransportError::with_head). Errors name host and port, and neither the
//! path nor any header.
//!
//! An idle connection is not used if the server has visibly closed it. If the server closes it at the same moment, the
//! outcome is `Unknown`. An exchange that [asks for a fresh
//! connection](pipewright::flow::Exchange::wants_fresh_connection) gets a new connection, so this cannot happen to it.
//! A flow asks for a fresh connection before it repeats a request that got no answer: after a restart of the server all
//! idle connections are dead.
//!
//! If a server rejects a body before it has read it, and closes the connection, its answer is still read: it is the
//! result.
//!
//! # The end of a body
//!
//! A body without length or chunks ends with its connection. A reset, or TLS that ends without a closing message, is
//! not an end but `Closed` ([RFC 9112 §9.8](https://www.rfc-editor.org/rfc/rfc9112#section-9.8)). ureq by itself
//! accepts both as an end.

// Shows on docs.rs which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod agent;
mod classify;
mod clock;
mod connect;
mod file;
#[cfg(feature = "keypair")]
mod keypair;
mod send;
mod streaming;
#[cfg(feature = "tracing")]
pub mod trace;
mod upload;
mod watch;

pub use agent::{ConfigBuilder, Ureq};
pub use file::{FileSource, file_body};
#[cfg(feature = "keypair")]
pub use keypair::{KeyError, RsaKey};
/// The version of ureq that settings are to come from.
pub use ureq;

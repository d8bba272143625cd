//! Blocking transport for [Pipewright](pipewright), on [ureq].
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
//! # Settings
//!
//! [`Ureq::with_config`] takes every setting of a ureq agent. These are fixed, because flows rely on them:
//!
//! | setting | value | because |
//! |---|---|---|
//! | redirects | none; 3xx is an answer | a request may be carried out twice, a credential may go elsewhere |
//! | statuses | all are answers | the service's error is in the body |
//! | `User-Agent`, `Accept`, `Accept-Encoding` | not sent unless the request has them | an exchange is sent as it is |
//! | methods | any, with or without a body | some services want `GET` with a body |
//! | timeouts for the whole request and for resolving | none, see [below](#time) | ureq starts a thread for each |
//!
//! These are only where we begin:
//!
//! | setting | ours | ureq's |
//! |---|---|---|
//! | proxy | none | from the environment; `Proxy::try_from_env()` gives it |
//! | plain `http` | allowed, as in ureq: `https_only(true)` forbids it | |
//! | idle connections | 10, 3 to a host, each for 15 s, as in ureq | |
//! | head of an answer | 64 KiB and 128 headers, as in ureq | |
//! | a streaming body's silence | without limit: [`Ureq::with_idle_timeout`] | |
//!
//! ureq does the rest as one would expect: requests are framed by `Content-Length` and never chunked, interim answers
//! (1xx) are skipped, nothing is sent a second time.
//!
//! # TLS, client certificates, proxies
//!
//! With the feature `rustls`, a default, `https` works and trusts the roots that are built in. Without it an exchange
//! over `https` ends as [`Unsupported`](pipewright::error::TransportErrorKind::Unsupported). The feature `socks-proxy`
//! adds SOCKS to the proxies. An HTTP proxy is asked for a tunnel (`CONNECT`), for plain `http` as for `https`.
//! **Forwarding is not supported**: no request is sent to a proxy in absolute form. A proxy that allows `CONNECT` to
//! port 443 only, as Squid does by default, refuses plain `http`; the exchange ends as
//! [`Connect`](pipewright::error::TransportErrorKind::Connect), and the error says what to do. For what else ureq can
//! do, such as the platform's own roots, enable the feature of ureq itself; settings that need a feature which is off
//! make ureq panic.
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
//! An exchange is over when [its timeout](pipewright::flow::Exchange::timeout) is: connecting, sending and receiving
//! share it, and a server that sends a byte now and then gains nothing. Of a streaming exchange it bounds the head;
//! afterwards each read waits as long as [`Ureq::with_idle_timeout`] says.
//!
//! Two waits can be longer. Looking a name up takes as long as the system's resolver does; and a write to a server that
//! reads a little at a time starts its wait again with each piece of at most 128 KiB that the socket takes in part.
//!
//! A name is looked up for a new connection only, not for an exchange over a kept connection.
//!
//! ureq's own timeout for a whole request would cost a thread for each request, to look the name up. Its timeouts for
//! the phases of a request start again with each phase, so that an exchange could take their sum. So neither is used:
//! connections of this transport know the deadline of the exchange they work for.
//!
//! # Failures
//!
//! Whether a request was [`NotSent`](pipewright::error::Delivery::NotSent) is not guessed from the error: the
//! connection records the first byte of the request. Up to there nothing was sent; from there on the outcome is
//! [`Unknown`](pipewright::error::Delivery::Unknown).
//!
//! | kind | not sent | unknown |
//! |---|---|---|
//! | [`Resolve`](pipewright::error::TransportErrorKind::Resolve) | the name has no address | |
//! | [`Connect`](pipewright::error::TransportErrorKind::Connect) | refused, unreachable, not in time, cut off during the TLS handshake, or the proxy makes no tunnel | |
//! | [`Tls`](pipewright::error::TransportErrorKind::Tls) | the handshake failed: the certificate, an alert, or an answer that is not TLS | the server complains afterwards, as TLS 1.3 does of client certificates |
//! | [`Timeout`](pipewright::error::TransportErrorKind::Timeout) | | the time was up while sending or receiving |
//! | [`Closed`](pipewright::error::TransportErrorKind::Closed) | | the connection ended before the answer did, also when it was a kept connection that the server had given up |
//! | [`Protocol`](pipewright::error::TransportErrorKind::Protocol) | | the answer is not HTTP |
//! | [`TooLarge`](pipewright::error::TransportErrorKind::TooLarge) | | the body is longer than the exchange allows, or the head than ureq does |
//! | [`Source`](pipewright::error::TransportErrorKind::Source) | a source of the body cannot be opened | it fails later, or has another length than it said |
//! | [`Unsupported`](pipewright::error::TransportErrorKind::Unsupported) | plain `http` with `https_only`; `https` without TLS; a header that cannot be sent | |
//!
//! When the head of an answer came, the error keeps its [status](pipewright::error::TransportError::status), and
//! whether its body is [text](pipewright::error::TransportError::with_head). Errors name host and port, and neither the
//! path nor any header.
//!
//! An idle connection that the server is seen to have closed is not used. One that it closes just then is an `Unknown`,
//! and an exchange that [asks for a fresh connection](pipewright::flow::Exchange::wants_fresh_connection) gets one, so
//! that this cannot happen to it. A flow asks for one before it repeats a request that got no answer: after a restart
//! of the server all idle connections are dead.
//!
//! A server that refuses a body before it has read it, and closes, still gets its answer through: it becomes the
//! result.
//!
//! # The end of a body
//!
//! A body without length or chunks ends when the connection does. A reset, or TLS that ends without saying so, is not
//! an end but `Closed` ([RFC 9112 §9.8](https://www.rfc-editor.org/rfc/rfc9112#section-9.8)): ureq by itself takes both
//! for one.

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

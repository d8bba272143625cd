//! The transport on sockets of this machine.

mod answers;
mod common;
mod conformance;
mod connecting;
#[cfg(feature = "keypair")]
mod keypair;
mod live;
mod reuse;
mod sending;
#[cfg(feature = "rustls")]
mod tls;

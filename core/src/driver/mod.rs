//! Drivers: the loops that run a flow on a transport and a clock. They do no I/O themselves.
//!
//! | program | driver |
//! |---|---|
//! | blocking | [`Client`]: a service's address, a [`Runtime`] and credentials |
//! | blocking, any flow | [`run`], [`run_until`]; [`open`] for a streaming response |
//! | async, on any executor | [`AsyncDriver`], or [`run_async`] for a single flow |
//! | an event loop | none: it is a `match` on [`Step`](crate::flow::Step), see [`docs::embedding`](crate::docs::embedding) |
//!
//! Event flows are driven from event to event: with [`Client::start`] and [`DrivenFlow::next`], or with
//! [`AsyncDriver::run`]. [`docs::asynchronous`](crate::docs::asynchronous) is the guide for async programs.

mod asynchronous;
mod blocking;
mod canned;
mod client;
mod credentials;
mod driven_flow;
mod listener;
mod observed;
mod runtime;
mod stream;

pub use asynchronous::{AsyncBody, AsyncCredentials, AsyncDriver, AsyncStream, AuthorizeFn, run_async};
pub use blocking::{open, run, run_until};
pub use canned::Canned;
pub use client::Client;
#[cfg(feature = "oauth")]
pub use credentials::Basic;
pub use credentials::{BearerToken, Credentials, CredentialsFn, NoCredentials, Refreshing, credentials_fn};
pub use driven_flow::DrivenFlow;
pub use listener::{ListenerResult, ignore_notices};
pub use observed::{Observation, Observed};
pub use runtime::{Clock, Entropy, Opened, Runtime, StreamingBody, Transport};
pub use stream::{Stream, StreamError};

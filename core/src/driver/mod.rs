//! Drivers: the loops that run a flow on a transport and a clock. They do no I/O themselves.
//!
//! | program | driver |
//! |---|---|
//! | blocking | [`Client`]: a service's address, a [`Runtime`] and credentials |
//! | blocking, with an HTTP client of your own | [`runtime_fn`], or an implementation of [`Runtime`], for a [`Client`] |
//! | blocking, any flow | [`run`], [`run_until`]; [`open`] for a streaming response |
//! | async, on any executor | [`AsyncDriver`] with [`execute`] on your HTTP client; [`run_async`] for a single flow |
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
mod execute;
mod listener;
mod observed;
mod runtime;
mod runtime_fn;
mod stream;

pub use asynchronous::{AsyncBody, AsyncCredentials, AsyncDriver, AsyncStream, AuthorizeFn, run_async};
pub use blocking::{open, run, run_until};
pub use canned::Canned;
pub use client::Client;
#[cfg(feature = "oauth")]
pub use credentials::Basic;
pub use credentials::{BearerToken, Credentials, CredentialsFn, NoCredentials, Refreshing, credentials_fn};
pub use driven_flow::DrivenFlow;
pub use execute::execute;
pub use listener::{ListenerResult, ignore_notices};
pub use observed::{Observation, Observed};
pub use runtime::{Clock, Entropy, Opened, Runtime, StreamingBody, Transport};
pub use runtime_fn::{RuntimeFn, runtime_fn};
pub use stream::{Stream, StreamError};

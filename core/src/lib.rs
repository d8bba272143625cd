//! Pipewright: Feldera, Apache Flink and Snowpipe Streaming, spoken without doing any I/O.
//!
//! This crate builds `http::Request`s, parses `http::Response`s and holds the state machines in between. Somebody else
//! moves the bytes, reads the clock and sleeps: the blocking transport `pipewright-ureq`, the simulators of
//! `pipewright-mock`, or a program's own runtime. The same flow runs in a plain thread, in any event loop, in ten
//! thousand copies on one thread, and under a virtual clock in a property test.
//!
//! ```text
//!   your program            this crate                                      whoever moves bytes
//!  ┌────────────┐   ┌─────────────────────────────────────┐   ┌──────────────────────────────────────┐
//!  │ goal ──────┼──▶│ Flow: phases, waits, ambiguity      │   │                                      │
//!  │            │   │   └ Call: attempts, credential,     │   │  Transport: one exchange             │
//!  │ notices ◀──┼───│     │     deadline                  │──▶│  Clock: the time, sleeping           │
//!  │            │   │     └ Operation: one request,       │   │  Entropy: bits for ids and jitter    │
//!  │ result ◀───┼───│                  one answer         │◀──│  Credentials: Authorization headers  │
//!  └────────────┘   └─────────────────────────────────────┘   └──────────────────────────────────────┘
//! ```
//!
//! | where | what |
//! |---|---|
//! | [`feldera`] | Feldera: operations, answers, streams, flows |
//! | [`flink`] | Apache Flink: operations, answers, flows |
//! | [`snowpipe`] | Snowpipe Streaming: operations, answers, key-pair tokens, sessions, batches of rows, flows |
//! | [`oauth`] | OAuth 2.0 client credentials, for services behind an identity provider |
//! | [`operation`] | [`Operation`]: one exchange as data; [`Effect`]: what sending it twice does |
//! | [`flow`] | [`Flow`](flow::Flow), [`Step`](flow::Step), [`Call`](flow::Call): several exchanges towards one goal |
//! | [`driver`] | the loops that run a flow, and what they need: [`Transport`](driver::Transport), [`Clock`](driver::Clock), … |
//! | [`decode`] | bytes in, items out, for answers without an end |
//! | [`error`] | the five error types and how they nest |
//! | [`url`] | base addresses and path templates |
//!
//! One conversation, with answers given by hand instead of by a cluster: what a job is doing.
//!
//! ```
//! use pipewright::{Seed, Timestamp};
//! use pipewright::flink::{AwaitJob, FlinkRest, JobId};
//! use pipewright::flink::jobs::JobState;
//! use pipewright::flow::{Config, Flow, Goal, Step};
//!
//! let config = Config::<FlinkRest>::new("http://127.0.0.1:8081".parse()?);
//! let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
//! let mut flow = AwaitJob::ended(job).start(&config, Seed::new(42));
//!
//! // A clock of our own: waiting is setting it forward.
//! let mut now = Timestamp::from_millis(1_700_000_000_000);
//! let mut answers = [
//!     r#"{"status":"RUNNING"}"#,
//!     r#"{"status":"FINISHED"}"#,
//!     r#"{"status":{"id":"COMPLETED"},"job-execution-result":{"id":"4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f",
//!         "application-status":"SUCCEEDED","accumulator-results":{},"net-runtime":5120}}"#,
//! ]
//! .into_iter();
//! let mut reply = None;
//! let job = loop {
//!     match flow.poll(now, reply.take()) {
//!         Step::Send(exchange) => {
//!             assert_eq!(exchange.request().method(), "GET");
//!             let body = answers.next().expect("three questions");
//!             reply = Some(exchange.settle(Ok(http::Response::new(body.into()))));
//!         }
//!         Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
//!         Step::Notice(notice) => println!("{notice}"),
//!         Step::Authorize(_) | Step::Stray(_) => unreachable!("no credentials, no other flow"),
//!         Step::Done(result) => break result?,
//!     }
//! };
//! assert_eq!(job.state, JobState::Finished);
//! assert_eq!(job.result.expect("it was asked for").net_runtime, 5120);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where this departs from what one might expect
//!
//! * Records and open enums are declared by tables of our own and not with `serde_derive`, because a `null`, an absent
//!   list and `"NaN"` mean in these APIs what no attribute says, and because the core then builds without `syn`.
//! * A goal ([`flow::Goal`]) is plain data and is not the flow: so it can be built without an address, logged, cloned,
//!   and started by a [`driver::Client`], which supplies address, seed and clock.
//! * [`Seed`] is 128 bits, because job ids and trigger ids are drawn from it.

// What only services use.
#![cfg_attr(
    not(all(feature = "feldera", feature = "flink", feature = "snowpipe")),
    allow(dead_code, unused_imports, unused_macros)
)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod body;
pub mod decode;
pub mod driver;
pub mod error;
#[cfg(feature = "feldera")]
pub mod feldera;
#[cfg(feature = "flink")]
pub mod flink;
pub mod flow;
mod json;
#[cfg(feature = "oauth")]
pub mod oauth;
pub mod operation;
mod operation_info;
mod schema;
mod secret;
mod seed;
#[cfg(feature = "snowpipe")]
pub mod snowpipe;
mod time;
pub mod url;

#[doc(no_inline)]
pub use body::{Body, Segment, Source};
pub use json::NonFinite;
#[doc(no_inline)]
pub use operation::{Effect, Operation};
pub use secret::Secret;
pub use seed::Seed;
pub use time::Timestamp;
#[doc(no_inline)]
pub use url::Base;

/// Every operation that this build knows, service by service, as rows of the tables they are declared in.
///
/// ```
/// let stop = pipewright::operations().find(|info| info.name == "triggerStopWithSavepoint").expect("Flink is on");
/// assert_eq!(stop.path, "/jobs/{jobid}/stop");
/// ```
pub fn operations() -> impl Iterator<Item = &'static operation::OperationInfo> {
    let rows = std::iter::empty();
    #[cfg(feature = "feldera")]
    let rows = rows.chain(feldera::operations());
    #[cfg(feature = "flink")]
    let rows = rows.chain(flink::operations());
    #[cfg(feature = "snowpipe")]
    let rows = rows.chain(snowpipe::operations());
    rows
}

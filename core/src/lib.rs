//! Controls and feeds Feldera, Apache Flink and Snowpipe Streaming: blocking, async, or in your own event loop.
//!
//! ```sh
//! cargo add pipewright pipewright-ureq
//! ```
//!
//! This program stops a Flink job with a savepoint, and prints the path of the savepoint:
//!
//! ```
//! # mod pipewright_ureq {
//! #     pub struct Ureq;
//! #     impl Ureq {
//! #         pub fn new() -> pipewright::driver::Canned {
//! #             pipewright::driver::Canned::new([
//! #                 ("POST /v1/jobs/4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f/stop", 202,
//! #                     r#"{"request-id":"00000000000000000000000000000001"}"#),
//! #                 ("GET /v1/jobs/4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f/savepoints/00000000000000000000000000000001", 200,
//! #                     r#"{"status":{"id":"COMPLETED"},"operation":{"location":"file:/savepoints/1"}}"#),
//! #                 ("GET /v1/jobs/4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f/status", 200, r#"{"status":"FINISHED"}"#),
//! #             ])
//! #         }
//! #     }
//! # }
//! use pipewright::flink::{Flink, StopWithSavepoint};
//! use pipewright_ureq::Ureq;
//!
//! let flink = Flink::new("http://127.0.0.1:8081".parse()?, Ureq::new());
//! let job = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
//! let stopped = flink.run(StopWithSavepoint::new(job))?;
//! println!("{}", stopped.location);
//! # assert_eq!(stopped.location, "file:/savepoints/1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! If a response is lost, the flow finds out whether the job was stopped, or returns
//! [`FlowError::Ambiguous`](error::FlowError::Ambiguous). The pages of [`feldera`], [`flink`] and [`snowpipe`] have a
//! first program each, and a table of goals: *I want to…*.
//!
//! The crate is **sans-IO**. It builds `http::Request`s, parses `http::Response`s and holds the state machines in
//! between. It opens no socket, reads no clock and starts no thread. A *runtime* does: that of `pipewright-ureq`, or
//! yours.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `feldera`, `flink`, `snowpipe` | yes | the module of each service |
//! | `oauth` | yes | the module `oauth`, and HTTP Basic authentication |
//! | `gzip`, `zstd` | no | compressed batches of rows for Snowpipe; `zstd` needs a C compiler |
//! | `url` | no | conversions between [`Base`] and `url::Url`; adds 32 crates |
//!
//! With the default features the crate depends on 11 crates, and on no procedural macro.
//!
//! # Which door is yours
//!
//! | your program | start here |
//! |---|---|
//! | is blocking | [`driver::Client`] with `pipewright-ureq`, as above |
//! | is async, on any executor | [`driver::AsyncDriver`]: three closures for your HTTP client and timer |
//! | has its own event loop | [`flow::Flow::poll`], [below](#a-flow-by-hand); [`flow::Many`] for thousands of flows |
//! | only needs requests and responses | [`Operation::request`] and [`Operation::parse`] |
//! | is under test | `pipewright-mock`: simulators of all three services on a virtual clock, with faults |
//!
//! The module [`docs`] has a guide for each of them, and for unknown outcomes, exactly once, resuming after a crash and
//! security. It also answers frequent questions.
//!
//! # How it works
//!
//! ```text
//!  your program          this crate                        runtime
//! ┌──────────┐   ┌──────────────────────────┐   ┌───────────────────────────┐
//! │ goal ────┼──▶│ Flow: phases, waits      │   │ Transport: one exchange   │
//! │          │   │  └ Call: attempts,       │──▶│ Clock: the time, sleeping │
//! │ notices ◀┼───│    │ credential, limits   │   │ Entropy: random bits      │
//! │          │   │    └ Operation: request, │◀──│ Credentials: the header   │
//! │ result ◀─┼───│        response          │   │   Authorization           │
//! └──────────┘   └──────────────────────────┘   └───────────────────────────┘
//! ```
//!
//! The same flow runs in a plain thread, in any event loop, and with a virtual clock in a property test. Ten thousand
//! flows can run on one thread.
//!
//! # A flow by hand
//!
//! This flow waits until a job has ended. In this example, the program itself supplies the responses of the cluster:
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
//! // A virtual clock, which each wait advances.
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
//!             let body = answers.next().expect("three requests");
//!             reply = Some(exchange.settle(Ok(http::Response::new(body.into()))));
//!         }
//!         Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
//!         Step::Notice(notice) => println!("{notice}"),
//!         Step::Authorize(_) | Step::Stray(_) => unreachable!("no credentials, no other flow"),
//!         Step::Done(result) => break result?,
//!     }
//! };
//! assert_eq!(job.state, JobState::Finished);
//! assert_eq!(job.result.expect("the job has ended").net_runtime, Some(5120));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | content |
//! |---|---|
//! | [`feldera`] | Feldera: operations, flows, streaming responses |
//! | [`flink`] | Apache Flink: operations, flows; SQL Gateway and HistoryServer |
//! | [`snowpipe`] | Snowpipe Streaming: operations, flows, key-pair tokens, sessions, batches of rows |
//! | [`oauth`] | OAuth 2.0 client credentials, for services behind an identity provider |
//! | [`operation`] | [`Operation`]: one HTTP exchange as data; [`Effect`]: the effect of sending it twice |
//! | [`flow`] | [`Flow`](flow::Flow), [`Step`](flow::Step), [`Call`](flow::Call): several exchanges towards one goal |
//! | [`driver`] | the loops that run a flow, and what they need: [`Transport`](driver::Transport), [`Clock`](driver::Clock), … |
//! | [`decode`] | decoders for streaming responses |
//! | [`error`] | the five error types and how they nest |
//! | [`url`] | base addresses and path templates |
//!
//! # Responses of releases that this version does not know
//!
//! * Unknown fields are ignored. Records that are sent back, such as configurations, keep them.
//! * Unknown values of an enum are kept as `Unknown(String)`.
//! * A value of another form costs only its field. `None` means: the server did not send the field, or sent it in a
//!   form that this version does not know. Where `None` means more, the field's doc says so.
//! * Fields that are not optional are ids, names, statuses and tokens by which a flow or a request decides. Without
//!   one of them the item cannot be read, and its list does not contain it.
//! * A flow never takes such a value or item for one that does not exist, if it decides by it. It polls again, or fails
//!   and says what cannot be read.
//!
//! # Design decisions
//!
//! * Macros of this crate declare records and open enums; `serde_derive` does not. The APIs use `null`, absent lists
//!   and `"NaN"` in ways that no attribute of `serde_derive` expresses, and the core builds without `syn`.
//! * A goal ([`flow::Goal`]) is plain data, and not the flow itself. It can be built without an address, logged and
//!   cloned. A [`driver::Client`] supplies the address, the seed and the clock, and starts the flow.
//! * [`Seed`] is 128 bits, because job ids and trigger ids are drawn from it.

// Shows on docs.rs which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Without all services, code that only the services use is dead.
#![cfg_attr(
    not(all(feature = "feldera", feature = "flink", feature = "snowpipe")),
    allow(dead_code, unused_imports, unused_macros)
)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod body;
pub mod decode;
#[cfg(any(doc, doctest))]
pub mod docs;
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

/// Returns every operation of the enabled services, service by service.
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

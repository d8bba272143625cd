//! Scripts, simulators and virtual time, to test programs that use `pipewright` and to try it out.
//!
//! ```sh
//! cargo add --dev pipewright-mock
//! ```
//!
//! | part | use it for |
//! |---|---|
//! | [`Script`] | unit tests with exact exchanges: their order, and their answers |
//! | [`World`] | all other tests: simulated services on a virtual clock, with faults, for one flow or ten thousand |
//! | [`FaultPlan`] | the faults of a world, and when they happen |
//! | [`feldera`], [`flink`], [`sql_gateway`], [`snowpipe`] | the simulated services: their settings, their state and their limits |
//! | [`conformance`] | tests of your own transport against its contract |
//! | [`transcript`] | snapshot tests: the requests, answers and notices of a flow |
//! | [`schedule`] | tests of your own flow or event loop, with drivers that are early, late or wrong |
//! | `strategies` | property tests: faults, answers and schedules (feature `proptest`) |
//! | `serve` | the simulators on a loopback port, for any HTTP client (feature `serve`) |
//! | [`docs`] | the guide: how to test a program, with lost responses and crashes |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `serve` | no | the module `serve`; with `sql`, the program `pipewright-sim` |
//! | `sql` | no | a SQL engine for the simulated Feldera and the simulated SQL Gateway, and results as Arrow |
//! | `tls` | no | HTTPS for `serve`, which it includes |
//! | `proptest` | no | the module `strategies` |
//!
//! Except `serve` and `conformance`, no module opens a socket, reads a clock, sleeps or starts a thread. A script and a
//! world are each transport, clock and entropy in one value. Either takes the place of a real runtime in a
//! [`Client`](pipewright::driver::Client) or in [`driver::run`](pipewright::driver::run).
//!
//! # A script
//!
//! The test fails with a diff if an exchange differs from the expected exchange, or if an expected exchange is missing.
//!
//! ```
//! use std::time::Duration;
//!
//! use pipewright::flink::{Flink, JobId};
//! use pipewright::flink::jobs::{GetJobStatus, JobState};
//! use pipewright_mock::Script;
//!
//! let status = "/v1/jobs/4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f/status";
//! let script = Script::new()
//!     .expect("GET", status).not_sent()
//!     .expect("GET", status).reply(502, "<html>Bad Gateway</html>")
//!     .expect("GET", status).after(Duration::from_millis(30)).reply_json(200, r#"{"status":"RUNNING"}"#);
//!
//! let flink = Flink::new("http://flink.test:8081".parse()?, script.clone());
//! let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
//! assert_eq!(flink.call(GetJobStatus::new(job))?.status, JobState::Running);
//! script.finish();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A world
//!
//! ```
//! use pipewright::flink::Flink;
//! use pipewright::flink::cluster::GetOverview;
//! use pipewright_mock::{World, flink};
//!
//! let world = World::new(42);
//! let cluster = world.flink("http://flink.test:8081".parse()?, flink::Config::default());
//!
//! let flink = Flink::new(cluster.base(), world.clone());
//! assert_eq!(flink.call(GetOverview::new())?.slots_total, Some(4));
//! assert!(cluster.with(|cluster| cluster.jobs().is_empty()));
//!
//! for event in world.trace() {
//!     println!("{event}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Faults
//!
//! The same seed gives the same faults. Each [`Fault`] says whether the service carried out the request.
//!
//! ```
//! use pipewright::flink::Flink;
//! use pipewright::flink::cluster::GetOverview;
//! use pipewright_mock::{Fault, FaultPlan, World, flink};
//!
//! let world = World::new(42);
//! let cluster = world.flink("http://flink.test:8081".parse()?, flink::Config::default());
//! world.set_faults(FaultPlan::hostile(7).nth(1, Fault::ReplyLost).at_most(5));
//!
//! Flink::new(cluster.base(), world.clone()).call(GetOverview::new())?;
//! assert_eq!(world.trace()[0].fault(), Some(Fault::ReplyLost));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Your own service, and many flows
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use pipewright::{Seed, Timestamp};
//! use pipewright::flink::{FlinkRest, JobId};
//! use pipewright::flink::jobs::{GetJobStatus, JobState};
//! use pipewright::flow::{Call, Config};
//! use pipewright_mock::{Service, World};
//!
//! /// A cluster whose jobs have all finished.
//! struct Finished;
//!
//! impl Service for Finished {
//!     fn handle(&mut self, _now: Timestamp, _request: &Request<Bytes>) -> Response<Bytes> {
//!         Response::new(r#"{"status":"FINISHED"}"#.into())
//!     }
//! }
//!
//! let world = World::new(42);
//! let finished = world.mount("http://flink.test:8081".parse()?, Finished);
//!
//! let config = Config::<FlinkRest>::new(finished.base());
//! let calls = (0..1000).map(|job| Call::new(GetJobStatus::new(JobId::from_bits(job)), &config, Seed::new(job)));
//! for result in world.run_all(calls) {
//!     assert_eq!(result?.status, JobState::Finished);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Shows on docs.rs which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod conformance;
#[cfg(any(doc, doctest))]
pub mod docs;
pub mod event;
pub mod fault;
pub mod feldera;
pub mod flink;
mod script;
#[cfg(feature = "serve")]
pub mod serve;
pub mod snowpipe;
#[cfg(feature = "sql")]
mod sql;
pub mod sql_gateway;
#[cfg(feature = "proptest")]
pub mod strategies;
pub mod transcript;
mod world;

mod random;
mod routes;
mod streaming;

#[doc(no_inline)]
pub use event::{Event, Incident, Outcome};
#[doc(no_inline)]
pub use fault::{Fault, FaultKind, FaultPlan, RetryAfter};
pub use routes::Route;
pub use script::{Expectation, Script};
pub use streaming::{Coming, NoAnswer, OpenBody, Remark};
pub use world::schedule;
pub use world::{
    FelderaHandle, FlinkHandle, Mounted, Pending, START, Service, SnowpipeHandle, SqlGatewayHandle, World,
};

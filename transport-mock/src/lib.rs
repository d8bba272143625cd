//! Scripts, simulators and virtual time, for testing what is built on `pipewright` and for trying it out.
//!
//! | part | for |
//! |---|---|
//! | [`Script`] | unit tests: these exchanges, in this order, answered like this |
//! | [`World`] | everything else: simulated services on a virtual clock, with faults, for one flow or ten thousand |
//! | [`FaultPlan`] | what goes wrong in a world, and when |
//! | [`flink`] | a simulated Flink cluster |
//! | [`sql_gateway`] | a simulated SQL Gateway of Flink |
//! | [`conformance`] | tests of a transport of one's own, against its contract |
//! | [`transcript`] | what a flow sent, got and said, for snapshot tests |
//! | [`schedule`] | drivers that are early, late and wrong, for tests of flows and event loops of one's own |
//! | `strategies` | faults, answers and schedules for property tests (feature `proptest`) |
//! | `serve` | the simulators behind a loopback port, for everything that speaks HTTP (feature `serve`) |
//! | [`docs`] | the guide: how to test a program, with lost responses and crashes |
//!
//! The feature `sql` adds a SQL engine to the simulated Feldera: see [`feldera`].
//!
//! But for `serve` and `conformance`, nothing here opens a socket, reads a clock, sleeps or starts a thread. Script and
//! world are each transport, clock and entropy in one value, so that either takes the place of a real runtime in a
//! [`Client`](pipewright::driver::Client) or in [`driver::run`](pipewright::driver::run).
//!
//! # A script
//!
//! An exchange that differs from the expected one fails the test with a diff, and so does one that never comes.
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
//! The same seed gives the same faults. Each [`Fault`] says whether the service carried the request out.
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
//! # A service of one's own, and many flows
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
//! /// All its jobs have finished.
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

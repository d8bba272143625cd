//! The tests of the workspace that need more than one crate, and their shared code.
//!
//! # Where to find a test
//!
//! `NAME::PATH` is the module `PATH` of the test binary `tests/tests/NAME`. This command runs only that module:
//!
//! ```text
//! cargo test -p pipewright-tests --test NAME PATH
//! ```
//!
//! | What is tested | Where |
//! |---|---|
//! | Requests of Feldera's operations, and recorded answers | `feldera_operations::recordings` |
//! | Feldera's answers in other shapes; defaults of options | `feldera_operations::{shapes, metrics, defaults}` |
//! | Feldera's settings: names, units, no setting lost | `feldera_operations::{settings, units}` |
//! | Feldera's streaming responses | `feldera_operations::{streams, simulated_streams}` |
//! | Requests of Flink's operations | `flink_operations::requests` |
//! | Flink's recorded answers | `flink_operations::{replies, traps}` |
//! | HistoryServer and SQL Gateway: requests and recorded answers | `flink_operations::{history_server, sql_gateway}` |
//! | Requests of Snowpipe's operations, and recorded answers | `snowpipe_operations::recordings` |
//! | Snowpipe's rows, batches and their tokens | `snowpipe_operations::rows` |
//! | Retries of calls | `common::{call, call_contact, call_properties}`, `flink_operations::retries` |
//! | Decoders and addresses, against a simple model | `common::{decoders, paths}` |
//! | Feldera's flows, case by case | `feldera_flows::{lifecycle, durable, ingest}` |
//! | Flink's flows, case by case | `flink_flows`: all modules but `faults` |
//! | Snowpipe's flows, case by case | `snowpipe_flows::{goals, session, address, writer, load}` |
//! | Properties of Feldera's flows on three releases, with a second client and faults | `feldera_flows::{data_faults, lifecycle_faults}` |
//! | Properties of Flink's flows under faults | `flink_flows::faults` |
//! | Crash and resume | `flink_flows::{resume, faults}`, `feldera_flows::durable`, `snowpipe_flows::schedules` |
//! | Rows exactly once, in random schedules | `snowpipe_flows::schedules` |
//! | A proxy that loses the service during a flow | `common::lost_route` |
//! | Async drivers; event flows driven by a client | `common::{run_async, async_driver, driven_flow}` |
//! | Many flows on one thread | `common::many` |
//! | Invalid input, and the texts of errors | `common::bad_input` |
//! | The fuzz targets, over `tests/corpus` | `common::fuzz` |
//! | Allocations | `common::allocations` |
//! | A real Flink, if `FLINK_URL` is set; `CONTRIBUTING.md` shows how to start a cluster | `flink_real` |
//!
//! Set `PROPTEST_CASES` to run the properties with more cases. These tests have commands of their own:
//!
//! | What is tested | Where | Command |
//! |---|---|---|
//! | Modules of the core | beside each module | `cargo test -p pipewright --all-features MODULE` |
//! | The simulators | `tests` beside each simulator | `cargo test -p pipewright-mock --all-features --lib MODULE` |
//! | Worlds, scripts, faults, the server of the simulators | `transport-mock/tests/mock` | `cargo test -p pipewright-mock --all-features MODULE` |
//! | The transport on sockets | `transport-ureq/tests/transport` | `cargo test -p pipewright-ureq --all-features MODULE` |
//! | `flink_upgrade`, which is killed and resumes | `transport-ureq/tests/flink_upgrade` | `cargo test --test flink_upgrade` |
//! | `snowpipe_ingest`, killed again and again | `transport-ureq/tests/snowpipe_ingest` | `.ci/run kills` |
//! | 10,000 schedules of the writer | `snowpipe_flows::schedules` | `.ci/run schedules` |
//! | Whether these schedules notice a broken writer | `tests/mutants` | `tests/mutants/run`, `tests/mutants/run 4` |
//! | The vendors' own clients, against the served simulators | `tests/clients` | `.ci/run clients`, `tests/clients/run CLIENT` |
//! | Recordings, with a report | `tests/fixtures` | `cargo run --bin replay -- tests/fixtures/flink` |
//! | Types of the Feldera server | `tests/feldera-types` | `.ci/run feldera-types` |
//! | Three releases of Flink | `flink_real` | `.ci/run flink` |
//! | The simulated Flink beside a real one | `tests/flink/shapes` | `tests/flink/shapes` |
//! | Upgrades through a proxy with faults | [`chaos`], `flink_flows::chaos` | `tests/flink/chaos --seed 7` |
//! | Processes of Flink that are killed | `tests/src/bin/flink_ha` | `tests/flink/ha` |
//! | Fuzz targets | [`fuzz`], `fuzz/fuzz_targets` | `fuzz/run 60 reply` |
//! | Instructions | `tests/benches/instructions.rs` | `tests/benches/instructions call` |
//! | Time | `tests/benches/time.rs` | `cargo bench -p pipewright-tests --bench time building` |
//!
//! Snapshots are in `tests/tests/snapshots`, recordings in `tests/fixtures`.
//!
//! # Shared code
//!
//! * [`chaos`] runs flows against a real Flink cluster with faults.
//! * [`fuzz`] has the bodies of the fuzz targets.
//! * [`har`] reads recordings (HAR 1.2).
//! * [`encoding`] decompresses the bodies of recordings.
//! * [`replay`] parses recorded answers with the types of their operations, and writes a report.
//! * [`routes`] finds the operation that an address belongs to.
//! * [`replies`] reads an answer with the type of its operation, given by name.
//! * [`json_coverage`] measures how much of an answer survives being read and written back.
//! * [`shorten`] shortens stack traces and Base64 in snapshots.
//! * [`unmatched`] says why recorded exchanges belong to no operation.
//! * [`rival_client`] is a simulated Feldera with a built-in second client.
//! * [`documented`] compares the tables in the documentation with the operations.
//! * [`recorded`] is a runtime whose answers a function computes. It also finds recorded answers by name.
//! * [`synthetic_service`] is an invented service. It drives calls through all possible outcomes.

pub mod chaos;
pub mod documented;
pub mod encoding;
mod feldera;
pub mod fuzz;
pub mod har;
pub mod json_coverage;
pub mod recorded;
pub mod replay;
pub mod replies;
pub mod rival_client;
pub mod routes;
pub mod shorten;
pub mod synthetic_service;
pub mod unmatched;

/// Compiles the examples of the README, and those of the packages.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../core/README.md")]
#[doc = include_str!("../../transport-mock/README.md")]
#[doc = include_str!("../../transport-ureq/README.md")]
pub struct Readme;

//! What the suites share: recordings of real servers, and the tables that say what they hold.
//!
//! * [`chaos`] is a real Flink cluster on a bad day.
//! * [`fuzz`] is what the fuzz targets do.
//! * [`har`] reads recordings (HAR 1.2).
//! * [`encoding`] decompresses their bodies.
//! * [`replay`] reads recorded answers with the types of their operations, and reports.
//! * [`routes`] finds the operation that an address belongs to.
//! * [`replies`] reads an answer with the type of its operation, given by name.
//! * [`leaves`] measures how much of an answer survives being read and written back.
//! * [`shorten`] makes stack traces and Base64 bearable in snapshots.
//! * [`unmatched`] says why recorded exchanges belong to no operation.
//! * [`contest`] is a simulated Feldera with a second client in it.
//! * [`documented`] holds the tables in the documentation against the operations.
//! * [`fake`] is a service whose answers are a function, and finds recorded answers by name.
//! * [`lab`] is a service of our own and drives calls through all that can happen.

pub mod chaos;
pub mod contest;
pub mod documented;
pub mod encoding;
pub mod fake;
mod feldera;
pub mod fuzz;
pub mod har;
pub mod lab;
pub mod leaves;
pub mod replay;
pub mod replies;
pub mod routes;
pub mod shorten;
pub mod unmatched;

/// The README's conversation compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

//! What the suites share: recordings of real servers, and the tables that say what they hold.
//!
//! * [`chaos`] is a real Flink cluster on a bad day.
//! * [`fuzz`] is what the fuzz targets do.
//! * [`har`] reads recordings (HAR 1.2).
//! * [`encoding`] decompresses their bodies.
//! * [`replay`] reads recorded answers with the types of their operations, and reports.
//! * [`routes`] finds the operation that an address belongs to.
//! * [`replies`] reads an answer with the type of its operation, given by name.
//! * [`json_coverage`] measures how much of an answer survives being read and written back.
//! * [`shorten`] makes stack traces and Base64 bearable in snapshots.
//! * [`unmatched`] says why recorded exchanges belong to no operation.
//! * [`rival_client`] is a simulated Feldera with a second client in it.
//! * [`documented`] holds the tables in the documentation against the operations.
//! * [`recorded`] is a service whose answers are a function, and finds recorded answers by name.
//! * [`synthetic_service`] is a service of our own and drives calls through all that can happen.

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

/// The README's conversation compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

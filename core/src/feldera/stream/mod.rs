//! Streams: changes of views, results of queries, logs, time series.
//!
//! A body that ends as HTTP says it should may still be cut off: Feldera's proxy ends bodies cleanly when a pipeline stops
//! or panics. Each decoder tells by its format what can be told.

mod egress;
pub(super) mod logs;
mod query;
mod rows;
pub(super) mod samples;

pub use self::egress::{Chunk, Egress, HttpOutput, Rows};
pub use self::logs::{GetLogs, Logs};
pub use self::query::{AdhocQuery, QueryFormat, QueryResult};
pub use self::samples::{Samples, StreamTimeSeries};

use bytes::Bytes;
use http::Response;

use super::FelderaApi;
use super::value::refuse_page;
use crate::error::ServiceError;
use crate::operation::{Info, Operation, Service};

/// The rows of the operations here.
pub(crate) const OPERATIONS: &[&Info] = &[HttpOutput::INFO, AdhocQuery::INFO];

/// Checks the head of a live answer.
fn head(info: &'static Info, response: &Response<Bytes>) -> Result<(), ServiceError> {
    if response.status().is_success() { refuse_page(info, response) } else { Err(FelderaApi::refusal(info, response)) }
}

//! Streams: changes of views, results of queries, logs, time series.
//!
//! A body that ends as HTTP says it should may still be cut off: Feldera's proxy ends bodies cleanly when a pipeline
//! stops or panics. Each decoder tells by its format what can be told:
//!
//! | stream | a proper end | after it |
//! |---|---|---|
//! | [`Egress`] | stop, panic or death of the pipeline: never the end of the data | another subscription, see [`HttpOutput`] |
//! | [`QueryResult`] | whole, cut off or failed, as its format tells | a query that only reads may be sent again |
//! | [`Logs`] | pipeline deleted, runner restarted, or read too slowly | another connection, through a [`LogHistory`] |
//! | [`Samples`] | the pipeline has stopped | another connection repeats up to a minute: compare [`time`](super::stats::Sample::time) |
//!
//! To read the changes of rows that the same program ingests, and to know that there are no more, use a
//! [`Subscription`](super::Subscription), or [`AwaitDelivery`](super::AwaitDelivery) on other drivers.

pub(super) mod egress;
mod history;
mod log_cursor;
pub(super) mod logs;
pub(super) mod query;
mod rows;
pub(super) mod samples;
mod typed;

pub use self::egress::{Chunk, ChunkRows, Egress, EgressProgress, HttpOutput};
pub use self::history::{LogHistory, LogResume};
pub use self::log_cursor::{LogCursor, LogCursorError, LogPosition};
pub use self::logs::{GetLogs, Logs};
pub use self::query::{AdhocQuery, QueryFormat, QueryResult};
pub use self::samples::{Samples, StreamTimeSeries};
pub use self::typed::{Changes, RowChange};

use super::value::reject_page;

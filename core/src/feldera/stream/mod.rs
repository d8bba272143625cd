//! Streams: changes of views, results of queries, logs, time series.
//!
//! A body with a proper end by HTTP may still be cut off: Feldera's proxy ends bodies cleanly when a pipeline stops or
//! panics. Each decoder detects what its format allows:
//!
//! | stream | meaning of a proper end | what to do then |
//! |---|---|---|
//! | [`Egress`] | the pipeline has stopped, panicked or died: never the end of the data | subscribe again: see [`HttpOutput`] |
//! | [`QueryResult`] | complete, cut off or failed: its format shows which | send the query again if it only reads |
//! | [`Logs`] | the pipeline was deleted, the runner was restarted, or the client read too slowly | connect again with a [`LogHistory`] |
//! | [`Samples`] | the pipeline has stopped | connect again; the server repeats up to a minute of samples: compare [`time`](super::stats::Sample::time) |
//!
//! To read the changes of rows that the same program ingests, and to know when all have arrived, use a
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

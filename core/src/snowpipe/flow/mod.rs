//! Snowpipe Streaming's flows: what takes several exchanges.
//!
//! | goal | comes to | saves |
//! |---|---|---|
//! | [`OpenChannel`] | a [`Channel`], once the rows of before are committed | |
//! | [`Append`] | the channel again, its batch buffered | |
//! | [`AwaitCommitted`] | an offset token is committed | |
//! | [`Reconcile`] | what became of what was sent, and a channel for the rest | |
//! | [`DropChannel`] | the channel is gone | |
//! | [`AppendElastic`] | rows without a channel, at least once | |
//! | [`OpenWriter`] | a [`Writer`]: rows in, exactly once, or an error that names the unconfirmed ones; it yields more than once | position, before each append and at the end |
//!
//! All go to the ingest host ([`SnowpipeIngest`](super::SnowpipeIngest)). A [session](super::Session) knows it and has the token:
//! `account.run(session.run(OpenChannel::new(path)))`. A writer is given its session, and runs on the account's handle by itself.

pub mod append;
mod busy_backoff;
pub mod committed;
pub mod drop;
mod elapsed;
pub mod elastic;
mod loss_detector;
pub mod open;
mod path;
pub mod position;
mod recent_tokens;
pub mod reconcile;
pub mod status_batcher;
pub mod writer;

pub use append::Append;
pub use committed::{AwaitCommitted, Committed};
pub use drop::DropChannel;
pub use elastic::{AppendElastic, ElasticAppend};
pub use open::{Channel, OpenChannel};
pub use path::ChannelPath;
pub use position::{ChannelLost, Position, RejectedRows};
pub use reconcile::{Reconcile, Reconciled};
pub use status_batcher::StatusBatcher;
pub use writer::{OpenWriter, Refusal, Refused, UnsettledRows, Writer, WriterEvent};

//! The flows of Snowpipe Streaming. `flows.md` describes them.

pub(crate) mod append;
mod busy_request;
pub(crate) mod committed;
pub(crate) mod drop;
mod elapsed;
pub(crate) mod elastic;
mod loss_detector;
pub(crate) mod open;
mod path;
pub(crate) mod position;
mod recent_tokens;
pub(crate) mod reconcile;
pub(crate) mod status_batcher;
pub(crate) mod writer;

pub use append::Append;
pub use committed::{AwaitCommitted, Committed};
pub use drop::DropChannel;
pub use elastic::{AppendElastic, ElasticAppend};
pub use open::{Channel, OpenChannel};
pub use path::ChannelPath;
pub use position::{ChannelLost, Position, RejectedRows};
pub use reconcile::{Reconcile, Reconciled};
pub use status_batcher::StatusBatcher;
pub use writer::{AppendError, OpenWriter, PushError, UnsettledRows, Writer, WriterEvent, WriterMetrics};

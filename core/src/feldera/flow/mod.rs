//! The flows of Feldera. `flows.md` describes them.

pub(crate) mod approve;
pub(crate) mod await_completion;
pub(crate) mod await_connectors;
pub(crate) mod await_delivery;
pub(crate) mod checkpoint;
pub(crate) mod clear;
pub(crate) mod compile;
mod confirm;
pub(crate) mod deploy;
mod diagnosis;
pub(crate) mod ensure;
pub(crate) mod ingest;
mod interruption;
mod obstacles;
mod recompile;
mod reconcile;
pub(crate) mod resize;
mod stall_detector;
mod status_poller;
pub(crate) mod stop;
pub(crate) mod sync_checkpoint;
#[cfg(test)]
mod test_answers;
pub(crate) mod transaction;
mod unknown_outcome;

pub use approve::ApproveBootstrap;
pub use await_completion::{AwaitCompletion, Completed};
pub use await_connectors::{AwaitConnectorsFinished, FinishedConnector};
pub use await_delivery::{AwaitDelivery, DeliveryProof, DeliveryWatch, SentRows, Undelivered};
pub use checkpoint::{Checkpoint, Checkpointed};
pub use clear::ClearStorage;
pub use compile::Compile;
pub use deploy::{Change, Deploy, Deployed};
pub use ensure::{EnsurePaused, EnsureRunning};
pub use ingest::{
    AcceptedRows, Ingest, IngestChunk, IngestEvent, IngestProgress, Ingestion, PushError, RejectedRow, RejectedRows,
    UnconfirmedRows,
};
pub use interruption::Interruption;
pub use resize::{Resize, Resized};
pub use stop::{Stop, Stopped};
pub use sync_checkpoint::{SyncCheckpoint, Synced};
pub use transaction::{Transaction, TransactionEvent, TransactionRun};
pub use unknown_outcome::UnknownOutcome;

use crate::flow::PollInterval;

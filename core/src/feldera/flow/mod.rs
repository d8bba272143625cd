//! Feldera's flows: what takes several exchanges.
//!
//! | goal | comes to |
//! |---|---|
//! | [`Compile`] | a compiled program, or the compilers' errors with their places, or what kept the platform from compiling it |
//! | [`Deploy`] | a pipeline that runs the SQL it was given: created, or stopped, changed and started |
//! | [`EnsureRunning`] | the pipeline runs |
//! | [`EnsurePaused`] | the pipeline is there and rests |
//! | [`Stop`] | the pipeline is stopped, and its checkpoint if it made one |
//! | [`ClearStorage`] | nothing is left of what it has computed |
//! | [`ApproveBootstrap`] | views that have changed are filled, and the pipeline is up |
//! | [`AwaitCompletion`] | what a token covers has gone through |
//! | [`AwaitConnectorsFinished`] | connectors have come to their end, and what they took in has gone through |
//! | [`Transaction`] | what comes in between its start and its commit is processed together: a session |
//! | [`Checkpoint`], [`SyncCheckpoint`] | what the pipeline holds is durable, and in the object store |
//! | [`Ingest`] | rows are in, chunk by chunk, and processed: a session |
//!
//! A success of start, stop, pause, resume and clear records a wish, and the flows wait until it is granted. They look at
//! what a pipeline is **and** is to be, at its deployment and at its error, and so they end also when it goes another way: in
//! [`FlowError::Failed`](crate::error::FlowError::Failed) with an [`Interruption`] that says which. When two clients want
//! different things of one pipeline, the flow of one ends and does not fight.
//!
//! The manager learns of the end of a process some seconds later than the clients do. A flow whose requests meet that end
//! (410 `Terminating`, 500 with the code of a panic, a closed connection) polls the pipeline for up to ten seconds and then
//! reports [`Interruption::Crashed`] with the cause. In these seconds a pause, or a stop that has only been requested, is no cause.
//! A flow that says that a pipeline is up ([`EnsureRunning`], [`EnsurePaused`],
//! [`ApproveBootstrap`], [`Deploy`]) succeeds only after the process itself has answered.
//!
//! Feldera keeps no record of who wished what. A flow about a pipeline's life that was interrupted is run again from the
//! beginning: it finds what is done already. [`Transaction`], [`Checkpoint`] and [`SyncCheckpoint`] announce a state to save
//! before each request that matters.

pub mod approve;
pub mod await_completion;
pub mod await_connectors;
pub mod checkpoint;
pub mod clear;
pub mod compile;
mod confirm;
pub mod deploy;
pub mod ensure;
pub mod ingest;
mod inquiry;
mod interruption;
mod looks;
mod obstacles;
mod pulse;
mod recompile;
mod steer;
pub mod stop;
pub mod sync_checkpoint;
pub mod transaction;
mod unconfirmed;

use std::time::Duration;

pub use approve::ApproveBootstrap;
pub use await_completion::{AwaitCompletion, Completed};
pub use await_connectors::{AwaitConnectorsFinished, FinishedConnector};
pub use checkpoint::{Checkpoint, Checkpointed};
pub use clear::ClearStorage;
pub use compile::Compile;
pub use deploy::{Change, Deploy, Deployed};
pub use ensure::{EnsurePaused, EnsureRunning};
pub use ingest::{
    Accepted, Chunk, Doubt, Ingest, IngestEvent, IngestProgress, Ingestion, PushError, Rejected, RejectedRow,
};
pub use interruption::Interruption;
pub use stop::{Stop, Stopped};
pub use sync_checkpoint::{SyncCheckpoint, Synced};
pub use transaction::{Transaction, TransactionEvent, TransactionRun};
pub use unconfirmed::Unconfirmed;

use crate::flow::Pace;

/// How long it may take until a pause or resume that was accepted shows in what a pipeline is to be: the runner asks the
/// process every 2.5 s, and waits up to 5 s for its answer.
const GRACE: Duration = Duration::from_secs(10);

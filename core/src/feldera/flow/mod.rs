//! Feldera's flows: goals that take several exchanges.
//!
//! | goal | succeeds when |
//! |---|---|
//! | [`Compile`] | the program is compiled; fails with the compilers' errors and their positions, or with the failure of the platform |
//! | [`Deploy`] | the pipeline runs the given SQL: it is created, or stopped, changed and started |
//! | [`EnsureRunning`] | the pipeline runs |
//! | [`EnsurePaused`] | the pipeline is deployed and paused |
//! | [`Stop`] | the pipeline is stopped; returns its checkpoint if it made one |
//! | [`ClearStorage`] | the pipeline's storage is empty |
//! | [`ApproveBootstrap`] | changed views are backfilled, and the pipeline runs |
//! | [`AwaitCompletion`] | the input that a completion token covers is processed |
//! | [`AwaitConnectorsFinished`] | connectors have reached the end of their input, and it is processed |
//! | [`Transaction`] | the input between its start and its commit is processed together (an event flow) |
//! | [`Checkpoint`], [`SyncCheckpoint`] | the pipeline's state is durable; and copied to the object store |
//! | [`Ingest`] | rows are ingested in chunks, and processed (an event flow) |
//!
//! Start, stop, pause, resume and clear only set the *desired* status, and the flows wait until the actual status agrees. They
//! poll both, and the deployment and its error. If the pipeline takes another way, a flow ends with
//! [`FlowError::Failed`](crate::error::FlowError::Failed) and an [`Interruption`] that names the cause. If two clients request
//! different statuses of one pipeline, one flow ends and does not act again.
//!
//! The manager learns of the end of a process some seconds later than the clients do. A flow whose requests meet that end
//! (410 `Terminating`, 500 with the code of a panic, a closed connection) polls the pipeline for up to ten seconds and then
//! reports [`Interruption::Crashed`] with the cause. In these seconds a pause, or a stop that has only been requested, is no cause.
//! A flow that says that a pipeline is up ([`EnsureRunning`], [`EnsurePaused`],
//! [`ApproveBootstrap`], [`Deploy`]) succeeds only after the process itself has answered.
//!
//! Feldera keeps no record of which client set the desired status. If a flow about a pipeline's life cycle was interrupted, run it
//! again from the beginning: it skips what is done already. [`Transaction`], [`Checkpoint`] and [`SyncCheckpoint`] tell the listener
//! a state to save before each request that must not be repeated.

pub mod approve;
pub mod await_completion;
pub mod await_connectors;
pub mod checkpoint;
pub mod clear;
pub mod compile;
mod confirm;
pub mod deploy;
mod diagnosis;
pub mod ensure;
pub mod ingest;
mod interruption;
mod obstacles;
mod recompile;
mod reconcile;
mod stall_detector;
mod status_poller;
pub mod stop;
pub mod sync_checkpoint;
pub mod transaction;
mod unknown_outcome;

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
    Accepted, Chunk, Ingest, IngestEvent, IngestProgress, Ingestion, PushError, Rejected, RejectedRow, UnconfirmedRows,
};
pub use interruption::Interruption;
pub use stop::{Stop, Stopped};
pub use sync_checkpoint::{SyncCheckpoint, Synced};
pub use transaction::{Transaction, TransactionEvent, TransactionRun};
pub use unknown_outcome::UnknownOutcome;

use crate::flow::PollInterval;

/// How long it may take until an accepted pause or resume shows in the desired status: the runner asks the process every 2.5 s,
/// and waits up to 5 s for its answer.
const GRACE: Duration = Duration::from_secs(10);

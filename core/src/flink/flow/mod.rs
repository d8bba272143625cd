//! Flink's flows: what takes several exchanges.
//!
//! | goal | comes to | saves |
//! |---|---|---|
//! | [`RunJar`] | a submitted job, under an id chosen beforehand | jar and job id, before submitting |
//! | [`AwaitJob`] | the job runs, or has ended | |
//! | [`TakeSavepoint`] | a savepoint | trigger id, before triggering |
//! | [`StopWithSavepoint`] | a savepoint, and the job has ended | trigger id, before triggering |
//! | [`TriggerCheckpoint`] | a checkpoint | trigger id, before triggering |
//! | [`AwaitCheckpoint`] | a checkpoint that the job completes by itself | |
//! | [`WatchJob`] | each state and each exception of a job, one by one: a session | |
//! | [`Rescale`] | the job runs with another parallelism | |
//! | [`DisposeSavepoint`], [`DeleteDataset`] | it is gone | |
//! | [`SampleFlameGraph`] | what the threads of a vertex are doing | |
//! | [`Profile`] | what a JobManager or TaskManager is doing | |
//! | [`Cancel`] | the job has ended | |
//! | [`ReadMetrics`], [`ReadAggregatedMetrics`] | metrics with their values, by one call | |
//! | [`UpgradeJob`] | the new jar goes on from the old one's state, or the old one does again | everything, before each step |
//!
//! A trigger id is sent again only while no answer to it was seen. One that the server has forgotten ends as
//! [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous), after looking at the job and its last savepoint, and
//! never in a second id. Of a stop the job tells more: it is FINISHED with the savepoint, or it runs on.
//!
//! A jar's main method is executed again only if the JobManager that executed it last is seen to be alive, because a main method
//! that calls `System.exit` kills it: see [`JobManagerLookup`].
//!
//! Errors carry ids and paths as values: [`JobDiagnosis`] has the job, its state, the trigger, the jar, the savepoint that
//! was written, and the last ones that the cluster lists; [`UpgradeDiagnosis`] has those of an upgrade.
//! [`FlowError::evidence`](crate::error::FlowError::evidence) finds them.

pub mod await_checkpoint;
pub mod await_job;
pub mod cancel;
mod diagnose;
mod diagnosis;
pub mod dispose;
pub mod flame_graph;
mod job_manager;
mod lookup_retry;
mod observation_window;
pub mod profile;
pub mod read_metrics;
pub mod rescale;
pub mod run_jar;
pub mod stop;
pub mod trigger;
pub mod triggers;
pub mod upgrade;
mod upload;
pub mod watch;

pub use await_checkpoint::AwaitCheckpoint;
pub use await_job::{AwaitJob, JobReport};
pub use cancel::Cancel;
pub use diagnosis::{JobDiagnosis, JobLookup, JobManagerLookup, Snapshot};
pub use dispose::{DeleteDataset, DisposeSavepoint, Removed};
pub use flame_graph::SampleFlameGraph;
pub use profile::{Profile, Profiled};
pub use read_metrics::{ReadAggregatedMetrics, ReadMetrics};
pub use rescale::{Rescale, Rescaled};
pub use run_jar::{Launched, RunJar};
pub use stop::{StopWithSavepoint, Stopped};
pub use triggers::{Savepoint, TakeSavepoint, TriggerCheckpoint};
pub use upgrade::{Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase, UpgradeStatus};
pub use watch::{JobEvent, JobWatch, WatchJob};

pub(crate) use crate::flow::PollInterval;

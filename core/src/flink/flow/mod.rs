//! The flows of Flink. `flows.md` describes them.

pub(crate) mod async_operation;
pub(crate) mod await_checkpoint;
pub(crate) mod await_job;
pub(crate) mod cancel;
mod diagnose;
mod diagnosis;
pub(crate) mod dispose;
pub(crate) mod flame_graph;
mod job_manager;
mod lookup_retry;
mod observation_window;
pub(crate) mod profile;
pub(crate) mod read_metrics;
pub(crate) mod rescale;
pub(crate) mod run_jar;
pub(crate) mod stop;
pub(crate) mod upgrade;
mod upload;
pub(crate) mod watch;
mod watch_jobs;

pub use async_operation::{Savepoint, TakeSavepoint, TriggerCheckpoint};
pub use await_checkpoint::AwaitCheckpoint;
pub use await_job::{AwaitJob, JobReport};
pub use cancel::Cancel;
pub use diagnosis::{JobDiagnosis, JobLookup, Snapshot};
pub use dispose::{DeleteDataset, DisposeSavepoint, Removed};
pub use flame_graph::SampleFlameGraph;
pub use job_manager::JobManagerLookup;
pub use profile::{Profile, Profiled};
pub use read_metrics::{ReadAggregatedMetrics, ReadMetrics};
pub use rescale::{Rescale, Rescaled};
pub use run_jar::{Launched, RunJar};
pub use stop::{StopWithSavepoint, Stopped};
pub use upgrade::{Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase, UpgradeStatus};
pub use watch::{JobEvent, JobWatch, WatchJob};
pub use watch_jobs::{JobListEvent, JobListWatch, WatchJobs};

pub(crate) use crate::flow::PollInterval;

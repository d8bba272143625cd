//! [`Found`]: what the cluster says of a job.

use pipewright::error::FlowError;
use pipewright::flink::jobs::{GetJobStatus, JobState};
use pipewright::flink::{Flink, JobId, is_unknown_job};
use pipewright_ureq::Ureq;

/// What the cluster says of a job.
pub(crate) enum Found {
    Runs(JobState),
    Ended(JobState),
    /// It has never had this job, has forgotten it, or has lost it in a restart.
    NotKnown,
    /// It could not be asked.
    NotAsked(FlowError),
}

impl Found {
    pub(crate) fn of(flink: &Flink<Ureq>, job: JobId) -> Self {
        match flink.call(GetJobStatus::new(job)) {
            Ok(found) if found.status.is_terminal() => Self::Ended(found.status),
            Ok(found) => Self::Runs(found.status),
            Err(FlowError::Service(error)) if is_unknown_job(&error) => Self::NotKnown,
            Err(error) => Self::NotAsked(error),
        }
    }
}

/// Before another job starts from a savepoint, the old job must not run: both would do the same work.
pub(crate) fn still_runs(job: JobId, state: &JobState) -> String {
    format!(
        "job {job} is {state}: --from-savepoint is for a job that is stopped; leave it out to upgrade a running job, or stop the job \
         first"
    )
}

/// A mistyped id looks the same as a job that ended long ago.
pub(crate) fn not_known(job: JobId) -> String {
    format!(
        "the cluster does not know job {job}: it has ended long ago, or the JobManager was restarted; if --job is wrong and the job \
         runs under another id, there will be two jobs"
    )
}

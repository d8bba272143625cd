//! The table from an operation's name to the type that reads its answer.

use bytes::Bytes;
use http::Response;
use pipewright::Operation;
use pipewright::error::ServiceError;
use pipewright::flink::{
    CancelJob, DeleteJar, GetCheckpointStatus, GetCheckpoints, GetConfig, GetJob, GetJobAccumulators, GetJobExceptions,
    GetJobExecutionResult, GetJobStatus, GetJobs, GetJobsOverview, GetOverview, GetSavepointStatus, JobId, ListJars,
    PlanJar, StartCheckpoint, StartSavepoint, StartStop, SubmitJar, TriggerId, UploadJar,
};
use serde::Serialize;

/// What became of an answer.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Written back as JSON.
    pub json: String,
    /// As the type shows itself.
    pub debug: String,
}

type Parse = fn(Response<Bytes>) -> Result<Parsed, ServiceError>;

const JOB: JobId = JobId::from_bits(1);
const TRIGGER: TriggerId = TriggerId::from_bits(2);

/// One row for each operation: its name, and how its answer is read. What is asked for does not matter.
pub const TABLE: &[(&str, Parse)] = &[
    ("getClusterOverview", |answer| parse(&GetOverview::new(), answer)),
    ("getDashboardConfiguration", |answer| parse(&GetConfig::new(), answer)),
    ("getJarList", |answer| parse(&ListJars::new(), answer)),
    ("deleteJar", |answer| parse(&DeleteJar::new("a.jar"), answer)),
    ("generatePlanFromJar", |answer| parse(&PlanJar::new("a.jar"), answer)),
    ("submitJobFromJar", |answer| parse(&SubmitJar::new("a.jar"), answer)),
    ("uploadJar", |answer| parse(&UploadJar::new("a.jar", ""), answer)),
    ("getJobIdsWithStatusesOverview", |answer| parse(&GetJobs::new(), answer)),
    ("getJobsOverview", |answer| parse(&GetJobsOverview::new(), answer)),
    ("getJobDetails", |answer| parse(&GetJob::new(JOB), answer)),
    ("getJobStatusInfo", |answer| parse(&GetJobStatus::new(JOB), answer)),
    ("cancelJob", |answer| parse(&CancelJob::new(JOB), answer)),
    ("getJobExceptions", |answer| parse(&GetJobExceptions::new(JOB), answer)),
    ("getJobExecutionResult", |answer| parse(&GetJobExecutionResult::new(JOB), answer)),
    ("getJobAccumulators", |answer| parse(&GetJobAccumulators::new(JOB), answer)),
    ("triggerSavepoint", |answer| parse(&StartSavepoint::new(JOB), answer)),
    ("triggerStopWithSavepoint", |answer| parse(&StartStop::new(JOB), answer)),
    ("getSavepointStatus", |answer| parse(&GetSavepointStatus::new(JOB, TRIGGER), answer)),
    ("getCheckpointingStatistics", |answer| parse(&GetCheckpoints::new(JOB), answer)),
    ("triggerCheckpoint", |answer| parse(&StartCheckpoint::new(JOB), answer)),
    ("getCheckpointStatus", |answer| parse(&GetCheckpointStatus::new(JOB, TRIGGER), answer)),
];

/// Reads an answer with the type of an operation, given by the vendor's name; `None` for an unknown name.
///
/// # Errors
/// Inside: the operation's.
pub fn parse_with(name: &str, answer: Response<Bytes>) -> Option<Result<Parsed, ServiceError>> {
    let (_, parse) = TABLE.iter().find(|(row, _)| *row == name)?;
    Some(parse(answer))
}

fn parse<O>(operation: &O, answer: Response<Bytes>) -> Result<Parsed, ServiceError>
where
    O: Operation<Output: Serialize + std::fmt::Debug>,
{
    let output = operation.parse(answer)?;
    // Records serialise without a failure.
    Ok(Parsed { json: serde_json::to_string(&output).unwrap_or_default(), debug: format!("{output:#?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_one_row() {
        let mut rows: Vec<_> = TABLE.iter().map(|(name, _)| *name).collect();
        let mut operations: Vec<_> = pipewright::operations().map(|info| info.name).collect();
        rows.sort_unstable();
        operations.sort_unstable();
        assert_eq!(rows, operations);
    }
}

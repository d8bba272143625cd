//! The table from an operation's name to the type that reads its answer.

use bytes::Bytes;
use http::Response;
use pipewright::Operation;
use pipewright::decode::{Decoder, End, Lines};
use pipewright::error::ServiceError;
use pipewright::flink::applications::{
    CancelApplication, GetApplication, GetApplicationConfig, GetApplicationExceptions, ListApplications,
};
use pipewright::flink::checkpoints::{
    GetCheckpointConfig, GetCheckpointDetails, GetCheckpointStatus, GetCheckpoints, GetVertexCheckpoint,
    StartCheckpoint,
};
use pipewright::flink::cluster::{GetConfig, GetOverview, ShutdownCluster};
use pipewright::flink::datasets::{GetDatasetDeletion, ListDatasets, StartDatasetDeletion};
use pipewright::flink::disposal::{GetSavepointDisposal, StartSavepointDisposal};
use pipewright::flink::flamegraph::GetFlameGraph;
use pipewright::flink::jars::{DeleteJar, GetJarPlan, ListJars, PlanJar, RunApplication, SubmitJar, UploadJar};
use pipewright::flink::jobmanager::{
    GetJobManagerConfig, GetJobManagerEnvironment, GetJobManagerLog, GetJobManagerLogFile, GetJobManagerStdout,
    GetJobManagerThreadDump, ListJobManagerLogs,
};
use pipewright::flink::jobs::{
    CancelJob, Coordinate, GetJob, GetJobAccumulators, GetJobConfig, GetJobExceptions, GetJobExecutionResult,
    GetJobManagerJobConfig, GetJobManagerJobEnvironment, GetJobManagerLogUrl, GetJobPlan, GetJobStatus, GetJobs,
    GetJobsOverview, GetTaskManagerLogUrl, SendHeartbeat, SubmitGraph, YarnCancelJob, YarnStopJob,
};
use pipewright::flink::metrics::{
    GetAggregatedJobMetrics, GetAggregatedSubtaskMetrics, GetAggregatedTaskManagerMetrics, GetCoordinatorMetrics,
    GetJobManagerMetrics, GetJobMetrics, GetSubtaskMetrics, GetTaskManagerMetrics, GetVertexMetrics,
};
use pipewright::flink::profiler::{
    GetJobManagerProfile, GetTaskManagerProfile, ListJobManagerProfiles, ListTaskManagerProfiles, ProfileMode,
    StartJobManagerProfile, StartTaskManagerProfile,
};
use pipewright::flink::rescaling::{
    GetRescale, GetRescaleConfig, GetRescales, GetRescalesOverview, GetRescalesSummary, GetRescalingStatus,
    GetResourceRequirements, PutResourceRequirements, ResourceRequirements, StartRescaling,
};
use pipewright::flink::savepoints::{GetSavepointStatus, StartSavepoint, StartStop};
use pipewright::flink::sql_gateway::{self as sql, OperationHandle, SessionHandle};
use pipewright::flink::taskmanagers::{
    GetTaskManager, GetTaskManagerLog, GetTaskManagerLogFile, GetTaskManagerStdout, GetTaskManagerThreadDump,
    ListTaskManagerLogs, ListTaskManagers,
};
use pipewright::flink::vertices::{
    GetAttempt, GetAttemptAccumulators, GetBackPressure, GetSubtask, GetSubtaskAccumulators, GetSubtaskTimes,
    GetVertex, GetVertexAccumulators, GetVertexTaskManagers, GetWatermarks,
};
use pipewright::flink::{ApplicationId, DatasetId, JobId, Millis, RescaleId, TriggerId, VertexId};
use pipewright::snowpipe::RequestId;
use pipewright::snowpipe::account::{ExchangeToken, GetHostname, TokenType};
use pipewright::snowpipe::append::AppendRows;
use pipewright::snowpipe::channels::{BulkGetChannelStatus, DropChannelOperation, OpenChannelOperation};
use pipewright::snowpipe::elastic::{AppendElasticOperation, AppendElasticToTable};
use serde::Serialize;

use crate::feldera;

/// The outcome of an answer.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Written back as JSON.
    pub json: String,
    /// As the type shows itself.
    pub debug: String,
    /// Whether the answer was text, and `json` holds it in another shape.
    pub is_text: bool,
}

pub(crate) type Parse = fn(Response<Bytes>) -> Result<Parsed, ServiceError>;

const JOB: JobId = JobId::from_bits(1);
const TRIGGER: TriggerId = TriggerId::from_bits(2);
const VERTEX: VertexId = VertexId::from_bits(3);
const APPLICATION: ApplicationId = ApplicationId::from_bits(4);
const SESSION: SessionHandle = SessionHandle::from_bits(3);
const OPERATION: OperationHandle = OperationHandle::from_bits(4);
const REQUEST: RequestId = RequestId::from_bits(3);

const SNOWPIPE: &[(&str, Parse)] = &[
    ("getHostname", |answer| parse(&GetHostname::new(TokenType::KeypairJwt, REQUEST), answer)),
    ("exchangeToken", |answer| parse(&ExchangeToken::new(TokenType::KeypairJwt, "host", REQUEST), answer)),
    ("openChannel", |answer| parse(&OpenChannelOperation::new("d", "s", "p", "c", REQUEST, true), answer)),
    ("dropChannel", |answer| parse(&DropChannelOperation::new("d", "s", "p", "c", REQUEST), answer)),
    ("bulkGetChannelStatus", |answer| parse(&BulkGetChannelStatus::new("d", "s", "p", REQUEST, vec![]), answer)),
    ("appendRows", |answer| {
        parse(&AppendRows::new("d", "s", "p", "c", REQUEST, "{}\n").continuation_token("1_0"), answer)
    }),
    ("appendElastic", |answer| parse(&AppendElasticOperation::new("d", "s", "p", REQUEST, "{}\n"), answer)),
    ("appendElasticToTable", |answer| parse(&AppendElasticToTable::new("d", "s", "t", REQUEST, "{}\n"), answer)),
];

/// One row for each operation of Flink: its name, and how its answer is read. What is asked for does not matter.
const FLINK: &[(&str, Parse)] = &[
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
    // Cluster, JobManager, TaskManagers.
    ("shutdownCluster", |answer| parse(&ShutdownCluster::new(), answer)),
    ("getClusterConfigurationInfo", |answer| parse(&GetJobManagerConfig::new(), answer)),
    ("getJobManagerEnvironment", |answer| parse(&GetJobManagerEnvironment::new(), answer)),
    ("getJobManagerLogList", |answer| parse(&ListJobManagerLogs::new(), answer)),
    ("getJobManagerLog", |answer| parse_lines(&GetJobManagerLog::new(), answer)),
    ("getJobManagerStdout", |answer| parse_lines(&GetJobManagerStdout::new(), answer)),
    ("getJobManagerCustomLog", |answer| parse_lines(&GetJobManagerLogFile::new("a"), answer)),
    ("getJobManagerThreadDump", |answer| parse(&GetJobManagerThreadDump::new(), answer)),
    ("getTaskManagers", |answer| parse(&ListTaskManagers::new(), answer)),
    ("getTaskManagerDetails", |answer| parse(&GetTaskManager::new("a"), answer)),
    ("getTaskManagerLogs", |answer| parse(&ListTaskManagerLogs::new("a"), answer)),
    ("getTaskManagerLog", |answer| parse_lines(&GetTaskManagerLog::new("a"), answer)),
    ("getTaskManagerStdout", |answer| parse_lines(&GetTaskManagerStdout::new("a"), answer)),
    ("getTaskManagerCustomLog", |answer| parse_lines(&GetTaskManagerLogFile::new("a", "b"), answer)),
    ("getTaskManagerThreadDump", |answer| parse(&GetTaskManagerThreadDump::new("a"), answer)),
    // Metrics.
    ("getJobManagerMetrics", |answer| parse(&GetJobManagerMetrics::new(), answer)),
    ("getTaskManagerMetrics", |answer| parse(&GetTaskManagerMetrics::new("a"), answer)),
    ("getAggregatedTaskManagerMetrics", |answer| parse(&GetAggregatedTaskManagerMetrics::new(), answer)),
    ("getJobMetrics", |answer| parse(&GetJobMetrics::new(JOB), answer)),
    ("getAggregatedJobMetrics", |answer| parse(&GetAggregatedJobMetrics::new(), answer)),
    ("getJobVertexMetrics", |answer| parse(&GetVertexMetrics::new(JOB, VERTEX), answer)),
    ("getJobManagerOperatorMetrics", |answer| parse(&GetCoordinatorMetrics::new(JOB, VERTEX), answer)),
    ("getSubtaskMetrics", |answer| parse(&GetSubtaskMetrics::new(JOB, VERTEX, 0_u32), answer)),
    ("getAggregatedSubtaskMetrics", |answer| parse(&GetAggregatedSubtaskMetrics::new(JOB, VERTEX), answer)),
    // Vertices and subtasks.
    ("getJobVertexDetails", |answer| parse(&GetVertex::new(JOB, VERTEX), answer)),
    ("getJobVertexAccumulators", |answer| parse(&GetVertexAccumulators::new(JOB, VERTEX), answer)),
    ("getJobVertexBackPressure", |answer| parse(&GetBackPressure::new(JOB, VERTEX), answer)),
    ("getSubtasksTimes", |answer| parse(&GetSubtaskTimes::new(JOB, VERTEX), answer)),
    ("getJobVertexTaskManagers", |answer| parse(&GetVertexTaskManagers::new(JOB, VERTEX), answer)),
    ("getJobVertexWatermarks", |answer| parse(&GetWatermarks::new(JOB, VERTEX), answer)),
    ("getSubtasksAllAccumulators", |answer| parse(&GetSubtaskAccumulators::new(JOB, VERTEX), answer)),
    ("getSubtaskCurrentAttemptDetails", |answer| parse(&GetSubtask::new(JOB, VERTEX, 0_u32), answer)),
    ("getSubtaskExecutionAttemptDetails", |answer| parse(&GetAttempt::new(JOB, VERTEX, 0_u32, 0_u32), answer)),
    ("getSubtaskExecutionAttemptAccumulators", |answer| {
        parse(&GetAttemptAccumulators::new(JOB, VERTEX, 0_u32, 0_u32), answer)
    }),
    // Applications.
    ("getApplicationsOverview", |answer| parse(&ListApplications::new(), answer)),
    ("getApplicationDetails", |answer| parse(&GetApplication::new(APPLICATION), answer)),
    ("cancelApplication", |answer| parse(&CancelApplication::new(APPLICATION), answer)),
    ("getApplicationExceptions", |answer| parse(&GetApplicationExceptions::new(APPLICATION), answer)),
    ("getJobManagerApplicationConfiguration", |answer| parse(&GetApplicationConfig::new(APPLICATION), answer)),
    ("submitApplicationFromJar", |answer| parse(&RunApplication::new("a.jar"), answer)),
    // Jobs: how they are set up, and old ways to submit and end them.
    ("getPlanFromJar", |answer| parse(&GetJarPlan::new("a.jar"), answer)),
    ("getJobConfig", |answer| parse(&GetJobConfig::new(JOB), answer)),
    ("getJobPlan", |answer| parse(&GetJobPlan::new(JOB), answer)),
    ("getJobManagerJobConfiguration", |answer| parse(&GetJobManagerJobConfig::new(JOB), answer)),
    ("getJobManagerJobEnvironment", |answer| parse(&GetJobManagerJobEnvironment::new(JOB), answer)),
    ("getJobManagerLogUrl", |answer| parse(&GetJobManagerLogUrl::new(JOB), answer)),
    ("getTaskManagerLogUrl", |answer| parse(&GetTaskManagerLogUrl::new(JOB, "a"), answer)),
    ("triggerHeartbeat", |answer| parse(&SendHeartbeat::new(JOB, Millis(1)), answer)),
    ("submitJob", |answer| parse(&SubmitGraph::new(""), answer)),
    ("sendRequestToCoordinator", |answer| parse(&Coordinate::new(JOB, "a", ""), answer)),
    ("yarnCancelJob", |answer| parse(&YarnCancelJob::new(JOB), answer)),
    ("yarnStopJob", |answer| parse(&YarnStopJob::new(JOB), answer)),
    // Checkpoints.
    ("getCheckpointConfig", |answer| parse(&GetCheckpointConfig::new(JOB), answer)),
    ("getCheckpointStatisticDetails", |answer| parse(&GetCheckpointDetails::new(JOB, 1), answer)),
    ("getTaskCheckpointStatistics", |answer| parse(&GetVertexCheckpoint::new(JOB, 1, VERTEX), answer)),
    ("getClusterDataSetList", |answer| parse(&ListDatasets::new(), answer)),
    ("deleteClusterDataSet", |answer| parse(&StartDatasetDeletion::new(DatasetId::from_bits(1)), answer)),
    ("getClusterDataSetDeleteStatus", |answer| parse(&GetDatasetDeletion::new(TRIGGER), answer)),
    ("triggerSavepointDisposal", |answer| parse(&StartSavepointDisposal::new("file:/a"), answer)),
    ("getSavepointDisposalStatus", |answer| parse(&GetSavepointDisposal::new(TRIGGER), answer)),
    ("getJobManagerProfilingList", |answer| parse(&ListJobManagerProfiles::new(), answer)),
    ("triggerJobManagerProfiling", |answer| parse(&StartJobManagerProfile::new(ProfileMode::Itimer, 1_u32), answer)),
    ("getJobManagerProfilingFile", |answer| parse_text(&GetJobManagerProfile::new("a"), answer)),
    ("getTaskManagerProfilingList", |answer| parse(&ListTaskManagerProfiles::new("a"), answer)),
    ("triggerTaskManagerProfiling", |answer| {
        parse(&StartTaskManagerProfile::new("a", ProfileMode::Itimer, 1_u32), answer)
    }),
    ("getTaskManagerProfilingFile", |answer| parse_text(&GetTaskManagerProfile::new("a", "b"), answer)),
    ("getJobVertexFlameGraph", |answer| parse(&GetFlameGraph::new(JOB, VertexId::from_bits(1)), answer)),
    ("getJobResourceRequirements", |answer| parse(&GetResourceRequirements::new(JOB), answer)),
    ("updateJobResourceRequirements", |answer| {
        parse(&PutResourceRequirements::new(JOB, ResourceRequirements::default()), answer)
    }),
    ("getJobRescaleConfig", |answer| parse(&GetRescaleConfig::new(JOB), answer)),
    ("getJobRescaleDetails", |answer| parse(&GetRescale::new(JOB, RescaleId::from_bits(1)), answer)),
    ("getJobRescalesHistory", |answer| parse(&GetRescales::new(JOB), answer)),
    ("getJobRescalesOverview", |answer| parse(&GetRescalesOverview::new(JOB), answer)),
    ("getJobRescalesSummary", |answer| parse(&GetRescalesSummary::new(JOB), answer)),
    ("rescaleJob", |answer| parse(&StartRescaling::new(JOB, 2_u32), answer)),
    ("getRescalingStatus", |answer| parse(&GetRescalingStatus::new(JOB, TRIGGER), answer)),
    ("getApiVersion", |answer| parse(&sql::gateway::GetApiVersion::new(), answer)),
    ("getInfo", |answer| parse(&sql::gateway::GetInfo::new(), answer)),
    ("openSession", |answer| parse(&sql::sessions::OpenSession::new(), answer)),
    ("getSessionConfig", |answer| parse(&sql::sessions::GetSessionConfig::new(SESSION), answer)),
    ("closeSession", |answer| parse(&sql::sessions::CloseSession::new(SESSION), answer)),
    ("triggerSession", |answer| parse(&sql::sessions::TriggerSession::new(SESSION), answer)),
    ("configureSession", |answer| parse(&sql::sessions::ConfigureSession::new(SESSION, ""), answer)),
    ("completeStatement", |answer| parse(&sql::sessions::CompleteStatement::new(SESSION, "", 0_u32), answer)),
    ("executeStatement", |answer| parse(&sql::statements::ExecuteStatement::new(SESSION, ""), answer)),
    ("getOperationStatus", |answer| parse(&sql::statements::GetOperationStatus::new(SESSION, OPERATION), answer)),
    ("cancelOperation", |answer| parse(&sql::statements::CancelOperation::new(SESSION, OPERATION), answer)),
    ("closeOperation", |answer| parse(&sql::statements::CloseOperation::new(SESSION, OPERATION), answer)),
    ("fetchResults", |answer| parse(&sql::statements::FetchResults::new(SESSION, OPERATION, 0_u64), answer)),
    ("refreshMaterializedTable", |answer| {
        parse(&sql::statements::RefreshMaterializedTable::new(SESSION, "t", true), answer)
    }),
    ("deployScript", |answer| parse(&sql::statements::DeployScript::new(SESSION), answer)),
];

/// The rows of all services.
fn table() -> impl Iterator<Item = &'static (&'static str, Parse)> {
    [feldera::REPLIES, FLINK, SNOWPIPE].into_iter().flatten()
}

/// The names of the operations, those of one service after those of another.
pub fn names() -> Vec<&'static str> {
    table().map(|(name, _)| *name).collect()
}

/// Reads an answer with the type of an operation, given by the vendor's name; `None` for an unknown name.
///
/// # Errors
/// Inside: the operation's.
pub fn parse_with(name: &str, answer: Response<Bytes>) -> Option<Result<Parsed, ServiceError>> {
    let (_, parse) = table().find(|(row, _)| *row == name)?;
    Some(parse(answer))
}

pub(crate) fn parse<O>(operation: &O, answer: Response<Bytes>) -> Result<Parsed, ServiceError>
where
    O: Operation<Output: Serialize + std::fmt::Debug>,
{
    let output = operation.parse(answer)?;
    // Records serialise without a failure.
    Ok(Parsed {
        json: serde_json::to_string(&output).unwrap_or_default(),
        debug: format!("{output:#?}"),
        is_text: false,
    })
}

/// Reads an answer that is no JSON.
fn parse_text<O>(operation: &O, answer: Response<Bytes>) -> Result<Parsed, ServiceError>
where
    O: Operation<Output: Serialize + std::fmt::Debug>,
{
    parse(operation, answer).map(|parsed| Parsed { is_text: true, ..parsed })
}

/// Reads a live answer to its end: its lines.
fn parse_lines<O: Operation<Output = Lines>>(operation: &O, answer: Response<Bytes>) -> Result<Parsed, ServiceError> {
    let body = answer.body().clone();
    let mut decoder = operation.parse(answer)?;
    decoder.feed(&body);
    // A body that was received whole has no other end.
    let _ = decoder.finish(End::Complete);
    let mut lines = Vec::new();
    while let Ok(true) = decoder.advance() {
        lines.push(String::from_utf8_lossy(decoder.item()).into_owned());
    }
    Ok(Parsed { json: serde_json::to_string(&lines).unwrap_or_default(), debug: format!("{lines:#?}"), is_text: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_one_row() {
        let mut rows = names();
        let mut operations: Vec<_> = pipewright::operations().map(|info| info.name).collect();
        rows.sort_unstable();
        operations.sort_unstable();
        assert_eq!(rows, operations);
    }
}

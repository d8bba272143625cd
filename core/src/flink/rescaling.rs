//! Rescaling: the bounds of a job's parallelism, and the history of its rescales.
//!
//! Only the adaptive scheduler (`jobmanager.scheduler: adaptive`) rescales running jobs. New bounds take effect by a
//! restart of the job from its last checkpoint, after times such as
//! `jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling` (30 s).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::checkpoints::Stats;
use super::jobs::QueueState;
use super::savepoints::{RemovalInfo, Trigger};
use super::{Acknowledged, FlinkRest, JobId, Millis, RescaleId, TriggerId, VertexId};
use crate::error::{BuildError, ServiceError};
use crate::operation::{Effect, FromResponse, Operation, OperationInfo, RequestContext, Target, parse, read_answer};
use crate::schema::{AsWire, JsonBody, Value, json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Returns the bounds of the parallelism of each vertex of a job. Since 1.18. Not cached: new bounds are returned
    /// at once, long before the job has the new parallelism.
    ///
    /// Rejected with 500 if the job uses the default scheduler, is unknown, or has ended.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-resource-requirements).
    Safe GET "/jobs/{jobid}/resource-requirements"
    GetResourceRequirements "getJobResourceRequirements" -> ResourceRequirements {
        path { jobid: JobId }
    }

    /// Returns the scheduler's settings for rescaling a job. Since 2.3.
    ///
    /// Rejected with 404 if the job is unknown, or does not use the adaptive scheduler.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-config).
    Safe GET "/jobs/{jobid}/rescales/config" GetRescaleConfig "getJobRescaleConfig" -> RescaleConfig {
        path { jobid: JobId }
    }

    /// Returns the details of one rescale of a job: vertices, slots, and scheduler states. Since 2.3.
    ///
    /// Rejected with 404 if the rescale is unknown, and as [`GetRescales`] is.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-details-rescaleuuid).
    Safe GET "/jobs/{jobid}/rescales/details/{rescaleuuid}" GetRescale "getJobRescaleDetails" -> RescaleDetails {
        path { jobid: JobId, rescaleuuid: RescaleId }
    }

    /// Returns the rescales of a job, newest first, without vertices, slots and states. Since 2.3.
    ///
    /// Rejected with 404 if the job is unknown, does not use the adaptive scheduler, or if
    /// `web.adaptive-scheduler.rescale-history.size` is 0, the default.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-history).
    Safe GET "/jobs/{jobid}/rescales/history" GetRescales "getJobRescalesHistory" -> Vec<RescaleDetails> {
        path { jobid: JobId }
    }

    /// Returns the numbers of rescales of a job by outcome, and the newest of each kind. Since 2.3.
    ///
    /// Rejected as [`GetRescales`] is.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-overview).
    Safe GET "/jobs/{jobid}/rescales/overview" GetRescalesOverview "getJobRescalesOverview" -> RescalesOverview {
        path { jobid: JobId }
    }

    /// Returns statistics of the durations of a job's rescales. Since 2.3.
    ///
    /// Rejected as [`GetRescales`] is.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-summary).
    Safe GET "/jobs/{jobid}/rescales/summary" GetRescalesSummary "getJobRescalesSummary" -> RescalesSummary {
        path { jobid: JobId }
    }

    /// Does nothing: **always rejected with 503** since 1.9
    /// ([FLINK-12312](https://issues.apache.org/jira/browse/FLINK-12312)). To rescale a job, use
    /// [`Rescale`](super::flow::Rescale) or [`PutResourceRequirements`].
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescaling).
    Once PATCH "/jobs/{jobid}/rescaling" StartRescaling "rescaleJob" -> Trigger {
        path { jobid: JobId }
        query {
            /// The parallelism of all vertices.
            parallelism: u32,
        }
    }

    /// Does nothing: **always rejected with 503** since 1.9, as [`StartRescaling`] is.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescaling-triggerid).
    Safe GET "/jobs/{jobid}/rescaling/{triggerid}" GetRescalingStatus "getRescalingStatus" -> RescalingStatus {
        path { jobid: JobId, triggerid: TriggerId }
    }
}

string_enums! {
    /// How a rescale ended.
    pub enum RescaleState {
        /// The job runs with another parallelism.
        Completed = "COMPLETED",
        /// It failed.
        Failed = "FAILED",
        /// It was not needed.
        Ignored = "IGNORED",
    }

    /// The trigger of a rescale.
    pub enum RescaleCause {
        /// The job was started.
        InitialSchedule = "INITIAL_SCHEDULE",
        /// Its bounds were changed.
        UpdateRequirement = "UPDATE_REQUIREMENT",
        /// New slots are available.
        NewResourceAvailable = "NEW_RESOURCE_AVAILABLE",
        /// The job had failed and was restarted.
        RecoverableFailover = "RECOVERABLE_FAILOVER",
    }

    /// Why a rescale has ended.
    pub enum RescaleEnd {
        Succeeded = "SUCCEEDED",
        ExceptionOccurred = "EXCEPTION_OCCURRED",
        /// The bounds were changed again.
        RequirementsUpdated = "RESOURCE_REQUIREMENTS_UPDATED",
        /// It would have changed nothing.
        NothingChanges = "NO_RESOURCES_OR_PARALLELISMS_CHANGE",
        /// The job had finished.
        JobFinished = "JOB_FINISHED",
        /// The job had failed.
        JobFailed = "JOB_FAILED",
        /// The job had been cancelled.
        JobCanceled = "JOB_CANCELED",
        /// The job was being restarted.
        JobRestarting = "JOB_FAILOVER_RESTARTING",
    }
}

json_structs! {
    /// The requirements of a vertex.
    pub struct VertexRequirements {
        /// The bounds of its parallelism.
        pub parallelism: ParallelismBounds,
    }

    /// The bounds between which the scheduler chooses the parallelism.
    pub struct ParallelismBounds {
        /// The minimum, at least 1. If the cluster has fewer slots, the job waits.
        pub lower: u32 = "lowerBound",
        /// The maximum. If the cluster has fewer slots, the job uses all of them. A bound above the vertex's maximum
        /// parallelism is rejected.
        pub upper: u32 = "upperBound",
    }

    /// The scheduler's settings for rescaling.
    pub struct RescaleConfig in camel {
        /// How many rescales are kept. If it is 0, the cluster rejects the other operations on rescales.
        pub history_max: Option<i32> = "rescaleHistoryMax",
        /// `REACTIVE`, or `None`.
        pub scheduler_execution_mode: Option<String>,
        /// Milliseconds that a new job waits for its resources.
        pub submission_resource_wait_timeout: Option<i64> = "submissionResourceWaitTimeoutInMillis",
        /// Milliseconds that a new job waits for more resources than it needs.
        pub submission_resource_stabilization_timeout: Option<i64> = "submissionResourceStabilizationTimeoutInMillis",
        /// Milliseconds after which an unused slot is returned.
        pub slot_idle_timeout: Option<i64> = "slotIdleTimeoutInMillis",
        /// Minimum milliseconds between two rescales.
        pub executing_cooldown_timeout: Option<i64> = "executingCooldownTimeoutInMillis",
        /// Milliseconds that a running job waits for its desired resources.
        pub executing_resource_stabilization_timeout: Option<i64> = "executingResourceStabilizationTimeoutInMillis",
        /// Milliseconds that a rescale waits for a checkpoint.
        pub maximum_delay_for_triggering_rescale: Option<i64> = "maximumDelayForTriggeringRescaleInMillis",
        /// The number of failed checkpoints after which a rescale no longer waits.
        pub rescale_on_failed_checkpoint_count: Option<i32>,
    }

    /// A rescale of a job.
    pub struct RescaleDetails in camel {
        pub id: RescaleId = "rescaleUuid",
        /// The id of the requirements of this rescale.
        pub requirements_id: Option<String> = "resourceRequirementsUuid",
        /// The number of the attempt to meet these requirements, from 1.
        pub attempt: Option<i64> = "rescaleAttemptId",
        /// By vertex; empty in lists.
        pub vertices: BTreeMap<VertexId, VertexRescale>,
        /// By slot sharing group; empty in lists.
        pub slots: BTreeMap<String, SlotsRescale>,
        /// The states of the scheduler during the rescale; empty in lists.
        pub scheduler_states: Vec<SchedulerSpan>,
        /// When it began.
        pub start: Option<Millis> = "startTimestampInMillis",
        /// When it ended.
        pub end: Option<Millis> = "endTimestampInMillis",
        /// How it ended; `None` while it is in progress.
        pub terminal_state: Option<RescaleState>,
        /// Why it began.
        pub trigger_cause: Option<RescaleCause>,
        /// Why it has ended.
        pub terminated_reason: Option<RescaleEnd>,
    }

    /// A vertex in a rescale.
    pub struct VertexRescale in camel {
        pub id: VertexId = "jobVertexId",
        /// Its operators.
        pub name: Option<String> = "jobVertexName",
        /// The group whose tasks share slots.
        pub slot_sharing_group_id: Option<String>,
        pub slot_sharing_group_name: Option<String>,
        pub desired_parallelism: Option<i32>,
        /// The minimum parallelism that it needs.
        pub sufficient_parallelism: Option<i32>,
        /// `None` if the job had not run before.
        pub pre_rescale_parallelism: Option<i32>,
        pub post_rescale_parallelism: Option<i32>,
    }

    /// A slot sharing group in a rescale.
    pub struct SlotsRescale in camel {
        pub id: String = "slotSharingGroupId",
        pub name: Option<String> = "slotSharingGroupName",
        /// The requested resources of each slot.
        pub request_resource_profile: Option<ResourceProfile>,
        pub desired_slots: Option<i32>,
        pub minimal_required_slots: Option<i32>,
        /// `None` if the job had not run before.
        pub pre_rescale_slots: Option<i32>,
        pub post_rescale_slots: Option<i32>,
        /// The actual resources of each slot.
        pub acquired_resource_profile: Option<ResourceProfile>,
    }

    /// The resources of a slot; -1 for a resource that does not matter.
    pub struct ResourceProfile in camel {
        pub cpu_cores: Option<f64>,
        /// MiB.
        pub task_heap_memory: Option<i32>,
        /// MiB.
        pub task_off_heap_memory: Option<i32>,
        /// MiB.
        pub managed_memory: Option<i32>,
        /// MiB.
        pub network_memory: Option<i32>,
        /// Other resources, such as GPUs, by name.
        pub extended_resources: BTreeMap<String, f64>,
    }

    /// A state that the scheduler was in.
    pub struct SchedulerSpan {
        /// Its name, as in `Executing`.
        pub state: Option<String>,
        /// When it was entered.
        pub entered: Option<Millis> = "enterTimestampInMillis",
        /// When it was left.
        pub left: Option<Millis> = "leaveTimestampInMillis",
        /// Milliseconds in this state.
        pub duration: Option<i64> = "durationInMillis",
        /// The exception in this state, with its stack trace.
        pub exception: Option<String> = "stringifiedException",
    }

    /// The number of rescales by outcome, and the newest of each kind.
    pub struct RescalesOverview {
        pub counts: RescaleCounts = "rescalesCounts",
        /// The newest of each kind.
        pub latest: LatestRescales,
    }

    /// The number of rescales by outcome.
    pub struct RescaleCounts {
        /// Not needed.
        pub ignored: Option<i64>,
        /// Not over yet.
        pub in_progress: Option<i64> = "inProgress",
        /// Carried out.
        pub completed: Option<i64>,
        pub failed: Option<i64>,
    }

    /// The newest rescale of each kind.
    pub struct LatestRescales {
        /// The newest that was carried out.
        pub completed: Option<RescaleDetails>,
        /// The newest that failed.
        pub failed: Option<RescaleDetails>,
        /// The newest that was not needed.
        pub ignored: Option<RescaleDetails>,
    }

    /// How long rescales took; milliseconds.
    pub struct RescalesSummary {
        /// How many there were.
        pub counts: RescaleCounts = "rescalesCounts",
        /// All of them.
        pub all: Stats = "rescalesDurationStatsInMillis",
        /// Those carried out.
        pub completed: Stats = "completedRescalesDurationStatsInMillis",
        /// Those not needed.
        pub ignored: Stats = "ignoredRescalesDurationStatsInMillis",
        /// Those that failed.
        pub failed: Stats = "failedRescalesDurationStatsInMillis",
    }

    /// The outcome of a rescaling, in theory.
    pub struct RescalingStatus {
        pub status: QueueState,
        /// What came of it.
        pub operation: Option<RemovalInfo>,
    }
}

impl ParallelismBounds {
    /// Creates bounds from `lower` to `upper`, both included.
    pub fn new(lower: u32, upper: u32) -> Self {
        Self { lower, upper }
    }
}

/// The bounds of the parallelism of each vertex of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceRequirements(pub BTreeMap<VertexId, VertexRequirements>);

impl ResourceRequirements {
    /// Sets the bounds of every vertex.
    pub fn with_all(mut self, bounds: &ParallelismBounds) -> Self {
        self.0.values_mut().for_each(|vertex| vertex.parallelism = bounds.clone());
        self
    }

    /// Sets the bounds of one vertex, and adds the vertex if it is missing.
    pub fn with(mut self, vertex: VertexId, bounds: ParallelismBounds) -> Self {
        self.0.insert(vertex, VertexRequirements { parallelism: bounds });
        self
    }
}

impl Serialize for ResourceRequirements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AsWire(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ResourceRequirements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|Value(vertices)| Self(vertices))
    }
}

impl FromResponse for ResourceRequirements {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        read_answer(info, response)
    }
}

/// Sets the bounds of the parallelism of **every** vertex of a job. The job restarts with the new parallelism later:
/// the goal [`Rescale`](super::flow::Rescale) waits for that. Since 1.18.
///
/// Rejected with 400 if a vertex is missing or unknown, if a bound is 0, if a lower bound is above the upper bound, or
/// if an upper bound is above the vertex's maximum parallelism. Rejected with 500 if the job uses the default
/// scheduler, is unknown, or has ended. Bounds above the number of slots are not rejected.
/// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-resource-requirements-1).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PutResourceRequirements {
    /// The `jobid` of the path.
    pub jobid: JobId,
    /// The bounds of all vertices, with the ids from [`GetResourceRequirements`].
    pub requirements: ResourceRequirements,
}

impl PutResourceRequirements {
    /// Creates the operation.
    pub fn new(jobid: impl Into<JobId>, requirements: ResourceRequirements) -> Self {
        Self { jobid: jobid.into(), requirements }
    }
}

/// The operation that is not in the table, because its body is a map.
pub(super) const PUT: &[&OperationInfo] = &[PutResourceRequirements::INFO];

impl Operation for PutResourceRequirements {
    type Output = Acknowledged;
    type Service = FlinkRest;
    const INFO: &'static OperationInfo = &OperationInfo::new(
        "flink",
        "updateJobResourceRequirements",
        Method::PUT,
        "/jobs/{jobid}/resource-requirements",
        Effect::Idempotent,
    );

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<crate::Body>, BuildError> {
        let mut target = Target::new::<FlinkRest>(Self::INFO, cx);
        target.segment("jobid", &self.jobid)?;
        target.finish(Some(JsonBody::of(Self::INFO, &self.requirements)?))
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Acknowledged, ServiceError> {
        parse::<FlinkRest, Acknowledged>(Self::INFO, &response)
    }
}

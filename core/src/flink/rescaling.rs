//! Rescaling: which parallelism a job may have, and how it got its current parallelism.
//!
//! Only the adaptive scheduler (`jobmanager.scheduler: adaptive`) rescales running jobs. What is put here takes effect
//! after `jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling` (30 s) and the like, and by a restart of
//! the job from its last checkpoint.

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
    /// The bounds of the parallelism of each vertex of a job. Since 1.18. Not cached: what was put shows at once, long
    /// before the job follows.
    ///
    /// Rejected with 500: a job of the default scheduler, and one that is unknown or has ended.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-resource-requirements).
    Safe GET "/jobs/{jobid}/resource-requirements"
    GetResourceRequirements "getJobResourceRequirements" -> ResourceRequirements {
        path { jobid: JobId }
    }

    /// How the scheduler of a job goes about rescaling. Since 2.3.
    ///
    /// Rejected with 404: an unknown job, and one that the adaptive scheduler does not run.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-config).
    Safe GET "/jobs/{jobid}/rescales/config" GetRescaleConfig "getJobRescaleConfig" -> RescaleConfig {
        path { jobid: JobId }
    }

    /// All about one rescale of a job: vertices, slots, and the states it went through. Since 2.3.
    ///
    /// Rejected with 404: an unknown job or rescale, and whatever [`GetRescales`] is rejected for.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-details-rescaleuuid).
    Safe GET "/jobs/{jobid}/rescales/details/{rescaleuuid}" GetRescale "getJobRescaleDetails" -> RescaleDetails {
        path { jobid: JobId, rescaleuuid: RescaleId }
    }

    /// The rescales of a job, newest first, without vertices, slots and states. Since 2.3.
    ///
    /// Rejected with 404: an unknown job, one that the adaptive scheduler does not run, and any while
    /// `web.adaptive-scheduler.rescale-history.size` is 0, as it is by default.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-history).
    Safe GET "/jobs/{jobid}/rescales/history" GetRescales "getJobRescalesHistory" -> Vec<RescaleDetails> {
        path { jobid: JobId }
    }

    /// The number of rescales of a job by outcome, and the newest of each kind. Since 2.3.
    ///
    /// Rejected as [`GetRescales`] is.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-overview).
    Safe GET "/jobs/{jobid}/rescales/overview" GetRescalesOverview "getJobRescalesOverview" -> RescalesOverview {
        path { jobid: JobId }
    }

    /// How long the rescales of a job took. Since 2.3.
    ///
    /// Rejected as [`GetRescales`] is.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescales-summary).
    Safe GET "/jobs/{jobid}/rescales/summary" GetRescalesSummary "getJobRescalesSummary" -> RescalesSummary {
        path { jobid: JobId }
    }

    /// Rescales a job, in theory: **always rejected with 503** since 1.9
    /// ([FLINK-12312](https://issues.apache.org/jira/browse/FLINK-12312)). Use
    /// [`Rescale`](super::flow::Rescale), or [`PutResourceRequirements`].
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-rescaling).
    Once PATCH "/jobs/{jobid}/rescaling" StartRescaling "rescaleJob" -> Trigger {
        path { jobid: JobId }
        query {
            /// The parallelism of all vertices.
            parallelism: u32,
        }
    }

    /// The outcome of a rescaling, in theory: **always rejected with 503** since 1.9, as [`StartRescaling`] is.
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
        /// It turned out not to be needed.
        Ignored = "IGNORED",
    }

    /// Why a job was to be rescaled.
    pub enum RescaleCause {
        /// The job was started.
        InitialSchedule = "INITIAL_SCHEDULE",
        /// Its bounds were changed.
        UpdateRequirement = "UPDATE_REQUIREMENT",
        /// Slots came.
        NewResourceAvailable = "NEW_RESOURCE_AVAILABLE",
        /// The job had failed and was restarted.
        RecoverableFailover = "RECOVERABLE_FAILOVER",
    }

    /// Why a rescale is over.
    pub enum RescaleEnd {
        /// It was carried out.
        Succeeded = "SUCCEEDED",
        /// It ran into an exception.
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
    /// What a vertex may have.
    pub struct VertexRequirements {
        /// The bounds of its parallelism.
        pub parallelism: ParallelismBounds,
    }

    /// Between which bounds the scheduler chooses.
    pub struct ParallelismBounds {
        /// The least that the vertex runs with: with fewer slots than that the job waits.
        pub lower: u32 = "lowerBound",
        /// The most. More than there are slots is as many as there are; more than the vertex's maximum parallelism is
        /// rejected.
        pub upper: u32 = "upperBound",
    }

    /// How a scheduler goes about rescaling.
    pub struct RescaleConfig in camel {
        /// How many rescales are remembered; 0 closes the other operations.
        pub history_max: Option<i32> = "rescaleHistoryMax",
        /// `REACTIVE`, or `None`.
        pub scheduler_execution_mode: Option<String>,
        /// How long a new job waits for its resources; milliseconds.
        pub submission_resource_wait_timeout: Option<i64> = "submissionResourceWaitTimeoutInMillis",
        /// How long a new job waits for more than it needs; milliseconds.
        pub submission_resource_stabilization_timeout: Option<i64> = "submissionResourceStabilizationTimeoutInMillis",
        /// After what time an unused slot is given back; milliseconds.
        pub slot_idle_timeout: Option<i64> = "slotIdleTimeoutInMillis",
        /// From one rescale to the next at least; milliseconds.
        pub executing_cooldown_timeout: Option<i64> = "executingCooldownTimeoutInMillis",
        /// How long a running job waits for the resources it would like to have; milliseconds.
        pub executing_resource_stabilization_timeout: Option<i64> = "executingResourceStabilizationTimeoutInMillis",
        /// How long a rescale waits for a checkpoint; milliseconds.
        pub maximum_delay_for_triggering_rescale: Option<i64> = "maximumDelayForTriggeringRescaleInMillis",
        /// After how many failed checkpoints it waits no longer.
        pub rescale_on_failed_checkpoint_count: Option<i32>,
    }

    /// A rescale of a job.
    pub struct RescaleDetails in camel {
        pub id: RescaleId = "rescaleUuid",
        /// Which requirements it was to meet.
        pub requirements_id: Option<String> = "resourceRequirementsUuid",
        /// How often these requirements were tried, from 1.
        pub attempt: Option<i64> = "rescaleAttemptId",
        /// By vertex; empty in lists.
        pub vertices: BTreeMap<VertexId, VertexRescale>,
        /// By slot sharing group; empty in lists.
        pub slots: BTreeMap<String, SlotsRescale>,
        /// What the scheduler went through; empty in lists.
        pub scheduler_states: Vec<SchedulerSpan>,
        /// When it began.
        pub start: Option<Millis> = "startTimestampInMillis",
        /// When it was over.
        pub end: Option<Millis> = "endTimestampInMillis",
        /// How it ended; `None` while it is in progress.
        pub terminal_state: Option<RescaleState>,
        /// Why it began.
        pub trigger_cause: Option<RescaleCause>,
        /// Why it is over.
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
        /// What it needs at least.
        pub sufficient_parallelism: Option<i32>,
        /// What it had; `None` when the job had not run before.
        pub pre_rescale_parallelism: Option<i32>,
        /// What it got.
        pub post_rescale_parallelism: Option<i32>,
    }

    /// A slot sharing group in a rescale.
    pub struct SlotsRescale in camel {
        pub id: String = "slotSharingGroupId",
        pub name: Option<String> = "slotSharingGroupName",
        /// What was asked for.
        pub request_resource_profile: Option<ResourceProfile>,
        /// How many slots it was to have.
        pub desired_slots: Option<i32>,
        /// How many it needs at least.
        pub minimal_required_slots: Option<i32>,
        /// How many it had; `None` when the job had not run before.
        pub pre_rescale_slots: Option<i32>,
        /// How many it got.
        pub post_rescale_slots: Option<i32>,
        /// What each of them has.
        pub acquired_resource_profile: Option<ResourceProfile>,
    }

    /// What a slot has; -1 for what does not matter.
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
        /// In between; milliseconds.
        pub duration: Option<i64> = "durationInMillis",
        /// What it ran into, with the stack trace.
        pub exception: Option<String> = "stringifiedException",
    }

    /// The number of rescales by outcome, and the newest of each kind.
    pub struct RescalesOverview {
        /// How many.
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
        /// Failed.
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
        /// How far it is.
        pub status: QueueState,
        /// What came of it.
        pub operation: Option<RemovalInfo>,
    }
}

impl ParallelismBounds {
    /// From `lower` to `upper`, both included.
    pub fn new(lower: u32, upper: u32) -> Self {
        Self { lower, upper }
    }
}

/// The bounds of the parallelism of each vertex of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceRequirements(pub BTreeMap<VertexId, VertexRequirements>);

impl ResourceRequirements {
    /// These bounds for every vertex.
    pub fn with_all(mut self, bounds: &ParallelismBounds) -> Self {
        self.0.values_mut().for_each(|vertex| vertex.parallelism = bounds.clone());
        self
    }

    /// These bounds for one vertex, whether it was in there or not.
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

/// Sets the bounds of the parallelism of **every** vertex of a job, which follows later; see
/// [`Rescale`](super::flow::Rescale) for waiting. Since 1.18.
///
/// Rejected with 400: a vertex left out or unknown, 0, a lower bound above the upper bound, an upper bound above the
/// vertex's maximum parallelism; with 500: a job of the default scheduler, and one that is unknown or has ended. More
/// than there are slots is not rejected.
/// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-resource-requirements-1).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PutResourceRequirements {
    /// The `jobid` of the path.
    pub jobid: JobId,
    /// All vertices, as [`GetResourceRequirements`] names them.
    pub requirements: ResourceRequirements,
}

impl PutResourceRequirements {
    /// The operation with what it cannot do without.
    pub fn new(jobid: impl Into<JobId>, requirements: ResourceRequirements) -> Self {
        Self { jobid: jobid.into(), requirements }
    }
}

/// The row of the operation that the table's form does not fit: its body is a map.
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

//! Events: what a pipeline was and was to be over time. Since 0.292.

use super::pipelines::{
    ProgramStatus, ResourcesDesiredStatus, ResourcesStatus, RuntimeStatus, RuntimeStatusDetails, StorageDetails,
    StorageStatus,
};
use super::platform::EventSelector;
use super::{ErrorResponse, FelderaApi, Json};
use crate::schema::{json_structs, operations};

operations! { FelderaApi;
    /// Lists the events of a pipeline, newest first.
    ///
    /// [Reference](https://docs.feldera.com/api/list-pipeline-events).
    Safe GET "/v0/pipelines/{pipeline_name}/events" ListPipelineEvents "list_pipeline_events" -> Vec<PipelineEvent> {
        path { pipeline_name: String }
        query? {
            /// How much of each; `Status` by default.
            selector: EventSelector,
        }
    }

    /// Returns an event. Rejected with 404 if the event is unknown or no longer kept; `latest` is the newest.
    ///
    /// [Reference](https://docs.feldera.com/api/get-pipeline-event).
    Safe GET "/v0/pipelines/{pipeline_name}/events/{event_id}" GetPipelineEvent "get_pipeline_event" -> PipelineEvent {
        path { pipeline_name: String, event_id: String }
        query? {
            /// How much of it; `Status` by default.
            selector: EventSelector,
        }
    }
}

json_structs! {
    /// The status of a pipeline at a time.
    pub struct PipelineEvent {
        pub event_id: String = "event_id" | "id",
        /// The time, in RFC 3339.
        pub recorded_at: Option<String>,
        /// The actual status of the pipeline's resources.
        pub deployment_resources_status: Option<ResourcesStatus>,
        /// The runner's details. Only with the selector `All`.
        pub deployment_resources_status_details: Option<Json>,
        /// The desired status of the pipeline's resources.
        pub deployment_resources_desired_status: Option<ResourcesDesiredStatus>,
        /// The actual status of the process.
        pub deployment_runtime_status: Option<RuntimeStatus>,
        /// Details of this status. Only with the selector `All`.
        pub deployment_runtime_status_details: Option<RuntimeStatusDetails>,
        /// The desired status of the process.
        pub deployment_runtime_desired_status: Option<RuntimeStatus>,
        /// Whether an error had stopped the pipeline.
        pub deployment_has_error: Option<bool>,
        /// This error. Only with the selector `All`.
        pub deployment_error: Option<ErrorResponse>,
        /// The status of the compilation.
        pub program_status: Option<ProgramStatus>,
        pub storage_status: Option<StorageStatus>,
        /// The content of the storage. Only with the selector `All`.
        pub storage_status_details: Option<StorageDetails>,
    }
}

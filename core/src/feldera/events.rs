//! Events: what a pipeline was and was to be over time. Since 0.292.

use super::pipelines::{
    ProgramStatus, ResourcesDesiredStatus, ResourcesStatus, RuntimeStatus, RuntimeStatusDetails, StorageDetails,
    StorageStatus,
};
use super::platform::EventSelector;
use super::{ErrorResponse, FelderaApi, Json};
use crate::schema::{json_structs, operations};

operations! { FelderaApi;
    /// What happened to a pipeline, newest first.
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
    /// What a pipeline was and was to be at a moment.
    pub struct PipelineEvent {
        pub event_id: String = "event_id" | "id",
        /// When; RFC 3339.
        pub recorded_at: Option<String>,
        /// Whether it had a process.
        pub deployment_resources_status: Option<ResourcesStatus>,
        /// What the runner said of it. With `All` only.
        pub deployment_resources_status_details: Option<Json>,
        /// Whether it was to have one.
        pub deployment_resources_desired_status: Option<ResourcesDesiredStatus>,
        /// What the process was.
        pub deployment_runtime_status: Option<RuntimeStatus>,
        /// More about that. With `All` only.
        pub deployment_runtime_status_details: Option<RuntimeStatusDetails>,
        /// What the process was to be.
        pub deployment_runtime_desired_status: Option<RuntimeStatus>,
        /// An error had stopped it.
        pub deployment_has_error: Option<bool>,
        /// That error. With `All` only.
        pub deployment_error: Option<ErrorResponse>,
        /// How far compiling was.
        pub program_status: Option<ProgramStatus>,
        /// Whether storage was in use.
        pub storage_status: Option<StorageStatus>,
        /// What was in storage. With `All` only.
        pub storage_status_details: Option<StorageDetails>,
    }
}

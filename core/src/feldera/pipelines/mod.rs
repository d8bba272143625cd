//! Pipelines: list, create, read, change and delete them.

mod compiler;
mod config;
mod dataflow;
mod details;
mod diff;
mod dynamic;
mod program;
mod status;
mod storage;
mod switch;

use super::{Accepted, ErrorResponse, FelderaApi, Json};
use crate::schema::{json_structs, operations, string_enums};

pub use self::config::{
    AutoscalingConfig, DevTweaks, FaultTolerance, FtModel, ResourceConfig, RuntimeConfig, StorageAutoscaling,
    TemplateConfig,
};
pub use self::dataflow::{CalciteId, CalcitePlan, Dataflow, MirInput, MirNode, Rel};
pub use self::details::RuntimeStatusDetails;
pub use self::diff::{PipelineDiff, ProgramDiff};
pub use self::dynamic::{DynamicConfig, DynamicResources};
pub use self::program::{
    ColumnType, Field, ProgramConfig, ProgramError, ProgramInfo, Property, Relation, RustCompilation, RustMessage,
    Schema, SourcePosition, SqlCompilation, SqlMessage,
};
pub use self::status::{
    BootstrapPolicy, CompilationProfile, ConnectorErrors, DesiredStatus, PipelineStatus, ProgramStatus,
    ResourcesDesiredStatus, ResourcesStatus, RuntimeStatus, StorageStatus,
};
pub use self::storage::{
    FileBackend, ObjectStore, StartFrom, StorageBackend, StorageCompression, StorageOptions, StorageSyncMode,
    SyncConfig,
};
pub use self::switch::Switch;
use crate::feldera::checkpoints::CheckpointInfo;

operations! { FelderaApi;
    /// Lists the tenant's pipelines.
    ///
    /// With [`Selector::Status`], the answer is much smaller: it has no programs, errors and configurations.
    /// [Reference](https://docs.feldera.com/api/list-pipelines).
    Safe GET "/v0/pipelines" ListPipelines "list_pipelines" -> Vec<Pipeline> {
        query? {
            /// How much of each; `All` by default.
            selector: Selector,
        }
    }

    /// Creates a pipeline. The server then starts to compile it.
    ///
    /// Rejected with 409 `DuplicateName`, or with 400 for an invalid name, tag or configuration. A program that does
    /// not compile is not rejected: read [`Pipeline::program_status`].
    /// [Reference](https://docs.feldera.com/api/create-pipeline).
    Once POST "/v0/pipelines" CreatePipeline "post_pipeline" -> Pipeline {
        json {
            /// Letters, digits, and `-` and `_` inside.
            name: String,
            /// The SQL.
            program_code: String,
        }
        json? {
            description: String,
            /// Tags. Since 0.327.
            tags: Vec<String>,
            udf_rust: String,
            /// What they depend on, as in `Cargo.toml`.
            udf_toml: String,
            program_config: ProgramConfig,
            runtime_config: RuntimeConfig as config::spelled,
        }
    }

    /// Returns a pipeline. Rejected with 404 if the name does not exist.
    ///
    /// [Reference](https://docs.feldera.com/api/get-pipeline).
    Safe GET "/v0/pipelines/{pipeline_name}" GetPipeline "get_pipeline" -> Pipeline {
        path { pipeline_name: String }
        query? {
            /// How much of it; `All` by default.
            selector: Selector,
        }
    }

    /// Creates a pipeline, or replaces its whole definition. Everything that is not given gets its default, including
    /// the runtime configuration.
    ///
    /// Rejected with 400: `UpdateRestrictedToStopped`, `EditRestrictedToClearedStorage`,
    /// `CannotRenameNonExistingPipeline` if the names differ and no pipeline has the name in the path.
    /// [Reference](https://docs.feldera.com/api/upsert-pipeline).
    Idempotent PUT "/v0/pipelines/{pipeline_name}" PutPipeline "put_pipeline" -> Pipeline {
        path { pipeline_name: String }
        json {
            /// The new name of the pipeline.
            name: String,
            /// The SQL.
            program_code: String,
        }
        json? {
            description: String,
            /// Tags. Since 0.327.
            tags: Vec<String>,
            udf_rust: String,
            /// What they depend on, as in `Cargo.toml`.
            udf_toml: String,
            program_config: ProgramConfig,
            runtime_config: RuntimeConfig as config::spelled,
        }
    }

    /// Changes the given parts of a pipeline. Description and tags can change at any time, most other parts only while
    /// the pipeline is stopped.
    ///
    /// Rejected with 400: `UpdateRestrictedToStopped`, also while it waits to start; `EditRestrictedToClearedStorage`
    /// for name, workers, hosts, fault tolerance and some resources; `DeploymentRestrictedToRunning` and
    /// `InvalidDeploymentPatch` for new sizes. 405 `UnsupportedPipelineAction`: the runner cannot resize. 409: the new
    /// name is taken.
    /// [Reference](https://docs.feldera.com/api/patch-pipeline).
    Fenced PATCH "/v0/pipelines/{pipeline_name}" PatchPipeline "patch_pipeline" -> Pipeline {
        effect |op| if op.name.is_some() { Fenced } else { Idempotent };
        path { pipeline_name: String }
        json {}
        json? {
            /// The new name.
            name: String,
            description: String,
            /// Tags. Since 0.327.
            tags: Vec<String>,
            /// The SQL.
            program_code: String,
            udf_rust: String,
            /// What they depend on, as in `Cargo.toml`.
            udf_toml: String,
            program_config: ProgramConfig,
            /// The runtime configuration, which replaces the whole old configuration.
            runtime_config: RuntimeConfig as config::spelled,
            /// New sizes of a running pipeline, without any other field. Experimental; since 0.375. Older servers
            /// ignore it. [`Resize`](crate::feldera::Resize) waits until the process uses them.
            deployment_config: DynamicConfig,
        }
    }

    /// Deletes a pipeline that is stopped and whose storage is clear.
    ///
    /// Rejected: 400 otherwise, 404 if the pipeline does not exist, also when an earlier attempt deleted it.
    /// [Reference](https://docs.feldera.com/api/delete-pipeline).
    Fenced DELETE "/v0/pipelines/{pipeline_name}" DeletePipeline "delete_pipeline" -> Accepted {
        path { pipeline_name: String }
    }

    /// Compiles a stopped pipeline for the platform's current release.
    ///
    /// Does nothing if the pipeline was compiled for that release, also if the compilation failed: to repeat a failed
    /// compilation, use [`Compile::recompile`](crate::feldera::Compile::recompile).
    /// [Reference](https://docs.feldera.com/api/recompile-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/update_runtime" UpdateRuntime "post_update_runtime" -> Pipeline {
        path { pipeline_name: String }
    }

    /// Returns the compiler's information about the program. **Removed in 0.121**, which answers 404 without a body.
    /// Use [`Pipeline::program_info`], which has everything except the generated Rust and the graph.
    Safe GET "/v0/pipelines/{pipeline_name}/program_info" GetProgramInfo "get_program_info" -> ProgramInfo {
        path { pipeline_name: String }
    }
}

string_enums! {
    /// The fields of a pipeline that the server returns.
    pub enum Selector {
        /// All fields.
        All = "all",
        /// All fields except the program, its errors and information, and the runtime configuration.
        Status = "status",
        /// As `Status`, with the number of connector errors. Since 0.178.
        StatusWithConnectors = "status_with_connectors",
    }
}

json_structs! {
    /// A pipeline. Only the status is required: all other fields may be absent. All times are in RFC 3339.
    pub struct Pipeline {
        pub id: Option<String>,
        pub name: Option<String>,
        pub description: Option<String>,
        /// Tags. Since 0.327.
        pub tags: Vec<String>,
        pub created_at: Option<String>,
        /// The version, incremented by each change of the program or the configuration.
        pub version: Option<i64>,
        /// The release that the pipeline was compiled for.
        pub platform_version: Option<String>,
        /// The runtime configuration. Only with the selector `All`.
        pub runtime_config: Option<Box<RuntimeConfig>> = "runtime_config" (decisive),
        /// The sizes of the current deployment, including sizes that were set while it runs. Since 0.375. Read it with
        /// `All`: it is unknown whether the other selectors show it.
        pub deployment_config: Option<DynamicConfig>,
        /// The SQL. Only with the selector `All`. `Debug` does not show it, because connectors in it may have keys and
        /// passwords.
        pub program_code: Option<String> = "program_code" (private),
        /// The user-defined functions, in Rust. Only with the selector `All`. `Debug` does not show them.
        pub udf_rust: Option<String> = "udf_rust" (private),
        /// The dependencies of these functions. Only with the selector `All`. `Debug` does not show them.
        pub udf_toml: Option<String> = "udf_toml" (private),
        pub program_config: Option<ProgramConfig> = "program_config" (decisive),
        /// The version of the program, incremented by each change that requires a compilation.
        pub program_version: Option<i64> = "program_version" (decisive),
        pub program_status: Option<ProgramStatus> = "program_status" (decisive),
        pub program_status_since: Option<String>,
        /// The messages of the compilers, including warnings. Only with the selector `All`.
        pub program_error: Option<ProgramError>,
        /// Information of the compiler, such as the schema. Only with the selector `All`; `None` until the program is
        /// compiled.
        pub program_info: Option<ProgramInfo>,
        /// The error that stopped the pipeline. If the error has an unknown form, its text is the message, and the code
        /// is `UnreadableError`.
        pub deployment_error: Option<ErrorResponse> = "deployment_error" (kept),
        /// A number that changes whenever the pipeline object changes.
        pub refresh_version: Option<i64>,
        pub storage_status: Option<StorageStatus> = "storage_status" (decisive),
        pub storage_status_details: Option<StorageDetails>,
        /// The id of the deployment. Each deployment has another id. `None` if no deployment exists.
        pub deployment_id: Option<String> = "deployment_id" (decisive),
        /// The initial status of the deployment. `None` if no deployment exists.
        pub deployment_initial: Option<RuntimeStatus>,
        /// The actual status. `Stopped` is final only if the desired status is `Stopped`, too.
        pub deployment_status: PipelineStatus,
        pub deployment_status_since: Option<String>,
        /// The desired status.
        pub deployment_desired_status: Option<DesiredStatus> = "deployment_desired_status" (decisive),
        pub deployment_desired_status_since: Option<String>,
        /// The actual status of the resources: whether the pipeline has a process. Since 0.148, like all fields below.
        pub deployment_resources_status: Option<ResourcesStatus> = "deployment_resources_status" (decisive),
        /// The runner's details, which depend on the runner. Only with the selector `All`.
        pub deployment_resources_status_details: Option<Json>,
        pub deployment_resources_status_since: Option<String>,
        /// The desired status of the resources.
        pub deployment_resources_desired_status: Option<ResourcesDesiredStatus>,
        pub deployment_resources_desired_status_since: Option<String>,
        /// The actual status, as the process reports it.
        pub deployment_runtime_status: Option<RuntimeStatus>,
        pub deployment_runtime_status_details: Option<Box<RuntimeStatusDetails>>,
        pub deployment_runtime_status_since: Option<String>,
        /// The desired status, as the process reports it.
        pub deployment_runtime_desired_status: Option<RuntimeStatus>,
        pub deployment_runtime_desired_status_since: Option<String>,
        /// The number of connector errors. Only with the selector `StatusWithConnectors`.
        pub connectors: Option<ConnectorErrors>,
        /// The policy for changed views with which the deployment was started. Not in Feldera's own description.
        pub bootstrap_policy: Option<BootstrapPolicy>,
        /// Whether the backfill of the deployment writes no output. Not in Feldera's own description.
        pub silent_bootstrap: Option<bool>,
        /// Whether the other views are processed during the backfill. Not in Feldera's own description.
        pub concurrent_bootstrap: Option<bool>,
    }

    /// The content of the storage.
    pub struct StorageDetails {
        /// The checkpoints, including those of a stopped pipeline.
        pub checkpoints: Vec<CheckpointInfo>,
    }
}

impl Pipeline {
    /// Returns whether the compilation is complete. Programs of the Gen-2 engine end as `SqlCompiled`, unless they have
    /// user-defined functions in Rust. Only [`Selector::All`] shows whether a program runs on this engine.
    pub fn is_compiled(&self) -> bool {
        match &self.program_status {
            Some(ProgramStatus::Success) => true,
            Some(ProgramStatus::SqlCompiled) => {
                self.program_config.as_ref().is_some_and(ProgramConfig::is_gen2)
                    && self.udf_rust.as_ref().is_none_or(|code| code.trim().is_empty())
            }
            _ => false,
        }
    }

    /// Returns whether the pipeline is stopped, and its desired status is stopped, too.
    pub fn is_at_rest(&self) -> bool {
        self.deployment_status == PipelineStatus::Stopped
            && self.deployment_desired_status == Some(DesiredStatus::Stopped)
    }
}

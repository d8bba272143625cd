//! Pipelines: list, create, look at, change, delete.

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
    /// With [`Selector::Status`] without programs, their errors and configurations, which is much less.
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

    /// Makes a pipeline or replaces it whole: what is not given gets its default, the runtime configuration too.
    ///
    /// Rejected with 400: `UpdateRestrictedToStopped`, `EditRestrictedToClearedStorage`,
    /// `CannotRenameNonExistingPipeline` if the names differ and no pipeline has the name in the path.
    /// [Reference](https://docs.feldera.com/api/upsert-pipeline).
    Idempotent PUT "/v0/pipelines/{pipeline_name}" PutPipeline "put_pipeline" -> Pipeline {
        path { pipeline_name: String }
        json {
            /// The name that it is to have from then on.
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

    /// Changes what is given. Description and tags can change at any time.
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
            /// Another name.
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
            /// How it is run; replaced whole.
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

    /// Compiles a stopped pipeline for the platform's present release.
    ///
    /// Does nothing if the pipeline was compiled for that release, also if the compilation failed: to repeat a failed
    /// compilation, use [`Compile::recompile`](crate::feldera::Compile::recompile).
    /// [Reference](https://docs.feldera.com/api/recompile-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/update_runtime" UpdateRuntime "post_update_runtime" -> Pipeline {
        path { pipeline_name: String }
    }

    /// What the compiler found out about the program. **Gone in 0.121**, where it is 404 without a body: see
    /// [`Pipeline::program_info`], which has all of it but the generated Rust and the graph.
    Safe GET "/v0/pipelines/{pipeline_name}/program_info" GetProgramInfo "get_program_info" -> ProgramInfo {
        path { pipeline_name: String }
    }
}

string_enums! {
    /// How much of a pipeline is wanted.
    pub enum Selector {
        /// All of it.
        All = "all",
        /// Neither program, errors and information about it, nor runtime configuration.
        Status = "status",
        /// The same, with the number of errors of connectors. Since 0.178.
        StatusWithConnectors = "status_with_connectors",
    }
}

json_structs! {
    /// A pipeline. All but what it is may be absent, so that a release that leaves something out can still be read.
    pub struct Pipeline {
        pub id: Option<String>,
        pub name: Option<String>,
        pub description: Option<String>,
        /// Tags. Since 0.327.
        pub tags: Vec<String>,
        /// When it was made; RFC 3339, as are all moments here.
        pub created_at: Option<String>,
        /// Moves with each change of program or configuration.
        pub version: Option<i64>,
        /// The release that it was compiled for.
        pub platform_version: Option<String>,
        /// How it is run. With `All` only.
        pub runtime_config: Option<Box<RuntimeConfig>> = "runtime_config" (decisive),
        /// The sizes of its present deployment, also those that were set while it runs. Since 0.375. Read it with
        /// `All`: it is not known whether the other selectors show it.
        pub deployment_config: Option<DynamicConfig>,
        /// The SQL. With `All` only. Connectors are in it, and often with keys and passwords, so `Debug` does not show
        /// it.
        pub program_code: Option<String> = "program_code" (private),
        /// User-defined functions in Rust. With `All` only; not shown by `Debug` either.
        pub udf_rust: Option<String> = "udf_rust" (private),
        /// What they depend on. With `All` only; not shown by `Debug` either.
        pub udf_toml: Option<String> = "udf_toml" (private),
        pub program_config: Option<ProgramConfig> = "program_config" (decisive),
        /// Moves with each change of what is compiled.
        pub program_version: Option<i64> = "program_version" (decisive),
        pub program_status: Option<ProgramStatus> = "program_status" (decisive),
        pub program_status_since: Option<String>,
        /// What the compilers said, warnings too. With `All` only.
        pub program_error: Option<ProgramError>,
        /// What the compiler found out. With `All` only, and once it is compiled.
        pub program_info: Option<ProgramInfo>,
        /// What stopped it. An error in a form that is not known has the text as its message, and the code
        /// `UnreadableError`.
        pub deployment_error: Option<ErrorResponse> = "deployment_error" (kept),
        /// Moves whenever there is something new to see.
        pub refresh_version: Option<i64>,
        pub storage_status: Option<StorageStatus> = "storage_status" (decisive),
        pub storage_status_details: Option<StorageDetails>,
        /// This deployment: another deployment has another id. `None` while no deployment exists.
        pub deployment_id: Option<String> = "deployment_id" (decisive),
        /// What it was started as, while it is.
        pub deployment_initial: Option<RuntimeStatus>,
        /// What it is. `Stopped` is not the end while it is to be something else.
        pub deployment_status: PipelineStatus,
        pub deployment_status_since: Option<String>,
        /// What it is to be.
        pub deployment_desired_status: Option<DesiredStatus> = "deployment_desired_status" (decisive),
        pub deployment_desired_status_since: Option<String>,
        /// Whether it has a process. Since 0.148, as all below.
        pub deployment_resources_status: Option<ResourcesStatus> = "deployment_resources_status" (decisive),
        /// What the runner says of the process. With `All` only; differs from runner to runner.
        pub deployment_resources_status_details: Option<Json>,
        pub deployment_resources_status_since: Option<String>,
        /// Whether it is to have a process.
        pub deployment_resources_desired_status: Option<ResourcesDesiredStatus>,
        pub deployment_resources_desired_status_since: Option<String>,
        /// What the process says that it is.
        pub deployment_runtime_status: Option<RuntimeStatus>,
        pub deployment_runtime_status_details: Option<Box<RuntimeStatusDetails>>,
        pub deployment_runtime_status_since: Option<String>,
        /// What the process says that it is to be.
        pub deployment_runtime_desired_status: Option<RuntimeStatus>,
        pub deployment_runtime_desired_status_since: Option<String>,
        /// How many errors connectors had. With `StatusWithConnectors` only.
        pub connectors: Option<ConnectorErrors>,
        /// What it was started with, while it is: whether changed views are filled. Not in Feldera's own description.
        pub bootstrap_policy: Option<BootstrapPolicy>,
        /// The same: without output.
        pub silent_bootstrap: Option<bool>,
        /// The same: beside the old views.
        pub concurrent_bootstrap: Option<bool>,
    }

    /// What is in storage.
    pub struct StorageDetails {
        /// The checkpoints, also of a stopped pipeline.
        pub checkpoints: Vec<CheckpointInfo>,
    }
}

impl Pipeline {
    /// Returns whether nothing is left to compile. Programs of the Gen-2 engine end as `SqlCompiled`, unless they have
    /// user-defined functions in Rust. Only a pipeline read with [`Selector::All`] shows that they are such.
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

    /// Whether it is stopped and will stay so.
    pub fn is_at_rest(&self) -> bool {
        self.deployment_status == PipelineStatus::Stopped
            && self.deployment_desired_status == Some(DesiredStatus::Stopped)
    }
}

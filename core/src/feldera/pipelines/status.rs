//! The actual and the desired status of a pipeline.

use crate::schema::{json_structs, string_enums};

string_enums! {
    /// The actual status of a pipeline: that of its resources until it has a process, then that of the process.
    pub enum PipelineStatus {
        /// The pipeline has no process.
        Stopped = "Stopped",
        /// A process is being created.
        Provisioning = "Provisioning",
        /// The process does not answer.
        Unavailable = "Unavailable",
        /// The hosts of the pipeline are coordinating. Clients do not see this status.
        Coordination = "Coordination",
        /// The pipeline follows the checkpoints of another pipeline.
        Standby = "Standby",
        /// The pipeline waits until a client approves the backfill of changed views.
        AwaitingApproval = "AwaitingApproval",
        Initializing = "Initializing",
        /// The pipeline backfills changed views.
        Bootstrapping = "Bootstrapping",
        /// The pipeline backfills changed views, and processes the other views at the same time.
        ConcurrentBootstrapping = "ConcurrentBootstrapping",
        /// The last part of `ConcurrentBootstrapping`.
        Synchronizing = "Synchronizing",
        /// The pipeline replays the input that came after its checkpoint.
        Replaying = "Replaying",
        /// The connectors do not read.
        Paused = "Paused",
        Running = "Running",
        /// The pipeline has made a checkpoint, and its process ends.
        Suspended = "Suspended",
        /// The process is being removed.
        Stopping = "Stopping",
        /// The pipeline is being suspended. Before 0.148.
        Suspending = "Suspending",
    }

    /// The desired status of a pipeline.
    pub enum DesiredStatus {
        Stopped = "Stopped",
        /// Unknown, because the process does not answer.
        Unavailable = "Unavailable",
        Standby = "Standby",
        Paused = "Paused",
        Running = "Running",
        /// Stopped after a checkpoint.
        Suspended = "Suspended",
    }

    /// The actual status of a pipeline's resources: whether it has a process.
    pub enum ResourcesStatus {
        Stopped = "Stopped",
        Provisioning = "Provisioning",
        Provisioned = "Provisioned",
        Stopping = "Stopping",
    }

    /// The desired status of a pipeline's resources.
    pub enum ResourcesDesiredStatus {
        Stopped = "Stopped",
        Provisioned = "Provisioned",
    }

    /// The actual or desired status of a process. [`PipelineStatus`] explains the values.
    pub enum RuntimeStatus {
        Unavailable = "Unavailable",
        Coordination = "Coordination",
        Standby = "Standby",
        Initializing = "Initializing",
        AwaitingApproval = "AwaitingApproval",
        Bootstrapping = "Bootstrapping",
        Replaying = "Replaying",
        Paused = "Paused",
        Running = "Running",
        Suspended = "Suspended",
        ConcurrentBootstrapping = "ConcurrentBootstrapping",
        Synchronizing = "Synchronizing",
    }

    /// The status of the compilation.
    pub enum ProgramStatus {
        Pending = "Pending",
        CompilingSql = "CompilingSql",
        /// The SQL is compiled, and the Rust code waits for its compilation. For programs of the Gen-2 engine this can
        /// be the end: see [`Pipeline::is_compiled`](super::Pipeline::is_compiled).
        SqlCompiled = "SqlCompiled",
        CompilingRust = "CompilingRust",
        /// The program is compiled. At a start, the status returns to `Pending` if the compiled files are missing.
        Success = "Success",
        SqlError = "SqlError",
        RustError = "RustError",
        /// The platform failed to compile the program.
        SystemError = "SystemError",
    }

    /// Whether storage is in use.
    pub enum StorageStatus {
        Cleared = "Cleared",
        InUse = "InUse",
        Clearing = "Clearing",
    }

    /// How much the Rust compiler optimizes.
    pub enum CompilationProfile {
        /// Compiles fast.
        Dev = "dev",
        Unoptimized = "unoptimized",
        /// The pipeline runs fast; the default.
        Optimized = "optimized",
        /// As `Optimized`, with symbols for profilers.
        OptimizedSymbols = "optimized_symbols",
    }

    /// What a start does if views have changed since the last checkpoint.
    pub enum BootstrapPolicy {
        Allow = "allow",
        /// The start fails.
        Reject = "reject",
        /// The pipeline waits until a client approves the backfill; the default.
        AwaitApproval = "await_approval",
    }
}

json_structs! {
    /// The number of errors of all connectors.
    pub struct ConnectorErrors {
        pub num_errors: Option<u64>,
    }
}

impl ProgramStatus {
    /// Whether compiling has failed.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::SqlError | Self::RustError | Self::SystemError)
    }
}

//! The actual and the desired status of a pipeline.

use crate::schema::{json_structs, string_enums};

string_enums! {
    /// The actual status of a pipeline: that of its resources until it has a process, then that of the process.
    pub enum PipelineStatus {
        /// It has no process.
        Stopped = "Stopped",
        /// A process is being made.
        Provisioning = "Provisioning",
        /// Its process does not answer.
        Unavailable = "Unavailable",
        /// Several hosts agree with each other; not to be seen from outside.
        Coordination = "Coordination",
        /// It follows checkpoints of another.
        Standby = "Standby",
        /// It waits until a client approves that changed views are filled.
        AwaitingApproval = "AwaitingApproval",
        Initializing = "Initializing",
        /// It fills changed views.
        Bootstrapping = "Bootstrapping",
        /// It fills changed views, while the other views stay up to date.
        ConcurrentBootstrapping = "ConcurrentBootstrapping",
        /// The last part of that.
        Synchronizing = "Synchronizing",
        /// It repeats what came after its checkpoint.
        Replaying = "Replaying",
        /// Its connectors do not read.
        Paused = "Paused",
        Running = "Running",
        /// It has made a checkpoint and ends.
        Suspended = "Suspended",
        /// Its process is being removed.
        Stopping = "Stopping",
        /// Being suspended. Before 0.148.
        Suspending = "Suspending",
    }

    /// The desired status of a pipeline.
    pub enum DesiredStatus {
        Stopped = "Stopped",
        /// Not known, because its process does not answer.
        Unavailable = "Unavailable",
        Standby = "Standby",
        Paused = "Paused",
        Running = "Running",
        /// Stopped, after a checkpoint.
        Suspended = "Suspended",
    }

    /// Whether a pipeline has a process.
    pub enum ResourcesStatus {
        Stopped = "Stopped",
        Provisioning = "Provisioning",
        Provisioned = "Provisioned",
        Stopping = "Stopping",
    }

    /// Whether a pipeline is to have a process.
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
        /// The SQL is compiled, and the Rust waits. For programs of the Gen-2 engine this can be the end: see
        /// [`Pipeline::is_compiled`](super::Pipeline::is_compiled).
        SqlCompiled = "SqlCompiled",
        CompilingRust = "CompilingRust",
        /// Done. It can fall back to `Pending` at a start when what was compiled is missing.
        Success = "Success",
        SqlError = "SqlError",
        RustError = "RustError",
        /// The compiler could not do its work.
        SystemError = "SystemError",
    }

    /// Whether storage is in use.
    pub enum StorageStatus {
        Cleared = "Cleared",
        InUse = "InUse",
        Clearing = "Clearing",
    }

    /// How much the compiler optimises.
    pub enum CompilationProfile {
        /// For fast compiling.
        Dev = "dev",
        Unoptimized = "unoptimized",
        /// For fast running; the default.
        Optimized = "optimized",
        /// The same, with symbols for profilers.
        OptimizedSymbols = "optimized_symbols",
    }

    /// Whether views that have changed since the last checkpoint are filled at a start.
    pub enum BootstrapPolicy {
        Allow = "allow",
        /// The start fails.
        Reject = "reject",
        /// They are once a client approves; the default.
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

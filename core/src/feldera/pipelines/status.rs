//! What a pipeline is and is to be.

use crate::schema::{json_structs, string_enums};

string_enums! {
    /// What a pipeline is: the status of its resources until it has a process, and that of the process then.
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
        /// It waits for somebody to approve that changed views are filled.
        AwaitingApproval = "AwaitingApproval",
        /// Its process is starting.
        Initializing = "Initializing",
        /// It fills changed views.
        Bootstrapping = "Bootstrapping",
        /// The same, while the others go on.
        ConcurrentBootstrapping = "ConcurrentBootstrapping",
        /// The last part of that.
        Synchronizing = "Synchronizing",
        /// It repeats what came after its checkpoint.
        Replaying = "Replaying",
        /// Its connectors rest.
        Paused = "Paused",
        /// It runs.
        Running = "Running",
        /// It has made a checkpoint and ends.
        Suspended = "Suspended",
        /// Its process is being removed.
        Stopping = "Stopping",
        /// Being suspended. Before 0.148.
        Suspending = "Suspending",
    }

    /// What a pipeline is to be.
    pub enum DesiredStatus {
        /// Without a process.
        Stopped = "Stopped",
        /// Nobody knows, because its process does not answer.
        Unavailable = "Unavailable",
        /// Following another.
        Standby = "Standby",
        /// With resting connectors.
        Paused = "Paused",
        /// Running.
        Running = "Running",
        /// Stopped, after a checkpoint.
        Suspended = "Suspended",
    }

    /// Whether there is a process.
    pub enum ResourcesStatus {
        /// No.
        Stopped = "Stopped",
        /// Soon.
        Provisioning = "Provisioning",
        /// Yes.
        Provisioned = "Provisioned",
        /// Not much longer.
        Stopping = "Stopping",
    }

    /// Whether there is to be a process.
    pub enum ResourcesDesiredStatus {
        /// No.
        Stopped = "Stopped",
        /// Yes.
        Provisioned = "Provisioned",
    }

    /// What a process is, or is to be.
    pub enum RuntimeStatus {
        /// It does not answer.
        Unavailable = "Unavailable",
        /// Several hosts agree with each other.
        Coordination = "Coordination",
        /// It follows checkpoints of another.
        Standby = "Standby",
        /// It is starting.
        Initializing = "Initializing",
        /// It waits for approval.
        AwaitingApproval = "AwaitingApproval",
        /// It fills changed views.
        Bootstrapping = "Bootstrapping",
        /// It repeats what came after its checkpoint.
        Replaying = "Replaying",
        /// Its connectors rest.
        Paused = "Paused",
        /// It runs.
        Running = "Running",
        /// It has made a checkpoint and ends.
        Suspended = "Suspended",
        /// It fills changed views while the others go on.
        ConcurrentBootstrapping = "ConcurrentBootstrapping",
        /// The last part of that.
        Synchronizing = "Synchronizing",
    }

    /// How far compiling is.
    pub enum ProgramStatus {
        /// It waits.
        Pending = "Pending",
        /// The SQL is being compiled.
        CompilingSql = "CompilingSql",
        /// The SQL is compiled, and the Rust waits. For programs of the Gen-2 engine this can be the end: see
        /// [`Pipeline::is_compiled`](super::Pipeline::is_compiled).
        SqlCompiled = "SqlCompiled",
        /// The Rust is being compiled.
        CompilingRust = "CompilingRust",
        /// Done. It can fall back to `Pending` at a start when what was compiled is missing.
        Success = "Success",
        /// The SQL is wrong.
        SqlError = "SqlError",
        /// The Rust is wrong.
        RustError = "RustError",
        /// The compiler could not do its work.
        SystemError = "SystemError",
    }

    /// Whether storage is in use.
    pub enum StorageStatus {
        /// There is nothing.
        Cleared = "Cleared",
        /// There is.
        InUse = "InUse",
        /// Not much longer.
        Clearing = "Clearing",
    }

    /// How much the compiler optimises.
    pub enum CompilationProfile {
        /// For fast compiling.
        Dev = "dev",
        /// Not at all.
        Unoptimized = "unoptimized",
        /// For fast running; the default.
        Optimized = "optimized",
        /// The same, with symbols for profilers.
        OptimizedSymbols = "optimized_symbols",
    }

    /// Whether views that have changed since the last checkpoint are filled at a start.
    pub enum BootstrapPolicy {
        /// They are.
        Allow = "allow",
        /// The start fails.
        Reject = "reject",
        /// They are when somebody approves; the default.
        AwaitApproval = "await_approval",
    }
}

json_structs! {
    /// Errors of connectors.
    pub struct ConnectorErrors {
        /// How many.
        pub num_errors: u64,
    }
}

impl ProgramStatus {
    /// Whether compiling has failed.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::SqlError | Self::RustError | Self::SystemError)
    }

    /// Whether compiling goes on.
    pub fn is_in_progress(&self) -> bool {
        matches!(self, Self::Pending | Self::CompilingSql | Self::SqlCompiled | Self::CompilingRust)
    }
}

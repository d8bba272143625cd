//! How a pipeline is run.

use std::collections::BTreeMap;

use super::Switch;
use super::storage::StorageOptions;
use crate::feldera::{Json, SecretText};
use crate::schema::{json_structs, string_enums};

string_enums! {
    /// How much survives a crash.
    pub enum FtModel {
        /// Nothing.
        None = "none",
        /// All of it; outputs may come twice.
        AtLeastOnce = "at_least_once",
        /// All of it, and outputs come once.
        ExactlyOnce = "exactly_once",
    }
}

json_structs! {
    /// How a pipeline is run. What is `None` is left out of requests and gets Feldera's default.
    ///
    /// ```
    /// use pipewright::feldera::pipelines::RuntimeConfig;
    /// let mut config = RuntimeConfig::default();
    /// config.workers = Some(4);
    /// assert_eq!(serde_json::to_string(&config)?, r#"{"workers":4}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub struct RuntimeConfig (sparse) {
        /// Threads of the circuit; 8 by default.
        pub workers: Option<u32>,
        /// The most memory; MiB.
        pub max_rss_mb: Option<u64>,
        /// The most memory of ad-hoc queries; MiB.
        pub datafusion_memory_mb: Option<u64>,
        /// Machines.
        pub hosts: Option<u64>,
        /// Whether and how state is kept on disk; on by default.
        pub storage: Option<Switch<StorageOptions>>,
        /// What survives a crash.
        pub fault_tolerance: Option<FaultTolerance>,
        /// Measures where time goes.
        pub cpu_profiler: Option<bool>,
        /// Sends traces.
        pub tracing: Option<bool>,
        /// Where to.
        pub tracing_endpoint_jaeger: Option<String>,
        /// Records to wait for before a step.
        pub min_batch_size_records: Option<u64>,
        /// How long to wait for them; microseconds.
        pub max_buffering_delay_usecs: Option<u64>,
        /// Processors, memory, disk.
        pub resources: Option<ResourceConfig>,
        /// How often `NOW()` moves, in microseconds; 1,000,000 by default.
        pub clock_resolution_usecs: Option<Switch<u64>>,
        /// The offset of `NOW()` from UTC.
        pub clock_timezone_offset: Option<String>,
        /// Processors that workers are tied to.
        pub pin_cpus: Vec<u64>,
        /// How long making a process may take; seconds.
        pub provisioning_timeout_secs: Option<u64>,
        /// Connectors that start at the same time.
        pub max_parallel_connector_init: Option<u64>,
        /// Kubernetes containers that run before; as Kubernetes describes them.
        pub init_containers: Option<Json>,
        /// Whether suspending makes a checkpoint.
        pub checkpoint_during_suspend: Option<bool>,
        /// Threads for HTTP.
        pub http_workers: Option<u64>,
        /// Threads for connectors.
        pub io_workers: Option<u64>,
        /// Environment variables of the process; often keys and passwords, so their values are not shown.
        pub env: BTreeMap<String, SecretText>,
        /// Settings for Feldera's developers, which come and go.
        pub dev_tweaks: Option<Json>,
        /// What is logged, as in `info,dbsp=debug`.
        pub logging: Option<String>,
        /// A Kubernetes template for the pipeline.
        pub pipeline_template_configmap: Option<TemplateConfig>,
    }

    /// What survives a crash.
    pub struct FaultTolerance (sparse) {
        /// How much. `ExactlyOnce` by default if a configuration has `fault_tolerance` at all, otherwise `None`.
        pub model: Option<FtModel>,
        /// How often Feldera makes a checkpoint by itself, in seconds; 60 by default, at most 3600.
        pub checkpoint_interval_secs: Option<Switch<u64>>,
    }

    /// Processors, memory, disk.
    pub struct ResourceConfig (sparse) {
        /// At least so many processors.
        pub cpu_cores_min: Option<f64>,
        /// At the most.
        pub cpu_cores_max: Option<f64>,
        /// At least so much memory; MB.
        pub memory_mb_min: Option<u64>,
        /// At the most; MB.
        pub memory_mb_max: Option<u64>,
        /// Disk; MB.
        pub storage_mb_max: Option<u64>,
        /// Of which kind.
        pub storage_class: Option<String>,
        /// The account of the process.
        pub service_account_name: Option<String>,
        /// Where Kubernetes puts it.
        pub namespace: Option<String>,
    }

    /// A Kubernetes template.
    pub struct TemplateConfig (sparse) {
        /// The name of its config map.
        pub name: Option<String>,
        /// The key in there.
        pub key: Option<String>,
    }
}

macro_rules! defaults {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Default for $name {
            /// Feldera's defaults.
            fn default() -> Self {
                Self { $( $field: Default::default() ),* }
            }
        }
    )*};
}

defaults! {
    RuntimeConfig {
        workers, max_rss_mb, datafusion_memory_mb, hosts, storage, fault_tolerance, cpu_profiler, tracing,
        tracing_endpoint_jaeger, min_batch_size_records, max_buffering_delay_usecs, resources, clock_resolution_usecs,
        clock_timezone_offset, pin_cpus, provisioning_timeout_secs, max_parallel_connector_init, init_containers,
        checkpoint_during_suspend, http_workers, io_workers, env, dev_tweaks, logging, pipeline_template_configmap
    }
    FaultTolerance { model, checkpoint_interval_secs }
    ResourceConfig {
        cpu_cores_min, cpu_cores_max, memory_mb_min, memory_mb_max, storage_mb_max, storage_class, service_account_name,
        namespace
    }
    TemplateConfig { name, key }
}

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
        pub workers: Option<u32> = "workers",
        /// The most memory; MiB.
        pub max_rss_mb: Option<u64> = "max_rss_mb",
        /// The most memory of ad-hoc queries; MiB.
        pub datafusion_memory_mb: Option<u64> = "datafusion_memory_mb",
        /// Machines.
        pub hosts: Option<u64> = "hosts",
        /// Whether and how state is kept on disk; on by default.
        pub storage: Option<Switch<StorageOptions>> = "storage",
        /// What survives a crash.
        pub fault_tolerance: Option<FaultTolerance> = "fault_tolerance",
        /// Measures where time goes.
        pub cpu_profiler: Option<bool> = "cpu_profiler",
        /// Sends traces.
        pub tracing: Option<bool> = "tracing",
        /// Where to.
        pub tracing_endpoint_jaeger: Option<String> = "tracing_endpoint_jaeger",
        /// Records to wait for before a step.
        pub min_batch_size_records: Option<u64> = "min_batch_size_records",
        /// How long to wait for them; microseconds.
        pub max_buffering_delay_usecs: Option<u64> = "max_buffering_delay_usecs",
        /// Processors, memory, disk.
        pub resources: Option<ResourceConfig> = "resources",
        /// How often `NOW()` moves, in microseconds; 1,000,000 by default.
        pub clock_resolution_usecs: Option<Switch<u64>> = "clock_resolution_usecs",
        /// The offset of `NOW()` from UTC.
        pub clock_timezone_offset: Option<String> = "clock_timezone_offset",
        /// Processors that workers are tied to.
        pub pin_cpus: Vec<u64> = "pin_cpus",
        /// How long making a process may take; seconds.
        pub provisioning_timeout_secs: Option<u64> = "provisioning_timeout_secs",
        /// Connectors that start at the same time.
        pub max_parallel_connector_init: Option<u64> = "max_parallel_connector_init",
        /// Kubernetes containers that run before; as Kubernetes describes them.
        pub init_containers: Option<Json> = "init_containers",
        /// Whether suspending makes a checkpoint.
        pub checkpoint_during_suspend: Option<bool> = "checkpoint_during_suspend",
        /// Threads for HTTP.
        pub http_workers: Option<u64> = "http_workers",
        /// Threads for connectors.
        pub io_workers: Option<u64> = "io_workers",
        /// Environment variables of the process; often keys and passwords, so their values are not shown.
        pub env: BTreeMap<String, SecretText> = "env",
        /// Settings for Feldera's developers, which come and go.
        pub dev_tweaks: Option<Json> = "dev_tweaks",
        /// What is logged, as in `info,dbsp=debug`.
        pub logging: Option<String> = "logging",
        /// A Kubernetes template for the pipeline.
        pub pipeline_template_configmap: Option<TemplateConfig> = "pipeline_template_configmap",
    }

    /// What survives a crash.
    pub struct FaultTolerance (sparse) {
        /// How much. `ExactlyOnce` by default if a configuration has `fault_tolerance` at all, otherwise `None`.
        pub model: Option<FtModel> = "model",
        /// How often Feldera makes a checkpoint by itself, in seconds; 60 by default, at most 3600.
        pub checkpoint_interval_secs: Option<Switch<u64>> = "checkpoint_interval_secs",
    }

    /// Processors, memory, disk.
    pub struct ResourceConfig (sparse) {
        /// At least so many processors.
        pub cpu_cores_min: Option<f64> = "cpu_cores_min",
        /// At the most.
        pub cpu_cores_max: Option<f64> = "cpu_cores_max",
        /// At least so much memory; MB.
        pub memory_mb_min: Option<u64> = "memory_mb_min",
        /// At the most; MB.
        pub memory_mb_max: Option<u64> = "memory_mb_max",
        /// Disk; MB.
        pub storage_mb_max: Option<u64> = "storage_mb_max",
        /// Of which kind.
        pub storage_class: Option<String> = "storage_class",
        /// The account of the process.
        pub service_account_name: Option<String> = "service_account_name",
        /// Where Kubernetes puts it.
        pub namespace: Option<String> = "namespace",
    }

    /// A Kubernetes template.
    pub struct TemplateConfig (sparse) {
        /// The name of its config map.
        pub name: Option<String> = "name",
        /// The key in there.
        pub key: Option<String> = "key",
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

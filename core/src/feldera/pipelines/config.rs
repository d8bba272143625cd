//! [`RuntimeConfig`]: the runtime configuration of a pipeline.

use std::collections::BTreeMap;

use super::Switch;
use super::storage::StorageOptions;
use crate::feldera::settings::{Spelled, Spellings, settings, string_settings};
use crate::feldera::{ByteSize, ConfigDuration, Json, SecretText};
use crate::operation::RequestContext;
use crate::schema::string_enums;

string_enums! {
    /// What a pipeline recovers after a crash.
    pub enum FtModel {
        /// Nothing is recovered.
        None = "none",
        /// All state is recovered; outputs may be repeated.
        AtLeastOnce = "at_least_once",
        /// All state is recovered, and no output is repeated.
        ExactlyOnce = "exactly_once",
    }
}

string_settings!(FtModel);

settings! {
    /// The runtime configuration of a pipeline. A setting that is `None` or empty is left out of requests: Feldera uses
    /// its default.
    ///
    /// Release 0.366 renamed all durations and release 0.367 all sizes: a number such as `max_rss_mb` became a text
    /// with a unit, `max_rss`. Both names are read into the same field. The name in a request depends on the version of
    /// the server: see [`Config::with_server_version`](crate::flow::Config::with_server_version):
    ///
    /// | version of the server | name and value in a request |
    /// |---|---|
    /// | before 0.366, sizes before 0.367 | the old name with a number; a value that is not a whole number of units is rounded up |
    /// | since 0.366, sizes since 0.367 | the new name with a text |
    /// | not known; the configuration was read with new names | the new name |
    /// | not known; the configuration was read with old names | the old name with a number, rounded up |
    /// | not known; all other configurations | the old name if a number can hold the value exactly: all releases up to now read it. Otherwise the new name, **which servers before 0.366 ignore, and sizes before 0.367** |
    ///
    /// If [`Deploy`](crate::feldera::Deploy) has a configuration, it requests the server's version. After that, all
    /// clones of the client use it. Before other requests, pass the
    /// [`Configuration::server_version`](crate::feldera::platform::Configuration::server_version) to
    /// [`Client::with_server_version`](crate::driver::Client::with_server_version).
    ///
    /// Requests replace the whole configuration. To change a setting, read the configuration, change it and send it
    /// back. Settings that this version of the library does not know are kept in `unknown` and sent
    /// back too; [`set`](Self::set) sets such a setting.
    ///
    /// ```
    /// use pipewright::feldera::pipelines::RuntimeConfig;
    /// let mut config: RuntimeConfig = serde_json::from_str(r#"{"max_rss":"16Gi","of_tomorrow":[1]}"#)?;
    /// config.workers = Some(4);
    /// config.set("new_setting", "on")?;
    /// assert_eq!(
    ///     serde_json::to_string(&config)?,
    ///     r#"{"workers":4,"max_rss":"16Gi","new_setting":"on","of_tomorrow":[1]}"#
    /// );
    /// assert_eq!(serde_json::from_str::<RuntimeConfig>(r#"{"max_rss_mb":500}"#)?.max_rss, Some("500M".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct RuntimeConfig {
        /// The number of worker threads of the circuit, from 1 to 65,535; 8 by default.
        pub workers: Option<u32>,
        /// The maximum memory on each host; [`ResourceConfig::memory_max`] by default. Before 0.367 `max_rss_mb`, in
        /// megabytes.
        pub max_rss: Option<ByteSize> | "max_rss_mb" in Megabytes,
        /// The maximum memory of ad-hoc queries and of the Delta Lake and Iceberg connectors; 5 % of the pipeline's
        /// memory by default, at most 2 GB. Before 0.367 `datafusion_memory_mb`, in megabytes.
        pub datafusion_memory: Option<ByteSize> | "datafusion_memory_mb" in Megabytes,
        /// The number of hosts; 1 by default. More than one needs the enterprise edition.
        pub hosts: Option<u64>,
        /// Whether to keep state on disk, and how; on by default.
        pub storage: Option<Switch<StorageOptions>>,
        /// What is recovered after a crash; nothing by default.
        pub fault_tolerance: Option<FaultTolerance>,
        /// Whether to profile CPU time; true by default.
        pub cpu_profiler: Option<bool>,
        /// Whether to send traces; false by default.
        pub tracing: Option<bool>,
        /// The Jaeger endpoint that traces are sent to, as `host:port`; `127.0.0.1:6831` by default.
        pub tracing_endpoint_jaeger: Option<String>,
        /// How many input records to wait for before a step; 0 by default.
        pub min_batch_size_records: Option<u64>,
        /// The longest wait for `min_batch_size_records`; no wait by default. Before 0.366 `max_buffering_delay_usecs`,
        /// in microseconds.
        pub max_buffering_delay: Option<ConfigDuration> | "max_buffering_delay_usecs" in Microseconds,
        /// Processors, memory and disk of the process.
        pub resources: Option<ResourceConfig>,
        /// How often `NOW()` changes; 1 s by default. Before 0.366 `clock_resolution_usecs`, in microseconds, and `Off`
        /// switched the clock off. Since 0.366 `Off` stands for the default.
        pub clock_resolution: Option<Switch<ConfigDuration>> | "clock_resolution_usecs" in Microseconds,
        /// The offset of `NOW()` from UTC, such as `+05:30`; UTC by default.
        pub clock_timezone_offset: Option<String>,
        /// The numbers of the processors that worker threads are bound to; at least two for each worker.
        pub pin_cpus: Vec<u64>,
        /// The timeout for provisioning the process; the runner has a default. Before 0.366
        /// `provisioning_timeout_secs`, in seconds.
        pub provisioning_timeout: Option<ConfigDuration> | "provisioning_timeout_secs" in Seconds,
        /// How many connectors start at the same time; 10 by default.
        pub max_parallel_connector_init: Option<u64>,
        /// Kubernetes init containers, which run before the process, in the format of Kubernetes.
        pub init_containers: Option<Json>,
        /// Whether suspending makes a checkpoint; true by default. Current releases ignore it.
        pub checkpoint_during_suspend: Option<bool>,
        /// The number of threads for HTTP; as many as `workers` by default.
        pub http_workers: Option<u64>,
        /// The number of threads for connectors and ad-hoc queries; as many as `workers` by default.
        pub io_workers: Option<u64>,
        /// Environment variables of the process. `Debug` does not show the values, because many are secrets.
        pub env: BTreeMap<String, SecretText>,
        /// Settings for Feldera's developers, which change without notice.
        pub dev_tweaks: Option<DevTweaks>,
        /// The log filter, such as `info,dbsp=debug`; `info` by default.
        pub logging: Option<String>,
        /// A Kubernetes template for the pipeline.
        pub pipeline_template_configmap: Option<TemplateConfig>,
    }

    /// What a pipeline recovers after a crash, and how often it makes checkpoints.
    pub struct FaultTolerance {
        /// What is recovered. [`FtModel::ExactlyOnce`] by default if a new pipeline has `fault_tolerance`, otherwise
        /// [`FtModel::None`]. [`Deploy`](crate::feldera::Deploy) keeps the model of an existing pipeline.
        pub model: Option<FtModel>,
        /// The interval of automatic checkpoints, from 1 s to 1 h; 1 minute by default. `Off` disables them. Before
        /// 0.366 `checkpoint_interval_secs`, in seconds.
        pub checkpoint_interval: Option<Switch<ConfigDuration>> | "checkpoint_interval_secs" in Seconds,
    }

    /// Processors, memory and disk of a pipeline's process.
    pub struct ResourceConfig {
        /// The minimum number of processors; fractions are allowed.
        pub cpu_cores_min: Option<f64>,
        /// The maximum number of processors; fractions are allowed.
        pub cpu_cores_max: Option<f64>,
        /// The minimum memory. Before 0.367 `memory_mb_min`, in megabytes.
        pub memory_min: Option<ByteSize> | "memory_mb_min" in Megabytes,
        /// The maximum memory. Before 0.367 `memory_mb_max`, in megabytes.
        pub memory_max: Option<ByteSize> | "memory_mb_max" in Megabytes,
        /// The initial disk space, which can grow up to `storage_max`. A release between 0.338 and 0.366
        /// added it as `storage_mb_min`, in megabytes.
        pub storage_min: Option<ByteSize> | "storage_mb_min" in Megabytes,
        /// The maximum disk space. Before 0.367 `storage_mb_max`, in megabytes.
        pub storage_max: Option<ByteSize> | "storage_mb_max" in Megabytes,
        /// How disk space grows. Not in 0.337.
        pub autoscaling: Option<AutoscalingConfig>,
        /// The Kubernetes storage class.
        pub storage_class: Option<String>,
        /// The Kubernetes volume attributes class; needs Kubernetes 1.34. Not in 0.337.
        pub volume_attributes_class: Option<String>,
        /// The Kubernetes service account of the process.
        pub service_account_name: Option<String>,
        /// The Kubernetes namespace of the process; that of the manager by default.
        pub namespace: Option<String>,
    }

    /// How the resources of a pipeline grow.
    pub struct AutoscalingConfig {
        /// How disk space grows; not at all by default.
        pub storage: Option<StorageAutoscaling>,
    }

    /// How disk space grows from [`ResourceConfig::storage_min`] to [`ResourceConfig::storage_max`].
    pub struct StorageAutoscaling {
        /// The used share of the disk space, from 0 to 1, at which it grows; 0.8 by default.
        pub scale_threshold: Option<f64>,
        /// The free disk space below which it grows; no such limit by default. Before 0.367
        /// `scale_threshold_available_mb`, in megabytes.
        pub scale_threshold_available: Option<ByteSize> | "scale_threshold_available_mb" in Megabytes,
        /// The factor of each growth; 2 by default.
        pub scale_factor: Option<f64>,
    }

    /// Settings for Feldera's developers. They change without notice: only the renamed settings are fields, all others
    /// are in `unknown`.
    pub struct DevTweaks {
        /// The maximum disk space. Before 0.367 `storage_mb_max`, in mebibytes.
        pub storage_max: Option<ByteSize> | "storage_mb_max" in Mebibytes,
        /// The size of the slabs of each class of buffers. Before 0.367 `fbuf_slab_bytes_per_class`, in bytes.
        pub fbuf_slab_size_per_class: Option<ByteSize> | "fbuf_slab_bytes_per_class" in Bytes,
        /// The size of a block of keys of a lazy input map. Before 0.367 `lazy_input_map_key_block_bytes`, in bytes.
        pub lazy_input_map_key_block_size: Option<ByteSize> | "lazy_input_map_key_block_bytes" in Bytes,
        /// The capacity of the channels between workers. Before 0.367 `exchange_channel_capacity_bytes`, in bytes.
        pub exchange_channel_capacity: Option<ByteSize> | "exchange_channel_capacity_bytes" in Bytes,
    }

    /// A Kubernetes template.
    pub struct TemplateConfig {
        /// The name of its config map. Required.
        pub name: Option<String>,
        /// The key of the template in the config map; `pipelineTemplate` by default.
        pub key: Option<String>,
    }
}

/// Wraps a configuration so that it is written with the names that the server of the request reads.
pub(super) fn spelled<'a>(config: &'a RuntimeConfig, cx: RequestContext<'_>) -> impl serde::Serialize + 'a {
    Spelled { value: config, spellings: Spellings::from(cx) }
}

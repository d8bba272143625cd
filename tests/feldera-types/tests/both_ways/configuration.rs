//! How a pipeline is run.

use std::collections::BTreeMap;

use feldera_types::config::dev_tweaks::{BufferCacheAllocationStrategy, BufferCacheStrategy, MergerType};
use feldera_types::config::{
    DevTweaks, FileBackendConfig, FtConfig, FtModel, ObjectStorageConfig, PipelineTemplateConfig, ResourceConfig,
    RuntimeConfig, StartFromCheckpoint, StorageBackendConfig, StorageCompression, StorageOptions, SyncConfig,
};
use pipewright::feldera::pipelines::{self, Switch};
use pipewright::feldera::{ByteSize, ConfigDuration};
use serde_json::json;

use crate::answers::{moment, uuid};
use crate::compare::{compare, compare_words, each};

fn tweaks() -> DevTweaks {
    DevTweaks {
        buffer_cache_strategy: Some(BufferCacheStrategy::Lru),
        buffer_max_buckets: Some(1),
        buffer_cache_allocation_strategy: Some(BufferCacheAllocationStrategy::PerThread),
        fbuf_slab_bytes_per_class: Some(2),
        fetch_join: Some(true),
        fetch_distinct: Some(true),
        merger: Some(MergerType::PushMerger),
        storage_mb_max: Some(3),
        stack_overflow_backtrace: Some(true),
        splitter_chunk_size_records: Some(4),
        adaptive_joins: Some(true),
        eager_evict: Some(true),
        balancer_min_relative_improvement_threshold: Some(1.5),
        balancer_min_absolute_improvement_threshold: Some(5),
        balancer_balance_tax: Some(1.25),
        balancer_key_distribution_refresh_threshold: Some(0.5),
        bloom_false_positive_rate: Some(0.01),
        enable_roaring: Some(true),
        max_level0_batch_size_records: Some(6),
        merger_threads: Some(7),
        negative_weight_multiplier: Some(8),
        disable_auto_transaction: Some(true),
        now_offset: Some(moment("2026-11-01T10:00:00Z")),
        now_http_driven: Some(true),
        streaming_exchange: Some(true),
        optimize_input_during_commit: Some(true),
        other_options: BTreeMap::from([("of_tomorrow".to_owned(), json!({ "a": [1.5, null] }))]),
    }
}

#[allow(deprecated, reason = "it is still read")]
fn sync(start_from_checkpoint: StartFromCheckpoint) -> SyncConfig {
    SyncConfig {
        endpoint: Some("http://127.0.0.1:9000".to_owned()),
        bucket: "bucket/folder".to_owned(),
        region: Some("eu".to_owned()),
        provider: Some("Minio".to_owned()),
        access_key: Some("id".to_owned()),
        secret_key: Some("secret".to_owned()),
        start_from_checkpoint: Some(start_from_checkpoint),
        fail_if_no_checkpoint: true,
        transfers: Some(1),
        checkers: Some(2),
        ignore_checksum: Some(true),
        multi_thread_streams: Some(3),
        multi_thread_cutoff: Some("100M".to_owned()),
        optimize_download_resources: false,
        upload_concurrency: Some(4),
        standby: true,
        pull_interval: 5,
        push_interval: Some(6),
        flags: Some(vec!["--fast-list".to_owned()]),
        retention_min_count: 7,
        retention_min_age: 8,
        read_bucket: Some("other".to_owned()),
    }
}

fn file(start_from_checkpoint: StartFromCheckpoint) -> StorageBackendConfig {
    StorageBackendConfig::File(Box::new(FileBackendConfig {
        async_threads: Some(true),
        ioop_delay: Some(9),
        sync: Some(sync(start_from_checkpoint)),
    }))
}

fn storage(backend: StorageBackendConfig, compression: StorageCompression) -> StorageOptions {
    StorageOptions {
        backend,
        min_storage_bytes: Some(1),
        min_step_storage_bytes: Some(2),
        compression,
        cache_mib: Some(3),
        bloom_false_positive_rate: Some(0.01),
    }
}

/// Every backend, and every way to start.
fn storages() -> Vec<StorageOptions> {
    let object = StorageBackendConfig::Object(ObjectStorageConfig {
        url: "s3://bucket/folder".to_owned(),
        other_options: BTreeMap::from([("access_key_id".to_owned(), "id".to_owned())]),
    });
    let backends = [
        file(StartFromCheckpoint::Latest),
        file(StartFromCheckpoint::Uuid(uuid())),
        StorageBackendConfig::File(Box::default()),
        object,
        StorageBackendConfig::Default,
    ];
    // Does not compile if there is another variant.
    backends.iter().for_each(|backend| match backend {
        StorageBackendConfig::Default | StorageBackendConfig::File(_) | StorageBackendConfig::Object(_) => (),
    });
    backends.map(|backend| storage(backend, StorageCompression::Snappy)).into()
}

fn config(storage: Option<StorageOptions>, fault_tolerance: FtConfig) -> RuntimeConfig {
    RuntimeConfig {
        workers: 4,
        max_rss_mb: Some(1),
        datafusion_memory_mb: Some(2),
        hosts: 3,
        storage,
        fault_tolerance,
        cpu_profiler: false,
        tracing: true,
        tracing_endpoint_jaeger: "127.0.0.1:1".to_owned(),
        min_batch_size_records: 5,
        max_buffering_delay_usecs: 6,
        resources: ResourceConfig {
            cpu_cores_min: Some(0.5),
            cpu_cores_max: Some(2.0),
            memory_mb_min: Some(7),
            memory_mb_max: Some(8),
            storage_mb_max: Some(9),
            storage_class: Some("fast".to_owned()),
            service_account_name: Some("account".to_owned()),
            namespace: Some("namespace".to_owned()),
        },
        clock_resolution_usecs: Some(10),
        clock_timezone_offset: Some("+05:30".parse().expect("an offset")),
        pin_cpus: vec![1, 2],
        provisioning_timeout_secs: Some(11),
        max_parallel_connector_init: Some(12),
        init_containers: Some(json!([{ "name": "init", "ports": [{ "containerPort": 80 }] }])),
        checkpoint_during_suspend: false,
        http_workers: Some(13),
        io_workers: Some(14),
        env: BTreeMap::from([("KEY".to_owned(), "value".to_owned())]),
        dev_tweaks: tweaks(),
        logging: Some("debug".to_owned()),
        pipeline_template_configmap: Some(PipelineTemplateConfig { name: "map".to_owned(), key: "key".to_owned() }),
    }
}

/// A configuration in which every setting has a value.
fn full() -> RuntimeConfig {
    let storage = storage(file(StartFromCheckpoint::Latest), StorageCompression::Snappy);
    config(Some(storage), FtConfig { model: Some(FtModel::AtLeastOnce), checkpoint_interval_secs: Some(30) })
}

fn fault_tolerances() -> Vec<FtConfig> {
    let models = each!(FtModel { AtLeastOnce, ExactlyOnce }).map(Some).into_iter().chain([None]);
    models
        .flat_map(|model| [Some(30), None].map(|checkpoint_interval_secs| FtConfig { model, checkpoint_interval_secs }))
        .collect()
}

/// The settings of ours that releases after 0.349 have added, and the maps of unknown settings, which stay empty.
const LATER: [&str; 9] = [
    "autoscaling",
    "compression_level",
    "exchange_channel_capacity",
    "lazy_input_map_key_block_size",
    "storage_min",
    "sync_mode",
    "take_bucket_ownership",
    "unknown",
    "volume_attributes_class",
];

/// What is off stays off, and what has a default keeps it.
#[test]
fn how_a_pipeline_is_run() {
    let most = || storages().into_iter().next();
    let tolerant = FtConfig { model: Some(FtModel::AtLeastOnce), checkpoint_interval_secs: Some(30) };
    let mut values = vec![config(most(), tolerant), RuntimeConfig::default()];
    values.push(config(None, tolerant));
    values.push(RuntimeConfig { clock_resolution_usecs: None, ..RuntimeConfig::default() });
    values.extend(storages().into_iter().map(|storage| config(Some(storage), tolerant)));
    values.extend(fault_tolerances().into_iter().map(|tolerance| config(most(), tolerance)));
    compare::<pipelines::RuntimeConfig, _>(&values, &LATER);
}

#[test]
fn parts_of_a_configuration() {
    compare::<pipelines::FaultTolerance, _>(&fault_tolerances(), &["unknown"]);
    compare::<pipelines::StorageOptions, _>(
        &storages(),
        &["compression_level", "sync_mode", "take_bucket_ownership", "unknown"],
    );
    compare::<pipelines::SyncConfig, _>(&[sync(StartFromCheckpoint::Latest)], &["take_bucket_ownership", "unknown"]);
    compare::<pipelines::StorageBackend, _>(
        &[file(StartFromCheckpoint::Latest)],
        &["sync_mode", "take_bucket_ownership", "unknown"],
    );
    compare::<pipelines::ResourceConfig, _>(
        &[full().resources],
        &["autoscaling", "storage_min", "unknown", "volume_attributes_class"],
    );
    compare::<pipelines::TemplateConfig, _>(&[full().pipeline_template_configmap.expect("a template")], &["unknown"]);
    let compressions = [
        pipelines::StorageCompression::Default,
        pipelines::StorageCompression::None,
        pipelines::StorageCompression::Snappy,
        pipelines::StorageCompression::Lz4,
        pipelines::StorageCompression::Zstd,
    ];
    compare_words(&each!(StorageCompression { Default, None, Snappy }), &compressions, &["lz4", "zstd"]);
    // The server has it as the absence of a model.
    let models = [pipelines::FtModel::AtLeastOnce, pipelines::FtModel::ExactlyOnce, pipelines::FtModel::None];
    compare_words(&each!(FtModel { AtLeastOnce, ExactlyOnce }), &models, &["none"]);
}

/// Every setting of the server's is a field of ours; only tweaks for developers are not.
#[test]
fn nothing_of_the_server_is_unknown() {
    let sent = |config: &pipelines::RuntimeConfig| -> pipelines::RuntimeConfig {
        let theirs: RuntimeConfig = serde_json::from_value(json!(config)).expect("the server reads it");
        serde_json::from_value(json!(theirs)).expect("we read it")
    };
    let ours: pipelines::RuntimeConfig = serde_json::from_value(json!(full())).expect("we read it");
    assert_eq!(sent(&ours), ours);
    let shown = format!("{ours:#?}");
    let is_filled = |line: &&str| line.trim_end() == "unknown: {" || line.trim_end().ends_with(" unknown: {");
    assert_eq!(shown.lines().filter(is_filled).count(), 1, "{shown}");
    let tweaks = ours.dev_tweaks.as_ref().expect("tweaks");
    assert!(tweaks.unknown.contains_key("of_tomorrow") && !tweaks.unknown.contains_key("storage_mb_max"), "{shown}");

    // The units of the old names.
    let resources = ours.resources.as_ref().expect("resources");
    let size = |size: Option<ByteSize>| size.expect("a size").to_string();
    let duration = |duration: Option<Switch<ConfigDuration>>| duration.and_then(Switch::on).expect("one").to_string();
    assert_eq!(
        (size(ours.max_rss), size(resources.memory_max), size(tweaks.storage_max)),
        ("1M".into(), "8M".into(), "3Mi".into())
    );
    assert_eq!(duration(ours.clock_resolution), "10us");
}

/// What our configuration leaves out is the server's default, and what it switches off is off.
#[test]
fn what_is_left_out_has_the_servers_default() {
    let sent = |config: &pipelines::RuntimeConfig| -> RuntimeConfig {
        serde_json::from_str(&serde_json::to_string(config).expect("JSON")).expect("the server reads it")
    };
    let mut ours = pipelines::RuntimeConfig::default();
    assert_eq!(sent(&ours), RuntimeConfig::default());
    ours.storage = Some(Switch::Off);
    ours.clock_resolution = Some(Switch::Off);
    let off = RuntimeConfig { storage: None, clock_resolution_usecs: None, ..RuntimeConfig::default() };
    assert_eq!(sent(&ours), off);
    ours.storage = Some(pipelines::StorageOptions::default().into());
    ours.clock_resolution = None;
    assert_eq!(sent(&ours), RuntimeConfig::default());
}

/// As a server of long ago has stored it, and all servers read it.
#[test]
fn storage_may_be_a_truth_value() {
    for (text, storage) in [
        ("true", Some(Switch::On(pipelines::StorageOptions::default()))),
        ("false", Some(Switch::Off)),
        ("null", Some(Switch::Off)),
    ] {
        let text = format!(r#"{{"storage":{text}}}"#);
        let ours: pipelines::RuntimeConfig = serde_json::from_str(&text).expect(&text);
        assert_eq!(ours.storage, storage, "{text}");
        let theirs: RuntimeConfig = serde_json::from_str(&text).expect(&text);
        let back: RuntimeConfig = serde_json::from_str(&serde_json::to_string(&ours).expect("JSON")).expect(&text);
        assert_eq!(back, theirs, "{text}");
    }
}

//! The storage settings of a pipeline.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::feldera::settings::{
    Number, SettingValue, Source, Spelled, Spellings, Unit, merge_unknown, settings, string_settings,
};
use crate::feldera::{ByteSize, ConfigDuration, Json, SecretText};
use crate::schema::{plain_fields, string_enums};

string_enums! {
    /// The compression of state on disk.
    pub enum StorageCompression {
        /// Feldera chooses the algorithm.
        Default = "default",
        /// No compression.
        None = "none",
        /// Snappy.
        Snappy = "snappy",
        /// LZ4. Not in 0.337.
        Lz4 = "lz4",
        /// Zstandard; see [`StorageOptions::compression_level`]. Not in 0.337.
        Zstd = "zstd",
    }

    /// How files are made durable for a checkpoint.
    pub enum StorageSyncMode {
        /// With `syncfs` if storage has a file system of its own, otherwise file by file.
        Auto = "auto",
        /// With `syncfs`.
        Syncfs = "syncfs",
        /// File by file.
        PerFile = "per_file",
    }
}

string_settings!(StorageCompression, StorageSyncMode);

impl SettingValue for StartFrom {
    const EXPECTED: &'static str = "\"latest\", the id of a checkpoint, or true or false";

    fn of_bool(flag: bool) -> Option<Self> {
        Some(Self::Flag(flag))
    }

    fn of_text(text: &str, _: Option<Unit>) -> Option<Self> {
        Some(if text == "latest" { Self::Latest } else { Self::Checkpoint(text.into()) })
    }
}

settings! {
    /// Settings for state on disk. A setting that is `None` is left out of requests.
    pub struct StorageOptions {
        /// The storage backend; the platform's default backend by default.
        pub backend: Option<StorageBackend>,
        /// The minimum size of a batch that is kept on disk; 10 MiB by default. 0 keeps all batches on disk. Before
        /// 0.367 `min_storage_bytes`, in bytes.
        pub min_spill_size: Option<ByteSize> | "min_storage_bytes" in Bytes,
        /// The minimum size of a batch of a single step that is kept on disk. By default, such batches stay in memory.
        /// Before 0.367 `min_step_storage_bytes`, in bytes.
        pub min_step_spill_size: Option<ByteSize> | "min_step_storage_bytes" in Bytes,
        /// The compression.
        pub compression: Option<StorageCompression>,
        /// The compression level of Zstandard, from 1 to 22; other algorithms have no level. Not in 0.337.
        pub compression_level: Option<i32>,
        /// The size of the cache in memory; 256 MiB for each thread by default. Before 0.367 `cache_mib`, in mebibytes.
        pub cache_size: Option<ByteSize> | "cache_mib" in Mebibytes,
        /// The false positive rate of Bloom filters, from 0 to 1; 0.0001 by default. Since
        /// 0.349.
        pub bloom_false_positive_rate: Option<f64>,
    }

    /// The local file system.
    pub struct FileBackend {
        /// Whether separate threads read and write; by default Feldera chooses.
        pub async_threads: Option<bool>,
        /// The extra latency of each access, to simulate a slow disk; none by default. Before 0.366 `ioop_delay`, in
        /// milliseconds.
        pub ioop_latency: Option<ConfigDuration> | "ioop_delay" in Milliseconds,
        /// The bucket that checkpoints are sent to and fetched from; none by default.
        pub sync: Option<SyncConfig>,
        /// How files are made durable for a checkpoint; `Auto` by default. Not in 0.337.
        pub sync_mode: Option<StorageSyncMode>,
    }

    /// A bucket for checkpoints, and the options of `rclone` for it. A setting that is `None` is left out of requests.
    pub struct SyncConfig {
        /// The bucket, such as `bucket` or `bucket/folder`. Required.
        pub bucket: Option<String>,
        /// A read-only bucket, used if neither the local storage nor `bucket` has a checkpoint.
        pub read_bucket: Option<String>,
        /// The service's address; Amazon's by default.
        pub endpoint: Option<String>,
        /// The provider of the service, such as `AWS` or `Minio`; `Other` by default.
        pub provider: Option<String>,
        /// The bucket's region; `us-east-1` by default.
        pub region: Option<String>,
        /// The key's id; that of the process's environment by default.
        pub access_key: Option<SecretText>,
        /// The key; that of the process's environment by default.
        pub secret_key: Option<SecretText>,
        /// The checkpoint to start from; none by default.
        pub start_from_checkpoint: Option<StartFrom>,
        /// Whether the pipeline fails to start without a checkpoint; false by default.
        pub fail_if_no_checkpoint: Option<bool>,
        /// Whether the pipeline follows the checkpoints of another pipeline. Deprecated: see
        /// [`Initial::Standby`](crate::feldera::lifecycle::Initial::Standby).
        pub standby: Option<bool>,
        /// The interval in which a standby pipeline checks for a newer checkpoint; 10 s by default. Before 0.366
        /// `pull_interval`, in seconds.
        pub standby_pull_interval: Option<ConfigDuration> | "pull_interval" in Seconds,
        /// The interval in which the newest checkpoint is sent; never by default. Before 0.366 `push_interval`, in
        /// seconds.
        pub checkpoint_push_interval: Option<ConfigDuration> | "push_interval" in Seconds,
        /// The age up to which checkpoints in the bucket are never deleted; 30 days by default. Before 0.366
        /// `retention_min_age`, in days.
        pub min_retention: Option<ConfigDuration> | "retention_min_age" in Days,
        /// The minimum number of checkpoints in the bucket; 10 by default.
        pub retention_min_count: Option<u32>,
        /// The number of files that are sent or fetched at a time; 20 by default.
        pub transfers: Option<u32>,
        /// The number of files that are compared at a time; 20 by default.
        pub checkers: Option<u32>,
        /// Whether only sizes are compared, and not checksums; false by default.
        pub ignore_checksum: Option<bool>,
        /// The minimum size of a file that is fetched in parts, in the format of `rclone`; `100M` by default.
        pub multi_thread_cutoff: Option<String>,
        /// The number of parts that are fetched at a time; 10 by default.
        pub multi_thread_streams: Option<u32>,
        /// The number of parts of a file that are sent at a time; 10 by default.
        pub upload_concurrency: Option<u32>,
        /// Whether to fetch as fast as the machine can; true by default.
        pub optimize_download_resources: Option<bool>,
        /// More options of `rclone`. `Debug` does not show them, because some are secrets.
        pub flags: Vec<SecretText>,
        /// Whether the pipeline takes the bucket over from another pipeline when it starts; false by default. Not in
        /// 0.337.
        pub take_bucket_ownership: Option<bool>,
    }
}

impl SyncConfig {
    /// Creates the configuration of a bucket with Feldera's defaults.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: Some(bucket.into()), ..Self::default() }
    }
}

/// The storage backend of a pipeline.
///
/// ```
/// use pipewright::feldera::pipelines::{FileBackend, StorageBackend, SyncConfig};
/// let mut sync = SyncConfig::new("bucket/orders");
/// sync.secret_key = Some("s3cr3t".into());
/// let mut files = FileBackend::default();
/// files.sync = Some(sync);
/// let backend = StorageBackend::File(Box::new(files));
/// let text = r#"{"name":"file","config":{"sync":{"bucket":"bucket/orders","secret_key":"s3cr3t"}}}"#;
/// assert_eq!(serde_json::to_string(&backend)?, text);
/// assert_eq!(serde_json::from_str::<StorageBackend>(text)?, backend);
/// assert!(!format!("{backend:?}").contains("s3cr3t"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StorageBackend {
    /// The default backend of the platform.
    Default,
    /// The local file system.
    File(Box<FileBackend>),
    /// An object store.
    Object(ObjectStore),
    /// A backend, or settings of a backend, that this version of the library does not know: the whole JSON value.
    Unknown(Json),
}

/// An object store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ObjectStore {
    /// The address, such as `s3://bucket/path`, `gs://bucket/path` or `az://container/path`.
    pub url: String,
    /// Options of this kind of store. `Debug` does not show the values, because some are secrets. The address takes
    /// precedence over them.
    pub options: BTreeMap<String, SecretText>,
}

impl ObjectStore {
    /// Creates an object store with this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), options: BTreeMap::new() }
    }
}

impl Serialize for ObjectStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = self.options.iter().map(|(key, value)| (key.as_str(), value.secret().expose()));
        serializer.collect_map(std::iter::once(("url", self.url.as_str())).chain(options))
    }
}

impl<'de> Deserialize<'de> for ObjectStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = BTreeMap::<String, SecretText>::deserialize(deserializer)?;
        let url = options.remove("url").ok_or_else(|| D::Error::missing_field("url"))?;
        Ok(Self { url: url.secret().expose().to_owned(), options })
    }
}

impl SettingValue for StorageBackend {
    const EXPECTED: &'static str = "an object";

    fn of_bool(value: bool) -> Option<Self> {
        Json::of_bool(value).map(Self::Unknown)
    }

    fn of_number(number: Number, unit: Option<Unit>) -> Option<Self> {
        Json::of_number(number, unit).map(Self::Unknown)
    }

    fn of_text(text: &str, unit: Option<Unit>) -> Option<Self> {
        Json::of_text(text, unit).map(Self::Unknown)
    }

    /// A backend of another release must not make the pipeline unreadable.
    fn of_json(value: &Json) -> Option<Self> {
        // Most pipelines have the default backend.
        let is_default = value.get() == r#"{"name":"default"}"#;
        let read = if is_default { Some(Self::Default) } else { Self::of(value) };
        Some(read.unwrap_or_else(|| Self::Unknown(value.clone())))
    }

    fn write_setting<S: Serializer>(&self, serializer: S, spellings: Spellings) -> Result<S::Ok, S::Error> {
        let mut map = match self {
            Self::Unknown(value) => return value.serialize(serializer),
            _ => serializer.serialize_map(None)?,
        };
        match self {
            Self::File(files) => {
                map.serialize_entry("name", "file")?;
                map.serialize_entry("config", &Spelled { value: &**files, spellings })?;
            }
            Self::Object(store) => {
                map.serialize_entry("name", "object")?;
                map.serialize_entry("config", store)?;
            }
            Self::Default | Self::Unknown(_) => map.serialize_entry("name", "default")?,
        }
        map.end()
    }

    fn source(&self) -> Source {
        match self {
            Self::File(files) => files.source(),
            _ => Source::default(),
        }
    }

    fn overlay(&mut self, wanted: &Self) {
        match (self, wanted) {
            (Self::File(has), Self::File(wanted)) => has.overlay(wanted),
            (has, wanted) => *has = has.merged(wanted).unwrap_or_else(|| wanted.clone()),
        }
    }
}

impl Serialize for StorageBackend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write_setting(serializer, Spellings::COMMON)
    }
}

impl<'de> Deserialize<'de> for StorageBackend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        Ok(Self::of(&value).unwrap_or(Self::Unknown(value)))
    }
}

impl StorageBackend {
    /// Merges two backends of the same name, of which either is [`Unknown`](Self::Unknown).
    fn merged(&self, wanted: &Self) -> Option<Self> {
        if !matches!((self, wanted), (Self::Unknown(_), _) | (_, Self::Unknown(_))) {
            return None;
        }
        let fields = |backend: &Self| Json::of(backend).ok()?.parse::<BTreeMap<String, Json>>().ok();
        let (mut merged, mut wanted) = (fields(self)?, fields(wanted)?);
        let name = |fields: &BTreeMap<String, Json>| fields.get("name")?.parse::<String>().ok();
        let name = name(&merged).filter(|has| name(&wanted).as_ref() == Some(has))?;
        // An object store is replaced: its options belong to its address.
        if let (true, Some(config)) = (name == "object", wanted.get("config")) {
            merged.insert("config".to_owned(), config.clone());
        } else if let ("file", Some(has), Some(config)) = (&*name, merged.get("config"), wanted.get("config")) {
            let (has, config) = (has.parse::<FileBackend>().ok()?, config.parse::<FileBackend>().ok()?);
            let mut files = has.clone();
            files.overlay(&config);
            wanted.remove("config");
            if files != has {
                merged.insert("config".to_owned(), Json::of(&files).ok()?);
            }
        }
        merge_unknown(&mut merged, &wanted);
        let merged = Json::of(&merged).ok()?;
        Some(Self::of(&merged).unwrap_or(Self::Unknown(merged)))
    }

    /// Reads a known backend without unknown settings.
    fn of(value: &Json) -> Option<Self> {
        let mut fields: BTreeMap<String, Json> = value.parse().ok()?;
        let name = fields.remove("name").map_or(Ok("default".to_owned()), |name| name.parse::<String>()).ok()?;
        let config = fields.remove("config").filter(|config| config.get() != "null");
        match (&*name, config) {
            _ if !fields.is_empty() => None,
            ("default", None) => Some(Self::Default),
            ("file", None) => Some(Self::File(Box::default())),
            ("file", Some(config)) => config.parse().ok().map(Self::File),
            ("object", Some(config)) => config.parse().ok().map(Self::Object),
            _ => None,
        }
    }
}

/// The checkpoint to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFrom {
    /// The newest checkpoint.
    Latest,
    /// The checkpoint with this id.
    Checkpoint(Box<str>),
    /// Whether to start from the newest checkpoint. Releases near 0.104 use this form.
    Flag(bool),
}

impl Serialize for StartFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Latest => serializer.serialize_str("latest"),
            Self::Checkpoint(id) => serializer.serialize_str(id),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

impl<'de> Deserialize<'de> for StartFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Start;

        impl Visitor<'_> for Start {
            type Value = StartFrom;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"latest\", the id of a checkpoint, or true or false")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StartFrom, E> {
                Ok(if text == "latest" { StartFrom::Latest } else { StartFrom::Checkpoint(text.into()) })
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<StartFrom, E> {
                Ok(StartFrom::Flag(flag))
            }
        }

        deserializer.deserialize_any(Start)
    }
}

plain_fields!(StorageBackend, StartFrom);

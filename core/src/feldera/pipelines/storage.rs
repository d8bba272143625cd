//! Where and how a pipeline keeps its state.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::feldera::{Json, SecretText};
use crate::schema::{json_structs, plain_fields, string_enums};

string_enums! {
    /// How state on disk is compressed.
    pub enum StorageCompression {
        /// As Feldera thinks best.
        Default = "default",
        /// Not at all.
        None = "none",
        /// By Snappy.
        Snappy = "snappy",
    }
}

json_structs! {
    /// Whether and how state is kept on disk. What is `None` is left out of requests.
    pub struct StorageOptions (sparse) {
        /// Where.
        pub backend: Option<StorageBackend>,
        /// How large a batch has to be to be kept on disk; bytes.
        pub min_storage_bytes: Option<u64>,
        /// The same for what belongs to one step; bytes.
        pub min_step_storage_bytes: Option<u64>,
        /// How it is compressed.
        pub compression: Option<StorageCompression>,
        /// How much of it is cached; MiB.
        pub cache_mib: Option<u64>,
        /// How often a Bloom filter may wrongly say that a batch has a key, from 0 to 1. Since 0.349.
        pub bloom_false_positive_rate: Option<f64>,
    }

    /// The local file system.
    pub struct FileBackend (sparse) {
        /// Reads and writes in threads of their own.
        pub async_threads: Option<bool>,
        /// How long each access takes longer, as on a slow disk; milliseconds.
        pub ioop_delay: Option<u64>,
        /// The bucket that checkpoints are sent to and fetched from.
        pub sync: Option<SyncConfig>,
    }

    /// A bucket for checkpoints, and how `rclone` gets there. What is `None` is left out of requests.
    pub struct SyncConfig (sparse) {
        /// The bucket, as in `bucket` or `bucket/folder`. Cannot be left out.
        pub bucket: Option<String>,
        /// A bucket that is only read: when there is no checkpoint here and none in the other.
        pub read_bucket: Option<String>,
        /// The service's address, if it is not Amazon's.
        pub endpoint: Option<String>,
        /// Whose service it is, as in `AWS` or `Minio`; `Other` by default.
        pub provider: Option<String>,
        /// The bucket's region.
        pub region: Option<String>,
        /// The key's id; without, that of the process's environment.
        pub access_key: Option<SecretText>,
        /// The key.
        pub secret_key: Option<SecretText>,
        /// The checkpoint to start from.
        pub start_from_checkpoint: Option<StartFrom>,
        /// Rather does not start than without a checkpoint; false by default.
        pub fail_if_no_checkpoint: Option<bool>,
        /// Follows the checkpoints of another. Deprecated: see
        /// [`Initial::Standby`](crate::feldera::lifecycle::Initial::Standby).
        pub standby: Option<bool>,
        /// How often a pipeline that stands by looks for a newer one; seconds, 10 by default.
        pub pull_interval: Option<u64>,
        /// How often the newest is sent; seconds, never by default.
        pub push_interval: Option<u64>,
        /// How old checkpoints in the bucket get at least; days, 30 by default.
        pub retention_min_age: Option<u32>,
        /// How many stay there at least; 10 by default.
        pub retention_min_count: Option<u32>,
        /// Files at a time.
        pub transfers: Option<u32>,
        /// Checks at a time; 20 by default.
        pub checkers: Option<u32>,
        /// Compares sizes, and not checksums; false by default.
        pub ignore_checksum: Option<bool>,
        /// From which size on a file is fetched in parts, as in `100M`.
        pub multi_thread_cutoff: Option<String>,
        /// In how many; 10 by default.
        pub multi_thread_streams: Option<u32>,
        /// Parts that are sent at a time.
        pub upload_concurrency: Option<u32>,
        /// Fetches as fast as the machine can; true by default.
        pub optimize_download_resources: Option<bool>,
        /// More options of `rclone`.
        pub flags: Vec<String>,
    }

    /// As it stands on the wire.
    struct Backend (sparse) {
        /// Which.
        pub name: Option<String>,
        /// What belongs to it.
        pub config: Option<Json>,
    }
}

impl Default for StorageOptions {
    /// Feldera's defaults.
    fn default() -> Self {
        let (backend, compression) = (None, None);
        let (min_storage_bytes, min_step_storage_bytes, cache_mib, bloom_false_positive_rate) =
            (None, None, None, None);
        Self { backend, min_storage_bytes, min_step_storage_bytes, compression, cache_mib, bloom_false_positive_rate }
    }
}

impl Default for FileBackend {
    /// Feldera's defaults.
    fn default() -> Self {
        Self { async_threads: None, ioop_delay: None, sync: None }
    }
}

impl SyncConfig {
    /// This bucket, and Feldera's defaults.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: Some(bucket.into()),
            read_bucket: None,
            endpoint: None,
            provider: None,
            region: None,
            access_key: None,
            secret_key: None,
            start_from_checkpoint: None,
            fail_if_no_checkpoint: None,
            standby: None,
            pull_interval: None,
            push_interval: None,
            retention_min_age: None,
            retention_min_count: None,
            transfers: None,
            checkers: None,
            ignore_checksum: None,
            multi_thread_cutoff: None,
            multi_thread_streams: None,
            upload_concurrency: None,
            optimize_download_resources: None,
            flags: Vec::new(),
        }
    }
}

/// Where state is kept.
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
    /// Where Feldera's operator wants it.
    Default,
    /// The local file system.
    File(Box<FileBackend>),
    /// An object store.
    Object(ObjectStore),
    /// One that this version of the library does not know, with what belongs to it.
    Unknown(Box<str>, Option<Json>),
}

/// An object store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ObjectStore {
    /// Its address, as in `s3://bucket/path`, `gs://bucket/path` or `az://container/path`.
    pub url: String,
    /// Options of the kind of store, keys and passwords among them, so their values are not shown. What the address
    /// says beats them.
    pub options: BTreeMap<String, SecretText>,
}

impl ObjectStore {
    /// The store at this address.
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

impl Serialize for StorageBackend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let config = |config: serde_json::Result<Json>| config.map(Some).map_err(serde::ser::Error::custom);
        let (name, config) = match self {
            Self::Default => ("default", None),
            Self::File(files) => ("file", config(Json::of(files))?),
            Self::Object(store) => ("object", config(Json::of(store))?),
            Self::Unknown(name, config) => (&**name, config.clone()),
        };
        Backend { name: Some(name.to_owned()), config }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StorageBackend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Backend { name, config } = Backend::deserialize(deserializer)?;
        let name = name.unwrap_or_else(|| "default".to_owned());
        // What another release writes there must not make the pipeline unreadable.
        let read = match (&*name, &config) {
            ("default", None) => Some(Self::Default),
            ("file", None) => Some(Self::File(Box::default())),
            ("file", Some(config)) => config.parse().ok().map(Self::File),
            ("object", Some(config)) => config.parse().ok().map(Self::Object),
            _ => None,
        };
        Ok(read.unwrap_or_else(|| Self::Unknown(name.into(), config)))
    }
}

/// The checkpoint to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFrom {
    /// The newest.
    Latest,
    /// The one with this id.
    Checkpoint(Box<str>),
    /// Whether from the newest. As releases near 0.104 have it.
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

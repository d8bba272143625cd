//! The storage of checkpoints and savepoints. It is no part of the `JobManager` and survives it.

use std::collections::BTreeMap;

use super::views::SavepointView;

/// State that a job can be started from.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) checkpoint: u64,
    pub(super) records: u64,
    pub(super) savepoint: bool,
    pub(super) path: String,
}

/// The files, by path, and all savepoints that were ever completed.
#[derive(Debug, Default)]
pub(super) struct Storage {
    files: BTreeMap<String, Snapshot>,
    /// Oldest first.
    pub(super) savepoints: Vec<SavepointView>,
}

impl Storage {
    /// The state at a path, however the path is written.
    pub(super) fn get(&self, path: &str) -> Option<&Snapshot> {
        self.files.get(&normalize(path))
    }

    pub(super) fn insert(&mut self, snapshot: Snapshot) {
        self.files.insert(snapshot.path.clone(), snapshot);
    }

    /// Deletes a file by the path that it was written with. Returns whether it existed.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        self.files.remove(path).is_some()
    }
}

/// A path as the server writes it: `file:///a`, `file:/a` and `/a` are the same place.
pub(super) fn normalize(path: &str) -> String {
    let path = path.trim_end_matches('/');
    match path.strip_prefix("file:") {
        None if !path.starts_with('/') => path.to_owned(),
        local => format!("file:/{}", local.unwrap_or(path).trim_start_matches('/')),
    }
}

/// Local directories can be written to except for `/proc`; of the remote directories, only what the cluster's own
/// savepoints are kept in.
pub(super) fn is_writable(target: &str, own: Option<&str>) -> bool {
    let scheme = |path: &str| normalize(path).split_once(':').map(|(scheme, _)| scheme.to_owned());
    match scheme(target) {
        Some(local) if local == "file" => !normalize(target).starts_with("file:/proc/"),
        other => other.is_some() && other == own.and_then(scheme),
    }
}

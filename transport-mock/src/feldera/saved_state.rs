//! What a checkpoint keeps of a process.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::tables::Tables;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct SavedState {
    pub(super) uuid: String,
    pub(super) tables: Tables,
    pub(super) program_version: u64,
    pub(super) steps: u64,
    pub(super) records: u64,
    /// How far each connector was.
    pub(super) made: BTreeMap<String, u64>,
}

impl SavedState {
    /// A checkpoint as it is listed.
    pub(super) fn described(&self) -> Value {
        json!({ "uuid": self.uuid, "identifier": null, "fingerprint": u64::MAX - self.program_version, "size": 1024,
            "steps": self.steps, "processed_records": self.records })
    }
}

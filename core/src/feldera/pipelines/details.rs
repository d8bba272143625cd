//! [`RuntimeStatusDetails`]: by hand, because their shape differs from release to release.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConnectorErrors, PipelineDiff};
use crate::feldera::{ByteSize, Json};
use crate::schema::{json_structs, plain_fields};

/// Details of a runtime status.
///
/// A pipeline process writes them, and the runtime of a pipeline may be older than the platform. A text of an old
/// runtime is read as [`reason`](Self::reason), and differences that stand alone as
/// [`approval_diff`](Self::approval_diff).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RuntimeStatusDetails {
    /// Why the process has this status, in English.
    pub reason: Option<String>,
    /// Errors of connectors. For `Paused` and `Running`.
    pub connector_stats: Option<ConnectorErrors>,
    /// The differences that wait for approval. For `AwaitingApproval`.
    pub approval_diff: Option<PipelineDiff>,
    /// The maximum memory that the process uses. For `Paused` and `Running`; since 0.375.
    pub memory_max: Option<ByteSize>,
    /// Details of another shape, as the process wrote them. The other fields are `None` then.
    pub unknown: Option<Json>,
}

json_structs! {
    /// The shape of 0.337 and later.
    struct Details (sparse) {
        /// See [`RuntimeStatusDetails`], as for all here.
        pub reason: Option<String>,
        pub connector_stats: Option<ConnectorErrors>,
        pub memory_max: Option<ByteSize>,
        pub approval_diff: Option<PipelineDiff>,
        /// Part of the differences: there if the details are these.
        pub program_diff: Option<Json>,
        /// The same, if the differences are not known.
        pub program_diff_error: Option<Json>,
    }
}

impl RuntimeStatusDetails {
    fn of(value: &Json) -> Option<Self> {
        if value.get().starts_with('"') {
            let reason = value.parse().ok().filter(|reason: &String| !reason.is_empty());
            return Some(Self { reason, ..Self::default() });
        }
        let Details { reason, connector_stats, memory_max, approval_diff, program_diff, program_diff_error } =
            value.parse().ok()?;
        let approval_diff = if program_diff.is_some() || program_diff_error.is_some() {
            Some(value.parse().ok()?)
        } else {
            approval_diff
        };
        Some(Self { reason, connector_stats, approval_diff, memory_max, unknown: None })
    }
}

impl Serialize for RuntimeStatusDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(unknown) = &self.unknown {
            return unknown.serialize(serializer);
        }
        let Self { reason, connector_stats, approval_diff, memory_max, .. } = self.clone();
        Details { reason, connector_stats, memory_max, approval_diff, program_diff: None, program_diff_error: None }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RuntimeStatusDetails {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        Ok(Self::of(&value).unwrap_or(Self { unknown: Some(value), ..Self::default() }))
    }
}

plain_fields!(RuntimeStatusDetails);

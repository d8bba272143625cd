//! A pipeline as the API shows it.

use std::time::Duration;

use serde_json::{Value, json};

use super::pipeline::Pipeline;
use super::program::Program;
use super::release::Release;
use super::saved_state::SavedState;
use super::wire::stamp;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selector {
    All,
    Status,
    StatusWithConnectors,
}

/// What 0.130 does not show, besides the statuses of resources and of the runtime.
const LATER: [&str; 8] = [
    "tags",
    "storage_status_details",
    "deployment_id",
    "deployment_initial",
    "deployment_desired_status_since",
    "bootstrap_policy",
    "silent_bootstrap",
    "concurrent_bootstrap",
];

impl Pipeline {
    pub(super) fn object(&self, selector: Selector) -> Value {
        let running = self.runtime.is_some();
        let details = if running { json!({ "connector_stats": { "num_errors": 0 } }) } else { Value::Null };
        let resources_desired = if self.wanted { "Provisioned" } else { "Stopped" };
        let since = |at: Duration, shown: bool| if shown { json!(stamp(at)) } else { Value::Null };
        let checkpoints: Vec<Value> = self.checkpoints.iter().map(SavedState::described).collect();
        let storage = if checkpoints.is_empty() { Value::Null } else { json!({ "checkpoints": checkpoints }) };
        let mut object = json!({
            "id": self.id, "name": self.name, "description": self.description, "tags": self.tags,
            "created_at": stamp(self.created), "version": self.version, "platform_version": self.release.version(),
            "program_config": self.program_config, "program_version": self.program_version,
            "program_status": self.compilation.status, "program_status_since": stamp(self.compilation.since),
            "deployment_error": self.error, "refresh_version": self.refresh_version, "storage_status": self.storage,
            "storage_status_details": storage, "deployment_id": self.deployment_id, "deployment_initial": self.initial,
            "deployment_status": self.status(),
            "deployment_status_since": stamp(self.resources_since.max(self.runtime_since)),
            "deployment_desired_status": self.desired(),
            "deployment_desired_status_since": stamp(self.wanted_since.max(self.runtime_desired_since)),
            "deployment_resources_status": self.resources,
            "deployment_resources_status_since": stamp(self.resources_since),
            "deployment_resources_desired_status": resources_desired,
            "deployment_resources_desired_status_since": stamp(self.wanted_since),
            "deployment_runtime_status": self.runtime, "deployment_runtime_status_details": details,
            "deployment_runtime_status_since": since(self.runtime_since, running),
            "deployment_runtime_desired_status": self.runtime_desired,
            "deployment_runtime_desired_status_since": since(self.runtime_desired_since, running),
            "bootstrap_policy": self.policy, "silent_bootstrap": false, "concurrent_bootstrap": false,
        });
        if self.release >= Release::V0_375 && running {
            object["deployment_runtime_status_details"]["memory_max"] = self.memory_max.clone();
        }
        match selector {
            Selector::Status => {}
            Selector::StatusWithConnectors => object["connectors"] = json!({ "num_errors": 0 }),
            Selector::All => {
                object["runtime_config"] = self.runtime_config.clone();
                object["program_code"] = json!(self.code);
                object["udf_rust"] = json!(self.udf_rust);
                object["udf_toml"] = json!(self.udf_toml);
                object["program_error"] = self.compilation.error.clone();
                if object["program_error"].is_null() {
                    object["program_error"] =
                        json!({ "sql_compilation": null, "rust_compilation": null, "system_error": null });
                }
                let information = self.compilation.program.as_ref().map(Program::information);
                object["program_info"] = json!(information);
                object["deployment_resources_status_details"] = Value::Null;
                if self.release >= Release::V0_375 {
                    object["deployment_config"] = self.deployment_config.clone();
                }
            }
        }
        if self.has_one_status()
            && let Value::Object(fields) = &mut object
        {
            let later = |name: &str| {
                LATER.contains(&name)
                    || name.starts_with("deployment_resources_")
                    || name.starts_with("deployment_runtime_")
            };
            fields.retain(|name, _| !later(name));
        }
        object
    }
}

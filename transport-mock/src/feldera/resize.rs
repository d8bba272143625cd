//! A running pipeline that is given other resources, since 0.375.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::{Answer, Rejection, Reply};
use super::object::Selector;
use super::pipeline::Pipeline;
use super::settings;
use super::store::Store;

/// Changes the resources of a running pipeline. Its process uses them a little later.
pub(super) fn resize(store: &mut Store, name: &str, body: &Map<String, Value>) -> Answer {
    let (now, config) = (store.now, store.config.clone());
    let pipeline = store.find(name)?;
    if body.len() > 1 {
        return Err(invalid("`deployment_config` cannot be combined with other fields"));
    }
    let wanted = resources(&body["deployment_config"])?;
    if !config.resizes {
        let action = "resize";
        let reason = "the runner cannot resize a running pipeline";
        let message = format!("Unsupported pipeline action '{action}': {reason}");
        let details = json!({ "action": action, "reason": reason });
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, "UnsupportedPipelineAction", message, details));
    }
    // Provisioned, and no other status is desired.
    let runs = pipeline.resources == "Provisioned" && pipeline.wanted;
    let process = pipeline.process.as_ref().filter(|_| runs);
    if process.is_none_or(|process| process.status == "Initializing" || process.desired == "Suspended") {
        let message = "Pipeline 'deployment_config' can only be changed while it is running. Start it with '/start', or change 'runtime_config.resources' while it is stopped.";
        return Err(Rejection::new(StatusCode::BAD_REQUEST, "DeploymentRestrictedToRunning", message, Value::Null));
    }
    let mut resources = pipeline.deployment_config["resources"].as_object().cloned().unwrap_or_default();
    resources.extend(wanted);
    check_bounds(&resources)?;
    pipeline.deployment_config = json!({ "resources": resources });
    pipeline.resized = Some(now.saturating_add(config.resize_duration));
    pipeline.refresh_version += 1;
    Ok(Reply::json(pipeline.object(Selector::All)))
}

/// What a `deployment_config` names.
fn resources(given: &Value) -> Result<Map<String, Value>, Rejection> {
    let Some(config) = given.as_object() else { return Err(invalid("expected an object")) };
    if let Some(unknown) = config.keys().find(|key| *key != "resources") {
        return Err(invalid(&format!("unknown field `{unknown}`, expected `resources`")));
    }
    let empty = Map::new();
    let resources = config.get("resources").and_then(Value::as_object).unwrap_or(&empty);
    let resources = settings::kept_resources(resources).map_err(|reason| invalid(&reason))?;
    match resources.keys().find(|key| !DYNAMIC.contains(&key.as_str())) {
        Some(unknown) => Err(invalid(&format!("`resources.{unknown}` cannot be changed while the pipeline runs"))),
        None => Ok(resources),
    }
}

/// What can change while a pipeline runs.
const DYNAMIC: [&str; 4] = ["cpu_cores_min", "cpu_cores_max", "memory_min", "memory_max"];

fn check_bounds(resources: &Map<String, Value>) -> Result<(), Rejection> {
    let get = |name: &str| resources.get(name).unwrap_or(&Value::Null);
    let (from, to) = (get("cpu_cores_min"), get("cpu_cores_max"));
    if let (Some(least), Some(most)) = (from.as_f64(), to.as_f64())
        && least > most
    {
        return Err(invalid(&format!("cpu_cores_min ({least}) exceeds cpu_cores_max ({most})")));
    }
    let (from, to) = (get("memory_min"), get("memory_max"));
    if let (Some(least), Some(most)) = (settings::bytes(from), settings::bytes(to))
        && least > most
    {
        return Err(invalid(&format!("memory_min ({from}) exceeds memory_max ({to})")));
    }
    Ok(())
}

fn invalid(reason: &str) -> Rejection {
    let message = format!("Invalid deployment patch: {reason}");
    Rejection::new(StatusCode::BAD_REQUEST, "InvalidDeploymentPatch", message, json!({ "reason": reason }))
}

impl Pipeline {
    /// Returns the resources that a new deployment begins with.
    pub(super) fn configured_resources(&self) -> Value {
        let resources = self.runtime_config["resources"].as_object().into_iter().flatten();
        let dynamic = resources.filter(|(name, _)| DYNAMIC.contains(&name.as_str()));
        json!({ "resources": dynamic.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>() })
    }
}

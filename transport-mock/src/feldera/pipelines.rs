//! Pipelines: list, create, change, delete.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::{Answer, Rejection, Reply};
use super::log::Log;
use super::object::Selector;
use super::pipeline::Pipeline;
use super::release::Release;
use super::request::Call;
use super::store::Store;
use super::wire::uuid;
use super::{resize, settings};

const PROFILES: [&str; 4] = ["dev", "unoptimized", "optimized", "optimized_symbols"];
const PATTERN: &str = "^([A-Za-z0-9][-A-Za-z0-9_]*)?[A-Za-z0-9]$";

pub(super) fn list_pipelines(store: &mut Store, call: &Call) -> Answer {
    let selector = selector(call, store.config.release)?;
    let objects: Vec<Value> = store.pipelines.iter().map(|pipeline| pipeline.object(selector)).collect();
    Ok(Reply::json(json!(objects)))
}

pub(super) fn get_pipeline(store: &mut Store, call: &Call, name: &str) -> Answer {
    let selector = selector(call, store.config.release)?;
    Ok(Reply::json(store.find(name)?.object(selector)))
}

pub(super) fn post_pipeline(store: &mut Store, call: &Call) -> Answer {
    let body = call.object()?;
    let name = text(&body, "name")?.ok_or_else(|| missing("name"))?;
    create(store, &name, &body)
}

pub(super) fn put_pipeline(store: &mut Store, call: &Call, name: &str) -> Answer {
    let body = call.object()?;
    let wanted = text(&body, "name")?.ok_or_else(|| missing("name"))?;
    if store.find(name).is_err() {
        if wanted != name {
            let message = "The pipeline name in the request body does not match the one provided in the URL path. This is not allowed when no pipeline with the name provided in the URL path exists.";
            return Err(Rejection::bad("CannotRenameNonExistingPipeline", message));
        }
        return create(store, name, &body);
    }
    let mut whole = body.clone();
    for (key, value) in
        [("description", json!("")), ("tags", json!([])), ("udf_rust", json!("")), ("udf_toml", json!(""))]
    {
        whole.entry(key).or_insert(value);
    }
    whole.entry("runtime_config").or_insert_with(|| json!({}));
    whole.entry("program_config").or_insert_with(|| json!({}));
    if !whole.contains_key("program_code") {
        return Err(missing("program_code"));
    }
    change(store, name, &whole)
}

pub(super) fn patch_pipeline(store: &mut Store, call: &Call, name: &str) -> Answer {
    let body = call.object()?;
    if store.config.release >= Release::V0_375 && body.get("deployment_config").is_some_and(|config| !config.is_null())
    {
        return resize::resize(store, name, &body);
    }
    change(store, name, &body)
}

/// All pipelines are of the present release, and so nothing changes.
pub(super) fn update_runtime(store: &mut Store, name: &str) -> Answer {
    Ok(Reply::json(store.find(name)?.object(Selector::All)))
}

pub(super) fn delete_pipeline(store: &mut Store, name: &str) -> Answer {
    let pipeline = store.find(name)?;
    if !pipeline.is_stopped() {
        let message = "Cannot delete a pipeline which is not fully stopped. Stop the pipeline first fully by invoking the '/stop' endpoint.";
        return Err(Rejection::bad("DeleteRestrictedToFullyStopped", message));
    }
    if pipeline.storage != "Cleared" {
        let message = "Cannot delete pipeline unless its storage is cleared. Clear storage first using `/clear`.";
        return Err(Rejection::bad("DeleteRestrictedToClearedStorage", message));
    }
    store.pipelines.retain(|pipeline| pipeline.name != name);
    Ok(Reply::empty())
}

fn create(store: &mut Store, name: &str, body: &Map<String, Value>) -> Answer {
    check_name(store, name)?;
    let code = text(body, "program_code")?.ok_or_else(|| missing("program_code"))?;
    let id = uuid(&mut store.seed, store.now);
    let log = Log::new(uuid(&mut store.seed, store.now), store.config.log_lines, store.now);
    let mut pipeline = Pipeline::new(id, name.to_owned(), log, store.now, &store.config);
    pipeline.code = code;
    pipeline.udf_rust = text(body, "udf_rust")?.unwrap_or_default();
    pipeline.udf_toml = text(body, "udf_toml")?.unwrap_or_default();
    pipeline.description = text(body, "description")?.unwrap_or_default();
    pipeline.tags = body.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
    pipeline.runtime_config = runtime_config(store, body.get("runtime_config"))?;
    pipeline.program_config = program_config(body.get("program_config"))?;
    pipeline.recompile(store.now, &store.config);
    let object = pipeline.object(Selector::All);
    store.pipelines.push(pipeline);
    Ok(Reply::created(object))
}

/// Changes what the body names.
fn change(store: &mut Store, name: &str, body: &Map<String, Value>) -> Answer {
    // `null` is the same as absent.
    let given = |key: &str| body.get(key).filter(|value| !value.is_null());
    let runtime = match given("runtime_config") {
        Some(config) => Some(runtime_config(store, Some(config))?),
        None => None,
    };
    let rename = text(body, "name")?.filter(|wanted| wanted != name);
    let (now, config) = (store.now, store.config.clone());
    store.find(name)?;
    if let Some(wanted) = &rename {
        check_name(store, wanted)?;
    }
    let pipeline = store.find(name)?;
    let code = text(body, "program_code")?.filter(|code| *code != pipeline.code);
    let udf_rust = text(body, "udf_rust")?.filter(|udf| *udf != pipeline.udf_rust);
    let udf_toml = text(body, "udf_toml")?.filter(|udf| *udf != pipeline.udf_toml);
    let program = given("program_config").map(|config| program_config(Some(config))).transpose()?;
    let program = program.filter(|config| *config != pipeline.program_config);
    let runtime = runtime.filter(|config| *config != pipeline.runtime_config);
    let recompiles = code.is_some() || udf_rust.is_some() || udf_toml.is_some() || program.is_some();
    if (recompiles || runtime.is_some() || rename.is_some()) && !pipeline.is_stopped() {
        let message = "Pipeline can only be updated while stopped. Stop it first by invoking '/stop'.";
        return Err(Rejection::bad("UpdateRestrictedToStopped", message));
    }
    if pipeline.storage != "Cleared" {
        let mut rejected: Vec<String> = rename.iter().map(|_| "`name`".to_owned()).collect();
        if let Some(runtime) = &runtime {
            let fixed = ["workers", "hosts", "fault_tolerance"];
            let changed = fixed.iter().filter(|key| runtime[**key] != pipeline.runtime_config[**key]);
            rejected.extend(changed.map(|key| format!("`runtime_config.{key}`")));
        }
        if !rejected.is_empty() {
            let message = format!(
                "The following pipeline edits are not allowed while storage is not cleared: {}",
                rejected.join(", ")
            );
            let details = json!({ "not_allowed": rejected });
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "EditRestrictedToClearedStorage", message, details));
        }
    }
    if recompiles || runtime.is_some() || rename.is_some() {
        pipeline.version += 1;
        pipeline.refresh_version += 1;
    }
    for (slot, value) in [
        (&mut pipeline.code, code),
        (&mut pipeline.udf_rust, udf_rust),
        (&mut pipeline.udf_toml, udf_toml),
        (&mut pipeline.name, rename),
        (&mut pipeline.description, text(body, "description")?),
    ] {
        if let Some(value) = value {
            *slot = value;
        }
    }
    if let Some(tags) = body.get("tags").and_then(Value::as_array) {
        pipeline.tags.clone_from(tags);
    }
    if let Some(runtime) = runtime {
        pipeline.runtime_config = runtime;
    }
    if let Some(program) = program {
        pipeline.program_config = program;
    }
    if recompiles {
        pipeline.program_version += 1;
        pipeline.recompile(now, &config);
    }
    Ok(Reply::json(pipeline.object(Selector::All)))
}

fn check_name(store: &Store, name: &str) -> Result<(), Rejection> {
    if name.is_empty() {
        return Err(Rejection::bad("EmptyName", "Name cannot be be empty"));
    }
    if name.len() > 100 {
        let message = format!("Name '{name}' is longer than 100 characters");
        return Err(Rejection::new(StatusCode::BAD_REQUEST, "TooLongName", message, json!({ "name": name })));
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric();
    let inside = |byte: u8| good(byte) || byte == b'-' || byte == b'_';
    let bytes = name.as_bytes();
    let ends = bytes.first().copied().is_some_and(good) && bytes.last().copied().is_some_and(good);
    if !ends || !bytes.iter().copied().all(inside) {
        let message = format!(
            "Name '{name}' should be non-empty and only contain lowercase (a-z), uppercase (A-Z), number (0-9), underscore (_) or hyphen (-) characters, but cannot start or end with hyphen or underscore (pattern: '{PATTERN}')"
        );
        let details = json!({ "name": name, "pattern": PATTERN });
        return Err(Rejection::new(StatusCode::BAD_REQUEST, "NameDoesNotMatchPattern", message, details));
    }
    if store.pipelines.iter().any(|pipeline| pipeline.name == name) {
        let message = "An entity with this name already exists";
        return Err(Rejection::new(StatusCode::CONFLICT, "DuplicateName", message, json!({})));
    }
    Ok(())
}

/// What is given, over the defaults.
fn runtime_config(store: &Store, given: Option<&Value>) -> Result<Value, Rejection> {
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Ok(settings::kept(store.config.release, &Map::new()).unwrap_or_default());
    };
    let rejected =
        |error: Value, reason: &str| invalid_config("runtime_config", "InvalidRuntimeConfig", given, &error, reason);
    let Some(object) = given.as_object() else {
        return Err(rejected(json!("invalid type"), "invalid type"));
    };
    let tolerant = object.get("fault_tolerance").is_some_and(|model| !model.is_null() && model["model"] != "none");
    if tolerant && !store.config.edition.is_enterprise() {
        let error = json!({ "EnterpriseFeature": "fault tolerance" });
        return Err(rejected(error, "enterprise feature: fault tolerance"));
    }
    settings::kept(store.config.release, object).map_err(|error| {
        let reason = format!("could not deserialize due to: {error}");
        rejected(json!({ "DeserializationFailed": error }), &reason)
    })
}

/// What is given, over the defaults. Its text follows that of `runtime_config`.
fn program_config(given: Option<&Value>) -> Result<Value, Rejection> {
    let mut config = json!({ "profile": null, "cache": true, "runtime_version": null, "use_platform_compiler": false });
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(config) };
    let rejected = |error: String| {
        let reason = format!("could not deserialize due to: {error}");
        let error = json!({ "DeserializationFailed": error });
        invalid_config("program_config", "InvalidProgramConfig", given, &error, &reason)
    };
    let Some(object) = given.as_object() else { return Err(rejected(format!("invalid type: {given}"))) };
    for (key, value) in object {
        let problem = match key.as_str() {
            "profile" => match value.as_str() {
                Some(profile) if !PROFILES.contains(&profile) => {
                    Some(format!("unknown variant `{profile}`, expected one of `{}`", PROFILES.join("`, `")))
                }
                profile => (profile.is_none() && !value.is_null()).then(|| format!("invalid type: {value}")),
            },
            "cache" | "use_platform_compiler" if !value.is_boolean() => {
                Some(format!("invalid type: {value}, expected a boolean"))
            }
            "runtime_version" if !value.is_string() && !value.is_null() => {
                Some(format!("invalid type: {value}, expected a string"))
            }
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(rejected(problem));
        }
        config[key.as_str()] = value.clone();
    }
    Ok(config)
}

fn invalid_config(field: &str, code: &'static str, given: &Value, error: &Value, reason: &str) -> Rejection {
    let message = format!("JSON for '{field}' field:\n{given:#}\n\n... is not valid due to: {reason}");
    Rejection::new(StatusCode::BAD_REQUEST, code, message, json!({ "value": given, "error": error }))
}

fn selector(call: &Call, release: Release) -> Result<Selector, Rejection> {
    match call.query("selector") {
        None | Some("all") => Ok(Selector::All),
        Some("status") => Ok(Selector::Status),
        Some("status_with_connectors") if release >= Release::V0_337 => Ok(Selector::StatusWithConnectors),
        Some(other) => Err(Rejection::query(format!(
            "unknown variant `{other}`, expected one of `all`, `status`, `status_with_connectors`"
        ))),
    }
}

fn text(body: &Map<String, Value>, key: &str) -> Result<Option<String>, Rejection> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(Rejection::body(format!("invalid type: {other}, expected a string at line 1 column 1"))),
    }
}

fn missing(field: &str) -> Rejection {
    Rejection::body(format!("missing field `{field}` at line 1 column 1"))
}

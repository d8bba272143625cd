//! What a pipeline can be told: start, stop, pause, resume, approve, clear, and the like.

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Rejection, Reply};
use super::pipeline::{Due, Pipeline};
use super::release::Release;
use super::request::Call;
use super::store::Store;

pub(super) fn start(store: &mut Store, call: &Call, name: &str) -> Answer {
    if store.config.release < Release::V0_337 {
        return set_desired(store, name, "Running", "Pipeline is starting");
    }
    let text = call.query("initial").unwrap_or("running");
    let initial = match text {
        "running" => "Running",
        "paused" => "Paused",
        "standby" => "Standby",
        other => {
            let reason = format!("unknown initial runtime desired status: {other}");
            let action = format!("/start?initial={other}");
            let message = format!("Unsupported pipeline action '{action}': {reason}");
            let details = json!({ "action": action, "reason": reason });
            return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, "UnsupportedPipelineAction", message, details));
        }
    };
    let dismiss = call.flag("dismiss_error")?.unwrap_or(true);
    let silent = call.flag("silent_bootstrap")?.unwrap_or(false);
    if silent && call.flag("concurrent_bootstrap")?.unwrap_or(false) {
        let reason = "`silent_bootstrap` and `concurrent_bootstrap` are mutually exclusive; set at most one";
        let message = format!("Invalid bootstrap configuration: {reason}");
        let details = json!({ "reason": reason });
        return Err(Rejection::new(StatusCode::BAD_REQUEST, "InvalidBootstrapConfig", message, details));
    }
    let policy = call.query("bootstrap_policy").unwrap_or("await_approval").to_owned();
    if !["allow", "reject", "await_approval"].contains(&policy.as_str()) {
        return Err(Rejection::query(format!(
            "unknown variant `{policy}`, expected one of `allow`, `reject`, `await_approval`"
        )));
    }
    let (now, delay) = (store.now, store.config.runner_delay);
    let pipeline = store.find(name)?;
    if pipeline.wanted {
        if pipeline.initial != Some(initial) {
            let message =
                "Initial desired runtime status cannot be changed unless the pipeline is desired to become Stopped.";
            return Err(Rejection::bad("InitialImmutableUnlessStopped", message));
        }
        if pipeline.policy.as_ref() != Some(&policy) {
            let message = "Bootstrap policy cannot be changed unless the pipeline is desired to become Stopped.";
            return Err(Rejection::bad("BootstrapPolicyImmutableUnlessStopped", message));
        }
        return Ok(Reply::accepted("Pipeline is starting"));
    }
    pipeline.check_start(dismiss)?;
    if initial == "Standby" {
        let message = "Initial desired runtime status can only be set to Standby if: (1) `runtime_config.storage.backend.name` is set to `file`, and (2) `runtime_config.storage.backend.config.sync` is configured.";
        return Err(Rejection::bad("InitialStandbyNotAllowed", message));
    }
    pipeline.error = Value::Null;
    pipeline.want(true, now);
    (pipeline.initial, pipeline.policy) = (Some(initial), Some(policy));
    pipeline.due = Some((now.saturating_add(delay), Due::CheckStart));
    Ok(Reply::accepted("Pipeline is starting"))
}

/// Before 0.148: what the pipeline is to be, stopped or not. The runner sees to it later.
fn set_desired(store: &mut Store, name: &str, to: &'static str, said: &str) -> Answer {
    let (now, delay) = (store.now, store.config.runner_delay);
    let pipeline = store.find(name)?;
    if !pipeline.wanted {
        pipeline.check_start(true)?;
        pipeline.error = Value::Null;
        pipeline.want(true, now);
        pipeline.initial = Some(to);
        pipeline.due = Some((now.saturating_add(delay), Due::CheckStart));
        return Ok(Reply::accepted(said));
    }
    if pipeline.initial == Some("Suspended") {
        let hint = "Cannot restart the pipeline while it is suspending. Wait for it to stop before starting a new instance of the pipeline.";
        let message = format!(
            "Deployment status (current: 'Suspending', desired: 'Suspended') cannot have desired changed to '{to}'. {hint}"
        );
        let details = json!({ "pipeline_status": "Suspending", "current_desired_status": "Suspended",
            "new_desired_status": to, "hint": hint });
        return Err(Rejection::new(StatusCode::BAD_REQUEST, "IllegalPipelineAction", message, details));
    }
    if pipeline.initial != Some(to) {
        (pipeline.initial, pipeline.wanted_since) = (Some(to), now);
        pipeline.refresh_version += 1;
    }
    if pipeline.due.is_none() && pipeline.process.is_some() {
        pipeline.due = Some((now.saturating_add(delay), Due::Observe));
    }
    Ok(Reply::accepted(said))
}

pub(super) fn stop(store: &mut Store, call: &Call, name: &str) -> Answer {
    let force = call.flag("force")?.unwrap_or(false);
    if !force && !store.config.edition.is_enterprise() {
        return Err(Rejection::enterprise("stop (without force)"));
    }
    let (now, config) = (store.now, store.config.clone());
    let observed_at = now.saturating_add(config.runner_delay);
    let pipeline = store.find(name)?;
    if force || pipeline.resources != "Provisioned" {
        pipeline.stop(now, &config);
        return Ok(Reply::accepted("Pipeline is forcefully stopping"));
    }
    pipeline.check_process("Running")?;
    if let Some(process) = &mut pipeline.process {
        process.desired = "Suspended";
    }
    if pipeline.has_one_status() {
        (pipeline.initial, pipeline.wanted_since) = (Some("Suspended"), now);
    }
    // It shows when the runner has asked the process.
    if !matches!(pipeline.due, Some((_, Due::Observe | Due::Suspended | Due::Stop))) {
        pipeline.due = Some((observed_at, Due::Observe));
    }
    Ok(Reply::accepted("Pipeline is suspending"))
}

pub(super) fn pause(store: &mut Store, name: &str) -> Answer {
    if store.config.release < Release::V0_337 {
        return set_desired(store, name, "Paused", "Pipeline is pausing");
    }
    transition(store, name, "pause", "Paused")
}

pub(super) fn resume(store: &mut Store, name: &str) -> Answer {
    transition(store, name, "resume", "Running")
}

pub(super) fn activate(store: &mut Store, call: &Call, name: &str) -> Answer {
    if !store.config.edition.is_enterprise() {
        return Err(Rejection::enterprise("start from object store (S3)"));
    }
    let initial = match call.query("initial").unwrap_or("running") {
        "running" => "Running",
        "paused" => "Paused",
        other => {
            let message = format!("Invalid activation status {other} (only running and paused are valid)");
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "InvalidActivateStatus", message, json!(other)));
        }
    };
    transition(store, name, "activate", initial)
}

fn transition(store: &mut Store, name: &str, verb: &str, to: &'static str) -> Answer {
    let (now, config) = (store.now, store.config.clone());
    let pipeline = store.running(name)?;
    let Some(process) = &mut pipeline.process else { return Err(Rejection::unknown_route()) };
    if process.desired == "Suspended" || process.status == "Standby" {
        let message = format!("Cannot execute {verb} transition starting from {}", process.desired);
        let details = json!([verb, process.desired]);
        return Err(Rejection::new(StatusCode::BAD_REQUEST, "InvalidTransition", message, details));
    }
    let from = process.status;
    process.desired = to;
    pipeline.enter_desired(now, &config);
    if pipeline.due.is_none() {
        pipeline.due = Some((now.saturating_add(config.runner_delay), Due::Observe));
    }
    Ok(Reply::accepted(&format!("Pipeline transitioning from {from} to {to}")))
}

pub(super) fn approve(store: &mut Store, name: &str) -> Answer {
    let (now, config) = (store.now, store.config.clone());
    let pipeline = store.find(name)?;
    pipeline.check_process("AwaitingApproval")?;
    if pipeline.process.as_ref().is_some_and(|process| process.status == "AwaitingApproval") {
        pipeline.enter_desired(now, &config);
        // A stop that was asked for before comes all the same.
        if pipeline.due.is_none() {
            pipeline.due = Some((now.saturating_add(config.runner_delay), Due::Observe));
        }
    }
    Ok(Reply::json(json!("Bootstrap approved")))
}

pub(super) fn clear(store: &mut Store, name: &str) -> Answer {
    let (now, duration) = (store.now, store.config.clear_duration);
    let pipeline = store.find(name)?;
    if !pipeline.is_stopped() {
        let message = "Storage status cannot be changed unless the pipeline is stopped.";
        return Err(Rejection::bad("StorageStatusImmutableUnlessStopped", message));
    }
    if pipeline.storage == "InUse" {
        pipeline.storage = "Clearing";
        pipeline.storage_due = Some(now.saturating_add(duration));
    }
    Ok(Reply::accepted("Pipeline storage is being cleared"))
}

pub(super) fn dismiss_error(store: &mut Store, name: &str) -> Answer {
    let pipeline = store.find(name)?;
    if !pipeline.error.is_null() && !pipeline.is_stopped() {
        let message = "The deployment error can only be dismissed while the pipeline is fully stopped.";
        return Err(Rejection::bad("DismissErrorRestrictedToFullyStopped", message));
    }
    pipeline.error = Value::Null;
    Ok(Reply::json(json!("Pipeline deployment error has been dismissed")))
}

pub(super) fn start_transaction(store: &mut Store, name: &str) -> Answer {
    let process = store.process(name)?;
    if process.transaction.open.is_some() {
        let message = "Cannot perform this operation while there is a transaction in progress";
        return Err(Rejection::new(StatusCode::CONFLICT, "TransactionInProgress", message, json!({})));
    }
    Ok(Reply::json(json!({ "transaction_id": process.start_transaction() })))
}

pub(super) fn commit_transaction(store: &mut Store, name: &str) -> Answer {
    let (now, config) = (store.now, store.config.clone());
    let process = store.process(name)?;
    if process.transaction.open.is_none() || process.transaction.committing.is_some() {
        let message = "This operation requires an active transaction, but none is currently in progress";
        return Err(Rejection::bad("NoTransactionInProgress", message));
    }
    process.transaction.commit(now, &config);
    Ok(Reply::json(json!("Transaction commit initiated")))
}

impl Pipeline {
    fn check_start(&self, dismiss: bool) -> Result<(), Rejection> {
        if self.resources != "Stopped" {
            let hint = "Cannot restart the pipeline while it is stopping. Wait until it is stopped before starting the pipeline again.";
            let message = format!(
                "Deployment resources status (current: '{}', desired: 'Stopped') cannot have desired changed to 'Provisioned'. {hint}",
                self.resources
            );
            let details = json!({ "status": self.resources, "current_desired_status": "Stopped",
                "new_desired_status": "Provisioned", "hint": hint });
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "IllegalPipelineAction", message, details));
        }
        if self.compilation.status.ends_with("Error") {
            let message = "Cannot process `/start` if the `program_status` is `SqlError`, `RustError` or `SystemError`. Make changes to fix the error, which will trigger recompilation.";
            return Err(Rejection::bad("CannotStartWithCompilationError", message));
        }
        if self.storage == "Clearing" {
            let message = "Cannot process `/start` if the `storage_status` is `Clearing`. Wait for the storage to become cleared before trying again.";
            return Err(Rejection::bad("CannotStartWhileClearingStorage", message));
        }
        if !dismiss && !self.error.is_null() {
            let message = "Cannot process `/start?dismiss_error=false` if the `deployment_error` is set. You can dismiss the error by calling `/start?dismiss_error=true`, or alternatively first call `/dismiss_error`, after which `/start?dismiss_error=false` is again possible.";
            return Err(Rejection::bad("CannotStartWithUndismissedError", message));
        }
        Ok(())
    }
}

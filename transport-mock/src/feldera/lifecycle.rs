//! What a pipeline can be told: start, stop, pause, resume, approve, clear, and the like.

use http::StatusCode;
use serde_json::{Value, json};

use super::Manager;
use super::errors::{Answer, Refusal, Reply};
use super::pipeline::{Due, Pipeline, Trouble, panic_error};
use super::request::Call;

impl Manager {
    pub(super) fn start(&mut self, call: &Call, name: &str) -> Answer {
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
                return Err(Refusal::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "UnsupportedPipelineAction",
                    message,
                    details,
                ));
            }
        };
        let dismiss = call.flag("dismiss_error")?.unwrap_or(true);
        let silent = call.flag("silent_bootstrap")?.unwrap_or(false);
        if silent && call.flag("concurrent_bootstrap")?.unwrap_or(false) {
            let reason = "`silent_bootstrap` and `concurrent_bootstrap` are mutually exclusive; set at most one";
            let message = format!("Invalid bootstrap configuration: {reason}");
            let details = json!({ "reason": reason });
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidBootstrapConfig", message, details));
        }
        let policy = call.query("bootstrap_policy").unwrap_or("await_approval").to_owned();
        if !["allow", "reject", "await_approval"].contains(&policy.as_str()) {
            return Err(Refusal::query(format!(
                "unknown variant `{policy}`, expected one of `allow`, `reject`, `await_approval`"
            )));
        }
        let (now, delay) = (self.now, self.config.runner_delay);
        let pipeline = self.find(name)?;
        if pipeline.wanted {
            if pipeline.initial != Some(initial) {
                let message = "Initial desired runtime status cannot be changed unless the pipeline is desired to become Stopped.";
                return Err(Refusal::bad("InitialImmutableUnlessStopped", message));
            }
            if pipeline.policy.as_ref() != Some(&policy) {
                let message = "Bootstrap policy cannot be changed unless the pipeline is desired to become Stopped.";
                return Err(Refusal::bad("BootstrapPolicyImmutableUnlessStopped", message));
            }
            return Ok(Reply::accepted("Pipeline is starting"));
        }
        pipeline.check_start(dismiss)?;
        if initial == "Standby" {
            let message = "Initial desired runtime status can only be set to Standby if: (1) `runtime_config.storage.backend.name` is set to `file`, and (2) `runtime_config.storage.backend.config.sync` is configured.";
            return Err(Refusal::bad("InitialStandbyNotAllowed", message));
        }
        pipeline.error = Value::Null;
        pipeline.want(true, now);
        (pipeline.initial, pipeline.policy) = (Some(initial), Some(policy));
        pipeline.due = Some((now.saturating_add(delay), Due::Look));
        Ok(Reply::accepted("Pipeline is starting"))
    }

    pub(super) fn stop(&mut self, call: &Call, name: &str) -> Answer {
        let force = call.flag("force")?.unwrap_or(false);
        if !force && !self.config.enterprise {
            return Err(Refusal::enterprise("stop (without force)"));
        }
        let (now, config) = (self.now, self.config.clone());
        let seen = now.saturating_add(config.runner_delay);
        let pipeline = self.find(name)?;
        if force || pipeline.resources != "Provisioned" {
            pipeline.stop(now, &config);
            return Ok(Reply::accepted("Pipeline is forcefully stopping"));
        }
        pipeline.check_process("Running")?;
        if let Some(process) = &mut pipeline.process {
            process.desired = "Suspended";
        }
        // It shows when the runner has asked the process.
        if !matches!(pipeline.due, Some((_, Due::Observe | Due::Suspended | Due::Stop))) {
            pipeline.due = Some((seen, Due::Observe));
        }
        Ok(Reply::accepted("Pipeline is suspending"))
    }

    pub(super) fn pause(&mut self, name: &str) -> Answer {
        self.transition(name, "pause", "Paused")
    }

    pub(super) fn resume(&mut self, name: &str) -> Answer {
        self.transition(name, "resume", "Running")
    }

    pub(super) fn activate(&mut self, call: &Call, name: &str) -> Answer {
        if !self.config.enterprise {
            return Err(Refusal::enterprise("start from object store (S3)"));
        }
        let initial = match call.query("initial").unwrap_or("running") {
            "running" => "Running",
            "paused" => "Paused",
            other => {
                let message = format!("Invalid activation status {other} (only running and paused are valid)");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidActivateStatus", message, json!(other)));
            }
        };
        self.transition(name, "activate", initial)
    }

    fn transition(&mut self, name: &str, verb: &str, to: &'static str) -> Answer {
        let (now, config) = (self.now, self.config.clone());
        let pipeline = self.live(name)?;
        let Some(process) = &mut pipeline.process else { return Err(Refusal::unknown_route()) };
        if process.desired == "Suspended" || process.status == "Standby" {
            let message = format!("Cannot execute {verb} transition starting from {}", process.desired);
            let details = json!([verb, process.desired]);
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidTransition", message, details));
        }
        let from = process.status;
        process.desired = to;
        pipeline.enter_desired(now, &config);
        if pipeline.due.is_none() {
            pipeline.due = Some((now.saturating_add(config.runner_delay), Due::Observe));
        }
        Ok(Reply::accepted(&format!("Pipeline transitioning from {from} to {to}")))
    }

    pub(super) fn approve(&mut self, name: &str) -> Answer {
        let (now, config) = (self.now, self.config.clone());
        let pipeline = self.find(name)?;
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

    pub(super) fn clear(&mut self, name: &str) -> Answer {
        let (now, duration) = (self.now, self.config.clear_duration);
        let pipeline = self.find(name)?;
        if !pipeline.is_stopped() {
            let message = "Storage status cannot be changed unless the pipeline is stopped.";
            return Err(Refusal::bad("StorageStatusImmutableUnlessStopped", message));
        }
        if pipeline.storage == "InUse" {
            pipeline.storage = "Clearing";
            pipeline.storage_due = Some(now.saturating_add(duration));
        }
        Ok(Reply::accepted("Pipeline storage is being cleared"))
    }

    pub(super) fn dismiss_error(&mut self, name: &str) -> Answer {
        let pipeline = self.find(name)?;
        if !pipeline.error.is_null() && !pipeline.is_stopped() {
            let message = "The deployment error can only be dismissed while the pipeline is fully stopped.";
            return Err(Refusal::bad("DismissErrorRestrictedToFullyStopped", message));
        }
        pipeline.error = Value::Null;
        Ok(Reply::json(json!("Pipeline deployment error has been dismissed")))
    }

    pub(super) fn start_transaction(&mut self, name: &str) -> Answer {
        let pipeline = self.live(name)?;
        let Some(process) = &mut pipeline.process else { return Err(Refusal::unknown_route()) };
        if process.transaction.is_some() {
            let message = "Cannot perform this operation while there is a transaction in progress";
            return Err(Refusal::new(StatusCode::CONFLICT, "TransactionInProgress", message, json!({})));
        }
        Ok(Reply::json(json!({ "transaction_id": process.start_transaction() })))
    }

    pub(super) fn commit_transaction(&mut self, name: &str) -> Answer {
        let at = self.now.saturating_add(self.config.commit_duration);
        let pipeline = self.live(name)?;
        let Some(process) = &mut pipeline.process else { return Err(Refusal::unknown_route()) };
        if process.transaction.is_none() || process.is_committing() {
            let message = "This operation requires an active transaction, but none is currently in progress";
            return Err(Refusal::bad("NoTransactionInProgress", message));
        }
        process.commit_transaction(at);
        Ok(Reply::json(json!("Transaction commit initiated")))
    }

    /// A pipeline whose process answers.
    pub(super) fn live(&mut self, name: &str) -> Result<&mut Pipeline, Refusal> {
        let pipeline = self.find(name)?;
        pipeline.check_process("")?;
        Ok(pipeline)
    }
}

impl Pipeline {
    fn check_start(&self, dismiss: bool) -> Result<(), Refusal> {
        if self.resources != "Stopped" {
            let hint = "Cannot restart the pipeline while it is stopping. Wait until it is stopped before starting the pipeline again.";
            let message = format!(
                "Deployment resources status (current: '{}', desired: 'Stopped') cannot have desired changed to 'Provisioned'. {hint}",
                self.resources
            );
            let details = json!({ "status": self.resources, "current_desired_status": "Stopped",
                "new_desired_status": "Provisioned", "hint": hint });
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "IllegalPipelineAction", message, details));
        }
        if self.program_status.ends_with("Error") {
            let message = "Cannot process `/start` if the `program_status` is `SqlError`, `RustError` or `SystemError`. Make changes to fix the error, which will trigger recompilation.";
            return Err(Refusal::bad("CannotStartWithCompilationError", message));
        }
        if self.storage == "Clearing" {
            let message = "Cannot process `/start` if the `storage_status` is `Clearing`. Wait for the storage to become cleared before trying again.";
            return Err(Refusal::bad("CannotStartWhileClearingStorage", message));
        }
        if !dismiss && !self.error.is_null() {
            let message = "Cannot process `/start?dismiss_error=false` if the `deployment_error` is set. You can dismiss the error by calling `/start?dismiss_error=true`, or alternatively first call `/dismiss_error`, after which `/start?dismiss_error=false` is again possible.";
            return Err(Refusal::bad("CannotStartWithUndismissedError", message));
        }
        Ok(())
    }

    /// What the manager and then the process say to a request that the process has to answer, if it cannot;
    /// `unless` is a status in which it can.
    pub(super) fn check_process(&self, unless: &str) -> Result<(), Refusal> {
        let name = &self.name;
        if self.resources != "Provisioned" {
            let status = self.status();
            let message = format!(
                "Unable to interact with pipeline because the deployment status ({}) indicates it is not (yet) fully provisioned pipeline-id=N/A pipeline-name=\"{name}\"",
                status.to_lowercase()
            );
            let details = json!({ "pipeline_name": name, "status": status, "desired_status": self.desired() });
            return Err(Refusal::unavailable("PipelineInteractionNotDeployed", message, details));
        }
        match &self.trouble {
            Some((_, Trouble::Panic(_))) => {
                let message = "Operation failed because the pipeline is shutting down.";
                return Err(Refusal::new(StatusCode::GONE, "Terminating", message, Value::Null));
            }
            Some((_, Trouble::ReportedPanic(message))) => {
                let error = panic_error(message);
                let text = error["message"].as_str().unwrap_or_default();
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Err(Refusal::new(status, "RuntimeError.WorkerPanic", text, error["details"].clone()));
            }
            Some((_, Trouble::Killed)) => {
                return Err(self.unreachable("Failed to connect to host: Connection refused (os error 111)"));
            }
            Some((_, Trouble::Frozen(_, false))) => return Err(self.timeout(10)),
            Some((_, Trouble::Frozen(_, true))) => {
                let message = format!("Pipeline is currently unavailable pipeline-id=N/A pipeline-name=\"{name}\"");
                return Err(Refusal::unavailable("PipelineUnavailable", message, json!({ "pipeline_name": name })));
            }
            None => {}
        }
        let status = self.process.as_ref().map_or("Initializing", |process| process.status);
        match status {
            status if status == unless => Ok(()),
            "Initializing" => {
                let message = "Operation failed because the pipeline has not finished initializing.";
                Err(Refusal::not_yet("Initializing", message))
            }
            "AwaitingApproval" => {
                let message = "Operation failed because the pipeline is awaiting approval of its bootstrap.";
                Err(Refusal::not_yet("AwaitingApproval", message))
            }
            "Suspended" => {
                Err(Refusal::not_yet("Suspended", "Operation failed because the pipeline has been suspended."))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn timeout(&self, seconds: u32) -> Refusal {
        self.unreachable(&format!(
            "timeout ({seconds}s) was reached: this means the pipeline took too long to respond -- this can simply be because the request was too difficult to process in time, or other reasons (e.g., deadlock): the pipeline logs might contain additional information (original send request error: Timeout while waiting for response)"
        ))
    }

    pub(super) fn unreachable(&self, error: &str) -> Refusal {
        let name = &self.name;
        let message =
            format!("Error sending HTTP request to pipeline: {error} pipeline-id=N/A pipeline-name=\"{name}\"");
        let details = json!({ "pipeline_name": name, "request": "HTTP/1.1", "error": error });
        Refusal::unavailable("PipelineInteractionUnreachable", message, details)
    }
}

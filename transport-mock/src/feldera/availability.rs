//! Whether the process of a pipeline answers, and what the manager says if it does not.

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::Rejection;
use super::pipeline::Pipeline;
use super::trouble::{Trouble, panic_error};

impl Pipeline {
    /// What the manager and then the process say to a request that the process has to answer, if it cannot;
    /// `unless` is a status in which it can.
    pub(super) fn check_process(&self, unless: &str) -> Result<(), Rejection> {
        let name = &self.name;
        if self.resources != "Provisioned" {
            let status = self.status();
            let message = format!(
                "Unable to interact with pipeline because the deployment status ({}) indicates it is not (yet) fully provisioned pipeline-id=N/A pipeline-name=\"{name}\"",
                status.to_lowercase()
            );
            let details = json!({ "pipeline_name": name, "status": status, "desired_status": self.desired() });
            return Err(Rejection::unavailable("PipelineInteractionNotDeployed", message, details));
        }
        match &self.trouble {
            Some((_, Trouble::Panic(_))) => {
                let message = "Operation failed because the pipeline is shutting down.";
                return Err(Rejection::new(StatusCode::GONE, "Terminating", message, Value::Null));
            }
            Some((_, Trouble::ReportedPanic(message))) => {
                let error = panic_error(message);
                let text = error["message"].as_str().unwrap_or_default();
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Err(Rejection::new(status, "RuntimeError.WorkerPanic", text, error["details"].clone()));
            }
            Some((_, Trouble::Killed)) => {
                return Err(self.unreachable("Failed to connect to host: Connection refused (os error 111)"));
            }
            Some((_, Trouble::Frozen(_, false))) => return Err(self.timeout(10)),
            Some((_, Trouble::Frozen(_, true))) => {
                let message = format!("Pipeline is currently unavailable pipeline-id=N/A pipeline-name=\"{name}\"");
                return Err(Rejection::unavailable("PipelineUnavailable", message, json!({ "pipeline_name": name })));
            }
            None => {}
        }
        let status = self.process.as_ref().map_or("Initializing", |process| process.status);
        match status {
            status if status == unless => Ok(()),
            "Initializing" => {
                let message = "Operation failed because the pipeline has not finished initializing.";
                Err(Rejection::not_yet("Initializing", message))
            }
            "AwaitingApproval" => {
                let message = "Operation failed because the pipeline is awaiting approval of its bootstrap.";
                Err(Rejection::not_yet("AwaitingApproval", message))
            }
            "Suspended" => {
                Err(Rejection::not_yet("Suspended", "Operation failed because the pipeline has been suspended."))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn timeout(&self, seconds: u32) -> Rejection {
        self.unreachable(&format!(
            "timeout ({seconds}s) was reached: this means the pipeline took too long to respond -- this can simply be because the request was too difficult to process in time, or other reasons (e.g., deadlock): the pipeline logs might contain additional information (original send request error: Timeout while waiting for response)"
        ))
    }

    pub(super) fn unreachable(&self, error: &str) -> Rejection {
        let name = &self.name;
        let message =
            format!("Error sending HTTP request to pipeline: {error} pipeline-id=N/A pipeline-name=\"{name}\"");
        let details = json!({ "pipeline_name": name, "request": "HTTP/1.1", "error": error });
        Rejection::unavailable("PipelineInteractionUnreachable", message, details)
    }
}

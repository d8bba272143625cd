//! Completion tokens: whether what was pushed in has been processed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::Manager;
use super::errors::{Answer, Refusal, Reply};
use super::process::Process;
use super::request::Call;

impl Manager {
    pub(super) fn completion_status(&mut self, call: &Call, name: &str) -> Answer {
        let text = call.query("token").ok_or_else(|| Refusal::query("missing field `token`"))?;
        let pipeline = self.live(name)?;
        let Some(process) = &pipeline.process else { return Err(Refusal::unknown_route()) };
        let (incarnation, endpoint, records) = read(text)?;
        if incarnation != process.incarnation {
            let error = format!(
                "Completion token was created by a previous incarnation of the pipeline (incarnation uuid: {incarnation}) and is not valid for the current incarnation ({}). This indicates that the pipeline was suspended and resumed from a checkpoint or restarted after a failure",
                process.incarnation
            );
            let message = format!("{error}.");
            let details = json!({ "error": message });
            return Err(Refusal::new(StatusCode::GONE, "PipelineRestarted", message, details));
        }
        if endpoint >= process.endpoints.len() {
            let message = "Completion token specifies an unknown input endpoint.";
            return Err(Refusal::new(StatusCode::GONE, "UnknownEndpointInCompletionToken", message, json!({})));
        }
        let step = process.step_of(endpoint, records.max(1)).or((records == 0).then_some(process.completed));
        let complete = step.is_some_and(|step| process.completed >= step);
        let status = if complete { "complete" } else { "inprogress" };
        Ok(Reply::json(json!({ "status": status, "step": step })))
    }
}

/// A token for everything that an endpoint took in so far.
pub(super) fn write(process: &Process, endpoint: usize) -> String {
    let records = process.endpoints.get(endpoint).map_or(0, |endpoint| endpoint.records);
    let text = format!("{{\"u\":\"{}\",\"e\":{endpoint},\"c\":{records}}}", process.incarnation);
    URL_SAFE_NO_PAD.encode(text)
}

fn read(text: &str) -> Result<(String, usize, u64), Refusal> {
    let invalid = |error: String| Refusal::invalid_parameter(&format!("invalid completion token: {error}"));
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|error| invalid(format!("completion token is not a valid base64 string: {error}.")))?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(format!("error parsing completion token: {error}")))?;
    let number = |key: &str| value[key].as_u64();
    match (value["u"].as_str(), number("e"), number("c")) {
        (Some(incarnation), Some(endpoint), Some(records)) => {
            Ok((incarnation.to_owned(), usize::try_from(endpoint).unwrap_or(usize::MAX), records))
        }
        _ => Err(invalid("error parsing completion token: missing field".into())),
    }
}

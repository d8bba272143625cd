//! Answers about inputs: connectors, what they can be told, and whether what came in has been processed.

use http::StatusCode;
use serde_json::json;

use super::endpoint::Endpoint;
use super::errors::{Answer, Rejection, Reply};
use super::process::Process;
use super::program::folded;
use super::release::Release;
use super::request::Call;
use super::store::Store;
use super::token::Token;

/// A connector, or a way of ingress, of a process that answers.
fn input<'a>(
    store: &'a mut Store,
    name: &str,
    table: &str,
    connector: &str,
) -> Result<(&'a mut Process, usize), Rejection> {
    let process = store.process(name)?;
    let wanted = format!("{}.{connector}", folded(table));
    let found = process.endpoints.iter().position(|endpoint| endpoint.name == wanted);
    found.map(|at| (process, at)).ok_or_else(|| Rejection::unknown_endpoint(table, connector))
}

pub(super) fn input_status(store: &mut Store, name: &str, table: &str, connector: &str) -> Answer {
    let (process, at) = input(store, name, table, connector)?;
    let mut status = process.endpoints.get(at).map(Endpoint::status).unwrap_or_default();
    (status["parse_errors"], status["transport_errors"]) = (json!([]), json!([]));
    Ok(Reply::json(status))
}

pub(super) fn input_token(store: &mut Store, name: &str, table: &str, connector: &str) -> Answer {
    let (process, at) = input(store, name, table, connector)?;
    Ok(Reply::json(json!({ "token": process.token(at).to_string() })))
}

pub(super) fn control_input(store: &mut Store, name: &str, table: &str, connector: &str, action: &str) -> Answer {
    let paused = match action {
        "start" => false,
        "pause" => true,
        other => {
            let message = format!("Invalid input connector action '{other}'");
            let details = json!({ "invalid_action": other });
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "InvalidConnectorAction", message, details));
        }
    };
    let now = store.now;
    let (process, at) = input(store, name, table, connector)?;
    process.endpoints.wake(now);
    if let Some(generator) = process.endpoints.get_mut(at).and_then(|endpoint| endpoint.generator.as_mut()) {
        generator.paused = paused;
    }
    Ok(Reply::empty())
}

pub(super) fn completion_status(store: &mut Store, call: &Call, name: &str) -> Answer {
    let text = call.query("token").ok_or_else(|| Rejection::query("missing field `token`"))?;
    let release = store.config.release;
    let process = store.process(name)?;
    let Token { incarnation, endpoint, records } = Token::parse(text)?;
    if incarnation != process.incarnation {
        let error = format!(
            "Completion token was created by a previous incarnation of the pipeline (incarnation uuid: {incarnation}) and is not valid for the current incarnation ({}). This indicates that the pipeline was suspended and resumed from a checkpoint or restarted after a failure",
            process.incarnation
        );
        let message = format!("{error}.");
        let details = json!({ "error": message });
        return Err(Rejection::new(StatusCode::GONE, "PipelineRestarted", message, details));
    }
    if process.endpoints.get(endpoint).is_none() {
        let message = "Completion token specifies an unknown input endpoint.";
        return Err(Rejection::new(StatusCode::GONE, "UnknownEndpointInCompletionToken", message, json!({})));
    }
    // Of nothing: there is no step to wait for, whatever came later.
    let step = match records {
        0 => Some(process.completed),
        records => process.endpoints.step_of(endpoint, records),
    };
    let complete = step.is_some_and(|step| process.completed >= step);
    let status = if complete { "complete" } else { "inprogress" };
    // Since 0.242.
    let with_step = release >= Release::V0_337;
    Ok(Reply::json(if with_step { json!({ "status": status, "step": step }) } else { json!({ "status": status }) }))
}

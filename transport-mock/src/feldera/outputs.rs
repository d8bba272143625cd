//! Output connectors: what they have sent, and what they can be told.

use http::StatusCode;
use serde_json::json;

use super::errors::{Answer, Rejection, Reply};
use super::process::Process;
use super::program::folded;
use super::request::Call;
use super::store::Store;

fn output<'a>(
    store: &'a mut Store,
    name: &str,
    view: &str,
    connector: &str,
) -> Result<(&'a mut Process, usize), Rejection> {
    let process = store.process(name)?;
    let wanted = format!("{}.{connector}", folded(view));
    let found = process.outputs.iter().position(|output| output.name == wanted);
    found.map(|at| (process, at)).ok_or_else(|| Rejection::unknown_output(view, connector))
}

pub(super) fn output_status(store: &mut Store, name: &str, view: &str, connector: &str) -> Answer {
    let release = store.config.release;
    let (process, at) = output(store, name, view, connector)?;
    let (records, steps) = (process.completed_records, process.completed);
    Ok(Reply::json(process.outputs.get(at).map(|output| output.status(release, records, steps)).unwrap_or_default()))
}

/// Since 0.375.
pub(super) fn control_output(store: &mut Store, name: &str, view: &str, connector: &str, action: &str) -> Answer {
    let paused = match action {
        "start" => false,
        "pause" => true,
        other => {
            let message = format!("Invalid output connector action '{other}'");
            let details = json!({ "invalid_action": other });
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "InvalidConnectorAction", message, details));
        }
    };
    let (process, at) = output(store, name, view, connector)?;
    if let Some(output) = process.outputs.get_mut(at) {
        output.paused = paused;
    }
    Ok(Reply::empty())
}

/// No connector of the simulator knows a command.
pub(super) fn command(store: &mut Store, call: &Call, name: &str, view: &str, connector: &str) -> Answer {
    call.object()?;
    let (process, at) = output(store, name, view, connector)?;
    let endpoint = process.outputs.get(at).map(|output| output.name.clone()).unwrap_or_default();
    let error = "the connector does not support commands";
    let message = format!("Error executing a command on output connector '{endpoint}': {error}");
    let details = json!({ "endpoint_name": endpoint, "error": error });
    Err(Rejection::new(StatusCode::BAD_REQUEST, "CommandError", message, details))
}

//! Programs that are compiled without being run: validated, or compared with that of a pipeline.

use http::StatusCode;
use serde_json::{Value, json};

use super::config::CompilerFailure;
use super::errors::{Answer, Rejection, Reply};
use super::program::{self, Program};
use super::release::Release;
use super::request::Call;
use super::store::Store;

/// SQL that is wrong is an answer, not a rejection.
pub(super) fn validate_program(call: &Call, release: Release, failure: Option<&CompilerFailure>) -> Answer {
    let body = call.object()?;
    check_runtime(release, body.get("runtime_version"))?;
    let code = body.get("program_code").and_then(Value::as_str);
    let code = code.ok_or_else(|| Rejection::body("missing field `program_code` at line 1 column 1".to_owned()))?;
    if let Some(CompilerFailure::System(error)) = failure {
        return Ok(Reply::json(json!({ "SystemError": { "error": error } })));
    }
    Ok(Reply::json(match program::compile(code) {
        Ok(program) => json!({ "Success": { "program_info": program.information() } }),
        Err(mistake) => json!({ "SqlError": { "info": { "exit_code": 1, "messages": [mistake.message()] } } }),
    }))
}

/// What another program would change.
pub(super) fn diff(store: &mut Store, call: &Call, name: &str) -> Answer {
    let body = call.object()?;
    check_runtime(store.config.release, body.get("runtime_version"))?;
    let present = compiled(store, name)?;
    let proposed = match body.get("program_code").and_then(Value::as_str).map(program::compile) {
        None => present.clone(),
        Some(Ok(program)) => program,
        Some(Err(mistake)) => {
            let error = serde_json::to_string_pretty(&[mistake.message()]).unwrap_or_default();
            let message = format!("The proposed new SQL program has compilation errors: {error}");
            let details = json!({ "error": error });
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "InvalidNewProgramSql", message, details));
        }
    };
    Ok(Reply::json(json!({
        "program_diff": present.diff(&proposed), "program_diff_error": null,
        "added_input_connectors": [], "modified_input_connectors": [], "removed_input_connectors": [],
        "added_output_connectors": [], "modified_output_connectors": [], "removed_output_connectors": [],
    })))
}

/// The simulator plans nothing, and so its graphs are empty.
pub(super) fn dataflow_graph(store: &mut Store, name: &str) -> Answer {
    compiled(store, name)?;
    Ok(Reply::json(json!({ "calcite_plan": {}, "mir": {} })))
}

fn compiled<'a>(store: &'a mut Store, name: &str) -> Result<&'a Program, Rejection> {
    let not_compiled = || {
        let message = format!("Pipeline '{name}' has not been compiled yet. Please compile the pipeline first.");
        Rejection::new(StatusCode::NOT_FOUND, "ProgramNotCompiled", message, json!({ "pipeline_name": name }))
    };
    store.find(name)?.compilation.program.as_ref().ok_or_else(not_compiled)
}

fn check_runtime(release: Release, version: Option<&Value>) -> Result<(), Rejection> {
    let Some(version) = version.and_then(Value::as_str) else { return Ok(()) };
    if version == "gen2" && release >= Release::V0_375 {
        return Ok(());
    }
    let is_release = version.strip_prefix('v').is_some_and(|rest| {
        rest.split('.').count() == 3 && rest.split('.').all(|number| number.parse::<u32>().is_ok())
    });
    let is_commit = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_release || is_commit {
        return Ok(());
    }
    let error =
        format!("The requested runtime version '{version}' is neither a valid version (vX.Y.Z) nor a valid git hash.");
    let message = format!("Invalid runtime version: {error}");
    Err(Rejection::new(StatusCode::BAD_REQUEST, "InvalidRuntimeVersion", message, json!({ "error": error })))
}

//! Programs that are compiled without a pipeline.

use serde_json::{Value, json};

use super::CompilerFailure;
use super::errors::{Answer, Refusal, Reply};
use super::program;
use super::request::Call;

/// SQL that is wrong is an answer, not a refusal.
pub(super) fn validate_program(call: &Call, failure: Option<&CompilerFailure>) -> Answer {
    let body = call.object()?;
    super::platform::check_runtime(body.get("runtime_version"))?;
    let code = body.get("program_code").and_then(Value::as_str);
    let code = code.ok_or_else(|| Refusal::body("missing field `program_code` at line 1 column 1".to_owned()))?;
    if let Some(CompilerFailure::System(error)) = failure {
        return Ok(Reply::json(json!({ "SystemError": { "error": error } })));
    }
    Ok(Reply::json(match program::compile(code) {
        Ok(program) => json!({ "Success": { "program_info": program.information() } }),
        Err(mistake) => json!({ "SqlError": { "info": { "exit_code": 1, "messages": [mistake.message()] } } }),
    }))
}

//! Who may do what: API keys and their roles; and programs that are compiled for nobody.

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Refusal, Reply};
use super::object::uuid;
use super::program;
use super::request::Call;
use super::{Manager, pipeline::Pipeline};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Read,
    Write,
    Admin,
    Owner,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// An API key.
#[derive(Debug)]
pub(super) struct Key {
    id: String,
    name: String,
    role: Role,
    secret: String,
}

impl Key {
    fn described(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "role": self.role.name() })
    }
}

impl Manager {
    /// Who calls, unless nobody may.
    pub(super) fn authenticate(&self, call: &Call) -> Result<Role, Refusal> {
        let Some(own) = &self.config.api_key else { return Ok(Role::Admin) };
        let sent = call.bearer.as_deref().ok_or(Refusal::NoCredential)?;
        if sent == own {
            return Ok(Role::Write);
        }
        self.keys.iter().find(|key| key.secret == sent).map(|key| key.role).ok_or(Refusal::Unauthorized)
    }

    pub(super) fn list_keys(&self) -> Reply {
        Reply::json(self.keys.iter().map(Key::described).collect())
    }

    /// An array, of one.
    pub(super) fn get_key(&self, name: &str) -> Answer {
        let key = self.keys.iter().find(|key| key.name == name).ok_or_else(|| unknown_key(name))?;
        Ok(Reply::json(json!([key.described()])))
    }

    pub(super) fn delete_key(&mut self, name: &str) -> Answer {
        let at = self.keys.iter().position(|key| key.name == name).ok_or_else(|| unknown_key(name))?;
        self.keys.remove(at);
        Ok(Reply::empty())
    }

    pub(super) fn post_key(&mut self, call: &Call) -> Answer {
        let body = call.object()?;
        let name = body.get("name").and_then(Value::as_str).ok_or_else(|| Refusal::body("missing field `name`"))?;
        let role = match body.get("role").and_then(Value::as_str).unwrap_or("read") {
            "read" => Role::Read,
            "write" => Role::Write,
            "admin" | "owner" => {
                let message = "The 'owner' and 'admin' roles cannot be issued as an API key; use an OIDC trust relationship or interactive login";
                return Err(Refusal::new(StatusCode::FORBIDDEN, "OwnerAdminNotMintableAsApiKey", message, json!({})));
            }
            other => {
                let known = "expected one of `read`, `write`, `admin`, `owner`";
                return Err(Refusal::body(format!("unknown variant `{other}`, {known} at line 1 column 0")));
            }
        };
        if self.keys.iter().any(|key| key.name == name) {
            let message = "An entity with this name already exists";
            return Err(Refusal::new(StatusCode::CONFLICT, "DuplicateName", message, json!({})));
        }
        let id = uuid(&mut self.seed, self.now);
        let halves: [u128; 4] = std::array::from_fn(|_| self.seed.next_u128());
        let secret: String = halves.map(|half| format!("{half:032x}")).concat();
        let key = Key { id, name: name.to_owned(), role, secret: format!("apikey:{secret}") };
        let answer = json!({ "id": key.id, "name": key.name, "api_key": key.secret });
        self.keys.push(key);
        Ok(Reply::created(answer))
    }

    /// What another program would change.
    pub(super) fn diff(&mut self, call: &Call, name: &str) -> Answer {
        let body = call.object()?;
        check_runtime(body.get("runtime_version"))?;
        let Pipeline { program, .. } = self.find(name)?;
        let Some(present) = program else {
            let message = format!("Pipeline '{name}' has not been compiled yet. Please compile the pipeline first.");
            let details = json!({ "pipeline_name": name });
            return Err(Refusal::new(StatusCode::NOT_FOUND, "ProgramNotCompiled", message, details));
        };
        let proposed = match body.get("program_code").and_then(Value::as_str).map(program::compile) {
            None => present.clone(),
            Some(Ok(program)) => program,
            Some(Err(mistake)) => {
                let error = serde_json::to_string_pretty(&[mistake.message()]).unwrap_or_default();
                let message = format!("The proposed new SQL program has compilation errors: {error}");
                let details = json!({ "error": error });
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidNewProgramSql", message, details));
            }
        };
        Ok(Reply::json(json!({
            "program_diff": present.diff(&proposed), "program_diff_error": null,
            "added_input_connectors": [], "modified_input_connectors": [], "removed_input_connectors": [],
            "added_output_connectors": [], "modified_output_connectors": [], "removed_output_connectors": [],
        })))
    }
}

/// The role that a route needs.
pub(super) fn needed(method: &str, segments: &[&str]) -> Role {
    match (method, segments) {
        (_, ["tenants", ..]) => Role::Owner,
        (_, ["oidc_trust", ..]) => Role::Admin,
        // It can INSERT.
        (_, ["api_keys", ..]) | ("GET", ["pipelines", _, "query"] | [.., "completion_token"]) => Role::Write,
        ("GET", _) | ("POST", ["pipelines", _, "samply_profile"]) => Role::Read,
        _ => Role::Write,
    }
}

pub(super) fn check_role(role: Role, needed: Role) -> Result<(), Refusal> {
    if role >= needed {
        return Ok(());
    }
    let (needed, role) = (needed.name(), role.name());
    let message =
        format!("Insufficient permissions: this action requires the '{needed}' role, but the caller has '{role}'");
    let details = json!({ "required": needed, "actual": role });
    Err(Refusal::new(StatusCode::FORBIDDEN, "InsufficientPermissions", message, details))
}

pub(super) fn check_runtime(version: Option<&Value>) -> Result<(), Refusal> {
    let Some(version) = version.and_then(Value::as_str) else { return Ok(()) };
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
    Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidRuntimeVersion", message, json!({ "error": error })))
}

fn unknown_key(name: &str) -> Refusal {
    let message = format!("Unknown API key '{name}'");
    Refusal::new(StatusCode::NOT_FOUND, "UnknownApiKey", message, json!({ "name": name }))
}

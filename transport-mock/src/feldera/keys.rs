//! API keys and their roles.

use std::time::Duration;

use http::StatusCode;
use pipewright::Seed;
use serde_json::{Value, json};

use super::errors::{Answer, Rejection, Reply};
use super::release::Release;
use super::request::Call;
use super::wire::uuid;

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
struct Key {
    id: String,
    name: String,
    role: Role,
    secret: String,
}

impl Key {
    fn described(&self, release: Release) -> Value {
        if release < Release::V0_337 {
            return json!({ "id": self.id, "name": self.name, "scopes": ["Read", "Write"] });
        }
        json!({ "id": self.id, "name": self.name, "role": self.role.name() })
    }
}

/// The keys that were made.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// Returns the role of the caller; `own` is taken besides these keys, and without it there is no authentication.
    pub(super) fn authenticate(&self, own: Option<&str>, call: &Call) -> Result<Role, Rejection> {
        let Some(own) = own else { return Ok(Role::Admin) };
        let sent = call.bearer.as_deref().ok_or(Rejection::NoCredential)?;
        if sent == own {
            return Ok(Role::Write);
        }
        self.0.iter().find(|key| key.secret == sent).map(|key| key.role).ok_or(Rejection::Unauthorized)
    }

    pub(super) fn list(&self, release: Release) -> Reply {
        Reply::json(self.0.iter().map(|key| key.described(release)).collect())
    }

    /// An array, of one.
    pub(super) fn get(&self, name: &str, release: Release) -> Answer {
        let key = self.0.iter().find(|key| key.name == name).ok_or_else(|| unknown_key(name))?;
        Ok(Reply::json(json!([key.described(release)])))
    }

    pub(super) fn delete(&mut self, name: &str) -> Answer {
        let at = self.0.iter().position(|key| key.name == name).ok_or_else(|| unknown_key(name))?;
        self.0.remove(at);
        Ok(Reply::empty())
    }

    pub(super) fn make(&mut self, call: &Call, release: Release, now: Duration, seed: &mut Seed) -> Answer {
        let body = call.object()?;
        let name = body.get("name").and_then(Value::as_str).ok_or_else(|| Rejection::body("missing field `name`"))?;
        // Before 0.327 there are no roles, and a key may read and write.
        let default = if release < Release::V0_337 { "write" } else { "read" };
        let asked = body.get("role").and_then(Value::as_str).filter(|_| release >= Release::V0_337);
        let role = match asked.unwrap_or(default) {
            "read" => Role::Read,
            "write" => Role::Write,
            "admin" | "owner" => {
                let message = "The 'owner' and 'admin' roles cannot be issued as an API key; use an OIDC trust relationship or interactive login";
                return Err(Rejection::new(StatusCode::FORBIDDEN, "OwnerAdminNotMintableAsApiKey", message, json!({})));
            }
            other => {
                let known = "expected one of `read`, `write`, `admin`, `owner`";
                return Err(Rejection::body(format!("unknown variant `{other}`, {known} at line 1 column 0")));
            }
        };
        if self.0.iter().any(|key| key.name == name) {
            let message = "An entity with this name already exists";
            return Err(Rejection::new(StatusCode::CONFLICT, "DuplicateName", message, json!({})));
        }
        let id = uuid(seed, now);
        let halves: [u128; 4] = std::array::from_fn(|_| seed.next_u128());
        let secret: String = halves.map(|half| format!("{half:032x}")).concat();
        let key = Key { id, name: name.to_owned(), role, secret: format!("apikey:{secret}") };
        let answer = json!({ "id": key.id, "name": key.name, "api_key": key.secret });
        self.0.push(key);
        Ok(Reply::created(answer))
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

pub(super) fn check_role(role: Role, needed: Role) -> Result<(), Rejection> {
    if role >= needed {
        return Ok(());
    }
    let (needed, role) = (needed.name(), role.name());
    let message =
        format!("Insufficient permissions: this action requires the '{needed}' role, but the caller has '{role}'");
    let details = json!({ "required": needed, "actual": role });
    Err(Rejection::new(StatusCode::FORBIDDEN, "InsufficientPermissions", message, details))
}

fn unknown_key(name: &str) -> Rejection {
    let message = format!("Unknown API key '{name}'");
    Rejection::new(StatusCode::NOT_FOUND, "UnknownApiKey", message, json!({ "name": name }))
}

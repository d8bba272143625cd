//! Scoped tokens: what they are issued for, and where they are good.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use pipewright::Seed;
use serde_json::{Value, json};

use super::config::Config;
use super::errors::{Answer, Rejection, Reply};
use super::hosts::{Hosts, dashed, failed_over, name};
use super::request::Call;

/// The scoped tokens that were issued.
#[derive(Debug)]
pub(super) struct Tokens {
    seed: Seed,
    issued: BTreeMap<String, Scoped>,
}

#[derive(Debug)]
struct Scoped {
    expires: Duration,
    host: String,
    generation: u64,
    is_forbidden: bool,
}

impl Tokens {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, issued: BTreeMap::new() }
    }

    pub(super) fn revoke(&mut self) {
        self.issued.clear();
    }

    pub(super) fn forbid(&mut self) {
        self.issued.values_mut().for_each(|scoped| scoped.is_forbidden = true);
    }

    fn issue(&mut self, now: Duration, scoped: Scoped) -> String {
        self.issued.retain(|_, scoped| scoped.expires > now);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(&json!({ "alg": "RS256", "typ": "JWT" }));
        let number = self.seed.next_u64();
        // Whole seconds, and never later than it really ends.
        let claims = json!({ "iss": "sim", "jti": number, "aud": scoped.host, "iat": now.as_secs(),
            "exp": scoped.expires.as_secs() });
        let token = format!("{head}.{}.{}", part(&claims), URL_SAFE_NO_PAD.encode(number.to_be_bytes()));
        self.issued.insert(token.clone(), scoped);
        token
    }

    /// Exchanges a credential, which is checked already, for a scoped token.
    pub(super) fn exchange(&mut self, call: &Call, now: Duration, hosts: &Hosts, config: &Config) -> Answer {
        let form = call.form().ok_or(Rejection::Grant("invalid_request"))?;
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let kind = call.token_type.as_deref();
        let fits = match (field("grant_type"), field("subject_token_type")) {
            (Some("urn:ietf:params:oauth:grant-type:jwt-bearer"), None) => matches!(kind, None | Some("KEYPAIR_JWT")),
            (Some("urn:ietf:params:oauth:grant-type:token-exchange"), Some(subject)) => match subject {
                "programmatic_access_token" => matches!(kind, None | Some("PROGRAMMATIC_ACCESS_TOKEN")),
                "urn:ietf:params:oauth:token-type:access_token" => matches!(kind, None | Some("OAUTH")),
                _ => false,
            },
            _ => false,
        };
        if !fits {
            return Err(Rejection::Grant("invalid_grant"));
        }
        let mut scope = field("scope").unwrap_or_default().split(' ');
        let host = dashed(name(scope.next().unwrap_or_default()));
        let role = scope.next();
        let is_role = role.is_none_or(|role| role.starts_with("session:role:") && role.len() > "session:role:".len());
        if host != dashed(name(&hosts.ingest_host(call, config))) || !is_role || scope.next().is_some() {
            return Err(Rejection::Grant("invalid_scope"));
        }
        let expires = now.saturating_add(config.token_life);
        let scoped = Scoped { expires, host, generation: hosts.generation, is_forbidden: false };
        let token = self.issue(now, scoped);
        if config.json_answers {
            return Ok(Reply::json(json!({ "token": token })));
        }
        Ok(Reply::text(token))
    }

    pub(super) fn check(&self, call: &Call, now: Duration, hosts: &Hosts, config: &Config) -> Result<(), Rejection> {
        let invalid = || Rejection::new(StatusCode::UNAUTHORIZED, "390303", "Invalid OAuth access token.");
        let known = call.bearer().and_then(|token| self.issued.get(token));
        let token = known.filter(|token| token.expires > now).ok_or_else(invalid)?;
        if call.token_type.as_deref().is_some_and(|kind| kind != "OAUTH") {
            return Err(invalid());
        }
        if token.is_forbidden {
            return Err(Rejection::new(StatusCode::FORBIDDEN, "FORBIDDEN", "The token lacks a privilege."));
        }
        if token.host != dashed(name(&hosts.ingest_host(call, config))) {
            return Err(invalid());
        }
        if token.generation != hosts.generation {
            return Err(failed_over(config));
        }
        Ok(())
    }
}

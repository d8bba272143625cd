//! The two hosts and their credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use pipewright::Seed;
use serde_json::{Value, json};

use super::errors::{Answer, Refusal, Reply};
use super::request::Call;
use super::{Account, FailedOver};

/// The longest life of a key-pair JWT, whatever it says itself.
const LONGEST_JWT: Duration = Duration::from_secs(3600);
/// By how much the clocks of client and service may differ.
const SKEW: Duration = Duration::from_secs(60);

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
}

impl Account {
    /// Whether a request may be for the account host.
    pub(super) fn is_account(&self, call: &Call) -> bool {
        match &call.host {
            Some(host) => !self.config.ingest_hosts.iter().any(|ingest| dashed(ingest) == dashed(name(host))),
            None => true,
        }
    }

    pub(super) fn hostname(&self, call: &Call) -> Answer {
        self.check_credential(call)?;
        let host = self.ingest_host(call);
        if self.config.json_answers {
            return Ok(Reply::json(json!({ "hostname": host })));
        }
        Ok(Reply::text(host))
    }

    pub(super) fn exchange_token(&mut self, call: &Call) -> Answer {
        self.check_credential(call)?;
        let form = call.form().ok_or(Refusal::Grant("invalid_request"))?;
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
            return Err(Refusal::Grant("invalid_grant"));
        }
        let mut scope = field("scope").unwrap_or_default().split(' ');
        let host = dashed(name(scope.next().unwrap_or_default()));
        let role = scope.next();
        let is_role = role.is_none_or(|role| role.starts_with("session:role:") && role.len() > "session:role:".len());
        if host != dashed(name(&self.ingest_host(call))) || !is_role || scope.next().is_some() {
            return Err(Refusal::Grant("invalid_scope"));
        }
        let expires = self.now.saturating_add(self.config.token_life);
        let scoped = Scoped { expires, host, generation: self.generation, is_forbidden: false };
        let token = self.tokens.issue(self.now, scoped);
        if self.config.json_answers {
            return Ok(Reply::json(json!({ "token": token })));
        }
        Ok(Reply::text(token))
    }

    /// What the account host takes: a key-pair JWT with the right claims, or any other token.
    pub(super) fn check_credential(&self, call: &Call) -> Result<(), Refusal> {
        let invalid = || Refusal::new(StatusCode::UNAUTHORIZED, "390144", "JWT token is invalid.");
        let token = call.bearer().ok_or_else(invalid)?;
        if self.config.credential.as_deref().is_some_and(|credential| credential != token) {
            return Err(invalid());
        }
        let is_jwt = match call.token_type.as_deref() {
            Some("KEYPAIR_JWT") => true,
            None => token.split('.').count() == 3,
            Some("OAUTH" | "PROGRAMMATIC_ACCESS_TOKEN") => false,
            Some(_) => return Err(invalid()),
        };
        if is_jwt && !self.is_good_jwt(token) {
            return Err(invalid());
        }
        Ok(())
    }

    fn is_good_jwt(&self, token: &str) -> bool {
        let parts: Vec<&str> = token.split('.').collect();
        let [head, claims, _signature] = parts.as_slice() else { return false };
        let (Some(head), Some(claims)) = (decoded(head), decoded(claims)) else { return false };
        let text = |key: &str| claims[key].as_str().unwrap_or_default();
        let (iss, subject) = (text("iss"), text("sub"));
        let Some(fingerprint) = iss.strip_prefix(subject).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        // A user's name may have dots, and an account's has none here.
        let account = subject.split('.').next().unwrap_or_default();
        let (Some(issued), Some(expires)) = (time(&claims["iat"]), time(&claims["exp"])) else { return false };
        let expected = |wanted: &Option<String>, got: &str| wanted.as_ref().is_none_or(|wanted| wanted == got);
        head["alg"] == "RS256"
            && subject.contains('.')
            && subject == subject.to_uppercase()
            && fingerprint.starts_with("SHA256:")
            && expected(&self.config.account, account)
            && expected(&self.config.public_key_fp, fingerprint)
            && issued <= self.now + SKEW
            && expires.min(issued + LONGEST_JWT) > self.now
    }

    pub(super) fn check_ingest_host(&self, call: &Call) -> Result<(), Refusal> {
        let hosts = &self.config.ingest_hosts;
        if let Some(host) = call.host.as_deref().map(|host| dashed(name(host))).filter(|_| !hosts.is_empty()) {
            if !hosts.iter().any(|ingest| dashed(ingest) == host) {
                return Err(super::no_route());
            }
            if host != dashed(&self.ingest_host(call)) {
                return Err(self.failed_over());
            }
        }
        if self.now < self.failing_over {
            return Err(self.failed_over());
        }
        Ok(())
    }

    fn failed_over(&self) -> Refusal {
        match self.config.failed_over {
            FailedOver::Coded => Refusal::new(StatusCode::GONE, "ERR_PIPE_FAILED_OVER", "The pipe has failed over."),
            FailedOver::Bare => Refusal::Edge(StatusCode::GONE),
        }
    }

    pub(super) fn check_scoped_token(&self, call: &Call) -> Result<(), Refusal> {
        let invalid = || Refusal::new(StatusCode::UNAUTHORIZED, "390303", "Invalid OAuth access token.");
        let known = call.bearer().and_then(|token| self.tokens.issued.get(token));
        let token = known.filter(|token| token.expires > self.now).ok_or_else(invalid)?;
        if call.token_type.as_deref().is_some_and(|kind| kind != "OAUTH") {
            return Err(invalid());
        }
        if token.is_forbidden {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "FORBIDDEN", "The token lacks a privilege."));
        }
        if token.host != dashed(name(&self.ingest_host(call))) {
            return Err(invalid());
        }
        if token.generation != self.generation {
            return Err(self.failed_over());
        }
        Ok(())
    }

    /// The host for the data, as the service names it.
    fn ingest_host(&self, call: &Call) -> String {
        let hosts = &self.config.ingest_hosts;
        let turn = usize::try_from(self.generation).unwrap_or(usize::MAX).checked_rem(hosts.len());
        turn.and_then(|turn| hosts.get(turn)).or(call.host.as_ref()).cloned().unwrap_or_else(|| "localhost".into())
    }
}

/// The host of a `Host`, without its port.
fn name(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// A host as it is compared.
pub(crate) fn dashed(host: &str) -> String {
    host.replace('_', "-").to_ascii_lowercase()
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Seconds or milliseconds.
fn time(value: &Value) -> Option<Duration> {
    let number = value.as_u64()?;
    Some(if number > 100_000_000_000 { Duration::from_millis(number) } else { Duration::from_secs(number) })
}

//! What the account host takes after `Bearer`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::Value;

use super::config::Config;
use super::errors::Rejection;
use super::request::Call;

/// The longest life of a key-pair JWT, whatever it says itself.
const LONGEST_JWT: Duration = Duration::from_secs(3600);
/// By how much the clocks of client and service may differ.
const SKEW: Duration = Duration::from_secs(60);

/// Accepts a key-pair JWT with the right claims, or any other token.
pub(super) fn check_credential(call: &Call, now: Duration, config: &Config) -> Result<(), Rejection> {
    let invalid = || Rejection::new(StatusCode::UNAUTHORIZED, "390144", "JWT token is invalid.");
    let token = call.bearer().ok_or_else(invalid)?;
    if config.credential.as_deref().is_some_and(|credential| credential != token) {
        return Err(invalid());
    }
    let is_jwt = match call.token_type.as_deref() {
        Some("KEYPAIR_JWT") => true,
        None => token.split('.').count() == 3,
        Some("OAUTH" | "PROGRAMMATIC_ACCESS_TOKEN") => false,
        Some(_) => return Err(invalid()),
    };
    if is_jwt && !is_good_jwt(token, now, config) {
        return Err(invalid());
    }
    Ok(())
}

fn is_good_jwt(token: &str, now: Duration, config: &Config) -> bool {
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
        && expected(&config.account, account)
        && expected(&config.public_key_fp, fingerprint)
        && issued <= now + SKEW
        && expires.min(issued + LONGEST_JWT) > now
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Seconds or milliseconds.
fn time(value: &Value) -> Option<Duration> {
    let number = value.as_u64()?;
    Some(if number > 100_000_000_000 { Duration::from_millis(number) } else { Duration::from_secs(number) })
}

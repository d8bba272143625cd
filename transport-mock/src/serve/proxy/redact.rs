//! What a recording must not hold: credentials in headers, addresses and bodies.

use serde_json::Value;

/// Stands in a recording for what is left out.
pub(super) const REDACTED: &str = "REDACTED";

/// Parts of the names of headers, parameters and fields whose values are secrets.
const SECRETS: [&str; 22] = [
    "authorization",
    "cookie",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "api_key",
    "apikey",
    "private_key",
    "encryption_key",
    "master_key",
    "access_key",
    "access_token",
    "refresh_token",
    "id_token",
    "subject_token",
    "session_token",
    "auth_token",
    "sas_token",
    "assertion",
    "signature",
];

/// Paths whose requests and answers are tokens as a whole.
const TOKEN_PATHS: [&str; 3] = ["/oauth/token", "/oauth/token-request", "/session/v1/login-request"];

/// Whether a header, parameter or field of this name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    // Such as `x-snowflake-authorization-token-type` and `subject_token_type`.
    !name.ends_with("_type") && SECRETS.iter().any(|secret| name.contains(secret))
}

/// Whether bodies at this path are secret as a whole.
pub(super) fn is_secret_path(path: &str) -> bool {
    TOKEN_PATHS.iter().any(|secret| path.trim_end_matches('/').ends_with(secret))
}

/// An address without the secrets among its parameters.
pub(super) fn address(text: &str) -> String {
    match text.split_once('?') {
        Some((path, query)) => format!("{path}?{}", parameters(query)),
        None => text.to_owned(),
    }
}

/// Parameters of an address, or the fields of a form, without secrets.
pub(super) fn parameters(text: &str) -> String {
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// A text of JSON without the secrets in its fields, or in those of its lines. Any other text, and JSON without
/// secrets, stays as it is.
pub(super) fn json(text: &str) -> String {
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        return if hide(&mut value) { value.to_string() } else { text.to_owned() };
    }
    text.split_inclusive('\n').map(json_line).collect()
}

/// A line that is cut off or spoilt is left out if it may hold a secret.
fn json_line(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(mut value) => {
            if hide(&mut value) {
                return format!("{value}\n");
            }
        }
        Err(_) if line.trim_start().starts_with(['{', '[', '"']) && is_secret(line) => return format!("{REDACTED}\n"),
        Err(_) => {}
    }
    line.to_owned()
}

/// Whether there was something to hide.
fn hide(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Array(items) => {
            for item in items {
                found |= hide(item);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_secret(name) && value.is_string() {
                    *value = REDACTED.into();
                    found = true;
                }
                found |= hide(value);
            }
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in
            ["Authorization", "proxy-authorization", "Set-Cookie", "X-API-Key", "client_secret", "subject_token"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["token", "continuationToken", "primary_key", "x-snowflake-authorization-token-type", "Accept"] {
            assert!(!is_secret(name), "{name}");
        }
        assert!(is_secret_path("/oauth/token") && is_secret_path("/base/oauth/token/") && !is_secret_path("/tokens"));
    }

    #[test]
    fn only_secrets_are_left_out() {
        assert_eq!(address("/a?token=t&api_key=k&b"), "/a?token=t&api_key=REDACTED&b");
        assert_eq!(address("/a"), "/a");
        let plain = r#"{ "b": 1.10, "a": "x" }"#;
        assert_eq!(json(plain), plain);
        assert_eq!(
            json(r#"[{"name":"n","api_key":"k"},{"x":{"Password":"p"}}]"#),
            r#"[{"api_key":"REDACTED","name":"n"},{"x":{"Password":"REDACTED"}}]"#
        );
        assert_eq!(json("{\"secret\":\"s\"}\n{\"a\":1}\nx\n"), "{\"secret\":\"REDACTED\"}\n{\"a\":1}\nx\n");
        assert_eq!(json(r#"{"api_key":"k","na"#), "REDACTED\n");
        assert_eq!(json(r#"{"name":"k","na"#), r#"{"name":"k","na"#);
    }
}

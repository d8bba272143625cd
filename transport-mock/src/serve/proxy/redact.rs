//! What a recording must not hold: credentials in headers, addresses and bodies.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Stands in a recording for what is left out.
pub(super) const REDACTED: &str = "REDACTED";

/// Parts of the names of headers, parameters and fields whose values are secrets, as [`plain`] writes them.
const SECRETS: [&str; 37] = [
    "authorization",
    "cookie",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "apikey",
    "privatekey",
    "encryptionkey",
    "masterkey",
    "accesskey",
    "accountkey",
    "servicekey",
    "sslkey",
    "pipekey",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "subjecttoken",
    "sessiontoken",
    "securitytoken",
    "mastertoken",
    "privatetoken",
    "bearertoken",
    "authtoken",
    "awstoken",
    "sastoken",
    "clienttoken",
    "usertoken",
    "authparams",
    "basicauth",
    "jaasconfig",
    "assertion",
    "signature",
    "connectionstring",
    "xvaulttoken",
];

/// Paths whose requests and answers are tokens as a whole.
const TOKEN_PATHS: [&str; 3] = ["/oauth/token", "/oauth/token-request", "/session/v1/login-request"];

/// A name without what its writers disagree on: `api_key`, `API-Key` and `apiKey` are the same.
fn plain(name: &str) -> String {
    let ignored = |char: char| matches!(char, '_' | '-' | '.' | '\u{FFFD}') || char.is_control();
    name.chars().filter(|char| !ignored(*char)).map(|char| char.to_ascii_lowercase()).collect()
}

/// Whether every header, parameter or field of this name is a secret, whatever its value.
pub(super) fn is_secret(name: &str) -> bool {
    let name = plain(name);
    // Such as `x-snowflake-authorization-token-type` and `subject_token_type`.
    !name.ends_with("type") && SECRETS.iter().any(|secret| name.contains(secret))
}

/// Whether a value under this name is a secret. A `token` is one unless it is Feldera's completion token, which is only
/// a position and which a replay needs.
pub(super) fn hides(name: &str, value: &str) -> bool {
    is_secret(name) || (plain(name) == "token" && !is_completion_token(value))
}

/// Whether this is the Base64 of an object with an incarnation and a position, as Feldera writes it.
fn is_completion_token(text: &str) -> bool {
    let text: String = percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text = text.trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text));
    let value: Option<Value> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    value.is_some_and(|value| {
        let is_known = |name: &String| matches!(name.as_str(), "u" | "e" | "c");
        value.as_object().is_some_and(|fields| fields.contains_key("c") && fields.keys().all(is_known))
    })
}

/// Whether bodies at this path are secret as a whole.
pub(super) fn is_secret_path(path: &str) -> bool {
    TOKEN_PATHS.iter().any(|secret| path.trim_end_matches('/').ends_with(secret))
}

/// The value of a header.
pub(super) fn header(name: &str, value: &str) -> String {
    match name {
        name if hides(name, value) => REDACTED.to_owned(),
        "location" | "referer" => address(value),
        _ => without_jwts(value),
    }
}

/// An address without the secrets among its parameters.
pub(super) fn address(text: &str) -> String {
    match text.split_once('?') {
        Some((path, query)) => without_jwts(&format!("{path}?{}", parameters(query))),
        None => without_jwts(text),
    }
}

/// The value of a parameter whose name may be percent-encoded.
pub(super) fn parameter(name: &str, value: &str) -> String {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let text = percent_decode_str(value).decode_utf8_lossy();
    // Such as an address, JSON, or a setting.
    let holds_secret = text.contains(['=', ':']) && names_secret(&text);
    if hides(&name, value) || holds_secret { REDACTED.to_owned() } else { without_jwts(value) }
}

/// Parameters of an address, or the fields of a form, without secrets.
fn parameters(text: &str) -> String {
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) => format!("{name}={}", parameter(name, value)),
        None => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Whether a text is the fields of a form: it begins with a name and `=`, and holds no white space.
fn is_form(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~%+*[]".contains(&byte);
    let name = text.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_name)) && !text.contains(char::is_whitespace)
}

/// Whether a text holds a secret that a recording leaves out.
pub(super) fn holds_secret(text: &str) -> bool {
    body(text) != text
}

/// The text of a body without secrets: JSON, lines of JSON, server-sent events, or a form. Whatever else names a secret
/// is left out, line by line. A text without secrets stays as it is.
pub(super) fn body(text: &str) -> String {
    // A byte order mark.
    let unmarked = text.trim_start_matches('\u{FEFF}');
    if let Ok(mut value) = serde_json::from_str::<Value>(unmarked) {
        return without_jwts(&if hide(&mut value) { value.to_string() } else { text.to_owned() });
    }
    if is_form(unmarked.trim_end()) {
        return without_jwts(&parameters(text));
    }
    // A document that is cut off or spoilt: a name and its value may be on different lines.
    let first = unmarked.trim_start().lines().next().unwrap_or_default();
    let is_document = first.starts_with(['{', '[']) && serde_json::from_str::<Value>(first).is_err();
    if is_document && names_secret(unmarked) {
        return format!("{REDACTED}\n");
    }
    without_jwts(&text.split_inclusive('\n').map(line).collect::<String>())
}

fn line(text: &str) -> String {
    let trimmed = text.trim_start_matches('\u{FEFF}').trim();
    let (prefix, data) = match trimmed.strip_prefix("data:") {
        Some(data) => ("data: ", data.trim()),
        None => ("", trimmed),
    };
    let mut read = serde_json::from_str::<Value>(data);
    let hidden = read.as_mut().is_ok_and(hide);
    match read {
        Ok(value) if hidden => format!("{prefix}{value}\n"),
        Err(_) if is_form(data) && parameters(data) != data => format!("{prefix}{}\n", parameters(data)),
        Err(_) if names_secret(data) => format!("{REDACTED}\n"),
        _ => text.to_owned(),
    }
}

/// Whether a text that cannot be read names a secret.
fn names_secret(text: &str) -> bool {
    let plain = plain(text);
    SECRETS.iter().any(|secret| plain.contains(secret))
        || plain.match_indices("token").any(|(at, found)| {
            let before = plain.get(..at).and_then(|text| text.chars().next_back());
            let behind = plain.get(at + found.len()..).unwrap_or_default();
            let behind = behind.trim_start_matches(['"', '\'', '\\', ' ']);
            before.is_none_or(|char| !char.is_alphanumeric()) && behind.starts_with([':', '='])
        })
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
            // A setting, such as those of Flink's configuration.
            let named: Vec<String> =
                ["key", "name"].iter().filter_map(|name| fields.get(*name)?.as_str().map(str::to_owned)).collect();
            for (name, value) in fields {
                let is_setting = name == "value" && named.iter().any(|name| hides_value(name, value));
                if is_setting || hides_value(name, value) {
                    found |= *value != REDACTED;
                    *value = REDACTED.into();
                }
                found |= hide(value);
            }
        }
        _ => {}
    }
    found
}

/// Whether a field is a secret. Neither `null` nor a truth value tells one.
fn hides_value(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => hides(name, text),
        // A `token` is a text, but a number can be a credential as well.
        Value::Number(number) => hides(name, &number.to_string()),
        Value::Array(_) | Value::Object(_) => is_secret(name),
    }
}

/// A text without what looks like a JSON Web Token, whatever its name.
fn without_jwts(text: &str) -> String {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let (mut clean, mut rest) = (String::new(), text);
    while let Some((before, found)) = rest.find("eyJ").and_then(|at| rest.split_at_checked(at)) {
        let head = found.bytes().take_while(is_part).count();
        let is_jwt = found.as_bytes().get(head) == Some(&b'.') && found.as_bytes().get(head + 1).is_some_and(is_part);
        let length =
            if is_jwt { found.bytes().take_while(|byte| is_part(byte) || *byte == b'.').count() } else { head };
        let (token, behind) = found.split_at_checked(length).unwrap_or((found, ""));
        clean.push_str(before);
        clean.push_str(if is_jwt { REDACTED } else { token });
        rest = behind;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETION: &str = "eyJ1IjoiMDFhMjAwNDYtYTIyYi03MzcyLTgyNTctMTgzZDc1NjM1YTdiIiwiZSI6MCwiYyI6NX0";
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.aHVudGVyMg";

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Set-Cookie",
            "X-API-Key",
            "client_secret",
            "subject_token",
            "pipe_key",
            "AWS_TOKEN",
            "fs.azure.account.key.store.dfs.core.windows.net",
            "ssl.key.pem",
            "sasl.jaas.config",
            "service-key",
            "auth-params",
            "basic-auth",
            "accessToken",
            "refreshToken",
            "privateKey",
            "sessionToken",
            "masterToken",
            "Private-Token",
            "X-Amz-Security-Token",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "continuationToken",
            "continuation_token",
            "offset_token",
            "last_committed_offset_token",
            "nextResultUri",
            "primary_key",
            "x-snowflake-authorization-token-type",
            "Accept",
        ] {
            assert!(!is_secret(name), "{name}");
        }
        assert!(hides("token", "hunter2") && hides("Token", JWT) && !hides("token", COMPLETION));
        assert!(is_secret_path("/oauth/token") && is_secret_path("/base/oauth/token/") && !is_secret_path("/tokens"));
    }

    #[test]
    fn only_secrets_are_left_out() {
        assert_eq!(
            address(&format!("/a?token={COMPLETION}&api%5Fkey=k&b")),
            format!("/a?token={COMPLETION}&api%5Fkey=REDACTED&b")
        );
        assert_eq!(address("/a?token=k"), "/a?token=REDACTED");
        assert_eq!(address("/a"), "/a");
        assert_eq!(header("x", &format!("a {JWT} b")), "a REDACTED b");
        for plain in [
            r#"{ "b": 1.10, "a": "x" }"#,
            &format!(r#"{{ "token": "{COMPLETION}" }}"#),
            r#"{ "secret": null, "has_password": true }"#,
            r#"{"name":"k","na"#,
            "a=b&c",
            "Unauthorized API key\n",
        ] {
            assert_eq!(body(plain), plain);
        }
        for (text, clean) in [
            (
                r#"[{"name":"n","api_key":"k"},{"x":{"Password":"p"}}]"#,
                r#"[{"api_key":"REDACTED","name":"n"},{"x":{"Password":"REDACTED"}}]"#,
            ),
            (
                r#"{"pin":{"secret":[1,"hunter2"]},"password":1234,"credentials":{"user":"hunter2"}}"#,
                r#"{"credentials":"REDACTED","password":"REDACTED","pin":{"secret":"REDACTED"}}"#,
            ),
            (
                r#"[{"key":"s3.secret-key","value":"hunter2"},{"name":"token","value":7},{"key":"a","value":"b"}]"#,
                r#"[{"key":"s3.secret-key","value":"REDACTED"},{"name":"token","value":"REDACTED"},{"key":"a","value":"b"}]"#,
            ),
            ("{\"secret\":\"s\"}\n{\"a\":1}\nx\n", "{\"secret\":\"REDACTED\"}\n{\"a\":1}\nx\n"),
            ("\u{FEFF}{\"secret\":\"s\"}", "{\"secret\":\"REDACTED\"}"),
            (r#"{"api_key":"k","na"#, "REDACTED\n"),
            ("{\"a\": 1,\n\"secret\":\n\"hunter2\",\n", "REDACTED\n"),
            ("event: a\ndata: {\"password\":\"hunter2\"}\n\n", "event: a\ndata: {\"password\":\"REDACTED\"}\n\n"),
            ("data: {\"password\":\"hunter2\n", "REDACTED\n"),
            ("password = hunter2\nuser = a\n", "REDACTED\nuser = a\n"),
            ("token: hunter2\n", "REDACTED\n"),
            ("p\0a\0s\0s\0w\0o\0r\0d\0: hunter2", "REDACTED\n"),
            ("a=b,password=hunter2", "a=REDACTED"),
            ("a=b&client%5Fsecret=hunter2", "a=b&client%5Fsecret=REDACTED"),
        ] {
            assert_eq!(body(text), clean, "{text}");
        }
        assert_eq!(body(&format!("a {JWT}, b")), "a REDACTED, b");
        assert_eq!(body(&format!(r#"{{"x":"{JWT}"}}"#)), r#"{"x":"REDACTED"}"#);
    }
}

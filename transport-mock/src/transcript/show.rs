//! How the parts of a message are shown.

use http::{HeaderMap, Request, Uri, header};
use pipewright::{Body, Segment};
use serde_json::Value;

use super::WIDTH;
use super::names::{Names, kind_of};

/// What a message says about itself, and not to us.
const NOISE: [http::HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONNECTION,
    header::DATE,
    header::HOST,
    header::SERVER,
    header::TRANSFER_ENCODING,
    header::VARY,
];

/// Of what is long, this much is shown.
const TEXT: usize = 72;
const ITEMS: usize = 3;
const FIELDS: usize = 16;
const LINES: usize = 12;
const DEPTH: usize = 4;

/// The address of a request. Its template tells what the ids in it are of.
pub(super) fn target(names: &mut Names, uri: &Uri, template: &str) -> String {
    let segments: Vec<_> = uri.path().split('/').collect();
    let templates: Vec<_> = template.split('/').collect();
    // The template is the end of the path.
    let before = segments.len().saturating_sub(templates.len().saturating_sub(1));
    let path: Vec<_> = segments
        .iter()
        .enumerate()
        .map(|(at, segment)| {
            let template = (at + 1).checked_sub(before).and_then(|at| templates.get(at)).copied().unwrap_or_default();
            let parameter = template.strip_prefix('{').and_then(|rest| rest.split('}').next());
            names.rename(segment, &parameter.map_or("id".to_owned(), kind_of))
        })
        .collect();
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let place = names.rename(&format!("{scheme}://{authority}"), "id");
    let query = uri.query().map_or(String::new(), |query| {
        let pairs: Vec<_> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{name}=…"),
                Some((name, value)) => format!("{name}={}", names.rename(value, &kind_of(name))),
                None => names.rename(pair, "id"),
            })
            .collect();
        format!("?{}", pairs.join("&"))
    });
    format!("{place}{}{query}", path.join("/"))
}

pub(super) fn headers(names: &mut Names, headers: &HeaderMap) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let shown = if value.is_sensitive() || is_secret(name.as_str()) || is_credential(name) {
            "…".to_owned()
        } else {
            cut(&names.rename(&text, "id"), TEXT)
        };
        if !NOISE.contains(name) && !name.as_str().starts_with("access-control-") {
            lines.push(format!("{name}: {shown}"));
        }
    }
    lines
}

/// The body of a request; sources are not opened for it.
pub(super) fn request_body(names: &mut Names, request: &Request<Body>) -> Vec<String> {
    let body = request.body();
    let in_memory = body.segments().iter().all(|segment| matches!(segment, Segment::Bytes(_)));
    let kind = content_type(request.headers());
    match body.read() {
        Ok(bytes) if in_memory && kind.is_none_or(|kind| !kind.starts_with("multipart/")) => {
            self::body(names, kind, &bytes)
        }
        _ => vec![size(body.len(), kind)],
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

pub(super) fn body(names: &mut Names, kind: Option<&str>, bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    if kind.is_none_or(|kind| kind.contains("json"))
        && let Ok(value) = serde_json::from_slice(bytes)
    {
        let mut lines = json_lines(names, &value);
        if let Some(kind) = kind.map(media_type).filter(|kind| *kind != "application/json") {
            lines.insert(0, format!("{kind}:"));
        }
        return lines;
    }
    let size = size(bytes.len() as u64, kind);
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let line = names.rename(text.lines().next().unwrap_or_default(), "id");
            vec![format!("{size}: {}", cut(&line.escape_debug().to_string(), TEXT))]
        }
        Err(_) => vec![size],
    }
}

fn size(bytes: u64, kind: Option<&str>) -> String {
    let kind = kind.map_or(String::new(), |kind| format!(" of {}", media_type(kind)));
    format!("{bytes} bytes{kind}")
}

/// Parameters are boundaries and character sets.
fn media_type(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// In one line where it fits, otherwise with a line for each field or item.
fn json_lines(names: &mut Names, value: &Value) -> Vec<String> {
    let line = json(names, value, "", 0);
    if line.chars().count() <= WIDTH {
        return vec![line];
    }
    let (open, parts, close) = match value {
        Value::Object(_) => ("{", fields(names, value, 0), "}"),
        Value::Array(items) => ("[", listed(names, items, "", 0), "]"),
        _ => return vec![cut(&line, WIDTH)],
    };
    let more = parts.len().saturating_sub(LINES);
    let mut lines = vec![open.to_owned()];
    lines.extend(parts.iter().take(LINES).map(|part| format!("  {}", cut(part, WIDTH))));
    if more > 0 {
        lines.push(format!("  … {more} more"));
    }
    lines.push(close.to_owned());
    lines
}

fn json(names: &mut Names, value: &Value, field: &str, depth: usize) -> String {
    match value {
        _ if is_secret(field) && !value.is_null() => "…".to_owned(),
        Value::String(text) => {
            let text = cut(&names.rename(text, &kind_of(field)), TEXT);
            serde_json::to_string(&text).unwrap_or(text)
        }
        Value::Number(number) => {
            number.as_u64().and_then(|millis| names.moment(millis)).unwrap_or_else(|| number.to_string())
        }
        Value::Array(items) if depth >= DEPTH && !items.is_empty() => "[…]".to_owned(),
        Value::Object(fields) if depth >= DEPTH && !fields.is_empty() => "{…}".to_owned(),
        Value::Array(items) => format!("[{}]", listed(names, items, field, depth).join(",")),
        Value::Object(_) => format!("{{{}}}", fields(names, value, depth).join(",")),
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

fn listed(names: &mut Names, items: &[Value], field: &str, depth: usize) -> Vec<String> {
    let mut parts: Vec<_> = items.iter().take(ITEMS).map(|item| json(names, item, field, depth + 1)).collect();
    if items.len() > ITEMS {
        parts.push(format!("… {} more", items.len() - ITEMS));
    }
    parts
}

fn fields(names: &mut Names, value: &Value, depth: usize) -> Vec<String> {
    let mut entries: Vec<_> = value.as_object().into_iter().flatten().collect();
    // Another crate of the program may have asked serde_json to keep the order.
    entries.sort_by_key(|(field, _)| *field);
    let more = entries.len().saturating_sub(FIELDS);
    let mut parts: Vec<_> = entries
        .into_iter()
        .take(FIELDS)
        .map(|(field, value)| {
            // Flink has ids for keys too.
            let shown = json(names, &Value::String(field.clone()), "", depth);
            format!("{shown}:{}", json(names, value, field, depth + 1))
        })
        .collect();
    if more > 0 {
        parts.push(format!("… {more} more"));
    }
    parts
}

/// At most so many characters, with a mark where something is left out.
pub(super) fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn is_credential(name: &http::HeaderName) -> bool {
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE].contains(name)
}

/// Whether a field, parameter or header has the name of a secret.
fn is_secret(name: &str) -> bool {
    let mut name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    name.make_ascii_lowercase();
    let words = ["password", "passwd", "secret", "credential", "apikey", "accesstoken", "authtoken", "privatekey"];
    name == "token" || words.iter().any(|word| name.contains(word))
}

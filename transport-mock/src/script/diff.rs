//! A readable diff between an expected and an actual exchange.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pipewright::flow::Exchange;
use serde_json::Value;

use super::expectation::{Expected, ExpectedBody};

/// How much of a body is compared line by line, how much is shown, and how much of a line.
const COMPARED: usize = 1000;
const LINES: usize = 60;
const WIDTH: usize = 160;

/// An actual exchange.
pub(super) struct Seen {
    method: String,
    uri: String,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    pub(super) fn new(exchange: &Exchange) -> Self {
        let request = exchange.request();
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Self {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            target: target.to_owned(),
            headers: request.headers().clone(),
            body: request.body().read().unwrap_or_else(|error| format!("(unreadable: {error})").into()),
        }
    }

    /// The target in the form that an expectation has.
    fn target(&self, expected: &str) -> &str {
        if expected.starts_with('/') { &self.target } else { &self.uri }
    }
}

/// Returns the expectation if the exchange is as expected, or a message with a diff.
pub(super) fn check(expected: Option<Expected>, seen: &Seen) -> Result<Expected, String> {
    let Some(expected) = expected else {
        let lines = got_lines(&seen.uri, seen, None);
        return Err(format!("nothing more was expected, and this came:\n\n{}", mark(&[], &lines)));
    };
    let same_line = expected.method == seen.method && expected.target == seen.target(&expected.target);
    let same_headers = expected.headers.iter().all(|(name, value)| has(&seen.headers, name, value));
    let same_body = expected.body.as_ref().is_none_or(|body| body.equals(&seen.body));
    if same_line && same_headers && same_body {
        return Ok(expected);
    }
    let got = got_lines(seen.target(&expected.target), seen, expected.body.as_ref());
    let wanted = expected_lines(&expected, seen);
    Err(format!("not what was expected (- expected, + came):\n\n{}", mark(&wanted, &got)))
}

impl ExpectedBody {
    fn equals(&self, body: &Bytes) -> bool {
        match self {
            Self::Bytes(bytes) => bytes == body,
            Self::Json(json) => serde_json::from_slice::<Value>(body).is_ok_and(|value| value == *json),
        }
    }
}

fn has(headers: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> bool {
    headers.get_all(name).iter().any(|got| got == value)
}

/// Returns the lines of the actual exchange.
fn got_lines(target: &str, seen: &Seen, expected: Option<&ExpectedBody>) -> Vec<String> {
    let mut lines = vec![format!("{} {target}", seen.method)];
    lines.extend(seen.headers.iter().map(|(name, value)| header_line(name, value, "as it came")));
    lines.extend(body_lines(&seen.body, expected));
    lines
}

/// Returns the lines of the expected exchange. What it does not specify is taken from the actual exchange.
fn expected_lines(expected: &Expected, seen: &Seen) -> Vec<String> {
    let mut lines = vec![format!("{} {}", expected.method, expected.target)];
    let mut missing: Vec<_> =
        expected.headers.iter().filter(|(name, value)| !has(&seen.headers, name, value)).collect();
    for (name, value) in &seen.headers {
        // A missing value takes the place of another one of the same name.
        match missing.iter().position(|(other, _)| other == name) {
            Some(at) => {
                let (name, value) = missing.remove(at);
                lines.push(header_line(name, value, "another value"));
            }
            None => lines.push(header_line(name, value, "as it came")),
        }
    }
    lines.extend(missing.into_iter().map(|(name, value)| header_line(name, value, "another value")));
    lines.extend(match &expected.body {
        None => body_lines(&seen.body, None),
        Some(ExpectedBody::Bytes(bytes)) => body_lines(bytes, None),
        Some(ExpectedBody::Json(json)) => json_lines(json),
    });
    lines
}

/// Returns the line of a header. If the value may be a secret, `instead` replaces it.
fn header_line(name: &HeaderName, value: &HeaderValue, instead: &str) -> String {
    let secret =
        value.is_sensitive() || [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE].contains(name);
    if secret {
        return format!("{name}: … ({instead})");
    }
    cut(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
}

fn body_lines(body: &Bytes, expected: Option<&ExpectedBody>) -> Vec<String> {
    if body.is_empty() {
        return Vec::new();
    }
    if let Ok(json) = serde_json::from_slice(body) {
        return json_lines(&json);
    }
    if let Ok(text) = std::str::from_utf8(body) {
        return text_lines(text);
    }
    let differs = match expected {
        Some(ExpectedBody::Bytes(other)) => other.iter().zip(body).position(|(one, two)| one != two),
        _ => None,
    };
    let differs = differs.map(|at| format!(", the first difference at {at}")).unwrap_or_default();
    vec![format!("({} bytes that are no text{differs})", body.len())]
}

fn json_lines(json: &Value) -> Vec<String> {
    text_lines(&format!("{json:#}"))
}

fn text_lines(text: &str) -> Vec<String> {
    text.lines().take(COMPARED).map(cut).collect()
}

fn cut(line: &str) -> String {
    let mut short: String = line.chars().take(WIDTH).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// A diff by the longest common subsequence of lines.
fn mark(expected: &[String], got: &[String]) -> String {
    let common = common_lengths(expected, got);
    let (mut one, mut two, mut lines) = (0, 0, Vec::new());
    while one < expected.len() || two < got.len() {
        if one < expected.len() && two < got.len() && expected[one] == got[two] {
            lines.push(format!("    {}", expected[one]));
            (one, two) = (one + 1, two + 1);
        } else if two == got.len() || one < expected.len() && common[one + 1][two] >= common[one][two + 1] {
            lines.push(format!("  - {}", expected[one]));
            one += 1;
        } else {
            lines.push(format!("  + {}", got[two]));
            two += 1;
        }
    }
    shorten(lines)
}

/// Returns, for each pair of positions, the length of the longest common subsequence of the rest.
fn common_lengths(expected: &[String], got: &[String]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; got.len() + 1]; expected.len() + 1];
    for one in (0..expected.len()).rev() {
        for two in (0..got.len()).rev() {
            common[one][two] = if expected[one] == got[two] {
                common[one + 1][two + 1] + 1
            } else {
                common[one + 1][two].max(common[one][two + 1])
            };
        }
    }
    common
}

/// Removes lines if there are too many: equal lines first.
fn shorten(lines: Vec<String>) -> String {
    let total = lines.len();
    let mut shown: Vec<String> = Vec::new();
    for line in lines {
        let room = if line.starts_with("    ") && total > LINES { LINES / 2 } else { LINES };
        if shown.len() < room {
            shown.push(line);
        }
    }
    if shown.len() < total {
        shown.push(format!("    … and {} lines that are not shown", total - shown.len()));
    }
    shown.join("\n")
}

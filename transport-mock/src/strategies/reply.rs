//! Responses with mutations.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use pipewright::error::{Delivery, TransportError, TransportErrorKind as Kind};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use serde_json::Value;

/// Responses of Flink, without mutations.
const FLINK: [&str; 8] = [
    "{}",
    r#"{"status":"RUNNING"}"#,
    r#"{"request-id":"4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f"}"#,
    r#"{"status":{"id":"COMPLETED"},"operation":{"location":"s3://savepoints/savepoint-4c7e6f-9b8c7d6e5f4a"}}"#,
    r#"{"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"class":"java.lang.Exception","stack-trace":"at x"}}}"#,
    r#"{"errors":["Job could not be found.","<Exception on server side:\njava.lang.Exception\n"]}"#,
    r#"{"filename":"/tmp/flink-web/1b4e28ba-2fa1-41d2-883f-0016d3cca427_a.jar","status":"success"}"#,
    r#"{"jobs":[{"jid":"4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f","name":"a","state":"RUNNING","start-time":1767225600000,"end-time":-1,"duration":7,"last-modification":1767225600001,"tasks":{"total":1,"running":1}}]}"#,
];

/// Generates results of an exchange as [`reply_like`] does, from responses of Flink.
pub fn reply() -> impl Strategy<Value = Result<Response<Bytes>, TransportError>> {
    reply_like(FLINK)
}

/// Generates results of an exchange: a transport error, or a response with any status, media type and `Retry-After`.
///
/// The body of the response is one of these:
///
/// * one of `bodies`, which are JSON;
/// * one of `bodies` with parts removed, replaced, very long or deeply nested;
/// * one of `bodies`, cut off or with bytes overwritten;
/// * a page of a proxy, or bytes that are not text.
///
/// It shrinks to the first body with status 200.
pub fn reply_like<B: Into<String>>(
    bodies: impl IntoIterator<Item = B>,
) -> impl Strategy<Value = Result<Response<Bytes>, TransportError>> {
    prop_oneof![
        5 => response(bodies.into_iter().map(Into::into).collect()).prop_map(Ok),
        1 => error().prop_map(Err),
    ]
}

fn response(bodies: Vec<String>) -> impl Strategy<Value = Response<Bytes>> {
    let status = select(vec![200, 202, 404, 400, 401, 403, 409, 429, 500, 503, 502, 504, 201, 204, 302, 418, 599]);
    let kinds = [
        Some("application/json"),
        None,
        Some("application/json; charset=UTF-8"),
        Some("application/problem+json"),
        Some("text/html"),
        Some("text/plain; charset=iso-8859-1"),
        Some("application/octet-stream"),
        Some("json"),
        Some(";;"),
        Some(""),
    ];
    let parts = (body(bodies), status, select(kinds.to_vec()), option::weighted(0.3, retry_after()));
    parts.prop_map(|(body, status, kind, retry_after)| {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        let headers = [(header::CONTENT_TYPE, kind), (header::RETRY_AFTER, retry_after)];
        for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    })
}

fn retry_after() -> impl Strategy<Value = &'static str> {
    select(vec![
        "1",
        "0",
        "120",
        "007",
        "86400",
        "18446744073709551616",
        "-1",
        "1.5",
        "soon",
        "",
        "Thu, 01 Jan 2026 00:00:05 GMT",
        "Thursday, 01-Jan-26 00:00:05 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 32 Foo 2026 25:00:00 CET",
    ])
}

fn error() -> impl Strategy<Value = TransportError> {
    let kinds = vec![
        Kind::Connect,
        Kind::Resolve,
        Kind::Tls,
        Kind::Closed,
        Kind::Timeout,
        Kind::Protocol,
        Kind::TooLarge,
        Kind::Source,
        Kind::Other,
        Kind::Unsupported,
    ];
    let delivery = select(vec![Delivery::NotSent, Delivery::Unknown]);
    (select(kinds), delivery, option::of(select(vec![200, 500]))).prop_map(|(kind, delivery, status)| {
        let error = TransportError::new(kind, delivery, "made up");
        let status =
            status.filter(|_| delivery == Delivery::Unknown).and_then(|status| StatusCode::from_u16(status).ok());
        match status {
            Some(status) => error.with_status(status),
            None => error,
        }
    })
}

fn body(bodies: Vec<String>) -> impl Strategy<Value = Bytes> {
    let mutated =
        (select(bodies), vec(mutation(), 0..4), vec(damage(), 0..2)).prop_map(|(body, mutations, damages)| {
            let body = mutations.into_iter().fold(body, mutate);
            Bytes::from(damages.into_iter().fold(body.into_bytes(), spoil))
        });
    let foreign = select(vec![
        "",
        "null",
        "[]",
        "OK",
        "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
        "<html><body>Sign in</body></html>",
        "\u{feff}{}",
        "{}{}",
    ]);
    prop_oneof![
        6 => mutated,
        2 => foreign.prop_map(|text| Bytes::from_static(text.as_bytes())),
        1 => vec(any::<u8>(), 0..64).prop_map(Bytes::from),
    ]
}

/// A mutation of a part of a body.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Removes the field or item.
    Missing,
    /// Replaces it with this JSON text.
    Becomes(&'static str),
    /// Nests it in this many lists.
    Nested(usize),
    /// Replaces it with a string of this length.
    Long(usize),
}

fn mutation() -> impl Strategy<Value = (Index, Change)> {
    let values = select(vec![
        "null",
        "\"\"",
        "0",
        "-1",
        "true",
        "[]",
        "{}",
        "\"UNHEARD_OF\"",
        "1.5",
        "18446744073709551616",
        "-9223372036854775809",
        "1e400",
        "1e-400",
        "\"\\u0000\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"00000000000000000000000000000000\"",
    ]);
    let change = prop_oneof![
        Just(Change::Missing),
        values.prop_map(Change::Becomes),
        (1..5000_usize).prop_map(Change::Nested),
        (1..100_000_usize).prop_map(Change::Long),
    ];
    (any::<Index>(), change)
}

fn mutate(body: String, (index, change): (Index, Change)) -> String {
    // What an earlier mutation broke stays as it is.
    let Ok(mut value) = serde_json::from_str::<Value>(&body) else { return body };
    let mut places = Vec::new();
    collect(&value, &mut String::new(), &mut places);
    let place = index.get(&places).clone();
    let text = match change {
        Change::Missing => {
            remove(&mut value, &place);
            return value.to_string();
        }
        Change::Becomes(text) => text.to_owned(),
        Change::Nested(depth) => {
            let inner = value.pointer(&place).map(ToString::to_string).unwrap_or_default();
            format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth))
        }
        Change::Long(length) => format!("\"{}\"", "x".repeat(length)),
    };
    // Not every text is a value that could be put there.
    let mark = "\u{1}here\u{1}";
    if let Some(found) = value.pointer_mut(&place) {
        *found = mark.into();
    }
    value.to_string().replacen(&Value::from(mark).to_string(), &text, 1)
}

/// Returns the places of all values. The first is the document.
fn collect(value: &Value, at: &mut String, places: &mut Vec<String>) {
    places.push(at.clone());
    let length = at.len();
    let mut inside = |name: &str, value: &Value| {
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        collect(value, at, places);
        at.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| inside(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| inside(&at.to_string(), value)),
        _ => {}
    }
}

fn remove(value: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.remove(&name.replace("~1", "/").replace("~0", "~"))),
        Some(Value::Array(items)) => drop(name.parse().ok().map(|at: usize| items.remove(at))),
        _ => {}
    }
}

/// A mutation of the bytes of a body.
#[derive(Clone, Copy, Debug)]
enum Damage {
    CutAt(Index),
    Overwritten(Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<Index>().prop_map(Damage::CutAt),
        (any::<Index>(), any::<u8>()).prop_map(|(index, byte)| Damage::Overwritten(index, byte)),
    ]
}

fn spoil(mut body: Vec<u8>, damage: Damage) -> Vec<u8> {
    match damage {
        _ if body.is_empty() => {}
        Damage::CutAt(index) => body.truncate(index.index(body.len())),
        Damage::Overwritten(index, byte) => *index.get_mut(&mut body) = byte,
    }
    body
}

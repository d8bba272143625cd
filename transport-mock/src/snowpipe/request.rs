//! A request as the handlers see it: decoded path and query, headers that matter, unpacked body.

use std::io::Read as _;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::errors::Rejection;

/// What an append may have on the wire.
const WIRE_LIMIT: usize = 4_194_304;
/// What it may have when it is unpacked, for the simulator's own good.
const UNPACKED_LIMIT: u64 = 256 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// As it was sent.
    pub(super) path: String,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) accepts: bool,
    pub(super) host: Option<String>,
    bearer: Option<String>,
    pub(super) token_type: Option<String>,
    content_type: String,
    encoding: Option<String>,
    body: Bytes,
}

impl Call {
    pub(super) fn read(request: &http::Request<Bytes>) -> Self {
        let headers = request.headers();
        let authorization = header(headers, &AUTHORIZATION);
        let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: request.method().as_str().to_owned(),
            path: path.to_owned(),
            // A slash in a name is encoded, so pieces come first.
            segments: path.trim_start_matches('/').split('/').map(decode).collect(),
            query: pairs(query).collect(),
            accepts: headers.contains_key(ACCEPT),
            host: header(headers, &HOST).or(host),
            bearer: authorization.and_then(|text| text.strip_prefix("Bearer ").map(str::to_owned)),
            token_type: header(headers, &HeaderName::from_static("x-snowflake-authorization-token-type")),
            content_type: header(headers, &CONTENT_TYPE).unwrap_or_default(),
            encoding: header(headers, &CONTENT_ENCODING),
            body: request.body().clone(),
        }
    }

    /// What follows `Bearer`, if it is anything.
    pub(super) fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref().filter(|token| !token.trim().is_empty())
    }

    /// A query parameter, which may be there and empty.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body of a control call; empty is as good as `{}`.
    pub(super) fn json(&self) -> Result<Value, Rejection> {
        if self.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let value = serde_json::from_slice::<Value>(&self.body);
        value.ok().filter(Value::is_object).ok_or_else(|| Rejection::bad_request("The body is not a JSON object."))
    }

    /// The body of a form.
    pub(super) fn form(&self) -> Option<Vec<(String, String)>> {
        let is_form = self.content_type.split(';').next()?.trim() == "application/x-www-form-urlencoded";
        let text = std::str::from_utf8(&self.body).ok().filter(|_| is_form)?;
        Some(pairs(text).collect())
    }

    /// The rows of an append, unpacked.
    pub(super) fn rows(&self) -> Result<Bytes, Rejection> {
        if self.body.len() > WIRE_LIMIT {
            return Err(Rejection::Edge(StatusCode::PAYLOAD_TOO_LARGE));
        }
        if self.content_type.split(';').next().is_none_or(|kind| kind.trim() != "application/x-ndjson") {
            let message = format!("Content type \"{}\" is not application/x-ndjson.", self.content_type);
            return Err(Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        let unpacked = match self.encoding.as_deref() {
            None | Some("identity") => return Ok(self.body.clone()),
            Some("gzip") => gunzip(&self.body),
            Some("zstd") => unzstd(&self.body),
            Some(other) => Err(format!("content encoding {other} is not known")),
        };
        match unpacked {
            Ok(rows) => Ok(rows.into()),
            Err(error) => Err(Rejection::bad_request(format!("The body cannot be unpacked: {error}."))),
        }
    }
}

fn gunzip(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut rows = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(body).take(UNPACKED_LIMIT + 1).read_to_end(&mut rows);
    read.map_err(|error| error.to_string()).and_then(|_| bounded(rows))
}

/// Any number of frames.
fn unzstd(mut body: &[u8]) -> Result<Vec<u8>, String> {
    let mut rows = Vec::new();
    while !body.is_empty() {
        let left = UNPACKED_LIMIT + 1 - rows.len() as u64;
        let frame = ruzstd::decoding::StreamingDecoder::new(&mut body).map_err(|error| error.to_string())?;
        frame.take(left).read_to_end(&mut rows).map_err(|error| error.to_string())?;
        rows = bounded(rows)?;
    }
    Ok(rows)
}

fn bounded(rows: Vec<u8>) -> Result<Vec<u8>, String> {
    if rows.len() as u64 > UNPACKED_LIMIT {
        return Err(format!("it has more than {UNPACKED_LIMIT} bytes"));
    }
    Ok(rows)
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let split = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    split.map(|(key, value)| (decode(&key.replace('+', " ")), decode(&value.replace('+', " "))))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

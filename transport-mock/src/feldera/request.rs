//! A request as the handlers see it.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::errors::Rejection;

/// See the module.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// Path and query as they were sent.
    pub(super) target: String,
    pub(super) segments: Vec<String>,
    query: Vec<(String, String)>,
    pub(super) raw_query: String,
    pub(super) bearer: Option<String>,
    has_json: bool,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn read(request: &http::Request<Bytes>) -> Self {
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let bearer = header(&AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self {
            method: request.method().as_str().to_owned(),
            target: target.to_owned(),
            // A trailing slash makes another path.
            segments: path.trim_start_matches('/').split('/').map(decode).collect(),
            query: pairs.map(|(key, value)| (decode(key), decode(&value.replace('+', " ")))).collect(),
            raw_query: query.to_owned(),
            bearer: bearer.map(str::to_owned),
            has_json: header(&CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")),
            body: request.body().clone(),
        }
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `true` or `false`, and nothing else.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Rejection> {
        match self.query(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Rejection::query("provided string was not `true` or `false`")),
        }
    }

    /// A JSON object in the body.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Rejection> {
        if !self.has_json {
            return Err(Rejection::Text("Content type error".into()));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Rejection::body("invalid type, expected a map at line 1 column 0")),
            Err(error) => Err(Rejection::body(error.to_string())),
        }
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

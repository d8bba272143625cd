//! A request as the handlers see it: decoded path, decoded query, checked body.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::config::Version;
use super::errors::{Rejection, Throwable};
use super::ids::parse_hex32;
use super::multipart;

/// What the server reads of a request before it looks for a handler.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// The path as it was sent.
    pub(super) raw_path: String,
    /// The path's pieces behind the version, decoded.
    pub(super) segments: Vec<String>,
    query: Vec<(String, Vec<String>)>,
    pub(super) body: Bytes,
    pub(super) boundary: Option<String>,
    pub(super) version: Version,
}

impl Call {
    pub(super) fn read(request: &http::Request<Bytes>, version: Version) -> Result<Self, Rejection> {
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let method = request.method().as_str();
        if method.len() + target.len() + " ".len() + " HTTP/1.1".len() > 4096 {
            return Err(Rejection::BadRequestLine);
        }
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let boundary = multipart::boundary(content_type);
        if boundary.is_none() && request.body().len() > 100 << 20 {
            return Err(Rejection::Empty(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Self {
            method: method.to_owned(),
            raw_path: path.to_owned(),
            segments: segments(path),
            query: query_parameters(query),
            body: request.body().clone(),
            boundary,
            version,
        })
    }

    /// A question to a server of files: no version, one decoding, and no query but what the files were written with.
    pub(super) fn of_file(request: &http::Request<Bytes>, version: Version) -> Self {
        let path = request.uri().path();
        let pieces = path.strip_prefix('/').unwrap_or(path).split('/');
        Self {
            method: "GET".to_owned(),
            raw_path: path.to_owned(),
            // A plus is a plus.
            segments: pieces.map(|piece| percent_decode_str(piece).decode_utf8_lossy().into_owned()).collect(),
            query: vec![("includeSerializedValue".to_owned(), vec!["true".to_owned()])],
            body: Bytes::new(),
            boundary: None,
            version,
        }
    }

    /// Whether a query parameter is there, if only with nothing behind it.
    pub(super) fn has_query(&self, name: &str) -> bool {
        self.query.iter().any(|(key, _)| key == name)
    }

    /// The one value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let values = self.query_list(name);
        match values.as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                format!("Expected only one value [{}].", values.join(", ")),
                "org.apache.flink.runtime.rest.handler.util.HandlerRequestUtils.fromRequestBodyOrQueryParameter(HandlerRequestUtils.java:42)",
            )),
        }
    }

    /// All values of a query parameter: keys may be repeated, and each may hold a list.
    pub(super) fn query_list(&self, name: &str) -> Vec<&str> {
        let named = self.query.iter().filter(|(key, _)| key == name);
        named.flat_map(|(_, values)| values).map(String::as_str).collect()
    }

    /// A number in the query.
    pub(super) fn query_number(&self, name: &str) -> Result<Option<i64>, Rejection> {
        let read = |text: &str| match text.parse::<i32>() {
            Ok(number) => Ok(i64::from(number)),
            Err(_) => Err(Rejection::parameter("query", name, text)),
        };
        self.query(name)?.map(read).transpose()
    }
}

/// An id in the path.
pub(super) fn path_id(name: &str, text: &str) -> Result<String, Rejection> {
    parse_hex32(text).ok_or_else(|| Rejection::parameter("path", name, text))
}

/// Both the router and the handlers decode, so what survives is decoded twice; and each of them takes a plus sign
/// for a space.
fn segments(path: &str) -> Vec<String> {
    let path = decode(path);
    let path = path.strip_prefix('/').unwrap_or(&path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let pieces: Vec<String> = path.split('/').map(decode).collect();
    match pieces.split_first() {
        Some((first, rest)) if first == "v1" => rest.to_vec(),
        _ => pieces,
    }
}

/// Values are decoded first and split at commas then, so a comma cannot be escaped.
fn query_parameters(query: &str) -> Vec<(String, Vec<String>)> {
    let pairs = query.split(['&', ';']).filter(|pair| !pair.is_empty());
    let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let list = |value: &str| {
        let value = decode(value);
        value.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    split.map(|(key, value)| (decode(key), list(value))).collect()
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// What a field of a body must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Flag,
    Number,
    Long,
    Id,
    Texts,
    TextMap,
    OneOf(&'static str, &'static [&'static str]),
}

/// A body's class: its name and its fields with the version that brought each.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) fields: &'static [(&'static str, Kind, Version)],
}

/// The body of a request to a handler that reads none: it has to be JSON all the same.
pub(super) const EMPTY_BODY: Format = Format { name: "EmptyRequestBody", fields: &[] };

/// A checked body: fields of the right kind, without those that are `null` or unknown.
#[derive(Debug, Default)]
pub(super) struct Body(BTreeMap<String, Value>);

impl Body {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let items = self.0.get(name)?.as_array()?;
        Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    pub(super) fn entry(&self, map: &str, key: &str) -> Option<&str> {
        self.0.get(map)?.get(key)?.as_str()
    }

    /// The rejection of a body that lacks a required field.
    pub(super) fn lacks(format: &Format, name: &str) -> Rejection {
        let message = format!(
            "Cannot map `null` into type `long`{SOURCE} (through reference chain: {}[\"{name}\"])",
            format.name
        );
        Rejection::body(format.name, Throwable::new(MISMATCH, message, READ_VALUE))
    }

    /// Reads a body; an absent body is an empty object.
    pub(super) fn read(call: &Call, format: &Format) -> Result<Self, Rejection> {
        if call.boundary.is_some() {
            return Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                "File uploads not allowed.",
                "org.apache.flink.runtime.rest.handler.AbstractHandler.respondAsLeader(AbstractHandler.java:130)",
            ));
        }
        let reject = |class: &'static str, message: String| {
            Rejection::body(format.name, Throwable::new(class, message, READ_VALUE))
        };
        if call.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        // Only the first value counts: what follows it is not looked at.
        let value = match serde_json::Deserializer::from_slice(&call.body).into_iter::<Value>().next() {
            Some(Ok(value)) => value,
            Some(Err(error)) if error.is_eof() => {
                let message = format!("Unexpected end-of-input: {SOURCE}");
                return Err(reject(JSON_EOF, message));
            }
            _ => {
                let message = format!(
                    "Unrecognized token: was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false'){SOURCE}"
                );
                return Err(reject(JSON_PARSE, message));
            }
        };
        let Value::Object(fields) = value else {
            let message = format!("Cannot deserialize value of type `{}`{SOURCE}", format.name);
            return Err(reject(MISMATCH, message));
        };
        let mut read = BTreeMap::new();
        for (name, value) in fields {
            let known = format.fields.iter().find(|(field, _, since)| *field == name && call.version >= *since);
            match known {
                None if call.version < (1, 20) => {
                    let message = format!(
                        "Unrecognized field \"{name}\" (class {}), not marked as ignorable{SOURCE}",
                        format.name
                    );
                    return Err(reject(UNRECOGNIZED, message));
                }
                None => {}
                Some(_) if value.is_null() => {}
                Some((field, kind, _)) => {
                    let value = kind.read(&value).map_err(|(class, message)| {
                        let chain = format!("(through reference chain: {}[\"{field}\"])", format.name);
                        reject(class, format!("{message}{SOURCE} {chain}"))
                    })?;
                    read.insert(name, value);
                }
            }
        }
        Ok(Self(read))
    }
}

const READ_VALUE: &str =
    "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper.readValue(ObjectMapper.java:3777)";
const SOURCE: &str =
    "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]";
const JSON_EOF: &str = "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.io.JsonEOFException";
const JSON_PARSE: &str = "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParseException";
const MAPPING: &str = "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonMappingException";
const MISMATCH: &str = "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.exc.MismatchedInputException";
const INVALID: &str = "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.exc.InvalidFormatException";
const UNRECOGNIZED: &str =
    "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException";

impl Kind {
    /// Checks a value and brings it into its plain form; scalars may come as text and text as scalars.
    fn read(self, value: &Value) -> Result<Value, (&'static str, String)> {
        let wrong = |class: &str| {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| format!("String \"{text}\""));
            (INVALID, format!("Cannot deserialize value of type `{class}` from {text}"))
        };
        match self {
            Self::Text => scalar(value).map(Value::from).ok_or_else(|| wrong("java.lang.String")),
            Self::Flag => match scalar(value).as_deref() {
                Some("true" | "True" | "TRUE") => Ok(true.into()),
                Some("false" | "False" | "FALSE") => Ok(false.into()),
                _ => Err(wrong("java.lang.Boolean")),
            },
            Self::Number => {
                let number = scalar(value).and_then(|text| text.trim().parse::<i32>().ok());
                let not_valid = |(class, message): (&'static str, String)| {
                    (class, format!("{message}: not a valid `java.lang.Integer` value"))
                };
                number.map(Value::from).ok_or_else(|| not_valid(wrong("java.lang.Integer")))
            }
            Self::Long => {
                let number = scalar(value).and_then(|text| text.trim().parse::<i64>().ok());
                number.map(Value::from).ok_or_else(|| wrong("long"))
            }
            Self::Id => {
                let text = scalar(value).unwrap_or_default();
                let start: String = text.chars().take(2).collect();
                let message = format!("For input string: \"{start}\" under radix 16");
                parse_hex32(&text).map(Value::from).ok_or((MAPPING, message))
            }
            Self::Texts => {
                let items = value.as_array().ok_or_else(|| wrong("java.util.ArrayList"))?;
                let items: Option<Vec<_>> = items.iter().map(scalar).collect();
                items.map(Value::from).ok_or_else(|| wrong("java.lang.String"))
            }
            Self::TextMap => {
                let fields = value.as_object().ok_or_else(|| wrong("java.util.LinkedHashMap"))?;
                let fields = fields.iter().map(|(key, value)| Some((key.clone(), Value::from(scalar(value)?))));
                let fields: Option<serde_json::Map<_, _>> = fields.collect();
                fields.map(Value::from).ok_or_else(|| wrong("java.lang.String"))
            }
            Self::OneOf(class, names) => {
                let known = value.as_str().filter(|text| names.contains(text));
                known.map(Value::from).ok_or_else(|| {
                    let (error, message) = wrong(class);
                    let names = names.join(", ");
                    (error, format!("{message}: not one of the values accepted for Enum class: [{names}]"))
                })
            }
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_twice() {
        assert_eq!(segments("/v1/jars/a%252Bb.jar/run"), ["jars", "a+b.jar", "run"]);
        assert_eq!(segments("/jars/a%2Bb.jar"), ["jars", "a b.jar"]);
        assert_eq!(segments("/v1/jars/a+b.jar/"), ["jars", "a b.jar"]);
        assert_eq!(segments("/v1/jars/..%2Fx"), ["jars", "..", "x"]);
        assert_eq!(segments("/v1//jobs"), ["", "jobs"]);
        assert_eq!(segments("/v2/jobs"), ["v2", "jobs"]);
    }

    #[test]
    fn a_list_can_be_spread_over_keys_and_its_commas_cannot_be_escaped() {
        let query = query_parameters("get=a,b&get=c%2Cd&x=%20+y&empty=");
        let values: Vec<_> = query.iter().map(|(key, values)| format!("{key}={}", values.join("|"))).collect();
        assert_eq!(values, ["get=a|b", "get=c|d", "x=  y", "empty="]);
    }
}

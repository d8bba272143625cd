//! One exchange as an entry of a recording: [HAR 1.2](http://www.softwareishard.com/blog/har-12-spec/).

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, StatusCode, header};
use pipewright::Timestamp;
use ruzstd::decoding::StreamingDecoder;
use serde_json::{Map, Value, json};

use super::redact;
use crate::serve::scan::{SharedTap, Tap};

/// The longest body that is recorded.
pub(super) const LONGEST: usize = 1 << 20;

/// A request, and what the client was sent.
pub(super) struct Exchange {
    started: Timestamp,
    since: Instant,
    upstream: String,
    request: Request<()>,
    body: SharedTap,
    answer: Option<Answered>,
    /// A fault spoils an answer that holds a secret, so that the secret cannot be found any more.
    hides_answer: bool,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: SharedTap,
    waited: Duration,
}

/// A tap without content.
pub(super) fn tap() -> SharedTap {
    Rc::new(RefCell::new(Tap::new(LONGEST)))
}

impl Exchange {
    pub(super) fn new(started: Timestamp, upstream: &str, request: Request<()>, body: SharedTap) -> Self {
        let upstream = upstream.to_owned();
        Self { started, since: Instant::now(), upstream, request, body, answer: None, hides_answer: false }
    }

    /// Notes an answer whose body passes by.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap, body: SharedTap) {
        let waited = self.since.elapsed();
        self.answer = Some(Answered { status, headers: headers.clone(), body, waited });
    }

    /// Notes an answer whose body was sent as far as this.
    pub(super) fn answered_with(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let tap = tap();
        tap.borrow_mut().add(body);
        self.answered(status, headers, tap);
    }

    /// Notes the answer of the server that a fault is about to spoil.
    pub(super) fn spoils(&mut self, headers: &HeaderMap, body: &[u8]) {
        self.hides_answer = match decoded(body, headers) {
            Ok(bytes) => redact::holds_secret(&String::from_utf8_lossy(&bytes)),
            Err(_) => true,
        };
    }

    /// The entry. `fault` is its comment.
    pub(super) fn entry(&self, fault: Option<String>) -> Value {
        let took = self.since.elapsed();
        let waited = self.answer.as_ref().map_or(took, |answer| answer.waited);
        let started = self.started.to_string();
        let second = started.get(..19).unwrap_or_default();
        let mut entry = json!({
            "startedDateTime": format!("{second}.{:03}Z", self.started.as_millis() % 1000),
            "time": millis(took),
            "request": self.request(),
            "response": self.response(),
            "cache": {},
            "timings": {"send": 0, "wait": millis(waited), "receive": millis(took.saturating_sub(waited))},
        });
        if let (Some(fault), Value::Object(fields)) = (fault, &mut entry) {
            fields.insert("comment".to_owned(), fault.into());
        }
        entry
    }

    fn path(&self) -> &str {
        self.request.uri().path()
    }

    fn request(&self) -> Value {
        let request = &self.request;
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let query = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query: Vec<Value> = query
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                json!({"name": name, "value": redact::parameter(name, value)})
            })
            .collect();
        let tap = self.body.borrow();
        let mut text = json!({
            "method": request.method().as_str(),
            "url": format!("http://{}{}", self.upstream, redact::address(target)),
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": headers(request.headers()),
            "queryString": query,
            "headersSize": -1,
            "bodySize": tap.length,
        });
        if let Value::Object(fields) = &mut text
            && tap.length > 0
        {
            let mut data = content(&tap, request.headers(), self.path());
            data.insert("mimeType".to_owned(), mime_type(request.headers()).into());
            fields.insert("postData".to_owned(), data.into());
        }
        text
    }

    /// Status 0 if there was no answer, as browsers write it.
    fn response(&self) -> Value {
        let Some(answer) = &self.answer else {
            return json!({
                "status": 0,
                "statusText": "",
                "httpVersion": "HTTP/1.1",
                "cookies": [],
                "headers": [],
                "content": {"size": 0, "mimeType": "x-unknown"},
                "redirectURL": "",
                "headersSize": -1,
                "bodySize": -1,
            });
        };
        let tap = answer.body.borrow();
        let mut content = if self.hides_answer {
            comment("it is spoilt, and what it was made of holds a secret or cannot be read")
        } else {
            content(&tap, &answer.headers, self.path())
        };
        content.insert("size".to_owned(), tap.length.into());
        content.insert("mimeType".to_owned(), mime_type(&answer.headers).into());
        let location = answer.headers.get(header::LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        json!({
            "status": answer.status.as_u16(),
            "statusText": answer.status.canonical_reason().unwrap_or_default(),
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": headers(&answer.headers),
            "content": content,
            "redirectURL": location.map_or_else(String::new, |location| redact::address(&location)),
            "headersSize": -1,
            "bodySize": tap.length,
        })
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn mime_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.unwrap_or("x-unknown").to_owned()
}

fn headers(headers: &HeaderMap) -> Vec<Value> {
    let shown = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        json!({"name": name.as_str(), "value": redact::header(name.as_str(), &value)})
    });
    shown.collect()
}

/// Why a body is not recorded.
fn comment(why: &str) -> Map<String, Value> {
    Map::from_iter([("comment".to_owned(), format!("not recorded: {why}").into())])
}

/// The text of a body, or why there is no text.
fn content(tap: &Tap, headers: &HeaderMap, path: &str) -> Map<String, Value> {
    if tap.length == 0 {
        return Map::from_iter([("text".to_owned(), "".into())]);
    }
    if redact::is_secret_path(path) {
        return comment("it is or holds a token");
    }
    if tap.is_too_long() {
        return comment(&format!("more than {LONGEST} bytes"));
    }
    match decoded(&tap.bytes, headers).map(String::from_utf8) {
        Err(why) => comment(&why),
        Ok(Ok(text)) => Map::from_iter([("text".to_owned(), redact::body(&text).into())]),
        Ok(Err(binary)) if redact::holds_secret(&String::from_utf8_lossy(binary.as_bytes())) => {
            comment("it is not UTF-8, and it names a secret")
        }
        Ok(Err(binary)) => Map::from_iter([
            ("encoding".to_owned(), "base64".into()),
            ("text".to_owned(), STANDARD.encode(binary.as_bytes()).into()),
        ]),
    }
}

/// A body as it was before it was compressed.
fn decoded(bytes: &[u8], headers: &HeaderMap) -> Result<Vec<u8>, String> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match encoding.as_deref() {
        None | Some("identity") => Ok(bytes.to_vec()),
        Some("gzip") => bounded(flate2::read::MultiGzDecoder::new(bytes)),
        Some("zstd") => unzstd(bytes),
        Some(other) => Err(format!("its content encoding is {other}")),
    }
}

/// The content of all frames.
fn unzstd(mut bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    while !bytes.is_empty() {
        let frame = StreamingDecoder::new(&mut bytes).map_err(|error| format!("not zstd: {error}"))?;
        content.extend(bounded(frame)?);
        if content.len() > LONGEST {
            return Err(format!("more than {LONGEST} bytes"));
        }
    }
    Ok(content)
}

fn bounded(decoder: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = decoder.take(LONGEST as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("it cannot be decompressed: {error}"))?;
    if bytes.len() > LONGEST { Err(format!("more than {LONGEST} bytes")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn all_frames_of_a_compressed_body_are_decompressed_up_to_the_limit() {
        let frame = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
        assert_eq!(
            unzstd(&[frame(b"{\"a\":1}\n"), frame(b""), frame(b"{\"a\":2}\n")].concat()).as_deref(),
            Ok(&b"{\"a\":1}\n{\"a\":2}\n"[..])
        );
        let half = frame(&vec![b'x'; LONGEST / 2 + 1]);
        assert!(unzstd(&half).is_ok());
        assert_eq!(unzstd(&half.repeat(2)), Err(format!("more than {LONGEST} bytes")));
        assert!(unzstd(b"{}").is_err());
    }
}

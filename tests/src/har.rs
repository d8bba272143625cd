//! Recordings: [HAR 1.2](http://www.softwareishard.com/blog/har-12-spec/) files.
//!
//! Read tolerantly: whatever is absent is empty, and fields that nobody here needs are skipped.

use std::fmt;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use serde_json::Value;

use crate::encoding;

/// One recorded exchange.
#[derive(Debug)]
pub struct Entry {
    /// The recording's name for it: the entry's `comment`, without what stands before its last slash.
    pub name: String,
    /// What was asked; the URI as recorded.
    pub request: Request<Bytes>,
    /// The path template that the recorder noted, as in `/jobs/:jobid`.
    pub template: Option<String>,
    /// What was answered, decompressed.
    pub response: Response<Bytes>,
}

impl Entry {
    /// Takes the path of a proxy off the address, if it is there.
    pub fn strip(&mut self, base: &str) {
        let base = base.trim_end_matches('/');
        let target = self.request.uri().path_and_query().map_or("", |target| target.as_str());
        let rest = target.strip_prefix(base).filter(|rest| !base.is_empty() && rest.starts_with('/'));
        if let Some(uri) = rest.and_then(|rest| rest.parse().ok()) {
            *self.request.uri_mut() = uri;
        }
    }
}

/// One file.
#[derive(Debug)]
pub struct Recording {
    /// The file's name without `.har`.
    pub name: String,
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// A file that is no recording.
#[derive(Debug)]
pub struct HarError(String);

impl fmt::Display for HarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HarError {}

/// Reads all files of a folder that end in `.har`, by name.
///
/// # Errors
/// When the folder or one of the files cannot be read; the message names it.
pub fn read_folder(folder: &Path) -> Result<Vec<Recording>, HarError> {
    let trouble = |error: &dyn fmt::Display| HarError(format!("{}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| trouble(&error))? {
        let path = entry.map_err(|error| trouble(&error))?.path();
        if path.extension().is_some_and(|extension| extension == "har") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

/// Reads one file.
///
/// # Errors
/// When it cannot be read; the message names it.
pub fn read_file(path: &Path) -> Result<Recording, HarError> {
    let trouble = |error: &dyn fmt::Display| HarError(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| trouble(&error))?;
    let entries = read(&text).map_err(|error| trouble(&error))?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Recording { name, entries })
}

/// Reads the entries of a HAR document.
///
/// # Errors
/// When it is not JSON, has no entries, or one of them has no method, URL or status.
pub fn read(text: &str) -> Result<Vec<Entry>, HarError> {
    let document: Value = serde_json::from_str(text).map_err(|error| HarError(format!("not JSON: {error}")))?;
    let entries = document["log"]["entries"].as_array().ok_or_else(|| HarError("no log.entries".to_owned()))?;
    entries
        .iter()
        .enumerate()
        .map(|(at, entry)| {
            let name = text_of(&entry["comment"]);
            read_entry(entry).map_err(|problem| HarError(format!("entry {at} ({name}): {problem}")))
        })
        .collect()
}

fn read_entry(entry: &Value) -> Result<Entry, String> {
    let (asked, answered) = (&entry["request"], &entry["response"]);
    let comment = text_of(&entry["comment"]);
    let mut request = Request::new(body(&asked["postData"])?);
    *request.method_mut() = Method::from_bytes(text_of(&asked["method"]).as_bytes()).map_err(|_| "no method")?;
    *request.uri_mut() = text_of(&asked["url"]).parse().map_err(|error| format!("no URL: {error}"))?;
    *request.headers_mut() = headers(&asked["headers"]);
    let mut response = Response::new(body(&answered["content"])?);
    *response.status_mut() = answered["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok()?.try_into().ok())
        .ok_or("no status")?;
    *response.headers_mut() = headers(&answered["headers"]);
    encoding::decode(&mut response).map_err(|error| format!("a body that cannot be decompressed: {error}"))?;
    Ok(Entry {
        name: comment.rsplit('/').next().unwrap_or_default().to_owned(),
        request,
        template: entry["_pathTemplate"].as_str().map(str::to_owned),
        response,
    })
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Headers that `http` would not take are left out.
fn headers(list: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in list.as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = HeaderName::from_bytes(text_of(&header["name"]).as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(text_of(&header["value"]))) {
            headers.append(name, value);
        }
    }
    headers
}

/// `content` of an answer and `postData` of a request look alike.
fn body(content: &Value) -> Result<Bytes, String> {
    let text = text_of(&content["text"]);
    match content["encoding"].as_str() {
        Some("base64") => base64(text).map(Bytes::from).ok_or_else(|| "a body that is not Base64".to_owned()),
        Some(other) if !other.is_empty() => Err(format!("a body in the encoding {other}")),
        _ => Ok(Bytes::from(text.to_owned())),
    }
}

/// Recorders differ in whether they pad, and some break lines.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text: String = text.split_ascii_whitespace().collect();
    LENIENT.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [("", &b""[..]), ("Zg==", b"f"), ("Zm9v\nYmE=", b"fooba"), ("+/8", b"\xfb\xff")] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(base64("a_"), None);
    }

    #[test]
    fn what_is_absent_is_empty() {
        let text = r#"{"log":{"entries":[{"request":{"method":"GET","url":"http://h/a"},"response":{"status":204}}]}}"#;
        let entries = read(text).expect("the least that is needed");
        assert_eq!(entries[0].response.status(), 204);
        assert!(entries[0].response.body().is_empty() && entries[0].name.is_empty());
    }

    #[test]
    fn what_is_no_recording_is_named() {
        for (text, problem) in [
            ("<html>", "not JSON"),
            ("{}", "no log.entries"),
            (r#"{"log":{"entries":[{}]}}"#, "entry 0 (): no method"),
            (
                r#"{"log":{"entries":[{"comment":"a/b","request":{"method":"GET","url":"http://h"},"response":{"content":{"encoding":"rot13"}}}]}}"#,
                "entry 0 (a/b): a body in the encoding rot13",
            ),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}

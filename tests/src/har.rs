//! Recordings: [HAR 1.2](http://www.softwareishard.com/blog/har-12-spec/) files.
//!
//! Read tolerantly: whatever is absent is empty, and fields that no test needs are skipped.

use std::fmt;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
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
    /// Entries that cannot be replayed, in the order of the file.
    pub skipped: Vec<Skipped>,
}

/// An entry of a recording that does not hold a whole exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The method and the URL as recorded. The query is left out: it may hold a credential.
    pub exchange: String,
    /// What is missing, or cannot be read.
    pub why: String,
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
    let recording = read(&text).map_err(|error| trouble(&error))?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Recording { name, ..recording })
}

/// Reads a HAR document. The recording has no name yet.
///
/// # Errors
/// When it is not JSON, or has no entries. An entry that cannot be read is skipped.
pub fn read(text: &str) -> Result<Recording, HarError> {
    // Editors and shells of Windows write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document: Value = serde_json::from_str(text).map_err(|error| HarError(format!("not JSON: {error}")))?;
    let entries = document["log"]["entries"].as_array().ok_or_else(|| HarError("no log.entries".to_owned()))?;
    let mut recording = Recording { name: String::new(), entries: Vec::new(), skipped: Vec::new() };
    for entry in entries {
        match read_entry(entry) {
            Ok(entry) => recording.entries.push(entry),
            Err(why) => recording.skipped.push(Skipped { exchange: exchange(entry), why }),
        }
    }
    Ok(recording)
}

fn exchange(entry: &Value) -> String {
    let (method, url) = (text_of(&entry["request"]["method"]), text_of(&entry["request"]["url"]));
    let url: String = url.split(['?', '#']).next().unwrap_or_default().chars().take(100).collect();
    format!("{method} {url}")
}

fn read_entry(entry: &Value) -> Result<Entry, String> {
    let (asked, answered) = (&entry["request"], &entry["response"]);
    let comment = text_of(&entry["comment"]);
    // The answer counts. Of a request body that cannot be read, nothing is kept.
    let mut request = Request::new(body(&asked["postData"]).unwrap_or_default());
    *request.method_mut() = Method::from_bytes(text_of(&asked["method"]).as_bytes()).map_err(|_| "no method")?;
    *request.uri_mut() = text_of(&asked["url"]).parse().map_err(|error| format!("no URL: {error}"))?;
    *request.headers_mut() = headers(&asked["headers"]);
    let mut response = Response::new(body(&answered["content"])?);
    // Browsers record status 0 if a request was blocked, aborted or not answered.
    *response.status_mut() = answered["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok()?.try_into().ok())
        .ok_or_else(|| format!("no answer: the status is {}", answered["status"]))?;
    *response.headers_mut() = headers(&answered["headers"]);
    if response.body().is_empty() && is_left_out(request.method(), &response, &answered["content"]) {
        return Err("the body of the answer was not recorded".to_owned());
    }
    encoding::decode(&mut response).map_err(|error| format!("a body that cannot be decompressed: {error}"))?;
    Ok(Entry {
        name: comment.rsplit('/').next().unwrap_or_default().to_owned(),
        request,
        template: entry["_pathTemplate"].as_str().map(str::to_owned),
        response,
    })
}

/// Whether an answer without a recorded body had one. Recorders may leave bodies out, and then write no `text`, or an
/// empty one beside the real `size`.
fn is_left_out(method: &Method, response: &Response<Bytes>, content: &Value) -> bool {
    let status = response.status();
    if method == Method::HEAD || status.is_informational() || matches!(status.as_u16(), 204 | 205 | 304) {
        return false;
    }
    let size = content["size"].as_i64().unwrap_or_default();
    let says_json = || {
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.unwrap_or_else(|| text_of(&content["mimeType"])).contains("json")
    };
    let has_length = || response.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    // Without `text`, a size of 0 may be a guess, and -1 means unknown. JSON is never empty.
    size > 0 || !content["text"].is_string() && (size < 0 || has_length() || says_json())
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
        // Some recorders label plain text so, too.
        Some("base64") => Ok(base64(text).map_or_else(|| Bytes::from(text.to_owned()), Bytes::from)),
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

    /// A recording with one `GET`, and the answer as given.
    fn answered(response: &str) -> Recording {
        let request = r#"{"method":"GET","url":"http://h/a?token=secret"}"#;
        let text = format!(r#"{{"log":{{"entries":[{{"request":{request},"response":{response}}}]}}}}"#);
        read(&text).expect(response)
    }

    #[test]
    fn what_is_absent_is_empty() {
        for response in [
            r#"{"status":204}"#,
            r#"{"status":200,"content":{"size":0,"text":"","mimeType":"application/json"}}"#,
            r#"{"status":200,"content":{"size":0,"mimeType":"x-unknown"}}"#,
            r#"{"status":304,"content":{"size":9,"mimeType":"application/json"}}"#,
        ] {
            let Recording { entries, skipped, .. } = answered(response);
            assert!(skipped.is_empty(), "{response}: {skipped:?}");
            assert!(entries[0].response.body().is_empty() && entries[0].name.is_empty(), "{response}");
        }
    }

    #[test]
    fn an_entry_without_the_answer_is_skipped() {
        for (response, why) in [
            ("{}", "no answer: the status is null"),
            (r#"{"status":0}"#, "no answer: the status is 0"),
            (r#"{"status":-1,"content":{"size":0}}"#, "no answer: the status is -1"),
            (r#"{"status":200,"content":{"size":190}}"#, "the body of the answer was not recorded"),
            (r#"{"status":200,"content":{"size":190,"text":""}}"#, "the body of the answer was not recorded"),
            (r#"{"status":200,"content":{"size":-1}}"#, "the body of the answer was not recorded"),
            (r#"{"status":200,"content":{"mimeType":"application/json"}}"#, "the body of the answer was not recorded"),
            (
                r#"{"status":200,"content":{},"headers":[{"name":"Content-Length","value":"7"}]}"#,
                "the body of the answer was not recorded",
            ),
            (r#"{"status":200,"content":{"text":"n","encoding":"rot13"}}"#, "a body in the encoding rot13"),
            (
                r#"{"status":200,"content":{"text":"H4sIAAAA","encoding":"base64"},"headers":[{"name":"content-encoding","value":"gzip"}]}"#,
                "a body that cannot be decompressed: ",
            ),
        ] {
            let Recording { entries, skipped, .. } = answered(response);
            assert!(entries.is_empty(), "{response}");
            assert!(skipped[0].why.starts_with(why), "{response}: {skipped:?}");
            assert_eq!(skipped[0].exchange, "GET http://h/a");
        }
    }

    #[test]
    fn an_entry_without_a_request_is_skipped() {
        let text = r#"{"log":{"entries":[{},{"request":{"method":"GET","url":"data:text/plain,a b"}}]}}"#;
        let skipped: Vec<_> = read(text).expect("a recording").skipped.into_iter().map(|entry| entry.why).collect();
        assert!(matches!(&skipped[..], [one, two] if one == "no method" && two.starts_with("no URL: ")), "{skipped:?}");
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert!(read("\u{feff}{\"log\":{\"entries\":[]}}").expect("a recording").entries.is_empty());
    }

    #[test]
    fn plain_text_that_is_labelled_base64_is_read_as_it_is() {
        let recording = answered(r#"{"status":200,"content":{"text":"{\"a\": 1}","encoding":"base64"}}"#);
        assert_eq!(recording.entries[0].response.body(), "{\"a\": 1}");
    }

    #[test]
    fn what_is_no_recording_is_named() {
        for (text, problem) in [("<html>", "not JSON"), ("{}", "no log.entries"), ("", "not JSON")] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    /// A skipped entry of ours would be a test that no longer tests anything.
    #[test]
    fn the_recordings_here_are_whole_and_name_no_machine() {
        let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")).expect("the fixtures");
        for folder in folders.map(|folder| folder.expect("a folder").path()) {
            for recording in read_folder(&folder).expect("the recordings") {
                assert_eq!(recording.skipped, [], "{}", recording.name);
                for entry in &recording.entries {
                    let text = format!("{entry:?}");
                    // Written so that a search for such paths does not find this line.
                    for directory in ["srv", "root", "home"].map(|name| format!("/{name}/")) {
                        assert!(!text.contains(&directory), "{} {}: {directory}", recording.name, entry.name);
                    }
                }
            }
        }
    }
}

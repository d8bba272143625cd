//! Forms with files ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)).

use http::HeaderValue;

use crate::body::{Body, Segment};

/// The content type and the body; the file's segments are shared, not copied.
pub(super) fn file(field: &str, name: &str, kind: &str, content: &Body, boundary: u128) -> (HeaderValue, Body) {
    let head = format!(
        "--{boundary:032x}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    let mut segments = vec![Segment::from(head)];
    segments.extend(content.segments().iter().cloned());
    finish(segments, boundary)
}

/// A form with a JSON field `request`, and files.
pub(super) fn form<'a>(
    request: Vec<u8>,
    files: impl Iterator<Item = (&'a str, &'a Body)>,
    boundary: u128,
) -> (HeaderValue, Body) {
    let head = format!(
        "--{boundary:032x}\r\nContent-Disposition: form-data; name=\"request\"\r\nContent-Type: application/json\r\n\r\n"
    );
    let mut segments = vec![Segment::from(head), Segment::from(request)];
    for (at, (name, content)) in files.enumerate() {
        segments.push(Segment::from(format!(
            "\r\n--{boundary:032x}\r\nContent-Disposition: form-data; name=\"file_{at}\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )));
        segments.extend(content.segments().iter().cloned());
    }
    finish(segments, boundary)
}

fn finish(mut segments: Vec<Segment>, boundary: u128) -> (HeaderValue, Body) {
    segments.push(Segment::from(format!("\r\n--{boundary:032x}--\r\n")));
    let content_type = format!("multipart/form-data; boundary={boundary:032x}");
    // Hexadecimal digits are always a legal header value.
    let content_type = HeaderValue::try_from(content_type).unwrap_or(HeaderValue::from_static("multipart/form-data"));
    (content_type, Body::from_segments(segments))
}

//! A form with one file ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)).

use http::HeaderValue;

use crate::body::{Body, Segment};

/// The content type and the body; the file's segments are shared, not copied.
pub(super) fn file(field: &str, name: &str, kind: &str, content: &Body, boundary: u128) -> (HeaderValue, Body) {
    let head = format!(
        "--{boundary:032x}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary:032x}--\r\n");
    let mut segments = vec![Segment::from(head)];
    segments.extend(content.segments().iter().cloned());
    segments.push(Segment::from(tail));
    let content_type = format!("multipart/form-data; boundary={boundary:032x}");
    // Hexadecimal digits are always a legal header value.
    let content_type = HeaderValue::try_from(content_type).unwrap_or(HeaderValue::from_static("multipart/form-data"));
    (content_type, Body::from_segments(segments))
}

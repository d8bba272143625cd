//! `multipart/form-data`, read the way the server's decoder reads it.
//!
//! A body is a run of parts between boundary lines. What is not closed by another boundary line does not count,
//! so a body without its closing boundary holds no complete part at all.

use bytes::Bytes;

/// One complete part.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    /// Present if the part is a file.
    pub(super) filename: Option<String>,
    pub(super) content: Bytes,
}

/// The boundary a `Content-Type` names; `None` if it is no multipart form at all.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary")
}

/// The complete parts of a body, in order.
pub(super) fn parts(body: &Bytes, boundary: &str) -> Vec<Part> {
    let delimiter = format!("--{boundary}");
    let mut found = Vec::new();
    let Some(mut at) = find_line(body, 0, delimiter.as_bytes()) else {
        return found;
    };
    loop {
        let Some(start) = line_end(body, at + delimiter.len()) else {
            return found;
        };
        let Some(next) = find_line(body, start, delimiter.as_bytes()) else {
            return found;
        };
        // The line break before a boundary belongs to the boundary.
        let mut end = next.saturating_sub(1);
        if end > start && body.get(end - 1) == Some(&b'\r') {
            end -= 1;
        }
        if let Some(part) = part(body, start, end.max(start)) {
            found.push(part);
        }
        if body.get(next + delimiter.len()..).is_some_and(|rest| rest.starts_with(b"--")) {
            return found;
        }
        at = next;
    }
}

fn part(body: &Bytes, start: usize, end: usize) -> Option<Part> {
    let mut at = start;
    let mut disposition = None;
    loop {
        let next = line_end(body, at).filter(|next| *next <= end)?;
        let line = String::from_utf8_lossy(body.get(at..next)?).trim_end().to_owned();
        at = next;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-disposition")
        {
            disposition = Some(value.to_owned());
        }
    }
    let disposition = disposition?;
    Some(Part {
        name: parameter(&disposition, "name")?,
        filename: parameter(&disposition, "filename"),
        content: body.slice(at..end),
    })
}

/// A parameter of a header value, `key="value"` or `key=value`; quotes hide semicolons.
fn parameter(header: &str, key: &str) -> Option<String> {
    let mut rest = header;
    while !rest.is_empty() {
        let mut quoted = false;
        let end = rest.find(|c| {
            quoted ^= c == '"';
            c == ';' && !quoted
        });
        let (piece, after) = end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 1..]));
        rest = after;
        if let Some((name, value)) = piece.split_once('=')
            && name.trim().eq_ignore_ascii_case(key)
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

/// Where `needle` next stands at the start of a line.
fn find_line(body: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let mut at = from;
    loop {
        if body.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        at = line_end(body, at)?;
    }
}

/// The first byte after the line break that follows `from`.
fn line_end(body: &[u8], from: usize) -> Option<usize> {
    let rest = body.get(from..)?;
    rest.iter().position(|byte| *byte == b'\n').map(|offset| from + offset + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<Part> {
        parts(&Bytes::copy_from_slice(body.as_bytes()), "b")
    }

    #[test]
    fn a_file_keeps_its_bytes_and_line_breaks() {
        let found = read(
            "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"a;b.jar\"\r\n\r\n1\r\n2\r\n\r\n--b--\r\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "x");
        assert_eq!(found[0].filename.as_deref(), Some("a;b.jar"));
        assert_eq!(&found[0].content[..], b"1\r\n2\r\n");
    }

    #[test]
    fn what_no_boundary_closes_does_not_count() {
        let head = "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"a.jar\"\r\n\r\n1\r\n";
        assert!(read(head).is_empty());
        assert_eq!(read(&format!("{head}--b--")).len(), 1);
    }

    #[test]
    fn boundaries_are_read_with_and_without_quotes() {
        assert_eq!(boundary("multipart/form-data; boundary=\"x y\"").as_deref(), Some("x y"));
        assert_eq!(boundary("Multipart/Form-Data;boundary=xy").as_deref(), Some("xy"));
        assert_eq!(boundary("application/json"), None);
    }

    #[test]
    fn rubbish_is_no_part() {
        for body in ["", "--b", "--b\r\n", "--b\r\n--b--", "--b\r\n\r\n\r\n--b--", "x\n--b\n:\n\n--b"] {
            assert!(read(body).is_empty(), "{body:?}");
        }
    }
}

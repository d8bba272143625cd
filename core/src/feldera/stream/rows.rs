//! Finds the beginning and the end of each row in a payload, without parsing the rows.

use std::ops::Range;

/// Finds the items of the JSON array that begins at `start`. Returns the position after its end; `None` if there is no
/// such array.
///
/// Only matches brackets and strings. The code that reads a row checks the rest.
pub(super) fn json_items(text: &[u8], start: usize, rows: &mut Vec<Range<usize>>) -> Option<usize> {
    if text.get(start) != Some(&b'[') {
        return None;
    }
    let mut at = blank(text, start + 1);
    if text.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        let from = at;
        at = value(text, from)?;
        rows.push(from..at);
        at = blank(text, at);
        match text.get(at)? {
            b',' => at = blank(text, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn blank(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Returns the position after a value.
fn value(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b'"' => string(text, start + 1),
        b'{' | b'[' => nested(text, start),
        b',' | b']' | b'}' | b':' => None,
        _ => {
            let rest = text.get(start..)?;
            let length = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n'));
            Some(start + length.unwrap_or(rest.len()))
        }
    }
}

fn nested(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match text.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at = string(text, at + 1)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Returns the position after the quote that ends a string.
fn string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Reads the JSON string that begins at `start` into a buffer. Returns the position after it; `None` if there is no
/// string, or if it has escapes that servers do not write.
pub(super) fn unescaped(text: &[u8], start: usize, out: &mut Vec<u8>) -> Option<usize> {
    let mut rest = text.get(start..)?.strip_prefix(b"\"")?;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match tail {
            [b'"', rest @ ..] => return Some(text.len() - rest.len()),
            [_, escaped @ (b'"' | b'\\' | b'/'), rest @ ..] => {
                out.push(*escaped);
                rest
            }
            [_, b'n', rest @ ..] => {
                out.push(b'\n');
                rest
            }
            [_, b'r', rest @ ..] => {
                out.push(b'\r');
                rest
            }
            [_, b't', rest @ ..] => {
                out.push(b'\t');
                rest
            }
            _ => return None,
        };
    }
}

/// Finds the lines of a CSV text. A line end in quotes does not count.
pub(super) fn csv_lines(text: &[u8], rows: &mut Vec<Range<usize>>) {
    let (mut start, mut quoted) = (0, false);
    for at in memchr::memchr2_iter(b'"', b'\n', text) {
        match text.get(at) {
            Some(b'"') => quoted = !quoted,
            _ if quoted => {}
            _ => {
                rows.push(start..at);
                start = at + 1;
            }
        }
    }
    if start < text.len() {
        rows.push(start..text.len());
    }
}

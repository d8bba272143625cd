//! [`open()`]: where in a document its writer stopped.

/// The path of the field whose value comes next in a document that was written up to there, as in `reading.celsius`.
/// Lists are left out of it. `None` if no field is open.
pub(super) fn open(written: &[u8]) -> Option<String> {
    // For each object and list that is open, the key whose value comes next or is being written.
    let mut keys: Vec<Option<&[u8]>> = Vec::new();
    let (mut at, mut string) = (0, 0..0);
    while let Some(byte) = written.get(at) {
        match byte {
            b'{' | b'[' => keys.push(None),
            b'}' | b']' => drop(keys.pop()),
            b':' => {
                if let Some(key) = keys.last_mut() {
                    *key = written.get(string.clone());
                }
            }
            b'"' => {
                string = at + 1..string_end(written, at + 1);
                at = string.end;
            }
            _ => {}
        }
        at += 1;
    }
    let keys: Vec<_> = keys.into_iter().flatten().map(String::from_utf8_lossy).collect();
    (!keys.is_empty()).then(|| crate::error::excerpt(keys.join(".").as_bytes(), 80))
}

/// Where the string ends that begins at `at`: at its closing quote.
fn string_end(text: &[u8], mut at: usize) -> usize {
    loop {
        match text.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') | None => return at.min(text.len()),
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_field_that_is_open() {
        for (written, path) in [
            ("", None),
            ("[1,", None),
            (r#"{"a":1,"b":"#, Some("b")),
            (r#"{"a":{"x":[{"y":1}]},"b":{"c":[[1],"#, Some("b.c")),
            (r#"{"a":[{"b":1},{"c":{"d":"#, Some("a.c.d")),
            (r#"{"a":":{","b\"{":"#, Some(r#"b\"{"#)),
            (r#"{"a\\":"#, Some(r"a\\")),
            (r#"[{"a":1},"#, None),
            (r#"{"a":1}"#, None),
        ] {
            assert_eq!(open(written.as_bytes()).as_deref(), path, "{written}");
        }
    }
}

//! Shortens long texts for snapshots.

use serde_json::Value;

/// How much of a long text is kept.
const KEPT: usize = 160;

/// Shortens all texts in a JSON document.
pub fn json(value: &mut Value) {
    match value {
        Value::String(long) => *long = text(long),
        Value::Array(items) => items.iter_mut().for_each(json),
        Value::Object(fields) => fields.values_mut().for_each(json),
        _ => {}
    }
}

/// Of several lines the first, of Base64 its length, and of anything else not too much.
pub fn text(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let lines = text.lines().count();
    let is_base64 =
        text.len() > 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    match first.char_indices().nth(KEPT) {
        _ if is_base64 => format!("({} characters of Base64)", text.len()),
        Some((end, _)) if lines > 1 => format!("{}… ({lines} lines)", first.get(..end).unwrap_or_default()),
        Some((end, _)) => format!("{}… ({} bytes)", first.get(..end).unwrap_or_default(), text.len()),
        None if lines > 1 => format!("{first} ({lines} lines)"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_stay() {
        for (given, short) in [
            ("", ""),
            ("a b", "a b"),
            ("a\n\tat b\n", "a (2 lines)"),
            (&"ab".repeat(40), "(80 characters of Base64)"),
            (&"é ".repeat(100), &format!("{}… (300 bytes)", "é ".repeat(80))),
        ] {
            assert_eq!(text(given), short);
        }
    }
}

//! Changes the keys in JSON text that is known to be one object.

use memchr::memchr2;

/// Changes the keys of the object, but not those within its values, to upper-case ASCII. Escapes are not changed.
pub(super) fn upper_case(object: &mut [u8]) {
    let (mut at, mut depth, mut key) = (0, 0_usize, false);
    while let Some(&byte) = object.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                key = depth == 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => key = depth == 1,
            b':' => key = false,
            b'"' => {
                let end = string_end(object, at);
                if key && let Some(text) = object.get_mut(at..end) {
                    upper_case_text(text);
                }
                at = end.saturating_add(1);
            }
            _ => {}
        }
    }
}

/// Returns the position of the closing quote of the string that begins at `at`.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// Changes a text to upper case. `\n` and the `u` of `\u00e9` must stay, because they have another meaning in upper
/// case.
fn upper_case_text(text: &mut [u8]) {
    let mut escaped = false;
    for byte in text {
        if !escaped {
            byte.make_ascii_uppercase();
        }
        escaped = !escaped && *byte == b'\\';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_object_only() {
        for (given, expected) in [
            (r"{}", r"{}"),
            (r#"{"a":"b","c":1}"#, r#"{"A":"b","C":1}"#),
            (r#"{"a":{"b":["c",{"d":1}]},"e":[{"f":2},"g"]}"#, r#"{"A":{"b":["c",{"d":1}]},"E":[{"f":2},"g"]}"#),
            (r#"{"q\"n\\":"x\\","é\u00e9\n":null}"#, r#"{"Q\"N\\":"x\\","é\u00E9\n":null}"#),
            (r#" { "a" : "x:{,\"y" , "b":true } "#, r#" { "A" : "x:{,\"y" , "B":true } "#),
        ] {
            let mut text = given.as_bytes().to_vec();
            upper_case(&mut text);
            assert_eq!(String::from_utf8(text).expect("UTF-8"), expected);
        }
    }
}

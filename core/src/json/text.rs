//! JSON text: strings with their escapes, eight bytes at a time.

#![allow(clippy::inline_always, reason = "a call for each key and each text costs an eighth of the time of a row")]

/// Eight copies of a byte.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Writes a string with its quotes.
#[inline]
pub(super) fn string(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    contents(buffer, text);
    buffer.push(b'"');
}

/// Writes what is between the quotes.
#[inline(always)]
pub(super) fn contents(buffer: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some((plain, special)) = rest.split_at_checked(plain(rest)) {
        buffer.extend_from_slice(plain);
        let Some((&byte, behind)) = special.split_first() else { return };
        escape(buffer, byte);
        rest = behind;
    }
}

/// How many bytes there are before the first that needs an escape.
#[inline(always)]
pub(super) fn plain(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks();
    let mut at = 0;
    for word in words {
        let found = specials(u64::from_le_bytes(*word));
        if found != 0 {
            return at + first(found);
        }
        at += 8;
    }
    match text.last_chunk() {
        // Checks some plain bytes twice, instead of each byte by itself.
        Some(last) => match specials(u64::from_le_bytes(*last)) {
            0 => text.len(),
            found => text.len() - 8 + first(found),
        },
        // What is behind the text is taken for plain.
        None => match specials(rest.iter().rev().fold(u64::MAX, |word, byte| word << 8 | u64::from(*byte))) {
            0 => text.len(),
            found => first(found),
        },
    }
}

/// The highest bit of each byte that needs an escape: certainly of the lowest such byte, perhaps of other bytes above
/// it.
#[inline]
const fn specials(word: u64) -> u64 {
    // What differs from a space in this bit is a quote, and control characters stay below it.
    let quote_or_control = (word ^ each(b'"' ^ b' ')).wrapping_sub(each(b' ' + 1));
    let backslash = (word ^ each(b'\\')).wrapping_sub(each(1));
    (quote_or_control | backslash) & !word & each(0x80)
}

/// In which byte the lowest bit is.
#[inline]
const fn first(bits: u64) -> usize {
    (bits.trailing_zeros() / 8) as usize
}

#[cold]
fn escape(buffer: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
            buffer.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    buffer.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that has one byte, and some with more, at each place of texts of each length.
    #[test]
    fn every_character_at_every_place() {
        for length in 0..=20 {
            for at in 0..length {
                for character in (0..128).map(char::from).chain(['\u{80}', 'é', '\u{2028}', '\u{1F980}']) {
                    for other in ["x", "\"", "\u{ff}", " "] {
                        let (before, behind) = ("y".repeat(at), other.repeat(length - at - 1));
                        let text = format!("{before}{character}{behind}");
                        let mut written = Vec::new();
                        string(&mut written, &text);
                        assert_eq!(written, serde_json::to_vec(&text).expect("a text"), "{text:?}");
                    }
                }
            }
        }
    }
}

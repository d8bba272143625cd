//! [`check()`]: whether a JSON text of the caller can be sent as it is.

use std::fmt;

use super::text::plain;
use crate::decode::BYTE_ORDER_MARK;

/// The deepest nesting that is sent. Most readers stop at 127 levels, Feldera's among them; the rest is for what is
/// written around a value.
pub(crate) const MAX_SENT_DEPTH: usize = 120;
/// With so many digits before its point, a number without an exponent is below the largest `f64`.
const FINITE_DIGITS: usize = 308;

/// Why a JSON text is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextError {
    /// Which byte, counted from 1. One behind the last byte if the text ends too early.
    at: usize,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    NotUtf8,
    ByteOrderMark,
    Expected { what: &'static str, at_end: bool },
    TooDeep,
    NotFinite,
    LoneSurrogate,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, problem } = self;
        match problem {
            Problem::NotUtf8 => write!(f, "not UTF-8 at byte {at}"),
            Problem::ByteOrderMark => {
                write!(f, "malformed JSON at byte {at}: there is a byte order mark; leave out its three bytes")
            }
            Problem::Expected { what, at_end: false } => write!(f, "malformed JSON at byte {at}: expected {what}"),
            Problem::Expected { what, at_end: true } => {
                write!(f, "malformed JSON: it ends before byte {at}, where {what} is expected")
            }
            Problem::TooDeep => write!(
                f,
                "JSON nested more than {MAX_SENT_DEPTH} levels deep at byte {at}; send the inner value as a string"
            ),
            Problem::NotFinite => {
                write!(f, "the number at byte {at} is beyond the range of a 64-bit float; send it as a string")
            }
            Problem::LoneSurrogate => {
                write!(f, "the escape at byte {at} is one half of a surrogate pair; write both halves, or \\ufffd")
            }
        }
    }
}

/// Whether a text is one JSON value that every reader reads in the same way: its strings are Unicode, its numbers have
/// a finite `f64`, and it nests at most [`MAX_SENT_DEPTH`] levels deep, those around it included.
pub(crate) fn check(text: &[u8], levels_around: usize) -> Result<(), TextError> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(TextError { at: error.valid_up_to() + 1, problem: Problem::NotUtf8 });
    }
    Scanner { text, at: 0 }.value(MAX_SENT_DEPTH.saturating_sub(levels_around))
}

/// Reads a text from left to right, without recursion.
struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    /// The whole text is one value.
    fn value(mut self, levels: usize) -> Result<(), TextError> {
        // The containers that are open, the innermost in the lowest bit: 1 is an object.
        const { assert!(MAX_SENT_DEPTH <= 128) };
        let (mut objects, mut depth) = (0_u128, 0_usize);
        loop {
            match self.significant() {
                Some(open @ (b'{' | b'[')) => {
                    if depth >= levels {
                        return Err(self.problem(Problem::TooDeep));
                    }
                    (objects, depth) = (objects << 1 | u128::from(open == b'{'), depth + 1);
                    self.at += 1;
                    // In ASCII, the closing bracket is the second behind the opening bracket.
                    if self.significant() != Some(open + 2) {
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return Err(self.no_value()),
            }
            loop {
                let is_object = objects & 1 == 1;
                match self.significant() {
                    None if depth == 0 => return Ok(()),
                    _ if depth == 0 => return Err(self.expected("nothing behind the value")),
                    Some(b',') => {
                        self.at += 1;
                        if is_object {
                            self.significant();
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if is_object => {}
                    Some(b']') if !is_object => {}
                    _ if is_object => return Err(self.expected("`,` or `}`")),
                    _ => return Err(self.expected("`,` or `]`")),
                }
                self.at += 1;
                (objects, depth) = (objects >> 1, depth - 1);
            }
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is not white space. The scanner is at it then.
    #[inline]
    fn significant(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self) -> Result<(), TextError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        self.string()?;
        if self.significant() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<(), TextError> {
        self.at += 1;
        loop {
            self.at += plain(self.text.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.expected("an escape instead of a control character")),
                None => return Err(self.expected("the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), TextError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match (self.unit(self.at), self.unit(self.at + 6)) {
                (None, _) => return Err(self.expected("an escape with four hexadecimal digits")),
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => self.at += 12,
                (Some(0xD800..=0xDFFF), _) => return Err(self.problem(Problem::LoneSurrogate)),
                _ => self.at += 6,
            },
            _ => return Err(self.expected("an escape that JSON has")),
        }
        Ok(())
    }

    /// The UTF-16 code unit of an escape such as `\u00e9`.
    fn unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(unit << 4 | u16::try_from(digit).ok()?)
        })
    }

    #[inline]
    fn number(&mut self) -> Result<(), TextError> {
        let start = self.at;
        self.skip(b'-');
        let is_zero = self.peek() == Some(b'0');
        let digits = self.digits()?;
        if is_zero && digits > 1 {
            self.at = start;
            return Err(self.expected("a number without leading zeros"));
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        let has_exponent = self.skip(b'e') || self.skip(b'E');
        if has_exponent {
            let _ = self.skip(b'-') || self.skip(b'+');
            self.digits()?;
        }
        if (has_exponent || digits > FINITE_DIGITS) && !self.is_finite(start) {
            self.at = start;
            return Err(self.problem(Problem::NotFinite));
        }
        Ok(())
    }

    fn is_finite(&self, start: usize) -> bool {
        let text = std::str::from_utf8(self.text.get(start..self.at).unwrap_or_default());
        text.ok().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite)
    }

    /// Skips at least one digit; how many.
    #[inline]
    fn digits(&mut self) -> Result<usize, TextError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at - start {
            0 => Err(self.expected("a digit")),
            digits => Ok(digits),
        }
    }

    #[inline]
    fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    #[inline]
    fn word(&mut self, word: &'static [u8]) -> Result<(), TextError> {
        if !self.text.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    #[cold]
    fn no_value(&self) -> TextError {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(BYTE_ORDER_MARK)) {
            return self.problem(Problem::ByteOrderMark);
        }
        self.expected("a value")
    }

    #[cold]
    fn expected(&self, what: &'static str) -> TextError {
        self.problem(Problem::Expected { what, at_end: self.at >= self.text.len() })
    }

    #[cold]
    fn problem(&self, problem: Problem) -> TextError {
        TextError { at: self.at + 1, problem }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn check(text: &[u8]) -> Result<(), TextError> {
        super::check(text, 0)
    }

    /// All texts of up to five pieces. `serde_json` rejects the same numbers and escapes when it reads them as a value.
    #[test]
    fn what_is_json_is_what_serde_json_reads() {
        const PIECES: [&str; 17] =
            ["{", "}", "[", "]", "\"", ",", ":", "0", "1", "-", ".", "e", "E+", "\\", "\\ud834", "\\udd1e", "true"];
        let mut text = String::new();
        for number in 0..PIECES.len().pow(5) * 2 {
            text.clear();
            let mut rest = number;
            while rest > 0 {
                text.push_str(PIECES[rest % PIECES.len()]);
                rest /= PIECES.len();
            }
            let expected = serde_json::from_str::<Value>(&text);
            assert_eq!(check(text.as_bytes()).is_ok(), expected.is_ok(), "{text}: {expected:?}");
        }
    }

    #[test]
    fn whole_documents_are_read() {
        for good in [
            r#" { "a" : [ 1 , -0.5e-3 , "\u00e9\n\/" , { } , [ ] ] , "b":null , "c" : false }"#,
            "\t[true,\r\n\"\u{1F980}\",\"\\uD83E\\uDD80\"]\n",
            "1.7976931348623157e308",
            &"9".repeat(308),
            &format!("0.{}e-9", "1".repeat(400)),
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, message) in [
            (&b"{\"a\" 1}"[..], "malformed JSON at byte 6: expected `:`"),
            (b"{\"a\":1", "malformed JSON: it ends before byte 7, where `,` or `}` is expected"),
            (b"{\"a\":1,}", "malformed JSON at byte 8: expected a key in quotes"),
            (b"[1}", "malformed JSON at byte 3: expected `,` or `]`"),
            (b"[1] 2", "malformed JSON at byte 5: expected nothing behind the value"),
            (b"", "malformed JSON: it ends before byte 1, where a value is expected"),
            (b"[\"\t\"]", "malformed JSON at byte 3: expected an escape instead of a control character"),
            (b"[01]", "malformed JSON at byte 2: expected a number without leading zeros"),
            (b"[NaN]", "malformed JSON at byte 2: expected a value"),
            (b"\"\\u12\"", "malformed JSON at byte 2: expected an escape with four hexadecimal digits"),
            (b"\"\xff\"", "not UTF-8 at byte 2"),
            (b"\xef\xbb\xbf{}", "malformed JSON at byte 1: there is a byte order mark; leave out its three bytes"),
            (b"[1e999]", "the number at byte 2 is beyond the range of a 64-bit float; send it as a string"),
            (b"[-1E400]", "the number at byte 2 is beyond the range of a 64-bit float; send it as a string"),
            (b"[\"a\\ud834\"]", "the escape at byte 4 is one half of a surrogate pair; write both halves, or \\ufffd"),
            (
                b"\"\\udd1e\\ud834\"",
                "the escape at byte 2 is one half of a surrogate pair; write both halves, or \\ufffd",
            ),
        ] {
            let error = check(text).expect_err(message);
            assert_eq!(error.to_string(), message);
        }
        let error = check("9".repeat(400).as_bytes()).expect_err("too large");
        assert_eq!(error.problem, Problem::NotFinite);
    }

    #[test]
    fn json_to_send_has_a_bounded_nesting() {
        let nested = |levels: usize| "{\"a\":".repeat(levels) + "[]" + &"}".repeat(levels);
        assert_eq!(check(nested(MAX_SENT_DEPTH - 1).as_bytes()), Ok(()));
        assert!(super::check(nested(MAX_SENT_DEPTH - 1).as_bytes(), 1).is_err());
        for levels in [MAX_SENT_DEPTH, 100_000] {
            let error = check(nested(levels).as_bytes()).expect_err("too deep");
            assert_eq!(
                error.to_string(),
                "JSON nested more than 120 levels deep at byte 601; send the inner value as a string"
            );
        }
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
    }
}

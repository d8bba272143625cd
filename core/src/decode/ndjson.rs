//! [`NdJson`]: splits a body into JSON values, one per line.

use super::{DecodeError, Decoder, End, LineLimit, Lines};
use crate::error::excerpt;

/// A decoder for newline-delimited JSON ([specification](https://github.com/ndjson/ndjson-spec)). Each line that is not
/// blank is an item, as bytes that the caller parses into its own type. Skips a byte order mark before the first line.
///
/// The decoder checks only that the first and the last byte of a line match, which detects incomplete rows and HTML
/// pages. The caller's parser checks the rest. A last line without a line end is treated as by [`Lines`].
///
/// ```
/// use pipewright::decode::{Decoder, LineLimit, NdJson};
/// let mut rows = NdJson::new(LineLimit::default());
/// rows.feed(b"{\"n\":1}\r\n\n{\"n\":2}\n");
/// let mut sum = 0;
/// while rows.advance()? {
///     let row: serde_json::Value = serde_json::from_slice(rows.item())?;
///     sum += row["n"].as_u64().unwrap_or_default();
/// }
/// assert_eq!(sum, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NdJson {
    lines: Lines,
    /// Whether blanks may surround the item.
    padded: bool,
    /// The number of items so far, without blank lines.
    count: u64,
    error: Option<DecodeError>,
}

impl NdJson {
    /// Creates a decoder for lines up to a length.
    pub fn new(limit: LineLimit) -> Self {
        Self { lines: Lines::new(limit), padded: false, count: 0, error: None }
    }

    /// Returns the number of items so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Advances when the next line is not a plain object. `Lines` returns the same error and the same end again.
    #[inline(never)]
    fn advance_otherwise(&mut self, mut found: bool) -> Result<bool, DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        loop {
            if !found {
                match self.lines.advance() {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    // Of the items, not of the lines.
                    Err(DecodeError::TooLong { limit, .. }) => {
                        let item = self.count + 1;
                        return Err(self.fail(DecodeError::TooLong { item, limit }));
                    }
                    Err(error) => return Err(self.fail(error)),
                }
            }
            found = false;
            let line = self.lines.item().trim_ascii();
            if line.is_empty() {
                continue;
            }
            if !looks_whole(line) {
                let (item, excerpt) = (self.count + 1, excerpt(line, 80));
                return Err(self.fail(DecodeError::Malformed {
                    item,
                    problem: "not a JSON value".to_owned(),
                    excerpt,
                }));
            }
            self.padded = true;
            self.count += 1;
            return Ok(true);
        }
    }

    fn fail(&mut self, error: DecodeError) -> DecodeError {
        self.error = Some(error.clone());
        error
    }
}

impl Decoder for NdJson {
    type Item<'a> = &'a [u8];

    fn feed(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.lines.feed(bytes);
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<bool, DecodeError> {
        if self.error.is_none() && matches!(self.lines.advance(), Ok(true)) {
            // Nearly every row is a plain object.
            if let [b'{', .., b'}'] = self.lines.item() {
                self.padded = false;
                self.count += 1;
                return Ok(true);
            }
            return self.advance_otherwise(true);
        }
        self.advance_otherwise(false)
    }

    #[inline]
    fn item(&self) -> &[u8] {
        let line = self.lines.item();
        if self.padded { line.trim_ascii() } else { line }
    }

    fn finish(&mut self, end: End) -> Result<(), DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let ended = self.lines.finish(end);
        ended.map_err(|error| match error {
            // Of the items, not of the lines.
            DecodeError::Truncated { .. } => {
                let lines = self.lines.unread().split(|byte| *byte == b'\n');
                let unread = lines.filter(|line| !line.trim_ascii().is_empty()).count() as u64;
                DecodeError::Truncated { item: self.count + unread + 1 }
            }
            error => error,
        })
    }
}

/// Returns whether the first and the last byte match.
fn looks_whole(value: &[u8]) -> bool {
    match (value.first(), value.last()) {
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'"'), Some(b'"')) => value.len() > 1,
        (Some(b'-' | b'0'..=b'9'), Some(b'0'..=b'9')) => true,
        _ => matches!(value, b"true" | b"false" | b"null"),
    }
}

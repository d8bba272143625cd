//! [`LogCursor`] and [`LogPosition`]: positions in a log.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::excerpt;
use crate::url::Parameter;

/// A position in a pipeline's log: after a line that was read, or at the beginning.
///
/// Its text is `<epoch>:<sequence>`, or empty for the beginning. The server takes this text, and serde writes it. So a
/// program can save the cursor.
///
/// ```
/// use pipewright::feldera::stream::LogCursor;
///
/// let cursor: LogCursor = "0199c3f1-2d0a-7e84:41272".parse()?;
/// assert_eq!((cursor.epoch(), cursor.sequence()), (Some("0199c3f1-2d0a-7e84"), 41_272));
/// assert_eq!(cursor.to_string(), "0199c3f1-2d0a-7e84:41272");
/// assert_eq!("".parse(), Ok(LogCursor::start()));
/// # Ok::<(), pipewright::feldera::stream::LogCursorError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogCursor(Option<(Box<str>, u64)>);

impl LogCursor {
    /// Creates a cursor at the beginning of the lines that the server has kept.
    pub fn start() -> Self {
        Self(None)
    }

    /// Creates a cursor after a line.
    pub(super) fn behind(epoch: &str, sequence: u64) -> Self {
        Self(Some((epoch.into(), sequence)))
    }

    /// Returns the [epoch](LogPosition::epoch) of the server's buffer; `None` at the beginning.
    pub fn epoch(&self) -> Option<&str> {
        self.0.as_ref().map(|(epoch, _)| &**epoch)
    }

    /// Returns the number of the last line that was read; 0 at the beginning.
    pub fn sequence(&self) -> u64 {
        self.0.as_ref().map_or(0, |(_, sequence)| *sequence)
    }
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((epoch, sequence)) => write!(f, "{epoch}:{sequence}"),
            None => Ok(()),
        }
    }
}

impl Parameter for LogCursor {}

impl FromStr for LogCursor {
    type Err = LogCursorError;

    fn from_str(text: &str) -> Result<Self, LogCursorError> {
        if text.is_empty() {
            return Ok(Self::start());
        }
        let parts = text.rsplit_once(':').filter(|(epoch, _)| !epoch.is_empty());
        parts
            .and_then(|(epoch, sequence)| Some(Self::behind(epoch, number(sequence)?)))
            .ok_or_else(|| LogCursorError { excerpt: excerpt(text.as_bytes(), 80) })
    }
}

impl Serialize for LogCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is not a [`LogCursor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCursorError {
    excerpt: String,
}

impl fmt::Display for LogCursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.excerpt;
        write!(
            f,
            "log cursor `{text}`: it is not `<epoch>:<sequence>`; pass the text of an earlier cursor, or an empty one \
             to read from the beginning"
        )
    }
}

impl Error for LogCursorError {}

/// The position at which the body of a response begins, from its headers. Servers up to 0.337 do not send these
/// headers. Later servers send them only if the request has a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPosition {
    /// The id of the server's buffer. A new epoch begins when the runner restarts, or when the pipeline is deleted and
    /// created again, but not when the pipeline stops. From the header `feldera-logs-epoch`.
    pub epoch: String,
    /// The number of the line before the first line of the body. From the header `feldera-logs-seq`.
    pub sequence: u64,
    /// The number of lines that the server has discarded between the cursor of the request and the first line of the
    /// body. From the header `feldera-logs-gap`.
    pub gap: u64,
}

impl LogPosition {
    /// Reads the headers; `None` if a header is missing or invalid.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let epoch = text("feldera-logs-epoch").filter(|epoch| !epoch.is_empty())?.to_owned();
        let (sequence, gap) = (number(text("feldera-logs-seq")?)?, number(text("feldera-logs-gap")?)?);
        Some(Self { epoch, sequence, gap })
    }
}

/// Reads a number of digits only, because `parse` accepts a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_saved_as_its_text() {
        for text in ["", "e:0", "a:b:18446744073709551615"] {
            let cursor: LogCursor = text.parse().expect("a cursor");
            let json = serde_json::to_string(&cursor).expect("it is written");
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<LogCursor>(&json).expect("it is read"), cursor);
        }
    }

    #[test]
    fn what_is_no_cursor_is_named() {
        for text in ["e", ":1", "e:", "e:-1", "e:+1", "e:1x", "e:18446744073709551616"] {
            let error = text.parse::<LogCursor>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn a_position_needs_all_three_headers() {
        let all = [("feldera-logs-epoch", "e"), ("feldera-logs-seq", "41"), ("feldera-logs-gap", "2")];
        let read = |headers: &[(&'static str, &str)]| {
            let value = |value: &str| value.parse().expect("a header");
            LogPosition::from_headers(&headers.iter().map(|(n, v)| (n.parse().expect("a name"), value(v))).collect())
        };
        assert_eq!(read(&all), Some(LogPosition { epoch: "e".into(), sequence: 41, gap: 2 }));
        for missing in 0..3 {
            let mut some = all.to_vec();
            some.remove(missing);
            assert_eq!(read(&some), None);
            some.push((all[missing].0, ""));
            assert_eq!(read(&some), None);
        }
    }
}

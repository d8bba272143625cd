//! [`Body`]: a request body of shared segments.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

/// A request body: empty, one segment, or several. A clone for another attempt copies no data.
///
/// Its length is always known, so a transport can send `Content-Length`.
///
/// ```
/// use pipewright::{Body, Segment};
/// let body = Body::from_segments([Segment::from("head "), Segment::from("tail")]);
/// assert_eq!(body.len(), 9);
/// assert_eq!(body.read()?, "head tail");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Body(Repr);

#[derive(Clone, Default)]
enum Repr {
    #[default]
    Empty,
    One(Segment),
    Many(Arc<[Segment]>),
}

/// A part of a [`Body`].
#[derive(Clone)]
pub enum Segment {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that the transport reads when it sends them.
    Source(Arc<dyn Source>),
}

/// Data that can be read again from its start for every attempt, such as a file.
pub trait Source: fmt::Debug + Send + Sync {
    /// Returns how many bytes a reader from [`open`](Source::open) yields.
    fn len(&self) -> u64;

    /// Returns whether it yields no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens a reader at the start. The transport calls it once for each attempt.
    ///
    /// # Errors
    /// The error of opening. Then the request is not sent.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

impl Body {
    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self(Repr::Empty)
    }

    /// Creates a body of several segments, one after the other.
    pub fn from_segments(segments: impl IntoIterator<Item = Segment>) -> Self {
        let segments: Arc<[Segment]> = segments.into_iter().collect();
        Self(if segments.is_empty() { Repr::Empty } else { Repr::Many(segments) })
    }

    /// Returns the segments in order.
    pub fn segments(&self) -> &[Segment] {
        match &self.0 {
            Repr::Empty => &[],
            Repr::One(segment) => std::slice::from_ref(segment),
            Repr::Many(segments) => segments,
        }
    }

    /// Returns the length in bytes. It saturates.
    pub fn len(&self) -> u64 {
        self.segments().iter().fold(0, |sum, segment| sum.saturating_add(segment.len()))
    }

    /// Returns whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory of a single piece that is not shared.
    pub(crate) fn into_vec(self) -> Option<Vec<u8>> {
        match self.0 {
            Repr::One(Segment::Bytes(bytes)) if bytes.is_unique() => Some(bytes.into()),
            _ => None,
        }
    }

    /// Returns the whole body in memory, for tests and for transports that do not stream. A single segment of bytes is
    /// not copied.
    ///
    /// # Errors
    /// The error of a [`Source`] that cannot be read, or that yields another length than it announced.
    pub fn read(&self) -> io::Result<Bytes> {
        if let [Segment::Bytes(bytes)] = self.segments() {
            return Ok(bytes.clone());
        }
        let mut all = Vec::new();
        for segment in self.segments() {
            match segment {
                Segment::Bytes(bytes) => all.extend_from_slice(bytes),
                Segment::Source(source) => {
                    let read = source.open()?.take(source.len().saturating_add(1)).read_to_end(&mut all)?;
                    if read as u64 != source.len() {
                        return Err(io::Error::other(format!(
                            "{source:?} announced {} bytes and yielded {read}",
                            source.len()
                        )));
                    }
                }
            }
        }
        Ok(all.into())
    }
}

impl Segment {
    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Source(source) => source.len(),
        }
    }

    /// Returns whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Into<Bytes>> From<T> for Segment {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() { Repr::Empty } else { Repr::One(Segment::Bytes(bytes)) })
    }
}

/// Shows lengths only, because bodies may be large or confidential.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body").field(&self.segments()).finish()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Source(source) => write!(f, "{} bytes of {source:?}", source.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Liar;

    impl Source for Liar {
        fn len(&self) -> u64 {
            3
        }

        fn open(&self) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(&b"four"[..]))
        }
    }

    #[test]
    fn one_piece_is_shared_and_not_copied() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let body = Body::from(bytes.clone());
        assert_eq!(body.clone().read().expect("in memory").as_ptr(), bytes.as_ptr());
        assert!(Body::from("").segments().is_empty());
    }

    #[test]
    fn a_source_of_another_length_is_an_error() {
        let error = Body::from_segments([Segment::Source(Arc::new(Liar))]).read().expect_err("too long");
        assert_eq!(error.to_string(), "Liar announced 3 bytes and yielded 4");
    }

    #[test]
    fn debug_shows_lengths_only() {
        assert_eq!(format!("{:?}", Body::from("secret")), "Body([6 bytes])");
    }
}

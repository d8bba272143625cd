//! [`Body`]: a request body as shared segments.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

/// A request body: nothing, one piece, or several. Cloning it for another attempt copies no data.
///
/// Its length is always known, so that a transport can send an exact `Content-Length`.
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

/// A piece of a [`Body`].
#[derive(Clone)]
pub enum Segment {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that the transport reads when it sends them.
    Source(Arc<dyn Source>),
}

/// Something that can be read from its start again for every attempt, such as a file.
pub trait Source: fmt::Debug + Send + Sync {
    /// How many bytes a reader from [`open`](Source::open) yields.
    fn len(&self) -> u64;

    /// Whether it yields none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reader at the start. Called by the transport, once for each attempt.
    ///
    /// # Errors
    /// Whatever opening it gives; the request then counts as not sent.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Repr::Empty)
    }

    /// A body of several segments, one after the other.
    pub fn from_segments(segments: impl IntoIterator<Item = Segment>) -> Self {
        let segments: Arc<[Segment]> = segments.into_iter().collect();
        Self(if segments.is_empty() { Repr::Empty } else { Repr::Many(segments) })
    }

    /// The segments in order.
    pub fn segments(&self) -> &[Segment] {
        match &self.0 {
            Repr::Empty => &[],
            Repr::One(segment) => std::slice::from_ref(segment),
            Repr::Many(segments) => segments,
        }
    }

    /// The length in bytes; saturates.
    pub fn len(&self) -> u64 {
        self.segments().iter().fold(0, |sum, segment| sum.saturating_add(segment.len()))
    }

    /// Whether the body is empty.
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

    /// All of it in memory; a single piece of bytes is not copied. For tests and for transports that do not stream.
    ///
    /// # Errors
    /// When a [`Source`] cannot be read or yields another length than it said.
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
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Source(source) => source.len(),
        }
    }

    /// Whether it is empty.
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

//! [`Upload`]: a request body that is being sent.

use std::collections::VecDeque;
use std::io::{self, Read};

use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::{Body, Segment, Source};

/// Reads the segments of a body one after the other, and holds each [`Source`] to the length it gave.
pub(crate) struct Upload<'a> {
    pieces: VecDeque<Piece<'a>>,
    length: u64,
    failure: Option<Failure>,
}

enum Piece<'a> {
    Bytes(&'a [u8]),
    Source { source: &'a dyn Source, reader: Box<dyn Read + Send>, said: u64, left: u64 },
}

/// Why the body could not be read.
struct Failure {
    message: String,
    cause: Option<io::Error>,
}

impl<'a> Upload<'a> {
    /// Opens every source now, while a failure still means that nothing was sent.
    pub(crate) fn open(body: &'a Body) -> Result<Self, TransportError> {
        let (mut pieces, mut length) = (VecDeque::new(), 0_u64);
        for segment in body.segments() {
            let said = segment.len();
            if said == 0 {
                continue;
            }
            length = length.saturating_add(said);
            pieces.push_back(match segment {
                Segment::Bytes(bytes) => Piece::Bytes(bytes),
                Segment::Source(source) => {
                    let reader = source.open().map_err(|error| cannot_open(&**source, error))?;
                    Piece::Source { source: &**source, reader, said, left: said }
                }
            });
        }
        Ok(Self { pieces, length, failure: None })
    }

    /// How many bytes there are, of all segments.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Why reading failed, if it did. The head of the request was sent by then.
    pub(crate) fn into_failure(self) -> Option<TransportError> {
        let Failure { message, cause } = self.failure?;
        let error = TransportError::new(TransportErrorKind::Source, Delivery::Unknown, message);
        Some(match cause {
            Some(cause) => error.with_source(cause),
            None => error,
        })
    }
}

impl Read for Upload<'_> {
    /// Fills the buffer, across segments: each read becomes a write to the socket.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty())
            && let Some(piece) = self.pieces.front_mut()
        {
            match piece.read(free) {
                Ok(read) => filled += read,
                Err(failure) => {
                    self.failure = Some(failure);
                    return Err(io::Error::other("the request body could not be read"));
                }
            }
            if self.pieces.front().is_some_and(Piece::is_done) {
                self.pieces.pop_front();
            }
        }
        Ok(filled)
    }
}

impl Piece<'_> {
    fn is_done(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Source { left, .. } => *left == 0,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        match self {
            // Cannot fail: it copies.
            Self::Bytes(bytes) => Ok(bytes.read(buffer).unwrap_or_default()),
            Self::Source { source, reader, said, left } => {
                let read = read_some(reader, limited(buffer, *left)).map_err(|error| failed(*source, error))?;
                if read == 0 {
                    let message = format!("{source:?} announced {said} bytes and yielded {}", *said - *left);
                    return Err(Failure { message, cause: None });
                }
                *left = left.saturating_sub(read as u64);
                // Before the last byte of the body is out: afterwards the request would be complete, and wrong.
                if *left == 0 && read_some(reader, &mut [0]).map_err(|error| failed(*source, error))? > 0 {
                    let message = format!("{source:?} announced {said} bytes and yields more");
                    return Err(Failure { message, cause: None });
                }
                Ok(read)
            }
        }
    }
}

fn cannot_open(source: &dyn Source, error: io::Error) -> TransportError {
    let message = format!("{source:?} cannot be opened: {error}");
    TransportError::new(TransportErrorKind::Source, Delivery::NotSent, message).with_source(error)
}

fn failed(source: &dyn Source, error: io::Error) -> Failure {
    Failure { message: format!("{source:?} cannot be read: {error}"), cause: Some(error) }
}

fn limited(buffer: &mut [u8], limit: u64) -> &mut [u8] {
    let length = buffer.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    &mut buffer[..length]
}

fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A reader may claim more than there was room for.
            result => return result.map(|read| read.min(buffer.len())),
        }
    }
}

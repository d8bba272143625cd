//! Where a body ends, found while its bytes pass by unchanged.

use std::cell::RefCell;
use std::rc::Rc;

use super::head::{Framing, Trouble};

/// The payload of a body for a recording, as long as it is not too long.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tap {
    /// Empty if there is more than the limit.
    pub(super) bytes: Vec<u8>,
    /// How much there is.
    pub(super) length: u64,
    limit: usize,
}

/// A tap that the recording and the scanner of one connection have in common.
pub(super) type SharedTap = Rc<RefCell<Tap>>;

impl Tap {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), length: 0, limit }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.is_too_long() {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.length > self.limit as u64
    }
}

/// Finds the end of a body whose bytes come in pieces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scanner {
    /// The part that the body begins with.
    start: Part,
    part: Part,
    /// The payload without the framing of chunks, if it is kept.
    decoded: Option<Vec<u8>>,
    tap: Option<SharedTap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// So many bytes are left.
    Length(u64),
    /// The line with a chunk's size: the digits so far, and whether extensions have begun.
    Size {
        size: Option<u64>,
        extension: bool,
    },
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The line break behind a chunk.
    Break,
    /// Behind the last chunk: how much there is on this line.
    Trailer {
        length: usize,
    },
    /// The body ends with the connection.
    Close,
    Done,
}

impl Scanner {
    pub(super) fn new(framing: Framing) -> Self {
        let part = match framing {
            Framing::Length(0) => Part::Done,
            Framing::Length(length) => Part::Length(length),
            Framing::Chunked => Part::Size { size: None, extension: false },
        };
        Self::at(part)
    }

    /// A body that ends when the connection does.
    pub(super) fn until_close() -> Self {
        Self::at(Part::Close)
    }

    fn at(start: Part) -> Self {
        Self { start, part: start, decoded: None, tap: None }
    }

    /// A scanner for the same body from its start, which keeps nothing yet.
    pub(super) fn again(&self) -> Self {
        Self::at(self.start)
    }

    /// Shows the payload to a tap from now on.
    pub(super) fn tap(&mut self, tap: &SharedTap) {
        self.tap = Some(Rc::clone(tap));
    }

    /// The tap, if there is one.
    pub(super) fn tapped(&self) -> Option<SharedTap> {
        self.tap.clone()
    }

    /// Keeps the payload from now on; [`into_payload`](Self::into_payload) has it.
    pub(super) fn keep_payload(&mut self) {
        self.decoded.get_or_insert_default();
    }

    /// Forgets the payload and keeps no more of it.
    pub(super) fn drop_payload(&mut self) {
        self.decoded = None;
    }

    pub(super) fn into_payload(self) -> Vec<u8> {
        self.decoded.unwrap_or_default()
    }

    pub(super) fn is_done(&self) -> bool {
        self.part == Part::Done
    }

    pub(super) fn ends_by_close(&self) -> bool {
        self.part == Part::Close
    }

    /// Ends a body that ends when the connection does.
    pub(super) fn close(&mut self) {
        self.part = Part::Done;
    }

    /// Returns how many of these bytes belong to the body.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.part {
                Part::Done => break,
                Part::Close => self.take(rest, u64::MAX).0,
                Part::Length(left) => {
                    let (taken, left) = self.take(rest, left);
                    self.part = if left == 0 { Part::Done } else { Part::Length(left) };
                    taken
                }
                Part::Chunk(left) => {
                    let (taken, left) = self.take(rest, left);
                    self.part = if left == 0 { Part::Break } else { Part::Chunk(left) };
                    taken
                }
                Part::Break | Part::Size { .. } | Part::Trailer { .. } => {
                    self.part = next(self.part, rest.first().copied().unwrap_or_default())?;
                    1
                }
            };
        }
        Ok(at)
    }

    fn take(&mut self, bytes: &[u8], left: u64) -> (usize, u64) {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let payload = bytes.get(..taken).unwrap_or_default();
        if let Some(decoded) = &mut self.decoded {
            decoded.extend_from_slice(payload);
        }
        if let Some(tap) = &self.tap {
            tap.borrow_mut().add(payload);
        }
        (taken, left.saturating_sub(taken as u64))
    }
}

/// What follows a byte of the framing.
fn next(part: Part, byte: u8) -> Result<Part, Trouble> {
    let unreadable = || Trouble::Unreadable("a chunk without a size");
    Ok(match (part, byte) {
        (Part::Break, b'\r') => Part::Break,
        (Part::Break, b'\n') => Part::Size { size: None, extension: false },
        (Part::Break, _) => return Err(Trouble::Unreadable("a chunk that does not end where it should")),
        (Part::Size { size: Some(0), .. }, b'\n') => Part::Trailer { length: 0 },
        (Part::Size { size, .. }, b'\n') => Part::Chunk(size.ok_or_else(unreadable)?),
        (Part::Size { size, .. }, b'\r') => Part::Size { size, extension: true },
        (Part::Size { size, extension: false }, byte) => match char::from(byte).to_digit(16) {
            Some(digit) => {
                let size = size.unwrap_or(0).checked_mul(16).ok_or_else(unreadable)?;
                Part::Size { size: Some(size | u64::from(digit)), extension: false }
            }
            None if matches!(byte, b';' | b' ' | b'\t') => Part::Size { size, extension: true },
            None => return Err(unreadable()),
        },
        (Part::Trailer { length: 0 }, b'\n') => Part::Done,
        (Part::Trailer { .. }, b'\n') => Part::Trailer { length: 0 },
        (Part::Trailer { length }, b'\r') => Part::Trailer { length },
        (Part::Trailer { length }, _) => Part::Trailer { length: length.saturating_add(1) },
        (part, _) => part,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of a body that comes in pieces of this size, and how many bytes of all belong to it.
    fn scanned(framing: Framing, bytes: &[u8], size: usize) -> Result<(Vec<u8>, usize, bool), Trouble> {
        let mut scanner = Scanner::new(framing);
        scanner.keep_payload();
        let mut length = 0;
        for piece in bytes.chunks(size) {
            length += scanner.scan(piece)?;
        }
        let done = scanner.is_done();
        Ok((scanner.into_payload(), length, done))
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let chunked = b"5;a=b\r\nhello\r\n0A \r\n, wide wor\r\n2\r\nld\r\n0\r\nTrailer: x\r\n\r\nGET /";
        for size in [1, 2, 3, 7, 100] {
            let read = scanned(Framing::Chunked, chunked, size).expect("chunks");
            assert_eq!(read, (b"hello, wide world".to_vec(), chunked.len() - 5, true), "{size}");
            let read = scanned(Framing::Length(5), b"helloGET /", size).expect("a length");
            assert_eq!(read, (b"hello".to_vec(), 5, true), "{size}");
        }
        assert_eq!(scanned(Framing::Length(0), b"GET /", 9), Ok((Vec::new(), 0, true)));
        assert_eq!(scanned(Framing::Length(6), b"hello", 9), Ok((b"hello".to_vec(), 5, false)));
    }

    #[test]
    fn a_tap_has_the_payload_unless_it_is_too_long() {
        let chunked = b"5\r\nhello\r\n2\r\n!!\r\n0\r\n\r\n";
        for (limit, kept) in [(7, &b"hello!!"[..]), (6, b"")] {
            let tap = SharedTap::new(RefCell::new(Tap::new(limit)));
            let mut scanner = Scanner::new(Framing::Chunked);
            scanner.tap(&tap);
            for piece in chunked.chunks(2) {
                scanner.scan(piece).expect("chunks");
            }
            assert_eq!((&tap.borrow().bytes[..], tap.borrow().length), (kept, 7));
        }
    }

    #[test]
    fn broken_chunks_are_rejected() {
        for bytes in ["hello", "\r\n", "5\r\nhello!\r\n", "11111111111111111\r\n", "-1\r\n"] {
            assert!(scanned(Framing::Chunked, bytes.as_bytes(), 3).is_err(), "{bytes:?}");
        }
    }
}

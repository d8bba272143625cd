//! Lines of about 100 bytes, split from pieces of 16 KiB.

use std::fmt::Write as _;
use std::hint::black_box;

use memchr::{memchr, memchr_iter};
use pipewright::decode::{Decoder, LineLimit, Lines, NdJson};

const PIECE: usize = 16 * 1024;

/// The same bytes, split in several ways. Each gives the number of lines.
pub(crate) struct Splitting {
    bytes: Vec<u8>,
}

impl Splitting {
    pub(crate) fn new(rows: u32) -> Self {
        let mut text = String::new();
        for row in 0..rows {
            let width = row as usize % 21;
            let _ = writeln!(
                text,
                r#"{{"insert":{{"id":{row:08},"account":"DE{row:020}","note":"{:width$}","amount":{:05}}}}}"#,
                "",
                row % 99_999
            );
        }
        let splitting = Self { bytes: text.into_bytes() };
        let counts = [splitting.floor(), splitting.memchr_iter(), splitting.lines(), splitting.ndjson()];
        assert_eq!(counts, [rows as usize; 4]);
        splitting
    }

    /// With [`Lines`].
    pub(crate) fn lines(&self) -> usize {
        let (mut decoder, mut lines) = (Lines::new(LineLimit::default()), 0);
        for piece in self.bytes.chunks(PIECE) {
            decoder.feed(piece);
            while decoder.advance().expect("lines") {
                black_box(decoder.item());
                lines += 1;
            }
        }
        lines
    }

    /// With [`NdJson`].
    pub(crate) fn ndjson(&self) -> usize {
        let (mut decoder, mut lines) = (NdJson::new(LineLimit::default()), 0);
        for piece in self.bytes.chunks(PIECE) {
            decoder.feed(piece);
            while decoder.advance().expect("JSON") {
                black_box(decoder.item());
                lines += 1;
            }
        }
        lines
    }

    /// With `memchr`, over the whole and without a copy.
    pub(crate) fn floor(&self) -> usize {
        let (mut rest, mut lines) = (&self.bytes[..], 0);
        while let Some(at) = memchr(b'\n', rest) {
            black_box(&rest[..at]);
            rest = &rest[at + 1..];
            lines += 1;
        }
        lines
    }

    /// The same with memchr's own iterator.
    pub(crate) fn memchr_iter(&self) -> usize {
        let (mut start, mut lines) = (0, 0);
        for at in memchr_iter(b'\n', &self.bytes) {
            black_box(&self.bytes[start..at]);
            start = at + 1;
            lines += 1;
        }
        lines
    }
}

//! [`Compression`].

use crate::snowpipe::append::Encoding;

/// How batches are compressed. A batch that would not get smaller is sent without compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// gzip ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952)), with a level of 1 (fast) to 9 (small).
    #[cfg(feature = "gzip")]
    Gzip(u32),
    /// Zstandard ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878)), with a level of -7 (fastest) to 22 (smallest). 1
    /// is a good level for rows.
    #[cfg(feature = "zstd")]
    Zstd(i32),
}

impl Compression {
    /// Returns the compressed bytes; `None` if they are not smaller than `bytes`.
    pub(super) fn compress(self, bytes: &[u8]) -> Option<(Encoding, Vec<u8>)> {
        let compressed: Option<(Encoding, Vec<u8>)> = match self {
            Self::None => None,
            #[cfg(feature = "gzip")]
            Self::Gzip(level) => gzip(bytes, level).map(|bytes| (Encoding::Gzip, bytes)),
            #[cfg(feature = "zstd")]
            Self::Zstd(level) => zstd::bulk::compress(bytes, level).ok().map(|bytes| (Encoding::Zstd, bytes)),
        };
        let (encoding, mut compressed) = compressed.filter(|(_, compressed)| compressed.len() < bytes.len())?;
        // The buffer has room for the worst case, and may be kept for a while.
        compressed.shrink_to_fit();
        Some((encoding, compressed))
    }
}

#[cfg(feature = "gzip")]
fn gzip(bytes: &[u8], level: u32) -> Option<Vec<u8>> {
    use std::io::Write as _;

    let room = Vec::with_capacity(bytes.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(level.clamp(1, 9)));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

//! [`Newlines`]: finds the line ends in a buffer.

/// How many bytes are searched at once, if the processor supports that.
const BLOCK: usize = 64;

/// Finds the `\n` of a buffer one after the other. Searches each byte once.
///
/// Rows are about a hundred bytes long, so the start of a search costs most. `memchr` starts again for each line. Here,
/// one search of 64 bytes finds all their line ends.
#[derive(Debug, Default)]
pub(super) struct Newlines {
    /// Up to where the buffer was searched.
    searched: usize,
    /// The line ends in the last block that were not returned yet: bit *n* stands for byte `searched - 64 + n`.
    found: u64,
}

impl Newlines {
    /// Returns the next line end; `None` if the rest of the buffer has no line end.
    #[inline]
    pub(super) fn next(&mut self, buffer: &[u8]) -> Option<usize> {
        while self.found == 0 {
            let rest = buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = rest.first_chunk().and_then(places) else {
                return self.next_in_rest(rest);
            };
            self.found = found;
            self.searched += BLOCK;
        }
        // A bit stands for a byte of the buffer, so this does not go below zero.
        let at = self.searched + self.found.trailing_zeros() as usize - BLOCK;
        self.found &= self.found - 1;
        Some(at)
    }

    /// Searches the end of the buffer, which is not a whole block.
    #[inline(never)]
    fn next_in_rest(&mut self, rest: &[u8]) -> Option<usize> {
        let found = memchr::memchr(b'\n', rest);
        let at = found.map(|at| self.searched + at);
        self.searched += found.map_or(rest.len(), |at| at + 1);
        at
    }

    /// Skips to this place, near the beginning of the buffer: no line ends before it.
    pub(super) fn skip_to(&mut self, at: usize) {
        self.searched = self.searched.max(at);
    }

    /// Records that the buffer has lost its first bytes, all before the next line end.
    pub(super) fn shift(&mut self, bytes: usize) {
        self.searched -= bytes;
    }
}

/// Returns which bytes are `\n`, as one bit for each.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline]
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "bits, not numbers")]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere this has no effect")]
fn places(block: &[u8; BLOCK]) -> Option<u64> {
    use safe_arch::{cmp_eq_mask_i8_m128i, load_unaligned_m128i, move_mask_i8_m128i, set_splat_i8_m128i};

    let newlines = set_splat_i8_m128i(b'\n' as i8);
    let (quarters, _) = block.as_chunks::<16>();
    Some(quarters.iter().rev().fold(0, |places, bytes| {
        let equal = cmp_eq_mask_i8_m128i(load_unaligned_m128i(bytes), newlines);
        places << 16 | u64::from(move_mask_i8_m128i(equal) as u32)
    }))
}

/// On other processors, `memchr` is faster.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
fn places(_: &[u8; BLOCK]) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_found_whatever_was_found_before() {
        // Line lengths of all kinds around a block's, by a sequence that looks random and is not.
        let mut text = Vec::new();
        let mut state = 1_u32;
        while text.len() < 10_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = [0, 1, 14, 15, 16, 62, 63, 64, 65, 200][(state >> 16) as usize % 10];
            text.extend(std::iter::repeat_n(0x8a, length));
            text.push(b'\n');
        }
        let expected: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b'\n').collect();
        for grown in [1, 7, 63, 64, 65, 1000, text.len()] {
            let mut newlines = Newlines::default();
            let mut seen = Vec::new();
            for end in (0..text.len()).step_by(grown).skip(1).chain([text.len()]) {
                seen.extend(std::iter::from_fn(|| newlines.next(&text[..end])));
            }
            assert_eq!(seen, expected, "in pieces of {grown}");
        }
    }

    #[test]
    fn places_move_with_the_buffer() {
        let mut newlines = Newlines::default();
        let mut text = b"a\nbb\nccc\n".repeat(20);
        assert_eq!([newlines.next(&text), newlines.next(&text)], [Some(1), Some(4)]);
        text.drain(..5);
        newlines.shift(5);
        assert_eq!([newlines.next(&text), newlines.next(&text)], [Some(3), Some(5)]);
    }
}

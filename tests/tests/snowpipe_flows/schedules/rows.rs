//! The rows of a run: their sizes, which of them have offset tokens, and the pieces in which they are pushed.

use std::fmt::Write as _;

use pipewright::Seed;
use pipewright::snowpipe::OpenWriter;
use pipewright::snowpipe::rows::BatchOptions;

use super::schedule::{one_in, small};

/// So many rows make a batch.
pub(crate) const ROWS_OF_A_BATCH: u32 = 5;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// How many bytes each row has beyond its number and its source; the bytes of the first row come first.
    padding: Vec<usize>,
    /// Every so many rows, a row has an offset token. The last row has a token.
    token_every: u32,
    /// When a batch is full.
    batch_bytes: Option<usize>,
    /// How much the writer keeps.
    max_bytes: Option<u64>,
}

impl Rows {
    /// So many short rows, each with a token.
    pub(crate) fn plain(rows: u32) -> Self {
        Self { padding: vec![0; rows as usize], token_every: 1, batch_bytes: None, max_bytes: None }
    }

    pub(crate) fn draw(&mut self, seed: &mut Seed) {
        let most = match seed.below(8) {
            0..4 => 0,
            4..7 => 80,
            _ => 3000,
        };
        self.padding.iter_mut().for_each(|padding| *padding = small(seed, 0, most) as usize);
        // Now and then, because packing and unpacking takes the time of many schedules.
        if one_in(seed, 100) {
            let at = small(seed, 1, self.count()) as usize - 1;
            self.padding[at] = small(seed, 50_000, 300_000) as usize;
        }
        if one_in(seed, 4) {
            self.batch_bytes = Some(small(seed, 1, 400) as usize);
        }
        if one_in(seed, 4) {
            self.max_bytes = Some(u64::from(small(seed, 1, 1000)));
        }
        if one_in(seed, 4) {
            self.token_every = small(seed, 2, 7);
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.padding.len()).expect("few")
    }

    pub(crate) fn has_token(&self, number: u32) -> bool {
        number.is_multiple_of(self.token_every) || number == self.count()
    }

    /// The first row from this row on that has a token.
    pub(crate) fn next_token(&self, number: u32) -> u32 {
        number.next_multiple_of(self.token_every).min(self.count())
    }

    /// The last row before this row that has a token; 0 without such a row.
    pub(crate) fn token_before(&self, number: u32) -> u32 {
        number.saturating_sub(1) / self.token_every * self.token_every
    }

    /// What makes a row as long as it is, and hardly gets shorter when it is compressed.
    pub(crate) fn padding(&self, number: u32) -> String {
        let length = self.padding[number as usize - 1];
        let mut seed = Seed::new(u128::from(number));
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            write!(text, "{:016x}", seed.next_u64()).expect("memory");
        }
        text.truncate(length);
        text
    }

    pub(crate) fn options(&self, options: BatchOptions) -> BatchOptions {
        let options = options.rows(ROWS_OF_A_BATCH as usize);
        self.batch_bytes.map_or(options.clone(), |bytes| options.bytes(bytes))
    }

    pub(crate) fn limits(&self, open: OpenWriter) -> OpenWriter {
        self.max_bytes.map_or(open.clone(), |bytes| open.max_bytes(bytes))
    }
}

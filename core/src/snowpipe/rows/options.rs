//! [`BatchOptions`]: when a batch ends, and how its rows are written.

use std::time::Duration;

use super::{Compression, NonFinite};

/// When a batch ends, and how its rows are written.
///
/// ```
/// use std::time::Duration;
/// use pipewright::snowpipe::rows::{BatchOptions, NonFinite};
/// let options = BatchOptions::new().rows(10_000).age(Duration::from_millis(200)).non_finite(NonFinite::Null);
/// assert_eq!(options.bytes, 1_048_576);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// How many bytes a batch may have before compression; 1 MiB by default, and without compression at most 4 MiB. A
    /// larger row gets a separate batch.
    pub bytes: usize,
    /// How many rows a batch may have; unlimited by default.
    pub rows: usize,
    /// How long the first row of a batch may wait for further rows; 1 s by default.
    pub age: Duration,
    /// How batches are compressed; not compressed by default.
    pub compression: Compression,
    /// What to do with `NaN` and the infinities. By default they are an error:
    /// [`RowError::NotFinite`](super::RowError::NotFinite).
    pub non_finite: NonFinite,
    /// Whether the keys of each row, but not those within its values, are written in upper-case ASCII; false by
    /// default. Escaped letters, as in `"\u0061"`, are not changed. If two keys of a row differ only in case, the row
    /// then has the same key twice, and Snowflake does not document which value it uses.
    pub upper_case_keys: bool,
    /// Between which rows a batch may end; between any two rows by default.
    pub cut: Cut,
}

/// Between which rows a batch may end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Between any two rows.
    #[default]
    Anywhere,
    /// Only after a row with an offset token. Rows without a token stay in one batch with the next row that has a
    /// token, whatever the limits say. Example: set a token only on the last row of a transaction, and all its rows are
    /// committed together.
    BehindTokens,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            bytes: 1024 * 1024,
            rows: usize::MAX,
            age: Duration::from_secs(1),
            compression: Compression::None,
            non_finite: NonFinite::Reject,
            upper_case_keys: false,
            cut: Cut::Anywhere,
        }
    }
}

impl BatchOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`bytes`](Self::bytes).
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets [`rows`](Self::rows).
    pub fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// Sets [`age`](Self::age).
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Sets [`compression`](Self::compression).
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets [`non_finite`](Self::non_finite).
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// Sets [`upper_case_keys`](Self::upper_case_keys).
    pub fn upper_case_keys(mut self, upper_case: bool) -> Self {
        self.upper_case_keys = upper_case;
        self
    }

    /// Sets [`cut`](Self::cut).
    pub fn cut(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }
}

//! Splits closed rows that are too large for one append, also after compression.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use super::{BatchBuilder, LIMIT};
use crate::snowpipe::rows::Cut;

impl BatchBuilder {
    /// Compresses rows into one batch, or into several batches if they are too large for one batch.
    pub(super) fn seal(&mut self, rows: Range<usize>) {
        let mut parts = vec![rows];
        while let Some(rows) = parts.pop() {
            let lines = self.lines.get(self.ends(rows.start).line..self.ends(rows.end).line).unwrap_or_default();
            let (encoding, body) = match self.options.compression.compress(lines) {
                Some((encoding, bytes)) if bytes.len() <= LIMIT => (Some(encoding), bytes.into()),
                _ => match self.middle(&rows).filter(|_| lines.len() > LIMIT) {
                    Some(middle) => {
                        parts.extend([middle..rows.end, rows.start..middle]);
                        continue;
                    }
                    // Rows that must stay together are never larger than the limit.
                    None => (None, Bytes::copy_from_slice(lines)),
                },
            };
            let batch = self.batch(rows, body, encoding);
            self.closed.push_back(batch);
        }
    }

    /// Returns the allowed cut nearest to the middle of several rows.
    fn middle(&self, rows: &Range<usize>) -> Option<usize> {
        let (start, end) = (self.ends(rows.start).line, self.ends(rows.end).line);
        let middle = start + (end - start) / 2;
        let may_cut = |cut: &usize| {
            self.options.cut == Cut::Anywhere || self.ends(*cut).token > self.ends(cut.saturating_sub(1)).token
        };
        let repeated = match self.options.cut {
            Cut::Anywhere => BTreeSet::new(),
            Cut::BehindTokens => self.repeated_tokens(),
        };
        let cuts = (rows.start + 1..rows.end).filter(may_cut);
        cuts.min_by_key(|cut| (repeated.contains(&self.token(cut - 1)), self.ends(*cut).line.abs_diff(middle)))
    }

    /// Returns the tokens that several rows have. No batch should end with such a token.
    fn repeated_tokens(&self) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        (0..self.rows.len()).map(|row| self.token(row)).filter(|token| !seen.insert(*token)).collect()
    }
}

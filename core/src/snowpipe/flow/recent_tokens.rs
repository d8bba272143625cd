//! [`RecentTokens`]: the offset tokens that were committed before.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::snowpipe::tuning::MAX_RECENT_TOKENS;

/// The last tokens that were committed, alone or together with a later token; and `None` for a channel without a
/// committed token.
///
/// Only hashes are kept, so that they take half a kilobyte however long the tokens are. If two tokens have the same
/// hash (about 1 in 10^19), a foreign token counts as an old token of this writer, until the next open.
#[derive(Debug, Default)]
pub(super) struct RecentTokens(VecDeque<u64>);

impl RecentTokens {
    pub(super) fn add(&mut self, token: Option<&str>) {
        if self.0.len() == MAX_RECENT_TOKENS {
            self.0.pop_front();
        }
        self.0.push_back(hash(token));
    }

    pub(super) fn contains(&self, token: Option<&str>) -> bool {
        self.0.contains(&hash(token))
    }
}

fn hash(token: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    hasher.finish()
}

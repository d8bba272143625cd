//! [`RecentTokens`]: which offset tokens were committed before.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::snowpipe::tuning::MAX_RECENT_TOKENS;

/// The last tokens that were committed, or that a commit has passed over; and `None`, the time before the first token.
///
/// Kept as their hashes, so that it takes half a kilobyte however long the tokens are. Of two tokens in 10^19 the hash
/// is the same: a foreign token would then be taken for an old token of ours; the next open would still show the
/// difference.
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

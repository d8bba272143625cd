//! [`Patience`]: refusals that pass when rows are committed, waited out.

use std::time::Duration;

use super::ChannelPath;
use crate::error::ServiceError;
use crate::flow::{Common, Notice};
use crate::snowpipe::{ErrorCode, SnowpipeIngest, error_code};
use crate::time::Timestamp;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(8);

/// Whether a refusal passes by itself, with the time that commits take and not with that of a fault.
pub(super) fn is_busy(error: &ServiceError) -> bool {
    matches!(error_code(error), Some(ErrorCode::UncommittedData | ErrorCode::OpenInProgress))
}

/// How long to go on asking a channel that is busy: after about 1, 2, 4, 8, 8, … s.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// When the first such refusal came.
    since: Option<Timestamp>,
    wait: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: None, wait: Duration::from_secs(1) }
    }

    /// When to ask again; `None` when it is no such refusal, or goes on for too long.
    pub(super) fn until(
        &mut self,
        refusal: &ServiceError,
        path: &ChannelPath,
        cx: &mut Common<SnowpipeIngest>,
    ) -> Option<Timestamp> {
        let now = cx.now();
        if !is_busy(refusal) || now.since(*self.since.get_or_insert(now)) >= self.limit {
            return None;
        }
        let (what, state) = (format!("channel {path}"), refusal.code().unwrap_or_default().to_owned());
        cx.say(Notice::Observed { what, state });
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST);
        // From three quarters of the wait to five quarters, so that many do not come at once.
        let part = u64::try_from(wait.as_millis() / 2).unwrap_or_default();
        Some(now + wait * 3 / 4 + Duration::from_millis(cx.seed.below(part)))
    }
}

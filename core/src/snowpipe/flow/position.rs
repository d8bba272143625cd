//! [`Position`]: what a writer knows of its channel, and what the channel's status says of it.

use super::ChannelPath;
use crate::error::{Failure, FlowError};
use crate::snowpipe::ChannelStatus;
use crate::table::records;

records! {
    /// Where a writer is in its channel: small, and all that another process needs to go on.
    pub struct Position {
        /// The last offset token that was seen to be committed; `None` when there was none.
        pub committed: Option<String> = "committed",
        /// The end tokens of what was sent and not seen to be committed, in order.
        pub sent: Vec<String> = "sent",
        /// When the channel was made, in milliseconds of UNIX time: another one of its name is not this one.
        pub created_on_ms: Option<i64> = "created_on_ms",
        /// How many rows had been rejected.
        pub rows_error_count: Option<i64> = "rows_error_count",
    }

    /// Rows that the service took and did not insert. The committed token passes over them, so that nothing else tells.
    pub struct RejectedRows {
        /// How many.
        pub count: u64 = "count",
        /// Why the last one was rejected.
        pub last_error_message: Option<String> = "last_error_message",
        /// The last one is at or before this offset token.
        pub last_error_offset_upper_bound: Option<String> = "last_error_offset_upper_bound",
    }
}

impl Position {
    /// Nothing sent yet, in a channel with this status.
    pub fn of(status: &ChannelStatus) -> Self {
        Self {
            committed: status.last_committed_offset_token.clone(),
            sent: Vec::new(),
            created_on_ms: status.created_on_ms,
            rows_error_count: status.rows_error_count,
        }
    }

    /// How many of what was sent is committed, by a status. The tokens are looked up and never compared otherwise: they have
    /// an order in the caller's mind only.
    pub(super) fn settled(&self, path: &ChannelPath, status: &ChannelStatus) -> Result<usize, FlowError> {
        let lost = |reason: String| {
            FlowError::Failed(Failure { what: format!("channel {path}"), reason, details: None, cause: None })
        };
        let is_used = self.committed.is_some() || !self.sent.is_empty();
        let is_another = self.created_on_ms.zip(status.created_on_ms).is_some_and(|(ours, theirs)| ours != theirs);
        if is_used && is_another {
            let reason = "it is another one of the same name: the one of before was dropped, has expired, or its table was \
                replaced. Starting again from the beginning would duplicate rows: find out what is in the table";
            return Err(lost(reason.to_owned()));
        }
        match (&status.last_committed_offset_token, &self.committed) {
            (now, before) if now == before => Ok(0),
            (None, before) => Err(lost(format!(
                "its committed offset token \"{}\" is gone: it was dropped, has expired, or its table was replaced. Starting \
                 again from the beginning would duplicate rows: find out what is in the table",
                before.as_deref().unwrap_or_default()
            ))),
            (Some(now), _) => match self.sent.iter().position(|token| token == now) {
                Some(at) => Ok(at + 1),
                None => Err(lost(format!(
                    "its committed offset token \"{now}\" is none that was sent from here: another writer has the channel. \
                     Give each writer a channel of its own"
                ))),
            },
        }
    }
}

impl RejectedRows {
    /// What was rejected since a count; nothing when either count is not known.
    pub(super) fn since(before: Option<i64>, status: &ChannelStatus) -> Option<Self> {
        let count = status.rows_error_count?.checked_sub(before?).and_then(|count| u64::try_from(count).ok())?;
        (count > 0).then(|| Self {
            count,
            last_error_message: status.last_error_message.clone(),
            last_error_offset_upper_bound: status.last_error_offset_upper_bound.clone(),
        })
    }
}

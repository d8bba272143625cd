//! [`Position`]: what a writer knows of its channel, and what the channel's status says of it.

use std::error::Error;
use std::fmt;

use super::ChannelPath;
use super::recent_tokens::RecentTokens;
use crate::error::{Cause, Failure, FlowError};
use crate::schema::json_structs;
use crate::snowpipe::channels::ChannelStatus;

json_structs! {
    /// Where a writer is in its channel: small, and all that another process needs to continue.
    pub struct Position {
        /// The last offset token that was seen to be committed; `None` if no token was committed.
        pub committed: Option<String>,
        /// The end tokens of what was sent and not seen to be committed, in order.
        pub sent: Vec<String>,
        /// When the channel was made, in milliseconds of UNIX time: another channel of its name has another time.
        pub created_on_ms: Option<i64>,
        /// How many rows had been rejected.
        pub rows_error_count: Option<i64>,
        /// A token of `sent`, if the service rejected an append because another client had opened the channel. If this
        /// token or a later token of `sent` is committed, the outcome is unknown: see [`ChannelLost::AmbiguousToken`].
        pub rejected: Option<String>,
    }

    /// Rows that the service took and did not insert. The committed token passes over them, so that nothing else tells.
    pub struct RejectedRows {
        /// How many.
        pub count: u64,
        /// Why the last row was rejected.
        pub last_error_message: Option<String>,
        /// The last rejected row is at or before this offset token.
        pub last_error_offset_upper_bound: Option<String>,
    }
}

/// Why a channel cannot be used before the table was queried: the [`cause`](Failure::cause) of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelLost {
    /// The service does not know the channel: it was dropped, has expired, or its table was replaced.
    Missing,
    /// It was recreated: it has the same name, and was made later.
    Replaced,
    /// There is no committed token where there was one.
    TokenGone {
        /// The earlier token, if it is known.
        before: Option<String>,
    },
    /// An older token is committed than was before: the service has lost rows.
    TokenWentBack {
        /// The token.
        token: String,
        /// The earlier token.
        before: String,
    },
    /// The channel was opened for the first time with a token prefix, and the committed token has another prefix or
    /// none. See [`OpenWriter::ignore_other_prefixes`](super::OpenWriter::ignore_other_prefixes).
    OtherLoad {
        /// The token, as the service has it.
        token: String,
        /// The prefix of this load.
        prefix: String,
    },
    /// A token is committed that was never sent: another writer has the channel.
    ForeignToken {
        /// The token.
        token: String,
    },
    /// The service rejected an append because another client had opened the channel, and now the token of this append
    /// or of an earlier append is committed. Either these are this client's rows, or the other client uses equal tokens
    /// for other rows. So the outcome of the rows up to this token is unknown.
    ///
    /// Query the table. If the rows are there, resume with
    /// [`OpenWriter::unique_tokens`](super::OpenWriter::unique_tokens). If not, send what the writer hands back through
    /// another channel. A [prefix](super::OpenWriter::token_prefix) for each load avoids the question.
    AmbiguousToken {
        /// The token.
        token: String,
    },
    /// The channel was taken away again and again: another writer opens it. Some servers say the same of a channel that
    /// they have ended themselves; then it takes more times until it is believed, and what they said is in the
    /// failure's details.
    Contested {
        /// How often, within ten minutes.
        times: usize,
    },
}

impl ChannelLost {
    /// The failure of a channel.
    pub(super) fn of(self, path: &ChannelPath) -> FlowError {
        self.with_details(path, None)
    }

    pub(super) fn with_details(self, path: &ChannelPath, details: Option<String>) -> FlowError {
        FlowError::Failed(Failure {
            what: format!("channel {path}"),
            reason: self.to_string(),
            details,
            cause: Some(Cause::new(self)),
        })
    }
}

impl fmt::Display for ChannelLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let look = "starting again from the beginning would duplicate rows: find out what is in the table";
        let own = "another writer has the channel: give each writer its own channel";
        match self {
            Self::Missing => {
                f.write_str("the service does not know it: it was dropped, has expired, or its table was replaced")
            }
            Self::Replaced => {
                write!(f, "it was recreated: the original was dropped, has expired, or its table was replaced; {look}")
            }
            Self::TokenGone { before } => {
                f.write_str("its committed offset token ")?;
                before.as_ref().map_or(Ok(()), |before| write!(f, "\"{before}\" "))?;
                write!(f, "is gone: it was dropped, has expired, or its table was replaced; {look}")
            }
            Self::TokenWentBack { token, before } => {
                write!(f, "its committed offset token went back from \"{before}\" to \"{token}\"; {look}")
            }
            Self::ForeignToken { token } => {
                write!(f, "its committed offset token \"{token}\" was not sent by this writer; {own}")
            }
            Self::OtherLoad { token, prefix } => write!(
                f,
                "its committed offset token \"{token}\" is of another load and not of \"{prefix}\": if nothing of this load is in the \
                 table yet and the other load is complete, set ignore_other_prefixes; otherwise use another channel"
            ),
            Self::AmbiguousToken { token } => write!(
                f,
                "its committed offset token \"{token}\" was sent by this writer, but another client may have opened the channel and \
                 used an equal token: query the table; if the rows are there, resume with unique_tokens, otherwise send them \
                 through another channel; set token_prefix for later loads"
            ),
            Self::Contested { times } => write!(f, "it was taken away {times} times within ten minutes; {own}"),
        }
    }
}

impl Error for ChannelLost {}

impl Position {
    /// Nothing sent yet, in a channel with this status.
    pub fn of(status: &ChannelStatus) -> Self {
        let ChannelSnapshot { committed, created_on_ms, rows_error_count } = ChannelSnapshot::of(status);
        Self { committed, sent: Vec::new(), created_on_ms, rows_error_count, rejected: None }
    }

    /// Also the token from which on a commit of a sent token proves nothing.
    pub(super) fn split(self) -> (ChannelSnapshot, Vec<String>, Option<usize>) {
        let Self { committed, sent, created_on_ms, rows_error_count, rejected } = self;
        let unproven_from = rejected.and_then(|rejected| sent.iter().position(|token| *token == rejected));
        (ChannelSnapshot { committed, created_on_ms, rows_error_count }, sent, unproven_from)
    }
}

/// What is known of a channel's past.
#[derive(Clone, Debug)]
pub(super) struct ChannelSnapshot {
    pub(super) committed: Option<String>,
    pub(super) created_on_ms: Option<i64>,
    pub(super) rows_error_count: Option<i64>,
}

/// Where a status comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusSource {
    /// From an open: it is the latest.
    Opened,
    /// From a question beside the appends: it may be older than what was seen before.
    Polled,
}

impl ChannelSnapshot {
    pub(super) fn of(status: &ChannelStatus) -> Self {
        Self {
            committed: status.committed().map(str::to_owned),
            created_on_ms: status.created_on_ms,
            // A new channel has no errors, even if the service does not report the count yet.
            rows_error_count: status.rows_error_count.or(status.committed().is_none().then_some(0)),
        }
    }

    /// Whether it is another channel of the same name.
    pub(super) fn is_another(&self, status: &ChannelStatus) -> bool {
        self.created_on_ms.zip(status.created_on_ms).is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// How many of what was sent is committed, by a status. The tokens are looked up and never compared otherwise: they
    /// have an order in the caller's mind only. `past` is what was committed before the last token, or that nothing
    /// was. From `unproven_from` on the tokens of `sent` may be another client's, because it had the channel.
    pub(super) fn settled<'a>(
        &self,
        status: &ChannelStatus,
        sent: impl Iterator<Item = &'a str>,
        unproven_from: Option<usize>,
        past: &RecentTokens,
        source: StatusSource,
    ) -> Result<usize, ChannelLost> {
        let mut sent = sent.peekable();
        let is_used = self.committed.is_some() || sent.peek().is_some();
        if is_used && self.is_another(status) {
            return Err(ChannelLost::Replaced);
        }
        let (now, before) = (status.committed(), self.committed.as_deref());
        if now == before {
            return Ok(0);
        }
        if let Some(at) = now.and_then(|now| sent.position(|token| token == now)) {
            if unproven_from.is_some_and(|from| at >= from) {
                return Err(ChannelLost::AmbiguousToken { token: now.unwrap_or_default().to_owned() });
            }
            return Ok(at + 1);
        }
        let was_ours = past.contains(now);
        match now.map(str::to_owned) {
            _ if was_ours && source == StatusSource::Polled => Ok(0),
            None => Err(ChannelLost::TokenGone { before: before.map(str::to_owned) }),
            Some(token) if was_ours => {
                Err(ChannelLost::TokenWentBack { token, before: before.unwrap_or_default().to_owned() })
            }
            Some(token) => Err(ChannelLost::ForeignToken { token }),
        }
    }

    /// The rows that were rejected since the last time. A lower count than before is an older count, unless an open
    /// tells it.
    pub(super) fn rejected(&mut self, status: &ChannelStatus, source: StatusSource) -> Option<RejectedRows> {
        let before = self.rows_error_count;
        self.created_on_ms = status.created_on_ms.or(self.created_on_ms);
        self.rows_error_count = match source {
            StatusSource::Opened => status.rows_error_count.or(before),
            StatusSource::Polled => status.rows_error_count.max(before),
        };
        RejectedRows::since(before, status)
    }
}

/// As in `3 rows were rejected, the last at or before the offset token "17": Numeric value 'x' is not recognized`.
impl fmt::Display for RejectedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str("1 row was rejected")?,
            count => write!(f, "{count} rows were rejected, the last")?,
        }
        if let Some(bound) = &self.last_error_offset_upper_bound {
            write!(f, " at or before the offset token \"{bound}\"")?;
        }
        f.write_str(": ")?;
        f.write_str(self.last_error_message.as_deref().unwrap_or("the service does not say why"))
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

//! [`Position`]: what a writer knows about its channel, compared with the channel's status.

use std::error::Error;
use std::fmt;

use super::ChannelPath;
use super::recent_tokens::RecentTokens;
use crate::error::{Cause, Failure, FlowError};
use crate::schema::json_structs;
use crate::snowpipe::channels::ChannelStatus;

json_structs! {
    /// The position of a writer in its channel. It is small, and another process needs only the position to continue.
    pub struct Position {
        /// The last offset token that the writer has seen committed; `None` if it has seen no committed token.
        pub committed: Option<String>,
        /// The end tokens of the batches that were sent and not seen committed, in the order of sending.
        pub sent: Vec<String>,
        /// When the channel was created, in milliseconds since the epoch. A recreated channel has another time. `None`
        /// if the service does not say.
        pub created_on_ms: Option<i64>,
        /// How many rows the service had rejected; `None` if the service does not say.
        pub rows_error_count: Option<i64>,
        /// A token of `sent`, if the service rejected an append because another client had opened the channel. If this
        /// token or a later token of `sent` is committed, the outcome is unknown: see [`ChannelLost::AmbiguousToken`].
        pub rejected: Option<String>,
    }

    /// Rows that the service accepted and then did not insert. The committed token advances past them: only the
    /// channel's error count shows them.
    pub struct RejectedRows {
        /// The number of rejected rows.
        pub count: u64,
        /// Why the last row was rejected; `None` if the service does not say.
        pub last_error_message: Option<String>,
        /// The last rejected row is at or before this offset token; `None` if the service does not say.
        pub last_error_offset_upper_bound: Option<String>,
    }
}

/// Why a writer or a flow gave up a channel: the [`cause`](Failure::cause) of a [`Failure`].
///
/// Find out which rows are in the table before you send rows again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelLost {
    /// The service does not know the channel: it was dropped, has expired, or its table was replaced.
    Missing,
    /// The channel was recreated: it has the same name and another creation time.
    Replaced,
    /// The channel had a committed token, and no longer has one.
    TokenGone {
        /// The earlier token; `None` if it is not known.
        before: Option<String>,
    },
    /// The committed token is older than before: the service has lost rows.
    TokenWentBack {
        /// The committed token.
        token: String,
        /// The token that was committed before.
        before: String,
    },
    /// The writer with a token prefix opened the channel for the first time, and the committed token has another prefix
    /// or no prefix. See [`OpenWriter::ignore_other_prefixes`](super::OpenWriter::ignore_other_prefixes).
    OtherLoad {
        /// The committed token, as the service stores it.
        token: String,
        /// The prefix of this load.
        prefix: String,
    },
    /// The committed token was never sent by this writer: another writer has the channel.
    ForeignToken {
        /// The committed token.
        token: String,
    },
    /// The service rejected an append because another client had opened the channel, and now the token of this append
    /// or of an earlier append is committed. Either these are this client's rows, or the other client uses equal tokens
    /// for other rows. So the outcome of the rows up to this token is unknown.
    ///
    /// Query the table. If it has the rows, resume with
    /// [`OpenWriter::unique_tokens`](super::OpenWriter::unique_tokens). Otherwise send the rows that the writer returns
    /// through another channel. To avoid this error, set a [prefix](super::OpenWriter::token_prefix) for each load.
    AmbiguousToken {
        /// The committed token.
        token: String,
    },
    /// Another writer repeatedly opens the channel. If the service does not say so clearly, it may have invalidated the
    /// channel itself: then the writer ends only after more takeovers, and the failure's details have the responses.
    Contested {
        /// The number of takeovers within ten minutes.
        times: usize,
    },
}

impl ChannelLost {
    /// Returns the failure of a channel.
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
            Self::Contested { times } => {
                write!(f, "it was opened by another client {times} times within ten minutes; {own}")
            }
        }
    }
}

impl Error for ChannelLost {}

impl Position {
    /// Creates the position of a writer that has sent nothing, in a channel with this status.
    pub fn of(status: &ChannelStatus) -> Self {
        let ChannelSnapshot { committed, created_on_ms, rows_error_count } = ChannelSnapshot::of(status);
        Self { committed, sent: Vec::new(), created_on_ms, rows_error_count, rejected: None }
    }

    /// Splits the position. The index is the first sent token whose commit proves nothing.
    pub(super) fn split(self) -> (ChannelSnapshot, Vec<String>, Option<usize>) {
        let Self { committed, sent, created_on_ms, rows_error_count, rejected } = self;
        let unproven_from = rejected.and_then(|rejected| sent.iter().position(|token| *token == rejected));
        (ChannelSnapshot { committed, created_on_ms, rows_error_count }, sent, unproven_from)
    }
}

/// What is known about a channel from its earlier statuses.
#[derive(Clone, Debug)]
pub(super) struct ChannelSnapshot {
    pub(super) committed: Option<String>,
    pub(super) created_on_ms: Option<i64>,
    pub(super) rows_error_count: Option<i64>,
}

/// The origin of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusSource {
    /// An open: the status is current.
    Opened,
    /// A poll: the status may be older than an earlier status.
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

    /// Returns whether the status is of another channel with the same name.
    pub(super) fn is_another(&self, status: &ChannelStatus) -> bool {
        self.created_on_ms.zip(status.created_on_ms).is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// Returns how many of the sent tokens are committed. The committed token is looked up in `sent`, and tokens are
    /// never ordered: only the caller knows their order. `past` has the tokens that were committed before the last
    /// token. From `unproven_from` on, the tokens of `sent` may be those of another client that had the channel.
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

    /// Returns the rows that were rejected since the last status. If a poll reports a lower count than before, the
    /// status is outdated. A count from an open is always current.
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

/// Shows the rows as in `3 rows were rejected, the last at or before the offset token "17": Numeric value 'x' is not
/// recognized`.
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
    /// Returns the rows that were rejected since a count; `None` if no rows were rejected, or a count is not known.
    pub(super) fn since(before: Option<i64>, status: &ChannelStatus) -> Option<Self> {
        let count = status.rows_error_count?.checked_sub(before?).and_then(|count| u64::try_from(count).ok())?;
        (count > 0).then(|| Self {
            count,
            last_error_message: status.last_error_message.clone(),
            last_error_offset_upper_bound: status.last_error_offset_upper_bound.clone(),
        })
    }
}

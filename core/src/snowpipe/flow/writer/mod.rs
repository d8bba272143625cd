//! [`Writer`]: writes each row exactly once, or ends with an error that names the unconfirmed rows.
//!
//! ```text
//!            ┌───────────────────── reopened: what is committed is settled, the rest is sent again ◀───────┐
//!            ▼                                                                                             │
//!  Start ─▶ Token ─▶ Open ─200─▶ Ready ─a batch waits─▶ Append ─200─▶ Ready                                │
//!   host and token    │           │ ▲                     │                                                │
//!                     │           │ └─ SUCCESS, token known                                              │
//!                     │           └─a poll is due─▶ Poll ─┤                                                │
//!                     │                                   │ a fault                                        │
//!                     └───────────────────────────────────┴─────▶ Wait ──at once, then 1, 2, 4, … 30 s──▶ Token
//!                                                         └─ no repetition helps ─▶ Failed
//!  Ready, Wait ─closing, nothing waits─▶ Closed
//! ```
//!
//! The tables of `decide` say which fault leads to which action. The consequences for each response:
//!
//! | response or event | state | what the writer does |
//! |---|---|---|
//! | 200 `SUCCESS` | Open | looks the committed token up, settles the batches up to it, sends all later batches again |
//! | 200, any other status | Open, Poll | opens again |
//! | 409 `ERR_CHANNEL_HAS_UNCOMMITTED_DATA`, `ERR_OPEN_CHANNEL_IN_PROGRESS` | Open | waits until buffered rows are committed; never forces |
//! | 409 `ERR_PIPE_IN_INVALID_STATE`; 404 of channel, pipe or table | any | ends |
//! | no response, 408, 429, 5xx, 404 without a code; 200 without content, such as `{}` | any | the same request again, then opens again |
//! | `Retry-After` | any | waits as long as the service asks, up to [`longest_retry_after`](crate::flow::Retry::longest_retry_after). The wait counts neither as a fault nor as time without a commit, up to the limit in [`retry_timeout`](OpenWriter::retry_timeout) |
//! | 400 `STALE_CONTINUATION_TOKEN_SEQUENCER` | Append | opens again; ends if another client has caused it for the third time within ten minutes |
//! | 400 `STALE_CONTINUATION_TOKEN_SEQUENCER`; after reopening, a token is committed that was sent but not seen committed before | Open | ends with `AmbiguousToken`: another client may use equal tokens. With a [prefix](OpenWriter::token_prefix) or [unique tokens](OpenWriter::unique_tokens) the writer trusts the token. If an open of this writer within the last ten minutes got no response, it trusts the token unless it is the token of the rejected append |
//! | 409 with an unknown code, without a code, or without a body | Append | opens again, and ends with the tenth within ten minutes: another client may have opened the channel, or the service may have ended it |
//! | 409 as above; after reopening, the token of that append is committed | Open | ends with `AmbiguousToken`: another client may use equal tokens, or a proxy sent the append twice. With a prefix or unique tokens the writer trusts the token. It trusts tokens of earlier appends |
//! | 200 that cannot be read, 3xx | Append | opens again |
//! | other 400 | Append | opens again, because the channel may be unusable; ends with the third such rejection, and names the batch |
//! | 413 | Append | ends, and names the batch |
//! | 401, 403 | any | renews the token once; then opens again, and ends with the third rejection |
//! | 410 | any | requests the host and a token again, opens again |
//! | the committed token is gone, went back, or was never sent; the channel was recreated | Open | ends |
//! | the same, or the channel does not exist | Poll | polls again, because the answering node may lag behind; ends after 30 s of the same answers, counted from request to request with at most 2 s for each |
//! | a status that cannot be read | Poll | the same, but opens again after 30 s |
//! | no sent row is committed for [`stall_timeout`](OpenWriter::stall_timeout) (60 s by default) | Poll | opens again, even if the retry timeout is shorter: another client may have discarded the buffered rows |
//! | a clock that jumps forward, or a program that was suspended | any | counts the time until the next poll was due, and opens again if a request was under way for too long |
//! | any of these for longer than [`retry_timeout`](OpenWriter::retry_timeout), without a commit in between | any | ends |
//! | any of these from a host that has never answered: its address is probably wrong | any | ends: at once if TLS fails, after 10 s if no connection can be made, otherwise after 2 min |
//! | more rows rejected than before | Open, Poll | [`WriterEvent::Rejected`] |
//!
//! Invariants:
//!
//! * The writer keeps a batch until its end token, or a token that was sent after it, is committed.
//! * It has at most one request in progress. It sends a batch only after the earlier batch was answered.
//! * After an open, no earlier row is buffered: it was committed, or never will be. So if the writer sends the batches
//!   after the committed token again, no row is lost and no row is written twice.
//! * The writer looks tokens up in the list of sent tokens, and never orders them. A [prefix](OpenWriter::token_prefix)
//!   is only on the wire.
//! * It saves its position before each append, and at the end. A new process that continues from it knows every token
//!   that may be committed.
//! * An answered append is no progress. Progress is a commit, or a good status when no rows wait. So a batch that
//!   repeatedly invalidates its channel ends the writer.
//! * A status from before another client had the channel proves its rows. Rows that it settled stay settled.
//! * A batch that was certainly rejected is not unconfirmed. A batch that was rejected because of its continuation
//!   token, or with an unknown code, still counts as sent: a proxy may have made an earlier attempt, so only the
//!   committed token shows the outcome. The third rejection in a row counts if each open in between shows that the
//!   batch is not committed.
//! * Two rejections of a request may be the mistake of one node, and reopening the channel harms no row. The third
//!   rejection is final.
//! * The number of kept batches is limited. The writer does not accept further batches.

mod decide;
mod event;
mod goal;
mod handle;
mod machine;
mod metrics;
mod replay_buffer;
mod tokens;

use std::fmt;

use serde::Serialize;

pub use event::{AppendError, PushError, UnsettledRows, WriterEvent};
pub use goal::OpenWriter;
pub use metrics::WriterMetrics;

use self::machine::{Cx, State, WriterMachine};
use self::replay_buffer::{ReplayBuffer, too_long};
use super::{ChannelPath, Position};
use crate::error::BuildError;
#[cfg(doc)]
use crate::error::FlowError;
use crate::flow::Runner;
use crate::schema::json_structs;
use crate::snowpipe::channels::ChannelStatus;
use crate::snowpipe::rows::{Batch, BatchBuilder, RowError};
use crate::snowpipe::tuning::MAX_OFFSET_TOKEN_BYTES;

json_structs! {
    /// The saved state of a writer.
    struct WriterState {
        pub path: ChannelPath,
        pub position: Position,
        pub token_prefix: Option<String>,
        /// The token of an earlier load, which was committed before this load sent a row.
        pub ignored_token: Option<String>,
    }
}

/// Writes rows into a channel, each exactly once. Created by [`OpenWriter`].
///
/// A writer is an **event flow**: poll it again after each [`WriterEvent`]. Between two polls, give it rows or batches.
/// It accepts them without I/O, and sends them when it is polled. It keeps each batch until the batch is committed, and
/// reopens the channel after every fault.
///
/// If no rows wait, it yields an event only if the channel changes. To regain control in the meantime, use
/// [`DrivenFlow::next_before`](crate::driver::DrivenFlow::next_before). An idle writer needs about 3 KiB, and no
/// thread.
///
/// # Errors
/// If the writer ends in [`FlowError::Ambiguous`], some rows are unconfirmed: the error names them, and its cause is an
/// error of this list. After any other error, no row is unconfirmed. In both cases [`unsettled`](Self::unsettled)
/// returns all rows that are not known to be committed.
///
/// * [`FlowError::Service`] if the service rejects a request, or if faults lasted longer than
///   [`OpenWriter::retry_timeout`]. If the channel, the pipe or the table does not exist, its code
///   [`is_missing`](crate::snowpipe::ErrorCode::is_missing).
/// * [`FlowError::Failed`] with a [`ChannelLost`](super::ChannelLost) if the channel's status shows that the channel
///   was recreated or is gone, or that another client writes to it.
/// * [`FlowError::Failed`] with a [`ServiceError`](crate::error::ServiceError) if the service does not accept a batch.
///   The error names the batch.
/// * [`FlowError::Transport`], [`FlowError::Credential`], [`FlowError::Deadline`], [`FlowError::Build`] as with any
///   flow.
///
/// # Example
/// Another client takes the channel before the second append:
///
/// ```
/// use pipewright::Secret;
/// use pipewright::driver::Canned;
/// use pipewright::flow::Notice;
/// use pipewright::snowpipe::{Account, ChannelPath, OpenSession, OpenWriter, WriterEvent};
/// use pipewright::snowpipe::account::TokenType;
///
/// let runtime = Canned::new([
///     ("GET /v2/streaming/hostname", 200, "acct.ingest.snowflakecomputing.com"),
///     ("POST /oauth/token", 200, "a-token"),
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 200, r#"{"next_continuation_token":"1_0",
///         "channel_status":{"channel_status_code":"SUCCESS","last_committed_offset_token":null}}"#),
///     ("POST /v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c/rows", 200,
///         r#"{"next_continuation_token":"1_1"}"#),
///     // Another client has opened the channel before the second append.
///     ("POST /v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c/rows", 400,
///         r#"{"code":"STALE_CONTINUATION_TOKEN_SEQUENCER","message":"m"}"#),
///     // The writer waits until the buffered rows are committed: it does not discard them.
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 409,
///         r#"{"code":"ERR_CHANNEL_HAS_UNCOMMITTED_DATA","message":"m"}"#),
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 200, r#"{"next_continuation_token":"3_0",
///         "channel_status":{"channel_status_code":"SUCCESS","last_committed_offset_token":"2"}}"#),
///     // The writer sends only the rows after the committed token again.
///     ("POST /v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c/rows", 200,
///         r#"{"next_continuation_token":"3_1"}"#),
///     ("POST /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING:bulk-channel-status", 200,
///         r#"{"channel_statuses":{"c":{"channel_status_code":"SUCCESS","last_committed_offset_token":"3"}}}"#),
/// ]);
/// let account = Account::new("https://acct.snowflakecomputing.com".parse()?, runtime);
/// let account = account.with_credentials(Secret::new("my-access-token"));
/// let session = OpenSession::new(TokenType::ProgrammaticAccessToken).connect_lazy(account.config());
/// let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c");
/// let mut writer = account.start_with(OpenWriter::new(&session, path).unique_tokens(), |notice| match notice {
///     Notice::Persist(saved) => println!("for OpenWriter::resume: {}", saved.state),
///     notice => println!("{notice}"),
/// });
/// assert_eq!(writer.next()?, Some(WriterEvent::Opened { committed: None }));
/// writer.flow_mut().push_line(br#"{"ID":1}"#, Some("1"))?;
/// writer.flow_mut().push_line(br#"{"ID":2}"#, Some("2"))?;
/// writer.flow_mut().flush();
/// writer.flow_mut().push_line(br#"{"ID":3}"#, Some("3"))?;
/// writer.flow_mut().close()?;
/// let mut events = Vec::new();
/// while let Some(event) = writer.next()? {
///     events.push(event);
/// }
/// let committed = |token: &str, rows| WriterEvent::Committed { token: token.to_owned(), batches: 1, rows };
/// assert_eq!(events, [committed("2", 2), WriterEvent::Flushed, committed("3", 1), WriterEvent::Closed]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a flow does nothing until it is polled"]
pub struct Writer {
    runner: Runner<WriterMachine>,
}

impl Writer {
    /// Accepts a batch, and sends it at a later poll, after all earlier batches. Does no I/O.
    ///
    /// # Errors
    /// An [`AppendError`] with the batch and one of these reasons:
    ///
    /// * [`PushError::Full`] if too many batches or bytes wait to be committed. Poll the writer, then try again.
    /// * [`PushError::NotOpened`] before [`WriterEvent::Opened`].
    /// * [`PushError::Invalid`] if the batch has no end token, or the end token of another batch, or is empty or too
    ///   large.
    /// * [`PushError::Closed`] or [`PushError::Ended`] if the writer is closed or has ended.
    pub fn append(&mut self, batch: Batch) -> Result<(), Box<AppendError>> {
        let (machine, cx) = self.runner.parts_mut();
        machine.builder.flush();
        machine.collect(cx);
        let result = machine.room(batch.body.len()).and_then(|()| {
            if machine.builder.open_rows() > 0 {
                let problem = "rows after the last offset token are not sent yet: push a row with a token first";
                return Err(PushError::Invalid(BuildError::value("appendRows", "rows", "a batch", problem)));
            }
            machine.replay.check(&batch).map_err(PushError::Invalid)
        });
        match result {
            Ok(()) => {
                machine.replay.take(batch);
                Ok(())
            }
            Err(reason) => Err(Box::new(AppendError { batch, reason })),
        }
    }

    /// Accepts a row, and sends it at a later poll in a batch with other rows: see [`OpenWriter::batches`]. A row
    /// without a token waits for a later row with a token. Does no I/O.
    ///
    /// Give each row its own token. The writer compares a token only with the previous token and with tokens that end a
    /// batch, so it does not detect every duplicate.
    ///
    /// # Errors
    /// After an error the writer does not have the row, and is otherwise unchanged.
    ///
    /// * [`PushError::Full`] if too many batches or bytes wait to be committed. Poll the writer, then try again.
    /// * [`PushError::NotOpened`] before [`WriterEvent::Opened`].
    /// * [`PushError::Row`] if the row cannot be written as one line of JSON, or is too large. If rows without a token
    ///   together exceed the size of a request, read them from [`unsettled`](Self::unsettled).
    /// * [`PushError::Invalid`] if the token is that of the previous row, ends an earlier batch, or is longer than 1024
    ///   bytes.
    /// * [`PushError::Closed`] or [`PushError::Ended`] if the writer is closed or has ended.
    pub fn push<R: Serialize + ?Sized>(&mut self, row: &R, offset_token: Option<&str>) -> Result<(), PushError> {
        self.push_with(offset_token, |builder| builder.push(row, offset_token))
    }

    /// Accepts a row that is already JSON. Otherwise the same as [`push`](Self::push).
    ///
    /// # Errors
    /// The same as those of [`push`](Self::push).
    pub fn push_line(&mut self, line: &[u8], offset_token: Option<&str>) -> Result<(), PushError> {
        self.push_with(offset_token, |builder| builder.push_line(line, offset_token))
    }

    fn push_with(
        &mut self,
        offset_token: Option<&str>,
        push: impl FnOnce(&mut BatchBuilder) -> Result<(), RowError>,
    ) -> Result<(), PushError> {
        let (machine, cx) = self.runner.parts_mut();
        machine.room(0)?;
        machine.check_token(offset_token)?;
        push(&mut machine.builder)?;
        machine.collect(cx);
        Ok(())
    }

    /// Sends the accepted rows at the next poll, without waiting for further rows. The writer reports
    /// [`WriterEvent::Flushed`] when they are committed. After a second call before that, it reports the event once,
    /// for both calls. Rows after the last offset token stay, because no token would show that they are committed.
    pub fn flush(&mut self) {
        let (machine, cx) = self.runner.parts_mut();
        machine.builder.flush();
        machine.collect(cx);
        machine.flush = Some(machine.replay.taken);
    }

    /// Closes the writer: it accepts no more rows, and reports [`WriterEvent::Closed`] when all rows are committed,
    /// including those of an earlier writer. The channel stays, for the next writer.
    ///
    /// # Errors
    /// [`PushError::Invalid`] if there are rows after the last offset token. The writer is then not closed: push a row
    /// with a token first.
    pub fn close(&mut self) -> Result<(), PushError> {
        let (machine, cx) = self.runner.parts_mut();
        machine.builder.flush();
        machine.collect(cx);
        match machine.builder.open_rows() {
            0 => {
                machine.closing = true;
                Ok(())
            }
            rows => {
                let problem = "they are after the last offset token, so no token would show that they are committed; push a row with a token";
                Err(PushError::Invalid(BuildError::value("appendRows", "rows", &format!("{rows} rows"), problem)))
            }
        }
    }

    /// Returns the path of the channel.
    pub fn path(&self) -> &ChannelPath {
        &self.runner.machine().goal.path
    }

    /// Returns the last offset token that is known to be committed; `None` if no token is.
    pub fn committed(&self) -> Option<&str> {
        self.runner.machine().replay.committed()
    }

    /// Returns how many batches wait to be committed, sent or not.
    pub fn waiting(&self) -> usize {
        self.runner.machine().replay.batches()
    }

    /// Returns the last channel status that the writer has read; `None` until the channel is open.
    ///
    /// The status has the latency, the number of inserted and rejected rows, and the last error. Its offset tokens have
    /// no prefix. The writer reads it when it opens the channel, once a second while rows are unconfirmed, and
    /// otherwise every [`OpenWriter::idle`].
    pub fn status(&self) -> Option<&ChannelStatus> {
        self.runner.machine().status.as_deref()
    }

    /// Returns the writer's counters.
    pub fn metrics(&self) -> WriterMetrics {
        self.runner.machine().metrics
    }

    /// Returns the position that another process needs to continue, as in the saved state; `None` until the channel is
    /// open.
    pub fn position(&self) -> Option<Position> {
        self.runner.machine().replay.position()
    }

    /// Returns all rows that are not known to be committed, so that the caller can decide about them after an error.
    pub fn unsettled(mut self) -> UnsettledRows {
        let (machine, cx) = self.runner.parts_mut();
        machine.builder.close_all();
        machine.collect(cx);
        std::mem::replace(&mut machine.replay, ReplayBuffer::new(None)).into_unsettled()
    }
}

impl WriterMachine {
    /// Moves the complete batches from the builder to the replay buffer.
    pub(super) fn collect(&mut self, cx: &Cx) {
        while let Some(batch) = self.builder.next_batch(cx.now()) {
            let result = self.replay.check(&batch);
            self.replay.take(batch);
            if let Err(error) = result {
                self.fail(error.into());
            }
        }
    }

    /// Returns an error if the writer has no room for so many further bytes.
    fn room(&self, bytes: u64) -> Result<(), PushError> {
        match &self.state {
            State::Failed(error) => return Err(PushError::Ended(self.with_unconfirmed((**error).clone()))),
            State::Closed => return Err(PushError::Closed),
            _ if self.closing => return Err(PushError::Closed),
            _ if !self.opened => return Err(PushError::NotOpened),
            _ => {}
        }
        let batches = self.replay.batches();
        let waiting = self.replay.bytes().saturating_add(self.builder.open_bytes() as u64);
        let is_full = batches >= self.goal.max_batches || waiting.saturating_add(bytes) > self.goal.max_bytes;
        if is_full && !self.replay.is_empty() { Err(PushError::Full { batches, bytes: waiting }) } else { Ok(()) }
    }

    /// Checks a row's token. A batch may end with any row that has a token, and no two batches may end with the same
    /// token. Later batches end with the token of this row, of a later row, or of a waiting row, which was checked
    /// before.
    fn check_token(&self, token: Option<&str>) -> Result<(), PushError> {
        let last = || self.builder.last_token().or_else(|| self.replay.last_token());
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(()) };
        if token.len() > MAX_OFFSET_TOKEN_BYTES {
            return Err(PushError::Invalid(too_long(token)));
        }
        let problem = if last() == Some(token) {
            "the previous row has the same token: set a token only on the last row of a group"
        } else if self.replay.is_used(token) {
            "an earlier batch ends with it, so it would not show which of them is committed; give each row its own token, \
             and continue after the last accepted row"
        } else {
            return Ok(());
        };
        Err(PushError::Invalid(BuildError::value("appendRows", "offset token", token, problem)))
    }
}

/// Shows no rows, because they are the caller's data.
impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("path", &format_args!("{}", self.path()))
            .field("state", &self.runner.machine().state.name())
            .field("committed", &self.committed())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

//! [`Writer`]: rows in, none lost and none twice; or an error that says which of them are unconfirmed.
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
//! Which fault leads where is decided in one place, the tables of `decide`. What that means for each answer:
//!
//! | answer or event | state | what the writer does |
//! |---|---|---|
//! | 200 `SUCCESS` | Open | looks the committed token up, settles up to it, sends all behind it again |
//! | 200, any other status | Open, Poll | opens again |
//! | 409 `ERR_CHANNEL_HAS_UNCOMMITTED_DATA`, `ERR_OPEN_CHANNEL_IN_PROGRESS` | Open | waits: what is buffered gets committed. Never forces |
//! | 409 `ERR_PIPE_IN_INVALID_STATE`; 404 of channel, pipe or table | any | ends |
//! | no answer, 408, 429, 5xx, 404 without a code; 200 that says nothing, such as `{}` | any | the same request again, then opens again |
//! | `Retry-After` | any | waits as long as asked for, up to [`longest_retry_after`](crate::flow::Retry::longest_retry_after); that counts neither as time in trouble nor as time without a commit, up to the limit in [`retry_timeout`](OpenWriter::retry_timeout) |
//! | 400 `STALE_CONTINUATION_TOKEN_SEQUENCER` | Append | opens again; ends if another client has caused it for the third time within ten minutes |
//! | 400 `STALE_CONTINUATION_TOKEN_SEQUENCER`; after reopening, a token is committed that was sent but not seen committed before | Open | ends with `AmbiguousToken`: another client may use equal tokens. With a [prefix](OpenWriter::token_prefix) or [unique tokens](OpenWriter::unique_tokens) the token is believed. If an open of this writer within the last ten minutes got no answer, it is believed unless it is the token of the rejected append |
//! | 409 with an unknown code, without a code, or without a body | Append | opens again, and ends with the tenth within ten minutes: another client may have opened the channel, or the service may have ended it |
//! | 409 as above; after reopening, the token of that append is committed | Open | ends with `AmbiguousToken`: another client may use equal tokens, or a proxy sent the append twice. With a prefix or unique tokens it is believed. Tokens of earlier appends are believed |
//! | 200 that cannot be read, 3xx | Append | opens again |
//! | other 400 | Append | opens again, as the channel may be of no use any more; ends with the third, and names the batch |
//! | 413 | Append | ends, and names the batch |
//! | 401, 403 | any | another token, once; again: opens again, and ends with the third |
//! | 410 | any | finds host and token again, opens again |
//! | the committed token is gone, went back, or was never sent; the channel is another one | Open | ends |
//! | the same, or no such channel | Poll | polls again, because the node that answers may lag behind; ends after 30 s of answers that say the same, counted from request to request with at most 2 s for each |
//! | a status that cannot be read | Poll | the same, but opens again after 30 s |
//! | nothing that was sent is committed for [`stall_timeout`](OpenWriter::stall_timeout) (60 s by default) | Poll | opens again, even if the retry timeout is shorter: another client may have discarded the buffered rows |
//! | a clock that jumps forward, or a program that was suspended | any | counts the time until the next poll was due, and opens again if a request was under way for too long |
//! | any of these for longer than [`retry_timeout`](OpenWriter::retry_timeout), without a commit in between | any | ends |
//! | any of these from a host that has never answered: its address is probably wrong | any | ends: at once if TLS fails, after 10 s if no connection can be made, otherwise after 2 min |
//! | more rows rejected than before | Open, Poll | [`WriterEvent::Rejected`] |
//!
//! Invariants:
//!
//! * A batch is kept until its end token, or one that was sent after it, is committed.
//! * One request is under way. A batch is sent behind another only when the earlier batch was answered.
//! * After an open no earlier row is buffered: it was committed, or never will be. So sending again what is behind
//!   the committed token neither loses rows nor writes them twice.
//! * Tokens are looked up in the list of sent tokens, and never put in an order. A
//!   [prefix](OpenWriter::token_prefix) is on the wire only.
//! * The position is saved before each append, and at the end: a new process that continues from it knows every token
//!   that may be committed.
//! * That an append was answered is no progress: only a commit is, or a channel that is well when nothing waits. So a
//!   batch that ends its channel again and again ends the writer.
//! * A status that came before another client had the channel proves its rows. Rows that it settled stay settled.
//! * A batch that was certainly rejected is not unconfirmed. A batch that was rejected because of its place in the
//!   chain, or with an unknown code, still counts as sent: a proxy may have made an earlier attempt, so that only the
//!   committed token is believed. The third rejection in a row is believed if each open in between shows that the batch
//!   is not committed.
//! * Two rejections of a token may be one node's mistake, and opening again harms no row. The third is believed.
//! * What is kept is bounded; what is more is handed back.

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
    /// What a writer saves.
    struct WriterState {
        /// The channel.
        pub path: ChannelPath,
        /// Where it is.
        pub position: Position,
        /// What its tokens begin with on the wire.
        pub token_prefix: Option<String>,
        /// The token of another load that was committed before anything was sent.
        pub ignored_token: Option<String>,
    }
}

/// A channel that rows go into, exactly once. Made by [`OpenWriter`].
///
/// It yields **more than once**: poll it again after each [`WriterEvent`]. In between, give it rows or batches; it
/// takes them without any I/O and sends them when it is polled. It keeps each batch until it is committed, and opens
/// the channel again after every fault.
///
/// When it ends in an error, [`FlowError::Ambiguous`] says that some rows are unconfirmed, and which; any other error
/// means that none are. [`unsettled`](Self::unsettled) hands all back that is not known to be committed. The error or
/// its cause is
///
/// * [`FlowError::Service`]: the service rejects a request, or faults lasted longer than
///   [`OpenWriter::retry_timeout`]; with a code that [`is_missing`](crate::snowpipe::ErrorCode::is_missing), when it
///   says itself that channel, pipe or table are gone;
/// * [`FlowError::Failed`] with a [`ChannelLost`](super::ChannelLost): its status says that the channel was recreated
///   or is gone, or another client writes to it;
/// * [`FlowError::Failed`] with a [`ServiceError`](crate::error::ServiceError): the service does not take a batch,
///   which is named;
/// * [`FlowError::Transport`], [`FlowError::Credential`], [`FlowError::Deadline`], [`FlowError::Build`] as with any
///   flow.
///
/// With nothing waiting, it yields only when something happens to the channel;
/// [`DrivenFlow::next_before`](crate::driver::DrivenFlow::next_before) comes back in between. It holds about 3 KiB
/// then, and no thread.
///
/// A whole conversation, with answers given by hand; another client takes the channel before the second append:
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
///     // Another process has opened the channel when there is more to append.
///     ("POST /v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c/rows", 400,
///         r#"{"code":"STALE_CONTINUATION_TOKEN_SEQUENCER","message":"m"}"#),
///     // What was buffered gets committed, and is not discarded.
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 409,
///         r#"{"code":"ERR_CHANNEL_HAS_UNCOMMITTED_DATA","message":"m"}"#),
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 200, r#"{"next_continuation_token":"3_0",
///         "channel_status":{"channel_status_code":"SUCCESS","last_committed_offset_token":"2"}}"#),
///     // Only what is behind it is sent again.
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
    /// Takes a batch, to be sent behind all that was taken before. Needs no I/O.
    ///
    /// # Errors
    /// The batch, with the reason: there is no room, the channel was not opened yet, the batch has no end token or one
    /// that another has, it is empty or too large, the writer is closed or has ended.
    pub fn append(&mut self, batch: Batch) -> Result<(), Box<AppendError>> {
        let (machine, cx) = self.runner.parts_mut();
        machine.builder.flush();
        machine.collect(cx);
        let result = machine.room(batch.body.len()).and_then(|()| {
            if machine.builder.open_rows() > 0 {
                let problem =
                    "rows that were pushed behind the last offset token are not sent yet: push one with a token first";
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

    /// Takes a row, to be sent behind all that was taken before, in a batch with others: see [`OpenWriter::batches`].
    /// Rows without a token wait for one with a token. Needs no I/O.
    ///
    /// # Errors
    /// The reason: there is no room, the channel was not opened yet, the row is not one, its offset token is that of
    /// the row before, ends an earlier batch or is longer than 1024 bytes, the writer is closed or has ended. The row
    /// was left out then, and all else is as before.
    ///
    /// Only the previous token and tokens that end a batch are compared, so a duplicate may go unnoticed: give each row
    /// its own token. If rows without a token together exceed the size of a request, the writer cannot return them:
    /// `push` fails with a `RowError`. Read the rows from [`unsettled`](Self::unsettled).
    pub fn push<R: Serialize + ?Sized>(&mut self, row: &R, offset_token: Option<&str>) -> Result<(), PushError> {
        self.push_with(offset_token, |builder| builder.push(row, offset_token))
    }

    /// Takes a row that is JSON already, as [`push`](Self::push) does.
    ///
    /// # Errors
    /// As there.
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

    /// Sends what was taken without waiting for more; [`WriterEvent::Flushed`] says that it is committed: once, when
    /// this is called again before. Rows behind the last offset token stay, because no token would show that they are
    /// committed.
    pub fn flush(&mut self) {
        let (machine, cx) = self.runner.parts_mut();
        machine.builder.flush();
        machine.collect(cx);
        machine.flush = Some(machine.replay.taken);
    }

    /// Takes nothing any more; [`WriterEvent::Closed`] says that all is committed, also what an earlier writer had
    /// sent. The channel stays, for the next writer.
    ///
    /// # Errors
    /// When there are rows behind the last offset token: push one with a token first. The writer is not closed then.
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
                let problem = "they are behind the last offset token, so no token would show that they are committed; push a row with a token";
                Err(PushError::Invalid(BuildError::value("appendRows", "rows", &format!("{rows} rows"), problem)))
            }
        }
    }

    /// The channel.
    pub fn path(&self) -> &ChannelPath {
        &self.runner.machine().goal.path
    }

    /// The last offset token that is known to be committed.
    pub fn committed(&self) -> Option<&str> {
        self.runner.machine().replay.committed()
    }

    /// How many batches wait to be committed, sent or not.
    pub fn waiting(&self) -> usize {
        self.runner.machine().replay.batches()
    }

    /// Returns the last channel status that the writer has read, with the caller's own offset tokens; `None` until the
    /// channel is open. It has the latency, the rows that were inserted and rejected, and the last error. The writer
    /// reads it when it opens the channel, once a second while rows are unconfirmed, and otherwise as
    /// [`OpenWriter::idle`] says.
    pub fn status(&self) -> Option<&ChannelStatus> {
        self.runner.machine().status.as_deref()
    }

    /// Returns the writer's counters.
    pub fn metrics(&self) -> WriterMetrics {
        self.runner.machine().metrics
    }

    /// What another process needs to continue, as the notices have it; `None` until the channel is open.
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
    /// Takes over the batches that are closed.
    pub(super) fn collect(&mut self, cx: &Cx) {
        while let Some(batch) = self.builder.next_batch(cx.now()) {
            let result = self.replay.check(&batch);
            self.replay.take(batch);
            if let Err(error) = result {
                self.fail(error.into());
            }
        }
    }

    /// Whether so many bytes more may be taken.
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

    /// A batch may end behind any row with a token, and no other may end with the same token. The batches that are cut
    /// from now on end with the tokens of rows that come from now on, or of rows that wait, which were compared when
    /// they came.
    fn check_token(&self, token: Option<&str>) -> Result<(), PushError> {
        let last = || self.builder.last_token().or_else(|| self.replay.last_token());
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(()) };
        if token.len() > MAX_OFFSET_TOKEN_BYTES {
            return Err(PushError::Invalid(too_long(token)));
        }
        let problem = if last() == Some(token) {
            "the row before has the same: give it to the last of the rows that belong together"
        } else if self.replay.is_used(token) {
            "an earlier batch ends with it, so it would not show which of them is committed; give each row a token of its \
             own, and push on behind the last row that was taken"
        } else {
            return Ok(());
        };
        Err(PushError::Invalid(BuildError::value("appendRows", "offset token", token, problem)))
    }
}

/// Without rows.
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

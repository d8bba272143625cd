//! The goal [`Append`].
//!
//! ```text
//!  Send ──200 with the next token──▶ done: returns the channel
//!   └─────────────── anything else ─▶ failed: open the channel again
//! ```
//!
//! | response | result |
//! |---|---|
//! | 200 with a token | the channel, for the next append |
//! | no response; 408, 429, 5xx; 404 without a code | the same bytes again, with the same tokens and request id, `retryCount` + 1 |
//! | 401, 403 | another credential, once; then [`FlowError::Service`] |
//! | 400 `STALE_CONTINUATION_TOKEN_SEQUENCER`, 409, 410, 404 with a code, 413, … | [`FlowError::Service`]: nothing was buffered |
//! | the same after an attempt without an answer | [`FlowError::Ambiguous`]: that attempt may have been carried out |
//! | 200 without a token, 3xx | [`FlowError::Ambiguous`] |
//!
//! Invariant: the flow never sends other rows with a continuation token that may have been used. It gives up the
//! channel with every failure, because no document says whether a rejected token can be used again.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Channel;
use crate::error::{FlowError, Misuse};
use crate::flow::{Call, FlowContext, StateMachine, Transition, done, goal};
use crate::snowpipe::append::AppendRows;
use crate::snowpipe::rows::Batch;
use crate::snowpipe::{RequestId, SnowpipeIngest};

/// Appends a batch to a channel and returns the channel. Created by [`Channel::append`].
///
/// After success the rows are only **buffered**. To wait until they are in the table, and to learn which rows were
/// rejected, use [`AwaitCommitted`](super::AwaitCommitted). Keep the batch until its end token is committed: a clone
/// shares the bytes.
///
/// # Errors
/// After every error the channel is lost: [`Reconcile`](super::Reconcile) opens it again, and finds out which batches
/// were committed.
///
/// * [`FlowError::Service`] if the service rejects the rows: it has buffered none of them.
/// * [`FlowError::Ambiguous`] if an attempt got no response, or a response that cannot be read: the rows may be
///   buffered.
/// * [`FlowError::Deadline`] if the timeout expires.
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::snowpipe::{ChannelPath, IngestHost, OpenChannel};
/// use pipewright::snowpipe::rows::Batch;
///
/// let runtime = Canned::new([
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 200,
///         r#"{"next_continuation_token":"1_0","channel_status":{"channel_status_code":"SUCCESS"}}"#),
///     ("POST /v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c/rows", 503,
///         "\"ERR_GENERAL_EXCEPTION_RETRY_REQUEST\""),
///     ("POST /v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c/rows", 200,
///         r#"{"next_continuation_token":"1_1"}"#),
/// ]);
/// let ingest = IngestHost::new("https://acct.ingest.snowflakecomputing.com".parse()?, runtime);
/// let channel = ingest.run(OpenChannel::new(ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c")))?;
/// let channel = ingest.run(channel.append(Batch::new("{\"ID\":1}\n{\"ID\":2}\n", 2, "1", "2")))?;
/// # let _ = channel;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Append {
    pub(super) channel: Channel,
    pub(super) batch: Batch,
    pub(super) timeout: Option<Duration>,
}

/// The transitions of [`Append`].
#[derive(Debug)]
pub struct AppendMachine {
    /// The channel, until the flow returns it.
    channel: Option<Channel>,
    batch: Batch,
    call: Option<Call<AppendRows>>,
}

impl AppendMachine {
    /// Returns whether the service may have carried out an attempt without a response.
    pub(super) fn has_unanswered(&self) -> bool {
        self.call.as_ref().is_some_and(Call::has_unanswered)
    }

    /// Returns the part of the waits that the service has asked for, beyond the flow's own waits.
    pub(super) fn asked_to_wait(&self) -> Duration {
        self.call.as_ref().map_or(Duration::ZERO, Call::asked_to_wait)
    }
}

fn operation(channel: &Channel, batch: &Batch, id: RequestId) -> AppendRows {
    let path = &channel.path;
    let token = |token: &Option<String>| token.clone().unwrap_or_default();
    let mut append = AppendRows::new(&path.database, &path.schema, &path.pipe, &path.channel, id, batch.body.clone())
        .continuation_token(&channel.token)
        .offsets(token(&batch.start_offset_token), token(&batch.end_offset_token));
    append.encoding.clone_from(&batch.encoding);
    append.session.clone_from(&channel.session);
    append
}

impl StateMachine for AppendMachine {
    type Service = SnowpipeIngest;
    type Output = Channel;
    const NAME: &'static str = "Append";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeIngest>) -> Transition<Channel> {
        match (&mut self.call, &self.channel) {
            (None, Some(channel)) => {
                let id = RequestId::from_bits(cx.seed.next_u128());
                self.call = Some(cx.call(operation(channel, &self.batch, id)));
            }
            (Some(call), _) => match (cx.poll(call)?, self.channel.take()) {
                (Ok(appended), Some(channel)) => {
                    // A response without a token is an error: see `AppendRows`.
                    let token = appended.next_continuation_token.unwrap_or_default();
                    return done(Ok(Channel { token, session: appended.session, ..channel }));
                }
                (Err(error), _) => return done(Err(error)),
                (Ok(_), None) => return done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
            },
            (None, None) => return done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
        }
        ControlFlow::Continue(())
    }
}

impl From<Append> for AppendMachine {
    fn from(goal: Append) -> Self {
        AppendMachine { channel: Some(goal.channel), batch: goal.batch, call: None }
    }
}

goal!(Append: SnowpipeIngest => Channel, AppendMachine);

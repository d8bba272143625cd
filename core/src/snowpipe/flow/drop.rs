//! The goal [`DropChannel`].
//!
//! ```text
//!  Drop ──200──▶ done
//!   ▲ ├──404, after an attempt without an answer, or if_exists──▶ done
//!   │ └──409, rows are not committed yet──▶ Wait
//!   └────── 1, 2, 4, 8, 8, … s ◀─────────────┘
//! ```
//!
//! Invariant: the flow waits for rows that are not committed yet, unless [`force`](DropChannel::force) allows to
//! discard them.

use std::ops::ControlFlow;
use std::time::Duration;

use http::StatusCode;

use super::ChannelPath;
use super::busy_request::BusyRequest;
use crate::error::{ErrorKind, FlowError};
use crate::flow::{FlowContext, StateMachine, Transition, done, goal};
use crate::snowpipe::channels::{DropChannelOperation, Dropped};
use crate::snowpipe::tuning::BUSY_TIMEOUT;
use crate::snowpipe::{ErrorCode, SnowpipeIngest, error_code};

/// Drops a channel, with its committed token and its counters, as soon as its rows are committed.
///
/// Drop a channel only if its committed token is no longer needed. A channel that is no longer written to needs no
/// request. The flow waits at most [two minutes](Self::busy_timeout) for rows that are not committed yet. It repeats an
/// attempt without a response. If the channel does not exist at the next attempt, the drop has succeeded.
///
/// # Errors
/// [`FlowError::Service`] if the service rejects the request: the channel does not exist (see
/// [`if_exists`](Self::if_exists)), or its rows are not committed in time.
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::snowpipe::{ChannelPath, DropChannel, IngestHost};
///
/// // A proxy gives up waiting, although the service drops the channel.
/// let runtime = Canned::new([
///     ("DELETE /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 504, "timeout"),
///     ("DELETE /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 404,
///         r#"{"code":"ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED","message":"m"}"#),
/// ]);
/// let ingest = IngestHost::new("https://acct.ingest.snowflakecomputing.com".parse()?, runtime);
/// let dropped = ingest.run(DropChannel::new(ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c")))?;
/// assert_eq!(dropped.last_committed_offset_token, None, "the answer that may have had it was lost");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct DropChannel {
    path: ChannelPath,
    force: bool,
    if_exists: bool,
    busy_timeout: Duration,
    timeout: Option<Duration>,
}

impl DropChannel {
    /// Creates the goal for a channel.
    pub fn new(path: ChannelPath) -> Self {
        Self { path, force: false, if_exists: false, busy_timeout: BUSY_TIMEOUT, timeout: None }
    }

    /// **Discards** rows that are not committed yet, instead of waiting for them.
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Succeeds if the channel does not exist. The service returns the same error if the role may not see the channel.
    pub fn if_exists(mut self) -> Self {
        self.if_exists = true;
        self
    }

    /// Sets how long to wait while the service says that rows are not committed yet; two minutes by default. After
    /// that, the flow ends with the rejection.
    pub fn busy_timeout(mut self, time: Duration) -> Self {
        self.busy_timeout = time;
        self
    }
}

/// The transitions of [`DropChannel`].
#[derive(Debug)]
pub struct DropMachine {
    goal: DropChannel,
    request: BusyRequest<DropChannelOperation>,
}

impl DropMachine {
    /// Returns whether an error says that the channel does not exist, and the goal accepts that.
    fn is_dropped(&self, error: &FlowError) -> bool {
        let says_missing = error.service().is_some_and(|error| {
            error.kind() == ErrorKind::Rejected
                && error.status() == StatusCode::NOT_FOUND
                && error_code(error) == Some(ErrorCode::ChannelDoesNotExist)
        });
        says_missing && (self.request.has_unanswered() || self.goal.if_exists)
    }
}

impl StateMachine for DropMachine {
    type Service = SnowpipeIngest;
    type Output = Dropped;
    const NAME: &'static str = "DropChannel";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeIngest>) -> Transition<Dropped> {
        let DropChannel { path, force, .. } = &self.goal;
        let drop = |id| path.drop(id).fail_on_uncommitted_rows(!force);
        match self.request.advance(path, cx, drop)? {
            Some(Err(error)) if self.is_dropped(&error) => done(Ok(Dropped { last_committed_offset_token: None })),
            Some(result) => done(result),
            None => ControlFlow::Continue(()),
        }
    }
}

impl From<DropChannel> for DropMachine {
    fn from(goal: DropChannel) -> Self {
        DropMachine { request: BusyRequest::new((Self::NAME, "dropping"), goal.busy_timeout), goal }
    }
}

goal!(DropChannel: SnowpipeIngest => Dropped, DropMachine);

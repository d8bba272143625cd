//! The goal [`OpenChannel`], and the [`Channel`] that it returns.
//!
//! ```text
//!  Open ──200, SUCCESS──▶ done
//!   ▲ └──409, rows are not committed yet, or another open is in progress──▶ Wait
//!   └───────────────── 1, 2, 4, 8, 8, … s ◀───────────────────────────────────┘
//! ```
//!
//! | response | result |
//! |---|---|
//! | 200, `SUCCESS` | the channel |
//! | 200, any other status | [`FlowError::Service`] with that code: the channel must not be used |
//! | 409 `ERR_CHANNEL_HAS_UNCOMMITTED_DATA` | waits, so that the rows are committed and not discarded |
//! | 409 `ERR_OPEN_CHANNEL_IN_PROGRESS` | waits |
//! | one of these 409 with `Retry-After` | waits as long as the service asks, up to [`longest_retry_after`](crate::flow::Retry::longest_retry_after) |
//! | 409 `ERR_PIPE_IN_INVALID_STATE`, 404 with a code, 403, 410, … | [`FlowError::Service`] |
//! | no response, or an unreadable response such as `{}` | opens again: a second open replaces the first, and its token counts |
//!
//! Invariants: a [`Channel`] results only from an open that the service has answered. By then, the rows that were
//! buffered before are committed, unless [`force`](OpenChannel::force) allows to discard them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::busy_request::BusyRequest;
use super::{AwaitCommitted, ChannelPath};
use crate::Operation as _;
use crate::error::{FlowError, ServiceError};
use crate::flow::{FlowContext, StateMachine, Transition, done, goal};
use crate::snowpipe::SnowpipeIngest;
use crate::snowpipe::channels::{ChannelStatus, OpenChannelOperation, Opened};
use crate::snowpipe::flow::Append;
use crate::snowpipe::rows::Batch;
use crate::snowpipe::tuning::BUSY_TIMEOUT;

/// Opens a channel once its buffered rows are committed. Creates it if it does not exist, and takes it over from
/// another client.
///
/// An open would discard earlier rows that are buffered and not committed yet. So the flow waits for them: usually some
/// seconds, and at most [two minutes](Self::busy_timeout). It saves no state: after an error or a crash, run the goal
/// again. [Snowflake's page about
/// errors](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-error-handling).
///
/// # Errors
/// * [`FlowError::Service`] if the service rejects the request, or answers 200 with a channel that must not be used:
///   [`error_code`](crate::snowpipe::error_code) says why.
/// * [`FlowError::Ambiguous`] if it is not known whether the channel was opened. Open it again.
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::snowpipe::{ChannelPath, IngestHost, OpenChannel};
///
/// let runtime = Canned::new([
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 409,
///         r#"{"code":"ERR_CHANNEL_HAS_UNCOMMITTED_DATA","message":"m"}"#),
///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 200, r#"{"next_continuation_token":"2_0",
///         "channel_status":{"channel_status_code":"SUCCESS","last_committed_offset_token":"17"}}"#),
/// ]);
/// let ingest = IngestHost::new("https://acct.ingest.snowflakecomputing.com".parse()?, runtime);
/// let channel = ingest.run(OpenChannel::new(ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c")))?;
/// assert_eq!(channel.committed(), Some("17"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct OpenChannel {
    path: ChannelPath,
    force: bool,
    offset_token: Option<String>,
    busy_timeout: Duration,
    timeout: Option<Duration>,
}

impl OpenChannel {
    /// Creates the goal for a channel.
    pub fn new(path: ChannelPath) -> Self {
        Self { path, force: false, offset_token: None, busy_timeout: BUSY_TIMEOUT, timeout: None }
    }

    /// **Discards** earlier rows that are not committed yet, instead of waiting for them. The service does not say how
    /// many rows it has discarded. Discarding slows down other channels of the table.
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Sets the committed token of the channel. Use it only for a new channel, or for a channel that has expired.
    pub fn offset_token(mut self, token: impl Into<String>) -> Self {
        self.offset_token = Some(token.into());
        self
    }

    /// Sets how long to wait while the service says that rows are not committed yet, or that another open is in
    /// progress; two minutes by default. After that, the flow ends with the rejection. A wait that the service asks for
    /// (`Retry-After`) does not count.
    pub fn busy_timeout(mut self, time: Duration) -> Self {
        self.busy_timeout = time;
        self
    }
}

impl From<OpenChannel> for OpenMachine {
    fn from(goal: OpenChannel) -> Self {
        OpenMachine { request: BusyRequest::new((Self::NAME, "opening"), goal.busy_timeout), goal }
    }
}

/// An open channel: the right to append the next batch.
///
/// [`append`](Self::append) takes the channel and returns it, so that two appends cannot run at the same time. If an
/// append fails or is dropped, its channel is lost. Then open the channel again with [`Reconcile`](super::Reconcile),
/// which finds out whether the batch was committed.
///
/// ```compile_fail,E0382
/// # fn example(channel: pipewright::snowpipe::Channel, batch: pipewright::snowpipe::rows::Batch) {
/// let first = channel.append(batch.clone());
/// let second = channel.append(batch);
/// # }
/// ```
pub struct Channel {
    pub(super) path: ChannelPath,
    /// The continuation token for the next append.
    pub(super) token: String,
    /// The `x-snowflake-session` header of the last answer: it keeps the appends at one node.
    pub(super) session: Option<String>,
    /// The status, shared with the writer that has the channel.
    pub(super) status: Arc<ChannelStatus>,
    /// Whether an open of this client got no response: it may still arrive, and invalidate this channel.
    pub(super) unanswered_open: bool,
}

impl Channel {
    /// Returns the path of the channel.
    pub fn path(&self) -> &ChannelPath {
        &self.path
    }

    /// Returns the status from when the channel was opened. [`AwaitCommitted`] reads it again.
    pub fn status(&self) -> &ChannelStatus {
        &self.status
    }

    /// Returns the offset token that was committed when the channel was opened; `None` for a new channel.
    pub fn committed(&self) -> Option<&str> {
        self.status.committed()
    }

    /// Creates the goal that appends a batch and returns the channel.
    pub fn append(self, batch: Batch) -> Append {
        Append { channel: self, batch, timeout: None }
    }

    /// Creates the goal that waits until an offset token is committed. It counts the rows that were rejected since the
    /// channel was opened.
    pub fn await_committed(&self, token: impl Into<String>) -> AwaitCommitted {
        AwaitCommitted::new(self.path.clone(), token).since(&self.status)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("path", &format_args!("{}", self.path))
            .field("token", &self.token)
            .field("unanswered_open", &self.unanswered_open)
            .finish_non_exhaustive()
    }
}

/// The transitions of [`OpenChannel`].
#[derive(Debug)]
pub struct OpenMachine {
    goal: OpenChannel,
    pub(super) request: BusyRequest<OpenChannelOperation>,
}

/// Reads the response to an open: a 200 may contain a channel that must not be used.
fn opened(path: &ChannelPath, opened: Opened, unanswered_open: bool) -> Result<Channel, FlowError> {
    let Opened { next_continuation_token, channel_status: status } = opened;
    if let Some(rejection) = status.rejection(OpenChannelOperation::INFO) {
        return Err(rejection.into());
    }
    let Some(token) = next_continuation_token.filter(|token| !token.is_empty()) else {
        let problem = "there is no next_continuation_token: this server takes no appends with one";
        let empty = Response::new(Bytes::new());
        let error = ServiceError::unreadable(OpenChannelOperation::INFO, &empty, problem).with_transient(false);
        return Err(error.into());
    };
    Ok(Channel { path: path.clone(), token, session: None, status: Arc::new(status), unanswered_open })
}

impl StateMachine for OpenMachine {
    type Service = SnowpipeIngest;
    type Output = Channel;
    const NAME: &'static str = "OpenChannel";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeIngest>) -> Transition<Channel> {
        let OpenChannel { path, force, offset_token, .. } = &self.goal;
        let open = |id| {
            let mut open = path.open(id, !force);
            open.offset_token.clone_from(offset_token);
            open
        };
        match self.request.advance(path, cx, open)? {
            Some(result) => done(result.and_then(|answer| opened(path, answer, self.request.has_unanswered()))),
            None => ControlFlow::Continue(()),
        }
    }
}

goal!(OpenChannel: SnowpipeIngest => Channel, OpenMachine);

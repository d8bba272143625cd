//! The goal [`AwaitCommitted`].
//!
//! ```text
//!  Poll ──the token, or a later one──▶ done
//!   ▲ └──not yet──▶ Wait
//!   └───── 1 s ◀─────┘
//! ```
//!
//! | channel status | result |
//! |---|---|
//! | `SUCCESS`, with the token or a later token | done, with the number of rejected rows |
//! | `SUCCESS`, with any other token or without a token | polls again after a second |
//! | any other status | [`FlowError::Service`] with that code: buffered rows may be lost; open the channel again, and send the rows again |
//! | the channel does not exist, or was recreated since the status of [`since`](AwaitCommitted::since) | polls again, because the answering node may lag behind; [`ChannelLost`] after 30 s of the same answers |
//! | a status that cannot be read | polls again; [`FlowError::Service`] after 30 s of such answers |
//! | a response without the channel, such as `{}` | repeats the request, as after any unreadable response |
//!
//! Invariants: the flow looks the committed token up in the caller's tokens, and never orders tokens itself. An expired
//! timeout says nothing about the channel. The 30 s are counted from request to request, with at most two seconds for
//! each, so that a clock that jumps does not end the wait.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::loss_detector::LossDetector;
use super::position::{ChannelSnapshot, RejectedRows};
use super::{ChannelLost, ChannelPath};
use crate::Operation as _;
use crate::error::FlowError;
use crate::flow::{Call, FlowContext, StateMachine, Transition, done, goal};
use crate::snowpipe::channels::{BulkGetChannelStatus, ChannelStatus, ChannelStatuses};
use crate::snowpipe::tuning::STATUS_POLL_INTERVAL;
use crate::snowpipe::{RequestId, SnowpipeIngest};
use crate::time::Timestamp;

/// Waits until an offset token is committed: its rows and all earlier rows are then in the table, or rejected.
///
/// The flow polls once a second. A commit usually takes 5 to 10 s. If the service commits several appends at once, it
/// may show only the last token. So name the tokens that you send later with [`or_later`](Self::or_later), or give an
/// order with [`when`](Self::when).
///
/// Set a [`timeout`](Self::timeout). If another client opens the channel by force, its buffered rows are discarded, and
/// no status shows that.
///
/// # Errors
/// * [`FlowError::Service`] if the status of the channel is not `SUCCESS`: do not use the channel any more. Open it
///   again with [`Reconcile`](super::Reconcile).
/// * [`FlowError::Failed`] with a [`ChannelLost`] if the channel has not existed for 30 s, or was recreated.
/// * [`FlowError::Deadline`] if the timeout expires. The rows may be committed later.
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::snowpipe::{AwaitCommitted, ChannelPath, IngestHost};
///
/// let runtime = Canned::new([
///     ("POST /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING:bulk-channel-status", 200,
///         r#"{"channel_statuses":{"c":{"channel_status_code":"SUCCESS","last_committed_offset_token":"8"}}}"#),
///     ("POST /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING:bulk-channel-status", 200,
///         r#"{"channel_statuses":{"c":{"channel_status_code":"SUCCESS","last_committed_offset_token":"10"}}}"#),
/// ]);
/// let ingest = IngestHost::new("https://acct.ingest.snowflakecomputing.com".parse()?, runtime);
/// let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c");
/// let committed = ingest.run(AwaitCommitted::new(path, "9").or_later(["10"]))?;
/// assert_eq!(committed.token, "10");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a goal does nothing until it is run"]
pub struct AwaitCommitted {
    path: ChannelPath,
    /// The awaited token, and later tokens.
    tokens: Vec<String>,
    reached: Option<Order>,
    before: Option<ChannelSnapshot>,
    timeout: Option<Duration>,
}

/// Returns whether a committed token is the awaited token or a later token.
type Order = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl AwaitCommitted {
    /// Creates the goal for the offset token of a channel.
    pub fn new(path: ChannelPath, token: impl Into<String>) -> Self {
        Self { path, tokens: vec![token.into()], reached: None, before: None, timeout: None }
    }

    /// Also accepts these tokens, which were sent after the awaited token.
    pub fn or_later(mut self, tokens: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tokens.extend(tokens.into_iter().map(Into::into));
        self
    }

    /// Also accepts every committed token for which the function returns true.
    ///
    /// ```
    /// # use pipewright::snowpipe::{AwaitCommitted, ChannelPath};
    /// # let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c");
    /// let wait = AwaitCommitted::new(path, "9").when(|token| token.parse().is_ok_and(|number: u64| number >= 9));
    /// ```
    pub fn when(mut self, reached: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.reached = Some(Arc::new(reached));
        self
    }

    /// Counts the rows that are rejected after this status, and detects if the channel was recreated since.
    pub fn since(mut self, status: &ChannelStatus) -> Self {
        self.before = Some(ChannelSnapshot::of(status));
        self
    }

    fn is_reached_by(&self, token: &str) -> bool {
        self.tokens.iter().any(|wanted| wanted == token) || self.reached.as_ref().is_some_and(|reached| reached(token))
    }

    /// Returns how the channel was lost; `None` if it was not. The status may be outdated.
    fn is_lost(&self, status: Option<&ChannelStatus>) -> Option<ChannelLost> {
        let Some(status) = status else { return Some(ChannelLost::Missing) };
        let before = self.before.as_ref()?;
        if before.is_another(status) {
            return Some(ChannelLost::Replaced);
        }
        let is_gone = before.committed.is_some() && status.committed().is_none();
        is_gone.then(|| ChannelLost::TokenGone { before: before.committed.clone() })
    }

    /// Returns the result if the status shows that the token is committed.
    fn read(&self, status: ChannelStatus) -> Option<Committed> {
        let token = status.committed().filter(|token| self.is_reached_by(token)).map(str::to_owned);
        let errors = self.before.as_ref().and_then(|before| before.rows_error_count);
        token.map(|token| Committed { token, rejected: RejectedRows::since(errors, &status), status })
    }
}

/// The result of an [`AwaitCommitted`]: the rows are in the table, or rejected.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Committed {
    /// The committed token: the awaited token, or a later token.
    pub token: String,
    /// The rows that were rejected since the status of [`AwaitCommitted::since`]. `None` if no rows were rejected, or
    /// no status was given. **The committed token does not show rejected rows.**
    pub rejected: Option<RejectedRows>,
    /// The whole status of the channel.
    pub status: ChannelStatus,
}

/// The transitions of [`AwaitCommitted`].
#[derive(Debug)]
pub struct AwaitCommittedMachine {
    goal: AwaitCommitted,
    /// The statuses that say that the channel is lost, or that cannot be read.
    lost: LossDetector,
    /// When the last status was requested.
    requested_at: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Poll(Call<BulkGetChannelStatus>),
    Wait(Timestamp),
}

impl AwaitCommittedMachine {
    fn poll_status(&mut self, cx: &mut FlowContext<SnowpipeIngest>) {
        let id = RequestId::from_bits(cx.seed.next_u128());
        self.requested_at = cx.now();
        self.state = State::Poll(cx.call(self.goal.path.status(id, vec![self.goal.path.channel.clone()])));
    }

    fn read(&mut self, mut statuses: ChannelStatuses) -> Result<Option<Committed>, FlowError> {
        let status = statuses.take(&self.goal.path.channel, true);
        if let Some(status) = &status
            && let Some(error) = status.rejection(BulkGetChannelStatus::INFO)
        {
            let is_believed = !status.is_unreadable() || self.lost.add(None, self.requested_at);
            return if is_believed { Err(error.into()) } else { Ok(None) };
        }
        match (self.goal.is_lost(status.as_ref()), status) {
            (None, Some(status)) => {
                self.lost.clear();
                Ok(self.goal.read(status))
            }
            (Some(lost), _) if self.lost.add(Some(&lost), self.requested_at) => Err(lost.of(&self.goal.path)),
            _ => Ok(None),
        }
    }
}

impl StateMachine for AwaitCommittedMachine {
    type Service = SnowpipeIngest;
    type Output = Committed;
    const NAME: &'static str = "AwaitCommitted";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeIngest>) -> Transition<Committed> {
        match &mut self.state {
            State::Start => {
                cx.phase(Self::NAME, "waiting for the commit");
                self.poll_status(cx);
            }
            State::Poll(call) => {
                let result = cx.poll(call)?;
                match result.and_then(|statuses| self.read(statuses)) {
                    Ok(Some(committed)) => return done(Ok(committed)),
                    Ok(None) => self.state = State::Wait(cx.now() + STATUS_POLL_INTERVAL),
                    Err(error) => return done(Err(error)),
                }
            }
            State::Wait(until) => {
                cx.wait(*until, "the rows to be committed")?;
                self.poll_status(cx);
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<AwaitCommitted> for AwaitCommittedMachine {
    fn from(goal: AwaitCommitted) -> Self {
        let (lost, requested_at) = (LossDetector::default(), Timestamp::UNIX_EPOCH);
        AwaitCommittedMachine { goal, lost, requested_at, state: State::Start }
    }
}

goal!(AwaitCommitted: SnowpipeIngest => Committed, AwaitCommittedMachine);

impl fmt::Debug for AwaitCommitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitCommitted")
            .field("path", &self.path)
            .field("tokens", &self.tokens)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

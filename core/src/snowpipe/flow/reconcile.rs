//! The goal [`Reconcile`].
//!
//! ```text
//!  Open, as OpenChannel does ──▶ the committed token, looked up in what was sent ──▶ done
//!                                          └─ gone, or another client's ─▶ failed
//! ```
//!
//! | committed token | result |
//! |---|---|
//! | the token from before | nothing of what was sent is committed, nor will be: send all of it again |
//! | the end token of the nth batch that was sent | n batches are committed: send the others again |
//! | none, although there was one | [`ChannelLost::TokenGone`]: the channel was dropped, has expired, or its table was replaced |
//! | any, of a channel that was made later | [`ChannelLost::Replaced`] |
//! | that of [`Position::rejected`], or of a batch behind it | [`ChannelLost::AmbiguousToken`]: another client had the channel, and may use equal tokens |
//! | any other | [`ChannelLost::ForeignToken`]: another writer has the channel |
//!
//! Invariants: the open waits for what is buffered, so that what is not committed by then never will be; nothing is
//! decided by comparing tokens.

use std::time::Duration;

#[cfg(doc)]
use super::ChannelLost;
use super::open::OpenMachine;
use super::position::{Position, RejectedRows, StatusSource};
use super::recent_tokens::RecentTokens;
use super::{Channel, ChannelPath, OpenChannel};
use crate::error::FlowError;
use crate::flow::{FlowContext, Runner, StateMachine, Transition, done, goal};
use crate::snowpipe::SnowpipeIngest;

/// Finds out which of the sent batches were committed, by opening the channel again: after an append that failed, a
/// channel whose status is not `SUCCESS`, or a crash.
///
/// Batches that were buffered are waited for, those that are not committed then never will be and have to be sent
/// again: so every row is there once.
///
/// Ends as [`OpenChannel`] does, and in [`FlowError::Failed`] with a [`ChannelLost`] when the committed token is gone
/// or is another client's.
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::snowpipe::{ChannelPath, IngestHost, Position, Reconcile};
///
/// let opened = r#"{"next_continuation_token":"2_0",
///     "channel_status":{"channel_status_code":"SUCCESS","last_committed_offset_token":"10"}}"#;
/// let path = "PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c";
/// let runtime = Canned::new([(path, 200, opened)]);
/// let ingest = IngestHost::new("https://acct.ingest.snowflakecomputing.com".parse()?, runtime);
/// let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c");
/// let position: Position = serde_json::from_str(r#"{"committed":"8","sent":["9","10","11"]}"#)?;
/// let reconciled = ingest.run(Reconcile::new(path, position))?;
/// assert_eq!(reconciled.settled, 2, "9 and 10 are committed: send 11 again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Reconcile {
    open: OpenChannel,
    path: ChannelPath,
    position: Position,
    timeout: Option<Duration>,
}

impl Reconcile {
    /// The channel, and what was sent to it.
    pub fn new(path: ChannelPath, position: Position) -> Self {
        Self { open: OpenChannel::new(path.clone()), path, position, timeout: None }
    }

    /// As [`OpenChannel::busy_timeout`].
    pub fn busy_timeout(mut self, time: Duration) -> Self {
        self.open = self.open.busy_timeout(time);
        self
    }
}

/// What was committed, and an open channel to send the rest to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reconciled {
    /// For what is to be sent again.
    pub channel: Channel,
    /// How many of [`Position::sent`] are committed; the others are not and never will be.
    pub settled: usize,
    /// The rows that were rejected since the position was taken, if any.
    pub rejected: Option<RejectedRows>,
}

/// The transitions of [`Reconcile`].
#[derive(Debug)]
pub struct ReconcileMachine {
    goal: Reconcile,
    open: Option<Runner<OpenMachine>>,
}

impl ReconcileMachine {
    fn read(&self, channel: Channel) -> Result<Reconciled, FlowError> {
        let (mut known, sent, unproven_from) = self.goal.position.clone().split();
        let tokens = sent.iter().map(String::as_str);
        let settled =
            known.settled(&channel.status, tokens, unproven_from, &RecentTokens::default(), StatusSource::Opened);
        let settled = settled.map_err(|lost| lost.of(&self.goal.path))?;
        let rejected = known.rejected(&channel.status, StatusSource::Opened);
        Ok(Reconciled { channel, settled, rejected })
    }
}

impl StateMachine for ReconcileMachine {
    type Service = SnowpipeIngest;
    type Output = Reconciled;
    const NAME: &'static str = "Reconcile";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeIngest>) -> Transition<Reconciled> {
        let open = self.open.get_or_insert_with(|| cx.child(self.goal.open.clone()));
        let channel = cx.poll(open)?;
        done(channel.and_then(|channel| self.read(channel)))
    }
}

impl From<Reconcile> for ReconcileMachine {
    fn from(goal: Reconcile) -> Self {
        ReconcileMachine { goal, open: None }
    }
}

goal!(Reconcile: SnowpipeIngest => Reconciled, ReconcileMachine);

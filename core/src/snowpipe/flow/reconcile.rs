//! The goal [`Reconcile`].
//!
//! ```text
//!  Open, as OpenChannel does ──▶ look the committed token up in the sent tokens ──▶ done
//!                                          └─ gone, or of another client ─▶ failed
//! ```
//!
//! | committed token | result |
//! |---|---|
//! | [`Position::committed`] | no sent batch is committed, now or later: send all of them again |
//! | the end token of the nth sent batch | n batches are committed: send the others again |
//! | no token, although there was one before | [`ChannelLost::TokenGone`]: the channel was dropped, has expired, or its table was replaced |
//! | any token, of a recreated channel | [`ChannelLost::Replaced`] |
//! | [`Position::rejected`], or the token of a later batch | [`ChannelLost::AmbiguousToken`]: another client had the channel, and may use equal tokens |
//! | any other token | [`ChannelLost::ForeignToken`]: another writer has the channel |
//!
//! Invariants: the open waits until buffered rows are committed, so a batch that is not committed then never will be.
//! The flow never orders tokens.

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

/// Opens a channel again and finds out which of the sent batches were committed. Use it after a failed append, after a
/// channel status other than `SUCCESS`, or after a crash.
///
/// The flow waits until buffered batches are committed. A batch that is not committed then never will be. Send it
/// again: every row is then in the table once.
///
/// # Errors
/// * The errors of [`OpenChannel`].
/// * [`FlowError::Failed`] with a [`ChannelLost`] if the committed token is gone, or is of another client.
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
    /// Creates the goal for a channel, and the position that was reached in it.
    pub fn new(path: ChannelPath, position: Position) -> Self {
        Self { open: OpenChannel::new(path.clone()), path, position, timeout: None }
    }

    /// Sets how long to wait for buffered rows: see [`OpenChannel::busy_timeout`].
    pub fn busy_timeout(mut self, time: Duration) -> Self {
        self.open = self.open.busy_timeout(time);
        self
    }
}

/// The result of a [`Reconcile`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Reconciled {
    /// The open channel: send the other batches through it.
    pub channel: Channel,
    /// How many batches of [`Position::sent`] are committed, from the first. The others never will be.
    pub settled: usize,
    /// The rows that were rejected since the position was saved; `None` if no rows were rejected.
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

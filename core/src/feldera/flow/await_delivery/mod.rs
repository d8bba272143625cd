//! The goal [`AwaitDelivery`].
//!
//! ```text
//!  Identifying ──the subscription's process──▶ Sending ──token──▶ Processing ──complete──▶ Settling
//!   │ another one                               │ (of a token: at once)  │ ▲                │ │ no steps sent
//!   ▼                                           ▼                        │ └ progress       │ └──▶ Completed
//!  failed: Restarted                    rejected ▶ Diagnosis ▶ failed    ▼                  ▼
//!                                                       delivered ▶ Verifying ──the same process──▶ Delivered
//! ```
//!
//! | state | event | next |
//! |---|---|---|
//! | Identifying | the statistics are of the process that the caller read before it subscribed | Sending, or Processing if there is a token |
//! | Identifying | of another one, or none is known and the server tells one | failed: [`Restarted`](super::Interruption::Restarted); no rows were sent |
//! | Sending | a token | Processing |
//! | Sending | no answer | failed: **ambiguous** |
//! | Sending | rejected | Diagnosis; failed |
//! | Processing, Settling | all subscriptions are [delivered](self::decide) | Verifying |
//! | Processing, Settling | the step is known, and one subscription cannot deliver any more | failed: [`Undelivered`] |
//! | Processing | progress, and the step is not known or no steps were shown | polls the status at once |
//! | Processing | the token cannot be completed any more | failed, as [`AwaitCompletion`] |
//! | Processing | complete | Settling |
//! | Settling | complete without a step (before 0.242), or the caller says that the server has no steps | Completed |
//! | Settling | 4 s have passed, a subscription was read since, and none has ever shown steps | Completed |
//! | Settling | the stall timeout has passed | failed: [`Overdue`](Undelivered::Overdue) |
//! | Verifying | statistics of the same process | Delivered |
//! | Verifying | of another one | failed: [`Restarted`](super::Interruption::Restarted) |
//!
//! Invariants: rows are sent once. *Delivered* needs one process from before the subscription to after the last chunk:
//! it gave out the token, counted the steps and sent the chunks, so that the numbers can be compared. It also needs
//! that no chunk was lost meanwhile. In doubt, the flow fails or says less.

mod decide;
mod machine;

use std::fmt;
use std::time::Duration;

use self::decide::Subscription;
use self::machine::{DeliveryMachine, Source};
use crate::feldera::FelderaApi;
use crate::feldera::data::{CompletionToken, HttpInput};
use crate::feldera::stream::EgressProgress;
use crate::feldera::tuning::STALL_TIMEOUT;
use crate::flow::{Runner, goal};

/// Ingests rows, or takes a completion token, and waits until subscriptions have delivered every change that the rows
/// caused: the caller reads its own writes.
///
/// Subscribe first, then send the rows. The caller reads the subscription and tells the flow its
/// [progress](crate::feldera::stream::Egress::progress): this is an event flow with one event. On a blocking client,
/// [`Feldera::subscribe`](crate::driver::Client::subscribe) does all that.
///
/// | result | proof |
/// |---|---|
/// | [`Delivered`](DeliveryProof::Delivered) | the subscriptions have shown `processed_steps` of at least the token's `step`, and the changes came before it |
/// | [`Completed`](DeliveryProof::Completed) | the token is complete. The server never sends `processed_steps`, as those up to 0.337: the changes may still be on their way |
///
/// 1. Read the [process](crate::feldera::stats::GlobalMetrics::process) from the statistics.
/// 2. Subscribe with [`HttpOutput`](crate::feldera::stream::HttpOutput). Without
///    [`backpressure`](crate::feldera::stream::HttpOutput::backpressure) the server may discard chunks, and the flow
///    fails.
/// 3. Start the flow with the process and the progress of the subscription. For several subscriptions, use
///    [`subscription`](Self::subscription).
/// 4. Drive it, and read the subscription in turn: handle each chunk, then call [`DeliveryWatch::observe`]; at the end
///    of the stream, [`DeliveryWatch::ended`].
///
/// A subscription delivers the changes of rows that were sent after it began. For a token of earlier rows, the flow
/// must get the progress from before they were sent.
///
/// # Errors
/// * [`FlowError::Failed`](crate::error::FlowError::Failed) with
///   [`Interruption::Restarted`](super::Interruption::Restarted) if the process is not the one of the subscription. At
///   the beginning, no rows were sent.
/// * `Failed` with [`Interruption::Undelivered`](super::Interruption::Undelivered) if the rows are ingested, but a
///   subscription lost chunks or ended. Subscribe again with a snapshot.
/// * `Failed` with the interruptions of [`AwaitCompletion`](super::AwaitCompletion), for example if the pipeline is
///   paused or crashes.
/// * [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous) if the rows were sent and not answered.
/// * [`FlowError::Service`](crate::error::FlowError::Service) if the rows were rejected. With the code `ParseErrors`,
///   all other rows are ingested, see [`parse_errors`](crate::feldera::data::parse_errors).
///
/// ```
/// # let stats = r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #     "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#;
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, stats),
/// #     ("GET /v0/pipelines/orders/stats", 200, stats),
/// #     ("POST /v0/pipelines/orders/ingress/items", 200, r#"{"token":"eyJ1"}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"inprogress","step":37}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, stats),
/// # ]);
/// use pipewright::decode::{Decoder, LineLimit};
/// use pipewright::feldera::data::{DataFormat, HttpInput};
/// use pipewright::feldera::stats::GetStats;
/// use pipewright::feldera::stream::Egress;
/// use pipewright::feldera::{AwaitDelivery, DeliveryProof, Feldera};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let process = feldera.call(GetStats::new("orders"))?.global_metrics.process();
/// let mut view = Egress::new(LineLimit::default()); // In a program: `feldera.open(HttpOutput::new(…))?`.
///
/// let rows = HttpInput::new("orders", "items", DataFormat::Json, r#"{"insert":{"id":1}}"#);
/// let mut delivery = feldera.start(AwaitDelivery::ingest(rows, process, view.progress()));
/// assert!(delivery.next_ready()?.is_none(), "the rows are ingested, and the step is known");
/// view.feed(b"{\"sequence_number\":0,\"snapshot\":false,\"json_data\":[{\"insert\":{\"id\":1}}]}\r\n");
/// view.feed(b"{\"sequence_number\":1,\"snapshot\":false,\"processed_steps\":37}\r\n");
/// while view.advance()? {
///     println!("{} changes", view.item().rows().len());
///     delivery.flow_mut().observe(0, view.progress());
/// }
/// assert!(matches!(delivery.next()?, Some(DeliveryProof::Delivered { step: 37, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is started"]
pub struct AwaitDelivery {
    source: Source,
    process: Option<String>,
    subscriptions: Vec<Subscription>,
    has_steps: bool,
    stall_timeout: Option<Duration>,
    timeout: Option<Duration>,
}

impl AwaitDelivery {
    /// Ingests rows. The process was read before the caller subscribed, the progress of the subscription is the present
    /// one.
    pub fn ingest(rows: HttpInput, process: impl Into<Option<String>>, subscription: EgressProgress) -> Self {
        Self::of(Source::Rows(rows), process.into(), subscription)
    }

    /// Waits for the rows of a token. The process was read before the caller subscribed, the progress of the
    /// subscription is one from before the rows were sent. Call [`DeliveryWatch::observe`] with the present one.
    pub fn new(
        pipeline: impl Into<String>,
        token: CompletionToken,
        process: impl Into<Option<String>>,
        subscription: EgressProgress,
    ) -> Self {
        Self::of(Source::Token(pipeline.into(), token), process.into(), subscription)
    }

    fn of(source: Source, process: Option<String>, subscription: EgressProgress) -> Self {
        let subscriptions = vec![Subscription::new(subscription)];
        let stall_timeout = Some(STALL_TIMEOUT);
        Self { source, process, subscriptions, has_steps: true, stall_timeout, timeout: None }
    }

    /// Adds another subscription to the same process. Its index for [`DeliveryWatch::observe`] is 1 for the first one
    /// that is added, then 2, 3 and so on.
    pub fn subscription(mut self, progress: EgressProgress) -> Self {
        self.subscriptions.push(Subscription::new(progress));
        self
    }

    /// Declares that the server never sends `processed_steps`. The flow ends with
    /// [`Completed`](DeliveryProof::Completed) as soon as the token is complete, unless a subscription has shown steps.
    /// Otherwise it finds that out itself, which takes up to 7 s.
    pub fn without_steps(mut self) -> Self {
        self.has_steps = false;
        self
    }

    /// Sets how long the circuit may make no progress, and how long a subscription may lag behind the completion; a
    /// minute by default, `None` is for ever.
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }
}

/// What an [`AwaitDelivery`] has proved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "`Completed` proves less than `Delivered`"]
pub enum DeliveryProof {
    /// The subscriptions have delivered every change that the rows caused.
    #[non_exhaustive]
    Delivered {
        /// The token of the rows.
        token: CompletionToken,
        /// The changes are in steps below this number.
        step: u64,
    },
    /// The rows are processed, and their changes were handed to all output connectors. The server never sends
    /// `processed_steps`, so it is not known whether a subscription has delivered them.
    #[non_exhaustive]
    Completed {
        /// The token of the rows.
        token: CompletionToken,
        /// The changes are in steps below this number; `None` if the server does not tell it.
        step: Option<u64>,
    },
}

impl DeliveryProof {
    /// Whether it is [`Delivered`](Self::Delivered).
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }
}

/// Why it is not known whether a subscription has delivered the changes of rows that were ingested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undelivered {
    /// The server discarded chunks, which may have been the changes: the subscription was read too slowly.
    #[non_exhaustive]
    ChunksLost {
        /// How many since before the rows were sent.
        chunks: u64,
    },
    /// The subscription ended before it had shown the step.
    SubscriptionEnded,
    /// The progress of another subscription was passed.
    Resubscribed,
    /// The rows were completed long ago, and the subscription has not shown their step.
    #[non_exhaustive]
    Overdue {
        /// The number of steps that was waited for.
        step: u64,
    },
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChunksLost { chunks } => write!(
                f,
                "the subscription lost {chunks} chunks, which may have been the changes; use backpressure, and subscribe \
                 again with a snapshot"
            ),
            Self::SubscriptionEnded => f.write_str(
                "the subscription ended before it had shown the step of the rows; subscribe again with a snapshot",
            ),
            Self::Resubscribed => f.write_str(
                "the progress of another subscription was passed; start the flow with the one that delivers the changes",
            ),
            Self::Overdue { step } => write!(
                f,
                "the rows are completed, and the subscription has not shown step {step}; read its chunks, and pass its \
                 progress after each of them"
            ),
        }
    }
}

/// A running [`AwaitDelivery`], created by [`AwaitDelivery::start`](crate::flow::Goal::start).
#[derive(Debug)]
#[must_use = "a flow does nothing until it is polled"]
pub struct DeliveryWatch {
    runner: Runner<DeliveryMachine>,
}

impl DeliveryWatch {
    /// Tells how far a subscription has been read, after the caller has handled its last chunk. Then poll the flow. The
    /// index is 0 for the subscription that the flow was created with; others are ignored unless they were added.
    pub fn observe(&mut self, subscription: usize, progress: EgressProgress) {
        self.runner.parts_mut().0.observe(subscription, progress);
    }

    /// Tells that the stream of a subscription has ended, in whatever way.
    pub fn ended(&mut self, subscription: usize) {
        self.runner.parts_mut().0.ended(subscription);
    }

    /// Returns the token of the rows; `None` until they are ingested.
    pub fn token(&self) -> Option<&CompletionToken> {
        self.runner.machine().token()
    }
}

goal!(AwaitDelivery: FelderaApi => DeliveryProof, DeliveryMachine, events DeliveryWatch);

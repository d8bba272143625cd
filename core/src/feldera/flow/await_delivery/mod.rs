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
//! | Identifying | the statistics are from the process that the caller read before it subscribed | Sending; Processing if the goal has a token |
//! | Identifying | the statistics are from another process, or the caller passed none and the server reports one | failed: [`Restarted`](super::Interruption::Restarted); no rows were sent |
//! | Sending | a token | Processing |
//! | Sending | the outcome is unknown | failed: **ambiguous** |
//! | Sending | rejected | Diagnosis; failed |
//! | Processing, Settling | all subscriptions are [delivered](self::decide) | Verifying |
//! | Processing, Settling | the step is known, and a subscription can no longer deliver it | failed: [`Undelivered`] |
//! | Processing | more steps were shown, and the step is not known | polls the status at once |
//! | Processing | other progress, and the step is not known or no steps were shown | polls the status at once, 8 times; then every 250 ms |
//! | Processing | the token can no longer be completed | failed, as [`AwaitCompletion`] |
//! | Processing | complete | Settling |
//! | Settling | complete without a step (before 0.242), or the caller called `without_steps` | Completed |
//! | Settling | 4 s have passed, a subscription was read since, and no subscription has ever shown steps | Completed |
//! | Settling | the stall timeout has passed | failed: [`Overdue`](Undelivered::Overdue) |
//! | Verifying | the statistics are from the same process | Delivered |
//! | Verifying | the statistics are from another process | failed: [`Restarted`](super::Interruption::Restarted) |
//!
//! Invariants: rows are sent once. *Delivered* requires that the same process ran from before the subscription until
//! after the last chunk. Only then can the numbers be compared: this process issued the token, counted the steps and
//! sent the chunks. *Delivered* also requires that no chunk was lost in between. Otherwise the flow fails, or ends with
//! *Completed*. [`SentRows`] in each error shows whether the rows were ingested. If the rows were rejected, the
//! rejection shows it.

mod decide;
mod machine;
mod sent_rows;

use std::fmt;
use std::time::Duration;

use self::decide::Subscription;
use self::machine::{DeliveryMachine, Source};
pub use self::sent_rows::SentRows;
use crate::feldera::FelderaApi;
use crate::feldera::data::{CompletionToken, HttpInput};
use crate::feldera::stream::EgressProgress;
use crate::feldera::tuning::STALL_TIMEOUT;
use crate::flow::{Runner, goal};

/// Ingests rows, or takes a completion token, and waits until subscriptions have delivered every change that the rows
/// caused: the caller reads its own writes.
///
/// With a blocking client, call [`Feldera::subscribe`](crate::driver::Client::subscribe), then
/// [`Subscription::ingest`](crate::feldera::Subscription::ingest). Otherwise subscribe first, then start this flow. It
/// is an event flow with one event. The caller reads the subscription, and passes its
/// [progress](crate::feldera::stream::Egress::progress) to the flow.
///
/// | result | proof |
/// |---|---|
/// | [`Delivered`](DeliveryProof::Delivered) | the subscriptions have shown `processed_steps` of at least the token's `step`; the changes came before that chunk |
/// | [`Completed`](DeliveryProof::Completed) | the token is complete, but no subscription has shown `processed_steps`, as on servers up to 0.337; the changes may still be on their way |
///
/// 1. Read the [process](crate::feldera::stats::GlobalMetrics::process) from the statistics.
/// 2. Subscribe with [`HttpOutput`](crate::feldera::stream::HttpOutput). Without
///    [`backpressure`](crate::feldera::stream::HttpOutput::backpressure) the server may discard chunks, and the flow
///    fails.
/// 3. Start the flow with the process and the progress of the subscription. For several subscriptions, use
///    [`subscription`](Self::subscription).
/// 4. Poll the flow and read the subscription in turn. Handle each chunk, then call [`DeliveryWatch::observe`]. At the
///    end of the stream, call [`DeliveryWatch::ended`].
///
/// A subscription delivers the changes of rows that were sent after it began. If you pass a token
/// of earlier rows, also pass the progress from before these rows were sent.
///
/// # Errors
/// [`SentRows::of`] returns whether the rows were ingested.
/// * [`FlowError::Failed`](crate::error::FlowError::Failed) with
///   [`Interruption::Restarted`](super::Interruption::Restarted) if another process runs than the process of the
///   subscription. If the flow notices that before it sends the rows, it does not send them.
/// * `Failed` with [`Interruption::Undelivered`](super::Interruption::Undelivered) if the rows are ingested, but a
///   subscription lost chunks or ended. Subscribe again with a snapshot.
/// * `Failed` with the interruptions of [`AwaitCompletion`](super::AwaitCompletion), for example if the pipeline is
///   paused or crashes.
/// * [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous) if the request with the rows got no answer: they may
///   or may not have been ingested.
/// * [`FlowError::Service`](crate::error::FlowError::Service) if the rows were rejected. With the code `ParseErrors`,
///   all other rows are ingested, see [`parse_errors`](crate::feldera::data::parse_errors).
/// * [`FlowError::Incomplete`](crate::error::FlowError::Incomplete) if another request failed.
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
    /// Ingests rows. Pass the process that was read before you subscribed, and the current progress of the
    /// subscription.
    pub fn ingest(rows: HttpInput, process: impl Into<Option<String>>, subscription: EgressProgress) -> Self {
        Self::of(Source::Rows(rows), process.into(), subscription)
    }

    /// Waits for the rows of a token. Pass the process that was read before you subscribed, and the progress of the
    /// subscription from before the rows were sent. Then call [`DeliveryWatch::observe`] with the current progress.
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

    /// Adds another subscription to the same process. For [`DeliveryWatch::observe`], the first added subscription has
    /// index 1, the second index 2, and so on.
    pub fn subscription(mut self, progress: EgressProgress) -> Self {
        self.subscriptions.push(Subscription::new(progress));
        self
    }

    /// Declares that the server never sends `processed_steps`. The flow ends with
    /// [`Completed`](DeliveryProof::Completed) as soon as the token is complete, unless a subscription has shown steps.
    /// Without this call, the flow needs up to 7 s to notice that the server sends no steps.
    pub fn without_steps(mut self) -> Self {
        self.has_steps = false;
        self
    }

    /// Sets how long the circuit may make no progress, and how long a subscription may lag behind the completion; a
    /// minute by default. `None` disables both limits.
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }
}

/// The result of an [`AwaitDelivery`]: what it has proved.
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
    /// The rows are processed, and their changes were handed to all output connectors. No subscription has shown
    /// `processed_steps`, so it is unknown whether the subscriptions have delivered them. Servers up to 0.337 never
    /// send `processed_steps`. On a newer server, a subscription that is read late may not have shown it yet.
    #[non_exhaustive]
    Completed {
        /// The token of the rows.
        token: CompletionToken,
        /// The changes are in steps below this number; `None` if the server does not report it.
        step: Option<u64>,
    },
}

impl DeliveryProof {
    /// Returns whether this is [`Delivered`](Self::Delivered).
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }
}

/// The reason why it is unknown whether a subscription has delivered the changes of ingested rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undelivered {
    /// The server discarded chunks, which may have been the changes: the subscription was read too slowly.
    #[non_exhaustive]
    ChunksLost {
        /// The number of chunks that were lost since the rows were sent.
        chunks: u64,
    },
    /// The subscription ended before it had shown the step.
    SubscriptionEnded,
    /// The caller passed the progress of another subscription.
    Resubscribed,
    /// The rows were completed, and the subscription did not show their step within the stall timeout.
    #[non_exhaustive]
    Overdue {
        /// The number of steps that the flow waited for.
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
                "the progress of another subscription was passed; start the flow with the subscription that delivers the changes",
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
    /// Records how far a subscription was read. Call it after you have handled a chunk, then poll the flow. Index 0 is
    /// the subscription that the flow was created with. An index that was not added is ignored.
    pub fn observe(&mut self, subscription: usize, progress: EgressProgress) {
        self.runner.parts_mut().0.observe(subscription, progress);
    }

    /// Records that the stream of a subscription has ended, with or without an error.
    pub fn ended(&mut self, subscription: usize) {
        self.runner.parts_mut().0.ended(subscription);
    }

    /// Returns the token of the rows, also after an error; `None` until they are ingested.
    pub fn token(&self) -> Option<&CompletionToken> {
        self.runner.machine().token()
    }
}

goal!(AwaitDelivery: FelderaApi => DeliveryProof, DeliveryMachine, events DeliveryWatch);

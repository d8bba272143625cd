//! [`Subscription`]: a subscription on a blocking client, with the process that serves it.

use std::fmt;

use super::data::{CompletionToken, HttpInput};
use super::stats::GetStats;
use super::stream::{Chunk, EgressProgress, HttpOutput};
use super::{AwaitDelivery, DeliveryProof, DeliveryWatch, Feldera};
use crate::driver::{DrivenFlow, Runtime, Stream, StreamError};
use crate::error::{FlowError, Misuse};
use crate::feldera::stream::Egress;

impl<R: Runtime> Feldera<R> {
    /// Subscribes to a table or view, in order to read the changes of rows that are ingested later.
    ///
    /// Set [`backpressure`](HttpOutput::backpressure): without it, the server discards chunks if the caller reads too
    /// slowly. With it, a caller that stops reading stops the pipeline.
    ///
    /// # Errors
    /// As [`GetStats`] and [`HttpOutput`].
    pub fn subscribe(&self, output: HttpOutput) -> Result<Subscription<'_, R>, FlowError> {
        // Read before the subscription begins: if the same process runs later, it serves the subscription.
        let process = self.call(GetStats::new(output.pipeline_name.clone()))?.global_metrics.process();
        let stream = self.open(output)?;
        Ok(Subscription { client: self, process, stream, has_steps: true, last_token: None })
    }
}

/// A subscription on a blocking client. Created by [`Feldera::subscribe`](crate::driver::Client::subscribe).
///
/// ```
/// # let stats = r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #     "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#;
/// # let changes = "{\"sequence_number\":0,\"snapshot\":false,\"json_data\":[{\"insert\":{\"id\":1}}]}\r\n\
/// #     {\"sequence_number\":1,\"snapshot\":false,\"processed_steps\":37}\r\n";
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, stats),
/// #     ("POST /v0/pipelines/orders/egress/sold", 200, changes),
/// #     ("GET /v0/pipelines/orders/stats", 200, stats),
/// #     ("POST /v0/pipelines/orders/ingress/items", 200, r#"{"token":"eyJ1"}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"inprogress","step":37}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"inprogress","step":37}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"inprogress","step":37}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, stats),
/// # ]);
/// use pipewright::feldera::data::{DataFormat, HttpInput};
/// use pipewright::feldera::stream::HttpOutput;
/// use pipewright::feldera::{DeliveryProof, Feldera};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let sold = HttpOutput::new("orders", "sold", DataFormat::Json).backpressure(true);
/// let mut subscription = feldera.subscribe(sold)?;
///
/// let rows = HttpInput::new("orders", "items", DataFormat::Json, r#"{"insert":{"id":1}}"#);
/// let mut changes = 0;
/// let proof = subscription.ingest(rows, |chunk| changes += chunk.rows().len())?;
/// match proof {
///     DeliveryProof::Delivered { .. } => assert_eq!(changes, 1),
///     // A server up to 0.337: the rows are processed, their changes may follow.
///     proof => println!("{proof:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a subscription ends it"]
pub struct Subscription<'c, R> {
    client: &'c Feldera<R>,
    process: Option<String>,
    stream: Stream<Egress>,
    /// `false` once a completion was followed by no `processed_steps`.
    has_steps: bool,
    last_token: Option<CompletionToken>,
}

impl<R> Subscription<'_, R> {
    /// Returns the process that serves the subscription, for [`AwaitDelivery`]; `None` if the server does not report
    /// it.
    pub fn process(&self) -> Option<&str> {
        self.process.as_deref()
    }

    /// Returns how far the subscription has been read, for [`AwaitDelivery`].
    pub fn progress(&self) -> EgressProgress {
        self.stream.decoder().progress()
    }

    /// Returns the token of the rows of the last [`ingest`](Self::ingest) or [`run`](Self::run), also if it failed.
    /// `None` if no rows were ingested, or if it is not known.
    pub fn last_token(&self) -> Option<&CompletionToken> {
        self.last_token.as_ref()
    }

    /// Returns the decoder of the stream.
    pub fn decoder(&self) -> &Egress {
        self.stream.decoder()
    }

    /// Waits for the next chunk. Returns `None` at the end of the stream: the pipeline has stopped or died.
    ///
    /// # Errors
    /// As [`Stream::next_item`].
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, StreamError> {
        self.stream.next_item()
    }
}

impl<R: Runtime> Subscription<'_, R> {
    /// Ingests rows, and reads the subscription until it has delivered every change that the rows caused. Passes each
    /// chunk to `on_chunk`, including chunks with changes of other rows.
    ///
    /// While the rows are sent, the subscription is not read. With
    /// [`backpressure`](HttpOutput::backpressure) the pipeline waits for its readers: if the rows cause more changes
    /// than the connection buffers, the server answers 503 after 30 s, and the rows are unconfirmed. Without it, chunks
    /// are lost. So send at most 1 MiB per call, and less if a row causes many changes. To send more, read the
    /// subscription on a thread of its own and tell its progress to an [`AwaitDelivery`].
    ///
    /// To set options, run an [`AwaitDelivery`] with [`run`](Self::run), which also tells about timeouts.
    ///
    /// # Errors
    /// As [`AwaitDelivery`]. [`SentRows::of`](super::SentRows::of) tells whether the rows were ingested.
    pub fn ingest(&mut self, rows: HttpInput, on_chunk: impl FnMut(Chunk<'_>)) -> Result<DeliveryProof, FlowError> {
        let goal = AwaitDelivery::ingest(rows, self.process.clone(), self.progress());
        self.run(if self.has_steps { goal } else { goal.without_steps() }, on_chunk)
    }

    /// Runs a goal that was created with the [process](Self::process) and the [progress](Self::progress) of this
    /// subscription only. Reads the subscription at the same time, and passes each chunk to `on_chunk`.
    ///
    /// Timeouts take effect between two chunks, which are at most 3 s apart while the pipeline lives. If its process is
    /// frozen or the connection is dead, no chunk comes, and this blocks until the runtime ends the stream. Give the
    /// runtime a limit for the silence of streams, for example 10 s: that of `pipewright-ureq` is `with_idle_timeout`,
    /// and has no default.
    ///
    /// # Errors
    /// As [`AwaitDelivery`].
    pub fn run(&mut self, goal: AwaitDelivery, on_chunk: impl FnMut(Chunk<'_>)) -> Result<DeliveryProof, FlowError> {
        let mut delivery = self.client.start(goal);
        let proof = Self::drive(&mut self.stream, &mut delivery, on_chunk);
        self.last_token = delivery.flow().token().cloned();
        self.has_steps &= proof.as_ref().map_or(true, DeliveryProof::is_delivered);
        proof
    }

    fn drive(
        stream: &mut Stream<Egress>,
        delivery: &mut DrivenFlow<'_, DeliveryWatch, R>,
        mut on_chunk: impl FnMut(Chunk<'_>),
    ) -> Result<DeliveryProof, FlowError> {
        delivery.flow_mut().observe(0, stream.decoder().progress());
        let mut is_open = true;
        loop {
            let proof = if is_open { delivery.next_ready()? } else { delivery.next()? };
            if let Some(proof) = proof {
                return Ok(proof);
            }
            if delivery.has_ended() {
                return Err(FlowError::Misuse(Misuse::PolledAfterDone));
            }
            if let Ok(Some(chunk)) = stream.next_item() {
                on_chunk(chunk);
                delivery.flow_mut().observe(0, stream.decoder().progress());
            } else {
                // After an error, the stream returns it again to the next caller.
                is_open = false;
                delivery.flow_mut().ended(0);
            }
        }
    }
}

impl<R> fmt::Debug for Subscription<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("process", &self.process)
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

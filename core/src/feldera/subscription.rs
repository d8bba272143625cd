//! [`Subscription`]: a subscription on a blocking client, with the process that serves it.

use std::fmt;

use super::data::HttpInput;
use super::stats::GetStats;
use super::stream::{Chunk, EgressProgress, HttpOutput};
use super::{AwaitDelivery, DeliveryProof, Feldera};
use crate::driver::{Runtime, Stream, StreamError};
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
        Ok(Subscription { client: self, process, stream, has_steps: true })
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
    /// `false` once it is proved that the server never sends `processed_steps`.
    has_steps: bool,
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
    /// To set options, run an [`AwaitDelivery`] with [`run`](Self::run).
    ///
    /// # Errors
    /// As [`AwaitDelivery`].
    pub fn ingest(&mut self, rows: HttpInput, on_chunk: impl FnMut(Chunk<'_>)) -> Result<DeliveryProof, FlowError> {
        let goal = AwaitDelivery::ingest(rows, self.process.clone(), self.progress());
        self.run(if self.has_steps { goal } else { goal.without_steps() }, on_chunk)
    }

    /// Runs a goal that was created with the [process](Self::process) and the [progress](Self::progress) of this
    /// subscription only. Reads the subscription at the same time, and passes each chunk to `on_chunk`.
    ///
    /// A timeout takes effect between two chunks, which are at most 3 s apart while the pipeline lives.
    ///
    /// # Errors
    /// As [`AwaitDelivery`].
    pub fn run(
        &mut self,
        goal: AwaitDelivery,
        mut on_chunk: impl FnMut(Chunk<'_>),
    ) -> Result<DeliveryProof, FlowError> {
        let mut delivery = self.client.start(goal);
        delivery.flow_mut().observe(0, self.stream.decoder().progress());
        let mut is_open = true;
        let proof = loop {
            let proof = if is_open { delivery.next_ready()? } else { delivery.next()? };
            if let Some(proof) = proof {
                break proof;
            }
            if delivery.has_ended() {
                return Err(FlowError::Misuse(Misuse::PolledAfterDone));
            }
            if let Ok(Some(chunk)) = self.stream.next_item() {
                on_chunk(chunk);
                delivery.flow_mut().observe(0, self.stream.decoder().progress());
            } else {
                // After an error, the stream returns it again to the next caller.
                is_open = false;
                delivery.flow_mut().ended(0);
            }
        };
        self.has_steps &= proof.is_delivered();
        Ok(proof)
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

//! [`Feeder`]: the loop of an ingestion.

use std::collections::VecDeque;

use super::{
    IngestError, IngestFailure, IngestRows, IngestSummary, NextRow, OnRejected, OnUnconfirmed, RejectedPosition,
    RowSource,
};
use crate::driver::{DrivenFlow, ListenerResult, Runtime};
use crate::error::{FlowError, Misuse};
use crate::feldera::Feldera;
use crate::feldera::flow::{IngestChunk, IngestEvent, Ingestion, PushError};
use crate::feldera::tuning::MAX_POSITIONS;
use crate::flow::Notice;

pub(super) struct Feeder<'c, R, L, E> {
    flow: DrivenFlow<'c, Ingestion, R, L>,
    on_rejected: OnRejected,
    on_unconfirmed: OnUnconfirmed,
    on_event: E,
    /// How many bytes of rows wait before they are sent.
    chunk_bytes: usize,
    summary: IngestSummary,
    /// Where the source has the rows of the flow that are not settled: the number of a row, and its position. The rows
    /// after it follow each other in the source, too, up to the next entry.
    positions: VecDeque<(u64, u64)>,
    /// Unconfirmed rows that the policy does not handle.
    undecided: Option<IngestChunk>,
    /// The row that was read, until the flow takes or rejects it.
    not_taken: Option<u64>,
}

impl<'c, R: Runtime, H: ListenerResult, L: FnMut(Notice) -> H, E: FnMut(&IngestEvent, &Ingestion)> Feeder<'c, R, L, E> {
    pub(super) fn new(feldera: &'c Feldera<R>, goal: IngestRows, on_notice: L, on_event: E) -> Self {
        let IngestRows { ingest, on_rejected, on_unconfirmed } = goal;
        let ingest = if on_unconfirmed == OnUnconfirmed::Resend { ingest.resend_unconfirmed() } else { ingest };
        Self {
            chunk_bytes: ingest.max_chunk(),
            flow: feldera.start_with(ingest, on_notice),
            on_rejected,
            on_unconfirmed,
            on_event,
            summary: IngestSummary::default(),
            positions: VecDeque::new(),
            undecided: None,
            not_taken: None,
        }
    }

    pub(super) fn run(mut self, mut rows: impl RowSource) -> Result<IngestSummary, Box<IngestError>> {
        let (failure, flow_error) = match self.feed(&mut rows) {
            Ok(()) => (self.close().err().map(IngestFailure::Flow), None),
            Err(failure @ IngestFailure::Flow(_)) => (Some(failure), None),
            // The rows before the failure are still ingested.
            Err(failure) => (Some(failure), self.close().err()),
        };
        // The last chunk may have been the first chunk with such a row.
        let failure = failure.or_else(|| self.rejection());
        let not_taken = self.not_taken;
        let (summary, unsettled) = self.into_parts();
        match failure {
            None => Ok(summary),
            Some(failure) => Err(Box::new(IngestError { failure, flow_error, summary, unsettled, not_taken })),
        }
    }

    /// Gives all rows to the flow, and sends each chunk when it is full.
    fn feed(&mut self, rows: &mut impl RowSource) -> Result<(), IngestFailure> {
        loop {
            // A flow that stops at errors ends after such an event. It takes no more rows.
            if let Some(error) = self.flow.flow().error() {
                return Err(error.clone().into());
            }
            let next = rows.advance().map_err(|error| IngestFailure::Source { row: rows.position(), error })?;
            match next {
                NextRow::Row => {
                    self.summary.rows_read += 1;
                    self.not_taken = Some(rows.position());
                    self.push(rows)?;
                    self.not_taken = None;
                }
                NextRow::Pending => {
                    while self.flow.flow().progress().waiting > 0 {
                        self.next_event()?;
                    }
                }
                NextRow::End => return Ok(()),
            }
            if self.flow.flow().progress().waiting_bytes >= self.chunk_bytes {
                self.next_event()?;
            }
            if let Some(rejection) = self.rejection() {
                return Err(rejection);
            }
        }
    }

    /// Gives a row to the flow. Waits while its buffer is full.
    fn push(&mut self, rows: &mut impl RowSource) -> Result<(), IngestFailure> {
        let position = rows.position();
        loop {
            match rows.push(self.flow.flow_mut()) {
                Ok(row) if row.checked_add(1) != Some(self.flow.flow().progress().pushed) => return Err(wrong_row()),
                Ok(row) => {
                    let next = self.positions.back().and_then(|known| position_after(*known, row));
                    if next != Some(position) {
                        self.positions.push_back((row, position));
                    }
                    return Ok(());
                }
                Err(PushError::Full { .. }) if self.flow.flow().progress().waiting == 0 => return Err(wrong_row()),
                Err(PushError::Full { .. }) => {
                    self.next_event()?;
                }
                Err(PushError::Ended { error, .. }) => {
                    return Err(error.unwrap_or(FlowError::Misuse(Misuse::PolledAfterDone)).into());
                }
                Err(error @ (PushError::TooLarge { .. } | PushError::Invalid { .. })) => {
                    self.summary.rows_invalid += 1;
                    self.reject(Some(position), error.to_string());
                    return Ok(());
                }
            }
        }
    }

    fn reject(&mut self, row: Option<u64>, problem: String) {
        if self.summary.rejected.len() < MAX_POSITIONS {
            self.summary.rejected.push(RejectedPosition { row, problem });
        }
    }

    fn rejection(&self) -> Option<IngestFailure> {
        let rejected = self.summary.rejected.first().filter(|_| self.on_rejected == OnRejected::Fail);
        rejected.cloned().map(IngestFailure::Rejected)
    }

    /// Sends the rest, and waits until all rows are processed.
    fn close(&mut self) -> Result<(), FlowError> {
        self.flow.flow_mut().finish();
        while !self.next_event()? {}
        Ok(())
    }

    /// Drives the flow to its next event, and handles it; returns whether it was the last event.
    fn next_event(&mut self) -> Result<bool, FlowError> {
        let event = self.flow.next()?.ok_or(FlowError::Misuse(Misuse::PolledAfterDone))?;
        (self.on_event)(&event, self.flow.flow());
        match event {
            IngestEvent::Rejected(rejected) => {
                if rejected.rows.is_empty() {
                    self.reject(None, format!("{} errors, of which Feldera tells nothing", rejected.num_errors));
                }
                for row in rejected.rows {
                    let position = row.row.and_then(|row| self.position(row));
                    self.reject(position, row.error.to_string());
                }
            }
            IngestEvent::Unconfirmed(rows) => {
                let cause = rows.cause().clone();
                self.unconfirmed(rows.chunk());
                if self.on_unconfirmed != OnUnconfirmed::Skip {
                    self.undecided = Some(rows.into_chunk());
                    return Err(cause);
                }
                self.flow.flow_mut().skip(rows).map_err(|_| cause)?;
            }
            IngestEvent::Finished(_) => return Ok(true),
            IngestEvent::Accepted(_) | IngestEvent::Drained | IngestEvent::Processed(_) => {}
        }
        let settled_to = self.flow.flow().settled_to();
        while self.positions.get(1).is_some_and(|(first, _)| *first <= settled_to) {
            self.positions.pop_front();
        }
        Ok(false)
    }

    /// Returns where the source has a row of the flow.
    fn position(&self, row: u64) -> Option<u64> {
        let after = self.positions.partition_point(|(first, _)| *first <= row);
        position_after(*self.positions.get(after.checked_sub(1)?)?, row)
    }

    fn unconfirmed(&mut self, chunk: &IngestChunk) {
        let rows = chunk.rows();
        let (first, last) = (self.position(rows.start), self.position(rows.end.saturating_sub(1)));
        if let (Some(first), Some(last)) = (first, last)
            && self.summary.unconfirmed.len() < MAX_POSITIONS
        {
            self.summary.unconfirmed.push(first..=last);
        }
    }

    fn into_parts(mut self) -> (IngestSummary, Vec<IngestChunk>) {
        let progress = self.flow.flow().progress();
        let left = self.flow.flow_mut().take_unsettled();
        // The rows of the policy are in the summary already.
        left.iter().filter(|chunk| chunk.is_unconfirmed()).for_each(|chunk| self.unconfirmed(chunk));
        let unsettled: Vec<_> = self.undecided.take().into_iter().chain(left).collect();
        let count = |is_unconfirmed: bool| -> u64 {
            let chunks = unsettled.iter().filter(|chunk| chunk.is_unconfirmed() == is_unconfirmed);
            chunks.map(|chunk| chunk.len() as u64).sum()
        };
        let mut summary = self.summary;
        summary.rows_sent = progress.pushed - count(false);
        summary.rows_unconfirmed = progress.skipped + count(true);
        (summary.rows_ingested, summary.rows_rejected) = (progress.accepted, progress.rejected);
        summary.rows_processed = progress.processed;
        (summary, unsettled)
    }
}

/// Returns where the source has a row, if it has an earlier row at this position, and no gap between them.
fn position_after((first, position): (u64, u64), row: u64) -> Option<u64> {
    position.checked_add(row.checked_sub(first)?)
}

fn wrong_row() -> IngestFailure {
    FlowError::Misuse(Misuse::WrongRow).into()
}

//! [`Loader`]: the loop of a load.

use std::collections::VecDeque;

use super::{
    Load, LoadError, LoadFailure, LoadSummary, NextRow, OnRejected, OnUnconfirmed, RowSource, Writer, WriterEvent,
};
use crate::driver::{ListenerResult, Runtime};
use crate::error::{Ambiguity, FlowError, Misuse};
use crate::flow::{Goal as _, Notice};
use crate::snowpipe::Account;
use crate::snowpipe::flow::{PushError, UnsettledRows};
use crate::snowpipe::rows::{Batch, RowError};
use crate::time::Timestamp;

pub(super) struct Loader<'a, R, L, E> {
    account: &'a Account<R>,
    on_rejected: OnRejected,
    on_unconfirmed: OnUnconfirmed,
    on_notice: L,
    on_event: E,
    writer: Writer,
    summary: LoadSummary,
    /// The channel's count of inserted rows when the load began.
    inserted_before: Option<i64>,
    /// Batches that an earlier writer had sent. When this writer has opened the channel, the batches after the
    /// committed token move to `unsent`.
    unconfirmed: VecDeque<Batch>,
    /// Batches that this writer has no room for yet.
    unsent: VecDeque<Batch>,
    /// Whether anything was committed since this writer was started.
    is_progressing: bool,
    /// The row that was read, while it waits for room.
    not_taken: Option<u64>,
}

impl<'a, R: Runtime, H: ListenerResult, L: FnMut(Notice) -> H, E: FnMut(&WriterEvent, &Writer)> Loader<'a, R, L, E> {
    pub(super) fn new(account: &'a Account<R>, load: Load, on_notice: L, on_event: E) -> Self {
        let Load { writer, on_rejected, on_unconfirmed } = load;
        Self {
            account,
            on_rejected,
            on_unconfirmed,
            on_notice,
            on_event,
            writer: writer.start(account.config(), account.seed()),
            summary: LoadSummary::default(),
            inserted_before: None,
            unconfirmed: VecDeque::new(),
            unsent: VecDeque::new(),
            is_progressing: false,
            not_taken: None,
        }
    }

    pub(super) fn run(mut self, mut rows: impl RowSource) -> Result<LoadSummary, Box<LoadError>> {
        let (failure, writer_error) = match self.feed(&mut rows) {
            Ok(()) => (self.close().err().map(LoadFailure::from), None),
            Err(failure @ (LoadFailure::Writer(_) | LoadFailure::Stopped(_))) => (Some(failure), None),
            // The rows before the failure are committed in any case.
            Err(failure) => (Some(failure), self.close().err()),
        };
        // The service may have reported them after the last row was read.
        let failure = failure.or_else(|| self.rejection());
        let Some(failure) = failure else { return Ok(self.into_parts().0) };
        let not_taken = self.not_taken;
        let (summary, unsettled) = self.into_parts();
        Err(Box::new(LoadError { failure, writer_error, summary, unsettled, not_taken }))
    }

    /// Gives all rows to the writer.
    fn feed(&mut self, rows: &mut impl RowSource) -> Result<(), LoadFailure> {
        while self.writer.status().is_none() {
            self.next_event()?;
        }
        let committed = self.writer.committed().map(str::to_owned);
        rows.resume(committed.as_deref()).map_err(|error| LoadFailure::Source { row: 0, error })?;
        loop {
            let next = rows.advance().map_err(|error| LoadFailure::Source { row: rows.position(), error })?;
            match next {
                NextRow::Row => {
                    self.summary.rows_read += 1;
                    self.push(rows)?;
                }
                NextRow::Committed => {
                    self.summary.rows_read += 1;
                    self.summary.rows_skipped += 1;
                    continue;
                }
                NextRow::Pending => {}
                NextRow::End => return Ok(()),
            }
            while self.drive(Timestamp::UNIX_EPOCH)?.is_some() {}
            if let Some(rejection) = self.rejection() {
                return Err(rejection);
            }
        }
    }

    /// Gives a row to the writer, and waits for room if the writer has no room.
    fn push(&mut self, rows: &mut impl RowSource) -> Result<(), LoadFailure> {
        let row = rows.position();
        loop {
            let result = if self.unsent.is_empty() { rows.push(&mut self.writer) } else { Err(PushError::NotOpened) };
            match result {
                Ok(()) => return Ok(()),
                Err(PushError::Row(error)) => return self.leave_out(row, error),
                Err(PushError::Invalid(error)) => return Err(LoadFailure::Token { row, error }),
                // A writer that has ended returns its error again.
                Err(PushError::Full { .. } | PushError::NotOpened | PushError::Closed | PushError::Ended(_)) => {
                    self.not_taken = Some(row);
                    self.next_event()?;
                    self.not_taken = None;
                }
            }
        }
    }

    fn leave_out(&mut self, row: u64, error: RowError) -> Result<(), LoadFailure> {
        if self.on_rejected == OnRejected::Fail {
            return Err(LoadFailure::Row { row, error });
        }
        let (what, state) = (format!("row {row}"), format!("left out: {}", error.problem()));
        self.summary.rows_invalid += 1;
        self.summary.last_invalid = Some(error);
        Ok((self.on_notice)(Notice::Observed { what, state }).verdict()?)
    }

    fn rejection(&self) -> Option<LoadFailure> {
        let rejected = self.summary.last_rejected.clone().filter(|_| self.on_rejected == OnRejected::Fail);
        rejected.map(LoadFailure::Rejected)
    }

    /// Waits until all rows are committed.
    fn close(&mut self) -> Result<(), FlowError> {
        loop {
            if self.unconfirmed.is_empty() && self.unsent.is_empty() {
                self.writer.close().map_err(|error| match error {
                    PushError::Invalid(error) => FlowError::Build(error),
                    _ => FlowError::Misuse(Misuse::PolledAfterDone),
                })?;
            }
            if self.next_event()? == WriterEvent::Closed {
                return Ok(());
            }
        }
    }

    fn next_event(&mut self) -> Result<WriterEvent, FlowError> {
        loop {
            if let Some(event) = self.drive(Timestamp::MAX)? {
                return Ok(event);
            }
        }
    }

    fn drive(&mut self, until: Timestamp) -> Result<Option<WriterEvent>, FlowError> {
        loop {
            self.send_again();
            match self.account.drive_until(&mut self.writer, until, &mut self.on_notice) {
                Ok(event) => {
                    if let Some(event) = &event {
                        self.note(event);
                    }
                    return Ok(event);
                }
                Err(error) if self.can_resend(&error) => self.restart(),
                Err(error) => return Err(error),
            }
        }
    }

    fn note(&mut self, event: &WriterEvent) {
        match event {
            WriterEvent::Opened { committed } => {
                self.summary.is_opened = true;
                self.inserted_before =
                    self.inserted_before.or_else(|| self.writer.status().and_then(|status| status.rows_inserted));
                let is_committed =
                    |batch: &Batch| batch.end_offset_token.is_some() && batch.end_offset_token == *committed;
                if let Some(last) = self.unconfirmed.iter().position(is_committed) {
                    self.summary.rows_committed += self.unconfirmed.drain(..=last).map(|batch| batch.rows).sum::<u64>();
                    self.is_progressing = true;
                }
                let unsent = std::mem::take(&mut self.unsent);
                self.unsent = std::mem::take(&mut self.unconfirmed).into_iter().chain(unsent).collect();
            }
            WriterEvent::Committed { .. } => self.is_progressing = true,
            WriterEvent::Rejected(rejected) => self.summary.last_rejected = Some(rejected.clone()),
            WriterEvent::Flushed | WriterEvent::Closed => {}
        }
        (self.on_event)(event, &self.writer);
    }

    /// Gives the writer the batches that an earlier writer left, as far as there is room.
    fn send_again(&mut self) {
        while let Some(batch) = self.unsent.pop_front() {
            if let Err(error) = self.writer.append(batch) {
                self.unsent.push_front(error.batch);
                return;
            }
        }
    }

    /// Returns whether another writer may succeed after this writer has ended.
    fn can_resend(&self, error: &FlowError) -> bool {
        let FlowError::Ambiguous(Ambiguity { cause, .. }) = error else { return false };
        self.on_unconfirmed == OnUnconfirmed::Resend
            && self.is_progressing
            && matches!(**cause, FlowError::Transport(_) | FlowError::Service(_) | FlowError::Credential(_))
    }

    fn restart(&mut self) {
        self.add_metrics();
        self.summary.reopenings += 1;
        let writer = self.writer.restart(self.account.config(), self.account.seed());
        let ended = std::mem::replace(&mut self.writer, writer);
        let UnsettledRows { unconfirmed, unsent, .. } = ended.unsettled();
        self.unconfirmed.extend(unconfirmed);
        for batch in unsent.into_iter().rev() {
            self.unsent.push_front(batch);
        }
        self.is_progressing = false;
    }

    /// Adds what this writer has done to the summary.
    fn add_metrics(&mut self) {
        let metrics = self.writer.metrics();
        self.summary.rows_committed += metrics.rows_committed;
        self.summary.rows_rejected += metrics.rows_rejected;
        self.summary.reopenings += metrics.reopenings;
    }

    fn into_parts(mut self) -> (LoadSummary, UnsettledRows) {
        self.add_metrics();
        let mut summary = self.summary;
        let inserted = self.writer.status().and_then(|status| status.rows_inserted).zip(self.inserted_before);
        summary.rows_inserted = inserted.and_then(|(now, before)| u64::try_from(now.checked_sub(before)?).ok());
        let mut unsettled = self.writer.unsettled();
        summary.committed.clone_from(&unsettled.committed);
        unsettled.unconfirmed.splice(..0, self.unconfirmed);
        unsettled.unsent.extend(self.unsent);
        summary.rows_unconfirmed = unsettled.unconfirmed.iter().map(|batch| batch.rows).sum();
        (summary, unsettled)
    }
}

//! [`ReplayBuffer`]: the batches that are not committed yet, and the writer's position in its channel.

use std::collections::VecDeque;

use super::event::UnsettledRows;
use crate::error::BuildError;
use crate::snowpipe::append::MAX_BYTES;
use crate::snowpipe::channels::ChannelStatus;
use crate::snowpipe::flow::position::{ChannelSnapshot, StatusSource};
use crate::snowpipe::flow::recent_tokens::RecentTokens;
use crate::snowpipe::flow::{ChannelLost, Position, RejectedRows};
use crate::snowpipe::rows::Batch;
use crate::snowpipe::tuning::MAX_OFFSET_TOKEN_BYTES;

/// The batches of a writer, in order. The first `sent` of them were sent since the channel was last opened.
#[derive(Debug)]
pub(super) struct ReplayBuffer {
    /// `None` until the channel is known.
    known: Option<ChannelSnapshot>,
    /// End tokens that an earlier process had sent.
    before: Vec<String>,
    /// The index of the first unconfirmed batch whose commit proves nothing, because another client had opened the
    /// channel.
    unproven_from: Option<usize>,
    batches: VecDeque<Batch>,
    sent: usize,
    bytes: u64,
    /// The tokens that were committed before the last token.
    past: RecentTokens,
    /// The greatest end token so far, by length and then by bytes. If tokens grow, as numbers do, a new token is
    /// compared only with this token.
    greatest: String,
    /// How many batches were accepted, and how many of them are committed.
    pub(super) taken: u64,
    pub(super) settled: u64,
}

/// The progress that a status shows.
#[derive(Debug)]
pub(super) struct StatusDelta {
    pub(super) batches: usize,
    pub(super) rows: u64,
    pub(super) rejected: Option<RejectedRows>,
}

/// Returns the error for a long token: two tokens must fit into a request line, percent-encoded.
pub(super) fn too_long(token: &str) -> BuildError {
    let value = format!("of {} bytes: {token}", token.len());
    BuildError::value("appendRows", "offset token", &value, "a writer takes tokens of up to 1024 bytes")
}

/// Returns a sort key by which numbers without leading zeros grow.
fn order(token: &str) -> (usize, &str) {
    (token.len(), token)
}

impl ReplayBuffer {
    pub(super) fn new(position: Option<Position>) -> Self {
        let (known, before, unproven_from) = position
            .map(Position::split)
            .map_or((None, Vec::new(), None), |(known, sent, unproven)| (Some(known), sent, unproven));
        let mut replay = Self {
            known,
            before,
            unproven_from,
            batches: VecDeque::new(),
            sent: 0,
            bytes: 0,
            past: RecentTokens::default(),
            greatest: String::new(),
            taken: 0,
            settled: 0,
        };
        let greatest =
            replay.before.iter().map(String::as_str).chain(replay.committed()).max_by_key(|token| order(token));
        replay.greatest = greatest.unwrap_or_default().to_owned();
        replay
    }

    fn note_end(&mut self, token: &str) {
        if order(token) > order(&self.greatest) {
            token.clone_into(&mut self.greatest);
        }
    }

    /// Returns whether a waiting or recently committed batch ends with a token.
    pub(super) fn is_used(&self, token: &str) -> bool {
        if order(token) > order(&self.greatest) {
            return false;
        }
        let waiting = self.batches.iter().rev().filter_map(|batch| batch.end_offset_token.as_deref());
        waiting.chain(self.committed()).any(|used| used == token) || self.past.contains(Some(token))
    }

    /// Returns the position that another process needs to continue; `None` until the channel is known.
    pub(super) fn position(&self) -> Option<Position> {
        let ChannelSnapshot { committed, created_on_ms, rows_error_count } = self.known.clone()?;
        let sent: Vec<_> = self.unconfirmed().map(str::to_owned).collect();
        let rejected = self.unproven_from.and_then(|from| sent.get(from)).cloned();
        Some(Position { committed, sent, created_on_ms, rows_error_count, rejected })
    }

    /// Returns whether the channel is known: opened by this process or an earlier process.
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    pub(super) fn committed(&self) -> Option<&str> {
        self.known.as_ref()?.committed.as_deref()
    }

    /// Returns the end tokens of all unconfirmed batches, including those of an earlier process.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = &str> {
        let ours = self.sent().filter_map(|batch| batch.end_offset_token.as_deref());
        self.before.iter().map(String::as_str).chain(ours)
    }

    /// Returns the batches that were sent and may be committed at any time.
    pub(super) fn sent(&self) -> impl ExactSizeIterator<Item = &Batch> {
        self.batches.range(..self.sent)
    }

    pub(super) fn unsent(&self) -> impl ExactSizeIterator<Item = &Batch> {
        self.batches.range(self.sent..)
    }

    pub(super) fn batches(&self) -> usize {
        self.batches.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns the last token that was accepted or committed.
    pub(super) fn last_token(&self) -> Option<&str> {
        self.batches.back().map_or_else(|| self.committed(), |batch| batch.end_offset_token.as_deref())
    }

    /// Returns an error if the batch cannot be sent.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), BuildError> {
        let wrong = |parameter, value: &str, problem| Err(BuildError::value("appendRows", parameter, value, problem));
        let bytes = batch.body.len();
        let mut tokens = [&batch.start_offset_token, &batch.end_offset_token].into_iter().flatten();
        if let Some(token) = tokens.find(|token| token.len() > MAX_OFFSET_TOKEN_BYTES) {
            return Err(too_long(token));
        }
        let Some(end) = batch.end_offset_token.as_deref().filter(|token| !token.is_empty()) else {
            return wrong("end offset token", "", "no status can show that the rows are committed: set a token");
        };
        if bytes == 0 {
            return wrong("rows", "0 bytes", "the batch has no rows: do not send it");
        }
        if bytes > MAX_BYTES {
            let problem = "the service accepts at most 4194304 bytes, after compression: split the batch";
            return wrong("rows", &format!("{bytes} bytes"), problem);
        }
        if self.is_used(end) {
            let problem = "another batch ends with it: give each batch its own end token, which shows that the batch is committed";
            return wrong("end offset token", end, problem);
        }
        Ok(())
    }

    /// Adds a batch that was checked.
    pub(super) fn take(&mut self, batch: Batch) {
        self.bytes = self.bytes.saturating_add(batch.body.len());
        self.taken += 1;
        if let Some(token) = &batch.end_offset_token {
            self.note_end(token);
        }
        self.batches.push_back(batch);
    }

    /// Marks the last sent batch as not sent.
    pub(super) fn unsend_last(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    /// Records that the append of the last sent batch was rejected because another client may have opened the channel.
    ///
    /// The batch still counts as sent: a proxy may have sent it before. But if its token is committed, the other client
    /// may have sent it. If `is_taken`, another client certainly has the channel. Then the other client may also have
    /// sent the token of an earlier batch: a restart of the service or a forced open may have discarded this writer's
    /// batch before.
    pub(super) fn reject_last(&mut self, is_taken: bool) {
        let last = self.unconfirmed().count().checked_sub(1);
        self.unproven_from = last.map(|last| if is_taken { 0 } else { last });
    }

    /// Returns whether a batch waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.batches.len()
    }

    /// Returns the next batch to send, and marks it as sent.
    pub(super) fn send_next(&mut self) -> Option<Batch> {
        let batch = self.batches.get(self.sent).cloned()?;
        self.sent += 1;
        self.unproven_from = None;
        Some(batch)
    }

    /// Settles the batches after the channel was opened. A sent batch that is not committed now never will be.
    pub(super) fn reopened(&mut self, status: &ChannelStatus) -> Result<StatusDelta, ChannelLost> {
        let delta = self.read(status, StatusSource::Opened)?;
        self.before = Vec::new();
        self.sent = 0;
        self.unproven_from = None;
        Ok(delta)
    }

    /// Settles the batches by a status of the open channel.
    pub(super) fn polled(&mut self, status: &ChannelStatus) -> Result<StatusDelta, ChannelLost> {
        self.read(status, StatusSource::Polled)
    }

    fn read(&mut self, status: &ChannelStatus, source: StatusSource) -> Result<StatusDelta, ChannelLost> {
        let Some(known) = &mut self.known else {
            self.known = Some(ChannelSnapshot::of(status));
            self.note_end(status.committed().unwrap_or_default());
            return Ok(StatusDelta { batches: 0, rows: 0, rejected: None });
        };
        let ours = self.batches.range(..self.sent).filter_map(|batch| batch.end_offset_token.as_deref());
        let sent = self.before.iter().map(String::as_str).chain(ours);
        let settled = known.settled(status, sent, self.unproven_from, &self.past, source)?;
        let rejected = known.rejected(status, source);
        if settled > 0 {
            // The token of the last settled batch is the committed token.
            let replaced = std::mem::replace(&mut known.committed, status.committed().map(str::to_owned));
            self.past.add(replaced.as_deref());
        }
        let batches = settled.saturating_sub(self.before.len());
        let mut passed: Vec<Option<String>> = self.before.drain(..settled - batches).map(Some).collect();
        let mut rows = 0_u64;
        for batch in self.batches.drain(..batches) {
            rows = rows.saturating_add(batch.rows);
            self.bytes = self.bytes.saturating_sub(batch.body.len());
            passed.push(batch.end_offset_token);
        }
        self.sent -= batches;
        self.settled += batches as u64;
        passed.pop();
        for token in &passed {
            self.past.add(token.as_deref());
        }
        if self.batches.is_empty() {
            // A channel may be idle for long after a high load: the buffer's memory is released.
            self.batches = VecDeque::new();
        }
        Ok(StatusDelta { batches, rows, rejected })
    }

    pub(super) fn into_unsettled(mut self) -> UnsettledRows {
        let committed = self.committed().map(str::to_owned);
        let unsent = self.batches.split_off(self.sent);
        UnsettledRows { committed, before: self.before, unconfirmed: self.batches.into(), unsent: unsent.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(token: &str) -> ChannelStatus {
        let text = format!(r#"{{"channel_status_code":"SUCCESS","last_committed_offset_token":"{token}"}}"#);
        serde_json::from_str(&text).expect("a status")
    }

    /// Several batches are committed at once, and an earlier status that comes late.
    #[test]
    fn tokens_that_a_commit_passed_over_are_ours() {
        let mut replay = ReplayBuffer::new(None);
        replay.reopened(&status("0")).expect("the first");
        for token in ["1", "2", "3", "4"] {
            let batch = Batch::new("{}\n", 1, token, token);
            replay.check(&batch).expect("a token of its own");
            replay.take(batch);
            replay.send_next().expect("it waits");
        }
        assert_eq!(replay.polled(&status("3")).expect("ours").batches, 3);
        for late in ["0", "1", "2"] {
            assert_eq!(replay.polled(&status(late)).expect("ours").batches, 0, "{late}");
            assert!(replay.check(&Batch::new("{}\n", 1, late, late)).is_err(), "{late} was used");
        }
        let (token, before) = ("2".to_owned(), "3".to_owned());
        assert_eq!(replay.reopened(&status("2")).err(), Some(ChannelLost::TokenWentBack { token, before }));
        assert_eq!(replay.polled(&status("5")).err(), Some(ChannelLost::ForeignToken { token: "5".to_owned() }));
        assert_eq!(replay.polled(&status("4")).expect("ours").batches, 1);
    }

    #[test]
    fn the_token_of_a_rejected_append_settles_nothing_also_in_another_process() {
        let mut replay = ReplayBuffer::new(None);
        replay.reopened(&status("0")).expect("the first");
        for token in ["1", "2"] {
            replay.take(Batch::new("{}\n", 1, token, token));
            replay.send_next().expect("it waits");
        }
        replay.reject_last(false);
        let position = replay.position();
        let ambiguous = || Some(ChannelLost::AmbiguousToken { token: "2".to_owned() });
        for mut replay in [replay, ReplayBuffer::new(position.clone())] {
            assert_eq!(replay.reopened(&status("2")).err(), ambiguous());
            assert_eq!(replay.unconfirmed().collect::<Vec<_>>(), ["1", "2"], "all of them stay unconfirmed");
            replay.reopened(&status("1")).expect("the append before was accepted");
        }
        let mut next = ReplayBuffer::new(position);
        next.reopened(&status("1")).expect("the append before was accepted");
        next.take(Batch::new("{}\n", 1, "2", "2"));
        next.send_next().expect("it waits");
        next.polled(&status("2")).expect("it was sent again, and not rejected");
    }

    #[test]
    fn behind_a_takeover_no_token_settles_anything_also_in_another_process() {
        let mut replay = ReplayBuffer::new(None);
        replay.reopened(&status("0")).expect("the first");
        for token in ["1", "2", "3"] {
            replay.take(Batch::new("{}\n", 1, token, token));
            replay.send_next().expect("it waits");
        }
        replay.polled(&status("1")).expect("it was committed before another client had the channel");
        replay.reject_last(true);
        let position = replay.position();
        for mut replay in [replay, ReplayBuffer::new(position)] {
            for token in ["2", "3"] {
                let ambiguous = ChannelLost::AmbiguousToken { token: token.to_owned() };
                assert_eq!(replay.reopened(&status(token)).err(), Some(ambiguous));
            }
            replay.reopened(&status("1")).expect("nothing more is committed");
        }
    }

    /// Of rejected rows, too: what was told is not told again.
    #[test]
    fn a_late_status_rejects_nothing_again() {
        let status = |errors: u32| {
            let text = format!(r#"{{"channel_status_code":"SUCCESS","rows_error_count":{errors}}}"#);
            serde_json::from_str::<ChannelStatus>(&text).expect("a status")
        };
        let mut replay = ReplayBuffer::new(None);
        replay.reopened(&status(0)).expect("a new channel");
        let mut rejected = |errors| replay.polled(&status(errors)).expect("ours").rejected.map(|rows| rows.count);
        assert_eq!([3, 0, 3, 4].map(&mut rejected), [Some(3), None, None, Some(1)]);
        // But a channel may begin to count again when it is opened.
        replay.reopened(&status(0)).expect("the same");
        assert_eq!(replay.polled(&status(2)).expect("ours").rejected.map(|rows| rows.count), Some(2));
    }

    /// A status from the time when nothing was committed comes late, perhaps of another node. An empty token counts as
    /// no token.
    #[test]
    fn a_late_status_without_a_token_is_no_loss() {
        let nothing = serde_json::from_str(r#"{"channel_status_code":"SUCCESS"}"#).expect("a status");
        let mut replay = ReplayBuffer::new(None);
        replay.reopened(&nothing).expect("a new channel");
        replay.take(Batch::new("{}\n", 1, "1", "1"));
        replay.send_next().expect("it waits");
        assert_eq!(replay.polled(&status("")).expect("as before").batches, 0);
        assert_eq!(replay.polled(&status("1")).expect("ours").batches, 1);
        for late in [&nothing, &status("")] {
            assert_eq!(replay.polled(late).expect("late").batches, 0);
        }
        let gone = ChannelLost::TokenGone { before: Some("1".to_owned()) };
        assert_eq!(replay.reopened(&nothing).err(), Some(gone), "an open tells how it is now");
    }
}

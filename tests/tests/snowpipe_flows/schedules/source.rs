//! The rows of a source, and the process that writes them: it crashes, and another process continues.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flow::{Config as FlowConfig, Exchange, Goal as _, Reply, SavedState};
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::rows::{Batch, BatchOptions};
use pipewright::snowpipe::session::Session;
use pipewright::snowpipe::{
    ChannelLost, ChannelPath, OpenSession, OpenWriter, PushError, SnowpipeAccount, StatusBatcher, UnsettledRows, Writer,
};
use pipewright::{Seed, Timestamp};
use pipewright_mock::World;
use pipewright_mock::snowpipe::ChannelView;

use super::coverage::{Coverage, Phase};
use super::rows::ROWS_OF_A_BATCH;
use super::run::Verdict;
use super::schedule::{Crash, Schedule, Second, one_in, small};

/// Who writes.
pub(crate) const US: &str = "us";
pub(crate) const THEM: &str = "them";
/// The same rows as ours.
pub(crate) const TWIN: &str = "twin of us";

fn path() -> ChannelPath {
    ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c")
}

/// Rows of one origin, and the process that writes them just now.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    /// `ID` is the number, `BY` tells the sources apart.
    pub(crate) by: &'static str,
    pub(crate) rows: u32,
    pub(crate) schedule: Schedule,
    /// The rows as they are written, each with its line end.
    lines: Vec<String>,
    pub(crate) seed: Seed,
    pub(crate) writer: Writer,
    pub(crate) session: Session,
    pub(crate) saved: Option<SavedState>,
    /// The next row to give to the writer; none before it is open.
    pub(crate) next: Option<u32>,
    /// Rows up to this row are in batches that are closed; perhaps later rows, too.
    closed_to: u32,
    pub(crate) push_at: Timestamp,
    pub(crate) wake: Timestamp,
    pub(crate) reply: Option<Reply>,
    /// The last row that was ever sent.
    pub(crate) sent: u32,
    pub(crate) committed: u32,
    pub(crate) rejected: u64,
    pub(crate) crashed: bool,
    /// Whether the process knows of the rows that others before it have sent: by what they saved, or by an open
    /// channel.
    knows: bool,
    pub(crate) closed: bool,
    /// How often the ingest host has rejected a token, one after the other.
    pub(crate) rejected_tokens: u32,
    pub(crate) end: Option<Result<(), FlowError>>,
    pub(crate) unsettled: Option<UnsettledRows>,
    batcher: StatusBatcher,
    /// The ends of batches of which an attempt may have been carried out, as far as the writer knows.
    unsure: BTreeSet<u32>,
    /// The row that it takes for committed, because another client has committed an equal token for other rows: it
    /// could not know better.
    pub(crate) misled_by: Option<u32>,
    /// How many appends were rejected, perhaps as another client's doing.
    pub(crate) conflicts: u32,
    /// When an open was without a clear answer: it may take the channel from ourselves, later.
    pub(crate) opened_unconfirmed: Option<Timestamp>,
}

impl Source {
    pub(crate) fn new(
        name: &'static str,
        session: Session,
        schedule: &Schedule,
        batcher: &StatusBatcher,
        config: &FlowConfig<SnowpipeAccount>,
        world: &World,
    ) -> Self {
        let mut seed = Seed::new(u128::from(schedule.number) << 8 | name.len() as u128);
        let by = if name == TWIN { US } else { name };
        // What others have loaded before is of no interest, as long as nothing of ours is committed.
        let open = OpenWriter::new(&session, path()).sharing(batcher).ignore_other_prefixes();
        let open = with_tokens(open, by, schedule);
        let writer = begin(open, schedule, config, &mut seed);
        let line = |number| {
            let id = if schedule.bad.contains(&number) { format!("\"bad {number}\"") } else { number.to_string() };
            match schedule.shape.padding(number) {
                padding if padding.is_empty() => format!("{{\"ID\":{id},\"BY\":\"{by}\"}}\n"),
                padding => format!("{{\"ID\":{id},\"BY\":\"{by}\",\"MORE\":\"{padding}\"}}\n"),
            }
        };
        Self {
            name,
            by,
            rows: schedule.rows,
            schedule: schedule.clone(),
            lines: (1..=schedule.rows).map(line).collect(),
            seed,
            writer,
            session,
            saved: None,
            next: None,
            closed_to: 0,
            push_at: Timestamp::MAX,
            wake: world.now(),
            reply: None,
            sent: 0,
            committed: 0,
            rejected: 0,
            crashed: false,
            knows: true,
            closed: false,
            rejected_tokens: 0,
            end: None,
            unsettled: None,
            batcher: batcher.clone(),
            unsure: BTreeSet::new(),
            misled_by: None,
            conflicts: 0,
            opened_unconfirmed: None,
        }
    }

    pub(crate) fn crash(&mut self, crash: Crash, config: &FlowConfig<SnowpipeAccount>, now: Timestamp) {
        if crash.new_session {
            self.session = session(config);
        }
        let open = match self.saved.as_ref().filter(|_| crash.resumes) {
            Some(saved) => OpenWriter::resume(&self.session, saved).expect("its own state"),
            None if self.committed > 0 => OpenWriter::new(&self.session, path()).must_have_committed(),
            None => OpenWriter::new(&self.session, path()),
        };
        let open = match self.saved.as_ref().filter(|_| crash.resumes) {
            // The prefix is among what was saved.
            Some(_) if self.schedule.prefixed => open,
            _ => with_tokens(open, self.by, &self.schedule),
        };
        self.writer = begin(open.sharing(&self.batcher), &self.schedule, config, &mut self.seed);
        self.knows = crash.resumes && self.saved.is_some();
        (self.next, self.push_at, self.wake, self.reply) = (None, Timestamp::MAX, now, None);
        (self.crashed, self.closed, self.committed) = (true, false, 0);
    }

    /// What its tokens begin with.
    pub(crate) fn prefix(&self) -> Option<&'static str> {
        prefix(self.by, &self.schedule)
    }

    fn token(&self, number: u32) -> String {
        token(self.by, number, &self.schedule)
    }

    /// Of one of our tokens as the service has it.
    pub(crate) fn raw_number(&self, token: &str) -> Option<u32> {
        self.number(self.prefix().map_or(Some(token), |prefix| token.strip_prefix(prefix)?.strip_prefix('|'))?)
    }

    /// An append is about to be sent: not more than its own attempts count from now on.
    pub(crate) fn begins(&mut self, end: u32) {
        self.unsure.remove(&end);
    }

    /// An append is not rejected because another client has the channel: as far as the writer knows, it may be carried
    /// out.
    pub(crate) fn is_not_rejected(&mut self, end: u32) {
        self.unsure.insert(end);
    }

    /// Another client has the channel for certain, unless it was an open of ours: from now on it knows better.
    pub(crate) fn is_taken(&mut self, now: Timestamp) {
        if self.opened_unconfirmed.is_none_or(|at| now.since(at) >= Duration::from_secs(600)) {
            self.unsure.clear();
        }
    }

    /// Whether it could not know better, when it believes a token of ours to be committed, and the rows are not there.
    pub(crate) fn may_be_misled(&self, row: u32) -> bool {
        self.misled_by.is_some() || self.schedule.has_equal_tokens() && self.unsure.contains(&row)
    }

    /// The same when it has just begun. But what was saved may say that from some token on a commit proves nothing.
    pub(crate) fn may_begin_misled(&self, row: u32, rejected: Option<u32>) -> bool {
        self.schedule.has_equal_tokens() && rejected.is_none_or(|rejected| row < rejected)
    }

    /// From which row on a commit proves nothing, by what was saved for the process that begins.
    pub(crate) fn saved_as_rejected(&self) -> Option<u32> {
        let saved = self.saved.as_ref().filter(|_| self.knows).map(|saved| saved.state.as_str()).unwrap_or_default();
        let rejected = saved.split_once("\"rejected\":\"").and_then(|(_, rest)| rest.split_once('"'));
        rejected.and_then(|(token, _)| self.number(token))
    }

    pub(crate) fn opened(&mut self, committed: Option<String>, now: Timestamp) {
        if self.crashed && committed.as_ref().is_some_and(|token| self.number(token).is_none()) {
            return self.fail(FlowError::Stopped("the committed token is not ours".to_owned()));
        }
        // At first there may be another client's token, which this writer does not know.
        let row = committed.and_then(|token| self.number(&token)).unwrap_or(0);
        self.committed = row;
        self.next = Some(row + 1);
        (self.closed_to, self.knows) = (row, true);
        self.push_at = now;
    }

    pub(crate) fn fail(&mut self, error: FlowError) {
        let open = OpenWriter::new(&self.session, path());
        let none = begin(
            open,
            &self.schedule,
            &FlowConfig::new("https://acct.snow.test".parse().expect("an address")),
            &mut self.seed,
        );
        self.unsettled = Some(std::mem::replace(&mut self.writer, none).unsettled());
        self.end = Some(Err(error));
    }

    /// The end token of an append, as a number; and whether it is the first attempt.
    pub(crate) fn append_of(exchange: &Exchange) -> Option<(u32, bool)> {
        let query = exchange.request().uri().query().filter(|_| exchange.info().name == "appendRows")?;
        let end = query.split('&').find_map(|pair| pair.strip_prefix("endOffsetToken=")).unwrap_or_default();
        let end =
            end.rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default().parse().expect("a number");
        Some((end, query.contains("retryCount=0")))
    }

    pub(crate) fn phase(&mut self, exchange: &Exchange) -> Phase {
        match exchange.info().name {
            "getHostname" | "exchangeToken" => Phase::Session,
            "openChannel" if self.next.is_none() => Phase::Open,
            "openChannel" => Phase::Reopen,
            "appendRows" => {
                let end = Self::append_of(exchange).map_or(0, |(end, _)| end);
                let is_new = end > self.sent;
                self.sent = self.sent.max(end);
                if is_new { Phase::Append } else { Phase::Replay }
            }
            "bulkGetChannelStatus" if self.writer.waiting() == 0 => Phase::Idle,
            "bulkGetChannelStatus" => Phase::Look,
            other => panic!("{other}"),
        }
    }

    /// Of one of our tokens.
    pub(crate) fn number(&self, token: &str) -> Option<u32> {
        let number = token.trim_start_matches(|digit: char| !digit.is_ascii_digit()).parse().ok()?;
        (self.token(number) == token).then_some(number)
    }

    fn row(&self, number: u32) -> &str {
        &self.lines[number as usize - 1]
    }

    fn rows(&self, numbers: RangeInclusive<u32>) -> String {
        numbers.map(|number| self.row(number)).collect()
    }

    /// Gives the writer some rows, when it is time.
    pub(crate) fn push(&mut self, now: Timestamp, coverage: &mut Coverage) {
        let Some(next) = self.next.filter(|_| self.push_at <= now) else { return };
        let last = (next + small(&mut self.seed, 0, 7)).min(self.rows);
        let result = if next > self.rows {
            Ok(next)
        } else if one_in(&mut self.seed, 2) && (next == 1 || self.schedule.shape.has_token(next - 1)) {
            self.push_batch(next, self.schedule.shape.next_token(last))
        } else {
            self.push_rows(next, last, coverage)
        };
        match result {
            Ok(next) => {
                self.next = Some(next);
                if one_in(&mut self.seed, 8) {
                    self.writer.flush();
                }
                if next > self.rows {
                    self.writer.close().expect("every row has a token");
                    (self.push_at, self.closed) = (Timestamp::MAX, true);
                } else {
                    let pause = match self.seed.below(10) {
                        0..6 => Duration::ZERO,
                        6..9 => Duration::from_millis(self.seed.below(3000)),
                        _ => Duration::from_millis(self.seed.below(90_000)),
                    };
                    self.push_at = now + pause;
                }
            }
            // Something committed makes room.
            Err(PushError::Full { batches, .. }) => {
                if batches < self.schedule.max_batches {
                    coverage.count("(full by bytes)", Phase::Append);
                }
                self.push_at = Timestamp::MAX;
            }
            Err(PushError::Ended(_)) => self.push_at = Timestamp::MAX,
            Err(rejection) => panic!("{rejection}"),
        }
    }

    /// Gives it rows as a batch. The row behind them.
    fn push_batch(&mut self, first: u32, last: u32) -> Result<u32, PushError> {
        let token = |number| self.token(number);
        let batch = Batch::new(self.rows(first..=last), u64::from(last - first + 1), token(first), token(last));
        self.writer.append(batch).map_err(|error| error.reason)?;
        self.closed_to = last;
        Ok(last + 1)
    }

    /// Gives it rows one by one. The row behind them.
    fn push_rows(&mut self, first: u32, last: u32, coverage: &mut Coverage) -> Result<u32, PushError> {
        for number in first..=last {
            let token = Some(self.token(number)).filter(|_| self.schedule.shape.has_token(number));
            let before = self.writer.waiting();
            let pushed = self.writer.push_line(self.lines[number as usize - 1].as_bytes(), token.as_deref());
            self.next = Some(number + u32::from(pushed.is_ok()));
            if self.writer.waiting() > before {
                // There were not enough rows for a batch.
                if number - self.closed_to < ROWS_OF_A_BATCH {
                    coverage.count("(closed by bytes)", Phase::Append);
                }
                self.closed_to = self.schedule.shape.token_before(number);
            }
            pushed?;
            if token.is_none() {
                coverage.count("(row without a token)", Phase::Append);
            }
        }
        Ok(last + 1)
    }

    /// The numbers of this source's rows in the table.
    pub(crate) fn written(&self, view: Option<&ChannelView>) -> Result<Vec<u32>, String> {
        let by = format!("\"BY\":\"{}\"", self.by);
        let mut numbers = Vec::new();
        for row in view.map(|view| view.rows.as_slice()).unwrap_or_default() {
            let text = std::str::from_utf8(row).map_err(|error| error.to_string())?;
            // Read by hand, because some are long, and this is asked again and again.
            let id = text.strip_prefix("{\"ID\":").and_then(|rest| rest.split_once(','));
            let number: Option<u32> = id.and_then(|(id, _)| id.parse().ok());
            match number.filter(|number| {
                self.lines.get((*number as usize).wrapping_sub(1)).is_some_and(|line| line.trim_end() == text)
            }) {
                Some(number) => numbers.push(number),
                None => check!(!text.contains(&by), "a row that no process has written: {text}"),
            }
        }
        let last = numbers.last().copied().unwrap_or_default();
        let expected: Vec<u32> = (1..=last).filter(|number| !self.schedule.bad.contains(number)).collect();
        if numbers == expected { Ok(numbers) } else { Err(format!("rows of {} in the table: {numbers:?}", self.by)) }
    }

    pub(crate) fn is_there(&self, view: Option<&ChannelView>, row: u32) -> bool {
        let last_good = (1..=row).rev().find(|number| !self.schedule.bad.contains(number)).unwrap_or_default();
        self.written(view).is_ok_and(|written| written.last().copied().unwrap_or_default() >= last_good)
    }

    /// What must hold however it has ended.
    pub(crate) fn check_end(&self, view: Option<&ChannelView>) -> Verdict {
        if self.misled_by.is_some() {
            return Ok(());
        }
        let written = self.written(view)?;
        let last = written.last().copied().unwrap_or_default();
        let Some(Err(error)) = &self.end else { return Ok(()) };
        if matches!(error, FlowError::Stopped(_)) {
            return Ok(());
        }
        let unsettled = self.unsettled.as_ref().ok_or("nothing is handed back")?;
        let end = |batch: Option<&Batch>| batch.and_then(|batch| self.number(batch.end_offset_token.as_deref()?));
        let before = unsettled.before.last().and_then(|token| self.number(token));
        let at_most = end(unsettled.unconfirmed.last()).or(before).unwrap_or(self.committed);
        check!(
            error.is_ambiguous() != (unsettled.before.is_empty() && unsettled.unconfirmed.is_empty()),
            "{} batches are unconfirmed, and the error says: {error}",
            unsettled.before.len() + unsettled.unconfirmed.len()
        );
        check!(
            self.schedule.second == Second::Twin || !self.knows || last <= at_most.max(self.committed),
            "row {last} is in the table, and only those up to {at_most} were unconfirmed: {error}"
        );
        check!(self.is_there(view, self.committed), "row {} was committed, and is not there: {error}", self.committed);
        // Every row is accounted for.
        let mut expected = self.committed + 1;
        for batch in unsettled.unconfirmed.iter().chain(&unsettled.unsent) {
            let last = expected + u32::try_from(batch.rows).expect("few") - 1;
            let token = end(Some(batch)).unwrap_or(last);
            check!(token == last, "rows {expected} to {last} are handed back with the token of {token}");
            if batch.encoding.is_none() {
                let body = batch.body.read().expect("in memory");
                check!(body == self.rows(expected..=last), "other rows than {expected} to {last} are handed back");
            }
            expected = last + 1;
        }
        check!(
            self.next.is_none_or(|next| next == expected),
            "rows from {expected} to {:?} are not handed back",
            self.next
        );
        Ok(())
    }
}

/// Whether it ended because it is unknown whose token is committed.
pub(crate) fn is_ambiguous_token(error: &FlowError) -> bool {
    match error {
        FlowError::Failed(failure) => {
            let lost = failure.cause().and_then(|cause| cause.downcast_ref());
            matches!(lost, Some(ChannelLost::AmbiguousToken { .. }))
        }
        FlowError::Ambiguous(ambiguity) => is_ambiguous_token(&ambiguity.cause),
        _ => false,
    }
}

/// A session of one's own.
pub(crate) fn session(config: &FlowConfig<SnowpipeAccount>) -> Session {
    OpenSession::new(TokenType::ProgrammaticAccessToken).connect_lazy(config)
}

/// The offset token of a row, as the writer is given it.
fn token(by: &str, number: u32, schedule: &Schedule) -> String {
    if by == US || schedule.second == Second::Equal { number.to_string() } else { format!("t{number}") }
}

fn prefix(by: &str, schedule: &Schedule) -> Option<&'static str> {
    // One begins like the other.
    schedule.prefixed.then_some(if by == US { "load-1" } else { "load-12" })
}

/// What a writer is told of the offset tokens.
fn with_tokens(open: OpenWriter, by: &str, schedule: &Schedule) -> OpenWriter {
    match prefix(by, schedule) {
        Some(prefix) => open.token_prefix(prefix),
        None if schedule.unique => open.unique_tokens(),
        None => open,
    }
}

fn begin(open: OpenWriter, schedule: &Schedule, config: &FlowConfig<SnowpipeAccount>, seed: &mut Seed) -> Writer {
    let options = BatchOptions::new().age(Duration::from_millis(400)).compression(schedule.compression);
    let open = open.batches(schedule.shape.options(options)).max_batches(schedule.max_batches);
    let open = schedule.retry_timeout.map_or(open.clone(), |retry_timeout| open.retry_timeout(retry_timeout));
    schedule.shape.limits(open).start(config, seed.split())
}

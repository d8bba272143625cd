//! Rows of one origin, and the process that writes them: it crashes, and another one goes on.

use std::time::Duration;

use pipewright::drive::Clock as _;
use pipewright::error::FlowError;
use pipewright::flow::{Config as FlowConfig, Exchange, Goal as _, Reply, Saved};
use pipewright::snowpipe::flow::Remains;
use pipewright::snowpipe::{
    Batch, BatchOptions, ChannelPath, OpenSession, OpenWriter, Refusal, Session, SnowpipeAccount, TokenType, Writer,
};
use pipewright::{Seed, Timestamp};
use pipewright_mock::World;
use pipewright_mock::snowpipe::ChannelView;

use super::run::Verdict;
use super::schedule::{Crash, Schedule, Second, one_in, small};
use super::tally::Phase;

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
    pub(crate) seed: Seed,
    pub(crate) writer: Writer,
    pub(crate) session: Session,
    pub(crate) saved: Option<Saved>,
    /// The next row to give to the writer; none before it is open.
    pub(crate) next: Option<u32>,
    pub(crate) push_at: Timestamp,
    pub(crate) wake: Timestamp,
    pub(crate) reply: Option<Reply>,
    /// The last row that was ever sent.
    pub(crate) sent: u32,
    pub(crate) committed: u32,
    pub(crate) rejected: u64,
    pub(crate) crashed: bool,
    pub(crate) closed: bool,
    pub(crate) end: Option<Result<(), FlowError>>,
    pub(crate) remains: Option<Remains>,
}

impl Source {
    pub(crate) fn new(
        name: &'static str,
        session: Session,
        schedule: &Schedule,
        config: &FlowConfig<SnowpipeAccount>,
        world: &World,
    ) -> Self {
        let mut seed = Seed::new(u128::from(schedule.number) << 8 | name.len() as u128);
        let by = if name == TWIN { US } else { name };
        let writer = begin(OpenWriter::new(&session, path()), schedule, config, &mut seed);
        Self {
            name,
            by,
            rows: schedule.rows,
            schedule: schedule.clone(),
            seed,
            writer,
            session,
            saved: None,
            next: None,
            push_at: Timestamp::MAX,
            wake: world.now(),
            reply: None,
            sent: 0,
            committed: 0,
            rejected: 0,
            crashed: false,
            closed: false,
            end: None,
            remains: None,
        }
    }

    pub(crate) fn crash(&mut self, crash: Crash, config: &FlowConfig<SnowpipeAccount>, world: &World) {
        if crash.new_session {
            self.session = session(config);
        }
        let open = match self.saved.as_ref().filter(|_| crash.resumes) {
            Some(saved) => OpenWriter::resume(&self.session, saved).expect("its own state"),
            None if self.committed > 0 => OpenWriter::new(&self.session, path()).must_have_committed(),
            None => OpenWriter::new(&self.session, path()),
        };
        self.writer = begin(open, &self.schedule, config, &mut self.seed);
        (self.next, self.push_at, self.wake, self.reply) = (None, Timestamp::MAX, world.now(), None);
        (self.crashed, self.closed, self.committed) = (true, false, 0);
    }

    pub(crate) fn opened(&mut self, committed: Option<String>, now: Timestamp) {
        if self.crashed && committed.as_ref().is_some_and(|token| self.number(token).is_none()) {
            return self.fail(FlowError::Stopped("the committed token is not ours".to_owned()));
        }
        // At first there may be somebody else's, whom we know nothing of.
        let row = committed.and_then(|token| self.number(&token)).unwrap_or(0);
        self.committed = row;
        self.next = Some(row + 1);
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
        self.remains = Some(std::mem::replace(&mut self.writer, none).remains());
        self.end = Some(Err(error));
    }

    pub(crate) fn phase(&mut self, exchange: &Exchange) -> Phase {
        match exchange.info().name {
            "getHostname" | "exchangeToken" => Phase::Session,
            "openChannel" if self.next.is_none() => Phase::Open,
            "openChannel" => Phase::Reopen,
            "appendRows" => {
                let query = exchange.request().uri().query().unwrap_or_default();
                let end = query.split('&').find_map(|pair| pair.strip_prefix("endOffsetToken=")).unwrap_or_default();
                let end = end.trim_start_matches(|digit: char| !digit.is_ascii_digit()).parse().expect("a number");
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
        (self::token(self.by, number) == token).then_some(number)
    }

    pub(crate) fn row(&self, number: u32) -> String {
        let id = if self.schedule.bad.contains(&number) { format!("\"bad {number}\"") } else { number.to_string() };
        format!("{{\"ID\":{id},\"BY\":\"{}\"}}\n", self.by)
    }

    /// Gives the writer some rows, when it is time.
    pub(crate) fn push(&mut self, now: Timestamp) {
        let Some(next) = self.next.filter(|_| self.push_at <= now) else { return };
        let last = (next + small(&mut self.seed, 0, 7)).min(self.rows);
        let by = self.by;
        let token = |number: u32| token(by, number);
        let result = if next > self.rows {
            Ok(next)
        } else if one_in(&mut self.seed, 2) {
            let lines: String = (next..=last).map(|number| self.row(number)).collect();
            let batch = Batch::new(lines, u64::from(last - next + 1), token(next), token(last));
            self.writer.append(batch).map(|()| last + 1).map_err(|refused| refused.reason)
        } else {
            let push = |writer: &mut Writer, number, row: &str| writer.push_line(row.as_bytes(), Some(&token(number)));
            let (mut at, mut pushed) = (next, Ok(()));
            while at <= last && pushed.is_ok() {
                let row = self.row(at);
                pushed = push(&mut self.writer, at, &row);
                at += u32::from(pushed.is_ok());
            }
            self.next = Some(at);
            pushed.map(|()| at)
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
            Err(Refusal::Full { .. } | Refusal::Ended(_)) => self.push_at = Timestamp::MAX,
            Err(refusal) => panic!("{refusal}"),
        }
    }

    /// The numbers of this source's rows in the table.
    pub(crate) fn written(&self, view: Option<&ChannelView>) -> Result<Vec<u32>, String> {
        let by = format!("\"BY\":\"{}\"", self.by);
        let rows = view.map(|view| view.rows.as_slice()).unwrap_or_default().iter();
        let texts = rows.map(|row| String::from_utf8_lossy(row).into_owned()).filter(|row| row.contains(&by));
        let numbers = texts.map(|row| {
            let value: serde_json::Value = serde_json::from_str(&row).map_err(|_| row.clone())?;
            value["ID"].as_u64().and_then(|id| u32::try_from(id).ok()).ok_or(row)
        });
        let numbers: Vec<u32> = numbers.collect::<Result<_, _>>()?;
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
        let written = self.written(view)?;
        let last = written.last().copied().unwrap_or_default();
        let Some(Err(error)) = &self.end else { return Ok(()) };
        if matches!(error, FlowError::Stopped(_)) {
            return Ok(());
        }
        let remains = self.remains.as_ref().ok_or("nothing is handed back")?;
        let end = |batch: Option<&Batch>| batch.and_then(|batch| self.number(batch.end_offset_token.as_deref()?));
        let before = remains.before.last().and_then(|token| self.number(token));
        let at_most = end(remains.in_doubt.last()).or(before).unwrap_or(self.committed);
        check!(
            remains.in_doubt.is_empty() || error.is_ambiguous(),
            "rows are in doubt, and the error does not say so: {error}"
        );
        check!(
            self.schedule.second == Second::Twin || last <= at_most.max(self.committed),
            "row {last} is in the table, and only those up to {at_most} were in doubt: {error}"
        );
        check!(self.is_there(view, self.committed), "row {} was committed, and is not there: {error}", self.committed);
        // Every row is accounted for.
        let mut expected = self.committed + 1;
        for batch in remains.in_doubt.iter().chain(&remains.unsent) {
            let start = batch.start_offset_token.as_deref().and_then(|token| self.number(token)).ok_or("a token")?;
            check!(start == expected, "row {expected} is missing from what is handed back, which goes on with {start}");
            expected = end(Some(batch)).unwrap_or_default() + 1;
        }
        check!(
            self.next.is_none_or(|next| next == expected),
            "rows from {expected} to {:?} are not handed back",
            self.next
        );
        Ok(())
    }
}

/// A session of one's own.
pub(crate) fn session(config: &FlowConfig<SnowpipeAccount>) -> Session {
    OpenSession::new(TokenType::ProgrammaticAccessToken).later(config)
}

/// The offset token of a row.
fn token(by: &str, number: u32) -> String {
    if by == US { number.to_string() } else { format!("t{number}") }
}

fn begin(open: OpenWriter, schedule: &Schedule, config: &FlowConfig<SnowpipeAccount>, seed: &mut Seed) -> Writer {
    let options = BatchOptions::new().rows(5).age(Duration::from_millis(400)).compression(schedule.compression);
    open.batches(options).max_batches(schedule.max_batches).start(config, seed.split())
}

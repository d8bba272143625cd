//! One run of a schedule: processes that write the rows of a source, crash, and continue.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use pipewright::driver::{Clock as _, Transport as _};
use pipewright::error::{ErrorKind, FlowError, ServiceError, TransportError};
use pipewright::flow::{Config as FlowConfig, Exchange, Flow as _, Notice, Retry, Step};
use pipewright::snowpipe::{SnowpipeAccount, StatusBatcher, WriterEvent};
use pipewright::{Secret, Timestamp};
use pipewright_mock::snowpipe::{Account, ChannelPath as Simulated, ChannelView, PipeState};
use pipewright_mock::{SnowpipeHandle, World};
use serde::de::IgnoredAny;

use super::coverage::{Coverage, Phase, has_number, seen, seen_behind};
use super::schedule::{Broken, Crash, Hook, Schedule, Second};
use super::sibling::Sibling;
use super::source::{Source, THEM, TWIN, US, is_ambiguous_token, session};
use super::strange::Strange;

/// A run that lasts longer is a fight, or a writer that runs in circles.
const MOST_EXCHANGES: u64 = 4000;
const MOST_POLLS: u64 = 100_000;

/// Rejections of tokens that a writer need not survive, when they come one after the other.
const MOST_REJECTIONS: u32 = 6;

/// What a run shows of the core's mistakes, if anything.
pub(crate) type Verdict = Result<(), String>;

fn simulated() -> Simulated {
    Simulated::new("DB", "PUBLIC", "T-STREAMING", "c")
}

pub(crate) struct Run<'a> {
    schedule: &'a Schedule,
    world: World,
    account: SnowpipeHandle,
    config: FlowConfig<SnowpipeAccount>,
    sources: Vec<Source>,
    siblings: Vec<Sibling>,
    /// By how much the clock of the processes is ahead.
    skew: Duration,
    /// How long the first source is not run when its exchange is over.
    pause: Duration,
    /// Whether the next append meets one with its own token.
    is_mimicked: bool,
    coverage: &'a mut Coverage,
    exchanges: u64,
    polls: u64,
    hooks: std::vec::IntoIter<(u64, Hook)>,
    broken: Option<Broken>,
    strange: std::vec::IntoIter<(u64, Strange)>,
    crashes: Vec<(u64, Crash)>,
    /// What the pipe is like, when it is not unhealthy for a while.
    pipe: PipeState,
    healthy_at: Option<Timestamp>,
    replaced_after: Option<u32>,
    log: Option<Arc<Mutex<Vec<String>>>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        schedule: &'a Schedule,
        coverage: &'a mut Coverage,
        log: Option<Arc<Mutex<Vec<String>>>>,
    ) -> Self {
        let world = World::new(schedule.number);
        world.keep_trace(1);
        if let Some(log) = log.clone() {
            world.on_event(move |event| log.lock().expect("no panic").push(event.to_string()));
        }
        let account = world.snowpipe("https://acct.snow.test".parse().expect("an address"), schedule.config.clone());
        world.set_faults(schedule.plan());
        let mut retry = Retry::default();
        retry.attempts = schedule.attempts;
        let config = FlowConfig::new(account.base()).with_retry(retry);
        let names: &[&str] = match schedule.second {
            Second::Nobody | Second::Thief => &[US],
            Second::Writer | Second::Equal => &[US, THEM],
            Second::Twin => &[US, TWIN],
        };
        let shared = session(&config);
        let batcher = StatusBatcher::new();
        let sources = names.iter().map(|name| {
            let session = if schedule.shares_session { shared.clone() } else { session(&config) };
            // the batcher is for those of one process.
            let batcher = if *name == US { batcher.clone() } else { StatusBatcher::new() };
            Source::new(name, session, schedule, &batcher, &config, &world)
        });
        let sources: Vec<_> = sources.collect();
        let siblings = (0..schedule.siblings).map(|number| Sibling::new(number, &shared, &batcher, &config, &world));
        let siblings = siblings.collect();
        Self {
            schedule,
            world,
            account,
            config,
            sources,
            siblings,
            skew: Duration::ZERO,
            pause: Duration::ZERO,
            is_mimicked: false,
            coverage,
            exchanges: 0,
            polls: 0,
            hooks: schedule.hooks.clone().into_iter(),
            broken: schedule.broken,
            strange: schedule.strange.clone().into_iter(),
            crashes: schedule.crashes.clone(),
            pipe: PipeState::Healthy,
            healthy_at: None,
            replaced_after: None,
            log,
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Verdict {
        while let Some(at) =
            (0..self.sources.len()).filter(|at| self.sources[*at].end.is_none()).min_by_key(|at| self.sources[*at].wake)
        {
            let wake = self.sources[at].wake;
            let sibling = (0..self.siblings.len()).filter(|at| self.siblings[*at].end.is_none());
            let sibling = sibling.min_by_key(|at| self.siblings[*at].wake).filter(|at| self.siblings[*at].wake < wake);
            self.sleep_until(sibling.map_or(wake, |at| self.siblings[at].wake));
            match sibling {
                Some(at) => self.sibling_turn(at)?,
                None => self.turn(at)?,
            }
            check!(self.exchanges < MOST_EXCHANGES, "no end after {MOST_EXCHANGES} exchanges");
        }
        // What is buffered is committed by then.
        self.world.sleep_until(self.world.now() + Duration::from_secs(30));
        let view = self.view();
        for source in &self.sources {
            source.check_end(view.as_ref())?;
        }
        self.check_success(view.as_ref())
    }

    /// By the clock of the processes.
    fn now(&self) -> Timestamp {
        self.world.now() + self.skew
    }

    fn sleep_until(&self, at: Timestamp) {
        self.world.sleep_until(Timestamp::from_unix(at.as_unix().saturating_sub(self.skew)));
    }

    fn sibling_turn(&mut self, at: usize) -> Verdict {
        self.polls += 1;
        check!(self.polls < MOST_POLLS, "no end after {MOST_POLLS} polls");
        let now = self.now();
        if let Some(exchange) = self.siblings[at].turn(now)? {
            let answer = self.send(&exchange);
            let now = self.now();
            self.siblings[at].answer(exchange.settle(answer), now);
        }
        let Some(error) = &self.siblings[at].end else { return Ok(()) };
        let is_rejected = rejection(error).is_some_and(|error| matches!(error.status().as_u16(), 400 | 401 | 403));
        check!(!self.schedule.must_succeed() || is_rejected, "an idle writer has ended: {error}");
        Ok(())
    }

    fn view(&self) -> Option<ChannelView> {
        self.account.with(|account| account.channel_view(&simulated()))
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.lock().expect("no panic").push(text());
        }
    }

    /// Polls one source until it waits for something.
    fn turn(&mut self, at: usize) -> Verdict {
        loop {
            self.polls += 1;
            check!(self.polls < MOST_POLLS, "no end after {MOST_POLLS} polls");
            let now = self.now();
            self.sources[at].push(now, self.coverage);
            let source = &mut self.sources[at];
            match source.writer.poll(now, source.reply.take()) {
                Step::Send(exchange) => return self.exchange(at, exchange),
                Step::Authorize(request) => {
                    check!(request.authority().host() == "acct.snow.test", "the session answers for the ingest host");
                    source.reply = Some(request.settle(Secret::new("pat").bearer()));
                }
                Step::WaitUntil(until) | Step::InFlight { until } => {
                    source.wake = until.min(source.push_at).max(now + Duration::from_millis(1));
                    return Ok(());
                }
                Step::Notice(Notice::Persist(saved)) => {
                    let text = serde_json::to_string(&saved).expect("serialisable");
                    source.saved = Some(serde_json::from_str(&text).expect("readable"));
                }
                Step::Notice(notice) => {
                    let name = source.name;
                    self.say(|| format!("{name}: {notice}"));
                }
                Step::Stray(_) => return Err("a reply was not taken".to_owned()),
                Step::Done(result) => {
                    let name = source.name;
                    self.say(|| format!("{name}: {result:?}"));
                    self.event(at, result)?;
                    if self.sources[at].end.is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn exchange(&mut self, at: usize, exchange: Exchange) -> Verdict {
        self.exchanges += 1;
        let phase = self.sources[at].phase(&exchange);
        check!(phase == Phase::Session || is_for_its_host(&exchange), "a token for another host: {exchange:?}");
        while let Some((_, hook)) = self.hooks.as_slice().first().copied().filter(|(due, _)| *due <= self.exchanges) {
            self.hooks.next();
            self.hook(hook);
        }
        let is_due = |broken: &Broken| broken.at <= self.exchanges && (!broken.when_idle || phase == Phase::Idle);
        if let Some(broken) = self.broken.take_if(|broken| is_due(broken)) {
            self.say(|| format!("{broken:?}"));
            (self.pipe, self.healthy_at) = (broken.state, None);
            self.account.with(|account| account.set_pipe(&simulated(), broken.state));
        }
        if self.healthy_at.is_some_and(|at| at <= self.world.now()) {
            self.healthy_at = None;
            self.account.with(|account| account.set_pipe(&simulated(), self.pipe));
        }
        let crash =
            self.crashes.first().copied().filter(|(due, _)| at == 0 && *due <= self.exchanges).map(|(_, crash)| crash);
        if let Some(crash) = crash {
            self.crashes.remove(0);
            if crash.sent {
                let _ = self.world.send(&exchange);
            }
            self.coverage.count(if crash.sent { "crash before the reply" } else { "crash before it is sent" }, phase);
            drop(exchange);
            self.say(|| format!("{crash:?}"));
            let now = self.now();
            self.sources[at].crash(crash, &self.config, now);
            return Ok(());
        }
        let strange = self.strange.as_slice().first().copied();
        let is_now = |(due, strange): &(u64, Strange)| *due <= self.exchanges && strange.fits(exchange.info().name);
        let strange = strange.filter(is_now);
        if strange.is_some() {
            self.strange.next();
        }
        let strange = strange.map(|(_, strange)| strange);
        let append = Source::append_of(&exchange);
        if let Some((end, true)) = append {
            self.sources[at].begins(end);
            if at == 0 && std::mem::take(&mut self.is_mimicked) {
                self.say(|| format!("Another client commits a row with the token {end}"));
                let (token, row) = (end.to_string(), r#"{"ID":1,"BY":"thief"}"#);
                self.account.with(|account| account.steal(&simulated(), &[(&*token, row)]));
            }
        }
        let discarded = |run: &Self| run.view().map_or(0, |view| view.discarded);
        let before = discarded(self);
        let answer = match strange {
            Some(strange) => Ok(self.send_in_vain(&exchange, strange)),
            None => self.send(&exchange),
        };
        let after = discarded(self);
        if exchange.info().name == "openChannel" {
            // Without an answer it may have been a restart.
            let is_known = answer.is_ok() && strange.is_none();
            check!(after == before || !is_known, "an open has discarded {} rows", after - before);
        } else if after > before && self.pipe == PipeState::Discards {
            self.coverage.count("(discarded)", phase);
        }
        let seen = strange.map_or_else(|| seen(&answer, phase), Strange::name);
        self.coverage.count(seen, phase);
        self.heed_rejection(at, &exchange, &answer, seen);
        if has_number(&answer) {
            self.coverage.count("(a number for a code)", phase);
        }
        if let Some(encoding) = exchange.request().headers().get(CONTENT_ENCODING) {
            self.coverage.count(if encoding == "gzip" { "(gzip)" } else { "(zstd)" }, phase);
        }
        let committed = self.view().and_then(|view| view.committed);
        if seen_behind(&answer, committed.as_deref()) {
            self.coverage.count("(earlier status)", phase);
        }
        let source = &mut self.sources[at];
        source.rejected_tokens += strange.map_or(0, Strange::rejections);
        match answer.as_ref().map(|answer| answer.status().as_u16()) {
            Ok(401 | 403) => source.rejected_tokens += 1,
            Ok(200) if matches!(phase, Phase::Append | Phase::Replay) => source.rejected_tokens = 0,
            _ => {}
        }
        source.reply = Some(exchange.settle(answer));
        source.wake = self.world.now() + self.skew;
        if at == 0 {
            source.wake = source.wake + std::mem::take(&mut self.pause);
        }
        Ok(())
    }

    /// What the source can know by now of who has the channel.
    fn heed_rejection(
        &mut self,
        at: usize,
        exchange: &Exchange,
        answer: &Result<Response<Bytes>, TransportError>,
        seen: &str,
    ) {
        // Half an answer says nothing.
        let is_whole = answer.as_ref().is_ok_and(|answer| serde_json::from_slice::<IgnoredAny>(answer.body()).is_ok());
        let is_rejected = is_whole && matches!(seen, "400 stale" | "409 superseded");
        let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
        let now = self.now();
        let source = &mut self.sources[at];
        if exchange.info().name == "openChannel" && !(is_whole && matches!(status, 200 | 409)) {
            source.opened_unconfirmed = Some(now);
        }
        if let Some((end, is_first)) = Source::append_of(exchange) {
            source.conflicts += u32::from(matches!(status, 400 | 409));
            if !is_rejected {
                source.is_not_rejected(end);
            } else if is_first && !(seen == "409 superseded" && has_number(answer)) {
                // A number for a code says only of a stale token that another client has the channel.
                source.is_taken(now);
            }
        }
    }

    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        let answer = self.world.send(exchange);
        self.say(|| match &answer {
            Ok(answer) => format!(
                "    {} {}",
                answer.status(),
                String::from_utf8_lossy(answer.body()).chars().take(600).collect::<String>()
            ),
            Err(error) => format!("    {error}"),
        });
        answer
    }

    /// An answer comes that is not the service's.
    fn send_in_vain(&self, exchange: &Exchange, strange: Strange) -> Response<Bytes> {
        self.say(|| format!("    {strange:?} in place of the answer"));
        if strange.applied {
            let _ = self.send(exchange);
        }
        strange.response()
    }

    fn hook(&mut self, hook: Hook) {
        self.say(|| format!("{hook:?}"));
        let now = self.world.now();
        let mut unhealthy = |state, time| {
            self.healthy_at = Some(now + time);
            self.account.with(|account| account.set_pipe(&simulated(), state));
        };
        match hook {
            Hook::Misrouted(time) => unhealthy(PipeState::Misrouted, time),
            Hook::Unowned(time) => unhealthy(PipeState::Unowned, time),
            Hook::FailOver(time) => self.account.fail_over(time),
            Hook::Restart(time) => self.account.restart(time),
            Hook::Revoke => self.account.with(Account::revoke_tokens),
            Hook::Forbid => self.account.with(Account::forbid_tokens),
            Hook::OpenIll(code) => self.account.with(|account| account.open_ill(&simulated(), code)),
            Hook::Invalidate(code) => self.account.with(|account| account.invalidate(&simulated(), code)),
            Hook::Steal { rows } => {
                // Tokens that were not used before.
                let tokens = [1, 2].map(|row| format!("x{}-{row}", self.exchanges));
                let theirs = tokens.each_ref().map(|token| (token.as_str(), r#"{"ID":1,"BY":"thief"}"#));
                let theirs: &[(&str, &str)] = if rows { &theirs } else { &[] };
                self.account.with(|account| account.steal(&simulated(), theirs));
            }
            Hook::Discard => self.account.with(|account| account.steal(&simulated(), &[])),
            Hook::Mimic => self.is_mimicked = true,
            Hook::Pause(time) => self.pause = time,
            Hook::Jump(time) => self.skew += time,
            Hook::Blank(answer, time) => {
                let answer = serde_json::from_str(answer).expect("JSON");
                self.account.with(|account| account.blank_statuses(answer, time));
            }
            Hook::Replace => {
                // What was committed by then need not be written again, whether the client knows it or not.
                let committed = self.view().and_then(|view| self.sources[0].raw_number(&view.committed?));
                self.replaced_after = Some(self.sources[0].committed.max(committed.unwrap_or_default()));
                self.account.with(|account| account.replace_table(&simulated()));
            }
        }
    }

    fn event(&mut self, at: usize, result: Result<WriterEvent, FlowError>) -> Verdict {
        let view = self.view();
        let now = self.now();
        let source = &mut self.sources[at];
        match result {
            Ok(WriterEvent::Opened { committed }) => {
                let rejected = source.saved_as_rejected();
                source.opened(committed, now);
                if source.end.is_none() && !source.is_there(view.as_ref(), source.committed) {
                    let row = source.committed;
                    check!(source.may_begin_misled(row, rejected), "it begins behind {row}, which is not there");
                    source.misled_by = Some(row);
                }
            }
            Ok(WriterEvent::Committed { token, .. }) => {
                let row = source.number(&token).ok_or_else(|| format!("committed {token}"))?;
                check!(row > source.committed, "committed {row} after {}", source.committed);
                if !source.is_there(view.as_ref(), row) {
                    check!(source.may_be_misled(row), "{row} is committed, says the writer, and is not");
                    source.misled_by = Some(row);
                }
                source.committed = row;
                if source.push_at == Timestamp::MAX && !source.closed {
                    source.push_at = now;
                }
            }
            Ok(WriterEvent::Rejected(rows)) => source.rejected += rows.count,
            Ok(WriterEvent::Flushed) => {}
            Ok(WriterEvent::Closed) => {
                check!(source.committed == source.rows, "closed after {} of {}", source.committed, source.rows);
                source.end = Some(Ok(()));
            }
            Ok(event) => return Err(format!("{event:?}")),
            Err(error) => {
                check!(source.conflicts > 0 || !is_ambiguous_token(&error), "no append was rejected: {error}");
                source.fail(error);
            }
        }
        Ok(())
    }

    /// What must hold without other clients.
    fn check_success(&self, view: Option<&ChannelView>) -> Verdict {
        let source = &self.sources[0];
        match &source.end {
            Some(_) if source.misled_by.is_some() => Ok(()),
            Some(Ok(())) => {
                let written = source.written(view)?;
                check!(written.len() + source.schedule.bad.len() == source.rows as usize, "{written:?} is not all");
                let bad = source.schedule.bad.len() as u64;
                let is_counted = if self.schedule.second == Second::Twin {
                    source.rejected <= bad || source.crashed
                } else if source.crashed {
                    source.rejected >= bad || source.schedule.crashes.iter().any(|(_, crash)| !crash.resumes)
                } else {
                    source.rejected == bad
                };
                check!(
                    is_counted || self.replaced_after.is_some(),
                    "{} rows were rejected, and {bad} were bad",
                    source.rejected
                );
                check!(
                    self.replaced_after.is_none_or(|after| after == 0 || after == source.rows || source.crashed),
                    "the table was replaced after row {:?}, and no process has noticed",
                    self.replaced_after
                );
                Ok(())
            }
            Some(Err(error)) => {
                // With a new token in between, three times: believed by then.
                let is_rejected =
                    rejection(error).is_some_and(|rejection| matches!(rejection.status().as_u16(), 400 | 401 | 403));
                // A host that has not answered for two minutes, before the channel was ever open, is taken for a wrong
                // address.
                let is_service = rejection(error).is_some_and(|rejection| rejection.kind() == ErrorKind::Rejected);
                let is_unanswered = source.next.is_none() && !is_service;
                let may_end = is_rejected && source.rejected_tokens >= MOST_REJECTIONS || is_unanswered;
                check!(!self.schedule.must_succeed() || may_end, "{error}");
                Ok(())
            }
            None => Err("it has not ended".to_owned()),
        }
    }
}

fn rejection(error: &FlowError) -> Option<&ServiceError> {
    match error {
        FlowError::Failed(failure) => failure.cause()?.downcast_ref(),
        FlowError::Ambiguous(ambiguity) => rejection(&ambiguity.cause),
        error => error.service(),
    }
}

/// Whether the host that a token is sent to is the host it was issued for. A mutilated token does not tell.
fn is_for_its_host(exchange: &Exchange) -> bool {
    let token = exchange.request().headers()[AUTHORIZATION].to_str().expect("text");
    let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims: Option<serde_json::Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    claims.is_none_or(|claims| claims["aud"].as_str() == exchange.request().uri().host())
}

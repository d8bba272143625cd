//! What happens in a run, derived from one number.

use std::collections::BTreeSet;
use std::time::Duration;

use pipewright::Seed;
use pipewright::snowpipe::rows::Compression;
use pipewright_mock::fault::{FaultKind, FaultPlan};
use pipewright_mock::snowpipe::{Config, ErrorShape, FailedOver, PipeState, Replay, Superseded};

use super::rows::Rows;
use super::strange::Strange;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) number: u64,
    /// Rows have the numbers from 1 to this number, and their numbers as offset tokens.
    pub(crate) rows: u32,
    /// What they are like.
    pub(crate) shape: Rows,
    /// Rows that the service rejects.
    pub(crate) bad: BTreeSet<u32>,
    pub(crate) config: Config,
    pub(crate) faults: u64,
    /// How often a call tries.
    pub(crate) attempts: u32,
    pub(crate) max_batches: usize,
    /// Of the batches that are made of rows.
    pub(crate) compression: Compression,
    /// Behind the backs of the writers, before the exchange of that number.
    pub(crate) hooks: Vec<(u64, Hook)>,
    pub(crate) broken: Option<Broken>,
    /// In place of the answer to the exchange of that number.
    pub(crate) strange: Vec<(u64, Strange)>,
    /// Instead of the exchange of that number, or instead of taking its reply.
    pub(crate) crashes: Vec<(u64, Crash)>,
    pub(crate) second: Second,
    /// Whether the two of them have one session, as writers of one process do.
    pub(crate) shares_session: bool,
    /// Whether offset tokens have a prefix for each source.
    pub(crate) prefixed: bool,
    /// Whether writers without a prefix are told that equal tokens mean equal rows.
    pub(crate) unique: bool,
    /// Writers of other channels, with nothing to write, on the same status batcher.
    pub(crate) siblings: u32,
    /// How long faults may last; `None` is the writer's default.
    pub(crate) retry_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    FailOver(Duration),
    /// Tokens are refused with 401 from now on.
    Revoke,
    /// The same with 403.
    Forbid,
    Invalidate(&'static str),
    /// The next open is answered 200 with this status.
    OpenIll(&'static str),
    Restart(Duration),
    /// 404 of an edge proxy for a while.
    Misrouted(Duration),
    /// No node has the pipe for a while.
    Unowned(Duration),
    /// Another client opens the channel, and writes rows of their own or not.
    Steal {
        rows: bool,
    },
    /// Another client opens the channel when the next append is about to be sent, and commits a row with the token of
    /// that append.
    Mimic,
    /// The table is replaced.
    Replace,
    /// For a while, a proxy answers every status with this.
    Blank(&'static str, Duration),
    /// The first source's process is not run for a while.
    Pause(Duration),
    /// The clock of all processes jumps forward.
    Jump(Duration),
    /// Another client opens the channel by force, which discards what is buffered, and writes nothing.
    Discard,
}

/// A pipe that does not get well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// From the exchange of that number on.
    pub(crate) at: u64,
    pub(crate) state: PipeState,
    /// Not before nothing waits, which is rare.
    pub(crate) when_idle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// The exchange still reaches the service.
    pub(crate) sent: bool,
    /// The next process continues from what was saved, or else from what the service says.
    pub(crate) resumes: bool,
    /// The next process has a session of its own.
    pub(crate) new_session: bool,
}

/// Who else writes to the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Second {
    Nobody,
    /// By [`Hook::Steal`].
    Thief,
    /// A writer like the first writer, with rows of its own.
    Writer,
    /// A writer with rows of its own, and with the same tokens.
    Equal,
    /// A writer of the same rows, with the same tokens: started twice by mistake.
    Twin,
}

impl Schedule {
    pub(crate) fn draw(number: u64) -> Self {
        let mut schedule = Self::plain(number);
        // From a seed of its own, so that what was drawn before stays as it is.
        let mut seed = Seed::new(u128::from(number) << 64 | 0xadd5);
        schedule.shape.draw(&mut seed);
        schedule.widen(&mut seed);
        schedule.crowd(&mut Seed::new(u128::from(number) << 64 | 0xc20d));
        schedule.strain(&mut Seed::new(u128::from(number) << 64 | 0x57a1));
        schedule
    }

    /// As schedules were at first: short rows, each with a token. The oldest regressions are among them.
    pub(crate) fn plain(number: u64) -> Self {
        let mut seed = Seed::new(u128::from(number) << 64 | 0x5eed);
        let seed = &mut seed;
        let rows = small(seed, 1, 40);
        let bad = if one_in(seed, 4) { (1..=rows).filter(|_| one_in(seed, 5)).collect() } else { BTreeSet::new() };
        let second = match seed.below(20) {
            0 | 1 => Second::Thief,
            2 => Second::Writer,
            3 => Second::Twin,
            _ => Second::Nobody,
        };
        let is_replaced = second == Second::Nobody && one_in(seed, 15);
        let exchanges = u64::from(rows) + 12;
        let mut hooks: Vec<(u64, Hook)> =
            (0..seed.below(4)).map(|_| (2 + seed.below(exchanges), Hook::draw(seed))).collect();
        if second == Second::Thief {
            hooks.extend(
                (0..=seed.below(4)).map(|_| (2 + seed.below(exchanges), Hook::Steal { rows: one_in(seed, 2) })),
            );
        }
        // Once: what is refused again and again is a privilege that is missing.
        if one_in(seed, 4) {
            hooks.push((2 + seed.below(exchanges), Hook::Forbid));
        }
        if is_replaced {
            hooks.push((2 + seed.below(exchanges), Hook::Replace));
        }
        hooks.sort_by_key(|(at, _)| *at);
        let mut crashes: Vec<(u64, Crash)> = (0..seed.below(3).saturating_sub(seed.below(2)))
            .map(|_| {
                // Who has not saved anything cannot know that the table was replaced.
                let resumes = !one_in(seed, 3) || is_replaced;
                let crash = Crash { sent: one_in(seed, 2), resumes, new_session: one_in(seed, 2) };
                (1 + seed.below(exchanges), crash)
            })
            .collect();
        crashes.sort_by_key(|(at, _)| *at);
        Self {
            number,
            rows,
            shape: Rows::plain(rows),
            bad,
            faults: [0, 0, 2, 5, 12, 30][usize::try_from(seed.below(6)).expect("small")],
            attempts: [1, 2, 20, 20][usize::try_from(seed.below(4)).expect("small")],
            max_batches: [2, 4, 64, 256][usize::try_from(seed.below(4)).expect("small")],
            compression: [Compression::None, Compression::Gzip(1), Compression::Zstd(1)]
                [usize::try_from(seed.below(3)).expect("small")],
            config: config(seed),
            hooks,
            broken: None,
            strange: Vec::new(),
            crashes,
            second,
            shares_session: one_in(seed, 2),
            prefixed: false,
            unique: true,
            siblings: 0,
            retry_timeout: None,
        }
    }

    /// Loads with equal tokens, writers on one batcher, nodes that lag, clocks that jump, statuses that say nothing,
    /// long waits.
    fn crowd(&mut self, seed: &mut Seed) {
        let exchanges = u64::from(self.rows) + 12;
        self.prefixed = one_in(seed, 3);
        if self.second == Second::Writer && one_in(seed, 2) {
            self.second = Second::Equal;
        }
        let is_unique = !one_in(&mut Seed::new(u128::from(self.number) << 64 | 0x0417), 3);
        if self.second == Second::Thief && one_in(seed, 2) {
            self.hooks.push((2 + seed.below(exchanges), Hook::Mimic));
        }
        if one_in(seed, 4) {
            self.siblings = small(seed, 1, 3);
        }
        if one_in(seed, 4) {
            // Less than what the writer takes for possible, because a jump makes it seem longer.
            self.config.status_age = seconds(seed, 0, 26)..=Duration::from_secs(27);
            // When the channel is new, a node that lags does not know it.
            let early = 4 + seed.below(8);
            match seed.below(3) {
                0 => self.hooks.push((early, Hook::Pause(seconds(seed, 25, 45)))),
                // A token that is shorter than the jump has always ended.
                1 if self.config.token_life > Duration::from_secs(60) => {
                    self.hooks.push((early, Hook::Jump(seconds(seed, 25, 90))));
                }
                _ => {}
            }
        }
        if one_in(seed, 6) {
            let answers = ["{}", "null", "[]", r#"{"channel_statuses":null}"#, r#"{"message":"OK"}"#];
            let answer = answers[usize::try_from(seed.below(5)).expect("small")];
            self.hooks.push((4 + seed.below(exchanges), Hook::Blank(answer, seconds(seed, 30, 120))));
        }
        if one_in(seed, 8) {
            let at = 1 + seed.below(exchanges);
            self.strange.extend([(at, Strange::much_later(seed)), (at + 1, Strange::moved())]);
            self.strange.sort_by_key(|(at, _)| *at);
        }
        self.hooks.sort_by_key(|(at, _)| *at);
        self.unique = is_unique && !self.has_equal_tokens();
    }

    /// Waits and jumps of the clock that are longer than the writer's retry timeout. Beside them, nothing happens in
    /// some schedules that takes long: then the retry timeout is short, and may not elapse.
    fn strain(&mut self, seed: &mut Seed) {
        // A token that is shorter than the jump has always ended.
        if self.config.token_life <= Duration::from_secs(60) || !one_in(seed, 3) {
            return;
        }
        let exchanges = u64::from(self.rows) + 12;
        if self.must_succeed() && one_in(seed, 2) {
            self.retry_timeout = Some(seconds(seed, 90, 105));
            (self.faults, self.strange) = (0, Vec::new());
            self.hooks.retain(|(_, hook)| *hook == Hook::Revoke);
            self.config.open_duration = Duration::from_millis(5);
            // One alone, because together they may not be longer than what is excused.
            self.strange.push((1 + seed.below(exchanges), Strange::later(seed)));
        }
        // Each jump makes a node seem to be behind for up to two seconds longer.
        let (from, to) = (*self.config.status_age.start(), *self.config.status_age.end());
        self.config.status_age = from.min(Duration::from_secs(20))..=to.min(Duration::from_secs(20));
        // During a request, each jump counts as much as the request may take.
        let jumps = if self.retry_timeout.is_some() { 1 } else { small(seed, 1, 3) };
        for _ in 0..jumps {
            self.hooks.push((1 + seed.below(exchanges), Hook::Jump(seconds(seed, 3700, 20_000))));
        }
        if one_in(seed, 2) {
            self.hooks.push((3 + seed.below(exchanges), Hook::Discard));
        }
        self.hooks.sort_by_key(|(at, _)| *at);
    }

    /// Whether the offset tokens of one source may stand for the rows of another.
    pub(crate) fn has_equal_tokens(&self) -> bool {
        !self.prefixed && (self.second == Second::Equal || self.hooks.iter().any(|(_, hook)| *hook == Hook::Mimic))
    }

    /// Answers and pipes that did not exist at first.
    fn widen(&mut self, seed: &mut Seed) {
        let exchanges = u64::from(self.rows) + 12;
        if !one_in(seed, 3) {
            self.strange = (0..=seed.below(4)).map(|_| (1 + seed.below(exchanges), Strange::draw(seed))).collect();
        }
        if one_in(seed, 2) {
            // The third would be believed.
            let more = (0..=seed.below(2)).map(|_| (1 + seed.below(exchanges), Strange::to_append(seed)));
            self.strange.extend(more);
        }
        self.strange.sort_by_key(|(at, _)| *at);
        if one_in(seed, 3) {
            self.config.replay = Replay::OutOfOrder;
        }
        if one_in(seed, 2) {
            self.config.superseded = Superseded::Conflict;
        }
        if one_in(seed, 2) {
            self.config.failed_over = FailedOver::Bare;
        }
        if one_in(seed, 5) {
            self.config.error_shape = ErrorShape::StatusCode;
        }
        if self.must_succeed() && one_in(seed, 6) {
            let states = [
                PipeState::Invalid,
                PipeState::Discards,
                PipeState::FileMode,
                PipeState::Missing,
                PipeState::TableMissing,
            ];
            let state = states[usize::try_from(seed.below(5)).expect("small")];
            self.broken = Some(Broken { at: 1 + seed.below(exchanges), state, when_idle: one_in(seed, 3) });
        }
    }

    /// Whether the writer has to end with all rows written.
    pub(crate) fn must_succeed(&self) -> bool {
        let is_replaced = self.hooks.iter().any(|(_, hook)| *hook == Hook::Replace);
        // A late request of a process that has crashed is another client's, too.
        let may_end = !self.prefixed && !self.unique;
        self.second == Second::Nobody && !may_end && !is_replaced && self.broken.is_none()
    }

    pub(crate) fn plan(&self) -> FaultPlan {
        FaultPlan::seeded(self.number)
            .delays(Duration::from_millis(50)..=Duration::from_secs(40))
            .chance(FaultKind::NotSent, 0.04)
            .chance(FaultKind::ReplyLost, 0.06)
            .chance(FaultKind::DelayRequest, 0.03)
            .chance(FaultKind::DelayReply, 0.03)
            .chance(FaultKind::TooManyRequests, 0.03)
            .chance(FaultKind::Unavailable, 0.03)
            .chance(FaultKind::ProxyPage, 0.04)
            .chance(FaultKind::CutOff, 0.03)
            .chance(FaultKind::ShortBody, 0.02)
            .chance(FaultKind::MalformedBody, 0.02)
            .chance(FaultKind::Restart, 0.02)
            .chance(FaultKind::Unauthorized, 0.03)
            .at_most(self.faults)
    }
}

impl Hook {
    fn draw(seed: &mut Seed) -> Self {
        let codes = [
            "ERR_CHANNEL_MUST_BE_REOPENED",
            "ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP",
            "ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER",
            "STALE_PIPE_CACHE",
            "A_CODE_OF_TOMORROW",
        ];
        let code = codes[usize::try_from(seed.below(5)).expect("small")];
        match seed.below(9) {
            0 => Self::FailOver(seconds(seed, 0, 120)),
            1 => Self::Revoke,
            2 | 3 => Self::Invalidate(code),
            4 => Self::Restart(seconds(seed, 0, 20)),
            5 => Self::Misrouted(seconds(seed, 1, 60)),
            6 => Self::OpenIll(code),
            _ => Self::Unowned(seconds(seed, 1, 60)),
        }
    }
}

fn config(seed: &mut Seed) -> Config {
    let shapes = [ErrorShape::Code, ErrorShape::ErrorCode, ErrorShape::Text];
    Config {
        replay: if one_in(seed, 2) { Replay::Accepted } else { Replay::Stale },
        error_shape: shapes[usize::try_from(seed.below(3)).expect("small")],
        json_answers: one_in(seed, 4),
        restart_loses_buffered: one_in(seed, 2),
        token_life: if one_in(seed, 3) { seconds(seed, 5, 60) } else { Duration::from_secs(600) },
        commit_delay: if one_in(seed, 4) {
            Duration::from_millis(100)..=Duration::from_secs(1)
        } else {
            Duration::from_secs(5)..=Duration::from_secs(8)
        },
        status_age: Duration::ZERO..=if one_in(seed, 3) { Duration::from_secs(10) } else { Duration::ZERO },
        open_duration: if one_in(seed, 4) { Duration::from_secs(2) } else { Duration::from_millis(5) },
        appends_per_second: if one_in(seed, 8) { Some(2) } else { None },
        number_columns: vec!["ID".into()],
        seed: seed.next_u64(),
        ..Config::default()
    }
}

pub(crate) fn one_in(seed: &mut Seed, times: u64) -> bool {
    seed.below(times) == 0
}

pub(crate) fn small(seed: &mut Seed, from: u32, to: u32) -> u32 {
    from + u32::try_from(seed.below(u64::from(to - from + 1))).expect("small")
}

fn seconds(seed: &mut Seed, from: u32, to: u32) -> Duration {
    Duration::from_secs(u64::from(small(seed, from, to)))
}

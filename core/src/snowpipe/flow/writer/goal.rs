//! The goal [`OpenWriter`]: the options of a [`Writer`].

use std::collections::VecDeque;
use std::time::Duration;

use super::decide::FaultHistory;
use super::machine::{State, WriterMachine};
use super::replay_buffer::ReplayBuffer;
use super::tokens::Tokens;
use super::{Writer, WriterEvent, WriterMetrics, WriterState};
use crate::error::FlowError;
use crate::flow::{Config, Goal as _, SavedState, StateMachine as _, goal};
use crate::seed::Seed;
use crate::snowpipe::SnowpipeAccount;
#[cfg(doc)]
use crate::snowpipe::flow::ChannelLost;
use crate::snowpipe::flow::elapsed::Elapsed;
use crate::snowpipe::flow::{ChannelPath, Position, StatusBatcher};
use crate::snowpipe::rows::{BatchBuilder, BatchOptions, Cut};
use crate::snowpipe::session::Session;
use crate::snowpipe::tuning::{IDLE_POLL_INTERVAL, MAX_BATCHES, MAX_BUFFERED_BYTES, RETRY_TIMEOUT, STALL_TIMEOUT};
use crate::time::Timestamp;

/// Opens a channel for writing. Starting this goal returns a [`Writer`], which sends the first request when it is
/// polled.
///
/// ```no_run
/// # use pipewright::driver::Runtime;
/// # use pipewright::flow::Notice;
/// # use pipewright::snowpipe::Account;
/// # fn save(_: &pipewright::flow::SavedState) -> std::io::Result<()> { Ok(()) }
/// # fn example(account: &Account<impl Runtime + Clone>, mut lines: impl Iterator<Item = (u64, String)>)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use pipewright::snowpipe::{ChannelPath, OpenSession, PushError, WriterEvent};
/// use pipewright::snowpipe::account::TokenType;
///
/// let ingest = account.open_session(OpenSession::new(TokenType::KeypairJwt))?;
/// let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c");
/// let mut writer = ingest.start_with(ingest.open_writer(path), |notice| match notice {
///     Notice::Persist(saved) => save(&saved),
///     notice => Ok(println!("{notice}")),
/// });
/// let on_event = |event: WriterEvent| match event {
///     // The committed token does not show these rows.
///     WriterEvent::Rejected(rejected) => eprintln!("LOST: {rejected}"),
///     event => println!("{event}"),
/// };
/// let Some(WriterEvent::Opened { committed }) = writer.next()? else { return Err("the first event is Opened".into())
/// };
/// let done: u64 = committed.map_or(Ok(0), |token| token.parse())?;
/// for (number, line) in lines.skip_while(|(number, _)| *number <= done) {
///     loop {
///         match writer.flow_mut().push_line(line.as_bytes(), Some(&number.to_string())) {
///             Ok(()) => break,
///             Err(PushError::Full { .. }) => writer.next()?.into_iter().for_each(on_event),
///             // The writer did not accept the row: to continue would leave it out.
///             Err(rejection) => return Err(rejection.into()),
///         }
///     }
///     // Sends waiting rows, and returns without waiting. With small rows, call it once for some hundred rows.
///     while let Some(event) = writer.next_ready()? {
///         on_event(event);
///     }
/// }
/// writer.flow_mut().close()?;
/// while let Some(event) = writer.next()? {
///     on_event(event);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Offset tokens
///
/// The service stores the last committed token, and never compares tokens. The writer looks the committed token up in
/// the list of tokens that it sent. So **equal tokens must mean equal rows**: if another client of the channel uses the
/// same tokens for other rows, its commit looks like a commit of this writer. Line numbers of two files are such
/// tokens.
///
/// * Give each load a unique name, and set it as [`token_prefix`](Self::token_prefix). A restarted load must use the
///   same prefix. So derive it from the input: the name of a file with its date, the id of an export, the topic and
///   partition. Do not derive it from the process.
/// * If the tokens are already unique, set [`unique_tokens`](Self::unique_tokens) instead.
///
/// Without both, the writer trusts a committed token only until the service rejects an append because another client
/// has opened the channel. The writer then opens the channel again. If the committed token is now a token that the
/// writer sent and had not seen committed, it ends with [`ChannelLost::AmbiguousToken`] and returns the rows. So a
/// takeover by another process usually ends such a writer.
///
/// The writer cannot detect the other client if no append is rejected first. Example: the service restarts and loses
/// buffered rows, the other client commits equal tokens, and the writer polls the status or is resumed by a new
/// process. It then reports these rows as committed. To prevent this, set a prefix, or use unique tokens.
///
/// # Limits
///
/// | limit | default | meaning |
/// |---|---|---|
/// | [`max_batches`](Self::max_batches) | 256 | batches that wait to be committed, sent or not |
/// | [`max_bytes`](Self::max_bytes) | 64 MiB | bytes that wait to be committed, after compression |
/// | [`retry_timeout`](Self::retry_timeout) | 1 h | how long faults may last, without the waits that the service asks for |
/// | [`idle`](Self::idle) | 30 s | how often to poll the channel's status when no rows wait |
/// | [`stall_timeout`](Self::stall_timeout) | 60 s | how long sent rows may stay without a commit before the channel is reopened |
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct OpenWriter {
    pub(super) session: Session,
    pub(super) path: ChannelPath,
    pub(super) position: Option<Position>,
    pub(super) batches: BatchOptions,
    pub(super) max_batches: usize,
    pub(super) max_bytes: u64,
    pub(super) retry_timeout: Duration,
    pub(super) idle: Duration,
    pub(super) stall_timeout: Duration,
    pub(super) must_have_committed: bool,
    pub(super) tokens: Tokens,
    pub(super) batcher: StatusBatcher,
    pub(super) timeout: Option<Duration>,
}

impl OpenWriter {
    /// Creates the goal for a channel. The caller continues after the committed token of [`WriterEvent::Opened`].
    pub fn new(session: &Session, path: ChannelPath) -> Self {
        Self {
            session: session.clone(),
            path,
            position: None,
            batches: BatchOptions::new(),
            max_batches: MAX_BATCHES,
            max_bytes: MAX_BUFFERED_BYTES,
            retry_timeout: RETRY_TIMEOUT,
            idle: IDLE_POLL_INTERVAL,
            stall_timeout: STALL_TIMEOUT,
            must_have_committed: false,
            tokens: Tokens::default(),
            batcher: StatusBatcher::new(),
            timeout: None,
        }
    }

    /// Creates the goal that continues from the last [`Notice::Persist`](crate::flow::Notice::Persist) of another
    /// writer.
    ///
    /// Unlike a writer from [`new`](Self::new), it detects if the channel was dropped, replaced, or written to by
    /// another client in the meantime. It also counts the rows that were rejected since. The token prefix is saved; set
    /// the limits again.
    ///
    /// # Errors
    /// [`Misuse::WrongState`](crate::error::Misuse::WrongState) if the state is not a writer's.
    pub fn resume(session: &Session, saved: &SavedState) -> Result<Self, FlowError> {
        let WriterState { path, position, token_prefix, ignored_token } = saved.read(WriterMachine::NAME)?;
        let tokens = Tokens { prefix: token_prefix, ignored: ignored_token, ..Tokens::default() };
        Ok(Self { position: Some(position), tokens, ..Self::new(session, path) })
    }

    /// Ends the writer in [`FlowError::Failed`] if the channel has no committed token at the first open. Set it if an
    /// earlier load has committed rows: if their token is lost, starting from the first row would duplicate them.
    pub fn must_have_committed(mut self) -> Self {
        self.must_have_committed = true;
        self
    }

    /// Puts a prefix and a `|` in front of each offset token on the wire. The prefix names the load: see
    /// [above](Self#offset-tokens).
    ///
    /// Events, [`Writer::committed`], [`Position`] and [`UnsettledRows`](super::super::UnsettledRows) have the tokens
    /// without the prefix. [`Reconcile`](super::super::Reconcile) and [`AwaitCommitted`](super::super::AwaitCommitted)
    /// do not know the prefix: give them the tokens with it.
    ///
    /// A prefix has 1 to 128 bytes and no `|`. With any other prefix the writer ends with [`FlowError::Build`] at the
    /// first poll.
    ///
    /// If the committed token has another prefix or no prefix, the writer ends: at the first open with
    /// [`ChannelLost::OtherLoad`] (see [`ignore_other_prefixes`](Self::ignore_other_prefixes)), later with
    /// [`ChannelLost::ForeignToken`].
    ///
    /// Do not add or change the prefix of a load that has begun: its committed rows would count as rows of another
    /// load.
    ///
    /// ```
    /// # use pipewright::snowpipe::{ChannelPath, OpenWriter};
    /// # use pipewright::snowpipe::session::Session;
    /// # fn example(session: &Session, path: ChannelPath) -> OpenWriter {
    /// // The rows 1, 2, 3, … of this export have the tokens `orders-2026-11-29|1`, `orders-2026-11-29|2`, …
    /// OpenWriter::new(session, path).token_prefix("orders-2026-11-29")
    /// # }
    /// ```
    pub fn token_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.tokens.prefix = Some(prefix.into());
        self
    }

    /// Accepts a committed token without the [prefix](Self::token_prefix) at the first open, as the token of an earlier
    /// load. The writer then begins with its first row: [`WriterEvent::Opened`] has no token. Another such token later
    /// ends the writer.
    ///
    /// Use it if loads follow each other in one channel, and no other load writes to the channel **until this load is
    /// complete**. The token of another load would hide the progress of this load, and a restart without a saved state
    /// would write rows twice.
    ///
    /// Do not use it to add a prefix to a load that began without a prefix: **the writer would write every committed
    /// row again**. Complete that load without a prefix.
    pub fn ignore_other_prefixes(mut self) -> Self {
        self.tokens.ignores_other_prefixes = true;
        self
    }

    /// Promises that equal offset tokens mean equal rows, also without a [prefix](Self::token_prefix). An example are
    /// the ids of events.
    ///
    /// The writer then trusts a committed token also after the service rejected an append because another client had
    /// opened the channel. So a load continues after a takeover by another process. The promise is not saved: repeat it
    /// after [`resume`](Self::resume). With it, a load can also continue from the state of a writer that ended with
    /// [`ChannelLost::AmbiguousToken`].
    pub fn unique_tokens(mut self) -> Self {
        self.tokens.unique = true;
        self
    }

    /// Sets how [rows](Writer::push) become batches. A batch always ends with a row that has an offset token.
    pub fn batches(mut self, options: BatchOptions) -> Self {
        self.batches = options;
        self
    }

    /// Sets how many batches may wait to be committed; 256 by default.
    pub fn max_batches(mut self, batches: usize) -> Self {
        self.max_batches = batches;
        self
    }

    /// Sets how many bytes may wait to be committed, after compression; 64 MiB by default. The writer always accepts a
    /// single batch.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how long faults may last without a commit before the writer ends with the last fault; 1 h by default. It is
    /// also the time to wait for the commit of buffered rows.
    ///
    /// * A failed request counts from its first attempt. The writer gives it up two attempt timeouts after the retry
    ///   timeout at the latest. Only a request to the account is continued to its end.
    /// * A missing commit counts from the first time that the channel is reopened because of it: see
    ///   [`stall_timeout`](Self::stall_timeout).
    /// * Only the working time of the writer counts. If the clock jumps or the program is suspended, only the time
    ///   until the next poll was due counts.
    /// * A wait that the service asks for (`Retry-After`) does not count, whether the ingest host asks this writer or
    ///   the account asks the writer that renews the session's token. Each wait is limited to
    ///   [`Retry::longest_retry_after`](crate::flow::Retry::longest_retry_after). The waits since the last commit are
    ///   limited in total to the retry timeout or to `longest_retry_after`, whichever is longer; further waits count.
    ///
    /// The address of a host that has never answered is probably wrong. So the writer ends earlier: at once if TLS
    /// fails, after 10 s if no connection can be made, and otherwise after 2 min.
    pub fn retry_timeout(mut self, time: Duration) -> Self {
        self.retry_timeout = time;
        self
    }

    /// Sets how often to poll the channel's status when no rows wait to be committed; 30 s by default. The poll detects
    /// that the channel is lost.
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// Sets how long sent rows may stay without a commit before the writer reopens the channel; 60 s by default. If
    /// another client opens the channel by force, the service discards the buffered rows, and no status shows that.
    pub fn stall_timeout(mut self, time: Duration) -> Self {
        self.stall_timeout = time;
        self
    }

    /// Shares status requests with the other writers of this batcher.
    pub fn sharing(mut self, batcher: &StatusBatcher) -> Self {
        self.batcher = batcher.clone();
        self
    }
}

impl Writer {
    /// Starts a writer that continues from the position of this writer, with the same deadline.
    pub(in crate::snowpipe) fn restart(&mut self, config: &Config<SnowpipeAccount>, seed: Seed) -> Self {
        let (machine, cx) = self.runner.parts_mut();
        let goal = OpenWriter { position: machine.replay.position(), ..machine.goal.clone() };
        goal.start(config, seed).with_deadline(cx.deadline())
    }
}

impl From<OpenWriter> for WriterMachine {
    fn from(mut goal: OpenWriter) -> Self {
        let mut position = goal.position.take();
        if let Some(position) = position.as_mut().filter(|_| goal.tokens.are_unique()) {
            position.rejected = None;
        }
        Self {
            ingest: None,
            token: None,
            builder: BatchBuilder::new(goal.batches.clone().cut(Cut::BehindTokens)),
            replay: ReplayBuffer::new(position),
            registration: goal.batcher.join(&goal.path),
            lease: None,
            channel: None,
            opened: false,
            opened_at: Timestamp::UNIX_EPOCH,
            elapsed: Elapsed::default(),
            began: Duration::ZERO,
            progress_at: Duration::ZERO,
            poll_at: Timestamp::UNIX_EPOCH,
            faults: FaultHistory::default(),
            status: None,
            metrics: WriterMetrics::default(),
            is_sent: false,
            events: VecDeque::new(),
            flush: None,
            closing: false,
            state: State::Start,
            goal,
        }
    }
}

goal!(OpenWriter: SnowpipeAccount => WriterEvent, WriterMachine, events Writer);

//! The goal [`OpenWriter`]: what a [`Writer`] is to be like.

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

/// Opens a channel for writing: what comes of it is a [`Writer`].
///
/// Nothing is sent before the writer is polled. With the client of an account:
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
///     // Nothing else tells of these rows: the committed token passes over them.
///     WriterEvent::Rejected(rejected) => eprintln!("LOST: {rejected}"),
///     event => println!("{event}"),
/// };
/// let Some(WriterEvent::Opened { committed }) = writer.next()? else { return Err("it opens first".into()) };
/// let done: u64 = committed.map_or(Ok(0), |token| token.parse())?;
/// for (number, line) in lines.skip_while(|(number, _)| *number <= done) {
///     loop {
///         match writer.flow_mut().push_line(line.as_bytes(), Some(&number.to_string())) {
///             Ok(()) => break,
///             Err(PushError::Full { .. }) => writer.next()?.into_iter().for_each(on_event),
///             // The row was not taken: to continue would leave it out.
///             Err(rejection) => return Err(rejection.into()),
///         }
///     }
///     // Sends what is to be sent, and does not wait for anything else. Once for some hundred small rows would do.
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
/// The service stores the last committed token and compares nothing. The writer looks the committed token up in the
/// list of tokens that it sent. So **equal tokens must mean equal rows**: if another client of the channel uses the
/// same tokens for other rows, its commit looks like this writer's own. Line numbers of two files are such tokens.
///
/// Give each load a name of its own, and let [`token_prefix`](Self::token_prefix) put it in front of each token; or, if
/// the tokens are unique already, say so with [`unique_tokens`](Self::unique_tokens). A restarted load must use the
/// same prefix, so derive it from the input: the name of a file with its date, the id of an export, the topic and
/// partition. Do not derive it from the process.
///
/// Without either, the writer believes a committed token of its own only until the service rejects an append because
/// another client has opened the channel. The writer then opens the channel again. If a token is committed that it
/// sent, and that it had not seen committed before, it ends with [`ChannelLost::AmbiguousToken`] and hands the rows
/// back. So a takeover by another process usually ends such a writer.
///
/// The writer cannot detect the other client if no append is rejected first. Example: the service restarts and loses
/// buffered rows, the other client commits equal tokens, and the writer polls the status or is resumed by a new
/// process. It then reports these rows as committed. To prevent this, use tokens that no other load uses: set a prefix,
/// or use unique tokens.
///
/// | limit | default | |
/// |---|---|---|
/// | [`max_batches`](Self::max_batches) | 256 | what waits to be committed, sent or not |
/// | [`max_bytes`](Self::max_bytes) | 64 MiB | the same, in bytes as they are sent |
/// | [`retry_timeout`](Self::retry_timeout) | 1 h | how long faults may last, without the waits that the service asks for |
/// | [`idle`](Self::idle) | 30 s | how often to look at the channel when nothing waits |
/// | [`stall_timeout`](Self::stall_timeout) | 60 s | how long nothing may be committed of what was sent |
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
    /// A writer that continues behind what the channel has committed: [`WriterEvent::Opened`] says where that is.
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

    /// A writer that continues from the last [`Notice::Persist`](crate::flow::Notice::Persist) of another writer.
    /// Beyond what [`new`](Self::new) does, it notices when the channel was dropped or replaced in the meantime, or
    /// written to by another client, and it counts the rows that were rejected. The token prefix is saved, limits are
    /// not.
    ///
    /// # Errors
    /// [`Misuse::WrongState`](crate::error::Misuse::WrongState) when the state is not a writer's.
    pub fn resume(session: &Session, saved: &SavedState) -> Result<Self, FlowError> {
        let WriterState { path, position, token_prefix, ignored_token } = saved.read(WriterMachine::NAME)?;
        let tokens = Tokens { prefix: token_prefix, ignored: ignored_token, ..Tokens::default() };
        Ok(Self { position: Some(position), tokens, ..Self::new(session, path) })
    }

    /// Ends in [`FlowError::Failed`] if the channel has no committed token at first. Set it if an earlier load has
    /// committed rows, because starting from the beginning would duplicate them.
    pub fn must_have_committed(mut self) -> Self {
        self.must_have_committed = true;
        self
    }

    /// Puts a prefix and a `|` in front of each offset token on the wire. The prefix names the load: see
    /// [above](Self#offset-tokens).
    ///
    /// The caller keeps its own tokens: events, [`Writer::committed`], positions and remains have them without the
    /// prefix, so that they can be parsed and compared as before. Pipewright's [`Reconcile`](super::super::Reconcile)
    /// and [`AwaitCommitted`](super::super::AwaitCommitted) know nothing about it. A prefix has 1 to 128 bytes and no
    /// `|`; with any other prefix the writer ends with [`FlowError::Build`] when it is polled first.
    ///
    /// If the committed token has another prefix or none, the writer ends: with [`ChannelLost::OtherLoad`] when it
    /// opens the channel for the first time (see [`ignore_other_prefixes`](Self::ignore_other_prefixes)), with
    /// [`ChannelLost::ForeignToken`] later.
    ///
    /// Do not add or change the prefix of a load that is under way: its committed rows would count as those of another
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

    /// Takes a committed token without the [prefix](Self::token_prefix) for that of an earlier load, if it is there
    /// when the writer opens the channel for the first time. The writer then begins with its first row:
    /// [`WriterEvent::Opened`] has no token. Another such token later ends the writer.
    ///
    /// Use it if loads follow each other in one channel. It trusts that no other load writes to the channel **while
    /// this load is not complete**: the other load's token would hide this load's progress, and a restart without a
    /// saved state would write rows twice. For the same reason do not use it to add a prefix to a load that began
    /// without one: **the writer would write every committed row again**. Complete that load as it began.
    pub fn ignore_other_prefixes(mut self) -> Self {
        self.tokens.ignores_other_prefixes = true;
        self
    }

    /// Promises that equal offset tokens mean equal rows, also without a [prefix](Self::token_prefix), such as the ids
    /// of events. The writer then believes a committed token also after an append was rejected because another client
    /// had opened the channel. So a load that another process takes over continues. The promise is not saved: repeat it
    /// after [`resume`](Self::resume). It also lets a load continue from a state that a writer saved before it ended
    /// with [`ChannelLost::AmbiguousToken`].
    pub fn unique_tokens(mut self) -> Self {
        self.tokens.unique = true;
        self
    }

    /// How [rows](Writer::push) become batches. They are always cut behind a row with an offset token.
    pub fn batches(mut self, options: BatchOptions) -> Self {
        self.batches = options;
        self
    }

    /// How many batches may wait to be committed.
    pub fn max_batches(mut self, batches: usize) -> Self {
        self.max_batches = batches;
        self
    }

    /// How many bytes may wait to be committed, as they are sent. A single batch is taken in any case.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long faults may last, without a commit in between, before the writer ends with the last fault; and how long
    /// to wait for the commit of what is buffered. A request that fails counts from its first attempt, and is given up
    /// two timeouts later at the latest; only a question to the account is asked to its end. A commit that does not
    /// come counts from the first time that the channel is opened again for it: see
    /// [`stall_timeout`](Self::stall_timeout).
    ///
    /// Only the time in which the writer is at work counts. If the clock jumps or the program is suspended, the time
    /// until the writer had to be polled counts.
    ///
    /// A wait that the service asks for (`Retry-After`) does not count, whether the ingest host asks this writer for
    /// it, or the account asks the writer that renews the session's token. Each wait is cut to
    /// [`Retry::longest_retry_after`](crate::flow::Retry::longest_retry_after). Since the last commit, waits up to a
    /// total of the retry timeout or of `longest_retry_after`, whichever is longer, do not count; further waits do. So
    /// a service that always asks for a wait ends the writer, too.
    ///
    /// A host that has never answered is probably at a wrong address. The writer ends at once if TLS fails there, after
    /// 10 s if no connection can be made, and otherwise after 2 min.
    pub fn retry_timeout(mut self, time: Duration) -> Self {
        self.retry_timeout = time;
        self
    }

    /// How often to look at the channel when nothing waits to be committed, so that its end is noticed.
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// How long nothing may be committed of what was sent before the channel is opened again. A client that opens it by
    /// force discards what is buffered, and no status shows that: it looks as if the commit were late.
    pub fn stall_timeout(mut self, time: Duration) -> Self {
        self.stall_timeout = time;
        self
    }

    /// Asks for the status of channels together with the other writers of this batcher.
    pub fn sharing(mut self, batcher: &StatusBatcher) -> Self {
        self.batcher = batcher.clone();
        self
    }
}

impl Writer {
    /// Starts a writer that continues where this writer has ended, and has the same deadline.
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

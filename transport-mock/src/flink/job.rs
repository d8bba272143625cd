//! A job: what it is, how far it is, and what it has behind it.
//!
//! Nothing here decides when something happens; that is the business of `lifecycle`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checkpoint_log::CheckpointLog;
use super::errors::Throwable;
use super::program::Program;

/// The states of a job, in the order of their ranks on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum JobState {
    Initializing,
    Created,
    Running,
    Failing,
    Failed,
    Cancelling,
    Canceled,
    Finished,
    Restarting,
    Suspended,
    Reconciling,
}

impl JobState {
    pub(super) const ALL: [Self; 11] = [
        Self::Initializing,
        Self::Created,
        Self::Running,
        Self::Failing,
        Self::Failed,
        Self::Cancelling,
        Self::Canceled,
        Self::Finished,
        Self::Restarting,
        Self::Suspended,
        Self::Reconciling,
    ];

    /// As it is written on the wire; cancelling has two L here.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
            Self::Restarting => "RESTARTING",
            Self::Suspended => "SUSPENDED",
            Self::Reconciling => "RECONCILING",
        }
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

/// The states of a task; canceling has one L here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskState {
    Created,
    Scheduled,
    Deploying,
    Initializing,
    Running,
    Finished,
    Canceling,
    Canceled,
    Failed,
}

impl TaskState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Scheduled => "SCHEDULED",
            Self::Deploying => "DEPLOYING",
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Canceling => "CANCELING",
            Self::Canceled => "CANCELED",
            Self::Failed => "FAILED",
        }
    }
}

/// State that a job can be started from.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) checkpoint: u64,
    pub(super) records: u64,
    pub(super) savepoint: bool,
    pub(super) path: String,
}

/// A failure in a job's history.
#[derive(Debug, Clone)]
pub(super) struct PastFailure {
    pub(super) at: Duration,
    pub(super) cause: Throwable,
    /// The task it happened in, if it did not concern the job as a whole.
    pub(super) task: Option<String>,
    pub(super) concurrent: Vec<PastFailure>,
}

/// A submitted job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) program: Program,
    /// The larger one of [`each`](Self::each): so many slots it takes.
    pub(super) parallelism: u32,
    /// Of the source and of the sink.
    pub(super) each: [u32; 2],
    /// Between what the scheduler may choose each.
    pub(super) bounds: [(u32, u32); 2],
    pub(super) adaptive: bool,
    pub(super) submitted: Duration,
    pub(super) state: JobState,
    /// When each state was entered last.
    pub(super) entered: BTreeMap<JobState, Duration>,
    /// Whether there are tasks at all: not before the job is initialized.
    pub(super) graph: bool,
    pub(super) tasks: TaskState,
    /// When the tasks were deployed.
    pub(super) deployed: Option<Duration>,
    /// Counts the lives of the job, for events of an earlier one concern nobody any more.
    pub(super) epoch: u32,
    pub(super) restarts: u32,
    pub(super) failures: u32,
    pub(super) origin: Option<Snapshot>,
    pub(super) last_checkpoint: Option<Snapshot>,
    pub(super) restored: Option<(Duration, Snapshot)>,
    pub(super) history: Vec<PastFailure>,
    pub(super) root_failure: Option<Throwable>,
    pub(super) checkpoints: CheckpointLog,
    counted: u64,
    counting_since: Option<Duration>,
}

/// How many failures are remembered.
const HISTORY: usize = 16;

impl Job {
    pub(super) fn new(id: String, name: String, program: Program, parallelism: u32, at: Duration) -> Self {
        Self {
            id,
            name,
            program,
            parallelism,
            each: [parallelism; 2],
            bounds: [(1, parallelism); 2],
            adaptive: false,
            submitted: at,
            state: JobState::Initializing,
            entered: BTreeMap::from([(JobState::Initializing, at)]),
            graph: false,
            tasks: TaskState::Created,
            deployed: None,
            epoch: 0,
            restarts: 0,
            failures: 0,
            origin: None,
            last_checkpoint: None,
            restored: None,
            history: Vec::new(),
            root_failure: None,
            checkpoints: CheckpointLog::default(),
            counted: 0,
            counting_since: None,
        }
    }

    pub(super) fn enter(&mut self, state: JobState, at: Duration) {
        self.state = state;
        self.entered.insert(state, at);
    }

    pub(super) fn set_parallelism(&mut self, each: [u32; 2]) {
        self.each = each;
        self.parallelism = each[0].max(each[1]);
    }

    /// All tasks there are.
    pub(super) fn subtasks(&self) -> u32 {
        self.each[0].saturating_add(self.each[1])
    }

    /// When the job ended, if it has.
    pub(super) fn ended(&self) -> Option<Duration> {
        if self.state.has_ended() { self.entered.get(&self.state).copied() } else { None }
    }

    /// The state which the next run starts from.
    pub(super) fn recovery(&self) -> Option<&Snapshot> {
        self.last_checkpoint.as_ref().or(self.origin.as_ref())
    }

    /// Puts the count and the numbering of checkpoints back to where the next run starts from.
    pub(super) fn restore(&mut self, at: Duration) {
        let recovery = self.recovery().cloned();
        self.counting_since = None;
        self.counted = recovery.as_ref().map_or(0, |snapshot| snapshot.records);
        if let Some(snapshot) = recovery {
            self.checkpoints.restored(snapshot.checkpoint);
            self.restored = Some((at, snapshot));
        }
    }

    pub(super) fn is_processing(&self) -> bool {
        self.state == JobState::Running && self.tasks == TaskState::Running
    }

    pub(super) fn start_counting(&mut self, at: Duration) {
        self.counting_since = Some(at);
    }

    pub(super) fn stop_counting(&mut self, at: Duration) {
        self.counted = self.records(at);
        self.counting_since = None;
    }

    /// The count at a time not before the job's last change.
    pub(super) fn records(&self, at: Duration) -> u64 {
        let Some(since) = self.counting_since else {
            return self.counted;
        };
        let nanos = at.saturating_sub(since).as_nanos();
        let read = nanos.saturating_mul(u128::from(self.program.rate)) / 1_000_000_000;
        let count = self.counted.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        self.program.total.map_or(count, |total| count.min(total.max(self.counted)))
    }

    /// How long a run that starts now takes to count up to `record`; `None` if it never gets there or is beyond.
    pub(super) fn time_to(&self, record: u64) -> Option<Duration> {
        let missing = u128::from(record.checked_sub(self.counted)?);
        let rate = u128::from(self.program.rate);
        if missing == 0 {
            return Some(Duration::ZERO);
        }
        if rate == 0 {
            return None;
        }
        let nanos = missing.saturating_mul(1_000_000_000).div_ceil(rate);
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Whether a failure now would be followed by another run.
    pub(super) fn may_restart(&self) -> bool {
        let checkpoints = self.program.checkpoint_interval.is_some();
        let limit = self.program.restarts.unwrap_or(if checkpoints { u32::MAX } else { 0 });
        self.restarts < limit
    }

    pub(super) fn remember(&mut self, failure: PastFailure) {
        self.history.insert(0, failure);
        self.history.truncate(HISTORY);
    }

    /// The name of the first task of the first vertex, as logs and failures have it.
    pub(super) fn first_task(&self) -> String {
        format!("{SOURCE_NAME} (1/{})", self.each[0])
    }
}

/// Every simulated program has the same two vertices; their ids follow from the program, as on a server.
pub(super) const SOURCE_NAME: &str = "Source: numbers -> throttle";
pub(super) const SINK_NAME: &str = "count per key -> Sink: print";
pub(super) const SOURCE_ID: &str = "ca88eee0095684d687a1b6495617f957";
pub(super) const SINK_ID: &str = "b71731f1c0df9c3076c4a455334d0ad6";

//! A job: what it is, how far it is, and what it has behind it.
//!
//! The `JobManager` decides when something happens.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attempt::Attempt;
pub(super) use super::attempt::TaskState;
use super::checkpoint_log::{Ask, Checkpoint, CheckpointLog, Fate, Progress};
use super::errors::Throwable;
use super::operations::{OperationKey, Operations, Outcome, checkpoint_exception};
use super::program::{Failing, Program};
use super::rescale_log::RescaleLog;
use super::schedule::{Due, Step};
use super::storage::Snapshot;

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
    /// The application whose `main` submitted it; without one, the job is an application by itself.
    pub(super) application: Option<String>,
    /// The larger of [`each`](Self::each): so many slots it takes.
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
    /// The tasks of now, and those of earlier runs that the server still knows, oldest first.
    pub(super) attempt: Attempt,
    pub(super) past_attempts: Vec<Attempt>,
    /// When the tasks were deployed.
    pub(super) deployed: Option<Duration>,
    /// Counts the lives of the job, because events of an earlier life have no effect any more.
    pub(super) epoch: u32,
    pub(super) restarts: u32,
    pub(super) failures: u32,
    pub(super) origin: Option<Snapshot>,
    pub(super) last_checkpoint: Option<Snapshot>,
    pub(super) restored: Option<(Duration, Snapshot)>,
    pub(super) history: Vec<PastFailure>,
    pub(super) root_failure: Option<Throwable>,
    pub(super) checkpoints: CheckpointLog,
    pub(super) rescales: RescaleLog,
    counted: u64,
    counting_since: Option<Duration>,
}

/// How many failures and earlier attempts are remembered.
const HISTORY: usize = 16;

impl Job {
    pub(super) fn new(id: String, name: String, program: Program, parallelism: u32, at: Duration) -> Self {
        Self {
            id,
            name,
            program,
            application: None,
            parallelism,
            each: [parallelism; 2],
            bounds: [(1, parallelism); 2],
            adaptive: false,
            submitted: at,
            state: JobState::Initializing,
            entered: BTreeMap::from([(JobState::Initializing, at)]),
            graph: false,
            attempt: Attempt::new(0, [parallelism; 2], at),
            past_attempts: Vec::new(),
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
            rescales: RescaleLog::new(0),
            counted: 0,
            counting_since: None,
        }
    }

    /// The job as another `JobManager` finds it.
    pub(super) fn recovered(&mut self, at: Duration) -> Self {
        let mut fresh = Self::new(self.id.clone(), self.name.clone(), self.program.clone(), self.parallelism, at);
        fresh.application = self.application.take();
        fresh.failures = self.failures;
        fresh.adaptive = self.adaptive;
        fresh.rescales = RescaleLog::new(self.rescales.size);
        fresh.bounds = self.bounds;
        fresh.each = self.each;
        fresh.origin = self.origin.take();
        fresh.last_checkpoint = self.last_checkpoint.take();
        fresh.checkpoints.next_id = self.checkpoints.next_id;
        fresh.restore(at);
        fresh
    }

    /// The id of its application.
    pub(super) fn application_id(&self) -> &str {
        self.application.as_ref().unwrap_or(&self.id)
    }

    /// An event of this job, which does not happen if the job's epoch ends before.
    pub(super) fn due(&self, step: Step) -> Due {
        Due::Job { id: self.id.clone(), epoch: self.epoch, step }
    }

    pub(super) fn enter(&mut self, state: JobState, at: Duration) {
        self.state = state;
        self.entered.insert(state, at);
    }

    /// The tasks start again. The adaptive scheduler makes another graph, which knows no earlier attempt.
    pub(super) fn next_attempt(&mut self, at: Duration) {
        let next = Attempt::new(self.attempt.number + 1, self.each, at);
        let ended = std::mem::replace(&mut self.attempt, next);
        if !self.adaptive {
            self.past_attempts.push(ended);
            let surplus = self.past_attempts.len().saturating_sub(HISTORY);
            self.past_attempts.drain(..surplus);
        }
    }

    /// An attempt by its number, if the server still knows it.
    pub(super) fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.past_attempts.iter().chain([&self.attempt]).find(|attempt| attempt.number == number)
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
        self.state == JobState::Running && self.attempt.state == TaskState::Running
    }

    /// The tasks run from now on. Returns what happens to them by itself, and after how long.
    pub(super) fn run(&mut self, at: Duration) -> [(Option<Duration>, Step); 3] {
        self.attempt.enter(TaskState::Running, at);
        self.counting_since = Some(at);
        let exhausted = self.program.total.and_then(|total| match self.time_to(total) {
            // A run that starts beyond the end has nothing left to read.
            None if self.records(at) > total => Some(Duration::ZERO),
            time => time,
        });
        let fails = match self.program.failure.filter(|_| self.failures < self.program.failures) {
            Some(Failing::AtRecord(record)) => self.time_to(record),
            Some(Failing::After(running)) => Some(running),
            None => None,
        };
        let checkpoints = self.program.checkpoint_interval;
        [(fails, Step::Fails), (exhausted, Step::Exhausted), (checkpoints, Step::CheckpointDue)]
    }

    /// Why no snapshot can be taken now of a job that has not ended.
    pub(super) fn obstacle(&self) -> Option<Throwable> {
        match self.state {
            JobState::Initializing => Some(Throwable::new(
                "org.apache.flink.runtime.dispatcher.UnavailableDispatcherOperationException",
                "Unable to get JobMasterGateway for initializing job. The requested operation is not available while the JobManager is initializing.",
                "org.apache.flink.runtime.dispatcher.Dispatcher.getJobMasterGateway(Dispatcher.java:2440)",
            )),
            _ if self.is_processing() => None,
            _ => Some(checkpoint_exception(&format!(
                "Checkpoint triggering task {} of job {} is not being executed at the moment. Aborting checkpoint. Failure reason: Not all required tasks are currently running.",
                self.first_task(),
                self.id
            ))),
        }
    }

    /// Starts a snapshot, which will end as `fate` says. Returns its number.
    pub(super) fn start_snapshot(
        &mut self,
        ask: &Ask,
        operation: Option<OperationKey>,
        fate: Fate,
        at: Duration,
    ) -> u64 {
        let id = self.checkpoints.next_id;
        self.checkpoints.next_id = id.saturating_add(1);
        self.checkpoints.start(Checkpoint {
            id,
            purpose: ask.purpose,
            native: ask.native,
            triggered: at,
            records: self.records(at),
            target: ask.target.clone(),
            cancel_after: ask.cancel_after,
            operation,
            fate,
            progress: Progress::Pending,
        });
        id
    }

    /// A snapshot fails, and with it the operation that waits for it.
    pub(super) fn fail_snapshot(
        &mut self,
        checkpoint: &Checkpoint,
        at: Duration,
        message: &'static str,
        operations: &mut Operations,
    ) {
        self.checkpoints.fail(checkpoint.id, at, message);
        if let Some(key) = &checkpoint.operation {
            let failure = Throwable::completion(checkpoint_exception(message));
            operations.settle(key, at, Outcome::Failed(failure));
        }
    }

    /// Ends an epoch: the job stops counting, its events are void, and its pending snapshots fail.
    pub(super) fn end_epoch(&mut self, at: Duration, message: &'static str, operations: &mut Operations) {
        self.counted = self.records(at);
        self.counting_since = None;
        self.attempt.records = Some(self.counted);
        self.epoch = self.epoch.wrapping_add(1);
        for checkpoint in self.checkpoints.pending().cloned().collect::<Vec<_>>() {
            self.fail_snapshot(&checkpoint, at, message, operations);
        }
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

    /// Records the failure that ends the job.
    pub(super) fn fail_for_good(&mut self, at: Duration, cause: Throwable, concurrent: Vec<PastFailure>) {
        self.remember(PastFailure { at, cause: cause.clone(), task: None, concurrent });
        self.root_failure = Some(cause);
    }

    pub(super) fn remember(&mut self, failure: PastFailure) {
        self.history.insert(0, failure);
        self.history.truncate(HISTORY);
    }

    /// The name of the first task of the first vertex, as logs have it.
    pub(super) fn first_task(&self) -> String {
        format!("{SOURCE_NAME} (1/{})", self.each[0])
    }

    /// The name of the task that fails when one does.
    pub(super) fn failing_task(&self) -> String {
        format!("{SINK_NAME} (1/{})", self.each[1])
    }

    /// What an attempt has counted by `at`.
    pub(super) fn records_of(&self, attempt: &Attempt, at: Duration) -> u64 {
        attempt.records.unwrap_or_else(|| self.records(at))
    }
}

/// Every simulated program has the same two vertices; their ids follow from the program, as on a server.
pub(super) const SOURCE_NAME: &str = "Source: numbers -> throttle";
pub(super) const SINK_NAME: &str = "count per key -> Sink: print";
pub(super) const SOURCE_ID: &str = "ca88eee0095684d687a1b6495617f957";
pub(super) const SINK_ID: &str = "b71731f1c0df9c3076c4a455334d0ad6";
/// Of both vertices, the source first.
pub(super) const VERTICES: [&str; 2] = [SOURCE_ID, SINK_ID];

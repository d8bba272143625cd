//! What happens to jobs and their snapshots: every change of state is made here.
//!
//! A job goes `INITIALIZING` → `CREATED` → `RUNNING` while its tasks still have to be deployed, and from there to one
//! of its ends or through `RESTARTING` back to `RUNNING`. Whatever ends a life of a job takes its pending snapshots
//! with it, and with those the operations that wait for them.

use std::time::Duration;

use super::checkpoint_log::{Checkpoint, Fate, Progress, Purpose};
use super::errors::Throwable;
use super::job::{Job, JobState, PastFailure, Snapshot, TaskState};
use super::operations::{Ask, OperationKey, Outcome, checkpoint_exception};
use super::program::{Failing, Quirk};
use super::views::{SavepointKind, SavepointView};
use super::world::{Due, Step, World, normalize};

/// How long after a stopped job is `FINISHED` its operation reads as completed: 20 to 100 ms on a server.
const STOP_SETTLES_AFTER: Duration = Duration::from_millis(50);
/// The pause before a failed job's next run.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// From the end of a job's old tasks until the new ones are deployed.
const RESCALE_TAKES: Duration = Duration::from_millis(300);
/// When a snapshot that does not complete is given up.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(600);
/// How soon it shows that a target cannot be written to.
const BAD_TARGET_AFTER: Duration = Duration::from_millis(10);

const SUSPENDING: &str = "Checkpoint Coordinator is suspending.";
const SHUTDOWN: &str = "CheckpointCoordinator shutdown.";
const RESTARTING: &str = "FailoverRegion is restarting.";
const EXPIRED: &str = "Checkpoint expired before completing.";
const IO_PROBLEM: &str = "An Exception occurred while triggering the checkpoint. IO-problem detected.";

impl World {
    pub(super) fn happen(&mut self, at: Duration, due: Due) {
        match due {
            Due::Settles(key, outcome) => self.settle(&key, at, outcome),
            Due::Job { id, epoch, step } => {
                if self.job(&id).is_some_and(|job| job.epoch == epoch) {
                    self.step(&id, step, at);
                }
            }
        }
    }

    fn step(&mut self, id: &str, step: Step, at: Duration) {
        let quarter = self.config.deploy_duration / 4;
        match step {
            Step::Created => {
                if let Some(job) = self.job_mut(id) {
                    job.graph = true;
                    job.enter(JobState::Created, at);
                }
                self.later(id, at.saturating_add(quarter / 2), Step::Scheduled);
            }
            Step::Scheduled => {
                if let Some(job) = self.job_mut(id) {
                    job.enter(JobState::Running, at);
                    job.tasks = TaskState::Scheduled;
                    job.deployed = None;
                }
                self.grant_slots(at);
            }
            Step::Deploying => self.tasks_become(id, TaskState::Deploying, at, Step::Restoring),
            Step::Restoring => self.tasks_become(id, TaskState::Initializing, at, Step::Running),
            Step::Running => self.tasks_run(id, at),
            Step::Exhausted => self.finish(id, at),
            Step::Fails => {
                if let Some(job) = self.job_mut(id) {
                    job.failures += 1;
                }
                self.fail(id, at, told_to_fail(), None);
            }
            Step::Restarts => {
                if let Some(job) = self.job_mut(id) {
                    job.restarts += 1;
                    job.restore(at);
                }
                self.fit(id);
                self.step(id, Step::Scheduled, at);
            }
            Step::Rescales => self.rescale(id, at),
            Step::Rescaled => {
                if let Some(job) = self.job_mut(id) {
                    job.restore(at);
                }
                self.fit(id);
                self.step(id, Step::Scheduled, at);
            }
            Step::Cancelled => self.end(id, JobState::Canceled, TaskState::Canceled, at),
            Step::CheckpointDue => self.checkpoint_due(id, at),
            Step::SnapshotEnds(snapshot) => self.snapshot_ends(id, snapshot, at),
        }
    }

    fn tasks_become(&mut self, id: &str, tasks: TaskState, at: Duration, next: Step) {
        if let Some(job) = self.job_mut(id) {
            job.tasks = tasks;
        }
        self.later(id, at.saturating_add(self.config.deploy_duration / 4), next);
    }

    /// Deploys whatever waits for slots and has them now.
    fn grant_slots(&mut self, at: Duration) {
        let waiting =
            |job: &&Job| job.state == JobState::Running && job.tasks == TaskState::Scheduled && job.deployed.is_none();
        let waiting: Vec<String> = self
            .jobs
            .iter()
            .filter(waiting)
            .filter(|job| !job.program.has(Quirk::NeverRuns))
            .map(|job| job.id.clone())
            .collect();
        for id in waiting.iter().filter(|id| self.has_slots(id)).cloned().collect::<Vec<_>>() {
            if let Some(job) = self.job_mut(&id) {
                job.deployed = Some(at);
            }
            self.later(&id, at.saturating_add(self.config.deploy_duration / 4), Step::Deploying);
        }
    }

    fn tasks_run(&mut self, id: &str, at: Duration) {
        let Some(job) = self.job_mut(id) else {
            return;
        };
        if job.program.has(Quirk::StateIncompatible) && job.recovery().is_some_and(|snapshot| snapshot.savepoint) {
            self.fail(id, at, state_migration(), None);
            return;
        }
        job.tasks = TaskState::Running;
        job.start_counting(at);
        let checkpoints = job.program.checkpoint_interval;
        let exhausted = job.program.total.and_then(|total| match job.time_to(total) {
            // A run that starts beyond the end has nothing left to read.
            None if job.records(at) > total => Some(Duration::ZERO),
            time => time,
        });
        let fails = match job.program.failure.filter(|_| job.failures < job.program.failures) {
            Some(Failing::AtRecord(record)) => job.time_to(record),
            Some(Failing::After(running)) => Some(running),
            None => None,
        };
        for (after, step) in [(fails, Step::Fails), (exhausted, Step::Exhausted), (checkpoints, Step::CheckpointDue)] {
            if let Some(after) = after {
                self.later(id, at.saturating_add(after), step);
            }
        }
    }

    /// Takes the periodic checkpoint, unless the last one is still pending or a stop has put an end to them.
    fn checkpoint_due(&mut self, id: &str, at: Duration) {
        let Some(job) = self.job(id) else {
            return;
        };
        let Some(interval) = job.program.checkpoint_interval else {
            return;
        };
        let busy = job.checkpoints.is_pending(Purpose::Checkpoint) || job.checkpoints.is_pending(Purpose::Stop);
        if !busy {
            let target = format!("file:/checkpoints/{id}");
            let ask = Ask { purpose: Purpose::Checkpoint, target, native: false, cancel_after: false };
            self.snapshot(id, &ask, None, at);
        }
        self.later(id, at.saturating_add(interval), Step::CheckpointDue);
    }

    /// Starts a snapshot of a running job.
    pub(super) fn snapshot(&mut self, id: &str, ask: &Ask, operation: Option<OperationKey>, at: Duration) {
        let writable = self.is_writable(&ask.target);
        let takes = match ask.purpose {
            Purpose::Checkpoint => self.config.checkpoint_duration,
            Purpose::Savepoint | Purpose::Stop => self.config.savepoint_duration,
        };
        let Some(job) = self.job_mut(id) else {
            return;
        };
        let (fate, after) = if !writable {
            (Fate::Fails(IO_PROBLEM), BAD_TARGET_AFTER)
        } else if job.program.has(Quirk::SnapshotsNeverComplete) {
            (Fate::Fails(EXPIRED), CHECKPOINT_TIMEOUT)
        } else if job.program.has(Quirk::SnapshotsFail) {
            (Fate::FailsTask, takes)
        } else {
            (Fate::Completes, takes)
        };
        let second_stop = ask.purpose == Purpose::Stop && job.checkpoints.is_pending(Purpose::Stop);
        let number = job.checkpoints.next_id;
        let records = job.records(at);
        job.checkpoints.next_id = number.saturating_add(1);
        job.checkpoints.start(Checkpoint {
            id: number,
            purpose: ask.purpose,
            native: ask.native,
            triggered: at,
            records,
            target: ask.target.clone(),
            cancel_after: ask.cancel_after,
            operation,
            fate,
            progress: Progress::Pending,
        });
        if second_stop {
            // The tasks cannot be stopped twice, and fail over the second request: neither stop survives.
            self.fail(id, at, two_stops(), Some(SUSPENDING));
        } else {
            self.later(id, at.saturating_add(after), Step::SnapshotEnds(number));
        }
    }

    /// Local directories can be written to except for `/proc`; of the remote ones, only what the cluster's own
    /// savepoints are kept in.
    fn is_writable(&self, target: &str) -> bool {
        let scheme = |path: &str| normalize(path).split_once(':').map(|(scheme, _)| scheme.to_owned());
        let own = self.config.savepoint_directory.as_deref().and_then(scheme);
        match scheme(target) {
            Some(local) if local == "file" => !normalize(target).starts_with("file:/proc/"),
            other => other.is_some() && other == own,
        }
    }

    fn snapshot_ends(&mut self, id: &str, number: u64, at: Duration) {
        let pending = |job: &Job| job.checkpoints.pending().find(|pending| pending.id == number).cloned();
        let Some(checkpoint) = self.job(id).and_then(pending) else {
            return;
        };
        match checkpoint.fate {
            Fate::Completes => self.snapshot_completes(id, checkpoint, at),
            Fate::Fails(message) => self.snapshot_fails(id, &checkpoint, at, message),
            Fate::FailsTask => self.fail(id, at, snapshot_failed(), None),
        }
    }

    fn snapshot_completes(&mut self, id: &str, checkpoint: Checkpoint, at: Duration) {
        let suffix = self.ids.hex12();
        let Some(job) = self.job_mut(id) else {
            return;
        };
        let directory = normalize(&checkpoint.target);
        let path = match checkpoint.purpose {
            Purpose::Checkpoint => format!("{directory}/chk-{}", checkpoint.id),
            Purpose::Savepoint | Purpose::Stop => format!("{directory}/savepoint-{}-{suffix}", &id[..6]),
        };
        // A savepoint holds what was counted when it was triggered. The one of a stop ends the counting, too.
        let records = if checkpoint.purpose == Purpose::Stop { job.records(at) } else { checkpoint.records };
        let savepoint = checkpoint.purpose != Purpose::Checkpoint;
        let fails = checkpoint.purpose == Purpose::Stop && job.program.has(Quirk::FailsWhileStopping);
        let snapshot = Snapshot { checkpoint: checkpoint.id, records, savepoint, path: path.clone() };
        let replaced = job.checkpoints.complete(checkpoint.id, records, at, &path);
        if !savepoint {
            job.last_checkpoint = Some(snapshot.clone());
        }
        self.storage.insert(path.clone(), snapshot);
        if let Some(replaced) = replaced {
            self.storage.remove(&replaced);
        }
        if savepoint {
            self.savepoints.push(SavepointView {
                job: id.to_owned(),
                trigger: checkpoint.operation.as_ref().map(|key| key.trigger.clone()).unwrap_or_default(),
                path: path.clone(),
                records,
                at,
                kind: if checkpoint.purpose == Purpose::Stop { SavepointKind::Stop } else { SavepointKind::Savepoint },
            });
        }
        match (checkpoint.purpose, checkpoint.operation) {
            (Purpose::Checkpoint, Some(key)) => self.settle(&key, at, Outcome::Checkpoint(checkpoint.id)),
            (Purpose::Savepoint, Some(key)) => self.settle(&key, at, Outcome::Location(path.clone())),
            (Purpose::Stop, Some(key)) => {
                let outcome = if fails {
                    Outcome::Failed(Throwable::completion(stopping_failed(id, &path)))
                } else {
                    Outcome::Location(path.clone())
                };
                self.push(at.saturating_add(STOP_SETTLES_AFTER), Due::Settles(key, outcome));
            }
            (_, None) => {}
        }
        if fails {
            self.fail_for_good(id, at, unrecoverable().because(stopping_failed(id, &path)));
        } else if checkpoint.purpose == Purpose::Stop {
            self.finish(id, at);
        } else if checkpoint.cancel_after {
            self.cancel(id, at);
        }
    }

    fn snapshot_fails(&mut self, id: &str, checkpoint: &Checkpoint, at: Duration, message: &'static str) {
        if let Some(job) = self.job_mut(id) {
            job.checkpoints.fail(checkpoint.id, at, message);
        }
        if let Some(key) = &checkpoint.operation {
            let failure = Throwable::completion(checkpoint_exception(message));
            self.settle(key, at, Outcome::Failed(failure));
        }
    }

    /// Ends a life of a job: it counts no further, and none of its snapshots completes any more.
    fn end_epoch(&mut self, id: &str, at: Duration, message: &'static str) {
        let Some(job) = self.job_mut(id) else {
            return;
        };
        job.stop_counting(at);
        job.epoch = job.epoch.wrapping_add(1);
        for checkpoint in job.checkpoints.pending().cloned().collect::<Vec<_>>() {
            self.snapshot_fails(id, &checkpoint, at, message);
        }
    }

    pub(super) fn cancel(&mut self, id: &str, at: Duration) {
        if self.job(id).is_none_or(|job| job.state.has_ended() || job.state == JobState::Cancelling) {
            return;
        }
        self.end_epoch(id, at, SUSPENDING);
        if let Some(job) = self.job_mut(id) {
            job.enter(JobState::Cancelling, at);
            job.tasks = TaskState::Canceling;
        }
        self.later(id, at.saturating_add(self.config.cancel_duration), Step::Cancelled);
    }

    fn finish(&mut self, id: &str, at: Duration) {
        self.end_epoch(id, at, SHUTDOWN);
        self.end(id, JobState::Finished, TaskState::Finished, at);
    }

    /// A task fails, and the job with it: into its next run or for good.
    fn fail(&mut self, id: &str, at: Duration, cause: Throwable, aborts: Option<&'static str>) {
        let Some(job) = self.job(id) else {
            return;
        };
        let again = job.may_restart();
        let task = Some(format!("{} - execution #{}", job.first_task(), job.restarts));
        let failure = PastFailure { at, cause: cause.clone(), task, concurrent: Vec::new() };
        self.end_epoch(id, at, aborts.unwrap_or(if again { RESTARTING } else { SHUTDOWN }));
        let Some(job) = self.job_mut(id) else {
            return;
        };
        if again {
            job.remember(failure);
            job.enter(JobState::Restarting, at);
            job.tasks = TaskState::Canceled;
            self.later(id, at.saturating_add(RESTART_DELAY), Step::Restarts);
            return;
        }
        let root = recovery_suppressed(job.restarts).because(cause);
        job.remember(PastFailure { at, cause: root.clone(), task: None, concurrent: vec![failure] });
        job.root_failure = Some(root);
        job.enter(JobState::Failing, at);
        self.end(id, JobState::Failed, TaskState::Failed, at);
    }

    /// The job fails, and no restart strategy is asked.
    fn fail_for_good(&mut self, id: &str, at: Duration, cause: Throwable) {
        self.end_epoch(id, at, SHUTDOWN);
        let Some(job) = self.job_mut(id) else {
            return;
        };
        job.remember(PastFailure { at, cause: cause.clone(), task: None, concurrent: Vec::new() });
        job.root_failure = Some(cause);
        job.enter(JobState::Failing, at);
        self.end(id, JobState::Failed, TaskState::Failed, at);
    }

    /// Lets a job start anew from its last checkpoint, for other reasons than a failure.
    pub(super) fn restart_job(&mut self, id: &str, at: Duration) {
        self.end_epoch(id, at, RESTARTING);
        if let Some(job) = self.job_mut(id) {
            job.enter(JobState::Restarting, at);
            job.tasks = TaskState::Canceled;
        }
        self.later(id, at.saturating_add(RESCALE_TAKES), Step::Rescaled);
    }

    /// Brings a job to its end: its checkpoints are deleted and its slots are free.
    fn end(&mut self, id: &str, state: JobState, tasks: TaskState, at: Duration) {
        let Some(job) = self.job_mut(id) else {
            return;
        };
        job.enter(state, at);
        job.tasks = tasks;
        let checkpoint = job.last_checkpoint.take();
        if let Some(snapshot) = &checkpoint {
            job.checkpoints.discard(snapshot.checkpoint);
        }
        let job = job.clone();
        self.archive(job);
        if let Some(snapshot) = checkpoint {
            self.storage.remove(&snapshot.path);
        }
        self.grant_slots(at);
    }
}

const TASK: &str =
    "org.apache.flink.streaming.runtime.tasks.StreamTask.lambda$notifyCheckpointAbortAsync$21(StreamTask.java:1576)";

fn told_to_fail() -> Throwable {
    Throwable::new("java.lang.IllegalStateException", "demo: told to fail", "demo.Counting$Bomb.map(Counting.java:47)")
        .because(Throwable::new(
            "java.lang.RuntimeException",
            "inner cause",
            "demo.Counting$Bomb.map(Counting.java:46)",
        ))
}

fn two_stops() -> Throwable {
    Throwable::new("org.apache.flink.util.FlinkRuntimeException", "Stop-with-savepoint failed.", TASK)
}

fn stopping_failed(job: &str, savepoint: &str) -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException",
        format!(
            "A savepoint has been created at: {savepoint}, but the corresponding job {job} failed during stopping. The savepoint is consistent, but might have uncommitted transactions. If you want to commit the transaction please restart a job from this savepoint."
        ),
        "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointTerminationHandlerImpl.terminateExceptionallyWithGlobalFailover(StopWithSavepointTerminationHandlerImpl.java:146)",
    )
}

fn unrecoverable() -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.JobException",
        "The failure is not recoverable",
        "org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(ExecutionFailureHandler.java:163)",
    )
}

fn snapshot_failed() -> Throwable {
    Throwable::new("java.lang.Exception", "Could not perform checkpoint for operator count per key.", TASK).because(
        Throwable::new("java.io.IOException", "demo: snapshot fails", "demo.Counting.snapshotState(Counting.java:81)"),
    )
}

fn state_migration() -> Throwable {
    let frame = "org.apache.flink.streaming.api.operators.StreamTaskStateInitializerImpl.streamOperatorStateContext(StreamTaskStateInitializerImpl.java:299)";
    Throwable::new("java.lang.Exception", "Exception while creating StreamOperatorStateContext.", frame).because(
        Throwable::new(
            "org.apache.flink.util.StateMigrationException",
            "The new state serializer must not be incompatible with the old state serializer.",
            "org.apache.flink.runtime.state.heap.HeapKeyedStateBackend.tryRegisterStateTable(HeapKeyedStateBackend.java:275)",
        ),
    )
}

fn recovery_suppressed(restarts: u32) -> Throwable {
    let strategy = if restarts == 0 {
        "NoRestartBackoffTimeStrategy".to_owned()
    } else {
        let delay = RESTART_DELAY.as_millis();
        format!("FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={restarts}, backoffTimeMS={delay})")
    };
    Throwable::new(
        "org.apache.flink.runtime.JobException",
        format!("Recovery is suppressed by {strategy}"),
        "org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(ExecutionFailureHandler.java:213)",
    )
}

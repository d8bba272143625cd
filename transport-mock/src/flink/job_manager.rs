//! The `JobManager` in charge: it runs the jobs, takes their snapshots and moves the clock.
//!
//! A job goes `INITIALIZING` → `CREATED` → `RUNNING` while its tasks still have to be deployed, and from there to one
//! of its ends or through `RESTARTING` back to `RUNNING`. Whatever ends an epoch of a job fails its pending snapshots,
//! and with those the operations that wait for them.

use std::time::Duration;

use super::attempt::Attempt;
use super::checkpoint_log::{Ask, Checkpoint, Fate, Purpose};
use super::config::Config;
use super::errors::{Throwable, flink_job_not_found};
use super::failures::{
    recovery_suppressed, snapshot_failed, state_migration, stopping_failed, told_to_fail, two_stops, unrecoverable,
};
use super::ids::Ids;
use super::job::{Job, JobState, PastFailure, TaskState};
use super::jobs::Jobs;
use super::operations::{OperationKey, Operations, Outcome};
use super::program::{Program, Quirk};
use super::rescale_log::{Cause, Phase, Reason, RescaleLog};
use super::schedule::{Due, EVENTS_AT_ONCE, Schedule, Step};
use super::storage::{Snapshot, Storage, is_writable, normalize};
use super::views::{SavepointKind, SavepointView};

/// How long after a stopped job is `FINISHED` its operation reads as completed: 20 to 100 ms on a server.
const STOP_SETTLES_AFTER: Duration = Duration::from_millis(50);
/// The pause before a failed job's next run.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// From the end of a job's old tasks until the new tasks are deployed.
const RESCALE_TAKES: Duration = Duration::from_millis(300);
/// When a rescale finds the job busy with something else.
const RESCALE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// When a snapshot that does not complete is given up.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(600);
/// How soon it shows that a target cannot be written to.
const BAD_TARGET_AFTER: Duration = Duration::from_millis(10);

const SUSPENDING: &str = "Checkpoint Coordinator is suspending.";
const SHUTDOWN: &str = "CheckpointCoordinator shutdown.";
const RESTARTING: &str = "FailoverRegion is restarting.";
const EXPIRED: &str = "Checkpoint expired before completing.";
const IO_PROBLEM: &str = "An Exception occurred while triggering the checkpoint. IO-problem detected.";

/// See the module.
#[derive(Debug)]
pub(super) struct JobManager {
    pub(super) config: Config,
    pub(super) ids: Ids,
    pub(super) jobs: Jobs,
    pub(super) operations: Operations,
    pub(super) storage: Storage,
    schedule: Schedule,
}

/// What is submitted.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) program: Program,
    pub(super) application: Option<String>,
    pub(super) parallelism: u32,
    pub(super) origin: Option<Snapshot>,
}

impl JobManager {
    pub(super) fn new(config: Config) -> Self {
        Self {
            ids: Ids::new(config.seed),
            config,
            jobs: Jobs::default(),
            operations: Operations::default(),
            storage: Storage::default(),
            schedule: Schedule::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.schedule.now()
    }

    /// Slots that no job asks for.
    pub(super) fn free_slots(&self) -> u32 {
        self.jobs.free_slots(self.config.slots)
    }

    /// Moves the clock, never back, and lets everything happen that is due by then.
    pub(super) fn advance(&mut self, to: Duration) {
        let to = to.max(self.now());
        for _ in 0..EVENTS_AT_ONCE {
            let Some((at, due)) = self.schedule.next(to) else {
                break;
            };
            match due {
                Due::Settles(key, outcome) => self.operations.settle(&key, at, outcome),
                Due::Job { id, epoch, step } => {
                    if self.jobs.get(&id).is_some_and(|job| job.epoch == epoch) {
                        self.step(&id, step, at);
                    }
                }
            }
        }
        self.schedule.set(to);
        self.operations.expire(to, self.config.result_retention);
        self.jobs.expire(to, self.config.job_expiration);
    }

    fn new_job(&self, submission: Submission, at: Duration) -> Job {
        let mut job = Job::new(submission.id, submission.name, submission.program, submission.parallelism, at);
        job.application = submission.application;
        job.adaptive = self.config.adaptive_scheduler;
        job.rescales = RescaleLog::new(self.config.remembered_rescales());
        job.origin = submission.origin;
        job
    }

    /// Accepts a job.
    pub(super) fn submit(&mut self, submission: Submission) {
        let at = self.now();
        let mut job = self.new_job(submission, at);
        job.restore(at);
        self.schedule.push(at.saturating_add(self.config.deploy_duration / 8), job.due(Step::Created));
        self.jobs.add(job);
    }

    /// Accepts a job that cannot even be initialized: it is there, and it has failed.
    pub(super) fn submit_failed(&mut self, submission: Submission, cause: Throwable) {
        let at = self.now();
        let mut job = self.new_job(submission, at);
        job.rescales.schedule(job.bounds, &mut self.ids, at);
        job.rescales.end(Reason::ExceptionOccurred, None, at);
        job.enter(JobState::Failed, at);
        job.fail_for_good(at, cause, Vec::new());
        self.jobs.archive(job.clone());
        self.jobs.add(job);
    }

    /// Another `JobManager` starts at `up`. With high availability it starts the jobs that had not ended from their
    /// last checkpoint; nothing else is left.
    pub(super) fn restart(&mut self, up: Duration) {
        self.schedule.clear();
        self.operations.clear();
        for id in self.jobs.recover(self.config.high_availability, up) {
            self.fit(&id);
            if let Some(job) = self.jobs.get(&id) {
                self.schedule.push(up.saturating_add(self.config.deploy_duration / 8), job.due(Step::Created));
            }
        }
    }

    /// Ends for good: no job is left, and nothing happens any more.
    pub(super) fn shut_down(&mut self) {
        self.schedule.clear();
        self.operations.clear();
        self.jobs.recover(false, self.now());
    }

    /// Starts an operation, unless there is one of this name; then that operation is meant.
    pub(super) fn trigger(&mut self, key: OperationKey, ask: &Ask) {
        if !self.operations.start(&key) {
            return;
        }
        let at = self.now();
        let obstacle = match self.jobs.get(&key.job).filter(|job| !job.state.has_ended()) {
            Some(job) => job.obstacle(),
            None => Some(flink_job_not_found(&key.job, "getJobMasterGateway(Dispatcher.java:2432)")),
        };
        match obstacle {
            // None of this makes the trigger fail: only the operation does.
            Some(obstacle) => self.operations.settle(&key, at, Outcome::Failed(Throwable::completion(obstacle))),
            None => self.snapshot(&key.job.clone(), ask, Some(key), at),
        }
    }

    /// Gives a job new bounds of its parallelism, which it follows after the scheduler's cool-down.
    pub(super) fn set_bounds(&mut self, id: &str, bounds: [(u32, u32); 2]) {
        let at = self.now();
        let due = at.saturating_add(self.config.rescale_delay);
        if let Some(job) = self.jobs.get_mut(id) {
            if job.graph && job.bounds != bounds {
                job.rescales.begin(Cause::UpdateRequirement, bounds, &mut self.ids, at);
            }
            job.bounds = bounds;
            self.schedule.push(due, job.due(Step::Rescales));
        }
    }

    /// Cancels a job, unless it has ended or is being cancelled.
    pub(super) fn cancel(&mut self, id: &str, at: Duration) {
        let job = self.jobs.get_mut(id);
        let Some(job) = job.filter(|job| !job.state.has_ended() && job.state != JobState::Cancelling) else {
            return;
        };
        job.end_epoch(at, SUSPENDING, &mut self.operations);
        job.rescales.cancel(at);
        job.enter(JobState::Cancelling, at);
        job.attempt.enter(TaskState::Canceling, at);
        self.schedule.push(at.saturating_add(self.config.cancel_duration), job.due(Step::Cancelled));
    }

    fn step(&mut self, id: &str, step: Step, at: Duration) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let quarter = self.config.deploy_duration / 4;
        match step {
            Step::Created => {
                job.graph = true;
                job.attempt = Attempt::new(0, job.each, at);
                job.enter(JobState::Created, at);
                job.rescales.schedule(job.bounds, &mut self.ids, at);
                self.schedule.push(at.saturating_add(quarter / 2), job.due(Step::Scheduled));
            }
            Step::Scheduled => {
                job.enter(JobState::Running, at);
                job.attempt.enter(TaskState::Scheduled, at);
                job.deployed = None;
                self.grant_slots(at);
                if let Some(job) = self.jobs.get_mut(id).filter(|job| job.deployed.is_none()) {
                    job.rescales.enter(Phase::WaitingForResources, at);
                }
            }
            Step::Deploying => {
                job.attempt.enter(TaskState::Deploying, at);
                job.rescales.execute(job.each, at);
                self.schedule.push(at.saturating_add(quarter), job.due(Step::Restoring));
            }
            Step::Restoring => {
                job.attempt.enter(TaskState::Initializing, at);
                self.schedule.push(at.saturating_add(quarter), job.due(Step::Running));
            }
            Step::Running => {
                let restores_savepoint = job.recovery().is_some_and(|snapshot| snapshot.savepoint);
                if restores_savepoint && job.program.has(Quirk::StateIncompatible) {
                    self.fail(id, at, state_migration(), None);
                    return;
                }
                for (after, step) in job.run(at) {
                    if let Some(after) = after {
                        self.schedule.push(at.saturating_add(after), job.due(step));
                    }
                }
            }
            Step::Exhausted => self.finish(id, at),
            Step::Fails => {
                job.failures += 1;
                self.fail(id, at, told_to_fail(), None);
            }
            Step::Restarts | Step::Rescaled => {
                job.restarts += u32::from(matches!(step, Step::Restarts));
                job.restore(at);
                self.fit(id);
                if let Some(job) = self.jobs.get_mut(id) {
                    job.next_attempt(at);
                }
                self.step(id, Step::Scheduled, at);
            }
            Step::Rescales => self.rescale(id, at),
            Step::Cancelled => self.end(id, JobState::Canceled, TaskState::Canceled, at),
            Step::CheckpointDue => self.checkpoint_due(id, at),
            Step::SnapshotEnds(snapshot) => self.snapshot_ends(id, snapshot, at),
        }
    }

    /// Deploys whatever waits for slots and has them now.
    fn grant_slots(&mut self, at: Duration) {
        for id in self.jobs.deployable(self.config.slots) {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.deployed = Some(at);
                job.rescales.enter(Phase::CreatingExecutionGraph, at);
                self.schedule.push(at.saturating_add(self.config.deploy_duration / 4), job.due(Step::Deploying));
            }
        }
    }

    /// Takes the periodic checkpoint, unless the last checkpoint is still pending or a stop has put an end to them.
    fn checkpoint_due(&mut self, id: &str, at: Duration) {
        let Some(job) = self.jobs.get(id) else {
            return;
        };
        let Some(interval) = job.program.checkpoint_interval else {
            return;
        };
        let busy = job.checkpoints.is_pending(Purpose::Checkpoint) || job.checkpoints.is_pending(Purpose::Stop);
        if !busy {
            self.snapshot(id, &Ask::checkpoint(id), None, at);
        }
        if let Some(job) = self.jobs.get(id) {
            self.schedule.push(at.saturating_add(interval), job.due(Step::CheckpointDue));
        }
    }

    /// Starts a snapshot of a running job.
    fn snapshot(&mut self, id: &str, ask: &Ask, operation: Option<OperationKey>, at: Duration) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let takes = match ask.purpose {
            Purpose::Checkpoint => self.config.checkpoint_duration,
            Purpose::Savepoint | Purpose::Stop => self.config.savepoint_duration,
        };
        let (fate, after) = if !is_writable(&ask.target, self.config.savepoint_directory.as_deref()) {
            (Fate::Fails(IO_PROBLEM), BAD_TARGET_AFTER)
        } else if job.program.has(Quirk::SnapshotsNeverComplete) {
            (Fate::Fails(EXPIRED), CHECKPOINT_TIMEOUT)
        } else if job.program.has(Quirk::SnapshotsFail) {
            (Fate::FailsTask, takes)
        } else {
            (Fate::Completes, takes)
        };
        let second_stop = ask.purpose == Purpose::Stop && job.checkpoints.is_pending(Purpose::Stop);
        let number = job.start_snapshot(ask, operation, fate, at);
        if ask.purpose == Purpose::Stop {
            job.rescales.enter(Phase::StopWithSavepoint, at);
        }
        if second_stop {
            // The tasks cannot be stopped twice, and fail over the second request: neither stop survives.
            self.fail(id, at, two_stops(), Some(SUSPENDING));
        } else {
            self.schedule.push(at.saturating_add(after), job.due(Step::SnapshotEnds(number)));
        }
    }

    fn snapshot_ends(&mut self, id: &str, number: u64, at: Duration) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let Some(checkpoint) = job.checkpoints.pending().find(|pending| pending.id == number).cloned() else {
            return;
        };
        match checkpoint.fate {
            Fate::Completes => self.snapshot_completes(id, checkpoint, at),
            Fate::Fails(message) => {
                job.fail_snapshot(&checkpoint, at, message, &mut self.operations);
                if checkpoint.purpose == Purpose::Stop {
                    job.rescales.enter(Phase::Executing, at);
                    self.schedule.push(at.saturating_add(self.config.rescale_delay), job.due(Step::Rescales));
                }
            }
            Fate::FailsTask => self.fail(id, at, snapshot_failed(), None),
        }
    }

    fn snapshot_completes(&mut self, id: &str, checkpoint: Checkpoint, at: Duration) {
        let suffix = self.ids.hex12();
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let is_stop = checkpoint.purpose == Purpose::Stop;
        let directory = normalize(&checkpoint.target);
        let path = match checkpoint.purpose {
            Purpose::Checkpoint => format!("{directory}/chk-{}", checkpoint.id),
            Purpose::Savepoint | Purpose::Stop => format!("{directory}/savepoint-{}-{suffix}", &id[..6]),
        };
        // A savepoint holds what was counted when it was triggered. The savepoint of a stop ends the counting, too.
        let records = if is_stop { job.records(at) } else { checkpoint.records };
        let savepoint = checkpoint.purpose != Purpose::Checkpoint;
        let fails = is_stop && job.program.has(Quirk::FailsWhileStopping);
        let snapshot = Snapshot { checkpoint: checkpoint.id, records, savepoint, path: path.clone() };
        let replaced = job.checkpoints.complete(checkpoint.id, records, at, &path);
        if !savepoint {
            job.last_checkpoint = Some(snapshot.clone());
        }
        self.storage.insert(snapshot);
        if let Some(replaced) = replaced {
            self.storage.remove(&replaced);
        }
        if savepoint {
            self.storage.savepoints.push(SavepointView {
                job: id.to_owned(),
                trigger: checkpoint.operation.as_ref().map(|key| key.trigger.clone()).unwrap_or_default(),
                path: path.clone(),
                records,
                at,
                kind: if is_stop { SavepointKind::Stop } else { SavepointKind::Savepoint },
            });
        }
        if let Some(key) = checkpoint.operation {
            let outcome = match checkpoint.purpose {
                Purpose::Checkpoint => Outcome::Checkpoint(checkpoint.id),
                _ if fails => Outcome::Failed(Throwable::completion(stopping_failed(id, &path))),
                _ => Outcome::Location(path.clone()),
            };
            if is_stop {
                self.schedule.push(at.saturating_add(STOP_SETTLES_AFTER), Due::Settles(key, outcome));
            } else {
                self.operations.settle(&key, at, outcome);
            }
        }
        if fails {
            // No restart strategy is asked.
            job.end_epoch(at, SHUTDOWN, &mut self.operations);
            job.fail_for_good(at, unrecoverable().because(stopping_failed(id, &path)), Vec::new());
            job.enter(JobState::Failing, at);
            self.end(id, JobState::Failed, TaskState::Failed, at);
        } else if is_stop {
            self.finish(id, at);
        } else if checkpoint.cancel_after {
            self.cancel(id, at);
        }
    }

    fn finish(&mut self, id: &str, at: Duration) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.end_epoch(at, SHUTDOWN, &mut self.operations);
        }
        self.end(id, JobState::Finished, TaskState::Finished, at);
    }

    /// A task fails, and the job with it: into its next run or for good.
    fn fail(&mut self, id: &str, at: Duration, cause: Throwable, aborts: Option<&'static str>) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let again = job.may_restart();
        // The adaptive scheduler does not say which task it was.
        let task = (!job.adaptive).then(|| format!("{} - execution #{}", job.failing_task(), job.attempt.number));
        let failure = PastFailure { at, cause: cause.clone(), task, concurrent: Vec::new() };
        job.end_epoch(at, aborts.unwrap_or(if again { RESTARTING } else { SHUTDOWN }), &mut self.operations);
        if again {
            job.remember(failure);
            job.rescales.begin(Cause::RecoverableFailover, job.bounds, &mut self.ids, at);
            job.rescales.enter(Phase::Restarting, at);
            job.enter(JobState::Restarting, at);
            job.attempt.enter(TaskState::Failed, at);
            self.schedule.push(at.saturating_add(RESTART_DELAY), job.due(Step::Restarts));
            return;
        }
        let root = recovery_suppressed(job.restarts, RESTART_DELAY).because(cause);
        if job.adaptive {
            job.remember(failure);
            job.root_failure = Some(root);
        } else {
            job.fail_for_good(at, root, vec![failure]);
        }
        job.enter(JobState::Failing, at);
        self.end(id, JobState::Failed, TaskState::Failed, at);
    }

    /// Gives a job that starts again the parallelism that its bounds allow.
    fn fit(&mut self, id: &str) {
        if self.config.adaptive_scheduler
            && let Some(each) = self.jobs.get(id).map(|job| self.jobs.fitting(job, self.config.slots))
            && let Some(job) = self.jobs.get_mut(id)
        {
            job.set_parallelism(each);
        }
    }

    /// The cool-down is over: the job restarts from its last checkpoint if its parallelism changes.
    fn rescale(&mut self, id: &str, at: Duration) {
        let Some(each) = self.jobs.get(id).map(|job| self.jobs.fitting(job, self.config.slots)) else {
            return;
        };
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        if job.each == each {
            job.rescales.change_nothing(self.config.rescale_delay, at);
            return;
        }
        if !job.is_processing() {
            self.schedule.push(at.saturating_add(RESCALE_AGAIN_AFTER), job.due(Step::Rescales));
            return;
        }
        job.end_epoch(at, RESTARTING, &mut self.operations);
        job.rescales.begin(Cause::NewResourceAvailable, job.bounds, &mut self.ids, at);
        job.rescales.enter(Phase::Restarting, at);
        job.enter(JobState::Restarting, at);
        job.attempt.enter(TaskState::Canceled, at);
        self.schedule.push(at.saturating_add(RESCALE_TAKES), job.due(Step::Rescaled));
    }

    /// Brings a job to its end: its checkpoints are deleted and its slots are free.
    fn end(&mut self, id: &str, state: JobState, tasks: TaskState, at: Duration) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let reason = if state == JobState::Failed { Reason::JobFailed } else { Reason::JobFinished };
        job.rescales.end(reason, job.root_failure.as_ref().map(Throwable::stack_trace), at);
        job.enter(state, at);
        job.attempt.enter(tasks, at);
        if let Some(snapshot) = job.last_checkpoint.take() {
            job.checkpoints.discard(snapshot.checkpoint);
            self.storage.remove(&snapshot.path);
        }
        let ended = job.clone();
        self.jobs.archive(ended);
        self.grant_slots(at);
    }
}

//! The cluster behind the REST API: its jobs, its operations, its storage and its clock.
//!
//! Time comes from outside and is only ever moved by [`World::advance`], which lets everything that is due by then
//! happen in the order of its time. What happens is in `lifecycle`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Config;
use super::errors::Throwable;
use super::ids::Ids;
use super::job::{Job, JobState, PastFailure, Snapshot};
use super::operations::{Operation, OperationKey, Outcome};
use super::profiler::Profile;
use super::program::Program;
use super::removal::{Removed, Removes};
use super::views::SavepointView;

/// Something that happens at a time.
#[derive(Debug)]
pub(super) enum Due {
    /// To a job, unless its epoch is over.
    Job { id: String, epoch: u32, step: Step },
    /// To an operation that reads as completed later than it was.
    Settles(OperationKey, Outcome),
}

/// What happens to a job by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Created,
    Scheduled,
    Deploying,
    Restoring,
    Running,
    Exhausted,
    Fails,
    Restarts,
    Cancelled,
    Rescales,
    Rescaled,
    CheckpointDue,
    SnapshotEnds(u64),
}

/// How many events one call works off. More than any test has, and a bound for a clock that jumps by years; what
/// is left over is done by the calls to come.
const EVENTS_AT_ONCE: usize = 100_000;

/// How many jobs are archived at the most.
const ARCHIVED: usize = 1000;

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) ids: Ids,
    /// In the order of submission.
    pub(super) jobs: Vec<Job>,
    /// Ids that were submitted since the `JobManager` started: none of them can be used again.
    pub(super) used_ids: BTreeSet<String>,
    pub(super) operations: BTreeMap<OperationKey, Operation>,
    /// The storage, by normalized path. It is no part of the `JobManager` and survives it.
    pub(super) storage: BTreeMap<String, Snapshot>,
    pub(super) savepoints: Vec<SavepointView>,
    /// Jobs as they were when they ended, oldest first: files, too.
    pub(super) archive: VecDeque<Job>,
    pub(super) removals: BTreeMap<(Removes, String), Removed>,
    /// Cluster data sets, by their ids. They are on the TaskManagers, which live on.
    pub(super) datasets: Vec<String>,
    /// By process, newest first.
    pub(super) profiles: BTreeMap<String, Vec<Profile>>,
    /// When samples for a flame graph were asked for last, by job and vertex.
    pub(super) samples: BTreeMap<(String, String), Duration>,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Due>,
    queued: u64,
}

/// What is submitted.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) program: Program,
    pub(super) parallelism: u32,
    pub(super) origin: Option<Snapshot>,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        Self {
            ids: Ids::new(config.seed),
            config,
            jobs: Vec::new(),
            used_ids: BTreeSet::new(),
            operations: BTreeMap::new(),
            storage: BTreeMap::new(),
            savepoints: Vec::new(),
            archive: VecDeque::new(),
            removals: BTreeMap::new(),
            datasets: Vec::new(),
            samples: BTreeMap::new(),
            profiles: BTreeMap::new(),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            queued: 0,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Moves the clock, never back.
    pub(super) fn advance(&mut self, to: Duration) {
        let to = to.max(self.now);
        for _ in 0..EVENTS_AT_ONCE {
            let Some(first) = self.queue.first_entry() else {
                break;
            };
            if first.key().0 > to {
                break;
            }
            let ((at, _), due) = first.remove_entry();
            self.now = self.now.max(at);
            self.happen(at, due);
        }
        self.now = to;
        let retention = self.config.result_retention;
        self.operations
            .retain(|_, operation| operation.outcome.as_ref().is_none_or(|(at, _)| at.saturating_add(retention) > to));
        self.removals.retain(|_, removed| removed.over.saturating_add(retention) > to);
        let expiration = self.config.job_expiration;
        self.jobs.retain(|job| job.ended().is_none_or(|at| at.saturating_add(expiration) > to));
    }

    pub(super) fn push(&mut self, at: Duration, due: Due) {
        self.queued += 1;
        self.queue.insert((at, self.queued), due);
    }

    /// Lets something happen to a job later, if it is still in the same life then.
    pub(super) fn later(&mut self, id: &str, at: Duration, step: Step) {
        if let Some(job) = self.job(id) {
            let due = Due::Job { id: job.id.clone(), epoch: job.epoch, step };
            self.push(at, due);
        }
    }

    pub(super) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    pub(super) fn job_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// Accepts a job.
    pub(super) fn submit(&mut self, submission: Submission) {
        let at = self.now;
        let id = submission.id.clone();
        let mut job = Job::new(submission.id, submission.name, submission.program, submission.parallelism, at);
        job.adaptive = self.config.adaptive_scheduler;
        job.origin = submission.origin;
        job.restore(at);
        self.used_ids.insert(id.clone());
        self.jobs.push(job);
        self.later(&id, at.saturating_add(self.config.deploy_duration / 8), Step::Created);
    }

    /// Accepts a job that cannot even be initialized: it is there, and it has failed.
    pub(super) fn submit_failed(&mut self, submission: Submission, cause: Throwable) {
        let at = self.now;
        let mut job = Job::new(submission.id.clone(), submission.name, submission.program, submission.parallelism, at);
        job.enter(JobState::Failed, at);
        job.remember(PastFailure { at, cause: cause.clone(), task: None, concurrent: Vec::new() });
        job.root_failure = Some(cause);
        self.used_ids.insert(submission.id);
        self.archive(job.clone());
        self.jobs.push(job);
    }

    /// Keeps a job that has ended, for the HistoryServer.
    pub(super) fn archive(&mut self, job: Job) {
        self.archive.push_back(job);
        if self.archive.len() > ARCHIVED {
            self.archive.pop_front();
        }
    }

    /// The state at a path, however the path is written.
    pub(super) fn stored(&self, path: &str) -> Option<&Snapshot> {
        self.storage.get(&normalize(path))
    }

    /// The `JobManager` is gone and another one starts at `up`. With high availability it finds the jobs that had not
    /// ended and starts them from their last checkpoint; nothing else is left.
    pub(super) fn restart(&mut self, up: Duration) {
        self.queue.clear();
        self.operations.clear();
        self.removals.clear();
        self.samples.clear();
        self.profiles.remove("JobManager");
        self.used_ids.clear();
        let kept = self.config.high_availability;
        self.jobs.retain(|job| kept && !job.state.has_ended());
        let recovered: Vec<String> = self.jobs.iter().map(|job| job.id.clone()).collect();
        for job in &mut self.jobs {
            let mut fresh = Job::new(job.id.clone(), job.name.clone(), job.program.clone(), job.parallelism, up);
            fresh.failures = job.failures;
            fresh.adaptive = job.adaptive;
            fresh.bounds = job.bounds;
            fresh.each = job.each;
            fresh.origin = job.origin.take();
            fresh.last_checkpoint = job.last_checkpoint.take();
            fresh.checkpoints.next_id = job.checkpoints.next_id;
            fresh.restore(up);
            *job = fresh;
        }
        for id in recovered {
            self.fit(&id);
            self.later(&id, up.saturating_add(self.config.deploy_duration / 8), Step::Created);
            self.used_ids.insert(id);
        }
    }

    /// Slots nobody asked for.
    pub(super) fn free_slots(&self) -> u32 {
        let wanted = self.jobs.iter().filter(|job| wants_slots(job)).map(|job| job.parallelism);
        wanted.fold(self.config.slots, u32::saturating_sub)
    }

    /// Whether a job has its slots: they are given in the order of submission.
    pub(super) fn has_slots(&self, id: &str) -> bool {
        let mut left = self.config.slots;
        for job in self.jobs.iter().filter(|job| wants_slots(job)) {
            let enough = left >= job.parallelism;
            left = left.saturating_sub(job.parallelism);
            if job.id == id {
                return enough;
            }
        }
        false
    }
}

fn wants_slots(job: &Job) -> bool {
    job.graph && !job.state.has_ended()
}

/// A path as the server writes it: `file:///a`, `file:/a` and `/a` are the same place.
pub(super) fn normalize(path: &str) -> String {
    let path = path.trim_end_matches('/');
    match path.strip_prefix("file:") {
        None if !path.starts_with('/') => path.to_owned(),
        local => format!("file:/{}", local.unwrap_or(path).trim_start_matches('/')),
    }
}

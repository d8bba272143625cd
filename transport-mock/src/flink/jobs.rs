//! All jobs that the `JobManager` knows, and the slots that they share.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::job::{Job, JobState, TaskState};
use super::program::Quirk;

/// How many jobs are archived at the most.
const ARCHIVED: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// In the order of submission.
    known: Vec<Job>,
    /// Ids that were submitted since the `JobManager` started: none of them can be used again.
    used_ids: BTreeSet<String>,
    /// Jobs as they were when they ended, oldest first: files, which survive the `JobManager`.
    archive: VecDeque<Job>,
}

impl Jobs {
    /// In the order of submission.
    pub(super) fn all(&self) -> &[Job] {
        &self.known
    }

    pub(super) fn get(&self, id: &str) -> Option<&Job> {
        self.known.iter().find(|job| job.id == id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.known.iter_mut().find(|job| job.id == id)
    }

    pub(super) fn is_used(&self, id: &str) -> bool {
        self.used_ids.contains(id)
    }

    pub(super) fn add(&mut self, job: Job) {
        self.used_ids.insert(job.id.clone());
        self.known.push(job);
    }

    /// Adds a job of another cluster's archive, whose id is not used here.
    pub(super) fn add_archived(&mut self, job: Job) {
        self.known.push(job);
    }

    /// Keeps a job that has ended, for the HistoryServer.
    pub(super) fn archive(&mut self, job: Job) {
        self.archive.push_back(job);
        if self.archive.len() > ARCHIVED {
            self.archive.pop_front();
        }
    }

    pub(super) fn archived(&self) -> impl Iterator<Item = &Job> {
        self.archive.iter()
    }

    /// Forgets the jobs that ended longer ago than `expiration`.
    pub(super) fn expire(&mut self, now: Duration, expiration: Duration) {
        self.known.retain(|job| job.ended().is_none_or(|at| at.saturating_add(expiration) > now));
    }

    /// Another `JobManager` starts at `up`: with high availability it finds the jobs that had not ended, each as
    /// before its first run; without, it finds no job. Returns the ids of the jobs.
    pub(super) fn recover(&mut self, high_availability: bool, up: Duration) -> Vec<String> {
        self.known.retain(|job| high_availability && !job.state.has_ended());
        for job in &mut self.known {
            *job = job.recovered(up);
        }
        let ids: Vec<String> = self.known.iter().map(|job| job.id.clone()).collect();
        self.used_ids = ids.iter().cloned().collect();
        ids
    }

    /// Of all `slots`, those that no job asks for.
    pub(super) fn free_slots(&self, slots: u32) -> u32 {
        self.wanting_slots().map(|job| job.parallelism).fold(slots, u32::saturating_sub)
    }

    /// The ids of the jobs that wait for slots and have them now: slots are given in the order of submission.
    pub(super) fn deployable(&self, slots: u32) -> Vec<String> {
        let mut left = slots;
        let granted = self.wanting_slots().filter(|job| {
            let is_enough = left >= job.parallelism;
            left = left.saturating_sub(job.parallelism);
            is_enough
        });
        let waiting = granted.filter(|job| {
            let is_scheduled = job.state == JobState::Running && job.attempt.state == TaskState::Scheduled;
            is_scheduled && job.deployed.is_none() && !job.program.has(Quirk::NeverRuns)
        });
        waiting.map(|job| job.id.clone()).collect()
    }

    /// The parallelism that follows from a job's bounds and the slots now, for its source and its sink.
    pub(super) fn fitting(&self, job: &Job, slots: u32) -> [u32; 2] {
        let free = self.free_slots(slots).saturating_add(job.parallelism);
        job.bounds.map(|(lower, upper)| upper.min(free).max(lower))
    }

    fn wanting_slots(&self) -> impl Iterator<Item = &Job> {
        self.known.iter().filter(|job| job.graph && !job.state.has_ended())
    }
}

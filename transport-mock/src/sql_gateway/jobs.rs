//! The jobs that statements have started on the cluster.

use std::time::Duration;

/// A job, as `SHOW JOBS` lists it.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: &'static str,
    pub(super) started: Duration,
}

/// The jobs of all sessions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Jobs(Vec<Job>);

impl Jobs {
    pub(super) fn start(&mut self, id: &str, name: &str, now: Duration, status: &'static str) {
        self.0.push(Job { id: id.to_owned(), name: name.to_owned(), status, started: now });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter()
    }

    pub(super) fn find(&self, id: &str) -> Option<&Job> {
        self.0.iter().find(|job| job.id == id)
    }

    /// Ends a job unless it has ended.
    pub(super) fn end(&mut self, id: &str, status: &'static str) {
        if let Some(job) = self.0.iter_mut().find(|job| job.id == id && job.status == "RUNNING") {
            job.status = status;
        }
    }
}

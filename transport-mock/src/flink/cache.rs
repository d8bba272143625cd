//! The caches of execution graphs and of checkpoint statistics: jobs as they were when a request last read them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::errors::Rejection;
use super::job::Job;
use super::job_manager::JobManager;
use super::jobs::Jobs;

/// Jobs by id, each with the time it is of.
#[derive(Debug)]
pub(super) struct Cache {
    keeps: Duration,
    jobs: BTreeMap<String, (Duration, Job)>,
}

impl Cache {
    pub(super) fn new(keeps: Duration) -> Self {
        Self { keeps, jobs: BTreeMap::new() }
    }

    pub(super) fn clear(&mut self) {
        self.jobs.clear();
    }

    /// The cache as a request reads it now.
    pub(super) fn at<'a>(&'a mut self, manager: &'a JobManager) -> Lookup<'a> {
        Lookup { now: manager.now(), cache: self, jobs: &manager.jobs }
    }
}

/// Finds one job by way of a [`Cache`].
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    /// The time of the request.
    pub(super) now: Duration,
    cache: &'a mut Cache,
    jobs: &'a Jobs,
}

impl<'a> Lookup<'a> {
    /// Returns a job, which may be as old as the cache allows, and the time it is of.
    pub(super) fn find(self, id: &str) -> Result<(Duration, &'a Job), Rejection> {
        let Self { now, cache, jobs } = self;
        cache.jobs.retain(|_, (at, _)| at.saturating_add(cache.keeps) > now);
        if !cache.jobs.contains_key(id)
            && let Some(job) = jobs.get(id)
        {
            cache.jobs.insert(id.to_owned(), (now, job.clone()));
        }
        let found = cache.jobs.get(id).ok_or_else(|| Rejection::job_not_found(id))?;
        Ok((found.0, &found.1))
    }
}

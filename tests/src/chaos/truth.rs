//! The state of the cluster, read without the proxy, and the savepoints on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pipewright::flink::checkpoints::GetCheckpoints;
use pipewright::flink::jobs::{GetJobAccumulators, GetJobsOverview, JobState, JobSummary};
use pipewright::flink::{Cancel, Flink, JobId};
use pipewright_ureq::Ureq;

/// The cluster without a proxy.
#[derive(Debug)]
pub struct Truth {
    flink: Flink<Ureq>,
    /// The folder that holds a folder of savepoints for each goal.
    savepoints: PathBuf,
    /// The most live jobs that were seen at once, by the prefix of their names.
    most: Mutex<BTreeMap<String, BTreeSet<JobId>>>,
}

impl Truth {
    /// A cluster whose savepoints go below this folder.
    pub fn new(flink: Flink<Ureq>, savepoints: impl Into<PathBuf>) -> Self {
        Self { flink, savepoints: savepoints.into(), most: Mutex::default() }
    }

    /// Returns the client.
    pub fn flink(&self) -> &Flink<Ureq> {
        &self.flink
    }

    /// Returns the jobs whose name begins with this prefix; `None` if the cluster does not answer.
    pub fn jobs(&self, prefix: &str) -> Option<Vec<JobSummary>> {
        let jobs = self.flink.call(GetJobsOverview::new()).ok()?.jobs;
        Some(jobs.into_iter().filter(|job| job.name.as_ref().is_some_and(|name| name.starts_with(prefix))).collect())
    }

    /// Returns those of these jobs that have not ended.
    pub fn live(&self, prefix: &str) -> Option<Vec<JobSummary>> {
        Some(self.jobs(prefix)?.into_iter().filter(|job| !job.state.is_terminal()).collect())
    }

    /// Returns what a job was restored from.
    pub fn restored(&self, job: JobId) -> Option<String> {
        // The answer is cached by the cluster for a moment.
        eventually(Duration::from_secs(6), || {
            self.flink.call(GetCheckpoints::new(job)).ok()?.latest.restored?.external_path
        })
    }

    /// Returns the path of the newest savepoint of a job, once it is the expected savepoint; otherwise what is known
    /// after some seconds.
    pub fn newest_savepoint(&self, job: JobId, expected: &str) -> Option<String> {
        let newest = || self.flink.call(GetCheckpoints::new(job)).ok()?.latest.savepoint?.external_path;
        // The answer is cached by the cluster for a moment.
        eventually(Duration::from_secs(6), || newest().filter(|path| path == expected)).or_else(newest)
    }

    /// Returns the highest number of a checkpoint of a job that was completed.
    pub fn newest_checkpoint(&self, job: JobId, at_least: i64) -> Option<i64> {
        eventually(Duration::from_secs(6), || {
            let latest = self.flink.call(GetCheckpoints::new(job)).ok()?.latest;
            let completed = [latest.completed, latest.savepoint].into_iter().flatten().map(|one| one.id).max();
            completed.filter(|id| *id >= at_least)
        })
    }

    /// Returns what a job has counted, its restored state included, once it has counted something.
    pub fn counted(&self, job: JobId) -> Option<i64> {
        eventually(Duration::from_secs(10), || Some(self.counts(job)?.0).filter(|counted| *counted > 0))
    }

    /// Returns how much of a job's count was restored, once it is at least so much; otherwise what is known after some
    /// seconds.
    pub fn restored_count(&self, job: JobId, at_least: i64) -> Option<i64> {
        let restored = || self.counts(job).map(|(counted, events)| counted.saturating_sub(events));
        eventually(Duration::from_secs(10), || restored().filter(|restored| *restored >= at_least)).or_else(restored)
    }

    /// What a job has counted, and how much of it since it was started.
    fn counts(&self, job: JobId) -> Option<(i64, i64)> {
        let tasks = self.flink.call(GetJobAccumulators::new(job)).ok()?.tasks;
        let value = |name: &str| tasks.iter().find(|one| one.name == name)?.value.as_ref()?.parse::<i64>().ok();
        Some((value("counted")?, value("events")?))
    }

    /// Returns the folder for the savepoints of a goal, as a URL.
    pub fn savepoint_dir(&self, goal: &str) -> String {
        format!("file://{}", self.savepoints.join(goal).display())
    }

    /// Removes what an earlier run has left of a goal's savepoints.
    ///
    /// # Errors
    /// If the folder cannot be removed.
    pub fn forget(&self, goal: &str) -> std::io::Result<()> {
        match std::fs::remove_dir_all(self.savepoints.join(goal)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Returns whether the savepoint at a path is complete on disk.
    pub fn exists(&self, path: &str) -> bool {
        let path = path.strip_prefix("file:").unwrap_or(path);
        Path::new(&format!("/{}", path.trim_start_matches('/'))).join("_metadata").is_file()
    }

    /// Returns the names of all complete savepoints of a goal on disk.
    pub fn on_disk(&self, goal: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.savepoints.join(goal)) else { return Vec::new() };
        let complete = entries.flatten().filter(|entry| entry.path().join("_metadata").is_file());
        complete.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Cancels all jobs whose name begins with this prefix, so that their slots are free.
    ///
    /// # Errors
    /// What is left, if the cluster does not answer or a job cannot be cancelled.
    pub fn clean_up(&self, prefix: &str) -> Result<(), String> {
        let live = || self.live(prefix).ok_or_else(|| format!("clean up {prefix}: the cluster did not answer"));
        let mut failure = None;
        for job in live()? {
            if let Err(error) = self.flink.run(Cancel::new(job.id).timeout(Duration::from_secs(30))) {
                failure = Some(error);
            }
        }
        let left: Vec<_> = live()?.into_iter().map(|job| job.id).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("clean up {prefix}: these jobs live: {left:?}; {failure:?}")) }
    }

    /// Watches the jobs until `stop` says so, and remembers the most that lived at once for each name up to its last
    /// `-`.
    pub fn watch(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let mut live: BTreeMap<String, BTreeSet<JobId>> = BTreeMap::new();
            for job in self.jobs("").unwrap_or_default() {
                let goal = job.name.as_deref().and_then(|name| name.rsplit_once('-'));
                if let Some((goal, _)) = goal.filter(|_| !job.state.is_terminal()) {
                    live.entry(format!("{goal}-")).or_default().insert(job.id);
                }
            }
            let mut most = self.most.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (goal, jobs) in live {
                let seen = most.entry(goal).or_default();
                if jobs.len() > seen.len() {
                    *seen = jobs;
                }
            }
            drop(most);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Returns the most live jobs that [`watch`](Self::watch) has seen at once.
    pub fn most_at_once(&self, prefix: &str) -> BTreeSet<JobId> {
        let most = self.most.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        most.get(prefix).cloned().unwrap_or_default()
    }

    /// Waits until a job is in a state.
    pub fn becomes(&self, prefix: &str, job: JobId, wanted: impl Fn(&JobState) -> bool) -> Option<JobState> {
        let state = || Some(self.jobs(prefix)?.into_iter().find(|one| one.id == job)?.state);
        eventually(Duration::from_secs(10), || state().filter(&wanted)).or_else(state)
    }
}

/// Cancels the jobs of a case when it is dropped, also if the case fails or panics.
#[derive(Debug)]
pub(super) struct CleanUp<'a> {
    truth: &'a Truth,
    prefix: String,
    is_finished: bool,
}

impl<'a> CleanUp<'a> {
    pub(super) fn new(truth: &'a Truth, prefix: String) -> Self {
        Self { truth, prefix, is_finished: false }
    }

    /// Cancels the jobs now, and says what is left.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.is_finished = true;
        self.truth.clean_up(&self.prefix)
    }
}

impl Drop for CleanUp<'_> {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = self.truth.clean_up(&self.prefix)
        {
            eprintln!("{error}");
        }
    }
}

/// Asks again and again until there is an answer or the time is up.
pub fn eventually<T>(time: Duration, ask: impl Fn() -> Option<T>) -> Option<T> {
    let end = Instant::now() + time;
    loop {
        match ask() {
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(250)),
            answer => return answer,
        }
    }
}

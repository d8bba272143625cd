//! Compares the result of an upgrade with the state of the cluster.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pipewright::flink::checkpoints::GetCheckpoints;
use pipewright::flink::jobs::GetJobsOverview;
use pipewright::flink::{JobId, Upgrade};

use super::cluster::Cluster;

/// How long a job may take until it runs again after a failover.
const COMES_UP: Duration = Duration::from_secs(90);
/// For how long there must not be a second job.
const STAYS: Duration = Duration::from_secs(3);

/// Returns the jobs that have not ended, and whether all tasks of each run; `None` if the leader does not answer.
fn living(cluster: &Cluster) -> Option<Vec<(JobId, bool)>> {
    let (leader, _) = cluster.leader()?;
    let jobs = leader.ask().call(GetJobsOverview::new()).ok()?.jobs;
    let living = jobs.iter().filter(|job| !job.state.is_terminal());
    Some(living.map(|job| (job.id, job.tasks.all_running())).collect())
}

/// Waits until the leader answers. Returns the jobs that have not ended; `None` if it does not answer.
pub(crate) fn jobs(cluster: &Cluster) -> Option<Vec<JobId>> {
    let started = Instant::now();
    while started.elapsed() < COMES_UP {
        if let Some(living) = living(cluster) {
            return Some(living.into_iter().map(|(job, _)| job).collect());
        }
        sleep(Duration::from_millis(200));
    }
    None
}

/// Waits until the job of this result runs, was restored and completes a checkpoint. Returns what is wrong.
pub(crate) fn violations(cluster: &Cluster, upgrade: &Upgrade) -> Vec<String> {
    let (Upgrade::Upgraded { job, savepoint, .. } | Upgrade::RolledBack { job, savepoint, .. }) = upgrade;
    let job = *job;
    let mut found = Vec::new();
    if !exists(savepoint) {
        found.push(format!("savepoint {savepoint} is not on disk"));
    }
    let started = Instant::now();
    let (mut runs_since, mut first) = (None::<Instant>, None);
    loop {
        if started.elapsed() > COMES_UP {
            found.push(format!("job {job} does not run, restored, with checkpoints: {:?}", living(cluster)));
            return found;
        }
        let Some(living) = living(cluster) else {
            sleep(Duration::from_millis(200));
            continue;
        };
        if let Some((other, _)) = living.iter().find(|(other, _)| *other != job) {
            found.push(format!("job {other} lives as well as, or instead of, job {job}"));
            return found;
        }
        let completed = cluster.leader().and_then(|(leader, _)| {
            let checkpoints = leader.ask().call(GetCheckpoints::new(job)).ok()?;
            checkpoints.latest.restored.as_ref()?;
            Some(checkpoints.latest.completed?.id)
        });
        let runs = living.iter().any(|(_, runs)| *runs);
        if let (true, Some(completed)) = (runs, completed) {
            let since = *runs_since.get_or_insert_with(Instant::now);
            if since.elapsed() > STAYS && completed > *first.get_or_insert(completed) {
                return found;
            }
        } else {
            (runs_since, first) = (None, None);
        }
        sleep(Duration::from_millis(200));
    }
}

/// Returns whether a savepoint is complete on disk.
pub(crate) fn exists(savepoint: &str) -> bool {
    let path = savepoint.strip_prefix("file:").unwrap_or(savepoint);
    Path::new(path).join("_metadata").is_file()
}

/// Returns whether a checkpoint was replaced by another checkpoint of its job, which is complete on disk.
pub(crate) fn is_replaced(checkpoint: &str) -> bool {
    let (job, name) = checkpoint.rsplit_once('/').unwrap_or_default();
    let entries = fs::read_dir(job.strip_prefix("file:").unwrap_or(job)).into_iter().flatten().flatten();
    let mut others = entries.map(|entry| entry.path().display().to_string());
    name.starts_with("chk-") && others.any(|other| other.contains("/chk-") && exists(&other))
}

/// Returns the paths of all complete savepoints on disk.
pub(crate) fn savepoints(cluster: &Cluster) -> BTreeSet<String> {
    let entries = fs::read_dir(cluster.run.join("savepoints")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.path().display().to_string());
    names.filter(|name| exists(name)).collect()
}

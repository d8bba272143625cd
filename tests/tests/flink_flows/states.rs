//! The jobs of a simulated cluster, in a form that tests compare.

use pipewright::Timestamp;
use pipewright_mock::flink::Cluster;

/// The names and states of all jobs at a time, sorted.
pub(crate) fn states_at(cluster: &mut Cluster, now: Timestamp) -> Vec<(String, String)> {
    cluster.advance(now.as_unix());
    let mut jobs: Vec<_> = cluster.jobs().into_iter().map(|job| (job.name, job.state)).collect();
    jobs.sort();
    jobs
}

/// The names and states that are expected.
pub(crate) fn states(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

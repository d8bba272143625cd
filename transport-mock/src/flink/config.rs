//! What a simulated cluster is like: its release, its durations, its switches.

use std::time::Duration;

/// Major and minor number of a release.
pub(super) type Version = (u32, u32);

/// What a simulated cluster is like.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the server's own configuration")]
pub struct Config {
    /// The release, which decides on endpoints, fields and the treatment of unknown fields: `2.3.0`.
    pub version: String,
    /// Task slots: 4.
    pub slots: u32,
    /// How old an answer from the caches of execution graphs and checkpoint statistics may be: 3 s.
    pub refresh_interval: Duration,
    /// How long metrics are kept before they are fetched again, when a client asks (`metrics.fetcher.update-interval`):
    /// 10 s.
    pub metric_interval: Duration,
    /// How long the result of an asynchronous operation is kept (`rest.async.store-duration`): 5 min.
    pub result_retention: Duration,
    /// Where savepoints go that name no target: `file:///savepoints`. Without it they have to name one.
    pub savepoint_directory: Option<String>,
    /// How long a savepoint takes, that of a stop too: 300 ms.
    pub savepoint_duration: Duration,
    /// How long a checkpoint takes: 20 ms.
    pub checkpoint_duration: Duration,
    /// From the submission of a job until all its tasks are running: 200 ms, a quarter of which is over when the job
    /// itself is `RUNNING`.
    pub deploy_duration: Duration,
    /// From a cancellation until the job is `CANCELED`: 100 ms.
    pub cancel_duration: Duration,
    /// Whether jobs can be rescaled while they run (`jobmanager.scheduler: adaptive`): no.
    pub adaptive_scheduler: bool,
    /// From new bounds until the job follows them: 30 s.
    pub rescale_delay: Duration,
    /// How many rescales of a job are remembered, with the adaptive scheduler and since 2.3
    /// (`web.adaptive-scheduler.rescale-history.size`): 0, which rejects requests for them.
    pub rescale_history: usize,
    /// Whether there are flame graphs (`rest.flamegraph.enabled`): no.
    pub flame_graphs: bool,
    /// Whether there is a profiler (`rest.profiling.enabled`): no.
    pub profiling: bool,
    /// Whether running jobs survive a restart of the `JobManager`: yes, from their last checkpoint. Nothing else does.
    pub high_availability: bool,
    /// Whether requests reach the REST endpoint of another `JobManager` while none is in charge: no. With one, a
    /// restart is a failover: until a second before the next JobManager is in charge, requests are answered 500,
    /// because the dead JobManager cannot be reached, and then 503.
    pub standby: bool,
    /// From a `main` that calls `System.exit` until the next `JobManager` is in charge: 2 s.
    pub exit_downtime: Duration,
    /// Whether uploaded jars survive a restart: no.
    pub retain_uploads: bool,
    /// How long an ended job is remembered: 1 h.
    pub job_expiration: Duration,
    /// What ids are made from: 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: "2.3.0".into(),
            slots: 4,
            refresh_interval: Duration::from_secs(3),
            metric_interval: Duration::from_secs(10),
            result_retention: Duration::from_secs(300),
            savepoint_directory: Some("file:///savepoints".into()),
            savepoint_duration: Duration::from_millis(300),
            checkpoint_duration: Duration::from_millis(20),
            deploy_duration: Duration::from_millis(200),
            cancel_duration: Duration::from_millis(100),
            adaptive_scheduler: false,
            rescale_delay: Duration::from_secs(30),
            rescale_history: 0,
            flame_graphs: false,
            profiling: false,
            high_availability: true,
            standby: false,
            exit_downtime: Duration::from_secs(2),
            retain_uploads: false,
            job_expiration: Duration::from_secs(3600),
            seed: 0,
        }
    }
}

impl Config {
    /// How many rescales of a job are remembered by the scheduler that there is.
    pub(super) fn remembered_rescales(&self) -> usize {
        if self.adaptive_scheduler { self.rescale_history } else { 0 }
    }

    /// The release as handlers compare it. What is no number counts as 0.
    pub(super) fn release(&self) -> Version {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

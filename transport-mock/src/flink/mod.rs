//! A simulated Apache Flink cluster, as seen through its REST API.
//!
//! [`Cluster::handle`] answers one request at a time, as a real server does: with its status codes and error texts,
//! its caches, its asynchronous operations and its refusals. There is no network in it, no clock and no chance:
//! time is an argument, and ids follow from [`Config::seed`]. Between two requests everything that is due by the
//! time of the second one happens, in order, so time never has to be ticked.
//!
//! What jobs do is decided by the [`Program`] in the jar that is uploaded. How things really are, as opposed to what
//! the API says about them, is seen with [`Cluster::jobs`], [`Cluster::savepoints`] and [`Cluster::jars`].
//!
//! The simulator shares no type and no code with a client: a misunderstanding of the protocol would otherwise be
//! on both sides and never show.
//!
//! ```
//! # use std::time::Duration;
//! use pipewright_mock::flink::{Cluster, Config};
//!
//! let mut cluster = Cluster::new(Config::default());
//! let now = Duration::from_secs(1_800_000_000);
//! let request = http::Request::get("/v1/overview").body(bytes::Bytes::new())?;
//! assert_eq!(cluster.handle(now, &request).status(), 200);
//! # Ok::<(), http::Error>(())
//! ```

mod checkpoint_log;
mod checkpoints;
mod details;
mod errors;
mod failover;
mod history;
mod ids;
mod jars;
mod job;
mod jobs;
mod lifecycle;
mod logs;
mod metrics;
mod multipart;
mod operations;
mod profiler;
mod program;
mod removal;
mod request;
mod rescaling;
mod router;
mod sampling;
#[cfg(test)]
mod tests;
mod triggers;
mod vertices;
mod views;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

pub use self::history::History;
pub use self::program::{Exits, Failing, Program};
pub use self::views::{JobView, SavepointKind, SavepointView};

use self::errors::{Refusal, respond};
use self::jars::Jar;
use self::job::Job;
use self::request::Call;
use self::world::World;

/// The one TaskManager there is.
const TASK_MANAGER: &str = "127.0.0.1:44883-f8bb4a";

/// From the end of a dead `JobManager`'s session until another one is in charge.
const ELECTION: Duration = Duration::from_secs(1);

/// Major and minor number of a release.
type Version = (u32, u32);

/// What a simulated cluster is like.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the server's own configuration")]
pub struct Config {
    /// The release, which decides on endpoints, fields and the treatment of unknown ones: `2.3.0`.
    pub version: String,
    /// Task slots: 4.
    pub slots: u32,
    /// How old an answer from the caches of execution graphs and checkpoint statistics may be: 3 s.
    pub refresh_interval: Duration,
    /// How long metrics are kept before they are fetched again, when somebody asks (`metrics.fetcher.update-interval`): 10 s.
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
    /// Whether there are flame graphs (`rest.flamegraph.enabled`): no.
    pub flame_graphs: bool,
    /// Whether there is a profiler (`rest.profiling.enabled`): no.
    pub profiling: bool,
    /// Whether running jobs survive a restart of the `JobManager`: yes, from their last checkpoint. Nothing else does.
    pub high_availability: bool,
    /// Whether requests reach the REST endpoint of another `JobManager` while there is none in charge: no. With one, a restart
    /// is a failover: until a second before the next one is in charge, requests are answered 500, because the dead one cannot
    /// be reached, and then 503.
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

/// A simulated cluster. See the [module](self).
#[derive(Debug)]
pub struct Cluster {
    world: World,
    jars: Vec<Jar>,
    graphs: Cache,
    statistics: Cache,
    metrics: metrics::Store,
    up_at: Duration,
    /// How many processes have served the REST API before this one.
    generation: u64,
    /// When `main` methods called `System.exit`.
    exits: Vec<Duration>,
}

impl Cluster {
    /// A cluster without jars and jobs.
    pub fn new(config: Config) -> Self {
        Self {
            graphs: Cache::new(config.refresh_interval),
            statistics: Cache::new(config.refresh_interval),
            world: World::new(config),
            jars: Vec::new(),
            metrics: metrics::Store::default(),
            up_at: Duration::ZERO,
            generation: 0,
            exits: Vec::new(),
        }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch. A time before that of the last call
    /// is taken for that time.
    ///
    /// If a `main` method calls [`System.exit`](Program::exits), the response has [`NoAnswer`](crate::NoAnswer) among its
    /// extensions: it is never sent.
    pub fn handle(&mut self, now: Duration, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.advance(now);
        let answer = self.answer(request);
        if matches!(answer, Err(Refusal::Exited)) {
            self.exit();
        }
        respond(answer)
    }

    /// Lets everything happen that is due by `now`, for the views to be of that time.
    pub fn advance(&mut self, now: Duration) {
        self.world.advance(now);
    }

    /// The `JobManager` fails and another one takes over after `downtime`; until then requests are answered 503, or 500 before
    /// that with a [`standby`](Config::standby).
    ///
    /// Results of asynchronous operations, caches, ended jobs and, unless retained, uploads are forgotten; uploads are kept with a
    /// standby, which is the process that serves the REST API. Running
    /// jobs are recovered with high availability, and lost without. Savepoints are in storage, and stay.
    pub fn restart(&mut self, now: Duration, downtime: Duration) {
        self.advance(now);
        // With a standby, the process that serves the REST API is another one, and lives on.
        self.generation += u64::from(!self.world.config.standby);
        self.up_at = self.world.now().saturating_add(downtime);
        self.world.restart(self.up_at);
        self.graphs.clear();
        self.statistics.clear();
        self.metrics.clear();
        // They are in a directory of the process that serves the REST API.
        if !self.world.config.standby {
            self.lose_uploads();
        }
    }

    fn lose_uploads(&mut self) {
        if !self.world.config.retain_uploads {
            self.jars.clear();
        }
    }

    /// When `main` methods called [`System.exit`](Program::exits): each time a `JobManager` died, and another one took over after
    /// [`exit_downtime`](Config::exit_downtime).
    pub fn exits(&self) -> Vec<Duration> {
        self.exits.clone()
    }

    /// The jobs there are, in the order of their submission, as of the last call.
    pub fn jobs(&self) -> Vec<JobView> {
        let taken = |job: &str| {
            let savepoints = self.world.savepoints.iter().filter(|savepoint| savepoint.job == job);
            savepoints.map(|savepoint| savepoint.path.clone()).collect()
        };
        let view = |job: &Job| JobView {
            id: job.id.clone(),
            name: job.name.clone(),
            state: job.state.name().to_owned(),
            restored_from: job.restored.as_ref().map(|(_, snapshot)| snapshot.path.clone()),
            records: job.records(self.world.now()),
            restarts: job.restarts,
            parallelism: job.parallelism,
            savepoints: taken(&job.id),
        };
        self.world.jobs.iter().map(view).collect()
    }

    /// All savepoints that were ever completed, oldest first.
    pub fn savepoints(&self) -> Vec<SavepointView> {
        self.world.savepoints.clone()
    }

    /// The ids of the uploaded jars, newest first.
    pub fn jars(&self) -> Vec<String> {
        self.jars.iter().map(|jar| jar.id.clone()).collect()
    }

    fn answer(&mut self, request: &http::Request<Bytes>) -> errors::Answer {
        let call = Call::read(request, self.version())?;
        if self.world.now().saturating_add(ELECTION) < self.up_at && self.world.config.standby {
            return Err(errors::unreachable(&call.segments));
        }
        if self.world.now() < self.up_at {
            let text = "Service temporarily unavailable due to an ongoing leader election. Please refresh.";
            return Err(Refusal::Short(StatusCode::SERVICE_UNAVAILABLE, text.into()));
        }
        self.route(&call)
    }

    fn version(&self) -> Version {
        let mut numbers = self.world.config.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    fn now(&self) -> Duration {
        self.world.now()
    }

    /// A job as the cache of execution graphs has it, which may be old, and the time it is of.
    fn cached_graph(&mut self, id: &str) -> Result<(Duration, &Job), Refusal> {
        self.graphs.get(id, &self.world).ok_or_else(|| Refusal::job_not_found(id))
    }

    /// The same from the cache of checkpoint statistics.
    fn cached_statistics(&mut self, id: &str) -> Result<(Duration, &Job), Refusal> {
        self.statistics.get(id, &self.world).ok_or_else(|| Refusal::job_not_found(id))
    }
}

/// Jobs as they were when somebody asked last.
#[derive(Debug)]
struct Cache {
    keeps: Duration,
    jobs: BTreeMap<String, (Duration, Job)>,
}

impl Cache {
    fn new(keeps: Duration) -> Self {
        Self { keeps, jobs: BTreeMap::new() }
    }

    fn clear(&mut self) {
        self.jobs.clear();
    }

    fn get(&mut self, id: &str, world: &World) -> Option<(Duration, &Job)> {
        let now = world.now();
        self.jobs.retain(|_, (at, _)| at.saturating_add(self.keeps) > now);
        if !self.jobs.contains_key(id) {
            self.jobs.insert(id.to_owned(), (now, world.job(id)?.clone()));
        }
        self.jobs.get(id).map(|(at, job)| (*at, job))
    }
}

/// A time as the server writes it.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

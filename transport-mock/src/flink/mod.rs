//! A simulated Apache Flink cluster, as seen through its REST API.
//!
//! [`Cluster::handle`] answers one request at a time, with the status codes, error texts, caches, asynchronous
//! operations and rejections of a real server. The simulator uses no network, clock or randomness: time is an argument,
//! and ids are derived from [`Config::seed`]. Each request first carries out everything that is due by its time, in
//! order.
//!
//! The [`Program`] in the uploaded jar decides what a job does. [`Cluster::jobs`], [`Cluster::savepoints`] and
//! [`Cluster::jars`] return the actual state, which the API may not show yet.
//!
//! The simulator shares no type and no code with a client. Otherwise a misunderstanding of the protocol could be on
//! both sides, and no test would show it.
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
//!
//! # Routes
//!
//! [`routes`] returns this table. A route that is not simulated is answered 501, with the header `x-pipewright-sim:
//! not-simulated`. The releases are the first that were examined.
//!
#![doc = include_str!("routes.md")]
//!
//! To add a route, add its handler to `router.rs` and change the `no` of its line in `routes.md` to `yes`.
//!
//! # Limits
//!
//! * There is no JVM. The upload of a real jar is rejected with 400, and the text says what to do. A file that is
//!   neither a zip nor a [`Program`] is accepted and fails when it is run, as on a real cluster. A job graph that a
//!   Java client submits (`flink run -d`) becomes an endless job with the id and the name of the graph; the log of a
//!   served simulator says so.
//! * There is one TaskManager. Processes have a fixed environment, and threads with one frame each.
//! * The `serialized-throwable` of a failure is a whole Java object. It has the texts of the failure and of its causes,
//!   but not the exceptions themselves.
//! * After `DELETE /cluster`, the cluster runs until each result of an asynchronous operation was read or has
//!   expired. Then it refuses connections for ever: see [`Cluster::is_shut_down`].
//! * The adaptive scheduler starts a job when it has all slots that the job requires, and never with fewer. Slots that
//!   become free later do not change the parallelism of a running job. So a rescale for `NEW_RESOURCE_AVAILABLE` is
//!   rare.
//! * An application has at most one job.
//!
//! # Layers
//!
//! Each file imports only files that are named before it:
//!
//! 1. data: `config`, `wire`, `ids`, `attempt`, `statistics`, `metric_names`, `program`, `views`, `multipart`,
//!    `job_graph`, `java_objects`, `errors`, `failures`, `request`;
//! 2. the parts of the cluster: `operations`, `checkpoint_log`, `rescale_log`, `schedule`, `storage`, `job`, `jobs`,
//!    `job_manager`, `cache`;
//! 3. the answers from them: `overview`, `tasks`, `vertices`, `subtasks`, `details`, `checkpoints`,
//!    `checkpoint_details`, `triggers`, `rescaling`, `flame_graph`, `logs`, `profiler`, `processes`,
//!    `task_managers`, `rescales`, `thread_dumps`, `metrics`, `removal`, `applications`, `jars`, `jar_runs`,
//!    `submissions`, `failover`;
//! 4. [`Cluster`], which owns the parts, `router`, which names the handler of each path, and `history`.

mod applications;
mod attempt;
mod cache;
mod checkpoint_details;
mod checkpoint_log;
mod checkpoints;
mod config;
mod details;
mod errors;
mod failover;
mod failures;
mod flame_graph;
mod history;
mod ids;
mod jar_runs;
mod jars;
mod java_objects;
mod job;
mod job_graph;
mod job_manager;
mod jobs;
mod logs;
mod metric_names;
mod metrics;
mod multipart;
mod operations;
mod overview;
mod processes;
mod profiler;
mod program;
mod removal;
mod request;
mod rescale_log;
mod rescales;
mod rescaling;
mod router;
mod schedule;
mod statistics;
mod storage;
mod submissions;
mod subtasks;
mod task_managers;
mod tasks;
#[cfg(test)]
mod tests;
mod thread_dumps;
mod triggers;
mod vertices;
mod views;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

pub use self::config::Config;
pub use self::history::History;
pub use self::program::{Exits, Failing, Program};
pub use self::views::{JobView, SavepointKind, SavepointView};

use self::applications::Applications;
use self::cache::Cache;
use self::errors::{Rejection, Reply, ok, respond};
use self::failover::without_leader;
use self::flame_graph::Samples;
use self::ids::parse_hex32;
use self::jars::Jars;
use self::job::Job;
use self::job_manager::JobManager;
use self::profiler::Profiles;
use self::removal::Removals;
use self::request::Call;
use crate::routes::{self, Route};

const ROUTES: &str = include_str!("routes.md");

/// The routes of a real cluster, without the prefix `/v1`, which may stand before each of them.
pub fn routes() -> Vec<Route> {
    routes::read(ROUTES).collect()
}

/// From the end of a dead `JobManager`'s session until another JobManager is in charge.
const ELECTION: Duration = Duration::from_secs(1);

/// A simulated cluster. See the [module](self).
#[derive(Debug)]
pub struct Cluster {
    manager: JobManager,
    jars: Jars,
    applications: Applications,
    graphs: Cache,
    statistics: Cache,
    metrics: metrics::Store,
    removals: Removals,
    profiles: Profiles,
    samples: Samples,
    up_at: Duration,
    /// How many processes have served the REST API before this process.
    generation: u64,
    /// When `main` methods called `System.exit`.
    exits: Vec<Duration>,
    shutdown: Shutdown,
}

/// How far `DELETE /cluster` has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    NotAsked,
    /// The cluster runs until each result of an asynchronous operation was read or has expired.
    Waiting,
    Done,
}

impl Cluster {
    /// A cluster without jars and jobs.
    pub fn new(config: Config) -> Self {
        Self {
            graphs: Cache::new(config.refresh_interval),
            statistics: Cache::new(config.refresh_interval),
            manager: JobManager::new(config),
            jars: Jars::default(),
            applications: Applications::default(),
            metrics: metrics::Store::default(),
            removals: Removals::default(),
            profiles: Profiles::default(),
            samples: Samples::default(),
            up_at: Duration::ZERO,
            generation: 0,
            exits: Vec::new(),
            shutdown: Shutdown::NotAsked,
        }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch. A time before that of the last call
    /// is taken for that time.
    ///
    /// If a `main` method calls [`System.exit`](Program::exits), the response has [`NoAnswer`](crate::NoAnswer) among
    /// its extensions: it is never sent. So does every response of a cluster that [was shut down](Self::is_shut_down).
    pub fn handle(&mut self, now: Duration, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.advance(now);
        if self.is_shut_down() {
            return respond(Err(Rejection::Exited));
        }
        let answer = self.answer(request);
        if matches!(answer, Err(Rejection::Exited)) {
            self.exit();
        }
        self.shut_down_when_read();
        respond(answer)
    }

    /// Whether `DELETE /cluster` has ended the cluster: no process answers any more, and nothing brings it back. Like a
    /// real cluster, it runs until each result of an asynchronous operation was read or has expired.
    pub fn is_shut_down(&self) -> bool {
        self.shutdown == Shutdown::Done
    }

    fn shut_down(&mut self) -> Reply {
        self.shutdown = Shutdown::Waiting;
        ok(json!({}))
    }

    fn shut_down_when_read(&mut self) {
        let unread = self.manager.operations.has_unread() || self.removals.has_unread();
        if self.shutdown == Shutdown::Waiting && !unread {
            self.shutdown = Shutdown::Done;
            self.manager.shut_down();
        }
    }

    /// Lets everything happen that is due by `now`, for the views to be of that time.
    pub fn advance(&mut self, now: Duration) {
        self.manager.advance(now);
        self.removals.expire(self.manager.now(), self.manager.config.result_retention);
        self.applications.expire(&self.manager, self.manager.config.job_expiration);
        self.shut_down_when_read();
    }

    /// The `JobManager` fails and another one takes over after `downtime`; until then requests are answered 503, or 500
    /// before that with a [`standby`](Config::standby).
    ///
    /// Results of asynchronous operations, caches, ended jobs and, unless retained, uploads are forgotten; uploads are
    /// kept with a standby, which is the process that serves the REST API. Running jobs are recovered with high
    /// availability, and lost without. Savepoints are in storage, and stay.
    pub fn restart(&mut self, now: Duration, downtime: Duration) {
        self.advance(now);
        if self.is_shut_down() {
            return;
        }
        self.shutdown = Shutdown::NotAsked;
        // With a standby, the process that serves the REST API is another process, and lives on.
        self.generation += u64::from(!self.manager.config.standby);
        self.up_at = self.manager.now().saturating_add(downtime);
        self.manager.restart(self.up_at);
        self.applications.recover(&self.manager);
        self.removals.clear();
        self.profiles.lose_job_manager();
        self.samples.clear();
        self.graphs.clear();
        self.statistics.clear();
        self.metrics.clear();
        // They are in a directory of the process that serves the REST API.
        if !self.manager.config.standby {
            self.lose_uploads();
        }
    }

    /// The leader dies at `now`, right after it carried `request` out, to which `response` is the answer, and another
    /// one takes over after `downtime`. With a [`standby`](Config::standby), whose REST endpoint has passed the request
    /// on, that endpoint waits in vain: returns what it answers, and after how long. What the endpoint answers by
    /// itself, it answers at once: its configuration, jars, plans, and a run that fails before the job is submitted.
    /// Without a standby, nothing answers.
    pub fn lose_leader(
        &mut self,
        now: Duration,
        downtime: Duration,
        request: &http::Request<Bytes>,
        response: http::Response<Bytes>,
    ) -> Option<(Duration, http::Response<Bytes>)> {
        self.restart(now, downtime);
        if !self.manager.config.standby {
            return None;
        }
        Some(without_leader(request, response))
    }

    /// `main` has called `System.exit`. It runs in the process that serves the REST API.
    fn exit(&mut self) {
        let now = self.manager.now();
        self.exits.push(now);
        self.restart(now, self.manager.config.exit_downtime);
        if self.manager.config.standby {
            self.generation += 1;
            self.lose_uploads();
        }
    }

    fn lose_uploads(&mut self) {
        if !self.manager.config.retain_uploads {
            self.jars.clear();
        }
    }

    /// When `main` methods called [`System.exit`](Program::exits): each time a `JobManager` died, and another one took
    /// over after [`exit_downtime`](Config::exit_downtime).
    pub fn exits(&self) -> Vec<Duration> {
        self.exits.clone()
    }

    /// The jobs there are, in the order of their submission, as of the last call.
    pub fn jobs(&self) -> Vec<JobView> {
        let taken = |job: &str| {
            let savepoints = self.manager.storage.savepoints.iter().filter(|savepoint| savepoint.job == job);
            savepoints.map(|savepoint| savepoint.path.clone()).collect()
        };
        let view = |job: &Job| JobView {
            id: job.id.clone(),
            name: job.name.clone(),
            state: job.state.name().to_owned(),
            restored_from: job.restored.as_ref().map(|(_, snapshot)| snapshot.path.clone()),
            records: job.records(self.manager.now()),
            restarts: job.restarts,
            parallelism: job.parallelism,
            savepoints: taken(&job.id),
        };
        self.manager.jobs.all().iter().map(view).collect()
    }

    /// All savepoints that were ever completed, oldest first.
    pub fn savepoints(&self) -> Vec<SavepointView> {
        self.manager.storage.savepoints.clone()
    }

    /// The ids of the uploaded jars, newest first.
    pub fn jars(&self) -> Vec<String> {
        self.jars.ids()
    }

    /// Puts a cluster data set there, as a batch job would; its id is 32 hex digits, or it is not put.
    pub fn add_dataset(&mut self, id: &str) {
        self.removals.datasets.extend(parse_hex32(id));
    }

    /// The ids of the cluster data sets there are.
    pub fn datasets(&self) -> Vec<String> {
        self.removals.datasets.clone()
    }

    /// Whether there is state at a path that a job could be started from.
    pub fn is_stored(&self, path: &str) -> bool {
        self.manager.storage.get(path).is_some()
    }

    fn answer(&mut self, request: &http::Request<Bytes>) -> errors::Answer {
        let call = Call::read(request, self.manager.config.release())?;
        if self.manager.now().saturating_add(ELECTION) < self.up_at && self.manager.config.standby {
            return Err(errors::unreachable(&call.segments));
        }
        if self.manager.now() < self.up_at {
            let text = "Service temporarily unavailable due to an ongoing leader election. Please refresh.";
            return Err(Rejection::Short(StatusCode::SERVICE_UNAVAILABLE, text.into()));
        }
        self.route(&call)
    }
}

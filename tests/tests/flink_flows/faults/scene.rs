//! A simulated cluster, and what must hold on it after any flow.

use std::collections::BTreeSet;
use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{AwaitJob, Flink, JobId, RunJar};
use pipewright_mock::flink::{Config, JobView, Program};
use pipewright_mock::{Event, Fault, FlinkHandle, Incident, World};

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) cluster: FlinkHandle,
    pub(crate) flink: Flink<World>,
    /// Whether running jobs survive a restart of the JobManager.
    pub(crate) is_available: bool,
}

impl Scene {
    /// A cluster that loses neither jobs nor jars when its JobManager restarts.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, true)
    }

    /// One that loses its uploads, perhaps. Every second request is asked through another JobManager while it has none
    /// in charge.
    pub(crate) fn with(seed: u64, retain_uploads: bool) -> Self {
        Self::of(seed, retain_uploads, true)
    }

    /// One that loses its jobs with its JobManager, unless it has high availability.
    pub(crate) fn of(seed: u64, retain_uploads: bool, high_availability: bool) -> Self {
        let world = World::new(seed);
        let config = Config {
            retain_uploads,
            standby: high_availability && seed.is_multiple_of(2),
            high_availability,
            adaptive_scheduler: true,
            flame_graphs: true,
            profiling: true,
            seed,
            ..Config::default()
        };
        let cluster = world.flink("http://flink.test:8081".parse().expect("a base"), config);
        let flink = Flink::new(cluster.base(), world.clone());
        Self { world, cluster, flink, is_available: high_availability }
    }

    /// A job that runs before anything goes wrong.
    pub(crate) fn launch(&self, program: &Program) -> pipewright::flink::Launched {
        let launched = self.flink.run(RunJar::upload("job.jar", program.jar())).expect("nothing goes wrong yet");
        let report = self.flink.run(AwaitJob::running(launched.job)).expect("nothing goes wrong yet");
        assert_eq!(report.state, JobState::Running);
        self.world.sleep_until(self.world.now() + Duration::from_secs(5));
        launched
    }

    pub(crate) fn jobs(&self) -> Vec<JobView> {
        let now = self.world.now().as_unix();
        self.cluster.with(|cluster| {
            cluster.advance(now);
            cluster.jobs()
        })
    }

    /// How many JobManagers were killed by main methods.
    pub(crate) fn deaths(&self) -> usize {
        self.cluster.with(|cluster| cluster.exits().len())
    }

    /// Whether a JobManager has died of anything.
    pub(crate) fn has_restarted(&self) -> bool {
        let is_restart = |event: &Event| matches!(event.what, Incident::Restart { .. });
        self.deaths() > 0 || self.world.trace().iter().any(is_restart)
    }

    /// Whether a JobManager may have taken its jobs along.
    pub(crate) fn may_lose_jobs(&self) -> bool {
        !self.is_available && self.has_restarted()
    }

    pub(crate) fn alive(&self) -> Vec<JobView> {
        self.jobs().into_iter().filter(|job| !matches!(&*job.state, "FINISHED" | "CANCELED" | "FAILED")).collect()
    }

    /// `None` for an ended job that a restarted JobManager has forgotten.
    pub(crate) fn job(&self, id: JobId) -> Option<JobView> {
        self.jobs().into_iter().find(|job| job.id == id.to_string())
    }

    /// What must hold after any run of any flow.
    pub(crate) fn check(&self) {
        let restarts: Vec<Duration> = self
            .world
            .trace()
            .iter()
            .filter(|event| matches!(event.what, Incident::Restart { .. }))
            .map(|event| event.at.as_unix())
            .chain(self.cluster.with(|cluster| cluster.exits()))
            .collect();
        let mut seen = BTreeSet::new();
        for savepoint in self.cluster.with(|cluster| cluster.savepoints()) {
            let life = restarts.iter().filter(|restart| **restart <= savepoint.at).count();
            let key = (savepoint.job, savepoint.trigger, life);
            assert!(seen.insert(key.clone()), "two savepoints of one trigger in one life: {key:?}");
        }
        // Each upload carries a mark of its own, so the same name twice is the same request twice: sent, or delivered.
        let trace = self.world.trace();
        let delivered = trace.iter().filter(|event| event.fault() == Some(Fault::DeliveredTwice)).count();
        let (mut names, mut again) = (BTreeSet::new(), 0);
        for jar in self.cluster.with(|cluster| cluster.jars()) {
            let (_id, name) = jar.split_once('_').expect("an id, then the name");
            again += usize::from(!names.insert(name.to_owned()));
        }
        assert!(again <= delivered, "an upload was sent twice: {names:?}");
    }
}

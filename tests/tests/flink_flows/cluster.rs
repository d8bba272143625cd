//! The simulated Flink cluster, read with the operations of the library: processes, applications, shutdown.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::{Delivery, FlowError, TransportErrorKind};
use pipewright::flink::applications::{
    ApplicationState, CancelApplication, GetApplication, GetApplicationExceptions, ListApplications,
};
use pipewright::flink::cluster::{GetOverview, ShutdownCluster};
use pipewright::flink::jars::RunApplication;
use pipewright::flink::jobmanager::{GetJobManagerConfig, GetJobManagerEnvironment, GetJobManagerThreadDump};
use pipewright::flink::jobs::JobState;
use pipewright::flink::taskmanagers::{GetTaskManager, GetTaskManagerThreadDump, ListTaskManagers};
use pipewright::flink::{ApplicationId, AwaitJob, Flink, Launched, RunJar, TakeSavepoint};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{FlinkHandle, World};

struct Scene {
    world: World,
    cluster: FlinkHandle,
    flink: Flink<World>,
}

fn scene() -> Scene {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    Scene { world, cluster, flink }
}

impl Scene {
    fn launch(&self, program: &Program) -> Launched {
        let launched = self.flink.run(RunJar::upload("a.jar", program.jar())).expect("submitted");
        let _ = self.flink.run(AwaitJob::running(launched.job)).expect("it runs");
        launched
    }

    fn wait(&self, millis: u64) {
        self.world.sleep_until(self.world.now() + Duration::from_millis(millis));
    }

    /// How the next request fails, of a cluster that is gone.
    fn refusal(&self) -> (TransportErrorKind, Delivery) {
        let error = self.flink.call(GetOverview::new()).expect_err("nothing listens");
        match error {
            FlowError::Transport(error) => (error.kind(), error.delivery()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_task_manager_shows_the_job_that_it_runs() {
    let scene = scene();
    let job = scene.launch(&Program::endless("x").parallelism(3)).job;
    let listed = scene.flink.call(ListTaskManagers::new()).expect("a list").task_managers;
    assert_eq!((listed.len(), listed[0].free_slots, listed[0].allocated_slots.len()), (1, Some(1), 0));
    let details = scene.flink.call(GetTaskManager::new(listed[0].id.clone())).expect("details");
    assert_eq!(details.assigned_tasks, Some(6));
    assert_eq!(details.allocated_slots.iter().map(|slot| slot.job).collect::<Vec<_>>(), [job; 3]);
    let free = details.free_resource.expect("what is free");
    let total = details.total_resource.and_then(|total| total.managed_memory);
    assert!(total.is_some() && total == free.managed_memory.map(|free| free * 4), "{total:?}");
    let dump = scene.flink.call(GetTaskManagerThreadDump::new(details.id)).expect("a dump");
    assert!(dump.threads.iter().any(|thread| thread.name.as_deref() == Some("count per key -> Sink: print (3/3)#0")));
}

#[test]
fn a_job_manager_shows_its_configuration_and_its_machine() {
    let scene = scene();
    let configuration = scene.flink.call(GetJobManagerConfig::new()).expect("a configuration");
    let slots = configuration.iter().find(|entry| entry.key == "taskmanager.numberOfTaskSlots");
    assert_eq!(slots.and_then(|entry| entry.value.as_deref()), Some("4"));
    let environment = scene.flink.call(GetJobManagerEnvironment::new()).expect("an environment");
    assert!(environment.classpath.iter().any(|jar| jar.ends_with("flink-dist-2.3.0.jar")));
    assert!(!scene.flink.call(GetJobManagerThreadDump::new()).expect("a dump").threads.is_empty());
}

#[test]
fn an_application_is_started_cancelled_and_listed() {
    let scene = scene();
    let single = scene.launch(&Program::endless("x"));
    let jar = single.jar.clone();
    let id = ApplicationId::from_bits(0xa);
    let started = scene.flink.call(RunApplication::new(jar.clone()).application_id(id)).expect("started");
    assert_eq!(started.application_id, id);
    scene.wait(500);
    let details = scene.flink.call(GetApplication::new(id)).expect("details");
    assert_eq!((details.status, details.jobs[0].state.clone()), (ApplicationState::Running, JobState::Running));
    scene.flink.call(CancelApplication::new(id)).expect("cancelled");
    scene.wait(3000);
    let all = scene.flink.call(ListApplications::new()).expect("a list").applications;
    let states: Vec<_> = all.iter().map(|application| (application.id, application.status.clone())).collect();
    let around = ApplicationId::from_bits(single.job.bits());
    assert_eq!(states, [(id, ApplicationState::Canceled), (around, ApplicationState::Running)]);

    let savepoint = RunApplication::new(jar).savepoint_path("file:///nope/savepoint-1");
    let failed = scene.flink.call(savepoint).expect("accepted all the same").application_id;
    let history = scene.flink.call(GetApplicationExceptions::new(failed)).expect("exceptions").history;
    let entries = history.map(|history| history.entries).unwrap_or_default();
    let trace = entries[0].stacktrace.as_deref().expect("a trace");
    assert!(trace.contains("Cannot find checkpoint or savepoint file/directory"), "{entries:?}");
}

#[test]
fn a_cluster_that_is_shut_down_refuses_connections() {
    let scene = scene();
    let _ = scene.launch(&Program::endless("x"));
    scene.flink.call(ShutdownCluster::new()).expect("accepted");
    assert_eq!(scene.refusal(), (TransportErrorKind::Connect, Delivery::NotSent));
    scene.cluster.restart(Duration::ZERO);
    assert_eq!(scene.refusal(), (TransportErrorKind::Connect, Delivery::NotSent));
    assert!(scene.cluster.with(|cluster| cluster.is_shut_down() && cluster.jobs().is_empty()));
}

#[test]
fn a_savepoint_that_a_flow_reads_does_not_delay_the_shutdown() {
    let scene = scene();
    let job = scene.launch(&Program::endless("x")).job;
    let savepoint = scene.flink.run(TakeSavepoint::new(job)).expect("taken");
    scene.flink.call(ShutdownCluster::new()).expect("accepted");
    assert_eq!(scene.refusal().0, TransportErrorKind::Connect);
    assert!(scene.cluster.with(|cluster| cluster.is_stored(&savepoint.location)));
}

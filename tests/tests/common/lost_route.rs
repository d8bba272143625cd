//! A proxy that loses the service for a moment, and answers 401, 403 or 404 by itself. It does so at each exchange of
//! each flow in turn.

use http::StatusCode;
use pipewright::driver::{self, NoCredentials};
use pipewright::error::{FlowError, ServiceError};
use pipewright::feldera::{Checkpoint, ClearStorage, Deploy, EnsurePaused, EnsureRunning, Feldera, FelderaApi, Stop};
use pipewright::flink::cluster::GetOverview;
use pipewright::flink::sql_gateway::gateway::GetInfo;
use pipewright::flink::sql_gateway::{RunStatement, SqlGateway, StatementEvent};
use pipewright::flink::{
    AwaitJob, Cancel, DisposeSavepoint, Flink, FlinkRest, Launched, Rescale, RunJar, StopWithSavepoint, TakeSavepoint,
    TriggerCheckpoint, Upgrade, UpgradeJob,
};
use pipewright::flow::Goal;
use pipewright_mock::event::Incident;
use pipewright_mock::feldera::Edition;
use pipewright_mock::flink::Program;
use pipewright_mock::{Fault, FaultPlan, FelderaHandle, FlinkHandle, World, feldera, flink, sql_gateway};

const STATUSES: [StatusCode; 3] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];

/// Two pages in a row, from the nth exchange on.
fn lost(nth: u64, status: StatusCode) -> FaultPlan {
    let page = Fault::ProxyPage { status, applied: false };
    FaultPlan::none().nth(nth, page).nth(nth + 1, page)
}

/// How many exchanges came back so far.
fn exchanges(world: &World) -> u64 {
    let is_exchange = |incident: &Incident| matches!(incident, Incident::Exchange { .. });
    world.trace().iter().filter(|event| is_exchange(&event.what)).count() as u64
}

/// Runs something in a world of its own without a fault, then with pages at each of its exchanges.
fn at_each_exchange<T>(what: &str, run: impl Fn(FaultPlan) -> (World, u64, Result<T, FlowError>)) {
    let (world, before, result) = run(FaultPlan::none());
    if let Err(error) = result {
        panic!("{what} without a fault: {error:?}");
    }
    let count = exchanges(&world) - before;
    assert!(count > 0, "{what}");
    for nth in 1..=count {
        for status in STATUSES {
            if let (_, _, Err(error)) = run(lost(nth, status)) {
                panic!("{what} with {status} at exchange {nth} of {count}: {error:?}");
            }
        }
    }
}

// ---- Flink -------------------------------------------------------------------------------------------------------

struct Cluster {
    world: World,
    _handle: FlinkHandle,
    flink: Flink<World>,
    job: Launched,
}

/// A cluster on which a job runs, so that it has answered.
fn cluster() -> Cluster {
    let world = World::new(1);
    let config = flink::Config { adaptive_scheduler: true, ..flink::Config::default() };
    let cluster = world.flink("http://flink.test".parse().expect("a base"), config);
    let flink = Flink::new(cluster.base(), world.clone());
    let job = flink.run(RunJar::upload("old.jar", Program::endless("old").jar())).expect("submitted");
    let _ = flink.run(AwaitJob::running(job.job)).expect("it runs");
    Cluster { world, _handle: cluster, flink, job }
}

fn on_flink<G: Goal<Service = FlinkRest>>(what: &str, goal: impl Fn(&Cluster) -> G) {
    at_each_exchange(what, |plan| {
        let scene = cluster();
        let goal = goal(&scene);
        let before = exchanges(&scene.world);
        scene.world.set_faults(plan);
        let result = scene.flink.run(goal);
        (scene.world, before, result)
    });
}

#[test]
fn flinks_flows_survive_a_proxy_that_loses_the_cluster_for_a_moment() {
    on_flink("RunJar", |_| RunJar::upload("new.jar", Program::endless("new").jar()));
    on_flink("AwaitJob", |scene| AwaitJob::running(scene.job.job));
    on_flink("TakeSavepoint", |scene| TakeSavepoint::new(scene.job.job));
    on_flink("StopWithSavepoint", |scene| StopWithSavepoint::new(scene.job.job));
    on_flink("TriggerCheckpoint", |scene| TriggerCheckpoint::new(scene.job.job));
    on_flink("Cancel", |scene| Cancel::new(scene.job.job));
    on_flink("Rescale", |scene| Rescale::to(scene.job.job, 1));
    on_flink("DisposeSavepoint", |scene| {
        let savepoint = scene.flink.run(TakeSavepoint::new(scene.job.job)).expect("taken");
        DisposeSavepoint::new(savepoint.location)
    });
}

/// On a real cluster one 404 of a proxy ended it between stop and checkpoint, with the job down.
#[test]
fn an_upgrade_survives_a_proxy_that_loses_the_cluster_for_a_moment() {
    on_flink("UpgradeJob", |scene| {
        let new = RunJar::upload("new.jar", Program::endless("new").jar());
        UpgradeJob::new(scene.job.job, RunJar::uploaded(scene.job.jar.clone()), new)
    });
    let scene = cluster();
    let new = RunJar::upload("new.jar", Program::endless("new").jar());
    let goal = UpgradeJob::new(scene.job.job, RunJar::uploaded(scene.job.jar.clone()), new);
    scene.world.set_faults(lost(7, StatusCode::NOT_FOUND));
    assert!(matches!(scene.flink.run(goal), Ok(Upgrade::Upgraded { .. })));
}

#[test]
fn flinks_first_request_says_that_the_address_is_wrong() {
    for status in STATUSES {
        let world = World::new(1);
        let cluster = world.flink("http://flink.test".parse().expect("a base"), flink::Config::default());
        let flink = Flink::new(cluster.base(), world.clone());
        world.set_faults(lost(1, status));
        let error = flink.call(GetOverview::new()).expect_err("a wrong address");
        assert_eq!(error.service().map(ServiceError::status), Some(status), "{error}");
        assert_eq!(exchanges(&world), 1);
    }
}

// ---- SQL Gateway -------------------------------------------------------------------------------------------------

#[test]
fn a_statement_survives_a_proxy_that_loses_the_gateway_for_a_moment() {
    at_each_exchange("RunStatement", |plan| {
        let world = World::new(1);
        let base = "http://gateway.test:8083".parse().expect("a base");
        let _gateway = world.sql_gateway(base, sql_gateway::Config::default());
        let client = SqlGateway::new("http://gateway.test:8083/v2".parse().expect("a base"), world.clone());
        client.call(GetInfo::new()).expect("it is there");
        let before = exchanges(&world);
        world.set_faults(plan);
        let mut statement = RunStatement::new("SELECT n FROM numbers LIMIT 5").start(client.config(), client.seed());
        let result = loop {
            match driver::run(&mut statement, &world, &NoCredentials, driver::ignore_notices) {
                Ok(StatementEvent::Closed) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        (world, before, result)
    });
}

// ---- Feldera -----------------------------------------------------------------------------------------------------

const SQL: &str = "CREATE TABLE t (x INT); CREATE VIEW v AS SELECT * FROM t;";

struct Platform {
    world: World,
    _handle: FelderaHandle,
    feldera: Feldera<World>,
}

/// A platform with a pipeline that runs, so that it has answered. The enterprise edition has checkpoints.
fn platform(edition: Edition) -> Platform {
    let world = World::new(1);
    let config = feldera::Config { edition, ..feldera::Config::default() };
    let platform = world.feldera("http://feldera.test".parse().expect("a base"), config);
    let feldera = Feldera::new(platform.base(), world.clone());
    let _ = feldera.run(Deploy::new("p", SQL)).expect("it runs");
    Platform { world, _handle: platform, feldera }
}

fn on_feldera<G: Goal<Service = FelderaApi>>(what: &str, edition: Edition, goal: impl Fn(&Platform) -> G) {
    at_each_exchange(what, |plan| {
        let scene = platform(edition);
        let goal = goal(&scene);
        let before = exchanges(&scene.world);
        scene.world.set_faults(plan);
        let result = scene.feldera.run(goal);
        (scene.world, before, result)
    });
}

#[test]
fn felderas_flows_survive_a_proxy_that_loses_the_manager_for_a_moment() {
    on_feldera("EnsurePaused", Edition::OpenSource, |_| EnsurePaused::new("p"));
    on_feldera("Stop", Edition::Enterprise, |_| Stop::new("p"));
    on_feldera("Checkpoint", Edition::Enterprise, |_| Checkpoint::new("p"));
    on_feldera("Deploy", Edition::OpenSource, |_| Deploy::new("p", "CREATE TABLE u (x INT);").force_stop(true));
    on_feldera("Deploy of a new pipeline", Edition::OpenSource, |_| Deploy::new("q", SQL));
    on_feldera("EnsureRunning", Edition::OpenSource, |scene| {
        let _ = scene.feldera.run(Stop::forced("p")).expect("stopped");
        EnsureRunning::new("p")
    });
    on_feldera("ClearStorage", Edition::OpenSource, |scene| {
        let _ = scene.feldera.run(Stop::forced("p")).expect("stopped");
        ClearStorage::new("p")
    });
}

#[test]
fn felderas_first_request_says_that_the_address_is_wrong() {
    for status in STATUSES {
        let world = World::new(1);
        let platform = world.feldera("http://feldera.test".parse().expect("a base"), feldera::Config::default());
        let feldera = Feldera::new(platform.base(), world.clone());
        world.set_faults(lost(1, status));
        let error = feldera.run(EnsureRunning::new("p")).expect_err("a wrong address");
        assert_eq!(error.service().map(ServiceError::status), Some(status), "{error}");
        assert_eq!(exchanges(&world), 1);
    }
}

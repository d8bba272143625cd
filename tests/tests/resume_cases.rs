//! Flows whose process ends at each of their notices: another one goes on from what was saved, and nothing is done twice.

use std::time::Duration;

use pipewright::drive::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::flow::{Launched, Upgrade};
use pipewright::flink::{
    AwaitJob, Flink, FlinkRest, RunJar, StopWithSavepoint, TakeSavepoint, UpgradeDiagnosis, UpgradeJob, UpgradeStatus,
};
use pipewright::flow::{Goal, Notice, Saved};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{FlinkHandle, World};

struct Scene {
    world: World,
    cluster: FlinkHandle,
    flink: Flink<World>,
}

fn empty() -> Scene {
    let world = World::new(1);
    let config = Config { job_expiration: Duration::from_secs(7200), ..Config::default() };
    let cluster = world.flink("http://flink.test".parse().expect("a base"), config);
    let flink = Flink::new(cluster.base(), world.clone());
    Scene { world, cluster, flink }
}

/// A cluster on which a job runs.
fn running() -> (Scene, Launched) {
    let scene = empty();
    let job = scene.flink.run(RunJar::upload("old.jar", Program::endless("old").jar())).expect("submitted");
    let _ = scene.flink.run(AwaitJob::running(job.job)).expect("it runs");
    scene.world.sleep_until(scene.world.now() + Duration::from_secs(3));
    (scene, job)
}

impl Scene {
    /// The names and states of the jobs.
    fn jobs(&self) -> Vec<(String, String)> {
        let now = self.world.now().as_unix();
        self.cluster.with(|cluster| {
            cluster.advance(now);
            let mut jobs: Vec<_> = cluster.jobs().into_iter().map(|job| (job.name, job.state)).collect();
            jobs.sort();
            jobs
        })
    }

    fn alive(&self) -> Vec<String> {
        let alive = |(name, state): (String, String)| (state == "RUNNING").then_some(name);
        self.jobs().into_iter().filter_map(alive).collect()
    }

    fn savepoints(&self) -> usize {
        self.cluster.with(|cluster| cluster.savepoints()).len()
    }

    /// Runs a goal up to a notice. That one is not handled: a state that comes with it is not on the disk. True if the flow ended before.
    fn crash<G: Goal<Service = FlinkRest>>(&self, goal: G, at: usize) -> (bool, Option<Saved>) {
        let (mut count, mut saved) = (0, None);
        let result = self.flink.run_with(goal, |notice| {
            if count == at {
                return Err("crashed");
            }
            count += 1;
            if let Notice::Save(state) = notice {
                saved = Some(state);
            }
            Ok(())
        });
        (!matches!(result, Err(FlowError::Stopped(_))), saved)
    }
}

const SOON: Duration = Duration::from_secs(1);
/// Longer than the cluster knows a trigger, and than a request can be on its way.
const LATE: Duration = Duration::from_secs(700);

#[test]
fn a_jar_is_run_once_wherever_the_process_ends() {
    for at in 0.. {
        let scene = empty();
        let goal = || RunJar::upload("new.jar", Program::endless("new").jar());
        let (is_over, saved) = scene.crash(goal(), at);
        if is_over {
            assert!(at > 8, "{at}");
            break;
        }
        scene.world.sleep_until(scene.world.now() + SOON);
        let goal = saved.map_or_else(goal, |saved| RunJar::resume(&saved).expect("its own state"));
        let _ = scene.flink.run(goal).unwrap_or_else(|error| panic!("{at}: {error:?}"));
        scene.world.sleep_until(scene.world.now() + SOON);
        assert_eq!(scene.alive(), ["new"], "{at}");
    }
}

#[test]
fn one_savepoint_is_taken_wherever_the_process_ends() {
    for at in 0.. {
        let (scene, job) = running();
        let (is_over, saved) = scene.crash(TakeSavepoint::new(job.job), at);
        if is_over {
            assert!(at > 6, "{at}");
            break;
        }
        scene.world.sleep_until(scene.world.now() + SOON);
        let goal = saved
            .map_or_else(|| TakeSavepoint::new(job.job), |saved| TakeSavepoint::resume(&saved).expect("its own state"));
        let _ = scene.flink.run(goal).unwrap_or_else(|error| panic!("{at}: {error:?}"));
        assert_eq!((scene.savepoints(), scene.alive().len()), (1, 1), "{at}");
    }
}

/// A stop that is resumed late has ended the job, or it says that the job runs on.
#[test]
fn a_job_is_stopped_once_wherever_the_process_ends() {
    for wait in [SOON, LATE] {
        for at in 0.. {
            let (scene, job) = running();
            let (is_over, saved) = scene.crash(StopWithSavepoint::new(job.job), at);
            if is_over {
                assert!(at > 8, "{at}");
                break;
            }
            scene.world.sleep_until(scene.world.now() + wait);
            let goal = saved.map_or_else(
                || StopWithSavepoint::new(job.job),
                |saved| StopWithSavepoint::resume(&saved).expect("its own state"),
            );
            match scene.flink.run(goal) {
                Ok(_) => assert_eq!((scene.savepoints(), scene.alive().len()), (1, 0), "{at}"),
                Err(FlowError::Failed(failure)) => {
                    assert!(wait == LATE && failure.reason.contains("the job is RUNNING"), "{at}: {failure:?}");
                    assert_eq!((scene.savepoints(), scene.alive().len()), (0, 1), "{at}");
                }
                Err(error) => panic!("{wait:?}, {at}: {error:?}"),
            }
        }
    }
}

fn upgrade(job: &Launched, is_good: bool) -> UpgradeJob {
    let (old, new) = jars(is_good);
    UpgradeJob::new(job.job, old.from_uploaded(job.jar.clone()), new).settle_within(Duration::from_secs(20))
}

fn jars(is_good: bool) -> (RunJar, RunJar) {
    let new = Program::endless("new");
    let new = if is_good { new } else { new.state_incompatible().restarts(1) };
    (RunJar::upload("old.jar", Program::endless("old").jar()), RunJar::upload("new.jar", new.jar()))
}

/// One job runs in the end, whether the jar is good or bad, and whether the upgrade proceeds or is taken back.
#[test]
fn an_upgrade_leaves_one_job_wherever_the_process_ends() {
    let mut kinds = Vec::new();
    for is_good in [true, false] {
        for roll_back in [false, true] {
            for wait in [SOON, LATE] {
                kinds.push((is_good, roll_back, wait));
            }
        }
    }
    for (is_good, roll_back, wait) in kinds {
        for at in 0.. {
            let context = format!("good: {is_good}, back: {roll_back}, {wait:?}, at {at}");
            let (scene, job) = running();
            let (is_over, mut saved) = scene.crash(upgrade(&job, is_good).prove_for(Duration::from_secs(5)), at);
            if is_over {
                assert!(at > 40, "{context}");
                break;
            }
            let (mut upgraded, mut rolled_back, mut untouched) = (false, false, false);
            // A resumption may end with an error that the next one resolves.
            for _ in 0..3 {
                scene.world.sleep_until(scene.world.now() + wait);
                let (old, new) = jars(is_good);
                let goal = match &saved {
                    Some(saved) => UpgradeJob::resume(saved).expect("its own state").with_jars(old, new),
                    None => upgrade(&job, is_good),
                };
                let goal = if roll_back && saved.is_some() { goal.roll_back() } else { goal };
                let result = scene.flink.run_with(goal, |notice| {
                    if let Notice::Save(state) = notice {
                        saved = Some(state);
                    }
                });
                match result {
                    Ok(Upgrade::Upgraded { .. }) => upgraded = true,
                    Ok(Upgrade::RolledBack { .. }) => rolled_back = true,
                    Err(error) => {
                        let status = UpgradeDiagnosis::of(&error).map(|known| known.status);
                        assert_eq!(status, Some(UpgradeStatus::OldJobRuns), "{context}: {error:?}");
                        untouched = roll_back;
                    }
                }
                if upgraded || rolled_back || untouched {
                    break;
                }
            }
            let name = if upgraded { "new" } else { "old" };
            assert_eq!(scene.alive(), [name], "{context}");
            assert!(upgraded || rolled_back || untouched, "{context}");
            assert!(!upgraded || is_good, "{context}");
            assert!(upgraded || roll_back || !is_good, "{context}");
        }
    }
}

//! Flows whose process ends at each of their notices: another process continues from the saved state, and nothing is
//! done twice.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flink::jars::SubmitJar;
use pipewright::flink::{
    AwaitJob, Cancel, DisposeSavepoint, Flink, FlinkRest, JobId, Launched, Rescale, RunJar, StopWithSavepoint,
    TakeSavepoint, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradeStatus,
};
use pipewright::flow::{Goal, Notice, SavedState};
use pipewright::operation::OperationInfo;
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{Fault, FaultPlan, FlinkHandle, World};

use crate::states::states_at;

struct Scene {
    world: World,
    cluster: FlinkHandle,
    flink: Flink<World>,
}

fn empty() -> Scene {
    let world = World::new(1);
    let config = Config { adaptive_scheduler: true, job_expiration: Duration::from_secs(7200), ..Config::default() };
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
        let now = self.world.now();
        self.cluster.with(|cluster| states_at(cluster, now))
    }

    fn alive(&self) -> Vec<String> {
        let alive = |(name, state): (String, String)| (state == "RUNNING").then_some(name);
        self.jobs().into_iter().filter_map(alive).collect()
    }

    fn savepoints(&self) -> usize {
        self.cluster.with(|cluster| cluster.savepoints()).len()
    }

    /// Runs a goal up to a notice. This notice is not handled: a state that comes with it is not on the disk. True if
    /// the flow ended before.
    fn crash<G: Goal<Service = FlinkRest>>(&self, goal: G, at: usize) -> (bool, Option<SavedState>) {
        let (mut count, mut saved) = (0, None);
        let result = self.flink.run_with(goal, |notice| {
            if count == at {
                return Err("crashed");
            }
            count += 1;
            if let Notice::Persist(state) = notice {
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
    UpgradeJob::new(job.job, old.from_uploaded(job.jar.clone()), new).settle_timeout(Duration::from_secs(20))
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
            let (is_over, mut saved) = scene.crash(upgrade(&job, is_good).stable_for(Duration::from_secs(5)), at);
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
                    if let Notice::Persist(state) = notice {
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

/// The process ended while it submitted the new jar, whose `main()` submits the job when the old jar is about to run,
/// or runs already.
#[test]
fn a_job_that_is_submitted_late_never_runs_beside_the_old_jar() {
    for is_first in [true, false] {
        let (scene, job) = running();
        let mut saved = None;
        let result = scene.flink.run_with(upgrade(&job, true), |notice| match notice {
            Notice::Sending { operation: OperationInfo { name: "submitJobFromJar", .. }, .. } => Err("crashed"),
            Notice::Persist(state) => {
                saved = Some(state);
                Ok(())
            }
            _ => Ok(()),
        });
        assert!(matches!(result, Err(FlowError::Stopped(_))), "{result:?}");
        let saved: SavedState = saved.expect("saved");
        let state: serde_json::Value = serde_json::from_str(&saved.state).expect("JSON");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let new_job: JobId = text(&state["new_job"]).parse().expect("an id");
        let submit =
            SubmitJar::new(text(&state["new"]["jar"])).job_id(new_job).savepoint_path(text(&state["savepoint"]));
        let late = || scene.flink.call(submit.clone());
        let (old, new) = jars(true);
        let goal = UpgradeJob::resume(&saved).expect("its own state").with_jars(old, new).roll_back();
        let result = scene.flink.run_with(goal, |notice| {
            let is_moment = |begin: &str| matches!(&notice, Notice::Phase { phase, .. } if phase.starts_with(begin));
            if is_first && is_moment("running the old jar") && scene.jobs().len() == 1 {
                let _ = late().expect("the id is free");
            }
            if !is_first && is_moment("waiting for the old job") {
                let _ = late().expect_err("the old jar has the id");
            }
        });
        let Ok(Upgrade::RolledBack { job, .. }) = result else { panic!("{is_first}: {result:?}") };
        assert_eq!((scene.alive(), job == new_job), (vec!["old".to_owned()], !is_first));
        let is = |name: &str, state: &str| (name.to_owned(), state.to_owned());
        assert_eq!(scene.jobs().contains(&is("new", "CANCELED")), is_first, "{:?}", scene.jobs());
    }
}

/// All attempts of the first request are lost: whether it was carried out is seen by looking, or the request is
/// repeated.
#[test]
fn an_unknown_outcome_is_cleared_by_another_look() {
    let lost = |operation: &str, fault: Fault, times: u64| {
        let plan = |plan: FaultPlan, nth| plan.nth_of(operation, nth, fault);
        (1..=times).fold(FaultPlan::none(), plan)
    };
    let timeout = Duration::from_secs(3600);
    let fault = Fault::ReplyLost;
    let (scene, job) = running();
    let path = scene.flink.run(TakeSavepoint::new(job.job)).expect("taken").location;
    scene.world.set_faults(lost("updateJobResourceRequirements", fault, 22));
    let rescaled = scene.flink.run(Rescale::to(job.job, 2).timeout(timeout));
    assert!(rescaled.is_ok(), "{fault:?}: {rescaled:?}");
    scene.world.set_faults(lost("triggerSavepointDisposal", fault, 22));
    let removed = scene.flink.run(DisposeSavepoint::new(&*path).timeout(timeout));
    assert!(removed.is_ok(), "{fault:?}: {removed:?}");
    scene.world.set_faults(lost("cancelJob", fault, 22));
    let report = scene.flink.run(Cancel::new(job.job).timeout(timeout));
    assert!(report.is_ok(), "{fault:?}: {report:?}");
}

/// For longer than 90 s only a proxy answers. The flow has a deadline, and the lookups continue until then.
#[test]
fn lookups_are_repeated_until_the_deadline() {
    for (timeout, is_stopped) in [(None, false), (Some(Duration::from_secs(600)), true)] {
        let (scene, job) = running();
        let goal = StopWithSavepoint::new(job.job);
        let goal = match timeout {
            Some(timeout) => goal.timeout(timeout),
            None => goal,
        };
        let mut is_hidden = false;
        let result = scene.flink.run_with(goal, |notice| {
            let is_stopping = matches!(&notice, Notice::Phase { phase: "waiting for the outcome", .. });
            if is_stopping && !std::mem::replace(&mut is_hidden, true) {
                let until = scene.world.now() + Duration::from_secs(120);
                scene
                    .world
                    .set_faults(FaultPlan::seeded(1).chance(pipewright_mock::FaultKind::NotSent, 1.0).until(until));
            }
        });
        assert_eq!(result.is_ok(), is_stopped, "{result:?}");
    }
}

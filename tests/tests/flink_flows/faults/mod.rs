//! Flink's flows under random faults, in virtual time: they end in time, report what happened, and do nothing twice.

mod scene;
mod upgrade;
mod watch_jobs;

use std::collections::BTreeSet;
use std::time::Duration;

use pipewright::driver::{Clock as _, NoCredentials, Transport as _, ignore_notices};
use pipewright::error::FlowError;
use pipewright::flink::jobs::{GetJob, JobState};
use pipewright::flink::metrics::Metric;
use pipewright::flink::profiler::ProfileMode;
use pipewright::flink::{
    AwaitCheckpoint, AwaitJob, Cancel, DatasetId, DeleteDataset, DisposeSavepoint, FlinkRest, JobDiagnosis, JobEvent,
    JobId, JobLookup, Launched, Profile, ReadMetrics, Rescale, RunJar, SampleFlameGraph, StopWithSavepoint,
    TakeSavepoint, TriggerCheckpoint, Upgrade, WatchJob,
};
use pipewright::flow::{Flow, Goal, Notice, SavedState, Step};
use pipewright::{Seed, Timestamp};
use pipewright_mock::flink::{Exits, Program};
use pipewright_mock::{FaultKind, FaultPlan, Incident, World};
use proptest::prelude::*;

use scene::Scene;
use upgrade::upgrade;

/// 256 cases, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// More than a third of all exchanges meet a fault; some are delivered twice, and some wait in vain for a leader that
/// died.
fn hostile(seed: u64) -> FaultPlan {
    FaultPlan::hostile(seed).chance(FaultKind::DeliveredTwice, 0.04).chance(FaultKind::LeaderLost, 0.02)
}

/// The deadline of every flow below.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a goal under faults, and checks that it ended in time.
fn run<G: Goal<Service = FlinkRest>>(scene: &Scene, plan: FaultPlan, goal: G) -> Result<G::Output, FlowError> {
    scene.world.set_faults(plan);
    let end = scene.world.now() + LIMIT;
    let result = scene.flink.run(goal);
    assert!(scene.world.now() <= end, "{} is after {end}", scene.world.now());
    scene.world.set_faults(FaultPlan::none());
    scene.check();
    result
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_savepoint_is_what_the_cluster_has(seed: u64, faults in 0_u64..40) {
        let scene = Scene::new(seed);
        let job = scene.launch(&Program::endless("job")).job;
        let plan = hostile(seed).at_most(faults);
        match run(&scene, plan, TakeSavepoint::new(job).timeout(LIMIT)) {
            Ok(savepoint) => {
                let paths = scene.cluster.with(|cluster| cluster.savepoints());
                prop_assert!(paths.iter().any(|known| known.path == savepoint.location), "{savepoint:?}");
            }
            Err(FlowError::Ambiguous(_) | FlowError::Deadline { .. } | FlowError::Failed(_)) => {}
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn a_stopped_job_has_ended(seed: u64, faults in 0_u64..40, breaks: bool) {
        let scene = Scene::new(seed);
        let program = Program::endless("job");
        let job = scene.launch(&if breaks { program.fails_while_stopping() } else { program }).job;
        let plan = hostile(seed).at_most(faults);
        match run(&scene, plan, StopWithSavepoint::new(job).timeout(LIMIT)) {
            Ok(stopped) => {
                let ended = stopped.state.as_ref().map_or("FINISHED", |state| state.as_str());
                prop_assert!(scene.job(job).is_none_or(|job| job.state == ended));
                let savepoints = scene.cluster.with(|cluster| cluster.savepoints());
                prop_assert!(savepoints.iter().any(|known| known.path == stopped.location));
            }
            Err(error @ (FlowError::Ambiguous(_) | FlowError::Deadline { .. } | FlowError::Failed(_))) => {
                // What it says of the savepoint and of the job is true.
                if let Some(known) = JobDiagnosis::of(&error) {
                    let written = scene.cluster.with(|cluster| cluster.savepoints());
                    prop_assert!(
                        known.savepoint.iter().all(|path| written.iter().any(|one| one.path == *path)), "{error:?}"
                    );
                    if let JobLookup::State(state) = &known.lookup {
                        let job = scene.job(job).filter(|_| state.is_terminal());
                        prop_assert!(job.is_none_or(|job| job.state == state.as_str()), "{error:?}");
                    }
                }
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn a_checkpoint_or_a_word_on_why_not(seed: u64, faults in 0_u64..40) {
        let scene = Scene::new(seed);
        let job = scene.launch(&Program::endless("job").checkpoint_interval(None)).job;
        let plan = hostile(seed).at_most(faults);
        match run(&scene, plan, TriggerCheckpoint::new(job).timeout(LIMIT)) {
            Ok(number) => prop_assert!(number > 0),
            Err(FlowError::Ambiguous(_) | FlowError::Deadline { .. } | FlowError::Failed(_)) => {}
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn a_jar_runs_once_or_the_error_says_what_is_known(seed: u64, faults in 0_u64..40, kind in 0..4, retain: bool) {
        let scene = Scene::with(seed, retain);
        scene.world.set_faults(hostile(seed).at_most(faults));
        let jar = exiting(Program::endless("job"), kind).jar();
        let mut saved = None;
        let keep = |notice| if let Notice::Persist(state) = notice { saved = Some(state) };
        let result = scene.flink.run_with(RunJar::upload("job.jar", jar.clone()).timeout(LIMIT), keep);
        is_true(&scene, &result)?;
        // Nor does a resumed one kill another JobManager, or run the jar twice.
        if let (Err(_), Some(saved)) = (&result, &saved) {
            let goal = RunJar::resume(saved).expect("its own state").with_jar("job.jar", jar);
            let result = run(&scene, hostile(seed.rotate_left(7)).at_most(faults), goal.timeout(LIMIT));
            is_true(&scene, &result)?;
        }
    }

    #[test]
    fn a_cancelled_job_has_ended(seed: u64, faults in 0_u64..40) {
        let scene = Scene::new(seed);
        let job = scene.launch(&Program::endless("job")).job;
        scene.world.set_faults(FaultPlan::hostile(seed).at_most(faults));
        // Longer than all the faults can hold it up, so that the time is never up.
        let result = scene.flink.run(Cancel::new(job).timeout(Duration::from_secs(3600)));
        scene.world.set_faults(FaultPlan::none());
        scene.check();
        match result {
            Ok(report) => {
                prop_assert!(scene.job(job).is_none_or(|job| job.state == report.state.as_str()), "{:?}", report);
                prop_assert!(report.state.is_terminal());
            }
            Err(FlowError::Ambiguous(_) | FlowError::Transport(_) | FlowError::Service(_)) => {}
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn a_rescaled_job_has_its_parallelism(seed: u64, faults in 0_u64..40, parallelism in 1_u32..=4) {
        let scene = Scene::new(seed);
        let job = scene.launch(&Program::endless("job")).job;
        let plan = FaultPlan::hostile(seed).at_most(faults);
        match run(&scene, plan, Rescale::to(job, parallelism).timeout(LIMIT)) {
            Ok(rescaled) => {
                prop_assert!(rescaled.parallelism.values().all(|has| *has == parallelism), "{rescaled:?}");
                prop_assert_eq!(scene.job(job).map(|job| job.parallelism), Some(parallelism));
            }
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }

    #[test]
    fn a_disposed_savepoint_is_gone(seed: u64, faults in 0_u64..40, exists: bool) {
        let scene = Scene::new(seed);
        let job = scene.launch(&Program::endless("job")).job;
        let kept = scene.flink.run(TakeSavepoint::new(job)).expect("nothing goes wrong yet").location;
        let path = if exists { kept.clone() } else { "file:/savepoints/savepoint-0".to_owned() };
        let plan = FaultPlan::hostile(seed).at_most(faults);
        match run(&scene, plan, DisposeSavepoint::new(&*path).timeout(LIMIT)) {
            // Without a doubt that it was there it is no success that it is not.
            Ok(removed) => prop_assert!(exists || removed.was_gone),
            Err(FlowError::Failed(failure)) => prop_assert!(!exists, "{failure:?}"),
            Err(error) => {
                prop_assert!(is_honest(&error), "{error:?}");
                let open = matches!(error, FlowError::Ambiguous(_) | FlowError::Deadline { .. });
                prop_assert!(open || scene.cluster.with(|cluster| cluster.is_stored(&kept)), "{error:?}");
                return Ok(());
            }
        }
        prop_assert_eq!(scene.cluster.with(|cluster| cluster.is_stored(&kept)), !exists);
    }

    #[test]
    fn a_deleted_data_set_is_gone(seed: u64, faults in 0_u64..40) {
        let scene = Scene::new(seed);
        let (gone, stays) = (DatasetId::from_bits(1), DatasetId::from_bits(2).to_string());
        scene.cluster.with(|cluster| {
            cluster.add_dataset(&gone.to_string());
            cluster.add_dataset(&stays);
        });
        match run(&scene, FaultPlan::hostile(seed).at_most(faults), DeleteDataset::new(gone).timeout(LIMIT)) {
            Ok(removed) => {
                prop_assert!(!removed.was_gone);
                prop_assert_eq!(scene.cluster.with(|cluster| cluster.datasets()), [stays]);
            }
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }

    #[test]
    fn a_flame_graph_comes_whole(seed: u64, faults in 0_u64..40) {
        let scene = Scene::new(seed);
        let job = scene.launch(&Program::endless("job")).job;
        let vertex = scene.flink.call(GetJob::new(job)).expect("nothing goes wrong yet").vertices[0].id;
        match run(&scene, FaultPlan::hostile(seed).at_most(faults), SampleFlameGraph::new(job, vertex).timeout(LIMIT)) {
            Ok(graph) => {
                let mut node = &graph.data.expect("it is ready");
                let mut depth = 1;
                while let Some(child) = node.children.first() {
                    (node, depth) = (child, depth + 1);
                }
                prop_assert_eq!(depth, 100);
            }
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }

    #[test]
    fn a_profile_is_what_was_asked_for(seed: u64, faults in 0_u64..40, of_task_manager: bool) {
        let scene = Scene::new(seed);
        let goal = if of_task_manager {
            Profile::task_manager("127.0.0.1:44883-f8bb4a", ProfileMode::Wall, 5)
        } else {
            Profile::job_manager(ProfileMode::Wall, 5)
        };
        let before = i64::try_from(scene.world.now().as_millis()).expect("it is not that late");
        match run(&scene, FaultPlan::hostile(seed).at_most(faults), goal.timeout(LIMIT)) {
            Ok(profiled) => {
                let info = profiled.info;
                prop_assert!(
                    info.mode == ProfileMode::Wall && info.duration == 5 && info.trigger_time.0 >= before, "{info:?}"
                );
                prop_assert!(profiled.page.0.contains(&info.output_file.expect("a file")));
            }
            // A JobManager that is restarted forgets what it was doing.
            Err(FlowError::Failed(failure)) => {
                prop_assert!(failure.reason.contains("no longer listed"), "{failure:?}");
            }
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }

    #[test]
    fn metrics_are_those_of_the_job(seed: u64, faults in 0_u64..40, subtask in 0_u32..2) {
        let scene = Scene::new(seed);
        let job = scene.launch(&Program::endless("job").parallelism(2)).job;
        let vertex = scene.flink.call(GetJob::new(job)).expect("nothing goes wrong yet").vertices[1].id;
        let goal = ReadMetrics::of_vertex(job, vertex).timeout(LIMIT);
        match run(&scene, FaultPlan::hostile(seed).at_most(faults), goal) {
            Ok(metrics) => {
                let names: BTreeSet<_> = metrics.iter().map(|metric| &metric.id).collect();
                prop_assert_eq!(names.len(), metrics.len(), "each once");
                let wanted = format!("{subtask}.numRecordsIn");
                let read = metrics.iter().find(|metric| metric.id == wanted).and_then(Metric::number);
                let restarted = scene.world.trace().iter().any(|event| matches!(event.what, Incident::Restart { .. }));
                // A JobManager that is restarted may have forgotten some between two requests.
                prop_assert!(restarted || read.is_some_and(|records| records > 0.0), "{metrics:?}");
            }
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }

    #[test]
    fn an_awaited_checkpoint_is_new(seed: u64, faults in 0_u64..40, ends: bool) {
        let scene = Scene::new(seed);
        let program = if ends { Program::bounded("job", 2000).rate(100) } else { Program::endless("job") };
        let job = scene.launch(&program).job;
        let before = scene.flink.run(AwaitCheckpoint::any(job)).expect("nothing goes wrong yet").id;
        match run(&scene, FaultPlan::hostile(seed).at_most(faults), AwaitCheckpoint::next(job).timeout(LIMIT)) {
            Ok(checkpoint) => prop_assert!(checkpoint.id > before && !checkpoint.is_savepoint, "{checkpoint:?}"),
            Err(FlowError::Failed(failure)) => prop_assert!(ends, "{failure:?}"),
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }

    #[test]
    fn a_watched_job_is_told_once(seed: u64, faults in 0_u64..40, failures in 0_u32..4) {
        let scene = Scene::new(seed);
        let program = Program::bounded("job", 3000).rate(100);
        let program = program.fails_after(Duration::from_secs(4)).restarts(10).fails_times(failures);
        let job = scene.flink.run(RunJar::upload("job.jar", program.jar())).expect("nothing goes wrong yet").job;
        scene.world.set_faults(FaultPlan::hostile(seed).at_most(faults));
        let mut watch = WatchJob::new(job).start(scene.flink.config(), Seed::new(u128::from(seed)));
        let (mut states, mut exceptions) = (Vec::new(), Vec::new());
        let end = loop {
            match pipewright::driver::run(&mut watch, &scene.world, &NoCredentials, ignore_notices) {
                Ok(JobEvent::State(state)) => states.push(state),
                Ok(JobEvent::Exception(exception)) => exceptions.push(exception.timestamp),
                Ok(JobEvent::Ended(report)) => break Ok(report),
                Ok(event) => prop_assert!(false, "{event:?}"),
                Err(error) => break Err(error),
            }
        };
        prop_assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{states:?}");
        prop_assert!(exceptions.windows(2).all(|pair| pair[0] < pair[1]), "once, and in order: {exceptions:?}");
        let restarted = scene.world.trace().iter().any(|event| matches!(event.what, Incident::Restart { .. }));
        match end {
            Ok(report) => {
                prop_assert_eq!(Some(&report.state), states.last());
                // A JobManager that was restarted has forgotten what had happened before.
                prop_assert!(restarted || exceptions.len() == failures as usize, "{exceptions:?}");
                let again = pipewright::driver::run(&mut watch, &scene.world, &NoCredentials, ignore_notices);
                prop_assert!(matches!(again, Err(FlowError::Misuse(_))));
            }
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }
}

/// Programs whose main method kills the JobManager, for the kinds 1 to 3.
fn exiting(program: Program, kind: i32) -> Program {
    match kind {
        1 => program.exits(Exits::Always),
        2 => program.exits(Exits::BeforeExecute),
        3 => program.exits(Exits::AfterExecute),
        _ => program,
    }
}

/// The outcome of a run: there is one job at the most, at the most one JobManager died of its main method, and what the
/// result says is true.
fn is_true(scene: &Scene, result: &Result<Launched, FlowError>) -> Result<(), TestCaseError> {
    let jobs = scene.jobs();
    prop_assert!(jobs.len() <= 1, "{jobs:?}");
    prop_assert!(scene.deaths() <= 1, "{result:?}");
    match result {
        Ok(launched) => prop_assert_eq!(launched.job.to_string(), &*jobs[0].id),
        Err(FlowError::Ambiguous(_)) => {}
        Err(error) => prop_assert!(jobs.is_empty(), "{} although {:?}", error, jobs),
    }
    Ok(())
}

/// What a flow may run into while everything goes wrong.
fn is_honest(error: &FlowError) -> bool {
    use FlowError::{Ambiguous, Deadline, Service, Transport};
    matches!(error, Ambiguous(_) | Deadline { .. } | Transport(_) | Service(_))
}

/// Drives a flow for a number of steps, as a process that crashes then; what it saved last is kept.
fn drive_some<F: Flow>(
    world: &World,
    mut flow: F,
    steps: usize,
    saved: &mut Option<SavedState>,
) -> Option<Result<F::Output, FlowError>> {
    let mut reply = None;
    for _ in 0..steps {
        match flow.poll(world.now(), reply.take()) {
            Step::Send(exchange) => {
                let answer = world.send(&exchange);
                reply = Some(exchange.settle(answer));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => world.sleep_until(at),
            Step::Notice(Notice::Persist(state)) => {
                // Through text, as on a disk.
                let text = serde_json::to_string(&state).expect("serialisable");
                *saved = Some(serde_json::from_str(&text).expect("readable"));
            }
            Step::Notice(_) => {}
            Step::Authorize(_) | Step::Stray(_) => panic!("no credentials, no other flow"),
            Step::Done(result) => return Some(result),
        }
    }
    None
}

/// A reply of another flow changes nothing, at any moment of a flow's life.
#[test]
fn replies_of_other_flows_are_handed_back() {
    let scene = Scene::new(1);
    let old = scene.launch(&Program::endless("old"));
    let mut flow = upgrade(&old, 0).start(scene.flink.config(), Seed::new(1));
    let mut reply = None;
    let upgraded = loop {
        let mut other = AwaitJob::ended(old.job).start(scene.flink.config(), Seed::new(2));
        let foreign = loop {
            match other.poll(scene.world.now(), None) {
                Step::Send(exchange) => break exchange.settle(Ok(http::Response::new("{}".into()))),
                step => assert!(matches!(step, Step::Notice(_)), "{step:?}"),
            }
        };
        let Step::Stray(foreign) = flow.poll(scene.world.now(), Some(foreign)) else {
            panic!("it was not this flow's")
        };
        // Nothing was changed about it either: its own flow takes it.
        assert!(!matches!(other.poll(scene.world.now(), Some(foreign)), Step::Stray(_)));
        match flow.poll(scene.world.now(), reply.take()) {
            Step::Send(exchange) => {
                let answer = scene.world.send(&exchange);
                reply = Some(exchange.settle(answer));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => scene.world.sleep_until(at),
            Step::Notice(_) => {}
            Step::Authorize(_) | Step::Stray(_) => panic!("no credentials, no other flow"),
            Step::Done(result) => break result,
        }
    };
    assert!(matches!(upgraded, Ok(Upgrade::Upgraded { .. })), "{upgraded:?}");
}

/// An id that the cluster has forgotten is not sent again; the flow looks, and says what it found.
#[test]
fn a_forgotten_trigger_ends_as_outcome_unknown() {
    let scene = Scene::new(7);
    let job = scene.launch(&Program::endless("job")).job;
    let flow = TakeSavepoint::new(job).start(scene.flink.config(), Seed::new(3));
    let mut saved = None;
    // Up to the answer to the trigger, and no further.
    let steps = 10;
    assert!(drive_some(&scene.world, flow, steps, &mut saved).is_none());
    let saved = saved.expect("saved before it was sent");
    assert!(saved.state.contains(r#""acknowledged":true"#), "{saved:?}");
    // Longer than results are kept.
    scene.world.sleep_until(scene.world.now() + Duration::from_secs(600));
    let error = scene.flink.run(TakeSavepoint::resume(&saved).expect("its own state")).expect_err("unknown outcome");
    let FlowError::Ambiguous(ambiguity) = &error else { panic!("{error:?}") };
    let found = ambiguity.found.as_deref().expect("it went to look");
    assert!(found.contains("RUNNING") && found.contains("file:/savepoints/"), "{found}");
    assert_eq!(scene.cluster.with(|cluster| cluster.savepoints()).len(), 1, "never a second savepoint");
}

/// A trigger that was announced but never sent is sent by a process that resumes, as long as it is young; later the
/// outcome would be unknown.
#[test]
fn an_announced_trigger_is_sent_while_it_is_young() {
    for (age, sent) in [(Duration::from_secs(200), true), (Duration::from_secs(400), false)] {
        let scene = Scene::new(9);
        let job = scene.launch(&Program::endless("job")).job;
        let flow = TakeSavepoint::new(job).start(scene.flink.config(), Seed::new(4));
        let mut saved = None;
        // A phase, the state, and the notice before the request.
        assert!(drive_some(&scene.world, flow, 3, &mut saved).is_none());
        assert!(scene.cluster.with(|cluster| cluster.savepoints()).is_empty());
        scene.world.sleep_until(scene.world.now() + age);
        let result = scene.flink.run(TakeSavepoint::resume(&saved.expect("saved")).expect("its own state"));
        assert_eq!(result.is_ok(), sent, "{result:?}");
        assert_eq!(scene.cluster.with(|cluster| cluster.savepoints()).len(), usize::from(sent));
    }
}

/// States are told apart by their flow.
#[test]
fn a_saved_state_of_another_goal_is_rejected() {
    let saved: SavedState =
        serde_json::from_str(r#"{"flow":"TakeSavepoint","state":"{\"trigger\":{}}"}"#).expect("a state");
    assert!(matches!(StopWithSavepoint::resume(&saved), Err(FlowError::Misuse(_))));
    assert!(matches!(TakeSavepoint::resume(&saved), Err(FlowError::Misuse(_))), "its flow, but not its shape");
}

/// Ten thousand flows on one thread and one clock.
#[test]
fn thousands_of_flows_share_a_thread() {
    let scene = Scene::new(11);
    let job = scene.launch(&Program::bounded("job", 1000)).job;
    let flows =
        (0..10_000_u32).map(|number| AwaitJob::ended(job).start(scene.flink.config(), Seed::new(u128::from(number))));
    let results = scene.world.run_all(flows);
    assert_eq!(results.len(), 10_000);
    assert!(results.into_iter().all(|result| result.is_ok_and(|report| report.state == JobState::Finished)));
}

/// Flows that share a driver with missing credentials ask for none.
#[test]
fn no_credential_is_asked_for_unless_configured() {
    let scene = Scene::new(12);
    let flow = RunJar::upload("a.jar", Program::bounded("a", 1).jar()).start(scene.flink.config(), Seed::new(1));
    let launched = pipewright::driver::run(flow, &scene.world, &NoCredentials, ignore_notices).expect("none is needed");
    assert!(scene.world.now() > Timestamp::UNIX_EPOCH && launched.job != JobId::from_bits(0));
}

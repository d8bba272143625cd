//! The flows about data in virtual time, with random faults and a second client that changes the pipeline. Each flow
//! ends in time, and reports what the simulated processes did.

mod delivery;
mod ingest;

use std::cell::RefCell;
use std::time::Duration;

use pipewright::Seed;
use pipewright::driver::{self, NoCredentials};
use pipewright::error::FlowError;
use pipewright::feldera::data::{DataFormat, HttpInput, UpdateFormat};
use pipewright::feldera::{
    AwaitCompletion, AwaitConnectorsFinished, Checkpoint, IngestEvent, Interruption, SyncCheckpoint, Transaction,
    TransactionEvent,
};
use pipewright::flow::{Flow, Goal as _};
use pipewright_mock::feldera::{Config, Edition, History, PipelineView, Release};
use pipewright_mock::schedule::{Schedule, class_of};
use pipewright_mock::{FaultPlan, World};
use pipewright_tests::rival_client::{
    ACTS, Act, Coverage, FAULTS, LIMIT, Moment, RELEASES, RivalScene, SQL, Trial, hostile, polite, rivalry, schedule,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::delivery::what_is_delivered_was_read;
use self::ingest::{
    Fate, ingest, is_bad, judge, push, rows_come_in_as_often_as_they_are_said_to, small,
    what_is_complete_has_gone_through,
};

/// 256 cases, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// A pipeline that runs, with a checkpoint in its storage if it can have one.
fn scene(seed: u64, release: Release) -> RivalScene {
    scene_of(seed, release, SQL)
}

fn scene_of(seed: u64, release: Release, sql: &str) -> RivalScene {
    let scene = RivalScene::new(seed, Config { release, edition: Edition::Enterprise, ..Config::default() });
    scene.put(sql);
    scene.pass(5000);
    scene.now(Act::Start);
    scene.pass(5000);
    scene
}

fn any_release() -> impl Strategy<Value = Release> {
    (0..Release::ALL.len()).prop_map(|at| Release::ALL[at])
}

/// What a second client does that uses the data too, within the next ten seconds.
fn data_rivalry(seed: u64, acts: u64) -> Vec<(u64, Act)> {
    let post = |target: &str, body: &str| Act::Request("POST", format!("/pipelines/p/{target}"), body.to_owned());
    let mut draw = Seed::new(u128::from(seed)).split();
    let mut all = rivalry(seed, acts / 2);
    for _ in acts / 2..acts {
        let act = match draw.below(10) {
            0..3 => post("ingress/t?format=json", "{\"insert\":{\"id\":1000001}}\n{\"insert\":{\"id\":\"bad\"}}\n"),
            3..5 => post("start_transaction", ""),
            5..7 => post("commit_transaction", ""),
            7 => post(if draw.below(2) == 0 { "checkpoint" } else { "checkpoint/sync" }, ""),
            8 => post("ingress/t?format=json&update_format=weighted", "{}"),
            _ => Act::Pause,
        };
        all.push((1 + draw.below(10_000), act));
    }
    all
}

fn history(scene: &RivalScene) -> History {
    scene.with(|manager| manager.history("p"))
}

/// The process that answered the flow first. Before any did so, the process that was there: it gave out the token.
fn asked<T>(trial: &Trial<T>) -> Option<String> {
    let answered = |moment: &&Moment| {
        let of_process = |(_, target, status): &(String, String, u16)| *status == 200 && !target.contains("selector=");
        moment.request.as_ref().is_some_and(of_process)
    };
    let process = |moment: &Moment| moment.view.as_ref()?.incarnation.clone();
    trial.history.iter().filter(answered).find_map(process).or_else(|| trial.history.iter().find_map(process))
}

/// What a flow says that it ended with, held against what really happened.
fn assert_honest<T>(trial: &Trial<T>, error: &FlowError) {
    let stopped = |view: &PipelineView| {
        view.desired_status == "Stopped" || view.desired_status == "Suspended" || view.process.is_none()
    };
    let truth = match Interruption::of(error) {
        Some(Interruption::Restarted) => asked(trial).is_some_and(|process| trial.last().incarnation != Some(process)),
        Some(Interruption::Stopped) => trial.ever(stopped),
        // The process says so before the manager knows.
        Some(Interruption::Crashed(_)) => {
            let told = |moment: &Moment| moment.request.as_ref().is_some_and(|(_, _, status)| *status == 500);
            trial.ever(|view| view.error.is_some()) || trial.history.iter().any(told)
        }
        Some(Interruption::Paused) => trial.ever(|view| view.process.as_deref() != Some("Running")),
        Some(Interruption::AwaitingApproval) => trial.ever(|view| view.process.as_deref() == Some("AwaitingApproval")),
        Some(Interruption::Wedged { initiated, completed, .. }) => {
            trial.ever(|view| view.steps == (*initiated, *completed) && initiated > completed)
        }
        Some(other) => panic!("not about data: {other:?}"),
        None => match error {
            // A process that ends is not the whole answer: why shows within seconds, and is waited for.
            FlowError::Service(error) if matches!(error.code(), Some("Terminating" | "RuntimeError.WorkerPanic")) => {
                trial.lost
            }
            FlowError::Ambiguous(_) | FlowError::Service(_) | FlowError::Transport(_) => {
                trial.lost || trial.is_contested()
            }
            // A transaction that no client commits holds everything back.
            FlowError::Deadline { .. } => trial.is_slow() || trial.ever(|view| view.transaction.is_some()),
            _ => false,
        },
    };
    assert!(truth, "{error:?} is not what happened: {:#?}", trial.history);
}

/// So short that a circuit that stands still is told before the time is up, after some slow answers too.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happens in a case, whichever flow it happens to.
#[derive(Clone, Copy, Debug)]
struct Case {
    seed: u64,
    release: Release,
    faults: u64,
    acts: u64,
    rows: u64,
    is_odd: bool,
}

impl Case {
    /// A pipeline that runs, and a rival.
    fn scene(self) -> RivalScene {
        let scene = scene(self.seed, self.release);
        scene.rival(data_rivalry(self.seed, self.acts));
        scene
    }

    fn plan(self) -> FaultPlan {
        hostile(self.seed).at_most(self.faults)
    }
}

/// Without other clients and lost answers, it succeeds.
fn assert_success<T: std::fmt::Debug>(trial: &Trial<T>) {
    assert!(!trial.is_untouched() || trial.result.is_ok(), "{:?}", trial.result);
}

/// Without what came of it.
fn told<T>(trial: Trial<T>) -> Trial<()> {
    let Trial { result, history, lost, faults } = trial;
    Trial { result: result.map(drop), history, lost, faults }
}

fn a_transaction_is_what_it_says(case: Case) -> Trial<()> {
    let scene = scene(case.seed, case.release);
    scene.rival(data_rivalry(case.seed, case.acts));
    let goal = if case.is_odd { Transaction::new("p").take_over() } else { Transaction::new("p") };
    let mut started = None;
    let trial = scene.trial(case.plan(), |feldera| {
        let mut transaction = goal.stall_timeout(PATIENCE).timeout(LIMIT).start(feldera.config(), feldera.seed());
        let mut next = || driver::run(&mut transaction, feldera.runtime(), &NoCredentials, driver::ignore_notices);
        if let TransactionEvent::Started { id, .. } = next()? {
            started = Some(id);
        }
        transaction.commit();
        driver::run(&mut transaction, feldera.runtime(), &NoCredentials, driver::ignore_notices)
    });
    let view = |id: i64| history(&scene).transactions.into_iter().filter(move |one| i64::try_from(one.id) == Ok(id));
    if let Some(id) = started {
        assert!(view(id).count() > 0);
        let ours = trial.history.iter().any(|moment| {
            let transaction = moment.view.as_ref().and_then(|view| view.transaction);
            let asked = moment
                .request
                .as_ref()
                .is_some_and(|(_, target, status)| target.ends_with("start_transaction") && *status == 200);
            asked && transaction.and_then(|id| i64::try_from(id).ok()) == Some(id)
        });
        assert!(ours || case.is_odd, "{:?}", trial.history);
    }
    match &trial.result {
        Ok(event) => {
            let TransactionEvent::Committed { id, .. } = event else { panic!("{event:?}") };
            // The last process that answered: a poll whose answer was delivered twice may meet the end of the process
            // the second time.
            let answered = |moment: &&Moment| moment.request.as_ref().is_some_and(|(_, _, status)| *status == 200);
            let process =
                trial.history.iter().rev().find(answered).and_then(|moment| moment.view.as_ref()?.incarnation.clone());
            assert!(view(*id).any(|one| Some(one.incarnation) == process && one.committed.is_some()));
        }
        Err(FlowError::Service(error)) if error.code() == Some("TransactionInProgress") => {
            assert!(trial.ever(|view| view.transaction.is_some()));
        }
        // Another client's, and it was there before.
        Err(FlowError::Failed(failure)) if failure.cause().is_none() => {
            let is_it = |moment: &Moment| {
                let id = moment.view.as_ref().and_then(|view| view.transaction);
                id.is_some_and(|id| failure.reason.starts_with(&format!("transaction {id} was open")))
            };
            // Each process starts to count again.
            let opened = trial.history.windows(2).rev().find(|pair| !is_it(&pair[0]) && is_it(&pair[1]));
            let is_others = opened.map_or_else(|| is_it(&trial.history[0]), |pair| pair[1].request.is_none());
            assert!(is_others, "{failure:?}: {opened:?}");
        }
        Err(error) => assert_honest(&trial, error),
    }
    assert_success(&trial);
    told(trial)
}

fn a_checkpoint_that_is_made_was_made(case: Case) -> Trial<()> {
    let scene = scene(case.seed, case.release);
    scene.with(|manager| manager.fail_checkpoints("p", case.is_odd));
    scene.rival(data_rivalry(case.seed, case.acts));
    let trial = scene.run(case.plan(), Checkpoint::new("p").timeout(LIMIT));
    match &trial.result {
        Ok(made) => {
            let asked = history(&scene).checkpoints;
            // Before 0.337 the process is not named.
            let of_process = |process: &String| made.process.as_ref().is_none_or(|named| named == process);
            let mut ours = asked.iter().filter(|one| of_process(&one.incarnation) && one.sequence == made.number);
            assert!(ours.any(|one| one.made.is_some()), "{made:?}: {asked:?}");
        }
        // It says that it failed, and it did.
        Err(FlowError::Failed(failure)) if Interruption::of(&FlowError::Failed(failure.clone())).is_none() => {
            assert!(case.is_odd, "{failure:?}");
        }
        Err(error) => assert_honest(&trial, error),
    }
    assert!(case.is_odd || !trial.is_untouched() || trial.result.is_ok(), "{:?}", trial.result);
    told(trial)
}

fn a_checkpoint_that_is_sent_is_there(case: Case) -> Trial<()> {
    let scene = scene(case.seed, case.release);
    scene.feldera.run(Checkpoint::new("p")).expect("nothing goes wrong yet");
    // Nothing fails; an earlier attempt has failed; this one fails, too.
    let failures = if case.is_odd { 1 + case.rows % 2 } else { 0 };
    if failures > 0 {
        scene.with(|manager| manager.fail_syncs("p", true));
        scene.now(Act::Request("POST", "/pipelines/p/checkpoint/sync".to_owned(), String::new()));
        scene.pass(1000);
        scene.with(|manager| manager.fail_syncs("p", failures > 1));
    }
    let earlier = history(&scene).syncs.len();
    scene.rival(data_rivalry(case.seed, case.acts));
    let trial = scene.run(case.plan(), SyncCheckpoint::new("p").timeout(LIMIT));
    let mut sent = history(&scene).syncs.into_iter().skip(earlier);
    match &trial.result {
        Ok(synced) => assert!(sent.any(|one| one.succeeded && one.checkpoint == synced.checkpoint), "{synced:?}"),
        // It says that it failed, and it did.
        Err(FlowError::Failed(failure)) if failure.cause().is_none() => {
            assert!(sent.any(|one| !one.succeeded && failure.what.contains(&one.checkpoint)), "{failure:?}");
        }
        // A failure like the failure before is not believed for a minute, which together with a slow answer is too
        // long.
        Err(FlowError::Deadline { .. }) if failures > 1 && !trial.faults.is_empty() => {}
        Err(error) => assert_honest(&trial, error),
    }
    assert!(failures > 1 || !trial.is_untouched() || trial.result.is_ok(), "{:?}", trial.result);
    told(trial)
}

/// A table that fills itself.
const FILLED: &str = "CREATE TABLE t (id BIGINT NOT NULL) WITH ('connectors' = '[{\"name\": \"gen\", \"transport\": {\"name\": \"datagen\", \"config\": {\"plan\": [{\"limit\": 40, \"rate\": 20}]}}}]');\nCREATE MATERIALIZED VIEW v AS SELECT * FROM t;";

fn what_connectors_took_in_has_gone_through(case: Case) -> Trial<()> {
    let scene = scene_of(case.seed, case.release, FILLED);
    let control =
        |action: &str| Act::Request("POST", format!("/pipelines/p/tables/t/connectors/gen/{action}"), String::new());
    let mut acts = data_rivalry(case.seed, case.acts);
    if case.acts > 8 {
        acts.extend([(case.seed % 2000, control("pause")), (case.seed % 4000, control("start"))]);
    }
    scene.rival(acts);
    let trial = scene.run(case.plan(), AwaitConnectorsFinished::all("p").stall_timeout(PATIENCE).timeout(LIMIT));
    let rests = |moment: &Moment| moment.act.as_ref().is_some_and(|act| act.name() == "tables");
    match &trial.result {
        Ok(finished) => {
            let last = trial.last();
            let made = history(&scene).taken.into_iter().filter(|taken| {
                Some(&taken.incarnation) == last.incarnation.as_ref()
                    && taken.row["id"].as_u64().is_some_and(|id| id < 40)
            });
            let steps: Vec<u64> = made.map(|taken| taken.step).collect();
            assert!(steps.iter().all(|step| *step <= last.steps.1), "not processed: {last:?}");
            let told: Option<u64> = finished.iter().map(|connector| connector.records).sum();
            assert_eq!(told, Some(steps.len() as u64));
            assert!(!trial.is_untouched() || told == Some(40), "{finished:?}");
        }
        // The flow waits for a pipeline that another client paused.
        Err(FlowError::Deadline { .. }) if trial.history.iter().any(rests) => {}
        Err(error) => assert_honest(&trial, error),
    }
    assert_success(&trial);
    told(trial)
}

/// Runs a flow, and holds what happened against what it says.
type Check = fn(Case) -> Trial<()>;

const FLOWS: [(&str, Check); 7] = [
    ("Ingest", rows_come_in_as_often_as_they_are_said_to),
    ("AwaitCompletion", what_is_complete_has_gone_through),
    ("AwaitDelivery", what_is_delivered_was_read),
    ("Transaction", a_transaction_is_what_it_says),
    ("Checkpoint", a_checkpoint_that_is_made_was_made),
    ("SyncCheckpoint", a_checkpoint_that_is_sent_is_there),
    ("AwaitConnectors", what_connectors_took_in_has_gone_through),
];

/// Whatever a second client does and whatever goes wrong. Prints how often which of it met which flow.
#[test]
fn every_data_flow_tells_the_truth() {
    // Enough for everything to meet every flow.
    let config = ProptestConfig { cases: cases().cases * 2, ..cases() };
    let coverage = RefCell::new(Coverage::default());
    let case = (any::<u64>(), any_release(), 0_u64..30, 0_u64..16, 0_u64..40, any::<bool>());
    let mut runner = TestRunner::new(config.clone());
    let result = runner.run(&case, |(seed, release, faults, acts, rows, is_odd)| {
        for (number, (name, flow)) in (0..).zip(FLOWS) {
            let trial = flow(Case { seed: seed.wrapping_add(number), release, faults, acts, rows, is_odd });
            coverage.borrow_mut().add(name, release, &trial);
        }
        Ok(())
    });
    let what = [&FAULTS[..], &ACTS, &DATA_ACTS, &RELEASES].concat();
    coverage.into_inner().conclude(result, config.cases >= 512, &what);
}

/// What [`data_rivalry`] does besides.
const DATA_ACTS: [&str; 4] = ["ingress", "start_transaction", "commit_transaction", "checkpoint"];

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn alone_and_without_a_lost_reply_every_row_comes_in_once(
        seed: u64, release in any_release(), faults in 0_u64..20, rows in 0_u64..60,
    ) {
        let scene = scene(seed, release);
        let mut fate = Fate::default();
        let trial =
            scene.trial(polite(seed).at_most(faults), |feldera| ingest(feldera, seed, 0..rows, small(seed), &mut fate));
        judge(&scene, &trial, &fate, rows);
        prop_assert!(trial.result.is_ok(), "{:?}", trial.result);
        prop_assert!((0..rows).filter(|row| !is_bad(*row)).all(|row| fate.times[&row] == (1, 1)));
        prop_assert!((0..rows).filter(|row| is_bad(*row)).eq(fate.rejected.iter().copied()));
    }

    /// A driver may poll too often, too late, and with another flow's replies.
    #[test]
    fn no_driver_confuses_a_data_flow(seed: u64, release in any_release(), faults in 0_u64..10) {
        let scene = scene(seed, release);
        let rows = HttpInput::new("p", "t", DataFormat::Json, "{\"id\":1}{\"id\":2}").update_format(UpdateFormat::Raw);
        let token = scene.feldera.call(rows).expect("nothing goes wrong yet").token;
        let plan = || polite(seed).at_most(faults);
        let class = |class: &str| if class == "done" { Ok(()) } else { Err(class.to_owned()) };
        for turn in 0..4 {
            let trial = scene.trial(plan(), |feldera| {
                let (config, id) = (feldera.config(), feldera.seed());
                let schedule = schedule(seed.wrapping_add(turn));
                Ok(match turn {
                    0 => scheduled(&scene.world, AwaitCompletion::new("p", token.clone()).start(config, id), &schedule),
                    1 => scheduled(&scene.world, Checkpoint::new("p").start(config, id), &schedule),
                    2 => scheduled(&scene.world, SyncCheckpoint::new("p").start(config, id), &schedule),
                    _ => scheduled(&scene.world, AwaitConnectorsFinished::all("p").start(config, id), &schedule),
                })
            });
            prop_assert_eq!(trial.result.map(class).expect("a class"), Ok(()), "{}", turn);
        }
        let (config, plan) = (scene.feldera.config(), plan());
        scene.world.set_faults(plan);
        let mut transaction = Transaction::new("p").start(config, scene.feldera.seed());
        let mut ingestion = small(seed).start(config, scene.feldera.seed());
        for turn in 0..3 {
            if turn == 1 {
                (0..6).filter(|row| !is_bad(*row)).for_each(|row| assert!(push(&mut ingestion, row)));
                loop {
                    match scene.world.run_with_schedule(&mut ingestion, &NoCredentials, &schedule(seed)) {
                        Ok(IngestEvent::Accepted(_)) => {}
                        Ok(IngestEvent::Drained) => break,
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
            } else {
                prop_assert_eq!(
                    scheduled(&scene.world, &mut transaction, &schedule(seed.wrapping_add(9 + turn))), "done"
                );
            }
            transaction.commit();
        }
        prop_assert!(history(&scene).transactions.iter().all(|one| one.committed.is_some()));
    }
}

fn scheduled<F: Flow>(world: &World, flow: F, schedule: &Schedule) -> &'static str {
    class_of(&world.run_with_schedule(flow, &NoCredentials, schedule))
}

/// Found by [`every_data_flow_tells_the_truth`].
#[test]
fn cases_that_have_failed_once_pass() {
    a_transaction_is_what_it_says(Case {
        seed: 698_183_297_325_798_562,
        release: Release::V0_337,
        faults: 4,
        acts: 2,
        rows: 0,
        is_odd: false,
    });
    a_transaction_is_what_it_says(Case {
        seed: 18_205_055_943_372_991_640,
        release: Release::V0_337,
        faults: 5,
        acts: 6,
        rows: 0,
        is_odd: false,
    });
    a_transaction_is_what_it_says(Case {
        seed: 13_452_521_346_026_237_989,
        release: Release::V0_337,
        faults: 5,
        acts: 6,
        rows: 0,
        is_odd: false,
    });
}

//! The tool is killed at every notice and at every request, and is run again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use pipewright_mock::flink::Program;

use crate::relay::When;
use crate::stage::{Said, Stage};

/// Rounds that are under way at the same time. They wait for most of it.
const THREADS: usize = 24;

/// What is upgraded.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// Whether the old job runs already.
    with_job: bool,
    /// Whether the new jar cannot be run, so that the upgrade is rolled back.
    bad: bool,
}

const CASES: [Case; 4] = [
    Case { with_job: false, bad: false },
    Case { with_job: true, bad: false },
    Case { with_job: false, bad: true },
    Case { with_job: true, bad: true },
];

impl Case {
    fn stage(self) -> Stage {
        let next = Program::endless("new");
        let stage = Stage::new(&if self.bad { next.state_dropped() } else { next });
        if self.with_job { stage.with_job() } else { stage }
    }

    /// The exit code, and the program that runs at the end.
    fn end(self) -> (i32, &'static str) {
        if self.bad { (3, "old") } else { (0, "new") }
    }

    /// After these runs, of which the last run has ended by itself.
    fn check(self, stage: &Stage, runs: &[Said], context: &str) {
        let (code, program) = self.end();
        let context = format!("{self:?} {context}\n{runs:#?}");
        let results: Vec<_> = runs.iter().filter_map(Said::result).collect();
        assert!(!results.is_empty() && results.iter().all(|result| result["exit_code"] == code), "{context}");
        stage.check_end(program, &context);
    }
}

/// Does rounds 1, 2, 3… on some threads until one says that nothing was killed in it. Returns in how many something
/// was killed: threads begin more rounds than that.
fn every(round: impl Fn(u32) -> bool + Sync) -> u32 {
    let (next, killed, is_over) = (AtomicU32::new(1), AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let was_killed = round(next.fetch_add(1, Ordering::Relaxed));
                    killed.fetch_add(was_killed.into(), Ordering::Relaxed);
                    is_over.fetch_or(!was_killed, Ordering::Relaxed);
                }
            });
        }
    });
    killed.into_inner()
}

/// Runs the tool until it has ended: as an operator does, who runs the same command again as long as there is a state,
/// or no result.
fn until_it_ends(stage: &Stage, first: Said, mut run: impl FnMut() -> Said) -> Vec<Said> {
    let mut runs = vec![first];
    while stage.has_state() || runs.iter().all(|run| run.result().is_none()) {
        assert!(runs.len() < 5, "{runs:#?}");
        runs.push(run());
    }
    runs
}

fn abort_at(stage: &Stage, number: u32, when: &str) -> Said {
    Stage::run(stage.tool().env("FLINK_UPGRADE_ABORT_AT", format!("{number}:{when}")))
}

#[test]
fn killed_at_every_notice_it_ends_with_one_job() {
    // The last case has no notice that the others do not have.
    for case in &CASES[..3] {
        let rounds = every(|number| {
            ["before", "after"].into_iter().all(|when| {
                let stage = case.stage();
                let first = abort_at(&stage, number, when);
                let was_killed = first.code.is_none();
                let runs = until_it_ends(&stage, first, || Stage::run(&mut stage.tool()));
                case.check(&stage, &runs, &format!("killed {when} notice {number}"));
                was_killed
            })
        });
        println!("{case:?}: killed before and after each of {rounds} notices");
        assert!(rounds > 70, "{case:?}: only {rounds} notices");
    }
}

#[test]
fn killed_at_every_request_it_ends_with_one_job() {
    for case in CASES {
        let rounds = every(|number| {
            [When::Before, When::After].into_iter().all(|when| {
                let stage = case.stage();
                let (first, requests) =
                    stage.run_behind_relay(move |request, _, moment| (request, moment) == (number, when));
                assert!(first.code.is_some() || requests == number, "{first:?}");
                let was_killed = first.code.is_none();
                let runs = until_it_ends(&stage, first, || stage.run_behind_relay(|_, _, _| false).0);
                case.check(&stage, &runs, &format!("killed {when:?} request {number}"));
                was_killed
            })
        });
        println!("{case:?}: killed before and after each of {rounds} requests");
        assert!(rounds > 20, "{case:?}: only {rounds} requests");
    }
}

/// Whatever was done when it was killed, the old jar runs after that, and nothing else.
#[test]
fn killed_at_every_notice_it_can_be_rolled_back() {
    let case = CASES[1];
    let rounds = every(|number| {
        let stage = case.stage();
        let first = abort_at(&stage, number, "after");
        let (was_killed, has_reported) = (first.code.is_none(), first.result().is_some());
        if was_killed && stage.has_state() {
            let roll_back = || Stage::run(stage.tool().arg("--roll-back"));
            let last = roll_back();
            let alive = stage.alive();
            let context = format!("killed after notice {number}: {alive:#?}\n{first:#?}\n{last:#?}");
            match last.code {
                Some(3) => stage.check_end("old", &context),
                Some(5) => {
                    let is_first = |id: &str| id == stage.job() && !has_reported;
                    assert!(alive.len() == 1 && is_first(&alive[0].id) && alive[0].state == "RUNNING", "{context}");
                }
                _ => panic!("{context}"),
            }
        }
        was_killed
    });
    assert!(rounds > 70, "only {rounds} notices");
}

/// Killed at every notice, and again at every third one of the run that resumes.
#[test]
#[ignore = "takes five minutes of real time"]
fn killed_twice_it_ends_with_one_job() {
    for case in CASES {
        let rounds = every(|number| {
            (0..).map(|step| 1 + 3 * step).find_map(|second| {
                let stage = case.stage();
                let first = abort_at(&stage, number, "after");
                if first.code.is_some() {
                    return Some(false);
                }
                if first.result().is_some() && !stage.has_state() {
                    return Some(true);
                }
                let resumed = abort_at(&stage, second, "before");
                let was_killed_twice = resumed.code.is_none();
                let mut runs = vec![first];
                runs.extend(until_it_ends(&stage, resumed, || Stage::run(&mut stage.tool())));
                case.check(&stage, &runs, &format!("killed after notice {number}, then before notice {second}"));
                (!was_killed_twice).then_some(true)
            }) == Some(true)
        });
        println!("{case:?}: killed after each of {rounds} notices, and again while it was resumed");
    }
}

//! The writer under random faults, crashes and competitors, in virtual time: rows are in the table exactly once and in
//! order, or the writer has ended with an error that says which rows are unconfirmed.
//!
//! A [`Schedule`] is drawn from a number; the same number goes the same way every time. A number that fails is printed,
//! with all that happened, and goes to [`REGRESSIONS`].
//!
//! ```text
//! cargo test --release -p pipewright-tests --test snowpipe_flows schedules
//! WRITER_SCHEDULES=100000 cargo test --release -p pipewright-tests --test snowpipe_flows schedules
//! WRITER_SCHEDULE=4711 cargo test -p pipewright-tests --test snowpipe_flows schedules -- --nocapture
//! ```

/// Ends with what is wrong, unless it is right.
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

mod coverage;
mod rows;
mod run;
mod schedule;
mod sibling;
mod source;
mod strange;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use coverage::Coverage;
use run::Run;
use schedule::Schedule;

/// So many that everything happens that can; a few with a build that is not optimised.
const MANY: u64 = 10_000;

/// Schedules that have failed once: as they were at first, or with all that is drawn now.
const REGRESSIONS: &[(u64, &str)] = &[
    (46, "a redirection by the service itself was taken for a rejection, and its append for not carried out"),
    (2, "a node that does not know the channel yet was believed"),
    (720, "403 to a token that had come for a 401 ended the writer"),
    (7347, "the account did not know a host just asked for, and was not asked again"),
    (7595, "what was refused of the token counted against the batch"),
    (512, "the clock jumped during a wait for a token, and its append counted as refused"),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs it once more, and tells what happened.
fn explain(schedule: &Schedule) -> String {
    let log = Arc::new(Mutex::new(Vec::new()));
    let number = schedule.number;
    let verdict = Run::new(schedule, &mut Coverage::default(), Some(Arc::clone(&log))).run();
    let lines = log.lock().expect("no panic").join("\n");
    format!("{schedule:#?}\n{lines}\nschedule {number}: {verdict:?}")
}

#[test]
fn rows_are_written_exactly_once_and_in_order() {
    if let Some(number) = number("WRITER_SCHEDULE") {
        println!("{}", explain(&Schedule::draw(number)));
    }
    let schedules = number("WRITER_SCHEDULES").unwrap_or(if cfg!(debug_assertions) { 1000 } else { MANY });
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut coverage = Coverage::default();
        let mut wrong = None;
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= schedules {
                break;
            }
            let schedule = Schedule::draw(number);
            if let Err(problem) = Run::new(&schedule, &mut coverage, None).run() {
                failed.store(true, Ordering::Relaxed);
                wrong = Some((number, problem));
            }
        }
        (coverage, wrong)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut coverage, mut wrong) = (Coverage::default(), Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (part, problem) = worker.join().expect("no panic");
            coverage.add(&part);
            wrong.extend(problem);
        }
    });
    wrong.sort();
    if let Some((number, problem)) = wrong.first() {
        panic!("{}\nschedule {number} of {schedules}: {problem}", explain(&Schedule::draw(*number)));
    }
    println!("{schedules} schedules\n{coverage}");
    let missing = coverage.missing();
    assert!(missing.is_empty() || schedules < MANY, "never happened: {missing:?}");
}

#[test]
fn what_failed_once_does_not_again() {
    for (number, what) in REGRESSIONS {
        for schedule in [Schedule::plain(*number), Schedule::draw(*number)] {
            if let Err(problem) = Run::new(&schedule, &mut Coverage::default(), None).run() {
                panic!("{}\nschedule {number}: {problem} ({what})", explain(&schedule));
            }
        }
    }
}

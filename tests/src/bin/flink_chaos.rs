//! Seeded runs against a real Flink cluster with faults. See the module `pipewright_tests::chaos` and
//! `tests/flink/chaos`.

use std::error::Error;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use pipewright::flink::Flink;
use pipewright::flink::cluster::GetOverview;
use pipewright_tests::chaos::case::{self, Settings};
use pipewright_tests::chaos::report::Report;
use pipewright_tests::chaos::truth::Truth;
use pipewright_ureq::Ureq;

const USAGE: &str = "\
usage: flink_chaos --url URL --jars DIR --savepoints DIR [--seeds N] [--from S] [--seed S] [--at-once N] [--verbose]

  --url URL         the cluster, as tests/flink/start prints it
  --jars DIR        the demo jars, as tests/flink/build-jars makes them
  --savepoints DIR  a folder that the cluster and this program can write to
  --seeds N         how many seeds; 25 by default
  --from S          the first seed; 1 by default
  --seed S          this seed alone
  --at-once N       how many seeds run at the same time; 6 by default, or as many as there are free
                    slots: each takes one
  --verbose         show every notice and every request

Exits with 1 if anything was violated, if more than one outcome stayed unknown, or if a seed could not be carried out.";

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("flink_chaos: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(report) => {
            print!("{report}");
            if report.has_passed(options.seeds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("flink_chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn Error + Send + Sync>;

fn run(options: &Options) -> Result<Report, Failure> {
    let direct = Flink::new(options.settings.url.parse()?, Ureq::new());
    let overview = direct.call(GetOverview::new())?;
    println!("{} with {} free slots", options.settings.url, overview.slots_available.unwrap_or_default());
    let at_once =
        options.at_once.unwrap_or_else(|| u64::from(overview.slots_available.unwrap_or_default()).clamp(1, 6));
    let truth = Truth::new(direct, &options.savepoints);
    let (next, done) = (AtomicU64::new(options.from), AtomicBool::new(false));
    let end = options.from.saturating_add(options.seeds);
    let report = Mutex::new(Report::default());
    thread::scope(|scope| {
        scope.spawn(|| truth.watch(&done));
        let workers: Vec<_> = (0..at_once)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            return;
                        }
                        let case = AssertUnwindSafe(|| case::run(seed, &truth, &options.settings));
                        let result = panic::catch_unwind(case);
                        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                        match result {
                            Ok(Ok(verdict)) => {
                                eprintln!("{verdict}");
                                report.add(verdict);
                            }
                            Ok(Err(error)) => report.fail(seed, error.to_string()),
                            Err(_) => report.fail(seed, "panicked; see the standard error"),
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            // One that has panicked leaves seeds without a verdict, which the report does not let pass.
            let _ = worker.join();
        }
        done.store(true, Ordering::Relaxed);
    });
    Ok(report.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Options {
    settings: Settings,
    savepoints: PathBuf,
    from: u64,
    seeds: u64,
    at_once: Option<u64>,
}

impl Options {
    fn parse() -> Result<Self, Failure> {
        let (mut url, mut jars, mut savepoints) = (None, None, None);
        let (mut from, mut seeds, mut at_once, mut verbose) = (1, 25, None, false);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            if argument == "--verbose" {
                verbose = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
            let number = || value.parse().map_err(|error| format!("{argument} {value}: {error}"));
            match &*argument {
                "--url" => url = Some(value),
                "--jars" => jars = Some(PathBuf::from(value)),
                "--savepoints" => savepoints = Some(PathBuf::from(value)),
                "--seeds" => seeds = number()?,
                "--from" => from = number()?,
                "--seed" => (from, seeds) = (number()?, 1),
                "--at-once" => at_once = Some(number()?),
                _ => return Err(format!("unknown option {argument}").into()),
            }
        }
        if seeds == 0 || at_once == Some(0) {
            return Err("--seeds and --at-once: 0 would check nothing; give at least 1".into());
        }
        let settings =
            Settings { url: url.ok_or("--url is missing")?, jars: jars.ok_or("--jars is missing")?, verbose };
        Ok(Self { settings, savepoints: savepoints.ok_or("--savepoints is missing")?, from, seeds, at_once })
    }
}

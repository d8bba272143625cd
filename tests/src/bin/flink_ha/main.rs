//! Upgrades jobs of a real Flink cluster while its processes are killed, and compares the results with the cluster.
//!
//! ```text
//! flink_ha SCENARIO --run FOLDER --url URL[,URL] --jars FOLDER [--seed N] [--rounds N] [--balancer PORT]
//! ```
//!
//! `tests/flink/ha` starts the clusters and runs this program. The scenarios:
//!
//! | scenario | what is killed | when |
//! |---|---|---|
//! | `leaders` | the leading JobManager of two | in each phase of an upgrade |
//! | `task-managers` | the only TaskManager | after the savepoint of the stop was written; while the new job settles |
//! | `exits` | the JobManager, by `System.exit` in the new jar's main method | in plan, in run, after the submission |
//!
//! If an upgrade ends with an error, it is resumed once, when the cluster answers again. The program exits with 1 after
//! a violation.

mod attempt;
mod balancer;
mod cluster;
mod scenarios;
mod truth;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use pipewright::flink::Upgrade;

use cluster::Cluster;
use scenarios::Row;

/// What the command line says.
#[derive(Debug)]
struct Options {
    scenario: String,
    run: PathBuf,
    urls: Vec<String>,
    jars: PathBuf,
    seed: u64,
    rounds: usize,
    /// The port of the balancer in front of both JobManagers.
    balancer: u16,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut arguments = std::env::args().skip(1);
        let scenario = arguments.next().ok_or("the scenario is missing")?;
        let (run, jars) = (PathBuf::new(), PathBuf::new());
        let mut options = Self { scenario, run, urls: Vec::new(), jars, seed: 1, rounds: 10, balancer: 0 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(format!("{name} has no value"))?;
            let number = |value: &str| value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
            match name.as_str() {
                "--run" => options.run = value.into(),
                "--url" => options.urls = value.split(',').map(str::to_owned).collect(),
                "--jars" => options.jars = value.into(),
                "--seed" => options.seed = number(&value)?,
                "--rounds" => options.rounds = usize::try_from(number(&value)?).map_err(|error| error.to_string())?,
                "--balancer" => options.balancer = u16::try_from(number(&value)?).map_err(|error| error.to_string())?,
                _ => return Err(format!("unknown option {name}")),
            }
        }
        if options.urls.is_empty() { Err("--url is missing".to_owned()) } else { Ok(options) }
    }
}

fn print(number: usize, row: &Row) {
    let phase = row.phase.map(|phase| format!("{phase:?}").to_lowercase()).unwrap_or_default();
    let ended = match &row.ended.result {
        Ok(Upgrade::Upgraded { .. }) => "upgraded".to_owned(),
        Ok(Upgrade::RolledBack { .. }) => "rolled back".to_owned(),
        Err(error) if error.is_ambiguous() => "unknown".to_owned(),
        Err(_) => "error".to_owned(),
    };
    let resumed = if row.ended.resumed.is_some() { "yes" } else { "no" };
    let outage = row.ended.blow().and_then(|struck| struck.outage);
    let outage = outage.map(|outage| format!("{:.1}", outage.as_secs_f64())).unwrap_or_default();
    let (took, jobs, violations) = (row.ended.took.as_secs_f64(), row.jobs, row.violations.len());
    println!(
        "{number:>3}  {phase:<10}  {ended:<11}  {resumed:<7}  {jobs:>4}  {outage:>6}  {took:>7.1}  {violations:>10}  \
         {}",
        row.scenario
    );
    if let Some(error) = &row.ended.resumed {
        println!("     resumed after: {error}");
    }
    match &row.ended.result {
        Ok(Upgrade::RolledBack { reason, .. }) => println!("     rolled back: {reason}"),
        Ok(_) => {}
        Err(error) => println!("     {error}"),
    }
    for violation in &row.violations {
        println!("     VIOLATION: {violation}");
    }
}

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("flink_ha: {problem}");
            return ExitCode::from(2);
        }
    };
    let cluster = Arc::new(Cluster::new(options.run.clone(), &options.urls));
    let (mut number, mut violations) = (0, 0);
    println!("  #  phase       ended        resumed  jobs  outage  seconds  violations  scenario");
    let tell = |row: Row| {
        number += 1;
        violations += row.violations.len();
        print(number, &row);
    };
    let result = match options.scenario.as_str() {
        "leaders" => scenarios::leaders(&options, &cluster, tell),
        "task-managers" => scenarios::task_managers(&options, &cluster, tell),
        "exits" => scenarios::exits(&options, &cluster, tell),
        other => {
            eprintln!("flink_ha: no scenario {other}; there are leaders, task-managers and exits");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = result {
        eprintln!("flink_ha: the old job could not be started: {error}");
        return ExitCode::FAILURE;
    }
    println!("{number} upgrades, {violations} violations");
    if number == 0 {
        eprintln!("flink_ha: no upgrade was made; give --rounds");
    }
    if violations == 0 && number > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

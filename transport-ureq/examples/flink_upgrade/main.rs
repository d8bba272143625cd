//! Moves a job on a Flink cluster from one jar to the next without losing its state. If the next jar does not run, the
//! old jar runs again from the same savepoint.
//!
//! ```text
//! flink_upgrade --url URL --jar OLD --next-jar NEW [--job ID] [--state FILE] [OPTIONS]
//! ```
//!
//! Without `--job`, the tool runs the old jar first. `--help` lists all options.
//!
//! # Try it
//!
//! With a simulated cluster:
//!
//! ```sh
//! cargo build -p pipewright-mock --features serve,sql --bin pipewright-sim
//! target/debug/pipewright-sim flink --port 8081 --faults flaky &
//! target/debug/pipewright-sim jar endless --name "orders v1" -o a.jar
//! target/debug/pipewright-sim jar endless --name "orders v2" -o b.jar
//! cargo run -p pipewright-ureq --example flink_upgrade -- --url http://127.0.0.1:8081 --jar a.jar --next-jar b.jar
//! kill %1
//! ```
//!
//! With a real cluster on this machine. These commands need a JDK 17 and Python with pip, and download 330 MB at first:
//!
//! ```sh
//! export FLINK_URL=$(tests/flink/start)
//! tests/flink/build-jars
//! cargo build --release -p pipewright-ureq --example flink_upgrade
//! jars=~/.cache/flink-demo-jobs
//! target/release/examples/flink_upgrade --url $FLINK_URL --jar $jars/endless.jar --next-jar $jars/endless.jar \
//!     --savepoint-dir file:///tmp/savepoints --state upgrade.json
//! tests/flink/stop
//! ```
//!
//! # The state
//!
//! **Pass `--state FILE`.** The tool writes each step to the file before it sends the request. If the tool ends early
//! (`kill -9`, Ctrl-C, a lost connection), run the same command again: it resumes the upgrade. At most one job runs at
//! the end, and the exit code says which.
//!
//! The tool removes the file when the upgrade has ended and the report is written. It keeps the file if a plan may have
//! killed a JobManager, so that the same command does not kill another. The file holds the arguments of both jars, so
//! only its owner can read it. Use one file for each upgrade. The tool rejects a file that another process uses, or
//! that belongs to another job, cluster or jar.
//!
//! # The report
//!
//! Progress and errors go to the standard error output. The report is one line of JSON on the standard output:
//! `result`, `exit_code`, `text`, `job`, `savepoint`, `next` and others. `next` holds the commands to run next. The
//! last lines of the standard error output show them too.
//!
//! | exit code | `result` | meaning | what to do |
//! |---|---|---|---|
//! | 0 | `upgraded`, `planned` | the new jar runs from the old job's state; with `--dry-run`, no vertex vanishes, or `--allow-non-restored-state` is given | nothing |
//! | 1 | `failed` | another failure: a missing file, no connection, a job that is FINISHED; with `--dry-run`, a vertex vanishes | remove the cause, run the command of `next`; a job that is FINISHED cannot be upgraded |
//! | 2 | | wrong usage | see `--help` |
//! | 3 | `rolled-back` | the new jar did not run; the old jar runs again from the savepoint, as `job` | correct the new jar, upgrade `job` |
//! | 4 | `unknown` | the tool could not find out which job runs, or whether it keeps running | run the same command: it checks again. If it ends in the same way, or without `--state`, look up the jobs of `next`, and run the command of `next` whose condition holds |
//! | 5 | `old-job-runs` | the old job was not stopped: a jar cannot be planned, or the savepoint failed | remove the cause, run a command of `next` |
//! | 6 | `no-job-runs` | no job runs, and `savepoint`, `earlier_savepoint` or `last_checkpoint` is named | run a command of `next`: with the new jar, or the old jar |
//!
//! Without `--state`, the commands of `next` for the exit codes 4 and 6 name the savepoint. `--from-savepoint PATH
//! --job ID` runs the new jar from this savepoint; add `--roll-back` to run the old jar. The commands do not show the
//! values of `--arg` and `--next-arg`, which may be secrets: fill in `<arg-1>` and so on. If the exit code is 4 and the
//! cluster knows none of the jobs, check the jobs' output before you run another job from the savepoint.
//!
//! # A dry run
//!
//! `--dry-run` plans both jars and compares their plans with the plan of the running job. A plan shows neither which
//! operators have state nor the operators within a chain. To plan a jar, the JobManager runs its `main` method.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `options.rs` | the command line |
//! | `begin.rs`, `state.rs`, `jar.rs` | what an upgrade begins with, and what `--state` keeps |
//! | `upgrade.rs`, `verdict.rs` | the run, and how each error ends it |
//! | `report.rs`, `next.rs`, `command.rs` | the result, and the commands to run next |
//! | `dry_run.rs`, `plans.rs` | `--dry-run`, and the comparison of plans |
//! | `found.rs` | what the cluster says about a job |
//! | `points.rs` | where tests kill the tool |

use std::process::ExitCode;

use crate::options::{Options, USAGE};
use crate::support::{Progress, answer, tell};

mod begin;
mod command;
mod dry_run;
mod found;
mod jar;
mod next;
mod options;
mod plans;
mod points;
mod report;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;
mod verdict;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            answer(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            tell(format_args!("flink_upgrade: {error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let progress = Progress::new();
    let report = if options.dry_run { dry_run::run(&options, &progress) } else { upgrade::run(&options, &progress) };
    ExitCode::from(report.outcome.code())
}

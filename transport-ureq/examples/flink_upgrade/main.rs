//! Moves a job on a Flink cluster from one jar to the next without losing its state; back again if the next jar does
//! not run.
//!
//! ```text
//! flink_upgrade --url URL --jar OLD --next-jar NEW [--job ID] [--state FILE] [OPTIONS]
//! ```
//!
//! `--help` lists the options and the exit codes. With `--state`, the same command resumes an upgrade that was
//! interrupted, from its first submission on, whatever has ended the process: there is one job at the end.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | the command line |
//! | `begin.rs`, `state.rs`, `jar.rs` | what an upgrade begins with, and what `--state` keeps |
//! | `upgrade.rs`, `verdict.rs` | the run, and how each error ends it |
//! | `report.rs`, `next.rs`, `command.rs` | the result, and the commands to run next |
//! | `dry_run.rs`, `plans.rs` | `--dry-run`, and the comparison of plans |
//! | `found.rs` | what the cluster says of a job |
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

//! What to run next, after each outcome.

use std::path::Path;

use pipewright::flink::JobId;

use crate::command::{Command, quoted};
use crate::options::Options;
use crate::report::{Next, Outcome, Report};

fn next(purpose: &str, command: impl Into<String>) -> Next {
    Next { purpose: purpose.to_owned(), command: command.into() }
}

/// The same command. Without a state it must name the old job, if there is one: else it would run the old jar again.
pub(crate) fn command_again(options: &Options, job: Option<JobId>, has_state: bool) -> Next {
    let command = Command::again(options, has_state);
    let command = job.filter(|_| !has_state).into_iter().fold(command, Command::job);
    next("once the cause is removed", command)
}

/// To give an upgrade up that has not stopped anything.
pub(crate) fn give_up(file: &Path) -> Next {
    next("to give the upgrade up", format!("rm {}", quoted(&file.to_string_lossy())))
}

pub(crate) fn after_success(options: &Options, report: &Report) -> Vec<Next> {
    match (report.outcome, report.job) {
        (Outcome::RolledBack, Some(job)) if !options.roll_back => {
            let command = Command::again(options, false).job(job).with_savepoint(None);
            vec![next("once the new jar is corrected", command)]
        }
        _ => Vec::new(),
    }
}

/// After an upgrade that did not come to its end. `has_state` if the file of `--state` remains.
pub(crate) fn after_upgrade(options: &Options, report: &Report, has_state: bool) -> Vec<Next> {
    let again = || command_again(options, report.job, has_state);
    let savepoint = report.snapshot();
    let from = |roll_back| {
        let command = Command::again(options, false).with_savepoint(savepoint.map(|path| &**path)).roll_back(roll_back);
        report.job.into_iter().fold(command, Command::job)
    };
    match report.outcome {
        Outcome::OldJobRuns if options.roll_back => options.state.iter().map(|file| give_up(file)).collect(),
        Outcome::OldJobRuns => {
            // Not from a savepoint: the job runs.
            let command = Command::again(options, has_state).with_savepoint(None);
            let command = report.job.filter(|_| !has_state).into_iter().fold(command, Command::job);
            vec![next("once the cause is removed", command)]
        }
        Outcome::NoJobRuns if has_state => {
            let mut all = vec![next("to continue", Command::again(options, true))];
            if !options.roll_back {
                all.push(next("to run the old jar again", Command::again(options, true).roll_back(true)));
            }
            // The jars of a state are fixed.
            let begin = from(options.roll_back).to_string();
            let begin = options.state.iter().map(|file| format!("{} && {begin}", give_up(file).command));
            all.extend(
                begin.map(|command| next("to begin again from the savepoint, with another jar or savepoint", command)),
            );
            all
        }
        Outcome::NoJobRuns => {
            let mut all = vec![next("to run the old jar again", from(true))];
            if !options.roll_back {
                all.push(next("to run the new jar", from(false)));
            }
            all
        }
        Outcome::Unknown if has_state => {
            let mut all = vec![next("to find out and to continue", Command::again(options, true))];
            if options.roll_back && options.next_jar.is_some() {
                all.push(next("to run the new jar after all", Command::again(options, true).roll_back(false)));
            }
            all
        }
        Outcome::Unknown => {
            let jobs = [report.job, report.new_job, report.old_job].into_iter().flatten();
            let look = |job: JobId| {
                next("to find out whether this job runs", format!("curl {}/v1/jobs/{job}/status", options.url))
            };
            let mut all: Vec<Next> = jobs.map(look).collect();
            if savepoint.is_some() {
                all.push(next("if no job runs and none has finished, to run the new jar", from(false)));
                all.push(next("if no job runs and none has finished, to run the old jar again", from(true)));
            } else {
                all.push(again());
            }
            all
        }
        _ => vec![again()],
    }
}

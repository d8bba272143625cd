//! What to run next, after each outcome.

use std::path::Path;

use pipewright::flink::{JobId, UpgradePhase};

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

/// To give an upgrade up.
pub(crate) fn give_up(file: &Path) -> Next {
    next("to give the upgrade up", format!("rm {}", quoted(&file.to_string_lossy())))
}

pub(crate) fn look_up(options: &Options, job: JobId) -> Next {
    next("to find out whether this job runs", format!("curl {}/v1/jobs/{job}/status", options.url))
}

/// After an upgrade whose state belongs to another upgrade, or is given up. `job` is one that the state alone knows.
pub(crate) fn after_rejection(options: &Options, job: Option<JobId>, has_state: bool) -> Vec<Next> {
    let mut all = vec![command_again(options, None, has_state)];
    if has_state {
        all.extend(job.map(|job| look_up(options, job)));
        let give_up = options.state.iter().map(|file| give_up(file));
        all.extend(
            give_up.map(|next| Next { purpose: "to give the upgrade up, if none of its jobs runs".into(), ..next }),
        );
    }
    all
}

/// The old jar may be running under an id that only this run knows. It must not be run again.
pub(crate) fn after_lost_start(options: &Options, job: JobId) -> Vec<Next> {
    let upgrade = Command::again(options, false).job(job);
    vec![look_up(options, job), next("if it runs, to upgrade it", upgrade)]
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

/// The command from a savepoint, as it is without a state.
fn from(options: &Options, report: &Report, path: &str, roll_back: bool) -> String {
    let command = Command::again(options, false).with_savepoint(Some(path)).roll_back(roll_back);
    report.job.into_iter().fold(command, Command::job).to_string()
}

/// The commands that start a job from what is left, in the order of `rolls_back`. Of two snapshots, the newer one
/// counts.
fn from_snapshots(options: &Options, report: &Report, purpose: &str, rolls_back: &[bool]) -> Vec<Next> {
    let snapshots = report.snapshots();
    let mut all = Vec::new();
    for (number, (name, path)) in snapshots.iter().enumerate() {
        let condition = match snapshots.get(1 - number.min(1)).filter(|_| snapshots.len() > 1) {
            Some((other, _)) => format!("if the {name} is newer than the {other}, "),
            None => String::new(),
        };
        for roll_back in rolls_back.iter().copied().filter(|roll_back| *roll_back || !options.roll_back) {
            let what = if roll_back { "to run the old jar again" } else { "to run the new jar" };
            all.push(next(&format!("{purpose}{condition}{what}"), from(options, report, path, roll_back)));
        }
    }
    all
}

/// The jobs that may run.
fn look_ups(options: &Options, report: &Report) -> Vec<Next> {
    let jobs = [report.job, report.new_job, report.old_job].into_iter().flatten();
    let mut all: Vec<Next> = Vec::new();
    for next in jobs.map(|job| look_up(options, job)) {
        // A contended rollback has one id for both jars.
        if all.iter().all(|known| known.command != next.command) {
            all.push(next);
        }
    }
    all
}

/// What the operator must have found out before another job starts from a snapshot.
fn no_job_runs(report: &Report) -> &'static str {
    if report.may_have_newer() || report.savepoint.is_none() && report.earlier_savepoint.is_none() {
        "if no job runs, none has finished, and the target directory has no newer savepoint of the job, "
    } else {
        "if no job runs and none has finished, "
    }
}

/// To begin again, although a plan got no answer.
fn begin_again(options: &Options, report: &Report) -> Option<Next> {
    let file = options.state.as_ref().filter(|_| report.has_open_plan && !options.roll_back)?;
    let command = report.job.into_iter().fold(Command::again(options, false), Command::job);
    let purpose = "once it is certain that no main method ends its JobManager, to begin again";
    Some(next(purpose, format!("{} && {command}", give_up(file).command)))
}

/// It is not known which job runs, and there is a state: the same command checks again. If it cannot find out, the
/// operator can.
fn unknown(options: &Options, report: &Report) -> Vec<Next> {
    let mut all = vec![next("to find out and to continue", Command::again(options, true))];
    // The state could not be saved: the ids of the jobs are not known here.
    let (Some(phase), Some(file)) = (&report.phase, &options.state) else { return all };
    if *phase == UpgradePhase::Run && !options.roll_back {
        let purpose = "if that ends in the same way, to run the old jar again";
        all.push(next(purpose, Command::again(options, true).roll_back(true)));
    }
    all.extend(look_ups(options, report));
    all.extend(begin_again(options, report));
    let remove = give_up(file).command;
    match from_snapshots(options, report, no_job_runs(report), &[false, true]) {
        none if none.is_empty() => all.push(next("if no job runs, to give the upgrade up", remove)),
        commands => {
            all.extend(
                commands.into_iter().map(|Next { purpose, command }| next(&purpose, format!("{remove} && {command}"))),
            );
        }
    }
    all
}

/// After an upgrade that did not end. `has_state` if the file of `--state` remains.
pub(crate) fn after_upgrade(options: &Options, report: &Report, has_state: bool) -> Vec<Next> {
    let again = || command_again(options, report.job, has_state);
    let newer =
        if report.may_have_newer() { "if the target directory has no newer savepoint of the job, " } else { "" };
    match report.outcome {
        Outcome::OldJobRuns if options.roll_back && has_state => {
            options.state.iter().map(|file| give_up(file)).collect()
        }
        // The job that runs is the job to return to.
        Outcome::OldJobRuns if options.roll_back && options.from_savepoint.is_none() => Vec::new(),
        Outcome::OldJobRuns if options.roll_back => {
            vec![Next { purpose: "once the job is stopped".into(), ..again() }]
        }
        Outcome::OldJobRuns if has_state && report.has_open_plan => {
            let again = next("once the same JobManager answers again", Command::again(options, true));
            std::iter::once(again).chain(begin_again(options, report)).collect()
        }
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
            let snapshots =
                options.state.iter().flat_map(|file| report.snapshots().into_iter().map(move |named| (named, file)));
            for ((name, path), file) in snapshots {
                let begin = from(options, report, path, options.roll_back);
                let purpose = format!("{newer}to begin again from the {name}, with another jar or savepoint");
                all.push(next(&purpose, format!("{} && {begin}", give_up(file).command)));
            }
            all
        }
        Outcome::NoJobRuns => from_snapshots(options, report, newer, &[true, false]),
        Outcome::Unknown if has_state => unknown(options, report),
        Outcome::Unknown => {
            let mut all = look_ups(options, report);
            match from_snapshots(options, report, no_job_runs(report), &[false, true]) {
                none if none.is_empty() => all.push(again()),
                commands => all.extend(commands),
            }
            all
        }
        _ if report.is_gone => {
            let purpose = "if the job has left a savepoint or a retained checkpoint, to start from it";
            let command = Command::again(options, false).with_savepoint(None).to_string();
            let job = report.job.filter(|_| options.job.is_none()).map(|job| format!(" --job {job}"));
            vec![next(purpose, format!("{command}{} --from-savepoint <path>", job.unwrap_or_default()))]
        }
        _ => vec![again()],
    }
}

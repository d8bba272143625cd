//! What an upgrade begins with: the command line, and the state of an earlier process.

use std::path::Path;

use pipewright::flink::jobs::GetJobStatus;
use pipewright::flink::{Flink, JobId};
use pipewright_ureq::Ureq;

use crate::jar::Jar;
use crate::options::Options;
use crate::state::{Record, State, Step};
use crate::support::Progress;

/// Why nothing begins.
pub(crate) struct Rejected {
    pub(crate) problem: String,
    /// What the file of `--state` holds, if it was read.
    pub(crate) record: Option<Box<Record>>,
}

impl From<String> for Rejected {
    fn from(problem: String) -> Self {
        Self { problem, record: None }
    }
}

/// Locks and reads the file of `--state`, and checks that it is of this upgrade. Changes nothing.
pub(crate) fn begin(
    options: &Options,
    flink: &Flink<Ureq>,
    progress: &Progress,
) -> Result<(Option<State>, Record), Rejected> {
    let (state, saved) = match &options.state {
        Some(file) => {
            let (state, saved) = State::open(file)?;
            (Some(state), saved)
        }
        None => (None, None),
    };
    let record = match saved {
        Some(saved) => {
            let named = |problem| Rejected {
                problem: format!("--state {}: {problem}", file_name(options)),
                record: Some(Box::new(saved.clone())),
            };
            let record = resumed(options, saved.clone()).map_err(named)?;
            check_cluster(options, flink, &record).map_err(named)?;
            if !record.has_files() {
                progress.say("a jar cannot be read, and cannot be uploaded again if the cluster has lost it");
            }
            Record { url: options.url.to_string(), ..record }
        }
        None if options.roll_back && options.from_savepoint.is_none() => {
            let file = file_name(options);
            let problem = format!("--state {file}: the file does not exist, so that there is no upgrade to roll back");
            return Err(problem.into());
        }
        None => fresh(options)?,
    };
    Ok((state, record))
}

fn file_name(options: &Options) -> std::path::Display<'_> {
    options.state.as_deref().unwrap_or(Path::new("")).display()
}

fn fresh(options: &Options) -> Result<Record, String> {
    let open = |path: &Path| Jar::open(path, options.next_entry_class(), options.next_args());
    Ok(Record {
        step: options.job.map_or(Step::New, Step::Ready),
        savepoint: None,
        started: None,
        url: options.url.to_string(),
        from_savepoint: options.from_savepoint.clone(),
        allow_non_restored_state: options.allow_non_restored_state,
        old: Jar::open(&options.jar, options.entry_class.as_ref(), &options.args)?,
        new: options.next_jar.as_deref().map(open).transpose()?,
    })
}

/// The record of the file, with what is given now.
fn resumed(options: &Options, saved: Record) -> Result<Record, String> {
    if let (Some(given), Some(job)) = (options.job, saved.job())
        && given != job
    {
        return Err(format!(
            "an upgrade of job {job} is under way, and --job is {given}; give that job, or remove the file if the upgrade is given up"
        ));
    }
    let step = match (saved.step.clone(), options.job) {
        (Step::New, Some(job)) => Step::Ready(job),
        (Step::Start(_), Some(_)) => {
            return Err(
                "an earlier run has submitted the old jar; leave out --job to continue with that job".to_owned()
            );
        }
        (step, _) => step,
    };
    let is_under_way = matches!(step, Step::Upgrade { .. });
    let savepoint = (options.from_savepoint.clone(), saved.from_savepoint.clone());
    let from_savepoint = match savepoint {
        (Some(given), other) if is_under_way && other.as_ref() != Some(&given) => {
            return Err(
                "an upgrade is under way that does not begin with this --from-savepoint; leave it out to continue, or remove the file \
                 if the upgrade is given up"
                    .to_owned(),
            );
        }
        (given, other) => given.or(other),
    };
    let is_allowed = options.allow_non_restored_state;
    if is_under_way && is_allowed && !saved.allow_non_restored_state {
        return Err("the upgrade was begun without --allow-non-restored-state; leave it out to continue".to_owned());
    }
    let old = (&options.jar, options.entry_class.as_ref(), &*options.args);
    let is_started = !matches!(step, Step::New);
    let old = Jar::resumed(&saved.old, old.0, old.1, old.2, is_started)?;
    let next = next_of(options, &saved);
    let new = match (&options.next_jar, &saved.new) {
        (Some(path), Some(jar)) => Some(Jar::resumed(jar, path, next.0, next.1, is_under_way)?),
        (Some(path), None) if is_under_way => {
            return Err(format!("the upgrade was begun with --roll-back; leave out --next-jar {}", path.display()));
        }
        (Some(path), None) => Some(Jar::open(path, next.0, next.1)?),
        (None, jar) => jar.clone(),
    };
    let allow_non_restored_state = is_allowed || saved.allow_non_restored_state;
    Ok(Record { step, from_savepoint, allow_non_restored_state, old, new, ..saved })
}

/// Entry class and arguments of the new jar, as far as they are given now. Those of the old jar count for it only if
/// they did so when the
/// upgrade began: others that were saved are not replaced.
fn next_of<'a>(options: &'a Options, saved: &Record) -> (Option<&'a String>, &'a [String]) {
    let new = saved.new.as_ref();
    let shares_class = new.is_none_or(|new| new.entry_class() == saved.old.entry_class());
    let shares_args = new.is_none_or(|new| new.args() == saved.old.args());
    let class = if shares_class { options.next_entry_class() } else { options.next_entry_class.as_ref() };
    let args = if shares_args { options.next_args() } else { &options.next_args };
    (class, args)
}

/// The command line, with what the state says that was not given again: the commands to run next are made from it.
pub(crate) fn completed(options: &Options, record: &Record) -> Options {
    let mut all = options.clone();
    let (old, new) = (&record.old, record.new.as_ref().filter(|_| options.next_jar.is_some()));
    (all.entry_class, all.args) = (old.entry_class().cloned(), old.args().to_vec());
    let class = new.and_then(Jar::entry_class).filter(|class| old.entry_class() != Some(*class));
    let args = new.map(Jar::args).filter(|args| *args != old.args());
    (all.next_entry_class, all.next_args) = (class.cloned(), args.unwrap_or_default().to_vec());
    all.allow_non_restored_state = record.allow_non_restored_state;
    all.from_savepoint.clone_from(&record.from_savepoint);
    if all.from_savepoint.is_some() {
        all.job = all.job.or(record.job());
    }
    all
}

/// A cluster may have several addresses. That it is the same one shows by the job.
fn check_cluster(options: &Options, flink: &Flink<Ureq>, record: &Record) -> Result<(), String> {
    let is_same = |job: JobId| flink.call(GetJobStatus::new(job)).is_ok();
    if record.url == options.url.to_string() || matches!(record.step, Step::New) || record.job().is_some_and(is_same) {
        return Ok(());
    }
    let known = match record.job() {
        Some(job) => format!(", and the cluster at {} does not know job {job}", options.url),
        None => String::new(),
    };
    Err(format!(
        "an upgrade is under way at --url {}{known}; give that address, or remove the file if the upgrade is given up",
        record.url
    ))
}

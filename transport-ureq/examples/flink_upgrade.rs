//! Moves a job on a real Flink cluster from one jar to the next without losing its state; back again if the next one is no good.
//!
//! ```text
//! flink_upgrade --url URL --jar OLD --next-jar NEW --savepoint-dir DIR
//!               [--job ID] [--entry-class C] [--next-entry-class C] [--arg A]… [--next-arg A]…
//!               [--settle SECONDS] [--state FILE]
//! ```
//!
//! Starts the old jar's job unless `--job` names a running one. With `--state`, what the upgrade announces is kept in that file
//! until it has ended; run again with the same file, it goes on from there.
//!
//! Exit codes: 0 upgraded, 1 failed, 2 wrong usage, 3 rolled back (the old jar runs again), 4 outcome unknown.

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use pipewright::Body;
use pipewright::error::FlowError;
use pipewright::flink::{
    AwaitJob, Flink, GetCheckpoints, GetJobAccumulators, JobId, RunJar, Upgrade, UpgradeDiagnosis, UpgradeJob,
};
use pipewright::flow::{Notice, Saved};
use pipewright_ureq::{Ureq, file_body};
use serde_json::json;

use crate::support::{Progress, save, tell};

mod support;

const USAGE: &str = "usage: flink_upgrade --url URL --jar OLD --next-jar NEW --savepoint-dir DIR
       [--job ID] [--entry-class C] [--next-entry-class C] [--arg A]... [--next-arg A]...
       [--settle SECONDS] [--state FILE]";

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            tell(format_args!("flink_upgrade: {error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match upgrade(&options) {
        Ok(Upgrade::Upgraded { .. }) => ExitCode::SUCCESS,
        Ok(Upgrade::RolledBack { .. }) => ExitCode::from(3),
        Err(error) => {
            tell(format_args!("flink_upgrade: {error}"));
            let error = error.downcast_ref::<FlowError>();
            let known = error.and_then(UpgradeDiagnosis::of);
            if let Some(savepoint) = known.and_then(|known| known.savepoint.as_ref()) {
                tell(format_args!("flink_upgrade: the old job is stopped, and its savepoint is {savepoint}"));
            }
            let ambiguous = error.is_some_and(FlowError::is_ambiguous);
            ExitCode::from(if ambiguous { 4 } else { 1 })
        }
    }
}

fn upgrade(options: &Options) -> Result<Upgrade, Box<dyn Error>> {
    let flink = Flink::new(options.url.parse()?, Ureq::new());
    let progress = Progress::new();

    let goal = if let Some(saved) = options.saved()? {
        progress.say("going on with the upgrade that was interrupted");
        let goal = UpgradeJob::resume(&saved)?;
        // The cluster may have lost its uploads since; if the files are gone too, it may still have them.
        match (options.old(), options.next()) {
            (Ok(old), Ok(new)) => goal.with_jars(old, new),
            _ => goal,
        }
    } else {
        let (mut old, new) = (options.old()?, options.next()?);
        let job = match options.job {
            Some(job) => job,
            None => start(&flink, &mut old, &progress)?,
        };
        show_accumulators(&flink, job, "before", &progress);
        UpgradeJob::new(job, old, new).target_directory(&options.savepoint_dir).settle_within(options.settle)
    };

    let result = flink.run_with(goal, |notice| {
        progress.show(&notice);
        match (&notice, &options.state) {
            // What cannot be resumed is not begun: an error stops the upgrade before the request that matters.
            (Notice::Save(saved), Some(file)) => {
                save(file, &json!(saved)).map_err(|error| format!("{}: {error}", file.display()))
            }
            _ => Ok(()),
        }
    });
    let upgrade = result?;
    if let Some(file) = options.state.as_ref().filter(|file| file.exists()) {
        std::fs::remove_file(file)?;
    }

    match &upgrade {
        Upgrade::Upgraded { job, savepoint, checkpoint } => {
            show_restored(&flink, *job, &progress);
            show_accumulators(&flink, *job, "after", &progress);
            let checkpoint = checkpoint
                .map_or("it has come to its end".to_owned(), |number| format!("its checkpoint {number} is completed"));
            progress.end(&format!("upgraded: job {job} goes on from {savepoint}; {checkpoint}"));
        }
        Upgrade::RolledBack { job, savepoint, reason } => {
            show_restored(&flink, *job, &progress);
            show_accumulators(&flink, *job, "after", &progress);
            progress.end(&format!("ROLLED BACK: {reason}\nthe old jar runs again as job {job}, from {savepoint}"));
        }
    }
    Ok(upgrade)
}

/// How to run a jar from a file, which is read when it is sent.
fn jar(path: &Path, entry_class: Option<&str>, args: &[String]) -> Result<RunJar, Box<dyn Error>> {
    let name =
        path.file_name().and_then(|name| name.to_str()).ok_or_else(|| format!("{}: no file name", path.display()))?;
    let content: Body = file_body(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let run = RunJar::upload(name, content).program_args(args);
    Ok(match entry_class {
        Some(class) => run.entry_class(class),
        None => run,
    })
}

/// Starts the old job, and lets it work for a moment so that there is a state to keep. Its jar is on the cluster then.
fn start(flink: &Flink<Ureq>, old: &mut RunJar, progress: &Progress) -> Result<JobId, Box<dyn Error>> {
    let launched = flink.run_with(old.clone(), |notice| progress.show(&notice))?;
    let report = flink
        .run_with(AwaitJob::running(launched.job).within(Duration::from_secs(60)), |notice| progress.show(&notice))?;
    if report.state.is_terminal() {
        let why = report.failure().unwrap_or_default();
        return Err(format!("the old job is {} already {why}", report.state).into());
    }
    *old = old.clone().from_uploaded(launched.jar);
    std::thread::sleep(Duration::from_secs(3));
    Ok(launched.job)
}

fn show_restored(flink: &Flink<Ureq>, job: JobId, progress: &Progress) {
    if let Ok(Some(restored)) = flink.call(GetCheckpoints::new(job)).map(|checkpoints| checkpoints.latest.restored) {
        let path = restored.external_path.unwrap_or_default();
        progress.say(&format!("job {job} was restored from {path} (checkpoint {})", restored.id));
    }
}

/// What the program counts. TaskManagers report it with their heartbeats, and the cluster caches it, so the first seconds
/// of a job show nothing; neither does a program that counts nothing.
fn show_accumulators(flink: &Flink<Ureq>, job: JobId, when: &str, progress: &Progress) {
    for _ in 0..15 {
        let accumulators = flink.call(GetJobAccumulators::new(job)).map(|all| all.tasks).unwrap_or_default();
        for accumulator in &accumulators {
            progress.say(&format!("{when}: accumulator {} = {}", accumulator.name, accumulator.value));
        }
        if !accumulators.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

struct Options {
    url: String,
    jar: PathBuf,
    next_jar: PathBuf,
    savepoint_dir: String,
    job: Option<JobId>,
    entry_class: Option<String>,
    next_entry_class: Option<String>,
    args: Vec<String>,
    next_args: Vec<String>,
    settle: Duration,
    state: Option<PathBuf>,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        use lexopt::prelude::*;

        let (mut url, mut jar, mut next_jar, mut savepoint_dir) = (None, None, None, None);
        let (mut job, mut entry_class, mut next_entry_class, mut state) = (None, None, None, None);
        let (mut args, mut next_args, mut settle) = (Vec::new(), None::<Vec<String>>, Duration::from_secs(60));
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => url = Some(parser.value()?.string()?),
                Long("jar") => jar = Some(parser.value()?.into()),
                Long("next-jar") => next_jar = Some(parser.value()?.into()),
                Long("savepoint-dir") => savepoint_dir = Some(parser.value()?.string()?),
                Long("job") => job = Some(parser.value()?.string()?.parse()?),
                Long("entry-class") => entry_class = Some(parser.value()?.string()?),
                Long("next-entry-class") => next_entry_class = Some(parser.value()?.string()?),
                Long("arg") => args.push(parser.value()?.string()?),
                Long("next-arg") => next_args.get_or_insert_default().push(parser.value()?.string()?),
                Long("settle") => settle = Duration::from_secs(parser.value()?.parse()?),
                Long("state") => state = Some(parser.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        let missing = |name: &str| format!("--{name} is missing");
        Ok(Self {
            url: url.ok_or_else(|| missing("url"))?,
            jar: jar.ok_or_else(|| missing("jar"))?,
            next_jar: next_jar.ok_or_else(|| missing("next-jar"))?,
            savepoint_dir: savepoint_dir.ok_or_else(|| missing("savepoint-dir"))?,
            job,
            // The next version is usually run in the same way.
            next_args: next_args.unwrap_or_else(|| args.clone()),
            next_entry_class: next_entry_class.or_else(|| entry_class.clone()),
            entry_class,
            args,
            settle,
            state,
        })
    }

    fn old(&self) -> Result<RunJar, Box<dyn Error>> {
        jar(&self.jar, self.entry_class.as_deref(), &self.args)
    }

    fn next(&self) -> Result<RunJar, Box<dyn Error>> {
        jar(&self.next_jar, self.next_entry_class.as_deref(), &self.next_args)
    }

    /// The state of an upgrade that was interrupted.
    fn saved(&self) -> Result<Option<Saved>, Box<dyn Error>> {
        let Some(file) = &self.state else { return Ok(None) };
        let named = |error: &dyn Error| format!("--state {}: {error}", file.display());
        match std::fs::read(file) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).map_err(|error| named(&error))?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&error).into()),
        }
    }
}

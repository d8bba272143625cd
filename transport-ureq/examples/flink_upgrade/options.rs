//! The command line.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use pipewright::Base;
use pipewright::flink::JobId;

pub(crate) const USAGE: &str = "\
usage: flink_upgrade --url URL --jar OLD --next-jar NEW [--job ID] [--state FILE] [OPTIONS]
       flink_upgrade --url URL --jar OLD --next-jar NEW --job ID --from-savepoint PATH [--state FILE] [OPTIONS]
       flink_upgrade --url URL --jar OLD --roll-back (--state FILE | --job ID --from-savepoint PATH) [OPTIONS]
       flink_upgrade --url URL --jar OLD --next-jar NEW [--job ID] --dry-run [OPTIONS]

Moves a job on a Flink cluster from one jar to the next without losing its state. The tool stops the old job with a savepoint
and runs the new jar from it. If the new jar does not run, the tool runs the old jar again from the same savepoint.

  --url URL                    the address of the JobManager, such as http://127.0.0.1:8081
  --jar OLD                    the jar that the job runs from
  --next-jar NEW               the jar to move to; not needed with --roll-back
  --job ID                     the running job; without it, the old jar is run first. With --from-savepoint, the stopped job
  --savepoint-dir DIR          where to write the savepoint; the cluster's default directory without it
  --entry-class C              the class with the main method, for a jar without a Main-Class
  --next-entry-class C         the same for the new jar; --entry-class by default
  --arg A                      an argument of the main method; repeat it for more
  --next-arg A                 the same for the new jar; the arguments of --arg by default
  --settle SECONDS             how long a job may take until all its tasks run; the new job must also complete its first
                               checkpoint in this time; 60 by default
  --stable-for SECONDS         how long the new job must then run without a failure; 0 by default
  --allow-non-restored-state   drops state that the new jar has no operator for, instead of rejecting it
  --state FILE                 saves the state of the upgrade in FILE
  --from-savepoint PATH        runs the new jar from this savepoint; the old job was stopped before
  --roll-back                  runs the old jar again, from the savepoint of --state or --from-savepoint
  --dry-run                    uploads and plans both jars, compares the plans, deletes the uploads. Planning runs the main
                               methods
  --help                       this text

With --from-savepoint, the tool checks that job ID does not run. It warns if the cluster does not know this job, and continues. --dry-run
does not check PATH.

After a crash, run the same command: it resumes the upgrade from FILE. Ctrl-C and SIGTERM end the tool as `kill -9` does; the
cluster finishes what it has begun. The tool removes FILE when the upgrade has ended and the report is written. It keeps FILE if
a plan may have killed a JobManager, so that the same command does not kill another. Two processes cannot use FILE at the same
time. On resumption, the tool takes the arguments of the main methods from FILE: --arg and --next-arg can be left out. Pass the
same jar files: the tool rejects another jar or other arguments. --settle, --stable-for and --savepoint-dir replace the values in
FILE. FILE contains the arguments, which may be secrets: only its owner can read it.

Progress goes to the standard error output, and so do the commands to run next if the upgrade did not end well. They do not show the
values of --arg and --next-arg. The result is one line of JSON on the standard output.

exit codes:
  0  upgraded; with --dry-run, both jars can be planned, and no vertex of the job vanishes or --allow-non-restored-state is given
  1  with --dry-run, a vertex vanishes; otherwise failed for another reason, such as a missing file or no connection. Nothing
     was changed unless the message says so
  2  wrong usage
  3  rolled back: the old jar runs again
  4  unknown: the tool could not find out what the cluster did, or the submitted job may still start
  5  the old job was not stopped and runs
  6  no job runs; the report names the savepoint (or the last checkpoint) to start from";

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The arguments.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The path of the program, as on the command line.
    pub(crate) program: String,
    pub(crate) url: Base,
    pub(crate) jar: PathBuf,
    pub(crate) next_jar: Option<PathBuf>,
    pub(crate) job: Option<JobId>,
    pub(crate) savepoint_dir: Option<String>,
    pub(crate) entry_class: Option<String>,
    pub(crate) next_entry_class: Option<String>,
    pub(crate) args: Vec<String>,
    pub(crate) next_args: Vec<String>,
    pub(crate) settle: Option<u32>,
    pub(crate) stable_for: Option<u32>,
    pub(crate) allow_non_restored_state: bool,
    pub(crate) state: Option<PathBuf>,
    pub(crate) from_savepoint: Option<String>,
    pub(crate) roll_back: bool,
    pub(crate) dry_run: bool,
}

impl Options {
    /// `None` if help is wanted.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>> {
        use lexopt::prelude::*;

        let (mut url, mut jar) = (None, None);
        let mut parser = lexopt::Parser::from_iter(arguments);
        let mut options = Self {
            program: parser.bin_name().unwrap_or("flink_upgrade").to_owned(),
            url: "http://localhost".parse()?,
            jar: PathBuf::new(),
            next_jar: None,
            job: None,
            savepoint_dir: None,
            entry_class: None,
            next_entry_class: None,
            args: Vec::new(),
            next_args: Vec::new(),
            settle: None,
            stable_for: None,
            allow_non_restored_state: false,
            state: None,
            from_savepoint: None,
            roll_back: false,
            dry_run: false,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(None),
                Long("url") => url = Some(parser.value()?.string()?),
                Long("jar") => jar = Some(parser.value()?.into()),
                Long("next-jar") => options.next_jar = Some(parser.value()?.into()),
                Long("job") => options.job = Some(parser.value()?.string()?.parse()?),
                Long("savepoint-dir") => options.savepoint_dir = Some(parser.value()?.string()?),
                Long("entry-class") => options.entry_class = Some(parser.value()?.string()?),
                Long("next-entry-class") => options.next_entry_class = Some(parser.value()?.string()?),
                Long("arg") => options.args.push(parser.value()?.string()?),
                Long("next-arg") => options.next_args.push(parser.value()?.string()?),
                Long("settle") => options.settle = Some(parser.value()?.parse()?),
                Long("stable-for") => options.stable_for = Some(parser.value()?.parse()?),
                Long("allow-non-restored-state") => options.allow_non_restored_state = true,
                Long("state") => options.state = Some(parser.value()?.into()),
                Long("from-savepoint") => options.from_savepoint = Some(parser.value()?.string()?),
                Long("roll-back") => options.roll_back = true,
                Long("dry-run") => options.dry_run = true,
                other => return Err(other.unexpected().into()),
            }
        }
        options.url = url.ok_or("--url is missing")?.parse().map_err(|error| format!("--url: {error}"))?;
        options.jar = jar.ok_or("--jar is missing")?;
        options.check()?;
        Ok(Some(options))
    }

    /// Checks which options belong together.
    fn check(&self) -> Result<()> {
        if self.next_jar.is_none() && !self.roll_back {
            return Err("--next-jar is missing".into());
        }
        if self.roll_back && self.state.is_none() && self.from_savepoint.is_none() {
            return Err(
                "--roll-back needs --state or --from-savepoint: they tell which savepoint to run the old jar from"
                    .into(),
            );
        }
        if self.roll_back && self.dry_run {
            return Err("--roll-back and --dry-run: give one of them".into());
        }
        if self.from_savepoint.is_some() && self.job.is_none() {
            return Err("--from-savepoint needs --job, the stopped job: it must not run when another job starts".into());
        }
        Ok(())
    }

    /// The class with the new jar's main method.
    pub(crate) fn next_entry_class(&self) -> Option<&String> {
        self.next_entry_class.as_ref().or(self.entry_class.as_ref())
    }

    /// The arguments of the new jar's main method.
    pub(crate) fn next_args(&self) -> &[String] {
        if self.next_args.is_empty() { &self.args } else { &self.next_args }
    }

    pub(crate) fn settle(&self) -> Option<Duration> {
        self.settle.map(|seconds| Duration::from_secs(seconds.into()))
    }

    pub(crate) fn stable_for(&self) -> Option<Duration> {
        self.stable_for.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

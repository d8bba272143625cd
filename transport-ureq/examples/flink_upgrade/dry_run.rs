//! `--dry-run`: uploads and plans both jars, and compares the plans. Nothing else is changed, and the uploads are
//! deleted.

use pipewright::error::FlowError;
use pipewright::flink::jars::{DeleteJar, Graph, PlanJar, UploadJar};
use pipewright::flink::jobs::GetJobPlan;
use pipewright::flink::{Flink, JarId, JobId};
use pipewright_ureq::Ureq;

use crate::command::Command;
use crate::found::{Found, not_known, still_runs};
use crate::jar::Jar;
use crate::next::command_again;
use crate::options::Options;
use crate::plans::{LIMITS, compare};
use crate::report::{Next, Outcome, Report};
use crate::support::Progress;

/// Prints what an upgrade would do.
pub(crate) fn run(options: &Options, progress: &Progress) -> Report {
    let dry_run = DryRun { options, flink: Flink::new(options.url.clone(), Ureq::new()), progress };
    let mut uploads = Vec::new();
    let planned = dry_run.plan(&mut uploads);
    for jar in uploads {
        match dry_run.flink.call(DeleteJar::new(jar.clone())) {
            Ok(_) => progress.say(&format!("deleted the upload {jar}")),
            Err(error) => progress.say(&format!("deleting the upload {jar} failed: {error}; delete it")),
        }
    }
    let mut report = match planned {
        Ok(report) => report,
        Err(problem) => Report::new(Outcome::Failed, problem),
    };
    report.job = options.job;
    let command = match report.outcome {
        Outcome::Planned => {
            Next { purpose: "to upgrade".to_owned(), command: Command::again(options, false).to_string() }
        }
        Outcome::OldJobRuns => Next {
            command: Command::again(options, false).with_savepoint(None).dry_run().to_string(),
            ..command_again(options, None, false)
        },
        _ => Next {
            command: Command::again(options, false).dry_run().to_string(),
            ..command_again(options, None, false)
        },
    };
    report.next.push(command);
    if !report.out(progress) {
        report.outcome = Outcome::Failed;
    }
    report
}

struct DryRun<'a> {
    options: &'a Options,
    flink: Flink<Ureq>,
    progress: &'a Progress,
}

impl DryRun<'_> {
    fn plan(&self, uploads: &mut Vec<JarId>) -> Result<Report, String> {
        let options = self.options;
        let next_jar = options.next_jar.as_deref().unwrap_or(&options.jar);
        let old = Jar::open(&options.jar, options.entry_class.as_ref(), &options.args)?;
        let new = Jar::open(next_jar, options.next_entry_class(), options.next_args())?;
        let running = match (options.job, &options.from_savepoint) {
            (Some(job), None) => Some(self.running(job)?),
            (Some(job), Some(path)) => {
                match Found::of(&self.flink, job) {
                    Found::Runs(state) => return Ok(Report::new(Outcome::OldJobRuns, still_runs(job, &state))),
                    Found::Ended(state) => self.progress.say(&format!("job {job}: {state}")),
                    Found::NotKnown => self.progress.say(&not_known(job)),
                    Found::NotAsked(error) => return Err(format!("looking up job {job} failed: {error}")),
                }
                self.progress.say(&format!("whether {path} exists and can be read was not checked"));
                None
            }
            (None, _) => None,
        };
        let old = self.plan_jar("the old jar", &old, uploads)?;
        let new = self.plan_jar("the new jar", &new, uploads)?;

        if let Some(differs) =
            running.as_ref().and_then(|running| compare(running, &old)).filter(|plans| !plans.is_same())
        {
            self.progress.say(&format!(
                "the old jar has another plan than the running job; is it the jar that the job runs from?\n{differs}"
            ));
        }
        let (name, before) = running.as_ref().map_or(("the old jar", &old), |running| ("the running job", running));
        let Some(plans) = compare(before, &new) else {
            return Err(format!("{name} has no graph yet, so that the plans cannot be compared; try again"));
        };
        self.progress.say(&format!("from {name} to the new jar: {plans}\n{LIMITS}"));
        self.progress.say(&self.intention());
        let (vanished, limit) = (plans.vanished.len(), options.allow_non_restored_state);
        Ok(match vanished {
            0 => Report::new(Outcome::Planned, "both jars can be planned, and no vertex vanishes"),
            _ if limit => Report::new(
                Outcome::Planned,
                format!(
                    "both jars can be planned; {vanished} vertices vanish, and --allow-non-restored-state drops their state"
                ),
            ),
            _ => Report::new(
                Outcome::Failed,
                format!(
                    "{vanished} vertices vanish: if they have state, the savepoint is rejected; give the operators of the new jar the \
                     uids of the old jar, or drop their state by --allow-non-restored-state"
                ),
            ),
        })
    }

    /// The plan of the running job.
    fn running(&self, job: JobId) -> Result<Graph, String> {
        let failed = |error: FlowError| format!("looking up job {job} failed: {error}");
        match Found::of(&self.flink, job) {
            Found::Runs(state) => self.progress.say(&format!("job {job}: {state}")),
            Found::Ended(state) => {
                return Err(format!("job {job} is {state}; an upgrade needs a running job, or --from-savepoint"));
            }
            Found::NotKnown => {
                return Err(format!("looking up job {job} failed: the cluster does not know it; check --job"));
            }
            Found::NotAsked(error) => return Err(failed(error)),
        }
        Ok(self.flink.call(GetJobPlan::new(job)).map_err(failed)?.plan)
    }

    fn plan_jar(&self, what: &str, jar: &Jar, uploads: &mut Vec<JarId>) -> Result<Graph, String> {
        let Some((name, content)) = jar.content()? else { return Err(format!("{what} was not given")) };
        let uploaded = self.flink.call(UploadJar::new(name.clone(), content));
        let id = uploaded
            .map_err(|error| {
                // Only the answer names the upload.
                let left = if error.is_ambiguous() {
                    format!(
                        "; the upload may be left on the cluster: look for …_{name} with `curl {}/v1/jars`, and delete it",
                        self.options.url
                    )
                } else {
                    String::new()
                };
                format!("uploading {what} failed: {error}{left}")
            })?
            .jar_id();
        uploads.push(id.clone());
        self.progress.say(&format!("{what}: uploaded as {id}; planning it, which runs its main method"));
        let mut plan = PlanJar::new(id);
        plan.entry_class = jar.entry_class().cloned();
        plan.program_args = Some(jar.args().to_vec()).filter(|args| !args.is_empty());
        let planned = self.flink.call(plan).map_err(|error| {
            let suspicion = if error.is_ambiguous() { "; its main method may have ended the JobManager" } else { "" };
            format!("planning {what} failed: {error}{suspicion}")
        });
        Ok(planned?.plan)
    }

    /// What the same command does without `--dry-run`.
    fn intention(&self) -> String {
        let Options { job, from_savepoint, savepoint_dir, jar, next_jar, .. } = self.options;
        let (jar, next_jar) = (jar.display(), next_jar.as_deref().unwrap_or(jar).display());
        let directory = savepoint_dir.as_deref().unwrap_or("the default directory of the cluster");
        let stop = match (from_savepoint, job) {
            (Some(path), _) => return format!("an upgrade would run {next_jar} from {path}, or {jar} if that fails"),
            (None, Some(job)) => format!("stop job {job}"),
            (None, None) => format!("run {jar}, stop its job"),
        };
        format!(
            "an upgrade would {stop} with a savepoint in {directory}, and run {next_jar} from it, or {jar} again if that fails"
        )
    }
}

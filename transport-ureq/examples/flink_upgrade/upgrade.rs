//! [`Upgrader`]: from the first submission to the report.

use pipewright::error::FlowError;
use pipewright::flink::flow::{JobDiagnosis, UpgradePhase, UpgradeStatus};
use pipewright::flink::{
    Flink, FlinkRest, GetCheckpoints, GetJobStatus, JobId, RunJar, Upgrade, UpgradeDiagnosis, UpgradeJob,
    is_unknown_job,
};
use pipewright::flow::{Goal, Notice, Saved};
use pipewright_ureq::Ureq;

use crate::begin::begin;
use crate::next::{after_success, after_upgrade, command_again, give_up};
use crate::options::Options;
use crate::points::Points;
use crate::report::{Outcome, Report};
use crate::state::{Record, State, Step};
use crate::support::Progress;

/// An upgrade, and where it keeps its state.
pub(crate) struct Upgrader<'a> {
    options: &'a Options,
    flink: Flink<Ureq>,
    progress: &'a Progress,
    points: Points,
    kept: Kept,
}

/// How far the upgrade is.
struct Kept {
    state: Option<State>,
    record: Record,
    /// The savepoint that the flow told of last.
    savepoint: Option<String>,
}

impl Kept {
    fn keep(&mut self, step: Step) -> Result<(), String> {
        let record = Record { step, ..self.record.clone() };
        if let Some(state) = &self.state {
            state.save(&record)?;
        }
        self.record = record;
        Ok(())
    }
}

/// What ends an upgrade early.
enum Trouble {
    /// Nothing was done: what the tool was given is wrong.
    Given(String),
    /// As it is.
    Report(Box<Report>),
    /// `RunJar` failed.
    Start(FlowError),
    /// `UpgradeJob` failed.
    Upgrade(FlowError),
}

/// Runs the upgrade, and removes its state if the report is out and nothing is left to resume.
pub(crate) fn run(options: &Options, progress: &Progress) -> Report {
    let flink = Flink::new(options.url.clone(), Ureq::new());
    let (state, record) = match begin(options, &flink, progress) {
        Ok(begun) => begun,
        Err(problem) => {
            let mut report = Report::new(Outcome::Failed, problem);
            let has_state = options.state.as_ref().is_some_and(|file| file.exists());
            report.next.push(command_again(options, None, has_state));
            report.out(progress);
            return report;
        }
    };
    let kept = Kept { state, record, savepoint: None };
    let mut upgrader = Upgrader { options, flink, progress, points: Points::from_env(), kept };
    let mut report = match upgrader.upgrade() {
        Ok(upgrade) => upgrader.succeeded(upgrade),
        Err(trouble) => upgrader.failed(trouble),
    };
    let printed = upgrader.points.pass(|| report.out(progress));
    if let Some(state) = upgrader.kept.state.as_ref().filter(|_| printed && report.is_over)
        && let Err(problem) = upgrader.points.pass(|| state.remove())
    {
        // What the report says holds. But the same command would look at this upgrade again.
        progress.say(&format!("flink_upgrade: removing {problem}; remove this file"));
    }
    if !printed {
        report.outcome = Outcome::Failed;
    }
    report
}

impl Upgrader<'_> {
    fn upgrade(&mut self) -> Result<Upgrade, Trouble> {
        // Shows at once whether it can be saved at all.
        self.kept.keep(self.kept.record.step.clone()).map_err(Trouble::Given)?;
        let (job, goal) = if let Step::Upgrade { job, saved } = &self.kept.record.step {
            self.progress.say("resuming the upgrade that was interrupted");
            let goal = UpgradeJob::resume(saved).map_err(Trouble::Upgrade)?;
            (*job, goal.with_jars(self.old()?, self.new_jar()?))
        } else if self.options.roll_back && self.kept.record.from_savepoint.is_none() {
            return Err(self.nothing_to_roll_back());
        } else {
            self.fresh()?
        };
        let goal = self.options.savepoint_dir.iter().fold(goal, UpgradeJob::target_directory);
        let goal = self.options.settle().into_iter().fold(goal, UpgradeJob::settle_within);
        let goal = self.options.prove_for().into_iter().fold(goal, UpgradeJob::prove_for);
        let goal = if self.options.roll_back { goal.roll_back() } else { goal };
        self.run(goal, |saved| Step::Upgrade { job, saved }).map_err(Trouble::Upgrade)
    }

    /// An upgrade of a running job, or from the savepoint of a stopped one.
    fn fresh(&mut self) -> Result<(JobId, UpgradeJob), Trouble> {
        let job = match self.kept.record.step {
            Step::Ready(job) => job,
            _ => self.start()?,
        };
        let old = self.kept.record.started.iter().cloned().fold(self.old()?, RunJar::from_uploaded);
        let new = self.new_jar()?;
        let new = if self.kept.record.allow_non_restored_state { new.allow_non_restored_state(true) } else { new };
        let goal = UpgradeJob::new(job, old, new);
        let Some(savepoint) = self.kept.record.from_savepoint.clone() else { return Ok((job, goal)) };
        self.check_stopped(job)?;
        Ok((job, goal.from_savepoint(savepoint)))
    }

    /// Runs the old jar, or finds the job that an earlier process has submitted.
    fn start(&mut self) -> Result<JobId, Trouble> {
        let goal = match &self.kept.record.step {
            Step::Start(saved) => {
                self.progress.say("resuming the submission of the old jar");
                let goal = RunJar::resume(saved).map_err(Trouble::Start)?;
                let content = self.kept.record.old.content().map_err(Trouble::Given)?;
                content.into_iter().fold(goal, |goal, (name, content)| goal.with_jar(name, content))
            }
            _ => self.old()?,
        };
        let launched = self.run(goal, Step::Start).map_err(Trouble::Start)?;
        self.kept.record.started = Some(launched.jar);
        let (job, kept) = (launched.job, &mut self.kept);
        let kept = self.points.pass(|| kept.keep(Step::Ready(job)));
        kept.map_err(|problem| Trouble::Start(FlowError::Stopped(problem)))?;
        Ok(job)
    }

    /// Runs a goal, and saves its states. What cannot be resumed is not begun: an error stops the flow before the request that
    /// matters.
    fn run<G: Goal<Service = FlinkRest>>(
        &mut self,
        goal: G,
        step: impl Fn(Saved) -> Step,
    ) -> Result<G::Output, FlowError> {
        let (progress, points, kept) = (self.progress, &self.points, &mut self.kept);
        self.flink.run_with(goal, |notice| {
            points.pass(|| {
                progress.show(&notice);
                match notice {
                    Notice::Save(saved) => return kept.keep(step(saved)),
                    Notice::Observed { what, state } if what == "savepoint" => kept.savepoint = Some(state),
                    _ => {}
                }
                Ok(())
            })
        })
    }

    fn old(&self) -> Result<RunJar, Trouble> {
        self.kept.record.old.run().map_err(Trouble::Given)
    }

    /// To roll back, no new jar is needed.
    fn new_jar(&self) -> Result<RunJar, Trouble> {
        match &self.kept.record.new {
            Some(jar) => jar.run().map_err(Trouble::Given),
            None => Ok(RunJar::uploaded("")),
        }
    }

    /// With `--from-savepoint`, the old job must not run: the new one would do the same work.
    fn check_stopped(&self, job: JobId) -> Result<(), Trouble> {
        match self.flink.call(GetJobStatus::new(job)) {
            Ok(found) if found.status.is_terminal() => Ok(()),
            Ok(found) => {
                let text = format!(
                    "job {job} is {}: --from-savepoint is for a job that is stopped; leave it out to upgrade a running job",
                    found.status
                );
                let mut report = Report::new(Outcome::OldJobRuns, text);
                report.job = Some(job);
                Err(Trouble::Report(Box::new(report)))
            }
            // It has ended so long ago, or the JobManager was restarted since.
            Err(FlowError::Service(error)) if is_unknown_job(&error) => Ok(()),
            Err(error) => Err(Trouble::Given(format!("looking up job {job} failed: {error}"))),
        }
    }

    fn nothing_to_roll_back(&self) -> Trouble {
        let mut report =
            Report::new(Outcome::Failed, "the upgrade has stopped no job yet: there is nothing to roll back");
        report.next = self.options.state.iter().map(|file| give_up(file)).collect();
        report.job = self.kept.record.job();
        let found = report.job.map(|job| self.flink.call(GetJobStatus::new(job)));
        if let Some(Ok(found)) = found
            && !found.status.is_terminal()
        {
            report.outcome = Outcome::OldJobRuns;
        }
        Trouble::Report(Box::new(report))
    }

    fn succeeded(&self, upgrade: Upgrade) -> Report {
        let mut report = match upgrade {
            Upgrade::Upgraded { job, savepoint, checkpoint } => {
                let proof = checkpoint
                    .map_or("it has finished".to_owned(), |number| format!("its checkpoint {number} is completed"));
                let text = format!("upgraded: job {job} runs the new jar from {savepoint}; {proof}");
                let mut report = Report::new(Outcome::Upgraded, text);
                (report.job, report.savepoint, report.checkpoint) = (Some(job), Some(savepoint), checkpoint);
                report
            }
            Upgrade::RolledBack { job, savepoint, reason } => {
                let text = format!("rolled back: {reason}; job {job} runs the old jar again, from {savepoint}");
                let mut report = Report::new(Outcome::RolledBack, text);
                (report.job, report.savepoint) = (Some(job), Some(savepoint));
                report
            }
        };
        if let Some(job) = report.job {
            self.show_restored(job);
        }
        report.next = after_success(self.options, &report);
        report.is_over = true;
        report
    }

    /// What the cluster says that the job was restored from.
    fn show_restored(&self, job: JobId) {
        let restored =
            self.flink.call(GetCheckpoints::new(job)).ok().and_then(|checkpoints| checkpoints.latest.restored);
        if let Some(restored) = restored {
            let path = restored.external_path.unwrap_or_default();
            self.progress.say(&format!("job {job} was restored from {path} (checkpoint {})", restored.id));
        }
    }

    fn failed(&mut self, trouble: Trouble) -> Report {
        let mut report = match trouble {
            Trouble::Report(report) => *report,
            Trouble::Given(problem) => Report { job: self.kept.record.job(), ..Report::new(Outcome::Failed, problem) },
            Trouble::Start(error) => self.not_started(&error),
            Trouble::Upgrade(error) => self.not_upgraded(&error),
        };
        // A file that says no more than the command line would only be in the way of another one.
        report.is_over |= self.kept.record.is_idle();
        if report.next.is_empty() {
            report.next = after_upgrade(self.options, &report, self.kept.state.is_some() && !report.is_over);
        }
        report
    }

    /// The old jar was not run, or it is not known whether it was.
    fn not_started(&self, error: &FlowError) -> Report {
        let is_open = error.is_ambiguous()
            || matches!(error, FlowError::Stopped(_)) && matches!(self.kept.record.step, Step::Start(_));
        let outcome = if is_open { Outcome::Unknown } else { Outcome::Failed };
        let job = JobDiagnosis::of(error).map(|diagnosis| diagnosis.job);
        let look = job.map_or_else(String::new, |job| format!("; look up job {job}: it may run"));
        let mut report = Report::new(outcome, format!("running the old jar failed: {error}{look}"));
        report.job = job;
        // A job of which it is not known whether it runs cannot be upgraded yet.
        report.next.push(command_again(self.options, None, self.kept.state.is_some()));
        report
    }

    fn not_upgraded(&mut self, error: &FlowError) -> Report {
        let mut report = Report::new(Outcome::Failed, error.to_string());
        report.job = self.kept.record.job();
        let Some(diagnosis) = UpgradeDiagnosis::of(error) else {
            // The state could not be saved. The one before it resumes the upgrade.
            if matches!(error, FlowError::Stopped(_)) && matches!(self.kept.record.step, Step::Upgrade { .. }) {
                report.outcome = Outcome::Unknown;
                report.savepoint.clone_from(&self.kept.savepoint);
            }
            return report;
        };
        let last = diagnosis.last.as_ref().and_then(|last| last.savepoint.clone());
        report.savepoint = diagnosis.savepoint.clone().or(last);
        report.earlier_savepoint.clone_from(&diagnosis.earlier_savepoint);
        report.last_checkpoint.clone_from(&diagnosis.last_checkpoint);
        let job = diagnosis.job;
        report.job = Some(job);
        let is_before_savepoint = matches!(diagnosis.phase, UpgradePhase::Prepare | UpgradePhase::Stop);
        (report.outcome, report.is_over) = match diagnosis.status {
            UpgradeStatus::Untouched => match self.is_alive(job, error) {
                Some(true) => (Outcome::OldJobRuns, false),
                Some(false) => (Outcome::Failed, true),
                None => (Outcome::Failed, false),
            },
            UpgradeStatus::OldJobRuns if is_before_savepoint => (Outcome::OldJobRuns, false),
            // A state without the savepoint of a stop that succeeded cannot start another job.
            UpgradeStatus::NoJobRuns if report.snapshot().is_some() => {
                (Outcome::NoJobRuns, diagnosis.savepoint.is_none() && !error.is_ambiguous())
            }
            UpgradeStatus::NoJobRuns => (Outcome::Failed, true),
            _ => (Outcome::Unknown, false),
        };
        if report.outcome == Outcome::Unknown && !is_before_savepoint {
            (report.new_job, report.old_job) = (Some(diagnosis.new_job), Some(diagnosis.old_job));
        }
        let is_untouched = matches!(diagnosis.status, UpgradeStatus::Untouched | UpgradeStatus::OldJobRuns);
        if is_untouched && diagnosis.phase == UpgradePhase::Prepare && diagnosis.earlier_savepoint.is_none() {
            // Nothing is under way: the next run may be given another new jar.
            if let Err(problem) = self.kept.keep(Step::Ready(job)) {
                self.progress.say(&format!("flink_upgrade: {problem}"));
            }
        }
        report
    }

    /// Whether a job that was not stopped from here runs; `None` if the cluster cannot be asked.
    fn is_alive(&self, job: JobId, error: &FlowError) -> Option<bool> {
        let cause = match error {
            FlowError::Incomplete(incomplete) => &incomplete.cause,
            error => error,
        };
        if matches!(cause, FlowError::Transport(_)) {
            // It was asked often enough.
            return None;
        }
        let found = self.flink.call(GetJobStatus::new(job)).ok()?;
        Some(!found.status.is_terminal())
    }
}

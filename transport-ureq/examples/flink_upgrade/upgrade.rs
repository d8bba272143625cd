//! [`Upgrader`]: from the first submission to the report.

use std::time::Duration;

use pipewright::Timestamp;
use pipewright::error::FlowError;
use pipewright::flink::checkpoints::GetCheckpoints;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{
    Flink, FlinkRest, JobDiagnosis, JobId, JobLookup, RunJar, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradePhase,
    is_unknown_job,
};
use pipewright::flow::{Goal, Notice, SavedState};
use pipewright_ureq::Ureq;

use crate::begin::{Rejected, begin, completed};
use crate::found::{Found, not_known, still_runs};
use crate::next::{after_lost_start, after_rejection, after_success, after_upgrade, command_again, give_up, look_up};
use crate::options::Options;
use crate::points::Points;
use crate::report::{Outcome, Report};
use crate::state::{Record, State, Step};
use crate::support::Progress;
use crate::verdict::{Facts, savepoint_of_stop};

/// For how long a flow without a deadline repeats a lookup that fails.
const LOOKING: Duration = Duration::from_secs(90);

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
    /// As it is, with what to run next.
    Report(Box<Report>),
    /// A job that must not run, runs.
    StillRuns(JobId, JobState),
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
        Err(rejected) => {
            let report = not_begun(options, rejected);
            report.out(progress);
            return report;
        }
    };
    let options = &completed(options, &record);
    let kept = Kept { state, record };
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

fn waiting_until(time: Timestamp) -> String {
    format!(
        "the cluster does not answer as it should: lookups are repeated until about {time}, and so are those of a later step, each \
         for {} s at the most; if no JobManager has answered by then, the tool ends with the command that resumes the upgrade",
        LOOKING.as_secs()
    )
}

/// What the file of `--state` holds remains.
fn not_begun(options: &Options, Rejected { problem, record }: Rejected) -> Report {
    let mut report = Report::new(Outcome::Failed, problem);
    let chosen = record.as_ref().and_then(|record| record.chosen_job());
    if let Some(record) = &record {
        report.job = record.job().or(chosen);
        report.savepoint.clone_from(&record.savepoint);
        if let Some(savepoint) = &record.savepoint {
            report.add(format_args!("the savepoint of this upgrade is {savepoint}"));
        }
    }
    report.next = after_rejection(options, chosen, record.is_some());
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
        let goal = self.options.settle().into_iter().fold(goal, UpgradeJob::settle_timeout);
        let goal = self.options.stable_for().into_iter().fold(goal, UpgradeJob::stable_for);
        let goal = if self.options.roll_back { goal.roll_back() } else { goal };
        self.run(goal, |saved| Step::Upgrade { job, saved }).map_err(Trouble::Upgrade)
    }

    /// An upgrade of a running job, or from the savepoint of a stopped job.
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

    /// Runs a goal, and saves its states. What cannot be resumed is not begun: an error stops the flow before the
    /// request that matters.
    fn run<G: Goal<Service = FlinkRest>>(
        &mut self,
        goal: G,
        step: impl Fn(SavedState) -> Step,
    ) -> Result<G::Output, FlowError> {
        let (progress, points, kept) = (self.progress, &self.points, &mut self.kept);
        let mut is_away = false;
        self.flink.run_with(goal, |notice| {
            points.pass(|| {
                progress.show(&notice);
                match notice {
                    Notice::Answered { status, .. } => is_away &= status.is_server_error(),
                    Notice::Retrying { at, .. } if !std::mem::replace(&mut is_away, true) => {
                        progress.say(&waiting_until(at + LOOKING));
                    }
                    Notice::Persist(saved) => return kept.keep(step(saved)),
                    Notice::Observed { what, state, .. } if what == "savepoint" => kept.record.savepoint = Some(state),
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

    /// With `--from-savepoint`, the old job must not run: the new job would do the same work.
    fn check_stopped(&self, job: JobId) -> Result<(), Trouble> {
        match Found::of(&self.flink, job) {
            Found::Ended(_) => Ok(()),
            Found::Runs(state) => Err(Trouble::StillRuns(job, state)),
            Found::NotKnown => {
                self.progress.say(&not_known(job));
                Ok(())
            }
            Found::NotAsked(error) => Err(Trouble::Given(format!("looking up job {job} failed: {error}"))),
        }
    }

    /// The job that the state alone may know must be named: the file is going to be removed.
    fn nothing_to_roll_back(&self) -> Trouble {
        let text = "the upgrade has stopped no job yet: nothing to roll back";
        let mut report = Report::new(Outcome::Failed, text);
        let chosen = self.kept.record.chosen_job();
        report.job = self.kept.record.job().or(chosen);
        if !self.kept.record.is_idle() {
            report.next = self.options.state.iter().map(|file| give_up(file)).collect();
        }
        match report.job.map(|job| (job, Found::of(&self.flink, job))) {
            Some((job, Found::Runs(state))) => {
                report.outcome = Outcome::OldJobRuns;
                report.add(format_args!("job {job} is {state}"));
            }
            Some((job, Found::NotKnown | Found::NotAsked(_))) if chosen.is_some() => {
                report.outcome = Outcome::Unknown;
                report.add(format_args!(
                    "job {job} was submitted, and may still come up: look it up before you remove the state"
                ));
                report.next.insert(0, look_up(self.options, job));
            }
            Some((job, Found::Ended(state))) => report.add(format_args!("job {job} is {state}")),
            _ => {}
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
            Trouble::Report(mut report) => {
                report.is_over |= self.kept.record.is_idle();
                return *report;
            }
            Trouble::Given(problem) => Report { job: self.kept.record.job(), ..Report::new(Outcome::Failed, problem) },
            Trouble::StillRuns(job, state) => {
                // The command to run next has no --from-savepoint: that of the file would take its place.
                self.kept.record.from_savepoint = None;
                self.set_step(Step::Ready(job));
                Report { job: Some(job), ..Report::new(Outcome::OldJobRuns, still_runs(job, &state)) }
            }
            Trouble::Start(error) => self.not_started(&error),
            Trouble::Upgrade(error) => self.not_upgraded(&error),
        };
        // A file that holds no more than the command line would only block another upgrade.
        report.is_over |= self.kept.record.is_idle();
        if report.next.is_empty() {
            report.next = after_upgrade(self.options, &report, self.kept.state.is_some() && !report.is_over);
        }
        report
    }

    /// The old jar was not run, or it is not known whether it was.
    fn not_started(&mut self, error: &FlowError) -> Report {
        let is_open = error.is_ambiguous()
            || matches!(error, FlowError::Stopped(_)) && matches!(self.kept.record.step, Step::Start(_));
        let mut report = Report::new(Outcome::Failed, format!("running the old jar failed: {error}"));
        report.job = JobDiagnosis::of(error).map(|diagnosis| diagnosis.job).or(self.kept.record.chosen_job());
        let has_state = self.kept.state.is_some();
        if is_open {
            report.outcome = Outcome::Unknown;
            match report.job {
                Some(job) if !has_state => report.next = after_lost_start(self.options, job),
                // A job of which it is not known whether it runs cannot be upgraded yet.
                job => report.next = after_rejection(self.options, job, has_state),
            }
            if let Some(job) = report.job {
                report.add(format_args!("look up job {job}: it may run"));
            }
            return report;
        }
        let job = report.job;
        match job.map(|job| (job, Found::of(&self.flink, job))) {
            Some((job, Found::Runs(state))) => {
                report.outcome = Outcome::OldJobRuns;
                report.add(format_args!("job {job} is {state}"));
                report.next.push(command_again(self.options, Some(job), has_state));
            }
            // It certainly does not exist, or has ended: the next run may be given another jar, and other arguments.
            Some((_, Found::Ended(_))) => self.set_step(Step::New),
            Some((_, Found::NotKnown)) if error.service().is_some() => self.set_step(Step::New),
            _ => report.next = after_rejection(self.options, job, has_state),
        }
        if report.next.is_empty() {
            report.next.push(command_again(self.options, None, false));
        }
        if report.outcome == Outcome::Failed {
            report.job = job.filter(|_| matches!(self.kept.record.step, Step::Start(_)));
        }
        report
    }

    /// Nothing is under way that a state is needed for.
    fn set_step(&mut self, step: Step) {
        if let Err(problem) = self.kept.keep(step) {
            self.progress.say(&format!("flink_upgrade: {problem}"));
        }
    }

    fn not_upgraded(&mut self, error: &FlowError) -> Report {
        let mut report = Report::new(Outcome::Failed, error.to_string());
        report.job = self.kept.record.job();
        let Some(diagnosis) = UpgradeDiagnosis::of(error) else {
            // The state could not be saved. The state before it resumes the upgrade.
            if matches!(error, FlowError::Stopped(_)) && matches!(self.kept.record.step, Step::Upgrade { .. }) {
                report.outcome = Outcome::Unknown;
                report.savepoint.clone_from(&self.kept.record.savepoint);
            }
            return report;
        };
        let last = diagnosis.last.as_ref();
        // An earlier savepoint is no newer than the last checkpoint.
        let of_last = last.and_then(|last| last.savepoint.clone()).filter(|_| diagnosis.earlier_savepoint.is_none());
        report.savepoint = diagnosis.savepoint.clone().or(of_last);
        let listed = last.and_then(|last| last.last_savepoint.as_ref());
        let listed = listed.and_then(|listed| savepoint_of_stop(listed.kind.as_ref(), &listed.path));
        let listed = listed.filter(|_| report.savepoint.is_none());
        report.earlier_savepoint = diagnosis.earlier_savepoint.clone().or(listed);
        report.last_checkpoint.clone_from(&diagnosis.last_checkpoint);
        let job = diagnosis.job;
        (report.job, report.phase) = (Some(job), Some(diagnosis.phase.clone()));
        report.has_open_plan = self.kept.record.has_open_plan();
        let facts = Facts {
            phase: diagnosis.phase.clone(),
            status: diagnosis.status,
            is_ambiguous: error.is_ambiguous(),
            is_not_known: error.service().is_some_and(is_unknown_job),
            is_finished: last.is_some_and(|last| last.lookup == JobLookup::State(JobState::Finished)),
            has_savepoint: diagnosis.savepoint.is_some(),
            is_given: diagnosis.savepoint.is_some() && diagnosis.savepoint == self.kept.record.from_savepoint,
            has_earlier: diagnosis.earlier_savepoint.is_some(),
            has_snapshot: !report.snapshots().is_empty(),
            has_open_plan: report.has_open_plan,
        };
        let verdict = facts.verdict(|| self.look_up(job, error));
        (report.outcome, report.is_over, report.is_gone) = (verdict.outcome, verdict.is_over, verdict.is_gone);
        let is_before_savepoint = matches!(diagnosis.phase, UpgradePhase::Prepare | UpgradePhase::Stop);
        if report.outcome == Outcome::Unknown && !is_before_savepoint {
            (report.new_job, report.old_job) = (Some(diagnosis.new_job), Some(diagnosis.old_job));
        }
        if verdict.begins_again {
            self.set_step(Step::Ready(job));
        }
        report
    }

    /// A job that was not stopped from here; `None` if the cluster was asked often enough.
    fn look_up(&self, job: JobId, error: &FlowError) -> Option<Found> {
        let cause = match error {
            FlowError::Incomplete(incomplete) => &incomplete.cause,
            error => error,
        };
        (!matches!(cause, FlowError::Transport(_))).then(|| Found::of(&self.flink, job))
    }
}

//! One seed: its operations, and the checks after each operation.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pipewright::error::FlowError;
use pipewright::flink::jobs::{JobState, JobSummary};
use pipewright::flink::{
    AwaitJob, Flink, JobId, RunJar, StopWithSavepoint, TakeSavepoint, TriggerCheckpoint, Upgrade, UpgradeJob,
};
use pipewright::flow::{Config, Retry};
use pipewright_mock::serve::{Proxy, ProxyOptions};
use pipewright_mock::{FaultKind, FaultPlan};
use pipewright_ureq::{Ureq, file_body};

use super::operator::{Operator, Outcome};
use super::scenario::{NewJar, Operation, Scenario};
use super::truth::{CleanUp, Truth};
use super::verdict::{End, Step, Verdict, class, explain, savepoints, wrong_status};

/// How long one answer may take; some delays are longer.
const ATTEMPT: Duration = Duration::from_secs(4);
/// How long a flow may take.
const WITHIN: Duration = Duration::from_secs(90);
/// How long a job may take to show that it runs.
const SETTLE: Duration = Duration::from_secs(8);
/// How long a new job must run if it must stay stable.
const STABLE_FOR: Duration = Duration::from_secs(5);
/// The longest delay of a request, after which it has arrived.
const LONGEST_DELAY: Duration = Duration::from_secs(6);

/// Where the cluster and the jars are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's address.
    pub url: String,
    /// The folder with the demo jars.
    pub jars: PathBuf,
    /// Whether every notice and request is shown.
    pub verbose: bool,
}

/// Carries out the scenario of a seed.
///
/// # Errors
/// If there is no proxy, no jar, or no cluster to begin with.
pub fn run(seed: u64, truth: &Truth, settings: &Settings) -> Result<Verdict, Box<dyn std::error::Error + Send + Sync>> {
    let begin = Instant::now();
    let scenario = Scenario::new(seed);
    let text = scenario.to_string();
    let verbose = settings.verbose;
    let options = ProxyOptions::new(&settings.url)?.service("flink").on_request(move |served| {
        if verbose {
            eprintln!("seed {seed}: {served}");
        }
    });
    // Dropped after the case and its proxy, also if the case fails or panics.
    let guard = CleanUp::new(truth, format!("chaos-{seed}-"));
    let proxy = Proxy::start(options)?;
    let mut retry = Retry::default();
    retry.attempt_timeout = ATTEMPT;
    let config = Config::new(proxy.url().parse()?).with_retry(retry);
    let mut case = Case {
        prefix: format!("chaos-{seed}-"),
        goal: format!("chaos-{seed}"),
        flink: Flink::with_config(config, Ureq::new()),
        scenario,
        truth,
        proxy,
        settings,
        told: String::new(),
        stopped: None,
        is_sound: true,
        steps: Vec::new(),
        violations: Vec::new(),
    };
    truth.clean_up(&case.prefix)?;
    truth.forget(&case.goal)?;
    case.carry_out()?;
    let Case { steps, mut violations, proxy, .. } = case;
    let faults = proxy.counts();
    drop(proxy);
    violations.extend(guard.finish().err());
    Ok(Verdict { seed, scenario: text, steps, violations, faults, took: begin.elapsed() })
}

struct Case<'a> {
    /// What the names of its jobs begin with.
    prefix: String,
    /// What its savepoints' folder is called.
    goal: String,
    /// The client behind the proxy.
    flink: Flink<Ureq>,
    scenario: Scenario,
    truth: &'a Truth,
    proxy: Proxy,
    settings: &'a Settings,
    /// All that results, errors and saved states have told.
    told: String,
    /// The savepoint of a stop, and what the job had counted before.
    stopped: Option<(String, i64)>,
    /// Whether the job is one that runs without failing, so that every operation on it must succeed once nothing goes
    /// wrong.
    is_sound: bool,
    steps: Vec<Step>,
    violations: Vec<String>,
}

/// What is left after an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// This job.
    Job(JobId),
    /// No job, as was wanted, or a savepoint that the error names.
    Nothing,
    /// One job or none: the outcome is unknown.
    Unknown,
}

impl Case<'_> {
    fn carry_out(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let left = self.operations()?;
        if self.proxy.counts().contains_key(&FaultKind::DelayRequest) {
            std::thread::sleep(LONGEST_DELAY);
        }
        self.check("at the end", left);
        for name in self.truth.on_disk(&self.goal) {
            if !self.told.contains(&name) {
                self.violation(format!("savepoint {name} is on disk, and no result, error or saved state names it"));
            }
        }
        let most = self.truth.most_at_once(&self.prefix);
        if most.len() > 1 {
            self.violation(format!("these jobs lived at the same time: {most:?}"));
        }
        if most.is_empty() && left != Left::Unknown {
            self.violation("no job was ever seen, so that two at the same time would not have been seen".to_owned());
        }
        Ok(())
    }

    /// Carries out one operation after another, and returns what is left after the last operation.
    fn operations(&mut self) -> Result<Left, Box<dyn std::error::Error + Send + Sync>> {
        let args = ["--name".to_owned(), format!("{}old", self.prefix)];
        let old = self.jar("endless.jar", &args)?;
        let launched = self.operate("run", |saved| match saved {
            None => Ok(old.clone().timeout(WITHIN)),
            Some(saved) => Ok(RunJar::resume(saved)?.timeout(WITHIN)),
        });
        let launched = match launched.result {
            Ok(launched) => {
                self.ended("run", End::Done);
                launched
            }
            Err(error) => {
                self.failed("run", &error, true);
                return Ok(if error.is_ambiguous() { Left::Unknown } else { Left::Nothing });
            }
        };
        let direct = self.truth.flink();
        match direct.run(AwaitJob::running(launched.job).timeout(Duration::from_secs(60))) {
            Ok(report) if report.state == JobState::Running => {}
            other => self.violation(format!("run: job {} was launched, and the cluster says {other:?}", launched.job)),
        }
        let old = old.from_uploaded(launched.jar);
        let mut left = Left::Job(launched.job);
        self.check("run", left);
        for operation in self.scenario.operations.clone() {
            left = match (operation, left) {
                (Operation::Savepoint, Left::Job(job)) => self.savepoint(job),
                (Operation::Checkpoint, Left::Job(job)) => self.checkpoint(job),
                (Operation::Upgrade(jar), Left::Job(job)) => self.upgrade(job, &old, jar, false)?,
                (Operation::RollBack, Left::Job(job)) => self.upgrade(job, &old, NewJar::Good, true)?,
                (Operation::Stop, Left::Job(job)) => self.stop(job),
                (Operation::Restart, Left::Nothing) => self.restart(&old),
                _ => break,
            };
            self.check(&operation.to_string(), left);
        }
        Ok(left)
    }

    fn jar(&self, file: &str, args: &[String]) -> std::io::Result<RunJar> {
        let content = file_body(self.settings.jars.join(file))?;
        Ok(RunJar::upload(file, content).program_args(args.iter().cloned()))
    }

    /// Carries out a goal under the faults of the next operation.
    fn operate<G>(
        &mut self,
        what: &str,
        make: impl Fn(Option<&pipewright::flow::SavedState>) -> Result<G, FlowError>,
    ) -> Outcome<G::Output>
    where
        G: pipewright::flow::Goal<Service = pipewright::flink::FlinkRest>,
        G::Output: Debug,
    {
        self.proxy.set_faults(self.scenario.next_faults());
        // What is not resumed is not rolled back.
        let kills_of_ten = if what == Operation::RollBack.to_string() { 10 } else { self.scenario.kills_of_ten };
        let (seed, verbose) = (self.scenario.seed, self.settings.verbose);
        let (proxy, truth, prefix) = (&self.proxy, self.truth, &self.prefix);
        let wrong = RefCell::new(Vec::new());
        let mut operator = Operator {
            flink: &self.flink,
            seed: self.scenario.kills.split(),
            kills_of_ten,
            calm: &|| proxy.set_faults(FaultPlan::none()),
            log: &move |line| {
                if verbose {
                    eprintln!("seed {seed}: {line}");
                }
            },
        };
        let outcome = operator.carry_out(what, make, |error| {
            let wrong_paths = savepoints(error).into_iter().filter(|path| !truth.exists(path));
            let mut wrong = wrong.borrow_mut();
            wrong.extend(wrong_paths.map(|path| format!("the savepoint {path} of an error is not on disk")));
            let live = truth.live(prefix).map(|jobs| jobs.iter().map(|job| job.id).collect::<BTreeSet<_>>());
            wrong.extend(live.and_then(|live| wrong_status(error, &live)));
        });
        self.proxy.set_faults(FaultPlan::none());
        self.violations.extend(wrong.into_inner().into_iter().map(|wrong| format!("{what}: {wrong}")));
        self.told.push_str(&outcome.told);
        let cleared = outcome.cleared();
        self.steps.push(Step { operation: what.to_owned(), end: End::Done, cleared, kills: outcome.kills });
        outcome
    }

    fn ended(&mut self, what: &str, end: End) {
        if let Some(step) = self.steps.last_mut().filter(|step| step.operation == what) {
            step.end = end;
        }
    }

    /// Records an error. The last round of an operation is without faults, so that success is due there, unless the job
    /// or the jar is one that fails.
    fn failed(&mut self, what: &str, error: &FlowError, is_due: bool) {
        if error.is_ambiguous() {
            self.ended(what, End::Unknown(explain(error)));
            return;
        }
        self.ended(what, End::Failed(class(error)));
        if is_due {
            self.violation(format!("{what}: failed although nothing went wrong at last: {}", explain(error)));
        }
    }

    /// Returns what a job has counted. A job that fails again and again does not always say so.
    fn counted(&mut self, what: &str, job: JobId) -> i64 {
        let counted = self.truth.counted(job);
        if counted.is_none() && self.is_sound {
            self.violation(format!("{what}: job {job} does not say what it has counted"));
        }
        counted.unwrap_or(0)
    }

    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    fn live(&mut self, what: &str) -> Vec<JobSummary> {
        if let Some(live) = self.truth.live(&self.prefix) {
            return live;
        }
        self.violation(format!("{what}: the cluster did not answer"));
        Vec::new()
    }

    /// Holds the live jobs against what is to be left.
    fn check(&mut self, what: &str, left: Left) {
        let live: BTreeSet<JobId> = self.live(what).into_iter().map(|job| job.id).collect();
        let wanted: BTreeSet<JobId> = match left {
            Left::Job(job) => [job].into(),
            Left::Nothing => BTreeSet::new(),
            Left::Unknown => live.iter().take(1).copied().collect(),
        };
        if live != wanted {
            self.violation(format!("{what}: these jobs live: {live:?}, and these should: {wanted:?}"));
        }
    }

    /// Holds a savepoint that a result or an error names against the disk.
    fn check_savepoint(&mut self, what: &str, path: &str) {
        if !self.truth.exists(path) {
            self.violation(format!("{what}: the savepoint {path} is not on disk"));
        }
    }

    /// What is left after an error: the job, if it lives; otherwise the error must name a savepoint.
    fn left_after(&mut self, what: &str, error: &FlowError, is_due: bool) -> Left {
        self.failed(what, error, is_due);
        let named = savepoints(error);
        let live = self.live(what);
        if let [job] = &live[..] {
            return Left::Job(job.id);
        }
        if live.is_empty() && named.is_empty() {
            self.violation(format!("{what}: no job lives, and the error names no savepoint: {}", explain(error)));
        }
        Left::Nothing
    }

    fn savepoint(&mut self, job: JobId) -> Left {
        let (what, directory) = ("savepoint", self.truth.savepoint_dir(&self.goal));
        let outcome = self.operate(what, |saved| {
            let goal = match saved {
                None => TakeSavepoint::new(job).target_directory(&directory),
                Some(saved) => TakeSavepoint::resume(saved)?,
            };
            Ok(goal.timeout(WITHIN))
        });
        match outcome.result {
            Ok(savepoint) => self.check_savepoint(what, &savepoint.location),
            Err(error) => return self.left_after(what, &error, self.is_sound),
        }
        Left::Job(job)
    }

    fn checkpoint(&mut self, job: JobId) -> Left {
        let what = "checkpoint";
        let outcome = self.operate(what, |saved| {
            let goal = match saved {
                None => TriggerCheckpoint::new(job),
                Some(saved) => TriggerCheckpoint::resume(saved)?,
            };
            Ok(goal.timeout(WITHIN))
        });
        match outcome.result {
            Ok(number) if self.truth.newest_checkpoint(job, number).is_none() => {
                self.violation(format!("{what}: the cluster has not completed checkpoint {number} of job {job}"));
            }
            Ok(_) => {}
            Err(error) => return self.left_after(what, &error, self.is_sound),
        }
        Left::Job(job)
    }

    fn stop(&mut self, job: JobId) -> Left {
        let (what, directory) = ("stop", self.truth.savepoint_dir(&self.goal));
        let before = self.counted(what, job);
        let outcome = self.operate(what, |saved| {
            let goal = match saved {
                None => StopWithSavepoint::new(job).target_directory(&directory),
                Some(saved) => StopWithSavepoint::resume(saved)?,
            };
            Ok(goal.timeout(WITHIN))
        });
        match outcome.result {
            Ok(stopped) => {
                self.check_savepoint(what, &stopped.location);
                let state = self.truth.becomes(&self.prefix, job, JobState::is_terminal);
                if state.as_ref().is_none_or(|state| !state.is_terminal()) {
                    self.violation(format!("{what}: the job {job} was stopped, and the cluster says {state:?}"));
                }
                self.check_newest(what, job, &stopped.location);
                self.stopped = Some((stopped.location, before));
                Left::Nothing
            }
            Err(error) => self.left_after(what, &error, self.is_sound),
        }
    }

    fn restart(&mut self, jar: &RunJar) -> Left {
        let what = "restart";
        let Some((savepoint, before)) = self.stopped.take() else { return Left::Nothing };
        let jar = jar.clone().savepoint_path(&savepoint);
        let outcome = self.operate(what, |saved| match saved {
            None => Ok(jar.clone().timeout(WITHIN)),
            Some(saved) => Ok(RunJar::resume(saved)?.timeout(WITHIN)),
        });
        match outcome.result {
            Ok(launched) => {
                self.check_restored(what, launched.job, &savepoint);
                self.check_count(what, launched.job, before);
                Left::Job(launched.job)
            }
            Err(error) => {
                // The jar is the old jar, which runs from every savepoint that a stop has left.
                self.failed(what, &error, true);
                if error.is_ambiguous() { Left::Unknown } else { Left::Nothing }
            }
        }
    }

    /// Holds what a job was restored from against what it should be.
    fn check_restored(&mut self, what: &str, job: JobId, savepoint: &str) {
        let restored = self.truth.restored(job);
        // One that has failed since was restored from a checkpoint of its own.
        let is_own = restored.as_ref().is_some_and(|path| path.contains(&job.to_string()));
        if restored.as_deref() != Some(savepoint) && !is_own {
            self.violation(format!("{what}: job {job} was restored from {restored:?}, and not from {savepoint}"));
        }
    }

    /// Holds what a job says it has counted against what was counted before.
    fn check_count(&mut self, what: &str, job: JobId, before: i64) {
        let restored = self.truth.restored_count(job, before);
        if restored.is_none_or(|restored| restored < before) {
            self.violation(format!("{what}: {before} was counted before, and job {job} has restored {restored:?}"));
        }
    }

    fn check_newest(&mut self, what: &str, job: JobId, path: &str) {
        if let Some(newest) = self.truth.newest_savepoint(job, path).filter(|newest| newest != path) {
            self.violation(format!(
                "{what}: the savepoint is {path}, and the newest savepoint of job {job} is {newest}"
            ));
        }
    }

    fn upgrade(
        &mut self,
        job: JobId,
        old: &RunJar,
        jar: NewJar,
        back: bool,
    ) -> Result<Left, Box<dyn std::error::Error + Send + Sync>> {
        let what = if back { Operation::RollBack } else { Operation::Upgrade(jar) }.to_string();
        let is_verified = self.scenario.is_verified;
        let directory = self.truth.savepoint_dir(&self.goal);
        let (file, args) = jar.program();
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["--name".to_owned(), format!("{}new", self.prefix)]);
        let new = self.jar(file, &args)?;
        let before = self.counted(&what, job);
        let asked_back = Cell::new(false);
        let outcome = self.operate(&what, |saved| {
            asked_back.set(back && saved.is_some());
            let goal = match saved {
                None => {
                    let goal = UpgradeJob::new(job, old.clone(), new.clone()).target_directory(&directory);
                    goal.settle_timeout(SETTLE).stable_for(if is_verified { STABLE_FOR } else { Duration::ZERO })
                }
                Some(saved) => {
                    let goal = UpgradeJob::resume(saved)?.with_jars(old.clone(), new.clone());
                    if back { goal.roll_back() } else { goal }
                }
            };
            Ok(goal.timeout(WITHIN))
        });
        let (now, savepoint, name) = match outcome.result {
            Ok(Upgrade::Upgraded { job, savepoint, .. }) => {
                self.ended(&what, End::Upgraded);
                if !jar.may_succeed(is_verified) {
                    self.violation(format!("{what}: upgraded to a jar that cannot run"));
                }
                if asked_back.get() {
                    self.violation(format!("{what}: upgraded, and the last resumption asked for the old jar"));
                }
                self.is_sound = jar != NewJar::FailsLater;
                (job, savepoint, "new")
            }
            Ok(Upgrade::RolledBack { job, savepoint, reason }) => {
                self.ended(&what, End::RolledBack);
                self.is_sound = true;
                if jar == NewJar::Good && !back {
                    self.violation(format!("{what}: a good jar was rolled back: {reason}"));
                }
                (job, savepoint, "old")
            }
            Err(error) => {
                // What was not stopped yet is not rolled back: the old job runs on.
                let is_untouched = self.live(&what).iter().map(|job| job.id).eq([job]);
                let is_due = self.is_sound && if asked_back.get() { !is_untouched } else { !jar.may_be_rejected() };
                return Ok(self.left_after(&what, &error, is_due));
            }
        };
        self.check_upgraded(&what, job, now, &savepoint, name);
        // What fails again and again does not always say what it has counted.
        if jar != NewJar::FailsLater || name == "old" {
            self.check_count(&what, now, before);
        }
        Ok(Left::Job(now))
    }

    /// Holds the claims of an upgrade against the cluster.
    fn check_upgraded(&mut self, what: &str, before: JobId, now: JobId, savepoint: &str, name: &str) {
        self.check_savepoint(what, savepoint);
        self.check_newest(what, before, savepoint);
        self.check_restored(what, now, savepoint);
        let jobs = self.truth.jobs(&self.prefix).unwrap_or_default();
        let named = jobs.iter().find(|job| job.id == now).and_then(|job| job.name.as_deref());
        if named != Some(&*format!("{}{name}", self.prefix)) {
            self.violation(format!("{what}: job {now} should be the {name} one, and is {named:?}"));
        }
        if jobs.iter().any(|job| job.id == before && !job.state.is_terminal()) {
            self.violation(format!("{what}: the job {before} lives on"));
        }
    }
}

//! One seed: its operations, and what must hold after each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pipewright::error::FlowError;
use pipewright::flink::jobs::JobSummary;
use pipewright::flink::{
    AwaitJob, Flink, JobId, JobState, RunJar, StopWithSavepoint, TakeSavepoint, TriggerCheckpoint, Upgrade,
    UpgradeDiagnosis, UpgradeJob,
};
use pipewright::flow::{Config, Retry};
use pipewright_mock::serve::{Proxy, ProxyOptions};
use pipewright_mock::{FaultKind, FaultPlan};
use pipewright_ureq::{Ureq, file_body};

use super::operator::{Operator, Outcome};
use super::scenario::{NewJar, Operation, Scenario};
use super::truth::Truth;

/// How long one answer may take; some delays are longer.
const ATTEMPT: Duration = Duration::from_secs(4);
/// How long a flow may take.
const WITHIN: Duration = Duration::from_secs(90);
/// How long a job may take to show that it runs.
const SETTLE: Duration = Duration::from_secs(8);
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

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// As wanted.
    Done,
    /// With the new jar.
    Upgraded,
    /// With the old jar again.
    RolledBack,
    /// With an error of this class, which tells what is the case.
    Failed(&'static str),
    /// Without anybody knowing, and why.
    Unknown(String),
}

/// What became of an operation.
#[derive(Clone, Debug)]
pub struct Step {
    /// The operation.
    pub operation: String,
    /// How it ended, after the last resumption.
    pub end: End,
    /// How often an outcome was unknown on the way, and a resumption found it out.
    pub cleared: usize,
    /// How often the process was killed.
    pub kills: usize,
}

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The seed.
    pub seed: u64,
    /// What it drew.
    pub scenario: String,
    /// The operations that were carried out.
    pub steps: Vec<Step>,
    /// What should have held, and did not.
    pub violations: Vec<String>,
    /// The faults there were.
    pub faults: BTreeMap<FaultKind, u64>,
    /// How long it took.
    pub took: Duration,
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
    let proxy = Proxy::start(options)?;
    let mut retry = Retry::default();
    retry.timeout = ATTEMPT;
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
        steps: Vec::new(),
        violations: Vec::new(),
    };
    truth.clean_up(&case.prefix);
    case.carry_out()?;
    truth.clean_up(&case.prefix);
    let Case { steps, violations, proxy, .. } = case;
    Ok(Verdict { seed, scenario: text, steps, violations, faults: proxy.counts(), took: begin.elapsed() })
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
}

impl Case<'_> {
    fn carry_out(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let args = ["--name".to_owned(), format!("{}old", self.prefix)];
        let old = self.jar("endless.jar", &args)?;
        let launched = self.operate("run", |saved| match saved {
            None => Ok(old.clone().within(WITHIN)),
            Some(saved) => Ok(RunJar::resume(saved)?.within(WITHIN)),
        });
        let launched = match launched.result {
            Ok(launched) => {
                self.ended("run", End::Done);
                launched
            }
            Err(error) => {
                self.failed("run", &error);
                return Ok(());
            }
        };
        let direct = self.truth.flink();
        match direct.run(AwaitJob::running(launched.job).within(Duration::from_secs(60))) {
            Ok(report) if report.state == JobState::Running => {}
            other => self.violation(format!("run: job {} was launched, and the cluster says {other:?}", launched.job)),
        }
        let old = old.from_uploaded(launched.jar);
        let mut left = Left::Job(launched.job);
        self.check("run", left);
        for operation in self.scenario.operations.clone() {
            let Left::Job(job) = left else { break };
            left = match operation {
                Operation::Savepoint => self.savepoint(job),
                Operation::Checkpoint => self.checkpoint(job),
                Operation::Upgrade(jar) => self.upgrade(job, &old, jar)?,
                Operation::Stop => self.stop(job),
            };
            self.check(&operation.to_string(), left);
        }
        if self.proxy.counts().contains_key(&FaultKind::DelayRequest) {
            std::thread::sleep(LONGEST_DELAY);
            self.check("late requests", left);
        }
        for name in self.truth.on_disk(&self.goal) {
            if !self.told.contains(&name) {
                self.violation(format!("savepoint {name} is on disk, and no result, error or saved state names it"));
            }
        }
        let most = self.truth.most_at_once(&self.prefix);
        if most.len() > 1 {
            self.violation(format!("these jobs lived at the same time: {most:?}"));
        }
        Ok(())
    }

    fn jar(&self, file: &str, args: &[String]) -> std::io::Result<RunJar> {
        let content = file_body(self.settings.jars.join(file))?;
        Ok(RunJar::upload(file, content).program_args(args.iter().cloned()))
    }

    /// Carries out a goal under the faults of the next operation.
    fn operate<G>(
        &mut self,
        what: &str,
        make: impl Fn(Option<&pipewright::flow::Saved>) -> Result<G, FlowError>,
    ) -> Outcome<G::Output>
    where
        G: pipewright::flow::Goal<Service = pipewright::flink::FlinkRest>,
        G::Output: Debug,
    {
        self.proxy.set_faults(self.scenario.next_faults());
        let (seed, verbose) = (self.scenario.seed, self.settings.verbose);
        let proxy = &self.proxy;
        let mut operator = Operator {
            flink: &self.flink,
            seed: self.scenario.kills.split(),
            kills_of_ten: self.scenario.kills_of_ten,
            calm: &|| proxy.set_faults(FaultPlan::none()),
            log: &move |line| {
                if verbose {
                    eprintln!("seed {seed}: {line}");
                }
            },
        };
        let outcome = operator.carry_out(what, make);
        self.proxy.set_faults(FaultPlan::none());
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

    fn failed(&mut self, what: &str, error: &FlowError) {
        let end = if error.is_ambiguous() { End::Unknown(explain(error)) } else { End::Failed(class(error)) };
        self.ended(what, end);
    }

    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    fn live(&mut self, what: &str) -> Vec<JobSummary> {
        match self.truth.live(&self.prefix) {
            Some(live) => live,
            None => {
                self.violation(format!("{what}: the cluster did not answer"));
                Vec::new()
            }
        }
    }

    /// Holds the live jobs against what is to be left.
    fn check(&mut self, what: &str, left: Left) {
        let live: BTreeSet<JobId> = self.live(what).into_iter().map(|job| job.id).collect();
        let wanted: BTreeSet<JobId> = match left {
            Left::Job(job) => [job].into(),
            Left::Nothing => BTreeSet::new(),
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
    fn left_after(&mut self, what: &str, error: &FlowError) -> Left {
        self.failed(what, error);
        let named = savepoints(error);
        for path in &named {
            self.check_savepoint(what, path);
        }
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
            Ok(goal.within(WITHIN))
        });
        match outcome.result {
            Ok(savepoint) => self.check_savepoint(what, &savepoint.location),
            Err(error) => return self.left_after(what, &error),
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
            Ok(goal.within(WITHIN))
        });
        match outcome.result {
            Ok(number) if self.truth.newest_checkpoint(job, number).is_none() => {
                self.violation(format!("{what}: the cluster has not completed checkpoint {number} of job {job}"));
            }
            Ok(_) => {}
            Err(error) => return self.left_after(what, &error),
        }
        Left::Job(job)
    }

    fn stop(&mut self, job: JobId) -> Left {
        let (what, directory) = ("stop", self.truth.savepoint_dir(&self.goal));
        let outcome = self.operate(what, |saved| {
            let goal = match saved {
                None => StopWithSavepoint::new(job).target_directory(&directory),
                Some(saved) => StopWithSavepoint::resume(saved)?,
            };
            Ok(goal.within(WITHIN))
        });
        match outcome.result {
            Ok(stopped) => {
                self.check_savepoint(what, &stopped.location);
                let state = self.truth.becomes(&self.prefix, job, JobState::is_terminal);
                if state.as_ref().is_none_or(|state| !state.is_terminal()) {
                    self.violation(format!("{what}: the job {job} was stopped, and the cluster says {state:?}"));
                }
                self.check_newest(what, job, &stopped.location);
                Left::Nothing
            }
            Err(error) => self.left_after(what, &error),
        }
    }

    fn check_newest(&mut self, what: &str, job: JobId, path: &str) {
        match self.truth.newest_savepoint(job) {
            Some(newest) if newest != path => {
                self.violation(format!("{what}: the savepoint is {path}, and the newest one of job {job} is {newest}"));
            }
            _ => {}
        }
    }

    fn upgrade(
        &mut self,
        job: JobId,
        old: &RunJar,
        jar: NewJar,
    ) -> Result<Left, Box<dyn std::error::Error + Send + Sync>> {
        let what = Operation::Upgrade(jar).to_string();
        let directory = self.truth.savepoint_dir(&self.goal);
        let (file, args) = jar.program();
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["--name".to_owned(), format!("{}new", self.prefix)]);
        let new = self.jar(file, &args)?;
        let before = self.truth.counted(job, 1).unwrap_or(0);
        let outcome = self.operate(&what, |saved| {
            let goal = match saved {
                None => {
                    UpgradeJob::new(job, old.clone(), new.clone()).target_directory(&directory).settle_within(SETTLE)
                }
                Some(saved) => UpgradeJob::resume(saved)?.with_jars(old.clone(), new.clone()),
            };
            Ok(goal.within(WITHIN))
        });
        let (now, savepoint, name) = match outcome.result {
            Ok(Upgrade::Upgraded { job, savepoint, .. }) => {
                self.ended(&what, End::Upgraded);
                if !jar.may_succeed() {
                    self.violation(format!("{what}: upgraded to a jar that cannot run"));
                }
                (job, savepoint, "new")
            }
            Ok(Upgrade::RolledBack { job, savepoint, reason }) => {
                self.ended(&what, End::RolledBack);
                if jar == NewJar::Good {
                    self.violation(format!("{what}: a good jar was rolled back: {reason}"));
                }
                (job, savepoint, "old")
            }
            Err(error) => {
                if jar == NewJar::Good && !error.is_ambiguous() {
                    self.violation(format!("{what}: a good jar was not run: {}", explain(&error)));
                }
                return Ok(self.left_after(&what, &error));
            }
        };
        self.check_upgraded(&what, job, now, &savepoint, name);
        // What fails again and again does not always say what it has counted.
        if jar != NewJar::FailsLater || name == "old" {
            let after = self.truth.counted(now, before);
            if after.is_none_or(|after| after < before) {
                self.violation(format!("{what}: job {job} had counted {before}, and job {now} says {after:?}"));
            }
        }
        Ok(Left::Job(now))
    }

    /// Holds the claims of an upgrade against the cluster.
    fn check_upgraded(&mut self, what: &str, before: JobId, now: JobId, savepoint: &str, name: &str) {
        self.check_savepoint(what, savepoint);
        self.check_newest(what, before, savepoint);
        let restored = self.truth.restored(now);
        if restored.as_deref() != Some(savepoint) {
            self.violation(format!("{what}: job {now} was restored from {restored:?}, and not from {savepoint}"));
        }
        let jobs = self.truth.jobs(&self.prefix).unwrap_or_default();
        let named = jobs.iter().find(|job| job.id == now).map(|job| job.name.as_str());
        if named != Some(&*format!("{}{name}", self.prefix)) {
            self.violation(format!("{what}: job {now} should be the {name} one, and is {named:?}"));
        }
        if jobs.iter().any(|job| job.id == before && !job.state.is_terminal()) {
            self.violation(format!("{what}: the job {before} lives on"));
        }
    }
}

/// The savepoints that an error names as values.
fn savepoints(error: &FlowError) -> Vec<String> {
    let job = error.evidence::<pipewright::flink::JobDiagnosis>();
    let upgrade = UpgradeDiagnosis::of(error);
    let of_upgrade = upgrade.into_iter().flat_map(|known| [&known.savepoint, &known.earlier_savepoint]);
    let all = job.into_iter().map(|known| &known.savepoint).chain(of_upgrade);
    all.flatten().cloned().collect()
}

/// The class of an error.
fn class(error: &FlowError) -> &'static str {
    match error {
        FlowError::Build(_) | FlowError::Misuse(_) | FlowError::Credential(_) => "misuse",
        FlowError::Transport(_) => "no connection",
        FlowError::Service(_) => "rejected",
        FlowError::Ambiguous(_) => "unknown",
        FlowError::Failed(_) => "failed",
        FlowError::Deadline { .. } => "time is up",
        FlowError::Incomplete(incomplete) => class(&incomplete.cause),
        FlowError::Stopped(_) => "stopped",
        _ => "other",
    }
}

/// An error and its causes, on one line.
fn explain(error: &FlowError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        text.push_str(&format!("; because: {one}"));
        cause = one.source();
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect();
    line
}

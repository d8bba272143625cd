//! The scenarios: which process is killed, and when.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pipewright::Seed;
use pipewright::error::FlowError;
use pipewright::flink::jobs::GetJobsOverview;
use pipewright::flink::{AwaitJob, Cancel, Flink, JobId, RunJar, Upgrade};
use pipewright_ureq::{Ureq, file_body};

use super::attempt::{self, Blow, Ended, Phase, Plan, describe};
use super::balancer::Balancer;
use super::cluster::{Cluster, Supervisor};
use super::{Options, truth};

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// Which scenario, and through which address.
    pub(crate) scenario: String,
    /// The phase that was hit.
    pub(crate) phase: Option<Phase>,
    pub(crate) ended: Ended,
    /// The jobs that live after it.
    pub(crate) jobs: usize,
    pub(crate) violations: Vec<String>,
}

/// The phases in which a leader is killed, and up to how many milliseconds after their begin.
const PHASES: [(Phase, u64); 6] = [
    (Phase::Upload, 10),
    (Phase::Plan, 30),
    (Phase::Stop, 500),
    (Phase::Run, 80),
    (Phase::Settle, 80),
    (Phase::Checkpoint, 500),
];
/// How many rounds are added to hit the phases that were missed.
const MORE_ROUNDS: usize = 4;
/// How long a savepoint takes, or a standby until it leads.
const AT_MOST: Duration = Duration::from_secs(120);
/// How long the old and the new job take for a snapshot, in milliseconds.
const SLOW: &str = "800";

/// Returns a goal that runs a demo job.
fn jar(options: &Options, name: &str, args: &[&str]) -> RunJar {
    let content = file_body(options.jars.join(name)).unwrap_or_else(|error| panic!("{name}: {error}; run build-jars"));
    RunJar::upload(name, content).program_args(args.iter().copied())
}

/// Starts the job that is to be upgraded, and lets it complete a checkpoint.
fn old_job(cluster: &Cluster, old: &RunJar) -> Result<JobId, FlowError> {
    let flink = Flink::new(cluster.job_managers[0].base(), Ureq::new());
    let job = flink.run(old.clone())?.job;
    let _ = flink.run(AwaitJob::running(job).timeout(Duration::from_secs(60)))?;
    sleep(Duration::from_secs(3));
    Ok(job)
}

fn cancel_all(cluster: &Cluster) {
    let flink = Flink::new(cluster.job_managers[0].base(), Ureq::new());
    for job in truth::jobs(cluster).unwrap_or_default() {
        let _ = flink.run(Cancel::new(job).timeout(Duration::from_secs(60)));
    }
}

/// Returns the job that the next round upgrades.
fn next_job(ended: &Ended) -> Option<JobId> {
    match &ended.result {
        Ok(Upgrade::Upgraded { job, .. } | Upgrade::RolledBack { job, .. }) => Some(*job),
        _ => None,
    }
}

/// Compares the result with the cluster.
fn judge(cluster: &Cluster, scenario: String, ended: Ended, before: &BTreeSet<String>) -> Row {
    let mut violations = match &ended.result {
        Ok(upgrade) => truth::violations(cluster, upgrade),
        Err(error) => vec![format!("neither upgraded nor rolled back: {}", describe(error))],
    };
    for savepoint in truth::savepoints(cluster).difference(before) {
        if !ended.names(savepoint) {
            violations.push(format!("savepoint {savepoint} was written, and is not named"));
        }
    }
    let jobs = truth::jobs(cluster);
    if jobs.is_none() {
        violations.push("the cluster does not tell its jobs".to_owned());
    }
    let jobs = jobs.map_or(0, |jobs| jobs.len());
    let phase = ended.blow().map(|struck| struck.phase);
    Row { scenario, phase, ended, jobs, violations }
}

/// Waits until this holds. Returns an error if the time is up.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Result<Duration, String> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > AT_MOST {
            return Err(format!("{what}: not within {AT_MOST:?}"));
        }
        sleep(Duration::from_millis(2));
    }
    Ok(started.elapsed())
}

/// Kills the leader during upgrades: in each phase, or in as many as there are rounds.
pub(crate) fn leaders(options: &Options, cluster: &Arc<Cluster>, mut tell: impl FnMut(Row)) -> Result<(), FlowError> {
    let targets = cluster.job_managers.iter().map(|each| each.url.trim_start_matches("http://").to_owned());
    let balancer = Balancer::start(options.balancer, targets.collect()).expect("the port of the balancer is free");
    let _supervisor = Supervisor::start(cluster, cluster.job_managers.iter().map(|each| each.name).collect());
    let mut seed = Seed::new(options.seed.into());
    let (mut job, mut hit) = (None, BTreeSet::new());
    let due = PHASES.len().min(options.rounds);
    for round in 0..options.rounds + MORE_ROUNDS {
        if round >= options.rounds && hit.len() >= due {
            break;
        }
        // First each phase that was not hit yet, then any phase.
        let open = PHASES.iter().find(|(phase, _)| !hit.contains(phase));
        let any = usize::try_from(seed.below(6)).unwrap_or_default();
        let (phase, most) = *open.unwrap_or(&PHASES[any]);
        assert!(cluster.wait_until_whole(Duration::from_secs(120)), "the cluster is whole before a round");
        let old = jar(options, "endless.jar", &["--slow", SLOW]);
        let new = jar(options, "endless.jar", &["--slow", SLOW, "--name", &format!("round {round}")]);
        let job_now = match job {
            Some(job) => job,
            None => old_job(cluster, &old)?,
        };
        let (leader, standby) = cluster.leader().expect("a cluster that answers has a leader");
        let standby = standby.expect("there are two JobManagers").clone();
        let at = cluster.job_managers.iter().position(|each| each.name == leader.name);
        balancer.prefer(at.unwrap_or_default());
        // The address of the standby lives on. What was uploaded through the balancer is lost with the leader.
        let is_balanced = round % 2 == 1;
        let address = if is_balanced { &balancer.url } else { &standby.url };
        let flink = Flink::new(address.parse().expect("an address"), Ureq::new());
        let strike = {
            let (cluster, name) = (Arc::clone(cluster), leader.name);
            move || if cluster.kill(name) { Ok(()) } else { Err(format!("{name} was dead already, or kill failed")) }
        };
        let recovery = move || wait_until("the standby answers", || standby.ask().call(GetJobsOverview::new()).is_ok());
        let after = Duration::from_millis(seed.below(most));
        let blow = Blow { phase, after, strike: Box::new(strike), recovery: Some(Box::new(recovery)) };
        let before = truth::savepoints(cluster);
        let plan = Plan { job: job_now, old, new, is_jar_good: true };
        let ended = attempt::upgrade(&flink, cluster, &plan, Some(blow), &format!("upgrade-{round}.log"));
        let through = if is_balanced { "balancer" } else { "standby" };
        let mut row = judge(cluster, format!("leader, through the {through}"), ended, &before);
        row.violations.extend(row.ended.missed_blow());
        hit.extend(row.phase.filter(|hit| PHASES.iter().any(|(phase, _)| phase == hit)));
        if round + 1 == options.rounds + MORE_ROUNDS && hit.len() < due {
            row.violations.push(format!("leaders were killed in the phases {hit:?} only"));
        }
        job = next_job(&row.ended).filter(|_| row.violations.is_empty());
        tell(row);
        if job.is_none() {
            cancel_all(cluster);
        }
    }
    Ok(())
}

/// Kills the TaskManager during upgrades: after the savepoint of the stop was written, and while the new job settles.
pub(crate) fn task_managers(
    options: &Options,
    cluster: &Arc<Cluster>,
    mut tell: impl FnMut(Row),
) -> Result<(), FlowError> {
    const NAME: &str = "taskmanager1";
    let _supervisor = Supervisor::start(cluster, vec![NAME]);
    let mut seed = Seed::new(options.seed.into());
    let flink = Flink::new(cluster.job_managers[0].base(), Ureq::new());
    for round in 0..options.rounds {
        assert!(cluster.wait_until_whole(Duration::from_secs(120)), "the cluster is whole before a round");
        let old = jar(options, "endless.jar", &["--slow-close", "3000"]);
        let new = jar(options, "endless.jar", &["--slow", SLOW, "--name", &format!("round {round}")]);
        let job = old_job(cluster, &old)?;
        let before = truth::savepoints(cluster);
        let is_stop = round % 2 == 0;
        let strike = {
            let (cluster, before) = (Arc::clone(cluster), before.clone());
            move || {
                if is_stop {
                    wait_until("a savepoint is written", || !truth::savepoints(&cluster).is_subset(&before))?;
                }
                if cluster.kill(NAME) { Ok(()) } else { Err(format!("{NAME} was dead already, or kill failed")) }
            }
        };
        let (phase, scenario, most) = if is_stop {
            (Phase::Stop, "TaskManager, savepoint written", 1)
        } else {
            (Phase::Settle, "TaskManager, new job settles", 80)
        };
        let after = Duration::from_millis(seed.below(most));
        let blow = Blow { phase, after, strike: Box::new(strike), recovery: None };
        let plan = Plan { job, old, new, is_jar_good: true };
        let ended = attempt::upgrade(&flink, cluster, &plan, Some(blow), &format!("upgrade-tm-{round}.log"));
        let mut row = judge(cluster, scenario.to_owned(), ended, &before);
        row.violations.extend(row.ended.missed_blow());
        if is_stop && row.phase.is_some_and(|hit| hit > Phase::Stop) {
            row.violations.push("the stop had ended before the TaskManager was killed".to_owned());
        }
        tell(row);
        cancel_all(cluster);
    }
    Ok(())
}

/// Upgrades jobs to a jar whose main method exits.
pub(crate) fn exits(options: &Options, cluster: &Arc<Cluster>, mut tell: impl FnMut(Row)) -> Result<(), FlowError> {
    let names: Vec<_> = cluster.job_managers.iter().map(|each| each.name).collect();
    for exit in ["plan", "run", "after"] {
        assert!(cluster.wait_until_whole(Duration::from_secs(120)), "the cluster is whole before a round");
        let supervisor = Supervisor::start(cluster, names.clone());
        let executions = cluster.run.join(format!("log/main-{exit}.log"));
        let log = executions.display().to_string();
        let old = jar(options, "endless.jar", &[]);
        let new = jar(options, "exiting.jar", &["--exit", exit, "--log", &log]);
        let job = old_job(cluster, &old)?;
        let (leader, _) = cluster.leader().expect("a cluster that answers has a leader");
        let flink = Flink::new(leader.base(), Ureq::new());
        let before = truth::savepoints(cluster);
        let plan = Plan { job, old, new, is_jar_good: false };
        let ended = attempt::upgrade(&flink, cluster, &plan, None, &format!("upgrade-exit-{exit}.log"));
        tell(judge_exit(cluster, exit, ended, &before, &executions, &supervisor));
        assert!(cluster.wait_until_whole(Duration::from_secs(120)), "the cluster is whole after a round");
        cancel_all(cluster);
    }
    Ok(())
}

/// Compares the result with the cluster: `main()` was executed, exactly one JobManager died, and the reason names
/// `main()`. With high availability, a job runs.
fn judge_exit(
    cluster: &Cluster,
    exit: &str,
    ended: Ended,
    before: &BTreeSet<String>,
    executions: &Path,
    supervisor: &Supervisor,
) -> Row {
    let is_error = ended.result.is_err();
    let ha = if cluster.is_ha() { ", HA" } else { "" };
    let mut row = judge(cluster, format!("exit in {exit}{ha}"), ended, before);
    let deaths = supervisor.deaths();
    if is_error {
        // Without high availability, the old job is lost with the JobManager. A second job is never allowed.
        row.violations.remove(0);
        if row.jobs > 1 || cluster.is_ha() && row.jobs == 0 {
            row.violations.push(format!("{} jobs live", row.jobs));
        }
    }
    // If no job lives, the error says what to start one from.
    if let (Err(error), 0) = (&row.ended.result, row.jobs) {
        let text = error.to_string();
        let named: BTreeSet<_> = text.split([' ', ',', ';', ')']).filter(|word| word.starts_with("file:")).collect();
        let missing = named.iter().filter(|path| !truth::exists(path) && !truth::is_replaced(path));
        row.violations.extend(missing.map(|path| format!("{path} is named, and not on disk")));
        if named.is_empty() {
            row.violations.push("no job lives, and no snapshot is named".to_owned());
        }
    }
    let executions = fs::read_to_string(executions).unwrap_or_default().replace('\n', " ");
    if deaths != 1 {
        row.violations.push(format!("{deaths} JobManagers died instead of one; main() was executed for: {executions}"));
    }
    let last = if exit == "plan" { "plan" } else { "run" };
    if !executions.split(' ').any(|execution| execution == last) {
        row.violations.push(format!("main() was not executed for: {last}"));
    }
    // A job that was submitted lives on with high availability: its JobManager died for another reason.
    let is_upgraded = matches!(row.ended.result, Ok(Upgrade::Upgraded { .. }));
    if is_upgraded && exit != "after" {
        row.violations.push(format!("upgraded to a jar whose main() exits in {exit}"));
    }
    if !is_upgraded && !row.ended.names("main()") {
        row.violations.push("no error and no reason names main()".to_owned());
    }
    row.scenario = format!("{}: {deaths} died, main() ran {executions}", row.scenario);
    row
}

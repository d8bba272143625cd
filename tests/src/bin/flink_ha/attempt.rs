//! One upgrade, during which a process of the cluster is killed, and at most one resumption.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use pipewright::error::FlowError;
use pipewright::flink::checkpoints::StartCheckpoint;
use pipewright::flink::jars::{PlanJar, SubmitJar, UploadJar};
use pipewright::flink::jobs::{GetJobStatus, GetJobsOverview};
use pipewright::flink::savepoints::StartStop;
use pipewright::flink::{Flink, JobId, RunJar, Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradeStatus};
use pipewright::flow::{Notice, SavedState};
use pipewright::operation::Operation as _;
use pipewright_ureq::Ureq;

use super::cluster::Cluster;

/// How long an upgrade may take, and its resumption again. A stop whose savepoint is written may hang in Flink.
const AT_MOST: Duration = Duration::from_secs(300);

/// A phase of an upgrade, recognised by the requests that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Check,
    Upload,
    Plan,
    Stop,
    Run,
    Settle,
    Checkpoint,
    /// The upgrade has ended.
    After,
}

impl Phase {
    /// Returns the phase after a notice. A repeated request never leads back to an earlier phase.
    fn after(self, notice: &Notice) -> Self {
        let Notice::Sending { operation, .. } = notice else { return self };
        let operation = operation.name;
        let is_of_settling = [GetJobStatus::INFO.name, GetJobsOverview::INFO.name].contains(&operation);
        match self {
            Self::Check | Self::Upload if operation == UploadJar::INFO.name => Self::Upload,
            Self::Upload if operation == PlanJar::INFO.name => Self::Plan,
            Self::Plan if operation == StartStop::INFO.name => Self::Stop,
            Self::Stop if operation == SubmitJar::INFO.name => Self::Run,
            Self::Run if is_of_settling => Self::Settle,
            Self::Settle if operation == StartCheckpoint::INFO.name => Self::Checkpoint,
            phase => phase,
        }
    }
}

/// What is done to the cluster, and when.
pub(crate) struct Blow {
    /// The delay begins with this phase.
    pub(crate) phase: Phase,
    pub(crate) after: Duration,
    /// Kills a process. Returns an error if that was not possible.
    pub(crate) strike: Box<dyn FnOnce() -> Result<(), String> + Send>,
    /// Measures how long the cluster takes to answer again. Returns an error if it does not.
    pub(crate) recovery: Option<Box<dyn FnOnce() -> Result<Duration, String> + Send>>,
}

/// A blow that was carried out.
#[derive(Debug)]
pub(crate) struct Struck {
    /// The phase of the upgrade when the process was dead.
    pub(crate) phase: Phase,
    /// How long the cluster took to answer again, if that was measured.
    pub(crate) outage: Option<Duration>,
}

/// What to upgrade.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) job: JobId,
    pub(crate) old: RunJar,
    pub(crate) new: RunJar,
    /// Whether the runner begins an upgrade again, instead of resuming it, if it left the old job untouched. That is
    /// right when the JobManager died while it planned a jar, and the jar is not to blame.
    pub(crate) is_jar_good: bool,
}

/// How an upgrade ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<Upgrade, FlowError>,
    /// The error that was resumed from.
    pub(crate) resumed: Option<FlowError>,
    /// The blow, or why it did not fall; `None` without a blow, or if its phase was never reached.
    pub(crate) struck: Option<Result<Struck, String>>,
    pub(crate) took: Duration,
}

impl Ended {
    /// Returns the blow that fell.
    pub(crate) fn blow(&self) -> Option<&Struck> {
        self.struck.as_ref()?.as_ref().ok()
    }

    /// Returns why a blow did not fall while the upgrade was on its way; `None` if it did.
    pub(crate) fn missed_blow(&self) -> Option<String> {
        match &self.struck {
            None => Some("no process was killed: the upgrade never reached the phase".to_owned()),
            Some(Err(problem)) => Some(format!("the kill failed: {problem}")),
            Some(Ok(Struck { phase: Phase::After, .. })) => {
                Some("the upgrade had ended before the process was killed".to_owned())
            }
            Some(Ok(_)) => None,
        }
    }

    /// Returns whether the result or one of the errors contains this text.
    pub(crate) fn names(&self, text: &str) -> bool {
        let errors = self.resumed.iter().chain(self.result.as_ref().err());
        let mut texts: Vec<String> = errors.map(describe).collect();
        texts.extend(self.result.as_ref().ok().map(|upgrade| format!("{upgrade:?}")));
        texts.iter().any(|named| named.contains(text))
    }
}

/// Writes an error out with all that it carries.
pub(crate) fn describe(error: &FlowError) -> String {
    match UpgradeDiagnosis::of(error) {
        Some(diagnosis) => format!("{error}; {diagnosis}; {diagnosis:?}"),
        None => error.to_string(),
    }
}

/// Follows an upgrade: writes its notices into a file, keeps its saved state, and carries out the blow.
struct Listener {
    started: Instant,
    log: Option<File>,
    phase: Arc<Mutex<Phase>>,
    blow: Option<Blow>,
    striking: Option<JoinHandle<Result<Struck, String>>>,
    saved: Option<SavedState>,
}

impl Listener {
    fn write(&mut self, text: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{elapsed:8.3} {text}");
        }
    }

    fn hear(&mut self, notice: Notice) {
        self.write(&notice.to_string());
        let phase = self.advance(|phase| phase.after(&notice));
        if let Some(Blow { after, strike, recovery, .. }) = self.blow.take_if(|blow| blow.phase <= phase) {
            let phase = Arc::clone(&self.phase);
            self.striking = Some(spawn(move || {
                sleep(after);
                strike()?;
                let phase = *phase.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Struck { phase, outage: recovery.map(|measure| measure()).transpose()? })
            }));
        }
        if let Notice::Persist(state) = notice {
            self.saved = Some(state);
        }
    }

    fn advance(&self, next: impl FnOnce(Phase) -> Phase) -> Phase {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = next(*phase);
        *phase
    }
}

/// Runs an upgrade. If it ends with an error, resumes it once from its saved state, or begins again without a saved
/// state.
pub(crate) fn upgrade(flink: &Flink<Ureq>, cluster: &Cluster, plan: &Plan, blow: Option<Blow>, log: &str) -> Ended {
    let mut listener = Listener {
        started: Instant::now(),
        log: File::create(cluster.run.join("log").join(log)).ok(),
        phase: Arc::new(Mutex::new(Phase::Check)),
        blow,
        striking: None,
        saved: None,
    };
    let fresh = UpgradeJob::new(plan.job, plan.old.clone(), plan.new.clone()).timeout(AT_MOST);
    let mut result = flink.run_with(fresh.clone(), |notice| listener.hear(notice));
    let mut resumed = None;
    if let Err(error) = result {
        listener.write(&format!("ended: {}", describe(&error)));
        let is_whole = cluster.wait_until_whole(Duration::from_secs(120));
        listener.write(&format!("resumes; all of the cluster answers: {is_whole}"));
        let diagnosis = UpgradeDiagnosis::of(&error);
        let is_untouched = diagnosis.is_some_and(|diagnosis| diagnosis.status == UpgradeStatus::Untouched);
        let saved = listener.saved.take_if(|_| !(plan.is_jar_good && is_untouched));
        let goal = match &saved {
            Some(saved) => UpgradeJob::resume(saved)
                .map(|goal| goal.with_jars(plan.old.clone(), plan.new.clone()).timeout(AT_MOST)),
            None => Ok(fresh),
        };
        result = goal.and_then(|goal| flink.run_with(goal, |notice| listener.hear(notice)));
        resumed = Some(error);
    }
    listener.advance(|_| Phase::After);
    let took = listener.started.elapsed();
    listener.write(&match &result {
        Ok(upgrade) => format!("ended: {upgrade:?}"),
        Err(error) => format!("ended: {}", describe(error)),
    });
    let struck =
        listener.striking.map(|striking| striking.join().unwrap_or_else(|_| Err("its thread panicked".to_owned())));
    Ended { result, resumed, struck, took }
}

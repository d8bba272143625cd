//! The goal [`UpgradeJob`].
//!
//! ```text
//!  Check ──▶ Upload, Upload ──▶ Plan, Plan ──▶ Stop ──▶ Run ──▶ Settle ──▶ Checkpoint ──▶ Verify ──▶ upgraded
//!    │            │                │            │        │        │ ▲           │           │
//!    │            │                │            │        │        │ └───────────┴───────────┤ a task restarted
//!    └────────────┴─ error: the old job was ────┘        └────────┴──────┬──────────────────┘
//!                    not touched, or the stop failed                     ▼ the new job is given up
//!                                                        CancelNew ──▶ RunOld ──▶ SettleOld ──▶ rolled back
//! ```
//!
//! [`UpgradePhase::Prepare`] covers Check, Upload and Plan; [`UpgradePhase::Settle`] covers Settle and Checkpoint.
//! "Ends with" means that the flow ends with this error; "failed" and "ambiguous" are [`FlowError::Failed`] and
//! [`FlowError::Ambiguous`]. A temporary rejection is a 429 or 503, or one for lack of a leader.
//!
//! | Prepare | event | next step |
//! |---|---|---|
//! | Check | the cluster no longer knows the job | ends with that error; which job runs is unknown |
//! | Check | the job ends, other than FINISHED | failed, with its last checkpoint, and the savepoint of an earlier stop if there is one |
//! | Plan | the cluster no longer has the jar | Upload, at most three times, if the jar is given |
//! | Plan | no answer, and the same JobManager answers | Plan again, once |
//! | Plan | not sent, or temporarily rejected | the JobManager is identified again, then Plan |
//! | Plan | no answer, and another JobManager answers; no high availability | failed: `main()` may have killed it; a resumed flow fails in the same way |
//! | Plan | no answer, and another JobManager answers; high availability | ambiguous; a resumed flow reads the JobManager's identity again |
//! | Plan | no answer, and it is unknown whether the same JobManager answers | ambiguous; a resumed flow reads the JobManager's identity again |
//! | Plan | no answer to an earlier attempt, and the cluster does not have the jar | Upload if the same JobManager answers, else as above |
//! | Check, Upload, Plan | any other error | ends with that error; the old job keeps running |
//!
//! | Stop | next step |
//! |---|---|
//! | the job fails while it stops, after its savepoint was written | Run, from that savepoint |
//! | the cluster has forgotten the outcome, but lists a later savepoint as the last action of the job before it ended | Run, from that savepoint |
//! | the same, but the job is FINISHED: a failover restored it, and it completed its work | ends with that error, with the savepoint |
//! | a failover restores the job after its savepoint was written | Check, and another stop, at most three times |
//! | the savepoint fails | failed, with the state of the old job and its last checkpoint; a resumed flow begins with Check |
//! | outcome unknown | ambiguous; a resumed flow polls again |
//!
//! | Run, RunOld | event | next step |
//! |---|---|---|
//! | both | the cluster no longer has the jar | Upload, at most three times, if the jar is given |
//! | both | outcome unknown, and the cluster knows the job | Settle, SettleOld |
//! | both | outcome unknown otherwise | ambiguous: two jobs must never write the same output |
//! | both | rejected by a proxy, or temporarily | ends with that error; resume from the saved state |
//! | Run | rejected, and no job exists; or the main method failed | roll back |
//! | Run | no answer, no job, and another JobManager answers: `main()` may have killed it, or may still run | RunOld, under the id of the new job |
//! | RunOld | rejected; or no answer, no job, and another JobManager answers; no high availability | failed, with the savepoint; a resumed flow runs the old jar again |
//! | RunOld | no answer, no job, and another JobManager answers; high availability | ambiguous; a resumed flow runs the old jar again, once, under the same id |
//!
//! | Settle, Checkpoint, Verify | event | next step |
//! |---|---|---|
//! | Settle | the job ends other than FINISHED, or the settle timeout expires | roll back |
//! | Checkpoint | it fails | Settle again, until the settle timeout expires |
//! | Checkpoint | the settle timeout expires, and the list of checkpoints has a completed one | as if the checkpoint had completed in time |
//! | Settle, Checkpoint | the settle timeout expires, and the job could not be polled for more than 5 s of its second half | ends with that error; resume from the saved state |
//! | Verify | a task or the job leaves RUNNING | Settle, with the rest of its timeout; roll back if nothing is left |
//! | Verify | another task finishes by itself | Settle, with its whole timeout |
//! | Verify | the job ends | upgraded if it is FINISHED, else roll back |
//! | Verify | the job cannot be polled until the deadline, or for 90 s without one | ends with that error; resume from the saved state, which settles and verifies again |
//! | Settle, Verify | the cluster does not know the job | ambiguous: it may have ended since |
//!
//! | CancelNew, SettleOld | event | next step |
//! |---|---|---|
//! | CancelNew | the old jar was run under the same id, and the job is FINISHED | ambiguous: it may be either jar's |
//! | CancelNew | the job has FINISHED otherwise | upgraded |
//! | CancelNew | Run was rejected, and the cluster does not know the job | RunOld |
//! | CancelNew | the cluster does not know the job otherwise | ambiguous: it may have ended since |
//! | SettleOld | the job ends other than FINISHED | failed, with the savepoint; a resumed flow runs the old jar under another id |
//! | SettleOld | the settle timeout expires | ends with that error: the old job exists, and its tasks may still start |
//! | SettleOld | the cluster does not know the job | ambiguous: it may have ended since |
//!
//! In each phase, if no connection can be made until the retries are used up, the flow ends with that error: resume
//! from the saved state.
//!
//! If a jar had to be uploaded again, the JobManager was restarted: Check follows once more before Stop.
//!
//! Before the plans and before Stop, the flow reads and saves the path of the job's last checkpoint. If a JobManager
//! forgets a stopped job together with its savepoint, this is the path that the error names; the savepoint itself is in
//! the directory where it was to be written. The error names it, too, if a plan has killed the JobManager, and the job
//! with it. If the cluster or a proxy rejects the request, the upgrade continues without the path.
//!
//! After a plan without an answer, it is not known which job runs until the same JobManager is seen to answer. A plan
//! that was answered is saved as such: a JobManager that is replaced later has not died of it.
//!
//! Check waits until all tasks of the old job run, at most for the settle timeout: before that no savepoint can be
//! taken.
//!
//! Verify takes as long as [`UpgradeJob::stable_for`] says; without that setting, the upgrade succeeds with the first
//! checkpoint. The flow compares when the job's tasks last entered their state, so that it notices a restart between
//! two polls. It takes that moment before the checkpoint, which is therefore always triggered after the last restart.
//!
//! Every error carries an [`UpgradeDiagnosis`]: the jars, the ids of the jobs, the savepoint, and which job runs.
//! Exceptions are [`FlowError::Stopped`], [`FlowError::Misuse`], and [`FlowError::Build`] before anything is sent. If a
//! failover brought the job back after a stop had written its savepoint, every error carries this savepoint as
//! [`UpgradeDiagnosis::earlier_savepoint`] until a later stop succeeds.
//!
//! A goal with [`UpgradeJob::roll_back`] goes to `RunOld` as soon as no job runs: from Prepare if its savepoint was
//! named, from Stop when that is completed, from Run if the new job was never submitted, else by `CancelNew`.
//!
//! If the new job's `main()` may still run although the cluster does not know the job, the old jar runs under the id of
//! the new job, which the cluster accepts once. If that is rejected as a duplicate, or its outcome is unknown, the job
//! of this id is cancelled first. As long as no job has this id, it is not known which job runs.
//!
//! Invariants:
//!
//! * Nothing is stopped before both jars are uploaded and planned.
//! * Both jars start with the claim mode `NO_CLAIM`, so that the savepoint stays usable.
//! * The old job is not started while the new job may run.
//! * Each phase and each plan is saved before it begins.
//! * A plan or a run that got no answer is repeated only if the same JobManager is seen to answer (see
//!   [`JobManagerLookup`](super::JobManagerLookup)). So a `main()` that calls `System.exit` kills one JobManager and no
//!   more. Exception: a resumed flow runs the old jar again although another JobManager answers, because its `main()`
//!   has run before.
//!
//! Limit of the last invariant: if requests are distributed over several JobManagers, the process that was identified
//! may not be the process that gets the plan or run. Then each repetition may kill another JobManager: at most one more
//! for a plan, and four more for a run. Use the address of one JobManager.

mod diagnosis;
mod machine;

use std::time::Duration;

use super::run_jar::{JarRun, RunJar};
use crate::body::Body;
use crate::error::{FlowError, Misuse};
use crate::flink::tuning::SETTLE_TIMEOUT;
use crate::flink::{FlinkRest, JobId};
use crate::flow::{SavedState, goal};
use crate::schema::{json_structs, string_enums};
pub use diagnosis::{UpgradeDiagnosis, UpgradeStatus};
use machine::UpgradeMachine;

string_enums! {
    /// How far an upgrade is.
    pub enum UpgradePhase {
        /// Jars are uploaded and planned. The old job was not stopped, or runs on because the stop failed.
        Prepare = "prepare",
        /// The old job is being stopped.
        Stop = "stop",
        /// The new jar is being run.
        Run = "run",
        /// The new job must show that it runs.
        Settle = "settle",
        /// The new job has completed a checkpoint, and must stay stable: see [`UpgradeJob::stable_for`].
        Verify = "verify",
        /// The new job is being cancelled.
        CancelNew = "cancel-new",
        /// The old jar is being run again.
        RunOld = "run-old",
        /// The old job must show that it runs.
        SettleOld = "settle-old",
    }
}

json_structs! {
    /// All that an upgrade needs to be resumed.
    struct UpgradeState {
        /// How far it is.
        pub phase: UpgradePhase,
        pub job: JobId,
        /// How to run the old jar.
        pub old: JarRun,
        /// How to run the new jar.
        pub new: JarRun,
        /// The id that the new job gets.
        pub new_job: JobId,
        /// The id that the old jar's job gets, if it must run again.
        pub old_job: JobId,
        /// Where to write the savepoint.
        pub target_directory: Option<String>,
        /// How long a job may take to show that it runs; milliseconds.
        pub settle_timeout: u64,
        /// How long the new job must keep running after its first checkpoint; milliseconds.
        pub stable_for: Option<u64>,
        /// Whether the caller wants the old jar back.
        pub roll_back: Option<bool>,
        /// Where the savepoint is, once it is written.
        pub savepoint: Option<String>,
        /// The last completed checkpoint of the job before it was stopped.
        pub last_checkpoint: Option<String>,
        /// The savepoint of a stop after which the job ran on; absent once a later stop has succeeded.
        pub earlier_savepoint: Option<String>,
        /// Whether the cluster has got the new job, which it may forget; absent before that was known.
        pub launched: Option<bool>,
        /// Whether `new_job` may be the id of a job of the old jar, because an attempt to run that under this id got no
        /// answer.
        pub is_disputed: Option<bool>,
        /// Why the new job was given up.
        pub reason: Option<String>,
        /// Which jar is being planned: a request that got no answer may have killed the JobManager.
        pub planning: Option<String>,
        /// Which JobManager process was to execute its main method.
        pub job_manager: Option<String>,
        /// The state of the flow of this phase.
        pub child: Option<SavedState>,
    }
}

/// Upgrades a running job to another jar and keeps its state; rolls back if the new job does not run.
///
/// The flow uploads and plans both jars first, so that a jar that cannot run costs nothing. Then it stops the job with
/// a savepoint, and runs the new jar from it. The upgrade succeeds when all tasks of the new job run and it has
/// completed one checkpoint, or when it has FINISHED; [`stable_for`](Self::stable_for) demands more. Otherwise the new
/// job is cancelled and the old jar runs again from the same savepoint. The result is then [`Upgrade::RolledBack`],
/// which is not an error: check for it.
///
/// If the upgrade is interrupted before the stop, the old job keeps running. After the stop, the last state of
/// [`Notice::Persist`](crate::flow::Notice::Persist) [resumes](Self::resume) the upgrade: give the resumed goal the
/// jars by [`with_jars`](Self::with_jars), in case the cluster has lost them. Without that state, pass the savepoint of
/// the error's [`UpgradeDiagnosis`] to [`from_savepoint`](Self::from_savepoint), but only if no job runs from it yet:
/// see [`UpgradeDiagnosis::savepoint`].
///
/// # Errors
/// All of them carry an [`UpgradeDiagnosis`]; its `status` tells which job runs.
///
/// * [`FlowError::Incomplete`] if the service or the transport rejected a request; [`FlowError::service`] returns the
///   rejection.
/// * [`FlowError::Failed`] if a savepoint, a plan or both jars failed. Correct the cause, then resume or begin again.
/// * [`FlowError::Ambiguous`] if it is not known which job runs. Resume from the saved state; it polls again.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expired. Resume from the saved state.
///
/// ```
/// use pipewright::flink::{JobId, RunJar, UpgradeJob};
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let old = RunJar::uploaded("0f0e_orders-1.jar");
/// let new = RunJar::upload("orders-2.jar", "PK…").program_args(["--rate", "50"]);
/// let goal = UpgradeJob::new(job, old, new).target_directory("s3://bucket/savepoints");
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct UpgradeJob {
    start: Start,
    /// The jars themselves, for a resumed goal.
    jars: [Option<(String, Body)>; 2],
    roll_back: bool,
    timeout: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Start {
    Fresh {
        job: JobId,
        old: RunJar,
        new: RunJar,
        target_directory: Option<String>,
        settle_timeout: Duration,
        stable_for: Duration,
        savepoint: Option<String>,
    },
    Resumed(Box<UpgradeState>),
}

impl UpgradeJob {
    const NAME: &'static str = "UpgradeJob";

    /// Moves a job from its jar to another jar. Of both it is said how to run them; savepoint, claim mode
    /// and job id are this flow's own affair.
    pub fn new(job: JobId, old: RunJar, new: RunJar) -> Self {
        let start = Start::Fresh {
            job,
            old,
            new,
            target_directory: None,
            settle_timeout: SETTLE_TIMEOUT,
            stable_for: Duration::ZERO,
            savepoint: None,
        };
        Self { start, jars: [None, None], roll_back: false, timeout: None }
    }

    /// Returns whether this goal resumes an upgrade whose plan of a jar got no answer: its main method may have ended a
    /// JobManager, or may still run. A new upgrade would execute it again.
    pub fn has_open_plan(&self) -> bool {
        matches!(&self.start, Start::Resumed(state) if state.phase == UpgradePhase::Prepare && state.planning.is_some())
    }

    /// Gives a resumed goal the jars again: they are uploaded if the cluster has not got them any more. Uploads are
    /// lost with the JobManager unless `web.upload.dir` is set. How to run them was saved. Without effect on a goal
    /// from [`new`](Self::new).
    pub fn with_jars(mut self, old: RunJar, new: RunJar) -> Self {
        self.jars = [old.into_parts().0, new.into_parts().0];
        self
    }

    /// The job is stopped already, with this savepoint: nothing is stopped, and the new jar runs from it. The way on
    /// when a stop ended as [`FlowError::Ambiguous`] and you have found its savepoint. Without effect on a resumed
    /// goal.
    pub fn from_savepoint(mut self, path: impl Into<String>) -> Self {
        if let Start::Fresh { savepoint, .. } = &mut self.start {
            *savepoint = Some(path.into());
        }
        self
    }

    /// Where to write the savepoint; the cluster's default place by default.
    pub fn target_directory(mut self, directory: impl Into<String>) -> Self {
        let directory = directory.into();
        match &mut self.start {
            Start::Fresh { target_directory, .. } => *target_directory = Some(directory),
            Start::Resumed(state) => state.target_directory = Some(directory),
        }
        self
    }

    /// How long a job may take to show that it runs: the old job before it is stopped, the new job, and the old job
    /// when it is brought back. 60 s by default.
    pub fn settle_timeout(mut self, time: Duration) -> Self {
        match &mut self.start {
            Start::Fresh { settle_timeout, .. } => *settle_timeout = time,
            Start::Resumed(state) => state.settle_timeout = millis(time),
        }
        self
    }

    /// Sets how long the new job must keep all its tasks running after its first completed checkpoint, before the
    /// upgrade has succeeded. Zero by default: the upgrade succeeds with that checkpoint.
    ///
    /// The flow polls the job for this long. If a task leaves RUNNING, for whatever reason (a failure, a failover, a
    /// rescaling), the job is not stable. Within [`settle_timeout`](Self::settle_timeout), counted from the start of
    /// the job, it may settle and be verified again, after another checkpoint; after that, the upgrade is rolled back.
    /// A task that finishes by itself counts as no failure: the job settles and is verified again, with the whole time
    /// for both. A job that is FINISHED is upgraded.
    ///
    /// The setting is saved. A resumed flow waits for another checkpoint and verifies the job for the whole time again.
    /// [`timeout`](Self::timeout) limits the whole flow, this time included.
    pub fn stable_for(mut self, time: Duration) -> Self {
        match &mut self.start {
            Start::Fresh { stable_for, .. } => *stable_for = time,
            Start::Resumed(state) => state.stable_for = Some(millis(time)),
        }
        self
    }

    /// Returns to the old jar: the flow ends as [`Upgrade::RolledBack`], with the reason "requested by the caller".
    ///
    /// A goal from [`new`](Self::new) needs the savepoint ([`from_savepoint`](Self::from_savepoint)). The flow stops
    /// nothing, and runs the old jar from that savepoint. Call it only if no job runs from the savepoint. The new jar
    /// is not used.
    ///
    /// On a resumed goal, the next step depends on the phase that was saved:
    ///
    /// | phase | then |
    /// |---|---|
    /// | Prepare | nothing was stopped: [`FlowError::Failed`], with [`UpgradeStatus::OldJobRuns`] if the cluster says so |
    /// | Stop | the stop is completed, and the old jar runs from its savepoint; if the stop fails and the job runs on, that error |
    /// | Run | the new job is cancelled if the cluster knows it; then the old jar runs |
    /// | Settle, Verify | the new job is cancelled, and the old jar runs; if the new job is FINISHED by then, it is upgraded |
    /// | `CancelNew`, `RunOld`, `SettleOld` | as without this setting |
    ///
    /// To return after an upgrade has succeeded, run another upgrade with the jars exchanged.
    ///
    /// # Errors
    /// The flow of a goal from [`new`](Self::new) without a savepoint ends with [`FlowError::Build`], before anything
    /// is sent.
    pub fn roll_back(mut self) -> Self {
        self.roll_back = true;
        self
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How an upgrade ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the upgrade may have been rolled back"]
pub enum Upgrade {
    /// The new jar runs, from the state of the old job.
    Upgraded {
        /// The new job.
        job: JobId,
        /// What it was started from.
        savepoint: String,
        /// The number of its first completed checkpoint; `None` when the job ended before.
        checkpoint: Option<i64>,
    },
    /// The new jar was given up, and the old jar runs again from where it was stopped.
    RolledBack {
        /// The job that runs now.
        job: JobId,
        /// What it was started from.
        savepoint: String,
        /// Why.
        reason: String,
    },
}

impl TryFrom<Box<UpgradeState>> for UpgradeJob {
    type Error = FlowError;

    /// Fails for a phase that is unknown, or lacks the savepoint that it needs.
    fn try_from(state: Box<UpgradeState>) -> Result<Self, FlowError> {
        let has_savepoint = state.savepoint.as_ref().is_some_and(|savepoint| !savepoint.is_empty());
        match state.phase {
            UpgradePhase::Prepare | UpgradePhase::Stop => {}
            UpgradePhase::Unknown(_) => return Err(FlowError::Misuse(Misuse::WrongState)),
            _ if has_savepoint => {}
            _ => return Err(FlowError::Misuse(Misuse::WrongState)),
        }
        Ok(Self { start: Start::Resumed(state), jars: [None, None], roll_back: false, timeout: None })
    }
}

impl From<UpgradeJob> for UpgradeMachine {
    fn from(goal: UpgradeJob) -> Self {
        let roll_back = goal.roll_back.then_some(true);
        match goal.start {
            Start::Resumed(mut state) => {
                state.roll_back = roll_back.or(state.roll_back);
                Self::resumed(goal.jars, *state)
            }
            Start::Fresh { job, old, new, target_directory, settle_timeout, stable_for, savepoint } => {
                let (old_jar, has_old, old) = old.into_parts();
                let (new_jar, has_new, new) = new.into_parts();
                let data = UpgradeState {
                    phase: UpgradePhase::Prepare,
                    job,
                    old,
                    new,
                    // The machine chooses these ids when it starts.
                    new_job: JobId::from_bits(0),
                    old_job: JobId::from_bits(0),
                    target_directory,
                    settle_timeout: millis(settle_timeout),
                    stable_for: Some(millis(stable_for)).filter(|time| *time > 0),
                    roll_back,
                    savepoint,
                    last_checkpoint: None,
                    earlier_savepoint: None,
                    launched: None,
                    is_disputed: None,
                    reason: None,
                    planning: None,
                    job_manager: None,
                    child: None,
                };
                Self::fresh([old_jar, new_jar], [has_old, has_new], data)
            }
        }
    }
}

goal!(UpgradeJob: FlinkRest => Upgrade, UpgradeMachine, resume Box<UpgradeState>);

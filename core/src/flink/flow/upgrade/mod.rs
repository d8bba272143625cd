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
//! [`FlowError::Ambiguous`]. A temporary rejection is a 429, a 503, or a rejection for lack of a leader. The settle
//! timeout is [`UpgradeJob::settle_timeout`].
//!
//! | step of Prepare | event | next step |
//! |---|---|---|
//! | Check | the cluster no longer knows the job | ends with that error; which job runs is unknown |
//! | Check | the job ends, other than FINISHED | failed, with its last checkpoint, and with the savepoint of an earlier stop if it exists |
//! | Plan | the cluster no longer has the jar | Upload, at most three times, if the jar is given |
//! | Plan | no answer, and the same JobManager answers | Plan again, once |
//! | Plan | not sent, or temporarily rejected | the JobManager is identified again, then Plan |
//! | Plan | no answer, and another JobManager answers; no high availability | failed: `main()` may have killed it; a resumed flow fails in the same way |
//! | Plan | no answer, and another JobManager answers; high availability | ambiguous; a resumed flow reads the JobManager's identity again |
//! | Plan | no answer, and it is unknown whether the same JobManager answers | ambiguous; a resumed flow reads the JobManager's identity again |
//! | Plan | no answer to an earlier attempt, and the cluster does not have the jar | Upload if the same JobManager answers, else as above |
//! | Check, Upload, Plan | any other error | ends with that error; the old job keeps running |
//!
//! | event in Stop | next step |
//! |---|---|
//! | the job fails while it stops, after its savepoint was written | Run, from that savepoint |
//! | the cluster has forgotten the outcome and the job has ended, but its last snapshot is a savepoint since the trigger | Run, from that savepoint |
//! | the job is FINISHED after its stop failed: a failover restored it, and it completed its work | ends with that error, with the savepoint |
//! | a failover restores the job after its savepoint was written | Check, and another stop, at most three times |
//! | the savepoint fails | failed, with the state of the old job and its last checkpoint; a resumed flow begins with Check |
//! | outcome unknown | ambiguous; a resumed flow polls again |
//!
//! | phase | event | next step |
//! |---|---|---|
//! | both | the cluster no longer has the jar | Upload, at most three times, if the jar is given |
//! | both | outcome unknown, and the cluster knows the job | Settle or SettleOld |
//! | both | outcome unknown otherwise | ambiguous: two jobs must never write the same output |
//! | both | rejected by a proxy, or temporarily | ends with that error; resume from the saved state |
//! | Run | rejected, and no job exists; or the main method failed | roll back |
//! | Run | no answer, no job, and another JobManager answers: `main()` may have killed it, or may still run | RunOld, under the id of the new job |
//! | RunOld | rejected; or no answer, no job, and another JobManager answers; no high availability | failed, with the savepoint; a resumed flow runs the old jar again |
//! | RunOld | no answer, no job, and another JobManager answers; high availability | ambiguous; a resumed flow runs the old jar again, once, under the same id |
//!
//! | step | event | next step |
//! |---|---|---|
//! | Settle | the job ends other than FINISHED, or the settle timeout expires | roll back |
//! | Checkpoint | the checkpoint fails | Settle again, until the settle timeout expires |
//! | Checkpoint | the settle timeout expires, and the list has a completed checkpoint | as if the checkpoint had completed in time |
//! | Settle, Checkpoint | the settle timeout expires, and the job could not be polled for more than 5 s of its second half | ends with that error; resume from the saved state |
//! | Verify | a task or the job leaves RUNNING | Settle, with the rest of the settle timeout; roll back if it has expired |
//! | Verify | another task finishes by itself | Settle, with the whole settle timeout |
//! | Verify | the job ends | upgraded if it is FINISHED, else roll back |
//! | Verify | the job cannot be polled until the deadline, or for 90 s without a deadline | ends with that error; resume from the saved state: the flow settles and verifies again |
//! | Settle, Verify | the cluster does not know the job | ambiguous: it may have ended since |
//!
//! | phase | event | next step |
//! |---|---|---|
//! | CancelNew | the old jar was run under the same id, and the job is FINISHED | ambiguous: the job may have run either jar |
//! | CancelNew | the job is FINISHED otherwise | upgraded |
//! | CancelNew | Run was rejected, and the cluster does not know the job | RunOld |
//! | CancelNew | the cluster does not know the job otherwise | ambiguous: it may have ended since |
//! | SettleOld | the job ends other than FINISHED | failed, with the savepoint; a resumed flow runs the old jar under another id |
//! | SettleOld | the settle timeout expires | ends with that error: the old job exists, and its tasks may still start |
//! | SettleOld | the cluster does not know the job | ambiguous: it may have ended since |
//!
//! In each phase, if the flow cannot connect until the retries are used up, it ends with that error: resume from the
//! saved state.
//!
//! If a jar had to be uploaded again, the JobManager was restarted. So Check follows once more before Stop.
//!
//! Before the plans and before Stop, the flow reads and saves the path of the job's last checkpoint. The error names
//! this path if a JobManager forgets a stopped job together with its savepoint, or if a plan has killed the JobManager
//! and the job. The savepoint itself is in its target directory. If the cluster or a proxy rejects the request for the
//! last checkpoint, the upgrade continues without the path.
//!
//! After a plan without an answer, it is not known which job runs until the same JobManager answers. The flow saves
//! that a plan was answered: if the JobManager is replaced later, the plan is not the reason.
//!
//! Check waits until all tasks of the old job run, at most for the settle timeout: before that, Flink rejects a
//! savepoint.
//!
//! Verify takes as long as [`UpgradeJob::stable_for`] says; without that setting, the upgrade succeeds with the first
//! checkpoint. The flow compares when the job's tasks last entered their state, so that it notices a restart between
//! two polls. It takes that moment before the checkpoint, which is therefore always triggered after the last restart.
//!
//! Every error carries an [`UpgradeDiagnosis`]: the jars, the ids of the jobs, the savepoint, and which job runs.
//! Exceptions are [`FlowError::Stopped`], [`FlowError::Misuse`], and [`FlowError::Build`] before the first request. If
//! a failover restored the job after a stop had written its savepoint, every error carries this savepoint as
//! [`UpgradeDiagnosis::earlier_savepoint`] until a later stop succeeds.
//!
//! A goal with [`UpgradeJob::roll_back`] enters `RunOld` as soon as no job runs: from Prepare if the caller named a
//! savepoint, from Stop when the stop is completed, from Run if the new job was never submitted, otherwise after
//! `CancelNew`.
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
//! * A plan or a run that got no answer is repeated only if the same JobManager answers. So a `main()` that calls
//!   `System.exit` kills only one JobManager. For limits, see [`JobManagerLookup`](super::JobManagerLookup). Exception:
//!   a resumed flow runs the old jar again although another JobManager answers, because its `main()` has run before.

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
    /// The phase of an upgrade.
    pub enum UpgradePhase {
        /// The jars are being uploaded and planned. The old job was not stopped, or still runs because the stop failed.
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
    /// The saved state of an upgrade.
    struct UpgradeState {
        pub phase: UpgradePhase,
        pub job: JobId,
        /// How to run the old jar.
        pub old: JarRun,
        /// How to run the new jar.
        pub new: JarRun,
        pub new_job: JobId,
        /// The id of the old jar's job if it must run again.
        pub old_job: JobId,
        pub target_directory: Option<String>,
        /// In milliseconds.
        pub settle_timeout: u64,
        /// In milliseconds.
        pub stable_for: Option<u64>,
        pub roll_back: Option<bool>,
        /// The path of the savepoint, once it is written.
        pub savepoint: Option<String>,
        /// The last completed checkpoint of the job before it was stopped.
        pub last_checkpoint: Option<String>,
        /// The savepoint of a stop after which the job continued; absent once a later stop has succeeded.
        pub earlier_savepoint: Option<String>,
        /// Whether the cluster has accepted the new job; absent before that is known.
        pub launched: Option<bool>,
        /// Whether a job of the old jar may have the id `new_job`, because an attempt to run it under this id got no
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
/// 1. The flow uploads and plans both jars. If a jar cannot run, the old job is not affected.
/// 2. It stops the job with a savepoint, and runs the new jar from it.
/// 3. The upgrade succeeds when all tasks of the new job run and it has completed a checkpoint, or when it is FINISHED.
///    [`stable_for`](Self::stable_for) also demands that the job keeps running.
/// 4. Otherwise the flow cancels the new job, and runs the old jar again from the same savepoint. The result is then
///    [`Upgrade::RolledBack`], which is not an error: check for it.
///
/// If the upgrade is interrupted before the stop, the old job keeps running. If it is interrupted later,
/// [`resume`](Self::resume) it from the last state of [`Notice::Persist`](crate::flow::Notice::Persist). Give the
/// resumed goal the jars by [`with_jars`](Self::with_jars), in case the cluster has lost them.
///
/// Without that state, pass the savepoint of the error's [`UpgradeDiagnosis`] to
/// [`from_savepoint`](Self::from_savepoint), but only if no job runs from it yet: see [`UpgradeDiagnosis::savepoint`].
///
/// # Errors
/// All of them carry an [`UpgradeDiagnosis`]; its `status` tells which job runs.
///
/// * [`FlowError::Incomplete`] if the service or the transport rejected a request; [`FlowError::service`] returns the
///   rejection.
/// * [`FlowError::Failed`] if a savepoint, a plan or both jars failed. Correct the cause, then resume or begin again.
/// * [`FlowError::Ambiguous`] if it is not known which job runs. Resume from the saved state: the flow polls again.
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

    /// Creates the goal that moves a job from the old jar to the new jar.
    ///
    /// The two [`RunJar`] goals say how to run the jars. The flow ignores their savepoint, claim mode and job id, and
    /// sets its own.
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

    /// Returns whether this goal resumes an upgrade in which the plan of a jar got no answer. The main method of that
    /// jar may have killed a JobManager, or may still run. A new upgrade would execute it again.
    pub fn has_open_plan(&self) -> bool {
        matches!(&self.start, Start::Resumed(state) if state.phase == UpgradePhase::Prepare && state.planning.is_some())
    }

    /// Gives a resumed goal the jars again: the flow uploads them if the cluster no longer has them. A JobManager loses
    /// its uploads when it ends, unless `web.upload.dir` is set. All other settings of the two goals are ignored,
    /// because they were saved. Has no effect on a goal from [`new`](Self::new).
    pub fn with_jars(mut self, old: RunJar, new: RunJar) -> Self {
        self.jars = [old.into_parts().0, new.into_parts().0];
        self
    }

    /// Skips the stop, and runs the new jar from a savepoint with which the job is already stopped. Use it after a stop
    /// that ended as [`FlowError::Ambiguous`], if you have found its savepoint. Has no effect on a resumed goal.
    pub fn from_savepoint(mut self, path: impl Into<String>) -> Self {
        if let Start::Fresh { savepoint, .. } = &mut self.start {
            *savepoint = Some(path.into());
        }
        self
    }

    /// Sets the directory for the savepoint; by default the cluster's `execution.checkpointing.savepoint-dir`.
    pub fn target_directory(mut self, directory: impl Into<String>) -> Self {
        let directory = directory.into();
        match &mut self.start {
            Start::Fresh { target_directory, .. } => *target_directory = Some(directory),
            Start::Resumed(state) => state.target_directory = Some(directory),
        }
        self
    }

    /// Sets how long a job may take to show that it runs; 60 s by default. It applies to the old job before the stop,
    /// to the new job, and to the old job after a rollback.
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
    /// The flow polls the job for this long:
    ///
    /// * If a task leaves RUNNING for any reason (a failure, a failover, a rescaling), the job is not stable. Until
    ///   [`settle_timeout`](Self::settle_timeout) has passed since the start of the job, it may settle again, complete
    ///   another checkpoint, and be verified again. After that, the flow rolls back.
    /// * If a task finishes by itself, that is no failure. The job settles and is verified again, with the whole time
    ///   for both.
    /// * If the job is FINISHED, the upgrade has succeeded.
    ///
    /// The setting is saved. A resumed flow waits for another checkpoint and verifies the job for the whole time again.
    /// [`timeout`](Self::timeout) limits the whole flow, including this time.
    pub fn stable_for(mut self, time: Duration) -> Self {
        match &mut self.start {
            Start::Fresh { stable_for, .. } => *stable_for = time,
            Start::Resumed(state) => state.stable_for = Some(millis(time)),
        }
        self
    }

    /// Returns to the old jar: the flow ends as [`Upgrade::RolledBack`], with the reason "requested by the caller".
    ///
    /// A goal from [`new`](Self::new) needs the savepoint ([`from_savepoint`](Self::from_savepoint)). The flow stops no
    /// job, and runs the old jar from that savepoint. Call it only if no job runs from the savepoint. The new jar is
    /// not used.
    ///
    /// On a resumed goal, the next step depends on the phase that was saved:
    ///
    /// | saved phase | next step |
    /// |---|---|
    /// | Prepare | no job was stopped: [`FlowError::Failed`], with [`UpgradeStatus::OldJobRuns`] if the cluster says so |
    /// | Stop | the flow completes the stop, and runs the old jar from its savepoint; if the stop fails and the job still runs, the flow ends with that error |
    /// | Run | the new job is cancelled if the cluster knows it; then the old jar runs |
    /// | Settle, Verify | the new job is cancelled, and the old jar runs; if the new job is FINISHED by then, the upgrade has succeeded |
    /// | `CancelNew`, `RunOld`, `SettleOld` | as without this setting |
    ///
    /// To return after an upgrade has succeeded, run another upgrade with the jars exchanged.
    ///
    /// # Errors
    /// The flow ends with [`FlowError::Build`] before the first request if the goal is from [`new`](Self::new) and has
    /// no savepoint.
    pub fn roll_back(mut self) -> Self {
        self.roll_back = true;
        self
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The result of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the upgrade may have been rolled back"]
pub enum Upgrade {
    /// The new jar runs, from the state of the old job.
    Upgraded {
        /// The new job.
        job: JobId,
        /// The path of the savepoint that it was started from.
        savepoint: String,
        /// The number of its first completed checkpoint; `None` if the job ended before it.
        checkpoint: Option<i64>,
    },
    /// The flow gave up the new job, and the old jar runs again from the savepoint of the stop.
    RolledBack {
        /// The job that runs now.
        job: JobId,
        /// The path of the savepoint that it was started from.
        savepoint: String,
        /// Why the flow gave up the new job, in one line.
        reason: String,
    },
}

impl TryFrom<Box<UpgradeState>> for UpgradeJob {
    type Error = FlowError;

    /// Fails if the phase is unknown, or lacks the savepoint that it needs.
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

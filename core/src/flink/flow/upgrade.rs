//! The goal [`UpgradeJob`].
//!
//! ```text
//!  Check ──▶ Upload, Upload ──▶ Plan, Plan ──▶ Stop ──▶ Run ──▶ Settle ──▶ Checkpoint ──▶ upgraded
//!    │            │                │            │        │        │             │
//!    └────────────┴─ error: the old job was ────┘        └────────┴──────┬──────┘
//!                    not touched, or the stop failed                     ▼ the new job is no good
//!                                                        CancelNew ──▶ RunOld ──▶ SettleOld ──▶ rolled back
//! ```
//!
//! | phase | goes wrong by | then |
//! |---|---|---|
//! | Check, Upload, Plan | anything | that error; the old job runs on |
//! | Stop | the savepoint fails | failed, with what the old job is doing |
//! | Stop | outcome unknown | ambiguous |
//! | Run | refused, and no job; or the main method failed | roll back |
//! | Run | outcome unknown | ambiguous: two jobs must never write the same output |
//! | Settle | the job ends other than FINISHED, or time is up | roll back |
//! | Checkpoint | it fails | Settle again, until time is up |
//! | CancelNew | the cluster does not know the job | RunOld |
//! | anywhere | no connection, until the retries are used up | that error; resume from the saved state |
//!
//! Invariants: nothing is stopped before both jars are uploaded and planned; the savepoint is never claimed, so that both
//! jars can start from it; the old job is not started while the new one may run; each phase is saved before it begins.

use std::time::Duration;

use super::await_job::{AwaitJob, AwaitMachine, JobReport};
use super::cancel::{Cancel, CancelMachine};
use super::run_jar::{JarRun, RunJar, RunMachine};
use super::stop::{StopMachine, StopWithSavepoint};
use super::trigger::Triggered;
use super::triggers::{CheckpointKind, TriggerCheckpoint};
use super::upload::Upload;
use crate::body::Body;
use crate::error::{Failure, FlowError};
use crate::flink::error::is_unknown_job;
use crate::flink::jars::ClaimMode;
use crate::flink::{FlinkRest, GetJobExceptions, GetJobStatus, JobId, JobState, PlanJar};
use crate::flow::{Call, Common, Config, Flow, Goal, Machine, Notice, Reply, Running, Saved, Step, ok};
use crate::seed::Seed;
use crate::table::{records, words};
use crate::time::Timestamp;

words! {
    /// How far an upgrade is.
    pub enum UpgradePhase {
        /// The old job is being stopped.
        Stop = "stop",
        /// The new jar is being run.
        Run = "run",
        /// The new job must show that it runs.
        Settle = "settle",
        /// The new job is being cancelled.
        CancelNew = "cancel-new",
        /// The old jar is being run again.
        RunOld = "run-old",
        /// The old job must show that it runs.
        SettleOld = "settle-old",
    }
}

records! {
    /// All that an upgrade needs to be resumed.
    pub struct UpgradeState {
        /// How far it is.
        pub phase: UpgradePhase = "phase",
        /// The job that is upgraded.
        pub job: JobId = "job",
        /// How to run the old jar.
        pub old: JarRun = "old",
        /// How to run the new jar.
        pub new: JarRun = "new",
        /// The id that the new job gets.
        pub new_job: JobId = "new_job",
        /// The id that the old jar's job gets, if it must run again.
        pub old_job: JobId = "old_job",
        /// Where to write the savepoint.
        pub target_directory: Option<String> = "target_directory",
        /// How long a job may take to show that it runs; milliseconds.
        pub settle_within: u64 = "settle_within",
        /// Where the savepoint is, once it is written.
        pub savepoint: Option<String> = "savepoint",
        /// Why the new job was no good.
        pub reason: Option<String> = "reason",
        /// The state of the flow of this phase.
        pub child: Option<Saved> = "child",
    }
}

/// Moves a running job from one jar to the next without losing its state; if the next one is no good, back again.
///
/// Uploads and plans both jars first, so that a jar that cannot run costs nothing. Then stops the job with a savepoint, and
/// runs the new jar from it. The upgrade counts when all tasks of the new job run and it has completed one checkpoint, or
/// when it has come to its end. Otherwise the new job is cancelled and the old jar runs again from the same savepoint:
/// that is [`Upgrade::RolledBack`], no error, and not to be overlooked.
///
/// Errors leave the job as the table in this module's source says; in short: before the stop it runs on, after the stop
/// the state announced last by [`Notice::Save`] resumes the upgrade.
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
    within: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Start {
    Fresh { job: JobId, old: RunJar, new: RunJar, target_directory: Option<String>, settle_within: Duration },
    Resumed(Box<UpgradeState>),
}

impl UpgradeJob {
    const NAME: &'static str = "UpgradeJob";

    /// Moves a job from the jar it runs from to another one. Of both it is said how to run them; savepoint, claim mode
    /// and job id are this flow's own affair.
    pub fn new(job: JobId, old: RunJar, new: RunJar) -> Self {
        let start = Start::Fresh { job, old, new, target_directory: None, settle_within: Duration::from_secs(60) };
        Self { start, within: None }
    }

    /// Goes on from a state that an earlier flow announced with [`Notice::Save`].
    ///
    /// # Errors
    /// [`FlowError::Misuse`] when the state is another flow's.
    pub fn resume(saved: &Saved) -> Result<Self, FlowError> {
        Ok(Self { start: Start::Resumed(saved.read(Self::NAME)?), within: None })
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

    /// How long a job may take to show that it runs. 60 s by default.
    pub fn settle_within(mut self, time: Duration) -> Self {
        match &mut self.start {
            Start::Fresh { settle_within, .. } => *settle_within = time,
            Start::Resumed(state) => state.settle_within = millis(time),
        }
        self
    }

    /// How long the flow may take; as long as it takes by default. When it is up, the flow ends where it is: resume it.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
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
    /// The new jar goes on from the old one's state.
    Upgraded {
        /// The new job.
        job: JobId,
        /// What it was started from.
        savepoint: String,
        /// The number of its first completed checkpoint; `None` when it came to its end before.
        checkpoint: Option<i64>,
    },
    /// The new jar was no good, and the old one goes on from where it was stopped.
    RolledBack {
        /// The job that runs now.
        job: JobId,
        /// What it was started from.
        savepoint: String,
        /// Why.
        reason: String,
    },
}

/// The transitions of [`UpgradeJob`].
#[derive(Debug)]
pub struct UpgradeMachine {
    /// Uploads that are to come: of the old jar, of the new one.
    uploads: [Option<(String, Body)>; 2],
    data: UpgradeState,
    settle_until: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Resumed,
    Check(Call<GetJobStatus>),
    Upload(usize, Running<Upload>),
    Plan(usize, Call<PlanJar>),
    Stop(Running<StopMachine>),
    Run(Running<RunMachine>),
    Settle(Running<AwaitMachine>),
    Checkpoint(Running<Triggered<CheckpointKind>>),
    /// Before another checkpoint.
    Pause(Timestamp),
    /// Time is up for the new job: what did it run into? With what it did not do in time.
    Explain(Call<GetJobExceptions>, String),
    CancelNew(Running<CancelMachine>),
    RunOld(Running<RunMachine>),
    SettleOld(Running<AwaitMachine>),
}

impl UpgradeMachine {
    fn name_of(which: usize) -> &'static str {
        if which == 0 { "old jar" } else { "new jar" }
    }

    fn run_of(&mut self, which: usize) -> &mut JarRun {
        if which == 0 { &mut self.data.old } else { &mut self.data.new }
    }

    /// The uploads, then the plans, old before new, then the stop.
    fn prepare(&mut self, which: usize, cx: &mut Common<FlinkRest>) {
        let upload =
            self.uploads.iter_mut().enumerate().skip(which).find_map(|(which, upload)| Some((which, upload.take()?)));
        if let Some((which, (name, content))) = upload {
            cx.phase(Self::NAME, if which == 0 { "uploading the old jar" } else { "uploading the new jar" });
            self.state = State::Upload(which, cx.child(Upload::new(name, content)));
        } else {
            self.plan(0, cx);
        }
    }

    fn plan(&mut self, which: usize, cx: &mut Common<FlinkRest>) {
        cx.phase(Self::NAME, if which == 0 { "planning the old jar" } else { "planning the new jar" });
        let JarRun { jar, entry_class, program_args, parallelism, flink_configuration, .. } =
            self.run_of(which).clone();
        let mut plan = PlanJar::new(jar);
        plan.entry_class = entry_class;
        plan.program_args = Some(program_args).filter(|args| !args.is_empty());
        plan.parallelism = parallelism;
        plan.flink_configuration = Some(flink_configuration).filter(|configuration| !configuration.is_empty());
        self.state = State::Plan(which, cx.call(plan));
    }

    /// Enters a phase that can be resumed. `resumed` is what its flow had saved.
    fn enter(
        &mut self,
        phase: UpgradePhase,
        resumed: Option<&Saved>,
        cx: &mut Common<FlinkRest>,
    ) -> Result<(), FlowError> {
        let words = match phase {
            UpgradePhase::Stop => "stopping the job with a savepoint",
            UpgradePhase::Run => "running the new jar from the savepoint",
            UpgradePhase::Settle => "waiting for the new job's tasks and its first checkpoint",
            UpgradePhase::CancelNew => "cancelling the new job",
            UpgradePhase::RunOld => "running the old jar from the same savepoint",
            UpgradePhase::SettleOld => "waiting for the old job's tasks",
            UpgradePhase::Unknown(_) => return Err(FlowError::Misuse(crate::error::Misuse::WrongState)),
        };
        self.data.phase = phase;
        self.data.child = resumed.cloned();
        cx.phase(Self::NAME, words);
        cx.save(Saved::new(Self::NAME, &self.data));
        self.state = match self.data.phase {
            UpgradePhase::Stop => {
                let goal = match resumed {
                    Some(saved) => StopWithSavepoint::resume(saved)?,
                    None => StopWithSavepoint::new(self.data.job),
                };
                let goal = match &self.data.target_directory {
                    Some(directory) => goal.target_directory(directory),
                    None => goal,
                };
                State::Stop(cx.child(goal.machine()))
            }
            UpgradePhase::Run => State::Run(self.run(1, resumed, cx)?),
            UpgradePhase::RunOld => State::RunOld(self.run(0, resumed, cx)?),
            UpgradePhase::CancelNew => State::CancelNew(cx.child(Cancel::new(self.data.new_job).machine())),
            UpgradePhase::Settle | UpgradePhase::SettleOld | UpgradePhase::Unknown(_) => {
                self.settle_until = cx.now() + Duration::from_millis(self.data.settle_within);
                let is_new = self.data.phase == UpgradePhase::Settle;
                let flow = self.settle(if is_new { self.data.new_job } else { self.data.old_job }, cx);
                if is_new { State::Settle(flow) } else { State::SettleOld(flow) }
            }
        };
        Ok(())
    }

    /// A run from the savepoint, which nobody claims.
    fn run(
        &mut self,
        which: usize,
        resumed: Option<&Saved>,
        cx: &mut Common<FlinkRest>,
    ) -> Result<Running<RunMachine>, FlowError> {
        if let Some(saved) = resumed {
            return Ok(cx.child(RunJar::resume(saved)?.machine()));
        }
        let job = if which == 0 { self.data.old_job } else { self.data.new_job };
        let mut run = self.run_of(which).clone();
        run.savepoint_path.clone_from(&self.data.savepoint);
        run.claim_mode = Some(ClaimMode::NoClaim);
        Ok(cx.child(RunJar::of(run, job).machine()))
    }

    fn settle(&self, job: JobId, cx: &mut Common<FlinkRest>) -> Running<AwaitMachine> {
        let until = cx.no_later_than(self.settle_until);
        cx.child(AwaitJob::running(job).machine()).with_deadline(until)
    }

    fn roll_back(&mut self, reason: String, cx: &mut Common<FlinkRest>) -> Result<(), FlowError> {
        cx.say(Notice::Observed { what: format!("job {}", self.data.new_job), state: format!("no good: {reason}") });
        self.data.reason = Some(reason);
        self.enter(UpgradePhase::CancelNew, None, cx)
    }

    /// A child's error ends the upgrade, unless the child was only out of its own time.
    fn is_own_deadline(error: &FlowError, cx: &Common<FlinkRest>) -> bool {
        matches!(error, FlowError::Deadline { .. }) && cx.expired("").is_none()
    }

    fn too_slow(&mut self, what: &str, cx: &mut Common<FlinkRest>) {
        let seconds = Duration::from_millis(self.data.settle_within).as_secs_f64();
        let reason = format!("the new job {what} within {seconds} s");
        self.state = State::Explain(cx.call(GetJobExceptions::new(self.data.new_job).max_exceptions(1_u32)), reason);
    }

    fn settled(
        &mut self,
        report: Result<JobReport, FlowError>,
        cx: &mut Common<FlinkRest>,
    ) -> Result<Option<Upgrade>, FlowError> {
        match report {
            Ok(report) if report.state == JobState::Running => {
                let until = cx.no_later_than(self.settle_until);
                let checkpoint = TriggerCheckpoint::new(self.data.new_job).machine();
                self.state = State::Checkpoint(cx.child(checkpoint).with_deadline(until));
            }
            Ok(report) if report.state == JobState::Finished => return Ok(Some(self.upgraded(None))),
            Ok(report) => {
                let why = report.failure().map(|why| format!(": {why}")).unwrap_or_default();
                self.roll_back(format!("the new job is {}{why}", report.state), cx)?;
            }
            Err(error) if Self::is_own_deadline(&error, cx) => {
                self.too_slow("did not get all its tasks to run", cx);
            }
            Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                self.roll_back("the cluster no longer knows the new job".to_owned(), cx)?;
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn checkpointed(
        &mut self,
        result: Result<i64, FlowError>,
        cx: &mut Common<FlinkRest>,
    ) -> Result<Option<Upgrade>, FlowError> {
        match result {
            Ok(number) => return Ok(Some(self.upgraded(Some(number)))),
            Err(error) if Self::is_own_deadline(&error, cx) => {
                self.too_slow("completed no checkpoint", cx);
            }
            // It may fail because a task has just failed: the job tells more.
            Err(FlowError::Failed(failure)) if cx.now() < self.settle_until => {
                cx.say(Notice::Observed { what: failure.what, state: failure.reason });
                self.state = State::Pause(cx.now() + Duration::from_millis(500));
            }
            Err(FlowError::Failed(failure)) => self.roll_back(failure.reason, cx)?,
            Err(FlowError::Ambiguous(_)) if cx.now() < self.settle_until => {
                self.state = State::Pause(cx.now() + Duration::from_millis(500));
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn savepoint(&self) -> String {
        self.data.savepoint.clone().unwrap_or_default()
    }

    fn upgraded(&self, checkpoint: Option<i64>) -> Upgrade {
        Upgrade::Upgraded { job: self.data.new_job, savepoint: self.savepoint(), checkpoint }
    }

    /// The old jar could not be brought back: all that is known goes into the error.
    fn lost(&self, why: &str) -> FlowError {
        FlowError::Failed(Failure {
            what: format!("bringing back the old jar as job {} from savepoint {}", self.data.old_job, self.savepoint()),
            reason: why.to_owned(),
            details: self.data.reason.as_ref().map(|reason| format!("the new job was no good: {reason}")),
        })
    }

    /// What the flow of this phase saves is part of what the upgrade saves.
    fn adopt<T>(&mut self, step: Step<T>) -> Step<T> {
        match step {
            Step::Notice(Notice::Save(child)) => {
                self.data.child = Some(child);
                Step::Notice(Notice::Save(Saved::new(Self::NAME, &self.data)))
            }
            step => step,
        }
    }

    /// One transition; `None` when the machine can go on at once.
    #[allow(clippy::too_many_lines, reason = "transitions are easier to check in one place")]
    fn transition(&mut self, cx: &mut Common<FlinkRest>, reply: &mut Option<Reply>) -> Step<Option<Upgrade>> {
        let now = cx.now();
        let next = match &mut self.state {
            State::Start => {
                cx.phase(Self::NAME, "checking the job");
                self.state = State::Check(cx.call(GetJobStatus::new(self.data.job)));
                Ok(None)
            }
            State::Resumed => {
                let (phase, child) = (self.data.phase.clone(), self.data.child.clone());
                self.enter(phase, child.as_ref(), cx).map(|()| None)
            }
            State::Check(call) => match ok!(call.poll(now, reply.take())) {
                Ok(job) if job.status == JobState::Running => {
                    self.prepare(0, cx);
                    Ok(None)
                }
                Ok(job) => Err(FlowError::Failed(Failure {
                    what: format!("upgrade of job {}", self.data.job),
                    reason: format!("only a RUNNING job can be upgraded, and it is {}", job.status),
                    details: None,
                })),
                Err(error) => Err(error),
            },
            State::Upload(which, flow) => {
                let which = *which;
                let jar = ok!(flow.poll(now, reply.take()));
                jar.map(|jar| {
                    cx.say(Notice::Observed {
                        what: Self::name_of(which).to_owned(),
                        state: format!("uploaded as {jar}"),
                    });
                    self.run_of(which).jar = jar;
                    self.prepare(which + 1, cx);
                    None
                })
            }
            State::Plan(which, call) => {
                let which = *which;
                let plan = ok!(call.poll(now, reply.take()));
                match plan {
                    Ok(_) if which == 0 => {
                        self.plan(1, cx);
                        Ok(None)
                    }
                    Ok(_) => self.enter(UpgradePhase::Stop, None, cx).map(|()| None),
                    Err(error) => Err(error),
                }
            }
            State::Stop(flow) => {
                let step = flow.poll(now, reply.take());
                match ok!(self.adopt(step)) {
                    Ok(stopped) => {
                        cx.say(Notice::Observed { what: "savepoint".to_owned(), state: stopped.location.clone() });
                        self.data.savepoint = Some(stopped.location);
                        self.enter(UpgradePhase::Run, None, cx).map(|()| None)
                    }
                    Err(error) => Err(error),
                }
            }
            State::Run(flow) => {
                let step = flow.poll(now, reply.take());
                match ok!(self.adopt(step)) {
                    Ok(launched) => {
                        self.data.new_job = launched.job;
                        self.enter(UpgradePhase::Settle, None, cx).map(|()| None)
                    }
                    Err(error @ (FlowError::Service(_) | FlowError::Failed(_))) => {
                        self.roll_back(error.to_string(), cx).map(|()| None)
                    }
                    Err(error) => Err(error),
                }
            }
            State::Settle(flow) => {
                let report = ok!(flow.poll(now, reply.take()));
                self.settled(report, cx)
            }
            State::Checkpoint(flow) => {
                // Its trigger is not worth saving: a resumed upgrade takes another checkpoint.
                let number = match flow.poll(now, reply.take()) {
                    Step::Notice(Notice::Save(_)) => return Step::Done(Ok(None)),
                    step => ok!(step),
                };
                self.checkpointed(number, cx)
            }
            State::Pause(until) => {
                if let Some(step) = cx.wait_until(*until, "the new job's first checkpoint", reply) {
                    return step;
                }
                self.state = State::Settle(self.settle(self.data.new_job, cx));
                Ok(None)
            }
            State::Explain(call, reason) => {
                let exceptions = ok!(call.poll(now, reply.take()));
                let mut reason = std::mem::take(reason);
                if let Some(cause) = exceptions.ok().and_then(|exceptions| exceptions.newest()) {
                    reason = format!("{reason}; it last ran into {cause}");
                }
                self.roll_back(reason, cx).map(|()| None)
            }
            State::CancelNew(flow) => match ok!(flow.poll(now, reply.take())) {
                Ok(_) => self.enter(UpgradePhase::RunOld, None, cx).map(|()| None),
                Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                    self.enter(UpgradePhase::RunOld, None, cx).map(|()| None)
                }
                Err(error) => Err(error),
            },
            State::RunOld(flow) => {
                let step = flow.poll(now, reply.take());
                match ok!(self.adopt(step)) {
                    Ok(launched) => {
                        self.data.old_job = launched.job;
                        self.enter(UpgradePhase::SettleOld, None, cx).map(|()| None)
                    }
                    Err(error @ (FlowError::Service(_) | FlowError::Failed(_))) => Err(self.lost(&error.to_string())),
                    Err(error) => Err(error),
                }
            }
            State::SettleOld(flow) => match ok!(flow.poll(now, reply.take())) {
                Ok(report) if matches!(report.state, JobState::Running | JobState::Finished) => {
                    Ok(Some(Upgrade::RolledBack {
                        job: self.data.old_job,
                        savepoint: self.savepoint(),
                        reason: self.data.reason.clone().unwrap_or_default(),
                    }))
                }
                Ok(report) => {
                    let why = report.failure().map(|why| format!(": {why}")).unwrap_or_default();
                    Err(self.lost(&format!("it is {}{why}", report.state)))
                }
                Err(error) if Self::is_own_deadline(&error, cx) => Err(self.lost("not all its tasks ran in time")),
                Err(error) => Err(error),
            },
        };
        Step::Done(next)
    }
}

impl Machine for UpgradeMachine {
    type Service = FlinkRest;
    type Output = Upgrade;
    const NAME: &'static str = UpgradeJob::NAME;

    fn step(&mut self, cx: &mut Common<FlinkRest>, reply: &mut Option<Reply>) -> Step<Upgrade> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match ok!(self.transition(cx, reply)) {
                Ok(None) => {}
                Ok(Some(upgrade)) => return Step::Done(Ok(upgrade)),
                Err(error) => return Step::Done(Err(error)),
            }
        }
    }
}

impl Goal for UpgradeJob {
    type Service = FlinkRest;
    type Output = Upgrade;
    type Flow = Running<UpgradeMachine>;

    fn start(self, config: &Config<FlinkRest>, mut seed: Seed) -> Self::Flow {
        let machine = match self.start {
            Start::Resumed(state) => UpgradeMachine {
                uploads: [None, None],
                data: *state,
                settle_until: Timestamp::MAX,
                state: State::Resumed,
            },
            Start::Fresh { job, old, new, target_directory, settle_within } => {
                let ((old_upload, old), (new_upload, new)) = (old.into_parts(), new.into_parts());
                let data = UpgradeState {
                    phase: UpgradePhase::Stop,
                    job,
                    old,
                    new,
                    new_job: JobId::from_bits(seed.next_u128()),
                    old_job: JobId::from_bits(seed.next_u128()),
                    target_directory,
                    settle_within: millis(settle_within),
                    savepoint: None,
                    reason: None,
                    child: None,
                };
                UpgradeMachine {
                    uploads: [old_upload, new_upload],
                    data,
                    settle_until: Timestamp::MAX,
                    state: State::Start,
                }
            }
        };
        Running::new(machine, config, seed, self.within)
    }
}

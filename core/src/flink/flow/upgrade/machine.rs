//! The transitions of [`UpgradeJob`], as drawn in its module.

use std::time::Duration;

use super::{Upgrade, UpgradeJob, UpgradePhase, UpgradeState};
use crate::body::Body;
use crate::error::{Ambiguity, ErrorKind, Failure, FlowError, Misuse, ServiceError};
use crate::flink::error::is_unknown_job;
use crate::flink::flow::await_job::{AwaitJob, AwaitMachine, JobReport};
use crate::flink::flow::cancel::{Cancel, CancelMachine};
use crate::flink::flow::heard::Heard;
use crate::flink::flow::run_jar::{JarRun, RunJar, RunMachine};
use crate::flink::flow::stop::{StopMachine, StopWithSavepoint};
use crate::flink::flow::trigger::Triggered;
use crate::flink::flow::triggers::{CheckpointKind, TriggerCheckpoint};
use crate::flink::flow::upload::Upload;
use crate::flink::jars::ClaimMode;
use crate::flink::{FlinkRest, GetJobExceptions, JobId, JobState, PlanJar, SubmitJar};
use crate::flow::{Call, Common, Flow, Machine, Notice, Reply, Running, Saved, Step, ok};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// The transitions of [`UpgradeJob`].
#[doc(hidden)]
#[derive(Debug)]
pub struct UpgradeMachine {
    /// Uploads that are to come: of the old jar, of the new one.
    uploads: [Option<(String, Body)>; 2],
    data: UpgradeState,
    /// When the cluster has said how the job is that must show that it runs.
    heard: Heard,
    settle_until: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Resumed,
    Check(Running<AwaitMachine>),
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
    /// With what is to be uploaded of the old jar and of the new one.
    pub(super) fn fresh(uploads: [Option<(String, Body)>; 2], data: UpgradeState) -> Self {
        Self { uploads, data, heard: Heard::default(), settle_until: Timestamp::MAX, state: State::Start }
    }

    /// From the phase that was saved last.
    pub(super) fn resumed(data: UpgradeState) -> Self {
        Self {
            heard: Heard::default(),
            uploads: [None, None],
            data,
            settle_until: Timestamp::MAX,
            state: State::Resumed,
        }
    }

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
        plan.program_args = Some(program_args.0).filter(|args| !args.is_empty());
        plan.parallelism = parallelism;
        plan.flink_configuration = Some(flink_configuration.0).filter(|configuration| !configuration.is_empty());
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
            UpgradePhase::Unknown(_) => return Err(FlowError::Misuse(Misuse::WrongState)),
        };
        if phase == UpgradePhase::Settle {
            // Saved by whoever did not note it yet.
            self.data.launched = Some(true);
        }
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
                self.heard = Heard::default();
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
        cx.child(AwaitJob::running(job).machine().hearing(self.heard)).with_deadline(until)
    }

    fn roll_back(&mut self, reason: String, cx: &mut Common<FlinkRest>) -> Result<(), FlowError> {
        cx.say(Notice::Observed { what: format!("job {}", self.data.new_job), state: format!("no good: {reason}") });
        self.data.reason = Some(reason);
        self.enter(UpgradePhase::CancelNew, None, cx)
    }

    /// Whether the cluster itself says that a jar cannot be run; a proxy's word is none.
    fn is_verdict(error: &FlowError) -> bool {
        match error {
            FlowError::Failed(_) => true,
            FlowError::Service(error) => error.kind() == ErrorKind::Refused && !error.is_transient(),
            _ => false,
        }
    }

    /// A child's error ends the upgrade, unless the child was only out of its own time, and the job was looked at for half of
    /// it until then: one that nobody could ask for may run well.
    fn is_own_deadline(&self, error: &FlowError, cx: &Common<FlinkRest>) -> bool {
        let (until, half) = (self.settle_until, self.data.settle_within / 2);
        let from = Timestamp::from_millis(until.as_millis().saturating_sub(half));
        let is_alone = matches!(error, FlowError::Deadline { last: None, .. }) && cx.expired("").is_none();
        is_alone && cx.now() >= until && self.heard.covers(from, until)
    }

    /// The new job was submitted and is unknown now. It may have come to its end since, and been forgotten: running the old
    /// jar would do its work again.
    fn forgotten(&self, error: ServiceError) -> FlowError {
        FlowError::Ambiguous(Ambiguity {
            operation: SubmitJar::INFO.name,
            cause: Box::new(error.into()),
            unanswered: false,
            found: Some(format!(
                "the cluster does not know job {}; its savepoint is {}",
                self.data.new_job,
                self.savepoint()
            )),
        })
    }

    fn settle_seconds(&self) -> f64 {
        Duration::from_millis(self.data.settle_within).as_secs_f64()
    }

    fn not_upgraded(&self, state: &str) -> FlowError {
        FlowError::Failed(Failure {
            what: format!("upgrade of job {}", self.data.job),
            reason: format!("only a job whose tasks all run can be stopped with a savepoint, and {state}"),
            details: None,
            cause: None,
        })
    }

    fn too_slow(&mut self, what: &str, cx: &mut Common<FlinkRest>) {
        let reason = format!("the new job {what} within {} s", self.settle_seconds());
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
                let checkpoint = TriggerCheckpoint::new(self.data.new_job).machine().hearing(self.heard);
                self.state = State::Checkpoint(cx.child(checkpoint).with_deadline(until));
            }
            Ok(report) if report.state == JobState::Finished => return Ok(Some(self.upgraded(None))),
            Ok(report) => {
                let why = report.failure().map(|why| format!(": {why}")).unwrap_or_default();
                self.roll_back(format!("the new job is {}{why}", report.state), cx)?;
            }
            Err(error) if self.is_own_deadline(&error, cx) => {
                self.too_slow("did not get all its tasks to run", cx);
            }
            Err(FlowError::Service(error)) if is_unknown_job(&error) => return Err(self.forgotten(error)),
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
            Err(error) if self.is_own_deadline(&error, cx) => {
                self.too_slow("completed no checkpoint", cx);
            }
            // It may fail because a task has just failed: the job tells more.
            Err(FlowError::Failed(failure)) if cx.now() < self.settle_until => {
                cx.say(Notice::Observed { what: failure.what, state: failure.reason });
                self.state = State::Pause(cx.now() + Duration::from_millis(500));
            }
            Err(FlowError::Failed(failure)) => self.roll_back(failure.reason, cx)?,
            // One checkpoint more or less does no harm.
            Err(FlowError::Ambiguous(_)) if cx.now() < self.settle_until => {
                self.state = State::Pause(cx.now() + Duration::from_millis(500));
            }
            // Nobody knows whether there was one to complete.
            Err(error @ FlowError::Ambiguous(_)) => {
                let (at, waiting) = (cx.no_later_than(self.settle_until), "the new job's first checkpoint");
                return Err(FlowError::Deadline { at, waiting, last: Some(Box::new(error)) });
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
            cause: None,
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
            State::Start if self.data.savepoint.is_some() => {
                self.prepare(0, cx);
                Ok(None)
            }
            State::Start => {
                cx.phase(Self::NAME, "waiting until all tasks of the job run");
                self.settle_until = cx.now() + Duration::from_millis(self.data.settle_within);
                self.state = State::Check(self.settle(self.data.job, cx));
                Ok(None)
            }
            State::Resumed => {
                let (phase, child) = (self.data.phase.clone(), self.data.child.clone());
                self.enter(phase, child.as_ref(), cx).map(|()| None)
            }
            State::Check(flow) => {
                let report = ok!(flow.poll(now, reply.take()));
                self.heard = flow.machine().heard();
                match report {
                    Ok(report) if report.state == JobState::Running => {
                        self.prepare(0, cx);
                        Ok(None)
                    }
                    Ok(report) => Err(self.not_upgraded(&format!("it is {}", report.state))),
                    Err(error) if self.is_own_deadline(&error, cx) => {
                        Err(self.not_upgraded(&format!("it did not get there within {} s", self.settle_seconds())))
                    }
                    Err(error) => Err(error),
                }
            }
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
                    Ok(_) => {
                        let is_stopped = self.data.savepoint.is_some();
                        let next = if is_stopped { UpgradePhase::Run } else { UpgradePhase::Stop };
                        self.enter(next, None, cx).map(|()| None)
                    }
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
                        (self.data.new_job, self.data.launched) = (launched.job, Some(true));
                        self.enter(UpgradePhase::Settle, None, cx).map(|()| None)
                    }
                    Err(error) if Self::is_verdict(&error) => {
                        // A main method that failed may have left its job behind.
                        self.data.launched = Some(matches!(error, FlowError::Failed(_)));
                        self.roll_back(error.to_string(), cx).map(|()| None)
                    }
                    Err(error) => Err(error),
                }
            }
            State::Settle(flow) => {
                let report = ok!(flow.poll(now, reply.take()));
                self.heard = flow.machine().heard();
                self.settled(report, cx)
            }
            State::Checkpoint(flow) => {
                // Its trigger is not worth saving: a resumed upgrade takes another checkpoint.
                let number = match flow.poll(now, reply.take()) {
                    Step::Notice(Notice::Save(_)) => return Step::Done(Ok(None)),
                    step => ok!(step),
                };
                self.heard = flow.machine().heard();
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
                // It was slow, and has done all its work meanwhile: the old jar would do it again.
                Ok(report) if report.state == JobState::Finished => Ok(Some(self.upgraded(None))),
                Ok(_) => self.enter(UpgradePhase::RunOld, None, cx).map(|()| None),
                Err(FlowError::Service(error)) if is_unknown_job(&error) => match self.data.launched {
                    Some(true) => Err(self.forgotten(error)),
                    _ => self.enter(UpgradePhase::RunOld, None, cx).map(|()| None),
                },
                Err(error) => Err(error),
            },
            State::RunOld(flow) => {
                let step = flow.poll(now, reply.take());
                match ok!(self.adopt(step)) {
                    Ok(launched) => {
                        self.data.old_job = launched.job;
                        self.enter(UpgradePhase::SettleOld, None, cx).map(|()| None)
                    }
                    Err(error) if Self::is_verdict(&error) => Err(self.lost(&error.to_string())),
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
                // Out of time is no failure: it is there, and may still come up.
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

//! The transitions of [`UpgradeJob`], as drawn in its module.

mod decide;
mod phases;
mod planning;
mod roll_back;
mod runs;
mod stability;

use std::ops::ControlFlow;

use self::runs::RunSummary;
use self::stability::StabilityCheck;
use super::{Upgrade, UpgradeJob, UpgradePhase, UpgradeState, UpgradeStatus};
use crate::body::Body;
use crate::error::FlowError;
use crate::flink::checkpoints::{GetCheckpoints, StartCheckpoint};
use crate::flink::flow::async_operation::AsyncOperation;
use crate::flink::flow::await_job::{AwaitMachine, TaskMark};
use crate::flink::flow::cancel::CancelMachine;
use crate::flink::flow::diagnose::DiagnoseJob;
use crate::flink::flow::job_manager::Identify;
use crate::flink::flow::observation_window::ObservationWindow;
use crate::flink::flow::run_jar::RunMachine;
use crate::flink::flow::stop::StopMachine;
use crate::flink::flow::upload::Upload;
use crate::flink::jars::PlanJar;
use crate::flink::jobs::GetJobExceptions;
use crate::flink::{FlinkRest, JobId};
use crate::flow::{
    Call, Flow as _, FlowContext, Notice, Polled, Runner, StateMachine, Step, Transition, done, or_done,
};
use crate::time::Timestamp;

/// The text in a saved state for the id of a jar that is not uploaded yet. Flink's ids end in `.jar`.
const NOT_UPLOADED: &str = "(not uploaded)";

/// The transitions of [`UpgradeJob`].
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct UpgradeMachine {
    /// The jars themselves, old and new, if they were given.
    jars: [Option<(String, Body)>; 2],
    is_uploaded: [bool; 2],
    /// How often a jar was uploaded again.
    uploads: u32,
    data: UpgradeState,
    /// When the cluster has reported the state of the job that must show that it runs.
    observed: ObservationWindow,
    settle_until: Timestamp,
    /// How often the job was stopped again.
    stops: u32,
    /// Whether both jars were planned.
    is_planned: bool,
    /// Whether an attempt to plan this jar got no answer, here or in an earlier process, and no later attempt was
    /// answered.
    is_plan_open: bool,
    /// The attempts of this plan that were sent when the JobManager was identified last.
    identified_attempts: u32,
    /// Whether the jar was planned again, because the first plan got no answer.
    is_planned_again: bool,
    /// Which job runs, as far as that is verified.
    status: UpgradeStatus,
    /// Whether a request of this flow was sent, and answered or lost.
    has_exchanged: bool,
    /// The mark of the new job's tasks before its first checkpoint.
    mark: TaskMark,
    /// The greatest number of its tasks that have finished.
    finished: u32,
    /// The number of its first checkpoint.
    checkpoint: Option<i64>,
    state: State,
}

/// The states, in the order of the tables.
#[derive(Debug)]
enum State {
    Fresh,
    Start,
    Resumed,
    Check(Runner<AwaitMachine>),
    /// The job has ended after an earlier stop had written its savepoint: reads its last checkpoint.
    Ended(DiagnoseJob),
    Upload(usize, Runner<Upload>),
    /// Reads which JobManager is about to execute the main method of this jar.
    Identify(usize, Identify),
    Plan(usize, Call<PlanJar>),
    /// Reads which JobManager is about to execute the main method, before another attempt of a plan that was not
    /// carried out.
    Replan(usize, Identify, Call<PlanJar>),
    /// A plan got no answer, here or in an earlier process: reads whether the JobManager is still the same.
    CheckJobManager(Option<(usize, FlowError)>, Identify),
    /// The JobManager is not the same, or that is unknown: reads whether the old job still runs. With the error of the
    /// plan.
    Suspect(Option<FlowError>, DiagnoseJob),
    /// Reads the last checkpoint, before the plans and the stop.
    LastCheckpoint(Call<GetCheckpoints>),
    Stop(Runner<StopMachine>),
    Run(Runner<RunMachine>),
    Settle(Runner<AwaitMachine>),
    Checkpoint(Runner<AsyncOperation<StartCheckpoint>>),
    /// Waits before another checkpoint.
    Pause(Timestamp),
    /// The settle timeout has expired, and the checkpoint was not seen to complete: reads whether the new job has
    /// completed a checkpoint. With the error of the deadline.
    CheckpointLookup(Call<GetCheckpoints>, FlowError),
    Verify(StabilityCheck),
    /// A task of the new job has left RUNNING: reads the state of the job. With what was observed.
    Unstable(Runner<AwaitMachine>, String),
    /// The new job is given up: reads its exceptions. With the reason.
    Explain(Call<GetJobExceptions>, String),
    CancelNew(Runner<CancelMachine>),
    RunOld(Runner<RunMachine>),
    SettleOld(Runner<AwaitMachine>),
    /// The caller requested a rollback, but no job was stopped: reads the state of the old job.
    Untouched(Runner<AwaitMachine>),
    /// The caller requested a rollback: reads whether the new job was submitted.
    FindNew(Runner<RunMachine>),
}

/// The consequence of an answer: the next state, or the end.
type Next = ControlFlow<Step<Upgrade>, State>;

impl UpgradeMachine {
    /// Begins an upgrade. The pairs are for the old and the new jar: the jar itself, and whether the cluster has it.
    pub(super) fn fresh(jars: [Option<(String, Body)>; 2], is_uploaded: [bool; 2], data: UpgradeState) -> Self {
        let is_stopped = data.savepoint.is_some();
        Self {
            jars,
            is_uploaded,
            uploads: 0,
            data,
            observed: ObservationWindow::default(),
            settle_until: Timestamp::MAX,
            stops: 0,
            is_planned: false,
            is_plan_open: false,
            identified_attempts: 0,
            is_planned_again: false,
            status: if is_stopped { UpgradeStatus::NoJobRuns } else { UpgradeStatus::Untouched },
            has_exchanged: false,
            mark: TaskMark::default(),
            finished: 0,
            checkpoint: None,
            state: State::Fresh,
        }
    }

    /// Continues with the phase that was saved last.
    pub(super) fn resumed(jars: [Option<(String, Body)>; 2], mut data: UpgradeState) -> Self {
        let is_uploaded = [&mut data.old, &mut data.new].map(|run| {
            let is_uploaded = run.jar.as_str() != NOT_UPLOADED;
            if !is_uploaded {
                run.jar = "".into();
            }
            is_uploaded
        });
        let status = match &data.phase {
            // A plan without an answer may have killed the JobManager, and the job with it.
            UpgradePhase::Prepare if data.savepoint.is_none() && data.planning.is_some() => UpgradeStatus::Unknown,
            UpgradePhase::Prepare if data.savepoint.is_none() => UpgradeStatus::Untouched,
            // The stop saves its trigger before it sends it.
            UpgradePhase::Stop if data.child.is_none() => UpgradeStatus::Untouched,
            // The main method of the new jar may still submit the new job.
            UpgradePhase::RunOld if data.old_job == data.new_job => UpgradeStatus::Unknown,
            UpgradePhase::Run | UpgradePhase::RunOld if data.child.is_none() => UpgradeStatus::NoJobRuns,
            UpgradePhase::Prepare => UpgradeStatus::NoJobRuns,
            _ => UpgradeStatus::Unknown,
        };
        Self { state: State::Resumed, status, ..Self::fresh(jars, is_uploaded, data) }
    }

    /// Makes the state that the flow of this phase saves a part of the upgrade's saved state.
    fn adopt<T>(&mut self, step: Step<T>) -> Polled<Upgrade, T> {
        let step = match step {
            Step::Notice(Notice::Persist(child)) => {
                self.data.child = Some(child);
                Step::Notice(Notice::Persist(self.saved()))
            }
            step => step,
        };
        step.into_result()
    }
}

impl StateMachine for UpgradeMachine {
    type Service = FlinkRest;
    type Output = Upgrade;
    const NAME: &'static str = UpgradeJob::NAME;
    const PHASES: &'static [&'static str] = &[
        "waiting until all tasks of the job run",
        "uploading the new jar",
        "planning the old jar",
        "planning the new jar",
        "looking for the last checkpoint of the job",
        "stopping the job with a savepoint",
        "running the new jar from the savepoint",
        "waiting for the new job's tasks and its first checkpoint",
        "watching the new job, which must stay stable",
    ];

    #[allow(clippy::too_many_lines, reason = "transitions are easier to check in one place")]
    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Upgrade> {
        let now = cx.now();
        self.has_exchanged |= cx.has_exchange_reply();
        self.state = match &mut self.state {
            State::Fresh => {
                self.data.new_job = JobId::from_bits(cx.seed.next_u128());
                self.data.old_job = JobId::from_bits(cx.seed.next_u128());
                State::Start
            }
            State::Start => or_done(self.begin(cx))?,
            State::Resumed => or_done(self.resume(cx))?,
            State::Check(flow) => {
                let report = cx.poll(flow)?;
                self.observed = flow.machine().observed();
                or_done(self.checked(report, cx))?
            }
            State::Ended(lookup) => {
                let found = lookup.poll(cx)?;
                return done(Err(self.not_stoppable(found)));
            }
            State::Upload(which, flow) => {
                let (jar, which) = (cx.poll(flow)?, *which);
                or_done(jar.and_then(|jar| self.uploaded(which, jar, cx)))?
            }
            State::Identify(which, lookup) => {
                let (process, which) = (lookup.poll(cx)?, *which);
                let process = or_done(process)?;
                match self.identified(which, process, cx) {
                    Some(suspect) => suspect,
                    None => self.send_plan(which, cx),
                }
            }
            State::Plan(_, call)
                if !cx.has_reply() && call.is_about_to_repeat() && self.identified_attempts != call.sent() =>
            {
                self.identified_attempts = call.sent();
                let State::Plan(which, call) = std::mem::replace(&mut self.state, State::Start) else {
                    return ControlFlow::Continue(());
                };
                State::Replan(which, Identify::before(), call)
            }
            State::Replan(_, lookup, _) => {
                let process = lookup.poll(cx)?;
                let State::Replan(which, _, call) = std::mem::replace(&mut self.state, State::Start) else {
                    return ControlFlow::Continue(());
                };
                let process = or_done(process.map_err(|error| self.not_planned(error, cx)))?;
                self.identified(which, process, cx).unwrap_or(State::Plan(which, call))
            }
            State::Plan(which, call) => {
                let (plan, which) = (cx.poll(call)?, *which);
                or_done(self.answered_plan(which, plan.map(drop), cx))?
            }
            State::CheckJobManager(plan, lookup) => {
                let process = or_done(lookup.poll(cx)?)?;
                let plan = plan.take();
                or_done(self.job_manager_checked(plan, process, cx))?
            }
            State::Suspect(plan, lookup) => {
                let (found, plan) = (lookup.poll(cx)?, plan.take());
                return done(Err(self.suspected(plan, found)));
            }
            State::LastCheckpoint(call) => {
                let checkpoints = cx.poll(call)?;
                or_done(self.last_checkpoint(checkpoints, cx))?
            }
            State::Stop(flow) => {
                let step = flow.poll(now, cx.take_reply());
                let stopped = self.adopt(step)?;
                or_done(match stopped {
                    Ok(stopped) => self.stopped(stopped.location, cx),
                    Err(error) => self.not_stopped(error, cx),
                })?
            }
            State::Run(flow) => {
                let step = flow.poll(now, cx.take_reply());
                let run = RunSummary::of(flow.machine(), now);
                let launched = self.adopt(step)?;
                or_done(self.ran(launched, run, cx))?
            }
            State::Settle(flow) => {
                let report = cx.poll(flow)?;
                let machine = flow.machine();
                self.observed = machine.observed();
                self.mark = machine.mark().unwrap_or_default();
                self.status = if machine.is_alive() { UpgradeStatus::NewJobRuns } else { UpgradeStatus::Unknown };
                self.settled(report, cx)?
            }
            State::Checkpoint(flow) => {
                // Its trigger is not worth saving: a resumed upgrade takes another checkpoint.
                let number = match flow.poll(now, cx.take_reply()) {
                    Step::Notice(Notice::Persist(_)) => return ControlFlow::Continue(()),
                    step => step.into_result()?,
                };
                self.observed = flow.machine().observed();
                self.checkpointed(number, cx)?
            }
            State::Pause(until) => {
                cx.wait(*until, "the new job's first checkpoint")?;
                State::Settle(self.settle(self.data.new_job, cx))
            }
            State::CheckpointLookup(call, error) => {
                let (checkpoints, error) = (cx.poll(call)?, error.clone());
                self.looked_up(checkpoints, error, cx)?
            }
            State::Verify(check) => {
                let result = check.poll(cx)?;
                self.observed = check.observed();
                self.verified(or_done(result)?, cx)?
            }
            State::Unstable(flow, why) => {
                let (report, why) = (cx.poll(flow)?, std::mem::take(why));
                self.unstable(report, &why, cx)?
            }
            State::Explain(call, reason) => {
                let (exceptions, mut reason) = (cx.poll(call)?, std::mem::take(reason));
                if let Some(cause) = exceptions.ok().and_then(|exceptions| exceptions.newest()) {
                    reason = format!("{reason}; its last exception is {cause}");
                }
                or_done(self.roll_back(reason, cx))?
            }
            State::CancelNew(flow) => {
                let report = cx.poll(flow)?;
                self.cancelled(report, cx)?
            }
            State::RunOld(flow) => {
                let step = flow.poll(now, cx.take_reply());
                let run = RunSummary::of(flow.machine(), now);
                let launched = self.adopt(step)?;
                or_done(self.ran_old(launched, run, cx))?
            }
            State::SettleOld(flow) => {
                let report = cx.poll(flow)?;
                let is_alive = flow.machine().is_alive();
                self.status = if is_alive { UpgradeStatus::OldJobRuns } else { UpgradeStatus::Unknown };
                return done(self.settled_old(report, cx));
            }
            State::Untouched(flow) => {
                let report = cx.poll(flow)?;
                let report = report.map_err(|error| self.not_checked(error));
                or_done(report.and_then(|report| self.untouched(&report, cx)))?
            }
            State::FindNew(flow) => {
                let step = flow.poll(now, cx.take_reply());
                let run = RunSummary::of(flow.machine(), now);
                let launched = self.adopt(step)?;
                or_done(match launched {
                    Ok(launched) => self.found_new(&launched, cx),
                    Err(_) if run.is_lost || run.is_absent => self.contend(cx),
                    Err(error) => Err(error),
                })?
            }
        };
        ControlFlow::Continue(())
    }

    /// Adds the savepoint, the jars, the ids of the jobs, and which of them runs.
    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        if matches!(error, FlowError::Build(_)) && !self.has_exchanged { error } else { self.explain(error) }
    }
}

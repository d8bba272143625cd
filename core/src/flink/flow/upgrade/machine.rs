//! The transitions of [`UpgradeJob`], as drawn in its module.

mod back;
mod phases;
mod planning;
mod prove;
mod verdicts;

use self::prove::Proof;
use super::{Upgrade, UpgradeJob, UpgradePhase, UpgradeState, UpgradeStatus};
use crate::body::Body;
use crate::error::FlowError;
use crate::flink::error::is_unknown_job;
use crate::flink::flow::await_job::{AwaitMachine, TaskMark};
use crate::flink::flow::cancel::CancelMachine;
use crate::flink::flow::job_manager::Identify;
use crate::flink::flow::look::Look;
use crate::flink::flow::observation_window::ObservationWindow;
use crate::flink::flow::run_jar::RunMachine;
use crate::flink::flow::stop::StopMachine;
use crate::flink::flow::trigger::Triggered;
use crate::flink::flow::triggers::CheckpointKind;
use crate::flink::flow::upload::Upload;
use crate::flink::{FlinkRest, GetCheckpoints, GetJobExceptions, JobState, PlanJar};
use crate::flow::{Call, Flow, FlowContext, Notice, Reply, Runner, StateMachine, Step, ready};
use crate::time::Timestamp;

/// How often a jar is uploaded again that the cluster has not got any more.
const UPLOADS: u32 = 3;
/// How often a job is stopped again that a failover has brought back.
const STOPS: u32 = 3;
/// What a saved state has in place of a jar's id before it is uploaded. An id of Flink's ends in `.jar`.
const NOT_UPLOADED: &str = "(not uploaded)";

/// The transitions of [`UpgradeJob`].
#[doc(hidden)]
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct UpgradeMachine {
    /// The jars themselves, old and new, if they were given.
    jars: [Option<(String, Body)>; 2],
    is_uploaded: [bool; 2],
    /// How often one was uploaded again.
    uploads: u32,
    data: UpgradeState,
    /// When the cluster has said how the job is that must show that it runs.
    observed: ObservationWindow,
    settle_until: Timestamp,
    /// How often the job was stopped again.
    stops: u32,
    /// Whether both jars were planned.
    is_planned: bool,
    /// Whether an attempt to plan this jar got no answer, here or in an earlier process, and none was answered since.
    is_plan_open: bool,
    /// The attempts of this plan that were handed out when the JobManager was identified last.
    identified: u32,
    /// Whether the jar was planned again, because the first plan got no answer.
    is_planned_again: bool,
    /// Which job runs, as far as that is verified.
    status: UpgradeStatus,
    /// Whether a request was handed out.
    is_sent: bool,
    /// The new job's tasks before its first checkpoint, the most of them that have finished, and that checkpoint.
    mark: TaskMark,
    finished: u32,
    checkpoint: Option<i64>,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Resumed,
    Check(Runner<AwaitMachine>),
    /// The job has ended after an earlier stop had written its savepoint: what was its last checkpoint?
    Down(Look),
    Upload(usize, Runner<Upload>),
    /// Which JobManager is about to execute the main method of this jar?
    Identify(usize, Identify),
    Plan(usize, Call<PlanJar>),
    /// Before another attempt of a plan that was not carried out: which JobManager is about to execute the main method now?
    Replan(usize, Identify, Call<PlanJar>),
    /// A plan got no answer, here or in an earlier process: is the JobManager still the same?
    CheckJobManager(Option<(usize, FlowError)>, Identify),
    /// It is not, or that is unknown: does the old job still run? With the error of the plan.
    Suspect(Option<FlowError>, Look),
    /// Before the stop: which checkpoint is the last one?
    LastCheckpoint(Call<GetCheckpoints>),
    Stop(Runner<StopMachine>),
    Run(Runner<RunMachine>),
    Settle(Runner<AwaitMachine>),
    Checkpoint(Runner<Triggered<CheckpointKind>>),
    Prove(Proof),
    /// A task of the new job has left RUNNING: how is the job now? With what was seen.
    Relapse(Runner<AwaitMachine>, String),
    /// Before another checkpoint.
    Pause(Timestamp),
    /// Time is up for the new job: what did it run into? With what it did not do in time.
    Explain(Call<GetJobExceptions>, String),
    /// Time is up, and the checkpoint was not seen to complete: has the new job completed one? With the error of the deadline.
    LastLookup(Call<GetCheckpoints>, FlowError),
    CancelNew(Runner<CancelMachine>),
    RunOld(Runner<RunMachine>),
    SettleOld(Runner<AwaitMachine>),
    /// The caller wants the old jar back, but nothing was stopped: how is the old job?
    Untouched(Runner<AwaitMachine>),
    /// The caller wants the old jar back: was the new job submitted?
    FindNew(Runner<RunMachine>),
}

impl UpgradeMachine {
    /// With the old jar and the new one, and whether the cluster has them.
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
            identified: 0,
            is_planned_again: false,
            status: if is_stopped { UpgradeStatus::NoJobRuns } else { UpgradeStatus::Untouched },
            is_sent: false,
            mark: TaskMark::default(),
            finished: 0,
            checkpoint: None,
            state: State::Start,
        }
    }

    /// From the phase that was saved last.
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
            // Each of them saves what it sends before it sends it.
            UpgradePhase::Stop if data.child.is_none() => UpgradeStatus::Untouched,
            // The main method of the new jar may still submit the new job.
            UpgradePhase::RunOld if data.old_job == data.new_job => UpgradeStatus::Unknown,
            UpgradePhase::Run | UpgradePhase::RunOld if data.child.is_none() => UpgradeStatus::NoJobRuns,
            UpgradePhase::Prepare => UpgradeStatus::NoJobRuns,
            _ => UpgradeStatus::Unknown,
        };
        Self { state: State::Resumed, status, ..Self::fresh(jars, is_uploaded, data) }
    }

    /// What the flow of this phase saves is part of what the upgrade saves.
    fn adopt<T>(&mut self, step: Step<T>) -> Step<T> {
        match step {
            Step::Notice(Notice::Persist(child)) => {
                self.data.child = Some(child);
                Step::Notice(Notice::Persist(self.saved()))
            }
            step => step,
        }
    }

    /// One transition; `None` when the machine can go on at once.
    #[allow(clippy::too_many_lines, reason = "transitions are easier to check in one place")]
    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<Option<Upgrade>> {
        let now = cx.now();
        let next = match &mut self.state {
            State::Start => self.begin(cx).map(|()| None),
            State::Resumed => self.resume(cx).map(|()| None),
            State::Check(flow) => {
                let report = ready!(flow.poll(now, reply.take()));
                self.observed = flow.machine().observed();
                match report {
                    Ok(report) if report.state == JobState::Running && self.is_planned => {
                        self.before_stop(cx);
                        Ok(None)
                    }
                    Ok(report) if report.state == JobState::Running => self.prepare(cx).map(|()| None),
                    Ok(report) => self.ended(report.state, cx).map(|()| None),
                    Err(error) if self.is_own_deadline(&error, cx) => {
                        Err(self.not_upgraded(&format!("it did not get there within {} s", self.settle_seconds())))
                    }
                    Err(error) => Err(self.not_checked(error)),
                }
            }
            State::Down(look) => ready!(look.poll(cx, reply)).and_then(|found| Err(self.is_down(found))),
            State::Upload(which, flow) => {
                let which = *which;
                let jar = ready!(flow.poll(now, reply.take()));
                jar.and_then(|jar| {
                    cx.say(Notice::Observed {
                        what: Self::name_of(which).to_owned(),
                        state: format!("uploaded as {jar}"),
                    });
                    self.run_of(which).jar = jar;
                    if let Some(is_uploaded) = self.is_uploaded.get_mut(which) {
                        *is_uploaded = true;
                    }
                    self.save(cx);
                    self.prepare(cx).map(|()| None)
                })
            }
            State::Identify(which, flow) => {
                let which = *which;
                ready!(flow.poll(cx, reply)).map(|process| {
                    if self.identified(which, process, cx) {
                        self.send_plan(which, cx);
                    }
                    None
                })
            }
            State::Plan(_, call) if reply.is_none() && call.is_about_to_repeat() && self.identified != call.sent() => {
                self.identify_again();
                Ok(None)
            }
            State::Replan(which, flow, _) => {
                let which = *which;
                let process = ready!(flow.poll(cx, reply));
                self.identified_again(which, process, cx).map(|()| None)
            }
            State::CheckJobManager(plan, flow) => {
                let process = ready!(flow.poll(cx, reply));
                let plan = plan.take();
                process.and_then(|process| self.job_manager_checked(plan, process, cx)).map(|()| None)
            }
            State::Suspect(plan, look) => {
                let found = ready!(look.poll(cx, reply));
                let plan = plan.take();
                found.and_then(|found| Err(self.suspected(plan, found)))
            }
            State::Plan(which, call) => {
                let which = *which;
                let plan = ready!(call.poll(now, reply.take()));
                if plan.is_ok() {
                    self.planned();
                    self.save(cx);
                }
                match plan {
                    Err(error) if Self::is_open(&error) || self.is_plan_open && self.is_uploadable(which, &error) => {
                        self.is_plan_open = true;
                        self.check_job_manager(Some((which, error)));
                        Ok(None)
                    }
                    Ok(_) if which == 0 => {
                        self.plan(1, cx);
                        Ok(None)
                    }
                    // The cluster had lost a jar, so its JobManager was restarted, and the job with it.
                    Ok(_) if self.uploads > 0 && self.data.savepoint.is_none() => {
                        self.is_planned = true;
                        self.check(cx);
                        Ok(None)
                    }
                    Ok(_) if self.data.savepoint.is_some() => self.enter(UpgradePhase::Run, None, cx).map(|()| None),
                    Ok(_) => {
                        self.before_stop(cx);
                        Ok(None)
                    }
                    Err(error) if self.upload_again(which, &error) => {
                        self.planned();
                        self.save(cx);
                        self.prepare(cx).map(|()| None)
                    }
                    Err(error) => Err(self.not_planned(error, cx)),
                }
            }
            State::LastCheckpoint(call) => {
                let checkpoints = ready!(call.poll(now, reply.take()));
                self.last_checkpoint(checkpoints, cx).map(|()| None)
            }
            State::Stop(flow) => {
                let step = flow.poll(now, reply.take());
                match ready!(self.adopt(step)) {
                    Ok(stopped) => self.stopped(stopped.location, cx).map(|()| None),
                    Err(error) => self.not_stopped(error, cx).map(|()| None),
                }
            }
            State::Run(flow) => {
                let step = flow.poll(now, reply.take());
                let (is_unsubmitted, is_lost) = (flow.machine().is_unsubmitted(), flow.machine().is_lost());
                let may_come = is_lost || flow.machine().is_astray(now);
                match ready!(self.adopt(step)) {
                    Ok(launched) => {
                        self.status = UpgradeStatus::Unknown;
                        (self.data.new_job, self.data.launched) = (launched.job, Some(true));
                        self.data.new.jar = launched.jar;
                        self.enter(UpgradePhase::Settle, None, cx).map(|()| None)
                    }
                    Err(error) if may_come => self.run_instead(&error, cx).map(|()| None),
                    Err(error) if Self::is_verdict(&error) => {
                        // A main method that failed may have left its job behind.
                        self.data.launched = Some(matches!(error, FlowError::Failed(_)));
                        self.roll_back(error.to_string(), cx).map(|()| None)
                    }
                    // Which attempt has submitted it does not matter: what it does decides.
                    Err(error) if Self::is_submitted(&error) => {
                        (self.status, self.data.launched) = (UpgradeStatus::Unknown, Some(true));
                        cx.say(Notice::Observed {
                            what: format!("job {}", self.data.new_job),
                            state: error.to_string(),
                        });
                        self.enter(UpgradePhase::Settle, None, cx).map(|()| None)
                    }
                    Err(error) => {
                        self.status = if is_unsubmitted { UpgradeStatus::NoJobRuns } else { UpgradeStatus::Unknown };
                        Err(error)
                    }
                }
            }
            State::Settle(flow) => {
                let report = ready!(flow.poll(now, reply.take()));
                let machine = flow.machine();
                self.observed = machine.observed();
                self.mark = machine.mark().unwrap_or_default();
                self.status = if machine.is_alive() { UpgradeStatus::NewJobRuns } else { UpgradeStatus::Unknown };
                self.settled(report, cx)
            }
            State::Checkpoint(flow) => {
                // Its trigger is not worth saving: a resumed upgrade takes another checkpoint.
                let number = match flow.poll(now, reply.take()) {
                    Step::Notice(Notice::Persist(_)) => return Step::Done(Ok(None)),
                    step => ready!(step),
                };
                self.observed = flow.machine().observed();
                self.checkpointed(number, cx)
            }
            State::Prove(proof) => {
                let result = ready!(proof.poll(cx, reply));
                self.observed = proof.observed();
                self.proved(result, cx)
            }
            State::Relapse(flow, why) => {
                let report = ready!(flow.poll(now, reply.take()));
                let why = std::mem::take(why);
                self.relapsed(report, &why, cx)
            }
            State::Pause(until) => {
                if let Some(step) = cx.wait_until(*until, "the new job's first checkpoint", reply) {
                    return step;
                }
                self.state = State::Settle(self.settle(self.data.new_job, cx));
                Ok(None)
            }
            State::LastLookup(call, error) => {
                let checkpoints = ready!(call.poll(now, reply.take()));
                let error = error.clone();
                self.looked_up(checkpoints, error, cx)
            }
            State::Explain(call, reason) => {
                let exceptions = ready!(call.poll(now, reply.take()));
                let mut reason = std::mem::take(reason);
                if let Some(cause) = exceptions.ok().and_then(|exceptions| exceptions.newest()) {
                    reason = format!("{reason}; it last ran into {cause}");
                }
                self.roll_back(reason, cx).map(|()| None)
            }
            State::CancelNew(flow) => match ready!(flow.poll(now, reply.take())) {
                Ok(report) if report.state == JobState::Finished && self.data.is_disputed == Some(true) => {
                    Err(self.disputed())
                }
                // It was slow, and has done all its work meanwhile: the old jar would do it again.
                Ok(report) if report.state == JobState::Finished => Ok(Some(self.upgraded(None))),
                Ok(_) => self.run_old(cx).map(|()| None),
                Err(error) if error.service().is_some_and(is_unknown_job) && self.data.launched != Some(true) => {
                    self.run_old(cx).map(|()| None)
                }
                Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                    Err(self.forgotten(self.data.new_job, error))
                }
                Err(error) => Err(error),
            },
            State::RunOld(flow) => {
                let step = flow.poll(now, reply.take());
                let machine = flow.machine();
                let (is_absent, is_alive) = (machine.is_unsubmitted() || machine.is_lost(), machine.is_alive());
                let is_known = machine.is_known();
                let is_certain = machine.is_certain() || !self.is_contended();
                match ready!(self.adopt(step)) {
                    Ok(_) if !is_certain => self.give_way(cx).map(|()| None),
                    Err(error) if !is_certain && (is_known || Self::is_submitted(&error)) => {
                        self.give_way(cx).map(|()| None)
                    }
                    Ok(launched) => {
                        self.status = UpgradeStatus::Unknown;
                        (self.data.old_job, self.data.old.jar) = (launched.job, launched.jar);
                        self.enter(UpgradePhase::SettleOld, None, cx).map(|()| None)
                    }
                    Err(error) if Self::is_submitted(&error) => {
                        self.status = UpgradeStatus::Unknown;
                        cx.say(Notice::Observed {
                            what: format!("job {}", self.data.old_job),
                            state: error.to_string(),
                        });
                        self.enter(UpgradePhase::SettleOld, None, cx).map(|()| None)
                    }
                    Err(error) => {
                        self.status = match () {
                            () if is_alive => UpgradeStatus::OldJobRuns,
                            // The main method of the new jar may still submit the new job under this id.
                            () if is_absent && !self.is_contended() => UpgradeStatus::NoJobRuns,
                            () => UpgradeStatus::Unknown,
                        };
                        Err(if Self::is_verdict(&error) { self.not_run(&error, cx) } else { error })
                    }
                }
            }
            State::SettleOld(flow) => {
                let report = ready!(flow.poll(now, reply.take()));
                let is_alive = flow.machine().is_alive();
                self.status = if is_alive { UpgradeStatus::OldJobRuns } else { UpgradeStatus::Unknown };
                match report {
                    Ok(report) if matches!(report.state, JobState::Running | JobState::Finished) => {
                        Ok(Some(Upgrade::RolledBack {
                            job: self.data.old_job,
                            savepoint: self.savepoint(),
                            reason: self.data.reason.clone().unwrap_or_default(),
                        }))
                    }
                    Ok(report) => Err(self.not_brought_back(&report, cx)),
                    Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                        Err(self.forgotten(self.data.old_job, error))
                    }
                    // Out of time is no failure: it is there, and may still come up.
                    Err(error) => Err(error),
                }
            }
            State::Untouched(flow) => {
                let report = ready!(flow.poll(now, reply.take()));
                let report = report.map_err(|error| self.not_checked(error));
                report.and_then(|report| self.untouched(&report, cx)).map(|()| None)
            }
            State::FindNew(flow) => {
                let step = flow.poll(now, reply.take());
                let (is_lost, is_absent) = (flow.machine().is_lost(), flow.machine().is_absent(now));
                match ready!(self.adopt(step)) {
                    Ok(launched) => self.found_new(&launched, cx).map(|()| None),
                    Err(_) if is_lost || is_absent => self.contend(cx).map(|()| None),
                    Err(error) => Err(error),
                }
            }
        };
        Step::Done(next)
    }
}

impl StateMachine for UpgradeMachine {
    type Service = FlinkRest;
    type Output = Upgrade;
    const NAME: &'static str = UpgradeJob::NAME;

    fn step(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<Upgrade> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            let step = self.transition(cx, reply);
            self.is_sent |= matches!(step, Step::Send(_));
            match ready!(step) {
                Ok(None) => {}
                Ok(Some(upgrade)) => return Step::Done(Ok(upgrade)),
                Err(error) => return Step::Done(Err(self.explain(error))),
            }
        }
    }
}

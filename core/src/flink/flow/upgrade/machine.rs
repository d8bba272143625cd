//! The transitions of [`UpgradeJob`], as drawn in its module.

mod phases;
mod verdicts;

use super::{Upgrade, UpgradeJob, UpgradePhase, UpgradeState};
use crate::body::Body;
use crate::error::FlowError;
use crate::flink::error::is_unknown_job;
use crate::flink::flow::await_job::AwaitMachine;
use crate::flink::flow::cancel::CancelMachine;
use crate::flink::flow::heard::Heard;
use crate::flink::flow::look::Look;
use crate::flink::flow::run_jar::RunMachine;
use crate::flink::flow::stop::StopMachine;
use crate::flink::flow::trigger::Triggered;
use crate::flink::flow::triggers::CheckpointKind;
use crate::flink::flow::upload::Upload;
use crate::flink::{FlinkRest, GetJobExceptions, JobState, PlanJar};
use crate::flow::{Call, Common, Flow, Machine, Notice, Reply, Running, Saved, Step, ok};
use crate::time::Timestamp;

/// How often a jar is uploaded again that the cluster has not got any more.
const UPLOADS: u32 = 3;
/// How often a job is stopped again that a failover has brought back.
const STOPS: u32 = 3;

/// The transitions of [`UpgradeJob`].
#[doc(hidden)]
#[derive(Debug)]
pub struct UpgradeMachine {
    /// The jars themselves, old and new, if they were given.
    jars: [Option<(String, Body)>; 2],
    is_uploaded: [bool; 2],
    /// How often one was uploaded again.
    uploads: u32,
    data: UpgradeState,
    /// When the cluster has said how the job is that must show that it runs.
    heard: Heard,
    settle_until: Timestamp,
    /// How often the job was stopped again.
    stops: u32,
    /// Whether both jars were planned.
    is_planned: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Resumed,
    Check(Running<AwaitMachine>),
    /// The job has ended after an earlier stop had written its savepoint: what was its last checkpoint?
    Down(Look),
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
    /// With the old jar and the new one, and whether the cluster has them.
    pub(super) fn fresh(jars: [Option<(String, Body)>; 2], is_uploaded: [bool; 2], data: UpgradeState) -> Self {
        Self {
            jars,
            is_uploaded,
            uploads: 0,
            data,
            heard: Heard::default(),
            settle_until: Timestamp::MAX,
            stops: 0,
            is_planned: false,
            state: State::Start,
        }
    }

    /// From the phase that was saved last.
    pub(super) fn resumed(jars: [Option<(String, Body)>; 2], data: UpgradeState) -> Self {
        Self { state: State::Resumed, ..Self::fresh(jars, [true, true], data) }
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
                self.prepare(cx);
                Ok(None)
            }
            State::Start => {
                self.check(cx);
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
                    Ok(report) if report.state == JobState::Running && self.is_planned => {
                        self.enter(UpgradePhase::Stop, None, cx).map(|()| None)
                    }
                    Ok(report) if report.state == JobState::Running => {
                        self.prepare(cx);
                        Ok(None)
                    }
                    Ok(report) => self.ended(report.state, cx).map(|()| None),
                    Err(error) if self.is_own_deadline(&error, cx) => {
                        Err(self.not_upgraded(&format!("it did not get there within {} s", self.settle_seconds())))
                    }
                    Err(error) => Err(error),
                }
            }
            State::Down(look) => ok!(look.poll(cx, reply)).and_then(|found| Err(self.is_down(found))),
            State::Upload(which, flow) => {
                let which = *which;
                let jar = ok!(flow.poll(now, reply.take()));
                jar.map(|jar| {
                    cx.say(Notice::Observed {
                        what: Self::name_of(which).to_owned(),
                        state: format!("uploaded as {jar}"),
                    });
                    self.run_of(which).jar = jar;
                    if let Some(is_uploaded) = self.is_uploaded.get_mut(which) {
                        *is_uploaded = true;
                    }
                    self.prepare(cx);
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
                    Err(error) if self.upload_again(which, &error) => {
                        self.prepare(cx);
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
            State::Stop(flow) => {
                let step = flow.poll(now, reply.take());
                match ok!(self.adopt(step)) {
                    Ok(stopped) => self.stopped(stopped.location, cx).map(|()| None),
                    Err(error) => self.not_stopped(error, cx).map(|()| None),
                }
            }
            State::Run(flow) => {
                let step = flow.poll(now, reply.take());
                match ok!(self.adopt(step)) {
                    Ok(launched) => {
                        (self.data.new_job, self.data.launched) = (launched.job, Some(true));
                        self.data.new.jar = launched.jar;
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
                        (self.data.old_job, self.data.old.jar) = (launched.job, launched.jar);
                        self.enter(UpgradePhase::SettleOld, None, cx).map(|()| None)
                    }
                    Err(error) if Self::is_verdict(&error) => Err(self.not_run(&error, cx)),
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
                Ok(report) => Err(self.not_brought_back(&report, cx)),
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
                Err(error) => return Step::Done(Err(self.explain(error))),
            }
        }
    }
}

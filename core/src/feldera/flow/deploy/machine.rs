//! The states of [`Deploy`], and how its actions are carried out.

use std::ops::ControlFlow;

use super::decide::{Action, Evidence, Known, decide};
use super::differences::Differences;
use super::{Change, Deploy, Deployed};
use crate::error::FlowError;
use crate::feldera::flow::compile::{Compile, CompileMachine};
use crate::feldera::flow::ensure::EnsurePlan;
use crate::feldera::flow::reconcile::Reconciler;
use crate::feldera::flow::status_poller;
use crate::feldera::flow::stop::{Stop, StopPlan};
use crate::feldera::pipelines::{CreatePipeline, GetPipeline, PatchPipeline, Selector};
use crate::feldera::platform::GetConfig;
use crate::feldera::programs::ValidateProgram;
use crate::feldera::{FelderaApi, is_unknown_pipeline};
use crate::flow::{Call, FlowContext, Notice, PollInterval, Runner, StateMachine, Transition, done};
use crate::time::Timestamp;

/// The transitions of [`Deploy`].
#[derive(Debug)]
pub struct DeployMachine {
    goal: Deploy,
    known: Known,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Begin,
    AskVersion(Call<GetConfig>),
    Poll(Call<GetPipeline>),
    Wait(Timestamp),
    Create(Box<Call<CreatePipeline>>),
    Validate(Box<Call<ValidateProgram>>, Box<Differences>),
    Stop(Box<Runner<Reconciler<StopPlan>>>, Box<Differences>),
    Change(Box<Call<PatchPipeline>>),
    Compile(Box<Runner<CompileMachine>>),
    Ensure(Box<Runner<Reconciler<EnsurePlan>>>),
}

impl From<Deploy> for DeployMachine {
    fn from(goal: Deploy) -> Self {
        let (change, restarted, polls) = (Change::None, false, 0);
        let (version, polled, server, has_asked, doubted, pending_error) = (None, None, None, false, None, None);
        let known = Known { change, restarted, version, polled, polls, server, has_asked, doubted, pending_error };
        Self { goal, known, pace: PollInterval::START, state: State::Begin }
    }
}

impl DeployMachine {
    /// Tells the listener what a poll shows.
    fn observe(&self, evidence: &Evidence, cx: &mut FlowContext<FelderaApi>) {
        let state = match evidence {
            Evidence::Poll(Ok(seen)) => status_poller::summary(seen),
            Evidence::Poll(Err(FlowError::Service(error))) if is_unknown_pipeline(error) => "not there".to_owned(),
            _ => return,
        };
        cx.say(Notice::Observed { what: format!("pipeline {}", self.goal.name()), state });
    }

    /// Carries out an action: all changes of the state are here.
    fn carry_out(&mut self, action: Action, cx: &mut FlowContext<FelderaApi>) -> Transition<Deployed> {
        let name = self.goal.name();
        self.state = match action {
            Action::AskVersion => State::AskVersion(cx.call(GetConfig::new())),
            Action::CheckVersion(names) => {
                self.known.doubted = Some((names, self.known.server));
                State::AskVersion(cx.call(GetConfig::new()))
            }
            Action::Poll => {
                self.known.polls += 1;
                State::Poll(cx.call(GetPipeline::new(name).selector(Selector::All)))
            }
            Action::PollLater(error, change) => {
                (self.known.pending_error, self.known.change) = (Some(error), change);
                State::Wait(self.pace.next(cx.now()))
            }
            Action::Create => {
                self.known.change = Change::Created;
                cx.phase(Self::NAME, "creating the pipeline");
                State::Create(Box::new(cx.call(self.goal.create())))
            }
            Action::Validate(differences, runtime_version) => {
                cx.phase(Self::NAME, "validating the SQL");
                let mut validate = ValidateProgram::new(&*self.goal.program_code.0);
                validate.runtime_version = runtime_version;
                State::Validate(Box::new(cx.call(validate)), differences)
            }
            Action::Stop(differences) => {
                let stop = if self.goal.force_stop { Stop::forced(name) } else { Stop::new(name) };
                State::Stop(Box::new(cx.child(stop)), differences)
            }
            Action::Change(differences) => {
                if self.known.change != Change::Created {
                    self.known.change = Change::Updated;
                }
                cx.phase(Self::NAME, "changing the pipeline");
                State::Change(Box::new(cx.call(differences.0)))
            }
            Action::Compile(version) => {
                self.known.version = version;
                let mut compile = Compile::new(name).recompile(self.goal.recompile);
                if let Some(version) = version {
                    compile = compile.version(version);
                }
                State::Compile(Box::new(cx.child(compile)))
            }
            Action::Ensure(version) => {
                self.known.version = version;
                let ensure = EnsurePlan::new(self.goal.ensure.clone(), self.goal.paused);
                State::Ensure(Box::new(cx.child(Reconciler::new(ensure))))
            }
            Action::End(result) => return done(result),
        };
        ControlFlow::Continue(())
    }
}

impl StateMachine for DeployMachine {
    type Service = FelderaApi;
    type Output = Deployed;
    const NAME: &'static str = "Deploy";
    const PHASES: &'static [&'static str] = &["creating the pipeline", "validating the SQL", "changing the pipeline"];

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Deployed> {
        let evidence = match &mut self.state {
            State::Begin => {
                self.known.server = cx.server_version();
                Evidence::Begun
            }
            State::AskVersion(call) => Evidence::Version(cx.poll(call)?),
            State::Poll(call) => Evidence::Poll(cx.poll(call)?),
            State::Wait(until) => {
                cx.wait(*until, "the pipeline to be changed")?;
                Evidence::Begun
            }
            State::Create(call) => Evidence::Create(cx.poll(call)?),
            State::Validate(call, differences) => {
                let answer = cx.poll(call)?;
                Evidence::Validate(answer, differences.clone())
            }
            State::Stop(child, differences) => {
                let answer = cx.poll(child)?;
                Evidence::Stop(answer, differences.clone())
            }
            State::Change(call) => Evidence::Change(cx.poll(call)?),
            State::Compile(child) => Evidence::Compile(cx.poll(child)?),
            State::Ensure(child) => Evidence::Ensure(cx.poll(child)?),
        };
        self.observe(&evidence, cx);
        self.known.record(&evidence);
        if let (Evidence::Version(_), Some(version)) = (&evidence, self.known.server) {
            cx.learn_server_version(version);
        }
        self.carry_out(decide(evidence, &self.goal, &self.known), cx)
    }
}

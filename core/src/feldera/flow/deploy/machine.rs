//! The transitions of [`Deploy`].

use std::ops::ControlFlow;

use super::differences::{Differences, is_same_program};
use super::{Change, Deploy, Deployed};
use crate::error::{Cause, Failure, FlowError, ServiceError};
use crate::feldera::flow::compile::{Compile, CompileMachine};
use crate::feldera::flow::ensure::EnsurePlan;
use crate::feldera::flow::reconcile::{Reconciler, uncompiled};
use crate::feldera::flow::stop::{Stop, StopPlan};
use crate::feldera::flow::{Interruption, status_poller};
use crate::feldera::pipelines::{
    CreatePipeline, DesiredStatus, GetPipeline, PatchPipeline, Pipeline, PipelineStatus, ProgramError, ProgramStatus,
    Selector, StorageStatus,
};
use crate::feldera::programs::{ValidateProgram, Validation};
use crate::feldera::tuning::MAX_DEPLOY_POLLS;
use crate::feldera::{ErrorCode, FelderaApi, error_code, is_unknown_pipeline};
use crate::flow::{Call, FlowContext, Notice, PollInterval, Runner, StateMachine, Transition, done};
use crate::time::Timestamp;

/// The transitions of [`Deploy`].
#[derive(Debug)]
pub struct DeployMachine {
    goal: Deploy,
    change: Change,
    restarted: bool,
    /// The program that is to run.
    version: Option<i64>,
    /// The one that there was at the last poll.
    looked_at: Option<i64>,
    polls: u32,
    pace: PollInterval,
    /// Why there is another poll.
    pending_error: Option<FlowError>,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Poll(Call<GetPipeline>),
    Wait(Timestamp),
    Create(Box<Call<CreatePipeline>>),
    Validate(Box<Call<ValidateProgram>>, Box<Differences>),
    Stop(Box<Runner<Reconciler<StopPlan>>>, Box<Differences>),
    Change(Box<Call<PatchPipeline>>),
    Compile(Box<Runner<CompileMachine>>),
    Ensure(Box<Runner<Reconciler<EnsurePlan>>>),
}

impl DeployMachine {
    pub(super) fn new(goal: Deploy) -> Self {
        Self {
            goal,
            change: Change::None,
            restarted: false,
            version: None,
            looked_at: None,
            polls: 0,
            pace: PollInterval::START,
            pending_error: None,
            state: State::Start,
        }
    }

    fn failed(&self, interruption: Interruption, details: Option<String>) -> FlowError {
        interruption.into_error(format!("deployment of pipeline {}", self.goal.name()), details)
    }

    /// Decides by what there is; `None` is no pipeline. A result is the end.
    fn polled(
        &mut self,
        seen: Option<Pipeline>,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Option<Result<Deployed, FlowError>> {
        let Some(seen) = seen else {
            self.change = Change::Created;
            cx.phase(Self::NAME, "creating the pipeline");
            self.state = State::Create(Box::new(cx.call(self.goal.create())));
            return None;
        };
        self.looked_at = seen.program_version;
        let differences = Differences::between(&self.goal, &seen);
        if !differences.any() {
            self.unchanged(&seen, cx);
            return None;
        }
        // One that was made just now, as far as is known, would be as it should be.
        self.change = Change::Updated;
        let is_clear = seen.storage_status.as_ref().is_none_or(|status| *status == StorageStatus::Cleared);
        if let Some(field) = differences.need_clear_storage(&seen).filter(|_| !is_clear) {
            let what = format!("deployment of pipeline {}", self.goal.name());
            let reason = format!(
                "{field} can be changed only while the storage is clear: stop the pipeline, with Stop, and then lose what is \
                 in there, with ClearStorage"
            );
            let cause = Some(Cause::new(Interruption::StorageInUse));
            return Some(Err(FlowError::Failed(Failure { what, reason, details: None, cause })));
        }
        if seen.is_at_rest() || !differences.need_a_stop() {
            self.change(differences, cx);
        } else if self.restarted {
            let desired = seen.deployment_desired_status.unwrap_or(DesiredStatus::Running);
            return Some(Err(self.failed(Interruption::Overruled { desired }, None)));
        } else if let Some(code) = &differences.0.program_code {
            cx.phase(Self::NAME, "validating the SQL");
            let mut validate = ValidateProgram::new(&**code);
            let config = differences.0.program_config.as_ref().or(seen.program_config.as_ref());
            validate.runtime_version = config.and_then(|config| config.runtime_version.clone());
            self.state = State::Validate(Box::new(cx.call(validate)), Box::new(differences));
        } else {
            self.stop(differences, cx);
        }
        None
    }

    fn unchanged(&mut self, seen: &Pipeline, cx: &mut FlowContext<FelderaApi>) {
        self.version = seen.program_version;
        let desired = if self.goal.paused { PipelineStatus::Paused } else { PipelineStatus::Running };
        let is_desired =
            seen.deployment_desired_status.as_ref().is_none_or(|desired| desired.as_str() == desired.as_str());
        if seen.deployment_status == desired && is_desired && seen.program_status == Some(ProgramStatus::Success) {
            self.ensure(cx);
        } else {
            self.compile(cx);
        }
    }

    fn deployed(&self, pipeline: Pipeline) -> Deployed {
        Deployed { pipeline, change: self.change, restarted: self.restarted }
    }

    fn change(&mut self, differences: Differences, cx: &mut FlowContext<FelderaApi>) {
        cx.phase(Self::NAME, "changing the pipeline");
        self.state = State::Change(Box::new(cx.call(differences.0)));
    }

    fn stop(&mut self, differences: Differences, cx: &mut FlowContext<FelderaApi>) {
        let name = self.goal.name();
        let stop = if self.goal.force_stop { Stop::forced(name) } else { Stop::new(name) };
        let child = cx.child(stop);
        self.state = State::Stop(Box::new(child), Box::new(differences));
    }

    fn compile(&mut self, cx: &mut FlowContext<FelderaApi>) {
        let mut compile = Compile::new(self.goal.name()).recompile(self.goal.recompile);
        if let Some(version) = self.version {
            compile = compile.version(version);
        }
        let child = cx.child(compile);
        self.state = State::Compile(Box::new(child));
    }

    /// What the compiler says of SQL before anything is stopped for it.
    fn validated(&self, answer: Result<Validation, FlowError>) -> Result<(), FlowError> {
        let nothing = ProgramError { sql_compilation: None, rust_compilation: None, system_error: None };
        let (status, error) = match answer {
            Ok(Validation::SqlError(problem)) => {
                (ProgramStatus::SqlError, ProgramError { sql_compilation: Some(problem.info), ..nothing })
            }
            Ok(Validation::SystemError(problem)) => {
                (ProgramStatus::SystemError, ProgramError { system_error: Some(problem.error), ..nothing })
            }
            Ok(_) => return Ok(()),
            // No such address: before 0.324 nobody can tell.
            Err(FlowError::Service(error)) if is_no_address(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let details = Some(error.to_string());
        Err(self.failed(uncompiled(status, error, None), details))
    }

    /// After a change that may have been made, or not by us.
    fn poll_later(&mut self, pending_error: FlowError, cx: &FlowContext<FelderaApi>) -> Result<(), FlowError> {
        if self.polls >= MAX_DEPLOY_POLLS {
            return Err(pending_error);
        }
        self.pending_error = Some(pending_error);
        self.state = State::Wait(self.pace.next(cx.now()));
        Ok(())
    }

    fn created(
        &mut self,
        answer: Result<Pipeline, FlowError>,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Result<(), FlowError> {
        match answer {
            Ok(created) => {
                self.version = created.program_version;
                self.compile(cx);
                Ok(())
            }
            Err(error) if error.is_ambiguous() => self.poll_later(error, cx),
            // Somebody else was faster; or an earlier request of ours, whose answer was lost.
            Err(error) if says(&error, &ErrorCode::DuplicateName) => {
                let unknown = self.pending_error.take().filter(FlowError::is_ambiguous);
                if unknown.is_none() {
                    self.change = Change::None;
                }
                self.poll_later(unknown.unwrap_or(error), cx)
            }
            Err(error) => Err(error),
        }
    }

    fn changed(
        &mut self,
        answer: Result<Pipeline, FlowError>,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Result<(), FlowError> {
        match answer {
            // Another client has changed since the poll what was as it should be then.
            Ok(changed) if !is_of(&self.goal, &changed) => {
                let is = changed.program_version.unwrap_or_default();
                let edited = Interruption::Edited { was: self.looked_at.unwrap_or(is), is };
                self.poll_later(self.failed(edited, None), cx)
            }
            Ok(changed) => {
                self.version = changed.program_version;
                self.compile(cx);
                Ok(())
            }
            Err(error)
                if error.is_ambiguous()
                    || error.says_applied()
                    || says(&error, &ErrorCode::UpdateRestrictedToStopped) =>
            {
                self.poll_later(error, cx)
            }
            Err(error) => Err(error),
        }
    }

    fn compiled(&mut self, compiled: &Pipeline, cx: &mut FlowContext<FelderaApi>) {
        // Another one than was put, if it was compiled again.
        self.version = compiled.program_version.or(self.version);
        self.ensure(cx);
    }

    fn ensure(&mut self, cx: &mut FlowContext<FelderaApi>) {
        let ensure = EnsurePlan::new(self.goal.ensure.clone(), self.goal.paused);
        let child = cx.child(Reconciler::new(ensure));
        self.state = State::Ensure(Box::new(child));
    }

    /// The pipeline is up. Is it with the program that was put?
    fn ensured(&self, pipeline: Pipeline) -> Result<Deployed, FlowError> {
        match (self.version, pipeline.program_version) {
            (Some(was), Some(is)) if was != is => Err(self.failed(Interruption::Edited { was, is }, None)),
            _ => Ok(self.deployed(pipeline)),
        }
    }
}

/// Whether an answer shows the program that is to run, as far as it shows any.
fn is_of(goal: &Deploy, answer: &Pipeline) -> bool {
    let same = |wanted: Option<&String>, has: &Option<String>| {
        has.as_ref().zip(wanted).is_none_or(|(has, wanted)| has == wanted)
    };
    answer.program_code.as_ref().is_none_or(|has| is_same_program(&goal.program_code.0, has))
        && same(goal.udf_rust.0.as_ref(), &answer.udf_rust)
        && same(goal.udf_toml.0.as_ref(), &answer.udf_toml)
}

fn says(error: &FlowError, code: &ErrorCode) -> bool {
    error.service().and_then(error_code).as_ref() == Some(code)
}

fn is_no_address(error: &ServiceError) -> bool {
    error.status() == http::StatusCode::NOT_FOUND && error.code().is_none()
}

impl StateMachine for DeployMachine {
    type Service = FelderaApi;
    type Output = Deployed;
    const NAME: &'static str = "Deploy";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Deployed> {
        let next = match &mut self.state {
            State::Start => {
                self.polls += 1;
                self.state = State::Poll(cx.call(GetPipeline::new(self.goal.name()).selector(Selector::All)));
                Ok(())
            }
            State::Poll(call) => {
                let seen = match cx.poll(call)? {
                    Ok(seen) => Some(seen),
                    Err(FlowError::Service(error)) if is_unknown_pipeline(&error) => None,
                    // An unknown outcome is not forgotten because the pipeline cannot be read.
                    Err(error) => {
                        let unknown = self.pending_error.take().filter(FlowError::is_ambiguous);
                        return done(Err(unknown.unwrap_or(error)));
                    }
                };
                let state = seen.as_ref().map_or_else(|| "not there".to_owned(), status_poller::summary);
                cx.say(Notice::Observed { what: format!("pipeline {}", self.goal.name()), state });
                if let Some(result) = self.polled(seen, cx) {
                    return done(result);
                }
                Ok(())
            }
            State::Wait(until) => {
                cx.wait(*until, "the pipeline to be changed")?;
                self.state = State::Start;
                Ok(())
            }
            State::Create(call) => {
                let answer = cx.poll(call)?;
                self.created(answer, cx)
            }
            State::Validate(call, differences) => {
                let (answer, differences) = (cx.poll(call)?, differences.clone());
                self.validated(answer).map(|()| self.stop(*differences, cx))
            }
            State::Stop(child, differences) => {
                let (answer, differences) = (cx.poll(child)?, differences.clone());
                answer.map(|_| {
                    self.restarted = true;
                    self.change(*differences, cx);
                })
            }
            State::Change(call) => {
                let answer = cx.poll(call)?;
                self.changed(answer, cx)
            }
            State::Compile(child) => {
                let answer = cx.poll(child)?;
                answer.map(|compiled| self.compiled(&compiled, cx))
            }
            State::Ensure(child) => {
                let answer = cx.poll(child)?;
                return done(answer.and_then(|pipeline| self.ensured(pipeline)));
            }
        };
        if let Err(error) = next {
            return done(Err(error));
        }
        ControlFlow::Continue(())
    }
}

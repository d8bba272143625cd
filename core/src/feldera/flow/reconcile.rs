//! [`Reconciler`]: the state machine that the goals about a pipeline's life cycle share.
//!
//! ```text
//!             ┌──────────── wait, or read the whole object ◀────┐
//!             ▼                                                 │
//!  start ──▶ Polling ──────────────────────────────────────▶ decide ──▶ done, or failed
//!             ▲                                                 │ act, or up
//!             ├── accepted, overtaken, or outcome unknown ◀── Acting
//!             │                                                 └─ rejected ──▶ failed
//!             └── the process does not answer ◀────────── Confirming ──▶ done
//! ```
//!
//! Before a goal succeeds because a pipeline is up, it reads the statistics of its process. The manager alone does not
//! prove that: it shows `Running` for up to five seconds after the end of a process. [`Confirmation`] has the table.
//!
//! While the process may delay the goal, the flow asks it from time to time what the obstacle is.
//!
//! Each goal supplies a [`Plan`]: a function from the pipeline's status and the flow's [`Memory`] to the next step.
//!
//! Invariants: before each action the flow reads the pipeline, after the previous action has ended. `done` with a
//! pipeline that is up requires an answer from its process after that reading. A flow requests at most eight actions in
//! total. After an unknown outcome the flow reads the pipeline again; if that does not settle it, the flow ends as
//! ambiguous.

use std::fmt;
use std::ops::ControlFlow;

use crate::error::{Ambiguity, FlowError, ServiceError};
use crate::feldera::error::{ErrorCode, error_code};
use crate::feldera::pipelines::{DesiredStatus, Pipeline, PipelineStatus, ProgramError, ProgramStatus};
use crate::feldera::stats::GetStats;
use crate::feldera::tuning::{MAX_ACTIONS, MAX_STATUS_LAG};
use crate::feldera::{Accepted, FelderaApi};
use crate::flow::{Call, Flow, FlowContext, StateMachine, Transition, done};
use crate::operation::Operation;
use crate::time::Timestamp;

use super::Interruption;
use super::confirm::{Confirmation, GetState};
use super::diagnosis::interruption;
use super::obstacles::Delay;
use super::status_poller::StatusPoller;

/// A goal as a policy: what to do about the status that a poll shows.
pub trait Plan {
    /// The result of the goal.
    type Output;
    /// The name for debugging.
    const NAME: &'static str;

    /// Returns the texts for notices and errors.
    fn labels(&self) -> Labels;

    /// Returns the pipeline's name.
    fn pipeline(&self) -> &str;

    /// Decides what comes next: all transitions of the goal. `seen` is not older than `asked`.
    fn decide(&mut self, seen: Pipeline, memory: &mut Memory, asked: Timestamp) -> Next<Self::Output>;

    /// Returns the request for an action; `None` for a goal that only waits.
    fn call(&self, _action: PendingAction, _cx: &mut FlowContext<FelderaApi>) -> Option<ActionCall> {
        None
    }

    /// Returns the name of the phase in which an action is requested.
    fn phase(&self, action: PendingAction) -> &'static str {
        action.phase()
    }

    /// Returns whether the process may delay the goal and can say why.
    fn may_be_delayed(&self, _seen: &Pipeline) -> bool {
        false
    }

    /// Handles a rejection: `Ok` if the next poll will tell, else the error that the flow ends with.
    fn rejected(&mut self, _action: PendingAction, error: ServiceError) -> Result<(), FlowError> {
        unless_overtaken(error)
    }
}

/// The texts of a goal for notices and errors.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// Its name.
    pub(super) goal: &'static str,
    /// What is done to the pipeline, as in "start".
    pub(super) what: &'static str,
    /// What is waited for, as in "the pipeline to run".
    pub(super) waiting: &'static str,
}

/// What a plan decides after a poll.
#[derive(Debug)]
pub enum Next<T> {
    /// The flow succeeds.
    Done(T),
    /// The flow succeeds once the process itself has answered: the manager shows that it is up, with this status.
    Up(T, PipelineStatus),
    /// The flow fails.
    Fail(Interruption),
    /// Poll again later.
    Wait,
    /// Poll the whole pipeline object now.
    Whole,
    /// Request an action.
    Act(PendingAction),
}

/// A change of the pipeline that a goal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingAction {
    /// Forget the error that stopped it.
    Dismiss,
    /// Start.
    Start,
    /// Pause.
    Pause,
    /// Resume.
    Resume,
    /// Stop.
    Stop,
    /// Clear its storage.
    Clear,
    /// Approve the backfill of changed views.
    Approve,
}

/// The request of an action.
pub(super) type ActionCall = Box<dyn Flow<Output = Accepted> + Send + Sync>;

pub(super) fn action_call<O>(operation: O, cx: &mut FlowContext<FelderaApi>) -> ActionCall
where
    O: Operation<Output = Accepted, Service = FelderaApi> + Send + Sync + 'static,
{
    Box::new(cx.call(operation))
}

/// What a flow remembers of the pipeline between polls.
#[derive(Debug, Default)]
pub struct Memory {
    /// When the server accepted an action.
    pub(super) accepted: Option<Timestamp>,
    /// When the outcome of an action was unknown; `None` once a later action was accepted.
    pub(super) unanswered: Option<Timestamp>,
    /// Whether a poll has shown the goal as the desired status.
    pub(super) shown: bool,
    /// Whether a poll or an action of this flow has shown that the pipeline is to be deployed.
    pub(super) alive: bool,
    /// Whether the last poll read the whole pipeline object.
    pub(super) whole: bool,
    /// The changes of a pipeline that awaits approval, as JSON.
    pub(super) diff: Option<String>,
    /// The deployment that earlier polls have shown.
    deployment: Option<String>,
}

impl Memory {
    /// Remembers the deployment. If it differs from the last deployment, another client has deployed the pipeline
    /// again.
    pub(super) fn replaced(&mut self, seen: &Pipeline) -> Option<Interruption> {
        let is = seen.deployment_id.clone()?;
        match self.deployment.replace(is.clone()) {
            Some(was) if was != is => Some(Interruption::Replaced { was, is }),
            _ => None,
        }
    }

    /// Forgets the deployment: the next deployment is not a replacement.
    pub(super) fn forget_deployment(&mut self) {
        self.deployment = None;
    }

    /// Returns whether an accepted action may be too recent to show in a poll that began at `asked`.
    pub(super) fn is_fresh(&self, asked: Timestamp) -> bool {
        self.accepted.is_some_and(|at| asked.since(at) < MAX_STATUS_LAG)
    }
}

/// Returns what ended a pipeline that is stopped although it was to be deployed.
pub(super) fn end_of(pipeline: &Pipeline) -> Interruption {
    pipeline.deployment_error.clone().map_or(Interruption::Stopped, Interruption::Crashed)
}

/// Returns whether the desired status of a pipeline is to be stopped.
pub(super) fn is_to_stop(pipeline: &Pipeline) -> bool {
    match &pipeline.deployment_desired_status {
        Some(desired) => matches!(desired, DesiredStatus::Stopped | DesiredStatus::Suspended),
        None => matches!(pipeline.deployment_status, PipelineStatus::Stopped | PipelineStatus::Stopping),
    }
}

/// Fails because the program does not compile, once the whole object with the compiler's errors was read.
pub(super) fn not_compiled<T>(status: ProgramStatus, seen: &Pipeline, memory: &Memory) -> Next<T> {
    if memory.whole {
        let nothing = ProgramError { sql_compilation: None, rust_compilation: None, system_error: None };
        let error = seen.program_error.clone().unwrap_or(nothing);
        Next::Fail(uncompiled(status, error, seen.program_status_since.clone()))
    } else {
        Next::Whole
    }
}

/// Returns why there is no compiled program: an error in the program, or a failure of the platform.
pub(super) fn uncompiled(status: ProgramStatus, error: ProgramError, since: Option<String>) -> Interruption {
    if error.is_platform_failure(&status) {
        Interruption::CompilerFailed { status, error, since }
    } else {
        Interruption::NotCompiled { status, error }
    }
}

/// Ends the flow with a rejection, unless the status has changed since the poll.
pub(super) fn unless_overtaken(error: ServiceError) -> Result<(), FlowError> {
    if is_overtaken(&error) { Ok(()) } else { Err(error.into()) }
}

/// Returns whether a rejection says that the status has changed since the poll: then the next poll decides.
fn is_overtaken(error: &ServiceError) -> bool {
    use ErrorCode::{
        AwaitingApproval, BootstrapPolicyImmutableUnlessStopped, CannotStartWhileClearingStorage,
        CannotStartWithCompilationError, CannotStartWithUndismissedError, DismissErrorRestrictedToFullyStopped,
        IllegalPipelineAction, InitialImmutableUnlessStopped, InvalidTransition, PipelineInteractionNotDeployed,
        StorageStatusImmutableUnlessStopped, Suspended, Terminating,
    };
    matches!(
        error_code(error),
        Some(
            IllegalPipelineAction
                | CannotStartWithCompilationError
                | CannotStartWhileClearingStorage
                | CannotStartWithUndismissedError
                | InitialImmutableUnlessStopped
                | BootstrapPolicyImmutableUnlessStopped
                | PipelineInteractionNotDeployed
                | StorageStatusImmutableUnlessStopped
                | DismissErrorRestrictedToFullyStopped
                | InvalidTransition
                | AwaitingApproval
                | Suspended
                | Terminating
        )
    )
}

/// The state machine of the goals about a pipeline's life cycle.
pub struct Reconciler<P: Plan> {
    plan: P,
    memory: Memory,
    poller: StatusPoller,
    delay: Delay,
    actions: u32,
    /// The error of an action that was not accepted.
    pending_error: Option<FlowError>,
    confirmation: Confirmation,
    state: State<P::Output>,
}

impl<P: Plan> fmt::Debug for Reconciler<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler").field("goal", &P::NAME).field("memory", &self.memory).finish_non_exhaustive()
    }
}

enum State<T> {
    Polling,
    ActionCall(PendingAction, ActionCall),
    /// With the result of the flow if the process answers, and the status that the manager shows.
    Confirming(Call<GetState>, Option<T>, PipelineStatus),
    /// Asks the process what delays it.
    Asking(Call<GetStats>),
}

impl<P: Plan> Reconciler<P> {
    pub(super) fn new(plan: P) -> Self {
        let poller = StatusPoller::new(plan.pipeline());
        let (memory, delay, confirmation) = (Memory::default(), Delay::default(), Confirmation::default());
        Self { plan, memory, poller, delay, actions: 0, pending_error: None, confirmation, state: State::Polling }
    }

    pub(super) fn plan(&self) -> &P {
        &self.plan
    }

    fn decide(&mut self, seen: Pipeline, cx: &mut FlowContext<FelderaApi>) -> Option<Result<P::Output, FlowError>> {
        let found = interruption(&seen);
        let may_be_delayed = self.plan.may_be_delayed(&seen);
        let next = self.plan.decide(seen, &mut self.memory, self.poller.asked());
        self.memory.whole = false;
        if !matches!(next, Next::Up(..)) {
            self.confirmation.forget();
        }
        match next {
            Next::Done(output) => return Some(Ok(output)),
            Next::Up(output, status) => {
                let call = self.confirmation.ask(self.plan.pipeline(), cx);
                self.state = State::Confirming(call, Some(output), status);
            }
            Next::Fail(interruption) => return Some(Err(self.interrupted(interruption))),
            Next::Wait if may_be_delayed => {
                if let Some(call) = self.delay.ask(self.plan.pipeline(), cx) {
                    self.state = State::Asking(call);
                }
            }
            Next::Wait => {}
            Next::Whole => {
                self.memory.whole = true;
                self.poller.whole();
            }
            Next::Act(_) if self.actions == MAX_ACTIONS => {
                // The server accepts the action each time, and does nothing.
                let found = found.unwrap_or(Interruption::Stopped);
                let pending_error = self.pending_error.take().unwrap_or_else(|| self.interrupted(found));
                return Some(Err(self.found(pending_error)));
            }
            Next::Act(action) => {
                self.actions += 1;
                if let Some(call) = self.plan.call(action, cx) {
                    cx.phase(self.plan.labels().goal, self.plan.phase(action));
                    self.state = State::ActionCall(action, call);
                }
            }
        }
        None
    }

    fn answered(
        &mut self,
        action: PendingAction,
        answer: Result<Accepted, FlowError>,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        // An edition without this feature did not carry out an earlier attempt either.
        let answer = answer.map_err(|error| match error.service() {
            Some(rejection) if error_code(rejection) == Some(ErrorCode::EnterpriseFeature) => rejection.clone().into(),
            _ => error,
        });
        match answer {
            Ok(_) => {
                self.pending_error = None;
                self.memory.unanswered = None;
                if action != PendingAction::Dismiss {
                    self.memory.accepted = Some(now);
                }
                if action == PendingAction::Start {
                    self.memory.alive = true;
                }
                self.poller.again();
                Ok(())
            }
            Err(error @ FlowError::Ambiguous(_)) => {
                self.pending_error = Some(error);
                self.memory.unanswered = Some(now);
                Ok(())
            }
            Err(FlowError::Service(error)) => {
                let result = self.plan.rejected(action, error.clone());
                // A later rejection does not settle an unknown outcome.
                if !self.pending_error.as_ref().is_some_and(FlowError::is_ambiguous) {
                    self.pending_error = Some(error.into());
                }
                result.map_err(|error| self.found(error))
            }
            Err(error) => Err(self.found(error)),
        }
    }

    /// Returns the error for an interruption. A late start of a program that does not compile changes nothing;
    /// otherwise an action without an answer may still be carried out, and the error stays ambiguous.
    fn interrupted(&mut self, interruption: Interruption) -> FlowError {
        let settles = matches!(interruption, Interruption::NotCompiled { .. } | Interruption::CompilerFailed { .. });
        let details = match &interruption {
            Interruption::NotCompiled { error, .. } | Interruption::CompilerFailed { error, .. } => {
                Some(error.to_string())
            }
            Interruption::Crashed(error) => Some(error.message.clone()),
            Interruption::AwaitingApproval => self.memory.diff.take(),
            _ => None,
        };
        let error = interruption
            .into_error(format!("{} of pipeline {}", self.plan.labels().what, self.plan.pipeline()), details);
        if settles { error } else { self.found(error) }
    }

    /// Returns the error that the flow ends with: an earlier unknown outcome, if there is one.
    fn found(&mut self, error: FlowError) -> FlowError {
        let says = matches!(error, FlowError::Failed(_) | FlowError::Service(_)).then(|| error.to_string());
        let unknown = self.pending_error.take().filter(FlowError::is_ambiguous);
        match unknown.unwrap_or(error) {
            FlowError::Ambiguous(ambiguity) => {
                let found = says.or_else(|| self.poller.seen().map(str::to_owned));
                FlowError::Ambiguous(Ambiguity { found, ..ambiguity })
            }
            error => error,
        }
    }
}

impl PendingAction {
    pub(super) fn phase(self) -> &'static str {
        match self {
            Self::Dismiss => "dismissing the last error",
            Self::Start => "starting",
            Self::Pause => "pausing",
            Self::Resume => "resuming",
            Self::Stop => "stopping",
            Self::Clear => "clearing the storage",
            Self::Approve => "approving",
        }
    }
}

impl<P: Plan> StateMachine for Reconciler<P> {
    type Service = FelderaApi;
    type Output = P::Output;
    const NAME: &'static str = P::NAME;

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<P::Output> {
        match &mut self.state {
            State::Polling => match self.poller.poll(cx, self.plan.labels().waiting)? {
                Ok(seen) => {
                    if let Some(result) = self.decide(seen, cx) {
                        return done(result);
                    }
                }
                Err(error) => return done(Err(self.found(error))),
            },
            State::Asking(call) => {
                let answer = cx.poll(call)?;
                self.state = State::Polling;
                let what = format!("{} of pipeline {}", self.plan.labels().what, self.plan.pipeline());
                self.delay.answered(what, answer, cx);
            }
            State::ActionCall(action, call) => {
                let (answer, action) = (cx.poll(call)?, *action);
                self.state = State::Polling;
                if let Err(error) = self.answered(action, answer, cx.now()) {
                    return done(Err(error));
                }
            }
            State::Confirming(call, output, status) => {
                let answer = cx.poll(call)?;
                let (is_repeated, output, status) = (call.sent() > 1, output.take(), status.clone());
                self.state = State::Polling;
                let what = || format!("{} of pipeline {}", self.plan.labels().what, self.plan.pipeline());
                match (self.confirmation.answered(answer, is_repeated, &status, what, cx), output) {
                    (Some(Ok(())), Some(output)) => return done(Ok(output)),
                    (Some(Err(error)), _) => return done(Err(self.found(error))),
                    _ => {}
                }
            }
        }
        ControlFlow::Continue(())
    }
}

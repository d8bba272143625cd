//! [`Steered`]: what the goals of a pipeline's life have in common.
//!
//! ```text
//!             ┌───────────── wait, or all of it is wanted ◀──────┐
//!             ▼                                                  │
//!  start ──▶ Look ──────────────────────────────────────────▶ judge ──▶ done, or failed
//!             ▲                                                  │ act, or up
//!             ├── accepted, or overtaken, or nobody knows ◀── Wish
//!             │                                                  └─ refused ──▶ failed
//!             └── the process does not answer ◀──────────── Confirm ──▶ done
//! ```
//!
//! A goal that claims that a pipeline is up reads the statistics of its process before it succeeds. The manager alone does not
//! prove that: for up to five seconds after the end of a process it still shows `Running`. [`Confirmation`] has the table.
//!
//! While it waits for something that the process may delay, the process is asked now and then what delays it.
//!
//! What a goal adds is its [`Plan`]: a function from what is seen and what is remembered to what comes next.
//!
//! Invariants: before each action the flow reads the pipeline, after the previous action has ended. `done` with a pipeline that is up
//! requires an answer from its process after that reading. Each action is requested a bounded number of times. After an unknown
//! outcome the flow reads the pipeline again; if that does not settle it, the flow ends as ambiguous.

use std::fmt;

use crate::error::{Ambiguity, FlowError, ServiceError};
use crate::feldera::error::{ErrorCode, error_code};
use crate::feldera::pipelines::{DesiredStatus, Pipeline, PipelineStatus, ProgramError, ProgramStatus};
use crate::feldera::{Accepted, FelderaApi, GetStats};
use crate::flow::{Call, Common, Flow, Machine, Reply, Step, ok};
use crate::operation::Operation;
use crate::time::Timestamp;

use super::Interruption;
use super::confirm::{Confirmation, GetState};
use super::inquiry::interruption;
use super::looks::Looks;
use super::obstacles::Delay;

/// One goal: what to do about what is seen.
pub trait Plan {
    /// What the goal comes to.
    type Output;
    /// What it is about, for debugging.
    const NAME: &'static str;

    /// The goal in words.
    fn words(&self) -> Words;

    /// The pipeline's name.
    fn pipeline(&self) -> &str;

    /// All transitions. What is seen is not older than `asked`.
    fn judge(&mut self, seen: Pipeline, past: &mut Past, asked: Timestamp) -> Next<Self::Output>;

    /// The request for a wish; only a goal that waits and does nothing else has none.
    fn wish(&self, _wish: Wish, _cx: &mut Common<FelderaApi>) -> Option<Wishing> {
        None
    }

    /// What it is called to make a wish.
    fn phase(&self, wish: Wish) -> &'static str {
        wish.phase()
    }

    /// Whether what is waited for may be delayed by something that the process can name.
    fn may_be_delayed(&self, _seen: &Pipeline) -> bool {
        false
    }

    /// A refusal that has a better name, or is no obstacle.
    fn refused(&mut self, _wish: Wish, error: ServiceError) -> Result<(), FlowError> {
        unless_overtaken(error)
    }
}

/// A goal in words, for notices and errors.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Its name.
    pub(super) goal: &'static str,
    /// What is done to the pipeline, as in "start".
    pub(super) what: &'static str,
    /// What is waited for, as in "the pipeline to run".
    pub(super) waiting: &'static str,
}

/// What comes after a look.
#[derive(Debug)]
pub enum Next<T> {
    /// The end.
    Done(T),
    /// The end, once the process itself has answered: the manager shows that it is up, with this status.
    Up(T, PipelineStatus),
    /// The end without the goal.
    Fail(Interruption),
    /// Another look, later.
    Wait,
    /// Another look, now, at all of it.
    Whole,
    /// A wish.
    Act(Wish),
}

/// What can be wished of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
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
    /// Approve that its views are filled.
    Approve,
}

/// A wish under way.
pub(super) type Wishing = Box<dyn Flow<Output = Accepted> + Send + Sync>;

pub(super) fn wishing<O>(operation: O, cx: &mut Common<FelderaApi>) -> Wishing
where
    O: Operation<Output = Accepted, Service = FelderaApi> + Send + Sync + 'static,
{
    Box::new(cx.call(operation))
}

/// What a flow remembers of the pipeline.
#[derive(Debug, Default)]
pub struct Past {
    /// When the service took note of a wish.
    pub(super) accepted: Option<Timestamp>,
    /// When a wish got no answer, so that it may or may not have been heard; `None` after one that was accepted.
    pub(super) unanswered: Option<Timestamp>,
    /// Whether the pipeline was to be what is wished, at some look.
    pub(super) shown: bool,
    /// Whether it was to be deployed, at some look or by our wish.
    pub(super) alive: bool,
    /// Whether what is seen is all of it.
    pub(super) whole: bool,
    /// What has changed, of a pipeline that awaits approval; JSON.
    pub(super) diff: Option<String>,
    /// The deployment at the looks before.
    deployment: Option<String>,
}

impl Past {
    /// Keeps the deployment in mind; another one than before is somebody else's doing.
    pub(super) fn replaced(&mut self, seen: &Pipeline) -> Option<Interruption> {
        let is = seen.deployment_id.clone()?;
        match self.deployment.replace(is.clone()) {
            Some(was) if was != is => Some(Interruption::Replaced { was, is }),
            _ => None,
        }
    }

    /// The next deployment is none that could be mistaken for the one before.
    pub(super) fn forget_deployment(&mut self) {
        self.deployment = None;
    }

    /// Whether what was wished may be too new to show at a look that began then.
    pub(super) fn is_fresh(&self, asked: Timestamp) -> bool {
        self.accepted.is_some_and(|at| asked.since(at) < super::GRACE)
    }
}

/// What ended a pipeline that is at rest and was not to be.
pub(super) fn end_of(pipeline: &Pipeline) -> Interruption {
    pipeline.deployment_error.clone().map_or(Interruption::Stopped, Interruption::Crashed)
}

/// Whether a pipeline is to end.
pub(super) fn is_to_stop(pipeline: &Pipeline) -> bool {
    match &pipeline.deployment_desired_status {
        Some(desired) => matches!(desired, DesiredStatus::Stopped | DesiredStatus::Suspended),
        None => matches!(pipeline.deployment_status, PipelineStatus::Stopped | PipelineStatus::Stopping),
    }
}

/// The end of a program that does not compile, once all is known about it.
pub(super) fn not_compiled<T>(status: ProgramStatus, seen: &Pipeline, past: &Past) -> Next<T> {
    if past.whole {
        let nothing = ProgramError { sql_compilation: None, rust_compilation: None, system_error: None };
        let error = seen.program_error.clone().unwrap_or(nothing);
        Next::Fail(uncompiled(status, error, seen.program_status_since.clone()))
    } else {
        Next::Whole
    }
}

/// Why there is no compiled program: the program's fault, or the platform's.
pub(super) fn uncompiled(status: ProgramStatus, error: ProgramError, since: Option<String>) -> Interruption {
    if error.is_platform_failure(&status) {
        Interruption::CompilerFailed { status, error, since }
    } else {
        Interruption::NotCompiled { status, error }
    }
}

/// A refusal is the end, unless another look will tell.
pub(super) fn unless_overtaken(error: ServiceError) -> Result<(), FlowError> {
    if is_overtaken(&error) { Ok(()) } else { Err(error.into()) }
}

/// Whether a refusal says that the pipeline has moved on since the look, so that another look will tell.
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

/// How often wishes are made, all kinds together. The looks between them take about seven seconds: longer than the service
/// needs to see that a pipeline has died, which is up to five.
const WISHES: u32 = 8;

/// The transitions of the goals of a pipeline's life.
#[doc(hidden)]
pub struct Steered<P: Plan> {
    plan: P,
    past: Past,
    looks: Looks,
    delay: Delay,
    wishes: u32,
    /// Of a wish that was not accepted.
    trouble: Option<FlowError>,
    confirmation: Confirmation,
    state: State<P::Output>,
}

impl<P: Plan> fmt::Debug for Steered<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steered").field("goal", &P::NAME).field("past", &self.past).finish_non_exhaustive()
    }
}

enum State<T> {
    Looking,
    Wishing(Wish, Wishing),
    /// With what the flow comes to if the process answers, and the status that the manager shows.
    Confirming(Call<GetState>, Option<T>, PipelineStatus),
    /// What delays the process.
    Asking(Call<GetStats>),
}

impl<P: Plan> Steered<P> {
    pub(super) fn new(plan: P) -> Self {
        let looks = Looks::new(plan.pipeline());
        let (past, delay, confirmation) = (Past::default(), Delay::default(), Confirmation::default());
        Self { plan, past, looks, delay, wishes: 0, trouble: None, confirmation, state: State::Looking }
    }

    pub(super) fn plan(&self) -> &P {
        &self.plan
    }

    fn judge(&mut self, seen: Pipeline, cx: &mut Common<FelderaApi>) -> Option<Result<P::Output, FlowError>> {
        let found = interruption(&seen);
        let may_be_delayed = self.plan.may_be_delayed(&seen);
        let next = self.plan.judge(seen, &mut self.past, self.looks.asked());
        self.past.whole = false;
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
                self.past.whole = true;
                self.looks.at_all();
            }
            Next::Act(_) if self.wishes == WISHES => {
                // Accepted each time, and without an effect.
                let found = found.unwrap_or(Interruption::Stopped);
                let trouble = self.trouble.take().unwrap_or_else(|| self.interrupted(found));
                return Some(Err(self.found(trouble)));
            }
            Next::Act(wish) => {
                self.wishes += 1;
                if let Some(call) = self.plan.wish(wish, cx) {
                    cx.phase(self.plan.words().goal, self.plan.phase(wish));
                    self.state = State::Wishing(wish, call);
                }
            }
        }
        None
    }

    fn wished(&mut self, wish: Wish, answer: Result<Accepted, FlowError>, now: Timestamp) -> Result<(), FlowError> {
        // What an edition does not do it has not done at an earlier attempt either.
        let answer = answer.map_err(|error| match error.service() {
            Some(refusal) if error_code(refusal) == Some(ErrorCode::EnterpriseFeature) => refusal.clone().into(),
            _ => error,
        });
        match answer {
            Ok(_) => {
                self.trouble = None;
                self.past.unanswered = None;
                if wish != Wish::Dismiss {
                    self.past.accepted = Some(now);
                }
                if wish == Wish::Start {
                    self.past.alive = true;
                }
                self.looks.again();
                Ok(())
            }
            Err(error @ FlowError::Ambiguous(_)) => {
                self.trouble = Some(error);
                self.past.unanswered = Some(now);
                Ok(())
            }
            Err(FlowError::Service(error)) => {
                let refused = self.plan.refused(wish, error.clone());
                // A doubt is not forgotten over a refusal.
                if !self.trouble.as_ref().is_some_and(FlowError::is_ambiguous) {
                    self.trouble = Some(error.into());
                }
                refused.map_err(|error| self.found(error))
            }
            Err(error) => Err(self.found(error)),
        }
    }

    /// The end by an interruption. A late start of a program that does not compile changes nothing; of anything else nobody
    /// knows what a wish without an answer does yet.
    fn interrupted(&mut self, interruption: Interruption) -> FlowError {
        let settles = matches!(interruption, Interruption::NotCompiled { .. } | Interruption::CompilerFailed { .. });
        let details = match &interruption {
            Interruption::NotCompiled { error, .. } | Interruption::CompilerFailed { error, .. } => {
                Some(error.to_string())
            }
            Interruption::Crashed(error) => Some(error.message.clone()),
            Interruption::AwaitingApproval => self.past.diff.take(),
            _ => None,
        };
        let error = interruption
            .into_error(format!("{} of pipeline {}", self.plan.words().what, self.plan.pipeline()), details);
        if settles { error } else { self.found(error) }
    }

    /// The end by an error: if a wish may or may not have been heard, that.
    fn found(&mut self, error: FlowError) -> FlowError {
        let says = matches!(error, FlowError::Failed(_) | FlowError::Service(_)).then(|| error.to_string());
        let doubt = self.trouble.take().filter(FlowError::is_ambiguous);
        match doubt.unwrap_or(error) {
            FlowError::Ambiguous(ambiguity) => {
                let found = says.or_else(|| self.looks.seen().map(str::to_owned));
                FlowError::Ambiguous(Ambiguity { found, ..ambiguity })
            }
            error => error,
        }
    }
}

impl Wish {
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

impl<P: Plan> Machine for Steered<P> {
    type Service = FelderaApi;
    type Output = P::Output;
    const NAME: &'static str = P::NAME;

    fn step(&mut self, cx: &mut Common<FelderaApi>, reply: &mut Option<Reply>) -> Step<P::Output> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Looking => match ok!(self.looks.poll(cx, self.plan.words().waiting, reply)) {
                    Ok(seen) => {
                        if let Some(result) = self.judge(seen, cx) {
                            return Step::Done(result);
                        }
                    }
                    Err(error) => return Step::Done(Err(self.found(error))),
                },
                State::Asking(call) => {
                    let answer = ok!(call.poll(cx.now(), reply.take()));
                    self.state = State::Looking;
                    let what = format!("{} of pipeline {}", self.plan.words().what, self.plan.pipeline());
                    self.delay.answered(what, answer, cx);
                }
                State::Wishing(wish, call) => {
                    let (answer, wish) = (ok!(call.poll(cx.now(), reply.take())), *wish);
                    self.state = State::Looking;
                    if let Err(error) = self.wished(wish, answer, cx.now()) {
                        return Step::Done(Err(error));
                    }
                }
                State::Confirming(call, output, status) => {
                    let answer = ok!(call.poll(cx.now(), reply.take()));
                    let (is_repeated, output, status) = (call.sent() > 1, output.take(), status.clone());
                    self.state = State::Looking;
                    let what = || format!("{} of pipeline {}", self.plan.words().what, self.plan.pipeline());
                    match (self.confirmation.answered(answer, is_repeated, &status, what, cx), output) {
                        (Some(Ok(())), Some(output)) => return Step::Done(Ok(output)),
                        (Some(Err(error)), _) => return Step::Done(Err(self.found(error))),
                        _ => {}
                    }
                }
            }
        }
    }
}

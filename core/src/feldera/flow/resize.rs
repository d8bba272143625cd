//! The goal [`Resize`].
//!
//! ```text
//!  Poll ──up──▶ Patch ──stored──▶ Poll ──memory_max agrees──▶ done
//!  ▲ │ │          └──rejected, or not stored──▶ failed       │ ▲
//!  └─┘ └─▶ failed: stopped                  not yet ─────────┘ └─▶ failed: stopped, restarted, resized by another client
//! ```
//!
//! Before the request:
//!
//! | the pipeline | the stored sizes | the process reports | then |
//! |---|---|---|---|
//! | has the desired status `Stopped` or `Suspended` | any | any | failed: `Stopped` or `Crashed` |
//! | is `Stopped` or `Stopping`, but is to run; starts; or does not answer | any | any | wait |
//! | is up | the requested sizes | the requested `memory_max` | done, without a request |
//! | is up | other sizes, or the requested sizes with another reported `memory_max` | any | PATCH |
//!
//! If the outcome of the request is unknown, the same table holds, except that the flow does not send PATCH again. If
//! the requested sizes are stored, the flow continues as after an acceptance. Every failure is **ambiguous** then.
//!
//! After the server accepted the request:
//!
//! | the pipeline | the stored sizes | the process reports | then |
//! |---|---|---|---|
//! | has the desired status `Stopped` or `Suspended` | any | any | failed: `Stopped` or `Crashed` |
//! | is another deployment | any | any | failed: `Replaced` |
//! | has ended or starts again, or has no `deployment_id` any more | any | any | failed: `Restarted` |
//! | is up, or does not answer | other sizes | any | failed: `Resized` |
//! | does not answer | the requested sizes, or not shown | any | wait |
//! | is up | the requested sizes, or not shown | the requested `memory_max` | done |
//! | is up | the requested sizes, or not shown | another `memory_max` | wait |
//!
//! Each poll reads the whole pipeline: a poll of the status may leave out the stored sizes.
//!
//! | the answer to PATCH | then |
//! |---|---|
//! | 200 with the requested sizes | wait for `memory_max`; done at the next poll if no `memory_max` is requested |
//! | 200 without them: the release does not know the request | failed |
//! | 400 `DeploymentRestrictedToRunning`, `InvalidDeploymentPatch`, 405 `UnsupportedPipelineAction` | failed with this rejection |
//! | no answer | read the pipeline: it shows whether the sizes are stored |
//!
//! Invariants: repeating the request changes nothing, because it sets values. The flow proves only what it has read:
//! `memory_max` of the process. Feldera shows neither the processors nor the minimum memory that a process has.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Interruption;
use super::reconcile::{end_of, is_to_stop};
use super::status_poller::{StatusPoller, summary};
use crate::error::{Ambiguity, Failure, FlowError};
use crate::feldera::pipelines::{DynamicConfig, DynamicResources, PatchPipeline, Pipeline, PipelineStatus};
use crate::feldera::{ByteSize, FelderaApi};
use crate::flow::{Call, FlowContext, StateMachine, Transition, done, goal};

/// Changes the processors and the memory of a running pipeline without a restart, and waits until its process uses the
/// new maximum memory. Since 0.375, where resizing is experimental and must be enabled with
/// `--enable-pipeline-resize`.
///
/// **What the result proves:** the server has stored the sizes, and [`Resized::memory_max`] is what the process itself
/// reports. Feldera does not show whether a process has its new processors and its new minimum memory, so the flow
/// cannot wait for them.
///
/// The flow sends no request if the sizes are stored already and the process uses the wanted `memory_max`. If the flow
/// was interrupted, run it again. Set a [`timeout`](Self::timeout): if the runner cannot provide the memory, the flow
/// waits forever otherwise.
///
/// # Errors
/// * [`FlowError::Service`] with 400 `InvalidDeploymentPatch` if the sizes contradict each other: see `details.reason`.
/// * `Service` with 400 `DeploymentRestrictedToRunning` if the pipeline does not run.
/// * `Service` with 405 `UnsupportedPipelineAction` if the runner cannot resize a running pipeline.
/// * [`FlowError::Failed`] with an [`Interruption`] if the pipeline stops, restarts, is replaced, or is resized by
///   another client ([`Interruption::Resized`]) in the meantime.
/// * `Failed` without an interruption if no size is given, or if the server is older than 0.375 and ignores the
///   request.
/// * [`FlowError::Ambiguous`] if the request got no answer and the sizes are not stored. Run the goal again: a second
///   request changes nothing.
/// * [`FlowError::Deadline`] with the stored and the used `memory_max` if the [`timeout`](Self::timeout) expires.
///
/// ```
/// # const EIGHT: &str = r#"{"deployment_status":"Running","deployment_desired_status":"Running",
/// #     "deployment_config":{"resources":{"memory_max":"16Gi"}},"deployment_runtime_status_details":{"memory_max":"8Gi"}}"#;
/// # const SIXTEEN: &str = r#"{"deployment_status":"Running","deployment_desired_status":"Running",
/// #     "deployment_config":{"resources":{"memory_max":"16Gi"}},"deployment_runtime_status_details":{"memory_max":"16Gi"}}"#;
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Running","deployment_desired_status":"Running"}"#),
/// #     ("PATCH /v0/pipelines/orders", 200, EIGHT),
/// #     ("GET /v0/pipelines/orders", 200, EIGHT),
/// #     ("GET /v0/pipelines/orders", 200, SIXTEEN),
/// # ]);
/// use pipewright::feldera::{ByteSize, Feldera, Resize};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let resized = feldera.run(Resize::new("orders").memory_max(ByteSize::from_gib(16)))?;
/// assert_eq!(resized.memory_max, Some("16384Mi".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Resize {
    pipeline: String,
    wanted: DynamicResources,
    timeout: Option<Duration>,
}

impl Resize {
    /// Resizes the pipeline of this name. Set at least one size.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), wanted: DynamicResources::default(), timeout: None }
    }

    /// Sets the maximum memory.
    pub fn memory_max(mut self, size: ByteSize) -> Self {
        self.wanted.memory_max = Some(size);
        self
    }

    /// Sets the minimum memory. Feldera does not show whether the process has it.
    pub fn memory_min(mut self, size: ByteSize) -> Self {
        self.wanted.memory_min = Some(size);
        self
    }

    /// Sets the maximum number of processors. Feldera does not show whether the process has them.
    pub fn cpu_cores_max(mut self, cores: f64) -> Self {
        self.wanted.cpu_cores_max = Some(cores);
        self
    }

    /// Sets the minimum number of processors. Feldera does not show whether the process has them.
    pub fn cpu_cores_min(mut self, cores: f64) -> Self {
        self.wanted.cpu_cores_min = Some(cores);
        self
    }
}

/// The result of a [`Resize`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Resized {
    /// The pipeline at the last poll.
    pub pipeline: Pipeline,
    /// The maximum memory that the process reports. `None` if no maximum was requested: then the result does not prove
    /// that the process uses the new sizes.
    pub memory_max: Option<ByteSize>,
    /// Whether the flow sent a request. If not, the sizes were stored already, and the process used the wanted
    /// `memory_max`. Whether it used the other sizes is not known.
    pub changed: bool,
}

/// The transitions of [`Resize`].
#[derive(Debug)]
pub struct ResizeMachine {
    goal: Resize,
    progress: Progress,
    poller: StatusPoller,
    state: State,
}

#[derive(Debug)]
enum State {
    Poll,
    Patch(Box<Call<PatchPipeline>>),
}

/// The progress of the request.
#[derive(Debug)]
enum Progress {
    /// The request was not sent.
    Unsent,
    /// The request got no answer: this is its error.
    Unknown(FlowError),
    /// The server accepted the request for this deployment.
    Accepted(Option<String>),
}

/// The consequence of a poll.
#[derive(Debug, PartialEq)]
enum Next {
    Done,
    Wait,
    /// Send the request. After an unknown outcome: check whether the sizes are stored.
    Patch,
    Fail(Interruption),
}

/// Decides as the tables of the module's documentation.
fn decide(wanted: &DynamicResources, progress: &Progress, seen: &Pipeline) -> Next {
    use PipelineStatus::{
        Coordination, Initializing, Provisioning, Replaying, Stopped, Stopping, Suspended, Suspending, Unavailable,
    };
    if is_to_stop(seen) {
        return Next::Fail(end_of(seen));
    }
    let stored = seen.deployment_config.as_ref().and_then(|config| config.resources.as_ref());
    let is_stored = stored.is_some_and(|stored| stored.agrees_with(wanted));
    let is_used = wanted.memory_max.is_none() || memory_max(seen) == wanted.memory_max;
    // An early start shows as `Stopped`, desired `Running`, until the program is compiled. A status that is not known
    // counts as up: the server rejects the request if it is not.
    let is_down = matches!(
        seen.deployment_status,
        Stopped | Stopping | Suspending | Suspended | Provisioning | Coordination | Initializing | Replaying
    );
    let is_silent = seen.deployment_status == Unavailable;
    let Progress::Accepted(deployment) = progress else {
        return match (is_down || is_silent, is_stored && is_used) {
            (true, _) => Next::Wait,
            (false, true) => Next::Done,
            (false, false) => Next::Patch,
        };
    };
    match (deployment.as_deref(), seen.deployment_id.as_deref()) {
        (Some(was), Some(is)) if was != is => {
            Next::Fail(Interruption::Replaced { was: was.to_owned(), is: is.to_owned() })
        }
        (Some(_), None) => Next::Fail(Interruption::Restarted),
        _ if is_down => Next::Fail(Interruption::Restarted),
        _ if stored.is_some() && !is_stored => Next::Fail(Interruption::Resized),
        _ if is_silent || !is_used => Next::Wait,
        _ => Next::Done,
    }
}

/// Returns which maximum memory is stored and which the process uses, for the error that the timeout has expired.
fn sizes(seen: &Pipeline) -> String {
    let text = |size: Option<ByteSize>| size.map_or_else(|| "not shown".to_owned(), |size| size.to_string());
    let stored = seen.deployment_config.as_ref().and_then(|config| config.resources.as_ref()?.memory_max);
    let (stored, used) = (text(stored), text(memory_max(seen)));
    format!("{}, stored memory_max {stored}, used memory_max {used}", summary(seen))
}

/// Returns the maximum memory that the process reports.
fn memory_max(seen: &Pipeline) -> Option<ByteSize> {
    seen.deployment_runtime_status_details.as_ref()?.memory_max
}

impl ResizeMachine {
    fn what(&self) -> String {
        format!("resize of pipeline {}", self.goal.pipeline)
    }

    fn failed(&self, reason: &str) -> FlowError {
        FlowError::Failed(Failure { what: self.what(), reason: reason.to_owned(), details: None, cause: None })
    }

    fn patch(&self) -> PatchPipeline {
        let mut config = DynamicConfig::default();
        config.resources = Some(self.goal.wanted.clone());
        PatchPipeline::new(&*self.goal.pipeline).deployment_config(config)
    }

    fn decide(&mut self, seen: Pipeline, cx: &mut FlowContext<FelderaApi>) -> Option<Result<Resized, FlowError>> {
        cx.note(format!("pipeline {}", self.goal.pipeline), sizes(&seen));
        match decide(&self.goal.wanted, &self.progress, &seen) {
            Next::Wait => None,
            Next::Done => {
                let changed = !matches!(self.progress, Progress::Unsent);
                let memory_max = memory_max(&seen).filter(|_| self.goal.wanted.memory_max.is_some());
                Some(Ok(Resized { pipeline: seen, memory_max, changed }))
            }
            Next::Patch => match std::mem::replace(&mut self.progress, Progress::Unsent) {
                Progress::Unknown(error) if !self.is_stored(&seen) => Some(Err(error)),
                Progress::Unknown(_) => {
                    self.progress = Progress::Accepted(seen.deployment_id);
                    None
                }
                Progress::Unsent | Progress::Accepted(_) => {
                    cx.phase(Self::NAME, "resizing the pipeline");
                    self.state = State::Patch(Box::new(cx.call(self.patch())));
                    None
                }
            },
            Next::Fail(interruption) => {
                let details = match &interruption {
                    Interruption::Crashed(error) => Some(error.message.clone()),
                    _ => None,
                };
                let found = interruption.into_error(self.what(), details);
                Some(Err(match std::mem::replace(&mut self.progress, Progress::Unsent) {
                    Progress::Unknown(FlowError::Ambiguous(ambiguity)) => {
                        FlowError::Ambiguous(Ambiguity { found: Some(found.to_string()), ..ambiguity })
                    }
                    _ => found,
                }))
            }
        }
    }

    fn is_stored(&self, seen: &Pipeline) -> bool {
        let stored = seen.deployment_config.as_ref().and_then(|config| config.resources.as_ref());
        stored.is_some_and(|stored| stored.agrees_with(&self.goal.wanted))
    }

    fn patched(&mut self, answer: Result<Pipeline, FlowError>) -> Result<(), FlowError> {
        match answer {
            Ok(patched) if self.is_stored(&patched) => self.progress = Progress::Accepted(patched.deployment_id),
            Ok(_) => {
                return Err(self.failed(
                    "the server accepted the request, but does not show the new sizes: probably it is older than 0.375, which \
                     ignores them, or a later release shows them in another form; stop the pipeline and change \
                     `runtime_config.resources` instead, for example with Deploy",
                ));
            }
            Err(error) if error.is_ambiguous() || error.says_applied() => self.progress = Progress::Unknown(error),
            Err(error) => return Err(error),
        }
        self.poller.again();
        Ok(())
    }
}

impl StateMachine for ResizeMachine {
    type Service = FelderaApi;
    type Output = Resized;
    const NAME: &'static str = "Resize";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Resized> {
        if self.goal.wanted.is_empty() {
            return done(Err(self.failed("no size is given; set memory_max, for example")));
        }
        match &mut self.state {
            State::Poll => {
                let seen = match self.poller.poll(cx, "the pipeline to use the new sizes")? {
                    Ok(seen) => seen,
                    Err(error) => {
                        // The unknown outcome matters more to the caller than the error of reading the pipeline.
                        return done(Err(match std::mem::replace(&mut self.progress, Progress::Unsent) {
                            Progress::Unknown(unknown) => unknown,
                            Progress::Unsent | Progress::Accepted(_) => error,
                        }));
                    }
                };
                if let Some(result) = self.decide(seen, cx) {
                    return done(result);
                }
            }
            State::Patch(call) => {
                let answer = cx.poll(call)?;
                self.state = State::Poll;
                if let Err(error) = self.patched(answer) {
                    return done(Err(error));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<Resize> for ResizeMachine {
    fn from(goal: Resize) -> Self {
        let poller = StatusPoller::of_whole(&goal.pipeline);
        Self { goal, progress: Progress::Unsent, poller, state: State::Poll }
    }
}

goal!(Resize: FelderaApi => Resized, ResizeMachine);
